/*
 * test/promqltest/series_text.c - a line of a series: labels, then slots.
 */
#include "promqltest.h"

#include <errno.h>
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"

struct slots {
	struct arena *a;
	struct slot *v;
	size_t n, cap;
};

static void push(struct slots *s, struct slot v)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 32;
		struct slot *more = ARENA_ARRAY(s->a, struct slot, cap);
		if (s->n)
			memcpy(more, s->v, s->n * sizeof(*more));
		s->v = more;
		s->cap = cap;
	}
	s->v[s->n++] = v;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str skip(struct str s)
{
	while (s.n && is_blank(s.p[0]))
		s = str_from(s, 1);
	return s;
}

/* ---- labels ---- */

/* Where the quoted text that begins at 0 ends, quotes included; 0: nowhere. */
static size_t quoted_len(struct str s)
{
	char q = s.p[0];
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\' && q != '`')
			i++;
		else if (s.p[i] == q)
			return i + 1;
	}
	return 0;
}

int string_parse(struct arena *a, struct str s, struct str *out, struct err *e)
{
	struct expr *x;
	if (promql_parse(NULL, a, s, 0, &x, e) < 0)
		return -1;
	if (x->kind != EXPR_STRING)
		return err_set(NULL, e, E_PARSE, "not a string: %.*s", STR_FMT(s));
	*out = x->str;
	return 0;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == ':' || c == '.';
}

/* A name or a quoted string off the front of *s. */
static int take_word(struct arena *a, struct str *s, struct str *out, bool *quoted,
		     struct err *e)
{
	*s = skip(*s);
	size_t n = 0;
	*quoted = s->n && (s->p[0] == '"' || s->p[0] == '\'' || s->p[0] == '`');
	if (*quoted) {
		n = quoted_len(*s);
		if (string_parse(a, str_n(s->p, n), out, e) < 0)
			return -1;
	} else {
		while (n < s->n && is_name(s->p[n]))
			n++;
		*out = str_n(s->p, n);
	}
	if (n == 0)
		return err_set(NULL, e, E_PARSE, "a name is missing before: %.*s",
			       STR_FMT(*s));
	*s = skip(str_from(*s, n));
	return 0;
}

struct label_list {
	struct label *l;
	size_t n;
};

static void add_label(struct label_list *ls, struct str name, struct str value)
{
	if (value.n)
		ls->l[ls->n++] = (struct label){ name, value };
}

static int take_braces(struct arena *a, struct str *s, struct label_list *ls,
		       struct err *e)
{
	*s = skip(str_from(*s, 1));
	while (s->n && s->p[0] != '}') {
		struct str name, value;
		bool quoted;
		if (take_word(a, s, &name, &quoted, e) < 0)
			return -1;
		if (s->n && s->p[0] == '=') {
			*s = str_from(*s, 1);
			if (take_word(a, s, &value, &quoted, e) < 0)
				return -1;
			add_label(ls, name, value);
		} else {
			add_label(ls, LABEL_NAME, name);
		}
		if (s->n && s->p[0] == ',')
			*s = skip(str_from(*s, 1));
		else if (!s->n || s->p[0] != '}')
			return err_set(NULL, e, E_PARSE, "unexpected in labels: %.*s",
				       STR_FMT(*s));
	}
	if (!s->n)
		return err_set(NULL, e, E_PARSE, "labels do not end");
	*s = str_from(*s, 1);
	return 0;
}

static int take_labels(struct arena *a, struct str *s, struct labels *out, struct err *e)
{
	struct label_list ls = { ARENA_ARRAY(a, struct label, s->n + 1), 0 };
	struct str name;
	bool quoted;
	*s = skip(*s);
	if (s->n && s->p[0] != '{') {
		if (take_word(a, s, &name, &quoted, e) < 0)
			return -1;
		add_label(&ls, LABEL_NAME, name);
	}
	if (s->n && s->p[0] == '{' && !(s->n > 1 && s->p[1] == '{') &&
	    take_braces(a, s, &ls, e) < 0)
		return -1;
	if (!labels_sort(ls.l, ls.n))
		return err_set(NULL, e, E_PARSE, "a label is given twice");
	*out = (struct labels){ ls.l, (uint32_t)ls.n, 0 };
	return 0;
}

