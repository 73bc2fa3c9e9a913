/*
 * wire/yaml.c - YAML texts as a tree: libyaml finds the events, the composer below builds
 * nodes.
 *
 * libyaml's own composer is not used: it knows neither merge keys nor limits. Each node
 * is counted when it is made, and an alias counts as many nodes as what it names,
 * although it only points there: so a text whose aliases multiply ("billion laughs") is
 * refused before anybody walks the tree. For the same reason each anchor remembers its
 * height, which adds to the depth of an alias.
 *
 * Keys and values of the mapping at work lie on one stack shared by all levels; a merge
 * key is a pair with a NULL key. When a mapping ends, its own keys are taken first (equal
 * ones are refused), then those of the merged mappings, in order, as far as they are not
 * there yet.
 */
#include "wire/doc_int.h"

#include <stdlib.h>

#include <yaml.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
	struct doc *d; /* NULL while the node is being made */
	size_t nodes;
	unsigned height;
};

struct compose {
	yaml_parser_t p;
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	struct map anchors; /* name -> struct anchor */
	struct doc **stack;
	size_t n, cap;
	size_t nodes;
	unsigned depth, deepest; /* of the node at work; reached so far */
};

static int fail_at(struct compose *c, yaml_mark_t m, enum err_code code, const char *text,
		   struct str what)
{
	return err_set(c->ctx, c->e, code, "line %zu, column %zu: %s%.*s", m.line + 1,
		       m.column + 1, text, (int)MIN(what.n, 100), what.p ? what.p : "");
}

static int next_event(struct compose *c, yaml_event_t *ev)
{
	yaml_parser_t *p = &c->p;

	if (yaml_parser_parse(p, ev))
		return 0;
	const char *why = p->problem ? p->problem : "unreadable";
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(c->ctx, c->e, E_LIMIT, "YAML: out of memory");
	if (p->error == YAML_READER_ERROR)
		return err_set(c->ctx, c->e, E_PARSE, "YAML: %s at byte %zu", why,
			       p->problem_offset);
	return fail_at(c, p->problem_mark, E_PARSE, why, STR_NULL);
}

static void push(struct compose *c, struct doc *d)
{
	if (c->n == c->cap)
		c->stack = vec_grow(c->stack, &c->cap, c->n + 1, sizeof(struct doc *));
	c->stack[c->n++] = d;
}

/* ---- nodes ---- */

static int count(struct compose *c, yaml_mark_t m, size_t n)
{
	c->nodes += n;
	if (c->nodes > LIMIT_YAML_NODES)
		return fail_at(c, m, E_LIMIT, "too many values, with aliases", STR_NULL);
	return 0;
}

static struct doc *new_node(struct compose *c, const yaml_event_t *ev, enum doc_kind kind)
{
	if (count(c, ev->start_mark, 1) < 0)
		return NULL;
	struct doc *d = arena_try(c->a, c->ctx, sizeof(*d), c->e);
	if (!d)
		return NULL;
	*d = (struct doc){ .kind = kind,
			   .line = (uint32_t)ev->start_mark.line + 1,
			   .col = (uint32_t)ev->start_mark.column + 1 };
	return d;
}

static int copy_text(struct compose *c, const void *p, size_t n, struct str *out)
{
	char *t = arena_try(c->a, c->ctx, n + 1, c->e);

	if (!t)
		return -1;
	if (n)
		memcpy(t, p, n);
	t[n] = 0;
	*out = str_n(t, n);
	return 0;
}

/* Begin an anchored node; *out is NULL without an anchor. A name may be given again. */
static int anchor_open(struct compose *c, const yaml_char_t *name, struct anchor **out)
{
	struct str key;

	*out = NULL;
	if (!name)
		return 0;
	if (copy_text(c, name, strlen((const char *)name), &key) < 0)
		return -1;
	struct anchor *an = arena_try(c->a, c->ctx, sizeof(*an), c->e);
	if (!an)
		return -1;
	*an = (struct anchor){ .nodes = c->nodes };
	map_set(&c->anchors, key, an);
	*out = an;
	return 0;
}

