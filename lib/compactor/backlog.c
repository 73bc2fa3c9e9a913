/*
 * compactor/backlog.c - what is left to do: the plans played through to their end without touching anything.
 *
 * All plans that a group has at a stage are disjoint, so they are taken together; their results, as far as meta.json
 * tells, take part in the next stage. Then downsampling is played through in the same way.
 */
#include "compactor/compactor_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"

struct play {
	struct compactor *c;
	struct groups g;
	struct compactor_backlog *b;
	struct buf *out; /* NULL: nothing is printed */
};

static void print_time(struct buf *out, int64_t ms)
{
	char text[40];
	size_t n = time_format_rfc3339(text, ms / 1000, 0, 0);
	buf_add(out, text, n);
}

static void print_plan(struct play *p, struct group *g, const struct plan *plan,
		       const struct block_meta *to, const char *verb)
{
	struct arena a;
	uint64_t bytes = 0;
	if (!p->out)
		return;
	arena_init(&a, NULL);
	struct str label = group_label(&a, g);
	for (size_t i = 0; i < plan->n; i++)
		bytes += plan->block[i]->bytes;
	buf_fmt(p->out, "%s group %s (%.*s): %zu block%s%s, ", verb, g->key,
		STR_FMT(label), plan->n, plan->n == 1 ? "" : "s",
		plan->overlapping ? " that overlap" : "");
	print_time(p->out, to->mint_ms);
	buf_str(p->out, STR(" to "));
	print_time(p->out, to->maxt_ms);
	buf_fmt(p->out, ", %llu bytes:", (unsigned long long)bytes);
	for (size_t i = 0; i < plan->n; i++) {
		const struct gblock *b = CONTAINER_OF(plan->block[i], struct gblock, pb);
		char id[27];
		ulid_format(&b->meta.ulid, id);
		buf_fmt(p->out, " %s", b->known ? id : "(new)");
	}
	buf_byte(p->out, '\n');
	arena_deinit(&a);
}

static void play_plan(struct play *p, struct group *g, const struct plan *plan)
{
	size_t big = plan_too_big(plan, p->c->o.block_max_index_size);
	if (big != SIZE_MAX) {
		plan->block[big]->excluded = true;
		return;
	}
	struct gblock *b = ARENA_NEW(&p->g.arena, struct gblock);
	plan_result(&p->g.arena, plan, &b->meta, &b->pb);
	print_plan(p, g, plan, &b->meta, "compact");
	p->b->compactions++;
	p->b->compaction_blocks += plan->n;
	p->b->bytes += b->pb.bytes;
	for (size_t i = 0; i < plan->n; i++)
		group_remove(g, CONTAINER_OF(plan->block[i], struct gblock, pb));
	b->meta.stats.tombstones = 0;
	ulid_new(&b->meta.ulid, compactor_now_ms(p->c));
	group_add(&p->g, g, b);
}

static void play_group(struct play *p, struct group *g)
{
	size_t n = 1;
	while (n) {
		struct plan *v;
		arena_reset(&g->arena);
		struct plan_block **blocks =
			ARENA_ARRAY(&g->arena, struct plan_block *, g->n + 1);
		bool *hit = ARENA_ARRAY(&g->arena, bool, g->n + 1);
		for (size_t i = 0; i < g->n; i++)
			blocks[i] = &g->v[i]->pb;
		plan_sort(blocks, g->n);
		if (!p->c->o.enable_vertical)
			plan_exclude_overlapping(blocks, g->n, hit);
		n = plan_candidates(&g->arena, blocks, g->n, p->c->n_ranges, &v);
		for (size_t i = 0; i < n; i++) {
			if (v[i].overlapping && g->resolution_ms)
				for (size_t k = 0; k < v[i].n; k++)
					v[i].block[k]->excluded = true;
			else
				play_plan(p, g, &v[i]);
		}
	}
}

/* To be called twice, so that 1h blocks come of 5m ones that were not there. */
static void play_downsampling(struct play *p)
{
	for (size_t i = 0; i < p->g.n; i++) {
		struct group *g = p->g.v[i];
		for (size_t k = 0; k < g->n; k++) {
			struct gblock *b = g->v[k];
			int64_t to = downsample_to(&p->g, g, b);
			if (!to)
				continue;
			struct plan_block *one[] = { &b->pb };
			const struct plan plan = { .block = one, .n = 1 };
			print_plan(p, g, &plan, &b->meta,
				   to == RES_5M_MS ? "downsample to 5m"
						   : "downsample to 1h");
			p->b->bytes += b->pb.bytes;
			struct gblock *made = ARENA_NEW(&p->g.arena, struct gblock);
			made->meta = b->meta;
			made->meta.thanos.resolution_ms = to;
			made->pb.bytes = b->pb.bytes / (to == RES_5M_MS ? 4 : 10);
			group_add(&p->g, compactor_group_of(&p->g, &made->meta), made);
			b->down_to_ms = 0;
		}
	}
}

static void count_downsampling(struct play *p)
{
	for (size_t i = 0; i < p->g.n; i++)
		for (size_t k = 0; k < p->g.v[i]->n; k++) {
			struct gblock *b = p->g.v[i]->v[k];
			p->b->downsample_blocks +=
				downsample_to(&p->g, p->g.v[i], b) != 0;
			b->down_known = false;
		}
}

