/*
 * tsdb/chunk/series_samples.c - the chunks of one series as one run of samples, for one aggregate.
 *
 * A chunk shows its raw part if it has one. Of a downsampled chunk the wanted part is shown; for the
 * average, sum and count are read side by side and divided where their times agree. A chunk without
 * the wanted part (histograms have neither min nor max) shows nothing.
 *
 * Counters of downsampled chunks hold, per chunk: the first raw value, running totals, and at the last
 * time once more the raw value. Over all chunks the increases are added up, a fall counting as a start
 * from zero; the doubled last sample only tells what the next chunk's first value is compared with. So
 * the run rises and resets hidden between two chunks are found, in raw chunks that follow, too. COMPAT: histograms are shown as they are
 * stored, as Thanos does; a chunk that begins lower than the last one ended is a reset to whoever reads.
 *
 * Times come out strictly ascending: what is not behind the last time shown is passed over.
 */
#include "tsdb/chunk/series_samples.h"

#include <stdlib.h>

#include "tsdb/chunk/counter.h"

enum source { SRC_NONE, SRC_PLAIN, SRC_AVG, SRC_COUNTER };

struct series_samples {
	struct samples base;
	const struct chunk_view *chunks;
	size_t n, i;
	enum sample_aggr want;
	enum source src; /* of the chunk that is open */
	struct chunk_decoder *d, *d_count;
	struct columns c, c_count; /* of src AVG: what is not used up */
	size_t at, at_count;
	int64_t from_ms; /* first time to show */
	struct counter counter;
	struct arena tmp; /* histograms made here, until the next call */
	int64_t t[COLUMNS_MAX], st[COLUMNS_MAX];
	double v[COLUMNS_MAX];
	const struct hist *h[COLUMNS_MAX];
};

static struct series_samples *of(struct samples *s)
{
	return CONTAINER_OF(s, struct series_samples, base);
}

static struct chunk_part part_for(const struct chunk_view *c, enum sample_aggr want)
{
	static const enum aggr aggr[] = {
		[SAMPLE_AVG] = AGGR_SUM, [SAMPLE_COUNT] = AGGR_COUNT,
		[SAMPLE_SUM] = AGGR_SUM, [SAMPLE_MIN] = AGGR_MIN,
		[SAMPLE_MAX] = AGGR_MAX, [SAMPLE_COUNTER] = AGGR_COUNTER,
	};
	return c->part[AGGR_RAW].p ? c->part[AGGR_RAW] : c->part[aggr[want]];
}

/* Open the next chunk that has something to show; 0: no more. */
static int open_chunk(struct series_samples *s, struct err *e)
{
	while (s->i < s->n) {
		const struct chunk_view *c = &s->chunks[s->i++];
		struct chunk_part p = part_for(c, s->want);
		bool raw = c->part[AGGR_RAW].p != NULL;
		if (c->maxt_ms < s->from_ms || !p.p)
			continue;
		s->src = SRC_PLAIN;
		if (!raw && s->want == SAMPLE_AVG)
			s->src = SRC_AVG;
		else if (s->want == SAMPLE_COUNTER && (!raw || s->counter.begun) &&
			 (p.enc == CHUNK_XOR || p.enc == CHUNK_XOR2))
			s->src = SRC_COUNTER;
		if (s->src == SRC_AVG) {
			if (!c->part[AGGR_COUNT].p)
				continue;
			s->c = s->c_count = (struct columns){ 0 };
			s->at = s->at_count = 0;
			if (chunk_decoder_reset(s->d_count, c->part[AGGR_COUNT], e) < 0)
				return -1;
		}
		if (chunk_decoder_reset(s->d, p, e) < 0)
			return -1;
		return 1;
	}
	s->src = SRC_NONE;
	return 0;
}

static void keep_sample(struct series_samples *s, const struct columns *c, size_t i,
			size_t k)
{
	s->t[k] = c->t_ms[i];
	if (c->st_ms)
		s->st[k] = c->st_ms[i];
	if (c->v)
		s->v[k] = c->v[i];
	else
		s->h[k] = c->h[i];
}

/* Columns as they are, but for a front before from_ms and doubled times. */
static int next_plain(struct series_samples *s, struct columns *out, struct err *e)
{
	struct columns c;
	int rc = chunk_decoder_next(s->d, &c, e);
	size_t from = 0, k = 0;
	if (rc <= 0)
		return rc;
	while (from < c.n && c.t_ms[from] < s->from_ms)
		from++;
	bool strict = true;
	for (size_t i = from + 1; i < c.n; i++)
		strict &= c.t_ms[i] > c.t_ms[i - 1];
	*out = (struct columns){ .n = c.n - from,
				 .t_ms = c.t_ms + from,
				 .st_ms = c.st_ms ? c.st_ms + from : NULL,
				 .v = c.v ? c.v + from : NULL,
				 .h = c.h ? c.h + from : NULL };
	if (strict)
		return 1;
	for (size_t i = from; i < c.n; i++)
		if (i == from || c.t_ms[i] > s->t[k - 1])
			keep_sample(s, &c, i, k++);
	*out = (struct columns){ .n = k,
				 .t_ms = s->t,
				 .st_ms = c.st_ms ? s->st : NULL,
				 .v = c.v ? s->v : NULL,
				 .h = c.v ? NULL : s->h };
	return 1;
}

