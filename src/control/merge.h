/* Three-way merge of a zone: the changes that its file has seen since it was read last, put on what the log has made meanwhile.
 *
 *   seed (the file as it was read) --> file (as it is now)
 *     \                                 |  what changed here ...
 *      `--> zone (the log's newest)  <--'  ... is done here
 *
 * The unit is a record, its TTL with it. Changed on both sides are: a record that both removed or gave another TTL, unless they
 * agree in all of it; and an RRset that was not there and that both made, unless one holds the other. Of the SOA each field is one,
 * and the serial is none. Thread: the control thread. */
#ifndef CONTROL_MERGE_H
#define CONTROL_MERGE_H

#include "base/buf.h"
#include "zone/zone.h"

struct merge_conflict {
  const struct name *owner;
  uint16_t type;
  const char *file, *zone; /* what each side made of it, in words */
};

/* ERR_REFUSED: there are conflicts, each was told to `tell`. On ERR_OK `*out` has the file's serial if the file got a new one that
 * is higher than the zone's, else the zone's. */
MUST_CHECK enum err zone_merge(const struct zone_snap *seed, const struct zone_snap *file, const struct zone_snap *zone,
                               void (*tell)(void *arg, const struct merge_conflict *c), void *arg, struct zone_snap **out);

#endif
