/*
 * api/query.c - /api/v1/query and /api/v1/query_range; /api/v1/format_query and /api/v1/parse_query.
 */
#include "api/api_int.h"
#include "base/time.h"
#include "wire/json.h"

#define MAX_POINTS 11000

/* "auto", "0s", "5m", "1h" or seconds. */
static int resolution(struct call *c, int64_t automatic_ms, int64_t *ms)
{
	struct str s = http_param(c->req, "max_source_resolution");
	*ms = 0;
	if (str_eq(s, STR("auto")) || (s.n == 0 && c->api->o.auto_downsampling)) {
		*ms = automatic_ms;
		return 0;
	}
	if (s.n == 0)
		return 0;
	if (!api_parse_duration(s, ms))
		return api_bad(c->ctx, c->e, "max_source_resolution",
			       "cannot parse \"%.*s\" to a valid duration", STR_FMT(s));
	if (*ms < 0)
		return api_bad(
			c->ctx, c->e, "max_source_resolution",
			"negative max_source_resolution is not accepted. Try a positive "
			"integer");
	return 0;
}

/* Downsampled points lie further apart than the usual look-back reaches. */
static int64_t lookback_for(const struct api_opts *o, int64_t asked,
			    int64_t resolution_ms)
{
	int64_t base = asked ? asked : o->lookback_ms ? o->lookback_ms : 300000;
	if (!o->dynamic_lookback || asked)
		return base;
	if (resolution_ms >= 3600000)
		return MAX(base, (int64_t)3600000);
	return base;
}

static int settings(struct call *c, struct promql_query *q, int64_t *timeout_ms)
{
	const struct api_opts *o = &c->api->o;
	struct query_view *v = &c->view;
	int64_t lookback;
	if (api_view(c, v) < 0 ||
	    api_duration(c, "timeout", o->timeout_ms, timeout_ms) < 0 ||
	    api_duration(c, "lookback_delta", 0, &lookback) < 0)
		return -1;
	if (*timeout_ms <= 0 || *timeout_ms > o->timeout_ms)
		*timeout_ms = o->timeout_ms;
	q->lookback_ms = lookback_for(o, lookback, q->max_resolution_ms);
	q->subquery_step_ms = o->default_eval_interval_ms;
	q->store = v->store;
	q->pool = o->pool;
	q->dedup = v->dedup;
	q->replica_labels = v->replica_labels;
	q->n_replica_labels = v->n_replica_labels;
	q->partial = v->partial;
	q->max_selects = o->max_selects;
	q->max_samples = o->max_samples;
	q->delayed_names = o->delayed_names;
	q->start_timestamps = o->start_timestamps;
	q->type_labels = o->type_labels;
	return 0;
}

/* Series beyond `limit` are left out, and a warning says so. */
static void truncate(struct call *c, int64_t limit, struct promql_result *r)
{
	if (limit == 0 || r->n <= (uint64_t)limit ||
	    (r->type != TYPE_VECTOR && r->type != TYPE_MATRIX))
		return;
	r->n = (size_t)limit;
	notes_warn(c->ctx->notes, "results truncated due to limit");
}

/* The answer to a query that has ended well: made from its rows while the socket takes it. */
static int answer(struct call *c, const struct promql_query *q,
		  const struct promql_result *r, struct str stats, bool analyze)
{
	struct buf *out = c->out.b;
	if (stats.n && !str_eq(stats, STR("true")) && !str_eq(stats, STR("all")))
		notes_warn(
			c->ctx->notes,
			"value \"%.*s\" for parameter \"stats\" is deprecated and will "
			"be rejected in the next major release, use \"true\" or "
			"\"all\"",
			STR_FMT(stats));
	api_begin(c);
	buf_byte(out, '{');
	if (api_stream_result(r, &c->out, c->e) < 0)
		return -1;
	if (stats.n) {
		buf_str(out, STR(",\"stats\":"));
		api_put_stats(out, c, r, q, str_eq(stats, STR("all")));
	}
	if (analyze && r->plan) {
		buf_str(out, STR(",\"analysis\":"));
		api_put_plan(out, r->plan, true);
	}
	buf_byte(out, '}');
	return 0;
}

static int eval(struct call *c, struct promql_query *q)
{
	struct promql_result r;
	int64_t timeout, limit;
	struct str stats = http_param(c->req, "stats");
	bool analyze;
	if (settings(c, q, &timeout) < 0 || api_limit(c, &limit) < 0 ||
	    api_bool(c, "analyze", false, &analyze) < 0)
		return -1;
	q->step_stats = str_eq(stats, STR("all"));
	q->analyze = analyze || q->step_stats;
	if (api_run_query(c, q, timeout, &r) < 0)
		return -1;
	truncate(c, limit, &r);
	return answer(c, q, &r, stats, analyze);
}

static int explain(struct call *c, struct promql_query *q, struct buf *out)
{
	struct promql_plan *plan;
	int64_t timeout;
	if (settings(c, q, &timeout) < 0 ||
	    promql_explain(c->ctx, c->a, q, &plan, c->e) < 0)
		return -1;
	api_put_plan(out, plan, false);
	return 0;
}

