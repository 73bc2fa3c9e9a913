/*
 * base/map.c - open addressing with linear probing.
 *
 * A slot keeps the hash of its key (0 marks a free slot), so that probing rarely touches the key and
 * growing never hashes again. The table has a power of two of slots and is at most three quarters
 * full. Deletion closes the gap: each following slot of the run moves back unless that would put it
 * before its home, so there are no tombstones and look-ups stay as short as if the key had never been
 * there. The seed is random for each process, since keys come from outsiders who might choose them to
 * collide.
 */
#include "base/map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"

#define FIRST_SLOTS 16

struct map_slot {
	uint64_t hash; /* 0: free */
	struct str key;
	void *value;
};

struct map64_slot {
	uint64_t hash; /* 0: free */
	uint64_t key;
	uintptr_t value;
};

static uint64_t seed(void)
{
	static _Atomic uint64_t chosen;
	uint64_t s = atomic_load_explicit(&chosen, memory_order_relaxed);
	if (LIKELY(s))
		return s;
	if (getrandom(&s, sizeof(s), GRND_NONBLOCK) != (ssize_t)sizeof(s))
		s = (uintptr_t)&s; /* only before the kernel's pool is ready, at boot */
	uint64_t none = 0;
	s |= 1;
	if (!atomic_compare_exchange_strong(&chosen, &none, s))
		s = none;
	return s;
}

static uint64_t hash_str(struct str key)
{
	uint64_t h = hash_xx64(key.p, key.n, seed());
	return h ? h : 1;
}

static uint64_t hash_u64(uint64_t x)
{
	/* Two rounds of multiply and fold; the odd constants are digits of the golden ratio and pi. */
	x ^= seed();
	x = (x ^ (x >> 32)) * 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 29)) * 0x3243f6a8885a308dull;
	x ^= x >> 32;
	return x ? x : 1;
}

static bool too_full(size_t n, size_t cap)
{
	return n + 1 > cap - cap / 4;
}

/* ---- strings ---- */

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_deinit(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

/* The slot that holds key, or the free one where it would go. cap > 0. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
	size_t mask = m->cap - 1;
	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map_slot *s = &m->slots[i];
		if (!s->hash || (s->hash == hash && str_eq(s->key, key)))
			return s;
	}
}

void *map_get(const struct map *m, struct str key)
{
	return m->n ? find(m, key, hash_str(key))->value : NULL;
}

static void grow(struct map *m)
{
	struct map old = *m;
	m->cap = old.cap ? old.cap * 2 : FIRST_SLOTS;
	m->slots = xcalloc(m->cap, sizeof(*m->slots));
	size_t mask = m->cap - 1;
	for (size_t i = 0; i < old.cap; i++) {
		if (!old.slots[i].hash)
			continue;
		size_t j = old.slots[i].hash & mask;
		while (m->slots[j].hash)
			j = (j + 1) & mask;
		m->slots[j] = old.slots[i];
	}
	free(old.slots);
}

void *map_set(struct map *m, struct str key, void *value)
{
	if (too_full(m->n, m->cap))
		grow(m);
	uint64_t hash = hash_str(key);
	struct map_slot *s = find(m, key, hash);
	void *old = NULL;
	if (s->hash) {
		old = s->value;
	} else {
		s->hash = hash;
		s->key = key;
		m->n++;
	}
	s->value = value;
	return old;
}

void *map_del(struct map *m, struct str key)
{
	if (!m->n)
		return NULL;
	struct map_slot *s = find(m, key, hash_str(key));
	if (!s->hash)
		return NULL;
	void *old = s->value;
	size_t mask = m->cap - 1, gap = (size_t)(s - m->slots);
	for (size_t i = (gap + 1) & mask; m->slots[i].hash; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue; /* its home lies behind the gap */
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap] = (struct map_slot){ 0 };
	m->n--;
	return old;
}

bool map_next(const struct map *m, size_t *it, struct str *key, void **value)
{
	while (*it < m->cap) {
		const struct map_slot *s = &m->slots[(*it)++];
		if (!s->hash)
			continue;
		if (key)
			*key = s->key;
		if (value)
			*value = s->value;
		return true;
	}
	return false;
}

/* ---- u64 ---- */

void map64_init(struct map64 *m)
{
	*m = (struct map64){ 0 };
}

void map64_deinit(struct map64 *m)
{
	free(m->slots);
	*m = (struct map64){ 0 };
}

static struct map64_slot *find64(const struct map64 *m, uint64_t key, uint64_t hash)
{
	size_t mask = m->cap - 1;
	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map64_slot *s = &m->slots[i];
		if (!s->hash || s->key == key)
			return s;
	}
}

bool map64_get(const struct map64 *m, uint64_t key, uintptr_t *value)
{
	if (!m->n)
		return false;
	const struct map64_slot *s = find64(m, key, hash_u64(key));
	if (!s->hash)
		return false;
	if (value)
		*value = s->value;
	return true;
}

static void grow64(struct map64 *m)
{
	struct map64 old = *m;
	m->cap = old.cap ? old.cap * 2 : FIRST_SLOTS;
	m->slots = xcalloc(m->cap, sizeof(*m->slots));
	size_t mask = m->cap - 1;
	for (size_t i = 0; i < old.cap; i++) {
		if (!old.slots[i].hash)
			continue;
		size_t j = old.slots[i].hash & mask;
		while (m->slots[j].hash)
			j = (j + 1) & mask;
		m->slots[j] = old.slots[i];
	}
	free(old.slots);
}

void map64_set(struct map64 *m, uint64_t key, uintptr_t value)
{
	if (too_full(m->n, m->cap))
		grow64(m);
	uint64_t hash = hash_u64(key);
	struct map64_slot *s = find64(m, key, hash);
	if (!s->hash) {
		s->hash = hash;
		s->key = key;
		m->n++;
	}
	s->value = value;
}

bool map64_del(struct map64 *m, uint64_t key)
{
	if (!m->n)
		return false;
	struct map64_slot *s = find64(m, key, hash_u64(key));
	if (!s->hash)
		return false;
	size_t mask = m->cap - 1, gap = (size_t)(s - m->slots);
	for (size_t i = (gap + 1) & mask; m->slots[i].hash; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap] = (struct map64_slot){ 0 };
	m->n--;
	return true;
}
