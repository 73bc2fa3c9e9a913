/*
 * conf/yaml_bind.c - a document into structs by rows.
 *
 * First every row's default is stored, through nested maps as well, so that an absent
 * section means its defaults; then the document's keys are taken one by one. Scalars are
 * read from their text as it stands in the file ("0x10" stays that text for a string
 * field, as with go-yaml), but the node's kind is checked: a quoted "true" is no boolean,
 * a quoted "5" no number.
 *
 * The path of the key at work is a chain on the C stack, printed only for errors.
 */
#include "conf/yaml.h"

#include "base/ctx.h"
#include "conf/values.h"

#define TEXT_SHOWN 100

struct path {
	const struct path *up;
	struct str key; /* n == 0: a list's element */
	size_t index;
};

struct bind {
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	const char *what;
};

/* ---- errors ---- */

static void put_path(struct buf *b, const struct path *p)
{
	if (!p)
		return;
	put_path(b, p->up);
	if (p->key.n == 0)
		buf_fmt(b, "[%zu]", p->index);
	else
		buf_fmt(b, "%s%.*s", b->n ? "." : "",
			(int)MIN(p->key.n, (size_t)TEXT_SHOWN), p->key.p);
}

/* Put "<what>: line:col: path" in front of the error just set. */
static int at(struct bind *b, const struct doc *d, const struct path *p)
{
	struct buf text;

	buf_init(&text, 4096);
	put_path(&text, p);
	if (text.n)
		err_wrap(b->ctx, b->e, "%s: %u:%u: %.*s", b->what, d->line, d->col,
			 STR_FMT(buf_view(&text)));
	else
		err_wrap(b->ctx, b->e, "%s: %u:%u", b->what, d->line, d->col);
	buf_deinit(&text);
	return -1;
}

static int fail(struct bind *b, const struct doc *d, const struct path *p,
		const char *text)
{
	err_set(b->ctx, b->e, E_INVALID, "%s", text);
	return at(b, d, p);
}

static const char *kind_name(const struct doc *d)
{
	static const char *const names[] = {
		[DOC_NULL] = "nothing",	  [DOC_BOOL] = "a boolean",
		[DOC_INT] = "an integer", [DOC_FLOAT] = "a number",
		[DOC_STR] = "text",	  [DOC_LIST] = "a list",
		[DOC_MAP] = "a mapping",
	};
	return names[d->kind];
}

static int expected(struct bind *b, const struct doc *d, const struct path *p,
		    const char *kind)
{
	err_set(b->ctx, b->e, E_INVALID, "expected %s, found %s", kind, kind_name(d));
	return at(b, d, p);
}

