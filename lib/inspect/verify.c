/*
 * inspect/verify.c - is every part of a block what it should be? The order of the questions: which files there are,
 * meta.json, sizes and hashes of files, the index with all its series, every chunk of every series, what belongs to no
 * chunk, counts of meta.json, tombstones, marks, an index-header that lies beside.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "blocks/blocks.h"
#include "inspect/inspect_int.h"
#include "wire/codec.h"

#define META	       "meta.json"
#define TOMBSTONES_MAX ((size_t)1 << 30)
#define HASH_PIECE     ((uint64_t)1 << 20)

typedef unsigned long long ull;

struct verify {
	struct ctx *ctx;
	const struct inspect_place *p;
	struct inspect_report *r;
	struct arena a;
	struct inspect_files files;
	struct block_meta meta;
	bool has_meta;
	struct inspect_walk walk;
	struct inspect_chunks *chunks;
	uint64_t samples, floats, hists;
	bool lost; /* a chunk or series could not be read: counts are not compared */
};

/* ---- meta.json ---- */

static void check_meta(struct inspect_report *r, const struct inspect_place *p,
		       const struct block_meta *m)
{
	struct ulid id;
	char text[27];
	int64_t res = m->thanos.resolution_ms;
	if (ulid_parse(str_of(p->id), &id) && ulid_cmp(&id, &m->ulid) != 0) {
		ulid_format(&m->ulid, text);
		inspect_found(r, INSPECT_META, META, "is of another block, %s", text);
	}
	if (m->mint_ms >= m->maxt_ms)
		inspect_found(r, INSPECT_RANGE, META, "from %lld to %lld",
			      (long long)m->mint_ms, (long long)m->maxt_ms);
	if (m->has_thanos && res != 0 && res != 300000 && res != 3600000)
		inspect_found(r, INSPECT_META, META, "unknown resolution %lld",
			      (long long)res);
	if (!m->has_thanos)
		inspect_found(r, INSPECT_REMARK, META, "no Thanos section");
	else if (m->thanos.labels.n == 0)
		inspect_found(r, INSPECT_REMARK, META, "no external labels");
	if (m->thanos.version > 1)
		inspect_found(r, INSPECT_REMARK, META,
			      "Thanos section of unknown version %d",
			      (int)m->thanos.version);
	if (m->compaction.n_sources == 0)
		inspect_found(r, INSPECT_REMARK, META, "no sources");
}

int inspect_meta(struct ctx *ctx, struct arena *a, const struct inspect_place *p,
		 struct inspect_report *r, struct block_meta *out, bool *ok,
		 struct err *e)
{
	struct err why = ERR_INIT;
	struct buf b;
	buf_init(&b, LIMIT_META_BYTES);
	int rc = inspect_get(ctx, p, META, LIMIT_META_BYTES, &b, &why);
	*ok = false;
	if (rc < 0)
		rc = inspect_blame(r, INSPECT_META, META, &why, e);
	else if (block_meta_parse(ctx, a, buf_view(&b), out, &why) < 0)
		rc = inspect_blame(r, INSPECT_META, META, &why, e);
	else
		*ok = true;
	buf_deinit(&b);
	if (*ok)
		check_meta(r, p, out);
	return rc;
}

/* ---- files against thanos.files ---- */

static bool stays_inside(struct str path)
{
	struct str rest = path, part;
	bool more = path.n > 0 && path.p[0] != '/';
	if (!more)
		return false;
	while (more) {
		more = str_cut(&rest, '/', &part);
		if (part.n == 0 || str_eqz(part, "..") || str_eqz(part, "."))
			return false;
	}
	return true;
}

static int check_hash(struct verify *v, const char *name, struct str want, struct err *e)
{
	struct err why = ERR_INIT;
	struct inspect_win w = { 0 };
	struct str piece;
	uint8_t sum[32];
	char hex[65];
	if (inspect_open(v->ctx, v->p, name, &w.src, &why) < 0)
		return inspect_blame(v->r, INSPECT_HASH, name, &why, e);
	struct sha256 *h = sha256_new();
	int rc = 0;
	for (uint64_t at = 0; rc == 0 && at < w.src->size; at += piece.n) {
		rc = inspect_win_some(&w, v->ctx, at, HASH_PIECE, &piece, e);
		if (rc == 0)
			sha256_feed(h, piece);
	}
	sha256_done(h, sum);
	inspect_win_close(&w);
	hex_encode(sum, sizeof(sum), hex);
	if (rc == 0 && !str_eqz(want, hex))
		inspect_found(v->r, INSPECT_HASH, name,
			      "SHA256 is %s, meta.json says %.*s", hex, STR_FMT(want));
	return rc;
}

