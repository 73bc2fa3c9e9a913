/*
 * blocks/fetcher.c - the catalogue: what a bucket holds, minus what the filters leave out.
 *
 * Filters in this order, each block counted under the first that takes it: time range, selector, consistency delay,
 * deletion marks, covered sources (replica labels are taken off before). Catalogues are frozen and share the parsed meta.json of the sync they
 * came from: a sync that finds nothing new costs a listing and an array.
 *
 * Repaired and compacted blocks are exempt from the consistency delay: their sources may be gone soon, and
 * whoever writes them uploads meta.json last to a store that shows it only then.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "blocks/blocks_int.h"
#include "model/relabel.h"

enum state {
	S_CORRUPT,
	S_NONE,
	S_LOADED,
	S_TIME,
	S_FRESH,
	S_DUPLICATE,
	S_DELETION,
	S_FAILED,
	S_LABELS,
	S_NO_COMPACT,
	S_NO_DOWNSAMPLE,
	S_COUNT
};
static const char *const state_names[S_COUNT] = {
	[S_CORRUPT] = "corrupted-meta-json",
	[S_NONE] = "no-meta-json",
	[S_LOADED] = "loaded",
	[S_TIME] = "time-excluded",
	[S_FRESH] = "too-fresh",
	[S_DUPLICATE] = "duplicate",
	[S_DELETION] = "marked-for-deletion",
	[S_FAILED] = "failed",
	[S_LABELS] = "label-excluded",
	[S_NO_COMPACT] = "marked-for-no-compact",
	[S_NO_DOWNSAMPLE] = "marked-for-no-downsample",
};

enum { M_SYNCS, M_FAILURES, M_SECONDS, M_SYNCED, M_MODIFIED, M_COUNT };
static const double seconds[] = { 0.01, 1, 10, 100, 300, 600, 1000 };
/* clang-format off */
#define ROWS(prefix, base)                                                               \
	{                                                                                \
		[M_SYNCS] = { .kind = METRIC_COUNTER, .name = prefix "syncs_total",      \
			      .help = "Passes over the bucket's blocks.", .alias = base },\
		[M_FAILURES] = { .kind = METRIC_COUNTER,                                 \
				 .name = prefix "sync_failures_total",                   \
				 .help = "Passes over the bucket's blocks that failed." }, \
		[M_SECONDS] = { .kind = METRIC_HISTOGRAM,                                \
				.name = prefix "sync_duration_seconds",                  \
				.help = "Seconds that a pass over the bucket's blocks took.", \
				.bounds = seconds, .n_bounds = ARRAY_LEN(seconds) },     \
		[M_SYNCED] = { .kind = METRIC_GAUGE, .name = prefix "synced",            \
			       .help = "Blocks by what the last pass made of them.",     \
			       .labels = { "state" } },                                  \
		[M_MODIFIED] = { .kind = METRIC_GAUGE, .name = prefix "modified",        \
				 .help = "Blocks whose meta.json is changed in memory.", \
				 .labels = { "modified" } },                             \
	}
/* clang-format on */
static const struct metric_desc rows[M_COUNT] =
	ROWS("thanos_blocks_meta_", "thanos_blocks_meta_base_syncs_total");
static const struct metric_desc viewer_rows[M_COUNT] =
	ROWS("thanos_bucket_uiblocks_meta_", NULL);

struct fetcher {
	struct fetcher_opts o;
	char *cache_dir;
	struct metric_set *damage;
	struct metric *syncs, *failures, *seconds, *synced[S_COUNT], *modified;
	int64_t mint_ms, maxt_ms; /* fetcher_range */
	pthread_mutex_t mu;	  /* one sync at a time; guards what follows */
	struct metas *known;	  /* of the last sync that succeeded */
};

struct fetched { /* the catalogue with what keeps its metas */
	struct catalogue c;
	struct metas *metas;
};

void fetcher_range(struct fetcher *f, int64_t mint_ms, int64_t maxt_ms)
{
	f->mint_ms = mint_ms;
	f->maxt_ms = maxt_ms;
}

