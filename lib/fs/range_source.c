/*
 * fs/range_source.c - what all sources share: checks, order, coalescing; and the source in memory.
 *
 * Callers may ask in any order; implementations get ranges that lie inside the source, are not empty,
 * and ascend. The wrapper therefore sorts an index when needed and puts the views back in the
 * caller's order. Views are gathered apart and copied to out[] only at success.
 */
#include "fs/range_source.h"

#include <stdlib.h>

#include "base/vec.h"

static void release(struct ref *r)
{
	struct range_source *s = CONTAINER_OF(r, struct range_source, ref);
	s->ops->close(s);
}

void range_source_init(struct range_source *s, const struct range_source_ops *ops,
		       const char *name, uint64_t size)
{
	s->ops = ops;
	s->name = name;
	s->size = size;
	ref_init(&s->ref, release);
	atomic_init(&s->read_bytes, 0);
	atomic_init(&s->read_calls, 0);
}

struct range_source *range_source_ref(struct range_source *s)
{
	ref_get(&s->ref);
	return s;
}

void range_source_unref(struct range_source *s)
{
	if (s)
		ref_put(&s->ref);
}

static int check(const struct range_source *s, struct ctx *ctx, const struct range *r,
		 size_t n, bool *plain, struct err *e)
{
	*plain = true;
	for (size_t i = 0; i < n; i++) {
		if (r[i].off > s->size || r[i].len > s->size - r[i].off)
			return err_set(ctx, e, E_CORRUPT, "%s: range past end", s->name);
		if (r[i].len > SIZE_MAX / 2)
			return err_set(ctx, e, E_LIMIT, "%s: range too long", s->name);
		if (r[i].len == 0 || (i > 0 && r[i].off < r[i - 1].off))
			*plain = false;
	}
	return 0;
}

struct wanted {
	struct range r;
	size_t at; /* index in the caller's list */
};

static int by_offset(const void *a, const void *b, void *arg UNUSED)
{
	uint64_t x = ((const struct wanted *)a)->r.off;
	uint64_t y = ((const struct wanted *)b)->r.off;
	return (x > y) - (x < y);
}

/* ctx's budget is not asked for these: they are of the size of r[], which the caller has. */
static int read_sorted(struct range_source *s, struct ctx *ctx, const struct range *r,
		       size_t n, struct view *out, struct err *e)
{
	struct wanted *w = xreallocarray(NULL, n, sizeof(*w));
	struct range *sorted = xreallocarray(NULL, n, sizeof(*sorted));
	struct view *v = xcalloc(n, sizeof(*v));
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (r[i].len > 0)
			w[kept++] = (struct wanted){ r[i], i };
	vec_sort(w, kept, sizeof(*w), by_offset, NULL);
	for (size_t i = 0; i < kept; i++)
		sorted[i] = w[i].r;
	int rc = kept ? s->ops->read(s, ctx, sorted, kept, v, e) : 0;
	if (rc == 0) {
		for (size_t i = 0; i < n; i++)
			out[i] = (struct view){ (const uint8_t *)"", 0, NULL };
		for (size_t i = 0; i < kept; i++)
			out[w[i].at] = v[i];
	}
	free(v);
	free(sorted);
	free(w);
	return rc;
}

int range_source_read(struct range_source *s, struct ctx *ctx, const struct range *r,
		      size_t n, struct view *out, struct err *e)
{
	bool plain;
	if (check(s, ctx, r, n, &plain, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (plain)
		return s->ops->read(s, ctx, r, n, out, e);
	return read_sorted(s, ctx, r, n, out, e);
}

int range_source_read1(struct range_source *s, struct ctx *ctx, uint64_t off,
		       uint64_t len, struct view *out, struct err *e)
{
	struct range r = { off, len };
	return range_source_read(s, ctx, &r, 1, out, e);
}

size_t range_coalesce(const struct range *r, size_t n, uint64_t gap, uint64_t max_len,
		      struct range *parts, size_t *of)
{
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t end = r[i].off + r[i].len;
		if (used > 0) {
			struct range *p = &parts[used - 1];
			uint64_t p_end = p->off + p->len;
			bool near = r[i].off <= p_end || r[i].off - p_end <= gap;
			uint64_t len = MAX(end, p_end) - p->off;
			/* One that lies inside the part always belongs to it. */
			if (near && (!max_len || len <= max_len || end <= p_end)) {
				p->len = len;
				of[i] = used - 1;
				continue;
			}
		}
		parts[used] = r[i];
		of[i] = used++;
	}
	return used;
}

/* ---- memory ---- */

struct mem_source {
	struct range_source base;
	const uint8_t *p;
};

static int mem_read(struct range_source *s, struct ctx *ctx UNUSED, const struct range *r,
		    size_t n, struct view *out, struct err *e UNUSED)
{
	const struct mem_source *m = CONTAINER_OF(s, struct mem_source, base);
	uint64_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct view){ m->p + r[i].off, (size_t)r[i].len, NULL };
		bytes += r[i].len;
	}
	atomic_fetch_add_explicit(&s->read_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->read_calls, 1, memory_order_relaxed);
	return 0;
}

static void mem_close(struct range_source *s)
{
	free(CONTAINER_OF(s, struct mem_source, base));
}

struct range_source *range_source_mem(const char *name, const void *p, size_t n)
{
	static const struct range_source_ops ops = { mem_read, mem_close };
	struct mem_source *m = xcalloc(1, sizeof(*m));
	m->p = p;
	range_source_init(&m->base, &ops, name, n);
	return &m->base;
}
