/*
 * compactor/compactor.c - one iteration, and what goes on beside it.
 *
 *   lease      nobody else works on the bucket
 *   sync       one listing; new meta.json and marks
 *   recover    what a process that ended left in staging
 *   retention  of what nothing is to be made of any more, so that a backlog does not hold it up
 *   until nothing is left to do:
 *     delete     blocks marked for longer than --delete-delay
 *     garbage    blocks that others cover are marked
 *     work       compaction and downsampling of all groups (run.c)
 *     sync
 *   retention, deletion, aborted uploads
 */
#include "compactor/compactor_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"

int64_t compactor_now_ms(const struct compactor *c)
{
	return c->o.now_ms ? c->o.now_ms(c->o.now_arg) : time_wall_ms();
}

static int64_t now_of(void *arg)
{
	return compactor_now_ms(arg);
}

struct metric *compactor_metric(const struct compactor *c, unsigned row)
{
	return c->metrics ? metric_plain(c->metrics, row) : NULL;
}

void compactor_count(const struct compactor *c, unsigned row)
{
	if (c->metrics)
		metric_inc(metric_plain(c->metrics, row));
}

void compactor_count_res(const struct compactor *c, unsigned row, const struct group *g)
{
	if (c->metrics)
		metric_inc(metric_at(c->metrics, row, str_of(g->res)));
}

static void gauge(const struct compactor *c, unsigned row, double v)
{
	if (c->metrics)
		metric_set_value(metric_plain(c->metrics, row), v);
}

bool compactor_is_transient(enum err_code c)
{
	return err_code_class(c) == ERR_RETRY;
}

void compactor_halt(struct compactor *c)
{
	pthread_mutex_lock(&c->mu);
	c->halted = true;
	pthread_mutex_unlock(&c->mu);
	gauge(c, M_HALTED, 1);
}

int compactor_confirm(struct compactor *c, struct ctx *ctx, struct err *e)
{
	return c->lease ? lease_confirm(c->lease, ctx, e) : 0;
}

/* ---- making one ---- */

static int check_options(struct ctx *ctx, const struct compactor_opts *o, struct err *e)
{
	if (o->max_level < 0 || o->max_level > COMPACTOR_MAX_LEVEL)
		return err_set(
			ctx, e, E_INVALID,
			"get compaction levels: level is bigger then default set of %d",
			COMPACTOR_MAX_LEVEL + 1);
	if (o->dedup_penalty && o->n_replica_labels == 0)
		return err_set(
			ctx, e, E_INVALID,
			"penalty based deduplication needs at least one replica label specified");
	if (!o->downsampling_disable && o->retention_ms[0] > 0 &&
	    o->retention_ms[0] < DOWNSAMPLE_5M_RANGE)
		return err_set(
			ctx, e, E_INVALID,
			"raw resolution must be higher than the minimum block size after which 5m resolution downsampling will occur (40 hours)");
	if (!o->downsampling_disable && o->retention_ms[1] > 0 &&
	    o->retention_ms[1] < DOWNSAMPLE_1H_RANGE)
		return err_set(
			ctx, e, E_INVALID,
			"5m resolution retention must be higher than the minimum block size after which 1h resolution downsampling will occur (10 days)");
	if (o->retention && !o->downsampling_disable)
		return retention_config_check(o->retention, ctx, e);
	return 0;
}

static void fill_defaults(struct compactor *c, const struct compactor_opts *o)
{
	c->o = *o;
	c->o.concurrency = MAX(o->concurrency, 1u);
	c->o.downsample_concurrency = MAX(o->downsample_concurrency, 1u);
	if (!o->delete_concurrency)
		c->o.delete_concurrency = 32;
	if (!o->block_max_index_size)
		c->o.block_max_index_size = (uint64_t)64 << 30;
	if (!o->memory)
		c->o.memory = (size_t)128 << 20;
	if (!o->read_ahead)
		c->o.read_ahead = (size_t)1 << 20;
	c->o.enable_vertical |= o->n_replica_labels > 0;
	c->n_ranges = (size_t)o->max_level + 1;
	c->replica_labels = ARENA_ARRAY(&c->arena, struct str, o->n_replica_labels + 1);
	for (size_t i = 0; i < o->n_replica_labels; i++)
		c->replica_labels[i] = str_dup(&c->arena, o->replica_labels[i]);
	c->o.replica_labels = c->replica_labels;
	c->o.scope = str_dup(&c->arena, o->scope);
}

