/* A chained hash table through its members; the caller compares. Grows by itself; when it can't, chains get longer.
 * Thread: the owner's. */
#ifndef XFR_MAP_PRIV_H
#define XFR_MAP_PRIV_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct map_node {
  struct map_node *next;
  uint64_t hash;
};

struct map {
  struct map_node **buckets;
  size_t mask; /* buckets - 1 */
  size_t count;
};

MUST_CHECK enum err map_init(struct map *m);
void map_done(struct map *m); /* the members are the caller's */
void map_add(struct map *m, struct map_node *n, uint64_t hash);
void map_remove(struct map *m, struct map_node *n);

/* Members with this hash: for (n = map_first(m, h); n; n = map_next(n)) */
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *n);
/* Any member, to empty the table with; NULL: none is left. `*from` starts at 0. */
struct map_node *map_any(const struct map *m, size_t *from);

#endif
