/*
 * promql/exec/order_stat.h - the i-th smallest of a set of samples that come and go: quantiles over sliding windows.
 *
 * All values of a series are ranked once. The present set is a bitmap over the ranks with counts a word group, so
 * that coming and going cost three additions, and finding a rank a short walk, however large the window is.
 *
 *   groups  one count a 4096 ranks
 *   blocks  one count a 512 ranks
 *   words   a bit a rank
 *
 * NaN ranks below all numbers, as Prometheus sorts it.
 */
#ifndef PROMQL_EXEC_ORDER_STAT_H
#define PROMQL_EXEC_ORDER_STAT_H

#include "promql/exec/floats.h"

struct order_stat {
	uint32_t *rank;	 /* of each sample */
	double *by_rank; /* the values, sorted */
	uint64_t *words;
	uint16_t *blocks;
	uint32_t *groups;
	size_t size; /* samples in the set */
};
int order_init(struct order_stat *o, const double *v, size_t n, struct range_env *env);
double order_at(const struct order_stat *o, size_t i); /* i < size */

static inline void order_add(struct order_stat *o, size_t sample)
{
	uint32_t r = o->rank[sample];
	o->words[r >> 6] |= 1ull << (r & 63);
	o->blocks[r >> 9]++;
	o->groups[r >> 12]++;
	o->size++;
}

static inline void order_remove(struct order_stat *o, size_t sample)
{
	uint32_t r = o->rank[sample];
	o->words[r >> 6] &= ~(1ull << (r & 63));
	o->blocks[r >> 9]--;
	o->groups[r >> 12]--;
	o->size--;
}

#endif
