/*
 * tsdb/write/index.c - the index of a block, version 2, from front to back.
 *
 *   | magic BAAAD700 | version 2 |
 *   | symbols: u32 length, u32 count, { uvarint length, text } ..., CRC |
 *   | series: zeros up to a multiple of 16, uvarint length, body, CRC of body | ...
 *   | postings and their offset table: index_lists.c |
 *   | TOC: six u64 offsets, CRC | 52 bytes
 *
 *   body   uvarint number of labels, { uvarint name, uvarint value } ...; uvarint number of chunks;
 *          first: varint mint, uvarint maxt - mint, uvarint ref
 *          later: uvarint mint - maxt before, uvarint maxt - mint, varint ref - ref before
 *
 * The symbols' length and count are filled in when the first series comes; their checksum, which begins with the
 * count, is put together of two. Source  prometheus.md §1.2
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/vec.h"
#include "tsdb/write/write_int.h"
#include "wire/wr.h"

#define INDEX_HEADER  5
#define TOC_BYTES     52
#define SERIES_ALIGN  16
#define SYMBOL_HEAD   8 /* length, count */
#define SYMBOL_MAX    LIMIT_SERIES_ENTRY_BYTES
#define UVARINT32_MAX 5
#define UVARINT64_MAX 10
#define SPILL_ROOM    ((size_t)64 << 10)

static const uint8_t magic[INDEX_HEADER] = { 0xba, 0xaa, 0xd7, 0, 2 };

int index_open(struct index_writer *x, struct ctx *ctx, const char *dir, size_t memory,
	       struct err *e)
{
	uint8_t head[INDEX_HEADER + SYMBOL_HEAD] = { 0 };
	memcpy(head, magic, sizeof(magic));
	*x = (struct index_writer){ .limits = WRITE_LIMITS, .dir = dir };
	buf_init(&x->last, SYMBOL_MAX);
	sym_init(&x->symbols, INDEX_HEADER + SYMBOL_HEAD);
	size_t room = strlen(dir) + sizeof("/index");
	char *path = xmalloc(room);
	snprintf(path, room, "%s/index", dir);
	int rc = fs_out_create(ctx, path, WRITE_BUFFER, &x->file, e);
	free(path);
	if (rc < 0 || post_init(&x->sort, ctx, dir, memory, e) < 0 ||
	    spill_open(&x->refs, ctx, dir, SPILL_ROOM, e) < 0)
		return -1;
	x->toc[0] = INDEX_HEADER;
	return fs_out_write(x->file, ctx, head, sizeof(head), e);
}

void index_drop(struct index_writer *x)
{
	fs_out_drop(x->file);
	buf_deinit(&x->last);
	sym_deinit(&x->symbols);
	post_deinit(&x->sort);
	spill_close(&x->refs);
	spill_close(&x->table);
	free(x->prev);
	free(x->entry);
	*x = (struct index_writer){ 0 };
}

int index_put(struct index_writer *x, struct ctx *ctx, const void *p, size_t n,
	      struct err *e)
{
	x->crc = crc32c(x->crc, p, n);
	return fs_out_write(x->file, ctx, p, n, e);
}

/* ---- symbols ---- */

int index_symbol(struct index_writer *x, struct ctx *ctx, struct str s, struct err *e)
{
	uint8_t head[UVARINT64_MAX];
	unsigned k = wr_uvarint_to(head, s.n);
	if (x->series_begun)
		return err_set(ctx, e, E_INVALID, "index: symbol after the first series");
	if (x->symbols.count && str_cmp(s, buf_view(&x->last)) <= 0)
		return err_set(ctx, e, E_INVALID,
			       "index: symbol %" PRIu32
			       " \"%.*s\" is not behind \"%.*s\"",
			       x->symbols.count, (int)MIN(s.n, 80u), s.p,
			       (int)MIN(x->last.n, 80u), (const char *)x->last.p);
	if (s.n > SYMBOL_MAX)
		return err_set(ctx, e, E_LIMIT, "index: symbol of %zu bytes", s.n);
	if (x->symbols.count == UINT32_MAX ||
	    x->symbols.bytes + k + s.n > x->limits.section - 4)
		return err_set(ctx, e, E_LIMIT,
			       "index: symbol table would exceed %" PRIu64 " bytes",
			       x->limits.section);
	if (fs_out_write(x->file, ctx, head, k, e) < 0 ||
	    fs_out_write(x->file, ctx, s.p, s.n, e) < 0)
		return -1;
	x->symbols_crc = crc32c(crc32c(x->symbols_crc, head, k), s.p, s.n);
	sym_add(&x->symbols, k + s.n);
	buf_reset(&x->last);
	buf_str(&x->last, s);
	return 0;
}

