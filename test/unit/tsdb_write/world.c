#include "unit/tsdb_write/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/tst.h"

void world_begin(struct world *w)
{
	*w = (struct world){ .dir = "/tmp/thanosc-write-XXXXXX" };
	ctx_init(&w->ctx, NULL, 0);
	arena_init(&w->a, NULL);
	w->e = ERR_INIT;
	cr_assert(mkdtemp(w->dir));
}

void world_end(struct world *w)
{
	cr_assert_eq(fs_remove_all(&w->ctx, w->dir, &w->e), 0, "%s", err_text(&w->e));
	arena_deinit(&w->a);
	ctx_deinit(&w->ctx);
}

struct str world_read(struct world *w, const char *path)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 30);
	cr_assert_eq(fs_read_file(&w->ctx, path, (size_t)1 << 30, &b, &w->e), 0, "%s",
		     err_text(&w->e));
	struct str s = str_dup(&w->a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

const char *world_path(struct world *w, const char *fmt, ...)
{
	char s[500];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	return str_dupz(&w->a, str_of(s));
}

struct fs_names world_names(struct world *w)
{
	struct fs_names l;
	cr_assert_eq(fs_list(&w->ctx, &w->a, w->dir, &l, &w->e), 0, "%s",
		     err_text(&w->e));
	return l;
}

struct ulid world_ulid(const char *id)
{
	struct ulid u;
	cr_assert(ulid_parse(str_of(id), &u));
	return u;
}

static void read_chunks(struct world *w, struct copy *c, const struct idx_series *in,
			size_t total)
{
	struct segment_need *need = ARENA_ARRAY(&w->a, struct segment_need, total + 1);
	size_t k = 0;
	for (size_t i = 0; i < c->n; i++)
		for (size_t j = 0; j < in[i].n_chunks; j++)
			need[k++].ref = in[i].chunk[j].ref;
	cr_assert_eq(segments_read(c->block->segments, &w->ctx, need, total, NULL, NULL,
				   &w->e),
		     0, "%s", err_text(&w->e));
	c->pin = ARENA_ARRAY(&w->a, struct view, total + 1);
	c->n_pins = total;
	k = 0;
	for (size_t i = 0; i < c->n; i++) {
		struct copy_series *s = &c->series[i];
		s->n_chunks = in[i].n_chunks;
		s->chunk = ARENA_ARRAY(&w->a, struct chunk_view, s->n_chunks + 1);
		for (size_t j = 0; j < s->n_chunks; j++, k++) {
			struct chunk_part p = need[k].part;
			cr_assert(!need[k].bad);
			c->pin[k] = need[k].pin;
			s->chunk[j].mint_ms = in[i].chunk[j].mint_ms;
			s->chunk[j].maxt_ms = in[i].chunk[j].maxt_ms;
			if (p.enc == CHUNK_AGGR)
				cr_assert_eq(chunk_aggr_split(p.p, p.n, &s->chunk[j],
							      &w->e),
					     0);
			else
				s->chunk[j].part[AGGR_RAW] = p;
		}
	}
}

void copy_open(struct world *w, const char *dir, struct copy *out)
{
	struct postings p;
	struct idx_series_req req = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	size_t total = 0;
	*out = (struct copy){ 0 };
	cr_assert_eq(block_open_dir(&w->ctx, dir, &out->block, &w->e), 0, "%s",
		     err_text(&w->e));
	struct idx_reader *r = out->block->index;
	cr_assert_eq(idx_postings(r, &w->ctx, &w->a, NULL, 0, &p, &w->e), 0, "%s",
		     err_text(&w->e));
	out->n = p.n;
	out->series = ARENA_ARRAY(&w->a, struct copy_series, p.n + 1);
	struct idx_series *in = ARENA_ARRAY(&w->a, struct idx_series, p.n + 1);
	cr_assert_eq(idx_series_read(r, &w->ctx, &w->a, p.ref, p.n, &req, in, &w->e), 0,
		     "%s", err_text(&w->e));
	for (size_t i = 0; i < p.n; i++) {
		cr_assert(!in[i].bad);
		out->series[i].label = in[i].label;
		out->series[i].n_labels = in[i].n_labels;
		total += in[i].n_chunks;
	}
	read_chunks(w, out, in, total);
}

void copy_close(struct copy *c)
{
	for (size_t i = 0; i < c->n_pins; i++)
		view_put(&c->pin[i]);
	block_unref(c->block);
}

int copy_write(struct world *w, const struct copy *c, const struct block_writer_opts *o,
	       struct block_meta *meta, bool keep_stats, struct block_writer_stats *stats)
{
	return copy_write_within(w, c, o, NULL, meta, keep_stats, stats);
}

static int write_all(struct world *w, const struct copy *c, struct block_writer *bw)
{
	struct idx_reader *r = c->block->index;
	for (uint32_t i = 0; i < idx_symbol_count(r); i++) {
		bool bad = false;
		struct str s = idx_symbol(r, i, &bad);
		if (bad || block_writer_symbol(bw, &w->ctx, s, &w->e) < 0)
			return -1;
	}
	for (size_t i = 0; i < c->n; i++) {
		const struct copy_series *s = &c->series[i];
		if (block_writer_series(bw, &w->ctx, s->label, s->n_labels, s->chunk,
					s->n_chunks, &w->e) < 0)
			return -1;
	}
	return 0;
}

int copy_write_within(struct world *w, const struct copy *c,
		      const struct block_writer_opts *o, const struct write_limits *l,
		      struct block_meta *meta, bool keep_stats,
		      struct block_writer_stats *stats)
{
	struct block_writer *bw;
	if (block_writer_open(&w->ctx, o, &bw, &w->e) < 0)
		return -1;
	if (l)
		block_writer_limit(bw, *l);
	if (write_all(w, c, bw) == 0)
		return block_writer_finish(bw, &w->ctx, meta, keep_stats, stats, &w->e);
	block_writer_abort(bw);
	return -1;
}

void copy_compare(const struct copy *a, const struct copy *b)
{
	cr_assert_eq(idx_symbol_count(a->block->index),
		     idx_symbol_count(b->block->index));
	for (uint32_t i = 0; i < idx_symbol_count(a->block->index); i++) {
		bool bad = false;
		cr_assert(str_eq(idx_symbol(a->block->index, i, &bad),
				 idx_symbol(b->block->index, i, &bad)) &&
			  !bad);
	}
	cr_assert_eq(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct copy_series *x = &a->series[i], *y = &b->series[i];
		cr_assert_eq(x->n_labels, y->n_labels);
		cr_assert_eq(memcmp(x->label, y->label, 8 * x->n_labels), 0);
		cr_assert_eq(x->n_chunks, y->n_chunks);
		for (size_t j = 0; j < x->n_chunks; j++)
			cr_assert(chunk_view_eq(&x->chunk[j], &y->chunk[j]),
				  "series %zu, chunk %zu", i, j);
	}
}
