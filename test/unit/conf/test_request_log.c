/* lib/conf/request_log.c */
#include "support/tst.h"

#include "base/err.h"
#include "conf/request_log.h"

static struct arena arena;
static struct request_logs logs;

static const char *parse(const char *yaml)
{
	static struct err e;
	e = ERR_INIT;
	arena_deinit(&arena);
	arena_init(&arena, NULL);
	if (request_logs_parse(&arena, str_of(yaml), STR("log.yml"), "store", &logs,
			       &e) == 0)
		return NULL;
	return err_text(&e);
}

#define ALL_ON "level: DEBUG, decision: {log_start: true, log_end: true}"
#define END_ON "level: ERROR, decision: {log_end: true}"

Test(request_log, off_unless_an_end_is_to_be_logged)
{
	static const char *const t[] = {
		"",
		"{}",
		"options:",
		"options: {level: INFO}",
		"options: {level: INFO, decision: {log_end: false}}",
		"http: {config: [{path: /x}]}"
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const char *why = parse(t[i]);
		cr_expect(!why && !logs.http && !logs.grpc, "%s: %s", t[i],
			  why ? why : "on");
	}
	arena_deinit(&arena);
}

Test(request_log, a_protocols_own_options_replace_the_common_ones)
{
	cr_assert_null(parse("options: {" ALL_ON "}\n"));
	cr_assert(logs.http && logs.http->start && logs.http->end);
	cr_assert(logs.http->min == LOG_DEBUG && logs.grpc->min == LOG_DEBUG);
	cr_assert_str_eq(logs.grpc->component, "store");
	cr_assert_null(parse("options: {" ALL_ON "}\nhttp: {options: {" END_ON "}}\n"));
	cr_assert(logs.http->min == LOG_ERROR && !logs.http->start && logs.http->end);
	cr_assert(logs.grpc->min == LOG_DEBUG && logs.grpc->start);
	/* a level without a decision turns it off */
	cr_assert_null(parse("options: {" ALL_ON "}\ngrpc: {options: {level: INFO}}\n"));
	cr_assert(logs.http && !logs.grpc);
	cr_assert_null(
		parse("grpc: {options: {level: WARNING, decision: {log_end: true}}}"));
	cr_assert(!logs.http && logs.grpc->min == LOG_WARN);
	arena_deinit(&arena);
}

Test(request_log, rows_choose_requests)
{
	cr_assert_null(parse("options: {" ALL_ON "}\n"
			     "http:\n"
			     "  config:\n"
			     "  - {path: /api/v1/query, port: 10904}\n"
			     "  - {path: /metrics}\n"
			     "grpc:\n"
			     "  config:\n"
			     "  - service: thanos.Store\n"
			     "    method: Series\n"));
	const struct request_log *h = logs.http, *g = logs.grpc;
	cr_assert(request_log_has(h, STR("/api/v1/query"), 10904));
	cr_assert(!request_log_has(h, STR("/api/v1/query"), 10905));
	cr_assert(!request_log_has(h, STR("/api/v1/query"), 0));
	cr_assert(!request_log_has(h, STR("/api/v1/query_range"), 10904));
	cr_assert(request_log_has(h, STR("/metrics"), 1));
	cr_assert(request_log_has(g, STR("/thanos.Store/Series"), 0));
	cr_assert(!request_log_has(g, STR("/thanos.Store/LabelNames"), 0));
	arena_deinit(&arena);
}

Test(request_log, errors_name_line_and_key)
{
	static const char *const t[][2] = {
		{ "options: {" ALL_ON "}\nhtp: {}\n",
		  "log.yml: 2:1: htp: unknown key, did you mean 'http'?" },
		{ "options:\n  level: WARN\n",
		  "log.yml: 2:10: options.level: must be one of INFO,DEBUG,ERROR,WARNING, got \"WARN\"" },
		{ "http:\n  options:\n    level: INFO\n    decision:\n      log_start: true\n",
		  "log.yml: 5:7: http.options: log_start without log_end is not supported" },
		{ "grpc:\n  options:\n    decision: {log_end: true}\n",
		  "log.yml: 3:15: grpc.options: level is missing: one of INFO, DEBUG, ERROR, WARNING" },
		{ "http:\n  config:\n  - port: 80\n",
		  "log.yml: 3:5: http.config[0].path: required but not given" },
		{ "http:\n  config:\n  - {path: /a, port: x}\n",
		  "log.yml: 3:22: http.config[0].port: expected an integer, found text" },
		{ "grpc:\n  config:\n  - {service: a, methods: b}\n",
		  "log.yml: 3:18: grpc.config[0].methods: unknown key, did you mean 'method'?" },
		{ "- a\n", "log.yml: 1:1: expected a mapping, found a list" },
		{ "a: {\n", "log.yml: " },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const char *got = parse(t[i][0]);
		got = got ? got : "(none)";
		if (i + 1 == ARRAY_LEN(t))
			cr_expect(str_has_prefix(str_of(got), str_of(t[i][1])), "%s",
				  got);
		else
			cr_expect_str_eq(got, t[i][1], "%s", got);
	}
	arena_deinit(&arena);
}

Test(request_log, milliseconds)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} t[] = { { 0, "0" },
		  { 999, "0" },
		  { 1000, "0.001" },
		  { 170999, "0.17" },
		  { 936000, "0.936" },
		  { 10000000, "10" },
		  { 1234567890, "1234.567" } };
	char out[32];
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		cr_expect(str_eqz(request_log_ms(out, t[i].ns), t[i].want), "%s",
			  t[i].want);
}
