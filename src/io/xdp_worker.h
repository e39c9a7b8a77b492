/* AF_XDP: questions straight from the queues of a network interface, the same handler as behind sockets (udp_worker.h).
 *
 *   interface queue --filter (xdp_filter.h)--> ring --> struct udp_packet[n] --> handle() --> ring --> the same queue
 *
 * One thread a queue. Sockets on the same addresses stay open and serve whatever the filter lets through. The answer goes back to
 * the neighbour that the question came from, so ARP, neighbour discovery and routing stay the kernel's. Nothing is allocated, and a
 * busy worker makes one system call a batch. Thread: opened, started and freed by the control thread. */
#ifndef IO_XDP_WORKER_H
#define IO_XDP_WORKER_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/udp_worker.h"

struct xdp_address { /* questions to this address are taken */
  struct addr at;    /* a wildcard stands for every address the machine has now */
  uint32_t tag;
};

struct xdp_device; /* an interface with its filter and a socket for each queue */

/* Whether this build has it. */
bool xdp_is_built(void);
/* Needs privileges, and no thread yet. On failure `why` says what to do. */
MUST_CHECK enum err xdp_open(const char *interface, const struct xdp_address *addresses, size_t count, struct xdp_device **out,
                             struct buf *why);
unsigned xdp_queue_count(const struct xdp_device *d);
const char *xdp_mode_text(const struct xdp_device *d); /* "native" or "generic, ..." */
/* Starts the thread of a queue. */
MUST_CHECK enum err xdp_start(struct xdp_device *d, unsigned queue, const struct udp_handler *handler);
/* Other addresses to take, after a reload. */
void xdp_addresses(struct xdp_device *d, const struct xdp_address *addresses, size_t count);
/* Traffic goes its usual way again; threads end. What they counted is added to `*sum`. NULL is fine. */
void xdp_close(struct xdp_device *d, struct udp_counters *sum);
void xdp_counters(const struct xdp_device *d, struct udp_counters *sum);

#endif
