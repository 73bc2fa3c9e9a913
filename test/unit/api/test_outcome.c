/*
 * Which status an answer has: requests sent to the routes of an api without stores, in a process with little memory.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "base/budget.h"
#include "base/time.h"
#include "support/tst.h"

struct world {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *reg;
	struct budget process;
	struct api *api;
	struct http_server *server;
};

static void start(struct world *w, size_t memory)
{
	struct err e = ERR_INIT;
	size_t n;
	signal(SIGPIPE, SIG_IGN);
	memset(w, 0, sizeof(*w));
	budget_init(&w->process, NULL, "process", "memory.limit", memory);
	w->reg = metric_registry_new();
	w->pool = task_pool_new(&(struct task_pool_opts){ .max_request = 4 });
	struct api_opts o = { .pool = w->pool,
			      .metrics = w->reg,
			      .budget = &w->process,
			      .timeout_ms = 10000,
			      .default_step_ms = 1000,
			      .max_concurrent = 2,
			      .tenant_header = "thanos-tenant",
			      .default_tenant = STR("default") };
	cr_assert_eq(api_new(&o, &w->api, &e), 0, "%s", err_text(&e));
	const struct http_route *routes = api_routes(w->api, &n);
	struct http_server_opts so = { .addr = STR("127.0.0.1:0"),
				       .budget = &w->process };
	cr_assert_eq(loops_start(1, &w->loops, &e), 0);
	cr_assert_eq(http_server_start(&w->loops, w->pool, w->reg, &so, routes, n,
				       &w->server, &e),
		     0, "%s", err_text(&e));
}

static void stop(struct world *w)
{
	http_server_stop(w->server, NS_PER_S);
	task_pool_free(w->pool);
	loops_stop(&w->loops);
	api_free(w->api);
	metric_registry_free(w->reg);
	budget_deinit(&w->process);
}

/* The whole answer, NUL-terminated; to be freed. */
static char *post(struct world *w, const char *path, const char *form)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(http_server_port(w->server)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	size_t cap = (size_t)1 << 20, n = 0;
	char head[400], *answer = calloc(1, cap);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	int k = snprintf(head, sizeof(head),
			 "POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
			 "Content-Type: application/x-www-form-urlencoded\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 path, strlen(form));
	cr_assert_eq(send(fd, head, (size_t)k, 0), k);
	for (size_t left = strlen(form); left;) {
		ssize_t did = send(fd, form, left, 0);
		cr_assert(did > 0);
		form += did;
		left -= (size_t)did;
	}
	for (ssize_t got; (got = recv(fd, answer + n, cap - 1 - n, 0)) > 0;)
		n += (size_t)got;
	close(fd);
	return answer;
}

/* name={a="1",a="1",...}: few bytes of text, many of tree. */
static char *wide(const char *name, size_t n)
{
	char *s = calloc(1, strlen(name) + 4 + n * 6), *at = s;
	at += sprintf(at, "%s={", name);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%sa=\"1\"", i ? "," : "");
	strcpy(at, "}");
	return s;
}

static void want(struct world *w, const char *path, const char *form, const char *status,
		 const char *type)
{
	char *got = post(w, path, form);
	cr_assert_not_null(strstr(got, status), "%s: %s", path, got);
	cr_assert_not_null(strstr(got, type), "%s: %s", path, got);
	free(got);
}

Test(outcome, parameters_that_find_no_memory_are_no_fault_of_the_request)
{
	static const char *const all[][2] = {
		{ "/api/v1/format_query", "query" },
		{ "/api/v1/parse_query", "query" },
		{ "/api/v1/query", "query" },
		{ "/api/v1/query_explain", "query" },
		{ "/api/v1/query_range", "start=0&end=1&step=1&query" },
		{ "/api/v1/query_exemplars", "start=0&end=1&query" },
		{ "/api/v1/series", "match[]" },
		{ "/api/v1/labels", "match[]" },
		{ "/api/v1/query", "query=1&storeMatch[]" },
	};
	struct world w;
	start(&w, (size_t)1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		char *form = wide(all[i][1], 20000);
		want(&w, all[i][0], form, "HTTP/1.1 422 ", "\"errorType\":\"execution\"");
		free(form);
		form = wide(all[i][1], 20);
		strcat(form, "}"); /* one too many */
		want(&w, all[i][0], form, "HTTP/1.1 400 ", "\"errorType\":\"bad_data\"");
		free(form);
	}
	stop(&w);
}

Test(outcome, what_can_be_parsed_is_answered)
{
	struct world w;
	start(&w, (size_t)64 << 20);
	char *form = wide("query", 20000);
	want(&w, "/api/v1/format_query", form, "HTTP/1.1 200 ", "\"status\":\"success\"");
	free(form);
	stop(&w);
}
