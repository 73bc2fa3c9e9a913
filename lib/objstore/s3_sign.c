/*
 * objstore/s3_sign.c - AWS Signature Version 4 as S3 wants it.
 *
 *   canonical request = METHOD \n path \n query \n name:value\n... \n names \n payload hash
 *   string to sign    = AWS4-HMAC-SHA256 \n time \n date/region/service/aws4_request \n SHA-256(canonical request)
 *   key               = HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request")
 *
 * Every byte but A-Z a-z 0-9 - _ . ~ is %XX, '/' too in queries; S3 (unlike other services) escapes a path once
 * and does not normalize it. Queries are sorted by escaped name, then by escaped value.
 */
#include "objstore/s3_sign.h"

#include "base/time.h"
#include "base/vec.h"
#include "wire/codec.h"

#define TEXT_MAX ((size_t)1 << 20)

void s3_time_text(int64_t time_s, char out[S3_TIME_BYTES])
{
	char t[40]; /* 2013-05-24T00:00:00Z */
	size_t n = 0, len = time_format_rfc3339(t, time_s, 0, 0);
	for (size_t i = 0; i < len && n < S3_TIME_BYTES - 1; i++)
		if (t[i] != '-' && t[i] != ':')
			out[n++] = t[i];
	out[n] = '\0';
}

static int by_kv(const void *x, const void *y, void *arg UNUSED)
{
	const struct s3_kv *a = x, *b = y;
	int c = str_cmp(a->k, b->k);
	return c ? c : str_cmp(a->v, b->v);
}

static struct str escaped(struct arena *a, struct str s)
{
	struct buf b;
	buf_init(&b, 3 * s.n + 1);
	url_escape_segment(s, &b);
	struct str out = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return out;
}

void s3_query_text(const struct s3_kv *q, size_t n, struct buf *out)
{
	struct arena a;
	arena_init(&a, NULL);
	struct s3_kv *v = ARENA_ARRAY(&a, struct s3_kv, n);
	for (size_t i = 0; i < n; i++)
		v[i] = (struct s3_kv){ escaped(&a, q[i].k), escaped(&a, q[i].v) };
	vec_sort(v, n, sizeof(*v), by_kv, NULL);
	for (size_t i = 0; i < n; i++)
		buf_fmt(out, "%s%.*s=%.*s", i ? "&" : "", STR_FMT(v[i].k),
			STR_FMT(v[i].v));
	arena_deinit(&a);
}

static struct s3_kv *sorted_headers(struct arena *a, const struct s3_sign_req *r)
{
	struct s3_kv *v = ARENA_ARRAY(a, struct s3_kv, r->n_headers);
	for (size_t i = 0; i < r->n_headers; i++)
		v[i] = r->headers[i];
	vec_sort(v, r->n_headers, sizeof(*v), by_kv, NULL);
	return v;
}

static void signed_names(const struct s3_sign_req *r, struct buf *out)
{
	struct arena a;
	arena_init(&a, NULL);
	const struct s3_kv *v = sorted_headers(&a, r);
	for (size_t i = 0; i < r->n_headers; i++)
		buf_fmt(out, "%s%.*s", i ? ";" : "", STR_FMT(v[i].k));
	arena_deinit(&a);
}

/* Blanks at the ends are dropped, runs of them inside become one. */
static void header_value(struct str v, struct buf *out)
{
	v = str_trim(v);
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] != ' ' || v.p[i - 1] != ' ') /* trimmed: i > 0 at a blank */
			buf_byte(out, (uint8_t)v.p[i]);
}

