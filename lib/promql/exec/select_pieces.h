/*
 * promql/exec/select_pieces.h - a series of histograms evaluated some steps at a time; private to the select operator.
 */
#ifndef PROMQL_EXEC_SELECT_PIECES_H
#define PROMQL_EXEC_SELECT_PIECES_H

#include "promql/exec/lanes.h"
#include "promql/exec/select_int.h"

struct select_pieces {
	struct exec *x;
	const struct select_spec *spec;
	const struct series_set *set;
	struct labels labels;
	struct chunk_view *chunks;
	size_t n;
	const struct range_call *call; /* with a tally */
	struct range_env *env;	       /* what is said is said once for all pieces */
	int (*eval)(const void *arg, const struct range_call *c,
		    const struct series_cols *s, struct range_env *env, struct row *out);
	const void *arg;
	bool past_stale;  /* stale markers are no samples */
	uint64_t samples; /* decoded */
};
bool select_has_hists(const struct series_in *in); /* in raw chunks */
/* How many steps a piece has; 0: the series is evaluated as a whole. fn NULL: instant look-back. */
uint32_t select_piece_steps(const struct range_call *c, const struct range_fn *fn,
			    const struct chunk_view *chunks, size_t n);
/* Makes the row; its histograms lie in the arena of env. CPU */
MUST_CHECK int select_pieces(struct select_pieces *p, uint32_t steps,
			     struct arena *scratch, struct row *row, struct err *e);

#endif
