#include "zone/owners_priv.h"

#include "base/hash.h"

#include <stdlib.h>

enum { FIRST = 8, FEW = 64, LITTLE = 64 /* RRs */, SMALL = 1024 /* cells */ };

void owners_done(struct owners *o) {
  for (uint32_t i = 0; i < o->capacity; i++)
    draft_done(&o->list[i].draft);
  free(o->list);
  free(o->buckets);
  *o = (struct owners){0};
}

bool owners_are_few(const struct owners *o) {
  bool little = o->capacity <= FEW;
  for (uint32_t i = 0; little && i < o->capacity; i++)
    little = o->list[i].draft.capacity <= LITTLE && o->list[i].draft.made_cells <= SMALL;
  return little;
}

void owners_clear(struct owners *o) {
  if (o->bucket_count) memset(o->buckets, 0, o->bucket_count * sizeof *o->buckets);
  o->count = 0;
}

static uint32_t hash(const struct owner_key *key, bool nsec3) {
  return (uint32_t)hash64(key->key, key->size, nsec3);
}

static uint32_t *bucket(struct owners *o, uint32_t h) {
  return o->buckets + (h & (o->bucket_count - 1));
}

struct open_owner *owners_find(struct owners *o, const struct owner_key *key, bool nsec3) {
  uint32_t h = hash(key, nsec3);
  for (uint32_t i = o->count ? *bucket(o, h) : 0; i; i = o->list[i - 1].next) {
    struct open_owner *x = o->list + i - 1;
    if (x->hash == h && x->nsec3 == nsec3 && x->size == key->size && memcmp(x->key, key->key, key->size) == 0) return x;
  }
  return NULL;
}

static void link_owner(struct owners *o, uint32_t i) {
  uint32_t *first = bucket(o, o->list[i].hash);
  o->list[i].next = *first;
  *first = i + 1;
}

/* Twice as many; a bucket for each. */
static bool grow(struct owners *o) {
  uint32_t capacity = o->capacity ? 2 * o->capacity : FIRST;
  uint32_t *buckets = calloc(capacity, sizeof *buckets);
  struct open_owner *list = buckets ? realloc(o->list, capacity * sizeof *list) : NULL;
  if (!list) {
    free(buckets);
    return false;
  }
  memset(list + o->capacity, 0, (capacity - o->capacity) * sizeof *list);
  free(o->buckets);
  *o = (struct owners){list, buckets, o->count, capacity, capacity};
  for (uint32_t i = 0; i < o->count; i++)
    link_owner(o, i);
  return true;
}

void open_owner_case(struct open_owner *o, const struct owner_key *key) {
  o->has_case = key->has_case;
  if (key->has_case) memcpy(o->key + o->size, key->case_bits, record_case_bytes(key->size));
}

struct open_owner *owners_open(struct owners *o, struct arena *keys, const struct owner_key *key, bool nsec3) {
  if (o->count == o->capacity && !grow(o)) return NULL;
  uint8_t *copy = arena_alloc(keys, key->size + record_case_bytes(key->size));
  if (!copy) return NULL;
  if (key->size) memcpy(copy, key->key, key->size);
  struct open_owner *x = o->list + o->count;
  *x = (struct open_owner){
      .draft = x->draft, .key = copy, .hash = hash(key, nsec3), .size = key->size, .labels = key->labels, .nsec3 = nsec3};
  open_owner_case(x, key);
  link_owner(o, o->count++);
  return x;
}
