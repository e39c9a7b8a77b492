/* A zone as one run of octets, whatever order and case it was loaded in: all its records in canonical order and form (RFC 4034
 * §6), which is what the digest of scheme SIMPLE is made of (RFC 8976 §3.3). The records that such a digest can't cover are left
 * away: the ZONEMD at the apex and the signatures over it.
 *
 * Costs a walk over the whole zone, whatever changed in it. Thread: any that holds a reference on the snapshot. */
#ifndef ZONE_CANONICAL_H
#define ZONE_CANONICAL_H

#include "zone/zone.h"

/* Calls back with one record after the other: owner, type, class, TTL, size, RDATA. A callback's error stops, and is given back. */
MUST_CHECK enum err zone_canonical_walk(const struct zone_snap *s, enum err (*record)(void *arg, const uint8_t *bytes, size_t n),
                                        void *arg);

#endif
