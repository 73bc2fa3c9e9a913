/*
 * objstore/mem_bucket.c - a bucket in memory, for tests, whose calls can be made to fail by script.
 *
 * Objects are ref-counted bytes in an array sorted by name, under one mutex; a source that was opened
 * keeps its bytes although the object is replaced or deleted meanwhile, as a store's answer that is under
 * way does.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/time.h"
#include "base/vec.h"
#include "objstore/bucket_int.h"

struct blob { /* FROZEN once stored */
	struct ref ref;
	size_t n;
	uint8_t *p;
};

struct object {
	struct str name; /* malloc'ed */
	struct blob *blob;
	int64_t mtime_ms;
};

struct mem_bucket {
	struct bucket base;
	pthread_mutex_t mu; /* guards all below */
	struct object *v;   /* ascending by name */
	size_t n, cap;
	uint64_t calls, fail_at; /* fail_at 0: never */
	bool for_good, landed;
};

struct mem_object {
	struct range_source base;
	struct mem_bucket *bucket;
	struct blob *blob;
	char name[];
};

static struct mem_bucket *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct mem_bucket, base);
}

static void blob_free(struct ref *r)
{
	struct blob *b = CONTAINER_OF(r, struct blob, ref);
	free(b->p);
	free(b);
}

static int order(const void *key, const void *elem)
{
	return str_cmp(*(const struct str *)key, ((const struct object *)elem)->name);
}

/* Under mu: index of the first object not before `name`; *found tells equality. */
static size_t locate(const struct mem_bucket *m, struct str name, bool *found)
{
	size_t i = vec_lower_bound(&name, m->v, m->n, sizeof(*m->v), order);
	*found = i < m->n && str_eq(m->v[i].name, name);
	return i;
}

/* Count a call; -1: it is the one that fails. Locks mu and leaves it locked when it returns 0. */
static int enter(struct mem_bucket *m, struct ctx *ctx, bool *landed, struct err *e)
{
	pthread_mutex_lock(&m->mu);
	m->calls++;
	bool fail = m->fail_at &&
		    (m->calls == m->fail_at || (m->for_good && m->calls > m->fail_at));
	if (landed)
		*landed = fail && m->landed && m->calls == m->fail_at;
	if (!fail || (landed && *landed))
		return 0;
	uint64_t calls = m->calls;
	pthread_mutex_unlock(&m->mu);
	return err_set(ctx, e, E_UNAVAILABLE, "scripted failure of call %llu",
		       (unsigned long long)calls);
}

static int absent(struct ctx *ctx, struct err *e)
{
	return err_set(ctx, e, E_NOT_FOUND, "no such object");
}

/* Under mu: the entries of a listing, names copied to `a`. */
static struct bucket_entry *collect(const struct mem_bucket *m, struct arena *a,
				    struct str dir, bool recursive, size_t *n)
{
	struct bucket_entry *v = NULL;
	size_t cap = 0, skip = dir.n ? dir.n + 1 : 0;
	*n = 0;
	for (size_t i = 0; i < m->n; i++) {
		struct str name = m->v[i].name;
		if (dir.n && (!str_has_prefix(name, dir) || name.n <= dir.n ||
			      name.p[dir.n] != '/'))
			continue;
		ptrdiff_t slash = str_find_char(str_from(name, skip), '/');
		bool folder = !recursive && slash >= 0;
		if (folder)
			name.n = skip + (size_t)slash + 1;
		if (folder && *n && str_eq(v[*n - 1].name, name))
			continue;
		if (*n == cap)
			v = vec_grow(v, &cap, *n + 1, sizeof(*v));
		v[(*n)++] = (struct bucket_entry){ str_dup(a, name),
						   { m->v[i].blob->n, m->v[i].mtime_ms },
						   folder };
	}
	return v;
}

