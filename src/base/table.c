#include "base/table.h"

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

bool table_reserve(struct table *t, size_t count) {
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

uint32_t table_find(const struct table *t, uint64_t hash, bool (*same)(const void *arg, uint32_t index), const void *arg) {
  if (!t->slots) return UINT32_MAX;
  uint32_t folded = (uint32_t)(hash >> 32);
  for (size_t i = place_of(t, folded); t->slots[i].index_plus_1; i = (i + 1) & t->mask)
    if (t->slots[i].hash == folded && same(arg, t->slots[i].index_plus_1 - 1)) return t->slots[i].index_plus_1 - 1;
  return UINT32_MAX;
}

void table_prefetch(const struct table *t, uint64_t hash) {
  if (t->slots) __builtin_prefetch(&t->slots[place_of(t, (uint32_t)(hash >> 32))], 1);
}

bool table_add(struct table *t, uint64_t hash, uint32_t index) {
  if (!table_reserve(t, t->count + 1)) return false;
  put(t, (struct table_slot){(uint32_t)(hash >> 32), index + 1});
  t->count++;
  return true;
}

/* Closes the gap: whoever stands behind it moves up, unless its own place lies behind the gap as well. */
void table_remove(struct table *t, uint64_t hash, uint32_t index) {
  size_t gap = place_of(t, (uint32_t)(hash >> 32));
  while (t->slots[gap].index_plus_1 != index + 1)
    gap = (gap + 1) & t->mask;
  for (size_t i = (gap + 1) & t->mask; t->slots[i].index_plus_1; i = (i + 1) & t->mask) {
    if (((i - place_of(t, t->slots[i].hash)) & t->mask) < ((i - gap) & t->mask)) continue;
    t->slots[gap] = t->slots[i];
    gap = i;
  }
  t->slots[gap] = (struct table_slot){0};
  t->count--;
}

void table_done(struct table *t) {
  free(t->slots);
  *t = (struct table){0};
}
