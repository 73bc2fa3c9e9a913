/*
 * objstore/s3_put.c - uploads: one PUT, or parts of part_size that are put together at the end.
 *
 * A body is read twice: once for its digests (the payload hash is signed, and the store compares Content-MD5), once
 * to be sent, and once more for each further try. So a source has to go back; one that cannot, or whose size is
 * not known, is copied to a file without a name first. Nothing is held in memory.
 *
 * What the store says it has kept is compared: the ETag of a PUT is the MD5 of its bytes, that of parts put together
 * the MD5 of their MD5s. A failure on the way aborts the parts. The answer to the last step may be lost although it was
 * done: then the object itself is asked.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "fs/fs.h"
#include "objstore/s3_int.h"
#include "wire/codec.h"
#include "wire/xml.h"

#define ABORT_NS (10 * NS_PER_S)

struct upload {
	struct s3_bucket *b;
	struct ctx *ctx;
	struct arena *a;
	struct str key;
	struct put_source *src;
	struct fs_temp *temp; /* holds it instead; NULL: none */
	uint64_t size;
	/* the part at work */
	uint64_t off, len, at;
	char sha256[65], md5_hex[33];
	uint8_t md5[16];
};

/* ---- bytes ---- */

static int part_read(void *arg, struct ctx *ctx, void *buf, size_t cap, size_t *n,
		     struct err *e)
{
	struct upload *u = arg;
	*n = (size_t)MIN((uint64_t)cap, u->len - u->at);
	if (*n == 0)
		return 0;
	if (u->temp) {
		if (fs_temp_read(u->temp, ctx, u->off + u->at, buf, *n, e) < 0)
			return -1;
	} else if (u->src->read(u->src->arg, ctx, buf, *n, n, e) < 0) {
		return -1;
	}
	u->at += *n;
	return 0;
}

static int part_rewind(void *arg, struct ctx *ctx, struct err *e)
{
	struct upload *u = arg;
	u->at = 0;
	return u->temp ? 0 : u->src->seek(u->src->arg, ctx, u->off, e);
}

static int digest(struct upload *u, struct err *e)
{
	uint8_t *buf = xmalloc(BUCKET_COPY_BYTES), sha[32];
	struct sha256 *s = sha256_new();
	struct md5 *m = md5_new();
	size_t n = 0;
	int rc = part_rewind(u, u->ctx, e);
	while (rc == 0) {
		rc = u->ctx ? ctx_check(u->ctx, e) : 0;
		if (rc == 0)
			rc = part_read(u, u->ctx, buf, BUCKET_COPY_BYTES, &n, e);
		if (rc < 0 || n == 0)
			break;
		sha256_feed(s, str_n(buf, n));
		md5_feed(m, str_n(buf, n));
	}
	sha256_done(s, sha);
	md5_done(m, u->md5);
	hex_encode(sha, 32, u->sha256);
	hex_encode(u->md5, 16, u->md5_hex);
	free(buf);
	if (rc == 0 && u->at != u->len)
		rc = err_set(u->ctx, e, E_IO, "%llu bytes came where %llu were announced",
			     (unsigned long long)(u->off + u->at),
			     (unsigned long long)u->size);
	return rc;
}

/* A source that gives more than it announced is one that changes. */
static int check_end(struct upload *u, struct err *e)
{
	uint8_t one;
	size_t n = 0;
	if (u->temp)
		return 0;
	if (u->src->seek(u->src->arg, u->ctx, u->size, e) < 0 ||
	    u->src->read(u->src->arg, u->ctx, &one, 1, &n, e) < 0)
		return -1;
	return n ? err_set(u->ctx, e, E_IO, "more bytes came than the %llu announced",
			   (unsigned long long)u->size)
		 : 0;
}

/* The whole source to disk. */
static int keep_copy(struct upload *u, struct err *e)
{
	uint8_t *buf = xmalloc(BUCKET_COPY_BYTES);
	uint64_t at = 0;
	size_t n = 0;
	int rc = fs_temp_open(u->ctx, NULL, &u->temp, e);
	while (rc == 0) {
		rc = u->src->read(u->src->arg, u->ctx, buf, BUCKET_COPY_BYTES, &n, e);
		if (rc < 0 || n == 0)
			break;
		rc = fs_temp_write(u->temp, u->ctx, at, buf, n, e);
		at += n;
	}
	free(buf);
	if (rc == 0 && u->size != UINT64_MAX && at != u->size)
		rc = err_set(u->ctx, e, E_IO, "%llu bytes came where %llu were announced",
			     (unsigned long long)at, (unsigned long long)u->size);
	u->size = at;
	return rc;
}

