/*
 * test/bench/series_text.c - counters of several jobs as OpenMetrics text, one time window a run.
 *
 *   series_text SERIES FROM_S UNTIL_S STEP_S >window.om
 *
 * A sample follows from the numbers of its series and its step alone, so that windows made by separate runs
 * fit together: a counter is base + rate * k + noise(k), the noise below the rate. Rates span four decades,
 * one series in sixteen stands still, one in fifty falls to zero once a day. Each target scrapes at its own
 * phase within the step, never at a whole second, and one scrape in eight comes some milliseconds late.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY 86400
#define CYCLE                                                                            \
	(30 *                                                                            \
	 DAY) /* counters begin anew each 30 days of the epoch: numbers as long as real ones */

static const struct {
	const char *name, *port;
	unsigned parts; /* of 32: the job's share of all series */
} jobs[] = {
	{ "api", "8080", 12 },	  { "checkout", "8443", 6 }, { "ingest", "9400", 5 },
	{ "search", "9200", 3 },  { "auth", "8081", 2 },     { "mailer", "2525", 2 },
	{ "billing", "8090", 1 }, { "gateway", "80", 1 },
};
static const char *const methods[] = { "GET", "POST", "PUT" };
static const char *const codes[] = { "200", "204", "404", "500" };
static const char *const handlers[] = { "/v1/items", "/v1/items/:id", "/v1/users",
					"/v1/orders", "/healthz" };

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u ^ (b + 0x632be59bd9b4e019u);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t rate_of(uint64_t series)
{
	static const uint64_t decade[] = { 4, 40, 400, 4000 };
	uint64_t r = mix(series, 1);
	if (r % 16 == 0)
		return 0;
	uint64_t top = decade[r >> 8 & 3];
	return 1 + (r >> 16) % top;
}

static void put_series(uint64_t series, int64_t from, int64_t until, int64_t step)
{
	const size_t per_target = 3 * 4 * 5;
	uint64_t part = series % 32, target = series / 32 / per_target, j = 0;
	for (uint64_t sum = jobs[0].parts; part >= sum; sum += jobs[++j].parts)
		;
	uint64_t in = series / 32 % per_target, host = target * 32 + part;
	char labels[256];
	snprintf(
		labels, sizeof(labels),
		"http_requests_total{job=\"%s\",instance=\"10.%u.%u.%u:%s\",method=\"%s\","
		"handler=\"%s\",code=\"%s\",zone=\"z%u\"} ",
		jobs[j].name, (unsigned)j, (unsigned)(host >> 8 & 255),
		(unsigned)(host & 255), jobs[j].port, methods[in % 3],
		handlers[in / 3 % 5], codes[in / 15], (unsigned)(host % 3));
	uint64_t rate = rate_of(series), base = 1000000 + mix(series, 2) % 100000000;
	int64_t phase_ms = 1 + (int64_t)(mix(host, 3) % (uint64_t)(step * 1000 - 60));
	uint64_t restart =
		series % 50 ? UINT64_MAX : mix(series, 4) % (DAY / (uint64_t)step);
	if (phase_ms % 1000 == 0)
		phase_ms++;
	for (int64_t t = from; t < until; t += step) {
		uint64_t k = (uint64_t)(t % CYCLE / step),
			 day = (uint64_t)(t % DAY / step);
		uint64_t late = mix(host, k ^ 5) % 8 ? 0 : 1 + mix(host, k ^ 6) % 20;
		uint64_t noise = rate ? mix(series, k ^ 7) % rate : 0;
		uint64_t v = base + rate * k + noise;
		if (day >= restart)
			v = rate * (day - restart) + noise;
		int64_t ms = t * 1000 + phase_ms + (int64_t)late;
		printf("%s%" PRIu64 " %" PRId64 ".%03d\n", labels, v, ms / 1000,
		       (int)(ms % 1000));
	}
}

int main(int argc, char **argv)
{
	static char buf[1 << 20];
	if (argc != 5) {
		fprintf(stderr, "usage: series_text SERIES FROM_S UNTIL_S STEP_S\n");
		return 2;
	}
	uint64_t n = strtoull(argv[1], NULL, 10);
	int64_t from = atoll(argv[2]), until = atoll(argv[3]), step = atoll(argv[4]);
	if (!n || step <= 0 || from % step || until <= from)
		return 2;
	setvbuf(stdout, buf, _IOFBF, sizeof(buf));
	puts("# HELP http_requests Requests answered.\n# TYPE http_requests counter");
	for (uint64_t s = 0; s < n; s++)
		put_series(s, from, until, step);
	puts("# EOF");
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
