/* The update section (RFC 2136 §3.4.2): changes one after the other, each on what the ones before have made. */
#include "base/mutation.h"
#include "base/serial.h"
#include "xfr/update_priv.h"

/* The name in hand. What stands there is looked up only where a rule asks for it: looking lays the name out anew, which for every
 * record of a large RRset would cost the square of its size. */
struct current {
  struct name owner;
  bool known;      /* `cname` and `other` are what stands there now */
  bool cname;      /* it owns a CNAME */
  bool other;      /* it owns data that can't stand beside one */
  bool other_gone; /* something was removed since: `other` may be too much */
};

struct apply {
  struct update *u;
  struct zone_edit *edit;
  struct current at;
};

/* A copy of an RRset that outlives the next call of the edit. */
struct kept_set {
  uint16_t type, count;
  uint32_t ttl;
  const uint8_t *rrs;
};

/* RFC 4035 §2.5, RFC 2535 §5: what may stand beside a CNAME. */
static bool goes_with_cname(uint16_t type) {
  return type == RR_NSEC || type == RR_RRSIG || type == RR_KEY;
}

static bool at_apex(const struct apply *a) {
  return name_equal(&a->at.owner, a->u->apex);
}

/* ---- looking ---- */

static void turn_to(struct apply *a, const uint8_t *owner) {
  struct name name;
  name_from_wire(owner, &name);
  if (a->at.owner.size && name_equal(&name, &a->at.owner)) return;
  a->at = (struct current){.owner = name};
}

static enum err look(struct apply *a) {
  const struct zone_node *node;
  struct zone_rrset set;
  enum err e = zone_edit_find(a->edit, &a->at.owner, &node);
  if (e) return e;
  a->at.known = true;
  a->at.cname = a->at.other = a->at.other_gone = false;
  for (unsigned i = 0; node && i < zone_rrset_count(node); i++) {
    zone_rrset_at(node, i, &set);
    if (set.count == 0) continue;
    if (set.type == RR_CNAME) a->at.cname = true;
    else if (!goes_with_cname(set.type)) a->at.other = true;
  }
  return ERR_OK;
}

static enum err keep(struct apply *a, uint16_t type, uint16_t count, uint32_t ttl, const uint8_t *rrs, struct kept_set *out) {
  const uint8_t *p = rrs, *rdata;
  uint16_t size;
  *out = (struct kept_set){type, count, ttl, NULL};
  if (count == 0) return ERR_OK;
  for (unsigned i = 0; i < count; i++)
    zone_rr_next(&p, &rdata, &size);
  out->rrs = arena_copy(&a->u->arena, rrs, (size_t)(p - rrs));
  return out->rrs ? ERR_OK : ERR_MEMORY;
}

/* The RRset of the name in hand as it is now; a count of 0: there is none. */
static enum err find_set(struct apply *a, uint16_t type, struct kept_set *out) {
  const struct zone_node *node;
  struct zone_rrset set;
  *out = (struct kept_set){.type = type};
  enum err e = zone_edit_find(a->edit, &a->at.owner, &node);
  if (e || !node || !zone_find_rrset(node, type, &set) || set.count == 0) return e;
  return keep(a, type, set.count, set.ttl, set.rrs, out);
}

/* ---- changing ---- */

static enum err add(struct apply *a, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  enum zone_add outcome;
  enum err e = zone_edit_add(a->edit, &a->at.owner, type, ttl, rdata, size, &outcome);
  if (e == ERR_LIMIT) return update_refuse_rr(a->u, RCODE_REFUSED, "more than a name can hold", &a->at.owner, type);
  if (!e && outcome == ZONE_ADD_TTL_CHANGED) e = zone_edit_set_ttl(a->edit, &a->at.owner, type, ttl);
  if (e) return e;
  a->u->verdict->added += outcome != ZONE_ADD_DUPLICATE;
  if (outcome == ZONE_ADD_TTL_CHANGED) a->u->verdict->removed++; /* the same records with another TTL went */
  if (type == RR_CNAME) a->at.cname = true;
  else if (!goes_with_cname(type)) a->at.other = true;
  return ERR_OK;
}

