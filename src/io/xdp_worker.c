#include "io/xdp_worker.h"

#include "io/thread.h"
#include "io/xdp_filter.h"
#include "io/xdp_packet.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xdp/xsk.h>

enum {
  FRAME_BYTES = 2048,
  RING = 2048, /* frames of either direction */
  FRAMES = 2 * RING,
  WAIT_MS = 1000,
};

struct queue {
  struct xdp_device *device;
  unsigned number;
  uint8_t *memory; /* FRAMES frames: the first half comes in, the second goes out */
  struct xsk_umem *umem;
  struct xsk_socket *socket;
  struct xsk_ring_prod fill, tx;
  struct xsk_ring_cons done, rx;
  uint64_t idle[RING]; /* frames to send with, by address */
  size_t idle_count;
  struct udp_handler handler;
  pthread_t thread;
  bool running;
  atomic_bool stop;
  _Atomic uint64_t received, sent, batches, send_failed; /* single writer */
  struct xdp_packet asked[LIMIT_BATCH];
  struct sockaddr_storage from[LIMIT_BATCH];
  struct udp_packet packets[LIMIT_BATCH];
};

struct xdp_device {
  char name[IF_NAMESIZE];
  unsigned interface;
  bool native;
  struct xdp_filter *filter;
  struct xdp_address *taken; /* what may come; the filter knows which of them do */
  size_t taken_count;
  struct queue *queues;
  unsigned queue_count;
};

bool xdp_is_built(void) {
  return true;
}

static void count(_Atomic uint64_t *counter, uint64_t n) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---- a queue at work ---- */

static const struct xdp_address *find(const struct xdp_device *d, const struct addr *to) {
  for (size_t i = 0; i < d->taken_count; i++)
    if (addr_equal(&d->taken[i].at, to)) return &d->taken[i];
  return NULL;
}

/* Frames that were sent are free again. */
static void collect(struct queue *q) {
  uint32_t at, n = xsk_ring_cons__peek(&q->done, RING, &at);
  for (uint32_t i = 0; i < n; i++)
    q->idle[q->idle_count++] = *xsk_ring_cons__comp_addr(&q->done, at + i);
  if (n) xsk_ring_cons__release(&q->done, n);
}

/* What came becomes packets; without a frame to answer with a question is lost, as datagrams are. */
static size_t take(struct queue *q, uint32_t at, uint32_t n) {
  size_t kept = 0;
  for (uint32_t i = 0; i < n; i++) {
    const struct xdp_desc *d = xsk_ring_cons__rx_desc(&q->rx, at + i);
    struct xdp_packet *p = &q->asked[kept];
    if (!xdp_packet_read(q->memory + d->addr, d->len, p)) continue;
    const struct xdp_address *to = find(q->device, &p->to);
    if (!to) continue;
    if (q->idle_count == 0) {
      count(&q->send_failed, 1);
      continue;
    }
    if (p->from.family == 6 && p->from.octets[0] == 0xfe && (p->from.octets[1] & 0xc0) == 0x80)
      p->from.scope = q->device->interface;
    addr_to_sockaddr(&p->from, &q->from[kept]);
    uint8_t *frame = q->memory + q->idle[--q->idle_count];
    q->packets[kept] = (struct udp_packet){.bytes = p->payload,
                                           .size = p->size,
                                           .tag = to->tag,
                                           .from = (const struct sockaddr *)&q->from[kept],
                                           .out = frame + xdp_headers_bytes(p),
                                           .slot = (uint32_t)kept};
    kept++;
  }
  return kept;
}

