/* What is done from time to time: the timer file is written, the store is swept, and what is served from memory only is given to
 * the store again until it takes it. */
#include "base/log.h"
#include "base/mutation.h"
#include "control/control_priv.h"

enum {
  TIMERS_S = 60,
  TEND_MS = 1,                   /* behind a commit, so that its answers and NOTIFYs are gone */
  SWEEP_MOST_S = 3600,           /* between two sweeps ... */
  SWEEP_LEAST_S = 2,             /* ... and not more often than this when much is committed: */
  SWEEP_BATCHES = 512,           /* so many batches, each with a segment file perhaps, */
  SWEEP_IMAGE_BYTES = 256 << 20, /* or so much in images, which mostly replace others */
  RETAIN_S = 3600,               /* between passes over history when nothing presses */
  RETAIN_STEP_MS = 4,            /* between steps of one */
  RETAIN_LEAST_CHANGES = 16,     /* of a zone, however old */
  DISK_MS = 100,                 /* a look at the room on the disk holds so long while there is some */
  DISK_S = 10,                   /* between looks at the room on the disk ... */
  DISK_FULL_S = 1,               /* ... and when there is none */
  RETAIN_FULL_S = 60,            /* between passes then */
  KEEP_FIRST_S = 2,              /* doubles */
  KEEP_MOST_S = 60,
  KEEP_ALONE = 16,     /* zones tried one by one when all together did not go */
  COMING_SLOTS = 2048, /* looked at in one batch: some 50 ms, and enough for a segment that need not be moved */
};

void upkeep_start(struct control *c) {
  c->upkeep = (struct upkeep){.timers_ns = c->now.mono_ns,
                              .sweep_ns = c->now.mono_ns,
                              .retain_ns = c->now.mono_ns,
                              .tend_ns = c->now.mono_ns,
                              .disk_ns = c->now.mono_ns,
                              .keep_ns = UINT64_MAX,
                              .coming = SIZE_MAX,
                              .write_ns = UINT64_MAX};
}

static void later(uint64_t *at_ns, const struct control *c, uint64_t seconds) {
  *at_ns = c->now.mono_ns + seconds * NS_PER_S;
}

static void sooner(uint64_t *at_ns, const struct control *c, uint64_t seconds) {
  uint64_t then = c->now.mono_ns + seconds * NS_PER_S;
  if (*at_ns > then) *at_ns = then;
}

/* ---- the timer file ---- */

static void write_timers(struct control *c) {
  struct store_error why = {""};
  if (store_timers_flush(c->store, &why)) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  later(&c->upkeep.timers_ns, c, TIMERS_S);
}

/* ---- the sweep ---- */

static void sweep(struct control *c) {
  struct store_error why = {""};
  int64_t before = c->now.wall_s - (int64_t)c->epoch->config->history.deleted_s;
  if (store_sweep(c->store, before, &why)) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  c->upkeep.batches = c->upkeep.image_bytes = 0;
  later(&c->upkeep.sweep_ns, c, SWEEP_MOST_S);
}

/* ---- the disk ---- */

const char *upkeep_room_text(enum store_room room) {
  static const char *const texts[] = {
      [STORE_ROOM_GOOD] = "good",
      [STORE_ROOM_LOW] = "the disk of the state directory is nearly full",
      [STORE_ROOM_NO_BULK] =
          "little space left on the disk of the state directory: whole zones are not written until there is more",
      [STORE_ROOM_NONE] = "no space left on the disk of the state directory: changes are refused until there is room",
  };
  return texts[room];
}

static void room_changed(struct control *c, enum store_room before, const struct store_disk *d) {
  static const enum log_event events[] = {[STORE_ROOM_GOOD] = EV_DISK_GOOD,
                                          [STORE_ROOM_LOW] = EV_DISK_LOW,
                                          [STORE_ROOM_NO_BULK] = EV_DISK_LOW,
                                          [STORE_ROOM_NONE] = EV_DISK_FULL};
  log_event(events[d->room], LOG_TEXT("what", upkeep_room_text(d->room)), LOG_NUMBER("free-bytes", d->free_bytes),
            LOG_NUMBER("bytes", d->total_bytes));
  if (d->room == STORE_ROOM_NONE) { /* with the ballast's room */
    sooner(&c->upkeep.sweep_ns, c, 0);
    sooner(&c->upkeep.retain_ns, c, 0);
  }
  if (d->room < before && c->upkeep.keep_ns != UINT64_MAX) c->upkeep.keep_ns = c->now.mono_ns;
}

