#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "unit/compact/made.h"
#include "wire/wr.h"

static void put_xor(struct world *w, const struct made_chunk *c, struct buf *b)
{
	cr_assert_eq(chunk_xor_encode(b, c->t, c->v, c->n, &w->f.e), 0, "%s",
		     err_text(&w->f.e));
}

static struct block_writer *begin(struct world *w, struct block_writer_opts *o)
{
	static int64_t now = 1700000000000;
	struct block_writer *bw;

	*o = (struct block_writer_opts){ .dir = str_fmt(&w->f.a, "%s/in", w->dir).p,
					 .newer_encodings = true };
	ulid_new(&o->ulid, now++);
	cr_assert_eq(block_writer_open(&w->f.ctx, o, &bw, &w->f.e), 0, "%s",
		     err_text(&w->f.e));
	return bw;
}

static void end(struct world *w, struct block_writer *bw,
		const struct block_writer_opts *o, const struct block_meta *like,
		int64_t mint_ms, int64_t maxt_ms)
{
	struct ulid source = o->ulid;
	struct block_meta m = { .mint_ms = mint_ms,
				.maxt_ms = maxt_ms,
				.ulid = o->ulid,
				.has_thanos = true };
	char id[27];

	m.compaction.level = 1;
	m.compaction.sources = &source;
	m.compaction.n_sources = 1;
	m.thanos.source = STR("test");
	m.thanos.resolution_ms = like ? like->thanos.resolution_ms : 0;
	cr_assert_eq(block_writer_finish(bw, &w->f.ctx, &m, false, NULL, &w->f.e), 0,
		     "%s", err_text(&w->f.e));
	ulid_format(&o->ulid, id);
	world_add(w, str_fmt(&w->f.a, "%s/%s", o->dir, id).p);
}

void made_block(struct world *w, int64_t mint_ms, int64_t maxt_ms,
		const struct made_series *v, size_t n)
{
	struct block_writer_opts o;
	struct block_writer *bw = begin(w, &o);

	for (size_t i = 0; i <= n; i++)
		cr_assert_eq(block_writer_symbol(bw, &w->f.ctx,
						 i == 0 ? STR("s") : v[i - 1].value,
						 &w->f.e),
			     0, "%s", err_text(&w->f.e));
	for (size_t i = 0; i < n; i++) {
		uint32_t label[2] = { 0, (uint32_t)i + 1 };
		struct chunk_view *c = xcalloc(v[i].n, sizeof(*c));
		struct buf *b = xcalloc(v[i].n, sizeof(*b));
		for (size_t k = 0; k < v[i].n; k++) {
			const struct made_chunk *m = &v[i].chunk[k];
			buf_init(&b[k], 1 << 16);
			put_xor(w, m, &b[k]);
			c[k].mint_ms = m->t[0];
			c[k].maxt_ms = m->t[m->n - 1];
			c[k].part[AGGR_RAW] =
				(struct chunk_part){ b[k].p, (uint32_t)b[k].n,
						     CHUNK_XOR };
		}
		cr_assert_eq(block_writer_series(bw, &w->f.ctx, label, 1, c, v[i].n,
						 &w->f.e),
			     0, "%s", err_text(&w->f.e));
		for (size_t k = 0; k < v[i].n; k++)
			buf_deinit(&b[k]);
		free(b);
		free(c);
	}
	end(w, bw, &o, NULL, mint_ms, maxt_ms);
}

/* ---- moved ---- */

static struct chunk_part move_floats(struct world *w, struct chunk_part p, int64_t d)
{
	size_t n = chunk_count(p);
	int64_t *t = ARENA_ARRAY(&w->f.a, int64_t, n);
	double *v = ARENA_ARRAY(&w->f.a, double, n);
	struct buf b;

	cr_assert_eq(chunk_xor_decode_any(p.p, p.n, t, v, n, &w->f.e), (int)n);
	for (size_t i = 0; i < n; i++)
		t[i] += d;
	buf_init(&b, 1 << 16);
	cr_assert_eq(chunk_xor_encode(&b, t, v, n, &w->f.e), 0);
	struct str copy = str_dup(&w->f.a, buf_view(&b));
	buf_deinit(&b);
	return (struct chunk_part){ (const uint8_t *)copy.p, (uint32_t)copy.n,
				    CHUNK_XOR };
}

