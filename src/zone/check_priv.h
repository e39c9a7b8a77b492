/* What check.c and check_target.c share. */
#ifndef ZONE_CHECK_PRIV_H
#define ZONE_CHECK_PRIV_H

#include "zone/check.h"

enum check_hides { HIDES_NOTHING, HIDES_CUT, HIDES_DNAME };

struct check_walk {
  const struct zone_snap *snap;
  const struct zone_node *apex;
  const struct zone_node *node; /* the name looked at */
  bool at_apex;
  bool has_owner; /* `owner` is that of `node`: it is only made when asked for */
  struct name owner;
  enum check_hides hides; /* whether the names that come are below a cut or a DNAME */
  struct name hider;
  bool hider_reported;
  bool all;
  bool stopped; /* the sink has enough */
  zone_finding_sink *sink;
  void *arg;
  struct zone_check_totals totals;
};

const struct name *check_owner(struct check_walk *w);
void check_report(struct check_walk *w, enum zone_check check, enum severity severity, uint16_t type, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* The hosts that NS, MX or SRV records of the walk's name point at. */
void check_targets(struct check_walk *w, const struct zone_rrset *set);

#endif
