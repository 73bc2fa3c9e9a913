/*
 * tsdb/index/postings.c - from matchers to the series that match.
 *
 *   list: | u32 length | u32 count | count x u32 series ref (offset / 16), ascending | u32 CRC |
 *
 * Each matcher becomes a choice of lists. One that refuses the empty value takes the series of the
 * values it matches ("add"). One that accepts it also accepts series without the label, which no
 * list names, so it takes away the series of the values it does NOT match ("subtract"). With nothing
 * to add, all series are the start. Which values a regular expression matches is looked up where it
 * is a set of literals, narrowed to a range of the table by a literal prefix, and tried value by
 * value else; `.+` and `.*` are not tried at all.
 *
 * The smallest "add" is united in memory; every later choice is only marked on that set, list by
 * list, so a union over a large label is never built. Lists are fetched in windows of 16 MiB over
 * all choices in order of use: small queries need one coalesced read, and large ones stay bounded.
 */
#include "tsdb/index/index_int.h"

#define CHECK_BYTES                                                                      \
	((size_t)64 << 10) /* of values tried, between looks at the query's end */

#include <inttypes.h>

#include "base/hash.h"
#include "base/vec.h"
#include "model/regex.h"

#define WINDOW_BYTES (16u << 20)
#define WINDOW_LISTS 8192
#define LIST_ALL     UINT32_MAX

struct choice {
	bool add;
	uint32_t *pos; /* places in the offset table; NULL: first, first + 1, ... */
	uint32_t first;
	size_t n;
	uint64_t bytes; /* about what the lists take */
};

struct query {
	struct idx_reader *r;
	struct ctx *ctx;
	struct arena keep;    /* lists of the first choice, the set, marks */
	struct arena scratch; /* one decoded list */
	struct choice *choice;
	size_t n_choices;
	struct postings set; /* once the first choice is done */
	struct postings *first;
	size_t first_sum;
};

/* ---- which lists ---- */

static uint32_t choice_at(const struct choice *c, size_t i)
{
	return c->pos ? c->pos[i] : c->first + (uint32_t)i;
}

static bool find_value(const struct idx_reader *r, const struct idx_name *m,
		       struct str value, uint32_t *pos)
{
	bool eq;
	uint32_t ord = idx_symbols_find(&r->symbols, 0, value, &eq);
	uint32_t lo = m->first, hi = m->first + m->n;

	if (!eq)
		return false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (r->offsets.value[mid] < ord)
			lo = mid + 1;
		else
			hi = mid;
	}
	*pos = lo;
	return lo < m->first + m->n && r->offsets.value[lo] == ord;
}

static int choose_literals(struct query *q, const struct idx_name *m,
			   const struct str *literals, size_t n, struct choice *c,
			   struct err *e)
{
	c->pos = arena_try(&q->keep, q->ctx, (n ? n : 1) * sizeof(*c->pos), e);
	if (!c->pos)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (literals[i].n && find_value(q->r, m, literals[i], &c->pos[c->n]))
			c->n++;
	return 0;
}

/* The places [*from, *to) of a name whose values begin with prefix. */
static void narrow(const struct idx_reader *r, struct str prefix, uint32_t *from,
		   uint32_t *to)
{
	uint32_t lo = *from, hi = *to;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (str_cmp(idx_symbols_get(&r->symbols, r->offsets.value[mid]), prefix) <
		    0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*from = lo;
	hi = *to;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct str v = idx_symbols_get(&r->symbols, r->offsets.value[mid]);
		if (str_has_prefix(v, prefix))
			lo = mid + 1;
		else
			hi = mid;
	}
	*to = lo;
}

/* Try value by value. Those are chosen whose match differs from that of the empty value. */
static int choose_matching(struct query *q, const struct idx_name *m,
			   const struct matcher *match, struct str prefix,
			   struct choice *c, struct err *e)
{
	uint32_t from = m->first, to = m->first + m->n;
	size_t cap = 0, seen = CHECK_BYTES;

