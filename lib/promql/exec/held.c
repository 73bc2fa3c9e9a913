/*
 * promql/exec/held.c - the number of samples that Prometheus holds at one time, by its own rules.
 *
 * Each part of an expression adds to what was held before it, at most `peak` while it is evaluated and `kept` afterwards:
 *   selector           its points stay
 *   range function     of one series at a time the window that slides, and of all the results
 *   operator, function  its arguments stay while it goes over the steps; at each step the points of the arguments there come
 *                      once more, and its own result stays. Then only the result does
 *   aggregation        its argument stays until all is folded; then only the result does
 *   step-invariant     evaluated at one step, then repeated
 *   subquery           its points stay until the function over it is done
 * A histogram counts as many samples as it takes, see hist_samples. Source  the peer's engine
 *
 * Numbers only grow while a query is read, so a peak that is above the limit half way is above it at the end, and the query
 * can be refused at once.
 */
#include "promql/exec/held.h"

#include <stdlib.h>

enum held_kind {
	HELD_LEAF,    /* an instant selector, or a range selector that is the query */
	HELD_WINDOWS, /* a smoothed instant selector: only its windows are counted */
	HELD_STEPS,   /* goes over the steps */
	HELD_RANGE,   /* goes over the series */
	HELD_AGGR,
	HELD_PASS, /* changes what it was given in place */
	HELD_ONCE,
};
struct held {
	enum held_kind kind;
	const struct expr *expr; /* NULL: ONCE */
	uint32_t n;		 /* steps that it is evaluated at */
	bool one;		 /* a scalar: one point at each step */
	bool own_input;	  /* timestamp(selector): the selector's points are its own */
	bool keeps_input; /* info(): what it was given is never taken off */
	struct held *in, *next; /* in the order of evaluation */
	struct held *sub;	/* of RANGE: what the subquery evaluates, among `in` */
	struct held *same;
	uint64_t weight; /* of all points */
	uint64_t read;	 /* of series that are no argument: info() */
	uint64_t full;	 /* rows that are present at most steps */
	int32_t *at; /* points by step more than these, or fewer; NULL: not asked for */
	uint32_t *more;	   /* what histograms weigh above 1 there; NULL: none was seen */
	uint32_t *info_at; /* of info(): info series by step */
	struct held_windows windows;
};

static const struct expr *strip(const struct expr *e)
{
	return expr_strip((struct expr *)(uintptr_t)e);
}

/* ---- the tree ---- */

struct shape {		/* of an expression, as Prometheus judges it */
	struct held *h; /* NULL: nothing is evaluated */
	bool invariant, wrap;
};
static struct shape build(struct exec *x, const struct expr *e, bool param);

static struct held *held_new(struct exec *x, enum held_kind kind, const struct expr *e)
{
	struct held *h = ARENA_NEW(x->arena, struct held);
	*h = (struct held){ .kind = kind, .expr = e };
	if (e) {
		h->one = e->type == TYPE_SCALAR;
		map64_set(&x->held_by_expr, (uint64_t)(uintptr_t)e, (uintptr_t)h);
	}
	return h;
}

static void add(struct held *to, struct held *h)
{
	struct held **at = &to->in;
	while (*at)
		at = &(*at)->next;
	*at = h;
}

static struct held *wrapped(struct exec *x, struct shape s, bool wrap)
{
	if (!s.h || !wrap)
		return s.h;
	struct held *once = held_new(x, HELD_ONCE, NULL);
	once->one = s.h->one;
	once->in = s.h;
	return once;
}

/* Functions that Prometheus takes for such that look at the evaluation time. */
static bool uses_time(enum fn_id fn)
{
	switch (fn) {
	case FN_ID_time:
	case FN_ID_predict_linear:
	case FN_ID_timestamp: return true;
	default: return fn_sigs[fn].traits & FN_NO_ARG_TIME;
	}
}

static bool is_constant(const struct expr *e)
{
	if (e->kind == EXPR_NUMBER || e->kind == EXPR_STRING || e->kind == EXPR_DURATION)
		return true;
	if (e->kind != EXPR_CALL)
		return false;
	switch (e->call.fn) {
	case FN_ID_start:
	case FN_ID_end:
	case FN_ID_step:
	case FN_ID_range: return true; /* put in before anything is evaluated */
	default: return false;
	}
}

