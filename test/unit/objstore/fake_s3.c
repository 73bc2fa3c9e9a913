/*
 * fake_s3.c - a thread a connection, objects in a sorted array under one mutex.
 */
#include "fake_s3.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "objstore/s3_sign.h"
#include "wire/codec.h"

#define OBJECTS 64
#define LOG	256

struct obj {
	char key[256], etag[48];
	char *p;
	size_t n;
};
struct fake_s3 {
	int fd;
	uint16_t port;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic int live;
	char access[64], secret[64];
	pthread_mutex_t mu; /* all below */
	struct obj o[OBJECTS], part[OBJECTS];
	int n_o, n_part, uploads, next_id;
	enum fake_fault fault;
	char what[64];
	int times;
	char *log[LOG];
	int n_log;
	int gather, waiting;
	bool gathered;
	pthread_cond_t cv;
};

struct req { /* one request; views into head and body */
	char method[16];
	struct str path, query; /* unescaped; as it came */
	char *head;
	struct str body;
	struct arena a;
};

static struct str header(const struct req *r, const char *name)
{
	char want[64];
	snprintf(want, sizeof(want), "\r\n%s:", name);
	const char *p = strcasestr(r->head, want);
	if (!p)
		return STR_NULL;
	p += strlen(want);
	const char *end = strstr(p, "\r\n");
	return str_trim(str_n(p, (size_t)(end - p)));
}

static struct str param(struct req *r, const char *name, bool *has)
{
	struct str rest = r->query, k, v;
	bool bad = false;
	*has = false;
	while (url_query_next(&r->a, &rest, &k, &v, &bad))
		if (str_eqz(k, name)) {
			*has = true;
			return v;
		}
	return STR("");
}

static void hex_of(struct str s, bool md5, char *out)
{
	uint8_t d[32];
	if (md5) {
		struct md5 *h = md5_new();
		md5_feed(h, s);
		md5_done(h, d);
	} else {
		struct sha256 *h = sha256_new();
		sha256_feed(h, s);
		sha256_done(h, d);
	}
	hex_encode(d, md5 ? 16 : 32, out);
}

/* ---- who asks ---- */

static bool signed_right(struct fake_s3 *f, struct req *r)
{
	struct str auth = header(r, "authorization"), date = header(r, "x-amz-date");
	char access[64], region[64], names[512];
	struct s3_kv h[32], q[16];
	size_t n = 0, nq = 0;
	char z[2048];
	snprintf(z, sizeof(z), "%.*s", STR_FMT(auth));
	if (sscanf(z,
		   "AWS4-HMAC-SHA256 Credential=%63[^/]/%*[^/]/%63[^/]/s3/aws4_request,"
		   "SignedHeaders=%511[^,],",
		   access, region, names) != 3 ||
	    strcmp(access, f->access) != 0)
		return false;
	struct str rest = str_of(names), name, k, v, query = r->query;
	bool more = true, bad = false;
	while (more && n < 32) {
		more = str_cut(&rest, ';', &name);
		struct str copy = str_dup(&r->a, name);
		h[n++] = (struct s3_kv){ copy, header(r, copy.p) };
	}
	while (nq < 16 && url_query_next(&r->a, &query, &k, &v, &bad))
		q[nq++] = (struct s3_kv){ k, v };
	int64_t sec;
	uint32_t ns;
	char iso[40];
	snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", date.p, date.p + 4,
		 date.p + 6, date.p + 9, date.p + 11, date.p + 13);
	if (date.n != 16 || !time_parse_rfc3339(str_of(iso), &sec, &ns))
		return false;
	struct s3_keys keys = { str_of(access), str_of(f->secret), STR_NULL };
	struct s3_sign_req s = { r->method,
				 r->path,
				 q,
				 nq,
				 h,
				 n,
				 header(r, "x-amz-content-sha256"),
				 str_of(region),
				 STR("s3"),
				 sec };
	return str_eq(s3_authorization(&r->a, &s, &keys), auth);
}

static const char *refusal(struct fake_s3 *f, struct req *r)
{
	char hex[65];
	hex_of(r->body, false, hex);
	if (!signed_right(f, r))
		return "403 SignatureDoesNotMatch";
	if (!str_eqz(header(r, "x-amz-content-sha256"), hex))
		return "400 XAmzContentSHA256Mismatch";
	struct str md5 = header(r, "content-md5");
	if (md5.n) {
		struct buf b;
		char got[33] = "", want[33];
		struct err e = ERR_INIT;
		buf_init(&b, 64);
		if (base64_decode(md5, false, &b, &e) == 0 && b.n == 16)
			hex_encode(b.p, 16, got);
		buf_deinit(&b);
		hex_of(r->body, true, want);
		if (strcmp(got, want) != 0)
			return "400 BadDigest";
	}
	return NULL;
}

