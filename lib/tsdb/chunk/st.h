/*
 * tsdb/chunk/st.h - start timestamps inside chunks of encodings 4 to 6; private to this module.
 *
 *   one byte in the chunk's header: bit 7: sample 0 has one; bits 0..6: the sample it first changes at, 0: never
 *   behind sample 0     varint t - st, if it has one
 *   behind sample c     varbit int: time of sample c-1, less st; c is where it first changes
 *   behind later ones   varbit int: change of that difference
 * Seven bits must name the first change, so at sample 127 a change is written even where there is none.
 * A sample without start timestamp has 0.
 */
#ifndef TSDB_CHUNK_ST_H
#define TSDB_CHUNK_ST_H

#include "tsdb/chunk/bits.h"

#define ST_FIRST_KNOWN	 0x80u
#define ST_CHANGE_AT_MAX 0x7fu

struct st_state {
	int64_t st;	   /* of the sample before; 0: none */
	uint64_t diff;	   /* the time before that sample, less st; from `change_at` on */
	uint8_t change_at; /* 0: not yet */
	bool first_known;
};

static inline void st_begin(struct st_state *s, uint8_t header)
{
	*s = (struct st_state){ .change_at = header & ST_CHANGE_AT_MAX,
				.first_known = header & ST_FIRST_KNOWN };
}

/* Does the chunk hold any? */
static inline bool st_any(const struct st_state *s)
{
	return s->first_known || s->change_at;
}

/* What follows sample i, of time t; before: the time of sample i-1. Failure is the stream's. */
static inline void st_get(struct st_state *s, struct bits *b, uint32_t i, int64_t t,
			  int64_t before)
{
	if (i == 0) {
		if (s->first_known)
			s->st = (int64_t)((uint64_t)t - (uint64_t)bits_varint(b));
		return;
	}
	if (s->change_at == 0 || i < s->change_at)
		return;
	uint64_t d = (uint64_t)bits_varbit_int(b);
	s->diff = i == s->change_at ? d : s->diff + d;
	s->st = (int64_t)((uint64_t)before - s->diff);
}

/* The same for writing; *header is the chunk's byte. */
void st_put(struct st_state *s, struct bitw *w, uint8_t *header, uint32_t i, int64_t t,
	    int64_t before, int64_t st);

#endif
