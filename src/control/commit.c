/* Append durably, publish: a batch becomes what the log has and what readers see, or nothing of it does. */
#include "base/log.h"
#include "base/mutation.h"
#include "control/pipeline_priv.h"
#include "control/serial.h"
#include "control/whole.h"
#include "zone/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWNER_TEXT_BYTES = 96 };

/* The file that the content is from. */
static void slot_source(struct zone_slot *z, struct pending *n) {
  source_drop(z->source);
  z->source = n->source;
  z->source_size = n->source_size;
  n->source = NULL;
}

/* The store has it. */
static void take_durable(struct pipeline *p, struct pending *n) {
  struct zone_slot *z = n->zone;
  z->store_id = n->store_id;
  z->head = store_head(p->control->store, n->store_id);
  z->buried = false;
  if (n->source) slot_source(z, n);
  z->version = n->version;
  z->image = n->image;
  z->tail_bytes = n->tail_bytes;
  z->departed = n->departed;
  write_back_due(p->control, z);
  if (!n->content) return;
  slot_author(z, NULL, NULL);
  z->stored_serial = zone_serial(n->snap);
  z->restored = false;
  z->has_content = zone_content(n->snap, &z->content);
}

/* The slot's content is this. */
static void take_content(struct pending *n, bool durable, struct instant now) {
  struct zone_slot *z = n->zone;
  if (!n->served) slot_shown(z); /* else a newer one may be */
  zone_snap_unref(z->snap);
  z->snap = n->snap;
  n->snap = NULL;
  z->durable = durable;
  z->coming = n->aside;
  if (!durable) { /* for when the store takes it */
    slot_author(z, n->author, n->comment);
    z->door = n->door;
    n->author = n->comment = NULL;
  }
  if (!durable && n->source) slot_source(z, n);
  if (n->served) return;
  z->since_s = now.wall_s;
  z->expired = false;
  z->expires_mono_ns = 0; /* a transfer's is told by the machine right after */
}

/* Without the store: may this be served from memory? A transfer may, and content where there was none. */
static bool serve_without_store(const struct pending *n) {
  return n->content && (n->door == DOOR_TRANSFER || !n->zone->snap);
}

static const char not_durable[] = "not durable: served from memory only, since the store could not keep it: ";

/* What the store said is told with the zone until it is kept, or the next version is. */
static void say_not_kept(struct zone_slot *z, const char *before, const char *why) {
  struct buf text = {0};
  buf_printf(&text, "%s%s", before, why);
  slot_trouble(z, buf_text(&text));
  buf_done(&text);
}

static void publish_one(struct control *c, struct zone_slot *z, bool fresh, const char *why) {
  char name[NAME_TEXT_BYTES];
  if (z->durable && !z->expired) slot_trouble(z, NULL);
  else if (!z->durable && !z->coming) say_not_kept(z, not_durable, why);
  if (slot_publish(c, z)) {
    slot_trouble(z, "out of memory while publishing");
    return;
  }
  if (!fresh) return;
  log_event(EV_ZONE_LOADED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("serial", zone_serial(z->snap)),
            LOG_NUMBER("version", z->version), LOG_NUMBER("records", zone_record_count(z->snap)),
            LOG_TEXT("durable", z->durable ? "yes" : "no"));
  if (!MUTATION(NOTIFY_NONE)) transfers_notify(c, z);
}

/* Whether the batch itself knows what broke it; a refused step alone leaves it unharmed, and it must not be committed then. */
static bool is_poisoned(const struct pipeline *p) {
  return p->batch && (p->broken == ERR_IO || p->broken == ERR_MEMORY || p->broken == ERR_CORRUPT);
}

/* The batch is in the log, and the sync is to come. */
static void show_written(void *arg) {
  const struct pipeline *p = arg;
  for (size_t i = 0; i < p->count; i++) {
    const struct pending *n = &p->list[i];
    if (n->content && !n->served && !n->superseded) slot_show(p->control, n->zone, n->snap);
  }
}

