/*
 * promql/parse/parse_int.h - tokens and the parser's state.
 */
#ifndef PROMQL_PARSE_PARSE_INT_H
#define PROMQL_PARSE_PARSE_INT_H

#include "promql/parse/ast.h"

enum tok_kind {
	TOK_EOF,
	TOK_ERROR, /* the error is already set */
	TOK_IDENT, /* letters, digits, _ and : ; keywords, too: the place decides */
	TOK_NUMBER,
	TOK_DURATION,
	TOK_STRING,
	TOK_SYMBOL, /* operators and brackets: `text` says which */
};
struct tok {
	enum tok_kind kind;
	struct str text; /* as written */
	uint32_t pos;
	double num;	  /* NUMBER; DURATION: seconds */
	int64_t ms;	  /* DURATION */
	struct str value; /* STRING: unquoted */
};
struct lexer {
	struct str in;
	uint32_t at;
	bool braces;
};
struct parser {
	struct ctx *ctx;
	struct arena *a;
	struct lexer lex;
	struct tok tok;	   /* the current one */
	uint32_t last_end; /* end of the token before it */
	unsigned depth;
	bool failed;
	struct err *e;
};

/* "line:col: parse error: text" of the first failure; always -1. */
int parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
int parse_unexpected(struct parser *p, const char *context, const char *expected);
int parse_next(struct parser *p); /* advance; -1 on a lexical error */
static inline bool tok_is(const struct parser *p, const char *symbol)
{
	return p->tok.kind == TOK_SYMBOL && str_eqz(p->tok.text, symbol);
}
static inline bool tok_word(const struct parser *p, const char *word) /* any case */
{
	return p->tok.kind == TOK_IDENT && str_eq_nocase(p->tok.text, str_of(word));
}
MUST_CHECK int parse_want(struct parser *p, const char *symbol, const char *context);
bool parse_aggr_name(struct str name, enum aggr_op *op);
/* Only the next byte that is no blank or comment; 0 at the end. */
char parse_peek_char(const struct parser *p);

/* parse_select.c */
MUST_CHECK int parse_braces(struct parser *p, struct select_node *s, struct str outer,
			    uint32_t pos);
MUST_CHECK int parse_name_list(struct parser *p, struct str **out, size_t *n,
			       const char *context, bool sort);
/* A signed duration: "5m", "-5m", "300"; in ms. */
MUST_CHECK int parse_duration(struct parser *p, bool positive, int64_t *ms);
MUST_CHECK int parse_at(struct parser *p, enum at_kind *kind, int64_t *ms);

/* check.c: types, after the syntax is clean */
MUST_CHECK int check_expr(struct parser *p, struct expr *e);

#endif
