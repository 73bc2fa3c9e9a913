#include "golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/hash.h"
#include "support/tst.h"
#include "wire/rd.h"

#define B "test/golden/blocks/"
#define X B "expected/"
#define C "test/golden/compacted/"
const struct golden_block golden_blocks[] = {
	{ B "bucket/01M81YVBWEZNH3H08SPVGX7K64",
	  X "01M81YVBWEZNH3H08SPVGX7K64.series.tsv" },
	{ B "bucket/01M81YVBY4NA3B6XZW802F13GJ",
	  X "01M81YVBY4NA3B6XZW802F13GJ.series.tsv" },
	{ B "bucket/01M81YVC0FJJQ87HKZ11JM4HFZ",
	  X "01M81YVC0FJJQ87HKZ11JM4HFZ.series.tsv" },
	{ B "bucket/01M81YVC3EVHVHW5856NGMRBBV",
	  X "01M81YVC3EVHVHW5856NGMRBBV.series.tsv" },
	{ B "bucket/01M81YVC55WBG00SVR84EHFB03",
	  X "01M81YVC55WBG00SVR84EHFB03.series.tsv" },
	{ B "bucket/01M81YVC6WDF4WE3GFR0FN50G7",
	  X "01M81YVC6WDF4WE3GFR0FN50G7.series.tsv" },
	{ B "bucket/01M81YVC9JPMNWMYP5FNVMGJTR",
	  X "01M81YVC9JPMNWMYP5FNVMGJTR.series.tsv" },
	{ B "bucket/01M81YVCC1QXTCXGEQE20XKAAR",
	  X "01M81YVCC1QXTCXGEQE20XKAAR.series.tsv" },
	{ B "bucket/01M81YVCDW2SK5C8595AFGJ8K1",
	  X "01M81YVCDW2SK5C8595AFGJ8K1.series.tsv" },
	{ B "bucket/01M81YVCFSCF0E425839T44G73",
	  X "01M81YVCFSCF0E425839T44G73.series.tsv" },
	{ B "bucket/01M81YVCHCC17VDZ0DT7QR6H2J",
	  X "01M81YVCHCC17VDZ0DT7QR6H2J.series.tsv" },
	{ B "bucket/01M81YVCKR1CVYHC4X0MFE5FQK",
	  X "01M81YVCKR1CVYHC4X0MFE5FQK.series.tsv" },
	{ B "bucket/01M81YVCNRNMYNP70R7FRKH4F0",
	  X "01M81YVCNRNMYNP70R7FRKH4F0.series.tsv" },
	{ B "tombstones/01M81YVCV04NJ9WQ26TQ155FM6",
	  X "01M81YVCV04NJ9WQ26TQ155FM6.series.tsv" },
	{ C "custom/bucket/01M822436AE30GWB8424WN1FN3",
	  C "custom/expected/01M822436AE30GWB8424WN1FN3.series.tsv" },
	{ C "custom/bucket/01M8224373R5B5DXSMP1X780EE",
	  C "custom/expected/01M8224373R5B5DXSMP1X780EE.series.tsv" },
	{ C "long/bucket/01M81ZDJFWJQYDEDZDEFP1PRDF",
	  C "long/expected/01M81ZDJFWJQYDEDZDEFP1PRDF.series.tsv" },
	{ C "long/bucket/01M81ZG1AFEYDCZYWWR1WJRBN1",
	  C "long/expected/01M81ZG1AFEYDCZYWWR1WJRBN1.series.tsv" },
	{ C "long/bucket/01M81ZG1BPPMPG42S5N10TVXMM",
	  C "long/expected/01M81ZG1BPPMPG42S5N10TVXMM.series.tsv" },
	{ C "long/bucket/01M81ZG1EBNEZAK9G1G515QTZB",
	  C "long/expected/01M81ZG1EBNEZAK9G1G515QTZB.series.tsv" },
};
const size_t golden_n_blocks = ARRAY_LEN(golden_blocks);

const struct golden_block golden_newer[] = {
	{ B "newer/01M81YVCPRJ7E8180809G85TB9",
	  X "01M81YVCPRJ7E8180809G85TB9.series.tsv" },
	{ B "newer/01M81YVCQVK25VMXY127QDKHFZ",
	  X "01M81YVCQVK25VMXY127QDKHFZ.series.tsv" },
	{ B "newer/01M81YVCS17G3R1H0SAW7AK37A",
	  X "01M81YVCS17G3R1H0SAW7AK37A.series.tsv" },
};
const size_t golden_n_newer = ARRAY_LEN(golden_newer);

