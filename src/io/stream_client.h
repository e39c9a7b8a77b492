/* Connections of our own that carry DNS messages (transfers in). A token is told open, then each message that comes, and closed
 * exactly once, unless it is closed from here before. Timeouts are the asker's. Thread: that of the loop. */
#ifndef IO_STREAM_CLIENT_H
#define IO_STREAM_CLIENT_H

#include "base/addr.h"
#include "io/loop.h"

#include <stddef.h>

struct stream_client_events {
  void *arg;
  void (*open)(void *arg, uint64_t token, struct instant now);
  void (*input)(void *arg, uint64_t token, const uint8_t *message, size_t n, struct instant now);
  /* ERR_CLOSED: the other side ended it; ERR_REFUSED, ERR_TIMEOUT, ERR_IO: it broke or did not come about. */
  void (*closed)(void *arg, uint64_t token, enum err why, struct instant now);
};

struct stream_client;
MUST_CHECK enum err stream_client_new(struct loop *l, const struct stream_client_events *events, struct stream_client **out);
void stream_client_free(struct stream_client *s); /* NULL is fine */

MUST_CHECK enum err stream_client_connect(struct stream_client *s, uint64_t token, const struct addr *source,
                                          const struct addr *to);
/* Queues one message, also before it is open. ERR_NOT_FOUND: no such token. */
MUST_CHECK enum err stream_client_send(struct stream_client *s, uint64_t token, const uint8_t *message, size_t n);
void stream_client_close(struct stream_client *s, uint64_t token); /* unknown tokens are ignored */

#endif
