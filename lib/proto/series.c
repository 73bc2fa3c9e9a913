/*
 * proto/series.c - Series frames, field by field without tables: what flows most through a querier.
 *
 * The arrays of a series are made once: of a batch's first series labels and chunks are counted before, each other one is taken
 * to have as many as the one in front of it, and those that are more are counted when the first of them comes. Both are
 * bounded by the frame.
 *
 * Peers are not trusted to keep the order of struct series_in: one comparison a label and a chunk tells, and what
 * is merely unordered is sorted. A label without value is the same as none. Empty and doubled names are E_CORRUPT.
 */
#include "proto/convert.h"

#include "base/limits.h"
#include "base/vec.h"
#include "wire/pb.h"
#include "wire/wr.h"

#define PREFETCH_MOST ((size_t)32 << 10)

enum chunk_enc proto_chunk_enc(int32_t type, bool *known)
{
	*known = type >= 0 && type <= 2;
	return *known ? (enum chunk_enc)(type + 1) : CHUNK_NONE;
}

int32_t proto_chunk_type(unsigned enc)
{
	return (int32_t)enc - 1;
}

static int bad(struct ctx *ctx, struct err *e, const char *what)
{
	return err_set(ctx, e, E_CORRUPT, "message Series: %s", what);
}

static inline bool take_label(struct str in, struct label *l)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;
	l->name = l->value = STR("");
	while ((rc = pb_next_inline(&r, &f)) > 0)
		if (f.wire == PB_BYTES && (f.num == 1 || f.num == 2))
			*(f.num == 1 ? &l->name : &l->value) = f.bytes;
	return rc == 0;
}

static inline int take_chunk(struct ctx *ctx, struct str in, struct chunk_part *part,
			     uint64_t *hash, struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int32_t type = 0;
	int rc;
	bool known;
	*part = (struct chunk_part){ (const uint8_t *)"", 0, CHUNK_XOR };
	while ((rc = pb_next_inline(&r, &f)) > 0) {
		if (f.num == 2 && f.wire == PB_BYTES) {
			part->p = (const uint8_t *)f.bytes.p;
			part->n = (uint32_t)f.bytes.n;
		} else if (f.num == 1 && f.wire == PB_VARINT)
			type = (int32_t)f.u;
		else if (f.num == 3 && f.wire == PB_VARINT && hash)
			*hash = f.u;
	}
	if (rc < 0)
		return bad(ctx, e, "malformed chunk");
	part->enc = (uint8_t)proto_chunk_enc(type, &known);
	if (!known)
		return err_set(ctx, e, E_UNSUPPORTED, "chunk type %d is not supported",
			       type);
	return 0;
}

/* As nearly all are: both times, and of the raw part data and perhaps a hash. False: look at each field. */
static inline bool take_usual_chunk(struct str in, struct chunk_view *c)
{
	struct rd r = rd_of(in);
	uint64_t mint, maxt, n, hash = 0;
	if (rd_left(&r) < 24 || r.p[0] != (1 << 3 | PB_VARINT))
		return false;
	r.p++;
	mint = rd_uvarint_inline(&r);
	if (rd_left(&r) < 12 || r.p[0] != (2 << 3 | PB_VARINT))
		return false;
	r.p++;
	maxt = rd_uvarint_inline(&r);
	if (rd_left(&r) < 4 || r.p[0] != (3 << 3 | PB_BYTES))
		return false;
	r.p++;
	if (rd_uvarint_short(&r) != rd_left(&r) || rd_left(&r) < 2 ||
	    r.p[0] != (2 << 3 | PB_BYTES))
		return false;
	r.p++;
	n = rd_uvarint_short(&r);
	if (n > rd_left(&r))
		return false;
	const uint8_t *data = r.p;
	r.p += n;
	if (rd_left(&r) && *r.p == (3 << 3 | PB_VARINT)) {
		r.p++;
		hash = rd_uvarint(&r);
	}
	if (r.bad || rd_left(&r) || (int64_t)mint > (int64_t)maxt)
		return false;
	*c = (struct chunk_view){ .mint_ms = (int64_t)mint,
				  .maxt_ms = (int64_t)maxt,
				  .hash = hash };
	c->part[AGGR_RAW] = (struct chunk_part){ data, (uint32_t)n, CHUNK_XOR };
	return true;
}

