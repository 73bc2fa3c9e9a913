/*
 * api/blocks_api.c - /api/v1/blocks, /api/v1/blocks/mark, /api/v1/status/...: the answers of Thanos' bucket API.
 *
 *   GET  /api/v1/blocks?view=global|loaded   {"label":"","blocks":[meta.json, ...],"refreshedAt":time,"err":text or null}
 *   POST /api/v1/blocks/mark                 id, action=DELETION|NO_COMPACTION, detail
 */
#include "api/blocks_api.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api_int.h"
#include "base/log.h"
#include "base/time.h"
#include "wire/json.h"

#define MAX_ANSWER ((size_t)1 << 31)
#define ROUTES	   5

struct view_state {
	struct catalogue *c; /* NULL: none yet */
	int64_t refreshed_ms;
	char error[512]; /* empty: none */
};
struct blocks_api {
	struct blocks_api_opts o;
	pthread_mutex_t mu;
	struct view_state view[BLOCKS_VIEWS]; /* mu */
	struct http_route routes[ROUTES];
};

/* What a handler appends to out is the value of "data"; nothing: there is none. -1: e says what is wrong with the call. */
typedef int blocks_work(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
			struct buf *out, struct err *e);

static int answer(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
		  struct http_resp *w, struct err *e, blocks_work *work)
{
	struct err why = ERR_INIT;
	struct buf data, b;
	int status = 200;
	buf_init(&data, MAX_ANSWER);
	buf_init(&b, MAX_ANSWER);
	if (work(a, ctx, q, &data, &why) < 0) {
		bool bad = why.code == E_INVALID || why.code == E_NOT_FOUND;
		status = bad ? 400 : 500;
		const struct notes_view none = { 0 };
		api_render_error(bad ? "bad_data" : "internal", err_text(&why), &none,
				 &b);
		http_add_header(w, "Cache-Control", STR("no-store"));
	} else {
		buf_str(&b, STR("{\"status\":\"success\""));
		if (data.n) {
			buf_str(&b, STR(",\"data\":"));
			buf_str(&b, buf_view(&data));
		}
		buf_byte(&b, '}');
	}
	int rc = buf_check(&b, ctx, "answer", e);
	if (rc == 0)
		rc = http_reply(w, ctx, status, "application/json", buf_view(&b), e);
	buf_deinit(&data);
	buf_deinit(&b);
	return rc;
}

/* ---- views ---- */

static void put_blocks(struct jw *w, const struct catalogue *c)
{
	jw_arr(w);
	for (size_t i = 0; c && i < c->n; i++) {
		struct buf meta;
		buf_init(&meta, MAX_ANSWER);
		block_meta_write_line(&c->block[i].meta, &meta);
		jw_raw(w, buf_view(&meta));
		buf_deinit(&meta);
	}
	jw_arr_end(w);
}

static int get_blocks(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
		      struct buf *out, struct err *e)
{
	bool loaded = str_eqz(http_param(q, "view"), "loaded");
	struct view_state s;
	char time[40];
	struct jw w;
	(void)ctx;
	(void)e;
	pthread_mutex_lock(&a->mu);
	s = a->view[loaded ? BLOCKS_LOADED : BLOCKS_GLOBAL];
	if (s.c)
		ref_get(&s.c->ref);
	pthread_mutex_unlock(&a->mu);
	jw_init(&w, out);
	jw_obj(&w);
	jw_key(&w, STR("label"));
	jw_str(&w, a->o.label);
	jw_key(&w, STR("blocks"));
	put_blocks(&w, s.c);
	jw_key(&w, STR("refreshedAt"));
	size_t n = time_format_rfc3339(time, s.refreshed_ms / 1000,
				       (uint32_t)(s.refreshed_ms % 1000) * 1000000u, 3);
	if (s.refreshed_ms)
		jw_str(&w, str_n(time, n));
	else
		jw_str(&w, STR("0001-01-01T00:00:00Z"));
	jw_key(&w, STR("err"));
	if (s.error[0])
		jw_str(&w, str_of(s.error));
	else
		jw_null(&w);
	jw_obj_end(&w);
	if (s.c)
		ref_put(&s.c->ref);
	return 0;
}

void blocks_api_set(struct blocks_api *a, enum blocks_view v, struct catalogue *c,
		    const struct err *why)
{
	struct catalogue *old = NULL;
	pthread_mutex_lock(&a->mu);
	struct view_state *s = &a->view[v];
	s->refreshed_ms = time_wall_ms();
	snprintf(s->error, sizeof(s->error), "%s", why ? err_text(why) : "");
	if (c) {
		old = s->c;
		s->c = c;
		ref_get(&c->ref);
	}
	pthread_mutex_unlock(&a->mu);
	if (old)
		ref_put(&old->ref);
}

/* ---- marks ---- */

static int found_one(void *arg, struct str name, const struct bucket_attrs *at,
		     struct err *e)
{
	(void)name, (void)at, (void)e;
	*(bool *)arg = true;
	return 0;
}

