/*
 * promql/exec/fn_extended_hist.c - native histograms of anchored and smoothed selectors.
 *
 * As fn_extended.c does it with floats: the histogram at the window's end less the one at its start, plus what stood
 * before each reset between them. A smoothed end lies on the line between its neighbours, bucket by bucket.
 * Source  prometheus.md §2.5, §2.6
 */
#include "promql/exec/extended.h"
#include "promql/exec/fn_hist.h"

/*
 * The histogram at time t between samples k and k + 1. After a reset it grows from nothing. NULL: they do not fit each
 * other.
 */
static const struct hist *between(struct hist_range *r, size_t k, int64_t t, bool counter)
{
	const struct hist *a = r->s->h[k], *b = r->s->h[k + 1];
	int64_t ta = r->s->t_ms[k], tb = r->s->t_ms[k + 1];
	double share = (double)(t - ta) / (double)(tb - ta);
	if (t == ta || t == tb)
		return t == ta ? a : b;
	hist_acc_set(&r->acc, b);
	if (counter && hist_detect_reset(b, a)) {
		hist_acc_mul(&r->acc, share);
	} else {
		if (!hist_range_accept(r, hist_acc_sub(&r->acc, a), SAID_RECONCILED_SUB))
			return NULL;
		hist_acc_mul(&r->acc, share);
		if (!hist_range_accept(r, hist_acc_add(&r->acc, a), SAID_RECONCILED_ADD))
			return NULL;
	}
	return hist_acc_take(&r->acc, false);
}

/* Exponential and custom buckets do not mix; a counter is no gauge. */
static bool check_kinds(struct hist_range *r, size_t first, size_t last, bool counter)
{
	const struct hist *const *h = r->s->h;
	for (size_t k = first; k <= last; k++) {
		if ((h[k]->schema == HIST_CUSTOM) != (h[first]->schema == HIST_CUSTOM)) {
			hist_range_say(r, SAID_MIXED_BUCKETS);
			return false;
		}
		if (counter && h[k]->hint == HIST_GAUGE)
			hist_range_say(r, SAID_NOT_COUNTER);
	}
	return true;
}

/* Both ends, and the samples first to last from which they come. */
struct span {
	size_t first, last;
	const struct hist *left, *right;
	bool skip_second; /* the left end was made across the reset in front of the second sample */
};

/*
 * What stood before each reset between the ends, summed up. *none: there was none. The last sample stands for the right
 * end, whose hint it shares.
 */
static bool sum_fallen(struct hist_range *r, const struct span *s, struct hist_acc *sum,
		       bool *none)
{
	const struct hist *const *h = r->s->h;
	const struct hist *before = s->left;
	size_t k = s->first + 1;
	*none = true;
	if (s->skip_second)
		before = h[k++];
	if (k > s->last) /* nothing lies between */
		return true;
	for (; k <= s->last; k++) {
		const struct hist *now = k == s->last ? s->right : h[k];
		if (hist_detect_reset(now, before)) {
			if (*none)
				hist_acc_set(sum, before);
			else if (!hist_range_accept(r, hist_acc_add(sum, before),
						    SAID_RECONCILED_ADD))
				return false;
			*none = false;
		}
		before = now;
	}
	return true;
}

static bool find_ends(struct hist_range *r, struct span *s, int64_t from, int64_t to,
		      size_t lo, bool counter)
{
	const struct series_cols *c = r->s;
	bool smoothed = r->c->smoothed;
	s->left = c->h[s->first];
	s->right = c->h[s->last];
	s->skip_second = false;
	if (smoothed && c->t_ms[s->first] < from) {
		s->left = between(r, s->first, from, counter);
		s->skip_second = hist_detect_reset(c->h[s->first + 1], c->h[s->first]);
	}
	if (s->left && smoothed && s->last > lo && c->t_ms[s->last] > to)
		s->right = between(r, s->last - 1, to, counter);
	return s->left && s->right;
}

int extended_hist_step(struct hist_range *r, const struct extended_window *w, uint32_t i,
		       struct row *out, bool counter, bool per_second)
{
	struct span s = { .first = w->first, .last = w->last };
	bool none = true;
	struct hist_acc fallen;
	if (!check_kinds(r, s.first, s.last, counter) ||
	    !find_ends(r, &s, w->from, w->to, w->lo, counter))
		return 0;
	if (!counter && (s.left->hint != HIST_GAUGE || s.right->hint != HIST_GAUGE))
		hist_range_say(r, SAID_NOT_GAUGE);
	hist_acc_set(&r->acc, s.right);
	if (!hist_range_accept(r, hist_acc_sub(&r->acc, s.left), SAID_RECONCILED_SUB))
		return 0;
	hist_acc_init(&fallen, &r->work);
	if (counter && !sum_fallen(r, &s, &fallen, &none))
		return 0;
	if (!none &&
	    !hist_range_accept(r, hist_acc_add(&r->acc, hist_acc_take(&fallen, false)),
			       SAID_RECONCILED_ADD))
		return 0;
	if (per_second)
		hist_acc_div(&r->acc, (double)r->c->range_ms / 1000);
	r->acc.hint = HIST_GAUGE;
	put_hist(out, i, hist_acc_take(&r->acc, true));
	return 0;
}

/* k: the first sample of the window [lo, hi) that is not before t. */
int smooth_hist_step(struct hist_range *r, size_t lo, size_t hi, size_t k, int64_t t,
		     uint32_t i, struct row *out)
{
	const struct series_cols *c = r->s;
	if (k < hi && c->t_ms[k] == t) {
		put_hist(out, i, hist_dup(r->env->arena, c->h[k]));
		return 0;
	}
	if (k == lo)
		return 0;
	const struct hist *a = c->h[k - 1];
	if (k ==
	    hi) { /* carried on: what it says about the sample before it does not hold here */
		struct hist *h = hist_dup(r->env->arena, a);
		h->hint = HIST_UNKNOWN;
		put_hist(out, i, h);
		return 0;
	}
	const struct hist *b = c->h[k];
	if ((a->schema == HIST_CUSTOM) != (b->schema == HIST_CUSTOM)) {
		hist_range_say(r, SAID_MIXED_BUCKETS);
		return 0;
	}
	bool counter = a->hint != HIST_GAUGE || b->hint != HIST_GAUGE;
	const struct hist *h = between(r, k - 1, t, counter);
	if (h)
		put_hist(out, i, h);
	return 0;
}
