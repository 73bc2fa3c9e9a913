/*
 * Random series for tests of range functions, and their evaluation in a query of its own.
 */
#ifndef TEST_PROMQL_EXEC_SERIES_H
#define TEST_PROMQL_EXEC_SERIES_H

#include "promql/exec/floats.h"

#define SERIES_MAX 400
#define STEPS_MAX  300

/* What a series is like. */
#define SERIES_NAN    1u
#define SERIES_HISTS  2u /* some samples are histograms */
#define SERIES_STARTS 4u
#define SERIES_SMALL  8u  /* few different values */
#define SERIES_FALLS  16u /* a counter that often restarts */
#define SERIES_HUGE   32u /* sums of which are infinite */

struct rand_series {
	int64_t t[SERIES_MAX], st[SERIES_MAX];
	double v[SERIES_MAX];
	const struct hist *h[SERIES_MAX];
	struct series_cols cols;
};
void series_seed(uint64_t seed);
uint64_t series_random(uint64_t n); /* 0..n-1 */
void series_make(struct rand_series *s, unsigned like);
/* A grid, range and offset that fit the series in various ways. */
struct range_call call_make(void);

struct answer {
	double v[STEPS_MAX];
	uint64_t bits[BITS_WORDS(STEPS_MAX)];
	size_t n_warnings, n_infos;
	struct str warning, info; /* the first ones */
	uint64_t samples;
	struct err err;
	struct arena arena;
};
/* Evaluate fn, or eval if it is not NULL. Returns what the function returns. answer_free afterwards. */
int answer_of(struct answer *a, const struct range_call *c, const struct series_cols *s,
	      enum fn_id fn,
	      int (*eval)(const struct range_call *, const struct series_cols *,
			  struct range_env *, struct row *));
void answer_free(struct answer *a);

/* The floats of the window (from, to], plainly; n is how many, *hists how many others were inside. */
size_t plain_window(const struct series_cols *s, int64_t from, int64_t to, double *v,
		    int64_t *t, size_t *hists);
/* Bits, but for which NaN it is. */
bool same_bits(double a, double b);

#endif
