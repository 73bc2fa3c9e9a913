/*
 * objstore/s3_call.c - one S3 request: put together, signed, sent, its refusal read, tried again.
 *
 * Tried again (with jitter between half and all of a pause that doubles): 408, 429, 500, 502, 503, 504, the errors
 * that S3 calls transient, and whatever cut the connection or came too late. All requests of this module may be
 * sent twice. What the store says about the region, the clock and expired keys is taken up once.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/time.h"
#include "objstore/s3_int.h"
#include "wire/codec.h"
#include "wire/xml.h"

#define PAUSE_MAX_NS (10 * NS_PER_S)

void s3_req_header(struct s3_req *r, const char *k, struct str v)
{
	BUG_ON(r->n_headers == ARRAY_LEN(r->headers));
	r->headers[r->n_headers++] = (struct s3_kv){ str_of(k), v };
}

struct str s3_etag(const struct http_answer *ans)
{
	struct str t = http_answer_header(ans, "etag");
	if (t.n >= 2 && t.p[0] == '"' && t.p[t.n - 1] == '"')
		t = str_n(t.p + 1, t.n - 2);
	return t;
}

bool s3_retries(const struct err *e)
{
	return err_code_class(e->code) == ERR_RETRY;
}

static struct str sha256_hex(struct arena *a, struct str s)
{
	uint8_t d[32];
	char hex[65];
	struct sha256 *h = sha256_new();
	sha256_feed(h, s);
	sha256_done(h, d);
	hex_encode(d, 32, hex);
	return str_dup(a, str_of(hex));
}

static bool is_signed(struct str name)
{
	return str_has_prefix(name, STR("x-amz-")) || str_eqz(name, "host") ||
	       str_eqz(name, "content-md5");
}

static struct str region_of(struct s3_bucket *b, struct arena *a)
{
	pthread_mutex_lock(&b->mu);
	struct str r = str_dup(a, str_of(b->region));
	pthread_mutex_unlock(&b->mu);
	return r;
}

/* All headers, Authorization last; *n of them. */
static struct http_kv *sign(struct s3_bucket *b, struct arena *a, const struct s3_req *r,
			    struct str path, const struct s3_keys *k, size_t *n)
{
	struct s3_kv *h = ARENA_ARRAY(a, struct s3_kv, r->n_headers + 8);
	struct s3_kv *in = ARENA_ARRAY(a, struct s3_kv, r->n_headers + 8);
	struct http_kv *out = ARENA_ARRAY(a, struct http_kv, r->n_headers + 8);
	size_t m = 0, signed_n = 0;
	char *t = arena_alloc(a, S3_TIME_BYTES);
	int64_t now_s = (time_wall_ms() + atomic_load(&b->clock_ms)) / 1000;
	struct str hash = r->source   ? r->payload_hash
			  : r->body.n ? sha256_hex(a, r->body)
				      : STR(S3_EMPTY_SHA256);
	s3_time_text(now_s, t);
	for (size_t i = 0; i < r->n_headers; i++)
		h[m++] = r->headers[i];
	for (size_t i = 0; r->key.n && i < b->n_key_headers; i++)
		h[m++] = b->key_headers[i];
	h[m++] = (struct s3_kv){ STR("host"), b->host };
	h[m++] = (struct s3_kv){ STR("x-amz-content-sha256"), hash };
	h[m++] = (struct s3_kv){ STR("x-amz-date"), str_of(t) };
	if (k->token.n)
		h[m++] = (struct s3_kv){ STR("x-amz-security-token"), k->token };
	for (size_t i = 0; i < m; i++)
		if (is_signed(h[i].k))
			in[signed_n++] = h[i];
	struct s3_sign_req s = { .method = r->method,
				 .path = path,
				 .query = r->query,
				 .n_query = r->n_query,
				 .headers = in,
				 .n_headers = signed_n,
				 .payload_hash = hash,
				 .region = region_of(b, a),
				 .service = STR("s3"),
				 .time_s = now_s };
	*n = 0;
	for (size_t i = 0; i < m; i++)
		out[(*n)++] = (struct http_kv){ h[i].k, h[i].v };
	out[(*n)++] =
		(struct http_kv){ STR("authorization"), s3_authorization(a, &s, k) };
	return out;
}

