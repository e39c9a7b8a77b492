#include "tandem/front.h"

#include "base/log.h"
#include "io/sockets.h"
#include "io/xdp_worker.h"
#include "tandem/stream.h"
#include "tandem/worker.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOW_PORTS = 1024 };

struct listener {
  struct addr addr;
  uint32_t tag;
  int tcp;
  int *udp;      /* one a worker */
  size_t opened; /* of them, those that are open */
  size_t lent;   /* of them, those that the next set goes on with; not closed with this one */
  bool tcp_lent;
};

struct listener_set {
  struct listener *list;
  size_t count;
  size_t workers;
};

/* An interface behind AF_XDP. Its queues have workers of their own. */
struct xdp_front {
  struct xdp_device *device;
  struct worker **workers;
  bool started;
};

struct front {
  struct listener_set now, next;
  struct addr counted[LIMIT_LISTENERS_COUNTED]; /* every address there ever was, by the number of its counters; the last: others */
  size_t counted_count;
  struct worker **workers; /* as many as there ever were at once: their counters stay */
  struct udp_worker **threads;
  size_t worker_count;
  struct udp_counters past; /* of threads that have ended */
  struct xdp_front *xdp;
  size_t xdp_count;
  struct streamer *streamer;
  struct stream_server *streams;
  struct update_queue *updates;
  void (*settle)(void *arg);
  void *settle_arg;
};

enum err front_new(struct front **out) {
  struct front *f = calloc(1, sizeof *f);
  if (!f) return ERR_MEMORY;
  if (update_queue_new(&f->updates)) {
    free(f);
    return ERR_MEMORY;
  }
  *out = f;
  return ERR_OK;
}

void front_on_settle(struct front *f, void (*settle)(void *arg), void *arg) {
  f->settle = settle;
  f->settle_arg = arg;
}

struct control_update *front_take_update(struct front *f) {
  return update_queue_take(f->updates);
}

void front_answer_update(struct front *f, struct control_update *u, const uint8_t *bytes, size_t n) {
  update_queue_answer(f->updates, u, f->streams, bytes, n);
}

void front_send_updates(struct front *f) {
  update_queue_send(f->updates);
}

/* ---- sets of listeners ---- */

static void set_close(struct listener_set *s) {
  for (size_t i = 0; i < s->count; i++) {
    struct listener *l = &s->list[i];
    for (size_t k = l->lent; k < l->opened; k++)
      close(l->udp[k]);
    if (l->tcp >= 0 && !l->tcp_lent) close(l->tcp);
    free(l->udp);
  }
  free(s->list);
  *s = (struct listener_set){0};
}

static struct listener *set_find(struct listener_set *s, const struct addr *at) {
  for (size_t i = 0; i < s->count; i++)
    if (addr_equal(&s->list[i].addr, at)) return &s->list[i];
  return NULL;
}

/* Whether one of our own sockets stands in the way of an exclusive look whether the address is free. */
static bool set_covers(const struct listener_set *s, const struct addr *at) {
  for (size_t i = 0; i < s->count; i++) {
    const struct addr *a = &s->list[i].addr;
    if (s->list[i].opened == 0 || a->family != at->family || a->port != at->port) continue;
    if (addr_same_host(a, at) || addr_is_any(a) || addr_is_any(at)) return true;
  }
  return false;
}

static size_t count_workers(const struct config_server *server) {
  if (server->workers) return server->workers;
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return n > 0 ? (size_t)n : 1;
}

/* Where requests to this address are counted. */
static size_t counters_of(struct front *f, const struct addr *at) {
  for (size_t i = 0; i < f->counted_count; i++)
    if (addr_equal(&f->counted[i], at)) return i;
  if (f->counted_count == LIMIT_LISTENERS_COUNTED) return LIMIT_LISTENERS_COUNTED - 1;
  f->counted[f->counted_count] = f->counted_count < LIMIT_LISTENERS_COUNTED - 1 ? *at : (struct addr){0};
  return f->counted_count++;
}

static uint32_t make_tag(struct front *f, const struct config_listen *c) {
  return (uint32_t)counters_of(f, &c->addr) | (c->transfers ? 0u : (uint32_t)TAG_QUERIES_ONLY) |
         (c->queries ? 0u : (uint32_t)TAG_TRANSFERS_ONLY);
}

