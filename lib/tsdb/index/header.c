/*
 * tsdb/index/header.c - the index-header: the parts of a remote index that are wanted all the time,
 * in a small local file.
 *
 *   | magic BAAAD792 | version 1 | version of the index | u64 place of the offset table there |  14
 *   | symbols section, as in the index                                                       |
 *   | the index from its postings offset table to its end: table, then the index's TOC       |
 *   | u64 symbols, u64 offset table (both in this file) | CRC of these 16 bytes              |  20
 *
 * Building copies ranges of at most 16 MiB into a temporary file, which replaces the old one after it
 * is on disk: a killed build leaves nothing that could be taken for a header. On opening every
 * checksum is checked, the copied TOC too, and the size of the index that the header implies must
 * be the size of the index it is opened with.
 * Source: thanos docs, binary index-header.
 */
#include "tsdb/index/index_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "fs/fs.h"
#include "wire/wr.h"

#define PART_BYTES (16u << 20)

/* ---- building ---- */

struct build {
	struct ctx *ctx;
	struct range_source *index;
	const char *path; /* of the temporary file */
	int fd;
};

static int put(struct build *b, const void *p, size_t n, struct err *e)
{
	const char *c = p;

	while (n > 0) {
		ssize_t got = write(b->fd, c, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(b->ctx, e, errno, "%s", b->path);
		c += got;
		n -= (size_t)got;
	}
	return 0;
}

static int put_range(struct build *b, uint64_t off, uint64_t end, struct err *e)
{
	while (off < end) {
		struct view v = { 0 };
		uint64_t n = MIN(end - off, (uint64_t)PART_BYTES);
		if (ctx_check(b->ctx, e) < 0 ||
		    range_source_read1(b->index, b->ctx, off, n, &v, e) < 0)
			return -1;
		int rc = put(b, v.p, v.n, e);
		view_put(&v);
		if (rc < 0)
			return -1;
		off += n;
	}
	return 0;
}

/* Version, TOC and the length of the symbols section. */
static int read_source(struct build *b, unsigned *version, struct idx_toc *toc,
		       uint64_t *symbols_len, struct err *e)
{
	uint64_t size = b->index->size;
	struct view v[2] = { { 0 } };
	int rc;

	if (size < IDX_HEADER_BYTES + IDX_TOC_BYTES)
		return err_set(b->ctx, e, E_CORRUPT, "a file of only %" PRIu64 " bytes",
			       size);
	struct range need[2] = { { 0, IDX_HEADER_BYTES },
				 { size - IDX_TOC_BYTES, IDX_TOC_BYTES } };
	if (range_source_read(b->index, b->ctx, need, 2, v, e) < 0)
		return -1;
	struct rd r = rd_n(v[0].p, v[0].n);
	uint32_t magic = rd_be32(&r);
	*version = rd_u8(&r);
	rc = magic == IDX_MAGIC
		     ? idx_check_version(*version, e)
		     : err_set(b->ctx, e, E_CORRUPT, "invalid magic number %08x", magic);
	if (rc == 0)
		rc = idx_toc_parse(str_n(v[1].p, v[1].n), size, toc, e);
	view_put(&v[0]);
	view_put(&v[1]);
	if (rc < 0)
		return -1;
	if (range_source_read1(b->index, b->ctx, toc->symbols, 4, &v[0], e) < 0)
		return -1;
	r = rd_n(v[0].p, v[0].n);
	*symbols_len = (uint64_t)rd_be32(&r) + 8;
	view_put(&v[0]);
	if (*symbols_len > size - IDX_TOC_BYTES - toc->symbols)
		return err_set(b->ctx, e, E_CORRUPT, "symbols: length beyond the file");
	return 0;
}

static int write_header(struct build *b, struct err *e)
{
	struct idx_toc toc;
	uint64_t symbols_len = 0;
	unsigned version = 0;
	struct buf head, tail;
	int rc;

	if (read_source(b, &version, &toc, &symbols_len, e) < 0)
		return err_wrap(b->ctx, e, "index");
	buf_init(&head, IDX_HEADER_HEAD);
	wr_be32(&head, IDX_HEADER_MAGIC);
	buf_byte(&head, IDX_HEADER_VERSION);
	buf_byte(&head, (uint8_t)version);
	wr_be64(&head, toc.postings_table);
	buf_init(&tail, IDX_HEADER_TOC_BYTES);
	wr_be64(&tail, IDX_HEADER_HEAD);
	wr_be64(&tail, IDX_HEADER_HEAD + symbols_len);
	wr_be32(&tail, crc32c(0, tail.p, tail.n));

	rc = put(b, head.p, head.n, e);
	if (rc == 0)
		rc = put_range(b, toc.symbols, toc.symbols + symbols_len, e);
	if (rc == 0)
		rc = put_range(b, toc.postings_table, b->index->size, e);
	if (rc == 0)
		rc = put(b, tail.p, tail.n, e);
	buf_deinit(&head);
	buf_deinit(&tail);
	return rc;
}

int idx_build_header(struct ctx *ctx, struct range_source *index, const char *path,
		     struct err *e)
{
	struct build b = { .ctx = ctx, .index = index, .fd = -1 };
	char *tmp = NULL, *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int rc = -1;

	BUG_ON(asprintf(&tmp, "%s.tmp-XXXXXX", path) < 0);
	b.path = tmp;
	b.fd = mkostemp(tmp, O_CLOEXEC);
	if (b.fd < 0) {
		err_errno(ctx, e, errno, "%s", tmp);
		goto out;
	}
	rc = write_header(&b, e);
	if (rc == 0 && (fchmod(b.fd, 0644) < 0 || fsync(b.fd) < 0))
		rc = err_errno(ctx, e, errno, "%s", tmp);
	if (close(b.fd) < 0 && rc == 0)
		rc = err_errno(ctx, e, errno, "%s", tmp);
	if (rc == 0)
		rc = fs_rename(ctx, tmp, path, e);
	if (rc < 0)
		unlink(tmp);
	if (slash)
		*(slash == dir ? slash + 1 : slash) = 0;
	if (rc == 0)
		rc = fs_fsync_dir(ctx, slash ? dir : ".", e);
out:
	free(tmp);
	free(dir);
	return rc;
}

/* ---- opening ---- */

struct header {
	uint64_t table_in_index; /* where the offset table lies in the index */
	uint64_t symbols, table; /* in the header file */
	struct idx_toc toc;	 /* the copied one */
};

static int parse_head(struct str head, struct header *h, struct err *e)
{
	struct rd r = rd_of(head);
	uint32_t magic = rd_be32(&r);
	unsigned version = rd_u8(&r), index_version = rd_u8(&r);

	h->table_in_index = rd_be64(&r);
	if (r.bad || magic != IDX_HEADER_MAGIC)
		return err_set(NULL, e, E_CORRUPT, "invalid magic number %08x", magic);
	if (version != IDX_HEADER_VERSION)
		return err_set(NULL, e, E_CORRUPT, "unknown index-header version %u",
			       version);
	return idx_check_version(index_version, e);
}

static int parse_tail(struct str tail, uint64_t size, struct header *h, struct err *e)
{
	struct rd r = rd_of(str_from(tail, IDX_TOC_BYTES));

	h->symbols = rd_be64(&r);
	h->table = rd_be64(&r);
	if (crc32c(0, (const uint8_t *)tail.p + IDX_TOC_BYTES,
		   IDX_HEADER_TOC_BYTES - 4) != rd_be32(&r) ||
	    r.bad)
		return err_set(NULL, e, E_CORRUPT,
			       "table of contents: checksum mismatch");
	uint64_t end = size - IDX_HEADER_TOC_BYTES - IDX_TOC_BYTES;
	if (h->symbols < IDX_HEADER_HEAD || h->symbols > end ||
	    h->table < IDX_HEADER_HEAD || h->table > end)
		return err_set(NULL, e, E_CORRUPT,
			       "table of contents: offsets beyond the file");
	return 0;
}

static int read_header_frame(struct ctx *ctx, struct range_source *s, uint64_t index_size,
			     struct header *h, struct err *e)
{
	const size_t tail = IDX_TOC_BYTES + IDX_HEADER_TOC_BYTES;
	struct view v[2] = { { 0 } };
	int rc;

	if (s->size < IDX_HEADER_HEAD + tail)
		return err_set(ctx, e, E_CORRUPT, "a file of only %" PRIu64 " bytes",
			       s->size);
	struct range need[2] = { { 0, IDX_HEADER_HEAD }, { s->size - tail, tail } };
	if (range_source_read(s, ctx, need, 2, v, e) < 0)
		return -1;
	rc = parse_head(str_n(v[0].p, v[0].n), h, e);
	if (rc == 0)
		rc = parse_tail(str_n(v[1].p, v[1].n), s->size, h, e);
	uint64_t copied = rc == 0 ? s->size - IDX_HEADER_TOC_BYTES - h->table : 0;
	if (rc == 0 &&
	    (h->table_in_index > index_size || copied != index_size - h->table_in_index))
		rc = err_set(ctx, e, E_CORRUPT,
			     "made from another index: not one of %" PRIu64 " bytes",
			     index_size);
	if (rc == 0)
		rc = idx_toc_parse(str_n(v[1].p, IDX_TOC_BYTES), index_size, &h->toc, e);
	if (rc == 0 && h->toc.postings_table != h->table_in_index)
		rc = err_set(ctx, e, E_CORRUPT,
			     "place of the postings offset table does not agree with "
			     "the index's table of contents");
	view_put(&v[0]);
	view_put(&v[1]);
	return rc;
}

int idx_open_header(struct ctx *ctx, struct range_source *header,
		    struct range_source *index, struct idx_reader **out, struct err *e)
{
	struct idx_reader *r = NULL;
	struct view sym_pin = { 0 }, tab_pin = { 0 };
	struct str symbols, table;
	struct header h = { 0 };
	uint64_t end;
	int rc = -1;

	if (read_header_frame(ctx, header, index->size, &h, e) < 0)
		goto out;
	end = header->size - IDX_HEADER_TOC_BYTES - IDX_TOC_BYTES;
	if (idx_section_read(header, ctx, h.symbols, end, "symbols", &sym_pin, &symbols,
			     e) < 0 ||
	    idx_section_read(header, ctx, h.table, end, "postings offset table", &tab_pin,
			     &table, e) < 0)
		goto out;
	r = idx_reader_new(index);
	if (idx_reader_load(r, symbols, table, &h.toc, e) < 0)
		goto out;
	*out = r;
	r = NULL;
	rc = 0;
out:
	view_put(&sym_pin);
	view_put(&tab_pin);
	idx_close(r);
	return rc < 0 ? err_wrap(ctx, e, "index-header") : 0;
}
