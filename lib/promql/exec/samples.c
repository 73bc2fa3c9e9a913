/*
 * promql/exec/samples.c - counting samples: those looked at, as Prometheus' statistics tell them, and those held, which
 * a query may be limited in.
 */
#include "promql/exec/exec_int.h"

int samples_enter(struct exec *x, bool once, uint32_t steps, struct err *e)
{
	struct sample_count *c = ARENA_NEW(x->arena, struct sample_count);
	*c = (struct sample_count){
		.parent = x->count, .older = x->counts, .steps = steps, .once = once
	};
	if (x->q->step_stats) {
		c->by_step = arena_try(x->arena, x->ctx, steps * sizeof(*c->by_step), e);
		if (!c->by_step)
			return -1;
		memset(c->by_step, 0, steps * sizeof(*c->by_step));
	}
	x->count = x->counts = c;
	return 0;
}

void samples_leave(struct exec *x)
{
	x->count = x->count->parent;
}

/* A part planned later lies inside an earlier one or beside it: from the youngest on, all inner ones are done. */
uint64_t samples_total(struct exec *x)
{
	struct sample_count *c = x->counts;
	for (; c && c->parent; c = c->older) {
		if (!c->once)
			continue;
		struct sample_count *p = c->parent;
		p->n += c->n * p->steps;
		for (uint32_t i = 0; p->by_step && i < p->steps; i++)
			p->by_step[i] += c->n;
	}
	return c ? c->n : 0;
}

void samples_add(struct sample_count *c, const struct sample_tally *t)
{
	c->n += t->n;
	for (uint32_t i = 0; c->by_step && t->by_step && i < c->steps; i++)
		c->by_step[i] += t->by_step[i];
}

int tally_weigh(struct exec *x, struct arena *a, const struct series_cols *s,
		struct sample_tally *t, struct err *e)
{
	if (!s->h)
		return 0;
	uint64_t sum = 0, *w = arena_try(a, x->ctx, (s->n + 1) * sizeof(*w), e);
	if (!w)
		return -1;
	for (size_t k = 0; k < s->n; k++) {
		w[k] = sum;
		sum += s->h[k] ? hist_samples(s->h[k]) : 1;
	}
	w[s->n] = sum;
	t->weight = w;
	return 0;
}

int samples_hold(struct exec *x, uint64_t n, struct err *e)
{
	uint64_t now = atomic_fetch_add(&x->held, n) + n;
	if (x->q->max_samples && now > x->q->max_samples)
		return err_set(x->ctx, e, E_LIMIT,
			       "query processing would load too many samples into memory "
			       "in query execution");
	return 0;
}
