/*
 * model/regex_plan.c - a superset of what a pattern matches, exact where it is simple.
 *
 * The pattern is read once into a list of alternatives, each a string of tokens: bytes, gaps (".*"
 * and ".+") and "opaque" (anything at all, where a construct is not followed further). Joining two
 * parts is a cross product, | and ? are unions. Too large a list is widened by opaque, so work and
 * memory stay bounded: at most ALTS_MAX alternatives and TOKENS_MAX tokens.
 *
 *   no gap, no opaque    the set of values is known: binary search
 *   gaps, no opaque      globs: first and last literal anchored, those between found leftmost
 *   opaque               RE2 decides, after the common prefix and suffix let the value pass
 *
 * RE2 has accepted the pattern before, so syntax is not judged here; flags and rare escapes give up.
 * A gap stands for bytes: exact, as literals hold whole UTF-8 sequences.
 */
#include "model/regex_plan.h"

#include "base/vec.h"

#define ALTS_MAX   4096
#define TOKENS_MAX (256u << 10)
#define SHOWN_MAX  256 /* literals shown in info */
#define GLOBS_MAX  64
#define DEPTH_MAX  64
#define CLASS_MAX  64

enum { TOK_ANY = 256, TOK_SOME, TOK_OPAQUE };

struct alt {
	uint16_t *t;
	uint32_t n, cap;
};
struct alts {
	struct alt *v;
	uint32_t n, cap;
	size_t tokens;
};
struct parser {
	struct arena *a;
	const char *p, *end;
	int depth;
	bool give_up;
};

/* ---- alternatives ---- */

static void tok_add(struct parser *ps, struct alts *of, struct alt *x, uint16_t t)
{
	if (t >= TOK_ANY && x->n && x->t[x->n - 1] >= TOK_ANY) { /* neighbours join */
		uint16_t *last = &x->t[x->n - 1];
		if (t == TOK_OPAQUE || (t == TOK_SOME && *last == TOK_SOME))
			*last = TOK_OPAQUE;
		else if (t == TOK_SOME && *last == TOK_ANY)
			*last = TOK_SOME;
		return;
	}
	if (x->n == x->cap) {
		uint32_t cap = x->cap ? 2 * x->cap : 16;
		uint16_t *p = arena_alloc(ps->a, cap * sizeof *p);
		if (x->n)
			memcpy(p, x->t, x->n * sizeof *p);
		x->t = p;
		x->cap = cap;
	}
	x->t[x->n++] = t;
	of->tokens++;
}

static struct alt *alt_add(struct parser *ps, struct alts *to)
{
	if (to->n == to->cap) {
		uint32_t cap = to->cap ? 2 * to->cap : 4;
		struct alt *v = arena_alloc(ps->a, cap * sizeof *v);
		if (to->n)
			memcpy(v, to->v, to->n * sizeof *v);
		to->v = v;
		to->cap = cap;
	}
	to->v[to->n] = (struct alt){ 0 };
	return &to->v[to->n++];
}

static struct alts alts_tok(struct parser *ps, uint16_t t)
{
	struct alts x = { 0 };
	tok_add(ps, &x, alt_add(ps, &x), t);
	return x;
}

static struct alts alts_empty(struct parser *ps)
{
	struct alts x = { 0 };
	alt_add(ps, &x);
	return x;
}

static void add_all(struct parser *ps, struct alts *of, struct alt *to,
		    const struct alt *x)
{
	for (uint32_t i = 0; i < x->n; i++)
		tok_add(ps, of, to, x->t[i]);
}

/* *l = *l followed by r. */
static void alts_join(struct parser *ps, struct alts *l, struct alts r)
{
	if (l->n == 1 && l->v[0].n == 0) {
		*l = r;
		return;
	}
	size_t need = l->tokens * r.n + r.tokens * l->n;
	if ((size_t)l->n * r.n > ALTS_MAX || need > TOKENS_MAX)
		r = alts_tok(ps, TOK_OPAQUE);
	if (l->tokens + l->n > TOKENS_MAX) {
		*l = alts_tok(ps, TOK_OPAQUE);
		return;
	}
	if (r.n == 1) {
		for (uint32_t i = 0; i < l->n; i++)
			add_all(ps, l, &l->v[i], &r.v[0]);
		return;
	}
	struct alts out = { 0 };
	for (uint32_t i = 0; i < l->n; i++) {
		for (uint32_t j = 0; j < r.n; j++) {
			struct alt *x = alt_add(ps, &out);
			add_all(ps, &out, x, &l->v[i]);
			add_all(ps, &out, x, &r.v[j]);
		}
	}
	*l = out;
}

