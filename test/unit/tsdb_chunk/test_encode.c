#include "golden.h"

#include <stdio.h>

#include "support/tst.h"

/* Encode what d shows into w; 0, or what the encoder said otherwise. */
static int reencode(struct chunk_encoder *w, struct chunk_decoder *d, struct err *e)
{
	struct columns c;
	int rc;
	while ((rc = chunk_decoder_next(d, &c, e)) > 0)
		for (size_t i = 0; i < c.n; i++) {
			chunk_encoder_start(w, c.st_ms ? c.st_ms[i] : 0);
			rc = c.v ? chunk_encoder_float(w, c.t_ms[i], c.v[i], e)
				 : chunk_encoder_hist(w, c.t_ms[i], c.h[i], e);
			if (rc != 0)
				return rc;
		}
	return rc;
}

/*
 * What encoding the decoded samples anew gives. Two kinds of chunks differ, in the two bits of their reset header alone,
 * because what decided these is not among the samples:
 * alone   the chunk says "unknown", ours knows better from the chunk before. Prometheus encoded it without that one: a
 *         head's block ends, or begins, with a part of a chunk that is read sample by sample and encoded anew, and a
 *         compacted block is a row of such blocks
 * hinted  the chunk says "reset", which a client said by the sample's own hint where no count falls
 */
struct tally {
	size_t same, alone, hinted, all;
};

static void check_bytes(struct chunk_part got, struct chunk_part c, const char *where,
			struct str labels, struct tally *t)
{
	bool hist = c.enc != CHUNK_XOR && c.enc != CHUNK_XOR2;
	uint32_t at = c.enc == CHUNK_HIST_ST || c.enc == CHUNK_FLOATHIST_ST ? 0 : 2;
	uint32_t i = 0, other = 0;
	t->all++;
	for (uint32_t k = 0; k < MIN(got.n, c.n); k++)
		if (got.p[k] != c.p[k] &&
		    !(hist && k == at && ((got.p[k] ^ c.p[k]) & 0x3f) == 0))
			other++;
	while (i < MIN(got.n, c.n) && got.p[i] == c.p[i])
		i++;
	bool header_only = got.n == c.n && !other;
	if (header_only && i == c.n)
		t->same++;
	else if (header_only && c.p[at] >> 6 == 0)
		t->alone++;
	else if (header_only && c.p[at] >> 6 == 2 &&
		 str_find(labels, STR("h_resets")) > 0)
		t->hinted++;
	else
		cr_log_error("%s %.*s: %s differs at byte %u (%x, not %x) of %u (%u)",
			     where, STR_FMT(labels), chunk_enc_name(c.enc), i, got.p[i],
			     c.p[i], c.n, got.n);
}

static void check_chunk(struct chunk_encoder *w, struct chunk_decoder *d,
			struct chunk_part c, bool first, const char *where,
			struct str labels, struct tally *t)
{
	struct err e = ERR_INIT;
	cr_assert_eq(chunk_decoder_reset(d, c, &e), 0, "%s", err_text(&e));
	if (first)
		chunk_encoder_begin(w, (enum chunk_enc)c.enc);
	else
		chunk_encoder_next(w, (enum chunk_enc)c.enc);
	int rc = reencode(w, d, &e);
	cr_expect_eq(rc, 0, "%s %.*s: %d %s", where, STR_FMT(labels), rc, err_text(&e));
	check_bytes(chunk_encoder_part(w), c, where, labels, t);
}

static struct tally check_blocks(const struct golden_block *blocks, size_t n_blocks)
{
	struct tally t = { 0 };
	struct chunk_encoder *w = chunk_encoder_new();
	for (size_t b = 0; b < n_blocks; b++) {
		struct arena a;
		arena_init(&a, NULL);
		char path[200];
		snprintf(path, sizeof path, "%s/chunks/000001", blocks[b].dir);
		struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
		size_t n, at = 0;
		struct golden_row *rows =
			golden_rows(&a, golden_read(&a, blocks[b].tsv), &n);
		struct chunk_decoder *d = chunk_decoder_new(&a);
		for (size_t i = 0; i < n && str_eqz(rows[i].aggregate, "raw"); i++)
			for (size_t j = 0; j < rows[i].chunks; j++, at++)
				check_chunk(w, d, g.v[at], j == 0, blocks[b].dir,
					    rows[i].labels, &t);
		arena_deinit(&a);
	}
	chunk_encoder_free(w);
	return t;
}

