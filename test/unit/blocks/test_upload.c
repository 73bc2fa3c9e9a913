/*
 * Objects of a block uploaded several at a time: how many at once, what a failure ends, meta.json last.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "base/time.h"
#include "world.h"

#define SEGMENTS 9 /* and the index: ten objects beside meta.json */

/* A bucket whose puts wait until `meet` of them are under way (or a while has passed). */
struct meeting {
	struct bucket base;
	struct bucket *inner;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	unsigned meet, now, most, puts;
	unsigned fail_at; /* this put fails; 0: none */
	bool meta_early; /* meta.json came while a put was under way, or before all were done */
};

static struct meeting *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct meeting, base);
}

struct crowd {
	struct meeting *m;
};

static bool is_met(void *arg)
{
	struct meeting *m = ((struct crowd *)arg)->m;
	return m->most >= m->meet;
}

static int meet_put(struct bucket *b, struct ctx *ctx, struct str name,
		    struct put_source *src, struct err *e)
{
	struct meeting *m = self(b);
	struct ctx soon = ctx_child(ctx, time_after_ns(5 * NS_PER_S));
	struct crowd crowd = { m };
	struct err why = ERR_INIT;
	pthread_mutex_lock(&m->mu);
	unsigned nth = ++m->puts;
	if (str_has_suffix(name, STR("meta.json")))
		m->meta_early |= m->now > 0 || nth != SEGMENTS + 2;
	m->now++;
	if (m->now > m->most)
		m->most = m->now;
	pthread_cond_broadcast(&m->cv);
	if (nth <= m->meet)
		(void)!ctx_cond_wait(&soon, &m->cv, &m->mu, is_met, &crowd, &why);
	pthread_mutex_unlock(&m->mu);
	int rc = nth == m->fail_at
			 ? err_set(ctx, e, E_UNAVAILABLE, "put %u is refused", nth)
			 : m->inner->ops->put(m->inner, ctx, name, src, e);
	pthread_mutex_lock(&m->mu);
	m->now--;
	pthread_mutex_unlock(&m->mu);
	return rc;
}

static int meet_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		     int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			       struct err *e),
		     void *arg, struct err *e)
{
	struct bucket *inner = self(b)->inner;
	return inner->ops->iter(inner, ctx, dir, recursive, fn, arg, e);
}

static void meeting_begin(struct meeting *m, unsigned meet)
{
	static const struct bucket_ops ops = { .iter = meet_iter, .put = meet_put };
	*m = (struct meeting){ .base = { &ops, "meeting" }, .meet = meet };
	m->inner = bucket_mem_new();
	pthread_mutex_init(&m->mu, NULL);
	ctx_cond_init(&m->cv);
}

static void meeting_end(struct meeting *m)
{
	bucket_close(m->inner);
	pthread_mutex_destroy(&m->mu);
	pthread_cond_destroy(&m->cv);
}

static void make_folder(struct world *w, struct arena *a, struct block_meta *meta,
			char **dir)
{
	struct err e = ERR_INIT;
	*meta = (struct block_meta){ 0 };
	cr_assert(ulid_parse(STR(WORLD_HIST), &meta->ulid));
	*dir = str_dupz(a, str_fmt(a, "%s/big", w->dir));
	cr_assert_eq(fs_mkdir_p(&w->ctx, str_dupz(a, str_fmt(a, "%s/chunks", *dir)), &e),
		     0);
	for (unsigned i = 1; i <= SEGMENTS + 1; i++) {
		struct str path = i > SEGMENTS ? str_fmt(a, "%s/index", *dir)
					       : str_fmt(a, "%s/chunks/%06u", *dir, i);
		cr_assert_eq(fs_write_atomic(&w->ctx, str_dupz(a, path),
					     str_fmt(a, "bytes of %u", i), &e),
			     0);
	}
}

static int upload(struct world *w, struct meeting *m, uint32_t concurrency, struct err *e)
{
	struct arena a;
	struct block_meta meta;
	char *dir;
	arena_init(&a, NULL);
	make_folder(w, &a, &meta, &dir);
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ .max_bulk = 8 });
	const struct upload_opts o = { concurrency, pool };
	int rc = block_upload(&m->base, &w->ctx, dir, &meta, &o, e);
	task_pool_free(pool);
	arena_deinit(&a);
	return rc;
}

