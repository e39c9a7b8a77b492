/* The digest that a zone carries of itself (ZONEMD, RFC 8976), kept up to date where `generate-zonemd` asks for it. Whoever changes
 * the zone knows nothing of it: before a change is compared with what is there it gets the ZONEMD of that, and once it has its
 * serial a new one. */
#include "control/control_priv.h"
#include "xfr/zonemd.h"

/* All of a set, in or out. */
static enum err put_set(struct zone_edit *e, const struct name *apex, const struct zone_rrset *set, bool add) {
  const uint8_t *rrs = set->rrs, *rdata;
  uint16_t size;
  enum zone_add outcome;
  enum err err = ERR_OK;
  for (unsigned i = 0; !err && i < set->count; i++) {
    zone_rr_next(&rrs, &rdata, &size);
    err = add ? zone_edit_add(e, apex, RR_ZONEMD, set->ttl, rdata, size, &outcome)
              : zone_edit_remove(e, apex, RR_ZONEMD, rdata, size);
  }
  return err;
}

/* The edit's end, whatever became of it: `*snap` is its outcome, or on failure what it was. */
static enum err end_edit(struct zone_edit *e, enum err err, const struct zone_snap **snap) {
  struct zone_snap *next;
  if (err) zone_edit_abort(e);
  else err = zone_edit_finish(e, &next);
  if (err) return err;
  zone_snap_unref(*snap);
  *snap = next;
  return ERR_OK;
}

/* `*snap` with these ZONEMD records and no others; one reference is exchanged for one. */
static enum err replace(const struct zone_snap **snap, const struct zone_rrset *with) {
  const struct name *apex = zone_apex(*snap);
  struct zone_rrset old = {0};
  struct zone_edit *e;
  zone_find_rrset(zone_apex_node(*snap), RR_ZONEMD, &old);
  if (!old.count && !with->count) return ERR_OK;
  enum err err = zone_edit_begin(*snap, NULL, &e);
  if (err) return err;
  err = put_set(e, apex, &old, false);
  if (!err) err = put_set(e, apex, with, true);
  return end_edit(e, err, snap);
}

/* Of a zone that was signed elsewhere nothing can be changed. */
bool zonemd_is_ours(const struct zone_slot *z, const struct zone_snap *snap) {
  return z->config->options->generate_zonemd && !zone_is_signed(snap);
}

enum err zonemd_adopt(const struct zone_snap *head, const struct zone_snap **snap) {
  struct zone_rrset set = {0};
  if (head) zone_find_rrset(zone_apex_node(head), RR_ZONEMD, &set);
  return replace(snap, &set);
}

enum err zonemd_renew(const struct zone_snap **snap) {
  struct name apex;
  struct zone_rrset soa, none = {0};
  uint8_t rdata[ZONEMD_RDATA_BYTES_MAX];
  size_t size;
  struct zone_edit *e;
  enum zone_add outcome;
  if (!zone_find_rrset(zone_apex_node(*snap), RR_SOA, &soa)) return ERR_FORMAT;
  uint32_t ttl = soa.ttl;
  name_copy(&apex, zone_apex(*snap)); /* the snapshot may go */
  enum err err = replace(snap, &none);
  if (!err) err = zonemd_make(*snap, rdata, &size);
  if (!err) err = zone_edit_begin(*snap, NULL, &e);
  if (err) return err;
  err = zone_edit_add(e, &apex, RR_ZONEMD, ttl, rdata, (uint16_t)size, &outcome);
  return end_edit(e, err, snap);
}
