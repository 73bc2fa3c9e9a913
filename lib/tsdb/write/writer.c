/*
 * tsdb/write/writer.c - the block writer: series to chunks and index, then the whole to its name.
 *
 * Nothing under <dir>/<ULID> is ever half: files are synced, then the folders that name them, then the temporary
 * folder is renamed and its parent synced. Only when that last sync fails is the block under its name taken back,
 * again by a rename first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/vec.h"
#include "tsdb/write/write_int.h"

#define MEMORY_DEFAULT	((size_t)128 << 20)
#define MEMORY_LEAST	((size_t)1 << 20)
#define SEGMENT_DEFAULT ((uint64_t)512 << 20)
#define TMP_SUFFIX	".tmp-for-creation"
#define FIXED_BYTES                                                                      \
	(WRITE_BUFFER + SEGMENT_BUFFER + SYM_SAMPLES * 4 + ((size_t)512 << 10))

struct block_writer {
	struct block_writer_opts o;
	struct budget *budget; /* FIXED_BYTES are charged to it */
	char *tmp, *final;     /* folders */
	char id[27];
	bool made, failed;
	struct seg_writer seg;
	struct index_writer index;
	struct block_writer_stats st;
	struct buf aggr; /* an AggrChunk put together */
	struct index_chunk *chunk;
	size_t chunk_cap;
};

static void writer_free(struct block_writer *w)
{
	seg_drop(&w->seg);
	index_drop(&w->index);
	budget_give(w->budget, w->budget ? FIXED_BYTES : 0);
	buf_deinit(&w->aggr);
	free(w->chunk);
	free(w->tmp);
	free(w->final);
	free(w);
}

static char *path_of(const char *dir, const char *name, const char *suffix)
{
	size_t n = strlen(dir) + strlen(name) + strlen(suffix) + 2;
	char *p = xmalloc(n);
	snprintf(p, n, "%s/%s%s", dir, name, suffix);
	return p;
}

static int make_folders(struct block_writer *w, struct ctx *ctx, const char *dir,
			struct err *e)
{
	struct fs_stat st;
	if (fs_mkdir_p(ctx, dir, e) < 0 || fs_stat(ctx, w->final, &st, e) < 0)
		return -1;
	if (st.kind != FS_NONE)
		return err_set(ctx, e, E_EXISTS, "%s is there already", w->final);
	if (fs_remove_all(ctx, w->tmp, e) < 0)
		return -1;
	w->made = true;
	char *chunks = path_of(w->tmp, "chunks", "");
	int rc = fs_mkdir_p(ctx, chunks, e);
	free(chunks);
	return rc;
}

static int fail(struct block_writer *w, struct ctx *ctx, struct err *e)
{
	w->failed = true;
	return err_wrap(ctx, e, "write block %s", w->id);
}

int block_writer_open(struct ctx *ctx, const struct block_writer_opts *o,
		      struct block_writer **out, struct err *e)
{
	struct block_writer *w = xcalloc(1, sizeof(*w));
	w->o = *o;
	if (!w->o.memory)
		w->o.memory = MEMORY_DEFAULT;
	w->o.memory = MAX(w->o.memory, MEMORY_LEAST);
	ulid_format(&o->ulid, w->id);
	w->tmp = path_of(o->dir, w->id, TMP_SUFFIX);
	w->final = path_of(o->dir, w->id, "");
	w->seg.dir = w->tmp;
	w->seg.wrote = o->wrote;
	w->seg.arg = o->check_arg;
	w->seg.limit = o->segment_bytes ? o->segment_bytes : SEGMENT_DEFAULT;
	w->st.mint_ms = INT64_MAX;
	w->st.maxt_ms = INT64_MIN;
	buf_init(&w->aggr, LIMIT_CHUNK_BYTES);
	if (ctx->budget && budget_take(ctx->budget, ctx, FIXED_BYTES, e) < 0)
		goto failed;
	w->budget = ctx->budget;
	if (make_folders(w, ctx, o->dir, e) < 0 ||
	    index_open(&w->index, ctx, w->tmp, w->o.memory, e) < 0)
		goto failed;
	w->index.seen = o->entry;
	w->index.arg = o->check_arg;
	w->o.dir = NULL; /* the caller's */
	*out = w;
	return 0;
failed:
	fail(w, ctx, e);
	block_writer_abort(w);
	return -1;
}

void block_writer_abort(struct block_writer *w)
{
	struct err why = ERR_INIT;
	if (!w)
		return;
	if (w->made && fs_remove_all(NULL, w->tmp, &why) < 0)
		log_warn(NULL, "%s stays for the next start to remove: %s", w->tmp,
			 err_text(&why));
	writer_free(w);
}

void block_writer_limit(struct block_writer *w, struct write_limits l)
{
	w->index.limits = l;
	if (l.memory)
		post_set_memory(&w->index.sort, l.memory);
}

int block_writer_symbol(struct block_writer *w, struct ctx *ctx, struct str s,
			struct err *e)
{
	if (w->failed)
		return err_set(ctx, e, E_ABORTED, "block %s: writing failed before",
			       w->id);
	return index_symbol(&w->index, ctx, s, e) < 0 ? fail(w, ctx, e) : 0;
}

