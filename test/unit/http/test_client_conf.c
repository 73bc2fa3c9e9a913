/*
 * What a client is configured to do: bodies from a source, authentication, redirects, timeouts; and http_config.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "fs/fs.h"
#include "http/client_conf.h"
#include "peer.h"
#include "support/tst.h"

/* An origin of the tests: says what it was asked, redirects, gives tokens. */
struct site {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *reg;
	struct http_server *s;
	_Atomic int tokens;
	const char *go; /* Location of /go */
	int status;
	struct arena a;
	struct ctx ctx;
	struct err e;
	struct buf body;
	struct http_answer ans;
	struct http_client *c;
};

static int on_any(void *arg, struct ctx *ctx, const struct http_req *r,
		  struct http_resp *w, struct err *e)
{
	struct site *t = arg;
	struct buf b;
	if (str_eq(r->path, STR("/go"))) {
		http_add_header(w, "Location", str_of(t->go));
		return http_reply(w, ctx, t->status, "text/plain", STR("gone"), e);
	}
	if (str_eq(r->path, STR("/token"))) {
		buf_init(&b, 4096);
		int n = atomic_fetch_add(&t->tokens, 1) + 1;
		buf_fmt(&b, "{\"access_token\":\"tok%d\",\"expires_in\":%d}", n,
			n == 1 ? 5 : 3600);
		if (!str_eq(http_header(r, "authorization"),
			    STR("Basic aWQ6czNj")) || /* id:s3c */
		    !str_eq(http_param(r, "grant_type"), STR("client_credentials")) ||
		    !str_eq(http_param(r, "scope"), STR("a b")))
			http_status(w, 403);
		int rc = http_reply(w, ctx, http_status_of(w) == 403 ? 403 : 200,
				    "application/json", buf_view(&b), e);
		buf_deinit(&b);
		return rc;
	}
	uint64_t sum = 0;
	for (size_t i = 0; i < r->body.n; i++)
		sum = sum * 31 + (uint8_t)r->body.p[i];
	buf_init(&b, 4096);
	buf_fmt(&b, "%.*s %.*s auth=%.*s x=%.*s n=%zu sum=%llx", STR_FMT(r->method),
		STR_FMT(r->path), STR_FMT(http_header(r, "authorization")),
		STR_FMT(http_header(r, "x-amz-security-token")), r->body.n,
		(unsigned long long)sum);
	int rc = http_reply(w, ctx, 200, "text/plain", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static void site_start(struct site *t)
{
	memset(t, 0, sizeof(*t));
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(loops_start(1, &t->loops, &t->e), 0);
	t->pool = task_pool_new(&(struct task_pool_opts){ 0 });
	t->reg = metric_registry_new();
	struct http_route routes[] = { { "GET|POST|PUT", "/*", HTTP_ON_REQUEST, on_any, t,
					 NULL } };
	struct http_server_opts o = { .addr = STR("127.0.0.1:0"),
				      .max_body = (size_t)8 << 20 };
	cr_assert_eq(http_server_start(&t->loops, t->pool, t->reg, &o, routes, 1, &t->s,
				       &t->e),
		     0, "%s", err_text(&t->e));
	arena_init(&t->a, NULL);
	ctx_init(&t->ctx, NULL, time_after_ns(20 * NS_PER_S));
	buf_init(&t->body, 1 << 20);
}

static void site_stop(struct site *t)
{
	http_client_free(t->c);
	http_server_stop(t->s, 0);
	task_pool_free(t->pool);
	loops_stop(&t->loops);
	metric_registry_free(t->reg);
	buf_deinit(&t->body);
	arena_deinit(&t->a);
	ctx_deinit(&t->ctx);
}

static void client(struct site *t, const char *yaml, uint64_t header_ms)
{
	struct http_client_conf conf;
	struct arena a;
	arena_init(&a, NULL);
	cr_assert_eq(http_client_conf_yaml(&t->ctx, &a, str_of(yaml), "http.yml", &conf,
					   &t->e),
		     0, "%s", err_text(&t->e));
	struct http_client_opts o = { .loop = t->loops.l[0] };
	http_client_conf_apply(&conf, &o);
	if (header_ms)
		o.header_timeout_ns = o.stall_timeout_ns = header_ms * NS_PER_MS;
	http_client_free(t->c);
	cr_assert_eq(http_client_new(&o, &t->c, &t->e), 0, "%s", err_text(&t->e));
	arena_deinit(&a); /* the client keeps what it needs */
}

static int ask(struct site *t, const char *method, const char *path,
	       const struct http_source *src)
{
	struct http_kv h = { STR("X-Amz-Security-Token"), STR("sesame") };
	struct http_fetch_req r = { .method = method,
				    .url = str_fmt(&t->a, "http://127.0.0.1:%u%s",
						   http_server_port(t->s), path),
				    .headers = &h,
				    .n_headers = 1,
				    .source = src };
	buf_reset(&t->body);
	t->e = ERR_INIT;
	int rc = http_fetch(t->c, &t->ctx, &t->a, &r, &t->ans, &t->body, &t->e);
	buf_byte(&t->body, 0);
	return rc;
}

static void says(struct site *t, const char *what)
{
	cr_assert(strstr((const char *)t->body.p, what), "%s in %s", what, t->body.p);
}

struct gen {
	uint64_t at, end, step;
	int rewinds;
};

static int gen_read(void *arg, struct ctx *ctx, void *buf, size_t cap, size_t *n,
		    struct err *e)
{
	struct gen *g = arg;
	*n = MIN(MIN(cap, g->step), g->end - g->at);
	for (size_t i = 0; i < *n; i++)
		((uint8_t *)buf)[i] = (uint8_t)((g->at + i) * 7);
	g->at += *n;
	return 0;
}

static int gen_rewind(void *arg, struct ctx *ctx, struct err *e)
{
	struct gen *g = arg;
	g->at = 0;
	g->rewinds++;
	return 0;
}

static const char *want_sum(struct site *t, uint64_t n)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++)
		sum = sum * 31 + (uint8_t)(i * 7);
	return str_dupz(&t->a, str_fmt(&t->a, "n=%llu sum=%llx", (unsigned long long)n,
				       (unsigned long long)sum));
}

