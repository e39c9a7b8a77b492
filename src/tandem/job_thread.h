/* A thread that does one thing beside the control thread, and wakes its loop when it has. Thread: the control thread's. */
#ifndef TANDEM_JOB_THREAD_H
#define TANDEM_JOB_THREAD_H

#include "io/loop.h"

#include <pthread.h>
#include <stdatomic.h>

struct job_thread { /* stays where it is from the start to the end */
  pthread_t thread;
  struct loop *loop;
  void (*run)(void *arg); /* in the thread */
  void *arg;
  atomic_bool ended;
};

MUST_CHECK enum err job_thread_start(struct job_thread *t, struct loop *l, const char *name, void (*run)(void *arg), void *arg);
bool job_thread_has_ended(const struct job_thread *t);
void job_thread_join(struct job_thread *t);

#endif
