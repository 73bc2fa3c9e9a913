/*
 * promql/exec/select_int.h - what a selector asks the store for, shared by the select operator and by
 * instant queries whose result is a matrix.
 */
#ifndef PROMQL_EXEC_SELECT_INT_H
#define PROMQL_EXEC_SELECT_INT_H

#include "promql/exec/exec_int.h"

struct select_spec {
	const struct expr *sel, *call;
	int64_t mint_ms, maxt_ms; /* inclusive: what any step looks at */
	enum sample_aggr want;
	struct store_series_req req;
};
/* Also fills the window of a range_call: range_ms is the look-back for instant selectors. */
void select_spec_init(struct exec *x, const struct expr *sel, const struct expr *call,
		      struct grid g, struct select_spec *out, struct range_call *window);
/*
 * An info that says which resolutions downsampled chunks of the series have, and what of them is looked at. *said: bits of
 * those told already, 1: 5m, 2: 1h.
 */
void select_note_downsampled(struct exec *x, const struct select_spec *spec,
			     const struct series_in *in, unsigned *said);
/* The times that steps of its window look at, which is all that depends on the grid. */
void select_spec_times(struct select_spec *s, const struct range_call *window);
/* Which aggregate of downsampled data a function or aggregation around a selector looks at. */
enum sample_aggr select_want(const struct expr *call);
int select_open(struct exec *x, const struct select_spec *spec, struct series_set **out,
		struct err *e);
/*
 * A series that was taken from the stores, for the statistics of the query and of one operator (NULL: none). Returns the bytes of
 * its chunks, which select_copy needs to copy them to `a`.
 */
size_t select_count(struct exec *x, struct op_read *of, const struct series_in *in);
MUST_CHECK int select_copy(struct exec *x, struct arena *a, const struct series_in *in,
			   size_t bytes, struct chunk_view **out, struct err *e);
/* One metric name is fixed by an equality matcher: dropping it cannot make two series equal. */
bool select_one_name(const struct expr *sel);
size_t select_drop_stale(struct sample_cols *c);
/* Histograms with count, sum and what they say of resets only; they lie in a. select_stats.c */
MUST_CHECK int select_stats(struct exec *x, const struct range_call *c, struct arena *a,
			    struct sample_cols *s, struct err *e);
/*
 * All samples of a series that `set` showed. Damaged chunks are left out with a warning that names their store, or (without
 * partial response) are an error that does. Sorts the chunks. CPU or WORKER; nobody moves the set on meanwhile.
 */
MUST_CHECK int select_decode(struct exec *x, const struct select_spec *spec,
			     const struct series_set *set, struct labels labels,
			     struct chunk_view *chunks, size_t n, struct arena *a,
			     struct sample_cols *c, struct err *e);

/*
 * All series of a selector, one after another, with all samples that any step of `g` looks at: for whatever is no select
 * operator. `window` is what the steps look at. Columns and their histograms lie in `scratch` until the next one. WORKER
 */
struct select_each {
	const struct expr *sel;
	struct grid g;
	struct str func;    /* for the stores' hints; may be empty */
	struct op_read *of; /* where it is counted beside the query; may be NULL */
	int (*take)(void *arg, struct exec *x, const struct range_call *window,
		    struct labels labels, struct sample_cols *c, struct arena *scratch,
		    struct err *e);
	void *arg;
};
MUST_CHECK int select_each(struct exec *x, const struct select_each *s, struct err *e);

/* The matchers of a selector that is planned now: its own and those that are pushed to it. */
struct matcher *pushed_with(struct exec *x, const struct select_node *s, size_t *n);
void pushed_print(const struct pushed *p, struct buf *b);
/*
 * select_among.c - selectors that are the same but for what they ask of labels.
 *
 * A filter takes from the series of a selector those that a narrower one would select.
 */
#define SELECT_FILTERS 8 /* of one selector, and readers behind them */
struct select_filter {
	const struct matcher **m;
	size_t n;
	uint32_t bit;	  /* in row.among */
	uint32_t readers; /* aggregations that take what passes */
	/* Of the narrower selector, whose rows and windows are counted as well; NULL: they are not. */
	struct held *held, *windows;
	/* Of the last of those selectors: what annotations of its series name, and where they point. */
	const struct expr *in, *call, *at;
	struct select_filter *now; /* where it went, when its selector was taken over */
};
/* What the operator reads, and `input`, are written alike. */
bool select_same_text(const struct op *sel, const struct expr *input);
/* Both are selectors, or the same function of selectors with the same constants, that differ in their matchers at most. */
bool select_alike(const struct expr *a, const struct expr *b);
/* The selector of such an expression. */
const struct expr *select_within(const struct expr *e);
/* The matchers of selector `a` that `b` has not, on the arena. */
size_t select_beyond(struct exec *x, const struct expr *a, const struct expr *b,
		     const struct matcher ***out);
/* The labels that a series leaves its store with tell whether it matches. */
bool select_can_filter(const struct exec *x, const struct expr *general,
		       const struct matcher *const *m, size_t n);
bool select_filter_is(const struct select_filter *f, const struct matcher *const *m,
		      size_t n);
/* All of them are asked for, too. */
void select_filter_add(struct exec *x, struct select_filter *f,
		       const struct matcher *const *m, size_t n);
bool select_filter_passes(const struct select_filter *f, struct labels ls);
void select_filter_print(const struct select_filter *f, struct buf *b);

/* For explain: which labels leave it, if not all do. */
void op_select_print_needs(const struct op *op, struct buf *b);

/* By labels. */
int result_sort(struct exec *x, struct promql_result *out, struct err *e);
/* Instant query of a range selector or subquery: raw samples into the result. matrix.c */
int matrix_exec(struct exec *x, const struct expr *ex, struct promql_result *out,
		struct err *e);

#endif
