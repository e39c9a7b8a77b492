/* Validate, build, append: changes are queued and written into the store's batch. A batch is one sync and one transaction,
 * whatever the number of changes in it. commit.c goes on from there. */
#include "control/pipeline_priv.h"
#include "control/serial.h"
#include "zone/content.h"

#include <stdlib.h>
#include <string.h>

enum {
  BULK_BYTES = 256 * 1024,  /* in memory; a larger zone is not written as a whole when there is little room */
  APPLY_BYTES = 256 * 1024, /* of a difference that is applied here: some milliseconds */
};

enum err pipeline_begin(struct control *c, struct pipeline **out) {
  struct pipeline *p = calloc(1, sizeof *p);
  if (!p) return ERR_MEMORY;
  p->control = c;
  p->room = upkeep_room(c);
  p->broken = p->room == STORE_ROOM_NONE ? ERR_IO : store_batch_begin(c->store, &p->batch);
  *out = p;
  return ERR_OK;
}

void pipeline_free(struct pipeline *p) {
  for (size_t i = 0; i < p->count; i++) {
    p->list[i].zone->queued = 0;
    zone_snap_unref(p->list[i].snap);
    source_drop(p->list[i].source);
    free(p->list[i].author);
    free(p->list[i].comment);
  }
  free(p->list);
  free(p);
}

void pipeline_abort(struct pipeline *p) {
  if (!p) return;
  store_batch_abort(p->batch);
  pipeline_free(p);
}

void pipeline_serve_first(struct pipeline *p) {
  p->serves_first = true;
}

bool pipeline_is_broken(const struct pipeline *p) {
  return p->broken != ERR_OK;
}

/* The newest change queued for the zone; NULL: none. */
static struct pending *newest(const struct pipeline *p, const struct zone_slot *z) {
  return z->queued ? &p->list[z->queued - 1] : NULL;
}

const struct zone_snap *pipeline_head(const struct pipeline *p, const struct zone_slot *z) {
  const struct pending *n = newest(p, z);
  return n ? n->snap : z->snap;
}

/* How the zone stands before its next change: after what is queued for it, or as the log has it. The base, if the log has it, is
 * what a delta can be written against. */
struct before {
  const struct zone_snap *head; /* NULL: nothing yet */
  const struct zone_snap *base; /* NULL: only an image will do */
  bool has_serial;
  uint32_t serial;
};

bool pipeline_has_base(const struct zone_slot *z) {
  return z->durable && z->image.segment;
}

static struct before how_it_stands(const struct pipeline *p, const struct zone_slot *z, struct pending *n) {
  const struct pending *last = newest(p, z);
  if (!last) {
    *n = (struct pending){
        .store_id = z->store_id, .version = z->version, .image = z->image, .tail_bytes = z->tail_bytes, .departed = z->departed};
    return (struct before){z->snap, pipeline_has_base(z) ? z->snap : NULL, z->head != 0, z->stored_serial};
  }
  *n = (struct pending){.store_id = last->store_id, .version = last->version, .image = last->image, .created = last->created};
  n->tail_bytes = last->tail_bytes;
  n->departed = last->departed;
  n->left_out = last->left_out;
  struct before b = {.head = last->snap, .has_serial = last->snap != NULL};
  if (last->image.segment) b.base = last->snap;
  if (last->snap) b.serial = zone_serial(last->snap);
  if (last->snap) return b;
  b.has_serial = z->head != 0;
  b.serial = z->stored_serial;
  return b;
}

static struct pending *pending_add(struct pipeline *p, struct zone_slot *z, struct before *before) {
  if (p->count == p->capacity) {
    size_t capacity = p->capacity ? 2 * p->capacity : 16;
    struct pending *list = realloc(p->list, capacity * sizeof *list);
    if (!list) return NULL;
    p->list = list;
    p->capacity = capacity;
  }
  struct pending *n = &p->list[p->count];
  *before = how_it_stands(p, z, n);
  n->zone = z;
  if (z->queued) p->list[z->queued - 1].superseded = true;
  z->queued = (uint32_t)++p->count;
  return n;
}

/* A zone the store does not know yet gets its row, and versions go on from a deleted namesake's. What was removed once and is
 * marked so in the store lives again with its next change. */
