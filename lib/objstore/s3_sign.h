/*
 * objstore/s3_sign.h - AWS Signature Version 4, in headers and in a query.
 *
 * Pure: the time is given. Thread CPU.
 */
#ifndef OBJSTORE_S3_SIGN_H
#define OBJSTORE_S3_SIGN_H

#include "base/arena.h"
#include "base/buf.h"

struct s3_kv {
	struct str k, v;
};
struct s3_keys {			  /* who signs */
	struct str access, secret, token; /* token empty: none */
};
struct s3_sign_req {
	const char *method;
	struct str path;	   /* absolute, not escaped */
	const struct s3_kv *query; /* not escaped, any order */
	size_t n_query;
	const struct s3_kv
		*headers; /* to be signed, lower case names, with host; any order */
	size_t n_headers;
	struct str payload_hash; /* hex SHA-256, or UNSIGNED-PAYLOAD */
	struct str region, service;
	int64_t time_s; /* Unix */
};
#define S3_TIME_BYTES 17 /* "20130524T000000Z" and NUL */
void s3_time_text(int64_t time_s, char out[S3_TIME_BYTES]);
/* The canonical request, the string to sign: for tests and for s3_authorization. */
void s3_canonical(const struct s3_sign_req *r, struct buf *out);
void s3_string_to_sign(const struct s3_sign_req *r, struct buf *out);
/* Value of the Authorization header. */
struct str s3_authorization(struct arena *a, const struct s3_sign_req *r,
			    const struct s3_keys *k);
/*
 * The query string of a URL that works for `seconds` without further headers; r's query goes into it, its
 * payload_hash should be UNSIGNED-PAYLOAD.
 */
struct str s3_presigned_query(struct arena *a, const struct s3_sign_req *r,
			      const struct s3_keys *k, unsigned seconds);
/* "a=1&b=" escaped and sorted as it is signed; empty for none. */
void s3_query_text(const struct s3_kv *q, size_t n, struct buf *out);

#endif