/* Make sure *c has a sample at *at; 0: none left. */
static int refill(struct chunk_decoder *d, struct columns *c, size_t *at, struct err *e)
{
	if (*at < c->n)
		return 1;
	*at = 0;
	c->n = 0;
	return chunk_decoder_next(d, c, e);
}

static int next_avg(struct series_samples *s, struct columns *out, struct err *e)
{
	size_t k = 0;
	bool hists = false;
	while (k < COLUMNS_MAX) {
		/* What a decoder shows is gone at its next call: stop at its border with histograms. */
		if (hists && k > 0 && s->at == s->c.n)
			break;
		int rc = refill(s->d, &s->c, &s->at, e);
		if (rc > 0)
			rc = refill(s->d_count, &s->c_count, &s->at_count, e);
		if (rc < 0)
			return -1;
		if (rc == 0 || !s->c_count.v)
			break;
		int64_t t = s->c.t_ms[s->at], tc = s->c_count.t_ms[s->at_count];
		double n = s->c_count.v[s->at_count];
		hists = !s->c.v;
		if (t == tc && t >= s->from_ms && (k == 0 || t > s->t[k - 1])) {
			s->t[k] = t;
			if (hists)
				s->h[k] = counter_hist_divide(&s->tmp, s->c.h[s->at], n);
			else
				s->v[k] = s->c.v[s->at] / n;
			k++;
		}
		s->at += t <= tc;
		s->at_count += tc <= t;
	}
	*out = (struct columns){
		.n = k, .t_ms = s->t, .v = hists ? NULL : s->v, .h = hists ? s->h : NULL
	};
	return k > 0;
}

static int next_counter(struct series_samples *s, struct columns *out, struct err *e)
{
	struct columns c;
	int rc = chunk_decoder_next(s->d, &c, e);
	size_t k = 0;
	if (rc <= 0)
		return rc;
	for (size_t i = 0; i < c.n; i++)
		if (counter_float(&s->counter, c.t_ms[i], c.v[i], &s->v[k]) &&
		    c.t_ms[i] >= s->from_ms)
			s->t[k++] = c.t_ms[i];
	*out = (struct columns){ .n = k, .t_ms = s->t, .v = s->v };
	return 1;
}

static int samples_next_(struct samples *base, struct columns *out, struct err *e)
{
	struct series_samples *s = of(base);
	if (s->tmp.chunks)
		arena_reset(&s->tmp);
	for (;;) {
		int rc = 0;
		switch (s->src) {
		case SRC_NONE: break;
		case SRC_PLAIN: rc = next_plain(s, out, e); break;
		case SRC_AVG: rc = next_avg(s, out, e); break;
		case SRC_COUNTER: rc = next_counter(s, out, e); break;
		}
		if (rc == 0)
			rc = open_chunk(s, e);
		else if (rc > 0 && out->n > 0) {
			s->from_ms = out->t_ms[out->n - 1];
			if (s->from_ms == INT64_MAX)
				s->i = s->n;
			else
				s->from_ms++;
			return 1;
		}
		if (rc < 0 || (rc == 0 && s->src == SRC_NONE))
			return rc;
	}
}

static void samples_seek_(struct samples *base, int64_t t_ms)
{
	struct series_samples *s = of(base);
	s->from_ms = MAX(s->from_ms, t_ms);
}

static const struct samples_ops ops = { samples_next_, samples_seek_ };

static void samples_deinit(void *p)
{
	struct series_samples *s = p;
	arena_deinit(&s->tmp);
	free(s);
}

struct samples *series_samples_new(struct arena *a)
{
	struct series_samples *s = xcalloc(1, sizeof *s);
	s->base.ops = &ops;
	s->d = chunk_decoder_new(a);
	s->d_count = chunk_decoder_new(a);
	arena_init(&s->tmp, a->budget);
	arena_on_free(a, samples_deinit, s);
	return &s->base;
}

int series_samples_reset(struct samples *base, const struct chunk_view *chunks, size_t n,
			 enum sample_aggr want, struct err *e)
{
	struct series_samples *s = of(base);
	(void)e;
	s->chunks = chunks;
	s->n = n;
	s->i = 0;
	s->want = want;
	s->src = SRC_NONE;
	s->from_ms = INT64_MIN;
	counter_reset(&s->counter);
	return 0;
}
