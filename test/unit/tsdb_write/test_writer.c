/*
 * What the writer refuses and what it then says; limits of the formats; what is left on the disk.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/tst.h"
#include "unit/tsdb_write/gen.h"
#include "wire/rd.h"

#define ID "01M81YVBWEZNH3H08SPVGX7K64"

struct fix {
	struct world w;
	struct block_writer *bw;
	struct chunk_encoder *enc;
	struct chunk_view chunk; /* one float */
};

static void begin(struct fix *f, bool newer)
{
	world_begin(&f->w);
	struct block_writer_opts o = { .dir = f->w.dir,
				       .ulid = world_ulid(ID),
				       .newer_encodings = newer };
	cr_assert_eq(block_writer_open(&f->w.ctx, &o, &f->bw, &f->w.e), 0, "%s",
		     err_text(&f->w.e));
	f->enc = chunk_encoder_new();
	chunk_encoder_begin(f->enc, CHUNK_XOR);
	cr_assert_eq(chunk_encoder_float(f->enc, 1000, 1, &f->w.e), 0);
	f->chunk = (struct chunk_view){ .mint_ms = 1000, .maxt_ms = 1000 };
	f->chunk.part[AGGR_RAW] = chunk_encoder_part(f->enc);
}

static void symbols(struct fix *f)
{
	static const char *const all[] = { "", "a", "b", "c", "d" };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		cr_assert_eq(block_writer_symbol(f->bw, &f->w.ctx, str_of(all[i]),
						 &f->w.e),
			     0, "%s", err_text(&f->w.e));
}

static int series(struct fix *f, const uint32_t *label, size_t n_labels,
		  const struct chunk_view *c, size_t n)
{
	return block_writer_series(f->bw, &f->w.ctx, label, n_labels, c, n, &f->w.e);
}

/* The writer is of no use any more, and nothing of it stays. */
static void refused(struct fix *f, enum err_code code, const char *why)
{
	struct block_meta m = { 0 };
	cr_expect_eq(f->w.e.code, code, "%s", err_text(&f->w.e));
	cr_expect(strstr(err_text(&f->w.e), why), "%s: %s", why, err_text(&f->w.e));
	cr_expect(strstr(err_text(&f->w.e), "write block " ID ": "));
	cr_expect_eq(block_writer_finish(f->bw, &f->w.ctx, &m, false, NULL, &f->w.e), -1);
	cr_expect_eq(f->w.e.code, E_ABORTED);
	cr_expect_eq(world_names(&f->w).n, 0);
	chunk_encoder_free(f->enc);
	world_end(&f->w);
}

Test(writer, refuses_symbols_that_do_not_ascend)
{
	static const char *const bad[] = { "d", "c", "" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fix f;
		begin(&f, false);
		symbols(&f);
		cr_assert_eq(block_writer_symbol(f.bw, &f.w.ctx, str_of(bad[i]), &f.w.e),
			     -1);
		refused(&f, E_INVALID, "is not behind \"d\"");
	}
}

Test(writer, refuses_symbols_after_series)
{
	struct fix f;
	static const uint32_t ab[] = { 1, 2 };
	begin(&f, false);
	symbols(&f);
	cr_assert_eq(series(&f, ab, 1, &f.chunk, 1), 0);
	cr_assert_eq(block_writer_symbol(f.bw, &f.w.ctx, STR("e"), &f.w.e), -1);
	refused(&f, E_INVALID, "symbol after the first series");
}

