/* Reads a transfer, whole (AXFR, RFC 5936 §2.2) or as changes to what we have (IXFR, RFC 1995 §4): messages in, a snapshot out. No
 * I/O and no clock.
 *
 *   AXFR, and an IXFR that is answered with the whole zone    SOA rr rr rr ... rr SOA
 *   IXFR                                                      SOA  SOA rr .. SOA rr ..  SOA rr .. SOA rr ..  SOA     ixfr_in_priv.h
 *   IXFR, nothing newer is there                              SOA
 *
 * in any number of messages, cut between any two records. The last SOA equals the first, and nothing comes behind it. What the
 * second record is tells which of them it is. Records go straight into a zone_edit, which is dropped when anything is wrong: an
 * unverified record is never served. Records out of the zone are dropped and counted. Everything else that is wrong refuses the
 * whole, in words. */
#ifndef XFR_INCOMING_PRIV_H
#define XFR_INCOMING_PRIV_H

#include "xfr/digest_option.h"
#include "zone/zone.h"

struct incoming;

enum incoming_state { INCOMING_MORE, INCOMING_DONE, INCOMING_FAILED };

enum incoming_kind { /* what the answer turned out to be */
                     INCOMING_UNKNOWN,
                     INCOMING_WHOLE,
                     INCOMING_CHANGES,
                     INCOMING_NOTHING, /* the primary has nothing newer than the base: no snapshot */
};

struct incoming_count {
  uint64_t messages, records, bytes, dropped;
};

/* With a `base` the changes since its version are asked for (IXFR), without one the whole zone; the base is kept referenced.
 * `max_bytes` bounds what the records take uncompressed. Keeps a pointer to `key` until it is freed. */
MUST_CHECK enum err incoming_new(const struct name *apex, const struct zone_snap *base, const struct tsig_key *key, uint16_t id,
                                 uint64_t max_bytes, int64_t now_s, struct incoming **out);
void incoming_free(struct incoming *in); /* NULL is fine */

/* The request to send; valid until the first message is taken. */
const uint8_t *incoming_request(const struct incoming *in, size_t *size);
/* The next message of the stream. After DONE or FAILED there is nothing more to take. */
enum incoming_state incoming_message(struct incoming *in, const uint8_t *bytes, size_t size, int64_t now_s);
const char *incoming_what(const struct incoming *in); /* of FAILED: ends a sentence that starts with the primary's address */
struct incoming_count incoming_count(const struct incoming *in);
bool incoming_serial(const struct incoming *in, uint32_t *serial); /* once the first SOA was there */
const struct zone_snap *incoming_base(const struct incoming *in);  /* NULL: the whole zone was asked for */
const struct digest_option *incoming_digest(const struct incoming *in);
enum incoming_kind incoming_kind(const struct incoming *in);
/* Of a whole zone, while it comes and before the finish: cuts off what came since the last time, if it is `least` records; another
 * thread may have it laid out while more comes (zone_edit_part). What fails there fails the finish. */
bool incoming_part(struct incoming *in, size_t least);
void incoming_lay(struct incoming *in);
/* All of the answer is here, whether it is of use or not: an error is one message. */
bool incoming_is_answered(const struct incoming *in);
/* To an IXFR a newer SOA came alone so far: the whole zone may follow, or it means that AXFR is to be asked for. */
bool incoming_is_undecided(const struct incoming *in);
/* What is said of a transfer that is too large. */
void incoming_say_too_much(uint64_t max_bytes, struct xfr_what *out);
/* After DONE of a kind that has a snapshot, once. */
MUST_CHECK enum err incoming_finish(struct incoming *in, struct zone_snap **out);

#endif
