/* lib/wire/{snappy,gzip,base64,crypto}.c */
#include "support/tst.h"

#include <stdlib.h>

#include "base/err.h"
#include "wire/codec.h"

static struct str repeat(char *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		t[i] = (char)("abcdefgh"[i % 8] + (i / 1000) % 3);
	return str_n(t, n);
}

Test(snappy, gives_back_what_it_took)
{
	static const size_t sizes[] = { 0, 1, 59, 60, 61, 1000, 70000, 300000 };
	char *t = malloc(300000);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf c, d;
		struct err e = ERR_INIT;
		struct str s = repeat(t, sizes[i]);
		buf_init(&c, 1 << 20);
		buf_init(&d, 1 << 20);
		cr_assert_eq(snappy_block_encode(s, &c, &e), 0);
		cr_assert_eq(snappy_block_decode(buf_view(&c), sizes[i], &d, &e), 0);
		cr_assert(str_eq(buf_view(&d), s));
		if (sizes[i]) {
			d.n = 0;
			cr_assert_eq(snappy_block_decode(buf_view(&c), sizes[i] - 1, &d,
							 &e),
				     -1);
			cr_assert_eq(e.code, E_LIMIT);
			e = ERR_INIT;
			cr_assert_eq(snappy_block_decode(str_n(c.p, c.n - 1), sizes[i],
							 &d, &e),
				     -1);
			cr_assert_eq(e.code, E_CORRUPT);
			cr_assert_eq(d.n, 0);
		}
		buf_deinit(&c);
		buf_deinit(&d);
	}
	free(t);
}

Test(snappy, refuses_bad_input)
{
	static const struct {
		char p[12];
		size_t n;
	} rows[] = { { "", 0 },
		     { "\xff\xff\xff\xff\xff", 5 },
		     { "\xff\xff\xff\xff\x0f", 5 },
		     { "\x80", 1 },
		     { "\x05\x00", 2 },
		     { "\x00\x00", 2 },
		     { "\x04\x09\x05", 3 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf d;
		struct err e = ERR_INIT;
		buf_init(&d, 100);
		cr_expect_eq(snappy_block_decode(str_n(rows[i].p, rows[i].n), SIZE_MAX,
						 &d, &e),
			     -1, "row %zu", i);
		cr_expect_eq(e.code, E_CORRUPT, "row %zu", i);
		buf_deinit(&d);
	}
}

Test(snappy, streams_give_back_what_they_took)
{
	static const size_t sizes[] = { 0, 1, 1000, 65535, 65536, 65537, 300000 };
	char *t = malloc(300000);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf c, d;
		struct err e = ERR_INIT;
		struct str s = repeat(t, sizes[i]);
		size_t n;
		buf_init(&c, 1 << 20);
		buf_init(&d, 1 << 20);
		cr_assert_eq(snappy_stream_encode(s, &c, &e), 0);
		cr_assert_eq(c.n == 0, sizes[i] == 0);
		cr_assert_eq(snappy_stream_size(buf_view(&c), sizes[i], &n, &e), 0);
		cr_assert_eq(n, sizes[i]);
		/* a stream behind a stream, padding and chunks of the future between them */
		if (c.n)
			buf_add(&c, "\xfe\3\0\0abc\x80\1\0\0z", 12);
		cr_assert_eq(snappy_stream_encode(STR("tail"), &c, &e), 0);
		cr_assert_eq(snappy_stream_decode(buf_view(&c), sizes[i] + 4, &d, &e), 0);
		cr_assert_eq(d.n, sizes[i] + 4);
		cr_assert(memcmp(d.p, t, sizes[i]) == 0 &&
			  memcmp(d.p + sizes[i], "tail", 4) == 0);
		cr_assert_eq(snappy_stream_size(buf_view(&c), sizes[i] + 3, &n, &e), -1);
		cr_assert_eq(e.code, E_LIMIT);
		d.n = 0;
		e = ERR_INIT;
		cr_assert_eq(snappy_stream_decode(buf_view(&c), sizes[i] + 3, &d, &e),
			     -1);
		cr_assert_eq(e.code, E_LIMIT);
		buf_deinit(&c);
		buf_deinit(&d);
	}
	free(t);
}

