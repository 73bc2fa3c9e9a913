/*
 * inspect/walk.c - all series of an index in the order of the file, each entry looked at from every side.
 *
 * Behind a damaged entry the walk goes on where the list of all series says that the next one begins. Labels are
 * compared by their ordinals, which sort as the symbols do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "inspect/inspect_int.h"
#include "wire/rd.h"

#define FILE_NAME   "index"
#define ALIGN	    16
#define VARINT_MAX  10
#define NAME_SHOWN  60 /* bytes of a label's value in messages */
#define NAME_LABELS 8

typedef unsigned long long ull;

void inspect_series_name(const struct inspect_walk *w, const struct inspect_series *s,
			 char out[200])
{
	size_t n = 0;
	out[n++] = '{';
	for (uint32_t i = 0; i < s->n_labels && i < NAME_LABELS && n < 150; i++) {
		struct str k = inspect_symbol(w, s->label[2 * i]),
			   v = inspect_symbol(w, s->label[2 * i + 1]);
		int got = snprintf(out + n, 180 - n, "%s%.*s=\"%.*s\"", i ? ", " : "",
				   (int)MIN(k.n, (size_t)NAME_SHOWN), k.p,
				   (int)MIN(v.n, (size_t)NAME_SHOWN), v.p);
		n = MIN(n + (size_t)got, (size_t)179);
	}
	snprintf(out + n, 200 - n, "%s}", s->n_labels > NAME_LABELS ? ", ..." : "");
}

/* ---- one entry ---- */

struct entry {
	uint64_t pos; /* of its length */
	uint64_t number;
};

static void bad(struct inspect_walk *w, const struct entry *x, enum inspect_kind k,
		const char *what)
{
	w->bad_series++;
	inspect_found(w->r, k, FILE_NAME, "series %llu at %llu: %s", (ull)x->number,
		      (ull)x->pos, what);
}

static bool read_labels(struct inspect_walk *w, const struct entry *x, struct rd *r,
			struct inspect_series *s)
{
	uint64_t n = rd_uvarint(r);
	if (r->bad || n > rd_left(r) / 2 || n > LIMIT_LABELS_PER_SERIES) {
		bad(w, x, INSPECT_SERIES, "more labels than the entry holds");
		return false;
	}
	uint32_t *v = arena_alloc(&w->entry, (n + 1) * 2 * sizeof(*v));
	for (uint64_t i = 0; i < 2 * n; i++) {
		uint64_t o = rd_uvarint(r);
		if (r->bad || o >= w->n_symbols) {
			bad(w, x, INSPECT_SERIES,
			    r->bad ? "labels cut short" : "a label refers to no symbol");
			return false;
		}
		v[i] = (uint32_t)o;
	}
	s->label = v;
	s->n_labels = (uint32_t)n;
	return true;
}

static bool read_chunks(struct inspect_walk *w, const struct entry *x, struct rd *r,
			struct inspect_series *s)
{
	uint64_t n = rd_uvarint(r);
	if (r->bad || n > rd_left(r) / 3) {
		bad(w, x, INSPECT_SERIES, "more chunks than the entry holds");
		return false;
	}
	struct idx_chunk *v = arena_alloc(&w->entry, (n + 1) * sizeof(*v));
	uint64_t t = 0, ref = 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t mint = i ? t + rd_uvarint(r) : (uint64_t)rd_varint(r);
		t = mint + rd_uvarint(r);
		ref = i ? ref + (uint64_t)rd_varint(r) : rd_uvarint(r);
		v[i] = (struct idx_chunk){ (int64_t)mint, (int64_t)t, ref };
	}
	if (r->bad || rd_left(r)) {
		bad(w, x, INSPECT_SERIES,
		    r->bad ? "chunks cut short" : "bytes are left behind the last chunk");
		return false;
	}
	s->chunk = v;
	s->n_chunks = (uint32_t)n;
	return true;
}

/* ---- what a sound entry must obey ---- */

