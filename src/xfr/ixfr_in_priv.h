/* The difference sequences of an IXFR (RFC 1995 §4), applied record by record to an edit on top of what we have:
 *
 *   SOA(new)   SOA(1) removed.. SOA(2) added..   SOA(2) removed.. SOA(3) added..   ...   SOA(new)
 *              `---- one sequence -----------'   `---- the next one ----------'          the end
 *
 * Nothing is believed. The first sequence starts from our serial; each starts with the very SOA that the one before led to; serials
 * rise (RFC 1982) and do not pass the announced one; what is removed is there, what is added is not; the end is the very SOA
 * that was announced. An answer that breaks any of this comes from another history than ours, or was damaged on its way, and
 * is of no use. What obeys all of it may still be wrong (a record left out, another one put in): only a signature of the transfer
 * or a digest of the zone can tell. */
#ifndef XFR_IXFR_IN_PRIV_H
#define XFR_IXFR_IN_PRIV_H

#include "xfr/exchange_priv.h"
#include "zone/zone.h"

struct soa_rr { /* the apex's SOA, as it stood in a message */
  struct name owner;
  uint32_t ttl;
  uint16_t size; /* 0: none yet */
  uint8_t rdata[2 * LIMIT_NAME_BYTES + 20];
};

static inline uint32_t soa_rr_serial(const struct soa_rr *s) {
  return soa_times_read(s->rdata, s->size).serial;
}

struct ixfr_in {
  struct zone_edit *edit;     /* the caller's */
  const struct soa_rr *first; /* announced; the caller's */
  struct soa_rr at;           /* the version the edit has come to, or with `removing` the one it starts from */
  bool begun, removing;
};

enum ixfr_step { IXFR_MORE, IXFR_END, IXFR_OUTSIDE /* out of the zone, left away */, IXFR_BAD };

void ixfr_in_begin(struct ixfr_in *x, struct zone_edit *edit, const struct soa_rr *first, uint32_t our_serial);
/* The next SOA of the apex behind the announced one. `what` is set with IXFR_BAD, and ends a sentence about the primary. */
enum ixfr_step ixfr_in_soa(struct ixfr_in *x, const struct soa_rr *soa, struct xfr_what *what);
/* The next record of another kind; RDATA is checked and uncompressed. */
enum ixfr_step ixfr_in_record(struct ixfr_in *x, const struct message_rr *rr, const uint8_t *rdata, uint16_t size,
                              struct xfr_what *what);

#endif
