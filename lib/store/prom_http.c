/*
 * store/prom_http.c - Prometheus' HTTP API, as far as the sidecar asks it.
 *
 * Answers come in full before they are read: they are lists that must be sorted anyway. Each is charged to the
 * caller's budget as it grows, and held by the caller's arena.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "base/vec.h"
#include "store/prom_int.h"
#include "wire/codec.h"
#include "wire/json.h"

#define SHOWN_BODY_BYTES 1024u /* of an answer that is no success */

/* ---- one answer ---- */

void prom_held_init(struct prom_held *h, struct budget *budget)
{
	*h = (struct prom_held){ .budget = budget };
	buf_init(&h->b, LIMIT_REMOTE_READ_BYTES);
}

void prom_held_free(void *held)
{
	struct prom_held *h = held;
	buf_deinit(&h->b);
	budget_give(h->budget, h->charged);
	h->charged = 0;
}

int prom_held_charge(struct prom_held *h, struct ctx *ctx, struct err *e)
{
	if (buf_check(&h->b, ctx, "answer", e) < 0)
		return -1;
	if (h->b.cap <= h->charged)
		return 0;
	size_t more = h->b.cap - h->charged;
	if (h->budget && budget_take(h->budget, ctx, more, e) < 0)
		return -1;
	h->charged += more;
	return 0;
}

int prom_read_whole(struct ctx *ctx, struct http_body *in, struct prom_held *to,
		    struct err *e)
{
	struct view v;
	int rc;
	while ((rc = http_body_read(in, ctx, &v, e)) > 0) {
		buf_add(&to->b, v.p, v.n);
		http_body_release(in, &v);
		if (prom_held_charge(to, ctx, e) < 0)
			return -1;
	}
	return rc;
}

int prom_http_failed(struct ctx *ctx, int status, struct str body, struct err *e)
{
	enum err_code code = status == 400 || status == 422 ? E_INVALID
			     : status == 404		    ? E_NOT_FOUND
			     : status >= 500		    ? E_UNAVAILABLE
							    : E_REMOTE;
	body = str_trim(body);
	body.n = MIN(body.n, (size_t)SHOWN_BODY_BYTES);
	return err_set(ctx, e, code, "expected 2xx response, got %d. Body: %.*s", status,
		       STR_FMT(body));
}

int prom_get(struct prom_store *p, struct ctx *ctx, struct arena *a, const char *path,
	     struct str query, struct str *body, struct err *e)
{
	struct http_answer answer;
	struct http_body *in;
	struct prom_held *h = ARENA_NEW(a, struct prom_held);
	struct http_fetch_req r = { .method = "GET",
				    .url = str_fmt(a, "%s%s%s%.*s", p->url, path,
						   query.n ? "?" : "", STR_FMT(query)) };
	prom_held_init(h, ctx->budget);
	arena_on_free(a, prom_held_free, h);
	if (http_open(p->o.http, ctx, a, &r, 0, &answer, &in, e) < 0)
		return -1;
	int rc = prom_read_whole(ctx, in, h, e);
	http_body_close(in);
	if (rc == 0 && answer.status / 100 != 2)
		rc = prom_http_failed(ctx, answer.status, buf_view(&h->b), e);
	if (rc < 0)
		return err_wrap(ctx, e, "Prometheus %s", path);
	*body = buf_view(&h->b);
	return 0;
}

/* The member `data` of a small answer. */
static int get_data(struct prom_store *p, struct ctx *ctx, struct arena *a,
		    const char *path, const struct doc **data, struct err *e)
{
	struct str body;
	struct doc *d;
	if (prom_get(p, ctx, a, path, STR(""), &body, e) < 0)
		return -1;
	if (json_parse(ctx, a, body, &d, e) < 0)
		return err_wrap(ctx, e, "Prometheus %s", path);
	*data = d->kind == DOC_MAP ? doc_get(d, "data") : NULL;
	if (!*data || (*data)->kind != DOC_MAP)
		return err_set(ctx, e, E_REMOTE, "Prometheus %s: answer without data",
			       path);
	return 0;
}

static struct str text_of(const struct doc *map, const char *key)
{
	const struct doc *d = doc_get(map, key);
	return d && d->kind == DOC_STR ? d->s : STR("");
}

/* ---- what a heartbeat asks ---- */

