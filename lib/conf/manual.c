/*
 * conf/manual.c - what else derives from the flag tables: options of manual pages, shell completion.
 *
 * Nothing here repeats a table, so nothing can disagree with it. Hidden flags are left out of both.
 */
#include "conf/flags.h"

#include <string.h>

/* ---- man(7) ---- */

/* Text with what troff would take for its own escaped: backslash, dash, and a dot or quote that begins a line. */
static void put_troff(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool begins = i == 0 || s.p[i - 1] == '\n';
		if (begins && (c == '.' || c == '\''))
			buf_str(b, STR("\\&"));
		if (c == '\\')
			buf_str(b, STR("\\e"));
		else if (c == '-')
			buf_str(b, STR("\\-"));
		else
			buf_byte(b, (uint8_t)c);
	}
}

static void man_entry(struct buf *out, const struct opt *o, bool file)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	conf_flag_text(o, file, &b);
	buf_str(out, STR(".TP\n.B "));
	if (o->short_name && !file)
		buf_fmt(out, "\\-%c, ", o->short_name);
	put_troff(out, buf_view(&b));
	buf_byte(out, '\n');
	buf_reset(&b);
	conf_flag_help(o, file, &b);
	put_troff(out, buf_view(&b));
	buf_byte(out, '\n');
	buf_deinit(&b);
}

static void man_row(const struct opt *o, void *arg)
{
	if (o->bits & OPTF_HIDDEN)
		return;
	if (o->type == OPT_TEXT)
		man_entry(arg, o, true);
	man_entry(arg, o, false);
}

void conf_flags_man(const struct conf_cmd *cmd, struct buf *out)
{
	conf_flags_walk(cmd, man_row, out);
}

void conf_man(const struct conf_cmd *cmd, struct buf *out)
{
	buf_str(out, STR(".SH OPTIONS\n"));
	conf_flags_man(cmd, out);
}

/* ---- completion ---- */

struct words {
	struct buf *out;
	const char *mode;
	enum { BASH, ZSH, FISH } shell;
};

/* Within single quotes of zsh and fish descriptions. */
static void put_plain(struct buf *b, const char *text)
{
	for (; text && *text; text++)
		if (*text == '\'' || *text == '[' || *text == ']' || *text == ':' ||
		    *text == '\\')
			buf_byte(b, ' ');
		else
			buf_byte(b, (uint8_t)*text);
}

static bool takes_value(const struct opt *o)
{
	return o->type != OPT_BOOL && !(o->bits & OPTF_SWITCH);
}

static void one_word(const struct words *w, const struct opt *o, const char *before,
		     const char *after)
{
	struct buf *b = w->out;
	const char *eq = takes_value(o) ? "=" : "";
	switch (w->shell) {
	case BASH: buf_fmt(b, " --%s%s%s%s", before, o->name, after, eq); return;
	case ZSH:
		buf_fmt(b, "\t\t'--%s%s%s%s[", before, o->name, after, eq);
		put_plain(b, o->help);
		buf_fmt(b, "]%s'\n", *eq ? ":value:_files" : "");
		return;
	case FISH:
	default:
		buf_fmt(b,
			"complete -c thanosc -n '__fish_seen_subcommand_from %s' -l '%s%s%s'%s -d '",
			w->mode, before, o->name, after, *eq ? " -r" : "");
		put_plain(b, o->help);
		buf_str(b, STR("'\n"));
		return;
	}
}

static void words_row(const struct opt *o, void *arg)
{
	const struct words *w = arg;
	if (o->bits & OPTF_HIDDEN)
		return;
	one_word(w, o, "", "");
	if (o->type == OPT_TEXT)
		one_word(w, o, "", "-file");
	if (!takes_value(o))
		one_word(w, o, "no-", "");
}

static void bash_script(const struct conf_cmd *const *cmds, size_t n, struct buf *b)
{
	struct words w = { .out = b, .shell = BASH };
	buf_str(b,
		STR("_thanosc()\n{\n"
		    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} mode=${COMP_WORDS[1]} words\n"
		    "\tcase $mode in\n"));
	for (size_t i = 0; i < n; i++) {
		buf_fmt(b, "\t%s) words='--help --version", cmds[i]->name);
		conf_flags_walk(cmds[i], words_row, &w);
		buf_str(b, STR("' ;;\n"));
	}
	buf_str(b, STR("\t*) words='--help --version"));
	for (size_t i = 0; i < n; i++)
		buf_fmt(b, " %s", cmds[i]->name);
	buf_str(b,
		STR("' ;;\n\tesac\n"
		    "\t[ \"$COMP_CWORD\" -gt 1 ] && [[ $cur != -* ]] && COMPREPLY=($(compgen -f -- \"$cur\")) && return\n"
		    "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		    "\t[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
		    "\treturn 0\n}\ncomplete -F _thanosc thanosc\n"));
}

static void zsh_script(const struct conf_cmd *const *cmds, size_t n, struct buf *b)
{
	struct words w = { .out = b, .shell = ZSH };
	buf_str(b,
		STR("#compdef thanosc\n_thanosc() {\n\tlocal -a modes flags\n\tmodes=("));
	for (size_t i = 0; i < n; i++) {
		buf_fmt(b, "'%s:", cmds[i]->name);
		put_plain(b, cmds[i]->brief);
		buf_str(b, STR("' "));
	}
	buf_str(b,
		STR(")\n\tif (( CURRENT == 2 )); then _describe mode modes; return; fi\n"
		    "\tcase $words[2] in\n"));
	for (size_t i = 0; i < n; i++) {
		buf_fmt(b, "\t%s) flags=(\n", cmds[i]->name);
		conf_flags_walk(cmds[i], words_row, &w);
		buf_str(b, STR("\t\t) ;;\n"));
	}
	buf_str(b, STR("\tesac\n\tshift words; (( CURRENT-- ))\n\t_arguments $flags\n}\n"
		       "compdef _thanosc thanosc\n"));
}

static void fish_script(const struct conf_cmd *const *cmds, size_t n, struct buf *b)
{
	for (size_t i = 0; i < n; i++) {
		struct words w = { .out = b, .mode = cmds[i]->name, .shell = FISH };
		buf_fmt(b, "complete -c thanosc -n __fish_use_subcommand -f -a %s -d '",
			cmds[i]->name);
		put_plain(b, cmds[i]->brief);
		buf_str(b, STR("'\n"));
		conf_flags_walk(cmds[i], words_row, &w);
	}
}

bool conf_completion(const char *shell, const struct conf_cmd *const *cmds, size_t n,
		     struct buf *out)
{
	if (strcmp(shell, "bash") == 0)
		bash_script(cmds, n, out);
	else if (strcmp(shell, "zsh") == 0)
		zsh_script(cmds, n, out);
	else if (strcmp(shell, "fish") == 0)
		fish_script(cmds, n, out);
	else
		return false;
	return true;
}