struct fetcher *fetcher_new(const struct fetcher_opts *o)
{
	struct fetcher *f = xcalloc(1, sizeof(*f));
	f->o = *o;
	fetcher_range(f, INT64_MIN, INT64_MAX);
	if (!f->o.concurrency)
		f->o.concurrency = 32;
	f->cache_dir = o->cache_dir ? xstrdup(o->cache_dir) : NULL;
	f->o.cache_dir = f->cache_dir;
	pthread_mutex_init(&f->mu, NULL);
	if (!o->metrics)
		return f;
	f->damage = blocks_damage_set(o->metrics);
	struct metric_set *m =
		metric_set_new(o->metrics, o->viewer ? viewer_rows : rows, M_COUNT);
	f->syncs = metric_plain(m, M_SYNCS);
	f->failures = metric_plain(m, M_FAILURES);
	f->seconds = metric_plain(m, M_SECONDS);
	for (unsigned i = 0; i < S_COUNT; i++)
		f->synced[i] = metric_at(m, M_SYNCED, str_of(state_names[i]));
	f->modified = metric_at(m, M_MODIFIED, STR("replica-label-removed"));
	metric_set_value(f->modified, 0);
	return f;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	if (f->known)
		ref_put(&f->known->ref);
	pthread_mutex_destroy(&f->mu);
	free(f->cache_dir);
	free(f);
}

static bool is_exempt_source(struct str s)
{
	return str_eq(s, STR("compactor")) || str_eq(s, STR("compactor.repair")) ||
	       str_eq(s, STR("bucket.repair"));
}

static bool is_outside(const struct fetcher *f, const struct block_meta *m)
{
	return m->maxt_ms <= f->mint_ms || m->mint_ms > f->maxt_ms;
}

static bool is_replica_label(const struct fetcher_opts *o, struct str name)
{
	for (size_t i = 0; i < o->n_replica_labels; i++)
		if (str_eq(o->replica_labels[i], name))
			return true;
	return false;
}

/*
 * Replica labels are no part of what is sharded by: else two shards would each hold one replica of what is to become
 * one block.
 */
static bool is_selected(const struct fetcher_opts *o, const struct known *k)
{
	const struct labels ls = k->meta.thanos.labels;
	struct arena a;
	char id[27];
	size_t n = 0;
	if (!o->selector)
		return true;
	arena_init(&a, NULL);
	struct label *l = ARENA_ARRAY(&a, struct label, ls.n + 1);
	ulid_format(&k->id, id);
	l[n++] = (struct label){ STR("__block_id"), str_of(id) };
	for (size_t i = 0; i < ls.n; i++)
		if (!is_replica_label(o, ls.l[i].name) &&
		    !str_eq(ls.l[i].name, STR("__block_id")))
			l[n++] = ls.l[i];
	struct labels out;
	bool keep = labels_sort(l, n) &&
		    relabel_apply(o->selector, &a, (struct labels){ l, (uint32_t)n, 0 },
				  &out);
	arena_deinit(&a);
	return keep;
}

/* Returns how many labels were taken off. Without any left the first replica label says "deduped", as with Thanos. */
static size_t take_off_replicas(const struct fetcher_opts *o, struct arena *a,
				struct block_meta *m)
{
	const struct labels ls = m->thanos.labels;
	struct label *l = ARENA_ARRAY(a, struct label, ls.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < ls.n; i++)
		if (!is_replica_label(o, ls.l[i].name))
			l[n++] = ls.l[i];
	size_t off = ls.n - n;
	if (n == 0)
		l[n++] = (struct label){ o->replica_labels[0], STR("deduped") };
	m->thanos.labels = (struct labels){ l, (uint32_t)n, 0 };
	return off;
}

static enum state judge(const struct fetcher *f, const struct known *k, int64_t now_ms)
{
	const struct fetcher_opts *o = &f->o;
	switch (k->state) {
	case META_NONE: return S_NONE;
	case META_CORRUPT: return S_CORRUPT;
	case META_FAILED: return S_FAILED;
	case META_OK: break;
	}
	if (is_outside(f, &k->meta))
		return S_TIME;
	if (!is_selected(o, k))
		return S_LABELS;
	if (o->consistency_delay_ms > 0 && !is_exempt_source(k->meta.thanos.source) &&
	    ulid_time_ms(&k->id) > now_ms - o->consistency_delay_ms)
		return S_FRESH;
	const struct known_mark *d = &k->mark[MARK_DELETION];
	if (d->ok && o->ignore_deletion_marks_ms >= 0 &&
	    d->time_s < (now_ms - o->ignore_deletion_marks_ms) / 1000)
		return S_DELETION;
	return S_LOADED;
}

static void catalogue_free(struct ref *r)
{
	struct catalogue *c = CONTAINER_OF(r, struct catalogue, ref);
	struct fetched *f = CONTAINER_OF(c, struct fetched, c);
	arena_deinit(&c->arena);
	ref_put(&f->metas->ref);
	free(f);
}

