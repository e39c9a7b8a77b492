/* The build from nothing: records are gathered as they come, sorted once by owner, and laid out in canonical order. */
#ifndef ZONE_BULK_PRIV_H
#define ZONE_BULK_PRIV_H

#include "base/arena.h"
#include "zone/draft_priv.h"
#include "zone/heap_priv.h"
#include "zone/trie_priv.h"

struct bulk_row; /* one gathered record */

struct bulk_item {
  uint64_t prefix; /* next 8 bytes of the key, while sorting */
  struct bulk_row *row;
};

/* The rows of one trie; zero-initialised is empty. */
struct bulk {
  struct bulk_item *items;
  size_t count;
  size_t capacity;
  bool unsorted;
  uint64_t cells; /* upper bound of what will be laid out */
};

struct bulk_result {
  struct trie_node root;
  uint64_t record_count;
  uint64_t name_count;
};

/* Rows live in `arena`. */
MUST_CHECK enum err bulk_add(struct bulk *b, struct arena *arena, const struct owner_key *owner, const struct draft_item *item);
/* Sorts and lays out. */
MUST_CHECK enum err bulk_build(struct bulk *b, struct heap *heap, struct bulk_result *out);
void bulk_done(struct bulk *b);

#endif