static int mem_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		    int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			      struct err *e),
		    void *arg, struct err *e)
{
	struct mem_bucket *m = self(b);
	struct arena a;
	size_t n;
	if (enter(m, ctx, NULL, e) < 0)
		return -1;
	arena_init(&a, NULL);
	struct bucket_entry *v = collect(m, &a, dir, recursive, &n);
	pthread_mutex_unlock(&m->mu);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = fn(arg, v[i].name, v[i].folder ? NULL : &v[i].attrs, e);
	free(v);
	arena_deinit(&a);
	return rc;
}

/* A reference of the object's bytes. */
static int find_blob(struct mem_bucket *m, struct ctx *ctx, struct str name,
		     struct blob **out, int64_t *mtime_ms, struct err *e)
{
	bool found;
	if (enter(m, ctx, NULL, e) < 0)
		return -1;
	size_t i = locate(m, name, &found);
	if (found) {
		*out = m->v[i].blob;
		ref_get(&(*out)->ref);
		if (mtime_ms)
			*mtime_ms = m->v[i].mtime_ms;
	}
	pthread_mutex_unlock(&m->mu);
	return found ? 0 : absent(ctx, e);
}

static int mem_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		   struct err *e)
{
	struct blob *blob;
	if (find_blob(self(b), ctx, name, &blob, NULL, e) < 0)
		return -1;
	buf_add(out, blob->p, blob->n);
	ref_put(&blob->ref);
	return buf_check(out, ctx, "object", e);
}

static int mem_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		     struct bucket_attrs *out, struct err *e)
{
	struct blob *blob;
	if (find_blob(self(b), ctx, name, &blob, &out->mtime_ms, e) < 0)
		return -1;
	out->size = blob->n;
	ref_put(&blob->ref);
	return 0;
}

static int object_read(struct range_source *s, struct ctx *ctx, const struct range *r,
		       size_t n, struct view *out, struct err *e)
{
	struct mem_object *o = CONTAINER_OF(s, struct mem_object, base);
	if (o->bucket) {
		if (enter(o->bucket, ctx, NULL, e) < 0)
			return -1;
		pthread_mutex_unlock(&o->bucket->mu);
	}
	uint64_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct view){ o->blob->p + r[i].off, (size_t)r[i].len,
					ref_get(&o->blob->ref) };
		bytes += r[i].len;
	}
	atomic_fetch_add_explicit(&s->read_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->read_calls, 1, memory_order_relaxed);
	return 0;
}

static void object_close(struct range_source *s)
{
	struct mem_object *o = CONTAINER_OF(s, struct mem_object, base);
	ref_put(&o->blob->ref);
	free(o);
}

/* The source must not outlive the bucket: its reads count as calls of it. */
static int mem_open(struct bucket *b, struct ctx *ctx, struct str name,
		    struct range_source **out, struct err *e)
{
	static const struct range_source_ops ops = { object_read, object_close };
	struct blob *blob;
	if (find_blob(self(b), ctx, name, &blob, NULL, e) < 0)
		return -1;
	struct mem_object *o = xcalloc(1, sizeof(*o) + name.n + 1);
	memcpy(o->name, name.p, name.n);
	o->bucket = self(b);
	o->blob = blob;
	range_source_init(&o->base, &ops, o->name, blob->n);
	*out = &o->base;
	return 0;
}

/* All bytes of a put source. */
static int drain(struct ctx *ctx, struct put_source *src, struct buf *out, struct err *e)
{
	for (;;) {
		size_t n = 0;
		uint8_t *p = buf_room(out, BUCKET_COPY_BYTES);
		if (!p)
			return buf_check(out, ctx, "object", e);
		if (src->read(src->arg, ctx, p, BUCKET_COPY_BYTES, &n, e) < 0)
			return -1;
		buf_commit(out, n);
		if (n == 0)
			break;
	}
	if (src->size != UINT64_MAX && out->n != src->size)
		return err_set(ctx, e, E_IO, "%zu bytes came where %llu were announced",
			       out->n, (unsigned long long)src->size);
	return 0;
}

