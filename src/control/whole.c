#include "control/whole.h"

#include "control/commands_priv.h"
#include "control/serial.h"
#include "zone/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
  TELL_S = 1,   /* between two lines for a client that waits */
  KEPT_S = 600, /* what was shown is kept for who may want it */
};

/* ---- what is pinned ---- */

static void unpin_base(struct whole *w) {
  zone_snap_unref(w->base);
  w->base = NULL;
}

static void unpin(struct whole *w) {
  config_free(w->pin);
  w->pin = NULL;
  unpin_base(w);
}

static void pin(struct control *c, struct whole *w, const struct zone_slot *z) {
  unpin(w);
  w->zone = *z;
  w->config = *z->config;
  w->config.name = w->name.octets;
  w->zone.config = &w->config;
  w->pin = config_ref(c->epoch->config);
  w->base = z->snap ? zone_snap_ref(z->snap) : NULL;
  w->now = c->now;
}

/* Whether what was made for the zone is good for it still. */
static bool is_as_pinned(const struct control *c, const struct whole *w, const struct zone_slot *z) {
  const struct zone_slot *then = &w->zone;
  return w->pin == c->epoch->config && z->version == then->version && z->store_id == then->store_id && z->head == then->head &&
         z->durable == then->durable && z->departed == then->departed && !z->snap == !then->snap;
}

static void forget_next(struct whole *w) {
  zone_snap_unref(w->next);
  w->next = NULL;
  w->same = false;
  buf_clear(&w->note);
}

void whole_init(struct control *c, struct whole *w, const struct whole_use *use, const struct zone_slot *z, uint64_t token) {
  w->use = use;
  w->any_zone = !z;
  if (z) w->zone_id = z->id;
  if (z) slot_name(z, &w->name);
  w->token = token;
  w->has_client = true;
  free(w->author);
  free(w->comment);
  w->author = c->author ? strdup(c->author) : NULL;
  w->comment = c->comment ? strdup(c->comment) : NULL;
  w->tries = 0;
}

void whole_free(struct whole *w) {
  if (!w) return;
  unpin(w);
  zone_snap_unref(w->next);
  buf_done(&w->note);
  free(w->author);
  free(w->comment);
  w->use->free(w);
}

/* ---- the work ---- */

enum err whole_settle(struct whole *w, const struct zone_snap *content, bool fresh_serial) {
  enum err err = version_settle(&w->zone, w->base, fresh_serial, w->now, &content, &w->same, &w->note);
  if (err) zone_snap_unref(content);
  else w->next = content;
  return err;
}

bool whole_count(void *arg, uint64_t records) {
  struct whole *w = arg;
  atomic_store_explicit(&w->records, records, memory_order_relaxed);
  return !w->cancelled || !atomic_load_explicit(w->cancelled, memory_order_relaxed);
}

struct copy {
  struct image_backing backing;
  struct buf bytes;
};

static void copy_release(struct image_backing *backing) {
  struct copy *c = (struct copy *)backing;
  image_backing_done(backing);
  buf_done(&c->bytes);
  free(c);
}

static bool copy_piece(void *arg, const void *bytes, size_t n) {
  struct copy *c = arg;
  buf_add(&c->bytes, bytes, n);
  return !c->bytes.failed;
}

enum err whole_copy(const struct zone_snap *s, struct zone_snap **out) {
  uint64_t size;
  struct copy *c = calloc(1, sizeof *c);
  if (!c) return ERR_MEMORY;
  c->backing.release = copy_release;
  enum err err = zone_image_write(s, copy_piece, c, &size);
  if (err && c->bytes.failed) err = ERR_MEMORY;
  if (!err) err = zone_image_open(c->bytes.data, c->bytes.size, &c->backing, out);
  if (err) copy_release(&c->backing);
  return err;
}

static bool go_on(void *arg, uint64_t bytes) {
  return true;
}

