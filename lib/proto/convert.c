/*
 * proto/convert.c - requests, label answers and Info between messages and the structs of model/store.h.
 */
#include "proto/convert.h"

#include "base/limits.h"

#include "base/vec.h"

/* ---- pieces ---- */

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* Names in sorted order, as model/store.h promises: clients send them in any. */
static struct str *str_list(const struct pf_list *l)
{
	vec_sort(l->v, l->n, sizeof(struct str), by_str, NULL);
	return l->v;
}

static struct pf_list list_of_strs(const struct str *v, size_t n)
{
	return (struct pf_list){ (void *)(uintptr_t)v, n };
}

/* An array whose length others chose, zeroed; never NULL for an empty one. */
static void *try_array(struct ctx *ctx, struct arena *a, size_t n, size_t size,
		       struct err *e)
{
	void *v = arena_try(a, ctx, n * size + 1, e);
	if (v)
		memset(v, 0, n * size);
	return v;
}
#define TRY_ARRAY(ctx, a, type, n, e) ((type *)try_array(ctx, a, n, sizeof(type), e))

static int matchers_in(struct ctx *ctx, struct arena *a, const struct pf_list *in,
		       const struct matcher **out, size_t *n, struct err *e)
{
	const struct pb_matcher *m = in->v;
	if (in->n > LIMIT_MATCHERS)
		return err_set(ctx, e, E_LIMIT, "%zu matchers, more than %u", in->n,
			       LIMIT_MATCHERS);
	struct matcher *v = TRY_ARRAY(ctx, a, struct matcher, in->n, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < in->n; i++) {
		if (m[i].type < MATCH_EQ || m[i].type > MATCH_NRE)
			return err_set(ctx, e, E_INVALID, "unknown matcher type %d",
				       m[i].type);
		if (matcher_compile(ctx, a, (enum match_type)m[i].type, m[i].name,
				    m[i].value, &v[i], e) < 0)
			return -1;
	}
	*out = v;
	*n = in->n;
	return 0;
}

static struct pf_list matchers_out(struct arena *a, const struct matcher *m, size_t n)
{
	struct pb_matcher *v = ARENA_ARRAY(a, struct pb_matcher, n + 1);
	for (size_t i = 0; i < n; i++)
		v[i] = (struct pb_matcher){ (int32_t)m[i].type, m[i].name, m[i].value };
	return (struct pf_list){ v, n };
}

/* An Any is handed on as its bytes. */
static int any_in(struct ctx *ctx, struct arena *a, const struct pb_any *any,
		  struct str *out, struct err *e)
{
	struct buf b;
	*out = STR_NULL;
	if (!any)
		return 0;
	char *p = arena_try(a, ctx, pf_size(&msg_any, any) + 1, e);
	if (!p)
		return -1;
	buf_init(&b, SIZE_MAX / 2);
	pf_encode(&msg_any, any, &b);
	if (b.n)
		memcpy(p, b.p, b.n);
	*out = str_n(p, b.n);
	buf_deinit(&b);
	return 0;
}

static struct pb_any *any_out(struct arena *a, struct str bytes)
{
	struct pb_any *any = ARENA_NEW(a, struct pb_any);
	struct err e = ERR_INIT;
	if (!bytes.n || pf_decode(NULL, a, &msg_any, bytes, any, &e) < 0)
		return NULL;
	return any;
}

static int labels_in(struct ctx *ctx, struct arena *a, const struct pb_label_set *s,
		     struct labels *out, struct err *e)
{
	*out = (struct labels){ 0 };
	if (!s)
		return 0;
	const struct pb_label *l = s->labels.v;
	struct label *v = TRY_ARRAY(ctx, a, struct label, s->labels.n, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < s->labels.n; i++)
		v[i] = (struct label){ l[i].name, l[i].value };
	labels_sort(v, s->labels.n);
	*out = (struct labels){ v, (uint32_t)s->labels.n, 0 };
	return 0;
}

