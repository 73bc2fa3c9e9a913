/*
 * promql/exec/exec_int.h - the frame of the engine: grids, rows, batches, operators.
 *
 * Every operator declares at plan time the grid on which its rows are evaluated. A row is one series
 * over the whole grid: values, a presence bitmap, and histogram pointers where there are histograms.
 * Rows travel in batches; a batch and all it points to are valid until the next call of next or close
 * on the same operator, and the consumer may change the rows in place.
 *
 * Two rows of one operator may carry equal labels if no step is present in both: the collector (and every
 * holistic operator) merges them; a step present in both is the error "duplicate", found there.
 */
#ifndef PROMQL_EXEC_EXEC_INT_H
#define PROMQL_EXEC_EXEC_INT_H

#include "base/map.h"
#include "dedup/dedup.h"
#include "promql/exec/engine.h"

struct grid {
	int64_t start_ms, step_ms;
	uint32_t n;
};
static inline int64_t grid_at(struct grid g, uint32_t i)
{
	return g.start_ms + (int64_t)i * g.step_ms;
}

struct row {
	struct labels labels;
	double *v;
	const struct hist **h; /* NULL: floats only */
	uint64_t *bits;	       /* presence, (n + 63) / 64 words */
	bool drop_name; /* the metric name goes at the end of the query: see row_drop_name */
	uint32_t
		among; /* of a selector that feeds several: bits of those filters that let it pass */
};
#define BITS_WORDS(n) (((size_t)(n) + 63) / 64)
static inline bool bit_get(const uint64_t *b, uint32_t i)
{
	return b[i >> 6] >> (i & 63) & 1;
}
static inline void bit_set(uint64_t *b, uint32_t i)
{
	b[i >> 6] |= 1ull << (i & 63);
}
static inline void bit_clear(uint64_t *b, uint32_t i)
{
	b[i >> 6] &= ~(1ull << (i & 63));
}
bool bits_any(const uint64_t *b, uint32_t n);
void bits_fill(uint64_t *b, uint32_t n); /* all n present */
#define EACH_BIT(i, bits, n)                                                             \
	for (uint32_t i = bits_next((bits), 0, (n)); i < (n);                            \
	     i = bits_next((bits), i + 1, (n)))
uint32_t bits_search(const uint64_t *b, uint32_t from, uint32_t n);
static inline uint32_t bits_next(const uint64_t *b, uint32_t from,
				 uint32_t n) /* n: none left */
{
	return from < n && bit_get(b, from) ? from : bits_search(b, from, n);
}

struct batch {
	struct row *row;
	size_t n;
};

/* What a selector took from stores. */
struct op_read {
	uint64_t series, chunks, bytes;
};
/* What is common to all operators of one query. */
struct anno;
struct forced_note;	    /* histq_notes.c */
struct annos {		    /* anno.c; any thread may say something */
	pthread_mutex_t mu; /* all below */
	struct anno *v;
	size_t n, cap, bytes;
	struct map seen; /* kind and text -> entry + 1 */
	struct forced_note *forced;
};
struct exec {
	struct ctx *ctx;
	const struct promql_query *q;
	struct arena *arena; /* request arena: plan, held rows, output */
	struct op **ops;     /* all, for closing */
	size_t n_ops, cap_ops;
	uint32_t selects_open;
	uint32_t
		expanded; /* planned is what does not depend on the step, on a grid of one */
	struct annos annos;
	const struct pushed *pushed; /* while planning: push_matchers.c */
	/* While planning: how many operators around want count and sum only, and how many look at buckets. */
	uint32_t in_stats, in_buckets;
	struct op_read read;	  /* by all selectors; their own threads' */
	struct op *root, *failed; /* the innermost one that returned an error */
	uint64_t started_ns;
	const int64_t *grid_t; /* times of the root's grid: what full rows share */
	struct sample_count
		*count; /* where the operators planned now count their samples */
	struct sample_count *counts; /* all, the youngest first */
	struct held *held;	     /* held.c: samples that Prometheus would hold */
	struct map64 held_by_expr;
	uint64_t held_cost, held_news; /* of a look at all of it; counted since */
	bool held_over;		       /* they are more than max_samples */
	struct start_overlap *_Atomic overlaps; /* fn_start.c: told at the end */
};

/*
 * Samples that a part of the plan looked at, as Prometheus counts them (samples.c). A part that is evaluated once for
 * all steps counts for each of them; a subquery's own are not counted, but those that the function over it looks at.
 */
