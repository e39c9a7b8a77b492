#include "io/thread.h"
#include "io/udp_priv.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  CACHE_LINE = 64,
  /* Strides are odd numbers of cache lines: at a multiple of 4096 the first lines of all packets would share one cache set. */
  IN_STRIDE = LIMIT_UDP_REQUEST_BYTES + CACHE_LINE,
  OUT_STRIDE = (LIMIT_UDP_RESPONSE_BYTES / CACHE_LINE + 2) * CACHE_LINE,
  CONTROL_BYTES = 64,
  BATCHES_A_TURN = 8,      /* taken from one socket before the others get theirs */
  BATCHES_AT_THE_END = 16, /* taken from each socket when the worker stops */
  SEND_TRIES = 3,
  SEND_WAIT_MS = 2,
};

static_assert(CONTROL_BYTES >= CMSG_SPACE(sizeof(struct in6_pktinfo)), "room for the address a datagram was sent to");

struct udp_worker {
  _Alignas(CACHE_LINE) struct mmsghdr in[LIMIT_BATCH];
  struct mmsghdr out[LIMIT_BATCH];
  struct iovec in_iov[LIMIT_BATCH];
  struct iovec out_iov[LIMIT_BATCH];
  struct sockaddr_in6 from[LIMIT_BATCH];
  struct udp_packet packets[LIMIT_BATCH];
  _Alignas(CACHE_LINE) uint8_t control[LIMIT_BATCH][CONTROL_BYTES];
  _Alignas(CACHE_LINE) uint8_t in_bytes[LIMIT_BATCH][IN_STRIDE];
  _Alignas(CACHE_LINE) uint8_t out_bytes[LIMIT_BATCH][OUT_STRIDE];
  size_t control_size; /* CONTROL_BYTES if any socket is a wildcard, else 0 */
  struct udp_handler handler;
  struct udp_socket *sockets;
  size_t socket_count;
  int epoll_fd; /* -1: one socket, waited for in recvmmsg itself */
  pthread_t thread;
  atomic_bool stop;
  _Alignas(CACHE_LINE) _Atomic uint64_t received; /* single writer */
  _Atomic uint64_t sent, batches, too_long, send_failed;
};

static void count(_Atomic uint64_t *counter, uint64_t n) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void prepare(struct udp_worker *w) {
  for (size_t i = 0; i < LIMIT_BATCH; i++) {
    w->in_iov[i] = (struct iovec){w->in_bytes[i], LIMIT_UDP_REQUEST_BYTES};
    w->in[i].msg_hdr = (struct msghdr){
        .msg_name = &w->from[i],
        .msg_namelen = sizeof w->from[i],
        .msg_iov = &w->in_iov[i],
        .msg_iovlen = 1,
        .msg_control = w->control_size ? w->control[i] : NULL,
        .msg_controllen = w->control_size,
    };
    w->out[i].msg_hdr = (struct msghdr){.msg_iov = &w->out_iov[i], .msg_iovlen = 1};
    w->packets[i].out = w->out_bytes[i];
  }
}

/* Gives the system back what it changes in a header when it receives. */
static void rearm(struct udp_worker *w, size_t n) {
  for (size_t i = 0; i < n; i++) {
    w->in[i].msg_hdr.msg_namelen = sizeof w->from[i];
    w->in[i].msg_hdr.msg_controllen = w->control_size;
  }
}

void udp_from_asked(struct msghdr *h) {
  struct cmsghdr *c = CMSG_FIRSTHDR(h);
  if (!c) return;
  if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
    ((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
  } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
    struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);
    if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr)) info->ipi6_ifindex = 0;
  }
}

