/*
 * model/labels.c - label sets: order, hash, copies, subsets.
 *
 * A set is an array of views sorted by name. Lookups go through it linearly, since sets are short
 * (a handful to some dozens of labels) and comparing lengths first rejects most names. Copies lay
 * the array and all strings into one allocation, so that a kept set costs one arena request and lies
 * together in the cache.
 */
#include "model/labels.h"

#include <stdlib.h>

#include "base/budget.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/vec.h"

/*
 * Most strings compared are short, and of most pairs compared the strings are equal: neighbours of a sorted set share
 * nearly all of their labels, legs of a merge stand at the same series, strings of one symbol table are one.
 */
static inline bool same(struct str a, struct str b)
{
	uint64_t x, y;
	if (a.n != b.n)
		return false;
	if (a.p == b.p)
		return true;
	if (a.n > 32)
		return memcmp(a.p, b.p, a.n) == 0;
	if (a.n >= 8) {
		for (size_t i = 0; i + 8 < a.n; i += 8) {
			memcpy(&x, a.p + i, 8);
			memcpy(&y, b.p + i, 8);
			if (x != y)
				return false;
		}
		memcpy(&x, a.p + a.n - 8, 8);
		memcpy(&y, b.p + a.n - 8, 8);
		return x == y;
	}
	if (a.n >= 4) {
		uint32_t p, q, r, s;
		memcpy(&p, a.p, 4);
		memcpy(&q, b.p, 4);
		memcpy(&r, a.p + a.n - 4, 4);
		memcpy(&s, b.p + a.n - 4, 4);
		return p == q && r == s;
	}
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i])
			return false;
	return true;
}

int labels_cmp(struct labels a, struct labels b)
{
	uint32_t n = MIN(a.n, b.n);
	for (uint32_t i = 0; i < n; i++) {
		if (same(a.l[i].name, b.l[i].name) && same(a.l[i].value, b.l[i].value))
			continue;
		int c = str_cmp(a.l[i].name, b.l[i].name);
		if (c == 0)
			c = str_cmp(a.l[i].value, b.l[i].value);
		if (c)
			return c;
	}
	return (a.n > b.n) - (a.n < b.n);
}

bool labels_eq(struct labels a, struct labels b)
{
	if (a.n != b.n || (a.hash && b.hash && a.hash != b.hash))
		return false;
	for (uint32_t i = 0; i < a.n; i++)
		if (!same(a.l[i].name, b.l[i].name) || !same(a.l[i].value, b.l[i].value))
			return false;
	return true;
}

/*
 * The text that is hashed: name 0xff value 0xff ... Sets that fit are laid out on the stack; the
 * rest goes through a heap buffer, so that both give the hash of the same bytes.
 */
struct hash_text {
	uint8_t small[1024];
	uint8_t *p;
	size_t n, cap;
};

static void hash_put(struct hash_text *h, struct str s)
{
	if (h->cap - h->n < s.n + 1) {
		size_t cap = 2 * h->cap + s.n + 1;
		uint8_t *p = xmalloc(cap);
		memcpy(p, h->p, h->n);
		if (h->p != h->small)
			free(h->p);
		h->p = p;
		h->cap = cap;
	}
	if (s.n)
		memcpy(h->p + h->n, s.p, s.n);
	h->n += s.n;
	h->p[h->n++] = 0xff;
}

static void hash_begin(struct hash_text *h)
{
	h->p = h->small;
	h->n = 0;
	h->cap = sizeof h->small;
}

static uint64_t hash_end(struct hash_text *h)
{
	uint64_t v = hash_xx64(h->p, h->n, 0);
	if (h->p != h->small)
		free(h->p);
	return v ? v : 1;
}

uint64_t labels_hash(struct labels a)
{
	if (a.hash)
		return a.hash;
	struct hash_text h;
	hash_begin(&h);
	for (uint32_t i = 0; i < a.n; i++) {
		hash_put(&h, a.l[i].name);
		hash_put(&h, a.l[i].value);
	}
	return hash_end(&h);
}

/* Walks both sorted lists at once: is l.name among names[*j..]? Moves *j up to it. */
static bool in_names(struct str name, const struct str *names, size_t n, size_t *j)
{
	while (*j < n) {
		int c = str_cmp(names[*j], name);
		if (c >= 0)
			return c == 0;
		(*j)++;
	}
	return false;
}

uint64_t labels_hash_subset(struct labels a, const struct str *names, size_t n, bool by)
{
	struct hash_text h;
	size_t j = 0;
	hash_begin(&h);
	for (uint32_t i = 0; i < a.n; i++) {
		if (in_names(a.l[i].name, names, n, &j) != by)
			continue;
		hash_put(&h, a.l[i].name);
		hash_put(&h, a.l[i].value);
	}
	return hash_end(&h);
}

