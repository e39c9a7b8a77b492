/* Between the transfer machines (xfr/) and the pipeline: arrivals become versions, versions become NOTIFYs, and commands that
 * wait for either are answered. */
#include "base/log.h"
#include "base/mutation.h"
#include "control/control_priv.h"
#include "control/serial.h"
#include "zone/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct zone_slot *slot_of(struct control *c, uint32_t zone_id) {
  return zone_id < c->registry.capacity ? c->registry.slots[zone_id] : NULL;
}

/* ---- secondary zones ---- */

enum {
  HOLD_BUSY = 8,       /* while so many transfers are on their way, what has arrived waits for more to share its sync with, ... */
  HOLD_MOST = 1000,    /* unless it is as much, ... */
  HOLD_MS = 100,       /* for so long, ... */
  HOLD_SERVED_MS = 10, /* or so long if a NOTIFY brought it for a zone that is served */
};

uint64_t transfers_deadline(const struct control *c) {
  if (!c->arrival_count) return UINT64_MAX;
  bool more = c->arrival_count < HOLD_MOST && secondaries_transferring(c->secondaries) >= HOLD_BUSY;
  return more ? c->arrivals_ns : 0;
}

bool transfers_take_back(struct control *c, const struct arrival *a) {
  if (c->arrival_count == c->arrival_capacity) {
    size_t capacity = c->arrival_capacity ? 2 * c->arrival_capacity : 16;
    struct arrival *list = realloc(c->arrivals, capacity * sizeof *list);
    if (!list) return false;
    c->arrivals = list;
    c->arrival_capacity = capacity;
  }
  const struct zone_slot *z = slot_of(c, a->zone_id);
  uint64_t hold_ms = a->info.told && z && z->snap && !z->expired ? HOLD_SERVED_MS : HOLD_MS,
           until_ns = c->now.mono_ns + hold_ms * NS_PER_MS;
  if (!c->arrival_count || until_ns < c->arrivals_ns) c->arrivals_ns = until_ns;
  c->arrivals[c->arrival_count++] = *a;
  return true;
}

/* Only queued here: all that arrive about the same time share one sync. */
static void on_transferred(void *arg, uint32_t zone_id, struct zone_snap *snap, const struct transfer_info *info) {
  struct control *c = arg;
  if (rebuild_transferred(c, zone_id, snap)) return;
  if (transfers_take_back(c, &(struct arrival){zone_id, snap, NULL, *info})) return;
  zone_snap_unref(snap);
  secondary_committed(c->secondaries, zone_id, NULL, ERR_MEMORY, "out of memory", c->now);
}

static bool on_build(void *arg, uint32_t zone_id, struct transfer_build *b) {
  return images_take_build(arg, zone_id, b);
}

static void put_timer(struct control *c, const struct zone_slot *z, int64_t wall_s, uint64_t mono_s) {
  struct store_timer t = {z->store_id, wall_s, z->expire_s ? z->expire_s : 1 /* 0 would be the SOA's */, (uint32_t)mono_s};
  if (store_timer_put(c->store, &t)) log_event(EV_STORE_FAILED, LOG_TEXT("what", "out of memory for timers"));
}

void transfers_kept(struct control *c, const struct zone_slot *z) {
  if (!slot_is_secondary(z) || !z->expires_mono_ns) return;
  uint64_t now_s = c->now.mono_ns / NS_PER_S, good_s = z->expires_mono_ns / NS_PER_S - z->expire_s;
  put_timer(c, z, c->now.wall_s - (int64_t)(now_s - good_s), good_s);
}

static void on_good(void *arg, uint32_t zone_id, int64_t wall_s, uint32_t expire_s, uint64_t expires_mono_ns) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z || !slot_is_secondary(z)) return;
  bool was_expired = z->expired;
  if (was_expired) slot_trouble(z, NULL);
  z->expire_s = expire_s;
  z->expires_mono_ns = expires_mono_ns;
  z->expired = was_expired && MUTATION(EXPIRED_STAYS);
  if (z->store_id) put_timer(c, z, wall_s, c->now.mono_ns / NS_PER_S);
  struct name name;
  slot_name(z, &name);
  bool published = !was_expired && zone_set_prolong(c->zones, &name, expire_s, expires_mono_ns) == ERR_OK;
  if (!published && slot_publish(c, z)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing"));
}

