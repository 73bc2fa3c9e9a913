/*
 * promql/exec/fn_hist.c - sums, means and last differences of native histograms in a window, and what is said of them.
 * Source  prometheus.md §2.6, §2.8
 */
#include "promql/exec/fn_hist.h"

#include <math.h>

#include "promql/exec/hist_mean.h"

void *hist_range_scratch(struct range_env *env, size_t n)
{
	return arena_try(env->scratch ? env->scratch : env->arena, env->x->ctx, n,
			 env->e);
}

uint64_t *hist_range_marks(size_t n, struct range_env *env)
{
	size_t bytes = BITS_WORDS(n + 1) * 8;
	uint64_t *marks = hist_range_scratch(env, bytes);
	if (marks)
		memset(marks, 0, bytes);
	return marks;
}

int hist_range_open(struct hist_range *r, const struct range_call *c,
		    const struct series_cols *s, struct range_env *env)
{
	*r = (struct hist_range){ .c = c, .s = s, .env = env };
	if (!s->h)
		return 0;
	uint32_t *before = hist_range_scratch(env, (s->n + 1) * sizeof(*before)), n = 0;
	if (!before)
		return -1;
	int32_t schema = 0;
	r->uniform = true;
	for (size_t k = 0; k < s->n; k++) {
		const struct hist *h = s->h[k];
		before[k] = n;
		if (!h)
			continue;
		if (n++ == 0)
			schema = h->schema;
		r->uniform &= h->schema == schema && h->hint != HIST_GAUGE;
	}
	before[s->n] = n;
	r->before = before;
	hist_work_init(&r->work, env->arena);
	hist_acc_init(&r->acc, &r->work);
	env->lasting = true;
	return 0;
}

/* ---- annotations ---- */

static void say_of_metric(struct hist_range *r, const char *text)
{
	anno_warn(r->env->x, r->c->at, "%s \"%.*s\"", text, STR_FMT(r->env->metric));
}

void hist_range_say(struct hist_range *r, enum hist_said what)
{
	struct exec *x = r->env->x;
	if (r->env->said & what)
		return;
	r->env->said |= what;
	switch (what) {
	case SAID_MIXED_KINDS:
		say_of_metric(
			r, "encountered a mix of histograms and floats for metric name");
		return;
	case SAID_MIXED_BUCKETS:
		say_of_metric(r,
			      "vector contains a mix of histograms with exponential and "
			      "custom buckets schemas for metric name");
		return;
	case SAID_NOT_COUNTER:
		say_of_metric(r, "this native histogram metric is not a counter:");
		return;
	case SAID_NOT_GAUGE:
		say_of_metric(r, "this native histogram metric is not a gauge:");
		return;
	case SAID_RECONCILED_ADD:
		anno_info(x, r->c->at, HIST_RECONCILED_INFO "addition");
		return;
	case SAID_RECONCILED_SUB:
		anno_info(x, r->c->at, HIST_RECONCILED_INFO "subtraction");
		return;
	case SAID_RECONCILED_AGG:
		anno_info(x, r->c->at, HIST_RECONCILED_INFO "aggregation");
		return;
	case SAID_COLLISION:
		anno_warn(x, r->c->at, HIST_COLLISION_WARNING "aggregation");
		return;
	}
}

/* ---- sum_over_time, avg_over_time ---- */

struct hints_seen {
	bool reset, not_reset;
};

static void see_hint(struct hints_seen *seen, const struct hist *h)
{
	seen->reset |= h->hint == HIST_RESET;
	seen->not_reset |= h->hint == HIST_NOT_RESET;
}

static void say_seen(struct hist_range *r, const struct hints_seen *seen, unsigned met)
{
	if (seen->reset && seen->not_reset)
		hist_range_say(r, SAID_COLLISION);
	if (met & HIST_RECONCILED)
		hist_range_say(r, SAID_RECONCILED_AGG);
}

static void divide(const double *v, uint32_t n, double by)
{
	double *own = (double *)(uintptr_t)v; /* of a histogram that was just made */
	for (uint32_t i = 0; i < n; i++)
		own[i] /= by;
}

