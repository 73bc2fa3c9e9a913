/*
 * metrics/metrics.c - registry, families, cells and counting.
 *
 * Counting takes no lock. A counter has two parts: whole numbers, which nearly all
 * additions are, go by one relaxed fetch_add into an integer (exact beyond 2^53); others
 * go by compare-and-swap into a double. A gauge is such a double alone. A histogram
 * counts each bucket by itself; cumulative counts and the total are made when it is
 * shown, so they always agree with each other. A summary has a lock of its own (summary.c). Each cell begins on a cache line of its
 * own, so that two threads counting different things do not share one.
 *
 * A family belongs to the registry and is found by name: several sets may register the
 * same one (client code that runs twice in a process), their cells are the same cells.
 * Cells are kept in the order they are shown in; looking one up is a binary search under
 * the registry's lock.
 */
#include "metrics/metrics_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"

#define CACHE_LINE 64

/* ---- registry ---- */

struct metric_registry *metric_registry_new(void)
{
	struct metric_registry *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->mu, NULL);
	return r;
}

static void cell_free(struct metric *c)
{
	if (c)
		metric_summary_free(c->summary);
	free(c);
}

static void family_free(struct metric_family *f)
{
	for (size_t i = 0; i < f->n; i++)
		cell_free(f->cells[i]);
	free(f->cells);
	cell_free(f->other);
	free(f);
}

void metric_registry_free(struct metric_registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_refresh; i++)
		if (r->refresh[i].free)
			r->refresh[i].free(r->refresh[i].arg);
	while (r->families) {
		struct metric_family *f = r->families;
		r->families = f->next;
		family_free(f);
	}
	for (struct metric_set *s = r->sets, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	free(r->shown);
	pthread_mutex_destroy(&r->mu);
	free(r);
}

void metric_on_refresh(struct metric_registry *r, void (*fn)(void *), void *arg,
		       void (*free_arg)(void *))
{
	pthread_mutex_lock(&r->mu);
	BUG_ON(r->n_refresh == METRIC_MAX_REFRESH);
	r->refresh[r->n_refresh].fn = fn;
	r->refresh[r->n_refresh].arg = arg;
	r->refresh[r->n_refresh++].free = free_arg;
	pthread_mutex_unlock(&r->mu);
}

/* ---- cells ---- */

static int values_cmp(const struct str *a, const struct str *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int c = str_cmp(a[i], b[i]);
		if (c)
			return c;
	}
	return 0;
}

