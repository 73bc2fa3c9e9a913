/*
 * model/relabel.c - rules that keep, drop or rewrite label sets, as Prometheus has them.
 *
 *   - source_labels: [a, b]   joined by `separator` (";") to the value that `regex` ("(.*)", anchored) is held against
 *     action: replace         the default
 *     target_label: c         replace expands $1, ${name}, $$ in it and in `replacement` ("$1")
 *
 * A set under work is an array that grows in the arena; a label set to the empty value is taken out. Upper and lower
 * case: model/case.c.
 */
#include "model/relabel.h"

#include <stdlib.h>

#include "model/case.h"
#include "model/regex.h"
#include "wire/codec.h"
#include "wire/json.h"
#include "wire/rd.h"

#define DEFAULT_REGEX	    "(.*)"
#define DEFAULT_SEPARATOR   ";"
#define DEFAULT_REPLACEMENT "$1"
#define MAX_GROUPS	    64

struct rule {
	enum relabel_action action;
	struct str *source;
	size_t n_source;
	bool has_source, has_regex;
	struct str separator, target, replacement;
	struct regex *re;
	uint64_t modulus;
};
struct relabel {
	struct arena arena;
	struct rule *v;
	size_t n;
};

static const char *const action_names[RELABEL_ACTIONS] = {
	[RELABEL_REPLACE] = "replace",	   [RELABEL_KEEP] = "keep",
	[RELABEL_DROP] = "drop",	   [RELABEL_KEEPEQUAL] = "keepequal",
	[RELABEL_DROPEQUAL] = "dropequal", [RELABEL_HASHMOD] = "hashmod",
	[RELABEL_LABELMAP] = "labelmap",   [RELABEL_LABELDROP] = "labeldrop",
	[RELABEL_LABELKEEP] = "labelkeep", [RELABEL_LOWERCASE] = "lowercase",
	[RELABEL_UPPERCASE] = "uppercase",
};

/* ---- reading ---- */

static bool is_name(struct str s)
{
	return s.n && str_is_utf8(s);
}

static bool has_var(struct str s)
{
	return str_find_char(s, '$') >= 0;
}

static bool is_scalar(const struct doc *d)
{
	return d->kind != DOC_LIST && d->kind != DOC_MAP && d->kind != DOC_NULL;
}

static int read_text(struct ctx *ctx, struct relabel *r, const struct doc *d,
		     struct str key, struct str *out, struct err *e)
{
	if (d->kind == DOC_NULL)
		return 0;
	if (!is_scalar(d))
		return err_set(ctx, e, E_INVALID, "line %u: %.*s is not a text", d->line,
			       STR_FMT(key));
	*out = str_dup(&r->arena, d->s);
	return 0;
}

static int read_action(struct ctx *ctx, const struct doc *d, struct rule *out,
		       struct err *e)
{
	for (unsigned i = 0; is_scalar(d) && i < RELABEL_ACTIONS; i++)
		if (str_eq_nocase(d->s, str_of(action_names[i]))) {
			out->action = i;
			return 0;
		}
	return err_set(ctx, e, E_INVALID, "unknown relabel action \"%.*s\"",
		       STR_FMT(d->s));
}

static int read_sources(struct ctx *ctx, struct relabel *r, const struct doc *d,
			struct rule *out, struct err *e)
{
	if (d->kind == DOC_NULL)
		return 0;
	if (d->kind != DOC_LIST)
		return err_set(ctx, e, E_INVALID, "line %u: source_labels is not a list",
			       d->line);
	out->has_source = true;
	out->source = ARENA_ARRAY(&r->arena, struct str, d->n + 1);
	for (size_t i = 0; i < d->n; i++) {
		if (read_text(ctx, r, d->item[i], STR("a source label"), &out->source[i],
			      e) < 0)
			return -1;
		if (!is_name(out->source[i]))
			return err_set(ctx, e, E_INVALID,
				       "\"%.*s\" is not a valid label name",
				       STR_FMT(out->source[i]));
	}
	out->n_source = d->n;
	return 0;
}

static int read_modulus(struct ctx *ctx, const struct doc *d, struct rule *out,
			struct err *e)
{
	if (d->kind == DOC_NULL)
		return 0;
	if (d->kind != DOC_INT || !str_to_u64(d->s, &out->modulus))
		return err_set(ctx, e, E_INVALID,
			       "line %u: modulus is not a whole number above 0", d->line);
	return 0;
}

