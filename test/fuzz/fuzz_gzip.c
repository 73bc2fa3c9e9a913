/*
 * fuzz_gzip.c - any bytes as gzip, and any bytes through the streaming encoder and the
 * decoder.
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
	if (gzip_decode(str_n(p, n), 1u << 20, &d, &e) < 0)
		BUG_ON(e.code != E_CORRUPT && e.code != E_LIMIT);
	BUG_ON(d.n > 1u << 20);
	buf_reset(&d);
	struct gzip_enc *g = gzip_enc_new(false);
	BUG_ON(gzip_enc_feed(g, str_n(p, n / 2), false, &c, &e) < 0);
	BUG_ON(gzip_enc_feed(g, str_n(p + n / 2, n - n / 2), true, &c, &e) < 0);
	gzip_enc_free(g);
	BUG_ON(gzip_decode(buf_view(&c), n, &d, &e) < 0);
	BUG_ON(!str_eq(buf_view(&d), str_n(p, n)));
	buf_deinit(&c);
	buf_deinit(&d);
	return 0;
}
