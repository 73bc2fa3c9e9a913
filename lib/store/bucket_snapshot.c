/*
 * store/bucket_snapshot.c - the blocks as they stood after a sync, and which of them a request reads.
 *
 * A snapshot never changes; a sync makes a new one that shares the open blocks by reference. Requests hold
 * the snapshot they began with, so a block that is dropped is closed by its last reader.
 *
 * Choice: blocks with the same external labels hold the same data at up to three resolutions. Over the
 * asked time the coarsest allowed resolution is walked in time order; each gap between its blocks is
 * given to the next finer one. A block that spans two gaps is taken once. Source  thanos.md §4.6
 */
#include <stdlib.h>

#include "base/vec.h"
#include "store/bucket_int.h"

static void snapshot_free(struct ref *r)
{
	struct bucket_snapshot *s = CONTAINER_OF(r, struct bucket_snapshot, ref);
	for (size_t i = 0; i < s->n; i++)
		block_unref(s->entry[i].block);
	arena_deinit(&s->arena);
	free(s);
}

struct bucket_snapshot *bucket_snapshot_new(void)
{
	struct bucket_snapshot *s = xcalloc(1, sizeof(*s));
	ref_init(&s->ref, snapshot_free);
	arena_init(&s->arena, NULL);
	s->mint_ms = INT64_MAX;
	s->maxt_ms = INT64_MIN;
	return s;
}

void bucket_snapshot_put(struct bucket_snapshot *s)
{
	if (s)
		ref_put(&s->ref);
}

/* ---- sealing ---- */

static int by_place(const void *a, const void *b, void *arg UNUSED)
{
	const struct bucket_entry *x = a, *y = b;
	int c = labels_cmp(x->labels, y->labels);
	if (c == 0)
		c = (x->resolution_ms < y->resolution_ms) -
		    (x->resolution_ms > y->resolution_ms);
	if (c == 0)
		c = (x->mint_ms > y->mint_ms) - (x->mint_ms < y->mint_ms);
	return c ? c : ulid_cmp(&x->ulid, &y->ulid);
}

static int by_id(const void *a, const void *b, void *arg UNUSED)
{
	return ulid_cmp(&(*(struct bucket_entry *const *)a)->ulid,
			&(*(struct bucket_entry *const *)b)->ulid);
}

static int by_time(const void *a, const void *b, void *arg UNUSED)
{
	const struct tsdb_info *x = a, *y = b;
	return (x->mint_ms > y->mint_ms) - (x->mint_ms < y->mint_ms);
}

/* Time ranges of a group; those that touch are one. */
static void add_ranges(struct bucket_snapshot *s, const struct bucket_group *g)
{
	struct tsdb_info *v = s->tsdb + s->n_tsdbs;
	size_t n = 1;
	for (size_t i = 0; i < g->n; i++) {
		const struct bucket_entry *t = &s->entry[g->first + i];
		v[i] = (struct tsdb_info){ g->labels, t->mint_ms, t->maxt_ms };
	}
	vec_sort(v, g->n, sizeof(*v), by_time, NULL);
	for (size_t i = 1; i < g->n; i++) {
		if (v[i].mint_ms > v[n - 1].maxt_ms)
			v[n++] = v[i];
		else
			v[n - 1].maxt_ms = MAX(v[n - 1].maxt_ms, v[i].maxt_ms);
	}
	s->n_tsdbs += n;
}

void bucket_snapshot_seal(struct bucket_snapshot *s, int64_t mint_ms, int64_t maxt_ms)
{
	s->by_id = ARENA_ARRAY(&s->arena, struct bucket_entry *, s->n + 1);
	s->group = ARENA_ARRAY(&s->arena, struct bucket_group, s->n + 1);
	s->tsdb = ARENA_ARRAY(&s->arena, struct tsdb_info, s->n + 1);
	vec_sort(s->entry, s->n, sizeof(*s->entry), by_place, NULL);
	for (size_t i = 0; i < s->n; i++) {
		struct bucket_entry *t = &s->entry[i];
		s->by_id[i] = t;
		s->n_loaded += t->block != NULL;
		s->mint_ms = MIN(s->mint_ms, t->mint_ms);
		s->maxt_ms = MAX(s->maxt_ms, t->maxt_ms);
		if (i == 0 || !labels_eq(t->labels, s->entry[i - 1].labels))
			s->group[s->n_groups++] =
				(struct bucket_group){ t->labels, i, 0 };
		s->group[s->n_groups - 1].n++;
	}
	vec_sort(s->by_id, s->n, sizeof(struct bucket_entry *), by_id, NULL);
	for (size_t i = 0; i < s->n_groups; i++)
		add_ranges(s, &s->group[i]);
	if (s->n == 0)
		return;
	s->mint_ms = MAX(s->mint_ms, mint_ms);
	s->maxt_ms = MIN(s->maxt_ms, maxt_ms);
	for (size_t i = 0; i < s->n_tsdbs; i++) {
		s->tsdb[i].mint_ms = MAX(s->tsdb[i].mint_ms, mint_ms);
		s->tsdb[i].maxt_ms = MIN(s->tsdb[i].maxt_ms, maxt_ms);
	}
}

static int id_cmp(const void *key, const void *elem)
{
	return ulid_cmp(key, &(*(struct bucket_entry *const *)elem)->ulid);
}

const struct bucket_entry *bucket_snapshot_find(const struct bucket_snapshot *s,
						const struct ulid *id)
{
	size_t i = vec_lower_bound(id, s->by_id, s->n, sizeof(struct bucket_entry *),
				   id_cmp);
	return i < s->n && ulid_cmp(&s->by_id[i]->ulid, id) == 0 ? s->by_id[i] : NULL;
}

