/*
 * metrics/text.c - the registry as text.
 *
 * Prometheus text format 0.0.4:
 *
 *   # HELP thanos_runs_total Passes finished.
 *   # TYPE thanos_runs_total counter
 *   thanos_runs_total{bucket="b1"} 3
 *
 * OpenMetrics 1.0 differs: a counter's family is named without _total, quotes are escaped
 * in HELP, too, floats have a point or an exponent, and the text ends in "# EOF".
 * Families without cells are left out. A histogram's buckets are added up while they are
 * written; the count is the last of them.
 *
 * Floats have the shortest digits that read back equal, found by printing with growing
 * precision: up to 15 digits any decimal survives the way through a double, so the
 * 15-digit form without its trailing zeros is the shortest if it reads back; else 16 or
 * 17 digits are. Subnormal numbers have fewer digits and are tried from 1 on. (wire/num.c
 * does this faster; this module lies beside wire and may not use it, and scrapes are
 * rare.)
 */
#include "metrics/metrics_int.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"

/* ---- numbers ---- */

/* Shortest digits of v > 0, without point; returns the exponent of the first digit. */
static int shortest(double v, char digits[20], int *n)
{
	char t[40];

	for (int precision = v < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
		snprintf(t, sizeof(t), "%.*e", precision - 1, v);
		if (strtod(t, NULL) == v)
			break;
	}
	char *e = strchr(t, 'e');
	*n = 0;
	for (char *p = t; p < e; p++)
		if (*p != '.')
			digits[(*n)++] = *p;
	while (*n > 1 && digits[*n - 1] == '0')
		(*n)--;
	return (int)strtol(e + 1, NULL, 10);
}

