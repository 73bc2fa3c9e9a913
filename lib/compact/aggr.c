/*
 * compact/aggr.c - a run of overlapping chunks of a downsampled block.
 *
 * Each aggregate is folded by itself, over all chunks; then the counts are cut into chunks of 120, and the other
 * aggregates where the counts are. A counter's chunk ends with its last sample twice, so that readers see where it ended.
 * Thanos does the same with floats only; where histograms do not fit one chunk, all aggregates are cut earlier.
 */
#include <stdlib.h>

#include "compact/compact_int.h"

#define PARTS (AGGR_N - AGGR_COUNT)

struct aggr_merge {
	struct fold f[PARTS];
	struct lane done[PARTS];
};

static void move_out(struct fold *f, struct lane *done, size_t n, bool penalty)
{
	if (n == 0)
		return;
	lane_room(done, done->n + n);
	memcpy(done->t + done->n, f->tail.t + f->tail.at, n * sizeof(*done->t));
	memcpy(done->v + done->n, f->tail.v + f->tail.at, n * sizeof(*done->v));
	done->n += n;
	fold_gone(f, n, penalty);
}

/* Of two that differ at one time the one that came first stays: there is no better one among aggregates. */
static void chain_first(struct fold *f, struct lane *in)
{
	const struct lane *a = &f->tail;
	size_t k = in->at, i = a->at;

	for (size_t s = in->at; s < in->n; s++) {
		while (i < a->n && a->t[i] < in->t[s])
			i++;
		if ((i < a->n && a->t[i] == in->t[s]) ||
		    (f->any && in->t[s] <= f->last_ms))
			continue;
		in->t[k] = in->t[s];
		in->v[k++] = in->v[s];
	}
	in->n = k;
}

static int fold_part(struct job *j, struct merger *m, struct aggr_merge *g, unsigned p,
		     const struct chunk_ref *x, bool penalty, struct err *e)
{
	struct chunk_part part = x->c->part[AGGR_COUNT + p];
	struct fold *f = &g->f[p];

	if (!part.p)
		return 0;
	if (lane_decode(&m->d, j->ctx, part, INT64_MIN, INT64_MAX, &m->in, e) < 0)
		return chunk_failed(j, x, e);
	if (m->in.n == 0)
		return 0;
	move_out(f, &g->done[p], fold_ready(f, m->in.t[0], penalty), penalty);
	if (penalty) {
		fold_penalty(f, &m->in);
		return 0;
	}
	chain_first(f, &m->in);
	BUG_ON(!fold_chain(&m->d, f, &m->in)); /* no times are equal any more */
	return 0;
}

static size_t upto(const struct lane *l, int64_t end)
{
	size_t k = l->at;
	while (k < l->n && l->t[k] <= end)
		k++;
	return k - l->at;
}

/*
 * One chunk with the samples up to `end`. 1: made; 0: something does not fit, *end is now earlier; -1.
 */
static int make_chunk(struct merger *m, struct aggr_merge *g, int64_t *end,
		      struct chunk_view *out, struct err *e)
{
	struct lane *count = &g->done[0];
	*out = (struct chunk_view){ .mint_ms = count->t[count->at] };

	for (unsigned p = 0; p < PARTS; p++) {
		struct lane *l = &g->done[p];
		size_t n = upto(l, *end);
		if (n == 0)
			continue;
		int64_t fit = recut_part(&m->cut, l->t + l->at, l->v + l->at, n,
					 AGGR_COUNT + p == AGGR_COUNTER,
					 &out->part[AGGR_COUNT + p], e);
		if (fit < 0)
			return -1;
		if ((size_t)fit == n)
			continue;
		int64_t first = l->t[l->at + (size_t)fit];
		if (count->t[count->at] >=
		    first) { /* between two counts: the later one stays */
			l->at += (size_t)fit;
			return 0;
		}
		*end = count->t[count->at + upto(count, first - 1) - 1];
		return 0;
	}
	out->maxt_ms = count->t[count->at + upto(count, *end) - 1];
	for (unsigned p = 0; p < PARTS; p++)
		g->done[p].at += upto(&g->done[p], *end);
	return 1;
}

static int cut_all(struct job *j, struct merger *m, struct aggr_merge *g, struct err *e)
{
	struct lane *count = &g->done[0];
	struct chunk_view v;

	while (count->at < count->n) {
		size_t n = MIN(count->n - count->at, CHUNK_SAMPLES);
		int64_t end = count->t[count->at + n - 1];
		int rc;
		if (n == count->n - count->at)
			end = INT64_MAX;
		while ((rc = make_chunk(m, g, &end, &v, e)) == 0)
			;
		if (rc < 0 || block_views_add(&m->out, j->ctx, &m->a, &v, e) < 0)
			return -1;
	}
	return 0;
}

static bool is_generic(const struct chunk_ref *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned p = AGGR_COUNT; p < AGGR_N; p++)
			if (run[i].c->part[p].p && run[i].c->part[p].enc != CHUNK_XOR)
				return true;
	return false;
}

int aggr_run(struct job *j, struct merger *m, const struct chunk_ref *run, size_t n,
	     bool penalty, struct err *e)
{
	struct aggr_merge *g = xcalloc(1, sizeof(*g));
	int rc = 0;

	decoding_begin(&m->d, is_generic(run, n), true);
	recut_begin(&m->cut, j->ctx, &m->a, &m->out);
	for (size_t i = 0; i < n && rc == 0; i++)
		for (unsigned p = 0; p < PARTS && rc == 0; p++)
			rc = fold_part(j, m, g, p, &run[i], penalty, e);
	for (unsigned p = 0; p < PARTS; p++)
		move_out(&g->f[p], &g->done[p], g->f[p].tail.n - g->f[p].tail.at,
			 penalty);
	if (rc == 0)
		rc = cut_all(j, m, g, e);
	for (unsigned p = 0; p < PARTS; p++) {
		lane_deinit(&g->f[p].tail);
		lane_deinit(&g->f[p].spare);
		lane_deinit(&g->done[p]);
	}
	free(g);
	return rc;
}