/* ---- objects, under mu ---- */

static struct obj *find(struct obj *v, int n, struct str key)
{
	for (int i = 0; i < n; i++)
		if (str_eqz(key, v[i].key))
			return &v[i];
	return NULL;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct obj *)a)->key, ((const struct obj *)b)->key);
}

static struct obj *put(struct obj *v, int *n, struct str key, struct str data)
{
	struct obj *o = find(v, *n, key);
	if (!o) {
		if (*n == OBJECTS)
			abort();
		o = &v[(*n)++];
		memset(o, 0, sizeof(*o));
		snprintf(o->key, sizeof(o->key), "%.*s", STR_FMT(key));
	}
	free(o->p);
	o->p = malloc(data.n + 1);
	if (data.n)
		memcpy(o->p, data.p, data.n);
	o->n = data.n;
	hex_of(data, true, o->etag);
	char at[256];
	snprintf(at, sizeof(at), "%s", o->key);
	qsort(v, (size_t)*n, sizeof(*v), by_key);
	return find(v, *n, str_of(at));
}

static void drop(struct obj *v, int *n, struct obj *o)
{
	free(o->p);
	*o = v[--*n];
	qsort(v, (size_t)*n, sizeof(*v), by_key);
}

static void list(struct fake_s3 *f, struct req *r, struct buf *out)
{
	bool has, more = false;
	struct str prefix = param(r, "prefix", &has), delim = param(r, "delimiter", &has);
	struct str token = param(r, "continuation-token", &has);
	if (!has)
		token = param(r, "marker", &has);
	char last[256] = "";
	int shown = 0;
	buf_str(out, STR("<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://x/\">"
			 "<EncodingType>url</EncodingType>"));
	for (int i = 0; i < f->n_o; i++) {
		struct str key = str_of(f->o[i].key), name = key;
		if (!str_has_prefix(key, prefix))
			continue;
		ptrdiff_t cut =
			delim.n ? str_find_char(str_from(key, prefix.n), '/') : -1;
		if (cut >= 0)
			name.n = prefix.n + (size_t)cut + 1;
		if (str_cmp(name, token) <= 0 || str_eqz(name, last))
			continue;
		if (shown == 2) {
			more = true;
			break;
		}
		shown++;
		snprintf(last, sizeof(last), "%.*s", STR_FMT(name));
		buf_str(out, cut >= 0 ? STR("<CommonPrefixes><Prefix>")
				      : STR("<Contents><Key>"));
		url_escape_query(name, out);
		if (cut >= 0)
			buf_str(out, STR("</Prefix></CommonPrefixes>"));
		else
			buf_fmt(out,
				"</Key><Size>%zu</Size><LastModified>"
				"2026-01-02T03:04:05.006Z</LastModified></Contents>",
				f->o[i].n);
	}
	buf_fmt(out, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
	bool v2;
	param(r, "list-type", &v2);
	if (more) {
		const char *tag = v2 ? "NextContinuationToken" : "NextMarker";
		buf_fmt(out, "<%s>", tag);
		if (v2)
			buf_str(out, str_of(last));
		else
			url_escape_query(str_of(last), out);
		buf_fmt(out, "</%s>", tag);
	}
	buf_str(out, STR("</ListBucketResult>"));
}

struct answer {
	const char *status; /* "200 OK" */
	char extra[512];
	struct buf body;
	bool head;
	size_t length; /* of HEAD */
};

static void error(struct answer *w, const char *status_code)
{
	static _Thread_local char status[64];
	snprintf(status, sizeof(status), "%.3s x", status_code);
	w->status = status;
	buf_reset(&w->body);
	w->extra[0] = '\0';
	buf_fmt(&w->body, "<Error><Code>%s</Code><Message>told so</Message></Error>",
		status_code + 4);
}

static void read_object(struct req *r, const struct obj *o, bool other, struct answer *w)
{
	struct str range = header(r, "range"), match = header(r, "if-match");
	unsigned long long from, to;
	char text[80];
	snprintf(text, sizeof(text), "\"%s\"", o->etag);
	if (match.n && !str_eqz(match, text)) {
		error(w, "412 PreconditionFailed");
		return;
	}
	snprintf(w->extra, sizeof(w->extra),
		 "ETag: \"%s\"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
		 o->etag);
	snprintf(text, sizeof(text), "%.*s", STR_FMT(range));
	if (sscanf(text, "bytes=%llu-%llu", &from, &to) == 2) {
		from += other;
		to += other;
		w->status = "206 Partial";
		size_t at = strlen(w->extra);
		snprintf(w->extra + at, sizeof(w->extra) - at,
			 "Content-Range: bytes %llu-%llu/%zu\r\n", from, to, o->n);
		buf_add(&w->body, o->p + from, (size_t)(to - from + 1));
	} else if (w->head) {
		w->length = o->n;
	} else {
		buf_add(&w->body, o->p, o->n);
	}
}

static void complete(struct fake_s3 *f, struct str key, struct str id, struct answer *w)
{
	struct buf all, sums;
	char hex[33];
	int n = 0;
	buf_init(&all, (size_t)1 << 30);
	buf_init(&sums, 1 << 20);
	for (int i = 1;; i++, n++) {
		char name[300];
		snprintf(name, sizeof(name), "%.*s#%05d", STR_FMT(id), i);
		struct obj *p = find(f->part, f->n_part, str_of(name));
		if (!p)
			break;
		uint8_t d[16];
		struct md5 *h = md5_new();
		md5_feed(h, str_n(p->p, p->n));
		md5_done(h, d);
		buf_add(&sums, d, 16);
		buf_add(&all, p->p, p->n);
		drop(f->part, &f->n_part, p);
	}
	if (n == 0) {
		error(w, "404 NoSuchUpload");
	} else {
		f->uploads--;
		struct obj *o = put(f->o, &f->n_o, key, buf_view(&all));
		hex_of(buf_view(&sums), true, hex);
		snprintf(o->etag, sizeof(o->etag), "%s-%d", hex, n);
		buf_fmt(&w->body,
			"<CompleteMultipartUploadResult><ETag>&quot;%s&quot;</ETag>"
			"</CompleteMultipartUploadResult>",
			o->etag);
	}
	buf_deinit(&all);
	buf_deinit(&sums);
}

static void abort_upload(struct fake_s3 *f, struct str id)
{
	for (int i = 0; i < f->n_part; i++)
		if (str_has_prefix(str_of(f->part[i].key), id))
			drop(f->part, &f->n_part, &f->part[i--]);
	f->uploads--;
}

static void act(struct fake_s3 *f, struct req *r, enum fake_fault k, struct answer *w)
{
	bool has_id, has_part, begins;
	struct str id = param(r, "uploadId", &has_id),
		   part = param(r, "partNumber", &has_part);
	param(r, "uploads", &begins);
	struct str key = str_from(r->path, MIN(r->path.n, (size_t)3)); /* "/b/" */
	struct obj *o = find(f->o, f->n_o, key);
	uint64_t no = 0;
	w->head = strcmp(r->method, "HEAD") == 0;
	if (!str_has_prefix(r->path, STR("/b/"))) {
		error(w, "404 NoSuchBucket");
	} else if (key.n == 0) {
		list(f, r, &w->body);
	} else if (begins) {
		f->uploads++;
		buf_fmt(&w->body,
			"<InitiateMultipartUploadResult><UploadId>up/%d+=</UploadId>"
			"</InitiateMultipartUploadResult>",
			++f->next_id);
	} else if (has_part && str_to_u64(part, &no)) {
		struct str name = str_fmt(&r->a, "%.*s#%05d", STR_FMT(id), (int)no);
		struct obj *p = put(f->part, &f->n_part, name, r->body);
		snprintf(w->extra, sizeof(w->extra), "ETag: \"%s\"\r\n", p->etag);
	} else if (has_id && strcmp(r->method, "DELETE") == 0) {
		abort_upload(f, id);
		w->status = "204 x";
	} else if (has_id) {
		complete(f, key, id, w);
	} else if (strcmp(r->method, "PUT") == 0) {
		o = put(f->o, &f->n_o, key, r->body);
		snprintf(w->extra, sizeof(w->extra), "ETag: \"%s\"\r\n",
			 k == FAKE_ETAG ? "00000000000000000000000000000000" : o->etag);
	} else if (strcmp(r->method, "DELETE") == 0) {
		if (o)
			drop(f->o, &f->n_o, o);
		w->status = "204 x";
	} else if (!o) {
		error(w, "404 NoSuchKey");
	} else {
		read_object(r, o, k == FAKE_RANGE, w);
	}
}

/* ---- connections ---- */

static bool read_request(int fd, struct req *r, struct buf *in)
{
	char *end;
	size_t want = 0;
	buf_reset(in);
	for (;;) {
		buf_room(in, 65537)[0] = '\0';
		end = in->n ? strstr((char *)in->p, "\r\n\r\n") : NULL;
		if (end && want == 0) {
			const char *len =
				strcasestr((char *)in->p, "\r\ncontent-length:");
			want = (size_t)(end - (char *)in->p) + 4 +
			       (len && len < end ? strtoul(len + 17, NULL, 10) : 0);
		}
		if (want && in->n >= want)
			break;
		ssize_t k = recv(fd, buf_room(in, 65536), 65536, 0);
		if (k <= 0)
			return false;
		buf_commit(in, (size_t)k);
	}
	size_t head = (size_t)(end - (char *)in->p) + 4;
	r->head = malloc(head + 1);
	memcpy(r->head, in->p, head);
	r->head[head] = '\0';
	r->body = str_n(in->p + head, want - head);
	struct str line = str_of(r->head), method, target;
	str_cut(&line, ' ', &method);
	str_cut(&line, ' ', &target);
	snprintf(r->method, sizeof(r->method), "%.*s", STR_FMT(method));
	struct str path;
	r->query = str_cut(&target, '?', &path) ? target : STR("");
	return url_unescape(&r->a, path, false, &r->path);
}

static void say(int fd, const struct answer *w, bool cut)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 30);
	buf_fmt(&b, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", w->status, w->extra,
		w->head && w->length ? w->length : w->body.n);
	if (!w->head)
		buf_add(&b, w->body.p, cut ? w->body.n / 2 : w->body.n);
	for (size_t at = 0; at < b.n;) {
		ssize_t k = send(fd, b.p + at, b.n - at, MSG_NOSIGNAL);
		if (k <= 0)
			break;
		at += (size_t)k;
	}
	buf_deinit(&b);
}

