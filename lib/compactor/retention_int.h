/*
 * compactor/retention_int.h - what --retention.config says, for retention.c.
 */
#ifndef COMPACTOR_RETENTION_INT_H
#define COMPACTOR_RETENTION_INT_H

#include <stdio.h>

#include "compactor/compactor_int.h"
#include "model/matcher.h"

struct selector {
	struct matcher *m;
	size_t n;
};
struct policy {
	struct selector *match; /* any of them; n_match 0: all blocks */
	size_t n_match;
	struct str *per; /* sorted */
	size_t n_per;
	bool has_ms[RESOLUTIONS];
	int64_t ms[RESOLUTIONS];
	uint64_t max_size; /* 0: none */
};
struct retention_config {
	struct arena arena;
	struct policy *v;
	size_t n;
	uint64_t max_size; /* of the bucket; 0: none */
};
/* The first policy that fits; NULL: none. */
const struct policy *retention_policy(const struct retention_config *r, struct labels ls);
/* What the budget of p is of: the values of its `per` labels. */
struct str retention_key(struct arena *a, const struct policy *p, struct labels ls);

#endif
