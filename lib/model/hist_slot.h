/*
 * model/hist_slot.h - sums of native histograms at rest: many of them, of few layouts.
 *
 * A slot holds what a hist_acc knows, in 12 bytes a bucket and mostly nothing else: its numbers; what their compensated sum has
 * lost, once anything was (as floats while these hold it exactly: it has but few bits); and the layout, which the slots of a shelf
 * share. A histogram whose buckets are all there is added in place. For anything else the slot is brought into the accumulator of
 * the shelf and put back, so that hist_math.h says what happens.
 *
 * Thread  CPU; a shelf and its slots belong to one thread.  Memory  an arena of the shelf, charged; until hist_shelf_deinit. What a
 * slot outgrows is used again.
 */
#ifndef MODEL_HIST_SLOT_H
#define MODEL_HIST_SLOT_H

#include "base/map.h"
#include "model/hist_math.h"

struct slot_layout;
struct hist_slot {
	double *v; /* zero count, count, sum, positive buckets, negative ones; NULL: empty */
	void *lost; /* of each of them: floats or doubles; NULL: nothing */
	const struct slot_layout *layout;
	uint8_t hint;
	bool compensated, wide; /* wide: `lost` are doubles */
	uint8_t own_bits;	/* the owner's, as own_n */
	uint32_t own_n;
};
#define SLOT_WORDS_MAX 256 /* of blocks that are used again */
struct hist_shelf {
	struct ctx *ctx;
	struct arena arena, scratch;
	struct hist_work work;
	struct hist_acc acc; /* of one slot, between load and save */
	double *lost;	     /* the same; `cap` of them */
	size_t cap;
	struct map64 layouts;
	const struct slot_layout *last;
	void *unused[SLOT_WORDS_MAX + 1]; /* by words */
};
void hist_shelf_init(struct hist_shelf *s, struct ctx *ctx);
void hist_shelf_deinit(struct hist_shelf *s);

/* The first histogram of an empty slot. 0, or -1: E_LIMIT. */
MUST_CHECK int hist_slot_set(struct hist_shelf *s, struct hist_slot *x,
			     const struct hist *h, struct err *e);
/* hist_acc_add_compensated; *met: HIST_... bits. */
MUST_CHECK int hist_slot_add(struct hist_shelf *s, struct hist_slot *x,
			     const struct hist *h, unsigned *met, struct err *e);
/* The slot as s->acc, and back; in between no other slot is looked at. */
MUST_CHECK int hist_slot_load(struct hist_shelf *s, const struct hist_slot *x,
			      struct err *e);
MUST_CHECK int hist_slot_save(struct hist_shelf *s, struct hist_slot *x, struct err *e);
bool hist_slot_is_small(
	const struct hist_slot *x); /* hist_acc_is_small, but for bounds */
/* What was lost is added in, and the sum shown without empty buckets, in the slot's memory: it is not added to any more. */
MUST_CHECK int hist_slot_end(struct hist_shelf *s, struct hist_slot *x, struct hist *out,
			     struct err *e);

#endif
