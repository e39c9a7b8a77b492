/* A page of a mapped segment that can't be read (its file was cut short, or the disk failed) raises SIGBUS in whoever reads it, be
 * it a worker. Here it costs that segment, not the process: zeros are put in the map's place, the backing is marked as lost, and
 * reading goes on; what was read of a lost backing counts for nothing (zone/image.h). All of the map goes, not the page alone:
 * references in what is left would lead anywhere, once part of them is zeros. Zeros refer to the first cell, which is zeros.
 *
 * Any other SIGBUS ends the process as before. */
#include "store/store_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

struct watched {
  _Atomic uintptr_t at; /* 0: free; written last, and taken back first */
  _Atomic size_t size;
  _Atomic(struct image_backing *) backing;
};

static struct watched maps[LIMIT_SEGMENT_MAPS];
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER; /* among those who enter and leave; the handler only looks */
static struct sigaction before;

/* The thread that is in here reads from the map, so it can't be unmapped meanwhile. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  uintptr_t at = (uintptr_t)info->si_addr;
  for (size_t i = 0; i < LIMIT_SEGMENT_MAPS; i++) {
    uintptr_t start = atomic_load(&maps[i].at);
    size_t size = atomic_load(&maps[i].size);
    if (!start || at < start || at - start >= size) continue;
    image_backing_lose(atomic_load(&maps[i].backing)); /* first: others may read zeros from the next line on */
    if (mmap((void *)start, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) break;
    errno = saved;
    return;
  }
  sigaction(signal_number, &before, NULL); /* and the same again, without us */
  errno = saved;
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER}, old;
  if (sigaction(SIGBUS, &action, &old) == 0 && old.sa_sigaction != on_bus_error) before = old;
}

bool fault_watch(const void *at, size_t size, struct image_backing *backing) {
  bool found = false;
  pthread_mutex_lock(&maps_lock);
  install();
  for (size_t i = 0; !found && i < LIMIT_SEGMENT_MAPS; i++) {
    if (atomic_load(&maps[i].at)) continue;
    atomic_store(&maps[i].size, size);
    atomic_store(&maps[i].backing, backing);
    atomic_store(&maps[i].at, (uintptr_t)at);
    found = true;
  }
  pthread_mutex_unlock(&maps_lock);
  return found;
}

void fault_unwatch(const void *at) {
  pthread_mutex_lock(&maps_lock);
  for (size_t i = 0; i < LIMIT_SEGMENT_MAPS; i++)
    if (atomic_load(&maps[i].at) == (uintptr_t)at) atomic_store(&maps[i].at, 0);
  pthread_mutex_unlock(&maps_lock);
}
