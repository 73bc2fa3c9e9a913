#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "support/tst.h"
#include "tsdb/chunk/chunk.h"
#include "wire/rd.h"

static struct str read_file(struct arena *a, const char *path)
{
	size_t n = 0, cap = 1 << 16;
	char *p = xmalloc(cap);
	gzFile f = gzopen(path, "rb");
	cr_assert_not_null(f, "%s", path);
	for (;;) {
		int got = gzread(f, p + n, (unsigned)(cap - n));
		cr_assert(got >= 0, "%s", path);
		if (got <= 0)
			break;
		n += (size_t)got;
		if (n == cap)
			p = xreallocarray(p, cap *= 2, 1);
	}
	gzclose(f);
	struct str s = str_dup(a, str_n(p, n));
	free(p);
	return s;
}

static void set_times(struct arena *a, struct chunk_view *c)
{
	struct chunk_part p = c->part[c->part[AGGR_RAW].p ? AGGR_RAW : AGGR_COUNT];
	struct chunk_decoder *d = chunk_decoder_new(a);
	struct columns cols;
	struct err e = ERR_INIT;
	cr_assert_eq(chunk_decoder_reset(d, p, &e), 0);
	c->mint_ms = INT64_MAX;
	while (chunk_decoder_next(d, &cols, &e) > 0) {
		c->mint_ms = MIN(c->mint_ms, cols.t_ms[0]);
		c->maxt_ms = cols.t_ms[cols.n - 1];
	}
}

static struct chunk_view *all_chunks(struct arena *a, struct str segment, size_t *n)
{
	struct chunk_view *v = ARENA_ARRAY(a, struct chunk_view, segment.n / 8);
	struct rd r = rd_of(segment);
	struct err e = ERR_INIT;
	*n = 0;
	rd_take(&r, 8);
	while (r.p < r.end) {
		uint64_t len = rd_uvarint(&r);
		uint8_t enc = rd_u8(&r);
		const uint8_t *p = rd_take(&r, len);
		rd_be32(&r);
		cr_assert(!r.bad);
		struct chunk_view *c = &v[(*n)++];
		if (enc == CHUNK_AGGR)
			cr_assert_eq(chunk_aggr_split(p, len, c, &e), 0);
		else
			c->part[AGGR_RAW] = (struct chunk_part){ p, (uint32_t)len, enc };
		set_times(a, c);
	}
	return v;
}

/* "XOR:2,histogram:1" -> 3 */
static size_t count_chunks(struct str s)
{
	struct str part, name;
	size_t n = 0;
	bool more = true;
	while (more) {
		uint64_t k = 0;
		more = str_cut(&s, ',', &part);
		if (str_cut(&part, ':', &name) && str_to_u64(part, &k))
			n += k;
	}
	return n;
}

struct block_series *block_chunks(struct arena *a, const char *dir, const char *id,
				  size_t *n)
{
	char path[300];
	size_t n_chunks, at = 0;
	struct str line, labels, aggr, chunks;
	snprintf(path, sizeof path, "%s/bucket/%s/chunks/000001", dir, id);
	struct chunk_view *v = all_chunks(a, read_file(a, path), &n_chunks);
	snprintf(path, sizeof path, "%s/expected/%s.series.tsv", dir, id);
	struct str tsv = read_file(a, path);
	struct block_series *s = ARENA_ARRAY(a, struct block_series, tsv.n / 20 + 1);
	*n = 0;
	str_cut(&tsv, '\n', &line);
	while (tsv.n) {
		str_cut(&tsv, '\n', &line);
		str_cut(&line, '\t', &labels);
		str_cut(&line, '\t', &aggr);
		str_cut(&line, '\t', &chunks);
		if (*n && str_eq(labels, s[*n - 1].labels))
			continue;
		s[(*n)++] = (struct block_series){ labels, v + at, count_chunks(chunks) };
		at += s[*n - 1].n;
	}
	cr_assert_eq(at, n_chunks);
	return s;
}
