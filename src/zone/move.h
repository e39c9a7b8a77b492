/* The content of a zone under another name: what many zones of one file have in common is made once. Owners, and names in RDATA
 * that stand at or below the zone's own name, move along; all others stay. Any thread; one mover has one owner. */
#ifndef ZONE_MOVE_H
#define ZONE_MOVE_H

#include "zone/zone.h"

struct zone_mover;

/* Keeps a reference of its own. */
MUST_CHECK enum err zone_mover_new(const struct zone_snap *from, struct zone_mover **out);
/* ERR_RANGE: a name that stays is at or below that apex. ERR_LIMIT: a name would be too long, or RDATA. */
MUST_CHECK enum err zone_mover_make(struct zone_mover *m, const struct name *apex, struct zone_snap **out);
void zone_mover_free(struct zone_mover *m); /* NULL is fine */

#endif
