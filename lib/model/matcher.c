/*
 * model/matcher.c - label matchers. A missing label is the empty value: {a=""} selects series
 * without a, {a!=""} those with it.
 */
#include "model/matcher.h"

#include "model/regex.h"

/* Compiled outside the arena, and charged to its budget all the same. */
struct owned {
	struct regex *re;
	struct budget *budget;
	size_t bytes;
};

static void free_regex(void *arg)
{
	struct owned *o = arg;
	regex_free(o->re);
	budget_give(o->budget, o->bytes);
}

static int own_regex(struct ctx *ctx, struct arena *a, struct regex *re, struct err *e)
{
	struct owned *o = arena_try(a, ctx, sizeof(*o), e);
	size_t n = regex_bytes(re);
	if (!o || (a->budget && budget_take(a->budget, ctx, n, e) < 0)) {
		regex_free(re);
		return -1;
	}
	*o = (struct owned){ re, a->budget, n };
	arena_on_free(a, free_regex, o);
	return 0;
}

int matcher_compile(struct ctx *ctx, struct arena *a, enum match_type type,
		    struct str name, struct str value, struct matcher *out, struct err *e)
{
	struct regex *re = NULL;
	char *p = arena_try(a, ctx, name.n + value.n + 2, e);
	if (!p)
		return -1;
	if (type == MATCH_RE || type == MATCH_NRE) {
		if (regex_new(ctx, value, &re, e) < 0 || own_regex(ctx, a, re, e) < 0)
			return -1;
	} else if (type != MATCH_EQ && type != MATCH_NEQ) {
		return err_set(ctx, e, E_INVALID, "unknown matcher type %d", (int)type);
	}
	char *v = p + name.n + 1; /* NUL behind both */
	if (name.n)
		memcpy(p, name.p, name.n);
	if (value.n)
		memcpy(v, value.p, value.n);
	p[name.n] = v[value.n] = '\0';
	*out = (struct matcher){ type, str_n(p, name.n), str_n(v, value.n), re };
	return 0;
}

bool matcher_matches(const struct matcher *m, struct str value)
{
	switch (m->type) {
	case MATCH_EQ: return str_eq(value, m->value);
	case MATCH_NEQ: return !str_eq(value, m->value);
	case MATCH_RE: return regex_match(m->re, value);
	case MATCH_NRE: return !regex_match(m->re, value);
	}
	return false;
}

bool matcher_matches_empty(const struct matcher *m)
{
	return matcher_matches(m, STR(""));
}

bool matcher_labels(const struct matcher *m, size_t n, struct labels ls)
{
	for (size_t i = 0; i < n; i++)
		if (!matcher_matches(&m[i], labels_get(ls, m[i].name)))
			return false;
	return true;
}

void matcher_text(const struct matcher *m, struct buf *out)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	if (label_name_is_legacy(m->name))
		buf_str(out, m->name);
	else
		label_quote(m->name, out);
	buf_str(out, str_of(ops[m->type]));
	label_quote(m->value, out);
}
