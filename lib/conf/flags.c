/*
 * conf/flags.c - the command line, as kingpin (the library that Thanos uses) reads it.
 *
 *   --name=value  --name value  --switch  --no-switch  -h  -nvalue  -n value  --
 *
 * A value in the next argument must not begin with '-': "--min-time=-2h" needs its '='. A
 * flag that does not add up may be given once. Other arguments are taken where the command has them. Beyond
 * kingpin, --switch=true and --switch=false are taken. Help and version win over every
 * mistake.
 *
 * Each row becomes a slot, an OPT_TEXT row two (X-file, X); slots are found by name in a
 * map. Defaults go first through the same functions as the user's values, so a bad
 * default is found by any test.
 */
#include "conf/flags.h"

#include <stdlib.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "conf/values.h"
#include "fs/fs.h"

#define TEXT_SHOWN 100

struct slot {
	const struct opt *o;
	struct str name;
	bool file; /* the X-file half of an OPT_TEXT row */
	bool set;
	struct str value; /* as typed; STRINGS: all, joined by commas */
};

struct parse {
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	char *opts;
	struct slot *slot;
	size_t n;
	struct map by_name;
	struct conf_result *out;
	bool takes_args;
	int argc, at;
	char *const *argv;
};

static bool is_switch(const struct opt *o)
{
	return o->type == OPT_BOOL || (o->bits & OPTF_SWITCH);
}

/* ---- slots ---- */

void conf_flags_walk(const struct conf_cmd *cmd,
		     void (*fn)(const struct opt *o, void *arg), void *arg)
{
	for (const struct opt *const *t = cmd->tables; *t; t++)
		for (const struct opt *o = *t; o->name; o++)
			fn(o, arg);
}

static void add_slot(struct parse *p, const struct opt *o, bool file)
{
	struct slot *s = &p->slot[p->n++];

	s->o = o;
	s->file = file;
	s->name = file ? str_fmt(p->a, "%s-file", o->name) : str_of(o->name);
	BUG_ON(map_set(&p->by_name, s->name, s)); /* two rows of one name */
}

static void count_row(const struct opt *o, void *arg)
{
	*(size_t *)arg += o->type == OPT_TEXT ? 2 : 1;
}

static void add_row(const struct opt *o, void *arg)
{
	if (o->type == OPT_TEXT)
		add_slot(arg, o, true);
	add_slot(arg, o, false);
}

static void make_slots(struct parse *p, const struct conf_cmd *cmd)
{
	size_t n = 0;

	conf_flags_walk(cmd, count_row, &n);
	p->slot = ARENA_ARRAY(p->a, struct slot, n);
	conf_flags_walk(cmd, add_row, p);
}

/* A switch is found under "no-<name>", too. */
static struct slot *find_slot(struct parse *p, struct str name, bool *negated)
{
	struct slot *s = map_get(&p->by_name, name);

	*negated = false;
	if (s || !str_has_prefix(name, STR("no-")))
		return s;
	s = map_get(&p->by_name, str_from(name, 3));
	if (!s || !is_switch(s->o))
		return NULL;
	*negated = true;
	return s;
}

/* ---- values ---- */

static void append_str(struct parse *p, struct conf_strs *l, struct str s)
{
	struct str *v = ARENA_ARRAY(p->a, struct str, l->n + 1);

	/* Copied each time: flags are few, and the arena cannot grow a block. */
	if (l->n)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n++] = str_dup(p->a, s);
	l->v = v;
}

static int refuse_unless_default(struct parse *p, const struct opt *o, struct str v)
{
	const char *def = o->def ? o->def : (o->bits & OPTF_SWITCH) ? "false" : NULL;

	if ((def && str_eqz(v, def)) || conf_is_choice(o->choices, v))
		return 0;
	if (!def)
		return err_set(
			p->ctx, p->e, E_INVALID,
			"flag '--%s' is known to Thanos but not obeyed by thanosc yet; "
			"leave it out",
			o->name);
	return err_set(p->ctx, p->e, E_INVALID,
		       "flag '--%s' is known to Thanos but not obeyed by thanosc yet; "
		       "leave it out or at its default '%s'",
		       o->name, def);
}

