#include "base/clock.h"

#include "base/hash.h"

#include <stdio.h>
#include <time.h>

struct instant clock_read(void) {
  struct timespec mono, wall;
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  return (struct instant){(uint64_t)mono.tv_sec * NS_PER_S + (uint64_t)mono.tv_nsec, wall.tv_sec};
}

uint64_t clock_thread_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_boot(void) {
  char id[64];
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
  size_t n = f ? fread(id, 1, sizeof id, f) : 0;
  if (f) fclose(f);
  return n ? hash64(id, n, 0) : 0;
}

const char *time_text(int64_t wall_s, char out[TIME_TEXT_BYTES]) {
  time_t t = (time_t)wall_s;
  struct tm tm;
  if (!gmtime_r(&t, &tm) || !strftime(out, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm)) snprintf(out, TIME_TEXT_BYTES, "?");
  return out;
}
