/*
 * compact/check.c - what was written is read once more, from the files, and must be what was given to the writer.
 *
 * A hash over label ordinals, chunk times and checksums, in order, is kept while series go to the writer: checksums of
 * copied chunks come from their input, so they vouch for the whole way. The same is made of the finished block: its
 * index is parsed, and beside it the segments are walked from front to back. Each chunk must stand where the one
 * before it ended, as the writer puts them, its bytes are summed and compared with the sum that stands behind them;
 * no byte of a segment is passed over. What the index has beyond symbols and series (postings, their table) is compared by a
 * checksum over the file, which the writer made of what it had to write. That re-encoded chunks hold the right
 * samples was seen when they were made (recut.c).
 */
#include <inttypes.h>

#include "base/hash.h"
#include "base/limits.h"
#include "compact/compact_int.h"
#include "fs/fs_pages.h"
#include "tsdb/index/scan.h"
#include "wire/rd.h"

#define SEGMENT_HEADER 8
#define LEN_MAX	       10      /* of a uvarint */
#define EXTRA	       (1 + 4) /* of an entry: encoding, CRC */
#define CACHE_LINE     64
#define PREFETCH       2048		   /* bytes ahead */
#define READ_BACK      ((size_t)256 << 10) /* bytes of the index at a time */

/* ---- the hash ---- */

/* The checksum that stands, or will, behind the chunk in its segment. */
static uint32_t stored_crc(const struct chunk_view *c)
{
	if (c->hash) /* what a scan has read and copied to here */
		return (uint32_t)c->hash;
	const struct chunk_part *raw = &c->part[AGGR_RAW];
	uint8_t enc = raw->p ? raw->enc : CHUNK_AGGR;
	uint32_t crc = crc32c(0, &enc, 1);
	if (raw->p)
		return crc32c(crc, raw->p, raw->n);
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	chunk_aggr_join(c, &b);
	crc = crc32c(crc, b.p, b.n);
	buf_deinit(&b);
	return crc;
}

/* One to one in h and in x: what differs once stays different. */
static uint64_t mix(uint64_t h, uint64_t x)
{
	h += x * 0xc2b2ae3d27d4eb4fu;
	return (h << 31 | h >> 33) * 0x9e3779b185ebca87u;
}

static uint64_t hash_labels(uint64_t h, const uint32_t *label, uint32_t n_labels)
{
	return hash_xx64(label, (size_t)n_labels * 2 * sizeof(*label), h);
}

static uint64_t hash_chunk(uint64_t h, int64_t mint_ms, int64_t maxt_ms, uint32_t crc)
{
	return mix(mix(mix(h, (uint64_t)mint_ms), (uint64_t)maxt_ms), crc);
}

uint64_t check_hash(uint64_t h, const uint32_t *label, uint32_t n_labels,
		    const struct chunk_view *c, size_t n)
{
	h = hash_labels(h, label, n_labels);
	for (size_t i = 0; i < n; i++)
		h = hash_chunk(h, c[i].mint_ms, c[i].maxt_ms, stored_crc(&c[i]));
	return h;
}

/* ---- segments from front to back ---- */

struct walk {
	struct job *j;
	const struct block_source *src;
	struct fs_pages *file;	/* of segment `seg` - 1 */
	size_t seg;		/* opened so far */
	uint64_t at, size;	/* the next entry; the file's end */
	const uint8_t *p, *end; /* what is in sight from `at` on */
};

static int bad(struct walk *w, const char *what, struct err *e)
{
	return err_set(w->j->ctx, e, E_CORRUPT, "chunks/%06zu: at %" PRIu64 ": %s",
		       w->seg, w->at, what);
}

static int look(struct walk *w, size_t want, struct err *e)
{
	size_t n;
	if (fs_pages_at(w->file, w->j->ctx, w->at, want, &w->p, &n, e) < 0)
		return -1;
	w->end = w->p + n;
	return n < want ? bad(w, "cut short", e) : 0;
}

/* Is the segment that is open at its end? */
static int end_segment(struct walk *w, struct err *e)
{
	return w->at != w->size ? bad(w, "bytes that no series refers to", e) : 0;
}

static int next_segment(struct walk *w, struct err *e)
{
	static const uint8_t header[SEGMENT_HEADER] = { 0x85, 0xbd, 0x40, 0xdd, 1 };
	if (end_segment(w, e) < 0)
		return -1;
	if (w->seg == w->src->n_segments)
		return bad(w, "there are more chunks than segments hold", e);
	fs_pages_close(w->file);
	w->file = NULL;
	if (fs_pages_open(w->j->ctx, w->src->segment[w->seg]->name, &w->file, e) < 0)
		return -1;
	w->seg++;
	w->at = 0;
	w->size = fs_pages_size(w->file);
	if (look(w, SEGMENT_HEADER, e) < 0)
		return -1;
	if (memcmp(w->p, header, SEGMENT_HEADER) != 0)
		return bad(w, "no header of a segment", e);
	w->at += SEGMENT_HEADER;
	w->p += SEGMENT_HEADER;
	return 0;
}

