/* Proofs of what is not there: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7.2).
 *
 * Each function pushes the fewest records that prove it; one record that proves several things stands once. What names have in
 * common, their closest encloser and its wildcard, is kept; what each has of its own is found in lockstep (denial_prepare), and one
 * by one for the links of chains and what is rare. */
#include "answer/answer_priv.h"

static void push(struct reply *r, const struct zone_node *node, uint16_t type) {
  if (!node) return; /* the zone's chain is broken; what there is goes out */
  for (unsigned i = 0; i < r->proof_count; i++)
    if (r->proofs[i].node == node) return;
  if (r->proof_count == PROOFS_MAX) return;
  r->proofs[r->proof_count++] = (struct proof){r->lookup->snap, node, type};
}

/* A name of which something is proved. */
struct denied {
  const struct server *server;
  const struct query *query;
  const struct zone_lookup *lookup; /* of the query, or of a link of its chain */
  const struct name *name;
};

static struct denied denied_of(const struct reply *r, const struct name *name) {
  return (struct denied){r->server, r->query, r->lookup, name};
}

/* What denial_prepare found for the name in hand; NULL: nothing. */
static const struct zone_cover *prepared(const struct reply *r) {
  const struct query *q = r->query;
  return r->lookup == &q->lookup && q->cover.snap ? &q->cover : NULL;
}

/* What is known of the closest encloser that is `key_size` octets of the key. For the links of a chain it goes into `own`. */
static struct encloser *encloser_of(const struct denied *d, size_t key_size, struct encloser *own) {
  const struct zone_snap *snap = d->lookup->snap;
  struct encloser *e = d->lookup == &d->query->lookup ? &memory_zone(d->server->memory, snap)->encloser : own;
  const uint8_t *key = d->lookup->key;
  if (e != own && seen_is(e->zone, snap) && e->key_size == key_size && memcmp(e->key, key, key_size) == 0) return e;
  e->zone = seen_now(snap);
  e->key_size = key_size;
  memcpy(e->key, key, key_size);
  e->node = e->wildcard = NULL;
  e->has_node = e->has_wildcard = false;
  return e;
}

/* ---- NSEC ---- */

static bool has_nsec(const struct zone_node *node) {
  struct zone_rrset set;
  return node && zone_find_rrset(node, RR_NSEC, &set) && set.count;
}

static void push_nsec_name(struct reply *r) {
  const struct zone_lookup *here = r->lookup;
  const struct zone_cover *cover = prepared(r);
  if (has_nsec(here->found.node)) push(r, here->found.node, RR_NSEC);
  else push(r, cover ? cover->node : zone_nsec_cover(here->snap, here->key, here->key_size), RR_NSEC);
}

/* The NSEC that matches or covers the wildcard below the closest encloser. */
static void push_nsec_wildcard(struct reply *r) {
  struct denied d = denied_of(r, r->qname);
  struct encloser own, *e = encloser_of(&d, r->lookup->found.encloser_key_size, &own);
  if (!e->has_wildcard) {
    uint8_t key[NAME_KEY_BYTES];
    memcpy(key, e->key, e->key_size);
    memcpy(key + e->key_size, "*", 2);
    e->wildcard = zone_nsec_cover(d.lookup->snap, key, e->key_size + 2);
    e->has_wildcard = true;
  }
  push(r, e->wildcard, RR_NSEC);
}

/* ---- NSEC3 ---- */

static enum err nsec3_affordable(const struct zone_snap *snap) {
  struct zone_nsec3 p;
  return zone_nsec3_parameters(snap, &p) && p.iterations > LIMIT_NSEC3_ITERATIONS ? ERR_LIMIT : ERR_OK;
}

/* The hash of the ancestor of `labels` labels, or of the wildcard below it. */
static void hash_of(const struct zone_snap *snap, const struct name *name, unsigned labels, bool wildcard,
                    uint8_t hash[NSEC3_HASH_BYTES]) {
  struct zone_nsec3 p;
  uint8_t wire[LIMIT_NAME_BYTES + 2] = {1, '*'}, *to = wire + (wildcard ? 2 : 0);
  size_t at = 0, size;
  for (unsigned i = labels; i < name->labels; i++)
    at += name->octets[at] + 1u;
  size = name->size - at;
  for (size_t i = 0; i < size; i++)
    to[i] = ascii_lower(name->octets[at + i]);
  if (!zone_nsec3_parameters(snap, &p)) p = (struct zone_nsec3){0};
  nsec3_hash(wire, (size_t)(to - wire) + size, p.salt, p.salt_size, p.iterations, hash);
}

