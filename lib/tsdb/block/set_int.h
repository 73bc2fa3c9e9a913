/*
 * tsdb/block/set_int.h - the series_set over a block: entry stage (series.c) and chunk stage
 * (chunks.c).
 */
#ifndef TSDB_BLOCK_SET_INT_H
#define TSDB_BLOCK_SET_INT_H

#include "tsdb/block/block_int.h"

struct block_item { /* a series as it will be shown; memory of an entry batch */
	struct labels labels;
	const struct idx_chunk *chunk;
	uint32_t n;   /* chunks; with skip_chunks only their number may be known */
	uint32_t ref; /* of the series, whose tombstones count */
	const uint32_t *series; /* the same for each chunk; NULL: ref for all */
	bool joined;		/* of several series: chunks are not in order */
};

#define SET_MEMO 256
struct set_memo {
	uint32_t ordinal; /* UINT32_MAX: unused */
	struct str s;
};

struct block_set {
	struct series_set base;
	struct block *b;
	const struct block_series_req *req;
	struct labels ext; /* external labels that are shown */
	uint32_t *ext_at;  /* of each: the first symbol that is not less than its name */
	uint32_t *drop;	   /* ordinals of names left out of a series' own labels */
	size_t n_drop;
	bool hold; /* labels are added or left out: order must be restored */

	struct arena perm; /* postings or sort entries */
	struct postings p;
	struct block_sort_entry *sorted; /* NULL: postings order */
	size_t at, total;
	size_t batch_max;

	struct arena batch[2]; /* entries; held items move over when it turns */
	unsigned cur;
	struct block_item **held; /* stack, least on top */
	size_t n_held, cap_held;
	struct block_item **ready; /* in order */
	size_t n_ready, at_ready, cap_ready;
	struct set_memo memo[SET_MEMO];

	uint64_t n_series, n_chunks; /* for the limits */

	struct arena chunks; /* of what is shown */
	struct segment_need *need;
	size_t n_need;
	struct series_in *shown;
	size_t n_shown, at_shown;
	uint64_t read_chunks, read_bytes; /* for the mean size of a chunk */
	size_t show_bytes;		  /* of chunks that are read at once */
};

/*
 * What is read at once starts small and grows fourfold while reads are slow: a disk or its cache gives little as fast as much,
 * and what lies read ahead of each of many blocks adds up; an object store wants few large reads. A single slow one, of a busy
 * machine, is forgotten by the next that is fast.
 */
#define SET_SLOW_NS    (2 * NS_PER_MS)
#define SET_SHOW_LEAST ((size_t)16 << 10)
#define SET_SHOW_MOST  ((size_t)1 << 20)

/* chunks.c: read the chunks of as many ready items as fit and fill shown[]. */
MUST_CHECK int block_set_show(struct block_set *s, struct ctx *ctx, struct err *e);
void block_set_release(struct block_set *s); /* pins of what was shown */

#endif
