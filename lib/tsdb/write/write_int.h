/*
 * tsdb/write/write_int.h - the parts of a block writer: segments, symbols, postings, index.
 *
 *   block_writer -> seg_writer   chunks/NNNNNN
 *                -> index_writer index -> sym_table (ordinal -> text, out of the file itself)
 *                                      -> post_sort (pairs of a label and a series, sorted through unlinked files)
 */
#ifndef TSDB_WRITE_WRITE_INT_H
#define TSDB_WRITE_WRITE_INT_H

#include "base/ctx.h"
#include "fs/fs.h"
#include "fs/fs_out.h"
#include "tsdb/write/write.h"

#define WRITE_BUFFER ((size_t)1 << 20)
/* Small: whoever looks at it when it is written finds it in the core's cache. */
#define SEGMENT_BUFFER ((size_t)512 << 10)

/* What the formats can say; tests make it smaller. */
struct write_limits {
	uint64_t
		section; /* bytes of symbols, of the offset table, of a postings list: u32 */
	uint64_t index; /* bytes of the file: references are u32 x 16 */
	size_t memory;	/* of sorting, in place of opts.memory; 0: as it is */
};
#define WRITE_LIMITS ((struct write_limits){ UINT32_MAX, (uint64_t)64 << 30, 0 })

static inline void write_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

/* ---- segments.c ---- */
struct seg_writer {
	const char *dir; /* borrowed */
	uint64_t limit;	 /* bytes of a file, unless one chunk is larger */
	struct fs_out *file;
	uint32_t n;		   /* files begun */
	uint64_t bytes;		   /* of closed files */
	uint64_t chunk_max;	   /* bytes of the largest entry */
	block_writer_wrote *wrote; /* NULL: nobody looks */
	void *arg;
};
/* crc: over encoding and data. */
MUST_CHECK int seg_write(struct seg_writer *s, struct ctx *ctx, struct chunk_part c,
			 uint32_t crc, uint64_t *ref, struct err *e);
MUST_CHECK int seg_finish(struct seg_writer *s, struct ctx *ctx, struct err *e);
void seg_drop(struct seg_writer *s);

/* ---- symbols.c: texts by ordinal, read back through a window ---- */
#define SYM_SAMPLES 65536u
struct sym_window { /* bytes [off, off + n) of the table, where symbol `ordinal` begins at `at` */
	uint8_t *p;
	size_t n, cap, read; /* read: bytes of the next read; 0: never yet */
	uint64_t off;
	uint32_t ordinal;
	size_t at;
};
struct sym_table {
	uint64_t base;	/* where entries begin in the file */
	uint64_t bytes; /* of all entries */
	uint32_t count;
	uint32_t step;	  /* every step-th ordinal is in sample[] */
	uint32_t *sample; /* offsets from base */
	struct sym_window window;
};
void sym_init(struct sym_table *t, uint64_t base);
void sym_deinit(struct sym_table *t);
/* The next symbol's entry, of so many bytes, goes to the end. */
void sym_add(struct sym_table *t, size_t entry_bytes);
/* Text of an ordinal below count: a view valid until the next call. Fast when ordinals ascend. */
MUST_CHECK int sym_get(struct sym_table *t, struct fs_out *file, struct ctx *ctx,
		       uint32_t ordinal, struct str *out, struct err *e);

/* ---- spill.c: appended to an unlinked file through a buffer ---- */
struct spill {
	struct fs_temp *temp;
	uint64_t done; /* bytes in the file */
	uint8_t *p;
	size_t n, room;
};
MUST_CHECK int spill_open(struct spill *s, struct ctx *ctx, const char *dir, size_t room,
			  struct err *e);
MUST_CHECK int spill_append(struct spill *s, struct ctx *ctx, const void *p, size_t n,
			    struct err *e);
MUST_CHECK int spill_flush(struct spill *s, struct ctx *ctx, struct err *e);
uint64_t spill_pos(const struct spill *s);
void spill_close(struct spill *s);
/* Reading [at, end) of a spill, front to back, through a window; after a flush. */
struct spill_reader {
	struct spill *s;
	uint64_t at, end; /* not yet in the window */
	uint8_t *p;	  /* borrowed: `room` bytes */
	size_t room, from, n;
};
/* At least `want` (<= room) bytes at *p, all that the window has (*n); fewer only at the end. */
MUST_CHECK int spill_peek(struct spill_reader *r, struct ctx *ctx, size_t want,
			  const uint8_t **p, size_t *n, struct err *e);
