/* Durable changes a second: what the disk alone takes for one, then batches of 1, 32 and 256 deltas to zones drawn at random.
 *
 *   bench_store_commit [DIRECTORY [ZONES [SECONDS]]]     a directory on the disk in question; it is removed afterwards */
#include "store/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static void say(const char *what, double *samples, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += samples[i];
  qsort(samples, count, sizeof *samples, by_value);
  printf("%s: mean %4.0f us, least %4.0f, p25 %4.0f, p50 %4.0f, p99 %5.0f, p99.9 %6.0f, worst %6.0f\n", what,
         sum / (double)count * 1e6, samples[0] * 1e6, samples[count / 4] * 1e6, samples[count / 2] * 1e6,
         samples[count * 99 / 100] * 1e6, samples[count * 999 / 1000] * 1e6, samples[count - 1] * 1e6);
}

/* The calls of a commit of one page and nothing else: a frame into a file that was filled, and its sync. */
static void measure_disk(const char *directory, double seconds, double *samples) {
  enum { FRAME_HEADER_BYTES = 24, PAGE_BYTES = 4096, FILE_BYTES = 4 << 20 };
  static const uint8_t zeros[FILE_BYTES];
  char path[600];
  snprintf(path, sizeof path, "%s/frames", directory);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, zeros, FILE_BYTES) != FILE_BYTES || fsync(fd)) die("file", path);
  size_t commits = 0;
  off_t at = 0;
  double start = now_s(), end = start;
  while (commits < SAMPLES_MOST && end - start < seconds) {
    if (pwrite(fd, zeros, FRAME_HEADER_BYTES, at) < 0 || pwrite(fd, zeros, PAGE_BYTES, at + FRAME_HEADER_BYTES) < 0 ||
        fdatasync(fd))
      die("write", path);
    at += FRAME_HEADER_BYTES + PAGE_BYTES;
    if (at + FRAME_HEADER_BYTES + PAGE_BYTES > FILE_BYTES) at = 0;
    double done = now_s();
    samples[commits++] = done - end;
    end = done;
  }
  close(fd);
  say("the disk alone", samples, commits);
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
  char what[80];
  snprintf(what, sizeof what, "batch %3u, %8.0f changes/s", batch, (double)commits * batch / (end - start));
  say(what, samples, commits);
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
  measure_disk(directory, seconds, samples);
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
