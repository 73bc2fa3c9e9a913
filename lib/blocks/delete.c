/*
 * blocks/delete.c - a block out of a bucket, in the order that never shows half of one.
 *
 * meta.json goes first: from then on nobody takes the folder for a block. The deletion mark goes last, so that whoever
 * finds the rest of a deletion that stopped half way knows that it was one. The listing may be stale, so meta.json is
 * deleted whether it shows or not.
 */
#include "base/vec.h"
#include "blocks/blocks_int.h"

#include <stdlib.h>

struct names {
	struct arena arena;
	struct str *v;
	size_t n, cap;
};

static int note(void *arg, struct str name, const struct bucket_attrs *a UNUSED,
		struct err *e UNUSED)
{
	struct names *l = arg;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = str_dup(&l->arena, name);
	return 0;
}

int block_delete(struct bucket *b, struct ctx *ctx, const struct ulid *id, struct err *e)
{
	struct names l = { 0 };
	char text[27];
	ulid_format(id, text);
	arena_init(&l.arena, NULL);
	struct str meta = str_fmt(&l.arena, "%s/" BLOCKS_META_NAME, text);
	struct str mark = str_fmt(&l.arena, "%s/%s", text, mark_filename(MARK_DELETION));
	int rc = bucket_delete(b, ctx, meta, e);
	if (rc == 0)
		rc = bucket_iter(b, ctx, str_of(text), true, note, &l, e);
	for (size_t i = 0; rc == 0 && i < l.n; i++)
		if (!str_eq(l.v[i], meta) && !str_eq(l.v[i], mark))
			rc = bucket_delete(b, ctx, l.v[i], e);
	if (rc == 0)
		rc = bucket_delete(b, ctx, mark, e);
	free(l.v);
	arena_deinit(&l.arena);
	return rc < 0 ? err_wrap(ctx, e, "block %s", text) : 0;
}
