/*
 * promql/parse/parser.c - the parser's state: look-ahead, failure, nodes; and
 * the entry points.
 */
#include "base/limits.h"
#include "promql/parse/parse_expr.h"

/* ---- failure ---- */

int parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...)
{
	uint32_t line, col;
	va_list ap;
	if (p->failed)
		return -1;
	p->failed = true;
	va_start(ap, fmt);
	err_setv(p->ctx, p->e, E_PARSE, fmt, ap);
	va_end(ap);
	if (p->lex.in.n == 0)
		return err_wrap(p->ctx, p->e, "unknown position: parse error");
	promql_position(p->lex.in, pos, &line, &col);
	return err_wrap(p->ctx, p->e, "%u:%u: parse error", line, col);
}

/* The first 10 characters, quoted. */
static struct str shortened(struct parser *p, struct str s)
{
	size_t n = 0;
	for (int i = 0; i < 10 && n < s.n; i++) {
		unsigned k = str_utf8_len(s.p + n, s.n - n);
		n += k ? k : 1;
	}
	struct str q = lex_quote_str(p->a, str_n(s.p, n));
	return s.n > 10 ? str_fmt(p->a, "%.*s...", STR_FMT(q)) : q;
}

static struct str item_text(struct parser *p, const struct tok *t)
{
	static const char *const kinds[] = { [TOK_IDENT] = "identifier",
					     [TOK_METRIC] = "metric identifier",
					     [TOK_NUMBER] = "number",
					     [TOK_DURATION] = "duration",
					     [TOK_STRING] = "string" };
	static const char *const formats[] = {
		[KEY_OP] = "op:", [KEY_AGGR] = "aggr:", [KEY_MODIFIER] = ""
	};
	struct str q;
	switch (t->kind) {
	case TOK_EOF: return STR("end of input");
	case TOK_IDENT:
	case TOK_METRIC: q = lex_quote_str(p->a, t->text); break;
	case TOK_SYMBOL:
		if (strchr("(){}[],:", t->text.p[0]) || str_eqz(t->text, "="))
			return lex_quote_str(p->a, t->text);
		return str_fmt(p->a, "<op:%.*s>", STR_FMT(t->text));
	case TOK_KEY:
		if (t->key == KEY_CALL)
			return lex_quote_str(p->a, t->text);
		return str_fmt(p->a, "<%s%.*s>", formats[t->key], STR_FMT(t->text));
	default: q = shortened(p, t->text); break;
	}
	return str_fmt(p->a, "%s %.*s", kinds[t->kind], STR_FMT(q));
}

int parse_unexpected(struct parser *p, const char *context, const char *expected)
{
	const struct tok *t = parse_peek(p);
	if (p->failed)
		return -1;
	if (!context && p->aggregations)
		context = "aggregation";
	struct str item = item_text(p, t);
	return parse_fail(p, t->pos, "unexpected %.*s%s%s%s%s", STR_FMT(item),
			  context ? " in " : "", context ? context : "",
			  expected ? ", expected " : "", expected ? expected : "");
}

/* ---- look-ahead ---- */

const struct tok *parse_peek(struct parser *p)
{
	if (!p->have) {
		lex_token(p, &p->tok);
		p->have = true;
	}
	return &p->tok;
}

struct tok parse_take(struct parser *p)
{
	struct tok t = *parse_peek(p);
	BUG_ON(t.kind == TOK_EOF || t.kind == TOK_ERROR);
	p->last_end = t.pos + (uint32_t)t.text.n;
	p->have = false;
	return t;
}

bool tok_is(struct parser *p, const char *symbol)
{
	const struct tok *t = parse_peek(p);
	return t->kind == TOK_SYMBOL && str_eqz(t->text, symbol);
}

bool tok_word(struct parser *p, const char *key)
{
	const struct tok *t = parse_peek(p);
	return t->kind == TOK_KEY && str_eq_nocase(t->text, str_of(key));
}

bool tok_take(struct parser *p, const char *symbol)
{
	if (!tok_is(p, symbol))
		return false;
	parse_take(p);
	return true;
}

int parse_want(struct parser *p, const char *symbol)
{
	return tok_take(p, symbol) ? 0 : parse_unexpected(p, NULL, NULL);
}

/* ---- memory ---- */

struct expr *parse_node(struct parser *p, enum expr_kind kind, uint32_t pos)
{
	struct expr *x = NULL;
	if (!p->failed)
		x = arena_try(p->a, p->ctx, sizeof(*x), p->e);
	if (!x) {
		p->failed = true;
		return NULL;
	}
	*x = (struct expr){ .kind = kind, .pos = pos, .depth = 1 };
	return x;
}

void *parse_grow(struct parser *p, void *old, size_t n, size_t *cap, size_t elem)
{
	if (n < *cap)
		return old;
	*cap = *cap ? *cap * 2 : 4;
	void *v = p->failed ? NULL : arena_try(p->a, p->ctx, *cap * elem, p->e);
	if (!v)
		p->failed = true;
	else if (n)
		memcpy(v, old, n * elem);
	return v;
}

int parse_deepen(struct parser *p, struct expr *x, const struct expr *child)
{
	x->depth = MAX(x->depth, child->depth + 1);
	if (x->depth <= LIMIT_PROMQL_DEPTH)
		return 0;
	return parse_fail(p, x->pos, "expression is nested deeper than %d levels",
			  LIMIT_PROMQL_DEPTH);
}

/* ---- entry points ---- */

static int parser_init(struct parser *p, struct ctx *ctx, struct arena *a,
		       struct str text, struct err *e)
{
	*p = (struct parser){ .ctx = ctx, .a = a, .lex = { .in = text }, .e = e };
	if (text.n > LIMIT_CONFIG_BYTES)
		return err_set(ctx, e, E_LIMIT, "query is longer than %u bytes",
			       LIMIT_CONFIG_BYTES);
	return 0;
}

int promql_parse(struct ctx *ctx, struct arena *a, struct str query, unsigned features,
		 struct expr **out, struct err *e)
{
	struct parser p;
	struct expr *x;
	if (parser_init(&p, ctx, a, query, e) < 0)
		return -1;
	p.features = features;
	if (parse_peek(&p)->kind == TOK_EOF)
		return parse_fail(&p, 0, "no expression found in input");
	if (parse_expr(&p, 0, &x) < 0)
		return -1;
	if (parse_peek(&p)->kind != TOK_EOF)
		return parse_unexpected(&p, NULL, NULL);
	if (check_expr(&p, x) < 0)
		return -1;
	*out = x;
	return 0;
}

int promql_parse_selector(struct ctx *ctx, struct arena *a, struct str text,
			  struct matcher **out, size_t *n, struct err *e)
{
	struct parser p;
	struct expr *x;
	struct tok name;
	if (parser_init(&p, ctx, a, text, e) < 0)
		return -1;
	bool named = parse_may_be_metric(parse_peek(&p));
	if (!named && !tok_is(&p, "{"))
		return parse_unexpected(&p, NULL, NULL);
	if (named)
		name = parse_take(&p);
	if (parse_selector(&p, named ? &name : NULL, &x) < 0)
		return -1;
	if (parse_peek(&p)->kind != TOK_EOF)
		return parse_unexpected(&p, NULL, NULL);
	*out = x->s.sel.matchers;
	*n = x->s.sel.n_matchers;
	for (size_t i = 0; i < *n; i++)
		if (!matcher_matches_empty(&(*out)[i]))
			return 0;
	return err_set(ctx, e, E_PARSE,
		       "match[] must contain at least one non-empty matcher");
}
