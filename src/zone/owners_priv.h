/* The owners that an edit has open: each taken apart in a draft from its first change on, written back together at the end. An
 * IXFR takes records away from all its owners before it gives them others: so none leaves the trie to come back. */
#ifndef ZONE_OWNERS_PRIV_H
#define ZONE_OWNERS_PRIV_H

#include "base/arena.h"
#include "zone/draft_priv.h"

struct open_owner {
  struct draft draft;
  const struct zone_node *stored; /* its record, as long as it is loaded; NULL: it has none */
  uint8_t *key;                   /* the case bitmap behind it */
  uint32_t hash;
  uint32_t next; /* with the same hash: its number and 1, or 0 */
  uint16_t size;
  uint8_t labels;
  bool has_case;
  bool nsec3;  /* in the trie of NSEC3 owners */
  bool loaded; /* the draft is what it owns */
  bool changed, gained;
};

struct owners { /* zero-initialised is empty */
  struct open_owner *list;
  uint32_t *buckets; /* numbers and 1 */
  uint32_t count, capacity, bucket_count;
};

void owners_done(struct owners *o);
bool owners_are_few(const struct owners *o); /* and have little */
/* All are closed. Their keys are the arena's. */
void owners_clear(struct owners *o);
/* NULL: it is not open. */
struct open_owner *owners_find(struct owners *o, const struct owner_key *key, bool nsec3);
/* One that is not open yet; the others may move. NULL: no memory. */
struct open_owner *owners_open(struct owners *o, struct arena *keys, const struct owner_key *key, bool nsec3);
/* Octets in upper case are those of `key`. */
void open_owner_case(struct open_owner *o, const struct owner_key *key);

#endif
