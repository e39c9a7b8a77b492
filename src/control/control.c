#include "control/control.h"

#include "base/log.h"
#include "control/whole.h"
#include "xfr/barrier.h"
#include "xfr/forward.h"

#include <stdlib.h>

enum err control_new(struct config *config, const char *config_path, struct store *store, const struct xfr_net *net,
                     const struct control_events *events, struct control **out) {
  struct control *c = calloc(1, sizeof *c);
  if (!c) return ERR_MEMORY;
  c->config_path = config_path;
  c->store = store;
  c->net = *net;
  c->events = *events;
  images_init(c);
  struct secondary_events secondary;
  struct notifier_events notify;
  struct forwarder_events forward;
  transfers_events(c, &secondary, &notify);
  enum err err = zone_set_new(&c->zones);
  if (!err) err = secondaries_new(&c->net, &secondary, &c->secondaries);
  if (!err) err = notifier_new(&c->net, &notify, &c->notifier);
  struct barrier_events barrier = wait_events(c);
  if (!err) err = barrier_new(&c->net, &barrier, &c->barrier);
  updates_events(c, &forward);
  if (!err) err = forwarder_new(&c->net, &forward, &c->forwarder);
  if (!err) err = epoch_new(config_ref(config), &c->epoch);
  if (err) {
    c->store = NULL; /* stays the caller's */
    control_free(c);
    return err;
  }
  c->identity = &c->epoch->identity;
  *out = c;
  return ERR_OK;
}

/* What readers may have seen already. */
static void commit_arrivals(struct control *c) {
  if (c->store && c->arrival_count && transfers_commit(c))
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: transfers dropped"));
}

void control_free(struct control *c) {
  if (!c) return;
  struct store_error why;
  images_settle(c, true);
  upkeep_settle(c);
  commit_arrivals(c);
  jobs_end(c, "the server ends");
  reload_cut(c, "the server ends");
  if (c->store && store_timers_flush(c->store, &why)) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  while (c->waiters)
    control_command_gone(c, c->waiters->token);
  for (size_t i = 0; i < c->arrival_count; i++)
    zone_snap_unref(c->arrivals[i].snap);
  free(c->arrivals);
  free(c->upkeep.write_list);
  backup_free(c);
  rebuilds_free(c);
  forwarder_free(c->forwarder);
  notifier_free(c->notifier);
  barrier_free(c->barrier);
  secondaries_free(c->secondaries);
  zone_set_free(c->zones);
  zone_grace_barrier();
  registry_done(&c->registry);
  zone_grace_barrier();
  epoch_free(c->epoch);
  store_close(c->store);
  source_forget(&c->source_memo);
  free(c);
}

void control_freeze(struct control *c, struct instant now) {
  struct store_error why;
  c->now = now;
  control_updates_settle(c, now);
  jobs_end(c, "the server is being replaced");
  reload_cut(c, "the server is being replaced");
  images_settle(c, false);
  upkeep_settle(c);
  commit_arrivals(c);
  secondaries_break_off(c->secondaries, now);
  if (store_timers_flush(c->store, &why)) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  store_finish(c->store);
  c->stamp = store_stamp(c->store);
  store_close(c->store);
  c->store = NULL;
  c->frozen = true;
}

enum err control_thaw(struct control *c, struct store *store, struct instant now) {
  struct store_stamp a = c->stamp, b = store_stamp(store);
  if (a.tick != b.tick || a.seq != b.seq || a.id[0] != b.id[0] || a.id[1] != b.id[1]) return ERR_RANGE;
  c->now = now;
  c->store = store;
  c->frozen = false;
  c->images.off = false;
  return ERR_OK;
}

enum err control_open_history(const struct control *c, struct store_reader **out) {
  struct store_error why;
  enum err err = c->store ? store_reader_open(c->store, out, &why) : ERR_IO;
  if (err && c->store) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  return err;
}

const struct zone_set *control_zones(const struct control *c) {
  return c->zones;
}

const struct answer_identity *control_identity(const struct control *c) {
  return __atomic_load_n(&c->identity, __ATOMIC_ACQUIRE);
}

const struct config *control_config(const struct control *c) {
  return c->epoch->config;
}

void control_notified(struct control *c, const struct name *apex, const struct addr *from, bool serial_known, uint32_t serial,
                      struct instant now) {
  if (c->frozen) return;
  c->now = now;
  struct name name = *apex;
  name_lower(&name);
  struct zone_slot *z = registry_find(&c->registry, name.octets, name.size);
  if (!z || !slot_is_secondary(z)) return;
  char text[NAME_TEXT_BYTES], host[ADDR_TEXT_BYTES];
  c->figures.notifies_in++;
  log_event(EV_NOTIFY_IN, LOG_TEXT("zone", slot_name_text(z, text)), LOG_TEXT("from", addr_text(from, host)),
            LOG_NUMBER("serial", serial_known ? serial : 0));
  secondary_notified(c->secondaries, z->id, from, serial_known, serial, now);
}

/* A token says whose it is. */
void control_udp_input(struct control *c, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  if (!secondaries_udp_input(c->secondaries, token, bytes, n, now) && !notifier_udp_input(c->notifier, token, bytes, n, now))
    barrier_udp_input(c->barrier, token, bytes, n, now);
}

void control_udp_error(struct control *c, uint64_t token, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  if (!secondaries_udp_error(c->secondaries, token, now) && !notifier_udp_error(c->notifier, token, now))
    barrier_udp_error(c->barrier, token, now);
}

void control_stream_open(struct control *c, uint64_t token, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  if (!forwarder_stream_open(c->forwarder, token, now)) secondaries_stream_open(c->secondaries, token, now);
}

void control_stream_input(struct control *c, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  if (!forwarder_stream_input(c->forwarder, token, message, n, now))
    secondaries_stream_input(c->secondaries, token, message, n, now);
}

void control_stream_closed(struct control *c, uint64_t token, enum err why, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  if (!forwarder_stream_closed(c->forwarder, token, why, now)) secondaries_stream_closed(c->secondaries, token, why, now);
}

void control_run(struct control *c, struct instant now) {
  if (c->frozen) return;
  c->now = now;
  mend_run(c);
  secondaries_run(c->secondaries, now);
  notifier_run(c->notifier, now);
  rebuilds_run(c);
  barrier_run(c->barrier, now);
  if (c->updates.first) updates_commit(c);
  forwarder_run(c->forwarder, now);
  if (transfers_deadline(c) <= now.mono_ns && transfers_commit(c))
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: transfers dropped"));
  jobs_run(c);
  upkeep_run(c);
  whole_run_due(c);
  images_run(c);
  reload_run(c);
}

uint64_t control_deadline(const struct control *c) {
  if (c->frozen) return UINT64_MAX;
  if (c->updates.first || rebuilds_ended(c) || images_wait(c) || c->loading) return 0;
  const uint64_t all[] = {
      upkeep_deadline(c),
      mend_deadline(c),
      jobs_deadline(c),
      whole_deadline(c),
      transfers_deadline(c),
      secondaries_deadline(c->secondaries),
      notifier_deadline(c->notifier),
      barrier_deadline(c->barrier),
      forwarder_deadline(c->forwarder),
  };
  uint64_t at = UINT64_MAX;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (all[i] < at) at = all[i];
  return at;
}
