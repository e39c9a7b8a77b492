/* Validate, build, append, publish: the one way content becomes a version of a zone. A batch is one sync and one transaction,
 * whatever the number of zones in it. */
#include "base/log.h"
#include "base/serial.h"
#include "control/control_priv.h"
#include "control/serial.h"
#include "zone/delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  DELTA_MOST_BYTES = 4 * 1024 * 1024, /* larger differences become an image */
  TAIL_FREE_BYTES = 256 * 1024,       /* so much tail of deltas is always allowed behind an image */
};

struct pending {
  struct zone_slot *zone;
  const struct zone_snap *snap; /* NULL: only the source is new */
  struct store_image image;     /* segment 0: a delta */
  uint64_t version;
  uint64_t delta_bytes;
  enum store_door door;
  char *author;
  bool created;
  bool served; /* by the slot already: only the store lacks it */
  uint64_t store_id;
  uint8_t *source;
  size_t source_size;
};

struct pipeline {
  struct control *control;
  struct store_batch *batch;
  struct pending *list;
  size_t count, capacity;
  enum err broken; /* the store refused a step: nothing of the batch can become durable */
};

enum err pipeline_begin(struct control *c, struct pipeline **out) {
  struct pipeline *p = calloc(1, sizeof *p);
  if (!p) return ERR_MEMORY;
  p->control = c;
  p->broken = store_batch_begin(c->store, &p->batch);
  *out = p;
  return ERR_OK;
}

static void pipeline_free(struct pipeline *p) {
  for (size_t i = 0; i < p->count; i++) {
    zone_snap_unref(p->list[i].snap);
    free(p->list[i].source);
    free(p->list[i].author);
  }
  free(p->list);
  free(p);
}

void pipeline_abort(struct pipeline *p) {
  if (!p) return;
  store_batch_abort(p->batch);
  pipeline_free(p);
}

static struct pending *pending_add(struct pipeline *p, struct zone_slot *z) {
  if (p->count == p->capacity) {
    size_t capacity = p->capacity ? 2 * p->capacity : 16;
    struct pending *list = realloc(p->list, capacity * sizeof *list);
    if (!list) return NULL;
    p->list = list;
    p->capacity = capacity;
  }
  struct pending *n = &p->list[p->count++];
  *n = (struct pending){.zone = z, .store_id = z->store_id, .version = z->version + 1};
  return n;
}

/* What was removed once and is marked so in the store lives again with its next change. */
static void unbury(struct pipeline *p, const struct pending *n) {
  if (n->zone->buried && !p->broken) p->broken = store_batch_state(p->batch, n->store_id, STORE_ZONE_LIVE, 0);
}

static enum err keep_source(struct pipeline *p, struct pending *n, const struct buf *source) {
  if (!source) return ERR_OK;
  n->source = malloc(source->size + 1);
  if (!n->source) return ERR_MEMORY;
  if (source->size) memcpy(n->source, source->data, source->size);
  n->source_size = source->size;
  if (!p->broken) p->broken = store_batch_source(p->batch, n->store_id, n->source, n->source_size);
  return ERR_OK;
}

/* A zone the store does not know yet gets its row; the first version goes on from a deleted namesake's. */
static void create_row(struct pipeline *p, struct pending *n) {
  struct name name;
  slot_name(n->zone, &name);
  uint64_t last_version = 0;
  if (!p->broken) p->broken = store_batch_create(p->batch, &name, &n->store_id, &last_version);
  n->version = last_version + 1;
  n->created = true;
}

static struct store_change make_change(const struct pending *n, const struct change_info *info, struct instant now) {
  const struct zone_slot *z = n->zone;
  return (struct store_change){
      .zone = n->store_id,
      .version = n->version,
      .has_serial_from = z->version != 0,
      .serial_from = z->stored_serial,
      .serial_to = zone_serial(n->snap),
      .at_s = now.wall_s,
      .door = info->door,
      .author = info->author ? info->author : "",
      .comment = info->comment ? info->comment : "",
  };
}

/* As a delta on what is served, if that is small beside the image and its tail; then the new snapshot shares the old one's
 * memory. False: it must be an image. */
