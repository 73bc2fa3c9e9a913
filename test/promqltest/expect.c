/*
 * test/promqltest/expect.c - what an eval expects against what came.
 */
#include "promqltest.h"

#include "model/regex.h"
#include "wire/num.h"

bool eval_wants(const struct eval *ev, enum expect_kind kind)
{
	for (size_t i = 0; i < ev->n_expect; i++)
		if (ev->expect[i].kind == kind)
			return true;
	return false;
}

static bool matches(const struct expect *x, struct str text)
{
	return x->any || (x->re ? regex_match(x->re, text) : str_eq(x->message, text));
}

bool expect_error(const struct eval *ev, struct str got)
{
	for (size_t i = 0; i < ev->n_expect; i++)
		if (ev->expect[i].kind == EXPECT_FAIL)
			return matches(&ev->expect[i], got);
	return false;
}

static bool is_expected(const struct eval *ev, enum expect_kind kind, struct str text)
{
	for (size_t i = 0; i < ev->n_expect; i++)
		if (ev->expect[i].kind == kind && matches(&ev->expect[i], text))
			return true;
	return false;
}

static bool check_notes(const struct eval *ev, enum expect_kind some,
			enum expect_kind none, const char *what, const struct str *got,
			size_t n, struct buf *out)
{
	if (eval_wants(ev, none) && n) {
		buf_fmt(out, "unexpected %s: %.*s", what, STR_FMT(got[0]));
		return false;
	}
	if (!eval_wants(ev, some))
		return true;
	for (size_t i = 0; i < n; i++)
		if (!is_expected(ev, some, got[i])) {
			buf_fmt(out, "unexpected %s: %.*s", what, STR_FMT(got[i]));
			return false;
		}
	for (size_t i = 0; i < ev->n_expect; i++) {
		bool found = ev->expect[i].kind != some;
		for (size_t k = 0; k < n && !found; k++)
			found = matches(&ev->expect[i], got[k]);
		if (!found) {
			buf_fmt(out, "expected %s is missing: %.*s", what,
				STR_FMT(ev->expect[i].message));
			return false;
		}
	}
	return true;
}

bool expect_notes(const struct eval *ev, const struct notes_view *got, struct buf *out)
{
	if ((ev->some_warn && !got->n_warnings) || (ev->some_info && !got->n_infos)) {
		buf_fmt(out, "expected %s, got none",
			ev->some_warn ? "a warning" : "an info");
		return false;
	}
	return check_notes(ev, EXPECT_WARN, EXPECT_NO_WARN, "warning", got->warnings,
			   got->n_warnings, out) &&
	       check_notes(ev, EXPECT_INFO, EXPECT_NO_INFO, "info", got->infos,
			   got->n_infos, out);
}

/* ---- results ---- */

static void write_value(const struct hist *h, double v, struct buf *out)
{
	char text[NUM_MAX];
	if (h)
		hist_write_expr(h, out);
	else
		buf_fmt(out, "%.*s", (int)num_f64_g(text, v), text);
}

static bool wrong(struct buf *out, struct labels ls, const char *what)
{
	buf_fmt(out, "%s ", what);
	labels_metric_text(ls, out);
	return false;
}

static bool value_is(const struct slot *want, double v, const struct hist *h)
{
	if (want->h || h)
		return want->h && h && hist_almost_eq(want->h, h, want->hint_set);
	return almost_eq(want->v, v);
}

static bool wrong_value(struct buf *out, struct labels ls, int64_t t_ms,
			const struct slot *want, double v, const struct hist *h)
{
	wrong(out, ls, "series");
	buf_fmt(out, " at %lld: expected ", (long long)t_ms);
	write_value(want->h, want->v, out);
	buf_str(out, STR(", got "));
	write_value(h, v, out);
	return false;
}

static const struct series_text *expected(const struct eval *ev, struct labels ls,
					  size_t *pos)
{
	for (size_t i = ev->n_series; i > 0; i--) /* of two lines the later counts */
		if (labels_eq(ev->series[i - 1].labels, ls)) {
			*pos = i - 1;
			return &ev->series[i - 1];
		}
	return NULL;
}

