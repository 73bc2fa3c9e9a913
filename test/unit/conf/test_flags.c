/* lib/conf/{flags,help,nearest,env,values}.c */
#include "support/tst.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/time.h"
#include "conf/flags.h"
#include "conf/values.h"

struct opts {
	int64_t timeout_ms, max, size, when;
	struct conf_time min_time;
	double ratio;
	struct str http, level, dir;
	struct conf_strs endpoints, features;
	struct conf_text objstore, needed;
	bool partial, lock;
};
#define AT(f) offsetof(struct opts, f)
static const struct opt common[] = {
	{ .name = "log.level",
	  .type = OPT_ENUM,
	  .off = AT(level),
	  .def = "info",
	  .choices = "debug|info|warn|error",
	  .help = "Log filtering level." },
	{ .name = "http-address",
	  .type = OPT_ADDRESS,
	  .off = AT(http),
	  .def = "0.0.0.0:10902",
	  .help = "Listen host:port for HTTP endpoints." },
	{ .name = "objstore.config",
	  .type = OPT_TEXT,
	  .off = AT(objstore),
	  .bits = OPTF_SECRET,
	  .help = "YAML file that contains object store configuration. See format details: "
		  "https://thanos.io/tip/thanos/storage.md/#configuration" },
	{ 0 }
};
static const struct opt own[] = {
	{ .name = "query.timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(timeout_ms),
	  .def = "2m",
	  .min = 1,
	  .max = 86400000,
	  .help = "Maximum time to process query by query node." },
	{ .name = "query.max-concurrent",
	  .type = OPT_INT,
	  .off = AT(max),
	  .def = "20",
	  .min = 1,
	  .max = 100,
	  .short_name = 'c',
	  .help = "Maximum number of queries processed concurrently by query node." },
	{ .name = "index-cache-size",
	  .type = OPT_BYTES,
	  .off = AT(size),
	  .def = "250MB" },
	{ .name = "at", .type = OPT_TIME, .off = AT(when), .help = "When." },
	{ .name = "min-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(min_time),
	  .def = "0000-01-01T00:00:00Z" },
	{ .name = "ratio", .type = OPT_FLOAT, .off = AT(ratio), .def = "0.9", .max = 1 },
	{ .name = "data-dir",
	  .type = OPT_STRING,
	  .off = AT(dir),
	  .def = "",
	  .help = "Directory." },
	{ .name = "endpoint",
	  .type = OPT_STRINGS,
	  .off = AT(endpoints),
	  .placeholder = "<endpoint>",
	  .help = "Addresses (repeatable)." },
	{ .name = "enable-feature",
	  .type = OPT_STRINGS,
	  .off = AT(features),
	  .def = "a,b" },
	{ .name = "query.partial-response",
	  .type = OPT_BOOL,
	  .off = AT(partial),
	  .def = "true",
	  .short_name = 'p',
	  .help = "Enable partial response for queries if no partial_response param is "
		  "specified." },
	{ .name = "tsdb.no-lockfile", .type = OPT_BOOL, .off = AT(lock) },
	{ .name = "store.sd-files", .type = OPT_NOT_YET },
	{ .name = "engine",
	  .type = OPT_NOT_YET,
	  .def = "prometheus",
	  .choices = "thanos" },
	{ .name = "auto", .type = OPT_NOT_YET, .bits = OPTF_SWITCH },
	{ .name = "enable-auto-gomemlimit", .type = OPT_NO_EFFECT, .bits = OPTF_SWITCH },
	{ .name = "gogc", .type = OPT_NO_EFFECT },
	{ .name = "old", .type = OPT_NO_EFFECT, .bits = OPTF_DEPRECATED | OPTF_HIDDEN },
	{ 0 }
};
static const struct opt *const tables[] = { common, own, NULL };
static const struct conf_cmd cmd = {
	.name = "query",
	.brief =
		"Query node exposing PromQL enabled Query API with data retrieved from multiple "
		"store nodes.",
	.tables = tables
};

static struct arena arena;
static struct opts o;
static struct conf_result res;

