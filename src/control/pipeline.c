/* Validate, build, append, publish: the one way content becomes a version of a zone. A batch is one sync and one transaction,
 * whatever the number of zones in it. */
#include "base/log.h"
#include "base/serial.h"
#include "control/control_priv.h"
#include "control/serial.h"
#include "zone/delta.h"

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
  bool created;
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
  *n = (struct pending){.zone = z, .store_id = z->store_id};
  return n;
}

static enum err keep_source(struct pipeline *p, struct pending *n, const struct buf *source) {
  if (!source) return ERR_OK;
  n->source = malloc(source->size ? source->size : 1);
  if (!n->source) return ERR_MEMORY;
  memcpy(n->source, source->data, source->size);
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
  const struct zone_snap *old = n->zone->snap;
  return (struct store_change){
      .zone = n->store_id,
      .version = n->version,
      .has_serial_from = old != NULL,
      .serial_from = old ? zone_serial(old) : 0,
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

enum err pipeline_add(struct pipeline *p, struct zone_slot *z, const struct zone_snap *snap, const struct change_info *info,
                      struct instant now, struct buf *note) {
  bool same = false;
  enum err err = ERR_OK;
  if (z->snap && info->fresh_serial) err = serial_refresh(z, &snap, now, &same, note);
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
  n->door = info->door;
  n->version = z->version + 1;
  if (!n->store_id) create_row(p, n);
  if (same && z->durable) {
    zone_snap_unref(snap);
  } else {
    n->snap = snap;
    if (!append_delta(p, n, info, now)) append_image(p, n, info, now);
  }
  return keep_source(p, n, info->source);
}

static void take_over(struct pipeline *p, struct pending *n, bool durable, struct instant now) {
  struct zone_slot *z = n->zone;
  if (durable) {
    z->store_id = n->store_id;
    z->head = store_head(p->control->store, n->store_id);
    if (n->source) {
      free(z->source);
      z->source = n->source;
      z->source_size = n->source_size;
      n->source = NULL;
    }
  }
  if (!n->snap) return;
  zone_snap_unref(z->snap);
  z->snap = n->snap;
  n->snap = NULL;
  z->durable = durable;
  z->since_s = now.wall_s;
  z->expired = false;
  z->expires_mono_ns = 0; /* a transfer's is told by the machine right after */
  if (!durable) return;
  z->version = n->version;
  if (n->image.segment) z->image = n->image;
  z->tail_bytes = n->image.segment ? 0 : z->tail_bytes + n->delta_bytes;
}

/* Without the store: may this be served from memory? A transfer may, and content where there was none. */
static bool serve_without_store(const struct pending *n) {
  return n->snap && (n->door == DOOR_TRANSFER || !n->zone->snap);
}

static void publish_one(struct control *c, struct pending *n) {
  char name[NAME_TEXT_BYTES];
  struct zone_slot *z = n->zone;
  slot_trouble(z, z->durable ? NULL : "served from memory only: the store could not keep this version");
  if (slot_publish(c, z)) {
    slot_trouble(z, "out of memory while publishing");
    return;
  }
  log_event(EV_ZONE_LOADED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("serial", zone_serial(z->snap)),
            LOG_NUMBER("version", z->version), LOG_NUMBER("records", zone_record_count(z->snap)),
            LOG_TEXT("durable", z->durable ? "yes" : "no"));
  transfers_notify(c, z);
}

enum err pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why) {
  struct control *c = p->control;
  enum err err = p->broken;
  *changed = 0;
  if (p->count == 0 && !err) {
    pipeline_abort(p);
    return ERR_OK;
  }
  why->what[0] = 0;
  if (err) store_batch_abort(p->batch);
  else err = store_batch_commit(p->batch, why);
  if (err) log_event(EV_STORE_FAILED, LOG_TEXT("what", why->what[0] ? why->what : err_text(err)), LOG_NUMBER("zones", p->count));
  bool bulk = p->count > 1;
  if (bulk) zone_set_bulk_begin(c->zones);
  for (size_t i = 0; i < p->count; i++) {
    struct pending *n = &p->list[i];
    if (err && !serve_without_store(n)) continue;
    bool content = n->snap != NULL;
    take_over(p, n, !err, now);
    if (!content) continue;
    publish_one(c, n);
    ++*changed;
  }
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