/* ---- chunks ---- */

static int bad_chunk(const struct block_writer *w, struct ctx *ctx,
		     const struct chunk_view *c, const char *what, struct err *e)
{
	return err_set(ctx, e, E_INVALID,
		       "series %" PRIu64 ": chunk [%" PRId64 ", %" PRId64 "]: %s",
		       w->st.series, c->mint_ms, c->maxt_ms, what);
}

static int check_part(const struct block_writer *w, struct ctx *ctx,
		      const struct chunk_view *c, enum aggr a, struct err *e)
{
	const struct chunk_part *p = &c->part[a];
	unsigned last = w->o.newer_encodings ? CHUNK_FLOATHIST_ST : CHUNK_FLOATHIST;
	if (p->enc < CHUNK_XOR || p->enc > CHUNK_FLOATHIST_ST)
		return bad_chunk(w, ctx, c, "unknown encoding", e);
	if (p->enc > last)
		return err_set(ctx, e, E_INVALID,
			       "series %" PRIu64 ": encoding %s may not be written here",
			       w->st.series, chunk_enc_name(p->enc));
	if (p->n > LIMIT_CHUNK_BYTES)
		return bad_chunk(w, ctx, c, "larger than a chunk may be", e);
	return 0;
}

static void count_samples(struct block_writer_stats *st, const struct chunk_view *c)
{
	const struct chunk_part *raw = &c->part[AGGR_RAW];
	if (!raw->p) {
		st->samples += chunk_count(c->part[AGGR_COUNT]);
		return;
	}
	uint32_t n = chunk_count(*raw);
	st->samples += n;
	if (raw->enc == CHUNK_XOR || raw->enc == CHUNK_XOR2)
		st->float_samples += n;
	else
		st->histogram_samples += n;
}

/* The bytes that stand in the segment for c. */
static int encode(struct block_writer *w, struct ctx *ctx, const struct chunk_view *c,
		  struct chunk_part *out, struct err *e)
{
	if (c->part[AGGR_RAW].p) {
		*out = c->part[AGGR_RAW];
		if (check_part(w, ctx, c, AGGR_RAW, e) < 0)
			return -1;
		if (chunk_count(*out) == 0)
			return bad_chunk(w, ctx, c, "holds no samples", e);
		return 0;
	}
	size_t parts = 0;
	for (enum aggr a = AGGR_COUNT; a < AGGR_N; a++) {
		if (!c->part[a].p)
			continue;
		parts++;
		if (check_part(w, ctx, c, a, e) < 0)
			return -1;
	}
	if (!parts)
		return bad_chunk(w, ctx, c, "has no data", e);
	buf_reset(&w->aggr);
	chunk_aggr_join(c, &w->aggr);
	if (buf_check(&w->aggr, ctx, "aggregate chunk", e) < 0)
		return -1;
	*out = (struct chunk_part){ w->aggr.p, (uint32_t)w->aggr.n, CHUNK_AGGR };
	return 0;
}

static uint32_t sum_of(const struct block_writer *w, const struct chunk_view *c,
		       struct chunk_part p)
{
	if (w->o.scanned && c->hash)
		return (uint32_t)c->hash;
	return crc32c(crc32c(0, &p.enc, 1), p.p, p.n);
}

static int write_chunks(struct block_writer *w, struct ctx *ctx,
			const struct chunk_view *c, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct chunk_part p;
		if (c[i].mint_ms > c[i].maxt_ms)
			return bad_chunk(w, ctx, &c[i], "ends before it begins", e);
		if (i && c[i].mint_ms <= c[i - 1].maxt_ms)
			return bad_chunk(w, ctx, &c[i], "not behind the one before", e);
		if (encode(w, ctx, &c[i], &p, e) < 0 ||
		    seg_write(&w->seg, ctx, p, sum_of(w, &c[i], p), &w->chunk[i].ref, e) <
			    0)
			return -1;
		w->chunk[i].mint_ms = c[i].mint_ms;
		w->chunk[i].maxt_ms = c[i].maxt_ms;
		count_samples(&w->st, &c[i]);
	}
	return 0;
}

int block_writer_series(struct block_writer *w, struct ctx *ctx, const uint32_t *label,
			size_t n_labels, const struct chunk_view *chunks, size_t n,
			struct err *e)
{
	if (w->failed)
		return err_set(ctx, e, E_ABORTED, "block %s: writing failed before",
			       w->id);
	if (index_check_labels(&w->index, ctx, label, n_labels, e) < 0)
		return fail(w, ctx, e);
	if (n == 0) {
		err_set(ctx, e, E_INVALID, "series %" PRIu64 " has no chunks",
			w->st.series);
		return fail(w, ctx, e);
	}
	if (n > w->chunk_cap)
		w->chunk = vec_grow(w->chunk, &w->chunk_cap, n, sizeof(*w->chunk));
	if (write_chunks(w, ctx, chunks, n, e) < 0 ||
	    index_series(&w->index, ctx, label, n_labels, w->chunk, n, e) < 0)
		return fail(w, ctx, e);
	w->st.mint_ms = MIN(w->st.mint_ms, chunks[0].mint_ms);
	w->st.maxt_ms = MAX(w->st.maxt_ms, chunks[n - 1].maxt_ms);
	w->st.chunks += n;
	w->st.series++;
	return 0;
}