/* Parse blank-separated arguments; the error's text or NULL. The arena lives until the next call. */
static const char *parse(const char *line)
{
	static char copy[1000], text[300];
	static struct err e;
	char *argv[40];
	int argc = 0;

	arena_deinit(&arena);
	arena_init(&arena, NULL);
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	e = ERR_INIT;
	if (conf_parse(NULL, &arena, &cmd, argc, argv, &o, sizeof(o), &res, &e) == 0)
		return NULL;
	cr_expect_eq(e.code, E_INVALID, "%s", line);
	snprintf(text, sizeof(text), "%s", err_text(&e));
	return text;
}

static void expect_error(const char *line, const char *want)
{
	const char *got = parse(line);

	cr_expect_str_eq(got ? got : "(none)", want, "%s", line);
	arena_deinit(&arena);
}

static const struct conf_flag_value *flag(const char *name)
{
	for (size_t i = 0; i < res.n_flags; i++)
		if (str_eqz(res.flags[i].name, name))
			return &res.flags[i];
	return NULL;
}

Test(flags, defaults_are_set)
{
	cr_assert_null(parse(""));
	cr_assert(o.timeout_ms == 120000 && o.max == 20 && o.size == 250 << 20);
	cr_assert(o.ratio == 0.9 && o.partial && !o.lock && o.dir.n == 0 && o.when == 0);
	cr_assert(str_eqz(o.http, "0.0.0.0:10902") && str_eqz(o.level, "info"));
	cr_assert(o.features.n == 2 && str_eqz(o.features.v[1], "b") &&
		  o.endpoints.n == 0);
	cr_assert(!o.min_time.from_now && o.min_time.ms == -62167219200000);
	cr_assert(!res.help && !res.version && res.n_warnings == 0);
	arena_deinit(&arena);
}

Test(flags, all_spellings_are_read)
{
	cr_assert_null(parse(
		"--query.timeout=1h30m --query.max-concurrent 7 --no-query.partial-response "
		"--endpoint=a --endpoint b,c --enable-feature=x --tsdb.no-lockfile "
		"--data-dir=/x=y --index-cache-size=1.5GiB --ratio 0.25 --log.level=warn"));
	cr_assert(o.timeout_ms == 5400000 && o.max == 7 && !o.partial && o.lock);
	cr_assert(o.endpoints.n == 2 && str_eqz(o.endpoints.v[0], "a") &&
		  str_eqz(o.endpoints.v[1], "b,c"));
	cr_assert(o.features.n == 1 && str_eqz(o.features.v[0], "x"));
	cr_assert(str_eqz(o.dir, "/x=y") && o.size == 3ll << 29 && o.ratio == 0.25);
	cr_assert_null(parse("-c5 -p --at=1970-01-01T00:00:01.5Z --min-time=-2h"));
	cr_assert(o.max == 5 && o.partial && o.when == 1500);
	cr_assert(o.min_time.from_now && o.min_time.ms == -7200000);
	cr_assert_eq(conf_time_ms(o.min_time, 10000000), 2800000);
	cr_assert_null(parse("-pc 5 --query.timeout=1.5s --"));
	cr_assert(o.max == 5 && o.timeout_ms == 1500);
	cr_assert_null(
		parse("--query.partial-response=false --query.max-concurrent=1e1"));
	cr_assert(!o.partial && o.max == 10);
	int64_t now = time_wall_ms();
	cr_assert_null(parse("--at=-1h"));
	cr_assert(o.when >= now - 3600000 && o.when < now - 3590000);
	arena_deinit(&arena);
}

