/*
 * tsdb/write/index_lists.c - postings, and the table that says where the list of a label lies.
 *
 *   list   zeros up to a multiple of 4; u32 length, u32 n, n x u32 series, CRC of n and series
 *   table  u32 length, u32 count, { 2, name, value, uvarint offset of the list } ..., CRC of count and entries
 *
 * The first list is that of all series, under the empty name and value; then names and values ascend. The format
 * used to have tables of label values here; readers ask for their offsets in the TOC, which point at the end of the
 * series and at the postings' table, as Prometheus leaves them.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "tsdb/write/write_int.h"
#include "wire/wr.h"

#define LIST_ALIGN  4
#define SPILL_ROOM  ((size_t)64 << 10)
#define CHECK_EVERY 1024 /* lists between questions whether to go on */

struct index_list { /* spilled */
	uint32_t name, value;
	uint64_t off;
};

/* A list being written. */
struct list {
	uint64_t off;
	uint32_t crc;
};

static int list_begin(struct index_writer *x, struct ctx *ctx, uint64_t n, struct list *l,
		      struct err *e)
{
	uint8_t head[LIST_ALIGN + 8] = { 0 };
	uint64_t pos = fs_out_pos(x->file), len = 4 + 4 * n;
	uint32_t pad = (uint32_t)(-pos & (LIST_ALIGN - 1));
	if (len > x->limits.section || pos + pad + 8 + len > x->limits.index)
		return err_set(ctx, e, E_LIMIT,
			       "index: would exceed %" PRIu64
			       " bytes at a list of %" PRIu64 " series",
			       x->limits.index, n);
	write_be32(head + LIST_ALIGN, (uint32_t)len);
	write_be32(head + LIST_ALIGN + 4, (uint32_t)n);
	*l = (struct list){ pos + pad, crc32c(0, head + LIST_ALIGN + 4, 4) };
	return index_put(x, ctx, head + LIST_ALIGN - pad, pad + 8, e);
}

static int list_add(struct index_writer *x, struct ctx *ctx, struct list *l,
		    const void *refs, size_t bytes, struct err *e)
{
	l->crc = crc32c(l->crc, refs, bytes);
	return index_put(x, ctx, refs, bytes, e);
}

static int list_end(struct index_writer *x, struct ctx *ctx, const struct list *l,
		    struct err *e)
{
	uint8_t crc[4];
	write_be32(crc, l->crc);
	return index_put(x, ctx, crc, sizeof(crc), e);
}

/* The list of all series. */
static int write_all(struct index_writer *x, struct ctx *ctx, uint64_t *off,
		     struct err *e)
{
	struct list l;
	struct spill_reader r = { .s = &x->refs, .room = SPILL_ROOM };
	const uint8_t *p;
	size_t n;
	int rc = -1;
	if (list_begin(x, ctx, x->n_series, &l, e) < 0 ||
	    spill_flush(&x->refs, ctx, e) < 0)
		return -1;
	r.end = spill_pos(&x->refs);
	r.p = xmalloc(r.room);
	while ((rc = spill_peek(&r, ctx, 1, &p, &n, e)) == 0 && n) {
		if (list_add(x, ctx, &l, p, n, e) < 0) {
			rc = -1;
			break;
		}
		spill_skip(&r, n);
	}
	free(r.p);
	*off = l.off;
	return rc < 0 ? -1 : list_end(x, ctx, &l, e);
}

static int write_group(struct index_writer *x, struct ctx *ctx, struct post_merge *m,
		       const struct post_group *g, struct err *e)
{
	struct list l;
	struct str piece;
	int rc;
	if (list_begin(x, ctx, g->n, &l, e) < 0)
		return -1;
	while ((rc = post_merge_refs(m, ctx, &piece, e)) == 1)
		if (list_add(x, ctx, &l, piece.p, piece.n, e) < 0)
			return -1;
	if (rc < 0)
		return -1;
	const struct index_list row = { g->name, g->value, l.off };
	if (spill_append(&x->table, ctx, &row, sizeof(row), e) < 0)
		return -1;
	return list_end(x, ctx, &l, e);
}

static int write_postings(struct index_writer *x, struct ctx *ctx, uint64_t *all,
			  uint64_t *groups, struct err *e)
{
	struct post_merge *m = NULL;
	struct post_group g;
	int rc;
	if (write_all(x, ctx, all, e) < 0 || post_done(&x->sort, ctx, e) < 0 ||
	    post_merge_open(&x->sort, ctx, 0, &m, e) < 0)
		return -1;
	*groups = 0;
	while ((rc = post_merge_next(m, ctx, &g, e)) == 1) {
		if (write_group(x, ctx, m, &g, e) < 0 ||
		    (++*groups % CHECK_EVERY == 0 && ctx_check(ctx, e) < 0)) {
			rc = -1;
			break;
		}
	}
	post_merge_close(m);
	return rc;
}

