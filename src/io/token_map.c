#include "io/token_map.h"

#include <assert.h>
#include <stdlib.h>

struct token_slot {
  uint64_t token; /* 0: free */
  void *value;
};

/* Tokens may be counted up or be random: either way they are spread. */
static size_t home(const struct token_map *m, uint64_t token) {
  return (size_t)((token * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (m->capacity - 1);
}

static struct token_slot *find(const struct token_map *m, uint64_t token) {
  if (m->capacity == 0) return NULL;
  for (size_t i = home(m, token); m->slots[i].token; i = (i + 1) & (m->capacity - 1))
    if (m->slots[i].token == token) return &m->slots[i];
  return NULL;
}

void *token_map_get(const struct token_map *m, uint64_t token) {
  struct token_slot *s = find(m, token);
  return s ? s->value : NULL;
}

static void insert(struct token_map *m, uint64_t token, void *value) {
  size_t i = home(m, token);
  while (m->slots[i].token)
    i = (i + 1) & (m->capacity - 1);
  m->slots[i] = (struct token_slot){token, value};
}

static enum err grow(struct token_map *m) {
  enum { LEAST = 16 };
  struct token_map bigger = {.capacity = m->capacity ? 2 * m->capacity : LEAST, .count = m->count};
  bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
  if (!bigger.slots) return ERR_MEMORY;
  for (size_t i = 0; i < m->capacity; i++)
    if (m->slots[i].token) insert(&bigger, m->slots[i].token, m->slots[i].value);
  free(m->slots);
  *m = bigger;
  return ERR_OK;
}

enum err token_map_put(struct token_map *m, uint64_t token, void *value) {
  assert(token != 0 && !find(m, token));
  if (2 * (m->count + 1) > m->capacity) {
    enum err e = grow(m);
    if (e) return e;
  }
  insert(m, token, value);
  m->count++;
  return ERR_OK;
}

void token_map_remove(struct token_map *m, uint64_t token) {
  struct token_slot *s = find(m, token);
  if (!s) return;
  m->count--;
  size_t hole = (size_t)(s - m->slots);
  /* Whoever stands behind the hole and could not be found any more moves into it. */
  for (size_t i = (hole + 1) & (m->capacity - 1); m->slots[i].token; i = (i + 1) & (m->capacity - 1)) {
    size_t from_home = (i - home(m, m->slots[i].token)) & (m->capacity - 1), from_hole = (i - hole) & (m->capacity - 1);
    if (from_home < from_hole) continue;
    m->slots[hole] = m->slots[i];
    hole = i;
  }
  m->slots[hole] = (struct token_slot){0};
}

void *token_map_next(const struct token_map *m, size_t *cursor) {
  while (*cursor < m->capacity) {
    const struct token_slot *s = &m->slots[(*cursor)++];
    if (s->token) return s->value;
  }
  return NULL;
}

void token_map_done(struct token_map *m) {
  free(m->slots);
  *m = (struct token_map){0};
}