static struct pb_label_set labels_out(struct arena *a, struct labels ls)
{
	struct pb_label *v = ARENA_ARRAY(a, struct pb_label, ls.n + 1);
	for (uint32_t i = 0; i < ls.n; i++)
		v[i] = (struct pb_label){ ls.l[i].name, ls.l[i].value };
	return (struct pb_label_set){ { v, ls.n } };
}

static enum partial_strategy partial_in(bool disabled, int32_t strategy)
{
	return disabled || strategy == PARTIAL_ABORT ? PARTIAL_ABORT : PARTIAL_WARN;
}

/* ---- Series ---- */

static void hints_in(const struct pb_query_hints *h, struct query_hints *out)
{
	if (!h)
		return;
	out->step_ms = h->step_millis;
	if (h->func)
		out->func = h->func->name;
	if (h->range)
		out->range_ms = h->range->millis;
	if (h->grouping) {
		out->grouped = true;
		out->by = h->grouping->by;
		out->grouping = str_list(&h->grouping->labels);
		out->n_grouping = h->grouping->labels.n;
	}
}

int proto_series_req_decode(struct ctx *ctx, struct arena *a, struct str in,
			    struct store_series_req *out, struct err *e)
{
	struct pb_series_request m;
	if (pf_decode(ctx, a, &msg_series_request, in, &m, e) < 0)
		return -1;
	*out = (struct store_series_req){
		.mint_ms = m.min_time,
		.maxt_ms = m.max_time,
		.max_resolution_ms = m.max_resolution_window,
		.skip_chunks = m.skip_chunks,
		.partial = partial_in(m.partial_response_disabled,
				      m.partial_response_strategy),
		.without_replica_labels = str_list(&m.without_replica_labels),
		.n_without = m.without_replica_labels.n,
		.limit = m.limit,
		.batch = m.response_batch_size,
		.want_lanes = m.want_lanes,
	};
	if (any_in(ctx, a, m.hints, &out->hints, e) < 0)
		return -1;
	const int32_t *aggr = m.aggregates.v;
	for (size_t i = 0; i < m.aggregates.n; i++)
		if (aggr[i] >= 0 && aggr[i] < AGGR_N)
			out->aggrs |= AGGR_BIT(aggr[i]);
	if (m.shard_info)
		out->shard =
			(struct shard_info){ m.shard_info->shard_index,
					     m.shard_info->total_shards, m.shard_info->by,
					     str_list(&m.shard_info->labels),
					     m.shard_info->labels.n };
	hints_in(m.query_hints, &out->query_hints);
	return matchers_in(ctx, a, &m.matchers, &out->matchers, &out->n_matchers, e);
}

static struct pb_query_hints *hints_out(struct arena *a, const struct query_hints *h)
{
	if (!h->step_ms && !h->range_ms && !h->func.n && !h->grouped)
		return NULL;
	struct pb_query_hints *m = ARENA_NEW(a, struct pb_query_hints);
	m->step_millis = h->step_ms;
	if (h->func.n) {
		m->func = ARENA_NEW(a, struct pb_func);
		m->func->name = h->func;
	}
	if (h->grouped) {
		m->grouping = ARENA_NEW(a, struct pb_grouping);
		m->grouping->by = h->by;
		m->grouping->labels = list_of_strs(h->grouping, h->n_grouping);
	}
	if (h->range_ms) {
		m->range = ARENA_NEW(a, struct pb_range);
		m->range->millis = h->range_ms;
	}
	return m;
}

