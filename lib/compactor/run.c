/*
 * compactor/run.c - which job next, and several at a time.
 *
 * Groups know nothing of each other: one compaction a group, as many groups at a time as there may be, the group with the
 * newest data first, and in it the newest of the windows that may be compacted now. A group that has nothing left to
 * compact has its blocks downsampled while others still work, so that a backlog of one tenant starves nobody. What a
 * job made takes part at once: the bucket is listed again only when all is done.
 */
#include "compactor/compactor_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"

/* ---- planning ---- */

static void say_overlaps(struct run *r, struct group *g)
{
	struct arena a;
	const struct gblock *first = NULL;
	char id[2][27];
	arena_init(&a, NULL);
	for (size_t i = 0; i < g->n; i++) {
		const struct gblock *b = g->v[i];
		if (!b->overlaps)
			continue;
		if (!first) {
			first = b;
			continue;
		}
		struct str label = group_label(&a, g);
		ulid_format(&first->meta.ulid, id[0]);
		ulid_format(&b->meta.ulid, id[1]);
		log_error(
			r->ctx,
			"group %s (%.*s): blocks overlap and are left out, since vertical compaction is off: %s (%.*s, level %d), %s (%.*s, level %d)",
			g->key, STR_FMT(label), id[0], STR_FMT(first->meta.thanos.source),
			first->meta.compaction.level, id[1],
			STR_FMT(b->meta.thanos.source), b->meta.compaction.level);
	}
	arena_deinit(&a);
}

/* Without vertical compaction nothing may become one with what it overlaps. */
static void leave_out_overlaps(struct run *r, struct group *g, struct plan_block **v)
{
	bool *hit = ARENA_ARRAY(&g->arena, bool, g->n + 1);
	if (plan_exclude_overlapping(v, g->n, hit) == 0)
		return;
	for (size_t i = 0; i < g->n; i++)
		if (hit[i])
			CONTAINER_OF(v[i], struct gblock, pb)->overlaps = true;
	for (size_t i = 0; i < g->n; i++)
		r->r->overlapping += hit[i];
	say_overlaps(r, g);
	if (!r->c->o.halt_on_error)
		return;
	r->stop = true;
	r->all_transient = false;
	compactor_halt(r->c);
	if (r->first.code == E_OK)
		err_set(r->ctx, &r->first, E_CORRUPT,
			"group %s: overlapping blocks, and vertical compaction is off",
			g->key);
}

/* Under mu. */
static void plan_group(struct run *r, struct group *g)
{
	if (g->planned)
		return;
	arena_reset(&g->arena);
	struct plan_block **v = ARENA_ARRAY(&g->arena, struct plan_block *, g->n + 1);
	for (size_t i = 0; i < g->n; i++)
		v[i] = &g->v[i]->pb;
	plan_sort(v, g->n);
	if (!r->c->o.enable_vertical)
		leave_out_overlaps(r, g, v);
	g->n_plans = plan_candidates(&g->arena, v, g->n, r->c->n_ranges, &g->plan);
	g->planned = true;
}

/* ---- choosing ---- */

struct choice {
	struct group *group;
	const struct plan *plan; /* NULL: downsampling */
	struct gblock *block;
	int64_t to_ms, maxt_ms;
};

static struct gblock *owner(struct plan_block *b)
{
	return CONTAINER_OF(b, struct gblock, pb);
}

static bool is_free(const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (owner(p->block[i])->busy)
			return false;
	return true;
}

static void consider_plans(struct group *g, struct choice *best)
{
	for (size_t i = g->n_plans; i-- > 0;) {
		const struct plan *p = &g->plan[i];
		int64_t maxt = p->block[p->n - 1]->meta->maxt_ms;
		if (!is_free(p))
			continue;
		if (!best->group || maxt > best->maxt_ms ||
		    (maxt == best->maxt_ms && !best->plan))
			*best = (struct choice){ g, p, NULL, 0, maxt };
		return;
	}
}

static void consider_blocks(const struct run *r, struct group *g, struct choice *best)
{
	for (size_t i = 0; i < g->n; i++) {
		struct gblock *b = g->v[i];
		if (b->busy || (best->group && b->meta.maxt_ms <= best->maxt_ms))
			continue;
		int64_t to = downsample_to(&r->groups, g, b);
		if (to)
			*best = (struct choice){ g, NULL, b, to, b->meta.maxt_ms };
	}
}

static struct choice choose(struct run *r)
{
	const struct compactor_opts *o = &r->c->o;
	struct choice best = { 0 };
	for (size_t i = 0; i < r->groups.n && !r->stop; i++) {
		struct group *g = r->groups.v[i];
		if (g->busy || g->failed)
			continue;
		plan_group(r, g);
		if (g->n_plans && r->compacting < o->concurrency)
			consider_plans(g, &best);
		else if (!g->n_plans && !o->downsampling_disable &&
			 r->downsampling < o->downsample_concurrency)
			consider_blocks(r, g, &best);
	}
	if (r->stop)
		best.group = NULL;
	return best;
}