static enum err commit(struct pipeline *p, struct store_error *why) {
  enum err err = p->broken;
  why->what[0] = 0;
  if (p->batch) store_batch_written(p->batch, show_written, p);
  if (!err || is_poisoned(p)) err = store_batch_commit(p->batch, why);
  else store_batch_abort(p->batch);
  if (!err && p->broken) err = p->broken;
  if (!err) return ERR_OK;
  if (!why->what[0]) {
    const char *said = p->batch                     ? err_text(err)
                       : p->room == STORE_ROOM_NONE ? upkeep_room_text(p->room)
                                                    : "the store takes no changes: repair its disk and restart";
    snprintf(why->what, sizeof why->what, "%s", said);
  }
  log_event(EV_STORE_FAILED, LOG_TEXT("what", why->what), LOG_NUMBER("zones", p->count));
  p->control->upkeep.looked_ns = 0;
  (void)upkeep_room(p->control);
  return err;
}

static uint64_t image_bytes(const struct pipeline *p) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < p->count; i++)
    bytes += p->list[i].new_image_bytes;
  return bytes;
}

/* The last change of a zone in a batch that is durable. True: readers see a new version. */
static bool finish_durable(struct pipeline *p, struct pending *n, struct instant now) {
  struct zone_slot *z = n->zone;
  bool fresh = !n->served && n->snap && n->snap != z->snap;
  take_durable(p, n);
  if (n->snap && (fresh || n->content)) {
    take_content(n, true, now);
    publish_one(p->control, z, fresh, "");
  }
  images_refresh(p->control, z);
  if (n->served) transfers_kept(p->control, z);
  return fresh;
}

/* The same of a batch that the store could not keep. */
static bool finish_failed(struct pipeline *p, struct pending *n, const char *why, struct instant now) {
  struct zone_slot *z = n->zone;
  if (!n->content) return false;
  if (!n->served && !serve_without_store(n) && !MUTATION(SERVE_LOST)) {
    say_not_kept(z, "the new version is not served, since the store could not keep it: ", why);
    return false;
  }
  bool fresh = !n->served;
  take_content(n, MUTATION(DURABLE_LIE), now);
  publish_one(p->control, z, fresh, why);
  upkeep_not_kept(p->control);
  return fresh;
}

