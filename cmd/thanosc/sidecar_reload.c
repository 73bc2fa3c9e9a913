/*
 * cmd/thanosc/sidecar_reload.c - the flags --reloader.* of the sidecar, and the reloader's life.
 */
#include "sidecar_reload.h"

#include "base/time.h"

#define LOOK_NS NS_PER_S /* between two looks at times and sizes */

#define AT(f)                                                                            \
	(sizeof(struct common_opts) + sizeof(struct objstore_opts) +                     \
	 offsetof(struct reload_flags, f))
const struct opt reload_rows[] = {
	{ .name = "reloader.config-file",
	  .type = OPT_STRING,
	  .off = AT(config_file),
	  .def = "",
	  .help = "Config file watched by the reloader." },
	{ .name = "reloader.config-envsubst-file",
	  .type = OPT_STRING,
	  .off = AT(output_file),
	  .def = "",
	  .help = "Output file for the config file, unpacked and with environment variables substituted." },
	{ .name = "reloader.rule-dir",
	  .type = OPT_STRINGS,
	  .off = AT(rule_dirs),
	  .placeholder = "<dir>",
	  .help = "Rule directories for the reloader to refresh (repeated field)." },
	{ .name = "reloader.watch-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(watch_ms),
	  .def = "3m",
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "Controls how often the reloader reads the config and the rules again, whether or not their times and "
		  "sizes have changed. 0: only at the start, until Prometheus has reloaded." },
	{ .name = "reloader.retry-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(retry_ms),
	  .def = "5s",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "Controls how often the reloader retries a reload that failed." },
	{ .name = "reloader.method",
	  .type = OPT_ENUM,
	  .off = AT(method),
	  .def = "http",
	  .choices = "http|signal",
	  .help = "Method used to reload the configuration." },
	{ .name = "reloader.process-name",
	  .type = OPT_STRING,
	  .off = AT(process),
	  .def = "prometheus",
	  .help = "Executable name used to match the process being reloaded when using the signal method." },
	{ 0 }
};

int sidecar_reload_open(struct sidecar_reload *s, struct runtime *rt,
			const struct reload_flags *f, struct http_client *http,
			struct str url, struct err *e)
{
	bool by_signal = str_eqz(f->method, "signal");
	if (f->output_file.n && f->config_file.n == 0)
		return err_set(
			NULL, e, E_INVALID,
			"flag '--reloader.config-envsubst-file' needs --reloader.config-file");
	if (f->output_file.n && str_eq(f->output_file, f->config_file))
		return err_set(
			NULL, e, E_INVALID,
			"flag '--reloader.config-envsubst-file': it is the file of --reloader.config-file");
	if (by_signal && f->process.n == 0)
		return err_set(NULL, e, E_INVALID,
			       "flag '--reloader.process-name': want a name");
	for (size_t i = 0; i < f->rule_dirs.n; i++)
		if (f->rule_dirs.v[i].n == 0)
			return err_set(NULL, e, E_INVALID,
				       "flag '--reloader.rule-dir': want a folder");
	struct reloader_opts o = {
		.config_file =
			f->config_file.n ? str_dupz(&rt->arena, f->config_file) : NULL,
		.output_file =
			f->output_file.n ? str_dupz(&rt->arena, f->output_file) : NULL,
		.rule_dirs = f->rule_dirs.v,
		.n_rule_dirs = f->rule_dirs.n,
		.watch_ns = (uint64_t)f->watch_ms * NS_PER_MS,
		.retry_ns = (uint64_t)f->retry_ms * NS_PER_MS,
		.http = http,
		.url = url,
		.process = by_signal ? str_dupz(&rt->arena, f->process) : NULL,
		.metrics = rt->metrics,
	};
	s->rt = rt;
	s->reloader = reloader_new(&o);
	return 0;
}

static void step(void *arg)
{
	struct sidecar_reload *s = arg;
	struct ctx ctx;
	runtime_ctx(s->rt, &ctx, 0);
	reloader_step(s->reloader, &ctx);
	ctx_deinit(&ctx);
}

void sidecar_reload_start(struct sidecar_reload *s)
{
	if (!reloader_done(s->reloader))
		s->timer = task_timer_start(s->rt->pool, 0, LOOK_NS, step, s);
}

void sidecar_reload_close(struct sidecar_reload *s)
{
	task_timer_stop(s->timer);
	reloader_free(s->reloader);
}
