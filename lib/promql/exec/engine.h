/*
 * promql/exec/engine.h - evaluate a PromQL expression over a `struct store`.
 *
 * Logical plan -> vectorised, series-major operators (design §4): a batch is whole rows (series x
 * steps), max(1, 4096/steps) series. Only selectors wait (they pull series on the caller's or another
 * request thread); decoding, functions and partial aggregation of full batches run by par_for.
 * Semantics are Prometheus 3.x: left-open ranges and look-back, compensated sums.
 *
 * Thread  promql_exec is WORKER.  Memory  the answer lies in the given arena, charged to ctx->budget.
 */
#ifndef PROMQL_EXEC_ENGINE_H
#define PROMQL_EXEC_ENGINE_H

#include "model/hist.h"
#include "model/store.h"
#include "promql/parse/ast.h"
#include "task/task.h"

struct promql_query {
	struct str text;
	const struct expr *expr;
	int64_t start_ms, end_ms, step_ms; /* instant: start == end, step 0 */
	int64_t lookback_ms;		   /* 0: 5 min */
	int64_t subquery_step_ms;	   /* default step of subqueries; 0: 1 min */
	/* How to read the stores: */
	struct store *store;
	struct task_pool *pool;
	bool dedup;			  /* fold replicas */
	const struct str *replica_labels; /* sorted; removed from series when dedup */
	size_t n_replica_labels;
	int64_t max_resolution_ms;
	enum partial_strategy partial;
	struct shard_info shard;
	uint64_t max_samples; /* that Prometheus would hold at once; 0: no limit */
	uint32_t max_selects; /* selectors read at the same time; 0: 4 */
	/* Told of each series set that is opened (1) and closed (-1), on the thread that does it; NULL: not. */
	void (*on_select)(void *arg, int change);
	void *on_select_arg;
	/* Of all series that info() looks up: it has a selector of its own making. */
	const struct matcher *info_matchers;
	size_t n_info_matchers;
	bool delayed_names;    /* promql-delayed-name-removal */
	bool start_timestamps; /* use-start-timestamps: rates look at them */
	bool type_labels; /* type-and-unit-labels: what is a counter is told by __type__ */
	bool analyze;	  /* result.plan, with what each operator took */
	bool step_stats;  /* count samples by step too */
	/*
	 * Groups under topk that take more bytes are evaluated some steps at a time, of these at least; 0: SLICE_BYTES, SLICE_STEPS.
	 * See slices.h.
	 */
	size_t slice_bytes;
	uint32_t slice_steps;
};
/* An operator of the plan, for people and for `explain` and `analyze`. */
struct promql_plan {
	struct str name;  /* "[aggregate] sum by (job)" */
	uint64_t took_ns; /* its inputs' time is in it */
	uint64_t rows;
	uint64_t series, chunks, bytes, samples; /* of selectors: what was read */
	struct promql_plan *child, *next;	 /* first input; the parent's next one */
};
struct promql_series { /* one row of the answer */
	struct labels labels;
	uint32_t n;
	const int64_t *t_ms;
	const double *v;
	const struct hist *const
		*h; /* h[i] != NULL: a histogram instead of v[i]; NULL: floats only */
};
struct promql_result {
	enum value_type type; /* VECTOR (instant), MATRIX, SCALAR, STRING */
	struct promql_series
		*series; /* VECTOR: n = 1 each; SCALAR of an instant query: series[0] */
	size_t n;
	struct str string;
	int64_t t_ms;		/* of SCALAR and STRING */
	uint64_t samples_total; /* looked at: each window's anew at each step */
	uint64_t samples_read;	/* those only that the step before did not look at */
	uint64_t samples_peak;	/* that Prometheus would hold at the same time */
	const uint64_t *samples_by_step, *read_by_step; /* step_stats: one a step */
	uint32_t n_steps;
	uint64_t series_read, chunks_read,
		bytes_read;		       /* that selectors took from stores */
	uint64_t prepare_ns, eval_ns, sort_ns; /* requests sent; evaluated; sorted */
	struct promql_plan *plan;	       /* NULL unless it was asked for */
};
/*
 * Errors: E_EXEC with Prometheus' text (duplicates, many-to-many, ...), E_TIMEOUT, E_CANCELLED,
 * E_LIMIT, E_UNSUPPORTED for what no operator evaluates (none is known). Annotations go into
 * ctx->notes with Prometheus' texts.
 */
MUST_CHECK int promql_exec(struct ctx *ctx, struct arena *a, const struct promql_query *q,
			   struct promql_result *out, struct err *e);
/* The plan alone: nothing is read. CPU */
MUST_CHECK int promql_explain(struct ctx *ctx, struct arena *a,
			      const struct promql_query *q, struct promql_plan **out,
			      struct err *e);

#endif
