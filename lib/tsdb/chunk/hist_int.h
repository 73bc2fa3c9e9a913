/*
 * tsdb/chunk/hist_int.h - layout of histogram chunks, shared by decoder and encoder; private to this
 * module.
 */
#ifndef TSDB_CHUNK_HIST_INT_H
#define TSDB_CHUNK_HIST_INT_H

#include "tsdb/chunk/bits.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk/st.h"

#define HIST_BUCKETS_MAX (1u << 20) /* of one side */
#define HIST_SPANS_MAX	 (1u << 20)
#define HIST_BOUNDS_MAX	 (1u << 20)

enum reset_header { RESET_UNKNOWN, RESET_NO, RESET_YES, RESET_GAUGE };

/*
 * The three bytes in front of the layout. With start timestamps the reset header has moved into the count, to make
 * room for theirs.
 */
#define HIST_ST_COUNT_MAX 0x3fffu
static inline bool hist_has_st(unsigned enc)
{
	return enc == CHUNK_HIST_ST || enc == CHUNK_FLOATHIST_ST;
}
static inline bool hist_is_float(unsigned enc)
{
	return enc == CHUNK_FLOATHIST || enc == CHUNK_FLOATHIST_ST;
}
static inline enum reset_header hist_header(struct chunk_part c) /* c.n >= 3 */
{
	return (enum reset_header)(c.p[hist_has_st(c.enc) ? 0 : 2] >> 6);
}

struct hist_layout {
	int32_t schema;
	double zero_threshold;
	struct hist_span *pos_spans, *neg_spans;
	uint32_t n_pos_spans, n_neg_spans, n_pos, n_neg;
	double *bounds;
	uint32_t n_bounds;
};
/* Memory of `a`. */
MUST_CHECK int hist_layout_get(struct bits *b, struct arena *a, struct hist_layout *out,
			       struct err *e);
void hist_layout_put(struct bitw *w, const struct hist_layout *l);

/* Decoder state of one chunk; arrays of n_pos + n_neg entries, positive side first. */
struct hist_state {
	struct bits b;
	struct hist_layout l;
	enum reset_header header;
	struct st_state st;
	bool is_float;
	bool any_order; /* times may go back */
	uint8_t enc;
	uint32_t total, done;
	int64_t t, t_delta;
	uint64_t count, zero; /* bits of doubles when is_float */
	int64_t count_delta, zero_delta;
	uint64_t sum;
	struct bits_window count_w, zero_w, sum_w;
	uint64_t *value;	    /* deltas between buckets, or bits of doubles */
	int64_t *delta;		    /* integer: last change */
	struct bits_window *window; /* float */
};
/* `a` holds layout and state. */
MUST_CHECK int hist_begin(struct hist_state *s, struct arena *a, struct chunk_part c,
			  struct err *e);
/* The next sample into *h, its buckets into v[n_pos + n_neg]; 1, 0 end, -1 corrupt. */
int hist_next(struct hist_state *s, struct hist *h, double *v, struct err *e);
/* Bring schemas 9 to 52 down to 8 (memory of `a`); others are left. */
void hist_coarsen(struct arena *a, struct hist *h);

#endif
