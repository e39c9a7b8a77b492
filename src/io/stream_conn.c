/* One connection: reading messages, sending responses, running transfers. */
#include "io/stream_priv.h"

#include "base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

const struct addr *stream_peer(const struct stream_conn *c) {
  return &c->peer;
}

uint32_t stream_tag(const struct stream_conn *c) {
  return c->tag;
}

/* ---- output ---- */

static bool output_waits(const struct stream_conn *c) {
  return c->out != NULL;
}

static void drop_out(struct stream_conn *c) {
  conn_drop(c->server, c->out_size);
  free(c->out);
  c->out = NULL;
  c->out_at = c->out_size = 0;
}

/* How much of it the system took; a connection that can't be written to has failed. */
static size_t send_some(struct stream_conn *c, const uint8_t *bytes, size_t n) {
  size_t at = 0;
  while (at < n) {
    ssize_t r = send(c->watch.fd, bytes + at, n - at, MSG_NOSIGNAL);
    if (r > 0) {
      at += (size_t)r;
      continue;
    }
    if (r < 0 && errno == EINTR) continue;
    if (r == 0 || errno != EAGAIN) c->failed = true;
    break;
  }
  return at;
}

/* Sends what was gathered; what the system does not take is kept. */
static void flush_batch(struct stream_conn *c, struct instant now) {
  struct stream_server *s = c->server;
  assert(!output_waits(c));
  size_t n = s->batch_size;
  s->batch_size = 0;
  if (n == 0 || c->failed) return;
  size_t sent = send_some(c, s->batch, n);
  if (sent == n || c->failed) return;
  c->out = malloc(n - sent);
  if (!c->out) {
    c->failed = true;
    return;
  }
  memcpy(c->out, s->batch + sent, n - sent);
  c->out_size = (uint32_t)(n - sent);
  conn_keep(c, c->out_size, now);
}

/* Sends what was kept. */
static void flush_out(struct stream_conn *c) {
  if (!output_waits(c)) return;
  c->out_at += (uint32_t)send_some(c, c->out + c->out_at, c->out_size - c->out_at);
  if (c->out_at < c->out_size) return;
  drop_out(c);
  c->touched = true;
}

uint8_t *stream_room(struct stream_conn *c) {
  return c->server->batch + c->server->batch_size + 2;
}

void stream_reply(struct stream_conn *c, size_t n) {
  struct stream_server *s = c->server;
  assert(!c->replied && n > 0 && n <= LIMIT_MESSAGE_BYTES);
  put_u16(s->batch + s->batch_size, (uint16_t)n);
  s->batch_size += 2 + n;
  c->replied = true;
}

void stream_hang_up(struct stream_conn *c) {
  c->no_input = c->hung_up = true;
}

/* ---- transfers ---- */

enum err stream_produce(struct stream_conn *c, const struct stream_producer *p) {
  struct producer_node *node = malloc(sizeof *node);
  if (!node) return ERR_MEMORY;
  *node = (struct producer_node){*p, NULL, false};
  struct producer_node **last = &c->producers;
  while (*last)
    last = &(*last)->next;
  *last = node;
  c->producer_count++;
  return ERR_OK;
}

static void end_producer(struct stream_conn *c, bool whole, struct instant now) {
  struct producer_node *p = c->producers;
  c->producers = p->next;
  c->producer_count--;
  p->producer.end(p->producer.arg, whole, now);
  free(p);
}

/* The next transfer's turn: a small zone does not wait for a large one that was asked for before. */
static void rotate(struct stream_conn *c) {
  struct producer_node *p = c->producers, **last = &c->producers;
  if (!p->next) return;
  c->producers = p->next;
  while (*last)
    last = &(*last)->next;
  p->next = NULL;
  *last = p;
}