Test(flags, errors_name_the_flag)
{
	expect_error("--foo", "unknown long flag '--foo'");
	expect_error(
		"--query.timeot=5s",
		"unknown long flag '--query.timeot', did you mean '--query.timeout'?");
	expect_error("--no-query.partial-respone",
		     "unknown long flag '--no-query.partial-respone', did you mean "
		     "'--no-query.partial-response'?");
	expect_error("--objstore.config-fle=x",
		     "unknown long flag '--objstore.config-fle', did you mean "
		     "'--objstore.config-file'?");
	expect_error(
		"--no-http-address",
		"unknown long flag '--no-http-address', did you mean '--http-address'?");
	expect_error("--query.timeout", "expected argument for flag '--query.timeout'");
	expect_error("--query.timeout -5m",
		     "expected argument for flag '--query.timeout'");
	expect_error("--query.timeout --at=5",
		     "expected argument for flag '--query.timeout'");
	expect_error("-c", "expected argument for flag '-c'");
	expect_error("-x", "unknown short flag '-x'");
	expect_error("bar", "unexpected bar");
	expect_error("-- --help", "unexpected --help");
	expect_error("-", "unexpected -");
	expect_error("--query.timeout=abc",
		     "flag '--query.timeout': invalid duration \"abc\"");
	expect_error("--query.timeout=2d",
		     "flag '--query.timeout': duration 2d is not within 1ms and 1d");
	expect_error("--query.max-concurrent=0",
		     "flag '--query.max-concurrent': 0 is not within 1 and 100");
	expect_error("--query.max-concurrent=x",
		     "flag '--query.max-concurrent': invalid integer \"x\"");
	expect_error("--query.max-concurrent=1.5",
		     "flag '--query.max-concurrent': invalid integer \"1.5\"");
	expect_error("--index-cache-size=5kB",
		     "flag '--index-cache-size': invalid size \"5kB\"");
	expect_error("--index-cache-size=-5MB",
		     "flag '--index-cache-size': invalid size \"-5MB\"");
	expect_error("--ratio=2", "flag '--ratio': 2 is not within 0 and 1");
	expect_error("--ratio=x", "flag '--ratio': invalid number \"x\"");
	expect_error("--min-time=x", "flag '--min-time': invalid time or duration \"x\"");
	expect_error(
		"--log.level=xx",
		"flag '--log.level': must be one of debug,info,warn,error, got \"xx\"");
	expect_error("--http-address=8080",
		     "flag '--http-address': invalid address (host:port) \"8080\"");
	expect_error("--log.level=info --log.level=warn",
		     "flag '--log.level' cannot be repeated");
	expect_error("--tsdb.no-lockfile --no-tsdb.no-lockfile",
		     "flag '--tsdb.no-lockfile' cannot be repeated");
	expect_error("--no-tsdb.no-lockfile=true",
		     "flag '--no-tsdb.no-lockfile' takes no value");
	expect_error("--tsdb.no-lockfile=yes",
		     "flag '--tsdb.no-lockfile' takes no value");
	expect_error("--objstore.config=a --objstore.config-file=b",
		     "both '--objstore.config-file' and '--objstore.config' given");
	expect_error("--objstore.config-file=",
		     "flag '--objstore.config-file': empty path");
}

Test(flags, what_is_not_obeyed_is_refused_by_name)
{
	expect_error(
		"--store.sd-files=x",
		"flag '--store.sd-files' is known to Thanos but not obeyed by thanosc yet; "
		"leave it out");
	expect_error(
		"--engine=other",
		"flag '--engine' is known to Thanos but not obeyed by thanosc yet; leave it "
		"out or at its default 'prometheus'");
	expect_error("--auto",
		     "flag '--auto' is known to Thanos but not obeyed by thanosc yet; "
		     "leave it out or at its default 'false'");
	cr_assert_null(parse("--engine=prometheus --no-auto"));
	cr_assert_null(parse("--engine=thanos"));
	arena_deinit(&arena);
}

Test(flags, what_has_no_effect_is_told)
{
	cr_assert_null(parse("--enable-auto-gomemlimit --gogc=5 --gogc 6 --old=1"));
	cr_assert_eq(res.n_warnings, 4);
	cr_assert(str_eqz(res.warnings[0],
			  "flag '--enable-auto-gomemlimit' has no effect in thanosc"));
	cr_assert(str_eqz(res.warnings[1], "flag '--gogc' has no effect in thanosc"));
	cr_assert(str_eqz(res.warnings[3], "flag '--old' is deprecated"));
	arena_deinit(&arena);
}

