/*
 * Matcher patterns: pattern, a zero byte, a value. What is decided without RE2 must be what RE2 says
 * (for values that are UTF-8: elsewhere RE2's dot refuses bytes that the plans let pass, as Go does).
 */
#include <stdlib.h>

#include "model/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str pattern = str_n(p, n), value = STR("");
	struct regex *re = NULL;
	struct err e;
	const uint8_t *zero = n ? memchr(p, 0, n) : NULL;
	if (zero) {
		pattern.n = (size_t)(zero - p);
		value = str_n(zero + 1, n - pattern.n - 1);
	}
	if (n > 4096 || !str_is_utf8(value) || regex_new(NULL, pattern, &re, &e) < 0)
		return 0;
	const struct regex_info *info = regex_info(re);
	bool want = regex_submatch(re, value, NULL, 0);
	if (regex_match(re, value) != want)
		abort();
	if (want && (!str_has_prefix(value, info->prefix) ||
		     !str_has_suffix(value, info->suffix)))
		abort();
	for (size_t i = 0; i < info->n; i++)
		if (str_is_utf8(info->literals[i]) &&
		    !regex_submatch(re, info->literals[i], NULL, 0))
			abort();
	if (info->match_all && !want)
		abort();
	regex_free(re);
	return 0;
}
