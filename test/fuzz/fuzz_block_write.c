/*
 * The block writer against the readers: the input is a program of symbols, label sets and chunks, which may break
 * every rule. What the writer refuses leaves nothing; what it takes is read back, entry by entry and list by list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/fs.h"
#include "tsdb/block/scan.h"
#include "tsdb/write/write_int.h"
#include "wire/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define SYMBOLS 40
#define SERIES	60
#define LABELS	5
#define CHUNKS	3

struct series {
	uint32_t label[2 * LABELS];
	size_t n_labels, n_chunks;
	struct chunk_view chunk[CHUNKS];
};
struct run {
	struct rd r;
	struct ctx ctx;
	struct arena a;
	struct str symbol[SYMBOLS];
	uint32_t n_symbols;
	struct series series[SERIES];
	size_t n_series;
	char dir[64];
};

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- writing ---- */

static int write_symbols(struct run *r, struct block_writer *w, struct err *e)
{
	size_t n = rd_u8(&r->r) % SYMBOLS;
	uint8_t last = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t op = rd_u8(&r->r);
		struct str tail = rd_bytes(&r->r, MIN(op % 5u, rd_left(&r->r)));
		/* nearly always behind the one before */
		last = op == 255 ? op : (uint8_t)(last + 1 + op % 3);
		struct str s = str_fmt(&r->a, "%c%.*s", last, STR_FMT(tail));
		if (block_writer_symbol(w, &r->ctx, s, e) < 0)
			return -1;
		r->symbol[r->n_symbols++] = s;
	}
	return 0;
}

static struct chunk_part any_part(struct run *r)
{
	uint8_t op = rd_u8(&r->r);
	uint32_t n = 3 + op % 60;
	uint8_t *p = arena_alloc(&r->a, n);
	memset(p, op, n);
	p[0] = 0;
	p[1] = op == 253 ? 0 : 1; /* samples */
	return (struct chunk_part){ p, n, (uint8_t)(1 + op % 3 + (op == 254 ? 5 : 0)) };
}

static void any_chunk(struct run *r, struct chunk_view *c, int64_t *t)
{
	uint8_t op = rd_u8(&r->r);
	*c = (struct chunk_view){ .mint_ms = *t += op == 253 ? 0 : 1 + op };
	c->maxt_ms = *t += op == 252 ? -1 : op * 1000;
	if (op % 4 || op < 4)
		c->part[AGGR_RAW] = any_part(r);
	else
		for (unsigned a = AGGR_COUNT; a < AGGR_N; a++)
			if ((op + 4u) >> (a + 1) & 1)
				c->part[a] = any_part(r);
}

static int write_series(struct run *r, struct block_writer *w, struct err *e)
{
	static const int64_t begin[] = { 0, -5, INT64_MIN, INT64_MAX / 2, 1789977600000 };
	uint32_t up = 0; /* label sets ascend when their first value does */
	while (r->n_series < SERIES && rd_left(&r->r)) {
		struct series *s = &r->series[r->n_series];
		uint8_t op = rd_u8(&r->r);
		uint32_t name = 0;
		/* a byte of 250 and more breaks a rule */
		s->n_labels = op >= 250 ? op - 250u : 1u + op % LABELS;
		for (size_t i = 0; i < s->n_labels; i++) {
			uint8_t step = rd_u8(&r->r);
			up += i == 0 ? 1 + step / 2 % 2 : 0;
			name += i ? 1 + step % 2 : 0;
			s->label[2 * i] = step == 255 ? 0 : name;
			s->label[2 * i + 1] =
				i ? step % (MAX(r->n_symbols, 1u) + (step > 250)) : up;
		}
		if (up >= r->n_symbols || name >= r->n_symbols)
			break;
		int64_t t = begin[rd_u8(&r->r) % 5];
		s->n_chunks = op == 249 ? 0 : 1 + op / 8 % CHUNKS;
		for (size_t i = 0; i < s->n_chunks; i++)
			any_chunk(r, &s->chunk[i], &t);
		if (block_writer_series(w, &r->ctx, s->label, s->n_labels, s->chunk,
					s->n_chunks, e) < 0)
			return -1;
		r->n_series++;
	}
	return 0;
}

/* ---- reading ---- */

