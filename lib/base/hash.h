/*
 * base/hash.h - CRC-32C (Castagnoli; SSE4.2 by run-time dispatch) and xxhash64.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

/* Continue a CRC: crc 0 starts one. The value is the finished CRC at every point. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without SSE4.2: the fallback of crc32c, and its check in tests. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *p, size_t n);
uint64_t hash_xx64(const void *p, size_t n, uint64_t seed);

#endif
