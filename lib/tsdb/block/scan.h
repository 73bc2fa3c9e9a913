/*
 * tsdb/block/scan.h - a block from its beginning to its end: every symbol, every series with its chunks, by sequential
 * ranged reads, in flat memory.
 *
 * Index and segments are read in order, each through a window of read_ahead bytes (segments: references that go back
 * are read apart). Every CRC is checked but those of postings, which are not read. Nothing of the index is held:
 * neither symbols nor postings. What the entries say is shown as it stands: order of labels, series and chunks, and
 * times, are the caller's to check; tombstones are not applied.
 * Thread  WORKER, one at a time. Memory 3 x read_ahead, and one series with its chunks' windows; charged to ctx->budget.
 */
#ifndef TSDB_BLOCK_SCAN_H
#define TSDB_BLOCK_SCAN_H

#include "tsdb/block/block.h"

struct block_scan;
struct block_source { /* the parts of a block, wherever they lie; a borrowed view */
	const struct block_meta *meta;
	struct range_source *index;
	struct range_source *const *segment; /* [i] is chunks/00000(i+1) */
	size_t n_segments;
	struct tombstones *tombstones; /* NULL: none */
};
struct scan_series {
	const uint32_t *label; /* symbol ordinals: name, value, ... */
	uint32_t n_labels;
	bool unsorted; /* label names do not ascend strictly */
	const struct chunk_view *
		chunk; /* all of them, bytes verified (see block_scan_sums_later); AggrChunks split into parts; in the entry's order */
	size_t n_chunks;
	uint32_t ref; /* position / 16: tombstones' and postings' */
};
/* read_ahead 0: 1 MiB. src is borrowed until close. */
MUST_CHECK int block_scan_open(struct ctx *ctx, const struct block_source *src,
			       size_t read_ahead, struct block_scan **out, struct err *e);
/*
 * From now on checksums of chunks are shown (chunk_view.hash) and not compared, but those of AggrChunks: for who copies chunks
 * and compares what became of them. Before anything is believed of such a chunk: block_scan_verify.
 */
void block_scan_sums_later(struct block_scan *s);
/* The checksums of all chunks of the series shown last. */
MUST_CHECK int block_scan_verify(struct block_scan *s, struct ctx *ctx, struct err *e);
/* Symbols in order: 1 (valid until the next call), 0 end, -1. May be restarted by block_scan_rewind_symbols. Independent of series. */
int block_scan_symbol(struct block_scan *s, struct ctx *ctx, struct str *out,
		      struct err *e);
uint32_t block_scan_symbol_count(const struct block_scan *s);
/* Series in order: 1, 0 end, -1; valid until the next call. Errors: E_CORRUPT "block <ULID>: index: series N: ..." */
int block_scan_series(struct block_scan *s, struct ctx *ctx, struct scan_series *out,
		      struct err *e);
void block_scan_rewind_symbols(struct block_scan *s);
/* The labels of the series shown last, as text, for errors: reads the symbols once more. In `a`; what cannot be read is "?". */
struct str block_scan_labels_text(struct block_scan *s, struct ctx *ctx, struct arena *a);
/* The same of any series of the block, whose symbol ordinals were kept. */
struct str block_scan_text_of(struct block_scan *s, struct ctx *ctx, struct arena *a,
			      const uint32_t *label, uint32_t n_labels);
void block_scan_close(struct block_scan *s); /* NULL allowed */

/* A block folder on disk as a source: opens its files. Memory of `a`; closed by block_source_close. */
MUST_CHECK int block_source_open_dir(struct ctx *ctx, struct arena *a, const char *dir,
				     struct block_source *out, struct err *e);
void block_source_close(struct block_source *src);

#endif
