/*
 * tsdb/index/index.h - the index of a block (format version 2) and its index-header, read through
 * range_source; postings algebra.
 *
 * Two ways to open one: a local index file whole (idx_open_index: TOC, symbols and postings offset
 * table are read once, CRC checked), or a Thanos index-header (idx_open_header) beside the remote
 * index, from which only postings and series are fetched. Version 1 is refused by name.
 * Thread  reader FROZEN after open (SHARED by requests); reads are WORKER.
 * Memory  symbols and offsets in compact pages, not one allocation a string.
 * Source  prometheus.md §1.2, thanos.md §3.4
 */
#ifndef TSDB_INDEX_INDEX_H
#define TSDB_INDEX_INDEX_H

#include "base/arena.h"
#include "base/buf.h"
#include "fs/range_source.h"
#include "model/matcher.h"

typedef struct {
	uint64_t v; /* position / 16 in the index, as postings hold it (u32) */
} series_ref;

struct idx_reader;
/* Takes a reference of index. */
MUST_CHECK int idx_open_index(struct ctx *ctx, struct range_source *index,
			      struct idx_reader **out, struct err *e);
/* header: the index-header file; index: the (remote) index for postings and series. */
MUST_CHECK int idx_open_header(struct ctx *ctx, struct range_source *header,
			       struct range_source *index, struct idx_reader **out,
			       struct err *e);
/* Build an index-header from an index (bytes equal Thanos'), by ranged reads of 16 MiB, written to
 * `path` atomically. WORKER */
MUST_CHECK int idx_build_header(struct ctx *ctx, struct range_source *index,
				const char *path, struct err *e);
void idx_close(struct idx_reader *r);
size_t idx_memory(const struct idx_reader *r); /* bytes held */

/* Symbols: ordinal -> string (view into the reader); empty and *bad if out of range. */
struct str idx_symbol(const struct idx_reader *r, uint32_t ordinal, bool *bad);
uint32_t idx_symbol_count(const struct idx_reader *r);
/* The first ordinal whose string is not less than v; the count of symbols if there is none. CPU */
uint32_t idx_symbol_bound(const struct idx_reader *r, struct str v);
/* Ordinal of a label name that some series has; false: no series has it. CPU */
bool idx_find_name(const struct idx_reader *r, struct str name, uint32_t *ordinal);

/* Label names (without ""), sorted, views into the reader; in the arena. */
MUST_CHECK int idx_label_names(struct idx_reader *r, struct ctx *ctx, struct arena *a,
			       struct str **out, size_t *n, struct err *e);
/* Values of one name, sorted; n = 0: unknown name. From the offset table: no series are read. */
MUST_CHECK int idx_label_values(struct idx_reader *r, struct ctx *ctx, struct arena *a,
				struct str name, struct str **out, size_t *n,
				struct err *e);

/* ---- postings ---- */
/* A sorted set of u32 series refs, in memory charged to the arena's budget. */
struct postings {
	const uint32_t *ref;
	size_t n;
};
/*
 * All series that match all matchers (empty-value semantics as Prometheus': a matcher that matches
 * the empty value also takes series without the label). Galloping intersections, lazy unions;
 * lists fetched in one coalesced read. E_CORRUPT names postings section and label. WORKER
 */
MUST_CHECK int idx_postings(struct idx_reader *r, struct ctx *ctx, struct arena *a,
			    const struct matcher *m, size_t n, struct postings *out,
			    struct err *e);
/* Algebra, for this and for tests; results in the arena, inputs ascending. */
struct postings postings_intersect(struct arena *a, const struct postings *p, size_t n);
struct postings postings_union(struct arena *a, const struct postings *p, size_t n);
struct postings postings_minus(struct arena *a, struct postings x, struct postings y);

/* ---- series ---- */
struct idx_chunk {
	int64_t mint_ms, maxt_ms;
	uint64_t ref;
};
struct idx_series {
	const uint32_t
		*label; /* ordinals: name, value, name, value, ... in label order */
	uint32_t n_labels;
	/* Those that overlap the asked time range, by their begin, whatever order the entry has. */
	const struct idx_chunk *chunk;
	uint32_t n_chunks;
	bool bad; /* this entry is damaged: named in a note; to be passed over */
};
/*
 * Read many series entries (ascending refs) by coalesced ranges (each guessed at 512 bytes at first,
 * refetched if longer), each CRC checked, into the arena. A damaged entry sets bad and calls on_bad;
 * -1 only if reading failed. With skip_chunks only n_chunks is filled (how many overlap), `chunk` is
 * NULL. WORKER
 */
struct idx_series_req {
	int64_t mint_ms, maxt_ms;
	bool skip_chunks;
	void (*on_bad)(void *arg, uint32_t ref, const struct err *why);
	void *arg;
};
MUST_CHECK int idx_series_read(struct idx_reader *r, struct ctx *ctx, struct arena *a,
			       const uint32_t *refs, size_t n,
			       const struct idx_series_req *req,
			       struct idx_series *out /* [n] */, struct err *e);
/* Does any chunk of the entry overlap the asked range? Valid with skip_chunks, too. */
static inline bool idx_series_in_range(const struct idx_series *s)
{
	return !s->bad && s->n_chunks != 0;
}
/* Ordinals -> strings (views into the reader) into out[n_labels]; false if one is out of range. */
bool idx_series_labels(const struct idx_reader *r, const struct idx_series *s,
		       struct label *out);

#endif
