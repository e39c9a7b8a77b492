/* The part of one record in a zone's digest. */
#ifndef ZONE_CONTENT_PRIV_H
#define ZONE_CONTENT_PRIV_H

#include "base/hash.h"
#include "zone/record_priv.h"

/* `apex` in lower case. */
void content_add(struct digest128 *sum, const struct zone_node *record, const struct name *apex);
void content_take(struct digest128 *sum, const struct zone_node *record, const struct name *apex);
/* One RR; the case of its owner does not count. */
struct digest128 content_of(const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);
/* Of two parts of a zone. */
struct digest128 content_sum(struct digest128 a, struct digest128 b);
struct digest128 content_less(struct digest128 a, struct digest128 b);

#endif