static void on_lost(void *arg, const char *why)
{
	struct compactor *c = arg;
	log_error(NULL, "lease: %s", why);
	gauge(c, M_LEASE, 0);
	pthread_mutex_lock(&c->mu);
	if (c->run_cancel)
		cancel_now(c->run_cancel, why);
	pthread_mutex_unlock(&c->mu);
}

static int open_parts(struct compactor *c, struct ctx *ctx, struct err *e)
{
	struct arena *a = &c->arena;
	const struct fetcher_opts fo = {
		.bucket = c->o.bucket,
		.cache_dir = str_dupz(a, str_fmt(a, "%s/meta-syncer", c->data_dir)),
		.consistency_delay_ms = c->o.consistency_delay_ms,
		.ignore_deletion_marks_ms = c->o.delete_delay_ms / 2,
		.concurrency = c->o.meta_fetch_concurrency,
		.dedup_sources = true,
		.selector = c->o.selector,
		.replica_labels = c->replica_labels,
		.n_replica_labels = c->o.n_replica_labels,
		.objects = true,
		.by_folder = c->o.discovery_concurrent,
		.now_ms = now_of,
		.now_arg = c,
		.metrics = c->o.metrics,
		.pool = c->o.pool,
	};
	const struct lease_opts lo = {
		.bucket = c->o.bucket,
		.id_path = str_dupz(a, str_fmt(a, "%s/compactor-id", c->data_dir)),
		.host = c->o.host,
		.scope = c->o.scope,
		.interval_ms = c->o.lease_ms,
		.now_ms = now_of,
		.now_arg = c,
		.on_lost = on_lost,
		.arg = c,
	};
	if (fs_mkdir_p(ctx, c->stage_dir, e) < 0 ||
	    fs_lock_open(ctx, str_dupz(a, str_fmt(a, "%s/compactor.lock", c->data_dir)),
			 &c->lock, e) < 0)
		return -1;
	c->fetcher = fetcher_new(&fo);
	return c->o.no_lease ? 0 : lease_new(ctx, &lo, &c->lease, e);
}

int compactor_new(struct ctx *ctx, const struct compactor_opts *o, struct compactor **out,
		  struct err *e)
{
	if (check_options(ctx, o, e) < 0)
		return -1;
	struct compactor *c = xcalloc(1, sizeof(*c));
	arena_init(&c->arena, NULL);
	fill_defaults(c, o);
	c->data_dir = xstrdup(o->data_dir);
	c->o.data_dir = c->data_dir;
	c->stage_dir = xstrdup(
		str_dupz(&c->arena, str_fmt(&c->arena, "%s/compact", o->data_dir)));
	pthread_mutex_init(&c->cleanup_mu, NULL);
	pthread_mutex_init(&c->sync_mu, NULL);
	pthread_mutex_init(&c->mu, NULL);
	c->metrics = compactor_metrics(o->metrics);
	gauge(c, M_DELETE_DELAY, (double)o->delete_delay_ms / 1000);
	gauge(c, M_CONSISTENCY_DELAY, (double)o->consistency_delay_ms / 1000);
	if (open_parts(c, ctx, e) < 0) {
		compactor_free(c);
		return err_wrap(ctx, e, "compactor");
	}
	*out = c;
	return 0;
}

void compactor_free(struct compactor *c)
{
	if (!c)
		return;
	lease_free(c->lease);
	fetcher_free(c->fetcher);
	if (c->loaded)
		ref_put(&c->loaded->ref);
	fs_lock_close(c->lock);
	pthread_mutex_destroy(&c->cleanup_mu);
	pthread_mutex_destroy(&c->sync_mu);
	pthread_mutex_destroy(&c->mu);
	free(c->sweep);
	free(c->data_dir);
	free(c->stage_dir);
	arena_deinit(&c->arena);
	free(c);
}