static const struct expr *matrix_arg(const struct expr *call)
{
	for (size_t i = 0; i < call->call.n; i++)
		if (call->call.arg[i]->type == TYPE_MATRIX)
			return expr_strip(call->call.arg[i]);
	return NULL;
}

static enum held_kind call_kind(const struct expr *e)
{
	enum fn_id fn = e->call.fn;
	if (matrix_arg(e))
		return HELD_RANGE;
	return fn == FN_ID_label_replace || fn == FN_ID_label_join ? HELD_PASS
								   : HELD_STEPS;
}

static struct shape build_args(struct exec *x, const struct expr *e, struct held *h,
			       bool param)
{
	struct shape args[8] = { 0 };
	const struct expr *matrix = matrix_arg(e);
	bool all = true, plain = true;
	size_t n = MIN(e->call.n, ARRAY_LEN(args));
	for (size_t i = 0; i < n; i++) {
		const struct expr *arg = expr_strip(e->call.arg[i]);
		if (e->call.fn != FN_ID_info ||
		    i == 0) /* it selects, and is not evaluated */
			args[i] = build(x, arg, param);
		all &= args[i].invariant;
		plain &= args[i].invariant && arg->kind == EXPR_VECTOR;
	}
	bool invariant = (all && !uses_time(e->call.fn)) ||
			 (e->call.fn == FN_ID_timestamp && plain);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n; i++) {
			const struct expr *arg = expr_strip(e->call.arg[i]);
			if (!args[i].h || (arg == matrix) != (pass == 0))
				continue;
			if (arg == matrix)
				h->sub = args[i].h;
			add(h, wrapped(x, args[i], !invariant && !param && args[i].wrap));
		}
	return (struct shape){ h, invariant, invariant };
}

static struct shape build_call(struct exec *x, const struct expr *e, bool param)
{
	struct held *h = held_new(x, call_kind(e), e);
	enum fn_id fn = e->call.fn;
	const struct expr *arg = e->call.n ? expr_strip(e->call.arg[0]) : NULL;
	h->keeps_input = fn == FN_ID_info;
	if ((fn == FN_ID_timestamp || fn == FN_ID_start_timestamp) && arg &&
	    arg->kind == EXPR_VECTOR) {
		bool at = arg->s.sel.at != AT_NONE;
		h->own_input = true;
		return (struct shape){ h, at, at };
	}
	return build_args(x, e, h, param);
}

static struct shape build_binary(struct exec *x, const struct expr *e, bool param)
{
	struct held *h = held_new(x, HELD_STEPS, e);
	struct shape l = build(x, e->bin.l, param), r = build(x, e->bin.r, param);
	bool both = l.invariant && r.invariant;
	add(h, wrapped(x, l, !both && !param && l.wrap));
	add(h, wrapped(x, r, !both && !param && r.wrap));
	return (struct shape){ h, both, both };
}

static struct shape build_aggr(struct exec *x, const struct expr *e, bool param)
{
	bool values = e->aggr.op == AGG_COUNT_VALUES;
	struct held *h = held_new(x, values ? HELD_STEPS : HELD_AGGR, e);
	if (e->aggr.param && !values) {
		struct shape p = build(x, e->aggr.param, true);
		if (p.h)
			add(h, p.h);
	}
	struct shape s = build(x, e->aggr.e, param);
	add(h, s.h);
	s.h = h;
	return s;
}

/* The inside of a subquery that does not depend on the step is evaluated once, whatever it is. */
static struct shape build_subquery(struct exec *x, const struct expr *e, bool param)
{
	struct shape s = build(x, e->sub.e, param);
	bool at = e->sub.at != AT_NONE;
	return (struct shape){ wrapped(x, s, s.invariant && !param), at, false };
}

