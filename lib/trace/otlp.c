/*
 * trace/otlp.c - spans as ExportTraceServiceRequest, field by field.
 *
 *   request { 1 resource_spans { 1 resource { 1 attributes* }
 *                                2 scope_spans { 1 scope { 1 name 2 version } 2 spans* } } }
 *   span { 1 trace_id 2 span_id 4 parent_span_id 5 name 6 kind 7 start 8 end (fixed64)
 *          9 attributes* 15 status { 2 message 3 code } }
 *   attribute { 1 key 2 value { 1 string | 3 int } }
 *
 * A nested message is made in a buffer of its own first: its length stands before it.
 */
#include "trace/trace_int.h"

#include "wire/pb.h"
#include "wire/wr.h"

#define STATUS_ERROR 2u

static void put_sub(struct buf *out, uint32_t num, struct buf *sub)
{
	pb_put_bytes(out, num, buf_view(sub));
	out->failed |= sub->failed;
	buf_reset(sub);
}

static void put_fixed64(struct buf *b, uint32_t num, uint64_t v)
{
	pb_put_tag(b, num, PB_FIXED64);
	wr_le64(b, v);
}

static void put_id(struct buf *b, uint32_t num, const uint64_t *v, size_t n)
{
	pb_put_tag(b, num, PB_BYTES);
	wr_uvarint(b, n * 8);
	for (size_t i = 0; i < n; i++)
		wr_be64(b, v[i]);
}

static void put_attr(struct buf *out, uint32_t num, struct str key, bool is_int,
		     int64_t i, struct str text)
{
	struct buf kv, value;
	buf_init(&kv, 1 << 16);
	buf_init(&value, 1 << 16);
	if (is_int)
		pb_put_varint(&value, 3, (uint64_t)i);
	else
		pb_put_bytes(&value, 1, text);
	pb_put_bytes(&kv, 1, key);
	put_sub(&kv, 2, &value);
	put_sub(out, num, &kv);
	buf_deinit(&kv);
	buf_deinit(&value);
}

static void put_span(struct buf *out, const struct trace_item *s)
{
	struct buf b, status;
	const uint64_t trace[2] = { s->id_hi, s->id_lo };
	buf_init(&b, 1 << 20);
	put_id(&b, 1, trace, 2);
	put_id(&b, 2, &s->id, 1);
	if (s->parent)
		put_id(&b, 4, &s->parent, 1);
	pb_put_bytes(&b, 5, str_of(s->name));
	pb_put_varint(&b, 6, s->kind);
	put_fixed64(&b, 7, (uint64_t)s->start_ns);
	put_fixed64(&b, 8, (uint64_t)s->end_ns);
	for (uint8_t i = 0; i < s->n_attrs; i++)
		put_attr(&b, 9, str_of(s->attr[i].key), s->attr[i].is_int, s->attr[i].i,
			 str_of(s->attr[i].text));
	if (s->failed) {
		buf_init(&status, 1 << 16);
		pb_put_bytes(&status, 2, str_of(s->status));
		pb_put_varint(&status, 3, STATUS_ERROR);
		put_sub(&b, 15, &status);
		buf_deinit(&status);
	}
	put_sub(out, 2, &b);
	buf_deinit(&b);
}

void trace_encode(const struct trace_conf *c, const char *version,
		  const struct trace_item *v, size_t n, struct buf *out)
{
	struct buf resource, scope, spans, all;
	buf_init(&resource, 1 << 20);
	buf_init(&scope, 1 << 12);
	buf_init(&spans, 64 << 20);
	buf_init(&all, 64 << 20);
	put_attr(&resource, 1, STR("service.name"), false, 0, c->service_name);
	for (size_t i = 0; i < c->n_resource; i++)
		put_attr(&resource, 1, c->resource[i].k, false, 0, c->resource[i].v);
	pb_put_bytes(&scope, 1, STR("thanosc"));
	pb_put_bytes(&scope, 2, str_of(version));
	put_sub(&spans, 1, &scope);
	for (size_t i = 0; i < n; i++)
		put_span(&spans, &v[i]);
	put_sub(&all, 1, &resource);
	put_sub(&all, 2, &spans);
	put_sub(out, 1, &all);
	buf_deinit(&resource);
	buf_deinit(&scope);
	buf_deinit(&spans);
	buf_deinit(&all);
}
