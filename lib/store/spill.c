/*
 * store/spill.c - a queue of pieces, continued in a file.
 *
 * Order: pieces are older than the file. While the file holds unread bytes everything goes behind them; when the
 * consumer has read it empty, the producer starts at its beginning again and uses memory first.
 *
 * A piece is a view that was written, or a slab into which small ones are copied: the producer writes behind what the
 * consumer may hold, so the two never touch the same bytes. A piece is charged until it has left the queue and what was
 * handed out of it is put.
 */
#include "store/spill.h"

#include <stdlib.h>

#include "fs/fs.h"

#define DEFAULT_MEMORY ((size_t)16 << 20)
#define SMALL_BYTES    ((size_t)8 << 10) /* less than that is copied */
#define SLAB_OF_SMALL  ((size_t)64 << 10)
#define FROM_FILE      ((size_t)128 << 10) /* read at a time */

struct piece {
	struct ref ref; /* the queue's and one for each view that was handed out */
	struct view v;
	struct slab *slab; /* of small ones: v grows into it; NULL: v is whole */
	struct budget *budget;
	size_t charged;
	size_t size, read; /* size: what it holds of the memory that is allowed */
	struct piece *next;
};
struct spill {
	struct spill_opts o;
	pthread_mutex_t mu; /* guards all below but the producer's file writes */
	pthread_cond_t cv;
	struct piece *first, *last;
	size_t held; /* sizes of the pieces */
	struct fs_temp *file;
	uint64_t file_read, file_end, spilled;
	bool ended, failed;
	struct err why;
};

struct spill *spill_new(const struct spill_opts *o)
{
	struct spill *s = xcalloc(1, sizeof(*s));
	s->o = *o;
	if (s->o.memory == 0)
		s->o.memory = DEFAULT_MEMORY;
	pthread_mutex_init(&s->mu, NULL);
	ctx_cond_init(&s->cv);
	return s;
}

static void piece_free(struct ref *r)
{
	struct piece *p = CONTAINER_OF(r, struct piece, ref);
	view_put(&p->v);
	budget_give(p->budget, p->charged);
	free(p);
}

static void drop_first(struct spill *s)
{
	struct piece *p = s->first;
	s->first = p->next;
	if (!s->first)
		s->last = NULL;
	s->held -= p->size;
	ref_put(&p->ref);
}