/* The example of a stream as other encoders write it: identifier, one plain chunk. */
Test(snappy, stream_of_others)
{
	static const char text[] = "\xff\6\0\0sNaPpY"
				   "\1\x0d\0\0\x25\x9e\x07\x2c"
				   "123456789";
	struct buf d;
	struct err e = ERR_INIT;

	buf_init(&d, 100);
	/* crc32c of "123456789" is e3069283; masked: rotated right by 15, plus a282ead8 */
	uint32_t masked = (0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u;
	char in[sizeof(text)];
	memcpy(in, text, sizeof(text));
	for (unsigned i = 0; i < 4; i++)
		in[14 + i] = (char)(masked >> 8 * i);
	cr_assert_eq(snappy_stream_decode(str_n(in, sizeof(text) - 1), 100, &d, &e), 0,
		     "%s", err_text(&e));
	cr_assert(str_eq(buf_view(&d), STR("123456789")));
	in[18] ^= 1;
	cr_assert_eq(snappy_stream_decode(str_n(in, sizeof(text) - 1), 100, &d, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	buf_deinit(&d);
}

Test(snappy, streams_refuse_bad_input)
{
#define START "\xff\6\0\0sNaPpY"
	static const struct {
		const char *p;
		size_t n;
	} rows[] = { { "x", 1 },
		     { "\1\4\0\0abcd", 8 },		       /* no identifier */
		     { "\xff\6\0\0sNaPpX", 10 },	       /* another's */
		     { "\xff\5\0\0sNaPp", 9 },		       /* too short a one */
		     { START "\2\0\0\0", 14 },		       /* may not be skipped */
		     { START "\1\3\0\0abc", 17 },	       /* no room for a CRC */
		     { START "\1\xff\xff\xff", 14 },	       /* cut short */
		     { START "\0\4\0\0abcd", 18 },	       /* no block */
		     { START "\0\7\0\0abcd\x81\x80\4", 21 } }; /* announces 65537 */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf d;
		struct err e = ERR_INIT;
		buf_init(&d, 1 << 20);
		cr_expect_eq(snappy_stream_decode(str_n(rows[i].p, rows[i].n), 1 << 20,
						  &d, &e),
			     -1, "row %zu", i);
		cr_expect_eq(e.code, E_CORRUPT, "row %zu", i);
		buf_deinit(&d);
	}
}

Test(snappy, a_full_output_is_an_error)
{
	struct buf d;
	struct err e = ERR_INIT;

	buf_init(&d, 4);
	cr_assert_eq(snappy_block_encode(STR("hello"), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	buf_deinit(&d);
}

static void deflate_all(struct str s, bool zlib, size_t step, struct buf *out)
{
	struct gzip_enc *g = gzip_enc_new(zlib);
	struct err e = ERR_INIT;

	while (s.n > step) {
		cr_assert_eq(gzip_enc_feed(g, str_n(s.p, step), false, out, &e), 0);
		s = str_from(s, step);
	}
	cr_assert_eq(gzip_enc_feed(g, s, true, out, &e), 0);
	gzip_enc_free(g);
}

Test(gzip, gives_back_what_it_took)
{
	static const size_t sizes[] = { 0, 1, 1000, 100000, 3000000 };
	char *t = malloc(3000000);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf c, d;
		struct err e = ERR_INIT;
		struct str s = repeat(t, sizes[i]);
		buf_init(&c, 1 << 24);
		buf_init(&d, 1 << 24);
		deflate_all(s, false, 4321, &c);
		cr_assert_eq(gzip_decode(buf_view(&c), sizes[i], &d, &e), 0, "%s",
			     err_text(&e));
		cr_assert(str_eq(buf_view(&d), s));
		/* two members */
		size_t n = c.n;
		deflate_all(s, false, 1 << 20, &c);
		buf_reset(&d);
		cr_assert_eq(gzip_decode(buf_view(&c), 2 * sizes[i], &d, &e), 0);
		cr_assert_eq(d.n, 2 * sizes[i]);
		/* one byte too large */
		if (sizes[i]) {
			buf_reset(&d);
			cr_assert_eq(gzip_decode(buf_view(&c), 2 * sizes[i] - 1, &d, &e),
				     -1);
			cr_assert_eq(e.code, E_LIMIT);
			cr_assert_leq(d.n, 2 * sizes[i] - 1);
		}
		/* cut and followed by junk */
		e = ERR_INIT;
		buf_reset(&d);
		cr_assert_eq(gzip_decode(str_n(c.p, n - 1), 1 << 24, &d, &e), -1);
		cr_assert_eq(e.code, E_CORRUPT);
		e = ERR_INIT;
		buf_reset(&d);
		c.p[n] = 'x';
		cr_assert_eq(gzip_decode(buf_view(&c), 1 << 24, &d, &e), -1);
		cr_assert_eq(e.code, E_CORRUPT);
		buf_deinit(&c);
		buf_deinit(&d);
	}
	free(t);
}

Test(gzip, checks_the_sum)
{
	struct buf c, d;
	struct err e = ERR_INIT;

	buf_init(&c, 1000);
	buf_init(&d, 1000);
	deflate_all(STR("hello"), false, 100, &c);
	c.p[c.n - 8] ^= 1;
	cr_assert_eq(gzip_decode(buf_view(&c), 1000, &d, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert_str_eq(err_text(&e), "gzip: incorrect data check");
	cr_assert_eq(gzip_decode(STR(""), 10, &d, &e), -1);
	buf_deinit(&c);
	buf_deinit(&d);
}

Test(gzip, a_small_output_buffer_is_a_limit)
{
	struct buf c, d;
	struct err e = ERR_INIT;

	buf_init(&c, 1000);
	deflate_all(STR("hello"), false, 100, &c);
	buf_init(&d, 5);
	cr_assert_eq(gzip_decode(buf_view(&c), 1000, &d, &e), 0);
	buf_deinit(&d);
	buf_init(&d, 4);
	cr_assert_eq(gzip_decode(buf_view(&c), 1000, &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	buf_deinit(&d);
	buf_deinit(&c);
}

Test(gzip, zlib_format_has_its_header)
{
	struct buf c;

	buf_init(&c, 1000);
	deflate_all(STR("hello"), true, 2, &c);
	cr_assert(c.n > 6 && c.p[0] == 0x78 && (c.p[0] << 8 | c.p[1]) % 31 == 0);
	buf_deinit(&c);
}

Test(base64, encodes_rfc_vectors)
{
	static const char rows[][2][12] = { { "", "" },
					    { "f", "Zg==" },
					    { "fo", "Zm8=" },
					    { "foo", "Zm9v" },
					    { "foob", "Zm9vYg==" },
					    { "fooba", "Zm9vYmE=" },
					    { "foobar", "Zm9vYmFy" } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b, d;
		struct err e = ERR_INIT;
		buf_init(&b, 100);
		buf_init(&d, 100);
		base64_encode(str_of(rows[i][0]), false, true, &b);
		cr_expect(str_eqz(buf_view(&b), rows[i][1]));
		cr_expect_eq(base64_decode(buf_view(&b), false, &d, &e), 0);
		cr_expect(str_eqz(buf_view(&d), rows[i][0]));
		while (b.n && b.p[b.n - 1] == '=')
			b.n--;
		buf_reset(&d);
		cr_expect_eq(base64_decode(buf_view(&b), false, &d, &e), 0);
		cr_expect(str_eqz(buf_view(&d), rows[i][0]));
		buf_deinit(&b);
		buf_deinit(&d);
	}
}

Test(base64, has_two_alphabets)
{
	struct buf b;
	struct err e = ERR_INIT;

	buf_init(&b, 100);
	base64_encode(STR("\xfb\xff\xfe"), true, false, &b);
	base64_encode(STR("\xfb\xff\xfe"
			  "a"),
		      false, false, &b);
	cr_assert(str_eqz(buf_view(&b), "-__-+//+YQ"));
	buf_reset(&b);
	cr_assert_eq(base64_decode(STR("-__-"), true, &b, &e), 0);
	cr_assert_eq(base64_decode(STR("-__-"), false, &b, &e), -1);
	cr_assert_str_eq(err_text(&e), "base64: invalid byte 0x2d at 0");
	buf_deinit(&b);
}

Test(base64, refuses_bad_text)
{
	static const char bad[][12] = { "A",	"AA=", "A===",	"AAAA=", "AA==A",
					"AA=A", "=",   "AAA==", "A A=",	 "AAAAA" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf d;
		struct err e = ERR_INIT;
		buf_init(&d, 100);
		cr_expect_eq(base64_decode(str_of(bad[i]), false, &d, &e), -1, "%s",
			     bad[i]);
		buf_deinit(&d);
	}
}

Test(base64, steps_over_line_ends)
{
	struct buf d;
	struct err e = ERR_INIT;

	buf_init(&d, 100);
	cr_assert_eq(base64_decode(STR("Zm9v\r\nYg=\n=\n"), false, &d, &e), 0);
	cr_assert(str_eqz(buf_view(&d), "foob"));
	buf_deinit(&d);
}

Test(sha256, gives_known_digests)
{
	uint8_t out[32];
	char hex[65];
	struct sha256 *h = sha256_new();

	sha256_feed(h, STR("a"));
	sha256_feed(h, STR_NULL);
	sha256_feed(h, STR("bc"));
	sha256_done(h, out);
	hex_encode(out, 32, hex);
	cr_assert_str_eq(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	/* RFC 4231, test case 2 */
	sha256_hmac(STR("Jefe"), STR("what do ya want for nothing?"), out);
	hex_encode(out, 32, hex);
	cr_assert_str_eq(
		hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	sha256_hmac(STR_NULL, STR_NULL, out);
	hex_encode(out, 32, hex);
	cr_assert_str_eq(
		hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
