/* Figures of the whole for whoever shows them: metrics and `status`. Thread: the control thread. */
#ifndef CONTROL_FIGURES_H
#define CONTROL_FIGURES_H

#include "control/control.h"
#include "xfr/secondary.h"

enum { ZONE_STATES = ZONE_EXPIRED + 1 };
extern const char *const zone_state_text[ZONE_STATES]; /* "served", "not-loaded", "expired" */

struct control_figures {
  struct {
    size_t primary, secondary;
  } zones[ZONE_STATES];
  size_t zone_count, troubled, not_durable;
  uint64_t records, zone_memory_bytes, zone_mapped_bytes; /* memory: without what is mapped */
  uint64_t zone_table_bytes;
  /* since the start */
  struct secondary_counts secondary;
  uint64_t transfers_in; /* that were taken over */
  uint64_t updates_done, updates_unchanged, updates_refused, updates_failed, updates_forwarded;
  uint64_t notifies_in, notifies_out, notifies_out_failed;
  struct store_disk disk;
  uint64_t bulk_refused; /* since the start */
  bool store_known;
  struct store_usage store;
  bool config_refused; /* at the last reload */
  int64_t started_wall_s, config_loaded_wall_s;
};
void control_figures(struct control *c, struct control_figures *out);
/* Where the memory of all zones goes; looks at some records of each. */
void control_memory(const struct control *c, struct zone_memory *out);

struct zone_figures {
  const char *name; /* without the final dot, but "." */
  bool secondary;
  enum zone_state state;
  uint32_t serial; /* with its records only where there is content */
  bool has_content;
  uint64_t records;
  bool can_expire;                /* a secondary with content */
  double expires_s, expire_share; /* left: in seconds, and of the whole; 0 when it has expired */
  bool has_last_good;
  int64_t last_good_s; /* ago */
};
/* Every zone, or only the `worst` ones that have the smallest share of their expire time left: first those without content, then
 * the expired ones; those that never expire are last. 0: all, in no particular order. */
void control_each_zone(struct control *c, size_t worst, struct instant now, void (*f)(void *arg, const struct zone_figures *z),
                       void *arg);

#endif
