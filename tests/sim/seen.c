/* Which transitions were seen: rows of seen.def, every event of the log, and every step between two phases of a secondary zone. */
#include "control/control_priv.h"
#include "disk.h"
#include "sim.h"
#include "store/store_priv.h"

#include <string.h>
#include <sys/mman.h>

enum { PHASES = SECONDARY_COMMITTING + 1 };

static const char *const own_names[] = {
#define SEEN(name) name,
#include "seen.def"
#undef SEEN
};
enum { OWN = sizeof own_names / sizeof *own_names, EVENTS_AT = OWN, PHASES_AT = OWN + EV_COUNT, ALL = PHASES_AT + PHASES * PHASES };

static const char *const phase_names[PHASES] = {"idle", "asking", "waiting", "transferring", "committing"};

/* What can't be: a step to itself; and to wait for a place, when there are places for all. */
static bool is_possible(size_t from, size_t to) {
  return from != to && from != SECONDARY_WAITING_SLOT && to != SECONDARY_WAITING_SLOT &&
         (to != SECONDARY_COMMITTING || from == SECONDARY_TRANSFERRING) &&
         (to != SECONDARY_TRANSFERRING || from == SECONDARY_ASKING);
}

/* Events of what is not simulated: sockets, swaps, configurations. */
static bool is_elsewhere(enum log_event e) {
  switch (e) {
  case EV_SERVER_STARTED:
  case EV_SERVER_SWAPPING:
  case EV_SERVER_STOPPING:
  case EV_SERVER_NO_USER:
  case EV_XDP_FAILED:
  case EV_LISTENING:
  case EV_STORE_OPENED:
  case EV_CONFIG_REFUSED:
  case EV_CONFIG_WARNING:
  case EV_ZONE_ADDED:
  case EV_ZONE_REMOVED:
  case EV_NOTIFY_REFUSED:
  case EV_TRANSFER_REFUSED:
  case EV_UPDATE_REFUSED:
  case EV_TSIG_FAILED:
    return true; /* the last four are logged by the control thread's loop for workers */
  default:
    return false;
  }
}

struct seen_list *seen;
static uint8_t last_phase[NODES][ZONES];
static struct secondary_counts last_counts[NODES];
static bool last_expired[NODES][ZONES];

void seen_begin(void) {
  if (!seen) {
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(seen != MAP_FAILED && ALL <= sizeof seen->counts / sizeof *seen->counts);
    seen->count = ALL;
  }
  memset(last_counts, 0, sizeof last_counts);
  memset(last_phase, 0, sizeof last_phase);
}

static void count(size_t row, uint64_t n) {
  __atomic_fetch_add(&seen->counts[row], n, __ATOMIC_RELAXED);
}

static void count_many(const char *what, uint64_t n) {
  size_t i = 0;
  while (i < OWN && strcmp(own_names[i], what) != 0)
    i++;
  MUST(i < OWN);
  count(i, n);
}

void seen_count(const char *what) {
  count_many(what, 1);
}

void seen_log(enum log_event event) {
  count(EVENTS_AT + event, 1);
}

static void counted(const char *what, uint64_t *last, uint64_t now) {
  if (now > *last) count_many(what, now - *last);
  *last = now;
}

void seen_node(struct node *n) {
  struct secondary_counts c = secondaries_counts(n->control->secondaries), *l = &last_counts[n->index];
  counted("secondary: SOA asked", &l->soa_queries, c.soa_queries);
  counted("secondary: SOA silent", &l->soa_silent, c.soa_silent);
  counted("secondary: transfer begun", &l->transfers, c.transfers);
  counted("secondary: transfer failed", &l->transfers_failed, c.transfers_failed);
  counted("secondary: changes taken", &l->transfers_changes, c.transfers_changes);
  counted("secondary: fell back to the whole zone", &l->transfers_fell_back, c.transfers_fell_back);
  counted("secondary: digest refused", &l->zonemd_refused, c.zonemd_refused);
  counted("secondary: NOTIFY taken", &l->notifies, c.notifies);
  counted("secondary: NOTIFY of a known serial", &l->notifies_known, c.notifies_known);
  counted("secondary: NOTIFY while busy", &l->notifies_busy, c.notifies_busy);
  counted("secondary: expired", &l->expired, c.expired);
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&n->control->registry, &i));) {
    struct secondary_status s;
    if (notifier_pending(n->control->notifier, z->id)) seen_count("notifier: pending");
    if (z->id >= ZONES || !secondary_status(n->control->secondaries, z->id, &s)) continue;
    uint8_t *phase = &last_phase[n->index][z->id];
    bool *expired = &last_expired[n->index][z->id];
    if (*phase != s.phase) count(PHASES_AT + (size_t)*phase * PHASES + s.phase, 1);
    if (*expired && !s.expired) seen_count("secondary: recovered from expiry");
    *phase = (uint8_t)s.phase;
    *expired = s.expired;
  }
}

