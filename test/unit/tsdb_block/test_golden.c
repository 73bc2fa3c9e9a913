#include "support/tst.h"

#include <stdlib.h>

#include "fs/fs.h"
#include "tsdb/chunk/recode.h"
#include "unit/tsdb_block/golden.h"

static void check_block(struct fix *f, const char *folder, struct str id, bool live)
{
	const char *dir = str_fmt(&f->a, GOLDEN "/%s/%.*s", folder, STR_FMT(id)).p;
	const char *want_path = str_fmt(&f->a, GOLDEN "/expected/%.*s.%sseries.tsv",
					STR_FMT(id), live ? "live." : "")
					.p;
	struct rows got, want;
	struct fs_stat st;
	struct block *b = open_block(f, dir);

	cr_assert_eq(fs_stat(&f->ctx, want_path, &st, &f->e), 0);
	if (st.kind == FS_NONE)
		want_path = str_fmt(&f->a, "%s.gz", want_path).p;
	struct block_series_req req = req_all;
	req.newer_encodings = true;
	rows_expected(f, want_path, live, &want);
	if (b->tombstones && !live) {
		tombstones_free(b->tombstones);
		b->tombstones = NULL;
	}
	cr_assert_eq(rows_of_block(f, b, &req, &got), 0, "%s", err_text(&f->e));
	rows_compare(dir, &got, &want, live);
	cr_assert_eq(got.failed, 0);
	if (!live) {
		cr_assert_eq(b->meta.stats.series, got.n);
		cr_assert_eq(b->meta.stats.samples, got.samples);
	}
	free(got.v);
	free(want.v);
	block_unref(b);
}

static void check_folder(const char *folder, size_t want)
{
	struct fix f;
	struct fs_names names;
	size_t seen = 0;

	fix_begin(&f);
	cr_assert_eq(fs_list(&f.ctx, &f.a, str_fmt(&f.a, GOLDEN "/%s", folder).p, &names,
			     &f.e),
		     0);
	for (size_t i = 0; i < names.n; i++)
		if (names.name[i].n == 26) {
			check_block(&f, folder, names.name[i], false);
			seen++;
		}
	cr_assert_eq(seen, want);
	cr_assert_eq(count_warnings(&f, ""), 0);
	fix_end(&f);
}

Test(block_golden, blocks_of_a_bucket_are_read_exactly)
{
	check_folder("bucket", 13);
}

Test(block_golden, tombstones_are_ignored_when_taken_away)
{
	check_folder("tombstones", 1);
}

Test(block_golden, samples_under_tombstones_are_not_shown)
{
	struct fix f;

	fix_begin(&f);
	check_block(&f, "tombstones", STR("01M81YVCV04NJ9WQ26TQ155FM6"), true);
	fix_end(&f);
}

Test(block_golden, blocks_of_newer_encodings_are_read_exactly)
{
	check_folder("newer", 3);
}

/* The chunks of a block one after the other. */
struct walk {
	struct series_set *set;
	const struct series_in *s;
	size_t i;
};

static const struct chunk_view *walk_next(struct fix *f, struct walk *w)
{
	while (!w->s || w->i == w->s->n) {
		w->i = 0;
		int rc = series_set_next(w->set, &f->ctx, &w->s, &f->e);
		cr_assert(rc >= 0, "%s", err_text(&f->e));
		if (rc == 0)
			return NULL;
	}
	return &w->s->chunks[w->i++];
}

static uint8_t reset_header(const struct chunk_part *p)
{
	return p->p[p->enc > CHUNK_XOR2 ? 0 : 2] >> 6;
}

