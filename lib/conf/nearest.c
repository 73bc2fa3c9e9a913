/*
 * conf/nearest.c - "did you mean": the known name that a mistyped one is nearest to.
 *
 * Distance is Damerau-Levenshtein in its simple form (optimal string alignment): insert,
 * delete, replace, or swap two neighbours, each costing 1. Three rows of the matrix are
 * kept. A name is offered if at most a third of its letters are wrong; of equally near
 * names the first.
 */
#include "conf/flags.h"

#define NAME_MAX_BYTES 96 /* a longer one is not compared */

static unsigned distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *prev = rows[1], *cur = rows[2];

	for (unsigned k = 0; k <= b.n; k++)
		prev[k] = k;
	for (unsigned i = 1; i <= a.n; i++) {
		cur[0] = i;
		for (unsigned k = 1; k <= b.n; k++) {
			unsigned d = prev[k - 1] + (a.p[i - 1] != b.p[k - 1]);
			d = MIN(d, prev[k] + 1);
			d = MIN(d, cur[k - 1] + 1);
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] &&
			    a.p[i - 2] == b.p[k - 1])
				d = MIN(d, before[k - 2] + 1);
			cur[k] = d;
		}
		unsigned *old = before;
		before = prev;
		prev = cur;
		cur = old;
	}
	return prev[b.n];
}

const char *conf_nearest(struct str name, const char *const *names, size_t n)
{
	const char *best = NULL;
	unsigned best_d = UINT32_MAX;

	if (name.n == 0 || name.n > NAME_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct str s = str_of(names[i]);
		size_t gap = s.n > name.n ? s.n - name.n : name.n - s.n;
		if (s.n > NAME_MAX_BYTES || gap > s.n / 3)
			continue;
		unsigned d = distance(name, s);
		if (d <= s.n / 3 && d < best_d) {
			best = names[i];
			best_d = d;
		}
	}
	return best;
}
