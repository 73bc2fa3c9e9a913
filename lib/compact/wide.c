/*
 * compact/wide.c - float chunks decoded sixteen at once, where the processor can: those of a run before they are folded,
 * and those made, to be compared with what went in.
 *
 * What was made waits until sixteen long chunks are there, whatever series they are of; the last ones are decoded one by
 * one at the end of the job.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

#define LEAST 6	 /* chunks for which sixteen lanes are the faster */
#define LONG  96 /* samples: lanes that end sooner make all others go on one by one */

/* May chunk_xor_decode_wide be given this? */
static bool is_plain(struct chunk_part p)
{
	return p.enc == CHUNK_XOR && chunk_count(p) <= (size_t)p.n * 4 + 2;
}

static bool decode(struct wide *w, const struct chunk_part *p, int64_t **t, double **v)
{
	size_t need = chunk_wide_scratch(p);
	if (need > w->scratch_cap || !w->scratch)
		w->scratch = vec_grow(w->scratch, &w->scratch_cap, need, 1);
	bool rise;
	return chunk_xor_decode_wide(p, w->scratch, t, v, &rise) == 0;
}

/* ---- of a run ---- */

size_t wide_read(struct wide *w, const struct chunk_ref *run, size_t n)
{
	struct chunk_part p[CHUNK_WIDE];
	int64_t *t[CHUNK_WIDE];
	double *v[CHUNK_WIDE];
	size_t take = MIN(n, CHUNK_WIDE);

	if (!w->usable || take < LEAST)
		return 0;
	for (size_t i = 0; i < CHUNK_WIDE;
	     i++) { /* lanes that are left over do the first again */
		p[i] = run[i < take ? i : 0].c->part[AGGR_RAW];
		if (!is_plain(p[i]))
			return 0;
		uint32_t count = chunk_count(p[i]);
		lane_room(&w->lane[i], count);
		w->lane[i].at = 0;
		w->lane[i].n = count;
		t[i] = w->lane[i].t;
		v[i] = w->lane[i].v;
	}
	return decode(w, p, t, v) ? take : 0;
}

/* ---- what was made ---- */

void wide_init(struct wide *w)
{
	*w = (struct wide){ .usable = chunk_wide_usable() };
	buf_init(&w->bytes, 16 << 20);
	w->t = xreallocarray(NULL, CHUNK_WIDE * CHUNK_SAMPLES, sizeof(*w->t));
	w->v = xreallocarray(NULL, CHUNK_WIDE * CHUNK_SAMPLES, sizeof(*w->v));
	w->got_t = xreallocarray(NULL, CHUNK_WIDE * CHUNK_SAMPLES, sizeof(*w->got_t));
	w->got_v = xreallocarray(NULL, CHUNK_WIDE * CHUNK_SAMPLES, sizeof(*w->got_v));
}

void wide_deinit(struct wide *w)
{
	for (size_t i = 0; i < CHUNK_WIDE; i++)
		lane_deinit(&w->lane[i]);
	buf_deinit(&w->bytes);
	free(w->scratch);
	free(w->t);
	free(w->v);
	free(w->got_t);
	free(w->got_v);
}

static int compare(struct wide *w, struct ctx *ctx, struct chunk_part p, const int64_t *t,
		   const double *v, size_t n, struct err *e)
{
	int got = chunk_xor_decode(p.p, p.n, w->got_t, w->got_v, CHUNK_SAMPLES, e);

	if (got < 0 || (size_t)got != n || memcmp(w->got_t, t, n * sizeof(*t)) != 0 ||
	    memcmp(w->got_v, v, n * sizeof(*v)) != 0)
		return wide_differs(ctx, e);
	return 0;
}

int wide_differs(struct ctx *ctx, struct err *e)
{
	return err_set(ctx, e, E_INTERNAL,
		       "a chunk does not give back the samples that were put in");
}

static struct chunk_part waiting(const struct wide *w, size_t i)
{
	return (struct chunk_part){ w->bytes.p + w->off[i],
				    (uint32_t)(w->off[i + 1] - w->off[i]), CHUNK_XOR };
}

int wide_check_end(struct wide *w, struct ctx *ctx, struct err *e)
{
	size_t n = w->n;

	w->n = 0;
	for (size_t i = 0; i < n; i++)
		if (compare(w, ctx, waiting(w, i), w->t + i * CHUNK_SAMPLES,
			    w->v + i * CHUNK_SAMPLES, w->count[i], e) < 0)
			return -1;
	buf_reset(&w->bytes);
	return 0;
}

static int check_waiting(struct wide *w, struct ctx *ctx, struct err *e)
{
	struct chunk_part p[CHUNK_WIDE];
	int64_t *t[CHUNK_WIDE];
	double *v[CHUNK_WIDE];

	for (size_t i = 0; i < CHUNK_WIDE; i++) {
		p[i] = waiting(w, i);
		if (chunk_count(p[i]) != w->count[i])
			return wide_differs(ctx, e);
		t[i] = w->got_t + i * CHUNK_SAMPLES;
		v[i] = w->got_v + i * CHUNK_SAMPLES;
	}
	if (!decode(w, p, t, v))
		return wide_check_end(w, ctx, e);
	w->n = 0;
	buf_reset(&w->bytes);
	for (size_t i = 0; i < CHUNK_WIDE; i++) {
		size_t at = i * CHUNK_SAMPLES, n = w->count[i];
		if (memcmp(w->t + at, w->got_t + at, n * sizeof(*w->t)) != 0 ||
		    memcmp(w->v + at, w->got_v + at, n * sizeof(*w->v)) != 0)
			return wide_differs(ctx, e);
	}
	return 0;
}

int wide_check(struct wide *w, struct ctx *ctx, struct chunk_part p, const int64_t *t,
	       const double *v, size_t n, struct err *e)
{
	if (!w->usable || n < LONG)
		return compare(w, ctx, p, t, v, n, e);
	memcpy(w->t + w->n * CHUNK_SAMPLES, t, n * sizeof(*t));
	memcpy(w->v + w->n * CHUNK_SAMPLES, v, n * sizeof(*v));
	buf_add(&w->bytes, p.p, p.n);
	if (buf_check(&w->bytes, ctx, "chunks", e) < 0)
		return -1;
	w->count[w->n] = n;
	w->off[++w->n] = w->bytes.n;
	return w->n == CHUNK_WIDE ? check_waiting(w, ctx, e) : 0;
}
