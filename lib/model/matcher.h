/*
 * model/matcher.h - label matchers = != =~ !~ and the regular expressions behind them.
 *
 * A missing label matches as the empty value. Regexes are RE2, fully anchored, dot matches newline
 * (`^(?s:...)$`), with fast paths for literals, prefixes, suffixes, contains and alternations.
 * Thread  FROZEN after matcher_compile; matching is CPU class.
 */
#ifndef MODEL_MATCHER_H
#define MODEL_MATCHER_H

#include "model/labels.h"

enum match_type { MATCH_EQ, MATCH_NEQ, MATCH_RE, MATCH_NRE }; /* values as in StoreAPI */

struct regex; /* model/regex.h */
struct matcher {
	enum match_type type;
	struct str name, value;
	struct regex *
		re; /* RE, NRE: compiled; freed with the arena given to matcher_compile */
};
/* Copies name and value into `a`; E_INVALID names the regex and what RE2 says. */
MUST_CHECK int matcher_compile(struct ctx *ctx, struct arena *a, enum match_type type,
			       struct str name, struct str value, struct matcher *out,
			       struct err *e);
bool matcher_matches(const struct matcher *m, struct str value);
bool matcher_matches_empty(const struct matcher *m);
bool matcher_labels(const struct matcher *m, size_t n, struct labels ls); /* all match */
/* `a="b"`, `a=~"b.*"`. */
void matcher_text(const struct matcher *m, struct buf *out);

#endif
