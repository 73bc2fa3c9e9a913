/*
 * The S3 bucket against a store that misbehaves: what is tried again, what is an error, what it never shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "fake_s3.h"
#include "fs/fs.h"
#include "loop/loop.h"
#include "objstore/s3_int.h"
#include "support/tst.h"

struct world {
	struct fake_s3 *fake;
	struct loop *loop;
	struct bucket *b;
	struct ctx ctx;
	struct budget budget;
	struct err e;
};

static void open_with(struct world *w, const char *more)
{
	char yaml[1024];
	snprintf(
		yaml, sizeof(yaml),
		"type: S3\nconfig:\n  bucket: b\n  endpoint: 127.0.0.1:%u\n  insecure: true\n"
		"  max_retries: 4\n%s",
		fake_s3_port(w->fake), more);
	bucket_close(w->b);
	w->b = NULL;
	cr_assert_eq(bucket_from_yaml(&w->ctx, str_of(yaml), "y", w->loop, NULL, &w->b,
				      &w->e),
		     0, "%s", err_text(&w->e));
	s3_self(w->b)->backoff_ns = NS_PER_MS;
}

#define KEYS "  access_key: AK\n  secret_key: secret\n"

static void start(struct world *w, const char *more)
{
	memset(w, 0, sizeof(*w));
	w->fake = fake_s3_start("AK", "secret");
	budget_init(&w->budget, NULL, "t", NULL, 0);
	ctx_init(&w->ctx, &w->budget, 0);
	cr_assert_eq(loop_start("t", &w->loop, &w->e), 0);
	open_with(w, more);
}

static void stop(struct world *w)
{
	bucket_close(w->b);
	fake_s3_stop(w->fake);
	loop_stop(w->loop);
	ctx_deinit(&w->ctx);
	budget_deinit(&w->budget);
}

static int put(struct world *w, const char *name, const char *text)
{
	w->e = ERR_INIT;
	return bucket_put_bytes(w->b, &w->ctx, str_of(name), str_of(text), &w->e);
}

static int get(struct world *w, const char *name, char *out, size_t cap)
{
	struct buf b;
	w->e = ERR_INIT;
	buf_init(&b, cap - 1);
	int rc = bucket_get(w->b, &w->ctx, str_of(name), cap, &b, &w->e);
	snprintf(out, cap, "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
	return rc;
}

static void said(struct world *w, const char *what)
{
	cr_assert(strstr(err_text(&w->e), what), "%s in %s", what, err_text(&w->e));
}

Test(s3, tries_again_what_may_go_through_later)
{
	static const enum fake_fault kinds[] = { FAKE_503,	  FAKE_429,
						 FAKE_503_LANDED, FAKE_RESET,
						 FAKE_RESET_LATE, FAKE_SKEW };
	struct world w;
	char text[64];
	start(&w, KEYS);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		fake_s3_fail(w.fake, kinds[i], "PUT", 2);
		cr_assert_eq(put(&w, "o/x", "hello"), 0, "%zu %s", i, err_text(&w.e));
		fake_s3_fail(w.fake, kinds[i], "GET", 2);
		cr_assert_eq(get(&w, "o/x", text, sizeof(text)), 0, "%zu %s", i,
			     err_text(&w.e));
		cr_assert_str_eq(text, "hello");
		fake_s3_fail(w.fake, kinds[i], "DELETE", 2);
		cr_assert_eq(bucket_delete(w.b, &w.ctx, STR("o/x"), &w.e), 0);
	}
	stop(&w);
}

Test(s3, gives_up_after_its_tries_and_says_so)
{
	struct world w;
	char text[64];
	start(&w, KEYS);
	cr_assert_eq(put(&w, "x", "hello"), 0);
	fake_s3_fail(w.fake, FAKE_503, "GET", 100);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), -1);
	cr_assert_eq(w.e.code, E_UNAVAILABLE);
	said(&w, "bucket b: get x: after 4 tries: GET: status 503 SlowDown: told so");
	cr_assert_eq(fake_s3_count(w.fake, "GET", NULL), 4);
	fake_s3_fail(w.fake, FAKE_DENIED, "GET", 100);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), -1);
	cr_assert_eq(w.e.code, E_DENIED);
	cr_assert_eq(fake_s3_count(w.fake, "GET", NULL), 5);
	/* A deadline that a pause would pass ends it with what was said. */
	s3_self(w.b)->backoff_ns = 60 * NS_PER_S;
	fake_s3_fail(w.fake, FAKE_503, "GET", 100);
	w.ctx.deadline_ns = time_after_ns(5 * NS_PER_S);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), -1);
	said(&w, "SlowDown");
	stop(&w);
}

