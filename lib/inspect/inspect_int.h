/*
 * inspect/inspect_int.h - what the files of inspect share: a window on a file, the walk over index and chunks.
 */
#ifndef INSPECT_INSPECT_INT_H
#define INSPECT_INSPECT_INT_H

#include "base/map.h"
#include "base/vec.h"
#include "inspect/inspect.h"

/* ---- report.c ---- */
void inspect_found(struct inspect_report *r, enum inspect_kind k, const char *file,
		   const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Does the error say that this file is bad (then it is reported, 0), or that nothing can go on (-1)? */
MUST_CHECK int inspect_blame(struct inspect_report *r, enum inspect_kind k,
			     const char *file, const struct err *why, struct err *e);

/* ---- place.c ---- */
struct inspect_file {
	struct str name;
	uint64_t size;
};
struct inspect_files { /* by name */
	struct inspect_file *v;
	size_t n;
};
MUST_CHECK int inspect_files_list(struct ctx *ctx, struct arena *a,
				  const struct inspect_place *p,
				  struct inspect_files *out, struct err *e);
const struct inspect_file *inspect_files_find(const struct inspect_files *f,
					      struct str name);
MUST_CHECK int inspect_open(struct ctx *ctx, const struct inspect_place *p,
			    const char *name, struct range_source **out, struct err *e);
MUST_CHECK int inspect_get(struct ctx *ctx, const struct inspect_place *p,
			   const char *name, size_t max, struct buf *out, struct err *e);

/* A file read mostly forward, 1 MiB at a time. */
struct inspect_win {
	struct range_source *src;
	struct view v;
	uint64_t off;
};
/* n bytes at off, valid until the next call; E_CORRUPT beyond the end. */
MUST_CHECK int inspect_win_get(struct inspect_win *w, struct ctx *ctx, uint64_t off,
			       uint64_t n, const uint8_t **p, struct err *e);
/* As many of `most` bytes as there are. */
MUST_CHECK int inspect_win_some(struct inspect_win *w, struct ctx *ctx, uint64_t off,
				uint64_t most, struct str *out, struct err *e);
void inspect_win_close(struct inspect_win *w);

/* ---- walk.c: the index from end to end ---- */
struct inspect_pair {	       /* a label as series have it */
	uint32_t name, value;  /* ordinals */
	uint64_t series, hash; /* of all that have it */
	uint64_t uncovered;
};
struct inspect_series {
	uint64_t number; /* of the entry, from 0 */
	uint32_t ref;
	const uint32_t *label;
	uint32_t n_labels;
	const struct idx_chunk *chunk;
	uint32_t n_chunks;
};
struct inspect_walk {
	struct ctx *ctx;
	struct inspect_report *r;
	struct inspect_win win;
	const struct block_meta *meta; /* NULL: unreadable */
	/* Called for each sound series in order; -1 ends the walk. */
	int (*on_series)(void *arg, struct inspect_walk *w,
			 const struct inspect_series *s, struct err *e);
	void *arg;
	/* Of the series that match: on_series is called for these only, and chunks and what pairs leave uncovered are theirs. */
	const struct matcher *matchers;
	size_t n_matchers; /* 0: all */
	/* filled by the walk */
	struct {
		uint64_t symbols, series, label_indices, postings, postings_table;
	} toc;
	bool broken; /* frame, table of contents or symbols cannot be read: no series were seen */
	struct view symbols_pin;
	struct str symbols;
	uint32_t *symbol_off; /* into symbols: behind the length */
	uint32_t n_symbols;
	uint8_t *used; /* a bit a symbol */
	struct inspect_pair *pair;
	size_t n_pairs, cap_pairs;
	uint64_t *matched; /* by pair: series that match; NULL without matchers */
	uint64_t n_matched;
	struct map64 by_pair; /* name << 32 | value -> number of the pair */
	uint32_t *all;	      /* refs of the list of all series, ascending */
	size_t n_all;
	bool has_all;
	uint32_t *ref; /* of the entries seen */
	size_t n_refs, cap_refs;
	uint64_t bad_series, chunks;
	uint32_t *last; /* labels of the series before */
	uint32_t n_last;
	size_t cap_last;
	struct arena entry; /* of one series */
	struct view table_pin;
	struct str table; /* postings offset table, its content */
};
MUST_CHECK int inspect_walk_run(struct inspect_walk *w, struct range_source *index,
				struct err *e);
void inspect_walk_deinit(struct inspect_walk *w);
/* How many series that match have the pair. */
static inline uint64_t inspect_pair_series(const struct inspect_walk *w, size_t pair)
{
	return w->n_matchers ? w->matched[pair] : w->pair[pair].series;
}
struct str inspect_symbol(const struct inspect_walk *w, uint32_t ordinal);
/* `{__name__="up", job="x"}`, cut when it is long. */
void inspect_series_name(const struct inspect_walk *w, const struct inspect_series *s,
			 char out[200]);

/* ---- index_parts.c, index_lists.c: the walk's sections ---- */
MUST_CHECK int inspect_read_frame(struct inspect_walk *w, struct err *e);
MUST_CHECK int inspect_read_symbols(struct inspect_walk *w, struct err *e);
MUST_CHECK int inspect_read_table(struct inspect_walk *w, struct err *e);
MUST_CHECK int inspect_read_all(struct inspect_walk *w, struct err *e);
/* Lists against series, once all series have been seen. */
MUST_CHECK int inspect_check_lists(struct inspect_walk *w, struct err *e);
uint64_t inspect_ref_hash(uint32_t ref);

/* ---- chunks.c ---- */
struct inspect_chunk_facts {
	uint8_t enc;
	uint32_t bytes; /* of data, without length, encoding, checksum */
	uint64_t samples, floats, hists, buckets;
};
struct inspect_chunks;
MUST_CHECK int inspect_chunks_open(struct ctx *ctx, const struct inspect_place *p,
				   const struct inspect_files *files,
				   const struct block_meta *meta,
				   struct inspect_report *r, struct inspect_chunks **out,
				   struct err *e);
/* One chunk of a series, read and decoded. 1 sound, 0 damaged and reported, -1. */
int inspect_chunks_check(struct inspect_chunks *c, struct ctx *ctx,
			 const struct inspect_walk *w, const struct inspect_series *s,
			 const struct idx_chunk *k, struct inspect_chunk_facts *out,
			 struct err *e);
/* What belongs to no chunk, or to two. */
void inspect_chunks_coverage(struct inspect_chunks *c);
uint64_t inspect_chunks_bytes(const struct inspect_chunks *c, uint64_t *segments);
void inspect_chunks_close(struct inspect_chunks *c);

/* ---- verify.c ---- */
/* meta.json; false in *ok: missing or unreadable, reported. */
MUST_CHECK int inspect_meta(struct ctx *ctx, struct arena *a,
			    const struct inspect_place *p, struct inspect_report *r,
			    struct block_meta *out, bool *ok, struct err *e);

#endif
