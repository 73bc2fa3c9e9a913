/*
 * fuzz_snappy_stream.c - any bytes as a framed stream: the size told beforehand is the size made; any bytes through
 * encoder and decoder.
 */
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX_OUT ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	struct buf c, d;
	size_t size;

	if (n > 1u << 20)
		return 0;
	buf_init(&c, MAX_OUT);
	buf_init(&d, MAX_OUT);
	int rc = snappy_stream_size(str_n(p, n), MAX_OUT - 1, &size, &e);
	BUG_ON(rc < 0 && e.code != E_CORRUPT && e.code != E_LIMIT);
	e = ERR_INIT;
	if (snappy_stream_decode(str_n(p, n), MAX_OUT - 1, &d, &e) == 0)
		BUG_ON(rc < 0 || d.n != size);
	else
		BUG_ON(e.code != E_CORRUPT && e.code != E_LIMIT);
	buf_reset(&d);
	e = ERR_INIT;
	BUG_ON(snappy_stream_encode(str_n(p, n), &c, &e) < 0);
	BUG_ON(snappy_stream_decode(buf_view(&c), n, &d, &e) < 0);
	BUG_ON(!str_eq(buf_view(&d), str_n(p, n)));
	buf_deinit(&c);
	buf_deinit(&d);
	return 0;
}
