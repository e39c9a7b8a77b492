/* The server's face to the network: listening sockets, the UDP workers and the stream thread.
 *
 *   front_open(configuration)   opens what is missing; says what is wrong; nothing changes yet
 *   front_switch()              the workers and the stream thread go over to the new set, then the old sockets are closed
 *
 * A start and a reload are the same two steps. A socket that both sets have stays open, and what waits in it is answered by
 * whoever has it next; what waits in one that goes is answered before. Thread: the control thread. */
#ifndef TANDEM_FRONT_H
#define TANDEM_FRONT_H

#include "control/control.h"
#include "io/loop.h"
#include "io/stream_server.h"
#include "io/udp_worker.h"
#include "tandem/note_queue.h"
#include "tandem/observe.h"

struct front;
struct control_update;

MUST_CHECK enum err front_new(struct front **out);
/* Ends the workers and the stream thread: what has arrived is answered, slow clients get a moment and transfers `grace_ms`. NULL is
 * fine. */
void front_stop(struct front *f, uint32_t grace_ms);
/* The sockets that listen now, for a process that goes on with them. */
MUST_CHECK enum err front_sockets(const struct front *f, int **list, size_t *count); /* the list is the caller's */
void front_free(struct front *f);                                                    /* after front_stop; NULL is fine */

/* On failure `*why` says which address and what to do. */
MUST_CHECK enum err front_open(struct front *f, const struct config_server *server, struct buf *why);
void front_abandon(struct front *f); /* closes what the last front_open opened; nothing to do after a switch */
/* `control` answers the questions. The first switch starts the threads. */
MUST_CHECK enum err front_switch(struct front *f, struct control *control, struct note_queue *notes, struct loop *control_loop);

/* What answers the UPDATEs that came by sockets about to be closed: takes them all and calls control_updates_settle. */
void front_on_settle(struct front *f, void (*settle)(void *arg), void *arg);
/* UPDATEs that wait for the control thread, one after the other; NULL: no more. Each is given back with its answer. */
struct control_update *front_take_update(struct front *f);
void front_answer_update(struct front *f, struct control_update *u, const uint8_t *bytes, size_t n);
void front_send_updates(struct front *f); /* answers that were kept back for it */

/* Attaches to the interfaces of server.xdp, for the addresses of what front_open opened. Once, before privileges are dropped and
 * threads start. An interface that can't be served so is logged, and its traffic comes to the sockets as ever. */
MUST_CHECK enum err front_open_xdp(struct front *f, const struct config_server *server);

/* The sockets opened last become the user's, as whom others will be opened later: only sockets of one owner share an address. */
MUST_CHECK enum err front_chown(struct front *f, unsigned uid, unsigned gid);
bool front_has_low_ports(const struct front *f); /* below 1024, in what was opened last */

/* What all threads have counted since the start. */
struct front_counts {
  struct observed observed;
  struct udp_counters udp;
  uint64_t xdp_received; /* of those received, by AF_XDP */
  struct stream_counters streams;
  uint64_t transfers_done, transfers_failed, transfers_running; /* out */
};
void front_count(const struct front *f, struct front_counts *out);

/* The same for one listen address; it keeps its counters when it goes and comes again. */
struct front_listener_counts {
  struct addr addr; /* family 0: those after the first LIMIT_LISTENERS_COUNTED - 1 */
  struct observed_tally udp, tcp;
};
/* `i` from 0 upwards; false: there are no more. */
bool front_count_listener(const struct front *f, size_t i, struct front_listener_counts *out);

/* Appends "queries":1,"dropped":0 ... */
void front_status(const struct front *f, struct buf *json_members);

#endif