static void alts_unite(struct parser *ps, struct alts *l, struct alts r)
{
	if (l->n + r.n > ALTS_MAX || l->tokens + r.tokens > TOKENS_MAX) {
		*l = alts_tok(ps, TOK_OPAQUE);
		return;
	}
	for (uint32_t j = 0; j < r.n; j++)
		*alt_add(ps, l) = r.v[j];
	l->tokens += r.tokens;
}

/* ---- the pattern ---- */

static struct alts parse_alternation(struct parser *ps);

static bool at(const struct parser *ps, char c)
{
	return ps->p < ps->end && *ps->p == c;
}

static bool in_list(char c, const char *list)
{
	return c && strchr(list, c);
}

/* The byte an escape stands for, -1: a class or assertion, -2: not followed. p is behind \. */
static int escape_value(struct parser *ps)
{
	static const char from[] = "ntrfva", to[] = "\n\t\r\f\v\a";
	char c = ps->p < ps->end ? *ps->p++ : '\0';
	const char *hit = c ? strchr(from, c) : NULL;
	if (hit)
		return to[hit - from];
	if (in_list(c, "dDsSwWbBAz"))
		return -1;
	bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || c == '_';
	return word || c <= 0 ? -2 : c;
}

static struct alts parse_escape(struct parser *ps)
{
	int v = escape_value(ps);
	if (v == -2)
		ps->give_up = true;
	return alts_tok(ps, v < 0 ? TOK_OPAQUE : (uint16_t)v);
}

/* One end of a class range; -1: more than one byte, or not followed. */
static int class_char(struct parser *ps)
{
	uint8_t c = (uint8_t)*ps->p++;
	if (c == '[' && at(ps, ':')) { /* [:alpha:] */
		ptrdiff_t off =
			str_find(str_n(ps->p, (size_t)(ps->end - ps->p)), STR(":]"));
		if (off < 0)
			ps->give_up = true;
		else
			ps->p += off + 2;
		return -1;
	}
	if (c == '\\') {
		int v = escape_value(ps);
		if (v == -2)
			ps->give_up = true;
		return v < 0 ? -1 : v;
	}
	return c < 0x80 ? c : -1;
}

/* p is behind [; a class of few ASCII characters is a union, any other opaque. */
static struct alts parse_class(struct parser *ps)
{
	struct alts out = { 0 };
	bool opaque = at(ps, '^'), first = true;
	bool has[128] = { false };
	int n = 0;
	ps->p += opaque;
	while (ps->p < ps->end && !ps->give_up && (first || *ps->p != ']')) {
		first = false;
		int lo = class_char(ps), hi = lo;
		if (at(ps, '-') && ps->p + 1 < ps->end && ps->p[1] != ']') {
			ps->p++;
			hi = class_char(ps);
		}
		opaque |= lo < 0 || hi < 0;
		for (int c = lo; !opaque && c <= hi; c++)
			has[c] = true;
	}
	if (!at(ps, ']'))
		ps->give_up = true;
	else
		ps->p++;
	for (int c = 0; c < 128; c++)
		n += has[c];
	if (opaque || n == 0 || n > CLASS_MAX)
		return alts_tok(ps, TOK_OPAQUE);
	for (int c = 0; c < 128; c++)
		if (has[c])
			tok_add(ps, &out, alt_add(ps, &out), (uint16_t)c);
	return out;
}

/* p is behind (. */
static struct alts parse_group(struct parser *ps)
{
	struct str rest = str_n(ps->p, (size_t)(ps->end - ps->p));
	if (str_has_prefix(rest, STR("?:"))) {
		ps->p += 2;
	} else if (str_has_prefix(rest, STR("?s:"))) {
		ps->p += 3;
	} else if (str_has_prefix(rest, STR("?P<"))) {
		ptrdiff_t off = str_find_char(rest, '>');
		ps->p += off < 0 ? 0 : off + 1;
		ps->give_up |= off < 0;
	} else if (at(ps, '?')) {
		ps->give_up = true;
	}
	if (++ps->depth > DEPTH_MAX)
		ps->give_up = true;
	struct alts in = ps->give_up ? alts_empty(ps) : parse_alternation(ps);
	ps->depth--;
	if (!at(ps, ')'))
		ps->give_up = true;
	else
		ps->p++;
	return in;
}

/* Length of {n}, {n,} or {n,m} at p, 0: an ordinary brace. */
static size_t braces_len(const struct parser *ps)
{
	const char *q = ps->p + 1;
	size_t digits = 0, commas = 0;
	for (; q < ps->end && *q != '}'; q++) {
		if (*q == ',' && digits && !commas)
			commas++;
		else if (*q >= '0' && *q <= '9')
			digits++;
		else
			return 0;
	}
	return q < ps->end && digits ? (size_t)(q + 1 - ps->p) : 0;
}

