/* SOA serials by policy (contract.md, "Who owns a zone"; RFC 1982). Thread: the control thread. */
#ifndef CONTROL_SERIAL_H
#define CONTROL_SERIAL_H

#include "control/control_priv.h"

/* `*snap` is to follow `head`, what the zone has (NULL: nothing). If they are equal but for a serial that is not higher, *same is
 * set. Otherwise the serial is made strictly higher by the zone's policy: *snap is replaced (its reference taken over, a new one
 * given) and `note` says so.
 */
MUST_CHECK enum err serial_refresh(const struct zone_slot *z, const struct zone_snap *head, const struct zone_snap **snap,
                                   struct instant now, bool *same, struct buf *note);
/* A zone that was restored from a backup may have had many serials since then that its secondaries have seen. Its next one is more
 * than this above the last that is known: an update a second for half a year, and 127 restores before RFC 1982 turns round. */
enum { SERIAL_RESTORED_STEP = 1 << 24 };
/* What the zone's next serial has to be above, when `last` is that of the content it builds on. */
uint32_t serial_floor(const struct zone_slot *z, uint32_t last);
/* The serial that policy gives after `last`; `own` is what the content itself says, and stands if it is higher than that. Always
 * higher than `last`. */
uint32_t serial_next(enum config_serial policy, uint32_t last, uint32_t own, int64_t now_s);
/* The same content with another serial. */
MUST_CHECK enum err serial_set(const struct zone_snap *s, uint32_t serial, struct zone_snap **out);
uint32_t serial_soa_expire(const struct zone_snap *s);

#endif
