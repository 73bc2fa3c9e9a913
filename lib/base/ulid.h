/*
 * base/ulid.h - block names: 48 bits of Unix ms, 80 random bits, Crockford base32 (26 characters).
 */
#ifndef BASE_ULID_H
#define BASE_ULID_H

#include "base/str.h"

struct ulid {
	uint8_t b[16]; /* big endian: bytewise order is order of creation */
};
void ulid_new(struct ulid *u, int64_t now_ms); /* random part from getrandom(2) */
/* 26 characters, upper or lower case; first at most '7'; false otherwise. */
bool ulid_parse(struct str s, struct ulid *out);
void ulid_format(const struct ulid *u, char out[27]);
int64_t ulid_time_ms(const struct ulid *u);
static inline int ulid_cmp(const struct ulid *a, const struct ulid *b)
{
	return memcmp(a->b, b->b, 16);
}

#endif
