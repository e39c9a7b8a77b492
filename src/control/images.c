/* Images of large zones: another thread writes them, from a snapshot that nobody changes, while this one goes on with commits,
 * transfers and commands. One job at a time, in the order in which they came, new versions before fresh images of old ones.
 *
 *   - content that comes as a whole: read, and made ready as an AXFR is (whole.c)
 *   - a large AXFR while it comes: read and laid out (xfr/build.c)
 *   - an AXFR, or what is served and not durable yet, as the first version of a large zone: compared, digest, segment written
 *     (ready.c); row and changeset, one commit; published
 *   - a tail of deltas that is long: segment written; row, one commit; mapped; proven, the tail applied (ready.c); the last
 *     changes applied, published: what was before goes
 *
 * Whatever fails leaves what is served, its image and its chain as they are. */
#include "base/log.h"
#include "control/pipeline_priv.h"
#include "control/whole.h"
#include "zone/content.h"

#include <stdlib.h>

enum {
  LEAST_BYTES = 1 << 20,
  WHOLE_BYTES = 256 * 1024, /* of text or memory: less is done at once, in some milliseconds */
  TAIL_BYTES = 256 * 1024,
  FRESH_AGAIN_S = 60, /* after one could not be written */
  CATCH_UP_MOST = 64, /* changes that this thread applies itself */
};

void images_init(struct control *c) {
  c->images =
      (struct images){.least_bytes = LEAST_BYTES, .tail_bytes = TAIL_BYTES, .whole_bytes = WHOLE_BYTES, .tell_ns = UINT64_MAX};
}

bool images_are_aside(const struct control *c, const struct zone_snap *snap) {
  return c->events.image && !c->images.off && zone_memory_bytes(snap) > c->images.least_bytes;
}

bool images_tail_is_long(const struct control *c, const struct store_image *image, uint64_t tail_bytes) {
  return tail_bytes > c->images.tail_bytes + image->size_bytes / 2;
}

static struct zone_slot *slot_of(const struct control *c, const struct image_job *job) {
  return atomic_load(&job->cancelled) ? NULL : c->registry.slots[job->zone_id];
}

/* Otherwise the pipeline says what it does without the image. */
static bool has_room(struct control *c) {
  return upkeep_room(c) < STORE_ROOM_NO_BULK;
}

/* ---- what waits ---- */

static struct image_job *add(struct control *c, enum image_use use, uint32_t zone_id) {
  struct image_job *job = calloc(1, sizeof *job);
  if (!job) return NULL;
  job->use = use;
  job->zone_id = zone_id;
  struct image_job **at = &c->images.first;
  while (*at && ((*at)->use != IMAGE_FRESH || use == IMAGE_FRESH))
    at = &(*at)->next;
  job->next = *at;
  *at = job;
  return job;
}

static bool has(const struct control *c, enum image_use use, uint32_t zone_id) {
  const struct image_job *running = c->images.running;
  if (running && running->use == use && running->zone_id == zone_id && !atomic_load(&running->cancelled)) return true;
  for (const struct image_job *job = c->images.first; job; job = job->next)
    if (job->use == use && job->zone_id == zone_id) return true;
  return false;
}

/* Changes that share memory with what they change are small in the log, unless they were much to transfer. The first version of all
 * is served at once (pipeline.c). */
bool images_take_arrival(struct control *c, const struct arrival *a) {
  struct zone_slot *z = c->registry.slots[a->zone_id];
  if (!images_are_aside(c, a->snap) || !has_room(c) || (!z->snap && !z->head) || zone_is_damaged(a->snap)) return false;
  bool small = z->snap && zone_shares_memory(z->snap, a->snap) && a->info.bytes < LIMIT_CHANGE_BYTES / 2;
  struct image_job *job = small && pipeline_has_base(z) ? NULL : add(c, IMAGE_ARRIVAL, a->zone_id);
  if (!job) return false;
  job->arrival = *a;
  job->snap = a->snap;
  slot_show(c, z, a->snap);
  return true;
}

bool images_take_build(struct control *c, uint32_t zone_id, struct transfer_build *b) {
  struct image_job *job = c->events.image && !c->images.off ? add(c, IMAGE_BUILD, zone_id) : NULL;
  if (job) job->build = b;
  return job;
}

bool images_take_whole(struct control *c, struct whole *w) {
  struct image_job *job = c->events.image && !c->images.off ? add(c, IMAGE_WHOLE, w->zone_id) : NULL;
  if (!job) return false;
  job->whole = w;
  job->aside = true;
  return true;
}

bool images_take_unkept(struct control *c, struct zone_slot *z) {
  if (!images_are_aside(c, z->snap) || !has_room(c)) return false;
  return has(c, IMAGE_UNKEPT, z->id) || add(c, IMAGE_UNKEPT, z->id);
}

/* Its next edit beside its file wants an image of what that is (keep_seed in pipeline.c). */
static bool wants_seed(const struct zone_slot *z) {
  return z->tail_bytes && !z->departed && z->source_size && config_zone_has_writers(z->config->options);
}

