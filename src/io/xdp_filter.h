/* The program in the kernel that takes DNS questions out of an interface's traffic for AF_XDP and lets everything else go its usual
 * way: fragments, IP options, VLANs, other ports and addresses, NOTIFY and UPDATE, and what comes to a queue without a socket. It
 * goes with the last descriptor of it, also when the process is killed. Thread: the control thread; needs CAP_NET_ADMIN and CAP_BPF
 * to be made. */
#ifndef IO_XDP_FILTER_H
#define IO_XDP_FILTER_H

#include "base/addr.h"
#include "base/err.h"

#include <stddef.h>

enum {
  XDP_FILTER_QUEUES = 64,     /* of one interface */
  XDP_FILTER_ADDRESSES = 1024 /* addresses with ports that are taken */
};

struct xdp_filter;
/* Attached to the interface, natively where its driver can, else in the kernel's general way (`*native` false). Nothing is taken
 * yet.
 * `*what` says what failed; errno says why. */
MUST_CHECK enum err xdp_filter_new(unsigned interface, struct xdp_filter **out, bool *native, const char **what);
void xdp_filter_free(struct xdp_filter *f);                                       /* detached; NULL is fine */
MUST_CHECK enum err xdp_filter_take(struct xdp_filter *f, const struct addr *to); /* no wildcard */
void xdp_filter_leave(struct xdp_filter *f, const struct addr *to);               /* goes the usual way again */
/* Datagrams of a queue go to this socket. */
MUST_CHECK enum err xdp_filter_queue(struct xdp_filter *f, unsigned queue, int xsk_fd);

#endif