static void have_row(struct pipeline *p, struct pending *n) {
  if (p->broken) return;
  if (n->store_id) {
    if (n->zone->buried) p->broken = store_batch_state(p->batch, n->store_id, STORE_ZONE_LIVE, 0);
    return;
  }
  struct name name;
  slot_name(n->zone, &name);
  p->broken = store_batch_create(p->batch, &name, &n->store_id, &n->version);
  n->created = true;
}

/* A change by another writer than the file: what is there before it is what the file was, unless that is kept already. */
static bool departs(const struct pending *n, const struct change_info *info) {
  const struct zone_slot *z = n->zone;
  return n->content && !info->source && !n->departed && z->source_size && config_zone_has_writers(z->config->options);
}

/* Mostly what the change before has, or the zone already. */
static enum err copy_source(const struct pipeline *p, struct pending *n, const struct buf *source) {
  n->source = source_share(n > p->list && n[-1].source ? n[-1].source : n->zone->source, source->data, source->size);
  n->source_size = source->size;
  return n->source ? ERR_OK : ERR_MEMORY;
}

/* Before the change: what is there mostly has an image in the store, and that is the seed then. */
static void keep_seed(struct pipeline *p, struct pending *n, const struct before *before, const struct change_info *info) {
  const struct zone_snap *seed = !info->seed && departs(n, info) ? before->head : info->seed;
  struct store_aside *aside = info->seed && info->ready ? info->ready->seed : NULL;
  bool is_image = seed && seed == before->base && n->image.version == n->version && !n->tail_bytes;
  if (!seed && !info->seed_gone) return;
  n->departed = seed != NULL;
  if (p->broken) return;
  if (is_image) p->broken = store_batch_seed_image(p->batch, n->store_id);
  else p->broken = store_batch_seed(p->batch, n->store_id, seed, aside);
}

static enum err keep_source(struct pipeline *p, struct pending *n, const struct change_info *info) {
  if (!info->source) return ERR_OK;
  enum err err = copy_source(p, n, info->source);
  if (!err && !p->broken) p->broken = store_batch_source(p->batch, n->store_id, n->source, n->source_size);
  return err;
}

static struct store_change make_change(const struct pending *n, const struct before *before, const struct change_info *info,
                                       struct instant now) {
  return (struct store_change){
      .zone = n->store_id,
      .version = n->version,
      .has_serial_from = before->has_serial,
      .serial_from = before->serial,
      .serial_to = zone_serial(n->snap),
      .at_s = now.wall_s,
      .door = info->door,
      .author = info->author ? info->author : "",
      .comment = info->comment ? info->comment : "",
      .notes = info->notes ? info->notes->data : NULL,
      .notes_size = info->notes ? info->notes->size : 0,
  };
}

static void take_digest(const struct pending *n, struct digest128 digest, struct delta_size size, struct store_change *c) {
  zone_content_set(n->snap, digest);
  c->has_content = true;
  c->content = digest;
  c->removed = size.removed;
  c->added = size.added;
}

/* The version's digest, kept with it and with its change. With a body, or a base that it shares memory with, this costs what
 * changed. Out of memory: it has none. */
static void count_change(const struct pending *n, const struct before *before, const struct buf *body, struct store_change *c) {
  struct delta_size size = {.added = zone_record_count(n->snap)};
  struct digest128 digest = {0};
  if (body && zone_step_size(before->base, n->snap, &size) && zone_content(n->snap, &digest)) {
    take_digest(n, digest, size, c);
    return;
  }
  bool stepwise = before->base && zone_content(before->base, &digest);
  enum err err = ERR_OK;
  if (body) err = zone_content_delta(body->data, body->size, &digest, &size);
  else if (before->base) err = zone_content_diff(before->base, n->snap, &digest, &size);
  if (!err && !stepwise && !zone_content(n->snap, &digest)) err = zone_content_whole(n->snap, &digest);
  if (!err) take_digest(n, digest, size, c);
}

/* The difference as a body, unless it is known already, and content that shares the memory of what it builds on, unless that would
 * take long. */