static bool wants_fresh(const struct control *c, const struct zone_slot *z) {
  return z->snap && z->durable && (images_tail_is_long(c, &z->image, z->tail_bytes) || wants_seed(z));
}

void images_refresh(struct control *c, struct zone_slot *z) {
  if (!wants_fresh(c, z) || !images_are_aside(c, z->snap)) return;
  if (c->now.mono_ns < c->images.fresh_ns || has(c, IMAGE_FRESH, z->id) || has(c, IMAGE_OPENED, z->id)) return;
  (void)add(c, IMAGE_FRESH, z->id); /* out of memory: the next change asks again */
}

/* ---- begin ---- */

/* False: there is nothing to be done any more. */
static bool prepare(struct control *c, struct image_job *job) {
  if (job->use == IMAGE_BUILD) return true;
  if (job->use == IMAGE_WHOLE) return whole_begin(c, job);
  const struct zone_slot *z = slot_of(c, job);
  bool new_version = job->use == IMAGE_ARRIVAL || job->use == IMAGE_UNKEPT;
  if (!z || (job->use == IMAGE_UNKEPT && (!z->snap || z->durable))) return false;
  if (job->use == IMAGE_FRESH && !has_room(c)) return false;
  if (job->use == IMAGE_FRESH && !wants_fresh(c, z)) return false;
  if (!job->snap) job->snap = zone_snap_ref(z->snap);
  job->began_ns = c->now.mono_ns;
  job->store_id = z->store_id;
  job->version = z->version;
  job->tail_bytes = z->tail_bytes;
  if (new_version) {
    if (z->snap) job->head = zone_snap_ref(z->snap);
    job->ready.snap = job->snap;
    job->ready.head = job->head;
    job->ready.has_base = job->head && pipeline_has_base(z);
  }
  job->err = store_aside_begin(c->store, z->store_id, job->snap, &job->ready.image);
  if (!job->err) job->commits = store_aside_commits(job->ready.image);
  return true;
}

static void start(struct control *c, struct image_job *job) {
  c->images.running = job;
  if (!job->err && c->events.image(c->events.arg, job)) return;
  if (!job->err) job->err = ERR_MEMORY;
  control_image_done(c, c->now);
}

void images_run(struct control *c) {
  struct images *i = &c->images;
  while (i->first && !i->running) {
    struct image_job *job = i->first;
    i->first = job->next;
    job->next = NULL;
    if (prepare(c, job)) start(c, job);
    else image_job_free(job);
  }
}

bool images_wait(const struct control *c) {
  return c->images.first && !c->images.running;
}

/* ---- end ---- */

/* What was made is of use, or says what failed; NULL: all is done anew by who needs it, and may go well. */
static const struct ready *ready_of(const struct image_job *job) {
  return job->ready.made ? &job->ready : NULL;
}

static void say_failed(struct control *c, const struct zone_slot *z, const char *what) {
  char name[NAME_TEXT_BYTES];
  log_event(EV_STORE_FAILED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("what", what),
            LOG_TEXT("hint", "the image before it and its changes stay in force"));
  c->images.fresh_ns = c->now.mono_ns + FRESH_AGAIN_S * NS_PER_S;
}

/* The row that names the fresh image. The zone may have got further meanwhile, but only by changes that follow it. */
static enum err put_row(struct control *c, struct zone_slot *z, struct image_job *job, struct store_error *why) {
  struct store_batch *b;
  enum err err = store_batch_begin(c->store, &b);
  if (err) return err;
  err = store_batch_aside(b, z->store_id, job->version, job->ready.image, NULL, &job->image);
  if (err != ERR_RANGE && err != ERR_NOT_FOUND) return store_batch_commit(b, why); /* which knows what failed */
  store_batch_abort(b);
  return err;
}

/* Goes on as a job that has the fresh image proven, to serve from it. False: it is not opened now, and will be at the next start.
 */
static bool go_on_opened(struct control *c, struct zone_slot *z, struct image_job *job) {
  struct store_error why;
  struct zone_snap *snap;
  if (!job->reader && control_open_history(c, &job->reader)) return false;
  if (job->use == IMAGE_FRESH) {
    if (store_open_image(c->store, &job->image, &snap, &why)) return false;
    zone_snap_unref(job->snap);
    job->snap = snap;
    store_aside_end(job->ready.image);
    job->ready.image = NULL;
  }
  job->use = IMAGE_OPENED;
  job->log_head = z->head;
  job->log_version = z->version;
  job->err = ERR_OK;
  start(c, job);
  return true;
}

/* True: the job goes on. */
static bool fresh_done(struct control *c, struct zone_slot *z, struct image_job *job) {
  char name[NAME_TEXT_BYTES];
  struct store_error why = {""};
  if (!z->durable || z->store_id != job->store_id || z->image.version > job->version) return false;
  enum err err = put_row(c, z, job, &why);
  if (err) {
    say_failed(c, z, why.what[0] ? why.what : err_text(err));
    return false;
  }
  z->image = job->image;
  z->tail_bytes -= job->tail_bytes;
  upkeep_committed(c, job->image.size_bytes);
  log_event(EV_ZONE_IMAGE, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("version", job->version),
            LOG_NUMBER("bytes", job->image.size_bytes), LOG_NUMBER("us", (c->now.mono_ns - job->began_ns) / 1000));
  return go_on_opened(c, z, job);
}

