/*
 * objstore/s3.c - a bucket of S3, or of what speaks like it.
 *
 * Requests go to https://endpoint/bucket/key or https://bucket.endpoint/key; the second where bucket_lookup_type
 * says so or, on auto, at AWS and the others that ask for it, if the name can be a host name. Two clients: one for
 * the store, one for metadata services, which are near, in the open, and not worth waiting for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "fs/fs.h"
#include "objstore/s3_int.h"
#include "wire/codec.h"

#define ATTEMPTS	   10u
#define BACKOFF_NS	   (200 * NS_PER_MS)
#define STALL_NS	   (60 * NS_PER_S)
#define SERVICE_CONNECT_NS (1 * NS_PER_S)

static int s3_del(struct bucket *base, struct ctx *ctx, struct str name, struct err *e)
{
	struct s3_req r = { .method = "DELETE", .key = name };
	struct http_answer ans;
	struct arena a;
	struct err why = ERR_INIT;
	arena_init(&a, NULL);
	int rc = s3_call(s3_self(base), ctx, &a, &r, &ans, NULL, &why);
	arena_deinit(&a);
	if (rc == 0 || why.code == E_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

/* By the ETag of the answer, or the store does, by Content-MD5. */
static bool s3_checks_puts(struct bucket *b)
{
	const struct s3_bucket *s = CONTAINER_OF(b, struct s3_bucket, base);
	return s->etag_is_md5 || s->content_md5;
}

static void s3_close(struct bucket *base)
{
	struct s3_bucket *b = s3_self(base);
	http_client_free(b->http);
	s3_creds_deinit(&b->creds);
	http_client_free(b->meta_http);
	arena_deinit(&b->arena);
	pthread_mutex_destroy(&b->mu);
	free(b);
}

/* ---- where ---- */

static bool host_name_ok(struct str bucket, bool tls)
{
	if (bucket.n < 3 || bucket.n > 63)
		return false;
	for (size_t i = 0; i < bucket.n; i++) {
		char c = bucket.p[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			  (c == '-' && i > 0 && i + 1 < bucket.n) ||
			  (c == '.' && !tls && i > 0 && i + 1 < bucket.n);
		if (!ok)
			return false;
	}
	return true;
}

static bool wants_host_names(struct str host)
{
	static const char *const ends[] = { ".amazonaws.com", ".amazonaws.com.cn",
					    ".aliyuncs.com", "storage.googleapis.com" };
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_has_suffix(host, str_of(ends[i])) ||
		    str_eqz(host, ends[i] + (ends[i][0] == '.')))
			return true;
	return false;
}

static struct str endpoint_of(const struct s3_conf *c, struct str *host)
{
	struct str e = c->endpoint, drop = c->insecure ? STR(":80") : STR(":443");
	if (str_has_suffix(e, drop))
		e.n -= drop.n;
	*host = e;
	ptrdiff_t colon = str_find_char(e, ':');
	if (colon >= 0 && e.p[0] != '[')
		host->n = (size_t)colon;
	return e;
}

/* "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com" -> "eu-west-1" */
static struct str region_in(struct str host)
{
	ptrdiff_t at = str_find(host, STR(".amazonaws.com"));
	struct str rest = at > 0 ? str_n(host.p, (size_t)at) : STR_NULL, last = STR_NULL;
	if (str_has_prefix(rest, STR("s3-")))
		return str_from(rest, 3);
	while (str_cut(&rest, '.', &last))
		;
	return str_eqz(last, "s3") || str_eqz(last, "dualstack") ? STR_NULL : last;
}

static void set_place(struct s3_bucket *b, const struct s3_conf *c)
{
	struct str host, endpoint = endpoint_of(c, &host), region = c->region;
	bool virtual = str_eqz(c->lookup, "virtual-hosted") ||
		       (str_eqz(c->lookup, "auto") && wants_host_names(host) &&
			host_name_ok(c->bucket, !c->insecure));
	b->scheme = c->insecure ? STR("http") : STR("https");
	b->host = virtual ? str_fmt(&b->arena, "%.*s.%.*s", STR_FMT(c->bucket),
				    STR_FMT(endpoint))
			  : str_dup(&b->arena, endpoint);
	b->path_prefix = virtual ? STR("")
				 : str_fmt(&b->arena, "/%.*s", STR_FMT(c->bucket));
	b->region_given = region.n > 0;
	if (!region.n)
		region = region_in(host);
	if (!region.n)
		region = STR("us-east-1");
	snprintf(b->region, sizeof(b->region), "%.*s", STR_FMT(region));
}

/* ---- headers of uploads ---- */

static void put_header(struct s3_bucket *b, struct str k, struct str v)
{
	BUG_ON(b->n_put_headers == ARRAY_LEN(b->put_headers));
	b->put_headers[b->n_put_headers++] = (struct s3_kv){ k, v };
}

