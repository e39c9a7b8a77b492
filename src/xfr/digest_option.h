/* The digest of a zone's content (zone/content.h) between two Tandems, in an EDNS option of transfers: who asks for changes sends
 * it empty, the first message of the answer says the digest of the version that the changes lead to. So changes that are valid but
 * not the right ones, and copies that went apart before, are found at once. Who does not know the option ignores it (RFC 6891
 * §6.1.2). Only whom the zone may be transferred to gets to see it, for it stands in transfers alone.
 *
 * Value: u8 kind (1: zone/content.h), u32 serial, 16 octets of digest, network order. Thread: any. */
#ifndef XFR_DIGEST_OPTION_H
#define XFR_DIGEST_OPTION_H

#include "wire/message.h"
#include "xfr/exchange_priv.h"
#include "zone/content.h"

enum { EDNS_ZONE_DIGEST = 65314 /* of local use, RFC 6891 §9 */, DIGEST_OPTION_BYTES = 4 + 1 + 4 + 16 };

struct digest_option { /* as it came */
  bool present;
  uint32_t serial;
  struct digest128 digest;
};

bool digest_option_asked(const struct request *req);
/* The option for an answer; 0 octets: the snapshot has no digest. */
size_t digest_option_write(const struct zone_snap *s, uint8_t out[DIGEST_OPTION_BYTES]);
/* Takes it from the options of an answer's OPT; others are stepped over. False: malformed. */
bool digest_option_read(struct rd options, struct digest_option *out);
/* Whether `made`, which changes to `base` led to, is what was said; gives it its digest. `what` ends a sentence about who sent the
 * changes. */
bool digest_option_fits(const struct digest_option *o, const struct zone_snap *base, const struct zone_snap *made,
                        struct xfr_what *what);

#endif
