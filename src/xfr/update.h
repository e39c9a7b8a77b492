/* Dynamic update (RFC 2136): UPDATE messages judged against a version of their zone. All of one becomes part of the next version,
 * or nothing does. Pure: no I/O, no clock.
 *
 *   read (update_read.c) --> prescan --> prerequisites (update_prereq.c) --> changes (update_apply.c) --> a higher serial
 *     FORMERR NOTAUTH          FORMERR     FORMERR NOTZONE NXDOMAIN            REFUSED
 *                              NOTZONE     YXDOMAIN NXRRSET YXRRSET REFUSED
 *                              REFUSED
 *
 * Form and permission come before the prerequisites (RFC 2136 §3 has them behind, BIND as here): who may not make the change is not
 * told whether its conditions hold.
 *
 * Where RFC 2136 leaves it open this is as BIND does: a CNAME and other data do not come together (the record is skipped), a SOA
 * counts only with a higher serial, the last NS of the apex stays, a record added to an RRset of another TTL gives it that TTL.
 * No update leaves a name server of the zone without an address that it had, or makes it an alias: REFUSED.
 * NSEC, NSEC3 and RRSIG are whoever's who signs the zone: REFUSED, as is any update of a zone that is signed elsewhere.
 *
 * Thread: the control thread (or the simulator). */
#ifndef XFR_UPDATE_H
#define XFR_UPDATE_H

#include "wire/grant.h"
#include "wire/message.h"
#include "zone/zone.h"

struct update_client {
  struct acl_client who;
  bool sees; /* may query the zone; if not, prerequisites may only speak of names that he may change */
};

struct update_verdict {
  unsigned rcode;
  int ede;
  char why[160];           /* for the log, in words; "" if there is nothing to say */
  struct zone_snap *snap;  /* of update_judge: the next version, one reference for the caller; NULL: nothing changes */
  uint32_t added, removed; /* changes that had an effect; 0 and 0: none had */
};

/* Judges the message (its TSIG was verified before) against `base`. `serial` is what a changed zone gets unless the update itself
 * sets a higher one than `base` has. ERR_MEMORY, ERR_LOCKED (somebody edits the zone): nothing is decided, and nothing changes. */
MUST_CHECK enum err update_judge(const uint8_t *message, size_t size, const struct zone_snap *base, const struct grants *grants,
                                 const struct update_client *client, uint32_t serial, struct update_verdict *out);

/* Updates of one zone that follow each other and become one version: each is judged on what the ones before have made, and nobody
 * sees what is between them. So one that speaks of the SOA, whose serial they share, is not of them, and neither is one that
 * could make a name server unusable, which only the whole zone can tell. */
struct update_run {             /* zero but for `base` */
  const struct zone_snap *base; /* what the first one finds; the caller keeps it */
  struct zone_edit *edit;       /* what they make of it; NULL: nothing yet */
  bool changed;                 /* one has had an effect */
  bool soa_set;                 /* with a serial of its own */
  bool broken;                  /* one that does not stand has left something behind */
};

/* Any error: the message is still to be judged, behind what the run has made. With `broken` nothing can become of that: its
 * updates, too, are to be judged again, by update_judge. */
MUST_CHECK enum err update_run_judge(struct update_run *r, const uint8_t *message, size_t size, const struct grants *grants,
                                     const struct update_client *client, struct update_verdict *out);
/* So much has changed that nothing more should come to it. */
bool update_run_is_full(const struct update_run *r);
/* Ends the run, in any case. The version, one reference for the caller; NULL: nothing has changed in the end. */
MUST_CHECK enum err update_run_finish(struct update_run *r, uint32_t serial, struct zone_snap **out);
void update_run_abort(struct update_run *r);

#endif