static void check_labels(struct inspect_walk *w, const struct inspect_series *s)
{
	char name[200];
	inspect_series_name(w, s, name);
	for (uint32_t i = 0; i < s->n_labels; i++) {
		if (i && s->label[2 * i] <= s->label[2 * i - 2])
			inspect_found(w->r, INSPECT_ORDER, FILE_NAME,
				      "series %llu %s: label names %s", (ull)s->number,
				      name,
				      s->label[2 * i] == s->label[2 * i - 2]
					      ? "are doubled"
					      : "are out of order");
		if (inspect_symbol(w, s->label[2 * i + 1]).n == 0 ||
		    inspect_symbol(w, s->label[2 * i]).n == 0)
			inspect_found(w->r, INSPECT_SERIES, FILE_NAME,
				      "series %llu %s: an empty label", (ull)s->number,
				      name);
	}
	uint32_t i = 0, n = 2 * MIN(s->n_labels, w->n_last);
	while (i < n && s->label[i] == w->last[i])
		i++;
	bool behind = i < n ? s->label[i] > w->last[i] : s->n_labels > w->n_last;
	if (w->n_refs && !behind)
		inspect_found(
			w->r, INSPECT_ORDER, FILE_NAME, "series %llu %s: %s",
			(ull)s->number, name,
			i == n && s->n_labels == w->n_last
				? "the labels of the series before it"
				: "its labels do not follow those of the series before it");
}

static void check_chunks(struct inspect_walk *w, const struct inspect_series *s)
{
	char name[200];
	const struct block_meta *m = w->meta;
	inspect_series_name(w, s, name);
	if (s->n_chunks == 0)
		inspect_found(w->r, INSPECT_SERIES, FILE_NAME,
			      "series %llu %s: no chunks", (ull)s->number, name);
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		const struct idx_chunk *c = &s->chunk[i];
		if (c->mint_ms > c->maxt_ms)
			inspect_found(w->r, INSPECT_RANGE, FILE_NAME,
				      "series %llu %s: chunk %u ends before it begins",
				      (ull)s->number, name, i);
		if (i && c->mint_ms <= c[-1].maxt_ms)
			inspect_found(
				w->r, INSPECT_OVERLAP, FILE_NAME,
				"series %llu %s: chunk %u begins at %lld, chunk %u ends at %lld",
				(ull)s->number, name, i, (long long)c->mint_ms, i - 1,
				(long long)c[-1].maxt_ms);
		if (m && (c->mint_ms < m->mint_ms || c->maxt_ms >= m->maxt_ms))
			inspect_found(
				w->r, INSPECT_RANGE, FILE_NAME,
				"series %llu %s: chunk %u from %lld to %lld is outside the block's %lld to %lld",
				(ull)s->number, name, i, (long long)c->mint_ms,
				(long long)c->maxt_ms, (long long)m->mint_ms,
				(long long)m->maxt_ms);
	}
}

/* ---- what is kept ---- */

static void mark_used(struct inspect_walk *w, uint32_t o)
{
	w->used[o / 8] |= (uint8_t)(1u << (o % 8));
}

static bool matches(const struct inspect_walk *w, const struct inspect_series *s)
{
	for (size_t k = 0; k < w->n_matchers; k++) {
		const struct matcher *m = &w->matchers[k];
		struct str v = STR("");
		for (uint32_t i = 0; i < s->n_labels; i++)
			if (str_eq(inspect_symbol(w, s->label[2 * i]), m->name))
				v = inspect_symbol(w, s->label[2 * i + 1]);
		if (!matcher_matches(m, v))
			return false;
	}
	return true;
}

static size_t new_pair(struct inspect_walk *w, uint32_t name, uint32_t value)
{
	if (w->n_pairs == w->cap_pairs) {
		w->pair = vec_grow(w->pair, &w->cap_pairs, w->n_pairs + 1,
				   sizeof(*w->pair));
		if (w->n_matchers)
			w->matched = xreallocarray(w->matched, w->cap_pairs,
						   sizeof(*w->matched));
	}
	if (w->n_matchers)
		w->matched[w->n_pairs] = 0;
	w->pair[w->n_pairs] = (struct inspect_pair){ .name = name, .value = value };
	return w->n_pairs++;
}

