#include "fake_owner.h"

#include "fake_primary.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- events ---- */

static void commit(void *arg, uint64_t id) {
  struct fake_owner *o = arg;
  struct owned_zone *z = &o->zones[id];
  struct zone_snap *snap = z->arrived;
  if (!snap) return;
  z->arrived = NULL;
  if (o->refuse_commits) {
    zone_snap_unref(snap);
    secondary_committed(o->machine, (uint32_t)id, NULL, ERR_REFUSED, "the test says no", fake_net_now(o->net));
    return;
  }
  o->served += z->content == NULL;
  zone_snap_unref(z->content);
  z->content = snap;
  z->committed_ns = fake_net_now(o->net).mono_ns;
  secondary_committed(o->machine, (uint32_t)id, snap, ERR_OK, "", fake_net_now(o->net));
}

static void on_transferred(void *arg, uint32_t id, struct zone_snap *snap, const struct transfer_info *info) {
  struct fake_owner *o = arg;
  struct owned_zone *z = &o->zones[id];
  assert(!z->arrived);
  z->transferred++;
  z->info = *info;
  z->arrived = snap;
  if (o->commit_delay_ns) fake_net_later(o->net, o->commit_delay_ns, commit, o, id);
  else commit(o, id);
}

static void on_good(void *arg, uint32_t id, int64_t wall_s, uint32_t expire_s, uint64_t expires_ns) {
  struct fake_owner *o = arg;
  struct owned_zone *z = &o->zones[id];
  z->good++;
  z->expired = false;
  z->good_at_s = wall_s;
  z->good_mono_s = (uint32_t)(fake_net_now(o->net).mono_ns / NS_PER_S);
  z->expire_s = expire_s;
  z->expires_ns = expires_ns;
}

static void on_expired(void *arg, uint32_t id) {
  struct fake_owner *o = arg;
  o->zones[id].expired = true;
  o->zones[id].expirations++;
}

static void on_failed(void *arg, uint32_t id, const char *what, const char *peer) {
  struct fake_owner *o = arg;
  struct owned_zone *z = &o->zones[id];
  z->failed++;
  snprintf(z->what, sizeof z->what, "%s", what);
  snprintf(z->peer, sizeof z->peer, "%s", peer);
  z->failed_in = fake_owner_status(o, id).phase;
}

static void on_settled(void *arg, uint32_t id, bool good) {
  struct fake_owner *o = arg;
  if (good) o->zones[id].settled_good++;
  else o->zones[id].settled_bad++;
}

static struct zone_snap *on_content(void *arg, uint32_t id) {
  struct fake_owner *o = arg;
  return o->zones[id].content ? zone_snap_ref(o->zones[id].content) : NULL;
}

static void built(void *arg, uint64_t i) {
  struct fake_owner *o = arg;
  struct transfer_build *b = o->builds[i];
  if (!b) return;
  o->builds[i] = NULL;
  o->built++;
  transfer_build_run(b);
  assert(transfer_build_was_run(b));
  secondary_built(o->machine, b, fake_net_now(o->net));
}

static bool on_build(void *arg, uint32_t id, struct transfer_build *b) {
  struct fake_owner *o = arg;
  unsigned i = 0;
  while (i < OWNER_BUILDS && o->builds[i])
    i++;
  if (!o->build_delay_ns || i == OWNER_BUILDS) return false;
  o->builds[i] = b;
  fake_net_later(o->net, o->build_delay_ns, built, o, i);
  return true;
}

static void on_fell_back(void *arg, uint32_t id, const char *what, const char *peer) {
  struct fake_owner *o = arg;
  o->zones[id].fell_back++;
  snprintf(o->zones[id].what, sizeof o->zones[id].what, "%s", what);
}

/* ---- the machine on the net ---- */

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_udp_input(o->machine, token, bytes, n, now);
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_udp_error(o->machine, token, now);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_stream_open(o->machine, token, now);
}

static void stream_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_stream_input(o->machine, token, bytes, n, now);
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_stream_closed(o->machine, token, why, now);
}

static void run(void *arg, struct instant now) {
  struct fake_owner *o = arg;
  secondaries_run(o->machine, now);
}

static uint64_t deadline(void *arg) {
  struct fake_owner *o = arg;
  return secondaries_deadline(o->machine);
}

static void start(struct fake_owner *o) {
  struct xfr_net net = fake_net_xfr(o->net);
  struct secondary_events events = {o,          on_transferred, on_good,  on_expired,  on_failed,
                                    on_settled, on_content,     on_build, on_fell_back};
  enum err e = secondaries_new(&net, &events, &o->machine);
  assert(!e);
  fake_net_attach(o->net, &(struct fake_machine){o, udp_input, udp_error, stream_open, stream_input, stream_closed, run, deadline});
}

void fake_owner_init(struct fake_owner *o, struct fake_net *n, uint32_t zone_count) {
  *o = (struct fake_owner){.net = n, .zone_count = zone_count};
  o->zones = calloc(zone_count, sizeof *o->zones);
  assert(o->zones);
  start(o);
}

static void drop_arrivals(struct fake_owner *o) {
  for (uint32_t i = 0; i < o->zone_count; i++) {
    zone_snap_unref(o->zones[i].arrived);
    o->zones[i].arrived = NULL;
  }
}

static void drop_builds(struct fake_owner *o) {
  for (unsigned i = 0; i < OWNER_BUILDS; i++)
    if (o->builds[i]) secondary_build_dropped(o->builds[i]);
  memset(o->builds, 0, sizeof o->builds);
}

void fake_owner_restart(struct fake_owner *o) {
  drop_builds(o);
  secondaries_free(o->machine);
  drop_arrivals(o);
  start(o);
}

void fake_owner_done(struct fake_owner *o) {
  drop_builds(o);
  secondaries_free(o->machine);
  drop_arrivals(o);
  for (uint32_t i = 0; i < o->zone_count; i++)
    zone_snap_unref(o->zones[i].content);
  free(o->zones);
}

void fake_owner_configure(struct fake_owner *o, uint32_t id, const char *apex_text, const struct secondary_options *so) {
  struct name apex = name_of(apex_text);
  struct owned_zone *z = &o->zones[id];
  struct secondary_past past = {z->good_at_s, z->expire_s, o->same_boot ? z->good_mono_s : 0};
  enum err e = secondary_configure(o->machine, id, &apex, so, z->content, &past, fake_net_now(o->net));
  assert(!e);
}

uint32_t fake_owner_serial(const struct fake_owner *o, uint32_t id) {
  return o->zones[id].content ? zone_serial(o->zones[id].content) : 0;
}

struct secondary_status fake_owner_status(const struct fake_owner *o, uint32_t id) {
  struct secondary_status status;
  bool found = secondary_status(o->machine, id, &status);
  assert(found);
  return status;
}
