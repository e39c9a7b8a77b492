/* The NOTIFY message (RFC 1996 §3) and what its answer says. No I/O. */
#ifndef XFR_NOTIFY_PRIV_H
#define XFR_NOTIFY_PRIV_H

#include "xfr/exchange_priv.h"

enum { SOA_RDATA_BYTES = 2 * LIMIT_NAME_BYTES + 20 };
enum { NOTIFY_BYTES = MESSAGE_HEADER_BYTES + 2 * LIMIT_NAME_BYTES + 4 + 10 + SOA_RDATA_BYTES + TSIG_RR_BYTES_MAX };

struct notify {
  struct tsig_stream tsig;
  uint16_t id;
};

struct notify_soa { /* of the zone, as it stands in the message */
  uint32_t ttl;
  uint16_t size;
  uint8_t rdata[SOA_RDATA_BYTES];
};

/* Writes and signs one; a fresh `n` is zero-initialised. */
MUST_CHECK enum err notify_write(struct notify *n, const struct name *apex, const struct notify_soa *soa,
                                 const struct tsig_key *key, uint16_t id, int64_t now_s, uint8_t out[NOTIFY_BYTES], size_t *size);
void notify_done(struct notify *n);

enum notify_verdict {
  NOTIFY_TAKEN,    /* the peer took note */
  NOTIFY_LATER,    /* it can't just now: `what` says why */
  NOTIFY_REFUSED,  /* it answered, but will not act: `what` says why */
  NOTIFY_DOUBTFUL, /* perhaps a forgery: wait on; `what` says what is wrong with it */
  NOTIFY_STRANGE,  /* belongs to something else: wait on */
};
enum notify_verdict notify_judge(struct notify *n, const struct name *apex, const uint8_t *bytes, size_t size, int64_t now_s,
                                 struct xfr_what *what);

#endif