Test(s3, a_cut_body_is_tried_again_and_never_a_short_object)
{
	struct world w;
	char text[64];
	start(&w, KEYS);
	cr_assert_eq(put(&w, "x", "0123456789"), 0);
	fake_s3_fail(w.fake, FAKE_CUT, "GET", 2);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), 0, "%s", err_text(&w.e));
	cr_assert_str_eq(text, "0123456789");
	fake_s3_fail(w.fake, FAKE_CUT, "GET", 100);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), -1);
	cr_assert_str_eq(text, "");
	stop(&w);
}

Test(s3, compares_the_etag_of_what_was_sent)
{
	struct world w;
	start(&w, KEYS);
	fake_s3_fail(w.fake, FAKE_ETAG, "PUT", 1);
	cr_assert_eq(put(&w, "x", "hello"), -1);
	said(&w, "keeps other bytes than were sent");
	cr_assert_eq(put(&w, "x", "hello"), 0);
	cr_assert_eq(fake_s3_count(w.fake, "PUT",
				   "content-md5: XUFAKrxLKna5cZ2REBfFkg=="),
		     2);
	stop(&w);
}

/* ---- ranges ---- */

struct big {
	uint64_t at, size;
	bool lies;
};

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 131 + (i >> 12));
}

static int big_read(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
		    struct err *e)
{
	struct big *g = arg;
	*n = (size_t)MIN((uint64_t)cap, g->size - g->at);
	for (size_t i = 0; i < *n; i++)
		((uint8_t *)p)[i] = byte_at(g->at + i);
	g->at += *n;
	return 0;
}

static int big_seek(void *arg, struct ctx *ctx, uint64_t off, struct err *e)
{
	((struct big *)arg)->at = off;
	return 0;
}

static int put_big(struct world *w, const char *name, uint64_t size, bool seeks)
{
	struct big g = { 0, size, false };
	struct put_source src = { big_read, &g, size, seeks ? big_seek : NULL };
	if (!seeks)
		src.size = UINT64_MAX;
	w->e = ERR_INIT;
	return bucket_put(w->b, &w->ctx, str_of(name), &src, &w->e);
}

static struct range_source *open_big(struct world *w, const char *name)
{
	struct range_source *s = NULL;
	w->e = ERR_INIT;
	cr_assert_eq(bucket_open(w->b, &w->ctx, str_of(name), &s, &w->e), 0, "%s",
		     err_text(&w->e));
	return s;
}

static int read_some(struct world *w, struct range_source *s, const struct range *r,
		     size_t n)
{
	struct view v[32];
	w->e = ERR_INIT;
	int rc = range_source_read(s, &w->ctx, r, n, v, &w->e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		cr_assert_eq(v[i].n, r[i].len);
		for (uint64_t k = 0; k < r[i].len; k++)
			if (v[i].p[k] != byte_at(r[i].off + k))
				cr_assert_fail("byte %llu", (unsigned long long)k);
		view_put(&v[i]);
	}
	return rc;
}

Test(s3_range, neighbours_are_one_request_and_some_are_under_way_at_once)
{
	struct world w;
	struct range r[20];
	start(&w, KEYS);
	cr_assert_eq(put_big(&w, "x", 24 << 20, true), 0, "%s", err_text(&w.e));
	struct range_source *s = open_big(&w, "x");
	cr_assert_eq(s->size, 24u << 20);
	for (size_t i = 0; i < 20; i++) /* two neighbours at ten places */
		r[i] = (struct range){ (i / 2) * (2 << 20) + (i % 2) * 1000, 500 };
	fake_s3_gather(w.fake, S3_PARALLEL);
	cr_assert_eq(read_some(&w, s, r, 20), 0, "%s", err_text(&w.e));
	cr_assert_eq(fake_s3_count(w.fake, "GET /b/x", "range:"), 10);
	cr_assert_eq(fake_s3_count(w.fake, "GET /b/x", "if-match:"), 10);
	cr_assert(fake_s3_gathered(w.fake));
	range_source_unref(s);
	stop(&w);
}

