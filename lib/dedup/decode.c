/*
 * dedup/decode.c - all samples of one series into arrays: what selectors read.
 *
 * Plain path: chunks that do not overlap and hold raw floats are decoded straight into the output, four to
 * sixteen of them at once or one a call, no work a sample beside that; start timestamps are a column that exists from the first chunk on
 * that has any. Chunks outside the range are not looked at; of the first
 * and last one the samples outside are cut off. Everything else (histograms, downsampled chunks) comes
 * through decoders that show columns.
 *
 * Overlapping chunks are split into lanes, each lane is decoded as above within the range, and the
 * lanes are folded: by the penalty rule, or (dedup off) by time, the first lane winning a tie.
 */
#include "dedup/dedup_int.h"

#define CHECK_EVERY 64 /* chunks of a series between looks at the query's end */

/* One call of dedup_decode. */
struct job {
	struct ctx *ctx;
	struct arena *a; /* of the result */
	struct err *e;
	enum sample_aggr want;
	int64_t mint_ms, maxt_ms;
};

/* Samples a chunk can hold at most, whatever its count says: a sample takes a bit at least, two in XOR. */
static size_t bound_of(const struct chunk_view *c, enum sample_aggr want)
{
	const struct chunk_part *p = &c->part[AGGR_RAW];
	if (!p->p)
		p = &c->part[want == SAMPLE_COUNTER ? AGGR_COUNTER : AGGR_COUNT];
	return MIN(chunk_count(*p), (size_t)p->n * (p->enc == CHUNK_XOR ? 4 : 8) + 2);
}

static int reserve(struct job *j, struct arena *a, struct sample_cols *c, size_t need)
{
	if (need <= c->cap)
		return 0;
	size_t cap = c->cap ? MAX(need, c->cap + c->cap / 2) : need;
	int64_t *t = arena_try(a, j->ctx, cap * sizeof *t, j->e);
	double *v = t ? arena_try(a, j->ctx, cap * sizeof *v, j->e) : NULL;
	const struct hist **h = NULL;
	int64_t *st = NULL;
	if (v && c->h) {
		h = arena_try(a, j->ctx, cap * sizeof *h, j->e);
		if (h && c->n)
			memcpy(h, c->h, c->n * sizeof *h);
	}
	if (v && c->st_ms) {
		st = arena_try(a, j->ctx, cap * sizeof *st, j->e);
		if (st && c->n)
			memcpy(st, c->st_ms, c->n * sizeof *st);
	}
	if (!v || (c->h && !h) || (c->st_ms && !st))
		return -1;
	if (c->n) {
		memcpy(t, c->t_ms, c->n * sizeof *t);
		memcpy(v, c->v, c->n * sizeof *v);
	}
	c->t_ms = t;
	c->v = v;
	c->h = h;
	c->st_ms = st;
	c->cap = cap;
	return 0;
}

/* From now on c has histograms: all samples so far are none. */
static int want_hists(struct job *j, struct arena *a, struct sample_cols *c)
{
	if (c->h)
		return 0;
	c->again = false;
	c->h = arena_try(a, j->ctx, MAX(c->cap, 1u) * sizeof *c->h, j->e);
	if (!c->h)
		return -1;
	memset(c->h, 0, MAX(c->cap, 1u) * sizeof *c->h);
	return 0;
}

/* From now on c has start timestamps: all samples so far have none. */
static int want_starts(struct job *j, struct arena *a, struct sample_cols *c)
{
	if (c->st_ms)
		return 0;
	c->again = false;
	c->st_ms = arena_try(a, j->ctx, MAX(c->cap, 1u) * sizeof *c->st_ms, j->e);
	if (!c->st_ms)
		return -1;
	memset(c->st_ms, 0, MAX(c->cap, 1u) * sizeof *c->st_ms);
	return 0;
}

