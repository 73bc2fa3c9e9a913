/*
 * objstore/s3_conf.c - the keys of `config` for type S3, and what they may not say together.
 */
#include "objstore/s3_int.h"

#define AT(f)	offsetof(struct s3_conf, f)
#define SSE(f)	(offsetof(struct s3_conf, sse.f) - offsetof(struct s3_conf, sse))
#define HTTP(f) (offsetof(struct s3_conf, http.f) - offsetof(struct s3_conf, http))

static const struct yopt sse_rows[] = {
	{ .name = "type",
	  .type = OPT_ENUM,
	  .off = SSE(type),
	  .choices = "|SSE-S3|SSE-KMS|SSE-C" },
	{ .name = "kms_key_id", .type = OPT_STRING, .off = SSE(kms_key_id) },
	{ .name = "kms_encryption_context", .nest = YOPT_ANY, .off = SSE(kms_context) },
	{ .name = "encryption_key", .type = OPT_STRING, .off = SSE(encryption_key) },
	{ 0 }
};
#define DURATION(key, field, text)                                                       \
	{                                                                                \
		.name = key, .type = OPT_DURATION_MS, .off = HTTP(field), .def = text,   \
		.min = 0, .max = INT64_MAX / 1000000                                     \
	}
#define COUNT(key, field, text)                                                          \
	{                                                                                \
		.name = key, .type = OPT_INT, .off = HTTP(field), .def = text, .min = 0, \
		.max = 1000000                                                           \
	}
static const struct yopt http_rows[] = {
	DURATION("idle_conn_timeout", idle_ms, "90s"),
	DURATION("response_header_timeout", header_ms, "2m"),
	DURATION("tls_handshake_timeout", handshake_ms, "10s"),
	DURATION("expect_continue_timeout", expect_ms,
		 "1s"), /* 100 is never waited for */
	COUNT("max_idle_conns", max_idle, "100"),
	COUNT("max_idle_conns_per_host", max_idle_per_host, "100"),
	COUNT("max_conns_per_host", max_per_host, "0"),
	{ .name = "insecure_skip_verify",
	  .type = OPT_BOOL,
	  .off = HTTP(insecure_skip_verify) },
	{ .name = "tls_config",
	  .nest = YOPT_MAP,
	  .off = HTTP(tls),
	  .rows = http_tls_rows },
	{ .name = "proxy_url", .type = OPT_STRING, .off = HTTP(proxy_url) },
	{ .name = "disable_compression",
	  .type = OPT_BOOL,
	  .off = HTTP(no_compression) }, /* objects come as they are anyway */
	{ 0 }
};
static const struct yopt trace_rows[] = {
	{ .name = "enable", .type = OPT_NOT_YET, .def = "false", .choices = "false" },
	{ 0 }
};
static const struct yopt rows[] = {
	{ .name = "bucket",
	  .type = OPT_STRING,
	  .off = AT(bucket),
	  .bits = OPTF_REQUIRED },
	{ .name = "endpoint",
	  .type = OPT_STRING,
	  .off = AT(endpoint),
	  .bits = OPTF_REQUIRED },
	{ .name = "region", .type = OPT_STRING, .off = AT(region) },
	{ .name = "disable_dualstack",
	  .type = OPT_NO_EFFECT }, /* the endpoint is as given */
	{ .name = "aws_sdk_auth", .type = OPT_BOOL, .off = AT(aws_sdk_auth) },
	{ .name = "access_key", .type = OPT_STRING, .off = AT(access_key) },
	{ .name = "secret_key", .type = OPT_STRING, .off = AT(secret_key) },
	{ .name = "session_token", .type = OPT_STRING, .off = AT(session_token) },
	{ .name = "insecure", .type = OPT_BOOL, .off = AT(insecure) },
	{ .name = "signature_version2",
	  .type = OPT_NOT_YET,
	  .def = "false",
	  .choices = "false" },
	{ .name = "put_user_metadata", .nest = YOPT_ANY, .off = AT(user_metadata) },
	{ .name = "list_objects_version",
	  .type = OPT_ENUM,
	  .off = AT(list_version),
	  .choices = "|v1|v2" },
	{ .name = "bucket_lookup_type",
	  .type = OPT_ENUM,
	  .off = AT(lookup),
	  .def = "auto",
	  .choices = "auto|virtual-hosted|path" },
	{ .name = "send_content_md5",
	  .type = OPT_BOOL,
	  .off = AT(content_md5),
	  .def = "true" },
	{ .name = "disable_multipart", .type = OPT_BOOL, .off = AT(no_multipart) },
	{ .name = "part_size",
	  .type = OPT_INT,
	  .off = AT(part_bytes),
	  .def = "67108864",
	  .min = (int64_t)S3_PART_BYTES,
	  .max = (int64_t)5 << 30 },
	{ .name = "sts_endpoint", .type = OPT_NOT_YET, .def = "" },
	{ .name = "max_retries",
	  .type = OPT_INT,
	  .off = AT(max_retries),
	  .def = "0",
	  .min = 0,
	  .max = 100 },
	{ .name = "trace", .nest = YOPT_MAP, .rows = trace_rows },
	{ .name = "sse_config", .nest = YOPT_MAP, .off = AT(sse), .rows = sse_rows },
	{ .name = "http_config", .nest = YOPT_MAP, .off = AT(http), .rows = http_rows },
	{ 0 }
};

