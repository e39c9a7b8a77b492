#include "base/hash.h"

#include <xxhash.h>

uint64_t hash64(const void *bytes, size_t n, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, n, seed);
}

struct digest128 hash128(const void *bytes, size_t n) {
  XXH128_hash_t h = XXH3_128bits(bytes, n);
  return (struct digest128){h.low64, h.high64};
}

struct hash128_pieces *hash128_begin(void) {
  XXH3_state_t *state = XXH3_createState();
  if (state) (void)XXH3_128bits_reset(state);
  return (struct hash128_pieces *)state;
}

void hash128_more(struct hash128_pieces *h, const void *bytes, size_t n) {
  (void)XXH3_128bits_update((XXH3_state_t *)h, bytes, n);
}

struct digest128 hash128_end(struct hash128_pieces *h) {
  XXH128_hash_t sum = XXH3_128bits_digest((XXH3_state_t *)h);
  (void)XXH3_freeState((XXH3_state_t *)h);
  return (struct digest128){sum.low64, sum.high64};
}

struct digest128 hash128_keyed(const void *bytes, size_t n, uint64_t key) {
  XXH128_hash_t h = XXH3_128bits_withSeed(bytes, n, key);
  return (struct digest128){h.low64, h.high64};
}