/* ---- the end ---- */

static void fill_meta(const struct block_writer *w, struct block_meta *m, bool keep_stats)
{
	const struct block_writer_stats *st = &w->st;
	m->ulid = w->o.ulid;
	if (!keep_stats) {
		m->stats.samples = st->samples;
		m->stats.float_samples = st->float_samples;
		m->stats.histogram_samples = st->histogram_samples;
		m->stats.series = st->series;
		m->stats.chunks = st->chunks;
	}
	if (m->has_thanos) {
		m->thanos.series_max_size = (int64_t)st->series_max_size;
		m->thanos.chunk_max_size = (int64_t)st->chunk_max_size;
	}
}

static int write_meta(struct block_writer *w, struct ctx *ctx, const struct block_meta *m,
		      struct err *e)
{
	struct fs_out *f = NULL;
	struct buf b;
	buf_init(&b, LIMIT_META_BYTES);
	block_meta_write(m, &b);
	char *path = path_of(w->tmp, "meta.json", "");
	int rc = buf_check(&b, ctx, "meta.json", e);
	if (rc == 0)
		rc = fs_out_create(ctx, path, b.n + 1, &f, e);
	if (rc == 0 && (rc = fs_out_write(f, ctx, b.p, b.n, e)) < 0)
		fs_out_drop(f);
	else if (rc == 0)
		rc = fs_out_close(f, ctx, e);
	free(path);
	buf_deinit(&b);
	return rc;
}

static int sync_folders(const struct block_writer *w, struct ctx *ctx, struct err *e)
{
	char *chunks = path_of(w->tmp, "chunks", "");
	int rc = fs_fsync_dir(ctx, chunks, e);
	free(chunks);
	return rc < 0 ? -1 : fs_fsync_dir(ctx, w->tmp, e);
}

static int give_name(struct block_writer *w, struct ctx *ctx, struct err *e)
{
	struct fs_stat st;
	if (w->o.check && w->o.check(w->o.check_arg, ctx, w->tmp, &w->st, e) < 0)
		return -1;
	if (fs_rename(ctx, w->tmp, w->final, e) == 0) {
		w->made = false;
		return 0;
	}
	/* Renamed, but the parent's sync failed: the name is taken back, and abort removes the rest. */
	struct err ignored = ERR_INIT;
	if (fs_stat(ctx, w->tmp, &st, &ignored) == 0 && st.kind == FS_NONE &&
	    rename(w->final, w->tmp) < 0)
		err_wrap(ctx, e, "%s stays", w->final);
	return -1;
}

int block_writer_finish(struct block_writer *w, struct ctx *ctx, struct block_meta *meta,
			bool keep_stats, struct block_writer_stats *stats, struct err *e)
{
	int rc = -1;
	struct block_writer_stats *st = &w->st;
	if (w->failed) {
		err_set(ctx, e, E_ABORTED, "writing failed before");
		goto out;
	}
	if (st->series == 0) {
		err_set(ctx, e, E_INVALID, "no series were written");
		goto out;
	}
	if (seg_finish(&w->seg, ctx, e) < 0 ||
	    index_finish(&w->index, ctx, &st->index_bytes, e) < 0)
		goto out;
	st->chunk_bytes = w->seg.bytes;
	st->segments = w->seg.n;
	st->chunk_max_size = w->seg.chunk_max;
	st->series_max_size = w->index.series_max;
	st->index_crc = w->index.crc;
	struct block_meta m = *meta; /* untouched on failure */
	fill_meta(w, &m, keep_stats);
	if (write_meta(w, ctx, &m, e) < 0 || sync_folders(w, ctx, e) < 0 ||
	    give_name(w, ctx, e) < 0)
		goto out;
	*meta = m;
	if (stats)
		*stats = *st;
	rc = 0;
out:
	if (rc < 0)
		fail(w, ctx, e);
	block_writer_abort(w);
	return rc;
}

int block_writer_clean(struct ctx *ctx, const char *dir, struct err *e)
{
	struct fs_names l = { 0 };
	struct arena a;
	struct fs_stat st;
	struct ulid u;
	if (fs_stat(ctx, dir, &st, e) < 0)
		return -1;
	if (st.kind == FS_NONE)
		return 0;
	arena_init(&a, ctx->budget);
	int rc = fs_list(ctx, &a, dir, &l, e);
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		struct str s = l.name[i];
		if (!str_has_suffix(s, STR(TMP_SUFFIX)) ||
		    !ulid_parse(str_n(s.p, s.n - (sizeof(TMP_SUFFIX) - 1)), &u))
			continue;
		char *path = path_of(dir, s.p, "");
		rc = fs_remove_all(ctx, path, e);
		free(path);
	}
	arena_deinit(&a);
	return rc;
}
