#include "tandem/image_thread.h"

#include "io/thread.h"
#include "tandem/job_thread.h"

#include <stdlib.h>
#include <time.h>

/* Behind each MiB, while commits come: they find the disk free nine tenths of the time (docs/design/store.md). */
enum { BREAK_MS = 20 };

struct image_thread {
  struct job_thread thread;
  struct image_job *job;
  uint64_t bytes; /* its own */
};

static bool step(void *arg, uint64_t bytes) {
  struct image_thread *t = arg;
  struct timespec pause = {0, BREAK_MS * NS_PER_MS};
  if (bytes > t->bytes && control_image_pressed(t->job)) nanosleep(&pause, NULL);
  t->bytes = bytes;
  return true;
}

static void run(void *arg) {
  struct image_thread *t = arg;
  struct store_watch watch = {t, step};
  if (!control_image_is_awaited(t->job)) thread_stand_back();
  control_image_run(t->job, &watch);
}

enum err image_thread_start(struct loop *l, struct image_job *job, struct image_thread **out) {
  struct image_thread *t = calloc(1, sizeof *t);
  if (!t) return ERR_MEMORY;
  t->job = job;
  enum err err = job_thread_start(&t->thread, l, "image", run, t);
  if (err) free(t);
  else *out = t;
  return err;
}

bool image_thread_has_ended(const struct image_thread *t) {
  return job_thread_has_ended(&t->thread);
}

void image_thread_free(struct image_thread *t) {
  if (!t) return;
  job_thread_join(&t->thread);
  free(t);
}