Test(client_source, a_body_comes_from_its_source_in_pieces)
{
	struct site t;
	static const uint64_t sizes[] = { 0, 1, 70000, 5 << 20 };
	site_start(&t);
	client(&t, "", 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct gen g = { 0, sizes[i], i % 2 ? 60000 : 1 << 20, 0 };
		struct http_source s = { gen_read, gen_rewind, &g, sizes[i] };
		cr_assert_eq(ask(&t, "PUT", "/up", &s), 0, "%s", err_text(&t.e));
		cr_assert_eq(t.ans.status, 200);
		says(&t, "PUT /up ");
		says(&t, want_sum(&t, sizes[i]));
	}
	site_stop(&t);
}

Test(client_source, one_that_gives_another_size_is_an_error)
{
	struct site t;
	site_start(&t);
	client(&t, "", 0);
	struct gen g = { 0, 1000, 1000, 0 };
	struct http_source s = { gen_read, NULL, &g, 2000 };
	cr_assert_eq(ask(&t, "PUT", "/up", &s), -1);
	cr_assert(strstr(err_text(&t.e), "gave 1000 bytes, 2000 were announced"), "%s",
		  err_text(&t.e));
	g.at = 0;
	s.size = 10;
	cr_assert_eq(ask(&t, "PUT", "/up", &s), -1);
	cr_assert(strstr(err_text(&t.e), "10 were announced"), "%s", err_text(&t.e));
	site_stop(&t);
}

