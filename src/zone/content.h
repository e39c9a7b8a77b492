/* The digest of a zone's content: the sum, modulo 2^128, of a keyed hash (XXH3) of each record with its TTL. The order of records
 * and the case of names do not count. A change costs what changed: the hashes of removed records are taken off, those of added ones
 * put on. It tells of damage and of histories that went apart, not of a forger.
 *
 * A snapshot that is built from nothing knows its own, and so does one whose edit has kept its step; otherwise whoever makes a
 * version sets it before others see it. Thread: the owner's; reading: any. */
#ifndef ZONE_CONTENT_H
#define ZONE_CONTENT_H

#include "base/hash.h"
#include "zone/delta.h"

enum { CONTENT_TEXT_BYTES = 33 };

/* What was set for the snapshot; false: nothing was. */
bool zone_content(const struct zone_snap *s, struct digest128 *out);
void zone_content_set(const struct zone_snap *s, struct digest128 digest);

/* By a walk over the whole zone. */
MUST_CHECK enum err zone_content_whole(const struct zone_snap *s, struct digest128 *out);
/* On entry `*digest` is that of `from`, on ERR_OK that of `to`; NULL: nobody asks. `size` is how much is between them. */
MUST_CHECK enum err zone_content_diff(const struct zone_snap *from, const struct zone_snap *to, struct digest128 *digest,
                                      struct delta_size *size);
/* The same by a changeset's body that leads from one to the other. */
MUST_CHECK enum err zone_content_delta(const uint8_t *body, size_t n, struct digest128 *digest, struct delta_size *size);

bool zone_content_equal(struct digest128 a, struct digest128 b);
const char *zone_content_text(struct digest128 digest, char out[CONTENT_TEXT_BYTES]);

#endif
