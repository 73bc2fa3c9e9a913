/*
 * compact/merge.c - the chunks of one series from several inputs.
 *
 * Ordered by (mint, maxt) they fall into runs: a chunk belongs to the run as long as it begins before the latest
 * end so far. A chunk equal to the one before is left out. A run of one chunk is copied as it stands, others are decoded
 * and folded, chunk by chunk, and what is final is cut into new chunks.
 *
 * Chunks of equal times come as they do in Prometheus and Thanos: from a heap (base/heap.h) of the inputs, into which the chunks
 * that a run became are put as one input more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

struct merger *merger_new(struct budget *b)
{
	struct merger *m = xcalloc(1, sizeof(*m));
	decoding_init(&m->d, b);
	recut_init(&m->cut, &m->d, b);
	arena_init(&m->a, b);
	return m;
}

void merger_free(struct merger *m)
{
	if (!m)
		return;
	recut_deinit(&m->cut);
	decoding_deinit(&m->d);
	lane_deinit(&m->f.tail);
	lane_deinit(&m->f.spare);
	lane_deinit(&m->in);
	arena_deinit(&m->a);
	free(m->ref);
	free(m->run);
	free(m->cursor);
	free(m->heap);
	free(m);
}

/* ---- one run ---- */

int chunk_failed(struct job *j, const struct chunk_ref *x, struct err *e)
{
	char why[160];

	if (e->code != E_CORRUPT && e->code != E_INVALID)
		return -1;
	snprintf(why, sizeof(why), "%s", err_text(e));
	return job_fault(j, x->in, COMPACT_FAULT_UNREADABLE, E_CORRUPT, e,
			 "chunk [%" PRId64 ", %" PRId64 "]: %s", x->c->mint_ms,
			 x->c->maxt_ms, why);
}

static int give_away(struct merger *m, size_t n, struct err *e)
{
	struct lane *l = &m->f.tail;

	if (n == 0)
		return 0;
	if (recut_put(&m->cut, l->t + l->at, l->v + l->at, n, e) < 0)
		return -1;
	fold_gone(&m->f, n, m->penalty);
	if (decoding_wants_room(&m->d)) {
		struct lane *live[] = { l, &m->cut.wait };
		decoding_collect(&m->d, live, 2);
	}
	return 0;
}

/* Chunk i of a run decoded; several at a time where they are floats only. NULL: it cannot be. */
static struct lane *next_lane(struct job *j, struct merger *m,
			      const struct chunk_ref *run, size_t n, size_t i,
			      struct err *e)
{
	const struct chunk_view *c = run[i].c;
	struct wide *w = &m->cut.wide;

	if (i == 0)
		m->wide_from = m->wide_to = 0;
	if (!m->d.generic && i >= m->wide_to) {
		m->wide_from = i;
		m->wide_to = i + wide_read(w, run + i, n - i);
	}
	if (i >= m->wide_from && i < m->wide_to) {
		struct lane *l = &w->lane[i - m->wide_from];
		return lane_settle(j->ctx, c->mint_ms, c->maxt_ms, l, e) < 0 ? NULL : l;
	}
	return lane_decode(&m->d, j->ctx, c->part[AGGR_RAW], c->mint_ms, c->maxt_ms,
			   &m->in, e) < 0
		       ? NULL
		       : &m->in;
}

/* 1: done; 0: samples of one time differ, nothing is left of the attempt; -1 */
static int fold_run(struct job *j, struct merger *m, const struct chunk_ref *run,
		    size_t n, bool penalty, struct err *e)
{
	size_t had = m->out.n;

	m->f.any = false;
	m->penalty = penalty;
	m->f.tail.at = m->f.tail.n = 0;
	for (size_t i = 0; i < n; i++) {
		const struct chunk_view *c = run[i].c;
		if (give_away(m, fold_ready(&m->f, c->mint_ms, penalty), e) < 0)
			return -1;
		struct lane *in = next_lane(j, m, run, n, i, e);
		if (!in)
			return chunk_failed(j, &run[i], e);
		if (penalty) {
			fold_penalty(&m->f, in);
		} else if (!fold_chain(&m->d, &m->f, in)) {
			m->out.n = had;
			return 0;
		}
	}
	return give_away(m, m->f.tail.n - m->f.tail.at, e) < 0 ||
			       recut_end(&m->cut, e) < 0
		       ? -1
		       : 1;
}

