/*
 * proto/encode.c - any message from its struct, driven by its table: what Go's generated code writes.
 *
 * Ascending field numbers, scalars equal to their default left out (a member of a oneof is written
 * when its case says so, even then), repeated scalars packed, submessages written when present.
 * Lengths stand before contents, so sizes are computed first; that is done anew at every level,
 * which costs depth times size, and depth is small (the hot message has its own code, series.c).
 */
#include "proto/msg.h"
#include "wire/pb.h"
#include "wire/wr.h"

static uint64_t scalar_at(enum proto_type t, const char *p)
{
	int32_t i32;
	uint32_t u32;
	int64_t i64;
	bool b;

	switch (t) {
	case PROTO_I32:
	case PROTO_ENUM: memcpy(&i32, p, 4); return (uint64_t)(int64_t)i32;
	case PROTO_U32: memcpy(&u32, p, 4); return u32;
	case PROTO_S32:
		memcpy(&i32, p, 4);
		return (uint32_t)i32 << 1 ^ (uint32_t)(i32 >> 31);
	case PROTO_S64:
		memcpy(&i64, p, 8);
		return (uint64_t)i64 << 1 ^ (uint64_t)(i64 >> 63);
	case PROTO_BOOL: memcpy(&b, p, sizeof b); return b;
	default: memcpy(&i64, p, 8); return (uint64_t)i64;
	}
}

static size_t scalar_size(enum proto_type t, const char *p)
{
	return t == PROTO_F64 ? 8 : wr_uvarint_len(scalar_at(t, p));
}

static size_t scalar_elem(enum proto_type t)
{
	if (t == PROTO_BOOL)
		return sizeof(bool);
	return t == PROTO_I32 || t == PROTO_U32 || t == PROTO_S32 || t == PROTO_ENUM ? 4 : 8;
}

static size_t tag_size(uint32_t num)
{
	return wr_uvarint_len((uint64_t)num << 3);
}

static size_t packed_size(const struct proto_field *f, const struct proto_list *l)
{
	enum proto_type t = (enum proto_type)f->type;
	size_t n = 0, step = scalar_elem(t);

	if (t == PROTO_F64)
		return l->n * 8;
	for (size_t i = 0; i < l->n; i++)
		n += scalar_size(t, (const char *)l->v + i * step);
	return n;
}

/* Is the singular field at p to be written? */
static bool present(const struct proto_field *f, const char *in, const char *p)
{
	struct str s;
	void *sub;
	uint32_t cs;

	if (f->case_offset != PROTO_NO_CASE) {
		memcpy(&cs, in + f->case_offset, sizeof cs);
		return cs == f->num;
	}
	switch ((enum proto_type)f->type) {
	case PROTO_STR:
	case PROTO_BYTES: memcpy(&s, p, sizeof s); return s.n != 0;
	case PROTO_RAW: memcpy(&s, p, sizeof s); return s.p != NULL;
	case PROTO_MSG: memcpy(&sub, p, sizeof sub); return sub != NULL;
	default: return scalar_at((enum proto_type)f->type, p) != 0;
	}
}

static size_t value_size(const struct proto_field *f, const char *p)
{
	struct str s;

	if (f->type == PROTO_MSG)
		return pb_size_bytes(f->num, p ? proto_size(f->msg, p) : 0);
	if (f->type < PROTO_STR || f->type == PROTO_ENUM)
		return tag_size(f->num) + scalar_size((enum proto_type)f->type, p);
	memcpy(&s, p, sizeof s);
	return pb_size_bytes(f->num, s.n);
}

static void value_put(const struct proto_field *f, const char *p, struct buf *out)
{
	struct str s;
	uint64_t u;

	if (f->type == PROTO_MSG) {
		pb_put_tag(out, f->num, PB_BYTES);
		wr_uvarint(out, p ? proto_size(f->msg, p) : 0);
		if (p)
			proto_encode(f->msg, p, out);
	} else if (f->type == PROTO_F64) {
		pb_put_tag(out, f->num, PB_FIXED64);
		buf_add(out, p, 8);
	} else if (f->type < PROTO_STR || f->type == PROTO_ENUM) {
		u = scalar_at((enum proto_type)f->type, p);
		pb_put_varint(out, f->num, u);
	} else {
		memcpy(&s, p, sizeof s);
		pb_put_bytes(out, f->num, s);
	}
}

/* What value_size and value_put take: the struct itself for a singular submessage. */
static const char *value_at(const struct proto_field *f, const char *p)
{
	if (f->type != PROTO_MSG)
		return p;
	memcpy(&p, p, sizeof p);
	return p;
}

static bool is_packed(const struct proto_field *f)
{
	return f->type < PROTO_STR || f->type == PROTO_ENUM;
}

static size_t list_elem(const struct proto_field *f)
{
	return f->type == PROTO_MSG ? f->msg->size : sizeof(struct str);
}

size_t proto_size(const struct proto_msg *m, const void *in)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct proto_field *f = &m->fields[i];
		const char *p = (const char *)in + f->offset;
		const struct proto_list *l = (const void *)p;
		if (!f->repeated)
			n += present(f, in, p) ? value_size(f, value_at(f, p)) : 0;
		else if (is_packed(f))
			n += l->n ? pb_size_bytes(f->num, packed_size(f, l)) : 0;
		else
			for (size_t k = 0; k < l->n; k++)
				n += value_size(f, (const char *)l->v + k * list_elem(f));
	}
	return n;
}

static void packed_put(const struct proto_field *f, const struct proto_list *l,
		       struct buf *out)
{
	enum proto_type t = (enum proto_type)f->type;

	pb_put_tag(out, f->num, PB_BYTES);
	wr_uvarint(out, packed_size(f, l));
	for (size_t k = 0; k < l->n; k++) {
		const char *p = (const char *)l->v + k * scalar_elem(t);
		if (t == PROTO_F64)
			buf_add(out, p, 8);
		else
			wr_uvarint(out, scalar_at(t, p));
	}
}

void proto_encode(const struct proto_msg *m, const void *in, struct buf *out)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct proto_field *f = &m->fields[i];
		const char *p = (const char *)in + f->offset;
		const struct proto_list *l = (const void *)p;
		if (!f->repeated) {
			if (present(f, in, p))
				value_put(f, value_at(f, p), out);
		} else if (is_packed(f)) {
			if (l->n)
				packed_put(f, l, out);
		} else {
			for (size_t k = 0; k < l->n; k++)
				value_put(f, (const char *)l->v + k * list_elem(f), out);
		}
	}
}
