/* lib/conf/yaml_bind.c */
#include "support/tst.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "conf/yaml.h"

struct http {
	int64_t idle_ms;
	bool insecure;
};
struct target {
	struct str url;
	int64_t weight;
};
struct s3 {
	struct str bucket, kind;
	int64_t part_size, parallel;
	double ratio;
	bool trace;
	struct conf_strs regions, zones;
	struct http http;
	struct conf_list targets, ports;
	const struct doc *labels;
	struct conf_text text;
};
#define AT(f) offsetof(struct s3, f)
static const struct yopt http_rows[] = { { .name = "idle_conn_timeout",
					   .type = OPT_DURATION_MS,
					   .off = offsetof(struct http, idle_ms),
					   .def = "1m30s" },
					 { .name = "insecure_skip_verify",
					   .type = OPT_BOOL,
					   .off = offsetof(struct http, insecure) },
					 { .name = "proxy", .type = OPT_NOT_YET },
					 { 0 } };
static const struct yopt target_rows[] = { { .name = "url",
					     .type = OPT_STRING,
					     .off = offsetof(struct target, url),
					     .bits = OPTF_REQUIRED },
					   { .name = "weight",
					     .type = OPT_INT,
					     .off = offsetof(struct target, weight),
					     .def = "1" },
					   { 0 } };
static const struct yopt rows[] = {
	{ .name = "bucket",
	  .type = OPT_STRING,
	  .off = AT(bucket),
	  .bits = OPTF_REQUIRED },
	{ .name = "kind",
	  .type = OPT_ENUM,
	  .off = AT(kind),
	  .def = "a",
	  .choices = "a|b" },
	{ .name = "part_size", .type = OPT_BYTES, .off = AT(part_size), .def = "64MiB" },
	{ .name = "parallel",
	  .type = OPT_INT,
	  .off = AT(parallel),
	  .def = "4",
	  .min = 1,
	  .max = 64 },
	{ .name = "ratio", .type = OPT_FLOAT, .off = AT(ratio), .def = "0.5" },
	{ .name = "trace", .type = OPT_BOOL, .off = AT(trace) },
	{ .name = "regions", .type = OPT_STRINGS, .off = AT(regions), .def = "x,y" },
	{ .name = "zones", .type = OPT_STRINGS, .off = AT(zones), .nest = YOPT_LIST },
	{ .name = "http_config", .off = AT(http), .nest = YOPT_MAP, .rows = http_rows },
	{ .name = "targets",
	  .off = AT(targets),
	  .nest = YOPT_LIST,
	  .rows = target_rows,
	  .elem = sizeof(struct target) },
	{ .name = "ports",
	  .type = OPT_INT,
	  .off = AT(ports),
	  .nest = YOPT_LIST,
	  .elem = sizeof(int64_t) },
	{ .name = "labels", .off = AT(labels), .nest = YOPT_ANY },
	{ .name = "text", .type = OPT_TEXT, .off = AT(text) },
	{ .name = "sse", .type = OPT_NOT_YET, .def = "none", .choices = "off" },
	{ .name = "max_retries", .type = OPT_NO_EFFECT },
	{ 0 }
};

static struct arena arena;
static struct s3 c;

static const char *bind(const char *text)
{
	static struct err e;
	struct doc *d = NULL;

	arena_deinit(&arena);
	arena_init(&arena, NULL);
	e = ERR_INIT;
	if (yaml_parse(NULL, &arena, str_of(text), &d, &e) == 0 &&
	    conf_bind(NULL, &arena, d, rows, &c, sizeof(c), "bucket.yml", &e) == 0)
		return NULL;
	cr_expect_eq(e.code, E_INVALID);
	return err_text(&e);
}

static void expect_error(const char *text, const char *want)
{
	const char *got = bind(text);

	cr_expect_str_eq(got ? got : "(none)", want, "%s", text);
	arena_deinit(&arena);
}

Test(yaml_bind, absent_keys_have_their_defaults)
{
	cr_assert_null(bind("bucket: b\n"));
	cr_assert(str_eqz(c.bucket, "b") && str_eqz(c.kind, "a"));
	cr_assert(c.part_size == 64 << 20 && c.parallel == 4 && c.ratio == 0.5 &&
		  !c.trace);
	cr_assert(c.regions.n == 2 && c.zones.n == 0 && c.http.idle_ms == 90000);
	cr_assert(c.targets.n == 0 && c.labels == NULL);
	arena_deinit(&arena);
}

Test(yaml_bind, values_are_set)
{
	cr_assert_null(
		bind("bucket: 0x10\n"
		     "kind: b\n"
		     "part_size: 1GB\n"
		     "parallel: 0x10\n"
		     "ratio: .inf\n"
		     "trace: yes\n"
		     "regions: [1, no, z, ~]\n"
		     "zones:\n- q\n"
		     "http_config: {insecure_skip_verify: y, idle_conn_timeout: 2s}\n"
		     "targets:\n- url: u1\n- {url: u2, weight: 7}\n"
		     "ports: [80, 0x51, 1e2]\n"
		     "labels: {a: 1}\n"
		     "text: t\n"
		     "sse: none\n"
		     "max_retries: [5]\n"));
	cr_assert(str_eqz(c.bucket, "0x10") && str_eqz(c.kind, "b"));
	cr_assert(c.part_size == 1 << 30 && c.parallel == 16 && isinf(c.ratio) &&
		  c.trace);
	cr_assert(c.regions.n == 4 && str_eqz(c.regions.v[1], "no") &&
		  c.regions.v[3].n == 0);
	cr_assert(c.zones.n == 1 && str_eqz(c.zones.v[0], "q"));
	cr_assert(c.http.insecure && c.http.idle_ms == 2000);
	const struct target *t = c.targets.v;
	cr_assert(c.targets.n == 2 && str_eqz(t[0].url, "u1") && t[0].weight == 1 &&
		  t[1].weight == 7);
	const int64_t *p = c.ports.v;
	cr_assert(c.ports.n == 3 && p[0] == 80 && p[1] == 81 && p[2] == 100);
	cr_assert(c.labels && c.labels->kind == DOC_MAP && str_eqz(c.text.content, "t"));
	arena_deinit(&arena);
}

