#include "xfr/tokens_priv.h"

#include <assert.h>
#include <stdlib.h>

struct token_slot {
  void *owner; /* NULL: free */
  uint32_t generation;
  uint32_t next_free; /* 1-based */
};

enum { GENERATION_MASK = 0x1fffffff };

static uint64_t token_of(const struct tokens *t, uint32_t slot) {
  return t->machine << 61 | (uint64_t)t->slots[slot].generation << 32 | (slot + 1);
}

static enum err grow(struct tokens *t) {
  uint32_t count = t->count ? 2 * t->count : 16;
  struct token_slot *slots = realloc(t->slots, count * sizeof *slots);
  if (!slots) return ERR_MEMORY;
  for (uint32_t i = t->count; i < count; i++)
    slots[i] = (struct token_slot){NULL, 0, i + 1 < count ? i + 2 : 0};
  t->slots = slots;
  t->free = t->count + 1;
  t->count = count;
  return ERR_OK;
}

enum err tokens_take(struct tokens *t, void *owner, uint64_t *token) {
  if (!t->free && grow(t)) return ERR_MEMORY;
  uint32_t slot = t->free - 1;
  struct token_slot *s = &t->slots[slot];
  t->free = s->next_free;
  s->owner = owner;
  s->generation = (s->generation + 1) & GENERATION_MASK;
  *token = token_of(t, slot);
  return ERR_OK;
}

static struct token_slot *find(const struct tokens *t, uint64_t token) {
  uint32_t slot = (uint32_t)token - 1;
  if (slot >= t->count || token_of(t, slot) != token) return NULL;
  return t->slots[slot].owner ? &t->slots[slot] : NULL;
}

void tokens_drop(struct tokens *t, uint64_t token) {
  struct token_slot *s = find(t, token);
  assert(s);
  s->owner = NULL;
  s->next_free = t->free;
  t->free = (uint32_t)token;
}

void *tokens_find(const struct tokens *t, uint64_t token) {
  struct token_slot *s = find(t, token);
  return s ? s->owner : NULL;
}

void tokens_done(struct tokens *t) {
  free(t->slots);
  t->slots = NULL;
  t->count = t->free = 0;
}
