/* Lays a trie out from leaves that come in order, in one pass: what has been read completely is written, so records stand
 * right in front of the twigs that refer to them, and a walk in order reads memory in order. Used by the build from nothing
 * (bulk.c) and for images (image.c); where the objects go is the caller's `emit`. */
#ifndef ZONE_LAYOUT_PRIV_H
#define ZONE_LAYOUT_PRIV_H

#include "zone/trie_priv.h"

/* Stores an object and says where it is. */
typedef enum err layout_emit(void *arg, const void *bytes, uint32_t cells, uint32_t *ref);

struct layout_branch { /* not yet written: its twigs are the pending nodes from `first` on */
  uint64_t symbols;
  uint32_t position;
  uint32_t first;
};

struct layout {
  layout_emit *emit;
  void *arg;
  struct trie_node *pending;
  size_t pending_count, pending_capacity;
  unsigned open_count;
  unsigned last_size;
  uint8_t last_key[KEY_BYTES_MAX];
  struct layout_branch open[TRIE_DEPTH + 1];
};

/* `arg` is a struct heap. */
layout_emit layout_to_heap;
/* Large (some 17 KiB): not for the packet path. */
void layout_start(struct layout *l, layout_emit *emit, void *arg);
/* Emits the record and whatever is complete before it. Keys rise. */
MUST_CHECK enum err layout_leaf(struct layout *l, const struct zone_node *record, uint64_t flags);
/* The root of all leaves since the start; the layout may be started again. */
MUST_CHECK enum err layout_finish(struct layout *l, struct trie_node *root);
void layout_done(struct layout *l);

#endif