static bool make_delta(struct pending *n, const struct zone_snap *base, const struct ready *ready, struct buf *body) {
  struct delta_size size;
  if (ready && !ready->is_delta) return false;
  if (ready) buf_add(body, ready->body.data, ready->body.size);
  else if (zone_delta_make(base, n->snap, LIMIT_CHANGE_BYTES, body, &size)) return false;
  if (body->failed) return false;
  if (zone_shares_memory(base, n->snap) || (ready && body->size > APPLY_BYTES)) return true;
  struct zone_snap *applied;
  if (zone_delta_apply(base, body->data, body->size, &applied)) return false;
  zone_snap_unref(n->snap);
  n->snap = applied;
  return true;
}

/* With `change` the version itself, without it a fresher image of what deltas have led to: a start reads the image and the tail. */
static void append_image(struct pipeline *p, struct pending *n, const struct store_change *change, const struct ready *ready) {
  if (!p->broken && ready && ready->image)
    p->broken = store_batch_aside(p->batch, n->store_id, n->version, ready->image, change, &n->image);
  else if (!p->broken) p->broken = store_batch_image(p->batch, n->store_id, n->version, n->snap, change, &n->image);
  n->new_image_bytes = n->image.size_bytes;
  n->tail_bytes = 0;
}

/* Whether the zone is too large to be written as a whole now. */
static bool is_too_much(const struct pipeline *p, const struct zone_snap *snap) {
  return p->room >= STORE_ROOM_NO_BULK && zone_memory_bytes(snap) > BULK_BYTES;
}

/* What was made of just this version on top of just that one; NULL: nothing. */
static const struct ready *ready_for(const struct ready *r, const struct zone_snap *snap, const struct before *before) {
  return r && r->made && r->snap == snap && r->head == before->head && r->has_base == (before->base != NULL) ? r : NULL;
}

/* The version as a change of the log: with `body` as a delta on what the log has, so that secondaries get it as one. */
static void append(struct pipeline *p, struct pending *n, const struct before *before, const struct change_info *info,
                   const struct buf *body, const struct ready *ready, struct instant now) {
  n->version++;
  struct store_change change = make_change(n, before, info, now);
  change.kind = body ? STORE_DELTA : STORE_FULL;
  if (ready && ready->has_content) take_digest(n, ready->content, ready->size, &change);
  else count_change(n, before, body, &change);
  if (!body) {
    append_image(p, n, &change, ready);
    return;
  }
  change.body = body->data;
  change.body_size = body->size;
  if (!p->broken) p->broken = store_batch_delta(p->batch, &change);
  n->tail_bytes += body->size;
  bool now_and_here = !is_too_much(p, n->snap) && !images_are_aside(p->control, n->snap);
  if (images_tail_is_long(p->control, &n->image, n->tail_bytes) && now_and_here) append_image(p, n, NULL, NULL);
}

static bool has_fresh_image(const struct change_info *info) {
  return info->ready && info->ready->made && info->ready->fresh && info->ready->image;
}

/* A zone that nothing is known of yet, which only its file changes or its primary: until it is in the store, that is as good. So a
 * large one, or one of many files at a start, is served at once. */
static bool is_elsewhere(const struct pipeline *p, const struct pending *n, const struct before *before,
                         const struct change_info *info) {
  const struct zone_slot *z = n->zone;
  bool fresh = n->content && !before->head && !z->head && !info->seed && !info->ready;
  bool file = info->door == DOOR_FILE && info->source && !config_zone_has_writers(z->config->options);
  bool primary = info->door == DOOR_TRANSFER && slot_is_secondary(z);
  return fresh && (file || primary) && !p->broken && (p->serves_first || images_are_aside(p->control, n->snap));
}

/* Its file may be another one after a crash: the serial and the digest are in the store before it is served. Of many small ones
 * that would cost more than it is worth. */
static void promise(struct pipeline *p, struct pending *n) {
  struct digest128 digest;
  if (n->door != DOOR_FILE || !images_are_aside(p->control, n->snap)) return;
  if (!zone_content(n->snap, &digest) && zone_content_whole(n->snap, &digest)) return;
  have_row(p, n);
  if (!p->broken) p->broken = store_batch_promise(p->batch, n->store_id, zone_serial(n->snap), digest);
}

