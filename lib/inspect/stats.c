/*
 * inspect/stats.c - what a block holds, in numbers: those of `promtool tsdb analyze --extended`, counted in the same way,
 * and what it does not show.
 *
 * Churn of a label: the part of the block's time that its series do not cover, in blocks (a series of half the time
 * counts 0.5; rounded down in the end). Values of chunks (samples, bytes, buckets) are counted by value, so that memory
 * does not grow with chunks.
 */
#include <stdlib.h>

#include "inspect/inspect_int.h"
#include "tsdb/chunk/chunk.h"

#define LIMIT_TOP 20

struct tally { /* value -> how often */
	struct map64 at;
	struct tally_row {
		uint64_t v, n;
	} * row;
	size_t n, cap;
};
enum {
	T_FLOAT_SAMPLES,
	T_FLOAT_BYTES,
	T_HIST_SAMPLES,
	T_HIST_BYTES,
	T_HIST_BUCKETS,
	T_AGGR_SAMPLES,
	T_AGGR_BYTES,
	T_N
};

struct stats {
	struct ctx *ctx;
	struct arena *a;
	struct inspect_stats *out;
	struct inspect_chunks *chunks; /* NULL: the index alone */
	struct tally tally[T_N];
	size_t limit;
};

static void count(struct tally *t, uint64_t v)
{
	uintptr_t at;
	if (!map64_get(&t->at, v, &at)) {
		if (t->n == t->cap)
			t->row = vec_grow(t->row, &t->cap, t->n + 1, sizeof(*t->row));
		at = t->n++;
		t->row[at] = (struct tally_row){ v, 0 };
		map64_set(&t->at, v, at);
	}
	t->row[at].n++;
}

/* Buckets as promtool makes them: steps of 10, 100, ... so that there are about ten. */
static void spread(struct arena *a, const struct tally *t, struct inspect_dist *d)
{
	uint64_t step = 10;
	d->min = UINT64_MAX;
	for (size_t i = 0; i < t->n; i++) {
		d->n += t->row[i].n;
		d->sum += t->row[i].n * t->row[i].v;
		d->min = MIN(d->min, t->row[i].v);
		d->max = MAX(d->max, t->row[i].v);
	}
	if (t->n == 0) {
		d->min = 0;
		return;
	}
	while (step < (d->max - d->min) / 10 && step <= 10000)
		step *= 10;
	uint64_t start = d->min - d->min % step, end = d->max - d->max % step + step;
	d->n_buckets = (size_t)((end - start) / step + 1);
	d->bucket = ARENA_ARRAY(a, struct inspect_bucket, d->n_buckets);
	for (size_t i = 0; i < d->n_buckets; i++) {
		d->bucket[i].low = i * step + start;
		d->bucket[i].high = (i + 1) * step + start;
	}
	for (size_t i = 0; i < t->n; i++)
		d->bucket[(t->row[i].v - start) / step].n += t->row[i].n;
}

/* ---- chunks ---- */

static void count_chunk(struct stats *s, const struct inspect_chunk_facts *f)
{
	struct inspect_stats *o = s->out;
	o->encoding[f->enc]++;
	o->samples += f->samples;
	o->float_samples += f->floats;
	o->histogram_samples += f->hists;
	if (f->enc == CHUNK_AGGR) {
		count(&s->tally[T_AGGR_SAMPLES], f->samples);
		count(&s->tally[T_AGGR_BYTES], f->bytes);
		return;
	}
	uint64_t tenth = MIN(f->samples, (uint64_t)CHUNK_SAMPLES) * 10 / CHUNK_SAMPLES;
	o->fullness[MIN(tenth, 9u)]++;
	if (f->hists) {
		count(&s->tally[T_HIST_SAMPLES], f->samples);
		count(&s->tally[T_HIST_BYTES], f->bytes);
		count(&s->tally[T_HIST_BUCKETS], f->buckets);
	} else {
		count(&s->tally[T_FLOAT_SAMPLES], f->samples);
		count(&s->tally[T_FLOAT_BYTES], f->bytes);
	}
}