/* `param`: inside the parameter of an aggregation, where Prometheus does not look for invariants. */
static struct shape build(struct exec *x, const struct expr *e, bool param)
{
	e = strip(e);
	if (is_constant(e)) {
		bool number = e->type == TYPE_SCALAR;
		return (struct shape){ number ? held_new(x, HELD_STEPS, e) : NULL, true,
				       false };
	}
	bool at = (e->kind == EXPR_VECTOR || e->kind == EXPR_MATRIX) &&
		  e->s.sel.at != AT_NONE;
	switch (e->kind) {
	case EXPR_VECTOR:
		return (struct shape){
			held_new(x, e->s.sel.smoothed ? HELD_WINDOWS : HELD_LEAF, e), at,
			at
		};
	case EXPR_MATRIX: return (struct shape){ NULL, at, false };
	case EXPR_SUBQUERY: return build_subquery(x, e, param);
	case EXPR_CALL: return build_call(x, e, param);
	case EXPR_AGGR: return build_aggr(x, e, param);
	case EXPR_BINARY: return build_binary(x, e, param);
	case EXPR_UNARY: {
		struct shape s = build(x, e->un.e, param);
		struct held *h = held_new(x, HELD_PASS, e);
		if (!e->un.neg)
			h->same = s.h;
		h->in = s.h;
		s.h = h;
		return s;
	}
	default: return (struct shape){ NULL, true, false };
	}
}

/* ---- the grids ---- */

static struct grid inner_grid(struct exec *x, const struct expr *sub, struct grid g)
{
	struct range_call w;
	subquery_window(x, sub, g, &w);
	return subquery_grid(x, sub, &w);
}

/* by_step: the part around goes over the steps. */
static int place(struct exec *x, struct held *h, struct grid g, bool by_step,
		 struct err *e)
{
	const struct expr *arg = h->kind == HELD_RANGE ? matrix_arg(h->expr) : NULL;
	h->n = g.n;
	by_step |= h->kind == HELD_STEPS;
	if (by_step && !h->one && h->kind != HELD_ONCE && !h->same) {
		size_t bytes = (size_t)g.n * sizeof(*h->at);
		if (!(h->at = arena_try(x->arena, x->ctx, bytes + 1, e)))
			return -1;
		memset(h->at, 0, bytes);
		if (h->keeps_input) {
			if (!(h->info_at = arena_try(x->arena, x->ctx, bytes + 1, e)))
				return -1;
			memset(h->info_at, 0, bytes);
		}
	}
	x->held_cost += g.n + 1;
	for (struct held *in = h->in; in; in = in->next) {
		struct grid ing = g;
		if (h->kind == HELD_ONCE)
			ing.n = MIN(g.n, 1u);
		else if (in == h->in && h->sub)
			ing = inner_grid(x, arg, g);
		if (ing.n >
		    SUBQUERY_STEPS_MAX) /* refused by the operator, in its words */
			ing.n = 0;
		if (place(x, in, ing,
			  h->kind == HELD_ONCE ? by_step : h->kind == HELD_STEPS, e) < 0)
			return -1;
	}
	return 0;
}

int held_plan(struct exec *x, struct grid g, struct err *e)
{
	const struct expr *root = strip(x->q->expr);
	if (root->kind == EXPR_MATRIX) {
		x->held = held_new(x, HELD_LEAF, root);
		return place(x, x->held, g, false, e);
	}
	struct shape s = build(x, root, false);
	x->held = wrapped(x, s, s.wrap);
	if (root->kind == EXPR_SUBQUERY)
		g = inner_grid(x, root, g);
	if (!x->held || g.n > SUBQUERY_STEPS_MAX)
		return 0;
	return place(x, x->held, g, false, e);
}

struct held *held_of(struct exec *x, const struct expr *e)
{
	uintptr_t at = 0;
	if (x->held)
		(void)map64_get(&x->held_by_expr, (uint64_t)(uintptr_t)strip(e), &at);
	return (struct held *)at;
}

void held_watch(struct exec *x, struct op *op, const struct expr *e)
{
	struct held *h = held_watching(x, op->grid, e);
	if (h)
		op->held = h;
}

struct held *held_watching(struct exec *x, struct grid g, const struct expr *e)
{
	struct held *h = held_of(x, e);
	return h && !h->same && !h->one && g.n >= h->n ? h : NULL;
}

void held_alias(struct exec *x, const struct expr *e, const struct expr *as)
{
	struct held *h = held_of(x, e), *to = held_of(x, as);
	if (h && to && h != to && !to->same)
		h->same = to;
}

/* ---- counting ---- */