static size_t count_objects(struct world *w, struct bucket *b)
{
	struct arena a;
	size_t n = 0;
	arena_init(&a, NULL);
	for (const char *s = world_names(w, &a, b); *s; s++)
		n += *s == ' ';
	arena_deinit(&a);
	return n;
}

Test(upload, so_many_at_a_time_and_meta_last)
{
	static const unsigned each[] = { 0, 1, 2, 5 };
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		struct world w;
		struct meeting m;
		struct err e = ERR_INIT;
		unsigned want = MAX(each[i], 1u);
		world_begin(&w);
		meeting_begin(&m, want);
		cr_assert_eq(upload(&w, &m, each[i], &e), 0, "%s", err_text(&e));
		cr_assert_eq(m.most, want, "%d at a time: %d", (int)want, (int)m.most);
		cr_assert_eq(m.puts, SEGMENTS + 2);
		cr_assert_not(m.meta_early);
		cr_assert_eq(count_objects(&w, m.inner), SEGMENTS + 2);
		/* Again: all is there, only meta.json is put. */
		m.puts = SEGMENTS + 1;
		cr_assert_eq(upload(&w, &m, each[i], &e), 0, "%s", err_text(&e));
		cr_assert_eq(m.puts, SEGMENTS + 2);
		meeting_end(&m);
		world_end(&w);
	}
}

Test(upload, one_failure_ends_it_without_meta)
{
	for (unsigned at = 1; at <= SEGMENTS + 1; at += 3) {
		struct world w;
		struct meeting m;
		struct err e = ERR_INIT;
		world_begin(&w);
		meeting_begin(&m, 4);
		m.fail_at = at;
		cr_assert_eq(upload(&w, &m, 4, &e), -1);
		cr_assert_eq(e.code, E_UNAVAILABLE);
		cr_assert(strstr(err_text(&e), "is refused") &&
				  strstr(err_text(&e), WORLD_HIST),
			  "%s", err_text(&e));
		cr_assert_leq(m.puts, SEGMENTS + 1, "no meta.json");
		m.fail_at = 0;
		m.puts = m.most = 0;
		m.meet = 1;
		cr_assert_eq(upload(&w, &m, 4, &e), 0);
		cr_assert_eq(count_objects(&w, m.inner), SEGMENTS + 2);
		meeting_end(&m);
		world_end(&w);
	}
}

/* No helper is free: the caller does everything itself, and nobody waits for the late. */
static void hold(void *arg)
{
	struct cancel *go = arg;
	struct ctx ctx = { .deadline_ns = time_after_ns(20 * NS_PER_S) };
	while (!cancel_is(go) && time_mono_ns() < ctx.deadline_ns)
		sched_yield();
}

Test(upload, needs_no_helper)
{
	struct world w;
	struct meeting m;
	struct arena a;
	struct block_meta meta;
	char *dir;
	struct err e = ERR_INIT;
	world_begin(&w);
	meeting_begin(&m, 1);
	arena_init(&a, NULL);
	make_folder(&w, &a, &meta, &dir);
	struct cancel *go = cancel_new();
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ .max_bulk = 1 });
	task_bulk(pool, hold, go);
	const struct upload_opts o = { 4, pool };
	cr_assert_eq(block_upload(&m.base, &w.ctx, dir, &meta, &o, &e), 0);
	cr_assert_eq(m.most, 1);
	cancel_now(go, "end");
	task_pool_free(pool);
	cancel_unref(go);
	arena_deinit(&a);
	meeting_end(&m);
	world_end(&w);
}

/* ---- hashes ---- */

/* A bucket that keeps another last byte of objects whose name ends in `flip`, and counts what is read. */
struct flipping {
	struct bucket base;
	struct bucket *inner;
	struct metric_registry *metrics;
	const char *flip; /* NULL: no more */
	bool checks;
	unsigned opened;
};

static struct flipping *flipping(struct bucket *b)
{
	return CONTAINER_OF(b, struct flipping, base);
}

static int flip_put(struct bucket *b, struct ctx *ctx, struct str name,
		    struct put_source *src, struct err *e)
{
	struct flipping *f = flipping(b);
	char bytes[4096];
	size_t n = 0, got;
	do {
		if (src->read(src->arg, ctx, bytes + n, sizeof(bytes) - n, &got, e) < 0)
			return -1;
		n += got;
	} while (got);
	if (f->flip && str_has_suffix(name, str_of(f->flip)))
		bytes[n - 1] ^= 1;
	return bucket_put_bytes(f->inner, ctx, name, str_n(bytes, n), e);
}

