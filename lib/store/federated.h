/*
 * store/federated.h - rules, targets, metric metadata, exemplars and TSDB statistics: what the sidecar answers from its
 * Prometheus and the querier from its endpoints. One interface stands between both and those who serve it, by gRPC
 * (federated_service.c) and by HTTP (lib/api).
 *
 * Thread  SHARED: several requests at a time, each on its own WORKER thread
 * Memory  answers lie in the caller's arena, charged to its budget
 */
#ifndef STORE_FEDERATED_H
#define STORE_FEDERATED_H

#include "base/ctx.h"
#include "model/store.h"
#include "proto/federated.h"

struct federated;
/* All: *out is filled anew; what failed in part is told in ctx->notes. Requests are not changed. */
struct federated_ops {
	int (*rules)(struct federated *f, struct ctx *ctx, struct arena *a,
		     const struct pb_rules_request *q, struct pb_rule_groups *out,
		     struct err *e);
	int (*targets)(struct federated *f, struct ctx *ctx, struct arena *a,
		       const struct pb_targets_request *q,
		       struct pb_target_discovery *out, struct err *e);
	int (*metadata)(struct federated *f, struct ctx *ctx, struct arena *a,
			const struct pb_metadata_request *q, struct pb_metadata *out,
			struct err *e);
	int (*exemplars)(struct federated *f, struct ctx *ctx, struct arena *a,
			 const struct pb_exemplars_request *q, struct pb_exemplars *out,
			 struct err *e);
	int (*statistics)(struct federated *f, struct ctx *ctx, struct arena *a,
			  const struct pb_statistics_request *q,
			  struct pb_statistics *out, struct err *e);
};
struct federated {
	const struct federated_ops *ops;
};
/* Bits of Info for whoever has all of them. */
#define FEDERATED_APIS                                                                   \
	(API_RULES | API_TARGETS | API_METADATA | API_EXEMPLARS | API_STATUS)

/* ---- gRPC: federated_service.c ---- */
struct rpc_method;
#define FEDERATED_METHODS 5
void federated_methods(struct federated *f,
		       struct rpc_method *out); /* FEDERATED_METHODS rows */

/* ---- what several answers are together: federated_merge.c, federated_unite.c. CPU ---- */
/*
 * Groups of the same file and name become one; rules that are the same but for replica labels (names sorted) become the
 * one evaluated last, of alerts first the one in the gravest state. Sorted.
 */
MUST_CHECK int federated_dedup_rules(struct ctx *ctx, struct arena *a,
				     struct pb_rule_groups *g, const struct str *replicas,
				     size_t n, struct err *e);
/*
 * Only what the request names: groups, files, names of rules, labels of rules (m, those of all sets together, must
 * match; labels with templates do not count). Groups without rules then are left out.
 */
MUST_CHECK int federated_filter_rules(struct ctx *ctx, struct arena *a,
				      const struct pb_rules_request *q,
				      const struct matcher *m, size_t n,
				      struct pb_rule_groups *g, struct err *e);
/* Targets that are the same but for replica labels: the one of the lowest health, of these the one scraped last. */
MUST_CHECK int federated_dedup_targets(struct ctx *ctx, struct arena *a,
				       struct pb_target_discovery *t,
				       const struct str *replicas, size_t n,
				       struct err *e);
/* Exemplars of series that are the same but for replica labels, each once, sorted by time. */
MUST_CHECK int federated_dedup_exemplars(struct ctx *ctx, struct arena *a,
					 struct pb_exemplars *x,
					 const struct str *replicas, size_t n,
					 struct err *e);
/* Add the metrics of `from`; limit < 0: all. */
MUST_CHECK int federated_unite_metadata(struct ctx *ctx, struct arena *a,
					struct pb_metadata *to,
					const struct pb_metadata *from, int32_t limit,
					struct err *e);
void federated_sort_metadata(struct pb_metadata *m); /* by name */
/* Add statistics of one TSDB: counts are added up, of label values the largest stands; lists descend by value. */
MUST_CHECK int federated_add_statistics(struct ctx *ctx, struct arena *a,
					struct pb_statistics_entry *to,
					const struct pb_statistics_entry *from,
					struct err *e);
/* The same by tenant. */
MUST_CHECK int federated_unite_statistics(struct ctx *ctx, struct arena *a,
					  struct pb_statistics *to,
					  const struct pb_statistics *from,
					  struct err *e);

#endif
