/* What a service manager gives and wants: sockets passed with LISTEN_FDS, and states told over NOTIFY_SOCKET (sd_listen_fds(3),
 * sd_notify(3)). Without one every call does nothing. Thread: the main thread. */
#ifndef IO_SERVICE_H
#define IO_SERVICE_H

#include "base/addr.h"
#include "io/sockets.h"

/* Tells a state such as "READY=1". */
void service_notify(const char *state);
/* A passed socket of this kind that is bound to this address, once; -1: there is none. */
int service_take_socket(enum socket_kind kind, const struct addr *at);

#endif
