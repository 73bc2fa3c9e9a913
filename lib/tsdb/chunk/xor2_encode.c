/*
 * tsdb/chunk/xor2_encode.c - writing XOR2 and start timestamps; the formats stand in xor2_decode.c and st.h.
 */
#include "wire/wr.h"

#include "tsdb/chunk/xor2.h"

void st_put(struct st_state *s, struct bitw *w, uint8_t *header, uint32_t i, int64_t t,
	    int64_t before, int64_t st)
{
	if (i == 0) {
		s->first_known = st != 0;
		if (s->first_known) {
			*header |= ST_FIRST_KNOWN;
			bitw_varint(w, (int64_t)((uint64_t)t - (uint64_t)st));
		}
		s->st = st;
		return;
	}
	uint64_t diff = (uint64_t)before - (uint64_t)st;
	if (s->change_at) {
		bitw_varbit_int(w, (int64_t)(diff - s->diff));
	} else if (st != s->st || i == ST_CHANGE_AT_MAX) {
		s->change_at = (uint8_t)i;
		*header |= s->change_at;
		bitw_varbit_int(w, (int64_t)diff);
	}
	s->diff = diff;
	s->st = st;
}

/* joint: a bit chooses the window; else the codes 10 and 110 do. */
static void put_bits(struct bitw *w, uint64_t x, bool joint, struct bits_window *win)
{
	unsigned lead = MIN((unsigned)__builtin_clzll(x), 31u),
		 trail = (unsigned)__builtin_ctzll(x);
	if (win->leading != 0xff && lead >= win->leading && trail >= win->trailing) {
		bitw_put(w, joint ? 0 : 2, joint ? 1 : 2);
		bitw_put(w, x >> win->trailing, 64u - win->leading - win->trailing);
		return;
	}
	*win = (struct bits_window){ (uint8_t)lead, (uint8_t)trail };
	bitw_put(w, joint ? 1 : 6, joint ? 1 : 3);
	bitw_put(w, lead, 5);
	bitw_put(w, 64 - lead - trail, 6);
	bitw_put(w, x >> trail, 64 - lead - trail);
}

static void put_value(struct bitw *w, uint64_t v, uint64_t base, struct bits_window *win)
{
	if (v == STALE_NAN_BITS)
		bitw_put(w, 7, 3);
	else if (v == base)
		bitw_put(w, 0, 1);
	else
		put_bits(w, v ^ base, false, win);
}

static void put_later(struct bitw *w, int64_t dod, uint64_t v, uint64_t base,
		      struct bits_window *win)
{
	if (dod == 0 && v == STALE_NAN_BITS) {
		bitw_put(w, 0x1f, 5);
	} else if (dod == 0 && v == base) {
		bitw_put(w, 0, 1);
	} else if (dod == 0) {
		bitw_put(w, 2, 2);
		put_bits(w, v ^ base, true, win);
	} else {
		if (dod >= -(1 << 12) && dod < 1 << 12) {
			bitw_put(w, 6, 3);
			bitw_put(w, (uint64_t)dod, 13);
		} else if (dod >= -(1 << 19) && dod < 1 << 19) {
			bitw_put(w, 0xe, 4);
			bitw_put(w, (uint64_t)dod, 20);
		} else {
			bitw_put(w, 0x1e, 5);
			bitw_put(w, (uint64_t)dod, 64);
		}
		put_value(w, v, base, win);
	}
}

void xor2_put(struct bitw *w, uint32_t i, int64_t t, uint64_t delta, int64_t dod,
	      uint64_t v, uint64_t *base, struct bits_window *win)
{
	if (i == 0) {
		wr_varint(&w->out, t);
		bitw_put(w, v, 64);
	} else if (i == 1) {
		wr_uvarint(&w->out, delta);
		put_value(w, v, *base, win);
	} else {
		put_later(w, dod, v, *base, win);
	}
	if (v != STALE_NAN_BITS)
		*base = v;
}