static enum err take_away(struct apply *a, uint16_t type, const uint8_t *rdata, uint16_t size) {
  enum err e = zone_edit_remove(a->edit, &a->at.owner, type, rdata, size);
  if (e == ERR_NOT_FOUND) return ERR_OK;
  if (e) return e;
  a->u->verdict->removed++;
  if (type == RR_CNAME) a->at.known = false;
  else a->at.other_gone = true;
  return ERR_OK;
}

static enum err take_all(struct apply *a, const struct kept_set *set) {
  const uint8_t *p = set->rrs, *rdata;
  uint16_t size;
  enum err e = ERR_OK;
  for (unsigned i = 0; !e && i < set->count; i++) {
    zone_rr_next(&p, &rdata, &size);
    e = take_away(a, set->type, rdata, size);
  }
  return e;
}

/* ---- class IN: add (§3.4.2.2) ---- */

static bool same_record(const struct kept_set *set, const struct update_rr *rr) {
  const uint8_t *p = set->rrs, *rdata;
  uint16_t size;
  if (set->count != 1 || set->ttl != rr->ttl) return false;
  zone_rr_next(&p, &rdata, &size);
  return rr_rdata_compare(rr->type, rdata, size, rr->rdata, rr->size) == 0;
}

/* Of SOA, CNAME and DNAME there is one: the new one takes its place. */
static enum err replace(struct apply *a, const struct update_rr *rr, const struct kept_set *old) {
  if (same_record(old, rr)) return ERR_OK;
  enum err e = take_all(a, old);
  return e ? e : add(a, rr->type, rr->ttl, rr->rdata, rr->size);
}

static uint32_t soa_serial(const uint8_t *rdata, size_t size) {
  return get_u32(rdata + size - UPDATE_SOA_FIXED_BYTES);
}

static enum err add_soa(struct apply *a, const struct update_rr *rr) {
  struct kept_set old;
  const uint8_t *rdata;
  uint16_t size;
  if (!at_apex(a)) return ERR_OK;
  enum err e = find_set(a, RR_SOA, &old);
  if (e || !old.count) return e; /* none: its image was lost a moment ago, and nothing comes of the edit */
  const uint8_t *p = old.rrs;
  zone_rr_next(&p, &rdata, &size);
  if (!serial_gt(soa_serial(rr->rdata, rr->size), soa_serial(rdata, size))) return ERR_OK;
  a->u->run->soa_set = true;
  return replace(a, rr, &old);
}

/* §3.4.2.2: WKS of the same address and protocol is replaced. */
static enum err add_wks(struct apply *a, const struct update_rr *rr) {
  enum { ADDRESS_AND_PROTOCOL_BYTES = 5 };
  struct kept_set old;
  const uint8_t *rdata;
  uint16_t size;
  enum err e = find_set(a, RR_WKS, &old);
  const uint8_t *p = old.rrs;
  for (unsigned i = 0; !e && i < old.count; i++) {
    zone_rr_next(&p, &rdata, &size);
    bool same = rr_rdata_compare(RR_WKS, rdata, size, rr->rdata, rr->size) == 0;
    if (!same && memcmp(rdata, rr->rdata, ADDRESS_AND_PROTOCOL_BYTES) == 0) e = take_away(a, RR_WKS, rdata, size);
  }
  return e ? e : add(a, rr->type, rr->ttl, rr->rdata, rr->size);
}

static enum err apply_add(struct apply *a, const struct update_rr *rr) {
  struct kept_set old;
  bool points_away = rr->type == RR_NS || rr->type == RR_DNAME;
  if (points_away && name_is_wildcard(&a->at.owner)) return ERR_OK; /* RFC 4592 §4.2, §4.4: it would have no meaning */
  if (rr->type == RR_SOA) return add_soa(a, rr);
  enum err e = !a->at.known || (rr->type == RR_CNAME && a->at.other_gone) ? look(a) : ERR_OK;
  if (e) return e;
  if (rr->type == RR_CNAME ? a->at.other : a->at.cname && !goes_with_cname(rr->type)) return ERR_OK;
  if (rr->type == RR_WKS) return add_wks(a, rr);
  if (rr->type != RR_CNAME && rr->type != RR_DNAME) return add(a, rr->type, rr->ttl, rr->rdata, rr->size);
  e = find_set(a, rr->type, &old);
  return e ? e : replace(a, rr, &old);
}

