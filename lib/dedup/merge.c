/*
 * dedup/merge.c - k sorted sets as one, by a tree of losers.
 *
 * Each inner node of the tree keeps the leg that lost there, and whether it stands at the labels of the one that won; the
 * root's winner stands in top. A step replays only the path of the leg that moved. Legs at the same label set are taken
 * together, lower number first; their chunks are joined and put in order. A leg is moved on only when the next series is
 * asked for, so what is shown stays valid until then.
 *
 * Legs that stood together mostly stand together again. So each that is moved on is compared with one that moved before
 * it, once and whole; in the tree two of the same place are equal without a look at their labels, and one that still has
 * to be moved comes first.
 *
 * A leg must rise strictly. The labels shown last are kept for the check; one that falls back is
 * read to its end, sorted and joined within the budget, counted, and named in a warning: what it has shown
 * already cannot be taken back, so series below it come late, and twice if another leg has them, too. None is lost.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"

#include "dedup/dedup_int.h"

struct leg {
	struct series_set *set;
	const struct series_in *cur; /* NULL: ended */
	uint64_t
		place; /* of cur: legs of one place have the same labels; others may, too */
	struct arena mem; /* of rest */
	struct gather rest;
	size_t rest_i;
	bool sorted_again;
	struct merge_origin *origin; /* or NULL */
	bool taken;		     /* part of the series shown; to be moved on */
};
struct node {
	uint32_t leg; /* that lost here */
	bool tie;     /* against one at the same labels */
};
struct merge_set {
	struct series_set base;
	struct leg *leg;
	uint32_t n, top;   /* legs, and the one that won */
	struct node *tree; /* [1..n) */
	uint32_t n_taken;
	uint64_t places;
	bool begun;
	struct label *last; /* copy of the labels shown last */
	uint32_t n_last;
	size_t last_cap, text_cap;
	char *text;
	struct chunk_view *chunks;
	size_t chunks_cap;
	struct series_in now;
	void (*on_close)(void *arg);
	void *arg;
};

/* Remember the labels shown: the array and all bytes behind it in one buffer. */
static void keep_labels(struct merge_set *l)
{
	struct labels ls = l->now.labels;
	size_t bytes = 0;
	for (uint32_t i = 0; i < ls.n; i++)
		bytes += ls.l[i].name.n + ls.l[i].value.n;
	if (ls.n > l->last_cap || !l->last)
		l->last = vec_grow(l->last, &l->last_cap, ls.n + 1, sizeof *l->last);
	if (bytes > l->text_cap || !l->text)
		l->text = vec_grow(l->text, &l->text_cap, bytes + 1, 1);
	char *p = l->text;
	for (uint32_t i = 0; i < ls.n; i++) {
		struct str *to[2] = { &l->last[i].name, &l->last[i].value };
		struct str from[2] = { ls.l[i].name, ls.l[i].value };
		for (int k = 0; k < 2; k++) {
			*to[k] = str_n(p, from[k].n);
			if (from[k].n)
				memcpy(p, from[k].p, from[k].n);
			p += from[k].n;
		}
	}
	l->n_last = ls.n;
}

/* The leg fell back: cur and all that follows, sorted. */
static int sort_again(struct leg *l, struct ctx *ctx, struct err *e)
{
	int rc = 1;
	arena_init(&l->mem, ctx ? ctx->budget : NULL);
	l->rest.a = &l->mem;
	l->sorted_again = true;
	while (rc > 0) {
		if (gather_add(&l->rest, ctx, l->cur, l->cur->labels, e) < 0)
			return -1;
		rc = series_set_next(l->set, ctx, &l->cur, e);
	}
	if (rc < 0 || gather_finish(&l->rest, ctx, e) < 0)
		return -1;
	if (l->origin) {
		static const char text[] = "store %s sends series out of order: "
					   "some may be in this answer twice";
		if (atomic_fetch_add(&l->origin->unsorted, 1) == 0)
			log_warn(ctx, text, l->origin->name);
		if (ctx)
			notes_warn(ctx->notes, text, l->origin->name);
	}
	l->cur = &l->rest.v[l->rest_i++];
	return 0;
}