struct sample_count {
	struct sample_count *parent, *older; /* older: list of all */
	uint64_t n, read;		     /* read: not looked at by the step before */
	uint64_t *by_step,
		*read_by_step; /* `steps` of them; NULL: only the sum is wanted */
	uint32_t steps;
	bool once;		      /* evaluated once for all steps of the parent */
	const struct range_call *sub; /* of a subquery: the call over it */
	struct grid grid;	      /* of a subquery */
};
/* Operators planned until samples_leave count for themselves. */
int samples_enter(struct exec *x, bool once, uint32_t steps, struct err *e);
/* The same for what a subquery evaluates; `call` lives as long as the query. */
int samples_enter_subquery(struct exec *x, struct grid inner,
			   const struct range_call *call, struct err *e);
void samples_leave(struct exec *x);
/* Everything is folded into the outermost; NULL: nothing was planned. */
const struct sample_count *samples_total(struct exec *x);
/* How many samples of 16 bytes a histogram takes, as a point of a series and as one of an instant vector. */
static inline uint64_t hist_bytes(const struct hist *h)
{
	return 168 + 8 * ((uint64_t)h->n_pos_spans + h->n_neg_spans + h->n_pos +
			  h->n_neg + h->n_bounds);
}
static inline uint64_t hist_samples(const struct hist *h)
{
	return (hist_bytes(h) + 8) / 16;
}
static inline uint64_t hist_samples_in_vector(const struct hist *h)
{
	return 1 + hist_bytes(h) / 16;
}

struct op;
struct op_ops {
	const char *name;
	/* Start reading as early as possible (send requests), without waiting for answers. */
	int (*prepare)(struct op *op, struct exec *x, struct err *e);
	int (*next)(struct op *op, struct exec *x, struct batch **out,
		    struct err *e); /* 1 0 -1 */
	void (*close)(struct op *op);
};
struct op {
	const struct op_ops *ops;
	struct grid grid;
	enum value_type
		type;  /* SCALAR: exactly one row without labels, every step present */
	bool unique;   /* no two rows can carry equal labels */
	bool nameless; /* no row carries a metric name */
	const struct expr *expr;
	struct op *in[2];
	struct op *along; /* reads no input: this one feeds it, too */
	struct select_filter
		*only;	   /* takes those rows of its selector alone; NULL: all */
	struct held *held; /* whose result its rows are; NULL: not counted */
	bool part; /* rows are of some of the planned steps: of `grid`, whose first one is step `from` of them (slices.h) */
	uint32_t from;
	/* for explain and analyze */
	struct op *up; /* whose input it is; NULL: the root */
	bool planned;  /* the answer of a plan_expr */
	bool wrapper;  /* does something about in[0]'s rows, for the same expression */
	uint64_t took_ns, rows;
	struct op_read read;
	_Atomic uint64_t samples;
};

/* Make a row on the request arena or another; all absent. E_LIMIT. */
int row_new(struct exec *x, struct arena *a, uint32_t n, bool hists, struct row *out,
	    struct err *e);
int row_copy(struct exec *x, struct arena *a, uint32_t n, const struct row *from,
	     struct row *out, struct err *e);
/*
 * A row that stays for the query, on the request arena, and is only read: those that have one value at all their steps (infos are
 * always 1, limits hardly change) share its column, by value in `columns`.
 */
int row_hold(struct exec *x, struct map64 *columns, uint32_t n, const struct row *from,
	     struct row *out, struct err *e);
int row_want_hists(struct exec *x, struct arena *a, uint32_t n, struct row *r,
		   struct err *e);

/* plan.c: build the operator of an expression on a grid; recorded in x->ops. */
int plan_expr(struct exec *x, const struct expr *e, struct grid g, struct op **out,
	      struct err *err);
void *op_alloc(struct exec *x, size_t size, const struct op_ops *ops, struct grid g,
	       enum value_type type, const struct expr *e);
/* explain.c: the operators as a tree, from the root down. */
void plan_print(const struct op *op, struct buf *b); /* what it evaluates */
int plan_show(struct exec *x, struct op *root, struct promql_plan **out, struct err *e);
/* push_matchers.c: matchers that a join asks the selectors of a side for; of outer joins, too. */
struct pushed {
	const struct matcher *m;
	const struct pushed *next;
};
/* What is asked of the selectors of the two sides of `bin`. */
void push_matchers(struct exec *x, const struct expr *bin, const struct pushed **l,
		   const struct pushed **r);
