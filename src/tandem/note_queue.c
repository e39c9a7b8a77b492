#include "tandem/note_queue.h"

#include "base/limits.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { MASK = LIMIT_NOTIFY_QUEUE - 1 };

struct cell {
  _Atomic size_t turn; /* i: writer i may fill it; i + 1: it is filled for reader i */
  struct note note;
};

struct note_queue {
  _Alignas(64) _Atomic size_t head; /* next to be written */
  _Alignas(64) size_t tail;         /* next to be read; the reader's own */
  struct cell cells[LIMIT_NOTIFY_QUEUE];
};

enum err note_queue_new(struct note_queue **out) {
  struct note_queue *q;
  if (posix_memalign((void **)&q, 64, sizeof *q) != 0) return ERR_MEMORY;
  atomic_init(&q->head, 0);
  q->tail = 0;
  for (size_t i = 0; i < LIMIT_NOTIFY_QUEUE; i++)
    atomic_init(&q->cells[i].turn, i);
  *out = q;
  return ERR_OK;
}

void note_queue_free(struct note_queue *q) {
  free(q);
}

bool note_queue_put(struct note_queue *q, const struct note *n) {
  size_t at = atomic_load_explicit(&q->head, memory_order_relaxed);
  for (;;) {
    struct cell *c = &q->cells[at & MASK];
    size_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);
    if (turn == at) {
      if (!atomic_compare_exchange_weak_explicit(&q->head, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) continue;
      c->note = *n;
      atomic_store_explicit(&c->turn, at + 1, memory_order_release);
      return true;
    }
    if ((ptrdiff_t)(turn - at) < 0) return false; /* not yet read since the last round */
    at = atomic_load_explicit(&q->head, memory_order_relaxed);
  }
}

bool note_queue_take(struct note_queue *q, struct note *out) {
  struct cell *c = &q->cells[q->tail & MASK];
  if (atomic_load_explicit(&c->turn, memory_order_acquire) != q->tail + 1) return false;
  *out = c->note;
  atomic_store_explicit(&c->turn, q->tail + LIMIT_NOTIFY_QUEUE, memory_order_release);
  q->tail++;
  return true;
}
