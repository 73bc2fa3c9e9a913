/*
 * wire/base64.c - RFC 4648 base64 with the standard or the URL alphabet.
 *
 * Decoding takes padding or none, and steps over line ends, as Go's decoder does;
 * anything after the padding, a single left-over character and letters of the other
 * alphabet are refused.
 */
#include "wire/codec.h"

static const char std_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_encode(struct str in, bool url, bool pad, struct buf *out)
{
	const char *letters = url ? url_letters : std_letters;
	const uint8_t *p = (const uint8_t *)in.p;
	size_t n = in.n;

	for (; n >= 3; n -= 3, p += 3) {
		uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		char t[4] = { letters[v >> 18], letters[v >> 12 & 63],
			      letters[v >> 6 & 63], letters[v & 63] };
		buf_add(out, t, 4);
	}
	if (n == 0)
		return;
	uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
	char t[4] = { letters[v >> 18], letters[v >> 12 & 63],
		      n == 2 ? letters[v >> 6 & 63] : '=', '=' };
	buf_add(out, t, pad ? 4 : n + 1);
}

static int letter_value(uint8_t c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return -1;
}

int base64_decode(struct str in, bool url, struct buf *out, struct err *e)
{
	uint32_t acc = 0;
	unsigned have = 0, pads = 0;

	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = (uint8_t)in.p[i];
		if (c == '\n' || c == '\r')
			continue;
		int v = letter_value(c, url);
		if (c == '=' && have + pads < 4 && have >= 2) {
			pads++;
			continue;
		}
		if (v < 0 || pads)
			return err_set(NULL, e, E_PARSE,
				       "base64: invalid byte 0x%02x at %zu", c, i);
		acc = acc << 6 | (uint32_t)v;
		if (++have == 4) {
			uint8_t t[3] = { (uint8_t)(acc >> 16), (uint8_t)(acc >> 8),
					 (uint8_t)acc };
			buf_add(out, t, 3);
			acc = 0;
			have = 0;
		}
	}
	if (have == 1 || (pads && have + pads != 4))
		return err_set(NULL, e, E_PARSE, "base64: text ends too early");
	if (have >= 2) {
		acc <<= 6 * (4 - have);
		uint8_t t[2] = { (uint8_t)(acc >> 16), (uint8_t)(acc >> 8) };
		buf_add(out, t, have - 1);
	}
	return buf_check(out, NULL, "base64", e);
}