static struct chunk_part move_hists(struct world *w, struct chunk_part p, int64_t d)
{
	struct chunk_decoder *dec = chunk_decoder_new(&w->f.a);
	struct chunk_encoder *enc = chunk_encoder_new();
	struct columns c;
	int rc;

	chunk_encoder_like(enc, p.enc, p);
	cr_assert_eq(chunk_decoder_reset(dec, p, &w->f.e), 0);
	while ((rc = chunk_decoder_next(dec, &c, &w->f.e)) > 0)
		for (size_t i = 0; i < c.n; i++) {
			chunk_encoder_start(enc,
					    c.st_ms && c.st_ms[i] ? c.st_ms[i] + d : 0);
			cr_assert_eq(c.v ? chunk_encoder_float(enc, c.t_ms[i] + d, c.v[i],
							       &w->f.e)
					 : chunk_encoder_hist(enc, c.t_ms[i] + d, c.h[i],
							      &w->f.e),
				     0, "%s", err_text(&w->f.e));
		}
	cr_assert_eq(rc, 0);
	p = chunk_encoder_part(enc);
	struct str copy = str_dup(&w->f.a, str_n(p.p, p.n));
	chunk_encoder_free(enc);
	p.p = (const uint8_t *)copy.p;
	return p;
}

void made_shifted(struct world *w, const char *dir, int64_t d)
{
	struct block_writer_opts o;
	struct block_writer *bw = begin(w, &o);
	struct block_source src;
	struct block_scan *s;
	struct scan_series c;
	struct str sym;
	int rc;

	cr_assert_eq(block_source_open_dir(&w->f.ctx, &w->f.a, dir, &src, &w->f.e), 0);
	cr_assert_eq(block_scan_open(&w->f.ctx, &src, 0, &s, &w->f.e), 0);
	while (block_scan_symbol(s, &w->f.ctx, &sym, &w->f.e) > 0)
		cr_assert_eq(block_writer_symbol(bw, &w->f.ctx, sym, &w->f.e), 0);
	while ((rc = block_scan_series(s, &w->f.ctx, &c, &w->f.e)) > 0) {
		struct chunk_view *v =
			ARENA_ARRAY(&w->f.a, struct chunk_view, c.n_chunks);
		for (size_t i = 0; i < c.n_chunks; i++) {
			v[i].mint_ms = c.chunk[i].mint_ms + d;
			v[i].maxt_ms = c.chunk[i].maxt_ms + d;
			for (int k = 0; k < AGGR_N; k++)
				if (c.chunk[i].part[k].p)
					v[i].part[k] =
						c.chunk[i].part[k].enc == CHUNK_XOR
							? move_floats(w,
								      c.chunk[i].part[k],
								      d)
							: move_hists(w,
								     c.chunk[i].part[k],
								     d);
		}
		cr_assert_eq(block_writer_series(bw, &w->f.ctx, c.label, c.n_labels, v,
						 c.n_chunks, &w->f.e),
			     0, "%s", err_text(&w->f.e));
	}
	cr_assert_eq(rc, 0);
	end(w, bw, &o, src.meta, src.meta->mint_ms + MIN(d, 0),
	    src.meta->maxt_ms + MAX(d, 0));
	block_scan_close(s);
	block_source_close(&src);
}

/* ---- byte by byte ---- */

static void frame(struct buf *out, struct buf *body)
{
	wr_be32(out, (uint32_t)body->n);
	buf_str(out, buf_view(body));
	wr_be32(out, crc32c(0, body->p, body->n));
}

static uint32_t put_chunk(struct world *w, struct raw_block *b,
			  const struct made_chunk *c)
{
	uint32_t at = (uint32_t)b->segment.n;
	struct buf x;

	buf_init(&x, 1 << 16);
	buf_byte(&x, CHUNK_XOR);
	put_xor(w, c, &x);
	wr_uvarint(&b->segment, x.n - 1);
	buf_str(&b->segment, buf_view(&x));
	wr_be32(&b->segment, crc32c(0, x.p, x.n));
	buf_deinit(&x);
	return at;
}

