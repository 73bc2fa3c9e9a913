/*
 * store/proxy.c - one store over many endpoints.
 *
 * An endpoint is asked if its time range, its external labels and one of its TSDBs may hold what the request
 * wants. All requests are sent before the first answer is read. An endpoint that matches but is known
 * to be dead costs nothing and is named in a warning.
 *
 * Selector labels say which part of all data this proxy stands for: Info puts them over what the endpoints say, and
 * matchers on them are answered here and not sent on. Series do not carry them.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"
#include "dedup/dedup.h"
#include "store/endpoint_int.h"
#include "store/proxy_int.h"
#include "proto/convert.h"

static const struct metric_desc rows[] = {
	{ .kind = METRIC_COUNTER,
	  .name = "thanos_proxy_store_empty_stream_responses_total",
	  .help = "Total number of empty responses received." },
};
struct proxy {
	struct store store;
	struct proxy_opts o;
	struct metric *empty;
};
struct view_store {
	struct store store;
	struct proxy *p;
	const struct proxy_view *view;
};

/* ---- choice of endpoints ---- */

/* Could a store with these external labels hold series that match? A label it lacks may be a series' own. */
static bool labels_may_match(struct labels ext, const struct matcher *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (labels_has(ext, m[i].name) &&
		    !matcher_matches(&m[i], labels_get(ext, m[i].name)))
			return false;
	return true;
}

bool proxy_sets_may_match(const struct store_info *s, const struct matcher *m, size_t n)
{
	if (s->n_label_sets == 0)
		return true;
	for (size_t i = 0; i < s->n_label_sets; i++)
		if (labels_may_match(s->label_sets[i], m, n))
			return true;
	return false;
}

static bool tsdbs_may_match(const struct store_info *s, int64_t mint, int64_t maxt,
			    const struct matcher *m, size_t n)
{
	if (s->n_tsdbs == 0)
		return true;
	for (size_t i = 0; i < s->n_tsdbs; i++)
		if (s->tsdbs[i].mint_ms <= maxt && s->tsdbs[i].maxt_ms >= mint &&
		    labels_may_match(s->tsdbs[i].labels, m, n))
			return true;
	return false;
}

/* storeMatch[]: any of the sets; __address__ is the endpoint's address. */
static bool view_matches(const struct proxy_view *v, const char *addr,
			 const struct store_info *s)
{
	if (!v || v->n_sets == 0)
		return true;
	for (size_t i = 0; i < v->n_sets; i++) {
		bool all = true;
		for (size_t k = 0; all && k < v->n_store_match[i]; k++) {
			const struct matcher *m = &v->store_match[i][k];
			if (str_eq(m->name, STR("__address__")))
				all = matcher_matches(m, str_of(addr));
			else
				all = s && proxy_sets_may_match(s, m, 1);
		}
		if (all)
			return true;
	}
	return false;
}

struct want {
	int64_t mint_ms, maxt_ms;
	const struct matcher *m;
	size_t n;
	enum partial_strategy partial;
	const struct proxy_view *view;
};
struct chosen { /* all references */
	struct endpoint *ep;
	struct endpoint_member *m; /* who is asked */
	struct endpoint_info *info;
	bool group;
};

/* Matchers on selector labels are decided here. 1: *m is the rest, to be freed; 0: nothing can match. */
static int strip_selector(const struct proxy *p, const struct matcher *in, size_t n,
			  struct matcher **m, size_t *k)
{
	*m = xcalloc(n + 1, sizeof(**m));
	*k = 0;
	for (size_t i = 0; i < n; i++) {
		if (!labels_has(p->o.selector_labels, in[i].name))
			(*m)[(*k)++] = in[i];
		else if (!matcher_matches(&in[i],
					  labels_get(p->o.selector_labels, in[i].name))) {
			free(*m);
			*m = NULL;
			return 0;
		}
	}
	return 1;
}

static int note_dead(struct ctx *ctx, const struct want *w, const char *addr,
		     const char *why, struct err *e)
{
	if (w->partial == PARTIAL_ABORT)
		return err_set(ctx, e, E_ABORTED, "store %s is not available: %s", addr,
			       why);
	notes_warn(ctx->notes, "store %s is not available: %s", addr, why);
	return 0;
}

static void chosen_free(struct chosen *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ref_put(&c[i].info->ref);
		ref_put(&c[i].m->ref);
		ref_put(&c[i].ep->ref);
	}
	free(c);
}

