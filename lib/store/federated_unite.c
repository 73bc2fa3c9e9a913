/*
 * store/federated_unite.c - exemplars, metadata and statistics of several answers as one.
 */
#include "base/map.h"
#include "base/vec.h"
#include "store/federated.h"

/* ---- exemplars ---- */

struct series_key {
	struct pb_exemplar_data data;
	struct labels labels;
};
struct exemplar_key {
	struct pb_exemplar exemplar;
	struct labels labels;
};

static int cmp_series(const void *x, const void *y, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct series_key *)x)->labels,
			  ((const struct series_key *)y)->labels);
}

static int cmp_exemplar(const void *vx, const void *vy, void *arg)
{
	const struct exemplar_key *x = vx, *y = vy;
	(void)arg;
	if (x->exemplar.ts != y->exemplar.ts)
		return x->exemplar.ts < y->exemplar.ts ? -1 : 1;
	int c = labels_cmp(x->labels, y->labels);
	return c ? c
		 : (x->exemplar.value > y->exemplar.value) -
			       (x->exemplar.value < y->exemplar.value);
}

/* All exemplars of n answers about one series, each once. */
static int join_exemplars(struct ctx *ctx, struct arena *a, struct series_key *v,
			  size_t n, struct err *e)
{
	size_t all = 0, k = 0;
	for (size_t i = 0; i < n; i++)
		all += v[i].data.exemplars.n;
	struct exemplar_key *x = arena_try(a, ctx, all * sizeof(*x) + 1, e);
	struct pb_exemplar *out = x ? arena_try(a, ctx, all * sizeof(*out) + 1, e) : NULL;
	if (!out)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct pb_exemplar *in = v[i].data.exemplars.v;
		for (size_t j = 0; j < v[i].data.exemplars.n; j++, k++) {
			x[k].exemplar = in[j];
			if (proto_labels_of(ctx, a, in[j].labels, &x[k].labels, e) < 0)
				return -1;
		}
	}
	vec_sort(x, all, sizeof(*x), cmp_exemplar, NULL);
	k = 0;
	for (size_t i = 0; i < all; i++)
		if (i == 0 || cmp_exemplar(&x[i - 1], &x[i], NULL) != 0) {
			out[k] = x[i].exemplar;
			out[k++].labels = proto_label_set(a, x[i].labels);
		}
	v[0].data.exemplars = (struct pf_list){ out, k };
	return 0;
}

int federated_dedup_exemplars(struct ctx *ctx, struct arena *a, struct pb_exemplars *x,
			      const struct str *replicas, size_t n, struct err *e)
{
	struct pb_exemplar_data *d = x->data.v;
	size_t k = 0, found = 0, same;
	struct series_key *v = arena_try(a, ctx, x->data.n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < x->data.n; i++) {
		struct labels ls;
		if (d[i].exemplars.n == 0)
			continue;
		if (proto_labels_of(ctx, a, d[i].series_labels, &ls, e) < 0)
			return -1;
		struct label *l = arena_try(a, ctx, ls.n * sizeof(*l) + 1, e);
		if (!l)
			return -1;
		v[found] = (struct series_key){ d[i], labels_drop(l, ls, replicas, n) };
		v[found].data.series_labels = proto_label_set(a, v[found].labels);
		found++;
	}
	vec_sort(v, found, sizeof(*v), cmp_series, NULL);
	for (size_t i = 0; i < found; i += same) {
		for (same = 1; i + same < found; same++)
			if (cmp_series(&v[i], &v[i + same], NULL) != 0)
				break;
		if (join_exemplars(ctx, a, v + i, same, e) < 0)
			return -1;
		d[k++] = v[i].data;
	}
	x->data.n = k;
	return 0;
}

/* ---- metadata ---- */

static int add_metas(struct ctx *ctx, struct arena *a, struct pb_metas *to,
		     const struct pb_metas *from, struct err *e)
{
	const struct pb_meta *in = from->metas.v;
	for (size_t i = 0; i < from->metas.n; i++) {
		const struct pb_meta *have = to->metas.v;
		size_t k = 0;
		while (k < to->metas.n && !(str_eq(have[k].type, in[i].type) &&
					    str_eq(have[k].help, in[i].help) &&
					    str_eq(have[k].unit, in[i].unit)))
			k++;
		if (k < to->metas.n)
			continue;
		struct pb_meta *m = proto_list_add(ctx, a, &to->metas, sizeof(*m), e);
		if (!m)
			return -1;
		*m = in[i];
	}
	return 0;
}

