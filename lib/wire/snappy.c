/*
 * wire/snappy.c - snappy blocks (not the framed stream format), as remote read and remote
 * write use them.
 *
 * A block begins with its decoded length as a varint of at most 32 bits, so that the
 * length is known, and compared with the caller's maximum, before anything is allocated.
 * A short block can announce much: one copy element of 3 bytes makes at most 64, so a
 * length beyond that ratio is refused, too.
 */
#include "wire/codec.h"

#include <snappy-c.h>

#define SNAPPY_MAX_RATIO 64

int snappy_block_encode(struct str in, struct buf *out, struct err *e)
{
	if (in.n > UINT32_MAX)
		return err_set(NULL, e, E_LIMIT, "snappy: %zu bytes do not fit a block",
			       in.n);
	size_t n = snappy_max_compressed_length(in.n);
	char *to = (char *)buf_room(out, n);
	if (!to)
		return buf_check(out, NULL, "snappy", e);
	if (snappy_compress(in.n ? in.p : "", in.n, to, &n) != SNAPPY_OK)
		return err_set(NULL, e, E_INTERNAL, "snappy: could not compress");
	buf_commit(out, n);
	return 0;
}

int snappy_block_decode(struct str in, size_t max, struct buf *out, struct err *e)
{
	size_t n;

	if (in.n == 0 || snappy_uncompressed_length(in.p, in.n, &n) != SNAPPY_OK)
		return err_set(NULL, e, E_CORRUPT, "snappy: no valid length");
	if (n > max)
		return err_set(NULL, e, E_LIMIT,
			       "snappy: block of %zu bytes, at most %zu allowed", n, max);
	if (n / SNAPPY_MAX_RATIO > in.n)
		return err_set(NULL, e, E_CORRUPT, "snappy: %zu bytes cannot hold %zu",
			       in.n, n);
	if (n == 0) {
		char none;
		if (snappy_uncompress(in.p, in.n, &none, &n) != SNAPPY_OK)
			return err_set(NULL, e, E_CORRUPT, "snappy: corrupt block");
		return 0;
	}
	char *to = (char *)buf_room(out, n);
	if (!to)
		return buf_check(out, NULL, "snappy", e);
	if (snappy_uncompress(in.p, in.n, to, &n) != SNAPPY_OK)
		return err_set(NULL, e, E_CORRUPT, "snappy: corrupt block");
	buf_commit(out, n);
	return 0;
}
