/* Prerequisites (RFC 2136 §3.2): of the version that the update finds, before any of its own changes. */
#include "xfr/update_priv.h"

#include <stdlib.h>

/* What owns records; an empty non-terminal is not in use (§2.4.4). */
static enum err find_node(const struct update *u, const struct name *owner, const struct zone_node **out) {
  if (u->run->edit) return zone_edit_find(u->run->edit, owner, out);
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup q = {.snap = u->run->base, .key = key, .key_size = (uint16_t)name_key(owner, key)};
  zone_lookup(&q);
  *out = q.found.node;
  return ERR_OK;
}

static bool has_signatures(const struct zone_node *n) {
  struct zone_rrset set;
  for (unsigned i = 0; i < zone_rrset_count(n); i++) {
    zone_rrset_at(n, i, &set);
    if (set.sig_count) return true;
  }
  return false;
}

static bool find_rrset(const struct zone_node *n, uint16_t type, struct zone_rrset *out) {
  return n && zone_find_rrset(n, type, out) && out->count;
}

static enum err judge_name(struct update *u, const struct update_rr *rr, const struct name *owner) {
  const struct zone_node *n;
  enum err e = find_node(u, owner, &n);
  if (e) return e;
  bool there = n != NULL;
  if (rr->class == CLASS_ANY && !there) return update_refuse_rr(u, RCODE_NXDOMAIN, "prerequisite: not in use", owner, RR_ANY);
  if (rr->class == CLASS_NONE && there) return update_refuse_rr(u, RCODE_YXDOMAIN, "prerequisite: in use", owner, RR_ANY);
  return ERR_OK;
}

static enum err judge_rrset(struct update *u, const struct update_rr *rr, const struct name *owner) {
  struct zone_rrset set;
  const struct zone_node *n;
  enum err e = find_node(u, owner, &n);
  if (e) return e;
  bool there = rr->type == RR_RRSIG ? n && has_signatures(n) : find_rrset(n, rr->type, &set);
  if (rr->class == CLASS_ANY && !there) return update_refuse_rr(u, RCODE_NXRRSET, "prerequisite: not there", owner, rr->type);
  if (rr->class == CLASS_NONE && there) return update_refuse_rr(u, RCODE_YXRRSET, "prerequisite: there", owner, rr->type);
  return ERR_OK;
}

static enum err judge_one(struct update *u, const struct update_rr *rr) {
  struct name owner;
  name_from_wire(rr->owner, &owner);
  if (rr->ttl != 0) return update_refuse_rr(u, RCODE_FORMERR, "prerequisite with a TTL", &owner, rr->type);
  if (!name_is_under(&owner, u->apex)) return update_refuse_rr(u, RCODE_NOTZONE, "prerequisite outside the zone", &owner, rr->type);
  if (!u->client->sees && !grants_allow(u->grants, &u->client->who, &owner, GRANT_ANY_TYPE, u->apex))
    return update_refuse_rr(u, RCODE_REFUSED, "prerequisite of a name that is not granted", &owner, rr->type);
  if (rr->class == CLASS_IN) return ERR_OK; /* judged with the whole RRset */
  if (rr->class != CLASS_ANY && rr->class != CLASS_NONE)
    return update_refuse_rr(u, RCODE_FORMERR, "prerequisite of another class", &owner, rr->type);
  return rr->type == RR_ANY ? judge_name(u, rr, &owner) : judge_rrset(u, rr, &owner);
}

/* ---- RRset exists, value dependent (§2.4.2) ---- */

static int compare_owner_type(const struct update_rr *a, const struct update_rr *b) {
  struct name x, y;
  name_from_wire(a->owner, &x);
  name_from_wire(b->owner, &y);
  int d = name_compare(&x, &y);
  return d ? d : (a->type > b->type) - (a->type < b->type);
}

static int compare(const void *pa, const void *pb) {
  const struct update_rr *a = *(const struct update_rr *const *)pa, *b = *(const struct update_rr *const *)pb;
  int d = compare_owner_type(a, b);
  return d ? d : rr_rdata_compare(a->type, a->rdata, a->size, b->rdata, b->size);
}

/* list[0..count) is what the RRset must be, in canonical order as the zone's, maybe with records named twice. */
static enum err judge_values(struct update *u, const struct update_rr *const *list, size_t count) {
  struct name owner;
  const struct zone_node *n;
  struct zone_rrset set;
  uint16_t type = list[0]->type;
  name_from_wire(list[0]->owner, &owner);
  enum err e = find_node(u, &owner, &n);
  if (e) return e;
  bool same = find_rrset(n, type, &set);
  const uint8_t *p = same ? set.rrs : NULL;
  size_t at = 0;
  for (unsigned i = 0; same && i < set.count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&p, &rdata, &size);
    same = at < count && rr_rdata_compare(type, rdata, size, list[at]->rdata, list[at]->size) == 0;
    for (at++; same && at < count && rr_rdata_compare(type, rdata, size, list[at]->rdata, list[at]->size) == 0;)
      at++;
  }
  if (same && at == count) return ERR_OK;
  return update_refuse_rr(u, RCODE_NXRRSET, "prerequisite: other records are there", &owner, type);
}

static enum err judge_all_values(struct update *u) {
  const struct update_rr **list = arena_alloc(&u->arena, (u->prereq_count + 1) * sizeof(const struct update_rr *));
  size_t count = 0;
  if (!list) return ERR_MEMORY;
  for (size_t i = 0; i < u->prereq_count; i++)
    if (u->prereqs[i].class == CLASS_IN) list[count++] = &u->prereqs[i];
  qsort(list, count, sizeof(const struct update_rr *), compare);
  for (size_t from = 0, to; from < count; from = to) {
    for (to = from + 1; to < count && compare_owner_type(list[from], list[to]) == 0;)
      to++;
    enum err e = judge_values(u, list + from, to - from);
    if (e) return e;
  }
  return ERR_OK;
}

enum err update_prereqs(struct update *u) {
  enum err e = ERR_OK;
  for (size_t i = 0; !e && i < u->prereq_count; i++)
    e = judge_one(u, &u->prereqs[i]);
  return e || u->prereq_count == 0 ? e : judge_all_values(u);
}
