#include "base/buf.h"
#include "io/unix_priv.h"
#include "io/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum err unix_address_make(const char *path, struct unix_address *out) {
  struct unix_address a = {.sa = {.sun_family = AF_UNIX}, .size = sizeof a.sa, .dir_fd = -1};
  size_t n = strlen(path);
  if (n < sizeof a.sa.sun_path) {
    memcpy(a.sa.sun_path, path, n);
    *out = a;
    return ERR_OK;
  }
  const char *slash = strrchr(path, '/');
  char dir[PATH_MAX];
  if (!slash || slash == path || (size_t)(slash - path) >= sizeof dir) return ERR_RANGE;
  memcpy(dir, path, (size_t)(slash - path));
  dir[slash - path] = 0;
  a.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (a.dir_fd < 0) return ERR_IO;
  int used = snprintf(a.sa.sun_path, sizeof a.sa.sun_path, "/proc/self/fd/%d/%s", a.dir_fd, slash + 1);
  if (used < 0 || (size_t)used >= sizeof a.sa.sun_path) {
    close(a.dir_fd);
    return ERR_RANGE;
  }
  *out = a;
  return ERR_OK;
}

void unix_address_done(struct unix_address *a) {
  if (a->dir_fd < 0) return;
  int saved = errno;
  close(a->dir_fd);
  errno = saved;
}

struct call {
  int fd;
  uint64_t until_ns, patience_ns; /* each line begins the wait anew */
  struct buf in;
  bool (*line)(void *arg, const char *text, size_t n);
  void *arg;
};

static enum err wait_for(const struct call *c, short events) {
  uint64_t now_ns = clock_read().mono_ns;
  if (now_ns >= c->until_ns) return ERR_TIMEOUT;
  uint64_t ms = (c->until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
  struct pollfd p = {c->fd, events, 0};
  int r = poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms);
  if (r == 0) return ERR_TIMEOUT;
  return r > 0 || errno == EINTR ? ERR_OK : ERR_IO;
}

static enum err send_all(const struct call *c, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t r = send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (r >= 0) {
      bytes += r;
      n -= (size_t)r;
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return ERR_CLOSED;
    enum err e = wait_for(c, POLLOUT);
    if (e) return e;
  }
  return ERR_OK;
}

/* Hands on the whole lines that are here; false: the caller has enough. */
static bool take_lines(struct call *c) {
  size_t at = 0;
  bool more = true;
  for (const uint8_t *end; more && (end = memchr(c->in.data + at, '\n', c->in.size - at)); at = (size_t)(end - c->in.data) + 1)
    more = c->line(c->arg, (const char *)c->in.data + at, (size_t)(end - c->in.data) - at);
  if (at) {
    c->until_ns = clock_read().mono_ns + c->patience_ns;
    memmove(c->in.data, c->in.data + at, c->in.size - at);
    c->in.size -= at;
  }
  return more;
}

static enum err receive_lines(struct call *c) {
  enum { PIECE_BYTES = 64 << 10 };
  for (;;) {
    uint8_t *to = buf_reserve(&c->in, PIECE_BYTES);
    if (!to) return ERR_MEMORY;
    ssize_t n = recv(c->fd, to, PIECE_BYTES, 0);
    if (n == 0) return ERR_CLOSED;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return ERR_CLOSED;
    if (n > 0) {
      c->in.size += (size_t)n;
      if (!take_lines(c)) return ERR_OK;
      continue;
    }
    enum err e = wait_for(c, POLLIN);
    if (e) return e;
  }
}

static enum err connect_to(const char *path, const struct call *c) {
  struct unix_address a;
  enum err e = unix_address_make(path, &a);
  if (e) return e == ERR_IO ? ERR_NOT_FOUND : e;
  int r = connect(c->fd, (struct sockaddr *)&a.sa, a.size);
  unix_address_done(&a);
  if (r == 0) return ERR_OK;
  switch (errno) {
  case ENOENT:
  case ECONNREFUSED:
    return ERR_NOT_FOUND;
  case EACCES:
  case EPERM:
    return ERR_REFUSED;
  case EAGAIN:
    return ERR_AGAIN;
  default:
    return ERR_IO;
  }
}

enum err unix_client_call(const char *path, const char *command, size_t n, unsigned timeout_ms,
                          bool (*line)(void *arg, const char *text, size_t n), void *arg) {
  struct call c = {.line = line, .arg = arg, .patience_ns = timeout_ms * NS_PER_MS};
  c.until_ns = clock_read().mono_ns + c.patience_ns;
  c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (c.fd < 0) return ERR_IO;
  enum err e = connect_to(path, &c);
  if (!e) e = send_all(&c, command, n);
  if (!e) e = send_all(&c, "\n", 1);
  if (!e) e = receive_lines(&c);
  buf_done(&c.in);
  close(c.fd);
  return e;
}
