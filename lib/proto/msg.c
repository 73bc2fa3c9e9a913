/*
 * proto/msg.c - the codec that runs over field tables.
 */
#include "proto/msg.h"

#include "base/limits.h"
#include "wire/pb.h"
#include "wire/rd.h"
#include "wire/wr.h"

static const struct {
	uint8_t wire, size;
	const char *name;
} types[] = {
	[PF_INT32] = { PB_VARINT, 4, "int32" },
	[PF_INT64] = { PB_VARINT, 8, "int64" },
	[PF_UINT32] = { PB_VARINT, 4, "uint32" },
	[PF_UINT64] = { PB_VARINT, 8, "uint64" },
	[PF_SINT32] = { PB_VARINT, 4, "sint32" },
	[PF_SINT64] = { PB_VARINT, 8, "sint64" },
	[PF_BOOL] = { PB_VARINT, 1, "bool" },
	[PF_ENUM] = { PB_VARINT, 4, "int32" },
	[PF_DOUBLE] = { PB_FIXED64, 8, "double" },
	[PF_STRING] = { PB_BYTES, sizeof(struct str), "string" },
	[PF_BYTES] = { PB_BYTES, sizeof(struct str), "bytes" },
	[PF_MSG] = { PB_BYTES, 0, "" },
};

/* ---------------------------------------------------------------- decoding */

struct decoder {
	struct ctx *ctx;
	struct arena *a;
	struct err *e;
};

static int decode(struct decoder *d, const struct pf_msg *m, struct str in, char *out,
		  unsigned depth);

static void store_scalar(enum pf_type t, uint64_t u, void *to)
{
	int32_t i32;
	switch (t) {
	case PF_INT32:
	case PF_ENUM:
		i32 = (int32_t)u;
		memcpy(to, &i32, 4);
		return;
	case PF_UINT32: {
		uint32_t v = (uint32_t)u;
		memcpy(to, &v, 4);
		return;
	}
	case PF_SINT32:
		i32 = (int32_t)pb_zigzag(u & 0xffffffffu);
		memcpy(to, &i32, 4);
		return;
	case PF_SINT64: {
		int64_t v = pb_zigzag(u);
		memcpy(to, &v, 8);
		return;
	}
	case PF_BOOL: *(bool *)to = u != 0; return;
	default: memcpy(to, &u, 8); return;
	}
}

static size_t elem_size(const struct pf_field *f)
{
	return f->type == PF_MSG ? f->msg->size : types[f->type].size;
}

