/*
 * Series of histograms evaluated in pieces of the grid: everything is as if they had been evaluated as a whole, but for the memory.
 */
#include <stdlib.h>

#include "promql/exec/select_pieces.h"
#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

#define STEPS	   700
#define SAMPLES	   2000
#define BUCKETS	   24
#define CHUNKS_MAX 256

static uint64_t seed;

static uint64_t rnd(uint64_t n) /* 0..n-1 */
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

struct fix {
	struct ctx ctx;
	struct budget budget;
	struct arena arena; /* chunks and rows */
	struct promql_query q;
	struct exec x;
	struct expr sel, call;
	struct select_spec spec;
	struct range_call window;
	struct chunk_view chunk[CHUNKS_MAX];
	size_t n;
	struct err e;
};

static void put_chunk(struct fix *f, struct chunk_encoder *w, int64_t mint, int64_t maxt)
{
	struct chunk_part p = chunk_encoder_part(w);
	uint8_t *data = arena_alloc(&f->arena, p.n);
	memcpy(data, p.p, p.n);
	p.p = data;
	cr_assert_lt(f->n, CHUNKS_MAX);
	f->chunk[f->n++] =
		(struct chunk_view){ .mint_ms = mint, .maxt_ms = maxt, .part = { p } };
}

/* A counter that grows, begins anew, is stale and is not scraped now and then; its buckets change as well. */
static void make_chunks(struct fix *f, bool steady)
{
	struct chunk_encoder *w = chunk_encoder_new();
	double v[BUCKETS] = { 0 };
	uint32_t n = steady ? BUCKETS : 6;
	int64_t t = 0, first = 0, last = 0;
	chunk_encoder_begin(w, CHUNK_HIST);
	for (int k = 0; k < SAMPLES; k++) {
		bool odd = !steady && rnd(40) == 0;
		last = t;
		t += 15000 + (int64_t)rnd(100) + (odd ? (int64_t)rnd(900000) : 0);
		if (!steady && rnd(60) == 0)
			memset(v, 0, sizeof(v));
		if (!steady && rnd(200) == 0)
			n = 4 + (uint32_t)rnd(3);
		struct hist_span span = { -3, n };
		struct hist h = { .is_int = true,
				  .sum = k,
				  .pos_spans = &span,
				  .n_pos_spans = 1,
				  .pos = v,
				  .n_pos = n };
		for (uint32_t i = 0; i < n; i++)
			h.count += v[i] += (double)rnd(5);
		if (!steady && rnd(50) == 0)
			h = (struct hist){ .is_int = true,
					   .sum = f64_of_bits(STALE_NAN_BITS) };
		int rc = chunk_encoder_count(w) >= CHUNK_SAMPLES
				 ? 1
				 : chunk_encoder_hist(w, t, &h, &f->e);
		if (rc > 0) {
			put_chunk(f, w, first, last);
			chunk_encoder_begin(w, CHUNK_HIST);
			rc = chunk_encoder_hist(w, t, &h, &f->e);
		}
		cr_assert_eq(rc, 0, "%s", err_text(&f->e));
		if (chunk_encoder_count(w) == 1)
			first = t;
	}
	put_chunk(f, w, first, t);
	chunk_encoder_free(w);
}

static void setup(struct fix *f, bool steady, enum fn_id fn, int64_t range_ms)
{
	static const char text[] = "f(x[5m])";
	*f = (struct fix){ .e = ERR_INIT };
	budget_init(&f->budget, NULL, "test", "--test", 0);
	ctx_init(&f->ctx, NULL, 0);
	arena_init(&f->arena, NULL);
	f->q.text = STR(text);
	f->x = (struct exec){ .ctx = &f->ctx, .q = &f->q, .arena = &f->arena };
	f->sel.kind = EXPR_MATRIX;
	f->call.kind = EXPR_CALL;
	f->call.call.fn = fn;
	f->window = (struct range_call){ .grid = { 600000, 40000, STEPS },
					 .call = &f->call,
					 .at = &f->sel,
					 .range_ms = range_ms,
					 .ctx = &f->ctx };
	make_chunks(f, steady);
	f->ctx.budget = &f->budget;
	f->spec.mint_ms = 600000 - range_ms + 1;
	f->spec.maxt_ms = grid_at(f->window.grid, STEPS - 1);
}

static void teardown(struct fix *f)
{
	arena_deinit(&f->arena);
	cr_assert_eq(budget_used(&f->budget), 0);
	ctx_deinit(&f->ctx);
	budget_deinit(&f->budget);
}

struct answer {
	struct row row;
	struct sample_tally tally;
	uint64_t by_step[STEPS], read_by_step[STEPS];
	size_t notes, most; /* memory beside the row's */
};

static int eval(const void *arg, const struct range_call *c, const struct series_cols *s,
		struct range_env *env, struct row *out)
{
	return ((const struct range_fn *)arg)->eval(c, s, env, out);
}

static int whole(struct fix *f, struct range_env *env, struct arena *scratch,
		 struct range_call *c, struct answer *out)
{
	struct sample_cols cols = { 0 };
	if (select_decode(&f->x, &f->spec, NULL, (struct labels){ 0 }, f->chunk, f->n,
			  scratch, &cols, &f->e) < 0)
		return -1;
	select_drop_stale(&cols);
	struct series_cols s = {
		.t_ms = cols.t_ms, .v = cols.v, .h = cols.h, .n = cols.n
	};
	if (row_new(&f->x, &f->arena, STEPS, true, &out->row, &f->e) < 0 ||
	    tally_series(&f->x, scratch, &s, c, &f->e) < 0)
		return -1;
	int rc = eval(range_fn_of(f->call.call.fn), c, &s, env, &out->row);
	EACH_BIT(i, out->row.bits, STEPS)
	if (!env->lasting && out->row.h[i])
		out->row.h[i] = hist_dup(&f->arena, out->row.h[i]);
	return rc;
}

