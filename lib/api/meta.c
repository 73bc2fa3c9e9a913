/*
 * api/meta.c - /api/v1/series, /api/v1/labels, /api/v1/label/<name>/values.
 */
#include <stdlib.h>

#include "api/api_int.h"
#include "base/time.h"
#include "dedup/dedup.h"
#include "wire/json.h"

static int times(struct call *c, int64_t *start, int64_t *end)
{
	int64_t now = time_wall_ms(), range = c->api->o.metadata_range_ms;
	if (api_time(c, "start", range ? now - range : INT64_MIN / 1000, start) < 0 ||
	    api_time(c, "end", range ? now : INT64_MAX / 1000, end) < 0)
		return -1;
	if (*end < *start)
		return api_bad(c->ctx, c->e, "end",
			       "end timestamp must not be before start time");
	return 0;
}

static int put_all(struct call *c, struct series_set *set, int64_t limit, struct buf *out)
{
	const struct series_in *in;
	int rc;
	int64_t n = 0;
	buf_byte(out, '[');
	while ((rc = series_set_next(set, c->ctx, &in, c->e)) > 0) {
		if (limit && n == limit) {
			notes_warn(c->ctx->notes, "results truncated due to limit");
			break;
		}
		if (n++)
			buf_byte(out, ',');
		api_render_labels(in->labels, out);
		if (api_hold(c) < 0)
			return -1;
	}
	buf_byte(out, ']');
	return rc < 0 ? -1 : 0;
}

int api_series(struct call *c, struct buf *out)
{
	struct selectors sel;
	struct query_view v;
	int64_t start, end, limit;
	if (api_matches(c, true, &sel) < 0 || api_enforce_matches(c, &sel) < 0 ||
	    times(c, &start, &end) < 0 || api_limit(c, &limit) < 0 || api_view(c, &v) < 0)
		return -1;
	struct series_set **legs = ARENA_ARRAY(c->a, struct series_set *, sel.n + 1),
			  *set;
	struct store_series_req *reqs =
		ARENA_ARRAY(c->a, struct store_series_req, sel.n + 1);
	size_t n = 0;
	int rc = 0;
	for (; n < sel.n && rc == 0; n += rc == 0) {
		reqs[n] = (struct store_series_req){ .mint_ms = start,
						     .maxt_ms = end,
						     .matchers = sel.m[n],
						     .n_matchers = sel.count[n],
						     .skip_chunks = true,
						     .partial = v.partial,
						     .batch = 64,
						     .limit = limit ? limit + 1 : 0 };
		if (v.dedup) {
			reqs[n].without_replica_labels = v.replica_labels;
			reqs[n].n_without = v.n_replica_labels;
		}
		rc = store_series(v.store, c->ctx, &reqs[n], &legs[n], c->e);
	}
	if (rc < 0) {
		while (n)
			series_set_close(legs[--n]);
		return -1;
	}
	if (merge_open(c->ctx, legs, n, NULL, &set, c->e) < 0)
		return -1;
	rc = put_all(c, set, limit, out);
	series_set_close(set);
	return rc;
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static int put_strings(struct call *c, struct str *v, size_t n, int64_t limit,
		       struct buf *out)
{
	struct jw w;
	size_t shown = 0;
	vec_sort(v, n, sizeof(*v), by_str, NULL);
	api_begin(c);
	jw_init(&w, out);
	jw_arr(&w);
	for (size_t i = 0; i < n; i++) {
		if (i && str_eq(v[i], v[i - 1]))
			continue;
		if (limit && shown++ == (size_t)limit) {
			notes_warn(c->ctx->notes, "results truncated due to limit");
			break;
		}
		jw_str(&w, v[i]);
		if (api_flush(c) < 0)
			return -1;
	}
	jw_arr_end(&w);
	return 0;
}

/* Names or values; with several match[], the union. */
static int label_answer(struct call *c, struct str label, struct buf *out)
{
	struct selectors sel;
	struct query_view v;
	int64_t start, end, limit;
	if (api_matches(c, false, &sel) < 0 || api_enforce_matches(c, &sel) < 0 ||
	    times(c, &start, &end) < 0 || api_limit(c, &limit) < 0 || api_view(c, &v) < 0)
		return -1;
	struct str *all = NULL;
	size_t n = 0, cap = 0;
	int rc = 0;
	for (size_t i = 0; i < MAX(sel.n, (size_t)1) && rc == 0; i++) {
		struct store_labels_resp resp = { 0 };
		struct store_labels_req req = { .label = label,
						.mint_ms = start,
						.maxt_ms = end,
						.partial = v.partial };
		if (sel.n) {
			req.matchers = sel.m[i];
			req.n_matchers = sel.count[i];
		}
		rc = (label.p ? v.store->ops->label_values
			      : v.store->ops->label_names)(v.store, c->ctx, c->a, &req,
							   &resp, c->e);
		for (size_t k = 0; k < resp.n && rc == 0; k++) {
			if (n == cap)
				all = vec_grow(all, &cap, n + 1, sizeof(*all));
			all[n++] = resp.v[k];
		}
	}
	if (rc == 0)
		rc = put_strings(c, all, n, limit, out);
	free(all);
	return rc;
}

int api_label_names(struct call *c, struct buf *out)
{
	return label_answer(c, STR_NULL, out);
}

static int hex_of(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* "U__a_2e_b" is how clients put "a.b" into a path: "__" is "_", "_2e_" a code point in hex. */
static struct str unescape_name(struct arena *a, struct str s)
{
	struct buf b;
	if (!str_has_prefix(s, STR("U__")))
		return s;
	buf_init(&b, s.n * 4 + 4);
	for (size_t i = 3; i < s.n; i++) {
		if (s.p[i] != '_') {
			buf_byte(&b, (uint8_t)s.p[i]);
			continue;
		}
		if (i + 1 < s.n && s.p[i + 1] == '_') {
			buf_byte(&b, '_');
			i++;
			continue;
		}
		uint32_t r = 0;
		size_t k = i + 1;
		while (k < s.n && k < i + 7 && hex_of(s.p[k]) >= 0)
			r = r * 16 + (uint32_t)hex_of(s.p[k++]);
		if (k == i + 1 || k == s.n || s.p[k] != '_' || r > 0x10ffff) {
			buf_deinit(&b);
			return s; /* not an escaped name after all */
		}
		if (r < 0x80) {
			buf_byte(&b, (uint8_t)r);
		} else if (r < 0x800) {
			buf_byte(&b, (uint8_t)(0xc0 | r >> 6));
			buf_byte(&b, (uint8_t)(0x80 | (r & 63)));
		} else {
			if (r >= 0x10000) {
				buf_byte(&b, (uint8_t)(0xf0 | r >> 18));
				buf_byte(&b, (uint8_t)(0x80 | (r >> 12 & 63)));
			} else {
				buf_byte(&b, (uint8_t)(0xe0 | r >> 12));
			}
			buf_byte(&b, (uint8_t)(0x80 | (r >> 6 & 63)));
			buf_byte(&b, (uint8_t)(0x80 | (r & 63)));
		}
		i = k;
	}
	struct str out = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return out;
}

int api_label_values(struct call *c, struct buf *out)
{
	struct str name = unescape_name(c->a, c->req->capture);
	if (name.n == 0 || !str_is_utf8(name))
		return err_set(c->ctx, c->e, E_INVALID, "invalid label name: \"%.*s\"",
			       STR_FMT(name));
	return label_answer(c, name, out);
}
