/*
 * dedup/relabel.c - constant labels added to every series of a sorted set, order restored.
 *
 * Call S' what becomes of S. For S < T that differ inside both, S' < T' again. Only where T extends S
 * may T' come first: {a} < {a,b}, but with c added {a,b,c} < {a,c}. So a series is held back while a
 * later one may extend it: the held ones form a stack, each a prefix of the one above, S' falling
 * towards the top. A new series lets go of all that it does not extend, and of those that come before
 * it anyway. A series whose last name lies behind all added names cannot be overtaken and is never
 * held. Held series are copied, since the input's view ends with its next call; slots are used again.
 *
 * A series that has an added label itself loses it, and with it the argument above: from the first
 * such series on the rest is read whole, sorted and joined. What was shown before lies before it.
 */
#include <stdlib.h>

#include "base/vec.h"

#include "dedup/dedup_int.h"

/* A series with both label sets; `orig` decides what extends it, `s.labels` is what is shown. */
struct slot {
	struct series_in s;
	struct labels orig;
	struct arena mem;
	struct slot *next; /* free list */
};
struct relabel {
	struct series_set base;
	struct series_set *in; /* NULL: at its end */
	struct arena mem;      /* ext */
	struct labels ext;
	struct slot **stack;
	size_t n, cap;
	struct slot *free_slots, *shown;
	struct series_in now;		 /* a series passed through */
	const struct series_in *waiting; /* passed through, but held ones come first */
	struct label *l;
	size_t l_cap;
	struct arena rest_mem; /* the fallback */
	struct gather rest;
	size_t rest_i;
	bool fallback;
	struct budget *budget;
};

static struct slot *slot_take(struct relabel *r)
{
	struct slot *s = r->free_slots;
	if (s) {
		r->free_slots = s->next;
		return s;
	}
	s = xcalloc(1, sizeof *s);
	arena_init(&s->mem, r->budget);
	return s;
}

static void slot_give(struct relabel *r, struct slot *s)
{
	if (!s)
		return;
	arena_reset(&s->mem);
	s->next = r->free_slots;
	r->free_slots = s;
}

static struct labels with_ext(struct relabel *r, struct labels ls)
{
	size_t need = (size_t)ls.n + r->ext.n;
	if (need > r->l_cap || !r->l)
		r->l = vec_grow(r->l, &r->l_cap, need + 1, sizeof *r->l);
	return labels_merge(r->l, ls, r->ext);
}

/* Can a later series that extends ls come before it once labels are added? */
static bool may_be_overtaken(const struct relabel *r, struct labels ls)
{
	if (r->ext.n == 0)
		return false;
	return ls.n == 0 || str_cmp(r->ext.l[r->ext.n - 1].name, ls.l[ls.n - 1].name) > 0;
}

static int push(struct relabel *r, struct ctx *ctx, const struct series_in *x,
		struct labels shown, struct err *e)
{
	struct slot *s = slot_take(r);
	struct gather g = { .a = &s->mem };
	int rc = labels_try_dup(&s->mem, ctx, x->labels, &s->orig, e);
	if (rc == 0)
		rc = gather_add(&g, ctx, x, shown, e);
	if (rc == 0)
		s->s = g.v[0];
	gather_deinit(&g);
	if (r->n == r->cap)
		r->stack = vec_grow(r->stack, &r->cap, r->n + 1, sizeof *r->stack);
	if (rc == 0)
		r->stack[r->n++] = s;
	else
		slot_give(r, s);
	return rc;
}

static bool has_ext_name(const struct relabel *r, struct labels ls)
{
	uint32_t i = 0, k = 0;
	while (i < ls.n && k < r->ext.n) {
		int c = str_cmp(ls.l[i].name, r->ext.l[k].name);
		if (c == 0)
			return true;
		i += c < 0;
		k += c > 0;
	}
	return false;
}

