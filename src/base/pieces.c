#include "base/pieces.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 64 << 10 };

struct piece {
  struct piece *next;
  size_t size;
  char bytes[PIECE_BYTES];
};

static enum err add_piece(struct pieces *p) {
  struct piece *piece = malloc(sizeof *piece);
  if (!piece) return ERR_MEMORY;
  piece->next = NULL;
  piece->size = 0;
  if (p->last) p->last->next = piece;
  else p->first = piece;
  p->last = piece;
  return ERR_OK;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

enum err pieces_add(struct pieces *p, const void *bytes, size_t n) {
  for (const char *at = bytes; n > 0;) {
    if ((!p->last || p->last->size == PIECE_BYTES) && add_piece(p)) return ERR_MEMORY;
    size_t fits = least(n, PIECE_BYTES - p->last->size);
    memcpy(p->last->bytes + p->last->size, at, fits);
    p->last->size += fits;
    p->size += fits;
    at += fits;
    n -= fits;
  }
  return ERR_OK;
}

static void drop_first(struct pieces *p) {
  struct piece *piece = p->first;
  p->first = piece->next;
  if (!p->first) p->last = NULL;
  p->taken = 0;
  free(piece);
}

size_t pieces_take(struct pieces *p, void *to, size_t n) {
  size_t done = 0;
  while (done < n && p->first) {
    size_t some = least(n - done, p->first->size - p->taken);
    memcpy((char *)to + done, p->first->bytes + p->taken, some);
    done += some;
    p->taken += some;
    if (p->taken == p->first->size) drop_first(p);
  }
  p->size -= done;
  return done;
}

void pieces_done(struct pieces *p) {
  while (p->first)
    drop_first(p);
  p->size = 0;
}
