/*
 * promql/exec/histq_int.h - state of histogram_quantile and its kin, see op_histq.c.
 */
#ifndef PROMQL_EXEC_HISTQ_INT_H
#define PROMQL_EXEC_HISTQ_INT_H

#include "promql/exec/hist_fn.h"

#define MAX_QUANTILES 10

struct bucket_row {
	double upper;
	uint32_t order; /* of its coming */
	struct row row;
	struct bucket_row *next;
};
struct hgroup {
	struct labels labels; /* without le */
	struct hgroup *next;  /* equal hash */
	struct bucket_row *rows;
	size_t n;
	struct row *
		native; /* answers of native histograms, n_answers rows; NULL: none came */
	bool drop_name;
};
struct op_histq {
	struct op op;
	bool fraction;
	struct str
		label; /* histogram_quantiles: where the quantile goes; p NULL: the other functions */
	const struct expr *vector, *param_expr[MAX_QUANTILES];
	struct op *param_op[MAX_QUANTILES];
	struct row param[MAX_QUANTILES];
	size_t n_params, n_answers;
	struct map64 index;
	struct hgroup **group;
	size_t n_group, cap_group, max_rows;
	struct bucket_row **sorted; /* of the current group */
	struct bkt *bkt;
	struct forced_note *forced;
	struct answer {
		struct row row;
		size_t k; /* which quantile */
	} * rows;
	size_t n_rows, cap_rows;
	struct batch out;
	bool done;
};

/* histq_notes.c: annotations. */
void histq_say_notes(struct op_histq *o, struct exec *x, struct labels ls,
		     unsigned notes);
void histq_say_bad_le(struct op_histq *o, struct exec *x, struct labels ls,
		      struct str le);
void histq_say_mixed(struct op_histq *o, struct exec *x, struct labels ls);
void histq_warn_quantiles(struct op_histq *o, struct exec *x);
void histq_note_forced(struct op_histq *o, struct exec *x, struct labels ls, int64_t t_ms,
		       const struct forced *f);
void histq_say_forced(struct op_histq *o, struct exec *x); /* all that was noted */

#endif
