/*
 * What Prometheus said of 914 expressions, good and wrong: the formatted text, the tree as JSON, the
 * error. Lines are described in test/golden/parse/README.md.
 */
#include "base/ctx.h"
#include "recorded.h"
#include "show.h"
#include "support/tst.h"

static void same(struct str query, const char *what, struct buf *got, struct str want)
{
	cr_expect(str_eq(buf_view(got), want), "%.*s: %s is\n%.*s\nwant\n%.*s",
		  STR_FMT(query), what, STR_FMT(buf_view(got)), STR_FMT(want));
	buf_reset(got);
}

/* true: it was an error. */
static bool check_line(struct str text)
{
	struct parsing t, own;
	struct doc *line;
	struct err e = ERR_INIT;
	struct buf b;
	parsing_init(&own, STR("1")); /* for its arena */
	buf_init(&b, 1 << 20);
	cr_assert_eq(json_parse(&own.ctx, &own.a, text, &line, &e), 0, "%s",
		     err_text(&e));
	struct str query = text_of(line, "query"), error = text_of(line, "error");
	parsing_init_with(&t, query, (unsigned)doc_get(line, "features")->i);
	if (t.rc < 0) {
		buf_str(&b, str_of(err_text(&t.e)));
		same(query, "the error", &b, error);
	} else {
		cr_expect(!error.n, "%.*s: no error, want %.*s", STR_FMT(query),
			  STR_FMT(error));
		promql_format(t.x, &b);
		same(query, "the text", &b, text_of(line, "format"));
		promql_ast_json(t.x, &b);
		same(query, "the tree", &b, text_of(line, "ast"));
	}
	buf_deinit(&b);
	parsing_deinit(&t);
	parsing_deinit(&own);
	return error.n > 0;
}

Test(promql_parse, texts_trees_and_errors_are_those_recorded)
{
	struct buf text;
	read_gz("test/golden/parse/prometheus.jsonl.gz", &text);
	struct str rest = buf_view(&text), line;
	int good = 0, bad = 0;
	bool more = true;
	while (more) {
		more = str_cut(&rest, '\n', &line);
		if (line.n)
			*(check_line(line) ? &bad : &good) += 1;
	}
	cr_expect(good == 303 && bad == 611, "%d %d", good, bad);
	buf_deinit(&text);
}
