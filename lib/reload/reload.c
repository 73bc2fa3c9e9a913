/*
 * reload/reload.c - when to look, when to write, when to tell.
 *
 *   look   each call: paths, times and sizes of all files
 *   apply  when those changed, and each watch interval: contents are read, the output is written
 *   tell   when the contents are not those that Prometheus took over last, again after each retry interval
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "reload/reload_int.h"

enum {
	M_RELOADS,
	M_FAILED,
	M_LAST_OK,
	M_LAST_TIME,
	M_APPLIES,
	M_APPLY_FAILED,
	M_WATCHES,
	M_EVENTS,
	M_ERRORS,
	M_UNSET,
	M_COUNT,
	M_INFO = M_COUNT, /* this one by how Prometheus is told */
	M_ROWS
};
#define ROW(kind, name, help)                                                            \
	{                                                                                \
		METRIC_##kind, "thanos_sidecar_reloader_" name, help,                    \
		{                                                                        \
			0                                                                \
		}                                                                        \
	}
static const struct metric_desc rows[M_ROWS] = {
	[M_RELOADS] = ROW(COUNTER, "reloads_total", "Tries to make Prometheus reload."),
	[M_FAILED] = ROW(COUNTER, "reloads_failed_total",
			 "Tries to make Prometheus reload that failed."),
	[M_LAST_OK] = ROW(GAUGE, "last_reload_successful",
			  "Whether the last try to make Prometheus reload succeeded."),
	[M_LAST_TIME] = ROW(GAUGE, "last_reload_success_timestamp_seconds",
			    "When Prometheus last reloaded."),
	[M_APPLIES] = ROW(COUNTER, "config_apply_operations_total",
			  "Times the watched files were read and applied."),
	[M_APPLY_FAILED] = ROW(COUNTER, "config_apply_operations_failed_total",
			       "Times the watched files could not be applied."),
	[M_WATCHES] = ROW(GAUGE, "watches", "Files and folders given to be watched."),
	[M_EVENTS] = ROW(COUNTER, "watch_events_total", "Changes of watched files seen."),
	[M_ERRORS] =
		ROW(COUNTER, "watch_errors_total", "Looks at watched files that failed."),
	[M_UNSET] = ROW(GAUGE, "config_environment_variable_expansion_errors",
			"Whether the last operation met a variable that is not set."),
	[M_INFO] = { .kind = METRIC_GAUGE,
		     .name = "thanos_sidecar_reloader_info",
		     .help = "1, by how Prometheus is made to reload.",
		     .labels = { "method" } },
};

struct reloader {
	struct reloader_opts o;
	struct metric *m[M_COUNT];
	uint64_t signature, next_full_ns, next_retry_ns; /* retry 0: nothing to retry */
	struct reload_hash taken; /* what Prometheus took over last */
	bool started, has_taken;
	char last_error[240]; /* said once, not each retry */
};

struct reloader *reloader_new(const struct reloader_opts *o)
{
	struct reloader *r = xcalloc(1, sizeof(*r));
	struct metric_set *set = metric_set_new(o->metrics, rows, M_ROWS);
	r->o = *o;
	for (unsigned i = 0; i < M_COUNT; i++)
		r->m[i] = metric_plain(set, i);
	metric_set_value(metric_at(set, M_INFO, o->process ? STR("signal") : STR("http")),
			 1);
	metric_set_value(r->m[M_WATCHES],
			 (double)o->n_rule_dirs + (o->config_file ? 1 : 0));
	return r;
}

void reloader_free(struct reloader *r)
{
	free(r);
}

bool reloader_done(const struct reloader *r)
{
	return (!r->o.config_file && r->o.n_rule_dirs == 0) ||
	       (r->o.watch_ns == 0 && r->has_taken);
}

static void failed(struct reloader *r, struct ctx *ctx, unsigned row, const char *what,
		   const struct err *e)
{
	metric_inc(r->m[row]);
	r->next_retry_ns = time_after_ns(r->o.retry_ns);
	const char *text = err_text(e);
	if (strncmp(r->last_error, text, sizeof(r->last_error) - 1) == 0) {
		log_debug(ctx, "reloader: %s again: %s", what, text);
		return;
	}
	size_t n = MIN(strlen(text), sizeof(r->last_error) - 1);
	memcpy(r->last_error, text, n);
	r->last_error[n] = 0;
	log_warn(ctx, "reloader: %s: %s", what, text);
}

static void tell(struct reloader *r, struct ctx *ctx, const struct reload_hash *now)
{
	struct err e = ERR_INIT;
	metric_inc(r->m[M_RELOADS]);
	int rc = r->o.process ? reload_by_signal(&r->o, ctx, &e)
			      : reload_by_http(&r->o, ctx, &e);
	if (rc < 0) {
		metric_set_value(r->m[M_LAST_OK], 0);
		failed(r, ctx, M_FAILED, "Prometheus does not reload", &e);
		return;
	}
	metric_set_value(r->m[M_LAST_OK], 1);
	metric_set_value(r->m[M_LAST_TIME], (double)time_wall_ms() / 1000);
	r->taken = *now;
	r->has_taken = true;
	r->next_retry_ns = 0;
	r->last_error[0] = 0;
	log_info(ctx, "reloader: Prometheus has reloaded its configuration");
}

static void apply(struct reloader *r, struct ctx *ctx, const struct reload_scan *s)
{
	struct reload_hash now;
	struct err e = ERR_INIT;
	metric_inc(r->m[M_APPLIES]);
	r->next_retry_ns = 0;
	if (reload_hash_files(s, ctx, &now, &e) < 0 ||
	    (r->o.config_file && r->o.output_file && reload_expand(&r->o, ctx, &e) < 0)) {
		metric_set_value(r->m[M_UNSET], e.code == E_INVALID);
		failed(r, ctx, M_APPLY_FAILED, "the configuration is not applied", &e);
		return;
	}
	metric_set_value(r->m[M_UNSET], 0);
	if (!r->has_taken || memcmp(&now, &r->taken, sizeof(now)) != 0)
		tell(r, ctx, &now);
	else
		r->last_error[0] = 0; /* changed back: Prometheus has it */
}

void reloader_step(struct reloader *r, struct ctx *ctx)
{
	struct arena a;
	struct reload_scan s;
	struct err e = ERR_INIT;
	if (reloader_done(r))
		return;
	arena_init(&a, NULL);
	uint64_t now = time_mono_ns();
	bool retry = r->next_retry_ns && now >= r->next_retry_ns;
	if (reload_scan(&r->o, ctx, &a, &s, &e) < 0) {
		/* Named at once and then each retry interval, while calls come each second. */
		if (!r->next_retry_ns || retry)
			failed(r, ctx, M_ERRORS, "look at what is watched", &e);
		r->signature = 0;
	} else {
		bool changed = s.signature != r->signature;
		if (changed && r->started)
			metric_inc(r->m[M_EVENTS]);
		if (!r->started || changed || retry ||
		    (r->o.watch_ns && now >= r->next_full_ns)) {
			r->signature = s.signature;
			r->next_full_ns = time_after_ns(r->o.watch_ns);
			r->started = true;
			apply(r, ctx, &s);
		}
	}
	arena_deinit(&a);
}
