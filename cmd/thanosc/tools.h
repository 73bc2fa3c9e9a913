/*
 * cmd/thanosc/tools.h - thanosc tools: programs that look at blocks and buckets once and end.
 */
#ifndef CMD_THANOSC_TOOLS_H
#define CMD_THANOSC_TOOLS_H

#include "objstore/bucket.h"
#include "runtime.h"

struct tool_env { /* what a tool has */
	struct arena arena;
	struct conf_result flags;
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct ctx ctx; /* ended by SIGINT and SIGTERM */
	void *opts;	/* filled by the tool's rows */
};
struct tool_row {
	const struct conf_cmd *cmd;		       /* "tools block verify" */
	size_t size;				       /* of its options */
	int (*run)(struct tool_env *t, struct err *e); /* the exit code, or -1 and e */
};
/* What --objstore.config says; NULL in *out where nothing is given. */
MUST_CHECK int tool_bucket(struct tool_env *t, const struct conf_text *conf,
			   const char *flag, struct bucket **out, struct err *e);

extern const struct tool_row tools_block[];
extern const size_t n_tools_block;
extern const struct tool_row tools_bucket[];
extern const size_t n_tools_bucket;

/* All flags of all tools, for completion. */
extern const struct conf_cmd tools_cmd;
extern const struct conf_cmd tools_take_cmd; /* tools bucket snapshot */
extern const struct opt tools_inspect_rows[], tools_dump_rows[], tools_take_rows[],
	tools_restore_rows[];
int cmd_tools(int argc, char **argv);

#endif
