#include "tsdb/chunk/recode.h"

#include <stdlib.h>

struct chunk_recoder {
	struct chunk_decoder *d;
	struct chunk_encoder *w;
	/* of the chunk at work */
	const struct chunk_recode_ops *ops;
	void *arg;
	enum chunk_enc to;
	int64_t mint_ms, maxt_ms; /* of what is in the encoder */
	bool any;
};

static void recoder_deinit(void *p)
{
	struct chunk_recoder *r = p;
	chunk_encoder_free(r->w);
	free(r);
}

struct chunk_recoder *chunk_recoder_new(struct arena *a)
{
	struct chunk_recoder *r = xcalloc(1, sizeof *r);
	r->d = chunk_decoder_new(a);
	r->w = chunk_encoder_new();
	arena_on_free(a, recoder_deinit, r);
	return r;
}

enum chunk_enc chunk_enc_plain(unsigned enc)
{
	switch (enc) {
	case CHUNK_XOR2: return CHUNK_XOR;
	case CHUNK_HIST_ST: return CHUNK_HIST;
	case CHUNK_FLOATHIST_ST: return CHUNK_FLOATHIST;
	default: return (enum chunk_enc)enc;
	}
}

static int flush(struct chunk_recoder *r, struct err *e)
{
	if (!r->any)
		return 0;
	r->any = false;
	return r->ops->emit(r->arg, r->mint_ms, r->maxt_ms, chunk_encoder_part(r->w), e);
}

static int append(struct chunk_recoder *r, const struct columns *c, size_t i,
		  struct err *e)
{
	chunk_encoder_start(r->w, c->st_ms ? c->st_ms[i] : 0);
	return c->v ? chunk_encoder_float(r->w, c->t_ms[i], c->v[i], e)
		    : chunk_encoder_hist(r->w, c->t_ms[i], c->h[i], e);
}

static int put(struct chunk_recoder *r, const struct columns *c, size_t i, struct err *e)
{
	int rc = append(r, c, i, e);
	if (rc == 1) { /* the encoder knows the new chunk's reset header by itself */
		if (flush(r, e) < 0)
			return -1;
		chunk_encoder_begin(r->w, r->to);
		rc = append(r, c, i, e);
		BUG_ON(rc == 1);
	}
	if (rc < 0)
		return -1;
	if (!r->any)
		r->mint_ms = c->t_ms[i];
	r->maxt_ms = c->t_ms[i];
	r->any = true;
	return 0;
}

int chunk_recode(struct chunk_recoder *r, struct chunk_part c, enum chunk_enc to,
		 const struct chunk_recode_ops *ops, void *arg, struct err *e)
{
	struct columns cols;
	bool first = true;
	int rc;
	r->ops = ops;
	r->arg = arg;
	r->to = to;
	r->any = false;
	if (chunk_decoder_reset(r->d, c, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(r->d, &cols, e)) > 0)
		for (size_t i = 0; i < cols.n; i++, first = false) {
			if (ops->keep && !ops->keep(arg, cols.t_ms[i]))
				continue;
			if (first)
				chunk_encoder_like(r->w, to, c);
			else if (!r->any)
				chunk_encoder_begin(r->w, to);
			if (put(r, &cols, i, e) < 0)
				return -1;
		}
	return rc < 0 ? -1 : flush(r, e);
}
