/*
 * store/bucket_labels.c - LabelNames and LabelValues over the blocks of a bucket.
 *
 * All blocks that overlap the time are asked, whatever their resolution; a block answers from its whole
 * time. External labels count as labels of each series of their block and win over the series' own:
 * their value is told if the block has a series that matches. Replica labels to be left out are no
 * names, and have no values. The hints of the answer list the blocks that were asked.
 *
 * Strings are views into the symbols of the blocks; the snapshot is held until the caller's arena is freed.
 */
#include "base/vec.h"
#include "store/bucket_int.h"

struct gather {
	struct bucket_store *b;
	struct ctx *ctx;
	struct arena *a;
	const struct store_labels_req *req;
	struct bucket_choice c;
	struct str *v;
	size_t n, cap;
};

static void put_snapshot(void *arg)
{
	bucket_snapshot_put(arg);
}

static bool is_left_out(const struct gather *g, struct str name)
{
	for (size_t i = 0; i < g->req->n_without; i++)
		if (str_eq(g->req->without_replica_labels[i], name))
			return true;
	return false;
}

/* Room for n more, in the arena. */
static int reserve(struct gather *g, size_t n, struct err *e)
{
	if (n <= g->cap - g->n)
		return 0;
	size_t cap = MAX(g->cap * 2, g->n + n);
	struct str *v = arena_try(g->a, g->ctx, cap * sizeof(*v), e);
	if (!v)
		return -1;
	if (g->n)
		memcpy(v, g->v, g->n * sizeof(*v));
	g->v = v;
	g->cap = cap;
	return 0;
}

static int by_text(const void *a, const void *b, void *arg UNUSED)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_unique(struct gather *g)
{
	size_t n = 0;
	vec_sort(g->v, g->n, sizeof(*g->v), by_text, NULL);
	for (size_t i = 0; i < g->n; i++)
		if (n == 0 || !str_eq(g->v[n - 1], g->v[i]))
			g->v[n++] = g->v[i];
	g->n = n;
}

/* Add strings, but for those left out (names only); unique again when that saves much. */
static int add(struct gather *g, const struct str *v, size_t n, bool names, struct err *e)
{
	if (n > g->cap - g->n && g->n > 0)
		sort_unique(g);
	if (reserve(g, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!names || !is_left_out(g, v[i]))
			g->v[g->n++] = v[i];
	return 0;
}

static int names_of(struct gather *g, const struct bucket_pick *p, struct err *e)
{
	struct labels ext = p->entry->labels;
	struct str *v;
	size_t n;
	if (block_label_names(p->entry->block, g->ctx, g->a, p->matchers, p->n_matchers,
			      &v, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	if (add(g, v, n, true, e) < 0)
		return -1;
	for (uint32_t i = 0; i < ext.n; i++)
		if (add(g, &ext.l[i].name, 1, true, e) < 0)
			return -1;
	return 0;
}

/* Has the block a series that matches? */
static int has_series(struct gather *g, const struct bucket_pick *p, bool *has,
		      struct err *e)
{
	const struct block_series_req r = {
		.mint_ms = g->c.mint_ms,
		.maxt_ms = g->c.maxt_ms,
		.matchers = p->matchers,
		.n_matchers = p->n_matchers,
		.skip_chunks = true,
		.batch = 1,
	};
	const struct series_in *one;
	struct series_set *set;
	*has = p->n_matchers == 0;
	if (*has)
		return 0;
	if (block_series(p->entry->block, g->ctx, &r, &set, e) < 0)
		return -1;
	int rc = series_set_next(set, g->ctx, &one, e);
	*has = rc > 0;
	series_set_close(set);
	return rc < 0 ? -1 : 0;
}

static int values_of(struct gather *g, const struct bucket_pick *p, struct err *e)
{
	struct str name = g->req->label;
	struct str ext = labels_get(p->entry->labels, name);
	struct str *v, none = STR("");
	size_t n;
	bool has;
	if (name.n == 0) /* a label without a name has the empty value everywhere */
		return p->n_matchers ? 0 : add(g, &none, 1, false, e);
	if (ext.n > 0) {
		if (has_series(g, p, &has, e) < 0)
			return -1;
		return has ? add(g, &ext, 1, false, e) : 0;
	}
	if (block_label_values(p->entry->block, g->ctx, g->a, name, p->matchers,
			       p->n_matchers, &v, &n, e) < 0)
		return -1;
	return add(g, v, n, false, e);
}

static int ask_blocks(struct gather *g,
		      int (*ask)(struct gather *, const struct bucket_pick *,
				 struct err *),
		      struct err *e)
{
	for (size_t i = 0; i < g->c.n; i++) {
		const struct bucket_pick *p = &g->c.pick[i];
		if (ctx_check(g->ctx, e) < 0)
			return -1;
		if (ask(g, p, e) < 0 && bucket_block_failed(g->b, g->ctx, g->req->partial,
							    p->entry->id, e) < 0)
			return -1;
	}
	return 0;
}

static int answer(struct gather *g, bool values, struct store_labels_resp *out,
		  struct err *e)
{
	struct bucket_snapshot *s = bucket_snapshot_get(g->b);
	struct matcher *ids;
	arena_on_free(g->a, put_snapshot, s);
	if (bucket_hints_parse(g->ctx, g->a, g->req->hints,
			       values ? "LabelValuesRequestHints"
				      : "LabelNamesRequestHints",
			       &ids, &g->c.n_block_matchers, e) < 0)
		return -1;
	g->c.block_matchers = ids;
	if (bucket_choose(s, g->ctx, g->a, &g->c, e) < 0)
		return -1;
	if (ask_blocks(g, values ? values_of : names_of, e) < 0)
		return -1;
	sort_unique(g);
	out->v = g->v;
	out->n = g->n;
	if (g->req->limit > 0)
		out->n = MIN(out->n, (size_t)g->req->limit);
	return bucket_hints_blocks(g->ctx, g->a,
				   values ? "LabelValuesResponseHints"
					  : "LabelNamesResponseHints",
				   g->c.pick, g->c.n, &out->hints, e);
}

static int ask_store(struct store *st, struct ctx *ctx, struct arena *a,
		     const struct store_labels_req *req, bool values,
		     struct store_labels_resp *out, struct err *e)
{
	struct bucket_store *b = CONTAINER_OF(st, struct bucket_store, base);
	int64_t mint_ms, maxt_ms;
	bucket_range(b, &mint_ms, &maxt_ms);
	struct gather g = {
		.b = b,
		.ctx = ctx,
		.a = a,
		.req = req,
		.c = { .mint_ms = MAX(req->mint_ms, mint_ms),
		       .maxt_ms = MIN(req->maxt_ms, maxt_ms),
		       .matchers = req->matchers,
		       .n_matchers = req->n_matchers,
		       .all_resolutions = true },
	};
	*out = (struct store_labels_resp){ 0 };
	if (values && is_left_out(&g, req->label))
		return 0;
	return answer(&g, values, out, e);
}

int bucket_label_names(struct store *s, struct ctx *ctx, struct arena *a,
		       const struct store_labels_req *req, struct store_labels_resp *out,
		       struct err *e)
{
	return ask_store(s, ctx, a, req, false, out, e);
}

int bucket_label_values(struct store *s, struct ctx *ctx, struct arena *a,
			const struct store_labels_req *req, struct store_labels_resp *out,
			struct err *e)
{
	return ask_store(s, ctx, a, req, true, out, e);
}