static struct alts parse_atom(struct parser *ps, bool *dot)
{
	unsigned len = str_utf8_len(ps->p, (size_t)(ps->end - ps->p));
	char c = *ps->p;
	*dot = false;
	if (len > 1) {
		struct alts x = alts_tok(ps, (uint8_t)c);
		for (unsigned i = 1; i < len; i++)
			tok_add(ps, &x, &x.v[0], (uint8_t)ps->p[i]);
		ps->p += len;
		return x;
	}
	ps->p++;
	switch (c) {
	case '(': return parse_group(ps);
	case '[': return parse_class(ps);
	case '\\': return parse_escape(ps);
	case '.': *dot = true; return alts_tok(ps, TOK_OPAQUE);
	case '^':
	case '$': return alts_tok(ps, TOK_OPAQUE);
	default: return alts_tok(ps, (uint8_t)c);
	}
}

/* The quantifiers behind an atom. A lazy one matches the same values. */
static void parse_quantifiers(struct parser *ps, struct alts *x, bool dot)
{
	while (ps->p < ps->end && !ps->give_up) {
		char c = *ps->p;
		size_t len = c == '{' ? braces_len(ps) : in_list(c, "*+?");
		if (len == 0)
			return;
		ps->p += len;
		if (at(ps, '?'))
			ps->p++;
		if (dot && (c == '*' || c == '+'))
			*x = alts_tok(ps, c == '*' ? TOK_ANY : TOK_SOME);
		else if (c == '+')
			alts_join(ps, x, alts_tok(ps, TOK_OPAQUE));
		else if (c == '?' && !dot)
			alts_unite(ps, x, alts_empty(ps));
		else
			*x = alts_tok(ps, TOK_OPAQUE);
		dot = false;
	}
}

/* Anchors at the ends of the whole pattern say nothing new. */
static bool skip_anchor(struct parser *ps, bool first)
{
	const char *next = ps->p + 1;
	if (ps->depth > 0)
		return false;
	bool skip = (first && *ps->p == '^' &&
		     (next == ps->end || !in_list(*next, "*+?{"))) ||
		    (*ps->p == '$' && (next == ps->end || *next == '|'));
	ps->p += skip;
	return skip;
}

static struct alts parse_concat(struct parser *ps)
{
	struct alts out = alts_empty(ps);
	const char *from = ps->p;
	while (ps->p < ps->end && *ps->p != '|' && *ps->p != ')' && !ps->give_up) {
		if (skip_anchor(ps, ps->p == from))
			continue;
		bool dot;
		struct alts x = parse_atom(ps, &dot);
		parse_quantifiers(ps, &x, dot);
		alts_join(ps, &out, x);
	}
	return out;
}

static struct alts parse_alternation(struct parser *ps)
{
	struct alts out = parse_concat(ps);
	while (at(ps, '|') && !ps->give_up) {
		ps->p++;
		alts_unite(ps, &out, parse_concat(ps));
	}
	return out;
}

/* ---- the plan ---- */

static uint32_t head_len(const struct alt *x)
{
	uint32_t n = 0;
	while (n < x->n && x->t[n] < TOK_ANY)
		n++;
	return n;
}

static uint32_t tail_len(const struct alt *x)
{
	uint32_t n = 0;
	while (n < x->n && x->t[x->n - 1 - n] < TOK_ANY)
		n++;
	return n;
}

/* n tokens from `from` on, all bytes. An alternative without tokens has no array to point into. */
static struct str bytes_of(struct arena *a, const struct alt *x, uint32_t from,
			   uint32_t n)
{
	char *p = arena_alloc(a, n + 1);
	for (uint32_t i = 0; i < n; i++)
		p[i] = (char)x->t[from + i];
	p[n] = '\0';
	return str_n(p, n);
}

static void make_ends(struct arena *a, const struct alts *x, struct regex_info *info)
{
	uint32_t head = head_len(&x->v[0]), tail = tail_len(&x->v[0]);
	const struct alt *f = &x->v[0];
	for (uint32_t i = 1; i < x->n; i++) {
		const struct alt *y = &x->v[i];
		uint32_t n = head_len(y), same = 0;
		while (same < MIN(head, n) && f->t[same] == y->t[same])
			same++;
		head = same;
		n = tail_len(y);
		same = 0;
		while (same < MIN(tail, n) &&
		       f->t[f->n - 1 - same] == y->t[y->n - 1 - same])
			same++;
		tail = same;
	}
	info->prefix = bytes_of(a, f, 0, head);
	info->suffix = bytes_of(a, f, f->n - tail, tail);
}

static int cmp_str(const void *a, const void *b, void *arg)
{
	const struct str *x = a, *y = b;
	(void)arg;
	return str_cmp(*x, *y);
}

