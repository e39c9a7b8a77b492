#include "control/figures.h"

#include "control/control_priv.h"
#include "control/serial.h"

#include <assert.h>

const char *const zone_state_text[ZONE_STATES] = {
    [ZONE_READY] = "served", [ZONE_NOT_LOADED] = "not-loaded", [ZONE_EXPIRED] = "expired"};

enum zone_state slot_state(const struct zone_slot *z) {
  return !z->snap ? ZONE_NOT_LOADED : z->expired ? ZONE_EXPIRED : ZONE_READY;
}

void control_figures(struct control *c, struct control_figures *out) {
  struct control_figures f = c->figures;
  struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    enum zone_state state = slot_state(z);
    *(slot_is_secondary(z) ? &f.zones[state].secondary : &f.zones[state].primary) += 1;
    if (slot_wrong(z)) f.troubled++;
    if (!z->snap) continue;
    f.not_durable += !z->durable && !z->coming;
    f.records += zone_record_count(z->snap);
    size_t mapped = zone_mapped_bytes(z->snap);
    f.zone_memory_bytes += zone_memory_bytes(z->snap) - mapped;
    f.zone_mapped_bytes += mapped;
  }
  f.zone_count = c->registry.count;
  f.zone_table_bytes = registry_memory_bytes(&c->registry) + zone_set_memory_bytes(c->zones);
  f.secondary = secondaries_counts(c->secondaries);
  f.disk = c->upkeep.disk;
  f.bulk_refused = c->upkeep.left_out;
  f.store_known = store_usage(c->store, &f.store) == ERR_OK;
  *out = f;
}

/* ---- each zone ---- */

static void figure_secondary(struct control *c, const struct zone_slot *z, struct instant now, struct zone_figures *out) {
  struct secondary_status s;
  if (!secondary_status(c->secondaries, z->id, &s)) return;
  out->has_last_good = s.last_good_wall_s != 0;
  int64_t ago = now.wall_s - s.last_good_wall_s;
  out->last_good_s = ago > 0 ? ago : 0; /* the wall clock may jump */
  out->can_expire = z->snap && s.expires_mono_ns;
  if (!out->can_expire) return;
  uint32_t whole_s = z->expire_s ? z->expire_s : serial_soa_expire(z->snap);
  bool left = !z->expired && s.expires_mono_ns > now.mono_ns;
  out->expires_s = left ? (double)(s.expires_mono_ns - now.mono_ns) / (double)NS_PER_S : 0;
  out->expire_share = whole_s ? out->expires_s / whole_s : 0;
}

static void figure_zone(struct control *c, const struct zone_slot *z, struct instant now, struct zone_figures *out) {
  *out = (struct zone_figures){.secondary = slot_is_secondary(z), .state = slot_state(z), .has_content = z->snap != NULL};
  if (z->snap) {
    out->serial = zone_serial(z->snap);
    out->records = zone_record_count(z->snap);
  }
  if (out->secondary) figure_secondary(c, z, now, out);
}

/* The less, the worse. */
static double rank(const struct zone_figures *z) {
  enum { NEVER_EXPIRES = 2 };
  if (z->state == ZONE_NOT_LOADED) return -2;
  if (z->state == ZONE_EXPIRED) return -1;
  return z->can_expire ? z->expire_share : NEVER_EXPIRES;
}

struct ranked {
  double rank;
  const struct zone_slot *zone;
};

/* Sorts it in; the list is full of the worst ones so far. */
static void keep_worst(struct ranked *list, size_t *count, size_t room, struct ranked r) {
  if (*count == room && list[room - 1].rank <= r.rank) return;
  size_t at = *count < room ? (*count)++ : room - 1;
  for (; at > 0 && list[at - 1].rank > r.rank; at--)
    list[at] = list[at - 1];
  list[at] = r;
}

static void show(struct control *c, const struct zone_slot *z, struct instant now,
                 void (*f)(void *arg, const struct zone_figures *z), void *arg) {
  char name[NAME_TEXT_BYTES];
  struct zone_figures figures;
  figure_zone(c, z, now, &figures);
  figures.name = slot_name_text(z, name);
  f(arg, &figures);
}

void control_each_zone(struct control *c, size_t worst, struct instant now, void (*f)(void *arg, const struct zone_figures *z),
                       void *arg) {
  struct ranked list[LIMIT_WORST_ZONES];
  struct zone_figures figures;
  size_t count = 0;
  assert(worst <= LIMIT_WORST_ZONES);
  const struct zone_slot *z;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    if (worst == 0) {
      show(c, z, now, f, arg);
      continue;
    }
    figure_zone(c, z, now, &figures);
    keep_worst(list, &count, worst, (struct ranked){rank(&figures), z});
  }
  for (size_t i = 0; i < count; i++)
    show(c, list[i].zone, now, f, arg);
}

void control_memory(const struct control *c, struct zone_memory *out) {
  const struct zone_slot *z;
  *out = (struct zone_memory){0};
  for (size_t i = 0; (z = registry_next(&c->registry, &i));)
    if (z->snap) zone_memory_add(z->snap, out);
}
