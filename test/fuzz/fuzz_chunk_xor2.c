/*
 * XOR2 chunks: never a crash; what decodes is encoded and decoded to the same samples again, start timestamps
 * included, and recoded to XOR it keeps times and values.
 */
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct run {
	int64_t *t, *st;
	double *v;
	size_t n;
	bool whole; /* decoded to its end */
};

static struct run decode(struct chunk_part part)
{
	size_t cap = (size_t)chunk_count(part) + 1;
	struct run r = { calloc(cap, 8), calloc(cap, 8), calloc(cap, 8), 0, false };
	struct arena a;
	struct err e;
	struct columns c;
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	int rc = chunk_decoder_reset(d, part, &e);
	while (rc >= 0 && (rc = chunk_decoder_next(d, &c, &e)) > 0)
		for (size_t i = 0; i < c.n; i++, r.n++) {
			r.t[r.n] = c.t_ms[i];
			r.st[r.n] = c.st_ms ? c.st_ms[i] : 0;
			r.v[r.n] = c.v[i];
		}
	r.whole = rc == 0;
	arena_deinit(&a);
	return r;
}

static void run_free(struct run *r)
{
	free(r->t);
	free(r->st);
	free(r->v);
}

static void round_trip(const struct run *r, enum chunk_enc enc)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e;
	chunk_encoder_begin(w, enc);
	for (size_t i = 0; i < r->n; i++) {
		chunk_encoder_start(w, r->st[i]);
		if (chunk_encoder_float(w, r->t[i], r->v[i], &e) < 0)
			abort();
	}
	struct run again = decode(chunk_encoder_part(w));
	if (!again.whole || again.n != r->n || memcmp(again.t, r->t, r->n * 8) != 0 ||
	    memcmp(again.v, r->v, r->n * 8) != 0 ||
	    (enc == CHUNK_XOR2 && memcmp(again.st, r->st, r->n * 8) != 0))
		abort();
	run_free(&again);
	chunk_encoder_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run r = decode((struct chunk_part){ p, (uint32_t)n, CHUNK_XOR2 });
	round_trip(&r, CHUNK_XOR2);
	round_trip(&r, CHUNK_XOR);
	run_free(&r);
	return 0;
}