/* Takes over what `old` has open. Lending is undone by set_return. */
static void listener_borrow(struct listener *l, struct listener *old, size_t workers) {
  size_t n = old->opened < workers ? old->opened : workers;
  memcpy(l->udp, old->udp, n * sizeof *l->udp);
  l->opened = old->lent = n;
  l->tcp = old->tcp;
  old->tcp_lent = true;
}

/* Gives the next set up again: what it borrowed stays open with its owner. */
void front_abandon(struct front *f) {
  for (size_t i = 0; i < f->next.count; i++) {
    struct listener *l = &f->next.list[i], *old = set_find(&f->now, &l->addr);
    if (!old) continue;
    l->lent = old->lent;
    l->tcp_lent = old->tcp_lent;
    old->lent = 0;
    old->tcp_lent = false;
  }
  set_close(&f->next);
}

/* The next set as the configuration has it, with what is there already. */
static enum err describe(struct front *f, const struct config_server *server) {
  struct listener_set *s = &f->next;
  s->workers = count_workers(server);
  s->list = calloc(server->listen.count + 1, sizeof *s->list);
  if (!s->list) return ERR_MEMORY;
  for (size_t i = 0; i < server->listen.count; i++) {
    const struct config_listen *c = &server->listen.list[i];
    struct listener *l = &s->list[i], *old = set_find(&f->now, &c->addr);
    *l = (struct listener){.addr = c->addr, .tag = make_tag(f, c), .tcp = -1, .udp = calloc(s->workers, sizeof *l->udp)};
    if (!l->udp) return ERR_MEMORY;
    s->count++;
    if (old) listener_borrow(l, old, s->workers);
  }
  return ERR_OK;
}

/* Opens what `l` still lacks. */
static enum err listener_open(struct front *f, struct listener *l, struct socket_error *error) {
  bool share = set_covers(&f->now, &l->addr) || set_covers(&f->next, &l->addr);
  while (l->opened < f->next.workers) {
    enum err e = l->opened == 0 ? socket_listen(SOCKET_UDP, &l->addr, share, &l->udp[0], error)
                                : socket_listen_again(SOCKET_UDP, &l->addr, l->udp[0], &l->udp[l->opened], error);
    if (e) return e;
    l->opened++;
  }
  return l->tcp >= 0 ? ERR_OK : socket_listen(SOCKET_TCP, &l->addr, share, &l->tcp, error);
}

enum err front_open(struct front *f, const struct config_server *server, struct buf *why) {
  front_abandon(f);
  struct socket_error error = {"out of memory", ""};
  enum err e = describe(f, server);
  /* Further sockets of a served address come last: as soon as one is there it gets its share of the questions, so nothing must
   * go wrong any more. */
  for (int served = 0; served <= 1; served++)
    for (size_t i = 0; !e && i < f->next.count; i++)
      if ((set_find(&f->now, &f->next.list[i].addr) != NULL) == served) e = listener_open(f, &f->next.list[i], &error);
  if (!e) return ERR_OK;
  buf_printf(why, "%s%s%s", error.what, error.hint[0] ? "; " : "", error.hint);
  front_abandon(f);
  return e;
}

bool front_has_low_ports(const struct front *f) {
  const struct listener_set *s = f->next.count ? &f->next : &f->now;
  for (size_t i = 0; i < s->count; i++)
    if (s->list[i].addr.port < LOW_PORTS) return true;
  return false;
}

enum err front_chown(struct front *f, unsigned uid, unsigned gid) {
  for (size_t i = 0; i < f->next.count; i++) {
    const struct listener *l = &f->next.list[i];
    for (size_t k = 0; k < l->opened; k++)
      if (fchown(l->udp[k], uid, gid) != 0) return ERR_IO;
    if (fchown(l->tcp, uid, gid) != 0) return ERR_IO;
  }
  return ERR_OK;
}

/* ---- going over ---- */

static enum err grow_workers(struct front *f, size_t n, struct control *control, struct note_queue *notes, struct loop *loop) {
  if (n <= f->worker_count) return ERR_OK;
  struct worker **workers = realloc(f->workers, n * sizeof *workers);
  if (workers) f->workers = workers;
  struct udp_worker **threads = realloc(f->threads, n * sizeof *threads);
  if (threads) f->threads = threads;
  if (!workers || !threads) return ERR_MEMORY;
  for (; f->worker_count < n; f->worker_count++) {
    enum err e = worker_new(control, notes, f->updates, loop, &f->workers[f->worker_count]);
    if (e) return e;
    f->threads[f->worker_count] = NULL;
  }
  return ERR_OK;
}