/* First index whose values are not below v. */
static size_t cell_index(const struct metric_family *f, const struct str *v, bool *found)
{
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (values_cmp(f->cells[mid]->values, v, f->n_labels) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < f->n && values_cmp(f->cells[lo]->values, v, f->n_labels) == 0;
	return lo;
}

static struct metric *cell_new(struct metric_family *f, const struct str *v)
{
	size_t buckets = f->desc->kind == METRIC_HISTOGRAM ? f->desc->n_bounds + 1 : 0;
	size_t size = sizeof(struct metric) + buckets * sizeof(uint64_t), text = size;

	for (size_t i = 0; i < f->n_labels; i++)
		size += v[i].n;
	size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	struct metric *c = aligned_alloc(CACHE_LINE, size);
	BUG_ON(!c);
	memset(c, 0, size);
	c->f = f;
	c->kind = f->desc->kind;
	if (c->kind == METRIC_SUMMARY)
		c->summary = metric_summary_new();
	for (size_t i = 0; i < f->n_labels; i++) {
		char *p = (char *)c + text;
		if (v[i].n)
			memcpy(p, v[i].p, v[i].n);
		c->values[i] = str_n(p, v[i].n);
		text += v[i].n;
	}
	return c;
}

static struct metric *other_cell(struct metric_family *f)
{
	struct str v[METRIC_MAX_LABELS];

	for (size_t i = 0; i < METRIC_MAX_LABELS; i++)
		v[i] = STR("other");
	if (!f->other)
		f->other = cell_new(f, v);
	return f->other;
}

static struct metric *cell_locked(struct metric_family *f, const struct str *v)
{
	uint32_t max = f->desc->max_cells ? f->desc->max_cells : METRIC_DEFAULT_CELLS;
	bool found;
	size_t at = cell_index(f, v, &found);

	if (found)
		return f->cells[at];
	if (f->n >= max)
		return other_cell(f);
	if (f->n == f->cap)
		f->cells = vec_grow(f->cells, &f->cap, f->n + 1, sizeof(*f->cells));
	memmove(f->cells + at + 1, f->cells + at, (f->n - at) * sizeof(*f->cells));
	f->n++;
	return f->cells[at] = cell_new(f, v);
}

/* Cut at a character's begin. */
static struct str cut_value(struct str s)
{
	if (s.n <= METRIC_MAX_VALUE_BYTES)
		return s;
	s.n = METRIC_MAX_VALUE_BYTES;
	while (s.n && ((uint8_t)s.p[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

struct metric *metric_cell(struct metric_set *m, uint32_t row, const struct str *values,
			   size_t n)
{
	struct str v[METRIC_MAX_LABELS];

	BUG_ON(row >= m->n);
	struct metric_family *f = m->families[row];
	BUG_ON(n != f->n_labels);
	for (size_t i = 0; i < n; i++)
		v[i] = cut_value(values[i]);
	pthread_mutex_lock(&m->r->mu);
	struct metric *c = cell_locked(f, v);
	pthread_mutex_unlock(&m->r->mu);
	return c;
}

void metric_drop(struct metric_set *m, struct metric *c)
{
	bool found;

	if (!c)
		return;
	struct metric_family *f = c->f;
	pthread_mutex_lock(&m->r->mu);
	if (c != f->other) { /* that one is shared by all who came too late */
		size_t at = cell_index(f, c->values, &found);
		BUG_ON(!found || f->cells[at] != c);
		f->n--;
		memmove(f->cells + at, f->cells + at + 1,
			(f->n - at) * sizeof(*f->cells));
		cell_free(c);
	}
	pthread_mutex_unlock(&m->r->mu);
}

/* ---- families ---- */

static bool name_ok(const char *s, bool colon)
{
	if (!*s || (*s >= '0' && *s <= '9'))
		return false;
	for (; *s; s++)
		if (!((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') && *s != '_' &&
		    !(*s >= '0' && *s <= '9') && !(colon && *s == ':'))
			return false;
	return true;
}

static bool is_distribution(enum metric_kind k)
{
	return k == METRIC_HISTOGRAM || k == METRIC_SUMMARY;
}

static uint32_t check_desc(const struct metric_desc *d)
{
	uint32_t n = 0;

	BUG_ON(!d->name || !d->help || !name_ok(d->name, true));
	BUG_ON(d->alias && !name_ok(d->alias, true));
	for (; n < METRIC_MAX_LABELS && d->labels[n]; n++)
		BUG_ON(!name_ok(d->labels[n], false));
	for (uint32_t i = 1; i < d->n_bounds; i++)
		BUG_ON(d->bounds[i] <= d->bounds[i - 1]);
	BUG_ON(d->n_bounds && !is_distribution(d->kind));
	return n;
}

static bool same_family(const struct metric_desc *a, const struct metric_desc *b)
{
	if (a->kind != b->kind || a->n_bounds != b->n_bounds)
		return false;
	for (size_t i = 0; i < METRIC_MAX_LABELS; i++) {
		if (!a->labels[i] || !b->labels[i])
			return a->labels[i] == b->labels[i];
		if (strcmp(a->labels[i], b->labels[i]) != 0)
			return false;
	}
	return true;
}

static size_t shown_index(const struct metric_registry *r, const char *name, bool *found)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(r->shown[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < r->n && strcmp(r->shown[lo].name, name) == 0;
	return lo;
}

static void show_as(struct metric_registry *r, const char *name, struct metric_family *f)
{
	bool taken;
	size_t at = shown_index(r, name, &taken);

	BUG_ON(taken);
	if (r->n == r->cap)
		r->shown = vec_grow(r->shown, &r->cap, r->n + 1, sizeof(*r->shown));
	memmove(r->shown + at + 1, r->shown + at, (r->n - at) * sizeof(*r->shown));
	r->shown[at] = (struct metric_shown){ name, f };
	r->n++;
}

static struct metric_family *family_of(struct metric_registry *r,
				       const struct metric_desc *d)
{
	uint32_t n_labels = check_desc(d);
	bool found;
	size_t at = shown_index(r, d->name, &found);

	if (found) {
		struct metric_family *old = r->shown[at].f;
		BUG_ON(strcmp(old->desc->name, d->name) != 0 ||
		       !same_family(old->desc, d));
		return old;
	}
	struct metric_family *f = xcalloc(1, sizeof(*f));
	f->r = r;
	f->next = r->families;
	r->families = f;
	f->desc = d;
	f->n_labels = n_labels;
	show_as(r, d->name, f);
	if (d->alias)
		show_as(r, d->alias, f);
	if (n_labels == 0) /* known to be zero rather than absent */
		cell_locked(f, NULL);
	return f;
}

struct metric_set *metric_set_new(struct metric_registry *r,
				  const struct metric_desc *rows, uint32_t n)
{
	struct metric_set *s = xcalloc(1, sizeof(*s) + n * sizeof(s->families[0]));

	s->r = r;
	s->n = n;
	pthread_mutex_lock(&r->mu);
	for (uint32_t i = 0; i < n; i++)
		s->families[i] = family_of(r, &rows[i]);
	s->next = r->sets;
	r->sets = s;
	pthread_mutex_unlock(&r->mu);
	return s;
}

/* ---- counting ---- */

static double to_double(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static uint64_t to_bits(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static void add_double(_Atomic uint64_t *to, double v)
{
	uint64_t old = atomic_load_explicit(to, memory_order_relaxed), new;

	do
		new = to_bits(to_double(old) + v);
	while (!atomic_compare_exchange_weak_explicit(to, &old, new, memory_order_relaxed,
						      memory_order_relaxed));
}

void metric_inc(struct metric *c)
{
	BUG_ON(is_distribution(c->kind));
	if (LIKELY(c->kind == METRIC_COUNTER))
		atomic_fetch_add_explicit(&c->whole, 1, memory_order_relaxed);
	else
		add_double(&c->bits, 1);
}

void metric_add(struct metric *c, double v)
{
	BUG_ON(is_distribution(c->kind));
	if (c->kind == METRIC_GAUGE) {
		add_double(&c->bits, v);
		return;
	}
	if (!(v >= 0)) /* a clock that went back, a NaN: a counter never falls */
		return;
	if (v < 9007199254740992.0 && v == (double)(uint64_t)v)
		atomic_fetch_add_explicit(&c->whole, (uint64_t)v, memory_order_relaxed);
	else
		add_double(&c->bits, v);
}

void metric_set_value(struct metric *c, double v)
{
	BUG_ON(c->kind != METRIC_GAUGE);
	atomic_store_explicit(&c->bits, to_bits(v), memory_order_relaxed);
}

void metric_mirror(struct metric *c, double v)
{
	atomic_store_explicit(&c->bits, to_bits(v), memory_order_relaxed);
}

void metric_observe(struct metric *c, double v)
{
	const struct metric_desc *d = c->f->desc;
	uint32_t lo = 0, hi = d->n_bounds;

	BUG_ON(!is_distribution(c->kind));
	if (c->kind == METRIC_SUMMARY) {
		metric_summary_add(c->summary, v, time_mono_ns());
		atomic_fetch_add_explicit(&c->whole, 1, memory_order_relaxed);
		add_double(&c->bits, v);
		return;
	}
	/* First bound >= v; NaN falls into the last bucket, as with Prometheus' clients.
	 * */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (v <= d->bounds[mid])
			hi = mid;
		else
			lo = mid + 1;
	}
	atomic_fetch_add_explicit(&c->bucket[lo], 1, memory_order_relaxed);
	add_double(&c->bits, v);
}

double metric_sum(const struct metric *c)
{
	return to_double(atomic_load_explicit(&c->bits, memory_order_relaxed));
}

double metric_value(const struct metric *c)
{
	metric_fn *fn = atomic_load_explicit(&c->fn, memory_order_acquire);
	uint64_t n = 0;

	if (fn)
		return fn(c->arg);
	switch (c->kind) {
	case METRIC_HISTOGRAM:
		for (uint32_t i = 0; i <= c->f->desc->n_bounds; i++)
			n += atomic_load_explicit(&c->bucket[i], memory_order_relaxed);
		return (double)n;
	case METRIC_COUNTER:
		n = atomic_load_explicit(&c->whole, memory_order_relaxed);
		return (double)n + metric_sum(c);
	case METRIC_SUMMARY:
		return (double)atomic_load_explicit(&c->whole, memory_order_relaxed);
	case METRIC_GAUGE:
	default: return metric_sum(c);
	}
}

void metric_callback(struct metric *c, double (*fn)(void *arg), void *arg)
{
	BUG_ON(is_distribution(c->kind));
	/* The lock makes the owner wait for an exposition that may be calling the old
	 * function. */
	pthread_mutex_lock(&c->f->r->mu);
	atomic_store_explicit(&c->fn, NULL, memory_order_relaxed);
	c->arg = arg;
	atomic_store_explicit(&c->fn, fn, memory_order_release);
	pthread_mutex_unlock(&c->f->r->mu);
}