/* ---- slots ---- */

bool number_parse(struct str s, double *out)
{
	char text[64], *end;
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (strspn(text, "+-0123456789xXabcdefABCDEF") == s.n) {
		errno = 0;
		long long i = strtoll(text, &end, 0);
		if (*end == '\0' && errno == 0) { /* larger ones are floats */
			*out = i == 0 && text[0] == '-' ? -0.0 : (double)i;
			return true;
		}
	}
	return str_to_f64(s, out);
}

/* The length of a number at the front of s: sign, digits, exponent, Inf or NaN. */
static size_t number_len(struct str s)
{
	size_t i = s.n && (s.p[0] == '+' || s.p[0] == '-');
	struct str rest = str_from(s, i);
	if (rest.n >= 3 && (str_eq_nocase(str_n(rest.p, 3), STR("inf")) ||
			    str_eq_nocase(str_n(rest.p, 3), STR("nan"))))
		return i + 3;
	size_t from = i;
	while (i < s.n &&
	       ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' || s.p[i] == '_'))
		i++;
	if (i == from)
		return 0;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		size_t k = i + 1;
		k += k < s.n && (s.p[k] == '+' || s.p[k] == '-');
		if (k < s.n && s.p[k] >= '0' && s.p[k] <= '9') {
			while (k < s.n && s.p[k] >= '0' && s.p[k] <= '9')
				k++;
			i = k;
		}
	}
	return i;
}

/* `xN` and nothing else: *n; false: something else. Nothing at all: 0. */
static bool take_times(struct str s, uint64_t *n)
{
	*n = 0;
	if (s.n == 0)
		return true;
	return s.p[0] == 'x' && str_to_u64(str_from(s, 1), n);
}

static int bad_slot(struct str word, struct err *e)
{
	return err_set(NULL, e, E_PARSE, "not a value: %.*s", STR_FMT(word));
}

static int add_numbers(struct slots *out, struct str word, struct err *e)
{
	double v, step = 0;
	uint64_t times;
	size_t n = number_len(word);
	if (n == 0 || !number_parse(str_n(word.p, n), &v))
		return bad_slot(word, e);
	struct str rest = str_from(word, n);
	if (rest.n && (rest.p[0] == '+' || rest.p[0] == '-')) {
		n = number_len(rest);
		if (n == 0 || !number_parse(str_n(rest.p, n), &step) || n == rest.n)
			return bad_slot(word, e);
		rest = str_from(rest, n);
	}
	if (!take_times(rest, &times))
		return bad_slot(word, e);
	for (uint64_t i = 0; i <= times; i++, v += step)
		push(out, (struct slot){ .v = v });
	return 0;
}

static int add_word(struct slots *out, struct str word, struct err *e)
{
	uint64_t times;
	if (word.p[0] == '_' && take_times(str_from(word, 1), &times)) {
		for (uint64_t i = 0; i < MAX(times, 1u); i++)
			push(out, (struct slot){ .omitted = true });
		return 0;
	}
	if (str_has_prefix(word, STR("stale")) && take_times(str_from(word, 5), &times)) {
		for (uint64_t i = 0; i <= times; i++)
			push(out, (struct slot){ .v = f64_of_bits(STALE_NAN_BITS) });
		return 0;
	}
	return add_numbers(out, word, e);
}

/* {{...}} off the front of *s. */
static int take_hist(struct arena *a, struct str *s, struct hist **h, bool *hint_set,
		     struct err *e)
{
	ptrdiff_t end = str_find(*s, STR("}}"));
	if (!str_has_prefix(*s, STR("{{")) || end < 0)
		return err_set(NULL, e, E_PARSE, "not a histogram: %.*s", STR_FMT(*s));
	struct str inside = str_n(s->p + 2, (size_t)end - 2);
	*s = str_from(*s, (size_t)end + 2);
	return hist_text_parse(a, inside, h, hint_set, e);
}

