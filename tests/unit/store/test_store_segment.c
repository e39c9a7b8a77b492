/* Segment files: shared maps, damage that costs one zone alone, moving together, and many zones at once. */
#include "support.h"

#include "zone/zone_set.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void create_zone(struct store_batch *b, unsigned number, const struct zone_snap *snap) {
  char text[32];
  struct store_image image;
  uint64_t id, version;
  snprintf(text, sizeof text, "zone%u.example.", number);
  struct name name = test_name(text);
  assert_int_equal(store_batch_create(b, &name, &id, &version), ERR_OK);
  struct store_change c = test_change(id, version + 1, "");
  c.serial_to = zone_serial(snap);
  assert_int_equal(store_batch_image(b, id, version + 1, snap, &c, &image), ERR_OK);
}

/* One batch: all images in one segment. */
static void create_many(struct store *s, unsigned first, unsigned count, unsigned hosts) {
  struct store_batch *b;
  struct store_error error = {""};
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  for (unsigned i = first; i < first + count; i++) {
    char text[32];
    snprintf(text, sizeof text, "zone%u.example.", i);
    struct zone_snap *snap = test_zone(text, i, hosts);
    create_zone(b, i, snap);
    zone_snap_unref(snap);
  }
  if (store_batch_commit(b, &error)) fail_msg("%s", error.what);
}

/* A new version whose image replaces the one there is: a full change would keep that. */
static void new_image(struct store *s, uint64_t zone, const char *apex, uint32_t serial, unsigned hosts) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_image image;
  struct zone_snap *snap = test_zone(apex, serial, hosts);
  uint64_t version = zones_find(s, zone)->version + 1;
  struct store_change c = test_change(zone, version, "");
  c.serial_to = serial;
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &c), ERR_OK);
  assert_int_equal(store_batch_image(b, zone, version, snap, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  zone_snap_unref(snap);
}

static enum err open_zone(struct store *s, uint64_t zone, struct zone_snap **out) {
  struct store_image image;
  struct store_error error = {""};
  store_image_of(s, zone, &image);
  return store_open_image(s, &image, out, &error);
}

static void small_zones_share_a_map(void **state) {
  struct test_directory d;
  struct zone_snap *snaps[50];
  unsigned before = segment_map_count();
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, 50, 3);
  for (unsigned i = 0; i < 50; i++) {
    struct store_image image;
    store_image_of(s, i + 1, &image);
    assert_int_equal(image.segment, 1);
    assert_int_equal(image.offset_bytes % SEGMENT_ALIGN_BYTES, 0);
    assert_int_equal(open_zone(s, i + 1, &snaps[i]), ERR_OK);
    assert_int_equal(zone_serial(snaps[i]), i + 1);
    assert_int_equal(zone_record_count(snaps[i]), 6);
  }
  assert_int_equal(segment_map_count(), before + 1);
  store_close(s);
  /* The map outlives store and file, until the last snapshot is gone. */
  test_directory_done(&d);
  for (unsigned i = 0; i < 50; i++) {
    assert_int_equal(zone_serial(snaps[i]), i + 1);
    zone_snap_unref(snaps[i]);
  }
}

static void a_big_zone_has_its_own_segment(void **state) {
  struct test_directory d;
  struct store_image small, big;
  struct store_usage u;
  struct store_error error = {""};
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 2), b = test_create(s, "b.example.", 1, 60000);
  store_image_of(s, a, &small);
  store_image_of(s, b, &big);
  assert_true(big.segment != small.segment);
  struct zone_snap *snap;
  assert_int_equal(open_zone(s, b, &snap), ERR_OK);
  assert_int_equal(zone_record_count(snap), 60003);
  new_image(s, b, "b.example.", 2, 50000);
  assert_int_equal(store_sweep(s, 0, &error), ERR_OK);
  assert_int_equal(store_usage(s, &u), ERR_OK);
  assert_int_equal(u.segments, 2);
  assert_int_equal(u.changesets, 3);
  assert_int_equal(zone_record_count(snap), 60003); /* deleted, and still mapped */
  zone_snap_unref(snap);
  store_close(s);
  s = test_open(&d);
  assert_int_equal(open_zone(s, b, &snap), ERR_OK);
  assert_int_equal(zone_record_count(snap), 50003);
  zone_snap_unref(snap);
  store_close(s);
  test_directory_done(&d);
}

static void damage(const char *path, long at) {
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  fseek(f, at, SEEK_SET);
  int c = fgetc(f);
  fseek(f, at, SEEK_SET);
  fputc(c ^ 1, f);
  fclose(f);
}

