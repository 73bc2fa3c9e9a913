/*
 * tsdb/index/scan.c - symbols and series entries in the order of the file (layouts: symbols.c, series.c).
 *
 * The checksum of the symbol table covers all of it, so it is computed while windows pass by and compared at the end:
 * whoever took symbols before must forget them when the end says that it does not match. An entry has its own.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "fs/range_window.h"
#include "tsdb/index/index_int.h"
#include "tsdb/index/scan.h"

#define LEN_MAX 10 /* of a uvarint */

struct idx_scan {
	struct range_source *index;
	/* symbols */
	struct range_window sym;
	uint64_t sym_start, sym_end; /* of the entries */
	uint64_t sym_at,
		sym_summed; /* the next entry; the checksum covers what is before */
	uint32_t sym_count, sym_next, sym_crc;
	struct buf last; /* the symbol shown before */
	bool has_empty;	 /* symbol 0 is "" */
	/* series */
	struct range_window ser;
	uint64_t ser_at, postings;
	uint32_t ser_count; /* shown */
	struct arena a;	    /* of the entry shown */
};

/*
 * Series end where label indices begin, or would: writers that have none put the end of the series there. The slot is
 * not trusted further than that, and series_end() counts.
 */
static uint64_t where_series_end(const struct idx_toc *toc)
{
	return toc->label_indices >= toc->series && toc->label_indices <= toc->postings
		       ? toc->label_indices
		       : toc->postings;
}

static int open_symbols(struct idx_scan *s, struct ctx *ctx, const struct idx_toc *toc,
			struct err *e)
{
	const uint8_t *p;
	size_t n;

	if (range_window_at(&s->sym, ctx, toc->symbols, 9, &p, &n, NULL, e) < 0)
		return err_wrap(ctx, e, "symbols");
	struct rd r = rd_n(p, n);
	uint64_t len = rd_be32(&r);
	s->sym_count = rd_be32(&r);
	if (r.bad || len < 4 || len > s->sym.end - toc->symbols - 8)
		return err_set(ctx, e, E_CORRUPT,
			       "symbols: length %" PRIu64 " beyond the file", len);
	if (s->sym_count > len - 4)
		return err_set(ctx, e, E_CORRUPT,
			       "symbols: count %u in %" PRIu64 " bytes", s->sym_count,
			       len);
	s->has_empty = s->sym_count > 0 && rd_u8(&r) == 0;
	s->sym_start = toc->symbols + 8;
	s->sym_end = toc->symbols + 4 + len;
	idx_scan_rewind_symbols(s);
	return 0;
}

int idx_scan_open(struct ctx *ctx, struct range_source *index, size_t read_ahead,
		  struct idx_scan **out, struct err *e)
{
	struct idx_toc toc;

