/*
 * promql/exec/op_label.c - label_replace and label_join: rows pass with one label set anew. Class relabel: what is held is
 * what op_unique holds, since two rows may become equal.
 *
 * Source  prometheus.md §2.7; templates are those of Go's regexp.Expand
 */
#include "promql/exec/exec_int.h"

#include "model/regex.h"

struct piece {		 /* of a template */
	struct str text; /* where group < 0 */
	int group;
};
struct op_label {
	struct op op;
	struct str dst;
	bool replace; /* else join */
	bool ready;
	/* label_replace */
	struct str src;
	struct regex *re;
	struct str *group;
	size_t n_group;
	struct piece *piece;
	size_t n_piece;
	/* label_join */
	struct str sep;
	struct str *from;
	size_t n_from;
	struct arena arena; /* labels of the current batch */
	struct buf value;
};

static struct str arg_str(const struct expr *call, size_t i)
{
	return expr_strip(call->call.arg[i])->str;
}

/* ---- templates: $1 ${1} $name ${name} $$ ---- */

/* The name at the head of `t`, as long as there are letters, digits and underscores of any script. */
static struct str name_head(const struct regex *names, struct str t)
{
	struct str group[2];
	return regex_submatch(names, t, group, 2) ? group[1] : str_n(t.p, 0);
}

/* What follows a dollar: the name, and the bytes that it takes with its braces; 0: there is none. */
static size_t template_name(const struct regex *names, struct str t, struct str *name)
{
	size_t brace = t.n && t.p[0] == '{';
	*name = name_head(names, str_from(t, brace));
	size_t end = brace + name->n;
	if (!name->n || (brace && (end == t.n || t.p[end] != '}')))
		return 0;
	return end + brace;
}

/* A number without leading zeros names a group by its place; else it is a name. -1: no such group. */
static int group_of(const struct regex *re, struct str name)
{
	uint64_t n = 0;
	bool number = name.n == 1 || name.p[0] != '0';
	for (size_t i = 0; i < name.n && number; i++) {
		number = name.p[i] >= '0' && name.p[i] <= '9' && n < 100000000;
		n = n * 10 + (uint64_t)(name.p[i] - '0');
	}
	if (!number)
		return regex_group_index(re, name);
	return n <= regex_group_count(re) ? (int)n : -1;
}

static void add_piece(struct op_label *o, struct str text, int group)
{
	if (text.n || group >= 0)
		o->piece[o->n_piece++] = (struct piece){ text, group };
}

static int template_parse(struct op_label *o, struct exec *x, struct str t, struct err *e)
{
	struct regex *names;
	ptrdiff_t at;
	if (regex_new(x->ctx, STR("([\\pL\\p{Nd}_]*)(?s:.*)"), &names, e) < 0)
		return -1;
	o->piece = ARENA_ARRAY(x->arena, struct piece, t.n + 1);
	while ((at = str_find_char(t, '$')) >= 0) {
		struct str name, rest = str_from(t, (size_t)at + 1);
		size_t n = template_name(names, rest, &name);
		if (rest.n && rest.p[0] == '$') {
			add_piece(o, str_n(t.p, (size_t)at + 1), -1);
			n = 1;
		} else if (n) {
			add_piece(o, str_n(t.p, (size_t)at), -1);
			add_piece(o, STR_NULL, group_of(o->re, name));
		} else { /* a dollar before anything else is a dollar */
			add_piece(o, str_n(t.p, (size_t)at + 1), -1);
		}
		t = str_from(rest, n);
	}
	add_piece(o, t, -1);
	regex_free(names);
	return 0;
}

/* ---- rows ---- */

/* The row's labels with dst set to `value` (empty: without it), on the arena of the batch. */
static int set_label(struct op_label *o, struct exec *x, struct row *r, struct str value,
		     struct err *e)
{
	struct labels ls = r->labels;
	struct label *l = arena_try(&o->arena, x->ctx, (ls.n + 1) * sizeof(*l), e);
	char *copy = l ? arena_try(&o->arena, x->ctx, value.n + 1, e) : NULL;
	if (!copy)
		return -1;
	if (value.n)
		memcpy(copy, value.p, value.n);
	uint32_t n = 0, i = 0;
	while (i < ls.n && str_cmp(ls.l[i].name, o->dst) < 0)
		l[n++] = ls.l[i++];
	if (value.n)
		l[n++] = (struct label){ o->dst, str_n(copy, value.n) };
	i += i < ls.n && str_eq(ls.l[i].name, o->dst);
	while (i < ls.n)
		l[n++] = ls.l[i++];
	r->labels = (struct labels){ l, n, 0 };
	if (str_eq(o->dst, LABEL_NAME)) /* a name given on purpose stays */
		r->drop_name = false;
	return 0;
}

