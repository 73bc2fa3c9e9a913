/*
 * proto/series.c - decoding of SeriesResponse without copies.
 *
 * A series is read twice: once to count labels and chunks, which costs a pass over tags and lengths
 * only, then into arrays of exactly that size. Labels and chunks are checked for order while they are
 * read and sorted only if the sender did not. A chunk type n is encoding n + 1 of the model.
 */
#include "proto/series.h"

#include "base/ctx.h"
#include "base/limits.h"
#include "base/vec.h"
#include "wire/pb.h"

struct decoder {
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
};

static int malformed(struct decoder *d, const char *what)
{
	return err_set(d->ctx, d->e, E_PARSE, "series response: malformed %s", what);
}

static int decode_label(struct decoder *d, struct str in, struct label *out)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;

	*out = (struct label){ STR(""), STR("") };
	while ((rc = pb_next(&r, &f)) == 1) {
		if (f.num > 2)
			continue;
		if (f.wire != PB_BYTES)
			return malformed(d, "label");
		if (f.num == 1)
			out->name = f.bytes;
		else
			out->value = f.bytes;
	}
	if (rc < 0 || (out->value.n && !out->name.n))
		return malformed(d, "label");
	return 0;
}

static int decode_part(struct decoder *d, struct str in, struct chunk_part *out,
		       uint64_t *hash)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	uint64_t type = 0;
	struct str data = STR("");
	int rc;

	while ((rc = pb_next(&r, &f)) == 1) {
		enum pb_wire want = f.num == 2 ? PB_BYTES : PB_VARINT;
		if (f.num > 3)
			continue;
		if (f.wire != want)
			return malformed(d, "chunk");
		if (f.num == 1)
			type = f.u;
		else if (f.num == 2)
			data = f.bytes;
		else
			*hash = f.u;
	}
	if (rc < 0)
		return malformed(d, "chunk");
	if (type > 2)
		return err_set(d->ctx, d->e, E_UNSUPPORTED,
			       "series response: unknown chunk type %llu",
			       (unsigned long long)type);
	if (data.n > LIMIT_CHUNK_BYTES)
		return err_set(d->ctx, d->e, E_LIMIT,
			       "series response: chunk of %zu bytes, at most %u are allowed",
			       data.n, LIMIT_CHUNK_BYTES);
	*out = (struct chunk_part){ (const uint8_t *)(data.p ? data.p : ""),
				    (uint32_t)data.n, (uint8_t)(type + 1) };
	return 0;
}

static int decode_chunk(struct decoder *d, struct str in, struct chunk_view *out)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	uint64_t other;
	int rc;

	memset(out, 0, sizeof *out);
	while ((rc = pb_next(&r, &f)) == 1) {
		if (f.num >= 3 && f.num < 3 + AGGR_N) {
			if (f.wire != PB_BYTES)
				return malformed(d, "chunk");
			if (decode_part(d, f.bytes, &out->part[f.num - 3],
					f.num == 3 ? &out->hash : &other) < 0)
				return -1;
		} else if (f.num == 1 || f.num == 2 || f.num == 1000) {
			if (f.wire != PB_VARINT)
				return malformed(d, "chunk");
			if (f.num == 1)
				out->mint_ms = (int64_t)f.u;
			else if (f.num == 2)
				out->maxt_ms = (int64_t)f.u;
			else
				out->lane = f.u;
		}
	}
	return rc < 0 ? malformed(d, "chunk") : 0;
}

static int chunk_cmp(const void *a, const void *b, void *arg)
{
	const struct chunk_view *x = a, *y = b;

	(void)arg;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return (x->maxt_ms > y->maxt_ms) - (x->maxt_ms < y->maxt_ms);
}