/* What is served from now on is the same, in other memory. */
static void serve_opened(struct control *c, struct zone_slot *z, struct image_job *job) {
  struct zone_snap *snap = (struct zone_snap *)(uintptr_t)job->snap;
  char name[NAME_TEXT_BYTES];
  enum err err = zone_catch_up(c, z, job->version, &snap);
  job->snap = snap;
  bool same = !err && zone_serial(snap) == zone_serial(z->snap) && zone_record_count(snap) == zone_record_count(z->snap);
  if (!same || zone_is_damaged(snap)) {
    say_failed(c, z, "the zone's fresh image and its changes do not lead to what is served");
    return;
  }
  if (z->has_content) zone_content_set(snap, z->content);
  job->snap = z->snap;
  z->snap = snap;
  if (slot_publish(c, z)) {
    z->snap = job->snap;
    job->snap = snap;
    return;
  }
  log_event(EV_ZONE_COMPACTED, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("version", z->version),
            LOG_NUMBER("bytes", zone_memory_bytes(snap)), LOG_NUMBER("us", (c->now.mono_ns - job->began_ns) / 1000));
}

static bool opened_done(struct control *c, struct zone_slot *z, struct image_job *job) {
  bool still = z->durable && z->snap && z->store_id == job->store_id && z->image.segment == job->image.segment &&
               z->image.offset_bytes == job->image.offset_bytes;
  if (!still || job->err) return false; /* a change that replaced all came, or history was cut: nothing is lost */
  if (z->version - job->version > CATCH_UP_MOST) return go_on_opened(c, z, job);
  serve_opened(c, z, job);
  return false;
}

/* Whether it was run or not: the one who waits for it knows what to do. */
static void build_done(struct control *c, struct image_job *job) {
  struct transfer_build *b = job->build;
  if (!transfer_build_was_run(b)) transfer_build_run(b);
  job->build = NULL;
  image_job_free(job);
  secondary_built(c->secondaries, b, c->now);
}

static bool finish(struct control *c, struct zone_slot *z, struct image_job *job) {
  switch (job->use) {
  case IMAGE_BUILD:
  case IMAGE_WHOLE:
    return false;
  case IMAGE_ARRIVAL:
    job->snap = NULL; /* the pipeline's from now on */
    transfers_commit_ready(c, &job->arrival, ready_of(job));
    return false;
  case IMAGE_UNKEPT:
    if (z->snap == job->snap && !z->durable) upkeep_keep_ready(c, z, ready_of(job));
    return false;
  case IMAGE_FRESH:
    return fresh_done(c, z, job);
  case IMAGE_OPENED:
    return opened_done(c, z, job);
  }
  return false;
}

void control_image_done(struct control *c, struct instant now) {
  struct image_job *job = c->images.running;
  c->now = now;
  c->images.running = NULL;
  if (job->use == IMAGE_BUILD) {
    build_done(c, job);
    return;
  }
  if (job->use == IMAGE_WHOLE) {
    whole_done(c, job);
    return;
  }
  struct zone_slot *z = slot_of(c, job);
  if (!z || !finish(c, z, job)) image_job_free(job);
}

/* ---- what is not wanted any more ---- */

static bool is_for(const struct image_job *job, uint32_t zone_id) {
  return job->zone_id == zone_id && !(job->whole && job->whole->any_zone);
}

void images_drop(struct control *c, uint32_t zone_id) {
  struct images *i = &c->images;
  struct image_job **at = &i->first;
  if (i->running && is_for(i->running, zone_id)) atomic_store(&i->running->cancelled, true);
  if (i->kept && i->kept->zone_id == zone_id) whole_forget_kept(c);
  for (struct image_job *job; (job = *at);) {
    if (is_for(job, zone_id)) {
      *at = job->next;
      whole_drop_job(c, job, WHOLE_ZONE_GONE);
    } else {
      at = &job->next;
    }
  }
}

/* Its version is in memory still, and may be committed as a small one is. */
static void give_back(struct control *c, struct image_job *job, bool over) {
  if (job->use == IMAGE_BUILD && !over) {
    build_done(c, job);
    return;
  }
  if (job->use == IMAGE_ARRIVAL && slot_of(c, job) && transfers_take_back(c, &job->arrival)) job->snap = NULL;
  whole_drop_job(c, job, over ? WHOLE_OVER : WHOLE_SWAPPED);
}

void images_settle(struct control *c, bool over) {
  struct images *i = &c->images;
  struct image_job *job = i->running;
  i->off = true;
  whole_forget_kept(c);
  if (job) {
    struct zone_slot *z = slot_of(c, job);
    atomic_store(&job->cancelled, true);
    c->events.image_join(c->events.arg);
    atomic_store(&job->cancelled, !z);
    i->running = NULL;
    give_back(c, job, over);
  }
  while ((job = i->first)) {
    i->first = job->next;
    give_back(c, job, over);
  }
}
