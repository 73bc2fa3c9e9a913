/*
 * What a real `thanos compact --deduplication.func=penalty` made of the golden blocks of two replicas
 * (test/golden/compacted/README.md): each run of overlapping chunks folded chunk by chunk.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "dedup/dedup_int.h"
#include "support/tst.h"
#include "wire/rd.h"

#define BLOCKS	 "test/golden/blocks/"
#define EXPECTED "test/golden/compacted/ha-penalty/expected/"
static const char *const windows[][3] = {
	/* replica a, replica b, merged */
	{ "01M81YVBWEZNH3H08SPVGX7K64", "01M81YVC3EVHVHW5856NGMRBBV",
	  "01M81ZFX6M81193QC82V79TTQK" },
	{ "01M81YVBY4NA3B6XZW802F13GJ", "01M81YVC55WBG00SVR84EHFB03",
	  "01M81ZFX7SA2Q3WZ6965D4ZCYV" },
	{ "01M81YVC0FJJQ87HKZ11JM4HFZ", "01M81YVC6WDF4WE3GFR0FN50G7",
	  "01M81ZFX8W2FEP9K8SHTFW23QX" },
};

static struct str read_file(struct arena *a, const char *dir, const char *ulid,
			    const char *name)
{
	char path[300];
	snprintf(path, sizeof path, "%s%s%s", dir, ulid, name);
	FILE *f = fopen(path, "rb");
	cr_assert_not_null(f, "%s", path);
	size_t cap = 4 << 20;
	char *p = arena_alloc(a, cap);
	struct str s = { p, fread(p, 1, cap, f) };
	fclose(f);
	return s;
}

static void fields(struct str line, struct str *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		str_cut(&line, '\t', &f[i]);
}

/* The chunk count of "XOR:4" (these blocks have one encoding a series). */
static size_t chunks_of(struct str s)
{
	struct str enc;
	uint64_t n = 0;
	str_cut(&s, ':', &enc);
	cr_assert(str_to_u64(s, &n));
	return (size_t)n;
}

/* The chunks of a series in one block, with their bounds; decoded columns in cols[]. */
static size_t find(struct arena *a, struct str tsv, struct str segment, struct str labels,
		   struct chunk_view *v)
{
	struct rd r = rd_of(segment);
	struct str line, f[2];
	struct err e = ERR_INIT;
	rd_take(&r, 8);
	str_cut(&tsv, '\n', &line);
	while (tsv.n) {
		str_cut(&tsv, '\n', &line);
		fields(line, f, 2);
		size_t n = chunks_of(f[1]);
		for (size_t i = 0; i < n; i++) {
			uint64_t len = rd_uvarint(&r);
			uint8_t enc = rd_u8(&r);
			struct sample_cols c = { 0 };
			v[i] = (struct chunk_view){ .mint_ms = 0, .maxt_ms = INT64_MAX };
			v[i].part[AGGR_RAW] = (struct chunk_part){ rd_take(&r, len),
								   (uint32_t)len, enc };
			rd_be32(&r);
			if (!str_eq(f[0], labels))
				continue;
			cr_assert_eq(dedup_decode(NULL, a, &v[i], 1, SAMPLE_AVG, false,
						  false, 0, INT64_MAX, &c, &e),
				     0);
			v[i].mint_ms = c.t_ms[0];
			v[i].maxt_ms = c.t_ms[c.n - 1];
		}
		if (str_eq(f[0], labels))
			return n;
	}
	return 0;
}

static void put(uint32_t *crc, uint64_t v, unsigned bytes)
{
	v = __builtin_bswap64(v << (64 - 8 * bytes));
	*crc = crc32c(*crc, &v, bytes);
}

static void add_floats(uint32_t *crc, const struct sample_cols *c)
{
	for (size_t i = 0; i < c->n; i++) {
		put(crc, (uint64_t)c->t_ms[i], 8);
		put(crc, 'f', 1);
		put(crc, f64_bits(c->v[i]), 8);
	}
}

/* One run of overlapping chunks, each a lane of its own. */
static void fold(struct arena *a, const struct chunk_view *v, size_t n, uint32_t *crc)
{
	struct sample_cols *lane = ARENA_ARRAY(a, struct sample_cols, n), out = { 0 };
	struct err e = ERR_INIT;
	size_t total = 0;
	for (size_t i = 0; i < n; i++) {
		struct chunk_view c = v[i];
		cr_assert_eq(dedup_decode(NULL, a, &c, 1, SAMPLE_AVG, true, false, 0,
					  INT64_MAX, &lane[i], &e),
			     0);
		total += lane[i].n;
	}
	out.t_ms = ARENA_ARRAY(a, int64_t, total);
	out.v = ARENA_ARRAY(a, double, total);
	if (n > 1)
		penalty_fold(lane, n, false, a, &out);
	add_floats(crc, n > 1 ? &out : &lane[0]);
}

Test(penalty, equals_what_thanos_compacted_of_two_replicas)
{
	size_t checked = 0;
	for (size_t w = 0; w < ARRAY_LEN(windows); w++) {
		struct arena a;
		arena_init(&a, NULL);
		struct str tsv[2], seg[2], line, f[11];
		for (int k = 0; k < 2; k++) {
			tsv[k] = read_file(&a, BLOCKS "expected/", windows[w][k],
					   ".series.tsv");
			seg[k] = read_file(&a, BLOCKS "bucket/", windows[w][k],
					   "/chunks/000001");
		}
		struct str want = read_file(&a, EXPECTED, windows[w][2], ".series.tsv");
		str_cut(&want, '\n', &line);
		while (want.n) {
			struct arena mem;
			struct chunk_view v[200];
			uint32_t crc = 0;
			char hex[9];
			str_cut(&want, '\n', &line);
			fields(line, f, 11);
			if (!str_has_prefix(f[2], STR("XOR")))
				continue;
			arena_init(&mem, NULL);
			size_t n = find(&mem, tsv[0], seg[0], f[0], v), to;
			n += find(&mem, tsv[1], seg[1], f[0], v + n);
			dedup_chunk_sort(v, n);
			for (size_t from = 0; from < n; from = to) {
				int64_t end = v[from].maxt_ms;
				for (to = from + 1; to < n && v[to].mint_ms <= end; to++)
					end = MAX(end, v[to].maxt_ms);
				fold(&mem, v + from, to - from, &crc);
			}
			snprintf(hex, sizeof hex, "%08x", crc);
			cr_expect(str_eqz(f[10], hex), "%.*s", STR_FMT(f[0]));
			checked++;
			arena_deinit(&mem);
		}
		arena_deinit(&a);
	}
	cr_assert_gt(checked, 300);
}
