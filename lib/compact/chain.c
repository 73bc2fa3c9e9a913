/*
 * compact/chain.c - a run of chunks merged in the very order of Prometheus' chain of samples.
 *
 * Only needed where samples of one time differ: which of them stays follows from the shape of a heap over the chunks'
 * present times (the sift order of Go's container/heap), which holds all chunks but
 * the second at the beginning, the first one last.
 * Chunks are decoded when they come to the top.
 */
#include <stdlib.h>

#include "base/heap.h"
#include "compact/compact_int.h"

struct link {
	const struct chunk_ref *ref;
	struct lane l;
	int64_t t; /* of the sample it stands at */
	bool open;
};
struct chain {
	struct job *j;
	struct merger *m;
	struct link *link;
	uint32_t *heap, n; /* links by t */
	struct heap_ops ops;
};

static bool less(const void *a, const void *b, void *arg)
{
	const struct link *l = arg;
	return l[*(const uint32_t *)a].t < l[*(const uint32_t *)b].t;
}

static void push(struct chain *c, uint32_t i)
{
	c->heap[c->n++] = i;
	heap_push(c->heap, c->n, &c->ops);
}

static uint32_t pop(struct chain *c)
{
	heap_pop(c->heap, c->n, &c->ops);
	return c->heap[--c->n];
}

static int link_open(struct chain *c, struct link *l, struct err *e)
{
	const struct chunk_view *v = l->ref->c;

	l->open = true;
	if (lane_decode(&c->m->d, c->j->ctx, v->part[AGGR_RAW], v->mint_ms, v->maxt_ms,
			&l->l, e) < 0)
		return e->code == E_CORRUPT
			       ? job_fault(c->j, l->ref->in, COMPACT_FAULT_UNREADABLE,
					   E_CORRUPT, e, "a chunk cannot be decoded")
			       : -1;
	if (l->l.n > 0)
		l->t = l->l.t[0];
	return 0;
}

/* The link of the least time, opened; -1: none, -2: error. A chunk may begin later than the index says. */
static int64_t chain_pop(struct chain *c, struct err *e)
{
	while (c->n > 0) {
		uint32_t i = pop(c);
		struct link *l = &c->link[i];
		int64_t was = l->t;
		if (l->open)
			return i;
		if (link_open(c, l, e) < 0)
			return -2;
		if (l->l.n == 0)
			continue;
		if (l->t == was)
			return i;
		push(c, i);
	}
	return -1;
}

/* The next sample's link; -1: none, -2: error. `cur`: the link that was shown last; UINT32_MAX at the beginning. */
static int64_t chain_next(struct chain *c, uint32_t cur, int64_t last, bool any,
			  struct err *e)
{
	bool begins = !any;
	for (;;) {
		struct link *l = &c->link[cur];
		if (!l->open && link_open(c, l, e) < 0)
			return -2;
		if (!begins)
			l->l.at++;
		begins = false;
		if (l->l.at >= l->l.n) {
			lane_deinit(&l->l);
			if (c->n == 0)
				return -1;
		} else {
			l->t = l->l.t[l->l.at];
			if (any && l->t == last)
				continue;
			if (c->n == 0 || l->t < c->link[c->heap[0]].t)
				return cur;
			push(c, cur);
		}
		int64_t top = chain_pop(c, e);
		if (top < 0)
			return top;
		cur = (uint32_t)top;
		if (!any || c->link[cur].t != last)
			return cur;
	}
}

/* Histograms that no link will show any more are let go. */
static void collect(struct chain *c, struct lane **live, size_t n_links)
{
	size_t n = 0;

	if (!decoding_wants_room(&c->m->d))
		return;
	for (size_t i = 0; i < n_links; i++)
		if (c->link[i].open && c->link[i].l.t)
			live[n++] = &c->link[i].l;
	live[n++] = &c->m->cut.wait;
	decoding_collect(&c->m->d, live, n);
}

int chain_run(struct job *j, struct merger *m, const struct chunk_ref *run, size_t n,
	      struct err *e)
{
	struct chain c = { .j = j, .m = m };
	struct lane **live = xcalloc(n + 1, sizeof(*live));
	int64_t cur = 0, last = 0;
	bool any = false;
	int rc = 0;

	c.link = xcalloc(n, sizeof(*c.link));
	c.heap = xcalloc(n, sizeof(*c.heap));
	c.ops = (struct heap_ops){ less, c.link, sizeof(*c.heap) };
	for (size_t i = 0; i < n; i++) {
		c.link[i].ref = &run[(i + 1) % n];
		c.link[i].t = c.link[i].ref->c->mint_ms;
		if (i > 0)
			push(&c, (uint32_t)i);
	}
	while (rc == 0 && (cur = chain_next(&c, (uint32_t)cur, last, any, e)) >= 0) {
		const struct link *l = &c.link[cur];
		rc = recut_put(&m->cut, &l->l.t[l->l.at], &l->l.v[l->l.at], 1, e);
		last = l->t;
		any = true;
		collect(&c, live, n);
	}
	if (cur == -2)
		rc = -1;
	if (rc == 0)
		rc = recut_end(&m->cut, e);
	for (size_t i = 0; i < n; i++)
		lane_deinit(&c.link[i].l);
	free(c.link);
	free(c.heap);
	free(live);
	return rc;
}
