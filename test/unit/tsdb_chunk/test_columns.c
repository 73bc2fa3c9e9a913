/*
 * Whole chunks from columns are those of the encoder; chunks whose times go back are read where that is asked for.
 */
#include "support/tst.h"

#include "tsdb/chunk/bits.h"
#include "tsdb/chunk/chunk.h"

#define N 400

static uint64_t seed = 7;

static uint64_t next(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 16;
}

static void fill(int64_t *t, double *v, size_t n, unsigned kind)
{
	int64_t at = (int64_t)(next() % 2 ? next() % 2000000000000 : 0) - 1000;
	for (size_t i = 0; i < n; i++) {
		uint64_t r = next();
		at += kind & 1 ? 15000 : (int64_t)(1 + (r >> 8) % (1ull << r % 40));
		t[i] = at;
		v[i] = kind & 2 ? f64_of_bits(next() << 32 ^ next()) : (double)(r % 9);
		if (kind & 4 && i)
			v[i] = v[i - 1] + (double)(r % 3);
	}
}

Test(columns, bytes_are_those_of_the_encoder)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct buf b;
	static int64_t t[N];
	static double v[N];
	buf_init(&b, 1 << 20);
	for (unsigned round = 0; round < 3000; round++) {
		size_t n = next() % (round % 10 ? 20 : N);
		struct err e = ERR_INIT;
		fill(t, v, n, round % 8);
		chunk_encoder_begin(w, CHUNK_XOR);
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(chunk_encoder_float(w, t[i], v[i], &e), 0);
		struct chunk_part want = chunk_encoder_part(w);
		buf_reset(&b);
		buf_byte(&b, 0xaa);
		cr_assert_eq(chunk_xor_encode(&b, t, v, n, &e), 0, "%s", err_text(&e));
		cr_assert(b.n == want.n + 1 && memcmp(b.p + 1, want.p, want.n) == 0,
			  "round %u, %zu samples", round, n);
	}
	buf_deinit(&b);
	chunk_encoder_free(w);
}

Test(columns, a_time_may_repeat_but_not_go_back)
{
	int64_t t[] = { 5, 10, 10, 9 };
	double v[] = { 1, 2, 3, 4 };
	struct buf b;
	struct err e = ERR_INIT;
	buf_init(&b, 1000);
	cr_assert_eq(chunk_xor_encode(&b, t, v, 3, &e), 0);
	int64_t t2[3];
	double v2[3];
	cr_assert_eq(chunk_xor_decode_any(b.p, b.n, t2, v2, 3, &e), 3);
	cr_assert(memcmp(t, t2, sizeof t2) == 0 && memcmp(v, v2, sizeof v2) == 0);
	cr_assert_eq(chunk_xor_encode(&b, t, v, 4, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	buf_deinit(&b);
}

Test(columns, more_samples_than_a_chunk_counts_or_room_for_them_are_refused)
{
	static int64_t t[65536];
	static double v[65536];
	struct buf b;
	struct err e = ERR_INIT;
	buf_init(&b, 4 << 20);
	for (int i = 0; i < 65536; i++)
		t[i] = i;
	cr_assert_eq(chunk_xor_encode(&b, t, v, 65535, &e), 0);
	cr_assert_eq(chunk_xor_encode(&b, t, v, 65536, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	buf_deinit(&b);
	buf_init(&b, 100);
	e = ERR_INIT;
	cr_assert_eq(chunk_xor_encode(&b, t, v, 50, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	buf_deinit(&b);
}

/* Times 100, 90, 95, 200 with the first difference as a number modulo 2^64. */
Test(columns, times_that_go_back_are_decoded_where_that_is_asked_for)
{
	const int64_t t[] = { 100, 90, 95, 200 };
	struct bitw w = { 0 };
	struct err e = ERR_INIT;
	struct arena a;
	struct columns c;
	arena_init(&a, NULL);
	buf_init(&w.out, 1000);
	bitw_put(&w, 4, 16);
	bitw_varint(&w, t[0]);
	bitw_put(&w, 0, 64);
	uint64_t delta = (uint64_t)(t[1] - t[0]);
	for (; delta >= 0x80; delta >>= 7)
		bitw_put(&w, delta | 0x80, 8);
	bitw_put(&w, delta, 8);
	bitw_put(&w, 0, 1);
	for (int i = 2; i < 4; i++) {
		bitw_put(&w, 2, 2);
		bitw_put(&w, (uint64_t)(t[i] - 2 * t[i - 1] + t[i - 2]), 14);
		bitw_put(&w, 0, 1);
	}
	struct str s = bitw_view(&w);
	struct chunk_part p = { (const uint8_t *)s.p, (uint32_t)s.n, CHUNK_XOR };
	int64_t got[4];
	double v[4];
	cr_assert_eq(chunk_xor_decode(p.p, p.n, got, v, 4, &e), -1);
	cr_assert_eq(chunk_xor_decode_any(p.p, p.n, got, v, 4, &e), 4);
	cr_assert(memcmp(got, t, sizeof t) == 0);
	struct chunk_decoder *d = chunk_decoder_new(&a);
	chunk_decoder_any_order(d, true);
	cr_assert_eq(chunk_decoder_reset(d, p, &e), 0);
	cr_assert_eq(chunk_decoder_next(d, &c, &e), 1);
	cr_assert(c.n == 4 && memcmp(c.t_ms, t, sizeof t) == 0);
	arena_deinit(&a);
	buf_deinit(&w.out);
}
