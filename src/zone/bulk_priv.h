/* The build from nothing: records are gathered as they come, and laid out in canonical order. Parts are sorted and their records
 * put into the heap while more is gathered. Parts that follow each other are one run: the only one is laid out with its twigs; of
 * several only the leaves are kept, and they are merged at the end:
 *
 *   gathered rows --bulk_take--> [laid out: records and twigs in the heap, or records in runs] [open: the last owner]
 *
 * Gathering and laying out share nothing, so a part may be laid out by another thread while the next one is gathered. */
#ifndef ZONE_BULK_PRIV_H
#define ZONE_BULK_PRIV_H

#include "base/arena.h"
#include "base/hash.h"
#include "zone/draft_priv.h"
#include "zone/heap_priv.h"
#include "zone/trie_priv.h"

struct bulk_row; /* an owner with records that came one behind the other */

struct bulk_item {
  uint64_t prefix; /* the first 8 octets of the key; the next ones, while sorting */
  struct bulk_row *row;
};

enum { BULK_RUNS_MOST = 32 };

/* The rows of one trie; zero-initialised is empty. */
struct bulk {
  struct bulk_item *items;
  size_t count;
  size_t capacity;
  size_t records;              /* in all rows */
  uint8_t *at, *end;           /* room for rows, behind the last one */
  size_t runs[BULK_RUNS_MOST]; /* where an item is less than the one before: the first such places ... */
  unsigned run_count;          /* ... of so many. 0: sorted */
  uint64_t cells;              /* upper bound of what will be laid out */
};

struct bulk_result {
  struct trie_node root;
  uint64_t record_count;
  uint64_t name_count;
  uint64_t conflicts;       /* zone_conflicts */
  struct digest128 content; /* zone/content.h */
};

/* Rows live in `arena`. `again`: the last one that was added has this owner. */
MUST_CHECK enum err bulk_add(struct bulk *b, struct arena *arena, const struct owner_key *owner, bool again,
                             const struct draft_item *item);
/* The rows of `rear` behind those of `b`; their arena must be joined, too. */
MUST_CHECK enum err bulk_join(struct bulk *b, struct bulk *rear);
void bulk_done(struct bulk *b);

struct bulk_build; /* one trie on its way into the heap */
/* `hashing`: where it says, from some part on, with what owners are hashed; NULL: they are not. */
MUST_CHECK enum err bulk_build_new(struct heap *heap, const struct name *apex, struct hashing *const *hashing,
                                   struct bulk_build **out);
/* Lays the rows out, sorting them for it. */
MUST_CHECK enum err bulk_take(struct bulk_build *b, struct bulk *rows);
MUST_CHECK enum err bulk_finish(struct bulk_build *b, struct bulk_result *out);
void bulk_build_free(struct bulk_build *b); /* NULL is fine */

#endif
