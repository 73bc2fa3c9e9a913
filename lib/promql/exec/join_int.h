/*
 * promql/exec/join_int.h - state of a join, see op_join.c.
 */
#ifndef PROMQL_EXEC_JOIN_INT_H
#define PROMQL_EXEC_JOIN_INT_H

#include "promql/exec/hist_binop.h"

struct one_row {
	struct row row; /* request arena */
	struct one_row *next;
};
struct sig { /* rows of one side that share a signature */
	struct labels labels;
	struct sig *next; /* equal hash */
	uint64_t *bits;	  /* steps at which any row is present */
	struct one_row *rows, *last;
};
struct op_join {
	struct op op;
	bool swapped;	   /* group_right: the left side is the "one" side */
	bool ready;	   /* the held side was read */
	struct str *names; /* of the signature; sorted */
	size_t n_names;
	struct map64 index;    /* hash -> struct sig * */
	struct map64 inserted; /* result key -> presence bitmap */
	struct sig *dup;       /* a signature with a step held twice, or NULL */
	size_t dup_word;
	uint64_t *dups;	    /* steps held twice by any signature */
	struct arena arena; /* rows of the current batch */
	struct row *rows;
	size_t n_rows, cap_rows;
	struct batch out;
	struct hist_binop hists;
};

#endif
