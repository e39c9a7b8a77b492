#include "io/stream_server.h"

#include "io/sockets.h"
#include "io/stream_priv.h"
#include "io/thread.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 64, ACCEPT_REST_MS = 100, TRIM_FROM_BYTES = 8 << 20 };

const struct stream_options stream_defaults = {
    .idle_ms = 10000,
    .message_ms = 10000,
    .write_ms = 30000,
    .connections = LIMIT_STREAMS,
    .buffer_bytes = LIMIT_STREAM_BUFFER_BYTES,
};

static void rest(struct stream_server *s, uint64_t until_ns) {
  s->accept_again_ns = until_ns;
  for (size_t i = 0; i < s->listener_count; i++)
    loop_change(s->loop, &s->listeners[i].watch, until_ns ? 0 : LOOP_READ);
}

/* One connection from the queue; false: there is none, or none can be taken now. */
static bool accept_one(struct listener_watch *l, struct instant now) {
  struct stream_server *s = l->server;
  struct sockaddr_storage sa;
  socklen_t size = sizeof sa;
  int fd = accept4(l->watch.fd, (struct sockaddr *)&sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      /* Out of descriptors or memory: somebody else has to go first, and the queue waits a moment. */
      if (!conns_evict(s, now)) rest(s, now.mono_ns + ACCEPT_REST_MS * NS_PER_MS);
      return false;
    }
    return errno == ECONNABORTED || errno == EINTR;
  }
  stream_count(&s->accepted);
  if (s->connection_count >= s->options.connections) conns_evict(s, now);
  socket_stream_prepare(fd);
  struct addr peer;
  struct stream_conn *c = addr_from_sockaddr((struct sockaddr *)&sa, &peer) ? conn_open(s, fd, &peer, l->tag, now) : NULL;
  if (!c) close(fd);
  else conn_ready(c, LOOP_READ, now); /* its question is mostly there already */
  return true;
}

static void listener_ready(void *arg, unsigned events, struct instant now) {
  for (int i = 0; i < ACCEPTS_A_TURN && accept_one(arg, now); i++)
    continue;
}

/* Lets go of the listeners; connections that wait in their queues are taken first. */
static void drop_listeners(struct stream_server *s, struct instant now) {
  for (size_t i = 0; i < s->listener_count; i++) {
    struct listener_watch *l = &s->listeners[i];
    for (uint32_t k = 0; k < s->options.connections && accept_one(l, now); k++)
      continue;
    loop_remove(s->loop, &l->watch);
  }
  free(s->listeners);
  s->listeners = NULL;
  s->listener_count = 0;
}

static void use_listeners(struct stream_server *s, const struct stream_listener *listeners, size_t n, struct instant now) {
  struct listener_watch *fresh = calloc(n + 1, sizeof *fresh);
  drop_listeners(s, now);
  if (!fresh) return;
  s->listeners = fresh;
  s->accept_again_ns = 0;
  for (size_t i = 0; i < n; i++) {
    struct listener_watch *l = &fresh[s->listener_count];
    *l = (struct listener_watch){{listeners[i].fd, LOOP_READ, listener_ready, l}, s, listeners[i].tag};
    if (loop_add(s->loop, &l->watch) == ERR_OK) s->listener_count++;
  }
}

static void begin_stop(struct stream_server *s, uint32_t grace_ms, struct instant now) {
  s->stopping = true;
  s->stop_at_ns = now.mono_ns + grace_ms * NS_PER_MS;
  drop_listeners(s, now);
  for (int list = 0; list < STREAM_LISTS; list++)
    for (struct stream_conn *c = s->lists[list].head, *next; c; c = next) {
      next = c->next;
      if (!c->no_input) conn_finish(c, now);
    }
}

/* On the thread: what the owner asked for. */
static void obey(void *arg, struct instant now) {
  struct stream_server *s = arg;
  pthread_mutex_lock(&s->lock);
  if (s->command.listen) use_listeners(s, s->command.listeners, s->command.listener_count, now);
  if (s->command.stop && !s->stopping) begin_stop(s, s->command.grace_ms, now);
  s->command.listen = false;
  pthread_cond_broadcast(&s->applied);
  pthread_mutex_unlock(&s->lock);
  late_deliver(s, now);
}