/* The chunk that the index says lies at ref, which must be the next one. */
static int next_chunk(struct walk *w, uint64_t ref, uint32_t *crc, struct err *e)
{
	if (ref >> 32 == w->seg && next_segment(w, e) < 0)
		return -1;
	if (ref != ((uint64_t)(w->seg - 1) << 32 | w->at))
		return bad(w, "the index refers to another place", e);
	if (w->end - w->p < LEN_MAX + EXTRA &&
	    look(w, (size_t)MIN(w->size - w->at, LEN_MAX + EXTRA), e) < 0)
		return -1;
	struct rd r = rd_n(w->p, (size_t)(w->end - w->p));
	uint64_t len = rd_uvarint_short(&r);
	size_t head = (size_t)(r.p - w->p);
	if (r.bad || len > LIMIT_CHUNK_BYTES)
		return bad(w, "length out of range", e);
	size_t whole = head + (size_t)len + EXTRA;
	if ((size_t)(w->end - w->p) < whole && look(w, whole, e) < 0)
		return -1;
	for (size_t i = 0; i < whole; i += CACHE_LINE) /* behind the end is harmless */
		__builtin_prefetch(w->p + PREFETCH + i);
	r = rd_n(w->p + head, (size_t)len + EXTRA);
	*crc = crc32c(0, r.p, (size_t)len + 1);
	r.p += len + 1;
	if (rd_be32(&r) != *crc)
		return bad(w, "checksum mismatch", e);
	w->at += whole;
	w->p += whole;
	return 0;
}

/* ---- the index ---- */

static int sum_index(struct job *j, const char *path, struct err *e)
{
	struct fs_pages *f;
	const uint8_t *p;
	uint32_t crc = 0;
	size_t n;
	int rc;
	if (fs_pages_open(j->ctx, path, &f, e) < 0)
		return -1;
	uint64_t size = fs_pages_size(f), at = 0;
	for (rc = 0; rc == 0 && at < size; at += n) {
		rc = fs_pages_at(f, j->ctx, at, 1, &p, &n, e);
		crc = rc == 0 ? crc32c(crc, p, n) : 0;
	}
	fs_pages_close(f);
	if (rc == 0 && (crc != j->r->stats.index_crc || size != j->r->stats.index_bytes))
		rc = err_set(j->ctx, e, E_CORRUPT,
			     "index: the %" PRIu64 " bytes are not the %" PRIu64
			     " that were written",
			     size, j->r->stats.index_bytes);
	return rc;
}

struct found {
	uint64_t series, chunks, hash;
};

static int read_series(struct walk *w, const struct idx_scan_series *s, struct found *f,
		       struct err *e)
{
	uint64_t h = hash_labels(f->hash, s->label, s->n_labels);
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		const struct idx_chunk *c = &s->chunk[i];
		uint32_t crc = 0;
		if (next_chunk(w, c->ref, &crc, e) < 0)
			return err_wrap(w->j->ctx, e, "series %" PRIu32, s->ref);
		h = hash_chunk(h, c->mint_ms, c->maxt_ms, crc);
	}
	f->hash = h;
	f->chunks += s->n_chunks;
	f->series++;
	return 0;
}

static int read_all(struct walk *w, struct found *f, struct err *e)
{
	struct ctx *ctx = w->j->ctx;
	struct idx_scan *x;
	struct idx_scan_series s;
	struct str sym;
	int rc;

	if (idx_scan_open(ctx, w->src->index, READ_BACK, &x, e) < 0)
		return err_wrap(ctx, e, "index");
	while ((rc = idx_scan_symbol(x, ctx, &sym, e)) > 0)
		;
	while (rc == 0 && (rc = idx_scan_series(x, ctx, &s, e)) > 0) {
		rc = read_series(w, &s, f, e);
		if (rc == 0 && f->series % 64 == 0)
			rc = ctx_check(ctx, e);
	}
	idx_scan_close(x);
	if (rc == 0 && (rc = end_segment(w, e)) == 0 && w->seg != w->src->n_segments)
		rc = err_set(ctx, e, E_CORRUPT, "%zu segments of %zu are referred to",
			     w->seg, w->src->n_segments);
	return rc;
}

int check_output(struct job *j, const char *dir, struct err *e)
{
	struct block_source src;
	struct arena a;
	struct found f = { 0 };

	arena_init(&a, j->ctx->budget);
	int rc = block_source_open_dir(j->ctx, &a, dir, &src, e);
	if (rc == 0) {
		struct walk w = { .j = j, .src = &src };
		rc = sum_index(j, src.index->name, e);
		if (rc == 0)
			rc = read_all(&w, &f, e);
		fs_pages_close(w.file);
		block_source_close(&src);
		if (rc < 0)
			err_wrap(j->ctx, e, "%s", dir);
	}
	arena_deinit(&a);
	if (rc == 0 && (f.series != j->out_series || f.chunks != j->out_chunks ||
			f.hash != j->out_hash))
		rc = err_set(j->ctx, e, E_CORRUPT,
			     "%s: %" PRIu64 " series with %" PRIu64
			     " chunks were written, %" PRIu64 " with %" PRIu64
			     " read back%s",
			     dir, j->out_series, j->out_chunks, f.series, f.chunks,
			     f.hash != j->out_hash ? ", others" : "");
	return rc;
}
