/*
 * promql/parse/parse_select.c - what stands in braces, name lists, and the modifiers of a selector.
 */
#include "base/time.h"
#include "base/vec.h"
#include "promql/parse/parse_int.h"

#define MAX_MS (INT64_C(292) * 365 * 86400 * 1000)

struct matcher_vec {
	struct matcher *v;
	size_t n, cap;
};

static struct matcher *matcher_slot(struct parser *p, struct matcher_vec *m)
{
	if (m->n == m->cap) { /* arena: the old array is left behind, lists are short */
		size_t cap = m->cap ? m->cap * 2 : 4;
		struct matcher *v = ARENA_ARRAY(p->a, struct matcher, cap);
		if (m->n)
			memcpy(v, m->v, m->n * sizeof(*v));
		m->v = v;
		m->cap = cap;
	}
	return &m->v[m->n];
}

static int add_matcher(struct parser *p, struct matcher_vec *m, enum match_type type,
		       struct str name, struct str value, uint32_t pos)
{
	struct err why = ERR_INIT;
	struct matcher *slot = matcher_slot(p, m);
	if (matcher_compile(p->ctx, p->a, type, name, value, slot, &why) < 0)
		return parse_fail(p, pos, "%s", err_text(&why));
	m->n++;
	return 0;
}

/* name op "value", or a quoted metric name alone. */
static int parse_matcher(struct parser *p, struct matcher_vec *m, struct str *metric,
			 uint32_t *metric_pos)
{
	struct tok name = p->tok;
	if (name.kind != TOK_IDENT && name.kind != TOK_STRING)
		return parse_unexpected(p, "label matching", "identifier or \"}\"");
	if (parse_next(p) < 0)
		return -1;
	if (name.kind == TOK_STRING && (tok_is(p, ",") || tok_is(p, "}"))) {
		if (metric->n)
			return parse_fail(
				p, *metric_pos,
				"metric name must not be set twice: \"%.*s\" or "
				"\"%.*s\"",
				STR_FMT(*metric), STR_FMT(name.value));
		*metric = name.value;
		*metric_pos = name.pos;
		return add_matcher(p, m, MATCH_EQ, LABEL_NAME, name.value, name.pos);
	}
	enum match_type type;
	if (tok_is(p, "="))
		type = MATCH_EQ;
	else if (tok_is(p, "!="))
		type = MATCH_NEQ;
	else if (tok_is(p, "=~"))
		type = MATCH_RE;
	else if (tok_is(p, "!~"))
		type = MATCH_NRE;
	else
		return parse_unexpected(p, "label matching", "label matching operator");
	if (parse_next(p) < 0)
		return -1;
	if (p->tok.kind != TOK_STRING)
		return parse_unexpected(p, "label matching", "string");
	struct str label = name.kind == TOK_STRING ? name.value : name.text;
	if (add_matcher(p, m, type, label, p->tok.value, name.pos) < 0)
		return -1;
	return parse_next(p);
}

static int check_matchers(struct parser *p, const struct matcher_vec *m, struct str outer,
			  uint32_t pos)
{
	bool some = false;
	for (size_t i = 0; i < m->n; i++) {
		if (outer.n && str_eq(m->v[i].name, LABEL_NAME))
			return parse_fail(
				p, pos,
				"metric name must not be set twice: \"%.*s\" or "
				"\"%.*s\"",
				STR_FMT(outer), STR_FMT(m->v[i].value));
		some |= !matcher_matches_empty(&m->v[i]);
	}
	if (!some && !outer.n)
		return parse_fail(
			p, pos,
			"vector selector must contain at least one non-empty matcher");
	return 0;
}

/* The current token may be "{"; `outer` is the metric name before it. */
int parse_braces(struct parser *p, struct select_node *s, struct str outer, uint32_t pos)
{
	struct matcher_vec m = { 0 };
	struct str metric = STR_NULL;
	uint32_t metric_pos = 0;
	if (tok_is(p, "{")) {
		if (parse_next(p) < 0)
			return -1;
		while (!tok_is(p, "}")) {
			if (parse_matcher(p, &m, &metric, &metric_pos) < 0)
				return -1;
			if (tok_is(p, ",")) {
				if (parse_next(p) < 0)
					return -1;
			} else if (!tok_is(p, "}")) {
				return parse_unexpected(p, "label matching",
							"\",\" or \"}\"");
			}
		}
		if (parse_next(p) < 0)
			return -1;
	}
	if (check_matchers(p, &m, outer, pos) < 0)
		return -1;
	if (outer.n && add_matcher(p, &m, MATCH_EQ, LABEL_NAME, outer, pos) < 0)
		return -1;
	s->name = outer;
	s->matchers = m.v;
	s->n_matchers = m.n;
	return 0;
}

