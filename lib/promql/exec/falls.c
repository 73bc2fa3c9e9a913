#include "promql/exec/falls.h"

#include <math.h>

#include "promql/exec/lanes.h"

#define UNIT  1024.		/* of exact values: 1/UNIT */
#define EXACT 9007199254740992. /* 2^53 */

/* Is each value a multiple of the unit, and no sum of losses and a difference too large? */
static bool is_exact(const struct series_cols *s, const uint32_t *at, size_t n)
{
	double most = 0, lost = 0;
	for (size_t k = 0; k < s->n; k++) {
		double v = s->v[k] * UNIT;
		if (!(fabs(v) < EXACT) || v != (double)(int64_t)v ||
		    (v == 0 && signbit(v)))
			return false;
		most = MAX(most, fabs(v));
	}
	for (size_t k = 0; k < n; k++)
		lost += fabs(s->v[at[k] - 1]) * UNIT; /* that it rounds is no matter */
	return lost + 2 * most < EXACT / 2;
}

int falls_find(struct falls *f, const struct series_cols *s, struct range_env *env)
{
	uint32_t *at = range_scratch(env, s->n * sizeof(*at));
	size_t n = 0;
	if (!at)
		return -1;
	for (size_t k = lanes_find_fall(s->v, 1, s->n); k < s->n;
	     k = lanes_find_fall(s->v, k + 1, s->n))
		at[n++] = (uint32_t)k;
	f->at = at;
	f->n = n;
	if (!is_exact(s, at, n))
		return 0;
	double *lost = range_scratch(env, (n + 1) * sizeof(*lost));
	if (!lost)
		return -1;
	lost[0] = 0;
	for (size_t k = 0; k < n; k++)
		lost[k + 1] = lost[k] + s->v[at[k] - 1];
	f->lost = lost;
	return 0;
}

double falls_add(struct falls *f, const struct window *w, const double *v, double diff)
{
	while (f->lo < f->n && f->at[f->lo] <= w->lo)
		f->lo++;
	f->hi = MAX(f->hi, f->lo);
	while (f->hi < f->n && f->at[f->hi] < w->hi)
		f->hi++;
	if (f->lost)
		return diff + (f->lost[f->hi] - f->lost[f->lo]);
	for (size_t k = f->lo; k < f->hi; k++)
		diff += v[f->at[k] - 1];
	return diff;
}
