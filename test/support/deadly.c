#include "support/deadly.h"

#include <unistd.h>

static struct deadly *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct deadly, base);
}

static void die(struct deadly *d)
{
	if (d->left == 0)
		_exit(9);
}

#define CALL(d, call)                                                                    \
	(--(d)->left, (d)->after ? (void)0 : die(d), done = (call), die(d), done)

static int d_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		  int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			    struct err *e),
		  void *arg, struct err *e)
{
	struct deadly *d = self(b);
	int done;
	return CALL(d, d->inner->ops->iter(d->inner, ctx, dir, recursive, fn, arg, e));
}

static int d_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		 struct err *e)
{
	struct deadly *d = self(b);
	int done;
	return CALL(d, d->inner->ops->get(d->inner, ctx, name, out, e));
}

static int d_open(struct bucket *b, struct ctx *ctx, struct str name,
		  struct range_source **out, struct err *e)
{
	struct deadly *d = self(b);
	int done;
	return CALL(d, d->inner->ops->open(d->inner, ctx, name, out, e));
}

struct torn {
	struct deadly *d;
	struct put_source *src;
};

static int torn_read(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
		     struct err *e)
{
	struct torn *t = arg;
	int rc = t->src->read(t->src->arg, ctx, p, MIN(cap, t->d->piece), n, e);
	t->d->left--;
	die(t->d);
	return rc;
}

static int d_put(struct bucket *b, struct ctx *ctx, struct str name,
		 struct put_source *src, struct err *e)
{
	struct deadly *d = self(b);
	struct torn t = { d, src };
	struct put_source through = { torn_read, &t, src->size, NULL };
	int done;
	return CALL(d, d->inner->ops->put(d->inner, ctx, name, &through, e));
}

static int d_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		   struct bucket_attrs *out, struct err *e)
{
	struct deadly *d = self(b);
	int done;
	return CALL(d, d->inner->ops->attrs(d->inner, ctx, name, out, e));
}

static int d_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct deadly *d = self(b);
	int done;
	return CALL(d, d->inner->ops->del(d->inner, ctx, name, e));
}

void deadly_init(struct deadly *d, const char *name, struct bucket *inner, int left,
		 bool after, size_t piece)
{
	static const struct bucket_ops ops = { .iter = d_iter,
					       .get = d_get,
					       .open = d_open,
					       .put = d_put,
					       .attrs = d_attrs,
					       .del = d_del };
	*d = (struct deadly){ { &ops, name }, inner, left, after, piece };
}