/* ---- choice ---- */

struct chooser {
	const struct bucket_snapshot *s;
	struct bucket_choice *c;
	const struct bucket_group *g;
	bool *taken; /* of the snapshot's entries */
};

static bool overlaps(const struct bucket_entry *t, int64_t mint, int64_t maxt)
{
	return t->mint_ms <= maxt && t->maxt_ms > mint;
}

static bool is_wanted(const struct bucket_choice *c, const struct bucket_entry *t)
{
	for (size_t i = 0; i < c->n_block_matchers; i++) {
		const struct matcher *m = &c->block_matchers[i];
		bool id = str_eq(m->name, BUCKET_BLOCK_ID);
		if (!matcher_matches(m, id ? str_of(t->id) : STR("")))
			return false;
	}
	return true;
}

/* From entry `at` of the group on, which begins a resolution. At most three of them: so deep it goes. */
static void choose_range(struct chooser *k, size_t at, int64_t mint, int64_t maxt)
{
	const struct bucket_entry *v = k->s->entry + k->g->first;
	size_t end = at;
	if (at == k->g->n || mint > maxt)
		return;
	while (end < k->g->n && v[end].resolution_ms == v[at].resolution_ms)
		end++;
	if (v[at].resolution_ms > k->c->max_resolution_ms) {
		choose_range(k, end, mint, maxt);
		return;
	}
	int64_t start = mint; /* what is before is answered */
	for (size_t i = at; i < end && v[i].mint_ms <= maxt; i++) {
		if (!v[i].block || v[i].maxt_ms <= mint)
			continue;
		if (v[i].mint_ms > start)
			choose_range(k, end, start, v[i].mint_ms - 1);
		k->taken[k->g->first + i] = true;
		start = MAX(start, v[i].maxt_ms);
	}
	choose_range(k, end, start, maxt);
}

/* Does a block that was taken hold the data of one that could not be opened, only coarser? */
static bool is_stood_in(const struct chooser *k, const struct bucket_entry *t)
{
	int64_t from = MAX(t->mint_ms, k->c->mint_ms);
	int64_t to = MIN(t->maxt_ms - 1, k->c->maxt_ms);
	for (size_t i = k->g->first; i < k->g->first + k->g->n; i++) {
		const struct bucket_entry *o = &k->s->entry[i];
		if (k->taken[i] && o->resolution_ms > t->resolution_ms &&
		    o->mint_ms <= from && o->maxt_ms > to)
			return true;
	}
	return false;
}

static void warn_unopened(const struct chooser *k, struct ctx *ctx)
{
	const struct bucket_choice *c = k->c;
	for (size_t i = k->g->first; i < k->g->first + k->g->n; i++) {
		const struct bucket_entry *t = &k->s->entry[i];
		if (t->block || !overlaps(t, c->mint_ms, c->maxt_ms) || !is_wanted(c, t))
			continue;
		if (!c->all_resolutions && t->resolution_ms > c->max_resolution_ms)
			continue;
		if (!is_stood_in(k, t))
			notes_warn(ctx->notes, "block %s is not served: %.*s", t->id,
				   STR_FMT(t->why));
	}
}

/* Matchers that external labels do not answer, into out; false: an external label does not match. */
static bool rest_of_matchers(const struct bucket_choice *c, struct labels ext,
			     struct matcher *out, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < c->n_matchers; i++) {
		struct str v = labels_get(ext, c->matchers[i].name);
		if (v.n == 0)
			out[(*n)++] = c->matchers[i];
		else if (!matcher_matches(&c->matchers[i], v))
			return false;
	}
	return true;
}

static void choose_group(struct chooser *k, struct ctx *ctx, const struct matcher *m,
			 size_t n)
{
	struct bucket_choice *c = k->c;
	if (c->all_resolutions) {
		for (size_t i = k->g->first; i < k->g->first + k->g->n; i++)
			k->taken[i] = k->s->entry[i].block &&
				      overlaps(&k->s->entry[i], c->mint_ms, c->maxt_ms);
	} else {
		choose_range(k, 0, c->mint_ms, c->maxt_ms);
	}
	warn_unopened(k, ctx);
	for (size_t i = k->g->first; i < k->g->first + k->g->n; i++)
		if (k->taken[i] && is_wanted(c, &k->s->entry[i]))
			c->pick[c->n++] = (struct bucket_pick){ &k->s->entry[i], m, n };
}

int bucket_choose(const struct bucket_snapshot *s, struct ctx *ctx, struct arena *a,
		  struct bucket_choice *c, struct err *e)
{
	struct chooser k = { .s = s, .c = c };
	c->n = 0;
	c->pick = arena_try(a, ctx, (s->n + 1) * sizeof(*c->pick), e);
	k.taken = arena_try(a, ctx, s->n + 1, e);
	if (!c->pick || !k.taken)
		return -1;
	memset(k.taken, 0, s->n + 1);
	if (c->mint_ms > c->maxt_ms)
		return 0;
	for (size_t i = 0; i < s->n_groups; i++) {
		struct matcher *m =
			arena_try(a, ctx, (c->n_matchers + 1) * sizeof(*m), e);
		size_t n;
		if (!m)
			return -1;
		k.g = &s->group[i];
		if (rest_of_matchers(c, k.g->labels, m, &n))
			choose_group(&k, ctx, m, n);
	}
	return 0;
}