	if (prefix.n)
		narrow(q->r, prefix, &from, &to);
	for (uint32_t i = from; i < to; i++) {
		struct str v = idx_symbols_get(&q->r->symbols, q->r->offsets.value[i]);
		seen += v.n + 16;
		if (seen > CHECK_BYTES) { /* expressions take their time by the byte */
			seen = 0;
			if (ctx_check(q->ctx, e) < 0)
				return -1;
		}
		if (matcher_matches(match, v) != c->add)
			continue;
		if (c->n == cap) {
			size_t want = cap ? cap * 2 : 256;
			uint32_t *p = arena_try(&q->keep, q->ctx, want * sizeof(*p), e);
			if (!p)
				return -1;
			if (c->n)
				memcpy(p, c->pos, c->n * sizeof(*p));
			c->pos = p;
			cap = want;
		}
		c->pos[c->n++] = i;
	}
	return 0;
}

static int choose(struct query *q, const struct matcher *m, struct choice *c,
		  struct err *e)
{
	const struct idx_name *name =
		idx_offsets_name(&q->r->offsets, &q->r->symbols, m->name);
	bool is_re = m->type == MATCH_RE || m->type == MATCH_NRE;
	const struct regex_info *info = is_re ? regex_info(m->re) : NULL;

	*c = (struct choice){ .add = !matcher_matches_empty(m) };
	if (!name)
		return 0;
	/* A choice of what matches the pattern itself: =, =~ add, or !=, !~ subtract. */
	bool by_pattern = c->add == (m->type == MATCH_EQ || m->type == MATCH_RE);
	if (!is_re && by_pattern && m->value.n)
		return choose_literals(q, name, &m->value, 1, c, e);
	if (!is_re || (by_pattern && info->match_some)) {
		/* ="" takes away, !="" adds, whatever the value; so do !~".+" and =~".+" */
		c->first = name->first;
		c->n = name->n;
		return 0;
	}
	if (info->match_all)
		return 0;
	if (by_pattern && info->set)
		return choose_literals(q, name, info->literals, info->n, c, e);
	return choose_matching(q, name, m, by_pattern ? info->prefix : STR_NULL, c, e);
}

