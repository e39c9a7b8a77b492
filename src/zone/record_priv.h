/* The record of one owner name: its key and all its RRsets, one object of the heap without references to others, so that
 * copying it leaves nothing stale.
 *
 *   u32 cells | u16 labels:7 key size:9 | u16 flags:4 sets:12 | key | case bitmap? | pad to 4
 *   then for each type, in order:  u16 type | u16 count | u32 at, bit 31: signed
 *   then the NSEC3 hash, if there is one, 20 octets
 *   then the data:                 at -> [if signed: u32 at of the signatures, u16 count] RRs  signatures
 *
 * RRs are as zone.h shows them; those of a set have one TTL. Signatures stand with the type they cover; RRSIG is never a set of its
 * own. The key is the order key less the apex's part; bit i of the case bitmap (LSB first) says that octet i of the owner's wire
 * form was loaded in upper case. The hash is the owner's with the parameters of its line (hashing_priv.h). Integers are in the
 * machine's order, padding is zero. */
#ifndef ZONE_RECORD_PRIV_H
#define ZONE_RECORD_PRIV_H

#include "crypto/digest.h"
#include "zone/zone.h"

enum {
  KEY_BYTES_MAX = 511,
  RECORD_SETS_MAX = 4095,
  RECORD_CASE = 1, /* flags: there is a case bitmap, a hash */
  RECORD_HASH = 2,
};

struct zone_node {
  uint32_t cells;
  uint16_t shape; /* labels, key size */
  uint16_t sets;  /* flags, count */
  uint8_t data[];
};

struct record_set {
  uint16_t type;
  uint16_t count;
  uint32_t at;
};
#define RECORD_SET_SIGNED UINT32_C(0x80000000)

struct record_signatures { /* not aligned */
  uint32_t at;
  uint16_t count;
};
enum { RECORD_SIGNATURES_BYTES = 6 };

/* What the leaf's word says of the record. */
#define LEAF_PRESENT (UINT64_C(1) << 1) /* always */
#define LEAF_CUT (UINT64_C(1) << 2)     /* NS below the apex */
#define LEAF_DNAME (UINT64_C(1) << 3)
#define LEAF_NSEC (UINT64_C(1) << 4)

static inline const uint8_t *record_key(const struct zone_node *r) {
  return r->data;
}

static inline unsigned record_key_size(const struct zone_node *r) {
  return r->shape & KEY_BYTES_MAX;
}

/* Canonical order of owners (RFC 4034 §6.1). */
static inline int record_key_order(const struct zone_node *a, const struct zone_node *b) {
  unsigned a_size = record_key_size(a), b_size = record_key_size(b), shorter = a_size < b_size ? a_size : b_size;
  int c = shorter ? memcmp(record_key(a), record_key(b), shorter) : 0;
  return c ? c : (int)a_size - (int)b_size;
}

static inline unsigned record_labels(const struct zone_node *r) {
  return r->shape >> 9;
}

static inline unsigned record_set_count(const struct zone_node *r) {
  return r->sets & RECORD_SETS_MAX;
}

static inline bool record_has_case(const struct zone_node *r) {
  return r->sets >> 12 & RECORD_CASE;
}

static inline bool record_has_hash(const struct zone_node *r) {
  return r->sets >> 12 & RECORD_HASH;
}

static inline uint32_t record_case_bytes(unsigned key_size) {
  return (key_size + 7) / 8;
}

/* NULL: none. */
static inline const uint8_t *record_case(const struct zone_node *r) {
  return record_has_case(r) ? r->data + record_key_size(r) : NULL;
}

/* Offset of the sets from the record's start. */
static inline uint32_t record_sets_at(unsigned key_size, bool has_case) {
  return ((uint32_t)sizeof(struct zone_node) + key_size + (has_case ? record_case_bytes(key_size) : 0) + 3) & ~3u;
}

static inline const struct record_set *record_sets(const struct zone_node *r) {
  return (const struct record_set *)((const uint8_t *)r + record_sets_at(record_key_size(r), record_has_case(r)));
}

static inline const uint8_t *record_hash(const struct zone_node *r) {
  return record_has_hash(r) ? (const uint8_t *)(record_sets(r) + record_set_count(r)) : NULL;
}

uint64_t record_leaf_flags(const struct zone_node *r);
/* Names that an NSEC3 chain may have are worth a hash: they have a signature, or are a cut. Glue is not. */
bool record_wants_hash(const struct zone_node *r);
/* RRs and signatures of all types. */
uint64_t record_rr_count(const struct zone_node *r);

/* An owner as edits know it. */
struct owner_key {
  uint16_t size;
  uint8_t labels;
  bool has_case;
  uint8_t key[NAME_KEY_BYTES];
  uint8_t case_bits[KEY_BYTES_MAX / 8 + 1];
};

/* The key of `n` below the apex. ERR_RANGE: not at or below it. */
MUST_CHECK enum err owner_key_make(const struct name *n, const struct name *apex, struct owner_key *out);
/* The name back from key, case bitmap (NULL: none) and apex. */
void owner_key_name(const uint8_t *key, size_t size, const uint8_t *case_bits, const struct name *apex, struct name *out);

#endif