/* Under mu: does this request suffer? */
static enum fake_fault fault_of(struct fake_s3 *f, const struct req *r)
{
	if (f->n_log < LOG)
		f->log[f->n_log++] = strdup(r->head);
	if (f->times == 0 || strncmp(r->head, f->what, strlen(f->what)) != 0)
		return FAKE_NONE;
	f->times--;
	return f->fault;
}

/* Under mu. */
static void gather(struct fake_s3 *f)
{
	struct timespec until;
	int rc = 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	if (++f->waiting == f->gather) {
		f->gathered = true;
		f->gather = 0;
		pthread_cond_broadcast(&f->cv);
	}
	while (f->gather && rc == 0)
		rc = pthread_cond_timedwait(&f->cv, &f->mu, &until);
	f->waiting--;
}

static bool serve_one(struct fake_s3 *f, int fd, struct req *r)
{
	static const struct linger now = { 1, 0 };
	struct answer w = { .status = "200 OK" };
	bool go_on = true;
	buf_init(&w.body, (size_t)1 << 30);
	pthread_mutex_lock(&f->mu);
	if (f->gather && strcmp(r->method, "GET") == 0)
		gather(f);
	enum fake_fault k = fault_of(f, r);
	const char *no = refusal(f, r);
	bool acts = !no && k != FAKE_503 && k != FAKE_429 && k != FAKE_RESET &&
		    k != FAKE_200_ERROR && k != FAKE_SKEW && k != FAKE_EXPIRED &&
		    k != FAKE_DENIED;
	if (acts)
		act(f, r, k, &w);
	pthread_mutex_unlock(&f->mu);
	if (k == FAKE_503 || k == FAKE_503_LANDED)
		no = "503 SlowDown";
	if (k == FAKE_429)
		no = "429 TooManyRequests";
	if (k == FAKE_SKEW)
		no = "403 RequestTimeTooSkewed";
	if (k == FAKE_EXPIRED)
		no = "400 ExpiredToken";
	if (k == FAKE_DENIED)
		no = "403 AccessDenied";
	if (k == FAKE_200_ERROR)
		no = "200 InternalError";
	if (no)
		error(&w, no);
	if (k == FAKE_SKEW)
		snprintf(w.extra, sizeof(w.extra),
			 "Date: Fri, 02 Jan 2099 03:04:05 GMT\r\n");
	if (k == FAKE_RESET || k == FAKE_RESET_LATE) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		go_on = false;
	} else {
		say(fd, &w, k == FAKE_CUT);
		go_on = k != FAKE_CUT;
	}
	buf_deinit(&w.body);
	return go_on;
}