static bool replaced(struct op_label *o, struct labels ls)
{
	struct str src = labels_get(ls, o->src);
	if (!regex_submatch(o->re, src, o->group, o->n_group))
		return false;
	for (size_t i = 0; i < o->n_piece; i++) {
		const struct piece *p = &o->piece[i];
		struct str s = p->group < 0 ? p->text : o->group[p->group];
		if (s.n)
			buf_str(&o->value, s);
	}
	return true;
}

static void joined(struct op_label *o, struct labels ls)
{
	for (size_t i = 0; i < o->n_from; i++) {
		if (i)
			buf_str(&o->value, o->sep);
		buf_str(&o->value, labels_get(ls, o->from[i]));
	}
}

static int relabel(struct op_label *o, struct exec *x, struct row *r, struct err *e)
{
	buf_reset(&o->value);
	if (!o->replace)
		joined(o, r->labels);
	else if (!replaced(o, r->labels))
		return 0;
	if (buf_check(&o->value, x->ctx, "label value", e) < 0)
		return -1;
	return set_label(o, x, r, buf_view(&o->value), e);
}

static bool is_label_name(struct str s)
{
	return s.n && str_is_utf8(s);
}

static int bad_argument(struct op_label *o, struct exec *x, const char *what,
			struct str which, struct err *e)
{
	return err_set(x->ctx, e, E_EXEC, "invalid %s in %s(): %.*s", what,
		       fn_sigs[o->op.expr->call.fn].name, STR_FMT(which));
}

static int prepare_replace(struct op_label *o, struct exec *x, struct err *e)
{
	const struct expr *c = o->op.expr;
	struct err why = ERR_INIT;
	o->src = arg_str(c, 3);
	if (regex_new(x->ctx, arg_str(c, 4), &o->re, &why) < 0)
		return bad_argument(o, x, "regular expression", arg_str(c, 4), e);
	if (!is_label_name(o->dst))
		return bad_argument(o, x, "destination label name", o->dst, e);
	o->n_group = regex_group_count(o->re) + 1;
	o->group = ARENA_ARRAY(x->arena, struct str, o->n_group);
	return template_parse(o, x, arg_str(c, 2), e);
}

static int prepare_join(struct op_label *o, struct exec *x, struct err *e)
{
	const struct expr *c = o->op.expr;
	o->sep = arg_str(c, 2);
	o->n_from = c->call.n - 3;
	o->from = ARENA_ARRAY(x->arena, struct str, o->n_from + 1);
	for (size_t i = 0; i < o->n_from; i++) {
		o->from[i] = arg_str(c, i + 3);
		if (!is_label_name(o->from[i]))
			return bad_argument(o, x, "source label name", o->from[i], e);
	}
	if (!is_label_name(o->dst))
		return bad_argument(o, x, "destination label name", o->dst, e);
	return 0;
}

static int label_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_label *o = (struct op_label *)op;
	if (!o->ready &&
	    (o->replace ? prepare_replace(o, x, e) : prepare_join(o, x, e)) < 0)
		return -1;
	o->ready = true;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	arena_reset(&o->arena);
	for (size_t k = 0; k < (*out)->n; k++)
		if (relabel(o, x, &(*out)->row[k], e) < 0)
			return -1;
	return 1;
}

static void label_close(struct op *op)
{
	struct op_label *o = (struct op_label *)op;
	regex_free(o->re);
	arena_deinit(&o->arena);
	buf_deinit(&o->value);
}

static const struct op_ops label_ops = { "label", NULL, label_next, label_close };

int op_label_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	struct op_label *o = op_alloc(x, sizeof(*o), &label_ops, g, TYPE_VECTOR, e);
	o->replace = e->call.fn == FN_ID_label_replace;
	o->dst = arg_str(e, 1);
	arena_init(&o->arena, x->ctx->budget);
	buf_init(&o->value, (size_t)1 << 24);
	*out = op_unique_wrap(x, &o->op);
	return plan_expr(x, e->call.arg[0], g, &o->op.in[0], err);
}
