/* The network and the clock as the transfer machines see them: they ask for exchanges and streams by token and are told what
 * came. The real loop (tandem/) and the simulator implement `struct xfr_net`; nothing in xfr/ does I/O or reads a clock.
 * Tokens are chosen by the machines, never 0, and one token names one exchange or one stream at a time. After a `closed` event or
 * a close from here a token is dead; what still comes for it is dropped, and closing a dead token is harmless.
 *
 * None of these functions calls a machine back from inside: what came is told later, from the loop. An error returned at once
 * means that nothing was opened or sent, and no event follows for it. Streams tell of refused and broken connections by `closed`.
 */
#ifndef XFR_NET_H
#define XFR_NET_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"

struct xfr_net {
  void *arg;
  /* Sends a datagram from `source` (family 0: any) from a random port, and waits for datagrams from exactly `to` until udp_close.
   * Exchanges that overlap may share a port and are told apart by the message's id. Called again with a live token (same
   * addresses): a retransmission, from the same port unless another exchange of it has this id. */
  enum err (*udp_send)(void *arg, uint64_t token, const struct addr *source, const struct addr *to, const uint8_t *bytes, size_t n);
  void (*udp_close)(void *arg, uint64_t token);
  /* Opens a TCP connection; told by stream_open or stream_closed. */
  enum err (*stream_connect)(void *arg, uint64_t token, const struct addr *source, const struct addr *to);
  /* Queues one message (the two length octets are added by the callee). */
  enum err (*stream_send)(void *arg, uint64_t token, const uint8_t *bytes, size_t n);
  void (*stream_close)(void *arg, uint64_t token);
  uint64_t (*random)(void *arg); /* for ids, jitter */
};

#endif
