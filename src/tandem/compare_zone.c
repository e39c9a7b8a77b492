/* A whole zone from one server, by the machine that secondaries transfer with. */
#include "tandem/compare_priv.h"

#include <stdio.h>
#include <string.h>

enum { TRANSFER_TIMEOUT_S = 60, TIMER_S = 3600 };

struct transfer {
  struct compare_server *server;
  struct secondaries *machine;
  bool ended;
};

static void on_transferred(void *arg, uint32_t zone_id, struct zone_snap *snap, const struct transfer_info *info) {
  struct transfer *t = arg;
  t->server->zone = snap;
  t->ended = true;
}

static void on_good(void *arg, uint32_t zone_id, int64_t wall_s, uint32_t expire_s, uint64_t expires_mono_ns) {
}

static void on_expired(void *arg, uint32_t zone_id) {
}

static void on_failed(void *arg, uint32_t zone_id, const char *what, const char *peer) {
  struct transfer *t = arg;
  snprintf(t->server->why, sizeof t->server->why, "%s", what);
}

static void on_settled(void *arg, uint32_t zone_id, bool good) {
  ((struct transfer *)arg)->ended = true;
}

/* ---- what comes from the network ---- */

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  secondaries_udp_input(((struct transfer *)arg)->machine, token, bytes, n, now);
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  secondaries_udp_error(((struct transfer *)arg)->machine, token, now);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  secondaries_stream_open(((struct transfer *)arg)->machine, token, now);
}

static void stream_input(void *arg, uint64_t token, const uint8_t *message, size_t n, struct instant now) {
  secondaries_stream_input(((struct transfer *)arg)->machine, token, message, n, now);
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  secondaries_stream_closed(((struct transfer *)arg)->machine, token, why, now);
}

enum err compare_transfer(struct compare *c, struct compare_server *server) {
  struct transfer t = {.server = server};
  struct xfr_net net = network_interface(c->network);
  struct secondary_events events = {&t, on_transferred, on_good, on_expired, on_failed, on_settled, NULL, NULL, NULL};
  struct secondary_options o = {
      .primaries = &server->primary,
      .primary_count = 1,
      .refresh_min_ms = TIMER_S * 1000,
      .refresh_max_ms = TIMER_S * 1000,
      .retry_min_ms = TIMER_S * 1000,
      .retry_max_ms = TIMER_S * 1000,
      .transfer_max_bytes = LIMIT_TRANSFER_IN_BYTES,
      .transfer_timeout_ms = TRANSFER_TIMEOUT_S * 1000,
      .zonemd_ignore = true,
  };
  struct network_listener listener = {&t, udp_input, udp_error, stream_open, stream_input, stream_closed};
  struct instant now = clock_read();
  enum err err = secondaries_new(&net, &events, &t.machine);
  if (err) return err;
  network_listen(c->network, &listener);
  err = secondary_configure(t.machine, 0, &c->apex, &o, NULL, NULL, now);
  while (!err && !t.ended) {
    if (secondaries_deadline(t.machine) <= now.mono_ns) secondaries_run(t.machine, now);
    if (!t.ended) loop_turn(c->loop, secondaries_deadline(t.machine), &now);
  }
  secondaries_free(t.machine);
  if (!err && !server->zone && !server->why[0]) snprintf(server->why, sizeof server->why, "it gave nothing");
  return err;
}
