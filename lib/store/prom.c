/*
 * store/prom.c - the Prometheus store: its life, the heartbeat, Info.
 *
 * A heartbeat asks Prometheus what Info tells and what every answer needs: external labels, version, the lowest
 * timestamp, and the names of labels that its series have of their own (whether a replica label can be left out
 * without sorting depends on them). What it learned is frozen and swapped in as a whole.
 */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "store/prom_int.h"
#include "wire/codec.h"

enum { M_UP, M_FRAMES, M_READS, M_ROWS };
static const double frame_bounds[] = { 10, 100, 1000, 10000, 100000 };
static const struct metric_desc rows[M_ROWS] = {
	[M_UP] = { METRIC_GAUGE,
		   "thanos_sidecar_prometheus_up",
		   "Boolean indicator whether the sidecar can reach its Prometheus peer.",
		   { 0 },
		   NULL,
		   0,
		   0,
		   NULL },
	[M_FRAMES] = { METRIC_HISTOGRAM,
		       "prometheus_store_received_frames",
		       "Number of frames received per streamed response.",
		       { 0 },
		       frame_bounds,
		       ARRAY_LEN(frame_bounds),
		       0,
		       NULL },
	[M_READS] = { .kind = METRIC_COUNTER,
		      .name = "thanosc_sidecar_series_reads_total",
		      .help = "What Series calls read: blocks of --tsdb.path (block), remote reads of Prometheus (remote_read).",
		      .labels = { "source" } },
};

/* ---- state ---- */

static void state_free(struct ref *r)
{
	struct prom_state *s = CONTAINER_OF(r, struct prom_state, ref);
	arena_deinit(&s->arena);
	free(s);
}

void prom_state_put(struct prom_state *s)
{
	if (s)
		ref_put(&s->ref);
}

struct prom_state *prom_state_get(struct prom_store *p)
{
	pthread_mutex_lock(&p->mu);
	struct prom_state *s = p->now;
	if (s)
		ref_get(&s->ref);
	pthread_mutex_unlock(&p->mu);
	return s;
}

int prom_state_need(struct prom_store *p, struct ctx *ctx, struct prom_state **out,
		    struct err *e)
{
	*out = prom_state_get(p);
	return *out ? 0
		    : err_set(ctx, e, E_UNAVAILABLE,
			      "Prometheus at %s has not been reached yet", p->url);
}

int64_t prom_mint(const struct prom_store *p, const struct prom_state *s)
{
	return MAX(s->mint_ms, conf_time_ms(p->o.min_time, time_wall_ms()));
}

static int by_name(const void *key, const void *elem)
{
	return str_cmp(*(const struct str *)key, *(const struct str *)elem);
}

bool prom_has_name(const struct prom_state *s, struct str name)
{
	return s->n_names &&
	       bsearch(&name, s->names, s->n_names, sizeof(*s->names), by_name);
}

/* ---- heartbeat ---- */

/* The lowest timestamp; and what is to be known before its blocks may be read. */
static int learn_tsdb(struct prom_store *p, struct ctx *ctx, const struct prom_config *c,
		      struct prom_state *s, struct err *e)
{
	struct prom_wal before = { 0 };
	struct prom_tsdb t;
	struct prom_flags f;
	struct err none = ERR_INIT;
	if (p->blocks)
		before = prom_blocks_wal(p->blocks, ctx);
	if (prom_tsdb(p, ctx, &t, e) < 0)
		return -1;
	/* A TSDB that is still empty gives the largest time there is. */
	s->mint_ms = fabs(t.lowest_ms) < 9.2e18 ? (int64_t)t.lowest_ms : INT64_MIN;
	if (!p->blocks)
		return 0;
	if (prom_store_flags(p, ctx, &s->arena, &f, &none) < 0)
		f = (struct prom_flags){ 0 };
	t.min_block_ms = f.min_block_ms;
	t.ooo_window_ms = c->ooo_window_ms;
	t.remote_read = c->remote_read;
	prom_blocks_learn(p->blocks, ctx, before, &t);
	return 0;
}

static int learn(struct prom_store *p, struct ctx *ctx, struct prom_state *s,
		 struct err *e)
{
	struct prom_config c;
	const struct prom_selection all = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	if (prom_version(p, ctx, &s->arena, &s->version, e) < 0 ||
	    prom_config(p, ctx, &s->arena, &c, e) < 0)
		return -1;
	s->labels = c.external;
	if (s->labels.n == 0)
		return err_set(
			ctx, e, E_INVALID,
			"no external labels configured on Prometheus server, uniquely identifying external "
			"labels must be configured (global.external_labels in the file of its --config.file)");
	if (learn_tsdb(p, ctx, &c, s, e) < 0)
		return -1;
	return prom_label_list(p, ctx, &s->arena, STR(""), &all, &s->names, &s->n_names,
			       e);
}