Test(s3_range, faults_are_mended_and_wrong_answers_are_errors)
{
	static const enum fake_fault mends[] = { FAKE_503, FAKE_RESET, FAKE_CUT,
						 FAKE_RANGE };
	struct world w;
	struct range r[] = { { 10, 2000000 }, { 3000000, 100 }, { 4000000, 70000 } };
	start(&w, KEYS);
	cr_assert_eq(put_big(&w, "x", 5 << 20, true), 0);
	struct range_source *s = open_big(&w, "x");
	for (size_t i = 0; i < ARRAY_LEN(mends); i++) {
		fake_s3_fail(w.fake, mends[i], "GET", 3);
		cr_assert_eq(read_some(&w, s, r, 3), 0, "%zu: %s", i, err_text(&w.e));
	}
	fake_s3_fail(w.fake, FAKE_RANGE, "GET", 100);
	cr_assert_eq(read_some(&w, s, r, 3), -1);
	said(&w,
	     "x: after 4 tries: asked for bytes 10-2000009/5242880, the answer is bytes 11-");
	fake_s3_fail(w.fake, FAKE_CUT, "GET", 100);
	cr_assert_eq(read_some(&w, s, r, 3), -1);
	fake_s3_fail(w.fake, FAKE_NONE, "", 0);
	cr_assert_eq(put_big(&w, "x", (5 << 20) + 1, true), 0);
	cr_assert_eq(read_some(&w, s, r, 3), -1);
	cr_assert_eq(w.e.code, E_ABORTED);
	said(&w, "replaced since it was opened");
	range_source_unref(s);
	stop(&w);
}

/* ---- parts ---- */

#define PARTS KEYS "  part_size: 5242880\n"

Test(s3_parts, go_up_one_by_one_whatever_happens_to_them)
{
	static const struct {
		enum fake_fault k;
		char what[24];
	} rows[] = {
		{ FAKE_NONE, "" },
		{ FAKE_503, "PUT /b/x?partNumber=2" },
		{ FAKE_503_LANDED, "PUT /b/x?partNumber=2" },
		{ FAKE_RESET_LATE, "PUT /b/x?partNumber=1" },
		{ FAKE_503, "POST /b/x?uploadId" },
		{ FAKE_200_ERROR, "POST /b/x?uploadId" },
		{ FAKE_503_LANDED, "POST /b/x?uploadId" },
		{ FAKE_RESET_LATE, "POST /b/x?uploadId" },
	};
	struct world w;
	struct range all = { 0, 12 << 20 };
	start(&w, PARTS);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_s3_fail(w.fake, rows[i].k, rows[i].what, 1);
		cr_assert_eq(put_big(&w, "x", 12 << 20, i % 2), 0, "%zu: %s", i,
			     err_text(&w.e));
		struct range_source *s = open_big(&w, "x");
		cr_assert_eq(read_some(&w, s, &all, 1), 0, "%s", err_text(&w.e));
		range_source_unref(s);
		cr_assert_eq(fake_s3_uploads(w.fake), 0);
		cr_assert_eq(bucket_delete(w.b, &w.ctx, STR("x"), &w.e), 0);
	}
	stop(&w);
}

Test(s3_parts, are_aborted_when_one_fails_for_good)
{
	static const char *const what[] = { "PUT /b/x?partNumber=3",
					    "POST /b/x?uploadId" };
	struct world w;
	bool there;
	start(&w, PARTS);
	for (size_t i = 0; i < ARRAY_LEN(what); i++) {
		fake_s3_fail(w.fake, FAKE_DENIED, what[i], 100);
		cr_assert_eq(put_big(&w, "x", 12 << 20, true), -1);
		cr_assert_eq(w.e.code, E_DENIED, "%s", err_text(&w.e));
		cr_assert_eq(fake_s3_uploads(w.fake), 0);
		cr_assert_eq(bucket_exists(w.b, &w.ctx, STR("x"), &there, &w.e), 0);
		cr_assert_not(there);
	}
	stop(&w);
}

Test(s3_parts, memory_stays_far_below_the_object)
{
	struct world w;
	start(&w, KEYS);
	cr_assert_eq(put_big(&w, "x", 60 << 20, true), 0, "%s", err_text(&w.e));
	cr_assert_eq(fake_s3_count(w.fake, "PUT", NULL), 1); /* below part_size: one */
	cr_assert_lt(w.budget.peak, 4u << 20);
	stop(&w);
}

