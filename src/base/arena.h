/* A bump allocator: many small allocations freed at once. Not for the packet path.
 *
 * Zero-initialised is empty. Thread: the owner's. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
  struct arena_block *blocks;
  size_t used_bytes; /* handed out, for limits and statistics */
};

/* 16-byte aligned, not zeroed; NULL when out of memory. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
void *arena_copy(struct arena *a, const void *bytes, size_t n);
char *arena_text(struct arena *a, const char *text, size_t n); /* copies n bytes and adds a NUL */
void arena_join(struct arena *a, struct arena *b);             /* all of `b` is of `a` from now on, and `b` is empty */
void arena_done(struct arena *a);

#endif
