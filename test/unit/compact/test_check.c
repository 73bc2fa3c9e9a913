/*
 * Reading back what was written: whatever is changed in the files of a block between writing and reading is noticed,
 * also where every checksum was made right again.
 */
#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/hash.h"
#include "compact/compact_int.h"
#include "unit/compact/made.h"
#include "wire/rd.h"

#define SERIES 6

/* ---- a block, and what the writer was given ---- */

struct checked {
	struct world w;
	struct job j;
	size_t n_files;
	struct file {
		char path[200];
		struct buf good;
	} file[20]; /* index, segments */
};

static void expect(struct checked *c)
{
	struct world *w = &c->w;
	struct block_source src;
	struct block_scan *s;
	struct scan_series x;
	c->j = (struct job){ .ctx = &w->f.ctx, .a = &w->f.a, .r = &w->r };
	cr_assert_eq(block_source_open_dir(&w->f.ctx, &w->f.a, w->out, &src, &w->f.e), 0);
	cr_assert_eq(block_scan_open(&w->f.ctx, &src, 0, &s, &w->f.e), 0);
	while (block_scan_series(s, &w->f.ctx, &x, &w->f.e) == 1) {
		struct check_series g = { x.label, x.n_labels, x.chunk, x.n_chunks,
					  false };
		struct index_chunk at[10];
		struct str body = world_entry(&c->file[0].good, x.ref, at);
		cr_assert_eq(check_entry(&c->j.given, &w->f.ctx, &g, at, body, &w->f.e),
			     0, "%s", err_text(&w->f.e));
	}
	block_scan_close(s);
	block_source_close(&src);
	cr_assert_eq(c->j.given.series, SERIES);
}

static void read_files(struct checked *c)
{
	c->n_files = c->w.r.stats.segments + 1;
	cr_assert_geq(c->n_files, 3);
	cr_assert_leq(c->n_files, ARRAY_LEN(c->file));
	for (size_t i = 0; i < c->n_files; i++) {
		struct file *f = &c->file[i];
		if (i == 0)
			snprintf(f->path, sizeof(f->path), "%s/index", c->w.out);
		else
			snprintf(f->path, sizeof(f->path), "%s/chunks/%06zu", c->w.out,
				 i);
		buf_init(&f->good, 1u << 20);
		cr_assert_eq(fs_read_file(&c->w.f.ctx, f->path, 1u << 20, &f->good,
					  &c->w.f.e),
			     0);
	}
}

/* Series of a chunk of one sample, which are all equally long, and one of many. */
static void begin(struct checked *c)
{
	static struct made_chunk one[SERIES], many[SERIES];
	static char name[SERIES][16];
	struct made_series s[SERIES];
	struct made_chunk list[SERIES][2];
	for (int i = 0; i < SERIES; i++) {
		one[i] = (struct made_chunk){ .n = 1, .t = { 10 }, .v = { i + 1.5 } };
		many[i] = (struct made_chunk){ .n = 20 };
		for (int k = 0; k < 20; k++) {
			many[i].t[k] = 100 + k * 10 + i % 3;
			many[i].v[k] = i * k;
		}
		list[i][0] = one[i];
		list[i][1] = many[i];
		snprintf(name[i], sizeof(name[i]), "s%d", i);
		s[i] = (struct made_series){ str_of(name[i]), list[i], 2 };
	}
	world_begin(&c->w);
	made_block(&c->w, 0, 1000, s, SERIES);
	c->w.o.segment_bytes = 200;
	world_must_compact(&c->w);
	read_files(c);
	expect(c);
	cr_assert_eq(check_output(&c->j, c->w.out, &c->w.f.e), 0, "%s",
		     err_text(&c->w.f.e));
}

static void end(struct checked *c)
{
	cr_assert_eq(check_output(&c->j, c->w.out, &c->w.f.e), 0, "%s",
		     err_text(&c->w.f.e));
	for (size_t i = 0; i < c->n_files; i++)
		buf_deinit(&c->file[i].good);
	world_end(&c->w);
}

