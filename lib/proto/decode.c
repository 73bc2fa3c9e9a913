/*
 * proto/decode.c - any message into its struct, driven by its table.
 *
 * Fields of one message mostly come in the order of the table, so the search begins where the last
 * one ended. Lists grow by doubling inside the arena (their length need not be kept apart from their
 * capacity: room runs out exactly when the count is a power of two), so no count is ever believed:
 * every element was paid for with input bytes. Repeated scalars come packed or one by one.
 */
#include "base/limits.h"
#include "proto/msg.h"
#include "wire/pb.h"

struct decoder {
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
};

static int decode_into(struct decoder *d, const struct proto_msg *m, struct str in,
		       char *out, int depth);

static size_t elem_size(const struct proto_field *f)
{
	switch ((enum proto_type)f->type) {
	case PROTO_I32:
	case PROTO_U32:
	case PROTO_S32:
	case PROTO_ENUM: return 4;
	case PROTO_BOOL: return sizeof(bool);
	case PROTO_STR:
	case PROTO_BYTES:
	case PROTO_RAW: return sizeof(struct str);
	case PROTO_MSG: return f->msg->size;
	default: return 8;
	}
}

static enum pb_wire wire_of(enum proto_type t)
{
	if (t == PROTO_F64)
		return PB_FIXED64;
	return t >= PROTO_STR && t != PROTO_ENUM ? PB_BYTES : PB_VARINT;
}

static int malformed(struct decoder *d, const struct proto_msg *m,
		     const struct proto_field *f)
{
	return err_set(d->ctx, d->e, E_PARSE, "protobuf message %s.%s: malformed%s%s",
		       m->package, m->name, f ? " field " : "", f ? f->name : "");
}

/* Room for one more element, zeroed; NULL: refused. */
static void *list_add(struct decoder *d, struct proto_list *l, size_t size)
{
	if ((l->n & (l->n - 1)) == 0) {
		size_t cap = l->n ? l->n * 2 : 1;
		void *v = arena_try(d->a, d->ctx, cap * size, d->e);
		if (!v)
			return NULL;
		if (l->n)
			memcpy(v, l->v, l->n * size);
		l->v = v;
	}
	char *p = (char *)l->v + l->n++ * size;
	memset(p, 0, size);
	return p;
}

static void put_scalar(enum proto_type t, uint64_t u, char *to)
{
	uint32_t u32 = (uint32_t)u;
	int64_t z = pb_zigzag(u);
	int32_t z32 = (int32_t)pb_zigzag(u32);
	bool b = u != 0;

	switch (t) {
	case PROTO_I32:
	case PROTO_U32:
	case PROTO_ENUM: memcpy(to, &u32, 4); break;
	case PROTO_S32: memcpy(to, &z32, 4); break;
	case PROTO_S64: memcpy(to, &z, 8); break;
	case PROTO_BOOL: memcpy(to, &b, sizeof b); break;
	default: memcpy(to, &u, 8); break;
	}
}

static int decode_packed(struct decoder *d, const struct proto_msg *m,
			 const struct proto_field *f, struct str in,
			 struct proto_list *l)
{
	struct rd r = rd_of(in);

	while (rd_left(&r)) {
		uint64_t u = f->type == PROTO_F64 ? rd_le64(&r) : rd_uvarint(&r);
		if (r.bad)
			return malformed(d, m, f);
		char *p = list_add(d, l, elem_size(f));
		if (!p)
			return -1;
		put_scalar((enum proto_type)f->type, u, p);
	}
	return 0;
}

static int decode_value(struct decoder *d, const struct proto_field *f,
			const struct pb_field *v, char *to, int depth)
{
	/* An empty value still is present: its view is not NULL. */
	struct str s = v->bytes.p ? v->bytes : STR("");

	switch ((enum proto_type)f->type) {
	case PROTO_STR:
	case PROTO_BYTES:
	case PROTO_RAW: memcpy(to, &s, sizeof s); return 0;
	case PROTO_MSG: return decode_into(d, f->msg, s, to, depth + 1);
	default: put_scalar((enum proto_type)f->type, v->u, to); return 0;
	}
}

static int decode_field(struct decoder *d, const struct proto_msg *m,
			const struct proto_field *f, const struct pb_field *v, char *out,
			int depth)
{
	char *to = out + f->offset;
	enum pb_wire want = wire_of((enum proto_type)f->type);

	if (f->repeated && v->wire == PB_BYTES && want != PB_BYTES)
		return decode_packed(d, m, f, v->bytes, (struct proto_list *)(void *)to);
	if (v->wire != want)
		return malformed(d, m, f);
	if (f->repeated) {
		to = list_add(d, (struct proto_list *)(void *)to, elem_size(f));
		return to ? decode_value(d, f, v, to, depth) : -1;
	}
	if (f->case_offset != PROTO_NO_CASE)
		memcpy(out + f->case_offset, &f->num, sizeof f->num);
	if (f->type != PROTO_MSG)
		return decode_value(d, f, v, to, depth);

	void *sub;
	memcpy(&sub, to, sizeof sub);
	if (!sub) {
		sub = arena_try(d->a, d->ctx, f->msg->size, d->e);
		if (!sub)
			return -1;
		memset(sub, 0, f->msg->size);
		memcpy(to, &sub, sizeof sub);
	}
	return decode_value(d, f, v, sub, depth);
}

static const struct proto_field *field_find(const struct proto_msg *m, uint32_t num,
					    size_t *hint)
{
	for (size_t k = 0; k < m->n; k++) {
		size_t i = *hint + k < m->n ? *hint + k : *hint + k - m->n;
		if (m->fields[i].num == num) {
			*hint = i;
			return &m->fields[i];
		}
	}
	return NULL;
}

static int decode_into(struct decoder *d, const struct proto_msg *m, struct str in,
		       char *out, int depth)
{
	struct rd r = rd_of(in);
	struct pb_field v;
	size_t hint = 0;
	int rc;

	if (depth > LIMIT_PROTO_DEPTH)
		return err_set(d->ctx, d->e, E_LIMIT,
			       "protobuf message %s.%s: nested deeper than %d",
			       m->package, m->name, LIMIT_PROTO_DEPTH);
	while ((rc = pb_next(&r, &v)) == 1) {
		const struct proto_field *f = field_find(m, v.num, &hint);
		if (f && decode_field(d, m, f, &v, out, depth) < 0)
			return -1;
	}
	return rc < 0 ? malformed(d, m, NULL) : 0;
}

int proto_decode(struct ctx *ctx, struct arena *a, const struct proto_msg *m,
		 struct str in, void *out, struct err *e)
{
	struct decoder d = { ctx, a, e };

	memset(out, 0, m->size);
	return decode_into(&d, m, in, out, 0);
}
