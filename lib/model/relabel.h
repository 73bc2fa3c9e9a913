/*
 * model/relabel.h - Prometheus' relabelling: rules that keep, drop or rewrite label sets.
 *
 * Thread  FROZEN after relabel_parse.
 * Source  prometheus.md (relabel_config); validation and texts as Prometheus 3 has them
 */
#ifndef MODEL_RELABEL_H
#define MODEL_RELABEL_H

#include "base/arena.h"
#include "model/labels.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_HASHMOD,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE,
	RELABEL_ACTIONS
};
#define RELABEL_BIT(a) (1u << (a))
#define RELABEL_ALL    ((1u << RELABEL_ACTIONS) - 1)
/* What selects blocks: keep, drop, hashmod. */
#define RELABEL_SELECTOR                                                                 \
	(RELABEL_BIT(RELABEL_KEEP) | RELABEL_BIT(RELABEL_DROP) |                         \
	 RELABEL_BIT(RELABEL_HASHMOD))

struct relabel;
/* A YAML list of rules; an empty text is no rules. Actions outside `allowed` are refused: "unsupported relabel action: replace". */
MUST_CHECK int relabel_parse(struct ctx *ctx, struct str yaml, unsigned allowed,
			     struct relabel **out, struct err *e);
void relabel_free(struct relabel *r); /* NULL allowed */
size_t relabel_rules(const struct relabel *r);
/* Apply; false: dropped (or nothing is left). *out is sorted, memory in `a` or of `in`. CPU */
bool relabel_apply(const struct relabel *r, struct arena *a, struct labels in,
		   struct labels *out);

#endif