static int compose_alias(struct compose *c, const yaml_event_t *ev, struct doc **out)
{
	struct str name = str_of((const char *)ev->data.alias.anchor);
	struct anchor *an = map_get(&c->anchors, name);

	if (!an)
		return fail_at(c, ev->start_mark, E_PARSE, "unknown anchor *", name);
	if (!an->d)
		return fail_at(c, ev->start_mark, E_PARSE,
			       "alias within its own anchor *", name);
	if (c->depth + an->height > LIMIT_YAML_DEPTH)
		return fail_at(c, ev->start_mark, E_LIMIT, "nested too deeply by alias *",
			       name);
	c->deepest = MAX(c->deepest, c->depth + an->height);
	*out = an->d;
	return count(c, ev->start_mark, an->nodes);
}

static int compose_scalar(struct compose *c, const yaml_event_t *ev, struct doc **out)
{
	struct doc *d = new_node(c, ev, DOC_STR);
	const char *tag = (const char *)ev->data.scalar.tag;

	if (!d || copy_text(c, ev->data.scalar.value, ev->data.scalar.length, &d->s) < 0)
		return -1;
	*out = d;
	if (tag) {
		struct str t = str_of(tag);
		if (str_has_prefix(t, STR(TAG_PREFIX)))
			t = str_from(t, sizeof(TAG_PREFIX) - 1);
		if (!doc_resolve_tagged(c->a, d, t))
			return fail_at(c, ev->start_mark, E_PARSE, "value is not a !!",
				       t);
	} else if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		doc_resolve_plain(d);
	} else {
		d->quoted = true;
	}
	return 0;
}

static int compose_node(struct compose *c, const yaml_event_t *ev, struct doc **out);

static int compose_list(struct compose *c, struct doc *d)
{
	size_t from = c->n;
	yaml_event_t ev;

	for (;;) {
		struct doc *x = NULL;
		if (next_event(c, &ev) < 0)
			return -1;
		bool end = ev.type == YAML_SEQUENCE_END_EVENT;
		int rc = end ? 0 : compose_node(c, &ev, &x);
		yaml_event_delete(&ev);
		if (rc < 0)
			return -1;
		if (end)
			break;
		push(c, x);
	}
	d->n = c->n - from;
	c->n = from;
	if (d->n == 0)
		return 0;
	d->item = arena_try(c->a, c->ctx, d->n * sizeof(struct doc *), c->e);
	if (!d->item)
		return -1;
	memcpy(d->item, c->stack + from, d->n * sizeof(struct doc *));
	return 0;
}

/* ---- mappings ---- */

