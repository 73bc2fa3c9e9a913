/*
 * blocks/delete.c - a block out of a bucket, in the order that never shows half of one.
 *
 * meta.json goes first: from then on nobody takes the folder for a block. The deletion mark goes last, so that whoever
 * finds the rest of a deletion that stopped half way knows that it was one.
 *
 * A listing may be that of some time ago, and what it does not show would stay for good. So the folder is listed until a
 * listing shows nothing more to delete, nor what is deleted already, and agrees with a question for the index by name: the
 * index was put behind all chunks, so it stays until then, and a listing that shows it is not older than they are.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/time.h"
#include "base/vec.h"
#include "blocks/blocks_int.h"

#define ROUNDS 6u
#define PAUSE_NS                                                                         \
	(100 * NS_PER_MS) /* before a listing is asked for again; doubled each time */

struct names {
	struct arena arena;
	struct str *v;
	size_t n, cap;
};

static int note(void *arg, struct str name, const struct bucket_attrs *a UNUSED,
		struct err *e UNUSED)
{
	struct names *l = arg;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = str_dup(&l->arena, name);
	return 0;
}

struct deletion {
	struct bucket *b;
	struct ctx *ctx;
	struct str dir, meta, index, mark;
	bool has_index; /* asked by name */
	struct names l; /* of one listing */
	struct map gone;
};

enum round { ROUND_CLEAN, ROUND_MORE, ROUND_OLD };

/* List, and delete what is shown but index and mark. */
static int one_round(struct deletion *d, enum round *out, struct err *e)
{
	bool index = false, old = false, more = false;
	d->l.n = 0;
	if (bucket_iter(d->b, d->ctx, d->dir, true, note, &d->l, e) < 0)
		return -1;
	for (size_t i = 0; i < d->l.n; i++) {
		struct str name = d->l.v[i];
		if (str_eq(name, d->mark))
			continue;
		if (str_eq(name, d->index)) {
			index = true;
		} else if (map_get(&d->gone, name)) {
			old = true;
		} else {
			more = true;
			if (bucket_delete(d->b, d->ctx, name, e) < 0)
				return -1;
			map_set(&d->gone, name, d);
		}
	}
	*out = old || index != d->has_index ? ROUND_OLD : more ? ROUND_MORE : ROUND_CLEAN;
	return 0;
}

static bool never(void *arg UNUSED)
{
	return false;
}

static int pause_ns(struct ctx *ctx, uint64_t ns, struct err *e)
{
	pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cv;
	struct err over = ERR_INIT;
	struct ctx c = ctx_child(ctx, time_after_ns(ns));
	ctx_cond_init(&cv);
	pthread_mutex_lock(&mu);
	int rc = ctx_cond_wait(&c, &cv, &mu, never, NULL, &over);
	pthread_mutex_unlock(&mu);
	pthread_cond_destroy(&cv);
	pthread_mutex_destroy(&mu);
	return rc == 0 ? 0 : ctx_check(ctx, e);
}

static int delete_files(struct deletion *d, struct err *e)
{
	enum round r = ROUND_MORE;
	uint64_t pause = PAUSE_NS;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (r == ROUND_OLD) {
			if (pause_ns(d->ctx, pause, e) < 0)
				return -1;
			pause *= 2;
		}
		if (one_round(d, &r, e) < 0)
			return -1;
		if (r == ROUND_CLEAN)
			return 0;
	}
	return err_set(
		d->ctx, e, E_UNAVAILABLE,
		"the listing of its folder is out of date, so the rest of it may not be "
		"shown; it stays marked");
}

int block_delete(struct bucket *b, struct ctx *ctx, const struct ulid *id, struct err *e)
{
	struct deletion d = { .b = b, .ctx = ctx };
	char text[27];
	ulid_format(id, text);
	arena_init(&d.l.arena, NULL);
	map_init(&d.gone);
	d.dir = str_of(text);
	d.meta = str_fmt(&d.l.arena, "%s/" BLOCKS_META_NAME, text);
	d.index = str_fmt(&d.l.arena, "%s/index", text);
	d.mark = str_fmt(&d.l.arena, "%s/%s", text, mark_filename(MARK_DELETION));
	int rc = bucket_delete(b, ctx, d.meta, e);
	map_set(&d.gone, d.meta, &d);
	if (rc == 0)
		rc = bucket_exists(b, ctx, d.index, &d.has_index, e);
	if (rc == 0)
		rc = delete_files(&d, e);
	if (rc == 0 && d.has_index)
		rc = bucket_delete(b, ctx, d.index, e);
	if (rc == 0)
		rc = bucket_delete(b, ctx, d.mark, e);
	free(d.l.v);
	map_deinit(&d.gone);
	arena_deinit(&d.l.arena);
	return rc < 0 ? err_wrap(ctx, e, "block %s", text) : 0;
}
