/* What an edit does, kept as a changeset's body, so that nobody has to compare what it made with its base. */
#ifndef ZONE_STEP_PRIV_H
#define ZONE_STEP_PRIV_H

#include "zone/delta_priv.h"
#include "zone/snap_priv.h"

struct step { /* zero-initialised: nothing is kept */
  struct buf body;
  struct delta_size size;
  struct digest128 removed, added; /* what they are of the zone's digest (content.h) */
  uint64_t conflicts;              /* owners that gained a record and have a CNAME beside other data */
  bool forgotten;                  /* the above */
  bool kept, has_added, has_soa;
  bool any_order; /* what comes and goes is taken out in the end */
  bool mixed;     /* it has to be */
};

/* While it is kept. */
void step_removed(struct step *s, const struct delta_record *r);
void step_added(struct step *s, const struct delta_record *r);
/* What an owner that gained a record has now; each is looked at once. */
void step_looked_at(struct step *s, const struct zone_node *record);
/* Some may be looked at again. */
void step_forget_looks(struct step *s);
/* Whether something is left of it, which without a step is supposed; what comes and goes is not in it any more. */
bool step_is_change(struct step *s);
/* It is not kept any further. */
void step_done(struct step *s);
/* The edit is through: `to` is what it made of `from`. */
void step_end(struct step *s, const struct zone_snap *from, struct zone_snap *to);

#endif
