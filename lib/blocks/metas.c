/*
 * blocks/metas.c - one recursive listing shows every block folder, whether it has a meta.json, and its
 * marks: no question per block is asked. What the last sync knew under the same name, size and time is
 * taken over; the rest is read, several objects at a time: the caller and up to concurrency - 1
 * request threads work through one list, the bytes are fetched unlocked, parsing into the shared
 * arena happens under the list's lock. If no thread is free the caller does it all.
 */
#include "blocks/blocks_int.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"

#define MARK_BYTES ((size_t)1 << 20)

static int by_id(const void *key, const void *elem)
{
	return ulid_cmp(key, &((const struct known *)elem)->id);
}

const struct known *metas_find(const struct metas *m, const struct ulid *id)
{
	size_t i = m ? vec_lower_bound(id, m->v, m->n, sizeof(*m->v), by_id) : 0;
	return m && i < m->n && ulid_cmp(&m->v[i].id, id) == 0 ? &m->v[i] : NULL;
}

static int by_rel(const void *key, const void *elem)
{
	return str_cmp(*(const struct str *)key,
		       ((const struct known_object *)elem)->rel);
}

const struct known_object *known_object(const struct known *k, struct str rel)
{
	if (!k->object)
		return NULL;
	size_t i = vec_lower_bound(&rel, k->object, k->n_objects, sizeof(*k->object),
				   by_rel);
	return i < k->n_objects && str_eq(k->object[i].rel, rel) ? &k->object[i] : NULL;
}

static bool has(const struct known *k, struct str rel, uint64_t size, struct str *missing)
{
	const struct known_object *o = known_object(k, rel);
	if (o && (size == 0 || o->attrs.size == size))
		return true;
	if (missing)
		*missing = rel;
	return false;
}

bool known_is_whole(const struct known *k, struct str *missing)
{
	const struct block_meta *m = &k->meta;
	if (k->state != META_OK)
		return has(k, STR(BLOCKS_META_NAME), UINT64_MAX, missing);
	for (size_t i = 0; i < m->thanos.n_files; i++)
		if (!has(k, m->thanos.files[i].rel_path, m->thanos.files[i].size_bytes,
			 missing))
			return false;
	for (size_t i = 0; i < m->thanos.n_segment_files; i++) {
		char rel[64];
		struct str name = m->thanos.segment_files[i];
		int n = snprintf(rel, sizeof(rel), "chunks/%.*s",
				 (int)MIN(name.n, (size_t)40), name.p);
		if (!has(k, str_n(rel, (size_t)n), 0, NULL)) {
			if (missing)
				*missing = name;
			return false;
		}
	}
	return has(k, STR("index"), 0, missing);
}

static void metas_free(struct ref *r)
{
	struct metas *m = CONTAINER_OF(r, struct metas, ref);
	free(m->v);
	free(m->objects);
	arena_deinit(&m->arena);
	free(m);
}

static bool same(const struct seen *a, const struct seen *b)
{
	return a->there == b->there &&
	       (!a->there || (a->attrs.size == b->attrs.size &&
			      a->attrs.mtime_ms == b->attrs.mtime_ms));
}

/* The folder's objects taken together. */
static bool same_objects(const struct known *a, const struct known *b)
{
	return a->n_objects == b->n_objects && a->bytes == b->bytes &&
	       a->newest_ms == b->newest_ms;
}

/* Does `old` know all this already, without a read that failed? */
static bool is_unchanged(const struct listing *l, const struct metas *old, bool objects)
{
	if (!old || l->n != old->n)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		const struct known *x = &l->v[i], *y = &old->v[i];
		if (ulid_cmp(&x->id, &y->id) != 0 || !same(&x->seen, &y->seen) ||
		    (y->seen.there && y->state != META_OK) ||
		    (objects && !same_objects(x, y)))
			return false;
		for (unsigned k = 0; k < MARK_KINDS; k++)
			if (!same(&x->mark[k].seen, &y->mark[k].seen) ||
			    ((y->seen.there || objects) && y->mark[k].seen.there &&
			     !y->mark[k].ok))
				return false;
	}
	return true;
}

/* ---- reading ---- */

#define ITEM_META MARK_KINDS
struct item {
	struct known *block;
	unsigned what; /* a mark_kind or ITEM_META */
};
struct loader {
	const struct metas_opts *o;
	struct ctx *ctx;
	struct metas *m;
	struct item *v;
	size_t n, cap;
	pthread_mutex_t mu; /* guards all below, and m's arena */
	pthread_cond_t idle;
	size_t next;
	uint32_t helpers;
	struct err e; /* what ends the sync; E_OK: nothing */
};

