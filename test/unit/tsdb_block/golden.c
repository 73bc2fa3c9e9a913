#include "support/tst.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "unit/tsdb_block/golden.h"
#include "wire/codec.h"
#include "wire/json.h"
#include "wire/wr.h"

const struct block_series_req req_all = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };

void fix_begin(struct fix *f)
{
	ctx_init(&f->ctx, NULL, 0);
	arena_init(&f->a, NULL);
	f->e = ERR_INIT;
	f->part = AGGR_RAW;
}

void fix_end(struct fix *f)
{
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
}

struct block *open_block(struct fix *f, const char *dir)
{
	struct block *b = NULL;
	cr_assert_eq(block_open_dir(&f->ctx, dir, &b, &f->e), 0, "%s: %s", dir,
		     err_text(&f->e));
	return b;
}

size_t count_warnings(struct fix *f, const char *needle)
{
	struct notes_view v;
	size_t n = 0;

	notes_view(f->ctx.notes, &f->a, &v);
	for (size_t i = 0; i < v.n_warnings; i++)
		n += str_find(v.warnings[i], str_of(needle)) >= 0;
	return n;
}

/* ---- digest of samples ---- */

static void put_f64(struct buf *b, double v)
{
	wr_be64(b, f64_bits(v));
}

static void put_buckets(struct buf *b, const struct hist_span *span, uint32_t n_spans,
			const double *count)
{
	uint32_t used = 0, k = 0;
	int32_t index = 0;

	for (uint32_t i = 0; i < n_spans; i++)
		for (uint32_t j = 0; j < span[i].length; j++)
			used += count[k++] != 0;
	wr_be32(b, used);
	k = 0;
	for (uint32_t i = 0; i < n_spans; i++) {
		index += span[i].offset;
		for (uint32_t j = 0; j < span[i].length; j++, index++, k++)
			if (count[k] != 0) {
				wr_be32(b, (uint32_t)index);
				put_f64(b, count[k]);
			}
	}
}

static void put_hist(struct buf *b, const struct hist *h)
{
	buf_byte(b, 'h');
	wr_be32(b, (uint32_t)h->schema);
	put_f64(b, h->zero_threshold);
	put_f64(b, h->zero_count);
	put_f64(b, h->count);
	put_f64(b, h->sum);
	put_buckets(b, h->pos_spans, h->n_pos_spans, h->pos);
	put_buckets(b, h->neg_spans, h->n_neg_spans, h->neg);
	wr_be32(b, h->n_bounds);
	for (uint32_t i = 0; i < h->n_bounds; i++)
		put_f64(b, h->bounds[i]);
}

static void add_sample(struct row *r, struct buf *b, int64_t t, double v,
		       const struct hist *h)
{
	if (r->floats + r->hists == 0)
		r->mint_ms = t;
	r->maxt_ms = t;
	buf_reset(b);
	wr_be64(b, (uint64_t)t);
	if (h) {
		r->hists++;
		put_hist(b, h);
	} else {
		r->floats++;
		buf_byte(b, 'f');
		put_f64(b, v);
		if (!isnan(v)) {
			r->min = r->has_min && r->min < v ? r->min : v;
			r->max = r->has_min && r->max > v ? r->max : v;
			r->sum += v;
			r->has_min = true;
		}
	}
	r->crc = crc32c(r->crc, b->p, b->n);
}

/* All samples of a chunk; false: it could not be decoded to its end. */
static bool add_chunk(struct row *r, struct buf *b, struct chunk_part p)
{
	struct chunk_decoder *d;
	struct columns col;
	struct arena a;
	struct err e = ERR_INIT;
	int rc = -1;

	arena_init(&a, NULL);
	d = chunk_decoder_new(&a);
	r->chunks[p.enc]++;
	if (chunk_decoder_reset(d, p, &e) == 0)
		while ((rc = chunk_decoder_next(d, &col, &e)) > 0)
			for (size_t i = 0; i < col.n; i++)
				add_sample(r, b, col.t_ms[i], col.v ? col.v[i] : 0,
					   col.v ? NULL : col.h[i]);
	arena_deinit(&a);
	return rc == 0;
}

static struct row *add_row(struct rows *rows)
{
	if (rows->n == rows->cap)
		rows->v = vec_grow(rows->v, &rows->cap, rows->n + 1, sizeof(*rows->v));
	struct row *r = &rows->v[rows->n++];
	*r = (struct row){ 0 };
	return r;
}

int rows_read(struct fix *f, struct series_set *set, struct rows *out)
{
	const struct series_in *s;
	struct buf b;
	int rc;

	*out = (struct rows){ 0 };
	buf_init(&b, 1 << 20);
	while ((rc = series_set_next(set, &f->ctx, &s, &f->e)) > 0) {
		struct row *r = add_row(out);
		r->labels = labels_dup(&f->a, s->labels);
		size_t parts = 0;
		for (size_t i = 0; i < s->n; i++) {
			struct chunk_part p = s->chunks[i].part[f->part];
			parts += p.p != NULL;
			if (p.p && !add_chunk(r, &b, p)) {
				r->failed = true;
				out->failed++;
			}
		}
		out->samples += r->floats + r->hists;
		out->n -= f->part != AGGR_RAW && parts == 0;
	}
	buf_deinit(&b);
	return rc;
}

int rows_of_block(struct fix *f, struct block *b, const struct block_series_req *req,
		  struct rows *out)
{
	struct series_set *set = NULL;
	int rc;

	*out = (struct rows){ 0 };
	if (block_series(b, &f->ctx, req, &set, &f->e) < 0)
		return -1;
	rc = rows_read(f, set, out);
	series_set_close(set);
	return rc;
}

