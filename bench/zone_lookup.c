/* Figures of the zone in memory: build, memory, lookups alone and in batches, commits, images, the set of zones.
 *
 *   zone_lookup [names, default 1000000]
 *
 * Names are host0.example. and so on, in random order, one A record each; a miss asks for one with a digit more. CPU time, medians
 * of five rounds; compare ratios on one machine, not figures between machines. The last column of a row of lookups is the
 * machine's own measure: reads of random cache lines in 64 MB, each of which says where the next one is. */
#include "base/limits.h"
#include "zone/image.h"
#include "zone/zone_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5, QUESTIONS = 1 << 20, SMALL_ZONES = 100000, SMALL_RECORDS = 10 };

static uint64_t dice_state = 1;

static uint64_t dice(void) { /* splitmix64 */
  uint64_t z = dice_state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static void must(enum err e) {
  if (e == ERR_OK) return;
  fprintf(stderr, "zone_lookup: %s\n", err_text(e));
  exit(1);
}

/* The thread's own CPU time, so that a busy machine disturbs less. */
static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct name name_of(const char *text) {
  struct name n;
  must(name_from_text(text, strlen(text), &name_root, &n, NULL, NULL));
  return n;
}

static struct name host(const struct name *apex, const char *prefix, unsigned i) {
  char label[64];
  int n = snprintf(label, sizeof label, "%s%u", prefix, i);
  struct name r;
  r.size = (uint8_t)(n + 1 + apex->size);
  r.labels = (uint8_t)(apex->labels + 1);
  r.octets[0] = (uint8_t)n;
  memcpy(r.octets + 1, label, (size_t)n);
  memcpy(r.octets + 1 + n, apex->octets, apex->size);
  return r;
}

static void add(struct zone_edit *e, const struct name *owner, uint16_t type, const void *rdata, size_t size) {
  enum zone_add outcome;
  must(zone_edit_add(e, owner, type, 300, rdata, (uint16_t)size, &outcome));
}

static void add_soa(struct zone_edit *e, const struct name *apex) {
  uint8_t soa[22 + 2] = {0};
  add(e, apex, RR_SOA, soa, 22);
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v) {
  qsort(v, ROUNDS, sizeof *v, compare_doubles);
  return v[ROUNDS / 2];
}

static struct zone_snap *build(const struct name *apex, const unsigned *order, unsigned names, bool nsec, double *ms,
                               double *finish_ms) {
  static const uint8_t next[] = {1, 'x', 0, 0, 1, 0x40};
  struct zone_edit *e;
  struct zone_snap *s;
  double start = now_ms();
  must(zone_edit_begin(NULL, apex, &e));
  add_soa(e, apex);
  if (nsec) add(e, apex, RR_NSEC, next, sizeof next);
  for (unsigned i = 0; i < names; i++) {
    struct name n = host(apex, "host", order[i]);
    uint8_t address[4];
    put_u32(address, order[i]);
    add(e, &n, RR_A, address, sizeof address);
    if (nsec) add(e, &n, RR_NSEC, next, sizeof next);
  }
  double sorted = now_ms();
  must(zone_edit_finish(e, &s));
  *ms = now_ms() - start;
  *finish_ms = now_ms() - sorted;
  return s;
}

/* Questions as a worker has them: keys made from names beforehand, because making them is wire's cost. */
struct questions {
  uint8_t (*keys)[64];
  uint16_t *sizes;
};

static struct questions ask(const struct name *apex, const char *prefix, unsigned first, unsigned end) {
  struct questions q = {malloc(QUESTIONS * sizeof *q.keys), malloc(QUESTIONS * sizeof *q.sizes)};
  if (!q.keys || !q.sizes) must(ERR_MEMORY);
  for (unsigned i = 0; i < QUESTIONS; i++) {
    struct name n = host(apex, prefix, first + (unsigned)(dice() % (end - first)));
    uint8_t key[NAME_KEY_BYTES];
    q.sizes[i] = (uint16_t)name_key(&n, key);
    memcpy(q.keys[i], key, q.sizes[i]);
  }
  return q;
}

static void questions_done(struct questions *q) {
  free(q->keys);
  free(q->sizes);
}

static uint64_t use; /* what was read, so that reading is not optimised away */

static void read_answer(const struct zone_lookup *l) {
  const struct zone_node *n = l->found.node ? l->found.node : l->found.encloser;
  struct zone_rrset set;
  if (l->found.node && zone_find_rrset(n, RR_A, &set)) use += get_u32(set.rrs + RR_READY_BYTES);
  use += (uintptr_t)n;
}

static double lookups(const struct zone_snap *s, const struct questions *q, size_t width) {
  struct zone_lookup l[LIMIT_BATCH], *at[LIMIT_BATCH];
  double start = now_ms();
  for (size_t i = 0; i < QUESTIONS; i += width) {
    for (size_t j = 0; j < width; j++) {
      l[j].snap = s;
      l[j].key = q->keys[i + j];
      l[j].key_size = q->sizes[i + j];
      l[j].shared = 0;
      at[j] = l + j;
    }
    zone_lookup_batch(at, width);
    for (size_t j = 0; j < width; j++)
      read_answer(l + j);
  }
  return (now_ms() - start) * 1e6 / QUESTIONS;
}

static double covers(const struct zone_snap *s, const struct questions *q, size_t width) {
  struct zone_cover c[LIMIT_BATCH], *at[LIMIT_BATCH];
  double start = now_ms();
  for (size_t i = 0; i < QUESTIONS; i += width) {
    for (size_t j = 0; j < width; j++) {
      c[j] = (struct zone_cover){.snap = s, .key = q->keys[i + j], .key_size = q->sizes[i + j]};
      at[j] = c + j;
    }
    zone_cover_batch(at, width);
    for (size_t j = 0; j < width; j++)
      use += (uintptr_t)c[j].node;
  }
  return (now_ms() - start) * 1e6 / QUESTIONS;
}

static double chase(void) {
  enum { LINES = 1 << 20, WORDS = 16, STEPS = 1 << 18 };
  static uint32_t(*lines)[WORDS], at;
  if (!lines) {
    lines = malloc(LINES * sizeof *lines);
    if (!lines) must(ERR_MEMORY);
    for (uint32_t i = 0; i < LINES; i++)
      lines[i][0] = i;
    for (uint32_t i = LINES - 1; i > 0; i--) { /* one ring through all of them */
      uint32_t j = (uint32_t)(dice() % i), swap = lines[i][0];
      lines[i][0] = lines[j][0];
      lines[j][0] = swap;
    }
  }
  double start = now_ms();
  for (int i = 0; i < STEPS; i++)
    at = lines[at][0];
  use += at;
  return (now_ms() - start) * 1e6 / STEPS;
}

typedef double measure(const struct zone_snap *s, const struct questions *q, size_t width);

static void rounds(const char *what, measure *f, const struct zone_snap *s, const struct questions *q) {
  static const size_t widths[] = {1, 8, 16, 32};
  printf("%-34s", what);
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    double v[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
      v[i] = f(s, q, widths[w]);
    printf("  %zu: %4.0f ns", widths[w], median(v));
  }
  printf("  (%.0f)\n", chase());
}

/* Commits that take one address away and put another one there, at random names. */
static struct zone_snap *commits(struct zone_snap *s, const struct name *apex, unsigned names, unsigned changes, unsigned count) {
  double v[ROUNDS] = {0}, worst = 0;
  size_t before = zone_memory_bytes(s);
  for (unsigned i = 0; i < count; i++) {
    struct zone_edit *e;
    struct zone_snap *next;
    double start = now_ms();
    must(zone_edit_begin(s, NULL, &e));
    for (unsigned j = 0; j < changes; j++) {
      struct name n = host(apex, "host", (unsigned)(dice() % names));
      uint8_t address[4];
      put_u32(address, (uint32_t)dice());
      add(e, &n, RR_A, address, sizeof address);
    }
    must(zone_edit_finish(e, &next));
    double took = now_ms() - start;
    v[i * ROUNDS / count] += took * ROUNDS / count;
    if (took > worst) worst = took;
    zone_snap_unref(s);
    s = next;
    if (i % 50 == 49) zone_grace_barrier();
  }
  printf("%u commits of %u: %.4f ms each, longest %.3f ms, memory %+.1f MB\n", count, changes, median(v), worst,
         ((double)zone_memory_bytes(s) - (double)before) / 1e6);
  return s;
}

struct sink {
  uint8_t *data;
  size_t used, room;
};

static bool sink_take(void *arg, const void *bytes, size_t n) {
  struct sink *k = arg;
  if (n > k->room - k->used) return false;
  memcpy(k->data + k->used, bytes, n);
  k->used += n;
  return true;
}

static void images(const struct zone_snap *s, const struct questions *q) {
  struct sink k = {.room = zone_memory_bytes(s) + (1 << 20)};
  k.data = aligned_alloc(64, (k.room + 63) & ~(size_t)63);
  if (!k.data) must(ERR_MEMORY);
  memset(k.data, 0, k.room);
  uint64_t bytes;
  double v[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    double start = now_ms();
    k.used = 0;
    must(zone_image_write(s, sink_take, &k, &bytes));
    v[i] = now_ms() - start;
  }
  printf("image: %.1f MB, written in %.1f ms", (double)bytes / 1e6, median(v));
  struct zone_snap *opened = NULL;
  for (int i = 0; i < ROUNDS; i++) {
    zone_snap_unref(opened);
    double start = now_ms();
    must(zone_image_open(k.data, k.used, NULL, &opened));
    v[i] = now_ms() - start;
  }
  printf(", opened in %.1f ms\n", median(v));
  rounds("hit, in the image", lookups, opened, q);
  zone_snap_unref(opened);
  zone_grace_barrier();
  free(k.data);
}

static double resident_mb(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  if (f && fscanf(f, "%lu %lu", &total, &resident) != 2) resident = 0;
  if (f) fclose(f);
  return (double)resident * 4096 / 1e6;
}

static struct zone_snap *small_zone(const struct name *apex) {
  struct zone_edit *e;
  struct zone_snap *s;
  must(zone_edit_begin(NULL, apex, &e));
  add_soa(e, apex);
  for (unsigned i = 1; i < SMALL_RECORDS; i++) {
    struct name n = host(apex, "host", i);
    uint8_t address[4] = {192, 0, 2, (uint8_t)i};
    add(e, &n, RR_A, address, sizeof address);
  }
  must(zone_edit_finish(e, &s));
  return s;
}

static void small_zones(void) {
  struct zone_set *set;
  struct name base = name_of("example.");
  struct zone_snap **snaps = malloc(SMALL_ZONES * sizeof *snaps);
  if (!snaps) must(ERR_MEMORY);
  must(zone_set_new(&set));
  double before = resident_mb(), start = now_ms();
  size_t counted = 0;
  for (unsigned i = 0; i < SMALL_ZONES; i++) {
    struct name apex = host(&base, "zone", i);
    snaps[i] = small_zone(&apex);
    counted += zone_memory_bytes(snaps[i]);
  }
  printf("%d zones of %d records: built in %.0f ms, %.0f bytes a record counted, %.0f resident\n", SMALL_ZONES, SMALL_RECORDS,
         now_ms() - start, (double)counted / SMALL_ZONES / SMALL_RECORDS,
         (resident_mb() - before) * 1e6 / SMALL_ZONES / SMALL_RECORDS);
  before = resident_mb();
  start = now_ms();
  zone_set_bulk_begin(set);
  for (unsigned i = 0; i < SMALL_ZONES; i++) {
    struct zone_entry *e = calloc(1, sizeof *e);
    if (!e) must(ERR_MEMORY);
    e->snap = snaps[i];
    must(zone_set_put(set, zone_apex(snaps[i]), e));
  }
  must(zone_set_bulk_end(set));
  printf("put into the set in %.0f ms, %.0f bytes a zone with its entry\n", now_ms() - start,
         (resident_mb() - before) * 1e6 / SMALL_ZONES);
  struct questions q = ask(&base, "zone", 0, SMALL_ZONES);
  for (size_t width = 1; width <= LIMIT_BATCH; width *= 32) {
    struct zone_lookup lookups[LIMIT_BATCH], *at[LIMIT_BATCH];
    double v[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
      start = now_ms();
      for (size_t i = 0; i < QUESTIONS; i += width) {
        for (size_t j = 0; j < width; j++) {
          lookups[j] = (struct zone_lookup){.key = q.keys[i + j], .key_size = q.sizes[i + j]};
          at[j] = &lookups[j];
        }
        zone_set_find_batch(set, at, width);
        for (size_t j = 0; j < width; j++)
          use += at[j]->entry->id;
      }
      v[r] = (now_ms() - start) * 1e6 / QUESTIONS;
    }
    printf("zone found, batch of %zu: %.0f ns\n", width, median(v));
  }
  questions_done(&q);
  zone_set_free(set);
  free(snaps);
  zone_grace_barrier();
}

int main(int argc, char **argv) {
  unsigned names = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
  unsigned *order = malloc((names + 1) * sizeof *order);
  if (!order || !names) must(ERR_MEMORY);
  struct name apex = name_of("example.");
  for (unsigned i = 0; i < names; i++)
    order[i] = i;
  for (unsigned i = names; i > 1; i--) {
    unsigned j = (unsigned)(dice() % i), swap = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swap;
  }
  zone_reader_register();
  double ms, finish_ms;
  struct zone_snap *s = build(&apex, order, names, false, &ms, &finish_ms);
  printf("%u names in random order: %.0f ms, of which %.0f at the finish; %.1f bytes a name\n", names, ms, finish_ms,
         (double)zone_memory_bytes(s) / names);
  struct questions hits = ask(&apex, "host", 0, names), misses = ask(&apex, "host", names, 10 * names);
  rounds("hit, its A record read", lookups, s, &hits);
  rounds("miss with closest encloser", lookups, s, &misses);
  images(s, &hits);
  s = commits(s, &apex, names, 1, 2000);
  s = commits(s, &apex, names, 1000, 200);
  rounds("hit, after the commits", lookups, s, &hits);
  zone_snap_unref(s);
  zone_grace_barrier();
  s = build(&apex, order, names, true, &ms, &finish_ms);
  printf("the same with NSEC: %.0f ms; %.1f bytes a name\n", ms, (double)zone_memory_bytes(s) / names);
  rounds("canonical predecessor", covers, s, &hits);
  rounds("canonical predecessor of a miss", covers, s, &misses);
  zone_snap_unref(s);
  zone_grace_barrier();
  free(order);
  questions_done(&hits);
  questions_done(&misses);
  small_zones();
  zone_reader_unregister();
  return use == 1; /* never: but the compiler can't know */
}
