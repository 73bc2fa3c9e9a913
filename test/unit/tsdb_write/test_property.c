/*
 * Random blocks are read back as they were written: every label set, every chunk, by series and by postings.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "support/tst.h"
#include "unit/tsdb_write/gen.h"

#define ID "01M81YVBWEZNH3H08SPVGX7K64"

/* Every label pair finds exactly its series. */
static void check_postings(struct world *w, const struct gen_block *b, struct gen_rng *g)
{
	struct block *block;
	cr_assert_eq(block_open_dir(&w->ctx, world_path(w, "%s/" ID, w->dir), &block,
				    &w->e),
		     0);
	for (size_t k = 0; k < 200; k++) {
		const struct labels *l = &b->series[gen_below(g, (uint32_t)b->n)].labels;
		struct label pair = l->l[gen_below(g, l->n)];
		struct matcher m;
		struct postings p;
		size_t want = 0;
		cr_assert_eq(matcher_compile(&w->ctx, &w->a, MATCH_EQ, pair.name,
					     pair.value, &m, &w->e),
			     0);
		cr_assert_eq(idx_postings(block->index, &w->ctx, &w->a, &m, 1, &p, &w->e),
			     0, "%s", err_text(&w->e));
		for (size_t i = 0; i < b->n; i++)
			for (uint32_t j = 0; j < b->series[i].labels.n; j++)
				want += str_eq(b->series[i].labels.l[j].name,
					       pair.name) &&
					str_eq(b->series[i].labels.l[j].value,
					       pair.value);
		cr_assert_eq(p.n, want);
		for (size_t i = 1; i < p.n; i++)
			cr_assert_lt(p.ref[i - 1], p.ref[i]);
	}
	block_unref(block);
}

static void round_trip(const struct gen_opts *go, size_t memory, uint64_t segment)
{
	struct world w;
	struct gen_block b;
	struct block_writer_stats st;
	struct gen_rng g = { go->seed };
	world_begin(&w);
	gen_block(&w, go, &b);
	struct block_writer_opts o = { .dir = w.dir,
				       .ulid = world_ulid(ID),
				       .segment_bytes = segment,
				       .newer_encodings = go->newer };
	struct write_limits l = WRITE_LIMITS;
	l.memory = memory;
	cr_assert_eq(gen_write(&w, &b, &o, &l, &st), 0, "%s", err_text(&w.e));
	cr_assert_eq(st.series, b.n);
	cr_assert_eq(st.samples, b.samples);
	struct str index = world_read(&w, world_path(&w, "%s/" ID "/index", w.dir));
	cr_assert_eq(index.n, st.index_bytes);
	cr_assert_eq(st.index_crc, crc32c(0, index.p, index.n));
	gen_check(&w, &b, ID);
	check_postings(&w, &b, &g);
	world_end(&w);
}

Test(write_property, blocks_of_all_shapes_are_read_back_as_written)
{
	static const struct gen_opts shapes[] = {
		{ 1, 1, 1, 1, false, false },	  { 2, 1, 1, 1, false, true },
		{ 3, 1, 40, 200, true, false },	  { 4, 2, 3, 120, false, false },
		{ 5, 300, 3, 20, true, false },	  { 6, 300, 3, 20, false, true },
		{ 7, 2000, 1, 3, false, false },  { 8, 40, 20, 120, true, false },
		{ 9, 40, 20, 120, false, true },  { 10, 900, 2, 5, true, false },
		{ 11, 17, 1, 1000, true, false }, { 12, 60, 60, 10, false, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		round_trip(&shapes[i], 0, 0);
		round_trip(&shapes[i], 2000, 5000); /* many runs, many segments */
	}
}

Test(write_property, symbols_are_found_again_when_few_places_are_kept)
{
	struct world w;
	struct fs_out *f;
	struct sym_table t;
	struct gen_rng g = { 5 };
	static const uint32_t n = 300000;
	world_begin(&w);
	cr_assert_eq(fs_out_create(&w.ctx, world_path(&w, "%s/f", w.dir), 4096, &f, &w.e),
		     0);
	sym_init(&t, 3);
	cr_assert_eq(fs_out_write(f, &w.ctx, "abc", 3, &w.e), 0);
	for (uint32_t i = 0; i < n; i++) {
		char s[40];
		uint8_t len = (uint8_t)snprintf(s, sizeof(s), "symbol-%u-%.*s", i,
						(int)(i % 13), "xxxxxxxxxxxxx");
		cr_assert_eq(fs_out_write(f, &w.ctx, &len, 1, &w.e), 0);
		cr_assert_eq(fs_out_write(f, &w.ctx, s, len, &w.e), 0);
		sym_add(&t, 1u + len);
	}
	cr_assert_eq(t.step, 8);
	for (uint32_t k = 0, at = 0; k < 100000; k++) {
		char want[40];
		struct str got;
		/* mostly on from where we are, in small and larger steps; sometimes anywhere */
		at = gen_below(&g, 50) ? at + gen_below(&g, gen_below(&g, 9) ? 3 : 40)
				       : gen_below(&g, n);
		at %= n;
		cr_assert_eq(sym_get(&t, f, &w.ctx, at, &got, &w.e), 0);
		snprintf(want, sizeof(want), "symbol-%u-%.*s", at, (int)(at % 13),
			 "xxxxxxxxxxxxx");
		cr_assert(str_eqz(got, want), "%u: %.*s", at, STR_FMT(got));
	}
	sym_deinit(&t);
	fs_out_drop(f);
	world_end(&w);
}