static enum err start_worker(struct front *f, size_t i) {
  const struct listener_set *s = &f->next;
  struct udp_socket *sockets = calloc(s->count + 1, sizeof *sockets);
  if (!sockets) return ERR_MEMORY;
  for (size_t k = 0; k < s->count; k++)
    sockets[k] = (struct udp_socket){s->list[k].udp[i], addr_is_any(&s->list[k].addr), s->list[k].tag};
  struct udp_handler handler = worker_handler(f->workers[i]);
  char name[16];
  snprintf(name, sizeof name, "udp-%u", (unsigned)i & 0xffff);
  enum err e = udp_worker_start(sockets, s->count, &handler, name, -1, &f->threads[i]);
  free(sockets);
  return e;
}

/* One after the other, so that at any moment all but one are at work. What waits in a socket that goes is answered by the worker
 * that ends. */
static enum err switch_workers(struct front *f) {
  enum err e = ERR_OK;
  for (size_t i = 0; i < f->now.count; i++)
    for (size_t k = f->now.list[i].lent; k < f->now.list[i].opened; k++)
      socket_retire(f->now.list[i].udp[k]);
  for (size_t i = 0; i < f->worker_count; i++) {
    udp_worker_stop(f->threads[i], &f->past);
    f->threads[i] = NULL;
    enum err failed = i < f->next.workers ? start_worker(f, i) : ERR_OK;
    if (failed) e = failed;
  }
  return e;
}

static enum err switch_streams(struct front *f, struct control *control, struct note_queue *notes, struct loop *loop) {
  if (!f->streams) {
    enum err e = streamer_new(control, notes, f->updates, loop, &f->streamer);
    if (e) return e;
    struct stream_handler handler = streamer_handler(f->streamer);
    e = stream_server_start(&stream_defaults, &handler, "streams", &f->streams);
    if (e) return e;
  }
  const struct listener_set *s = &f->next;
  struct stream_listener *listeners = calloc(s->count + 1, sizeof *listeners);
  if (!listeners) return ERR_MEMORY;
  for (size_t i = 0; i < s->count; i++)
    listeners[i] = (struct stream_listener){s->list[i].tcp, s->list[i].tag};
  stream_server_listen(f->streams, listeners, s->count);
  free(listeners);
  return ERR_OK;
}

/* ---- AF_XDP ---- */

/* What listens for queries over UDP, as AF_XDP wants it; the caller frees. */
static struct xdp_address *xdp_list(const struct listener_set *s) {
  struct xdp_address *list = calloc(s->count + 1, sizeof *list);
  for (size_t i = 0; list && i < s->count; i++)
    list[i] = (struct xdp_address){s->list[i].addr, s->list[i].tag};
  return list;
}

enum err front_open_xdp(struct front *f, const struct config_server *server) {
  struct xdp_address *list = xdp_list(&f->next);
  f->xdp = calloc(server->xdp.count + 1, sizeof *f->xdp);
  if (!list || !f->xdp) {
    free(list);
    return ERR_MEMORY;
  }
  for (size_t i = 0; i < server->xdp.count; i++) {
    struct buf why = {0};
    struct xdp_front *x = &f->xdp[f->xdp_count];
    if (xdp_open(server->xdp.list[i], list, f->next.count, &x->device, &why) == ERR_OK) {
      f->xdp_count++;
      log_event(EV_LISTENING, LOG_TEXT("interface", server->xdp.list[i]), LOG_TEXT("for", "AF_XDP"),
                LOG_NUMBER("queues", xdp_queue_count(x->device)), LOG_TEXT("mode", xdp_mode_text(x->device)));
    } else {
      log_event(EV_XDP_FAILED, LOG_TEXT("what", buf_text(&why)), LOG_TEXT("instead", "sockets serve it"));
    }
    buf_done(&why);
  }
  free(list);
  return ERR_OK;
}

