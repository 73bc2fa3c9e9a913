/*
 * promql/parse/lex_number.c - where a number or a duration ends.
 *
 * A number is read as far as it looks like one, and what follows must be no letter or digit: 5m is no
 * number, so a unit is tried behind the digits. Whether the value fits is left to parse_duration.c;
 * what was read up to the first wrong character stands in the message.
 *
 *	[0x[_]] [.] [digit] { digits | . | e[+-] | _ }	one dot, one e; never side by side
 *	digits unit { digits unit }			unit: s m h d w, ms (and y first)
 */
#include "promql/parse/lex_int.h"

static bool is_one_of(const struct lexer *l, const char *set)
{
	char c = lex_at(l, l->at);
	return c != '\0' && strchr(set, c) != NULL;
}

static bool accept(struct lexer *l, const char *set)
{
	if (!is_one_of(l, set))
		return false;
	l->at++;
	return true;
}

static bool number(struct lexer *l)
{
	const char *digits = "0123456789";
	bool dot = false, exponent = false, hex = false;
	if (accept(l, "0") && accept(l, "xX")) {
		accept(l, "_");
		digits = "0123456789abcdefABCDEF";
		hex = true;
	}
	accept(l, ".");
	accept(l, digits);
	for (;;) {
		if (accept(l, ".")) {
			if (dot || accept(l, "_.") || hex)
				return false;
			dot = true;
		} else if (accept(l, "eE")) {
			if (exponent)
				return false;
			exponent = true;
			accept(l, "+-");
			if (accept(l, "._eE") || l->at >= l->in.n)
				return false;
		} else if (accept(l, "_")) {
			if (accept(l, "._eE") || l->at >= l->in.n)
				return false;
		} else if (accept(l, digits)) {
			while (accept(l, digits))
				;
		} else {
			break;
		}
	}
	return !lex_is_alnum(lex_at(l, l->at));
}

static bool units(struct lexer *l)
{
	static const char digits[] = "0123456789";
	if (!accept(l, "smhdwy"))
		return false;
	accept(l, "s");
	while (accept(l, digits)) {
		while (accept(l, digits))
			;
		if (!accept(l, "smhdw"))
			return false;
		accept(l, "s");
	}
	if (!lex_is_alnum(lex_at(l, l->at)))
		return true;
	l->at++; /* the message shows the character that is one too many */
	return false;
}

bool lex_number(struct lexer *l, enum tok_kind *kind)
{
	*kind = TOK_NUMBER;
	if (number(l))
		return true;
	*kind = TOK_DURATION;
	return units(l);
}
