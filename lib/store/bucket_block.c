/*
 * store/bucket_block.c - opening one block of the bucket.
 *
 *   <data_dir>/<ULID>/index-header   local: TOC, symbols, postings offsets of the index
 *   <ULID>/index                     remote: postings and series by ranged reads
 *   <ULID>/chunks/NNNNNN             remote: chunks by ranged reads
 *
 * The index-header is derived data: absent, cut or damaged it is built again from the index, and only a
 * second refusal counts against the block. Which segments there are stands in meta.json
 * (thanos.segment_files, or thanos.files of newer writers); else the folder is listed. Tombstones are
 * not looked for: no writer uploads them. Source  thanos.md §3.4, §4.6
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "store/bucket_int.h"

struct opening {
	struct bucket_store *b;
	struct ctx *ctx;
	const struct block_meta *meta;
	char id[27];
	struct arena tmp;
	struct idx_reader *index;
	struct segments *segments;
};

static int open_object(struct opening *o, const char *name, struct range_source **out,
		       struct err *e)
{
	struct str key = str_fmt(&o->tmp, "%s/%s", o->id, name);
	if (bucket_open(o->b->o.bucket, o->ctx, key, out, e) < 0) {
		if (e->code == E_NOT_FOUND) /* part of a block: damage */
			e->code = E_CORRUPT;
		return -1;
	}
	if (o->b->o.downloaded_bytes_limit)
		*out = bucket_meter_source(*out);
	return 0;
}

/* ---- index ---- */

static int read_header(struct opening *o, const char *path, struct range_source *index,
		       struct err *e)
{
	struct range_source *header;
	if (range_source_file(o->ctx, path, &header, e) < 0)
		return -1;
	int rc = idx_open_header(o->ctx, header, index, &o->index, e);
	range_source_unref(header);
	return rc;
}

static int open_index(struct opening *o, struct err *e)
{
	const char *dir = str_fmt(&o->tmp, "%s/%s", o->b->data_dir, o->id).p;
	const char *path = str_fmt(&o->tmp, "%s/index-header", dir).p;
	struct range_source *index;
	struct err seen = ERR_INIT;
	if (open_object(o, "index", &index, e) < 0)
		return -1;
	int rc = read_header(o, path, index, &seen);
	if (rc < 0) {
		if (seen.code == E_CANCELLED || seen.code == E_TIMEOUT) {
			*e = seen;
			goto out;
		}
		if (seen.code != E_NOT_FOUND) {
			log_warn(o->ctx, "block %s: index-header is built again: %s",
				 o->id, err_text(&seen));
			blocks_damage(o->b->damage, o->id, "index-header");
		}
		rc = fs_mkdir_p(o->ctx, dir, e);
		if (rc == 0)
			rc = idx_build_header(o->ctx, index, path, e);
		if (rc == 0)
			rc = read_header(o, path, index, e);
	}
out:
	range_source_unref(index);
	return rc;
}

/* ---- segments ---- */

struct names {
	struct arena *a;
	struct str *v;
	size_t n, cap;
};

/* Number of a segment file; 0: another file. */
static uint64_t segment_number(struct str name)
{
	uint64_t v;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < '0' || name.p[i] > '9')
			return 0;
	return name.n == 6 && str_to_u64(name, &v) ? v : 0;
}

/* Keep the last part of a path if it is a segment's name. */
static void see_name(struct names *l, struct str path)
{
	size_t at = path.n;
	while (at > 0 && path.p[at - 1] != '/')
		at--;
	struct str name = str_from(path, at);
	if (segment_number(name) == 0)
		return;
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = str_dup(l->a, name);
}

static int see_object(void *arg, struct str name, const struct bucket_attrs *a UNUSED,
		      struct err *e UNUSED)
{
	see_name(arg, name);
	return 0;
}

static int by_name(const void *a, const void *b, void *arg UNUSED)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int list_segments(struct opening *o, struct names *l, struct err *e)
{
	const struct block_meta *m = o->meta;
	for (size_t i = 0; i < m->thanos.n_segment_files; i++)
		see_name(l, m->thanos.segment_files[i]);
	bool none = l->n == 0;
	for (size_t i = 0; none && i < m->thanos.n_files; i++)
		if (str_has_prefix(m->thanos.files[i].rel_path, STR("chunks/")))
			see_name(l, m->thanos.files[i].rel_path);
	if (l->n == 0 &&
	    bucket_iter(o->b->o.bucket, o->ctx, str_fmt(&o->tmp, "%s/chunks", o->id),
			false, see_object, l, e) < 0 &&
	    e->code != E_NOT_FOUND)
		return -1;
	vec_sort(l->v, l->n, sizeof(*l->v), by_name, NULL);
	for (size_t i = 0; i < l->n; i++)
		if (segment_number(l->v[i]) != i + 1)
			return err_set(o->ctx, e, E_CORRUPT,
				       "chunks/%06zu: no such segment", i + 1);
	if (l->n == 0 && m->stats.chunks > 0)
		return err_set(o->ctx, e, E_CORRUPT, "chunks/000001: no such segment");
	return 0;
}

static int open_segments(struct opening *o, struct err *e)
{
	struct names l = { .a = &o->tmp };
	struct range_source **src = NULL;
	size_t n = 0;
	int rc = list_segments(o, &l, e);
	if (rc == 0 && l.n) {
		src = xcalloc(l.n, sizeof(struct range_source *));
		for (; rc == 0 && n < l.n; n += rc == 0) {
			const char *name =
				str_fmt(&o->tmp, "chunks/%.*s", STR_FMT(l.v[n])).p;
			rc = open_object(o, name, &src[n], e);
		}
		if (rc == 0) /* takes the sources over whatever comes of it */
			rc = segments_open(o->ctx, src, n, &o->segments, e);
		else
			for (size_t i = 0; i < n; i++)
				range_source_unref(src[i]);
	}
	free(src);
	free(l.v);
	return rc;
}

/* A block lives no longer than the store: requests that hold it end before. */
static void met_damage(void *arg, const char *id, const char *file)
{
	struct bucket_store *b = arg;
	blocks_damage(b->damage, id, file);
}

int bucket_block_open(struct bucket_store *b, struct ctx *ctx,
		      const struct block_meta *meta, struct block **out, struct err *e)
{
	struct opening o = { .b = b, .ctx = ctx, .meta = meta };
	int64_t res = meta->thanos.resolution_ms;
	ulid_format(&meta->ulid, o.id);
	if (res != 0 && res != 300000 && res != 3600000) {
		blocks_damage(b->damage, o.id, "meta.json");
		return err_set(ctx, e, E_UNSUPPORTED,
			       "unsupported downsampling resolution %lld ms",
			       (long long)res);
	}
	arena_init(&o.tmp, NULL);
	const char *part = "index";
	int rc = open_index(&o, e);
	if (rc == 0) {
		part = "chunks";
		rc = open_segments(&o, e);
	}
	if (rc == 0)
		rc = block_open_sources(ctx, meta, o.index, o.segments, NULL, out, e);
	if (rc == 0) {
		(*out)->on_damage = met_damage;
		(*out)->on_damage_arg = b;
	} else {
		if (e->code == E_CORRUPT || e->code == E_UNSUPPORTED)
			blocks_damage(b->damage, o.id, part);
		idx_close(o.index);
		if (o.segments)
			segments_close(o.segments);
	}
	arena_deinit(&o.tmp);
	return rc;
}
