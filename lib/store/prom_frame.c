/*
 * store/prom_frame.c - series of one frame of a streamed remote read, field by field without tables.
 *
 *   ChunkedReadResponse { 1 series, repeated; 2 index of the query }
 *   series { 1 label, repeated { 1 name, 2 value }; 2 chunk, repeated { 1 mint, 2 maxt, 3 encoding, 4 data } }
 *
 * Two passes over a series: the first counts, so that the arrays are made once (each label and chunk costs at least two
 * bytes of the frame).
 */
#include "store/prom_read_int.h"
#include "tsdb/chunk/recode.h"
#include "wire/pb.h"

/* ---- labels ---- */

static bool is_refused(const struct prom_read_req *r, struct str name)
{
	for (size_t i = 0; i < r->n_refuse; i++)
		if (str_eq(r->refuse[i], name))
			return true;
	return false;
}

/* Most names differ in the first byte already. */
static inline bool before(struct str a, struct str b)
{
	if (a.n && b.n && a.p[0] != b.p[0])
		return (uint8_t)a.p[0] < (uint8_t)b.p[0];
	return str_cmp(a, b) < 0;
}

int prom_read_labels(struct ctx *ctx, const struct prom_read_req *r, struct label *l,
		     size_t n, struct labels *out, struct err *e)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		struct label x = l[i];
		if (x.name.n == 0)
			return err_set(ctx, e, E_CORRUPT, "a label without a name");
		if (x.value.n == 0 || str_eq(labels_get(r->external, x.name), x.value))
			continue;
		if (is_refused(r, x.name))
			return err_set(
				ctx, e, E_UNAVAILABLE,
				"series have had a label %.*s of their own for a moment, ask again",
				STR_FMT(x.name));
		l[k++] = x;
	}
	for (size_t i = 1; i < k; i++) {
		if (before(l[i - 1].name, l[i].name))
			continue;
		if (!labels_sort(l, k))
			return err_set(ctx, e, E_CORRUPT, "a label is given twice");
		break;
	}
	*out = (struct labels){ l, (uint32_t)k, 0 };
	return 0;
}

static int malformed(struct ctx *ctx, struct err *e, const char *what)
{
	return err_set(ctx, e, E_CORRUPT, "message ChunkedReadResponse: malformed %s",
		       what);
}

static inline bool take_label(struct str in, struct label *l)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;
	l->name = l->value = STR("");
	while ((rc = pb_next_inline(&r, &f)) > 0) {
		if (f.num > 2)
			continue;
		if (f.wire != PB_BYTES)
			return false;
		*(f.num == 1 ? &l->name : &l->value) = f.bytes;
	}
	return rc == 0;
}

/* ---- chunks ---- */

struct taking {
	struct ctx *ctx;
	struct arena *a;
	struct chunk_recoder *rec; /* made for the first chunk that needs it */
	struct series_in *out;
	size_t cap;
};

/* Room for one more: what is encoded anew may become several. */
static struct chunk_view *add_view(struct taking *k, struct err *e)
{
	struct series_in *s = k->out;
	if (UNLIKELY(s->n == k->cap)) {
		size_t cap = k->cap * 2 + 1;
		struct chunk_view *v = arena_try(k->a, k->ctx, cap * sizeof(*v), e);
		if (!v)
			return NULL;
		if (s->n)
			memcpy(v, s->chunks, s->n * sizeof(*v));
		s->chunks = v;
		k->cap = cap;
	}
	return &s->chunks[s->n++];
}

static inline void set_view(struct chunk_view *v, int64_t mint_ms, int64_t maxt_ms,
			    struct chunk_part part)
{
	*v = (struct chunk_view){ .mint_ms = mint_ms, .maxt_ms = maxt_ms };
	v->part[AGGR_RAW] = part;
}

static int add_recoded(void *arg, int64_t mint_ms, int64_t maxt_ms,
		       struct chunk_part part, struct err *e)
{
	struct taking *k = arg;
	uint8_t *p = arena_try(k->a, k->ctx, part.n + 1, e);
	struct chunk_view *v = p ? add_view(k, e) : NULL;
	if (!v)
		return -1;
	memcpy(p, part.p, part.n);
	part.p = p;
	set_view(v, mint_ms, maxt_ms, part);
	return 0;
}

