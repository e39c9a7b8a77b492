/* Figures of loading a zone file, each step alone: scanning, building from what was scanned, the checks, the image.
 *
 *   zone_load FILE ORIGIN
 *
 * CPU time of the thread, least of five rounds; octets are the file's. */
#include "zone/check.h"
#include "zone/image.h"
#include "zonefile/zonefile.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5, STEPS = 6 };

static const char *const step_names[STEPS] = {
    "reading and scanning", "the same, gathering", "laying out", "checks", "image", "all"};

struct run {
  const char *path;
  struct name origin;
  struct zone_edit *edit; /* NULL: records are thrown away */
  uint64_t bytes, records;
  double least_ms[STEPS];
};

static void must(enum err e) {
  if (e == ERR_OK) return;
  fprintf(stderr, "zone_load: %s\n", err_text(e));
  exit(1);
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double note(struct run *r, unsigned step, double began_ms) {
  double now = now_ms();
  if (now - began_ms < r->least_ms[step]) r->least_ms[step] = now - began_ms;
  return now;
}

static void file_seen(void *arg, const struct zonefile_file *file) {
  struct run *r = arg;
  r->bytes += file->size;
}

static bool take(void *arg, const struct zonefile_record *record) {
  struct run *r = arg;
  enum zone_add outcome;
  r->records++;
  if (r->edit) must(zone_edit_add(r->edit, &record->owner, record->type, record->ttl, record->rdata, record->rdata_size, &outcome));
  return true;
}

static void scan(struct run *r) {
  struct diags diags = {0};
  struct zonefile_options o = {.origin = r->origin, .file_seen = file_seen, .record = take, .arg = r};
  r->bytes = r->records = 0;
  must(zonefile_scan(r->path, &o, &diags));
  must(diags.errors ? ERR_FORMAT : ERR_OK);
  diags_done(&diags);
}

static bool say(void *arg, const struct zone_finding *f) {
  (void)arg;
  fprintf(stderr, "%s\n", f->what);
  return false;
}

static bool throw_away(void *arg, const void *bytes, size_t n) {
  (void)arg;
  (void)bytes;
  (void)n;
  return true;
}

static void round_once(struct run *r) {
  struct zone_snap *snap;
  struct zone_check_totals totals;
  uint64_t image;
  double at = now_ms();
  r->edit = NULL;
  scan(r);
  double began = at = note(r, 0, at);
  must(zone_edit_begin(NULL, &r->origin, &r->edit));
  scan(r);
  at = note(r, 1, at);
  must(zone_edit_finish(r->edit, &snap));
  at = note(r, 2, at);
  must(zone_check(snap, &(struct zone_check_options){.all = false}, say, NULL, &totals));
  at = note(r, 3, at);
  must(zone_image_write(snap, throw_away, NULL, &image));
  note(r, 4, at);
  note(r, 5, began);
  zone_snap_unref(snap);
}

int main(int argc, char **argv) {
  struct run r = {.path = argc == 3 ? argv[1] : NULL};
  if (argc != 3 || name_from_text(argv[2], strlen(argv[2]), &name_root, &r.origin, NULL, NULL)) {
    fprintf(stderr, "usage: zone_load FILE ORIGIN\n");
    return 2;
  }
  for (unsigned i = 0; i < STEPS; i++)
    r.least_ms[i] = DBL_MAX;
  for (unsigned i = 0; i < ROUNDS; i++)
    round_once(&r);
  printf("%llu records, %.1f MB\n", (unsigned long long)r.records, (double)r.bytes / 1e6);
  for (unsigned i = 0; i < STEPS; i++)
    printf("%-22s %8.1f ms  %6.0f ns a record  %6.0f MB/s\n", step_names[i], r.least_ms[i], r.least_ms[i] * 1e6 / (double)r.records,
           (double)r.bytes / r.least_ms[i] / 1e3);
  return 0;
}
