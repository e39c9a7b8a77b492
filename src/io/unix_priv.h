/* Addresses of Unix sockets, of any length. */
#ifndef IO_UNIX_PRIV_H
#define IO_UNIX_PRIV_H

#include "base/err.h"

#include <sys/socket.h>
#include <sys/un.h>

struct unix_address {
  struct sockaddr_un sa;
  socklen_t size;
  int dir_fd; /* a path that does not fit is taken by way of its directory; -1: not needed */
};

MUST_CHECK enum err unix_address_make(const char *path, struct unix_address *out);
void unix_address_done(struct unix_address *a);

#endif
