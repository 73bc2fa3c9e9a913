/*
 * The reloader over files of a temporary folder, beside a fake Prometheus: what it writes, when it tells, that it
 * tries again, whom it would signal.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"
#include "reload/reload_int.h"
#include "support/tst.h"
#include "wire/codec.h"

struct world {
	char dir[64];
	struct ctx ctx;
	struct arena arena;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct loops loops;
	struct http_server *server;
	struct http_client *http;
	struct reloader_opts o;
	struct str dirs[1];
	struct reloader *r;
	struct err e;
	/* what Prometheus does */
	_Atomic int status;	      /* of POST /-/reload; 0: 200 */
	_Atomic uint32_t posts, hups; /* seen */
	_Atomic bool deaf, broken;    /* a signal does nothing, or is refused */
	_Atomic int64_t config_s;     /* lastConfigTime */
};
static struct world *signalled; /* whose Prometheus is this process */

static int on_reload(void *arg, struct ctx *ctx, const struct http_req *r,
		     struct http_resp *resp, struct err *e)
{
	struct world *w = arg;
	int status = atomic_load(&w->status);
	(void)r;
	atomic_fetch_add(&w->posts, 1);
	return http_reply(resp, ctx, status ? status : 200, "text/plain",
			  status ? STR("failed to reload config: no such thing")
				 : STR(""),
			  e);
}