/* ---- requests ---- */

static struct str md5_text(struct upload *u)
{
	struct buf b;
	buf_init(&b, 64);
	base64_encode(str_n(u->md5, 16), false, true, &b);
	struct str s = str_dup(u->a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

static void put_headers(const struct upload *u, struct s3_req *r)
{
	for (size_t i = 0; i < u->b->n_put_headers; i++)
		r->headers[r->n_headers++] = u->b->put_headers[i];
}

/* Does this store, with this encryption, name objects by their MD5? */
static bool etag_tells(const struct s3_bucket *b, const struct http_answer *ans)
{
	return b->etag_is_md5 &&
	       !str_has_prefix(http_answer_header(ans, "x-amz-server-side-encryption"),
			       STR("aws:kms"));
}

/* Send bytes off..off+len as `what` says and compare the ETag. */
static int send_bytes(struct upload *u, const struct s3_req *what, struct err *e)
{
	struct http_source src = { part_read, part_rewind, u, u->len };
	struct s3_req req = *what, *r = &req;
	struct http_answer ans;
	if (digest(u, e) < 0 || (u->off + u->len == u->size && check_end(u, e) < 0))
		return -1;
	if (u->len) {
		r->source = &src;
		r->payload_hash = str_of(u->sha256);
	}
	if (u->b->content_md5)
		s3_req_header(r, "content-md5", md5_text(u));
	if (s3_call(u->b, u->ctx, u->a, r, &ans, NULL, e) < 0)
		return -1;
	struct str etag = s3_etag(&ans);
	if (etag_tells(u->b, &ans) && !str_eqz(etag, u->md5_hex))
		return err_set(
			u->ctx, e, E_REMOTE,
			"the store keeps other bytes than were sent: ETag %.*s, MD5 %s",
			STR_FMT(etag), u->md5_hex);
	return 0;
}

static int put_whole(struct upload *u, struct err *e)
{
	struct s3_req r = { .method = "PUT", .key = u->key };
	s3_req_header(&r, "content-type", STR("application/octet-stream"));
	put_headers(u, &r);
	u->off = 0;
	u->len = u->size;
	return send_bytes(u, &r, e);
}

/* ---- parts ---- */

struct id_of {
	struct arena *a;
	struct str id, etag, code, message;
};

static int on_text(void *arg, struct str path, struct str text, struct err *e UNUSED)
{
	struct id_of *x = arg;
	if (str_eqz(path, "InitiateMultipartUploadResult/UploadId"))
		x->id = str_dup(x->a, text);
	else if (str_eqz(path, "CompleteMultipartUploadResult/ETag"))
		x->etag = str_dup(x->a, text);
	else if (str_eqz(path, "Error/Code"))
		x->code = str_dup(x->a, text);
	else if (str_eqz(path, "Error/Message"))
		x->message = str_dup(x->a, text);
	return 0;
}

static int xml_call(struct upload *u, struct s3_req *r, struct id_of *x, struct err *e)
{
	struct xml_events ev = { NULL, on_text, x };
	struct http_answer ans;
	struct buf xml;
	buf_init(&xml, S3_ERROR_BYTES);
	*x = (struct id_of){ .a = u->a };
	int rc = s3_call(u->b, u->ctx, u->a, r, &ans, &xml, e);
	if (rc == 0)
		rc = xml_walk(buf_view(&xml), &ev, e);
	buf_deinit(&xml);
	return rc;
}

static int initiate(struct upload *u, struct str *id, struct err *e)
{
	struct s3_kv q = { STR("uploads"), STR("") };
	struct s3_req r = { .method = "POST", .key = u->key, .query = &q, .n_query = 1 };
	struct id_of x;
	s3_req_header(&r, "content-type", STR("application/octet-stream"));
	put_headers(u, &r);
	if (xml_call(u, &r, &x, e) < 0)
		return -1;
	if (!x.id.n)
		return err_set(u->ctx, e, E_REMOTE, "the store gave no upload id");
	*id = x.id;
	return 0;
}

static int send_parts(struct upload *u, struct str id, uint64_t part, struct buf *list,
		      struct md5 *all, uint32_t *count, struct err *e)
{
	uint32_t n = 0;
	buf_str(list, STR("<CompleteMultipartUpload>"));
	for (uint64_t off = 0; off < u->size; off += part) {
		struct arena scratch, *kept = u->a;
		struct s3_kv q[2] = { { STR("partNumber"), STR_NULL },
				      { STR("uploadId"), id } };
		struct s3_req r = {
			.method = "PUT", .key = u->key, .query = q, .n_query = 2
		};
		u->off = off;
		u->len = MIN(part, u->size - off);
		arena_init(&scratch, NULL);
		u->a = &scratch;
		q[0].v = str_fmt(&scratch, "%u", ++n);
		int rc = send_bytes(u, &r, e);
		u->a = kept;
		arena_deinit(&scratch);
		if (rc < 0)
			return err_wrap(u->ctx, e, "part %u", n);
		md5_feed(all, str_n(u->md5, 16));
		buf_fmt(list,
			"<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>", n,
			u->md5_hex);
	}
	buf_str(list, STR("</CompleteMultipartUpload>"));
	*count = n;
	return buf_check(list, u->ctx, "list of parts", e);
}

/* After an answer that was lost: is the object there, and is it ours? */
static bool has_landed(struct upload *u, const char *etag)
{
	struct s3_req r = { .method = "HEAD", .key = u->key };
	struct http_answer ans;
	struct err ignored = ERR_INIT;
	uint64_t size;
	return s3_call(u->b, u->ctx, u->a, &r, &ans, NULL, &ignored) == 0 &&
	       str_to_u64(http_answer_header(&ans, "content-length"), &size) &&
	       size == u->size && str_eqz(s3_etag(&ans), etag);
}

static int complete(struct upload *u, struct str id, struct str list, const char *etag,
		    struct err *e)
{
	struct s3_kv q = { STR("uploadId"), id };
	struct s3_req r = {
		.method = "POST", .key = u->key, .query = &q, .n_query = 1, .body = list
	};
	struct err why = ERR_INIT;
	struct id_of x;
	s3_req_header(&r, "content-type", STR("application/xml"));
	for (uint32_t n = 1;; n++) {
		bool again = false;
		why = ERR_INIT;
		int rc = xml_call(u, &r, &x, &why);
		if (rc == 0 && !x.code.n && x.etag.n)
			return 0;
		if (rc == 0) { /* 200, and then it went wrong */
			again = true;
			err_set(u->ctx, &why, E_REMOTE, "%.*s: %.*s", STR_FMT(x.code),
				STR_FMT(x.message));
		}
		if (has_landed(u, etag))
			return 0;
		if (!again || s3_pause(u->b, u->ctx, n) < 0)
			break;
	}
	*e = why;
	return err_wrap(u->ctx, e, "putting parts together");
}

/* Best effort, also when the caller's time is over: parts that stay cost money. */
static void abort_parts(struct upload *u, struct str id)
{
	struct s3_kv q = { STR("uploadId"), id };
	struct s3_req r = {
		.method = "DELETE", .key = u->key, .query = &q, .n_query = 1
	};
	struct http_answer ans;
	struct err ignored = ERR_INIT;
	struct ctx own;
	ctx_init(&own, NULL, time_after_ns(ABORT_NS));
	if (s3_call(u->b, &own, u->a, &r, &ans, NULL, &ignored) < 0)
		ignored = ERR_INIT;
	ctx_deinit(&own);
}

static int put_parts(struct upload *u, struct err *e)
{
	uint64_t part = u->b->part_bytes;
	struct buf list;
	struct str id = STR_NULL;
	char hex[33], etag[48];
	uint8_t md[16];
	uint32_t n = 0;
	if (u->size / S3_PARTS_MAX >= part)
		part = u->size / S3_PARTS_MAX + 1;
	if (initiate(u, &id, e) < 0)
		return -1;
	struct md5 *all = md5_new();
	buf_init(&list, (size_t)4 << 20);
	int rc = send_parts(u, id, part, &list, all, &n, e);
	md5_done(all, md);
	hex_encode(md, 16, hex);
	snprintf(etag, sizeof(etag), "%s-%u", hex, n);
	if (rc == 0)
		rc = complete(u, id, buf_view(&list), etag, e);
	if (rc < 0)
		abort_parts(u, id);
	buf_deinit(&list);
	return rc;
}

int s3_put(struct bucket *base, struct ctx *ctx, struct str name, struct put_source *src,
	   struct err *e)
{
	struct arena a;
	struct upload u = { .b = s3_self(base),
			    .ctx = ctx,
			    .a = &a,
			    .key = name,
			    .src = src,
			    .size = src->size };
	int rc = 0;
	arena_init(&a, NULL);
	if (!src->seek || src->size == UINT64_MAX)
		rc = keep_copy(&u, e);
	bool whole = u.b->no_multipart || u.size <= u.b->part_bytes;
	if (rc == 0)
		rc = whole ? put_whole(&u, e) : put_parts(&u, e);
	if (u.temp)
		fs_temp_close(u.temp);
	arena_deinit(&a);
	return rc;
}
