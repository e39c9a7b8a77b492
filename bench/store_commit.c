/* Durable changes a second: batches of 1, 32 and 256 deltas to zones drawn at random.
 *
 *   bench_store_commit [DIRECTORY [ZONES [SECONDS]]]     a directory on the disk in question; it is removed afterwards */
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES_MOST = 1 << 20, BODY_BYTES = 300 };

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *doing, const char *what) {
  fprintf(stderr, "bench_store_commit: %s: %s\n", doing, what);
  exit(1);
}

static void must(enum err err, const char *doing) {
  if (err) die(doing, err_text(err));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  return remove(path);
}

static void create_zones(struct store *s, unsigned count) {
  struct store_batch *b;
  struct store_error error = {""};
  must(store_batch_begin(s, &b), "begin");
  for (unsigned i = 0; i < count; i++) {
    char text[40];
    struct name name;
    uint64_t id, version;
    int n = snprintf(text, sizeof text, "zone%u.example.", i);
    must(name_from_text(text, (size_t)n, NULL, &name, NULL, NULL), "name");
    must(store_batch_create(b, &name, &id, &version), "create");
  }
  if (store_batch_commit(b, &error)) die("commit", error.what);
}

static uint64_t random_next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(struct store *s, unsigned zones, unsigned batch, double seconds, uint64_t *versions, double *samples) {
  static uint8_t body[BODY_BYTES];
  uint64_t random = 88172645463325252u + batch;
  size_t commits = 0;
  double start = now_s(), end = start;
  while (commits < SAMPLES_MOST && end - start < seconds) {
    struct store_batch *b;
    struct store_error error = {""};
    must(store_batch_begin(s, &b), "begin");
    for (unsigned i = 0; i < batch; i++) {
      uint64_t zone = 1 + random_next(&random) % zones;
      struct store_change c = {
          .zone = zone,
          .version = ++versions[zone],
          .has_serial_from = true,
          .serial_from = (uint32_t)versions[zone] - 1,
          .serial_to = (uint32_t)versions[zone],
          .at_s = 1700000000,
          .door = DOOR_UPDATE,
          .author = "acme.example.",
          .comment = "",
          .body = body,
          .body_size = 50 + random_next(&random) % (BODY_BYTES - 50),
      };
      must(store_batch_delta(b, &c), "delta");
    }
    if (store_batch_commit(b, &error)) die("commit", error.what);
    double done = now_s();
    samples[commits++] = done - end;
    end = done;
  }
  qsort(samples, commits, sizeof *samples, by_value);
  printf("batch %3u: %7.0f commits/s, %8.0f changes/s; a commit p50 %4.0f us, p99 %5.0f us, p99.9 %6.0f us, worst %6.0f us\n",
         batch, (double)commits / (end - start), (double)commits * batch / (end - start), samples[commits / 2] * 1e6,
         samples[commits * 99 / 100] * 1e6, samples[commits * 999 / 1000] * 1e6, samples[commits - 1] * 1e6);
}

int main(int argc, char **argv) {
  char directory[512];
  unsigned zones = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
  double seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
  snprintf(directory, sizeof directory, "%.480s/store-commit-XXXXXX", argc > 1 ? argv[1] : ".");
  if (!zones || !mkdtemp(directory)) die("directory", "can't be made");
  struct store *s;
  struct store_error error = {""};
  if (store_open(directory, &s, &error)) die("open", error.what);
  uint64_t *versions = calloc((size_t)zones + 1, sizeof *versions);
  double *samples = calloc(SAMPLES_MOST, sizeof *samples);
  if (!versions || !samples) die("memory", "none left");
  create_zones(s, zones);
  static const unsigned batches[] = {1, 32, 256};
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
    measure(s, zones, batches[i], seconds, versions, samples);
  struct store_usage u;
  must(store_usage(s, &u), "usage");
  printf("%llu changes, %llu KiB\n", (unsigned long long)u.changesets, (unsigned long long)u.database_bytes >> 10);
  double start = now_s();
  store_close(s);
  double closed = now_s();
  if (store_open(directory, &s, &error)) die("open again", error.what);
  printf("closed in %.3f s, opened in %.3f s\n", closed - start, now_s() - closed);
  store_close(s);
  free(versions);
  free(samples);
  nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  return 0;
}
