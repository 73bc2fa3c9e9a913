/*
 * wire/crypto.c - SHA-256, HMAC-SHA-256, MD5 and pairs of PEM, by OpenSSL's EVP functions (which choose the
 * fastest code for the processor).
 *
 * These digests take memory of constant size and cannot fail but for a broken library:
 * that is a bug, not an error of the caller.
 */
#include "wire/codec.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

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

struct md5 {
	EVP_MD_CTX *md;
};

struct md5 *md5_new(void)
{
	struct md5 *h = xmalloc(sizeof(*h));

	h->md = EVP_MD_CTX_new();
	BUG_ON(!h->md || EVP_DigestInit_ex(h->md, EVP_md5(), NULL) != 1);
	return h;
}

void md5_feed(struct md5 *h, struct str s)
{
	BUG_ON(EVP_DigestUpdate(h->md, s.p, s.n) != 1);
}

void md5_done(struct md5 *h, uint8_t out[16])
{
	BUG_ON(EVP_DigestFinal_ex(h->md, out, NULL) != 1);
	EVP_MD_CTX_free(h->md);
	free(h);
}

int pem_pair_check(struct str cert, struct str key, struct err *e)
{
	BUG_ON(cert.n > INT32_MAX || key.n > INT32_MAX);
	BIO *c = BIO_new_mem_buf(cert.p, (int)cert.n);
	BIO *k = BIO_new_mem_buf(key.p, (int)key.n);
	X509 *x = c ? PEM_read_bio_X509(c, NULL, NULL, NULL) : NULL;
	/* "": a key with a passphrase is refused, nobody is asked for it */
	EVP_PKEY *p =
		k ? PEM_read_bio_PrivateKey(k, NULL, NULL, (void *)(uintptr_t) "") : NULL;
	int rc = 0;

	if (!x)
		rc = err_set(NULL, e, E_INVALID, "no certificate in PEM");
	else if (!p)
		rc = err_set(NULL, e, E_INVALID, "no private key in PEM");
	else if (X509_check_private_key(x, p) != 1)
		rc = err_set(NULL, e, E_INVALID,
			     "certificate and key do not belong together");
	EVP_PKEY_free(p);
	X509_free(x);
	BIO_free(c);
	BIO_free(k);
	return rc;
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