static void keep_pairs(struct inspect_walk *w, const struct inspect_series *s, bool match)
{
	uint64_t range =
		w->meta ? (uint64_t)w->meta->maxt_ms - (uint64_t)w->meta->mint_ms : 0;
	uint64_t uncovered =
		s->n_chunks ? range - ((uint64_t)s->chunk[s->n_chunks - 1].maxt_ms -
				       (uint64_t)s->chunk[0].mint_ms)
			    : range;
	for (uint32_t i = 0; i < s->n_labels; i++) {
		uint32_t name = s->label[2 * i], value = s->label[2 * i + 1];
		uint64_t key = (uint64_t)name << 32 | value;
		uintptr_t at;
		mark_used(w, name);
		mark_used(w, value);
		if (!map64_get(&w->by_pair, key, &at)) {
			at = new_pair(w, name, value);
			map64_set(&w->by_pair, key, at);
		}
		w->pair[at].series++;
		w->pair[at].hash += inspect_ref_hash(s->ref);
		if (match)
			w->pair[at].uncovered += uncovered;
		if (match && w->n_matchers)
			w->matched[at]++;
	}
}

static void keep(struct inspect_walk *w, const struct inspect_series *s, bool match)
{
	keep_pairs(w, s, match);
	w->n_matched += match;
	if (w->n_refs == w->cap_refs)
		w->ref = vec_grow(w->ref, &w->cap_refs, w->n_refs + 1, sizeof(*w->ref));
	w->ref[w->n_refs++] = s->ref;
	w->chunks += match ? s->n_chunks : 0;
	if (2 * (size_t)s->n_labels > w->cap_last)
		w->last = vec_grow(w->last, &w->cap_last, 2 * (size_t)s->n_labels,
				   sizeof(*w->last));
	if (s->n_labels)
		memcpy(w->last, s->label, 2 * s->n_labels * sizeof(*w->last));
	w->n_last = s->n_labels;
}

/* ---- the section ---- */

static int take(struct inspect_walk *w, const struct entry *x, struct str content,
		struct err *e)
{
	struct inspect_series s = { .number = x->number,
				    .ref = (uint32_t)(x->pos / ALIGN) };
	struct rd r = rd_of(content);
	arena_reset(&w->entry);
	if (!read_labels(w, x, &r, &s) || !read_chunks(w, x, &r, &s))
		return 0;
	check_labels(w, &s);
	check_chunks(w, &s);
	bool match = matches(w, &s);
	keep(w, &s, match);
	return match && w->on_series ? w->on_series(w->arg, w, &s, e) : 0;
}

/* Where the next entry begins behind a damaged one; 0: unknown. */
static uint64_t resume(const struct inspect_walk *w, uint64_t pos)
{
	size_t lo = 0, hi = w->n_all;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((uint64_t)w->all[mid] * ALIGN <= pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n_all ? (uint64_t)w->all[lo] * ALIGN : 0;
}

static int is_zero(struct inspect_walk *w, uint64_t from, uint64_t to, struct err *e)
{
	struct str s;
	if (inspect_win_some(&w->win, w->ctx, from, to - from, &s, e) < 0)
		return -1;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i])
			return 0;
	return 1;
}

/* Bytes that only fill up to the next boundary are zero. */
static int check_padding(struct inspect_walk *w, uint64_t from, uint64_t to,
			 struct err *e)
{
	int rc = to > from && to - from < ALIGN ? is_zero(w, from, to, e) : 1;
	if (rc == 0)
		inspect_found(w->r, INSPECT_FRAME, FILE_NAME,
			      "padding at %llu is not zero", (ull)from);
	return MIN(rc, 0);
}

static uint64_t align(uint64_t pos)
{
	return (pos + ALIGN - 1) / ALIGN * ALIGN;
}

