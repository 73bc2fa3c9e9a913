/*
 * Histogram chunks, integer and float, without and with start timestamps (the first byte chooses), and aggregate
 * chunks: never a crash;
 * histograms that decode have sane layouts, and can be shown and offered to the encoder.
 */
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void use(const struct hist *h, struct buf *json)
{
	struct err e;
	if (hist_validate_layout(h, &e) < 0)
		abort();
	buf_reset(json);
	hist_write_json(h, json);
}

static void decode(struct chunk_part part)
{
	struct arena a;
	struct err e;
	struct columns c;
	struct buf json;
	struct chunk_encoder *w = chunk_encoder_new();
	buf_init(&json, 1 << 16);
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	int rc = chunk_decoder_reset(d, part, &e), samples = 0;
	chunk_encoder_begin(w, (enum chunk_enc)part.enc);
	while (rc >= 0 && samples < 300 && (rc = chunk_decoder_next(d, &c, &e)) > 0) {
		for (size_t i = 0; i < c.n; i++) {
			use(c.h[i], &json);
			chunk_encoder_start(w, c.st_ms ? c.st_ms[i] : 0);
			if (chunk_encoder_hist(w, c.t_ms[i], c.h[i], &e) != 0)
				chunk_encoder_next(w, (enum chunk_enc)part.enc);
		}
		samples += (int)c.n;
	}
	buf_deinit(&json);
	chunk_encoder_free(w);
	arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct chunk_view v;
	struct err e;
	if (n == 0)
		return 0;
	struct chunk_part part = { p + 1, (uint32_t)n - 1,
				   p[0] & 4
					   ? p[0] & 1 ? CHUNK_FLOATHIST_ST : CHUNK_HIST_ST
				   : p[0] & 1 ? CHUNK_FLOATHIST
					      : CHUNK_HIST };
	if (!(p[0] & 2)) {
		decode(part);
	} else if (chunk_aggr_split(p + 1, n - 1, &v, &e) == 0) {
		for (int i = 1; i < AGGR_N; i++)
			if (v.part[i].p && v.part[i].enc != CHUNK_XOR &&
			    v.part[i].enc <= CHUNK_FLOATHIST)
				decode(v.part[i]);
	}
	return 0;
}
