#include "io/udp_client.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "io/sockets.h"
#include "io/token_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  PORT_AT_ONCE = 16, /* exchanges of one port, ... */
  PORT_IN_ALL = 64,  /* ... and those that it ever has */
  PORTS_OPEN = 8,    /* that may take more; the oldest no longer does */
  ID_BYTES = 2,
};

/* A socket that is connected to one server. What comes belongs to whose last datagram had the id that it begins with. */
struct port {
  struct loop_watch watch;
  struct udp_client *client;
  struct addr source, to;
  struct exchange *exchanges[PORT_AT_ONCE];
  unsigned count, taken;
  bool held; /* its last exchange does not end it */
};

struct udp_client {
  struct loop *loop;
  struct udp_client_events events;
  struct token_map exchanges;
  struct port *open[PORTS_OPEN]; /* newest first */
  unsigned open_count;
  uint8_t scratch[LIMIT_MESSAGE_BYTES];
};

struct exchange {
  struct port *port;
  uint64_t token;
  uint16_t id;
};

enum err udp_client_new(struct loop *l, const struct udp_client_events *events, struct udp_client **out) {
  struct udp_client *u = calloc(1, sizeof *u);
  if (!u) return ERR_MEMORY;
  u->loop = l;
  u->events = *events;
  *out = u;
  return ERR_OK;
}

/* ---- ports ---- */

/* It takes no new exchanges. */
static void port_shut(struct port *p) {
  struct udp_client *u = p->client;
  for (unsigned i = 0; i < u->open_count; i++) {
    if (u->open[i] != p) continue;
    memmove(&u->open[i], &u->open[i + 1], (--u->open_count - i) * sizeof(struct port *));
    return;
  }
}

static void port_free(struct port *p) {
  port_shut(p);
  loop_remove(p->client->loop, &p->watch);
  close(p->watch.fd);
  free(p);
}

static struct exchange *exchange_of(const struct port *p, uint16_t id) {
  for (unsigned i = 0; i < p->count; i++)
    if (p->exchanges[i]->id == id) return p->exchanges[i];
  return NULL;
}

static void close_exchange(struct exchange *x) {
  struct port *p = x->port;
  unsigned i = 0;
  while (p->exchanges[i] != x)
    i++;
  p->exchanges[i] = p->exchanges[--p->count];
  token_map_remove(&p->client->exchanges, x->token);
  free(x);
  if (!p->count && !p->held) port_free(p);
}

void udp_client_free(struct udp_client *u) {
  if (!u) return;
  for (struct exchange *x; (x = token_map_any(&u->exchanges));)
    close_exchange(x);
  token_map_done(&u->exchanges);
  free(u);
}

static void port_failed(struct port *p, struct instant now) {
  struct udp_client *u = p->client;
  port_shut(p);
  p->held = true;
  while (p->count) {
    uint64_t token = p->exchanges[0]->token;
    close_exchange(p->exchanges[0]);
    u->events.error(u->events.arg, token, now);
  }
  port_free(p);
}

static void port_input(struct port *p, size_t n, struct instant now) {
  struct udp_client *u = p->client;
  const struct exchange *x = n >= ID_BYTES ? exchange_of(p, get_u16(u->scratch)) : NULL;
  if (!x && p->count == 1) x = p->exchanges[0]; /* whoever asked says best what is wrong with it */
  if (x) u->events.input(u->events.arg, x->token, u->scratch, n, now);
}

/* All that its exchanges wait for: after a pause of the process deadlines have passed of answers that are there. */
static void port_ready(void *arg, unsigned events, struct instant now) {
  struct port *p = arg;
  struct udp_client *u = p->client;
  ssize_t n = 0;
  p->held = true;
  for (unsigned i = 0; i < PORT_AT_ONCE && p->count && n >= 0; i++) {
    n = recv(p->watch.fd, u->scratch, sizeof u->scratch, 0);
    if (n >= 0) port_input(p, (size_t)n, now);
  }
  p->held = false;
  if (n < 0 && errno != EAGAIN && errno != EINTR) port_failed(p, now);
  else if (!p->count) port_free(p);
}

