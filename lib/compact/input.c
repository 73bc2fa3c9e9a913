/*
 * compact/input.c - the series of one input, with what Thanos' check of an index looks for, and made fit for merging.
 *
 *   label names ascend            else refused, or sorted (accept_malformed_index)
 *   series ascend strictly        else refused
 *   chunks lie in the range of the block; one that begins at its very end is left out (Prometheus' issue 347)
 *   chunks ascend, no overlap     else put in order; what is double goes; overlaps are merged, or refused
 * Then tombstones, samples at and behind the end of the output, and encodings that may not be written are cut out of
 * the chunks that have any.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

int job_fault(struct job *j, const struct input *in, enum compact_fault f,
	      enum err_code code, struct err *e, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	j->r->fault = f;
	j->r->fault_input = in->number;
	struct str labels = block_scan_labels_text(in->scan, j->ctx, j->a);
	return err_set(j->ctx, e, code, "block %s: index: series %" PRIu32 " %.*s: %s",
		       in->id, in->cur.ref, STR_FMT(labels), what);
}

int job_read_failed(struct job *j, const struct input *in, struct err *e)
{
	if (e->code == E_CORRUPT || e->code == E_UNSUPPORTED || e->code == E_NOT_FOUND)
		j->r->fault = COMPACT_FAULT_UNREADABLE;
	if (e->code != E_CANCELLED && e->code != E_TIMEOUT)
		j->r->fault_input = in->number;
	return -1;
}

void input_deinit(struct input *in)
{
	block_scan_close(in->scan);
	symbol_map_deinit(&in->map);
	free(in->label);
	free(in->last);
	free(in->raw);
	arena_deinit(&in->tmp);
}

/* ---- labels ---- */

/* Neighbouring series share most labels, at the same places: what did not change is not looked up again. */
static void map_labels(struct input *in)
{
	uint32_t n = in->cur.n_labels * 2, *x = in->label;

	in->label = in->last;
	in->last = x;
	size_t cap = in->cap_label;
	in->cap_label = in->cap_last;
	in->cap_last = cap;
	in->n_last = in->n_labels;
	in->label = vec_grow(in->label, &in->cap_label, n + 1, sizeof(*in->label));
	in->raw = vec_grow(in->raw, &in->cap_raw, n + 1, sizeof(*in->raw));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = in->cur.label[i];
		in->label[i] = i < in->n_raw && in->raw[i] == k
				       ? in->last[i]
				       : symbol_map_get(&in->map, k);
		in->raw[i] = k;
	}
	in->n_raw = n;
	in->n_labels = in->cur.n_labels;
}

static void sort_names(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t k = i; k > 0 && v[k * 2 - 2] > v[k * 2]; k--) {
			uint32_t name = v[k * 2], value = v[k * 2 + 1];
			v[k * 2] = v[k * 2 - 2];
			v[k * 2 + 1] = v[k * 2 - 1];
			v[k * 2 - 2] = name;
			v[k * 2 - 1] = value;
		}
}

