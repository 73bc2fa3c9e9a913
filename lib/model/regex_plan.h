/*
 * model/regex_plan.h - what a pattern allows to decide without RE2; private to this module.
 */
#ifndef MODEL_REGEX_PLAN_H
#define MODEL_REGEX_PLAN_H

#include "model/regex.h"

enum plan_kind {
	PLAN_NONE, /* RE2 decides; info.prefix and suffix may still reject */
	PLAN_SET,  /* exactly set[] */
	PLAN_GLOB, /* one of the globs */
};
/*
 * literal gap literal gap ... literal: n_lits literals with gaps between them. gap[i] is the least
 * number of bytes (0: ".*", 1: ".+") between lit[i] and lit[i + 1]; the outer ones are anchored.
 */
struct plan_glob {
	struct str *lit;
	uint8_t *gap;
	uint32_t n_lits;
};
struct regex_plan {
	enum plan_kind kind;
	struct regex_info info;
	const struct str *set; /* sorted; may be longer than what info shows */
	size_t n_set;
	struct plan_glob *globs;
	size_t n_globs;
};
/* Analyse a pattern that RE2 accepted; memory of `a`. Never fails: PLAN_NONE where unsure. */
void regex_plan_make(struct arena *a, struct str pattern, struct regex_plan *out);
/* 1, 0, or -1: RE2 must be asked. */
int regex_plan_match(const struct regex_plan *p, struct str s);

#endif
