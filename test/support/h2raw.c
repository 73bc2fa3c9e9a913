/*
 * h2raw.c - nothing of the code under test is used here.
 */
#include "h2raw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int h2raw_dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval tv = { .tv_sec = 2 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool h2raw_put(int fd, const void *p, size_t n)
{
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

bool h2raw_frame(int fd, uint8_t type, uint8_t flags, uint32_t id, const void *p,
		 size_t n)
{
	uint8_t b[9 + 16384] = { (uint8_t)(n >> 16),
				 (uint8_t)(n >> 8),
				 (uint8_t)n,
				 type,
				 flags,
				 (uint8_t)(id >> 24),
				 (uint8_t)(id >> 16),
				 (uint8_t)(id >> 8),
				 (uint8_t)id };
	if (n)
		memcpy(b + 9, p, n);
	return h2raw_put(fd, b, 9 + n);
}

int h2raw_greet(uint16_t port, uint32_t window)
{
	uint8_t s[6] = { 0,
			 4,
			 (uint8_t)(window >> 24),
			 (uint8_t)(window >> 16),
			 (uint8_t)(window >> 8),
			 (uint8_t)window };
	int fd = h2raw_dial(port);
	if (fd >= 0)
		(void)(h2raw_put(fd, H2RAW_PREFACE, sizeof(H2RAW_PREFACE) - 1) &&
		       h2raw_frame(fd, H2RAW_SETTINGS, 0, 0, s, 6));
	return fd;
}

size_t h2raw_literal(uint8_t *p, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	p[0] = 0;
	p[1] = (uint8_t)n;
	memcpy(p + 2, name, n);
	p[2 + n] = (uint8_t)v;
	memcpy(p + 3 + n, value, v);
	return 3 + n + v;
}

int h2raw_goaway(int fd)
{
	uint8_t h[9], skip[1 << 16];
	while (recv(fd, h, 9, MSG_WAITALL) == 9) {
		size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		if (n > sizeof(skip) ||
		    (n && recv(fd, skip, n, MSG_WAITALL) != (ssize_t)n))
			return -1;
		if (h[3] == H2RAW_GOAWAY && n >= 8)
			return skip[7];
	}
	return -1;
}