void proto_series_req_encode(struct arena *a, const struct store_series_req *r,
			     struct buf *out)
{
	struct pb_series_request m = {
		.min_time = r->mint_ms,
		.max_time = r->maxt_ms,
		.matchers = matchers_out(a, r->matchers, r->n_matchers),
		.max_resolution_window = r->max_resolution_ms,
		.partial_response_disabled = r->partial == PARTIAL_ABORT,
		.partial_response_strategy = (int32_t)r->partial,
		.skip_chunks = r->skip_chunks,
		.hints = any_out(a, r->hints),
		.query_hints = hints_out(a, &r->query_hints),
		.without_replica_labels =
			list_of_strs(r->without_replica_labels, r->n_without),
		.limit = r->limit,
		.response_batch_size = r->batch,
		.want_lanes = r->want_lanes,
	};
	int32_t aggr[AGGR_N];
	m.aggregates.v = aggr;
	for (int32_t i = 0; i < AGGR_N; i++)
		if (r->aggrs & AGGR_BIT(i))
			aggr[m.aggregates.n++] = i;
	struct pb_shard_info shard = { r->shard.index, r->shard.total, r->shard.by,
				       list_of_strs(r->shard.labels, r->shard.n) };
	if (r->shard.total)
		m.shard_info = &shard;
	pf_encode(&msg_series_request, &m, out);
}

/* ---- LabelNames, LabelValues ---- */

int proto_labels_req_decode(struct ctx *ctx, struct arena *a, bool values, struct str in,
			    struct store_labels_req *out, struct err *e)
{
	struct pb_labels_request m;
	if (pf_decode(ctx, a,
		      values ? &msg_label_values_request : &msg_label_names_request, in,
		      &m, e) < 0)
		return -1;
	*out = (struct store_labels_req){
		.label = values ? m.label : STR_NULL,
		.mint_ms = m.start,
		.maxt_ms = m.end,
		.partial = partial_in(m.partial_response_disabled,
				      m.partial_response_strategy),
		.without_replica_labels = str_list(&m.without_replica_labels),
		.n_without = m.without_replica_labels.n,
		.limit = m.limit,
	};
	if (any_in(ctx, a, m.hints, &out->hints, e) < 0)
		return -1;
	return matchers_in(ctx, a, &m.matchers, &out->matchers, &out->n_matchers, e);
}

void proto_labels_req_encode(struct arena *a, bool values,
			     const struct store_labels_req *r, struct buf *out)
{
	struct pb_labels_request m = {
		.label = r->label,
		.partial_response_disabled = r->partial == PARTIAL_ABORT,
		.partial_response_strategy = (int32_t)r->partial,
		.start = r->mint_ms,
		.end = r->maxt_ms,
		.hints = any_out(a, r->hints),
		.matchers = matchers_out(a, r->matchers, r->n_matchers),
		.without_replica_labels =
			list_of_strs(r->without_replica_labels, r->n_without),
		.limit = r->limit,
	};
	pf_encode(values ? &msg_label_values_request : &msg_label_names_request, &m, out);
}

void proto_labels_resp_encode(struct arena *a, const struct store_labels_resp *r,
			      const struct str *warnings, size_t n, struct buf *out)
{
	struct pb_labels_response m = { .values = list_of_strs(r->v, r->n),
					.warnings = list_of_strs(warnings, n),
					.hints = any_out(a, r->hints) };
	pf_encode(&msg_label_names_response, &m, out);
}

int proto_labels_resp_decode(struct ctx *ctx, struct arena *a, struct str in,
			     struct store_labels_resp *out, struct str **warnings,
			     size_t *n, struct err *e)
{
	struct pb_labels_response m;
	if (pf_decode(ctx, a, &msg_label_names_response, in, &m, e) < 0)
		return -1;
	*out = (struct store_labels_resp){ m.values.v, m.values.n, STR_NULL };
	*warnings = m.warnings.v;
	*n = m.warnings.n;
	return any_in(ctx, a, m.hints, &out->hints, e);
}

/* ---- Info ---- */

