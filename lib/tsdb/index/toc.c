/*
 * tsdb/index/toc.c - the frame of an index file: version, table of contents, checked sections.
 *
 *   | magic BAAAD700 | version |  5 bytes
 *   | symbols                  |
 *   | series                   |  16-aligned entries
 *   | postings                 |
 *   | postings offset table    |
 *   | TOC: symbols, series, label indices, label index table, postings, postings offset table
 *   |      (u64 each), CRC of these 48 bytes                                        |  52 bytes
 *
 * Symbols and offset table share one frame: u32 length, content, u32 CRC-32C of the content. The two
 * label index slots hold left-over numbers and are not read. Every offset is compared without
 * adding to it first: a hostile one near 2^64 must not wrap around.
 * Source: prometheus tsdb/docs/format/index.md.
 */
#include "tsdb/index/index_int.h"

#include <inttypes.h>

#include "base/hash.h"

int idx_check_version(unsigned version, struct err *e)
{
	if (version == 2 || version == 3)
		return 0;
	if (version == 1)
		return err_set(NULL, e, E_UNSUPPORTED,
			       "index format version 1 is not supported");
	return err_set(NULL, e, E_CORRUPT, "unknown index format version %u", version);
}

static int check_offset(uint64_t off, uint64_t size, const char *what, struct err *e)
{
	if (off >= IDX_HEADER_BYTES && off <= size - IDX_TOC_BYTES)
		return 0;
	return err_set(NULL, e, E_CORRUPT,
		       "table of contents: %s at %" PRIu64 " of a file of %" PRIu64
		       " bytes",
		       what, off, size);
}

int idx_toc_parse(struct str toc, uint64_t index_size, struct idx_toc *out, struct err *e)
{
	struct rd r = rd_of(toc);
	struct idx_toc t;

	if (toc.n != IDX_TOC_BYTES || index_size < IDX_HEADER_BYTES + IDX_TOC_BYTES)
		return err_set(NULL, e, E_CORRUPT, "table of contents: cut short");
	t.symbols = rd_be64(&r);
	t.series = rd_be64(&r);
	t.label_indices = rd_be64(&r);
	t.label_index_table = rd_be64(&r);
	t.postings = rd_be64(&r);
	t.postings_table = rd_be64(&r);
	if (crc32c(0, toc.p, IDX_TOC_BYTES - 4) != rd_be32(&r))
		return err_set(NULL, e, E_CORRUPT,
			       "table of contents: checksum mismatch");
	if (check_offset(t.symbols, index_size, "symbols", e) < 0 ||
	    check_offset(t.series, index_size, "series", e) < 0 ||
	    check_offset(t.postings, index_size, "postings", e) < 0 ||
	    check_offset(t.postings_table, index_size, "postings offset table", e) < 0)
		return -1;
	*out = t;
	return 0;
}

int idx_section_read(struct range_source *s, struct ctx *ctx, uint64_t off, uint64_t end,
		     const char *what, struct view *pin, struct str *content,
		     struct err *e)
{
	struct view v = { 0 };
	uint32_t len;

	if (end > s->size || off > end || end - off < 8)
		return err_set(ctx, e, E_CORRUPT, "%s: section at %" PRIu64 " cut short",
			       what, off);
	if (range_source_read1(s, ctx, off, 4, &v, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	struct rd r = rd_n(v.p, v.n);
	len = rd_be32(&r);
	view_put(&v);
	if (len > end - off - 8)
		return err_set(ctx, e, E_CORRUPT,
			       "%s: length %u, but only %" PRIu64 " bytes follow", what,
			       len, end - off - 8);
	if (range_source_read1(s, ctx, off + 4, (uint64_t)len + 4, &v, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	r = rd_n(v.p, v.n);
	*content = rd_bytes(&r, len);
	if (crc32c(0, content->p, len) != rd_be32(&r)) {
		view_put(&v);
		return err_set(ctx, e, E_CORRUPT, "%s: checksum mismatch", what);
	}
	*pin = v;
	return 0;
}
