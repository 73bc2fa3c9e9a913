/*
 * fuzz_url.c - any bytes as a URL, a query string, base64 text; escaping must be undone
 * by unescaping.
 */
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_base64(struct str s, bool url)
{
	struct err e = ERR_INIT;
	struct buf b, d;

	buf_init(&b, 2 * s.n + 64);
	buf_init(&d, 2 * s.n + 64);
	if (base64_decode(s, url, &d, &e) < 0)
		BUG_ON(e.code != E_PARSE);
	buf_reset(&d);
	base64_encode(s, url, url, &b);
	BUG_ON(base64_decode(buf_view(&b), url, &d, &e) < 0);
	BUG_ON(!str_eq(buf_view(&d), s));
	buf_deinit(&b);
	buf_deinit(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str s = str_n(p, n), k, v, rest = s;
	struct err e = ERR_INIT;
	struct arena a;
	struct url u;
	struct buf b;
	bool bad = false;

	if (n > 64u << 10)
		return 0;
	arena_init(&a, NULL);
	if (url_parse(s, &u, &e) == 0)
		BUG_ON(u.host.n == 0 || u.scheme.n == 0 ||
		       u.host.n + u.path.n + u.query.n + u.user.n > n);
	while (url_query_next(&a, &rest, &k, &v, &bad))
		BUG_ON(k.n + v.n > n);
	buf_init(&b, 3 * n + 64);
	url_escape_query(s, &b);
	BUG_ON(!url_unescape(&a, buf_view(&b), true, &k) || !str_eq(k, s));
	buf_reset(&b);
	url_escape_path(s, &b);
	BUG_ON(!url_unescape(&a, buf_view(&b), false, &k) || !str_eq(k, s));
	buf_deinit(&b);
	check_base64(s, false);
	check_base64(s, true);
	arena_deinit(&a);
	return 0;
}