static void say_news(const struct prom_store *p, const struct prom_state *before,
		     const struct prom_state *now)
{
	if (before && labels_eq(before->labels, now->labels) &&
	    str_eq(before->version, now->version))
		return;
	struct buf b;
	buf_init(&b, 1 << 16);
	labels_text(now->labels, &b);
	log_info(NULL, "Prometheus %.*s at %s, external labels %.*s",
		 STR_FMT(now->version), p->url, (int)b.n, (const char *)b.p);
	buf_deinit(&b);
}

int prom_store_heartbeat(struct prom_store *p, struct ctx *ctx, struct err *e)
{
	struct prom_state *s = xcalloc(1, sizeof(*s)), *old;
	ref_init(&s->ref, state_free);
	arena_init(&s->arena, NULL);
	int rc = learn(p, ctx, s, e);
	pthread_mutex_lock(&p->mu);
	old = rc == 0 ? p->now : s;
	if (rc == 0)
		p->now = s;
	p->is_up = rc == 0;
	pthread_mutex_unlock(&p->mu);
	metric_set_value(p->up, rc == 0);
	if (rc == 0)
		say_news(p, old, s);
	prom_state_put(old);
	return rc;
}

bool prom_store_labels(struct prom_store *p, struct arena *a, struct labels *out)
{
	struct prom_state *s = prom_state_get(p);
	if (!s)
		return false;
	*out = labels_dup(a, s->labels);
	prom_state_put(s);
	return true;
}

/* ---- Info ---- */

static void prom_info(struct store *st, struct arena *a, struct store_info *out)
{
	struct prom_store *p = CONTAINER_OF(st, struct prom_store, base);
	pthread_mutex_lock(&p->mu);
	struct prom_state *s = p->is_up ? p->now : NULL;
	if (s)
		ref_get(&s->ref);
	pthread_mutex_unlock(&p->mu);
	*out = (struct store_info){ .component = "sidecar", .not_ready = "Not ready" };
	if (!s)
		return;
	*out = (struct store_info){ .component = "sidecar",
				    .mint_ms = prom_mint(p, s),
				    .maxt_ms = INT64_MAX,
				    .sharding = true,
				    .without_replica_labels = true };
	out->label_sets = ARENA_NEW(a, struct labels);
	out->label_sets[0] = labels_dup(a, s->labels);
	out->tsdbs = ARENA_NEW(a, struct tsdb_info);
	out->tsdbs[0] =
		(struct tsdb_info){ out->label_sets[0], out->mint_ms, out->maxt_ms };
	out->n_label_sets = out->n_tsdbs = 1;
	prom_state_put(s);
}

/* ---- matchers on external labels ---- */

bool prom_match_external(struct arena *a, struct labels ext, const struct matcher *m,
			 size_t n, struct matcher **out, size_t *n_out)
{
	size_t k = 0;
	struct matcher *v = ARENA_ARRAY(a, struct matcher, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct str value = labels_get(ext, m[i].name);
		if (value.n == 0)
			v[k++] = m[i];
		else if (!matcher_matches(&m[i], value))
			return false;
	}
	*out = v;
	*n_out = k;
	return true;
}

/* ---- life ---- */

int prom_store_new(const struct prom_store_opts *o, struct prom_store **out,
		   struct err *e)
{
	static const struct store_ops ops = { prom_info, prom_series, prom_label_names,
					      prom_label_values };
	struct url u;
	if (url_parse(o->url, &u, e) < 0)
		return err_wrap(NULL, e, "Prometheus URL %.*s", STR_FMT(o->url));
	if (u.query.n || u.host.n == 0 ||
	    (!str_eqz(u.scheme, "http") && !str_eqz(u.scheme, "https")))
		return err_set(
			NULL, e, E_INVALID,
			"Prometheus URL %.*s: want http://host:port, with a path at most",
			STR_FMT(o->url));
	struct prom_store *p = xcalloc(1, sizeof(*p));
	struct metric_set *m = metric_set_new(o->metrics, rows, M_ROWS);
	size_t n = o->url.n;
	while (n && o->url.p[n - 1] == '/')
		n--;
	p->base.ops = &ops;
	p->federated.ops = &prom_federated_ops;
	p->o = *o;
	p->url = xcalloc(1, n + 1);
	memcpy(p->url, o->url.p, n);
	p->slots = task_gate_new(PROM_READ_SLOTS);
	p->up = metric_plain(m, M_UP);
	p->frames = metric_plain(m, M_FRAMES);
	p->from_blocks = metric_at(m, M_READS, STR("block"));
	p->from_remote = metric_at(m, M_READS, STR("remote_read"));
	if (o->tsdb_dir)
		p->blocks = prom_blocks_new(o->tsdb_dir, o->tsdb_asked, o->metrics);
	pthread_mutex_init(&p->mu, NULL);
	*out = p;
	return 0;
}

void prom_store_free(struct prom_store *p)
{
	if (!p)
		return;
	prom_state_put(p->now);
	prom_blocks_free(p->blocks);
	task_gate_free(p->slots);
	pthread_mutex_destroy(&p->mu);
	free(p->url);
	free(p);
}

struct store *prom_store_store(struct prom_store *p)
{
	return &p->base;
}
