/*
 * model/hist.h - native histograms as float histograms with spans, and their algebra.
 *
 * Buckets lie in spans {offset, length}: the first offset is the index of its first bucket, later
 * ones count the gap. Counts are absolute floats (integer histograms are converted on decoding).
 * Schema -4..8 exponential (base 2^(2^-schema)), -53 custom bounds (positive buckets only).
 * Source  prometheus.md §1.5, §2.6.  Thread  CPU
 */
#ifndef MODEL_HIST_H
#define MODEL_HIST_H

#include "base/arena.h"
#include "base/buf.h"

#define HIST_CUSTOM (-53)
enum hist_hint { HIST_UNKNOWN, HIST_RESET, HIST_NOT_RESET, HIST_GAUGE };
struct hist_span {
	int32_t offset;
	uint32_t length;
};
struct hist {
	int32_t schema;
	uint8_t hint; /* enum hist_hint */
	bool is_int;  /* decoded from an integer histogram chunk */
	double zero_threshold, zero_count, count, sum;
	const struct hist_span *pos_spans, *neg_spans;
	const double *pos, *neg; /* absolute counts, pos_n and neg_n of them */
	uint32_t n_pos_spans, n_neg_spans, n_pos, n_neg;
	const double *bounds; /* custom: n_bounds upper bounds, ascending */
	uint32_t n_bounds;
};
struct hist *hist_dup(struct arena *a, const struct hist *h);
bool hist_is_stale(const struct hist *h);
bool hist_eq(const struct hist *a,
	     const struct hist *b); /* bits, layout modulo empty spans */
/* Spans and counts agree, spans are sane, counts not negative; E_CORRUPT otherwise. */
MUST_CHECK int hist_validate(const struct hist *h, struct err *e);
/* The same for spans, schema and bounds only: counts are not looked at (pos and neg may be NULL). */
MUST_CHECK int hist_validate_layout(const struct hist *h, struct err *e);

/* Buckets in rising order of value with their limits, empty ones skipped unless `all`. */
struct hist_bucket {
	double lower, upper, count;
	bool lower_incl, upper_incl;
	int32_t index;
};
struct hist_iter {
	const struct hist *h;
	int side; /* -1 negative, 0 zero, 1 positive, 2 done */
	uint32_t span, in_span, i;
	int32_t index;
};
void hist_iter_init(struct hist_iter *it, const struct hist *h);
bool hist_iter_next(struct hist_iter *it,
		    struct hist_bucket *b); /* all buckets, empty ones too */
double hist_bound(int32_t index,
		  int32_t schema); /* upper bound of exponential bucket `index` */
/* Limits of bucket `index` of a side, as they are without a zero bucket; b->count stays. */
void hist_limits(const struct hist *h, bool positive, int32_t index,
		 struct hist_bucket *b);

/* Prometheus' API JSON: {"count":"..","sum":"..","buckets":[[boundary,"l","u","c"],...]} */
void hist_write_json(const struct hist *h, struct buf *out);
/* "{count:4, sum:2.5, (1,2]:4}", as labels show a histogram. */
void hist_text(const struct hist *h, struct buf *out);
/* "{{count:4 sum:2.5 offset:1 buckets:[4]}}", as Prometheus' test scripts write one. */
void hist_write_expr(const struct hist *h, struct buf *out);

#endif
