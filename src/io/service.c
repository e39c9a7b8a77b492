#include "io/service.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void service_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (!path || (path[0] != '/' && path[0] != '@')) return;
  size_t n = strlen(path);
  if (n < 2 || n >= sizeof to.sun_path) return;
  memcpy(to.sun_path, path, n);
  if (path[0] == '@') to.sun_path[0] = 0; /* the abstract name space */
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
  ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
  (void)sent; /* a manager that does not listen will notice by itself */
  close(fd);
}

static long env_number(const char *name) {
  const char *text = getenv(name);
  if (!text) return -1;
  char *end;
  long v = strtol(text, &end, 10);
  return end != text && !*end ? v : -1;
}

/* How many sockets were passed to this very process. */
static int passed_count(void) {
  static int count = -1;
  if (count >= 0) return count;
  long n = env_number(SERVICE_LISTEN_FDS);
  count = env_number(SERVICE_LISTEN_PID) == (long)getpid() && n > 0 && n <= SERVICE_PASSED_MAX ? (int)n : 0;
  return count;
}

static bool socket_is(int fd, enum socket_kind kind, const struct addr *at) {
  int type;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  if (type != (kind == SOCKET_UDP ? SOCK_DGRAM : SOCK_STREAM)) return false;
  struct sockaddr_storage sa;
  struct addr bound;
  size = sizeof sa;
  if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0) return false;
  return addr_from_sockaddr((struct sockaddr *)&sa, &bound) && addr_equal(&bound, at);
}

static bool taken[SERVICE_PASSED_MAX];

int service_take_socket(enum socket_kind kind, const struct addr *at) {
  for (int i = 0; i < passed_count(); i++) {
    if (taken[i] || !socket_is(SERVICE_FIRST_FD + i, kind, at)) continue;
    taken[i] = true;
    return SERVICE_FIRST_FD + i;
  }
  return -1;
}

void service_drop_rest(void) {
  for (int i = 0; i < passed_count(); i++) {
    if (!taken[i]) close(SERVICE_FIRST_FD + i);
    taken[i] = true;
  }
}

void service_ready(void) {
  long fd = env_number(SERVICE_READY_FD);
  if (passed_count() && fd == SERVICE_FIRST_FD + passed_count()) {
    ssize_t n = write((int)fd, "1", 1);
    (void)n; /* if the old server is gone, nobody waits */
    close((int)fd);
  }
  service_notify("READY=1");
}
