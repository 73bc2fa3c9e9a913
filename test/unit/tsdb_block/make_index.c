#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "tsdb/index/index.h"
#include "unit/tsdb_block/make_index.h"
#include "wire/wr.h"

struct pair {
	struct str name, value;
	uint32_t ref;
};
struct make {
	struct buf *out;
	struct str *symbol;
	size_t n_symbols;
	struct pair *pair;
	size_t n_pairs;
	uint32_t *ref;
	const struct idx_chunk
		*chunk; /* of every series; NULL: one that its place gives */
	size_t n_chunks;
};

static int cmp_str(const void *a, const void *b, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int cmp_pair(const void *a, const void *b, void *arg)
{
	const struct pair *x = a, *y = b;
	int c = str_cmp(x->name, y->name);
	(void)arg;
	c = c ? c : str_cmp(x->value, y->value);
	return c ? c : (x->ref > y->ref) - (x->ref < y->ref);
}

static void poke32(struct buf *b, size_t at, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(b->p + at, &v, 4);
}

/* Close a frame {u32 length, content, CRC} whose length field is at `at`. */
static void close_frame(struct buf *b, size_t at)
{
	size_t len = b->n - at - 4;
	poke32(b, at, (uint32_t)len);
	wr_be32(b, crc32c(0, b->p + at + 4, len));
}

static void pad(struct buf *b, size_t to)
{
	while (b->n % to)
		buf_byte(b, 0);
}

static void make_symbols(struct make *m, const struct labels *sets, size_t n)
{
	size_t count = 1, kept = 0;
	for (size_t i = 0; i < n; i++)
		count += sets[i].n * 2;
	struct str *v = xcalloc(count, sizeof(*v));
	count = 0;
	v[count++] = STR("");
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < sets[i].n; k++) {
			v[count++] = sets[i].l[k].name;
			v[count++] = sets[i].l[k].value;
		}
	vec_sort(v, count, sizeof(*v), cmp_str, NULL);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || !str_eq(v[kept - 1], v[i]))
			v[kept++] = v[i];
	m->symbol = v;
	m->n_symbols = kept;
	size_t at = m->out->n;
	wr_be32(m->out, 0);
	wr_be32(m->out, (uint32_t)kept);
	for (size_t i = 0; i < kept; i++) {
		wr_uvarint(m->out, v[i].n);
		buf_str(m->out, v[i]);
	}
	close_frame(m->out, at);
}

static uint64_t ordinal(const struct make *m, struct str s)
{
	size_t lo = 0, hi = m->n_symbols;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (str_cmp(m->symbol[mid], s) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void make_chunks(struct buf *body, const struct idx_chunk *c, size_t n)
{
	wr_uvarint(body, n);
	for (size_t i = 0; i < n; i++) {
		if (i)
			wr_uvarint(body,
				   (uint64_t)c[i].mint_ms - (uint64_t)c[i - 1].maxt_ms);
		else
			wr_varint(body, c[i].mint_ms);
		wr_uvarint(body, (uint64_t)c[i].maxt_ms - (uint64_t)c[i].mint_ms);
		if (i)
			wr_varint(body, (int64_t)(c[i].ref - c[i - 1].ref));
		else
			wr_uvarint(body, c[i].ref);
	}
}

static void make_series(struct make *m, const struct labels *sets, size_t n)
{
	struct buf body;
	size_t pairs = 0;
	for (size_t i = 0; i < n; i++)
		pairs += sets[i].n;
	m->pair = xcalloc(pairs + 1, sizeof(*m->pair));
	m->ref = xcalloc(n + 1, sizeof(*m->ref));
	buf_init(&body, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		pad(m->out, 16);
		m->ref[i] = (uint32_t)(m->out->n / 16);
		buf_reset(&body);
		wr_uvarint(&body, sets[i].n);
		for (uint32_t k = 0; k < sets[i].n; k++) {
			wr_uvarint(&body, ordinal(m, sets[i].l[k].name));
			wr_uvarint(&body, ordinal(m, sets[i].l[k].value));
			m->pair[m->n_pairs++] =
				(struct pair){ sets[i].l[k].name, sets[i].l[k].value,
					       m->ref[i] };
		}
		const struct idx_chunk one = { (int64_t)i, (int64_t)i + 10, 8 + i };
		make_chunks(&body, m->chunk ? m->chunk : &one,
			    m->chunk ? m->n_chunks : 1);
		wr_uvarint(m->out, body.n);
		buf_add(m->out, body.p, body.n);
		wr_be32(m->out, crc32c(0, body.p, body.n));
	}
	buf_deinit(&body);
}

static void make_list(struct make *m, const struct pair *p, size_t n)
{
	pad(m->out, 4);
	size_t at = m->out->n;
	wr_be32(m->out, 0);
	wr_be32(m->out, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wr_be32(m->out, p[i].ref);
	close_frame(m->out, at);
}

static void make_postings(struct make *m, size_t n, struct buf *table)
{
	struct pair *all = xcalloc(n + 1, sizeof(*all));
	uint32_t lists = 1;

	for (size_t i = 0; i < n; i++)
		all[i].ref = m->ref[i];
	pad(m->out, 4);
	wr_be32(table, 0);
	wr_be32(table, 0);
	buf_add(table, "\2\0\0", 3);
	wr_uvarint(table, m->out->n);
	make_list(m, all, n);
	free(all);
	vec_sort(m->pair, m->n_pairs, sizeof(*m->pair), cmp_pair, NULL);
	for (size_t i = 0, j; i < m->n_pairs; i = j, lists++) {
		const struct pair *p = &m->pair[i];
		for (j = i; j < m->n_pairs && str_eq(m->pair[j].name, p->name) &&
			    str_eq(m->pair[j].value, p->value);)
			j++;
		pad(m->out, 4);
		wr_uvarint(table, 2);
		wr_uvarint(table, p->name.n);
		buf_str(table, p->name);
		wr_uvarint(table, p->value.n);
		buf_str(table, p->value);
		wr_uvarint(table, m->out->n);
		make_list(m, p, j - i);
	}
	poke32(table, 4, lists);
	close_frame(table, 0);
}

static void make_all(struct make *m, const struct labels *sets, size_t n)
{
	struct buf *out = m->out;
	struct buf table;
	uint64_t toc[6];

	buf_init(&table, 64 << 20);
	wr_be32(out, 0xbaaad700);
	buf_byte(out, 2);
	toc[0] = out->n;
	make_symbols(m, sets, n);
	toc[1] = out->n;
	make_series(m, sets, n);
	toc[2] = toc[4] = out->n;
	make_postings(m, n, &table);
	toc[3] = toc[5] = out->n;
	buf_add(out, table.p, table.n);
	size_t at = out->n;
	for (int i = 0; i < 6; i++)
		wr_be64(out, toc[i]);
	wr_be32(out, crc32c(0, out->p + at, 48));
	cr_assert(!out->failed && !table.failed);
	buf_deinit(&table);
	free(m->symbol);
	free(m->pair);
	free(m->ref);
}

void make_index(const struct labels *sets, size_t n, struct buf *out)
{
	make_all(&(struct make){ .out = out }, sets, n);
}

void make_index_of(struct labels set, const struct idx_chunk *c, size_t n,
		   struct buf *out)
{
	make_all(&(struct make){ .out = out, .chunk = c, .n_chunks = n }, &set, 1);
}
