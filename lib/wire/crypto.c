/*
 * wire/crypto.c - SHA-256 and HMAC-SHA-256, by OpenSSL's EVP functions (which choose the
 * fastest code for the processor).
 *
 * These digests take memory of constant size and cannot fail but for a broken library:
 * that is a bug, not an error of the caller.
 */
#include "wire/codec.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

struct sha256 {
	EVP_MD_CTX *md;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *h = xmalloc(sizeof(*h));

	h->md = EVP_MD_CTX_new();
	BUG_ON(!h->md || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1);
	return h;
}

void sha256_feed(struct sha256 *h, struct str s)
{
	BUG_ON(EVP_DigestUpdate(h->md, s.p, s.n) != 1);
}

void sha256_done(struct sha256 *h, uint8_t out[32])
{
	BUG_ON(EVP_DigestFinal_ex(h->md, out, NULL) != 1);
	EVP_MD_CTX_free(h->md);
	free(h);
}

void sha256_hmac(struct str key, struct str s, uint8_t out[32])
{
	unsigned n = 32;

	BUG_ON(key.n > INT32_MAX);
	BUG_ON(!HMAC(EVP_sha256(), key.n ? key.p : "", (int)key.n, (const uint8_t *)s.p,
		     s.n, out, &n));
}

void hex_encode(const uint8_t *p, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex[p[i] >> 4];
		out[2 * i + 1] = hex[p[i] & 15];
	}
	out[2 * n] = 0;
}