static enum err xdp_begin(struct xdp_front *x, struct control *control, struct note_queue *notes, struct update_queue *updates,
                          struct loop *loop) {
  unsigned n = xdp_queue_count(x->device);
  x->workers = calloc(n + 1, sizeof(*x->workers));
  if (!x->workers) return ERR_MEMORY;
  for (unsigned i = 0; i < n; i++) {
    enum err e = worker_new(control, notes, updates, loop, &x->workers[i]);
    if (e) return e;
  }
  x->started = true;
  for (unsigned i = 0; i < n; i++) {
    struct udp_handler handler = worker_handler(x->workers[i]);
    enum err e = xdp_start(x->device, i, &handler);
    if (e) return e;
  }
  return ERR_OK;
}

/* The first time the threads start, later the filters follow the addresses of the new set. */
static enum err switch_xdp(struct front *f, struct control *control, struct note_queue *notes, struct loop *loop) {
  struct xdp_address *list = f->xdp_count ? xdp_list(&f->next) : NULL;
  enum err e = f->xdp_count && !list ? ERR_MEMORY : ERR_OK;
  for (size_t i = 0; !e && i < f->xdp_count; i++) {
    if (!f->xdp[i].started) e = xdp_begin(&f->xdp[i], control, notes, f->updates, loop);
    else xdp_addresses(f->xdp[i].device, list, f->next.count);
  }
  free(list);
  return e;
}

static void stop_xdp(struct front *f) {
  for (size_t i = 0; i < f->xdp_count; i++) {
    xdp_close(f->xdp[i].device, &f->past);
    f->xdp[i].device = NULL;
  }
}

static void free_xdp(struct front *f) {
  stop_xdp(f);
  for (size_t i = 0; i < f->xdp_count; i++) {
    for (size_t k = 0; f->xdp[i].workers && f->xdp[i].workers[k]; k++)
      worker_free(f->xdp[i].workers[k]);
    free(f->xdp[i].workers);
  }
  free(f->xdp);
}

/* ---- both ---- */

/* Whether nothing would change. */
static bool same_sets(const struct listener_set *a, const struct listener_set *b) {
  if (a->count != b->count || a->workers != b->workers) return false;
  for (size_t i = 0; i < a->count; i++)
    if (!addr_equal(&a->list[i].addr, &b->list[i].addr) || a->list[i].tag != b->list[i].tag) return false;
  return true;
}

enum err front_switch(struct front *f, struct control *control, struct note_queue *notes, struct loop *control_loop) {
  if (f->streams && same_sets(&f->now, &f->next)) {
    front_abandon(f);
    return ERR_OK;
  }
  enum err e = grow_workers(f, f->next.workers, control, notes, control_loop);
  if (!e) e = switch_streams(f, control, notes, control_loop);
  if (!e) e = switch_xdp(f, control, notes, control_loop);
  if (e) {
    front_abandon(f);
    return e;
  }
  e = switch_workers(f);
  if (f->settle) f->settle(f->settle_arg);
  char text[ADDR_TEXT_BYTES];
  for (size_t i = 0; i < f->next.count; i++)
    if (!set_find(&f->now, &f->next.list[i].addr))
      log_event(EV_LISTENING, LOG_TEXT("address", addr_text(&f->next.list[i].addr, text)));
  set_close(&f->now);
  f->now = f->next;
  f->next = (struct listener_set){0};
  return e;
}

enum err front_sockets(const struct front *f, int **list, size_t *count) {
  size_t n = 0;
  int *fds = calloc(f->now.count * (f->now.workers + 1) + 1, sizeof *fds);
  if (!fds) return ERR_MEMORY;
  for (size_t i = 0; i < f->now.count; i++) {
    const struct listener *l = &f->now.list[i];
    for (size_t k = 0; k < l->opened; k++)
      fds[n++] = l->udp[k];
    fds[n++] = l->tcp;
  }
  *list = fds;
  *count = n;
  return ERR_OK;
}

void front_stop(struct front *f, uint32_t grace_ms) {
  if (!f) return;
  stop_xdp(f);
  for (size_t i = 0; i < f->worker_count; i++) {
    udp_worker_stop(f->threads[i], &f->past);
    f->threads[i] = NULL;
  }
  update_queue_close(f->updates);
  if (f->settle) f->settle(f->settle_arg);
  stream_server_stop(f->streams, grace_ms);
  f->streams = NULL;
}

