/*
 * Random blocks: label sets of odd texts, chunks of every encoding; and the same read back.
 */
#ifndef TEST_TSDB_WRITE_GEN_H
#define TEST_TSDB_WRITE_GEN_H

#include "unit/tsdb_write/world.h"

struct gen_rng {
	uint64_t s;
};
uint32_t gen_below(struct gen_rng *g, uint32_t n); /* [0, n) */

struct gen_opts {
	uint64_t seed;
	size_t series, chunks, samples; /* at most, each */
	bool newer, aggr;
};
struct gen_block {
	struct series_in *series; /* ascending, unique */
	size_t n;
	struct str *symbol; /* ascending, unique */
	size_t n_symbols;
	uint64_t samples, floats, hists, chunks;
};
void gen_block(struct world *w, const struct gen_opts *o, struct gen_block *out);
int gen_write(struct world *w, const struct gen_block *b,
	      const struct block_writer_opts *o, const struct write_limits *l,
	      struct block_writer_stats *stats);
/* Ordinals of labels, in w->a. */
const uint32_t *gen_ordinals(struct world *w, const struct gen_block *b,
			     const struct labels *l);
/* Opens <w->dir>/<id> and asserts that it shows exactly b. */
void gen_check(struct world *w, const struct gen_block *b, const char *id);

#endif
