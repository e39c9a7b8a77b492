#include "xfr/timers_priv.h"

#include <assert.h>
#include <stdlib.h>

enum { CHILDREN = 4 };

struct timer_slot {
  uint64_t due_ns;
  struct timer *timer;
};

enum err timers_reserve(struct timers *h, size_t count) {
  if (count <= h->capacity) return ERR_OK;
  size_t capacity = h->capacity ? h->capacity : 16;
  while (capacity < count)
    capacity *= 2;
  struct timer_slot *slots = realloc(h->slots, capacity * sizeof *slots);
  if (!slots) return ERR_MEMORY;
  h->slots = slots;
  h->capacity = capacity;
  return ERR_OK;
}

void timers_done(struct timers *h) {
  free(h->slots);
  *h = (struct timers){0};
}

static void put(struct timers *h, size_t i, struct timer_slot slot) {
  h->slots[i] = slot;
  slot.timer->place = (uint32_t)i + 1;
}

static void sift_up(struct timers *h, size_t i, struct timer_slot slot) {
  while (i > 0) {
    size_t parent = (i - 1) / CHILDREN;
    if (h->slots[parent].due_ns <= slot.due_ns) break;
    put(h, i, h->slots[parent]);
    i = parent;
  }
  put(h, i, slot);
}

static void sift_down(struct timers *h, size_t i, struct timer_slot slot) {
  for (;;) {
    size_t first = CHILDREN * i + 1, least = first;
    if (first >= h->count) break;
    for (size_t c = first + 1; c < first + CHILDREN && c < h->count; c++)
      if (h->slots[c].due_ns < h->slots[least].due_ns) least = c;
    if (h->slots[least].due_ns >= slot.due_ns) break;
    put(h, i, h->slots[least]);
    i = least;
  }
  put(h, i, slot);
}

static void place(struct timers *h, size_t i, struct timer_slot slot) {
  if (i > 0 && h->slots[(i - 1) / CHILDREN].due_ns > slot.due_ns) sift_up(h, i, slot);
  else sift_down(h, i, slot);
}

static void unset(struct timers *h, struct timer *t) {
  if (!t->place) return;
  size_t i = t->place - 1;
  t->place = 0;
  struct timer_slot last = h->slots[--h->count];
  if (last.timer != t) place(h, i, last);
}

void timer_set(struct timers *h, struct timer *t, uint64_t due_ns) {
  if (due_ns == UINT64_MAX) {
    unset(h, t);
    return;
  }
  struct timer_slot slot = {due_ns, t};
  if (t->place) {
    place(h, t->place - 1, slot);
    return;
  }
  assert(h->count < h->capacity);
  size_t i = h->count++;
  sift_up(h, i, slot);
}

struct timer *timers_due(const struct timers *h, uint64_t now_ns) {
  return h->count && h->slots[0].due_ns <= now_ns ? h->slots[0].timer : NULL;
}

uint64_t timers_next(const struct timers *h) {
  return h->count ? h->slots[0].due_ns : UINT64_MAX;
}
