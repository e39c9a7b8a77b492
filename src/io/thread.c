#include "io/thread.h"

#include "base/give_way.h"

#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *arg), void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS); /* of its own reads: blocked, it would end the process (store/segment_fault.c) */
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

enum { NICE = 10 };

void thread_stand_back(void) {
  (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
  (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, gettid(), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_NR_LEVELS - 1));
}

enum { SLICE_NS = 100 * 1000 /* the least that the kernel takes */ };

struct slice_attr { /* of sched_setattr(2): struct sched_attr, which older libraries do not have and whose header excludes sched.h
                     */
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

static void take_short_slice(uint64_t flags) {
  struct slice_attr attr = {.size = sizeof attr};
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.policy != SCHED_OTHER) return;
  attr.flags = flags;
  attr.runtime = SLICE_NS;
  (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

void thread_come_quickly(void) {
  take_short_slice(0);
}

void thread_give_way(void) {
  enum { RESET_ON_FORK = 1 };
  take_short_slice(RESET_ON_FORK);
  give_way_from_now_on();
}

enum { WAKE_SIGNAL = SIGURG /* ignored by default; here it only interrupts a wait */ };

static void interrupted(int signal_number) {
}

void thread_interruptible(void) {
  struct sigaction quiet = {.sa_handler = interrupted}; /* without SA_RESTART: a wait ends */
  sigset_t set;
  sigaction(WAKE_SIGNAL, &quiet, NULL);
  sigemptyset(&set);
  sigaddset(&set, WAKE_SIGNAL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void thread_interrupt(pthread_t t) {
  /* The signal may come just before the thread starts to wait, and be lost: it is sent until the thread has ended. */
  for (;;) {
    pthread_kill(t, WAKE_SIGNAL);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000 * 1000;
    if (until.tv_nsec >= 1000 * 1000 * 1000) {
      until.tv_nsec -= 1000 * 1000 * 1000;
      until.tv_sec++;
    }
    if (pthread_timedjoin_np(t, NULL, &until) == 0) break;
  }
}