static void answer(struct queue *q, size_t kept) {
  uint32_t at = 0, wanted = 0, used = 0;
  for (size_t k = 0; k < kept; k++)
    wanted += q->packets[k].out_size != 0;
  bool room = wanted && xsk_ring_prod__reserve(&q->tx, wanted, &at) == wanted;
  for (size_t k = 0; k < kept; k++) {
    const struct udp_packet *p = &q->packets[k];
    uint8_t *frame = p->out - xdp_headers_bytes(&q->asked[k]);
    uint64_t address = (uint64_t)(frame - q->memory);
    if (p->out_size == 0 || !room) {
      q->idle[q->idle_count++] = address;
      continue;
    }
    size_t size = xdp_packet_answer(&q->asked[k], frame, (uint16_t)p->out_size);
    *xsk_ring_prod__tx_desc(&q->tx, at + used++) = (struct xdp_desc){.addr = address, .len = (uint32_t)size};
  }
  if (used) xsk_ring_prod__submit(&q->tx, used);
  count(&q->sent, used);
  count(&q->send_failed, wanted - used);
}

/* The frames that questions came in go back to the interface. */
static void refill(struct queue *q, uint32_t rx_at, uint32_t n) {
  uint32_t at, got = xsk_ring_prod__reserve(&q->fill, n, &at); /* there is room: they came from there */
  for (uint32_t i = 0; i < got; i++)
    *xsk_ring_prod__fill_addr(&q->fill, at + i) = xsk_ring_cons__rx_desc(&q->rx, rx_at + i)->addr & ~(uint64_t)(FRAME_BYTES - 1);
  xsk_ring_prod__submit(&q->fill, got);
  xsk_ring_cons__release(&q->rx, n);
}

static bool sends_wait(const struct queue *q) {
  return q->idle_count < RING;
}

static void serve(struct queue *q, uint32_t at, uint32_t n) {
  count(&q->received, n);
  count(&q->batches, 1);
  collect(q);
  size_t kept = take(q, at, n);
  if (kept) q->handler.handle(q->handler.arg, q->packets, kept);
  answer(q, kept);
  refill(q, at, n);
}