static int merge_raw(struct job *j, struct merger *m, const struct chunk_ref *run,
		     size_t n, bool penalty, struct err *e)
{
	bool generic = false;

	for (size_t i = 0; i < n; i++)
		generic |= run[i].c->part[AGGR_RAW].enc != CHUNK_XOR;
	decoding_begin(&m->d, generic, false);
	recut_begin(&m->cut, j->ctx, &m->a, &m->out);
	int rc = fold_run(j, m, run, n, penalty, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	decoding_begin(&m->d, generic, false);
	recut_begin(&m->cut, j->ctx, &m->a, &m->out);
	return chain_run(j, m, run, n, e);
}

static int merge_run(struct job *j, struct merger *m, const struct chunk_ref *run,
		     size_t n, bool penalty, struct err *e)
{
	bool raw = false, aggr = false;

	for (size_t i = 0; i < n; i++) {
		raw |= run[i].c->part[AGGR_RAW].p != NULL;
		aggr |= run[i].c->part[AGGR_RAW].p == NULL;
	}
	j->r->merged_chunks += n;
	if (raw && aggr)
		return job_fault(j, run[n - 1].in, COMPACT_FAULT_OVERLAP, E_INVALID, e,
				 "raw and downsampled chunks overlap in [%" PRId64
				 ", %" PRId64 "]",
				 run[0].c->mint_ms, run[n - 1].c->maxt_ms);
	int rc = aggr ? aggr_run(j, m, run, n, penalty, e)
		      : merge_raw(j, m, run, n, penalty, e);
	/* Samples that decode, but no encoder takes. */
	if (rc < 0 && e->code == E_INVALID && j->r->fault == COMPACT_FAULT_NONE)
		return chunk_failed(j, &run[0], e);
	return rc;
}

/* ---- all chunks of a series ---- */

static int cmp_refs(const void *a, const void *b, void *arg UNUSED)
{
	const struct chunk_view *x = ((const struct chunk_ref *)a)->c,
				*y = ((const struct chunk_ref *)b)->c;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return (x->maxt_ms > y->maxt_ms) - (x->maxt_ms < y->maxt_ms);
}

static bool cursor_less(const void *a, const void *b, void *arg)
{
	const struct cursor *v = arg, *x = &v[*(const uint32_t *)a],
			    *y = &v[*(const uint32_t *)b];
	return x->mint_ms != y->mint_ms ? x->mint_ms < y->mint_ms
					: x->maxt_ms < y->maxt_ms;
}

static void cursor_put(struct merger *m, uint32_t i)
{
	const struct heap_ops ops = { cursor_less, m->cursor, sizeof(*m->heap) };
	struct cursor *c = &m->cursor[i];
	if (c->at == c->end)
		return;
	const struct chunk_view *v = c->made ? &m->out.v[c->at] : m->ref[c->at].c;
	c->mint_ms = v->mint_ms;
	c->maxt_ms = v->maxt_ms;
	m->heap[m->n_heap++] = i;
	heap_push(m->heap, m->n_heap, &ops);
}

/* The next chunk; false: it lies in the output already. */
static bool cursor_take(struct merger *m, struct chunk_ref *out)
{
	const struct heap_ops ops = { cursor_less, m->cursor, sizeof(*m->heap) };
	heap_pop(m->heap, m->n_heap, &ops);
	uint32_t i = m->heap[--m->n_heap];
	struct cursor *c = &m->cursor[i];
	size_t at = c->at++;
	if (!c->made)
		*out = m->ref[at];
	cursor_put(m, i);
	return !c->made;
}

/* Chunks that begin before all ends so far, in m->run. */
static size_t take_run(struct merger *m)
{
	struct chunk_ref x;
	size_t n = 0;
	int64_t end = 0;
	while (m->n_heap > 0 && (n == 0 || m->cursor[m->heap[0]].mint_ms <= end)) {
		if (!cursor_take(m, &x))
			continue;
		end = n == 0 ? x.c->maxt_ms : MAX(end, x.c->maxt_ms);
		if (n == 0 || !chunk_view_eq(m->run[n - 1].c, x.c))
			m->run[n++] = x;
	}
	return n;
}

/* The chunks of m->cursor[n]. */
static int merge_refs(struct job *j, struct merger *m, uint32_t n, bool penalty,
		      struct err *e)
{
	size_t k;

	if (m->n > m->cap_run)
		m->run = vec_grow(m->run, &m->cap_run, m->n, sizeof(*m->run));
	m->n_heap = 0;
	for (uint32_t i = 0; i < n; i++)
		cursor_put(m, i);
	while ((k = take_run(m)) > 0) {
		size_t had = m->out.n;
		int rc;
		if (k == 1) {
			j->r->copied_chunks++;
			rc = block_views_add(&m->out, j->ctx, &m->a, m->run[0].c, e);
		} else {
			rc = merge_run(j, m, m->run, k, penalty, e);
		}
		if (rc < 0)
			return -1;
		if (k > 1 && m->out.n > had) {
			m->cursor[n] = (struct cursor){ .at = had + 1,
							.end = m->out.n,
							.made = true };
			cursor_put(m, n);
		}
	}
	return 0;
}

static void cursors_begin(struct merger *m, uint32_t n)
{
	if (n < m->cap_cursor)
		return;
	m->cursor = vec_grow(m->cursor, &m->cap_cursor, n + 1, sizeof(*m->cursor));
	m->heap = xreallocarray(m->heap, m->cap_cursor, sizeof(*m->heap));
}

static void begin(struct merger *m, size_t n)
{
	arena_reset(&m->a);
	m->out = (struct block_views){ 0 };
	m->n = 0;
	if (n > m->cap || !m->ref)
		m->ref = vec_grow(m->ref, &m->cap, n + 1, sizeof(*m->ref));
}

static int refuse_overlaps(struct job *j, const struct merger *m, struct err *e)
{
	char id[27];

	for (size_t i = 1; i < m->n; i++) {
		const struct chunk_ref *x = &m->ref[i - 1], *y = &m->ref[i];
		if (y->c->mint_ms > x->c->maxt_ms)
			continue;
		memcpy(id, x->in->id, sizeof(id));
		return job_fault(j, y->in, COMPACT_FAULT_OVERLAP, E_INVALID, e,
				 "chunk [%" PRId64 ", %" PRId64
				 "] overlaps one of block %s",
				 y->c->mint_ms, y->c->maxt_ms, id);
	}
	return 0;
}

/* All chunks of the inputs, and a cursor for each. */
static void fill(const struct job *j, struct merger *m, const uint32_t *at, uint32_t n)
{
	m->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct input *in = &j->in[at[i]];
		size_t from = m->n;
		for (size_t k = 0; k < in->n_chunks; k++)
			m->ref[m->n++] = (struct chunk_ref){ &in->chunk[k], in };
		m->cursor[i] = (struct cursor){ .at = from, .end = m->n };
	}
}

