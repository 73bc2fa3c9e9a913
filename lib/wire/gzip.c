/*
 * wire/gzip.c - gzip bodies decoded whole, answers deflated piece by piece.
 *
 * A gzip stream may have several members; all are decoded one after the other, and what
 * follows the last must again be a member (as Go's reader asks). The trailer's length is
 * not trusted: output grows by steps and stops at `max`.
 */
#include "wire/codec.h"

#include <limits.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

#define STEP_MIN	  1024
#define STEP_MAX	  (256u << 10)
#define GZIP_WINDOW	  (MAX_WBITS + 16)
#define DEFLATE_LEVEL	  5 /* near the default's size at half its cost, for JSON */
#define DEFLATE_MEM_LEVEL 8

/* zlib counts in unsigned int: hand it at most so much at a time. */
static unsigned piece(size_t n)
{
	return n > INT_MAX ? INT_MAX : (unsigned)n;
}

/* Inflate what is in *in into out until a member ends. 1: ended, 0: input used up, -1. */
static int inflate_member(z_stream *z, struct str *in, size_t *left, struct buf *out,
			  struct err *e)
{
	size_t step = STEP_MIN;

	for (;;) {
		/* One byte beyond the maximum tells a stream that ends there from a
		 * longer one. */
		uint8_t over, *to = &over;
		size_t room = MIN(step, *left);
		if (room > 0) {
			to = buf_room(out, room);
			if (!to)
				return buf_check(out, NULL, "gzip", e);
		}
		z->next_in = (const Bytef *)in->p;
		z->avail_in = piece(in->n);
		z->next_out = to;
		z->avail_out = room ? piece(room) : 1;
		unsigned before = z->avail_in, space = z->avail_out;
		int rc = inflate(z, Z_NO_FLUSH);
		size_t made = space - z->avail_out;
		*in = str_from(*in, before - z->avail_in);
		if (room == 0 && made > 0)
			return err_set(NULL, e, E_LIMIT, "gzip: larger than allowed");
		if (room > 0)
			buf_commit(out, made);
		*left -= room ? made : 0;
		if (rc == Z_STREAM_END)
			return 1;
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return err_set(NULL, e, E_CORRUPT, "gzip: %s",
				       z->msg ? z->msg : "corrupt data");
		if (in->n == 0 && z->avail_out > 0)
			return 0;
		if (made == 0 && before == z->avail_in)
			return err_set(NULL, e, E_CORRUPT, "gzip: no progress");
		step = MIN(step * 2, STEP_MAX);
	}
}

int gzip_decode(struct str in, size_t max, struct buf *out, struct err *e)
{
	z_stream z = { 0 };
	size_t left = MIN(max, out->max - out->n);
	int rc;

	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return err_set(NULL, e, E_INTERNAL, "gzip: inflateInit2 failed");
	do {
		rc = inflate_member(&z, &in, &left, out, e);
		if (rc == 0)
			rc = err_set(NULL, e, E_CORRUPT, "gzip: data ends too early");
		if (rc > 0 && in.n > 0)
			inflateReset(&z);
	} while (rc > 0 && in.n > 0);
	inflateEnd(&z);
	return rc > 0 ? 0 : -1;
}

struct gzip_enc {
	z_stream z;
	bool finished;
};

struct gzip_enc *gzip_enc_new(bool zlib_format)
{
	struct gzip_enc *g = xcalloc(1, sizeof(*g));
	int window = zlib_format ? MAX_WBITS : GZIP_WINDOW;

	BUG_ON(deflateInit2(&g->z, DEFLATE_LEVEL, Z_DEFLATED, window, DEFLATE_MEM_LEVEL,
			    Z_DEFAULT_STRATEGY) != Z_OK);
	return g;
}

void gzip_enc_free(struct gzip_enc *g)
{
	if (!g)
		return;
	deflateEnd(&g->z);
	free(g);
}

int gzip_enc_feed(struct gzip_enc *g, struct str in, bool finish, struct buf *out,
		  struct err *e)
{
	z_stream *z = &g->z;

	BUG_ON(g->finished);
	for (;;) {
		unsigned n = piece(in.n);
		bool last = finish && n == in.n;
		size_t want = MAX(STEP_MIN, MIN(in.n / 2, STEP_MAX));
		unsigned space = (unsigned)MAX(MIN(want, out->max - out->n), 1);
		uint8_t *to = buf_room(out, space);
		if (!to)
			return buf_check(out, NULL, "gzip", e);
		z->next_in = (const Bytef *)in.p;
		z->avail_in = n;
		z->next_out = to;
		z->avail_out = space;
		int rc = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
		in = str_from(in, n - z->avail_in);
		buf_commit(out, space - z->avail_out);
		if (rc == Z_STREAM_END) {
			g->finished = true;
			return 0;
		}
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return err_set(NULL, e, E_INTERNAL, "gzip: deflate failed (%d)",
				       rc);
		if (!finish && in.n == 0 && z->avail_out > 0)
			return 0;
	}
}
