/*
 * blocks/list.c - which folders and objects a bucket has.
 *
 * One recursive listing shows every block folder, whether it has a meta.json, and its marks: no question per block is
 * asked. A store that lists slowly may be asked by folder instead: the top level, then each block's folder, several at a
 * time.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/vec.h"
#include "blocks/blocks_int.h"

bool blocks_split_name(struct str name, struct ulid *id, struct str *rest)
{
	char text[27];
	if (name.n < 26 || (name.n > 26 && name.p[26] != '/'))
		return false;
	if (!ulid_parse(str_n(name.p, 26), id))
		return false;
	ulid_format(id, text);
	*rest = str_from(name, MIN(name.n, (size_t)27));
	return memcmp(text, name.p, 26) == 0;
}

void listing_deinit(struct listing *l)
{
	free(l->v);
	free(l->o);
	free(l->first);
	*l = (struct listing){ .arena = l->arena };
}

static struct known *folder_of(struct listing *l, const struct ulid *id)
{
	if (l->n && ulid_cmp(&l->v[l->n - 1].id, id) == 0)
		return &l->v[l->n - 1];
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	if (l->n == l->cap_first)
		l->first = vec_grow(l->first, &l->cap_first, l->n + 1, sizeof(*l->first));
	l->first[l->n] = l->n_objects;
	l->v[l->n] = (struct known){ .id = *id };
	return &l->v[l->n++];
}

struct seeing {
	struct listing *l;
	bool objects;
};

static int see(void *arg, struct str name, const struct bucket_attrs *a,
	       struct err *e UNUSED)
{
	struct seeing *s = arg;
	struct listing *l = s->l;
	struct ulid id;
	struct str rest;
	if (!a || !blocks_split_name(name, &id, &rest) || rest.n == 0)
		return 0;
	struct known *k = folder_of(l, &id);
	k->n_objects++;
	k->bytes += a->size;
	k->newest_ms = MAX(k->newest_ms, a->mtime_ms);
	if (str_eq(rest, STR(BLOCKS_META_NAME)))
		k->seen = (struct seen){ true, *a };
	for (unsigned i = 0; i < MARK_KINDS; i++)
		if (str_eqz(rest, mark_filename(i)))
			k->mark[i].seen = (struct seen){ true, *a };
	if (!s->objects)
		return 0;
	if (l->n_objects == l->cap_objects)
		l->o = vec_grow(l->o, &l->cap_objects, l->n_objects + 1, sizeof(*l->o));
	l->o[l->n_objects++] = (struct known_object){ str_dup(l->arena, rest), *a };
	return 0;
}

/* ---- by folder ---- */

struct folder { /* one block's folder, listed by whoever takes it */
	char name[27];
	struct arena arena;
	struct listing found;
};
struct crew {
	const struct metas_opts *o;
	struct ctx *ctx;
	struct folder *v;
	size_t n, cap;
	pthread_mutex_t mu; /* guards all below */
	pthread_cond_t idle;
	size_t next;
	uint32_t helpers;
	struct err e;
};

static int note_folder(void *arg, struct str name, const struct bucket_attrs *a UNUSED,
		       struct err *e UNUSED)
{
	struct crew *c = arg;
	struct ulid id;
	struct str rest;
	if (!str_has_suffix(name, STR("/")) || !blocks_split_name(name, &id, &rest) ||
	    rest.n)
		return 0;
	if (c->n == c->cap)
		c->v = vec_grow(c->v, &c->cap, c->n + 1, sizeof(*c->v));
	struct folder *f = &c->v[c->n++];
	*f = (struct folder){ 0 };
	ulid_format(&id, f->name);
	return 0;
}

static void work(struct crew *c)
{
	for (;;) {
		pthread_mutex_lock(&c->mu);
		struct folder *f =
			c->e.code == E_OK && c->next < c->n ? &c->v[c->next++] : NULL;
		pthread_mutex_unlock(&c->mu);
		if (!f)
			return;
		struct err e = ERR_INIT;
		struct seeing s = { &f->found, c->o->objects };
		if (bucket_iter(c->o->bucket, c->ctx, str_of(f->name), true, see, &s,
				&e) == 0)
			continue;
		pthread_mutex_lock(&c->mu);
		if (c->e.code == E_OK)
			c->e = e;
		pthread_mutex_unlock(&c->mu);
	}
}

static void help(void *arg)
{
	struct crew *c = arg;
	work(c);
	pthread_mutex_lock(&c->mu);
	if (--c->helpers == 0)
		pthread_cond_signal(&c->idle);
	pthread_mutex_unlock(&c->mu);
}

static void work_together(struct crew *c)
{
	struct err none = ERR_INIT;
	size_t want = c->o->pool ? MIN(c->n, (size_t)c->o->concurrency) : 1;
	for (size_t i = 1; i < want; i++) {
		pthread_mutex_lock(&c->mu);
		c->helpers++;
		pthread_mutex_unlock(&c->mu);
		if (task_request(c->o->pool, help, c, &none) == 0)
			continue;
		pthread_mutex_lock(&c->mu);
		c->helpers--;
		pthread_mutex_unlock(&c->mu);
		break;
	}
	work(c);
	pthread_mutex_lock(&c->mu);
	while (c->helpers)
		pthread_cond_wait(&c->idle, &c->mu);
	pthread_mutex_unlock(&c->mu);
}

/* What one folder showed, behind what there is; folders come in order. */
static void append(struct listing *l, const struct listing *found)
{
	for (size_t i = 0; i < found->n; i++)
		*folder_of(l, &found->v[i].id) = found->v[i];
	for (size_t i = 0; i < found->n_objects; i++) {
		if (l->n_objects == l->cap_objects)
			l->o = vec_grow(l->o, &l->cap_objects, l->n_objects + 1,
					sizeof(*l->o));
		l->o[l->n_objects++] =
			(struct known_object){ str_dup(l->arena, found->o[i].rel),
					       found->o[i].attrs };
	}
}

static int read_by_folder(struct listing *l, const struct metas_opts *o, struct ctx *ctx,
			  struct err *e)
{
	struct crew c = { .o = o, .ctx = ctx };
	if (bucket_iter(o->bucket, ctx, STR(""), false, note_folder, &c, e) < 0) {
		free(c.v);
		return -1;
	}
	for (size_t i = 0; i < c.n; i++) {
		arena_init(&c.v[i].arena, NULL);
		c.v[i].found.arena = &c.v[i].arena;
	}
	pthread_mutex_init(&c.mu, NULL);
	pthread_cond_init(&c.idle, NULL);
	work_together(&c);
	pthread_cond_destroy(&c.idle);
	pthread_mutex_destroy(&c.mu);
	for (size_t i = 0; i < c.n; i++) {
		if (c.e.code == E_OK)
			append(l, &c.v[i].found);
		listing_deinit(&c.v[i].found);
		arena_deinit(&c.v[i].arena);
	}
	free(c.v);
	if (c.e.code != E_OK)
		*e = c.e;
	return c.e.code == E_OK ? 0 : -1;
}

int listing_read(struct listing *l, const struct metas_opts *o, struct ctx *ctx,
		 struct err *e)
{
	struct seeing s = { l, o->objects };
	if (o->by_folder)
		return read_by_folder(l, o, ctx, e);
	return bucket_iter(o->bucket, ctx, STR(""), true, see, &s, e);
}
