/*
 * inspect/place.c - the files of a block, wherever it lies.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "inspect/inspect_int.h"

#define WINDOW ((uint64_t)1 << 20)

struct listing {
	struct arena *a;
	struct str prefix;
	struct inspect_file *v;
	size_t n, cap;
};

static int on_name(void *arg, struct str name, const struct bucket_attrs *at,
		   struct err *e)
{
	struct listing *l = arg;
	(void)e;
	if (!str_has_prefix(name, l->prefix) || name.n == l->prefix.n)
		return 0;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct inspect_file){ str_dup(l->a, str_from(name, l->prefix.n)),
					      at->size };
	return 0;
}

static int cmp_file(const void *x, const void *y, void *arg)
{
	const struct inspect_file *a = x, *b = y;
	(void)arg;
	return str_cmp(a->name, b->name);
}

int inspect_files_list(struct ctx *ctx, struct arena *a, const struct inspect_place *p,
		       struct inspect_files *out, struct err *e)
{
	struct listing l = { .a = a, .prefix = p->prefix };
	int rc = bucket_iter(p->bucket, ctx, p->prefix, true, on_name, &l, e);
	if (rc == 0 && l.n) {
		vec_sort(l.v, l.n, sizeof(*l.v), cmp_file, NULL);
		out->v = ARENA_ARRAY(a, struct inspect_file, l.n);
		memcpy(out->v, l.v, l.n * sizeof(*l.v));
	}
	out->n = rc == 0 ? l.n : 0;
	free(l.v);
	return rc;
}

const struct inspect_file *inspect_files_find(const struct inspect_files *f,
					      struct str name)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->v[i].name, name))
			return &f->v[i];
	return NULL;
}

static struct str full_name(struct arena *a, const struct inspect_place *p,
			    const char *name)
{
	return str_fmt(a, "%.*s%s", STR_FMT(p->prefix), name);
}

int inspect_open(struct ctx *ctx, const struct inspect_place *p, const char *name,
		 struct range_source **out, struct err *e)
{
	struct arena a;
	arena_init(&a, NULL);
	int rc = bucket_open(p->bucket, ctx, full_name(&a, p, name), out, e);
	arena_deinit(&a);
	return rc;
}

int inspect_get(struct ctx *ctx, const struct inspect_place *p, const char *name,
		size_t max, struct buf *out, struct err *e)
{
	struct arena a;
	arena_init(&a, NULL);
	int rc = bucket_get(p->bucket, ctx, full_name(&a, p, name), max, out, e);
	arena_deinit(&a);
	return rc;
}

int inspect_win_get(struct inspect_win *w, struct ctx *ctx, uint64_t off, uint64_t n,
		    const uint8_t **p, struct err *e)
{
	if (off > w->src->size || n > w->src->size - off)
		return err_set(ctx, e, E_CORRUPT,
			       "%llu bytes at %llu of a file of %llu bytes",
			       (unsigned long long)n, (unsigned long long)off,
			       (unsigned long long)w->src->size);
	if (off < w->off || off - w->off > w->v.n || n > w->v.n - (off - w->off)) {
		uint64_t len = MIN(MAX(n, WINDOW), w->src->size - off);
		view_put(&w->v);
		if (len == 0) {
			*p = (const uint8_t *)"";
			return 0;
		}
		if (range_source_read1(w->src, ctx, off, len, &w->v, e) < 0)
			return -1;
		w->off = off;
	}
	*p = w->v.p + (off - w->off);
	return 0;
}

int inspect_win_some(struct inspect_win *w, struct ctx *ctx, uint64_t off, uint64_t most,
		     struct str *out, struct err *e)
{
	uint64_t n = off < w->src->size ? MIN(most, w->src->size - off) : 0;
	const uint8_t *p;
	if (inspect_win_get(w, ctx, MIN(off, w->src->size), n, &p, e) < 0)
		return -1;
	*out = str_n(p, (size_t)n);
	return 0;
}

void inspect_win_close(struct inspect_win *w)
{
	view_put(&w->v);
	range_source_unref(w->src);
	w->src = NULL;
}