static int end_symbols(struct index_writer *x, struct ctx *ctx, struct err *e)
{
	uint8_t head[SYMBOL_HEAD], crc[4];
	if (x->series_begun)
		return 0;
	x->series_begun = true;
	write_be32(head, (uint32_t)(x->symbols.bytes + 4));
	write_be32(head + 4, x->symbols.count);
	write_be32(crc,
		   crc32c_join(crc32c(0, head + 4, 4), x->symbols_crc, x->symbols.bytes));
	x->crc = crc32c_join(crc32c(crc32c(0, magic, sizeof(magic)), head, sizeof(head)),
			     x->symbols_crc, x->symbols.bytes);
	if (index_put(x, ctx, crc, sizeof(crc), e) < 0 ||
	    fs_out_patch(x->file, ctx, INDEX_HEADER, head, sizeof(head), e) < 0)
		return -1;
	x->toc[1] = fs_out_pos(x->file);
	return 0;
}

/* ---- series ---- */

/* "{a="b", ...}" for an error, cut when long. */
static void add_labels(struct index_writer *x, struct ctx *ctx, struct buf *b,
		       const uint32_t *label, size_t n_labels)
{
	struct err ignored = ERR_INIT;
	struct str s;
	buf_byte(b, '{');
	for (size_t i = 0; i < 2 * n_labels && b->n < 300; i++) {
		if (label[i] >= x->symbols.count)
			buf_fmt(b, "%s#%" PRIu32, i % 2 ? "=" : i ? ", " : "", label[i]);
		else if (sym_get(&x->symbols, x->file, ctx, label[i], &s, &ignored) < 0)
			return;
		else
			buf_fmt(b,
				i % 2 ? "=\"%.*s\""
				: i   ? ", %.*s"
				      : "%.*s",
				(int)MIN(s.n, 100u), s.p);
	}
	buf_byte(b, '}');
}

/* "index: series N {...}: what", and with `before` the series before. */
static int bad_series(struct index_writer *x, struct ctx *ctx, const uint32_t *label,
		      size_t n_labels, const char *what, bool before, struct err *e)
{
	struct buf b;
	buf_init(&b, 2000);
	add_labels(x, ctx, &b, label, n_labels);
	buf_fmt(&b, ": %s", what);
	if (before)
		add_labels(x, ctx, &b, x->prev, x->n_prev);
	err_set(ctx, e, E_INVALID, "index: series %" PRIu64 " %.*s", x->n_series,
		(int)b.n, (const char *)b.p);
	buf_deinit(&b);
	return -1;
}

static bool is_behind(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b)
{
	for (size_t i = 0; i < 2 * MIN(n_a, n_b); i++)
		if (a[i] != b[i])
			return a[i] > b[i];
	return n_a > n_b;
}

int index_check_labels(struct index_writer *x, struct ctx *ctx, const uint32_t *label,
		       size_t n_labels, struct err *e)
{
	if (n_labels > LIMIT_LABELS_PER_SERIES)
		return err_set(ctx, e, E_LIMIT, "index: series of %zu labels", n_labels);
	if (end_symbols(x, ctx, e) < 0)
		return -1;
	for (size_t i = 0; i < 2 * n_labels; i++)
		if (UNLIKELY(label[i] >= x->symbols.count))
			return bad_series(x, ctx, label, n_labels,
					  "a label is no symbol of this block", false, e);
	for (size_t i = 2; i < 2 * n_labels; i += 2)
		if (UNLIKELY(label[i] <= label[i - 2]))
			return bad_series(x, ctx, label, n_labels,
					  "label names are not ascending", false, e);
	if (x->n_series && UNLIKELY(!is_behind(label, n_labels, x->prev, x->n_prev)))
		return bad_series(x, ctx, label, n_labels, "not behind ", true, e);
	return 0;
}

static void *need(void *p, size_t *cap, size_t n, size_t elem)
{
	return n > *cap ? vec_grow(p, cap, n, elem) : p;
}