static void drop_covered(struct catalogue *c, bool objects, size_t *count)
{
	const struct block_meta **v = xreallocarray(NULL, c->n + 1, sizeof(*v));
	bool *drop = xcalloc(c->n + 1, sizeof(*drop));
	bool *whole = objects ? xcalloc(c->n + 1, sizeof(*whole)) : NULL;
	for (size_t i = 0; i < c->n; i++) {
		v[i] = &c->block[i].meta;
		if (whole)
			whole[i] = known_is_whole(c->block[i].known, NULL);
	}
	blocks_dedup(v, whole, c->n, drop);
	size_t kept = 0;
	for (size_t i = 0; i < c->n; i++)
		if (drop[i])
			c->duplicate[c->n_duplicates++] = c->block[i];
		else
			c->block[kept++] = c->block[i];
	count[S_DUPLICATE] += c->n - kept;
	count[S_LOADED] -= c->n - kept;
	c->n = kept;
	free(whole);
	free(drop);
	free((void *)v);
}

/* Takes over the reference of m. */
static int filter(const struct fetcher *fetcher, struct ctx *ctx, struct metas *m,
		  size_t *count, struct catalogue **out, struct err *e)
{
	struct fetched *f = xcalloc(1, sizeof(*f));
	struct catalogue *c = &f->c;
	const struct fetcher_opts *o = &fetcher->o;
	int64_t now_ms = o->now_ms ? o->now_ms(o->now_arg) : time_wall_ms();
	size_t modified = 0;
	ref_init(&c->ref, catalogue_free);
	arena_init(&c->arena, NULL);
	f->metas = m;
	c->synced_ms = now_ms;
	c->metas = m;
	c->block = arena_try(&c->arena, ctx, (m->n + 1) * sizeof(*c->block), e);
	if (c->block && o->dedup_sources)
		c->duplicate =
			arena_try(&c->arena, ctx, (m->n + 1) * sizeof(*c->duplicate), e);
	if (c->block)
		c->marked = arena_try(&c->arena, ctx, (m->n + 1) * sizeof(*c->marked), e);
	if (!c->block || !c->marked || (o->dedup_sources && !c->duplicate)) {
		ref_put(&c->ref);
		return -1;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct known *k = &m->v[i];
		enum state s = judge(fetcher, k, now_ms);
		count[s]++;
		count[S_NO_COMPACT] += k->mark[MARK_NO_COMPACT].ok;
		count[S_NO_DOWNSAMPLE] += k->mark[MARK_NO_DOWNSAMPLE].ok;
		if (s == S_NONE || s == S_CORRUPT || s == S_FAILED)
			c->partial++;
		const struct known_mark *d = &k->mark[MARK_DELETION];
		if (d->ok && (s == S_LOADED || s == S_DELETION))
			c->marked[c->n_marked++] =
				(struct fetched_block){ k->meta, d->time_s, k };
		if (s != S_LOADED)
			continue;
		struct fetched_block *b = &c->block[c->n++];
		*b = (struct fetched_block){ k->meta, d->ok ? d->time_s : 0, k };
		if (o->n_replica_labels)
			modified += take_off_replicas(o, &c->arena, &b->meta);
	}
	if (o->dedup_sources)
		drop_covered(c, o->objects, count);
	if (fetcher->modified)
		metric_set_value(fetcher->modified, (double)modified);
	*out = c;
	return 0;
}

static int sync_locked(struct fetcher *f, struct ctx *ctx, struct catalogue **out,
		       struct err *e)
{
	const struct metas_opts mo = { f->o.bucket,   f->cache_dir, f->o.concurrency,
				       f->o.pool,     f->damage,    f->o.objects,
				       f->o.by_folder };
	struct metas *m;
	size_t count[S_COUNT] = { 0 };
	if (metas_read(&mo, ctx, f->known, &m, e) < 0)
		return -1;
	if (f->known)
		ref_put(&f->known->ref);
	f->known = m;
	ref_get(&m->ref);
	if (filter(f, ctx, m, count, out, e) < 0)
		return -1;
	for (unsigned i = 0; f->syncs && i < S_COUNT; i++)
		metric_set_value(f->synced[i], (double)count[i]);
	log_debug(ctx, "bucket %s: %zu blocks, %zu shown, %zu without meta.json",
		  f->o.bucket->name, m->n, (*out)->n, (*out)->partial);
	return 0;
}

int fetcher_sync(struct fetcher *f, struct ctx *ctx, struct catalogue **out,
		 struct err *e)
{
	uint64_t start_ns = time_mono_ns();
	pthread_mutex_lock(&f->mu);
	int rc = sync_locked(f, ctx, out, e);
	pthread_mutex_unlock(&f->mu);
	if (f->syncs) {
		metric_inc(f->syncs);
		metric_observe(f->seconds,
			       (double)(time_mono_ns() - start_ns) / (double)NS_PER_S);
		if (rc < 0)
			metric_inc(f->failures);
	}
	return rc;
}
