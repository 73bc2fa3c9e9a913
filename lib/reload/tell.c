/*
 * reload/tell.c - Prometheus is told to read its configuration again, and asked whether it did.
 *
 * POST /-/reload answers when the reload is over. A signal answers nothing: what came of it is read from
 * /api/v1/status/runtimeinfo, whose lastConfigTime (of the last good reload, in whole seconds) must move on.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/time.h"
#include "fs/fs.h"
#include "reload/reload_int.h"
#include "wire/json.h"

#define RELOAD_TIMEOUT_NS (120 * NS_PER_S) /* a large configuration takes its time */
#define EFFECT_NS	  (10 * NS_PER_S)
#define LOOK_NS		  (200 * NS_PER_MS)
#define SHOWN_BODY_BYTES  512u
#define COMM_BYTES	  15u /* what the kernel keeps of a name */

static int ask(const struct reloader_opts *o, struct ctx *ctx, struct arena *a,
	       const char *method, const char *path, struct buf *body, struct err *e)
{
	struct http_answer answer;
	struct str base = o->url;
	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	const struct http_fetch_req r = {
		.method = method, .url = str_fmt(a, "%.*s%s", STR_FMT(base), path)
	};
	if (http_fetch(o->http, ctx, a, &r, &answer, body, e) < 0)
		return -1;
	if (answer.status == 200)
		return 0;
	struct str text = str_trim(buf_view(body));
	text.n = MIN(text.n, (size_t)SHOWN_BODY_BYTES);
	return err_set(ctx, e, E_REMOTE, "Prometheus %s: status %d: %.*s", path,
		       answer.status, STR_FMT(text));
}

int reload_by_http(const struct reloader_opts *o, struct ctx *ctx, struct err *e)
{
	struct ctx child = ctx_child(ctx, time_after_ns(RELOAD_TIMEOUT_NS));
	struct arena a;
	struct buf body;
	arena_init(&a, NULL);
	buf_init(&body, LIMIT_CONFIG_BYTES);
	int rc = ask(o, &child, &a, "POST", "/-/reload", &body, e);
	buf_deinit(&body);
	arena_deinit(&a);
	return rc;
}

/* ---- by signal ---- */

/* "pid (name) S ...": the name may hold anything, so it ends at the last ')'. */
static bool parse_stat(struct str text, struct str *name, char *state)
{
	ptrdiff_t open = str_find_char(text, '(');
	size_t close = text.n;
	while (close && text.p[close - 1] != ')')
		close--;
	if (open < 0 || close < (size_t)open + 2 || close + 2 > text.n)
		return false;
	*name = str_n(text.p + open + 1, close - (size_t)open - 2);
	*state = text.p[close + 1];
	return true;
}

/* Runs under this name, as us (or we are root), and has not ended. */
static bool is_wanted(struct ctx *ctx, struct arena *a, const char *proc, struct str pid,
		      struct str name)
{
	struct buf b;
	struct err none = ERR_INIT;
	struct str comm;
	struct stat st;
	char state;
	char *dir = str_dupz(a, str_fmt(a, "%s/%.*s", proc, STR_FMT(pid)));
	if (stat(dir, &st) < 0 || (geteuid() != 0 && st.st_uid != geteuid()))
		return false;
	buf_init(&b, 4096);
	bool good = fs_read_file(ctx, str_dupz(a, str_fmt(a, "%s/stat", dir)), 4096, &b,
				 &none) == 0 &&
		    parse_stat(buf_view(&b), &comm, &state) && state != 'Z' &&
		    state != 'X' && str_eq(comm, name);
	buf_deinit(&b);
	return good;
}

