#include "support/tst.h"

#include <stdlib.h>

#include "compact/compact_int.h"
#include "unit/compact/made.h"

/* n samples from t on, one every 10 ms, with values from v on. */
static struct made_chunk run_of(int64_t t, size_t n, double v)
{
	struct made_chunk c = { .n = n };
	for (size_t i = 0; i < n; i++) {
		c.t[i] = t + (int64_t)i * 10;
		c.v[i] = v + (double)i;
	}
	return c;
}

#define CHUNK(t, n, v)                                                                   \
	{                                                                                \
		(t), (t) + ((n)-1) * 10, run_of(t, n, v)                                 \
	}

/* Compact; asserts the fault, of input `who`, and that nothing was left in the folder. */
static void must_fail(struct world *w, enum compact_fault want, size_t who,
		      enum err_code code, const char *text)
{
	struct fs_names names;

	cr_assert_eq(world_compact(w), -1, "was compacted: %s", text);
	cr_assert(str_find(str_of(err_text(&w->f.e)), str_of(text)) >= 0, "%s",
		  err_text(&w->f.e));
	cr_assert_eq(w->f.e.code, code, "%s", err_text(&w->f.e));
	cr_assert_eq(w->r.fault, want, "%s", err_text(&w->f.e));
	cr_assert_eq(w->r.fault_input, who);
	cr_assert_eq(fs_list(&w->f.ctx, &w->f.a, w->dir, &names, &w->f.e), 0);
	for (size_t i = 0; i < names.n; i++)
		cr_assert(str_eqz(names.name[i], "in"), "%.*s is left",
			  STR_FMT(names.name[i]));
}

/* The one series of the output has these samples: t0, v0, t1, v1, ... */
static void must_hold(struct world *w, const double *want, size_t n)
{
	struct block_source src;
	struct block_scan *s;
	struct scan_series c;
	size_t k = 0;

	world_must_compact(w);
	cr_assert_eq(block_source_open_dir(&w->f.ctx, &w->f.a, w->out, &src, &w->f.e), 0);
	cr_assert_eq(block_scan_open(&w->f.ctx, &src, 0, &s, &w->f.e), 0);
	cr_assert_eq(block_scan_series(s, &w->f.ctx, &c, &w->f.e), 1);
	for (size_t i = 0; i < c.n_chunks; i++) {
		int64_t t[200];
		double v[200];
		int got =
			chunk_xor_decode(c.chunk[i].part[AGGR_RAW].p,
					 c.chunk[i].part[AGGR_RAW].n, t, v, 200, &w->f.e);
		cr_assert_gt(got, 0);
		for (int x = 0; x < got; x++, k++)
			cr_assert(k < n && (double)t[x] == want[2 * k] &&
					  v[x] == want[2 * k + 1],
				  "sample %zu: %lld %g", k, (long long)t[x], v[x]);
	}
	cr_assert_eq(k, n);
	cr_assert_eq(block_scan_series(s, &w->f.ctx, &c, &w->f.e), 0);
	block_scan_close(s);
	block_source_close(&src);
}

/* One raw block with one series {a="x"}. */
static void one_series(struct world *w, struct raw_block *b, const struct raw_chunk *c,
		       size_t n)
{
	struct raw_series s = { { 1, 3 }, 1, c, n };
	world_begin(w);
	raw_make(w, b, 0, 1000, &s, 1);
}

static void done(struct world *w, struct raw_block *b)
{
	world_end(w);
	raw_free(b);
}

Test(compact_faults, chunks_out_of_order_are_put_in_order)
{
	struct raw_chunk c[] = { CHUNK(100, 2, 5), CHUNK(0, 2, 1) };
	double want[] = { 0, 1, 10, 2, 100, 5, 110, 6 };
	struct raw_block b;
	struct world w;

	for (int mode = COMPACT_REFUSE; mode <= COMPACT_PENALTY; mode++) {
		one_series(&w, &b, c, 2);
		w.o.overlap = mode;
		must_hold(&w, want, 4);
		cr_assert_eq(w.r.copied_chunks, 2);
		done(&w, &b);
	}
}

