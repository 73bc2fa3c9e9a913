/*
 * store/prom_federated.c - rules, targets, metadata, exemplars and TSDB statistics of one Prometheus, by its HTTP API.
 *
 * Prometheus adds its external labels to none of these, so they are added here to rules, targets and series of
 * exemplars, as Thanos' sidecar does. Metadata has no labels; statistics are chosen by matchers on external labels.
 * Filters of rules other than the type are the querier's affair.
 */
#include "base/limits.h"
#include "store/prom_int.h"
#include "wire/json.h"

/* One question: the parameters put, then the answer read. */
struct asked {
	struct prom_store *p;
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
	struct prom_state *state; /* NULL: external labels are not needed */
	struct buf q;
	struct jr j;
};

static void put_state(void *arg)
{
	prom_state_put(arg);
}

static int begin(struct asked *k, struct federated *f, struct ctx *ctx, struct arena *a,
		 struct err *e)
{
	memset(k, 0, sizeof(*k));
	k->p = CONTAINER_OF(f, struct prom_store, federated);
	k->ctx = ctx;
	k->a = a;
	k->e = e;
	if (prom_state_need(k->p, ctx, &k->state, e) < 0)
		return -1;
	arena_on_free(a, put_state, k->state);
	buf_init(&k->q, LIMIT_HTTP_BODY_BYTES);
	return 0;
}

/* The question is put; 1: `data` comes next, 0: there is none; -1. The parameters are done with. */
static int ask(struct asked *k, const char *path)
{
	struct str body;
	int rc = buf_check(&k->q, k->ctx, "request", k->e);
	if (rc == 0)
		rc = prom_get(k->p, k->ctx, k->a, path, buf_view(&k->q), &body, k->e);
	buf_deinit(&k->q);
	if (rc < 0)
		return -1;
	jr_init(&k->j, k->a, body);
	if (jr_next(&k->j) == JSON_OBJ)
		while (jr_next(&k->j) == JSON_KEY) {
			if (str_eqz(k->j.s, "data"))
				return 1;
			if (jr_skip(&k->j) < 0)
				break;
		}
	return err_set(k->ctx, k->e, E_REMOTE,
		       "Prometheus %s: answer without data (byte %zu)", path,
		       jr_offset(&k->j));
}

static int ask_for(struct asked *k, const char *path, const struct pj_msg *m, void *out)
{
	if (ask(k, path) < 0)
		return -1;
	if (pj_read(k->ctx, k->a, m, &k->j, out, k->e) < 0)
		return err_wrap(k->ctx, k->e, "Prometheus %s", path);
	return 0;
}

/* External labels over those of the set: they win. */
static int add_external(struct asked *k, struct pb_label_set **set)
{
	struct labels own, ext = k->state->labels;
	if (proto_labels_of(k->ctx, k->a, *set, &own, k->e) < 0)
		return -1;
	struct label *l = arena_try(k->a, k->ctx,
				    (own.n + ext.n + 1) * (sizeof(struct label) +
							   sizeof(struct pb_label)),
				    k->e);
	if (!l)
		return -1;
	*set = proto_label_set(k->a, labels_merge(l, own, ext));
	return 0;
}

/* ---- rules ---- */

static int prom_rules(struct federated *f, struct ctx *ctx, struct arena *a,
		      const struct pb_rules_request *q, struct pb_rule_groups *out,
		      struct err *e)
{
	struct asked k;
	if (begin(&k, f, ctx, a, e) < 0)
		return -1;
	if (q->type == PB_RULES_ALERT || q->type == PB_RULES_RECORD)
		prom_put_param(&k.q, "type",
			       q->type == PB_RULES_ALERT ? STR("alert") : STR("record"));
	if (ask_for(&k, "/api/v1/rules", &pj_rule_groups, out) < 0)
		return -1;
	struct pb_rule_group *g = out->groups.v;
	for (size_t i = 0; i < out->groups.n; i++) {
		struct pb_rule *r = g[i].rules.v;
		g[i].partial_response_strategy = PARTIAL_ABORT;
		for (size_t n = 0; n < g[i].rules.n; n++)
			if (add_external(&k, r[n].alert ? &r[n].alert->labels
							: &r[n].recording->labels) < 0)
				return -1;
	}
	return 0;
}

/* ---- targets ---- */

static int prom_targets(struct federated *f, struct ctx *ctx, struct arena *a,
			const struct pb_targets_request *q,
			struct pb_target_discovery *out, struct err *e)
{
	struct asked k;
	if (begin(&k, f, ctx, a, e) < 0)
		return -1;
	if (q->state == PB_TARGETS_ACTIVE || q->state == PB_TARGETS_DROPPED)
		prom_put_param(&k.q, "state",
			       q->state == PB_TARGETS_ACTIVE ? STR("active")
							     : STR("dropped"));
	if (ask_for(&k, "/api/v1/targets", &pj_target_discovery, out) < 0)
		return -1;
	struct pb_active_target *t = out->active_targets.v;
	for (size_t i = 0; i < out->active_targets.n; i++)
		if (add_external(&k, &t[i].discovered_labels) < 0 ||
		    add_external(&k, &t[i].labels) < 0)
			return -1;
	struct pb_dropped_target *d = out->dropped_targets.v;
	for (size_t i = 0; i < out->dropped_targets.n; i++)
		if (add_external(&k, &d[i].discovered_labels) < 0)
			return -1;
	return 0;
}

