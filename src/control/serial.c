#include "control/serial.h"

#include "base/log.h"
#include "base/serial.h"
#include "zone/content.h"
#include "zone/delta.h"

#include <time.h>

enum { SOA_FIXED_BYTES = 20 }; /* serial refresh retry expire minimum, behind the two names */

/* False: the image it is in was lost a moment ago (zone/image.h). */
static bool soa_rdata(const struct zone_snap *s, const uint8_t **rdata, uint16_t *size, uint32_t *ttl) {
  struct zone_rrset soa;
  if (!zone_find_rrset(zone_apex_node(s), RR_SOA, &soa)) return false;
  const uint8_t *p = soa.rrs;
  zone_rr_next(&p, rdata, size);
  *ttl = soa.ttl;
  return *size >= SOA_FIXED_BYTES;
}

uint32_t serial_soa_expire(const struct zone_snap *s) {
  const uint8_t *rdata;
  uint16_t size;
  uint32_t ttl;
  return soa_rdata(s, &rdata, &size, &ttl) ? get_u32(rdata + size - SOA_FIXED_BYTES + 12) : 0;
}

static uint32_t date_serial(int64_t now_s) {
  time_t t = (time_t)now_s;
  struct tm tm = {0};
  gmtime_r(&t, &tm);
  return (uint32_t)((tm.tm_year + 1900) * 1000000 + (tm.tm_mon + 1) * 10000 + tm.tm_mday * 100);
}

uint32_t serial_next(enum config_serial policy, uint32_t last, uint32_t own, int64_t now_s) {
  uint32_t want = last + 1;
  switch (policy) {
  case CONFIG_SERIAL_KEEP:
    want = own;
    break;
  case CONFIG_SERIAL_UNIXTIME:
    want = (uint32_t)now_s;
    break;
  case CONFIG_SERIAL_DATE:
    want = date_serial(now_s);
    break;
  case CONFIG_SERIAL_INCREMENT:
  case CONFIG_SERIAL_UNSET:
    break;
  }
  if (!serial_gt(want, last)) want = last + 1;
  return serial_gt(own, last) && serial_gt(own, want) ? own : want;
}

uint32_t serial_floor(const struct zone_slot *z, uint32_t last) {
  return z->restored && !z->queued ? last + SERIAL_RESTORED_STEP : last;
}

enum err serial_set(const struct zone_snap *s, uint32_t serial, struct zone_snap **out) {
  const uint8_t *old;
  uint16_t size;
  uint32_t ttl;
  uint8_t rdata[2 * LIMIT_NAME_BYTES + SOA_FIXED_BYTES];
  if (!soa_rdata(s, &old, &size, &ttl) || size > sizeof rdata) return ERR_CORRUPT;
  memcpy(rdata, old, size);
  put_u32(rdata + size - SOA_FIXED_BYTES, serial);
  struct zone_edit *e;
  enum zone_add outcome;
  enum err err = zone_edit_begin(s, zone_apex(s), &e);
  if (err) return err;
  err = zone_edit_remove(e, zone_apex(s), RR_SOA, old, size);
  if (!err) err = zone_edit_add(e, zone_apex(s), RR_SOA, ttl, rdata, size, &outcome);
  if (err) {
    zone_edit_abort(e);
    return err;
  }
  return zone_edit_finish(e, out);
}

/* The zone's last version, of which the store may only know serial and digest: whether it is that, but for its serial. Then it gets
 * that. */
static enum err take_last(const struct zone_slot *z, const struct zone_snap **snap, bool *is_last) {
  struct digest128 digest;
  struct zone_snap *renumbered;
  *is_last = !z->has_content && zone_serial(*snap) == z->stored_serial;
  if (!z->has_content) return ERR_OK;
  enum err err = serial_set(*snap, z->stored_serial, &renumbered);
  if (err) return err;
  *is_last = !zone_content_whole(renumbered, &digest) && zone_content_equal(digest, z->content);
  zone_snap_unref(*is_last ? *snap : renumbered);
  if (*is_last) *snap = renumbered;
  return ERR_OK;
}

enum err serial_refresh(const struct zone_slot *z, const struct zone_snap *head, const struct zone_snap **snap, struct instant now,
                        bool *same, struct buf *note) {
  uint32_t last = head ? zone_serial(head) : z->stored_serial, floor = serial_floor(z, last), own = zone_serial(*snap);
  struct zone_snap *renumbered = NULL;
  *same = false;
  bool is_known = head || z->head || z->has_content;
  if (!is_known || (!head && serial_gt(own, floor))) return ERR_OK;
  if (!head) { /* it is not there to compare with, but its serial is out in the world: not below it */
    bool is_last;
    enum err err = take_last(z, snap, &is_last);
    if (err || is_last) return err;
  }
  if (head && !serial_gt(own, last)) { /* equal but for the serial: nothing has changed */
    enum err err = serial_set(*snap, last, &renumbered);
    if (err) return err;
    *same = zone_equal(head, renumbered);
    zone_snap_unref(renumbered);
    if (*same) return ERR_OK;
  }
  uint32_t next = serial_next(z->config->options->serial, floor, own, now.wall_s);
  if (next == own) return ERR_OK;
  enum err err = serial_set(*snap, next, &renumbered);
  if (err) return err;
  char name[NAME_TEXT_BYTES];
  if (z->config->options->serial == CONFIG_SERIAL_KEEP) {
    struct buf line = {0};
    buf_printf(&line, "%s: content changed but the serial %u is not higher than %u: raised to %u; raise it in the file",
               slot_name_text(z, name), own, floor, next);
    log_event(EV_ZONE_WARNING, LOG_TEXT("what", buf_text(&line)));
    buf_printf(note, "%s\n", buf_text(&line));
    buf_done(&line);
  }
  zone_snap_unref(*snap);
  *snap = renumbered;
  return ERR_OK;
}
