/*
 * model/regex.h - RE2 behind a C interface, anchored as Prometheus anchors it.
 *
 * Thread  FROZEN after regex_new (RE2 locks its cache itself).
 */
#ifndef MODEL_REGEX_H
#define MODEL_REGEX_H

#include "base/arena.h"

struct regex;
MUST_CHECK int regex_new(struct ctx *ctx, struct str pattern, struct regex **out,
			 struct err *e);
void regex_free(struct regex *r); /* NULL allowed */
/* About what it holds: programs both ways, syntax tree, plan. The cache that matching fills is not counted; RE2 bounds
 * it together with the program by 8 MiB. */
size_t regex_bytes(const struct regex *r);
bool regex_match(const struct regex *r, struct str s);
/*
 * What the pattern allows to know without matching:
 * literals  the finite set of all values it matches (alternations of literals, small classes, at most
 *           256, sorted), or n = 0 with `set` false if unknown
 * prefix    every match starts with it (may be empty)
 */
struct regex_info {
	bool set;
	const struct str *literals;
	size_t n;
	struct str prefix, suffix;
	bool match_all;	 /* ".*" */
	bool match_some; /* ".+" */
};
const struct regex_info *regex_info(const struct regex *r);
/* Submatches for label_replace: groups[0] is the whole; false: no match. n groups at most. */
bool regex_submatch(const struct regex *r, struct str s, struct str *groups, size_t n);
size_t regex_group_count(const struct regex *r);	       /* without the whole */
int regex_group_index(const struct regex *r, struct str name); /* -1: none */

#endif