/* Field numbers 3..8 of AggrChunk are raw, count, sum, min, max, counter: the order of enum aggr. */
static int take_aggr_chunk(struct ctx *ctx, struct str in, struct chunk_view *c,
			   struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;
	if (LIKELY(take_usual_chunk(in, c)))
		return 0;
	*c = (struct chunk_view){ 0 };
	while ((rc = pb_next_inline(&r, &f)) > 0) {
		if (f.wire == PB_BYTES && f.num >= 3 && f.num <= 8) {
			if (take_chunk(ctx, f.bytes, &c->part[f.num - 3],
				       f.num == 3 ? &c->hash : NULL, e) < 0)
				return -1;
		} else if (f.wire == PB_VARINT) {
			if (f.num == 1)
				c->mint_ms = (int64_t)f.u;
			else if (f.num == 2)
				c->maxt_ms = (int64_t)f.u;
			else if (f.num == 1000)
				c->lane = f.u;
		}
	}
	if (rc == 0 && c->mint_ms > c->maxt_ms)
		return bad(ctx, e, "a chunk that ends before it begins");
	return rc < 0 ? bad(ctx, e, "malformed chunk") : 0;
}

static int by_mint(const void *x, const void *y, void *arg)
{
	const struct chunk_view *a = x, *b = y;
	(void)arg;
	return (a->mint_ms > b->mint_ms) - (a->mint_ms < b->mint_ms);
}

/* Names that do not ascend, or an empty one. */
static int order_labels(struct ctx *ctx, struct label *l, struct labels ls, struct err *e)
{
	struct buf b;
	const char *what = "an empty label name";
	bool unique = labels_sort(l, ls.n);
	if (unique && (ls.n == 0 || l[0].name.n))
		return 0;
	if (ls.n && l[0].name.n)
		what = "a label name twice";
	buf_init(&b, LIMIT_ERR_TEXT_BYTES);
	labels_text(ls, &b);
	err_set(ctx, e, E_CORRUPT, "message Series: %s in %.*s", what,
		STR_FMT(buf_view(&b)));
	buf_deinit(&b);
	return -1;
}

/* Most names differ in the first byte already. */
static inline bool before_name(struct str a, struct str b)
{
	if (a.n && b.n && a.p[0] != b.p[0])
		return (uint8_t)a.p[0] < (uint8_t)b.p[0];
	return str_cmp(a, b) < 0;
}

/* Another core has put the bytes there: asked for at once they come faster than chunk by chunk, whose lengths lead to the next. */
static void prefetch(struct str in)
{
	for (size_t i = 0; i < MIN(in.n, PREFETCH_MOST); i += 64)
		__builtin_prefetch(in.p + i);
}

/* Labels and chunks of a series; and how many of them there is room for. */
struct taken {
	struct label *l;
	struct chunk_view *c;
	size_t labels, chunks;
};

/* Make room for what is left of the series, too, if `labels` and `chunks` fill theirs. */
static int make_room(struct ctx *ctx, struct arena *a, struct rd rest, uint32_t labels,
		     size_t chunks, struct taken *t, struct err *e)
{
	struct pb_field f;
	struct taken more = { .labels = labels, .chunks = chunks };
	int rc;
	while ((rc = pb_next_inline(&rest, &f)) > 0) {
		more.labels += f.num == 1 && f.wire == PB_BYTES;
		more.chunks += f.num == 2 && f.wire == PB_BYTES;
	}
	if (rc < 0)
		return bad(ctx, e, "cut short or malformed");
	more.l = arena_try(a, ctx, more.labels * sizeof(*t->l) + 1, e);
	more.c = more.l ? arena_try(a, ctx, more.chunks * sizeof(*t->c) + 1, e) : NULL;
	if (!more.c)
		return -1;
	if (labels)
		memcpy(more.l, t->l, labels * sizeof(*t->l));
	if (chunks)
		memcpy(more.c, t->c, chunks * sizeof(*t->c));
	*t = more;
	return 0;
}

/* Room for as many as the series before had, NULL: for all that it has. A chunk seldom takes less than LEAST_CHUNK bytes. */
#define LEAST_CHUNK 32
static int guess_room(struct ctx *ctx, struct arena *a, struct str in,
		      const struct series_in *before, struct taken *t, struct err *e)
{
	if (!before || before->n > in.n / LEAST_CHUNK || before->labels.n > in.n / 4)
		return make_room(ctx, a, rd_of(in), 0, 0, t, e);
	t->labels = before->labels.n;
	t->chunks = before->n;
	t->l = arena_try(a, ctx, t->labels * sizeof(*t->l) + 1, e);
	t->c = t->l ? arena_try(a, ctx, t->chunks * sizeof(*t->c) + 1, e) : NULL;
	return t->c ? 0 : -1;
}