static int on_series(void *arg, struct inspect_walk *w, const struct inspect_series *in,
		     struct err *e)
{
	struct stats *s = arg;
	for (uint32_t i = 0; s->chunks && i < in->n_chunks; i++) {
		struct inspect_chunk_facts f;
		int rc = inspect_chunks_check(s->chunks, s->ctx, w, in, &in->chunk[i], &f,
					      e);
		if (rc < 0)
			return -1;
		if (rc > 0)
			count_chunk(s, &f);
	}
	return 0;
}

/* ---- lists ---- */

static int cmp_top(const void *x, const void *y, void *arg)
{
	const struct inspect_top *a = x, *b = y;
	(void)arg;
	if (a->v != b->v)
		return a->v < b->v ? 1 : -1;
	return str_cmp(a->key, b->key);
}

/* The first of v[n], sorted; their keys may be views, and are copied. */
static struct inspect_list top(const struct stats *s, struct inspect_top *v, size_t n)
{
	struct inspect_list l = { NULL, MIN(n, s->limit) };
	if (n)
		vec_sort(v, n, sizeof(*v), cmp_top, NULL);
	l.v = ARENA_ARRAY(s->a, struct inspect_top, l.n + 1);
	for (size_t i = 0; i < l.n; i++)
		l.v[i] = (struct inspect_top){ v[i].v, str_dup(s->a, v[i].key) };
	return l;
}

static double blocks_of(const struct stats *s, uint64_t uncovered)
{
	uint64_t range = (uint64_t)s->out->meta.maxt_ms - (uint64_t)s->out->meta.mint_ms;
	return s->out->has_meta && range ? (double)uncovered / (double)range : 0;
}

static void top_pairs(struct stats *s, const struct inspect_walk *w, struct arena *tmp)
{
	struct inspect_top *churn = xcalloc(w->n_pairs + 1, sizeof(*churn)),
			   *common = xcalloc(w->n_pairs + 1, sizeof(*common)),
			   *metrics = xcalloc(w->n_pairs + 1, sizeof(*metrics));
	size_t n = 0, n_metrics = 0;
	for (size_t i = 0; i < w->n_pairs; i++) {
		const struct inspect_pair *p = &w->pair[i];
		uint64_t series = inspect_pair_series(w, i);
		if (series == 0)
			continue;
		struct str name = inspect_symbol(w, p->name),
			   value = inspect_symbol(w, p->value),
			   key = str_fmt(tmp, "%.*s=%.*s", STR_FMT(name), STR_FMT(value));
		s->out->pair_entries += series;
		churn[n] =
			(struct inspect_top){ (uint64_t)blocks_of(s, p->uncovered), key };
		common[n++] = (struct inspect_top){ series, key };
		if (str_eq(name, LABEL_NAME))
			metrics[n_metrics++] = (struct inspect_top){ series, value };
	}
	s->out->label_pairs = n;
	s->out->churn_pairs = top(s, churn, n);
	s->out->common_pairs = top(s, common, n);
	s->out->metrics = top(s, metrics, n_metrics);
	free(churn);
	free(common);
	free(metrics);
}

struct name_facts {
	uint64_t uncovered, values, bytes;
	uint32_t name;
};

static void top_names(struct stats *s, const struct inspect_walk *w)
{
	struct map64 by_name;
	struct name_facts *v = NULL;
	size_t n = 0, cap = 0;
	map64_init(&by_name);
	for (size_t i = 0; i < w->n_pairs; i++) {
		const struct inspect_pair *p = &w->pair[i];
		uintptr_t at;
		if (inspect_pair_series(w, i) == 0)
			continue;
		if (!map64_get(&by_name, p->name, &at)) {
			if (n == cap)
				v = vec_grow(v, &cap, n + 1, sizeof(*v));
			at = n++;
			v[at] = (struct name_facts){ .name = p->name };
			map64_set(&by_name, p->name, at);
		}
		v[at].uncovered += p->uncovered;
		v[at].values++;
		v[at].bytes += inspect_symbol(w, p->value).n;
	}
	struct inspect_top *t = xcalloc(n + 1, sizeof(*t));
	struct inspect_list *lists[] = { &s->out->churn_names, &s->out->value_bytes,
					 &s->out->cardinality };
	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		for (size_t i = 0; i < n; i++)
			t[i] = (struct inspect_top){
				k == 0	 ? (uint64_t)blocks_of(s, v[i].uncovered)
				: k == 1 ? v[i].bytes
					 : v[i].values,
				inspect_symbol(w, v[i].name)
			};
		*lists[k] = top(s, t, n);
	}
	s->out->label_names = n;
	map64_deinit(&by_name);
	free(t);
	free(v);
}