/* One bit anywhere in an image, from its first to its last octet: that zone is refused, its neighbours are not. */
static void a_damaged_image_costs_its_zone_alone(void **state) {
  struct test_directory d;
  struct store_image image;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, 3, 4);
  store_image_of(s, 2, &image);
  test_path(&d, "segments/1.seg", path);
  store_close(s);
  for (uint64_t at = 0; at < image.size_bytes; at += at + 5 < image.size_bytes ? 5 : 1) {
    long place = (long)(image.offset_bytes + at);
    damage(path, place);
    s = test_open(&d);
    for (uint64_t zone = 1; zone <= 3; zone++) {
      struct zone_snap *snap = NULL;
      enum err err = open_zone(s, zone, &snap);
      if (err != (zone == 2 ? ERR_CORRUPT : ERR_OK)) fail_msg("zone %d, octet %d: %s", (int)zone, (int)at, err_text(err));
      zone_snap_unref(snap);
    }
    store_close(s);
    damage(path, place);
  }
  test_directory_done(&d);
}

/* One bit of the file's header: it costs what is in the file, and no more. Least of all is it a newer version's. */
static void a_damaged_header_is_no_newer_format(void **state) {
  struct test_directory d;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, 1, 4);
  store_close(s);
  test_path(&d, "segments/1.seg", path);
  for (long at = 0; at < SEGMENT_HEADER_BYTES; at++) {
    struct zone_snap *snap;
    damage(path, at);
    s = test_open(&d);
    assert_int_equal(open_zone(s, 1, &snap), ERR_CORRUPT);
    store_close(s);
    damage(path, at);
  }
  test_directory_done(&d);
}

/* What a server does with an image: opened, read, and proven after that. */
static enum err read_and_prove(struct store *s, uint64_t zone, const struct zone_snap *built) {
  struct zone_snap *snap;
  enum err err = open_zone(s, zone, &snap);
  if (err) return err;
  bool more = true, equal = zone_equal(snap, built);
  if (!equal) assert_true(zone_is_damaged(snap)); /* nobody was told anything wrong */
  while (!err && more)
    err = zone_image_prove(snap, &more);
  if (!err) assert_true(equal);
  zone_snap_unref(snap);
  return err;
}

/* Every 4,096th octet of a segment with small images and some that are not proven when they are opened. */
static void no_damage_is_ever_served(void **state) {
  enum { ZONES = 10 };
  static const unsigned hosts[ZONES] = {3, 4000, 10, 12000, 2, 300, 1, 9000, 5, 40};
  struct test_directory d;
  struct zone_snap *built[ZONES];
  struct store_batch *b;
  struct store_error error = {""};
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  for (unsigned i = 0; i < ZONES; i++) {
    char text[32];
    snprintf(text, sizeof text, "zone%u.example.", i);
    built[i] = test_zone(text, i, hosts[i]);
    create_zone(b, i, built[i]);
  }
  if (store_batch_commit(b, &error)) fail_msg("%s", error.what);
  uint64_t size = segment_find(&s->segments, 1)->size_bytes;
  test_path(&d, "segments/1.seg", path);
  unsigned found = 0, places = 0;
  for (uint64_t at = 77; at < size; at += 4096, places++) {
    damage(path, (long)at);
    unsigned bad = 0;
    for (unsigned i = 0; i < ZONES; i++) {
      enum err err = read_and_prove(s, i + 1, built[i]);
      assert_true(err == ERR_OK || err == ERR_CORRUPT);
      bad += err != ERR_OK;
    }
    assert_true(bad <= 1);
    found += bad;
    damage(path, (long)at);
  }
  assert_true(places > 200 && found > places - 3); /* but for octets between two images */
  for (unsigned i = 0; i < ZONES; i++)
    zone_snap_unref(built[i]);
  store_close(s);
  zone_grace_barrier();
  assert_int_equal(zone_damage(), 0);
  test_directory_done(&d);
}

static unsigned names_of(const struct zone_snap *snap) {
  struct zone_cursor c;
  unsigned n = 0;
  assert_int_equal(zone_cursor_open(snap, &c), ERR_OK);
  while (zone_cursor_next(&c))
    n++;
  zone_cursor_close(&c);
  return n;
}

