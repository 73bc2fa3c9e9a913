/*
 * tsdb/index/symbols.c - the symbol table: all strings of an index, sorted.
 *
 *   | u32 count | uvarint length, bytes | ... |       (inside the section frame of toc.c)
 *
 * A symbol's ordinal is its place, so comparing ordinals compares strings; the rest of the module
 * relies on it, and loading therefore refuses a table out of order. The entries are kept as they
 * stand in the file, in one block of memory, and the place of every eighth is noted: a look-up steps
 * over at most seven lengths, and the table costs half a byte a symbol more than its file.
 */
#include "tsdb/index/index_int.h"

#include <stdlib.h>

/* The entry at *p, which was checked when loaded; *p moves behind it. */
static struct str entry_at(const uint8_t **p)
{
	size_t len = 0;
	unsigned shift = 0;
	const uint8_t *q = *p;

	while (*q & 0x80) {
		len |= (size_t)(*q++ & 0x7f) << shift;
		shift += 7;
	}
	len |= (size_t)*q++ << shift;
	*p = q + len;
	return str_n(q, len);
}

static int check_entries(struct idx_symbols *s, struct rd r, const uint8_t *start,
			 struct err *e)
{
	struct str last = STR_NULL;

	for (uint32_t i = 0; i < s->count; i++) {
		if (i % IDX_SYMBOL_STEP == 0)
			s->off[i / IDX_SYMBOL_STEP] = (uint32_t)(r.p - start);
		struct str sym = rd_bytes(&r, rd_uvarint(&r));
		if (r.bad)
			return err_set(NULL, e, E_CORRUPT,
				       "symbols: entry %u of %u cut short", i, s->count);
		if (i > 0 && str_cmp(last, sym) >= 0)
			return err_set(NULL, e, E_CORRUPT,
				       "symbols: entry %u is out of order", i);
		last = sym;
	}
	s->bytes = (size_t)(r.p - start);
	return 0;
}

int idx_symbols_load(struct idx_symbols *s, struct str content, struct err *e)
{
	struct rd r = rd_of(content);
	uint32_t count = rd_be32(&r);

	*s = (struct idx_symbols){ .count = count };
	if (r.bad || count > rd_left(&r))
		return err_set(NULL, e, E_CORRUPT, "symbols: count %u in %zu bytes",
			       count, content.n);
	s->off = xcalloc(count / IDX_SYMBOL_STEP + 1, sizeof(*s->off));
	const uint8_t *start = r.p;
	if (check_entries(s, r, start, e) < 0) {
		idx_symbols_deinit(s);
		return -1;
	}
	s->p = xmalloc(s->bytes + 1);
	memcpy(s->p, start, s->bytes);
	s->has_empty = count > 0 && s->p[0] == 0;
	return 0;
}

void idx_symbols_deinit(struct idx_symbols *s)
{
	free(s->p);
	free(s->off);
	*s = (struct idx_symbols){ 0 };
}

struct str idx_symbols_get(const struct idx_symbols *s, uint32_t ordinal)
{
	const uint8_t *p = s->p + s->off[ordinal / IDX_SYMBOL_STEP];
	struct str sym;

	for (uint32_t i = ordinal % IDX_SYMBOL_STEP; i > 0; i--)
		entry_at(&p);
	sym = entry_at(&p);
	return sym;
}

uint32_t idx_symbols_find(const struct idx_symbols *s, uint32_t from, struct str v,
			  bool *eq)
{
	*eq = false;
	if (from >= s->count)
		return s->count;

	/* Gallop over the noted entries: callers ask for ascending strings. */
	uint32_t n = (s->count - 1) / IDX_SYMBOL_STEP + 1;
	uint32_t lo = from / IDX_SYMBOL_STEP, hi = lo + 1, step = 1;
	const uint8_t *p;
	while (hi < n) {
		p = s->p + s->off[hi];
		if (str_cmp(entry_at(&p), v) > 0)
			break;
		lo = hi;
		hi = step < n - hi ? hi + step : n;
		step *= 2;
	}
	/* The noted entry lo is <= v (or the first looked at), hi is > v. */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		p = s->p + s->off[mid];
		if (str_cmp(entry_at(&p), v) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	p = s->p + s->off[lo];
	for (uint32_t i = lo * IDX_SYMBOL_STEP; i < s->count; i++) {
		int c = str_cmp(entry_at(&p), v);
		if (c >= 0 && i >= from) {
			*eq = c == 0;
			return i;
		}
	}
	return s->count;
}
