/* What another thread does with a large version, so that the control thread finds it ready: reads a transfer, compares it
 * with the one before, writes the difference down or the image, proves an image that is to be served from and brings it to where
 * the log is. It touches nothing of control's but its own job; snapshots are immutable. */
#include "base/log.h"
#include "control/whole.h"
#include "zone/content.h"
#include "zone/image.h"

#include <stdlib.h>
#include <string.h>

struct asked { /* the thread's own watch, behind the question whether the job is still wanted */
  struct image_job *job;
  const struct store_watch *watch;
};

static bool ask(void *arg, uint64_t bytes) {
  const struct asked *a = arg;
  return !atomic_load(&a->job->cancelled) && a->watch->step(a->watch->arg, bytes);
}

/* ---- a version ---- */

static enum err compare(struct ready *r) {
  struct delta_size size;
  if (r->head == r->snap) return ERR_OK; /* only the store lacks it */
  if (r->head && !r->settled) r->same = zone_equal(r->head, r->snap);
  if (!r->settled) r->conflicts = transfers_conflicts(r->head, r->snap);
  if (r->same || !r->has_base) return ERR_OK;
  enum err err = zone_delta_make(r->head, r->snap, LIMIT_CHANGE_BYTES, &r->body, &size);
  r->is_delta = !err;
  return err == ERR_SPACE ? ERR_OK : err;
}

/* As count_change in pipeline.c does. */
static enum err count(struct ready *r) {
  struct digest128 digest = {0};
  enum err err = ERR_OK;
  r->size = (struct delta_size){.added = zone_record_count(r->snap)};
  bool known = zone_content(r->snap, &digest), stepwise = !known && r->has_base && zone_content(r->head, &digest);
  struct digest128 stepped = digest;
  if (r->is_delta) err = zone_content_delta(r->body.data, r->body.size, &stepped, &r->size);
  else if (r->has_base) err = zone_content_diff(r->head, r->snap, known ? NULL : &stepped, &r->size);
  if (stepwise) digest = stepped;
  if (!err && !known && !stepwise) err = zone_content_whole(r->snap, &digest);
  r->content = digest;
  r->has_content = !err;
  return err;
}

/* One that is only to be fresh need not be there. */
static enum err write_fresh(struct ready *r, const struct store_watch *watch) {
  if (!r->image || !store_aside_write(r->image, watch)) return ERR_OK;
  store_aside_end(r->image);
  r->image = NULL;
  return ERR_OK;
}

static enum err write_image(struct ready *r, const struct store_watch *watch) {
  enum err err = compare(r);
  if (!err && !r->same && watch->step(watch->arg, 0)) err = count(r);
  if (err || !watch->step(watch->arg, 0)) return err;
  if (r->same || r->is_delta) return r->fresh ? write_fresh(r, watch) : ERR_OK;
  return r->image ? store_aside_write(r->image, watch) : ERR_OK;
}

enum err ready_make(struct ready *r, const struct store_watch *watch) {
  enum err err = write_image(r, watch);
  if (r->seed && (!err || err == ERR_IO) && watch->step(watch->arg, 0)) {
    enum err seed = store_aside_write(r->seed, watch);
    if (!err) err = seed;
  }
  r->made = !err || err == ERR_IO; /* which the batch says that takes it */
  return err;
}

/* ---- an image that was opened ---- */

struct body {
  size_t at, size;
};

struct tail {
  uint64_t after;
  struct buf bytes, bodies; /* of struct body, newest first */
  bool broken;
};

static bool take_change(void *arg, const struct store_change *c) {
  struct tail *t = arg;
  struct body b = {t->bytes.size, c->body_size};
  if (c->version <= t->after) return false;
  t->broken = c->kind != STORE_DELTA;
  buf_add(&t->bytes, c->body, c->body_size);
  buf_add(&t->bodies, &b, sizeof b);
  return !t->broken && !t->bytes.failed && !t->bodies.failed;
}

static enum err apply(const struct tail *t, const struct zone_snap **snap) {
  for (size_t i = t->bodies.size / sizeof(struct body); i > 0; i--) {
    struct body b;
    struct zone_snap *next;
    memcpy(&b, t->bodies.data + (i - 1) * sizeof b, sizeof b);
    enum err err = zone_delta_apply(*snap, t->bytes.data + b.at, b.size, &next);
    if (err) return err;
    zone_snap_unref(*snap);
    *snap = next;
  }
  return ERR_OK;
}

static enum err follow_log(struct image_job *job) {
  struct tail t = {.after = job->version};
  struct store_error why;
  enum err err = ERR_OK;
  if (job->log_version > job->version)
    err = store_reader_walk_back(job->reader, job->store_id, job->log_head, take_change, &t, &why);
  if (!err && (t.bytes.failed || t.bodies.failed)) err = ERR_MEMORY;
  if (!err && t.broken) err = ERR_RANGE;
  if (!err) err = apply(&t, &job->snap);
  if (!err) job->version = job->log_version;
  buf_done(&t.bytes);
  buf_done(&t.bodies);
  return err;
}

static enum err make_served(struct image_job *job, const struct store_watch *watch) {
  bool more = true;
  enum err err = ERR_OK;
  while (!err && more && watch->step(watch->arg, 0))
    err = zone_image_prove(job->snap, &more);
  return err || more ? err : follow_log(job);
}

/* ---- the job ---- */

void control_image_run(struct image_job *job, const struct store_watch *watch) {
  struct asked asked = {job, watch};
  const struct store_watch own = {&asked, ask};
  switch (job->use) {
  case IMAGE_BUILD:
    transfer_build_run(job->build);
    break;
  case IMAGE_ARRIVAL:
  case IMAGE_UNKEPT:
    job->err = ready_make(&job->ready, &own);
    break;
  case IMAGE_WHOLE:
    whole_run(job, &own);
    break;
  case IMAGE_FRESH:
    job->err = store_aside_write(job->ready.image, &own);
    break;
  case IMAGE_OPENED:
    job->err = make_served(job, &own);
    break;
  }
}

bool control_image_is_awaited(const struct image_job *job) {
  return job->use == IMAGE_WHOLE || job->use == IMAGE_BUILD || job->use == IMAGE_ARRIVAL;
}

bool control_image_pressed(struct image_job *job) {
  if (!job->ready.image) return false;
  unsigned before = job->commits;
  job->commits = store_aside_commits(job->ready.image);
  return job->commits != before;
}

void image_job_free(struct image_job *job) {
  if (job->build) secondary_build_dropped(job->build);
  whole_free(job->whole);
  store_aside_end(job->ready.image);
  store_aside_end(job->ready.seed);
  store_reader_close(job->reader);
  buf_done(&job->ready.body);
  zone_snap_unref(job->head);
  zone_snap_unref(job->snap);
  free(job);
}