static inline void spill_skip(struct spill_reader *r, size_t n) /* <= what peek gave */
{
	r->from += n;
}

/* ---- post_sort.c, post_merge.c: series of each label pair ---- */
struct post_entry {
	uint32_t name, value, ref;
};
struct post_run {
	uint64_t off, end; /* in the spill */
	unsigned level;	   /* how many merges made it */
};
struct post_sort {
	struct budget *budget;
	struct post_entry *v,
		*room; /* cap entries each; the second to sort, and both to merge */
	size_t n, cap, cap_max, charged;
	struct spill spill;
	struct post_run *run;
	size_t n_runs, cap_runs, fan_in; /* runs merged at a time */
};
MUST_CHECK int post_init(struct post_sort *s, struct ctx *ctx, const char *dir,
			 size_t memory, struct err *e);
void post_deinit(struct post_sort *s);
void post_set_memory(struct post_sort *s, size_t memory); /* before the first post_add */
/* Pairs of one series; refs ascend from call to call. */
MUST_CHECK int post_add(struct post_sort *s, struct ctx *ctx, uint32_t ref,
			const uint32_t *label, size_t n_labels, struct err *e);

struct post_group {
	uint32_t name, value;
	uint64_t n; /* series; refs follow, big endian, ascending */
};
struct post_merge;
/* After the last post_add, or (many runs) in between. Runs [first, n_runs) are merged. */
MUST_CHECK int post_merge_open(struct post_sort *s, struct ctx *ctx, size_t first,
			       struct post_merge **out, struct err *e);
void post_merge_close(struct post_merge *m);
/* The next group in order of (name, value): 1, 0 end, -1. Its refs are to be taken whole first. */
int post_merge_next(struct post_merge *m, struct ctx *ctx, struct post_group *out,
		    struct err *e);
/* A piece of the group's refs: 1 (valid until the next call), 0: that was all, -1. */
int post_merge_refs(struct post_merge *m, struct ctx *ctx, struct str *out,
		    struct err *e);
/* Spill what is left, merge until one pass can do the rest. */
MUST_CHECK int post_done(struct post_sort *s, struct ctx *ctx, struct err *e);

/* ---- index.c ---- */
struct index_writer {
	struct write_limits limits;
	const char *dir; /* for spills; borrowed */
	struct fs_out *file;
	struct buf last; /* the symbol before */
	bool series_begun;
	uint32_t symbols_crc;
	struct sym_table symbols;
	uint64_t n_series, series_max;
	uint32_t *prev; /* labels of the series before */
	size_t n_prev, prev_cap;
	uint8_t *entry;
	size_t entry_cap;
	struct post_sort sort;
	struct spill refs;	  /* all series, u32 big endian */
	struct spill table;	  /* struct index_list */
	block_writer_entry *seen; /* NULL: nobody looks */
	void *arg;
	uint64_t toc[6];
	uint32_t crc; /* of the file, as far as it is settled */
};
MUST_CHECK int index_open(struct index_writer *x, struct ctx *ctx, const char *dir,
			  size_t memory, struct err *e);
MUST_CHECK int index_symbol(struct index_writer *x, struct ctx *ctx, struct str s,
			    struct err *e);
/* Labels are checked before chunks are written, the entry is written after. */
MUST_CHECK int index_check_labels(struct index_writer *x, struct ctx *ctx,
				  const uint32_t *label, size_t n_labels, struct err *e);
MUST_CHECK int index_series(struct index_writer *x, struct ctx *ctx,
			    const uint32_t *label, size_t n_labels,
			    const struct index_chunk *c, size_t n, struct err *e);
MUST_CHECK int index_finish(struct index_writer *x, struct ctx *ctx, uint64_t *bytes,
			    struct err *e);
void index_drop(struct index_writer *x);
/* Bytes that stay as they are: written, and summed. */
MUST_CHECK int index_put(struct index_writer *x, struct ctx *ctx, const void *p, size_t n,
			 struct err *e);

/* ---- index_lists.c: postings and their offset table ---- */
MUST_CHECK int index_write_lists(struct index_writer *x, struct ctx *ctx, struct err *e);

/* For tests: smaller limits, before the first symbol. */
void block_writer_limit(struct block_writer *w, struct write_limits l);

#endif
