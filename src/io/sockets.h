/* The one place where network sockets are opened.
 *
 * A listening socket can be shared (SO_REUSEPORT) by the workers of one server. To find out that *another* server holds the
 * address, which the kernel would allow to share as well, the address is first bound alone; `share` leaves that out, for
 * an address that we ourselves hold already. Sockets that systemd passed (service.h) are taken where they match.
 * Thread: the control thread. */
#ifndef IO_SOCKETS_H
#define IO_SOCKETS_H

#include "base/addr.h"
#include "base/err.h"

enum socket_kind { SOCKET_UDP, SOCKET_TCP };

struct socket_error {
  char what[256]; /* "127.0.0.1@53: address in use by named (pid 812)" */
  char hint[256]; /* what to do, or "" */
};

/* UDP sockets are blocking (a worker uses MSG_DONTWAIT where it must not wait), TCP listeners are not. A wildcard UDP socket
 * tells the address each datagram was sent to. */
MUST_CHECK enum err socket_listen(enum socket_kind kind, const struct addr *at, bool share, int *fd, struct socket_error *error);

/* One more socket of the address that `fd` listens on: for a further worker. */
MUST_CHECK enum err socket_listen_again(enum socket_kind kind, const struct addr *at, int fd, int *out, struct socket_error *error);

/* Nothing new comes to this UDP socket from now on, but to those that share its address; what waits in it can still be read and
 * answered. Closing it without that would lose what comes between the last read and the close. */
void socket_retire(int fd);

/* Non-blocking, with a fresh random port; `source` of family 0: the system chooses. A TCP connection is under way on return. */
MUST_CHECK enum err socket_connect(enum socket_kind kind, const struct addr *source, const struct addr *to, int *fd);

/* Options of an accepted connection. */
void socket_stream_prepare(int fd);

/* Who holds a port, as "name (pid N)", when the system lets us see it; "" if not. */
void socket_holder(enum socket_kind kind, const struct addr *at, char *out, size_t size);

#endif
