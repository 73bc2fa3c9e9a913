/*
 * test/bench/promql_text.c - what a cluster's pods expose, as OpenMetrics text, one time window a run, for bench_promql:
 *
 *   promql_text SERIES FROM_S UNTIL_S STEP_S >window.om
 *
 * Twenty series a pod: three request counters, twelve classic buckets, three gauges of memory, a number of few values
 * and an info series. As in series_text.c a sample follows from the numbers of its series and its step alone, so that
 * windows made by separate runs fit together, and each pod is scraped at its own phase, never at a whole second.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_POD	    20
#define PODS_A_NODE 25
#define DAY	    86400
#define CYCLE	    (30 * DAY) /* counters begin anew each 30 days of the epoch */

struct pod {
	uint64_t number, rate;
	int64_t phase_ms;
	uint64_t restart; /* the step of a day at which its counters begin anew */
	char labels[128];
};

struct window {
	int64_t from, until, step;
};

static const char *const jobs[] = { "api",	"api",	  "api",     "checkout",
				    "checkout", "ingest", "ingest",  "search",
				    "auth",	"mailer", "billing", "gateway" };
static const struct {
	const char *code;
	uint64_t per_mille;
} codes[] = { { "200", 951 }, { "404", 37 }, { "500", 12 } };
static const struct {
	const char *le;
	uint64_t per_1024; /* of all requests */
} buckets[] = {
	{ "0.005", 103 }, { "0.01", 250 }, { "0.025", 480 }, { "0.05", 640 },
	{ "0.1", 790 },	  { "0.25", 880 }, { "0.5", 940 },   { "1", 980 },
	{ "2.5", 1003 },  { "5", 1015 },   { "10", 1021 },   { "+Inf", 1024 },
};
static const char *const containers[] = { "app", "proxy", "log" };

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + 0x632be59bd9b4e019u);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* requests of a pod since its start */
static uint64_t requests(const struct pod *p, uint64_t k, uint64_t day)
{
	uint64_t noise = mix(p->number, k ^ 7) % p->rate;
	if (day >= p->restart)
		return p->rate * (day - p->restart) + noise;
	return 100000 + mix(p->number, 2) % 10000000 + p->rate * k + noise;
}

static uint64_t memory(const struct pod *p, unsigned container, uint64_t k)
{
	uint64_t base = (mix(p->number, 20 + container) % 900 + 100) << 20,
		 day = DAY / 15, at = k % day;
	uint64_t wave = at < day / 2 ? at : day - at; /* more by day */
	return (base + base / 4 * wave / day +
		mix(p->number * 4 + container, k ^ 8) % (base / 16)) &
	       ~(uint64_t)4095;
}

static uint64_t generation(const struct pod *p, uint64_t k)
{
	return 100 + (k + mix(p->number, 9) % 240) / 960;
}

enum kind { REQUESTS, BUCKET, MEMORY, GENERATION, INFO };

static void put_series(const struct pod *p, const struct window *w, enum kind kind,
		       unsigned i, const char *name)
{
	size_t len = strlen(name);
	for (int64_t t = w->from; t < w->until; t += w->step) {
		uint64_t k = (uint64_t)(t % CYCLE / w->step),
			 day = (uint64_t)(t % DAY / w->step), v = 1;
		uint64_t late =
			mix(p->number, k ^ 5) % 8 ? 0 : 1 + mix(p->number, k ^ 6) % 20;
		if (kind == REQUESTS)
			v = requests(p, k, day) * codes[i].per_mille / 1000;
		else if (kind == BUCKET)
			v = requests(p, k, day) * buckets[i].per_1024 / 1024;
		else if (kind == MEMORY)
			v = memory(p, i, k);
		else if (kind == GENERATION)
			v = generation(p, k);
		int64_t ms = t * 1000 + p->phase_ms + (int64_t)late;
		fwrite(name, 1, len, stdout);
		printf("%" PRIu64 " %" PRId64 ".%03u\n", v, ms / 1000,
		       (unsigned)(ms % 1000));
	}
}

static void put_pod(const struct pod *p, const struct window *w, enum kind kind)
{
	char name[320];
	unsigned n = kind == REQUESTS ? 3 : kind == BUCKET ? 12 : kind == MEMORY ? 3 : 1;
	for (unsigned i = 0; i < n; i++) {
		if (kind == REQUESTS)
			snprintf(name, sizeof(name),
				 "http_requests_total{%s,code=\"%s\"} ", p->labels,
				 codes[i].code);
		else if (kind == BUCKET)
			snprintf(name, sizeof(name),
				 "http_request_duration_seconds_bucket{%s,le=\"%s\"} ",
				 p->labels, buckets[i].le);
		else if (kind == MEMORY)
			snprintf(
				name, sizeof(name),
				"container_memory_working_set_bytes{%s,container=\"%s\"} ",
				p->labels, containers[i]);
		else if (kind == GENERATION)
			snprintf(name, sizeof(name), "app_config_generation{%s} ",
				 p->labels);
		else
			snprintf(name, sizeof(name),
				 "kube_pod_info{pod=\"pod-%05u\",node=\"node-%03u\"} ",
				 (unsigned)p->number,
				 (unsigned)(p->number / PODS_A_NODE));
		put_series(p, w, kind, i, name);
	}
}

static struct pod pod_of(uint64_t number, int64_t step)
{
	static const uint64_t decade[] = { 40, 400, 4000 };
	struct pod p = { .number = number };
	uint64_t top = decade[mix(number, 1) % 3];
	p.rate = top / 4 + mix(number, 3) % top;
	p.phase_ms = 1 + (int64_t)(mix(number, 4) % (uint64_t)(step * 1000 - 60));
	if (p.phase_ms % 1000 == 0)
		p.phase_ms++;
	p.restart = number % 50 ? UINT64_MAX : mix(number, 5) % (DAY / (uint64_t)step);
	snprintf(p.labels, sizeof(p.labels),
		 "job=\"%s\",instance=\"10.0.%u.%u:8080\",pod=\"pod-%05u\"",
		 jobs[number % 12], (unsigned)(number >> 8 & 255),
		 (unsigned)(number & 255), (unsigned)number);
	return p;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: promql_text SERIES FROM_S UNTIL_S STEP_S\n");
		return 2;
	}
	uint64_t pods = strtoull(argv[1], NULL, 10) / PER_POD;
	struct window w = { strtoll(argv[2], NULL, 10), strtoll(argv[3], NULL, 10),
			    strtoll(argv[4], NULL, 10) };
	if (w.step < 1)
		return 2;
	for (enum kind kind = REQUESTS; kind <= INFO; kind++)
		for (uint64_t i = 0; i < pods; i++) {
			struct pod p = pod_of(i, w.step);
			put_pod(&p, &w, kind);
		}
	puts("# EOF");
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