static void on_expired(void *arg, uint32_t zone_id) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z || !slot_is_secondary(z)) return;
  char name[NAME_TEXT_BYTES];
  z->expired = true;
  slot_trouble(z, "expired: no primary could be reached for the SOA's expire time; it is answered again once one is");
  log_event(EV_ZONE_EXPIRED, LOG_TEXT("zone", slot_name_text(z, name)));
  if (slot_publish(c, z)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing"));
}

static void on_failed(void *arg, uint32_t zone_id, const char *what, const char *peer) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z) return;
  char name[NAME_TEXT_BYTES];
  struct secondary_status s;
  bool transfer = secondary_status(c->secondaries, zone_id, &s) && s.phase == SECONDARY_TRANSFERRING;
  log_event(transfer ? EV_TRANSFER_IN_FAILED : EV_REFRESH_FAILED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("peer", peer),
            LOG_TEXT("what", what));
}

/* Every primary was asked, or one had what we wanted. Success of a transfer is told by arrival_done. */
static void on_settled(void *arg, uint32_t zone_id, bool good) {
  struct control *c = arg;
  struct secondary_status s;
  if (rebuild_settled(c, zone_id)) return;
  if (good) {
    waiters_wake(c, zone_id, WAIT_REFRESH, true, "the zone is current");
  } else if (secondary_status(c->secondaries, zone_id, &s)) {
    const char *why = s.last_error[0] ? s.last_error : "no primary could help";
    waiters_wake(c, zone_id, WAIT_REFRESH, false, why);
    waiters_wake(c, zone_id, WAIT_TRANSFER, false, why);
  }
}

/* ---- NOTIFY out ---- */

static void on_notify_done(void *arg, uint32_t zone_id, const char *peer, uint32_t serial, uint64_t took_ns) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z) return;
  char name[NAME_TEXT_BYTES];
  c->figures.notifies_out++;
  log_event(EV_NOTIFY_OUT_DONE, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("peer", peer), LOG_NUMBER("serial", serial),
            LOG_NUMBER("us", took_ns / 1000));
  waiters_recovered(c, zone_id, peer);
  if (notifier_pending(c->notifier, zone_id) == 0) waiters_wake(c, zone_id, WAIT_NOTIFY, true, "every peer has taken note");
}

static void on_notify_failed(void *arg, uint32_t zone_id, const char *peer, const char *what) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z) return;
  char name[NAME_TEXT_BYTES];
  c->figures.notifies_out_failed++;
  log_event(EV_NOTIFY_OUT_FAILED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("peer", peer), LOG_TEXT("what", what));
  char text[200];
  snprintf(text, sizeof text, "%s: %s", peer, what);
  waiters_wake(c, zone_id, WAIT_NOTIFY, false, text);
}

static struct zone_snap *on_content(void *arg, uint32_t zone_id) {
  const struct zone_slot *z = slot_of(arg, zone_id);
  return z && z->snap && slot_is_secondary(z) ? zone_snap_ref(z->snap) : NULL;
}

static void on_fell_back(void *arg, uint32_t zone_id, const char *what, const char *peer) {
  struct control *c = arg;
  struct zone_slot *z = slot_of(c, zone_id);
  if (!z) return;
  char name[NAME_TEXT_BYTES];
  log_event(EV_TRANSFER_IN_FELL_BACK, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("peer", peer), LOG_TEXT("what", what));
}

void transfers_events(struct control *c, struct secondary_events *out, struct notifier_events *notify) {
  *out =
      (struct secondary_events){c, on_transferred, on_good, on_expired, on_failed, on_settled, on_content, on_build, on_fell_back};
  *notify = (struct notifier_events){c, on_notify_done, on_notify_failed};
}

static void tell_peers(struct control *c, struct zone_slot *z, bool at_start) {
  if (z->plan->notify_count == 0) return;
  if (notifier_zone(c->notifier, z->id, z->snap, z->plan->notify, z->plan->notify_count, at_start, c->now))
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: NOTIFY not sent"));
}

