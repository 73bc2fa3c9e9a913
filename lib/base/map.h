/*
 * base/map.h - open-addressing hash maps from byte strings or u64 to a pointer-sized value.
 *
 * Thread  one at a time. Keys of map_str are borrowed: they must outlive the map (arena them).
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot;
struct map {
	struct map_slot *slots;
	size_t n, cap;
};

void map_init(struct map *m);
void map_deinit(struct map *m);
/* The value of `key`; NULL: absent. */
void *map_get(const struct map *m, struct str key);
/* Set; returns the old value or NULL. */
void *map_set(struct map *m, struct str key, void *value);
void *map_del(struct map *m, struct str key);
/* Iterate in no order: start with *it = 0; false at the end. */
bool map_next(const struct map *m, size_t *it, struct str *key, void **value);

/* The same with u64 keys (any value) and pointer-sized values; absent: false. */
struct map64_slot;
struct map64 {
	struct map64_slot *slots;
	size_t n, cap;
};
void map64_init(struct map64 *m);
void map64_deinit(struct map64 *m);
bool map64_get(const struct map64 *m, uint64_t key, uintptr_t *value);
void map64_set(struct map64 *m, uint64_t key, uintptr_t value);
bool map64_del(struct map64 *m, uint64_t key);

#endif
