/*
 * tsdb/block/chunks.c - the chunk stage of a block's series_set.
 *
 * From the ready items so many are taken that their chunks come to about show_bytes, going by the mean of
 * what was read so far, and fewer if the read, gaps included, would fetch more than
 * BLOCK_BATCH_BYTES. Chunks lie one behind another in a segment, so the next wanted reference, if only of the
 * item behind those that are taken, tells how long a chunk can be. A damaged chunk is named in a warning and left
 * out; the series is shown with the others.
 */
#include "tsdb/block/set_int.h"

#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"

#define MAX_CHUNKS    8192
#define DEFAULT_CHUNK 16000u /* what is read where nothing tells a chunk's length */
#define FIRST_MEAN    512u

struct stage {
	struct block_set *s;
	struct ctx *ctx;
	struct arena *a;
	struct block_item **item;
	size_t n_items;
	uint64_t
		after; /* reference of the chunk behind those of all items; 0: not known */
	struct chunk_recoder *rec; /* NULL: not needed yet */
};

void block_set_release(struct block_set *s)
{
	for (size_t i = 0; i < s->n_need; i++)
		view_put(&s->need[i].pin);
	s->n_need = 0;
	s->n_shown = s->at_shown = 0;
	arena_reset(&s->chunks);
}

/* ---- what to read ---- */

/* Of a chunk read so far; 0: none was. */
static uint64_t mean_bytes(const struct block_set *s)
{
	return s->read_chunks ? s->read_bytes / s->read_chunks + 1 : 0;
}

/* A remainder of less than half as much again is taken, too: it would cost a read of its own. */
static size_t guess_items(const struct block_set *s)
{
	uint64_t mean = s->read_chunks ? mean_bytes(s) : FIRST_MEAN;
	size_t want = (size_t)MIN(s->show_bytes / mean + 1, (uint64_t)MAX_CHUNKS);
	size_t left = s->n_ready - s->at_ready, chunks = 0, n = 0, all;

	if (s->req->batch)
		left = MIN(left, s->req->batch);
	while (n < left && (n == 0 || chunks < want))
		chunks += s->ready[s->at_ready + n++]->n;
	all = n;
	while (all < left && chunks < want + want / 2)
		chunks += s->ready[s->at_ready + all++]->n;
	return all == left ? all : n;
}

static int cmp_need(const void *a, const void *b, void *arg)
{
	const struct segment_need *const *x = a, *const *y = b;
	(void)arg;

	return ((*x)->ref > (*y)->ref) - ((*x)->ref < (*y)->ref);
}

/*
 * How much to read of the chunk at `ref`, when `next` is the next reference (0: not known). Of the last of all nothing
 * tells: where reads are fast, a second one for one that is large costs less than the first reading too much each time.
 */
static uint32_t length_hint(const struct stage *g, uint64_t ref, uint64_t next)
{
	const struct block_set *s = g->s;
	uint64_t max = (uint64_t)s->b->meta.thanos.chunk_max_size;
	uint64_t most = max && max < UINT32_MAX ? max : DEFAULT_CHUNK;

	if (next > ref && next - ref < most)
		return (uint32_t)(next - ref);
	if (next == 0 && s->read_chunks && s->show_bytes == SET_SHOW_LEAST)
		most = MIN(most, 2 * mean_bytes(s) + FIRST_MEAN);
	return (uint32_t)most;
}

/* Hints for all needs, and what reading them costs, gaps included. */
static int plan_reads(struct stage *g, struct segment_need *need, size_t n, bool ascend,
		      uint64_t *cost, struct err *e)
{
	struct segment_need **order = NULL;
	uint64_t end = 0;

	if (!ascend) {
		order = arena_try(g->a, g->ctx, n * sizeof(struct segment_need *), e);
		if (!order)
			return -1;
		for (size_t i = 0; i < n; i++)
			order[i] = &need[i];
		vec_sort(order, n, sizeof(struct segment_need *), cmp_need, NULL);
	}
	*cost = 0;
	for (size_t i = 0; i < n; i++) {
		struct segment_need *d = order ? order[i] : &need[i];
		uint64_t next = g->after;
		if (i + 1 < n)
			next = order ? order[i + 1]->ref : need[i + 1].ref;
		d->len_hint = length_hint(g, d->ref, next);
		if (i && d->ref > end && d->ref - end <= RANGE_GAP_BYTES)
			*cost += d->ref - end;
		*cost += d->len_hint;
		end = d->ref + d->len_hint;
	}
	return 0;
}

