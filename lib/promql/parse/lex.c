/*
 * promql/parse/lex.c - tokens of a PromQL text, one at a time.
 *
 * The text has three zones with rules of their own: braces (label matchers: no keyword, no number, no
 * colon), brackets (only what durations are made of, until the first literal was read; then nearly
 * everything, so that the parser says what is wrong), and the rest. Words that mean something are
 * keywords here, the parser takes most of them as names where a name may stand.
 * Errors point at the beginning of the token they are about, or behind it when it was whole.
 * Source  prometheus.md §2.3, §2.12
 */
#include "promql/parse/lex_int.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char peek(const struct lexer *l, uint32_t ahead)
{
	return lex_at(l, l->at + ahead);
}

/* ---- quoting for messages ---- */

struct str lex_quote_str(struct arena *a, struct str s)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	label_quote(s, &b);
	struct str out = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return out;
}

struct str lex_quote_char(struct arena *a, struct str at)
{
	unsigned n = str_utf8_len(at.p, at.n);
	if (n == 0) /* the end, or no UTF-8 */
		return STR("'\xef\xbf\xbd'");
	if (*at.p == '\'')
		return STR("'\\''");
	if (*at.p == '"')
		return STR("'\"'");
	struct str q = lex_quote_str(a, str_n(at.p, n));
	return str_fmt(a, "'%.*s'", (int)q.n - 2, q.p + 1);
}

/* "what: 'c'" about the character at `at`; points at the token's beginning. */
static void bad_char(struct parser *p, struct tok *t, uint32_t at, const char *what)
{
	struct lexer *l = &p->lex;
	struct str c = lex_quote_char(p->a, str_from(l->in, MIN((size_t)at, l->in.n)));
	t->kind = TOK_ERROR;
	parse_fail(p, l->start, "%s %.*s", what, STR_FMT(c));
}

static void bad(struct parser *p, struct tok *t, uint32_t pos, const char *what)
{
	t->kind = TOK_ERROR;
	parse_fail(p, pos, "%s", what);
}

/* ---- blanks, words ---- */

static void skip_blanks(struct lexer *l)
{
	while (l->at < l->in.n) {
		char c = peek(l, 0);
		if (c == '#' && !l->opening)
			while (l->at < l->in.n && peek(l, 0) != '\n' &&
			       peek(l, 0) != '\r')
				l->at++;
		else if (is_blank(c))
			l->at++;
		else
			break;
	}
}

static const struct {
	const char *text;
	enum key_class key;
} keys[] = {
	{ "and", KEY_OP },
	{ "or", KEY_OP },
	{ "unless", KEY_OP },
	{ "atan2", KEY_OP },
	{ "sum", KEY_AGGR },
	{ "avg", KEY_AGGR },
	{ "count", KEY_AGGR },
	{ "min", KEY_AGGR },
	{ "max", KEY_AGGR },
	{ "group", KEY_AGGR },
	{ "stddev", KEY_AGGR },
	{ "stdvar", KEY_AGGR },
	{ "topk", KEY_AGGR },
	{ "bottomk", KEY_AGGR },
	{ "count_values", KEY_AGGR },
	{ "quantile", KEY_AGGR },
	{ "limitk", KEY_AGGR },
	{ "limit_ratio", KEY_AGGR },
	{ "offset", KEY_MODIFIER },
	{ "smoothed", KEY_MODIFIER },
	{ "anchored", KEY_MODIFIER },
	{ "by", KEY_MODIFIER },
	{ "without", KEY_MODIFIER },
	{ "on", KEY_MODIFIER },
	{ "ignoring", KEY_MODIFIER },
	{ "group_left", KEY_MODIFIER },
	{ "group_right", KEY_MODIFIER },
	{ "fill", KEY_MODIFIER },
	{ "fill_left", KEY_MODIFIER },
	{ "fill_right", KEY_MODIFIER },
	{ "bool", KEY_MODIFIER },
	{ "start", KEY_CALL },
	{ "end", KEY_CALL },
	{ "step", KEY_CALL },
	{ "range", KEY_CALL },
	{ "max_of", KEY_CALL },
	{ "min_of", KEY_CALL },
};

static bool paren_follows(const struct lexer *l)
{
	uint32_t at = l->at;
	while (at < l->in.n && is_blank(lex_at(l, at)))
		at++;
	return lex_at(l, at) == '(';
}

static void classify(const struct lexer *l, struct tok *t)
{
	t->kind = str_find_char(t->text, ':') >= 0 ? TOK_METRIC : TOK_IDENT;
	if (str_eq_nocase(t->text, STR("inf")) || str_eq_nocase(t->text, STR("nan")))
		t->kind = TOK_NUMBER;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!str_eq_nocase(t->text, str_of(keys[i].text)))
			continue;
		/* the youngest keywords stay names where nothing was called before */
		if (str_has_prefix(str_of(keys[i].text), STR("fill")) &&
		    !paren_follows(l))
			return;
		t->kind = TOK_KEY;
		t->key = keys[i].key;
		return;
	}
}

static void lex_word(struct lexer *l, struct tok *t)
{
	while (lex_is_alnum(peek(l, 0)) || (peek(l, 0) == ':' && !l->braces))
		l->at++;
	t->text = str_n(l->in.p + l->start, l->at - l->start);
	if (l->braces)
		t->kind = TOK_IDENT;
	else
		classify(l, t);
}

/* Inside brackets only the names of duration functions are words. */
static void lex_bracket_word(struct parser *p, struct tok *t)
{
	static const char *const words[] = { "step", "range", "max_of", "min_of" };
	struct lexer *l = &p->lex;
	while (lex_is_alpha(peek(l, 0)))
		l->at++;
	t->text = str_n(l->in.p + l->start, l->at - l->start);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq_nocase(t->text, str_of(words[i]))) {
			t->kind = TOK_KEY;
			t->key = KEY_CALL;
			return;
		}
	if (l->opening) {
		bad_char(p, t, l->start, "unexpected character in duration expression:");
		return;
	}
	t->kind = TOK_ERROR;
	parse_fail(p, l->start, "unexpected character: '%c', expected ':'", t->text.p[0]);
}

