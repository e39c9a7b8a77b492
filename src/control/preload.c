/* Zone files read and images opened by a few threads ahead of the control thread, which takes what they have in the order of the
 * registry and is alone with the store and the slots. Threads touch nothing but the configuration, their files, the bytes of their
 * images and what they build; what the log has behind an image they read with a connection of their own. They wait when they are
 * too far ahead, and a zone that nobody has begun with is done by whoever wants it. */
#include "base/log.h"
#include "base/pages.h"
#include "control/alike.h"
#include "control/reader_thread.h"
#include "control/whole.h"
#include "zone/content.h"

#include <pthread.h>
#include <stdlib.h>

enum {
  THREADS_MOST = 4,
  AHEAD_JOBS = 512,         /* results that may wait ... */
  AHEAD_BYTES = 128 << 20,  /* ... and what their files may have in all */
  PROGRESS_RECORDS = 65536, /* between two looks at the clock */
  TURN_IMAGES = 32,         /* opened with one look at the lock */
};

enum job_state { JOB_WAITS, JOB_RUNS, JOB_DONE, JOB_TAKEN };

struct file_result {
  struct diags diags;
  struct zone_loaded loaded;
};

struct job { /* one of a million: small */
  const struct zone_slot *zone;
  struct file_result *file; /* it is read; NULL: the image that was found is opened */
  struct store_found found;
  struct opened_zone opened;
  enum job_state state;
  enum err err;
};

struct preload {
  struct store *store;
  pthread_mutex_t lock;
  pthread_cond_t done;       /* the job that the control thread waits for */
  pthread_cond_t room;       /* there may be a job to begin */
  struct job *jobs;          /* in the order of the registry */
  size_t count, begun, seen; /* up to `seen` the control thread is through */
  size_t long_ones;          /* that a thread needs longer for than the control thread does then */
  uint64_t waiting_bytes;    /* of files whose zones wait to be taken */
  bool wanted, over;
  unsigned thread_count;
  pthread_t threads[THREADS_MOST];
};

/* A zone that takes more than a second says how far it is. */
struct progress {
  const struct zone_slot *zone;
  struct whole *whole;
  uint64_t said_ns;
};

static bool say_progress(void *arg, uint64_t records) {
  struct progress *p = arg;
  char name[NAME_TEXT_BYTES];
  if (p->whole && !whole_count(p->whole, records)) return false;
  if (records % PROGRESS_RECORDS) return true;
  uint64_t now = clock_read().mono_ns;
  if (now - p->said_ns < NS_PER_S) return true;
  p->said_ns = now;
  log_event(EV_ZONE_LOADING, LOG_TEXT("zone", slot_name_text(p->zone, name)), LOG_NUMBER("records", records));
  return true;
}

enum err zone_file_load(const struct zone_slot *z, struct zonefile_kept *kept, struct whole *whole, struct diags *diags,
                        struct zone_loaded *out) {
  struct progress progress = {z, whole, clock_read().mono_ns};
  struct zone_load_options o = {.include_root = z->config->options->include_root,
                                .plain = slot_writes_back(z),
                                .kept = kept,
                                .two_threads = !kept, /* else there are others already */
                                .progress = say_progress,
                                .progress_arg = &progress};
  struct buf scratch = {0};
  struct name apex;
  slot_name(z, &apex);
  enum err err = zone_load_file(config_zone_file(z->config, &scratch), &apex, &o, diags, out);
  buf_done(&scratch);
  return err;
}

/* ---- the threads ---- */

/* Counted here, what is committed has its digest already. */
static void count_content(const struct job *j) {
  struct digest128 digest;
  const struct zone_snap *snap = j->file->loaded.snap;
  if (!j->err && !zone_content(snap, &digest) && !zone_content_whole(snap, &digest)) zone_content_set(snap, digest);
}

static uint64_t file_bytes(const struct job *j) {
  return j->file ? j->file->loaded.bytes : 0;
}

/* Images may all be open ahead: they stay so. */
static bool is_too_far(const struct preload *p) {
  bool many = p->begun >= p->seen + AHEAD_JOBS, much = p->waiting_bytes > AHEAD_BYTES && p->begun > p->seen;
  return p->jobs[p->begun].file && (many || much);
}

static bool has_next(struct preload *p) {
  while (p->begun < p->count && p->jobs[p->begun].state != JOB_WAITS)
    p->begun++;
  return !p->over && p->begun < p->count;
}

