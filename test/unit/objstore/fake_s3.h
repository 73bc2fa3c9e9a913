/*
 * fake_s3.h - a small S3 over plain sockets, for tests: checks signatures, payload hashes and Content-MD5, lists two
 * names a page, and misbehaves on demand.
 */
#ifndef UNIT_OBJSTORE_FAKE_S3_H
#define UNIT_OBJSTORE_FAKE_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_fault {
	FAKE_NONE,
	FAKE_503,	 /* not done, said so */
	FAKE_429,	 /* the same */
	FAKE_503_LANDED, /* done, but said not */
	FAKE_RESET,	 /* not done; RST */
	FAKE_RESET_LATE, /* done; RST instead of the answer */
	FAKE_CUT,	 /* half of the answer's body, then the end */
	FAKE_RANGE,	 /* another range than was asked for */
	FAKE_ETAG,	 /* a wrong ETag */
	FAKE_200_ERROR,	 /* not done; 200 with an error inside */
	FAKE_SKEW,	 /* RequestTimeTooSkewed */
	FAKE_EXPIRED,	 /* ExpiredToken */
	FAKE_DENIED,	 /* AccessDenied */
};
struct fake_s3;
struct fake_s3 *fake_s3_start(const char *access, const char *secret);
uint16_t fake_s3_port(const struct fake_s3 *f);
/* The next `times` requests that begin with `what` ("PUT /b/x", "GET") suffer. */
void fake_s3_fail(struct fake_s3 *f, enum fake_fault k, const char *what, int times);
/* GETs wait until n of them do at the same time, at most 10 s; then all go on. */
void fake_s3_gather(struct fake_s3 *f, int n);
bool fake_s3_gathered(struct fake_s3 *f);
/* Requests so far that begin with `what` and hold `has` in their head (NULL: any). */
int fake_s3_count(struct fake_s3 *f, const char *what, const char *has);
int fake_s3_uploads(struct fake_s3 *f); /* begun, neither completed nor aborted */
void fake_s3_secret(struct fake_s3 *f, const char *secret); /* from now on */
void fake_s3_stop(struct fake_s3 *f);

#endif
