#include "zone/snap_priv.h"

#include <stdlib.h>

struct cursor_state {
  bool in_nsec3;
  struct trie_iter it;
};

enum err zone_cursor_open(const struct zone_snap *s, struct zone_cursor *out) {
  struct cursor_state *c = malloc(sizeof *c);
  if (!c) return ERR_MEMORY;
  c->in_nsec3 = false;
  trie_iter_start(&c->it, s->table, &s->names);
  *out = (struct zone_cursor){s, c};
  return ERR_OK;
}

const struct zone_node *zone_cursor_next(struct zone_cursor *cursor) {
  struct cursor_state *c = cursor->state;
  const struct trie_node *leaf = trie_iter_leaf(&c->it);
  if (!leaf && !c->in_nsec3) {
    c->in_nsec3 = true;
    trie_iter_start(&c->it, cursor->snap->table, &cursor->snap->nsec3);
    leaf = trie_iter_leaf(&c->it);
  }
  if (!leaf) return NULL;
  const struct trie_node *next = trie_iter_top(&c->it);
  if (next && chunk_at(cursor->snap->table, next->ref))
    __builtin_prefetch(cell_at(cursor->snap->table, next->ref)); /* its record, or its twigs */
  return node_record(cursor->snap->table, leaf);
}

void zone_cursor_close(struct zone_cursor *c) {
  free(c->state);
  c->state = NULL;
}