/*
 * `lead` is a leg that rose from the labels shown, or NULL; what stands where it stands now rose, too, and anything
 * else that rose is the lead for those that come after it.
 */
static int leg_next(struct merge_set *m, struct leg *l, struct leg **lead,
		    struct ctx *ctx, struct err *e)
{
	bool first = !l->cur;
	if (l->sorted_again) {
		l->cur = l->rest_i < l->rest.n ? &l->rest.v[l->rest_i++] : NULL;
	} else {
		int rc = series_set_next(l->set, ctx, &l->cur, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			l->cur = NULL;
	}
	if (!l->cur)
		return 0;
	if (*lead && labels_eq((*lead)->cur->labels, l->cur->labels)) {
		l->place = (*lead)->place;
		return 0;
	}
	l->place = ++m->places;
	if (l->sorted_again)
		return 0;
	struct labels last = { m->last, m->n_last, 0 };
	if (!first && labels_cmp(last, l->cur->labels) >= 0)
		return sort_again(l, ctx, e);
	*lead = l;
	return 0;
}

/*
 * Does leg a come before leg b? Those that have to be moved on first, ended legs last. tie: both stand at the same
 * labels.
 */
static inline bool before(const struct merge_set *m, uint32_t a, uint32_t b, bool *tie)
{
	const struct leg *x = &m->leg[a], *y = &m->leg[b];
	*tie = false;
	if (x->taken != y->taken)
		return x->taken;
	if (!x->cur || !y->cur)
		return x->cur || (!y->cur && a < b);
	int c = x->place == y->place ? 0 : labels_cmp(x->cur->labels, y->cur->labels);
	*tie = c == 0;
	return c < 0 || (c == 0 && a < b);
}

/* The winner, leg i, changed: play its path again. */
static void replay(struct merge_set *m, uint32_t i)
{
	for (uint32_t k = (i + m->n) / 2; k > 0; k /= 2) {
		struct node *node = &m->tree[k];
		if (before(m, node->leg, i, &node->tie)) {
			uint32_t loser = i;
			i = node->leg;
			node->leg = loser;
		}
	}
	m->top = i;
}

/* The winner below node k; losers are left behind on the way up. */
static uint32_t build(struct merge_set *m, uint32_t k)
{
	if (k >= m->n)
		return k - m->n;
	uint32_t a = build(m, 2 * k), b = build(m, 2 * k + 1);
	bool a_wins = before(m, a, b, &m->tree[k].tie);
	m->tree[k].leg = a_wins ? b : a;
	return a_wins ? a : b;
}

static int begin(struct merge_set *m, struct ctx *ctx, struct err *e)
{
	struct leg *lead = NULL;
	for (uint32_t i = 0; i < m->n; i++)
		if (leg_next(m, &m->leg[i], &lead, ctx, e) < 0)
			return -1;
	m->top = build(m, 1);
	m->begun = true;
	return 0;
}

static void add_chunks(struct merge_set *m, uint32_t leg)
{
	const struct series_in *s = m->leg[leg].cur;
	size_t need = m->now.n + s->n;
	if (need > m->chunks_cap || !m->chunks)
		m->chunks =
			vec_grow(m->chunks, &m->chunks_cap, need + 1, sizeof *m->chunks);
	if (s->n)
		memcpy(m->chunks + m->now.n, s->chunks, s->n * sizeof *m->chunks);
	if (m->leg[leg].origin)
		for (size_t i = m->now.n; i < need; i++)
			m->chunks[i].origin = leg + 1;
	m->now.n = need;
}

static bool in_order(const struct series_in *s)
{
	for (size_t i = 1; i < s->n; i++)
		if (s->chunks[i - 1].mint_ms >= s->chunks[i].mint_ms &&
		    dedup_chunk_cmp(&s->chunks[i - 1], &s->chunks[i]) >= 0)
			return false;
	return true;
}

/*
 * Take leg i and all legs at the same labels that lost to it, directly or through others: they stand on
 * i's path, below `top`.
 */
static void take(struct merge_set *m, uint32_t i, uint32_t top)
{
	add_chunks(m, i);
	m->leg[i].taken = true;
	m->n_taken++;
	for (uint32_t k = (i + m->n) / 2; k > top; k /= 2)
		if (m->tree[k].tie)
			take(m, m->tree[k].leg, k);
}

/* Move on the legs of the series shown: each is the winner when its turn comes. */
static int move_on(struct merge_set *m, struct ctx *ctx, struct err *e)
{
	struct leg *lead = NULL;
	if (m->n_taken > 0)
		keep_labels(m);
	while (m->n_taken > 0) {
		struct leg *l = &m->leg[m->top];
		if (leg_next(m, l, &lead, ctx, e) < 0)
			return -1;
		l->taken = false;
		m->n_taken--;
		replay(m, m->top);
	}
	return 0;
}

static int merge_next(struct series_set *base, struct ctx *ctx,
		      const struct series_in **out, struct err *e)
{
	struct merge_set *m = CONTAINER_OF(base, struct merge_set, base);
	if (!m->begun && m->n > 0 && begin(m, ctx, e) < 0)
		return -1;
	if (move_on(m, ctx, e) < 0)
		return -1;
	if (m->n == 0 || !m->leg[m->top].cur)
		return 0;
	m->now = (struct series_in){ .labels = m->leg[m->top].cur->labels };
	take(m, m->top, 0);
	m->now.chunks = m->chunks;
	if (!in_order(&m->now)) {
		dedup_chunk_sort(m->chunks, m->now.n);
		m->now.n = dedup_chunk_unique(m->chunks, m->now.n);
	}
	*out = &m->now;
	return 1;
}

static void merge_close(struct series_set *base)
{
	struct merge_set *m = CONTAINER_OF(base, struct merge_set, base);
	for (uint32_t i = 0; i < m->n; i++) {
		struct leg *l = &m->leg[i];
		series_set_close(l->set);
		gather_deinit(&l->rest);
		if (l->sorted_again)
			arena_deinit(&l->mem);
	}
	free(m->last);
	free(m->text);
	free(m->leg);
	free(m->tree);
	free(m->chunks);
	if (m->on_close)
		m->on_close(m->arg);
	free(m);
}

static const struct series_set_ops ops = { merge_next, merge_close };

const char *merge_origin_of(const struct series_set *s, const struct chunk_view *c)
{
	const struct merge_set *m = (const struct merge_set *)s; /* if it is one */
	uint32_t leg = c->origin;
	if (s->ops != &ops || leg == 0 || leg > m->n || !m->leg[leg - 1].origin)
		return NULL;
	return m->leg[leg - 1].origin->name;
}

void merge_on_close(struct series_set *s, void (*fn)(void *arg), void *arg)
{
	struct merge_set *m = CONTAINER_OF(s, struct merge_set, base);
	BUG_ON(s->ops != &ops);
	m->on_close = fn;
	m->arg = arg;
}

int merge_open(struct ctx *ctx, struct series_set **legs, size_t n,
	       struct merge_origin *const *origin, struct series_set **out, struct err *e)
{
	struct merge_set *m = xcalloc(1, sizeof *m);
	(void)ctx;
	(void)e;
	m->base.ops = &ops;
	m->n = (uint32_t)n;
	m->leg = xcalloc(n + 1, sizeof *m->leg);
	m->tree = xcalloc(n + 1, sizeof *m->tree);
	for (size_t i = 0; i < n; i++) {
		m->leg[i].set = legs[i];
		m->leg[i].origin = origin ? origin[i] : NULL;
	}
	*out = &m->base;
	return 0;
}
