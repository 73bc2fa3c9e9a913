#include "golden.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/tst.h"
#include "tsdb/chunk/series_samples.h"
#include "wire/json.h"

/* Reads [t, value, st] of a dump; the value is a float's bits, or a histogram's object that is passed over. */
static void read_sample(struct jr *j, int64_t *t, bool *is_float, uint64_t *bits,
			int64_t *st)
{
	char hex[17] = { 0 };
	*st = 0;
	cr_assert_eq(jr_next(j), JSON_NUM);
	cr_assert(str_to_i64(j->s, t));
	enum json_tok k = jr_next(j);
	*is_float = k == JSON_STR;
	if (*is_float) {
		cr_assert_eq(j->s.n, 16);
		memcpy(hex, j->s.p, 16);
		*bits = strtoull(hex, NULL, 16);
	} else {
		cr_assert_eq(k, JSON_OBJ);
		for (int depth = 1; depth > 0;) {
			k = jr_next(j);
			cr_assert(k > 0);
			depth += (k == JSON_OBJ) + (k == JSON_ARR);
			depth -= (k == JSON_OBJ_END) + (k == JSON_ARR_END);
		}
	}
	if (jr_next(j) == JSON_NUM) {
		cr_assert(str_to_i64(j->s, st));
		cr_assert_eq(jr_next(j), JSON_ARR_END);
	}
}

struct seen {
	size_t samples, starts;
};

static void check_columns(struct jr *j, const struct columns *c, struct str labels,
			  struct seen *n)
{
	for (size_t i = 0; i < c->n; i++) {
		int64_t t, st;
		uint64_t bits = 0;
		bool is_float;
		cr_assert_eq(jr_next(j), JSON_ARR);
		read_sample(j, &t, &is_float, &bits, &st);
		cr_assert_eq(c->t_ms[i], t);
		cr_assert_eq(is_float, c->v != NULL);
		cr_assert(!is_float || f64_bits(c->v[i]) == bits, "%.*s",
			  STR_FMT(labels));
		cr_assert_eq(c->st_ms ? c->st_ms[i] : 0, st, "%.*s at %lld",
			     STR_FMT(labels), (long long)t);
		n->samples++;
		n->starts += st != 0;
	}
}