/* The sum slid; it is divided by n, sums of observations with what their addition lost. */
static void put_slid(struct hist_range *r, double n, uint32_t i, struct row *out)
{
	if (r->slide.hints[HIST_RESET] && r->slide.hints[HIST_NOT_RESET])
		hist_range_say(r, SAID_COLLISION);
	struct hist *h = hist_acc_take(&r->acc, false);
	h->sum = h->sum / n + r->acc.sum_c / n;
	h->count /= n;
	h->zero_count /= n;
	divide(h->pos, h->n_pos, n);
	divide(h->neg, h->n_neg, n);
	put_hist(out, i, h);
}

int hist_sum_step(struct hist_range *r, const struct window *w, uint32_t i,
		  struct row *out)
{
	struct hints_seen seen = { false, false };
	unsigned met = 0;
	int slid = hist_slide_to(r, w);
	if (slid > 0)
		put_slid(r, 1, i, out);
	if (slid)
		return MIN(slid, 0);
	hist_acc_set(&r->acc, r->s->h[w->lo]);
	see_hint(&seen, r->s->h[w->lo]);
	for (size_t k = w->lo + 1; k < w->hi; k++) {
		see_hint(&seen, r->s->h[k]);
		met |= hist_acc_add_compensated(&r->acc, r->s->h[k]);
		if (met & HIST_INCOMPATIBLE) {
			hist_range_say(r, SAID_MIXED_BUCKETS);
			return 0;
		}
	}
	hist_acc_fold(&r->acc);
	say_seen(r, &seen, met);
	put_hist(out, i, hist_acc_take(&r->acc, false));
	return 0;
}

int hist_avg_step(struct hist_range *r, const struct window *w, uint32_t i,
		  struct row *out)
{
	struct hints_seen seen = { false, false };
	struct hist_mean m;
	unsigned met = 0;
	int slid = hist_slide_to(r, w);
	if (slid < 0)
		return -1;
	if (slid && !isinf(r->acc.sum)) { /* else the mean itself is carried on */
		put_slid(r, (double)(w->hi - w->lo), i, out);
		return 0;
	}
	r->slide.on = false;
	hist_mean_init(&m, &r->acc, r->s->h[w->lo]);
	see_hint(&seen, r->s->h[w->lo]);
	for (size_t k = w->lo + 1; k < w->hi; k++) {
		see_hint(&seen, r->s->h[k]);
		met |= hist_mean_add(&m, r->s->h[k]);
		if (met & HIST_INCOMPATIBLE) {
			hist_range_say(r, SAID_MIXED_BUCKETS);
			return 0;
		}
	}
	say_seen(r, &seen, met);
	put_hist(out, i, hist_mean_take(&m, false));
	return 0;
}

/* ---- irate, idelta ---- */

int hist_last_two_step(struct hist_range *r, const struct window *two, uint32_t i,
		       struct row *out, bool rate)
{
	const struct series_cols *s = r->s;
	const struct hist *a = s->h[two->lo], *b = s->h[two->lo + 1];
	if (hist_range_kind(r, two) == WINDOW_MIXED) {
		hist_range_say(r, SAID_MIXED_KINDS);
		return 0;
	}
	bool gauges = a->hint == HIST_GAUGE && b->hint == HIST_GAUGE,
	     any_gauge = a->hint == HIST_GAUGE || b->hint == HIST_GAUGE;
	if (rate && any_gauge)
		hist_range_say(r, SAID_NOT_COUNTER);
	if (!rate && !gauges)
		hist_range_say(r, SAID_NOT_GAUGE);
	if (rate && hist_range_resets(r) < 0)
		return -1;
	hist_acc_set(&r->acc, b);
	if (!rate || !bit_get(r->reset, (uint32_t)two->lo + 1)) {
		unsigned met = hist_acc_sub(&r->acc, a);
		if (met & HIST_INCOMPATIBLE) {
			hist_range_say(r, SAID_MIXED_BUCKETS);
			return 0;
		}
		if (met & HIST_RECONCILED)
			hist_range_say(r, SAID_RECONCILED_SUB);
	}
	r->acc.hint = HIST_GAUGE;
	if (rate)
		hist_acc_div(&r->acc,
			     (double)(s->t_ms[two->lo + 1] - s->t_ms[two->lo]) / 1000);
	put_hist(out, i, hist_acc_take(&r->acc, true));
	return 0;
}
