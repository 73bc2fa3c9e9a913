/*
 * inspect/index_parts.c - the frame of an index, its symbols and its postings offset table, each looked at by itself.
 *
 * tsdb/index opens an index only if all of this is sound; here the first damage must not hide the second, so the parts
 * are read anew: magic, version, checksum of the table of contents, checksums and contents of the sections.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "inspect/inspect_int.h"
#include "wire/rd.h"

#define FILE_NAME  "index"
#define MAGIC	   0xbaaad700u
#define HEAD_BYTES 5
#define TOC_BYTES  52

typedef unsigned long long ull;

static int read_head(struct inspect_walk *w, struct err *e)
{
	const uint8_t *p;
	if (inspect_win_get(&w->win, w->ctx, 0, HEAD_BYTES, &p, e) < 0)
		return -1;
	struct rd r = rd_n(p, HEAD_BYTES);
	uint32_t magic = rd_be32(&r);
	unsigned version = rd_u8(&r);
	if (magic != MAGIC) {
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME, "invalid magic number %08x",
			      magic);
		w->broken = true;
	} else if (version != 2 && version != 3) {
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME, "format version %u%s",
			      version,
			      version == 1 ? " is not supported" : " is unknown");
		w->broken = true;
	}
	return 0;
}

static bool check_offset(struct inspect_walk *w, const char *what, uint64_t off)
{
	if (off >= HEAD_BYTES && off <= w->win.src->size - TOC_BYTES)
		return true;
	inspect_found(w->r, INSPECT_FRAME, FILE_NAME,
		      "table of contents: %s at %llu of a file of %llu bytes", what,
		      (ull)off, (ull)w->win.src->size);
	w->broken = true;
	return false;
}

static int read_toc(struct inspect_walk *w, struct err *e)
{
	const uint8_t *p;
	if (inspect_win_get(&w->win, w->ctx, w->win.src->size - TOC_BYTES, TOC_BYTES, &p,
			    e) < 0)
		return -1;
	struct rd r = rd_n(p, TOC_BYTES);
	w->toc.symbols = rd_be64(&r);
	w->toc.series = rd_be64(&r);
	w->toc.label_indices = rd_be64(&r);
	rd_be64(&r); /* of label indices: left-over numbers */
	w->toc.postings = rd_be64(&r);
	w->toc.postings_table = rd_be64(&r);
	if (crc32c(0, p, TOC_BYTES - 4) != rd_be32(&r)) {
		inspect_found(w->r, INSPECT_CHECKSUM, FILE_NAME,
			      "table of contents: checksum mismatch");
		w->broken = true;
		return 0;
	}
	check_offset(w, "symbols", w->toc.symbols);
	check_offset(w, "series", w->toc.series);
	check_offset(w, "postings", w->toc.postings);
	check_offset(w, "postings offset table", w->toc.postings_table);
	return 0;
}

int inspect_read_frame(struct inspect_walk *w, struct err *e)
{
	if (w->win.src->size < HEAD_BYTES + TOC_BYTES) {
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME, "a file of only %llu bytes",
			      (ull)w->win.src->size);
		w->broken = true;
		return 0;
	}
	if (read_head(w, e) < 0)
		return -1;
	return read_toc(w, e);
}

/* {u32 length, content, u32 CRC}: 1 and *content, 0 damaged and reported. */
static int section(struct inspect_walk *w, uint64_t off, const char *what,
		   struct view *pin, struct str *content, struct err *e)
{
	uint64_t end = w->win.src->size - TOC_BYTES;
	const uint8_t *p;
	if (end - off < 8) {
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME, "%s: cut short", what);
		return 0;
	}
	if (inspect_win_get(&w->win, w->ctx, off, 4, &p, e) < 0)
		return -1;
	struct rd r = rd_n(p, 4);
	uint32_t len = rd_be32(&r);
	if (len > end - off - 8) {
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME,
			      "%s: length %u, but only %llu bytes follow", what, len,
			      (ull)(end - off - 8));
		return 0;
	}
	if (range_source_read1(w->win.src, w->ctx, off + 4, (uint64_t)len + 4, pin, e) <
	    0)
		return -1;
	r = rd_n(pin->p, pin->n);
	*content = rd_bytes(&r, len);
	if (crc32c(0, content->p, len) == rd_be32(&r))
		return 1;
	inspect_found(w->r, INSPECT_CHECKSUM, FILE_NAME, "%s: checksum mismatch", what);
	return 0;
}

struct str inspect_symbol(const struct inspect_walk *w, uint32_t ordinal)
{
	struct rd r = rd_of(str_from(w->symbols, w->symbol_off[ordinal]));
	return rd_bytes(&r, rd_uvarint(&r));
}

int inspect_read_symbols(struct inspect_walk *w, struct err *e)
{
	struct str prev = STR_NULL;
	int rc = section(w, w->toc.symbols, "symbols", &w->symbols_pin, &w->symbols, e);
	if (rc <= 0) {
		w->broken = true;
		return rc;
	}
	struct rd r = rd_of(w->symbols);
	uint32_t count = rd_be32(&r);
	if (r.bad || count > rd_left(&r)) {
		inspect_found(w->r, INSPECT_SYMBOL, FILE_NAME,
			      "symbols: %u of them in %zu bytes", count, w->symbols.n);
		w->broken = true;
		return 0;
	}
	w->symbol_off = xcalloc((size_t)count + 1, sizeof(*w->symbol_off));
	w->used = xcalloc((size_t)count / 8 + 1, 1);
	for (uint32_t i = 0; i < count; i++) {
		w->symbol_off[i] = (uint32_t)((const char *)r.p - w->symbols.p);
		struct str s = rd_bytes(&r, rd_uvarint(&r));
		if (r.bad) {
			inspect_found(w->r, INSPECT_SYMBOL, FILE_NAME,
				      "symbols: entry %u of %u cut short", i, count);
			w->broken = true;
			return 0;
		}
		if (i && str_cmp(prev, s) >= 0)
			inspect_found(w->r, INSPECT_SYMBOL, FILE_NAME,
				      "symbols: entry %u (%.*s) is not behind %.*s", i,
				      (int)MIN(s.n, 100u), s.p, (int)MIN(prev.n, 100u),
				      prev.p);
		prev = s;
	}
	if (rd_left(&r))
		inspect_found(w->r, INSPECT_SYMBOL, FILE_NAME,
			      "symbols: %zu bytes behind the last one", rd_left(&r));
	w->n_symbols = count;
	return 0;
}

int inspect_read_table(struct inspect_walk *w, struct err *e)
{
	int rc = section(w, w->toc.postings_table, "postings offset table", &w->table_pin,
			 &w->table, e);
	if (rc == 0)
		w->table = STR_NULL;
	return MIN(rc, 0);
}
