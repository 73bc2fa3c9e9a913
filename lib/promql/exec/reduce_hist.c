/*
 * promql/exec/reduce_hist.c - sum and avg of native histograms.  Source  prometheus.md §2.6
 */
#include "promql/exec/reduce_hist.h"

void hist_reduce_init(struct hist_reduce *r, struct exec *x, const struct expr *aggr,
		      uint32_t n)
{
	*r = (struct hist_reduce){ .x = x,
				   .at = expr_strip(aggr->aggr.e),
				   .avg = aggr->aggr.op == AGG_AVG,
				   .n = n };
	hist_work_init(&r->work, x->arena);
}

static struct hist_cell *cell_new(struct hist_reduce *r, const struct hist *h,
				  struct err *e)
{
	struct hist_cell *c = arena_try(r->x->arena, r->x->ctx, sizeof(*c), e);
	if (!c)
		return NULL;
	*c = (struct hist_cell){ .mixed = false };
	hist_acc_init(&c->acc, &r->work);
	hist_mean_init(&c->mean, &c->acc, h);
	return c;
}

static void cell_add(struct hist_reduce *r, struct hist_cell *c, const struct hist *h,
		     struct labels ls)
{
	if (c->mixed)
		return;
	unsigned met = r->avg ? hist_mean_add(&c->mean, h)
			      : hist_acc_add_compensated(&c->acc, h);
	if (met & HIST_INCOMPATIBLE) {
		struct str name = labels_get(ls, LABEL_NAME);
		c->mixed = true;
		anno_warn(r->x, r->at,
			  "vector contains a mix of histograms with exponential and "
			  "custom buckets schemas for metric name \"%.*s\"",
			  STR_FMT(name));
	}
	if (met & HIST_RECONCILED && !r->said_reconciled) {
		r->said_reconciled = true;
		anno_info(r->x, r->at, HIST_RECONCILED_INFO "aggregation");
	}
}

int hist_reduce_add(struct hist_reduce *r, struct hist_cell ***cells, uint32_t step,
		    const struct hist *h, struct labels ls, bool floats_first,
		    struct err *e)
{
	if (!*cells) {
		size_t bytes = r->n * sizeof(**cells);
		*cells = arena_try(r->x->arena, r->x->ctx, bytes, e);
		if (!*cells)
			return -1;
		memset(*cells, 0, bytes);
	}
	struct hist_cell *c = (*cells)[step], *was = c;
	if (c)
		cell_add(r, c, h, ls);
	else
		c = (*cells)[step] = cell_new(r, h, e);
	if (!c)
		return -1;
	c->mixed |= !was && floats_first; /* nobody looks at its histograms */
	if (c->mixed)
		return 0;
	c->reset |= h->hint == HIST_RESET;
	c->not_reset |= h->hint == HIST_NOT_RESET;
	return 0;
}

static const struct hist *cell_result(struct hist_reduce *r, struct hist_cell *c)
{
	if (c->reset && c->not_reset && !r->said_collision) {
		r->said_collision = true;
		anno_warn(r->x, r->at, HIST_COLLISION_WARNING "aggregation");
	}
	struct hist h;
	if (r->avg) {
		h = hist_mean_end(&c->mean, true);
	} else {
		hist_acc_fold(&c->acc);
		h = hist_acc_end(&c->acc, true);
	}
	c->result = h;
	return &c->result;
}

int hist_reduce_finish(struct hist_reduce *r, struct hist_cell **cells, struct row *row,
		       struct err *e)
{
	if (!cells)
		return 0;
	if (row_want_hists(r->x, r->x->arena, r->n, row, e) < 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++) {
		struct hist_cell *c = cells[i];
		if (!c)
			continue;
		if (bit_get(row->bits, i)) {
			bit_clear(row->bits, i);
			if (!r->said_mixed)
				anno_warn(
					r->x, r->at,
					"encountered a mix of histograms and floats for "
					"aggregation");
			r->said_mixed = true;
		} else if (!c->mixed) {
			row->h[i] = cell_result(r, c);
			bit_set(row->bits, i);
		}
	}
	return 0;
}
