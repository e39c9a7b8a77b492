#include "io/stream_client.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "io/sockets.h"
#include "io/token_map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_BYTES = 2 * (2 + LIMIT_MESSAGE_BYTES) };

struct stream_client {
  struct loop *loop;
  struct stream_client_events events;
  struct token_map connections;
  uint64_t opened; /* counts connections */
};

struct connection {
  struct loop_watch watch;
  struct stream_client *client;
  uint64_t token;
  uint64_t number; /* a token may be closed and opened again inside a callback: this tells the connections apart */
  bool is_open;
  struct buf out; /* queued; the first `out_at` octets are sent */
  size_t out_at;
  uint8_t *in; /* INPUT_BYTES */
  size_t in_size;
};

enum err stream_client_new(struct loop *l, const struct stream_client_events *events, struct stream_client **out) {
  struct stream_client *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  s->loop = l;
  s->events = *events;
  *out = s;
  return ERR_OK;
}

static void close_connection(struct connection *c) {
  loop_remove(c->client->loop, &c->watch);
  close(c->watch.fd);
  token_map_remove(&c->client->connections, c->token);
  buf_done(&c->out);
  free(c->in);
  free(c);
}

void stream_client_free(struct stream_client *s) {
  if (!s) return;
  for (struct connection *c; (c = token_map_any(&s->connections));)
    close_connection(c);
  token_map_done(&s->connections);
  free(s);
}

static void broken(struct connection *c, int number, struct instant now) {
  struct stream_client *s = c->client;
  uint64_t token = c->token;
  enum err why = number == 0 ? ERR_CLOSED : number == ECONNREFUSED ? ERR_REFUSED : number == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO;
  if (number == ECONNRESET || number == EPIPE) why = ERR_CLOSED;
  close_connection(c);
  s->events.closed(s->events.arg, token, why, now);
}

/* Whether the connection is still there: a callback may have closed it. */
static bool lives(struct stream_client *s, uint64_t token, uint64_t number) {
  const struct connection *c = token_map_get(&s->connections, token);
  return c && c->number == number;
}

/* Gives the whole messages that are here to the owner; false: the connection is gone. */
static bool deliver(struct connection *c, struct instant now) {
  struct stream_client *s = c->client;
  uint64_t token = c->token, number = c->number;
  size_t at = 0;
  while (c->in_size - at >= 2) {
    size_t n = get_u16(c->in + at);
    if (c->in_size - at - 2 < n) break;
    s->events.input(s->events.arg, token, c->in + at + 2, n, now);
    if (!lives(s, token, number)) return false;
    at += 2 + n;
  }
  if (at && at < c->in_size) memmove(c->in, c->in + at, c->in_size - at);
  c->in_size -= at;
  return true;
}

static void read_some(struct connection *c, struct instant now) {
  if (!c->in && !(c->in = malloc(INPUT_BYTES))) {
    broken(c, ENOMEM, now);
    return;
  }
  ssize_t n = recv(c->watch.fd, c->in + c->in_size, INPUT_BYTES - c->in_size, 0);
  if (n > 0) {
    c->in_size += (size_t)n;
    deliver(c, now);
  } else if (n == 0) {
    broken(c, 0, now);
  } else if (errno != EAGAIN && errno != EINTR) {
    broken(c, errno, now);
  }
}

/* The outcome of connect(). False: the connection is gone. */
static bool finish_connect(struct connection *c, struct instant now) {
  struct stream_client *s = c->client;
  uint64_t token = c->token, number = c->number;
  int failure = 0;
  socklen_t size = sizeof failure;
  if (getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
  if (failure != 0) {
    broken(c, failure, now);
    return false;
  }
  c->is_open = true;
  s->events.open(s->events.arg, token, now);
  return lives(s, token, number);
}

static void connection_ready(void *arg, unsigned events, struct instant now) {
  struct connection *c = arg;
  if (!c->is_open && !finish_connect(c, now)) return;
  if ((events & LOOP_WRITE) && !loop_send(c->client->loop, &c->watch, &c->out, &c->out_at)) {
    broken(c, errno, now);
    return;
  }
  if (events & LOOP_READ) read_some(c, now);
}

enum err stream_client_connect(struct stream_client *s, uint64_t token, const struct addr *source, const struct addr *to) {
  if (s->connections.count >= LIMIT_STREAM_CLIENTS) return ERR_LIMIT;
  struct connection *c = calloc(1, sizeof *c);
  if (!c) return ERR_MEMORY;
  c->client = s;
  c->token = token;
  c->number = ++s->opened;
  c->watch = (struct loop_watch){-1, LOOP_WRITE, connection_ready, c};
  enum err e = socket_connect(SOCKET_TCP, source, to, &c->watch.fd);
  if (!e) e = token_map_put(&s->connections, token, c);
  if (e) {
    if (c->watch.fd >= 0) close(c->watch.fd);
    free(c);
    return e;
  }
  e = loop_add(s->loop, &c->watch);
  if (e) close_connection(c);
  return e;
}

enum err stream_client_send(struct stream_client *s, uint64_t token, const uint8_t *message, size_t n) {
  struct connection *c = token_map_get(&s->connections, token);
  if (!c) return ERR_NOT_FOUND;
  if (n > LIMIT_MESSAGE_BYTES) return ERR_RANGE;
  if (c->out.size + n > LIMIT_STREAM_CLIENT_QUEUE_BYTES) return ERR_LIMIT;
  uint8_t length[2];
  put_u16(length, (uint16_t)n);
  buf_add(&c->out, length, 2);
  buf_add(&c->out, message, n);
  if (c->out.failed) return ERR_MEMORY;
  /* At once, if it can be; a connection that is broken says so in its own turn. */
  if (c->is_open && !loop_send(s->loop, &c->watch, &c->out, &c->out_at)) loop_change(s->loop, &c->watch, LOOP_READ | LOOP_WRITE);
  return ERR_OK;
}

void stream_client_close(struct stream_client *s, uint64_t token) {
  struct connection *c = token_map_get(&s->connections, token);
  if (c) close_connection(c);
}
