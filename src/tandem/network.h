/* The network of the transfer machines (xfr/net.h) on the control thread's loop. */
#ifndef TANDEM_NETWORK_H
#define TANDEM_NETWORK_H

#include "control/control.h"
#include "io/loop.h"

struct network;
MUST_CHECK enum err network_new(struct loop *l, struct network **out);
void network_free(struct network *n); /* NULL is fine */
struct xfr_net network_interface(struct network *n);
/* Who is told what comes; before the loop turns. */
void network_tell(struct network *n, struct control *control);

struct network_listener { /* somebody else than control */
  void *arg;
  void (*udp_input)(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
  void (*udp_error)(void *arg, uint64_t token, struct instant now);
  void (*stream_open)(void *arg, uint64_t token, struct instant now);
  void (*stream_input)(void *arg, uint64_t token, const uint8_t *message, size_t n, struct instant now);
  void (*stream_closed)(void *arg, uint64_t token, enum err why, struct instant now);
};
void network_listen(struct network *n, const struct network_listener *listener);

#endif
