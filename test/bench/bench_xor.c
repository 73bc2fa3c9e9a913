/*
 * test/bench/bench_xor.c - nanoseconds per sample of chunk_xor_decode on four kinds of series, each
 * 2000 chunks of 120 samples, so that branch predictors cannot learn the data by heart.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "tsdb/chunk/chunk.h"

#define CHUNKS 2000

static uint64_t seed = 1;
static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

enum kind { CONSTANT, REGULAR_COUNTER, JITTER_COUNTER, NOISY_GAUGE, KINDS };
static const char *const names[KINDS] = { "regular times, constant",
					  "regular times, counter",
					  "jittered times, counter",
					  "jittered times, noisy gauge" };

static double value(enum kind k, double last)
{
	if (k == CONSTANT)
		return 1;
	if (k == NOISY_GAUGE)
		return (double)(next_random() >> 20) / 1e6;
	return last + (double)(next_random() % 50);
}

static size_t make(enum kind k, struct chunk_encoder *w, struct chunk_part *out)
{
	struct err e = ERR_INIT;
	int64_t t = 1789977600000;
	double v = 100000;
	size_t bytes = 0;
	for (size_t c = 0; c < CHUNKS; c++) {
		chunk_encoder_begin(w, CHUNK_XOR);
		for (int i = 0; i < CHUNK_SAMPLES; i++) {
			int64_t jitter =
				k >= JITTER_COUNTER ? (int64_t)(next_random() % 80) : 0;
			v = value(k, v);
			if (chunk_encoder_float(w, t + jitter, v, &e) < 0)
				exit(1);
			t += 15000;
		}
		struct chunk_part p = chunk_encoder_part(w);
		uint8_t *copy = malloc(p.n);
		memcpy(copy, p.p, p.n);
		out[c] = (struct chunk_part){ copy, p.n, p.enc };
		bytes += p.n;
	}
	return bytes;
}

/* All chunks, one by one or CHUNK_WIDE at once. */
static bool decode_all(const struct chunk_part *c, bool lanes)
{
	static int64_t t[CHUNK_WIDE][CHUNK_SAMPLES];
	static double v[CHUNK_WIDE][CHUNK_SAMPLES];
	static uint8_t scratch[1 << 20];
	int64_t *tt[CHUNK_WIDE];
	double *vv[CHUNK_WIDE];
	struct err e = ERR_INIT;
	bool rise;
	for (size_t i = 0; i < CHUNK_WIDE; i++) {
		tt[i] = t[i];
		vv[i] = v[i];
	}
	for (size_t i = 0; i < CHUNKS; i += lanes ? CHUNK_WIDE : 1)
		if (lanes ? chunk_xor_decode_wide(c + i, scratch, tt, vv, &rise) != 0
			  : chunk_xor_decode(c[i].p, c[i].n, t[0], v[0], CHUNK_SAMPLES,
					     &e) < 0)
			return false;
	return true;
}

static double best_of(const struct chunk_part *c, bool lanes)
{
	uint64_t best = UINT64_MAX;
	for (int round = 0; round < 9; round++) {
		uint64_t from = time_mono_ns();
		if (!decode_all(c, lanes))
			exit(1);
		best = MIN(best, time_mono_ns() - from);
	}
	return (double)best / (CHUNKS * CHUNK_SAMPLES);
}

int main(void)
{
	static struct chunk_part chunks[CHUNKS];
	struct chunk_encoder *w = chunk_encoder_new();
	for (int k = 0; k < KINDS; k++) {
		size_t bytes = make((enum kind)k, w, chunks);
		printf("%-28s %5.2f ns a sample, %5.2f bytes a sample", names[k],
		       best_of(chunks, false), (double)bytes / (CHUNKS * CHUNK_SAMPLES));
		if (chunk_wide_usable())
			printf(", %5.2f ns sixteen at once", best_of(chunks, true));
		printf("\n");
		for (size_t c = 0; c < CHUNKS; c++)
			free((void *)(uintptr_t)chunks[c].p);
	}
	chunk_encoder_free(w);
	return 0;
}