/* What stands in the ring is sent when somebody says so. What was sent, and is not yet collected, needs nobody. */
static void kick(struct queue *q) {
  bool all_sent = __atomic_load_n(q->tx.consumer, __ATOMIC_RELAXED) == q->tx.cached_prod;
  if (all_sent || !xsk_ring_prod__needs_wakeup(&q->tx)) return;
  ssize_t r = sendto(xsk_socket__fd(q->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
  (void)r; /* what could not go now goes with the next one */
}

static void *run(void *arg) {
  struct queue *q = arg;
  thread_interruptible();
  thread_come_quickly();
  if (q->handler.thread_begin) q->handler.thread_begin(q->handler.arg);
  while (!atomic_load_explicit(&q->stop, memory_order_relaxed)) {
    uint32_t at, n = xsk_ring_cons__peek(&q->rx, LIMIT_BATCH, &at);
    if (n) {
      serve(q, at, n);
      kick(q);
      continue;
    }
    collect(q);
    struct pollfd p = {xsk_socket__fd(q->socket), POLLIN, 0};
    kick(q);
    poll(&p, 1, sends_wait(q) ? 1 : WAIT_MS);
  }
  if (q->handler.thread_end) q->handler.thread_end(q->handler.arg);
  return NULL;
}

/* ---- opening ---- */

/* What the driver says; sysfs knows what has no channels, but shows the devices of the namespace it was mounted in. */
static unsigned count_queues(const char *interface) {
  char path[64];
  unsigned n = 0;
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {.ifr_data = (char *)&channels};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0) n = channels.rx_count + channels.combined_count;
  if (fd >= 0) close(fd);
  if (n) return n;
  snprintf(path, sizeof path, "/sys/class/net/%s/queues", interface);
  DIR *dir = opendir(path);
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (strncmp(e->d_name, "rx-", 3) == 0) n++;
  if (dir) closedir(dir);
  return n;
}

static enum err queue_open(struct queue *q, const char **what) {
  struct xsk_umem_config memory = {.fill_size = RING, .comp_size = RING, .frame_size = FRAME_BYTES};
  struct xsk_socket_config socket = {
      .rx_size = RING, .tx_size = RING, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD, .bind_flags = XDP_USE_NEED_WAKEUP};
  *what = "memory";
  void *p = mmap(NULL, (size_t)FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return ERR_MEMORY;
  q->memory = p;
  *what = "registering memory";
  int r = xsk_umem__create(&q->umem, q->memory, (uint64_t)FRAMES * FRAME_BYTES, &q->fill, &q->done, &memory);
  if (!r) {
    *what = "opening a socket on a queue";
    r = xsk_socket__create(&q->socket, q->device->name, q->number, q->umem, &q->rx, &q->tx, &socket);
  }
  if (r) {
    errno = -r;
    return ERR_IO;
  }
  uint32_t at;
  if (xsk_ring_prod__reserve(&q->fill, RING, &at) != RING) return ERR_IO;
  for (uint32_t i = 0; i < RING; i++) {
    *xsk_ring_prod__fill_addr(&q->fill, at + i) = (uint64_t)i * FRAME_BYTES;
    q->idle[q->idle_count++] = (uint64_t)(RING + i) * FRAME_BYTES;
  }
  xsk_ring_prod__submit(&q->fill, RING);
  return ERR_OK;
}

static void queue_close(struct queue *q) {
  if (q->socket) xsk_socket__delete(q->socket);
  if (q->umem) xsk_umem__delete(q->umem);
  if (q->memory) munmap(q->memory, (size_t)FRAMES * FRAME_BYTES);
}

static bool has_room(const struct xdp_device *d) {
  return d->taken_count < XDP_FILTER_ADDRESSES;
}

/* An address the machine has, with the port and tag of the wildcard it stands for. */
static void add_local(struct xdp_device *d, const struct xdp_address *a, const struct sockaddr *sa) {
  struct addr at;
  if (!sa || !addr_from_sockaddr(sa, &at) || at.family != a->at.family || !has_room(d)) return;
  at.port = a->at.port;
  at.scope = 0;
  if (!find(d, &at)) d->taken[d->taken_count++] = (struct xdp_address){at, a->tag};
}

/* Wildcards as the addresses they stand for; exact ones first, for theirs is the tag that counts. */
static enum err list_addresses(struct xdp_device *d, const struct xdp_address *addresses, size_t n) {
  struct ifaddrs *local = NULL;
  d->taken = calloc(XDP_FILTER_ADDRESSES, sizeof *d->taken);
  if (!d->taken) return ERR_MEMORY;
  for (size_t i = 0; i < n; i++) {
    if (addr_is_any(&addresses[i].at) || !has_room(d)) continue;
    d->taken[d->taken_count] = addresses[i];
    d->taken[d->taken_count++].at.scope = 0;
  }
  if (getifaddrs(&local) != 0) return ERR_IO;
  for (size_t i = 0; i < n; i++)
    if (addr_is_any(&addresses[i].at))
      for (const struct ifaddrs *l = local; l; l = l->ifa_next)
        add_local(d, &addresses[i], l->ifa_addr);
  freeifaddrs(local);
  return ERR_OK;
}

static enum err open_queues(struct xdp_device *d, const char **what) {
  enum err e = ERR_OK;
  for (unsigned i = 0; !e && i < d->queue_count; i++) {
    struct queue *q = &d->queues[i];
    q->device = d;
    q->number = i;
    e = queue_open(q, what);
    if (e) break;
    *what = "giving a queue to its socket";
    e = xdp_filter_queue(d->filter, i, xsk_socket__fd(q->socket));
  }
  for (size_t i = 0; !e && i < d->taken_count; i++) {
    *what = "telling the filter an address";
    e = xdp_filter_take(d->filter, &d->taken[i].at);
  }
  return e;
}

static enum err device_open(struct xdp_device *d, const struct xdp_address *addresses, size_t n, const char **what) {
  struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited); /* older kernels count the rings; where it can't be raised, opening says so */
  *what = "finding the interface";
  d->interface = if_nametoindex(d->name);
  if (!d->interface) return ERR_NOT_FOUND;
  d->queue_count = count_queues(d->name);
  *what = "counting its queues";
  if (d->queue_count == 0 || d->queue_count > XDP_FILTER_QUEUES) return ERR_LIMIT;
  *what = "memory";
  d->queues = calloc(d->queue_count, sizeof *d->queues);
  if (!d->queues) return ERR_MEMORY;
  enum err e = list_addresses(d, addresses, n);
  if (!e) e = xdp_filter_new(d->interface, &d->filter, &d->native, what);
  return e ? e : open_queues(d, what);
}

enum err xdp_open(const char *interface, const struct xdp_address *addresses, size_t n, struct xdp_device **out, struct buf *why) {
  const char *what = "memory";
  struct xdp_device *d = calloc(1, sizeof *d);
  if (!d) return ERR_MEMORY;
  snprintf(d->name, sizeof d->name, "%s", interface);
  errno = 0;
  enum err e = device_open(d, addresses, n, &what);
  if (!e) {
    *out = d;
    return ERR_OK;
  }
  buf_printf(why, "%s: %s: %s", interface, what, errno ? strerror(errno) : err_text(e));
  if (errno == EPERM || errno == EACCES) buf_add_text(why, "; start as root, or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF");
  else if (errno == EBUSY || errno == EEXIST) buf_add_text(why, "; another program has attached to the interface");
  else if (errno == EOPNOTSUPP || errno == EINVAL) buf_add_text(why, "; this kernel or driver has no AF_XDP");
  xdp_close(d, NULL);
  return e;
}

unsigned xdp_queue_count(const struct xdp_device *d) {
  return d->queue_count;
}

const char *xdp_mode_text(const struct xdp_device *d) {
  return d->native ? "native" : "generic: the driver has no XDP of its own, which is slower";
}

enum err xdp_start(struct xdp_device *d, unsigned queue, const struct udp_handler *handler) {
  struct queue *q = &d->queues[queue];
  char name[16];
  q->handler = *handler;
  snprintf(name, sizeof name, "xdp-%.6s-%u", d->name, queue);
  enum err e = thread_start(&q->thread, name, -1, run, q);
  q->running = e == ERR_OK;
  return e;
}

static bool is_listed(const struct xdp_address *a, const struct xdp_address *list, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const struct addr *b = &list[i].at;
    bool covers = addr_equal(&a->at, b) || (addr_is_any(b) && b->family == a->at.family && b->port == a->at.port);
    if (covers && list[i].tag == a->tag) return true;
  }
  return false;
}

