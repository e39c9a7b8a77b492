/* A stream's end at a server: what io/stream_server.c calls a connection. Shared by net.c and seams.c. */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include "io/stream_server.h"
#include "sim.h"

enum { PRODUCERS_MAX = 8 };

struct stream_conn {
  uint64_t id; /* of the connection */
  struct addr peer;
  struct stream_producer producers[PRODUCERS_MAX];
  unsigned producer_count, deferred;
  uint8_t room[LIMIT_MESSAGE_BYTES];
};

/* Queues a message from the server's end to the client's. */
void net_from_server(uint64_t conn, const uint8_t *bytes, size_t n);
struct stream_conn *net_server_end(uint64_t conn); /* NULL: gone */
/* Lets the producers go on when there is room on the way. */
void net_produce_later(uint64_t conn);

#endif
