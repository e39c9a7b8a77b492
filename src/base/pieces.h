/* Text or messages of any length that grow without being copied, and are given back piece by piece as they are read: neither takes
 * long at once.
 *
 * Zero-initialised is empty; pieces_done frees what was not taken. Thread: the owner's, who may change. */
#ifndef BASE_PIECES_H
#define BASE_PIECES_H

#include "base/err.h"

#include <stddef.h>

struct pieces {
  struct piece *first, *last;
  size_t size;  /* octets that were not taken yet */
  size_t taken; /* of the first piece */
};

MUST_CHECK enum err pieces_add(struct pieces *p, const void *bytes, size_t n);
/* Takes `n` octets off the front, or all there are. */
size_t pieces_take(struct pieces *p, void *to, size_t n);
void pieces_done(struct pieces *p);

#endif
