/*
 * store/bucket_sync.c - from the catalogue of the bucket to a new snapshot.
 *
 * Blocks that the last snapshot has open are shared; the others are opened, several at a time: the caller
 * and up to concurrency - 1 request threads work through one list. A block that cannot be opened is
 * logged, counted and kept in the snapshot with the reason, so that queries over its time say so;
 * the next sync tries it again. Then the snapshot is swapped, and what is gone loses its local folder; its
 * open files live on with requests that still read them. The first sync also removes folders that an
 * earlier run left behind.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"
#include "store/bucket_int.h"

struct loading {
	struct bucket_store *b;
	struct ctx *ctx;
	const struct block_meta **meta; /* of entry[] to open */
	struct bucket_entry **entry;
	size_t n;
	pthread_mutex_t mu; /* guards all below, and the snapshot's arena */
	pthread_cond_t idle;
	struct bucket_snapshot *s;
	size_t next;
	uint32_t helpers;
	struct err ended; /* the sync is to end (cancelled) */
};

static void load(struct loading *l, size_t i)
{
	struct bucket_entry *t = l->entry[i];
	struct metric **metric = l->b->metric;
	struct err e = ERR_INIT;
	struct block *block = NULL;
	uint64_t t0 = time_mono_ns();
	metric_inc(metric[BM_LOADS]);
	int rc = ctx_check(l->ctx, &e);
	if (rc == 0)
		rc = bucket_block_open(l->b, l->ctx, l->meta[i], &block, &e);
	metric_observe(metric[BM_LOAD_SECONDS],
		       (double)(time_mono_ns() - t0) / (double)NS_PER_S);
	if (rc < 0) {
		metric_inc(metric[BM_LOAD_FAILURES]);
		log_warn(l->ctx, "block %s is not served: %s", t->id, err_text(&e));
	}
	struct err over = ERR_INIT;
	bool ends = rc < 0 && ctx_check(l->ctx, &over) < 0;
	pthread_mutex_lock(&l->mu);
	if (ends)
		l->ended = over;
	if (rc < 0)
		t->why = str_dup(&l->s->arena, str_of(err_text(&e)));
	else
		t->block = block;
	pthread_mutex_unlock(&l->mu);
}

static void work(struct loading *l)
{
	for (;;) {
		pthread_mutex_lock(&l->mu);
		bool more = l->ended.code == E_OK && l->next < l->n;
		size_t i = more ? l->next++ : 0;
		pthread_mutex_unlock(&l->mu);
		if (!more)
			return;
		load(l, i);
	}
}

static void help(void *arg)
{
	struct loading *l = arg;
	work(l);
	pthread_mutex_lock(&l->mu);
	if (--l->helpers == 0)
		pthread_cond_signal(&l->idle);
	pthread_mutex_unlock(&l->mu);
}

static void start_helpers(struct loading *l)
{
	const struct bucket_store_opts *o = &l->b->o;
	size_t want = o->block_sync_concurrency ? o->block_sync_concurrency : 20;
	struct err none = ERR_INIT;
	for (size_t i = 1; o->pool && i < MIN(want, l->n); i++) {
		pthread_mutex_lock(&l->mu);
		l->helpers++;
		pthread_mutex_unlock(&l->mu);
		if (task_request(o->pool, help, l, &none) == 0)
			continue;
		pthread_mutex_lock(&l->mu); /* no thread free: fewer will do */
		l->helpers--;
		pthread_mutex_unlock(&l->mu);
		return;
	}
}

static int load_all(struct loading *l, struct err *e)
{
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->idle, NULL);
	start_helpers(l);
	work(l);
	pthread_mutex_lock(&l->mu);
	while (l->helpers)
		pthread_cond_wait(&l->idle, &l->mu);
	pthread_mutex_unlock(&l->mu);
	pthread_cond_destroy(&l->idle);
	pthread_mutex_destroy(&l->mu);
	if (l->ended.code == E_OK)
		return 0;
	*e = l->ended;
	return -1;
}

/* Entries of the new snapshot; what the old one has open is shared, the rest is noted in l. */
static void plan(struct loading *l, const struct catalogue *cat,
		 const struct bucket_snapshot *old)
{
	struct bucket_snapshot *s = l->s;
	s->entry = ARENA_ARRAY(&s->arena, struct bucket_entry, cat->n + 1);
	l->meta = xcalloc(cat->n + 1, sizeof(const struct block_meta *));
	l->entry = xcalloc(cat->n + 1, sizeof(struct bucket_entry *));
	for (size_t i = 0; i < cat->n; i++) {
		const struct block_meta *m = &cat->block[i].meta;
		const struct bucket_entry *was = bucket_snapshot_find(old, &m->ulid);
		struct bucket_entry *t = &s->entry[s->n++];
		t->ulid = m->ulid;
		ulid_format(&m->ulid, t->id);
		t->mint_ms = m->mint_ms;
		t->maxt_ms = m->maxt_ms;
		t->resolution_ms = m->thanos.resolution_ms;
		t->labels = labels_dup(&s->arena, m->thanos.labels);
		if (was && was->block) {
			t->block = block_ref(was->block);
			continue;
		}
		l->meta[l->n] = m;
		l->entry[l->n++] = t;
	}
}

