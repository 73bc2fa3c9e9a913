/*
 * wire/json_doc.c - small JSON texts as a tree of nodes, and look-up in such trees (of
 * JSON or YAML).
 *
 * Built over the pull reader, so that each node knows its place: the offset of a token is
 * turned into line and column by walking on from the token before. Recursion is bounded
 * by the reader's depth limit. The children of a container are gathered on one scratch
 * stack shared by all levels and moved into the arena when the container ends, so that
 * memory follows the text.
 *
 * Of equal keys in one object all are kept; doc_get finds the last, as Go's decoder
 * would.
 */
#include "wire/json.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"

struct build {
	struct jr j;
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	const uint8_t *at; /* up to here line and column are counted */
	const uint8_t *bol;
	uint32_t line;
	struct doc **stack; /* nodes waiting for the end of their container */
	size_t n, cap;
	size_t nodes;
};

static void locate(struct build *b, const uint8_t *p, uint32_t *line, uint32_t *col)
{
	for (const uint8_t *q = b->at; q < p; q++)
		if (*q == '\n') {
			b->line++;
			b->bol = q + 1;
		}
	b->at = p;
	*line = b->line;
	*col = (uint32_t)(p - b->bol) + 1;
}

static int syntax_error(struct build *b)
{
	uint32_t line, col;

	locate(b, b->j.r.p, &line, &col);
	if (b->j.depth == LIMIT_JSON_DEPTH)
		return err_set(b->ctx, b->e, E_LIMIT,
			       "line %u, column %u: nested deeper than %d", line, col,
			       LIMIT_JSON_DEPTH);
	if (b->j.r.p >= b->j.r.end)
		return err_set(b->ctx, b->e, E_PARSE,
			       "line %u, column %u: JSON text ends too early", line, col);
	uint8_t c = *b->j.r.p;
	if (c > ' ' && c < 0x7f)
		return err_set(b->ctx, b->e, E_PARSE,
			       "line %u, column %u: invalid JSON at '%c'", line, col, c);
	return err_set(b->ctx, b->e, E_PARSE,
		       "line %u, column %u: invalid JSON at byte 0x%02x", line, col, c);
}

static struct doc *new_node(struct build *b, enum doc_kind kind, const uint8_t *start)
{
	if (++b->nodes > LIMIT_YAML_NODES) {
		err_set(b->ctx, b->e, E_LIMIT, "more than %d values", LIMIT_YAML_NODES);
		return NULL;
	}
	struct doc *d = arena_try(b->a, b->ctx, sizeof(*d), b->e);
	if (!d)
		return NULL;
	*d = (struct doc){ .kind = kind };
	locate(b, start, &d->line, &d->col);
	return d;
}

/* Where the next token begins: the reader itself steps over these bytes in the same way. */
static const uint8_t *token_start(const struct build *b)
{
	const uint8_t *p = b->j.r.p;

	while (p < b->j.r.end && *p && strchr(" \t\r\n,", *p))
		p++;
	return p;
}

static void push(struct build *b, struct doc *d)
{
	if (b->n == b->cap)
		b->stack = vec_grow(b->stack, &b->cap, b->n + 1, sizeof(struct doc *));
	b->stack[b->n++] = d;
}

/* Move the container's nodes, those from `from` on, off the stack. */
static int take_children(struct build *b, struct doc *d, size_t from)
{
	size_t step = d->kind == DOC_MAP ? 2 : 1, total = b->n - from;

	b->n = from;
	d->n = total / step;
	if (total == 0)
		return 0;
	struct doc **v = arena_try(b->a, b->ctx, total * sizeof(struct doc *), b->e);
	if (!v)
		return -1;
	d->item = v;
	if (d->kind == DOC_MAP)
		d->key = v + d->n;
	for (size_t i = 0; i < d->n; i++) {
		d->item[i] = b->stack[from + i * step + step - 1];
		if (d->kind == DOC_MAP)
			d->key[i] = b->stack[from + i * 2];
	}
	return 0;
}

static int set_number(struct build *b, struct doc *d)
{
	if (str_to_i64(d->s, &d->i)) {
		d->kind = DOC_INT;
		d->f = (double)d->i;
		return 0;
	}
	d->kind = DOC_FLOAT;
	if (!str_to_f64(d->s, &d->f))
		return err_set(b->ctx, b->e, E_PARSE,
			       "line %u, column %u: number out of range", d->line,
			       d->col);
	return 0;
}

static int build_value(struct build *b, enum json_tok t, const uint8_t *start,
		       struct doc **out);

static int build_container(struct build *b, struct doc *d)
{
	size_t from = b->n;

	for (;;) {
		const uint8_t *start = token_start(b);
		enum json_tok t = jr_next(&b->j);
		struct doc *x;
		if (t == JSON_OBJ_END || t == JSON_ARR_END)
			return take_children(b, d, from);
		if (t == JSON_KEY) {
			x = new_node(b, DOC_STR, start);
			if (!x)
				return -1;
			x->s = b->j.s;
			x->quoted = true;
		} else if (build_value(b, t, start, &x) < 0) {
			return -1;
		}
		push(b, x);
	}
}

static int build_value(struct build *b, enum json_tok t, const uint8_t *start,
		       struct doc **out)
{
	static const uint8_t kinds[] = {
		[JSON_OBJ] = DOC_MAP,	[JSON_ARR] = DOC_LIST,	[JSON_STR] = DOC_STR,
		[JSON_NUM] = DOC_FLOAT, [JSON_TRUE] = DOC_BOOL, [JSON_FALSE] = DOC_BOOL,
		[JSON_NULL] = DOC_NULL,
	};
	if (t <= JSON_EOF)
		return syntax_error(b);
	struct doc *d = new_node(b, kinds[t], start);
	if (!d)
		return -1;
	*out = d;
	switch (t) {
	case JSON_OBJ:
	case JSON_ARR: return build_container(b, d);
	case JSON_STR:
		d->s = b->j.s;
		d->quoted = true;
		return 0;
	case JSON_NUM: d->s = b->j.s; return set_number(b, d);
	case JSON_TRUE:
	case JSON_FALSE:
		d->b = t == JSON_TRUE;
		d->s = d->b ? STR("true") : STR("false");
		return 0;
	default: d->s = STR("null"); return 0;
	}
}

int json_parse(struct ctx *ctx, struct arena *a, struct str text, struct doc **out,
	       struct err *e)
{
	struct build b = { .ctx = ctx, .a = a, .e = e, .line = 1 };
	struct doc *d = NULL;
	int rc;

	if (text.n > LIMIT_META_BYTES)
		return err_set(ctx, e, E_LIMIT,
			       "JSON text of %zu bytes, at most %u are read", text.n,
			       LIMIT_META_BYTES);
	char *copy = arena_try(a, ctx, text.n + 1, e);
	if (!copy)
		return -1;
	if (text.n)
		memcpy(copy, text.p, text.n);
	jr_init(&b.j, a, str_n(copy, text.n));
	b.at = b.bol = b.j.start;
	const uint8_t *start = token_start(&b);
	rc = build_value(&b, jr_next(&b.j), start, &d);
	if (rc == 0 && jr_next(&b.j) != JSON_EOF)
		rc = syntax_error(&b);
	free(b.stack);
	if (rc == 0)
		*out = d;
	return rc;
}

const struct doc *doc_get(const struct doc *map, const char *key)
{
	if (!map || map->kind != DOC_MAP)
		return NULL;
	for (size_t i = map->n; i > 0; i--)
		if (str_eqz(map->key[i - 1]->s, key))
			return map->item[i - 1];
	return NULL;
}
