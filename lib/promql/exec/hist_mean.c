#include "promql/exec/hist_mean.h"

void hist_mean_init(struct hist_mean *m, struct hist_acc *acc, const struct hist *first)
{
	*m = (struct hist_mean){ acc, 1, false };
	hist_acc_set(acc, first);
}

/* The sum before is needed if this one overflows; most are far from that. */
static unsigned add_to_sum(struct hist_mean *m, const struct hist *h, bool *overflow)
{
	struct hist_acc before;
	*overflow = false;
	if (hist_is_small(h) && hist_acc_is_small(m->acc))
		return hist_acc_add_compensated(m->acc, h);
	hist_acc_copy(&before, m->acc);
	unsigned met = hist_acc_add_compensated(m->acc, h);
	if (!(met & HIST_INCOMPATIBLE) && hist_acc_overflows(m->acc)) {
		*m->acc = before;
		*overflow = true;
	}
	return met;
}

unsigned hist_mean_add(struct hist_mean *m, const struct hist *h)
{
	unsigned met = 0;
	m->n++;
	if (!m->carried) {
		met = add_to_sum(m, h, &m->carried);
		if (!m->carried || met & HIST_INCOMPATIBLE)
			return met;
		hist_acc_div(m->acc, m->n - 1);
	}
	struct hist_acc part;
	hist_acc_init(&part, m->acc->work);
	hist_acc_set(&part, h);
	hist_acc_div(&part, m->n);
	hist_acc_mul(m->acc, (m->n - 1) / m->n);
	return met | hist_acc_add_compensated(m->acc, hist_acc_take(&part, false));
}

void hist_mean_finish(struct hist_mean *m)
{
	if (!m->carried)
		hist_acc_div(m->acc, m->n);
	hist_acc_fold(m->acc);
}

struct hist *hist_mean_take(struct hist_mean *m, bool compact)
{
	hist_mean_finish(m);
	return hist_acc_take(m->acc, compact);
}