/* Under mu. Takes over the blob. */
static void store(struct mem_bucket *m, struct str name, struct blob *blob)
{
	bool found;
	size_t i = locate(m, name, &found);
	if (found) {
		ref_put(&m->v[i].blob->ref);
	} else {
		if (m->n == m->cap)
			m->v = vec_grow(m->v, &m->cap, m->n + 1, sizeof(*m->v));
		memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof(*m->v));
		m->n++;
		char *copy = xmalloc(name.n);
		memcpy(copy, name.p, name.n);
		m->v[i].name = str_n(copy, name.n);
	}
	m->v[i].blob = blob;
	m->v[i].mtime_ms = time_wall_ms();
}

static int lost(struct mem_bucket *m, struct ctx *ctx, struct err *e)
{
	return err_set(ctx, e, E_UNAVAILABLE, "scripted loss of the answer to call %llu",
		       (unsigned long long)m->fail_at);
}

static int mem_put(struct bucket *b, struct ctx *ctx, struct str name,
		   struct put_source *src, struct err *e)
{
	struct mem_bucket *m = self(b);
	struct buf data;
	bool landed;
	buf_init(&data, (size_t)1 << 30);
	if (drain(ctx, src, &data, e) < 0 || enter(m, ctx, &landed, e) < 0) {
		buf_deinit(&data);
		return -1;
	}
	struct blob *blob = xcalloc(1, sizeof(*blob));
	ref_init(&blob->ref, blob_free);
	blob->p = xmalloc(data.n + 1);
	blob->n = data.n;
	if (data.n)
		memcpy(blob->p, data.p, data.n);
	buf_deinit(&data);
	store(m, name, blob);
	pthread_mutex_unlock(&m->mu);
	return landed ? lost(m, ctx, e) : 0;
}

static int mem_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct mem_bucket *m = self(b);
	bool landed, found;
	if (enter(m, ctx, &landed, e) < 0)
		return -1;
	size_t i = locate(m, name, &found);
	if (found) {
		ref_put(&m->v[i].blob->ref);
		free((void *)(uintptr_t)m->v[i].name.p);
		m->n--;
		memmove(m->v + i, m->v + i + 1, (m->n - i) * sizeof(*m->v));
	}
	pthread_mutex_unlock(&m->mu);
	return landed ? lost(m, ctx, e) : 0;
}

static void mem_close(struct bucket *b)
{
	struct mem_bucket *m = self(b);
	for (size_t i = 0; i < m->n; i++) {
		ref_put(&m->v[i].blob->ref);
		free((void *)(uintptr_t)m->v[i].name.p);
	}
	free(m->v);
	pthread_mutex_destroy(&m->mu);
	free(m);
}

struct bucket *bucket_mem_new(void)
{
	static const struct bucket_ops ops = {
		.iter = mem_iter,
		.get = mem_get,
		.open = mem_open,
		.put = mem_put,
		.attrs = mem_attrs,
		.del = mem_del,
		.close = mem_close,
	};
	struct mem_bucket *m = xcalloc(1, sizeof(*m));
	pthread_mutex_init(&m->mu, NULL);
	m->base.ops = &ops;
	m->base.name = "memory";
	return &m->base;
}

void bucket_mem_fail(struct bucket *b, uint64_t nth, bool for_good, bool landed)
{
	struct mem_bucket *m = self(b);
	pthread_mutex_lock(&m->mu);
	m->fail_at = nth ? m->calls + nth : 0;
	m->for_good = for_good;
	m->landed = landed;
	pthread_mutex_unlock(&m->mu);
}

uint64_t bucket_mem_calls(struct bucket *b)
{
	struct mem_bucket *m = self(b);
	pthread_mutex_lock(&m->mu);
	uint64_t n = m->calls;
	pthread_mutex_unlock(&m->mu);
	return n;
}