static int plan_items(struct stage *g, struct err *e)
{
	struct block_set *s = g->s;
	size_t n = 0, k = 0, next = s->at_ready + g->n_items;
	bool ascend = true;
	uint64_t cost, before = 0;

	for (size_t i = 0; i < g->n_items; i++)
		n += g->item[i]->n;
	struct segment_need *need = arena_try(g->a, g->ctx, (n + 1) * sizeof(*need), e);
	if (!need)
		return -1;
	for (size_t i = 0; i < g->n_items; i++)
		for (uint32_t c = 0; c < g->item[i]->n; c++, k++) {
			need[k] =
				(struct segment_need){ .ref = g->item[i]->chunk[c].ref };
			ascend &= before <= need[k].ref;
			before = need[k].ref;
		}
	g->after = ascend && next < s->n_ready ? s->ready[next]->chunk[0].ref : 0;
	if (plan_reads(g, need, n, ascend, &cost, e) < 0)
		return -1;
	if (cost > BLOCK_BATCH_BYTES && g->n_items > 1) {
		arena_reset(g->a);
		g->n_items /= 2;
		return plan_items(g, e);
	}
	s->need = need;
	s->n_need = n;
	return 0;
}

/* ---- damage ---- */

static void report(struct stage *g, size_t item, enum block_damage kind,
		   const struct err *why)
{
	struct arena tmp;

	arena_init(&tmp, NULL);
	struct str ls = labels_str(&tmp, g->item[item]->labels);
	block_damaged(g->s->b, g->ctx, kind, "chunk of %.*s: %s", (int)MIN(ls.n, 500),
		      ls.p, err_text(why));
	arena_deinit(&tmp);
}

static void on_bad_chunk(void *arg, size_t i, const struct err *why)
{
	struct stage *g = arg;
	size_t item = 0;

	while (i >= g->item[item]->n)
		i -= g->item[item++]->n;
	report(g, item, DAMAGE_CHUNK, why);
}

static int read_chunks(struct stage *g, struct err *e)
{
	struct block_set *s = g->s;

	if (!s->b->segments) {
		struct err why = ERR_INIT;
		err_set(NULL, &why, E_CORRUPT, "the block has no chunk segments");
		for (size_t i = 0; i < s->n_need; i++) {
			s->need[i] = (struct segment_need){ .bad = true };
			on_bad_chunk(g, i, &why);
		}
		return 0;
	}
	uint64_t begin = time_mono_ns();
	if (segments_read(s->b->segments, g->ctx, s->need, s->n_need, on_bad_chunk, g,
			  e) < 0)
		return err_wrap(g->ctx, e, "block %s: chunks", s->b->id);
	if (time_mono_ns() - begin >= SET_SLOW_NS)
		s->show_bytes = MIN(s->show_bytes * 4, SET_SHOW_MOST);
	else
		s->show_bytes = MAX(s->show_bytes / 4, SET_SHOW_LEAST);
	for (size_t i = 0; i < s->n_need; i++) {
		s->read_chunks += !s->need[i].bad;
		s->read_bytes += s->need[i].bad ? 0 : s->need[i].part.n;
	}
	return 0;
}

/* ---- views ---- */

static void keep_wanted(struct chunk_view *v, uint32_t aggrs)
{
	for (unsigned k = AGGR_COUNT; aggrs && k < AGGR_N; k++)
		if (!(aggrs & AGGR_BIT(k)))
			v->part[k] = (struct chunk_part){ 0 };
}

/* No writer puts newer encodings into aggregates; one that did would not be understood by clients. */
static bool aggr_known(struct stage *g, size_t item, const struct chunk_view *v)
{
	struct err why = ERR_INIT;

	for (unsigned k = AGGR_COUNT; k < AGGR_N && !g->s->req->newer_encodings; k++) {
		unsigned enc = v->part[k].p ? v->part[k].enc : CHUNK_XOR;
		if (chunk_enc_plain(enc) == enc)
			continue;
		err_set(NULL, &why, E_UNSUPPORTED, "aggregate chunk: encoding %s (%u)",
			chunk_enc_name(enc), enc);
		report(g, item, DAMAGE_CHUNK, &why);
		return false;
	}
	return true;
}

