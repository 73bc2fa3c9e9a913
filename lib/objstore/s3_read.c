/*
 * objstore/s3_read.c - objects read: whole, their size, and ranges.
 *
 * An opened object is bound to its ETag: every ranged GET says If-Match, and an answer of another object is an
 * error, never a mixture of two. Neighbouring ranges are one GET; a few GETs are under way at a time, each held back
 * by its window until its turn comes to be copied into its slab. A short answer is tried again, then an error.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "objstore/s3_int.h"

int64_t s3_http_date_ms(struct str s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char text[40], month[4], iso[48];
	int day, year, h, m, sec;
	int64_t t;
	uint32_t ns;
	if (s.n == 0 || s.n >= sizeof(text))
		return 0;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &day, month, &year, &h, &m,
		   &sec) != 6)
		return 0;
	const char *at = strstr(months, month);
	if (!at || strlen(month) != 3)
		return 0;
	snprintf(iso, sizeof(iso), "%04d-%02d-%02dT%02d:%02d:%02dZ", year,
		 (int)(at - months) / 3 + 1, day, h, m, sec);
	return time_parse_rfc3339(str_of(iso), &t, &ns) ? t * 1000 : 0;
}

/* ---- whole ---- */

int s3_get(struct bucket *base, struct ctx *ctx, struct str name, struct buf *out,
	   struct err *e)
{
	struct s3_bucket *b = s3_self(base);
	struct s3_req r = { .method = "GET", .key = name };
	struct http_answer ans;
	struct arena a;
	size_t start = out->n;
	uint64_t want;
	arena_init(&a, NULL);
	int rc = s3_call(b, ctx, &a, &r, &ans, out, e);
	struct str len = rc == 0 ? http_answer_header(&ans, "content-length") : STR_NULL;
	if (rc == 0 && len.n && str_to_u64(len, &want) && out->n - start != want)
		rc = err_set(ctx, e, E_REMOTE, "%zu bytes came of %llu", out->n - start,
			     (unsigned long long)want);
	if (rc == 0 && !len.n && !http_answer_header(&ans, "transfer-encoding").n)
		rc = err_set(ctx, e, E_REMOTE, "the answer does not tell its length");
	arena_deinit(&a);
	return rc;
}

static int head(struct s3_bucket *b, struct ctx *ctx, struct arena *a, struct str name,
		struct bucket_attrs *out, struct str *etag, struct err *e)
{
	struct s3_req r = { .method = "HEAD", .key = name };
	struct http_answer ans;
	if (s3_call(b, ctx, a, &r, &ans, NULL, e) < 0)
		return -1;
	if (!str_to_u64(http_answer_header(&ans, "content-length"), &out->size))
		return err_set(ctx, e, E_REMOTE, "HEAD: the answer has no length");
	out->mtime_ms = s3_http_date_ms(http_answer_header(&ans, "last-modified"));
	if (etag)
		*etag = s3_etag(&ans);
	return 0;
}

int s3_attrs(struct bucket *base, struct ctx *ctx, struct str name,
	     struct bucket_attrs *out, struct err *e)
{
	struct arena a;
	struct bucket_attrs at;
	arena_init(&a, NULL);
	int rc = head(s3_self(base), ctx, &a, name, &at, NULL, e);
	if (rc == 0)
		*out = at;
	arena_deinit(&a);
	return rc;
}

/* ---- ranges ---- */

struct s3_object {
	struct range_source base;
	struct s3_bucket *bucket;
	struct str key, etag; /* in text */
	char text[];
};

struct flight { /* one GET */
	struct range piece;
	struct http_body *h; /* NULL: not under way */
	struct slab *slab;
	struct err err; /* of its start */
};

static void start(struct s3_object *o, struct ctx *ctx, struct arena *a, struct flight *f,
		  struct err *e)
{
	struct s3_req r = { .method = "GET", .key = o->key };
	s3_req_header(&r, "range",
		      str_fmt(a, "bytes=%llu-%llu", (unsigned long long)f->piece.off,
			      (unsigned long long)(f->piece.off + f->piece.len - 1)));
	if (o->etag.n)
		s3_req_header(&r, "if-match", str_fmt(a, "\"%.*s\"", STR_FMT(o->etag)));
	if (s3_begin(o->bucket, ctx, a, &r, 0, &f->h, e) < 0)
		f->h = NULL;
}

/* Are these the bytes that were asked for? */
static int check_head(const struct s3_object *o, struct ctx *ctx, struct arena *a,
		      const struct flight *f, const struct http_answer *ans,
		      struct err *e)
{
	unsigned long long end = f->piece.off + f->piece.len - 1;
	struct str want =
		str_fmt(a, "bytes %llu-%llu/%llu", (unsigned long long)f->piece.off, end,
			(unsigned long long)o->base.size);
	struct str got = http_answer_header(ans, "content-range");
	struct str etag = s3_etag(ans);
	bool whole =
		ans->status == 200 && f->piece.off == 0 && f->piece.len == o->base.size;
	if (o->etag.n && etag.n && !str_eq(etag, o->etag))
		return err_set(ctx, e, E_ABORTED,
			       "the object has been replaced since it was opened");
	if (!whole && (ans->status != 206 || !str_eq(str_trim(got), want)))
		return err_set(ctx, e, E_REMOTE, "asked for %.*s, the answer is %.*s",
			       STR_FMT(want), STR_FMT(got));
	return 0;
}