Test(compact_faults, doubled_chunks_are_written_once)
{
	struct raw_chunk c[] = { CHUNK(0, 2, 1), { 0, 10, { 0 } } };
	double want[] = { 0, 1, 10, 2 };
	struct raw_block b;
	struct world w;

	one_series(&w, &b, c, 2);
	must_hold(&w, want, 2);
	done(&w, &b);
}

Test(compact_faults, overlapping_chunks_of_one_block_are_merged_or_refused)
{
	struct raw_chunk c[] = { CHUNK(0, 3, 1), CHUNK(15, 2, 50) };
	double want[] = { 0, 1, 10, 2, 15, 50, 20, 3, 25, 51 };
	struct raw_block b;
	struct world w;

	/* Also by penalty: samples of one block are not those of two replicas. */
	for (int mode = COMPACT_ONE_TO_ONE; mode <= COMPACT_PENALTY; mode++) {
		one_series(&w, &b, c, 2);
		w.o.overlap = mode;
		must_hold(&w, want, 5);
		done(&w, &b);
	}
	one_series(&w, &b, c, 2);
	must_fail(&w, COMPACT_FAULT_OUT_OF_ORDER_CHUNK, 0, E_CORRUPT,
		  "{a=\"x\"}: chunk [15, 25] overlaps the one before");
	done(&w, &b);
}

Test(compact_faults, chunks_outside_of_the_block)
{
	struct raw_chunk before[] = { CHUNK(-10, 3, 1) }, behind[] = { CHUNK(990, 4, 1) };
	struct raw_block b;
	struct world w;

	one_series(&w, &b, before, 1);
	must_fail(&w, COMPACT_FAULT_OUTSIDE_RANGE, 0, E_CORRUPT,
		  "chunk [-10, 10] is outside the time range of the block");
	done(&w, &b);
	one_series(&w, &b, behind, 1);
	must_fail(&w, COMPACT_FAULT_OUTSIDE_RANGE, 0, E_CORRUPT, "chunk [990, 1020]");
	done(&w, &b);
}

Test(compact_faults, what_begins_or_lies_at_the_end_is_left_out)
{
	struct raw_chunk at[] = { CHUNK(0, 2, 1), CHUNK(1000, 2, 7) },
			 over[] = { CHUNK(980, 3, 1) };
	double want_at[] = { 0, 1, 10, 2 }, want_over[] = { 980, 1, 990, 2 };
	struct raw_block b;
	struct world w;

	one_series(&w, &b, at, 2);
	must_hold(&w, want_at, 2);
	done(&w, &b);
	one_series(&w, &b, over, 1);
	must_hold(&w, want_over, 2);
	done(&w, &b);
}

Test(compact_faults, a_chunk_that_holds_what_its_entry_does_not_say)
{
	struct raw_chunk c[] = { { 0, 10, run_of(0, 3, 1) }, CHUNK(5, 2, 9) };
	struct raw_block b;
	struct world w;

	one_series(&w, &b, c, 2);
	w.o.overlap = COMPACT_ONE_TO_ONE;
	must_fail(&w, COMPACT_FAULT_UNREADABLE, 0, E_CORRUPT,
		  "samples outside of the times in the index");
	done(&w, &b);
}

Test(compact_faults, labels_out_of_order)
{
	struct raw_chunk c[] = { CHUNK(0, 2, 1) };
	struct raw_series s = { { 2, 3, 1, 4 }, 2, c, 1 };
	double want[] = { 0, 1, 10, 2 };
	struct raw_block b;
	struct world w;

	world_begin(&w);
	raw_make(&w, &b, 0, 1000, &s, 1);
	must_fail(&w, COMPACT_FAULT_OUT_OF_ORDER_LABELS, 0, E_CORRUPT,
		  "label names are out of order");
	w.o.accept_malformed_index = true;
	must_hold(&w, want, 2);
	struct rows rows;
	world_rows(&w, &rows);
	cr_assert(str_eqz(labels_str(&w.f.a, rows.v[0].labels), "{a=\"y\", b=\"x\"}"));
	free(rows.v);
	done(&w, &b);
}

