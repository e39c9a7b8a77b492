/* A hash table from the tokens of exchanges (never 0) to what is kept for them. Thread: the owner's. */
#ifndef IO_TOKEN_MAP_H
#define IO_TOKEN_MAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct token_map {
  struct token_slot *slots; /* NULL: empty */
  size_t capacity;          /* 0 or a power of two */
  size_t count;
};

void *token_map_get(const struct token_map *m, uint64_t token);                      /* NULL: not there */
MUST_CHECK enum err token_map_put(struct token_map *m, uint64_t token, void *value); /* the token is not there yet */
void token_map_remove(struct token_map *m, uint64_t token);
/* The values one after the other, in no order; NULL ends. Starts with *cursor = 0; the map must not change meanwhile. */
void *token_map_next(const struct token_map *m, size_t *cursor);
/* Any one of the values, NULL when empty: to take the map apart. */
static inline void *token_map_any(const struct token_map *m) {
  size_t cursor = 0;
  return token_map_next(m, &cursor);
}
void token_map_done(struct token_map *m);

#endif
