/* Who we talk to: one entry an address, as long as something is under way with it or waits for it, and the bounds on how much
 * may be under way at once, in all and with one address.
 *
 *   lanes (one kind of exchange: datagrams, transfers, or changes that a NOTIFY told of)
 *     ring -> lane of address A -> lane of address B -> ...      lanes that have somebody waiting and room for one more
 *               urgent: x x                                      NOTIFYs, commands, zones without content
 *               normal: x x x x x
 *
 * Lanes take turns, so an address with a million zones behind it delays nobody else's. Thread: the owner's. */
#ifndef XFR_REMOTES_PRIV_H
#define XFR_REMOTES_PRIV_H

#include "base/addr.h"
#include "xfr/list_priv.h"
#include "xfr/map_priv.h"

struct lane {
  struct list turn; /* in the ring */
  struct list urgent, normal;
  uint32_t waiting, in_flight;
  struct remote *remote;
};

struct lane_wait { /* part of whatever waits */
  struct list link;
  struct lane *lane; /* NULL: it does not wait */
};

struct lanes {
  struct list ring;
  uint32_t in_flight, limit, limit_each;
};

void lanes_init(struct lanes *l, uint32_t limit, uint32_t limit_each);
void lane_wait(struct lanes *l, struct lane *lane, struct lane_wait *w, bool urgent);
void lane_leave(struct lanes *l, struct lane_wait *w); /* gives up; harmless if it does not wait */
bool lanes_wanted(const struct lanes *l);              /* somebody may run */
/* Who may run next, with a slot taken for it on `*lane`; NULL: nobody may now. */
struct lane_wait *lanes_next(struct lanes *l, struct lane **lane);
void lane_release(struct lanes *l, struct lane *lane);

struct remote {
  struct map_node node;
  struct addr addr;
  uint32_t silent;       /* exchanges in a row without any answer */
  struct list channels;  /* connections to it */
  uint64_t shy_until_ns; /* asked one question a channel until then */
  uint8_t cut_short;     /* channels in a row that it ended after one answer with others due */
  bool is_kept;          /* what is known of it outlives what is under way */
  uint64_t place_ns[2];  /* the last place in the row of NOTIFYs: of what changed, of a start */
  struct lane datagrams, streams, direct;
};

/* An address that was silent so often is down as long as more exchanges with it are under way than it takes to see it come back:
 * nobody else waits for it, so that a million zones of a dead primary go on to their next one. */
enum { REMOTE_DOWN_SILENT = 3, REMOTE_DOWN_PROBES = 4 };

struct remote *remote_get(struct map *remotes, const struct addr *addr); /* found or made; NULL: out of memory */
struct remote *remote_find(const struct map *remotes, const struct addr *addr);
void remote_put(struct map *remotes, struct remote *r); /* forgets it unless something is under way, waits or is to be remembered */
void remotes_done(struct map *remotes);
bool remote_is_down(const struct remote *r);

#endif
