/*
 * test/promqltest/eval.c - an eval and the further executions that must give the same: with every selector pinned by @ at
 * other times, each instant query as the middle step of a range query, and each range query a step at a time where
 * steps may be divided (slices.h).
 */
#include "promqltest.h"

struct run {
	struct runner *r;
	const struct eval *ev;
	bool sliced;
	struct arena arena;
	struct buf *out;
};

/* ---- one execution ---- */

struct answer {
	struct promql_result result;
	struct notes_view notes;
	struct str error; /* empty: none */
};

static void execute(struct run *run, struct str text, int64_t start_ms, int64_t end_ms,
		    int64_t step_ms, struct answer *out)
{
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct expr *x;
	struct promql_query q = { .text = text,
				  .start_ms = start_ms,
				  .end_ms = end_ms,
				  .step_ms = step_ms,
				  .store = storage_store(run->r->storage),
				  .pool = run->r->pool,
				  .max_samples = 10000,
				  .delayed_names = !run->r->eager_names,
				  .type_labels = run->r->type_labels,
				  .start_timestamps = true,
				  .step_stats = run->ev->range };
	if (run->sliced)
		q.slice_bytes = q.slice_steps = 1;
	*out = (struct answer){ 0 };
	ctx_init(&ctx, NULL, 0);
	int rc = promql_parse(&ctx, &run->arena, text, PROMQL_ALL, &x, &e);
	if (rc == 0)
		rc = promql_resolve(x, text, start_ms, end_ms, step_ms, &e);
	q.expr = rc == 0 ? x : NULL;
	if (rc == 0)
		rc = promql_exec(&ctx, &run->arena, &q, &out->result, &e);
	notes_view(ctx.notes, &run->arena, &out->notes);
	for (size_t i = 0; i < out->notes.n_warnings; i++)
		out->notes.warnings[i] = str_dup(&run->arena, out->notes.warnings[i]);
	for (size_t i = 0; i < out->notes.n_infos; i++)
		out->notes.infos[i] = str_dup(&run->arena, out->notes.infos[i]);
	if (rc < 0)
		out->error = str_dup(&run->arena, str_of(err_text(&e)));
	ctx_deinit(&ctx);
}

static bool failed(struct run *run, const char *how, struct str text, int64_t t_ms)
{
	buf_fmt(run->out, "\n    (%s, %lld ms: %.*s)", how, (long long)t_ms,
		STR_FMT(text));
	return false;
}

/* An error: was it expected? */
static bool judge_error(struct run *run, const struct answer *a)
{
	if (expect_error(run->ev, a->error))
		return true;
	buf_fmt(run->out, "%s: %.*s",
		eval_wants(run->ev, EXPECT_FAIL) ? "another error" : "error",
		STR_FMT(a->error));
	return false;
}

static bool judge(struct run *run, const struct answer *a)
{
	if (a->error.n)
		return judge_error(run, a);
	if (eval_wants(run->ev, EXPECT_FAIL)) {
		buf_str(run->out, STR("an error is expected, there was none"));
		return false;
	}
	return expect_notes(run->ev, &a->notes, run->out) &&
	       expect_result(run->ev, &a->result, run->out);
}

/* ---- as the middle step of a range query ---- */

static bool depends_on_window(struct str text)
{
	return str_find(text, STR("start()")) >= 0 || str_find(text, STR("end()")) >= 0 ||
	       str_find(text, STR("range()")) >= 0 || str_find(text, STR("step()")) >= 0;
}

/* What of the matrix lies at t, as a vector; a scalar stays one. */
static void middle(struct run *run, struct promql_result *r, int64_t t_ms, bool scalar)
{
	struct promql_series *v =
		ARENA_ARRAY(&run->arena, struct promql_series, r->n + 1);
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		for (uint32_t k = 0; k < r->series[i].n; k++)
			if (r->series[i].t_ms[k] == t_ms) {
				v[n] = r->series[i];
				v[n].n = 1;
				v[n].t_ms += k;
				v[n].v += k;
				v[n].h = v[n].h ? v[n].h + k : NULL;
				n++;
			}
	r->series = v;
	r->n = n;
	r->type = scalar && n == 1 ? TYPE_SCALAR : TYPE_VECTOR;
}

static bool run_as_range(struct run *run, struct str text, int64_t t_ms, bool scalar,
			 bool sliced)
{
	const int64_t minute = 60000;
	struct answer a;
	if (depends_on_window(text) || eval_wants(run->ev, EXPECT_ORDERED))
		return true;
	run->sliced = sliced;
	execute(run, text, t_ms - minute, t_ms + minute, minute, &a);
	run->sliced = false;
	if (a.error.n) {
		buf_fmt(run->out, "error: %.*s", STR_FMT(a.error));
		return failed(run, "as a range query", text, t_ms);
	}
	for (size_t i = 1; i < a.result.n; i++)
		if (labels_cmp(a.result.series[i - 1].labels, a.result.series[i].labels) >
		    0) {
			buf_str(run->out, STR("the matrix is not sorted"));
			return failed(run, "as a range query", text, t_ms);
		}
	middle(run, &a.result, t_ms, scalar);
	if (!expect_result(run->ev, &a.result, run->out))
		return failed(run, "as a range query", text, t_ms);
	return true;
}