static int copy_body(struct http_body *h, struct ctx *ctx, struct slab *s, struct err *e)
{
	struct view v;
	int rc;
	s->used = 0;
	while ((rc = http_body_read(h, ctx, &v, e)) > 0) {
		bool fits = v.n <= s->cap - s->used;
		if (fits) {
			memcpy(s->data + s->used, v.p, v.n);
			s->used += v.n;
		}
		http_body_release(h, &v);
		if (!fits)
			return err_set(ctx, e, E_REMOTE, "more bytes came than %zu",
				       s->cap);
	}
	if (rc == 0 && s->used != s->cap)
		return err_set(ctx, e, E_REMOTE, "%zu bytes came of %zu", s->used,
			       s->cap);
	return rc;
}

static int finish_once(struct s3_object *o, struct ctx *ctx, struct arena *a,
		       struct flight *f, bool *again, struct err *e)
{
	struct http_answer ans;
	if (s3_wait(o->bucket, ctx, a, f->h, "GET", &ans, again, e) < 0)
		return e->code == E_ABORTED
			       ? err_set(ctx, e, E_ABORTED,
					 "the object has been replaced since it was opened")
			       : -1;
	int rc = check_head(o, ctx, a, f, &ans, e);
	if (rc == 0)
		rc = copy_body(f->h, ctx, f->slab, e);
	*again = rc < 0 && s3_retries(e);
	return rc;
}

static int finish(struct s3_object *o, struct ctx *ctx, struct arena *a, struct flight *f,
		  struct err *e)
{
	f->slab = slab_try(ctx ? ctx->budget : NULL, ctx, (size_t)f->piece.len, e);
	if (!f->slab)
		return -1;
	for (uint32_t n = 1;; n++) {
		struct err why = ERR_INIT;
		bool again = false;
		int rc = -1;
		if (!f->h && n == 1)
			why = f->err; /* it could not be started */
		else if (!f->h)
			start(o, ctx, a, f, &why);
		if (f->h) {
			rc = finish_once(o, ctx, a, f, &again, &why);
			http_body_close(f->h);
			f->h = NULL;
		} else {
			again = s3_retries(&why);
		}
		if (rc == 0)
			return 0;
		if (!again || (ctx && ctx_left_ns(ctx) == 0) ||
		    s3_pause(o->bucket, ctx, n) < 0) {
			*e = why;
			return n > 1 ? err_wrap(ctx, e, "after %u tries", n) : -1;
		}
	}
}

static int read_all(struct s3_object *o, struct ctx *ctx, struct arena *a,
		    struct flight *f, size_t n, struct err *e)
{
	size_t started = 0;
	for (size_t i = 0; i < n; i++) {
		for (; started < n && started < i + S3_PARALLEL; started++)
			start(o, ctx, a, &f[started], &f[started].err);
		if (finish(o, ctx, a, &f[i], e) < 0)
			return err_wrap(ctx, e, "%.*s", STR_FMT(o->key));
		atomic_fetch_add_explicit(&o->base.read_bytes, f[i].piece.len,
					  memory_order_relaxed);
		atomic_fetch_add_explicit(&o->base.read_calls, 1, memory_order_relaxed);
	}
	return 0;
}

static int object_read(struct range_source *s, struct ctx *ctx, const struct range *r,
		       size_t n, struct view *out, struct err *e)
{
	struct s3_object *o = CONTAINER_OF(s, struct s3_object, base);
	struct range *pieces = xreallocarray(NULL, n, sizeof(*pieces));
	size_t *of = xreallocarray(NULL, n, sizeof(*of));
	struct arena a;
	size_t count = range_coalesce(r, n, RANGE_GAP_BYTES, S3_PIECE_BYTES, pieces, of);
	struct flight *f = xcalloc(count, sizeof(*f));
	for (size_t i = 0; i < count; i++)
		f[i].piece = pieces[i];
	arena_init(&a, NULL);
	int rc = read_all(o, ctx, &a, f, count, e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct slab *slab = f[of[i]].slab;
		out[i] = (struct view){ slab->data + (r[i].off - f[of[i]].piece.off),
					(size_t)r[i].len, ref_get(&slab->ref) };
	}
	for (size_t i = 0; i < count; i++) {
		http_body_close(f[i].h);
		if (f[i].slab)
			ref_put(&f[i].slab->ref); /* the views have their own */
	}
	arena_deinit(&a);
	free(f);
	free(of);
	free(pieces);
	return rc;
}

static void object_close(struct range_source *s)
{
	free(CONTAINER_OF(s, struct s3_object, base));
}

int s3_open(struct bucket *base, struct ctx *ctx, struct str name,
	    struct range_source **out, struct err *e)
{
	static const struct range_source_ops ops = { object_read, object_close };
	struct bucket_attrs at;
	struct str etag;
	struct arena a;
	arena_init(&a, NULL);
	int rc = head(s3_self(base), ctx, &a, name, &at, &etag, e);
	if (rc == 0) {
		struct s3_object *o = xcalloc(1, sizeof(*o) + name.n + etag.n + 1);
		memcpy(o->text, name.p, name.n); /* NUL behind it */
		o->key = str_n(o->text, name.n);
		o->etag = str_n(o->text + name.n + 1, etag.n);
		if (etag.n)
			memcpy(o->text + name.n + 1, etag.p, etag.n);
		o->bucket = s3_self(base);
		range_source_init(&o->base, &ops, o->text, at.size);
		*out = &o->base;
	}
	arena_deinit(&a);
	return rc;
}
