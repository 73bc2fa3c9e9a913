/*
 * Lines about requests: which, at which level, with which fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "conf/request_log.h"
#include "srv.h"
#include "support/tst.h"

#define HOST "Host: h\r\n"

static FILE *log_file;
static char text[1 << 16];

/* Serve these requests, each by its own connection; `text` is what was logged. */
static void ask(const struct request_log *log, const char *const *targets,
		const char *headers)
{
	struct srv v;
	struct http_server_opts o = { .log = log };
	srv_start(&v, &o);
	log_file = tmpfile();
	log_setup(LOG_DEBUG, LOG_LOGFMT, fileno(log_file));
	for (; *targets; targets++) {
		char request[1024];
		struct raw *r = raw_connect(v.port);
		snprintf(request, sizeof(request),
			 "GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n", *targets,
			 headers);
		raw_send(r, request);
		cr_assert(raw_until_eof(r));
		raw_close(r);
	}
	srv_stop(&v, NS_PER_S);
	log_setup(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
	rewind(log_file);
	size_t n = fread(text, 1, sizeof(text) - 1, log_file);
	text[n] = '\0';
	fclose(log_file);
}

static int count(const char *what)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

#define HAS(what) cr_assert_not_null(strstr(text, what), "%s\n%s", what, text)

Test(http_log, start_and_end_have_the_peers_fields)
{
	const struct request_log all = {
		.min = LOG_DEBUG, .start = true, .end = true, .component = "query"
	};
	ask(&all, (const char *const[]){ "/size/3?a=1%20b", NULL },
	    HOST "X-Request-ID: abc\r\nUser-Agent: me\r\n");
	cr_assert_eq(count("\n"), 2);
	HAS(" level=debug protocol=http http.component=server component=query http.method=\"GET /size/3?a=1%20b\" "
	    "http.request_id=abc http.user_agent=me http.start_time=\"20");
	HAS(" +0000 UTC\" thanos.method_name=size msg=\"started call\"\n");
	HAS(" http.request_id=abc http.user_agent=me http.status_code=200 http.time_ms=");
	HAS(" http.remote_addr=127.0.0.1:");
	HAS(" thanos.method_name=size msg=\"finished call\"\n");
	ask(&all, (const char *const[]){ "/size/3", NULL },
	    HOST "X-Forwarded-For: 10.1.2.3\r\nX-Request-ID: a\xffz\r\n");
	HAS(" http.remote_addr=10.1.2.3 ");
	cr_assert_null(strstr(text, "\xff"),
		       "an id that cannot be passed on is replaced");
	/* one id, made here, on both lines */
	const char *id = strstr(text, "http.request_id=");
	cr_assert(id && id[16 + 26] == ' ');
	char own[44];
	snprintf(own, sizeof(own), "%.43s", id);
	cr_assert_eq(count(own), 2, "%s", text);
}

Test(http_log, the_level_counts)
{
	const struct request_log severe = {
		.min = LOG_ERROR, .start = true, .end = true, .component = "query"
	};
	ask(&severe, (const char *const[]){ "/size/3", "/fail/now", "/nowhere", NULL },
	    HOST);
	cr_assert_eq(count(" call\""), 1, "%s", text);
	HAS(" level=error protocol=http ");
	HAS(" http.status_code=500 ");
}

Test(http_log, only_the_end_and_only_what_is_chosen)
{
	struct request_log_row rows[] = { { STR("/size/3"), 0 },
					  { STR("/loop/4"), 0 },
					  { STR("/size/5"), 7777 },
					  { STR("/size/6"), 1 } };
	const struct request_log some = { .min = LOG_DEBUG,
					  .end = true,
					  .rows = rows,
					  .n_rows = ARRAY_LEN(rows),
					  .component = "query" };
	ask(&some,
	    (const char *const[]){ "/size/3?x=y", "/size/4", "/loop/4", "/size/5",
				   "/size/6", NULL },
	    "Host: example:7777\r\n");
	HAS("http.method=\"GET /size/3?x=y\"");
	HAS("http.method=\"GET /loop/4\"");
	HAS("http.method=\"GET /size/5\"");
	cr_assert_eq(count(" msg=\"finished call\""), 3, "%s", text);
	cr_assert_eq(count(" call\""), 3, "%s", text);
}

Test(http_log, what_is_answered_on_the_loop_is_not_logged_unless_chosen)
{
	const struct request_log all = {
		.min = LOG_DEBUG, .start = true, .end = true, .component = "query"
	};
	ask(&all, (const char *const[]){ "/loop/4", NULL }, HOST);
	cr_assert_eq(count(" call\""), 0, "%s", text);
	ask(NULL, (const char *const[]){ "/size/4", NULL }, HOST);
	cr_assert_eq(count(" call\""), 0, "%s", text);
}
