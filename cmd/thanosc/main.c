/*
 * cmd/thanosc/main.c - the table of modes.
 */
#include <stdio.h>
#include <string.h>

#include "tools.h"

/*
 * jemalloc reads this. What a query has given back is to be there for the next one, on whatever thread, and goes back to the
 * system soon: limits of memory are worth nothing if freed pages add up beside them. So every thread that frees also looks after what was
 * freed before, and for when none does runtime.c has a timer. (With a thread of jemalloc's own the others leave it to that one,
 * and a flood of queries held half as much again.) For the same reason two processors share an arena, what one gave back is taken by
 * the other, and a thread's own cache is for small things: hot paths take from arenas of ours, and what they give back is large.
 */
extern const char *malloc_conf;
const char *malloc_conf =
	"percpu_arena:phycpu,tcache_max:4096,tcache_nslots_small_max:20,"
	"dirty_decay_ms:100,muzzy_decay_ms:0";

static const struct {
	const struct conf_cmd *cmd;
	int (*run)(int argc, char **argv);
} modes[] = {
	{ &sidecar_cmd, cmd_sidecar },
	{ &store_cmd, cmd_store },
	{ &query_cmd, cmd_query },
	{ &compact_cmd, cmd_compact },
};

static void usage(FILE *f)
{
	fprintf(f,
		"usage: thanosc <mode> [<flags>]\n\nHighly available Prometheus with long term "
		"storage, in one static binary.\n\nModes:\n");
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		fprintf(f, "  %-8s  %s\n", modes[i].cmd->name, modes[i].cmd->brief);
	fprintf(f,
		"  doctor    Tries what configuration files say.\n"
		"  tools     Looks at blocks and buckets.\n"
		"\n`thanosc <mode> --help` lists a mode's flags; `thanosc --version` tells the "
		"version;\n`thanosc --completion-script-bash` (-zsh, -fish) prints a script for the "
		"shell.\n");
}

static bool is_any(const char *arg, const char *a, const char *b, const char *c)
{
	return strcmp(arg, a) == 0 || strcmp(arg, b) == 0 || strcmp(arg, c) == 0;
}

/* --completion-script-SHELL: 0 printed, 1 no such shell. */
static int completion(const char *shell)
{
	const struct conf_cmd *cmds[ARRAY_LEN(modes) + 1];
	struct buf b;
	buf_init(&b, 4 << 20);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		cmds[i] = modes[i].cmd;
	cmds[ARRAY_LEN(modes)] = &tools_cmd;
	bool known = conf_completion(shell, cmds, ARRAY_LEN(cmds), &b);
	if (known)
		fwrite(b.p, 1, b.n, stdout);
	else
		fprintf(stderr,
			"thanosc: no completion for '%s': there are bash, zsh and fish\n",
			shell);
	buf_deinit(&b);
	return !known;
}

int main(int argc, char **argv)
{
	static const char script[] = "--completion-script-";
	const char *names[ARRAY_LEN(modes)];
	if (argc < 2) {
		usage(stderr);
		return 1;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("thanosc, version %s (commit %s)\n", version_text, version_commit);
		return 0;
	}
	if (is_any(argv[1], "--help", "help", "-h")) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "doctor") == 0)
		return cmd_doctor(argc - 2, argv + 2);
	if (strcmp(argv[1], "tools") == 0)
		return cmd_tools(argc - 2, argv + 2);
	if (strncmp(argv[1], script, sizeof(script) - 1) == 0)
		return completion(argv[1] + sizeof(script) - 1);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		names[i] = modes[i].cmd->name;
		if (strcmp(argv[1], names[i]) == 0)
			return modes[i].run(argc - 2, argv + 2);
	}
	const char *near = conf_nearest(str_of(argv[1]), names, ARRAY_LEN(names));
	fprintf(stderr, "thanosc: unknown mode '%s'%s%s%s\n", argv[1],
		near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return 1;
}