static void check_plain(struct fix *f, const char *dir, size_t *n)
{
	struct block_series_req req = req_all;
	struct walk a = { 0 }, b = { 0 };
	struct block *block = open_block(f, dir);
	cr_assert_eq(block_series(block, &f->ctx, &req_all, &a.set, &f->e), 0);
	req.newer_encodings = true;
	cr_assert_eq(block_series(block, &f->ctx, &req, &b.set, &f->e), 0);
	for (;; ++*n) {
		const struct chunk_view *x = walk_next(f, &a), *y = walk_next(f, &b);
		cr_assert_eq(x == NULL, y == NULL);
		if (!x)
			break;
		const struct chunk_part *px = &x->part[AGGR_RAW],
					*py = &y->part[AGGR_RAW];
		cr_assert_eq(px->enc, chunk_enc_plain(py->enc));
		cr_assert_neq(px->enc, py->enc);
		cr_assert(x->mint_ms == y->mint_ms && x->maxt_ms == y->maxt_ms);
		cr_assert_eq(chunk_count(*px), chunk_count(*py));
		if (px->enc != CHUNK_XOR)
			cr_assert_eq(reset_header(px), reset_header(py));
	}
	series_set_close(a.set);
	series_set_close(b.set);
	block_unref(block);
}

Test(block_golden, newer_encodings_are_shown_as_those_every_client_knows)
{
	static const char ids[][27] = { "01M81YVCPRJ7E8180809G85TB9",
					"01M81YVCQVK25VMXY127QDKHFZ",
					"01M81YVCS17G3R1H0SAW7AK37A" };
	struct fix f;
	struct rows got, want;
	size_t n = 0;

	fix_begin(&f);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *dir = str_fmt(&f.a, GOLDEN "/newer/%s", ids[i]).p;
		struct block *b = open_block(&f, dir);
		rows_expected(&f,
			      str_fmt(&f.a, GOLDEN "/expected/%s.series.tsv", ids[i]).p,
			      false, &want);
		cr_assert_eq(rows_of_block(&f, b, &req_all, &got), 0, "%s",
			     err_text(&f.e));
		rows_compare(dir, &got, &want, true);
		cr_assert_eq(got.failed, 0);
		free(got.v);
		free(want.v);
		block_unref(b);
		check_plain(&f, dir, &n);
	}
	cr_assert_eq(n, 251);
	cr_assert_eq(count_warnings(&f, ""), 0);
	fix_end(&f);
}

#define LONG "test/golden/compacted/long"

static void check_part(struct fix *f, const char *id, enum aggr part, const char *name)
{
	struct block_series_req req = req_all;
	struct rows got, want;
	struct block *b = open_block(f, str_fmt(&f->a, LONG "/bucket/%s", id).p);

	req.aggrs = AGGR_BIT(part);
	f->part = part;
	rows_expected_aggr(f, str_fmt(&f->a, LONG "/expected/%s.series.tsv", id).p, name,
			   &want);
	cr_assert(want.n > 0);
	cr_assert_eq(rows_of_block(f, b, &req, &got), 0, "%s", err_text(&f->e));
	rows_compare(name, &got, &want, false);
	cr_assert_eq(got.failed, 0);
	free(got.v);
	/* What was not asked for is not there. */
	f->part = part == AGGR_COUNT ? AGGR_SUM : AGGR_COUNT;
	if (part != AGGR_RAW) {
		cr_assert_eq(rows_of_block(f, b, &req, &got), 0);
		cr_assert_eq(got.n, 0);
		free(got.v);
	}
	free(want.v);
	block_unref(b);
}

Test(block_golden, aggregates_of_downsampled_blocks_are_split)
{
	static const char ids[][27] = { "01M81ZG1BPPMPG42S5N10TVXMM",
					"01M81ZG1EBNEZAK9G1G515QTZB" };
	static const char names[][8] = { "raw", "count", "sum", "min", "max", "counter" };
	struct fix f;

	fix_begin(&f);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		for (int k = AGGR_COUNT; k < AGGR_N; k++)
			check_part(&f, ids[i], (enum aggr)k, names[k]);
	check_part(&f, "01M81ZG1AFEYDCZYWWR1WJRBN1", AGGR_RAW, names[0]);
	fix_end(&f);
}