/* All chunks of a series as one run, against its line of the dump. */
static void check_line(struct arena *a, struct str line, const struct golden_row *row,
		       const struct chunk_part *part, struct seen *n)
{
	struct samples *s = series_samples_new(a);
	struct chunk_view *v = ARENA_ARRAY(a, struct chunk_view, row->chunks);
	struct columns c;
	struct err e = ERR_INIT;
	struct jr j;
	int rc;
	for (size_t i = 0; i < row->chunks; i++) {
		v[i] = (struct chunk_view){ .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
		v[i].part[AGGR_RAW] = part[i];
	}
	jr_init(&j, a, line);
	cr_assert_eq(jr_next(&j), JSON_OBJ);
	cr_assert_eq(jr_next(&j), JSON_KEY); /* labels */
	cr_assert_eq(jr_skip(&j), 0);
	cr_assert_eq(jr_next(&j), JSON_KEY); /* samples */
	cr_assert_eq(jr_next(&j), JSON_ARR);
	cr_assert_eq(series_samples_reset(s, v, row->chunks, SAMPLE_AVG, &e), 0);
	while ((rc = samples_next(s, &c, &e)) > 0)
		check_columns(&j, &c, row->labels, n);
	cr_assert_eq(rc, 0, "%s", err_text(&e));
	cr_assert_eq(jr_next(&j), JSON_ARR_END);
}

static struct seen check_dump(const struct golden_block *b)
{
	struct arena a;
	struct seen n = { 0 };
	char path[200];
	size_t n_rows, at = 0;
	struct str line, dump;
	arena_init(&a, NULL);
	snprintf(path, sizeof path, "%s/chunks/000001", b->dir);
	struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
	struct golden_row *rows = golden_rows(&a, golden_read(&a, b->tsv), &n_rows);
	struct str stem = str_n(b->tsv, strlen(b->tsv) - strlen(".series.tsv"));
	dump = golden_read(&a, str_fmt(&a, "%.*s.samples.jsonl", STR_FMT(stem)).p);
	for (size_t i = 0; i < n_rows; i++) {
		str_cut(&dump, '\n', &line);
		cr_assert(str_find(line, rows[i].labels) > 0, "line %zu: %.*s", i + 1,
			  STR_FMT(rows[i].labels));
		check_line(&a, line, &rows[i], &g.v[at], &n);
		at += rows[i].chunks;
	}
	cr_assert_eq(at, g.n);
	cr_assert_eq(dump.n, 0);
	arena_deinit(&a);
	return n;
}

Test(newer, every_sample_has_the_recorded_value_and_start_timestamp)
{
	cr_expect_eq(check_dump(&golden_newer[0]).starts, 0);
	for (size_t i = 1; i < golden_n_newer; i++) {
		struct seen n = check_dump(&golden_newer[i]);
		cr_expect(n.starts > 1000 && n.starts < n.samples, "%zu of %zu", n.starts,
			  n.samples);
	}
}

/* Bytes cut off anywhere: the samples before the cut are shown as they are, then an error that says where. */
static void check_cuts(struct chunk_part whole, struct chunk_decoder *d)
{
	static int64_t t[1024];
	struct columns c;
	struct err e = ERR_INIT;
	size_t n = 0, shown = 0;
	int rc;
	cr_assert_eq(chunk_decoder_reset(d, whole, &e), 0);
	while ((rc = chunk_decoder_next(d, &c, &e)) > 0)
		for (size_t i = 0; i < c.n && n < ARRAY_LEN(t); i++)
			t[n++] = c.t_ms[i];
	cr_assert_eq(n, chunk_count(whole));
	for (uint32_t len = 0; len < whole.n; len++) {
		uint8_t *copy = xmalloc(len + 1u); /* so that reads beyond are seen */
		memcpy(copy, whole.p, len);
		e = ERR_INIT;
		shown = 0;
		rc = chunk_decoder_reset(d, (struct chunk_part){ copy, len, whole.enc },
					 &e);
		while (rc >= 0 && (rc = chunk_decoder_next(d, &c, &e)) > 0)
			for (size_t i = 0; i < c.n; i++, shown++)
				cr_assert_eq(c.t_ms[i], t[shown]);
		cr_assert_eq(rc, -1, "%u of %u bytes", len, whole.n);
		cr_assert_eq(e.code, E_CORRUPT);
		cr_assert(shown < n);
		cr_assert(strstr(err_text(&e), chunk_enc_name(whole.enc)) ||
				  strstr(err_text(&e), "histogram chunk"),
			  "%s", err_text(&e));
		free(copy);
	}
}

Test(newer, a_chunk_that_is_cut_shows_what_is_there_and_fails)
{
	for (size_t b = 0; b < golden_n_newer; b++) {
		struct arena a;
		char path[200];
		arena_init(&a, NULL);
		snprintf(path, sizeof path, "%s/chunks/000001", golden_newer[b].dir);
		struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
		struct chunk_decoder *d = chunk_decoder_new(&a);
		for (size_t i = 0; i < g.n; i += 7)
			check_cuts(g.v[i], d);
		arena_deinit(&a);
	}
}

struct bad_chunk {
	uint8_t enc;
	uint8_t n;
	char text[80];
	uint8_t data[28];
};

Test(newer, damaged_chunks_are_refused)
{
	/* Sample 0 of each XOR2 chunk: t = 0, value 0. */
	static const struct bad_chunk bad[] = {
		{ CHUNK_XOR2, 2, "XOR2 chunk: 2 bytes", { 0, 0 } },
		{ CHUNK_XOR2,
		  12,
		  "sample 1 does not rise", /* delta 0 */
		  { 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* + */ 0, 0 } },
		{ CHUNK_XOR2,
		  20,
		  "damaged at sample 1", /* window of 16 + 63 bits */
		  { 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xd0, 0xfc, 0, 0, 0, 0, 0 } },
		{ CHUNK_XOR2,
		  12,
		  "damaged at sample 0", /* first start timestamp missing */
		  { 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0 } },
		{ CHUNK_XOR2,
		  24,
		  "damaged at sample 0", /* its varint has eleven bytes */
		  { 0,	 1,   0x80, 0,	 0,   0,   0,	0,   0,	  0,   0,   0,
		    255, 255, 255,  255, 255, 255, 255, 255, 255, 255, 255, 0 } },
		{ CHUNK_HIST_ST, 2, "start timestamps chunk: 2 bytes", { 0, 1 } },
		{ CHUNK_FLOATHIST_ST, 3, "cut short", { 0, 1, 0 } },
		{ CHUNK_HIST_ST,
		  12,
		  "schema",
		  { 0, 1, 0, 0, 0xfe, 17, 17, 17, 17, 17, 17, 17 } },
	};
	struct arena a;
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		struct columns c;
		uint8_t n = bad[i].n + (i == 1 ? 2 : 0);
		uint8_t *copy = xmalloc(n);
		memcpy(copy, bad[i].data, n);
		struct chunk_part p = { copy, n, bad[i].enc };
		int rc = chunk_decoder_reset(d, p, &e);
		while (rc >= 0 && (rc = chunk_decoder_next(d, &c, &e)) > 0)
			;
		cr_expect_eq(rc, -1, "case %zu", i);
		cr_expect_eq(e.code, E_CORRUPT, "case %zu", i);
		cr_expect(rc == 0 || strstr(err_text(&e), bad[i].text), "case %zu: %s", i,
			  err_text(&e));
		free(copy);
	}
	arena_deinit(&a);
}