/* The next message of the transfer whose turn it is. */
static void produce_one(struct stream_conn *c, struct producer_node *p, struct instant now) {
  struct stream_server *s = c->server;
  size_t n = 0;
  bool done = false;
  if (p->producer.next(p->producer.arg, stream_room(c), LIMIT_MESSAGE_BYTES, now, &n, &done) != ERR_OK) {
    c->failed = true;
    s->batch_size = 0;
    return;
  }
  p->finished = done;
  if (!n) return;
  put_u16(s->batch + s->batch_size, (uint16_t)n);
  s->batch_size += 2 + n;
}

/* Sends messages of the transfers, several at once, if the client takes them. */
static void produce(struct stream_conn *c, struct instant now) {
  struct stream_server *s = c->server;
  if (output_waits(c)) return;
  assert(s->batch_size == 0);
  while (c->producers && !c->failed && s->batch_size < STREAM_TURN_BYTES) {
    struct producer_node *p = c->producers;
    if (!p->finished) produce_one(c, p, now);
    c->touched = true;
    if (!p->finished) {
      rotate(c);
      continue;
    }
    flush_batch(c, now);
    if (!output_waits(c) && !c->failed) end_producer(c, true, now);
    return;
  }
  flush_batch(c, now);
}

/* ---- input ---- */

/* A client that does not take its answers is not read from, nor is one whose turn is over; what it sent already waits in `in`. */
static bool blocked(const struct stream_conn *c) {
  return c->failed || output_waits(c) || c->more || c->producer_count >= STREAM_PRODUCERS || c->deferred >= LIMIT_STREAM_PIPELINE;
}

/* Handles the whole messages in bytes[0..n), until the client has to take answers first or its turn is over; returns how many
 * octets are done. */
static size_t handle_messages(struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now) {
  struct stream_server *s = c->server;
  size_t at = 0;
  while (!blocked(c) && !c->hung_up && n - at >= 2) {
    size_t size = get_u16(bytes + at);
    if (n - at - 2 < size) break;
    if (s->batch_size >= STREAM_TURN_BYTES) {
      c->more = true;
      break;
    }
    c->replied = false;
    c->asked = true;
    if (s->stopping) c->no_input = true;
    stream_count(&s->messages);
    s->handler.message(s->handler.arg, c, bytes + at + 2, size, now);
    c->touched = true;
    at += 2 + size;
  }
  if (!output_waits(c)) flush_batch(c, now);
  return c->hung_up ? n : at;
}

static void drop_in(struct stream_conn *c) {
  conn_drop(c->server, c->in_capacity);
  free(c->in);
  c->in = NULL;
  c->in_size = c->in_capacity = 0;
}

static bool grow_in(struct stream_conn *c, size_t capacity, struct instant now) {
  uint8_t *p = realloc(c->in, capacity);
  if (!p) {
    c->failed = true;
    return false;
  }
  size_t more = capacity - c->in_capacity;
  c->in = p;
  c->in_capacity = (uint32_t)capacity;
  conn_keep(c, more, now);
  return true;
}

/* Handles what waits in `in`. */
static void handle_kept(struct stream_conn *c, struct instant now) {
  if (!c->in || blocked(c)) return;
  size_t done = handle_messages(c, c->in, c->in_size, now);
  if (done == c->in_size) {
    drop_in(c);
  } else if (done > 0) {
    memmove(c->in, c->in + done, c->in_size - done);
    c->in_size -= (uint32_t)done;
  }
}

/* How many octets of the message that stands first in `in` are wanting; 0: it is whole. */
static size_t wanting(const struct stream_conn *c) {
  if (c->in_size < 2) return 2 - c->in_size;
  size_t whole = 2 + (size_t)get_u16(c->in);
  return whole > c->in_size ? whole - c->in_size : 0;
}

/* recv that says 0 for "nothing now" and notes the end. */
static size_t receive(struct stream_conn *c, uint8_t *to, size_t n) {
  ssize_t r = recv(c->watch.fd, to, n, 0);
  if (r > 0) return (size_t)r;
  if (r == 0) c->no_input = true;
  else if (errno != EAGAIN && errno != EINTR) c->failed = true;
  return 0;
}

