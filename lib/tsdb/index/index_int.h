/*
 * tsdb/index/index_int.h - shared by the files of tsdb/index: the parts of an opened reader.
 */
#ifndef TSDB_INDEX_INDEX_INT_H
#define TSDB_INDEX_INDEX_INT_H

#include "base/ctx.h"
#include "tsdb/index/index.h"
#include "wire/rd.h"

#define IDX_MAGIC	 0xbaaad700u
#define IDX_HEADER_BYTES 5  /* magic and version */
#define IDX_TOC_BYTES	 52 /* six u64 and a checksum, at the very end */

#define IDX_HEADER_MAGIC     0xbaaad792u
#define IDX_HEADER_VERSION   1
#define IDX_HEADER_HEAD	     14 /* magic, version, index version, u64 position of the table */
#define IDX_HEADER_TOC_BYTES 20 /* two u64 and a checksum */

/* ---- toc.c ---- */
struct idx_toc { /* offsets in the index */
	uint64_t symbols, series, label_indices, label_index_table, postings,
		postings_table;
};
/* The last IDX_TOC_BYTES of an index; offsets are checked against its size. */
MUST_CHECK int idx_toc_parse(struct str toc, uint64_t index_size, struct idx_toc *out,
			     struct err *e);
/* 2 and 3 (same layout) pass; 1 and others are refused by name. */
MUST_CHECK int idx_check_version(unsigned version, struct err *e);
/*
 * Read a section {u32 length, content, u32 CRC of content} at `off`, which must end before `end`.
 * `content` is a view into *pin.
 */
MUST_CHECK int idx_section_read(struct range_source *s, struct ctx *ctx, uint64_t off,
				uint64_t end, const char *what, struct view *pin,
				struct str *content, struct err *e);

/* ---- symbols.c ---- */
#define IDX_SYMBOL_STEP 8
struct idx_symbols {
	uint8_t *p; /* entries {uvarint length, bytes}, checked; owned */
	size_t bytes;
	uint32_t count;
	uint32_t *off;	/* start of every IDX_SYMBOL_STEP-th entry in p; owned */
	bool has_empty; /* symbol 0 is "" */
};
MUST_CHECK int idx_symbols_load(struct idx_symbols *s, struct str content, struct err *e);
void idx_symbols_deinit(struct idx_symbols *s);
/* ordinal < count */
struct str idx_symbols_get(const struct idx_symbols *s, uint32_t ordinal);
/* First ordinal in [from, count) whose symbol is >= v; count: none. *eq: it equals v. */
uint32_t idx_symbols_find(const struct idx_symbols *s, uint32_t from, struct str v,
			  bool *eq);

/* ---- offsets.c ---- */
struct idx_name {
	uint32_t symbol;   /* ordinal of the name */
	uint32_t first, n; /* its values: positions in the table */
};
struct idx_offsets {
	uint32_t n;	       /* values of all names */
	uint32_t *value;       /* ordinals, ascending within a name */
	uint8_t (*off)[5];     /* big endian offset of the postings list */
	struct idx_name *name; /* ascending */
	uint32_t n_names;
	uint64_t all;	/* offset of the list of all series; 0: there is none */
	uint64_t table; /* position of the table in the index: lists end before it */
};
MUST_CHECK int idx_offsets_load(struct idx_offsets *o, const struct idx_symbols *s,
				struct str content, struct err *e);
void idx_offsets_deinit(struct idx_offsets *o);
const struct idx_name *idx_offsets_name(const struct idx_offsets *o,
					const struct idx_symbols *s, struct str name);
/* Offset of the list of value i; and an upper guess of its bytes, from where the next begins. */
uint64_t idx_offsets_get(const struct idx_offsets *o, uint32_t i);
uint64_t idx_offsets_span(const struct idx_offsets *o, uint32_t i);

/* ---- reader.c ---- */
/* Magic number, version and table of contents of an index. */
MUST_CHECK int idx_frame_read(struct ctx *ctx, struct range_source *s,
			      struct idx_toc *toc, struct err *e);
struct idx_reader {
	struct range_source *index;
	struct idx_symbols symbols;
	struct idx_offsets offsets;
	uint64_t series_off, series_end; /* where series entries lie */
};
/* A section of the (remote) index is at [series, end); used by header.c, too. */
MUST_CHECK int idx_reader_load(struct idx_reader *r, struct str symbols, struct str table,
			       const struct idx_toc *toc, struct err *e);
struct idx_reader *idx_reader_new(struct range_source *index);

/* ---- postings_ops.c: the algebra on caller's memory ---- */
/* out: room for the shorter list. */
size_t idx_ops_intersect2(uint32_t *out, struct postings x, struct postings y);
/* out: room for x.n */
size_t idx_ops_minus(uint32_t *out, struct postings x, struct postings y);
/* Set bit i of marks for each x.ref[i] that y holds. */
void idx_ops_mark(uint64_t *marks, struct postings x, struct postings y);
/*
 * Union of k lists. buf and tmp hold the sum of their lengths each; the result begins at the
 * returned pointer (buf or tmp).
 */
uint32_t *idx_ops_union(uint32_t *buf, uint32_t *tmp, const struct postings *p, size_t k,
			size_t *n);
/* Ascending, without doubles; tmp as large as v. Returns where the result is (v or tmp). */
uint32_t *idx_ops_sort_unique(uint32_t *v, uint32_t *tmp, size_t *n);

#endif
