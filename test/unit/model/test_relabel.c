/*
 * Relabelling: every action, the templates, and Prometheus' texts for what is wrong.
 */
#include "model/relabel.h"

#include "base/ctx.h"
#include "support/tst.h"

static const struct {
	const char *rules, *in,
		*want; /* labels as name=value, by commas; NULL: dropped */
} cases[] = {
	{ "[]", "a=1", "a=1" },
	{ "", "a=1", "a=1" },
	{ "[]", "", NULL },
	{ "[{action: keep, source_labels: [a], regex: foo}]", "a=foo", "a=foo" },
	{ "[{action: keep, source_labels: [a], regex: fo}]", "a=foo", NULL },
	{ "[{action: KEEP, source_labels: [a], regex: 'f.*'}]", "a=foo", "a=foo" },
	{ "[{action: drop, source_labels: [a, b], regex: 'x;y'}]", "a=x,b=y", NULL },
	{ "[{action: drop, source_labels: [a, b], regex: 'x;y'}]", "a=x,b=z", "a=x,b=z" },
	{ "[{action: drop, source_labels: [a, b], separator: '-', regex: 'x-y'}]",
	  "a=x,b=y", NULL },
	{ "[{action: keep, source_labels: [none], regex: ''}]", "a=x", "a=x" },
	{ "[{source_labels: [a], target_label: b}]", "a=x", "a=x,b=x" },
	{ "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: "
	  "'ch${1}-ch$1-$$'}]",
	  "a=foo", "a=foo,d=choo-choo-$" },
	{ "[{source_labels: [a], regex: '(?P<one>.)(.*)', target_label: '${one}x', "
	  "replacement: '$2'}]",
	  "a=foo", "a=foo,fx=oo" },
	{ "[{source_labels: [a], regex: 'no', target_label: d}]", "a=foo", "a=foo" },
	{ "[{source_labels: [a], target_label: a, replacement: ''}]", "a=foo,b=1",
	  "b=1" },
	{ "[{source_labels: [none], target_label: a, replacement: x}]", "b=1",
	  "a=x,b=1" },
	{ "[{source_labels: [a], target_label: b, replacement: '$'}]", "a=1", "a=1,b=$" },
	{ "[{source_labels: [a], target_label: b, replacement: '${9}z'}]", "a=1",
	  "a=1,b=z" },
	{ "[{source_labels: [c], action: hashmod, target_label: d, modulus: 1000}]",
	  "a=foo,b=bar,c=baz", "a=foo,b=bar,c=baz,d=976" },
	{ "[{source_labels: [a], action: hashmod, target_label: d, modulus: 1000}]",
	  "a=foo\nbar", "a=foo\nbar,d=734" },
	{ "[{action: labelmap, regex: '(b.*)', replacement: 'bar_${1}'}]",
	  "a=foo,b1=bar,b2=baz", "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz" },
	{ "[{action: labeldrop, regex: 'b.*'}]", "a=1,b1=2,b2=3", "a=1" },
	{ "[{action: labelkeep, regex: 'b.*'}]", "a=1,b1=2,b2=3", "b1=2,b2=3" },
	{ "[{action: labelkeep, regex: 'c'}]", "a=1", NULL },
	{ "[{action: lowercase, source_labels: [a], target_label: b}]", "a=bAr123FoO",
	  "a=bAr123FoO,b=bar123foo" },
	{ "[{action: uppercase, source_labels: [a], target_label: b}]", "a=ümläutß",
	  "a=ümläutß,b=ÜMLÄUTß" },
	{ "[{action: lowercase, source_labels: [a], target_label: b}]", "a=ŸÉΩЖԱŽ",
	  "a=ŸÉΩЖԱŽ,b=ÿéωжաž" },
	{ "[{action: uppercase, source_labels: [a], target_label: b}]", "a=ÿéςжաžµ😀",
	  "a=ÿéςжաžµ😀,b=ŸÉΣЖԱŽΜ😀" },
	{ "[{action: keepequal, source_labels: [a], target_label: b}]", "a=1,b=1",
	  "a=1,b=1" },
	{ "[{action: keepequal, source_labels: [a], target_label: b}]", "a=1,b=2", NULL },
	{ "[{action: dropequal, source_labels: [a], target_label: b}]", "a=1,b=1", NULL },
	{ "[{action: dropequal, source_labels: [a], target_label: b}]", "a=1,b=2",
	  "a=1,b=2" },
	/* A shard of two, as compactors are split. */
	{ "[{action: hashmod, source_labels: [a], target_label: shard, modulus: 2},"
	  " {action: keep, source_labels: [shard], regex: 1}]",
	  "a=foo", NULL },
};

