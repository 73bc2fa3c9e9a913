/*
 * tsdb/write/post_sort.c - pairs (label, series), collected in memory, sorted by label, spilled as runs.
 *
 *   run    { u32 name, u32 value, u32 n, n x u32 BE ref } ..., ascending by (name, value); numbers of this machine
 *          but the refs, which stand as they will stand in the index
 *
 * Ordinals of symbols compare as their texts do. Refs ascend from series to series, so that within a run (the sort
 * is stable) and from run to run those of one label are in order: merging is only putting one behind the other.
 * When as many runs of one level stand at the end as one merge can take, they become one of the next level; so every
 * pair is merged once a level, and there are few levels: fan_in is 64 with 1 MiB of memory, 1024 with 16 MiB.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "tsdb/write/write_int.h"

#define CAP_FIRST    4096u
#define DIGIT_BITS   11
#define DIGITS	     (1u << DIGIT_BITS)
#define DIGIT_MASK   (DIGITS - 1)
#define KEY_DIGITS   3 /* of 32 bits */
#define FAN_IN_MAX   1024
#define MERGE_WINDOW ((size_t)16 << 10)
#define SPILL_ROOM   ((size_t)128 << 10)

int post_init(struct post_sort *s, struct ctx *ctx, const char *dir, size_t memory,
	      struct err *e)
{
	*s = (struct post_sort){ .budget = ctx->budget };
	post_set_memory(s, memory);
	return spill_open(&s->spill, ctx, dir, SPILL_ROOM, e);
}

void post_set_memory(struct post_sort *s, size_t memory)
{
	s->cap_max = memory / (2 * sizeof(struct post_entry));
	s->fan_in = MAX(MIN(memory / MERGE_WINDOW, (size_t)FAN_IN_MAX), 2u);
}

void post_deinit(struct post_sort *s)
{
	budget_give(s->budget, s->charged);
	spill_close(&s->spill);
	free(s->v);
	free(s->room);
	free(s->run);
	*s = (struct post_sort){ 0 };
}

/* ---- sorting: least significant digit first ---- */

static inline uint32_t digit(const struct post_entry *p, unsigned i)
{
	uint32_t key = i < KEY_DIGITS ? p->value : p->name;
	return key >> DIGIT_BITS * (i % KEY_DIGITS) & DIGIT_MASK;
}

static void sort_by(const struct post_entry *from, struct post_entry *to, size_t n,
		    unsigned i, uint32_t *at)
{
	uint32_t sum = 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t k = at[d];
		at[d] = sum;
		sum += k;
	}
	for (size_t k = 0; k < n; k++)
		to[at[digit(&from[k], i)]++] = from[k];
}

/* The result is v, or room. */
static struct post_entry *sort(struct post_entry *v, struct post_entry *room, size_t n)
{
	static const unsigned all = 2 * KEY_DIGITS;
	uint32_t *count = xcalloc((size_t)all * DIGITS, sizeof(*count));
	for (size_t k = 0; k < n; k++)
		for (unsigned i = 0; i < all; i++)
			count[i * DIGITS + digit(&v[k], i)]++;
	for (unsigned i = 0; i < all; i++) {
		uint32_t *at = &count[(size_t)i * DIGITS];
		if (at[digit(&v[0], i)] == n) /* all the same */
			continue;
		sort_by(v, room, n, i, at);
		struct post_entry *t = v;
		v = room;
		room = t;
	}
	free(count);
	return v;
}

/* ---- runs ---- */

static void add_run(struct post_sort *s, struct post_run r)
{
	if (s->n_runs == s->cap_runs)
		s->run = vec_grow(s->run, &s->cap_runs, s->n_runs + 1, sizeof(*s->run));
	s->run[s->n_runs++] = r;
}

static int write_refs(struct spill *out, struct ctx *ctx, const struct post_entry *v,
		      size_t n, struct err *e)
{
	uint32_t be[256];
	while (n) {
		size_t k = MIN(n, ARRAY_LEN(be));
		for (size_t i = 0; i < k; i++)
			be[i] = __builtin_bswap32(v[i].ref);
		if (spill_append(out, ctx, be, k * sizeof(*be), e) < 0)
			return -1;
		v += k;
		n -= k;
	}
	return 0;
}

