/* Owners of NSEC3 records live in a trie of their own, but stand among the other names in canonical order: both tries are walked at
 * once. A name may stand in both; no type does. */
#include "zone/canonical.h"

#include "wire/message.h"
#include "zone/snap_priv.h"

#include <stdlib.h>

struct canonical {
  enum err (*record)(void *arg, const uint8_t *bytes, size_t n);
  void *arg;
  enum err err;
  bool at_apex;
  size_t owner_size; /* octets of the owner in front of `bytes` */
  uint8_t bytes[LIMIT_NAME_BYTES + 10 + LIMIT_MESSAGE_BYTES];
};

static void say(struct canonical *c, uint16_t type, uint32_t ttl, const uint8_t *rrs, unsigned count) {
  for (unsigned i = 0; i < count && !c->err; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&rrs, &rdata, &size);
    struct wr w = wr_make(c->bytes + c->owner_size, sizeof c->bytes - c->owner_size);
    wr_u16(&w, type);
    wr_u16(&w, CLASS_IN);
    wr_u32(&w, ttl);
    wr_u16(&w, size);
    wr_bytes(&w, rdata, size);
    rr_rdata_canonical(type, c->bytes + c->owner_size + 10, size);
    c->err = c->record(c->arg, c->bytes, c->owner_size + wr_used(&w));
  }
}

/* The next set of one owner's two records in order of type; NULL is a record without sets. */
static bool next_set(const struct zone_node *a, unsigned *i, const struct zone_node *b, unsigned *j, struct zone_rrset *out) {
  struct zone_rrset other;
  bool has_a = a && *i < zone_rrset_count(a), has_b = b && *j < zone_rrset_count(b);
  if (!has_a && !has_b) return false;
  if (has_a) zone_rrset_at(a, *i, out);
  if (has_b) zone_rrset_at(b, *j, &other);
  if (!has_a || (has_b && other.type < out->type)) {
    *out = other;
    ++*j;
  } else {
    ++*i;
  }
  return true;
}

static bool is_left_away(const struct canonical *c, uint16_t type) {
  return c->at_apex && type == RR_ZONEMD;
}

/* Signatures stand with what they cover, and that is what their RDATA starts with: in order of type they are in order. */
static void say_signatures(struct canonical *c, const struct zone_node *a, const struct zone_node *b) {
  struct zone_rrset set;
  for (unsigned i = 0, j = 0; next_set(a, &i, b, &j, &set);)
    if (!is_left_away(c, set.type)) say(c, RR_RRSIG, set.sig_ttl, set.sigs, set.sig_count);
}

static void say_owner(struct canonical *c, const struct zone_snap *s, const struct zone_node *a, const struct zone_node *b) {
  struct name owner;
  struct zone_rrset set;
  bool signatures = false;
  zone_node_owner(s, a ? a : b, &owner);
  name_lower(&owner);
  memcpy(c->bytes, owner.octets, owner.size);
  c->owner_size = owner.size;
  c->at_apex = record_key_size(a ? a : b) == 0;
  for (unsigned i = 0, j = 0; next_set(a, &i, b, &j, &set);) {
    if (!signatures && set.type > RR_RRSIG) {
      say_signatures(c, a, b);
      signatures = true;
    }
    if (!is_left_away(c, set.type)) say(c, set.type, set.ttl, set.rrs, set.count);
  }
  if (!signatures) say_signatures(c, a, b);
}

enum err zone_canonical_walk(const struct zone_snap *s, enum err (*record)(void *arg, const uint8_t *bytes, size_t n), void *arg) {
  struct trie_iter names, nsec3;
  struct canonical *c = malloc(sizeof *c);
  if (!c) return ERR_MEMORY;
  c->record = record;
  c->arg = arg;
  c->err = ERR_OK;
  trie_iter_start(&names, s->table, &s->names);
  trie_iter_start(&nsec3, s->table, &s->nsec3);
  const struct trie_node *a = trie_iter_leaf(&names), *b = trie_iter_leaf(&nsec3);
  while ((a || b) && !c->err) {
    const struct zone_node *ra = a ? node_record(s->table, a) : NULL, *rb = b ? node_record(s->table, b) : NULL;
    int order = !ra ? 1 : !rb ? -1 : record_key_order(ra, rb);
    say_owner(c, s, order <= 0 ? ra : NULL, order >= 0 ? rb : NULL);
    if (order <= 0) a = trie_iter_leaf(&names);
    if (order >= 0) b = trie_iter_leaf(&nsec3);
  }
  enum err e = c->err;
  free(c);
  return e;
}