/* ---- offset table ---- */

struct table {
	struct buf b;	 /* one entry */
	struct buf name; /* text of the entry before's name */
	uint32_t name_ordinal;
	uint32_t crc;
};

static int table_add(struct index_writer *x, struct ctx *ctx, struct table *t,
		     struct str name, struct str value, uint64_t off, struct err *e)
{
	buf_reset(&t->b);
	buf_byte(&t->b, 2);
	wr_uvarint(&t->b, name.n);
	buf_str(&t->b, name);
	wr_uvarint(&t->b, value.n);
	buf_str(&t->b, value);
	wr_uvarint(&t->b, off);
	if (buf_check(&t->b, ctx, "index: entry of the postings offset table", e) < 0)
		return -1;
	uint64_t len = fs_out_pos(x->file) + t->b.n - x->toc[5] - 4;
	if (len > x->limits.section)
		return err_set(ctx, e, E_LIMIT,
			       "index: postings offset table would exceed %" PRIu64
			       " bytes",
			       x->limits.section);
	t->crc = crc32c(t->crc, t->b.p, t->b.n);
	return fs_out_write(x->file, ctx, t->b.p, t->b.n, e);
}

static int table_row(struct index_writer *x, struct ctx *ctx, struct table *t,
		     const struct index_list *row, struct err *e)
{
	struct str s;
	if (t->name_ordinal != row->name || t->name.n == 0) {
		if (sym_get(&x->symbols, x->file, ctx, row->name, &s, e) < 0)
			return -1;
		buf_reset(&t->name);
		buf_str(&t->name, s);
		t->name_ordinal = row->name;
	}
	if (sym_get(&x->symbols, x->file, ctx, row->value, &s, e) < 0)
		return -1;
	return table_add(x, ctx, t, buf_view(&t->name), s, row->off, e);
}

static int table_rows(struct index_writer *x, struct ctx *ctx, struct table *t,
		      uint64_t n, struct err *e)
{
	struct spill_reader r = { .s = &x->table,
				  .end = spill_pos(&x->table),
				  .room = SPILL_ROOM };
	struct index_list row;
	const uint8_t *p;
	size_t have;
	int rc = spill_flush(&x->table, ctx, e);
	r.p = xmalloc(r.room);
	for (uint64_t i = 0; rc == 0 && i < n; i++) {
		rc = spill_peek(&r, ctx, sizeof(row), &p, &have, e);
		if (rc < 0)
			break;
		BUG_ON(have < sizeof(row));
		memcpy(&row, p, sizeof(row));
		spill_skip(&r, sizeof(row));
		rc = table_row(x, ctx, t, &row, e);
		if (rc == 0 && (i + 1) % CHECK_EVERY == 0)
			rc = ctx_check(ctx, e);
	}
	free(r.p);
	return rc;
}

static int write_table(struct index_writer *x, struct ctx *ctx, uint64_t all,
		       uint64_t groups, struct err *e)
{
	uint8_t head[8] = { 0 }, crc[4];
	struct table t = { 0 };
	int rc = -1;
	x->toc[5] = x->toc[3] = fs_out_pos(x->file);
	if (groups >= UINT32_MAX)
		return err_set(ctx, e, E_LIMIT, "index: %" PRIu64 " label pairs", groups);
	write_be32(head + 4, (uint32_t)groups + 1);
	t.crc = crc32c(0, head + 4, 4);
	buf_init(&t.b, SIZE_MAX);
	buf_init(&t.name, SIZE_MAX);
	if (fs_out_write(x->file, ctx, head, sizeof(head), e) < 0 ||
	    table_add(x, ctx, &t, STR_NULL, STR_NULL, all, e) < 0 ||
	    table_rows(x, ctx, &t, groups, e) < 0)
		goto out;
	uint64_t len = fs_out_pos(x->file) - x->toc[5] - 4; /* what t.crc covers */
	write_be32(head, (uint32_t)len);
	write_be32(crc, t.crc);
	x->crc = crc32c_join(crc32c(x->crc, head, 4), t.crc, len);
	if (fs_out_patch(x->file, ctx, x->toc[5], head, 4, e) < 0 ||
	    index_put(x, ctx, crc, sizeof(crc), e) < 0)
		goto out;
	rc = 0;
out:
	buf_deinit(&t.b);
	buf_deinit(&t.name);
	return rc;
}

int index_write_lists(struct index_writer *x, struct ctx *ctx, struct err *e)
{
	uint64_t all, groups;
	x->toc[2] = x->toc[4] =
		fs_out_pos(x->file); /* before the padding, as Prometheus */
	if (spill_open(&x->table, ctx, x->dir, SPILL_ROOM, e) < 0 ||
	    write_postings(x, ctx, &all, &groups, e) < 0)
		return -1;
	return write_table(x, ctx, all, groups, e);
}