static int take_series(struct ctx *ctx, struct arena *a, struct str in,
		       const struct series_in *before, struct series_in *s, struct err *e)
{
	struct rd r = rd_of(in), at = r;
	struct pb_field f;
	struct taken t;
	prefetch(in);
	if (guess_room(ctx, a, in, before, &t, e) < 0)
		return -1;
	struct str name = STR("");
	bool names_ascend = true, chunks_ascend = true;
	uint32_t n = 0;
	size_t k = 0;
	int rc;
	for (; (rc = pb_next_inline(&r, &f)) > 0; at = r) {
		if (f.wire != PB_BYTES || (f.num != 1 && f.num != 2))
			continue;
		if (UNLIKELY(f.num == 1 ? n == t.labels : k == t.chunks) &&
		    make_room(ctx, a, at, n, k, &t, e) < 0)
			return -1;
		if (f.num == 1) {
			struct label *l = &t.l[n];
			if (!take_label(f.bytes, l))
				return bad(ctx, e, "malformed label");
			if (l->value.n == 0)
				continue;
			names_ascend &= before_name(name, l->name); /* "" never is */
			name = l->name;
			n++;
		} else {
			if (take_aggr_chunk(ctx, f.bytes, &t.c[k], e) < 0)
				return -1;
			chunks_ascend &= k == 0 || t.c[k - 1].mint_ms <= t.c[k].mint_ms;
			k++;
		}
	}
	if (rc < 0)
		return bad(ctx, e, "cut short or malformed");
	*s = (struct series_in){ { t.l, n, 0 }, t.c, k };
	if (!chunks_ascend)
		vec_sort(t.c, k, sizeof(*t.c), by_mint, NULL);
	return names_ascend ? 0 : order_labels(ctx, t.l, s->labels, e);
}

static int take_batch(struct ctx *ctx, struct arena *a, struct str in,
		      struct proto_series_frame *out, struct err *e)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	size_t n = 0;
	int rc;
	while ((rc = pb_next_inline(&r, &f)) > 0)
		n += f.num == 1 && f.wire == PB_BYTES;
	if (rc < 0)
		return bad(ctx, e, "malformed batch");
	out->series = arena_try(a, ctx, n * sizeof(*out->series) + 1, e);
	if (!out->series)
		return -1;
	r = rd_of(in);
	while (pb_next_inline(&r, &f) > 0) {
		if (f.num != 1 || f.wire != PB_BYTES)
			continue;
		struct series_in *s = &out->series[out->n++];
		const struct series_in *before = s > out->series ? s - 1 : NULL;
		if (take_series(ctx, a, f.bytes, before, s, e) < 0)
			return -1;
	}
	return 0;
}

int proto_series_frame_decode(struct ctx *ctx, struct arena *a, struct str frame,
			      struct proto_series_frame *out, struct err *e)
{
	struct rd r = rd_of(frame);
	struct pb_field f;
	int rc;
	*out = (struct proto_series_frame){ 0 };
	while ((rc = pb_next(&r, &f)) > 0) {
		if (f.wire != PB_BYTES)
			continue;
		switch (f.num) {
		case 1:
			out->series = arena_try(a, ctx, sizeof(*out->series), e);
			if (!out->series ||
			    take_series(ctx, a, f.bytes, NULL, out->series, e) < 0)
				return -1;
			out->n = 1;
			break;
		case 2: out->warning = f.bytes.p ? f.bytes : STR(""); break;
		case 3: out->hints = f.bytes.p ? f.bytes : STR(""); break;
		case 4:
			out->n = 0;
			if (take_batch(ctx, a, f.bytes, out, e) < 0)
				return -1;
			break;
		default: break;
		}
	}
	return rc < 0 ? bad(ctx, e, "cut short or malformed") : 0;
}

/* ---- encoding ---- */

static inline size_t bytes_size(size_t n) /* field numbers below 16 */
{
	return 1 + wr_uvarint_len(n) + n;
}

static inline size_t varint_size(uint64_t v) /* field numbers below 16 */
{
	return 1 + wr_uvarint_len(v);
}

static inline size_t part_size(const struct chunk_part *p, uint64_t hash)
{
	int32_t type = proto_chunk_type(p->enc);
	return (type ? varint_size((uint64_t)type) : 0) + (p->n ? bytes_size(p->n) : 0) +
	       (hash ? varint_size(hash) : 0);
}

