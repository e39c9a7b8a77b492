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

#endif
