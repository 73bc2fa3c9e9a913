/*
 * store/prom_labels.c - label names and values of a Prometheus, its external labels among them.
 */
#include "base/vec.h"
#include "store/prom_int.h"

struct asked {
	struct prom_store *p;
	struct ctx *ctx;
	struct arena *a;
	const struct store_labels_req *req;
	struct prom_state *state;
	struct prom_selection sel;
};

static void put_state(void *arg)
{
	prom_state_put(arg);
}

static bool is_left_out(const struct store_labels_req *req, struct str name)
{
	for (size_t i = 0; i < req->n_without; i++)
		if (str_eq(req->without_replica_labels[i], name))
			return true;
	return false;
}

/* 1: ask on; 0: nothing can match; -1. */
static int begin(struct asked *q, struct err *e)
{
	const struct store_labels_req *req = q->req;
	struct matcher *m;
	if (prom_state_need(q->p, q->ctx, &q->state, e) < 0)
		return -1;
	arena_on_free(q->a, put_state, q->state);
	q->sel.mint_ms = MAX(req->mint_ms, prom_mint(q->p, q->state));
	q->sel.maxt_ms = req->maxt_ms;
	if (!prom_match_external(q->a, q->state->labels, req->matchers, req->n_matchers,
				 &m, &q->sel.n_matchers))
		return 0;
	q->sel.matchers = m;
	return q->sel.mint_ms <= q->sel.maxt_ms;
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

int prom_label_names(struct store *s, struct ctx *ctx, struct arena *a,
		     const struct store_labels_req *req, struct store_labels_resp *out,
		     struct err *e)
{
	struct asked q = { .p = CONTAINER_OF(s, struct prom_store, base),
			   .ctx = ctx,
			   .a = a,
			   .req = req };
	struct str *own;
	size_t n, k = 0;
	*out = (struct store_labels_resp){ 0 };
	int rc = begin(&q, e);
	if (rc <= 0)
		return rc;
	if (prom_label_list(q.p, ctx, a, STR(""), &q.sel, &own, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	struct labels ext = q.state->labels;
	struct str *v = arena_try(a, ctx, (n + ext.n) * sizeof(*v), e);
	if (!v)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!labels_has(ext, own[i]) && !is_left_out(req, own[i]))
			v[k++] = own[i];
	for (uint32_t i = 0; i < ext.n; i++)
		if (!is_left_out(req, ext.l[i].name))
			v[k++] = ext.l[i].name;
	if (k > 1)
		vec_sort(v, k, sizeof(*v), by_str, NULL);
	out->v = v;
	out->n = k;
	return 0;
}

/* Of an external label: its value, where any series matches the rest. */
static int external_value(struct asked *q, struct str value,
			  struct store_labels_resp *out, struct err *e)
{
	size_t n = 1;
	if (q->sel.n_matchers) {
		struct labels *series;
		q->sel.limit = 1;
		if (prom_series_list(q->p, q->ctx, q->a, &q->sel, &series, &n, e) < 0)
			return -1;
	}
	if (n == 0)
		return 0;
	out->v = ARENA_NEW(q->a, struct str);
	out->v[0] = value;
	out->n = 1;
	return 0;
}

int prom_label_values(struct store *s, struct ctx *ctx, struct arena *a,
		      const struct store_labels_req *req, struct store_labels_resp *out,
		      struct err *e)
{
	struct asked q = { .p = CONTAINER_OF(s, struct prom_store, base),
			   .ctx = ctx,
			   .a = a,
			   .req = req };
	*out = (struct store_labels_resp){ 0 };
	if (req->label.n == 0)
		return err_set(ctx, e, E_INVALID, "label name parameter cannot be empty");
	if (is_left_out(req, req->label))
		return 0;
	int rc = begin(&q, e);
	if (rc <= 0)
		return rc;
	struct str ext = labels_get(q.state->labels, req->label);
	if (ext.n)
		return external_value(&q, ext, out, e);
	q.sel.limit = req->limit;
	return prom_label_list(q.p, ctx, a, req->label, &q.sel, &out->v, &out->n, e);
}
