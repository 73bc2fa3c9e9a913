/*
 * Series over frame borders, and histograms of sampled remote reads whose counts are zero.
 */
#include <stdlib.h>

#include "prom_world.h"
#include "proto/store.h"
#include "store/frame_set.h"
#include "support/tst.h"
#include "wire/codec.h"

/* ---- frames ---- */

struct row { /* one frame: a series of two chunks */
	const char *name;
	int64_t mint[2];
};
struct rows {
	struct frame_source base;
	const struct row *row;
	size_t n, at;
};

static int rows_next(struct frame_source *s, struct ctx *ctx, struct frame *f,
		     struct err *e)
{
	struct rows *r = (struct rows *)s;
	if (r->at == r->n)
		return 0;
	const struct row *row = &r->row[r->at++];
	struct label *l = ARENA_NEW(&f->arena, struct label);
	*l = (struct label){ STR("a"), str_of(row->name) };
	f->series = ARENA_NEW(&f->arena, struct series_in);
	f->series->labels = (struct labels){ l, 1, 0 };
	f->series->chunks = ARENA_ARRAY(&f->arena, struct chunk_view, 2);
	f->series->n = f->n = 1;
	for (f->series->n = 0; f->series->n < 2; f->series->n++)
		f->series->chunks[f->series->n].mint_ms = row->mint[f->series->n];
	return 1;
}

static void rows_close(struct frame_source *s)
{
}

Test(frames, chunks_ascend_over_frame_borders)
{
	static const struct frame_source_ops ops = { rows_next, NULL, rows_close };
	static const struct row row[] = { { "1", { 50, 60 } },
					  { "1", { 10, 55 } },
					  { "1", { 60, 70 } },
					  { "2", { 5, 6 } } };
	static const int64_t want[] = { 10, 50, 55, 60, 60, 70 };
	struct rows rows = { { &ops }, row, ARRAY_LEN(row), 0 };
	const struct series_in *in;
	struct err e = ERR_INIT;
	struct ctx ctx;
	ctx_init(&ctx, NULL, 0);
	struct series_set *set = frame_set_new(&rows.base);
	cr_assert_eq(series_set_next(set, &ctx, &in, &e), 1);
	cr_assert_eq(in->n, ARRAY_LEN(want));
	for (size_t i = 0; i < in->n; i++)
		cr_assert_eq(in->chunks[i].mint_ms, want[i], "chunk %zu", i);
	cr_assert_eq(series_set_next(set, &ctx, &in, &e), 1);
	cr_assert_eq(in->n, 2);
	cr_assert_eq(in->chunks[0].mint_ms, 5);
	cr_assert_eq(series_set_next(set, &ctx, &in, &e), 0);
	series_set_close(set);
	ctx_deinit(&ctx);
}

/* ---- histograms of samples ---- */

/* The encoding of the only chunk of a series of one histogram that counts nothing. */
static unsigned enc_of(struct prom_world *w, unsigned count_case)
{
	struct pb_label label = { STR("job"), STR("x") };
	struct pb_histogram h = { .timestamp = 1000,
				  .count_case = (uint8_t)count_case,
				  .zero_count_case = (uint8_t)(count_case + 5) };
	struct pb_time_series ts = { .labels = { &label, 1 }, .histograms = { &h, 1 } };
	struct pb_query_result result = { { &ts, 1 } };
	struct pb_read_response resp = { { &result, 1 } };
	struct store_series_req req = { .mint_ms = INT64_MIN,
					.maxt_ms = INT64_MAX,
					.matchers = prom_matchers(w, "job", "x"),
					.n_matchers = 1 };
	struct series_set *set;
	const struct series_in *in;
	struct buf raw, body;
	buf_init(&raw, 1 << 16);
	buf_init(&body, 1 << 16);
	pf_encode(&msg_read_response, &resp, &raw);
	cr_assert_eq(snappy_block_encode(buf_view(&raw), &body, &w->e), 0);
	w->body = buf_view(&body);
	struct store *s = prom_store_store(w->prom);
	cr_assert_eq(store_series(s, &w->ctx, &req, &set, &w->e), 0, "%s",
		     err_text(&w->e));
	cr_assert_eq(series_set_next(set, &w->ctx, &in, &w->e), 1, "%s", err_text(&w->e));
	cr_assert_eq(in->n, 1);
	unsigned enc = in->chunks[0].part[AGGR_RAW].enc;
	series_set_close(set);
	buf_deinit(&raw);
	buf_deinit(&body);
	return enc;
}

Test(frames, a_float_histogram_that_counts_nothing_stays_one)
{
	struct prom_world w = { .type = "application/x-protobuf" };
	prom_world_open(&w, 0);
	cr_assert_eq(enc_of(&w, 2), CHUNK_FLOATHIST);
	cr_assert_eq(enc_of(&w, 1), CHUNK_HIST);
	prom_world_close(&w);
}
