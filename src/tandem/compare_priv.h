/* `tandem compare`: what its parts share.
 *
 *   compare.c       arguments, who is asked, what is printed
 *   compare_zone.c  the whole zone from a server, for the list of names
 *   compare_ask.c   every server is asked for every RRset */
#ifndef TANDEM_COMPARE_PRIV_H
#define TANDEM_COMPARE_PRIV_H

#include "config/config.h"
#include "tandem/network.h"
#include "xfr/secondary.h"

enum { COMPARE_SERVERS_MOST = 32, COMPARE_WHY_BYTES = 240 };

struct compare_server {
  char text[ADDR_TEXT_BYTES + 64]; /* for people */
  struct xfr_primary primary;      /* with one address */
  struct zone_snap *zone;          /* what it gave; NULL: it gives no transfers */
  char why[COMPARE_WHY_BYTES];     /* why it did not */
};

struct compare {
  struct loop *loop;
  struct network *network;
  struct name apex;
  struct compare_server servers[COMPARE_SERVERS_MOST];
  size_t count;
  struct zone_snap *file; /* of --file; NULL: none */
};

/* Fills server->zone, or server->why. */
MUST_CHECK enum err compare_transfer(struct compare *c, struct compare_server *server);

struct compare_difference {
  const struct name *owner;
  uint16_t type;
  const struct buf *answers; /* one a server, a line a record */
};

/* Asks for every RRset of every zone content that is there. `differs` is called for each that is not answered alike. ERR_IO: `why`
 * says who does not answer. */
MUST_CHECK enum err compare_ask(struct compare *c, void (*differs)(void *arg, const struct compare_difference *d), void *arg,
                                uint64_t *asked, char why[COMPARE_WHY_BYTES]);

#endif
