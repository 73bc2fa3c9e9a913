/*
 * store/spill.c - a queue of bytes in slabs, continued in a file.
 *
 * Order: slabs are older than the file. While the file holds unread bytes everything goes behind them; when the
 * consumer has read it empty, the producer starts at its beginning again and uses memory first.
 */
#include "store/spill.h"

#include <stdlib.h>

#include "base/ref.h"
#include "base/time.h"
#include "fs/fs.h"

#define DEFAULT_MEMORY ((size_t)16 << 20)
/* A reader that has nothing is not woken for less, but after a moment: small pieces would wake it thousands of times. */
#define GATHER_BYTES ((uint64_t)128 << 10)
#define GATHER_NS    (2 * NS_PER_MS)

struct piece {
	struct slab *slab;
	size_t read;
	struct piece *next;
};
struct spill {
	struct spill_opts o;
	pthread_mutex_t mu; /* guards all below but the producer's file writes */
	pthread_cond_t cv;
	struct piece *first, *last; /* last: the producer appends to its slab */
	size_t held;		    /* capacity of the slabs */
	struct fs_temp *file;
	uint64_t file_read, file_end, spilled;
	uint64_t unread, wanted; /* wanted: by a reader that waits */
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

static void drop_first(struct spill *s)
{
	struct piece *p = s->first;
	s->first = p->next;
	if (!s->first)
		s->last = NULL;
	s->held -= p->slab->cap;
	ref_put(&p->slab->ref);
	free(p);
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

/* Lock held. */
static void rouse(struct spill *s)
{
	if (s->unread >= s->wanted || s->ended)
		pthread_cond_broadcast(&s->cv);
}

/* Lock held. As much of *bytes as memory takes. */
static void to_memory(struct spill *s, struct str *bytes)
{
	while (bytes->n) {
		struct slab *slab = s->last ? s->last->slab : NULL;
		if (!slab || slab->used == slab->cap) {
			struct err refused = ERR_INIT;
			if (s->held + SLAB_BYTES > s->o.memory)
				return;
			slab = slab_try(s->o.budget, NULL, 0, &refused);
			if (!slab)
				return;
			struct piece *p = xcalloc(1, sizeof(*p));
			p->slab = slab;
			if (s->last)
				s->last->next = p;
			else
				s->first = p;
			s->last = p;
			s->held += slab->cap;
		}
		size_t n = MIN(bytes->n, slab->cap - slab->used);
		memcpy(slab->data + slab->used, bytes->p, n);
		slab->used += n;
		s->unread += n;
		*bytes = str_from(*bytes, n);
	}
}

static int to_file(struct spill *s, struct str bytes, uint64_t at, struct err *e)
{
	if (!s->file && fs_temp_open(NULL, s->o.dir, &s->file, e) < 0)
		return -1;
	if (fs_temp_write(s->file, NULL, at, bytes.p, bytes.n, e) < 0)
		return -1;
	pthread_mutex_lock(&s->mu);
	s->file_end = at + bytes.n;
	s->spilled += bytes.n;
	s->unread += bytes.n;
	rouse(s);
	pthread_mutex_unlock(&s->mu);
	return 0;
}

int spill_write(struct spill *s, struct str bytes, struct err *e)
{
	if (bytes.n == 0)
		return 0;
	pthread_mutex_lock(&s->mu);
	if (s->file_read == s->file_end) {
		/* The reader is not in the file: it only reads up to file_end. */
		if (s->file_end)
			fs_temp_empty(s->file);
		s->file_read = s->file_end = 0;
		to_memory(s, &bytes);
		rouse(s);
	}
	uint64_t at = s->file_end;
	pthread_mutex_unlock(&s->mu);
	return bytes.n ? to_file(s, bytes, at, e) : 0;
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

static bool readable(void *arg)
{
	const struct spill *s = arg;
	return s->unread > 0 || s->ended;
}

static bool has_gathered(void *arg)
{
	const struct spill *s = arg;
	return s->unread >= s->wanted || s->ended;
}

/* Lock held. */
static int wait_readable(struct spill *s, struct ctx *ctx, struct err *e)
{
	struct ctx plain = { 0 };
	struct ctx c = ctx_child(ctx ? ctx : &plain, time_after_ns(GATHER_NS));
	struct err none = ERR_INIT;
	if (readable(s))
		return 0;
	s->wanted = GATHER_BYTES;
	(void)!ctx_cond_wait(&c, &s->cv, &s->mu, has_gathered, s, &none);
	s->wanted = 1;
	return ctx_cond_wait(ctx, &s->cv, &s->mu, readable, s, e);
}

/* Lock held. Bytes taken from memory. */
static size_t from_memory(struct spill *s, void *p, size_t n)
{
	struct piece *f = s->first;
	size_t k = MIN(n, f->slab->used - f->read);
	memcpy(p, f->slab->data + f->read, k);
	f->read += k;
	s->unread -= k;
	if (f->read == f->slab->used &&
	    (f->slab->used == f->slab->cap || s->file_read < s->file_end || s->ended))
		drop_first(s);
	return k;
}

ssize_t spill_read(struct spill *s, struct ctx *ctx, void *p, size_t n, struct err *e)
{
	ssize_t got = -1;
	pthread_mutex_lock(&s->mu);
	if (wait_readable(s, ctx, e) < 0)
		goto out;
	while (s->first && s->first->read == s->first->slab->used &&
	       s->file_read < s->file_end)
		drop_first(s); /* a slab that was never filled, and the file goes on */
	if (s->first && s->first->read < s->first->slab->used) {
		got = (ssize_t)from_memory(s, p, n);
	} else if (s->file_read < s->file_end) {
		uint64_t at = s->file_read;
		size_t k = (size_t)MIN((uint64_t)n, s->file_end - at);
		pthread_mutex_unlock(&s->mu);
		int rc = fs_temp_read(s->file, ctx, at, p, k, e);
		pthread_mutex_lock(&s->mu);
		s->file_read += k;
		s->unread -= k;
		got = rc < 0 ? -1 : (ssize_t)k;
	} else if (s->failed) {
		err_copy(ctx, e, &s->why);
	} else {
		got = 0;
	}
out:
	pthread_mutex_unlock(&s->mu);
	return got;
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
