/*
 * Every query of the recorded answers: what Prometheus answered parses, what it
 * refused is refused with the same words.
 */
#include "base/ctx.h"
#include "recorded.h"
#include "show.h"
#include "support/tst.h"
#include "wire/json.h"

/* What the parser said inside a recorded error body; empty: the query was good. */
static struct str recorded_error(struct ctx *ctx, struct arena *a, const struct doc *line)
{
	struct str prefix = STR("invalid parameter \"query\": ");
	struct doc *body;
	struct err e = ERR_INIT;
	const struct doc *status = doc_get(line, "status");
	if (!status || status->i == 200 ||
	    json_parse(ctx, a, text_of(line, "body"), &body, &e) < 0)
		return STR_NULL;
	struct str text = text_of(body, "error");
	if (!str_has_prefix(text, prefix) || str_find(text, STR("parse error")) < 0)
		return STR_NULL;
	return str_from(text, prefix.n);
}

struct counts {
	int good, bad;
};

static void check_line(struct str text, bool exact, struct counts *n)
{
	struct parsing t;
	struct doc *line;
	struct err e = ERR_INIT;
	parsing_init(&t, STR("1"));
	cr_assert_eq(json_parse(&t.ctx, &t.a, text, &line, &e), 0, "%s", err_text(&e));
	struct str query = text_of(doc_get(line, "params"), "query");
	const struct doc *status = doc_get(line, "status");
	if (query.p && (exact || status->i == 200)) {
		struct str want = recorded_error(&t.ctx, &t.a, line);
		struct expr *x;
		int rc = promql_parse(&t.ctx, &t.a, query, PROMQL_ALL, &x, &e);
		struct str got = rc < 0 ? str_of(err_text(&e)) : STR_NULL;
		cr_expect(str_eq(got, want), "%.*s: got %.*s, want %.*s", STR_FMT(query),
			  STR_FMT(got), STR_FMT(want));
		*(rc < 0 ? &n->bad : &n->good) += 1;
	}
	parsing_deinit(&t);
}

static struct counts check_lines(struct str text, bool exact)
{
	struct counts n = { 0 };
	struct str line;
	bool more = true;
	while (more) {
		more = str_cut(&text, '\n', &line);
		if (line.n)
			check_line(line, exact, &n);
	}
	return n;
}

Test(promql_parse, queries_recorded_from_prometheus_parse_or_fail_as_there)
{
	struct buf text;
	read_gz("test/golden/answers/prometheus.jsonl.gz", &text);
	struct counts n = check_lines(buf_view(&text), true);
	cr_expect(n.good > 300 && n.bad == 17, "%d %d", n.good, n.bad);
	buf_deinit(&text);
}

Test(promql_parse, queries_recorded_from_thanos_parse)
{
	struct buf text;
	buf_init(&text, 256 << 20);
	read_file("test/golden/answers/thanos.jsonl", &text);
	struct counts n = check_lines(buf_view(&text), false);
	cr_expect(n.good > 20 && n.bad == 0, "%d %d", n.good, n.bad);
	buf_deinit(&text);
}