Test(yaml_bind, null_means_absent)
{
	cr_assert_null(bind("bucket: b\nparallel:\nhttp_config:\nregions: ~\nsse:\n"));
	cr_assert(c.parallel == 4 && c.http.idle_ms == 90000 && c.regions.n == 2);
	arena_deinit(&arena);
}

Test(yaml_bind, errors_tell_place_and_path)
{
	expect_error("bucket: b\nbukcet: c\n",
		     "bucket.yml: 2:1: bukcet: unknown key, did you mean 'bucket'?");
	expect_error("bucket: b\nzzz: c\n", "bucket.yml: 2:1: zzz: unknown key");
	expect_error("kind: a\n", "bucket.yml: 1:1: bucket: required but not given");
	expect_error("bucket:\n", "bucket.yml: 1:8: bucket: required but not given");
	expect_error("", "bucket.yml: 1:1: bucket: required but not given");
	expect_error("[a]", "bucket.yml: 1:1: expected a mapping, found a list");
	expect_error("bucket: [b]",
		     "bucket.yml: 1:9: bucket: expected a single value, found a list");
	expect_error("{bucket: b, trace: 'true'}",
		     "bucket.yml: 1:20: trace: expected a boolean, found text");
	expect_error("{bucket: b, parallel: '5'}",
		     "bucket.yml: 1:23: parallel: expected an integer, found text");
	expect_error("{bucket: b, parallel: 1.5}",
		     "bucket.yml: 1:23: parallel: invalid integer \"1.5\"");
	expect_error("{bucket: b, parallel: 65}",
		     "bucket.yml: 1:23: parallel: 65 is not within 1 and 64");
	expect_error("{bucket: b, kind: c}",
		     "bucket.yml: 1:19: kind: must be one of a,b, got \"c\"");
	expect_error("{bucket: b, part_size: 5kb}",
		     "bucket.yml: 1:24: part_size: invalid size \"5kb\"");
	expect_error("{bucket: b, regions: x}",
		     "bucket.yml: 1:22: regions: expected a list, found text");
	expect_error(
		"{bucket: b, regions: [[x]]}",
		"bucket.yml: 1:23: regions[0]: expected a single value, found a list");
	expect_error(
		"bucket: b\nhttp_config:\n  idle_conn_timeout: 5\n",
		"bucket.yml: 3:22: http_config.idle_conn_timeout: invalid duration \"5\"");
	expect_error(
		"bucket: b\nhttp_config: 5\n",
		"bucket.yml: 2:14: http_config: expected a mapping, found an integer");
	expect_error("bucket: b\ntargets:\n- url: x\n- weight: 5\n",
		     "bucket.yml: 4:3: targets[1].url: required but not given");
	expect_error("bucket: b\ntargets: {}\n",
		     "bucket.yml: 2:10: targets: expected a list, found a mapping");
	expect_error("bucket: b\nports: [a]\n",
		     "bucket.yml: 2:9: ports[0]: expected an integer, found text");
	expect_error(
		"bucket: b\ntargets:\n- url: x\n  wieght: 1\n",
		"bucket.yml: 4:3: targets[0].wieght: unknown key, did you mean 'weight'?");
}

Test(yaml_bind, what_is_not_obeyed_is_refused)
{
	expect_error(
		"bucket: b\nsse: kms\n",
		"bucket.yml: 2:6: sse: known to Thanos but not obeyed by thanosc yet; leave "
		"it out or at its default 'none'");
	expect_error(
		"bucket: b\nhttp_config: {proxy: x}\n",
		"bucket.yml: 2:22: http_config.proxy: known to Thanos but not obeyed by "
		"thanosc yet; leave it out");
	cr_assert_null(bind("{bucket: b, sse: off, http_config: {proxy: {}}}"));
	cr_assert_null(bind("{bucket: b, http_config: {proxy: []}}"));
	arena_deinit(&arena);
}

Test(yaml_bind, json_documents_are_bound_as_well)
{
	struct doc *d;
	struct err e = ERR_INIT;

	arena_init(&arena, NULL);
	cr_assert_eq(
		json_parse(
			NULL, &arena,
			STR("{\"bucket\":\"b\",\"trace\":true,\"ratio\":1e3,\"parallel\":8}"),
			&d, &e),
		0);
	cr_assert_eq(conf_bind(NULL, &arena, d, rows, &c, sizeof(c), "x.json", &e), 0);
	cr_assert(c.trace && c.ratio == 1000 && c.parallel == 8);
	arena_deinit(&arena);
}
