/*
 * test/tools/answer.c - PromQL over block folders, without servers: answer [--delayed-names] DIR... reads one request a line,
 *
 *     start_ms <TAB> end_ms <TAB> step_ms <TAB> query (with \n and \t escaped)      step 0: instant
 *
 * and prints one body a line, as the HTTP API would answer it. test/golden/test_answers.py drives it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "dedup/dedup.h"
#include "tsdb/block/block.h"

struct blocks_store {
	struct store store;
	struct block *block[64];
	size_t n;
	struct arena *a; /* of the query: requests live as long as their sets */
};

static int series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		  struct series_set **out, struct err *e)
{
	struct blocks_store *b = (struct blocks_store *)s;
	struct series_set *legs[64];
	struct block_series_req *reqs =
		ARENA_ARRAY(b->a, struct block_series_req, b->n + 1);
	for (size_t i = 0; i < b->n; i++) {
		reqs[i] = (struct block_series_req){ .mint_ms = req->mint_ms,
						     .maxt_ms = req->maxt_ms,
						     .matchers = req->matchers,
						     .n_matchers = req->n_matchers };
		if (block_series(b->block[i], ctx, &reqs[i], &legs[i], e) < 0) {
			while (i)
				series_set_close(legs[--i]);
			return -1;
		}
	}
	return merge_open(ctx, legs, b->n, NULL, out, e);
}

static const struct store_ops ops = { NULL, series, NULL, NULL };

static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s == '\\' && (s[1] == 'n' || s[1] == 't' || s[1] == '\\')) {
			s++;
			*to++ = *s == 'n' ? '\n' : *s == 't' ? '\t' : '\\';
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static int eval(struct ctx *ctx, struct arena *a, struct store *store,
		struct promql_query *q, struct buf *out, struct err *e)
{
	struct expr *x;
	struct promql_result r;
	struct notes_view notes;
	if (promql_parse(ctx, a, q->text, PROMQL_ALL, &x, e) < 0 ||
	    promql_resolve(x, q->text, q->start_ms, q->end_ms, q->step_ms, e) < 0) {
		e->code = E_PARSE; /* a bad parameter, either way */
		return err_wrap(ctx, e, "invalid parameter \"query\"");
	}
	if (q->step_ms && x->type != TYPE_SCALAR && x->type != TYPE_VECTOR)
		return err_set(
			ctx, e, E_PARSE,
			"invalid parameter \"query\": invalid expression type \"%s\" for "
			"range query, must be Scalar or instant Vector",
			value_type_text(x->type));
	q->expr = x;
	q->store = store;
	if (promql_exec(ctx, a, q, &r, e) < 0)
		return -1;
	buf_str(out, STR("{\"status\":\"success\",\"data\":"));
	api_render_result(&r, out);
	notes_view(ctx->notes, a, &notes);
	api_render_notes(&notes, out);
	buf_byte(out, '}');
	return 0;
}

static void answer(struct blocks_store *store, struct task_pool *pool, bool delayed,
		   char *line)
{
	struct promql_query q = { .pool = pool, .delayed_names = delayed };
	struct ctx ctx;
	struct arena a;
	struct buf b;
	struct err e = ERR_INIT;
	char *at = line;
	q.start_ms = strtoll(at, &at, 10);
	q.end_ms = strtoll(at, &at, 10);
	q.step_ms = strtoll(at, &at, 10);
	at += *at == '\t';
	unescape(at);
	q.text = str_of(at);
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	store->a = &a;
	buf_init(&b, (size_t)1 << 30);
	if (eval(&ctx, &a, &store->store, &q, &b, &e) < 0) {
		buf_reset(&b);
		api_render_error(e.code == E_PARSE	   ? "bad_data"
				 : e.code == E_UNSUPPORTED ? "unsupported"
							   : "execution",
				 err_text(&e), &(struct notes_view){ 0 }, &b);
	}
	printf("%.*s\n", STR_FMT(buf_view(&b)));
	fflush(stdout);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}

int main(int argc, char **argv)
{
	struct blocks_store s = { .store = { &ops } };
	struct err e = ERR_INIT;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	bool delayed = argc > 1 && strcmp(argv[1], "--delayed-names") == 0;
	for (int i = 1 + delayed; i < argc && s.n < ARRAY_LEN(s.block); i++)
		if (block_open_dir(NULL, argv[i], &s.block[s.n++], &e) < 0) {
			fprintf(stderr, "%s\n", err_text(&e));
			return 1;
		}
	struct task_pool_opts o = { 0 };
	struct task_pool *pool = task_pool_new(&o);
	while ((n = getline(&line, &cap, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		answer(&s, pool, delayed, line);
	}
	free(line);
	task_pool_free(pool);
	for (size_t i = 0; i < s.n; i++)
		block_unref(s.block[i]);
	return 0;
}