struct served {
	struct fake_s3 *f;
	int fd;
};

static void *serve(void *arg)
{
	struct served v = *(struct served *)arg;
	struct buf in;
	bool go_on = true;
	free(arg);
	buf_init(&in, (size_t)1 << 30);
	while (go_on) {
		struct req r = { 0 };
		arena_init(&r.a, NULL);
		go_on = read_request(v.fd, &r, &in) && serve_one(v.f, v.fd, &r);
		free(r.head);
		arena_deinit(&r.a);
	}
	buf_deinit(&in);
	close(v.fd);
	atomic_fetch_sub(&v.f->live, 1);
	return NULL;
}

static void *accept_loop(void *arg)
{
	struct fake_s3 *f = arg;
	for (;;) {
		int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t t;
		if (fd < 0 || atomic_load(&f->stop)) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		struct served *v = malloc(sizeof(*v));
		*v = (struct served){ f, fd };
		atomic_fetch_add(&f->live, 1);
		if (pthread_create(&t, NULL, serve, v) != 0)
			abort();
		pthread_detach(t);
	}
}

struct fake_s3 *fake_s3_start(const char *access, const char *secret)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	struct fake_s3 *f = calloc(1, sizeof(*f));
	snprintf(f->access, sizeof(f->access), "%s", access);
	snprintf(f->secret, sizeof(f->secret), "%s", secret);
	pthread_mutex_init(&f->mu, NULL);
	pthread_cond_init(&f->cv, NULL);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(f->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(f->fd, 64) < 0 ||
	    getsockname(f->fd, (struct sockaddr *)&sa, &len) < 0 ||
	    pthread_create(&f->thread, NULL, accept_loop, f) != 0)
		abort();
	f->port = ntohs(sa.sin_port);
	return f;
}

