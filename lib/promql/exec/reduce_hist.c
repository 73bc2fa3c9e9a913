/*
 * promql/exec/reduce_hist.c - histograms folded into the cells of a group.
 *
 * A group has as many cells as the query has steps, so they are slots of a shelf, and are shown in their own memory.
 * Source  prometheus.md §2.6
 */
#include "promql/exec/reduce_hist.h"

#include "promql/exec/hist_mean.h"

void hist_reduce_init(struct hist_reduce *r, struct exec *x, const struct expr *aggr,
		      uint32_t n)
{
	*r = (struct hist_reduce){ .x = x,
				   .at = expr_strip(aggr->aggr.e),
				   .avg = aggr->aggr.op == AGG_AVG,
				   .n = n };
	hist_shelf_init(&r->shelf, x->ctx);
}

void hist_reduce_deinit(struct hist_reduce *r)
{
	hist_shelf_deinit(&r->shelf);
}

void hist_reduce_again(struct hist_reduce *r, uint32_t n)
{
	hist_shelf_deinit(&r->shelf);
	hist_shelf_init(&r->shelf, r->x->ctx);
	r->n = n;
}

static void say_met(struct hist_reduce *r, struct hist_slot *c, unsigned met,
		    struct labels ls)
{
	if (met & HIST_INCOMPATIBLE) {
		struct str name = labels_get(ls, LABEL_NAME);
		c->own_bits |= CELL_MIXED;
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

/* While no sum can overflow, a mean is a sum. */
static int add_to_mean(struct hist_reduce *r, struct hist_slot *c, const struct hist *h,
		       unsigned *met, struct err *e)
{
	struct hist_mean m = { &r->shelf.acc, c->own_n++, c->own_bits & CELL_CARRIED };
	if (!m.carried && h->schema != HIST_CUSTOM && hist_is_small(h) &&
	    hist_slot_is_small(c))
		return hist_slot_add(&r->shelf, c, h, met, e);
	if (hist_slot_load(&r->shelf, c, e) < 0)
		return -1;
	*met = hist_mean_add(&m, h);
	if (m.carried)
		c->own_bits |= CELL_CARRIED;
	return *met & HIST_INCOMPATIBLE ? 0 : hist_slot_save(&r->shelf, c, e);
}

static int cell_add(struct hist_reduce *r, struct hist_slot *c, const struct hist *h,
		    struct labels ls, struct err *e)
{
	unsigned met = 0;
	int rc = r->avg ? add_to_mean(r, c, h, &met, e)
			: hist_slot_add(&r->shelf, c, h, &met, e);
	if (rc == 0 && met)
		say_met(r, c, met, ls);
	return rc;
}

static int cells_new(struct hist_reduce *r, struct hist_slot **cells, struct err *e)
{
	size_t bytes = r->n * sizeof(**cells);
	*cells = arena_try(r->x->arena, r->x->ctx, bytes, e);
	if (!*cells)
		return -1;
	memset(*cells, 0, bytes);
	return 0;
}

int hist_reduce_add(struct hist_reduce *r, struct hist_slot **cells, uint32_t step,
		    const struct hist *h, struct labels ls, bool floats_first,
		    struct err *e)
{
	if (!*cells && cells_new(r, cells, e) < 0)
		return -1;
	struct hist_slot *c = &(*cells)[step];
	int rc = 0;
	if (c->own_bits & CELL_MIXED)
		return 0;
	if (c->own_bits & CELL_PRESENT) {
		rc = cell_add(r, c, h, ls, e);
	} else {
		c->own_bits = CELL_PRESENT;
		c->own_n = 1;
		if (floats_first) /* nobody looks at its histograms */
			c->own_bits |= CELL_MIXED;
		else
			rc = hist_slot_set(&r->shelf, c, h, e);
	}
	if (h->hint == HIST_RESET)
		c->own_bits |= CELL_RESET;
	if (h->hint == HIST_NOT_RESET)
		c->own_bits |= CELL_NOT_RESET;
	return rc;
}

static bool contradicts(const struct hist_slot *c)
{
	return c->own_bits & CELL_RESET && c->own_bits & CELL_NOT_RESET;
}

void hist_reduce_settle(struct hist_reduce *r, const struct hist_slot *cells,
			uint64_t *bits)
{
	for (uint32_t i = 0; cells && i < r->n; i++) {
		const struct hist_slot *c = &cells[i];
		if (!(c->own_bits & CELL_PRESENT))
			continue;
		if (bit_get(bits, i)) {
			bit_clear(bits, i);
			if (!r->said_mixed)
				anno_warn(
					r->x, r->at,
					"encountered a mix of histograms and floats for "
					"aggregation");
			r->said_mixed = true;
		} else if (!(c->own_bits & CELL_MIXED)) {
			bit_set(bits, i);
			if (contradicts(c) && !r->said_collision) {
				r->said_collision = true;
				anno_warn(r->x, r->at,
					  HIST_COLLISION_WARNING "aggregation");
			}
		}
	}
}

static int cell_result(struct hist_reduce *r, struct hist_slot *c, struct hist *out,
		       struct err *e)
{
	struct hist_shelf *s = &r->shelf;
	if (r->avg) {
		struct hist_mean m = { &s->acc, c->own_n, c->own_bits & CELL_CARRIED };
		if (hist_slot_load(s, c, e) < 0)
			return -1;
		hist_mean_finish(&m);
		if (hist_slot_save(s, c, e) < 0)
			return -1;
	}
	return hist_slot_end(s, c, out, e);
}

static bool is_shown(const struct hist_slot *c)
{
	return c->own_bits & CELL_PRESENT && !(c->own_bits & CELL_MIXED);
}

int hist_reduce_show(struct hist_reduce *r, struct hist_slot *cells, struct arena *a,
		     struct row *row, struct err *e)
{
	size_t n = 0;
	EACH_BIT(i, row->bits, r->n)
	n += is_shown(&cells[i]);
	struct hist *h = arena_try(a, r->x->ctx, n * sizeof(*h) + 1, e);
	if (!h || row_want_hists(r->x, a, r->n, row, e) < 0)
		return -1;
	EACH_BIT(i, row->bits, r->n)
	{
		if (!is_shown(&cells[i]))
			continue;
		if (cell_result(r, &cells[i], h, e) < 0)
			return -1;
		row->h[i] = h++;
	}
	return 0;
}
