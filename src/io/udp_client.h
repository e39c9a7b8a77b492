/* Exchanges of our own over UDP, from sockets that are connected to the server asked, so that the system gives us nothing but
 * datagrams from there, at ports that could not be foreseen. Exchanges with one server that overlap share a port, told apart by
 * the first two octets of what was sent: at most 16 at a time and 64 in all, and a port without any is closed. Timeouts are the
 * asker's.
 * Thread: that of the loop. */
#ifndef IO_UDP_CLIENT_H
#define IO_UDP_CLIENT_H

#include "base/addr.h"
#include "io/loop.h"

#include <stddef.h>

struct udp_client_events {
  void *arg;
  void (*input)(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
  void (*error)(void *arg, uint64_t token, struct instant now); /* port unreachable and the like; the token is closed before */
};

struct udp_client;
MUST_CHECK enum err udp_client_new(struct loop *l, const struct udp_client_events *events, struct udp_client **out);
void udp_client_free(struct udp_client *u); /* NULL is fine */

/* Sends; a token that is in use sends again, from its port if it is to the same server. `source` of family 0: any.
 * ERR_LIMIT: LIMIT_UDP_CLIENTS are open. ERR_IO: it can't be sent. */
MUST_CHECK enum err udp_client_send(struct udp_client *u, uint64_t token, const struct addr *source, const struct addr *to,
                                    const uint8_t *bytes, size_t n);
void udp_client_close(struct udp_client *u, uint64_t token); /* unknown tokens are ignored */

#endif