static int on_runtime(void *arg, struct ctx *ctx, const struct http_req *r,
		      struct http_resp *resp, struct err *e)
{
	struct world *w = arg;
	char when[40];
	struct buf b;
	(void)r;
	when[time_format_rfc3339(when, atomic_load(&w->config_s), 0, 0)] = 0;
	buf_init(&b, 4096);
	buf_fmt(&b,
		"{\"status\":\"success\",\"data\":{\"lastConfigTime\":\"%s\",\"reloadConfigSuccess\":%s}}",
		when, atomic_load(&w->broken) ? "false" : "true");
	int rc = http_reply(resp, ctx, 200, "application/json", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static void on_hup(int sig)
{
	(void)sig;
	atomic_fetch_add(&signalled->hups, 1);
	if (!signalled->deaf && !signalled->broken)
		signalled->config_s = time_wall_ms() / 1000;
}

static char *path(struct world *w, const char *name)
{
	return str_dupz(&w->arena, str_fmt(&w->arena, "%s/%s", w->dir, name));
}

static void put(struct world *w, const char *name, struct str text)
{
	cr_assert_eq(fs_write_atomic(&w->ctx, path(w, name), text, &w->e), 0, "%s",
		     err_text(&w->e));
}

static bool holds(struct world *w, const char *name, struct str want)
{
	struct buf b;
	struct err e = ERR_INIT;
	buf_init(&b, 1 << 20);
	bool same = fs_read_file(&w->ctx, path(w, name), 1 << 20, &b, &e) == 0 &&
		    str_eq(buf_view(&b), want);
	buf_deinit(&b);
	return same;
}

/* config.yml, expanded to out.yml, and the rule folder rules; contents compared at every step. */
static void world_open(struct world *w)
{
	const struct http_route routes[] = {
		{ "POST", "/p/-/reload", HTTP_ON_REQUEST, on_reload, w, NULL },
		{ "GET", "/p/api/v1/status/runtimeinfo", HTTP_ON_REQUEST, on_runtime, w,
		  NULL },
	};
	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_ERROR + 1, LOG_LOGFMT, 2);
	*w = (struct world){ .dir = "/tmp/thanosc-reload-XXXXXX" };
	cr_assert_not_null(mkdtemp(w->dir));
	ctx_init(&w->ctx, NULL, time_after_ns(60 * NS_PER_S));
	arena_init(&w->arena, NULL);
	w->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	w->metrics = metric_registry_new();
	cr_assert_eq(loops_start(1, &w->loops, &w->e), 0);
	cr_assert_eq(http_server_start(&w->loops, w->pool, w->metrics,
				       &(struct http_server_opts){
					       .addr = STR("127.0.0.1:0"), .prefix = "" },
				       routes, ARRAY_LEN(routes), &w->server, &w->e),
		     0, "%s", err_text(&w->e));
	cr_assert_eq(http_client_new(&(struct http_client_opts){ .loop = w->loops.l[0] },
				     &w->http, &w->e),
		     0);
	cr_assert_eq(fs_mkdir_p(&w->ctx, path(w, "rules"), &w->e), 0);
	w->dirs[0] = str_of(path(w, "rules"));
	w->o = (struct reloader_opts){
		.config_file = path(w, "config.yml"),
		.output_file = path(w, "out.yml"),
		.rule_dirs = w->dirs,
		.n_rule_dirs = 1,
		.watch_ns = 1,
		.retry_ns = 1,
		.http = w->http,
		.url = str_fmt(&w->arena, "http://127.0.0.1:%u/p/",
			       http_server_port(w->server)),
		.effect_ns = 600 * NS_PER_MS,
		.metrics = w->metrics,
	};
}

static void world_start(struct world *w)
{
	w->r = reloader_new(&w->o);
}

static void world_close(struct world *w)
{
	reloader_free(w->r);
	cancel_now(w->ctx.cancel, "end");
	http_server_stop(w->server, NS_PER_S);
	http_client_free(w->http);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	arena_deinit(&w->arena);
	cr_assert_eq(fs_remove_all(NULL, w->dir, &w->e), 0);
	ctx_deinit(&w->ctx);
}

static double metric_of(struct world *w, const char *name)
{
	struct buf b;
	struct str rest, line;
	struct str full = str_fmt(&w->arena, "thanos_sidecar_reloader_%s ", name);
	double v = -1;
	bool more = true;
	buf_init(&b, 1 << 20);
	metric_write_text(w->metrics, false, &b);
	for (rest = buf_view(&b); more;) {
		more = str_cut(&rest, '\n', &line);
		if (str_has_prefix(line, full))
			cr_assert(str_to_f64(str_from(line, full.n), &v));
	}
	buf_deinit(&b);
	return v;
}

Test(reload, writes_expands_and_tells_only_when_something_changed)
{
	struct world w;
	world_open(&w);
	setenv("RELOAD_A", "one", 1);
	put(&w, "config.yml", STR("a: $(RELOAD_A)\nb: $(not a name) $X\n"));
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert(holds(&w, "out.yml", STR("a: one\nb: $(not a name) $X\n")));
	cr_assert_eq(w.posts, 1);
	reloader_step(w.r, &w.ctx);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 1, "nothing has changed");
	put(&w, "config.yml", STR("a: $(RELOAD_A)$(RELOAD_A)\n"));
	reloader_step(w.r, &w.ctx);
	cr_assert(holds(&w, "out.yml", STR("a: oneone\n")));
	cr_assert_eq(w.posts, 2);
	put(&w, "rules/x.yml", STR("groups: []\n"));
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 3, "a new rule file");
	cr_assert_eq(rename(path(&w, "rules/x.yml"), path(&w, "rules/y.yml")), 0);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 4, "another name");
	cr_assert_eq(unlink(path(&w, "rules/y.yml")), 0);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 5, "a rule file less");
	cr_assert_eq(metric_of(&w, "reloads_total"), 5);
	cr_assert_eq(metric_of(&w, "reloads_failed_total"), 0);
	cr_assert_eq(metric_of(&w, "last_reload_successful"), 1);
	cr_assert_gt(metric_of(&w, "last_reload_success_timestamp_seconds"), 1.7e9);
	cr_assert_eq(metric_of(&w, "watches"), 2);
	cr_assert_eq(metric_of(&w, "watch_events_total"), 4);
	cr_assert_eq(metric_of(&w, "config_apply_operations_failed_total"), 0);
	cr_assert_not(reloader_done(w.r));
	world_close(&w);
}