static uint64_t count_hists(struct exec *x, struct held *h, const struct row *r,
			    uint32_t n, int *rc, struct err *e)
{
	uint64_t more = 0;
	if (h->at && !h->more) {
		size_t bytes = (size_t)h->n * sizeof(*h->more);
		if (!(h->more = arena_try(x->arena, x->ctx, bytes, e)))
			return *rc = -1, 0;
		memset(h->more, 0, bytes);
	}
	EACH_BIT(i, r->bits, n)
	{
		if (!r->h[i])
			continue;
		more += hist_samples(r->h[i]) - 1;
		if (h->at) /* COMPAT: at a step they weigh 8 bytes less, and 1 more */
			h->more[i] += (uint32_t)hist_samples_in_vector(r->h[i]) - 1;
	}
	return more;
}

static int count_row(struct exec *x, struct held *h, const struct row *r, uint32_t n,
		     struct err *e)
{
	uint64_t points = 0;
	int rc = 0;
	if (n == 1)
		points = bit_get(r->bits, 0);
	else
		for (size_t w = 0; w < BITS_WORDS(n); w++)
			points += (uint64_t)__builtin_popcountll(r->bits[w]);
	h->weight += points;
	if (r->h && points)
		h->weight += count_hists(x, h, r, n, &rc, e);
	if (!h->at)
		return rc;
	if (points < n / 2) {
		EACH_BIT(i, r->bits, n)
		h->at[i]++;
		return rc;
	}
	h->full++;
	for (uint32_t at = 0; points < n && at < n; at += 64) {
		uint64_t no = ~r->bits[at / 64];
		if (n - at < 64)
			no &= (1ull << (n - at)) - 1;
		for (; no; no &= no - 1)
			h->at[at + (uint32_t)__builtin_ctzll(no)]--;
	}
	return rc;
}

static int too_many(struct exec *x, struct err *e)
{
	x->held_over = true;
	return err_set(
		x->ctx, e, E_LIMIT,
		"query processing would load too many samples into memory in query "
		"execution");
}

/* A look at the whole tree, no more often than pays. */
static int look(struct exec *x, uint64_t n, struct err *e)
{
	x->held_news += n;
	if (!x->q->max_samples || x->held_news < 16 * x->held_cost)
		return 0;
	x->held_news = 0;
	return held_check(x, e);
}

int held_rows(struct exec *x, struct op *op, const struct batch *b, struct err *e)
{
	struct held *h = op->held;
	uint64_t before = h->weight;
	BUG_ON(op->part && h->at);
	for (size_t k = 0; k < b->n; k++)
		if (count_row(x, h, &b->row[k], op->part ? op->grid.n : h->n, e) < 0)
			return -1;
	return look(x, h->weight - before, e);
}

int held_rows_among(struct exec *x, struct held *h, const struct batch *b, uint32_t bit,
		    struct err *e)
{
	uint64_t before = h->weight;
	for (size_t k = 0; k < b->n; k++)
		if ((b->row[k].among & bit) && count_row(x, h, &b->row[k], h->n, e) < 0)
			return -1;
	return look(x, h->weight - before, e);
}

int held_read(struct exec *x, struct held *h, uint64_t n, struct err *e)
{
	if (!h)
		return 0;
	h->read += n;
	return look(x, n, e);
}

int held_info(struct exec *x, struct held *h, const uint64_t *bits, struct err *e)
{
	if (!h)
		return 0;
	uint64_t n = 0;
	EACH_BIT(i, bits, h->n)
	{
		h->info_at[i]++;
		n++;
	}
	return held_read(x, h, n, e);
}

void held_series(struct held_windows *w, const struct sample_tally *t, uint32_t steps,
		 const struct row *out)
{
	uint64_t left = t->last_step + 1 == steps ? t->last : 0, made = 0;
	for (size_t k = 0; out && k < BITS_WORDS(steps); k++)
		made += (uint64_t)__builtin_popcountll(out->bits[k]);
	if (out && out->h)
		EACH_BIT(i, out->bits, steps)
	made += out->h[i] ? hist_samples(out->h[i]) - 1 : 0;
	w->peak = MAX(w->peak, w->made + MAX(t->most, made + left));
	w->made += out ? made : left;
}