/* ---- what is gone ---- */

static void remove_folder(struct bucket_store *b, struct ctx *ctx, const char *id)
{
	struct err e = ERR_INIT;
	struct arena a;
	arena_init(&a, NULL);
	const char *path = str_fmt(&a, "%s/%s", b->data_dir, id).p;
	if (fs_remove_all(ctx, path, &e) < 0) {
		metric_inc(b->metric[BM_DROP_FAILURES]);
		log_warn(ctx, "block %s: local files stay: %s", id, err_text(&e));
	}
	arena_deinit(&a);
}

static void drop_gone(struct bucket_store *b, struct ctx *ctx,
		      const struct bucket_snapshot *old,
		      const struct bucket_snapshot *now)
{
	for (size_t i = 0; i < old->n; i++) {
		const struct bucket_entry *t = &old->entry[i];
		if (bucket_snapshot_find(now, &t->ulid))
			continue;
		if (t->block) {
			metric_inc(b->metric[BM_DROPS]);
			log_info(ctx, "block %s is gone from the bucket", t->id);
		}
		remove_folder(b, ctx, t->id);
	}
}

/* Folders named by a ULID that no block of the snapshot has. */
static void sweep(struct bucket_store *b, struct ctx *ctx,
		  const struct bucket_snapshot *now)
{
	struct err e = ERR_INIT;
	struct fs_names names;
	struct arena a;
	arena_init(&a, NULL);
	if (fs_list(ctx, &a, b->data_dir, &names, &e) == 0) {
		for (size_t i = 0; i < names.n; i++) {
			struct ulid id;
			if (ulid_parse(names.name[i], &id) &&
			    !bucket_snapshot_find(now, &id))
				remove_folder(b, ctx, names.name[i].p);
		}
		b->swept = true;
	} else if (e.code != E_NOT_FOUND) {
		log_warn(ctx, "data folder: %s", err_text(&e));
	}
	arena_deinit(&a);
}

static void publish(struct bucket_store *b, struct ctx *ctx, struct bucket_snapshot *s)
{
	pthread_mutex_lock(&b->mu);
	struct bucket_snapshot *old = b->now;
	b->now = s;
	pthread_mutex_unlock(&b->mu);
	metric_set_value(b->metric[BM_LOADED], (double)s->n_loaded);
	metric_set_value(b->metric[BM_LAST_LOADED], (double)time_wall_ms() / 1000);
	drop_gone(b, ctx, old, s);
	if (!b->swept)
		sweep(b, ctx, s);
	bucket_snapshot_put(old);
}

static int sync_locked(struct bucket_store *b, struct ctx *ctx, struct err *e)
{
	struct catalogue *cat;
	int64_t mint_ms, maxt_ms;
	bucket_range(b, &mint_ms, &maxt_ms);
	fetcher_range(b->fetcher, mint_ms, maxt_ms);
	if (fetcher_sync(b->fetcher, ctx, &cat, e) < 0)
		return -1;
	struct loading l = { .b = b, .ctx = ctx, .s = bucket_snapshot_new() };
	plan(&l, cat, b->now); /* only a sync changes it */
	int rc = load_all(&l, e);
	if (rc == 0) {
		bucket_snapshot_seal(l.s, mint_ms, maxt_ms);
		l.s->synced = true;
		publish(b, ctx, l.s);
		if (b->o.on_sync)
			b->o.on_sync(b->o.on_sync_arg, cat, NULL);
	} else {
		bucket_snapshot_put(l.s);
	}
	free(l.meta);
	free(l.entry);
	ref_put(&cat->ref);
	return rc;
}

int bucket_store_sync(struct bucket_store *b, struct ctx *ctx, struct err *e)
{
	pthread_mutex_lock(&b->sync_mu);
	int rc = sync_locked(b, ctx, e);
	if (rc < 0 && b->o.on_sync)
		b->o.on_sync(b->o.on_sync_arg, NULL, e);
	pthread_mutex_unlock(&b->sync_mu);
	return rc;
}
