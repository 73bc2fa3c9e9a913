/*
 * inspect/index_lists.c - postings against series.
 *
 * While series go by, each label pair collects how many series have it and the sum of a hash of their references; a list
 * of postings must give the same two numbers. So no list is held twice, and a wrong list is found whatever is wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "inspect/inspect_int.h"
#include "wire/rd.h"

#define FILE_NAME "index"
#define SHOWN	  60

uint64_t inspect_ref_hash(uint32_t ref)
{
	uint64_t x = (uint64_t)ref + 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

struct entry { /* of the table */
	struct str name, value;
	uint64_t off;
	char text[2 * SHOWN + 16];
};

static bool next_entry(struct inspect_walk *w, struct rd *r, uint32_t i, struct entry *x)
{
	uint64_t keys = rd_uvarint(r);
	x->name = rd_bytes(r, rd_uvarint(r));
	x->value = rd_bytes(r, rd_uvarint(r));
	x->off = rd_uvarint(r);
	if (r->bad || keys != 2) {
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "postings offset table: entry %u %s", i,
			      r->bad ? "cut short" : "is no pair of name and value");
		return false;
	}
	if (x->name.n == 0)
		snprintf(x->text, sizeof(x->text), "postings of all series");
	else
		snprintf(x->text, sizeof(x->text), "postings of %.*s=\"%.*s\"",
			 (int)MIN(x->name.n, (size_t)SHOWN), x->name.p,
			 (int)MIN(x->value.n, (size_t)SHOWN), x->value.p);
	return true;
}

/* 1: *pin holds {count, refs}, checked; 0 damaged and reported. */
static int read_list(struct inspect_walk *w, const struct entry *x, struct view *pin,
		     struct str *refs, struct err *e)
{
	uint64_t end = w->toc.postings_table;
	const uint8_t *p;
	if (x->off > end || end - x->off < 8) {
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "%s: at %llu, behind the lists", x->text,
			      (unsigned long long)x->off);
		return 0;
	}
	if (inspect_win_get(&w->win, w->ctx, x->off, 4, &p, e) < 0)
		return -1;
	struct rd r = rd_n(p, 4);
	uint32_t len = rd_be32(&r);
	if (len < 4 || len > end - x->off - 8) {
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "%s: length %u, but only %llu bytes follow", x->text, len,
			      (unsigned long long)(end - x->off - 8));
		return 0;
	}
	if (range_source_read1(w->win.src, w->ctx, x->off + 4, (uint64_t)len + 4, pin,
			       e) < 0)
		return -1;
	r = rd_n(pin->p, pin->n);
	struct str content = rd_bytes(&r, len);
	if (crc32c(0, content.p, len) != rd_be32(&r)) {
		inspect_found(w->r, INSPECT_CHECKSUM, FILE_NAME, "%s: checksum mismatch",
			      x->text);
		return 0;
	}
	r = rd_of(content);
	uint32_t count = rd_be32(&r);
	if ((uint64_t)count * 4 != rd_left(&r)) {
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "%s: %u references in %zu bytes", x->text, count,
			      rd_left(&r));
		return 0;
	}
	*refs = str_n(r.p, rd_left(&r));
	return 1;
}

struct list_facts {
	uint64_t n, hash;
	bool sound;
};

static void look_at_list(struct inspect_walk *w, const struct entry *x, struct str refs,
			 struct list_facts *f)
{
	struct rd r = rd_of(refs);
	uint32_t prev = 0;
	f->n = refs.n / 4;
	f->sound = true;
	for (uint64_t i = 0; i < f->n; i++) {
		uint32_t ref = rd_be32(&r);
		f->hash += inspect_ref_hash(ref);
		if (i && ref <= prev && f->sound) {
			inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
				      "%s: reference %u is not behind %u", x->text, ref,
				      prev);
			f->sound = false;
		}
		prev = ref;
	}
}

/* The list of all series is kept: it leads on behind a damaged entry. */
static void keep_all(struct inspect_walk *w, struct str refs)
{
	struct rd r = rd_of(refs);
	w->n_all = refs.n / 4;
	w->all = xcalloc(w->n_all + 1, sizeof(*w->all));
	for (size_t i = 0; i < w->n_all; i++)
		w->all[i] = rd_be32(&r);
	w->has_all = true;
}

static void check_all(struct inspect_walk *w)
{
	uint64_t strange = 0, lacking = 0;
	size_t i = 0, k = 0;
	uint32_t first = 0;
	while (i < w->n_all || k < w->n_refs) {
		if (k == w->n_refs || (i < w->n_all && w->all[i] < w->ref[k])) {
			first = strange++ ? first : w->all[i];
			i++;
		} else if (i == w->n_all || w->ref[k] < w->all[i]) {
			lacking++;
			k++;
		} else {
			i++, k++;
		}
	}
	if (strange)
		inspect_found(
			w->r, INSPECT_POSTINGS, FILE_NAME,
			"postings of all series: %llu references lead to no series, the first is %u",
			(unsigned long long)strange, first);
	if (lacking)
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "postings of all series: %llu series are not in it",
			      (unsigned long long)lacking);
}

