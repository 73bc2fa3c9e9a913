/*
 * compact/recut.c - merged samples as chunks of at most 120, as Prometheus cuts them when it compacts.
 *
 * A chunk also ends where the type of samples changes, where a start timestamp comes to a chunk that cannot hold any,
 * and where a histogram does not fit behind the one before. Whether a histogram is a reset is asked of the values, not
 * of its hint, where the sample before it came from elsewhere. Each chunk is decoded again and compared with the samples
 * that went in: an encoder that errs must not cost data.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

void recut_init(struct recut *r, struct decoding *d, struct budget *b)
{
	*r = (struct recut){ .d = d };
	r->enc = chunk_encoder_new();
	buf_init(&r->bytes, 1 << 20);
	lane_room(&r->wait, CHUNK_SAMPLES);
	wide_init(&r->wide);
	arena_init(&r->check_mem, b);
	r->check_d = chunk_decoder_new(&r->check_mem);
}

void recut_deinit(struct recut *r)
{
	chunk_encoder_free(r->enc);
	buf_deinit(&r->bytes);
	lane_deinit(&r->wait);
	wide_deinit(&r->wide);
	arena_deinit(&r->check_mem);
}

void recut_begin(struct recut *r, struct ctx *ctx, struct arena *a,
		 struct block_views *out)
{
	r->ctx = ctx;
	r->a = a;
	r->out = out;
	r->wait.n = r->wait.at = 0;
	r->type = 0;
	r->last_chunk = 0;
}

static int add_view(struct recut *r, const struct lane *l, size_t n,
		    struct chunk_part part, struct err *e)
{
	struct chunk_view v = { .mint_ms = l->t[l->at], .maxt_ms = l->t[l->at + n - 1] };
	uint8_t *p = arena_try(r->a, r->ctx, part.n + 1, e);

	if (!p)
		return -1;
	memcpy(p, part.p, part.n);
	part.p = p;
	v.part[AGGR_RAW] = part;
	return block_views_add(r->out, r->ctx, r->a, &v, e);
}

/* ---- floats ---- */

static int put_floats(struct recut *r, const struct lane *l, size_t n, struct err *e)
{
	buf_reset(&r->bytes);
	if (chunk_xor_encode(&r->bytes, l->t + l->at, l->v + l->at, n, e) < 0)
		return -1;
	struct chunk_part part = { r->bytes.p, (uint32_t)r->bytes.n, CHUNK_XOR };
	if (wide_check(&r->wide, r->ctx, part, l->t + l->at, l->v + l->at, n, e) < 0)
		return -1;
	return add_view(r, l, n, part, e);
}

static int float_columns(struct recut *r, const int64_t *t, const double *v, size_t n,
			 struct err *e)
{
	while (n > 0) {
		struct lane l = { .t = (int64_t *)(uintptr_t)t,
				  .v = (double *)(uintptr_t)v };
		size_t take = MIN(n, CHUNK_SAMPLES - r->wait.n);
		if (take == CHUNK_SAMPLES) { /* straight from where they are */
			if (put_floats(r, &l, take, e) < 0)
				return -1;
		} else {
			memcpy(r->wait.t + r->wait.n, t, take * sizeof(*t));
			memcpy(r->wait.v + r->wait.n, v, take * sizeof(*v));
			r->wait.n += take;
			if (r->wait.n == CHUNK_SAMPLES) {
				if (put_floats(r, &r->wait, CHUNK_SAMPLES, e) < 0)
					return -1;
				r->wait.n = 0;
			}
		}
		t += take;
		v += take;
		n -= take;
	}
	return 0;
}

/* ---- all others ---- */

/* Is sample i of a column what sample k was? */
static bool as_put(const struct recut *r, const struct columns *c, size_t i,
		   const int64_t *t, const double *v, size_t k)
{
	struct gsample got = { .v = c->v ? c->v[i] : 0,
			       .h = c->v ? NULL : c->h[i],
			       .st = c->st_ms ? c->st_ms[i] : 0 };
	struct gsample want = r->d->gs[(size_t)v[k]];
	if (!r->newer_encodings)
		want.st = 0;
	return c->t_ms[i] == t[k] && gsample_eq(&got, &want);
}

static int check_chunk(struct recut *r, struct chunk_part part, const int64_t *t,
		       const double *v, size_t n, struct err *e)
{
	struct columns c;
	size_t k = 0;
	int rc;

	if (chunk_decoder_reset(r->check_d, part, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(r->check_d, &c, e)) > 0)
		for (size_t i = 0; i < c.n; i++, k++)
			if (k >= n || !as_put(r, &c, i, t, v, k))
				return wide_differs(r->ctx, e);
	if (rc == 0 && k != n)
		return wide_differs(r->ctx, e);
	return rc;
}

static int finish_chunk(struct recut *r, struct err *e)
{
	if (r->wait.n == 0)
		return 0;
	struct chunk_part part = chunk_encoder_part(r->enc);
	if (check_chunk(r, part, r->wait.t, r->wait.v, r->wait.n, e) < 0 ||
	    add_view(r, &r->wait, r->wait.n, part, e) < 0)
		return -1;
	r->wait.n = 0;
	return 0;
}

static enum chunk_enc wanted(const struct recut *r, const struct gsample *s)
{
	bool st = s->st != 0 && r->newer_encodings;
	if (!s->h)
		return st ? CHUNK_XOR2 : CHUNK_XOR;
	if (s->h->is_int)
		return st ? CHUNK_HIST_ST : CHUNK_HIST;
	return st ? CHUNK_FLOATHIST_ST : CHUNK_FLOATHIST;
}