static void put(const struct file *f, const void *p, size_t n)
{
	FILE *o = fopen(f->path, "wb");
	cr_assert(o && fwrite(p, 1, n, o) == n && fclose(o) == 0);
}

static void restore(const struct file *f)
{
	put(f, f->good.p, f->good.n);
}

static const char *must_notice(struct checked *c, const char *what, const struct file *f,
			       size_t at)
{
	struct err *e = &c->w.f.e;
	*e = ERR_INIT;
	cr_assert_eq(check_output(&c->j, c->w.out, e), -1, "%s: %s at %zu", what, f->path,
		     at);
	cr_assert_eq(e->code, E_CORRUPT, "%s: %s at %zu: %s", what, f->path, at,
		     err_text(e));
	return err_text(e);
}

/* ---- bytes ---- */

Test(compact_check, a_bit_that_flips_anywhere_is_noticed)
{
	struct checked c;
	begin(&c);
	for (size_t i = 0; i < c.n_files; i++) {
		struct file *f = &c.file[i];
		for (size_t at = 0; at < f->good.n; at++) {
			f->good.p[at] ^= (uint8_t)(1u << at % 8);
			restore(f);
			must_notice(&c, "flip", f, at);
			f->good.p[at] ^= (uint8_t)(1u << at % 8);
		}
		restore(f);
	}
	end(&c);
}

Test(compact_check, files_that_are_cut_or_longer_are_noticed)
{
	struct checked c;
	begin(&c);
	for (size_t i = 0; i < c.n_files; i++) {
		struct file *f = &c.file[i];
		for (size_t n = 0; n < f->good.n;
		     n += n < 70 || n + 70 > f->good.n ? 1 : 7) {
			put(f, f->good.p, n);
			must_notice(&c, "cut", f, n);
		}
		buf_byte(&f->good, 0);
		restore(f);
		must_notice(&c, "longer", f, f->good.n);
		f->good.n--;
		cr_assert_eq(unlink(f->path), 0);
		must_notice(&c, "gone", f, 0);
		restore(f);
	}
	struct file more = c.file[1];
	snprintf(more.path, sizeof(more.path), "%s/chunks/%06zu", c.w.out, c.n_files);
	restore(&more);
	must_notice(&c, "one more", &more, 0);
	cr_assert_eq(unlink(more.path), 0);
	end(&c);
}

/* The segments as they grow by so many bytes. */
static void walk_by(const struct checked *c, size_t step, struct check_walk *w, bool keep)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	ctx_init(&ctx, NULL, 0);
	*w = (struct check_walk){ 0 };
	for (uint32_t i = 1; i < c->n_files; i++) {
		const struct file *f = &c->file[i];
		for (size_t at = 0; at < f->good.n; at += step)
			cr_assert_eq(check_walk(w, &ctx, i, f->good.p + at,
						MIN(step, f->good.n - at), &e),
				     0, "%zu: %s", at, err_text(&e));
		cr_assert(w->segment == i && w->at == f->good.n && w->rest.n == 0);
	}
	if (!keep) {
		buf_deinit(&w->rest);
		free(w->probe);
	}
	ctx_deinit(&ctx);
}

Test(compact_check, segments_are_walked_as_they_grow)
{
	struct checked c;
	struct check_walk whole, steps;
	begin(&c);
	walk_by(&c, 1u << 20, &whole, false);
	cr_assert_eq(whole.hash, c.j.given.hash);
	cr_assert_eq(whole.chunks, c.j.given.chunks);
	for (size_t step = 1; step < 200; step++) {
		walk_by(&c, step, &steps, false);
		cr_assert_eq(steps.hash, whole.hash);
		cr_assert_eq(steps.chunks, whole.chunks);
	}
	end(&c);
}