/* 0: *v is filled; 1: this chunk cannot be shown (reported). */
static int view_of(struct stage *g, size_t item, const struct segment_need *need,
		   struct chunk_view *v)
{
	const struct chunk_part *p = &need->part;
	struct err why = ERR_INIT;

	switch (p->enc) {
	case CHUNK_XOR:
	case CHUNK_HIST:
	case CHUNK_FLOATHIST:
	case CHUNK_XOR2:
	case CHUNK_HIST_ST:
	case CHUNK_FLOATHIST_ST: v->part[AGGR_RAW] = *p; return 0;
	case CHUNK_AGGR:
		if (chunk_aggr_split(p->p, p->n, v, &why) < 0) {
			report(g, item, DAMAGE_CHUNK, &why);
			return 1;
		}
		keep_wanted(v, g->s->req->aggrs);
		return aggr_known(g, item, v) ? 0 : 1;
	default:
		err_set(NULL, &why, E_CORRUPT, "unknown chunk encoding %u", p->enc);
		report(g, item, DAMAGE_CHUNK, &why);
		return 1;
	}
}

static int add_view(struct stage *g, size_t item, uint32_t chunk,
		    const struct segment_need *need, struct block_views *out,
		    struct err *e)
{
	const struct block_item *it = g->item[item];
	const struct idx_chunk *c = &it->chunk[chunk];
	struct chunk_view v = { .mint_ms = c->mint_ms, .maxt_ms = c->maxt_ms };
	const struct tombstone_range *r;
	size_t n, before = out->n;

	if (need->bad || view_of(g, item, need, &v) != 0)
		return 0;
	r = tombstones_of(g->s->b->tombstones, it->series ? it->series[chunk] : it->ref,
			  &n);
	const struct block_series_req *q = g->s->req;
	if (q->trim && (c->mint_ms < q->mint_ms || c->maxt_ms > q->maxt_ms) &&
	    block_cut_outside(g->ctx, g->a, q->mint_ms, q->maxt_ms, &r, &n, e) < 0)
		return -1;
	enum chunk_enc enc = (enum chunk_enc)v.part[AGGR_RAW].enc, to = enc;
	if (!g->s->req->newer_encodings)
		to = chunk_enc_plain(enc);
	enum block_cut cut = block_cut_kind(r, n, c->mint_ms, c->maxt_ms);
	if (cut == CUT_ALL) /* of tombstones and edges together: else it is not read */
		return 0;
	if (to == enc && cut == CUT_NONE)
		return block_views_add(out, g->ctx, g->a, &v, e);
	struct err why = ERR_INIT;
	if (!g->rec)
		g->rec = chunk_recoder_new(g->a);
	if (block_cut(g->ctx, g->a, g->rec, &v, to, r, n, out, &why) == 0)
		return 0;
	if (why.code == E_LIMIT)
		return err_copy(g->ctx, e, &why);
	out->n = before;
	report(g, item, DAMAGE_CHUNK, &why);
	return 0;
}

static const struct chunk_part *first_part(const struct chunk_view *v)
{
	for (unsigned k = 0; k < AGGR_N; k++)
		if (v->part[k].p)
			return &v->part[k];
	return &v->part[AGGR_RAW];
}

/* The order of chunks in all answers: (mint, maxt, encoding, bytes descending). */
static int cmp_view(const void *a, const void *b, void *arg)
{
	const struct chunk_view *x = a, *y = b;
	const struct chunk_part *p = first_part(x), *q = first_part(y);
	(void)arg;

	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	if (x->maxt_ms != y->maxt_ms)
		return x->maxt_ms < y->maxt_ms ? -1 : 1;
	if (p->enc != q->enc)
		return p->enc < q->enc ? -1 : 1;
	return str_cmp(str_n(q->p, q->n), str_n(p->p, p->n));
}

