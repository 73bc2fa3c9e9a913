/*
 * store/spill.h - bytes that a producer must get rid of at once and a consumer takes when it can: memory first, then
 * a file without a name.
 *
 * The sidecar reads Prometheus' answers through one: an open remote read blocks the truncation of Prometheus' head,
 * so a client that reads slowly must not make Prometheus wait. What is queued in memory is charged to the budget and
 * at most `memory` bytes; what is beyond it, or what the budget refuses, goes to the file until the consumer has
 * caught up. Large pieces are queued and handed out as they came, without a copy.
 *
 * Thread  one producer, one consumer (WORKER both), one mutex; neither does file I/O under it.
 */
#ifndef STORE_SPILL_H
#define STORE_SPILL_H

#include "base/ctx.h"
#include "base/ref.h"

struct spill;
struct spill_opts {
	struct budget *budget; /* may be NULL */
	size_t memory;	       /* bytes; 0: 16 MiB */
	const char *dir;       /* of the file; NULL: as fs_temp_open */
};
struct spill *spill_new(const struct spill_opts *o);
void spill_free(struct spill *s); /* both ends are through with it; NULL allowed */

/* -- producer -- */
/* Never waits for the consumer. The view is taken over. E_NOSPACE and the like when the file cannot take it. */
MUST_CHECK int spill_write(struct spill *s, struct view v, struct err *e);
/* No more will come: all was written, or `why` (copied; long text is cut). */
void spill_end(struct spill *s, const struct err *why);

/* -- consumer -- */
/*
 * 1: *v is what comes next, at least one byte, charged until it is put (before spill_free); 0: the end; -1: the
 * producer's error, or the ctx ended.
 */
MUST_CHECK int spill_read(struct spill *s, struct ctx *ctx, struct view *v,
			  struct err *e);

/* For tests and metrics: bytes queued in memory now, and bytes that ever went to the file. */
size_t spill_held(struct spill *s);
uint64_t spill_spilled(struct spill *s);

#endif