static inline bool is_raw_alone(const struct chunk_view *c)
{
	const struct chunk_part *p = c->part;
	return p[AGGR_RAW].p && !p[AGGR_COUNT].p && !p[AGGR_SUM].p && !p[AGGR_MIN].p &&
	       !p[AGGR_MAX].p && !p[AGGR_COUNTER].p;
}

/* Nearly all: both times, one part, whose bytes leave room to write a number as one word in front of them. */
static inline bool is_usual(const struct chunk_view *c, bool lanes)
{
	return c->hash == 0 && c->mint_ms > 0 && c->maxt_ms > 0 &&
	       c->maxt_ms < (int64_t)1 << 56 && c->mint_ms <= c->maxt_ms &&
	       c->part[AGGR_RAW].n >= 16 && c->part[AGGR_RAW].enc <= CHUNK_FLOATHIST &&
	       c->part[AGGR_RAW].enc && is_raw_alone(c) && !(lanes && c->lane);
}

/* Of the part that a usual chunk has, and of such a chunk whose part has so many bytes. */
static inline size_t usual_part_size(const struct chunk_part *p)
{
	return 2 * (p->enc != CHUNK_XOR) + bytes_size(p->n);
}
static inline size_t usual_size(const struct chunk_view *c, size_t part)
{
	return varint_size((uint64_t)c->mint_ms) + varint_size((uint64_t)c->maxt_ms) +
	       bytes_size(part);
}

/* Of a chunk, and of each part that it has: nearly always the raw one alone. */
static inline size_t chunk_size(const struct chunk_view *c, bool lanes,
				size_t part[AGGR_N])
{
	size_t n = (c->mint_ms ? varint_size((uint64_t)c->mint_ms) : 0) +
		   (c->maxt_ms ? varint_size((uint64_t)c->maxt_ms) : 0);
	for (int i = 0; i < AGGR_N; i++) {
		if (!c->part[i].p)
			continue;
		part[i] = part_size(&c->part[i], i == AGGR_RAW ? c->hash : 0);
		n += bytes_size(part[i]);
	}
	return n + (lanes && c->lane ? pb_size_varint(1000, c->lane) : 0);
}

static inline size_t label_size(const struct label *l)
{
	return (l->name.n ? bytes_size(l->name.n) : 0) +
	       (l->value.n ? bytes_size(l->value.n) : 0);
}

size_t proto_series_size(const struct series_in *s, bool lanes)
{
	size_t n = 0, part[AGGR_N];
	for (uint32_t i = 0; i < s->labels.n; i++)
		n += bytes_size(label_size(&s->labels.l[i]));
	for (size_t i = 0; i < s->n; i++) {
		const struct chunk_view *c = &s->chunks[i];
		if (LIKELY(is_usual(c, lanes)))
			n += bytes_size(usual_size(c, usual_part_size(&c->part[0])));
		else
			n += bytes_size(chunk_size(c, lanes, part));
	}
	return n;
}

/*
 * Writers into room that was made for the whole series: every size is known before. Field numbers are below 16
 * but for the lane's.
 */
static inline uint8_t *put_uvarint(uint8_t *to, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)v;
	return to;
}

/* A hash has nine bytes or ten, one as often as the other: no branch tells. */
static inline uint8_t *put_hash(uint8_t *to, uint64_t v)
{
	if (v >> 56 == 0)
		return put_uvarint(to, v);
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> 7 * i | 0x80);
	unsigned more = (unsigned)(v >> 63);
	uint8_t ninth = (uint8_t)(v >> 56 & 0x7f);
	to[8] = (uint8_t)(ninth | more << 7);
	to[8 + more] = more ? 1 : ninth;
	return to + 9 + more;
}

static uint8_t *put_varint(uint8_t *to, uint32_t num, uint64_t v)
{
	return put_uvarint(put_uvarint(to, num << 3 | PB_VARINT), v);
}

static uint8_t *put_len(uint8_t *to, uint32_t num, size_t n)
{
	*to++ = (uint8_t)(num << 3 | PB_BYTES);
	return put_uvarint(to, n);
}

static uint8_t *put_bytes(uint8_t *to, uint32_t num, const void *p, size_t n)
{
	if (n == 0) /* the default is left out */
		return to;
	to = put_len(to, num, n);
	memcpy(to, p, n);
	return to + n;
}

