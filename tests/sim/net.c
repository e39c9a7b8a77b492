/* Datagrams and streams between parties. Datagrams are lost, doubled, late and out of order; streams keep their order, come in
 * pieces at their own pace, stall and break. A party is at 192.0.2.(1 + its number), port 53; what it asks leaves from a port of
 * its own. */
#include "net.h"

#include "control/control.h"
#include "tandem/stream.h"

#include <stdlib.h>
#include <string.h>

enum {
  FIRST_PORT = 20000,
  EXCHANGES = 256,
  STALL_NS = 300000000,
  STALLS_MOST = 40,          /* a stream whose other end does not hear breaks then */
  WINDOW_BYTES = 100 * 1024, /* of a stream on its way */
};

struct exchange { /* a port that a server asks from */
  uint64_t token;
  struct addr to;
  int node; /* -1: free */
};

struct piece {
  struct piece *next;
  size_t size;
  uint8_t bytes[];
};

struct way { /* one direction of a stream */
  struct piece *first, *last;
  size_t bytes;
  unsigned stalls;
  bool moving; /* a move is put down */
};

struct conn {
  struct conn *next;
  uint64_t id, token; /* the token is the client's, if that is a server */
  int client, server;
  bool client_open, client_told, server_open;
  uint64_t slow_ns; /* a reader that takes its time */
  struct way to_server, to_client;
  struct stream_conn *end; /* at a server */
};

struct net_faults net_faults;
static struct exchange exchanges[EXCHANGES];
static struct conn *conns;
static uint64_t last_conn;
static uint16_t next_exchange;

/* ---- parties ---- */

struct addr party_addr(int party) {
  return (struct addr){.family = 4, .port = 53, .octets = {192, 0, 2, (uint8_t)(1 + party)}};
}

int party_of(const struct addr *a) {
  int p = a->octets[3] - 1;
  return a->family == 4 && p >= 0 && p < PARTIES ? p : PARTIES;
}

static bool is_node(int party) {
  return party < NODES;
}

static uint64_t latency_ns(void) {
  return sim_between(net_faults.latency_least_ns, net_faults.latency_most_ns);
}

void net_begin(void) {
  net_faults = (struct net_faults){.latency_least_ns = 200000, .latency_most_ns = 400000, .byte_ns = 100};
  for (size_t i = 0; i < EXCHANGES; i++)
    exchanges[i].node = -1;
  next_exchange = 0;
  last_conn = 0;
}

/* ---- datagrams ---- */

struct datagram {
  struct addr from, to;
  size_t size;
  uint8_t bytes[];
};

static void arrive_at_node(struct node *n, const struct datagram *d) {
  if (!node_serves(n)) return;
  if (d->to.port == 53) {
    node_datagram(n, &d->from, d->bytes, d->size);
    return;
  }
  const struct exchange *x = &exchanges[(d->to.port - FIRST_PORT) % EXCHANGES];
  if (x->node != n->index || !addr_equal(&x->to, &d->from)) return;
  node_enter(n);
  control_udp_input(n->control, x->token, d->bytes, d->size, node_now(n));
  node_leave(n);
}

static void unreachable(void *arg, uint64_t port) {
  struct exchange *x = &exchanges[port % EXCHANGES];
  if (x->node < 0 || !node_serves(&nodes[x->node])) return;
  struct node *n = &nodes[x->node];
  uint64_t token = x->token;
  x->node = -1;
  node_enter(n);
  control_udp_error(n->control, token, node_now(n));
  node_leave(n);
}

static void arrive(void *arg, uint64_t token) {
  struct datagram *d = arg;
  int from = party_of(&d->from), to = party_of(&d->to);
  if (net_faults.blocked[from][to]) {
    seen_count("net datagram blocked");
  } else if (is_node(to) && !nodes[to].up) {
    if (is_node(from) && d->from.port != 53 && !net_faults.blocked[to][from] && sim_chance(500))
      sim_later(latency_ns(), unreachable, NULL, d->from.port - FIRST_PORT);
  } else {
    sim_trace("datagram", (uint64_t)from << 8 | (uint64_t)to, d->size, hash64(d->bytes, d->size, 0));
    if (is_node(to)) arrive_at_node(&nodes[to], d);
    else if (to == PARTY_ODD) odd_datagram((uint64_t)(from + 1) << 16 | d->from.port, d->bytes, d->size);
    else if (to == PARTY_ASKER) asker_datagram(&d->from, &d->to, d->bytes, d->size);
    else client_datagram(&d->from, &d->to, d->bytes, d->size);
  }
  free(d);
}