/* Goes on with a message of which a part is here. Room grows with what really came, not with what its length promises. */
static void read_on(struct stream_conn *c, struct instant now) {
  enum { LEAST = 512 };
  for (size_t n; (n = wanting(c)) > 0 && !c->failed;) {
    if (c->in_size == c->in_capacity) {
      size_t capacity = c->in_size + n, step = c->in_capacity < LEAST ? LEAST : (size_t)2 * c->in_capacity;
      if (!grow_in(c, capacity < step ? capacity : step, now)) return;
    }
    size_t room = c->in_capacity - c->in_size, got = receive(c, c->in + c->in_size, n < room ? n : room);
    if (got == 0) return;
    c->in_size += (uint32_t)got;
  }
  handle_kept(c, now);
}

static void read_fresh(struct stream_conn *c, struct instant now) {
  struct stream_server *s = c->server;
  size_t n = receive(c, s->scratch, sizeof s->scratch);
  size_t done = handle_messages(c, s->scratch, n, now);
  if (done == n || c->failed || !grow_in(c, n - done, now)) return;
  memcpy(c->in, s->scratch + done, n - done);
  c->in_size = (uint32_t)(n - done);
}

static void read_some(struct stream_conn *c, struct instant now) {
  if (c->in) read_on(c, now);
  else read_fresh(c, now);
}

/* ---- the whole ---- */

void conn_close(struct stream_conn *c, struct instant now) {
  while (c->producers)
    end_producer(c, false, now);
  late_forget(c);
  if (c->in) drop_in(c);
  if (c->out) drop_out(c);
  loop_remove(c->server->loop, &c->watch);
  shutdown(c->watch.fd, SHUT_WR); /* what is on its way arrives, also if there is input we did not read */
  close(c->watch.fd);
  conn_forget(c);
  free(c);
}

/* Decides what the connection waits for now; it may be gone afterwards. */
static void settle(struct stream_conn *c, struct instant now) {
  bool writes = output_waits(c) || c->more || c->producers, busy = writes || c->deferred;
  if (c->failed || (c->no_input && !busy)) {
    conn_close(c, now);
    return;
  }
  bool reads = !c->no_input && !blocked(c);
  loop_change(c->server->loop, &c->watch, (reads ? LOOP_READ : 0u) | (writes ? LOOP_WRITE : 0u));
  conn_place(c, busy ? STREAM_WRITING : c->in ? STREAM_READING : STREAM_IDLE, now.mono_ns);
}

void conn_ready(void *arg, unsigned events, struct instant now) {
  struct stream_conn *c = arg;
  c->more = false;
  if (events & LOOP_WRITE) {
    flush_out(c);
    produce(c, now);
    handle_kept(c, now);
  }
  if ((events & LOOP_READ) && !c->no_input && !blocked(c)) read_some(c, now);
  settle(c, now);
}

/* Behind what the client does not take yet. */
static void keep_more(struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now) {
  uint8_t *out = realloc(c->out, c->out_size + 2 + n);
  if (!out) {
    c->failed = true;
    return;
  }
  put_u16(out + c->out_size, (uint16_t)n);
  memcpy(out + c->out_size + 2, bytes, n);
  c->out = out;
  c->out_size += (uint32_t)(2 + n);
  conn_keep(c, 2 + n, now);
}

void conn_late(struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now) {
  struct stream_server *s = c->server;
  assert(s->batch_size == 0 && n <= LIMIT_MESSAGE_BYTES);
  c->touched = true;
  if (n && output_waits(c)) {
    keep_more(c, bytes, n, now);
  } else if (n) {
    put_u16(s->batch, (uint16_t)n);
    memcpy(s->batch + 2, bytes, n);
    s->batch_size = 2 + n;
    flush_batch(c, now);
  }
  handle_kept(c, now);
  settle(c, now);
}

void conn_finish(struct stream_conn *c, struct instant now) {
  if (!c->no_input && !blocked(c)) read_some(c, now);
  if (c->asked) c->no_input = true;
  settle(c, now);
}