/* ---- sync ---- */

int compactor_sync(struct compactor *c, struct ctx *ctx, struct catalogue **out,
		   struct err *e)
{
	struct ctx child =
		ctx_child(ctx,
			  c->o.sync_timeout_ns ? time_after_ns(c->o.sync_timeout_ns) : 0);
	int64_t mint = INT64_MIN, maxt = INT64_MAX;
	pthread_mutex_lock(&c->sync_mu);
	if (c->o.range)
		c->o.range(c->o.range_arg, compactor_now_ms(c), &mint, &maxt);
	fetcher_range(c->fetcher, mint, maxt);
	int rc = fetcher_sync(c->fetcher, &child, out, e);
	pthread_mutex_unlock(&c->sync_mu);
	if (rc < 0)
		return err_wrap(ctx, e, "sync");
	ref_get(&(*out)->ref);
	pthread_mutex_lock(&c->mu);
	struct catalogue *old = c->loaded;
	c->loaded = *out;
	pthread_mutex_unlock(&c->mu);
	if (old)
		ref_put(&old->ref);
	return 0;
}

struct catalogue *compactor_loaded(struct compactor *c)
{
	pthread_mutex_lock(&c->mu);
	struct catalogue *l = c->loaded;
	if (l)
		ref_get(&l->ref);
	pthread_mutex_unlock(&c->mu);
	return l;
}

/* On failure *cat stays what it was. */
static int resync(struct compactor *c, struct ctx *ctx, struct catalogue **cat,
		  struct err *e)
{
	struct catalogue *fresh;
	if (compactor_sync(c, ctx, &fresh, e) < 0)
		return -1;
	if (*cat)
		ref_put(&(*cat)->ref);
	*cat = fresh;
	return 0;
}

/* ---- the iteration ---- */

static void tell_backlog(struct compactor *c, struct ctx *ctx,
			 const struct catalogue *cat)
{
	struct compactor_backlog b;
	char left[40] = "";
	backlog_of(c, cat, &b, NULL);
	backlog_publish(c, &b);
	if (b.compactions == 0 && b.downsample_blocks == 0)
		return;
	if (b.seconds_left >= 0)
		snprintf(left, sizeof(left), ", about %.0f s", b.seconds_left);
	log_info(
		ctx,
		"left to do: %llu compactions of %llu blocks, %llu blocks to downsample, %llu bytes to read%s",
		(unsigned long long)b.compactions,
		(unsigned long long)b.compaction_blocks,
		(unsigned long long)b.downsample_blocks, (unsigned long long)b.bytes,
		left);
}

/* Families by resolution show 0 before anything happens, as Thanos' do: alerts compare rates. */
static void show_zeros(const struct compactor *c, const struct groups *g)
{
	static const unsigned by_res[] = { M_COMPACTIONS,	 M_RUNS_STARTED,
					   M_RUNS_COMPLETED,	 M_FAILURES,
					   M_VERTICAL,		 M_DOWNSAMPLES,
					   M_DOWNSAMPLE_FAILURES };
	for (size_t i = 0; c->metrics && i < g->n; i++)
		for (size_t k = 0; k < ARRAY_LEN(by_res); k++)
			metric_at(c->metrics, by_res[k], str_of(g->v[i]->res));
}