static bool is_text_map(const struct doc *d)
{
	if (!d || d->kind == DOC_NULL)
		return true;
	for (size_t i = 0; d->kind == DOC_MAP && i < d->n; i++)
		if (d->item[i]->kind == DOC_LIST || d->item[i]->kind == DOC_MAP)
			return false;
	return d->kind == DOC_MAP && d->n <= 16;
}

static bool host_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || strchr("/?#@\"\\", s.p[i]))
			return false;
	return s.n > 0;
}

static const char *fault(const struct s3_conf *c)
{
	if (!c->bucket.n || c->bucket.n > 255 || !host_ok(c->bucket))
		return "bucket: not the name of a bucket";
	if (!host_ok(c->endpoint))
		return "endpoint: want host or host:port, without a scheme or path (insecure: true means http)";
	if (c->region.n > 60 || (c->region.n && !host_ok(c->region)))
		return "region: not the name of a region";
	if ((c->access_key.n == 0) != (c->secret_key.n == 0))
		return "access_key and secret_key go together";
	if (c->aws_sdk_auth && c->access_key.n)
		return "aws_sdk_auth and access_key exclude each other";
	if (c->session_token.n && !c->access_key.n)
		return "session_token needs access_key and secret_key";
	if (!is_text_map(c->user_metadata))
		return "put_user_metadata: expected a mapping of at most 16 texts";
	if (!is_text_map(c->sse.kms_context))
		return "sse_config.kms_encryption_context: expected a mapping of texts";
	if (str_eqz(c->sse.type, "SSE-KMS") && !c->sse.kms_key_id.n)
		return "sse_config: SSE-KMS needs kms_key_id";
	if (str_eqz(c->sse.type, "SSE-C") && !c->sse.encryption_key.n)
		return "sse_config: SSE-C needs encryption_key, the path of a file of 32 bytes";
	if (str_eqz(c->sse.type, "SSE-C") && c->insecure)
		return "sse_config: SSE-C needs TLS";
	return NULL;
}

int s3_conf_bind(struct ctx *ctx, struct arena *a, const struct doc *map,
		 const char *what, struct s3_conf *out, struct err *e)
{
	if (conf_bind(ctx, a, map, rows, out, sizeof(*out), what, e) < 0)
		return -1;
	const char *bad = fault(out);
	if (bad)
		return err_set(ctx, e, E_INVALID, "%s: %s", what, bad);
	bad = http_tls_conf_fault(&out->http.tls);
	if (bad)
		return err_set(ctx, e, E_INVALID, "%s: http_config.tls_config %s", what,
			       bad);
	if (out->http.insecure_skip_verify)
		out->http.tls.insecure_skip_verify = true;
	return 0;
}