/* The walk saw what was to be written; what the file holds is another thing. */
Test(compact_check, a_file_that_holds_other_bytes_than_were_handed_over_is_noticed)
{
	struct checked c;
	begin(&c);
	for (size_t i = 1; i < c.n_files; i++) {
		struct file *f = &c.file[i];
		for (size_t at = 8; at < f->good.n; at++) {
			walk_by(&c, 1u << 20, &c.j.walk, true);
			f->good.p[at] ^= 16;
			restore(f);
			must_notice(&c, "other in the file", f, at);
			f->good.p[at] ^= 16;
		}
		restore(f);
	}
	walk_by(&c, 1u << 20, &c.j.walk, true);
	end(&c);
}

/* ---- sound files that are not those ---- */

struct entry {
	size_t at, head, body; /* body: encoding and data; then four bytes of checksum */
};

static size_t entries_of(const struct buf *b, struct entry *v)
{
	size_t n = 0;
	for (size_t at = 8; at < b->n; n++) {
		struct rd r = rd_n(b->p + at, b->n - at);
		size_t len = (size_t)rd_uvarint(&r);
		v[n] = (struct entry){ at, (size_t)(r.p - b->p) - at, len + 1 };
		at += v[n].head + v[n].body + 4;
	}
	return n;
}

static void sum_again(uint8_t *p, size_t n)
{
	uint32_t crc = __builtin_bswap32(crc32c(0, p, n));
	memcpy(p + n, &crc, 4);
}

Test(compact_check, other_chunks_with_right_checksums_are_noticed)
{
	struct checked c;
	struct entry v[20];
	begin(&c);
	for (size_t i = 1; i < c.n_files; i++) {
		struct file *f = &c.file[i];
		size_t n = entries_of(&f->good, v);
		for (size_t k = 0; k < n; k++)
			for (size_t at = 0; at < v[k].body; at++) {
				uint8_t *p = f->good.p + v[k].at + v[k].head;
				p[at] ^= 1;
				sum_again(p, v[k].body);
				restore(f);
				const char *why =
					must_notice(&c, "other", f, v[k].at + at);
				cr_assert(strstr(why, "read back, others"), "%s", why);
				p[at] ^= 1;
				sum_again(p, v[k].body);
			}
		restore(f);
	}
	end(&c);
}

Test(compact_check, two_chunks_of_one_length_in_turned_order_are_noticed)
{
	struct checked c;
	struct entry v[20];
	int turned = 0;
	begin(&c);
	for (size_t i = 1; i < c.n_files; i++) {
		struct file *f = &c.file[i];
		size_t n = entries_of(&f->good, v);
		for (size_t a = 0; a < n; a++)
			for (size_t b = a + 1; b < n; b++) {
				size_t len = v[a].head + v[a].body + 4;
				uint8_t *x = f->good.p + v[a].at,
					*y = f->good.p + v[b].at, keep[300];
				if (v[b].body != v[a].body || memcmp(x, y, len) == 0)
					continue;
				memcpy(keep, x, len);
				memcpy(x, y, len);
				memcpy(y, keep, len);
				restore(f);
				const char *why = must_notice(&c, "turned", f, v[a].at);
				cr_assert(strstr(why, "read back, others"), "%s", why);
				memcpy(y, x, len);
				memcpy(x, keep, len);
				restore(f);
				turned++;
			}
	}
	cr_assert_gt(turned, 0);
	end(&c);
}

/* As if the writer had encoded it wrongly, and summed that. */
static void must_differ(struct checked *c, const struct scan_series *x, struct str body,
			size_t byte)
{
	struct check_series g = { x->label, x->n_labels, x->chunk, x->n_chunks, false };
	struct index_chunk at[10];
	struct check_sums s = { 0 };
	struct err *e = &c->w.f.e;
	world_entry(&c->file[0].good, x->ref, at);
	cr_assert_eq(check_entry(&s, &c->w.f.ctx, &g, at, body, e), -1,
		     "series %u at %zu", x->ref, byte);
	cr_assert_eq(e->code, E_CORRUPT);
	*e = ERR_INIT;
}