int s3_begin(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
	     const struct s3_req *r, size_t window, struct http_body **out, struct err *e)
{
	struct s3_keys k;
	struct buf url;
	if (s3_creds_get(&b->creds, ctx, a, &k, e) < 0)
		return -1;
	struct str path = r->key.n ? str_fmt(a, "%.*s/%.*s", STR_FMT(b->path_prefix),
					     STR_FMT(r->key))
				   : str_fmt(a, "%.*s/", STR_FMT(b->path_prefix));
	struct http_fetch_req q = { .method = r->method,
				    .body = r->body,
				    .source = r->source };
	q.headers = sign(b, a, r, path, &k, &q.n_headers);
	buf_init(&url, (size_t)64 << 10);
	buf_fmt(&url, "%.*s://%.*s", STR_FMT(b->scheme), STR_FMT(b->host));
	url_escape_path(path, &url);
	if (r->n_query) {
		buf_byte(&url, '?');
		s3_query_text(r->query, r->n_query, &url);
	}
	int rc = buf_check(&url, ctx, "URL", e);
	q.url = buf_view(&url);
	if (rc == 0 && r->source)
		rc = r->source->rewind(r->source->arg, ctx, e);
	if (rc == 0)
		rc = http_begin(b->http, ctx, &q, window, out, e);
	buf_deinit(&url);
	return rc;
}

/* ---- refusals ---- */

struct refusal {
	struct str code, message, region;
	struct arena *a;
};

static int on_refusal(void *arg, struct str path, struct str text, struct err *e UNUSED)
{
	struct refusal *r = arg;
	if (str_eqz(path, "Error/Code"))
		r->code = str_dup(r->a, text);
	else if (str_eqz(path, "Error/Message"))
		r->message = str_dup(r->a, text);
	else if (str_eqz(path, "Error/Region"))
		r->region = str_dup(r->a, text);
	return 0;
}

static bool is_one_of(struct str s, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eqz(s, v[i]))
			return true;
	return false;
}

static enum err_code code_of(int status, struct str code)
{
	static const char *const transient[] = {
		"RequestTimeout",	"SlowDown",	   "InternalError",
		"ServiceUnavailable",	"Throttling",	   "ThrottlingException",
		"RequestLimitExceeded", "OperationAborted"
	};
	if (is_one_of(code, transient, ARRAY_LEN(transient)))
		return E_UNAVAILABLE;
	switch (status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504: return E_UNAVAILABLE;
	case 404: return str_eqz(code, "NoSuchBucket") ? E_INVALID : E_NOT_FOUND;
	case 401:
	case 403: return E_DENIED;
	case 412: return E_ABORTED;
	case 507: return E_NOSPACE;
	default: return status >= 500 ? E_UNAVAILABLE : E_INVALID;
	}
}

/* What can be mended and tried once more: the region, the clock, the keys. */
static bool mend(struct s3_bucket *b, const struct refusal *r,
		 const struct http_answer *ans)
{
	static const char *const keys[] = { "ExpiredToken", "InvalidAccessKeyId",
					    "TokenRefreshRequired" };
	static const char *const region[] = { "AuthorizationHeaderMalformed",
					      "PermanentRedirect", "TemporaryRedirect" };
	struct str at = http_answer_header(ans, "x-amz-bucket-region");
	if (!at.n)
		at = r->region;
	bool moved = ans->status == 301 || ans->status == 307 ||
		     is_one_of(r->code, region, ARRAY_LEN(region));
	if (moved && at.n && at.n < sizeof(b->region) && !b->region_given) {
		pthread_mutex_lock(&b->mu);
		bool other = !str_eqz(at, b->region);
		memcpy(b->region, at.p, at.n);
		b->region[at.n] = '\0';
		pthread_mutex_unlock(&b->mu);
		return other;
	}
	int64_t theirs = s3_http_date_ms(http_answer_header(ans, "date"));
	if (str_eqz(r->code, "RequestTimeTooSkewed") && theirs) {
		atomic_store(&b->clock_ms, theirs - time_wall_ms());
		return true;
	}
	if (!b->creds.access && is_one_of(r->code, keys, ARRAY_LEN(keys))) {
		s3_creds_expire(&b->creds);
		return true;
	}
	return false;
}

