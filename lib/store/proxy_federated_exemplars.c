/*
 * store/proxy_federated_exemplars.c - which endpoints a query for exemplars concerns, and what each is asked.
 *
 * Only the selectors of a query matter. An endpoint gets those that its external labels may match, joined by '+'.
 * Prometheus does not know its own external labels, so that matchers on them are decided here and left out, unless
 * there is another querier behind the endpoint, which decides for itself.
 */
#include "promql/parse/ast.h"
#include "store/proxy_int.h"

struct collector {
	struct ctx *ctx;
	struct arena *a;
	struct pf_list all; /* exemplar_selector */
	struct err *e;
};

static int add_selector(void *arg, struct select_node *s)
{
	struct collector *c = arg;
	struct exemplar_selector *v =
		proto_list_add(c->ctx, c->a, &c->all, sizeof(*v), c->e);
	if (!v)
		return -1;
	*v = (struct exemplar_selector){ s->matchers, s->n_matchers };
	return 0;
}

/* Matchers on selector labels are decided here and left out: false if one does not match. */
static bool keep_rest(struct arena *a, struct exemplar_selector *s, struct labels ours)
{
	struct matcher *v = ARENA_ARRAY(a, struct matcher, s->n + 1);
	size_t k = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (!labels_has(ours, s->m[i].name))
			v[k++] = s->m[i];
		else if (!matcher_matches(&s->m[i], labels_get(ours, s->m[i].name)))
			return false;
	}
	*s = (struct exemplar_selector){ v, k };
	return true;
}

int proxy_exemplar_selectors(struct ctx *ctx, struct arena *a, struct str query,
			     unsigned features, struct labels ours,
			     struct exemplar_selectors *out, struct err *e)
{
	struct expr *x;
	struct collector c = { ctx, a, { NULL, 0 }, e };
	size_t k = 0;
	bool any = false;
	if (promql_parse(ctx, a, query, features, &x, e) < 0 ||
	    promql_each_selector(x, add_selector, &c) < 0)
		return -1;
	struct exemplar_selector *v = c.all.v;
	for (size_t i = 0; i < c.all.n; i++) {
		if (!keep_rest(a, &v[i], ours))
			continue;
		any = true;
		if (v[i].n)
			v[k++] = v[i];
	}
	*out = (struct exemplar_selectors){ v, k };
	if (any && k == 0)
		return err_set(ctx, e, E_INVALID,
			       "no matchers specified (excluding selector labels)");
	return k > 0;
}

static bool is_external(const struct store_info *s, struct str name)
{
	for (size_t i = 0; i < s->n_label_sets; i++)
		if (labels_has(s->label_sets[i], name))
			return true;
	return false;
}

static void put_selector(const struct exemplar_selector *s, const struct store_info *info,
			 bool whole, struct buf *out)
{
	bool comma = false, selects = false;
	buf_byte(out, '{');
	for (size_t i = 0; i < s->n; i++) {
		if (!whole && is_external(info, s->m[i].name))
			continue;
		if (comma)
			buf_str(out, STR(", "));
		matcher_text(&s->m[i], out);
		comma = true;
		selects |= !matcher_matches_empty(&s->m[i]);
	}
	if (!selects) /* a selector may not be without a matcher that wants something */
		buf_fmt(out, "%s__name__!=\"\"", comma ? ", " : "");
	buf_byte(out, '}');
}

int proxy_exemplar_query(struct ctx *ctx, struct arena *a,
			 const struct exemplar_selectors *sel,
			 const struct store_info *info, struct str *query, struct err *e)
{
	bool whole = strcmp(info->component, "query") == 0;
	struct buf b;
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	for (size_t i = 0; i < sel->n; i++) {
		if (!proxy_sets_may_match(info, sel->v[i].m, sel->v[i].n))
			continue;
		if (b.n)
			buf_byte(&b, '+');
		put_selector(&sel->v[i], info, whole, &b);
	}
	int rc = buf_check(&b, ctx, "query for exemplars", e);
	char *p = rc == 0 && b.n ? arena_try(a, ctx, b.n, e) : NULL;
	if (rc == 0 && b.n)
		rc = p ? 1 : -1;
	if (p)
		memcpy(p, b.p, b.n);
	*query = str_n(p, b.n);
	buf_deinit(&b);
	return rc;
}
