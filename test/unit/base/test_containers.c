#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/ulid.h"
#include "base/vec.h"
#include "support/tst.h"

static uint64_t rnd_state = 12345;
static uint32_t rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rnd_state >> 33) % n;
}

Test(map, behaves_as_an_array_of_values)
{
	enum { KEYS = 700 };
	static char names[KEYS][16];
	void *want[KEYS] = { NULL };
	struct map m;
	map_init(&m);
	cr_assert_null(map_get(&m, STR("x")));
	cr_assert_null(map_del(&m, STR("x")));
	for (int i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof(names[i]), "k%d", i);
	for (int step = 0; step < 40000; step++) {
		uint32_t k = rnd(KEYS);
		struct str key = str_of(names[k]);
		if (rnd(3)) {
			void *v = (void *)(uintptr_t)(1 + rnd(1000000));
			cr_assert(map_set(&m, key, v) == want[k]);
			want[k] = v;
		} else {
			cr_assert(map_del(&m, key) == want[k]);
			want[k] = NULL;
		}
		k = rnd(KEYS);
		cr_assert(map_get(&m, str_of(names[k])) == want[k]);
	}
	size_t it = 0, n = 0, present = 0;
	struct str key;
	void *value;
	while (map_next(&m, &it, &key, &value)) {
		cr_assert(want[atoi(key.p + 1)] == value);
		n++;
	}
	for (int i = 0; i < KEYS; i++)
		present += want[i] != NULL;
	cr_assert_eq(n, present);
	cr_assert_eq(m.n, present);
	map_deinit(&m);
}

Test(map, tells_keys_with_nul_bytes_and_the_empty_key_apart)
{
	struct map m;
	char x, y, z;
	map_init(&m);
	map_set(&m, STR("a\0b"), &x);
	map_set(&m, STR("a"), &y);
	map_set(&m, STR_NULL, &z);
	cr_assert(map_get(&m, STR("a\0b")) == &x);
	cr_assert(map_get(&m, STR("a")) == &y);
	cr_assert(map_get(&m, STR("")) == &z);
	map_deinit(&m);
}

Test(map64, behaves_as_an_array_of_values)
{
	enum { KEYS = 500 };
	uintptr_t want[KEYS] = { 0 }, v;
	bool has[KEYS] = { false };
	struct map64 m;
	map64_init(&m);
	for (int step = 0; step < 40000; step++) {
		uint32_t k = rnd(KEYS);
		uint64_t key = (uint64_t)k << 40; /* low bits equal; 0 is a key */
		if (rnd(3)) {
			want[k] = rnd(5);
			has[k] = true;
			map64_set(&m, key, want[k]);
		} else {
			cr_assert_eq(map64_del(&m, key), has[k]);
			has[k] = false;
		}
		k = rnd(KEYS);
		cr_assert_eq(map64_get(&m, (uint64_t)k << 40, &v), has[k]);
		cr_assert(!has[k] || v == want[k]);
	}
	map64_deinit(&m);
}

struct pair {
	uint32_t key, seq;
	uint8_t pad[13];
};

static int by_key(const void *a, const void *b, void *arg UNUSED)
{
	uint32_t x = ((const struct pair *)a)->key, y = ((const struct pair *)b)->key;
	return (x > y) - (x < y);
}

Test(vec, sort_is_stable_at_every_size)
{
	for (size_t n = 0; n < 300; n += n < 40 ? 1 : 37) {
		struct pair *v = xcalloc(n, sizeof(*v));
		for (size_t i = 0; i < n; i++)
			v[i] = (struct pair){ .key = rnd(10), .seq = (uint32_t)i };
		vec_sort(v, n, sizeof(*v), by_key, NULL);
		for (size_t i = 1; i < n; i++)
			cr_assert(v[i - 1].key < v[i].key ||
				  (v[i - 1].key == v[i].key && v[i - 1].seq < v[i].seq));
		free(v);
	}
}

static int by_u64(const void *a, const void *b, void *arg UNUSED)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static int find_u64(const void *key, const void *elem)
{
	return by_u64(key, elem, NULL);
}

