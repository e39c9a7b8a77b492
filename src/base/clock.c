#include "base/clock.h"

#include "base/hash.h"

#include <stdio.h>
#include <time.h>

static struct instant read_clocks(clockid_t mono_clock, clockid_t wall_clock) {
  struct timespec mono, wall;
  clock_gettime(mono_clock, &mono);
  clock_gettime(wall_clock, &wall);
  return (struct instant){(uint64_t)mono.tv_sec * NS_PER_S + (uint64_t)mono.tv_nsec, wall.tv_sec};
}

struct instant clock_read(void) {
  return read_clocks(CLOCK_MONOTONIC, CLOCK_REALTIME);
}

struct instant clock_read_tick(void) {
  return read_clocks(CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE);
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