static bool must_cut(const struct recut *r, int type, enum chunk_enc want)
{
	if (type != r->type || r->wait.n >= CHUNK_SAMPLES)
		return true;
	/* Floats without start timestamp may follow in a chunk that has them. */
	return want != r->now && !(want == CHUNK_XOR && r->now == CHUNK_XOR2);
}

static int append(struct recut *r, int64_t t, const struct gsample *s, struct err *e)
{
	chunk_encoder_start(r->enc, r->newer_encodings ? s->st : 0);
	if (!s->h)
		return chunk_encoder_float(r->enc, t, s->v, e);
	struct hist h = *s->h;
	bool follows = s->chunk == r->last_chunk && s->i == r->last_i + 1;
	if (!follows && h.hint != HIST_GAUGE)
		h.hint = HIST_UNKNOWN;
	return chunk_encoder_hist(r->enc, t, &h, e);
}

static int put_generic(struct recut *r, int64_t t, double number, struct err *e)
{
	const struct gsample *s = &r->d->gs[(size_t)number];
	enum chunk_enc want = wanted(r, s);
	int type = !s->h ? CHUNK_XOR : s->h->is_int ? CHUNK_HIST : CHUNK_FLOATHIST;

	if (must_cut(r, type, want)) {
		if (finish_chunk(r, e) < 0)
			return -1;
		chunk_encoder_begin(r->enc, want);
		r->now = want;
		r->type = type;
	}
	int rc = append(r, t, s, e);
	if (rc == 1) { /* the encoder knows the new chunk's reset header by itself */
		if (finish_chunk(r, e) < 0)
			return -1;
		chunk_encoder_begin(r->enc, want);
		r->now = want;
		rc = append(r, t, s, e);
		BUG_ON(rc == 1);
	}
	if (rc < 0)
		return -1;
	r->wait.t[r->wait.n] = t;
	r->wait.v[r->wait.n++] = number;
	r->last_chunk = s->chunk;
	r->last_i = s->i;
	return 0;
}

int recut_put(struct recut *r, const int64_t *t, const double *v, size_t n, struct err *e)
{
	if (!r->d->generic)
		return float_columns(r, t, v, n, e);
	for (size_t i = 0; i < n; i++)
		if (put_generic(r, t[i], v[i], e) < 0)
			return -1;
	return 0;
}

int recut_end(struct recut *r, struct err *e)
{
	if (r->d->generic)
		return finish_chunk(r, e);
	if (r->wait.n == 0)
		return 0;
	int rc = put_floats(r, &r->wait, r->wait.n, e);
	r->wait.n = 0;
	return rc;
}

/* ---- aggregates ---- */

static int64_t float_part(struct recut *r, const int64_t *t, const double *v, size_t n,
			  bool twice, struct err *e)
{
	struct lane l = { 0 };
	int64_t rc = -1;

	lane_room(&l, 2 * (n + 1));
	for (size_t i = 0; i < n + twice; i++) {
		size_t k = MIN(i, n - 1);
		l.t[i] = t[k];
		l.v[i] = r->d->generic ? r->d->gs[(size_t)v[k]].v : v[k];
	}
	buf_reset(&r->bytes);
	if (chunk_xor_encode(&r->bytes, l.t, l.v, n + twice, e) < 0)
		goto out;
	/* The copies behind are what is read back. */
	int64_t *t2 = l.t + n + 1;
	double *v2 = l.v + n + 1;
	int got = chunk_xor_decode_any(r->bytes.p, r->bytes.n, t2, v2, n + 1, e);
	if (got < 0)
		goto out;
	if ((size_t)got != n + twice || memcmp(t2, l.t, (n + twice) * sizeof(*t2)) != 0 ||
	    memcmp(v2, l.v, (n + twice) * sizeof(*v2)) != 0)
		rc = wide_differs(r->ctx, e);
	else
		rc = (int64_t)n;
out:
	lane_deinit(&l);
	return rc;
}

static int64_t hist_part(struct recut *r, const int64_t *t, const double *v, size_t n,
			 struct chunk_part *out, struct err *e)
{
	enum chunk_enc enc = wanted(r, &r->d->gs[(size_t)v[0]]);
	size_t k = 0;
	int rc = 0;

	chunk_encoder_begin(r->enc, enc);
	for (; k < n && rc == 0; k += rc == 0)
		rc = append(r, t[k], &r->d->gs[(size_t)v[k]], e);
	if (rc < 0)
		return -1;
	*out = chunk_encoder_part(r->enc);
	return check_chunk(r, *out, t, v, k, e) < 0 ? -1 : (int64_t)k;
}

int64_t recut_part(struct recut *r, const int64_t *t, const double *v, size_t n,
		   bool twice, struct chunk_part *out, struct err *e)
{
	bool hist = r->d->generic && r->d->gs[(size_t)v[0]].h;
	size_t k = 1;

	while (k < n && (!r->d->generic || !r->d->gs[(size_t)v[k]].h == !hist))
		k++;
	int64_t fit =
		hist ? hist_part(r, t, v, k, out, e) : float_part(r, t, v, k, twice, e);
	if (fit < 0)
		return -1;
	if (!hist)
		*out = (struct chunk_part){ r->bytes.p, (uint32_t)r->bytes.n, CHUNK_XOR };
	uint8_t *p = arena_try(r->a, r->ctx, out->n + 1, e);
	if (!p)
		return -1;
	memcpy(p, out->p, out->n);
	out->p = p;
	return fit;
}
