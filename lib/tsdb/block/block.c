/*
 * tsdb/block/block.c - opening a block and keeping it.
 *
 *   <ULID>/meta.json      what the block holds
 *   <ULID>/index          labels, postings, where chunks are
 *   <ULID>/chunks/000001  segments, numbered from 1 without a gap
 *   <ULID>/tombstones     optional
 *
 * A block on disk is opened whole or not at all: a missing or damaged part is E_CORRUPT, named with the
 * block. Single series and chunks are checked when they are read. Once open, nothing of a block
 * changes but the note which kinds of damage were logged, so requests share it freely.
 */
#include "tsdb/block/block_int.h"
#include "tsdb/block/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

static void block_free(struct ref *ref)
{
	struct block *b = CONTAINER_OF(ref, struct block, ref);

	idx_close(b->index);
	if (b->segments)
		segments_close(b->segments);
	tombstones_free(b->tombstones);
	arena_deinit(&b->arena);
	free(b);
}

struct block *block_ref(struct block *b)
{
	if (b)
		ref_get(&b->ref);
	return b;
}

void block_unref(struct block *b)
{
	if (b)
		ref_put(&b->ref);
}

static struct block *block_new(void)
{
	struct block *b = xcalloc(1, sizeof(*b));

	ref_init(&b->ref, block_free);
	arena_init(&b->arena, NULL);
	return b;
}

void block_damaged(struct block *b, struct ctx *ctx, enum block_damage kind,
		   const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	notes_warn(ctx->notes, "block %s: %s", b->id, text);
	if (b->on_damage)
		b->on_damage(b->on_damage_arg, b->id,
			     kind == DAMAGE_SERIES ? "index" : "chunks");
	if (!(atomic_fetch_or_explicit(&b->damage, 1u << kind, memory_order_relaxed) &
	      1u << kind))
		log_warn(ctx, "block %s: %s; further damage of this kind is not logged",
			 b->id, text);
}

/* ---- a folder ---- */

/* Index, segments and tombstones of an opened source become the block's. */
static int take_parts(struct block *b, struct ctx *ctx, struct block_source *src,
		      struct err *e)
{
	b->meta = *src->meta;
	if (idx_open_index(ctx, src->index, &b->index, e) < 0)
		return err_wrap(ctx, e, "block %s: index", b->id);
	if (src->n_segments > 0) {
		size_t n = src->n_segments;
		src->n_segments = 0; /* taken over, also on failure */
		if (segments_open(ctx, src->segment, n, &b->segments, e) < 0)
			return err_wrap(ctx, e, "block %s: chunks", b->id);
	}
	b->tombstones = src->tombstones;
	src->tombstones = NULL;
	return 0;
}

int block_open_dir(struct ctx *ctx, const char *dir, struct block **out, struct err *e)
{
	struct block *b = block_new();
	struct block_source src;

	if (block_source_open_dir(ctx, &b->arena, dir, &src, e) < 0) {
		block_unref(b);
		return -1;
	}
	ulid_format(&src.meta->ulid, b->id);
	int rc = take_parts(b, ctx, &src, e);
	block_source_close(&src);
	if (rc < 0)
		block_unref(b);
	else
		*out = b;
	return rc;
}

/* ---- parts opened elsewhere ---- */

int block_open_sources(struct ctx *ctx, const struct block_meta *meta,
		       struct idx_reader *index, struct segments *segs,
		       struct tombstones *stones, struct block **out, struct err *e)
{
	struct block *b = block_new();

	ulid_format(&meta->ulid, b->id);
	if (block_meta_dup(ctx, &b->arena, meta, &b->meta, e) < 0) {
		block_unref(b);
		return -1;
	}
	b->index = index;
	b->segments = segs;
	b->tombstones = stones;
	*out = b;
	return 0;
}
