/*
 * cmd/thanosc/main.c - the table of modes.
 */
#include <stdio.h>
#include <string.h>

#include "runtime.h"

static const struct {
	const char *name, *brief;
	int (*run)(int argc, char **argv);
} modes[] = {
	{ "sidecar", "Sidecar for Prometheus server.", cmd_sidecar },
	{ "store", "Store node giving access to blocks in a bucket provider.",
	  cmd_store },
	{ "query", "Query node exposing PromQL enabled Query API with data from stores.",
	  cmd_query },
};

static void usage(FILE *f)
{
	fprintf(f,
		"usage: thanosc <mode> [<flags>]\n\nHighly available Prometheus with long term "
		"storage, in one static binary.\n\nModes:\n");
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		fprintf(f, "  %-8s  %s\n", modes[i].name, modes[i].brief);
	fprintf(f,
		"\n`thanosc <mode> --help` lists a mode's flags; `thanosc --version` tells the "
		"version.\n");
}

int main(int argc, char **argv)
{
	const char *names[ARRAY_LEN(modes)];
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("thanosc, version %s (commit %s)\n", version_text, version_commit);
		return 0;
	}
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
			 strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		names[i] = modes[i].name;
		if (argc > 1 && strcmp(argv[1], modes[i].name) == 0)
			return modes[i].run(argc - 2, argv + 2);
	}
	if (argc < 2) {
		usage(stderr);
		return 1;
	}
	const char *near = conf_nearest(str_of(argv[1]), names, ARRAY_LEN(names));
	fprintf(stderr, "thanosc: unknown mode '%s'%s%s%s\n", argv[1],
		near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return 1;
}