static int read_field(struct ctx *ctx, struct relabel *r, struct str key,
		      const struct doc *d, struct rule *out, struct str *regex,
		      struct err *e)
{
	if (str_eq(key, STR("source_labels")))
		return read_sources(ctx, r, d, out, e);
	if (str_eq(key, STR("separator")))
		return read_text(ctx, r, d, key, &out->separator, e);
	if (str_eq(key, STR("target_label")))
		return read_text(ctx, r, d, key, &out->target, e);
	if (str_eq(key, STR("replacement")))
		return read_text(ctx, r, d, key, &out->replacement, e);
	if (str_eq(key, STR("modulus")))
		return read_modulus(ctx, d, out, e);
	if (str_eq(key, STR("action")))
		return read_action(ctx, d, out, e);
	if (str_eq(key, STR("regex"))) {
		out->has_regex = true;
		if (d->kind == DOC_NULL)
			*regex = STR("");
		return read_text(ctx, r, d, key, regex, e);
	}
	return err_set(ctx, e, E_INVALID, "line %u: unknown field %.*s", d->line,
		       STR_FMT(key));
}

static int bad_name(struct ctx *ctx, const struct rule *x, struct str value,
		    const char *field, struct err *e)
{
	return err_set(ctx, e, E_INVALID, "\"%.*s\" is invalid '%s' for %s action",
		       STR_FMT(value), field, action_names[x->action]);
}

static bool only_regex(const struct rule *x)
{
	return !x->has_source && !x->target.n && !x->modulus &&
	       str_eq(x->separator, STR(DEFAULT_SEPARATOR)) &&
	       str_eq(x->replacement, STR(DEFAULT_REPLACEMENT));
}

static bool only_equal(const struct rule *x)
{
	return !x->has_regex && !x->modulus &&
	       str_eq(x->separator, STR(DEFAULT_SEPARATOR)) &&
	       str_eq(x->replacement, STR(DEFAULT_REPLACEMENT));
}

/* In Prometheus' order, with its texts. */
static int check_rule(struct ctx *ctx, const struct rule *x, struct err *e)
{
	unsigned bit = RELABEL_BIT(x->action);
	const unsigned equal = RELABEL_BIT(RELABEL_KEEPEQUAL) |
			       RELABEL_BIT(RELABEL_DROPEQUAL),
		       cased = RELABEL_BIT(RELABEL_LOWERCASE) |
			       RELABEL_BIT(RELABEL_UPPERCASE);
	const char *name = action_names[x->action];
	if (x->action == RELABEL_HASHMOD && x->modulus == 0)
		return err_set(
			ctx, e, E_INVALID,
			"relabel configuration for hashmod requires non-zero modulus");
	if ((bit & (equal | cased | RELABEL_BIT(RELABEL_REPLACE) |
		    RELABEL_BIT(RELABEL_HASHMOD))) &&
	    x->target.n == 0)
		return err_set(
			ctx, e, E_INVALID,
			"relabel configuration for %s action requires 'target_label' value",
			name);
	if (x->target.n && !str_is_utf8(x->target))
		return bad_name(ctx, x, x->target, "target_label", e);
	if ((bit & (equal | cased)) && !str_eq(x->replacement, STR(DEFAULT_REPLACEMENT)))
		return err_set(ctx, e, E_INVALID,
			       "'replacement' can not be set for %s action", name);
	if (x->action == RELABEL_LABELMAP && !is_name(x->replacement))
		return bad_name(ctx, x, x->replacement, "replacement", e);
	if ((bit & equal) && !only_equal(x))
		return err_set(ctx, e, E_INVALID,
			       "%s action requires only 'source_labels' and "
			       "`target_label`, and no other fields",
			       name);
	if ((bit & (RELABEL_BIT(RELABEL_LABELDROP) | RELABEL_BIT(RELABEL_LABELKEEP))) &&
	    !only_regex(x))
		return err_set(ctx, e, E_INVALID,
			       "%s action requires only 'regex', and no other fields",
			       name);
	return 0;
}

static int read_rule(struct ctx *ctx, struct relabel *r, const struct doc *d,
		     struct rule *out, struct err *e)
{
	struct str regex = STR(DEFAULT_REGEX);
	*out = (struct rule){ .separator = STR(DEFAULT_SEPARATOR),
			      .replacement = STR(DEFAULT_REPLACEMENT) };
	if (d->kind != DOC_MAP)
		return err_set(ctx, e, E_INVALID, "line %u: a rule is not a mapping",
			       d->line);
	for (size_t i = 0; i < d->n; i++)
		if (read_field(ctx, r, d->key[i]->s, d->item[i], out, &regex, e) < 0)
			return -1;
	if (regex_new(ctx, regex, &out->re, e) < 0)
		return -1;
	return check_rule(ctx, out, e);
}