Test(reload, contents_behind_equal_times_and_sizes_are_found_by_the_watch_interval)
{
	struct world w;
	struct stat st;
	world_open(&w);
	w.o.watch_ns = 3600 * NS_PER_S;
	put(&w, "config.yml", STR("a: 1\n"));
	cr_assert_eq(stat(path(&w, "config.yml"), &st), 0);
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	for (int i = 0; i < 2; i++) {
		/* Written in place: the same inode, size, and time. */
		FILE *f = fopen(path(&w, "config.yml"), "r+");
		cr_assert_not_null(f);
		cr_assert_eq(fputs("a: 2\n", f), 1);
		fclose(f);
		const struct timespec t[] = { st.st_atim, st.st_mtim };
		cr_assert_eq(utimensat(AT_FDCWD, path(&w, "config.yml"), t, 0), 0);
		reloader_step(w.r, &w.ctx);
		cr_assert_eq(w.posts, 1u + (i > 0), "run %d", i);
		if (i)
			break;
		reloader_free(w.r);
		put(&w, "config.yml", STR("a: 1\n"));
		cr_assert_eq(stat(path(&w, "config.yml"), &st), 0);
		w.o.watch_ns = 1;
		world_start(&w);
		atomic_store(&w.posts, 0);
		reloader_step(w.r, &w.ctx);
		cr_assert_eq(w.posts, 1);
	}
	world_close(&w);
}

Test(reload, gzip)
{
	struct world w;
	struct buf gz;
	struct gzip_enc *g = gzip_enc_new(false);
	world_open(&w);
	setenv("RELOAD_A", "one", 1);
	buf_init(&gz, 1 << 16);
	cr_assert_eq(gzip_enc_feed(g, STR("a: $(RELOAD_A)\n"), true, &gz, &w.e), 0);
	gzip_enc_free(g);
	put(&w, "config.yml", buf_view(&gz));
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert(holds(&w, "out.yml", STR("a: one\n")));
	cr_assert_eq(w.posts, 1);
	/* Cut short: not applied, the old output stays. */
	put(&w, "config.yml", str_n(gz.p, gz.n - 5));
	reloader_step(w.r, &w.ctx);
	cr_assert(holds(&w, "out.yml", STR("a: one\n")));
	cr_assert_eq(w.posts, 1);
	cr_assert_eq(metric_of(&w, "config_apply_operations_failed_total"), 1);
	cr_assert_lt(reload_expand(&w.o, &w.ctx, &w.e), 0);
	cr_assert(strstr(err_text(&w.e), "config.yml"), "%s", err_text(&w.e));
	buf_deinit(&gz);
	world_close(&w);
}

Test(reload, an_unset_variable_is_named_and_nothing_is_written)
{
	struct world w;
	world_open(&w);
	unsetenv("RELOAD_NONE");
	put(&w, "config.yml", STR("a: $(RELOAD_NONE)\n"));
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert_lt(reload_expand(&w.o, &w.ctx, &w.e), 0);
	cr_assert(strstr(err_text(&w.e), "RELOAD_NONE") &&
			  strstr(err_text(&w.e), "config.yml"),
		  "%s", err_text(&w.e));
	cr_assert_eq(access(path(&w, "out.yml"), F_OK), -1);
	cr_assert_eq(w.posts, 0);
	cr_assert_eq(metric_of(&w, "config_apply_operations_failed_total"), 1);
	setenv("RELOAD_NONE", "", 1);
	reloader_step(w.r, &w.ctx);
	cr_assert(holds(&w, "out.yml", STR("a: \n")));
	cr_assert_eq(w.posts, 1);
	world_close(&w);
}

Test(reload, tried_again_until_it_took_effect)
{
	struct world w;
	world_open(&w);
	put(&w, "config.yml", STR("a: 1\n"));
	atomic_store(&w.status, 500);
	world_start(&w);
	for (unsigned i = 1; i <= 3; i++) {
		reloader_step(w.r, &w.ctx);
		cr_assert_eq(w.posts, i);
		cr_assert_eq(metric_of(&w, "last_reload_successful"), 0);
	}
	cr_assert_lt(reload_by_http(&w.o, &w.ctx, &w.e), 0);
	cr_assert(strstr(err_text(&w.e), "status 500") &&
			  strstr(err_text(&w.e), "no such thing"),
		  "%s", err_text(&w.e));
	atomic_store(&w.status, 0);
	reloader_step(w.r, &w.ctx);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 5, "once after it was mended");
	cr_assert_eq(metric_of(&w, "reloads_total"), 4);
	cr_assert_eq(metric_of(&w, "reloads_failed_total"), 3);
	cr_assert_eq(metric_of(&w, "last_reload_successful"), 1);
	world_close(&w);
}