static void make_set(struct arena *a, const struct alts *x, struct regex_plan *out)
{
	struct str *v = arena_alloc(a, x->n * sizeof *v);
	size_t n = 0;
	for (uint32_t i = 0; i < x->n; i++)
		v[i] = bytes_of(a, &x->v[i], 0, x->v[i].n);
	vec_sort(v, x->n, sizeof *v, cmp_str, NULL);
	for (uint32_t i = 0; i < x->n; i++)
		if (n == 0 || !str_eq(v[n - 1], v[i]))
			v[n++] = v[i];
	out->kind = PLAN_SET;
	out->set = v;
	out->n_set = n;
	if (n <= SHOWN_MAX) {
		out->info.set = true;
		out->info.literals = v;
		out->info.n = n;
	}
}

static struct plan_glob make_glob(struct arena *a, const struct alt *x)
{
	uint32_t gaps = 0;
	for (uint32_t i = 0; i < x->n; i++)
		gaps += x->t[i] >= TOK_ANY;
	struct plan_glob g = { arena_alloc(a, (gaps + 1) * sizeof(struct str)),
			       arena_alloc(a, gaps + 1), 0 };
	uint32_t from = 0;
	for (uint32_t i = 0; i <= x->n; i++) {
		if (i < x->n && x->t[i] < TOK_ANY)
			continue;
		g.lit[g.n_lits] = bytes_of(a, x, from, i - from);
		g.gap[g.n_lits++] = i < x->n && x->t[i] == TOK_SOME;
		from = i + 1;
	}
	return g;
}

static void make_globs(struct arena *a, const struct alts *x, struct regex_plan *out)
{
	out->globs = arena_alloc(a, x->n * sizeof *out->globs);
	for (uint32_t i = 0; i < x->n; i++)
		out->globs[out->n_globs++] = make_glob(a, &x->v[i]);
	out->kind = PLAN_GLOB;
	for (uint32_t i = 0; i < x->n; i++) {
		out->info.match_all |= x->v[i].n == 1 && x->v[i].t[0] == TOK_ANY;
		out->info.match_some |=
			x->n == 1 && x->v[i].n == 1 && x->v[i].t[0] == TOK_SOME;
	}
}

void regex_plan_make(struct arena *a, struct str pattern, struct regex_plan *out)
{
	struct arena tmp;
	arena_init(&tmp, NULL);
	pattern = pattern.n ? pattern : STR("");
	struct parser ps = { &tmp, pattern.p, pattern.p + pattern.n, 0, false };
	struct alts x = parse_alternation(&ps);
	*out = (struct regex_plan){ 0 };
	if (!ps.give_up && ps.p == ps.end) {
		bool gap = false, opaque = false;
		for (uint32_t i = 0; i < x.n; i++) {
			for (uint32_t j = 0; j < x.v[i].n; j++) {
				gap |= x.v[i].t[j] >= TOK_ANY;
				opaque |= x.v[i].t[j] == TOK_OPAQUE;
			}
		}
		make_ends(a, &x, &out->info);
		if (!gap)
			make_set(a, &x, out);
		else if (!opaque && x.n <= GLOBS_MAX)
			make_globs(a, &x, out);
	}
	arena_deinit(&tmp);
}

/* ---- matching ---- */

static bool set_has(const struct regex_plan *p, struct str s)
{
	size_t lo = 0, hi = p->n_set;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(p->set[mid], s);
		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool glob_match(const struct plan_glob *g, struct str s)
{
	if (g->n_lits == 1)
		return str_eq(g->lit[0], s);
	struct str last = g->lit[g->n_lits - 1];
	if (!str_has_prefix(s, g->lit[0]))
		return false;
	s = str_from(s, g->lit[0].n);
	for (uint32_t i = 1; i + 1 < g->n_lits; i++) {
		if (s.n < g->gap[i - 1])
			return false;
		s = str_from(s, g->gap[i - 1]);
		ptrdiff_t off = str_find(s, g->lit[i]);
		if (off < 0)
			return false;
		s = str_from(s, (size_t)off + g->lit[i].n);
	}
	return s.n >= last.n + g->gap[g->n_lits - 2] && str_has_suffix(s, last);
}

int regex_plan_match(const struct regex_plan *p, struct str s)
{
	if (p->kind == PLAN_SET)
		return set_has(p, s);
	if (p->kind == PLAN_GLOB) {
		for (size_t i = 0; i < p->n_globs; i++)
			if (glob_match(&p->globs[i], s))
				return 1;
		return 0;
	}
	if (!str_has_prefix(s, p->info.prefix) || !str_has_suffix(s, p->info.suffix))
		return 0;
	return -1;
}
