/* First load and restart: what the store has is opened, what a file has is read if it is not what the store has, and secondary
 * zones start to ask. A zone's trouble stays its own. */
#include "base/log.h"
#include "control/control_priv.h"
#include "zone/content.h"
#include "zone/image.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the store has ---- */

struct ids {
  uint64_t *list;
  size_t count, capacity;
};

struct adopt {
  struct control *control;
  uint32_t near;      /* the slot behind that of the zone before */
  uint8_t *source;    /* of a zone before; NULL: none. The zone's reference */
  struct ids gone;    /* store ids of live zones that the configuration does not name */
  struct ids claimed; /* of zones that were added at run time, and are named by it now */
  bool out_of_memory;
};

static bool add_id(struct adopt *a, struct ids *ids, uint64_t id) {
  if (ids->count == ids->capacity) {
    size_t capacity = ids->capacity ? 2 * ids->capacity : 64;
    uint64_t *list = realloc(ids->list, capacity * sizeof *list);
    if (!list) {
      a->out_of_memory = true;
      return false;
    }
    ids->list = list;
    ids->capacity = capacity;
  }
  ids->list[ids->count++] = id;
  return true;
}

static bool has_seed(const struct control *c, uint64_t store_id) {
  struct store_image seed;
  store_seed_of(c->store, store_id, &seed);
  return seed.segment != 0;
}

static bool adopt_source(struct adopt *a, struct zone_slot *z, const struct store_zone *s) {
  uint8_t *was = z->source;
  z->source = s->source_size ? source_share(a->source, s->source, s->source_size) : NULL;
  z->source_size = z->source ? s->source_size : 0;
  if (z->source) a->source = z->source;
  else if (a->source == was) a->source = NULL;
  source_drop(was);
  a->out_of_memory = s->source_size && !z->source;
  return !a->out_of_memory;
}

/* A name may have several rows: a live one, and deleted ones, of which the newest counts if none lives. */
static bool adopt_zone(void *arg, const struct store_zone *s) {
  struct adopt *a = arg;
  struct zone_slot *z = registry_find_near(&a->control->registry, s->name, s->name_size, &a->near);
  bool deleted = s->state == STORE_ZONE_DELETED;
  if (!z && !deleted && s->options_size) {
    enum err err = run_time_adopt(a->control, s, &z);
    a->out_of_memory = err == ERR_MEMORY;
    if (err) return !a->out_of_memory; /* it can't be served now, and is kept */
  }
  if (!z) return deleted || add_id(a, &a->gone, s->id);
  if (s->options_size && !z->run_time && !add_id(a, &a->claimed, s->id)) return false;
  if (z->started || (z->store_id && deleted && (!z->buried || z->version >= s->version))) return true;
  z->store_id = s->id;
  z->buried = z->revived = deleted;
  z->version = s->version;
  z->stored_serial = s->serial;
  z->head = s->head;
  z->has_content = s->has_content;
  z->content = s->content;
  z->restored = store_is_restored(a->control->store, s->head);
  z->image = s->image;
  z->departed = has_seed(a->control, s->id);
  return adopt_source(a, z, s);
}

/* Zones that came and went, marked so in the store. What fails here is made good by the zone's next change, or the next start. */
static enum err mark_states(struct control *c, const struct adopt *a, struct store_error *why) {
  struct store_batch *b;
  struct zone_slot *z;
  enum err err = store_batch_begin(c->store, &b);
  if (err) return err;
  for (size_t i = 0; !err && i < a->gone.count; i++)
    err = store_batch_state(b, a->gone.list[i], STORE_ZONE_DELETED, c->now.wall_s);
  for (size_t i = 0; !err && i < a->claimed.count; i++)
    err = store_batch_options(b, a->claimed.list[i], NULL, 0);
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));)
    if (z->buried) err = store_batch_state(b, z->store_id, STORE_ZONE_LIVE, 0);
  if (!err) err = store_batch_commit(b, why);
  else store_batch_abort(b);
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));)
    z->buried = false;
  return err;
}

