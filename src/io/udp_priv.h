/* How responses leave, at once (udp_worker.c) or later (udp_late.c). */
#ifndef IO_UDP_PRIV_H
#define IO_UDP_PRIV_H

#include "io/udp_worker.h"

/* Sends list[0..n) and returns how many the system took. A response that can't be sent is lost, as datagrams are; the next ones go
 * on. */
unsigned udp_send_all(int fd, struct mmsghdr *list, unsigned n);
/* Turns the control data of a request, which says what address it was sent to, into that of the response: the same address
 * as source. By which interface is the routing's choice, but for link-local addresses, which mean nothing without one. */
void udp_from_asked(struct msghdr *h);

#endif