int unsupported(struct exec *x, struct err *e, const char *what, const char *name);
/* The next batch; ends with the query. Timed if the query is analyzed. WORKER */
int op_next(struct op *op, struct exec *x, struct batch **out, struct err *e);
/* Read an operator to its end for its errors and annotations alone. */
int op_drain(struct op *op, struct exec *x, struct err *e);
/* Another operand failed with `e`, but Prometheus evaluates `first` before: if that fails, too, it is what e says. -1 */
int op_fails_before(struct op *first, struct exec *x, struct err *e);
/* The single row of a scalar operator; valid until its close. */
int op_scalar(struct op *op, struct exec *x, struct row *out, struct err *e);

/*
 * Annotations, with Prometheus' prefix and the position of `at`. A text is kept once, with the position of what Prometheus
 * evaluates last of those that say it; `by` is who says it, where that is not `at` nor an operator around it.
 */
void annos_init(struct annos *a);
void annos_deinit(struct annos *a);
void annos_tell(struct exec *x); /* to ctx->notes, at the end */
void annos_add_forced(struct exec *x);
void anno_warn(struct exec *x, const struct expr *at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void anno_warn_by(struct exec *x, const struct expr *by, const struct expr *at,
		  const char *fmt, ...) PRINTF_LIKE(4, 5);
void anno_info(struct exec *x, const struct expr *at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Go's math.Max and math.Min: NaN wins but over the infinity in question, and -0 < +0. */
double go_max(double a, double b);
double go_min(double a, double b);

/* ---- series as columns, what range functions work on ---- */
struct series_cols {
	const int64_t *t_ms;
	const double *v;
	const struct hist *const *h; /* NULL: floats only */
	const int64_t
		*st_ms; /* start timestamps, 0: that sample has none; NULL: none at all */
	size_t n;
	bool rise; /* as in sample_cols */
};
/*
 * Samples looked at, as Prometheus counts them: each window's anew at each step. A histogram counts as many samples
 * of 16 bytes as it takes.
 */
struct sample_tally {
	uint64_t n, read;		  /* read: not in the window of the step before */
	uint64_t *by_step, *read_by_step; /* NULL: only the sums are wanted */
	/* Of the series that is looked at now: */
	const uint64_t *weight; /* of the samples before each; NULL: they weigh 1 each */
	size_t hi;		/* where the last window ended */
	uint64_t most, last;	/* the largest window, the last one */
	uint32_t last_step;
};
static inline void tally_add(struct sample_tally *t, uint32_t step, size_t lo, size_t hi)
{
	size_t from = MAX(lo, t->hi);
	uint64_t n = hi - lo, read = hi - from;
	if (t->weight) {
		n = t->weight[hi] - t->weight[lo];
		read = t->weight[hi] - t->weight[from];
	}
	t->n += n;
	t->read += read;
	t->hi = hi;
	t->most = MAX(t->most, n);
	t->last = n;
	t->last_step = step;
	if (t->by_step) {
		t->by_step[step] += n;
		t->read_by_step[step] += read;
	}
}
/* `steps` windows of floats, each of n samples and `pace` behind the one before; the last one ends at hi. */
static inline void tally_add_even(struct sample_tally *t, uint32_t step, uint32_t steps,
				  size_t n, size_t pace, size_t hi)
{
	size_t read = MIN(pace, n);
	t->n += steps * n;
	t->read += steps * read;
	t->hi = hi;
	t->most = MAX(t->most, n);
	t->last = n;
	t->last_step = step + steps - 1;
	for (uint32_t i = step; t->by_step && i < step + steps; i++) {
		t->by_step[i] += n;
		t->read_by_step[i] += read;
	}
}
static inline void tally_add_one(struct sample_tally *t, uint32_t step)
{
	t->n++;
	t->read++;
	if (t->by_step) {
		t->by_step[step]++;
		t->read_by_step[step]++;
	}
}
/* Counts by step beside the sums: 0, or -1. */
int tally_by_step(struct exec *x, struct arena *a, uint32_t steps, struct sample_tally *t,
		  struct err *e);
/* A window function over whole series: see fn_range.c. */
struct range_call {
	struct grid grid;
	const struct expr *call; /* NULL: an instant selector */
	const double *param
		[2]; /* scalar arguments by step, in the order of the call; NULL: none */
	int64_t range_ms, offset_ms; /* offset positive: back */
	bool fixed;		     /* @: every step looks at at_ms */
	int64_t at_ms;
	const struct expr *at; /* where annotations point: see range_place */
	bool anchored,
		smoothed; /* looks look_ms behind the range, and (smoothed) ahead of it */
	int64_t look_ms;
	bool goes_on; /* the step before the grid's first was evaluated: what it looked at was read then */
	struct sample_tally
		*tally;	 /* of the series that is evaluated; NULL: not counted */
	struct ctx *ctx; /* of the query, which may end while windows are looked at */
};
/* What the evaluation of one series may touch besides its columns. */
struct range_env {
	struct exec *x;
	struct arena
		*arena; /* lives as long as the row: histograms that are made go here */
	struct str metric; /* for annotations; may be empty */
	unsigned
		said; /* bits of the function's own: what was annotated for this series */
	struct err *e;
	struct arena *scratch; /* for what is gone when eval returns; NULL: arena */
	bool lasting; /* set by eval: the histograms of the row lie in the arena, not in the columns */
};
struct range_fn {
	enum fn_id fn;
	/* Fill `out` (all absent on entry; out->h is there if the series has histograms). 0, or -1 with env->e. CPU */
	int (*eval)(const struct range_call *c, const struct series_cols *s,
		    struct range_env *env, struct row *out);
};
const struct range_fn *range_fn_of(enum fn_id fn); /* NULL: none has this name */
/*
 * Annotations of a range function point at its first argument. A subquery has no place of its own there, since
 * Prometheus puts its result, which has none, in place of it.
 */
const struct expr *range_place(struct exec *x, const struct expr *call);
/* rate and increase say so when a metric that gave floats has no counter's name. */
static inline bool range_wants_counter(const struct expr *call)
{
	return call->call.fn == FN_ID_rate || call->call.fn == FN_ID_increase;
}
/* type: what __type__ says; looked at only with promql_query.type_labels. */
void range_note_counter(struct exec *x, const struct range_call *c, struct str metric,
			struct str type, const struct row *out);
/* Of absent_over_time only the bitmaps are looked at, so that rows of it may be equal. */
static inline bool range_drops_name(const struct expr *call)
{
	return (fn_sigs[call->call.fn].traits & FN_DROP_NAME) &&
	       call->call.fn != FN_ID_absent_over_time;
}
/* The next series that `c` passes over, counted in its tally: weights of the samples, if there are histograms. */
int tally_series(struct exec *x, struct arena *a, const struct series_cols *s,
		 const struct range_call *c, struct err *e);
/* Of n steps, the first of which is step `from` of those that c counts. */
void samples_add(struct sample_count *c, const struct sample_tally *t, uint32_t from,
		 uint32_t n);
/* What is counted from now on can be taken back: a copy on the request arena. */
MUST_CHECK int samples_mark(struct exec *x, const struct sample_count *c,
			    struct sample_count *mark, struct err *e);
void samples_back(struct sample_count *c, const struct sample_count *mark);
static inline void samples_add_one(struct sample_count *c, uint32_t step)
{
	c->n++;
	c->read++;
	if (step >= c->steps)
		return;
	if (c->by_step)
		c->by_step[step]++;
	if (c->read_by_step)
		c->read_by_step[step]++;
}
/* The scalar arguments of a range function: planned with the call, read before the first row is made. */
struct range_params {
	struct op *op[2];
	bool read;
};
int range_params_plan(struct exec *x, const struct expr *call, struct grid g,
		      struct range_params *p, struct err *e);
int range_params_read(struct exec *x, struct range_params *p, struct range_call *c,
		      struct err *e);
/* Reference time of step i, offset applied. */
static inline int64_t range_ref(const struct range_call *c, uint32_t i)
{
	return (c->fixed ? c->at_ms : grid_at(c->grid, i)) - c->offset_ms;
}

/* ---- operators ---- */
int op_select_new(struct exec *x, const struct expr *sel, const struct expr *call,
		  struct grid g, struct op **out, struct err *e);
/*
 * May aggregation `aggr` be fed the rows of this operator? It may if that is the selector that it would have for itself, or one of
 * the two asks for all that the other does and more: then the operator reads the general one (from now on, if need be).
 * What is said about those rows is then said at the later place, as if it had been read again.
 */
struct select_share {
	struct select_filter *mine; /* which rows `aggr` takes; NULL: all */
	struct select_filter
		*others; /* which those take that took all until now; NULL: still all */
};
bool op_select_share(struct exec *x, struct op *op, const struct expr *aggr,
		     struct select_share *out);
/*
 * May the readers of `part`, another selector, be fed rows of `whole`? Then they take those that pass a filter: *all, or, who was
 * behind a filter already, its `now`. `part` is not read any more.
 */
bool op_select_take_over(struct exec *x, struct op *whole, struct op *part,
			 struct select_filter **all);
/*
 * Of the rows an aggregation looks only at the labels of its groups (NULL: at all), and takes some only (NULL: all). Called once
 * for each reader.
 */
struct groups;
void op_select_needs(struct exec *x, struct op *op, const struct groups *g,
		     struct select_filter *only);
int op_subquery_new(struct exec *x, const struct expr *sub, const struct expr *call,
		    struct grid g, struct op **out, struct err *e);
/* No rows; those of `in` (may be NULL) are computed, since that may fail. */
struct op *op_empty_new(struct exec *x, const struct expr *e, struct grid g,
			struct op *in);
/* A row has a slot for each step; what goes beyond is refused, whatever the budget. */
#define SUBQUERY_STEPS_MAX (1u << 30)
int subquery_check(struct exec *x, struct grid g, struct err *e);
struct grid subquery_grid(const struct exec *x, const struct expr *sub,
			  const struct range_call *c);
void subquery_window(const struct exec *x, const struct expr *sub, struct grid g,
		     struct range_call *out);
int op_const_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err);
int op_call_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
int op_unary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err);
int op_binary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err);
int op_join_new(struct exec *x, const struct expr *e, struct op *l, struct op *r,
		struct op **out, struct err *err);
