/* Proofs of what is not there: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7.2).
 *
 * Each function pushes the fewest records that prove it; one record that proves several things stands once. */
#include "answer/answer_priv.h"

#include <assert.h>

static void push(struct reply *r, const struct zone_node *node, uint16_t type) {
  if (!node) return; /* the zone's chain is broken; what there is goes out */
  for (unsigned i = 0; i < r->proof_count; i++)
    if (r->proofs[i].node == node) return;
  if (r->proof_count == PROOFS_MAX) return;
  r->proofs[r->proof_count++] = (struct proof){r->lookup->snap, node, type};
}

/* ---- NSEC ---- */

static void push_nsec(struct reply *r, const uint8_t *key, size_t key_size) {
  push(r, zone_nsec_cover(r->lookup->snap, key, key_size), RR_NSEC);
}

static void push_nsec_name(struct reply *r) {
  push_nsec(r, r->lookup->key, r->lookup->key_size);
}

/* The NSEC that matches or covers the wildcard below the closest encloser. */
static void push_nsec_wildcard(struct reply *r) {
  uint8_t key[NAME_KEY_BYTES];
  size_t size = resolve_key_prefix(r->lookup->key, r->lookup->found.encloser_labels);
  if (size + 2 > sizeof key) return;
  memcpy(key, r->lookup->key, size);
  key[size++] = '*';
  key[size++] = 0;
  push_nsec(r, key, size);
}

/* ---- NSEC3 ---- */

/* A name in lower case with the start of each of its ancestors: NSEC3 hashes them one by one. */
struct hashed_name {
  const struct zone_snap *snap;
  struct zone_nsec3 parameters;
  struct name name;
  uint8_t offsets[LIMIT_NAME_LABELS]; /* offsets[i]: without the i leftmost labels */
};

static enum err nsec3_open(struct reply *r, const struct name *name, struct hashed_name *out) {
  out->snap = r->lookup->snap;
  if (!zone_nsec3_parameters(out->snap, &out->parameters)) return ERR_NOT_FOUND;
  if (out->parameters.iterations > LIMIT_NSEC3_ITERATIONS) return ERR_LIMIT;
  out->name = *name;
  name_lower(&out->name);
  uint8_t at = 0;
  for (unsigned i = 0; i <= name->labels; i++) {
    out->offsets[i] = at;
    at = (uint8_t)(at + 1 + name->octets[at]);
  }
  return ERR_OK;
}

static const struct zone_node *nsec3_of(const struct hashed_name *h, const uint8_t *wire, size_t size, bool *match) {
  uint8_t hash[NSEC3_HASH_BYTES];
  nsec3_hash(wire, size, h->parameters.salt, h->parameters.salt_size, h->parameters.iterations, hash);
  return zone_nsec3_find(h->snap, hash, match);
}

/* The NSEC3 matching or covering the ancestor of `labels` labels. */
static const struct zone_node *nsec3_ancestor(const struct hashed_name *h, unsigned labels, bool *match) {
  uint8_t at = h->offsets[h->name.labels - labels];
  return nsec3_of(h, h->name.octets + at, h->name.size - at, match);
}

static const struct zone_node *nsec3_wildcard(const struct hashed_name *h, unsigned labels) {
  uint8_t wire[LIMIT_NAME_BYTES + 2] = {1, '*'};
  uint8_t at = h->offsets[h->name.labels - labels];
  size_t size = h->name.size - (size_t)at;
  memcpy(wire + 2, h->name.octets + at, size);
  bool match;
  return nsec3_of(h, wire, size + 2, &match);
}

/* From `labels` upwards to the first ancestor that has an NSEC3, RFC 5155 §7.2.1. Keys of a batch's questions stay until its end,
 * so what is found for them is kept in the batch; for the links of a chain it goes into `own`. */
