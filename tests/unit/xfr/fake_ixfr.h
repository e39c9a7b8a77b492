/* The records of an IXFR answer, made from versions of a zone, to be bent before they are sent. */
#ifndef TESTS_XFR_FAKE_IXFR_H
#define TESTS_XFR_FAKE_IXFR_H

#include "wire/message.h"
#include "zone/zone.h"

struct fake_rr {
  struct name owner;
  uint16_t type, size;
  uint32_t ttl;
  uint8_t *rdata;
};

struct fake_ixfr {
  struct fake_rr *rrs;
  size_t count, capacity;
};

/* Difference sequences from the first version to the last, one a step (RFC 1995 §4). */
void fake_ixfr_make(struct fake_ixfr *x, struct zone_snap *const *versions, size_t count);
void fake_ixfr_done(struct fake_ixfr *x);
void fake_ixfr_insert(struct fake_ixfr *x, size_t at, const struct fake_rr *rr); /* a copy */
void fake_ixfr_remove(struct fake_ixfr *x, size_t at);
/* Writes the records from `*next` on, at most `most`, into a message that was started. */
void fake_ixfr_write(const struct fake_ixfr *x, size_t *next, size_t most, struct message_writer *w);

/* The version after `base`: `changes` addresses of hosts come or go, chosen by `*random`. With `zonemd` it carries its digest. */
struct zone_snap *next_version(const struct zone_snap *base, uint32_t serial, unsigned changes, bool zonemd, uint64_t *random);
uint64_t next_random(uint64_t *state);

#endif
