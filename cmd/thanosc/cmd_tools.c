/*
 * cmd/thanosc/cmd_tools.c - thanosc tools GROUP TOOL: the table of tools, and what each finds ready.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "tools.h"

static const struct tool_row *tool_at(size_t i)
{
	if (i < n_tools_block)
		return &tools_block[i];
	i -= n_tools_block;
	return i < n_tools_bucket ? &tools_bucket[i] : NULL;
}

static const struct opt *const tools_tables[] = { tools_inspect_rows, tools_dump_rows,
						  tools_take_rows, tools_restore_rows,
						  NULL };
const struct conf_cmd tools_cmd = { "tools", "Looks at blocks and buckets.", tools_tables,
				    "GROUP TOOL" };

int tool_bucket(struct tool_env *t, const struct conf_text *conf, const char *flag,
		struct bucket **out, struct err *e)
{
	*out = NULL;
	if (!conf->content.n)
		return 0;
	return bucket_from_yaml(&t->ctx, conf->content, flag, loops_next(&t->loops),
				t->metrics, out, e);
}

static void on_signal(void *arg, int signo)
{
	struct tool_env *t = arg;
	(void)signo;
	cancel_now(t->ctx.cancel, "interrupted");
}

static int run_tool(const struct tool_row *row, struct tool_env *t, struct err *e)
{
	int rc = -1;
	signal(SIGPIPE, SIG_IGN);
	t->metrics = metric_registry_new();
	t->pool = task_pool_new(&(struct task_pool_opts){ 0 });
	ctx_init(&t->ctx, NULL, 0);
	if (loops_start(1, &t->loops, e) == 0) {
		if (loop_on_signal(t->loops.l[0], SIGINT, on_signal, t, e) == 0 &&
		    loop_on_signal(t->loops.l[0], SIGTERM, on_signal, t, e) == 0)
			rc = row->run(t, e);
		loops_stop(&t->loops);
	}
	task_pool_free(t->pool);
	ctx_deinit(&t->ctx);
	metric_registry_free(t->metrics);
	return rc;
}

static int start_tool(const struct tool_row *row, int argc, char **argv)
{
	struct tool_env t = { 0 };
	struct err e = ERR_INIT;
	arena_init(&t.arena, NULL);
	t.opts = arena_zalloc(&t.arena, row->size);
	int rc = conf_parse(NULL, &t.arena, row->cmd, argc, argv, t.opts, row->size,
			    &t.flags, &e);
	if (rc == 0 && (t.flags.help || t.flags.version)) {
		struct buf b;
		buf_init(&b, 1 << 22);
		if (t.flags.help)
			conf_help(row->cmd, t.flags.help_all, &b);
		else
			buf_fmt(&b, "thanosc, version %s (commit %s)\n", version_text,
				version_commit);
		fwrite(b.p, 1, b.n, stdout);
		buf_deinit(&b);
	} else if (rc == 0) {
		log_setup(LOG_WARN, LOG_LOGFMT, STDERR_FILENO);
		rc = run_tool(row, &t, &e);
	}
	if (rc < 0)
		fprintf(stderr, "thanosc %s: error: %s\n", row->cmd->name, err_text(&e));
	if (fflush(stdout) != 0 && rc == 0)
		rc = 1;
	arena_deinit(&t.arena);
	return rc < 0 ? 1 : rc;
}

/* Options of all tools, for the manual page. */
static void print_manual(void)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	const struct tool_row *t;
	for (size_t i = 0; (t = tool_at(i)); i++) {
		const struct conf_cmd *c = t->cmd;
		buf_fmt(&b, ".SH \"%s\"\n%s\n.PP\n.B thanosc %s\n.RI [ flags ]\n.I %s\n",
			strchr(c->name, ' ') + 1, c->brief, c->name,
			c->args ? c->args : "");
		conf_flags_man(c, &b);
	}
	fwrite(b.p, 1, b.n, stdout);
	buf_deinit(&b);
}

static void usage(FILE *f)
{
	fprintf(f, "usage: thanosc tools <group> <tool> [<flags>] [<args>]\n\n"
		   "Tools that look at blocks and buckets once and end.\n\nTools:\n");
	const struct tool_row *t;
	for (size_t i = 0; (t = tool_at(i)); i++)
		fprintf(f, "  %-18s  %s\n", strchr(t->cmd->name, ' ') + 1, t->cmd->brief);
	fprintf(f, "\n`thanosc tools <group> <tool> --help` lists a tool's flags.\n");
}

int cmd_tools(int argc, char **argv)
{
	char name[128];
	if (argc > 0 && strcmp(argv[0], "--help-man") == 0) {
		print_manual();
		return 0;
	}
	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
		usage(stdout);
		return 0;
	}
	if (argc >= 2) {
		snprintf(name, sizeof(name), "tools %s %s", argv[0], argv[1]);
		const struct tool_row *t;
		for (size_t i = 0; (t = tool_at(i)); i++)
			if (strcmp(t->cmd->name, name) == 0)
				return start_tool(t, argc - 2, argv + 2);
		fprintf(stderr, "thanosc tools: unknown tool '%s %s'\n\n", argv[0],
			argv[1]);
	}
	usage(stderr);
	return 1;
}
