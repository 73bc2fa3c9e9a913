/*
 * downsample/hist_int.h - sums of histograms, for the passes that feed them.
 */
#ifndef DOWNSAMPLE_HIST_INT_H
#define DOWNSAMPLE_HIST_INT_H

#include "downsample/downsample_int.h"

/* What is to be summed up. */
struct hist_batch {
	size_t first, end; /* of d->s */
	int64_t resolution_ms, last_ms;
	int32_t schema;
	bool want_sum, want_counter;
	bool gauge; /* all windows become gauges */
};

struct hist_run {
	struct downsampler *d;
	struct hist_batch b;
	struct hist_work work;
	struct hist_acc counter, sum;
	size_t total, count;	 /* histograms of the batch; of the window */
	int64_t end_ms;		 /* of the window */
	unsigned turn;		 /* which scratch arena is this sample's */
	const struct hist *prev; /* brought to the schema */
	struct hist own;	 /* prev of a chunk's own layout, values in `vals` */
	double *vals;
	bool same,
		plain; /* prev has h's layout; no bucket reaches into the zero bucket */
	bool aligned;  /* and sums have it, too: columns are added */
};

void hist_run_begin(struct hist_run *r, struct downsampler *d, struct hist_batch b);
/*
 * fresh: the first one of its chunk in this batch. COMPAT: where those before it were left out, the chunk's word that there was
 * no reset since then is not about the chunk before; Thanos believes it all the same.
 */
void hist_run_add(struct hist_run *r, int64_t t, const struct hist *h, bool fresh);
/* End the window; afterwards d->counter and d->sum are complete. */
void hist_run_close(struct hist_run *r);

/* Three columns of windows that make AggrChunks: as much of each as is before the first that does not fit. */
struct hist_pieces {
	struct hist_windows counter, sum;
	const int64_t *count_t;
	const double *count;
	size_t n_count;
};

/* AggrChunks of all of it; p is used up. */
MUST_CHECK int hist_emit(struct downsampler *d, struct hist_pieces *p, struct views *to,
			 struct err *e);

#endif
