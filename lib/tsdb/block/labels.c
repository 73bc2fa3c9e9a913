/*
 * tsdb/block/labels.c - label names and values of a block.
 *
 * Without matchers the index answers from its postings offset table. With matchers the entries of the
 * series that match are read (no chunks), and the ordinals seen are marked in a bitmap over the
 * symbols: ordinals ascend like the strings, so the answer comes out sorted and unique.
 */
#include "tsdb/block/block_int.h"

struct marking {
	struct block *b;
	struct ctx *ctx;
	uint64_t *bits;
	bool values;   /* mark values of `name`; else names */
	uint32_t name; /* ordinal */
};

static void mark(struct marking *m, const struct idx_series *s)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		uint32_t name = s->label[i * 2];
		uint32_t o = m->values ? s->label[i * 2 + 1] : name;
		if (!m->values || name == m->name)
			m->bits[o / 64] |= 1ull << (o % 64);
	}
}

static int mark_series(struct marking *m, struct postings p, struct err *e)
{
	uint32_t sorted[BLOCK_BATCH_SERIES];
	struct arena batch;
	int rc = 0;

	arena_init(&batch, m->ctx->budget);
	for (size_t at = 0; rc == 0 && at < p.n;) {
		size_t n = block_entries_batch(p.ref + at, p.n - at, BLOCK_BATCH_SERIES,
					       sorted);
		arena_reset(&batch);
		struct idx_series *s = arena_try(&batch, m->ctx, n * sizeof(*s), e);
		if (!s || block_entries_read(m->b, m->ctx, &batch, sorted, n, INT64_MIN,
					     INT64_MAX, true, s, e) < 0)
			rc = -1;
		for (size_t i = 0; rc == 0 && i < n; i++)
			if (!s[i].bad)
				mark(m, &s[i]);
		at += n;
	}
	arena_deinit(&batch);
	return rc;
}

/* The marked symbols as strings in `a`. */
static int collect(struct marking *m, struct arena *a, size_t words, struct str **out,
		   size_t *count, struct err *e)
{
	size_t n = 0;
	bool bad = false;

	for (size_t w = 0; w < words; w++)
		n += (size_t)__builtin_popcountll(m->bits[w]);
	struct str *v = arena_try(a, m->ctx, (n + 1) * sizeof(*v), e);
	if (!v)
		return -1;
	n = 0;
	for (size_t w = 0; w < words; w++)
		for (uint64_t bits = m->bits[w]; bits; bits &= bits - 1) {
			uint32_t o = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits);
			v[n++] = idx_symbol(m->b->index, o, &bad);
		}
	*out = v;
	*count = n;
	return 0;
}

static int labels_matching(struct block *b, struct ctx *ctx, struct arena *a,
			   const struct str *name, const struct matcher *match, size_t n,
			   struct str **out, size_t *count, struct err *e)
{
	struct marking m = { .b = b, .ctx = ctx, .values = name != NULL };
	size_t words = idx_symbol_count(b->index) / 64 + 1;
	struct postings p;
	struct arena tmp;
	int rc = -1;

	*out = NULL;
	*count = 0;
	if (name && !idx_find_name(b->index, *name, &m.name))
		return 0;
	arena_init(&tmp, ctx->budget);
	if (idx_postings(b->index, ctx, &tmp, match, n, &p, e) < 0)
		goto out;
	m.bits = arena_try(&tmp, ctx, words * sizeof(*m.bits), e);
	if (!m.bits)
		goto out;
	memset(m.bits, 0, words * sizeof(*m.bits));
	rc = mark_series(&m, p, e);
	if (rc == 0)
		rc = collect(&m, a, words, out, count, e);
out:
	arena_deinit(&tmp);
	return rc;
}

int block_label_names(struct block *b, struct ctx *ctx, struct arena *a,
		      const struct matcher *m, size_t n, struct str **out, size_t *count,
		      struct err *e)
{
	int rc;

	if (n == 0)
		rc = idx_label_names(b->index, ctx, a, out, count, e);
	else
		rc = labels_matching(b, ctx, a, NULL, m, n, out, count, e);
	return rc < 0 ? err_wrap(ctx, e, "block %s", b->id) : 0;
}

int block_label_values(struct block *b, struct ctx *ctx, struct arena *a, struct str name,
		       const struct matcher *m, size_t n, struct str **out, size_t *count,
		       struct err *e)
{
	int rc;

	if (n == 0)
		rc = idx_label_values(b->index, ctx, a, name, out, count, e);
	else
		rc = labels_matching(b, ctx, a, &name, m, n, out, count, e);
	return rc < 0 ? err_wrap(ctx, e, "block %s", b->id) : 0;
}
