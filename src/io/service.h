/* What a service manager gives and wants: sockets passed with LISTEN_FDS, and states told over NOTIFY_SOCKET (sd_listen_fds(3),
 * sd_notify(3)). A server that is being replaced passes its sockets on in the same way (tandem/swap.h), and a descriptor by which
 * it is told that we serve. Without either every call does nothing. Thread: the main thread. */
#ifndef IO_SERVICE_H
#define IO_SERVICE_H

#include "base/addr.h"
#include "io/sockets.h"

#define SERVICE_LISTEN_PID "LISTEN_PID"
#define SERVICE_LISTEN_FDS "LISTEN_FDS"
#define SERVICE_READY_FD "TANDEM_READY_FD"
enum { SERVICE_FIRST_FD = 3, SERVICE_PASSED_MAX = 1024 };

/* Tells a state such as "READY=1". */
void service_notify(const char *state);
/* A passed socket of this kind that is bound to this address, once; -1: there is none. */
int service_take_socket(enum socket_kind kind, const struct addr *at);
/* Closes the passed sockets that were not taken: nobody would read what comes to them. */
void service_drop_rest(void);
/* Tells the server we replace that we serve; READY=1 as well. */
void service_ready(void);

#endif