int merge_series(struct job *j, const uint32_t *at, const uint32_t *order, uint32_t n,
		 struct err *e)
{
	struct merger *m = j->merger;
	const struct input *one = &j->in[at[0]];
	size_t total = 0;
	bool apart = true;

	for (uint32_t i = 0; i < n; i++)
		total += j->in[at[i]].n_chunks;
	begin(m, total);
	if (n == 1) { /* shown from where it is */
		m->out.v = (struct chunk_view *)(uintptr_t)one->chunk;
		m->out.n = one->n_chunks;
		j->r->copied_chunks += one->n_chunks;
		return 0;
	}
	cursors_begin(m, n);
	fill(j, m, at, n);
	for (size_t i = 1; i < m->n && apart; i++)
		apart = m->ref[i].c->mint_ms > m->ref[i - 1].c->maxt_ms;
	if (!apart && j->o->overlap == COMPACT_REFUSE) {
		vec_sort(m->ref, m->n, sizeof(*m->ref), cmp_refs, NULL);
		if (refuse_overlaps(j, m, e) < 0)
			return -1;
	}
	if (!apart) {
		for (uint32_t i = 0; i < n; i++)
			if (input_verify(j, &j->in[at[i]], e) < 0)
				return -1;
		fill(j, m, order, n);
		return merge_refs(j, m, n, j->o->overlap == COMPACT_PENALTY, e);
	}
	m->out.v = arena_try(&m->a, j->ctx, (m->n + 1) * sizeof(*m->out.v), e);
	if (!m->out.v)
		return -1;
	for (size_t i = 0; i < m->n; i++)
		m->out.v[i] = *m->ref[i].c;
	m->out.n = m->out.cap = m->n;
	j->r->copied_chunks += m->n;
	return 0;
}

int merge_own(struct job *j, struct input *in, struct chunk_view *v, size_t n,
	      struct block_views *out, struct err *e)
{
	struct merger *m = j->merger;

	begin(m, n);
	for (size_t i = 0; i < n; i++)
		m->ref[m->n++] = (struct chunk_ref){ &v[i], in };
	vec_sort(m->ref, m->n, sizeof(*m->ref), cmp_refs, NULL);
	cursors_begin(m, 1);
	m->cursor[0] = (struct cursor){ .end = m->n };
	uint64_t copied = j->r->copied_chunks;
	if (merge_refs(j, m, 1, false, e) < 0)
		return -1;
	j->r->copied_chunks = copied; /* they are counted when the series is merged */
	*out = (struct block_views){ 0 };
	for (size_t i = 0; i < m->out.n; i++) {
		struct chunk_view c = m->out.v[i];
		for (int k = 0; k < AGGR_N; k++) {
			if (!c.part[k].p)
				continue;
			uint8_t *p = arena_try(&in->tmp, j->ctx, c.part[k].n + 1, e);
			if (!p)
				return -1;
			memcpy(p, c.part[k].p, c.part[k].n);
			c.part[k].p = p;
		}
		if (block_views_add(out, j->ctx, &in->tmp, &c, e) < 0)
			return -1;
	}
	return 0;
}
