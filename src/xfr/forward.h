/* Forwarding of UPDATEs from a secondary to its primaries (RFC 2136 §6): the client's own message goes out over TCP under another
 * id, and the primary's answer comes back under the client's. Nothing else is touched: TSIG covers the id that it carries itself
 * (RFC 8945 §5.3), so the signatures of both stay good and no key of theirs is needed here. Sans-I/O.
 *
 *   waiting --a place is free--> connecting to an address --open--> sent --answer--> answered
 *                                  |refused, no way, too slow: the next address,       |closed, too slow: failed, for nobody can
 *                                  |none is left: failed                               |say whether the change was made
 *
 * Bounded: LIMIT_FORWARDS connections at once; how many wait is the caller's to bound. Thread: the control thread (or the
 * simulator).
 */
#ifndef XFR_FORWARD_H
#define XFR_FORWARD_H

#include "xfr/net.h"
#include "xfr/secondary.h"

struct forwarder;

/* Each request ends with exactly one of these, never from inside forwarder_request. */
struct forwarder_events {
  void *arg;
  /* The primary's answer with the client's id; `bytes` is valid during the call. */
  void (*answered)(void *arg, void *request, const uint8_t *bytes, size_t n);
  void (*failed)(void *arg, void *request, const char *what);
};

MUST_CHECK enum err forwarder_new(const struct xfr_net *net, const struct forwarder_events *events, struct forwarder **out);
void forwarder_free(struct forwarder *f); /* no event comes any more; NULL is fine */

/* `request` is the caller's name for it; `message` stays valid until its event. The addresses are copied, and tried in their order.
 */
MUST_CHECK enum err forwarder_request(struct forwarder *f, void *request, const uint8_t *message, size_t n,
                                      const struct xfr_primary *primaries, unsigned count, struct instant now);
/* Ends all with `failed`. */
void forwarder_fail_all(struct forwarder *f, const char *what);

/* False: the token is not one of ours. */
bool forwarder_stream_open(struct forwarder *f, uint64_t token, struct instant now);
bool forwarder_stream_input(struct forwarder *f, uint64_t token, const uint8_t *message, size_t n, struct instant now);
bool forwarder_stream_closed(struct forwarder *f, uint64_t token, enum err why, struct instant now);
void forwarder_run(struct forwarder *f, struct instant now);
uint64_t forwarder_deadline(const struct forwarder *f); /* mono_ns; UINT64_MAX: never */

#endif
