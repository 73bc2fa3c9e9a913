/*
 * cmd/thanosc/notify.c - what systemd is told: ready, stopping, alive.
 *
 * The protocol is one datagram of "NAME=VALUE" lines to the socket that $NOTIFY_SOCKET names ('@': an abstract
 * one); libsystemd has no static archive, and needs not be had for it. Without the variable nothing is sent.
 * Source  sd_notify(3), sd_watchdog_enabled(3)
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "notify.h"

void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	if (!path || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof(to.sun_path))
		return;
	size_t n = strlen(path);
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, len) <
	    0)
		log_warn(NULL, "systemd cannot be told %s", state);
	close(fd);
}

uint64_t notify_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, whose;
	if (!usec || !str_to_u64(str_of(usec), &us) || us == 0)
		return 0;
	if (pid && (!str_to_u64(str_of(pid), &whose) || whose != (uint64_t)getpid()))
		return 0;
	return us > UINT64_MAX / 1000 ? 0 : us * 1000 / 2;
}
