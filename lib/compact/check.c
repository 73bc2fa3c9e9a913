/*
 * compact/check.c - what was written is read once more and must be what was given to the writer.
 *
 * Segments are walked as they are handed to the system: each chunk must begin where the one before it ended, its bytes are summed and
 * compared with the sum that stands behind them, no byte is passed over. That chunks are those that were given, and the index
 * refers to them, is seen by a hash over their checksums and places in order. Checksums of
 * copied chunks come from their input, where nobody has compared them: they vouch for the whole way. Entries of the index are taken
 * apart as the writer makes them and compared with what it was given: all that tell of a chunk made here, the first 100 and every
 * eighth of those that only tell of copied ones. All of this happens while the bytes are in the core's cache.
 *
 * Of the files, all sizes are compared, and the first piece of each segment and every 128th is walked once more: the system's
 * memory, from which they would be read, was filled by the call that took them, but that they went to the right file and place is to
 * be seen. The index is read whole: by a checksum over the file, which the writer made of what it had to write, and entry by entry.
 * That re-encoded chunks hold the right samples was seen when they were made (recut.c).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/vec.h"
#include "compact/compact_int.h"
#include "fs/fs_pages.h"
#include "tsdb/index/scan.h"
#include "wire/rd.h"

#define SEGMENT_HEADER 8
#define LEN_MAX	       10		   /* of a uvarint */
#define EXTRA	       (1 + 4)		   /* of an entry: encoding, CRC */
#define READ_BACK      ((size_t)256 << 10) /* bytes of the index at a time */
#define PROBE_EACH     128
#define ENTRIES_FIRST  100 /* see above */
#define ENTRIES_EACH   8

/* ---- hashes ---- */

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

bool check_sum_made(struct chunk_view *c, size_t n)
{
	bool made = false;
	for (size_t i = 0; i < n; i++) {
		if (c[i].hash)
			continue;
		made = true;
		if (c[i].part[AGGR_RAW].p)
			c[i].hash = (uint64_t)1 << 32 | stored_crc(&c[i]);
	}
	return made;
}

/* One to one in h, in crc and in ref: what differs once stays different. */
static uint64_t hash_chunk(uint64_t h, uint32_t crc, uint64_t ref)
{
	h ^= ref;
	return ((h << 29 | h >> 35) + crc) * 0x9e3779b185ebca87u;
}

/* ---- entries of the index, as they are made ---- */

static bool says_labels(struct rd *r, const struct check_series *g)
{
	bool same = rd_uvarint_short(r) == g->n_labels;
	for (uint32_t i = 0; same && i < g->n_labels * 2; i++)
		same = rd_uvarint_short(r) == g->label[i];
	return same;
}

/* Times are added as unsigned numbers, as readers do. */
static bool says_chunks(struct rd *r, const struct check_series *g,
			const struct index_chunk *at)
{
	uint64_t t = 0, ref = 0;
	bool same = rd_uvarint_short(r) == g->n;
	for (size_t i = 0; same && i < g->n; i++) {
		uint64_t u
			[3]; /* since the end of the one before, length, bytes since it */
		rd_uvarint3(r, u);
		t += i ? u[0] : (uint64_t)rd_unzigzag(u[0]);
		ref = i ? ref + (uint64_t)rd_unzigzag(u[2]) : u[2];
		same = t == (uint64_t)g->chunk[i].mint_ms &&
		       t + u[1] == (uint64_t)g->chunk[i].maxt_ms && ref == at[i].ref;
		t += u[1];
	}
	return same;
}

int check_entry(struct check_sums *s, struct ctx *ctx, const struct check_series *given,
		const struct index_chunk *at, struct str body, struct err *e)
{
	uint64_t h = s->hash;
	bool look =
		given->made || s->series < ENTRIES_FIRST || s->series % ENTRIES_EACH == 0;
	for (size_t i = 0; i < given->n; i++) {
		const struct chunk_view *c = &given->chunk[i];
		h = hash_chunk(h, stored_crc(c), at[i].ref);
	}
	s->hash = h;
	struct rd r = rd_of(body);
	if (look && (!says_labels(&r, given) || !says_chunks(&r, given, at) || r.bad ||
		     rd_left(&r)))
		return err_set(ctx, e, E_CORRUPT,
			       "index: the entry of series %" PRIu64
			       " says something else than was given",
			       s->series);
	s->chunks += given->n;
	s->series++;
	return 0;
}

/* ---- segments from front to back ---- */

static int bad(const struct check_walk *w, struct ctx *ctx, const char *what,
	       struct err *e)
{
	return err_set(ctx, e, E_CORRUPT, "chunks/%06" PRIu32 ": at %" PRIu64 ": %s",
		       w->segment, w->at, what);
}