/* The samples [from, n) are new: keep those in range and behind the last one. */
static void trim(const struct job *j, struct sample_cols *c, size_t from)
{
	int64_t lo = j->mint_ms;
	size_t skip = from, end = c->n;
	if (from > 0 && c->t_ms[from - 1] >= lo) {
		if (c->t_ms[from - 1] == INT64_MAX) {
			c->n = from;
			return;
		}
		lo = c->t_ms[from - 1] + 1;
	}
	while (end > from && c->t_ms[end - 1] > j->maxt_ms)
		end--;
	while (skip < end && c->t_ms[skip] < lo)
		skip++;
	c->n = from + (end - skip);
	if (skip == from || c->n == from)
		return;
	memmove(c->t_ms + from, c->t_ms + skip, (end - skip) * sizeof *c->t_ms);
	memmove(c->v + from, c->v + skip, (end - skip) * sizeof *c->v);
	if (c->h)
		memmove(c->h + from, c->h + skip, (end - skip) * sizeof *c->h);
	if (c->st_ms)
		memmove(c->st_ms + from, c->st_ms + skip,
			(end - skip) * sizeof *c->st_ms);
}

static int append(struct job *j, struct arena *a, struct sample_cols *c,
		  const struct columns *cols)
{
	size_t from = c->n;
	if (reserve(j, a, c, c->n + cols->n) < 0 ||
	    (!cols->v && want_hists(j, a, c) < 0) ||
	    (cols->st_ms && want_starts(j, a, c) < 0))
		return -1;
	memcpy(c->t_ms + from, cols->t_ms, cols->n * sizeof *c->t_ms);
	if (cols->v)
		memcpy(c->v + from, cols->v, cols->n * sizeof *c->v);
	else
		memset(c->v + from, 0, cols->n * sizeof *c->v);
	for (size_t i = 0; c->h && i < cols->n; i++)
		c->h[from + i] = cols->v ? NULL : cols->h[i];
	for (size_t i = 0; c->st_ms && i < cols->n; i++)
		c->st_ms[from + i] = cols->st_ms ? cols->st_ms[i] : 0;
	c->n += cols->n;
	trim(j, c, from);
	return 0;
}

static bool is_float(struct chunk_part p)
{
	return p.enc == CHUNK_XOR || p.enc == CHUNK_XOR2;
}

/*
 * The samples [from, from + n) have come: do they go on as the ones before? Bits compare like the numbers, as integers, if neither
 * sign is set.
 */
static void note_rise(struct sample_cols *c, size_t from, size_t n)
{
	const double infinity = __builtin_inf();
	uint64_t fell = 0, last = 0, x;
	if (!c->rise)
		return;
	if (from)
		memcpy(&last, &c->v[from - 1], 8);
	for (size_t i = from; i < from + n; i++, last = x) {
		memcpy(&x, &c->v[i], 8);
		fell |= x | (x - last);
	}
	memcpy(&x, &infinity, 8);
	c->rise = fell >> 63 == 0 && last <= x;
}

static int raw_floats(struct job *j, struct arena *a, struct chunk_part p,
		      struct sample_cols *c)
{
	size_t from = c->n, count = chunk_count(p);
	bool starts = chunk_has_starts(p);
	int n;
	if (count > (size_t)p.n * (p.enc == CHUNK_XOR ? 4 : 8) + 2)
		return err_set(NULL, j->e, E_CORRUPT, "%s chunk: %zu samples in %u bytes",
			       chunk_enc_name(p.enc), count, p.n);
	if (reserve(j, a, c, from + count) < 0 || (starts && want_starts(j, a, c) < 0))
		return -1;
	if (p.enc == CHUNK_XOR)
		n = chunk_xor_decode(p.p, p.n, c->t_ms + from, c->v + from, c->cap - from,
				     j->e);
	else
		n = chunk_xor2_decode(p.p, p.n, c->t_ms + from, c->v + from,
				      starts ? c->st_ms + from : NULL, c->cap - from,
				      j->e);
	if (n < 0)
		return -1;
	note_rise(c, from, (size_t)n);
	if (c->h)
		memset(c->h + from, 0, (size_t)n * sizeof *c->h);
	if (c->st_ms && !starts)
		memset(c->st_ms + from, 0, (size_t)n * sizeof *c->st_ms);
	c->n += (size_t)n;
	trim(j, c, from);
	return 0;
}