/* Start timestamps: written, read back, equal; first known or not, first change at every place. */
Test(newer, start_timestamps_survive_wherever_they_first_change)
{
	enum { N = 200 };
	struct arena a;
	struct err e = ERR_INIT;
	struct columns c;
	arena_init(&a, NULL);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	struct chunk_encoder *w = chunk_encoder_new();
	for (int change = 0; change < N; change++)
		for (int first = 0; first < 2; first++) {
			int64_t st[N];
			size_t n = 0;
			chunk_encoder_begin(w, CHUNK_XOR2);
			for (int i = 0; i < N; i++) {
				st[i] = first ? 77 : 0;
				if (i >= change && change)
					st[i] = INT64_MIN / 2 * (i & 1) + i * i * 1000;
				chunk_encoder_start(w, st[i]);
				cr_assert_eq(chunk_encoder_float(w, i * 15000, i % 3, &e),
					     0);
			}
			cr_assert_eq(chunk_decoder_reset(d, chunk_encoder_part(w), &e),
				     0);
			while (chunk_decoder_next(d, &c, &e) > 0)
				for (size_t i = 0; i < c.n; i++, n++)
					cr_assert_eq(c.st_ms ? c.st_ms[i] : 0, st[n],
						     "change %d sample %zu", change, n);
			cr_assert_eq(n, N);
		}
	chunk_encoder_free(w);
	arena_deinit(&a);
}

Test(newer, a_chunk_with_start_timestamps_takes_16383_histograms)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e = ERR_INIT;
	struct hist h = { .is_int = true };
	chunk_encoder_begin(w, CHUNK_HIST_ST);
	for (int i = 0; i < 16383; i++)
		cr_assert_eq(chunk_encoder_hist(w, i, &h, &e), 0, "%s", err_text(&e));
	cr_assert_eq(chunk_encoder_hist(w, 16383, &h, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_eq(chunk_count(chunk_encoder_part(w)), 16383);
	chunk_encoder_free(w);
}
