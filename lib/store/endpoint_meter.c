/*
 * store/endpoint_meter.c - what metrics tell of endpoints: who is connected, and who is out for which reason.
 *
 * Both families follow the set: a cell whose label values no endpoint has any more is dropped. External labels are
 * written as Thanos writes them: the sets sorted, joined by commas, cut at 1000 bytes.
 */
#include "store/endpoint_int.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/vec.h"

#define EXTERNAL_MAX 1000

enum { M_CONNECTIONS, M_UNHEALTHY, M_ROWS };
#define CONNECTIONS(...)                                                                 \
	{                                                                                \
		METRIC_GAUGE, "thanos_store_nodes_grpc_connections",                     \
			"Number of gRPC connection to Store APIs. Opened connection "    \
			"means healthy store APIs available for Querier.",               \
			{ __VA_ARGS__ }, NULL, 0, 10000, NULL                            \
	}
#define EXT  "external_labels"
#define IP   "ip_port"
#define TYPE "store_type"
static const struct metric_desc connections[8] = { /* by CONN_* */
						   CONNECTIONS(EXT, TYPE),
						   CONNECTIONS(EXT),
						   CONNECTIONS(IP),
						   CONNECTIONS(EXT, IP),
						   CONNECTIONS(TYPE),
						   CONNECTIONS(EXT, TYPE),
						   CONNECTIONS(IP, TYPE),
						   CONNECTIONS(EXT, IP, TYPE)
};
static const struct metric_desc unhealthy = {
	METRIC_GAUGE,
	"thanosc_query_endpoint_unhealthy",
	"Endpoints that do not answer Info, by the class of the last error (lastError of "
	"/api/v1/stores has its text).",
	{ "endpoint", "reason" },
	NULL,
	0,
	10000,
	NULL
};

/* Cells of one family, marked and swept. */
struct cell {
	struct str value[3];
	struct metric *metric;
	size_t count; /* of this update */
};
struct family {
	struct metric_set *set;
	size_t n_labels;
	struct arena arena; /* keys and cells */
	struct map map;	    /* label values -> cell */
};
struct endpoint_meter {
	unsigned labels;
	struct family connections, unhealthy;
};

static void family_init(struct family *f, struct metric_registry *m,
			const struct metric_desc *row, size_t n_labels)
{
	f->set = metric_set_new(m, row, 1);
	f->n_labels = n_labels;
	arena_init(&f->arena, NULL);
	map_init(&f->map);
}

static void family_deinit(struct family *f)
{
	map_deinit(&f->map);
	arena_deinit(&f->arena);
}

static struct str key_of(struct arena *a, const struct str *value, size_t n)
{
	struct str key = STR("");
	for (size_t i = 0; i < n; i++)
		key = str_fmt(a, "%.*s\xff%.*s", STR_FMT(key), STR_FMT(value[i]));
	return key;
}

/* One more with these values, in the family's next generation. */
static void count(struct family *next, const struct str *value)
{
	struct str key = key_of(&next->arena, value, next->n_labels);
	struct cell *c = map_get(&next->map, key);
	if (!c) {
		c = ARENA_NEW(&next->arena, struct cell);
		for (size_t i = 0; i < next->n_labels; i++)
			c->value[i] = str_dup(&next->arena, value[i]);
		map_set(&next->map, key, c);
	}
	c->count++;
}

static struct family family_next(const struct family *f)
{
	struct family next = { .set = f->set, .n_labels = f->n_labels };
	arena_init(&next.arena, NULL);
	map_init(&next.map);
	return next;
}

/* The next generation is shown in place of this one. */
static void replace(struct family *f, struct family *next)
{
	size_t it = 0;
	struct str key;
	void *p;
	while (map_next(&f->map, &it, &key, &p))
		if (!map_get(&next->map, key))
			metric_drop(f->set, ((struct cell *)p)->metric);
	it = 0;
	while (map_next(&next->map, &it, &key, &p)) {
		struct cell *c = p, *old = map_get(&f->map, key);
		c->metric =
			old ? old->metric : metric_cell(f->set, 0, c->value, f->n_labels);
		metric_set_value(c->metric, (double)c->count);
	}
	family_deinit(f);
	*f = *next;
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static struct str cut(struct arena *a, struct str s)
{
	if (s.n <= EXTERNAL_MAX)
		return s;
	size_t n = EXTERNAL_MAX - 2; /* not within a character */
	while (n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;
	return str_fmt(a, "%.*s}", (int)n, s.p);
}

static struct str external_labels(struct arena *a, const struct store_info *info)
{
	struct str *v = ARENA_ARRAY(a, struct str, info->n_label_sets + 1);
	struct str all = STR_NULL;
	size_t n = 0, bytes = 0;
	for (size_t i = 0; i < info->n_label_sets; i++)
		if (info->label_sets[i].n)
			v[n++] = labels_str(a, info->label_sets[i]);
	if (n == 0)
		return STR("no_external_labels");
	vec_sort(v, n, sizeof(*v), by_str, NULL);
	for (size_t i = 0; i < n && bytes <= EXTERNAL_MAX; i++) {
		all = i ? str_fmt(a, "%.*s,%.*s", STR_FMT(all), STR_FMT(v[i])) : v[i];
		bytes = all.n;
	}
	return cut(a, all);
}

static void count_one(struct endpoint_meter *m, struct arena *a, struct endpoint *ep,
		      struct family *conn, struct family *bad)
{
	struct endpoint_view v;
	struct str value[3];
	size_t n = 0;
	endpoint_view(ep, &v);
	pthread_mutex_lock(&ep->set->mu);
	enum err_code code = ep->last_code;
	pthread_mutex_unlock(&ep->set->mu);
	if (v.info && (v.healthy || v.strict)) {
		if (m->labels & CONN_EXTERNAL_LABELS)
			value[n++] = external_labels(a, &v.info->info);
		if (m->labels & CONN_IP_PORT)
			value[n++] = str_of(ep->name);
		if (m->labels & CONN_STORE_TYPE)
			value[n++] = str_of(v.info->info.component);
		count(conn, value);
	}
	if (!v.healthy)
		count(bad,
		      (struct str[]){ str_of(ep->name), str_of(err_code_text(code)) });
	if (v.info)
		ref_put(&v.info->ref);
}

void endpoint_meter_update(struct endpoint_meter *m, struct endpoints *s)
{
	struct endpoint_set *now = endpoints_now(s);
	if (!now) /* the endpoints are being freed */
		return;
	struct family conn = family_next(&m->connections),
		      bad = family_next(&m->unhealthy);
	struct arena a;
	arena_init(&a, NULL);
	for (size_t i = 0; i < now->n; i++)
		count_one(m, &a, now->v[i], &conn, &bad);
	ref_put(&now->ref);
	replace(&m->connections, &conn);
	replace(&m->unhealthy, &bad);
	arena_deinit(&a);
}

struct endpoint_meter *endpoint_meter_new(struct metric_registry *reg, unsigned labels)
{
	struct endpoint_meter *m = xcalloc(1, sizeof(*m));
	m->labels = labels ? labels : CONN_EXTERNAL_LABELS | CONN_STORE_TYPE;
	size_t n = 0;
	for (unsigned bit = 1; bit < 8; bit <<= 1)
		n += (m->labels & bit) != 0;
	family_init(&m->connections, reg, &connections[m->labels], n);
	family_init(&m->unhealthy, reg, &unhealthy, 2);
	return m;
}

void endpoint_meter_free(struct endpoint_meter *m)
{
	family_deinit(&m->connections);
	family_deinit(&m->unhealthy);
	free(m);
}
