/*
 * tsdb/index/offsets.c - the postings offset table: label pair -> place of its list of series.
 *
 *   | u32 count | uvarint 2, name, value, uvarint64 offset | ... |    (inside the frame of toc.c)
 *
 * Names ascend, values ascend within a name, and ("", "") stands for the list of all series. In
 * memory a pair takes nine bytes: the ordinal of its value (every value is a symbol) and its offset
 * in five bytes, so that every pair is found exactly, by binary search, without a read of the
 * file. Offsets beyond five bytes lie beyond any index (64 GiB at most) and are kept as the
 * largest, which no read will find inside the file.
 */
#include "tsdb/index/index_int.h"

#include <stdlib.h>

#include "base/vec.h"

#define OFFSET_MAX ((1ull << 40) - 1)
#define MIN_ENTRY  4 /* three one-byte lengths and a one-byte offset */

struct loader {
	struct idx_offsets *o;
	const struct idx_symbols *s;
	struct str name;
	size_t names_cap;
};

static void put_offset(uint8_t p[5], uint64_t off)
{
	if (off > OFFSET_MAX)
		off = OFFSET_MAX;
	for (int i = 4; i >= 0; i--, off >>= 8)
		p[i] = (uint8_t)off;
}

static int begin_name(struct loader *l, struct str name, struct err *e)
{
	struct idx_offsets *o = l->o;
	uint32_t from = o->n_names ? o->name[o->n_names - 1].symbol + 1 : 0;
	bool eq;
	uint32_t ord = idx_symbols_find(l->s, from, name, &eq);

	if (!eq)
		return err_set(NULL, e, E_CORRUPT,
			       "postings offset table: name %.*s is out of order or no "
			       "symbol",
			       (int)MIN(name.n, 80), name.p);
	if (o->n_names == l->names_cap)
		o->name = vec_grow(o->name, &l->names_cap, o->n_names + 1,
				   sizeof(*o->name));
	o->name[o->n_names++] = (struct idx_name){ .symbol = ord, .first = o->n };
	l->name = name;
	return 0;
}

static int add_pair(struct loader *l, struct str name, struct str value, uint64_t off,
		    struct err *e)
{
	struct idx_offsets *o = l->o;
	bool eq;

	if (name.n == 0 && value.n == 0) {
		o->all = off;
		return 0;
	}
	if (name.n == 0)
		return err_set(NULL, e, E_CORRUPT,
			       "postings offset table: value without a name");
	if (value.n == 0) /* the same as no label */
		return 0;
	if ((o->n_names == 0 || !str_eq(name, l->name)) && begin_name(l, name, e) < 0)
		return -1;
	struct idx_name *m = &o->name[o->n_names - 1];
	uint32_t ord =
		idx_symbols_find(l->s, m->n ? o->value[o->n - 1] + 1 : 0, value, &eq);
	if (!eq)
		return err_set(NULL, e, E_CORRUPT,
			       "postings offset table: value %.*s of %.*s is out of "
			       "order or no symbol",
			       (int)MIN(value.n, 80), value.p, (int)MIN(name.n, 80),
			       name.p);
	o->value[o->n] = ord;
	put_offset(o->off[o->n++], off);
	m->n++;
	return 0;
}

static int load_entries(struct loader *l, struct rd r, uint32_t count, struct err *e)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t strings = rd_uvarint(&r);
		struct str name = rd_bytes(&r, rd_uvarint(&r));
		struct str value = rd_bytes(&r, rd_uvarint(&r));
		uint64_t off = rd_uvarint(&r);
		if (r.bad || strings != 2)
			return err_set(NULL, e, E_CORRUPT,
				       "postings offset table: entry %u of %u is %s", i,
				       count, r.bad ? "cut short" : "no label pair");
		if (add_pair(l, name, value, off, e) < 0)
			return -1;
	}
	return 0;
}

int idx_offsets_load(struct idx_offsets *o, const struct idx_symbols *s,
		     struct str content, struct err *e)
{
	struct rd r = rd_of(content);
	uint32_t count = rd_be32(&r);
	struct loader l = { .o = o, .s = s };

	*o = (struct idx_offsets){ .table = o->table };
	if (r.bad || count > rd_left(&r) / MIN_ENTRY)
		return err_set(NULL, e, E_CORRUPT,
			       "postings offset table: count %u in %zu bytes", count,
			       content.n);
	o->value = xcalloc((size_t)count + 1, sizeof(*o->value));
	o->off = xcalloc((size_t)count + 1, sizeof(*o->off));
	if (load_entries(&l, r, count, e) < 0) {
		idx_offsets_deinit(o);
		return -1;
	}
	return 0;
}

void idx_offsets_deinit(struct idx_offsets *o)
{
	free(o->value);
	free(o->off);
	free(o->name);
	*o = (struct idx_offsets){ 0 };
}

const struct idx_name *idx_offsets_name(const struct idx_offsets *o,
					const struct idx_symbols *s, struct str name)
{
	uint32_t lo = 0, hi = o->n_names;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(idx_symbols_get(s, o->name[mid].symbol), name);
		if (c == 0)
			return &o->name[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

uint64_t idx_offsets_get(const struct idx_offsets *o, uint32_t i)
{
	uint64_t v = 0;

	for (int k = 0; k < 5; k++)
		v = v << 8 | o->off[i][k];
	return v;
}

uint64_t idx_offsets_span(const struct idx_offsets *o, uint32_t i)
{
	uint64_t off = idx_offsets_get(o, i);
	uint64_t next = i + 1 < o->n ? idx_offsets_get(o, i + 1) : o->table;

	/* Lists lie in the order of the table; anything else only makes for a second read. */
	return next > off ? next - off : 4096;
}
