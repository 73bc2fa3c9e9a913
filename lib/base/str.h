/*
 * base/str.h - text and bytes as views {pointer, length}; NUL-terminated only at system calls.
 *
 * Thread  any; a view is a value
 * Memory  a view owns nothing; str_dup copies into an arena
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

#include "base/base.h"

struct arena;

struct str {
	const char *p;
	size_t n;
};

#define STR(lit)   ((struct str){ (lit), sizeof(lit) - 1 })
#define STR_NULL   ((struct str){ NULL, 0 })
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}
static inline struct str str_n(const void *p, size_t n)
{
	return (struct str){ p, n };
}
static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_eqz(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}
/* <0, 0, >0: bytewise, a shorter prefix first (the order of labels and symbols). */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}
static inline bool str_has_prefix(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline bool str_has_suffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}
static inline struct str str_from(struct str s, size_t off) /* off <= s.n */
{
	return (struct str){ off ? s.p + off : s.p, s.n - off }; /* p may be NULL */
}
struct str str_trim(struct str s); /* blanks, tabs, CR, LF off both ends */
ptrdiff_t str_find(struct str s, struct str what); /* first offset, -1: none */
ptrdiff_t str_find_char(struct str s, char c);	   /* first offset, -1: none */
bool str_eq_nocase(struct str a, struct str b);	   /* ASCII */
/* Cut at the first `sep`: *head is before it, *s what follows; false and *head = rest at the last. */
bool str_cut(struct str *s, char sep, struct str *head);

struct str str_dup(struct arena *a, struct str s); /* copy, NUL behind it */
char *str_dupz(struct arena *a, struct str s);
struct str str_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Whole-string numbers; false (and *out untouched) on junk, overflow or an empty string. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
/*
 * The nearest double, without locale, of what Go's strconv.ParseFloat accepts (no underscores):
 * decimals with exponent; inf and infinity in any case, signed; nan in any case, unsigned; hex floats
 * with their p exponent. Too large is refused, too small gives 0.
 */
bool str_to_f64(struct str s, double *out);

/* Length of the valid UTF-8 sequence at p (1..4), 0: invalid (overlong, surrogate, cut). */
unsigned str_utf8_len(const char *p, size_t n);
bool str_is_utf8(struct str s);

#endif
