/*
 * objstore/metrics_bucket.c - a bucket that counts its calls under the names Thanos gives them.
 *
 * operation is one of iter, get, get_range (a read of an opened object), exists, upload, delete,
 * attributes. Opening an object asks the store for its size and so counts as attributes. That an object is
 * not there is an answer, not a failure: get and attributes of absent objects count as operations only.
 * Nor is a callback's refusal in iter a failure of the bucket.
 */
#include <stdlib.h>

#include "base/time.h"
#include "objstore/bucket_int.h"

enum op {
	OP_ITER,
	OP_GET,
	OP_RANGE,
	OP_EXISTS,
	OP_UPLOAD,
	OP_DELETE,
	OP_ATTRS,
	OP_COUNT
};
static const char *const op_names[OP_COUNT] = {
	"iter", "get", "get_range", "exists", "upload", "delete", "attributes",
};

enum { M_OPS, M_FAILURES, M_SECONDS, M_FETCHED, M_MOVED, M_LAST_UPLOAD, M_COUNT };
static const double seconds[] = { 0.001, 0.01, 0.1, 0.3, 0.6, 1,  3,
				  6,	 9,    20,  30,	 60,  90, 120 };
static const double sizes[] = { /* 32 KiB to 1 GiB */
				32768,	   65536,     131072,	 262144,
				524288,	   1048576,   2097152,	 4194304,
				8388608,   16777216,  33554432,	 67108864,
				134217728, 268435456, 536870912, 1073741824
};
static const struct metric_desc rows[M_COUNT] = {
	[M_OPS] = { METRIC_COUNTER,
		    "thanos_objstore_bucket_operations_total",
		    "Calls of the object storage.",
		    { "bucket", "operation" } },
	[M_FAILURES] = { METRIC_COUNTER,
			 "thanos_objstore_bucket_operation_failures_total",
			 "Calls of the object storage that failed.",
			 { "bucket", "operation" } },
	[M_SECONDS] = { METRIC_HISTOGRAM,
			"thanos_objstore_bucket_operation_duration_seconds",
			"Seconds that successful calls of the object storage took.",
			{ "bucket", "operation" },
			seconds,
			ARRAY_LEN(seconds) },
	[M_FETCHED] = { METRIC_COUNTER,
			"thanos_objstore_bucket_operation_fetched_bytes_total",
			"Bytes read from the object storage.",
			{ "bucket", "operation" } },
	[M_MOVED] = { METRIC_HISTOGRAM,
		      "thanos_objstore_bucket_operation_transferred_bytes",
		      "Bytes read or written in one call of the object storage.",
		      { "bucket", "operation" },
		      sizes,
		      ARRAY_LEN(sizes) },
	[M_LAST_UPLOAD] = { METRIC_GAUGE,
			    "thanos_objstore_bucket_last_successful_upload_time",
			    "Unix time of the last upload that succeeded.",
			    { "bucket" } },
};

struct op_cells { /* cells live as long as the registry; NULL where the operation has none */
	struct metric *calls, *failures, *seconds, *fetched, *moved;
};

struct metrics_bucket {
	struct bucket base;
	struct bucket *inner;
	struct op_cells op[OP_COUNT];
	struct metric *last_upload;
};

static struct metrics_bucket *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct metrics_bucket, base);
}

static uint64_t begin(const struct op_cells *c)
{
	metric_inc(c->calls);
	return time_mono_ns();
}

static void end(const struct op_cells *c, uint64_t start_ns, int rc, bool expected)
{
	if (rc == 0)
		metric_observe(c->seconds,
			       (double)(time_mono_ns() - start_ns) / (double)NS_PER_S);
	else if (!expected)
		metric_inc(c->failures);
}

static void fetched(const struct op_cells *c, uint64_t bytes)
{
	metric_add(c->fetched, (double)bytes);
	metric_observe(c->moved, (double)bytes);
}

struct step {
	int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		  struct err *e);
	void *arg;
	bool stopped;
};

static int iter_step(void *arg, struct str name, const struct bucket_attrs *a,
		     struct err *e)
{
	struct step *s = arg;
	int rc = s->fn(s->arg, name, a, e);
	s->stopped = rc < 0;
	return rc;
}

static int metrics_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
			int (*fn)(void *arg, struct str name,
				  const struct bucket_attrs *a, struct err *e),
			void *arg, struct err *e)
{
	struct metrics_bucket *m = self(b);
	struct step s = { fn, arg, false };
	uint64_t t = begin(&m->op[OP_ITER]);
	int rc = m->inner->ops->iter(m->inner, ctx, dir, recursive, iter_step, &s, e);
	end(&m->op[OP_ITER], t, rc, s.stopped);
	return rc;
}

static int metrics_get(struct bucket *b, struct ctx *ctx, struct str name,
		       struct buf *out, struct err *e)
{
	struct metrics_bucket *m = self(b);
	size_t before = out->n;
	uint64_t t = begin(&m->op[OP_GET]);
	int rc = m->inner->ops->get(m->inner, ctx, name, out, e);
	end(&m->op[OP_GET], t, rc, rc < 0 && e->code == E_NOT_FOUND);
	if (rc == 0)
		fetched(&m->op[OP_GET], out->n - before);
	return rc;
}

static int metrics_attrs(struct bucket *b, struct ctx *ctx, struct str name,
			 struct bucket_attrs *out, struct err *e)
{
	struct metrics_bucket *m = self(b);
	uint64_t t = begin(&m->op[OP_ATTRS]);
	int rc = m->inner->ops->attrs(m->inner, ctx, name, out, e);
	end(&m->op[OP_ATTRS], t, rc, rc < 0 && e->code == E_NOT_FOUND);
	return rc;
}