Test(flags, the_result_lists_all_sorted_and_masks_secrets)
{
	cr_assert_null(parse("--endpoint=a --endpoint=b --objstore.config={secret} "
			     "--query.timeout=90s"));
	for (size_t i = 1; i < res.n_flags; i++)
		cr_assert(str_cmp(res.flags[i - 1].name, res.flags[i].name) < 0);
	cr_assert(str_eqz(flag("endpoint")->value, "a,b") && flag("endpoint")->set);
	cr_assert(str_eqz(flag("objstore.config")->value, "<REDACTED>"));
	cr_assert(str_eqz(flag("objstore.config-file")->value, ""));
	cr_assert(str_eqz(flag("query.timeout")->value, "90s"));
	cr_assert(str_eqz(flag("log.level")->value, "info") && !flag("log.level")->set);
	cr_assert(str_eqz(flag("tsdb.no-lockfile")->value, "false"));
	cr_assert(str_eqz(flag("auto")->value, "false"));
	arena_deinit(&arena);
}

Test(flags, help_and_version_win)
{
	cr_assert_null(parse("--foo --help"));
	cr_assert(res.help && !res.help_all && !res.version);
	cr_assert_null(parse("-h"));
	cr_assert(res.help);
	cr_assert_null(parse("--help-long"));
	cr_assert(res.help && res.help_all);
	cr_assert_null(parse("--version"));
	cr_assert(res.version && !res.help);
	arena_deinit(&arena);
}

