/* A network in memory with a virtual clock. One machine (secondaries, a notifier, later a whole server) stands on one side behind
 * `struct xfr_net`; hosts stand on the other, each at an address. Every run with the same seed is the same run.
 *
 *   machine --udp_send, stream_send--> [events in order of time] --datagram, message--> host
 *           <---udp_input, stream_input---                      <---fake_net_reply, fake_net_send---
 *
 * Datagrams are lost, doubled and reordered as `faults` says; streams keep their order and break only when told. */
#ifndef TESTS_XFR_FAKE_NET_H
#define TESTS_XFR_FAKE_NET_H

#include "xfr/net.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_net;

struct fake_faults {
  unsigned loss_percent, double_percent;
  uint64_t latency_least_ns, latency_most_ns; /* each way; different ones reorder datagrams */
};

struct fake_counts {
  uint64_t datagrams, streams;           /* from the machine */
  uint32_t live_exchanges, live_streams; /* now */
  uint32_t most_exchanges, most_streams; /* at once */
};

/* What the machine is told, with the signatures of secondaries_* and notifier_*. */
struct fake_machine {
  void *arg;
  void (*udp_input)(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
  void (*udp_error)(void *arg, uint64_t token, struct instant now);
  void (*stream_open)(void *arg, uint64_t token, struct instant now);
  void (*stream_input)(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
  void (*stream_closed)(void *arg, uint64_t token, enum err why, struct instant now);
  void (*run)(void *arg, struct instant now);
  uint64_t (*deadline)(void *arg);
};

enum fake_presence {
  FAKE_UP,
  FAKE_CLOSED, /* the machine runs, the server does not: port unreachable, connection refused */
  FAKE_SILENT, /* everything to it and from it is dropped */
};

struct fake_host {
  struct addr addr;
  enum fake_presence presence;
  bool udp_silent, tcp_silent, tcp_closed;
  void *arg;
  /* `token` names the exchange or stream to answer on. Any may be NULL. */
  void (*datagram)(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size);
  void (*message)(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size);
  void (*gone)(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token); /* the machine closed its stream */
  uint64_t datagrams, messages;                                                     /* that reached it */
  uint64_t last_ns;                                                                 /* when one did */
};

struct fake_net *fake_net_new(uint64_t seed);
void fake_net_free(struct fake_net *n);
struct xfr_net fake_net_xfr(struct fake_net *n);
void fake_net_attach(struct fake_net *n, const struct fake_machine *m);
void fake_net_add(struct fake_net *n, struct fake_host *h); /* stays the caller's */
struct fake_faults *fake_net_faults(struct fake_net *n);
struct fake_counts fake_net_counts(const struct fake_net *n);
uint64_t fake_net_random(struct fake_net *n);

struct instant fake_net_now(const struct fake_net *n);
void fake_net_jump_wall(struct fake_net *n, int64_t seconds);

/* From hosts to the machine. A closed token is ignored, as a network would. */
void fake_net_reply(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size);
void fake_net_send(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size);
void fake_net_hang_up(struct fake_net *n, struct fake_host *h, uint64_t token);
/* Calls back later. */
void fake_net_later(struct fake_net *n, uint64_t delay_ns, void (*f)(void *arg, uint64_t token), void *arg, uint64_t token);

/* Lets time pass. */
void fake_net_run(struct fake_net *n, uint64_t for_ns);
/* ... at most for so long, until `done` says so. */
bool fake_net_run_until(struct fake_net *n, uint64_t most_ns, bool (*done)(void *arg), void *arg);

#endif