/* ---- class ANY and NONE: delete (§3.4.2.3, §3.4.2.4) ---- */

static enum err delete_set(struct apply *a, uint16_t type) {
  struct kept_set set;
  if (at_apex(a) && (type == RR_SOA || type == RR_NS)) return ERR_OK;
  enum err e = find_set(a, type, &set);
  return e ? e : take_all(a, &set);
}

static enum err delete_name(struct apply *a) {
  const struct update *u = a->u;
  const struct zone_node *node;
  enum err e = zone_edit_find(a->edit, &a->at.owner, &node);
  if (e || !node) return e;
  unsigned count = 0, rrsets = zone_rrset_count(node);
  struct kept_set *sets = arena_alloc(&a->u->arena, (2 * rrsets + 1) * sizeof *sets);
  if (!sets) return ERR_MEMORY;
  for (unsigned i = 0; !e && i < rrsets; i++) {
    struct zone_rrset set;
    zone_rrset_at(node, i, &set);
    if (at_apex(a) && (set.type == RR_SOA || set.type == RR_NS)) continue;
    if (!grants_allow(u->grants, &u->client->who, &a->at.owner, set.type, u->apex))
      return update_refuse_rr(a->u, RCODE_REFUSED, "not granted", &a->at.owner, set.type);
    e = keep(a, set.type, set.count, set.ttl, set.rrs, &sets[count++]);
    if (!e) e = keep(a, RR_RRSIG, set.sig_count, set.sig_ttl, set.sigs, &sets[count++]);
  }
  for (unsigned i = 0; !e && i < count; i++)
    e = take_all(a, &sets[i]);
  return e;
}

static enum err delete_one(struct apply *a, const struct update_rr *rr) {
  struct kept_set ns;
  if (rr->type == RR_SOA) return ERR_OK;
  if (rr->type == RR_NS && at_apex(a)) { /* the last one stays */
    enum err e = find_set(a, RR_NS, &ns);
    if (e || ns.count <= 1) return e;
  }
  return take_away(a, rr->type, rr->rdata, rr->size);
}

static enum err apply_one(struct apply *a, const struct update_rr *rr) {
  turn_to(a, rr->owner);
  if (rr->class == CLASS_IN) return apply_add(a, rr);
  if (rr->class == CLASS_NONE) return delete_one(a, rr);
  return rr->type == RR_ANY ? delete_name(a) : delete_set(a, rr->type);
}

/* Whether a DS of its owner may stand where nothing is delegated now. */
static bool may_orphan(const struct update_rr *rr) {
  return rr->class == CLASS_IN ? rr->type == RR_DS : rr->type == RR_NS;
}

/* RFC 4035 §2.4: a DS stands at a delegation. One that comes without its NS, or stays behind, goes. */
static enum err drop_orphans(struct apply *a) {
  struct name done = {.size = 0};
  struct kept_set ns;
  enum err e = ERR_OK;
  for (size_t i = 0; !e && i < a->u->change_count; i++) {
    if (!may_orphan(&a->u->changes[i])) continue;
    turn_to(a, a->u->changes[i].owner);
    if (done.size && name_equal(&done, &a->at.owner)) continue;
    done = a->at.owner;
    e = find_set(a, RR_NS, &ns);
    if (!e && ns.count == 0) e = delete_set(a, RR_DS);
  }
  return e;
}

enum err update_apply(struct update *u) {
  struct apply a = {.u = u, .edit = u->run->edit};
  enum err e = a.edit ? ERR_OK : zone_edit_begin(u->run->base, NULL, &a.edit);
  if (e) return e;
  if (!u->run->edit) zone_edit_keep_step(a.edit, true);
  u->run->edit = a.edit;
  for (size_t i = 0; !e && i < (MUTATION(HALF_UPDATE) ? 1 : u->change_count); i++)
    e = apply_one(&a, &u->changes[i]);
  return e ? e : drop_orphans(&a);
}