static int unknown(struct bind *b, const struct doc *key, const struct path *p,
		   const struct yopt *rows)
{
	const char *names[256], *near;
	size_t n = 0;

	for (const struct yopt *o = rows; o->name && n < ARRAY_LEN(names); o++)
		if (!(o->bits & OPTF_HIDDEN))
			names[n++] = o->name;
	near = conf_nearest(key->s, names, n);
	err_set(b->ctx, b->e, E_INVALID, "unknown key%s%s%s",
		near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return at(b, key, p);
}

/* ---- defaults ---- */

static void append_str(struct bind *b, struct conf_strs *l, struct str s)
{
	struct str *v = ARENA_ARRAY(b->a, struct str, l->n + 1);

	if (l->n)
		memcpy(v, l->v, l->n * sizeof(*v));
	v[l->n++] = s;
	l->v = v;
}

static void set_default(struct bind *b, const struct yopt *o, void *field)
{
	struct conf_spec spec = { o->type, o->min, o->max, o->choices };
	struct err e = ERR_INIT;
	struct str rest = str_of(o->def), one;
	bool more = rest.n > 0;

	if (o->type == OPT_STRINGS) {
		while (more) {
			more = str_cut(&rest, ',', &one);
			append_str(b, field, one);
		}
	} else if (o->type == OPT_TEXT) {
		((struct conf_text *)field)->content = rest;
	} else if (o->type != OPT_NOT_YET && o->type != OPT_NO_EFFECT) {
		int rc = conf_value_parse(b->ctx, b->a, &spec, rest, field, &e);
		BUG_ON(rc < 0);
	}
}

static void set_defaults(struct bind *b, const struct yopt *rows, char *out)
{
	for (const struct yopt *o = rows; o->name; o++) {
		if (o->type == OPT_NOT_YET || o->type == OPT_NO_EFFECT)
			continue;
		if (o->nest == YOPT_MAP)
			set_defaults(b, o->rows, out + o->off);
		else if (o->nest == YOPT_SCALAR && o->def)
			set_default(b, o, out + o->off);
	}
}

/* ---- scalars ---- */

/* Does the node's kind suit the type? What it should be, else NULL. */
static const char *misfit(const struct yopt *o, const struct doc *d)
{
	if (d->kind == DOC_LIST || d->kind == DOC_MAP)
		return "a single value";
	switch (o->type) {
	case OPT_BOOL: return d->kind == DOC_BOOL ? NULL : "a boolean";
	case OPT_INT:
		return d->kind == DOC_INT || d->kind == DOC_FLOAT ? NULL : "an integer";
	case OPT_FLOAT:
		return d->kind == DOC_INT || d->kind == DOC_FLOAT ? NULL : "a number";
	default: return NULL;
	}
}

/* Numbers and booleans in the words that conf_value_parse knows: "yes", "0x10" and ".inf"
 * are YAML's. */
static struct str plain_text(const struct yopt *o, const struct doc *d, char t[64])
{
	struct buf b;

	if (o->type == OPT_BOOL)
		return d->b ? STR("true") : STR("false");
	if ((o->type == OPT_INT || o->type == OPT_FLOAT) && d->kind == DOC_INT) {
		buf_init(&b, 64);
		buf_fmt(&b, "%lld", (long long)d->i);
		memcpy(t, b.p, b.n);
		struct str s = str_n(t, b.n);
		buf_deinit(&b);
		return s;
	}
	return d->s;
}

static int set_float(struct bind *b, const struct yopt *o, const struct doc *d,
		     const struct path *p, void *field)
{
	if ((o->min || o->max) && !(d->f >= (double)o->min && d->f <= (double)o->max)) {
		err_set(b->ctx, b->e, E_INVALID, "%.*s is not within %lld and %lld",
			(int)MIN(d->s.n, (size_t)TEXT_SHOWN), d->s.p, (long long)o->min,
			(long long)o->max);
		return at(b, d, p);
	}
	*(double *)field = d->f;
	return 0;
}

static int set_scalar(struct bind *b, const struct yopt *o, const struct doc *d,
		      const struct path *p, void *field)
{
	struct conf_spec spec = { o->type, o->min, o->max, o->choices };
	struct doc yes = *d;
	char t[64];

	/* y and n, which the composer leaves as text, are booleans where one is wanted.
	 * */
	if (o->type == OPT_BOOL && d->kind == DOC_STR && !d->quoted && d->s.n == 1 &&
	    strchr("yYnN", d->s.p[0])) {
		yes.kind = DOC_BOOL;
		yes.b = (d->s.p[0] | 0x20) == 'y';
	}
	const char *want = misfit(o, &yes);
	if (want)
		return expected(b, d, p, want);
	if (o->type == OPT_FLOAT)
		return set_float(b, o, d, p, field);
	if (o->type == OPT_TEXT) {
		((struct conf_text *)field)->content = d->s;
		return 0;
	}
	if (conf_value_parse(b->ctx, b->a, &spec, plain_text(o, &yes, t), field, b->e) <
	    0)
		return at(b, d, p);
	return 0;
}

static int set_strings(struct bind *b, const struct doc *d, const struct path *p,
		       struct conf_strs *out)
{
	if (d->kind != DOC_LIST)
		return expected(b, d, p, "a list");
	out->n = 0;
	out->v = arena_try(b->a, b->ctx, (d->n + 1) * sizeof(struct str), b->e);
	if (!out->v)
		return at(b, d, p);
	for (size_t i = 0; i < d->n; i++) {
		struct path el = { p, STR_NULL, i };
		const struct doc *x = d->item[i];
		if (x->kind == DOC_LIST || x->kind == DOC_MAP)
			return expected(b, x, &el, "a single value");
		out->v[out->n++] = x->kind == DOC_NULL ? STR("") : x->s;
	}
	return 0;
}

static int refuse_unless_default(struct bind *b, const struct yopt *o,
				 const struct doc *d, const struct path *p)
{
	bool nest = d->kind == DOC_LIST || d->kind == DOC_MAP;

	if (nest && d->n == 0)
		return 0;
	if (!nest &&
	    ((o->def && str_eqz(d->s, o->def)) || conf_is_choice(o->choices, d->s)))
		return 0;
	if (o->def)
		err_set(b->ctx, b->e, E_INVALID,
			"known to Thanos but not obeyed by thanosc yet; "
			"leave it out or at its default '%s'",
			o->def);
	else
		err_set(b->ctx, b->e, E_INVALID,
			"known to Thanos but not obeyed by thanosc yet; leave it out");
	return at(b, d, p);
}

/* ---- structure ---- */

static int bind_map(struct bind *b, const struct yopt *rows, const struct doc *d,
		    const struct path *p, char *out);

static int bind_list(struct bind *b, const struct yopt *o, const struct doc *d,
		     const struct path *p, struct conf_list *out)
{
	struct yopt one = *o;

	if (d->kind != DOC_LIST)
		return expected(b, d, p, "a list");
	BUG_ON(o->elem == 0);
	one.nest = YOPT_SCALAR;
	/* The node limit of documents keeps d->n small; elements are of a size the
	 * program chose. */
	out->n = 0;
	out->v = arena_try(b->a, b->ctx, (d->n + 1) * o->elem, b->e);
	if (!out->v)
		return at(b, d, p);
	memset(out->v, 0, (d->n + 1) * o->elem);
	for (size_t i = 0; i < d->n; i++) {
		struct path el = { p, STR_NULL, i };
		const struct doc *x = d->item[i];
		char *to = (char *)out->v + i * o->elem;
		int rc;
		if (o->rows) {
			set_defaults(b, o->rows, to);
			rc = bind_map(b, o->rows, x, &el, to);
		} else {
			rc = set_scalar(b, &one, x, &el, to);
		}
		if (rc < 0)
			return -1;
		out->n++;
	}
	return 0;
}

static int bind_value(struct bind *b, const struct yopt *o, const struct doc *d,
		      const struct path *p, char *out)
{
	void *field = out + o->off;

	if (o->type == OPT_NO_EFFECT || d->kind == DOC_NULL)
		return 0;
	if (o->type == OPT_NOT_YET)
		return refuse_unless_default(b, o, d, p);
	switch (o->nest) {
	case YOPT_MAP: return bind_map(b, o->rows, d, p, field);
	case YOPT_LIST:
		if (o->type == OPT_STRINGS && !o->rows && o->elem == 0)
			return set_strings(b, d, p, field);
		return bind_list(b, o, d, p, field);
	case YOPT_ANY: *(const struct doc **)field = d; return 0;
	case YOPT_SCALAR:
	default:
		if (o->type == OPT_STRINGS)
			return set_strings(b, d, p, field);
		return set_scalar(b, o, d, p, field);
	}
}

static const struct yopt *find_row(const struct yopt *rows, struct str key)
{
	for (const struct yopt *o = rows; o->name; o++)
		if (str_eqz(key, o->name))
			return o;
	return NULL;
}

static int check_required(struct bind *b, const struct yopt *rows, const struct doc *d,
			  const struct path *p)
{
	for (const struct yopt *o = rows; o->name; o++) {
		if (!(o->bits & OPTF_REQUIRED))
			continue;
		const struct doc *x = doc_get(d, o->name);
		struct path key = { p, str_of(o->name), 0 };
		if (!x || x->kind == DOC_NULL)
			return fail(b, x ? x : d, &key, "required but not given");
	}
	return 0;
}

static int bind_map(struct bind *b, const struct yopt *rows, const struct doc *d,
		    const struct path *p, char *out)
{
	if (d->kind != DOC_MAP && d->kind != DOC_NULL)
		return expected(b, d, p, "a mapping");
	for (size_t i = 0; i < d->n; i++) {
		struct path key = { p, d->key[i]->s, 0 };
		const struct yopt *o = find_row(rows, d->key[i]->s);
		if (!o)
			return unknown(b, d->key[i], &key, rows);
		if (bind_value(b, o, d->item[i], &key, out) < 0)
			return -1;
	}
	return check_required(b, rows, d, p);
}

int conf_bind(struct ctx *ctx, struct arena *a, const struct doc *map,
	      const struct yopt *rows, void *out, size_t size, const char *what,
	      struct err *e)
{
	struct bind b = { ctx, a, e, what };

	memset(out, 0, size);
	set_defaults(&b, rows, out);
	return bind_map(&b, rows, map, NULL, out);
}