	if (idx_frame_read(ctx, index, &toc, e) < 0)
		return -1;
	struct idx_scan *s = xcalloc(1, sizeof(*s));
	s->index = range_source_ref(index);
	s->sym = (struct range_window){ .src = index,
					.end = index->size - IDX_TOC_BYTES,
					.ahead = MAX(read_ahead, LEN_MAX) };
	s->ser = s->sym;
	s->ser.end = where_series_end(&toc);
	s->ser_at = toc.series;
	s->postings = toc.postings;
	buf_init(&s->last, SIZE_MAX / 2);
	arena_init(&s->a, ctx->budget);
	if (open_symbols(s, ctx, &toc, e) < 0) {
		idx_scan_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

void idx_scan_close(struct idx_scan *s)
{
	if (!s)
		return;
	range_window_put(&s->sym);
	range_window_put(&s->ser);
	buf_deinit(&s->last);
	arena_deinit(&s->a);
	range_source_unref(s->index);
	free(s);
}

/* ---- symbols ---- */

uint32_t idx_scan_symbol_count(const struct idx_scan *s)
{
	return s->sym_count;
}

void idx_scan_rewind_symbols(struct idx_scan *s)
{
	s->sym_at = s->sym_start;
	s->sym_summed = s->sym_start;
	s->sym_next = 0;
	uint32_t count = __builtin_bswap32(s->sym_count);
	s->sym_crc = crc32c(0, &count, 4);
	buf_reset(&s->last);
}

/* At least `want` bytes at the next entry. The window's bytes go into the checksum before it moves. */
static int symbol_bytes(struct idx_scan *s, struct ctx *ctx, uint64_t want,
			const uint8_t **p, size_t *n, struct err *e)
{
	if (s->sym_summed < s->sym_at && range_window_has(&s->sym, s->sym_summed)) {
		s->sym_crc =
			crc32c(s->sym_crc, s->sym.pin.p + (s->sym_summed - s->sym.off),
			       s->sym_at - s->sym_summed);
		s->sym_summed = s->sym_at;
	}
	return range_window_at(&s->sym, ctx, s->sym_at, want, p, n, NULL, e);
}

static int symbols_end(struct idx_scan *s, struct ctx *ctx, struct err *e)
{
	const uint8_t *p;
	size_t n;

	if (s->sym_at != s->sym_end)
		return err_set(ctx, e, E_CORRUPT, "symbols: %" PRIu64 " bytes too many",
			       s->sym_end - s->sym_at);
	if (symbol_bytes(s, ctx, 4, &p, &n, e) < 0)
		return err_wrap(ctx, e, "symbols");
	struct rd r = rd_n(p, n);
	if (rd_be32(&r) != s->sym_crc || r.bad)
		return err_set(ctx, e, E_CORRUPT, "symbols: checksum mismatch");
	range_window_put(&s->sym);
	return 0;
}

/* The next symbol in *out and its whole entry's bytes in *whole, inside the window. */
static int symbol_entry(struct idx_scan *s, struct ctx *ctx, struct str *out,
			uint64_t *whole, struct err *e)
{
	uint64_t left = s->sym_end - s->sym_at, len = 0;
	const uint8_t *p = (const uint8_t *)"";
	size_t n = 0;

	if (range_window_has(&s->sym, s->sym_at)) {
		p = s->sym.pin.p + (s->sym_at - s->sym.off);
		n = (size_t)(s->sym.off + s->sym.pin.n - s->sym_at);
	}
	for (int round = 0; round < 3; round++) {
		struct rd r = rd_n(p, MIN(n, left));
		len = rd_uvarint(&r);
		struct str v = rd_bytes(&r, len);
		if (!r.bad) {
			*out = v;
			*whole = (uint64_t)(r.p - p);
			return 0;
		}
		uint64_t want = round == 0 ? LEN_MAX : len + LEN_MAX;
		if (len > left || n >= left ||
		    symbol_bytes(s, ctx, MIN(want, left), &p, &n, e) < 0)
			break;
	}
	if (e->code != E_OK)
		return err_wrap(ctx, e, "symbols");
	return err_set(ctx, e, E_CORRUPT, "symbols: entry %u of %u cut short",
		       s->sym_next, s->sym_count);
}

int idx_scan_symbol(struct idx_scan *s, struct ctx *ctx, struct str *out, struct err *e)
{
	struct err why = ERR_INIT;
	uint64_t whole = 0;
	struct str v;

	if (s->sym_next == s->sym_count)
		return symbols_end(s, ctx, e);
	if (symbol_entry(s, ctx, &v, &whole, &why) < 0)
		return err_copy(ctx, e, &why);
	if (s->sym_next > 0 && str_cmp(buf_view(&s->last), v) >= 0)
		return err_set(ctx, e, E_CORRUPT, "symbols: entry %u is out of order",
			       s->sym_next);
	buf_reset(&s->last);
	buf_str(&s->last, v);
	s->sym_at += whole;
	s->sym_next++;
	*out = v;
	return 1;
}

/* ---- series ---- */

static int bad_entry(struct ctx *ctx, uint32_t ref, const char *what, struct err *e)
{
	return err_set(ctx, e, E_CORRUPT, "series %" PRIu32 ": %s", ref, what);
}

/* NULL: fine; "": *e is set; else what is wrong. */
static const char *read_labels(struct idx_scan *s, struct ctx *ctx, struct rd *r,
			       struct idx_scan_series *out, struct err *e)
{
	uint64_t n = rd_uvarint(r);
	uint32_t kept = 0;

	if (r->bad || n > rd_left(r) / 2)
		return "label count beyond the entry";
	if (n > LIMIT_LABELS_PER_SERIES)
		return "too many labels";
	uint32_t *label = arena_try(&s->a, ctx, (n * 2 + 1) * sizeof(*label), e);
	if (!label)
		return "";
	for (uint64_t i = 0; i < n; i++) {
		uint64_t name = rd_uvarint_short(r), value = rd_uvarint_short(r);
		if (r->bad)
			return "labels cut short";
		if (name >= s->sym_count || value >= s->sym_count)
			return "label symbol beyond the symbol table";
		if (s->has_empty && name == 0)
			return "empty label name";
		if (s->has_empty && value == 0) /* the same as no label */
			continue;
		out->unsorted |= kept > 0 && name <= label[kept * 2 - 2];
		label[kept * 2] = (uint32_t)name;
		label[kept * 2 + 1] = (uint32_t)value;
		kept++;
	}
	out->label = label;
	out->n_labels = kept;
	return NULL;
}

/* Times are added as unsigned numbers: writers store a chunk that begins too early as a huge gap. */
static const char *read_chunks(struct idx_scan *s, struct ctx *ctx, struct rd *r,
			       struct idx_scan_series *out, struct err *e)
{
	uint64_t n = rd_uvarint(r), t = 0, ref = 0;

	if (r->bad || n > rd_left(r) / 3)
		return "chunk count beyond the entry";
	struct idx_chunk *c = arena_try(&s->a, ctx, (n + 1) * sizeof(*c), e);
	if (!c)
		return "";
	struct rd w = *r;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t u
			[3]; /* since the end of the one before, length, bytes since it */
		rd_uvarint3(&w, u);
		t += i ? u[0] : (uint64_t)rd_unzigzag(u[0]);
		ref = i ? ref + (uint64_t)rd_unzigzag(u[2]) : u[2];
		c[i] = (struct idx_chunk){ (int64_t)t, (int64_t)(t + u[1]), ref };
		t += u[1];
		if (UNLIKELY(w.bad))
			return "chunks cut short";
		if (UNLIKELY(c[i].maxt_ms < c[i].mint_ms))
			return "chunk times overflow";
	}
	*r = w;
	out->chunk = c;
	out->n_chunks = (uint32_t)n;
	return NULL;
}

/* The first list of the postings is that of all series: as many as were shown, or some were passed over. */
static int series_end(struct idx_scan *s, struct ctx *ctx, struct err *e)
{
	uint64_t at = (s->postings + 3) & ~(uint64_t)3;
	struct view v = { 0 };

	range_window_put(&s->ser);
	if (at + 8 > s->sym.end)
		return err_set(ctx, e, E_CORRUPT, "postings: cut short");
	if (range_source_read1(s->index, ctx, at, 8, &v, e) < 0)
		return err_wrap(ctx, e, "postings");
	struct rd r = rd_n(v.p, v.n);
	rd_be32(&r);
	uint32_t n = rd_be32(&r);
	view_put(&v);
	if (n != s->ser_count)
		return err_set(ctx, e, E_CORRUPT,
			       "%u series entries, but %u in the list of all series",
			       s->ser_count, n);
	return 0;
}

/* The next entry, past which the scan stands then: 1, 0 end, -1. */
static int next_entry(struct idx_scan *s, struct ctx *ctx, uint32_t *ref,
		      struct str *body, struct err *e)
{
	uint64_t at = (s->ser_at + 15) & ~(uint64_t)15, len;
	const uint8_t *p;
	size_t n, head;

