/* The records of one owner name while they are being changed: a sorted array of items that point at RDATA elsewhere (in the
 * record it was loaded from, or in the edit's arena), written out as a new record when the edit goes on to another name. */
#ifndef ZONE_DRAFT_PRIV_H
#define ZONE_DRAFT_PRIV_H

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
};

/* Where a record stands in a record: RRSIG goes with the type it covers. ERR_FORMAT: an RRSIG without one. */
MUST_CHECK enum err draft_item_make(uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size, struct draft_item *out);

void draft_clear(struct draft *d);
void draft_done(struct draft *d);
/* Appends all of a record, which the draft must be empty for. */
MUST_CHECK enum err draft_load(struct draft *d, const struct zone_node *r);
/* Adds in order; the RDATA must stay where it is. */
MUST_CHECK enum err draft_add(struct draft *d, const struct draft_item *item, enum zone_add *outcome);
/* `item` becomes what stood there. ERR_NOT_FOUND. */
MUST_CHECK enum err draft_remove(struct draft *d, struct draft_item *item);
/* For type RRSIG: of all signatures. ERR_NOT_FOUND. */
MUST_CHECK enum err draft_set_ttl(struct draft *d, uint16_t type, uint32_t ttl);

/* Bulk: appends without order; draft_settle sorts, drops doubles and gives each RRset its lowest TTL. */
MUST_CHECK enum err draft_append(struct draft *d, const struct draft_item *item);
void draft_settle(struct draft *d);

/* Size of the record that the items make. ERR_LIMIT: more than a record can hold. */
MUST_CHECK enum err draft_measure(const struct draft *d, unsigned key_size, bool has_case, uint32_t *cells);
/* Writes it at `out`, all of its cells. `case_bits` NULL: none. */
void draft_write(const struct draft *d, const uint8_t *key, unsigned key_size, unsigned labels, const uint8_t *case_bits,
                 uint32_t cells, void *out);

#endif