static void finish(struct stats *s, const struct inspect_walk *w)
{
	struct inspect_stats *o = s->out;
	struct inspect_dist *dist[T_N] = { &o->float_samples_dist, &o->float_bytes_dist,
					   &o->hist_samples_dist,  &o->hist_bytes_dist,
					   &o->hist_buckets_dist,  &o->aggr_samples_dist,
					   &o->aggr_bytes_dist };
	struct arena tmp;
	arena_init(&tmp, s->ctx->budget);
	o->series = w->n_refs;
	o->matched = w->n_matched;
	o->has_matched = w->n_matchers > 0;
	o->chunks = w->chunks;
	o->symbols = w->n_symbols;
	o->symbol_bytes = w->symbols.n;
	top_pairs(s, w, &tmp);
	top_names(s, w);
	for (size_t i = 0; i < T_N; i++)
		spread(s->a, &s->tally[i], dist[i]);
	arena_deinit(&tmp);
}

static int open_all(struct stats *s, const struct inspect_place *p,
		    const struct inspect_stats_opts *o, struct inspect_report *r,
		    struct range_source **index, struct err *e)
{
	struct inspect_files files = { 0 };
	struct err why = ERR_INIT;
	if (inspect_files_list(s->ctx, s->a, p, &files, e) < 0 ||
	    inspect_meta(s->ctx, s->a, p, r, &s->out->meta, &s->out->has_meta, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++)
		if (str_has_prefix(files.v[i].name, STR("chunks/"))) {
			s->out->segments++;
			s->out->chunk_bytes += files.v[i].size;
		}
	if (o->extended && inspect_chunks_open(s->ctx, p, &files,
					       s->out->has_meta ? &s->out->meta : NULL, r,
					       &s->chunks, e) < 0)
		return -1;
	if (inspect_open(s->ctx, p, "index", index, &why) < 0)
		return inspect_blame(r, INSPECT_FRAME, "index", &why, e);
	s->out->index_bytes = (*index)->size;
	return 0;
}

int inspect_stats(struct ctx *ctx, struct arena *a, const struct inspect_place *p,
		  const struct inspect_stats_opts *o, struct inspect_report *r,
		  struct inspect_stats *out, struct err *e)
{
	struct stats s = { .ctx = ctx, .a = a, .out = out, .limit = o->limit };
	struct inspect_walk w = { .ctx = ctx,
				  .r = r,
				  .on_series = on_series,
				  .arg = &s,
				  .matchers = o->matchers,
				  .n_matchers = o->n_matchers };
	struct range_source *index = NULL;
	memset(out, 0, sizeof(*out));
	if (s.limit == 0)
		s.limit = LIMIT_TOP;
	for (size_t i = 0; i < T_N; i++)
		map64_init(&s.tally[i].at);
	int rc = open_all(&s, p, o, r, &index, e);
	w.meta = out->has_meta ? &out->meta : NULL;
	if (rc == 0 && index)
		rc = inspect_walk_run(&w, index, e);
	if (rc == 0 && index && !w.broken)
		finish(&s, &w);
	range_source_unref(index);
	inspect_walk_deinit(&w);
	inspect_chunks_close(s.chunks);
	for (size_t i = 0; i < T_N; i++) {
		map64_deinit(&s.tally[i].at);
		free(s.tally[i].row);
	}
	return rc;
}