static const struct label *find(struct labels a, struct str name)
{
	for (uint32_t i = 0; i < a.n; i++)
		if (str_eq(a.l[i].name, name))
			return &a.l[i];
	return NULL;
}

struct str labels_get(struct labels a, struct str name)
{
	const struct label *l = find(a, name);
	return l ? l->value : STR("");
}

bool labels_has(struct labels a, struct str name)
{
	return find(a, name) != NULL;
}

static size_t dup_bytes(struct labels ls)
{
	size_t n = sizeof(struct label) * ls.n;
	for (uint32_t i = 0; i < ls.n; i++)
		n += ls.l[i].name.n + ls.l[i].value.n;
	return n;
}

static struct str put_str(char **p, struct str s)
{
	struct str out = { *p, s.n };
	if (s.n)
		memcpy(*p, s.p, s.n);
	*p += s.n;
	return out;
}

static struct labels dup_into(void *mem, struct labels ls)
{
	struct label *l = mem;
	char *p = (char *)(l + ls.n);
	for (uint32_t i = 0; i < ls.n; i++) {
		l[i].name = put_str(&p, ls.l[i].name);
		l[i].value = put_str(&p, ls.l[i].value);
	}
	return (struct labels){ l, ls.n, ls.hash };
}

struct labels labels_dup(struct arena *a, struct labels ls)
{
	if (ls.n == 0)
		return (struct labels){ NULL, 0, ls.hash };
	return dup_into(arena_alloc(a, dup_bytes(ls)), ls);
}

int labels_try_dup(struct arena *a, struct ctx *ctx, struct labels ls, struct labels *out,
		   struct err *e)
{
	if (ls.n > LIMIT_LABELS_PER_SERIES)
		return err_set(ctx, e, E_LIMIT, "series has %u labels, more than %u",
			       ls.n, LIMIT_LABELS_PER_SERIES);
	if (ls.n == 0) {
		*out = (struct labels){ NULL, 0, ls.hash };
		return 0;
	}
	void *mem = arena_try(a, ctx, dup_bytes(ls), e);
	if (!mem)
		return -1;
	*out = dup_into(mem, ls);
	return 0;
}

static int cmp_names(const void *a, const void *b, void *arg)
{
	const struct label *x = a, *y = b;
	(void)arg;
	return str_cmp(x->name, y->name);
}

bool labels_sort(struct label *l, size_t n)
{
	bool sorted = true;
	for (size_t i = 1; i < n && sorted; i++)
		sorted = str_cmp(l[i - 1].name, l[i].name) < 0;
	if (sorted)
		return true;
	vec_sort(l, n, sizeof *l, cmp_names, NULL);
	for (size_t i = 1; i < n; i++)
		if (str_eq(l[i - 1].name, l[i].name))
			return false;
	return true;
}

struct labels labels_merge(struct label *out, struct labels ls, struct labels ext)
{
	uint32_t i = 0, j = 0, n = 0;
	while (i < ls.n && j < ext.n) {
		int c = str_cmp(ls.l[i].name, ext.l[j].name);
		if (c < 0) {
			out[n++] = ls.l[i++];
		} else {
			i += c == 0;
			out[n++] = ext.l[j++];
		}
	}
	while (i < ls.n)
		out[n++] = ls.l[i++];
	while (j < ext.n)
		out[n++] = ext.l[j++];
	return (struct labels){ out, n, 0 };
}

static struct labels subset(struct label *out, struct labels ls, const struct str *names,
			    size_t n, bool keep)
{
	uint32_t k = 0;
	size_t j = 0;
	for (uint32_t i = 0; i < ls.n; i++)
		if (in_names(ls.l[i].name, names, n, &j) == keep)
			out[k++] = ls.l[i];
	return (struct labels){ out, k, 0 };
}

struct labels labels_keep(struct label *out, struct labels ls, const struct str *names,
			  size_t n)
{
	return subset(out, ls, names, n, true);
}

struct labels labels_drop(struct label *out, struct labels ls, const struct str *names,
			  size_t n)
{
	return subset(out, ls, names, n, false);
}

bool labels_extends(struct labels a, struct labels b)
{
	if (a.n >= b.n)
		return false;
	for (uint32_t i = 0; i < a.n; i++)
		if (!str_eq(a.l[i].name, b.l[i].name) ||
		    !str_eq(a.l[i].value, b.l[i].value))
			return false;
	return true;
}