/* Bytes of the entry that begins there, as far as n of them tell; 0: no length. *head: of the length. */
static inline size_t entry_bytes(const uint8_t *p, size_t n, size_t *head)
{
	struct rd r = rd_n(p, n);
	uint64_t len = rd_uvarint_short(&r);
	*head = (size_t)(r.p - p);
	if (r.bad)
		return n < LEN_MAX ? n + 1 : 0;
	return len > LIMIT_CHUNK_BYTES ? 0 : *head + (size_t)len + EXTRA;
}

/* A segment begins with a header, which is an entry of its own here. */
static int take_header(struct check_walk *w, struct ctx *ctx, const uint8_t *p,
		       struct err *e)
{
	static const uint8_t header[SEGMENT_HEADER] = { 0x85, 0xbd, 0x40, 0xdd, 1 };
	if (memcmp(p, header, SEGMENT_HEADER) != 0)
		return bad(w, ctx, "no header of a segment", e);
	w->at = SEGMENT_HEADER;
	return 0;
}

/* The whole entries among n bytes; how many bytes, -1. */
static int64_t take_entries(struct check_walk *w, struct ctx *ctx, const uint8_t *p,
			    size_t n, struct err *e)
{
	uint64_t h = w->hash, chunks = w->chunks,
		 base = (uint64_t)(w->segment - 1) << 32 | w->at;
	const char *what = NULL;
	size_t at = 0;
	while (at < n) {
		size_t head, whole = entry_bytes(p + at, n - at, &head);
		if (whole > n - at)
			break;
		if (!whole) {
			what = "length out of range";
			break;
		}
		const uint8_t *body = p + at + head;
		struct rd r = rd_n(p + at + whole - 4, 4);
		uint32_t crc = crc32c(0, body, (size_t)(r.p - body));
		if (rd_be32(&r) != crc) {
			what = "checksum mismatch";
			break;
		}
		h = hash_chunk(h, crc, base + at);
		chunks++;
		at += whole;
	}
	w->hash = h;
	w->chunks = chunks;
	w->at += at;
	return what ? bad(w, ctx, what, e) : (int64_t)at;
}

/* Takes of *p what the header or entry that has begun lacks. */
static int take_rest(struct check_walk *w, struct ctx *ctx, const uint8_t **p, size_t *n,
		     struct err *e)
{
	for (;;) {
		size_t head, want = w->at ? entry_bytes(w->rest.p, w->rest.n, &head)
					  : SEGMENT_HEADER;
		size_t more = want > w->rest.n ? MIN(want - w->rest.n, *n) : 0;
		if (want && w->rest.n + more < want && !more)
			return 0; /* until more comes */
		buf_add(&w->rest, *p, more);
		*p += more;
		*n -= more;
		if (want && w->rest.n < want)
			continue;
		if (buf_check(&w->rest, ctx, "entry", e) < 0)
			return -1;
		/* its length may have been what was lacking */
		if (want && w->at && entry_bytes(w->rest.p, w->rest.n, &head) > w->rest.n)
			continue;
		int64_t rc = w->at ? take_entries(w, ctx, w->rest.p, w->rest.n, e)
				   : take_header(w, ctx, w->rest.p, e);
		buf_reset(&w->rest);
		return rc < 0 ? -1 : 0;
	}
}

