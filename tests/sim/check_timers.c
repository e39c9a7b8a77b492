/* How long a secondary zone lives on is the same before and after a restart, whatever the wall clock did meanwhile. Only where the
 * machine itself was started, and that clock has jumped some time, nobody can know. */
#include "control/control_priv.h"
#include "disk.h"
#include "sim.h"

enum { SLACK_S = 2 };

static struct life { /* of what the timer file may have */
  uint64_t boot, least_ns, most_ns;
  bool any;
} lives[NODES][ZONES];
static uint64_t put_ns[NODES][ZONES]; /* what the next write of it has */
static uint64_t ids[NODES][ZONES];    /* in the store */

void check_timers_begin(void) {
  memset(lives, 0, sizeof lives);
  memset(put_ns, 0, sizeof put_ns);
}

/* Known are those that were put in this time of the machine. */
static void look(const struct node *n, struct store *s) {
  for (int i = 0; i < ZONES; i++) {
    struct store_timer t;
    uint64_t id = ids[n->index][i];
    if (id && !store_timer_get(s, id, &t) && t.good_mono_s) put_ns[n->index][i] = (t.good_mono_s + (uint64_t)t.expire_s) * NS_PER_S;
  }
}

void check_timers_look(const struct node *n) {
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&n->control->registry, &i));)
    ids[n->index][check_zone(z)] = z->store_id;
  look(n, n->control->store);
}

/* A failure leaves the file as it was, or not. */
void check_timers_flushed(const struct node *n, struct store *s, bool good) {
  if (n->control) check_timers_look(n);
  else look(n, s); /* at the end control is not to be looked at any more */
  for (int i = 0; i < ZONES; i++) {
    struct life *k = &lives[n->index][i];
    uint64_t at = put_ns[n->index][i];
    if (!at) continue;
    if (good || !k->any) *k = (struct life){n->boots, at, at, good};
    if (at < k->least_ns) k->least_ns = at;
    if (at > k->most_ns) k->most_ns = at;
  }
}

void check_timers_started(struct node *n) {
  struct zone_slot *z;
  memset(put_ns[n->index], 0, sizeof *put_ns);
  for (size_t i = 0; (z = registry_next(&n->control->registry, &i));) {
    const struct life *k = &lives[n->index][check_zone(z)];
    if (!k->any || !z->snap || (n->jumped && k->boot != n->boots)) continue;
    uint64_t at = z->expires_mono_ns, slack = SLACK_S * NS_PER_S, now = sim_now_ns(), most = k->most_ns > now ? k->most_ns : now;
    char text[NAME_TEXT_BYTES];
    if (at + slack < k->least_ns)
      sim_fail("%s: %s loses %llu s of its life by a restart", n->name, slot_name_text(z, text),
               (unsigned long long)((k->least_ns - at) / NS_PER_S));
    if (at > most + slack)
      sim_fail("%s: %s lives %llu s longer by a restart", n->name, slot_name_text(z, text),
               (unsigned long long)((at - most) / NS_PER_S));
    seen_count("life over a restart");
  }
}
