/*
 * promql/exec/samples.c - counting samples that are looked at, as Prometheus' statistics tell them: each window's anew at each
 * step, and (read) those only that the window of the step before did not have.
 */
#include "promql/exec/exec_int.h"

static int zeroed(struct exec *x, struct arena *a, uint32_t steps, uint64_t **out,
		  struct err *e)
{
	size_t bytes = (size_t)steps * sizeof(**out);
	if (!(*out = arena_try(a, x->ctx, bytes + 1, e)))
		return -1;
	memset(*out, 0, bytes);
	return 0;
}

static struct sample_count *count_new(struct exec *x, uint32_t steps)
{
	struct sample_count *c = ARENA_NEW(x->arena, struct sample_count);
	*c = (struct sample_count){ .parent = x->count,
				    .older = x->counts,
				    .steps = steps };
	x->count = x->counts = c;
	return c;
}

int samples_enter(struct exec *x, bool once, uint32_t steps, struct err *e)
{
	struct sample_count *c = count_new(x, steps);
	c->once = once;
	if (!x->q->step_stats)
		return 0;
	return zeroed(x, x->arena, steps, &c->by_step, e) < 0 ||
			       zeroed(x, x->arena, steps, &c->read_by_step, e) < 0
		       ? -1
		       : 0;
}

/* Steps of a subquery that lie between two windows of the call over it do not count: then it matters which they are. */
int samples_enter_subquery(struct exec *x, struct grid inner,
			   const struct range_call *call, struct err *e)
{
	struct sample_count *c = count_new(x, inner.n);
	bool gaps = call->range_ms < call->grid.step_ms;
	c->sub = call;
	c->grid = inner;
	if (call->grid.n < 2 || (!gaps && !x->q->step_stats))
		return 0;
	return zeroed(x, x->arena, inner.n, &c->read_by_step, e);
}

void samples_leave(struct exec *x)
{
	x->count = x->count->parent;
}

static void fold_once(const struct sample_count *c, struct sample_count *p)
{
	p->n += c->n * p->steps;
	for (uint32_t i = 0; p->by_step && i < p->steps; i++)
		p->by_step[i] += c->n;
	p->read += c->read;
	if (p->read_by_step && p->steps)
		p->read_by_step[0] += c->read;
}

/* What a subquery read goes to the first step whose window has its time. */
static void fold_subquery(const struct sample_count *c, struct sample_count *p)
{
	const struct grid g = c->sub->grid;
	if (!c->read_by_step) {
		p->read += c->read;
		if (p->read_by_step && p->steps)
			p->read_by_step[0] += c->read;
		return;
	}
	for (uint32_t k = 0; k < c->steps; k++) {
		int64_t t = grid_at(c->grid, k) + c->sub->offset_ms, step = 0;
		if (!c->read_by_step[k])
			continue;
		if (t > g.start_ms)
			step = (t - g.start_ms + g.step_ms - 1) / g.step_ms;
		step = MIN(step, (int64_t)g.n - 1);
		if (t <= grid_at(g, (uint32_t)step) - c->sub->range_ms)
			continue;
		p->read += c->read_by_step[k];
		if (p->read_by_step)
			p->read_by_step[step] += c->read_by_step[k];
	}
}

/* A part planned later lies inside an earlier one or beside it: from the youngest on, all inner ones are done. */
const struct sample_count *samples_total(struct exec *x)
{
	struct sample_count *c = x->counts;
	for (; c && c->parent; c = c->older)
		if (c->sub)
			fold_subquery(c, c->parent);
		else if (c->once)
			fold_once(c, c->parent);
	return c;
}

void samples_add(struct sample_count *c, const struct sample_tally *t, uint32_t from,
		 uint32_t n)
{
	c->n += t->n;
	c->read += t->read;
	n = MIN(n, c->steps - from);
	for (uint32_t i = 0; c->by_step && t->by_step && i < n; i++)
		c->by_step[from + i] += t->by_step[i];
	for (uint32_t i = 0; c->read_by_step && t->read_by_step && i < n; i++)
		c->read_by_step[from + i] += t->read_by_step[i];
}

static int copied(struct exec *x, const struct sample_count *c, uint64_t **v,
		  struct err *e)
{
	size_t bytes = c->steps * sizeof(**v);
	uint64_t *to = *v ? arena_try(x->arena, x->ctx, bytes + 1, e) : NULL;
	if (!*v)
		return 0;
	if (!to)
		return -1;
	memcpy(to, *v, bytes);
	*v = to;
	return 0;
}

int samples_mark(struct exec *x, const struct sample_count *c, struct sample_count *mark,
		 struct err *e)
{
	*mark = *c;
	return copied(x, c, &mark->by_step, e) < 0 ? -1
						   : copied(x, c, &mark->read_by_step, e);
}

void samples_back(struct sample_count *c, const struct sample_count *mark)
{
	size_t bytes = c->steps * sizeof(*c->by_step);
	c->n = mark->n;
	c->read = mark->read;
	if (c->by_step)
		memcpy(c->by_step, mark->by_step, bytes);
	if (c->read_by_step)
		memcpy(c->read_by_step, mark->read_by_step, bytes);
}

int tally_by_step(struct exec *x, struct arena *a, uint32_t steps, struct sample_tally *t,
		  struct err *e)
{
	return zeroed(x, a, steps, &t->by_step, e) < 0
		       ? -1
		       : zeroed(x, a, steps, &t->read_by_step, e);
}

/* How many samples the window of the step before the first one had, or those before it. */
static size_t read_before(const struct range_call *c, const struct series_cols *s)
{
	int64_t to = range_ref(c, 0) - (c->fixed ? 0 : c->grid.step_ms);
	size_t k = 0;
	while (c->goes_on && k < s->n && s->t_ms[k] <= to)
		k++;
	return k;
}

int tally_series(struct exec *x, struct arena *a, const struct series_cols *s,
		 const struct range_call *c, struct err *e)
{
	struct sample_tally *t = c->tally;
	t->weight = NULL;
	t->hi = read_before(c, s);
	t->most = t->last = 0;
	t->last_step = UINT32_MAX;
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
