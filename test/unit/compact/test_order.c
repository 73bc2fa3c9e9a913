#include "support/tst.h"

#include <stdlib.h>
#include <string.h>

#include "unit/compact/made.h"

/*
 * Which of four replicas each sample comes from, where their chunks have equal times and all values differ: as a real
 * Thanos took them from blocks of the same series and samples. The replicas' first times differ: where they are
 * equal Thanos takes blocks in the order of a map.
 */
#define INPUTS 4
static const struct {
	const char *series, *lacks; /* numbers of the replicas that have it not */
	size_t n;
	const char *one_to_one, *penalty; /* repeated to the end */
} rows[] = {
	{ "u", "", 7, "14", "3" },   { "v", "0", 7, "243", "3" },
	{ "w", "2", 7, "421", "1" }, { "x", "1", 100, "143", "3" },
	{ "y", "03", 7, "2", "2" },  { "z", "", 7, "23", "1" },
};

static void add_replica(struct world *w, int r)
{
	struct made_series s[1 + ARRAY_LEN(rows)];
	struct made_chunk *c = calloc(2 * ARRAY_LEN(s), sizeof(*c)), *next = c;
	size_t n = 0;
	char own[] = { 't', (char)('0' + r), '\0' };

	*next = (struct made_chunk){ .n = 1, .t = { (r + 1) * 1000 }, .v = { 1 } };
	s[n++] = (struct made_series){ str_of(own), next++, 1 };
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		if (strchr(rows[k].lacks, '0' + r))
			continue;
		s[n++] = (struct made_series){ str_of(rows[k].series), next,
					       (rows[k].n + 119) / 120 };
		for (size_t i = 0; i < rows[k].n; i++) {
			next->t[next->n] = 600000 + (int64_t)i * 15000;
			next->v[next->n++] = (r + 1) * 1000 + (double)i;
			next += next->n == 120 || i + 1 == rows[k].n;
		}
	}
	made_block(w, (r + 1) * 1000, 7200000, s, n);
	free(c);
}

static void check_row(struct world *w, const struct series_in *in, size_t k,
		      const char *want)
{
	size_t at = 0;

	cr_assert(str_eqz(in->labels.l[0].value, rows[k].series));
	for (size_t i = 0; i < in->n; i++) {
		int64_t t[200];
		double v[200];
		struct chunk_part p = in->chunks[i].part[AGGR_RAW];
		int n = chunk_xor_decode(p.p, p.n, t, v, 200, &w->f.e);
		cr_assert_gt(n, 0);
		for (int x = 0; x < n; x++, at++)
			cr_assert(v[x] == (want[at % strlen(want)] - '0') * 1000 +
						  (double)at,
				  "%s, sample %zu: %g", rows[k].series, at, v[x]);
	}
	cr_assert_eq(at, rows[k].n);
}

Test(compact_order, samples_are_those_that_thanos_keeps)
{
	static const int reverse[] = { 3, 2, 1, 0 };
	for (int mode = COMPACT_ONE_TO_ONE; mode <= COMPACT_PENALTY; mode++)
		for (int back = 0; back < 2; back++) {
			struct world w;
			struct series_set *set;
			const struct series_in *in;
			size_t k = 0;

			world_begin(&w);
			for (int r = 0; r < INPUTS; r++)
				add_replica(&w, back ? reverse[r] : r);
			w.o.overlap = mode;
			world_must_compact(&w);
			struct block *b = open_block(&w.f, w.out);
			cr_assert_eq(block_series(b, &w.f.ctx, &req_all, &set, &w.f.e),
				     0);
			while (series_set_next(set, &w.f.ctx, &in, &w.f.e) > 0)
				if (in->labels.l[0].value.n == 1) {
					check_row(&w, in, k,
						  mode == COMPACT_PENALTY
							  ? rows[k].penalty
							  : rows[k].one_to_one);
					k++;
				}
			cr_assert_eq(k, ARRAY_LEN(rows));
			series_set_close(set);
			block_unref(b);
			world_end(&w);
		}
}
