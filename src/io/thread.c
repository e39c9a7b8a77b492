#include "io/thread.h"

#include <sched.h>
#include <signal.h>

enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *arg), void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int r = pthread_create(out, NULL, run, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (r != 0) return ERR_MEMORY;
  pthread_setname_np(*out, name);
  if (cpu >= 0 && cpu < CPU_SETSIZE) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(*out, sizeof set, &set); /* a CPU that is not ours: it runs unpinned */
  }
  return ERR_OK;
}
