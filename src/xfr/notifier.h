/* NOTIFY out (RFC 1996): tells each peer of a zone about its newest serial until it answers, with backoff; a newer serial takes the
 * place of an older one. All zones in one machine with one deadline, sans-I/O. Thread: the control thread (or the simulator). */
#ifndef XFR_NOTIFIER_H
#define XFR_NOTIFIER_H

#include "tsig/tsig.h"
#include "xfr/net.h"
#include "xfr/secondary.h"

struct notifier_events {
  void *arg;
  void (*done)(void *arg, uint32_t zone_id, const char *peer, uint32_t serial, uint64_t took_ns);
  void (*failed)(void *arg, uint32_t zone_id, const char *peer,
                 const char *what); /* first failure of a serial, and when it gives up */
};

struct notifier;
MUST_CHECK enum err notifier_new(const struct xfr_net *net, const struct notifier_events *events, struct notifier **out);
void notifier_free(struct notifier *n);
/* The zone's content changed, or `notify` was asked for; `at_start`: it may have changed before we started, so its peers are told
 * at leisure (RFC 1996 §3.1: a lost NOTIFY costs a refresh interval). Peers are copied. What is to be sent is sent by the next
 * notifier_run, so that whoever publishes many zones at once is done with it before somebody comes and asks. */
MUST_CHECK enum err notifier_zone(struct notifier *n, uint32_t zone_id, const struct zone_snap *snap,
                                  const struct xfr_primary *peers, unsigned peer_count, bool at_start, struct instant now);
void notifier_remove(struct notifier *n, uint32_t zone_id);
unsigned notifier_pending(const struct notifier *n, uint32_t zone_id); /* peers that have not answered the newest serial */
bool notifier_udp_input(struct notifier *n, uint64_t token, const uint8_t *bytes, size_t size, struct instant now);
bool notifier_udp_error(struct notifier *n, uint64_t token, struct instant now);
void notifier_run(struct notifier *n, struct instant now);
uint64_t notifier_deadline(const struct notifier *n);

#endif