int prom_version(struct prom_store *p, struct ctx *ctx, struct arena *a, struct str *out,
		 struct err *e)
{
	struct err why = ERR_INIT;
	const struct doc *data;
	*out = STR("of unknown version");
	if (get_data(p, ctx, a, "/api/v1/status/buildinfo", &data, &why) == 0)
		*out = str_dup(a, text_of(data, "version"));
	else if (why.code != E_NOT_FOUND)
		return err_copy(ctx, e, &why);
	return 0;
}

/*
 * A section of the configuration that Prometheus prints, "global:" for instance: from its line to the next that is not
 * indented. Only this is parsed, for the whole may be larger than any limit of ours.
 */
static struct str section_of(struct str yaml, struct str name)
{
	struct str rest = yaml, line;
	const char *begin = NULL;
	bool more = true;
	while (more) {
		more = str_cut(&rest, '\n', &line);
		if (begin && line.n && line.p[0] != ' ' && line.p[0] != '#')
			return str_n(begin, (size_t)(line.p - begin));
		if (!begin && str_has_prefix(line, name))
			begin = line.p;
	}
	return begin ? str_n(begin, (size_t)(yaml.p + yaml.n - begin)) : STR("");
}

static int labels_of(struct ctx *ctx, struct arena *a, const struct doc *map,
		     struct labels *out, struct err *e)
{
	struct label *l = ARENA_ARRAY(a, struct label, map->n + 1);
	uint32_t n = 0;
	for (size_t i = 0; i < map->n; i++) {
		if (map->item[i]->kind == DOC_LIST || map->item[i]->kind == DOC_MAP)
			return err_set(ctx, e, E_REMOTE,
				       "external label %.*s is not a text",
				       STR_FMT(map->key[i]->s));
		if (map->key[i]->s.n && map->item[i]->s.n)
			l[n++] = (struct label){ str_dup(a, map->key[i]->s),
						 str_dup(a, map->item[i]->s) };
	}
	if (!labels_sort(l, n))
		return err_set(ctx, e, E_REMOTE, "an external label is given twice");
	*out = (struct labels){ l, n, 0 };
	return 0;
}

static const struct doc *map_of(const struct doc *d, const char *key)
{
	const struct doc *m = d && d->kind == DOC_MAP ? doc_get(d, key) : NULL;
	return m && m->kind == DOC_MAP ? m : NULL;
}

static int parse_config(struct ctx *ctx, struct arena *tmp, struct arena *a,
			struct str yaml, struct prom_config *out, struct err *e)
{
	struct doc *global, *storage;
	if (yaml_parse(ctx, tmp, section_of(yaml, STR("global:")), &global, e) < 0 ||
	    yaml_parse(ctx, tmp, section_of(yaml, STR("storage:")), &storage, e) < 0)
		return -1;
	const struct doc *ext = map_of(map_of(global, "global"), "external_labels");
	const struct doc *tsdb = map_of(map_of(storage, "storage"), "tsdb");
	if (tsdb) {
		struct str window = text_of(tsdb, "out_of_order_time_window");
		if (window.n && !time_parse_duration_ms(window, &out->ooo_window_ms))
			return err_set(ctx, e, E_REMOTE,
				       "out_of_order_time_window: %.*s is no duration",
				       STR_FMT(window));
	}
	out->remote_read = section_of(yaml, STR("remote_read:")).n > 0;
	return ext ? labels_of(ctx, a, ext, &out->external, e) : 0;
}

int prom_config(struct prom_store *p, struct ctx *ctx, struct arena *a,
		struct prom_config *out, struct err *e)
{
	static const char path[] = "/api/v1/status/config";
	struct arena tmp;
	const struct doc *data;
	arena_init(&tmp, ctx->budget);
	*out = (struct prom_config){ 0 };
	int rc = get_data(p, ctx, &tmp, path, &data, e);
	if (rc == 0) {
		rc = parse_config(ctx, &tmp, a, text_of(data, "yaml"), out, e);
		if (rc < 0)
			err_wrap(ctx, e, "Prometheus %s", path);
	}
	arena_deinit(&tmp);
	return rc;
}

