/*
 * cmd/thanosc/sidecar_checks.c - warnings of the sidecar about its surroundings.
 */
#include "sidecar_checks.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"

#define SKEW_MAX_MS 30000

static const struct metric_desc rows[] = {
	{ METRIC_GAUGE,
	  "thanosc_sidecar_prometheus_clock_skew_seconds",
	  "How far the clock of Prometheus is ahead of ours, by the Date of its answers.",
	  { 0 },
	  NULL,
	  0,
	  0,
	  NULL },
};

void sidecar_check_folder(const char *dir)
{
	const char *name = fs_network(dir);
	if (name)
		log_warn(
			NULL,
			"flag '--tsdb.path': %s lies on a network filesystem (%s), on which Prometheus is not safe: "
			"blocks may be damaged",
			dir, name);
}

void sidecar_clock_open(struct sidecar_clock *c, struct http_client *http, struct str url,
			struct metric_registry *m)
{
	while (url.n && url.p[url.n - 1] == '/')
		url.n--;
	*c = (struct sidecar_clock){ .http = http, .url = url };
	c->skew = metric_plain(metric_set_new(m, rows, ARRAY_LEN(rows)), 0);
}

/* "Thu, 26 Nov 2026 12:54:00 GMT" */
static bool parse_date(struct str s, int64_t *ms)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char text[40], iso[40], mon[4];
	unsigned day, year, hour, min, sec;
	uint32_t nsec;
	int64_t at;
	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (sscanf(text, "%*3s, %2u %3s %4u %2u:%2u:%2u GMT", &day, mon, &year, &hour,
		   &min, &sec) != 6)
		return false;
	const char *m = strlen(mon) == 3 ? strstr(months, mon) : NULL;
	if (!m || (m - months) % 3)
		return false;
	int n = snprintf(iso, sizeof(iso), "%04u-%02u-%02uT%02u:%02u:%02uZ", year,
			 (unsigned)(m - months) / 3 + 1, day, hour, min, sec);
	if (!time_parse_rfc3339(str_n(iso, (size_t)n), &at, &nsec))
		return false;
	*ms = at * 1000;
	return true;
}

void sidecar_clock_check(struct sidecar_clock *c, struct ctx *ctx)
{
	struct arena a;
	struct buf body;
	struct http_answer answer;
	struct err none = ERR_INIT;
	int64_t date;
	arena_init(&a, NULL);
	buf_init(&body, LIMIT_CONFIG_BYTES);
	const struct http_fetch_req r = {
		.method = "GET",
		.url = str_fmt(&a, "%.*s/api/v1/status/buildinfo", STR_FMT(c->url))
	};
	int64_t before = time_wall_ms();
	if (http_fetch(c->http, ctx, &a, &r, &answer, &body, &none) == 0 &&
	    parse_date(http_answer_header(&answer, "date"), &date)) {
		/* Date was true, to the second, at some time between our two looks. */
		int64_t after = time_wall_ms();
		int64_t skew = date > after	     ? date - after
			       : date + 999 < before ? date + 999 - before
						     : 0;
		bool off = skew > SKEW_MAX_MS || skew < -SKEW_MAX_MS;
		metric_set_value(c->skew, (double)skew / 1000);
		if (off && !c->is_off)
			log_warn(
				ctx,
				"the clock of Prometheus at %.*s differs from ours by %lld s: queries about now will miss "
				"samples or show them late",
				STR_FMT(c->url), (long long)(skew / 1000));
		else if (!off && c->is_off)
			log_info(ctx, "the clock of Prometheus agrees with ours again");
		c->is_off = off;
	}
	buf_deinit(&body);
	arena_deinit(&a);
}