static int set_field(struct parse *p, const struct slot *s, struct str v)
{
	const struct opt *o = s->o;
	void *field = p->opts + o->off;
	struct conf_spec spec = { o->type, o->min, o->max, o->choices };
	struct conf_text *t;

	switch (o->type) {
	case OPT_STRINGS: append_str(p, field, v); return 0;
	case OPT_TEXT:
		t = field;
		*(s->file ? &t->path : &t->content) = str_dup(p->a, v);
		return 0;
	case OPT_NOT_YET: return refuse_unless_default(p, o, v);
	case OPT_NO_EFFECT: return 0;
	case OPT_STRING:
	case OPT_BOOL:
	case OPT_INT:
	case OPT_FLOAT:
	case OPT_DURATION_MS:
	case OPT_BYTES:
	case OPT_ENUM:
	case OPT_TIME:
	case OPT_TIME_MOVING:
	case OPT_ADDRESS:
	default:
		if (conf_value_parse(p->ctx, p->a, &spec, v, field, p->e) < 0)
			return err_wrap(p->ctx, p->e, "flag '--%.*s'", STR_FMT(s->name));
		return 0;
	}
}

static void set_defaults(struct parse *p, size_t size)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct slot *s = &p->slot[i];
		struct str rest = str_of(s->o->def), one;
		bool more = s->o->def && s->o->def[0];
		BUG_ON(s->o->off + conf_value_size(s->o->type) > size);
		if (!s->o->def || s->file || s->o->type == OPT_NOT_YET)
			continue;
		if (s->o->type != OPT_STRINGS) {
			int rc = set_field(p, s, rest);
			BUG_ON(rc < 0);
			continue;
		}
		while (more) {
			more = str_cut(&rest, ',', &one);
			append_str(p, (struct conf_strs *)(void *)(p->opts + s->o->off),
				   one);
		}
	}
}

static void warn(struct parse *p, const struct slot *s, const char *what)
{
	struct conf_result *r = p->out;

	/* r->warnings has room for one of each slot. */
	r->warnings[r->n_warnings++] =
		str_fmt(p->a, "flag '--%.*s' %s", STR_FMT(s->name), what);
}

static int set_slot(struct parse *p, struct slot *s, struct str v)
{
	enum opt_type type = s->o->type;
	bool again = s->set, adds_up = type == OPT_STRINGS || type == OPT_NOT_YET ||
				       type == OPT_NO_EFFECT;

	if (again && !adds_up)
		return err_set(p->ctx, p->e, E_INVALID,
			       "flag '--%.*s' cannot be repeated", STR_FMT(s->name));
	if (!again && type == OPT_STRINGS) /* the user's values replace the default */
		memset(p->opts + s->o->off, 0, sizeof(struct conf_strs));
	if (set_field(p, s, v) < 0)
		return -1;
	s->set = true;
	s->value = again && type == OPT_STRINGS
			   ? str_fmt(p->a, "%.*s,%.*s", STR_FMT(s->value), STR_FMT(v))
			   : str_dup(p->a, v);
	if (!again && type == OPT_NO_EFFECT)
		warn(p, s, "has no effect in thanosc");
	if (!again && (s->o->bits & OPTF_DEPRECATED))
		warn(p, s, "is deprecated");
	return 0;
}

/* ---- arguments ---- */

static int unknown(struct parse *p, struct str name)
{
	const char **names = ARENA_ARRAY(p->a, const char *, 2 * p->n + 2);
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct slot *s = &p->slot[i];
		if (s->o->bits & OPTF_HIDDEN)
			continue;
		names[n++] = str_dupz(p->a, s->name);
		if (is_switch(s->o))
			names[n++] = str_fmt(p->a, "no-%.*s", STR_FMT(s->name)).p;
	}
	names[n++] = "help";
	names[n++] = "version";
	const char *near = conf_nearest(name, names, n);
	return err_set(p->ctx, p->e, E_INVALID, "unknown long flag '--%.*s'%s%s%s",
		       (int)MIN(name.n, (size_t)TEXT_SHOWN), name.p,
		       near ? ", did you mean '--" : "", near ? near : "",
		       near ? "'?" : "");
}

