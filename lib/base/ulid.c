/*
 * base/ulid.c - ULIDs (github.com/ulid/spec): 16 bytes, big endian, the first six of them
 * milliseconds. The text has 26 digits of 5 bits, hence 130 bits: the first digit has only 3 and is
 * at most '7'. Crockford's alphabet leaves out I, L, O and U.
 */
#include "base/ulid.h"

#include <errno.h>
#include <sys/random.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void ulid_new(struct ulid *u, int64_t now_ms)
{
	for (int i = 0; i < 6; i++)
		u->b[i] = (uint8_t)((uint64_t)now_ms >> (40 - 8 * i));
	ssize_t n;
	do
		n = getrandom(u->b + 6, 10, 0); /* up to 256 bytes come whole */
	while (n < 0 && errno == EINTR);
	BUG_ON(n != 10);
}

/* 0..31, or -1. */
static int digit_of(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 0x20);
	const char *p = memchr(alphabet, c, 32);
	return p ? (int)(p - alphabet) : -1;
}

bool ulid_parse(struct str s, struct ulid *out)
{
	unsigned __int128 v = 0;
	if (s.n != 26 || s.p[0] > '7')
		return false;
	for (size_t i = 0; i < 26; i++) {
		int d = digit_of(s.p[i]);
		if (d < 0)
			return false;
		v = v << 5 | (unsigned)d;
	}
	for (int i = 0; i < 16; i++)
		out->b[i] = (uint8_t)(v >> (120 - 8 * i));
	return true;
}

void ulid_format(const struct ulid *u, char out[27])
{
	unsigned __int128 v = 0;
	for (int i = 0; i < 16; i++)
		v = v << 8 | u->b[i];
	for (int i = 25; i >= 0; i--, v >>= 5)
		out[i] = alphabet[(unsigned)v & 31];
	out[26] = '\0';
}

int64_t ulid_time_ms(const struct ulid *u)
{
	uint64_t v = 0;
	for (int i = 0; i < 6; i++)
		v = v << 8 | u->b[i];
	return (int64_t)v;
}
