#include "base/hash.h"

#include <xxhash.h>

uint64_t hash64(const void *bytes, size_t n, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, n, seed);
}

struct digest128 hash128(const void *bytes, size_t n) {
  XXH128_hash_t h = XXH3_128bits(bytes, n);
  return (struct digest128){h.low64, h.high64};
}

struct digest128 hash128_keyed(const void *bytes, size_t n, uint64_t key) {
  XXH128_hash_t h = XXH3_128bits_withSeed(bytes, n, key);
  return (struct digest128){h.low64, h.high64};
}