static struct encloser *find_encloser(struct reply *r, const struct hashed_name *h, unsigned labels, struct encloser *own) {
  struct encloser *e = r->lookup == &r->query->lookup ? r->server->encloser : own;
  const uint8_t *key = r->lookup->key;
  size_t key_size = resolve_key_prefix(key, labels);
  if (e != own && e->snap == h->snap && e->key_size == key_size && memcmp(e->key, key, key_size) == 0) return e;
  *e = (struct encloser){.snap = h->snap, .key = key, .key_size = key_size};
  unsigned apex = zone_apex(h->snap)->labels;
  for (;; labels--) {
    bool match = false;
    const struct zone_node *node = nsec3_ancestor(h, labels, &match);
    if (!match && labels > apex) continue;
    if (match) e->node = node;
    break;
  }
  e->labels = labels;
  return e;
}

/* The closest (provable) encloser proof, RFC 5155 §7.2.1. */
static struct encloser *push_encloser(struct reply *r, const struct hashed_name *h, unsigned labels, struct encloser *own) {
  struct encloser *e = find_encloser(r, h, labels, own);
  push(r, e->node, RR_NSEC3);
  if (e->labels < h->name.labels) {
    bool match;
    push(r, nsec3_ancestor(h, e->labels + 1, &match), RR_NSEC3);
  }
  return e;
}

/* The same and what proves that there is no wildcard, or what it has not (RFC 5155 §7.2.2, §7.2.5). */
static void push_encloser_and_wildcard(struct reply *r, const struct hashed_name *h) {
  struct encloser own, *e = push_encloser(r, h, r->lookup->found.encloser_labels, &own);
  if (!e->has_wildcard) e->wildcard = nsec3_wildcard(h, e->labels);
  e->has_wildcard = true;
  push(r, e->wildcard, RR_NSEC3);
}

/* A name that exists; without an NSEC3 of its own it lies in an opt-out span (RFC 5155 §7.2.4, §7.2.7). */
static void push_existing(struct reply *r, const struct hashed_name *h) {
  bool match;
  const struct zone_node *node = nsec3_ancestor(h, h->name.labels, &match);
  struct encloser own;
  if (node && match) push(r, node, RR_NSEC3);
  else if (h->name.labels > zone_apex(h->snap)->labels) push_encloser(r, h, h->name.labels - 1u, &own);
}

/* ---- by what is to be proved ---- */

static bool uses_nsec3(const struct reply *r) {
  return zone_has_nsec3(r->lookup->snap);
}

enum err denial_name(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    push_nsec_wildcard(r);
    return ERR_OK;
  }
  struct hashed_name h;
  enum err e = nsec3_open(r, r->qname, &h);
  if (e) return e;
  push_encloser_and_wildcard(r, &h);
  return ERR_OK;
}

enum err denial_type(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    return ERR_OK;
  }
  struct hashed_name h;
  enum err e = nsec3_open(r, r->qname, &h);
  if (e) return e;
  push_existing(r, &h);
  return ERR_OK;
}

enum err denial_wildcard(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    return ERR_OK;
  }
  struct hashed_name h;
  enum err e = nsec3_open(r, r->qname, &h);
  if (e) return e;
  bool match;
  unsigned next_closer = r->lookup->found.encloser_labels + 1u;
  assert(next_closer <= h.name.labels);
  push(r, nsec3_ancestor(&h, next_closer, &match), RR_NSEC3);
  return ERR_OK;
}

enum err denial_wildcard_type(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    push_nsec_wildcard(r);
    return ERR_OK;
  }
  struct hashed_name h;
  enum err e = nsec3_open(r, r->qname, &h);
  if (e) return e;
  push_encloser_and_wildcard(r, &h);
  return ERR_OK;
}

enum err denial_delegation(struct reply *r, const struct zone_node *cut) {
  if (!uses_nsec3(r)) {
    push(r, cut, RR_NSEC);
    return ERR_OK;
  }
  struct name owner;
  struct hashed_name h;
  zone_node_owner(r->lookup->snap, cut, &owner);
  enum err e = nsec3_open(r, &owner, &h);
  if (e) return e;
  push_existing(r, &h);
  return ERR_OK;
}
