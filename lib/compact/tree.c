/*
 * compact/tree.c - the least of n legs, and all that equal it.
 *
 * Inner node k has the children 2k and 2k+1; leg i is leaf n+i. A node keeps the leg that lost there. A leg that
 * equals the winner lost to the winner or to another one that equals it, so all are found on the paths of those found.
 * When many were moved the tree is built anew: n comparisons instead of log n for each.
 */
#include <stdlib.h>

#include "compact/compact_int.h"

void loser_tree_init(struct loser_tree *t, uint32_t n,
		     int (*cmp)(const void *, uint32_t, uint32_t), const void *arg)
{
	*t = (struct loser_tree){ .n = n, .cmp = cmp, .arg = arg };
	t->node = xcalloc(n + 1, sizeof(*t->node));
	t->equal = xcalloc(n + 1, sizeof(*t->equal));
	t->stop = xcalloc(n + 1, sizeof(*t->stop));
	t->taken = xcalloc(n + 1, sizeof(*t->taken));
}

void loser_tree_deinit(struct loser_tree *t)
{
	free(t->node);
	free(t->equal);
	free(t->stop);
	free(t->taken);
	*t = (struct loser_tree){ 0 };
}

static uint32_t play(struct loser_tree *t, uint32_t k)
{
	if (k >= t->n)
		return k - t->n;
	uint32_t a = play(t, 2 * k), b = play(t, 2 * k + 1);
	bool a_wins = t->cmp(t->arg, a, b) <= 0;
	t->node[k] = a_wins ? b : a;
	return a_wins ? a : b;
}

void loser_tree_build(struct loser_tree *t)
{
	t->node[0] = t->n > 1 ? play(t, 1) : 0;
}

static void sort_numbers(struct loser_tree *t, uint32_t n)
{
	uint32_t *v = t->equal, k = 0;
	if (n > 8) {
		for (uint32_t i = 0; i < n; i++)
			t->taken[v[i]] = true;
		for (uint32_t i = 0; i < t->n; i++) {
			if (t->taken[i])
				v[k++] = i;
			t->taken[i] = false;
		}
		return;
	}
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t j = i; j > 0 && v[j - 1] > v[j]; j--) {
			uint32_t x = v[j];
			v[j] = v[j - 1];
			v[j - 1] = x;
		}
}

const uint32_t *loser_tree_least(struct loser_tree *t, uint32_t *n)
{
	uint32_t found = 1, w = t->node[0];
	t->equal[0] = w;
	t->stop[0] = 0; /* the path of equal[i] is looked at below node stop[i] */
	for (uint32_t i = 0; i < found; i++)
		for (uint32_t k = (t->n + t->equal[i]) / 2; k > 0 && k != t->stop[i];
		     k /= 2) {
			uint32_t l = t->node[k];
			if (t->cmp(t->arg, l, w) != 0)
				continue;
			t->equal[found] = l;
			t->stop[found++] = k;
		}
	sort_numbers(t, found);
	t->stop[0] = found; /* for loser_tree_moved */
	*n = found;
	return t->equal;
}

static void replay(struct loser_tree *t, uint32_t leg)
{
	for (uint32_t k = (t->n + leg) / 2; k > 0; k /= 2)
		if (t->cmp(t->arg, t->node[k], leg) < 0) {
			uint32_t x = t->node[k];
			t->node[k] = leg;
			leg = x;
		}
	t->node[0] = leg;
}

void loser_tree_moved(struct loser_tree *t)
{
	if (t->stop[0] == 1)
		replay(t, t->equal[0]);
	else
		loser_tree_build(t);
}
