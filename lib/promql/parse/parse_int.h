/*
 * promql/parse/parse_int.h - tokens and the parser's state.
 */
#ifndef PROMQL_PARSE_PARSE_INT_H
#define PROMQL_PARSE_PARSE_INT_H

#include "promql/parse/ast.h"

enum tok_kind {
	TOK_EOF,
	TOK_ERROR,  /* malformed text; the parser's error is set, this token stays */
	TOK_IDENT,  /* letters, digits, _ ; inside braces keywords, too */
	TOK_METRIC, /* an identifier with a colon */
	TOK_KEY,    /* keyword, any case: operator, aggregator, modifier; often a name */
	TOK_NUMBER, /* inf and nan, too */
	TOK_DURATION,
	TOK_STRING, /* still quoted: lex_unquote */
	TOK_SYMBOL, /* operators and brackets: `text` says which */
};
enum key_class {
	KEY_OP, /* and or unless atan2 */
	KEY_AGGR,
	KEY_MODIFIER, /* by, on, offset, ... */
	KEY_CALL,     /* start end step range max_of min_of: functions, if "(" follows */
};
struct tok {
	enum tok_kind kind;
	enum key_class key; /* KEY */
	struct str text;    /* as written */
	uint32_t pos;
};
struct lexer {
	struct str in;
	uint32_t at;
	uint32_t start;	       /* of the token being read: where its error points */
	int parens;	       /* open ones */
	bool braces, brackets; /* inside; neither nests */
	bool colon;	       /* seen since the bracket */
	bool literal;	       /* a number was read after some bracket */
	bool opening;	       /* right behind "[": a duration must begin */
};
struct parser {
	struct ctx *ctx;
	struct arena *a;
	struct lexer lex;
	struct tok tok; /* the look-ahead; valid if `have` */
	bool have;
	uint32_t last_end;     /* end of the last token taken */
	unsigned features;     /* PROMQL_ bits */
	unsigned depth;	       /* of recursion */
	unsigned aggregations; /* open ones: they name the place of a syntax error */
	bool failed;
	struct err *e;
};

/* "line:col: parse error: text"; only the first failure counts. Always -1. */
int parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "unexpected ITEM[ in context][, expected what]" about the look-ahead. Always
 * -1. */
int parse_unexpected(struct parser *p, const char *context, const char *expected);

/*
 * The look-ahead is read when first asked for, not when the token before it is
 * taken: an error of the parser about what it has taken comes before one of the
 * lexer about what follows.
 */
const struct tok *parse_peek(struct parser *p);
struct tok parse_take(struct parser *p);
bool tok_is(struct parser *p, const char *symbol);
bool tok_word(struct parser *p, const char *key);    /* keyword, any case */
bool tok_take(struct parser *p, const char *symbol); /* taken, if it is this one */
/* Take `symbol` or fail as any syntax error does. */
MUST_CHECK int parse_want(struct parser *p, const char *symbol);

static inline bool tok_is_literal(const struct tok *t)
{
	return t->kind == TOK_NUMBER || t->kind == TOK_DURATION;
}

/* lex.c; lex_number.c: a number or duration at l->at, false: malformed, l->at
 * behind what was read. */
void lex_token(struct parser *p, struct tok *t);
bool lex_number(struct lexer *l, enum tok_kind *kind);
/* `c` quoted as Go does with %q; lex_quote_str for strings. */
struct str lex_quote_char(struct arena *a, struct str at);
struct str lex_quote_str(struct arena *a, struct str s);
/* lex_string.c: read over a string at l->at (an opening quote); -1: the error
 * is set. */
int lex_string(struct parser *p);
struct str lex_unquote(struct arena *a, struct str quoted);

/* parse_duration.c */
/* The value of a NUMBER or DURATION token: seconds; -1: out of range or
 * malformed. */
MUST_CHECK int parse_literal(struct parser *p, const struct tok *t, double *seconds);
/* Behind "@"; `pos` is where the expression begins. */
MUST_CHECK int parse_at(struct parser *p, uint32_t pos, enum at_kind *kind, int64_t *ms);

/* parse_durexpr.c */
struct duration {
	int64_t ms;
	struct expr *e; /* NULL: ms is the value; else it is known by promql_resolve */
};
/* Behind "[" or ":" (range) or `offset`. */
MUST_CHECK int parse_range(struct parser *p, bool step, struct duration *out);
MUST_CHECK int parse_offset(struct parser *p, struct duration *out);

/* A node; NULL: the budget is used up, the error is set. */
struct expr *parse_node(struct parser *p, enum expr_kind kind, uint32_t pos);
/*
 * Room for element n of an arena array; NULL as above. Arenas keep the outgrown
 * arrays, together they are smaller than the last.
 */
void *parse_grow(struct parser *p, void *old, size_t n, size_t *cap, size_t elem);

/* parse_select.c */
bool parse_may_be_metric(const struct tok *t);
/* A metric name (already taken; NULL: none), braces, or both. */
MUST_CHECK int parse_selector(struct parser *p, const struct tok *name,
			      struct expr **out);
MUST_CHECK int parse_name_list(struct parser *p, struct str **out, size_t *n);
/* A copy, sorted, each name once. */
MUST_CHECK int parse_sort_names(struct parser *p, const struct str *v, size_t n,
				struct str **out, size_t *n_out);

/* check.c: types, after the syntax is clean */
MUST_CHECK int check_expr(struct parser *p, const struct expr *x);

#endif
