/*
 * reload/reload.h - the configuration of a Prometheus beside us: its file expanded, it and the rule folders watched,
 * Prometheus told when they change until it has taken them over.
 *
 * Somebody calls reloader_step every second or so; most calls only look at times and sizes.
 *
 * Thread  WORKER, one at a time
 */
#ifndef RELOAD_RELOAD_H
#define RELOAD_RELOAD_H

#include "http/http.h"

struct reloader_opts {
	const char *config_file; /* NULL: none is watched */
	const char *output_file; /* the expanded config_file; NULL: it is not written */
	const struct str *rule_dirs;
	size_t n_rule_dirs;
	uint64_t watch_ns; /* contents are compared this often; 0: only at the start */
	uint64_t retry_ns; /* between tries to make a change take effect */
	struct http_client *http;
	struct str url;	     /* of Prometheus; may have a path */
	const char *process; /* signalled by SIGHUP; NULL: POST /-/reload */
	uint64_t effect_ns;  /* how long the signal may take to have an effect; 0: 10 s */
	struct metric_registry *metrics; /* thanos_sidecar_reloader_* */
};
struct reloader;
struct reloader *
reloader_new(const struct reloader_opts *o); /* the options' texts are kept */
void reloader_free(struct reloader *r);	     /* NULL allowed */
/* Look, and do what is due. Failures are logged and counted, and tried again at a later call. */
void reloader_step(struct reloader *r, struct ctx *ctx);
/* Nothing is left to do: no files were given, or watch_ns is 0 and the start's state has taken effect. */
bool reloader_done(const struct reloader *r);

#endif