/* The entry at *pos: *pos moves behind it; to `end` where nothing tells where to go on. */
static int one_entry(struct inspect_walk *w, uint64_t *pos, uint64_t end, uint64_t number,
		     struct err *e)
{
	struct entry x = { *pos, number };
	struct str head;
	const uint8_t *p;
	uint64_t before = w->bad_series;
	int rc = 0;
	if (inspect_win_some(&w->win, w->ctx, *pos, MIN(VARINT_MAX, end - *pos), &head,
			     e) < 0)
		return -1;
	struct rd r = rd_of(head);
	uint64_t len = rd_uvarint(&r), used = head.n - rd_left(&r);
	if (r.bad || len > LIMIT_SERIES_ENTRY_BYTES || len + used + 4 > end - *pos) {
		bad(w, &x, INSPECT_SERIES, "its length leads out of the series");
	} else {
		if (inspect_win_get(&w->win, w->ctx, *pos + used, len + 4, &p, e) < 0)
			return -1;
		r = rd_n(p + len, 4);
		if (crc32c(0, p, (size_t)len) != rd_be32(&r))
			bad(w, &x, INSPECT_CHECKSUM, "checksum mismatch");
		else
			rc = take(w, &x, str_n(p, (size_t)len), e);
	}
	if (w->bad_series != before) {
		*pos = resume(w, *pos) ? resume(w, *pos) : end;
		return rc;
	}
	uint64_t behind = *pos + used + len + 4;
	*pos = align(behind);
	return rc < 0 ? -1 : check_padding(w, behind, MIN(*pos, end), e);
}

static int each_series(struct inspect_walk *w, struct err *e)
{
	uint64_t pos = align(w->toc.series),
		 end = w->toc.label_indices > w->toc.series &&
				       w->toc.label_indices < w->toc.postings
			       ? w->toc.label_indices
			       : w->toc.postings;
	if (end < w->toc.series)
		end = w->toc.postings_table;
	if (check_padding(w, w->toc.symbols + w->symbols.n + 8, pos, e) < 0)
		return -1;
	for (uint64_t number = 0; pos < end; number++) {
		int rc = end - pos < ALIGN ? is_zero(w, pos, end, e) : 0;
		if (rc > 0) /* up to the next section */
			break;
		if (rc < 0 || one_entry(w, &pos, end, number, e) < 0 ||
		    (number % 256 == 0 && ctx_check(w->ctx, e) < 0))
			return -1;
	}
	/* lists begin at the next multiple of 4 */
	return check_padding(w, w->toc.postings, (w->toc.postings + 3) / 4 * 4, e);
}

static void count_unused(struct inspect_walk *w)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->n_symbols; i++)
		n += !(w->used[i / 8] & (1u << (i % 8))) && inspect_symbol(w, i).n;
	if (n && w->bad_series == 0)
		inspect_found(w->r, INSPECT_UNUSED, FILE_NAME,
			      "symbols: %u of %u are used by no series", n, w->n_symbols);
}

int inspect_walk_run(struct inspect_walk *w, struct range_source *index, struct err *e)
{
	map64_init(&w->by_pair);
	arena_init(&w->entry, NULL);
	w->win.src = range_source_ref(index);
	if (inspect_read_frame(w, e) < 0)
		return -1;
	if (w->broken)
		return 0;
	if (inspect_read_symbols(w, e) < 0 || inspect_read_table(w, e) < 0)
		return -1;
	if (w->table.n && inspect_read_all(w, e) < 0)
		return -1;
	if (w->broken)
		return 0;
	if (each_series(w, e) < 0 || inspect_check_lists(w, e) < 0)
		return -1;
	count_unused(w);
	return 0;
}

void inspect_walk_deinit(struct inspect_walk *w)
{
	view_put(&w->symbols_pin);
	view_put(&w->table_pin);
	if (w->win.src)
		inspect_win_close(&w->win);
	map64_deinit(&w->by_pair);
	arena_deinit(&w->entry);
	free(w->symbol_off);
	free(w->used);
	free(w->pair);
	free(w->matched);
	free(w->all);
	free(w->ref);
	free(w->last);
}
