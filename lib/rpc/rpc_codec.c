/*
 * rpc/rpc_codec.c - encodings of messages.
 *
 * What is decoded is charged before it is made. Framed snappy tells its size chunk by chunk, so the charge is exact.
 * gzip tells it, modulo 2^32 and without proof, in its last four bytes: that is a first guess, held between what the
 * input's length makes likely and possible, and a stream that turns out longer is decoded again with more room, so a
 * bomb costs its sender's bytes times a factor and stops at the smaller of max and the budget.
 */
#include "rpc/rpc_codec.h"

#include <stdlib.h>

#include "wire/codec.h"

#define DEFLATE_MAX_RATIO 1032u
#define GZIP_TRAILER	  4u

static const char *const names[] = {
	[RPC_IDENTITY] = "identity", [RPC_GZIP] = "gzip", [RPC_SNAPPY] = "snappy"
};

bool rpc_encoding_parse(struct str name, enum rpc_encoding *out)
{
	*out = RPC_IDENTITY;
	if (name.n == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eqz(name, names[i])) {
			*out = (enum rpc_encoding)i;
			return true;
		}
	return false;
}

const char *rpc_encoding_name(enum rpc_encoding enc)
{
	return names[enc];
}

bool rpc_encoding_in(struct str list, enum rpc_encoding enc)
{
	struct str one;
	bool more = list.n > 0;
	while (more) {
		more = str_cut(&list, ',', &one);
		if (str_eqz(str_trim(one), names[enc]))
			return true;
	}
	return false;
}

/* ---- encoding ---- */

static int encode_gzip(const struct str *parts, size_t n, struct buf *out, struct err *e)
{
	struct gzip_enc *g = gzip_enc_new(false);
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = gzip_enc_feed(g, parts[i], i + 1 == n, out, e);
	gzip_enc_free(g);
	return rc;
}

static int encode_snappy(const struct str *parts, size_t n, size_t total, struct buf *out,
			 struct err *e)
{
	struct buf all;
	if (n == 1)
		return snappy_stream_encode(parts[0], out, e);
	buf_init(&all, total);
	for (size_t i = 0; i < n; i++)
		buf_str(&all, parts[i]);
	int rc = buf_check(&all, NULL, "message", e);
	if (rc == 0)
		rc = snappy_stream_encode(buf_view(&all), out, e);
	buf_deinit(&all);
	return rc;
}

int rpc_encode(enum rpc_encoding enc, const struct str *parts, size_t n,
	       struct budget *budget, struct ctx *ctx, struct buf *out, bool *smaller,
	       struct err *e)
{
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	*smaller = false;
	if (enc == RPC_IDENTITY || total == 0)
		return 0;
	size_t room = 2 * total + 1024; /* joined, and encoded at worst */
	if (budget_take(budget, ctx, room, e) < 0)
		return -1;
	int rc = enc == RPC_GZIP ? encode_gzip(parts, n, out, e)
				 : encode_snappy(parts, n, total, out, e);
	budget_give(budget, room);
	*smaller = rc == 0 && out->n < total;
	return rc;
}

/* ---- decoding ---- */

/* Decoded bytes: a buffer, charged for its room. */
struct decoded {
	struct ref ref;
	struct budget *budget;
	size_t charged;
	struct buf b;
};

static void decoded_free(struct ref *r)
{
	struct decoded *d = CONTAINER_OF(r, struct decoded, ref);
	buf_deinit(&d->b);
	budget_give(d->budget, d->charged);
	free(d);
}

static struct decoded *decoded_new(struct budget *budget, struct ctx *ctx, size_t room,
				   struct err *e)
{
	if (budget_take(budget, ctx, sizeof(struct decoded) + room, e) < 0)
		return NULL;
	struct decoded *d = xcalloc(1, sizeof(*d));
	ref_init(&d->ref, decoded_free);
	d->budget = budget;
	d->charged = sizeof(*d) + room;
	buf_init(&d->b, room);
	return d;
}

static struct decoded *decode_snappy(struct str in, size_t max, struct budget *budget,
				     struct ctx *ctx, struct err *e)
{
	size_t n;
	if (snappy_stream_size(in, max, &n, e) < 0)
		return NULL;
	struct decoded *d = decoded_new(budget, ctx, n + 1, e);
	if (d && snappy_stream_decode(in, n, &d->b, e) < 0) {
		ref_put(&d->ref);
		d = NULL;
	}
	return d;
}

static size_t gzip_guess(struct str in)
{
	size_t n = 0;
	for (size_t i = 0; i < GZIP_TRAILER && in.n >= GZIP_TRAILER; i++)
		n |= (size_t)(uint8_t)in.p[in.n - GZIP_TRAILER + i] << 8 * i;
	return MIN(MAX(n, in.n), in.n * DEFLATE_MAX_RATIO + 64);
}

static struct decoded *decode_gzip(struct str in, size_t max, struct budget *budget,
				   struct ctx *ctx, struct err *e)
{
	for (size_t room = gzip_guess(in);; room *= 4) {
		room = MIN(room, max);
		struct decoded *d = decoded_new(budget, ctx, room, e);
		if (!d || gzip_decode(in, room, &d->b, e) == 0)
			return d;
		ref_put(&d->ref);
		if (e->code != E_LIMIT || room == max)
			return NULL;
		*e = ERR_INIT;
	}
}

int rpc_untag(enum rpc_encoding enc, struct view *msg, size_t max, struct budget *budget,
	      struct ctx *ctx, struct err *e)
{
	struct str in = str_n(msg->p + 1, msg->n - 1);
	struct decoded *d;
	BUG_ON(msg->n == 0);
	if (msg->p[0] == 0) {
		msg->p++;
		msg->n--;
		return 0;
	}
	d = enc == RPC_GZIP ? decode_gzip(in, max, budget, ctx, e)
			    : decode_snappy(in, max, budget, ctx, e);
	view_put(msg);
	if (!d)
		return err_wrap(ctx, e, "message encoded as %s", names[enc]);
	*msg = (struct view){ d->b.p ? d->b.p : (const uint8_t *)"", d->b.n, &d->ref };
	return 0;
}