int prom_tsdb(struct prom_store *p, struct ctx *ctx, struct prom_tsdb *out, struct err *e)
{
	double lowest_ms;
	const struct {
		const char *name;
		double *to, factor;
	} row[] = {
		/* Those in seconds are cut to whole ones. */
		{ "prometheus_tsdb_lowest_timestamp", &out->lowest_ms, 1 },
		{ "prometheus_tsdb_lowest_timestamp_seconds", &lowest_ms, 1000 },
		{ "prometheus_tsdb_head_min_time", &out->head_mint_ms, 1 },
		{ "prometheus_tsdb_head_max_time", &out->head_maxt_ms, 1 },
		{ "prometheus_tsdb_blocks_loaded", &out->blocks, 1 },
		{ "prometheus_tsdb_storage_blocks_bytes", &out->blocks_bytes, 1 },
		{ "prometheus_tsdb_wal_storage_size_bytes", &out->wal_bytes, 1 },
		{ "prometheus_tsdb_wal_segment_current", &out->wal_segment, 1 },
	};
	struct arena tmp;
	struct str rest, line, name;
	bool more = true;
	double v;
	*out = (struct prom_tsdb){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		*row[i].to = NAN;
	arena_init(&tmp, ctx->budget);
	if (prom_get(p, ctx, &tmp, "/metrics", STR(""), &rest, e) < 0) {
		arena_deinit(&tmp);
		return -1;
	}
	while (more) {
		more = str_cut(&rest, '\n', &line);
		if (!str_has_prefix(line, STR("prometheus_tsdb_")))
			continue;
		str_cut(&line, ' ', &name);
		for (size_t i = 0; i < ARRAY_LEN(row); i++)
			if (str_eqz(name, row[i].name) && str_to_f64(str_trim(line), &v))
				*row[i].to = floor(v * row[i].factor + 0.5);
	}
	if (isnan(out->lowest_ms))
		out->lowest_ms = lowest_ms;
	arena_deinit(&tmp);
	return 0;
}

int prom_store_flags(struct prom_store *p, struct ctx *ctx, struct arena *a,
		     struct prom_flags *out, struct err *e)
{
	const struct doc *data;
	struct err why = ERR_INIT;
	*out = (struct prom_flags){ 0 };
	if (get_data(p, ctx, a, "/api/v1/status/flags", &data, &why) < 0)
		return why.code == E_NOT_FOUND ? 0 : err_copy(ctx, e, &why);
	out->known = true;
	out->min_block = text_of(data, "storage.tsdb.min-block-duration");
	out->max_block = text_of(data, "storage.tsdb.max-block-duration");
	out->delay_compact_file = text_of(data, "storage.tsdb.delay-compact-file.path");
	if (!time_parse_duration_ms(out->min_block, &out->min_block_ms) ||
	    !time_parse_duration_ms(out->max_block, &out->max_block_ms))
		return err_set(ctx, e, E_REMOTE,
			       "Prometheus tells no block durations among its flags");
	return 0;
}

/* ---- labels and series ---- */

void prom_put_param(struct buf *q, const char *name, struct str value)
{
	if (q->n)
		buf_byte(q, '&');
	buf_fmt(q, "%s=", name);
	url_escape_query(value, q);
}

void prom_put_time(struct buf *q, const char *name, int64_t ms)
{
	char text[40];
	uint64_t u = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	int n = snprintf(text, sizeof(text), "%s%llu.%03llu", ms < 0 ? "-" : "",
			 (unsigned long long)(u / 1000), (unsigned long long)(u % 1000));
	prom_put_param(q, name, str_n(text, (size_t)n));
}

static void put_matchers(struct buf *q, const struct prom_selection *s)
{
	struct buf text;
	if (s->n_matchers == 0)
		return;
	buf_init(&text, LIMIT_HTTP_BODY_BYTES);
	for (size_t i = 0; i < s->n_matchers; i++) {
		buf_byte(&text, i ? ',' : '{');
		matcher_text(&s->matchers[i], &text);
	}
	buf_byte(&text, '}');
	prom_put_param(q, "match[]", buf_view(&text));
	q->failed |= text.failed;
	buf_deinit(&text);
}

/* The member `data`, an array: j stands in front of its first element. */
static int get_list(struct prom_store *p, struct ctx *ctx, struct arena *a,
		    const char *path, const struct prom_selection *s, struct jr *j,
		    struct err *e)
{
	struct buf q;
	struct str body;
	buf_init(&q, LIMIT_HTTP_BODY_BYTES);
	put_matchers(&q, s);
	if (s->mint_ms != INT64_MIN)
		prom_put_time(&q, "start", s->mint_ms);
	if (s->maxt_ms != INT64_MAX)
		prom_put_time(&q, "end", s->maxt_ms);
	if (s->limit > 0)
		prom_put_param(&q, "limit", str_fmt(a, "%lld", (long long)s->limit));
	int rc = buf_check(&q, ctx, "selector", e);
	if (rc == 0)
		rc = prom_get(p, ctx, a, path, buf_view(&q), &body, e);
	buf_deinit(&q);
	if (rc < 0)
		return -1;
	jr_init(j, a, body);
	if (jr_next(j) == JSON_OBJ)
		for (enum json_tok t; (t = jr_next(j)) == JSON_KEY;) {
			if (!str_eqz(j->s, "data")) {
				if (jr_skip(j) < 0)
					break;
				continue;
			}
			if ((t = jr_next(j)) == JSON_ARR)
				return 1;
			if (t == JSON_NULL)
				return 0;
			break;
		}
	return err_set(ctx, e, E_REMOTE, "Prometheus %s: answer without data (byte %zu)",
		       path, jr_offset(j));
}

static int bad_list(struct ctx *ctx, const char *path, const struct jr *j, struct err *e)
{
	return err_set(ctx, e, E_REMOTE, "Prometheus %s: malformed answer at byte %zu",
		       path, jr_offset(j));
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* A growing array in an arena, charged: doubles. */
static void *grow(struct arena *a, struct ctx *ctx, void *v, size_t n, size_t *cap,
		  size_t elem, struct err *e)
{
	if (n < *cap)
		return v;
	size_t more = *cap ? *cap * 2 : 16;
	void *w = arena_try(a, ctx, more * elem, e);
	if (w && n)
		memcpy(w, v, n * elem);
	*cap = more;
	return w;
}

int prom_label_list(struct prom_store *p, struct ctx *ctx, struct arena *a,
		    struct str label, const struct prom_selection *s, struct str **out,
		    size_t *n, struct err *e)
{
	const char *path = "/api/v1/labels";
	struct jr j;
	struct str *v = NULL;
	size_t k = 0, cap = 0, unique = 0;
	enum json_tok t = JSON_EOF;
	if (label.n) {
		struct buf b;
		buf_init(&b, label.n * 3 + 64);
		buf_str(&b, STR("/api/v1/label/"));
		url_escape_segment(label, &b);
		buf_str(&b, STR("/values"));
		path = str_dupz(a, buf_view(&b));
		buf_deinit(&b);
	}
	int rc = get_list(p, ctx, a, path, s, &j, e);
	if (rc < 0)
		return -1;
	while (rc && (t = jr_next(&j)) == JSON_STR) {
		v = grow(a, ctx, v, k, &cap, sizeof(*v), e);
		if (!v)
			return -1;
		v[k++] = j.s;
	}
	if (rc && t != JSON_ARR_END)
		return bad_list(ctx, path, &j, e);
	if (k > 1)
		vec_sort(v, k, sizeof(*v), by_str, NULL);
	for (size_t i = 0; i < k; i++)
		if (unique == 0 || !str_eq(v[unique - 1], v[i]))
			v[unique++] = v[i];
	*out = v;
	*n = unique;
	return 0;
}

/* One {"name":"value", ...}; the brace is behind us. */
static int take_labels(struct jr *j, struct ctx *ctx, struct arena *a, struct labels *out,
		       struct err *e)
{
	struct label *l = NULL;
	size_t n = 0, cap = 0;
	enum json_tok t;
	while ((t = jr_next(j)) == JSON_KEY) {
		struct str name = j->s;
		if (jr_next(j) != JSON_STR)
			return 1;
		if (name.n == 0 || j->s.n == 0)
			continue;
		l = grow(a, ctx, l, n, &cap, sizeof(*l), e);
		if (!l)
			return -1;
		l[n++] = (struct label){ name, j->s };
	}
	if (t != JSON_OBJ_END || !labels_sort(l, n))
		return 1;
	*out = (struct labels){ l, (uint32_t)n, 0 };
	return 0;
}

int prom_series_list(struct prom_store *p, struct ctx *ctx, struct arena *a,
		     const struct prom_selection *s, struct labels **out, size_t *n,
		     struct err *e)
{
	static const char path[] = "/api/v1/series";
	struct jr j;
	struct labels *v = NULL;
	size_t k = 0, cap = 0;
	enum json_tok t = JSON_EOF;
	int rc = get_list(p, ctx, a, path, s, &j, e);
	if (rc < 0)
		return -1;
	while (rc && (t = jr_next(&j)) == JSON_OBJ) {
		v = grow(a, ctx, v, k, &cap, sizeof(*v), e);
		if (!v)
			return -1;
		int got = take_labels(&j, ctx, a, &v[k++], e);
		if (got)
			return got < 0 ? -1 : bad_list(ctx, path, &j, e);
	}
	if (rc && t != JSON_ARR_END)
		return bad_list(ctx, path, &j, e);
	*out = v;
	*n = k;
	return 0;
}
