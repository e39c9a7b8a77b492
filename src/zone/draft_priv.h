/* The records of one owner name while they are being changed: a sorted array of items that point at RDATA elsewhere (in the
 * record it was loaded from, or in the edit's arena), written out as a new record when the edit goes on to another name. */
#ifndef ZONE_DRAFT_PRIV_H
#define ZONE_DRAFT_PRIV_H

#include "zone/hashing_priv.h"
#include "zone/heap_priv.h"
#include "zone/record_priv.h"

struct draft_item {
  const uint8_t *rdata;
  uint32_t ttl;
  uint16_t size;
  uint16_t type; /* of a signature: the type it covers */
  bool signature;
};

struct draft { /* zero-initialised is empty */
  struct draft_item *items;
  size_t count;
  size_t capacity;
  uint64_t *made; /* room of draft_make */
  uint32_t made_cells;
};

/* Whose record it will be. */
struct draft_owner {
  const uint8_t *key;
  unsigned key_size, labels;
  const uint8_t *case_bits; /* NULL: none */
  const uint8_t *hash;      /* NULL: none is kept */
};

/* Where a record stands in a record: RRSIG goes with the type it covers. ERR_FORMAT: an RRSIG without one. */
MUST_CHECK enum err draft_item_make(uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size, struct draft_item *out);

void draft_clear(struct draft *d);
void draft_done(struct draft *d);
/* Appends all of a record: in order if the draft was empty. */
MUST_CHECK enum err draft_load(struct draft *d, const struct zone_node *r);
/* Adds in order; the RDATA must stay where it is. */
MUST_CHECK enum err draft_add(struct draft *d, const struct draft_item *item, enum zone_add *outcome);
/* The items of its RRset, or of that one's signatures: [*first, *end), empty where they would stand. */
void draft_set(const struct draft *d, const struct draft_item *like, size_t *first, size_t *end);
/* `item` becomes what stood there. ERR_NOT_FOUND. */
MUST_CHECK enum err draft_remove(struct draft *d, struct draft_item *item);
/* For type RRSIG: of all signatures. ERR_NOT_FOUND. */
MUST_CHECK enum err draft_set_ttl(struct draft *d, uint16_t type, uint32_t ttl);

/* Bulk: appends without order; draft_settle sorts, drops doubles and gives each RRset its lowest TTL. */
MUST_CHECK enum err draft_append(struct draft *d, const struct draft_item *item);
void draft_settle(struct draft *d);

/* That of a record. */
static inline struct draft_owner record_owner(const struct zone_node *r) {
  return (struct draft_owner){record_key(r), record_key_size(r), record_labels(r), record_case(r), record_hash(r)};
}
/* The owner's hash for a record of these items, if it wants one (record_wants_hash): the one it has, or else it is made. `h` NULL:
 * none is kept. */
const uint8_t *draft_hash(const struct draft *d, const struct hashing *h, const struct name *apex, const struct draft_owner *o,
                          uint8_t out[NSEC3_HASH_BYTES]);
/* Size of the record that the items make. ERR_LIMIT: more than a record can hold. */
MUST_CHECK enum err draft_measure(const struct draft *d, const struct draft_owner *o, uint32_t *cells);
/* Writes it at `out`, all of its cells. */
void draft_write(const struct draft *d, const struct draft_owner *o, uint32_t cells, void *out);
/* Both, in memory of the draft's, where the record is good until the next one. */
MUST_CHECK enum err draft_make(struct draft *d, const struct draft_owner *o, const struct zone_node **out);

#endif
