/*
 * proto/series_enc.c - encoding of SeriesResponse.
 *
 * Lengths stand before contents, three levels deep (batch, series, chunk); sizes are sums of lengths
 * that are known, so computing them touches no chunk data. Output goes to a `sink`: a buf that takes
 * everything, or, for pieces, a buf for what stands between and a list of views; a piece of the buf is
 * noted by offset until the buf moves no more.
 */
#include "proto/series.h"

#include "base/ctx.h"
#include "wire/pb.h"
#include "wire/wr.h"

static size_t part_size(const struct chunk_part *p, uint64_t hash)
{
	return (p->enc > CHUNK_XOR ? pb_size_varint(1, p->enc - 1u) : 0) +
	       (p->n ? pb_size_bytes(2, p->n) : 0) + (hash ? pb_size_varint(3, hash) : 0);
}

static size_t chunk_size(const struct chunk_view *c, bool lanes)
{
	size_t n = (c->mint_ms ? pb_size_varint(1, (uint64_t)c->mint_ms) : 0) +
		   (c->maxt_ms ? pb_size_varint(2, (uint64_t)c->maxt_ms) : 0) +
		   (lanes && c->lane ? pb_size_varint(1000, c->lane) : 0);

	for (unsigned i = 0; i < AGGR_N; i++)
		if (c->part[i].p)
			n += pb_size_bytes(3 + i, part_size(&c->part[i], i ? 0 : c->hash));
	return n;
}

static size_t label_size(const struct label *l)
{
	return (l->name.n ? pb_size_bytes(1, l->name.n) : 0) +
	       (l->value.n ? pb_size_bytes(2, l->value.n) : 0);
}

static size_t series_size(const struct series_in *s, bool lanes)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->labels.n; i++)
		n += pb_size_bytes(1, label_size(&s->labels.l[i]));
	for (size_t i = 0; i < s->n; i++)
		n += pb_size_bytes(2, chunk_size(&s->chunks[i], lanes));
	return n;
}

struct sink {
	struct buf *b;
	struct str *views; /* NULL: data goes to the buf */
	size_t n_views;
	size_t from; /* start of the piece being written */
};

/* A piece of the buf, its offset kept in place of a pointer by way of the length sum. */
static void sink_data(struct sink *k, const struct chunk_part *p)
{
	if (!k->views) {
		buf_add(k->b, p->p, p->n);
		return;
	}
	k->views[k->n_views++] = (struct str){ NULL, k->b->n - k->from };
	k->views[k->n_views++] = str_n(p->p, p->n);
	k->from = k->b->n;
}

static void put_part(struct sink *k, unsigned num, const struct chunk_part *p,
		     uint64_t hash)
{
	pb_put_tag(k->b, num, PB_BYTES);
	wr_uvarint(k->b, part_size(p, hash));
	if (p->enc > CHUNK_XOR)
		pb_put_varint(k->b, 1, p->enc - 1u);
	if (p->n) {
		pb_put_tag(k->b, 2, PB_BYTES);
		wr_uvarint(k->b, p->n);
		sink_data(k, p);
	}
	if (hash)
		pb_put_varint(k->b, 3, hash);
}

static void put_series(struct sink *k, const struct series_in *s, bool lanes)
{
	pb_put_tag(k->b, 1, PB_BYTES);
	wr_uvarint(k->b, series_size(s, lanes));
	for (uint32_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.l[i];
		pb_put_tag(k->b, 1, PB_BYTES);
		wr_uvarint(k->b, label_size(l));
		if (l->name.n)
			pb_put_bytes(k->b, 1, l->name);
		if (l->value.n)
			pb_put_bytes(k->b, 2, l->value);
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct chunk_view *c = &s->chunks[i];
		pb_put_tag(k->b, 2, PB_BYTES);
		wr_uvarint(k->b, chunk_size(c, lanes));
		if (c->mint_ms)
			pb_put_varint(k->b, 1, (uint64_t)c->mint_ms);
		if (c->maxt_ms)
			pb_put_varint(k->b, 2, (uint64_t)c->maxt_ms);
		for (unsigned j = 0; j < AGGR_N; j++)
			if (c->part[j].p)
				put_part(k, 3 + j, &c->part[j], j ? 0 : c->hash);
		if (lanes && c->lane)
			pb_put_varint(k->b, 1000, c->lane);
	}
}

static size_t batch_size(const struct series_in *s, size_t n, bool lanes)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += pb_size_bytes(1, series_size(&s[i], lanes));
	return sum;
}

static void put_batch(struct sink *k, const struct series_in *s, size_t n, bool lanes)
{
	pb_put_tag(k->b, 4, PB_BYTES);
	wr_uvarint(k->b, batch_size(s, n, lanes));
	for (size_t i = 0; i < n; i++)
		put_series(k, &s[i], lanes);
}

size_t proto_series_size(const struct series_in *s, bool lanes)
{
	return pb_size_bytes(1, series_size(s, lanes));
}

void proto_series_encode(struct buf *out, const struct series_in *s, bool lanes)
{
	put_series(&(struct sink){ .b = out }, s, lanes);
}

void proto_batch_encode(struct buf *out, const struct series_in *s, size_t n, bool lanes)
{
	put_batch(&(struct sink){ .b = out }, s, n, lanes);
}

int proto_series_parts(struct ctx *ctx, struct arena *a, const struct series_in *s,
		       size_t n, bool batch, bool lanes, struct str **parts,
		       size_t *n_parts, struct err *e)
{
	size_t data = 0, count = 0;
	size_t total = batch ? pb_size_bytes(4, batch_size(s, n, lanes)) :
			       proto_series_size(s, lanes);

	BUG_ON(!batch && n != 1);
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < s[i].n; c++)
			for (unsigned j = 0; j < AGGR_N; j++) {
				const struct chunk_part *p = &s[i].chunks[c].part[j];
				data += p->p ? p->n : 0;
				count += p->p && p->n;
			}

	struct str *v = arena_try(a, ctx, (2 * count + 1) * sizeof *v, e);
	uint8_t *between = v ? arena_try(a, ctx, total - data, e) : NULL;
	if (!between)
		return -1;
	struct buf b;
	buf_init(&b, total - data);
	struct sink k = { .b = &b, .views = v };
	if (batch)
		put_batch(&k, s, n, lanes);
	else
		put_series(&k, s, lanes);
	BUG_ON(b.failed || b.n != total - data);
	v[k.n_views++] = (struct str){ NULL, b.n - k.from };
	memcpy(between, b.p, b.n);
	buf_deinit(&b);
	for (size_t i = 0; i < k.n_views; i += 2) {
		v[i].p = (const char *)between;
		between += v[i].n;
	}
	*parts = v;
	*n_parts = k.n_views;
	return 0;
}

void proto_warning_encode(struct buf *out, struct str warning)
{
	pb_put_bytes(out, 2, warning);
}

void proto_hints_encode(struct buf *out, struct str any)
{
	pb_put_bytes(out, 3, any);
}
