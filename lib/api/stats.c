/*
 * api/stats.c - what a query took: `stats` with Prometheus' fields (and ours below "thanosc"), `explain` and `analyze` with
 * Thanos'.
 */
#include "api/api_int.h"

#include "wire/json.h"
#include "wire/num.h"

static void put_seconds(struct jw *w, const char *key, uint64_t ns)
{
	char s[NUM_MAX];
	jw_key(w, str_of(key));
	jw_raw(w, str_n(s, num_f64_plain(s, (double)ns / 1e9)));
}

static void put_count(struct jw *w, const char *key, uint64_t n)
{
	jw_key(w, str_of(key));
	jw_u64(w, n);
}

static void put_timings(struct jw *w, const struct query_run *run,
			const struct promql_result *r)
{
	jw_key(w, STR("timings"));
	jw_obj(w);
	put_seconds(w, "evalTotalTime", r->prepare_ns + r->eval_ns + r->sort_ns);
	put_seconds(w, "resultSortTime", r->sort_ns);
	put_seconds(w, "queryPreparationTime", r->prepare_ns);
	put_seconds(w, "innerEvalTime", r->eval_ns);
	put_seconds(w, "execQueueTime", run->queue_ns);
	put_seconds(w, "execTotalTime", run->total_ns);
	jw_obj_end(w);
}

static void put_operators(struct jw *w, const struct promql_plan *p)
{
	for (; p; p = p->next) {
		jw_obj(w);
		jw_key(w, STR("name"));
		jw_str(w, p->name);
		put_seconds(w, "time", p->took_ns);
		put_count(w, "rows", p->rows);
		jw_obj_end(w);
		put_operators(w, p->child);
	}
}

static void put_fanout(struct jw *w, struct call *c)
{
	struct notes_view v;
	notes_view(c->ctx->notes, c->a, &v);
	jw_key(w, STR("fanout"));
	jw_arr(w);
	for (size_t i = 0; i < v.n_received; i++) {
		jw_obj(w);
		jw_key(w, STR("store"));
		jw_str(w, v.received[i].name);
		put_count(w, "series", v.received[i].series);
		put_count(w, "chunks", v.received[i].chunks);
		put_count(w, "bytes", v.received[i].bytes);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static void put_ours(struct jw *w, struct call *c, const struct promql_result *r)
{
	const struct query_run *run = &c->run;
	jw_key(w, STR("thanosc"));
	jw_obj(w);
	put_count(w, "series", r->series_read);
	put_count(w, "chunks", r->chunks_read);
	put_count(w, "bytes", r->bytes_read);
	put_count(w, "peakMemoryBytes", run->peak_bytes);
	put_seconds(w, "memoryWaitTime", run->memory_wait_ns);
	put_fanout(w, c);
	if (r->plan) {
		jw_key(w, STR("operators"));
		jw_arr(w);
		put_operators(w, r->plan);
		jw_arr_end(w);
	}
	jw_obj_end(w);
}

static void put_steps(struct jw *w, const char *key, const struct promql_query *q,
		      const uint64_t *by_step, uint32_t n)
{
	if (!by_step)
		return;
	jw_key(w, str_of(key));
	jw_arr(w);
	for (uint32_t i = 0; i < n; i++) {
		jw_arr(w);
		jw_f64(w, (double)(q->start_ms + (int64_t)i * q->step_ms) / 1000);
		jw_u64(w, by_step[i]);
		jw_arr_end(w);
	}
	jw_arr_end(w);
}

void api_put_stats(struct buf *b, struct call *c, const struct promql_result *r,
		   const struct promql_query *q, bool per_step)
{
	struct jw w;
	jw_init(&w, b);
	jw_obj(&w);
	put_timings(&w, &c->run, r);
	jw_key(&w, STR("samples"));
	jw_obj(&w);
	if (per_step)
		put_steps(&w, "totalQueryableSamplesPerStep", q, r->samples_by_step,
			  r->n_steps);
	put_count(&w, "totalQueryableSamples", r->samples_total);
	if (per_step)
		put_steps(&w, "samplesReadPerStep", q, r->read_by_step, r->n_steps);
	put_count(&w, "samplesRead", r->samples_read);
	put_count(&w, "peakSamples", r->samples_peak);
	jw_obj_end(&w);
	put_ours(&w, c, r);
	jw_obj_end(&w);
}

/* As Go prints a duration: "0s", "116.984µs", "1.5ms", "2m3.5s". */
static void put_go_duration(struct jw *w, uint64_t ns)
{
	char s[NUM_MAX];
	struct buf b;
	buf_init(&b, 1000);
	if (ns >= 60000000000ull) {
		uint64_t min = ns / 60000000000ull;
		if (min >= 60)
			buf_fmt(&b, "%lluh", (unsigned long long)(min / 60));
		buf_fmt(&b, "%llum", (unsigned long long)(min % 60));
		ns %= 60000000000ull;
		buf_add(&b, s, num_f64_plain(s, (double)ns / 1e9));
		buf_byte(&b, 's');
	} else {
		double v = ns >= 1000000000 ? (double)ns / 1e9
			   : ns >= 1000000  ? (double)ns / 1e6
					    : (double)ns / 1e3;
		const char *unit = ns >= 1000000000 ? "s" : ns >= 1000000 ? "ms" : "µs";
		if (ns && ns < 1000) {
			v = (double)ns;
			unit = "ns";
		}
		buf_add(&b, s, num_f64_plain(s, v));
		buf_str(&b, ns ? str_of(unit) : STR("s"));
	}
	jw_str(w, buf_view(&b));
	buf_deinit(&b);
}

static void put_plan(struct jw *w, const struct promql_plan *p, bool analysis)
{
	jw_obj(w);
	jw_key(w, STR("name"));
	jw_str(w, p->name);
	if (analysis) {
		jw_key(w, STR("executionTime"));
		put_go_duration(w, p->took_ns);
		if (p->samples)
			put_count(w, "totalSamples", p->samples);
		put_count(w, "rows", p->rows);
		if (p->series) {
			put_count(w, "series", p->series);
			put_count(w, "chunks", p->chunks);
			put_count(w, "bytes", p->bytes);
		}
	}
	if (p->child) {
		jw_key(w, STR("children"));
		jw_arr(w);
		for (const struct promql_plan *k = p->child; k; k = k->next)
			put_plan(w, k, analysis);
		jw_arr_end(w);
	}
	jw_obj_end(w);
}

void api_put_plan(struct buf *b, const struct promql_plan *p, bool analysis)
{
	struct jw w;
	jw_init(&w, b);
	put_plan(&w, p, analysis);
}
