/*
 * store/federated_merge.c - rules and targets of several answers as one: filtered, and replicas folded.
 */
#include "base/vec.h"
#include "store/federated.h"

struct merge {
	struct ctx *ctx;
	struct arena *a;
	const struct str *replicas; /* sorted */
	size_t n;
	struct err *e;
};

/* Without replica labels, sorted; the message is changed, too. */
static int strip(struct merge *m, struct pb_label_set **set, struct labels *out)
{
	struct labels ls;
	if (proto_labels_of(m->ctx, m->a, *set, &ls, m->e) < 0)
		return -1;
	struct label *l = arena_try(m->a, m->ctx, ls.n * sizeof(*l) + 1, m->e);
	if (!l)
		return -1;
	*out = labels_drop(l, ls, m->replicas, m->n);
	*set = proto_label_set(m->a, *out);
	return 0;
}

static int cmp_i64(int64_t x, int64_t y)
{
	return (x > y) - (x < y);
}

/* The later comes first. */
static int cmp_later(const struct pb_timestamp *x, const struct pb_timestamp *y)
{
	struct pb_timestamp s = proto_time(x), t = proto_time(y);
	int c = cmp_i64(t.seconds, s.seconds);
	return c ? c : cmp_i64(t.nanos, s.nanos);
}

/* ---- rules ---- */

struct rule_key {
	struct pb_rule rule;
	struct labels labels;
};

static struct pb_label_set **rule_labels(struct pb_rule *r)
{
	return r->alert ? &r->alert->labels : &r->recording->labels;
}

static struct str rule_name(const struct pb_rule *r)
{
	return r->alert ? r->alert->name : r->recording->name;
}

/* The order of rules, and which are the same: alerts first, then name, labels, query, duration. */
static int cmp_rule(const void *vx, const void *vy, void *arg)
{
	const struct rule_key *x = vx, *y = vy;
	const struct pb_alert *p = x->rule.alert, *q = y->rule.alert;
	(void)arg;
	if (!p != !q)
		return p ? -1 : 1;
	int c = str_cmp(rule_name(&x->rule), rule_name(&y->rule));
	if (c == 0)
		c = labels_cmp(x->labels, y->labels);
	if (c == 0)
		c = p ? str_cmp(p->query, q->query)
		      : str_cmp(x->rule.recording->query, y->rule.recording->query);
	if (c == 0 && p)
		c = (p->duration_seconds > q->duration_seconds) -
		    (p->duration_seconds < q->duration_seconds);
	return c;
}

/* Of the same rule twice: < 0 where x is to stay. */
static int cmp_rule_state(const struct pb_rule *x, const struct pb_rule *y)
{
	if (!x->alert)
		return cmp_later(x->recording->last_evaluation,
				 y->recording->last_evaluation);
	int c = cmp_i64(y->alert->state, x->alert->state);
	return c ? c : cmp_later(x->alert->last_evaluation, y->alert->last_evaluation);
}

static int dedup_group(struct merge *m, struct pb_rule_group *g)
{
	struct pb_rule *r = g->rules.v;
	size_t n = 0, k = 0;
	struct rule_key *v = arena_try(m->a, m->ctx, g->rules.n * sizeof(*v) + 1, m->e);
	if (!v)
		return -1;
	for (size_t i = 0; i < g->rules.n; i++) {
		if (!r[i].alert && !r[i].recording)
			continue; /* of a kind that nobody knows yet */
		v[n].rule = r[i];
		if (strip(m, rule_labels(&v[n].rule), &v[n].labels) < 0)
			return -1;
		n++;
	}
	vec_sort(v, n, sizeof(*v), cmp_rule, NULL);
	for (size_t i = 1; i < n; i++) {
		if (cmp_rule(&v[k], &v[i], NULL) != 0)
			v[++k] = v[i];
		else if (cmp_rule_state(&v[k].rule, &v[i].rule) > 0)
			v[k] = v[i];
	}
	g->rules.n = n ? k + 1 : 0;
	for (size_t i = 0; i < g->rules.n; i++)
		r[i] = v[i].rule;
	return 0;
}

struct group_key {
	struct str key; /* "file;name" */
	struct pb_rule_group group;
};

static int cmp_group(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(((const struct group_key *)x)->key,
		       ((const struct group_key *)y)->key);
}

/* The rules of all n groups in the first. */
static int join_groups(struct merge *m, struct group_key *v, size_t n)
{
	size_t all = 0, k = 0;
	for (size_t i = 0; i < n; i++)
		all += v[i].group.rules.n;
	struct pb_rule *r = arena_try(m->a, m->ctx, all * sizeof(*r) + 1, m->e);
	if (!r)
		return -1;
	for (size_t i = 0; i < n; k += v[i++].group.rules.n)
		if (v[i].group.rules.n)
			memcpy(r + k, v[i].group.rules.v,
			       v[i].group.rules.n * sizeof(*r));
	v[0].group.rules = (struct pf_list){ r, all };
	return 0;
}

int federated_dedup_rules(struct ctx *ctx, struct arena *a, struct pb_rule_groups *gs,
			  const struct str *replicas, size_t n, struct err *e)
{
	struct merge m = { ctx, a, replicas, n, e };
	struct pb_rule_group *g = gs->groups.v;
	size_t k = 0, same;
	struct group_key *v = arena_try(a, ctx, gs->groups.n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < gs->groups.n; i++)
		v[i] = (struct group_key){ str_fmt(a, "%.*s;%.*s", STR_FMT(g[i].file),
						   STR_FMT(g[i].name)),
					   g[i] };
	vec_sort(v, gs->groups.n, sizeof(*v), cmp_group, NULL);
	for (size_t i = 0; i < gs->groups.n; i += same) {
		for (same = 1; i + same < gs->groups.n; same++)
			if (!str_eq(v[i].key, v[i + same].key))
				break;
		if (join_groups(&m, v + i, same) < 0 || dedup_group(&m, &v[i].group) < 0)
			return -1;
		g[k++] = v[i].group;
	}
	gs->groups.n = k;
	return 0;
}