/* The value in the argument after this one. */
static int next_value(struct parse *p, const char *dashes, struct str name, struct str *v)
{
	const char *next = p->at + 1 < p->argc ? p->argv[p->at + 1] : NULL;

	if (!next || (next[0] == '-' && next[1]))
		return err_set(p->ctx, p->e, E_INVALID,
			       "expected argument for flag '%s%.*s'", dashes,
			       STR_FMT(name));
	p->at++;
	*v = str_of(next);
	return 0;
}

static int long_flag(struct parse *p, struct str arg)
{
	struct str name, v = arg;
	bool has_value = str_cut(&v, '=', &name), negated;
	struct slot *s = find_slot(p, name, &negated);

	if (!s)
		return unknown(p, name);
	if (is_switch(s->o)) {
		if (has_value &&
		    (negated || (!str_eqz(v, "true") && !str_eqz(v, "false"))))
			return err_set(p->ctx, p->e, E_INVALID,
				       "flag '--%.*s' takes no value", STR_FMT(name));
		if (!has_value)
			v = negated ? STR("false") : STR("true");
	} else if (!has_value && next_value(p, "--", name, &v) < 0) {
		return -1;
	}
	return set_slot(p, s, v);
}

/* "-abvalue": switches a and b, then one flag with its value. */
static int short_flags(struct parse *p, struct str letters)
{
	while (letters.n) {
		struct str letter = str_n(letters.p, 1), v;
		struct slot *s = NULL;
		letters = str_from(letters, 1);
		for (size_t i = 0; i < p->n && !s; i++)
			if (p->slot[i].o->short_name == letter.p[0] && !p->slot[i].file)
				s = &p->slot[i];
		if (!s)
			return err_set(p->ctx, p->e, E_INVALID,
				       "unknown short flag '-%.*s'", STR_FMT(letter));
		if (is_switch(s->o)) {
			if (set_slot(p, s, STR("true")) < 0)
				return -1;
			continue;
		}
		v = letters;
		if (v.n == 0 && next_value(p, "-", letter, &v) < 0)
			return -1;
		return set_slot(p, s, v);
	}
	return 0;
}

static int take_arg(struct parse *p, struct str arg)
{
	if (!p->takes_args)
		return err_set(p->ctx, p->e, E_INVALID, "unexpected %.*s",
			       (int)MIN(arg.n, (size_t)TEXT_SHOWN), arg.p);
	p->out->args[p->out->n_args++] = str_dup(p->a, arg);
	return 0;
}

