/*
 * Downsampling as one would write it on paper: a sample at a time, no columns, no chunks' bytes. Histograms are arrays of buckets;
 * their counts must be whole numbers, since the order of additions is not that of the module.
 */
#ifndef TEST_DOWNSAMPLE_MODEL_H
#define TEST_DOWNSAMPLE_MODEL_H

#include "base/arena.h"
#include "model/chunk.h"
#include "model/hist.h"

#define M_BUCKETS 256 /* from index -M_BUCKETS / 2 on */
struct mhist {
	int schema;
	bool gauge, not_reset; /* hints, as a decoder shows them */
	double zero, count, sum, pos[M_BUCKETS], neg[M_BUCKETS];
};
struct msample {
	int64_t t;
	double v;
	const struct mhist *h;
	size_t chunk; /* that it is in */
};
struct mlist {
	struct msample *v;
	size_t n, cap;
};
struct mchunk {
	struct mlist aggr[AGGR_N];
	int64_t mint, maxt;
	bool hist, gauge;
};
struct mchunks {
	struct mchunk *v;
	size_t n, cap;
};

void mlist_add(struct arena *a, struct mlist *l, struct msample s);
struct mhist *mhist_of(struct arena *a, const struct hist *h);
bool mhist_eq(const struct mhist *x, const struct mhist *y); /* hints apart */
/* All samples of one run of chunks of one kind, as they are stored. */
void model_raw(struct arena *a, const struct mlist *in, int64_t resolution,
	       struct mchunks *out);
void model_aggr(struct arena *a, const struct mchunk *in, size_t n, int64_t resolution,
		struct mchunks *out);

#endif
