/*
 * cmd/thanosc/sidecar_reload.h - the flags --reloader.* of the sidecar, and the reloader's life.
 */
#ifndef CMD_THANOSC_SIDECAR_RELOAD_H
#define CMD_THANOSC_SIDECAR_RELOAD_H

#include "reload/reload.h"
#include "runtime.h"

struct reload_flags { /* third member of the sidecar's options */
	struct str config_file, output_file, method, process;
	struct conf_strs rule_dirs;
	int64_t watch_ms, retry_ms;
};
extern const struct opt reload_rows[];

struct sidecar_reload {
	struct runtime *rt;
	struct reloader *reloader;
	struct task_timer *timer;
};
/* Check the flags; nothing is touched before start. */
MUST_CHECK int sidecar_reload_open(struct sidecar_reload *s, struct runtime *rt,
				   const struct reload_flags *f, struct http_client *http,
				   struct str url, struct err *e);
void sidecar_reload_start(struct sidecar_reload *s);
void sidecar_reload_close(struct sidecar_reload *s); /* zeroed: fine */

#endif