static bool may_hold(const struct endpoint_info *info, const struct want *w)
{
	const struct store_info *si = &info->info;
	return info->has_store && si->mint_ms <= w->maxt_ms &&
	       si->maxt_ms >= w->mint_ms && proxy_sets_may_match(si, w->m, w->n) &&
	       tsdbs_may_match(si, w->mint_ms, w->maxt_ms, w->m, w->n);
}

/* 1: *out is to be asked, 0: not, -1: it cannot, and the request ends. */
static int choose_one(struct endpoint *ep, struct ctx *ctx, const struct want *w,
		      bool *fits, struct chosen *out, struct err *e)
{
	struct endpoint_view v;
	struct endpoint_member *m = NULL;
	endpoint_view(ep, &v);
	*fits = view_matches(w->view, ep->name, v.info ? &v.info->info : NULL) &&
		(!v.info || may_hold(v.info, w));
	if (*fits && v.info && (v.healthy || v.strict))
		m = endpoint_pick(ep);
	if (m) {
		ref_get(&ep->ref);
		*out = (struct chosen){ ep, m, v.info, v.group };
		return 1;
	}
	if (v.info)
		ref_put(&v.info->ref);
	return *fits ? note_dead(ctx, w, ep->name, v.why, e) : 0;
}

static int choose(struct proxy *p, struct ctx *ctx, const struct want *w,
		  struct chosen **out, size_t *n, struct err *e)
{
	struct endpoint_set *s = endpoints_now(p->o.endpoints);
	struct chosen *c = xcalloc(s->n + 1, sizeof(*c));
	size_t k = 0, expected = 0;
	int rc = 0;
	for (size_t i = 0; i < s->n && rc >= 0; i++) {
		bool fits;
		rc = choose_one(s->v[i], ctx, w, &fits, &c[k], e);
		k += rc == 1;
		expected += fits;
	}
	ref_put(&s->ref);
	if (rc < 0) {
		chosen_free(c, k);
		return -1;
	}
	notes_stores(ctx->notes, (uint32_t)expected, (uint32_t)k);
	*out = c;
	*n = k;
	return 0;
}

/* The endpoints that an answer comes from: discovery may drop them meanwhile. */
struct pinned {
	struct chosen *c;
	size_t n;
};

static void unpin(void *arg)
{
	struct pinned *x = arg;
	chosen_free(x->c, x->n);
	free(x);
}

/* Takes over c. */
static void pin(struct series_set *merged, struct chosen *c, size_t n)
{
	struct pinned *x = xmalloc(sizeof(*x));
	*x = (struct pinned){ c, n };
	merge_on_close(merged, unpin, x);
}

/* ---- Series ---- */

static struct proxy_call call_of(const struct chosen *c, const char *method,
				 struct str request)
{
	return (struct proxy_call){ .ep = c->ep,
				    .m = c->m,
				    .method = method,
				    .request = c->group ? request : STR_NULL };
}

static int open_leg(struct proxy *p, struct ctx *ctx, const struct chosen *c,
		    const struct store_series_req *req, struct str bytes,
		    struct series_set **out, struct err *e)
{
	struct rpc_stream *stream;
	struct rpc_call_opts o = { .budget = ctx->budget,
				   .window_min = PROXY_READ_AHEAD };
	if (rpc_open(c->m->channel, ctx, "/thanos.Store/Series", bytes, &o, &stream, e) <
	    0)
		return -1;
	ref_get(&c->m->ref);
	struct proxy_call call = call_of(c, "/thanos.Store/Series", bytes);
	struct proxy_leg_opts lo = { .call = &call,
				     .partial = req->partial,
				     .timeout_ns = p->o.response_timeout_ns,
				     .empty = p->empty,
				     .req = req };
	struct series_set *leg = proxy_leg_new(stream, &lo);
	bool sorts = req->n_without == 0 || c->info->info.without_replica_labels;
	if (sorts && atomic_load(&c->ep->origin.unsorted) == 0) {
		*out = leg;
		return 0;
	}
	return strip_open(ctx, leg, req->without_replica_labels, req->n_without, out, e);
}