void spill_free(struct spill *s)
{
	if (!s)
		return;
	while (s->first)
		drop_first(s);
	fs_temp_close(s->file);
	pthread_cond_destroy(&s->cv);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

/* ---- producer ---- */

/* Lock held. False: memory does not take it. */
static bool add_piece(struct spill *s, struct view v, struct slab *slab, size_t size)
{
	struct err refused = ERR_INIT;
	size_t charge = sizeof(struct piece) + (slab ? 0 : size);
	if (budget_take(s->o.budget, NULL, charge, &refused) < 0)
		return false;
	struct piece *p = xcalloc(1, sizeof(*p));
	ref_init(&p->ref, piece_free);
	p->v = v;
	p->slab = slab;
	p->budget = s->o.budget;
	p->charged = charge;
	p->size = size;
	if (s->last)
		s->last->next = p;
	else
		s->first = p;
	s->last = p;
	s->held += size;
	return true;
}

/* Lock held. A copy, whole or not at all. */
static bool copy_small(struct spill *s, struct view v)
{
	struct slab *slab = s->last ? s->last->slab : NULL;
	if (!slab || slab->cap - slab->used < v.n) {
		struct err refused = ERR_INIT;
		if (s->held + SLAB_OF_SMALL > s->o.memory)
			return false;
		slab = slab_try(s->o.budget, NULL, SLAB_OF_SMALL, &refused);
		if (!slab)
			return false;
		if (!add_piece(s, (struct view){ slab->data, 0, &slab->ref }, slab,
			       SLAB_OF_SMALL)) {
			ref_put(&slab->ref);
			return false;
		}
	}
	memcpy(slab->data + slab->used, v.p, v.n);
	slab->used += v.n;
	s->last->v.n = slab->used;
	return true;
}

/* Lock held. v is taken over if that is true. */
static bool to_memory(struct spill *s, struct view *v)
{
	if (v->n < SMALL_BYTES) {
		if (!copy_small(s, *v))
			return false;
		view_put(v);
		return true;
	}
	return s->held + v->n <= s->o.memory && add_piece(s, *v, NULL, v->n);
}

static int to_file(struct spill *s, struct view v, uint64_t at, struct err *e)
{
	if (!s->file && fs_temp_open(NULL, s->o.dir, &s->file, e) < 0)
		return -1;
	if (fs_temp_write(s->file, NULL, at, v.p, v.n, e) < 0)
		return -1;
	pthread_mutex_lock(&s->mu);
	s->file_end = at + v.n;
	s->spilled += v.n;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
	return 0;
}

int spill_write(struct spill *s, struct view v, struct err *e)
{
	bool done = v.n == 0;
	pthread_mutex_lock(&s->mu);
	if (s->file_read == s->file_end && !done) {
		/* The reader is not in the file: it only reads up to file_end. */
		if (s->file_end)
			fs_temp_empty(s->file);
		s->file_read = s->file_end = 0;
		done = to_memory(s, &v);
		pthread_cond_broadcast(&s->cv);
	}
	uint64_t at = s->file_end;
	pthread_mutex_unlock(&s->mu);
	if (done)
		return 0;
	int rc = to_file(s, v, at, e);
	view_put(&v);
	return rc;
}

void spill_end(struct spill *s, const struct err *why)
{
	pthread_mutex_lock(&s->mu);
	s->ended = true;
	s->failed = why != NULL;
	if (why)
		err_copy(NULL, &s->why, why);
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
}

/* ---- consumer ---- */

/* Lock held. Pieces that were read and will not grow any more go. */
static void tidy(struct spill *s)
{
	while (s->first && s->first->read == s->first->v.n &&
	       (!s->first->slab || s->first != s->last || s->ended ||
		s->file_read < s->file_end))
		drop_first(s);
}

static bool readable(void *arg)
{
	struct spill *s = arg;
	tidy(s);
	return (s->first && s->first->read < s->first->v.n) ||
	       s->file_read < s->file_end || s->ended;
}

/* Lock held. */
static void from_memory(struct piece *p, struct view *v)
{
	*v = (struct view){ p->v.p + p->read, p->v.n - p->read, ref_get(&p->ref) };
	p->read = p->v.n;
}

/* Lock held, but not while the file is read. */
static int from_file(struct spill *s, struct ctx *ctx, struct view *v, struct err *e)
{
	uint64_t at = s->file_read;
	size_t n = (size_t)MIN((uint64_t)FROM_FILE, s->file_end - at);
	struct slab *slab = slab_try(s->o.budget, ctx, n, e);
	if (!slab)
		return -1;
	pthread_mutex_unlock(&s->mu);
	int rc = fs_temp_read(s->file, ctx, at, slab->data, n, e);
	pthread_mutex_lock(&s->mu);
	s->file_read += n;
	if (rc < 0) {
		ref_put(&slab->ref);
		return -1;
	}
	*v = (struct view){ slab->data, n, &slab->ref };
	return 1;
}

int spill_read(struct spill *s, struct ctx *ctx, struct view *v, struct err *e)
{
	int rc = -1;
	pthread_mutex_lock(&s->mu);
	if (ctx_cond_wait(ctx, &s->cv, &s->mu, readable, s, e) < 0)
		goto out;
	if (s->first && s->first->read < s->first->v.n) {
		from_memory(s->first, v);
		rc = 1;
	} else if (s->file_read < s->file_end) {
		rc = from_file(s, ctx, v, e);
	} else if (s->failed) {
		err_copy(ctx, e, &s->why);
	} else {
		rc = 0;
	}
out:
	pthread_mutex_unlock(&s->mu);
	return rc;
}

size_t spill_held(struct spill *s)
{
	pthread_mutex_lock(&s->mu);
	size_t n = s->held;
	pthread_mutex_unlock(&s->mu);
	return n;
}

uint64_t spill_spilled(struct spill *s)
{
	pthread_mutex_lock(&s->mu);
	uint64_t n = s->spilled;
	pthread_mutex_unlock(&s->mu);
	return n;
}