	if (at >= s->ser.end)
		return series_end(s, ctx, e);
	if (at / 16 > UINT32_MAX)
		return err_set(ctx, e, E_CORRUPT, "series beyond 64 GiB");
	*ref = (uint32_t)(at / 16);
	if (range_window_at(&s->ser, ctx, at, LEN_MAX, &p, &n, NULL, e) < 0)
		return err_wrap(ctx, e, "series %" PRIu32, *ref);
	struct rd r = rd_n(p, n);
	len = rd_uvarint_short(&r);
	head = (size_t)(r.p - p);
	if (r.bad)
		return bad_entry(ctx, *ref, "length is no number", e);
	if (len > LIMIT_SERIES_ENTRY_BYTES || head + len + 4 > s->ser.end - at)
		return bad_entry(ctx, *ref, "length beyond the series section", e);
	if (range_window_at(&s->ser, ctx, at, head + len + 4, &p, &n, NULL, e) < 0)
		return err_wrap(ctx, e, "series %" PRIu32, *ref);
	r = rd_n(p + head, len + 4);
	*body = rd_bytes(&r, len);
	if (crc32c(0, body->p, body->n) != rd_be32(&r))
		return bad_entry(ctx, *ref, "checksum mismatch", e);
	s->ser_at = at + head + len + 4;
	s->ser_count++;
	return 1;
}

int idx_scan_skip(struct idx_scan *s, struct ctx *ctx, struct err *e)
{
	struct str body;
	uint32_t ref;
	return next_entry(s, ctx, &ref, &body, e);
}

int idx_scan_series(struct idx_scan *s, struct ctx *ctx, struct idx_scan_series *out,
		    struct err *e)
{
	struct str body;

	*out = (struct idx_scan_series){ 0 };
	int rc = next_entry(s, ctx, &out->ref, &body, e);
	if (rc <= 0)
		return rc;
	arena_reset(&s->a);
	struct rd r = rd_of(body);
	const char *what = read_labels(s, ctx, &r, out, e);
	if (!what)
		what = read_chunks(s, ctx, &r, out, e);
	if (what && *what == 0)
		return err_wrap(ctx, e, "series %" PRIu32, out->ref);
	if (what)
		return bad_entry(ctx, out->ref, what, e);
	return 1;
}