static bool all_seen(const struct eval *ev, const struct promql_result *r,
		     struct buf *out)
{
	for (size_t i = 0; i < ev->n_series; i++) {
		bool found = false;
		for (size_t k = 0; k < r->n && !found; k++)
			found = labels_eq(r->series[k].labels, ev->series[i].labels);
		if (!found)
			return wrong(out, ev->series[i].labels, "missing in the result:");
	}
	return true;
}

static const struct hist *hist_at(const struct promql_series *s, size_t i)
{
	return s->h ? s->h[i] : NULL;
}

static bool check_series(const struct eval *ev, const struct promql_series *s,
			 const struct series_text *want, struct buf *out)
{
	size_t k = 0;
	for (size_t i = 0; i < want->n; i++) {
		int64_t t = ev->from_ms + (int64_t)i * ev->every_ms;
		if (t > ev->to_ms) {
			wrong(out, s->labels, "more points are expected than steps:");
			return false;
		}
		if (want->slot[i].omitted)
			continue;
		if (k == s->n || s->t_ms[k] != t) {
			wrong(out, s->labels, "series");
			buf_fmt(out, ": no point at %lld", (long long)t);
			return false;
		}
		if (!value_is(&want->slot[i], s->v[k], hist_at(s, k)))
			return wrong_value(out, s->labels, t, &want->slot[i], s->v[k],
					   hist_at(s, k));
		k++;
	}
	if (k == s->n)
		return true;
	wrong(out, s->labels, "series");
	buf_fmt(out, ": %zu points too many, the first at %lld: ", s->n - k,
		(long long)s->t_ms[k]);
	write_value(hist_at(s, k), s->v[k], out);
	return false;
}

static bool check_matrix(const struct eval *ev, const struct promql_result *r,
			 struct buf *out)
{
	size_t pos;
	if (ev->wants_scalar || eval_wants(ev, EXPECT_ORDERED)) {
		buf_str(out, STR("a matrix, where something else is expected"));
		return false;
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct promql_series *s = &r->series[i];
		const struct series_text *want = expected(ev, s->labels, &pos);
		if (i && labels_cmp(r->series[i - 1].labels, s->labels) > 0)
			return wrong(out, s->labels, "the matrix is not sorted:");
		if (!want)
			return wrong(out, s->labels, "unexpected in the result:");
		if (!check_series(ev, s, want, out))
			return false;
	}
	return all_seen(ev, r, out);
}

static bool check_vector(const struct eval *ev, const struct promql_result *r,
			 struct buf *out)
{
	if (ev->wants_scalar) {
		buf_str(out, STR("a vector, where a scalar is expected"));
		return false;
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct promql_series *s = &r->series[i];
		size_t pos;
		const struct series_text *want = expected(ev, s->labels, &pos);
		if (!want || want->n == 0)
			return wrong(out, s->labels, "unexpected in the result:");
		if (eval_wants(ev, EXPECT_ORDERED) && pos != i)
			return wrong(out, s->labels, "at another place:");
		if (!value_is(&want->slot[0], s->v[0], hist_at(s, 0)))
			return wrong_value(out, s->labels, s->t_ms[0], &want->slot[0],
					   s->v[0], hist_at(s, 0));
	}
	return all_seen(ev, r, out);
}

static bool check_scalar(const struct eval *ev, const struct promql_result *r,
			 struct buf *out)
{
	double got = r->series[0].v[0];
	if (ev->wants_scalar && almost_eq(ev->scalar, got))
		return true;
	buf_fmt(out, "expected %s, got scalar ",
		ev->wants_scalar ? "another scalar" : "a vector or matrix");
	write_value(NULL, got, out);
	return false;
}

bool expect_result(const struct eval *ev, const struct promql_result *got,
		   struct buf *out)
{
	switch (got->type) {
	case TYPE_MATRIX: return check_matrix(ev, got, out);
	case TYPE_VECTOR: return check_vector(ev, got, out);
	case TYPE_SCALAR: return check_scalar(ev, got, out);
	case TYPE_STRING: break;
	}
	if (str_eq(ev->string, got->string))
		return true;
	buf_fmt(out, "expected string %.*s, got %.*s", STR_FMT(ev->string),
		STR_FMT(got->string));
	return false;
}