static bool append_delta(struct pipeline *p, struct pending *n, const struct change_info *info, struct instant now) {
  const struct zone_slot *z = n->zone;
  if (n->created || !z->snap || !z->durable || !z->image.segment) return false;
  struct buf body = {0};
  struct delta_size size;
  struct zone_snap *applied = NULL;
  bool fits = zone_delta_make(z->snap, n->snap, DELTA_MOST_BYTES, &body, &size) == ERR_OK &&
              z->tail_bytes + body.size <= TAIL_FREE_BYTES + z->image.size_bytes / 2 &&
              zone_delta_apply(z->snap, body.data, body.size, &applied) == ERR_OK;
  if (fits) {
    struct store_change change = make_change(n, info, now);
    change.kind = STORE_DELTA;
    change.body = body.data;
    change.body_size = body.size;
    if (!p->broken) p->broken = store_batch_delta(p->batch, &change);
    n->delta_bytes = body.size;
    zone_snap_unref(n->snap);
    n->snap = applied;
  }
  buf_done(&body);
  return fits;
}

static void append_image(struct pipeline *p, struct pending *n, const struct change_info *info, struct instant now) {
  struct store_change change = make_change(n, info, now);
  change.kind = STORE_FULL;
  if (!p->broken) p->broken = store_batch_image(p->batch, n->store_id, n->version, n->snap, &change, &n->image);
}

/* The version as a change of the log, and where it came from. */
static enum err queue(struct pipeline *p, struct pending *n, const struct change_info *info, struct instant now) {
  n->door = info->door;
  n->author = info->author ? strdup(info->author) : NULL;
  if (info->author && !n->author && !p->broken) p->broken = ERR_MEMORY;
  if (!n->store_id) create_row(p, n);
  else unbury(p, n);
  if (n->snap && !append_delta(p, n, info, now)) append_image(p, n, info, now);
  return keep_source(p, n, info->source);
}

enum err pipeline_add(struct pipeline *p, struct zone_slot *z, const struct zone_snap *snap, const struct change_info *info,
                      struct instant now, struct buf *note) {
  bool same = false;
  enum err err = ERR_OK;
  if (info->fresh_serial) err = serial_refresh(z, &snap, now, &same, note);
  else same = z->snap && zone_equal(z->snap, snap);
  if (same && z->durable && !info->source) {
    zone_snap_unref(snap);
    return err;
  }
  struct pending *n = err ? NULL : pending_add(p, z);
  if (!n) {
    zone_snap_unref(snap);
    return err ? err : ERR_MEMORY;
  }
  if (same && z->durable) {
    zone_snap_unref(snap);
  } else {
    n->snap = snap;
    n->served = same;
  }
  return queue(p, n, info, now);
}

enum err pipeline_keep(struct pipeline *p, struct zone_slot *z) {
  struct pending *n = pending_add(p, z);
  if (!n) return ERR_MEMORY;
  n->snap = zone_snap_ref(z->snap);
  n->served = true;
  static const struct buf no_file;
  struct change_info info = {.door = z->door, .author = z->author};
  if (z->door == DOOR_TRANSFER && z->source_size) info.source = &no_file;
  return queue(p, n, &info, (struct instant){.wall_s = z->since_s});
}

/* The store has it. */
static void take_durable(struct pipeline *p, struct pending *n) {
  struct zone_slot *z = n->zone;
  z->store_id = n->store_id;
  z->head = store_head(p->control->store, n->store_id);
  z->buried = false;
  if (n->source) {
    free(z->source);
    z->source = n->source;
    z->source_size = n->source_size;
    n->source = NULL;
  }
  if (!n->snap) return;
  free(z->author);
  z->author = NULL;
  z->version = n->version;
  z->stored_serial = zone_serial(n->snap);
  if (n->image.segment) z->image = n->image;
  z->tail_bytes = n->image.segment ? 0 : z->tail_bytes + n->delta_bytes;
}

static void take_over(struct pipeline *p, struct pending *n, bool durable, struct instant now) {
  struct zone_slot *z = n->zone;
  if (durable) take_durable(p, n);
  if (!n->snap) return;
  zone_snap_unref(z->snap);
  z->snap = n->snap;
  n->snap = NULL;
  z->durable = durable;
  if (!durable) { /* for when the store takes it */
    free(z->author);
    z->author = n->author;
    z->door = n->door;
    n->author = NULL;
  }
  if (n->served) return;
  z->since_s = now.wall_s;
  z->expired = false;
  z->expires_mono_ns = 0; /* a transfer's is told by the machine right after */
}

/* Without the store: may this be served from memory? A transfer may, and content where there was none. */
static bool serve_without_store(const struct pending *n) {
  return n->snap && (n->door == DOOR_TRANSFER || !n->zone->snap);
}

static const char not_durable[] = "not durable: served from memory only, since the store could not keep it: ";

/* What the store said is told with the zone until it is kept, or the next version is. */
static void say_not_kept(struct zone_slot *z, const char *before, const char *why) {
  struct buf text = {0};
  buf_printf(&text, "%s%s", before, why);
  slot_trouble(z, buf_text(&text));
  buf_done(&text);
}

