/* lib/wire/pb.c: protobuf fields. */
#include "support/tst.h"

#include "wire/pb.h"

Test(pb, reads_each_wire_type)
{
	struct buf b;
	struct pb_field f;

	buf_init(&b, 1000);
	pb_put_varint(&b, 1, 300);
	pb_put_double(&b, 2, 1.5);
	pb_put_bytes(&b, 3, STR("abc"));
	pb_put_tag(&b, 536870911, PB_FIXED32);
	buf_add(&b, "\x01\x02\x03\x04", 4);
	cr_assert_eq(pb_size_varint(1, 300), 3);
	cr_assert_eq(pb_size_bytes(3, 3), 5);
	struct rd r = rd_of(buf_view(&b));
	cr_assert_eq(pb_next(&r, &f), 1);
	cr_assert(f.num == 1 && f.wire == PB_VARINT && f.u == 300);
	cr_assert_eq(pb_next(&r, &f), 1);
	cr_assert(f.num == 2 && f.wire == PB_FIXED64 && pb_double(&f) == 1.5);
	cr_assert_eq(pb_next(&r, &f), 1);
	cr_assert(f.num == 3 && f.wire == PB_BYTES && str_eqz(f.bytes, "abc"));
	cr_assert_eq(pb_next(&r, &f), 1);
	cr_assert(f.num == 536870911 && f.wire == PB_FIXED32 && f.u == 0x04030201);
	cr_assert_eq(pb_next(&r, &f), 0);
	buf_deinit(&b);
}

Test(pb, refuses_malformed_fields)
{
	static const struct {
		char p[12];
		size_t n;
	} bad[] = {
		{ "\x00\x00", 2 },     /* field number 0 */
		{ "\x0b", 1 },	       /* group */
		{ "\x0c", 1 },	       /* end of group */
		{ "\x0e", 1 },	       /* wire type 6 */
		{ "\x0f", 1 },	       /* wire type 7 */
		{ "\x08", 1 },	       /* no value */
		{ "\x09\x01\x02", 3 }, /* short fixed64 */
		{ "\x0d\x01\x02", 3 }, /* short fixed32 */
		{ "\x0a\x05"
		  "abcd",
		  6 },				  /* short bytes */
		{ "\x80\x80\x80\x80\x10\x00", 6 } /* field number 2^29 */
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rd r = rd_n(bad[i].p, bad[i].n);
		struct pb_field f;
		cr_expect_eq(pb_next(&r, &f), -1, "row %zu", i);
		cr_expect(r.bad, "row %zu", i);
		cr_expect_eq(pb_next(&r, &f), -1, "row %zu", i);
	}
}

Test(pb, keeps_an_empty_bytes_field)
{
	struct rd r = rd_of(STR("\x0a\x00"));
	struct pb_field f;

	cr_assert_eq(pb_next(&r, &f), 1);
	cr_assert(f.bytes.n == 0 && f.wire == PB_BYTES);
	cr_assert_eq(pb_next(&r, &f), 0);
}

Test(pb, zigzag_is_undone)
{
	cr_assert_eq(pb_zigzag(0), 0);
	cr_assert_eq(pb_zigzag(1), -1);
	cr_assert_eq(pb_zigzag(4294967294u), 2147483647);
	cr_assert_eq(pb_zigzag(UINT64_MAX), INT64_MIN);
}
