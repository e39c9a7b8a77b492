/* Packs small byte strings one behind the other into an arena: for millions of names and texts, which the arena alone
 * would each round up to 16 octets. Thread: the owner's. */
#ifndef CONFIG_PACK_PRIV_H
#define CONFIG_PACK_PRIV_H

#include "base/arena.h"

#include <stdint.h>
#include <string.h>

enum { PACK_BLOCK_BYTES = 32 * 1024 };

struct pack {
  struct arena *arena;
  uint8_t *at, *end;
};

static inline uint8_t *pack_alloc(struct pack *p, size_t n) {
  if (n > PACK_BLOCK_BYTES / 8) return arena_alloc(p->arena, n);
  if ((size_t)(p->end - p->at) < n) {
    uint8_t *block = arena_alloc(p->arena, PACK_BLOCK_BYTES);
    if (!block) return NULL;
    p->at = block;
    p->end = block + PACK_BLOCK_BYTES;
  }
  uint8_t *out = p->at;
  p->at += n;
  return out;
}

static inline const char *pack_text(struct pack *p, const void *text, size_t n) {
  char *out = (char *)pack_alloc(p, n + 1);
  if (!out) return NULL;
  if (n) memcpy(out, text, n);
  out[n] = 0;
  return out;
}

#endif