Test(reload, retries_keep_their_interval)
{
	struct world w;
	world_open(&w);
	w.o.retry_ns = 300 * NS_PER_MS;
	w.o.watch_ns = 3600 * NS_PER_S;
	put(&w, "config.yml", STR("a: 1\n"));
	atomic_store(&w.status, 500);
	world_start(&w);
	uint64_t begin = time_mono_ns();
	while (atomic_load(&w.posts) < 3) {
		reloader_step(w.r, &w.ctx);
		usleep(5000);
	}
	cr_assert_geq(time_mono_ns() - begin, 600 * NS_PER_MS);
	world_close(&w);
}

Test(reload, only_at_the_start)
{
	struct world w;
	world_open(&w);
	w.o.watch_ns = 0;
	put(&w, "config.yml", STR("a: 1\n"));
	atomic_store(&w.status, 503);
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert_not(reloader_done(w.r));
	atomic_store(&w.status, 0);
	reloader_step(w.r, &w.ctx);
	cr_assert(reloader_done(w.r));
	put(&w, "config.yml", STR("a: 2\n"));
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 2);
	cr_assert(holds(&w, "out.yml", STR("a: 1\n")));
	world_close(&w);
}

Test(reload, nothing_given_nothing_done)
{
	struct world w;
	world_open(&w);
	w.o.config_file = w.o.output_file = NULL;
	w.o.n_rule_dirs = 0;
	world_start(&w);
	cr_assert(reloader_done(w.r));
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 0);
	cr_assert_eq(metric_of(&w, "reloads_total"), 0);
	world_close(&w);
}

Test(reload, what_is_missing_is_a_watch_error_until_it_is_there)
{
	struct world w;
	world_open(&w);
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(metric_of(&w, "watch_errors_total"), 1);
	cr_assert_eq(w.posts, 0);
	put(&w, "config.yml", STR("a: 1\n"));
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 1);
	cr_assert_eq(rmdir(path(&w, "rules")), 0);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(metric_of(&w, "watch_errors_total"), 2);
	cr_assert_eq(w.posts, 1);
	world_close(&w);
}

/* As mounted by Kubernetes: rules/x.yml -> ..data/x.yml, ..data -> a folder that is swapped. */
Test(reload, a_swapped_link)
{
	struct world w;
	world_open(&w);
	put(&w, "config.yml", STR("a: 1\n"));
	cr_assert_eq(fs_mkdir_p(&w.ctx, path(&w, "rules/..1"), &w.e), 0);
	cr_assert_eq(fs_mkdir_p(&w.ctx, path(&w, "rules/..2"), &w.e), 0);
	put(&w, "rules/..1/x.yml", STR("groups: []\n"));
	put(&w, "rules/..2/x.yml", STR("groups: [] # new\n"));
	cr_assert_eq(symlink("..1", path(&w, "rules/..data")), 0);
	cr_assert_eq(symlink("..data/x.yml", path(&w, "rules/x.yml")), 0);
	cr_assert_eq(symlink(".", path(&w, "rules/loop")), 0);
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 1);
	cr_assert_eq(symlink("..2", path(&w, "rules/..tmp")), 0);
	cr_assert_eq(rename(path(&w, "rules/..tmp"), path(&w, "rules/..data")), 0);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.posts, 2);
	world_close(&w);
}

#ifdef FAULTS
/* Every call that the output needs fails once: the old output is whole, and the next step completes. */
Test(reload, the_output_is_old_or_new)
{
	struct world w;
	bool more = true;
	world_open(&w);
	for (uint64_t nth = 1; more; nth++) {
		cr_assert_lt(nth, 20);
		put(&w, "config.yml", STR("a: 1\n"));
		cr_assert_eq(reload_expand(&w.o, &w.ctx, &w.e), 0);
		put(&w, "config.yml", STR("a: 2\n"));
		fault_arm(nth, FAULT_ONCE);
		int rc = reload_expand(&w.o, &w.ctx, &w.e);
		more = fault_passed() >= nth;
		fault_arm(0, FAULT_ONCE);
		cr_assert_eq(rc, more ? -1 : 0);
		cr_assert(holds(&w, "out.yml", STR("a: 1\n")) ||
			  holds(&w, "out.yml", STR("a: 2\n")));
		cr_assert_eq(reload_expand(&w.o, &w.ctx, &w.e), 0);
		cr_assert(holds(&w, "out.yml", STR("a: 2\n")));
	}
	struct fs_names names;
	cr_assert_eq(fs_list(&w.ctx, &w.arena, w.dir, &names, &w.e), 0);
	cr_assert_eq(names.n, 3, "config.yml, out.yml, rules and no temporary file");
	world_close(&w);
}
#endif