/* The next job that may be begun, once there is room, and how many images there are to be opened from there on. NULL: no more. */
static struct job *next_jobs(struct preload *p, size_t *count) {
  while (has_next(p) && is_too_far(p))
    pthread_cond_wait(&p->room, &p->lock);
  if (!has_next(p)) return NULL;
  struct job *first = &p->jobs[p->begun], *j = first;
  do
    j->state = JOB_RUNS;
  while (!first->file && ++j - first < TURN_IMAGES && j < p->jobs + p->count && !j->file && j->state == JOB_WAITS);
  *count = first->file ? 1 : (size_t)(j - first);
  p->begun += *count;
  return first;
}

/* What one thread has. */
struct loader {
  struct alike alike;
  struct store_reader *reader; /* once it was wanted */
};

/* Whatever goes wrong is told by the control thread, when it tries itself. */
static enum err open_image(struct preload *p, struct loader *l, struct job *j) {
  const struct zone_slot *z = j->zone;
  struct zone_snap *snap;
  enum err err = store_open_found(&j->found, &z->image, &snap, NULL);
  if (err) return err;
  j->opened.snap = snap;
  if (z->image.version == z->version) return ERR_OK;
  if (!l->reader) {
    err = store_reader_open(p->store, &l->reader, NULL);
    if (!err) err = store_reader_hold(l->reader);
  }
  if (!err) err = zone_replay(p->store, l->reader, z, z->image.version, &j->opened, NULL);
  if (!err) return ERR_OK;
  zone_snap_unref(j->opened.snap);
  j->opened.snap = NULL;
  return err;
}

static void do_job(struct preload *p, struct loader *l, struct job *j) {
  if (!j->file) {
    j->err = open_image(p, l, j);
    return;
  }
  j->err = alike_load(&l->alike, j->zone, &j->file->diags, &j->file->loaded);
  count_content(j);
}

static void *run(void *arg) {
  struct preload *p = arg;
  struct loader loader = {0};
  struct job *jobs;
  size_t count;
  pthread_mutex_lock(&p->lock);
  while ((jobs = next_jobs(p, &count))) {
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < count; i++)
      do_job(p, &loader, &jobs[i]);
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < count; i++) {
      jobs[i].state = JOB_DONE;
      p->waiting_bytes += file_bytes(&jobs[i]);
    }
    if (p->wanted) pthread_cond_signal(&p->done);
  }
  pthread_mutex_unlock(&p->lock);
  alike_done(&loader.alike);
  store_reader_close(loader.reader);
  return NULL;
}

/* ---- the control thread ---- */

/* Never read before, or not what was read last. */
static bool is_file(struct control *c, const struct zone_slot *z) {
  struct buf path = {0};
  if (slot_is_secondary(z) || z->config->options->managed || zone_file_is_aside(c, z)) return false;
  if (!z->started) return !z->source_size; /* others are mostly what they were */
  bool changed = source_compare(z, config_zone_file(z->config, &path), &c->source_memo) == SOURCE_CHANGED;
  buf_done(&path);
  return changed;
}

static bool is_image(const struct control *c, const struct zone_slot *z) {
  bool has_tail = z->image.version != z->version;
  return !z->started && z->image.segment && (!has_tail || store_has_readers(c->store));
}

/* False: out of memory; then it is read when its turn comes. */
static bool add_job(struct control *c, struct preload *p, const struct zone_slot *z) {
  struct job j = {.zone = z};
  if (is_file(c, z)) {
    j.file = calloc(1, sizeof *j.file);
    if (!j.file) return false;
  } else if (!is_image(c, z) || store_find_image(c->store, &z->image, &j.found, NULL)) {
    return true;
  }
  p->long_ones += j.file || z->image.version != z->version;
  p->jobs[p->count++] = j;
  return true;
}

/* Where most of the work is the control thread's, it has a CPU to itself. */
static void start_threads(struct preload *p) {
  unsigned cpus = reader_threads_most();
  if (cpus > 1 && p->long_ones < p->count / 2) cpus--;
  unsigned most = cpus > THREADS_MOST ? THREADS_MOST : cpus;
  while (p->thread_count < most && reader_thread_start(&p->threads[p->thread_count], run, p))
    p->thread_count++;
}