void whole_run(struct image_job *job, const struct store_watch *watch) {
  struct whole *w = job->whole;
  struct ready *r = &job->ready;
  w->was_run = true;
  w->watch = watch;
  w->err = w->use->work(w);
  if (w->err || !w->next || w->only_shown) return;
  r->snap = w->next;
  r->head = w->base;
  r->same = w->same;
  r->settled = true;
  r->fresh = w->wants_image && !w->seed;
  if (!job->aside) return;
  if (r->image) store_aside_content(r->image, w->next);
  if (r->seed && w->seed) {
    store_aside_content(r->seed, w->seed);
  } else {
    store_aside_end(r->seed);
    r->seed = NULL;
  }
  job->err = ready_make(r, watch);
}

/* ---- control's part ---- */

bool whole_is_large(const struct control *c, const struct zone_slot *z, uint64_t bytes) {
  return bytes > c->images.whole_bytes || (z && z->snap && zone_memory_bytes(z->snap) > c->images.whole_bytes);
}

static const char *const drop_text[][2] = {
    [WHOLE_ZONE_GONE] = {"the zone was removed, or changed its role: nothing was done", ""},
    [WHOLE_MOVED] = {"the zone was changed again and again while this was made ready: nothing was done",
                     "hold back what changes it for a moment, and try again"},
    [WHOLE_OVER] = {"the server ends: nothing was done", "try again when it is back"},
    [WHOLE_SWAPPED] = {"the server is being replaced: nothing was done", "try again in a moment"},
    [WHOLE_NO_MEMORY] = {"out of memory", ""},
};

/* What is made ready is committed at once: nothing comes in between. */
static void do_at_once(struct control *c, struct whole *w) {
  struct image_job *job = calloc(1, sizeof *job);
  if (!job) {
    w->use->refused(c, w, drop_text[WHOLE_NO_MEMORY][0], "");
    whole_free(w);
    return;
  }
  job->use = IMAGE_WHOLE;
  job->zone_id = w->zone_id;
  job->whole = w;
  if (whole_begin(c, job)) whole_done(c, job);
  else image_job_free(job);
}

bool whole_start_aside(struct control *c, struct whole *w) {
  if (!images_take_whole(c, w)) return false;
  if (w->has_client && c->images.tell_ns == UINT64_MAX) c->images.tell_ns = c->now.mono_ns + TELL_S * NS_PER_S;
  return true;
}

void whole_start(struct control *c, struct whole *w, bool aside) {
  if (!aside || !whole_start_aside(c, w)) do_at_once(c, w);
}

static void begin_image(struct control *c, struct image_job *job, const struct zone_slot *z) {
  struct ready *r = &job->ready;
  r->has_base = z->snap && pipeline_has_base(z);
  if (!job->aside || job->whole->only_shown || upkeep_room(c) >= STORE_ROOM_NO_BULK) return;
  if (store_aside_begin(c->store, z->store_id, NULL, &r->image)) r->image = NULL; /* then the pipeline writes it */
  else job->commits = store_aside_commits(r->image);
  if (job->whole->may_seed && store_aside_begin(c->store, z->store_id, NULL, &r->seed)) r->seed = NULL;
}

bool whole_begin(struct control *c, struct image_job *job) {
  struct whole *w = job->whole;
  w->cancelled = &job->cancelled;
  w->was_run = false;
  if (w->any_zone) return true;
  struct zone_slot *z = c->registry.slots[w->zone_id];
  if (w->use->begin && !w->use->begin(c, w, z)) return false;
  if (w->next && !is_as_pinned(c, w, z)) forget_next(w);
  pin(c, w, z);
  job->began_ns = c->now.mono_ns;
  begin_image(c, job, z);
  return true;
}

void whole_drop_job(struct control *c, struct image_job *job, enum whole_drop why) {
  struct whole *w = job->whole;
  if (w) w->use->refused(c, w, drop_text[why][0], drop_text[why][1]);
  image_job_free(job);
}

static bool again(struct control *c, struct image_job *job) {
  struct whole *w = job->whole;
  if (++w->tries >= WHOLE_TRIES) return false;
  forget_next(w);
  job->whole = NULL;
  image_job_free(job);
  if (!images_take_whole(c, w)) do_at_once(c, w);
  return true;
}

