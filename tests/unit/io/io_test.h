/* What the tests of io/ share: addresses, client sockets, waiting with an end. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "io/sockets.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 }; /* longer than anything here takes, on a busy machine too */

static inline struct addr test_addr(const char *text) {
  struct addr a;
  assert_int_equal(addr_parse(text, 0, &a), ERR_OK);
  return a;
}

static inline struct addr test_bound(int fd) {
  struct sockaddr_storage sa;
  struct addr a;
  socklen_t size = sizeof sa;
  assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &size), 0);
  assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &a));
  return a;
}

/* A listening socket on a port the system chose, and where it is. */
static inline int test_listen(enum socket_kind kind, const char *host, struct addr *at) {
  struct socket_error error = {"", ""};
  struct addr a = test_addr(host);
  int fd = -1;
  assert_int_equal(socket_listen(kind, &a, false, &fd, &error), ERR_OK);
  *at = test_bound(fd);
  return fd;
}

/* A blocking socket connected to `to`. */
static inline int test_connect(enum socket_kind kind, const struct addr *to) {
  struct sockaddr_storage sa;
  socklen_t size = addr_to_sockaddr(to, &sa);
  int fd = socket(sa.ss_family, kind == SOCKET_UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&sa, size), 0);
  return fd;
}

static inline bool test_readable(int fd, int ms) {
  struct pollfd p = {fd, POLLIN, 0};
  int r;
  do
    r = poll(&p, 1, ms);
  while (r < 0 && errno == EINTR);
  return r == 1;
}

/* Exactly n octets; false: the other side closed before. */
static inline bool test_read(int fd, void *to, size_t n) {
  for (uint8_t *p = to; n > 0;) {
    assert_true(test_readable(fd, PATIENCE_MS));
    ssize_t r = recv(fd, p, n, 0);
    if (r <= 0) return false;
    p += r;
    n -= (size_t)r;
  }
  return true;
}

static inline void test_write(int fd, const void *bytes, size_t n) {
  for (const uint8_t *p = bytes; n > 0;) {
    ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
    assert_true(r > 0);
    p += r;
    n -= (size_t)r;
  }
}

/* A framed message; its size, or -1 if the connection ended. */
static inline int test_read_message(int fd, uint8_t to[65535]) {
  uint8_t length[2];
  if (!test_read(fd, length, 2)) return -1;
  size_t n = get_u16(length);
  return test_read(fd, to, n) ? (int)n : -1;
}

static inline void test_write_message(int fd, const void *bytes, size_t n) {
  uint8_t framed[2 + 65535];
  put_u16(framed, (uint16_t)n);
  memcpy(framed + 2, bytes, n);
  test_write(fd, framed, 2 + n);
}

/* Whether the other side closes within patience. */
static inline bool test_closes(int fd) {
  uint8_t byte;
  return !test_read(fd, &byte, 1);
}

#endif