static void drop(struct job *j) {
  store_found_done(&j->found);
  if (j->file) diags_done(&j->file->diags);
  if (j->file) zone_loaded_done(&j->file->loaded);
  free(j->file);
  j->file = NULL;
  zone_snap_unref(j->opened.snap);
  j->state = JOB_TAKEN;
}

/* With room for the jobs of so many slots. */
static struct preload *preload_new(struct control *c, size_t slots) {
  size_t most = slots < c->registry.count ? slots : c->registry.count;
  struct preload *p = calloc(1, sizeof *p);
  struct job *jobs = malloc((most + 1) * sizeof *jobs);
  if (!p || !jobs) {
    free(p);
    free(jobs);
    return NULL;
  }
  pages_expect(jobs, most * sizeof *jobs);
  p->store = c->store;
  p->jobs = jobs;
  return p;
}

void preload_start(struct control *c, size_t first, size_t end) {
  struct zone_slot *z;
  struct preload *p = preload_new(c, end - first);
  if (!p) return;
  for (size_t i = first; i < end && (z = registry_next(&c->registry, &i));)
    if (i <= end && !add_job(c, p, z)) break;
  if (p->count < 2) { /* not worth a thread */
    if (p->count) drop(&p->jobs[0]);
    free(p->jobs);
    free(p);
    return;
  }
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->done, NULL);
  pthread_cond_init(&p->room, NULL);
  c->preload = p;
  start_threads(p);
}

/* The job of this zone; what was read for zones before it and not wanted goes. NULL: there is none. */
static struct job *find_job(struct preload *p, const struct zone_slot *z) {
  for (; p->seen < p->count && p->jobs[p->seen].zone->id < z->id; p->seen++) {
    struct job *j = &p->jobs[p->seen];
    if (j->state == JOB_WAITS || j->state == JOB_DONE) {
      p->waiting_bytes -= file_bytes(j);
      drop(j);
    } /* one that still runs is dropped at the end */
  }
  return p->seen < p->count && p->jobs[p->seen].zone == z ? &p->jobs[p->seen] : NULL;
}

/* What became of it, in `*out`. False: it is the caller's to do. */
static bool take(struct preload *p, const struct zone_slot *z, bool is_image, struct job *out) {
  pthread_mutex_lock(&p->lock);
  struct job *j = find_job(p, z);
  if (j && !j->file != is_image) j = NULL;
  bool ours = !j || j->state == JOB_WAITS || j->state == JOB_TAKEN;
  while (!ours && j->state == JOB_RUNS) {
    p->wanted = true;
    pthread_cond_wait(&p->done, &p->lock);
    p->wanted = false;
  }
  if (!ours) {
    *out = *j;
    *j = (struct job){.zone = j->zone};
    p->waiting_bytes -= file_bytes(out);
  }
  if (j) {
    if (ours) drop(j);
    j->state = JOB_TAKEN;
    p->seen++;
  }
  if (p->seen % (AHEAD_JOBS / 4) == 0 || (!ours && file_bytes(out) > AHEAD_BYTES / AHEAD_JOBS)) pthread_cond_broadcast(&p->room);
  pthread_mutex_unlock(&p->lock);
  return !ours;
}

bool preload_take(struct control *c, const struct zone_slot *z, struct diags *diags, struct zone_loaded *out, enum err *err) {
  struct job j;
  if (!c->preload || !take(c->preload, z, false, &j)) return false;
  *diags = j.file->diags;
  *out = j.file->loaded;
  *err = j.err;
  free(j.file);
  return true;
}

bool preload_take_image(struct control *c, const struct zone_slot *z, struct opened_zone *out) {
  struct job j;
  if (!c->preload || !take(c->preload, z, true, &j) || j.err) return false;
  *out = j.opened;
  return true;
}

void preload_end(struct control *c) {
  struct preload *p = c->preload;
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  p->over = true;
  pthread_cond_broadcast(&p->room);
  pthread_mutex_unlock(&p->lock);
  for (unsigned i = 0; i < p->thread_count; i++)
    pthread_join(p->threads[i], NULL);
  for (size_t i = 0; i < p->count; i++)
    if (p->jobs[i].state == JOB_DONE || p->jobs[i].state == JOB_WAITS) drop(&p->jobs[i]);
  pthread_cond_destroy(&p->room);
  pthread_cond_destroy(&p->done);
  pthread_mutex_destroy(&p->lock);
  free(p->jobs);
  free(p);
  c->preload = NULL;
}
