#include "tandem/backup.h"

#include "tandem/job_thread.h"

#include <stdlib.h>
#include <time.h>

enum { TELL_MS = 500, BREAK_MOST_MS = 100 };

struct backup_thread {
  struct job_thread thread;
  struct control_backup *backup;
  atomic_bool stop;
  atomic_uint_fast64_t bytes;
  uint64_t stepped_ns, told_ns; /* its own */
};

/* A break as long as the piece took: half of the disk stays for commits. */
static void take_break(uint64_t took_ns) {
  if (took_ns > BREAK_MOST_MS * NS_PER_MS) took_ns = BREAK_MOST_MS * NS_PER_MS;
  struct timespec pause = {0, (long)took_ns};
  nanosleep(&pause, NULL);
}

static bool step(void *arg, uint64_t bytes) {
  struct backup_thread *t = arg;
  uint64_t now_ns = clock_read().mono_ns;
  atomic_store(&t->bytes, bytes);
  if (now_ns - t->told_ns > TELL_MS * NS_PER_MS) {
    t->told_ns = now_ns;
    loop_wake(t->thread.loop);
  }
  take_break(now_ns - t->stepped_ns);
  t->stepped_ns = clock_read().mono_ns;
  return !atomic_load(&t->stop);
}

static void run(void *arg) {
  struct backup_thread *t = arg;
  struct store_watch watch = {t, step};
  t->stepped_ns = t->told_ns = clock_read().mono_ns;
  control_backup_run(t->backup, &watch);
}

enum err backup_thread_start(struct loop *l, struct control_backup *b, struct backup_thread **out) {
  struct backup_thread *t = calloc(1, sizeof *t);
  if (!t) return ERR_MEMORY;
  t->backup = b;
  enum err err = job_thread_start(&t->thread, l, "backup", run, t);
  if (err) free(t);
  else *out = t;
  return err;
}

bool backup_thread_look(const struct backup_thread *t, uint64_t *bytes) {
  *bytes = atomic_load(&t->bytes);
  return job_thread_has_ended(&t->thread);
}

void backup_thread_free(struct backup_thread *t) {
  if (!t) return;
  atomic_store(&t->stop, true);
  job_thread_join(&t->thread);
  free(t);
}