static int read_rules(struct ctx *ctx, struct relabel *r, const struct doc *d,
		      unsigned allowed, struct err *e)
{
	if (d->kind == DOC_NULL)
		return 0;
	if (d->kind != DOC_LIST)
		return err_set(ctx, e, E_INVALID,
			       "parsing relabel configuration: not a list of rules");
	r->v = ARENA_ARRAY(&r->arena, struct rule, d->n + 1);
	for (size_t i = 0; i < d->n; i++) {
		r->n = i + 1;
		if (read_rule(ctx, r, d->item[i], &r->v[i], e) < 0)
			return err_wrap(ctx, e, "relabel configuration: rule %zu", i + 1);
	}
	for (size_t i = 0; i < r->n; i++)
		if (!(allowed & RELABEL_BIT(r->v[i].action)))
			return err_set(ctx, e, E_INVALID,
				       "unsupported relabel action: %s",
				       action_names[r->v[i].action]);
	return 0;
}

int relabel_parse(struct ctx *ctx, struct str yaml, unsigned allowed,
		  struct relabel **out, struct err *e)
{
	struct relabel *r = xcalloc(1, sizeof(*r));
	struct arena docs;
	struct doc *d;
	arena_init(&r->arena, NULL);
	arena_init(&docs, NULL);
	int rc = yaml_parse(ctx, &docs, yaml, &d, e);
	if (rc < 0)
		err_wrap(ctx, e, "parsing relabel configuration");
	else
		rc = read_rules(ctx, r, d, allowed, e);
	arena_deinit(&docs);
	if (rc < 0) {
		relabel_free(r);
		return -1;
	}
	*out = r;
	return 0;
}

void relabel_free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		regex_free(r->v[i].re);
	arena_deinit(&r->arena);
	free(r);
}

size_t relabel_rules(const struct relabel *r)
{
	return r->n;
}

/* ---- a set under work ---- */

struct work {
	struct arena *a;
	struct label *l; /* in no order; deleted ones are gone */
	size_t n, cap;
};

static size_t find(const struct work *w, struct str name)
{
	size_t i = 0;
	while (i < w->n && !str_eq(w->l[i].name, name))
		i++;
	return i;
}

static struct str get(const struct work *w, struct str name)
{
	size_t i = find(w, name);
	return i < w->n ? w->l[i].value : STR("");
}

static void set(struct work *w, struct str name, struct str value)
{
	size_t i = find(w, name);
	if (value.n == 0) {
		if (i < w->n)
			w->l[i] = w->l[--w->n];
		return;
	}
	if (i == w->n) {
		if (w->n == w->cap) {
			struct label *l = ARENA_ARRAY(w->a, struct label, 2 * w->cap + 4);
			if (w->n)
				memcpy(l, w->l, w->n * sizeof(*l));
			w->l = l;
			w->cap = 2 * w->cap + 4;
		}
		w->n++;
	}
	w->l[i] = (struct label){ name, value };
}

static struct str joined(const struct work *w, const struct rule *x)
{
	size_t n = 0, at = 0;
	if (x->n_source == 1)
		return get(w, x->source[0]);
	for (size_t i = 0; i < x->n_source; i++)
		n += get(w, x->source[i]).n + (i ? x->separator.n : 0);
	char *p = arena_alloc(w->a, n + 1);
	for (size_t i = 0; i < x->n_source; i++) {
		struct str part = get(w, x->source[i]);
		if (i && x->separator.n)
			memcpy(p + at, x->separator.p, x->separator.n);
		at += i ? x->separator.n : 0;
		if (part.n)
			memcpy(p + at, part.p, part.n);
		at += part.n;
	}
	return str_n(p, n);
}

/* ---- templates, as Go's Regexp.Expand reads them ---- */

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '_';
}

/* The name behind a '$', and what follows it; false: no reference, the '$' stands for itself. */
static bool reference(struct str *rest, struct str *name)
{
	struct str s = *rest;
	bool brace = s.n && s.p[0] == '{';
	size_t from = brace, i = from;
	while (i < s.n && is_word(s.p[i]))
		i++;
	if (i == from || (brace && (i == s.n || s.p[i] != '}')))
		return false;
	*name = str_n(s.p + from, i - from);
	*rest = str_from(s, i + brace);
	return true;
}

