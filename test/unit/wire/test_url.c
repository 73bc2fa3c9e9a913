/* lib/wire/url.c */
#include "support/tst.h"

#include <stdio.h>

#include "base/err.h"
#include "wire/codec.h"

static void expect_parts(const char *text, const char *want)
{
	struct url u = { 0 };
	struct err e = ERR_INIT;
	char got[300];

	if (url_parse(str_of(text), &u, &e) < 0)
		snprintf(got, sizeof(got), "%s", err_text(&e));
	else
		snprintf(got, sizeof(got), "%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
			 STR_FMT(u.scheme), STR_FMT(u.user), STR_FMT(u.host),
			 STR_FMT(u.port), STR_FMT(u.path), STR_FMT(u.query));
	cr_expect_str_eq(got, want, "%s", text);
}

Test(url, is_taken_apart)
{
	expect_parts("http://h", "http||h|||");
	expect_parts("https://u:p%40@h.example:8443/a/b?c=d&e#frag",
		     "https|u:p%40|h.example|8443|/a/b|c=d&e");
	expect_parts("http://[::1]:9090/x", "http||::1|9090|/x|");
	expect_parts("http://[fe80::1%25eth0]", "http||fe80::1%25eth0|||");
	expect_parts("http://h:/", "http||h||/|");
	expect_parts("dnssrv+http://_x._tcp.h?q=/a?b", "dnssrv+http||_x._tcp.h|||q=/a?b");
	expect_parts("http://a@b@h/", "http|a@b|h||/|");
	expect_parts("http://h/p@q:r", "http||h||/p@q:r|");
}

Test(url, refuses_bad_ones)
{
	expect_parts("h:80", "URL \"h:80\": no scheme://");
	expect_parts("://h", "URL \"://h\": no scheme://");
	expect_parts("1a://h", "URL \"1a://h\": no scheme://");
	expect_parts("http://", "URL: invalid host \"\"");
	expect_parts("http:///x", "URL: invalid host \"\"");
	expect_parts("http://h:99999/", "URL: invalid port \"99999\"");
	expect_parts("http://h:8x/", "URL: invalid port \"8x\"");
	expect_parts("http://h:+80/", "URL: invalid port \"+80\"");
	expect_parts("http://[::1/", "URL: missing ']' in host");
	expect_parts("http://[]/", "URL: invalid host \"[]\"");
	expect_parts("http://[::1]x/", "URL: invalid host \"[::1]x\"");
	expect_parts("http://a b/", "URL: blank or control character at 8");
	expect_parts("http://h/\r\nX: y", "URL: blank or control character at 9");
	expect_parts("http://a:b:c/", "URL: invalid port \"b:c\"");
	expect_parts("http://<h>/", "URL: invalid host \"<h>\"");
}

Test(url, escapes_by_place)
{
	struct buf b;

	buf_init(&b, 1000);
	url_escape_query(STR("a b/c+d~_-.\xc3\xa9&=%"), &b);
	buf_byte(&b, '|');
	url_escape_path(STR("/a b/c+d"), &b);
	buf_byte(&b, '|');
	url_escape_segment(STR("/a b"), &b);
	cr_assert(str_eqz(buf_view(&b),
			  "a+b%2Fc%2Bd~_-.%C3%A9%26%3D%25|/a%20b/c%2Bd|%2Fa%20b"),
		  "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

Test(url, unescapes)
{
	struct arena a;
	struct str s;

	arena_init(&a, NULL);
	cr_assert(url_unescape(&a, STR("a%2fb+c%00"), true, &s));
	cr_assert(str_eq(s, STR("a/b c\0")));
	cr_assert(url_unescape(&a, STR("a+b"), false, &s));
	cr_assert(str_eqz(s, "a+b"));
	cr_assert(!url_unescape(&a, STR("%"), false, &s));
	cr_assert(!url_unescape(&a, STR("%4"), false, &s));
	cr_assert(!url_unescape(&a, STR("%4g"), false, &s));
	cr_assert(url_unescape(&a, STR_NULL, true, &s));
	cr_assert_eq(s.n, 0);
	arena_deinit(&a);
}

Test(url, walks_queries)
{
	struct arena a;
	struct str rest = STR("a=1&&b&c=x=y&d=%zz&e=1;f=2&%67=+&=v"), k, v;
	struct buf b;
	bool bad = false;

	arena_init(&a, NULL);
	buf_init(&b, 1000);
	while (url_query_next(&a, &rest, &k, &v, &bad))
		buf_fmt(&b, "%.*s:%.*s,", STR_FMT(k), STR_FMT(v));
	cr_assert(str_eqz(buf_view(&b), "a:1,b:,c:x=y,g: ,:v,"), "%.*s",
		  STR_FMT(buf_view(&b)));
	cr_assert(bad);
	rest = STR_NULL;
	cr_assert(!url_query_next(&a, &rest, &k, &v, &bad));
	buf_deinit(&b);
	arena_deinit(&a);
}
