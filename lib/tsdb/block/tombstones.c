/*
 * tsdb/block/tombstones.c - what was deleted of a block: ranges of time by series.
 *
 *   | magic 0130BA30 | version 1 | { uvarint series ref, varint mint, varint maxt } ... | u32 CRC |
 *
 * The checksum covers the entries only, neither magic nor version. Ranges of a series may overlap and
 * come in any order; they are sorted and joined once (ranges that touch become one), so that readers
 * walk them beside the chunks.
 * Source: prometheus tsdb/docs/format/tombstones.md; its trailer is described wrongly there.
 */
#include "tsdb/block/block.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "wire/rd.h"

#define MAGIC	  0x0130ba30u
#define HEAD	  5
#define MIN_ENTRY 3

struct entry {
	uint32_t ref;
	struct tombstone_range r;
};

struct series_ranges {
	uint32_t ref;
	uint32_t first, n;
};

struct tombstones {
	struct series_ranges *series; /* ascending refs */
	size_t n_series;
	struct tombstone_range *range;
};

static int cmp_entry(const void *a, const void *b, void *arg)
{
	const struct entry *x = a, *y = b;
	(void)arg;

	if (x->ref != y->ref)
		return x->ref < y->ref ? -1 : 1;
	return (x->r.mint_ms > y->r.mint_ms) - (x->r.mint_ms < y->r.mint_ms);
}

static int read_entries(struct rd r, struct entry **out, size_t *n, struct err *e)
{
	struct entry *v = NULL;
	size_t count = 0, cap = 0;

	while (rd_left(&r) > 0) {
		uint64_t ref = rd_uvarint(&r);
		int64_t mint = rd_varint(&r), maxt = rd_varint(&r);
		if (r.bad || ref > UINT32_MAX) {
			free(v);
			return err_set(NULL, e, E_CORRUPT, "entry %zu %s", count,
				       r.bad ? "cut short" : "has no series reference");
		}
		if (mint > maxt) /* deletes nothing */
			continue;
		if (count == cap)
			v = vec_grow(v, &cap, count + 1, sizeof(*v));
		v[count++] = (struct entry){ (uint32_t)ref, { mint, maxt } };
	}
	*out = v;
	*n = count;
	return 0;
}

static struct tombstones *build(struct entry *v, size_t n)
{
	struct tombstones *t = xcalloc(1, sizeof(*t));
	size_t ranges = 0;

	vec_sort(v, n, sizeof(*v), cmp_entry, NULL);
	t->series = xcalloc(n + 1, sizeof(*t->series));
	t->range = xcalloc(n + 1, sizeof(*t->range));
	for (size_t i = 0; i < n; i++) {
		struct series_ranges *s =
			t->n_series ? &t->series[t->n_series - 1] : NULL;
		if (!s || s->ref != v[i].ref) {
			s = &t->series[t->n_series++];
			*s = (struct series_ranges){ v[i].ref, (uint32_t)ranges, 0 };
		}
		struct tombstone_range *last = s->n ? &t->range[ranges - 1] : NULL;
		if (last &&
		    (last->maxt_ms == INT64_MAX || v[i].r.mint_ms <= last->maxt_ms + 1)) {
			last->maxt_ms = MAX(last->maxt_ms, v[i].r.maxt_ms);
			continue;
		}
		t->range[ranges++] = v[i].r;
		s->n++;
	}
	return t;
}

int tombstones_parse(struct ctx *ctx, struct str file, struct tombstones **out,
		     struct err *e)
{
	struct rd r = rd_of(file);
	uint32_t magic = rd_be32(&r);
	unsigned version = rd_u8(&r);
	struct entry *v = NULL;
	size_t n = 0;

	if (r.bad || rd_left(&r) < 4)
		return err_set(ctx, e, E_CORRUPT, "only %zu bytes", file.n);
	if (magic != MAGIC)
		return err_set(ctx, e, E_CORRUPT, "invalid magic number %08x", magic);
	if (version != 1)
		return err_set(ctx, e, E_CORRUPT, "unknown format version %u", version);
	struct rd body = rd_of(rd_bytes(&r, rd_left(&r) - 4));
	if (crc32c(0, body.p, rd_left(&body)) != rd_be32(&r))
		return err_set(ctx, e, E_CORRUPT, "checksum mismatch");
	if (rd_left(&body) / MIN_ENTRY > UINT32_MAX / 2)
		return err_set(ctx, e, E_LIMIT, "too many entries");
	if (read_entries(body, &v, &n, e) < 0)
		return -1;
	*out = build(v, n);
	free(v);
	return 0;
}

void tombstones_free(struct tombstones *t)
{
	if (!t)
		return;
	free(t->series);
	free(t->range);
	free(t);
}

const struct tombstone_range *tombstones_of(const struct tombstones *t, uint32_t ref,
					    size_t *n)
{
	size_t lo = 0, hi = t ? t->n_series : 0;

	*n = 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->series[mid].ref < ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!t || lo == t->n_series || t->series[lo].ref != ref)
		return NULL;
	*n = t->series[lo].n;
	return &t->range[t->series[lo].first];
}