void transfers_notify(struct control *c, struct zone_slot *z) {
  tell_peers(c, z, false);
}

void transfers_notify_all(struct control *c) {
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));)
    if (z->snap && !z->expired && notifier_pending(c->notifier, z->id) == 0) tell_peers(c, z, true);
}

/* ---- arrivals ---- */

/* Names with a CNAME and other data beside it: a transfer is taken with them, and the CNAME answers (RFC 2181 §10.1). */
struct conflicts {
  const struct zone_snap *snap;
  struct name last; /* looked at */
  uint64_t found;
};

static bool look_at_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct conflicts *c = arg;
  uint8_t key[NAME_KEY_BYTES];
  if (c->last.size && name_equal(&c->last, owner)) return true;
  name_copy(&c->last, owner);
  struct zone_lookup q = {.snap = c->snap, .key = key, .key_size = (uint16_t)name_key(owner, key)};
  zone_lookup(&q);
  c->found += q.found.node && zone_cname_conflict(q.found.node);
  return true;
}

/* `before`: only what was added since it is looked at, so that a small change costs little. NULL: all names are. */
uint64_t transfers_conflicts(const struct zone_snap *before, const struct zone_snap *snap) {
  struct conflicts c = {.snap = snap};
  struct zone_cursor cursor;
  if (zone_step_conflicts(before, snap, &c.found)) return c.found;
  if (before && zone_shares_memory(before, snap)) {
    enum err err = zone_diff(before, snap, &(struct zone_diff){NULL, look_at_added, &c});
    return err ? 0 : c.found;
  }
  if (zone_conflicts(snap, &c.found)) return c.found;
  if (zone_cursor_open(snap, &cursor)) return 0;
  for (const struct zone_node *n; (n = zone_cursor_next(&cursor));)
    c.found += zone_cname_conflict(n);
  zone_cursor_close(&cursor);
  return c.found;
}

static void log_transfer(const struct zone_slot *z, const struct arrival *a) {
  char name[NAME_TEXT_BYTES], from[ADDR_TEXT_BYTES];
  slot_name_text(z, name);
  addr_text(&a->info.from, from);
  log_event(EV_TRANSFER_IN_DONE, LOG_TEXT("zone", name), LOG_TEXT("peer", a->info.peer), LOG_TEXT("from", from),
            LOG_NUMBER("serial", zone_serial(a->snap)), LOG_TEXT("kind", a->info.incremental ? "ixfr" : "axfr"),
            LOG_TEXT("transport", "tcp"), LOG_TEXT("tsig", a->info.is_signed ? "yes" : "no"),
            LOG_NUMBER("records", a->info.records), LOG_NUMBER("bytes", a->info.bytes),
            LOG_NUMBER("us", a->info.duration_ns / 1000));
  if (a->info.dropped)
    log_event(EV_TRANSFER_IN_DROPPED, LOG_TEXT("zone", name), LOG_TEXT("peer", a->info.peer),
              LOG_NUMBER("records", a->info.dropped), LOG_TEXT("why", "outside the zone"));
}

/* When it is served already: nobody has to wait for the look. */
static void warn_of_conflicts(const struct zone_slot *z, const struct arrival *a, const struct ready *ready) {
  char name[NAME_TEXT_BYTES];
  uint64_t conflicts = ready && ready->head == a->before ? ready->conflicts : transfers_conflicts(a->before, a->snap);
  if (conflicts)
    log_event(EV_ZONE_WARNING, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("peer", a->info.peer),
              LOG_NUMBER("names", conflicts),
              LOG_TEXT("what", "names with a CNAME and other data: the CNAME answers; mend it at the primary"));
}

static void arrival_done(struct control *c, const struct arrival *a, const struct ready *ready, enum err err) {
  struct zone_slot *z = slot_of(c, a->zone_id);
  const char *why = err == ERR_CORRUPT ? "what it changes was found damaged meanwhile; it is asked for again" : "out of memory";
  if (!z) return;
  slot_unshow(c, z);
  c->figures.transfers_in += !err;
  secondary_committed(c->secondaries, a->zone_id, err ? NULL : z->snap, err, why, c->now);
  waiters_wake(c, a->zone_id, WAIT_TRANSFER, !err, err ? why : "transferred");
  if (!err) warn_of_conflicts(z, a, ready);
}