static int raw_hists(struct job *j, struct arena *a, struct chunk_decoder **d,
		     struct chunk_part p, struct sample_cols *c)
{
	struct columns cols;
	int rc;
	c->again = false;
	if (!*d) {
		*d = chunk_decoder_new(a);
		chunk_decoder_keep(*d, a);
	}
	if (chunk_decoder_reset(*d, p, j->e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(*d, &cols, j->e)) > 0)
		if (ctx_check(j->ctx, j->e) < 0 || append(j, a, c, &cols) < 0)
			return -1;
	return rc;
}

/* Downsampled chunks: through series_samples; its histograms are copied. */
static int aggregated(struct job *j, struct arena *a, const struct chunk_view *chunks,
		      size_t n, struct sample_cols *c)
{
	struct samples *s = series_samples_new(a);
	struct columns cols;
	const struct hist *h[COLUMNS_MAX];
	int rc;
	c->again = false;
	if (series_samples_reset(s, chunks, n, j->want, j->e) < 0)
		return -1;
	samples_seek(s, j->mint_ms);
	while ((rc = samples_next(s, &cols, j->e)) > 0) {
		if (cols.t_ms[0] > j->maxt_ms)
			return 0;
		if (ctx_check(j->ctx, j->e) < 0)
			return -1;
		for (size_t i = 0; !cols.v && i < cols.n; i++)
			h[i] = hist_dup(a, cols.h[i]);
		if (!cols.v)
			cols.h = h;
		if (append(j, a, c, &cols) < 0)
			return -1;
	}
	return rc;
}

/* ---- many chunks at once ---- */

/*
 * CHUNK_WIDE chunks, or as many as there are if they are not much fewer: one of them is then decoded in the other lanes, too, to
 * the same place.
 */
#define WIDE_LEAST 4
struct wide {
	size_t n;		   /* chunks */
	size_t at[CHUNK_WIDE + 1]; /* where chunk i comes to lie; [n] is the end */
	size_t again;		   /* whose lanes are left: that of the fewest samples */
};

/* Do the next of `n` chunks go well together? Those that hardly change are faster one by one. */
static bool is_wide(const struct sample_cols *c, const struct chunk_view *chunks,
		    size_t n, struct wide *w)
{
	size_t bytes = 0, least = SIZE_MAX;
	if (c->h || c->st_ms || n < WIDE_LEAST)
		return false;
	*w = (struct wide){ .n = MIN(n, (size_t)CHUNK_WIDE), .at = { c->n } };
	for (size_t i = 0; i < w->n; i++) {
		const struct chunk_part *p = &chunks[i].part[AGGR_RAW];
		size_t count = chunk_count(*p);
		if (p->enc != CHUNK_XOR || count < 2 || count > (size_t)p->n * 4 + 2)
			return false;
		if (count < least) {
			least = count;
			w->again = i;
		}
		bytes += p->n;
		w->at[i + 1] = w->at[i] + count;
	}
	return 2 * bytes > w->at[w->n] - w->at[0];
}

/* 1: decoded; 0: they must go one by one. */
static int decode_wide(struct job *j, struct arena *a, const struct chunk_view *chunks,
		       const struct wide *w, struct sample_cols *c)
{
	struct chunk_part part[CHUNK_WIDE];
	int64_t *t[CHUNK_WIDE];
	double *v[CHUNK_WIDE];
	bool rise;
	for (size_t i = 0; i < CHUNK_WIDE; i++)
		part[i] = chunks[i < w->n ? i : w->again].part[AGGR_RAW];
	size_t need = chunk_wide_scratch(part);
	if (need > c->scratch_cap) {
		uint8_t *p = arena_try(a, j->ctx, need, j->e);
		if (!p)
			return -1;
		c->scratch = p;
		c->scratch_cap = need;
	}
	if (reserve(j, a, c, w->at[w->n]) < 0)
		return -1;
	for (size_t i = 0; i < CHUNK_WIDE; i++) {
		size_t at = w->at[i < w->n ? i : w->again];
		t[i] = c->t_ms + at;
		v[i] = c->v + at;
	}
	if (chunk_xor_decode_wide(part, c->scratch, t, v, &rise) != 0)
		return 0;
	for (size_t i = 0; i < w->n; i++) {
		size_t from = c->n, n = w->at[i + 1] - w->at[i];
		c->rise &= rise && (from == 0 || c->v[from - 1] <= v[i][0]);
		if (from != w->at[i]) { /* something before it was cut */
			memmove(c->t_ms + from, t[i], n * sizeof *c->t_ms);
			memmove(c->v + from, v[i], n * sizeof *c->v);
		}
		c->n += n;
		trim(j, c, from);
	}
	return 1;
}