static void put_entry(struct world *w, struct raw_block *b, const struct raw_series *s)
{
	struct buf body;
	uint32_t ref = 0, last = 0;
	int64_t t = 0;

	buf_init(&body, 1 << 16);
	wr_uvarint(&body, s->n_labels);
	for (uint32_t i = 0; i < s->n_labels * 2; i++)
		wr_uvarint(&body, s->label[i]);
	wr_uvarint(&body, s->n);
	for (size_t i = 0; i < s->n; i++) {
		const struct raw_chunk *c = &s->chunk[i];
		for (size_t k = 0; k < b->gap && c->c.n; k++)
			buf_byte(&b->segment, 0);
		if (c->c.n)
			ref = put_chunk(w, b, &c->c);
		if (i == 0)
			wr_varint(&body, c->mint_ms);
		else
			wr_uvarint(&body, (uint64_t)c->mint_ms - (uint64_t)t);
		wr_uvarint(&body, (uint64_t)(c->maxt_ms - c->mint_ms));
		if (i == 0)
			wr_uvarint(&body, ref);
		else
			wr_varint(&body, (int64_t)ref - (int64_t)last);
		last = ref;
		t = c->maxt_ms;
	}
	while (b->index.n % 16)
		buf_byte(&b->index, 0);
	wr_uvarint(&b->index, body.n);
	buf_str(&b->index, buf_view(&body));
	wr_be32(&b->index, crc32c(0, body.p, body.n));
	buf_deinit(&body);
}

static void put_symbols(struct buf *out)
{
	static const char *const symbol[] = { "", "a", "b", "x", "y" };
	struct buf body;

	buf_init(&body, 1 << 16);
	wr_be32(&body, ARRAY_LEN(symbol));
	for (size_t i = 0; i < ARRAY_LEN(symbol); i++) {
		wr_uvarint(&body, strlen(symbol[i]));
		buf_str(&body, str_of(symbol[i]));
	}
	frame(out, &body);
	buf_deinit(&body);
}

void raw_make(struct world *w, struct raw_block *b, int64_t mint_ms, int64_t maxt_ms,
	      const struct raw_series *v, size_t n)
{
	raw_make_apart(w, b, mint_ms, maxt_ms, v, n, 0);
}

void raw_make_apart(struct world *w, struct raw_block *b, int64_t mint_ms,
		    int64_t maxt_ms, const struct raw_series *v, size_t n, size_t gap)
{
	uint64_t toc[6];

	*b = (struct raw_block){
		.gap = gap,
		.meta = { .mint_ms = mint_ms, .maxt_ms = maxt_ms, .has_thanos = true },
	};
	ulid_new(&b->meta.ulid, 1700000000000);
	b->meta.compaction.level = 1;
	buf_init(&b->index, 1 << 20);
	buf_init(&b->segment, 16 << 20);
	wr_be32(&b->segment, 0x85bd40dd);
	wr_be32(&b->segment, 1u << 24);
	wr_be32(&b->index, 0xbaaad700);
	buf_byte(&b->index, 2);
	toc[0] = b->index.n;
	put_symbols(&b->index);
	while (b->index.n % 16)
		buf_byte(&b->index, 0);
	toc[1] = b->index.n;
	for (size_t i = 0; i < n; i++)
		put_entry(w, b, &v[i]);
	toc[2] = toc[3] = toc[4] = b->index.n;
	while (b->index.n % 4)
		buf_byte(&b->index, 0);
	wr_be32(&b->index, 4);
	wr_be32(&b->index, (uint32_t)n); /* no more of the list is looked at */
	toc[5] = b->index.n;
	size_t at = b->index.n;
	for (size_t i = 0; i < 6; i++)
		wr_be64(&b->index, toc[i]);
	wr_be32(&b->index, crc32c(0, b->index.p + at, 48));
	b->index_src = range_source_mem("index", b->index.p, b->index.n);
	b->segment_src = range_source_mem("000001", b->segment.p, b->segment.n);
	w->src[w->n++] = (struct block_source){ .meta = &b->meta,
						.index = b->index_src,
						.segment = &b->segment_src,
						.n_segments = 1 };
}

void raw_free(struct raw_block *b)
{
	buf_deinit(&b->index);
	buf_deinit(&b->segment);
}
