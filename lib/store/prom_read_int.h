/*
 * store/prom_read_int.h - one remote read, shared by its two kinds of answers (prom_read.c and prom_frame.c, prom_samples.c).
 */
#ifndef STORE_PROM_READ_INT_H
#define STORE_PROM_READ_INT_H

#include "store/prom_int.h"
#include "tsdb/chunk/chunk.h"

struct prom_read {
	struct prom_store *p;
	struct prom_read_req req;
	struct arena arena;
	struct buf body; /* the request, read by the loop until the transfer ends */
	struct prom_held answer; /* sampled answers, and those that are no success */
};
void prom_read_free(struct prom_read *r);

/*
 * Labels of a series as received, changed in place: external ones that Prometheus added and those without a value are
 * left out, order is made sure of.
 */
MUST_CHECK int prom_read_labels(struct ctx *ctx, const struct prom_read_req *r,
				struct label *l, size_t n, struct labels *out,
				struct err *e);

/* prom_frame.c: series of one streamed frame (ChunkedReadResponse), views into bytes, the rest in f->arena. */
MUST_CHECK int prom_read_frame(struct ctx *ctx, const struct prom_read_req *r,
			       struct frame *f, struct str bytes, struct err *e);
/* Series of a sampled answer (r->answer), sorted, their samples encoded as they are shown. r is taken over on success. */
MUST_CHECK int prom_sampled_new(struct prom_read *r, struct ctx *ctx,
				struct frame_source **out, struct err *e);

#endif
