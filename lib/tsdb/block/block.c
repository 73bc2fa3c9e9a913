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

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/vec.h"
#include "fs/fs.h"

#define TOMBSTONES_MAX (256u << 20)

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

struct opening {
	struct ctx *ctx;
	const char *dir;
	struct block *b;
	struct arena tmp;
};

static const char *path_of(struct opening *o, const char *name)
{
	return str_fmt(&o->tmp, "%s/%s", o->dir, name).p;
}

static int read_meta(struct opening *o, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_META_BYTES);
	rc = fs_read_file(o->ctx, path_of(o, "meta.json"), LIMIT_META_BYTES, &text, e);
	if (rc == 0)
		rc = block_meta_parse(o->ctx, &o->b->arena, buf_view(&text), &o->b->meta,
				      e);
	buf_deinit(&text);
	if (rc == 0)
		ulid_format(&o->b->meta.ulid, o->b->id);
	return rc < 0 ? err_wrap(o->ctx, e, "meta.json") : 0;
}

static int open_index(struct opening *o, struct err *e)
{
	struct range_source *s = NULL;
	int rc = range_source_file(o->ctx, path_of(o, "index"), &s, e);

	if (rc == 0)
		rc = idx_open_index(o->ctx, s, &o->b->index, e);
	range_source_unref(s);
	return rc < 0 ? err_wrap(o->ctx, e, "index") : 0;
}

/* Number of a segment file; 0: another file. */
static uint64_t segment_number(struct str name)
{
	uint64_t v;

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < '0' || name.p[i] > '9')
			return 0;
	return name.n == 6 && str_to_u64(name, &v) ? v : 0;
}

static int open_segment_files(struct opening *o, const struct fs_names *names,
			      struct range_source **src, size_t *n, struct err *e)
{
	for (size_t i = 0; i < names->n; i++) {
		uint64_t number = segment_number(names->name[i]);
		if (number == 0)
			continue;
		if (number != *n + 1)
			return err_set(o->ctx, e, E_CORRUPT, "%06zu: no such file",
				       *n + 1);
		const char *path = str_fmt(&o->tmp, "%s/chunks/%.*s", o->dir,
					   STR_FMT(names->name[i]))
					   .p;
		if (range_source_file(o->ctx, path, &src[*n], e) < 0)
			return -1;
		++*n;
	}
	size_t want = o->b->meta.thanos.n_segment_files;
	if (*n < want || (*n == 0 && o->b->meta.stats.chunks > 0))
		return err_set(o->ctx, e, E_CORRUPT, "%06zu: no such file", *n + 1);
	return 0;
}

static int open_segments(struct opening *o, struct err *e)
{
	struct fs_names names = { 0 };
	struct range_source **src = NULL;
	size_t n = 0;
	int rc = fs_list(o->ctx, &o->tmp, path_of(o, "chunks"), &names, e);

	if (rc < 0 && e->code == E_NOT_FOUND && o->b->meta.stats.chunks == 0)
		return 0;
	if (rc == 0) {
		src = xcalloc(names.n + 1, sizeof(struct range_source *));
		rc = open_segment_files(o, &names, src, &n, e);
	}
	if (rc == 0 && n > 0)
		rc = segments_open(o->ctx, src, n, &o->b->segments, e);
	else
		for (size_t i = 0; i < n; i++)
			range_source_unref(src[i]);
	free(src);
	return rc < 0 ? err_wrap(o->ctx, e, "chunks") : 0;
}

static int open_tombstones(struct opening *o, struct err *e)
{
	const char *path = path_of(o, "tombstones");
	struct fs_stat st;
	struct buf text;
	int rc = fs_stat(o->ctx, path, &st, e);

	if (rc == 0 && st.kind == FS_NONE)
		return 0;
	buf_init(&text, TOMBSTONES_MAX);
	if (rc == 0)
		rc = fs_read_file(o->ctx, path, TOMBSTONES_MAX, &text, e);
	if (rc == 0)
		rc = tombstones_parse(o->ctx, buf_view(&text), &o->b->tombstones, e);
	buf_deinit(&text);
	return rc < 0 ? err_wrap(o->ctx, e, "tombstones") : 0;
}

int block_open_dir(struct ctx *ctx, const char *dir, struct block **out, struct err *e)
{
	struct opening o = { .ctx = ctx, .dir = dir, .b = block_new() };
	const char *slash = strrchr(dir, '/'),
		   *base = slash && slash[1] ? slash + 1 : dir;
	int rc;

	snprintf(o.b->id, sizeof(o.b->id), "%s", base);
	arena_init(&o.tmp, NULL);
	rc = read_meta(&o, e);
	if (rc == 0)
		rc = open_index(&o, e);
	if (rc == 0)
		rc = open_segments(&o, e);
	if (rc == 0)
		rc = open_tombstones(&o, e);
	arena_deinit(&o.tmp);
	if (rc == 0) {
		*out = o.b;
		return 0;
	}
	if (e->code == E_NOT_FOUND) /* a part is missing: of a block, that is damage */
		e->code = E_CORRUPT;
	err_wrap(ctx, e, "block %s", o.b->id);
	block_unref(o.b);
	return -1;
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