static size_t make_body(uint8_t *at, const uint32_t *label, size_t n_labels,
			const struct index_chunk *c, size_t n)
{
	uint8_t *p = at;
	p += wr_uvarint_to(p, n_labels);
	for (size_t i = 0; i < 2 * n_labels; i++)
		p += wr_uvarint_to(p, label[i]);
	p += wr_uvarint_to(p, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t t = (uint64_t)c[i].mint_ms, ref = c[i].ref;
		if (i == 0) { /* signed time, plain reference */
			t = t << 1 ^ (uint64_t)(c[i].mint_ms >> 63);
		} else {
			int64_t d = (int64_t)(ref - c[i - 1].ref);
			t -= (uint64_t)c[i - 1].maxt_ms;
			ref = (uint64_t)d << 1 ^ (uint64_t)(d >> 63);
		}
		p += wr_uvarint_to(p, t);
		p += wr_uvarint_to(p, (uint64_t)c[i].maxt_ms - (uint64_t)c[i].mint_ms);
		p += wr_uvarint_to(p, ref);
	}
	return (size_t)(p - at);
}

int index_series(struct index_writer *x, struct ctx *ctx, const uint32_t *label,
		 size_t n_labels, const struct index_chunk *c, size_t n, struct err *e)
{
	/* Padding, length, body, CRC in one piece: the body lies where they leave room for it. */
	enum { BEFORE = SERIES_ALIGN + UVARINT64_MAX };
	size_t most = BEFORE + 2 * UVARINT64_MAX + 2 * n_labels * UVARINT32_MAX +
		      3 * n * UVARINT64_MAX + 4;
	uint64_t pos = fs_out_pos(x->file);
	uint32_t pad = (uint32_t)(-pos & (SERIES_ALIGN - 1));
	x->entry = need(x->entry, &x->entry_cap, most, 1);
	uint8_t *body = x->entry + BEFORE;
	size_t len = make_body(body, label, n_labels, c, n);
	write_be32(body + len, crc32c(0, body, len));
	unsigned k = wr_uvarint_len(len);
	uint8_t *from = body - k - pad;
	memset(from, 0, pad);
	wr_uvarint_to(body - k, len);
	size_t size = k + len + 4;
	if (pos + pad + size > x->limits.index)
		return err_set(ctx, e, E_LIMIT,
			       "index: would exceed %" PRIu64 " bytes at series %" PRIu64,
			       x->limits.index, x->n_series);
	if (len > LIMIT_SERIES_ENTRY_BYTES)
		return err_set(ctx, e, E_LIMIT, "index: series entry of %zu bytes", len);
	if (x->seen && x->seen(x->arg, ctx, str_n(body, len), c, e) < 0)
		return -1;
	uint32_t ref = (uint32_t)((pos + pad) / SERIES_ALIGN);
	uint32_t be = __builtin_bswap32(ref);
	if (index_put(x, ctx, from, pad + size, e) < 0 ||
	    spill_append(&x->refs, ctx, &be, sizeof(be), e) < 0 ||
	    post_add(&x->sort, ctx, ref, label, n_labels, e) < 0)
		return -1;
	x->prev = need(x->prev, &x->prev_cap, 2 * n_labels, sizeof(*x->prev));
	if (n_labels)
		memcpy(x->prev, label, 2 * n_labels * sizeof(*label));
	x->n_prev = n_labels;
	x->n_series++;
	x->series_max = MAX(x->series_max,
			    (size + SERIES_ALIGN - 1) / SERIES_ALIGN * SERIES_ALIGN);
	return 0;
}

int index_finish(struct index_writer *x, struct ctx *ctx, uint64_t *bytes, struct err *e)
{
	uint8_t toc[TOC_BYTES];
	if (end_symbols(x, ctx, e) < 0 || index_write_lists(x, ctx, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(x->toc); i++) {
		uint64_t v = __builtin_bswap64(x->toc[i]);
		memcpy(toc + 8 * i, &v, 8);
	}
	write_be32(toc + TOC_BYTES - 4, crc32c(0, toc, TOC_BYTES - 4));
	if (fs_out_pos(x->file) + TOC_BYTES > x->limits.index)
		return err_set(ctx, e, E_LIMIT, "index: would exceed %" PRIu64 " bytes",
			       x->limits.index);
	if (index_put(x, ctx, toc, sizeof(toc), e) < 0)
		return -1;
	*bytes = fs_out_pos(x->file);
	struct fs_out *f = x->file;
	x->file = NULL;
	return fs_out_close(f, ctx, e);
}