static int find_process(struct ctx *ctx, struct arena *a, const char *proc,
			struct str name, int *pid, struct err *e)
{
	struct fs_names names;
	int64_t id, found = 0;
	struct str comm = str_n(name.p, MIN(name.n, (size_t)COMM_BYTES));
	if (fs_list(ctx, a, proc, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		if (!str_to_i64(names.name[i], &id) || id <= 0 || id > INT32_MAX ||
		    !is_wanted(ctx, a, proc, names.name[i], comm))
			continue;
		if (found)
			return err_set(
				ctx, e, E_EXISTS,
				"processes %d and %d are both named %.*s: which one to signal is unknown",
				(int)found, (int)id, STR_FMT(name));
		found = id;
	}
	if (!found)
		return err_set(ctx, e, E_NOT_FOUND,
			       "no process named %.*s that may be signalled",
			       STR_FMT(name));
	*pid = (int)found;
	return 0;
}

int reload_find_process(struct ctx *ctx, const char *proc, const char *name, int *pid,
			struct err *e)
{
	struct arena a;
	arena_init(&a, NULL);
	int rc = find_process(ctx, &a, proc, str_of(name), pid, e);
	arena_deinit(&a);
	return rc;
}

struct runtime_info {
	int64_t config_s; /* of the last good reload */
	bool success;	  /* of the last reload */
};

static int runtime_info(const struct reloader_opts *o, struct ctx *ctx,
			struct runtime_info *out, struct err *e)
{
	static const char path[] = "/api/v1/status/runtimeinfo";
	struct arena a;
	struct buf body;
	struct doc *d = NULL;
	uint32_t nsec;
	arena_init(&a, NULL);
	buf_init(&body, LIMIT_CONFIG_BYTES);
	int rc = ask(o, ctx, &a, "GET", path, &body, e);
	if (rc == 0)
		rc = json_parse(ctx, &a, buf_view(&body), &d, e);
	if (rc == 0) {
		const struct doc *data = d->kind == DOC_MAP ? doc_get(d, "data") : NULL;
		bool map = data && data->kind == DOC_MAP;
		const struct doc *t = map ? doc_get(data, "lastConfigTime") : NULL;
		const struct doc *s = map ? doc_get(data, "reloadConfigSuccess") : NULL;
		if (t && s && t->kind == DOC_STR && s->kind == DOC_BOOL &&
		    time_parse_rfc3339(t->s, &out->config_s, &nsec))
			out->success = s->b;
		else
			rc = err_set(
				ctx, e, E_REMOTE,
				"Prometheus %s tells no lastConfigTime and reloadConfigSuccess",
				path);
	}
	buf_deinit(&body);
	arena_deinit(&a);
	return rc;
}

static bool never(void *arg UNUSED)
{
	return false;
}

/* -1 when the work is to end. */
static int pause_ns(struct ctx *ctx, uint64_t ns, struct err *e)
{
	struct ctx child = ctx_child(ctx, time_after_ns(ns));
	struct err why = ERR_INIT;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	pthread_mutex_init(&mu, NULL);
	ctx_cond_init(&cv);
	pthread_mutex_lock(&mu);
	(void)!ctx_cond_wait(&child, &cv, &mu, never, NULL, &why);
	pthread_mutex_unlock(&mu);
	pthread_cond_destroy(&cv);
	pthread_mutex_destroy(&mu);
	return ctx_check(ctx, e);
}

/* What came of the signal, within the time given. */
static int wait_effect(const struct reloader_opts *o, struct ctx *ctx,
		       const struct runtime_info *before, struct err *e)
{
	uint64_t end = time_after_ns(o->effect_ns ? o->effect_ns : EFFECT_NS);
	for (;;) {
		struct runtime_info now;
		if (pause_ns(ctx, LOOK_NS, e) < 0 || runtime_info(o, ctx, &now, e) < 0)
			return -1;
		if (now.success && now.config_s > before->config_s)
			return 0;
		if (!now.success && before->success)
			return err_set(
				ctx, e, E_REMOTE,
				"Prometheus failed to load the configuration: its log tells why");
		if (time_mono_ns() >= end)
			return err_set(ctx, e, E_TIMEOUT,
				       "Prometheus did not take the configuration over%s",
				       now.success ? "" : ": its log tells why");
	}
}

int reload_by_signal(const struct reloader_opts *o, struct ctx *ctx, struct err *e)
{
	struct ctx child = ctx_child(ctx, time_after_ns(RELOAD_TIMEOUT_NS));
	struct runtime_info before;
	int pid;
	if (reload_find_process(&child, "/proc", o->process, &pid, e) < 0 ||
	    runtime_info(o, &child, &before, e) < 0)
		return -1;
	/* A second good reload within one second would not be seen. */
	int64_t fresh_ms = time_wall_ms() - before.config_s * 1000;
	if (fresh_ms >= 0 && fresh_ms < 1000 &&
	    pause_ns(&child, (uint64_t)(1000 - fresh_ms) * NS_PER_MS, e) < 0)
		return -1;
	if (kill(pid, SIGHUP) < 0)
		return err_errno(ctx, e, errno, "signal %s, process %d", o->process, pid);
	return wait_effect(o, &child, &before, e);
}