/* The file is cut under snapshots that read from it: they say so, and nobody gets a signal. */
static void a_file_cut_while_mapped(void **state) {
  struct test_directory d;
  struct zone_snap *first, *last, *again;
  struct store_image image;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, 3, 10000);
  assert_int_equal(open_zone(s, 1, &first), ERR_OK);
  assert_int_equal(open_zone(s, 3, &last), ERR_OK);
  store_image_of(s, 2, &image);
  test_path(&d, "segments/1.seg", path);
  assert_int_equal(truncate(path, (off_t)image.offset_bytes), 0);
  assert_int_equal(zone_damage(), 0);
  (void)names_of(last);
  assert_true(zone_is_damaged(last));
  assert_true(zone_is_damaged(first)); /* they share the file */
  assert_true(zone_damage() > 0);
  assert_int_equal(open_zone(s, 3, &again), ERR_CORRUPT);
  assert_int_equal(open_zone(s, 1, &again), ERR_OK); /* what is left of the file is good */
  assert_int_equal(names_of(again), zone_name_count(again));
  assert_false(zone_is_damaged(again));
  zone_snap_unref(again);
  zone_snap_unref(first);
  zone_snap_unref(last);
  store_close(s);
  zone_grace_barrier();
  assert_int_equal(zone_damage(), 0);
  test_directory_done(&d);
}

static struct zone_answer look_up(const struct zone_snap *snap, const struct name *name) {
  uint8_t key[NAME_KEY_BYTES];
  struct zone_lookup q = {.snap = snap, .key = key, .key_size = (uint16_t)name_key(name, key)};
  zone_lookup(&q);
  (void)zone_nsec_cover(snap, key, q.key_size);
  return q.found;
}

/* What follows references, and what writes the zone or builds on it. */
static void read_all_of(const struct zone_snap *snap, const struct zone_snap *built) {
  struct zone_cursor c;
  struct name owner;
  struct zone_rrset set;
  assert_int_equal(zone_cursor_open(built, &c), ERR_OK);
  for (const struct zone_node *n; (n = zone_cursor_next(&c));) {
    zone_node_owner(built, n, &owner);
    struct zone_answer f = look_up(snap, &owner);
    if (f.node) zone_node_owner(snap, f.node, &owner);
    for (unsigned i = 0, count = f.node ? zone_rrset_count(f.node) : 0; i < count; i++)
      zone_rrset_at(f.node, i, &set);
  }
  zone_cursor_close(&c);
  assert_true(name_identical(zone_apex(snap), zone_apex(built)));
}

static void read_file(const char *path, uint8_t *bytes, size_t n) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  assert_int_equal(fread(bytes, 1, n, f), n);
  fclose(f);
}

static void write_file(const char *path, const uint8_t *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

/* Whatever is left of the file, and whether the image is proven, which nobody looks at twice, or not: nothing leads out of it,
 * since nothing of it is read any more. */
static void a_file_cut_anywhere(void **state) {
  enum { PAGE = 4096, HOSTS = 8000 };
  struct test_directory d;
  struct zone_rrset soa;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  struct zone_snap *built = test_zone("zone1.example.", 1, HOSTS), *snap, *edited;
  create_many(s, 1, 1, HOSTS);
  size_t size = segment_find(&s->segments, 1)->size_bytes;
  uint8_t *bytes = malloc(size);
  assert_non_null(bytes);
  test_path(&d, "segments/1.seg", path);
  read_file(path, bytes, size);
  for (size_t end = 0; end < 2 * (size / PAGE); end++) {
    struct zone_edit *edit;
    bool more = end % 2;
    assert_int_equal(open_zone(s, 1, &snap), ERR_OK);
    while (more)
      assert_int_equal(zone_image_prove(snap, &more), ERR_OK);
    assert_int_equal(truncate(path, (off_t)(end / 2 * PAGE)), 0);
    read_all_of(snap, built);
    assert_true(zone_is_damaged(snap));
    assert_false(zone_find_rrset(zone_apex_node(snap), RR_SOA, &soa));
    assert_false(zone_equal(snap, built));
    assert_int_equal(zone_edit_begin(snap, NULL, &edit), ERR_OK);
    assert_int_equal(zone_edit_finish(edit, &edited), ERR_CORRUPT);
    zone_snap_unref(snap);
    zone_grace_barrier();
    write_file(path, bytes, size);
  }
  free(bytes);
  zone_snap_unref(built);
  store_close(s);
  zone_grace_barrier();
  assert_int_equal(zone_damage(), 0);
  test_directory_done(&d);
}

static void a_short_or_missing_segment_is_damage(void **state) {
  struct test_directory d;
  struct zone_snap *snap;
  struct store_error error = {""};
  char path[TEST_PATH_BYTES];
  struct store_image image, wrong;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, 3, 4);
  store_image_of(s, 3, &image);
  wrong = image;
  wrong.offset_bytes += 64;
  assert_int_equal(store_open_image(s, &wrong, &snap, &error), ERR_CORRUPT);
  wrong = image;
  wrong.size_bytes = UINT64_MAX - 7;
  assert_int_equal(store_open_image(s, &wrong, &snap, &error), ERR_CORRUPT);
  wrong = image;
  wrong.digest++;
  assert_int_equal(store_open_image(s, &wrong, &snap, &error), ERR_CORRUPT);
  wrong = (struct store_image){0};
  assert_int_equal(store_open_image(s, &wrong, &snap, &error), ERR_NOT_FOUND);
  store_close(s);
  test_path(&d, "segments/1.seg", path);
  for (off_t size = (off_t)image.offset_bytes + 100; size >= 0; size -= 50) {
    assert_int_equal(truncate(path, size), 0);
    s = test_open(&d);
    assert_int_equal(open_zone(s, 3, &snap), ERR_CORRUPT);
    store_close(s);
  }
  assert_int_equal(unlink(path), 0);
  s = test_open(&d);
  store_image_of(s, 1, &image);
  assert_int_equal(store_open_image(s, &image, &snap, &error), ERR_CORRUPT);
  assert_non_null(strstr(error.what, "1.seg"));
  new_image(s, 1, "zone1.example.", 9, 4); /* and comes back with the next image */
  assert_int_equal(open_zone(s, 1, &snap), ERR_OK);
  zone_snap_unref(snap);
  store_close(s);
  test_directory_done(&d);
}