static int all_arguments(struct parse *p)
{
	bool flags_over = false;

	for (p->at = 0; p->at < p->argc; p->at++) {
		struct str arg = str_of(p->argv[p->at]);
		int rc;
		if (!flags_over && str_eqz(arg, "--")) {
			flags_over = true;
			continue;
		}
		if (!flags_over && str_has_prefix(arg, STR("--")))
			rc = long_flag(p, str_from(arg, 2));
		else if (!flags_over && arg.n > 1 && arg.p[0] == '-')
			rc = short_flags(p, str_from(arg, 1));
		else
			rc = take_arg(p, arg);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- afterwards ---- */

static int load_text(struct parse *p, const struct slot *file, const struct slot *inl)
{
	struct conf_text *t = (struct conf_text *)(void *)(p->opts + inl->o->off);
	struct str raw = t->content;
	struct buf b;
	int rc = 0;

	if (file->set && inl->set)
		return err_set(p->ctx, p->e, E_INVALID,
			       "both '--%.*s' and '--%.*s' given", STR_FMT(file->name),
			       STR_FMT(inl->name));
	if (file->set && t->path.n == 0)
		return err_set(p->ctx, p->e, E_INVALID, "flag '--%.*s': empty path",
			       STR_FMT(file->name));
	buf_init(&b, LIMIT_CONFIG_BYTES);
	if (file->set) {
		rc = fs_read_file(p->ctx, str_dupz(p->a, t->path), LIMIT_CONFIG_BYTES, &b,
				  p->e);
		raw = buf_view(&b);
	}
	if (rc == 0)
		rc = conf_env_expand(p->ctx, p->a, raw, &t->content, p->e);
	if (rc < 0)
		err_wrap(p->ctx, p->e, "flag '--%.*s'",
			 STR_FMT(file->set ? file->name : inl->name));
	else if (file->set)
		t->content = str_dup(p->a, t->content);
	buf_deinit(&b);
	if (rc == 0 && (inl->o->bits & OPTF_REQUIRED) && t->content.n == 0)
		return err_set(
			p->ctx, p->e, E_INVALID,
			"flag '--%.*s' or '--%.*s' is required and must not be empty",
			STR_FMT(file->name), STR_FMT(inl->name));
	return rc;
}

static int check_required(struct parse *p)
{
	struct str list = STR_NULL;

	for (size_t i = 0; i < p->n; i++) {
		const struct slot *s = &p->slot[i];
		if (!(s->o->bits & OPTF_REQUIRED) || s->set || s->o->type == OPT_TEXT)
			continue;
		list = str_fmt(p->a, "%.*s%s'--%.*s'", STR_FMT(list), list.n ? ", " : "",
			       STR_FMT(s->name));
	}
	if (list.n == 0)
		return 0;
	return err_set(p->ctx, p->e, E_INVALID, "required flag(s) %.*s not provided",
		       STR_FMT(list));
}

static int cmp_flag(const void *a, const void *b, void *arg)
{
	const struct conf_flag_value *x = a, *y = b;

	(void)arg;
	return str_cmp(x->name, y->name);
}

static void fill_result(struct parse *p)
{
	struct conf_result *r = p->out;

	r->flags = ARENA_ARRAY(p->a, struct conf_flag_value, p->n);
	for (size_t i = 0; i < p->n; i++) {
		const struct slot *s = &p->slot[i];
		struct conf_flag_value *f = &r->flags[r->n_flags++];
		f->name = s->name;
		f->set = s->set;
		f->value = s->set ? s->value : s->file ? STR_NULL : str_of(s->o->def);
		if (!s->set && is_switch(s->o) && f->value.n == 0)
			f->value = STR("false");
		if ((s->o->bits & OPTF_SECRET) && !s->file && f->value.n)
			f->value = STR("<REDACTED>");
	}
	vec_sort(r->flags, r->n_flags, sizeof(*r->flags), cmp_flag, NULL);
}

/* --help or --version anywhere before "--". */
static bool asks_for_help(int argc, char *const *argv, struct conf_result *out)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help-long") == 0)
			out->help = out->help_all = true;
		else if (strcmp(argv[i], "--help-man") == 0)
			out->help = out->help_man = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			out->help = true;
		else if (strcmp(argv[i], "--version") == 0)
			out->version = true;
	}
	return out->help || out->version;
}

static int parse_all(struct parse *p)
{
	if (all_arguments(p) < 0 || check_required(p) < 0)
		return -1;
	for (size_t i = 0; i < p->n; i++)
		if (p->slot[i].file && load_text(p, &p->slot[i], &p->slot[i + 1]) < 0)
			return -1;
	fill_result(p);
	return 0;
}

int conf_parse(struct ctx *ctx, struct arena *a, const struct conf_cmd *cmd, int argc,
	       char *const *argv, void *opts, size_t size, struct conf_result *out,
	       struct err *e)
{
	struct parse p = { .ctx = ctx,
			   .a = a,
			   .e = e,
			   .opts = opts,
			   .out = out,
			   .takes_args = cmd->args != NULL,
			   .argc = argc,
			   .argv = argv };

	memset(opts, 0, size);
	*out = (struct conf_result){ 0 };
	map_init(&p.by_name);
	make_slots(&p, cmd);
	set_defaults(&p, size);
	int rc = 0;
	if (!asks_for_help(argc, argv, out)) {
		out->warnings = ARENA_ARRAY(a, struct str, 2 * p.n);
		out->args = ARENA_ARRAY(a, struct str, argc + 1);
		rc = parse_all(&p);
	}
	if (rc < 0)
		out->n_warnings = 0;
	map_deinit(&p.by_name);
	return rc;
}
