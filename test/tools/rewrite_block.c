/*
 * test/tools/rewrite_block.c - a block folder read and written again by block_writer:
 *
 *     rewrite_block [--memory=BYTES] [--segment=BYTES] [--samples=N] SRC DST
 *
 * DST/<ULID> appears, of the same ULID and meta.json. With --samples, floats are decoded and encoded anew, N to a
 * chunk. test/e2e/test_write.py gives the result to Debian's promtool and Prometheus.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tsdb/block/scan.h"
#include "tsdb/write/write.h"

struct rewrite {
	struct ctx ctx;
	struct arena a; /* chunks of one series */
	struct block_scan *scan;
	struct block_writer *w;
	unsigned samples;
	struct chunk_encoder *enc;
};

static bool all_floats(const struct scan_series *s)
{
	for (size_t i = 0; i < s->n_chunks; i++)
		if (s->chunk[i].part[AGGR_RAW].enc != CHUNK_XOR)
			return false;
	return true;
}

static void end_chunk(struct rewrite *r, struct chunk_view *v, size_t *n)
{
	struct chunk_part p = chunk_encoder_part(r->enc);
	p.p = (const uint8_t *)str_dup(&r->a, str_n(p.p, p.n)).p;
	v[(*n)++].part[AGGR_RAW] = p;
	chunk_encoder_begin(r->enc, CHUNK_XOR);
}

static int recode(struct rewrite *r, struct scan_series *s, struct err *e)
{
	size_t total = 0, n = 0;
	for (size_t i = 0; i < s->n_chunks; i++)
		total += chunk_count(s->chunk[i].part[AGGR_RAW]);
	struct chunk_view *v =
		ARENA_ARRAY(&r->a, struct chunk_view, total / r->samples + 2);
	int64_t *t = ARENA_ARRAY(&r->a, int64_t, total + 1);
	double *x = ARENA_ARRAY(&r->a, double, total + 1);
	size_t at = 0;
	for (size_t i = 0; i < s->n_chunks; i++) {
		const struct chunk_part *p = &s->chunk[i].part[AGGR_RAW];
		int k = chunk_xor_decode(p->p, p->n, t + at, x + at, total - at, e);
		if (k < 0)
			return -1;
		at += (size_t)k;
	}
	chunk_encoder_begin(r->enc, CHUNK_XOR);
	for (size_t i = 0; i < at; i++) {
		if (chunk_encoder_count(r->enc) == 0)
			v[n].mint_ms = t[i];
		v[n].maxt_ms = t[i];
		if (chunk_encoder_float(r->enc, t[i], x[i], e) < 0)
			return -1;
		if (chunk_encoder_count(r->enc) == r->samples || i + 1 == at)
			end_chunk(r, v, &n);
	}
	s->chunk = v;
	s->n_chunks = n;
	return 0;
}

static int rewrite(struct rewrite *r, struct err *e)
{
	struct str symbol;
	struct scan_series s;
	int rc;
	while ((rc = block_scan_symbol(r->scan, &r->ctx, &symbol, e)) == 1)
		if (block_writer_symbol(r->w, &r->ctx, symbol, e) < 0)
			return -1;
	while (rc == 0 && (rc = block_scan_series(r->scan, &r->ctx, &s, e)) == 1) {
		arena_reset(&r->a);
		if (r->samples && all_floats(&s) && recode(r, &s, e) < 0)
			return -1;
		rc = block_writer_series(r->w, &r->ctx, s.label, s.n_labels, s.chunk,
					 s.n_chunks, e);
	}
	return rc;
}

static uint64_t option(char ***argv, const char *name)
{
	size_t n = strlen(name);
	if (!**argv || strncmp(**argv, name, n) != 0)
		return 0;
	return strtoull(*(*argv)++ + n, NULL, 10);
}

int main(int argc, char **argv)
{
	struct rewrite r = { .enc = chunk_encoder_new() };
	struct block_writer_opts o = { .newer_encodings = true };
	struct block_writer_stats st;
	struct block_source src;
	struct err e = ERR_INIT;
	struct arena a;
	char **arg = argv + 1;
	(void)argc;
	o.memory = (size_t)option(&arg, "--memory=");
	o.segment_bytes = option(&arg, "--segment=");
	r.samples = (unsigned)option(&arg, "--samples=");
	if (!arg[0] || !arg[1]) {
		fprintf(stderr, "usage: rewrite_block [--memory=BYTES] [--segment=BYTES] "
				"[--samples=N] SRC DST\n");
		return 2;
	}
	ctx_init(&r.ctx, NULL, 0);
	arena_init(&a, NULL);
	arena_init(&r.a, NULL);
	if (block_source_open_dir(&r.ctx, &a, arg[0], &src, &e) < 0)
		goto failed;
	struct block_meta m = *src.meta;
	o.dir = arg[1];
	o.ulid = m.ulid;
	if (block_scan_open(&r.ctx, &src, 0, &r.scan, &e) < 0 ||
	    block_writer_open(&r.ctx, &o, &r.w, &e) < 0 || rewrite(&r, &e) < 0 ||
	    block_writer_finish(r.w, &r.ctx, &m, m.thanos.resolution_ms != 0, &st, &e) <
		    0)
		goto failed;
	block_scan_close(r.scan);
	block_source_close(&src);
	chunk_encoder_free(r.enc);
	arena_deinit(&r.a);
	arena_deinit(&a);
	ctx_deinit(&r.ctx);
	printf("%llu series, %llu chunks, %u segments\n", (unsigned long long)st.series,
	       (unsigned long long)st.chunks, st.segments);
	return 0;
failed:
	fprintf(stderr, "rewrite_block: %s\n", err_text(&e));
	return 1;
}
