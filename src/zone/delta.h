/* A changeset's body: what was removed and added, as bytes for the log. Room zone makes and applies it, store only keeps it.
 *
 * Layout: format octet 1, then records {u8 op: 0 removed, 1 added}{owner wire}{u16 type}{u32 ttl}{u16 size}{rdata}, network order,
 * of a name and type the removed ones before the added ones. Everything is checked when it is read back. Thread: the owner's. */
#ifndef ZONE_DELTA_H
#define ZONE_DELTA_H

#include "base/buf.h"
#include "base/bytes.h"
#include "zone/zone.h"

enum { DELTA_FORMAT = 1 };

struct delta_size {
  uint64_t removed, added; /* records */
};

/* The difference of two snapshots as a body; stops with ERR_SPACE once it would pass `most_bytes`. If the edit that made `to` of
 * `from` has kept its step, that is the body, and nothing is compared. */
MUST_CHECK enum err zone_delta_make(const struct zone_snap *from, const struct zone_snap *to, size_t most_bytes, struct buf *out,
                                    struct delta_size *size);
/* Applies a body to `base`. ERR_CORRUPT: malformed, or removes what is not there. */
MUST_CHECK enum err zone_delta_apply(const struct zone_snap *base, const uint8_t *body, size_t n, struct zone_snap **out);
/* The step that has led from one to the other, in what `to` keeps; false: it has none, or another. */
bool zone_step(const struct zone_snap *from, const struct zone_snap *to, const uint8_t **body, size_t *n);
bool zone_step_size(const struct zone_snap *from, const struct zone_snap *to, struct delta_size *out);
/* How many owners that gained a record in it have a CNAME beside other data; false: nobody has looked. */
bool zone_step_conflicts(const struct zone_snap *from, const struct zone_snap *to, uint64_t *n);
/* Nobody will ask for it again. Thread: the maker's, and nobody asks meanwhile. */
void zone_step_drop(const struct zone_snap *s);

/* Reads a body record by record; `false` stops (ERR_REFUSED). */
MUST_CHECK enum err zone_delta_each(const uint8_t *body, size_t n,
                                    bool (*f)(void *arg, bool added, const struct name *owner, uint16_t type, uint32_t ttl,
                                              const uint8_t *rdata, uint16_t size),
                                    void *arg);

/* A body in fewer octets, as the log keeps it (delta_pack.c); false: it is kept as it is. */
bool zone_delta_pack(const uint8_t *body, size_t n, struct buf *out);
bool zone_delta_is_packed(const uint8_t *body, size_t n);
/* What was packed, octet for octet. ERR_CORRUPT. */
MUST_CHECK enum err zone_delta_unpack(const uint8_t *body, size_t n, struct buf *out);

/* Takes a body back: `base` is what it led to, *out what it was applied to. Errors as above. */
MUST_CHECK enum err zone_delta_revert(const struct zone_snap *base, const uint8_t *body, size_t n, struct zone_snap **out);

/* A body read one record after the other. */
struct delta_cursor {
  struct rd rest;
};
struct delta_record {
  bool added;
  struct name owner;
  uint16_t type, size;
  uint32_t ttl;
  const uint8_t *rdata; /* in the body */
};
MUST_CHECK enum err zone_delta_open(const uint8_t *body, size_t n, struct delta_cursor *out);
/* ERR_NOT_FOUND: that was the last; ERR_CORRUPT. */
MUST_CHECK enum err zone_delta_next(struct delta_cursor *c, struct delta_record *out);

/* The net effect of bodies that follow each other, oldest first, as one body: what comes and goes in between is left out.
 * ERR_CORRUPT: one of them is malformed. */
struct delta_body {
  const uint8_t *bytes;
  size_t size;
};
MUST_CHECK enum err zone_delta_condense(const struct delta_body *bodies, size_t count, struct buf *out, struct delta_size *size);

#endif