int op_reduce_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err);
int op_topk_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
int op_limit_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err);
int op_quantile_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		    struct err *err);
int op_count_values_new(struct exec *x, const struct expr *e, struct grid g,
			struct op **out, struct err *err);
int op_absent_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err);
/* Labels of absent() and absent_over_time() of this argument, parentheses taken off. */
struct labels absent_labels(struct exec *x, const struct expr *arg);
int op_label_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err);
int op_sort_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
int op_date_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
int op_info_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
int op_pick_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err); /* min_of, max_of */
int op_set_new(struct exec *x, const struct expr *e, struct op *l, struct op *r,
	       struct op **out, struct err *err); /* and, or, unless */
int op_histq_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err);
int op_hist_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err);
/*
 * Wrap `op`, which drops names of its input, in a check for equal labels where they can occur. With delayed names there
 * are none: the names are still there.
 */
int op_unique_new(struct exec *x, struct op *op, struct op **out);
int op_unique_of(struct exec *x, struct op *op, const struct op *in, struct op **out);
/* The same for an operator that makes labels anew: always. */
struct op *op_unique_wrap(struct exec *x, struct op *op);
void op_unique_off(struct op *unique); /* it turned out that nothing can be equal */
/*
 * The metric name goes: cut out of the row's own labels now, or (promql_query.delayed_names) marked and cut from what is left
 * of it at the end of the query.
 */