static void add_item(struct loader *l, struct known *block, unsigned what)
{
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct item){ block, what };
}

static bool ends_sync(enum err_code c)
{
	return c == E_UNAVAILABLE || c == E_TIMEOUT || c == E_REMOTE || c == E_CANCELLED;
}

/* The object's bytes; meta.json from the local copy if there is one. */
static int fetch(struct loader *l, const struct item *it, struct buf *out, bool *cached,
		 bool use_cache, struct err *e)
{
	char name[27 + 32], id[27];
	const struct known *k = it->block;
	bool meta = it->what == ITEM_META;
	ulid_format(&k->id, id);
	int n = snprintf(name, sizeof(name), "%s/%s", id,
			 meta ? BLOCKS_META_NAME : mark_filename(it->what));
	*cached =
		use_cache && meta && l->o->cache_dir &&
		meta_cache_get(l->o->cache_dir, l->ctx, &k->id, k->seen.attrs.size, out);
	if (*cached)
		return 0;
	return bucket_get(l->o->bucket, l->ctx, str_n(name, (size_t)n),
			  meta ? LIMIT_META_BYTES : MARK_BYTES, out, e);
}

/* Under mu. -1: the bytes are damaged. */
static int take_meta(struct loader *l, struct known *k, struct str json, struct err *e)
{
	char id[27];
	if (block_meta_parse(l->ctx, &l->m->arena, json, &k->meta, e) < 0)
		return -1;
	ulid_format(&k->meta.ulid, id);
	if (ulid_cmp(&k->meta.ulid, &k->id) != 0)
		return err_set(l->ctx, e, E_CORRUPT, "is that of block %s", id);
	k->state = META_OK;
	return 0;
}

/* Under mu. */
static int take_mark(struct loader *l, struct known *k, unsigned kind, struct str json,
		     struct err *e)
{
	struct block_mark m;
	char id[27];
	if (mark_parse(l->ctx, &l->m->arena, kind, json, &m, e) < 0)
		return -1;
	ulid_format(&m.id, id);
	if (ulid_cmp(&m.id, &k->id) != 0)
		return err_set(l->ctx, e, E_CORRUPT, "is that of block %s", id);
	k->mark[kind].ok = true;
	k->mark[kind].time_s = m.time_s;
	k->mark[kind].details = m.details;
	k->mark[kind].reason = m.reason;
	return 0;
}

/* Under mu. Damage and what only this object is to blame for is logged and remembered. */
static void blame(struct loader *l, const struct item *it, const struct err *e)
{
	char id[27];
	ulid_format(&it->block->id, id);
	if (it->what == ITEM_META) {
		if (e->code == E_NOT_FOUND) {
			it->block->state = META_NONE;
			return;
		}
		it->block->state = e->code == E_CORRUPT || e->code == E_PARSE
					   ? META_CORRUPT
					   : META_FAILED;
		log_warn(l->ctx, "block %s is left out: meta.json: %s", id, err_text(e));
		blocks_damage(l->o->damage, id, BLOCKS_META_NAME);
	} else if (e->code != E_NOT_FOUND) {
		blocks_damage(l->o->damage, id, mark_filename(it->what));
		log_warn(l->ctx, "block %s: %s is ignored: %s", id,
			 mark_filename(it->what), err_text(e));
	}
}

static void load(struct loader *l, const struct item *it, bool use_cache)
{
	struct err e = ERR_INIT;
	struct buf raw;
	bool cached = false, meta = it->what == ITEM_META;
	buf_init(&raw, LIMIT_META_BYTES);
	int rc = fetch(l, it, &raw, &cached, use_cache, &e);
	bool fetched = rc == 0;
	pthread_mutex_lock(&l->mu);
	if (fetched)
		rc = meta ? take_meta(l, it->block, buf_view(&raw), &e)
			  : take_mark(l, it->block, it->what, buf_view(&raw), &e);
	if (!fetched && ends_sync(e.code)) {
		if (l->e.code == E_OK)
			l->e = e;
	} else if (rc < 0 && !cached) {
		blame(l, it, &e);
	}
	pthread_mutex_unlock(&l->mu);
	if (rc < 0 && cached) { /* the copy is damaged: the bucket's own may not be */
		meta_cache_drop(l->o->cache_dir, l->ctx, &it->block->id);
		buf_deinit(&raw);
		load(l, it, false);
		return;
	}
	if (rc == 0 && meta && !cached && l->o->cache_dir)
		meta_cache_put(l->o->cache_dir, l->ctx, &it->block->id, buf_view(&raw));
	buf_deinit(&raw);
}

