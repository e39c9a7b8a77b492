#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  ALIGN = 16,
  FIRST_BYTES = 960,       /* with what is in front as much as malloc keeps at hand; each block is twice the one before, ... */
  BLOCK_BYTES = 64 * 1024, /* ... up to this */
};

struct arena_block {
  struct arena_block *next;
  size_t size;
  size_t used;
  _Alignas(ALIGN) uint8_t data[];
};

static struct arena_block *grow(struct arena *a, size_t n) {
  size_t size = a->blocks ? 2 * a->blocks->size : FIRST_BYTES;
  if (size > BLOCK_BYTES) size = BLOCK_BYTES;
  if (size < n) size = n;
  struct arena_block *b = malloc(sizeof *b + size);
  if (!b) return NULL;
  b->size = size;
  b->used = 0;
  if (n > BLOCK_BYTES && a->blocks) { /* keep filling the current block behind a large one */
    b->next = a->blocks->next;
    a->blocks->next = b;
  } else {
    b->next = a->blocks;
    a->blocks = b;
  }
  return b;
}

void *arena_alloc(struct arena *a, size_t n) {
  if (n > SIZE_MAX - ALIGN - sizeof(struct arena_block)) return NULL;
  n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  struct arena_block *b = a->blocks;
  if (!b || b->size - b->used < n) b = grow(a, n);
  if (!b) return NULL;
  void *p = b->data + b->used;
  b->used += n;
  a->used_bytes += n;
  return p;
}

void *arena_zalloc(struct arena *a, size_t n) {
  void *p = arena_alloc(a, n);
  return p ? memset(p, 0, n) : NULL;
}

void *arena_copy(struct arena *a, const void *bytes, size_t n) {
  void *p = arena_alloc(a, n);
  return p && n ? memcpy(p, bytes, n) : p;
}

char *arena_text(struct arena *a, const char *text, size_t n) {
  char *p = arena_alloc(a, n + 1);
  if (!p) return NULL;
  if (n) memcpy(p, text, n);
  p[n] = 0;
  return p;
}

void arena_join(struct arena *a, struct arena *b) {
  struct arena_block **end = &b->blocks;
  while (*end)
    end = &(*end)->next;
  *end = a->blocks;
  a->blocks = b->blocks;
  a->used_bytes += b->used_bytes;
  *b = (struct arena){0};
}

void arena_done(struct arena *a) {
  for (struct arena_block *b = a->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  *a = (struct arena){0};
}
