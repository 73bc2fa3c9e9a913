/*
 * Chunks of one series, whatever they hold, downsampled: what comes out ascends and can be decoded, sums of counts agree.
 *
 *   byte: 0 to 5m, else to 1h; then chunks: byte encoding | u16 LE length | u32 LE milliseconds it takes | data
 */
#include <math.h>
#include <stdlib.h>

#include "downsample/downsample.h"
#include "tsdb/chunk/chunk.h"

#define CHUNKS_MAX 64

static double check_part(struct arena *a, struct chunk_part p)
{
	struct chunk_decoder *d = chunk_decoder_new(a);
	struct columns c;
	struct err e = ERR_INIT;
	double sum = 0;
	int rc = chunk_decoder_reset(d, p, &e);
	while (rc == 0 && (rc = chunk_decoder_next(d, &c, &e)) > 0) {
		for (size_t i = 0; c.v && i < c.n; i++)
			sum += c.v[i];
		rc = 0;
	}
	if (rc < 0)
		abort();
	return sum;
}

static void check(const struct downsampler *d, const struct chunk_view *c, size_t n)
{
	struct arena a;
	double sum = 0, want = downsampler_tally(d).samples;
	arena_init(&a, NULL);
	for (size_t i = 0; i < n; i++) {
		if (c[i].mint_ms > c[i].maxt_ms ||
		    (i > 0 && c[i].mint_ms <= c[i - 1].maxt_ms))
			abort();
		for (int k = AGGR_COUNT; k < AGGR_N; k++) {
			double s = c[i].part[k].p ? check_part(&a, c[i].part[k]) : 0;
			sum += k == AGGR_COUNT ? s : 0;
		}
	}
	if (isfinite(want) && fabs(want) < 1e15 &&
	    fabs(sum - want) > 1e-3 * fabs(want) + 1)
		abort();
	arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct downsampler *d;
	struct chunk_view in[CHUNKS_MAX] = { 0 };
	const struct chunk_view *out;
	struct err e = ERR_INIT;
	size_t n_in = 0, n_out;
	int64_t t = 0;
	if (!d)
		d = downsampler_new();
	if (n < 1)
		return 0;
	int64_t resolution = p[0] ? DOWNSAMPLE_1H : DOWNSAMPLE_5M;
	for (p++, n--; n >= 7 && n_in < CHUNKS_MAX;) {
		uint32_t len = (uint32_t)p[1] | (uint32_t)p[2] << 8, ms;
		struct chunk_view *c = &in[n_in];
		uint8_t enc = p[0];
		memcpy(&ms, p + 3, 4);
		p += 7;
		n -= 7;
		len = (uint32_t)MIN(len, n);
		c->mint_ms = t;
		c->maxt_ms = t + ms;
		t += (int64_t)ms + 1;
		if (enc != CHUNK_AGGR) {
			c->part[AGGR_RAW] = (struct chunk_part){ p, len, enc };
			n_in++;
		} else if (chunk_aggr_split(p, len, c, &e) == 0) {
			n_in++;
		}
		p += len;
		n -= len;
	}
	if (downsample_series(d, in, n_in, resolution, &out, &n_out, &e) == 0)
		check(d, out, n_out);
	return 0;
}