static uint64_t next_deadline(const struct stream_server *s) {
  uint64_t at = conns_deadline(s);
  if (s->stopping && s->stop_at_ns < at) at = s->stop_at_ns;
  if (s->accept_again_ns && s->accept_again_ns < at) at = s->accept_again_ns;
  return at;
}

/* Among many connections that are at work a new one must not wait until all of them had their turn. */
static void accept_first(struct stream_server *s, struct instant now) {
  if (s->accept_again_ns || !loop_crowded(s->loop)) return;
  for (size_t i = 0; i < s->listener_count; i++)
    listener_ready(&s->listeners[i], LOOP_READ, now);
}

/* What slow clients held goes back to the system: free() alone keeps it. */
static void give_back(struct stream_server *s) {
  if (s->kept_peak_bytes < TRIM_FROM_BYTES || s->kept_bytes > s->kept_peak_bytes / 8) return;
  malloc_trim(0);
  s->kept_peak_bytes = s->kept_bytes;
}

static void *run(void *arg) {
  struct stream_server *s = arg;
  struct instant now = clock_read();
  if (s->handler.thread_begin) s->handler.thread_begin(s->handler.arg);
  while (!s->stopping || (s->connection_count > 0 && now.mono_ns < s->stop_at_ns)) {
    loop_turn(s->loop, next_deadline(s), &now);
    accept_first(s, now);
    conns_expire(s, now);
    give_back(s);
    if (s->accept_again_ns && s->accept_again_ns <= now.mono_ns) rest(s, 0);
  }
  for (int list = 0; list < STREAM_LISTS; list++)
    while (s->lists[list].head)
      conn_close(s->lists[list].head, now);
  if (s->handler.thread_end) s->handler.thread_end(s->handler.arg);
  return NULL;
}

static void release(struct stream_server *s) {
  late_done(s);
  pthread_cond_destroy(&s->applied);
  pthread_mutex_destroy(&s->lock);
  loop_free(s->loop);
  free(s);
}

enum err stream_server_start(const struct stream_options *o, const struct stream_handler *handler, const char *name,
                             struct stream_server **out) {
  struct stream_server *s = calloc(1, sizeof *s);
  if (!s) return ERR_MEMORY;
  s->options = *o;
  s->handler = *handler;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->applied, NULL);
  enum err e = loop_new(&s->loop);
  if (!e) {
    loop_on_wake(s->loop, obey, s);
    e = thread_start(&s->thread, name, -1, run, s);
  }
  if (e) {
    release(s);
    return e;
  }
  *out = s;
  return ERR_OK;
}

void stream_server_listen(struct stream_server *s, const struct stream_listener *listeners, size_t n) {
  pthread_mutex_lock(&s->lock);
  s->command.listeners = listeners;
  s->command.listener_count = n;
  s->command.listen = true;
  loop_wake(s->loop);
  while (s->command.listen)
    pthread_cond_wait(&s->applied, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

void stream_server_stop(struct stream_server *s, uint32_t grace_ms) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->command.stop = true;
  s->command.grace_ms = grace_ms;
  loop_wake(s->loop);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  release(s);
}

void stream_server_counters(const struct stream_server *s, struct stream_counters *out) {
  out->connections = atomic_load_explicit(&s->connections, memory_order_relaxed);
  out->accepted = atomic_load_explicit(&s->accepted, memory_order_relaxed);
  out->messages = atomic_load_explicit(&s->messages, memory_order_relaxed);
  out->timed_out = atomic_load_explicit(&s->timed_out, memory_order_relaxed);
  out->evicted = atomic_load_explicit(&s->evicted, memory_order_relaxed);
  out->buffer_bytes = atomic_load_explicit(&s->buffer_bytes, memory_order_relaxed);
}
