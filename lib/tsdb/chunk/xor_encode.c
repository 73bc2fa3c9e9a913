/*
 * tsdb/chunk/xor_encode.c - the encoder as such, and floats; the formats stand in xor_decode.c and xor2_decode.c.
 *
 * Bytes equal those of Prometheus' appender as long as a chunk is written in one go: an appender that
 * was opened again goes on with the last window it can see, and may choose others afterwards.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "wire/wr.h"

#include "tsdb/chunk/encoder.h"
#include "tsdb/chunk/xor2.h"

#define COUNT_MAX 65535u

struct chunk_encoder *chunk_encoder_new(void)
{
	struct chunk_encoder *w = xcalloc(1, sizeof *w);
	buf_init(&w->w.out, LIMIT_CHUNK_BYTES);
	return w;
}

void chunk_encoder_free(struct chunk_encoder *w)
{
	if (!w)
		return;
	buf_deinit(&w->w.out);
	encoder_sides_free(w);
	free(w);
}

static void begin(struct chunk_encoder *w, enum chunk_enc enc)
{
	static const uint8_t zeros[3] = { 0 };
	w->enc = enc;
	w->count = 0;
	w->t = w->t_delta = 0;
	w->v = 0;
	w->v_w = w->obs_w = w->zero_w = (struct bits_window){ 0xff, 0 };
	w->st = (struct st_state){ 0 };
	w->w.last = 0;
	w->w.pending = 0;
	buf_reset(&w->w.out);
	buf_add(&w->w.out, zeros, enc == CHUNK_XOR ? 2 : 3); /* count, flags */
}

void chunk_encoder_begin(struct chunk_encoder *w, enum chunk_enc enc)
{
	begin(w, enc);
	w->carry = w->header_given = false;
}

void chunk_encoder_like(struct chunk_encoder *w, enum chunk_enc enc, struct chunk_part c)
{
	chunk_encoder_begin(w, enc);
	w->header_given = c.enc != CHUNK_XOR && c.enc != CHUNK_XOR2 && c.n >= 3;
	if (w->header_given)
		w->header = hist_header(c);
}

void chunk_encoder_start(struct chunk_encoder *w, int64_t st_ms)
{
	w->start = st_ms;
}

void chunk_encoder_next(struct chunk_encoder *w, enum chunk_enc enc)
{
	bool carry = w->enc == enc && w->count > 0 && !w->has_header;
	begin(w, enc);
	w->carry = carry;
	w->header_given = false;
}

int encoder_may_add(const struct chunk_encoder *w, int64_t t_ms, struct err *e)
{
	uint32_t max = hist_has_st(w->enc) ? HIST_ST_COUNT_MAX : COUNT_MAX;
	if (w->count == max)
		return err_set(NULL, e, E_LIMIT, "chunk: more than %u samples", max);
	if (w->count > 0 && t_ms <= w->t)
		return err_set(NULL, e, E_INVALID, "chunk: time %lld does not rise",
			       (long long)t_ms);
	return 0;
}

int encoder_done(struct chunk_encoder *w, struct err *e)
{
	struct buf *b = &w->w.out;
	if (buf_check(b, NULL, "chunk", e) < 0)
		return -1;
	w->count++;
	w->start = 0;
	b->p[0] = (uint8_t)(w->count >> 8);
	if (hist_has_st(w->enc))
		b->p[0] |= (uint8_t)(w->header << 6);
	b->p[1] = (uint8_t)w->count;
	return 0;
}

static void put_dod(struct bitw *w, int64_t dod)
{
	static const uint8_t width[] = { 14, 17, 20 };
	if (dod == 0) {
		bitw_put(w, 0, 1);
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(width); i++) {
		int64_t top = (int64_t)1 << (width[i] - 1);
		if (dod > -top && dod <= top) {
			bitw_put(w, (1u << (i + 2)) - 2, i + 2);
			bitw_put(w, (uint64_t)dod, width[i]);
			return;
		}
	}
	bitw_put(w, 0xf, 4);
	bitw_put(w, (uint64_t)dod, 64);
}

/* w->v is the value the next one is XORed with. */
static int float2(struct chunk_encoder *w, int64_t t, int64_t delta, uint64_t v,
		  struct err *e)
{
	int64_t dod = (int64_t)((uint64_t)delta - (uint64_t)w->t_delta);
	xor2_put(&w->w, w->count, t, (uint64_t)delta, dod, v, &w->v, &w->v_w);
	st_put(&w->st, &w->w, &w->w.out.p[2], w->count, t, w->t, w->start);
	w->t_delta = w->count ? delta : 0;
	w->t = t;
	return encoder_done(w, e);
}

int chunk_encoder_float(struct chunk_encoder *w, int64_t t_ms, double v, struct err *e)
{
	uint64_t bits = f64_bits(v);
	int64_t delta = (int64_t)((uint64_t)t_ms - (uint64_t)w->t);
	if (w->enc != CHUNK_XOR && w->enc != CHUNK_XOR2)
		return err_set(NULL, e, E_INVALID, "chunk: float in a %s chunk",
			       chunk_enc_name(w->enc));
	if (encoder_may_add(w, t_ms, e) < 0)
		return -1;
	if (w->enc == CHUNK_XOR2)
		return float2(w, t_ms, delta, bits, e);
	if (w->count == 0) {
		wr_varint(&w->w.out, t_ms);
		bitw_put(&w->w, bits, 64);
		delta = 0;
	} else if (w->count == 1) {
		wr_uvarint(&w->w.out, (uint64_t)delta);
		bitw_xor(&w->w, bits, w->v, &w->v_w);
	} else {
		put_dod(&w->w, (int64_t)((uint64_t)delta - (uint64_t)w->t_delta));
		bitw_xor(&w->w, bits, w->v, &w->v_w);
	}
	w->t = t_ms;
	w->t_delta = delta;
	w->v = bits;
	return encoder_done(w, e);
}

uint32_t chunk_encoder_count(const struct chunk_encoder *w)
{
	return w->count;
}

struct chunk_part chunk_encoder_part(struct chunk_encoder *w)
{
	struct str s = bitw_view(&w->w);
	return (struct chunk_part){ (const uint8_t *)s.p, (uint32_t)s.n,
				    (uint8_t)w->enc };
}
