/*
 * store/spill.h - bytes that a producer must get rid of at once and a consumer takes when it can: memory first, then
 * a file without a name.
 *
 * The sidecar reads Prometheus' answers through one: an open remote read blocks the truncation of Prometheus' head,
 * so a client that reads slowly must not make Prometheus wait. What is queued in memory is charged to the budget and
 * at most `memory` bytes; what is beyond it, or what the budget refuses, goes to the file until the consumer has
 * caught up.
 *
 * Thread  one producer, one consumer (WORKER both), one mutex; neither does file I/O under it.
 */
#ifndef STORE_SPILL_H
#define STORE_SPILL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/ctx.h"

struct spill;
struct spill_opts {
	struct budget *budget; /* may be NULL */
	size_t memory;	       /* bytes; 0: 16 MiB */
	const char *dir;       /* of the file; NULL: as fs_temp_open */
};
struct spill *spill_new(const struct spill_opts *o);
void spill_free(struct spill *s); /* both ends are through with it; NULL allowed */

/* -- producer -- */
/* Never waits for the consumer. E_NOSPACE and the like when the file cannot take it. */
MUST_CHECK int spill_write(struct spill *s, struct str bytes, struct err *e);
/* No more will come: all was written, or `why` (copied; long text is cut). */
void spill_end(struct spill *s, const struct err *why);

/* -- consumer -- */
/* Up to n bytes into p, at least one: how many; 0: the end; -1: the producer's error, or the ctx ended. */
MUST_CHECK ssize_t spill_read(struct spill *s, struct ctx *ctx, void *p, size_t n,
			      struct err *e);

/* For tests and metrics: bytes queued in memory now, and bytes that ever went to the file. */
size_t spill_held(struct spill *s);
uint64_t spill_spilled(struct spill *s);

#endif