/* Compact and downsample once through; *dirty: something was done. */
static int work(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		struct compactor_report *r, bool *dirty, bool *transient, struct err *e)
{
	struct run run = { .c = c, .ctx = ctx, .r = r, .all_transient = true };
	compactor_groups_init(&run.groups);
	pthread_mutex_init(&run.mu, NULL);
	pthread_cond_init(&run.changed, NULL);
	r->overlapping = 0;
	int rc = compactor_groups_fill(&run.groups, ctx, cat, e);
	if (rc == 0) {
		show_zeros(c, &run.groups);
		tell_backlog(c, ctx, cat);
		struct ticker *t = ticker_start(&run);
		rc = run_all(&run, e);
		ticker_stop(t);
	}
	gauge(c, M_OVERLAPPING, (double)r->overlapping);
	*dirty = run.dirty;
	*transient = run.all_transient;
	pthread_cond_destroy(&run.changed);
	pthread_mutex_destroy(&run.mu);
	compactor_groups_deinit(&run.groups);
	return rc;
}

/* Folders of groups that hold nothing any more. */
static void tidy_staging(struct compactor *c, struct ctx *ctx)
{
	struct fs_names names = { 0 };
	struct err none = ERR_INIT;
	struct arena a;
	arena_init(&a, NULL);
	if (fs_list(ctx, &a, c->stage_dir, &names, &none) == 0)
		for (size_t i = 0; i < names.n; i++)
			rmdir(str_dupz(&a, str_fmt(&a, "%s/%.*s", c->stage_dir,
						   STR_FMT(names.name[i]))));
	arena_deinit(&a);
}

struct iteration {
	struct compactor *c;
	struct ctx *ctx;
	struct compactor_report *r;
	struct catalogue *cat;
	struct err first; /* of steps that failed without ending the rest */
	bool transient;	  /* all of them were */
};

/* Keep the first failure, and go on with what does not depend on it. */
static int pass_over(struct iteration *it, const struct err *e, bool transient)
{
	if (it->first.code == E_OK)
		it->first = *e; /* a long text lives as long as the ctx */
	it->transient &= transient;
	return ctx_is_over(it->ctx) || e->code == E_LOCKED ? -1 : 0;
}

static int recover(struct iteration *it, struct err *e)
{
	struct compactor_report before = *it->r;
	if (jobs_recover(it->c, it->ctx, it->cat, it->r, e) < 0)
		return -1;
	if (memcmp(&before, it->r, sizeof(before)) == 0)
		return 0;
	return resync(it->c, it->ctx, &it->cat, e);
}

/* A step again while what fails may go away by itself; a full disk does not within seconds. */
static int insist(struct iteration *it, int (*step)(struct iteration *, struct err *),
		  struct err *e)
{
	const struct compactor_opts *o = &it->c->o;
	uint64_t wait = o->retry_backoff_ns ? o->retry_backoff_ns : NS_PER_S;
	for (uint32_t i = 0;; i++, wait *= 2) {
		struct err why = ERR_INIT;
		if (step(it, &why) == 0)
			return 0;
		if (!compactor_is_transient(why.code) || why.code == E_NOSPACE ||
		    i >= o->retries || ctx_is_over(it->ctx)) {
			*e = why;
			return -1;
		}
		compactor_count(it->c, M_RETRIES);
		log_warn(it->ctx, "tried again in %llu ms: %s",
			 (unsigned long long)(wait / NS_PER_MS), err_text(&why));
		nap(it->ctx, wait);
	}
}

static int look(struct iteration *it, struct err *e)
{
	return resync(it->c, it->ctx, &it->cat, e);
}

static int work_all(struct iteration *it, struct err *e)
{
	for (bool dirty = true; dirty;) {
		struct err why = ERR_INIT;
		bool transient = true;
		if (compactor_confirm(it->c, it->ctx, e) < 0)
			return -1;
		if (cleanup_marked(it->c, it->ctx, it->cat, it->r, &why) < 0 &&
		    pass_over(it, &why, compactor_is_transient(why.code)) < 0)
			return -1;
		why = ERR_INIT;
		if (garbage_collect(it->c, it->ctx, it->cat, it->r, &why) < 0 &&
		    pass_over(it, &why, compactor_is_transient(why.code)) < 0)
			return -1;
		why = ERR_INIT;
		if (work(it->c, it->ctx, it->cat, it->r, &dirty, &transient, &why) < 0 &&
		    pass_over(it, &why, transient) < 0)
			return -1;
		tidy_staging(it->c, it->ctx);
		if (it->c->halted || it->first.code != E_OK)
			return 0;
		if (dirty && insist(it, look, e) < 0)
			return -1;
	}
	return 0;
}