/* With a slot only what the store has of that one. */
static enum err adopt(struct control *c, const struct zone_slot *only) {
  struct adopt a = {.control = c};
  struct store_error why = {""};
  struct name name;
  if (only) slot_name(only, &name);
  enum err err = only ? store_zones_named(c->store, name.octets, name.size, adopt_zone, &a, &why)
                      : store_each_zone(c->store, adopt_zone, &a, &why);
  if (a.out_of_memory) err = ERR_MEMORY;
  bool any = a.gone.count || a.claimed.count || (only && only->buried);
  struct zone_slot *z;
  for (size_t i = 0; !only && !any && (z = registry_next(&c->registry, &i));)
    any = z->buried;
  enum err marked = !err && any ? mark_states(c, &a, &why) : ERR_OK;
  if (marked) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what[0] ? why.what : err_text(marked)));
  free(a.gone.list);
  free(a.claimed.list);
  if (err && err != ERR_MEMORY) log_event(EV_STORE_FAILED, LOG_TEXT("what", why.what));
  return err;
}

enum err registry_adopt_store(struct control *c) {
  return adopt(c, NULL);
}

enum err registry_adopt_zone(struct control *c, const struct zone_slot *z) {
  return adopt(c, z);
}

struct replay {
  const struct zone_snap *snap;
  struct digest128 content; /* of the last change, if it has one */
  uint64_t bytes;
  bool has_content, differs;
};

/* What a change does has to lead from digest to digest. */
static enum err check_content(struct replay *r, const struct store_change *change) {
  struct digest128 content = r->content;
  struct delta_size size;
  enum err err = ERR_OK;
  if (r->has_content && change->has_content) {
    err = zone_content_delta(change->body, change->body_size, &content, &size);
    if (!zone_content_equal(content, change->content)) r->differs = true;
  }
  r->has_content = change->has_content;
  r->content = change->content;
  return err;
}

static enum err replay_change(void *arg, const struct store_change *change) {
  struct replay *r = arg;
  struct zone_snap *next;
  if (change->kind != STORE_DELTA) return ERR_CORRUPT;
  enum err checked = check_content(r, change);
  if (checked) return checked;
  enum err err = zone_delta_apply(r->snap, change->body, change->body_size, &next);
  if (err) return err;
  zone_snap_unref(r->snap);
  r->snap = next;
  r->bytes += change->body_size;
  return ERR_OK;
}

enum { VERIFY_RECORDS = 100000 /* a walk over larger zones would be felt at a start */ };

/* Whether it has come to what the log says. */
static void check_whole(struct replay *r) {
  struct digest128 whole;
  if (r->differs || !r->has_content || zone_record_count(r->snap) > VERIFY_RECORDS) return;
  if (!zone_content_whole(r->snap, &whole)) r->differs = !zone_content_equal(whole, r->content);
}

enum err zone_replay(struct store *s, struct store_reader *reader, const struct zone_slot *z, uint64_t after,
                     struct opened_zone *zone, struct store_error *why) {
  struct replay r = {.snap = zone->snap};
  enum err err = reader ? store_reader_each_change(reader, z->store_id, z->head, after, replay_change, &r, why)
                        : store_each_change(s, z->store_id, z->head, after, replay_change, &r, why);
  if (!err) check_whole(&r);
  *zone = (struct opened_zone){r.snap, r.bytes, r.differs};
  return err;
}

/* What was replayed is served in any case, for there may be nothing better; a secondary transfers it anew at once. */
static void take_content_digest(struct zone_slot *z, bool differs) {
  char name[NAME_TEXT_BYTES];
  if (!differs) {
    if (z->has_content) zone_content_set(z->snap, z->content);
    return;
  }
  z->revived = true;
  log_event(EV_STORE_DAMAGED, LOG_TEXT("zone", slot_name_text(z, name)),
            LOG_TEXT("what", "what image and log lead to does not fit the digest in the log"));
}

static enum err prove_image(const struct zone_snap *s) {
  bool more = true;
  enum err err = ERR_OK;
  while (!err && more)
    err = zone_image_prove(s, &more);
  return err;
}

enum err zone_catch_up(struct control *c, const struct zone_slot *z, uint64_t version, struct zone_snap **snap) {
  struct replay r = {.snap = zone_snap_ref(*snap)};
  struct store_error why = {""};
  enum err err = store_each_change(c->store, z->store_id, z->head, version, replay_change, &r, &why);
  if (err) {
    zone_snap_unref(r.snap);
    return err;
  }
  zone_snap_unref(*snap);
  *snap = (struct zone_snap *)(uintptr_t)r.snap;
  return ERR_OK;
}