static int cmp_labels(const uint32_t *a, uint32_t n, const uint32_t *b, uint32_t m)
{
	uint32_t both = MIN(n, m) * 2;
	for (uint32_t i = 0; i < both; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return (n > m) - (n < m);
}

static int check_labels(struct job *j, struct input *in, bool first, struct err *e)
{
	if (in->n_labels == 0)
		return job_fault(j, in, COMPACT_FAULT_UNREADABLE, E_CORRUPT, e,
				 "no labels");
	if (in->cur.unsorted) {
		if (!j->o->accept_malformed_index)
			return job_fault(j, in, COMPACT_FAULT_OUT_OF_ORDER_LABELS,
					 E_CORRUPT, e, "label names are out of order");
		sort_names(in->label, in->n_labels);
		in->n_raw = 0; /* places no longer agree */
		for (uint32_t i = 1; i < in->n_labels; i++)
			if (in->label[i * 2 - 2] == in->label[i * 2])
				return job_fault(j, in, COMPACT_FAULT_OUT_OF_ORDER_LABELS,
						 E_CORRUPT, e, "a label name is doubled");
	}
	int c = first ? -1 : cmp_labels(in->last, in->n_last, in->label, in->n_labels);
	if (c == 0)
		return job_fault(j, in, COMPACT_FAULT_DUPLICATE_SERIES, E_CORRUPT, e,
				 "the series is there twice");
	if (c > 0)
		return job_fault(j, in, COMPACT_FAULT_OUT_OF_ORDER_LABELS, E_CORRUPT, e,
				 "the series is out of order");
	return 0;
}

/* ---- chunks ---- */

static int bad_chunk(struct job *j, const struct input *in, const struct chunk_view *c,
		     enum compact_fault f, enum err_code code, const char *what,
		     struct err *e)
{
	return job_fault(j, in, f, code, e, "chunk [%" PRId64 ", %" PRId64 "] %s",
			 c->mint_ms, c->maxt_ms, what);
}

enum shape { SHAPE_FINE, SHAPE_CUT, SHAPE_ORDER }; /* what must be done */

static bool must_recode(const struct job *j, const struct chunk_view *c)
{
	return !j->o->newer_encodings && c->part[AGGR_RAW].enc > CHUNK_FLOATHIST;
}

static bool is_347(const struct input *in, const struct chunk_view *c)
{
	return c->mint_ms == in->src->meta->maxt_ms && c->maxt_ms > c->mint_ms;
}

/* What says that it holds no samples is no chunk. */
static bool is_left_out(const struct input *in, const struct chunk_view *c)
{
	return is_347(in, c) || (c->part[AGGR_RAW].p && !chunk_count(c->part[AGGR_RAW]));
}

/* -1: outside of the range of the block. */
static int look_at_chunks(struct job *j, struct input *in, enum shape *out, struct err *e)
{
	const struct block_meta *m = in->src->meta;
	enum shape s = SHAPE_FINE;

	for (size_t i = 0; i < in->cur.n_chunks; i++) {
		const struct chunk_view *c = &in->cur.chunk[i];
		if ((c->mint_ms < m->mint_ms || c->maxt_ms > m->maxt_ms) &&
		    !is_347(in, c))
			return bad_chunk(j, in, c, COMPACT_FAULT_OUTSIDE_RANGE, E_CORRUPT,
					 "is outside the time range of the block", e);
		const struct chunk_part *raw = &c->part[AGGR_RAW];
		if (raw->p && (raw->enc < CHUNK_XOR || raw->enc > CHUNK_FLOATHIST_ST))
			return input_verify(j, in, e) < 0
				       ? -1
				       : bad_chunk(j, in, c, COMPACT_FAULT_UNREADABLE,
						   E_CORRUPT, "has an unknown encoding",
						   e);
		if (c->maxt_ms > j->maxt_ms || must_recode(j, c) || is_left_out(in, c))
			s = MAX(s, SHAPE_CUT);
		if (i > 0 && c->mint_ms <= c[-1].maxt_ms)
			s = SHAPE_ORDER;
	}
	*out = s;
	return 0;
}

static int cmp_chunks(const void *a, const void *b, void *arg UNUSED)
{
	const struct chunk_view *x = a, *y = b;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return (x->maxt_ms > y->maxt_ms) - (x->maxt_ms < y->maxt_ms);
}

/* A copy of the chunks in order, without doubles and without those behind the end. */
static int sorted_chunks(struct job *j, struct input *in, struct chunk_view **out,
			 size_t *n, struct err *e)
{
	size_t k = 0, have = in->cur.n_chunks;
	struct chunk_view *v = arena_try(&in->tmp, j->ctx, (have + 1) * sizeof(*v), e);

	if (!v)
		return -1;
	for (size_t i = 0; i < have; i++)
		if (!is_left_out(in, &in->cur.chunk[i]))
			v[k++] = in->cur.chunk[i];
	vec_sort(v, k, sizeof(*v), cmp_chunks, NULL);
	*n = 0;
	for (size_t i = 0; i < k; i++)
		if (*n == 0 || !chunk_view_eq(&v[*n - 1], &v[i]))
			v[(*n)++] = v[i];
	*out = v;
	return 0;
}

static int order_chunks(struct job *j, struct input *in, struct chunk_view **v, size_t *n,
			struct err *e)
{
	struct block_views merged = { 0 };

	for (size_t i = 1; i < *n; i++) {
		if ((*v)[i].mint_ms > (*v)[i - 1].maxt_ms)
			continue;
		if (j->o->overlap == COMPACT_REFUSE)
			return bad_chunk(j, in, &(*v)[i],
					 COMPACT_FAULT_OUT_OF_ORDER_CHUNK, E_CORRUPT,
					 "overlaps the one before", e);
		if (merge_own(j, in, *v, *n, &merged, e) < 0)
			return -1;
		*v = merged.v;
		*n = merged.n;
		return 0;
	}
	return 0;
}

/* Ranges to be cut: tombstones, and what the output does not reach. */
static int cut_chunks(struct job *j, struct input *in, const struct chunk_view *v,
		      size_t n, const struct tombstone_range *r, size_t n_ranges,
		      struct err *e)
{
	struct block_views out = { 0 };

	if (block_cut_outside(j->ctx, &in->tmp, INT64_MIN, j->maxt_ms, &r, &n_ranges, e) <
	    0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct chunk_view *c = &v[i];
		enum block_cut kind = block_cut_kind(r, n_ranges, c->mint_ms, c->maxt_ms);
		enum chunk_enc to = (enum chunk_enc)c->part[AGGR_RAW].enc;
		int rc = 0;
		if (!j->o->newer_encodings)
			to = chunk_enc_plain(to);
		if (kind == CUT_PART || (kind == CUT_NONE && must_recode(j, c)))
			rc = block_cut(j->ctx, &in->tmp, j->rec, c, to, r, n_ranges, &out,
				       e);
		else if (kind == CUT_NONE)
			rc = block_views_add(&out, j->ctx, &in->tmp, c, e);
		if (rc < 0) {
			char why[160];
			snprintf(why, sizeof(why), "cannot be decoded: %s", err_text(e));
			return e->code == E_CORRUPT
				       ? bad_chunk(j, in, c, COMPACT_FAULT_UNREADABLE,
						   E_CORRUPT, why, e)
				       : -1;
		}
	}
	in->chunk = out.v;
	in->n_chunks = out.n;
	return 0;
}

static int take_chunks(struct job *j, struct input *in, struct err *e)
{
	size_t n_ranges = 0, n;
	const struct tombstone_range *r = NULL;
	struct chunk_view *v;
	enum shape s = SHAPE_FINE;

	if (in->src->tombstones)
		r = tombstones_of(in->src->tombstones, in->cur.ref, &n_ranges);
	if (look_at_chunks(j, in, &s, e) < 0)
		return -1;
	in->chunk = in->cur.chunk;
	in->n_chunks = in->cur.n_chunks;
	if (s == SHAPE_FINE && n_ranges == 0)
		return 0;
	if (input_verify(j, in, e) < 0)
		return -1;
	arena_reset(&in->tmp);
	if (sorted_chunks(j, in, &v, &n, e) < 0 || order_chunks(j, in, &v, &n, e) < 0)
		return -1;
	return cut_chunks(j, in, v, n, r, n_ranges, e);
}

int input_verify(struct job *j, struct input *in, struct err *e)
{
	if (in->verified)
		return 0;
	if (block_scan_verify(in->scan, j->ctx, e) < 0)
		return job_read_failed(j, in, e);
	in->verified = true;
	return 0;
}

int input_next(struct job *j, struct input *in, struct err *e)
{
	bool first = !in->on;
	int rc = block_scan_series(in->scan, j->ctx, &in->cur, e);

	in->on = rc > 0;
	if (rc < 0)
		return job_read_failed(j, in, e);
	if (rc == 0)
		return 0;
	in->verified = false;
	j->r->in_series++;
	j->r->in_chunks += in->cur.n_chunks;
	map_labels(in);
	if (check_labels(j, in, first, e) < 0)
		return -1;
	return take_chunks(j, in, e);
}