uint16_t fake_s3_port(const struct fake_s3 *f)
{
	return f->port;
}

void fake_s3_fail(struct fake_s3 *f, enum fake_fault k, const char *what, int times)
{
	pthread_mutex_lock(&f->mu);
	f->fault = k;
	f->times = times;
	snprintf(f->what, sizeof(f->what), "%s", what);
	pthread_mutex_unlock(&f->mu);
}

int fake_s3_count(struct fake_s3 *f, const char *what, const char *has)
{
	int n = 0;
	pthread_mutex_lock(&f->mu);
	for (int i = 0; i < f->n_log; i++)
		n += strncmp(f->log[i], what, strlen(what)) == 0 &&
		     (!has || strcasestr(f->log[i], has));
	pthread_mutex_unlock(&f->mu);
	return n;
}

int fake_s3_uploads(struct fake_s3 *f)
{
	pthread_mutex_lock(&f->mu);
	int n = f->uploads;
	pthread_mutex_unlock(&f->mu);
	return n;
}

void fake_s3_gather(struct fake_s3 *f, int n)
{
	pthread_mutex_lock(&f->mu);
	f->gather = n;
	pthread_mutex_unlock(&f->mu);
}

bool fake_s3_gathered(struct fake_s3 *f)
{
	pthread_mutex_lock(&f->mu);
	bool all = f->gathered;
	pthread_mutex_unlock(&f->mu);
	return all;
}

void fake_s3_secret(struct fake_s3 *f, const char *secret)
{
	pthread_mutex_lock(&f->mu);
	snprintf(f->secret, sizeof(f->secret), "%s", secret);
	pthread_mutex_unlock(&f->mu);
}

/* The client has closed its connections: their threads end by themselves. */
void fake_s3_stop(struct fake_s3 *f)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(f->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	atomic_store(&f->stop, true);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		abort();
	pthread_join(f->thread, NULL);
	close(fd);
	close(f->fd);
	while (atomic_load(&f->live))
		usleep(1000);
	for (int i = 0; i < f->n_o; i++)
		free(f->o[i].p);
	for (int i = 0; i < f->n_part; i++)
		free(f->part[i].p);
	for (int i = 0; i < f->n_log; i++)
		free(f->log[i]);
	free(f);
}