static int take_lease(struct iteration *it, struct err *e)
{
	return it->c->lease ? lease_take(it->c->lease, it->ctx, e) : 0;
}

static int retire_early(struct iteration *it, struct err *e)
{
	return retention_apply(it->c, it->ctx, it->cat, true, it->r, e);
}

static int retire(struct iteration *it, struct err *e)
{
	return retention_apply(it->c, it->ctx, it->cat, false, it->r, e);
}

static int steps(struct iteration *it, struct err *e)
{
	struct compactor *c = it->c;
	if (insist(it, take_lease, e) < 0)
		return -1;
	gauge(c, M_LEASE, c->lease != NULL);
	if (insist(it, look, e) < 0 || insist(it, recover, e) < 0 ||
	    insist(it, retire_early, e) < 0 || work_all(it, e) < 0)
		return -1;
	if (c->halted)
		return 0;
	if (compactor_confirm(c, it->ctx, e) < 0 || insist(it, look, e) < 0 ||
	    insist(it, retire, e) < 0)
		return -1;
	cleanup_partial(c, it->ctx, it->cat, it->r);
	struct compactor_backlog b;
	backlog_of(c, it->cat, &b, NULL);
	backlog_publish(c, &b);
	return 0;
}

static void forward_cancel(void *arg)
{
	cancel_now(arg, "cancelled");
}

static void conclude(struct iteration *it, int rc, struct err *e)
{
	struct compactor *c = it->c;
	if (rc < 0 && e->code == E_OK)
		*e = it->first;
	else if (rc < 0)
		it->transient &= compactor_is_transient(e->code);
	it->r->halted = c->halted;
	it->r->retriable = rc < 0 && it->transient && !c->halted;
	if (it->r->retriable)
		compactor_count(c, M_RETRIES);
	if (rc < 0)
		return;
	compactor_count(c, M_ITERATIONS);
	gauge(c, M_LAST_SUCCESS, (double)compactor_now_ms(c) / 1000);
	pthread_mutex_lock(&c->mu);
	c->last_success_ms = compactor_now_ms(c);
	pthread_mutex_unlock(&c->mu);
}

int compactor_iterate(struct compactor *c, struct ctx *ctx, struct compactor_report *r,
		      struct err *e)
{
	struct cancel *token = cancel_new();
	struct cancel_waiter w = { .wake = forward_cancel, .arg = token };
	struct ctx child = ctx_child(ctx, 0);
	struct iteration it = { .c = c, .ctx = &child, .r = r, .transient = true };
	struct err why = ERR_INIT;
	*r = (struct compactor_report){ .halted = c->halted };
	child.cancel = token;
	pthread_mutex_lock(&c->mu);
	BUG_ON(c->running);
	c->running = true;
	c->run_cancel = token;
	pthread_mutex_unlock(&c->mu);
	cancel_wait_begin(ctx->cancel, &w);
	int rc = c->halted ? err_set(ctx, &why, E_ABORTED, "halted before")
			   : steps(&it, &why);
	cancel_wait_end(ctx->cancel, &w);
	pthread_mutex_lock(&c->mu);
	c->running = false;
	c->run_cancel = NULL;
	pthread_mutex_unlock(&c->mu);
	if (it.cat)
		ref_put(&it.cat->ref);
	if (rc == 0 && it.first.code != E_OK)
		rc = -1;
	if (rc < 0 && cancel_is(token) && !cancel_is(ctx->cancel))
		err_set(ctx, &why, E_LOCKED, "%s", cancel_why(token));
	conclude(&it, rc, &why);
	cancel_unref(token);
	return rc < 0 ? (*e = why, -1) : 0;
}

/* ---- beside it ---- */