static struct pf_list tsdbs_out(struct arena *a, const struct store_info *s)
{
	struct pb_tsdb_info *v = ARENA_ARRAY(a, struct pb_tsdb_info, s->n_tsdbs + 1);
	for (size_t i = 0; i < s->n_tsdbs; i++) {
		struct pb_label_set *ls = ARENA_NEW(a, struct pb_label_set);
		*ls = labels_out(a, s->tsdbs[i].labels);
		v[i] = (struct pb_tsdb_info){ ls, s->tsdbs[i].mint_ms,
					      s->tsdbs[i].maxt_ms };
	}
	return (struct pf_list){ v, s->n_tsdbs };
}

void proto_info_encode(struct arena *a, const struct store_info *s, struct buf *out)
{
	struct pb_label_set *sets =
		ARENA_ARRAY(a, struct pb_label_set, s->n_label_sets + 1);
	for (size_t i = 0; i < s->n_label_sets; i++)
		sets[i] = labels_out(a, s->label_sets[i]);
	struct pb_store_info store = {
		.min_time = s->mint_ms,
		.max_time = s->maxt_ms,
		.supports_sharding = s->sharding,
		.supports_without_replica_labels = s->without_replica_labels,
		.tsdb_infos = tsdbs_out(a, s),
	};
	struct pb_empty empty = { false };
	struct pb_time_info ex = { s->mint_ms, s->maxt_ms };
	struct pb_info_response m = {
		.label_sets = { sets, s->n_label_sets },
		.component = str_of(s->component),
		.store = &store,
		.rules = s->apis & API_RULES ? &empty : NULL,
		.metadata = s->apis & API_METADATA ? &empty : NULL,
		.targets = s->apis & API_TARGETS ? &empty : NULL,
		.exemplars = s->apis & API_EXEMPLARS ? &ex : NULL,
		.query = s->apis & API_QUERY ? &empty : NULL,
		.status = s->apis & API_STATUS ? &empty : NULL,
	};
	pf_encode(&msg_info_response, &m, out);
}

int proto_info_decode(struct ctx *ctx, struct arena *a, struct str in,
		      struct store_info *out, bool *has_store, struct err *e)
{
	struct pb_info_response m;
	if (pf_decode(ctx, a, &msg_info_response, in, &m, e) < 0)
		return -1;
	*out = (struct store_info){ .component = str_dupz(a, m.component) };
	*has_store = m.store != NULL;
	out->apis = (m.query ? API_QUERY : 0u) | (m.rules ? API_RULES : 0u) |
		    (m.targets ? API_TARGETS : 0u) | (m.metadata ? API_METADATA : 0u) |
		    (m.exemplars ? API_EXEMPLARS : 0u) | (m.status ? API_STATUS : 0u);
	const struct pb_label_set *sets = m.label_sets.v;
	out->label_sets = TRY_ARRAY(ctx, a, struct labels, m.label_sets.n, e);
	if (!out->label_sets)
		return -1;
	out->n_label_sets = m.label_sets.n;
	for (size_t i = 0; i < m.label_sets.n; i++)
		if (labels_in(ctx, a, &sets[i], &out->label_sets[i], e) < 0)
			return -1;
	if (!m.store)
		return 0;
	out->mint_ms = m.store->min_time;
	out->maxt_ms = m.store->max_time;
	out->sharding = m.store->supports_sharding;
	out->without_replica_labels = m.store->supports_without_replica_labels;
	const struct pb_tsdb_info *t = m.store->tsdb_infos.v;
	out->n_tsdbs = m.store->tsdb_infos.n;
	out->tsdbs = TRY_ARRAY(ctx, a, struct tsdb_info, out->n_tsdbs, e);
	if (!out->tsdbs)
		return -1;
	for (size_t i = 0; i < out->n_tsdbs; i++) {
		out->tsdbs[i].mint_ms = t[i].min_time;
		out->tsdbs[i].maxt_ms = t[i].max_time;
		if (labels_in(ctx, a, t[i].labels, &out->tsdbs[i].labels, e) < 0)
			return -1;
	}
	return 0;
}
