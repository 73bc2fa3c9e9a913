/*
 * fuzz_snappy.c - any bytes as a snappy block, and any bytes through encoder and decoder.
 */
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_OUT (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	struct buf c, d;

	if (n > 1u << 20)
		return 0;
	buf_init(&c, MAX_OUT);
	buf_init(&d, MAX_OUT);
	if (snappy_block_decode(str_n(p, n), MAX_OUT, &d, &e) < 0)
		BUG_ON(d.n != 0 || (e.code != E_CORRUPT && e.code != E_LIMIT));
	buf_reset(&d);
	BUG_ON(snappy_block_encode(str_n(p, n), &c, &e) < 0);
	BUG_ON(snappy_block_decode(buf_view(&c), n, &d, &e) < 0);
	BUG_ON(!str_eq(buf_view(&d), str_n(p, n)));
	buf_deinit(&c);
	buf_deinit(&d);
	return 0;
}