static void many_segments_need_few_maps_and_files(void **state) {
  struct test_directory d;
  enum { ZONES = LIMIT_SEGMENT_MAPS + 20 };
  struct zone_snap *snaps[ZONES];
  struct store_error error = {""};
  struct store_usage u;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  for (unsigned i = 0; i < ZONES; i++)
    create_many(s, i + 1, 1, 2);
  for (unsigned i = 0; i < ZONES; i++)
    assert_int_equal(open_zone(s, i + 1, &snaps[i]), ERR_OK);
  assert_int_equal(segment_map_count(), LIMIT_SEGMENT_MAPS);
  assert_int_equal(store_sweep(s, 0, &error), ERR_OK);
  assert_int_equal(store_usage(s, &u), ERR_OK);
  assert_int_equal(u.segments, 1);
  for (unsigned i = 0; i < ZONES; i++) {
    assert_int_equal(zone_serial(snaps[i]), i + 1);
    zone_snap_unref(snaps[i]);
  }
  store_close(s);
  s = test_open(&d);
  for (unsigned i = 0; i < ZONES; i++) {
    assert_int_equal(open_zone(s, i + 1, &snaps[0]), ERR_OK);
    assert_int_equal(zone_serial(snaps[0]), i + 1);
    zone_snap_unref(snaps[0]);
  }
  store_close(s);
  test_directory_done(&d);
}

static void a_mostly_dead_segment_is_given_up(void **state) {
  enum { ZONES = 300 };
  struct test_directory d;
  struct store_error error = {""};
  struct store_image image;
  struct store_usage before, after;
  struct zone_snap *snap;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  create_many(s, 1, ZONES, 200);
  for (unsigned i = 1; i <= ZONES; i++)
    if (i % 3) new_image(s, i, "x.example.", 1000 + i, 1);
  assert_int_equal(store_usage(s, &before), ERR_OK);
  assert_true(before.segment_bytes > 1 << 20);
  assert_int_equal(before.segments, 1 + ZONES / 3 * 2);
  assert_int_equal(store_sweep(s, 0, &error), ERR_OK);
  assert_int_equal(store_usage(s, &after), ERR_OK);
  assert_int_equal(after.segments, 2); /* a third of the first is in use; the small ones are together */
  for (unsigned i = 3; i <= ZONES; i += 3)
    if (i % 30) new_image(s, i, "x.example.", 1000 + i, 1);
  assert_int_equal(store_sweep(s, 0, &error), ERR_OK);
  assert_null(segment_find(&s->segments, 1));
  assert_int_equal(test_rows(s, "snapshot"), ZONES);
  assert_int_equal(s->stale.count, 0);
  store_image_of(s, 30, &image);
  assert_true(image.segment > before.segments);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(open_zone(s, 30, &snap), ERR_OK);
    assert_int_equal(zone_serial(snap), 30);
    zone_snap_unref(snap);
    assert_int_equal(open_zone(s, 31, &snap), ERR_OK);
    assert_int_equal(zone_serial(snap), 1031);
    zone_snap_unref(snap);
    store_close(s);
    s = test_open(&d);
  }
  store_close(s);
  test_directory_done(&d);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct tally {
  struct store *store;
  unsigned zones, records;
};

