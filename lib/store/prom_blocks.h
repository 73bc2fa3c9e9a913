/*
 * store/prom_blocks.h - the persisted blocks in the data folder of a Prometheus, read beside it.
 *
 * What is older than the border is read from the folder, the rest is asked from Prometheus. The border is the end of a
 * block at which Prometheus' head holds nothing older and takes nothing older any more; it is worked out from what a
 * heartbeat learned, and only moves up: what was learned long ago asks too much of Prometheus, never too little. How
 * it is found, and what the folder must show before it is trusted: prom_blocks.c.
 *
 * Thread  SHARED; plan and learn are WORKER.
 * Memory  symbols and offsets of the blocks held open, at most PROM_BLOCKS_MEMORY; what does not fit is asked from
 *         Prometheus.
 */
#ifndef STORE_PROM_BLOCKS_H
#define STORE_PROM_BLOCKS_H

#include "metrics/metrics.h"
#include "tsdb/block/block.h"

#define PROM_BLOCKS_MEMORY (256u << 20)
#define PROM_BLOCKS_FILES  1024u /* open at a time; less where the process may have less */
#define PROM_SPANS	   4u	 /* remote reads of one call, at most */

/* What a Prometheus tells of its TSDB; NAN: it does not. */
struct prom_tsdb {
	double lowest_ms, head_mint_ms, head_maxt_ms;
	double blocks, blocks_bytes;
	double wal_bytes, wal_segment;
	int64_t min_block_ms;  /* 0: not known */
	int64_t ooo_window_ms; /* of its configuration; 0: none */
	bool remote_read;      /* it answers from other servers, too */
};

struct prom_blocks;
/* asked: the user wants it by name, so that what stands against it is a warning. */
struct prom_blocks *prom_blocks_new(const char *dir, bool asked,
				    struct metric_registry *m);
void prom_blocks_free(struct prom_blocks *b); /* after all calls; NULL allowed */

struct prom_wal { /* of the folder */
	uint64_t bytes;
	int64_t first, last; /* segments: that holds something, and of all; -1: none */
};
/* Before what Prometheus tells is asked. */
struct prom_wal prom_blocks_wal(const struct prom_blocks *b, struct ctx *ctx);
/* What it told: is this its folder, and where is the border? Closes blocks that were not used for long. */
void prom_blocks_learn(struct prom_blocks *b, struct ctx *ctx, struct prom_wal before,
		       const struct prom_tsdb *t);

struct prom_span {
	int64_t mint_ms, maxt_ms; /* inclusive */
};
struct prom_plan {
	struct prom_span remote[PROM_SPANS]; /* ascending */
	size_t n_remote;
	struct block **block; /* in the arena; ascending, do not overlap */
	size_t n_blocks;
	int64_t mint_ms, maxt_ms; /* what is to be read of them, inclusive */
};
/* How [mint, maxt] is to be read; the blocks are the plan's until prom_plan_free. -1: the call is over. */
MUST_CHECK int prom_blocks_plan(struct prom_blocks *b, struct ctx *ctx, struct arena *a,
				int64_t mint_ms, int64_t maxt_ms, struct prom_plan *out,
				struct err *e);
void prom_plan_free(struct prom_plan *p);
/* Reading this block failed: it is not read any more. */
void prom_blocks_failed(struct prom_blocks *b, const char *id, const struct err *why);

/* ---- prom_plan.c: which times are whose; CPU ---- */
struct prom_extent {
	int64_t mint_ms, maxt_ms; /* maxt exclusive */
	bool direct;		  /* in: it can be read; out: it is to be read */
};
/* The latest end of a block that is at most `cap`; INT64_MIN: none. */
int64_t prom_border(const struct prom_extent *v, size_t n, int64_t cap);
/*
 * v ascends by mint. Times older than the border whose blocks cannot be read or overlap are asked from Prometheus,
 * as is all from the border on. Returns the number of spans.
 */
size_t prom_spans(struct prom_extent *v, size_t n, int64_t border, int64_t mint_ms,
		  int64_t maxt_ms, struct prom_span out[PROM_SPANS]);

#endif
