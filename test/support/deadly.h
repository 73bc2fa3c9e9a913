/*
 * support/deadly.h - a bucket that ends the process (exit status 9) at its nth call: before the call does anything, or
 * after it took effect; and in the middle of what a put reads, each piece of which counts as a call.
 */
#ifndef SUPPORT_DEADLY_H
#define SUPPORT_DEADLY_H

#include "objstore/bucket.h"

struct deadly {
	struct bucket base;
	struct bucket *inner;
	int left; /* calls until then; < 0: never */
	bool after;
	size_t piece; /* bytes a put reads at a time */
};
void deadly_init(struct deadly *d, const char *name, struct bucket *inner, int left,
		 bool after, size_t piece);

#endif