/* Chunks that ascend without overlap. */
static int decode_lane(struct job *j, struct arena *a, const struct chunk_view *chunks,
		       size_t n, struct sample_cols *c)
{
	struct chunk_decoder *d = NULL;
	const bool usable = n >= WIDE_LEAST && chunk_wide_usable();
	struct wide w;
	size_t total = 0;
	for (size_t i = 0; i < n; i++) {
		total += bound_of(&chunks[i], j->want);
		if (!chunks[i].part[AGGR_RAW].p)
			return aggregated(j, a, chunks, n, c);
	}
	if (reserve(j, a, c, total) < 0)
		return -1;
	c->rise = true;
	for (size_t i = 0; i < n; i++) {
		if (i % CHECK_EVERY < CHUNK_WIDE && ctx_check(j->ctx, j->e) < 0)
			return -1;
		if (usable && is_wide(c, chunks + i, n - i, &w)) {
			int done = decode_wide(j, a, chunks + i, &w, c);
			if (done < 0)
				return -1;
			if (done) {
				i += w.n - 1;
				continue;
			}
		}
		struct chunk_part p = chunks[i].part[AGGR_RAW];
		c->rise &= is_float(p);
		int rc = is_float(p) ? raw_floats(j, a, p, c) : raw_hists(j, a, &d, p, c);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- several lanes ---- */

/* Both by time; x wins a tie. */
static int unite(struct job *j, struct arena *a, const struct sample_cols *x,
		 const struct sample_cols *y, struct sample_cols *out)
{
	size_t i = 0, k = 0, n = 0;
	if (reserve(j, a, out, x->n + y->n) < 0 ||
	    ((x->h || y->h) && want_hists(j, a, out) < 0) ||
	    ((x->st_ms || y->st_ms) && want_starts(j, a, out) < 0))
		return -1;
	while (i < x->n || k < y->n) {
		bool from_x = k == y->n || (i < x->n && x->t_ms[i] <= y->t_ms[k]);
		const struct sample_cols *s = from_x ? x : y;
		size_t at = from_x ? i : k;
		if (from_x && k < y->n && x->t_ms[i] == y->t_ms[k])
			k++;
		out->t_ms[n] = s->t_ms[at];
		out->v[n] = s->v[at];
		if (out->h)
			out->h[n] = s->h ? s->h[at] : NULL;
		if (out->st_ms)
			out->st_ms[n] = s->st_ms ? s->st_ms[at] : 0;
		n++;
		i += from_x;
		k += !from_x;
	}
	out->n = n;
	return 0;
}

static int fold_by_time(struct job *j, struct arena *tmp, const struct sample_cols *lane,
			size_t n, struct sample_cols *out)
{
	struct sample_cols sum = lane[0];
	for (size_t i = 1; i < n; i++) {
		struct sample_cols next = { 0 };
		if (i + 1 == n)
			next = *out;
		if (unite(j, i + 1 == n ? j->a : tmp, &sum, &lane[i], &next) < 0)
			return -1;
		sum = next;
	}
	*out = sum;
	return 0;
}

static int fold_by_penalty(struct job *j, struct arena *tmp,
			   const struct sample_cols *lane, size_t n, bool counter,
			   struct sample_cols *out)
{
	size_t total = 0;
	bool hists = false, starts = false;
	for (size_t i = 0; i < n; i++) {
		total += lane[i].n;
		hists |= lane[i].h != NULL;
		starts |= lane[i].st_ms != NULL;
	}
	if (reserve(j, j->a, out, total) < 0 || (hists && want_hists(j, j->a, out) < 0) ||
	    (starts && want_starts(j, j->a, out) < 0))
		return -1;
	penalty_fold(lane, n, counter, tmp, out);
	return 0;
}

static int copy_cols(struct job *j, const struct sample_cols *c, struct sample_cols *out)
{
	if (reserve(j, j->a, out, c->n) < 0 || (c->h && want_hists(j, j->a, out) < 0) ||
	    (c->st_ms && want_starts(j, j->a, out) < 0))
		return -1;
	memcpy(out->t_ms, c->t_ms, c->n * sizeof *c->t_ms);
	memcpy(out->v, c->v, c->n * sizeof *c->v);
	if (c->h)
		memcpy(out->h, c->h, c->n * sizeof *c->h);
	if (c->st_ms)
		memcpy(out->st_ms, c->st_ms, c->n * sizeof *c->st_ms);
	out->n = c->n;
	out->rise = c->rise;
	return 0;
}

/*
 * Decode each lane into tmp (histograms into the result's arena, where they stay) and fold those
 * that are not empty.
 */
static int decode_lanes(struct job *j, struct arena *tmp, const struct chunk_view *chunks,
			size_t n, const uint32_t *lane_of, size_t n_lanes, bool dedup,
			bool counter, struct sample_cols *out)
{
	struct sample_cols *lane = ARENA_ARRAY(tmp, struct sample_cols, n_lanes);
	struct chunk_view *part = arena_try(tmp, j->ctx, n * sizeof *part, j->e);
	size_t full = 0;
	bool floats = true;
	for (size_t i = 0; i < n; i++)
		floats &=
			chunks[i].part[AGGR_RAW].p && is_float(chunks[i].part[AGGR_RAW]);
	for (uint32_t k = 0; part && k < n_lanes; k++) {
		size_t m = 0;
		for (size_t i = 0; i < n; i++)
			if (lane_of[i] == k)
				part[m++] = chunks[i];
		lane[full] = (struct sample_cols){ 0 };
		if (decode_lane(j, floats ? tmp : j->a, part, m, &lane[full]) < 0)
			return -1;
		full += lane[full].n > 0;
	}
	if (!part || full == 0)
		return part ? 0 : -1;
	if (full == 1)
		return copy_cols(j, &lane[0], out);
	return dedup ? fold_by_penalty(j, tmp, lane, full, counter, out)
		     : fold_by_time(j, tmp, lane, full, out);
}

static size_t in_range(struct chunk_view *chunks, size_t n, int64_t mint_ms,
		       int64_t maxt_ms, bool *plain)
{
	size_t k = 0;
	*plain = true;
	for (size_t i = 0; i < n; i++) {
		if (chunks[i].maxt_ms < mint_ms || chunks[i].mint_ms > maxt_ms)
			continue;
		if (k != i) { /* keep all of the caller's chunks */
			struct chunk_view c = chunks[k];
			chunks[k] = chunks[i];
			chunks[i] = c;
		}
		*plain &= k == 0 || chunks[k - 1].maxt_ms < chunks[k].mint_ms;
		k++;
	}
	return k;
}

int dedup_decode(struct ctx *ctx, struct arena *a, struct chunk_view *chunks, size_t n,
		 enum sample_aggr want, bool dedup, bool counter, int64_t mint_ms,
		 int64_t maxt_ms, struct sample_cols *out, struct err *e)
{
	struct job j = { ctx, a, e, want, mint_ms, maxt_ms };
	bool plain;
	out->n = 0;
	out->h = NULL;
	out->st_ms = NULL;
	out->rise = false;
	out->again = true;
	n = in_range(chunks, n, mint_ms, maxt_ms, &plain);
	if (n == 0)
		return 0;
	if (plain)
		return decode_lane(&j, a, chunks, n, out);
	struct arena tmp;
	int rc = -1;
	arena_init(&tmp, a->budget);
	uint32_t *lane_of = arena_try(&tmp, ctx, n * sizeof *lane_of, e);
	if (lane_of) {
		dedup_chunk_sort(chunks, n);
		n = dedup_chunk_unique(chunks, n);
		size_t n_lanes = dedup_lanes(&tmp, chunks, n, lane_of);
		rc = n_lanes == 1 ? decode_lane(&j, a, chunks, n, out)
				  : decode_lanes(&j, &tmp, chunks, n, lane_of, n_lanes,
						 dedup, counter, out);
	}
	arena_deinit(&tmp);
	return rc;
}
