/*
 * metrics/metrics_int.h - the registry's inside, for the files of this module.
 */
#ifndef METRICS_METRICS_INT_H
#define METRICS_METRICS_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "metrics/metrics.h"

#define METRIC_DEFAULT_CELLS   1000
#define METRIC_MAX_VALUE_BYTES 1024 /* a longer label value is cut */

typedef double metric_fn(void *arg);

struct metric_family {
	struct metric_registry *r;
	struct metric_family *next;	/* in the registry's list */
	const struct metric_desc *desc; /* of whoever registered it first */
	uint32_t n_labels;
	/* guarded by metric_registry.mu */
	struct metric **cells; /* ascending by label values */
	size_t n, cap;
	struct metric *other; /* takes what is beyond max_cells; NULL until then */
};

struct metric {
	struct metric_family *f;
	enum metric_kind kind;
	_Atomic uint64_t
		whole; /* COUNTER: what was added in whole numbers; SUMMARY: how many */
	_Atomic uint64_t
		bits; /* a double: GAUGE value, rest of a COUNTER, sum of the others */
	_Atomic(metric_fn *) fn; /* set under metric_registry.mu, after arg */
	void *arg;
	struct metric_summary *summary;	      /* SUMMARY */
	struct str values[METRIC_MAX_LABELS]; /* behind the buckets */
	_Atomic uint64_t bucket[]; /* HISTOGRAM: n_bounds + 1, not cumulative */
};

/* A name under which a family is shown: its own or its alias. */
struct metric_shown {
	const char *name;
	struct metric_family *f;
};

struct metric_set {
	struct metric_registry *r;
	uint32_t n;
	struct metric_set *next;
	struct metric_family *families[];
};

#define METRIC_MAX_REFRESH 4

struct metric_registry {
	pthread_mutex_t mu;	    /* guards all below and every family's cells */
	struct metric_shown *shown; /* ascending by name */
	size_t n, cap;
	struct metric_family *families;
	struct metric_set *sets;
	struct {
		void (*fn)(void *arg); /* called before exposition, lock not held */
		void *arg;
		void (*free)(void *arg);
	} refresh[METRIC_MAX_REFRESH];
	size_t n_refresh;
};

void metric_on_refresh(struct metric_registry *r, void (*fn)(void *), void *arg,
		       void (*free_arg)(void *));
/* Set a counter that mirrors one the kernel keeps. */
void metric_mirror(struct metric *c, double v);
/* summary.c: quantiles of a window that slides; NaN: nothing came in it. */
struct metric_summary *metric_summary_new(void);
void metric_summary_free(struct metric_summary *s);
void metric_summary_add(struct metric_summary *s, double v, uint64_t now_ns);
double metric_summary_quantile(struct metric_summary *s, double q, uint64_t now_ns);
/* Sum of a histogram or summary; of other kinds the part kept as a double. */
double metric_sum(const struct metric *c);
/* As Go's 'g' with shortest digits; returns the length. out holds 32 bytes. */
size_t metric_format_f64(char out[32], double v);

#endif
