/* Transfers out (RFC 5936, RFC 1995): the whole zone, the changes since the client's serial, or the single SOA. Turns a snapshot
 * into messages, one at a time as the stream can take them. Holds its own reference on the snapshot, so a change never cuts it.
 * Thread: the stream thread that owns it. */
#ifndef XFR_AXFR_OUT_H
#define XFR_AXFR_OUT_H

#include "tsig/tsig.h"
#include "xfr/ixfr_out.h"
#include "zone/zone.h"

struct axfr_out;

/* `req` was allowed (ANSWER_TRANSFER), its verified TSIG state is `*tsig`, and neither is needed afterwards, but the key.
 * ERR_FORMAT: an IXFR request without the client's SOA, answer FORMERR. */
MUST_CHECK enum err axfr_out_begin(const struct zone_snap *snap, const struct request *req, const struct tsig_stream *tsig,
                                   struct axfr_out **out);
/* Whether it is an IXFR of somebody behind us: then the changes, if history has them, can be sent in place of the zone. */
bool axfr_out_wants_changes(const struct axfr_out *a, uint32_t *client_serial);
/* Sends these, which are taken over, after ixfr_chain_close said that they are worth it. Before the first message. */
void axfr_out_changes(struct axfr_out *a, struct ixfr_chain *chain);
/* The next message into `buffer` (capacity >= 65535). `*done`: it is the last. ERR_SPACE: a record fits no message. */
MUST_CHECK enum err axfr_out_next(struct axfr_out *a, uint8_t *buffer, size_t capacity, int64_t now_s, size_t *size, bool *done);
struct axfr_out_count {
  uint64_t messages, records, bytes;
};
struct axfr_out_count axfr_out_count(const struct axfr_out *a);
void axfr_out_free(struct axfr_out *a); /* NULL is fine */

#endif