static int put_mark(struct blocks_api *a, struct ctx *ctx, enum mark_kind kind,
		    const struct block_mark *m, struct err *e)
{
	char id[27];
	bool there = false;
	struct arena tmp;
	ulid_format(&m->id, id);
	arena_init(&tmp, NULL);
	int rc = bucket_iter(a->o.bucket, ctx, str_of(id), true, found_one, &there, e);
	if (rc == 0 && !there)
		rc = err_set(ctx, e, E_NOT_FOUND, "block %s is not in the bucket", id);
	if (rc == 0)
		rc = bucket_exists(a->o.bucket, ctx,
				   str_fmt(&tmp, "%s/%s", id, mark_filename(kind)),
				   &there, e);
	if (rc == 0 && there)
		log_warn(ctx, "block %s has a %s already", id, mark_filename(kind));
	else if (rc == 0)
		rc = mark_put(a->o.bucket, ctx, kind, m, e);
	if (rc == 0 && !there)
		log_info(ctx, "block %s was given a %s by HTTP", id, mark_filename(kind));
	arena_deinit(&tmp);
	return rc;
}

static int post_mark(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
		     struct buf *out, struct err *e)
{
	struct str id = http_param(q, "id"), action = http_param(q, "action");
	struct block_mark m = { .time_s = time_wall_ms() / 1000,
				.details = http_param(q, "detail") };
	(void)out;
	if (a->o.no_admin)
		return err_set(ctx, e, E_INVALID, "Admin operations are disabled");
	if (id.n == 0)
		return err_set(ctx, e, E_INVALID, "ID cannot be empty");
	if (action.n == 0)
		return err_set(ctx, e, E_INVALID, "Action cannot be empty");
	if (!ulid_parse(id, &m.id))
		return err_set(ctx, e, E_INVALID, "ULID \"%.*s\" is not valid",
			       (int)MIN(id.n, 100u), id.p);
	if (str_eqz(action, "DELETION"))
		return put_mark(a, ctx, MARK_DELETION, &m, e);
	m.reason = STR("manual");
	if (str_eqz(action, "NO_COMPACTION"))
		return put_mark(a, ctx, MARK_NO_COMPACT, &m, e);
	return err_set(ctx, e, E_INVALID, "not supported marker %.*s",
		       (int)MIN(action.n, 100u), action.p);
}

/* ---- status ---- */

static int get_flags(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
		     struct buf *out, struct err *e)
{
	(void)ctx, (void)q, (void)e;
	api_write_flags(a->o.flags, out);
	return 0;
}

static int get_buildinfo(struct blocks_api *a, struct ctx *ctx, const struct http_req *q,
			 struct buf *out, struct err *e)
{
	(void)ctx, (void)q, (void)e;
	api_write_buildinfo(a->o.version, a->o.revision, out);
	return 0;
}

static int get_runtimeinfo(struct blocks_api *a, struct ctx *ctx,
			   const struct http_req *q, struct buf *out, struct err *e)
{
	(void)ctx, (void)q, (void)e;
	api_write_runtimeinfo(a->o.pool, out);
	return 0;
}

#define HANDLER(name)                                                                    \
	static int on_##name(void *arg, struct ctx *ctx, const struct http_req *q,       \
			     struct http_resp *w, struct err *e)                         \
	{                                                                                \
		return answer(arg, ctx, q, w, e, name);                                  \
	}
HANDLER(get_blocks)
HANDLER(post_mark)
HANDLER(get_flags)
HANDLER(get_buildinfo)
HANDLER(get_runtimeinfo)

struct blocks_api *blocks_api_new(const struct blocks_api_opts *o)
{
	struct blocks_api *a = xcalloc(1, sizeof(*a));
	const struct http_route routes[ROUTES] = {
		{ "GET", "/api/v1/blocks", HTTP_ON_REQUEST, on_get_blocks, a, "blocks" },
		{ "POST", "/api/v1/blocks/mark", HTTP_ON_REQUEST, on_post_mark, a,
		  "blocks_mark" },
		{ "GET", "/api/v1/status/flags", HTTP_ON_REQUEST, on_get_flags, a,
		  "status_flags" },
		{ "GET", "/api/v1/status/buildinfo", HTTP_ON_REQUEST, on_get_buildinfo, a,
		  "status_build" },
		{ "GET", "/api/v1/status/runtimeinfo", HTTP_ON_REQUEST,
		  on_get_runtimeinfo, a, "status_runtime" },
	};
	a->o = *o;
	memcpy(a->routes, routes, sizeof(routes));
	pthread_mutex_init(&a->mu, NULL);
	return a;
}

void blocks_api_free(struct blocks_api *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < BLOCKS_VIEWS; i++)
		if (a->view[i].c)
			ref_put(&a->view[i].c->ref);
	pthread_mutex_destroy(&a->mu);
	free(a);
}

const struct http_route *blocks_api_routes(struct blocks_api *a, size_t *n)
{
	*n = ROUTES;
	return a->routes;
}