static bool is_notify(const uint8_t *bytes) {
  return (get_u16(bytes + 2) >> FLAG_OPCODE_SHIFT & 15) == OPCODE_NOTIFY;
}

void net_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n) {
  unsigned copies = 1 + sim_chance(net_faults.double_pm);
  bool spared = net_faults.spares_notify && is_notify(bytes);
  if (!spared && sim_chance(net_faults.loss_pm)) copies--;
  if (party_of(to) == PARTIES) copies = 0;
  if (!copies) seen_count("net datagram lost");
  if (copies > 1) seen_count("net datagram doubled");
  while (copies-- > 0) {
    struct datagram *d = malloc(sizeof *d + n);
    MUST(d);
    d->from = *from;
    d->to = *to;
    d->size = n;
    memcpy(d->bytes, bytes, n);
    sim_later(latency_ns(), arrive, d, 0);
  }
}

/* ---- streams ---- */

static struct conn *conn_find(uint64_t id) {
  struct conn *c = conns;
  while (c && c->id != id)
    c = c->next;
  return c;
}

static void way_done(struct way *w) {
  for (struct piece *p = w->first, *next; p; p = next) {
    next = p->next;
    free(p);
  }
  *w = (struct way){0};
}

/* The server's end goes: transfers break off. */
static void end_server(struct conn *c) {
  struct stream_conn *end = c->end;
  c->server_open = false;
  c->end = NULL;
  way_done(&c->to_server);
  if (!end) return;
  struct instant now = node_now(&nodes[c->server]);
  for (unsigned i = 0; i < end->producer_count; i++)
    end->producers[i].end(end->producers[i].arg, false, now);
  free(end);
}

static void conn_free_if_done(struct conn *c) {
  if (c->client_open || c->server_open || c->client_told) return;
  struct conn **at = &conns;
  while (*at != c)
    at = &(*at)->next;
  *at = c->next;
  way_done(&c->to_server);
  way_done(&c->to_client);
  free(c);
}

/* The client's end learns that the stream is over. */
static void tell_client(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  if (!c) return;
  enum err why = arg ? ERR_REFUSED : ERR_CLOSED;
  bool open = c->client_open;
  int client = c->client;
  uint64_t token = c->token;
  c->client_open = c->client_told = false;
  conn_free_if_done(c);
  if (!open) return;
  sim_trace("closed", (uint64_t)client, id, why);
  if (client == PARTY_CLIENT) {
    client_closed(id);
  } else if (client == PARTY_ASKER) {
    asker_closed(id);
  } else if (node_serves(&nodes[client])) {
    node_enter(&nodes[client]);
    control_stream_closed(nodes[client].control, token, why, node_now(&nodes[client]));
    node_leave(&nodes[client]);
  }
}

static void close_to_client(struct conn *c, bool refused) {
  way_done(&c->to_client);
  if (!c->client_open || c->client_told) return;
  c->client_told = true;
  sim_later(latency_ns(), tell_client, refused ? c : NULL, c->id);
}

static void lose_server(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  if (!c) return;
  if (c->server_open && is_node(c->server)) {
    node_enter(&nodes[c->server]);
    end_server(c);
    node_leave(&nodes[c->server]);
  }
  c = conn_find(id);
  if (!c) return;
  c->server_open = false;
  conn_free_if_done(c);
}

static void conn_break(struct conn *c) {
  seen_count("net stream broken");
  close_to_client(c, false);
  sim_later(latency_ns(), lose_server, NULL, c->id);
}

void net_break_streams(unsigned per_mille) {
  for (struct conn *c = conns; c; c = c->next)
    if (c->client_open && c->server_open && sim_chance(per_mille)) conn_break(c);
}