enum store_room upkeep_room(struct control *c) {
  const struct config_history *h = &c->epoch->config->history;
  struct store_disk *d = &c->upkeep.disk;
  enum store_room before = d->room;
  bool bounded = h->zone_bytes && h->zone_bytes < h->ballast_bytes;
  if (d->room < STORE_ROOM_NO_BULK && c->upkeep.looked_ns && c->now.mono_ns - c->upkeep.looked_ns < DISK_MS * NS_PER_MS)
    return d->room;
  c->upkeep.looked_ns = c->now.mono_ns;
  store_disk_look(c->store, bounded ? h->zone_bytes : h->ballast_bytes, d);
  if (d->known) later(&c->upkeep.disk_ns, c, d->room == STORE_ROOM_NONE ? DISK_FULL_S : DISK_S);
  else c->upkeep.disk_ns = UINT64_MAX;
  if (d->room != before) room_changed(c, before, d);
  return d->room;
}

/* ---- history ---- */

static void retain(struct control *c) {
  const struct config_history *h = &c->epoch->config->history;
  struct store_retention keep = {h->age_s, h->zone_bytes, RETAIN_LEAST_CHANGES};
  struct store_error why = {""};
  bool more = false;
  enum err err = store_retain(c->store, &keep, c->now.wall_s, &more, &why);
  if (err) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  if (err || !more) later(&c->upkeep.retain_ns, c, c->upkeep.disk.room == STORE_ROOM_NONE ? RETAIN_FULL_S : RETAIN_S);
  else c->upkeep.retain_ns = c->now.mono_ns + RETAIN_STEP_MS * NS_PER_MS;
}

void upkeep_configured(struct control *c, const struct config_history *before) {
  const struct config_history *h = &c->epoch->config->history;
  if (h->age_s != before->age_s || h->zone_bytes != before->zone_bytes) sooner(&c->upkeep.retain_ns, c, 0);
}

void upkeep_committed(struct control *c, uint64_t image_bytes) {
  struct upkeep *u = &c->upkeep;
  u->batches++;
  u->image_bytes += image_bytes;
  if (store_retain_is_due(c->store)) sooner(&u->retain_ns, c, 0);
  if (u->batches >= SWEEP_BATCHES || u->image_bytes >= SWEEP_IMAGE_BYTES) sooner(&u->sweep_ns, c, SWEEP_LEAST_S);
}

/* ---- what is not durable ---- */

void upkeep_not_kept(struct control *c) {
  uint64_t s = (uint64_t)KEEP_FIRST_S << (c->upkeep.keep_failures < 6 ? c->upkeep.keep_failures : 6);
  sooner(&c->upkeep.keep_ns, c, s < KEEP_MOST_S ? s : KEEP_MOST_S);
}

static bool is_not_kept(const struct zone_slot *z) {
  return z->snap && !z->durable;
}

/* All of them, or with `only` that one, in one batch. */
static enum err keep(struct control *c, struct zone_slot *only, size_t *count) {
  struct pipeline *p;
  struct zone_slot *z;
  struct store_error why;
  size_t changed;
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));) {
    if (!is_not_kept(z) || (only && z != only) || images_take_unkept(c, z)) continue;
    err = pipeline_keep(p, z, NULL);
    *count += 1;
  }
  if (!err) return pipeline_commit(p, c->now, &changed, &why);
  pipeline_abort(p);
  return err;
}

/* A zone that is too large for what room there is must not keep the others from being kept. */
static void keep_alone(struct control *c) {
  struct zone_slot *z;
  size_t tried = 0, count = 0;
  for (size_t i = 0; tried < KEEP_ALONE && (z = registry_next(&c->registry, &i));) {
    if (!is_not_kept(z) || images_are_aside(c, z->snap)) continue;
    tried++;
    if (keep(c, z, &count) == ERR_MEMORY) break;
  }
}

