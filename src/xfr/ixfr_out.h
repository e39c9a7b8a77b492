/* What an incremental transfer sends (RFC 1995 §4): the changes from the client's serial to the served version, gathered from
 * history newest first, and given out record by record in the order of the message. Several changes go as they are, or condensed to
 * their net effect where that is less; what would be more than the whole zone is no incremental transfer. Thread: the stream
 * thread's. */
#ifndef XFR_IXFR_OUT_H
#define XFR_IXFR_OUT_H

#include "zone/delta.h"

/* A changeset as history has it. */
struct ixfr_change {
  bool is_delta; /* not: the zone was replaced as a whole */
  bool has_serial_from;
  uint32_t serial_from, serial_to;
  const uint8_t *body; /* copied */
  size_t size;
};

struct ixfr_chain;
MUST_CHECK enum err ixfr_chain_new(const struct zone_snap *snap, uint32_t client_serial, struct ixfr_chain **out);
void ixfr_chain_free(struct ixfr_chain *c); /* NULL is fine */
/* The next older change, the first is the one that made the snapshot. False: no more are wanted. */
bool ixfr_chain_offer(struct ixfr_chain *c, const struct ixfr_change *change);
/* Whether the changes lead from the client's serial to the snapshot and are worth sending; then ixfr_chain_next may be called. */
bool ixfr_chain_close(struct ixfr_chain *c);

/* The record at hand, which stays so until ixfr_chain_step; NULL: that was the last. Sequences of: old SOA, removed records, new
 * SOA, added records; without the zone's SOA at both ends of the transfer. */
const struct delta_record *ixfr_chain_at(const struct ixfr_chain *c);
void ixfr_chain_step(struct ixfr_chain *c);

#endif
