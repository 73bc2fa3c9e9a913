/*
 * cmd/thanosc/cmd_compact.c - thanosc compact: a bucket kept in order, once or for ever.
 *
 * The main thread runs the iterations. With --wait it sleeps between them until the interval is over, SIGHUP or
 * POST /-/compact comes; cleanup, the backlog and the global view have timers. SIGTERM cancels whatever is under way:
 * what is half done lies in the data directory, or in the bucket without meta.json, and the next start removes or
 * completes it.
 *
 * Exit codes: 0, 1 an error that the last line on standard error tells, 2 (never with --wait) a block was quarantined.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/blocks_api.h"
#include "base/log.h"
#include "base/time.h"
#include "compact_flags.h"

#define PROGRESS_NS	(NS_PER_S / 2) /* between two states of the line on a terminal */
#define PROGRESS_LOG_NS (60 * NS_PER_S)

struct compact_run {
	struct runtime rt;
	struct compact_flags o;
	struct compact_config config;
	struct bucket *bucket;
	struct task_pool
		*pool; /* bulk threads for as many jobs as run at the same time */
	struct compactor *compactor;
	struct blocks_api *api;
	struct fetcher *global;
	struct task_timer *cleanup, *progress, *view;
	struct http_route routes[8];
	/* the sleep between iterations */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool wanted; /* mu: an iteration is to start now */
	/* progress; on_progress is called by one thread at a time */
	bool terminal, line_shown;
	uint64_t shown_ns, logged_ns;
};
static const struct opt *const tables[] = { common_rows,  objstore_rows,     web_rows,
					    compact_rows, not_yet_grpc_rows, NULL };
const struct conf_cmd compact_cmd = {
	"compact", "Continuously compacts blocks in an object store bucket.", tables, NULL
};

/* ---- progress ---- */