static bool is_merge_key(const yaml_event_t *ev)
{
	const char *tag;

	if (ev->type != YAML_SCALAR_EVENT || ev->data.scalar.length != 2 ||
	    memcmp(ev->data.scalar.value, "<<", 2) != 0)
		return false;
	tag = (const char *)ev->data.scalar.tag;
	return tag ? strcmp(tag, TAG_PREFIX "merge") == 0
		   : ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* A key: any scalar, or an alias of one; afterwards it is text. *out NULL: a merge key. */
static int compose_key(struct compose *c, const yaml_event_t *ev, struct doc **out)
{
	struct doc *k = NULL;

	*out = NULL;
	if (is_merge_key(ev))
		return 0;
	if (ev->type != YAML_SCALAR_EVENT && ev->type != YAML_ALIAS_EVENT)
		return fail_at(c, ev->start_mark, E_PARSE, "key is not a scalar",
			       STR_NULL);
	if (compose_node(c, ev, &k) < 0)
		return -1;
	if (k->kind == DOC_MAP || k->kind == DOC_LIST)
		return fail_at(c, ev->start_mark, E_PARSE, "key is not a scalar",
			       STR_NULL);
	if (k->kind != DOC_STR) {
		struct doc *t = new_node(c, ev, DOC_STR);
		if (!t)
			return -1;
		t->s = k->s;
		k = t;
	}
	*out = k;
	return 0;
}

static bool can_merge(const struct doc *v)
{
	if (v->kind == DOC_MAP)
		return true;
	if (v->kind != DOC_LIST)
		return false;
	for (size_t i = 0; i < v->n; i++)
		if (v->item[i]->kind != DOC_MAP)
			return false;
	return true;
}

static size_t merge_size(const struct doc *v)
{
	size_t n = 0;

	if (v->kind == DOC_MAP)
		return v->n;
	for (size_t i = 0; i < v->n; i++)
		n += v->item[i]->n;
	return n;
}

static void merge_map(struct doc *d, struct map *seen, const struct doc *from)
{
	for (size_t i = 0; i < from->n; i++) {
		if (map_get(seen, from->key[i]->s))
			continue;
		map_set(seen, from->key[i]->s, from->key[i]);
		d->key[d->n] = from->key[i];
		d->item[d->n++] = from->item[i];
	}
}

/* Pairs of the finished mapping: its own in d already checked, then the merged ones. */
static int fill_map(struct compose *c, struct doc *d, struct map *seen,
		    struct doc *const *pair, size_t n)
{
	for (size_t i = 0; i < n; i += 2) {
		struct doc *k = pair[i];
		if (!k)
			continue;
		const struct doc *old = map_set(seen, k->s, k);
		if (old)
			return err_set(
				c->ctx, c->e, E_PARSE,
				"line %u, column %u: key \"%.*s\" was given before, at line %u",
				k->line, k->col, (int)MIN(k->s.n, 100), k->s.p,
				old->line);
		d->key[d->n] = k;
		d->item[d->n++] = pair[i + 1];
	}
	for (size_t i = 0; i < n; i += 2) {
		const struct doc *v = pair[i + 1];
		if (pair[i])
			continue;
		if (v->kind == DOC_MAP)
			merge_map(d, seen, v);
		for (size_t k = 0; v->kind == DOC_LIST && k < v->n; k++)
			merge_map(d, seen, v->item[k]);
	}
	return 0;
}

static int finish_map(struct compose *c, struct doc *d, size_t from)
{
	size_t n = c->n - from, max = 0;
	struct map seen;

	for (size_t i = from; i < c->n; i += 2)
		max += c->stack[i] ? 1 : merge_size(c->stack[i + 1]);
	c->n = from;
	if (max == 0)
		return 0;
	d->key = arena_try(c->a, c->ctx, max * 2 * sizeof(struct doc *), c->e);
	if (!d->key)
		return -1;
	d->item = d->key + max;
	map_init(&seen);
	int rc = fill_map(c, d, &seen, c->stack + from, n);
	map_deinit(&seen);
	return rc;
}

static int compose_map(struct compose *c, struct doc *d)
{
	size_t from = c->n;
	yaml_event_t ev;

	for (;;) {
		struct doc *k = NULL, *v = NULL;
		if (next_event(c, &ev) < 0)
			return -1;
		bool end = ev.type == YAML_MAPPING_END_EVENT;
		yaml_mark_t at = ev.start_mark;
		int rc = end ? 0 : compose_key(c, &ev, &k);
		yaml_event_delete(&ev);
		if (rc < 0)
			return -1;
		if (end)
			return finish_map(c, d, from);
		if (next_event(c, &ev) < 0)
			return -1;
		rc = compose_node(c, &ev, &v);
		yaml_event_delete(&ev);
		if (rc < 0)
			return -1;
		if (!k && !can_merge(v))
			return fail_at(c, at, E_PARSE,
				       "<< merges a mapping or a list of mappings only",
				       STR_NULL);
		push(c, k);
		push(c, v);
	}
}

static int compose_node(struct compose *c, const yaml_event_t *ev, struct doc **out)
{
	const yaml_char_t *name = NULL;
	struct anchor *an;
	struct doc *d = NULL;
	int rc;

	if (ev->type == YAML_ALIAS_EVENT)
		return compose_alias(c, ev, out);
	if (ev->type == YAML_SCALAR_EVENT)
		name = ev->data.scalar.anchor;
	else if (ev->type == YAML_SEQUENCE_START_EVENT)
		name = ev->data.sequence_start.anchor;
	else if (ev->type == YAML_MAPPING_START_EVENT)
		name = ev->data.mapping_start.anchor;
	if (anchor_open(c, name, &an) < 0)
		return -1;

	unsigned outer = c->deepest;
	c->deepest = c->depth;
	if (ev->type == YAML_SCALAR_EVENT) {
		rc = compose_scalar(c, ev, &d);
	} else {
		bool map = ev->type == YAML_MAPPING_START_EVENT;
		if (c->depth == LIMIT_YAML_DEPTH)
			return fail_at(c, ev->start_mark, E_LIMIT, "nested too deeply",
				       STR_NULL);
		d = new_node(c, ev, map ? DOC_MAP : DOC_LIST);
		if (!d)
			return -1;
		c->depth++;
		c->deepest = c->depth;
		rc = map ? compose_map(c, d) : compose_list(c, d);
		c->depth--;
	}
	if (rc < 0)
		return -1;
	if (an) {
		an->d = d;
		an->nodes = c->nodes - an->nodes;
		an->height = c->deepest - c->depth;
	}
	c->deepest = MAX(c->deepest, outer);
	*out = d;
	return 0;
}

/* ---- documents ---- */

static bool is_empty(const yaml_event_t *ev)
{
	return ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0 &&
	       ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* All events of the stream; *out is the first document's node. */
static int compose_stream(struct compose *c, struct doc **out)
{
	struct doc *d = NULL;

	for (;;) {
		yaml_event_t ev;
		int rc = 0;
		bool end = false;
		if (next_event(c, &ev) < 0)
			return -1;
		switch (ev.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_START_EVENT:
		case YAML_DOCUMENT_END_EVENT: break;
		case YAML_STREAM_END_EVENT:
		case YAML_NO_EVENT: end = true; break;
		default:
			if (!d)
				rc = compose_node(c, &ev, &d);
			else if (!is_empty(&ev))
				rc = fail_at(c, ev.start_mark, E_PARSE,
					     "a second document; only one is read",
					     STR_NULL);
			break;
		}
		yaml_event_delete(&ev);
		if (rc < 0)
			return -1;
		if (end)
			break;
	}
	if (!d) {
		d = arena_try(c->a, c->ctx, sizeof(*d), c->e);
		if (!d)
			return -1;
		*d = (struct doc){ .kind = DOC_NULL, .line = 1, .col = 1 };
	}
	*out = d;
	return 0;
}

int yaml_parse(struct ctx *ctx, struct arena *a, struct str text, struct doc **out,
	       struct err *e)
{
	struct compose c = { .ctx = ctx, .a = a, .e = e };

	if (text.n > LIMIT_CONFIG_BYTES)
		return err_set(ctx, e, E_LIMIT,
			       "YAML text of %zu bytes, at most %u are read", text.n,
			       LIMIT_CONFIG_BYTES);
	if (!yaml_parser_initialize(&c.p))
		return err_set(ctx, e, E_LIMIT, "YAML: out of memory");
	map_init(&c.anchors);
	yaml_parser_set_input_string(&c.p, (const unsigned char *)(text.n ? text.p : ""),
				     text.n);
	int rc = compose_stream(&c, out);
	yaml_parser_delete(&c.p);
	map_deinit(&c.anchors);
	free(c.stack);
	return rc;
}
