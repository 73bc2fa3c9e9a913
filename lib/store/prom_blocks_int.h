/*
 * store/prom_blocks_int.h - the blocks of a data folder as they were last seen (prom_scan.c) and what is known of their
 * Prometheus (prom_blocks.c). All under the mutex of struct prom_blocks.
 */
#ifndef STORE_PROM_BLOCKS_INT_H
#define STORE_PROM_BLOCKS_INT_H

#include <pthread.h>

#include "fs/fs.h"
#include "store/prom_blocks.h"

#define BAD_FOR_GOOD UINT64_MAX

struct prom_entry {
	char id[27];
	struct ulid ulid;
	uint64_t ino; /* of its folder */
	int64_t mint_ms, maxt_ms;
	struct ulid *parents;
	size_t n_parents;
	bool deletable;
	bool seen; /* in the listing at hand */
	bool live; /* Prometheus serves it: no parent of another, not to be deleted */

	struct block *block; /* NULL: not open */
	struct fs_stat stones;
	size_t files, memory;
	uint64_t used_ns;
	uint64_t skip;	 /* the plan that had no room for it */
	uint64_t bad_ns; /* not tried before; 0: not bad */
};

struct prom_scan {
	char *dir;
	struct prom_entry **v; /* ascend by mint */
	size_t n, cap;
	struct fs_stat seen; /* of the folder, before it was listed */
	bool settled;	     /* nothing can have changed without a new mtime */
};

/* Look again, if anything may have changed. -1: what is there cannot be known; e names what is in the way. */
MUST_CHECK int prom_scan_refresh(struct prom_scan *s, struct ctx *ctx, struct err *e);
void prom_scan_deinit(struct prom_scan *s);
/* Bytes of all live blocks: index and chunks; meta.json and tombstones. false: they changed meanwhile. */
bool prom_scan_bytes(struct prom_scan *s, struct ctx *ctx, uint64_t *lasting,
		     uint64_t *other);
/*
 * The block is open and its tombstones are those on disk. 1: yes; 0: its folder is gone, look again; -1: it cannot be
 * opened.
 */
int prom_entry_open(struct prom_scan *s, struct prom_entry *t, struct ctx *ctx,
		    struct err *e);
void prom_entry_close(struct prom_entry *t);

#endif
