/* NSEC3 hashes kept with the owners they are of (record_priv.h), so that what is proved of a name that exists costs no SHA-1.
 *
 * All of a line are made with the same parameters: those of the chain that its first snapshot had, or, if that had none, of the
 * first chain it got. A snapshot that has another chain by now does not look at them (SNAP_HASHED), and its image, which is the
 * beginning of the next line, gets them with the new parameters. */
#ifndef ZONE_HASHING_PRIV_H
#define ZONE_HASHING_PRIV_H

#include "crypto/digest.h"
#include "zone/zone.h"

/* With more, a zone would take longer to be hashed than to be read. RFC 9276 asks for 0. */
enum { HASHING_ITERATIONS_MAX = 20 };

struct hashing { /* NULL: none are kept */
  uint16_t iterations;
  uint8_t salt_size;
  uint8_t salt[];
};

/* Whether hashes are kept for a chain. */
static inline bool hashing_is_for(const struct zone_nsec3 *p) {
  return p->iterations <= HASHING_ITERATIONS_MAX;
}
MUST_CHECK enum err hashing_new(const struct zone_nsec3 *p, struct hashing **out);
void hashing_free(struct hashing *h); /* NULL is fine */
/* Whether the hashes are those of this chain; `h` NULL: no. */
bool hashing_is_of(const struct hashing *h, const struct zone_nsec3 *p);
/* The hash of the owner with this key, which is without the apex's part. */
void hashing_key(const struct hashing *h, const struct name *apex, const uint8_t *key, unsigned key_size,
                 uint8_t out[NSEC3_HASH_BYTES]);

#endif