static void publish_one(struct control *c, struct pending *n, const char *why) {
  char name[NAME_TEXT_BYTES];
  struct zone_slot *z = n->zone;
  if (z->durable && !z->expired) slot_trouble(z, NULL);
  else if (!z->durable) say_not_kept(z, not_durable, why);
  if (slot_publish(c, z)) {
    slot_trouble(z, "out of memory while publishing");
    return;
  }
  if (n->served) return;
  log_event(EV_ZONE_LOADED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("serial", zone_serial(z->snap)),
            LOG_NUMBER("version", z->version), LOG_NUMBER("records", zone_record_count(z->snap)),
            LOG_TEXT("durable", z->durable ? "yes" : "no"));
  transfers_notify(c, z);
}

/* Whether the batch itself knows what broke it; a refused step alone leaves it unharmed, and it must not be committed then. */
static bool is_poisoned(const struct pipeline *p) {
  return p->batch && (p->broken == ERR_IO || p->broken == ERR_MEMORY || p->broken == ERR_CORRUPT);
}

static enum err commit(struct pipeline *p, struct store_error *why) {
  enum err err = p->broken;
  why->what[0] = 0;
  if (!err || is_poisoned(p)) err = store_batch_commit(p->batch, why);
  else store_batch_abort(p->batch);
  if (!err && p->broken) err = p->broken;
  if (!err) return ERR_OK;
  if (!why->what[0]) {
    const char *said = p->batch ? err_text(err) : "the store takes no changes: repair its disk and restart";
    snprintf(why->what, sizeof why->what, "%s", said);
  }
  log_event(EV_STORE_FAILED, LOG_TEXT("what", why->what), LOG_NUMBER("zones", p->count));
  return err;
}

static uint64_t image_bytes(const struct pipeline *p) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < p->count; i++)
    bytes += p->list[i].image.size_bytes;
  return bytes;
}

/* One zone of a batch that is durable, or with `err` is not. True: a new version is served. */
static bool finish_one(struct pipeline *p, struct pending *n, enum err err, const char *why, struct instant now) {
  bool content = n->snap != NULL, fresh = content && !n->served;
  if (err && !n->served && !serve_without_store(n)) {
    if (content) say_not_kept(n->zone, "the new version is not served, since the store could not keep it: ", why);
    return false;
  }
  if (err && content) n->image = (struct store_image){0};
  take_over(p, n, !err, now);
  if (content) publish_one(p->control, n, why);
  if (err) upkeep_not_kept(p->control);
  return fresh;
}

enum err pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why) {
  struct control *c = p->control;
  *changed = 0;
  if (p->count == 0) {
    pipeline_abort(p);
    return ERR_OK;
  }
  enum err err = commit(p, why);
  if (!err) upkeep_committed(c, image_bytes(p));
  bool bulk = p->count > 1;
  if (bulk) zone_set_bulk_begin(c->zones);
  for (size_t i = 0; i < p->count; i++)
    *changed += finish_one(p, &p->list[i], err, why->what, now);
  if (bulk && zone_set_bulk_end(c->zones)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing zones"));
  pipeline_free(p);
  return err;
}

enum err slot_publish(struct control *c, struct zone_slot *z) {
  struct zone_entry *e = calloc(1, sizeof *e);
  if (!e) return ERR_MEMORY;
  e->id = z->id;
  e->policy = &z->plan->policy;
  e->ede = EDE_NONE;
  e->state = !z->snap ? ZONE_NOT_LOADED : z->expired ? ZONE_EXPIRED : ZONE_READY;
  if (e->state == ZONE_READY) {
    e->snap = zone_snap_ref(z->snap);
    e->expire_s = slot_is_secondary(z) ? z->expire_s : serial_soa_expire(z->snap);
    e->expires_mono_ns = z->expires_mono_ns;
  } else if (e->state == ZONE_EXPIRED) {
    e->ede = EDE_INVALID_DATA;
    memcpy(e->ede_text, "zone expired", sizeof "zone expired");
  } else if (slot_is_secondary(z)) {
    e->ede = EDE_NOT_READY;
    memcpy(e->ede_text, "not transferred yet", sizeof "not transferred yet");
  } else {
    e->ede = EDE_INVALID_DATA;
    memcpy(e->ede_text, "zone file not usable", sizeof "zone file not usable");
  }
  struct name name;
  slot_name(z, &name);
  return zone_set_put(c->zones, &name, e);
}
