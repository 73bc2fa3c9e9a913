/* Deletion from buckets whose listings are not those of now. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

#define ID "01M81YVBWEZNH3H08SPVGX7K01"

/* The first listings are told to it; then they are those of `inner`, or, with `for_good`, the last one told. */
struct late {
	struct bucket base;
	struct bucket *inner;
	const char *const *told; /* names, each ended by a blank */
	size_t n_told, listed;
	bool for_good;
	char deleted[400]; /* names in their order */
};

static struct late *late_of(struct bucket *b)
{
	return CONTAINER_OF(b, struct late, base);
}

static int late_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		     int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			       struct err *e),
		     void *arg, struct err *e)
{
	struct late *l = late_of(b);
	size_t i = l->for_good ? MIN(l->listed, l->n_told - 1) : l->listed;
	l->listed++;
	if (i >= l->n_told)
		return bucket_iter(l->inner, ctx, dir, recursive, fn, arg, e);
	struct bucket_attrs at = { 3, 0 };
	struct str rest = str_of(l->told[i]), one;
	while (str_cut(&rest, ' ', &one)) {
		char name[100];
		snprintf(name, sizeof(name), "%.*s/%.*s", STR_FMT(dir), STR_FMT(one));
		if (fn(arg, str_of(name), &at, e) < 0)
			return -1;
	}
	return 0;
}

static int late_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		      struct bucket_attrs *out, struct err *e)
{
	return late_of(b)->inner->ops->attrs(late_of(b)->inner, ctx, name, out, e);
}

static int late_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct late *l = late_of(b);
	size_t n = strlen(l->deleted);
	snprintf(l->deleted + n, sizeof(l->deleted) - n, "%.*s ",
		 STR_FMT(str_from(name, strlen(ID) + 1)));
	return l->inner->ops->del(l->inner, ctx, name, e);
}

static const struct bucket_ops late_ops = { .iter = late_iter,
					    .attrs = late_attrs,
					    .del = late_del };
#define ALL "chunks/000001 chunks/000002 deletion-mark.json index meta.json "

static int delete_told(struct world *w, struct late *l, struct bucket *inner,
		       struct err *e)
{
	struct ulid id;
	cr_assert(ulid_parse(STR(ID), &id));
	l->base = (struct bucket){ &late_ops, "late" };
	l->inner = inner;
	return block_delete(&l->base, &w->ctx, &id, e);
}

static struct bucket *whole(struct world *w)
{
	struct bucket *b = bucket_mem_new();
	world_begin(w);
	world_put(w, b, ID "/chunks/000001", "abc");
	world_put(w, b, ID "/chunks/000002", "abc");
	world_put(w, b, ID "/deletion-mark.json", "{}");
	world_put(w, b, ID "/index", "abc");
	world_put(w, b, ID "/meta.json", "{}");
	return b;
}

Test(deletion, of_what_an_old_listing_does_not_show)
{
	static const char *const told[][3] = {
		{ "" },					    /* before the block */
		{ "chunks/000001 " },			    /* while it was put */
		{ "", "chunks/000001 ", "chunks/000001 " }, /* more than once */
		{ ALL, ALL },				    /* before the deletion */
		{ "deletion-mark.json ", "deletion-mark.json " }, /* nothing of it */
	};
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		struct world w;
		struct arena a;
		struct err e = ERR_INIT;
		struct late l = { .told = told[i] };
		struct bucket *b = whole(&w);
		arena_init(&a, NULL);
		while (l.n_told < 3 && told[i][l.n_told])
			l.n_told++;
		cr_assert_eq(delete_told(&w, &l, b, &e), 0, "%s", err_text(&e));
		cr_assert_str_eq(world_names(&w, &a, b), "", "case %zu", i);
		cr_assert(str_has_prefix(str_of(l.deleted), STR("meta.json ")));
		const char *end = "index deletion-mark.json ";
		cr_assert_str_eq(l.deleted + strlen(l.deleted) - strlen(end), end);
		arena_deinit(&a);
		bucket_close(b);
		world_end(&w);
	}
}

Test(deletion, one_listing_too_many_is_all_that_it_costs)
{
	struct world w;
	struct err e = ERR_INIT;
	struct late l = { 0 };
	struct bucket *b = whole(&w);
	cr_assert_eq(delete_told(&w, &l, b, &e), 0, "%s", err_text(&e));
	cr_assert_eq(l.listed, 2);
	cr_assert_str_eq(
		l.deleted,
		"meta.json chunks/000001 chunks/000002 index deletion-mark.json ");
	bucket_close(b);
	world_end(&w);
}

Test(deletion, is_not_called_done_while_the_listing_stays_old)
{
	static const char *const told[] = { "chunks/000001 deletion-mark.json " };
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct late l = { .told = told, .n_told = 1, .for_good = true };
	struct bucket *b = whole(&w);
	arena_init(&a, NULL);
	cr_assert_eq(delete_told(&w, &l, b, &e), -1);
	cr_assert_eq(e.code, E_UNAVAILABLE);
	cr_assert_str_eq(world_names(&w, &a, b),
			 ID "/chunks/000002 " ID "/deletion-mark.json " ID "/index ");
	struct late now = { 0 };
	e = ERR_INIT;
	cr_assert_eq(delete_told(&w, &now, b, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(world_names(&w, &a, b), "");
	arena_deinit(&a);
	bucket_close(b);
	world_end(&w);
}