int compactor_cleanup(struct compactor *c, struct ctx *ctx, struct err *e)
{
	struct catalogue *cat;
	struct compactor_report r = { 0 };
	if (c->lease && !lease_held(c->lease))
		return 0; /* not ours (yet) */
	if (compactor_confirm(c, ctx, e) < 0 || compactor_sync(c, ctx, &cat, e) < 0)
		return -1;
	int rc = cleanup_marked(c, ctx, cat, &r, e);
	cleanup_partial(c, ctx, cat, &r);
	ref_put(&cat->ref);
	if (rc < 0 && compactor_is_transient(e->code))
		compactor_count(c, M_RETRIES);
	return rc;
}

int compactor_progress(struct compactor *c, struct ctx *ctx, struct err *e)
{
	struct catalogue *cat;
	struct compactor_backlog b;
	if (compactor_sync(c, ctx, &cat, e) < 0) {
		if (compactor_is_transient(e->code))
			compactor_count(c, M_RETRIES);
		return -1;
	}
	backlog_of(c, cat, &b, NULL);
	backlog_publish(c, &b);
	ref_put(&cat->ref);
	return 0;
}

/* COMPACT: inputs x (2 x read-ahead + symbols) + --compact.memory, each; the symbols are known when a plan is. */
size_t compactor_memory_bound(struct compactor *c)
{
	size_t jobs = MAX(c->o.concurrency, c->o.downsample_concurrency);
	pthread_mutex_lock(&c->mu);
	size_t biggest = c->biggest_bound;
	pthread_mutex_unlock(&c->mu);
	return jobs * MAX(biggest, c->o.memory + 2 * c->o.read_ahead);
}

void compactor_status(struct compactor *c, struct compactor_status *out)
{
	bool held = c->lease && lease_held(c->lease);
	pthread_mutex_lock(&c->mu);
	*out = (struct compactor_status){ held, c->halted, c->running, c->last_success_ms,
					  c->backlog };
	pthread_mutex_unlock(&c->mu);
}

/* ---- dry run ---- */

static void print_doomed(struct compactor *c, const struct catalogue *cat,
			 struct buf *out)
{
	struct arena a;
	struct doomed *v;
	char id[27];
	arena_init(&a, NULL);
	for (size_t i = 0; i < cat->n_duplicates; i++) {
		ulid_format(&cat->duplicate[i].meta.ulid, id);
		if (!cat->duplicate[i].deletion_time_s)
			buf_fmt(out, "mark for deletion %s: outdated block\n", id);
	}
	size_t n = retention_list(c, &a, cat, false, &v);
	for (size_t i = 0; i < n; i++) {
		ulid_format(&v[i].block->meta.ulid, id);
		if (!v[i].block->deletion_time_s)
			buf_fmt(out, "mark for deletion %s: %.*s\n", id,
				STR_FMT(v[i].why));
	}
	for (size_t i = 0; i < cat->n_marked; i++) {
		ulid_format(&cat->marked[i].meta.ulid, id);
		if (cleanup_is_due(c, cat->marked[i].deletion_time_s))
			buf_fmt(out, "delete %s: marked for deletion\n", id);
	}
	for (size_t i = 0; i < cat->metas->n; i++) {
		const struct known *k = &cat->metas->v[i];
		ulid_format(&k->id, id);
		if (cleanup_is_aborted(c, k))
			buf_fmt(out, "delete %s: left by an upload that was aborted\n",
				id);
	}
	arena_deinit(&a);
}

int compactor_dry_run(struct compactor *c, struct ctx *ctx, struct buf *out,
		      struct err *e)
{
	struct catalogue *cat;
	struct compactor_backlog b;
	if (compactor_sync(c, ctx, &cat, e) < 0)
		return -1;
	backlog_of(c, cat, &b, out);
	print_doomed(c, cat, out);
	buf_fmt(out, "%llu compactions of %llu blocks, %llu bytes to read\n",
		(unsigned long long)b.compactions,
		(unsigned long long)b.compaction_blocks, (unsigned long long)b.bytes);
	ref_put(&cat->ref);
	return buf_check(out, ctx, "plan", e);
}