static bool is_named(const struct pf_list *names, struct str name)
{
	const struct str *v = names->v;
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(v[i], name))
			return true;
	return names->n == 0;
}

/* A label whose value has templates in it counts as absent: only alerts tell what it is. */
static int rule_matches(struct merge *m, struct pb_rule *r, const struct matcher *x,
			size_t n, bool *matches)
{
	struct labels ls;
	*matches = true;
	if (n == 0)
		return 0;
	if (proto_labels_of(m->ctx, m->a, *rule_labels(r), &ls, m->e) < 0)
		return -1;
	for (size_t i = 0; i < n && *matches; i++) {
		struct str value = labels_get(ls, x[i].name);
		if (str_find(value, STR("{{")) >= 0)
			value = STR("");
		*matches = matcher_matches(&x[i], value);
	}
	return 0;
}

static int filter_group(struct merge *m, const struct pb_rules_request *q,
			const struct matcher *x, size_t n, struct pb_rule_group *g)
{
	struct pb_rule *r = g->rules.v;
	size_t k = 0;
	for (size_t i = 0; i < g->rules.n; i++) {
		bool ok;
		if ((!r[i].alert && !r[i].recording) ||
		    !is_named(&q->rule_name, rule_name(&r[i])))
			continue;
		if (rule_matches(m, &r[i], x, n, &ok) < 0)
			return -1;
		if (ok)
			r[k++] = r[i];
	}
	g->rules.n = k;
	return 0;
}

int federated_filter_rules(struct ctx *ctx, struct arena *a,
			   const struct pb_rules_request *q, const struct matcher *x,
			   size_t n, struct pb_rule_groups *gs, struct err *e)
{
	struct merge m = { .ctx = ctx, .a = a, .e = e };
	struct pb_rule_group *g = gs->groups.v;
	size_t k = 0;
	if (n + q->rule_name.n + q->rule_group.n + q->file.n == 0)
		return 0;
	for (size_t i = 0; i < gs->groups.n; i++) {
		if (!is_named(&q->rule_group, g[i].name) ||
		    !is_named(&q->file, g[i].file))
			continue;
		if (filter_group(&m, q, x, n, &g[i]) < 0)
			return -1;
		if (g[i].rules.n)
			g[k++] = g[i];
	}
	gs->groups.n = k;
	return 0;
}

/* ---- targets ---- */

struct target_key {
	struct pb_active_target target;
	struct labels discovered, labels;
};

static int cmp_target(const void *vx, const void *vy, void *arg)
{
	const struct target_key *x = vx, *y = vy;
	(void)arg;
	int c = str_cmp(x->target.scrape_url, y->target.scrape_url);
	if (c == 0)
		c = str_cmp(x->target.scrape_pool, y->target.scrape_pool);
	if (c == 0)
		c = labels_cmp(x->discovered, y->discovered);
	return c ? c : labels_cmp(x->labels, y->labels);
}

static int cmp_target_state(const struct pb_active_target *x,
			    const struct pb_active_target *y)
{
	int c = cmp_i64(x->health, y->health);
	return c ? c : cmp_later(x->last_scrape, y->last_scrape);
}

static int dedup_active(struct merge *m, struct pf_list *l)
{
	struct pb_active_target *t = l->v;
	size_t k = 0;
	struct target_key *v = arena_try(m->a, m->ctx, l->n * sizeof(*v) + 1, m->e);
	if (!v)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		v[i].target = t[i];
		if (strip(m, &v[i].target.discovered_labels, &v[i].discovered) < 0 ||
		    strip(m, &v[i].target.labels, &v[i].labels) < 0)
			return -1;
	}
	vec_sort(v, l->n, sizeof(*v), cmp_target, NULL);
	for (size_t i = 1; i < l->n; i++) {
		if (cmp_target(&v[k], &v[i], NULL) != 0)
			v[++k] = v[i];
		else if (cmp_target_state(&v[k].target, &v[i].target) > 0)
			v[k] = v[i];
	}
	l->n = l->n ? k + 1 : 0;
	for (size_t i = 0; i < l->n; i++)
		t[i] = v[i].target;
	return 0;
}

struct dropped_key {
	struct pb_dropped_target target;
	struct labels discovered;
};

static int cmp_dropped(const void *x, const void *y, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct dropped_key *)x)->discovered,
			  ((const struct dropped_key *)y)->discovered);
}

static int dedup_dropped(struct merge *m, struct pf_list *l)
{
	struct pb_dropped_target *t = l->v;
	size_t k = 0;
	struct dropped_key *v = arena_try(m->a, m->ctx, l->n * sizeof(*v) + 1, m->e);
	if (!v)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		v[i].target = t[i];
		if (strip(m, &v[i].target.discovered_labels, &v[i].discovered) < 0)
			return -1;
	}
	vec_sort(v, l->n, sizeof(*v), cmp_dropped, NULL);
	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || cmp_dropped(&v[i - 1], &v[i], NULL) != 0)
			t[k++] = v[i].target;
	l->n = k;
	return 0;
}

int federated_dedup_targets(struct ctx *ctx, struct arena *a,
			    struct pb_target_discovery *t, const struct str *replicas,
			    size_t n, struct err *e)
{
	struct merge m = { ctx, a, replicas, n, e };
	if (dedup_active(&m, &t->active_targets) < 0)
		return -1;
	return dedup_dropped(&m, &t->dropped_targets);
}
