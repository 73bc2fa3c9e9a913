/*
 * compactor/retention.c - blocks that are older than they are to be kept, or more than there is to be room for.
 *
 * By resolution: a block goes when all its samples are older than its resolution's retention. By size: the oldest blocks
 * go until the rest fits. What --retention.config says stands before the flags (retention_config.c).
 *
 * Guards: checked at the start, raw samples are kept for 40 h and 5m ones for 10 d if downsampling is on, so that what
 * is to outlive them can be made (compactor.c); and a size never takes a raw or 5m block that is still to be downsampled,
 * nor a group's newest block.
 */
#include "compactor/retention_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"

struct str go_duration(struct arena *a, int64_t ms)
{
	int64_t s = ms / 1000, h = s / 3600, m = s / 60 % 60;
	char frac[16] = "";
	if (ms == 0)
		return STR("0s");
	if (ms % 1000) {
		int n = snprintf(frac, sizeof(frac), ".%03d", (int)(ms % 1000));
		while (n > 1 && frac[n - 1] == '0')
			frac[--n] = 0;
	}
	if (h)
		return str_fmt(a, "%lldh%lldm%lld%ss", (long long)h, (long long)m,
			       (long long)(s % 60), frac);
	if (m)
		return str_fmt(a, "%lldm%lld%ss", (long long)m, (long long)(s % 60),
			       frac);
	if (s)
		return str_fmt(a, "%lld%ss", (long long)s, frac);
	return str_fmt(a, "%lldms", (long long)ms);
}

static int res_index(int64_t ms)
{
	return ms == 0 ? 0 : ms == RES_5M_MS ? 1 : ms == RES_1H_MS ? 2 : -1;
}

struct listing {
	struct compactor *c;
	struct arena *a;
	const struct catalogue *cat;
	struct groups groups; /* who still is to be downsampled */
	bool *taken;
	struct doomed *v;
	size_t n;
};

/* Would its loss keep something from being made? */
static bool is_needed(struct listing *l, const struct fetched_block *b)
{
	int64_t res = b->meta.thanos.resolution_ms;
	if (l->c->o.downsampling_disable || res == RES_1H_MS)
		return false;
	for (size_t i = 0; i < b->meta.compaction.n_sources; i++) {
		const struct ulid *id = &b->meta.compaction.sources[i];
		if (!map_get(&l->groups.have[res != 0], str_n(id->b, sizeof(id->b))))
			return true;
	}
	return false;
}

static void take(struct listing *l, size_t i, struct str why)
{
	l->taken[i] = true;
	l->v[l->n++] = (struct doomed){ &l->cat->block[i], why };
}

static int64_t retention_of(const struct compactor *c, const struct policy *p, int res)
{
	return p && p->has_ms[res] ? p->ms[res] : c->o.retention_ms[res];
}

static void list_by_age(struct listing *l, bool early)
{
	const struct compactor *c = l->c;
	int64_t now_ms = compactor_now_ms(c);
	for (size_t i = 0; i < l->cat->n; i++) {
		const struct fetched_block *b = &l->cat->block[i];
		int res = res_index(b->meta.thanos.resolution_ms);
		if (res < 0 || (early && is_needed(l, b)))
			continue;
		const struct policy *p =
			retention_policy(c->o.retention, b->meta.thanos.labels);
		int64_t keep = retention_of(c, p, res);
		if (keep > 0 && now_ms > b->meta.maxt_ms / 1000 * 1000 + keep)
			take(l, i,
			     str_fmt(l->a, "block exceeding retention of %.*s",
				     STR_FMT(go_duration(l->a, keep))));
	}
}

/* ---- by size ---- */

struct sized {
	size_t at;
	int64_t maxt_ms;
	uint64_t bytes;
	struct str key; /* what the budget is of */
};

static int by_key_newest(const void *a, const void *b, void *arg UNUSED)
{
	const struct sized *x = a, *y = b;
	int c = str_cmp(x->key, y->key);
	if (c)
		return c;
	return x->maxt_ms == y->maxt_ms ? 0 : x->maxt_ms > y->maxt_ms ? -1 : 1;
}

/* The newest block of each group stays, whatever the budget. */
static bool is_newest(struct listing *l, const struct fetched_block *b)
{
	struct group *g = compactor_group_of(&l->groups, &b->meta);
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i]->meta.maxt_ms > b->meta.maxt_ms)
			return false;
	return true;
}

static void take_oversize(struct listing *l, struct sized *v, size_t n, uint64_t max,
			  const char *of)
{
	uint64_t sum = 0;
	if (n > 1)
		vec_sort(v, n, sizeof(*v), by_key_newest, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct fetched_block *b = &l->cat->block[v[i].at];
		sum = i && str_eq(v[i].key, v[i - 1].key) ? sum + v[i].bytes : v[i].bytes;
		if (sum <= max || is_needed(l, b) || is_newest(l, b))
			continue;
		take(l, v[i].at,
		     str_fmt(l->a, "blocks of %s exceed %llu bytes, the oldest go", of,
			     (unsigned long long)max));
	}
}

static void list_by_size(struct listing *l)
{
	const struct retention_config *r = l->c->o.retention;
	struct sized *v = xreallocarray(NULL, l->cat->n + 1, sizeof(*v));
	for (size_t p = 0; r && p <= r->n; p++) {
		const struct policy *pol = p < r->n ? &r->v[p] : NULL;
		uint64_t max = pol ? pol->max_size : r->max_size;
		size_t n = 0;
		for (size_t i = 0; max && i < l->cat->n; i++) {
			const struct fetched_block *b = &l->cat->block[i];
			if (l->taken[i] ||
			    (pol && retention_policy(r, b->meta.thanos.labels) != pol))
				continue;
			v[n++] =
				(struct sized){ i, b->meta.maxt_ms, b->known->bytes,
						pol ? retention_key(l->a, pol,
								    b->meta.thanos.labels)
						    : STR("") };
		}
		take_oversize(l, v, n, max, pol ? "a retention policy" : "the bucket");
	}
	free(v);
}

size_t retention_list(struct compactor *c, struct arena *a, const struct catalogue *cat,
		      bool early, struct doomed **out)
{
	struct listing l = { .c = c, .a = a, .cat = cat };
	struct err none = ERR_INIT;
	l.v = ARENA_ARRAY(a, struct doomed, cat->n + 1);
	l.taken = ARENA_ARRAY(a, bool, cat->n + 1);
	compactor_groups_init(&l.groups);
	if (compactor_groups_fill(&l.groups, NULL, cat, &none) == 0) {
		list_by_age(&l, early);
		if (!early)
			list_by_size(&l);
	}
	compactor_groups_deinit(&l.groups);
	*out = l.v;
	return l.n;
}

int retention_apply(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		    bool early, struct compactor_report *r, struct err *e)
{
	struct arena a;
	struct doomed *v;
	int rc = 0;
	arena_init(&a, NULL);
	size_t n = retention_list(c, &a, cat, early, &v);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool marked;
		if (v[i].block->deletion_time_s)
			continue;
		rc = compactor_mark(c, ctx, MARK_DELETION, &v[i].block->meta.ulid,
				    v[i].block->known, STR(""), v[i].why, &marked, e);
		r->marked_deletion += rc == 0 && marked;
	}
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "retention") : 0;
}