static bool same_view(const struct chunk_view *x, const struct chunk_view *y)
{
	if (x->mint_ms != y->mint_ms || x->maxt_ms != y->maxt_ms)
		return false;
	for (unsigned k = 0; k < AGGR_N; k++) {
		const struct chunk_part *p = &x->part[k], *q = &y->part[k];
		if (p->enc != q->enc || !str_eq(str_n(p->p, p->n), str_n(q->p, q->n)))
			return false;
	}
	return true;
}

/* Of series that are shown as one: in order, equal chunks once, as every merge does. */
static void join_views(struct block_views *l)
{
	size_t k = 0;

	vec_sort(l->v, l->n, sizeof(*l->v), cmp_view, NULL);
	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || !same_view(&l->v[i], &l->v[k - 1]))
			l->v[k++] = l->v[i];
	l->n = k;
}

/* Nearly all: nothing to cut, split or encode anew. */
static inline bool is_plain(const struct block_set *s, const struct idx_chunk *c,
			    const struct segment_need *need)
{
	const struct block_series_req *q = s->req;
	unsigned enc = need->part.enc;
	bool shown = enc == CHUNK_XOR || enc == CHUNK_HIST || enc == CHUNK_FLOATHIST;

	if (q->trim && (c->mint_ms < q->mint_ms || c->maxt_ms > q->maxt_ms))
		return false;
	return shown && !need->bad && !s->b->tombstones;
}

/* Stores of whole words: the compiler's own way to clear so much at once takes longer than the rest. */
static inline void plain_view(struct chunk_view *v, const struct idx_chunk *c,
			      struct chunk_part part)
{
	static const struct chunk_part none;

	v->mint_ms = c->mint_ms;
	v->maxt_ms = c->maxt_ms;
	v->hash = v->lane = 0;
	v->origin = 0;
	v->part[AGGR_RAW] = part;
	v->part[AGGR_COUNT] = none;
	v->part[AGGR_SUM] = none;
	v->part[AGGR_MIN] = none;
	v->part[AGGR_MAX] = none;
	v->part[AGGR_COUNTER] = none;
}

static int fill_item(struct stage *g, size_t i, const struct segment_need *need,
		     struct err *e)
{
	const struct block_set *s = g->s;
	const struct block_item *it = g->item[i];
	struct block_views l = { .cap = it->n };

	l.v = arena_try(g->a, g->ctx, it->n * sizeof(*l.v), e);
	if (!l.v)
		return -1;
	for (uint32_t k = 0; k < it->n; k++) {
		const struct idx_chunk *c = &it->chunk[k];
		if (l.n < l.cap && is_plain(s, c, &need[k]))
			plain_view(&l.v[l.n++], c, need[k].part);
		else if (add_view(g, i, k, &need[k], &l, e) < 0)
			return -1;
	}
	if (it->joined && l.n)
		join_views(&l);
	s->shown[i] = (struct series_in){ .labels = it->labels, .chunks = l.v, .n = l.n };
	return 0;
}

static int fill_shown(struct stage *g, struct err *e)
{
	struct block_set *s = g->s;
	size_t k = 0;

	s->shown = arena_try(g->a, g->ctx, g->n_items * sizeof(*s->shown), e);
	if (!s->shown)
		return -1;
	for (size_t i = 0; i < g->n_items; i++) {
		if (s->req->skip_chunks)
			s->shown[i] = (struct series_in){ .labels = g->item[i]->labels };
		else if (fill_item(g, i, &s->need[k], e) < 0)
			return -1;
		k += g->item[i]->n;
	}
	s->n_shown = g->n_items;
	s->at_shown = 0;
	return 0;
}

int block_set_show(struct block_set *s, struct ctx *ctx, struct err *e)
{
	struct stage g = {
		.s = s, .ctx = ctx, .a = &s->chunks, .item = &s->ready[s->at_ready]
	};

	block_set_release(s);
	if (ctx_check(ctx, e) < 0)
		return -1;
	g.n_items = s->req->skip_chunks ? s->n_ready - s->at_ready : guess_items(s);
	if (!s->req->skip_chunks && (plan_items(&g, e) < 0 || read_chunks(&g, e) < 0))
		return -1;
	if (fill_shown(&g, e) < 0)
		return -1;
	s->at_ready += g.n_items;
	return 0;
}
