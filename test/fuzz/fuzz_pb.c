/*
 * fuzz_pb.c - any bytes as protobuf fields, bytes fields tried as messages in turn.
 * Fields that were read and are written again must read the same.
 */
#include "wire/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void put(struct buf *b, const struct pb_field *f)
{
	size_t before = b->n;

	switch (f->wire) {
	case PB_VARINT:
		pb_put_varint(b, f->num, f->u);
		BUG_ON(b->n - before != pb_size_varint(f->num, f->u));
		break;
	case PB_FIXED64: pb_put_double(b, f->num, pb_double(f)); break;
	case PB_BYTES:
		pb_put_bytes(b, f->num, f->bytes);
		BUG_ON(b->n - before != pb_size_bytes(f->num, f->bytes.n));
		break;
	case PB_FIXED32:
		pb_put_tag(b, f->num, PB_FIXED32);
		buf_add(b, &f->u, 4);
		break;
	}
}

static void message(struct str s, unsigned depth)
{
	struct rd r = rd_of(s);
	struct pb_field f, g;
	struct buf b;
	int rc;

	buf_init(&b, 2 * s.n + 64);
	while ((rc = pb_next(&r, &f)) > 0) {
		buf_reset(&b);
		put(&b, &f);
		struct rd again = rd_of(buf_view(&b));
		BUG_ON(pb_next(&again, &g) != 1 || g.num != f.num || g.wire != f.wire ||
		       g.u != f.u || !str_eq(g.bytes, f.bytes) || rd_left(&again));
		if (f.wire == PB_BYTES && depth < 8)
			message(f.bytes, depth + 1);
	}
	BUG_ON((rc < 0) != r.bad);
	buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n <= 64u << 10)
		message(str_n(p, n), 0);
	return 0;
}
