/*
 * promql/parse/lex_int.h - characters, for the files of the lexer.
 */
#ifndef PROMQL_PARSE_LEX_INT_H
#define PROMQL_PARSE_LEX_INT_H

#include "promql/parse/parse_int.h"

static inline bool lex_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool lex_is_alpha(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool lex_is_alnum(char c)
{
	return lex_is_alpha(c) || lex_is_digit(c);
}
/* The byte at an offset; 0 behind the end (a NUL in the text is no token
 * either). */
static inline char lex_at(const struct lexer *l, uint32_t at)
{
	return at < l->in.n ? l->in.p[at] : '\0';
}

#endif
