#include "golden.h"

#include <stdio.h>

#include "support/tst.h"

static const char *const aggr_names[AGGR_N] = { "raw", "count", "sum",
						"min", "max",	"counter" };

/* The part of a chunk that a row speaks of; n = 0: absent. */
static struct chunk_part part_of(struct chunk_part c, struct str aggregate)
{
	struct chunk_view v = { 0 };
	struct err e = ERR_INIT;
	if (c.enc != CHUNK_AGGR)
		return str_eqz(aggregate, "raw") ? c : (struct chunk_part){ 0 };
	cr_assert_eq(chunk_aggr_split(c.p, c.n, &v, &e), 0, "%s", err_text(&e));
	for (int i = 1; i < AGGR_N; i++)
		if (str_eqz(aggregate, aggr_names[i]))
			return v.part[i];
	return (struct chunk_part){ 0 };
}

static void check_block(const struct golden_block *b)
{
	struct arena a;
	arena_init(&a, NULL);
	char path[200];
	snprintf(path, sizeof path, "%s/chunks/000001", b->dir);
	struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
	size_t n_rows, at = 0, next = 0;
	struct golden_row *rows = golden_rows(&a, golden_read(&a, b->tsv), &n_rows);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	for (size_t i = 0; i < n_rows; i++) {
		struct golden_sum s = { 0 };
		struct err e = ERR_INIT;
		if (str_eqz(rows[i].aggregate, "counter-read"))
			continue;
		if (i == 0 || !str_eq(rows[i].labels, rows[i - 1].labels))
			at = next;
		next = MAX(next, at + rows[i].chunks);
		for (size_t j = 0; j < rows[i].chunks; j++) {
			struct chunk_part c = part_of(g.v[at + j], rows[i].aggregate);
			cr_assert(golden_add_chunk(&s, d, c, &e), "%s: %s", b->dir,
				  err_text(&e));
		}
		cr_expect(s.crc == rows[i].crc && s.floats == rows[i].floats &&
				  s.hists == rows[i].hists &&
				  s.mint_ms == rows[i].mint_ms &&
				  s.maxt_ms == rows[i].maxt_ms,
			  "%s: %.*s %.*s", b->dir, STR_FMT(rows[i].labels),
			  STR_FMT(rows[i].aggregate));
	}
	cr_expect_eq(next, g.n, "%s: all chunks used", b->dir);
	arena_deinit(&a);
}

Test(golden, every_chunk_of_the_golden_blocks_decodes_to_the_recorded_samples)
{
	for (size_t i = 0; i < golden_n_blocks; i++)
		check_block(&golden_blocks[i]);
}

Test(golden, chunks_of_newer_encodings_decode_to_the_recorded_samples)
{
	for (size_t i = 0; i < golden_n_newer; i++)
		check_block(&golden_newer[i]);
}

Test(golden, unknown_encodings_are_refused)
{
	struct arena a;
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	static const uint8_t encs[] = { 0, 7, 0x81, 0xff };
	for (size_t i = 0; i < ARRAY_LEN(encs); i++) {
		struct err e = ERR_INIT;
		uint8_t data[4] = { 0, 1, 2, 3 };
		struct chunk_part c = { data, 4, encs[i] };
		cr_assert_eq(chunk_decoder_reset(d, c, &e), -1);
		cr_expect_eq(e.code, E_CORRUPT);
		cr_expect(strstr(err_text(&e), "is unknown"), "%s", err_text(&e));
	}
	arena_deinit(&a);
}
