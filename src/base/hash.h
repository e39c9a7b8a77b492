/* Checksums and hash-table hashes (XXH3 from libxxhash). Not for anything an attacker gains by colliding: signatures and
 * digests that prove something are in crypto/. Thread: any. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct digest128 {
  uint64_t low, high;
};

uint64_t hash64(const void *bytes, size_t n, uint64_t seed);
struct digest128 hash128(const void *bytes, size_t n);
/* hash128 of what comes in pieces. NULL: out of memory. */
struct hash128_pieces *hash128_begin(void);
void hash128_more(struct hash128_pieces *h, const void *bytes, size_t n);
struct digest128 hash128_end(struct hash128_pieces *h); /* which is gone then */

struct digest128 hash128_keyed(const void *bytes, size_t n, uint64_t key);

#endif
