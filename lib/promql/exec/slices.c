/*
 * promql/exec/slices.c - which steps of an aggregation are read next.
 */
#include "promql/exec/slices.h"

void slices_init(struct slices *s, struct op *in)
{
	*s = (struct slices){ .in = in, .grid = in->grid, .n = in->grid.n };
}

static uint32_t least(const struct exec *x)
{
	return x->q->slice_steps ? x->q->slice_steps : SLICE_STEPS;
}

/* Of groups; they leave as much of the query's memory to what is read, and to the operator above. */
size_t slices_most(const struct exec *x)
{
	const struct budget *b = x->ctx->budget;
	size_t n = x->q->slice_bytes ? x->q->slice_bytes : SLICE_BYTES;
	return b ? MIN(n, budget_left(b) / 2) : n;
}

/* A quarter of the steps, in whole words of the bitmaps. */
static uint32_t fewer(const struct exec *x, uint32_t n)
{
	n /= 4;
	if (n > 64)
		n = (n + 63) / 64 * 64;
	return MAX(n, least(x));
}

int slices_next(struct slices *s, struct exec *x, struct err *e)
{
	if (!s->begun) {
		s->begun = true;
		s->can = s->n > least(x) && op_reduce_can_slice(s->in);
		if (!s->can)
			return 1;
	} else if (slices_outgrown(s)) {
		s->n = fewer(x, s->n);
	} else {
		s->from += s->n;
	}
	if (s->from == s->grid.n)
		return 0;
	s->n = MIN(s->n, s->grid.n - s->from);
	struct grid g = { grid_at(s->grid, s->from), s->grid.step_ms, s->n };
	if (op_reduce_slice(s->in, x, g, s->from, s->n <= least(x), e) < 0)
		return -1;
	return 1;
}

bool slices_outgrown(const struct slices *s)
{
	return s->can && op_reduce_outgrown(s->in);
}