/* ---- moving ---- */

static void move_to_server(void *arg, uint64_t id);
static void move_to_client(void *arg, uint64_t id);

static void way_go(struct conn *c, struct way *w, bool to_server, uint64_t extra_ns) {
  if (w->moving || !w->first) return;
  w->moving = true;
  uint64_t slow_ns = net_faults.brisk ? 0 : c->slow_ns;
  sim_later(extra_ns + w->first->size * net_faults.byte_ns + slow_ns, to_server ? move_to_server : move_to_client, NULL, c->id);
}

static void put(struct conn *c, struct way *w, bool to_server, const uint8_t *bytes, size_t n) {
  struct piece *p = malloc(sizeof *p + n);
  MUST(p);
  p->next = NULL;
  p->size = n;
  memcpy(p->bytes, bytes, n);
  if (w->last) w->last->next = p;
  else w->first = p;
  w->last = p;
  w->bytes += n;
  way_go(c, w, to_server, latency_ns());
}

/* The next message that has come whole. NULL: it stalls, or the stream has broken. */
static struct piece *take_piece(struct conn *c, struct way *w, bool to_server) {
  int from = to_server ? c->client : c->server, to = to_server ? c->server : c->client;
  w->moving = false;
  if (!w->first) return NULL;
  if (net_faults.blocked[from][to] || net_faults.blocked[to][from] || sim_chance(net_faults.stall_pm)) {
    if (++w->stalls > STALLS_MOST) conn_break(c);
    else way_go(c, w, to_server, STALL_NS);
    return NULL;
  }
  w->stalls = 0;
  if (sim_chance(net_faults.reset_pm)) { /* a part of it may have come: that is nothing */
    conn_break(c);
    return NULL;
  }
  struct piece *p = w->first;
  w->first = p->next;
  if (!w->first) w->last = NULL;
  w->bytes -= p->size;
  way_go(c, w, to_server, 0);
  sim_trace("stream", (uint64_t)from << 8 | (uint64_t)to, p->size, hash64(p->bytes, p->size, c->id));
  return p;
}

static void produce(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  if (!c || !c->end || !node_serves(&nodes[c->server])) return;
  struct node *n = &nodes[c->server];
  node_enter(n);
  while (c->end->producer_count && c->to_client.bytes < WINDOW_BYTES && c->client_open) {
    struct stream_producer p = c->end->producers[0];
    size_t size = 0;
    bool done = false;
    enum err e = p.next(p.arg, c->end->room, LIMIT_MESSAGE_BYTES, node_now(n), &size, &done);
    if (n->dying) break;
    if (!e) put(c, &c->to_client, false, c->end->room, size);
    if (!e && !done) continue;
    c->end->producer_count--;
    memmove(c->end->producers, c->end->producers + 1, c->end->producer_count * sizeof p);
    p.end(p.arg, !e, node_now(n));
    if (e) {
      conn_break(c);
      break;
    }
  }
  node_leave(n);
}

void net_produce_later(uint64_t id) {
  sim_later(0, produce, NULL, id);
}

static void move_to_client(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  struct piece *p = c ? take_piece(c, &c->to_client, false) : NULL;
  if (!p) return;
  if (c->end && c->end->producer_count) net_produce_later(id);
  if (c->client_open && c->client == PARTY_CLIENT) {
    client_message(id, p->bytes, p->size);
  } else if (c->client_open && c->client == PARTY_ASKER) {
    asker_message(id, p->bytes, p->size);
  } else if (c->client_open && node_serves(&nodes[c->client])) {
    struct node *n = &nodes[c->client];
    node_enter(n);
    control_stream_input(n->control, c->token, p->bytes, p->size, node_now(n));
    node_leave(n);
  }
  free(p);
}