static void check_tally(const struct tally *t, size_t least, size_t alone, size_t hinted)
{
	cr_assert_gt(t->all, least);
	cr_assert_eq(t->same + t->alone + t->hinted, t->all, "%zu of %zu chunks equal",
		     t->same, t->all);
	cr_assert_eq(t->alone, alone, "%zu", t->alone);
	cr_assert_eq(t->hinted, hinted, "%zu", t->hinted);
}

Test(encode, every_raw_golden_chunk_is_encoded_to_the_same_bytes)
{
	struct tally t = check_blocks(golden_blocks, golden_n_blocks);
	check_tally(&t, 6000, 418, 2);
}

Test(encode, every_golden_chunk_of_newer_encodings_is_encoded_to_the_same_bytes)
{
	struct tally t = check_blocks(golden_newer, golden_n_newer);
	check_tally(&t, 250, 22, 2);
}

/*
 * Counters may end with two samples of one time, which only the encoder of whole columns takes. Histogram counters are
 * compared where they are made: test/unit/downsample.
 */
static void check_counter(struct chunk_decoder *d, struct chunk_part c, const char *where,
			  struct tally *t)
{
	int64_t times[1000];
	double v[1000];
	struct err e = ERR_INIT;
	struct buf b;
	struct columns cols;
	size_t n = 0;
	int rc = chunk_decoder_reset(d, c, &e);
	while (rc >= 0 && (rc = chunk_decoder_next(d, &cols, &e)) > 0) {
		cr_assert_leq(n + cols.n, ARRAY_LEN(v));
		memcpy(times + n, cols.t_ms, cols.n * sizeof *times);
		memcpy(v + n, cols.v, cols.n * sizeof *v);
		n += cols.n;
	}
	cr_assert_eq(rc, 0, "%s: %s", where, err_text(&e));
	buf_init(&b, 1 << 20);
	cr_assert_eq(chunk_xor_encode(&b, times, v, n, &e), 0, "%s", err_text(&e));
	check_bytes((struct chunk_part){ b.p, (uint32_t)b.n, CHUNK_XOR }, c, where,
		    STR("counter"), t);
	buf_deinit(&b);
}

/* The five sub-chunks of each aggregate chunk, and the chunk put together of them. */
static void check_aggr(struct chunk_encoder *w, struct chunk_decoder *d,
		       struct chunk_part c, const char *where, struct tally *t)
{
	struct chunk_view v = { 0 };
	struct err e = ERR_INIT;
	struct buf b;
	cr_assert_eq(chunk_aggr_split(c.p, c.n, &v, &e), 0, "%s", err_text(&e));
	buf_init(&b, 1 << 20);
	chunk_aggr_join(&v, &b);
	cr_assert(str_eq(buf_view(&b), str_n(c.p, c.n)), "%s", where);
	buf_deinit(&b);
	for (unsigned a = AGGR_COUNT; a < AGGR_COUNTER; a++)
		if (v.part[a].p)
			check_chunk(w, d, v.part[a], true, where, STR("aggregate"), t);
	if (v.part[AGGR_COUNTER].enc == CHUNK_XOR)
		check_counter(d, v.part[AGGR_COUNTER], where, t);
}

Test(encode, every_golden_aggregate_chunk_is_put_together_to_the_same_bytes)
{
	struct tally t = { 0 };
	struct chunk_encoder *w = chunk_encoder_new();
	for (size_t b = 0; b < golden_n_blocks; b++) {
		struct arena a;
		char path[200];
		arena_init(&a, NULL);
		snprintf(path, sizeof path, "%s/chunks/000001", golden_blocks[b].dir);
		struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
		struct chunk_decoder *d = chunk_decoder_new(&a);
		for (size_t i = 0; i < g.n; i++)
			if (g.v[i].enc == CHUNK_AGGR)
				check_aggr(w, d, g.v[i], golden_blocks[b].dir, &t);
		arena_deinit(&a);
	}
	chunk_encoder_free(w);
	check_tally(&t, 1000, 0, 0);
}