/* The version as a change of the log, and where it came from. */
static enum err queue(struct pipeline *p, struct pending *n, const struct before *before, const struct change_info *info,
                      struct instant now) {
  n->door = info->door;
  n->author = info->author ? strdup(info->author) : NULL;
  n->comment = info->comment ? strdup(info->comment) : NULL;
  bool copied = (n->author || !info->author) && (n->comment || !info->comment);
  if (!copied && !p->broken) p->broken = ERR_MEMORY;
  struct buf body = {0};
  enum err err = ERR_OK;
  const struct ready *ready = ready_for(info->ready, n->snap, before);
  bool delta = n->content && before->base && make_delta(n, before->base, ready, &body);
  bool bulk = n->content && !delta && info->door != DOOR_UPDATE && is_too_much(p, n->snap);
  if (n->left_out || bulk) {
    p->left_out = n->left_out = true;
  } else if (is_elsewhere(p, n, before, info)) {
    n->aside = true;
    promise(p, n);
    if (info->source) err = copy_source(p, n, info->source);
  } else {
    have_row(p, n);
    keep_seed(p, n, before, info);
    if (n->content) append(p, n, before, info, delta ? &body : NULL, ready, now);
    if (has_fresh_image(info) && n->tail_bytes) append_image(p, n, NULL, info->ready);
    err = keep_source(p, n, info);
  }
  buf_done(&body);
  return err;
}

enum err version_settle(const struct zone_slot *z, const struct zone_snap *head, bool fresh_serial, struct instant now,
                        const struct zone_snap **snap, bool *same, struct buf *note) {
  bool digests = zonemd_is_ours(z, *snap);
  enum err err = digests ? zonemd_adopt(head, snap) : ERR_OK;
  *same = false;
  if (!err && fresh_serial) err = serial_refresh(z, head, snap, now, same, note);
  else if (!err) *same = head && zone_equal(head, *snap);
  if (!err && digests && !*same) err = zonemd_renew(snap);
  return err;
}

enum err pipeline_add(struct pipeline *p, struct zone_slot *z, const struct zone_snap *snap, const struct change_info *info,
                      struct instant now, struct buf *note) {
  bool same = false, durable = z->durable || z->queued;
  const struct zone_snap *head = pipeline_head(p, z);
  const struct ready *r = info->ready && info->ready->snap == snap && info->ready->head == head ? info->ready : NULL;
  enum err err = ERR_OK;
  if (r && (r->settled || !zonemd_is_ours(z, snap))) same = r->same;
  else err = version_settle(z, head, info->fresh_serial, now, &snap, &same, note);
  if (err || (same && durable && !info->source && !info->seed && !info->seed_gone)) {
    zone_snap_unref(snap);
    return err;
  }
  struct before before;
  struct pending *n = pending_add(p, z, &before);
  if (!n) {
    zone_snap_unref(snap);
    return ERR_MEMORY;
  }
  n->content = !same || !durable;
  n->served = same && !z->durable;
  n->snap = snap;
  if (same && durable) {
    n->snap = zone_snap_ref(head);
    zone_snap_unref(snap);
  }
  return queue(p, n, &before, info, now);
}

enum err pipeline_keep(struct pipeline *p, struct zone_slot *z, const struct ready *ready) {
  struct before before;
  struct pending *n = pending_add(p, z, &before);
  if (!n) return ERR_MEMORY;
  n->snap = zone_snap_ref(z->snap);
  n->content = n->served = true;
  static const struct buf no_file;
  struct change_info info = {.door = z->door, .author = z->author, .comment = z->comment, .ready = ready};
  struct buf source = {.data = z->source, .size = z->source_size};
  if (z->source_size) info.source = z->door == DOOR_TRANSFER ? &no_file : z->door == DOOR_FILE ? &source : NULL;
  return queue(p, n, &before, &info, (struct instant){.wall_s = z->since_s});
}

enum err pipeline_renew(struct pipeline *p, struct zone_slot *z) {
  struct before before;
  struct pending *n = pending_add(p, z, &before);
  if (!n) return ERR_MEMORY;
  n->snap = zone_snap_ref(z->snap);
  append_image(p, n, NULL, NULL);
  return ERR_OK;
}
