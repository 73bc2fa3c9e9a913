#include <stdlib.h>

#include "model/labels.h"
#include "support/tst.h"

static struct label pairs[16];

/* "a=1,b=2" as labels in pairs[]. */
static struct labels of(struct label *l, const char *text)
{
	struct str s = str_of(text), part;
	uint32_t n = 0;
	bool more = s.n > 0;
	while (more) {
		more = str_cut(&s, ',', &part);
		str_cut(&part, '=', &l[n].name);
		l[n++].value = part;
	}
	return (struct labels){ l, n, 0 };
}

static const char *text_of(struct labels ls, bool metric)
{
	static char out[512];
	struct buf b;
	buf_init(&b, sizeof out - 1);
	if (metric)
		labels_metric_text(ls, &b);
	else
		labels_text(ls, &b);
	memcpy(out, b.p, b.n);
	out[b.n] = '\0';
	buf_deinit(&b);
	return out;
}

Test(labels, order_is_by_label_then_count)
{
	static const char *const rising[] = { "",	 "a=1",	    "a=1,b=1",
					      "a=1,b=2", "a=1,c=0", "a=10",
					      "a=2",	 "ab=1",    "b=0" };
	struct label x[8], y[8];
	for (size_t i = 0; i < ARRAY_LEN(rising); i++)
		for (size_t j = 0; j < ARRAY_LEN(rising); j++) {
			int c = labels_cmp(of(x, rising[i]), of(y, rising[j]));
			cr_expect((c < 0) == (i < j) && (c > 0) == (i > j), "%s %s",
				  rising[i], rising[j]);
			cr_expect_eq(labels_eq(of(x, rising[i]), of(y, rising[j])),
				     i == j);
		}
}

Test(labels, hash_ignores_where_strings_lie)
{
	struct arena a;
	arena_init(&a, NULL);
	struct labels ls = of(pairs, "__name__=up,job=x");
	struct labels copy = labels_dup(&a, ls);
	cr_assert_eq(labels_hash(ls), labels_hash(copy));
	cr_assert_neq(labels_hash(ls), 0);
	cr_assert(copy.l[0].name.p != ls.l[0].name.p);
	cr_assert(labels_eq(copy, ls));
	arena_deinit(&a);
}

Test(labels, hash_of_long_values_is_that_of_their_bytes)
{
	char *big = malloc(5000);
	memset(big, 'x', 5000);
	struct label l[3] = { { STR("a"), { big, 5000 } },
			      { STR("b"), { big, 1030 } },
			      { STR("c"), STR("y") } };
	struct str names[] = { STR("a"), STR("b"), STR("c") };
	struct labels ls = { l, 3, 0 };
	cr_assert_eq(labels_hash(ls), labels_hash_subset(ls, names, 3, true));
	cr_assert_eq(labels_hash(ls), labels_hash_subset(ls, names, 0, false));
	free(big);
}

Test(labels, subset_hash_equals_hash_of_the_subset)
{
	struct str names[] = { STR("a"), STR("c"), STR("d") };
	struct label out[8];
	struct labels ls = of(pairs, "a=1,b=2,c=3,e=5");
	cr_assert_eq(labels_hash_subset(ls, names, 3, true),
		     labels_hash(labels_keep(out, ls, names, 3)));
	cr_assert_eq(labels_hash_subset(ls, names, 3, false),
		     labels_hash(labels_drop(out, ls, names, 3)));
	cr_assert_str_eq(text_of(labels_keep(out, ls, names, 3), false),
			 "{a=\"1\", c=\"3\"}");
	cr_assert_str_eq(text_of(labels_drop(out, ls, names, 3), false),
			 "{b=\"2\", e=\"5\"}");
}

Test(labels, external_labels_win_a_merge)
{
	struct label x[8], y[8], out[16];
	struct labels m = labels_merge(out, of(x, "a=1,c=3"), of(y, "b=2,c=9,z=0"));
	cr_assert_str_eq(text_of(m, false), "{a=\"1\", b=\"2\", c=\"9\", z=\"0\"}");
}