static int cmp_choice(const void *a, const void *b, void *arg)
{
	const struct choice *x = a, *y = b;
	(void)arg;

	if (x->add != y->add)
		return x->add ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Fill q->choice, smallest "add" first; *none: nothing can match. */
static int choose_all(struct query *q, const struct matcher *m, size_t n, bool *none,
		      struct err *e)
{
	const struct idx_offsets *o = &q->r->offsets;
	size_t adds = 0;

	q->choice = ARENA_ARRAY(&q->keep, struct choice, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct choice *c = &q->choice[q->n_choices];
		if (choose(q, &m[i], c, e) < 0)
			return -1;
		if (c->add && c->n == 0) {
			*none = true;
			return 0;
		}
		if (c->n == 0)
			continue;
		for (size_t k = 0; k < c->n; k++)
			c->bytes += idx_offsets_span(o, choice_at(c, k));
		adds += c->add;
		q->n_choices++;
	}
	if (adds == 0) {
		q->choice[q->n_choices++] =
			(struct choice){ .add = true, .first = LIST_ALL, .n = 1 };
		if (o->all == 0 && o->n > 0)
			return err_set(q->ctx, e, E_CORRUPT,
				       "postings: no list of all series");
		*none = o->all == 0;
	}
	vec_sort(q->choice, q->n_choices, sizeof(*q->choice), cmp_choice, NULL);
	return 0;
}

/* ---- one list ---- */

static int list_error(struct query *q, uint32_t pos, struct err *e, const char *what)
{
	const struct idx_reader *r = q->r;
	struct str name = STR_NULL, value;

	if (pos == LIST_ALL)
		return err_set(q->ctx, e, E_CORRUPT, "postings of all series: %s", what);
	value = idx_symbols_get(&r->symbols, r->offsets.value[pos]);
	for (uint32_t i = 0; i < r->offsets.n_names; i++)
		if (pos - r->offsets.name[i].first < r->offsets.name[i].n)
			name = idx_symbols_get(&r->symbols, r->offsets.name[i].symbol);
	return err_set(q->ctx, e, E_CORRUPT, "postings of %.*s=\"%.*s\": %s",
		       (int)MIN(name.n, 200), name.p ? name.p : "",
		       (int)MIN(value.n, 200), value.p, what);
}

static uint64_t list_offset(const struct query *q, uint32_t pos)
{
	return pos == LIST_ALL ? q->r->offsets.all : idx_offsets_get(&q->r->offsets, pos);
}

/* Where to read the list and how much at first. */
static int list_range(struct query *q, uint32_t pos, struct range *out, struct err *e)
{
	const struct idx_offsets *o = &q->r->offsets;
	uint64_t off = list_offset(q, pos), size = q->r->index->size, span;

	if (off > size || size - off < 12)
		return list_error(q, pos, e, "offset beyond the file");
	if (pos != LIST_ALL)
		span = idx_offsets_span(o, pos);
	else if (o->n > 0 && idx_offsets_get(o, 0) > off)
		span = idx_offsets_get(o, 0) - off;
	else
		span = 4096;
	if (span > WINDOW_BYTES)
		span = WINDOW_BYTES;
	out->off = off;
	out->len = MIN(MAX(span, 12), size - off);
	return 0;
}

/* The view holds the whole list, or it is read again at its full length. */
static int list_complete(struct query *q, uint32_t pos, struct view *v, struct err *e)
{
	struct rd r = rd_n(v->p, v->n);
	uint64_t len = rd_be32(&r), off = list_offset(q, pos);

	if (v->n >= len + 8)
		return 0;
	if (len + 8 > q->r->index->size - off)
		return list_error(q, pos, e, "length beyond the file");
	view_put(v);
	return range_source_read1(q->r->index, q->ctx, off, len + 8, v, e);
}

static int list_decode(struct query *q, uint32_t pos, const struct view *v,
		       struct arena *a, struct postings *out, struct err *e)
{
	struct rd r = rd_n(v->p, v->n);
	uint32_t len = rd_be32(&r);
	struct rd body = rd_of(rd_bytes(&r, len));
	const uint8_t *content = body.p;
	bool sorted = true;

	if (crc32c(0, content, len) != rd_be32(&r) || r.bad)
		return list_error(q, pos, e, "checksum mismatch");
	uint32_t n = rd_be32(&body);
	if (body.bad || (uint64_t)n * 4 != rd_left(&body))
		return list_error(q, pos, e, "count and length do not agree");
	uint32_t *ref = arena_try(a, q->ctx, ((size_t)n + 1) * sizeof(*ref), e);
	if (!ref)
		return -1;
	const uint8_t *p = body.p;
	for (uint32_t i = 0; i < n; i++, p += 4) {
		uint32_t be;
		memcpy(&be, p, 4);
		ref[i] = __builtin_bswap32(be);
		sorted &= i == 0 || ref[i - 1] < ref[i];
	}
	size_t count = n;
	if (!sorted) {
		uint32_t *tmp = arena_try(a, q->ctx, (size_t)n * sizeof(*ref), e);
		if (!tmp)
			return -1;
		ref = idx_ops_sort_unique(ref, tmp, &count);
	}
	*out = (struct postings){ .ref = ref, .n = count };
	return 0;
}

/* ---- combining ---- */

static int finish_first(struct query *q, struct err *e)
{
	const struct choice *c = &q->choice[0];
	size_t bytes = (q->first_sum + 1) * sizeof(uint32_t);

	if (c->n == 1) {
		q->set = q->first[0];
		return 0;
	}
	uint32_t *buf = arena_try(&q->keep, q->ctx, bytes, e);
	uint32_t *tmp = buf ? arena_try(&q->keep, q->ctx, bytes, e) : NULL;
	if (!tmp)
		return -1;
	q->set.ref = idx_ops_union(buf, tmp, q->first, c->n, &q->set.n);
	return 0;
}

/* Keep the marked ones (add) or the others (subtract); the array is our own. */
static void apply_marks(struct postings *set, const uint64_t *marks, bool add,
			uint32_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		if ((marks[i / 64] >> (i % 64) & 1) == add)
			out[n++] = set->ref[i];
	*set = (struct postings){ .ref = out, .n = n };
}

struct cursor { /* over all lists of all choices */
	size_t choice, list;
};

static bool cursor_next(const struct query *q, struct cursor *c)
{
	if (c->choice < q->n_choices && ++c->list >= q->choice[c->choice].n) {
		c->choice++;
		c->list = 0;
	}
	return c->choice < q->n_choices;
}

struct combine {
	struct cursor at; /* the list to come */
	uint64_t *marks;
	uint32_t *out; /* where sets after the first are made, over and over */
};

static int begin_marks(struct query *q, struct combine *m, struct err *e)
{
	size_t words = q->set.n / 64 + 1;

	if (!m->marks) {
		m->marks = arena_try(&q->keep, q->ctx, words * sizeof(*m->marks), e);
		m->out = m->marks ? arena_try(&q->keep, q->ctx,
					      (q->set.n + 1) * sizeof(*m->out), e)
				  : NULL;
		if (!m->out)
			return -1;
	}
	memset(m->marks, 0, words * sizeof(*m->marks));
	return 0;
}

/* Take in the list at the cursor. */
static int combine_list(struct query *q, struct combine *m, struct view *v, struct err *e)
{
	const struct choice *c = &q->choice[m->at.choice];
	uint32_t pos = choice_at(c, m->at.list);
	bool last = m->at.list + 1 == c->n;
	struct postings p;

	if (list_complete(q, pos, v, e) < 0)
		return -1;
	if (m->at.choice == 0) {
		if (list_decode(q, pos, v, &q->keep, &q->first[m->at.list], e) < 0)
			return -1;
		q->first_sum += q->first[m->at.list].n;
		return last ? finish_first(q, e) : 0;
	}
	if (m->at.list == 0 && begin_marks(q, m, e) < 0)
		return -1;
	if (list_decode(q, pos, v, &q->scratch, &p, e) < 0)
		return -1;
	idx_ops_mark(m->marks, q->set, p);
	arena_reset(&q->scratch);
	if (last)
		apply_marks(&q->set, m->marks, c->add, m->out);
	return 0;
}

/* Read the lists from the cursor on, as many as fit a window, and take them in. */
static int run_window(struct query *q, struct combine *m, struct range *range,
		      struct view *view, struct err *e)
{
	struct cursor c = m->at;
	uint64_t bytes = 0;
	size_t n = 0;
	int rc = 0;

	if (ctx_check(q->ctx, e) < 0)
		return -1;
	do {
		if (list_range(q, choice_at(&q->choice[c.choice], c.list), &range[n], e) <
		    0)
			return -1;
		view[n] = (struct view){ 0 };
		bytes += range[n++].len;
	} while (cursor_next(q, &c) && n < WINDOW_LISTS && bytes < WINDOW_BYTES);
	if (range_source_read(q->r->index, q->ctx, range, n, view, e) < 0)
		return err_wrap(q->ctx, e, "postings");
	for (size_t i = 0; i < n; i++) {
		bool stop = m->at.choice > 0 && q->set.n == 0;
		if (rc == 0 && !stop)
			rc = combine_list(q, m, &view[i], e);
		view_put(&view[i]);
		if (!stop)
			cursor_next(q, &m->at);
	}
	return rc;
}

static int run(struct query *q, struct err *e)
{
	struct combine m = { 0 };
	size_t lists = 0;

	for (size_t i = 0; i < q->n_choices; i++)
		lists += q->choice[i].n;
	lists = MIN(lists, WINDOW_LISTS);
	struct range *range = arena_try(&q->keep, q->ctx, lists * sizeof(*range), e);
	struct view *view =
		range ? arena_try(&q->keep, q->ctx, lists * sizeof(*view), e) : NULL;
	if (!view)
		return -1;
	q->first = arena_try(&q->keep, q->ctx, q->choice[0].n * sizeof(*q->first), e);
	if (!q->first)
		return -1;
	while (m.at.choice < q->n_choices && (m.at.choice == 0 || q->set.n > 0))
		if (run_window(q, &m, range, view, e) < 0)
			return -1;
	return 0;
}

int idx_postings(struct idx_reader *r, struct ctx *ctx, struct arena *a,
		 const struct matcher *m, size_t n, struct postings *out, struct err *e)
{
	struct query q = { .r = r, .ctx = ctx };
	bool none = false;
	int rc;

	arena_init(&q.keep, ctx->budget);
	arena_init(&q.scratch, ctx->budget);
	rc = choose_all(&q, m, n, &none, e);
	if (rc == 0 && !none)
		rc = run(&q, e);
	if (rc == 0) {
		uint32_t *ref = arena_try(a, ctx, (q.set.n + 1) * sizeof(*ref), e);
		if (ref && q.set.n)
			memcpy(ref, q.set.ref, q.set.n * sizeof(*ref));
		*out = (struct postings){ .ref = ref, .n = q.set.n };
		rc = ref ? 0 : -1;
	}
	arena_deinit(&q.scratch);
	arena_deinit(&q.keep);
	return rc;
}
