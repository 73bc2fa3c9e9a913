/*
 * objstore/prefix.c - a bucket inside a bucket: every name gets "<prefix>/" in front, listings lose it.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "objstore/bucket_int.h"

struct prefix_bucket {
	struct bucket base;
	struct bucket *inner;
	struct str prefix; /* "a/b/": never empty, one final "/" */
	char text[];
};

static struct prefix_bucket *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct prefix_bucket, base);
}

/* prefix + name; xmalloc'ed. */
static struct str full(const struct prefix_bucket *p, struct str name)
{
	char *s = xmalloc(p->prefix.n + name.n + 1);
	memcpy(s, p->prefix.p, p->prefix.n);
	if (name.n)
		memcpy(s + p->prefix.n, name.p, name.n);
	s[p->prefix.n + name.n] = '\0';
	return str_n(s, p->prefix.n + name.n);
}

static void drop(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

struct cut {
	size_t n;
	int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		  struct err *e);
	void *arg;
};

static int cut_step(void *arg, struct str name, const struct bucket_attrs *a,
		    struct err *e)
{
	const struct cut *c = arg;
	BUG_ON(name.n < c->n);
	return c->fn(c->arg, str_from(name, c->n), a, e);
}

static int prefix_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		       int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
				 struct err *e),
		       void *arg, struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct cut c = { p->prefix.n, fn, arg };
	struct str s = full(p, dir);
	struct str bare = s;
	if (dir.n == 0)
		bare.n--;
	int rc = p->inner->ops->iter(p->inner, ctx, bare, recursive, cut_step, &c, e);
	drop(s);
	return rc;
}

static int prefix_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		      struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = p->inner->ops->get(p->inner, ctx, s, out, e);
	drop(s);
	return rc;
}

static int prefix_open(struct bucket *b, struct ctx *ctx, struct str name,
		       struct range_source **out, struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = p->inner->ops->open(p->inner, ctx, s, out, e);
	drop(s);
	return rc;
}

static int prefix_put(struct bucket *b, struct ctx *ctx, struct str name,
		      struct put_source *src, struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = p->inner->ops->put(p->inner, ctx, s, src, e);
	drop(s);
	return rc;
}

static int prefix_attrs(struct bucket *b, struct ctx *ctx, struct str name,
			struct bucket_attrs *out, struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = p->inner->ops->attrs(p->inner, ctx, s, out, e);
	drop(s);
	return rc;
}

static int prefix_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = p->inner->ops->del(p->inner, ctx, s, e);
	drop(s);
	return rc;
}

static int prefix_exists(struct bucket *b, struct ctx *ctx, struct str name, bool *exists,
			 struct err *e)
{
	struct prefix_bucket *p = self(b);
	struct str s = full(p, name);
	int rc = bucket_exists(p->inner, ctx, s, exists, e);
	drop(s);
	return rc;
}

static bool prefix_checks_puts(struct bucket *b)
{
	return bucket_checks_puts(self(b)->inner);
}

static void prefix_close(struct bucket *b)
{
	struct prefix_bucket *p = self(b);
	bucket_close(p->inner);
	free(p);
}

struct bucket *bucket_prefix_new(struct bucket *inner, struct str prefix)
{
	static const struct bucket_ops ops = {
		.iter = prefix_iter,
		.get = prefix_get,
		.open = prefix_open,
		.put = prefix_put,
		.attrs = prefix_attrs,
		.del = prefix_del,
		.close = prefix_close,
		.exists = prefix_exists,
		.checks_puts = prefix_checks_puts,
	};
	while (prefix.n && prefix.p[0] == '/')
		prefix = str_from(prefix, 1);
	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	if (prefix.n == 0)
		return inner;
	BUG_ON(bucket_name_fault(prefix, false));
	struct prefix_bucket *p = xcalloc(1, sizeof(*p) + prefix.n + 2);
	memcpy(p->text, prefix.p, prefix.n);
	p->text[prefix.n] = '/';
	p->prefix = str_n(p->text, prefix.n + 1);
	p->inner = inner;
	p->base.ops = &ops;
	p->base.name = inner->name;
	return &p->base;
}
