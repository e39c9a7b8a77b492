/* Reads an AXFR (RFC 5936 §2.2): messages in, a snapshot out. No I/O and no clock.
 *
 *   message 1         message 2        message n
 *   SOA rr rr rr  ->  rr rr rr rr  ->  rr rr SOA      the last SOA equals the first, and nothing comes behind it
 *
 * Records go straight into a zone_edit, which is dropped when anything is wrong: an unverified record is never served. Records
 * out of the zone are dropped and counted. Everything else that is wrong refuses the whole, in words. */
#ifndef XFR_AXFR_IN_PRIV_H
#define XFR_AXFR_IN_PRIV_H

#include "xfr/exchange_priv.h"
#include "zone/zone.h"

struct axfr_in;

enum axfr_in_state { AXFR_IN_MORE, AXFR_IN_DONE, AXFR_IN_FAILED };

struct axfr_in_count {
  uint64_t messages, records, bytes, dropped;
};

/* `max_bytes` bounds what the records take uncompressed. Keeps a pointer to `key` until it is freed. */
MUST_CHECK enum err axfr_in_new(const struct name *apex, const struct tsig_key *key, uint16_t id, uint64_t max_bytes, int64_t now_s,
                                struct axfr_in **out);
void axfr_in_free(struct axfr_in *a); /* NULL is fine */

/* The request to send; valid until the first message is taken. */
const uint8_t *axfr_in_request(const struct axfr_in *a, size_t *size);
/* The next message of the stream. After DONE or FAILED there is nothing more to take. */
enum axfr_in_state axfr_in_message(struct axfr_in *a, const uint8_t *bytes, size_t size, int64_t now_s);
const char *axfr_in_what(const struct axfr_in *a); /* of FAILED: ends a sentence that starts with the primary's address */
struct axfr_in_count axfr_in_count(const struct axfr_in *a);
bool axfr_in_serial(const struct axfr_in *a, uint32_t *serial); /* once the first SOA was there */
/* After DONE, once. */
MUST_CHECK enum err axfr_in_finish(struct axfr_in *a, struct zone_snap **out);

#endif