static bool find_symbol(const struct inspect_walk *w, struct str s, uint32_t *ordinal)
{
	uint32_t lo = 0, hi = w->n_symbols;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (str_cmp(inspect_symbol(w, mid), s) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ordinal = lo;
	return lo < w->n_symbols && str_eq(inspect_symbol(w, lo), s);
}

/* f NULL: the list is damaged, which has been said; the pair is not missing. */
static void compare(struct inspect_walk *w, const struct entry *x,
		    const struct list_facts *f, uint8_t *seen)
{
	uint32_t name, value;
	uintptr_t at;
	if (!find_symbol(w, x->name, &name) || !find_symbol(w, x->value, &value) ||
	    !map64_get(&w->by_pair, (uint64_t)name << 32 | value, &at)) {
		if (w->bad_series == 0)
			inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
				      "%s: no series has this label", x->text);
		return;
	}
	const struct inspect_pair *p = &w->pair[at];
	seen[at / 8] |= (uint8_t)(1u << (at % 8));
	if (!f || w->bad_series || (p->series == f->n && p->hash == f->hash))
		return;
	inspect_found(
		w->r, INSPECT_POSTINGS, FILE_NAME,
		p->series == f->n
			? "%s: lists %llu series, %llu have the label, but not the same ones"
			: "%s: lists %llu series, %llu have the label",
		x->text, (unsigned long long)f->n, (unsigned long long)p->series);
}

static void report_unlisted(struct inspect_walk *w, const uint8_t *seen)
{
	for (size_t i = 0; i < w->n_pairs; i++) {
		if (seen[i / 8] & (1u << (i % 8)))
			continue;
		struct str n = inspect_symbol(w, w->pair[i].name),
			   v = inspect_symbol(w, w->pair[i].value);
		inspect_found(
			w->r, INSPECT_POSTINGS, FILE_NAME,
			"postings of %.*s=\"%.*s\": there are none, but %llu series have it",
			(int)MIN(n.n, (size_t)SHOWN), n.p, (int)MIN(v.n, (size_t)SHOWN),
			v.p, (unsigned long long)w->pair[i].series);
	}
}

static void check_order(struct inspect_walk *w, const struct entry *prev,
			const struct entry *x)
{
	int c = str_cmp(prev->name, x->name);
	if (c > 0 || (c == 0 && str_cmp(prev->value, x->value) >= 0))
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "postings offset table: %s stands behind %s", x->text,
			      prev->text);
}

/* The list of all series, which stands first: it leads on behind a damaged entry. */
int inspect_read_all(struct inspect_walk *w, struct err *e)
{
	struct rd r = rd_of(w->table);
	struct view pin = { 0 };
	struct list_facts f = { 0 };
	struct entry x;
	struct str refs;
	if (rd_be32(&r) == 0 || rd_left(&r) == 0 || !next_entry(w, &r, 0, &x))
		return 0;
	if (x.name.n) {
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "postings offset table: no list of all series");
		return 0;
	}
	int rc = read_list(w, &x, &pin, &refs, e);
	if (rc > 0) {
		look_at_list(w, &x, refs, &f);
		if (f.sound)
			keep_all(w, refs);
	}
	view_put(&pin);
	return MIN(rc, 0);
}

/* 0: the table goes on; 1: it is cut; -1. */
static int one_entry(struct inspect_walk *w, struct rd *r, uint32_t i, struct entry *x,
		     uint8_t *seen, struct err *e)
{
	struct view pin = { 0 };
	struct list_facts f = { 0 };
	struct str refs;
	if (!next_entry(w, r, i, x))
		return 1;
	if (x->name.n == 0)
		return 0;
	int rc = read_list(w, x, &pin, &refs, e);
	if (rc > 0)
		look_at_list(w, x, refs, &f);
	if (rc >= 0)
		compare(w, x, rc > 0 ? &f : NULL, seen);
	view_put(&pin);
	return MIN(rc, 0);
}

static int each_entry(struct inspect_walk *w, uint8_t *seen, bool *cut, struct err *e)
{
	struct rd r = rd_of(w->table);
	struct entry x = { 0 }, prev;
	uint32_t count = rd_be32(&r);
	for (uint32_t i = 0; i < count; i++) {
		prev = x;
		int rc = one_entry(w, &r, i, &x, seen, e);
		if (rc < 0 || ctx_check(w->ctx, e) < 0)
			return -1;
		*cut = rc > 0;
		if (*cut)
			return 0;
		if (i)
			check_order(w, &prev, &x);
	}
	if (rd_left(&r))
		inspect_found(w->r, INSPECT_POSTINGS, FILE_NAME,
			      "postings offset table: %zu bytes behind its %u entries",
			      rd_left(&r), count);
	return 0;
}

int inspect_check_lists(struct inspect_walk *w, struct err *e)
{
	bool cut = false;
	if (w->table.n == 0)
		return 0;
	uint8_t *seen = xcalloc(w->n_pairs / 8 + 1, 1);
	int rc = each_entry(w, seen, &cut, e);
	if (rc == 0 && !cut)
		report_unlisted(w, seen);
	if (rc == 0 && w->bad_series == 0 && w->has_all)
		check_all(w);
	else if (rc == 0 && w->bad_series)
		inspect_found(
			w->r, INSPECT_REMARK, FILE_NAME,
			"postings are not compared with series, since %llu entries of series are damaged",
			(unsigned long long)w->bad_series);
	free(seen);
	return rc;
}