static int refused(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
		   struct http_body *h, const char *method, const struct http_answer *ans,
		   bool *again, struct err *e)
{
	struct buf body;
	struct refusal r = { .a = a };
	struct err bad = ERR_INIT;
	struct view v;
	int rc;
	buf_init(&body, S3_ERROR_BYTES);
	while ((rc = http_body_read(h, ctx, &v, &bad)) > 0) {
		buf_add(&body, v.p, v.n);
		http_body_release(h, &v);
	}
	struct xml_events ev = { NULL, on_refusal, &r };
	bad = ERR_INIT;
	if (body.n && xml_walk(buf_view(&body), &ev, &bad) < 0)
		bad = ERR_INIT; /* a proxy's page: the status has to do */
	buf_deinit(&body);
	*again = mend(b, &r, ans);
	enum err_code code = code_of(ans->status, r.code);
	*again |= err_code_class(code) == ERR_RETRY;
	r.message.n = MIN(r.message.n, (size_t)300);
	return err_set(ctx, e, code, "%s: status %d%s%.*s%s%.*s", method, ans->status,
		       r.code.n ? " " : "", STR_FMT(r.code), r.message.n ? ": " : "",
		       STR_FMT(r.message));
}

int s3_wait(struct s3_bucket *b, struct ctx *ctx, struct arena *a, struct http_body *h,
	    const char *method, struct http_answer *out, bool *again, struct err *e)
{
	*again = false;
	if (http_answer_wait(h, ctx, a, out, e) < 0) {
		*again = s3_retries(e);
		return -1;
	}
	if (out->status / 100 == 2)
		return 0;
	return refused(b, ctx, a, h, method, out, again, e);
}

/* ---- tries ---- */

static bool is_never(void *arg UNUSED)
{
	return false;
}

int s3_pause(const struct s3_bucket *b, struct ctx *ctx, uint32_t n)
{
	if (n >= b->attempts)
		return -1;
	uint64_t full = b->backoff_ns << MIN(n - 1, 10u), seed = time_mono_ns();
	full = MIN(full, PAUSE_MAX_NS);
	uint64_t ns = full / 2 + hash_xx64(&seed, sizeof(seed), n) % (full / 2 + 1);
	struct ctx c;
	memset(&c, 0, sizeof(c));
	uint64_t until = time_after_ns(ns);
	if (ctx) {
		if (ctx_left_ns(ctx) <= ns)
			return -1; /* it would only end in a timeout that says less */
		c = ctx_child(ctx, until);
	}
	c.deadline_ns = until;
	pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cv;
	struct err ignored = ERR_INIT;
	ctx_cond_init(&cv);
	pthread_mutex_lock(&mu);
	int rc = ctx_cond_wait(&c, &cv, &mu, is_never, NULL, &ignored);
	pthread_mutex_unlock(&mu);
	pthread_cond_destroy(&cv);
	return rc < 0 && ignored.code == E_TIMEOUT ? 0 : -1;
}

static int read_body(struct http_body *h, struct ctx *ctx, struct buf *out, struct err *e)
{
	struct view v;
	int rc;
	while ((rc = http_body_read(h, ctx, &v, e)) > 0) {
		if (out)
			buf_add(out, v.p, v.n);
		http_body_release(h, &v);
		if (out && out->failed)
			return buf_check(out, ctx, "object", e);
	}
	return rc;
}

static int try_once(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
		    const struct s3_req *r, struct http_answer *ans, struct buf *out,
		    bool *again, struct err *e)
{
	struct http_body *h;
	*again = false;
	if (s3_begin(b, ctx, a, r, 0, &h, e) < 0)
		return -1;
	int rc = s3_wait(b, ctx, a, h, r->method, ans, again, e);
	if (rc == 0) {
		rc = read_body(h, ctx, out, e);
		*again = rc < 0 && s3_retries(e);
	}
	http_body_close(h);
	return rc;
}

int s3_call(struct s3_bucket *b, struct ctx *ctx, struct arena *a, const struct s3_req *r,
	    struct http_answer *ans, struct buf *out, struct err *e)
{
	size_t start = out ? out->n : 0;
	for (uint32_t n = 1;; n++) {
		struct err why = ERR_INIT;
		bool again;
		if (try_once(b, ctx, a, r, ans, out, &again, &why) == 0)
			return 0;
		if (!again || r->once || (ctx && ctx_left_ns(ctx) == 0) ||
		    s3_pause(b, ctx, n) < 0) {
			*e = why;
			return n > 1 ? err_wrap(ctx, e, "after %u tries", n) : -1;
		}
		if (out) {
			out->n = start;
			out->failed = false;
		}
	}
}