/* ---- by signal ---- */

static void proc_entry(struct world *w, int pid, const char *stat_text)
{
	cr_assert_eq(fs_mkdir_p(&w->ctx,
				path(w, str_dupz(&w->arena,
						 str_fmt(&w->arena, "proc/%d", pid))),
				&w->e),
		     0);
	put(w, str_dupz(&w->arena, str_fmt(&w->arena, "proc/%d/stat", pid)),
	    str_of(stat_text));
}

Test(reload, finds_the_process_by_name)
{
	struct world w;
	int pid = 0;
	world_open(&w);
	proc_entry(&w, 10, "10 (prometheus) Z 1 1");
	proc_entry(&w, 11, "11 (prometheus-node) S 1 1");
	proc_entry(&w, 12, "12 (a) S (prometheus) S 1 1");
	proc_entry(&w, 13, "13 (rubbish");
	const char *proc = path(&w, "proc");
	cr_assert_lt(reload_find_process(&w.ctx, proc, "prometheus", &pid, &w.e), 0);
	cr_assert_eq(w.e.code, E_NOT_FOUND, "%s", err_text(&w.e));
	cr_assert(strstr(err_text(&w.e), "prometheus"));
	proc_entry(&w, 14, "14 (prometheus) S 1 1");
	w.e = ERR_INIT;
	cr_assert_eq(reload_find_process(&w.ctx, proc, "prometheus", &pid, &w.e), 0, "%s",
		     err_text(&w.e));
	cr_assert_eq(pid, 14);
	/* The kernel keeps 15 bytes of a name. */
	proc_entry(&w, 16, "16 (prometheus-oper) S 1 1");
	cr_assert_eq(reload_find_process(&w.ctx, proc, "prometheus-operated", &pid, &w.e),
		     0);
	cr_assert_eq(pid, 16);
	proc_entry(&w, 15, "15 (prometheus) R 1 1");
	cr_assert_lt(reload_find_process(&w.ctx, proc, "prometheus", &pid, &w.e), 0);
	cr_assert_eq(w.e.code, E_EXISTS);
	cr_assert(strstr(err_text(&w.e), "14") && strstr(err_text(&w.e), "15"), "%s",
		  err_text(&w.e));
	world_close(&w);
}

/* This process plays Prometheus, under its own name. */
Test(reload, a_signal_counts_when_it_has_an_effect)
{
	struct world w;
	world_open(&w);
	signalled = &w;
	signal(SIGHUP, on_hup);
	cr_assert_eq(fs_write_atomic(&w.ctx, path(&w, "config.yml"), STR("a: 1\n"), &w.e),
		     0);
	char own[17];
	snprintf(own, sizeof(own), "reload-%d", (int)(getpid() % 10000000));
	FILE *comm = fopen("/proc/self/comm", "w");
	cr_assert_not_null(comm);
	fputs(own, comm);
	fclose(comm);
	w.o.process = own;
	w.config_s = time_wall_ms() / 1000; /* right now: the signal must wait a second */
	world_start(&w);
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.hups, 1);
	cr_assert_eq(metric_of(&w, "last_reload_successful"), 1);
	cr_assert_eq(w.posts, 0);
	w.deaf = true;
	put(&w, "config.yml", STR("a: 2\n"));
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.hups, 2);
	cr_assert_eq(metric_of(&w, "reloads_failed_total"), 1, "no effect");
	w.deaf = false;
	w.broken = true;
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(metric_of(&w, "reloads_failed_total"), 2, "refused");
	cr_assert_eq(metric_of(&w, "last_reload_successful"), 0);
	w.broken = false;
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(metric_of(&w, "last_reload_successful"), 1);
	uint32_t hups = w.hups;
	reloader_step(w.r, &w.ctx);
	cr_assert_eq(w.hups, hups);
	signal(SIGHUP, SIG_DFL);
	world_close(&w);
}
