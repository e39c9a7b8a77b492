#include "sim.h"

#include "zone/zone_set.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct event {
  uint64_t at_ns, order;
  void (*f)(void *arg, uint64_t token);
  void *arg;
  uint64_t token;
};

static struct {
  uint64_t seed, random, now_ns, order, hash, events;
  bool verbose;
  struct event *heap;
  size_t count, capacity;
} core;

enum { BOOTED_S = 1000 };

void sim_begin(uint64_t seed, bool verbose) {
  core.seed = seed;
  core.random = hash64(&seed, sizeof seed, 1); /* seeds that follow each other must not give streams that do */
  core.now_ns = BOOTED_S * NS_PER_S;
  core.order = core.events = 0;
  core.hash = hash64(&seed, sizeof seed, 0);
  core.verbose = verbose;
  core.count = 0;
}

uint64_t sim_seed(void) {
  return core.seed;
}

uint64_t sim_now_ns(void) {
  return core.now_ns;
}

uint64_t sim_hash(void) {
  return core.hash;
}

uint64_t sim_events(void) {
  return core.events;
}

/* splitmix64 */
uint64_t sim_random(void) {
  uint64_t z = core.random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

uint64_t sim_below(uint64_t n) {
  return n ? sim_random() % n : 0;
}

uint64_t sim_between(uint64_t least, uint64_t most) {
  return least + sim_below(most - least + 1);
}

bool sim_chance(unsigned per_mille) {
  return per_mille && sim_below(1000) < per_mille;
}

/* ---- trace ---- */

static double now_s(void) {
  return (double)(core.now_ns - BOOTED_S * NS_PER_S) / (double)NS_PER_S;
}

void sim_trace(const char *what, uint64_t a, uint64_t b, uint64_t c) {
  uint64_t mix[5] = {core.now_ns, a, b, c, hash64(what, strlen(what), 0)};
  core.hash = hash64(mix, sizeof mix, core.hash);
  if (core.verbose)
    fprintf(stderr, "%12.6f %s %llu %llu %llu\n", now_s(), what, (unsigned long long)a, (unsigned long long)b,
            (unsigned long long)c);
}

void sim_say(const char *format, ...) {
  if (!core.verbose) return;
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%12.6f ", now_s());
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
}

void sim_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "seed %llu at %.6f s: ", (unsigned long long)core.seed, now_s());
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  fflush(stderr);
  _exit(EXIT_FOUND);
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(size_t i, size_t k) {
  struct event e = core.heap[i];
  core.heap[i] = core.heap[k];
  core.heap[k] = e;
}

void sim_later(uint64_t delay_ns, void (*f)(void *arg, uint64_t token), void *arg, uint64_t token) {
  if (core.count == core.capacity) {
    core.capacity = core.capacity ? 2 * core.capacity : 256;
    core.heap = realloc(core.heap, core.capacity * sizeof *core.heap);
    if (!core.heap) abort();
  }
  size_t i = core.count++;
  core.heap[i] = (struct event){core.now_ns + delay_ns, core.order++, f, arg, token};
  for (; i && before(&core.heap[i], &core.heap[(i - 1) / 2]); i = (i - 1) / 2)
    swap(i, (i - 1) / 2);
}

static struct event take(void) {
  struct event first = core.heap[0];
  core.heap[0] = core.heap[--core.count];
  for (size_t i = 0;;) {
    size_t least = i;
    for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < core.count; k++)
      if (before(&core.heap[k], &core.heap[least])) least = k;
    if (least == i) return first;
    swap(i, least);
    i = least;
  }
}

/* One event, or what a server has put down for that time. False: nothing happens before `until_ns`. */
static bool step(uint64_t until_ns) {
  uint64_t due = nodes_deadline(), next = core.count ? core.heap[0].at_ns : UINT64_MAX;
  uint64_t at = due < next ? due : next;
  if (at > until_ns) {
    core.now_ns = until_ns;
    return false;
  }
  if (at > core.now_ns) core.now_ns = at;
  core.events++;
  if (due <= next) {
    node_run_due();
  } else {
    struct event e = take();
    e.f(e.arg, e.token);
  }
  return true;
}

void sim_run_s(double seconds) {
  uint64_t until = core.now_ns + (uint64_t)(seconds * (double)NS_PER_S);
  while (step(until)) {
  }
}

bool sim_run_until(double most_s, bool (*done)(void)) {
  uint64_t until = core.now_ns + (uint64_t)(most_s * (double)NS_PER_S);
  while (!done())
    if (!step(until)) return done();
  return true;
}
