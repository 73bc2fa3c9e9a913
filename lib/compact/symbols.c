/*
 * compact/symbols.c - the sorted symbols of all inputs as one table, and each input's ordinals mapped to it.
 *
 * The k-th symbol of an input is the k-th bit that is set in its bitmap over the output's ordinals. `at` names the word
 * of every 64th, so a look-up counts bits over a few words. An input that has few of all symbols keeps plain numbers
 * instead, which then are the smaller.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

#define STEP 64

/* ---- the map ---- */

uint32_t symbol_map_get(const struct symbol_map *m, uint32_t k)
{
	if (m->plain)
		return m->plain[k];
	uint32_t left = k % STEP, w = m->at[k / STEP] >> 6;
	/* The low bits of `at` say where in the word the 64-fold one stands. */
	uint64_t word = m->bits[w] & (~(uint64_t)0 << (m->at[k / STEP] & 63));
	for (;;) {
		uint32_t n = (uint32_t)__builtin_popcountll(word);
		if (left < n)
			break;
		left -= n;
		word = m->bits[++w];
	}
	while (left-- > 0)
		word &= word - 1;
	return w * 64 + (uint32_t)__builtin_ctzll(word);
}

void symbol_map_deinit(struct symbol_map *m)
{
	free(m->plain);
	free(m->bits);
	free(m->at);
	*m = (struct symbol_map){ 0 };
}

/* Symbol number m->count of the input is number `ordinal` of the output. */
static void map_add(struct symbol_map *m, uint32_t ordinal)
{
	size_t w = ordinal / 64;
	if (w >= m->cap) {
		size_t had = m->cap;
		m->bits = vec_grow(m->bits, &m->cap, w + 1, sizeof(*m->bits));
		memset(m->bits + had, 0, (m->cap - had) * sizeof(*m->bits));
	}
	m->words = w + 1;
	m->bits[w] |= (uint64_t)1 << (ordinal & 63);
	m->count++;
}

static void map_finish(struct symbol_map *m)
{
	uint32_t k = 0;
	bool few = m->count <= m->words * 2;
	if (few)
		m->plain = xreallocarray(NULL, m->count + 1, sizeof(*m->plain));
	else
		m->at = xreallocarray(NULL, m->count / STEP + 1, sizeof(*m->at));
	for (size_t w = 0; w < m->words; w++)
		for (uint64_t b = m->bits[w]; b; b &= b - 1, k++) {
			uint32_t ordinal =
				(uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(b);
			if (few)
				m->plain[k] = ordinal;
			else if (k % STEP == 0)
				m->at[k / STEP] = ordinal;
		}
	if (few) {
		free(m->bits);
		m->bits = NULL;
	} else {
		m->bits = xreallocarray(m->bits, m->words, sizeof(*m->bits));
	}
}

/* ---- the merge ---- */

struct head { /* the symbol an input stands at */
	struct str s;
	uint64_t first; /* eight bytes of it, big endian */
	bool on;
};

static int cmp_heads(const void *arg, uint32_t a, uint32_t b)
{
	const struct head *x = (const struct head *)arg + a,
			  *y = (const struct head *)arg + b;
	if (!x->on || !y->on)
		return y->on - x->on;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return str_cmp(x->s, y->s);
}

static int head_next(struct job *j, struct input *in, struct head *h, struct err *e)
{
	uint8_t first[8] = { 0 };
	int rc = block_scan_symbol(in->scan, j->ctx, &h->s, e);
	h->on = rc > 0;
	if (rc < 0)
		return job_read_failed(j, in, e);
	if (rc == 0)
		return 0;
	if (h->s.n)
		memcpy(first, h->s.p, MIN(h->s.n, sizeof(first)));
	memcpy(&h->first, first, 8);
	h->first = __builtin_bswap64(h->first);
	return 0;
}

static int merge_heads(struct job *j, struct loser_tree *t, struct head *h, struct err *e)
{
	uint32_t ordinal = 0, n;
	for (;; ordinal++) {
		const uint32_t *at = loser_tree_least(t, &n);
		if (!h[at[0]].on)
			return 0;
		if (ordinal % 4096 == 0 && ctx_check(j->ctx, e) < 0)
			return -1;
		if (block_writer_symbol(j->w, j->ctx, h[at[0]].s, e) < 0)
			return -1;
		for (uint32_t i = 0; i < n; i++) {
			map_add(&j->in[at[i]].map, ordinal);
			if (head_next(j, &j->in[at[i]], &h[at[i]], e) < 0)
				return -1;
		}
		loser_tree_moved(t);
	}
}

int job_merge_symbols(struct job *j, struct err *e)
{
	struct head *h = xcalloc(j->n, sizeof(*h));
	struct loser_tree t;
	int rc = 0;

	loser_tree_init(&t, j->n, cmp_heads, h);
	for (uint32_t i = 0; i < j->n && rc == 0; i++)
		rc = head_next(j, &j->in[i], &h[i], e);
	if (rc == 0) {
		loser_tree_build(&t);
		rc = merge_heads(j, &t, h, e);
	}
	for (uint32_t i = 0; i < j->n && rc == 0; i++)
		map_finish(&j->in[i].map);
	loser_tree_deinit(&t);
	free(h);
	return rc;
}