/* After changes most of a version is the memory of the one before, damage that was found there since included. mend.c has looked at
 * what was served then, and would not look again. */
static enum err add(struct control *c, struct pipeline *p, struct zone_slot *z, struct arrival *a, const struct ready *ready,
                    struct buf *note) {
  static const struct buf no_file;
  struct change_info info = {
      .door = DOOR_TRANSFER, .author = a->info.peer, .source = z->source_size ? &no_file : NULL, .ready = ready};
  if (zone_is_damaged(a->snap)) return ERR_CORRUPT;
  log_transfer(z, a);
  a->before = z->snap ? zone_snap_ref(z->snap) : NULL;
  return pipeline_add(p, z, zone_snap_ref(a->snap), &info, c->now, note);
}

static enum err commit(struct control *c, struct arrival *list, size_t count, const struct ready *ready) {
  size_t changed;
  struct pipeline *p;
  struct buf note = {0};
  struct store_error why = {""};
  enum err err = pipeline_begin(c, &p);
  enum err *each = err ? NULL : calloc(count, sizeof *each);
  for (size_t i = 0; i < count; i++) {
    struct zone_slot *z = slot_of(c, list[i].zone_id);
    if (each && z) each[i] = add(c, p, z, &list[i], ready, &note);
  }
  /* A store that fails is no reason to keep a newer version from being served: it is, and the slot says "not durable". */
  if (!err && pipeline_commit(p, c->now, &changed, &why))
    log_event(EV_STORE_FAILED, LOG_TEXT("what", "transferred zones are served from memory only until the store works again"));
  for (size_t i = 0; i < count; i++) {
    arrival_done(c, &list[i], ready, each ? each[i] : ERR_MEMORY);
    zone_step_drop(list[i].snap);
    zone_snap_unref(list[i].before);
    zone_snap_unref(list[i].snap);
  }
  free(each);
  buf_done(&note);
  return err;
}

enum err transfers_commit(struct control *c) {
  struct arrival *list = c->arrivals;
  size_t count = 0;
  for (size_t i = 0; i < c->arrival_count; i++)
    if (!slot_of(c, list[i].zone_id) || !images_take_arrival(c, &list[i])) list[count++] = list[i];
  c->arrivals = NULL; /* what follows may bring new ones */
  c->arrival_count = c->arrival_capacity = 0;
  enum err err = count ? commit(c, list, count, NULL) : ERR_OK;
  free(list);
  return err;
}

void transfers_commit_ready(struct control *c, struct arrival *a, const struct ready *ready) {
  if (commit(c, a, 1, ready)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: a transfer was dropped"));
}

enum err transfers_configure(struct control *c, struct zone_slot *z) {
  const struct config_zone_options *o = z->plan->options;
  struct secondary_options so = {
      .primaries = z->plan->primaries,
      .primary_count = z->plan->primary_count,
      .refresh_min_ms = (uint32_t)o->refresh_min_ms,
      .refresh_max_ms = (uint32_t)o->refresh_max_ms,
      .retry_min_ms = (uint32_t)o->retry_min_ms,
      .retry_max_ms = (uint32_t)o->retry_max_ms,
      .transfer_max_bytes = o->transfer_max_bytes,
      .transfer_timeout_ms = o->transfer_timeout_ms,
      .zonemd_ignore = o->zonemd == CONFIG_ZONEMD_IGNORE,
  };
  struct store_timer t = {0};
  if (z->store_id && store_timer_get(c->store, z->store_id, &t)) t = (struct store_timer){0};
  struct name name;
  slot_name(z, &name);
  struct secondary_past past = {t.good_at_s, t.expire_s, t.good_mono_s};
  enum err err = secondary_configure(c->secondaries, z->id, &name, &so, z->snap, &past, c->now);
  struct secondary_status status;
  if (!err && z->snap && secondary_status(c->secondaries, z->id, &status)) {
    z->expires_mono_ns = status.expires_mono_ns;
    z->expire_s = t.expire_s ? t.expire_s : serial_soa_expire(z->snap);
  }
  return err;
}