/* An ancestor of the name, the name itself, or the wildcard below it. */
struct hashed {
  unsigned labels; /* of the ancestor */
  bool wildcard;
  const struct zone_node *node; /* its record, where its hash mostly is; NULL: not at hand */
};

static const uint8_t *hash_of_one(const struct denied *d, struct hashed h, uint8_t own[NSEC3_HASH_BYTES]) {
  const uint8_t *kept = h.node ? zone_nsec3_hash(d->lookup->snap, h.node) : NULL;
  if (!kept) hash_of(d->lookup->snap, d->name, h.labels, h.wildcard, own);
  return kept ? kept : own;
}

/* The NSEC3 matching or covering it. */
static const struct zone_node *nsec3_of(const struct denied *d, struct hashed h, bool *match) {
  uint8_t own[NSEC3_HASH_BYTES];
  return zone_nsec3_find(d->lookup->snap, hash_of_one(d, h, own), match);
}

/* From `labels`, where `node` (NULL: none known) is, upwards to the first ancestor that has an NSEC3, RFC 5155 §7.2.1. */
static struct encloser *provable_encloser(const struct denied *d, unsigned labels, const struct zone_node *node, size_t key_size,
                                          struct encloser *own) {
  struct encloser *e = encloser_of(d, key_size, own);
  if (e->has_node) return e;
  const struct zone_snap *snap = d->lookup->snap;
  unsigned apex = zone_apex(snap)->labels;
  for (e->labels = labels;; e->labels--) {
    bool match = false;
    if (e->labels <= apex) node = zone_apex_node(snap);
    const struct zone_node *found = nsec3_of(d, (struct hashed){e->labels, false, node}, &match);
    if (match) e->node = found;
    if (match || e->labels <= apex) break;
    node = NULL;
  }
  e->has_node = true;
  return e;
}

static struct encloser *found_encloser(const struct denied *d, struct encloser *own) {
  const struct zone_answer *f = &d->lookup->found;
  return provable_encloser(d, f->encloser_labels, f->encloser, f->encloser_key_size, own);
}

/* The next closer name has no NSEC3 of its own. */
static void push_next_closer(struct reply *r, const struct denied *d, unsigned encloser_labels) {
  bool match;
  if (encloser_labels < d->name->labels) push(r, nsec3_of(d, (struct hashed){.labels = encloser_labels + 1}, &match), RR_NSEC3);
}

/* The closest (provable) encloser proof, and what proves that there is no wildcard, or what it has not (RFC 5155 §7.2.1, §7.2.2,
 * §7.2.5). */
static void push_encloser_and_wildcard(struct reply *r) {
  struct denied d = denied_of(r, r->qname);
  struct encloser own, *e = found_encloser(&d, &own);
  const struct zone_cover *cover = prepared(r);
  const struct zone_answer *f = &r->lookup->found;
  bool match;
  struct hashed wildcard = {e->labels, true, e->labels == f->encloser_labels ? f->wildcard : NULL};
  if (!e->has_wildcard) e->wildcard = nsec3_of(&d, wildcard, &match);
  e->has_wildcard = true;
  push(r, e->node, RR_NSEC3);
  push(r, e->wildcard, RR_NSEC3);
  r->common_proofs = r->proof_count;
  if (cover) push(r, cover->node, RR_NSEC3);
  else push_next_closer(r, &d, e->labels);
}

/* A name that exists, the name in hand or a cut above it; without an NSEC3 of its own it lies in an opt-out span (RFC 5155 §7.2.4,
 * §7.2.7). `owner`: its record, or NULL. */
static void push_existing(struct reply *r, unsigned labels, const struct zone_node *owner) {
  struct denied d = denied_of(r, r->qname);
  const struct zone_cover *cover = prepared(r);
  bool match = cover && cover->match;
  const struct zone_node *node = cover ? cover->node : nsec3_of(&d, (struct hashed){labels, false, owner}, &match);
  if (node && match) {
    push(r, node, RR_NSEC3);
    return;
  }
  if (labels <= zone_apex(r->lookup->snap)->labels) return;
  unsigned above = labels - 1;
  struct encloser own, *e = provable_encloser(&d, above, NULL, resolve_key_prefix(r->lookup->key, above), &own);
  push(r, e->node, RR_NSEC3);
  if (e->labels == above) push(r, node, RR_NSEC3);
  else push_next_closer(r, &d, e->labels);
}