static bool run_instant(struct run *run, struct str text, int64_t t_ms, const char *how)
{
	struct answer a;
	execute(run, text, t_ms, t_ms, 0, &a);
	if (!judge(run, &a))
		return failed(run, how, text, t_ms);
	if (a.error.n || run->ev->range_vector || run->ev->wants_string)
		return true;
	bool scalar = a.result.type == TYPE_SCALAR;
	return run_as_range(run, text, t_ms, scalar, false) &&
	       run_as_range(run, text, t_ms, scalar, true);
}

/* ---- pinned by @ ---- */

static bool looks_at_time(const struct expr *call)
{
	static const char *const names[] = {
		"days_in_month", "day_of_month",   "day_of_week", "day_of_year",
		"end",		 "hour",	   "minute",	  "month",
		"year",		 "predict_linear", "range",	  "start",
		"step",		 "time",	   "timestamp"
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(fn_sigs[call->call.fn].name, names[i]) == 0)
			return true;
	return false;
}

static void pin_at(enum at_kind *at, int64_t *at_ms, int64_t t_ms)
{
	if (*at == AT_TIME)
		return;
	*at = AT_TIME;
	*at_ms = t_ms;
}

/* Pin what is outermost; false: something looks at the evaluation time. */
static bool pin(struct expr *x, int64_t t_ms)
{
	bool ok = true;
	switch (x->kind) {
	case EXPR_VECTOR:
	case EXPR_MATRIX: pin_at(&x->s.sel.at, &x->s.sel.at_ms, t_ms); return true;
	case EXPR_SUBQUERY: pin_at(&x->sub.at, &x->sub.at_ms, t_ms); return true;
	case EXPR_CALL:
		ok = !looks_at_time(x);
		for (size_t i = 0; i < x->call.n && ok; i++)
			ok = pin(x->call.arg[i], t_ms);
		return ok;
	case EXPR_AGGR:
		return (!x->aggr.param || pin(x->aggr.param, t_ms)) &&
		       pin(x->aggr.e, t_ms);
	case EXPR_BINARY: return pin(x->bin.l, t_ms) && pin(x->bin.r, t_ms);
	case EXPR_UNARY: return pin(x->un.e, t_ms);
	case EXPR_PAREN: return pin(x->inner, t_ms);
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: break;
	}
	return true;
}

static bool run_pinned(struct run *run)
{
	int64_t t = run->ev->start_ms;
	const int64_t at_zero[] = { -1000, 0, 1000 },
		      at[] = { -10 * t, 0, t / 5, t, 10 * t };
	const int64_t *times = t == 0 ? at_zero : at;
	size_t n = t == 0 ? ARRAY_LEN(at_zero) : ARRAY_LEN(at);
	struct err e = ERR_INIT;
	struct expr *x;
	struct buf b;
	if (promql_parse(NULL, &run->arena, run->ev->text, PROMQL_ALL, &x, &e) < 0 ||
	    !pin(x, t))
		return true;
	buf_init(&b, 1 << 20);
	promql_print(x, &b);
	struct str text = str_dup(&run->arena, buf_view(&b));
	buf_deinit(&b);
	for (size_t i = 0; i < n; i++)
		if (!run_instant(run, text, times[i], "pinned"))
			return false;
	return true;
}

/*
 * What was looked at is counted once for each step, however the steps are divided. Of a series that is passed over several times
 * the last, short pass may hold a larger window than its results.
 */
static bool same_counts(struct run *run, const struct promql_result *a,
			const struct promql_result *b)
{
	bool same = a->samples_total == b->samples_total &&
		    a->samples_read == b->samples_read &&
		    a->samples_peak <= b->samples_peak && a->n_steps == b->n_steps;
	for (uint32_t i = 0; same && i < a->n_steps; i++)
		same = a->samples_by_step[i] == b->samples_by_step[i] &&
		       a->read_by_step[i] == b->read_by_step[i];
	if (!same)
		buf_fmt(run->out,
			"%llu samples, %llu read, %llu held, but %llu, %llu and %llu in slices",
			(unsigned long long)a->samples_total,
			(unsigned long long)a->samples_read,
			(unsigned long long)a->samples_peak,
			(unsigned long long)b->samples_total,
			(unsigned long long)b->samples_read,
			(unsigned long long)b->samples_peak);
	return same;
}

static bool run_range(struct run *run)
{
	const struct eval *ev = run->ev;
	struct answer whole, sliced;
	execute(run, ev->text, ev->start_ms, ev->end_ms, ev->step_ms, &whole);
	if (!judge(run, &whole))
		return false;
	run->sliced = true;
	execute(run, ev->text, ev->start_ms, ev->end_ms, ev->step_ms, &sliced);
	return (judge(run, &sliced) &&
		(whole.error.n || same_counts(run, &whole.result, &sliced.result))) ||
	       failed(run, "in slices", ev->text, ev->start_ms);
}

bool eval_run(struct runner *r, const struct eval *ev, struct buf *out)
{
	struct run run = { .r = r, .ev = ev, .out = out };
	bool ok;
	arena_init(&run.arena, NULL);
	ok = ev->range ? run_range(&run)
		       : run_instant(&run, ev->text, ev->start_ms, "instant") &&
				 run_pinned(&run);
	arena_deinit(&run.arena);
	return ok;
}