Test(client_source, an_early_refusal_is_the_answer_and_ends_the_reading)
{
	struct site t;
	struct scripted *peer = scripted_start(&(struct script){
		.answer = "HTTP/1.1 403 no\r\nContent-Length: 4\r\n\r\nnope",
		.early = true });
	site_start(&t);
	client(&t, "", 0);
	struct gen g = { 0, 1 << 30, 1 << 20, 0 };
	struct http_source s = { gen_read, NULL, &g, 1 << 30 };
	struct http_fetch_req r = { .method = "PUT",
				    .url = str_fmt(&t.a, "http://127.0.0.1:%u/x",
						   scripted_port(peer)),
				    .source = &s };
	cr_assert_eq(http_fetch(t.c, &t.ctx, &t.a, &r, &t.ans, &t.body, &t.e), 0, "%s",
		     err_text(&t.e));
	cr_assert_eq(t.ans.status, 403);
	cr_assert_lt(g.at, 512u << 20);
	site_stop(&t);
	scripted_stop(peer);
}

Test(client_auth, basic_and_bearer_files_are_read_again_when_they_change)
{
	struct site t;
	char path[] = "/tmp/thanosc-secret-XXXXXX", yaml[256];
	int fd = mkstemp(path);
	site_start(&t);
	cr_assert_eq(write(fd, "p1\n", 3), 3);
	snprintf(yaml, sizeof(yaml), "basic_auth: {username: me, password_file: %s}",
		 path);
	client(&t, yaml, 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), 0, "%s", err_text(&t.e));
	says(&t, "auth=Basic bWU6cDE= "); /* me:p1 */
	cr_assert_eq(fs_write_atomic(&t.ctx, path, STR("second"), &t.e), 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), 0);
	says(&t, "auth=Basic bWU6c2Vjb25k "); /* me:second */
	snprintf(yaml, sizeof(yaml), "bearer_token_file: %s", path);
	client(&t, yaml, 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), 0);
	says(&t, "auth=Bearer second ");
	client(&t, "authorization: {type: Token, credentials: abc}", 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), 0);
	says(&t, "auth=Token abc ");
	unlink(path);
	client(&t, yaml, 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), -1);
	cr_assert(strstr(err_text(&t.e), path), "%s", err_text(&t.e));
	close(fd);
	site_stop(&t);
}

Test(client_auth, an_access_token_is_kept_until_it_expires)
{
	struct site t;
	char yaml[512];
	site_start(&t);
	snprintf(yaml, sizeof(yaml),
		 "oauth2:\n  client_id: id\n  client_secret: s3c\n  scopes: [a, b]\n"
		 "  token_url: http://127.0.0.1:%u/token\n",
		 http_server_port(t.s));
	client(&t, yaml, 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), 0, "%s", err_text(&t.e));
	says(&t, "auth=Bearer tok1 ");
	/* tok1 lives for 5 s, less than what is used up early */
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(ask(&t, "GET", "/a", NULL), 0, "%s", err_text(&t.e));
		says(&t, "auth=Bearer tok2 ");
	}
	cr_assert_eq(atomic_load(&t.tokens), 2);
	snprintf(yaml, sizeof(yaml),
		 "oauth2: {client_id: id, client_secret: wrong, token_url: "
		 "'http://127.0.0.1:%u/token'}",
		 http_server_port(t.s));
	client(&t, yaml, 0);
	cr_assert_eq(ask(&t, "GET", "/a", NULL), -1);
	cr_assert(strstr(err_text(&t.e), "oauth2: token: status 403"), "%s",
		  err_text(&t.e));
	cr_assert_not(strstr(err_text(&t.e), "wrong"));
	site_stop(&t);
}