static int write_group(struct spill *out, struct ctx *ctx, uint32_t name, uint32_t value,
		       uint32_t n, struct err *e)
{
	const uint32_t head[3] = { name, value, n };
	return spill_append(out, ctx, head, sizeof(head), e);
}

/* Runs [first, n_runs) become one. */
static int fold(struct post_sort *s, struct ctx *ctx, size_t first, struct err *e)
{
	struct post_merge *m;
	struct post_group g;
	struct post_run r = { .level = s->run[first].level + 1 };
	struct str piece;
	int rc;
	if (post_merge_open(s, ctx, first, &m, e) < 0)
		return -1;
	r.off = spill_pos(&s->spill);
	while ((rc = post_merge_next(m, ctx, &g, e)) == 1) {
		rc = write_group(&s->spill, ctx, g.name, g.value, (uint32_t)g.n, e);
		if (rc < 0)
			break;
		while ((rc = post_merge_refs(m, ctx, &piece, e)) == 1)
			if (spill_append(&s->spill, ctx, piece.p, piece.n, e) < 0) {
				rc = -1;
				break;
			}
		if (rc < 0)
			break;
	}
	post_merge_close(m);
	r.end = spill_pos(&s->spill);
	s->n_runs = first;
	add_run(s, r);
	return rc;
}

static bool is_level_full(const struct post_sort *s)
{
	if (s->n_runs < s->fan_in)
		return false;
	const struct post_run *last = &s->run[s->n_runs - 1];
	return s->run[s->n_runs - s->fan_in].level == last->level;
}

static int spill_run(struct post_sort *s, struct ctx *ctx, struct err *e)
{
	if (s->n == 0)
		return 0;
	if (!s->room) /* the array has its last size now */
		s->room = xreallocarray(NULL, s->cap, sizeof(*s->room));
	struct post_entry *v = sort(s->v, s->room, s->n);
	struct post_run r = { .off = spill_pos(&s->spill) };
	for (size_t i = 0, k; i < s->n; i = k) {
		for (k = i + 1;
		     k < s->n && v[k].name == v[i].name && v[k].value == v[i].value; k++)
			;
		if (write_group(&s->spill, ctx, v[i].name, v[i].value, (uint32_t)(k - i),
				e) < 0 ||
		    write_refs(&s->spill, ctx, v + i, k - i, e) < 0)
			return -1;
	}
	r.end = spill_pos(&s->spill);
	s->n = 0;
	add_run(s, r);
	while (is_level_full(s))
		if (fold(s, ctx, s->n_runs - s->fan_in, e) < 0)
			return -1;
	return 0;
}

static int grow(struct post_sort *s, struct ctx *ctx, struct err *e)
{
	size_t cap = MIN(s->cap ? 2 * s->cap : CAP_FIRST, s->cap_max);
	size_t bytes = cap * 2 * sizeof(*s->v);
	if (s->budget && budget_take(s->budget, ctx, bytes - s->charged, e) < 0)
		return -1;
	s->charged = bytes;
	s->v = xreallocarray(s->v, cap, sizeof(*s->v));
	s->cap = cap;
	return 0;
}

int post_add(struct post_sort *s, struct ctx *ctx, uint32_t ref, const uint32_t *label,
	     size_t n_labels, struct err *e)
{
	for (size_t i = 0; i < n_labels; i++) {
		if (UNLIKELY(s->n == s->cap)) {
			int rc = s->cap < s->cap_max ? grow(s, ctx, e)
						     : spill_run(s, ctx, e);
			if (rc < 0)
				return -1;
		}
		s->v[s->n++] = (struct post_entry){ label[2 * i], label[2 * i + 1], ref };
	}
	return 0;
}

int post_done(struct post_sort *s, struct ctx *ctx, struct err *e)
{
	if (spill_run(s, ctx, e) < 0)
		return -1;
	while (s->n_runs > s->fan_in)
		if (fold(s, ctx, MAX(s->n_runs - s->fan_in, s->fan_in - 1), e) < 0)
			return -1;
	return spill_flush(&s->spill, ctx, e);
}
