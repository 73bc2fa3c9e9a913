#include "base/hash.h"

#include "support/tst.h"

Test(crc32c, gives_the_known_check_value)
{
	cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283u);
	cr_assert_eq(hash_crc32c_portable(0, "123456789", 9), 0xe3069283u);
	cr_assert_eq(crc32c(0, "", 0), 0u);
}

static void same(uint32_t crc, const uint8_t *p, size_t n)
{
	uint32_t want = hash_crc32c_portable(crc, p, n);
	cr_assert_eq(crc32c(crc, p, n), want, "length %zu", n);
	cr_assert_eq(hash_crc32c_narrow(crc, p, n), want, "length %zu", n);
}

Test(crc32c, is_the_same_by_every_way_at_every_length)
{
	static uint8_t p[20000];
	uint32_t x = 1;
	for (size_t i = 0; i < sizeof(p); i++) {
		x = x * 1103515245u + 12345;
		p[i] = (uint8_t)(x >> 16);
	}
	for (size_t n = 0; n < 1700; n++)
		same(7, p + n % 9, n);
	for (size_t n = 6000; n < sizeof(p) - 9; n += 997)
		same(0, p + n % 9, n);
}

Test(crc32c, continues_from_a_finished_value)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	uint32_t whole = crc32c(0, text, sizeof(text));
	for (size_t cut = 0; cut <= sizeof(text); cut++)
		cr_assert_eq(crc32c(crc32c(0, text, cut), text + cut, sizeof(text) - cut),
			     whole);
}

Test(crc32c, of_two_parts_joins_to_that_of_the_whole)
{
	static uint8_t p[5000];
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * i >> 3);
	uint32_t whole = crc32c(0, p, sizeof(p));
	for (size_t cut = 0; cut <= sizeof(p); cut += cut < 20 ? 1 : 83) {
		size_t left = sizeof(p) - cut;
		cr_assert_eq(crc32c_join(crc32c(0, p, cut), crc32c(0, p + cut, left),
					 left),
			     whole, "cut at %zu", cut);
	}
}

Test(xx64, gives_the_known_values)
{
	cr_assert_eq(hash_xx64("", 0, 0), 0xef46db3751d8e999ull);
	cr_assert_eq(hash_xx64("a", 1, 0), 0xd24ec4f1a98c6e5bull);
	cr_assert_eq(hash_xx64("abc", 3, 0), 0x44bc2cf5ad770999ull);
}