static double seconds_left(struct compactor *c, const struct compactor_backlog *b)
{
	pthread_mutex_lock(&c->mu);
	double bytes = (double)c->done_bytes_all, ns = (double)c->busy_ns_all;
	pthread_mutex_unlock(&c->mu);
	if (b->bytes == 0)
		return 0;
	if (bytes <= 0 || ns <= 0)
		return -1;
	return (double)b->bytes / (bytes / (ns / (double)NS_PER_S)) /
	       (double)MAX(c->o.concurrency, 1u);
}

void backlog_of(struct compactor *c, const struct catalogue *cat,
		struct compactor_backlog *b, struct buf *print)
{
	struct play p = { .c = c, .b = b, .out = print };
	struct err none = ERR_INIT;
	struct arena a;
	struct doomed *v;
	*b = (struct compactor_backlog){ 0 };
	compactor_groups_init(&p.g);
	if (compactor_groups_fill(&p.g, NULL, cat, &none) < 0) {
		compactor_groups_deinit(&p.g);
		return;
	}
	if (!c->o.downsampling_disable)
		count_downsampling(&p);
	for (size_t i = 0; i < p.g.n; i++)
		play_group(&p, p.g.v[i]);
	for (unsigned pass = 0; !c->o.downsampling_disable && pass < 2; pass++)
		play_downsampling(&p);
	compactor_groups_deinit(&p.g);
	arena_init(&a, NULL);
	b->deletion_blocks = retention_list(c, &a, cat, false, &v);
	arena_deinit(&a);
	b->seconds_left = seconds_left(c, b);
}

void backlog_publish(struct compactor *c, const struct compactor_backlog *b)
{
	const struct {
		unsigned row;
		double v;
	} rows[] = {
		{ M_TODO_COMPACTIONS, (double)b->compactions },
		{ M_TODO_COMPACTION_BLOCKS, (double)b->compaction_blocks },
		{ M_TODO_DOWNSAMPLE, (double)b->downsample_blocks },
		{ M_TODO_DELETION, (double)b->deletion_blocks },
		{ M_TODO_BYTES, (double)b->bytes },
		{ M_TODO_SECONDS, b->seconds_left },
	};
	for (size_t i = 0; c->metrics && i < ARRAY_LEN(rows); i++)
		metric_set_value(compactor_metric(c, rows[i].row), rows[i].v);
	pthread_mutex_lock(&c->mu);
	c->backlog = *b;
	pthread_mutex_unlock(&c->mu);
}

/* ---- once a second ---- */

struct ticker {
	struct run *r;
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t wake;
	bool stop; /* mu */
	struct ctx ctx;
};

static bool is_stopped(void *arg)
{
	return ((struct ticker *)arg)->stop;
}

static void tick(struct run *r)
{
	struct compactor *c = r->c;
	struct compactor_backlog b;
	struct arena a;
	arena_init(&a, NULL);
	pthread_mutex_lock(&c->mu);
	b = c->backlog;
	pthread_mutex_unlock(&c->mu);
	pthread_mutex_lock(&r->mu);
	b.done_bytes = r->r->bytes_in;
	for (const struct job *j = r->now; j; j = j->next) {
		b.done_bytes += j->read_bytes;
		if (!b.now.n)
			b.now = str_fmt(&a, "%s: %zu blocks%s", j->group->key, j->plan.n,
					j->to_res_ms ? ", downsampling" : "");
	}
	pthread_mutex_unlock(&r->mu);
	if (b.seconds_left > 0 && b.bytes)
		b.seconds_left *=
			b.bytes > b.done_bytes
				? (double)(b.bytes - b.done_bytes) / (double)b.bytes
				: 0;
	c->o.on_progress(c->o.on_progress_arg, &b);
	arena_deinit(&a);
}

static void *run_ticker(void *arg)
{
	struct ticker *t = arg;
	pthread_mutex_lock(&t->mu);
	while (!t->stop) {
		struct err e = ERR_INIT;
		struct ctx c = ctx_child(&t->ctx, time_after_ns(NS_PER_S));
		if (ctx_cond_wait(&c, &t->wake, &t->mu, is_stopped, t, &e) == 0)
			break;
		pthread_mutex_unlock(&t->mu);
		tick(t->r);
		pthread_mutex_lock(&t->mu);
	}
	pthread_mutex_unlock(&t->mu);
	return NULL;
}

struct ticker *ticker_start(struct run *r)
{
	if (!r->c->o.on_progress)
		return NULL;
	tick(r);
	struct ticker *t = xcalloc(1, sizeof(*t));
	t->r = r;
	pthread_mutex_init(&t->mu, NULL);
	ctx_cond_init(&t->wake);
	ctx_init(&t->ctx, NULL, 0);
	if (pthread_create(&t->thread, NULL, run_ticker, t) == 0)
		return t;
	ctx_deinit(&t->ctx);
	free(t);
	return NULL;
}

void ticker_stop(struct ticker *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->mu);
	t->stop = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->mu);
	pthread_join(t->thread, NULL);
	tick(t->r);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->mu);
	ctx_deinit(&t->ctx);
	free(t);
}
