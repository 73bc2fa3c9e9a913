/*
 * wire/snappy.c - snappy blocks, as remote read and remote write use them, and the framed
 * stream, as gRPC messages of the peers use it.
 *
 * Source  google/snappy format_description.txt and framing_format.txt
 *
 * A block begins with its decoded length as a varint of at most 32 bits, so that the
 * length is known, and compared with the caller's maximum, before anything is allocated.
 * A short block can announce much: one copy element of 3 bytes makes at most 64, so a
 * length beyond that ratio is refused, too.
 */
#include "wire/codec.h"

#include <snappy-c.h>

#include "base/hash.h"
#include "wire/rd.h"

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

/* ---------------------------------------------------------------- the framed stream */

#define CHUNK_MAX  ((size_t)65536) /* of decoded bytes */
#define CRC_BYTES  4u
#define HEAD_BYTES (4u + CRC_BYTES)

enum { CHUNK_SNAPPY = 0, CHUNK_PLAIN = 1, CHUNK_SKIP = 0x80, CHUNK_START = 0xff };
static const char magic[] = "sNaPpY";

/* CRCs of data that hold CRCs are poor checks: the format turns and shifts them. */
static uint32_t masked_crc(const void *p, size_t n)
{
	uint32_t c = crc32c(0, p, n);
	return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put_le(uint8_t *p, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put_start(struct buf *out)
{
	uint8_t *p = buf_room(out, 10);
	if (!p)
		return;
	p[0] = CHUNK_START;
	put_le(p + 1, sizeof(magic) - 1, 3);
	memcpy(p + 4, magic, sizeof(magic) - 1);
	buf_commit(out, 10);
}

static int put_chunk(struct str in, struct buf *out, struct err *e)
{
	size_t n = MAX(snappy_max_compressed_length(in.n), in.n);
	uint8_t *p = buf_room(out, HEAD_BYTES + n);
	if (!p)
		return buf_check(out, NULL, "snappy", e);
	if (snappy_compress(in.p, in.n, (char *)p + HEAD_BYTES, &n) != SNAPPY_OK)
		return err_set(NULL, e, E_INTERNAL, "snappy: could not compress");
	p[0] = CHUNK_SNAPPY;
	if (n >= in.n - in.n / 8) {
		p[0] = CHUNK_PLAIN;
		n = in.n;
		memcpy(p + HEAD_BYTES, in.p, n);
	}
	put_le(p + 1, (uint32_t)(n + CRC_BYTES), 3);
	put_le(p + 4, masked_crc(in.p, in.n), CRC_BYTES);
	buf_commit(out, HEAD_BYTES + n);
	return 0;
}

int snappy_stream_encode(struct str in, struct buf *out, struct err *e)
{
	if (in.n == 0)
		return 0;
	put_start(out);
	while (in.n) {
		struct str piece = str_n(in.p, MIN(in.n, CHUNK_MAX));
		if (put_chunk(piece, out, e) < 0)
			return -1;
		in = str_from(in, piece.n);
	}
	return 0;
}

struct chunk {
	uint8_t type;
	uint32_t crc;
	struct str data; /* behind the CRC */
	size_t n;	 /* decoded */
};

/* 1: *c holds data; 0: the end; -1. Chunks that may be skipped are. */
static int next_chunk(struct rd *r, bool *started, struct chunk *c, struct err *e)
{
	while (rd_left(r) > 0) {
		c->type = rd_u8(r);
		size_t n = rd_u8(r);
		n |= (size_t)rd_u8(r) << 8;
		n |= (size_t)rd_u8(r) << 16;
		struct str body = rd_bytes(r, n);
		if (r->bad)
			return err_set(NULL, e, E_CORRUPT, "snappy: stream is cut short");
		if (c->type == CHUNK_START) {
			if (!str_eqz(body, magic))
				return err_set(NULL, e, E_CORRUPT,
					       "snappy: stream of another format");
			*started = true;
			continue;
		}
		if (!*started)
			return err_set(NULL, e, E_CORRUPT,
				       "snappy: stream does not begin as one");
		if (c->type >= CHUNK_SKIP)
			continue;
		if (c->type > CHUNK_PLAIN || n < CRC_BYTES)
			return err_set(NULL, e, E_CORRUPT,
				       "snappy: chunk of type %u and %zu bytes", c->type,
				       n);
		struct rd b = rd_of(body);
		c->crc = rd_le32(&b);
		c->data = str_from(body, CRC_BYTES);
		c->n = c->data.n;
		if (c->type == CHUNK_SNAPPY &&
		    (snappy_uncompressed_length(c->data.p, c->data.n, &c->n) !=
			     SNAPPY_OK ||
		     c->n / SNAPPY_MAX_RATIO > c->data.n))
			return err_set(NULL, e, E_CORRUPT,
				       "snappy: chunk without a valid length");
		if (c->n > CHUNK_MAX)
			return err_set(NULL, e, E_CORRUPT, "snappy: chunk of %zu bytes",
				       c->n);
		return 1;
	}
	return 0;
}

int snappy_stream_size(struct str in, size_t max, size_t *n, struct err *e)
{
	struct rd r = rd_of(in);
	struct chunk c;
	bool started = false;
	int rc;

	*n = 0;
	while ((rc = next_chunk(&r, &started, &c, e)) > 0) {
		if (c.n > max - *n)
			return err_set(NULL, e, E_LIMIT,
				       "snappy: more than the allowed %zu bytes", max);
		*n += c.n;
	}
	return rc;
}

int snappy_stream_decode(struct str in, size_t max, struct buf *out, struct err *e)
{
	struct rd r = rd_of(in);
	struct chunk c;
	bool started = false;
	int rc;

	while ((rc = next_chunk(&r, &started, &c, e)) > 0) {
		if (c.n > max)
			return err_set(NULL, e, E_LIMIT,
				       "snappy: larger than the allowed size");
		max -= c.n;
		/* one byte at least: snappy wants a place to write to */
		char *to = (char *)buf_room(out, MAX(c.n, 1));
		size_t n = c.n;
		if (!to)
			return buf_check(out, NULL, "snappy", e);
		if (c.type == CHUNK_PLAIN)
			memcpy(to, c.data.p, n);
		else if (snappy_uncompress(c.data.p, c.data.n, to, &n) != SNAPPY_OK)
			return err_set(NULL, e, E_CORRUPT, "snappy: corrupt chunk");
		if (masked_crc(to, n) != c.crc)
			return err_set(NULL, e, E_CORRUPT,
				       "snappy: chunk with a wrong checksum");
		buf_commit(out, n);
	}
	return rc;
}