static struct labels parse_labels(struct arena *a, const char *text)
{
	struct label *l = ARENA_ARRAY(a, struct label, 16);
	struct str rest = str_of(text), piece;
	size_t n = 0;
	bool more = rest.n > 0;
	while (more) {
		more = str_cut(&rest, ',', &piece);
		str_cut(&piece, '=', &l[n].name);
		l[n++].value = piece;
	}
	labels_sort(l, n);
	return (struct labels){ l, (uint32_t)n, 0 };
}

static struct str show(struct arena *a, struct labels ls)
{
	struct str s = STR("");
	for (size_t i = 0; i < ls.n; i++)
		s = str_fmt(a, "%.*s%s%.*s=%.*s", STR_FMT(s), i ? "," : "",
			    STR_FMT(ls.l[i].name), STR_FMT(ls.l[i].value));
	return s;
}

Test(relabel, does_what_prometheus_does)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct relabel *r;
		struct arena a;
		struct labels out;
		arena_init(&a, NULL);
		cr_assert_eq(relabel_parse(NULL, str_of(cases[i].rules), RELABEL_ALL, &r,
					   &e),
			     0, "%s: %s", cases[i].rules, err_text(&e));
		bool keep = relabel_apply(r, &a, parse_labels(&a, cases[i].in), &out);
		cr_expect_eq(keep, cases[i].want != NULL, "%s on %s", cases[i].rules,
			     cases[i].in);
		if (keep && cases[i].want)
			cr_expect_str_eq(str_dupz(&a, show(&a, out)), cases[i].want, "%s",
					 cases[i].rules);
		relabel_free(r);
		arena_deinit(&a);
	}
}

static const struct {
	const char *rules, *why;
} refused[] = {
	{ "a: b", "not a list of rules" },
	{ "[1]", "a rule is not a mapping" },
	{ "[{action: nothing}]", "unknown relabel action \"nothing\"" },
	{ "[{action: keep, regexp: x}]", "unknown field regexp" },
	{ "[{action: hashmod, target_label: a}]", "requires non-zero modulus" },
	{ "[{source_labels: [a]}]",
	  "relabel configuration for replace action requires 'target_label' value" },
	{ "[{action: lowercase, target_label: a, replacement: x}]",
	  "'replacement' can not be set for lowercase action" },
	{ "[{action: keepequal, target_label: a, regex: x}]",
	  "keepequal action requires only 'source_labels' and `target_label`, and no other fields" },
	{ "[{action: labeldrop, source_labels: [a], regex: x}]",
	  "labeldrop action requires only 'regex', and no other fields" },
	{ "[{action: labelmap, replacement: ''}]",
	  "\"\" is invalid 'replacement' for labelmap action" },
	{ "[{action: keep, regex: '('}]", "error parsing regexp" },
	{ "[{action: keep, source_labels: ['']}]", "is not a valid label name" },
	{ "[{action: keep, source_labels: a}]", "source_labels is not a list" },
	{ "[{action: hashmod, target_label: a, modulus: x}]", "modulus is not a whole" },
	{ "[{action: labelkeep, regex: x}]", "unsupported relabel action: labelkeep" },
};

Test(relabel, names_what_is_wrong)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err e = ERR_INIT;
		struct relabel *r = NULL;
		cr_expect_eq(relabel_parse(NULL, str_of(refused[i].rules),
					   RELABEL_ALL & ~RELABEL_BIT(RELABEL_LABELKEEP),
					   &r, &e),
			     -1, "%s", refused[i].rules);
		relabel_free(r);
		cr_expect(strstr(err_text(&e), refused[i].why) != NULL, "%s: %s",
			  refused[i].rules, err_text(&e));
	}
}