void xdp_addresses(struct xdp_device *d, const struct xdp_address *addresses, size_t n) {
  for (size_t i = 0; i < d->taken_count; i++) {
    const struct xdp_address *a = &d->taken[i];
    enum err e = ERR_OK;
    if (is_listed(a, addresses, n)) e = xdp_filter_take(d->filter, &a->at);
    else xdp_filter_leave(d->filter, &a->at);
    (void)e; /* it was in the table before, and its sockets serve it in any case */
  }
}

void xdp_counters(const struct xdp_device *d, struct udp_counters *sum) {
  for (unsigned i = 0; i < d->queue_count; i++) {
    const struct queue *q = &d->queues[i];
    sum->received += atomic_load_explicit(&q->received, memory_order_relaxed);
    sum->sent += atomic_load_explicit(&q->sent, memory_order_relaxed);
    sum->batches += atomic_load_explicit(&q->batches, memory_order_relaxed);
    sum->send_failed += atomic_load_explicit(&q->send_failed, memory_order_relaxed);
  }
}

void xdp_close(struct xdp_device *d, struct udp_counters *sum) {
  if (!d) return;
  xdp_filter_free(d->filter);
  for (unsigned i = 0; d->queues && i < d->queue_count; i++) {
    struct queue *q = &d->queues[i];
    atomic_store(&q->stop, true);
    if (q->running) thread_interrupt(q->thread);
  }
  if (sum && d->queues) xdp_counters(d, sum);
  for (unsigned i = 0; d->queues && i < d->queue_count; i++)
    queue_close(&d->queues[i]);
  free(d->queues);
  free(d->taken);
  free(d);
}
