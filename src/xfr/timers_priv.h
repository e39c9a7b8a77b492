/* Deadlines of very many things: a heap with four children a node, whose slots carry the time, so that sifting touches one array.
 * Setting, moving and removing cost O(log n). Thread: the owner's. */
#ifndef XFR_TIMERS_PRIV_H
#define XFR_TIMERS_PRIV_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct timer {
  uint32_t place; /* 1-based in the heap; 0: not set */
};

struct timers {
  struct timer_slot *slots;
  size_t count, capacity;
};

/* Room for `count` timers set at once, so that timer_set can't fail. */
MUST_CHECK enum err timers_reserve(struct timers *h, size_t count);
void timers_done(struct timers *h);

/* UINT64_MAX: never, the timer leaves the heap. */
void timer_set(struct timers *h, struct timer *t, uint64_t due_ns);
/* The earliest one, if it is due; it stays set. NULL: none is. */
struct timer *timers_due(const struct timers *h, uint64_t now_ns);
uint64_t timers_next(const struct timers *h); /* UINT64_MAX: nothing is set */

#endif
