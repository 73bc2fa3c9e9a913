/*
 * tsdb/block/source.c - the files of a block folder.
 *
 * A part that is missing or of which the folder says something wrong is E_CORRUPT, named with the block: all or nothing.
 */
#include <stdio.h>

#include "base/limits.h"
#include "fs/fs.h"
#include "tsdb/block/block_int.h"
#include "tsdb/block/scan.h"

#define TOMBSTONES_MAX (256u << 20)

struct opening {
	struct ctx *ctx;
	struct arena *a;
	const char *dir;
	struct block_source *out;
	struct arena tmp;
	char id[27];
};

static const char *path_of(struct opening *o, const char *name)
{
	return str_fmt(&o->tmp, "%s/%s", o->dir, name).p;
}

static int read_meta(struct opening *o, struct err *e)
{
	struct block_meta *m = ARENA_NEW(o->a, struct block_meta);
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_META_BYTES);
	rc = fs_read_file(o->ctx, path_of(o, "meta.json"), LIMIT_META_BYTES, &text, e);
	if (rc == 0)
		rc = block_meta_parse(o->ctx, o->a, buf_view(&text), m, e);
	buf_deinit(&text);
	if (rc < 0)
		return err_wrap(o->ctx, e, "meta.json");
	ulid_format(&m->ulid, o->id);
	o->out->meta = m;
	return 0;
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

static int open_segments(struct opening *o, struct err *e)
{
	const struct block_meta *m = o->out->meta;
	struct fs_names names = { 0 };
	size_t n = 0;

	if (fs_list(o->ctx, &o->tmp, path_of(o, "chunks"), &names, e) < 0)
		return e->code == E_NOT_FOUND && m->stats.chunks == 0 ? 0 : -1;
	struct range_source **src = ARENA_ARRAY(o->a, struct range_source *, names.n + 1);
	o->out->segment = src;
	for (size_t i = 0; i < names.n; i++) {
		uint64_t number = segment_number(names.name[i]);
		if (number == 0)
			continue;
		if (number != n + 1)
			return err_set(o->ctx, e, E_CORRUPT, "%06zu: no such file",
				       n + 1);
		const char *path =
			str_fmt(&o->tmp, "%s/chunks/%.*s", o->dir, STR_FMT(names.name[i]))
				.p;
		if (range_source_file(o->ctx, path, &src[n], e) < 0)
			return -1;
		o->out->n_segments = ++n;
	}
	if (n < m->thanos.n_segment_files || (n == 0 && m->stats.chunks > 0))
		return err_set(o->ctx, e, E_CORRUPT, "%06zu: no such file", n + 1);
	return 0;
}

static int open_tombstones(struct opening *o, struct err *e)
{
	const char *path = path_of(o, "tombstones");
	struct tombstones *t = NULL;
	struct fs_stat st;
	struct buf text;
	int rc = fs_stat(o->ctx, path, &st, e);

	if (rc == 0 && st.kind == FS_NONE)
		return 0;
	buf_init(&text, TOMBSTONES_MAX);
	if (rc == 0)
		rc = fs_read_file(o->ctx, path, TOMBSTONES_MAX, &text, e);
	if (rc == 0)
		rc = tombstones_parse(o->ctx, buf_view(&text), &t, e);
	buf_deinit(&text);
	o->out->tombstones = t;
	return rc < 0 ? err_wrap(o->ctx, e, "tombstones") : 0;
}

static int open_parts(struct opening *o, struct err *e)
{
	if (read_meta(o, e) < 0)
		return -1;
	if (range_source_file(o->ctx, path_of(o, "index"), &o->out->index, e) < 0)
		return err_wrap(o->ctx, e, "index");
	if (open_segments(o, e) < 0)
		return err_wrap(o->ctx, e, "chunks");
	return open_tombstones(o, e);
}

int block_source_open_dir(struct ctx *ctx, struct arena *a, const char *dir,
			  struct block_source *out, struct err *e)
{
	struct opening o = { .ctx = ctx, .a = a, .dir = dir, .out = out };
	const char *slash = strrchr(dir, '/'),
		   *base = slash && slash[1] ? slash + 1 : dir;

	*out = (struct block_source){ 0 };
	snprintf(o.id, sizeof(o.id), "%s", base);
	arena_init(&o.tmp, NULL);
	int rc = open_parts(&o, e);
	arena_deinit(&o.tmp);
	if (rc == 0)
		return 0;
	block_source_close(out);
	if (e->code == E_NOT_FOUND) /* a part is missing: of a block, that is damage */
		e->code = E_CORRUPT;
	return err_wrap(ctx, e, "block %s", o.id);
}

void block_source_close(struct block_source *src)
{
	range_source_unref(src->index);
	for (size_t i = 0; i < src->n_segments; i++)
		range_source_unref(src->segment[i]);
	tombstones_free(src->tombstones);
	*src = (struct block_source){ 0 };
}
