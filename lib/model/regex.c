/*
 * model/regex.c - regular expressions as Prometheus anchors them.
 *
 * Each pattern is compiled by RE2, which also judges its syntax, and analysed by regex_plan.c. Most
 * matchers of dashboards are alternations of literals, prefixes and "contains"; those never reach
 * RE2's matcher.
 */
#include "model/regex.h"

#include <stdlib.h>

#include "base/limits.h"
#include "model/regex_plan.h"
#include "model/regex_shim.h"

#define GROUPS_ON_STACK 16

struct regex {
	void *re;
	size_t pattern_bytes;
	struct arena mem;
	struct regex_plan plan;
};

int regex_new(struct ctx *ctx, struct str pattern, struct regex **out, struct err *e)
{
	char why[200];
	if (pattern.n > LIMIT_REGEX_BYTES)
		return err_set(ctx, e, E_LIMIT,
			       "regular expression of %zu bytes, more than %u", pattern.n,
			       LIMIT_REGEX_BYTES);
	if (!pattern.p)
		pattern = STR("");
	void *re = regex_shim_new(pattern.p, pattern.n, why, sizeof why);
	if (!re)
		return err_set(ctx, e, E_INVALID, "error parsing regexp: %s", why);
	struct regex *r = xcalloc(1, sizeof *r);
	r->re = re;
	r->pattern_bytes = pattern.n;
	arena_init(&r->mem, NULL);
	regex_plan_make(&r->mem, pattern, &r->plan);
	*out = r;
	return 0;
}

#define BYTES_RE2  2048u /* the object itself, with small programs' tables */
#define BYTES_CHAR 48u	 /* nodes of the syntax tree */
#define BYTES_INST 32u	 /* an instruction forwards and backwards */

size_t regex_bytes(const struct regex *r)
{
	return sizeof *r + r->mem.total + BYTES_RE2 + r->pattern_bytes * BYTES_CHAR +
	       regex_shim_insts(r->re) * BYTES_INST;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	regex_shim_free(r->re);
	arena_deinit(&r->mem);
	free(r);
}

bool regex_match(const struct regex *r, struct str s)
{
	int known = regex_plan_match(&r->plan, s);
	if (known >= 0)
		return known > 0;
	return regex_shim_match(r->re, s.p ? s.p : "", s.n, NULL, 0);
}

const struct regex_info *regex_info(const struct regex *r)
{
	return &r->plan.info;
}

bool regex_submatch(const struct regex *r, struct str s, struct str *groups, size_t n)
{
	struct regex_span few[GROUPS_ON_STACK], *sub = few;
	if (n > GROUPS_ON_STACK)
		sub = xcalloc(n, sizeof *sub);
	bool ok = regex_shim_match(r->re, s.p ? s.p : "", s.n, sub, n);
	for (size_t i = 0; ok && i < n; i++)
		groups[i] = str_n(sub[i].p, sub[i].n);
	if (sub != few)
		free(sub);
	return ok;
}

size_t regex_group_count(const struct regex *r)
{
	return (size_t)regex_shim_groups(r->re);
}

int regex_group_index(const struct regex *r, struct str name)
{
	return regex_shim_group_index(r->re, name.p, name.n);
}
