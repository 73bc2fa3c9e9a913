#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "fs/fs.h"
#include "tsdb/block/scan.h"
#include "unit/tsdb_block/golden.h"

/* All symbols of a scan, copied. */
static struct str *read_symbols(struct fix *f, struct block_scan *s, size_t *n)
{
	struct str *v = ARENA_ARRAY(&f->a, struct str, block_scan_symbol_count(s) + 1);
	struct str sym;
	int rc;

	*n = 0;
	while ((rc = block_scan_symbol(s, &f->ctx, &sym, &f->e)) > 0)
		v[(*n)++] = str_dup(&f->a, sym);
	cr_assert_eq(rc, 0, "%s", err_text(&f->e));
	cr_assert_eq(*n, block_scan_symbol_count(s));
	return v;
}

static void same_series(struct fix *f, const struct scan_series *got,
			const struct str *symbol, const struct series_in *want)
{
	cr_assert_not(got->unsorted);
	cr_assert_eq(got->n_labels, want->labels.n);
	for (uint32_t i = 0; i < got->n_labels; i++) {
		cr_assert(str_eq(symbol[got->label[i * 2]], want->labels.l[i].name));
		cr_assert(str_eq(symbol[got->label[i * 2 + 1]], want->labels.l[i].value));
	}
	cr_assert_eq(got->n_chunks, want->n);
	for (size_t i = 0; i < want->n; i++) {
		const struct chunk_view *g = &got->chunk[i], *w = &want->chunks[i];
		cr_assert(g->mint_ms == w->mint_ms && g->maxt_ms == w->maxt_ms);
		for (unsigned k = 0; k < AGGR_N; k++) {
			cr_assert_eq(g->part[k].n, w->part[k].n);
			cr_assert_eq(g->part[k].enc, w->part[k].enc);
			if (w->part[k].n)
				cr_assert_arr_eq(g->part[k].p, w->part[k].p,
						 w->part[k].n);
		}
	}
	(void)f;
}

/* A scan shows what the reader of requests shows. */
static void same_as_reader(const char *dir, size_t read_ahead)
{
	struct block_series_req req = req_all;
	struct block_source src;
	struct block_scan *scan;
	struct series_set *set;
	const struct series_in *want;
	struct scan_series got;
	struct fix f;
	size_t n, again;
	int rc;

	fix_begin(&f);
	struct block *b = open_block(&f, dir);
	tombstones_free(b->tombstones); /* a scan does not apply them */
	b->tombstones = NULL;
	req.newer_encodings = true;
	req.aggrs = ~0u;
	cr_assert_eq(block_series(b, &f.ctx, &req, &set, &f.e), 0);
	cr_assert_eq(block_source_open_dir(&f.ctx, &f.a, dir, &src, &f.e), 0, "%s",
		     err_text(&f.e));
	cr_assert_eq(block_scan_open(&f.ctx, &src, read_ahead, &scan, &f.e), 0, "%s",
		     err_text(&f.e));
	struct str *symbol = read_symbols(&f, scan, &n);
	block_scan_rewind_symbols(scan);
	while ((rc = series_set_next(set, &f.ctx, &want, &f.e)) > 0) {
		cr_assert_eq(block_scan_series(scan, &f.ctx, &got, &f.e), 1, "%s",
			     err_text(&f.e));
		same_series(&f, &got, symbol, want);
		struct str text = labels_str(&f.a, want->labels);
		if (want->labels.n < 3)
			cr_assert(
				str_eq(block_scan_labels_text(scan, &f.ctx, &f.a), text));
	}
	cr_assert_eq(rc, 0, "%s", err_text(&f.e));
	cr_assert_eq(block_scan_series(scan, &f.ctx, &got, &f.e), 0, "%s",
		     err_text(&f.e));
	read_symbols(&f, scan, &again);
	cr_assert_eq(n, again);
	block_scan_close(scan);
	block_source_close(&src);
	series_set_close(set);
	block_unref(b);
	fix_end(&f);
}

static void same_in_folder(const char *folder, size_t read_ahead)
{
	struct fs_names names;
	struct fix f;
	size_t seen = 0;

	fix_begin(&f);
	cr_assert_eq(fs_list(&f.ctx, &f.a, folder, &names, &f.e), 0);
	for (size_t i = 0; i < names.n; i++)
		if (names.name[i].n == 26) {
			same_as_reader(str_fmt(&f.a, "%s/%.*s", folder,
					       STR_FMT(names.name[i]))
					       .p,
				       read_ahead);
			seen++;
		}
	cr_assert_gt(seen, 0);
	fix_end(&f);
}

Test(block_scan, shows_what_the_reader_shows)
{
	same_in_folder(GOLDEN "/bucket", 0);
	same_in_folder(GOLDEN "/newer", 0);
	same_in_folder(GOLDEN "/tombstones", 0);
}

Test(block_scan, windows_may_be_as_small_as_they_like)
{
	same_in_folder(GOLDEN "/bucket", 1);
	same_in_folder(GOLDEN "/bucket", 5000);
	same_in_folder(GOLDEN "/newer", 300);
}

Test(block_scan, aggregates_are_split)
{
	same_in_folder("test/golden/compacted/custom/bucket", 0);
	same_in_folder("test/golden/compacted/custom/bucket", 100);
}

/* ---- damage ---- */

struct parts {
	struct buf index, chunks;
	struct block_meta meta;
};