/* A list grows by doubling: the capacity is the next power of two, so it is not stored. */
static void *list_slot(struct decoder *d, const struct pf_field *f, struct pf_list *l)
{
	size_t size = elem_size(f);
	if ((l->n & (l->n - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
		size_t cap = l->n ? l->n * 2 : 1;
		void *v = arena_try(d->a, d->ctx, cap * size, d->e);
		if (!v)
			return NULL;
		if (l->n)
			memcpy(v, l->v, l->n * size);
		l->v = v;
	}
	return (char *)l->v + l->n++ * size;
}

static int bad_field(struct decoder *d, const struct pf_msg *m, const struct pf_field *f)
{
	return err_set(d->ctx, d->e, E_CORRUPT, "message %s: field %s: wrong wire type",
		       m->name, f->name);
}

static int decode_packed(struct decoder *d, const struct pf_field *f, struct str in,
			 struct pf_list *l)
{
	struct rd r = rd_of(in);
	while (rd_left(&r) && !r.bad) {
		uint64_t u =
			types[f->type].wire == PB_FIXED64 ? rd_le64(&r) : rd_uvarint(&r);
		void *to = r.bad ? NULL : list_slot(d, f, l);
		if (!to)
			return r.bad ? err_set(d->ctx, d->e, E_CORRUPT,
					       "field %s: cut short", f->name)
				     : -1;
		store_scalar(f->type, u, to);
	}
	return 0;
}

static int decode_msg_field(struct decoder *d, const struct pf_field *f, struct str in,
			    void *at, unsigned depth)
{
	void *to;
	if (f->label == PF_REP) {
		to = list_slot(d, f, at);
		if (!to)
			return -1;
		memset(to, 0, f->msg->size);
	} else {
		memcpy(&to, at, sizeof(to));
		if (!to) { /* given twice: fields merge, as proto3 says */
			to = arena_try(d->a, d->ctx, f->msg->size, d->e);
			if (!to)
				return -1;
			memset(to, 0, f->msg->size);
			memcpy(at, &to, sizeof(to));
		}
	}
	return decode(d, f->msg, in, to, depth + 1);
}

static int decode_field(struct decoder *d, const struct pf_msg *m,
			const struct pf_field *f, const struct pb_field *in, char *out,
			unsigned depth)
{
	char *at = out + f->off;
	uint8_t wire = types[f->type].wire;
	if (in->wire == PB_BYTES && wire != PB_BYTES && f->label == PF_REP)
		return decode_packed(d, f, in->bytes, (struct pf_list *)(void *)at);
	if (in->wire != wire)
		return bad_field(d, m, f);
	if (f->type == PF_MSG)
		return decode_msg_field(d, f, in->bytes, at, depth);
	if (f->label == PF_REP) {
		at = list_slot(d, f, (struct pf_list *)(void *)at);
		if (!at)
			return -1;
	}
	if (wire == PB_BYTES) {
		struct str s = in->bytes.p ? in->bytes : STR("");
		memcpy(at, &s, sizeof(s));
	} else {
		store_scalar(f->type, in->u, at);
		if (f->which)
			*(uint8_t *)(out + f->which) = (uint8_t)f->num;
	}
	return 0;
}

static int decode(struct decoder *d, const struct pf_msg *m, struct str in, char *out,
		  unsigned depth)
{
	struct rd r = rd_of(in);
	struct pb_field f;
	uint32_t hint = 0; /* fields mostly come in order */
	int rc;
	if (depth > LIMIT_PROTO_DEPTH)
		return err_set(d->ctx, d->e, E_CORRUPT,
			       "message %s: nested deeper than %d", m->name,
			       LIMIT_PROTO_DEPTH);
	while ((rc = pb_next(&r, &f)) > 0) {
		uint32_t i = hint;
		while (i < m->n && m->field[i].num != f.num)
			i++;
		for (uint32_t k = 0; i == m->n && k < hint; k++)
			if (m->field[k].num == f.num) {
				i = k;
				break;
			}
		if (i == m->n)
			continue;
		hint = i;
		if (decode_field(d, m, &m->field[i], &f, out, depth) < 0)
			return -1;
	}
	if (rc < 0)
		return err_set(d->ctx, d->e, E_CORRUPT,
			       "message %s: cut short or malformed", m->name);
	return 0;
}

int pf_decode(struct ctx *ctx, struct arena *a, const struct pf_msg *m, struct str in,
	      void *out, struct err *e)
{
	struct decoder d = { ctx, a, e };
	memset(out, 0, m->size);
	return decode(&d, m, in, out, 0);
}

/* ---------------------------------------------------------------- encoding */

static uint64_t load_scalar(enum pf_type t, const void *at)
{
	int32_t i32;
	int64_t i64;
	uint32_t u32;
	uint64_t u64;
	switch (t) {
	case PF_INT32:
	case PF_ENUM: memcpy(&i32, at, 4); return (uint64_t)(int64_t)i32;
	case PF_UINT32: memcpy(&u32, at, 4); return u32;
	case PF_SINT32:
		memcpy(&i32, at, 4);
		return ((uint32_t)i32 << 1) ^ (uint32_t)(i32 >> 31);
	case PF_SINT64:
		memcpy(&i64, at, 8);
		return ((uint64_t)i64 << 1) ^ (uint64_t)(i64 >> 63);
	case PF_BOOL: return *(const bool *)at;
	default: memcpy(&u64, at, 8); return u64;
	}
}

static uint32_t tag_len(uint32_t num)
{
	return wr_uvarint_len((uint64_t)num << 3);
}

static size_t packed_size(const struct pf_field *f, const struct pf_list *l)
{
	size_t n = 0, size = elem_size(f);
	for (size_t i = 0; i < l->n; i++)
		n += f->type == PF_DOUBLE
			     ? 8
			     : wr_uvarint_len(load_scalar(f->type,
							  (const char *)l->v + i * size));
	return n;
}

/* One value with its tag; *skip: a default that proto3 leaves out. */
static size_t value_size(const struct pf_field *f, const void *at, bool always)
{
	if (f->type == PF_MSG) {
		size_t n = pf_size(f->msg, at);
		return tag_len(f->num) + wr_uvarint_len(n) + n;
	}
	if (types[f->type].wire == PB_BYTES) {
		const struct str *s = at;
		bool absent = f->label == PF_ONEOF ? s->p == NULL : s->n == 0;
		if (absent && !always)
			return 0;
		return tag_len(f->num) + wr_uvarint_len(s->n) + s->n;
	}
	uint64_t u = load_scalar(f->type, at);
	if (u == 0 && !always)
		return 0;
	return tag_len(f->num) + (f->type == PF_DOUBLE ? 8 : wr_uvarint_len(u));
}

/* Is this the member of its oneof that is set? */
static bool is_set(const struct pf_field *f, const char *msg)
{
	return f->which && *(const uint8_t *)(msg + f->which) == f->num;
}

static size_t field_size(const struct pf_field *f, const char *msg)
{
	const char *at = msg + f->off;
	if (f->label == PF_REP) {
		const struct pf_list *l = (const void *)at;
		size_t n = 0, size = elem_size(f);
		if (l->n && types[f->type].wire != PB_BYTES) {
			n = packed_size(f, l);
			return tag_len(f->num) + wr_uvarint_len(n) + n;
		}
		for (size_t i = 0; i < l->n; i++)
			n += value_size(f, (const char *)l->v + i * size, true);
		return n;
	}
	if (f->type == PF_MSG) {
		const void *sub;
		memcpy(&sub, at, sizeof(sub));
		return sub ? value_size(f, sub, true) : 0;
	}
	if (f->which && !is_set(f, msg))
		return 0;
	return value_size(f, at, f->which != 0);
}

size_t pf_size(const struct pf_msg *m, const void *msg)
{
	size_t n = 0;
	for (uint32_t i = 0; i < m->n; i++)
		n += field_size(&m->field[i], msg);
	return n;
}

static void put_value(const struct pf_field *f, const void *at, bool always,
		      struct buf *out)
{
	if (f->type == PF_MSG) {
		pb_put_tag(out, f->num, PB_BYTES);
		wr_uvarint(out, pf_size(f->msg, at));
		pf_encode(f->msg, at, out);
		return;
	}
	if (value_size(f, at, always) == 0)
		return;
	if (types[f->type].wire == PB_BYTES)
		pb_put_bytes(out, f->num, *(const struct str *)at);
	else if (f->type == PF_DOUBLE) {
		double d;
		memcpy(&d, at, 8);
		pb_put_double(out, f->num, d);
	} else
		pb_put_varint(out, f->num, load_scalar(f->type, at));
}

static void put_packed(const struct pf_field *f, const struct pf_list *l, struct buf *out)
{
	size_t size = elem_size(f);
	pb_put_tag(out, f->num, PB_BYTES);
	wr_uvarint(out, packed_size(f, l));
	for (size_t i = 0; i < l->n; i++) {
		uint64_t u = load_scalar(f->type, (const char *)l->v + i * size);
		if (f->type == PF_DOUBLE)
			wr_le64(out, u);
		else
			wr_uvarint(out, u);
	}
}

void pf_encode(const struct pf_msg *m, const void *msg, struct buf *out)
{
	for (uint32_t i = 0; i < m->n; i++) {
		const struct pf_field *f = &m->field[i];
		const char *at = (const char *)msg + f->off;
		if (f->label == PF_REP) {
			const struct pf_list *l = (const void *)at;
			if (l->n && types[f->type].wire != PB_BYTES) {
				put_packed(f, l, out);
				continue;
			}
			for (size_t k = 0; k < l->n; k++)
				put_value(f, (const char *)l->v + k * elem_size(f), true,
					  out);
		} else if (f->type == PF_MSG) {
			const void *sub;
			memcpy(&sub, at, sizeof(sub));
			if (sub)
				put_value(f, sub, true, out);
		} else if (!f->which || is_set(f, msg)) {
			put_value(f, at, f->which != 0, out);
		}
	}
}

/* ---------------------------------------------------------------- .proto text */

static void put_type(const struct pf_field *f, const char *package, struct buf *out)
{
	if (f->type != PF_MSG)
		buf_fmt(out, "%s", types[f->type].name);
	else if (strcmp(f->msg->package, package) == 0)
		buf_fmt(out, "%s", f->msg->name);
	else
		buf_fmt(out, ".%s.%s", f->msg->package, f->msg->name);
}

void pf_proto_text(const char *package, const struct pf_msg *const *msgs, size_t n,
		   struct buf *out)
{
	buf_fmt(out, "syntax = \"proto3\";\npackage %s;\n", package);
	for (size_t i = 0; i < n; i++) {
		buf_fmt(out, "message %s {\n", msgs[i]->name);
		for (uint32_t k = 0; k < msgs[i]->n; k++) {
			const struct pf_field *f = &msgs[i]->field[k];
			buf_fmt(out, "  %s", f->label == PF_REP ? "repeated " : "");
			put_type(f, package, out);
			buf_fmt(out, " %s = %u;\n", f->name, f->num);
		}
		buf_str(out, STR("}\n"));
	}
}