void whole_done(struct control *c, struct image_job *job) {
  static const struct store_watch alone = {NULL, go_on};
  struct whole *w = job->whole;
  if (atomic_load(&job->cancelled)) {
    whole_drop_job(c, job, WHOLE_ZONE_GONE);
    return;
  }
  struct zone_slot *z = w->any_zone ? NULL : c->registry.slots[w->zone_id];
  if (!w->was_run) whole_run(job, &alone); /* there is no thread */
  if (z && !w->err && !w->use->stays_good && (!is_as_pinned(c, w, z) || z->snap != w->base)) {
    if (!again(c, job)) whole_drop_job(c, job, WHOLE_MOVED);
    return;
  }
  const struct ready *r = !w->err && job->ready.settled ? &job->ready : NULL;
  w->use->done(c, w, z, r);
  if (w->keep) {
    whole_forget_kept(c);
    unpin_base(w);
    c->images.kept = w;
    c->images.kept_ns = c->now.mono_ns + KEPT_S * NS_PER_S;
    job->whole = NULL;
  }
  image_job_free(job);
}

/* ---- what was shown may be wanted ---- */

void whole_forget_kept(struct control *c) {
  whole_free(c->images.kept);
  c->images.kept = NULL;
}

struct whole *whole_take_kept(struct control *c, const struct zone_slot *z, const struct whole_use *use) {
  struct whole *w = c->images.kept;
  if (!w || w->use != use || w->zone_id != z->id) return NULL;
  if (!is_as_pinned(c, w, z)) {
    whole_forget_kept(c);
    return NULL;
  }
  c->images.kept = NULL;
  return w;
}

/* ---- how far it is ---- */

static void describe(const struct whole *w, bool runs, struct buf *out) {
  uint64_t records = atomic_load_explicit(&w->records, memory_order_relaxed);
  if (!runs) buf_add_text(out, "waits for others");
  else if (records) buf_printf(out, "%" PRIu64 " record%s read", records, plural(records));
  else buf_add_text(out, "begun");
}

bool whole_progress(const struct control *c, uint32_t zone_id, struct buf *out) {
  const struct image_job *running = c->images.running, *job = running;
  for (job = job ? job : c->images.first; job; job = job == running ? c->images.first : job->next) {
    const struct whole *w = job->whole;
    if (!w || w->any_zone || w->zone_id != zone_id || atomic_load(&job->cancelled)) continue;
    if (!out) return true;
    buf_printf(out, "%s%s%s: ", w->use->what, w->author ? " by " : "", w->author ? w->author : "");
    describe(w, job == running, out);
    return true;
  }
  return false;
}

static bool tell(struct control *c, const struct image_job *job) {
  struct buf text = {0};
  if (!job->whole || !job->whole->has_client) return false;
  describe(job->whole, job == c->images.running, &text);
  reply_json(c, job->whole->token, json_pack("{s:s}", "progress", buf_text(&text)));
  buf_done(&text);
  return true;
}

void whole_run_due(struct control *c) {
  struct images *i = &c->images;
  bool any = false;
  if (i->kept && (c->now.mono_ns >= i->kept_ns || !is_as_pinned(c, i->kept, c->registry.slots[i->kept->zone_id])))
    whole_forget_kept(c);
  if (c->now.mono_ns < i->tell_ns) return;
  if (i->running) any = tell(c, i->running);
  for (const struct image_job *job = i->first; job; job = job->next)
    any = tell(c, job) || any;
  i->tell_ns = any ? c->now.mono_ns + TELL_S * NS_PER_S : UINT64_MAX;
}

uint64_t whole_deadline(const struct control *c) {
  const struct images *i = &c->images;
  return i->kept && i->kept_ns < i->tell_ns ? i->kept_ns : i->tell_ns;
}

/* What is to be committed goes on without the client. */
void whole_gone(struct control *c, uint64_t token) {
  struct images *i = &c->images;
  for (struct image_job *job = i->running ? i->running : i->first; job; job = job == i->running ? i->first : job->next) {
    struct whole *w = job->whole;
    if (!w || !w->has_client || w->token != token) continue;
    w->has_client = false;
    if (w->only_shown || w->any_zone) atomic_store(&job->cancelled, true);
  }
}