static int series_from(struct proxy *p, const struct proxy_view *view, struct ctx *ctx,
		       const struct store_series_req *req, struct series_set **out,
		       struct err *e)
{
	struct want w = { req->mint_ms,	   req->maxt_ms, req->matchers,
			  req->n_matchers, req->partial, view };
	struct chosen *c;
	struct arena a;
	struct buf b;
	size_t n, k = 0;
	int rc = 0;
	struct store_series_req ask = *req;
	if (choose(p, ctx, &w, &c, &n, e) < 0)
		return -1;
	struct series_set **legs = xcalloc(n, sizeof(struct series_set *));
	struct merge_origin **origin = xcalloc(n, sizeof(struct merge_origin *));
	arena_init(&a, NULL);
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	ask.want_lanes = true;
	if (ask.batch <= 1)
		ask.batch = 64;
	proto_series_req_encode(&a, &ask, &b);
	rc = buf_check(&b, ctx, "Series request", e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct err why = ERR_INIT;
		if (open_leg(p, ctx, &c[i], req, buf_view(&b), &legs[k], &why) == 0)
			origin[k++] = &c[i].ep->origin;
		else
			rc = note_dead(ctx, &w, c[i].ep->name, err_text(&why), e);
	}
	if (rc == 0)
		rc = merge_open(ctx, legs, k, origin, out, e);
	else
		while (k)
			series_set_close(legs[--k]);
	buf_deinit(&b);
	arena_deinit(&a);
	free(legs);
	free(origin);
	if (rc == 0)
		pin(*out, c, n);
	else
		chosen_free(c, n);
	return rc;
}

static int series(struct proxy *p, const struct proxy_view *view, struct ctx *ctx,
		  const struct store_series_req *req, struct series_set **out,
		  struct err *e)
{
	struct store_series_req ask = *req;
	struct matcher *m;
	int rc;
	if (!strip_selector(p, req->matchers, req->n_matchers, &m, &ask.n_matchers)) {
		*out = series_set_of(NULL, 0);
		return 0;
	}
	ask.matchers = m;
	if (ask.n_matchers == 0)
		rc = err_set(ctx, e, E_INVALID,
			     "no matchers specified (excluding selector labels)");
	else
		rc = series_from(p, view, ctx, &ask, out, e);
	free(m);
	return rc;
}

static int proxy_series(struct store *s, struct ctx *ctx,
			const struct store_series_req *req, struct series_set **out,
			struct err *e)
{
	return series((struct proxy *)s, NULL, ctx, req, out, e);
}

static int view_series(struct store *s, struct ctx *ctx,
		       const struct store_series_req *req, struct series_set **out,
		       struct err *e)
{
	struct view_store *v = (struct view_store *)s;
	return series(v->p, v->view, ctx, req, out, e);
}