static void bytes_text(char out[32], uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = (double)n;
	size_t u = 0;
	for (; v >= 1024 && u + 1 < ARRAY_LEN(units); u++)
		v /= 1024;
	snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void progress_text(char out[320], const struct compactor_backlog *b)
{
	char left[32], done[32], time[64] = "";
	bytes_text(left, b->bytes);
	bytes_text(done, b->done_bytes);
	if (b->seconds_left >= 0 && b->seconds_left < 1e9) {
		char s[64];
		size_t n = time_format_duration_ms(s, (int64_t)b->seconds_left * 1000);
		snprintf(time, sizeof(time), ", about %.*s", (int)n, s);
	}
	snprintf(
		out, 320,
		"%s done; left: %llu compactions of %llu blocks, %llu to downsample, %llu to delete, %s%s",
		done, (unsigned long long)b->compactions,
		(unsigned long long)b->compaction_blocks,
		(unsigned long long)b->downsample_blocks,
		(unsigned long long)b->deletion_blocks, left, time);
}

static void on_progress(void *arg, const struct compactor_backlog *b)
{
	struct compact_run *s = arg;
	uint64_t now = time_mono_ns();
	char text[320];
	if (s->terminal && now - s->shown_ns >= PROGRESS_NS) {
		progress_text(text, b);
		fprintf(stderr, "\r\033[K%s%s%.*s", text, b->now.n ? "; now " : "",
			(int)MIN(b->now.n, 60u), b->now.p);
		fflush(stderr);
		s->shown_ns = now;
		s->line_shown = true;
	}
	if (now - s->logged_ns < PROGRESS_LOG_NS)
		return;
	progress_text(text, b);
	log_info(NULL, "progress: %s", text);
	s->logged_ns = now;
}

static void end_line(struct compact_run *s)
{
	if (s->line_shown)
		fprintf(stderr, "\r\033[K");
	s->line_shown = false;
}

/* ---- triggers ---- */

static void want(struct compact_run *s)
{
	pthread_mutex_lock(&s->mu);
	s->wanted = true;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
}

static void on_hup(void *arg, int signo)
{
	struct compact_run *s = arg;
	(void)signo;
	if (!s->o.wait) {
		log_info(NULL, "SIGHUP: there is one iteration, which runs");
		return;
	}
	log_info(NULL, "SIGHUP: an iteration starts at once");
	want(s);
}

static int on_trigger(void *arg, struct ctx *ctx, const struct http_req *q,
		      struct http_resp *w, struct err *e)
{
	(void)q;
	want(arg);
	return http_reply(w, ctx, 200, "text/plain; charset=utf-8", STR("OK"), e);
}

static bool is_wanted(void *arg)
{
	const struct compact_run *s = arg;
	return s->wanted;
}

/* Until the interval is over or an iteration is wanted; false: it is time to end. */
static bool sleep_between(struct compact_run *s)
{
	struct err e = ERR_INIT;
	struct ctx ctx = { .cancel = s->rt.stop,
			   .deadline_ns = time_after_ns((uint64_t)s->o.wait_interval_ms *
							NS_PER_MS) };
	pthread_mutex_lock(&s->mu);
	(void)!ctx_cond_wait(&ctx, &s->cv, &s->mu, is_wanted, s, &e);
	s->wanted = false;
	pthread_mutex_unlock(&s->mu);
	return !cancel_is(s->rt.stop);
}

/* ---- what runs beside the iterations ---- */

static void beside(struct compact_run *s, const char *what,
		   int (*fn)(struct compactor *, struct ctx *, struct err *))
{
	struct ctx ctx;
	struct err e = ERR_INIT;
	runtime_ctx(&s->rt, &ctx, 0);
	if (fn(s->compactor, &ctx, &e) < 0 && !cancel_is(s->rt.stop))
		log_error(&ctx, "%s: %s", what, err_text(&e));
	ctx_deinit(&ctx);
}

static void run_cleanup(void *arg)
{
	beside(arg, "cleanup", compactor_cleanup);
}

static void run_progress(void *arg)
{
	beside(arg, "counting the backlog", compactor_progress);
}

static void run_view(void *arg)
{
	struct compact_run *s = arg;
	struct catalogue *c = NULL;
	struct ctx ctx;
	struct err e = ERR_INIT;
	runtime_ctx(&s->rt, &ctx,
		    time_after_ns((uint64_t)s->o.view_timeout_ms * NS_PER_MS));
	int rc = fetcher_sync(s->global, &ctx, &c, &e);
	blocks_api_set(s->api, BLOCKS_GLOBAL, c, rc < 0 ? &e : NULL);
	if (c)
		ref_put(&c->ref);
	ctx_deinit(&ctx);
}

static void show_loaded(struct compact_run *s, const struct err *why)
{
	struct catalogue *c = s->api ? compactor_loaded(s->compactor) : NULL;
	if (!s->api)
		return;
	blocks_api_set(s->api, BLOCKS_LOADED, c, why);
	if (c)
		ref_put(&c->ref);
}

static void start_beside(struct compact_run *s)
{
	uint64_t cleanup = (uint64_t)s->o.cleanup_ms * NS_PER_MS,
		 progress = (uint64_t)s->o.progress_ms * NS_PER_MS,
		 view = (uint64_t)s->o.view_ms * NS_PER_MS;
	if (!s->o.wait)
		return;
	if (cleanup)
		s->cleanup = task_timer_start(s->pool, cleanup, cleanup, run_cleanup, s);
	if (progress)
		s->progress = task_timer_start(s->pool, 0, progress, run_progress, s);
	if (s->api)
		s->view = task_timer_start(s->pool, 0, view, run_view, s);
}

static void stop_beside(struct compact_run *s)
{
	task_timer_stop(s->cleanup);
	task_timer_stop(s->progress);
	task_timer_stop(s->view);
}

/* ---- start ---- */

static int open_compactor(struct compact_run *s, struct err *e)
{
	static const struct compactor_work work = { compact_blocks, compact_downsample,
						    compact_disk_bound,
						    compact_memory_bound };
	struct compactor_opts o = { .work = &work,
				    .metrics = s->rt.metrics,
				    .on_progress = on_progress,
				    .on_progress_arg = s };
	struct task_pool_opts po = {
		/* one for each job, the timers and their helpers */
		.max_bulk = (uint32_t)MAX(s->o.concurrency, s->o.downsample_concurrency) *
				    (uint32_t)(1 + s->o.files_concurrency) +
			    8
	};
	if (bucket_from_yaml(NULL, s->o.objstore.config.content, "--objstore.config",
			     loops_next(&s->rt.loops), s->rt.metrics, &s->bucket, e) < 0)
		return -1;
	s->pool = task_pool_new(&po);
	o.bucket = s->bucket;
	o.pool = s->pool;
	compact_flags_opts(&s->o, &s->config, &s->rt.arena, &o);
	return compactor_new(NULL, &o, &s->compactor, e);
}

static void open_api(struct compact_run *s)
{
	const struct blocks_api_opts o = { .bucket = s->bucket,
					   .label = s->o.web_label,
					   .no_admin = s->o.no_admin,
					   .pool = s->rt.pool,
					   .flags = &s->rt.flags,
					   .version = version_text,
					   .revision = version_commit };
	const struct fetcher_opts fo = {
		.bucket = s->bucket,
		.cache_dir =
			str_fmt(&s->rt.arena, "%.*s/meta-syncer", STR_FMT(s->o.data_dir))
				.p,
		.ignore_deletion_marks_ms = -1,
		.concurrency = (uint32_t)s->o.meta_concurrency,
		.pool = s->rt.pool,
		.metrics = s->rt.metrics,
		.viewer = true,
	};
	s->api = blocks_api_new(&o);
	s->global = fetcher_new(&fo);
}

static int serve(struct compact_run *s, struct err *e)
{
	size_t n = 0;
	if (s->o.wait)
		s->routes[n++] = (struct http_route){
			"POST|PUT", "/-/compact", HTTP_ON_LOOP, on_trigger, s, NULL
		};
	if (s->o.wait && !s->o.web_disable) {
		size_t more;
		open_api(s);
		const struct http_route *r = blocks_api_routes(s->api, &more);
		BUG_ON(n + more > ARRAY_LEN(s->routes));
		memcpy(s->routes + n, r, more * sizeof(*r));
		n += more;
	}
	return runtime_serve(&s->rt, s->routes, n, NULL, 0, e);
}

static void tell_memory(const struct compact_run *s)
{
	char all[32], one[32];
	uint64_t n = (uint64_t)MAX(s->o.concurrency, s->o.downsample_concurrency);
	bytes_text(all, compactor_memory_bound(s->compactor));
	bytes_text(one, (uint64_t)s->o.memory_bytes);
	log_info(
		NULL,
		"memory: at most %s, and 50 MiB for the process: %llu at a time x (inputs x (read-ahead + symbols / 8) + --compact.memory %s)",
		all, (unsigned long long)n, one);
}

static int dry_run(struct compact_run *s, struct err *e)
{
	struct ctx ctx;
	struct buf b;
	runtime_ctx(&s->rt, &ctx, 0);
	buf_init(&b, (size_t)1 << 30);
	int rc = compactor_dry_run(s->compactor, &ctx, &b, e);
	if (rc == 0 && fwrite(b.p, 1, b.n, stdout) != b.n)
		rc = err_set(NULL, e, E_IO, "standard output does not take the plan");
	buf_deinit(&b);
	ctx_deinit(&ctx);
	return rc;
}

/* ---- iterations ---- */

static void tell_report(const struct compactor_report *r)
{
	char in[32], out[32];
	bytes_text(in, r->bytes_in);
	bytes_text(out, r->bytes_out);
	log_info(
		NULL,
		"iteration: %llu blocks compacted, %llu downsampled from %s to %s, %llu marked for deletion, %llu deleted, %llu quarantined, %llu left out since they overlap, %llu failed",
		(unsigned long long)r->compactions, (unsigned long long)r->downsamplings,
		in, out, (unsigned long long)r->marked_deletion,
		(unsigned long long)(r->deleted + r->partial_deleted),
		(unsigned long long)r->quarantined, (unsigned long long)r->overlapping,
		(unsigned long long)r->failed);
	if (r->quarantined)
		log_error(
			NULL,
			"%llu damaged blocks were quarantined: see their no-compact-mark.json, and thanosc tools block verify",
			(unsigned long long)r->quarantined);
}

static int iterate(struct compact_run *s, struct compactor_report *r, struct err *e)
{
	struct ctx ctx;
	struct err why = ERR_INIT;
	runtime_ctx(&s->rt, &ctx, 0);
	int rc = compactor_iterate(s->compactor, &ctx, r, &why);
	end_line(s);
	show_loaded(s, rc < 0 ? &why : NULL);
	if (rc < 0)
		err_copy(NULL, e, &why);
	if (!cancel_is(s->rt.stop))
		tell_report(r);
	ctx_deinit(&ctx);
	return rc;
}

/* With --wait what may go away is tried again in the next iteration; another compactor, or a damaged data directory, ends us. */
static bool goes_on(const struct compact_run *s, const struct err *e)
{
	return s->o.wait && err_code_class(e->code) != ERR_FATAL;
}

static int run_iterations(struct compact_run *s, struct err *e)
{
	struct compactor_report r;
	bool quarantined = false;
	do {
		struct err why = ERR_INIT;
		r = (struct compactor_report){ 0 };
		int rc = iterate(s, &r, &why);
		quarantined = quarantined || r.quarantined;
		if (cancel_is(s->rt.stop))
			return 0;
		if (r.halted) {
			log_error(NULL, "halted, as --debug.halt-on-error says: %s",
				  err_text(&why));
			runtime_wait(&s->rt);
			return 0;
		}
		if (rc < 0 && !goes_on(s, &why)) {
			*e = why;
			return -1;
		}
		if (rc < 0)
			log_error(NULL, "iteration failed, the next one tries again: %s",
				  err_text(&why));
	} while (s->o.wait && sleep_between(s));
	return quarantined && !s->o.wait ? 2 : 0;
}

static int run(struct compact_run *s, struct err *e)
{
	s->terminal = isatty(STDERR_FILENO);
	if (compact_flags_check(&s->o, &s->rt.arena, &s->config, e) < 0 ||
	    loop_on_signal(s->rt.loops.l[0], SIGHUP, on_hup, s, e) < 0 ||
	    open_compactor(s, e) < 0)
		return -1;
	if (s->o.dry_run)
		return dry_run(s, e);
	if (serve(s, e) < 0)
		return -1;
	tell_memory(s);
	runtime_ready(&s->rt, true);
	start_beside(s);
	int rc = run_iterations(s, e);
	cancel_now(s->rt.stop, "done");
	return rc;
}

int cmd_compact(int argc, char **argv)
{
	struct compact_run s = { 0 };
	struct err e = ERR_INIT;
	int rc = runtime_start(&s.rt, &compact_cmd, argc, argv, &s.o, sizeof(s.o), &e);
	if (rc == 1) /* help or version */
		return 0;
	if (rc == 0) {
		pthread_mutex_init(&s.mu, NULL);
		ctx_cond_init(&s.cv);
		rc = run(&s, &e);
		stop_beside(&s);
		runtime_drain(&s.rt);
		blocks_api_free(s.api);
		fetcher_free(s.global);
		compactor_free(s.compactor);
		compact_flags_free(&s.config);
		if (s.pool)
			task_pool_free(s.pool);
		bucket_close(s.bucket);
		runtime_end(&s.rt);
		pthread_cond_destroy(&s.cv);
		pthread_mutex_destroy(&s.mu);
	}
	if (rc < 0)
		fprintf(stderr, "thanosc compact: error: %s\n", err_text(&e));
	return rc < 0 ? 1 : rc;
}
