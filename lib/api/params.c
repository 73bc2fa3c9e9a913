/*
 * api/params.c - times, durations and the parameters that all endpoints share.
 */
#include <math.h>

#include "api/api_int.h"
#include "base/budget.h"
#include "base/time.h"

bool api_parse_time(struct str s, int64_t *ms)
{
	double d;
	int64_t sec;
	uint32_t nsec;
	if (str_to_f64(s, &d)) {
		if (!(fabs(d) <
		      9e15)) /* a time, as Prometheus sees it, at which nothing is */
			d = d > 0 ? 9e15 : -9e15;
		double whole;
		double frac = modf(d, &whole);
		*ms = (int64_t)whole * 1000 + (int64_t)round(frac * 1000);
		return true;
	}
	/* what Prometheus prints for its smallest and largest time */
	if (str_eq(s, STR("-292273086-05-16T16:47:06Z")) ||
	    str_eq(s, STR("+292277025-08-18T07:12:54.999999999Z"))) {
		*ms = s.p[0] == '-' ? INT64_MIN / 1000 : INT64_MAX / 1000;
		return true;
	}
	if (!time_parse_rfc3339(s, &sec, &nsec))
		return false;
	*ms = sec * 1000 + nsec / 1000000;
	return true;
}

bool api_parse_duration(struct str s, int64_t *ms)
{
	double d;
	if (str_to_f64(s, &d)) {
		if (!(fabs(d) * 1000 < 9e15))
			return false;
		*ms = (int64_t)(d * 1000);
		return true;
	}
	return time_parse_duration_ms(s, ms);
}

int api_bad(struct ctx *ctx, struct err *e, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	err_setv(ctx, e, E_INVALID, fmt, ap);
	va_end(ap);
	return err_wrap(ctx, e, "invalid parameter \"%s\"", name);
}

int api_bad_text(struct call *c, const char *name, const struct err *why)
{
	if (why->code != E_LIMIT || !budget_refused(c->ctx->budget))
		return api_bad(c->ctx, c->e, name, "%s", err_text(why));
	err_copy(c->ctx, c->e, why);
	return err_wrap(c->ctx, c->e, "parameter \"%s\"", name);
}

int api_time(struct call *c, const char *name, int64_t def, int64_t *ms)
{
	struct str s = http_param(c->req, name);
	*ms = def;
	if (s.n == 0 || api_parse_time(s, ms))
		return 0;
	return api_bad(
		c->ctx, c->e, name,
		"invalid time value for '%s': cannot parse \"%.*s\" to a valid timestamp",
		name, STR_FMT(s));
}

int api_duration(struct call *c, const char *name, int64_t def, int64_t *ms)
{
	struct str s = http_param(c->req, name);
	*ms = def;
	if (s.n == 0 || api_parse_duration(s, ms))
		return 0;
	return api_bad(c->ctx, c->e, name, "cannot parse \"%.*s\" to a valid duration",
		       STR_FMT(s));
}

int api_bool(struct call *c, const char *name, bool def, bool *v)
{
	struct str s = http_param(c->req, name);
	*v = def;
	if (s.n == 0)
		return 0;
	*v = str_eq(s, STR("1")) || str_eq_nocase(s, STR("true")) ||
	     str_eq_nocase(s, STR("t"));
	if (*v || str_eq(s, STR("0")) || str_eq_nocase(s, STR("false")) ||
	    str_eq_nocase(s, STR("f")))
		return 0;
	return api_bad(c->ctx, c->e, name, "cannot parse \"%.*s\" as a boolean",
		       STR_FMT(s));
}

int api_limit(struct call *c, int64_t *limit)
{
	struct str s = http_param(c->req, "limit");
	*limit = 0;
	if (s.n == 0 || (str_to_i64(s, limit) && *limit >= 0))
		return 0;
	if (*limit < 0)
		return api_bad(c->ctx, c->e, "limit", "limit must be non-negative");
	return api_bad(c->ctx, c->e, "limit",
		       "strconv.Atoi: parsing \"%.*s\": invalid syntax", STR_FMT(s));
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static int store_match(struct call *c, struct query_view *v)
{
	size_t n;
	struct str *texts = http_params(c->req, "storeMatch[]", &n);
	struct matcher const **sets = ARENA_ARRAY(c->a, struct matcher const *, n + 1);
	size_t *counts = ARENA_ARRAY(c->a, size_t, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct matcher *m;
		struct err why = ERR_INIT;
		if (promql_parse_selector(c->ctx, c->a, texts[i], &m, &counts[i], &why) <
		    0)
			return api_bad_text(c, "storeMatch[]", &why);
		sets[i] = m;
	}
	v->proxy = (struct proxy_view){ sets, counts, n };
	return 0;
}

/* dedup, partial_response, replicaLabels[], storeMatch[]: which stores, and how replicas are folded. */
int api_view(struct call *c, struct query_view *v)
{
	const struct api_opts *o = &c->api->o;
	bool partial;
	if (api_bool(c, "dedup", true, &v->dedup) < 0 ||
	    api_bool(c, "partial_response", o->partial_response, &partial) < 0 ||
	    store_match(c, v) < 0)
		return -1;
	v->partial = partial ? PARTIAL_WARN : PARTIAL_ABORT;
	v->replica_labels = o->replica_labels;
	v->n_replica_labels = o->n_replica_labels;
	if (http_has_param(c->req, "replicaLabels[]")) {
		struct str *names =
			http_params(c->req, "replicaLabels[]", &v->n_replica_labels);
		vec_sort(names, v->n_replica_labels, sizeof(*names), by_str, NULL);
		v->replica_labels = names;
	}
	v->store = proxy_view_store(o->proxy, c->a, &v->proxy);
	return 0;
}

/* match[]: a set of matchers each; E_INVALID as Prometheus words it. */
int api_matches(struct call *c, bool required, struct selectors *out)
{
	struct str *texts = http_params(c->req, "match[]", &out->n);
	if (required && out->n == 0)
		return err_set(c->ctx, c->e, E_INVALID, "no match[] parameter provided");
	out->m = ARENA_ARRAY(c->a, struct matcher *, out->n + 1);
	out->count = ARENA_ARRAY(c->a, size_t, out->n + 1);
	for (size_t i = 0; i < out->n; i++) {
		struct err why = ERR_INIT;
		if (promql_parse_selector(c->ctx, c->a, texts[i], &out->m[i],
					  &out->count[i], &why) < 0)
			return api_bad_text(c, "match[]", &why);
	}
	return 0;
}
