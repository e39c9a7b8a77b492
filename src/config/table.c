#include "config/table_priv.h"

#include <stdlib.h>

enum { SLOTS_AT_LEAST = 64 };

/* Slots are found by 32 bits of the hash, so that the table can be moved without asking for the hashes again. */
static size_t place_of(const struct table *t, uint32_t hash) {
  return hash & t->mask;
}

static void put(struct table *t, struct table_slot slot) {
  size_t i = place_of(t, slot.hash);
  while (t->slots[i].index_plus_1)
    i = (i + 1) & t->mask;
  t->slots[i] = slot;
}

bool config_table_reserve(struct table *t, size_t count) {
  if (t->slots && count <= (t->mask + 1) / 2) return true;
  size_t slots = SLOTS_AT_LEAST;
  while (slots / 2 < count)
    slots *= 2;
  struct table grown = {calloc(slots, sizeof *grown.slots), slots - 1, t->count};
  if (!grown.slots) return false;
  for (size_t i = 0; t->slots && i <= t->mask; i++)
    if (t->slots[i].index_plus_1) put(&grown, t->slots[i]);
  free(t->slots);
  *t = grown;
  return true;
}

uint32_t config_table_find(const struct table *t, uint64_t hash, bool (*same)(const void *arg, uint32_t index), const void *arg) {
  if (!t->slots) return UINT32_MAX;
  uint32_t folded = (uint32_t)(hash >> 32);
  for (size_t i = place_of(t, folded); t->slots[i].index_plus_1; i = (i + 1) & t->mask)
    if (t->slots[i].hash == folded && same(arg, t->slots[i].index_plus_1 - 1)) return t->slots[i].index_plus_1 - 1;
  return UINT32_MAX;
}

void config_table_prefetch(const struct table *t, uint64_t hash) {
  if (t->slots) __builtin_prefetch(&t->slots[place_of(t, (uint32_t)(hash >> 32))], 1);
}

bool config_table_add(struct table *t, uint64_t hash, uint32_t index) {
  if (!config_table_reserve(t, t->count + 1)) return false;
  put(t, (struct table_slot){(uint32_t)(hash >> 32), index + 1});
  t->count++;
  return true;
}

void config_table_done(struct table *t) {
  free(t->slots);
  *t = (struct table){0};
}
