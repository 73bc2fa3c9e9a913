/*
 * XOR chunks: never a crash; the one-pass decoder, and columns, agree; what decodes is encoded and
 * decoded to the same samples again.
 */
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void round_trip(const int64_t *t, const double *v, size_t n)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e;
	int64_t *t2 = malloc((n + 1) * sizeof *t2);
	double *v2 = malloc((n + 1) * sizeof *v2);
	chunk_encoder_begin(w, CHUNK_XOR);
	for (size_t i = 0; i < n; i++)
		if (chunk_encoder_float(w, t[i], v[i], &e) < 0)
			abort();
	struct chunk_part c = chunk_encoder_part(w);
	if (chunk_xor_decode(c.p, c.n, t2, v2, n, &e) != (int)n ||
	    memcmp(t, t2, n * sizeof *t) != 0 || memcmp(v, v2, n * sizeof *v) != 0)
		abort();
	free(t2);
	free(v2);
	chunk_encoder_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena a;
	struct err e;
	struct columns c;
	struct chunk_part part = { p, (uint32_t)n, CHUNK_XOR };
	size_t cap = chunk_count(part), at = 0;
	int64_t *t = malloc((cap + 1) * sizeof *t);
	double *v = malloc((cap + 1) * sizeof *v);
	int got = chunk_xor_decode(p, n, t, v, cap, &e), rc;
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	rc = chunk_decoder_reset(d, part, &e);
	while (rc >= 0 && (rc = chunk_decoder_next(d, &c, &e)) > 0) {
		if (got >= 0 && (memcmp(c.t_ms, t + at, c.n * sizeof *t) != 0 ||
				 memcmp(c.v, v + at, c.n * sizeof *v) != 0))
			abort();
		at += c.n;
	}
	if (got >= 0 && (rc != 0 || at != (size_t)got))
		abort();
	if (got > 0)
		round_trip(t, v, (size_t)got);
	free(t);
	free(v);
	arena_deinit(&a);
	return 0;
}
