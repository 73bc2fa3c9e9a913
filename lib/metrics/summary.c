/*
 * metrics/summary.c - quantiles of what was observed in the last eight to ten minutes.
 *
 * As Prometheus' clients have it, the window is ten minutes of five parts, and with each part that passes the oldest is
 * forgotten. A part counts values in buckets that are 1/64 of an octave wide, from 2^-30 (1 ns) to 2^20 (12 days, if
 * values are seconds), so that memory is bounded whatever comes, and a quantile is off by less than 1.6% of its value.
 * (Theirs is off by a rank instead, of values kept by themselves.) Smaller values count as 0, larger ones as the end. A
 * part is allocated when something falls into it.
 *
 * Locks  summary.mu: everything; held for an addition or a look through the buckets.
 */
#include "metrics/metrics_int.h"

#include <math.h>
#include <stdlib.h>

#define PARTS	   5
#define PART_NS	   (120 * 1000000000ull)
#define MANTISSA   6 /* bits of it that tell buckets apart */
#define SHIFT	   (52 - MANTISSA)
#define LEAST_EXP  (-30)
#define OCTAVES	   50
#define BUCKETS	   ((uint32_t)OCTAVES << MANTISSA)
#define FIRST_BITS ((uint64_t)(1023 + LEAST_EXP) << 52)

struct part {
	uint64_t when; /* number of its time; another one: what it has is old */
	uint32_t *bucket;
	uint64_t below, above, n; /* all of them: n */
};
struct metric_summary {
	pthread_mutex_t mu;
	struct part part[PARTS];
};

struct metric_summary *metric_summary_new(void)
{
	struct metric_summary *s = xcalloc(1, sizeof(*s));
	pthread_mutex_init(&s->mu, NULL);
	return s;
}

void metric_summary_free(struct metric_summary *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < PARTS; i++)
		free(s->part[i].bucket);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

/* Counted from 1, so that a part that was never used is old. */
static uint64_t number_of(uint64_t now_ns)
{
	return now_ns / PART_NS + 1;
}

static struct part *part_at(struct metric_summary *s, uint64_t number)
{
	struct part *p = &s->part[number % PARTS];
	if (p->when == number)
		return p;
	if (!p->bucket)
		p->bucket = xcalloc(BUCKETS, sizeof(*p->bucket));
	else
		memset(p->bucket, 0, BUCKETS * sizeof(*p->bucket));
	*p = (struct part){ .when = number, .bucket = p->bucket };
	return p;
}

void metric_summary_add(struct metric_summary *s, double v, uint64_t now_ns)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	pthread_mutex_lock(&s->mu);
	struct part *p = part_at(s, number_of(now_ns));
	uint64_t at = (bits - FIRST_BITS) >> SHIFT;
	p->n++;
	if (isnan(v) || (v > 0 && bits >= FIRST_BITS && at >= BUCKETS))
		p->above++;
	else if (!(v > 0) || bits < FIRST_BITS)
		p->below++;
	else
		p->bucket[at]++;
	pthread_mutex_unlock(&s->mu);
}

static double lower_end(uint32_t at)
{
	uint64_t bits = FIRST_BITS + ((uint64_t)at << SHIFT);
	double v;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

static double find(const struct part *const *p, size_t n, uint64_t rank)
{
	uint64_t before = 0;
	for (size_t i = 0; i < n; i++)
		before += p[i]->below;
	if (rank <= before)
		return 0;
	for (uint32_t at = 0; at < BUCKETS; at++) {
		uint64_t here = 0;
		for (size_t i = 0; i < n; i++)
			here += p[i]->bucket[at];
		if (rank > before + here) {
			before += here;
			continue;
		}
		double lo = lower_end(at), hi = lower_end(at + 1);
		return lo + (hi - lo) * ((double)(rank - before) - 0.5) / (double)here;
	}
	return lower_end(BUCKETS);
}

double metric_summary_quantile(struct metric_summary *s, double q, uint64_t now_ns)
{
	const struct part *live[PARTS];
	uint64_t now = number_of(now_ns), all = 0;
	double v = NAN;
	size_t n = 0;
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < PARTS; i++)
		if (s->part[i].when && s->part[i].when + PARTS > now) {
			live[n++] = &s->part[i];
			all += s->part[i].n;
		}
	if (all) {
		uint64_t rank = (uint64_t)ceil(q * (double)all);
		v = find(live, n, MIN(MAX(rank, 1u), all));
	}
	pthread_mutex_unlock(&s->mu);
	return v;
}