unsigned udp_send_all(int fd, struct mmsghdr *list, unsigned n) {
  unsigned at = 0, sent = 0, tries = 0;
  while (at < n) {
    int r = sendmmsg(fd, list + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (r > 0) {
      at += (unsigned)r;
      sent += (unsigned)r;
      tries = 0;
      continue;
    }
    if (errno == EINTR) continue;
    if ((errno == EAGAIN || errno == ENOBUFS) && tries++ < SEND_TRIES) {
      struct pollfd p = {fd, POLLOUT, 0};
      poll(&p, 1, SEND_WAIT_MS);
      continue;
    }
    at++;
    tries = 0;
  }
  return sent;
}

/* What was received on the socket as packets; returns how many there are. */
static size_t take(struct udp_worker *w, const struct udp_socket *s, unsigned n) {
  size_t kept = 0;
  for (unsigned i = 0; i < n; i++) {
    /* A longer one goes on as the part that was read: it is malformed now, but somebody waits for an answer (RFC 8906 §3). */
    if (w->in[i].msg_hdr.msg_flags & MSG_TRUNC) count(&w->too_long, 1);
    struct udp_packet *p = &w->packets[kept++];
    p->bytes = w->in_bytes[i];
    p->size = w->in[i].msg_len;
    p->tag = s->tag;
    p->from = (const struct sockaddr *)&w->from[i];
    p->out_size = 0;
    p->slot = i;
    p->socket = s;
    p->asked = &w->in[i].msg_hdr;
  }
  return kept;
}

static void serve(struct udp_worker *w, const struct udp_socket *s, unsigned n) {
  count(&w->received, n);
  count(&w->batches, 1);
  size_t kept = take(w, s, n);
  if (kept) w->handler.handle(w->handler.arg, w->packets, kept);
  unsigned ready = 0;
  for (size_t k = 0; k < kept; k++) {
    const struct udp_packet *p = &w->packets[k];
    if (p->out_size == 0) continue;
    struct msghdr *asked = &w->in[p->slot].msg_hdr, *h = &w->out[ready].msg_hdr;
    w->out_iov[ready++] = (struct iovec){p->out, p->out_size};
    h->msg_name = asked->msg_name;
    h->msg_namelen = asked->msg_namelen;
    if (s->wildcard) udp_from_asked(asked);
    h->msg_control = s->wildcard && asked->msg_controllen ? asked->msg_control : NULL;
    h->msg_controllen = h->msg_control ? asked->msg_controllen : 0;
  }
  if (ready) {
    unsigned sent = udp_send_all(s->fd, w->out, ready);
    count(&w->sent, sent);
    if (sent < ready) count(&w->send_failed, ready - sent);
  }
  rearm(w, n);
}

/* One batch; how many packets it had, 0 if there were none to be had. */
static unsigned receive(struct udp_worker *w, const struct udp_socket *s, int flags) {
  int n = recvmmsg(s->fd, w->in, LIMIT_BATCH, flags, NULL);
  if (n > 0) {
    serve(w, s, (unsigned)n);
    return (unsigned)n;
  }
  if (n < 0 && errno != EINTR && errno != EAGAIN) poll(NULL, 0, 1); /* a pending error was taken; one that stays must not spin */
  return 0;
}

static void serve_one_socket(struct udp_worker *w) {
  while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
    receive(w, &w->sockets[0], MSG_WAITFORONE);
}

static void serve_many_sockets(struct udp_worker *w) {
  struct epoll_event events[LIMIT_BATCH];
  while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
    int n = epoll_wait(w->epoll_fd, events, LIMIT_BATCH, -1);
    for (int i = 0; i < n; i++) {
      const struct udp_socket *s = &w->sockets[events[i].data.u32];
      for (int k = 0; k < BATCHES_A_TURN && receive(w, s, MSG_DONTWAIT) == LIMIT_BATCH; k++)
        continue;
    }
  }
}

static void *run(void *arg) {
  struct udp_worker *w = arg;
  thread_interruptible();
  thread_come_quickly();
  if (w->handler.thread_begin) w->handler.thread_begin(w->handler.arg);
  if (w->epoll_fd < 0) serve_one_socket(w);
  else serve_many_sockets(w);
  for (size_t i = 0; i < w->socket_count; i++)
    for (int k = 0; k < BATCHES_AT_THE_END && receive(w, &w->sockets[i], MSG_DONTWAIT) > 0; k++)
      continue;
  if (w->handler.thread_end) w->handler.thread_end(w->handler.arg);
  return NULL;
}

static void release(struct udp_worker *w) {
  if (w->epoll_fd >= 0) close(w->epoll_fd);
  free(w->sockets);
  free(w);
}

static enum err watch_sockets(struct udp_worker *w) {
  w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (w->epoll_fd < 0) return ERR_IO;
  for (uint32_t i = 0; i < w->socket_count; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->sockets[i].fd, &e) != 0) return ERR_IO;
  }
  return ERR_OK;
}

enum err udp_worker_start(const struct udp_socket *sockets, size_t count, const struct udp_handler *handler, const char *name,
                          int cpu, struct udp_worker **out) {
  struct udp_worker *w;
  if (posix_memalign((void **)&w, CACHE_LINE, sizeof *w) != 0) return ERR_MEMORY;
  memset(w, 0, sizeof *w);
  w->epoll_fd = -1;
  w->handler = *handler;
  w->socket_count = count;
  w->sockets = calloc(count + 1, sizeof *w->sockets);
  enum err e = w->sockets ? ERR_OK : ERR_MEMORY;
  if (!e && count) memcpy(w->sockets, sockets, count * sizeof *sockets);
  for (size_t i = 0; i < count; i++)
    if (sockets[i].wildcard) w->control_size = CONTROL_BYTES;
  prepare(w);
  if (!e && count != 1) e = watch_sockets(w);
  if (!e) e = thread_start(&w->thread, name, cpu, run, w);
  if (e) {
    release(w);
    return e;
  }
  *out = w;
  return ERR_OK;
}

void udp_worker_stop(struct udp_worker *w, struct udp_counters *sum) {
  if (!w) return;
  atomic_store(&w->stop, true);
  thread_interrupt(w->thread);
  if (sum) udp_worker_counters(w, sum);
  release(w);
}

void udp_worker_counters(const struct udp_worker *w, struct udp_counters *sum) {
  sum->received += atomic_load_explicit(&w->received, memory_order_relaxed);
  sum->sent += atomic_load_explicit(&w->sent, memory_order_relaxed);
  sum->batches += atomic_load_explicit(&w->batches, memory_order_relaxed);
  sum->too_long += atomic_load_explicit(&w->too_long, memory_order_relaxed);
  sum->send_failed += atomic_load_explicit(&w->send_failed, memory_order_relaxed);
}
