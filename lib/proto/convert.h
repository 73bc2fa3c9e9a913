/*
 * proto/convert.h - requests and answers of the StoreAPI between their bytes and model/store.h.
 *
 * Decoded requests are copied into the arena where the message does not outlive the call is of no
 * matter: strings of hints and shard labels are views into `msg`, matchers are copies.
 * Thread  CPU
 */
#ifndef PROTO_CONVERT_H
#define PROTO_CONVERT_H

#include "model/store.h"

void proto_series_req_encode(const struct store_series_req *req, struct buf *out);
/* E_PARSE malformed; E_INVALID an unknown enum value or a bad regex (named). */
MUST_CHECK int proto_series_req_decode(struct ctx *ctx, struct arena *a, struct str msg,
				       struct store_series_req *out, struct err *e);
/* LabelValuesRequest if req->label.p is not NULL, else LabelNamesRequest. */
void proto_labels_req_encode(const struct store_labels_req *req, struct buf *out);
MUST_CHECK int proto_labels_req_decode(struct ctx *ctx, struct arena *a, struct str msg,
				       bool values, struct store_labels_req *out,
				       struct err *e);
/* LabelNamesResponse and LabelValuesResponse lie alike on the wire. */
void proto_labels_resp_encode(const struct store_labels_resp *resp,
			      const struct str *warnings, size_t n, struct buf *out);
MUST_CHECK int proto_labels_resp_decode(struct ctx *ctx, struct arena *a, struct str msg,
					struct store_labels_resp *out,
					struct str **warnings, size_t *n_warnings,
					struct err *e);

/* Which other services an endpoint says it has. */
struct proto_services {
	bool store, rules, metadata, targets, exemplars, query, status, projections;
	int64_t exemplars_mint_ms, exemplars_maxt_ms;
};
void proto_info_encode(const struct store_info *info, const struct proto_services *sv,
		       struct buf *out);
/* Strings are copied into `a`. Without a store part the times are 0 and sv->store is false. */
MUST_CHECK int proto_info_decode(struct ctx *ctx, struct arena *a, struct str msg,
				 struct store_info *out, struct proto_services *sv,
				 struct err *e);

#endif
