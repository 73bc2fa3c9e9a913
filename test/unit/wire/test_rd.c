/* lib/wire/rd.c, wr.c: the cursor and what is written for it. */
#include <stdlib.h>

#include "support/tst.h"

#include "wire/rd.h"
#include "wire/wr.h"

Test(rd, refuses_length_past_end)
{
	struct rd r = rd_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
				"a"));
	rd_bytes(&r, rd_uvarint(&r)); /* 2^64-1 bytes asked */
	cr_assert(r.bad);
}

Test(rd, refuses_eleventh_byte_and_large_tenth)
{
	struct rd r = rd_of(STR("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
	cr_assert_eq(rd_uvarint(&r), 0);
	cr_assert(r.bad);
	r = rd_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
	rd_uvarint(&r);
	cr_assert(r.bad);
	cr_assert_eq(rd_left(&r), 0);
}

Test(rd, refuses_cut_varint_and_stays_bad)
{
	struct rd r = rd_of(STR("\x80"));
	rd_uvarint(&r);
	cr_assert(r.bad);
	cr_assert_eq(rd_be32(&r), 0);
	cr_assert_eq(rd_u8(&r), 0);
	cr_assert_null(rd_bytes(&r, 1).p);
	cr_assert(r.bad);
}

Test(rd, accepts_padded_varint)
{
	struct rd r = rd_of(STR("\x81\x80\x00"
				"z"));
	cr_assert_eq(rd_uvarint(&r), 1);
	cr_assert_eq(rd_u8(&r), 'z');
	cr_assert(!r.bad);
}

/* The plain loop that the shortcut stands for. */
static bool plain_uvarint(const uint8_t *p, size_t n, uint64_t *v, size_t *used)
{
	*v = 0;
	for (size_t i = 0; i < n && i < 10; i++) {
		if (i == 9 && p[i] > 1)
			return false;
		*v |= (uint64_t)(p[i] & 0x7f) << 7 * i;
		*used = i + 1;
		if (p[i] < 0x80)
			return true;
	}
	return false;
}

Test(rd, varints_of_every_length_with_any_number_of_bytes_behind_them)
{
	uint64_t x = 88172645463325252ull, want;
	for (int round = 0; round < 200000; round++) {
		uint8_t p[24];
		size_t len = 1 + (size_t)round % 12, n = (size_t)round / 12 % 24,
		       used = 0;
		for (size_t i = 0; i < sizeof(p); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			p[i] = (uint8_t)(x >> 32);
			p[i] = i + 1 < len ? p[i] | 0x80 : p[i];
		}
		p[len - 1] &= 0x7f;
		bool good = plain_uvarint(p, n, &want, &used);
		uint8_t *exact = malloc(n ? n : 1); /* reading past it is found by ASan */
		memcpy(exact, p, n);
		struct rd r = rd_n(exact, n);
		cr_assert_eq(rd_uvarint(&r), good ? want : 0);
		cr_assert_eq(r.bad, !good);
		cr_assert_eq(rd_left(&r), good ? n - used : 0);
		r = rd_n(exact, n);
		cr_assert_eq(rd_uvarint_short(&r), good ? want : 0);
		cr_assert_eq(r.bad, !good);
		cr_assert_eq(rd_left(&r), good ? n - used : 0);
		r = rd_n(exact, n);
		cr_assert_eq(rd_uvarint_inline(&r), good ? want : 0);
		cr_assert_eq(r.bad, !good);
		cr_assert_eq(rd_left(&r), good ? n - used : 0);
		free(exact);
	}
}

/* Random bytes, of which more or fewer go on. */
Test(rd, three_varints_are_those_that_are_read_one_by_one)
{
	uint64_t x = 88172645463325252ull;
	for (int round = 0; round < 200000; round++) {
		uint8_t p[32];
		size_t n = (size_t)round % 33;
		for (size_t i = 0; i < sizeof(p); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			p[i] = (uint8_t)(x >> 32);
			if ((int)(x >> 40 & 15) < round / 33 % 14)
				p[i] &= 0x7f;
		}
		uint8_t *exact = malloc(n ? n : 1);
		memcpy(exact, p, n);
		struct rd r = rd_n(exact, n), one = r;
		uint64_t got[3];
		rd_uvarint3(&r, got);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(got[i], rd_uvarint(&one));
		cr_assert_eq(r.bad, one.bad);
		cr_assert_eq(rd_left(&r), rd_left(&one));
		free(exact);
	}
}

Test(wr, lengths_are_those_of_what_is_written)
{
	for (unsigned bits = 0; bits < 64; bits++)
		for (int d = -1; d <= 1; d++) {
			uint8_t p[10];
			uint64_t v = ((uint64_t)1 << bits) + (uint64_t)d;
			cr_assert_eq(wr_uvarint_len(v), wr_uvarint_to(p, v), "%llx",
				     (unsigned long long)v);
		}
}

Test(rd, reads_what_wr_wrote)
{
	static const uint64_t v[] = {
		0,	   1,	  127,	    128,	300,
		16383,	   16384, 1u << 31, UINT64_MAX, (uint64_t)INT64_MAX,
		1ull << 63
	};
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		size_t before = b.n;
		wr_uvarint(&b, v[i]);
		cr_assert_eq(b.n - before, wr_uvarint_len(v[i]));
		wr_varint(&b, (int64_t)v[i]);
		wr_be16(&b, (uint16_t)v[i]);
		wr_be32(&b, (uint32_t)v[i]);
		wr_be64(&b, v[i]);
		wr_le32(&b, (uint32_t)v[i]);
		wr_le64(&b, v[i]);
	}
	struct rd r = rd_of(buf_view(&b));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		cr_assert_eq(rd_uvarint(&r), v[i]);
		cr_assert_eq(rd_varint(&r), (int64_t)v[i]);
		cr_assert_eq(rd_be16(&r), (uint16_t)v[i]);
		cr_assert_eq(rd_be32(&r), (uint32_t)v[i]);
		cr_assert_eq(rd_be64(&r), v[i]);
		cr_assert_eq(rd_le32(&r), (uint32_t)v[i]);
		cr_assert_eq(rd_le64(&r), v[i]);
	}
	cr_assert(!r.bad);
	cr_assert_eq(rd_left(&r), 0);
	buf_deinit(&b);
}

Test(wr, writes_big_endian_and_zigzag_bytes)
{
	struct buf b;

	buf_init(&b, 100);
	wr_be32(&b, 0x01020304);
	wr_varint(&b, -1);
	wr_varint(&b, 1);
	wr_varint(&b, -65);
	cr_assert_eq(b.n, 8);
	cr_assert_arr_eq(b.p, "\x01\x02\x03\x04\x01\x02\x81\x01", 8);
	buf_deinit(&b);
}

Test(wr, keeps_no_half_number_in_a_full_buf)
{
	struct buf b;

	buf_init(&b, 3);
	wr_be32(&b, 1);
	cr_assert_eq(b.n, 0);
	cr_assert(b.failed);
	buf_deinit(&b);
}
