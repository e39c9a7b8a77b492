#include "zone/hashing_priv.h"

#include "zone/record_priv.h"

#include <stdlib.h>

enum err hashing_new(const struct zone_nsec3 *p, struct hashing **out) {
  struct hashing *h = malloc(sizeof *h + p->salt_size);
  if (!h) return ERR_MEMORY;
  h->iterations = p->iterations;
  h->salt_size = p->salt_size;
  memcpy(h->salt, p->salt, p->salt_size);
  *out = h;
  return ERR_OK;
}

void hashing_free(struct hashing *h) {
  free(h);
}

bool hashing_is_of(const struct hashing *h, const struct zone_nsec3 *p) {
  return h && h->iterations == p->iterations && h->salt_size == p->salt_size && memcmp(h->salt, p->salt, p->salt_size) == 0;
}

void hashing_key(const struct hashing *h, const struct name *apex, const uint8_t *key, unsigned key_size,
                 uint8_t out[NSEC3_HASH_BYTES]) {
  struct name owner;
  owner_key_name(key, key_size, NULL, apex, &owner);
  name_lower(&owner); /* the apex's part */
  nsec3_hash(owner.octets, owner.size, h->salt, h->salt_size, h->iterations, out);
}
