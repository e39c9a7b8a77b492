#include "io/udp_client.h"

#include "base/limits.h"
#include "io/sockets.h"
#include "io/token_map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct udp_client {
  struct loop *loop;
  struct udp_client_events events;
  struct token_map exchanges;
  uint8_t scratch[LIMIT_MESSAGE_BYTES];
};

struct exchange {
  struct loop_watch watch;
  struct udp_client *client;
  uint64_t token;
  struct addr source, to;
};

enum err udp_client_new(struct loop *l, const struct udp_client_events *events, struct udp_client **out) {
  struct udp_client *u = calloc(1, sizeof *u);
  if (!u) return ERR_MEMORY;
  u->loop = l;
  u->events = *events;
  *out = u;
  return ERR_OK;
}

static void close_exchange(struct exchange *x) {
  loop_remove(x->client->loop, &x->watch);
  close(x->watch.fd);
  token_map_remove(&x->client->exchanges, x->token);
  free(x);
}

void udp_client_free(struct udp_client *u) {
  if (!u) return;
  for (struct exchange *x; (x = token_map_any(&u->exchanges));)
    close_exchange(x);
  token_map_done(&u->exchanges);
  free(u);
}

static void exchange_ready(void *arg, unsigned events, struct instant now) {
  struct exchange *x = arg;
  struct udp_client *u = x->client;
  uint64_t token = x->token;
  /* One datagram a call: the callback may end the exchange, and the loop comes back if there are more. */
  ssize_t n = recv(x->watch.fd, u->scratch, sizeof u->scratch, 0);
  if (n >= 0) {
    u->events.input(u->events.arg, token, u->scratch, (size_t)n, now);
  } else if (errno != EAGAIN && errno != EINTR) {
    close_exchange(x);
    u->events.error(u->events.arg, token, now);
  }
}

static enum err open_exchange(struct udp_client *u, uint64_t token, const struct addr *source, const struct addr *to,
                              struct exchange **out) {
  if (u->exchanges.count >= LIMIT_UDP_CLIENTS) return ERR_LIMIT;
  struct exchange *x = calloc(1, sizeof *x);
  if (!x) return ERR_MEMORY;
  x->client = u;
  x->token = token;
  x->source = *source;
  x->to = *to;
  x->watch = (struct loop_watch){-1, LOOP_READ, exchange_ready, x};
  enum err e = socket_connect(SOCKET_UDP, source, to, &x->watch.fd);
  if (!e) e = token_map_put(&u->exchanges, token, x);
  if (e) {
    if (x->watch.fd >= 0) close(x->watch.fd);
    free(x);
    return e;
  }
  e = loop_add(u->loop, &x->watch);
  if (e) {
    close_exchange(x);
    return e;
  }
  *out = x;
  return ERR_OK;
}

enum err udp_client_send(struct udp_client *u, uint64_t token, const struct addr *source, const struct addr *to,
                         const uint8_t *bytes, size_t n) {
  struct exchange *x = token_map_get(&u->exchanges, token);
  if (x && !(addr_equal(&x->to, to) && addr_equal(&x->source, source))) {
    close_exchange(x);
    x = NULL;
  }
  if (!x) {
    enum err e = open_exchange(u, token, source, to, &x);
    if (e) return e;
  }
  ssize_t r = send(x->watch.fd, bytes, n, MSG_NOSIGNAL);
  /* An error left by the datagram before this one comes now; then this one is sent by the second try. */
  if (r < 0 && errno == ECONNREFUSED) r = send(x->watch.fd, bytes, n, MSG_NOSIGNAL);
  if (r >= 0 || errno == EAGAIN || errno == ENOBUFS) return ERR_OK; /* as good as lost on the way */
  close_exchange(x);
  return ERR_IO;
}

void udp_client_close(struct udp_client *u, uint64_t token) {
  struct exchange *x = token_map_get(&u->exchanges, token);
  if (x) close_exchange(x);
}