Test(compact_faults, a_label_name_twice_is_never_accepted)
{
	struct raw_chunk c[] = { CHUNK(0, 2, 1) };
	struct raw_series s = { { 2, 3, 1, 4, 2, 4 }, 3, c, 1 };
	struct raw_block b;
	struct world w;

	world_begin(&w);
	raw_make(&w, &b, 0, 1000, &s, 1);
	w.o.accept_malformed_index = true;
	must_fail(&w, COMPACT_FAULT_OUT_OF_ORDER_LABELS, 0, E_CORRUPT,
		  "a label name is doubled");
	done(&w, &b);
}

static void two_series(const uint32_t first[2], const uint32_t second[2],
		       enum compact_fault want, const char *text)
{
	struct raw_chunk c[] = { CHUNK(0, 2, 1) };
	struct raw_series s[] = { { { first[0], first[1] }, 1, c, 1 },
				  { { second[0], second[1] }, 1, c, 1 } };
	struct made_series good = { STR("x"), NULL, 1 };
	struct raw_block b;
	struct world w;

	good.chunk = &c[0].c;
	world_begin(&w);
	made_block(&w, 0, 1000, &good, 1);
	raw_make(&w, &b, 0, 1000, s, 2);
	w.o.overlap = COMPACT_ONE_TO_ONE;
	must_fail(&w, want, 1, E_CORRUPT, text);
	done(&w, &b);
}

Test(compact_faults, series_out_of_order_and_doubled)
{
	two_series((const uint32_t[]){ 1, 4 }, (const uint32_t[]){ 1, 3 },
		   COMPACT_FAULT_OUT_OF_ORDER_LABELS, "the series is out of order");
	two_series((const uint32_t[]){ 1, 3 }, (const uint32_t[]){ 1, 3 },
		   COMPACT_FAULT_DUPLICATE_SERIES, "the series is there twice");
}

Test(compact_faults, damage_is_of_one_input)
{
	struct raw_chunk c[] = { CHUNK(0, 20, 1) };
	struct made_series good = { STR("x"), &c[0].c, 1 };
	struct raw_series s = { { 1, 3 }, 1, c, 1 };
	struct raw_block b;
	struct world w;

	world_begin(&w);
	raw_make(&w, &b, 0, 1000, &s, 1);
	made_block(&w, 0, 1000, &good, 1);
	w.o.overlap = COMPACT_ONE_TO_ONE;
	world_must_compact(&w);
	cr_assert_eq(fs_remove_all(NULL, w.out, &w.f.e), 0);
	b.segment.p[b.segment.n - 8] ^= 1;
	must_fail(&w, COMPACT_FAULT_UNREADABLE, 0, E_CORRUPT, "checksum mismatch");
	b.segment.p[b.segment.n - 8] ^= 1;
	b.index.p[20] ^= 1; /* a symbol */
	cr_assert_eq(world_compact(&w), -1);
	cr_assert_eq(w.r.fault, COMPACT_FAULT_UNREADABLE);
	cr_assert_eq(w.r.fault_input, 0);
	w.n = 2;
	done(&w, &b);
}

/* Chunks that are copied are compared with their checksums in the output only, which must not make it the output's fault. */
static void flip_each_bit(enum compact_overlap overlap, int64_t other_ms, uint32_t value,
			  bool merged)
{
	struct raw_chunk c[] = { CHUNK(0, 1, 1), CHUNK(10, 9, 1), CHUNK(210, 3, 7) };
	struct raw_chunk far = CHUNK(other_ms, 20, 1);
	struct raw_series s = { { 1, 3 }, 1, c, ARRAY_LEN(c) },
			  other = { { 1, value }, 1, &far, 1 };
	struct raw_block b, good;
	struct world w;

	world_begin(&w);
	raw_make(&w, &good, other_ms, other_ms + 1000, &other, 1);
	raw_make(&w, &b, 0, 1000, &s, 1);
	w.o.overlap = overlap;
	world_must_compact(&w);
	cr_assert_eq(w.r.merged_chunks > 0, merged);
	cr_assert_eq(fs_remove_all(NULL, w.out, &w.f.e), 0);
	for (size_t i = 8; i < b.segment.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			b.segment.p[i] ^= (uint8_t)(1u << bit);
			must_fail(&w, COMPACT_FAULT_UNREADABLE, 1, E_CORRUPT, "block ");
			b.segment.p[i] ^= (uint8_t)(1u << bit);
		}
	world_must_compact(&w);
	done(&w, &b);
	raw_free(&good);
}

