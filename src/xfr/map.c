#include "xfr/map_priv.h"

#include <assert.h>
#include <stdlib.h>

enum err map_init(struct map *m) {
  enum { START = 16 };
  struct map_node **buckets = calloc(START, sizeof(struct map_node *));
  if (!buckets) return ERR_MEMORY;
  *m = (struct map){buckets, START - 1, 0};
  return ERR_OK;
}

void map_done(struct map *m) {
  free(m->buckets);
  *m = (struct map){0};
}

static void grow(struct map *m) {
  size_t size = 2 * (m->mask + 1);
  struct map_node **buckets = calloc(size, sizeof(struct map_node *));
  if (!buckets) return;
  for (size_t i = 0; i <= m->mask; i++) {
    struct map_node *next;
    for (struct map_node *n = m->buckets[i]; n; n = next) {
      next = n->next;
      struct map_node **b = &buckets[n->hash & (size - 1)];
      n->next = *b;
      *b = n;
    }
  }
  free(m->buckets);
  m->buckets = buckets;
  m->mask = size - 1;
}

void map_add(struct map *m, struct map_node *n, uint64_t hash) {
  if (m->count > m->mask) grow(m);
  struct map_node **b = &m->buckets[hash & m->mask];
  n->hash = hash;
  n->next = *b;
  *b = n;
  m->count++;
}

void map_remove(struct map *m, struct map_node *n) {
  struct map_node **at = &m->buckets[n->hash & m->mask];
  while (*at != n) {
    assert(*at);
    at = &(*at)->next;
  }
  *at = n->next;
  m->count--;
}

static struct map_node *with_hash(struct map_node *n, uint64_t hash) {
  while (n && n->hash != hash)
    n = n->next;
  return n;
}

struct map_node *map_first(const struct map *m, uint64_t hash) {
  return with_hash(m->buckets[hash & m->mask], hash);
}

struct map_node *map_next(const struct map_node *n) {
  return with_hash(n->next, n->hash);
}

struct map_node *map_any(const struct map *m, size_t *from) {
  for (; *from <= m->mask; ++*from)
    if (m->buckets[*from]) return m->buckets[*from];
  return NULL;
}