Test(client_redirect, keeps_secrets_at_home)
{
	struct site t, other;
	char url[64];
	site_start(&t);
	site_start(&other);
	client(&t, "bearer_token: s3cret", 0);
	t.go = "/a?x=1";
	t.status = 302;
	cr_assert_eq(ask(&t, "POST", "/go", NULL), 0, "%s", err_text(&t.e));
	says(&t, "GET /a auth=Bearer s3cret x=sesame ");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/b", http_server_port(other.s));
	t.go = url;
	cr_assert_eq(ask(&t, "GET", "/go", NULL), 0);
	says(&t, "GET /b auth= x= ");
	/* there and back again: what was dropped stays dropped */
	char back[64];
	snprintf(back, sizeof(back), "http://127.0.0.1:%u/c", http_server_port(t.s));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/go", http_server_port(other.s));
	other.go = back;
	other.status = 307;
	cr_assert_eq(ask(&t, "GET", "/go", NULL), 0);
	says(&t, "GET /c auth= x= ");
	t.go = "/d";
	t.status = 308;
	struct gen g = { 0, 300000, 1 << 20, 0 };
	struct http_source s = { gen_read, gen_rewind, &g, 300000 };
	cr_assert_eq(ask(&t, "PUT", "/go", &s), 0, "%s", err_text(&t.e));
	says(&t, "PUT /d auth=Bearer s3cret ");
	says(&t, want_sum(&t, 300000));
	cr_assert_eq(g.rewinds, 1);
	t.go = "/go";
	cr_assert_eq(ask(&t, "GET", "/go", NULL), -1);
	cr_assert(strstr(err_text(&t.e), "more than 10 redirects"), "%s", err_text(&t.e));
	client(&t, "follow_redirects: false", 0);
	cr_assert_eq(ask(&t, "GET", "/go", NULL), 0);
	cr_assert_eq(t.ans.status, 308);
	site_stop(&t);
	site_stop(&other);
}

Test(client_timeout, an_answer_and_its_body_must_come_in_time)
{
	struct site t;
	static const char *const answers[] = {
		"", "HTTP/1.1 200 k\r\nContent-Length: 9\r\n\r\nhalf"
	};
	static const char *const texts[] = { "no answer in time",
					     "no byte for too long" };
	site_start(&t);
	client(&t, "", 60);
	for (size_t i = 0; i < 2; i++) {
		struct scripted *peer = scripted_start(
			&(struct script){ .answer = answers[i], .silent = i == 0 });
		struct http_fetch_req r = { .method = "GET",
					    .url = str_fmt(&t.a, "http://127.0.0.1:%u/x",
							   scripted_port(peer)) };
		t.e = ERR_INIT;
		cr_assert_eq(http_fetch(t.c, &t.ctx, &t.a, &r, &t.ans, &t.body, &t.e),
			     -1);
		cr_assert_eq(t.e.code, E_TIMEOUT, "%s", err_text(&t.e));
		cr_assert(strstr(err_text(&t.e), texts[i]), "%s", err_text(&t.e));
		scripted_stop(peer);
	}
	site_stop(&t);
}

Test(client_conf, says_what_is_wrong_without_secrets)
{
	static const struct {
		char yaml[160], text[96];
	} rows[] = {
		{ "basic_aut: {}", "did you mean 'basic_auth'?" },
		{ "tls_config: {ca_fil: x}", "did you mean 'ca_file'?" },
		{ "basic_auth: {username: s3c}\nbearer_token: s3c", "at most one of" },
		{ "bearer_token: s3c\nbearer_token_file: x", "a token and a file" },
		{ "tls_config: {cert_file: x}", "certificate without its key" },
		{ "tls_config: {min_version: TLS14}", "min_version" },
		{ "proxy_url: 's3c s3c'", "proxy_url is not a URL" },
		{ "oauth2: {client_id: x}", "token_url: required" },
		{ "http_headers: {X: {values: [y]}}", "not obeyed by thanosc yet" },
		{ "transport_config: {idle_conn_timeout: x}", "invalid duration" },
	};
	struct arena a;
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_client_conf c;
		struct err e = ERR_INIT;
		cr_assert_eq(http_client_conf_yaml(NULL, &a, str_of(rows[i].yaml),
						   "f.yml", &c, &e),
			     -1, "%s", rows[i].yaml);
		cr_assert(strstr(err_text(&e), rows[i].text), "%s", err_text(&e));
		cr_assert(strstr(err_text(&e), "f.yml"), "%s", err_text(&e));
		cr_assert_not(strstr(err_text(&e), "s3c"), "%s", err_text(&e));
	}
	arena_deinit(&a);
}
