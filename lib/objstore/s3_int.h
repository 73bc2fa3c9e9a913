/*
 * objstore/s3_int.h - the S3 bucket's insides.
 */
#ifndef OBJSTORE_S3_INT_H
#define OBJSTORE_S3_INT_H

#include <pthread.h>

#include "conf/yaml.h"
#include "http/client_conf.h"
#include "objstore/bucket_int.h"
#include "objstore/s3_sign.h"

#define S3_XML_BYTES	((size_t)16 << 20) /* a page of a listing */
#define S3_ERROR_BYTES	((size_t)64 << 10) /* the body of a refusal */
#define S3_PARTS_MAX	10000u
#define S3_PART_BYTES	((uint64_t)5 << 20)  /* the least of all parts but the last */
#define S3_PIECE_BYTES	((uint64_t)16 << 20) /* one ranged GET */
#define S3_PARALLEL	8u		     /* ranged GETs of one read under way */
#define S3_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3_conf { /* the mapping `config` */
	struct str bucket, endpoint, region, access_key, secret_key, session_token;
	struct str lookup, list_version;
	bool aws_sdk_auth, insecure, content_md5, no_multipart;
	int64_t part_bytes, max_retries;
	const struct doc *user_metadata;
	struct {
		struct str type, kms_key_id, encryption_key;
		const struct doc *kms_context;
	} sse;
	struct {
		int64_t idle_ms, header_ms, handshake_ms, expect_ms, max_idle,
			max_idle_per_host, max_per_host;
		bool insecure_skip_verify, no_compression;
		struct http_tls_conf tls;
		struct str proxy_url;
	} http;
};
/* Bound and checked; texts in the arena. */
MUST_CHECK int s3_conf_bind(struct ctx *ctx, struct arena *a, const struct doc *map,
			    const char *what, struct s3_conf *out, struct err *e);

/* ---- credentials. SHARED (mu); WORKER ---- */
struct s3_creds {
	struct http_client *http; /* for metadata services */
	char *access, *secret,
		*token; /* given by the configuration; access NULL: looked for */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool refreshing;     /* mu */
	struct arena kept;   /* mu: of keys */
	struct s3_keys keys; /* mu */
	uint64_t refresh_ns,
		end_ns; /* mu, monotonic; 0: ask at once, UINT64_MAX: never */
};
void s3_creds_init(struct s3_creds *c, const struct s3_conf *conf,
		   struct http_client *http);
void s3_creds_deinit(struct s3_creds *c);
/* What signs now, in the arena; asked for again before it expires. */
MUST_CHECK int s3_creds_get(struct s3_creds *c, struct ctx *ctx, struct arena *a,
			    struct s3_keys *out, struct err *e);
void s3_creds_expire(struct s3_creds *c); /* the store refused them */

/* ---- the bucket ---- */
struct s3_bucket {
	struct bucket base;
	struct http_client *http, *meta_http;
	struct s3_creds creds;
	struct arena arena; /* all texts */
	struct str bucket, scheme,
		host;		/* host[:port] as sent, with the bucket if virtual */
	struct str path_prefix; /* "/bucket" or "" */
	struct str list_version;
	struct s3_kv put_headers[24]; /* SSE and user metadata */
	size_t n_put_headers;
	struct s3_kv key_headers[3]; /* of SSE-C: of every request about an object */
	size_t n_key_headers;
	bool etag_is_md5; /* as far as we ask for */
	bool content_md5, no_multipart, region_given;
	uint64_t part_bytes;
	uint32_t attempts;
	uint64_t backoff_ns;
	_Atomic int64_t clock_ms; /* theirs less ours */
	pthread_mutex_t mu;
	char region[64]; /* mu */
};
static inline struct s3_bucket *s3_self(struct bucket *b)
{
	return CONTAINER_OF(b, struct s3_bucket, base);
}

/* One request, signed for every attempt anew. */
struct s3_req {
	const char *method;
	struct str key; /* empty: of the bucket */
	const struct s3_kv *query;
	size_t n_query;
	struct s3_kv headers[32]; /* lower case; signed if x-amz-* or content-md5 */
	size_t n_headers;
	struct str body;		  /* small, in memory */
	const struct http_source *source; /* instead */
	struct str payload_hash;	  /* of the source */
	bool once;			  /* not retried here */
};
void s3_req_header(struct s3_req *r, const char *k, struct str v);
/* Start an attempt; the answer is waited for by s3_wait. */
MUST_CHECK int s3_begin(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
			const struct s3_req *r, size_t window, struct http_body **out,
			struct err *e);
/* Status 2xx: 0, the body is open. Else it has been read, e says what it said, *again whether to retry. */
MUST_CHECK int s3_wait(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
		       struct http_body *h, const char *method, struct http_answer *out,
		       bool *again, struct err *e);
/* Wait before attempt n (from 1); -1: no more of them, e stays as it is. */
int s3_pause(const struct s3_bucket *b, struct ctx *ctx, uint32_t n);
/* The whole of it: retried; the answer's body (at most out->max bytes more) is appended to out. */
MUST_CHECK int s3_call(struct s3_bucket *b, struct ctx *ctx, struct arena *a,
		       const struct s3_req *r, struct http_answer *ans, struct buf *out,
		       struct err *e);
struct str s3_etag(const struct http_answer *ans); /* without quotes */
/* Is an error worth another try? */
bool s3_retries(const struct err *e);

/* s3_list.c */
struct s3_page {
	struct arena *a;
	struct bucket_entry *v;
	size_t n, cap;
	bool more;
	struct str next;   /* token or marker */
	struct str marker; /* as it came */
	/* while parsing */
	struct bucket_entry cur;
	bool url_encoded;
};
/* Keys of folders ("x/") and such that are no names are left out. */
MUST_CHECK int s3_page_parse(struct str xml, struct s3_page *p, struct err *e);
int s3_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
	    int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		      struct err *e),
	    void *arg, struct err *e);
/* s3_put.c */
int s3_put(struct bucket *b, struct ctx *ctx, struct str name, struct put_source *src,
	   struct err *e);
/* s3_read.c */
int s3_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
	   struct err *e);
int s3_attrs(struct bucket *b, struct ctx *ctx, struct str name, struct bucket_attrs *out,
	     struct err *e);
int s3_open(struct bucket *b, struct ctx *ctx, struct str name, struct range_source **out,
	    struct err *e);
/* "Wed, 21 Oct 2015 07:28:00 GMT" -> ms; 0 if it is none. */
int64_t s3_http_date_ms(struct str s);

MUST_CHECK int bucket_s3_open(struct ctx *ctx, struct arena *a, const struct doc *config,
			      const char *what, struct loop *loop, struct bucket **out,
			      struct err *e);

#endif
