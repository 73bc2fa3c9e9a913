/*
 * tsdb/write/post_merge.c - the k-way merge of sorted runs.
 *
 * A heap over the runs' next groups, ordered by label, then run. The runs that hold the least label make one group:
 * their counts add up, their refs follow one run after the other. The windows of the runs lie in the sorter's arrays,
 * which are empty while runs are merged.
 */
#include <stdlib.h>

#include "base/heap.h"
#include "tsdb/write/write_int.h"

#define HEAD	   12
#define WINDOW_MAX ((size_t)1 << 20)

struct run_head {
	struct spill_reader r;
	uint32_t n;    /* series of the group at the front */
	uint64_t left; /* bytes of its refs not yet taken */
};
struct next {	      /* on the heap */
	uint64_t key; /* name, value */
	uint32_t run;
};
struct post_merge {
	size_t k;
	struct run_head *head;
	struct next *heap;
	size_t n_heap;
	uint32_t *group; /* the runs whose first group is the current one */
	size_t n_group, at;
};

static bool less(const void *a, const void *b, void *arg UNUSED)
{
	const struct next *x = a, *y = b;
	return x->key != y->key ? x->key < y->key : x->run < y->run;
}
static const struct heap_ops ops = { less, NULL, sizeof(struct next) };

/* Read the head of run i's next group and put it on the heap; nothing at its end. */
static int advance(struct post_merge *m, struct ctx *ctx, uint32_t i, struct err *e)
{
	struct run_head *h = &m->head[i];
	const uint8_t *p;
	uint32_t v[HEAD / 4];
	size_t n;
	if (spill_peek(&h->r, ctx, HEAD, &p, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	BUG_ON(n < HEAD);
	memcpy(v, p, HEAD);
	spill_skip(&h->r, HEAD);
	h->n = v[2];
	h->left = (uint64_t)v[2] * 4;
	m->heap[m->n_heap++] = (struct next){ (uint64_t)v[0] << 32 | v[1], i };
	heap_push(m->heap, m->n_heap, &ops);
	return 0;
}

int post_merge_open(struct post_sort *s, struct ctx *ctx, size_t first,
		    struct post_merge **out, struct err *e)
{
	BUG_ON(s->n);
	size_t k = s->n_runs - first;
	if (spill_flush(&s->spill, ctx, e) < 0)
		return -1;
	struct post_merge *m = xcalloc(1, sizeof(*m));
	m->k = k;
	m->head = xcalloc(k + 1, sizeof(*m->head));
	m->heap = xcalloc(k + 1, sizeof(*m->heap));
	m->group = xcalloc(k + 1, sizeof(*m->group));
	size_t half = (k + 1) / 2; /* so many windows lie in each of both arrays */
	size_t room = k ? MIN(s->cap * sizeof(*s->v) / half, WINDOW_MAX) : 0;
	for (size_t i = 0; i < k; i++) {
		const struct post_run *r = &s->run[first + i];
		m->head[i].r = (struct spill_reader){
			.s = &s->spill,
			.at = r->off,
			.end = r->end,
			.p = (uint8_t *)(i < half ? s->v : s->room) + i % half * room,
			.room = room,
		};
		m->group[m->n_group++] = (uint32_t)i; /* all are to be advanced */
	}
	m->at = m->n_group;
	*out = m;
	return 0;
}

void post_merge_close(struct post_merge *m)
{
	if (!m)
		return;
	free(m->head);
	free(m->heap);
	free(m->group);
	free(m);
}

int post_merge_next(struct post_merge *m, struct ctx *ctx, struct post_group *out,
		    struct err *e)
{
	BUG_ON(m->at != m->n_group);
	for (size_t i = 0; i < m->n_group; i++)
		if (advance(m, ctx, m->group[i], e) < 0)
			return -1;
	m->n_group = m->at = 0;
	if (m->n_heap == 0)
		return 0;
	uint64_t key = m->heap[0].key;
	*out = (struct post_group){ (uint32_t)(key >> 32), (uint32_t)key, 0 };
	while (m->n_heap && m->heap[0].key == key) {
		heap_pop(m->heap, m->n_heap, &ops);
		uint32_t run = m->heap[--m->n_heap].run;
		m->group[m->n_group++] = run;
		out->n += m->head[run].n;
	}
	return 1;
}

int post_merge_refs(struct post_merge *m, struct ctx *ctx, struct str *out, struct err *e)
{
	while (m->at < m->n_group) {
		struct run_head *h = &m->head[m->group[m->at]];
		const uint8_t *p;
		size_t n;
		if (h->left == 0) {
			m->at++;
			continue;
		}
		if (spill_peek(&h->r, ctx, 1, &p, &n, e) < 0)
			return -1;
		BUG_ON(n == 0);
		n = (size_t)MIN(n, h->left);
		spill_skip(&h->r, n);
		h->left -= n;
		*out = str_n(p, n);
		return 1;
	}
	return 0;
}