/* d.ddde+XX when the exponent is below -4 or above 5, else plain. */
size_t metric_format_f64(char out[32], double v)
{
	char d[20], *p = out;
	int n;

	if (isnan(v))
		return (size_t)sprintf(out, "NaN");
	if (isinf(v))
		return (size_t)sprintf(out, v > 0 ? "+Inf" : "-Inf");
	if (signbit(v))
		*p++ = '-';
	if (v == 0) {
		*p++ = '0';
		return (size_t)(p - out);
	}
	int exp = shortest(fabs(v), d, &n);
	if (exp < -4 || exp > 5) {
		*p++ = d[0];
		if (n > 1)
			p += sprintf(p, ".%.*s", n - 1, d + 1);
		p += sprintf(p, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
	} else if (exp < 0) {
		p += sprintf(p, "0.%.*s%.*s", -exp - 1, "0000", n, d);
	} else if (n <= exp + 1) {
		p += sprintf(p, "%.*s%.*s", n, d, exp + 1 - n, "00000");
	} else {
		p += sprintf(p, "%.*s.%.*s", exp + 1, d, n - exp - 1, d + exp + 1);
	}
	return (size_t)(p - out);
}

static void put_f64(struct buf *b, double v, bool om)
{
	char t[36];
	size_t n = metric_format_f64(t, v);

	buf_add(b, t, n);
	if (om && isfinite(v) && !memchr(t, '.', n) && !memchr(t, 'e', n))
		buf_str(b, STR(".0"));
}

/* ---- names and values ---- */

static void put_escaped(struct buf *b, struct str s, bool quotes)
{
	size_t run = 0, i = 0;

	while (i < s.n) {
		struct str with = STR_NULL;
		unsigned len = 1;
		switch (s.p[i]) {
		case '\\': with = STR("\\\\"); break;
		case '\n': with = STR("\\n"); break;
		case '"': with = quotes ? STR("\\\"") : STR_NULL; break;
		default:
			len = str_utf8_len(s.p + i, s.n - i);
			if (len == 0) {
				with = STR("\xef\xbf\xbd");
				len = 1;
			}
			break;
		}
		if (with.n) {
			buf_add(b, s.p + run, i - run);
			buf_str(b, with);
			run = i + len;
		}
		i += len;
	}
	buf_add(b, s.p + run, s.n - run);
}

/* {a="b",le="1"} or {a="b",quantile="0.5"}; le NULL: none. */
static void put_labels(struct buf *b, const struct metric *c, const double *le, bool om)
{
	const struct metric_family *f = c->f;
	bool quantile = c->kind == METRIC_SUMMARY;

	if (f->n_labels == 0 && !le)
		return;
	buf_byte(b, '{');
	for (uint32_t i = 0; i < f->n_labels; i++) {
		buf_str(b, str_of(f->desc->labels[i]));
		buf_str(b, STR("=\""));
		put_escaped(b, c->values[i], true);
		buf_str(b, i + 1 < f->n_labels || le ? STR("\",") : STR("\""));
	}
	if (le) {
		buf_str(b, quantile ? STR("quantile=\"") : STR("le=\""));
		put_f64(b, *le, om);
		buf_byte(b, '"');
	}
	buf_byte(b, '}');
}

/* ---- families ---- */

static void put_head(struct buf *b, struct str name, const struct metric_desc *d, bool om)
{
	static const char *const kinds[] = { [METRIC_COUNTER] = "counter",
					     [METRIC_GAUGE] = "gauge",
					     [METRIC_HISTOGRAM] = "histogram",
					     [METRIC_SUMMARY] = "summary" };

	buf_str(b, STR("# HELP "));
	buf_str(b, name);
	buf_byte(b, ' ');
	put_escaped(b, str_of(d->help), om);
	buf_str(b, STR("\n# TYPE "));
	buf_str(b, name);
	buf_byte(b, ' ');
	buf_str(b, str_of(kinds[d->kind]));
	buf_byte(b, '\n');
}

static void put_sum_count(struct buf *b, struct str name, const struct metric *c,
			  uint64_t n, bool om)
{
	buf_str(b, name);
	buf_str(b, STR("_sum"));
	put_labels(b, c, NULL, om);
	buf_byte(b, ' ');
	put_f64(b, metric_sum(c), om);
	buf_byte(b, '\n');
	buf_str(b, name);
	buf_str(b, STR("_count"));
	put_labels(b, c, NULL, om);
	buf_fmt(b, " %llu\n", (unsigned long long)n);
}

static void put_histogram(struct buf *b, struct str name, const struct metric *c, bool om)
{
	const struct metric_desc *d = c->f->desc;
	double inf = INFINITY;
	uint64_t n = 0;

	for (uint32_t i = 0; i <= d->n_bounds; i++) {
		n += atomic_load_explicit(&c->bucket[i], memory_order_relaxed);
		buf_str(b, name);
		buf_str(b, STR("_bucket"));
		put_labels(b, c, i < d->n_bounds ? &d->bounds[i] : &inf, om);
		buf_fmt(b, " %llu\n", (unsigned long long)n);
	}
	put_sum_count(b, name, c, n, om);
}

static void put_summary(struct buf *b, struct str name, const struct metric *c, bool om)
{
	const struct metric_desc *d = c->f->desc;
	uint64_t now_ns = time_mono_ns();

	for (uint32_t i = 0; i < d->n_bounds; i++) {
		buf_str(b, name);
		put_labels(b, c, &d->bounds[i], om);
		buf_byte(b, ' ');
		put_f64(b, metric_summary_quantile(c->summary, d->bounds[i], now_ns), om);
		buf_byte(b, '\n');
	}
	put_sum_count(b, name, c, (uint64_t)metric_value(c), om);
}

/* name: of the family, as HELP and TYPE say it; total: "_total" is to be added to
 * samples. */
static void put_cell(struct buf *b, struct str name, bool total, const struct metric *c,
		     bool om)
{
	if (c->kind == METRIC_HISTOGRAM) {
		put_histogram(b, name, c, om);
		return;
	}
	if (c->kind == METRIC_SUMMARY) {
		put_summary(b, name, c, om);
		return;
	}
	buf_str(b, name);
	if (total)
		buf_str(b, STR("_total"));
	put_labels(b, c, NULL, om);
	buf_byte(b, ' ');
	put_f64(b, metric_value(c), om);
	buf_byte(b, '\n');
}

/* The overflow cell stands where its values sort, so that cells stay in order. */
static void put_family(struct buf *b, const struct metric_shown *s, bool om)
{
	const struct metric_family *f = s->f;
	struct str name = str_of(s->name);
	bool total = om && f->desc->kind == METRIC_COUNTER, other_due = f->other != NULL;

	if (f->n == 0 && !f->other)
		return;
	if (total && str_has_suffix(name, STR("_total")))
		name.n -= 6;
	put_head(b, name, f->desc, om);
	for (size_t i = 0; i < f->n; i++) {
		if (other_due && str_cmp(STR("other"), f->cells[i]->values[0]) < 0) {
			put_cell(b, name, total, f->other, om);
			other_due = false;
		}
		put_cell(b, name, total, f->cells[i], om);
	}
	if (other_due)
		put_cell(b, name, total, f->other, om);
}

void metric_write_text(struct metric_registry *r, bool openmetrics, struct buf *out)
{
	for (size_t i = 0; i < r->n_refresh; i++)
		r->refresh[i].fn(r->refresh[i].arg);
	pthread_mutex_lock(&r->mu);
	for (size_t i = 0; i < r->n; i++)
		put_family(out, &r->shown[i], openmetrics);
	pthread_mutex_unlock(&r->mu);
	if (openmetrics)
		buf_str(out, STR("# EOF\n"));
}
