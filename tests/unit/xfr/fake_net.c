#include "fake_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum kind {
  HOST_DATAGRAM,
  HOST_CONNECT,
  HOST_MESSAGE,
  HOST_GONE,
  MACHINE_DATAGRAM,
  MACHINE_UNREACHABLE,
  MACHINE_OPEN,
  MACHINE_MESSAGE,
  MACHINE_CLOSED,
  CALL,
};

struct event {
  uint64_t at_ns, order;
  enum kind kind;
  uint64_t token;
  struct fake_host *host;
  enum err why;
  void (*call)(void *arg, uint64_t token);
  void *arg;
  uint8_t *bytes;
  size_t size;
};

struct conversation { /* a live token of the machine */
  uint64_t token;
  bool is_stream;
  struct fake_host *host;
  uint64_t to_host_ns, to_machine_ns; /* a stream keeps its order */
};

struct fake_net {
  struct fake_machine machine;
  struct fake_faults faults;
  struct fake_counts counts;
  struct instant now;
  uint64_t random, order;
  struct fake_host **hosts;
  size_t host_count;
  struct conversation *live;
  size_t live_count, live_capacity;
  struct event *events; /* a heap by (at_ns, order) */
  size_t event_count, event_capacity;
};

static void *grow(void *list, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return list;
  *capacity = *capacity ? 2 * *capacity : 64;
  list = realloc(list, *capacity * size);
  assert(list);
  return list;
}

struct fake_net *fake_net_new(uint64_t seed) {
  struct fake_net *n = calloc(1, sizeof *n);
  assert(n);
  n->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  n->now = (struct instant){1000 * NS_PER_S, 1790000000};
  n->faults = (struct fake_faults){.latency_least_ns = 100000, .latency_most_ns = 100000};
  return n;
}

void fake_net_free(struct fake_net *n) {
  for (size_t i = 0; i < n->event_count; i++)
    free(n->events[i].bytes);
  free(n->events);
  free(n->live);
  free(n->hosts);
  free(n);
}