static void check_scan(struct run *r, const char *dir)
{
	struct block_source src;
	struct block_scan *scan;
	struct scan_series got;
	struct str s;
	struct err e;
	must(block_source_open_dir(&r->ctx, &r->a, dir, &src, &e) == 0);
	must(block_scan_open(&r->ctx, &src, 4096, &scan, &e) == 0);
	for (uint32_t i = 0; i < r->n_symbols; i++)
		must(block_scan_symbol(scan, &r->ctx, &s, &e) == 1 &&
		     str_eq(s, r->symbol[i]));
	must(block_scan_symbol(scan, &r->ctx, &s, &e) == 0);
	for (size_t i = 0; i < r->n_series; i++) {
		const struct series *want = &r->series[i];
		must(block_scan_series(scan, &r->ctx, &got, &e) == 1);
		must(got.n_labels == want->n_labels && got.n_chunks == want->n_chunks);
		must(memcmp(got.label, want->label, 8 * want->n_labels) == 0);
		for (size_t k = 0; k < want->n_chunks; k++)
			must(chunk_view_eq(&got.chunk[k], &want->chunk[k]));
	}
	must(block_scan_series(scan, &r->ctx, &got, &e) == 0);
	block_scan_close(scan);
	block_source_close(&src);
}

static bool has_pair(const struct series *s, uint32_t name, uint32_t value)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (s->label[2 * i] == name && s->label[2 * i + 1] == value)
			return true;
	return false;
}

static void check_lists(struct run *r, const char *dir)
{
	struct block *b;
	struct postings p;
	struct err e;
	must(block_open_dir(&r->ctx, dir, &b, &e) == 0);
	must(idx_postings(b->index, &r->ctx, &r->a, NULL, 0, &p, &e) == 0);
	must(p.n == r->n_series);
	for (size_t i = 0; i < r->n_series; i++) {
		struct series *s = &r->series[i];
		for (size_t k = 0; k < s->n_labels; k++) {
			struct matcher m;
			size_t n = 0;
			uint32_t name = s->label[2 * k], value = s->label[2 * k + 1];
			for (size_t j = 0; j < r->n_series; j++)
				n += has_pair(&r->series[j], name, value);
			must(matcher_compile(&r->ctx, &r->a, MATCH_EQ, r->symbol[name],
					     r->symbol[value], &m, &e) == 0);
			must(idx_postings(b->index, &r->ctx, &r->a, &m, 1, &p, &e) == 0);
			must(p.n == n);
		}
	}
	block_unref(b);
}

static void check_left(struct run *r, size_t want)
{
	struct fs_names l;
	struct err e;
	must(fs_list(&r->ctx, &r->a, r->dir, &l, &e) == 0 && l.n == want);
}

static void one(struct run *r)
{
	struct block_writer *w;
	struct block_meta m = { .maxt_ms = 1 };
	struct block_writer_opts o = { .dir = r->dir };
	struct write_limits l = WRITE_LIMITS;
	struct err e;
	uint8_t op = rd_u8(&r->r);
	o.segment_bytes = op & 1 ? 100 : 0;
	l.memory = op & 2 ? 50 + op : 0;
	if (op >= 224)
		l.section = (op & 31) * 20u;
	else if (op >= 192)
		l.index = (op & 31) * 100u;
	must(block_writer_open(&r->ctx, &o, &w, &e) == 0);
	block_writer_limit(w, l);
	int rc = write_symbols(r, w, &e);
	if (rc == 0)
		rc = write_series(r, w, &e);
	if (rc < 0)
		must(e.code == E_INVALID || e.code == E_LIMIT);
	if (block_writer_finish(w, &r->ctx, &m, false, NULL, &e) < 0) {
		must(e.code == E_INVALID || e.code == E_LIMIT || e.code == E_ABORTED);
		check_left(r, 0);
		return;
	}
	must(rc == 0);
	check_left(r, 1);
	const char *dir = str_fmt(&r->a, "%s/00000000000000000000000000", r->dir).p;
	check_scan(r, dir);
	check_lists(r, dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run *r = calloc(1, sizeof(*r));
	struct err e;
	log_setup(LOG_ERROR, LOG_LOGFMT, 2);
	snprintf(r->dir, sizeof(r->dir), "%s/thanosc-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(r->dir) != NULL);
	r->r = rd_n(p, n);
	ctx_init(&r->ctx, NULL, 0);
	arena_init(&r->a, NULL);
	one(r);
	must(fs_remove_all(&r->ctx, r->dir, &e) == 0);
	arena_deinit(&r->a);
	ctx_deinit(&r->ctx);
	free(r);
	return 0;
}