static int count_series(struct decoder *d, struct str in, size_t *labels, size_t *chunks)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	int rc;

	*labels = *chunks = 0;
	while ((rc = pb_next(&r, &f)) == 1) {
		if (f.num > 2)
			continue;
		if (f.wire != PB_BYTES)
			return malformed(d, "series");
		++*(f.num == 1 ? labels : chunks);
	}
	if (rc < 0)
		return malformed(d, "series");
	if (*labels > LIMIT_LABELS_PER_SERIES)
		return err_set(d->ctx, d->e, E_LIMIT, "series response: %zu labels in a series",
			       *labels);
	return 0;
}

static int decode_series(struct decoder *d, struct str in, struct series_in *out)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	size_t nl, nc, l = 0, c = 0;
	bool labels_ok = true, chunks_ok = true;

	if (count_series(d, in, &nl, &nc) < 0)
		return -1;
	struct label *lv = arena_try(d->a, d->ctx, nl * sizeof *lv, d->e);
	struct chunk_view *cv = lv ? arena_try(d->a, d->ctx, nc * sizeof *cv, d->e) : NULL;
	if (!cv)
		return -1;
	while (pb_next(&r, &f) == 1) {
		if (f.num == 1) {
			if (decode_label(d, f.bytes, &lv[l]) < 0)
				return -1;
			if (!lv[l].value.n)
				continue; /* as if it were not there */
			if (l && str_cmp(lv[l - 1].name, lv[l].name) >= 0)
				labels_ok = false;
			l++;
		} else if (f.num == 2) {
			if (decode_chunk(d, f.bytes, &cv[c]) < 0)
				return -1;
			if (c && cv[c - 1].mint_ms > cv[c].mint_ms)
				chunks_ok = false;
			c++;
		}
	}
	if (!labels_ok && !labels_sort(lv, l))
		return err_set(d->ctx, d->e, E_PARSE,
			       "series response: a label name occurs twice in a series");
	if (!chunks_ok)
		vec_sort(cv, c, sizeof *cv, chunk_cmp, NULL);
	*out = (struct series_in){ { lv, (uint32_t)l, 0 }, cv, c };
	return 0;
}

static int decode_batch(struct decoder *d, struct str in, struct proto_frame *out)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	size_t n = 0;
	int rc;

	while ((rc = pb_next(&r, &f)) == 1) {
		if (f.num == 1 && f.wire != PB_BYTES)
			return malformed(d, "batch");
		n += f.num == 1;
	}
	if (rc < 0)
		return malformed(d, "batch");
	out->series = arena_try(d->a, d->ctx, n * sizeof *out->series, d->e);
	if (!out->series)
		return -1;
	out->n = 0;
	r = rd_of(in);
	while (pb_next(&r, &f) == 1)
		if (f.num == 1 && decode_series(d, f.bytes, &out->series[out->n++]) < 0)
			return -1;
	out->kind = PROTO_FRAME_SERIES;
	return 0;
}

static int decode_one(struct decoder *d, struct str in, struct proto_frame *out)
{
	out->series = arena_try(d->a, d->ctx, sizeof *out->series, d->e);
	if (!out->series)
		return -1;
	out->n = 1;
	out->kind = PROTO_FRAME_SERIES;
	return decode_series(d, in, out->series);
}

int proto_series_decode(struct ctx *ctx, struct arena *a, struct str msg,
			struct proto_frame *out, struct err *e)
{
	struct decoder d = { ctx, a, e };
	struct rd r = rd_of(msg);
	struct pb_field f, last = { 0 };
	int rc;

	memset(out, 0, sizeof *out);
	while ((rc = pb_next(&r, &f)) == 1) {
		if (f.num > 4)
			continue;
		if (f.wire != PB_BYTES)
			return malformed(&d, "message");
		last = f; /* a oneof: the last one counts */
	}
	if (rc < 0)
		return malformed(&d, "message");
	switch (last.num) {
	case 1: return decode_one(&d, last.bytes, out);
	case 2:
		out->kind = PROTO_FRAME_WARNING;
		out->warning = last.bytes;
		break;
	case 3:
		out->kind = PROTO_FRAME_HINTS;
		out->hints = last.bytes;
		break;
	case 4: return decode_batch(&d, last.bytes, out);
	default: break;
	}
	return 0;
}