static void kept(struct control *c, enum err err, size_t count) {
  c->upkeep.keep_failures = err ? c->upkeep.keep_failures + 1 : 0;
  if (err) upkeep_not_kept(c);
  else if (count)
    log_event(EV_STORE_RECOVERED, LOG_TEXT("what", "what was served from memory only is durable now"), LOG_NUMBER("zones", count));
}

void upkeep_keep_ready(struct control *c, struct zone_slot *z, const struct ready *ready) {
  struct pipeline *p;
  struct store_error why;
  size_t changed, recovered = !z->coming;
  enum err err = pipeline_begin(c, &p);
  if (!err && (err = pipeline_keep(p, z, ready))) pipeline_abort(p);
  else if (!err) err = pipeline_commit(p, c->now, &changed, &why);
  kept(c, err, recovered);
}

void upkeep_settle(struct control *c) {
  struct zone_slot *z;
  size_t count = 0;
  bool any = false;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));)
    any |= z->coming;
  if (any && c->store && !c->upkeep.hurries) kept(c, keep(c, NULL, &count), 0);
}

static void keep_again(struct control *c) {
  size_t count = 0;
  c->upkeep.keep_ns = UINT64_MAX; /* a failure sets the next moment */
  sweep(c);                       /* may make room */
  enum err err = keep(c, NULL, &count);
  if (err && count > 1) keep_alone(c);
  kept(c, err, count);
}

void upkeep_coming(struct control *c) {
  if (c->upkeep.coming == SIZE_MAX) c->upkeep.coming = 0;
}

/* The next zones that are served and on their way into the store, in one batch. */
static void keep_coming(struct control *c) {
  struct pipeline *p;
  struct zone_slot *z;
  struct store_error why;
  size_t changed, *next = &c->upkeep.coming, end = *next + COMING_SLOTS;
  if (pipeline_begin(c, &p)) return;
  enum err err = ERR_OK;
  while (!err && *next < end && (z = registry_next(&c->registry, next)))
    if (z->coming && is_not_kept(z) && !images_take_unkept(c, z)) err = pipeline_keep(p, z, NULL);
  if (*next < end) *next = SIZE_MAX;
  if (err) pipeline_abort(p);
  else kept(c, pipeline_commit(p, c->now, &changed, &why), 0);
}

bool control_is_settled(const struct control *c) {
  return c->frozen || c->upkeep.hurries || c->upkeep.coming == SIZE_MAX;
}

void control_hurry(struct control *c) {
  c->upkeep.hurries = true;
}

/* ---- what commits would wait for ---- */

static void tend(struct control *c) {
  uint64_t *at_ns = &c->upkeep.tend_ns;
  if (c->now.mono_ns >= *at_ns) {
    store_tend(c->store);
    *at_ns = UINT64_MAX;
  }
  if (*at_ns == UINT64_MAX && store_tend_is_due(c->store)) *at_ns = c->now.mono_ns + TEND_MS * NS_PER_MS;
}

/* ---- the whole ---- */

void upkeep_run(struct control *c) {
  if (c->now.mono_ns >= c->upkeep.disk_ns) (void)upkeep_room(c);
  if (c->now.mono_ns >= c->upkeep.keep_ns) {
    if (MUTATION(KEEP_NEVER)) c->upkeep.keep_ns = UINT64_MAX;
    else keep_again(c);
  }
  if (c->upkeep.coming != SIZE_MAX) keep_coming(c);
  if (c->now.mono_ns >= c->upkeep.write_ns) write_back_run(c);
  if (c->now.mono_ns >= c->upkeep.sweep_ns) sweep(c);
  if (c->now.mono_ns >= c->upkeep.retain_ns) retain(c);
  if (c->now.mono_ns >= c->upkeep.timers_ns) write_timers(c);
  tend(c);
}

uint64_t upkeep_deadline(const struct control *c) {
  const struct upkeep *u = &c->upkeep;
  if (u->coming != SIZE_MAX) return 0;
  uint64_t at = u->timers_ns < u->sweep_ns ? u->timers_ns : u->sweep_ns;
  if (u->retain_ns < at) at = u->retain_ns;
  if (u->write_ns < at) at = u->write_ns;
  if (u->disk_ns < at) at = u->disk_ns;
  if (u->tend_ns < at) at = u->tend_ns;
  return at < u->keep_ns ? at : u->keep_ns;
}