static void load(struct fix *f, const char *dir, struct parts *p)
{
	struct buf meta;

	buf_init(&p->index, 1 << 24);
	buf_init(&p->chunks, 1 << 24);
	buf_init(&meta, 1 << 20);
	cr_assert_eq(fs_read_file(&f->ctx, str_fmt(&f->a, "%s/meta.json", dir).p, 1 << 20,
				  &meta, &f->e),
		     0);
	cr_assert_eq(block_meta_parse(&f->ctx, &f->a, buf_view(&meta), &p->meta, &f->e),
		     0);
	cr_assert_eq(fs_read_file(&f->ctx, str_fmt(&f->a, "%s/index", dir).p, 1 << 24,
				  &p->index, &f->e),
		     0);
	cr_assert_eq(fs_read_file(&f->ctx, str_fmt(&f->a, "%s/chunks/000001", dir).p,
				  1 << 24, &p->chunks, &f->e),
		     0);
	buf_deinit(&meta);
}

/* Everything of these bytes; -1: an error, which names the block. */
static int scan_all(struct fix *f, const struct parts *p, size_t ahead)
{
	struct range_source *chunks =
		range_source_mem("000001", p->chunks.p, p->chunks.n);
	struct block_source src = {
		.meta = &p->meta,
		.index = range_source_mem("index", p->index.p, p->index.n),
		.segment = &chunks,
		.n_segments = 1,
	};
	struct block_scan *s = NULL;
	struct scan_series series;
	struct str sym;
	char id[40], name[27];
	int rc;

	f->e = ERR_INIT;
	rc = block_scan_open(&f->ctx, &src, ahead, &s, &f->e) < 0 ? -1 : 1;
	while (rc > 0)
		rc = block_scan_symbol(s, &f->ctx, &sym, &f->e);
	rc = rc < 0 ? -1 : 1;
	while (rc > 0)
		rc = block_scan_series(s, &f->ctx, &series, &f->e);
	block_scan_close(s);
	range_source_unref(src.index);
	range_source_unref(chunks);
	ulid_format(&p->meta.ulid, name);
	snprintf(id, sizeof(id), "block %s: ", name);
	if (rc < 0)
		cr_assert(str_has_prefix(str_of(err_text(&f->e)), str_of(id)), "%s",
			  err_text(&f->e));
	return rc;
}

static uint64_t toc(const struct parts *p, size_t slot)
{
	uint64_t v;
	memcpy(&v, p->index.p + p->index.n - 52 + slot * 8, 8);
	return __builtin_bswap64(v);
}

#define BASE "test/golden/corrupt/base"

Test(block_scan, no_changed_byte_is_taken_for_good)
{
	struct parts p;
	struct fix f;

	fix_begin(&f);
	load(&f, BASE, &p);
	cr_assert_eq(scan_all(&f, &p, 64), 0, "%s", err_text(&f.e));
	for (size_t i = 0; i < p.chunks.n; i++) {
		p.chunks.p[i] ^= 0x41;
		cr_assert_eq(scan_all(&f, &p, 64), i >= 5 && i < 8 ? 0 : -1,
			     "byte %zu of the segment", i);
		p.chunks.p[i] ^= 0x41;
	}
	size_t quiet = 0, series_end = toc(&p, 4);
	for (size_t i = 0; i < p.index.n; i++) {
		if (i >= series_end && i < p.index.n - 52) /* postings are not read */
			continue;
		bool was_zero = p.index.p[i] == 0;
		p.index.p[i] ^= 0x41;
		if (scan_all(&f, &p, 64) == 0) {
			cr_assert(was_zero && i >= toc(&p, 0) && i < series_end,
				  "byte %zu of the index", i);
			quiet++; /* between two entries */
		}
		p.index.p[i] ^= 0x41;
	}
	cr_assert_leq(quiet, 15 * 5);
	buf_deinit(&p.index);
	buf_deinit(&p.chunks);
	fix_end(&f);
}

Test(block_scan, files_cut_short_are_errors)
{
	struct parts p;
	struct fix f;

	fix_begin(&f);
	load(&f, BASE, &p);
	size_t n = p.chunks.n;
	for (p.chunks.n = 0; p.chunks.n < n; p.chunks.n++)
		cr_assert_eq(scan_all(&f, &p, 64), -1, "segment of %zu bytes",
			     p.chunks.n);
	n = p.index.n;
	for (p.index.n = 0; p.index.n < n; p.index.n++)
		cr_assert_eq(scan_all(&f, &p, 0), -1, "index of %zu bytes", p.index.n);
	buf_deinit(&p.index);
	buf_deinit(&p.chunks);
	fix_end(&f);
}

Test(block_scan, damaged_blocks_end_in_errors_or_are_whole)
{
	struct fs_names cases;
	struct fix f;
	size_t failed = 0, tried = 0;

	fix_begin(&f);
	cr_assert_eq(fs_list(&f.ctx, &f.a, "test/golden/corrupt/cases", &cases, &f.e), 0);
	for (size_t i = 0; i < cases.n; i++) {
		static const char *const file[] = { "index", "chunks/000001" };
		for (size_t k = 0; k < 2; k++) {
			const char *path =
				str_fmt(&f.a, "test/golden/corrupt/cases/%.*s/%s",
					STR_FMT(cases.name[i]), file[k])
					.p;
			struct fs_stat st;
			struct parts p;
			cr_assert_eq(fs_stat(&f.ctx, path, &st, &f.e), 0);
			if (st.kind != FS_FILE)
				continue;
			load(&f, BASE, &p);
			struct buf *b = k ? &p.chunks : &p.index;
			buf_reset(b);
			cr_assert_eq(fs_read_file(&f.ctx, path, 1 << 24, b, &f.e), 0);
			failed += scan_all(&f, &p, 0) < 0;
			tried++;
			buf_deinit(&p.index);
			buf_deinit(&p.chunks);
		}
	}
	cr_assert_gt(tried, 30);
	cr_assert_gt(failed, tried / 2, "%zu of %zu", failed, tried);
	fix_end(&f);
}
