/* The owner of a secondaries machine in tests: commits what comes, remembers what it was told. */
#ifndef TESTS_XFR_FAKE_OWNER_H
#define TESTS_XFR_FAKE_OWNER_H

#include "fake_net.h"
#include "xfr/secondary.h"

struct owned_zone {
  struct zone_snap *content; /* what is served */
  bool expired;
  unsigned transferred, good, failed, expirations, settled_good, settled_bad, fell_back;
  int64_t good_at_s;
  uint32_t good_mono_s;
  uint32_t expire_s;
  uint64_t expires_ns;
  uint64_t committed_ns; /* last commit */
  char what[200];        /* last failure */
  char peer[64];
  enum secondary_phase failed_in;
  struct transfer_info info;
  struct zone_snap *arrived; /* waits for its commit */
};

enum { OWNER_BUILDS = 64 };

struct fake_owner {
  struct fake_net *net;
  struct secondaries *machine;
  struct owned_zone *zones;    /* by id */
  uint32_t zone_count, served; /* with content */
  bool same_boot;              /* a restart is one of the process alone */
  bool refuse_commits;
  uint64_t commit_delay_ns; /* 0: inside the event */
  uint64_t build_delay_ns;  /* what another thread does with large zones is over so much later; 0: there is no such thread */
  struct transfer_build *builds[OWNER_BUILDS]; /* under way */
  unsigned built;                              /* so often it was over */
};

void fake_owner_init(struct fake_owner *o, struct fake_net *n, uint32_t zone_count);
void fake_owner_done(struct fake_owner *o);
/* Ends the machine and starts another, as a restart does. Zones have to be configured again. */
void fake_owner_restart(struct fake_owner *o);
void fake_owner_configure(struct fake_owner *o, uint32_t id, const char *apex, const struct secondary_options *so);
uint32_t fake_owner_serial(const struct fake_owner *o, uint32_t id); /* 0: nothing is served */
struct secondary_status fake_owner_status(const struct fake_owner *o, uint32_t id);

#endif