static int add_hists(struct slots *out, struct str *s, struct err *e)
{
	struct hist *h, *step = NULL;
	bool hint;
	double sign = 1;
	uint64_t times;
	if (take_hist(out->a, s, &h, &hint, e) < 0)
		return -1;
	if (s->n && (s->p[0] == '+' || s->p[0] == '-')) {
		sign = s->p[0] == '-' ? -1 : 1;
		*s = str_from(*s, 1);
		if (take_hist(out->a, s, &step, &hint, e) < 0)
			return -1;
	}
	size_t n = 0;
	while (n < s->n && !is_blank(s->p[n]))
		n++;
	if (!take_times(str_n(s->p, n), &times))
		return bad_slot(*s, e);
	*s = str_from(*s, n);
	for (uint64_t i = 0; i <= times; i++) {
		push(out, (struct slot){ .h = h, .hint_set = hint });
		if (step && i < times && hist_text_step(out->a, h, step, sign, &h, e) < 0)
			return -1;
	}
	return 0;
}

int series_text_parse(struct arena *a, struct str line, struct series_text *out,
		      struct err *e)
{
	struct slots slots = { .a = a };
	struct str s = line;
	if (take_labels(a, &s, &out->labels, e) < 0)
		return -1;
	while ((s = skip(s)).n) {
		size_t n = 0;
		if (s.p[0] == '{') {
			if (add_hists(&slots, &s, e) < 0)
				return -1;
			continue;
		}
		while (n < s.n && !is_blank(s.p[n]))
			n++;
		if (add_word(&slots, str_n(s.p, n), e) < 0)
			return -1;
		s = str_from(s, n);
	}
	out->slot = slots.v;
	out->n = slots.n;
	return 0;
}

/* ---- start timestamps ---- */

bool series_text_is_start(struct str line)
{
	size_t n = 0;
	while (n < line.n && !is_blank(line.p[n]))
		n++;
	return n < line.n && str_has_suffix(str_n(line.p, n), STR("@st"));
}

/* A signed duration off the front of *s. */
static bool take_offset(struct str *s, double *ms)
{
	size_t i = s->n && (s->p[0] == '-' || s->p[0] == '+'), from = i;
	int64_t v;
	while (i < s->n && s->p[i] >= '0' && s->p[i] <= '9')
		i++;
	while (i < s->n && s->p[i] >= 'a' && s->p[i] <= 'z' && s->p[i] != 'x')
		i++;
	if (!time_parse_duration_ms(str_n(s->p + from, i - from), &v))
		return false;
	*ms = (double)(s->p[0] == '-' ? -v : v);
	*s = str_from(*s, i);
	return true;
}

static int add_start(struct slots *out, struct str word, struct err *e)
{
	double at, step = 0;
	uint64_t times;
	struct str s = word;
	if (word.p[0] == '_')
		return add_word(out, word, e);
	if (!take_offset(&s, &at) ||
	    (s.n && s.p[0] != 'x' && (!take_offset(&s, &step) || !s.n)) ||
	    !take_times(s, &times))
		return bad_slot(word, e);
	for (uint64_t i = 0; i <= times; i++, at += step)
		push(out, (struct slot){ .v = at });
	return 0;
}

int series_text_parse_start(struct arena *a, struct str line, struct series_text *out,
			    struct err *e)
{
	struct slots slots = { .a = a };
	ptrdiff_t at = str_find(line, STR("@st"));
	struct str metric = str_n(line.p, (size_t)at), s = str_from(line, (size_t)at + 3);
	if (take_labels(a, &metric, &out->labels, e) < 0)
		return -1;
	while ((s = skip(s)).n) {
		size_t n = 0;
		while (n < s.n && !is_blank(s.p[n]))
			n++;
		if (add_start(&slots, str_n(s.p, n), e) < 0)
			return -1;
		s = str_from(s, n);
	}
	out->slot = slots.v;
	out->n = slots.n;
	return 0;
}