static void move_to_server(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  struct piece *p = c ? take_piece(c, &c->to_server, true) : NULL;
  if (!p) return;
  if (c->server == PARTY_ODD && c->server_open) {
    odd_message(UINT64_C(1) << 40 | id, p->bytes, p->size);
  } else if (c->end && node_serves(&nodes[c->server])) {
    struct node *n = &nodes[c->server];
    struct stream_handler h = streamer_handler(n->streamer);
    node_enter(n);
    h.message(h.arg, c->end, p->bytes, p->size, node_now(n));
    node_leave(n);
  }
  free(p);
}

/* ---- connecting ---- */

static void opened(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  if (!c || !c->client_open || c->client_told) return;
  if (c->client == PARTY_CLIENT) {
    client_opened(id);
  } else if (c->client == PARTY_ASKER) {
    asker_opened(id);
  } else if (node_serves(&nodes[c->client])) {
    struct node *n = &nodes[c->client];
    node_enter(n);
    control_stream_open(n->control, c->token, node_now(n));
    node_leave(n);
  }
}

static void knock(void *arg, uint64_t id) {
  struct conn *c = conn_find(id);
  if (!c) return;
  if (net_faults.blocked[c->client][c->server] || net_faults.blocked[c->server][c->client]) {
    if (c->client_open && ++c->to_server.stalls < STALLS_MOST) sim_later(3 * (uint64_t)STALL_NS, knock, NULL, id);
    else close_to_client(c, false);
    conn_free_if_done(c);
    return;
  }
  c->to_server.stalls = 0;
  if (!c->client_open || (is_node(c->server) && !nodes[c->server].up)) {
    close_to_client(c, true);
    conn_free_if_done(c);
    return;
  }
  c->server_open = true;
  if (is_node(c->server)) {
    c->end = calloc(1, sizeof *c->end);
    MUST(c->end);
    c->end->id = id;
    c->end->peer = party_addr(c->client);
    c->end->peer.port = (uint16_t)(40000 + id % 20000);
  }
  sim_later(latency_ns(), opened, NULL, id);
}

static struct conn *conn_new(int client, int server, uint64_t token) {
  struct conn *c = calloc(1, sizeof *c);
  MUST(c);
  *c = (struct conn){.next = conns, .id = ++last_conn, .token = token, .client = client, .server = server, .client_open = true};
  if (sim_chance(100)) c->slow_ns = sim_between(1000000, 400000000);
  conns = c;
  sim_later(latency_ns(), knock, NULL, c->id);
  return c;
}

static void close_by_client(struct conn *c) {
  c->client_open = false;
  way_done(&c->to_client);
  if (c->server_open) sim_later(latency_ns(), lose_server, NULL, c->id);
  else conn_free_if_done(c);
}

/* ---- struct xfr_net ---- */

static enum err udp_send(void *arg, uint64_t token, const struct addr *source, const struct addr *to, const uint8_t *bytes,
                         size_t n) {
  struct node *node = arg;
  struct exchange *x = NULL;
  if (node->dying) return ERR_OK;
  if (is_notify(bytes)) check_told(node, bytes, n);
  for (size_t i = 0; i < EXCHANGES && !x; i++)
    if (exchanges[i].node == node->index && exchanges[i].token == token && addr_equal(&exchanges[i].to, to)) x = &exchanges[i];
  for (size_t i = 0; i < EXCHANGES && !x; i++) {
    next_exchange = (uint16_t)((next_exchange + 1) % EXCHANGES);
    if (exchanges[next_exchange].node < 0) x = &exchanges[next_exchange];
  }
  if (!x) return ERR_LIMIT;
  *x = (struct exchange){token, *to, node->index};
  struct addr from = party_addr(node->index);
  from.port = (uint16_t)(FIRST_PORT + (x - exchanges));
  net_datagram(&from, to, bytes, n);
  return ERR_OK;
}

static void udp_close(void *arg, uint64_t token) {
  const struct node *node = arg;
  for (size_t i = 0; i < EXCHANGES; i++)
    if (exchanges[i].node == node->index && exchanges[i].token == token) exchanges[i].node = -1;
}

static struct conn *conn_of(const struct node *n, uint64_t token) {
  for (struct conn *c = conns; c; c = c->next)
    if (c->client == n->index && c->token == token && c->client_open) return c;
  return NULL;
}

