/*
 * An index file of any bytes: opened, every list and every series read. Checksums are made right
 * first, as far as lengths allow, so that what lies behind them is reached.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "tsdb/index/index.h"
#include "wire/rd.h"

#define MEMORY (256u << 20)

static void put_crc(uint8_t *p, uint64_t off, uint64_t len)
{
	uint32_t crc = __builtin_bswap32(crc32c(0, p + off, len));

	memcpy(p + off + len, &crc, 4);
}

/* A section or list {u32 length, content, CRC} before `end`; returns where it ends, 0: too long. */
static uint64_t fix_section(uint8_t *p, uint64_t off, uint64_t end)
{
	if (off >= end || end - off < 8)
		return 0;
	struct rd r = rd_n(p + off, 4);
	uint64_t len = rd_be32(&r);
	if (len > end - off - 8)
		return 0;
	put_crc(p, off + 4, len);
	return off + 8 + len;
}

static void fix_series(uint8_t *p, uint64_t off, uint64_t end)
{
	for (off = (off + 15) / 16 * 16; off < end;) {
		struct rd r = rd_n(p + off, end - off);
		uint64_t len = rd_uvarint(&r), head = (uint64_t)(r.p - p) - off;
		if (r.bad || rd_left(&r) < 4 || len > rd_left(&r) - 4)
			return;
		put_crc(p, off + head, len);
		off = (off + head + len + 4 + 15) / 16 * 16;
	}
}

static void fix_checksums(uint8_t *p, size_t n)
{
	uint64_t toc[6], end = n - 52;

	if (n < 57)
		return;
	struct rd r = rd_n(p + end, 48);
	for (int i = 0; i < 6; i++) {
		toc[i] = rd_be64(&r);
		if (toc[i] > end)
			return;
	}
	fix_section(p, toc[0], end);
	fix_section(p, toc[5], end);
	fix_series(p, toc[1], toc[2]);
	for (uint64_t at = (toc[4] + 3) / 4 * 4; at && at < toc[5];)
		at = (fix_section(p, at, toc[5]) + 3) / 4 * 4;
	put_crc(p, end, 48);
}

static void read_series(struct idx_reader *r, struct ctx *ctx, struct arena *a,
			struct postings p)
{
	struct idx_series_req req = { .mint_ms = -1000, .maxt_ms = INT64_MAX };
	struct err e = ERR_INIT;

	for (size_t at = 0; at < p.n; at += 64) {
		struct idx_series s[64];
		struct label *l;
		size_t n = MIN(p.n - at, (size_t)64);
		if (idx_series_read(r, ctx, a, p.ref + at, n, &req, s, &e) < 0)
			return;
		for (size_t i = 0; i < n; i++) {
			if (s[i].bad)
				continue;
			l = arena_alloc(a, (s[i].n_labels + 1) * sizeof(*l));
			if (!idx_series_labels(r, &s[i], l))
				abort();
			for (uint32_t k = 1; k < s[i].n_labels; k++)
				if (str_cmp(l[k - 1].name, l[k].name) >= 0)
					abort();
		}
	}
}

static void match(struct idx_reader *r, struct ctx *ctx, struct arena *a,
		  enum match_type type, struct str name, struct str value)
{
	struct matcher m;
	struct postings p;
	struct err e = ERR_INIT;

	if (matcher_compile(ctx, a, type, name, value, &m, &e) < 0 ||
	    idx_postings(r, ctx, a, &m, 1, &p, &e) < 0)
		return;
	for (size_t i = 1; i < p.n; i++)
		if (p.ref[i - 1] >= p.ref[i])
			abort();
	read_series(r, ctx, a, p);
}

static void read_all(struct idx_reader *r, struct ctx *ctx, struct arena *a)
{
	struct err e = ERR_INIT;
	struct str *name, *value;
	struct postings p;
	size_t n, m;

	if (idx_postings(r, ctx, a, NULL, 0, &p, &e) == 0)
		read_series(r, ctx, a, p);
	if (idx_label_names(r, ctx, a, &name, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n && i < 16; i++) {
		match(r, ctx, a, MATCH_NEQ, name[i], STR(""));
		match(r, ctx, a, MATCH_RE, name[i], STR("a.*|.*1"));
		match(r, ctx, a, MATCH_NRE, name[i], STR("x|"));
		if (idx_label_values(r, ctx, a, name[i], &value, &m, &e) < 0)
			return;
		for (size_t k = 0; k < m && k < 16; k++)
			match(r, ctx, a, MATCH_EQ, name[i], value[k]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n + 1);
	if (n)
		memcpy(copy, p, n);
	fix_checksums(copy, n);
	struct range_source *s = range_source_mem("index", copy, n);
	struct idx_reader *r = NULL;
	struct err e = ERR_INIT;
	struct budget budget;
	struct ctx ctx;
	struct arena a;

	budget_init(&budget, NULL, "fuzz", NULL, MEMORY);
	ctx_init(&ctx, &budget, 0);
	arena_init(&a, &budget);
	if (idx_open_index(&ctx, s, &r, &e) == 0)
		read_all(r, &ctx, &a);
	idx_close(r);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	range_source_unref(s);
	budget_deinit(&budget);
	free(copy);
	return 0;
}