int check_walk(struct check_walk *w, struct ctx *ctx, uint32_t segment, const uint8_t *p,
	       size_t n, struct err *e)
{
	if (!w->segment)
		buf_init(&w->rest, 2 * LIMIT_CHUNK_BYTES);
	bool begins = segment != w->segment;
	if (begins) {
		if (w->rest.n)
			return bad(w, ctx, "cut short", e);
		w->bytes += w->at;
		w->at = 0;
		w->segment++;
		if (segment != w->segment)
			return bad(w, ctx, "another segment is to follow", e);
	}
	if ((w->rest.n || !w->at) && take_rest(w, ctx, &p, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	struct check_probe x = { segment, w->at, 0, { w->hash, 0 } };
	int64_t done = take_entries(w, ctx, p, n, e);
	if (done < 0)
		return -1;
	if ((begins || w->pieces % PROBE_EACH == 0) && done > 0) {
		x.to = w->at;
		x.hash[1] = w->hash;
		if (w->n_probes == w->cap_probe)
			w->probe = vec_grow(w->probe, &w->cap_probe, w->n_probes + 1,
					    sizeof(*w->probe));
		w->probe[w->n_probes++] = x;
	}
	w->pieces++;
	buf_add(&w->rest, p + done, n - (size_t)done);
	return buf_check(&w->rest, ctx, "entry", e);
}

void check_walk_end(struct check_walk *w)
{
	buf_deinit(&w->rest);
	free(w->probe);
	*w = (struct check_walk){ 0 };
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

/* Its symbols ascend, and its entries stand behind one another: how many. */
static int64_t count_entries(struct job *j, struct range_source *index, struct err *e)
{
	struct ctx *ctx = j->ctx;
	struct idx_scan *x;
	struct str sym;
	int64_t n = 0;
	int rc;

	if (idx_scan_open(ctx, index, READ_BACK, &x, e) < 0)
		return -1;
	while ((rc = idx_scan_symbol(x, ctx, &sym, e)) > 0)
		;
	while (rc == 0 && (rc = idx_scan_skip(x, ctx, e)) > 0)
		rc = ++n % 64 == 0 ? ctx_check(ctx, e) : 0;
	idx_scan_close(x);
	return rc < 0 ? -1 : n;
}

static int walk_file(struct job *j, const char *path, uint32_t segment, struct err *e)
{
	struct fs_pages *f;
	uint64_t at = 0;
	size_t n;
	if (fs_pages_open(j->ctx, path, &f, e) < 0)
		return -1;
	int rc = 0;
	do {
		const uint8_t *p;
		rc = fs_pages_at(f, j->ctx, at, 1, &p, &n, e);
		if (rc == 0)
			rc = check_walk(&j->walk, j->ctx, segment, p, n, e);
		at += n;
	} while (rc == 0 && at < fs_pages_size(f));
	fs_pages_close(f);
	return rc;
}

/* Segments that were not walked over when they were written; and all must be as long as what was. */
static int walk_rest(struct job *j, const struct block_source *src, struct err *e)
{
	struct check_walk *w = &j->walk;
	uint64_t bytes = 0;
	for (uint32_t i = w->segment; i < src->n_segments; i++)
		if (walk_file(j, src->segment[i]->name, i + 1, e) < 0)
			return -1;
	if (w->rest.n || w->at < SEGMENT_HEADER)
		return bad(w, j->ctx, "cut short", e);
	for (size_t i = 0; i < src->n_segments; i++)
		bytes += src->segment[i]->size;
	if (w->segment != src->n_segments || bytes != w->bytes + w->at)
		return err_set(j->ctx, e, E_CORRUPT,
			       "%zu segments of %" PRIu64 " bytes are there, %" PRIu32
			       " of %" PRIu64 " were written",
			       src->n_segments, bytes, w->segment, w->bytes + w->at);
	return 0;
}

/* The pieces that were noted, from the files. */
static int look_at_probes(struct job *j, const struct block_source *src, struct err *e)
{
	struct fs_pages *f = NULL;
	uint32_t open = 0;
	int rc = 0;
	for (size_t i = 0; i < j->walk.n_probes && rc == 0; i++) {
		const struct check_probe *x = &j->walk.probe[i];
		struct check_walk w = { .segment = x->segment,
					.at = x->from,
					.hash = x->hash[0] };
		size_t want = (size_t)(x->to - x->from), n;
		const uint8_t *p;
		if (x->segment != open) {
			fs_pages_close(f);
			f = NULL;
			rc = fs_pages_open(j->ctx, src->segment[x->segment - 1]->name, &f,
					   e);
			open = x->segment;
		}
		if (rc == 0)
			rc = fs_pages_at(f, j->ctx, x->from, want, &p, &n, e);
		if (rc == 0 && take_entries(&w, j->ctx, p, MIN(n, want), e) < 0)
			rc = -1;
		else if (rc == 0 && (w.at != x->to || w.hash != x->hash[1]))
			rc = bad(&w, j->ctx,
				 "the file holds other bytes than were written", e);
	}
	fs_pages_close(f);
	return rc;
}

static int read_back(struct job *j, const struct block_source *src, struct err *e)
{
	const struct check_walk *w = &j->walk;
	const struct check_sums *g = &j->given;
	int64_t n;
	if (walk_rest(j, src, e) < 0 || look_at_probes(j, src, e) < 0 ||
	    sum_index(j, src->index->name, e) < 0)
		return -1;
	if ((n = count_entries(j, src->index, e)) < 0)
		return err_wrap(j->ctx, e, "index");
	if ((uint64_t)n != g->series || w->chunks != g->chunks || w->hash != g->hash)
		return err_set(j->ctx, e, E_CORRUPT,
			       "%" PRIu64 " series with %" PRIu64
			       " chunks were written, %" PRId64 " with %" PRIu64
			       " read back%s",
			       g->series, g->chunks, n, w->chunks,
			       w->hash != g->hash ? ", others" : "");
	return 0;
}

int check_output(struct job *j, const char *dir, struct err *e)
{
	struct block_source src;
	struct arena a;

	arena_init(&a, j->ctx->budget);
	int rc = block_source_open_dir(j->ctx, &a, dir, &src, e);
	if (rc == 0) {
		rc = read_back(j, &src, e);
		block_source_close(&src);
		if (rc < 0)
			err_wrap(j->ctx, e, "%s", dir);
	}
	check_walk_end(&j->walk);
	arena_deinit(&a);
	return rc;
}