static enum err stream_connect(void *arg, uint64_t token, const struct addr *source, const struct addr *to) {
  struct node *n = arg;
  if (n->dying) return ERR_OK;
  int server = party_of(to);
  if (server == PARTIES) return ERR_IO;
  conn_new(n->index, server, token);
  return ERR_OK;
}

static enum err stream_send(void *arg, uint64_t token, const uint8_t *bytes, size_t n) {
  struct node *node = arg;
  struct conn *c = conn_of(node, token);
  if (!node->dying && c && !c->client_told) put(c, &c->to_server, true, bytes, n);
  return ERR_OK;
}

static void stream_close(void *arg, uint64_t token) {
  struct node *node = arg;
  struct conn *c = conn_of(node, token);
  if (!node->dying && c) close_by_client(c);
}

static uint64_t net_random(void *arg) {
  return sim_random();
}

struct xfr_net net_of_node(struct node *n) {
  return (struct xfr_net){n, udp_send, udp_close, stream_connect, stream_send, stream_close, net_random};
}

/* A server's process is gone. `silently`: as with its power, nobody is told. */
void net_node_down(struct node *n, bool silently) {
  for (size_t i = 0; i < EXCHANGES; i++)
    if (exchanges[i].node == n->index) exchanges[i].node = -1;
  for (struct conn *c = conns, *next; c; c = next) {
    next = c->next;
    if (c->client == n->index && c->client_open) close_by_client(c);
    else if (c->server == n->index && c->server_open) {
      end_server(c);
      if (silently) way_done(&c->to_client);
      else close_to_client(c, false);
      conn_free_if_done(c);
    }
  }
}

void net_end(void) {
  while (conns) {
    struct conn *c = conns;
    if (is_node(c->server)) end_server(c);
    c->client_open = c->server_open = c->client_told = false;
    conn_free_if_done(c);
  }
}

/* ---- the ends of others ---- */

void net_from_server(uint64_t id, const uint8_t *bytes, size_t n) {
  struct conn *c = conn_find(id);
  if (c && c->client_open && c->server_open) put(c, &c->to_client, false, bytes, n);
}

struct stream_conn *net_server_end(uint64_t id) {
  struct conn *c = conn_find(id);
  return c ? c->end : NULL;
}

uint64_t net_connect(int party, int server, uint64_t slow_ns) {
  struct conn *c = conn_new(party, server, 0);
  if (slow_ns) c->slow_ns = slow_ns;
  return c->id;
}

void net_client_send(uint64_t id, const uint8_t *bytes, size_t n) {
  struct conn *c = conn_find(id);
  if (c && c->client_open && !c->client_told) put(c, &c->to_server, true, bytes, n);
}

void net_client_close(uint64_t id) {
  struct conn *c = conn_find(id);
  if (c && c->client_open) close_by_client(c);
}

unsigned net_transfers(const struct node *n) {
  unsigned count = 0;
  for (const struct conn *c = conns; c; c = c->next)
    if (c->server == n->index && c->end) count += c->end->producer_count;
  return count;
}

unsigned net_sockets(const struct node *n) {
  unsigned count = 0;
  for (size_t i = 0; i < EXCHANGES; i++)
    count += exchanges[i].node == n->index;
  for (const struct conn *c = conns; c; c = c->next)
    count += c->client == n->index && c->client_open;
  return count;
}

/* To whom the odd primary answers: a datagram's sender, or a stream. */
void net_host_reply(uint64_t token, const uint8_t *bytes, size_t n) {
  struct addr from = party_addr(PARTY_ODD), to = party_addr((int)(token >> 16) - 1);
  to.port = (uint16_t)token;
  net_datagram(&from, &to, bytes, n);
}

void net_host_send(uint64_t token, const uint8_t *bytes, size_t n) {
  net_from_server(token & ((UINT64_C(1) << 40) - 1), bytes, n);
}

void net_host_hang_up(uint64_t token) {
  struct conn *c = conn_find(token & ((UINT64_C(1) << 40) - 1));
  if (!c) return;
  close_to_client(c, false);
  lose_server(NULL, c->id);
}