static struct str group_value(const struct rule *x, struct str name,
			      const struct str *groups, size_t n)
{
	uint64_t i;
	if (!str_to_u64(name, &i)) {
		int at = regex_group_index(x->re, name);
		if (at < 0)
			return STR("");
		i = (uint64_t)at;
	}
	return i < n ? groups[i] : STR("");
}

static struct str expand(struct arena *a, const struct rule *x, struct str template,
			 const struct str *groups, size_t n)
{
	struct buf out;
	struct str rest = template, before, name;
	if (!has_var(template))
		return template;
	buf_init(&out, SIZE_MAX);
	while (str_cut(&rest, '$', &before)) {
		buf_str(&out, before);
		if (rest.n && rest.p[0] == '$') {
			buf_byte(&out, '$');
			rest = str_from(rest, 1);
		} else if (reference(&rest, &name)) {
			struct str v = group_value(x, name, groups, n);
			if (v.n)
				buf_str(&out, v);
		} else {
			buf_byte(&out, '$');
		}
	}
	buf_str(&out, before);
	struct str s = str_dup(a, buf_view(&out));
	buf_deinit(&out);
	return s;
}

/* ---- applying ---- */

static void replace(struct work *w, const struct rule *x, struct str value)
{
	struct str groups[MAX_GROUPS];
	size_t n = MIN(regex_group_count(x->re) + 1, (size_t)MAX_GROUPS);
	if (!regex_submatch(x->re, value, groups, n))
		return;
	struct str target = expand(w->a, x, x->target, groups, n);
	if (is_name(target))
		set(w, target, expand(w->a, x, x->replacement, groups, n));
}

static void hashmod(struct work *w, const struct rule *x, struct str value)
{
	uint8_t digest[16];
	uint64_t v = 0;
	struct md5 *h = md5_new();
	md5_feed(h, value);
	md5_done(h, digest);
	for (unsigned i = 8; i < 16; i++)
		v = v << 8 | digest[i];
	set(w, x->target, str_fmt(w->a, "%llu", (unsigned long long)(v % x->modulus)));
}

static void map_names(struct work *w, const struct rule *x)
{
	struct str groups[MAX_GROUPS];
	size_t n = MIN(regex_group_count(x->re) + 1, (size_t)MAX_GROUPS), was = w->n;
	struct label *l = ARENA_ARRAY(w->a, struct label, was + 1);
	if (was)
		memcpy(l, w->l, was * sizeof(*l));
	for (size_t i = 0; i < was; i++)
		if (regex_submatch(x->re, l[i].name, groups, n))
			set(w, expand(w->a, x, x->replacement, groups, n), l[i].value);
}

static void filter_names(struct work *w, const struct rule *x, bool keep)
{
	size_t n = 0;
	for (size_t i = 0; i < w->n; i++)
		if (regex_match(x->re, w->l[i].name) == keep)
			w->l[n++] = w->l[i];
	w->n = n;
}

static bool apply(struct work *w, const struct rule *x)
{
	struct str value = joined(w, x);
	switch (x->action) {
	case RELABEL_KEEP: return regex_match(x->re, value);
	case RELABEL_DROP: return !regex_match(x->re, value);
	case RELABEL_KEEPEQUAL: return str_eq(get(w, x->target), value);
	case RELABEL_DROPEQUAL: return !str_eq(get(w, x->target), value);
	case RELABEL_REPLACE: replace(w, x, value); break;
	case RELABEL_HASHMOD: hashmod(w, x, value); break;
	case RELABEL_LABELMAP: map_names(w, x); break;
	case RELABEL_LABELDROP: filter_names(w, x, false); break;
	case RELABEL_LABELKEEP: filter_names(w, x, true); break;
	case RELABEL_LOWERCASE: set(w, x->target, case_lower(w->a, value)); break;
	case RELABEL_UPPERCASE: set(w, x->target, case_upper(w->a, value)); break;
	case RELABEL_ACTIONS: BUG_ON(true);
	}
	return true;
}

bool relabel_apply(const struct relabel *r, struct arena *a, struct labels in,
		   struct labels *out)
{
	struct work w = { .a = a, .n = in.n, .cap = in.n };
	w.l = ARENA_ARRAY(a, struct label, in.n + 1);
	if (in.n)
		memcpy(w.l, in.l, in.n * sizeof(*w.l));
	for (size_t i = 0; i < r->n; i++)
		if (!apply(&w, &r->v[i]))
			return false;
	if (w.n == 0)
		return false;
	labels_sort(w.l, w.n);
	*out = (struct labels){ w.l, (uint32_t)w.n, 0 };
	return true;
}