/* ---- LabelNames, LabelValues ---- */

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static int take_answer(struct ctx *ctx, struct arena *a, struct rpc_stream *stream,
		       struct store_labels_resp *to, struct err *e)
{
	struct store_labels_resp resp;
	struct str *warnings;
	size_t n;
	struct view msg;
	int rc = rpc_recv(stream, ctx, &msg, e);
	if (rc <= 0)
		return rc;
	char *keep = arena_try(a, ctx, msg.n + 1, e);
	if (keep && msg.n)
		memcpy(keep, msg.p, msg.n);
	struct str bytes = str_n(keep, msg.n);
	rpc_release(stream, &msg);
	if (!keep || proto_labels_resp_decode(ctx, a, bytes, &resp, &warnings, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		notes_warn(ctx->notes, "%.*s", STR_FMT(warnings[i]));
	*to = resp;
	return 0;
}

/* The answer of one, or of another member of its group. */
static int ask_one(struct ctx *ctx, struct arena *a, struct chosen *c, const char *method,
		   struct str request, struct rpc_stream **stream,
		   struct store_labels_resp *to, struct err *why)
{
	struct proxy_call call = call_of(c, method, request);
	int rc;
	while ((rc = take_answer(ctx, a, *stream, to, why)) < 0 &&
	       proxy_call_again(&call, ctx, why, stream))
		;
	c->m = call.m;
	return rc;
}

/* What the n answers hold together, sorted, each once. */
static int unite(struct ctx *ctx, struct arena *a, const struct store_labels_resp *r,
		 size_t n, struct store_labels_resp *out, struct err *e)
{
	size_t all = 0, k = 0, i = 0;
	for (size_t j = 0; j < n; j++)
		all += r[j].n;
	struct str *v = arena_try(a, ctx, all * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t j = 0; j < n; i += r[j++].n)
		if (r[j].n)
			memcpy(v + i, r[j].v, r[j].n * sizeof(*v));
	vec_sort(v, all, sizeof(*v), by_str, NULL);
	for (i = 0; i < all; i++)
		if (k == 0 || !str_eq(v[i], v[k - 1]))
			v[k++] = v[i];
	*out = (struct store_labels_resp){ v, k, STR_NULL };
	return 0;
}

static int labels_from(struct proxy *p, const struct proxy_view *view, bool values,
		       struct ctx *ctx, struct arena *a,
		       const struct store_labels_req *req, struct store_labels_resp *out,
		       struct err *e)
{
	struct want w = { req->mint_ms,	   req->maxt_ms, req->matchers,
			  req->n_matchers, req->partial, view };
	const char *method =
		values ? "/thanos.Store/LabelValues" : "/thanos.Store/LabelNames";
	struct chosen *c;
	struct buf b;
	size_t n;
	int rc = 0;
	if (choose(p, ctx, &w, &c, &n, e) < 0)
		return -1;
	struct rpc_stream **streams = xcalloc(n, sizeof(struct rpc_stream *));
	struct store_labels_resp *answers = xcalloc(n, sizeof(*answers));
	struct rpc_call_opts o = { .budget = ctx->budget };
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	proto_labels_req_encode(a, values, req, &b);
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_INIT;
		if (rpc_open(c[i].m->channel, ctx, method, buf_view(&b), &o, &streams[i],
			     &why) < 0)
			rc |= note_dead(ctx, &w, c[i].ep->name, err_text(&why), e);
	}
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct err why = ERR_INIT;
		if (streams[i] && ask_one(ctx, a, &c[i], method, buf_view(&b),
					  &streams[i], &answers[i], &why) < 0) {
			if (proxy_request_check(ctx, &why, e) < 0)
				rc = -1;
			else
				rc = note_dead(ctx, &w, c[i].ep->name, err_text(&why), e);
		}
	}
	for (size_t i = 0; i < n; i++)
		rpc_stream_close(streams[i]);
	if (rc == 0)
		rc = unite(ctx, a, answers, n, out, e);
	free(answers);
	free(streams);
	buf_deinit(&b);
	chosen_free(c, n);
	return rc;
}

static int labels_of(struct proxy *p, const struct proxy_view *view, bool values,
		     struct ctx *ctx, struct arena *a, const struct store_labels_req *req,
		     struct store_labels_resp *out, struct err *e)
{
	struct store_labels_req ask = *req;
	struct matcher *m;
	*out = (struct store_labels_resp){ 0 };
	if (!strip_selector(p, req->matchers, req->n_matchers, &m, &ask.n_matchers))
		return 0;
	ask.matchers = m;
	int rc = labels_from(p, view, values, ctx, a, &ask, out, e);
	free(m);
	return rc;
}

static int proxy_names(struct store *s, struct ctx *ctx, struct arena *a,
		       const struct store_labels_req *req, struct store_labels_resp *out,
		       struct err *e)
{
	return labels_of((struct proxy *)s, NULL, false, ctx, a, req, out, e);
}
static int proxy_values(struct store *s, struct ctx *ctx, struct arena *a,
			const struct store_labels_req *req, struct store_labels_resp *out,
			struct err *e)
{
	return labels_of((struct proxy *)s, NULL, true, ctx, a, req, out, e);
}
static int view_names(struct store *s, struct ctx *ctx, struct arena *a,
		      const struct store_labels_req *req, struct store_labels_resp *out,
		      struct err *e)
{
	struct view_store *v = (struct view_store *)s;
	return labels_of(v->p, v->view, false, ctx, a, req, out, e);
}
static int view_values(struct store *s, struct ctx *ctx, struct arena *a,
		       const struct store_labels_req *req, struct store_labels_resp *out,
		       struct err *e)
{
	struct view_store *v = (struct view_store *)s;
	return labels_of(v->p, v->view, true, ctx, a, req, out, e);
}

/* ---- Info: what all healthy endpoints say together ---- */

static struct labels with_selector(struct arena *a, struct labels ls, struct labels sel)
{
	struct label *l = ARENA_ARRAY(a, struct label, ls.n + sel.n + 1);
	return labels_dup(a, labels_merge(l, ls, sel));
}