Test(compact_faults,
     a_flipped_bit_is_the_inputs_fault_whether_its_chunk_is_copied_or_merged)
{
	flip_each_bit(COMPACT_REFUSE, 1000, 3, false);
	flip_each_bit(COMPACT_REFUSE, 0, 4, false);
	flip_each_bit(COMPACT_ONE_TO_ONE, 15, 3, true);
	flip_each_bit(COMPACT_PENALTY, 15, 3, true);
}

static int reads_left; /* of a source that fails then */
static const struct range_source_ops *sound;

static int read_some(struct range_source *s, struct ctx *ctx, const struct range *r,
		     size_t n, struct view *out, struct err *e)
{
	if (reads_left-- == 0)
		return err_set(ctx, e, E_IO, "no more");
	return sound->read(s, ctx, r, n, out, e);
}

/* Whose fault it is cannot be told when the inputs cannot be read once more: nobody is blamed for good. */
Test(compact_faults, damage_whose_place_cannot_be_looked_for_is_nobodys_fault)
{
	struct raw_chunk c[] = { CHUNK(0, 20, 1) };
	struct raw_series s = { { 1, 3 }, 1, c, 1 };
	struct range_source_ops some;
	struct raw_block b;
	struct world w;
	int unread = 0, known = 0;

	world_begin(&w);
	raw_make(&w, &b, 0, 1000, &s, 1);
	sound = b.segment_src->ops;
	some = (struct range_source_ops){ read_some, sound->close };
	b.segment.p[b.segment.n - 8] ^= 1;
	b.segment_src->ops = &some;
	for (int n = 0; n < 20; n++) {
		reads_left = n;
		cr_assert_eq(world_compact(&w), -1);
		unread += w.f.e.code == E_IO;
		known += w.f.e.code == E_CORRUPT;
		cr_assert_eq(w.r.fault,
			     w.f.e.code == E_IO ? COMPACT_FAULT_NONE
						: COMPACT_FAULT_UNREADABLE,
			     "%s", err_text(&w.f.e));
	}
	cr_assert(unread > 0 && known > 0);
	b.segment_src->ops = sound;
	done(&w, &b);
}

Test(compact_faults, overlaps_are_refused_where_they_may_not_be)
{
	struct made_chunk x = run_of(0, 5, 1), y = run_of(35, 5, 1), z = run_of(50, 5, 1);
	struct made_series a = { STR("x"), &x, 1 }, b = { STR("x"), &y, 1 },
			   c = { STR("x"), &z, 1 };
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	made_block(&w, 0, 100, &b, 1);
	must_fail(&w, COMPACT_FAULT_OVERLAP, 1, E_INVALID,
		  "chunk [35, 75] overlaps one of block ");
	world_end(&w);
	/* Blocks overlap, their chunks do not. */
	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	made_block(&w, 0, 100, &c, 1);
	world_must_compact(&w);
	cr_assert_eq(w.r.copied_chunks, 2);
	world_end(&w);
}

Test(compact_faults, resolutions_must_be_equal)
{
	struct made_chunk x = run_of(0, 5, 1);
	struct made_series a = { STR("x"), &x, 1 };
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	world_add(&w, COMPACTED "/long/bucket/01M81ZG1BPPMPG42S5N10TVXMM");
	must_fail(&w, COMPACT_FAULT_NONE, SIZE_MAX, E_INVALID, "has resolution 0, block");
	world_end(&w);
}