static int flip_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		     int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			       struct err *e),
		     void *arg, struct err *e)
{
	return bucket_iter(flipping(b)->inner, ctx, dir, recursive, fn, arg, e);
}

static int flip_open(struct bucket *b, struct ctx *ctx, struct str name,
		     struct range_source **out, struct err *e)
{
	flipping(b)->opened++;
	return bucket_open(flipping(b)->inner, ctx, name, out, e);
}

static int flip_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	return bucket_delete(flipping(b)->inner, ctx, name, e);
}

static bool flip_checks(struct bucket *b)
{
	return flipping(b)->checks;
}

static void flip_close(struct bucket *b)
{
	bucket_close(flipping(b)->inner);
}

static struct bucket *flipping_begin(struct flipping *f, const char *flip)
{
	static const struct bucket_ops ops = { .iter = flip_iter,
					       .put = flip_put,
					       .open = flip_open,
					       .del = flip_del,
					       .close = flip_close,
					       .checks_puts = flip_checks };
	*f = (struct flipping){ .base = { &ops, "flipping" }, .flip = flip };
	f->inner = bucket_mem_new();
	/* behind wrappers, as the program has it */
	f->metrics = metric_registry_new();
	return bucket_prefix_new(bucket_metrics_new(&f->base, f->metrics),
				 STR("some/where"));
}

struct hashed {
	struct world w;
	struct arena a;
	struct block_meta meta;
	char *dir;
};

static void hashed_begin(struct hashed *h, bool sha256)
{
	struct err e = ERR_INIT;
	world_begin(&h->w);
	arena_init(&h->a, NULL);
	make_folder(&h->w, &h->a, &h->meta, &h->dir);
	h->meta.has_thanos = true;
	cr_assert_eq(block_describe_files(&h->w.ctx, &h->a, h->dir, sha256, &h->meta, &e),
		     0);
}

static void hashed_end(struct hashed *h)
{
	arena_deinit(&h->a);
	world_end(&h->w);
}

Test(upload, compares_hashes_before_meta)
{
	static const char *const flips[] = { "chunks/000001", "chunks/000005", "index" };
	for (size_t i = 0; i < ARRAY_LEN(flips); i++) {
		struct hashed h;
		struct flipping f;
		struct err e = ERR_INIT;
		hashed_begin(&h, true);
		struct bucket *b = flipping_begin(&f, flips[i]);
		cr_assert_eq(block_upload(b, &h.w.ctx, h.dir, &h.meta, NULL, &e), -1);
		cr_assert_eq(e.code, E_REMOTE, "tried again");
		cr_assert(strstr(err_text(&e), flips[i]) &&
				  strstr(err_text(&e), "other bytes"),
			  "%s", err_text(&e));
		cr_assert_eq(count_objects(&h.w, f.inner), SEGMENTS,
			     "neither meta.json nor what differs");
		f.flip = NULL;
		f.opened = 0;
		e = ERR_INIT;
		cr_assert_eq(block_upload(b, &h.w.ctx, h.dir, &h.meta, NULL, &e), 0, "%s",
			     err_text(&e));
		cr_assert_eq(count_objects(&h.w, f.inner), SEGMENTS + 2);
		cr_assert_eq(f.opened, SEGMENTS + 1);
		bucket_close(b);
		metric_registry_free(f.metrics);
		hashed_end(&h);
	}
}

/* Nothing to compare with, or the bucket has compared: nothing is read. */
Test(upload, reads_back_only_what_nobody_compares)
{
	for (int checks = 0; checks < 2; checks++) {
		struct hashed h;
		struct flipping f;
		struct err e = ERR_INIT;
		hashed_begin(&h, checks);
		struct bucket *b = flipping_begin(&f, NULL);
		f.checks = checks;
		cr_assert_eq(block_upload(b, &h.w.ctx, h.dir, &h.meta, NULL, &e), 0, "%s",
			     err_text(&e));
		cr_assert_eq(f.opened, 0);
		cr_assert_eq(count_objects(&h.w, f.inner), SEGMENTS + 2);
		bucket_close(b);
		metric_registry_free(f.metrics);
		hashed_end(&h);
	}
}
