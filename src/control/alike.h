/* Zones that share a file: most of what their text becomes is the same but for the zone's name. The first is read; the second, too,
 * and compared with the first one moved to its name (zone/move.h). If that is the same, later ones are moved and nothing is read.
 *
 * Names of the text that are relative move along and others stay: an absolute name at or below the first zone's name would make a
 * difference to the second. What stays and is at or below a later zone's name has that one read. A file with anything to be said
 * about it, or with others in it, is read for each zone. Thread: its owner's. */
#ifndef CONTROL_ALIKE_H
#define CONTROL_ALIKE_H

#include "control/control_priv.h"
#include "zone/move.h"
#include "zonefile/zonefile.h"

struct alike { /* zero is empty */
  struct zonefile_kept kept;
  const struct config_zone_options *options; /* of the first */
  struct zone_loaded first;                  /* without files: there is none */
  struct zone_mover *mover;
  bool proven, unfit;
};

/* As zone_file_load. */
MUST_CHECK enum err alike_load(struct alike *a, const struct zone_slot *z, struct diags *diags, struct zone_loaded *out);
void alike_done(struct alike *a);

#endif
