/*
 * promql/exec/join_int.h - match signatures of binary operators between vectors, see join_sig.c.
 */
#ifndef PROMQL_EXEC_JOIN_INT_H
#define PROMQL_EXEC_JOIN_INT_H

#include "promql/exec/hist_binop.h"

struct one_row {
	struct row row; /* request arena */
	size_t seq;	/* its number among all rows of the side */
	struct one_row *next;
};
struct sig { /* rows of one side that share a signature */
	struct labels labels;
	struct sig *next;  /* equal hash */
	uint64_t *bits;	   /* steps at which any row is present */
	uint64_t *matched; /* steps at which a row of the other side met one of them */
	struct one_row *rows, *last;
};
struct sigs {
	const struct match_node *match;
	struct str *names; /* that decide, or (ignoring) do not; sorted */
	size_t n_names;
	uint32_t steps;
	struct map64 index; /* hash -> struct sig * */
	struct sig **list;  /* in order of appearance */
	size_t n, cap;
};
void sigs_init(struct sigs *s, struct exec *x, const struct match_node *m,
	       uint32_t steps);
void sigs_deinit(struct sigs *s);
/* The signature of a label set; NULL where there is none, made if `make`. */
MUST_CHECK int sigs_of(struct sigs *s, struct exec *x, struct labels ls, bool make,
		       struct sig **out, struct err *e);

#endif
