/*
 * h2raw.h - HTTP/2 frames by hand on a blocking socket, right or wrong, for tests of peers that mean harm.
 */
#ifndef TEST_SUPPORT_H2RAW_H
#define TEST_SUPPORT_H2RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2RAW_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum {
	H2RAW_DATA = 0,
	H2RAW_HEADERS = 1,
	H2RAW_PRIORITY = 2,
	H2RAW_RST = 3,
	H2RAW_SETTINGS = 4,
	H2RAW_PING = 6,
	H2RAW_GOAWAY = 7,
	H2RAW_WINDOW = 8,
	H2RAW_MORE = 9
};
enum { H2RAW_END_STREAM = 1, H2RAW_END_HEADERS = 4 };

int h2raw_dial(
	uint16_t port); /* of 127.0.0.1; -1: refused. Waits 2 s at most, also later */
bool h2raw_put(int fd, const void *p, size_t n);
bool h2raw_frame(int fd, uint8_t type, uint8_t flags, uint32_t id, const void *p,
		 size_t n);
/* A connection that speaks HTTP/2; window: of its streams. */
int h2raw_greet(uint16_t port, uint32_t window);
/* A literal header, not indexed; the bytes. */
size_t h2raw_literal(uint8_t *p, const char *name, const char *value);
/* Read until the end, or a GOAWAY: its error code; -1: none. */
int h2raw_goaway(int fd);

#endif
