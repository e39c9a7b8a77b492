#include "zone/layout_priv.h"

#include <assert.h>
#include <stdlib.h>

enum err layout_to_heap(void *arg, const void *bytes, uint32_t cells, uint32_t *ref) {
  void *at = heap_alloc(arg, cells, ref);
  if (!at) return ERR_MEMORY;
  memcpy(at, bytes, (size_t)cells * CELL_BYTES);
  return ERR_OK;
}

void layout_start(struct layout *l, layout_emit *emit, void *arg) {
  l->emit = emit;
  l->arg = arg;
  l->pending = NULL;
  l->pending_count = l->pending_capacity = 0;
  l->open_count = 0;
  l->last_size = 0;
}

void layout_done(struct layout *l) {
  free(l->pending);
  l->pending = NULL;
}

static enum err push(struct layout *l, struct trie_node n) {
  if (l->pending_count + 1 >= l->pending_capacity) { /* one more than used: the padding behind odd twigs */
    size_t capacity = l->pending_capacity ? 2 * l->pending_capacity : 64;
    struct trie_node *pending = realloc(l->pending, capacity * sizeof *pending);
    if (!pending) return ERR_MEMORY;
    l->pending = pending;
    l->pending_capacity = capacity;
  }
  l->pending[l->pending_count++] = n;
  return ERR_OK;
}

/* The innermost open branch gets no more twigs: they are written, and it becomes a pending node itself. */
static enum err close_branch(struct layout *l) {
  const struct layout_branch *b = l->open + --l->open_count;
  unsigned twigs = (unsigned)(l->pending_count - b->first);
  uint32_t ref;
  l->pending[l->pending_count] = (struct trie_node){0};
  enum err e = l->emit(l->arg, l->pending + b->first, twigs_cells(twigs), &ref);
  if (e != ERR_OK) return e;
  l->pending_count = b->first;
  l->pending[l->pending_count++] = node_make(TRIE_BRANCH | b->symbols | (uint64_t)b->position << TRIE_POSITION_SHIFT, ref);
  return ERR_OK;
}

enum err layout_leaf(struct layout *l, const struct zone_node *record, uint64_t flags) {
  const uint8_t *key = record_key(record);
  unsigned size = record_key_size(record);
  if (l->pending_count) {
    unsigned position = trie_difference(l->last_key, l->last_size, key, size);
    unsigned symbol = key_symbol(key, size, position), last_symbol = key_symbol(l->last_key, l->last_size, position);
    if (position == TRIE_SAME || symbol <= last_symbol) return ERR_CORRUPT; /* a damaged image is being written again */
    while (l->open_count && l->open[l->open_count - 1].position > position) {
      enum err e = close_branch(l);
      if (e != ERR_OK) return e;
    }
    if (!l->open_count || l->open[l->open_count - 1].position < position) /* the last pending node is its first twig */
      l->open[l->open_count++] = (struct layout_branch){UINT64_C(1) << last_symbol, position, (uint32_t)l->pending_count - 1};
    l->open[l->open_count - 1].symbols |= UINT64_C(1) << symbol;
  }
  if (size) memcpy(l->last_key, key, size);
  l->last_size = size;
  uint32_t ref;
  enum err e = l->emit(l->arg, record, record->cells, &ref);
  return e == ERR_OK ? push(l, node_make(flags, ref)) : e;
}

enum err layout_finish(struct layout *l, struct trie_node *root) {
  while (l->open_count) {
    enum err e = close_branch(l);
    if (e != ERR_OK) return e;
  }
  *root = l->pending_count ? l->pending[0] : (struct trie_node){0};
  l->pending_count = 0;
  return ERR_OK;
}