int federated_unite_metadata(struct ctx *ctx, struct arena *a, struct pb_metadata *to,
			     const struct pb_metadata *from, int32_t limit, struct err *e)
{
	static const struct pb_metas none;
	const struct pb_metadata_entry *in = from->metadata.v;
	struct map by_name;
	int rc = 0;
	map_init(&by_name);
	for (size_t i = 0; i < to->metadata.n; i++) {
		struct pb_metadata_entry *t = to->metadata.v;
		map_set(&by_name, t[i].key, t[i].value);
	}
	for (size_t i = 0; i < from->metadata.n && rc == 0; i++) {
		struct pb_metas *have = map_get(&by_name, in[i].key);
		if (!have && limit >= 0 && to->metadata.n >= (size_t)limit)
			continue;
		if (!have) {
			struct pb_metadata_entry *m =
				proto_list_add(ctx, a, &to->metadata, sizeof(*m), e);
			if (!m) {
				rc = -1;
				break;
			}
			have = ARENA_NEW(a, struct pb_metas);
			*m = (struct pb_metadata_entry){ in[i].key.p ? in[i].key
								     : STR(""),
							 have };
			map_set(&by_name, m->key, have);
		}
		rc = add_metas(ctx, a, have, in[i].value ? in[i].value : &none, e);
	}
	map_deinit(&by_name);
	return rc;
}

static int cmp_metric(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(((const struct pb_metadata_entry *)x)->key,
		       ((const struct pb_metadata_entry *)y)->key);
}

void federated_sort_metadata(struct pb_metadata *m)
{
	vec_sort(m->metadata.v, m->metadata.n, sizeof(struct pb_metadata_entry),
		 cmp_metric, NULL);
}

/* ---- statistics ---- */

static int cmp_stat_name(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(((const struct pb_statistic *)x)->name,
		       ((const struct pb_statistic *)y)->name);
}

static int cmp_stat_value(const void *vx, const void *vy, void *arg)
{
	const struct pb_statistic *x = vx, *y = vy;
	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return cmp_stat_name(x, y, arg);
}

static int unite_stats(struct ctx *ctx, struct arena *a, struct pf_list *to,
		       const struct pf_list *from, bool largest, struct err *e)
{
	size_t n = to->n + from->n, k = 0;
	struct pb_statistic *v = arena_try(a, ctx, n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	if (to->n)
		memcpy(v, to->v, to->n * sizeof(*v));
	if (from->n)
		memcpy(v + to->n, from->v, from->n * sizeof(*v));
	vec_sort(v, n, sizeof(*v), cmp_stat_name, NULL);
	for (size_t i = 1; i < n; i++) {
		if (!str_eq(v[k].name, v[i].name))
			v[++k] = v[i];
		else
			v[k].value = largest ? MAX(v[k].value, v[i].value)
					     : v[k].value + v[i].value;
	}
	n = n ? k + 1 : 0;
	vec_sort(v, n, sizeof(*v), cmp_stat_value, NULL);
	*to = (struct pf_list){ v, n };
	return 0;
}

static int64_t add(int64_t x, int64_t y) /* of outsiders: may wrap */
{
	return (int64_t)((uint64_t)x + (uint64_t)y);
}

int federated_add_statistics(struct ctx *ctx, struct arena *a,
			     struct pb_statistics_entry *to,
			     const struct pb_statistics_entry *from, struct err *e)
{
	static const struct pb_head_statistics none;
	const struct pb_head_statistics *h = from->head ? from->head : &none;
	if (!to->head)
		to->head = ARENA_NEW(a, struct pb_head_statistics);
	to->head->num_series += h->num_series;
	to->head->num_label_pairs = add(to->head->num_label_pairs, h->num_label_pairs);
	to->head->chunk_count = add(to->head->chunk_count, h->chunk_count);
	if (to->head->min_time <= 0 || to->head->min_time > h->min_time)
		to->head->min_time = h->min_time;
	to->head->max_time = MAX(to->head->max_time, h->max_time);
	if (unite_stats(ctx, a, &to->series_by_metric, &from->series_by_metric, false,
			e) < 0 ||
	    /* Instances have the same values: of these the count is no sum. */
	    unite_stats(ctx, a, &to->values_by_label, &from->values_by_label, true, e) <
		    0 ||
	    unite_stats(ctx, a, &to->memory_by_label, &from->memory_by_label, false, e) <
		    0)
		return -1;
	return unite_stats(ctx, a, &to->series_by_pair, &from->series_by_pair, false, e);
}

int federated_unite_statistics(struct ctx *ctx, struct arena *a, struct pb_statistics *to,
			       const struct pb_statistics *from, struct err *e)
{
	const struct pb_statistics_by_tenant *in = from->statistics.v;
	for (size_t i = 0; i < from->statistics.n; i++) {
		struct pb_statistics_by_tenant *t = to->statistics.v;
		size_t k = 0;
		if (!in[i].value)
			continue;
		while (k < to->statistics.n && !str_eq(t[k].key, in[i].key))
			k++;
		if (k == to->statistics.n) {
			t = proto_list_add(ctx, a, &to->statistics, sizeof(*t), e);
			if (!t)
				return -1;
			t->key = in[i].key.p ? in[i].key : STR("");
			t->value = ARENA_NEW(a, struct pb_statistics_entry);
		} else {
			t += k;
		}
		if (federated_add_statistics(ctx, a, t->value, in[i].value, e) < 0)
			return -1;
	}
	return 0;
}