Test(compact_faults, nothing_is_left_nothing_is_made)
{
	struct raw_series s = { { 1, 3 }, 1, NULL, 0 };
	struct raw_block b;
	struct world w;
	struct fs_stat st;

	world_begin(&w);
	raw_make(&w, &b, 0, 1000, &s, 1);
	cr_assert_eq(world_compact(&w), 0, "%s", err_text(&w.f.e));
	cr_assert(w.r.empty);
	cr_assert_eq(fs_stat(&w.f.ctx, w.out, &st, &w.f.e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	done(&w, &b);
}

Test(compact_faults, cancelled_work_leaves_nothing)
{
	struct made_chunk x = run_of(0, 5, 1);
	struct made_series a = { STR("x"), &x, 1 };
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	cancel_now(w.f.ctx.cancel, "test");
	must_fail(&w, COMPACT_FAULT_NONE, SIZE_MAX, E_CANCELLED, "");
	world_end(&w);
}

/* ---- the checks of what was made ---- */

Test(compact_check, another_block_than_was_written_is_noticed)
{
	struct made_chunk x = run_of(0, 5, 1);
	struct made_series a = { STR("x"), &x, 1 };
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	world_must_compact(&w);
	struct block_source src;
	struct block_scan *s;
	struct scan_series c;
	cr_assert_eq(block_source_open_dir(&w.f.ctx, &w.f.a, w.out, &src, &w.f.e), 0);
	cr_assert_eq(block_scan_open(&w.f.ctx, &src, 0, &s, &w.f.e), 0);
	cr_assert_eq(block_scan_series(s, &w.f.ctx, &c, &w.f.e), 1);
	struct job j = { .ctx = &w.f.ctx, .a = &w.f.a, .r = &w.r };
	struct check_series g = { c.label, c.n_labels, c.chunk, 1, false };
	struct buf index;
	buf_init(&index, 1 << 20);
	cr_assert_eq(fs_read_file(&w.f.ctx, str_fmt(&w.f.a, "%s/index", w.out).p, 1 << 20,
				  &index, &w.f.e),
		     0);
	struct index_chunk at[10];
	struct str body = world_entry(&index, c.ref, at);
	cr_assert_eq(check_entry(&j.given, &w.f.ctx, &g, at, body, &w.f.e), 0);
	buf_deinit(&index);
	block_scan_close(s);
	block_source_close(&src);
	cr_assert_eq(check_output(&j, w.out, &w.f.e), 0, "%s", err_text(&w.f.e));
	j.given.hash ^= 1;
	cr_assert_eq(check_output(&j, w.out, &w.f.e), -1);
	j.given.hash ^= 1;
	j.given.chunks = 2;
	cr_assert_eq(check_output(&j, w.out, &w.f.e), -1);
	world_end(&w);
}

/* What is given, against an entry of label 1=2 and chunks [1, 2], [3, 4] at 8 and 20; *hash: of the chunks. */
static int see(const uint32_t *label, uint32_t n_labels, const struct chunk_view *c,
	       size_t n, uint64_t *hash)
{
	static const uint8_t entry[] = { 1, 1, 2, 2, 2, 1, 8, 1, 1, 24 };
	static const struct index_chunk at[] = { { 1, 2, 8 }, { 3, 4, 20 } };
	struct check_series g = { label, n_labels, c, n, false };
	struct check_sums s = { 0 };
	struct err e = ERR_INIT;
	struct ctx ctx;
	ctx_init(&ctx, NULL, 0);
	int rc = check_entry(&s, &ctx, &g, at, str_n(entry, sizeof(entry)), &e);
	cr_assert(rc < 0 ? e.code == E_CORRUPT : s.series == 1 && s.chunks == n);
	*hash = s.hash;
	ctx_deinit(&ctx);
	return rc;
}

Test(compact_check, an_entry_says_labels_and_times_and_sums_see_bytes_and_order)
{
	uint8_t data[] = { 0, 1, 7 }, data2[] = { 0, 1, 8 };
	uint32_t label[] = { 1, 2 }, other[] = { 1, 3 };
	struct chunk_view c[2] = { { .mint_ms = 1, .maxt_ms = 2 },
				   { .mint_ms = 3, .maxt_ms = 4 } };
	uint64_t good, hash;
	c[0].part[AGGR_RAW] = (struct chunk_part){ data, 3, 1 };
	c[1].part[AGGR_RAW] = (struct chunk_part){ data2, 3, 1 };

	cr_assert_eq(see(label, 1, c, 2, &good), 0);
	cr_assert_eq(see(other, 1, c, 2, &hash), -1);
	cr_assert_eq(see(label, 0, c, 2, &hash), -1);
	cr_assert_eq(see(label, 1, c, 1, &hash), -1);
	for (int i = 0; i < 4; i++) {
		int64_t *t = i & 1 ? &c[i / 2].maxt_ms : &c[i / 2].mint_ms;
		++*t;
		cr_assert_eq(see(label, 1, c, 2, &hash), -1);
		--*t;
	}
	data[2]++; /* as the other's */
	cr_assert(see(label, 1, c, 2, &hash) == 0 && hash != good);
	data2[2]--;
	cr_assert(see(label, 1, c, 2, &hash) == 0 && hash != good);
	data[2]--;
	data2[2]++;
	c[1].part[AGGR_RAW].enc = 2;
	cr_assert(see(label, 1, c, 2, &hash) == 0 && hash != good);
	c[1].part[AGGR_RAW].enc = 1;
	cr_assert(see(label, 1, c, 2, &hash) == 0 && hash == good);
}

/* Of many series whose chunks are copied some entries are looked at, of those whose chunks were made here all. */
Test(compact_check,
     entries_are_looked_at_unless_they_are_many_and_tell_of_copied_chunks_only)
{
	uint8_t data[] = { 0, 1, 7 };
	static const uint8_t wrong[] = { 1, 1, 3, 1, 2, 1, 8 };
	static const struct index_chunk at = { 1, 2, 8 };
	uint32_t label[] = { 1, 2 };
	struct chunk_view c = { .mint_ms = 1, .maxt_ms = 2, .hash = (uint64_t)1 << 32 };
	struct check_series g = { label, 1, &c, 1, false };
	struct err e = ERR_INIT;
	struct ctx ctx;
	c.part[AGGR_RAW] = (struct chunk_part){ data, 3, 1 };
	ctx_init(&ctx, NULL, 0);
	for (uint64_t n = 0; n < 2000; n++) {
		struct check_sums s = { .series = n };
		int rc = check_entry(&s, &ctx, &g, &at, str_n(wrong, sizeof(wrong)), &e);
		cr_assert_eq(rc, n < 100 || n % 8 == 0 ? -1 : 0);
		struct check_series other = { label, 1, &c, 1, true };
		s = (struct check_sums){ .series = n };
		cr_assert_eq(check_entry(&s, &ctx, &other, &at,
					 str_n(wrong, sizeof(wrong)), &e),
			     -1);
	}
	cr_assert_not(check_sum_made(&c, 1));
	c.hash = 0;
	cr_assert(check_sum_made(&c, 1) && c.hash >> 32 == 1);
	ctx_deinit(&ctx);
}

/* A chunk whose samples are not those that went in is found, whether it waits or not, wherever the wrong one is. */
static void wrong_chunk(size_t n, size_t before, size_t wrong, bool time)
{
	struct made_chunk x = run_of(1000, n, 3);
	struct fix f;
	struct wide w;
	struct buf b;
	int rc = 0;

	fix_begin(&f);
	wide_init(&w);
	buf_init(&b, 1 << 16);
	cr_assert_eq(chunk_xor_encode(&b, x.t, x.v, n, &f.e), 0);
	struct chunk_part p = { b.p, (uint32_t)b.n, CHUNK_XOR };
	for (size_t i = 0; i < before; i++)
		cr_assert_eq(wide_check(&w, &f.ctx, p, x.t, x.v, n, &f.e), 0);
	if (wrong < n && time)
		x.t[wrong]++;
	else if (wrong < n)
		x.v[wrong] = -x.v[wrong];
	for (size_t i = 0; i < 17 - before && rc == 0; i++)
		rc = wide_check(&w, &f.ctx, p, x.t, x.v, n, &f.e);
	if (rc == 0)
		rc = wide_check_end(&w, &f.ctx, &f.e);
	cr_assert_eq(rc, wrong < n ? -1 : 0);
	wide_deinit(&w);
	buf_deinit(&b);
	fix_end(&f);
}

Test(compact_check, a_chunk_that_holds_other_samples_is_noticed)
{
	for (size_t before = 0; before < 17; before++)
		for (int time = 0; time < 2; time++) {
			wrong_chunk(120, before, 119, time);
			wrong_chunk(120, before, before * 7, time);
			wrong_chunk(100, before, 99, time);
			wrong_chunk(5, before, 4, time);
			wrong_chunk(120, before, 120, time);
		}
}