/* ---- what the linker puts before functions of the servers ---- */

enum err __real_pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why);
enum err __wrap_pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why);
enum err __real_store_batch_commit(struct store_batch *b, struct store_error *error);
enum err __wrap_store_batch_commit(struct store_batch *b, struct store_error *error);
void __real_batch_tell_written(const struct store_batch *b);
void __wrap_batch_tell_written(const struct store_batch *b);
void __real_store_batch_abort(struct store_batch *b);
void __wrap_store_batch_abort(struct store_batch *b);
enum err __real_store_sweep(struct store *s, int64_t before_s, struct store_error *error);
enum err __wrap_store_sweep(struct store *s, int64_t before_s, struct store_error *error);
enum err __real_store_timers_flush(struct store *s, struct store_error *error);
enum err __wrap_store_timers_flush(struct store *s, struct store_error *error);
enum err __real_db_settle(struct db *db, struct store_error *error);
enum err __wrap_db_settle(struct db *db, struct store_error *error);

static enum err outcome(enum err e, const char *good, const char *bad) {
  if (at_node && !at_node->dying) seen_count(e ? bad : good);
  return e;
}

enum err __wrap_pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why) {
  enum err e = __real_pipeline_commit(p, now, changed, why);
  return outcome(e, *changed ? "pipeline: committed" : "pipeline: nothing changed", "pipeline: failed");
}

enum err __wrap_store_batch_commit(struct store_batch *b, struct store_error *error) {
  return outcome(__real_store_batch_commit(b, error), "store: batch committed", "store: batch failed");
}

void __wrap_batch_tell_written(const struct store_batch *b) {
  if (at_node && at_node->control) check_observe(at_node);
  __real_batch_tell_written(b);
  if (at_node && at_node->control) check_written(at_node);
}

void __wrap_store_batch_abort(struct store_batch *b) {
  if (b) seen_count("store: batch aborted");
  __real_store_batch_abort(b);
}

enum err __wrap_store_sweep(struct store *s, int64_t before_s, struct store_error *error) {
  return outcome(__real_store_sweep(s, before_s, error), "store: swept", "store: sweep failed");
}

enum err __wrap_store_timers_flush(struct store *s, struct store_error *error) {
  enum err e = outcome(__real_store_timers_flush(s, error), "store: timers written", "store: timers not written");
  if (at_node && !disk_is_ghost(disk_at_hand())) check_timers_flushed(at_node, s, !e && !at_node->dying);
  return e;
}

enum err __wrap_db_settle(struct db *db, struct store_error *error) {
  return outcome(__real_db_settle(db, error), "store: log copied into the database", "node could not start");
}

/* NULL for a row that can't be. */
size_t seen_names(const char *const **out) {
  static const char *names[ALL];
  static char phases[PHASES * PHASES][48];
  for (size_t i = 0; i < ALL; i++) {
    if (i < EVENTS_AT) {
      names[i] = own_names[i];
    } else if (i < PHASES_AT) {
      enum log_event e = (enum log_event)(i - EVENTS_AT);
      names[i] = is_elsewhere(e) ? NULL : log_event_name(e);
    } else {
      size_t from = (i - PHASES_AT) / PHASES, to = (i - PHASES_AT) % PHASES;
      snprintf(phases[i - PHASES_AT], sizeof *phases, "phase %s -> %s", phase_names[from], phase_names[to]);
      names[i] = is_possible(from, to) ? phases[i - PHASES_AT] : NULL;
    }
  }
  *out = names;
  return ALL;
}