/* `steps` of a piece, 0: none; limit: of the memory beside the row. */
static int run(struct fix *f, uint32_t steps, size_t limit, struct answer *out)
{
	*out = (struct answer){ 0 };
	out->tally.by_step = out->by_step;
	out->tally.read_by_step = out->read_by_step;
	struct range_call c = f->window;
	c.tally = &out->tally;
	struct arena scratch;
	budget_deinit(&f->budget);
	budget_init(&f->budget, NULL, "test", "--test", limit);
	arena_init(&scratch, &f->budget);
	annos_init(&f->x.annos);
	struct range_env env = { .x = &f->x,
				 .arena = &f->arena,
				 .metric = STR("x"),
				 .e = &f->e,
				 .scratch = &scratch };
	struct select_pieces p = { .x = &f->x,
				   .spec = &f->spec,
				   .chunks = f->chunk,
				   .n = f->n,
				   .call = &c,
				   .env = &env,
				   .eval = eval,
				   .arg = range_fn_of(f->call.call.fn),
				   .past_stale = true };
	int rc = steps ? select_pieces(&p, steps, &scratch, &out->row, &f->e)
		       : whole(f, &env, &scratch, &c, out);
	arena_deinit(&scratch);
	out->notes = f->x.annos.n;
	annos_deinit(&f->x.annos);
	return rc;
}

static void same(const struct answer *a, const struct answer *b)
{
	for (uint32_t i = 0; i < STEPS; i++) {
		cr_assert_eq(bit_get(a->row.bits, i), bit_get(b->row.bits, i), "step %u",
			     i);
		cr_assert_eq(a->by_step[i], b->by_step[i], "step %u", i);
		cr_assert_eq(a->read_by_step[i], b->read_by_step[i], "step %u", i);
		if (!bit_get(a->row.bits, i))
			continue;
		cr_assert_eq(!a->row.h[i], !b->row.h[i]);
		if (a->row.h[i])
			cr_assert(hist_eq(a->row.h[i], b->row.h[i]), "step %u", i);
		else
			cr_assert_eq(a->row.v[i], b->row.v[i], "step %u", i);
	}
	cr_assert_eq(a->tally.n, b->tally.n);
	cr_assert_eq(a->tally.read, b->tally.read);
	cr_assert_eq(a->tally.most, b->tally.most);
	cr_assert_eq(a->tally.last, b->tally.last);
	cr_assert_eq(a->tally.last_step, b->tally.last_step);
	cr_assert_eq(a->notes, b->notes);
}

Test(pieces, are_the_whole)
{
	static const enum fn_id fns[] = { FN_ID_rate,		FN_ID_increase,
					  FN_ID_delta,		FN_ID_irate,
					  FN_ID_idelta,		FN_ID_count_over_time,
					  FN_ID_last_over_time, FN_ID_rate };
	static const int64_t ranges[] = { 20000, 61000, 300000, 1200000 };
	struct answer *a = xcalloc(2, sizeof(*a));
	for (int k = 0; k < 64; k++) {
		struct fix f;
		seed = (uint64_t)k;
		setup(&f, k % 16 == 15, fns[k % 8], ranges[k / 8 % 4]);
		cr_assert_eq(run(&f, 0, 0, &a[0]), 0);
		cr_assert_eq(run(&f, 64 + 64 * (uint32_t)rnd(3), 0, &a[1]), 0, "%s",
			     err_text(&f.e));
		same(&a[0], &a[1]);
		teardown(&f);
	}
	free(a);
}

/* 2000 histograms of 24 buckets are 600 KiB as columns. */
Test(pieces, hold_a_part_of_the_series)
{
	struct fix f;
	struct answer *a = xcalloc(2, sizeof(*a));
	setup(&f, true, FN_ID_rate, 300000);
	uint32_t steps =
		select_piece_steps(&f.window, range_fn_of(FN_ID_rate), f.chunk, f.n);
	cr_assert(steps && steps % 64 == 0, "%u", steps);
	cr_assert_eq(run(&f, 0, 512 << 10, &a[0]), -1);
	cr_assert_eq(run(&f, 0, 0, &a[0]), 0);
	cr_assert_eq(run(&f, steps, 512 << 10, &a[1]), 0, "%s", err_text(&f.e));
	same(&a[0], &a[1]);
	teardown(&f);
	free(a);
}

Test(pieces, only_where_chunks_come_one_after_the_other)
{
	struct fix f;
	const struct range_fn *rate = range_fn_of(FN_ID_rate);
	setup(&f, true, FN_ID_rate, 300000);
	f.chunk[3].maxt_ms = f.chunk[4].mint_ms;
	cr_assert_eq(select_piece_steps(&f.window, rate, f.chunk, f.n), 0);
	cr_assert_neq(select_piece_steps(&f.window, rate, f.chunk + 4, f.n - 4), 0);
	f.window.range_ms = 7200000; /* a piece would hold little more than windows */
	cr_assert_eq(select_piece_steps(&f.window, rate, f.chunk + 4, f.n - 4), 0);
	cr_assert_eq(select_piece_steps(&f.window, range_fn_of(FN_ID_sum_over_time),
					f.chunk + 4, f.n - 4),
		     0);
	teardown(&f);
}