/* ---- expected files ---- */

static struct labels parse_labels(struct fix *f, struct str json)
{
	struct label *l = ARENA_ARRAY(&f->a, struct label, 1100);
	struct jr j;
	size_t n = 0;
	enum json_tok t;

	jr_init(&j, &f->a, json);
	cr_assert_eq(jr_next(&j), JSON_OBJ);
	while ((t = jr_next(&j)) == JSON_KEY) {
		cr_assert(n < 1100);
		l[n].name = j.s;
		cr_assert_eq(jr_next(&j), JSON_STR);
		l[n++].value = j.s;
	}
	cr_assert_eq(t, JSON_OBJ_END);
	return (struct labels){ .l = l, .n = (uint32_t)n };
}

static void parse_chunks(struct row *r, struct str text)
{
	static const char names[][20] = {
		"",	"XOR",	       "histogram",	  "floathistogram",
		"XOR2", "histogramST", "floathistogramST"
	};
	struct str part, enc;

	for (bool more = true; more && text.n;) {
		more = str_cut(&text, ',', &part);
		int64_t n;
		cr_assert(str_cut(&part, ':', &enc));
		cr_assert(str_to_i64(part, &n));
		for (unsigned i = 0; i < ARRAY_LEN(names); i++)
			if (str_eqz(enc, names[i]))
				r->chunks[i] = (uint64_t)n;
	}
}

static double number(struct str s)
{
	double v = NAN;
	cr_assert(str_to_f64(s, &v), "%.*s", STR_FMT(s));
	return v;
}

static void parse_row(struct fix *f, struct str line, bool live, const char *aggregate,
		      struct rows *out)
{
	struct str col[10], aggr;
	size_t n = 0;
	bool more = true;
	int64_t v;

	while (more && n < 10) {
		more = str_cut(&line, '\t', &col[n++]);
		if (!aggregate || n != 1)
			continue;
		str_cut(&line, '\t', &aggr);
		if (!str_eqz(aggr, aggregate))
			return;
	}
	struct row *r = add_row(out);
	cr_assert_eq(n, 10u);
	r->labels = parse_labels(f, col[0]);
	if (!live)
		parse_chunks(r, col[1]);
	size_t k = 2;
	cr_assert(str_to_u64(col[k++], &r->floats));
	cr_assert(str_to_u64(col[k++], &r->hists));
	cr_assert(str_to_i64(col[k++], &r->mint_ms));
	cr_assert(str_to_i64(col[k++], &r->maxt_ms));
	r->has_min = !str_eqz(col[k], "-");
	if (r->has_min) {
		r->min = number(col[k]);
		r->max = number(col[k + 1]);
	}
	r->sum = number(col[k + 2]);
	char hex[16];
	snprintf(hex, sizeof(hex), "%.*s", STR_FMT(col[k + 3]));
	v = (int64_t)strtoul(hex, NULL, 16);
	r->crc = (uint32_t)v;
	out->samples += r->floats + r->hists;
}

static void read_expected(struct fix *f, const char *path, bool live,
			  const char *aggregate, struct rows *out)
{
	struct buf raw, text;
	struct str rest, line;

	*out = (struct rows){ 0 };
	buf_init(&raw, 16 << 20);
	buf_init(&text, 16 << 20);
	cr_assert_eq(fs_read_file(&f->ctx, path, 16 << 20, &raw, &f->e), 0, "%s",
		     err_text(&f->e));
	if (str_has_suffix(str_of(path), STR(".gz")))
		cr_assert_eq(gzip_decode(buf_view(&raw), 16 << 20, &text, &f->e), 0);
	else
		buf_str(&text, buf_view(&raw));
	rest = str_dup(&f->a, buf_view(&text)); /* labels may be views of it */
	str_cut(&rest, '\n', &line);		/* head */
	for (bool more = true; more && rest.n;) {
		more = str_cut(&rest, '\n', &line);
		if (line.n)
			parse_row(f, line, live, aggregate, out);
	}
	buf_deinit(&raw);
	buf_deinit(&text);
}

void rows_expected(struct fix *f, const char *path, bool live, struct rows *out)
{
	read_expected(f, path, live, NULL, out);
}

void rows_expected_aggr(struct fix *f, const char *path, const char *aggregate,
			struct rows *out)
{
	read_expected(f, path, false, aggregate, out);
}

void rows_compare(const char *what, const struct rows *got, const struct rows *want,
		  bool live)
{
	cr_assert_eq(got->n, want->n, "%s: %zu series, not %zu", what, got->n, want->n);
	for (size_t i = 0; i < got->n; i++) {
		const struct row *g = &got->v[i], *w = &want->v[i];
		cr_assert(labels_eq(g->labels, w->labels), "%s: row %zu: labels", what,
			  i);
		for (unsigned k = 0; k < 256 && !live; k++)
			cr_assert(g->chunks[k] == w->chunks[k], "%s: row %zu: chunks",
				  what, i);
		cr_assert(g->floats == w->floats && g->hists == w->hists,
			  "%s: row %zu: counts", what, i);
		cr_assert(g->mint_ms == w->mint_ms && g->maxt_ms == w->maxt_ms,
			  "%s: row %zu: times", what, i);
		cr_assert(g->has_min == w->has_min, "%s: row %zu", what, i);
		if (g->has_min)
			cr_assert(g->min == w->min && g->max == w->max,
				  "%s: row %zu: min, max", what, i);
		cr_assert((isnan(g->sum) && isnan(w->sum)) || g->sum == w->sum,
			  "%s: row %zu: sum", what, i);
		cr_assert(g->crc == w->crc, "%s: row %zu: crc", what, i);
	}
}
