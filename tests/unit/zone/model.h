/* A zone as a plain list of records, with the rules of the RFCs in their most literal form: what the tests of zone/ compare
 * with. Slow on purpose. */
#ifndef TESTS_ZONE_MODEL_H
#define TESTS_ZONE_MODEL_H

#include "zone/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MODEL_RDATA_BYTES = 300 };

struct model_record {
  struct name owner;
  uint32_t ttl;
  uint16_t type;
  uint16_t size;
  uint8_t rdata[MODEL_RDATA_BYTES];
};

struct model {
  struct name apex;
  struct model_record *records;
  size_t count;
  size_t capacity;
};

/* ---- randomness that repeats ---- */

struct dice {
  uint64_t state;
};
uint64_t dice_next(struct dice *d);
unsigned dice_below(struct dice *d, unsigned n);

/* ---- names ---- */

struct name name_of(const char *text); /* absolute */
/* One label in front. */
bool name_prepend(const uint8_t *label, size_t size, const struct name *n, struct name *out);
/* Zero to `depth` labels of a small pool, with odd octets among them, in front of `base`. */
struct name random_name(struct dice *d, const struct name *base, unsigned depth);
/* Its first label in front of what another has behind its own. */
void name_put_beside(struct name *n, const struct name *other);
/* What zone_lookup.shared may say of two. */
uint16_t lookup_shared(const struct zone_lookup *q, const struct zone_lookup *before);

/* ---- records ---- */

void model_start(struct model *m, const char *apex);
void model_done(struct model *m);
void model_copy(struct model *to, const struct model *from);
struct model_record record_of(const struct name *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t size);
struct model_record record_soa(const struct name *apex, uint32_t serial);
struct model_record record_a(const struct name *owner, uint32_t address);
struct model_record record_target(const struct name *owner, uint16_t type, const char *target); /* NS, DNAME, CNAME */
struct model_record record_nsec(const struct name *owner, const char *next);
struct model_record record_rrsig(const struct name *owner, uint16_t covered, uint32_t salt);
/* `flags`, iterations, salt as given; a hash that is nobody's as the next one. */
struct model_record record_nsec3(const struct name *owner, uint16_t iterations, const char *salt);
struct model_record record_nsec3param(const struct name *apex, uint16_t iterations, const char *salt);

/* As zone_edit does it: a double is kept once, an RRset's TTL is its lowest. False: it was there. */
bool model_add(struct model *m, const struct model_record *r);
bool model_remove(struct model *m, const struct model_record *r); /* TTL does not count */
/* SOA, and `owners` names with records of several types. */
void model_fill(struct model *m, struct dice *d, unsigned owners);

/* ---- and the zone of it ---- */

struct zone_snap *model_build(const struct model *m);
void edit_add(struct zone_edit *e, const struct model_record *r);
void edit_remove(struct zone_edit *e, const struct model_record *r);
/* Every record of one is in the other, TTLs included; order of the cursor and counters hold. */
void check_content(const struct zone_snap *s, const struct model *m);
/* All records of a snapshot, through the cursor. */
void model_read(struct model *m, const struct zone_snap *s);
bool same_record(const struct model_record *a, const struct model_record *b); /* without TTL */

#endif