static int lie_read(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
		    struct err *e)
{
	((struct big *)arg)->size = 8 << 20;
	return big_read(arg, ctx, p, cap, n, e);
}

Test(s3_put, refuses_a_source_of_another_size)
{
	struct world w;
	start(&w, KEYS);
	struct big g = { 0, 100, true };
	struct put_source src = { big_read, &g, 200, big_seek };
	cr_assert_eq(bucket_put(w.b, &w.ctx, STR("x"), &src, &w.e), -1);
	said(&w, "100 bytes came where 200");
	struct put_source grows = { lie_read, &g, 200, big_seek };
	w.e = ERR_INIT;
	cr_assert_eq(bucket_put(w.b, &w.ctx, STR("x"), &grows, &w.e), -1);
	said(&w, "more bytes came than the 200");
	struct put_source once = { big_read, &g, 200, NULL };
	g = (struct big){ 0, 100, true };
	w.e = ERR_INIT;
	cr_assert_eq(bucket_put(w.b, &w.ctx, STR("x"), &once, &w.e), -1);
	said(&w, "100 bytes came where 200");
	cr_assert_eq(fake_s3_count(w.fake, "PUT", NULL), 0);
	stop(&w);
}

/* ---- credentials ---- */

Test(s3_creds, come_from_the_environment_then_from_the_file_which_is_read_again)
{
	struct world w;
	char path[] = "/tmp/thanosc-aws-XXXXXX", text[64];
	int fd = mkstemp(path);
	struct str file =
		STR("[other]\naws_access_key_id = no\naws_secret_access_key = no\n"
		    "[ p1 ]\n# comment\naws_access_key_id=AK\n"
		    "aws_secret_access_key = secret \n");
	close(fd);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	start(&w, "");
	cr_assert_eq(put(&w, "x", "1"), -1);
	cr_assert_eq(w.e.code, E_DENIED);
	said(&w, "no credentials");
	setenv("AWS_ACCESS_KEY_ID", "AK", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	cr_assert_eq(put(&w, "x", "1"), 0, "%s", err_text(&w.e));
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_PROFILE", "p1", 1);
	cr_assert_eq(fs_write_atomic(&w.ctx, path, file, &w.e), 0);
	open_with(&w, "");
	cr_assert_eq(put(&w, "x", "1"), 0, "%s", err_text(&w.e));
	/* The store changes its mind about the key: what the file says now is taken. */
	cr_assert_eq(fs_write_atomic(&w.ctx, path,
				     STR("[p1]\naws_access_key_id=AK\n"
					 "aws_secret_access_key=new\n"
					 "aws_session_token=tok\n"),
				     &w.e),
		     0);
	fake_s3_secret(w.fake, "new");
	fake_s3_fail(w.fake, FAKE_EXPIRED, "GET", 1);
	cr_assert_eq(get(&w, "x", text, sizeof(text)), 0, "%s", err_text(&w.e));
	cr_assert_eq(fake_s3_count(w.fake, "GET", "x-amz-security-token: tok"), 1);
	unlink(path);
	stop(&w);
}

Test(s3_creds, a_wrong_secret_is_denied_and_not_shown)
{
	struct world w;
	start(&w, "  access_key: AK\n  secret_key: s3cret-not-to-be-seen\n");
	cr_assert_eq(put(&w, "x", "1"), -1);
	cr_assert_eq(w.e.code, E_DENIED);
	said(&w, "SignatureDoesNotMatch");
	cr_assert_not(strstr(err_text(&w.e), "seen"));
	stop(&w);
}

Test(s3_creds, what_we_lack_is_never_an_absent_object)
{
	struct world w;
	bool there = true;
	start(&w, KEYS);
	open_with(&w,
		  KEYS "  http_config: {tls_config: {ca_file: /nonexistent/ca.pem}}\n");
	s3_self(w.b)->scheme = STR("https");
	cr_assert_eq(bucket_exists(w.b, &w.ctx, STR("x"), &there, &w.e), -1);
	cr_assert_eq(w.e.code, E_INVALID);
	said(&w, "/nonexistent/ca.pem");
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/token", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	open_with(&w, "");
	w.e = ERR_INIT;
	cr_assert_eq(bucket_exists(w.b, &w.ctx, STR("x"), &there, &w.e), -1);
	said(&w, "/nonexistent/token");
	unsetenv(
		"AWS_CONTAINER_CREDENTIALS_FULL_URI"); /* the next test may share the process */
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	stop(&w);
}

/* ---- configuration ---- */

static void refused(const char *config, const char *text)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct bucket *b = NULL;
	char yaml[512];
	ctx_init(&ctx, NULL, 0);
	snprintf(yaml, sizeof(yaml), "type: S3\nconfig: %s", config);
	cr_assert_eq(bucket_from_yaml(&ctx, str_of(yaml), "b.yml", NULL, NULL, &b, &e),
		     -1, "%s", config);
	cr_assert(strstr(err_text(&e), text), "%s", err_text(&e));
	cr_assert(strstr(err_text(&e), "b.yml"), "%s", err_text(&e));
	cr_assert_not(strstr(err_text(&e), "s3cr3t"), "%s", err_text(&e));
	ctx_deinit(&ctx);
}