int held_add_windows(struct exec *x, struct held *h, const struct held_windows *w,
		     struct err *e)
{
	if (!h)
		return 0;
	h->windows.peak = MAX(h->windows.peak, h->windows.made + w->peak);
	h->windows.made += w->made;
	return look(x, w->made + 1, e);
}

struct held *held_mark(struct exec *x, const struct held *h)
{
	if (!h)
		return NULL;
	struct held *mark = ARENA_NEW(x->arena, struct held);
	*mark = *h;
	return mark;
}

void held_back(struct held *h, const struct held *mark)
{
	if (h)
		*h = *mark;
}

bool held_by_step(const struct held *h)
{
	return h && h->at;
}

/* ---- the sum ---- */

struct load { /* beyond what was held before */
	uint64_t kept, peak;
	uint64_t weight; /* of the result */
};

static uint64_t points_at(const struct held *h, uint32_t i)
{
	while (h->same)
		h = h->same;
	if (h->one)
		return 1;
	if (h->kind == HELD_ONCE)
		return points_at(h->in, 0);
	return h->at ? h->full + (uint64_t)(int64_t)h->at[i] : 0;
}

static struct load load_of(const struct held *h);

/* Arguments are evaluated one after another, and stay. */
static struct load inputs(const struct held *h, uint64_t *sub)
{
	struct load all = { 0 };
	for (const struct held *in = h->in; in; in = in->next) {
		struct load l = load_of(in);
		if (in == h->in && h->sub)
			*sub = l.weight;
		all.peak = MAX(all.peak, all.kept + l.peak);
		all.kept += l.kept;
	}
	return all;
}

static struct load steps_load(const struct held *h)
{
	struct load in = inputs(h, NULL);
	uint64_t now = in.kept + h->read;
	for (uint32_t i = 0; i < h->n; i++) {
		uint64_t own = points_at(h, i), given = h->own_input ? own : 0;
		for (const struct held *k = h->in; k; k = k->next)
			given += points_at(k, i);
		if (h->info_at)
			given += h->info_at[i];
		now += own + (h->more ? h->more[i] : 0);
		in.peak = MAX(in.peak, now + given);
	}
	uint64_t weight = h->one ? h->n : h->weight;
	uint64_t kept = weight + (h->keeps_input ? in.kept + h->read : 0);
	return (struct load){ kept, MAX(in.peak, kept), weight };
}

static struct load range_load(const struct held *h)
{
	uint64_t sub = 0;
	struct load in = inputs(h, &sub);
	uint64_t peak = MAX(in.peak, in.kept + h->windows.peak);
	uint64_t kept = in.kept + h->windows.made;
	kept -= MIN(kept, sub);
	return (struct load){ kept, peak, h->weight };
}

static struct load once_load(const struct held *h)
{
	struct load l = load_of(h->in);
	uint64_t again = l.weight * (h->n ? h->n - 1 : 0);
	l.kept += again;
	l.weight += again;
	l.peak = MAX(l.peak, l.kept);
	return l;
}

static struct load load_of(const struct held *h)
{
	if (h->same)
		return load_of(h->same);
	if (h->n == 0)
		return (struct load){ 0 };
	switch (h->kind) {
	case HELD_LEAF:
		return (struct load){ h->weight + h->read, h->weight + h->read,
				      h->weight };
	case HELD_WINDOWS:
		return (struct load){ h->windows.made, h->windows.peak, h->weight };
	case HELD_STEPS: return steps_load(h);
	case HELD_RANGE: return range_load(h);
	case HELD_ONCE: return once_load(h);
	case HELD_PASS: {
		struct load l = load_of(h->in);
		l.weight = h->one ? h->n : h->weight;
		return l;
	}
	case HELD_AGGR: {
		struct load in = inputs(h, NULL);
		return (struct load){ h->weight, MAX(in.peak, h->weight), h->weight };
	}
	}
	return (struct load){ 0 };
}

uint64_t held_peak(struct exec *x)
{
	return x->held ? load_of(x->held).peak : 0;
}

int held_check(struct exec *x, struct err *e)
{
	if (x->q->max_samples && held_peak(x) > x->q->max_samples)
		return too_many(x, e);
	return 0;
}