/* Have we these labels already? A store may announce many sets: they are found by hash. */
static bool known(struct map64 *seen, const struct labels *sets, size_t n,
		  struct labels ls)
{
	uintptr_t at;
	uint64_t h = labels_hash(ls);
	for (; map64_get(seen, h, &at); h++)
		if (labels_eq(sets[at], ls))
			return true;
	map64_set(seen, h, n);
	return false;
}

static void add_info(struct arena *a, const struct store_info *i, struct labels sel,
		     struct map64 *seen, struct store_info *out)
{
	if (out->n_label_sets == 0 && out->n_tsdbs == 0 && out->maxt_ms == INT64_MIN) {
		out->mint_ms = i->mint_ms;
		out->maxt_ms = i->maxt_ms;
	}
	out->mint_ms = MIN(out->mint_ms, i->mint_ms);
	out->maxt_ms = MAX(out->maxt_ms, i->maxt_ms);
	struct labels *sets =
		ARENA_ARRAY(a, struct labels, out->n_label_sets + i->n_label_sets + 1);
	if (out->n_label_sets)
		memcpy(sets, out->label_sets, out->n_label_sets * sizeof(*sets));
	out->label_sets = sets;
	for (size_t k = 0; k < i->n_label_sets; k++) {
		struct labels ls = with_selector(a, i->label_sets[k], sel);
		if (!known(seen, sets, out->n_label_sets, ls))
			sets[out->n_label_sets++] = ls;
	}
	struct tsdb_info *t =
		ARENA_ARRAY(a, struct tsdb_info, out->n_tsdbs + i->n_tsdbs + 1);
	if (out->n_tsdbs)
		memcpy(t, out->tsdbs, out->n_tsdbs * sizeof(*t));
	out->tsdbs = t;
	for (size_t k = 0; k < i->n_tsdbs; k++) {
		t[out->n_tsdbs] = i->tsdbs[k];
		t[out->n_tsdbs++].labels = labels_dup(a, i->tsdbs[k].labels);
	}
}

static void proxy_info(struct store *s, struct arena *a, struct store_info *out)
{
	struct proxy *p = (struct proxy *)s;
	struct map64 seen;
	map64_init(&seen);
	*out = (struct store_info){ .component = p->o.component,
				    .mint_ms = INT64_MAX,
				    .maxt_ms = INT64_MIN,
				    .sharding = true,
				    .without_replica_labels = true };
	struct endpoint_set *now = endpoints_now(p->o.endpoints);
	for (size_t i = 0; i < now->n; i++) {
		struct endpoint_view v;
		endpoint_view(now->v[i], &v);
		if (v.info && (v.healthy || v.strict) && v.info->has_store)
			add_info(a, &v.info->info, p->o.selector_labels, &seen, out);
		if (v.info)
			ref_put(&v.info->ref);
	}
	ref_put(&now->ref);
	map64_deinit(&seen);
	if (out->maxt_ms == INT64_MIN) {
		out->mint_ms = 0;
		out->maxt_ms = 0;
	}
	if (out->n_label_sets == 0 && p->o.selector_labels.n) {
		out->label_sets = ARENA_NEW(a, struct labels);
		out->label_sets[out->n_label_sets++] =
			labels_dup(a, p->o.selector_labels);
	}
}

static void view_info(struct store *s, struct arena *a, struct store_info *out)
{
	proxy_info(&((struct view_store *)s)->p->store, a, out);
}

static const struct store_ops proxy_ops = { proxy_info, proxy_series, proxy_names,
					    proxy_values };
static const struct store_ops view_ops = { view_info, view_series, view_names,
					   view_values };

struct proxy *proxy_new(const struct proxy_opts *o)
{
	struct proxy *p = xcalloc(1, sizeof(*p));
	p->store.ops = &proxy_ops;
	p->o = *o;
	if (o->metrics)
		p->empty = metric_plain(metric_set_new(o->metrics, rows, ARRAY_LEN(rows)),
					0);
	return p;
}

void proxy_free(struct proxy *p)
{
	free(p);
}

struct store *proxy_store(struct proxy *p)
{
	return &p->store;
}

struct store *proxy_view_store(struct proxy *p, struct arena *a,
			       const struct proxy_view *v)
{
	struct view_store *s = ARENA_NEW(a, struct view_store);
	s->store.ops = &view_ops;
	s->p = p;
	s->view = v;
	return &s->store;
}
