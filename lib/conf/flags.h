/*
 * conf/flags.h - command line flags as rows: parsing, --help, defaults and
 * /api/v1/status/flags derive from one table; man page and completion read it, too
 * (conf_flags_walk).
 *
 *   struct q_opts { int64_t timeout_ms; struct conf_strs endpoints; bool partial; };
 *   static const struct opt rows[] = {
 *     { "query.timeout", OPT_DURATION_MS, offsetof(struct q_opts, timeout_ms), "2m", ...
 *     },
 *     { 0 } };
 *
 * Spelling as kingpin's: --name=value, --name value, --bool, --no-bool; repeated flags
 * add up; also @file is not expanded. Unknown flags are errors that suggest the nearest
 * name. OPT_TEXT rows named X accept --X (content) and --X-file (path), with $(ENV)
 * substituted in both.
 *
 * Thread  start of the process.  Memory  strings live in the arena given to conf_parse.
 */
#ifndef CONF_FLAGS_H
#define CONF_FLAGS_H

#include "base/arena.h"
#include "base/buf.h"

enum opt_type {
	OPT_STRING,  /* struct str */
	OPT_STRINGS, /* struct conf_strs; repeatable */
	OPT_BOOL,    /* bool; --x and --no-x */
	OPT_INT,     /* int64_t, min..max */
	OPT_FLOAT,   /* double */
	/* int64_t ms, min..max; Prometheus durations and Go's ("1m30s", "1.5h", "0ms") */
	OPT_DURATION_MS,
	/* int64_t bytes: "250MB", "2GB", "64KiB", plain digits (Thanos: base 2 for all) */
	OPT_BYTES,
	OPT_ENUM, /* struct str, one of `choices` ("a|b|c") */
	/* int64_t Unix ms: RFC3339 or a duration from now ("-2h", fixed at the start) */
	OPT_TIME,
	OPT_TEXT,    /* struct conf_text: --x content or --x-file path */
	OPT_ADDRESS, /* struct str host:port, checked */
	/* Known to Thanos, not obeyed yet: refused by name unless the value equals `def`
	 * (or any value in `choices`); nothing is stored. */
	OPT_NOT_YET,
	/* Of the Go runtime: any value is accepted, with a warning. */
	OPT_NO_EFFECT,
	/* struct conf_time: as OPT_TIME, but a duration moves on with the clock */
	OPT_TIME_MOVING,
};
enum opt_bits {
	OPTF_HIDDEN = 1, /* not in --help (shown by --help-long / --help-man) */
	OPTF_SECRET = 2, /* masked in /status/flags and logs */
	OPTF_REQUIRED = 4,
	OPTF_DEPRECATED = 8, /* accepted, with a warning */
	OPTF_SWITCH = 16, /* NOT_YET and NO_EFFECT rows that take no value (booleans) */
};
struct opt {
	const char *name;
	enum opt_type type;
	size_t off;	  /* into the options struct */
	const char *def;  /* as text; NULL: none (empty, 0); STRINGS: by commas */
	int64_t min, max; /* of numbers; both 0: unchecked */
	const char *
		help; /* sentences; TEXT: a noun ("YAML file that ...") after "Path to" */
	const char *choices; /* ENUM, NOT_YET: "a|b" */
	unsigned bits;
	char short_name;	 /* 0: none */
	const char *placeholder; /* in --help: "<path>"; NULL: by type */
};
/* What --min-time=-6w means changes all the time: ask conf_time_ms when it matters. */
struct conf_time {
	int64_t ms; /* Unix time, or distance from now */
	bool from_now;
};
static inline int64_t conf_time_ms(struct conf_time t, int64_t now_ms)
{
	return t.from_now ? now_ms + t.ms : t.ms;
}
struct conf_strs {
	struct str *v;
	size_t n;
};
struct conf_text {
	struct str content; /* n == 0: not given */
	struct str
		path; /* the file it came from, for errors and reload; empty if inline */
};

struct conf_cmd {
	const char *name;  /* "query" */
	const char *brief; /* one line */
	const struct opt *const
		*tables; /* NULL-ended list of row tables, {0}-ended each */
	const char *
		args; /* what arguments that are no flags mean: "DIR..."; NULL: there are none */
};

/* What was set, for /api/v1/status/flags and logs. */
struct conf_flag_value {
	struct str name, value; /* secrets masked "<REDACTED>" */
	bool set;		/* given by the user */
};
struct conf_result {
	bool help, version; /* asked for: print and exit 0; nothing else is set */
	bool help_all;	    /* with hidden flags (--help-long) */
	bool help_man;	    /* the options of the manual page (--help-man) */
	struct conf_flag_value *flags; /* sorted by name */
	size_t n_flags;
	struct str *args; /* arguments that are no flags, in their order */
	size_t n_args;
	struct str *warnings; /* deprecated and no-effect flags given: to be logged */
	size_t n_warnings;
};

/*
 * Parse argv[0..argc) (without program and subcommand) into *opts (zeroed here, size
 * bytes). Errors name the flag as the user typed it: E_INVALID. A file that cannot be
 * read keeps its code. `out` is zeroed first; it has no warnings when this fails.
 * Thread  WORKER (reads the files of OPT_TEXT flags).
 */
MUST_CHECK int conf_parse(struct ctx *ctx, struct arena *a, const struct conf_cmd *cmd,
			  int argc, char *const *argv, void *opts, size_t size,
			  struct conf_result *out, struct err *e);
void conf_help(const struct conf_cmd *cmd, bool hidden_too, struct buf *out);
/* Section OPTIONS of the command's manual page, in the macros of man(7). */
void conf_man(const struct conf_cmd *cmd, struct buf *out);
void conf_flags_man(const struct conf_cmd *cmd,
		    struct buf *out); /* without the section's heading */
/* A script that completes modes and flags for "bash", "zsh" or "fish"; false: another shell. */
bool conf_completion(const char *shell, const struct conf_cmd *const *cmds, size_t n,
		     struct buf *out);
/* "[no-]name" forms aside: "--name=<placeholder>", and what --help says about it. For help and manual. */
void conf_flag_text(const struct opt *o, bool file, struct buf *out);
void conf_flag_help(const struct opt *o, bool file, struct buf *out);
/* Every row of the command in the order of its tables (an OPT_TEXT row once). */
void conf_flags_walk(const struct conf_cmd *cmd,
		     void (*fn)(const struct opt *o, void *arg), void *arg);
/* "<path>", "2m", "\"0.0.0.0:80\"", "NAME": what --help shows behind `--name=`; empty for
 * switches. */
void conf_placeholder(const struct opt *o, struct buf *out);
/* Nearest of names (Damerau-Levenshtein, at most a third of its letters wrong), or NULL. */
const char *conf_nearest(struct str name, const char *const *names, size_t n);
/* $(NAME) -> environment; an unset NAME is an error that names it. */
MUST_CHECK int conf_env_expand(struct ctx *ctx, struct arena *a, struct str in,
			       struct str *out, struct err *e);

#endif