/* splitmix64 */
uint64_t fake_net_random(struct fake_net *n) {
  uint64_t z = n->random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

struct fake_faults *fake_net_faults(struct fake_net *n) {
  return &n->faults;
}

struct fake_counts fake_net_counts(const struct fake_net *n) {
  return n->counts;
}

struct instant fake_net_now(const struct fake_net *n) {
  return n->now;
}

void fake_net_jump_wall(struct fake_net *n, int64_t seconds) {
  n->now.wall_s += seconds;
}

void fake_net_attach(struct fake_net *n, const struct fake_machine *m) {
  n->machine = *m;
}

void fake_net_add(struct fake_net *n, struct fake_host *h) {
  n->hosts = realloc(n->hosts, (n->host_count + 1) * sizeof(struct fake_host *));
  assert(n->hosts);
  n->hosts[n->host_count++] = h;
}

/* ---- events ---- */

static bool earlier(const struct event *a, const struct event *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void push(struct fake_net *n, struct event e) {
  n->events = grow(n->events, n->event_count, &n->event_capacity, sizeof *n->events);
  e.order = n->order++;
  size_t i = n->event_count++;
  for (; i > 0 && earlier(&e, &n->events[(i - 1) / 2]); i = (i - 1) / 2)
    n->events[i] = n->events[(i - 1) / 2];
  n->events[i] = e;
}

static struct event pop(struct fake_net *n) {
  struct event first = n->events[0], last = n->events[--n->event_count];
  size_t i = 0;
  for (;;) {
    size_t c = 2 * i + 1;
    if (c >= n->event_count) break;
    if (c + 1 < n->event_count && earlier(&n->events[c + 1], &n->events[c])) c++;
    if (!earlier(&n->events[c], &last)) break;
    n->events[i] = n->events[c];
    i = c;
  }
  if (n->event_count) n->events[i] = last;
  return first;
}

static uint8_t *copy(const uint8_t *bytes, size_t size) {
  uint8_t *p = malloc(size ? size : 1);
  assert(p);
  memcpy(p, bytes, size);
  return p;
}

static uint64_t latency(struct fake_net *n) {
  uint64_t spread = n->faults.latency_most_ns - n->faults.latency_least_ns;
  return n->faults.latency_least_ns + (spread ? fake_net_random(n) % spread : 0);
}

static bool chance(struct fake_net *n, unsigned percent) {
  return percent && fake_net_random(n) % 100 < percent;
}

static struct conversation *find(struct fake_net *n, uint64_t token) {
  for (size_t i = 0; i < n->live_count; i++)
    if (n->live[i].token == token) return &n->live[i];
  return NULL;
}

static struct fake_host *host_at(struct fake_net *n, const struct addr *a) {
  for (size_t i = 0; i < n->host_count; i++)
    if (addr_equal(&n->hosts[i]->addr, a)) return n->hosts[i];
  return NULL;
}

static struct conversation *begin(struct fake_net *n, uint64_t token, bool is_stream, const struct addr *to) {
  n->live = grow(n->live, n->live_count, &n->live_capacity, sizeof *n->live);
  struct conversation *c = &n->live[n->live_count++];
  *c = (struct conversation){.token = token, .is_stream = is_stream, .host = host_at(n, to)};
  uint32_t *live = is_stream ? &n->counts.live_streams : &n->counts.live_exchanges;
  uint32_t *most = is_stream ? &n->counts.most_streams : &n->counts.most_exchanges;
  if (++*live > *most) *most = *live;
  return c;
}

static void end(struct fake_net *n, struct conversation *c) {
  --*(c->is_stream ? &n->counts.live_streams : &n->counts.live_exchanges);
  *c = n->live[--n->live_count];
}

/* ---- what the machine asks for ---- */

static void datagram(struct fake_net *n, enum kind kind, const struct conversation *c, const uint8_t *bytes, size_t size) {
  for (unsigned copies = chance(n, n->faults.double_percent) ? 2 : 1; copies > 0; copies--) {
    if (chance(n, n->faults.loss_percent)) continue;
    push(n, (struct event){.at_ns = n->now.mono_ns + latency(n),
                           .kind = kind,
                           .token = c->token,
                           .host = c->host,
                           .bytes = copy(bytes, size),
                           .size = size});
  }
}

static enum err udp_send(void *arg, uint64_t token, const struct addr *source, const struct addr *to, const uint8_t *bytes,
                         size_t size) {
  struct fake_net *n = arg;
  assert(token != 0 && (source->family == 0 || source->family == to->family));
  struct conversation *c = find(n, token);
  assert(!c || !c->is_stream);
  if (!c) c = begin(n, token, false, to);
  n->counts.datagrams++;
  if (c->host) datagram(n, HOST_DATAGRAM, c, bytes, size);
  return ERR_OK;
}

static void udp_close(void *arg, uint64_t token) {
  struct fake_net *n = arg;
  struct conversation *c = find(n, token);
  assert(c && !c->is_stream); /* the machine keeps its own books */
  end(n, c);
}

static enum err stream_connect(void *arg, uint64_t token, const struct addr *source, const struct addr *to) {
  struct fake_net *n = arg;
  assert(token != 0 && !find(n, token) && (source->family == 0 || source->family == to->family));
  struct conversation *c = begin(n, token, true, to);
  n->counts.streams++;
  c->to_host_ns = n->now.mono_ns + latency(n);
  if (c->host) push(n, (struct event){.at_ns = c->to_host_ns, .kind = HOST_CONNECT, .token = token, .host = c->host});
  return ERR_OK;
}

static void stream_event(struct fake_net *n, struct conversation *c, struct event e) {
  bool to_host = e.kind == HOST_MESSAGE || e.kind == HOST_GONE;
  uint64_t *last = to_host ? &c->to_host_ns : &c->to_machine_ns, at = n->now.mono_ns + latency(n);
  if (at < *last) at = *last;
  *last = e.at_ns = at;
  e.token = c->token;
  e.host = c->host;
  push(n, e);
}

static enum err stream_send(void *arg, uint64_t token, const uint8_t *bytes, size_t size) {
  struct fake_net *n = arg;
  struct conversation *c = find(n, token);
  assert(c && c->is_stream && size <= 65535);
  stream_event(n, c, (struct event){.kind = HOST_MESSAGE, .bytes = copy(bytes, size), .size = size});
  return ERR_OK;
}

static void stream_close(void *arg, uint64_t token) {
  struct fake_net *n = arg;
  struct conversation *c = find(n, token);
  assert(c && c->is_stream);
  if (c->host) stream_event(n, c, (struct event){.kind = HOST_GONE});
  end(n, c);
}

static uint64_t net_random(void *arg) {
  return fake_net_random(arg);
}

struct xfr_net fake_net_xfr(struct fake_net *n) {
  return (struct xfr_net){n, udp_send, udp_close, stream_connect, stream_send, stream_close, net_random};
}

/* ---- what hosts do ---- */

void fake_net_reply(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  datagram(n, MACHINE_DATAGRAM, &(struct conversation){.token = token, .host = h}, bytes, size);
}

void fake_net_send(struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  struct conversation *c = find(n, token);
  if (c) stream_event(n, c, (struct event){.kind = MACHINE_MESSAGE, .bytes = copy(bytes, size), .size = size});
}

void fake_net_hang_up(struct fake_net *n, struct fake_host *h, uint64_t token) {
  struct conversation *c = find(n, token);
  if (c) stream_event(n, c, (struct event){.kind = MACHINE_CLOSED, .why = ERR_CLOSED});
}

void fake_net_later(struct fake_net *n, uint64_t delay_ns, void (*f)(void *arg, uint64_t token), void *arg, uint64_t token) {
  push(n, (struct event){.at_ns = n->now.mono_ns + delay_ns, .kind = CALL, .token = token, .call = f, .arg = arg});
}

/* ---- time ---- */

static void to_host(struct fake_net *n, const struct event *e) {
  struct fake_host *h = e->host;
  if (h->presence == FAKE_SILENT) return;
  if (e->kind == HOST_GONE) {
    if (h->gone) h->gone(h->arg, n, h, e->token);
    return;
  }
  bool closed = h->presence == FAKE_CLOSED;
  h->last_ns = n->now.mono_ns;
  if (e->kind == HOST_DATAGRAM) {
    h->datagrams++;
    if (h->udp_silent) return;
    if (closed)
      push(n, (struct event){.at_ns = n->now.mono_ns + latency(n), .kind = MACHINE_UNREACHABLE, .token = e->token, .host = h});
    else if (h->datagram) h->datagram(h->arg, n, h, e->token, e->bytes, e->size);
    return;
  }
  struct conversation *c = find(n, e->token);
  if (!c || h->tcp_silent) return;
  if (e->kind == HOST_CONNECT) {
    bool refused = closed || h->tcp_closed;
    stream_event(n, c, (struct event){.kind = refused ? MACHINE_CLOSED : MACHINE_OPEN, .why = ERR_REFUSED});
  } else {
    h->messages++;
    if (closed) stream_event(n, c, (struct event){.kind = MACHINE_CLOSED, .why = ERR_CLOSED});
    else if (h->message) h->message(h->arg, n, h, e->token, e->bytes, e->size);
  }
}

static void to_machine(struct fake_net *n, const struct event *e) {
  const struct fake_machine *m = &n->machine;
  struct conversation *c = find(n, e->token);
  if (!c || (e->host && e->host->presence == FAKE_SILENT)) return;
  if (e->kind == MACHINE_DATAGRAM) m->udp_input(m->arg, e->token, e->bytes, e->size, n->now);
  else if (e->kind == MACHINE_UNREACHABLE) m->udp_error(m->arg, e->token, n->now);
  else if (e->kind == MACHINE_OPEN) m->stream_open(m->arg, e->token, n->now);
  else if (e->kind == MACHINE_MESSAGE) m->stream_input(m->arg, e->token, e->bytes, e->size, n->now);
  else {
    end(n, c);
    m->stream_closed(m->arg, e->token, e->why, n->now);
  }
}

static void advance(struct fake_net *n, uint64_t to_ns) {
  if (to_ns <= n->now.mono_ns) return;
  n->now.wall_s += (int64_t)(to_ns / NS_PER_S - n->now.mono_ns / NS_PER_S);
  n->now.mono_ns = to_ns;
}

/* One event or one run of the machine; false: nothing happens before `until_ns`. */
static bool step(struct fake_net *n, uint64_t until_ns) {
  uint64_t machine_ns = n->machine.deadline ? n->machine.deadline(n->machine.arg) : UINT64_MAX;
  uint64_t event_ns = n->event_count ? n->events[0].at_ns : UINT64_MAX;
  uint64_t next = machine_ns < event_ns ? machine_ns : event_ns;
  if (next > until_ns) return false;
  advance(n, next);
  if (machine_ns < event_ns) {
    n->machine.run(n->machine.arg, n->now);
    return true;
  }
  struct event e = pop(n);
  if (e.kind == CALL) e.call(e.arg, e.token);
  else if (e.kind <= HOST_GONE) to_host(n, &e);
  else to_machine(n, &e);
  free(e.bytes);
  return true;
}

static bool never(void *arg) {
  return false;
}

void fake_net_run(struct fake_net *n, uint64_t for_ns) {
  fake_net_run_until(n, for_ns, never, NULL);
}

bool fake_net_run_until(struct fake_net *n, uint64_t most_ns, bool (*done)(void *arg), void *arg) {
  uint64_t until = n->now.mono_ns + most_ns;
  while (!done(arg))
    if (!step(n, until)) {
      advance(n, until);
      return done(arg);
    }
  return true;
}