/* ---- ahead of the answers ---- */

/* Whether the name has what was asked, or an alias: no proof is wanted. */
static bool has_answer(const struct zone_node *node, uint16_t qtype) {
  struct zone_rrset set;
  return qtype == RR_ANY || qtype == RR_RRSIG || zone_find_rrset(node, qtype, &set) || zone_find_rrset(node, RR_CNAME, &set);
}

/* The NSEC3 of the name, or of the cut above it, if it is there, else that of the next closer name. */
static bool prepare_nsec3(const struct server *s, struct query *q) {
  const struct zone_snap *snap = q->lookup.snap;
  const struct zone_answer *f = &q->lookup.found;
  const struct request *req = &q->job->request;
  const struct zone_node *owner = f->cut ? f->cut : f->node;
  struct denied d = {s, q, &q->lookup, &req->qname};
  struct encloser own;
  if (nsec3_affordable(snap) || (owner && has_answer(owner, f->cut ? RR_DS : req->qtype)) || f->wildcard) return false;
  unsigned labels = owner       ? zone_node_label_count(snap, owner)
                    : f->exists ? req->qname.labels
                                : found_encloser(&d, &own)->labels + 1;
  q->cover = (struct zone_cover){.snap = snap, .hash = hash_of_one(&d, (struct hashed){labels, false, owner}, q->hash)};
  return true;
}

/* The NSEC that covers a name without records. */
static bool prepare_nsec(struct query *q) {
  if (q->lookup.found.node || q->lookup.found.cut) return false;
  q->cover =
      (struct zone_cover){.snap = q->lookup.snap, .key = q->key, .key_size = q->lookup.key_size, .near = q->lookup.found.near};
  return true;
}

void denial_prepare(const struct server *s, struct query *const *queries, size_t count) {
  struct zone_cover *covers[LIMIT_BATCH];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    struct query *q = queries[i];
    if (!q->job->request.edns.dnssec_ok) continue;
    const struct zone_snap *snap = q->lookup.snap;
    const struct zone_answer *f = &q->lookup.found;
    q->cover.snap = NULL;
    if (!zone_is_signed(snap) || f->dname) continue;
    if (f->cut && piece_is_of_cut(memory_referral(s->memory, f->cut, true), q)) continue; /* it is copied */
    if (zone_has_nsec3(snap) ? prepare_nsec3(s, q) : prepare_nsec(q)) covers[n++] = &q->cover;
  }
  if (n) zone_cover_batch(covers, n);
}

const struct zone_node *denial_own(const struct query *q) {
  const struct zone_answer *f = &q->lookup.found;
  if (!q->cover.snap) return !zone_has_nsec3(q->lookup.snap) && has_nsec(f->node) ? f->node : NULL;
  return f->exists && q->cover.hash && !q->cover.match ? NULL : q->cover.node;
}

/* ---- by what is to be proved ---- */

static bool uses_nsec3(const struct reply *r) {
  return zone_has_nsec3(r->lookup->snap);
}

enum err denial_name(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_wildcard(r);
    r->common_proofs = r->proof_count;
    push_nsec_name(r);
    return ERR_OK;
  }
  enum err e = nsec3_affordable(r->lookup->snap);
  if (!e) push_encloser_and_wildcard(r);
  return e;
}

enum err denial_type(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    return ERR_OK;
  }
  enum err e = nsec3_affordable(r->lookup->snap);
  if (!e) push_existing(r, r->qname->labels, r->lookup->found.node);
  return e;
}

enum err denial_wildcard(struct reply *r) {
  if (!uses_nsec3(r)) {
    push_nsec_name(r);
    return ERR_OK;
  }
  enum err e = nsec3_affordable(r->lookup->snap);
  struct denied d = denied_of(r, r->qname);
  if (!e) push_next_closer(r, &d, r->lookup->found.encloser_labels);
  return e;
}

/* What it has not is proved by the same records. */
enum err denial_wildcard_type(struct reply *r) {
  return denial_name(r);
}

enum err denial_delegation(struct reply *r, const struct zone_node *cut) {
  if (!uses_nsec3(r)) {
    push(r, cut, RR_NSEC);
    return ERR_OK;
  }
  enum err e = nsec3_affordable(r->lookup->snap);
  if (!e) push_existing(r, zone_node_label_count(r->lookup->snap, cut), cut);
  return e;
}
