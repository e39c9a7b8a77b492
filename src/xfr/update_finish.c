/* The end of an update: whether anything has changed, the serial, and what a zone must not become. */
#include "xfr/update_priv.h"

#include <assert.h>

/* RFC 2136 §3.6, once an update that changes anything but not the SOA. */
static enum err raise_serial(const struct update *u, struct zone_edit *edit, uint32_t serial) {
  struct zone_rrset soa;
  uint8_t raised[2 * LIMIT_NAME_BYTES + UPDATE_SOA_FIXED_BYTES];
  const uint8_t *old;
  uint16_t size;
  bool found = zone_find_rrset(zone_apex_node(u->base), RR_SOA, &soa) && soa.count;
  assert(found);
  (void)found;
  const uint8_t *p = soa.rrs;
  zone_rr_next(&p, &old, &size);
  assert(size >= UPDATE_SOA_FIXED_BYTES && size <= sizeof raised);
  memcpy(raised, old, size);
  put_u32(raised + size - UPDATE_SOA_FIXED_BYTES, serial);
  enum zone_add outcome;
  enum err e = zone_edit_remove(edit, u->apex, RR_SOA, old, size);
  return e ? e : zone_edit_add(edit, u->apex, RR_SOA, soa.ttl, raised, size, &outcome);
}

static enum err end_edit(struct update_made *made, struct zone_snap **out) {
  enum err e = zone_edit_finish(made->edit, out);
  made->edit = NULL;
  return e;
}

/* With both removed and added records nothing may have changed in the end, which only the result can tell. */
static enum err finish_mixed(struct update *u, struct update_made *made, uint32_t serial, struct zone_snap **out) {
  struct zone_snap *changed;
  enum err e = end_edit(made, &changed);
  if (e) return e;
  bool same = zone_equal(u->base, changed);
  if (!same) e = zone_edit_begin(changed, NULL, &made->edit);
  zone_snap_unref(changed);
  if (e || same) return e;
  e = raise_serial(u, made->edit, serial);
  return e ? e : end_edit(made, out);
}

static enum err finish(struct update *u, struct update_made *made, uint32_t serial, struct zone_snap **out) {
  if (made->added == 0 && made->removed == 0) return ERR_OK;
  if (!made->soa_set && made->added && made->removed) return finish_mixed(u, made, serial, out);
  enum err e = made->soa_set ? ERR_OK : raise_serial(u, made->edit, serial);
  return e ? e : end_edit(made, out);
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
static enum err check_servers(struct update *u, const struct zone_snap *s) {
  struct zone_rrset ns, before = {0};
  const uint8_t *rdata;
  uint16_t size;
  if (!zone_find_rrset(zone_apex_node(s), RR_NS, &ns)) return ERR_OK;
  if (!zone_find_rrset(zone_apex_node(u->base), RR_NS, &before)) before.count = 0;
  const uint8_t *p = ns.rrs;
  for (unsigned i = 0; i < ns.count; i++) {
    struct name server;
    zone_rr_next(&p, &rdata, &size);
    name_from_wire(rdata, &server);
    if (!name_is_under(&server, u->apex) || !is_broken(s, &server)) continue;
    if (!is_server(&before, rdata, size) || !is_broken(u->base, &server))
      return update_refuse_rr(u, RCODE_REFUSED, "a name server of the zone would have no address", &server, RR_NS);
  }
  return ERR_OK;
}

enum err update_finish(struct update *u, struct update_made *made, uint32_t serial, struct zone_snap **out) {
  struct zone_snap *s = NULL;
  enum err e = finish(u, made, serial, &s);
  if (!e && s && made->check_servers) e = check_servers(u, s);
  if (e) zone_snap_unref(s);
  else *out = s;
  return e;
}