Test(labels, sort_refuses_doubled_names)
{
	struct labels ls = of(pairs, "b=2,a=1,c=3");
	cr_assert(labels_sort(pairs, ls.n));
	cr_assert_str_eq(text_of(ls, false), "{a=\"1\", b=\"2\", c=\"3\"}");
	of(pairs, "b=2,a=1,b=3");
	cr_assert(!labels_sort(pairs, 3));
}

Test(labels, text_is_quoted_as_go_does)
{
	static const char *const rows[][2] = {
		{ "plain", "\"plain\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\a\b\t\n\v\f\r", "\"\\a\\b\\t\\n\\v\\f\\r\"" },
		{ "\x01\x7f", "\"\\x01\\x7f\"" },
		{ "\xff\xc3", "\"\\xff\\xc3\"" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		  "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		{ "\xc2\xa0\xe2\x80\x8b", "\"\\u00a0\\u200b\"" },
		{ "\xf4\x8f\xbf\xbf", "\"\\U0010ffff\"" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 200);
		label_quote(str_of(rows[i][0]), &b);
		cr_expect(str_eqz(buf_view(&b), rows[i][1]), "row %zu: %.*s", i,
			  STR_FMT(buf_view(&b)));
		buf_deinit(&b);
	}
}

Test(labels, metric_text_puts_the_name_in_front)
{
	cr_assert_str_eq(text_of(of(pairs, ""), true), "{}");
	cr_assert_str_eq(text_of(of(pairs, "__name__=up"), true), "up");
	cr_assert_str_eq(text_of(of(pairs, "__name__=a:b,x=1"), true), "a:b{x=\"1\"}");
	cr_assert_str_eq(text_of(of(pairs, "__name__=a.b,x=1"), true),
			 "{\"a.b\", x=\"1\"}");
	cr_assert_str_eq(text_of(of(pairs, "x.y=1"), true), "{\"x.y\"=\"1\"}");
}

Test(labels, extends_means_a_longer_set_behind_a_prefix)
{
	struct label x[8], y[8];
	cr_assert(labels_extends(of(x, "a=1"), of(y, "a=1,b=2")));
	cr_assert(!labels_extends(of(x, "a=1"), of(y, "a=1")));
	cr_assert(!labels_extends(of(x, "a=1"), of(y, "a=2,b=2")));
	cr_assert(labels_extends(of(x, ""), of(y, "a=2")));
}

/* One changed byte anywhere in strings of all lengths; the bytes end where their memory ends. */
Test(labels, every_byte_of_every_length_counts)
{
	for (size_t n = 1; n <= 70; n++)
		for (size_t at = 0; at <= n; at++) {
			char *p = malloc(n), *q = malloc(n);
			memset(p, 'm', n);
			memset(q, 'm', n);
			if (at < n)
				q[at] = (char)0xf0;
			struct label x[2] = { { STR("a"), str_n(p, n) },
					      { STR("b"), STR("1") } };
			struct label y[2] = { { STR("a"), str_n(q, n) },
					      { STR("b"), STR("1") } };
			struct label z[1] = { { str_n(q, n), STR("v") } },
				     w[1] = { { str_n(p, n), STR("v") } };
			bool equal = at == n;
			struct labels a = { x, 2, 0 }, b = { y, 2, 0 };
			cr_assert_eq(labels_eq(a, b), equal, "%zu of %zu", at, n);
			cr_assert_eq(labels_cmp(a, b) < 0, !equal, "%zu of %zu", at, n);
			cr_assert_eq(labels_cmp(b, a) > 0, !equal, "%zu of %zu", at, n);
			a = (struct labels){ w, 1, 0 };
			b = (struct labels){ z, 1, 0 };
			cr_assert_eq(labels_eq(a, b), equal);
			cr_assert_eq(labels_cmp(a, b) < 0, !equal);
			free(p);
			free(q);
		}
}