/* ---- metadata ---- */

/* {"metric": [{type, help, unit}]}; the value of data comes next. */
static int read_metadata(struct asked *k, struct pb_metadata *out)
{
	enum json_tok t = jr_next(&k->j);
	if (t == JSON_NULL)
		return 0;
	if (t != JSON_OBJ)
		t = JSON_ERR;
	while (t != JSON_ERR && (t = jr_next(&k->j)) == JSON_KEY) {
		struct pb_metadata_entry *m =
			proto_list_add(k->ctx, k->a, &out->metadata, sizeof(*m), k->e);
		if (!m)
			return -1;
		m->key = k->j.s;
		m->value = ARENA_NEW(k->a, struct pb_metas);
		if (pj_read_list(k->ctx, k->a, &pj_meta, &k->j, &m->value->metas, k->e) <
		    0)
			return -1;
	}
	return t == JSON_OBJ_END
		       ? 0
		       : err_set(k->ctx, k->e, E_REMOTE, "malformed metadata at byte %zu",
				 jr_offset(&k->j));
}

static int prom_metadata(struct federated *f, struct ctx *ctx, struct arena *a,
			 const struct pb_metadata_request *q, struct pb_metadata *out,
			 struct err *e)
{
	static const char path[] = "/api/v1/metadata";
	struct asked k;
	*out = (struct pb_metadata){ { NULL, 0 } };
	if (begin(&k, f, ctx, a, e) < 0)
		return -1;
	if (q->metric.n)
		prom_put_param(&k.q, "metric", q->metric);
	if (q->limit >= 0)
		prom_put_param(&k.q, "limit", str_fmt(a, "%d", q->limit));
	if (ask(&k, path) < 0)
		return -1;
	return read_metadata(&k, out) < 0 ? err_wrap(ctx, e, "Prometheus %s", path) : 0;
}

/* ---- exemplars ---- */

static int prom_exemplars(struct federated *f, struct ctx *ctx, struct arena *a,
			  const struct pb_exemplars_request *q, struct pb_exemplars *out,
			  struct err *e)
{
	static const char path[] = "/api/v1/query_exemplars";
	struct asked k;
	if (begin(&k, f, ctx, a, e) < 0)
		return -1;
	prom_put_param(&k.q, "query", q->query);
	prom_put_time(&k.q, "start", q->start);
	prom_put_time(&k.q, "end", q->end);
	if (ask(&k, path) < 0)
		return -1;
	if (pj_read_list(ctx, a, &pj_exemplar_data, &k.j, &out->data, e) < 0)
		return err_wrap(ctx, e, "Prometheus %s", path);
	struct pb_exemplar_data *d = out->data.v;
	for (size_t i = 0; i < out->data.n; i++)
		if (add_external(&k, &d[i].series_labels) < 0)
			return -1;
	return 0;
}

/* ---- statistics ---- */

/* Whether the external labels match; a label that is none of them counts as empty. */
static int is_asked(struct asked *k, const struct pb_statistics_request *q, bool *asked)
{
	const struct pb_matcher *in = q->matchers.v;
	*asked = q->tenant.n == 0; /* the one TSDB here has no tenant */
	for (size_t i = 0; i < q->matchers.n && *asked; i++) {
		struct matcher m;
		if (in[i].type < MATCH_EQ || in[i].type > MATCH_NRE)
			return err_set(k->ctx, k->e, E_INVALID, "unknown matcher type %d",
				       in[i].type);
		if (matcher_compile(k->ctx, k->a, (enum match_type)in[i].type, in[i].name,
				    in[i].value, &m, k->e) < 0)
			return -1;
		*asked = matcher_matches(&m, labels_get(k->state->labels, m.name));
	}
	return 0;
}

static int prom_statistics(struct federated *f, struct ctx *ctx, struct arena *a,
			   const struct pb_statistics_request *q,
			   struct pb_statistics *out, struct err *e)
{
	struct asked k;
	bool asked;
	*out = (struct pb_statistics){ { NULL, 0 } };
	if (begin(&k, f, ctx, a, e) < 0)
		return -1;
	int rc = is_asked(&k, q, &asked);
	if (rc < 0 || !asked) {
		buf_deinit(&k.q);
		return rc;
	}
	struct pb_statistics_by_tenant *t = ARENA_NEW(a, struct pb_statistics_by_tenant);
	t->key = STR("");
	t->value = ARENA_NEW(a, struct pb_statistics_entry);
	if (q->limit > 0)
		prom_put_param(&k.q, "limit", str_fmt(a, "%d", q->limit));
	if (ask_for(&k, "/api/v1/status/tsdb", &pj_statistics_entry, t->value) < 0)
		return -1;
	struct pf_list *lists[] = { &t->value->series_by_metric,
				    &t->value->values_by_label,
				    &t->value->memory_by_label,
				    &t->value->series_by_pair };
	/* A Prometheus before 2.45 does not know the limit. */
	for (size_t i = 0; i < ARRAY_LEN(lists) && q->limit > 0; i++)
		lists[i]->n = MIN(lists[i]->n, (size_t)q->limit);
	out->statistics = (struct pf_list){ t, 1 };
	return 0;
}

const struct federated_ops prom_federated_ops = { prom_rules, prom_targets, prom_metadata,
						  prom_exemplars, prom_statistics };

struct federated *prom_store_federated(struct prom_store *p)
{
	return &p->federated;
}
