#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ctx.h"
#include "support/tst.h"

/* What was logged to the pipe since the last call, NUL-terminated. */
static int sink[2];
static char text[65536];

static void sink_open(enum log_level min, enum log_format f)
{
	cr_assert_eq(pipe(sink), 0);
	log_setup(min, f, sink[1]);
}

static void sink_close(void)
{
	log_setup(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
	close(sink[1]);
	size_t n = 0;
	ssize_t got;
	while ((got = read(sink[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(sink[0]);
}

Test(log, writes_logfmt_with_values_escaped)
{
	struct ctx ctx = { .trace = { .id_hi = 1, .id_lo = 0xabc } };
	sink_open(LOG_INFO, LOG_LOGFMT);
	log_debug(NULL, "not shown");
	errno = 77;
	log_info(NULL, "ready");
	cr_assert_eq(errno, 77);
	log_warn(NULL, "a=%s", "x y\"z\\\n\t\x01\xff\xc3\xa9");
	log_error(&ctx, "%s", "");
	sink_close();
	char *line = strtok(text, "\n");
	cr_assert_eq(strncmp(line, "ts=20", 5), 0);
	cr_assert_eq(line[26], 'Z');
	char want[100];
	cr_assert_not_null(strstr(line, "Z caller=test_log.c:"));
	cr_assert_not_null(strstr(line, " level=info msg=ready"));
	line = strtok(NULL, "\n");
	snprintf(want, sizeof(want), " level=warn msg=\"a=x y\\\"z\\\\\\n\\t\\u0001%s\"",
		 "\xef\xbf\xbd\xc3\xa9");
	cr_assert(str_has_suffix(str_of(line), str_of(want)), "%s", line);
	line = strtok(NULL, "\n");
	cr_assert(str_has_suffix(str_of(line),
				 STR(" level=error msg=\"\" "
				     "trace_id=00000000000000010000000000000abc")));
	cr_assert_null(strtok(NULL, "\n"));
}

Test(log, writes_json)
{
	sink_open(LOG_DEBUG, LOG_JSON);
	log_debug(NULL, "quote \" and \x7f and %c", '\x02');
	sink_close();
	cr_assert_eq(strncmp(text, "{\"ts\":\"20", 9), 0);
	cr_assert(str_has_suffix(str_of(text),
				 STR(",\"level\":\"debug\",\"msg\":"
				     "\"quote \\\" and \\u007f and \\u0002\"}\n")));
}

Test(log, writes_long_lines_whole)
{
	char *big = malloc(20001);
	memset(big, 'b', 20000);
	big[20000] = '\0';
	sink_open(LOG_INFO, LOG_LOGFMT);
	log_info(NULL, "%s", big);
	sink_close();
	cr_assert_not_null(strstr(text, big));
	cr_assert(str_has_suffix(str_of(text), STR("b\n")));
	free(big);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 100; i++)
		log_info(NULL, "thread %s", (const char *)arg);
	return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
	static char names[3][8] = { "a", "bb", "ccc" };
	pthread_t t[3];
	int n = 0;
	sink_open(LOG_INFO, LOG_LOGFMT);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, log_many, names[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	sink_close();
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
		cr_assert_eq(strncmp(line, "ts=", 3), 0);
		cr_assert_eq(line[strlen(line) - 1], '"');
		cr_assert_null(strstr(line + 1, "ts="));
	}
	cr_assert_eq(n, 300);
}

Test(log, fields_are_written_in_their_order)
{
	const struct log_field v[] = { { "http.method", STR("GET /a\nb") },
				       { "http.request_id", STR("") },
				       { "msg", STR("done") } };
	sink_open(LOG_INFO, LOG_LOGFMT);
	log_fields(LOG_DEBUG, v, 3);
	errno = 77;
	log_fields(LOG_INFO, v, 3);
	cr_assert_eq(errno, 77);
	sink_close();
	cr_assert_not_null(strstr(text, "Z caller=test_log.c:"));
	cr_assert(str_has_suffix(str_of(text),
				 STR(" level=info http.method=\"GET /a\\nb\" "
				     "http.request_id=\"\" msg=done\n")),
		  "%s", text);
	sink_open(LOG_INFO, LOG_JSON);
	log_fields(LOG_ERROR, v, 3);
	sink_close();
	cr_assert(
		str_has_suffix(str_of(text),
			       STR(",\"level\":\"error\",\"http.method\":\"GET /a\\nb\","
				   "\"http.request_id\":\"\",\"msg\":\"done\"}\n")),
		"%s", text);
}
