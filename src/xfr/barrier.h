/* Publish barrier: asks the peers of a zone for its SOA until each has answered a serial, or a higher one (RFC 1982). Where several
 * addresses are one peer, any of them counts. Sans-I/O.
 *
 *   asking --answered, lower--> resting (10 ms, doubling) --> asking --answered, high enough--> passed
 *      |silent, refused, unreachable: the peer's next address, after a rest
 *
 * Bounded by the callers: one watch a command. Thread: the control thread (or the simulator). */
#ifndef XFR_BARRIER_H
#define XFR_BARRIER_H

#include "base/buf.h"
#include "xfr/secondary.h"

struct barrier;

/* Each watch ends with exactly one of these, never from inside barrier_watch. `late`: what the peers that lag behind do, a line
 * each. */
struct barrier_events {
  void *arg;
  void (*passed)(void *arg, uint64_t id);
  void (*late)(void *arg, uint64_t id, const struct buf *laggards);
};

MUST_CHECK enum err barrier_new(const struct xfr_net *net, const struct barrier_events *events, struct barrier **out);
void barrier_free(struct barrier *b); /* no event comes any more; NULL is fine */

/* `id` is the caller's, and not in use. Peers are copied. */
MUST_CHECK enum err barrier_watch(struct barrier *b, uint64_t id, const struct name *apex, uint32_t serial,
                                  const struct xfr_primary *peers, unsigned count, uint64_t until_ns, struct instant now);
void barrier_forget(struct barrier *b, uint64_t id); /* no event comes for it; harmless if there is none */

/* False: the token is not one of ours. */
bool barrier_udp_input(struct barrier *b, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
bool barrier_udp_error(struct barrier *b, uint64_t token, struct instant now);
void barrier_run(struct barrier *b, struct instant now);
uint64_t barrier_deadline(const struct barrier *b); /* mono_ns; UINT64_MAX: never */

#endif
