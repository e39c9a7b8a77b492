/* Dynamic update (RFC 2136): an UPDATE message judged against a version of its zone. All of it becomes the next version, or nothing
 * does. Pure: no I/O, no clock.
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
  char why[160];          /* for the log, in words; "" if there is nothing to say */
  struct zone_snap *snap; /* the next version, one reference for the caller; NULL: nothing changes */
  uint32_t added, removed;
};

/* Judges the message (its TSIG was verified before) against `base`. `serial` is what a changed zone gets unless the update itself
 * sets a higher one than `base` has. ERR_MEMORY, ERR_LOCKED (somebody edits the zone): nothing is decided, and nothing changes. */
MUST_CHECK enum err update_judge(const uint8_t *message, size_t size, const struct zone_snap *base, const struct grants *grants,
                                 const struct update_client *client, uint32_t serial, struct update_verdict *out);

#endif