/* Image and tail of the log. */
static enum err open_image(struct control *c, const struct zone_slot *z, const struct store_image *image, bool prove,
                           struct opened_zone *out, struct store_error *why) {
  struct zone_snap *snap;
  enum err err = store_open_image(c->store, image, &snap, why);
  if (err) return err;
  struct opened_zone zone = {.snap = snap};
  if (prove) err = prove_image(snap);
  if (!err && z->version != image->version) err = zone_replay(c->store, NULL, z, image->version, &zone, why);
  if (err) zone_snap_unref(zone.snap);
  else *out = zone;
  return err;
}

void zone_open_stored(struct control *c, struct zone_slot *z, bool prove) {
  struct store_image image = z->image;
  struct opened_zone zone = {0};
  char name[NAME_TEXT_BYTES];
  if (!image.segment) return;
  bool opened = !prove && preload_take_image(c, z, &zone);
  while (!opened) {
    struct store_error why = {""};
    enum err err = open_image(c, z, &image, prove, &zone, &why);
    if (!err) break;
    log_event(EV_STORE_DAMAGED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("version", image.version),
              LOG_TEXT("what", why.what[0] ? why.what : err_text(err)));
    if (image.version < 2 || store_image_at(c->store, z->store_id, image.version - 1, &image)) return;
  }
  z->snap = zone.snap;
  take_content_digest(z, zone.differs);
  bool good = image.version == z->image.version && !zone_image_is_old(z->snap);
  z->tail_bytes = good ? zone.tail_bytes : UINT64_MAX / 2; /* a fresh image is written: mend.c, images_refresh */
  z->durable = true;
  z->since_s = c->now.wall_s;
  mend_opened(c);
}

/* ---- one zone ---- */

enum err zone_start(struct control *c, struct pipeline *p, struct zone_slot *z, bool *refused, struct buf *note) {
  zone_open_stored(c, z, false);
  z->started = true;
  enum err err = slot_is_secondary(z) ? transfers_configure(c, z) : zone_reload_file(c, p, z, false, refused, note);
  write_back_due(c, z);
  images_refresh(c, z);
  if (!err && (z->snap || !z->queued)) err = slot_publish(c, z); /* what is queued is published with its batch, durable or not */
  /* Who names a zone anew may mean another primary with another history: what it has is taken, whatever its serial. */
  if (!err && z->revived && z->snap && slot_is_secondary(z)) secondary_retransfer(c->secondaries, z->id, c->now);
  return err;
}

/* ---- many ---- */

void zones_load_begin(struct control *c, size_t first, size_t end) {
  zone_set_bulk_begin(c->zones);
  preload_start(c, first, end);
}

enum err zones_load_end(struct control *c, struct pipeline *p, enum err err) {
  preload_end(c);
  enum err published = zone_set_bulk_end(c->zones);
  if (!err) err = published;
  if (err) pipeline_abort(p);
  return err;
}

/* ---- the whole ---- */

static enum err fill_registry(struct control *c) {
  const struct config *cfg = c->epoch->config;
  enum err err = registry_reserve(&c->registry, cfg->zone_count);
  for (size_t i = 0; !err && i < cfg->zone_count; i++) {
    struct zone_slot *z;
    err = registry_add(&c->registry, &cfg->zones[i], &z);
    if (!err) z->plan = epoch_plan(c->epoch, cfg->zones[i].options);
  }
  return err ? err : registry_adopt_store(c);
}

enum { MANY_ZONES = 1000 /* it would be felt if they had to be kept before they are served */ };

enum err control_start(struct control *c, struct instant now) {
  c->now = now;
  c->figures.started_wall_s = c->figures.config_loaded_wall_s = now.wall_s;
  struct pipeline *p;
  struct zone_slot *z;
  size_t changed;
  struct store_error why;
  upkeep_start(c);
  enum err err = fill_registry(c);
  if (!err) err = pipeline_begin(c, &p);
  if (err) return err;
  if (c->registry.count >= MANY_ZONES) pipeline_serve_first(p);
  zones_load_begin(c, 0, SIZE_MAX);
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));) {
    bool refused;
    struct buf note = {0};
    err = zone_start(c, p, z, &refused, &note);
    buf_done(&note);
  }
  err = zones_load_end(c, p, err);
  if (err) return err;
  if (pipeline_commit(p, now, &changed, &why))
    log_event(EV_STORE_FAILED, LOG_TEXT("what", "new zone files are served from memory only until the store works again"));
  transfers_notify_all(c);
  secondaries_run(c->secondaries, now); /* what expired while we were down is not answered, from the first question on */
  log_event(EV_CONFIG_LOADED, LOG_NUMBER("zones", c->registry.count), LOG_NUMBER("loaded", changed));
  return ERR_OK;
}
