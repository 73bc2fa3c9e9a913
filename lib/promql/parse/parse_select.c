/*
 * promql/parse/parse_select.c - selectors with their matchers, and lists of
 * label names.
 *
 * Any name may be given as a string, so that names beyond [a-zA-Z0-9_:] can be
 * written: {"my.metric"} for the metric, too. Matchers keep the order of the
 * source, the one of an outer name comes last. That a selector selects less
 * than everything is checked by check.c.
 */
#include "base/vec.h"
#include "promql/parse/parse_int.h"

struct matcher_vec {
	struct matcher *v;
	size_t n, cap;
};

static int add_matcher(struct parser *p, struct matcher_vec *m, enum match_type type,
		       struct str name, struct str value, uint32_t pos)
{
	struct err why = ERR_INIT;
	m->v = parse_grow(p, m->v, m->n, &m->cap, sizeof(*m->v));
	if (!m->v)
		return -1;
	if (matcher_compile(p->ctx, p->a, type, name, value, &m->v[m->n], &why) < 0)
		return parse_fail(p, pos, "%s", err_text(&why));
	m->n++;
	return 0;
}

static bool match_operator(struct parser *p, enum match_type *type)
{
	static const struct {
		const char *text;
		enum match_type type;
	} rows[] = { { "=", MATCH_EQ },
		     { "!=", MATCH_NEQ },
		     { "=~", MATCH_RE },
		     { "!~", MATCH_NRE } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (tok_take(p, rows[i].text)) {
			*type = rows[i].type;
			return true;
		}
	return false;
}

/* name op "value", or the metric's name as a string. */
static int parse_matcher(struct parser *p, struct matcher_vec *m)
{
	enum match_type type;
	enum tok_kind kind = parse_peek(p)->kind;
	if (kind != TOK_IDENT && kind != TOK_STRING)
		return parse_unexpected(p, "label matching", "identifier or \"}\"");
	struct tok name = parse_take(p);
	struct str label = kind == TOK_STRING ? lex_unquote(p->a, name.text) : name.text;
	if (!match_operator(p, &type)) {
		if (kind == TOK_IDENT)
			return parse_unexpected(p, "label matching",
						"label matching operator");
		return add_matcher(p, m, MATCH_EQ, LABEL_NAME, label, name.pos);
	}
	if (parse_peek(p)->kind != TOK_STRING)
		return parse_unexpected(p, "label matching", "string");
	struct tok value = parse_take(p);
	return add_matcher(p, m, type, label, lex_unquote(p->a, value.text), name.pos);
}

static int parse_matchers(struct parser *p, struct matcher_vec *m)
{
	while (!tok_take(p, "}")) {
		if (parse_matcher(p, m) < 0)
			return -1;
		if (!tok_take(p, ",") && !tok_is(p, "}"))
			return parse_unexpected(p, "label matching", "\",\" or \"}\"");
	}
	return 0;
}

bool parse_may_be_metric(const struct tok *t)
{
	static const char *const never[] = { "bool",	   "on",	  "ignoring",
					     "group_left", "group_right", "atan2" };
	if (t->kind != TOK_KEY)
		return t->kind == TOK_IDENT || t->kind == TOK_METRIC;
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (str_eq_nocase(t->text, str_of(never[i])))
			return false;
	return true;
}

int parse_selector(struct parser *p, const struct tok *name, struct expr **out)
{
	struct matcher_vec m = { 0 };
	struct expr *x =
		parse_node(p, EXPR_VECTOR, name ? name->pos : parse_peek(p)->pos);
	if (!x)
		return -1;
	struct select_node *s = &x->s.sel;
	if (name)
		s->name = str_dup(p->a, name->text);
	if (tok_take(p, "{") && parse_matchers(p, &m) < 0)
		return -1;
	if (name && add_matcher(p, &m, MATCH_EQ, LABEL_NAME, s->name, x->pos) < 0)
		return -1;
	x->type = TYPE_VECTOR;
	x->end = p->last_end;
	s->matchers = m.v;
	s->n_matchers = m.n;
	*out = x;
	return 0;
}

/* ---- lists of names ---- */

static int by_name(const void *a, const void *b, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static size_t sort_unique(struct str *v, size_t n)
{
	size_t u = n > 0;
	vec_sort(v, n, sizeof(*v), by_name, NULL);
	for (size_t i = 1; i < n; i++)
		if (!str_eq(v[i], v[u - 1]))
			v[u++] = v[i];
	return u;
}

/* Names and most keywords, or strings; a name is not empty and UTF-8. */
static int parse_name(struct parser *p, struct str *out)
{
	const struct tok *t = parse_peek(p);
	bool key = t->kind == TOK_KEY && !tok_word(p, "without");
	if (!key && t->kind != TOK_IDENT && t->kind != TOK_METRIC &&
	    t->kind != TOK_STRING)
		return parse_unexpected(p, "grouping opts", "label");
	struct tok name = parse_take(p);
	*out = name.kind == TOK_STRING ? lex_unquote(p->a, name.text)
				       : str_dup(p->a, name.text);
	if (out->n && str_is_utf8(*out))
		return 0;
	struct str q = lex_quote_str(p->a, *out);
	return parse_fail(p, name.pos, "invalid label name for grouping: %.*s",
			  STR_FMT(q));
}

/* "(" names ")"; a comma may stand behind the last. */
int parse_name_list(struct parser *p, struct str **out, size_t *n)
{
	size_t cap = 0, k = 0;
	struct str *v = NULL;
	if (!tok_take(p, "("))
		return parse_unexpected(p, "grouping opts", "\"(\"");
	while (!tok_take(p, ")")) {
		v = parse_grow(p, v, k, &cap, sizeof(*v));
		if (!v || parse_name(p, &v[k]) < 0)
			return -1;
		k++;
		if (!tok_take(p, ",") && !tok_is(p, ")"))
			return parse_unexpected(p, "grouping opts", "\",\" or \")\"");
	}
	*n = k;
	*out = v;
	return 0;
}

int parse_sort_names(struct parser *p, const struct str *v, size_t n, struct str **out,
		     size_t *n_out)
{
	*out = NULL;
	*n_out = 0;
	if (n == 0)
		return 0;
	struct str *to = arena_try(p->a, p->ctx, n * sizeof(*to), p->e);
	if (!to) {
		p->failed = true;
		return -1;
	}
	memcpy(to, v, n * sizeof(*to));
	*n_out = sort_unique(to, n);
	*out = to;
	return 0;
}