void s3_canonical(const struct s3_sign_req *r, struct buf *out)
{
	struct arena a;
	arena_init(&a, NULL);
	buf_fmt(out, "%s\n", r->method);
	url_escape_path(r->path, out);
	buf_byte(out, '\n');
	s3_query_text(r->query, r->n_query, out);
	buf_byte(out, '\n');
	const struct s3_kv *v = sorted_headers(&a, r);
	for (size_t i = 0; i < r->n_headers; i++) {
		buf_fmt(out, "%.*s:", STR_FMT(v[i].k));
		header_value(v[i].v, out);
		buf_byte(out, '\n');
	}
	buf_byte(out, '\n');
	signed_names(r, out);
	buf_fmt(out, "\n%.*s", STR_FMT(r->payload_hash));
	arena_deinit(&a);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void scope(const struct s3_sign_req *r, struct buf *out)
{
	char t[S3_TIME_BYTES];
	s3_time_text(r->time_s, t);
	buf_fmt(out, "%.8s/%.*s/%.*s/aws4_request", t, STR_FMT(r->region),
		STR_FMT(r->service));
}

void s3_string_to_sign(const struct s3_sign_req *r, struct buf *out)
{
	char t[S3_TIME_BYTES], hex[65];
	uint8_t digest[32];
	struct buf canonical;
	buf_init(&canonical, TEXT_MAX);
	s3_canonical(r, &canonical);
	BUG_ON(canonical.failed); /* names and headers are bounded */
	struct sha256 *h = sha256_new();
	sha256_feed(h, buf_view(&canonical));
	sha256_done(h, digest);
	buf_deinit(&canonical);
	hex_encode(digest, 32, hex);
	s3_time_text(r->time_s, t);
	buf_fmt(out, "AWS4-HMAC-SHA256\n%s\n", t);
	scope(r, out);
	buf_fmt(out, "\n%s", hex);
}

static void signature(const struct s3_sign_req *r, struct str secret, char hex[65])
{
	char t[S3_TIME_BYTES];
	uint8_t k[32];
	struct buf text, first;
	s3_time_text(r->time_s, t);
	buf_init(&text, TEXT_MAX);
	buf_init(&first, secret.n + 5);
	buf_str(&first, STR("AWS4"));
	buf_str(&first, secret);
	sha256_hmac(buf_view(&first), str_n(t, 8), k);
	sha256_hmac(str_n(k, 32), r->region, k);
	sha256_hmac(str_n(k, 32), r->service, k);
	sha256_hmac(str_n(k, 32), STR("aws4_request"), k);
	s3_string_to_sign(r, &text);
	sha256_hmac(str_n(k, 32), buf_view(&text), k);
	hex_encode(k, 32, hex);
	buf_deinit(&text);
	buf_deinit(&first);
}

struct str s3_authorization(struct arena *a, const struct s3_sign_req *r,
			    const struct s3_keys *k)
{
	char hex[65];
	struct buf out;
	buf_init(&out, TEXT_MAX);
	signature(r, k->secret, hex);
	buf_fmt(&out, "AWS4-HMAC-SHA256 Credential=%.*s/", STR_FMT(k->access));
	scope(r, &out);
	buf_str(&out, STR(",SignedHeaders="));
	signed_names(r, &out);
	buf_fmt(&out, ",Signature=%s", hex);
	struct str v = str_dup(a, buf_view(&out));
	buf_deinit(&out);
	return v;
}

struct str s3_presigned_query(struct arena *a, const struct s3_sign_req *r,
			      const struct s3_keys *k, unsigned seconds)
{
	char t[S3_TIME_BYTES], hex[65];
	struct buf who, names, out;
	size_t n = r->n_query;
	struct s3_kv *q = ARENA_ARRAY(a, struct s3_kv, n + 6);
	struct s3_sign_req with = *r;
	s3_time_text(r->time_s, t);
	buf_init(&who, TEXT_MAX);
	buf_init(&names, TEXT_MAX);
	buf_init(&out, TEXT_MAX);
	buf_fmt(&who, "%.*s/", STR_FMT(k->access));
	scope(r, &who);
	signed_names(r, &names);
	for (size_t i = 0; i < n; i++)
		q[i] = r->query[i];
	q[n++] = (struct s3_kv){ STR("X-Amz-Algorithm"), STR("AWS4-HMAC-SHA256") };
	q[n++] = (struct s3_kv){ STR("X-Amz-Credential"), buf_view(&who) };
	q[n++] = (struct s3_kv){ STR("X-Amz-Date"), str_of(t) };
	q[n++] = (struct s3_kv){ STR("X-Amz-Expires"), str_fmt(a, "%u", seconds) };
	if (k->token.n)
		q[n++] = (struct s3_kv){ STR("X-Amz-Security-Token"), k->token };
	q[n++] = (struct s3_kv){ STR("X-Amz-SignedHeaders"), buf_view(&names) };
	with.query = q;
	with.n_query = n;
	signature(&with, k->secret, hex);
	s3_query_text(q, n, &out);
	buf_fmt(&out, "&X-Amz-Signature=%s", hex);
	struct str v = str_dup(a, buf_view(&out));
	buf_deinit(&who);
	buf_deinit(&names);
	buf_deinit(&out);
	return v;
}
