/*
 * api/telemetry.c - thanos_store_api_query_duration_seconds: how long queries took, by how much the stores sent for them.
 *
 * As Thanos has it the time is the whole query's; series and samples are told by the least bound of a list that they do not
 * pass, +Inf from the last one on. Source  thanos.md, flags --query.telemetry.*
 */
#include <math.h>

#include "api/api_int.h"
#include "wire/num.h"

struct bounds {
	double *v;
	size_t n;
};
struct api_telemetry {
	struct metric_desc row;
	struct bounds time, samples, series;
};

static size_t count_values(const struct conf_strs *list)
{
	size_t n = list->n;
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < list->v[i].n; k++)
			n += list->v[i].p[k] == ',';
	return n;
}

static int add_bound(const char *flag, struct bounds *b, struct str text, struct err *e)
{
	double v;
	if (!str_to_f64(text, &v) || !isfinite(v))
		return err_set(NULL, e, E_INVALID,
			       "flag '--%s': \"%.*s\" is not a number", flag,
			       STR_FMT(text));
	if (b->n && v <= b->v[b->n - 1])
		return err_set(NULL, e, E_INVALID, "flag '--%s': %.*s does not ascend",
			       flag, STR_FMT(text));
	b->v[b->n++] = v;
	return 0;
}

static int read_bounds(struct arena *a, const char *flag, const struct conf_strs *list,
		       struct bounds *out, struct err *e)
{
	out->v = ARENA_ARRAY(a, double, count_values(list) + 1);
	for (size_t i = 0; i < list->n; i++) {
		struct str left = list->v[i], word;
		bool more = true;
		while (more) {
			more = str_cut(&left, ',', &word);
			if (add_bound(flag, out, word, e) < 0)
				return -1;
		}
	}
	return 0;
}

int api_telemetry_new(struct arena *a, const struct conf_strs *time,
		      const struct conf_strs *samples, const struct conf_strs *series,
		      struct api_telemetry **out, struct err *e)
{
	struct api_telemetry *t = ARENA_NEW(a, struct api_telemetry);
	*t = (struct api_telemetry){ 0 };
	if (read_bounds(a, "query.telemetry.request-duration-seconds-quantiles", time,
			&t->time, e) < 0 ||
	    read_bounds(a, "query.telemetry.request-samples-quantiles", samples,
			&t->samples, e) < 0 ||
	    read_bounds(a, "query.telemetry.request-series-seconds-quantiles", series,
			&t->series, e) < 0)
		return -1;
	t->row = (struct metric_desc){
		.kind = METRIC_HISTOGRAM,
		.name = "thanos_store_api_query_duration_seconds",
		.help = "Duration of the Thanos Store API select phase for a query.",
		.labels = { "samples_le", "series_le", "tenant" },
		.bounds = t->time.v,
		.n_bounds = (uint32_t)t->time.n
	};
	*out = t;
	return 0;
}

struct metric_set *api_telemetry_register(const struct api_telemetry *t,
					  struct metric_registry *m)
{
	return metric_set_new(m, &t->row, 1);
}

static struct str bound_of(const struct bounds *b, uint64_t v, char text[NUM_MAX])
{
	size_t i = 0;
	if (b->n == 0 || (double)v >= b->v[b->n - 1])
		return STR("+Inf");
	while (b->v[i] < (double)v)
		i++;
	return str_n(text, num_f64_plain(text, b->v[i]));
}

void api_telemetry_observe(const struct api_telemetry *t, struct metric_set *m,
			   const struct promql_result *r, struct str tenant,
			   uint64_t took_ns)
{
	char series[NUM_MAX], samples[NUM_MAX];
	if (r->series_read && r->chunks_read && r->samples_read)
		metric_observe(metric_at(m, 0,
					 bound_of(&t->samples, r->samples_read, samples),
					 bound_of(&t->series, r->series_read, series),
					 tenant),
			       (double)took_ns / 1e9);
}
