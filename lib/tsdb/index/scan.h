/*
 * tsdb/index/scan.h - an index from its beginning to its end: every symbol, every series entry, by sequential reads.
 *
 * Nothing is held but two windows of read_ahead bytes and one entry; postings are not read. What an entry says is
 * shown as it stands: labels and chunks may be out of order, times may be anything.
 * Thread  WORKER, one at a time
 */
#ifndef TSDB_INDEX_SCAN_H
#define TSDB_INDEX_SCAN_H

#include "tsdb/index/index.h"

struct idx_scan;
struct idx_scan_series {
	const uint32_t *
		label; /* symbol ordinals: name, value, ... as they stand; empty values are left out */
	uint32_t n_labels;
	const struct idx_chunk *chunk;
	uint32_t n_chunks;
	uint32_t ref;  /* position / 16 */
	bool unsorted; /* names do not ascend strictly */
};
/* Takes a reference of index. The frame is checked; errors as those of idx_open_index. */
MUST_CHECK int idx_scan_open(struct ctx *ctx, struct range_source *index,
			     size_t read_ahead, struct idx_scan **out, struct err *e);
void idx_scan_close(struct idx_scan *s); /* NULL allowed */

uint32_t idx_scan_symbol_count(const struct idx_scan *s);
/* Symbols strictly ascending: 1 (*out valid until the next call), 0 end (the checksum was right), -1. */
int idx_scan_symbol(struct idx_scan *s, struct ctx *ctx, struct str *out, struct err *e);
void idx_scan_rewind_symbols(struct idx_scan *s);
/* Entries in the order of the file: 1 (valid until the next call), 0 end, -1 "series 123: ...". */
int idx_scan_series(struct idx_scan *s, struct ctx *ctx, struct idx_scan_series *out,
		    struct err *e);
/* The same, but the entry is not taken apart: it stands where it should, and its checksum is right. */
int idx_scan_skip(struct idx_scan *s, struct ctx *ctx, struct err *e);

#endif