/* Encodings that clients of StoreAPI do not know are written anew. */
static int add_chunk(struct taking *k, int64_t mint_ms, int64_t maxt_ms, int32_t type,
		     struct str data, struct err *e)
{
	static const struct chunk_recode_ops ops = { NULL, add_recoded };
	if (type < CHUNK_XOR || type > CHUNK_FLOATHIST_ST)
		return err_set(k->ctx, e, E_UNSUPPORTED, "chunk encoding %d is unknown",
			       type);
	struct chunk_part part = { (const uint8_t *)data.p, (uint32_t)data.n,
				   (uint8_t)type };
	enum chunk_enc to = chunk_enc_plain(part.enc);
	if (UNLIKELY(to != part.enc)) {
		if (!k->rec)
			k->rec = chunk_recoder_new(k->a);
		return chunk_recode(k->rec, part, to, &ops, k, e);
	}
	struct chunk_view *v = add_view(k, e);
	if (!v)
		return -1;
	set_view(v, mint_ms, maxt_ms, part);
	return 0;
}

static int take_chunk(struct taking *k, struct str in, struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int64_t mint_ms = 0, maxt_ms = 0;
	int32_t type = 0;
	struct str data = STR("");
	int rc;
	while ((rc = pb_next_inline(&r, &f)) > 0) {
		if (f.num > 4)
			continue;
		if (f.wire != (f.num == 4 ? PB_BYTES : PB_VARINT))
			return malformed(k->ctx, e, "chunk");
		switch (f.num) {
		case 1: mint_ms = (int64_t)f.u; break;
		case 2: maxt_ms = (int64_t)f.u; break;
		case 3: type = (int32_t)f.u; break;
		default: data = f.bytes; break;
		}
	}
	return rc < 0 ? malformed(k->ctx, e, "chunk")
		      : add_chunk(k, mint_ms, maxt_ms, type, data, e);
}

/* ---- series ---- */

/* The name of a series in an error. */
static int wrap_series(struct ctx *ctx, struct labels ls, struct err *e)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	labels_metric_text(ls, &b);
	err_wrap(ctx, e, "series %.*s", (int)b.n, (const char *)b.p);
	buf_deinit(&b);
	return -1;
}

static int count(struct ctx *ctx, struct str in, size_t *labels, size_t *chunks,
		 struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;
	while ((rc = pb_next_inline(&r, &f)) > 0) {
		if (f.num > 2)
			continue;
		if (f.wire != PB_BYTES)
			return malformed(ctx, e, "series");
		++*(f.num == 1 ? labels : chunks);
	}
	return rc < 0 ? malformed(ctx, e, "series") : 0;
}

static int take_chunks(struct taking *k, struct str in, struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	while (pb_next_inline(&r, &f) > 0)
		if (f.num == 2 && take_chunk(k, f.bytes, e) < 0)
			return wrap_series(k->ctx, k->out->labels, e);
	return 0;
}

static int take_series(struct taking *k, const struct prom_read_req *q, struct str in,
		       struct err *e)
{
	struct ctx *ctx = k->ctx;
	struct rd r = rd_of(in);
	struct pb_field f;
	size_t labels = 0, chunks = 0, n = 0;
	if (count(ctx, in, &labels, &chunks, e) < 0)
		return -1;
	struct label *l = arena_try(k->a, ctx, labels * sizeof(*l) + 1, e);
	struct chunk_view *v =
		l ? arena_try(k->a, ctx, chunks * sizeof(*v) + 1, e) : NULL;
	if (!v)
		return -1;
	*k->out = (struct series_in){ .chunks = v };
	k->cap = chunks;
	while (n < labels && pb_next_inline(&r, &f) > 0)
		if (f.num == 1 && !take_label(f.bytes, &l[n++]))
			return malformed(ctx, e, "label");
	if (prom_read_labels(ctx, q, l, labels, &k->out->labels, e) < 0)
		return -1;
	return take_chunks(k, in, e);
}

int prom_read_frame(struct ctx *ctx, const struct prom_read_req *q, struct frame *f,
		    struct str bytes, struct err *e)
{
	struct taking k = { .ctx = ctx, .a = &f->arena };
	struct rd r = rd_of(bytes);
	struct pb_field in;
	size_t n = 0;
	int rc;
	while ((rc = pb_next_inline(&r, &in)) > 0) {
		if (in.num <= 2 && in.wire != (in.num == 1 ? PB_BYTES : PB_VARINT))
			break;
		n += in.num == 1;
	}
	if (rc != 0)
		return malformed(ctx, e, "frame");
	f->series = arena_try(&f->arena, ctx, n * sizeof(*f->series) + 1, e);
	if (!f->series)
		return -1;
	r = rd_of(bytes);
	while (f->n < n && pb_next_inline(&r, &in) > 0) {
		if (in.num != 1)
			continue;
		k.out = &f->series[f->n++];
		if (take_series(&k, q, in.bytes, e) < 0)
			return -1;
	}
	return 0;
}