void row_drop_name(struct exec *x, struct row *r);
void row_cut_name(struct row *r);
/* What goes with a metric's name: __name__, __type__, __unit__. */
#define ROW_NAME_LABELS 3
extern const struct str row_name_labels[ROW_NAME_LABELS];
bool is_name_label(struct str name);
int op_expand_new(struct exec *x, struct op *in, struct grid g, struct op **out,
		  struct err *e);

/* value of a binary operator on floats; *keep false: a comparison filtered it out (value = l). */
double binop_value(enum bin_op op, double l, double r, bool *keep);
bool op_drops_name(const struct expr *bin);

/* Neumaier's compensated sum, with the reset at infinity that Prometheus has. */
static inline void kahan_add(double inc, double *sum, double *c)
{
	double t = *sum + inc;
	if (__builtin_isinf(t))
		*c = 0;
	else if (__builtin_fabs(*sum) >= __builtin_fabs(inc))
		*c += (*sum - t) + inc;
	else
		*c += (inc - t) + *sum;
	*sum = t;
}

/* Rows keyed by labels: merges rows of equal labels, refuses a step present twice. */
struct row_set {
	struct map64 index; /* labels hash -> first entry + 1 */
	struct row *row;
	uint32_t *next; /* chain of equal hashes, entry + 1 */
	size_t n, cap;
	uint32_t steps;
};
void row_set_init(struct row_set *s, uint32_t steps);
void row_set_deinit(struct row_set *s);
/* Copy the row in; `dup` is what the error says when a step is present twice. */
int row_set_add(struct exec *x, struct row_set *s, const struct row *r, const char *dup,
		struct err *e);
struct row *row_set_find(struct row_set *s, struct labels ls);
/* A row with no step present yet, whatever is there already. */
int row_set_add_absent(struct exec *x, struct row_set *s, struct labels ls,
		       bool drop_name, struct err *e);
/* Cut the names of the rows that are marked, and merge what has equal labels now. */
int row_set_cut_names(struct exec *x, struct row_set *s, const char *dup, struct err *e);

#define DUP_LABELSET "vector cannot contain metrics with the same labelset"

#endif
