/*
 * base/hash.h - CRC-32C (Castagnoli; AVX-512 and SSE4.2 by run-time dispatch) and xxhash64.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

/* Continue a CRC: crc 0 starts one. The value is the finished CRC at every point. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The CRC of A and B in a row, of the CRCs of each and the length of B. */
uint32_t crc32c_join(uint32_t crc_a, uint32_t crc_b, uint64_t b_bytes);
/* crc32c without AVX-512, and without SSE4.2: its fallbacks, and its check in tests. */
uint32_t hash_crc32c_narrow(uint32_t crc, const void *p, size_t n);
uint32_t hash_crc32c_portable(uint32_t crc, const void *p, size_t n);
uint64_t hash_xx64(const void *p, size_t n, uint64_t seed);

#endif
