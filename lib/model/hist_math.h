/*
 * model/hist_math.h - native histograms added, scaled, trimmed and asked.
 *
 * Sums are made in a hist_acc, which knows its buckets by index: adding a histogram of the layout it already has touches counts
 * only. Results are shown as a struct hist by hist_acc_take. Every operation is the one Prometheus does, in its order: bits agree.
 *
 * Thread  CPU; accumulators of one hist_work belong to one thread.  Memory  the arena of the work; what an accumulator outgrows
 * stays there, so it at most doubles.
 * Source  prometheus.md §2.6
 */
#ifndef MODEL_HIST_MATH_H
#define MODEL_HIST_MATH_H

#include "model/hist.h"

/* The buckets of one side, indices ascending; c is what a compensated sum has lost. */
struct hist_side {
	int32_t *index;
	double *v, *c;
	uint32_t n, cap;
};
/* What several accumulators of one thread share. */
struct hist_work {
	struct arena *arena;
	struct hist_side pos, neg;
};
struct hist_acc {
	struct hist_work *work;
	int32_t schema;
	uint8_t hint;
	bool compensated; /* the c and *_c count */
	double zero_threshold, zero_count, zero_c, count, count_c, sum, sum_c;
	struct hist_side pos, neg;
	const double *bounds; /* in the arena */
	uint32_t n_bounds;
};

/* What an addition met. */
#define HIST_INCOMPATIBLE 1u /* exponential and custom buckets: nothing was changed */
#define HIST_COLLISION	  2u /* one says there was a reset, the other that there was none */
#define HIST_RECONCILED	  4u /* other custom bounds: only those that both have are left */

void hist_work_init(struct hist_work *w, struct arena *a);
void hist_acc_init(struct hist_acc *x, struct hist_work *w); /* empty, schema 0 */
void hist_acc_set(struct hist_acc *x, const struct hist *h);
void hist_acc_copy(struct hist_acc *to, const struct hist_acc *x); /* to is made by it */
/* Fewer and wider buckets; `schema` is at most the one it has. */
void hist_acc_reduce(struct hist_acc *x, int32_t schema);
unsigned hist_acc_add(struct hist_acc *x, const struct hist *h);
unsigned hist_acc_sub(struct hist_acc *x, const struct hist *h);
unsigned hist_acc_add_compensated(struct hist_acc *x, const struct hist *h);
void hist_acc_fold(struct hist_acc *x); /* add in what was lost */
void hist_acc_mul(struct hist_acc *x, double f);
void hist_acc_div(struct hist_acc *x, double f); /* by 0: no bucket is left */
/* Is anything infinite? */
bool hist_acc_overflows(const struct hist_acc *x);
/* Are all its numbers so small that a sum of it and others like it cannot overflow? */
bool hist_is_small(const struct hist *h);
bool hist_acc_is_small(const struct hist_acc *x);
/* Keep what lies below (upper) or above `at`: whole buckets, and a share of the one that holds it. */
void hist_acc_trim(struct hist_acc *x, double at, bool upper);
/* In the arena of the work; x may be changed afterwards. compact: without empty buckets. */
struct hist *hist_acc_take(const struct hist_acc *x, bool compact);

/* Was the counter reset between `prev` and `h`? The hint of h decides if it says so, else what has become less. */
bool hist_detect_reset(const struct hist *h, const struct hist *prev);

/* What a question met. */
#define HIST_NAN_RESULT	  1u /* quantile: it lies among observations that are no numbers */
#define HIST_NAN_SKEW	  2u /* quantile: there are such, counted as the highest */
#define HIST_NAN_EXCLUDED 4u /* fraction: there are such, in no fraction */

double hist_quantile(const struct hist *h, double q, unsigned *notes);
double hist_fraction(const struct hist *h, double lower, double upper, unsigned *notes);
double hist_stdvar(const struct hist *h);

#endif