Test(s3_config, says_what_is_wrong)
{
	refused("{endpoint: x}", "bucket: required");
	refused("{bucket: x}", "endpoint: required");
	refused("{bucket: x, endpoint: 'https://h/p'}", "without a scheme");
	refused("{bucket: x, endpoint: h, acess_key: s3cr3t}",
		"did you mean 'access_key'?");
	refused("{bucket: x, endpoint: h, secret_key: s3cr3t}", "go together");
	refused("{bucket: x, endpoint: h, signature_version2: true}", "not obeyed");
	refused("{bucket: x, endpoint: h, trace: {enable: true}}", "not obeyed");
	refused("{bucket: x, endpoint: h, bucket_lookup_type: dns}",
		"bucket_lookup_type");
	refused("{bucket: x, endpoint: h, part_size: 1000}", "part_size");
	refused("{bucket: x, endpoint: h, sse_config: {type: SSE-KMS}}", "kms_key_id");
	refused("{bucket: x, endpoint: h, sse_config: {type: SSE-C, encryption_key: k}, "
		"insecure: true}",
		"needs TLS");
	refused("{bucket: x, endpoint: h, http_config: {tls_config: {key_file: k}}}",
		"key without its certificate");
	refused("{bucket: x, endpoint: h, http_config: {idle_conn_timeot: 1s}}",
		"did you mean 'idle_conn_timeout'?");
}

Test(s3_config, finds_host_path_and_region)
{
	static const struct {
		char config[160], host[64], path[16], region[16];
	} rows[] = {
		{ "{bucket: abc, endpoint: s3.eu-west-1.amazonaws.com}",
		  "abc.s3.eu-west-1.amazonaws.com", "", "eu-west-1" },
		{ "{bucket: a.b.c, endpoint: s3.amazonaws.com}", "s3.amazonaws.com",
		  "/a.b.c", "us-east-1" },
		{ "{bucket: abc, endpoint: 'minio:9000', insecure: true}", "minio:9000",
		  "/abc", "us-east-1" },
		{ "{bucket: abc, endpoint: 'minio:443', region: mars}", "minio", "/abc",
		  "mars" },
		{ "{bucket: abc, endpoint: h, bucket_lookup_type: virtual-hosted}",
		  "abc.h", "", "us-east-1" },
		{ "{bucket: abc, endpoint: s3.amazonaws.com, bucket_lookup_type: path}",
		  "s3.amazonaws.com", "/abc", "us-east-1" },
	};
	struct world w;
	start(&w, KEYS);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bucket *b;
		char yaml[2048];
		snprintf(yaml, sizeof(yaml), "type: s3\nconfig: %s", rows[i].config);
		cr_assert_eq(bucket_from_yaml(&w.ctx, str_of(yaml), "y", w.loop, NULL, &b,
					      &w.e),
			     0, "%s", err_text(&w.e));
		struct s3_bucket *s = s3_self(b);
		cr_assert(str_eqz(s->host, rows[i].host), "%.*s", STR_FMT(s->host));
		cr_assert(str_eqz(s->path_prefix, rows[i].path), "%.*s",
			  STR_FMT(s->path_prefix));
		cr_assert_str_eq(s->region, rows[i].region);
		bucket_close(b);
	}
	stop(&w);
}
