#include "tandem/ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cell {
  _Atomic size_t turn; /* the number of its round's first cell: a writer may fill it; one more: it is filled for a reader */
  uint8_t item[];
};

struct ring {
  _Alignas(64) _Atomic size_t head; /* next to be written */
  _Alignas(64) _Atomic size_t tail; /* next to be read */
  _Alignas(64) size_t capacity;
  size_t item_bytes, cell_bytes;
  uint8_t *cells;
};

/* Rounds begin at multiples of the capacity, so memory of zeros is the first one: cells that were never used take none. */
static size_t round_of(const struct ring *r, size_t i) {
  return i & ~(r->capacity - 1);
}

static struct cell *cell_of(const struct ring *r, size_t i) {
  return (struct cell *)(void *)(r->cells + (i & (r->capacity - 1)) * r->cell_bytes);
}

enum err ring_new(size_t capacity, size_t item_bytes, struct ring **out) {
  struct ring *r;
  assert(capacity && (capacity & (capacity - 1)) == 0);
  if (posix_memalign((void **)&r, 64, sizeof *r) != 0) return ERR_MEMORY;
  size_t align = _Alignof(struct cell) - 1;
  *r = (struct ring){
      .capacity = capacity, .item_bytes = item_bytes, .cell_bytes = (sizeof(struct cell) + item_bytes + align) & ~align};
  r->cells = calloc(capacity, r->cell_bytes);
  if (!r->cells) {
    free(r);
    return ERR_MEMORY;
  }
  atomic_init(&r->head, 0);
  atomic_init(&r->tail, 0);
  *out = r;
  return ERR_OK;
}

void ring_free(struct ring *r) {
  if (!r) return;
  free(r->cells);
  free(r);
}

/* The cell whose turn is `offset` ahead of its number, taken by moving `end` on; NULL: it is not its turn yet. */
static struct cell *take_cell(struct ring *r, _Atomic size_t *end, size_t offset, size_t *number) {
  size_t at = atomic_load_explicit(end, memory_order_relaxed);
  for (;;) {
    struct cell *c = cell_of(r, at);
    size_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);
    size_t wanted = round_of(r, at) + offset;
    if (turn == wanted) {
      *number = at;
      if (atomic_compare_exchange_weak_explicit(end, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) return c;
      continue;
    }
    if ((ptrdiff_t)(turn - wanted) < 0) return NULL;
    at = atomic_load_explicit(end, memory_order_relaxed);
  }
}

bool ring_put(struct ring *r, const void *item) {
  size_t at;
  struct cell *c = take_cell(r, &r->head, 0, &at);
  if (!c) return false;
  memcpy(c->item, item, r->item_bytes);
  atomic_store_explicit(&c->turn, round_of(r, at) + 1, memory_order_release);
  return true;
}

bool ring_take(struct ring *r, void *item) {
  size_t at;
  struct cell *c = take_cell(r, &r->tail, 1, &at);
  if (!c) return false;
  memcpy(item, c->item, r->item_bytes);
  atomic_store_explicit(&c->turn, round_of(r, at) + r->capacity, memory_order_release);
  return true;
}