struct str golden_read(struct arena *a, const char *path)
{
	char gz[300];
	size_t n = 0, cap = 1 << 16;
	char *p = xmalloc(cap);
	gzFile f = gzopen(path, "rb");
	if (!f) {
		snprintf(gz, sizeof gz, "%s.gz", path);
		f = gzopen(gz, "rb");
	}
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

struct golden_chunks golden_chunks(struct arena *a, struct str segment)
{
	struct golden_chunks g = { 0 };
	size_t max = segment.n / 8;
	g.v = arena_alloc(a, max * sizeof *g.v);
	g.off = arena_alloc(a, max * sizeof *g.off);
	struct rd r = rd_of(segment);
	rd_take(&r, 8);
	while (r.p < r.end) {
		g.off[g.n] = (uint32_t)(r.p - (const uint8_t *)segment.p);
		uint64_t len = rd_uvarint(&r);
		uint8_t enc = rd_u8(&r);
		const uint8_t *p = rd_take(&r, len);
		rd_be32(&r);
		cr_assert(!r.bad);
		g.v[g.n++] = (struct chunk_part){ p, (uint32_t)len, enc };
	}
	return g;
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

struct golden_row *golden_rows(struct arena *a, struct str tsv, size_t *n)
{
	struct golden_row *v = arena_alloc(a, (tsv.n / 20 + 1) * sizeof *v);
	struct str line, f[11];
	bool more = str_cut(&tsv, '\n', &line),
	     aggr = str_find(line, STR("aggregate")) > 0;
	*n = 0;
	while (more && tsv.n) {
		more = str_cut(&tsv, '\n', &line);
		for (int i = 0; i < 10 + aggr; i++)
			str_cut(&line, '\t', &f[i]);
		struct golden_row *r = &v[(*n)++];
		*r = (struct golden_row){ .labels = f[0],
					  .aggregate = aggr ? f[1] : STR("raw") };
		const struct str *g = f + aggr;
		r->chunks = count_chunks(g[1]);
		char hex[9] = { 0 };
		cr_assert(str_to_u64(g[2], &r->floats) && str_to_u64(g[3], &r->hists));
		cr_assert(str_to_i64(g[4], &r->mint_ms) && str_to_i64(g[5], &r->maxt_ms));
		cr_assert_eq(g[9].n, 8);
		memcpy(hex, g[9].p, 8);
		r->crc = (uint32_t)strtoul(hex, NULL, 16);
	}
	return v;
}

static void put(uint32_t *crc, uint64_t v, unsigned bytes)
{
	uint8_t b[8];
	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
	*crc = crc32c(*crc, b, bytes);
}

static void put_side(uint32_t *crc, const struct hist_span *s, uint32_t n,
		     const double *v, uint32_t n_v)
{
	uint32_t full = 0, k = 0;
	int32_t index = 0;
	for (uint32_t i = 0; i < n_v; i++)
		full += v[i] != 0;
	put(crc, full, 4);
	for (uint32_t i = 0; i < n; i++) {
		index += s[i].offset;
		for (uint32_t j = 0; j < s[i].length; j++, index++, k++) {
			if (v[k] == 0)
				continue;
			put(crc, (uint32_t)index, 4);
			put(crc, f64_bits(v[k]), 8);
		}
	}
}

static void put_hist(uint32_t *crc, const struct hist *h)
{
	put(crc, 'h', 1);
	put(crc, (uint32_t)h->schema, 4);
	put(crc, f64_bits(h->zero_threshold), 8);
	put(crc, f64_bits(h->zero_count), 8);
	put(crc, f64_bits(h->count), 8);
	put(crc, f64_bits(h->sum), 8);
	put_side(crc, h->pos_spans, h->n_pos_spans, h->pos, h->n_pos);
	put_side(crc, h->neg_spans, h->n_neg_spans, h->neg, h->n_neg);
	put(crc, h->n_bounds, 4);
	for (uint32_t i = 0; i < h->n_bounds; i++)
		put(crc, f64_bits(h->bounds[i]), 8);
}

void golden_add(struct golden_sum *s, const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (s->floats + s->hists == 0)
			s->mint_ms = c->t_ms[i];
		s->maxt_ms = c->t_ms[i];
		put(&s->crc, (uint64_t)c->t_ms[i], 8);
		if (c->v) {
			put(&s->crc, 'f', 1);
			put(&s->crc, f64_bits(c->v[i]), 8);
			s->floats++;
		} else {
			put_hist(&s->crc, c->h[i]);
			s->hists++;
		}
	}
}

bool golden_add_chunk(struct golden_sum *s, struct chunk_decoder *d, struct chunk_part c,
		      struct err *e)
{
	struct columns cols;
	int rc = chunk_decoder_reset(d, c, e);
	while (rc >= 0 && (rc = chunk_decoder_next(d, &cols, e)) > 0)
		golden_add(s, &cols);
	return rc == 0;
}
