/*
 * wire/bcrypt.c - passwords against their bcrypt hashes, by libcrypt.
 */
#include "wire/codec.h"

#include <crypt.h>
#include <stdlib.h>

bool bcrypt_is_hash(struct str hash)
{
	return hash.n == 60 &&
	       (str_has_prefix(hash, STR("$2a$")) || str_has_prefix(hash, STR("$2b$")) ||
		str_has_prefix(hash, STR("$2y$"))) &&
	       hash.p[6] == '$';
}

bool bcrypt_matches(struct str hash, struct str password)
{
	char setting[61];
	unsigned char differ = 0;
	if (!bcrypt_is_hash(hash) || memchr(password.p ? password.p : "", 0, password.n))
		return false;
	memcpy(setting, hash.p, 60);
	setting[60] = '\0';
	char *phrase = xcalloc(1, password.n + 1);
	if (password.n)
		memcpy(phrase, password.p, password.n);
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	const char *got = crypt_r(phrase, setting, data);
	bool ok = got && strlen(got) == 60;
	for (size_t i = 0; ok && i < 60;
	     i++) /* takes the same time wherever they differ */
		differ |= (unsigned char)(got[i] ^ setting[i]);
	explicit_bzero(phrase, password.n);
	explicit_bzero(data, sizeof(*data));
	free(phrase);
	free(data);
	return ok && !differ;
}
