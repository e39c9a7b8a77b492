/* A primary for tests: real transfers out (xfr/axfr_out.h), SOA answers of its own, and every bad habit a test asks for. */
#ifndef TESTS_XFR_FAKE_PRIMARY_H
#define TESTS_XFR_FAKE_PRIMARY_H

#include "fake_ixfr.h"
#include "fake_net.h"
#include "tsig/tsig.h"
#include "xfr/axfr_out.h"
#include "xfr/map_priv.h"

struct fake_zone {
  struct map_node node; /* by apex */
  struct name apex;
  struct zone_snap *snap; /* NULL: answers REFUSED */
  struct zone_snap **old; /* versions before it, of a primary that gives changes; the oldest first */
  size_t old_count;
};

struct fake_primary {
  struct fake_host host;
  struct fake_net *net;
  struct map zones;
  struct tsig_keyring *keys;
  bool need_key; /* REFUSED without */
  /* habits */
  int soa_rcode, axfr_rcode, ixfr_rcode; /* 0: fine */
  bool gives_changes;                    /* to who asks with IXFR, from what it served since; else it gives the whole zone */
  size_t ixfr_most;                      /* records in one message of them; 0: what fits */
  void (*bend)(void *arg, struct fake_primary *p, struct fake_ixfr *x); /* changes the records of an IXFR; NULL */
  void *bend_arg;
  bool no_edns, truncates, no_authority, no_soa, unsigned_answers, strange_id, forged_first;
  bool has_expire;
  uint32_t expire_s;
  int64_t clock_off_s;
  int32_t soa_serial_off; /* what the SOA answer says beyond the content's serial */
  uint64_t pace_ns;       /* between messages of a transfer */
  /* A look at every message of a transfer, with its number from 0: may change it (capacity 65535), or return false to send nothing
   * more. */
  bool (*habit)(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size);
  void *habit_arg;
  /* what happened */
  uint64_t soa_queries, transfers, notifies, ixfr_asked, axfr_asked;
  uint64_t last_transfer_ns;
  struct sending *sending; /* transfers under way */
};

void fake_primary_init(struct fake_primary *p, struct fake_net *n, const char *address);
void fake_primary_done(struct fake_primary *p);
/* Adds or replaces; takes over the reference. */
void fake_primary_serve(struct fake_primary *p, const char *apex, struct zone_snap *snap);

struct name name_of(const char *text);
/* A zone with a SOA (refresh, retry, expire in seconds), an NS, and `hosts` names with an A and every tenth with a TXT. */
struct zone_snap *make_zone(const char *apex, uint32_t serial, uint32_t refresh_s, uint32_t retry_s, uint32_t expire_s,
                            unsigned hosts);
size_t make_soa(const struct name *apex, uint32_t serial, uint32_t refresh_s, uint32_t retry_s, uint32_t expire_s,
                uint8_t out[600]);
struct tsig_keyring *make_keys(const char *name, enum hmac_algorithm a, const char *secret);

#endif
