/*
 * rpc/rpc_frame.c - gRPC's message framing.
 *
 * A message is a flag byte (0 plain, 1 compressed), four bytes of length, big endian, and that many
 * bytes. HTTP/2 cuts the stream wherever it likes, so a message is gathered in a slab.
 *
 * Small messages share slabs, which begin at 4 KiB (one short answer should not cost a quarter of a
 * MiB) and grow fourfold to SLAB_BYTES. A message that does not fit the rest of its slab moves to one
 * of its own, which doubles as bytes arrive and ends at the announced length: a lying length costs
 * the sender as many bytes as it costs us.
 */
#include "rpc/rpc_frame.h"

#include <string.h>

#define FIRST_CAP ((size_t)4 << 10)

static const uint8_t nothing[1];

void rpc_frame_init(struct rpc_frame *f, struct budget *budget, size_t max)
{
	*f = (struct rpc_frame){ .budget = budget, .max = max, .next_cap = FIRST_CAP };
}

static void drop_slab(struct rpc_frame *f)
{
	if (f->slab)
		ref_put(&f->slab->ref);
	f->slab = NULL;
}

void rpc_frame_deinit(struct rpc_frame *f)
{
	drop_slab(f);
	f->n_prefix = 0;
}

void rpc_frame_prefix(uint8_t out[RPC_PREFIX_BYTES], size_t len)
{
	out[0] = 0;
	for (unsigned i = 0; i < 4; i++)
		out[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}

static int begin(struct rpc_frame *f, struct err *e)
{
	const uint8_t *h = f->prefix;
	if (h[0] == 1 && !f->tagged)
		return err_set(NULL, e, E_UNSUPPORTED,
			       "compressed gRPC message without an agreed encoding");
	if (h[0] > 1)
		return err_set(NULL, e, E_CORRUPT, "gRPC message with unknown flag %u",
			       h[0]);
	f->len = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
	f->have = 0;
	if (f->len > f->max)
		return err_set(
			NULL, e, E_LIMIT,
			"gRPC message of %zu bytes is larger than the limit of %zu",
			f->len, f->max);
	f->start = f->slab ? f->slab->used : 0;
	f->len += f->tagged;
	return 0;
}

/* A slab with room for `want` more bytes of the message under way (want <= len - have). */
static int make_room(struct rpc_frame *f, size_t want, struct err *e)
{
	size_t need = f->have + want;
	if (f->slab && f->slab->cap - f->start >= need &&
	    (f->have || f->slab->cap - f->start >= MIN(f->len, SLAB_BYTES)))
		return 0;
	size_t cap = f->next_cap;
	if (f->len > cap) {
		cap = f->have ? f->have * 2 : cap;
		cap = MIN(MAX(cap, need), f->len);
	}
	struct slab *s = slab_try(f->budget, NULL, cap, e);
	if (!s)
		return -1;
	f->next_cap = MIN(f->next_cap * 4, (size_t)SLAB_BYTES);
	if (f->have)
		memcpy(s->data, f->slab->data + f->start, f->have);
	drop_slab(f);
	f->slab = s;
	f->start = 0;
	return 0;
}

static int put_tag(struct rpc_frame *f, struct err *e)
{
	if (make_room(f, 1, e) < 0)
		return -1;
	f->slab->data[f->start] = f->prefix[0];
	f->have = 1;
	return 0;
}

static void finish(struct rpc_frame *f, struct view *msg)
{
	f->n_prefix = 0;
	if (f->len == 0) {
		*msg = (struct view){ nothing, 0, NULL };
		return;
	}
	struct slab *s = f->slab;
	s->used = f->start + f->len;
	*msg = (struct view){ s->data + f->start, f->len, ref_get(&s->ref) };
	if (s->used == s->cap)
		drop_slab(f);
}

int rpc_frame_next(struct rpc_frame *f, const uint8_t **p, size_t *n, struct view *msg,
		   struct err *e)
{
	while (f->n_prefix < RPC_PREFIX_BYTES) {
		if (*n == 0)
			return 0;
		f->prefix[f->n_prefix++] = *(*p)++;
		(*n)--;
		if (f->n_prefix == RPC_PREFIX_BYTES &&
		    (begin(f, e) < 0 || (f->tagged && put_tag(f, e) < 0)))
			return -1;
	}
	size_t take = MIN(*n, f->len - f->have);
	if (take) {
		if (make_room(f, take, e) < 0)
			return -1;
		memcpy(f->slab->data + f->start + f->have, *p, take);
		f->have += take;
		*p += take;
		*n -= take;
	}
	if (f->have < f->len)
		return 0;
	finish(f, msg);
	return 1;
}