Test(flags, texts_come_inline_or_from_files_with_environment)
{
	char path[] = "/tmp/thanosc-flags-XXXXXX", line[100];
	int fd = mkstemp(path);

	setenv("TT_BUCKET", "b1", 1);
	unsetenv("TT_NOPE");
	cr_assert_eq(write(fd, "bucket: $(TT_BUCKET) $x $() $(a b)\n", 35), 35);
	close(fd);
	snprintf(line, sizeof(line), "--objstore.config-file=%s", path);
	cr_assert_null(parse(line));
	cr_assert(str_eqz(o.objstore.content, "bucket: b1 $x $() $(a b)\n"));
	cr_assert(str_eqz(o.objstore.path, path));
	cr_assert_null(parse("--objstore.config=$(TT_BUCKET)$(TT_BUCKET)"));
	cr_assert(str_eqz(o.objstore.content, "b1b1") && o.objstore.path.n == 0);
	expect_error("--objstore.config=$(TT_NOPE)",
		     "flag '--objstore.config': environment variable TT_NOPE is not set");
	unlink(path);
	struct err e = ERR_INIT;
	char *argv[] = { line };
	arena_init(&arena, NULL);
	cr_assert_eq(conf_parse(NULL, &arena, &cmd, 1, argv, &o, sizeof(o), &res, &e),
		     -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	cr_assert(strncmp(err_text(&e), "flag '--objstore.config-file': ", 31) == 0);
	arena_deinit(&arena);
}

Test(flags, required_ones_must_be_given)
{
	static const struct opt rows[] = { { .name = "id",
					     .type = OPT_STRING,
					     .off = AT(dir),
					     .bits = OPTF_REQUIRED },
					   { .name = "to",
					     .type = OPT_STRINGS,
					     .off = AT(endpoints),
					     .bits = OPTF_REQUIRED },
					   { .name = "cfg",
					     .type = OPT_TEXT,
					     .off = AT(needed),
					     .bits = OPTF_REQUIRED },
					   { 0 } };
	static const struct opt *const t[] = { rows, NULL };
	const struct conf_cmd c = { "tools x", "X.", t, NULL };
	struct err e = ERR_INIT;
	struct buf b;
	char arg[3][8] = { "--id=1", "--to=2", "--cfg=" };
	char *argv[] = { arg[0], arg[1], arg[2] };

	arena_init(&arena, NULL);
	cr_assert_eq(conf_parse(NULL, &arena, &c, 0, argv, &o, sizeof(o), &res, &e), -1);
	cr_assert_str_eq(err_text(&e), "required flag(s) '--id', '--to' not provided");
	e = ERR_INIT;
	cr_assert_eq(conf_parse(NULL, &arena, &c, 3, argv, &o, sizeof(o), &res, &e), -1);
	cr_assert_str_eq(
		err_text(&e),
		"flag '--cfg-file' or '--cfg' is required and must not be empty");
	buf_init(&b, 10000);
	conf_help(&c, false, &b);
	cr_assert(str_has_prefix(
		buf_view(&b),
		STR("usage: thanosc tools x --id=ID --to=TO ... [<flags>]\n\nX.\n")));
	buf_deinit(&b);
	arena_deinit(&arena);
}

Test(help, looks_like_kingpins)
{
	static const char want[] =
		"usage: thanosc query [<flags>]\n"
		"\n"
		"Query node exposing PromQL enabled Query API with data retrieved from multiple\n"
		"store nodes.\n"
		"\n"
		"\n"
		"Flags:\n"
		"  -h, --[no-]help                Show context-sensitive help (also try\n"
		"                                 --help-long and --help-man).\n"
		"      --[no-]version             Show application version.\n"
		"      --log.level=info           Log filtering level.\n"
		"      --http-address=\"0.0.0.0:10902\"\n"
		"                                 Listen host:port for HTTP endpoints.\n"
		"      --objstore.config-file=<file-path>\n"
		"                                 Path to YAML file that contains object store\n"
		"                                 configuration. See format details:\n"
		"                                 https://thanos.io/tip/thanos/storage.md/#configuration\n"
		"      --objstore.config=<content>\n"
		"                                 Alternative to 'objstore.config-file' flag\n"
		"                                 (mutually exclusive). Content of YAML file that\n"
		"                                 contains object store configuration. See format\n"
		"                                 details:\n"
		"                                 https://thanos.io/tip/thanos/storage.md/#configuration\n"
		"      --query.timeout=2m         Maximum time to process query by query node.\n"
		"  -c, --query.max-concurrent=20  Maximum number of queries processed\n"
		"                                 concurrently by query node.\n";
	struct buf b;

	buf_init(&b, 1 << 16);
	conf_help(&cmd, false, &b);
	cr_assert(str_has_prefix(buf_view(&b), str_of(want)), "%.*s",
		  STR_FMT(buf_view(&b)));
	cr_assert_geq(str_find(buf_view(&b),
			       STR("      --endpoint=<endpoint> ...  Addresses")),
		      0);
	cr_assert_geq(str_find(buf_view(&b), STR("      --enable-feature=a... ...")), 0);
	cr_assert_geq(str_find(buf_view(&b),
			       STR("      --at=AT                    When.\n")),
		      0);
	cr_assert_geq(str_find(buf_view(&b),
			       STR("      --data-dir=\"\"              Directory.\n")),
		      0);
	cr_assert_geq(str_find(buf_view(&b),
			       STR("  -p, --[no-]query.partial-response\n")),
		      0);
	cr_assert_eq(str_find(buf_view(&b), STR("--old")), -1);
	buf_reset(&b);
	conf_help(&cmd, true, &b);
	cr_assert_geq(str_find(buf_view(&b), STR("--old=OLD")), 0);
	buf_deinit(&b);
}

Test(nearest, offers_only_near_names)
{
	static const char *const names[] = { "bucket", "endpoint", "access_key",
					     "insecure" };

	cr_assert_str_eq(conf_nearest(STR("buckte"), names, 4), "bucket");
	cr_assert_str_eq(conf_nearest(STR("endpont"), names, 4), "endpoint");
	cr_assert_str_eq(conf_nearest(STR("acces-key"), names, 4), "access_key");
	cr_assert_null(conf_nearest(STR("region"), names, 4));
	cr_assert_null(conf_nearest(STR(""), names, 4));
	cr_assert_null(conf_nearest(STR("bkt"), names, 4));
}

Test(values, durations)
{
	static const struct {
		char text[16];
		int64_t ms;
	} good[] = { { "0", 0 },	   { "0s", 0 },		  { "0d", 0 },
		     { "5m", 300000 },	   { "1h30m", 5400000 },  { "1.5h", 5400000 },
		     { "2w", 1209600000 }, { "1y", 31536000000 }, { "1d12h", 129600000 },
		     { "100ms", 100 },	   { "0.1s", 100 },	  { "-2h", -7200000 },
		     { "+1s", 1000 },	   { "1us", 1 },	  { "1500us", 2 },
		     { "30s1m", 90000 },   { "1m30.5s", 90500 },  { ".5s", 500 },
		     { "2000000ns", 2 },   { "0ms", 0 },	  { "0.3s", 300 },
		     { "1\xc2\xb5s", 1 } };
	static const char bad[][12] = { "",	"5",	 "s",	 "5x",	    "1h-2m",
					"-",	"1..5s", "1e3s", " 5s",	    "5s ",
					"1.5d", "-1d",	 "--5s", "9999999h" };
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ms = -99;
		cr_expect(conf_parse_duration_ms(str_of(good[i].text), &ms) &&
				  ms == good[i].ms,
			  "%s gives %lld", good[i].text, (long long)ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect(!conf_parse_duration_ms(str_of(bad[i]), &ms), "%s", bad[i]);
}

Test(values, sizes)
{
	static const struct {
		char text[16];
		int64_t n;
	} good[] = {
		{ "0", 0 },	      { "1024", 1024 },	       { "1B", 1 },
		{ "1KB", 1024 },      { "64KiB", 65536 },      { "250MB", 250ll << 20 },
		{ "2GB", 2ll << 30 }, { "1.5GiB", 3ll << 29 }, { "2GB512MB", 5ll << 29 },
		{ "1TB", 1ll << 40 }, { "7EiB", 7ll << 60 },   { "-1MB", -(1ll << 20) }
	};
	static const char bad[][12] = { "",    "B",    "5kB",	"5mb", "5 MB", "1.MBx",
					"MB5", "8EiB", "1e3MB", "5M",  "0x10" };
	int64_t n;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect(conf_parse_bytes(str_of(good[i].text), &n) && n == good[i].n,
			  "%s", good[i].text);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect(!conf_parse_bytes(str_of(bad[i]), &n), "%s", bad[i]);
}

Test(values, addresses)
{
	static const char good[][24] = { "0.0.0.0:10902", ":80", "[::]:9090", "[::1]:0",
					 "host.example:65535" };
	static const char bad[][24] = { "",	      "host",	"host:",       "host:x",
					"host:65536", "::1:80", "http://h:80", "h h:80",
					"h:+1" };
	struct conf_spec spec = { .type = OPT_ADDRESS };
	struct arena a;
	struct str s;

	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err e = ERR_INIT;
		cr_expect_eq(conf_value_parse(NULL, &a, &spec, str_of(good[i]), &s, &e),
			     0, "%s", good[i]);
		cr_expect(str_eqz(s, good[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		cr_expect_eq(conf_value_parse(NULL, &a, &spec, str_of(bad[i]), &s, &e),
			     -1, "%s", bad[i]);
	}
	arena_deinit(&a);
}

Test(flags, arguments_that_are_no_flags_are_taken_where_a_command_has_them)
{
	static const struct opt rows[] = {
		{ .name = "to", .type = OPT_STRING, .off = AT(dir) }, { 0 }
	};
	static const struct opt *const t[] = { rows, NULL };
	const struct conf_cmd c = { "tools x", "X.", t, "DIR..." };
	struct err e = ERR_INIT;
	struct buf b;
	char arg[5][8] = { "one", "--to=2", "two", "--", "--to" };
	char *argv[] = { arg[0], arg[1], arg[2], arg[3], arg[4] };

	arena_init(&arena, NULL);
	cr_assert_eq(conf_parse(NULL, &arena, &c, 5, argv, &o, sizeof(o), &res, &e), 0);
	cr_assert_eq(res.n_args, 3);
	cr_assert(str_eqz(res.args[0], "one") && str_eqz(res.args[1], "two") &&
		  str_eqz(res.args[2], "--to"));
	buf_init(&b, 10000);
	conf_help(&c, false, &b);
	cr_assert(str_has_prefix(buf_view(&b),
				 STR("usage: thanosc tools x [<flags>] DIR...\n\nX.\n")));
	buf_deinit(&b);
	arena_deinit(&arena);
}
