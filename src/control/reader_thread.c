#include "control/reader_thread.h"

#include <sched.h>
#include <signal.h>

unsigned reader_threads_most(void) {
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

bool reader_thread_start(pthread_t *out, void *(*run)(void *arg), void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS); /* of its own reads: blocked, it would end the process (store/segment_fault.c) */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = pthread_create(out, NULL, run, arg) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}
