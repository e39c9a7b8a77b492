#include "tandem/job_thread.h"

#include "io/thread.h"

static void *run(void *arg) {
  struct job_thread *t = arg;
  t->run(t->arg);
  atomic_store(&t->ended, true);
  loop_wake(t->loop);
  return NULL;
}

enum err job_thread_start(struct job_thread *t, struct loop *l, const char *name, void (*job)(void *arg), void *arg) {
  t->loop = l;
  t->run = job;
  t->arg = arg;
  atomic_init(&t->ended, false);
  return thread_start(&t->thread, name, -1, run, t);
}

bool job_thread_has_ended(const struct job_thread *t) {
  return atomic_load(&t->ended);
}

void job_thread_join(struct job_thread *t) {
  pthread_join(t->thread, NULL);
}