static int check_listed(struct verify *v, struct err *e)
{
	for (size_t i = 0; i < v->meta.thanos.n_files; i++) {
		const struct block_file *f = &v->meta.thanos.files[i];
		const struct inspect_file *have =
			inspect_files_find(&v->files, f->rel_path);
		char *name = str_dupz(&v->a, f->rel_path);
		if (!stays_inside(f->rel_path)) {
			inspect_found(v->r, INSPECT_META, META,
				      "thanos.files: the path \"%.*s\" leaves the block",
				      (int)MIN(f->rel_path.n, 100u), name);
			continue;
		}
		if (!have) {
			inspect_found(v->r, INSPECT_MISSING, name,
				      "no such file, though meta.json lists it");
			continue;
		}
		/* meta.json itself is listed without a size */
		if (f->size_bytes && f->size_bytes != have->size)
			inspect_found(v->r, INSPECT_SIZE, name,
				      "%llu bytes, meta.json says %llu", (ull)have->size,
				      (ull)f->size_bytes);
		else if (str_eqz(f->hash_func, "SHA256") && !str_eqz(f->rel_path, META) &&
			 f->hash.n && check_hash(v, name, f->hash, e) < 0)
			return -1;
	}
	return 0;
}

static void check_present(struct verify *v)
{
	struct arena *a = &v->a;
	size_t segments = 0, want = v->has_meta ? v->meta.thanos.n_segment_files : 0;
	if (!inspect_files_find(&v->files, STR("index")))
		inspect_found(v->r, INSPECT_MISSING, "index", "no such file");
	for (size_t i = 0; i < v->files.n; i++)
		segments += str_has_prefix(v->files.v[i].name, STR("chunks/"));
	want = MAX(want, segments);
	if (want == 0 && (!v->has_meta || v->meta.stats.chunks))
		want = 1;
	for (size_t i = 1; i <= want; i++) {
		struct str name = str_fmt(a, "chunks/%06zu", i);
		if (!inspect_files_find(&v->files, name))
			inspect_found(v->r, INSPECT_MISSING, name.p, "no such file");
	}
}

/* ---- series and chunks ---- */

static int on_series(void *arg, struct inspect_walk *w, const struct inspect_series *s,
		     struct err *e)
{
	struct verify *v = arg;
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		struct inspect_chunk_facts f;
		int rc = inspect_chunks_check(v->chunks, v->ctx, w, s, &s->chunk[i], &f,
					      e);
		if (rc < 0)
			return -1;
		v->lost = v->lost || rc == 0;
		v->samples += f.samples;
		v->floats += f.floats;
		v->hists += f.hists;
	}
	return 0;
}

static void compare_count(struct verify *v, const char *what, uint64_t said, uint64_t is)
{
	if (said != is)
		inspect_found(v->r, INSPECT_COUNT, META, "%s: says %llu, there are %llu",
			      what, (ull)said, (ull)is);
}

static void check_counts(struct verify *v)
{
	const struct block_meta *m = &v->meta;
	if (!v->has_meta || v->walk.broken || v->walk.bad_series)
		return;
	compare_count(v, "stats.numSeries", m->stats.series, v->walk.n_refs);
	compare_count(v, "stats.numChunks", m->stats.chunks, v->walk.chunks);
	if (v->lost)
		return;
	compare_count(v, "stats.numSamples", m->stats.samples, v->samples);
	/* downsampled blocks keep the numbers of the raw one, older writers have none */
	if (m->thanos.resolution_ms == 0 && m->stats.float_samples)
		compare_count(v, "stats.numFloatSamples", m->stats.float_samples,
			      v->floats);
	if (m->thanos.resolution_ms == 0 && m->stats.histogram_samples)
		compare_count(v, "stats.numHistogramSamples", m->stats.histogram_samples,
			      v->hists);
}