static int parse(struct call *c, struct promql_query *q)
{
	struct expr *x;
	struct err why = ERR_INIT;
	struct str engine =
		http_param(c->req, "engine"); /* there is one; its names are checked */
	if (engine.n && !str_eq(engine, STR("prometheus")) &&
	    !str_eq(engine, STR("thanos")))
		return err_set(c->ctx, c->e, E_INVALID, "'%.*s' bad engine",
			       STR_FMT(engine));
	q->text = http_param(c->req, "query");
	if (promql_parse(c->ctx, c->a, q->text, c->api->o.promql_features, &x, &why) <
		    0 ||
	    promql_resolve(x, q->text, q->start_ms, q->end_ms, q->step_ms, &why) < 0)
		return api_bad_text(c, "query", &why);
	q->expr = x;
	return api_enforce_query(c, x, q);
}

static int instant_params(struct call *c, struct promql_query *q)
{
	if (api_time(c, "time", time_wall_ms(), &q->start_ms) < 0)
		return -1;
	q->end_ms = q->start_ms;
	return parse(c, q) < 0 ? -1
			       : resolution(c, c->api->o.instant_resolution_ms,
					    &q->max_resolution_ms);
}

int api_query(struct call *c, struct buf *out)
{
	struct promql_query q = { 0 };
	(void)out;
	return instant_params(c, &q) < 0 ? -1 : eval(c, &q);
}

int api_query_explain(struct call *c, struct buf *out)
{
	struct promql_query q = { 0 };
	return instant_params(c, &q) < 0 ? -1 : explain(c, &q, out);
}

/* An end of a range: it must be there. */
static int bound(struct call *c, const char *name, int64_t *ms)
{
	struct str s = http_param(c->req, name);
	if (s.n && api_parse_time(s, ms))
		return 0;
	return api_bad(c->ctx, c->e, name, "cannot parse \"%.*s\" to a valid timestamp",
		       STR_FMT(s));
}

static int window(struct call *c, struct promql_query *q)
{
	if (bound(c, "start", &q->start_ms) < 0 || bound(c, "end", &q->end_ms) < 0)
		return -1;
	if (q->end_ms < q->start_ms)
		return api_bad(c->ctx, c->e, "end",
			       "end timestamp must not be before start time");
	/* Thanos: without a step, 250 points in whole seconds, not less than --query.default-step */
	int64_t def =
		MAX((q->end_ms - q->start_ms) / 250000 * 1000, c->api->o.default_step_ms);
	if (api_duration(c, "step", def, &q->step_ms) < 0)
		return -1;
	if (q->step_ms <= 0)
		return api_bad(
			c->ctx, c->e, "step",
			"zero or negative query resolution step widths are not accepted. Try "
			"a positive integer");
	if ((q->end_ms - q->start_ms) / q->step_ms > MAX_POINTS)
		return err_set(
			c->ctx, c->e, E_INVALID,
			"exceeded maximum resolution of 11,000 points per timeseries. Try "
			"decreasing the query resolution (?step=XX)");
	return 0;
}

static int range_params(struct call *c, struct promql_query *q)
{
	if (window(c, q) < 0 || parse(c, q) < 0 ||
	    resolution(c, q->step_ms / 5, &q->max_resolution_ms) < 0)
		return -1;
	if (q->expr->type != TYPE_SCALAR && q->expr->type != TYPE_VECTOR)
		return api_bad(
			c->ctx, c->e, "query",
			"invalid expression type \"%s\" for range query, must be Scalar or "
			"instant Vector",
			value_type_text(q->expr->type));
	return 0;
}

int api_query_range(struct call *c, struct buf *out)
{
	struct promql_query q = { 0 };
	(void)out;
	if (range_params(c, &q) < 0)
		return -1;
	api_count_timespan(c->api->life, q.end_ms - q.start_ms);
	return eval(c, &q);
}

int api_query_range_explain(struct call *c, struct buf *out)
{
	struct promql_query q = { 0 };
	return range_params(c, &q) < 0 ? -1 : explain(c, &q, out);
}

/* ---- expressions as such ---- */

static int parse_only(struct call *c, struct expr **x)
{
	struct err why = ERR_INIT;
	if (promql_parse(c->ctx, c->a, http_param(c->req, "query"),
			 c->api->o.promql_features, x, &why) < 0)
		return api_bad_text(c, "query", &why);
	return 0;
}

int api_format_query(struct call *c, struct buf *out)
{
	struct expr *x;
	struct buf text;
	struct jw w;
	if (parse_only(c, &x) < 0)
		return -1;
	buf_init(&text, out->max);
	promql_format(x, &text);
	int rc = buf_check(&text, c->ctx, "formatted query", c->e);
	jw_init(&w, out);
	if (rc == 0)
		jw_str(&w, buf_view(&text));
	buf_deinit(&text);
	return rc;
}

int api_parse_query(struct call *c, struct buf *out)
{
	struct expr *x;
	if (parse_only(c, &x) < 0)
		return -1;
	promql_ast_json(x, out);
	return 0;
}