static enum err port_new(struct udp_client *u, const struct addr *source, const struct addr *to, struct port **out) {
  struct port *p = calloc(1, sizeof *p);
  if (!p) return ERR_MEMORY;
  p->client = u;
  p->source = *source;
  p->to = *to;
  p->watch = (struct loop_watch){-1, LOOP_READ, port_ready, p};
  enum err e = socket_connect(SOCKET_UDP, source, to, &p->watch.fd);
  if (!e) e = loop_add(u->loop, &p->watch);
  if (e) {
    if (p->watch.fd >= 0) close(p->watch.fd);
    free(p);
    return e;
  }
  if (u->open_count == PORTS_OPEN) u->open_count--;
  memmove(&u->open[1], &u->open[0], u->open_count++ * sizeof(struct port *));
  u->open[0] = p;
  *out = p;
  return ERR_OK;
}

/* One that may take an exchange with this id. */
static enum err port_for(struct udp_client *u, uint16_t id, const struct addr *source, const struct addr *to, struct port **out) {
  for (unsigned i = 0; i < u->open_count; i++) {
    struct port *p = u->open[i];
    if (p->count == PORT_AT_ONCE || !addr_equal(&p->to, to) || !addr_equal(&p->source, source) || exchange_of(p, id)) continue;
    *out = p;
    return ERR_OK;
  }
  return port_new(u, source, to, out);
}

/* ---- exchanges ---- */

static enum err open_exchange(struct udp_client *u, uint64_t token, uint16_t id, const struct addr *source, const struct addr *to,
                              struct exchange **out) {
  if (u->exchanges.count >= LIMIT_UDP_CLIENTS) return ERR_LIMIT;
  struct exchange *x = calloc(1, sizeof *x);
  if (!x) return ERR_MEMORY;
  enum err e = port_for(u, id, source, to, &x->port);
  if (e) {
    free(x);
    return e;
  }
  x->token = token;
  x->id = id;
  e = token_map_put(&u->exchanges, token, x);
  if (e) {
    if (!x->port->count) port_free(x->port);
    free(x);
    return e;
  }
  struct port *p = x->port;
  p->exchanges[p->count++] = x;
  if (++p->taken == PORT_IN_ALL) port_shut(p);
  *out = x;
  return ERR_OK;
}

static bool can_go_on(const struct exchange *x, uint16_t id, const struct addr *source, const struct addr *to) {
  const struct exchange *other = exchange_of(x->port, id);
  return addr_equal(&x->port->to, to) && addr_equal(&x->port->source, source) && (!other || other == x);
}

enum err udp_client_send(struct udp_client *u, uint64_t token, const struct addr *source, const struct addr *to,
                         const uint8_t *bytes, size_t n) {
  uint16_t id = n >= ID_BYTES ? get_u16(bytes) : 0;
  struct exchange *x = token_map_get(&u->exchanges, token);
  if (x && !can_go_on(x, id, source, to)) {
    close_exchange(x);
    x = NULL;
  }
  if (!x) {
    enum err e = open_exchange(u, token, id, source, to, &x);
    if (e) return e;
  }
  x->id = id;
  ssize_t r = send(x->port->watch.fd, bytes, n, MSG_NOSIGNAL);
  /* An error left by the datagram before this one comes now; then this one is sent by the second try. */
  if (r < 0 && errno == ECONNREFUSED) r = send(x->port->watch.fd, bytes, n, MSG_NOSIGNAL);
  if (r >= 0 || errno == EAGAIN || errno == ENOBUFS) return ERR_OK; /* as good as lost on the way */
  close_exchange(x);
  return ERR_IO;
}

void udp_client_close(struct udp_client *u, uint64_t token) {
  struct exchange *x = token_map_get(&u->exchanges, token);
  if (x) close_exchange(x);
}