static struct job *job_new(struct run *r, const struct choice *c)
{
	struct job *j = xcalloc(1, sizeof(*j));
	j->run = r;
	j->group = c->group;
	arena_init(&j->arena, NULL);
	ulid_new(&j->ulid, compactor_now_ms(r->c));
	j->to_res_ms = c->to_ms;
	if (c->plan) {
		j->plan = *c->plan;
	} else {
		j->plan = (struct plan){ .kind = PLAN_RANGE, .n = 1 };
	}
	j->plan.block = ARENA_ARRAY(&j->arena, struct plan_block *, j->plan.n + 1);
	if (c->plan)
		memcpy(j->plan.block, c->plan->block,
		       j->plan.n * sizeof(struct plan_block *));
	else
		j->plan.block[0] = &c->block->pb;
	for (size_t i = 0; i < j->plan.n; i++) {
		j->bytes += j->plan.block[i]->bytes;
		owner(j->plan.block[i])->busy = true;
	}
	j->next = r->now;
	if (r->now)
		r->now->prev = j;
	r->now = j;
	if (c->to_ms)
		r->downsampling++;
	else {
		r->compacting++;
		c->group->busy = true;
	}
	return j;
}

/* ---- working ---- */

/* Under mu; the job is over, its results are applied. */
static void job_end(struct job *j)
{
	struct run *r = j->run;
	for (size_t i = 0; i < j->plan.n; i++)
		owner(j->plan.block[i])->busy = false;
	if (j->to_res_ms)
		r->downsampling--;
	else {
		r->compacting--;
		j->group->busy = false;
	}
	r->reserved_disk -= j->disk;
	if (j->next)
		j->next->prev = j->prev;
	if (j->prev)
		j->prev->next = j->next;
	else
		r->now = j->next;
	arena_deinit(&j->arena);
	free(j->dir);
	free(j->block);
	free(j);
}

static void note_failure(struct job *j, const struct err *e)
{
	struct run *r = j->run;
	r->r->failed++;
	if (j->to_res_ms)
		owner(j->plan.block[0])->down_to_ms = 0; /* not again in this iteration */
	else
		j->group->failed = true;
	if (!compactor_is_transient(e->code))
		r->all_transient = false;
	if (r->first.code == E_OK)
		r->first = *e; /* a long text lives as long as the ctx */
	log_error(r->ctx, "group %s: %s", j->group->key, err_text(e));
}

static void work(struct run *r)
{
	pthread_mutex_lock(&r->mu);
	for (;;) {
		struct choice c = choose(r);
		if (!c.group && r->now && !r->stop) {
			pthread_cond_wait(&r->changed, &r->mu);
			continue;
		}
		if (!c.group)
			break;
		struct job *j = job_new(r, &c);
		struct err e = ERR_INIT;
		pthread_mutex_unlock(&r->mu);
		int rc = job_do(j, &e);
		pthread_mutex_lock(&r->mu);
		if (rc < 0)
			note_failure(j, &e);
		if (ctx_is_over(r->ctx))
			r->stop = true;
		job_end(j);
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->mu);
}

/* Outlives run_all while a helper is still queued: that one finds the run gone. */
struct crew {
	struct ref ref;
	pthread_mutex_t mu;
	pthread_cond_t quiet;
	struct run *run; /* under mu; NULL: over */
	uint32_t at_work;
};

static void crew_free(struct ref *x)
{
	struct crew *c = CONTAINER_OF(x, struct crew, ref);
	pthread_mutex_destroy(&c->mu);
	pthread_cond_destroy(&c->quiet);
	free(c);
}

static void crew_help(void *arg)
{
	struct crew *c = arg;
	pthread_mutex_lock(&c->mu);
	struct run *r = c->run;
	c->at_work += r != NULL;
	pthread_mutex_unlock(&c->mu);
	if (r) {
		work(r);
		pthread_mutex_lock(&c->mu);
		if (--c->at_work == 0)
			pthread_cond_signal(&c->quiet);
		pthread_mutex_unlock(&c->mu);
	}
	ref_put(&c->ref);
}

int run_all(struct run *r, struct err *e)
{
	const struct compactor_opts *o = &r->c->o;
	struct crew *c = xcalloc(1, sizeof(*c));
	ref_init(&c->ref, crew_free);
	pthread_mutex_init(&c->mu, NULL);
	pthread_cond_init(&c->quiet, NULL);
	c->run = r;
	uint32_t want = MAX(o->concurrency, o->downsample_concurrency);
	for (uint32_t i = 1; o->pool && i < want; i++) {
		ref_get(&c->ref);
		task_bulk(o->pool, crew_help, c);
	}
	work(r);
	pthread_mutex_lock(&c->mu);
	c->run = NULL;
	while (c->at_work)
		pthread_cond_wait(&c->quiet, &c->mu);
	pthread_mutex_unlock(&c->mu);
	ref_put(&c->ref);
	if (ctx_check(r->ctx, e) < 0)
		return -1;
	if (r->first.code == E_OK)
		return 0;
	*e = r->first;
	return -1;
}