static int by_name(const void *a, const void *b, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* "(" names ")" with an optional trailing comma. */
int parse_name_list(struct parser *p, struct str **out, size_t *n, const char *context,
		    bool sort)
{
	size_t cap = 0, k = 0;
	struct str *v = NULL;
	if (!tok_is(p, "("))
		return parse_unexpected(p, context, "\"(\"");
	if (parse_next(p) < 0)
		return -1;
	while (!tok_is(p, ")")) {
		if (p->tok.kind != TOK_IDENT && p->tok.kind != TOK_STRING)
			return parse_unexpected(p, context, "label");
		struct str name = p->tok.kind == TOK_STRING ? p->tok.value : p->tok.text;
		if (k == cap) {
			cap = cap ? cap * 2 : 4;
			struct str *w = ARENA_ARRAY(p->a, struct str, cap);
			if (k)
				memcpy(w, v, k * sizeof(*w));
			v = w;
		}
		v[k++] = str_dup(p->a, name);
		if (parse_next(p) < 0)
			return -1;
		if (tok_is(p, ",")) {
			if (parse_next(p) < 0)
				return -1;
		} else if (!tok_is(p, ")")) {
			return parse_unexpected(p, context, "\",\" or \")\"");
		}
	}
	if (parse_next(p) < 0)
		return -1;
	if (sort && k > 1) {
		vec_sort(v, k, sizeof(*v), by_name, NULL);
		size_t u = 1;
		for (size_t i = 1; i < k; i++)
			if (!str_eq(v[i], v[u - 1]))
				v[u++] = v[i];
		k = u;
	}
	*out = v;
	*n = k;
	return 0;
}

int parse_duration(struct parser *p, bool positive, int64_t *ms)
{
	bool neg = false;
	uint32_t pos = p->tok.pos;
	if (!positive && (tok_is(p, "-") || tok_is(p, "+"))) {
		neg = tok_is(p, "-");
		if (parse_next(p) < 0)
			return -1;
	}
	if (p->tok.kind != TOK_NUMBER && p->tok.kind != TOK_DURATION) {
		if (tok_is(p, "(") ||
		    (p->tok.kind == TOK_IDENT && parse_peek_char(p) == '('))
			return parse_fail(p, pos,
					  "duration expressions are not supported yet");
		return parse_unexpected(p, "subquery or range selector",
					"number or duration");
	}
	double s = p->tok.num;
	*ms = p->tok.kind == TOK_DURATION ? p->tok.ms : (int64_t)(s * 1000);
	if (p->tok.kind == TOK_NUMBER && !(s * 1000 < (double)MAX_MS))
		return parse_fail(p, pos, "duration out of range");
	if (positive && *ms <= 0)
		return parse_fail(p, pos, "duration must be greater than 0");
	if (neg)
		*ms = -*ms;
	if (parse_next(p) < 0)
		return -1;
	if (tok_is(p, "*") || tok_is(p, "/") || tok_is(p, "%") || tok_is(p, "^"))
		return positive ? parse_fail(p, p->tok.pos,
					     "duration expressions are not supported yet")
				: 0;
	if (positive && (tok_is(p, "+") || tok_is(p, "-")))
		return parse_fail(p, p->tok.pos,
				  "duration expressions are not supported yet");
	return 0;
}

/* Behind "@": a signed number or duration, start() or end(). */
int parse_at(struct parser *p, enum at_kind *kind, int64_t *ms)
{
	bool neg = false;
	if (tok_word(p, "start") || tok_word(p, "end")) {
		*kind = tok_word(p, "start") ? AT_START : AT_END;
		if (parse_next(p) < 0 || parse_want(p, "(", "@") < 0)
			return -1;
		return parse_want(p, ")", "@");
	}
	if (tok_is(p, "-") || tok_is(p, "+")) {
		neg = tok_is(p, "-");
		if (parse_next(p) < 0)
			return -1;
	}
	double v = p->tok.num;
	if (p->tok.kind == TOK_IDENT && (tok_word(p, "inf") || tok_word(p, "nan")))
		return parse_fail(p, p->tok.pos,
				  "timestamp out of bounds for @ modifier: %.*s",
				  STR_FMT(p->tok.text));
	if (p->tok.kind != TOK_NUMBER && p->tok.kind != TOK_DURATION)
		return parse_unexpected(p, "@", "timestamp");
	if (!(v < (double)INT64_MAX / 1000))
		return parse_fail(p, p->tok.pos,
				  "timestamp out of bounds for @ modifier: %g", v);
	*kind = AT_TIME;
	*ms = (int64_t)__builtin_round((neg ? -v : v) * 1000);
	return parse_next(p);
}