static int metrics_exists(struct bucket *b, struct ctx *ctx, struct str name,
			  bool *exists, struct err *e)
{
	struct metrics_bucket *m = self(b);
	uint64_t t = begin(&m->op[OP_EXISTS]);
	int rc = bucket_exists(m->inner, ctx, name, exists, e);
	end(&m->op[OP_EXISTS], t, rc, false);
	return rc;
}

/* What was read of the source is the size of the upload. */
struct counted {
	struct put_source *src;
	uint64_t n;
};

static int counted_read(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
			struct err *e)
{
	struct counted *c = arg;
	int rc = c->src->read(c->src->arg, ctx, p, cap, n, e);
	if (rc == 0)
		c->n += *n;
	return rc;
}

static int counted_seek(void *arg, struct ctx *ctx, uint64_t off, struct err *e)
{
	struct counted *c = arg;
	c->n = off; /* what is read again is not more */
	return c->src->seek(c->src->arg, ctx, off, e);
}

static int metrics_put(struct bucket *b, struct ctx *ctx, struct str name,
		       struct put_source *src, struct err *e)
{
	struct metrics_bucket *m = self(b);
	struct counted c = { src, 0 };
	struct put_source through = { counted_read, &c, src->size,
				      src->seek ? counted_seek : NULL };
	uint64_t t = begin(&m->op[OP_UPLOAD]);
	int rc = m->inner->ops->put(m->inner, ctx, name, &through, e);
	end(&m->op[OP_UPLOAD], t, rc, false);
	if (rc == 0) {
		metric_observe(m->op[OP_UPLOAD].moved, (double)c.n);
		metric_set_value(m->last_upload, (double)time_wall_ms() / 1000.0);
	}
	return rc;
}

static int metrics_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct metrics_bucket *m = self(b);
	uint64_t t = begin(&m->op[OP_DELETE]);
	int rc = m->inner->ops->del(m->inner, ctx, name, e);
	end(&m->op[OP_DELETE], t, rc, false);
	return rc;
}

/* ---- reads of an opened object ---- */

struct metered {
	struct range_source base;
	struct range_source *inner;
	struct op_cells cells; /* a copy: the source may outlive the bucket */
};

static int metered_read(struct range_source *s, struct ctx *ctx, const struct range *r,
			size_t n, struct view *out, struct err *e)
{
	struct metered *m = CONTAINER_OF(s, struct metered, base);
	uint64_t bytes = 0;
	uint64_t t = begin(&m->cells);
	int rc = range_source_read(m->inner, ctx, r, n, out, e);
	end(&m->cells, t, rc, rc < 0 && e->code == E_CANCELLED);
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		bytes += r[i].len;
	fetched(&m->cells, bytes);
	/* Shown as the inner one counts them: with the gaps between ranges. */
	atomic_store_explicit(&s->read_bytes, atomic_load(&m->inner->read_bytes),
			      memory_order_relaxed);
	atomic_store_explicit(&s->read_calls, atomic_load(&m->inner->read_calls),
			      memory_order_relaxed);
	return 0;
}

static void metered_close(struct range_source *s)
{
	struct metered *m = CONTAINER_OF(s, struct metered, base);
	range_source_unref(m->inner);
	free(m);
}

static int metrics_open(struct bucket *b, struct ctx *ctx, struct str name,
			struct range_source **out, struct err *e)
{
	static const struct range_source_ops ops = { metered_read, metered_close };
	struct metrics_bucket *m = self(b);
	struct range_source *inner;
	uint64_t t = begin(&m->op[OP_ATTRS]);
	int rc = m->inner->ops->open(m->inner, ctx, name, &inner, e);
	end(&m->op[OP_ATTRS], t, rc, rc < 0 && e->code == E_NOT_FOUND);
	if (rc < 0)
		return -1;
	struct metered *s = xcalloc(1, sizeof(*s));
	s->inner = inner;
	s->cells = m->op[OP_RANGE];
	range_source_init(&s->base, &ops, inner->name, inner->size);
	*out = &s->base;
	return 0;
}

static bool metrics_checks_puts(struct bucket *b)
{
	return bucket_checks_puts(self(b)->inner);
}

static void metrics_close(struct bucket *b)
{
	struct metrics_bucket *m = self(b);
	bucket_close(m->inner);
	free(m);
}

struct bucket *bucket_metrics_new(struct bucket *inner, struct metric_registry *reg)
{
	static const struct bucket_ops ops = {
		.iter = metrics_iter,
		.get = metrics_get,
		.open = metrics_open,
		.put = metrics_put,
		.attrs = metrics_attrs,
		.del = metrics_del,
		.close = metrics_close,
		.exists = metrics_exists,
		.checks_puts = metrics_checks_puts,
	};
	struct metrics_bucket *m = xcalloc(1, sizeof(*m));
	struct metric_set *set = metric_set_new(reg, rows, M_COUNT);
	struct str name = str_of(inner->name);
	for (unsigned i = 0; i < OP_COUNT; i++) {
		struct str op = str_of(op_names[i]);
		struct op_cells *c = &m->op[i];
		c->calls = metric_at(set, M_OPS, name, op);
		c->failures = metric_at(set, M_FAILURES, name, op);
		c->seconds = metric_at(set, M_SECONDS, name, op);
		if (i == OP_GET || i == OP_RANGE)
			c->fetched = metric_at(set, M_FETCHED, name, op);
		if (i == OP_GET || i == OP_RANGE || i == OP_UPLOAD)
			c->moved = metric_at(set, M_MOVED, name, op);
	}
	m->last_upload = metric_at(set, M_LAST_UPLOAD, name);
	m->inner = inner;
	m->base.ops = &ops;
	m->base.name = inner->name;
	return &m->base;
}