static void work(struct loader *l)
{
	for (;;) {
		pthread_mutex_lock(&l->mu);
		struct item *it =
			l->e.code == E_OK && l->next < l->n ? &l->v[l->next++] : NULL;
		pthread_mutex_unlock(&l->mu);
		if (!it)
			return;
		load(l, it, true);
	}
}

static void help(void *arg)
{
	struct loader *l = arg;
	work(l);
	pthread_mutex_lock(&l->mu);
	if (--l->helpers == 0)
		pthread_cond_signal(&l->idle);
	pthread_mutex_unlock(&l->mu);
}

static int load_all(struct loader *l, struct err *e)
{
	struct err none = ERR_INIT;
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->idle, NULL);
	size_t want = l->o->pool ? MIN(l->n, (size_t)l->o->concurrency) : 1;
	for (size_t i = 1; i < want; i++) {
		pthread_mutex_lock(&l->mu);
		l->helpers++;
		pthread_mutex_unlock(&l->mu);
		if (task_request(l->o->pool, help, l, &none) == 0)
			continue;
		pthread_mutex_lock(&l->mu);
		l->helpers--;
		pthread_mutex_unlock(&l->mu);
		break;
	}
	work(l);
	pthread_mutex_lock(&l->mu);
	while (l->helpers)
		pthread_cond_wait(&l->idle, &l->mu);
	pthread_mutex_unlock(&l->mu);
	pthread_cond_destroy(&l->idle);
	pthread_mutex_destroy(&l->mu);
	if (l->e.code == E_OK)
		return 0;
	*e = l->e;
	return -1;
}

/* A mark that `old` knows, with texts of this arena. */
static struct known_mark keep_mark(struct loader *l, const struct known_mark *was)
{
	struct known_mark m = *was;
	m.details = str_dup(&l->m->arena, was->details);
	m.reason = str_dup(&l->m->arena, was->reason);
	return m;
}

/* Take over from `old` what it knows, note the rest to be read. */
static int plan(struct loader *l, const struct metas *old, struct err *e)
{
	struct metas *m = l->m;
	for (size_t i = 0; i < m->n; i++) {
		struct known *k = &m->v[i];
		if (!k->seen.there && !l->o->objects)
			continue; /* META_NONE: its marks matter to no reader */
		const struct known *was = metas_find(old, &k->id);
		if (!k->seen.there) {
			;
		} else if (was && was->state == META_OK && same(&was->seen, &k->seen)) {
			if (block_meta_dup(l->ctx, &m->arena, &was->meta, &k->meta, e) <
			    0)
				return -1;
			k->state = META_OK;
		} else {
			add_item(l, k, ITEM_META);
		}
		for (unsigned j = 0; j < MARK_KINDS; j++) {
			if (!k->mark[j].seen.there)
				continue;
			if (was && was->mark[j].ok &&
			    same(&was->mark[j].seen, &k->mark[j].seen))
				k->mark[j] = keep_mark(l, &was->mark[j]);
			else
				add_item(l, k, j);
		}
	}
	return 0;
}

/* The listing's folders and objects become those of m. */
static void take_listing(struct metas *m, struct listing *list, bool objects)
{
	m->v = list->v;
	m->n = list->n;
	m->objects = list->o;
	for (size_t i = 0; objects && i < m->n; i++)
		m->v[i].object = m->objects + list->first[i];
	list->v = NULL;
	list->o = NULL;
	listing_deinit(list);
}

int metas_read(const struct metas_opts *o, struct ctx *ctx, struct metas *old,
	       struct metas **out, struct err *e)
{
	struct metas *m = xcalloc(1, sizeof(*m));
	struct listing list = { .arena = &m->arena };
	ref_init(&m->ref, metas_free);
	arena_init(&m->arena, NULL);
	m->read_ms = time_wall_ms();
	int rc = listing_read(&list, o, ctx, e);
	if (rc == 0 && is_unchanged(&list, old, o->objects)) {
		listing_deinit(&list);
		ref_put(&m->ref);
		ref_get(&old->ref);
		*out = old;
		return 0;
	}
	struct loader l = { .o = o, .ctx = ctx, .m = m };
	if (rc < 0) {
		listing_deinit(&list);
	} else {
		take_listing(m, &list, o->objects);
		rc = plan(&l, old, e);
	}
	if (rc == 0)
		rc = load_all(&l, e);
	free(l.v);
	if (rc < 0) {
		ref_put(&m->ref);
		return -1;
	}
	if (o->cache_dir)
		meta_cache_clean(o->cache_dir, ctx, m);
	*out = m;
	return 0;
}