static bool count_zone(void *arg, const struct store_zone *z) {
  struct tally *t = arg;
  struct zone_snap *snap;
  struct store_error error = {""};
  t->zones++;
  if (store_open_image(t->store, &z->image, &snap, &error)) fail_msg("%s", error.what);
  t->records += (unsigned)zone_record_count(snap);
  assert_int_equal(zone_serial(snap), z->serial);
  zone_snap_unref(snap);
  return true;
}

static void a_hundred_thousand_zones_at_once(void **state) {
  enum { ZONES = 100000, SNAPS = 50 };
  struct test_directory d;
  struct store_batch *b;
  struct zone_snap *snaps[SNAPS];
  struct store_usage u;
  struct store_error error = {""};
  test_directory_make(&d);
  struct store *s = test_open(&d);
  for (unsigned i = 0; i < SNAPS; i++)
    snaps[i] = test_zone("shared.example.", i, 1);
  double start = seconds();
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  for (unsigned i = 0; i < ZONES; i++)
    create_zone(b, i, snaps[i % SNAPS]);
  if (store_batch_commit(b, &error)) fail_msg("%s", error.what);
  double written = seconds();
  for (unsigned i = 0; i < SNAPS; i++)
    zone_snap_unref(snaps[i]);
  assert_int_equal(store_usage(s, &u), ERR_OK);
  assert_int_equal(u.segments, 1);
  store_close(s);
  double closed = seconds();
  s = test_open(&d);
  double opened = seconds();
  struct tally t = {.store = s};
  assert_int_equal(store_each_zone(s, count_zone, &t, &error), ERR_OK);
  double read = seconds();
  assert_int_equal(t.zones, ZONES);
  assert_int_equal(t.records, ZONES * 3);
  printf("%d zones: written %.2f s (%llu KiB log, %llu KiB images), closed %.2f s, opened %.2f s, images opened %.2f s\n", ZONES,
         written - start, (unsigned long long)u.database_bytes >> 10, (unsigned long long)u.segment_bytes >> 10, closed - written,
         opened - closed, read - opened);
  store_close(s);
  test_directory_done(&d);
}

/* The thread that frees what readers have left is the last to have it open. */
static void a_large_file_gives_its_blocks_back_elsewhere(void **state) {
  char dir[] = "/tmp/tandem-remove-XXXXXX";
  struct stat st;
  assert_non_null(mkdtemp(dir));
  int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = file_ops_system.create(at, "large");
  assert_int_equal(ftruncate(fd, 100 << 20), 0);
  close(fd);
  zone_reader_register();
  zone_grace_barrier();
  int next = dup(at); /* the number that the next one gets */
  close(next);
  zone_read_begin();
  int r = file_ops_system.remove(at, "large"), gone = fstatat(at, "large", &st, 0), open_still = fcntl(next, F_GETFD);
  zone_read_end();
  zone_grace_barrier();
  zone_reader_unregister();
  assert_int_equal(r, 0);
  assert_int_equal(gone, -1);
  assert_true(open_still >= 0);
  assert_int_equal(fcntl(next, F_GETFD), -1);
  assert_int_equal(file_ops_system.remove(at, "large"), -1);
  close(at);
  rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_zones_share_a_map),
      cmocka_unit_test(a_big_zone_has_its_own_segment),
      cmocka_unit_test(a_damaged_image_costs_its_zone_alone),
      cmocka_unit_test(a_short_or_missing_segment_is_damage),
      cmocka_unit_test(no_damage_is_ever_served),
      cmocka_unit_test(a_file_cut_while_mapped),
      cmocka_unit_test(a_file_cut_anywhere),
      cmocka_unit_test(a_damaged_header_is_no_newer_format),
      cmocka_unit_test(many_segments_need_few_maps_and_files),
      cmocka_unit_test(a_mostly_dead_segment_is_given_up),
      cmocka_unit_test(a_large_file_gives_its_blocks_back_elsewhere),
      cmocka_unit_test(a_hundred_thousand_zones_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
