/* Semantic checks: what is wrong, or probably not meant so, in a zone as a whole. One row of checks.def a check.
 *
 * zone_check looks at a built snapshot, once through in canonical order, and tells its findings to a sink; only names that
 * records point at are looked up. Some rows (no-soa, several-soa, out-of-zone, ttl-mismatch) can't be seen in a snapshot any
 * more: the loader (control/zone_load.h) reports those. Thread: any that holds the snapshot. */
#ifndef ZONE_CHECK_H
#define ZONE_CHECK_H

#include "base/diag.h"
#include "zone/zone.h"

enum zone_check {
#define CHECK(id, name, severity, on, doc, hint) ZONE_CHECK_##id,
#include "zone/checks.def"
#undef CHECK
  ZONE_CHECK_COUNT
};

struct zone_check_row {
  const char *name;
  enum severity severity;
  bool on; /* by default */
  const char *doc;
  const char *hint;
};

const struct zone_check_row *zone_check_row(enum zone_check c);

struct zone_finding {
  enum zone_check check;
  enum severity severity; /* may be milder than the row's */
  struct name owner;
  uint16_t type;   /* a type at the owner that shows where it is; 0: none, as for what is missing */
  char what[1400]; /* one sentence, with names in text form */
};

/* False stops the check. */
typedef bool zone_finding_sink(void *arg, const struct zone_finding *f);

struct zone_check_options {
  bool all; /* also the checks that are off by default */
};

/* What a walk counts by the way. */
struct zone_check_totals {
  uint64_t ttl_sum; /* of all records' TTLs: what a loader compares with its own sum to see a TTL that was lowered */
  size_t errors, warnings;
};

MUST_CHECK enum err zone_check(const struct zone_snap *s, const struct zone_check_options *o, zone_finding_sink *sink, void *arg,
                               struct zone_check_totals *totals);

/* Whether a CNAME has other data beside it. */
bool zone_cname_conflict(const struct zone_node *n);

#endif
