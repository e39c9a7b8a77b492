#include "tandem/image_thread.h"

#include "io/thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Behind each MiB, while commits come: they find the disk free nine tenths of the time (docs/design/store.md). */
enum { BREAK_MS = 20 };

struct image_thread {
  pthread_t thread;
  struct loop *loop;
  struct image_job *job;
  atomic_bool ended;
  uint64_t bytes; /* its own */
};

static bool step(void *arg, uint64_t bytes) {
  struct image_thread *t = arg;
  struct timespec pause = {0, BREAK_MS * NS_PER_MS};
  if (bytes > t->bytes && control_image_pressed(t->job)) nanosleep(&pause, NULL);
  t->bytes = bytes;
  return true;
}

static void *run(void *arg) {
  struct image_thread *t = arg;
  struct store_watch watch = {t, step};
  thread_stand_back();
  control_image_run(t->job, &watch);
  atomic_store(&t->ended, true);
  loop_wake(t->loop);
  return NULL;
}

enum err image_thread_start(struct loop *l, struct image_job *job, struct image_thread **out) {
  struct image_thread *t = calloc(1, sizeof *t);
  if (!t) return ERR_MEMORY;
  t->loop = l;
  t->job = job;
  enum err err = thread_start(&t->thread, "image", -1, run, t);
  if (err) free(t);
  else *out = t;
  return err;
}

bool image_thread_has_ended(const struct image_thread *t) {
  return atomic_load(&t->ended);
}

void image_thread_free(struct image_thread *t) {
  if (!t) return;
  pthread_join(t->thread, NULL);
  free(t);
}
