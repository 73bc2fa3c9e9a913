/*
 * fuzz_flags.c - lines of the input as arguments; and the input as each kind of value,
 * and as a YAML document bound to rows.
 */
#include <stddef.h>

#include "conf/values.h"
#include "conf/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct opts {
	struct str s, e, addr;
	struct conf_strs l;
	int64_t i, d, b, t;
	struct conf_time m;
	double f;
	bool on;
	struct conf_list list;
	const struct doc *any;
};
#define AT(f) offsetof(struct opts, f)

static const struct opt rows[] = {
	{ .name = "string", .type = OPT_STRING, .off = AT(s), .short_name = 's' },
	{ .name = "strings", .type = OPT_STRINGS, .off = AT(l), .def = "a,b" },
	{ .name = "enum", .type = OPT_ENUM, .off = AT(e), .choices = "a|b|c" },
	{ .name = "address", .type = OPT_ADDRESS, .off = AT(addr) },
	{ .name = "int", .type = OPT_INT, .off = AT(i), .min = -5, .max = 5 },
	{ .name = "duration", .type = OPT_DURATION_MS, .off = AT(d), .short_name = 'd' },
	{ .name = "bytes", .type = OPT_BYTES, .off = AT(b) },
	{ .name = "time", .type = OPT_TIME, .off = AT(t) },
	{ .name = "moving", .type = OPT_TIME_MOVING, .off = AT(m) },
	{ .name = "float", .type = OPT_FLOAT, .off = AT(f) },
	{ .name = "bool", .type = OPT_BOOL, .off = AT(on), .short_name = 'b' },
	{ .name = "later", .type = OPT_NOT_YET, .def = "x" },
	{ .name = "gogc", .type = OPT_NO_EFFECT },
	{ 0 }
};
static const struct yopt inner[] = {
	{ .name = "s", .type = OPT_STRING, .bits = OPTF_REQUIRED },
	{ 0 },
};
static const struct yopt yrows[] = {
	{ .name = "string", .type = OPT_STRING, .off = AT(s) },
	{ .name = "strings", .type = OPT_STRINGS, .off = AT(l), .def = "a,b" },
	{ .name = "enum", .type = OPT_ENUM, .off = AT(e), .choices = "a|b|c" },
	{ .name = "int", .type = OPT_INT, .off = AT(i), .min = -5, .max = 5 },
	{ .name = "duration", .type = OPT_DURATION_MS, .off = AT(d) },
	{ .name = "bytes", .type = OPT_BYTES, .off = AT(b) },
	{ .name = "moving", .type = OPT_TIME_MOVING, .off = AT(m) },
	{ .name = "float", .type = OPT_FLOAT, .off = AT(f) },
	{ .name = "bool", .type = OPT_BOOL, .off = AT(on) },
	{ .name = "list",
	  .nest = YOPT_LIST,
	  .off = AT(list),
	  .rows = inner,
	  .elem = sizeof(struct str) },
	{ .name = "any", .nest = YOPT_ANY, .off = AT(any) },
	{ .name = "later", .type = OPT_NOT_YET, .def = "x" },
	{ 0 }
};

static void as_arguments(struct arena *a, struct str s)
{
	static const struct opt *const tables[] = { rows, NULL };
	static const struct conf_cmd cmd = { "fuzz", "Fuzz.", tables, NULL };
	char *argv[64];
	int argc = 0;
	struct opts o;
	struct conf_result r;
	struct err e = ERR_INIT;
	bool more = s.n > 0;

	while (more && argc < 64) {
		struct str line;
		more = str_cut(&s, '\n', &line);
		argv[argc++] = str_dupz(a, line);
	}
	if (conf_parse(NULL, a, &cmd, argc, argv, &o, sizeof(o), &r, &e) < 0)
		BUG_ON(e.code == E_OK || err_text(&e)[0] == 0);
	else if (!r.help && !r.version)
		BUG_ON(r.n_flags != ARRAY_LEN(rows) - 1 || o.i < -5 || o.i > 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str s = str_n(p, n);
	struct err e = ERR_INIT;
	struct doc *d = NULL;
	struct arena a;
	struct opts o;
	int64_t v;

	if (n > 16u << 10)
		return 0;
	arena_init(&a, NULL);
	as_arguments(&a, s);
	(void)conf_parse_duration_ms(s, &v);
	(void)conf_parse_bytes(s, &v);
	if (yaml_parse(NULL, &a, s, &d, &e) == 0 &&
	    conf_bind(NULL, &a, d, yrows, &o, sizeof(o), "fuzz", &e) < 0)
		BUG_ON(e.code != E_INVALID);
	arena_deinit(&a);
	return 0;
}
