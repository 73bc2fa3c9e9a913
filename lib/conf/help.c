/*
 * conf/help.c - --help, laid out as kingpin does, so that what people know by sight (and
 * scripts that read it) stays the same:
 *
 *   usage: thanosc query --id=ID [<flags>]
 *
 *   Query node ...
 *
 *   Flags:
 *     -h, --[no-]help                Show context-sensitive help ...
 *         --http-grace-period=2m     Time to wait ...
 *         --objstore.config-file=<file-path>
 *                                    Path to YAML file ...
 *
 * The left column is as wide as its longest entry below 30 characters; longer entries
 * have a line of their own. Lines end before column 80 unless one word is longer.
 */
#include "conf/flags.h"

#include <ctype.h>

#define WIDTH	    80
#define LEFT_MAX    30
#define FLAG_INDENT 2
#define GAP	    2
#define PROGRAM	    "thanosc"

struct layout {
	struct buf *out, left;
	size_t column; /* where the right column begins */
	bool hidden_too;
	bool measure; /* only find the width of the left column */
};

/* ---- text ---- */

static void blanks(struct buf *b, size_t n)
{
	while (n--)
		buf_byte(b, ' ');
}

/* Words of `s` from column `at`, in lines that begin at `indent`. Ends with a line end. */
static void wrap(struct buf *b, struct str s, size_t at, size_t indent)
{
	bool first = true;

	while (s.n) {
		struct str word;
		bool more = str_cut(&s, ' ', &word);
		if (word.n && !first && at + 1 + word.n > WIDTH) {
			buf_byte(b, '\n');
			blanks(b, indent);
			at = indent;
		} else if (word.n && !first) {
			buf_byte(b, ' ');
			at++;
		}
		buf_str(b, word);
		at += word.n;
		first = first && word.n == 0;
		if (!more)
			break;
	}
	buf_byte(b, '\n');
}

/* ---- left column ---- */

static void put_upper(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_byte(b, (uint8_t)toupper((unsigned char)*s));
}

static bool is_switch(const struct opt *o)
{
	return o->type == OPT_BOOL || (o->bits & OPTF_SWITCH);
}

void conf_placeholder(const struct opt *o, struct buf *out)
{
	if (is_switch(o))
		return;
	if (o->placeholder) {
		buf_str(out, str_of(o->placeholder));
	} else if (o->type == OPT_TEXT) {
		buf_str(out, STR("<content>"));
	} else if (!o->def) {
		put_upper(out, o->name);
	} else if (o->type == OPT_STRING || o->type == OPT_ADDRESS) {
		buf_fmt(out, "\"%s\"", o->def);
	} else if (o->type == OPT_STRINGS) {
		struct str rest = str_of(o->def), one;
		bool more = str_cut(&rest, ',', &one);
		buf_str(out, one);
		buf_str(out, more ? STR("...") : STR(""));
	} else {
		buf_str(out, str_of(o->def));
	}
	if (o->type == OPT_STRINGS)
		buf_str(out, STR(" ..."));
}

void conf_flag_text(const struct opt *o, bool file, struct buf *b)
{
	if (is_switch(o)) {
		buf_fmt(b, "--[no-]%s", o->name);
	} else if (file) {
		buf_fmt(b, "--%s-file=<file-path>", o->name);
	} else {
		buf_fmt(b, "--%s=", o->name);
		conf_placeholder(o, b);
	}
}

/* ---- entries ---- */

void conf_flag_help(const struct opt *o, bool file, struct buf *b)
{
	if (file)
		buf_fmt(b, "Path to %s", o->help ? o->help : "a file.");
	else if (o->type == OPT_TEXT)
		buf_fmt(b,
			"Alternative to '%s-file' flag (mutually exclusive). Content of %s",
			o->name, o->help ? o->help : "that file.");
	else if (o->help)
		buf_str(b, str_of(o->help));
	if (o->type == OPT_NOT_YET)
		buf_str(b,
			STR(" (Not obeyed yet: any value but the default is refused.)"));
	if (o->type == OPT_NO_EFFECT)
		buf_str(b, STR(" (Accepted without effect.)"));
}

static void entry(struct layout *l, const struct opt *o, bool file)
{
	struct buf text;

	buf_reset(&l->left);
	if (o->short_name && !file)
		buf_fmt(&l->left, "-%c, ", o->short_name);
	else
		buf_str(&l->left, STR("    "));
	conf_flag_text(o, file, &l->left);
	if (l->measure) {
		size_t n = l->left.n;
		if (n < LEFT_MAX && n + FLAG_INDENT + GAP > l->column)
			l->column = n + FLAG_INDENT + GAP;
		return;
	}
	buf_init(&text, 1 << 16);
	conf_flag_help(o, file, &text);
	blanks(l->out, FLAG_INDENT);
	buf_str(l->out, buf_view(&l->left));
	if (text.n == 0) {
		buf_byte(l->out, '\n');
	} else if (l->left.n < LEFT_MAX) {
		blanks(l->out, l->column - FLAG_INDENT - l->left.n);
		wrap(l->out, buf_view(&text), l->column, l->column);
	} else {
		buf_byte(l->out, '\n');
		blanks(l->out, l->column);
		wrap(l->out, buf_view(&text), l->column, l->column);
	}
	buf_deinit(&text);
}

static void row(const struct opt *o, void *arg)
{
	struct layout *l = arg;

	if ((o->bits & OPTF_HIDDEN) && !l->hidden_too)
		return;
	if (o->type == OPT_TEXT)
		entry(l, o, true);
	entry(l, o, false);
}

static const struct opt own_rows[] = {
	{ .name = "help",
	  .type = OPT_BOOL,
	  .short_name = 'h',
	  .help = "Show context-sensitive help (also try --help-long and --help-man)." },
	{ .name = "version", .type = OPT_BOOL, .help = "Show application version." },
};

static void usage_row(const struct opt *o, void *arg)
{
	struct buf *b = arg;

	if (!(o->bits & OPTF_REQUIRED) || o->type == OPT_TEXT)
		return;
	buf_byte(b, ' ');
	conf_flag_text(o, false, b);
}

static void put_usage(const struct conf_cmd *cmd, struct buf *out)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_fmt(&b, "usage: " PROGRAM " %s", cmd->name);
	conf_flags_walk(cmd, usage_row, &b);
	buf_str(&b, STR(" [<flags>]"));
	if (cmd->args)
		buf_fmt(&b, " %s", cmd->args);
	wrap(out, buf_view(&b), 0, 4);
	buf_deinit(&b);
}

void conf_help(const struct conf_cmd *cmd, bool hidden_too, struct buf *out)
{
	struct layout l = { .out = out, .hidden_too = hidden_too };

	put_usage(cmd, out);
	buf_byte(out, '\n');
	wrap(out, str_of(cmd->brief), 0, 0);
	buf_str(out, STR("\n\nFlags:\n"));
	buf_init(&l.left, 1 << 16);
	for (int pass = 0; pass < 2; pass++) {
		l.measure = pass == 0;
		for (size_t i = 0; i < ARRAY_LEN(own_rows); i++)
			row(&own_rows[i], &l);
		conf_flags_walk(cmd, row, &l);
	}
	buf_deinit(&l.left);
}
