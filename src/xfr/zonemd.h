/* The digest that a zone carries of itself (ZONEMD, RFC 8976), scheme SIMPLE with SHA-384 and SHA-512. Thread: any.
 *
 * A digest covers the whole zone, so making or verifying it walks the whole zone, also after a small change: about a third of a
 * second for a million records. Whether a signature covers the ZONEMD is not looked at: it tells of damage on the way and of
 * histories that went apart, not of a forger. */
#ifndef XFR_ZONEMD_H
#define XFR_ZONEMD_H

#include "xfr/exchange_priv.h"
#include "zone/zone.h"

enum { ZONEMD_SIMPLE = 1, ZONEMD_SHA384 = 1, ZONEMD_SHA512 = 2, ZONEMD_RDATA_BYTES_MAX = 6 + DIGEST_BYTES_MAX };

bool zonemd_is_there(const struct zone_snap *zone); /* any, understood or not */

/* RFC 8976 §4. True: one of the zone's ZONEMD records fits it, or there is none that we understand. `what` ends a sentence about
 * who gave the zone. */
bool zonemd_verify(const struct zone_snap *zone, struct xfr_what *what);

/* RDATA of the ZONEMD with SHA-384 for a zone, whatever ZONEMD it has at its apex now. `*size` octets are written. */
MUST_CHECK enum err zonemd_make(const struct zone_snap *zone, uint8_t rdata[ZONEMD_RDATA_BYTES_MAX], size_t *size);

#endif
