#include "base/pool.h"
#include "control/control_priv.h"

#include <stdlib.h>
#include <string.h>

static struct pool slot_pool = POOL_OF(struct zone_slot);

struct wanted {
  const struct registry *registry;
  const uint8_t *name;
  size_t size;
};

static bool same_name(const void *arg, uint32_t id) {
  const struct wanted *w = arg;
  const uint8_t *name = w->registry->slots[id]->config->name;
  return name_wire_size(name) == w->size && memcmp(name, w->name, w->size) == 0;
}

static uint64_t name_hash(const uint8_t *name, size_t size) {
  return hash64(name, size, 0);
}

struct zone_slot *registry_find(const struct registry *r, const uint8_t *name, size_t size) {
  uint32_t id = table_find(&r->table, name_hash(name, size), same_name, &(struct wanted){r, name, size});
  return id == UINT32_MAX ? NULL : r->slots[id];
}

struct zone_slot *registry_find_near(const struct registry *r, const uint8_t *name, size_t size, uint32_t *near) {
  uint32_t id = *near;
  bool there = id < r->capacity && r->slots[id] && same_name(&(struct wanted){r, name, size}, id);
  struct zone_slot *z = there ? r->slots[id] : registry_find(r, name, size);
  if (z) *near = z->id + 1;
  return z;
}

static enum err grow_slots(struct registry *r, size_t capacity) {
  if (capacity > LIMIT_ZONES) return ERR_LIMIT;
  struct zone_slot **slots = realloc(r->slots, capacity * sizeof *slots);
  if (!slots) return ERR_MEMORY;
  memset(slots + r->capacity, 0, (capacity - r->capacity) * sizeof *slots);
  r->slots = slots;
  r->capacity = capacity;
  return ERR_OK;
}

enum err registry_reserve(struct registry *r, size_t more) {
  size_t capacity = r->capacity ? r->capacity : 64;
  while (capacity < r->count + more)
    capacity *= 2;
  if (!table_reserve(&r->table, r->count + more)) return ERR_MEMORY;
  return capacity > r->capacity ? grow_slots(r, capacity) : ERR_OK;
}

static uint32_t free_id(struct registry *r) {
  while (r->slots[r->next_free])
    r->next_free++;
  return r->next_free;
}

enum err registry_add(struct registry *r, const struct config_zone *config, struct zone_slot **out) {
  enum err err = registry_reserve(r, 1);
  if (err) return err;
  struct zone_slot *z = pool_take(&slot_pool);
  if (!z) return ERR_MEMORY;
  z->id = free_id(r);
  z->config = config;
  if (!table_add(&r->table, name_hash(config->name, name_wire_size(config->name)), z->id)) {
    pool_give(&slot_pool, z);
    return ERR_MEMORY;
  }
  r->slots[z->id] = z;
  r->count++;
  *out = z;
  return ERR_OK;
}

static void slot_free(struct zone_slot *z) {
  slot_shown(z);
  zone_snap_unref(z->snap);
  source_drop(z->source);
  free(z->trouble);
  free(z->file_trouble);
  slot_author(z, NULL, NULL);
  pool_give(&slot_pool, z);
}

void registry_remove(struct registry *r, struct zone_slot *z) {
  table_remove(&r->table, name_hash(z->config->name, name_wire_size(z->config->name)), z->id);
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

size_t registry_memory_bytes(const struct registry *r) {
  size_t table = r->table.slots ? (r->table.mask + 1) * sizeof *r->table.slots : 0;
  return r->count * sizeof **r->slots + r->capacity * sizeof *r->slots + table;
}

void registry_done(struct registry *r) {
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(r, &i));)
    slot_free(z);
  free(r->slots);
  table_done(&r->table);
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

void slot_author(struct zone_slot *z, char *author, char *comment) {
  free(z->author);
  free(z->comment);
  z->author = author;
  z->comment = comment;
}

const char *slot_wrong(const struct zone_slot *z) {
  return z->trouble ? z->trouble : z->file_trouble;
}