Test(vec, grows_sorts_and_searches)
{
	uint64_t *v = NULL;
	size_t n = 0, cap = 0;
	for (uint64_t i = 0; i < 1000; i++) {
		if (n == cap)
			v = vec_grow(v, &cap, n + 1, sizeof(*v));
		v[n++] = (i * 7919) % 1000 * 2;
	}
	vec_sort(v, n, sizeof(*v), by_u64, NULL);
	for (uint64_t i = 0; i < 1000; i++)
		cr_assert_eq(v[i], 2 * i);
	for (uint64_t key = 0; key < 2002; key++)
		cr_assert_eq(vec_lower_bound(&key, v, n, sizeof(*v), find_u64),
			     MIN((key + 1) / 2, 1000));
	cr_assert_eq(vec_lower_bound(v, NULL, 0, 8, find_u64), 0u);
	free(v);
}

static bool less_pair(const void *a, const void *b, void *arg UNUSED)
{
	return by_key(a, b, NULL) < 0;
}

Test(heap, gives_elements_in_order)
{
	const struct heap_ops o = { .less = less_pair, .elem = sizeof(struct pair) };
	struct pair v[200];
	for (size_t i = 0; i < 100; i++)
		v[i].key = rnd(50);
	heap_make(v, 100, &o);
	for (size_t i = 100; i < 200; i++) {
		v[i].key = rnd(50);
		heap_push(v, i + 1, &o);
	}
	v[17].key = 60;
	heap_fix(v, 200, 17, &o);
	v[150].key = 0;
	heap_fix(v, 200, 150, &o);
	uint32_t last = 0;
	for (size_t n = 200; n > 0; n--) {
		heap_pop(v, n, &o);
		cr_assert_geq(v[n - 1].key, last);
		last = v[n - 1].key;
	}
	cr_assert_eq(last, 60u);
}

Test(heap, keeps_the_order_of_equal_elements_of_gos_container_heap)
{
	/* Recorded from a Go program that did the same; the marks are the places at first. */
	const struct heap_ops o = { .less = less_pair, .elem = sizeof(struct pair) };
	static const uint32_t keys[] = { 3, 1, 1, 2, 1, 1, 2, 1, 3, 1 };
	static const uint32_t want[] = { 1, 10, 9, 7, 4, 5, 2, 3, 6, 0, 8 };
	struct pair v[11];
	for (uint32_t i = 0; i < 10; i++)
		v[i] = (struct pair){ .key = keys[i], .seq = i };
	heap_make(v, 10, &o);
	v[2].key = 2;
	heap_fix(v, 10, 2, &o);
	v[10] = (struct pair){ .key = 1, .seq = 10 };
	heap_push(v, 11, &o);
	for (size_t n = 11; n > 0; n--) {
		heap_pop(v, n, &o);
		cr_expect_eq(v[n - 1].seq, want[11 - n], "pop %zu", 11 - n);
	}
}

Test(ulid, text_and_bytes_are_one_to_one)
{
	struct ulid u, w;
	char text[27];
	cr_assert(ulid_parse(STR("01ARZ3NDEKTSV4RRFFQ69G5FAV"), &u));
	cr_assert_eq(ulid_time_ms(&u), 1469922850259ll);
	ulid_format(&u, text);
	cr_assert_str_eq(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
	cr_assert(ulid_parse(STR("01arz3ndektsv4rrffq69g5fav"), &w));
	cr_assert_eq(ulid_cmp(&u, &w), 0);
	cr_assert(ulid_parse(STR("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), &w));
	ulid_format(&w, text);
	cr_assert_str_eq(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
	cr_assert_not(ulid_parse(STR("8ZZZZZZZZZZZZZZZZZZZZZZZZZ"), &w));
	cr_assert_not(ulid_parse(STR("01ARZ3NDEKTSV4RRFFQ69G5FA"), &w));
	cr_assert_not(ulid_parse(STR("01ARZ3NDEKTSV4RRFFQ69G5FAU"), &w));
	cr_assert_not(ulid_parse(STR("01ARZ3NDEKTSV4RRFFQ69G5FA\0"), &w));
	cr_assert_not(ulid_parse(STR("\xff"
				     "1ARZ3NDEKTSV4RRFFQ69G5FAV"),
				 &w));
}

Test(ulid, new_ones_differ_and_carry_their_time)
{
	struct ulid a, b;
	ulid_new(&a, 1700000000123ll);
	ulid_new(&b, 1700000000123ll);
	cr_assert_neq(ulid_cmp(&a, &b), 0);
	cr_assert_eq(ulid_time_ms(&a), 1700000000123ll);
	ulid_new(&b, 1700000000124ll);
	cr_assert_lt(ulid_cmp(&a, &b), 0);
}
