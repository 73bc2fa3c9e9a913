/*
 * promql/exec/hist_mean.h - the mean of native histograms, taken one by one: their compensated sum, divided at the end; once the
 * sum would overflow, the mean itself is carried on.
 */
#ifndef PROMQL_EXEC_HIST_MEAN_H
#define PROMQL_EXEC_HIST_MEAN_H

#include "model/hist_math.h"

/* Words of annotations, with what was done behind. */
#define HIST_RECONCILED_INFO   "mismatched custom buckets were reconciled during "
#define HIST_COLLISION_WARNING "conflicting counter resets during histogram "

struct hist_mean {
	struct hist_acc *acc;
	double n;
	bool carried; /* acc is the mean */
};
void hist_mean_init(struct hist_mean *m, struct hist_acc *acc, const struct hist *first);
unsigned hist_mean_add(struct hist_mean *m, const struct hist *h); /* HIST_... bits */
struct hist *hist_mean_take(struct hist_mean *m, bool compact);
void hist_mean_finish(struct hist_mean *m); /* the accumulator is the mean */

#endif
