/*
 * model/labels.h - label sets as views, in Prometheus' order.
 *
 * A set is sorted by name (bytewise), names are unique and not empty, no value is empty. Order of
 * sets: names and values bytewise, label by label, then count. Valid as long as whoever shows it
 * says; whoever keeps it calls labels_dup.
 * Thread  CPU
 */
#ifndef MODEL_LABELS_H
#define MODEL_LABELS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define LABEL_NAME STR("__name__")

struct label {
	struct str name, value;
};
struct labels {
	const struct label *l;
	uint32_t n;
	uint64_t hash; /* 0: not computed; labels_hash fills a copy */
};

int labels_cmp(struct labels a, struct labels b);
bool labels_eq(struct labels a, struct labels b);
/* xxhash64 of name,0xff,value,0xff,...; never 0 (0 becomes 1). */
uint64_t labels_hash(struct labels a);
/* The same over the labels whose name is (by) or is not (!by) in names[], sorted. */
uint64_t labels_hash_subset(struct labels a, const struct str *names, size_t n, bool by);
struct str labels_get(struct labels a, struct str name); /* empty: absent */
bool labels_has(struct labels a, struct str name);
/* Deep copy (strings too) in one allocation. */
struct labels labels_dup(struct arena *a, struct labels ls);
MUST_CHECK int labels_try_dup(struct arena *a, struct ctx *ctx, struct labels ls,
			      struct labels *out, struct err *e);
/* Sort l[n] by name in place; false if a name is doubled. */
bool labels_sort(struct label *l, size_t n);
/* Add `ext` over `ls`: ext wins where both have a name. out holds ls.n + ext.n labels. */
struct labels labels_merge(struct label *out, struct labels ls, struct labels ext);
/* Subsets into out (ls.n labels): only, or all but, the sorted names[]. Strings are shared. */
struct labels labels_keep(struct label *out, struct labels ls, const struct str *names,
			  size_t n);
struct labels labels_drop(struct label *out, struct labels ls, const struct str *names,
			  size_t n);
/* `{a="b", c="d"}` with Go-quoted values, as Prometheus prints it; the name inside as __name__. */
void labels_text(struct labels ls, struct buf *out);
/* `metric{a="b"}` as PromQL results and errors print it. */
void labels_metric_text(struct labels ls, struct buf *out);
struct str labels_str(struct arena *a, struct labels ls); /* labels_text in the arena */

/* Is `b` = `a` plus further labels behind a common prefix? (hold-back of merged external labels) */
bool labels_extends(struct labels a, struct labels b);

bool label_name_is_legacy(struct str name);	 /* [a-zA-Z_][a-zA-Z0-9_]* */
void label_quote(struct str s, struct buf *out); /* Go's strconv.Quote */

#endif