/* Read the rest whole, x first, and with it all that is held. */
static int fall_back(struct relabel *r, struct ctx *ctx, const struct series_in *x,
		     struct err *e)
{
	int rc = 1;
	r->fallback = true;
	for (size_t i = 0; i < r->n; i++)
		if (gather_add(&r->rest, ctx, &r->stack[i]->s, r->stack[i]->s.labels, e) <
		    0)
			return -1;
	while (r->n > 0)
		slot_give(r, r->stack[--r->n]);
	while (rc > 0) {
		if (gather_add(&r->rest, ctx, x, with_ext(r, x->labels), e) < 0)
			return -1;
		rc = series_set_next(r->in, ctx, &x, e);
	}
	if (rc < 0)
		return -1;
	series_set_close(r->in);
	r->in = NULL;
	return gather_finish(&r->rest, ctx, e);
}

static int show_slot(struct relabel *r, const struct series_in **out)
{
	r->shown = r->stack[--r->n];
	*out = &r->shown->s;
	return 1;
}

static int show_rest(struct relabel *r, const struct series_in **out)
{
	if (r->rest_i == r->rest.n)
		return 0;
	*out = &r->rest.v[r->rest_i++];
	return 1;
}

/* Let go of the topmost held series if x (as x2) does not stay before it. */
static bool lets_go(const struct relabel *r, struct labels x, struct labels x2)
{
	if (r->n == 0)
		return false;
	const struct slot *top = r->stack[r->n - 1];
	return !labels_extends(top->orig, x) || labels_cmp(top->s.labels, x2) < 0;
}

static int relabel_next(struct series_set *base, struct ctx *ctx,
			const struct series_in **out, struct err *e)
{
	struct relabel *r = CONTAINER_OF(base, struct relabel, base);
	const struct series_in *x = r->waiting;
	slot_give(r, r->shown);
	r->shown = NULL;
	for (;;) {
		if (r->fallback)
			return show_rest(r, out);
		if (!x && r->in) {
			int rc = series_set_next(r->in, ctx, &x, e);
			if (rc < 0)
				return -1;
			if (rc == 0) {
				series_set_close(r->in);
				r->in = NULL;
				x = NULL;
			}
		}
		if (!x)
			return r->n > 0 ? show_slot(r, out) : 0;
		if (has_ext_name(r, x->labels)) {
			r->waiting = NULL;
			if (fall_back(r, ctx, x, e) < 0)
				return -1;
			continue;
		}
		struct labels x2 = with_ext(r, x->labels);
		if (lets_go(r, x->labels, x2)) {
			r->waiting = x;
			return show_slot(r, out);
		}
		r->waiting = NULL;
		if (!may_be_overtaken(r, x->labels)) {
			r->now = *x;
			r->now.labels = x2;
			*out = &r->now;
			return 1;
		}
		if (push(r, ctx, x, x2, e) < 0)
			return -1;
		x = NULL;
	}
}

static void slot_free(struct slot *s)
{
	if (s)
		arena_deinit(&s->mem);
	free(s);
}

static void relabel_close(struct series_set *base)
{
	struct relabel *r = CONTAINER_OF(base, struct relabel, base);
	series_set_close(r->in);
	slot_free(r->shown);
	while (r->n > 0)
		slot_free(r->stack[--r->n]);
	while (r->free_slots) {
		struct slot *s = r->free_slots;
		r->free_slots = s->next;
		slot_free(s);
	}
	gather_deinit(&r->rest);
	arena_deinit(&r->rest_mem);
	arena_deinit(&r->mem);
	free(r->stack);
	free(r->l);
	free(r);
}

static const struct series_set_ops ops = { relabel_next, relabel_close };

int relabel_open(struct ctx *ctx, struct series_set *in, struct labels ext,
		 struct series_set **out, struct err *e)
{
	struct relabel *r = xcalloc(1, sizeof *r);
	(void)e;
	r->base.ops = &ops;
	r->in = in;
	r->budget = ctx ? ctx->budget : NULL;
	arena_init(&r->mem, r->budget);
	arena_init(&r->rest_mem, r->budget);
	r->rest.a = &r->rest_mem;
	r->ext = labels_dup(&r->mem, ext);
	*out = &r->base;
	return 0;
}