/* What is not in the batch yet, and will be in one soon. */
static bool finish_aside(struct pipeline *p, struct pending *n, bool promised, struct instant now) {
  if (promised) n->zone->store_id = n->store_id;
  if (promised) n->zone->version = n->version;
  take_content(n, false, now);
  publish_one(p->control, n->zone, true, "");
  if (!images_take_unkept(p->control, n->zone)) upkeep_coming(p->control);
  return true;
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
  for (size_t i = 0; i < p->count; i++) {
    struct pending *n = &p->list[i];
    if (n->superseded) continue;
    if (n->aside) *changed += finish_aside(p, n, !err, now);
    else if (err) *changed += finish_failed(p, n, why->what, now);
    else if (n->left_out) *changed += finish_failed(p, n, upkeep_room_text(p->room), now);
    else *changed += finish_durable(p, n, now);
  }
  if (bulk && zone_set_bulk_end(c->zones)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing zones"));
  if (!err && p->left_out) {
    err = ERR_IO;
    c->upkeep.left_out++;
    snprintf(why->what, sizeof why->what, "%s", upkeep_room_text(p->room));
    log_event(EV_STORE_FAILED, LOG_TEXT("what", why->what));
  }
  pipeline_free(p);
  return err;
}

enum err pipeline_change(struct control *c, struct zone_slot *z, const struct zone_snap *snap, const struct change_info *info,
                         struct buf *note, size_t *changed, struct store_error *why) {
  struct pipeline *p;
  *changed = 0;
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  err = pipeline_add(p, z, zone_snap_ref(snap), info, c->now, note);
  if (!err) return pipeline_commit(p, c->now, changed, why);
  pipeline_abort(p);
  return err;
}

/* For whoever tries to update it all the same: the file's name, but not where it is. 0: nothing is to be said. */
static size_t say_who_owns(const struct zone_slot *z, char out[OWNER_TEXT_BYTES]) {
  static const char begin[] = "the zone is its file ";
  struct buf path = {0};
  if (!z->snap || z->expired || slot_is_secondary(z) || config_zone_has_writers(z->config->options)) return 0;
  const char *file = config_zone_file(z->config, &path), *name = strrchr(file, '/');
  size_t size = strlen(name ? ++name : (name = file)), most = OWNER_TEXT_BYTES - sizeof begin;
  if (size > most) size = most;
  memcpy(out, begin, sizeof begin - 1);
  memcpy(out + sizeof begin - 1, name, size);
  out[sizeof begin - 1 + size] = 0;
  bool any = file[0];
  buf_done(&path);
  return any ? sizeof begin + size : 0;
}

void slot_shown(struct zone_slot *z) {
  zone_snap_unref(z->shown);
  z->shown = NULL;
}

/* What nobody else changes here its primary has, should this machine lose it. */
static bool is_at_primary(const struct zone_slot *z, const struct zone_snap *snap) {
  return (slot_is_secondary(z) && !zonemd_is_ours(z, snap)) || MUTATION(PUBLISH_EARLY);
}

void slot_unshow(struct control *c, struct zone_slot *z) {
  if (!z->shown) return;
  slot_shown(z);
  if (slot_publish(c, z)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing"));
}

void slot_show(struct control *c, struct zone_slot *z, const struct zone_snap *snap) {
  if (!z->snap || z->expired || z->shown == snap || !is_at_primary(z, snap)) return;
  slot_shown(z);
  z->shown = zone_snap_ref(snap);
  if (slot_publish(c, z)) slot_shown(z); /* out of memory: a moment later */
}

enum err slot_publish(struct control *c, struct zone_slot *z) {
  char owner[OWNER_TEXT_BYTES];
  size_t owner_size = say_who_owns(z, owner);
  struct zone_entry *e = calloc(1, sizeof *e + owner_size);
  if (!e) return ERR_MEMORY;
  e->id = z->id;
  e->policy = &z->plan->policy;
  e->ede = EDE_NONE;
  e->state = !z->snap ? ZONE_NOT_LOADED : z->expired ? ZONE_EXPIRED : ZONE_READY;
  if (e->state == ZONE_READY) {
    e->snap = zone_snap_ref(z->shown ? z->shown : z->snap);
    e->expire_s = slot_is_secondary(z) ? z->expire_s : serial_soa_expire(z->snap);
    e->expires_mono_ns = z->expires_mono_ns;
    e->log_zone = z->durable && !z->shown ? z->store_id : 0;
    e->log_head = z->head;
    if (owner_size) e->ede_text = memcpy(e->text, owner, owner_size);
  } else if (e->state == ZONE_EXPIRED) {
    e->ede = EDE_INVALID_DATA;
    e->ede_text = "zone expired";
  } else if (slot_is_secondary(z)) {
    e->ede = EDE_NOT_READY;
    e->ede_text = "not transferred yet";
  } else if (z->head) {
    e->ede = EDE_INVALID_DATA;
    e->ede_text = "zone content not readable";
  } else if (z->config->options->managed) {
    e->ede = EDE_NOT_READY;
    e->ede_text = "no content yet";
  } else if (whole_progress(c, z->id, NULL)) {
    e->ede = EDE_NOT_READY;
    e->ede_text = "zone file is being read";
  } else {
    e->ede = EDE_INVALID_DATA;
    e->ede_text = "zone file not usable";
  }
  struct name name;
  slot_name(z, &name);
  return zone_set_put(c->zones, &name, e);
}
