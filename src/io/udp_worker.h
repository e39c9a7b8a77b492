/* A UDP worker: one thread that takes datagrams in batches, has them answered, and sends the responses in batches.
 *
 *   recvmmsg --> struct udp_packet[n] --> handle() fills the responses --> sendmmsg
 *
 * Everything it needs is prepared once: no allocation, no lock, no log line a packet, and two system calls a batch (three
 * when it serves several sockets). A response leaves from the address its request was sent to. Thread: started, stopped and
 * freed by its owner; the handler runs on the worker's thread. */
#ifndef IO_UDP_WORKER_H
#define IO_UDP_WORKER_H

#include "base/err.h"
#include "base/limits.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct udp_socket;

struct udp_packet {
  const uint8_t *bytes; /* the request */
  uint32_t size;
  uint32_t tag; /* of the socket it came by */
  const struct sockaddr *from;
  uint8_t *out;                    /* room for LIMIT_UDP_RESPONSE_BYTES */
  uint32_t out_size;               /* filled in by the handler; 0: no response */
  uint32_t slot;                   /* the worker's own, with the next two */
  const struct udp_socket *socket; /* NULL: it came by AF_XDP, which takes plain queries only */
  const struct msghdr *asked;
};

struct udp_socket {
  int fd;        /* the owner's; blocking */
  bool wildcard; /* socket_listen on 0.0.0.0 or :: */
  uint32_t tag;  /* handed to the handler with every packet */
};

struct udp_handler {
  void *arg;
  void (*thread_begin)(void *arg); /* on the worker's thread; may be NULL */
  void (*thread_end)(void *arg);
  void (*handle)(void *arg, struct udp_packet *packets, size_t count); /* 1 <= count <= LIMIT_BATCH */
};

/* How to answer a request later than in the handler, from any thread, while its socket is open: to where it came from, and from
 * the address it was sent to. */
struct udp_return {
  int fd;
  uint32_t control_size;
  struct sockaddr_in6 from; /* or a struct sockaddr_in */
  _Alignas(8) uint8_t control[64];
};
void udp_packet_return(const struct udp_packet *p, struct udp_return *out); /* by the handler; of a packet with a socket */
/* At most LIMIT_BATCH responses, those that follow each other by one socket in one call; many alike for one client as one. What the
 * system does not take is lost, as datagrams are. `to` is used up. */
struct udp_late {
  struct udp_return *to;
  const uint8_t *bytes;
  size_t size;
};
void udp_late_send(const struct udp_late *list, size_t n);

/* Counted by the worker, readable by any thread. */
struct udp_counters {
  uint64_t received, sent;
  uint64_t batches;
  uint64_t too_long;    /* requests over LIMIT_UDP_REQUEST_BYTES, handled as if they ended there */
  uint64_t send_failed; /* responses the system did not take */
};

struct udp_worker;

/* `sockets` is copied. `cpu` < 0: not pinned. */
MUST_CHECK enum err udp_worker_start(const struct udp_socket *sockets, size_t count, const struct udp_handler *handler,
                                     const char *name, int cpu, struct udp_worker **out);
/* Answers what has arrived already, ends the thread and frees; the sockets stay open. What it counted is added to `*sum` (may be
 * NULL). A NULL worker is fine. */
void udp_worker_stop(struct udp_worker *w, struct udp_counters *sum);
/* Adds what it has counted up to now. */
void udp_worker_counters(const struct udp_worker *w, struct udp_counters *sum);

#endif