static struct str lower(struct arena *a, const char *prefix, struct str s)
{
	struct str t = str_fmt(a, "%s%.*s", prefix, STR_FMT(s));
	char *p = (char *)(uintptr_t)t.p;
	for (size_t i = 0; i < t.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
	return t;
}

static struct str base64(struct arena *a, struct str s)
{
	struct buf b;
	buf_init(&b, 2 * s.n + 64);
	base64_encode(s, false, true, &b);
	struct str out = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return out;
}

static void set_kms(struct s3_bucket *b, const struct s3_conf *c)
{
	const struct doc *d = c->sse.kms_context;
	put_header(b, STR("x-amz-server-side-encryption"), STR("aws:kms"));
	put_header(b, STR("x-amz-server-side-encryption-aws-kms-key-id"),
		   str_dup(&b->arena, c->sse.kms_key_id));
	b->etag_is_md5 = false;
	if (!d || d->kind != DOC_MAP || d->n == 0)
		return;
	struct buf json;
	struct jw w;
	buf_init(&json, (size_t)64 << 10);
	jw_init(&w, &json);
	jw_obj(&w);
	for (size_t i = 0; i < d->n; i++) {
		jw_key(&w, d->key[i]->s);
		jw_str(&w, d->item[i]->s);
	}
	jw_obj_end(&w);
	put_header(b, STR("x-amz-server-side-encryption-context"),
		   base64(&b->arena, buf_view(&json)));
	buf_deinit(&json);
}

static int set_customer_key(struct s3_bucket *b, struct ctx *ctx, const struct s3_conf *c,
			    const char *what, struct err *e)
{
	const char *path = str_dupz(&b->arena, c->sse.encryption_key);
	struct buf key;
	uint8_t md[16];
	buf_init(&key, 64);
	int rc = fs_read_file(ctx, path, 64, &key, e);
	if (rc == 0 && key.n != 32)
		rc = err_set(ctx, e, E_INVALID, "%s holds %zu bytes, want 32", path,
			     key.n);
	if (rc == 0) {
		struct md5 *h = md5_new();
		md5_feed(h, buf_view(&key));
		md5_done(h, md);
		b->key_headers[0] = (struct s3_kv){
			STR("x-amz-server-side-encryption-customer-algorithm"),
			STR("AES256")
		};
		b->key_headers[1] =
			(struct s3_kv){ STR("x-amz-server-side-encryption-customer-key"),
					base64(&b->arena, buf_view(&key)) };
		b->key_headers[2] = (struct s3_kv){
			STR("x-amz-server-side-encryption-customer-key-md5"),
			base64(&b->arena, str_n(md, 16))
		};
		b->n_key_headers = 3;
		b->etag_is_md5 = false;
	}
	buf_deinit(&key);
	return rc < 0 ? err_wrap(ctx, e, "%s: sse_config.encryption_key", what) : 0;
}

static int set_headers(struct s3_bucket *b, struct ctx *ctx, const struct s3_conf *c,
		       const char *what, struct err *e)
{
	const struct doc *d = c->user_metadata;
	b->etag_is_md5 = true;
	for (size_t i = 0; d && d->kind == DOC_MAP && i < d->n; i++)
		put_header(b, lower(&b->arena, "x-amz-meta-", d->key[i]->s),
			   str_dup(&b->arena, d->item[i]->s));
	if (str_eqz(c->sse.type, "SSE-S3"))
		put_header(b, STR("x-amz-server-side-encryption"), STR("AES256"));
	else if (str_eqz(c->sse.type, "SSE-KMS"))
		set_kms(b, c);
	else if (str_eqz(c->sse.type, "SSE-C"))
		return set_customer_key(b, ctx, c, what, e);
	return 0;
}

/* ---- opening ---- */

static int open_clients(struct s3_bucket *b, const struct s3_conf *c, struct loop *loop,
			struct err *e)
{
	struct http_client_conf conf = {
		.tls = c->http.tls,
		.proxy_url = c->http.proxy_url,
		.proxy_from_environment = !c->http.proxy_url.n,
		.transport = { .idle_ms = c->http.idle_ms,
			       .header_ms = c->http.header_ms,
			       .handshake_ms = c->http.handshake_ms,
			       .max_idle = c->http.max_idle,
			       .max_per_host = c->http.max_per_host },
	};
	struct http_client_opts o = { .loop = loop,
				      .user_agent = "thanosc",
				      .stall_timeout_ns = STALL_NS };
	struct http_client_opts near = { .loop = loop,
					 .user_agent = "thanosc",
					 .connect_timeout_ns = SERVICE_CONNECT_NS };
	http_client_conf_apply(&conf, &o);
	if (http_client_new(&o, &b->http, e) < 0)
		return -1;
	return http_client_new(&near, &b->meta_http, e);
}

int bucket_s3_open(struct ctx *ctx, struct arena *a, const struct doc *config,
		   const char *what, struct loop *loop, struct bucket **out,
		   struct err *e)
{
	static const struct bucket_ops ops = {
		.iter = s3_iter,
		.get = s3_get,
		.open = s3_open,
		.put = s3_put,
		.attrs = s3_attrs,
		.del = s3_del,
		.close = s3_close,
		.checks_puts = s3_checks_puts,
	};
	struct s3_conf c;
	if (s3_conf_bind(ctx, a, config, what, &c, e) < 0)
		return -1;
	BUG_ON(!loop);
	struct s3_bucket *b = xcalloc(1, sizeof(*b));
	arena_init(&b->arena, NULL);
	pthread_mutex_init(&b->mu, NULL);
	b->base.ops = &ops;
	b->bucket = str_dup(&b->arena, c.bucket);
	b->base.name = b->bucket.p; /* as Thanos labels its metrics */
	b->list_version = str_dup(&b->arena, c.list_version);
	b->content_md5 = c.content_md5;
	b->no_multipart = c.no_multipart;
	b->part_bytes = (uint64_t)c.part_bytes;
	b->attempts = c.max_retries ? (uint32_t)c.max_retries : ATTEMPTS;
	b->backoff_ns = BACKOFF_NS;
	set_place(b, &c);
	int rc = open_clients(b, &c, loop, e);
	s3_creds_init(&b->creds, &c, b->meta_http);
	if (rc == 0)
		rc = set_headers(b, ctx, &c, what, e);
	if (rc < 0) {
		s3_close(&b->base);
		return -1;
	}
	*out = &b->base;
	return 0;
}