Test(compact_check, another_series_entry_is_noticed_by_what_it_says)
{
	struct checked c;
	struct block_source src;
	struct block_scan *s;
	struct scan_series x;
	int n = 0;
	begin(&c);
	struct world *w = &c.w;
	cr_assert_eq(block_source_open_dir(&w->f.ctx, &w->f.a, w->out, &src, &w->f.e), 0);
	cr_assert_eq(block_scan_open(&w->f.ctx, &src, 0, &s, &w->f.e), 0);
	for (; block_scan_series(s, &w->f.ctx, &x, &w->f.e) == 1; n++) {
		struct index_chunk places[10];
		struct str good = world_entry(&c.file[0].good, x.ref, places);
		char body[200];
		cr_assert(good.n < sizeof(body));
		for (size_t at = 0; at < good.n; at++)
			for (int bit = 0; bit < 8; bit++) {
				memcpy(body, good.p, good.n);
				body[at] ^= (char)(1 << bit);
				must_differ(&c, &x, str_n(body, good.n), at);
			}
		for (size_t len = 0; len < good.n; len++)
			must_differ(&c, &x, str_n(good.p, len), len);
		memcpy(body, good.p, good.n);
		body[good.n] = 0;
		must_differ(&c, &x, str_n(body, good.n + 1), good.n);
	}
	cr_assert_eq(n, SERIES);
	block_scan_close(s);
	block_source_close(&src);
	end(&c);
}

/* The checksum of the file is what it would be if the writer had made it so. */
Test(compact_check, entries_that_are_not_where_they_should_be_are_noticed)
{
	struct checked c;
	begin(&c);
	struct file *f = &c.file[0];
	struct rd toc = rd_n(f->good.p + f->good.n - 52, 52);
	rd_be64(&toc);
	size_t at = (size_t)rd_be64(&toc), stop = (size_t)rd_be64(&toc), n = 0;
	uint32_t crc = c.w.r.stats.index_crc;
	for (at = (at + 15) / 16 * 16; at < stop; at = (at + 15) / 16 * 16, n++) {
		struct rd r = rd_n(f->good.p + at, stop - at);
		size_t len = (size_t)rd_uvarint(&r), body = (size_t)(r.p - f->good.p);
		f->good.p[at] ^= 1; /* its length */
		restore(f);
		c.w.r.stats.index_crc = crc32c(0, f->good.p, f->good.n);
		must_notice(&c, "entry", f, at);
		f->good.p[at] ^= 1;
		at = body + len + 4;
	}
	cr_assert_eq(n, SERIES);
	c.w.r.stats.index_crc = crc;
	restore(f);
	end(&c);
}

/* ---- when ---- */

static bool has_block(struct world *w)
{
	struct fs_names l;
	struct ulid u;
	struct err e = ERR_INIT;
	cr_assert_eq(fs_list(&w->f.ctx, &w->f.a, w->dir, &l, &e), 0);
	for (size_t i = 0; i < l.n; i++)
		if (ulid_parse(l.name[i], &u))
			return true;
	return false;
}

static void die_at(struct world *w, uint64_t nth)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		fault_arm(nth, FAULT_EXIT);
		_exit(world_compact(w) == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), FAULT_STATUS);
}

/* Nothing has the block's name before all of it was read back: neither after an error there, nor after death. */
Test(compact_check, comes_before_the_name)
{
	struct checked c;
	struct world *w = &c.w;
	int reads = 0;
	bool done = false;
	begin(&c);
	for (uint64_t nth = 1; !done; nth++) {
		cr_assert_eq(fs_remove_all(NULL, w->out, &w->f.e), 0);
		fault_arm(nth, FAULT_ONCE);
		int rc = world_compact(w);
		const char *at = fault_struck();
		done = fault_passed() < nth;
		fault_arm(0, FAULT_ONCE);
		if (strcmp(at, "FS_READ") != 0)
			continue;
		reads++;
		cr_assert_eq(rc, -1);
		cr_assert_eq(w->f.e.code, E_IO, "%s", err_text(&w->f.e));
		cr_assert_not(has_block(w));
		die_at(w, nth);
		cr_assert_not(has_block(w));
	}
	cr_assert_geq(reads, 3);
	cr_assert(has_block(w));
	w->f.e = ERR_INIT;
	end(&c);
}