Test(writer, refuses_label_sets_out_of_order)
{
	static const struct {
		uint32_t label[2][4];
		uint8_t n[2];
		const char *why;
	} rows[] = {
		{ { { 1, 3 }, { 1, 2 } },
		  { 1, 1 },
		  "series 1 {a=\"b\"}: not behind {a=\"c\"}" },
		{ { { 1, 3 }, { 1, 3 } },
		  { 1, 1 },
		  "series 1 {a=\"c\"}: not behind {a=\"c\"}" },
		{ { { 1, 3, 2, 4 }, { 1, 3 } },
		  { 2, 1 },
		  "not behind {a=\"c\", b=\"d\"}" },
		{ { { 2, 3 }, { 1, 4 } },
		  { 1, 1 },
		  "series 1 {a=\"d\"}: not behind {b=\"c\"}" },
		{ { { 1, 3 }, { 2, 3, 1, 3 } },
		  { 1, 2 },
		  "{b=\"c\", a=\"c\"}: label names are" },
		{ { { 1, 3 }, { 2, 3, 2, 4 } },
		  { 1, 2 },
		  "label names are not ascending" },
		{ { { 1, 3 }, { 2, 5 } }, { 1, 1 }, "{b=#5}: a label is no symbol" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fix f;
		begin(&f, false);
		symbols(&f);
		cr_assert_eq(series(&f, rows[i].label[0], rows[i].n[0], &f.chunk, 1), 0);
		cr_assert_eq(series(&f, rows[i].label[1], rows[i].n[1], &f.chunk, 1), -1);
		refused(&f, E_INVALID, rows[i].why);
	}
}

enum bad_chunk { NONE, BACKWARDS, OVERLAP, TOUCH, NO_DATA, EMPTY, UNKNOWN, NEWER, PART };

static int write_bad(struct fix *f, enum bad_chunk what)
{
	static const uint32_t ab[] = { 1, 2 };
	static const uint8_t zero[4];
	struct chunk_view c[2] = { f->chunk, f->chunk };
	struct chunk_part *raw = &c[1].part[AGGR_RAW];
	c[1].mint_ms = 2000;
	c[1].maxt_ms = 3000;
	switch (what) {
	case NONE: return series(f, ab, 1, c, 0);
	case BACKWARDS: c[1].maxt_ms = 1999; break;
	case OVERLAP: c[1].mint_ms = 900; break;
	case TOUCH: c[1].mint_ms = 1000; break;
	case NO_DATA: raw->p = NULL; break;
	case EMPTY: *raw = (struct chunk_part){ zero, 4, CHUNK_XOR }; break;
	case UNKNOWN: raw->enc = 7; break;
	case NEWER: raw->enc = CHUNK_XOR2; break;
	case PART:
		c[1].part[AGGR_SUM] = *raw;
		c[1].part[AGGR_SUM].enc = CHUNK_FLOATHIST_ST;
		raw->p = NULL;
		break;
	}
	return series(f, ab, 1, c, 2);
}

Test(writer, refuses_chunks_that_no_reader_would_take)
{
	static const struct {
		enum bad_chunk what;
		const char *why;
	} rows[] = {
		{ NONE, "series 0 has no chunks" },
		{ BACKWARDS, "chunk [2000, 1999]: ends before it begins" },
		{ OVERLAP, "chunk [900, 3000]: not behind the one before" },
		{ TOUCH, "chunk [1000, 3000]: not behind the one before" },
		{ NO_DATA, "has no data" },
		{ EMPTY, "holds no samples" },
		{ UNKNOWN, "unknown encoding" },
		{ NEWER, "encoding XOR2 may not be written here" },
		{ PART, "may not be written here" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fix f;
		begin(&f, false);
		symbols(&f);
		cr_assert_eq(write_bad(&f, rows[i].what), -1);
		refused(&f, E_INVALID, rows[i].why);
	}
}

Test(writer, refuses_a_block_of_nothing)
{
	struct fix f;
	struct block_meta m = { 0 };
	begin(&f, false);
	symbols(&f);
	cr_assert_eq(block_writer_finish(f.bw, &f.w.ctx, &m, false, NULL, &f.w.e), -1);
	cr_assert_eq(f.w.e.code, E_INVALID);
	cr_assert_eq(world_names(&f.w).n, 0);
	chunk_encoder_free(f.enc);
	world_end(&f.w);
}

Test(writer, a_block_of_that_name_is_left_alone)
{
	struct fix f;
	static const uint32_t ab[] = { 1, 2 };
	struct block_meta m = { .maxt_ms = 2000 };
	struct block_writer *second;
	begin(&f, false);
	symbols(&f);
	cr_assert_eq(series(&f, ab, 1, &f.chunk, 1), 0);
	cr_assert_eq(block_writer_finish(f.bw, &f.w.ctx, &m, false, NULL, &f.w.e), 0);
	struct block_writer_opts o = { .dir = f.w.dir, .ulid = world_ulid(ID) };
	cr_assert_eq(block_writer_open(&f.w.ctx, &o, &second, &f.w.e), -1);
	cr_assert_eq(f.w.e.code, E_EXISTS);
	struct fs_names l = world_names(&f.w);
	cr_assert_eq(l.n, 1);
	cr_assert(str_eqz(l.name[0], ID));
	chunk_encoder_free(f.enc);
	world_end(&f.w);
}

Test(writer, meta_says_what_was_written_and_what_it_was_given)
{
	struct world w;
	struct gen_block b;
	struct gen_opts go = { 9, 30, 5, 50, false, false };
	struct block_writer_opts o = { .ulid = world_ulid(ID) };
	struct block_writer_stats st;
	world_begin(&w);
	o.dir = world_path(&w, "%s/not/yet/there", w.dir);
	gen_block(&w, &go, &b);
	cr_assert_eq(gen_write(&w, &b, &o, NULL, &st), 0, "%s", err_text(&w.e));
	struct fs_stat index, chunks;
	cr_assert_eq(fs_stat(&w.ctx, world_path(&w, "%s/" ID "/index", o.dir), &index,
			     &w.e),
		     0);
	cr_assert_eq(fs_stat(&w.ctx, world_path(&w, "%s/" ID "/chunks/000001", o.dir),
			     &chunks, &w.e),
		     0);
	cr_assert_eq(st.index_bytes, index.size);
	cr_assert_eq(st.chunk_bytes, chunks.size);
	int64_t mint = INT64_MAX, maxt = INT64_MIN;
	for (size_t i = 0; i < b.n; i++) {
		mint = MIN(mint, b.series[i].chunks[0].mint_ms);
		maxt = MAX(maxt, b.series[i].chunks[b.series[i].n - 1].maxt_ms);
	}
	cr_assert_eq(st.mint_ms, mint);
	cr_assert_eq(st.maxt_ms, maxt);
	cr_assert_eq(st.float_samples + st.histogram_samples, st.samples);
	world_end(&w);
}

/* ---- limits ---- */

static int write_limited(struct world *w, const struct gen_block *b, uint64_t section,
			 uint64_t index)
{
	struct block_writer_opts o = { .dir = w->dir, .ulid = world_ulid(ID) };
	struct write_limits l = WRITE_LIMITS;
	l.section = section;
	l.index = index;
	w->e = ERR_INIT;
	int rc = gen_write(w, b, &o, &l, NULL);
	if (rc == 0)
		cr_assert_eq(fs_remove_all(&w->ctx, world_path(w, "%s/" ID, w->dir),
					   &w->e),
			     0);
	cr_assert_eq(world_names(w).n, 0);
	return rc;
}

/* Where the limit lies decides what meets it: symbols, series, lists, the table, the TOC; never a crash. */
Test(writer, an_index_beyond_the_limits_of_the_format_is_refused_wherever_it_stands)
{
	struct world w;
	struct gen_block b;
	struct gen_opts go = { 77, 60, 1, 1, false, false };
	struct block_writer_opts o = { .ulid = world_ulid(ID) };
	struct block_writer_stats st;
	unsigned seen_symbols = 0, seen_series = 0, seen_list = 0, seen_table = 0;
	world_begin(&w);
	o.dir = w.dir;
	gen_block(&w, &go, &b);
	cr_assert_eq(gen_write(&w, &b, &o, NULL, &st), 0);
	cr_assert_eq(fs_remove_all(&w.ctx, world_path(&w, "%s/" ID, w.dir), &w.e), 0);
	for (uint64_t n = 20; n < st.index_bytes; n += 1 + st.index_bytes / 150) {
		cr_assert_eq(write_limited(&w, &b, UINT32_MAX, n), -1);
		cr_assert_eq(w.e.code, E_LIMIT, "%s", err_text(&w.e));
		seen_series += strstr(err_text(&w.e), "at series") != NULL;
		seen_list += strstr(err_text(&w.e), "at a list") != NULL;
	}
	cr_assert_eq(write_limited(&w, &b, UINT32_MAX, st.index_bytes - 1), -1);
	cr_assert_eq(write_limited(&w, &b, UINT32_MAX, st.index_bytes), 0);
	for (uint64_t n = 20; n < st.index_bytes; n += 1 + st.index_bytes / 150) {
		if (write_limited(&w, &b, n, (uint64_t)64 << 30) == 0)
			break;
		cr_assert_eq(w.e.code, E_LIMIT, "%s", err_text(&w.e));
		seen_symbols += strstr(err_text(&w.e), "symbol table would") != NULL;
		seen_table += strstr(err_text(&w.e), "offset table would") != NULL;
	}
	cr_assert(seen_symbols && seen_series && seen_list && seen_table, "%u %u %u %u",
		  seen_symbols, seen_series, seen_list, seen_table);
	world_end(&w);
}

Test(writer, segments_end_before_the_limit_and_hold_larger_chunks_alone)
{
	struct world w;
	struct gen_block b;
	struct gen_opts go = { 5, 50, 4, 200, false, false };
	struct block_writer_opts o = { .ulid = world_ulid(ID), .segment_bytes = 600 };
	struct block_writer_stats st;
	uint64_t sum = 0;
	world_begin(&w);
	o.dir = w.dir;
	gen_block(&w, &go, &b);
	cr_assert_eq(gen_write(&w, &b, &o, NULL, &st), 0, "%s", err_text(&w.e));
	cr_assert_gt(st.segments, 10);
	for (uint32_t i = 1; i <= st.segments; i++) {
		struct str s =
			world_read(&w, world_path(&w, "%s/" ID "/chunks/%06u", w.dir, i));
		struct rd r = rd_n(s.p + 8, s.n - 8);
		uint64_t len = rd_uvarint(&r);
		bool one = rd_left(&r) == len + 5;
		cr_assert(s.n <= 600 || one, "segment %u of %zu bytes", i, s.n);
		sum += s.n;
	}
	cr_assert_eq(sum, st.chunk_bytes);
	gen_check(&w, &b, ID);
	world_end(&w);
}

/* ---- the disk ---- */

Test(writer, clean_removes_what_killed_writers_left_and_nothing_else)
{
	struct world w;
	world_begin(&w);
	static const char *const names[] = { ID ".tmp-for-creation", ID,
					     "x.tmp-for-creation",
					     ID ".tmp-for-creation.old" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		cr_assert_eq(fs_mkdir_p(&w.ctx,
					world_path(&w, "%s/%s/chunks", w.dir, names[i]),
					&w.e),
			     0);
	cr_assert_eq(block_writer_clean(&w.ctx, w.dir, &w.e), 0, "%s", err_text(&w.e));
	struct fs_names l = world_names(&w);
	cr_assert_eq(l.n, 3);
	for (size_t i = 0; i < l.n; i++)
		cr_assert(!str_eqz(l.name[i], names[0]));
	cr_assert_eq(block_writer_clean(&w.ctx, world_path(&w, "%s/none", w.dir), &w.e),
		     0);
	world_end(&w);
}

/* A small filesystem of this test's own; false where the machine does not let us have one. */
static bool own_filesystem(const char *dir, const char *size)
{
	char opts[40];
	snprintf(opts, sizeof(opts), "size=%s", size);
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	(void)!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return mount("none", dir, "tmpfs", 0, opts) == 0;
}

Test(writer, a_full_disk_is_said_so_and_nothing_is_left)
{
	struct world w;
	struct gen_block b;
	struct gen_opts go = { 5, 3000, 20, 100, false, false };
	struct block_writer_opts o = { .ulid = world_ulid(ID) };
	static const char *const sizes[] = { "64k", "400k", "1m", "2m", "3m" };
	world_begin(&w);
	gen_block(&w, &go, &b);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (!own_filesystem(w.dir, sizes[i])) {
			cr_log_info("no filesystem of our own: not tested");
			break;
		}
		o.dir = world_path(&w, "%s/here", w.dir);
		cr_assert_eq(gen_write(&w, &b, &o, NULL, NULL), -1, "%s", sizes[i]);
		cr_assert_eq(w.e.code, E_NOSPACE, "%s", err_text(&w.e));
		cr_assert(strstr(err_text(&w.e), "write block " ID ": "), "%s",
			  err_text(&w.e));
		struct fs_names l;
		cr_assert_eq(fs_list(&w.ctx, &w.a, o.dir, &l, &w.e), 0);
		cr_assert_eq(l.n, 0, "%s: %s", sizes[i], l.n ? l.name[0].p : "");
		cr_assert_eq(umount(w.dir), 0);
	}
	world_end(&w);
}

/* ---- the ctx ---- */

Test(writer, a_budget_that_is_too_small_is_named_and_given_back)
{
	struct world w;
	struct gen_block b;
	struct budget budget;
	struct gen_opts go = { 5, 3000, 1, 1, false, false };
	struct block_writer_opts o = { .ulid = world_ulid(ID) };
	world_begin(&w);
	o.dir = w.dir;
	gen_block(&w, &go, &b);
	/* not even the buffers; the buffers, but not the pairs of all labels; all of it */
	static const struct {
		size_t limit;
		int rc;
	} rows[] = { { 1 << 20, -1 }, { (2816 << 10) + 200000, -1 }, { 32 << 20, 0 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		budget_init(&budget, NULL, "compaction", "--limit", rows[i].limit);
		w.ctx.budget = &budget;
		cr_assert_eq(gen_write(&w, &b, &o, NULL, NULL), rows[i].rc, "row %zu", i);
		if (rows[i].rc < 0) {
			cr_assert_eq(w.e.code, E_LIMIT, "%s", err_text(&w.e));
			cr_assert(strstr(err_text(&w.e), "--limit"), "%s",
				  err_text(&w.e));
		}
		cr_assert_eq(budget_used(&budget), 0);
		cr_assert_eq(world_names(&w).n, rows[i].rc == 0);
		w.ctx.budget = NULL;
		budget_deinit(&budget);
	}
	world_end(&w);
}

/* Everything is written when somebody says stop: the lists end, and what was built goes. */
Test(writer, lists_are_given_up_when_the_work_is_cancelled)
{
	struct fix f;
	struct block_meta m = { .maxt_ms = 2000 };
	begin(&f, false);
	for (uint32_t i = 0; i < 5000; i++) {
		char s[10];
		snprintf(s, sizeof(s), "s%06u", i);
		cr_assert_eq(block_writer_symbol(f.bw, &f.w.ctx, str_of(s), &f.w.e), 0);
	}
	for (uint32_t i = 1; i < 4000; i++) {
		const uint32_t label[] = { 0, i };
		cr_assert_eq(series(&f, label, 1, &f.chunk, 1), 0);
	}
	cancel_now(f.w.ctx.cancel, "enough");
	cr_assert_eq(block_writer_finish(f.bw, &f.w.ctx, &m, false, NULL, &f.w.e), -1);
	cr_assert_eq(f.w.e.code, E_CANCELLED, "%s", err_text(&f.w.e));
	cr_assert_eq(world_names(&f.w).n, 0);
	chunk_encoder_free(f.enc);
	world_end(&f.w);
}

/* ---- tombstones ---- */

Test(tombstones_write, are_parsed_again_and_equal_to_those_of_prometheus)
{
	struct world w;
	struct tombstones *t;
	struct buf b;
	struct tombstone_entry e[1000];
	size_t n = 0;
	world_begin(&w);
	struct str file = world_read(&w, GOLDEN
				     "/tombstones/01M81YVCV04NJ9WQ26TQ155FM6/tombstones");
	struct rd r = rd_n(file.p + 5, file.n - 9);
	while (rd_left(&r) && n < ARRAY_LEN(e)) {
		e[n].ref = (uint32_t)rd_uvarint(&r);
		e[n].range.mint_ms = rd_varint(&r);
		e[n++].range.maxt_ms = rd_varint(&r);
	}
	cr_assert_gt(n, 10);
	buf_init(&b, 1 << 20);
	tombstones_write(e, n, &b);
	cr_assert(str_eq(buf_view(&b), file));
	buf_reset(&b);
	tombstones_write(NULL, 0, &b);
	cr_assert_eq(b.n, 9);
	cr_assert_eq(tombstones_parse(&w.ctx, buf_view(&b), &t, &w.e), 0);
	tombstones_free(t);
	buf_reset(&b);
	const struct tombstone_entry wide = { UINT32_MAX, { INT64_MIN, INT64_MAX } };
	tombstones_write(&wide, 1, &b);
	cr_assert_eq(tombstones_parse(&w.ctx, buf_view(&b), &t, &w.e), 0);
	const struct tombstone_range *got = tombstones_of(t, UINT32_MAX, &n);
	cr_assert_eq(n, 1);
	cr_assert(got->mint_ms == INT64_MIN && got->maxt_ms == INT64_MAX);
	tombstones_free(t);
	buf_deinit(&b);
	world_end(&w);
}