/* ---- symbols ---- */

static void take(struct lexer *l, struct tok *t, uint32_t n)
{
	l->at += n;
	t->kind = TOK_SYMBOL;
	t->text = str_n(l->in.p + l->start, n);
}

static void lex_in_braces(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	char c = peek(l, 0), next = peek(l, 1);
	if (lex_is_alpha(c)) {
		lex_word(l, t);
	} else if (c == ',' || c == '}') {
		take(l, t, 1);
		l->braces = c != '}';
	} else if (c == '=') {
		take(l, t, next == '~' ? 2 : 1);
	} else if (c == '!' && (next == '=' || next == '~')) {
		take(l, t, 2);
	} else if (c == '!') {
		bad_char(p, t, l->at + 1,
			 "unexpected character after '!' inside braces:");
	} else if (c == '{') {
		bad_char(p, t, l->at, "unexpected left brace");
	} else {
		bad_char(p, t, l->at, "unexpected character inside braces:");
	}
}

/* Brackets of all kinds; the state changes, and what is closed too often fails. */
static void lex_bracket(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	char c = peek(l, 0);
	if (c == '[' && l->brackets) {
		bad(p, t, l->start, "unexpected left bracket '['");
		return;
	}
	if (c == ']' && !l->brackets) {
		bad(p, t, l->start, "unexpected right bracket ']'");
		return;
	}
	take(l, t, 1);
	switch (c) {
	case '(': l->parens++; break;
	case ')':
		if (--l->parens < 0)
			bad(p, t, l->at, "unexpected right parenthesis ')'");
		break;
	case '{': l->braces = true; break;
	case '[':
		l->brackets = l->opening = true;
		l->colon = false;
		break;
	default: l->brackets = l->opening = false; break;
	}
}

static void lex_operator(struct parser *p, struct tok *t)
{
	static const char *const pairs[] = { "==", "!=", "<=", ">=", "</", ">/" };
	struct lexer *l = &p->lex;
	char c = peek(l, 0), next = peek(l, 1);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (c == pairs[i][0] && next == pairs[i][1]) {
			take(l, t, 2);
			return;
		}
	if (c == '!')
		bad_char(p, t, l->at + 1, "unexpected character after '!':");
	else if (c == '=' && next == '~')
		bad_char(p, t, l->at + 1, "unexpected character after '=':");
	else if (strchr("+-*/%^<>=,@", c) && c != '\0')
		take(l, t, 1);
	else
		bad_char(p, t, l->at, "unexpected character:");
}

/* Right behind "[" and until its first literal. */
static void lex_opening(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	char c = peek(l, 0);
	if (c != '\0' && strchr("()]", c)) {
		lex_bracket(p, t);
	} else if (c == ':') {
		take(l, t, 1);
		if (!l->literal)
			bad(p, t, l->at,
			    "unexpected colon before duration in duration expression");
		else if (l->colon)
			bad(p, t, l->at,
			    "unexpected repeated colon in duration expression");
		l->colon = true;
	} else if (c != '\0' && strchr("+-*/%^,", c)) {
		take(l, t, 1);
	} else if (c != '\0' && strchr("srmSRM", c)) {
		lex_bracket_word(p, t);
	} else {
		bad_char(p, t, l->at, "unexpected character in duration expression:");
	}
}

static void lex_end(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	if (l->opening)
		bad(p, t, l->start, "unexpected end of input in duration expression");
	else if (l->braces)
		bad(p, t, l->start, "unexpected end of input inside braces");
	else if (l->parens)
		bad(p, t, l->start, "unclosed left parenthesis");
	else if (l->brackets)
		bad(p, t, l->start, "unclosed left bracket");
}

static void lex_literal(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	if (!lex_number(l, &t->kind)) {
		struct str s = str_n(l->in.p + l->start, l->at - l->start);
		s = lex_quote_str(p->a, s);
		t->kind = TOK_ERROR;
		parse_fail(p, l->start, "bad number or duration syntax: %.*s",
			   STR_FMT(s));
	}
	if (l->opening) {
		l->literal = true;
		l->opening = false;
	}
}

void lex_token(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	skip_blanks(l);
	*t = (struct tok){ .kind = TOK_EOF, .pos = l->at };
	l->start = l->at;
	char c = peek(l, 0);
	bool digit = lex_is_digit(c) || (c == '.' && lex_is_digit(peek(l, 1)));
	if (l->at >= l->in.n) {
		lex_end(p, t);
	} else if (!l->opening && (c == '"' || c == '\'' || c == '`')) {
		t->kind = lex_string(p) < 0 ? TOK_ERROR : TOK_STRING;
	} else if (l->braces) {
		lex_in_braces(p, t);
	} else if (digit) {
		lex_literal(p, t);
	} else if (l->opening) {
		lex_opening(p, t);
	} else if (l->brackets && c == ':') {
		if (l->colon)
			bad_char(p, t, l->at, "unexpected colon");
		else
			take(l, t, 1);
		l->colon = true;
	} else if (l->brackets && lex_is_alpha(c)) {
		lex_bracket_word(p, t);
	} else if (lex_is_alpha(c) || c == ':') {
		lex_word(l, t);
	} else if (c != '\0' && strchr("()[]{", c)) {
		lex_bracket(p, t);
	} else {
		lex_operator(p, t);
	}
	t->text = str_n(l->in.p + t->pos, l->at - t->pos);
}