/* Less than 2^56, as one word: groups of 28, 14 and 7 bits are moved apart. Up to seven bytes behind it are written, too. */
static inline uint8_t *put_word(uint8_t *to, uint64_t v)
{
	unsigned n = wr_uvarint_len(v);
	uint64_t more = 0x8080808080808080u;
	v = (v & 0x000000000fffffffu) | (v & 0x00fffffff0000000u) << 4;
	v = (v & 0x00003fff00003fffu) | (v & 0x0fffc0000fffc000u) << 2;
	v = (v & 0x007f007f007f007fu) | (v & 0x3f803f803f803f80u) << 1;
	v |= more >> 8 >> (64 - 8 * n);
	memcpy(to, &v, 8);
	return to + n;
}

/* Lengths, of which most take two bytes. */
static inline uint8_t *put_short(uint8_t *to, size_t n)
{
	if (UNLIKELY(n >= 1 << 14))
		return put_uvarint(to, n);
	if (n < 0x80) {
		*to = (uint8_t)n;
		return to + 1;
	}
	to[0] = (uint8_t)(n | 0x80);
	to[1] = (uint8_t)(n >> 7);
	return to + 2;
}

static uint8_t *put_usual(uint8_t *to, const struct chunk_view *c)
{
	const struct chunk_part *p = &c->part[AGGR_RAW];
	size_t part = usual_part_size(p);
	*to++ = 2 << 3 | PB_BYTES;
	to = put_short(to, usual_size(c, part));
	*to++ = 1 << 3 | PB_VARINT;
	to = put_word(to, (uint64_t)c->mint_ms);
	*to++ = 2 << 3 | PB_VARINT;
	to = put_word(to, (uint64_t)c->maxt_ms);
	*to++ = 3 << 3 | PB_BYTES;
	to = put_short(to, part);
	if (p->enc != CHUNK_XOR) {
		*to++ = 1 << 3 | PB_VARINT;
		*to++ = (uint8_t)proto_chunk_type(p->enc);
	}
	*to++ = 2 << 3 | PB_BYTES;
	to = put_short(to, p->n);
	memcpy(to, p->p, p->n);
	return to + p->n;
}

static uint8_t *put_chunk(uint8_t *to, const struct chunk_view *c, bool lanes)
{
	size_t part[AGGR_N];
	if (LIKELY(is_usual(c, lanes)))
		return put_usual(to, c);
	to = put_len(to, 2, chunk_size(c, lanes, part));
	if (c->mint_ms)
		to = put_varint(to, 1, (uint64_t)c->mint_ms);
	if (c->maxt_ms)
		to = put_varint(to, 2, (uint64_t)c->maxt_ms);
	for (int i = 0; i < AGGR_N; i++) {
		const struct chunk_part *p = &c->part[i];
		uint64_t hash = i == AGGR_RAW ? c->hash : 0;
		if (!p->p)
			continue;
		to = put_len(to, (uint32_t)i + 3, part[i]);
		if (proto_chunk_type(p->enc))
			to = put_varint(to, 1, (uint64_t)proto_chunk_type(p->enc));
		to = put_bytes(to, 2, p->p, p->n);
		if (hash) {
			*to++ = 3 << 3 | PB_VARINT;
			to = put_hash(to, hash);
		}
	}
	if (lanes && c->lane)
		to = put_varint(to, 1000, c->lane);
	return to;
}

void proto_series_put(const struct series_in *s, bool lanes, uint8_t *to, size_t n)
{
	uint8_t *end = to + n;
	for (uint32_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.l[i];
		to = put_len(to, 1, label_size(l));
		to = put_bytes(to, 1, l->name.p, l->name.n);
		to = put_bytes(to, 2, l->value.p, l->value.n);
	}
	for (size_t i = 0; i < s->n; i++)
		to = put_chunk(to, &s->chunks[i], lanes);
	BUG_ON(to != end);
}

void proto_series_encode(const struct series_in *s, bool lanes, struct buf *b)
{
	size_t n = proto_series_size(s, lanes);
	uint8_t *to = buf_room(b, n);
	if (!to)
		return;
	proto_series_put(s, lanes, to, n);
	buf_commit(b, n);
}

void proto_series_frame_encode(struct str series, struct buf *out)
{
	pb_put_bytes(out, 1, series);
}

void proto_warning_frame_encode(struct str warning, struct buf *out)
{
	pb_put_bytes(out, 2, warning);
}

void proto_hints_frame_encode(struct str any, struct buf *out)
{
	pb_put_bytes(out, 3, any);
}
