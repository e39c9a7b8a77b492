#include "io/sockets.h"

#include "io/service.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  UDP_RECEIVE_BYTES = 4 << 20, /* rides out 10 ms of a stalled worker at a million packets a second */
  UDP_SEND_BYTES = 1 << 20,
  TCP_BACKLOG = 4096,
  TCP_UNSENT_BYTES = 128 << 10, /* what the kernel keeps for a client that does not read */
  IPV6_MIN_MTU = 1280,          /* RFC 8200 §5 */
};

static bool set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* Buffers beyond the system's limit need a privilege; without it we take what we get. */
static void size_buffers(int fd) {
  if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_RECEIVE_BYTES)) set_int(fd, SOL_SOCKET, SO_RCVBUF, UDP_RECEIVE_BYTES);
  if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_SEND_BYTES)) set_int(fd, SOL_SOCKET, SO_SNDBUF, UDP_SEND_BYTES);
}

/* RFC 9715 §3: no response depends on path MTU discovery, which a forged ICMP could mislead, and none is larger than the
 * least MTU carries. */
static void udp_options(int fd, const struct addr *at) {
  size_buffers(fd);
  if (at->family == 4) {
    set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    if (addr_is_any(at)) set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
    set_int(fd, IPPROTO_IPV6, IPV6_MTU, IPV6_MIN_MTU);
    if (addr_is_any(at)) set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
}

static int open_socket(enum socket_kind kind, const struct addr *at, int flags) {
  int fd = socket(at->family == 4 ? AF_INET : AF_INET6, (kind == SOCKET_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | flags, 0);
  if (fd >= 0 && at->family == 6) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

/* A bound socket, or -1 with errno. */
static int open_bound(enum socket_kind kind, const struct addr *at, bool reuse_port) {
  int fd = open_socket(kind, at, kind == SOCKET_TCP ? SOCK_NONBLOCK : 0);
  if (fd < 0) return -1;
  if (kind == SOCKET_TCP) set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (reuse_port) set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  struct sockaddr_storage sa;
  socklen_t size = addr_to_sockaddr(at, &sa);
  if (bind(fd, (struct sockaddr *)&sa, size) == 0) return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

static void say_in_use(enum socket_kind kind, const struct addr *at, const char *where, struct socket_error *error) {
  char holder[128];
  socket_holder(kind, at, holder, sizeof holder);
  if (holder[0]) {
    snprintf(error->what, sizeof error->what, "%s: address in use by %.100s", where, holder);
    snprintf(error->hint, sizeof error->hint, "stop it, or give it another address or port");
  } else {
    snprintf(error->what, sizeof error->what, "%s: address in use", where);
    snprintf(
        error->hint, sizeof error->hint,
        "another server%s holds it; `ss -lptun 'sport = :%u'` run as root names it; stop it, or listen on another address or port",
        at->port == 53 ? " (maybe named, unbound or systemd-resolved)" : "", at->port);
  }
}

static enum err explain(enum socket_kind kind, const struct addr *at, int number, struct socket_error *error) {
  char text[ADDR_TEXT_BYTES], where[ADDR_TEXT_BYTES + 8];
  snprintf(where, sizeof where, "%s %s", addr_text(at, text), kind == SOCKET_UDP ? "(UDP)" : "(TCP)");
  error->hint[0] = 0;
  switch (number) {
  case EADDRINUSE:
    say_in_use(kind, at, where, error);
    return ERR_LOCKED;
  case EADDRNOTAVAIL:
    snprintf(error->what, sizeof error->what, "%s: no such address on this machine", where);
    snprintf(error->hint, sizeof error->hint, "`ip address` lists those there are; one that comes later can be covered by %s",
             at->family == 4 ? "0.0.0.0" : "\"::\"");
    return ERR_NOT_FOUND;
  case EACCES:
    snprintf(error->what, sizeof error->what, "%s: not permitted", where);
    if (at->port < 1024)
      snprintf(error->hint, sizeof error->hint,
               "ports below 1024 need root or CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)");
    return ERR_REFUSED;
  case EAFNOSUPPORT:
    snprintf(error->what, sizeof error->what, "%s: this machine has no IPv%u", where, at->family);
    return ERR_UNSUPPORTED;
  default:
    snprintf(error->what, sizeof error->what, "%s: %s", where, strerror(number));
    return ERR_IO;
  }
}

static int bind_checked(enum socket_kind kind, const struct addr *at, bool share) {
  if (!share) {
    int alone = open_bound(kind, at, false);
    if (alone < 0) return -1;
    close(alone);
  }
  return open_bound(kind, at, true);
}

enum err socket_listen(enum socket_kind kind, const struct addr *at, bool share, int *fd, struct socket_error *error) {
  int s = service_take_socket(kind, at);
  if (s >= 0) {
    int flags = fcntl(s, F_GETFL), wanted = kind == SOCKET_TCP ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags < 0 || fcntl(s, F_SETFL, wanted) != 0 || fcntl(s, F_SETFD, FD_CLOEXEC) != 0) return explain(kind, at, errno, error);
  } else {
    s = bind_checked(kind, at, share);
  }
  if (s < 0) return explain(kind, at, errno, error);
  if (kind == SOCKET_UDP) {
    udp_options(s, at);
  } else if (listen(s, TCP_BACKLOG) != 0) {
    enum err e = explain(kind, at, errno, error);
    close(s);
    return e;
  }
  *fd = s;
  return ERR_OK;
}

/* Whether further sockets can be bound to its address; not so for one that was passed to us by somebody who does not share. */
static bool is_shared(int fd) {
  int shared = 0;
  socklen_t size = sizeof shared;
  return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, &size) == 0 && shared;
}

enum err socket_listen_again(enum socket_kind kind, const struct addr *at, int fd, int *out, struct socket_error *error) {
  if (is_shared(fd)) return socket_listen(kind, at, true, out, error);
  int s = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* the workers take turns on it */
  if (s < 0) return explain(kind, at, errno, error);
  *out = s;
  return ERR_OK;
}

/* A connected socket takes datagrams from its peer alone, and is passed over when the system chooses among those that share an
 * address. Its peer is itself. */
void socket_retire(int fd) {
  if (!is_shared(fd)) return;
  struct sockaddr_storage self;
  socklen_t size = sizeof self;
  if (getsockname(fd, (struct sockaddr *)&self, &size) != 0) return;
  int r = connect(fd, (struct sockaddr *)&self, size);
  (void)r; /* then it is simply closed while it still takes */
}

enum err socket_connect(enum socket_kind kind, const struct addr *source, const struct addr *to, int *fd) {
  int s = open_socket(kind, to, SOCK_NONBLOCK);
  if (s < 0) return ERR_IO;
  struct sockaddr_storage sa;
  socklen_t size;
  if (source->family != 0) {
    set_int(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); /* the port is chosen by connect, from all that are free for this peer */
    size = addr_to_sockaddr(source, &sa);
    if (bind(s, (struct sockaddr *)&sa, size) != 0) goto failed;
  }
  if (kind == SOCKET_TCP) set_int(s, IPPROTO_TCP, TCP_NODELAY, 1);
  size = addr_to_sockaddr(to, &sa);
  if (connect(s, (struct sockaddr *)&sa, size) != 0 && errno != EINPROGRESS) goto failed;
  *fd = s;
  return ERR_OK;
failed:
  close(s);
  return ERR_IO;
}

void socket_stream_prepare(int fd) {
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, TCP_UNSENT_BYTES);
}