void front_free(struct front *f) {
  if (!f) return;
  front_abandon(f);
  free_xdp(f);
  set_close(&f->now);
  for (size_t i = 0; i < f->worker_count; i++)
    worker_free(f->workers[i]);
  free(f->workers);
  free(f->threads);
  streamer_free(f->streamer);
  update_queue_free(f->updates);
  free(f);
}

/* ---- counters ---- */

void front_count(const struct front *f, struct front_counts *out) {
  *out = (struct front_counts){.udp = f->past};
  for (size_t i = 0; i < f->worker_count; i++) {
    observer_add(&f->workers[i]->observer, &out->observed);
    if (f->threads[i]) udp_worker_counters(f->threads[i], &out->udp);
  }
  for (size_t i = 0; i < f->xdp_count; i++) {
    for (size_t k = 0; f->xdp[i].workers && f->xdp[i].workers[k]; k++)
      observer_add(&f->xdp[i].workers[k]->observer, &out->observed);
    if (!f->xdp[i].device) continue;
    uint64_t before = out->udp.received;
    xdp_counters(f->xdp[i].device, &out->udp);
    out->xdp_received += out->udp.received - before;
  }
  if (f->streams) stream_server_counters(f->streams, &out->streams);
  if (!f->streamer) return;
  observer_add(&f->streamer->observer, &out->observed);
  out->transfers_done = atomic_load_explicit(&f->streamer->transfers_done, memory_order_relaxed);
  out->transfers_failed = atomic_load_explicit(&f->streamer->transfers_failed, memory_order_relaxed);
  out->transfers_running = atomic_load_explicit(&f->streamer->transfers, memory_order_relaxed);
}

bool front_count_listener(const struct front *f, size_t i, struct front_listener_counts *out) {
  if (i >= f->counted_count) return false;
  *out = (struct front_listener_counts){.addr = f->counted[i]};
  for (size_t k = 0; k < f->worker_count; k++)
    observer_add_listener(&f->workers[k]->observer, i, &out->udp);
  for (size_t x = 0; x < f->xdp_count; x++)
    for (size_t k = 0; f->xdp[x].workers && f->xdp[x].workers[k]; k++)
      observer_add_listener(&f->xdp[x].workers[k]->observer, i, &out->udp);
  if (f->streamer) observer_add_listener(&f->streamer->observer, i, &out->tcp);
  return true;
}

static void add_number(struct buf *b, const char *name, uint64_t v) {
  buf_printf(b, ",\"%s\":%llu", name, (unsigned long long)v);
}

static void add_listener(struct buf *b, const struct front_listener_counts *c) {
  char text[ADDR_TEXT_BYTES];
  buf_printf(b, "{\"address\":\"%s\"", c->addr.family ? addr_text(&c->addr, text) : "others");
  add_number(b, "udp", c->udp.requests);
  add_number(b, "tcp", c->tcp.requests);
  add_number(b, "dropped", c->udp.dropped + c->tcp.dropped);
  add_number(b, "truncated", c->udp.truncated);
  buf_add_byte(b, '}');
}

void front_status(const struct front *f, struct buf *out) {
  struct front_counts c;
  struct front_listener_counts l;
  front_count(f, &c);
  buf_printf(out, "\"queries\":%llu", (unsigned long long)c.observed.all.requests);
  add_number(out, "dropped", c.observed.all.dropped);
  add_number(out, "truncated", c.observed.all.truncated);
  for (unsigned i = 0; i < OBSERVED_RCODES; i++)
    if (c.observed.all.rcodes[i]) add_number(out, rcode_text(i), c.observed.all.rcodes[i]);
  if (f->xdp_count) add_number(out, "udp-by-xdp", c.xdp_received);
  add_number(out, "udp-too-long", c.udp.too_long);
  add_number(out, "udp-send-failed", c.udp.send_failed);
  add_number(out, "tcp-connections", c.streams.connections);
  add_number(out, "tcp-accepted", c.streams.accepted);
  add_number(out, "tcp-timed-out", c.streams.timed_out);
  add_number(out, "tcp-evicted", c.streams.evicted);
  add_number(out, "transfers-out", c.transfers_done);
  add_number(out, "notify-lost", c.observed.lost_notes);
  buf_add_text(out, ",\"listeners\":[");
  for (size_t i = 0; front_count_listener(f, i, &l); i++) {
    if (i) buf_add_byte(out, ',');
    add_listener(out, &l);
  }
  buf_add_byte(out, ']');
}