static int check_index(struct verify *v, struct err *e)
{
	struct err why = ERR_INIT;
	struct range_source *src = NULL;
	if (inspect_chunks_open(v->ctx, v->p, &v->files, v->has_meta ? &v->meta : NULL,
				v->r, &v->chunks, e) < 0)
		return -1;
	if (!inspect_files_find(&v->files, STR("index")))
		return 0;
	v->walk = (struct inspect_walk){ .ctx = v->ctx,
					 .r = v->r,
					 .meta = v->has_meta ? &v->meta : NULL,
					 .on_series = on_series,
					 .arg = v };
	if (inspect_open(v->ctx, v->p, "index", &src, &why) < 0)
		return inspect_blame(v->r, INSPECT_FRAME, "index", &why, e);
	int rc = inspect_walk_run(&v->walk, src, e);
	range_source_unref(src);
	if (rc == 0 && !v->walk.broken && v->walk.bad_series == 0)
		inspect_chunks_coverage(v->chunks);
	if (rc == 0)
		check_counts(v);
	return rc;
}

/* ---- what else may lie in a block ---- */

/* 1: there is one, in b. */
static int get_file(struct verify *v, const char *name, size_t max,
		    enum inspect_kind kind, struct buf *b, struct err *e)
{
	struct err why = ERR_INIT;
	if (!inspect_files_find(&v->files, str_of(name)))
		return 0;
	if (inspect_get(v->ctx, v->p, name, max, b, &why) < 0)
		return inspect_blame(v->r, kind, name, &why, e);
	return 1;
}

static int check_tombstones(struct verify *v, struct err *e)
{
	struct err why = ERR_INIT;
	struct tombstones *t = NULL;
	struct buf b;
	buf_init(&b, TOMBSTONES_MAX);
	int rc = get_file(v, "tombstones", TOMBSTONES_MAX, INSPECT_TOMBSTONE, &b, e);
	if (rc > 0 && tombstones_parse(v->ctx, buf_view(&b), &t, &why) < 0)
		inspect_found(v->r, INSPECT_TOMBSTONE, "tombstones", "%s",
			      err_text(&why));
	tombstones_free(t);
	buf_deinit(&b);
	return MIN(rc, 0);
}

static int check_marks(struct verify *v, struct err *e)
{
	static const enum mark_kind kinds[] = { MARK_DELETION, MARK_NO_COMPACT,
						MARK_NO_DOWNSAMPLE };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *name = mark_filename(kinds[i]);
		struct err why = ERR_INIT;
		struct block_mark m;
		struct buf b;
		buf_init(&b, LIMIT_META_BYTES);
		int rc = get_file(v, name, LIMIT_META_BYTES, INSPECT_MARK, &b, e);
		if (rc > 0 &&
		    mark_parse(v->ctx, &v->a, kinds[i], buf_view(&b), &m, &why) < 0)
			inspect_found(v->r, INSPECT_MARK, name, "%s", err_text(&why));
		else if (rc > 0)
			inspect_found(v->r, INSPECT_REMARK, name, "marked: %.*s%s%.*s",
				      STR_FMT(m.reason), m.reason.n ? ": " : "",
				      (int)MIN(m.details.n, 300u), m.details.p);
		buf_deinit(&b);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int check_header(struct verify *v, struct err *e)
{
	struct err why = ERR_INIT;
	struct range_source *header = NULL, *index = NULL;
	struct idx_reader *r = NULL;
	if (!inspect_files_find(&v->files, STR("index-header")) || v->walk.broken ||
	    !inspect_files_find(&v->files, STR("index")))
		return 0;
	int rc = inspect_open(v->ctx, v->p, "index-header", &header, &why);
	if (rc == 0)
		rc = inspect_open(v->ctx, v->p, "index", &index, &why);
	if (rc == 0)
		rc = idx_open_header(v->ctx, header, index, &r, &why);
	idx_close(r);
	range_source_unref(header);
	range_source_unref(index);
	return rc < 0 ? inspect_blame(v->r, INSPECT_HEADER, "index-header", &why, e) : 0;
}

int inspect_verify(struct ctx *ctx, const struct inspect_place *p,
		   struct inspect_report *r, struct err *e)
{
	struct verify v = { .ctx = ctx, .p = p, .r = r };
	int rc = -1;
	arena_init(&v.a, ctx->budget);
	if (inspect_files_list(ctx, &v.a, p, &v.files, e) < 0 ||
	    inspect_meta(ctx, &v.a, p, r, &v.meta, &v.has_meta, e) < 0)
		goto out;
	check_present(&v);
	if ((v.has_meta && check_listed(&v, e) < 0) || check_index(&v, e) < 0 ||
	    check_tombstones(&v, e) < 0 || check_marks(&v, e) < 0 ||
	    check_header(&v, e) < 0)
		goto out;
	rc = 0;
out:
	inspect_walk_deinit(&v.walk);
	inspect_chunks_close(v.chunks);
	arena_deinit(&v.a);
	return rc;
}
