#include "io/unix_socket.h"

#include "base/buf.h"
#include "base/limits.h"
#include "io/token_map.h"
#include "io/unix_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

struct unix_server {
  struct loop *loop;
  struct unix_server_events events;
  struct loop_watch listener;
  struct token_map clients;
  uint64_t last_token;
  char *path;
  bool yielded;
};

struct client {
  struct loop_watch watch;
  struct unix_server *server;
  uint64_t token;
  bool commanded; /* its line was handed on */
  struct pieces in;
  struct buf out;
  size_t out_at;
};

static void close_client(struct client *c) {
  struct unix_server *u = c->server;
  uint64_t token = c->token;
  bool commanded = c->commanded;
  loop_remove(u->loop, &c->watch);
  close(c->watch.fd);
  token_map_remove(&u->clients, token);
  pieces_done(&c->in);
  buf_done(&c->out);
  free(c);
  if (commanded) u->events.gone(u->events.arg, token);
}

static bool flush(struct client *c) {
  bool good = loop_send(c->server->loop, &c->watch, &c->out, &c->out_at);
  if (good && !c->out.size) buf_done(&c->out); /* it may have been large */
  return good;
}

static unsigned peer_uid(int fd) {
  struct ucred who;
  socklen_t size = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.uid : UINT_MAX;
}

/* Reads; false: the client is to be closed. A whole line is handed on, once. */
static bool read_some(struct client *c, struct instant now) {
  char bytes[READ_BYTES];
  ssize_t n = recv(c->watch.fd, bytes, sizeof bytes, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  if (c->commanded) return true; /* nothing is expected behind the command */
  const char *end = memchr(bytes, '\n', (size_t)n);
  if (pieces_add(&c->in, bytes, end ? (size_t)(end - bytes) : (size_t)n)) return false;
  if (!end) return c->in.size <= UNIX_COMMAND_BYTES;
  struct pieces line = c->in;
  c->in = (struct pieces){0};
  c->commanded = true;
  c->server->events.command(c->server->events.arg, c->token, peer_uid(c->watch.fd), &line, now);
  return true;
}

static void client_ready(void *arg, unsigned events, struct instant now) {
  struct client *c = arg;
  bool keep = !(events & LOOP_WRITE) || flush(c);
  if (keep && (events & LOOP_READ)) keep = read_some(c, now);
  if (!keep) close_client(c);
}

/* The oldest client that gave no command yet. */
static struct client *silent_client(struct unix_server *u) {
  struct client *oldest = NULL;
  size_t cursor = 0;
  for (struct client *c; (c = token_map_next(&u->clients, &cursor));)
    if (!c->commanded && (!oldest || c->token < oldest->token)) oldest = c;
  return oldest;
}

static void listener_ready(void *arg, unsigned events, struct instant now) {
  struct unix_server *u = arg;
  int fd = accept4(u->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  if (u->clients.count >= LIMIT_CONTROL_CLIENTS) {
    struct client *silent = silent_client(u);
    if (silent) close_client(silent);
  }
  struct client *c = u->clients.count < LIMIT_CONTROL_CLIENTS ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    close(fd);
    return;
  }
  *c = (struct client){.watch = {fd, LOOP_READ, client_ready, c}, .server = u, .token = ++u->last_token};
  if (token_map_put(&u->clients, c->token, c) != ERR_OK) {
    close(fd);
    free(c);
  } else if (loop_add(u->loop, &c->watch) != ERR_OK) {
    close_client(c);
  }
}

/* A listening socket at `path` that only its owner may use, or -1. */
static int listen_at(const char *path) {
  struct unix_address a;
  if (unix_address_make(path, &a) != ERR_OK) return -1;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t before = umask(0177);
  bool bound = fd >= 0 && (unlink(path) == 0 || errno == ENOENT) && bind(fd, (struct sockaddr *)&a.sa, a.size) == 0;
  umask(before);
  unix_address_done(&a);
  if (bound && listen(fd, LIMIT_CONTROL_CLIENTS) == 0) return fd;
  int saved = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  return -1;
}

enum err unix_server_new(struct loop *l, const char *path, const struct unix_server_events *events, struct unix_server **out) {
  struct unix_server *u = calloc(1, sizeof *u);
  if (!u) return ERR_MEMORY;
  u->loop = l;
  u->events = *events;
  u->path = strdup(path);
  u->listener = (struct loop_watch){u->path ? listen_at(path) : -1, LOOP_READ, listener_ready, u};
  if (u->listener.fd < 0 || loop_add(l, &u->listener) != ERR_OK) {
    if (u->listener.fd >= 0) close(u->listener.fd);
    free(u->path);
    free(u);
    return ERR_IO;
  }
  *out = u;
  return ERR_OK;
}

void unix_server_chown(struct unix_server *u, unsigned uid, unsigned gid) {
  int r = lchown(u->path, uid, gid);
  (void)r; /* as root it works; anybody else owns it already */
}

void unix_server_yield(struct unix_server *u) {
  u->yielded = true;
}

enum err unix_server_reclaim(struct unix_server *u) {
  int fd = listen_at(u->path);
  if (fd < 0) return ERR_IO;
  loop_remove(u->loop, &u->listener);
  close(u->listener.fd);
  u->listener.fd = fd;
  u->yielded = false;
  return loop_add(u->loop, &u->listener);
}

void unix_server_free(struct unix_server *u) {
  if (!u) return;
  for (struct client *c; (c = token_map_any(&u->clients));)
    close_client(c);
  token_map_done(&u->clients);
  loop_remove(u->loop, &u->listener);
  close(u->listener.fd);
  if (!u->yielded) unlink(u->path);
  free(u->path);
  free(u);
}

void unix_server_reply(struct unix_server *u, uint64_t token, const char *line, size_t n) {
  struct client *c = token_map_get(&u->clients, token);
  if (!c) return;
  buf_add(&c->out, line, n);
  buf_add_byte(&c->out, '\n');
  if (!c->out.failed && c->out.size <= LIMIT_CONTROL_REPLY_BYTES && flush(c)) return;
  /* Whoever replies is not called back from here: the loop comes to see the end and closes. */
  buf_done(&c->out);
  c->out_at = 0;
  shutdown(c->watch.fd, SHUT_RDWR);
}

size_t unix_server_backlog(const struct unix_server *u, uint64_t token) {
  const struct client *c = token_map_get(&u->clients, token);
  return c ? c->out.size - c->out_at : 0;
}

static bool output_waits(const struct unix_server *u) {
  size_t cursor = 0;
  for (const struct client *c; (c = token_map_next(&u->clients, &cursor));)
    if (c->out.size > 0) return true;
  return false;
}

void unix_server_flush(struct unix_server *u, unsigned ms) {
  struct instant now = clock_read();
  for (uint64_t until = now.mono_ns + ms * NS_PER_MS; now.mono_ns < until && output_waits(u);)
    loop_turn(u->loop, until, &now);
}
