#include "control/control_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t wire_size(const uint8_t *name) {
  size_t n = 0;
  while (name[n])
    n += 1u + name[n];
  return n + 1;
}

static size_t find_place(const struct registry *r, const uint8_t *name, size_t size) {
  size_t i = hash64(name, size, 0) & r->table_mask;
  for (; r->table[i]; i = (i + 1) & r->table_mask) {
    const uint8_t *other = r->slots[r->table[i] - 1]->config->name;
    if (wire_size(other) == size && memcmp(other, name, size) == 0) break;
  }
  return i;
}

struct zone_slot *registry_find(const struct registry *r, const uint8_t *name, size_t size) {
  if (!r->table) return NULL;
  uint32_t n = r->table[find_place(r, name, size)];
  return n ? r->slots[n - 1] : NULL;
}

static enum err grow_table(struct registry *r) {
  size_t slots = r->table ? 2 * (r->table_mask + 1) : 64;
  uint32_t *table = calloc(slots, sizeof *table);
  if (!table) return ERR_MEMORY;
  free(r->table);
  r->table = table;
  r->table_mask = slots - 1;
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(r, &i));)
    table[find_place(r, z->config->name, wire_size(z->config->name))] = z->id + 1;
  return ERR_OK;
}

static enum err free_id(struct registry *r, uint32_t *out) {
  while (r->next_free < r->capacity && r->slots[r->next_free])
    r->next_free++;
  if (r->next_free == r->capacity) {
    size_t capacity = r->capacity ? 2 * r->capacity : 64;
    if (capacity > LIMIT_ZONES) return ERR_LIMIT;
    struct zone_slot **slots = realloc(r->slots, capacity * sizeof *slots);
    if (!slots) return ERR_MEMORY;
    memset(slots + r->capacity, 0, (capacity - r->capacity) * sizeof *slots);
    r->slots = slots;
    r->capacity = capacity;
  }
  *out = r->next_free;
  return ERR_OK;
}

enum err registry_add(struct registry *r, const struct config_zone *config, struct zone_slot **out) {
  enum err err = ERR_OK;
  if (!r->table || 2 * (r->count + 1) > r->table_mask) err = grow_table(r);
  uint32_t id = 0;
  if (!err) err = free_id(r, &id);
  if (err) return err;
  struct zone_slot *z = calloc(1, sizeof *z);
  if (!z) return ERR_MEMORY;
  z->id = id;
  z->config = config;
  r->slots[id] = z;
  r->table[find_place(r, config->name, wire_size(config->name))] = id + 1;
  r->count++;
  *out = z;
  return ERR_OK;
}

/* Closes the gap that a removed entry leaves in its run of the open-addressing table. */
static void table_remove(struct registry *r, size_t hole) {
  r->table[hole] = 0;
  for (size_t i = (hole + 1) & r->table_mask; r->table[i]; i = (i + 1) & r->table_mask) {
    uint32_t n = r->table[i];
    const uint8_t *name = r->slots[n - 1]->config->name;
    r->table[i] = 0;
    r->table[find_place(r, name, wire_size(name))] = n;
  }
}

static void slot_free(struct zone_slot *z) {
  zone_snap_unref(z->snap);
  free(z->source);
  free(z->trouble);
  free(z->file_trouble);
  free(z->author);
  free(z);
}

void registry_remove(struct registry *r, struct zone_slot *z) {
  size_t at = find_place(r, z->config->name, wire_size(z->config->name));
  assert(r->table[at] == z->id + 1);
  table_remove(r, at);
  r->slots[z->id] = NULL;
  if (z->id < r->next_free) r->next_free = z->id;
  r->count--;
  slot_free(z);
}

struct zone_slot *registry_next(const struct registry *r, size_t *i) {
  while (*i < r->capacity) {
    struct zone_slot *z = r->slots[(*i)++];
    if (z) return z;
  }
  return NULL;
}

void registry_done(struct registry *r) {
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(r, &i));)
    slot_free(z);
  free(r->slots);
  free(r->table);
  *r = (struct registry){0};
}

void slot_name(const struct zone_slot *z, struct name *out) {
  name_from_wire(z->config->name, out);
}

const char *slot_name_text(const struct zone_slot *z, char out[NAME_TEXT_BYTES]) {
  struct name n;
  slot_name(z, &n);
  name_text(&n, out);
  size_t size = strlen(out);
  if (size > 1) out[size - 1] = 0;
  return out;
}

void slot_trouble(struct zone_slot *z, const char *text) {
  free(z->trouble);
  z->trouble = text ? strdup(text) : NULL;
}

void slot_file_trouble(struct zone_slot *z, const char *text) {
  free(z->file_trouble);
  z->file_trouble = text ? strdup(text) : NULL;
}

const char *slot_wrong(const struct zone_slot *z) {
  return z->trouble ? z->trouble : z->file_trouble;
}
