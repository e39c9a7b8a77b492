/* The end of an update: whether anything has changed, the serial, and what a zone must not become. */
#include "xfr/update_priv.h"

/* RFC 2136 §3.6, once for all that change anything but not the SOA. */
static enum err raise_serial(const struct update_run *r, uint32_t serial) {
  struct zone_rrset soa;
  uint8_t raised[2 * LIMIT_NAME_BYTES + UPDATE_SOA_FIXED_BYTES];
  const struct name *apex = zone_apex(r->base);
  const uint8_t *old;
  uint16_t size;
  if (!zone_find_rrset(zone_apex_node(r->base), RR_SOA, &soa)) return ERR_CORRUPT; /* its image was lost a moment ago */
  const uint8_t *p = soa.rrs;
  zone_rr_next(&p, &old, &size);
  if (size < UPDATE_SOA_FIXED_BYTES || size > sizeof raised) return ERR_CORRUPT;
  memcpy(raised, old, size);
  put_u32(raised + size - UPDATE_SOA_FIXED_BYTES, serial);
  enum zone_add outcome;
  enum err e = zone_edit_remove(r->edit, apex, RR_SOA, old, size);
  return e ? e : zone_edit_add(r->edit, apex, RR_SOA, soa.ttl, raised, size, &outcome);
}

bool update_run_is_full(const struct update_run *r) {
  return r->changed && zone_edit_step_bytes(r->edit) > LIMIT_CHANGE_BYTES / 2;
}

enum err update_run_finish(struct update_run *r, uint32_t serial, struct zone_snap **out) {
  struct zone_snap *made = NULL;
  enum err e = ERR_OK;
  if (r->changed && zone_edit_is_change(r->edit)) {
    if (!r->soa_set) e = raise_serial(r, serial);
    if (!e) {
      e = zone_edit_finish(r->edit, &made);
      r->edit = NULL;
    }
  }
  update_run_abort(r);
  if (!e) *out = made;
  return e;
}

void update_run_abort(struct update_run *r) {
  zone_edit_abort(r->edit);
  *r = (struct update_run){.base = r->base};
}

/* ---- the zone's name servers ---- */

static bool has(const struct zone_node *n, uint16_t type) {
  struct zone_rrset set;
  return n && zone_find_rrset(n, type, &set) && set.count;
}

/* Whether the zone itself makes one of its name servers unusable: as an alias (RFC 2181 §10.3) or without an address. */
static bool is_broken(const struct zone_snap *s, const struct name *server) {
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup q = {.snap = s, .key = key, .key_size = (uint16_t)name_key(server, key)};
  zone_lookup(&q);
  if (q.found.cut) return false;
  const struct zone_node *n = q.found.exists ? q.found.node : q.found.wildcard;
  return q.found.dname || !(has(n, RR_A) || has(n, RR_AAAA));
}

static bool is_server(const struct zone_rrset *ns, const uint8_t *rdata, uint16_t size) {
  const uint8_t *p = ns->rrs, *other;
  uint16_t other_size;
  for (unsigned i = 0; i < ns->count; i++) {
    zone_rr_next(&p, &other, &other_size);
    if (rr_rdata_compare(RR_NS, rdata, size, other, other_size) == 0) return true;
  }
  return false;
}

/* No update makes a name server unusable, as with BIND; one that is so already hinders nobody. */
enum err update_check_servers(struct update *u, const struct zone_snap *s) {
  struct zone_rrset ns, before = {0};
  const uint8_t *rdata;
  uint16_t size;
  if (!zone_find_rrset(zone_apex_node(s), RR_NS, &ns)) return ERR_OK;
  if (!zone_find_rrset(zone_apex_node(u->run->base), RR_NS, &before)) before.count = 0;
  const uint8_t *p = ns.rrs;
  for (unsigned i = 0; i < ns.count; i++) {
    struct name server;
    zone_rr_next(&p, &rdata, &size);
    name_from_wire(rdata, &server);
    if (!name_is_under(&server, u->apex) || !is_broken(s, &server)) continue;
    if (!is_server(&before, rdata, size) || !is_broken(u->run->base, &server))
      return update_refuse_rr(u, RCODE_REFUSED, "a name server of the zone would have no address", &server, RR_NS);
  }
  return ERR_OK;
}

/* Whether it could be the end of some name's address, or make a name an alias. */
static bool takes_addresses(const struct update_rr *rr) {
  if (rr->class == CLASS_IN) return rr->type == RR_NS || rr->type == RR_CNAME || rr->type == RR_DNAME;
  return rr->type == RR_A || rr->type == RR_AAAA || rr->type == RR_NS || rr->type == RR_ANY;
}

/* What the record does can be felt at `server`: addresses and aliases at that name itself, a delegation or DNAME below it, too. */
static bool reaches(const struct update_rr *rr, const struct name *owner, const struct name *server) {
  struct name above;
  bool here_only = rr->type == RR_A || rr->type == RR_AAAA || rr->type == RR_CNAME;
  if (here_only ? name_equal(server, owner) : name_is_under(server, owner)) return true;
  if (!name_is_wildcard(owner)) return false;
  name_strip(owner, 1, &above);
  return name_is_under(server, &above);
}

/* Whether the server's address is a wildcard's. It is so only until any record comes to stand at or below `next_closer`, the name
 * of one label more than the closest encloser (RFC 4592 §3.3.1). */
static bool leans_on_wildcard(const struct zone_snap *s, const struct name *server, struct name *next_closer) {
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup q = {.snap = s, .key = key, .key_size = (uint16_t)name_key(server, key)};
  zone_lookup(&q);
  if (q.found.cut || q.found.dname || q.found.exists || !q.found.wildcard) return false;
  name_strip(server, server->labels - q.found.encloser_labels - 1u, next_closer);
  return true;
}

static bool concerns(const struct update *u, const struct name *server) {
  struct name owner, next_closer;
  bool leans = leans_on_wildcard(u->run->base, server, &next_closer);
  for (size_t i = 0; i < u->change_count; i++) {
    const struct update_rr *rr = &u->changes[i];
    bool takes = takes_addresses(rr), adds = leans && rr->class == CLASS_IN;
    if (!takes && !adds) continue;
    name_from_wire(rr->owner, &owner);
    if (takes && reaches(rr, &owner, server)) return true;
    if (adds && name_is_under(&owner, &next_closer)) return true;
  }
  return false;
}

static bool changes_servers(const struct update *u) {
  struct name owner;
  for (size_t i = 0; i < u->change_count; i++) {
    if (u->changes[i].type != RR_NS) continue;
    name_from_wire(u->changes[i].owner, &owner);
    if (name_equal(&owner, u->apex)) return true;
  }
  return false;
}

bool update_concerns_servers(const struct update *u) {
  struct zone_rrset ns;
  struct name server;
  const uint8_t *rdata;
  uint16_t size;
  if (changes_servers(u)) return true;
  if (!zone_find_rrset(zone_apex_node(u->run->base), RR_NS, &ns)) return false;
  const uint8_t *p = ns.rrs;
  for (unsigned i = 0; i < ns.count; i++) {
    zone_rr_next(&p, &rdata, &size);
    name_from_wire(rdata, &server);
    if (name_is_under(&server, u->apex) && concerns(u, &server)) return true;
  }
  return false;
}
