/* What a zone was before: walking back, images that stay, seeds, readers of their own, and how much is kept. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

enum { NOW_S = 1795382400, DAY_S = 86400 };

struct walked {
  unsigned count, most;
  uint64_t versions[64];
  char bodies[64][16];
};

static bool see(void *arg, const struct store_change *c) {
  struct walked *w = arg;
  assert_true(w->count < 64);
  w->versions[w->count] = c->version;
  snprintf(w->bodies[w->count], sizeof w->bodies[0], "%.*s", (int)c->body_size, c->body_size ? (const char *)c->body : "");
  w->count++;
  return w->count < w->most;
}

static enum err walk(struct store *s, uint64_t zone, unsigned most, struct walked *out) {
  *out = (struct walked){.most = most};
  return store_walk_back(s, zone, store_head(s, zone), see, out, NULL);
}

static void test_newest_first(void **state) {
  struct test_directory d;
  struct walked w;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3), b = test_create(s, "b.example.", 1, 3);
  test_delta(s, a, 2, "two");
  test_delta(s, b, 2, "other");
  test_delta(s, a, 3, "three");
  assert_int_equal(walk(s, a, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(w.count, 3);
  assert_int_equal(w.versions[0], 3);
  assert_string_equal(w.bodies[0], "three");
  assert_string_equal(w.bodies[1], "two");
  assert_int_equal(w.versions[2], 1);
  assert_string_equal(w.bodies[2], ""); /* a full change does not show where it put its image */
  assert_int_equal(walk(s, a, 2, &w), ERR_OK);
  assert_int_equal(w.count, 2);
  assert_int_equal(store_walk_back(s, a, 0, see, &w, NULL), ERR_NOT_FOUND);
  assert_int_equal(store_walk_back(s, a, store_head(s, b), see, &w, NULL), ERR_CORRUPT);
  store_close(s);
  test_directory_done(&d);
}

static void test_a_reader_sees_what_is_committed_and_outlives_the_store(void **state) {
  struct test_directory d;
  struct store_reader *r;
  struct store_error why;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  assert_int_equal(store_reader_open(s, &r, &why), ERR_OK);
  test_delta(s, a, 2, "two");
  uint64_t head = store_head(s, a);
  struct walked w = {.most = 64};
  assert_int_equal(store_reader_walk_back(r, a, head, see, &w, &why), ERR_NOT_FOUND);
  assert_int_equal(w.count, 2);
  assert_string_equal(w.bodies[0], "two");
  store_close(s);
  s = test_open(&d); /* as another process would */
  test_delta(s, a, 3, "three");
  w = (struct walked){.most = 64};
  assert_int_equal(store_reader_walk_back(r, a, store_head(s, a), see, &w, &why), ERR_NOT_FOUND);
  assert_int_equal(w.count, 3);
  store_close(s);
  store_reader_close(r);
  test_directory_done(&d);
}

static void test_notes_and_view_are_kept_and_covered(void **state) {
  struct test_directory d;
  struct store_batch *b;
  struct store_error why;
  struct walked w;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  struct store_change c = test_change(a, 2, "two");
  c.notes = (const uint8_t *)"note";
  c.notes_size = 4;
  c.view = 7;
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &c), ERR_OK);
  assert_int_equal(store_batch_commit(b, &why), ERR_OK);
  assert_int_equal(walk(s, a, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(sqlite3_exec(s->db.connection, "UPDATE changeset SET notes = x'00' WHERE gen = 2", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(walk(s, a, 64, &w), ERR_CORRUPT);
  store_close(s);
  test_directory_done(&d);
}

/* A full change with the zone's next version. */
static void full(struct store *s, uint64_t zone, const char *apex, uint64_t version, unsigned hosts) {
  struct store_batch *b;
  struct store_error why;
  struct store_image image;
  struct zone_snap *snap = test_zone(apex, (uint32_t)version, hosts);
  struct store_change c = test_change(zone, version, "");
  c.kind = STORE_FULL;
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, zone, version, snap, &c, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &why), ERR_OK);
  zone_snap_unref(snap);
}

/* An image of a version that is there. */
static void compact(struct store *s, uint64_t zone, const char *apex, uint64_t version) {
  struct store_batch *b;
  struct store_error why;
  struct store_image image;
  struct zone_snap *snap = test_zone(apex, (uint32_t)version, 3);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, zone, version, snap, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &why), ERR_OK);
  zone_snap_unref(snap);
}

static uint64_t image_version(struct store *s, uint64_t zone, uint64_t version) {
  struct store_image image;
  struct zone_snap *snap;
  if (store_image_at(s, zone, version, &image)) return 0;
  assert_int_equal(store_open_image(s, &image, &snap, NULL), ERR_OK);
  assert_int_equal(zone_serial(snap), image.version);
  zone_snap_unref(snap);
  return image.version;
}

static void check_images(struct store *s, uint64_t a) {
  assert_int_equal(image_version(s, a, 9), 6);
  assert_int_equal(image_version(s, a, 5), 4);
  assert_int_equal(image_version(s, a, 4), 4);
  assert_int_equal(image_version(s, a, 3), 2);
  assert_int_equal(image_version(s, a, 1), 0);
}

static void test_images_that_full_changes_replace_stay(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  test_delta(s, a, 2, "two");
  compact(s, a, "a.example.", 2); /* frees the first */
  test_delta(s, a, 3, "three");
  full(s, a, "a.example.", 4, 5); /* keeps that of 2 */
  test_delta(s, a, 5, "five");
  full(s, a, "a.example.", 6, 7); /* keeps that of 4 */
  check_images(s, a);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  check_images(s, a);
  store_close(s);
  s = test_open(&d);
  check_images(s, a);
  assert_int_equal(test_rows(s, "snapshot"), 3);
  store_close(s);
  test_directory_done(&d);
}

static void test_kept_images_are_put_together(void **state) {
  enum { VERSIONS = 80 };
  struct test_directory d;
  struct store_usage u;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  for (uint64_t version = 2; version <= VERSIONS; version++)
    full(s, a, "a.example.", version, 3);
  assert_int_equal(store_usage(s, &u), ERR_OK);
  assert_int_equal(u.segments, VERSIONS);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK); /* rows of the first one's are gone, and with them the files */
  for (int round = 0; round < 2; round++) {
    assert_int_equal(store_usage(s, &u), ERR_OK);
    assert_int_equal(u.segments, 1);
    for (uint64_t version = 1; version <= VERSIONS; version++)
      assert_int_equal(image_version(s, a, version), version);
    store_close(s);
    s = test_open(&d);
  }
  assert_int_equal(test_rows(s, "snapshot"), VERSIONS);
  store_close(s);
  test_directory_done(&d);
}

static void seed(struct store *s, uint64_t zone, const struct zone_snap *snap, bool commit) {
  struct store_batch *b;
  struct store_error why;
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_seed(b, zone, snap, NULL), ERR_OK);
  if (commit) assert_int_equal(store_batch_commit(b, &why), ERR_OK);
  else store_batch_abort(b);
}

static uint32_t seed_serial(struct store *s, uint64_t zone) {
  struct store_image image;
  struct zone_snap *snap;
  store_seed_of(s, zone, &image);
  if (!image.segment) return 0;
  assert_int_equal(store_open_image(s, &image, &snap, NULL), ERR_OK);
  uint32_t serial = zone_serial(snap);
  zone_snap_unref(snap);
  return serial;
}

static void test_seeds(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3), b = test_create(s, "b.example.", 1, 3);
  struct zone_snap *one = test_zone("a.example.", 101, 4), *two = test_zone("a.example.", 102, 4);
  assert_int_equal(seed_serial(s, a), 0);
  seed(s, a, one, true);
  seed(s, a, two, false);
  assert_int_equal(seed_serial(s, a), 101);
  seed(s, a, two, true);
  assert_int_equal(seed_serial(s, a), 102);
  assert_int_equal(seed_serial(s, b), 0);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  store_close(s);
  s = test_open(&d);
  assert_int_equal(seed_serial(s, a), 102);
  assert_int_equal(test_rows(s, "snapshot"), 3);
  assert_int_equal(image_version(s, a, 1), 1); /* a seed is no image of a version */
  seed(s, a, NULL, true);
  assert_int_equal(seed_serial(s, a), 0);
  store_close(s);
  zone_snap_unref(one);
  zone_snap_unref(two);
  test_directory_done(&d);
}

/* Two rows name one image: the file goes with the second of them. */
static void test_a_seed_that_is_the_image(void **state) {
  struct test_directory d;
  struct store_batch *b;
  struct store_error why;
  struct store_usage u;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_seed_image(b, a), ERR_OK);
  assert_int_equal(store_batch_commit(b, &why), ERR_OK);
  test_delta(s, a, 2, "two");
  compact(s, a, "a.example.", 2);
  for (int seeded = 1; seeded >= 0; seeded--) {
    assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
    assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
    store_close(s);
    s = test_open(&d);
    assert_int_equal(seed_serial(s, a), seeded);
    assert_int_equal(image_version(s, a, 2), 2);
    assert_int_equal(store_usage(s, &u), ERR_OK);
    assert_int_equal(u.segments, 1 + seeded);
    if (seeded) seed(s, a, NULL, true);
  }
  store_close(s);
  test_directory_done(&d);
}

static void run_sql(struct store *s, const char *sql) {
  assert_int_equal(sqlite3_exec(s->db.connection, sql, NULL, NULL, NULL), SQLITE_OK);
}

static enum err count_change(void *arg, const struct store_change *c) {
  ++*(int *)arg;
  return ERR_OK;
}

/* How many changes lead on from a version, as a start reads them; -1: they are damaged. */
static int forward(struct store *s, uint64_t zone, uint64_t after) {
  int count = 0;
  enum err err = store_each_change(s, zone, store_head(s, zone), after, count_change, &count, NULL);
  return err ? -1 : count;
}

static void retain(struct store *s, const struct store_retention *keep, int64_t now_s) {
  struct store_error why;
  bool more = true;
  for (int pass = 0; pass < 2; pass++) /* the first only counts */
    for (more = true; more;)
      assert_int_equal(store_retain(s, keep, now_s, &more, &why), ERR_OK);
}

static enum err nothing(void *arg, const struct store_change *c) {
  return ERR_OK;
}

/* What is behind an image leads on from it even where retention took its own change: so it is with images that are only kept. */
static void test_changes_behind_a_cut(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  for (uint64_t v = 2; v <= 5; v++)
    test_delta(s, a, v, "delta");
  run_sql(s, "DELETE FROM changeset WHERE gen = 1");
  assert_int_equal(forward(s, a, 1), 4);
  run_sql(s, "UPDATE changeset SET body = x'00' WHERE gen = 3");
  assert_int_equal(forward(s, a, 1), -1); /* though the sum of the first one can't be checked */
  run_sql(s, "DELETE FROM changeset WHERE gen = 3");
  assert_int_equal(forward(s, a, 1), -1); /* a hole is damage */
  store_close(s);
  test_directory_done(&d);
}

static uint64_t changes_told(struct store *s) {
  struct store_usage u;
  assert_int_equal(store_usage(s, &u), ERR_OK);
  return u.changesets;
}

static void test_age_and_the_least(void **state) {
  struct test_directory d;
  struct store_error why;
  struct walked w;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  (void)test_create(s, "b.example.", 1, 3); /* before all that will go */
  uint64_t a = test_create(s, "a.example.", 1, 3);
  for (uint64_t v = 2; v <= 20; v++)
    test_delta(s, a, v, "delta");
  assert_int_equal(changes_told(s), 21);
  struct store_retention keep = {.age_s = DAY_S, .zone_bytes = 1 << 20, .least = 4};
  int64_t long_after_s = NOW_S + 100 * DAY_S;
  retain(s, &keep, long_after_s);
  assert_int_equal(walk(s, a, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(w.count, 20); /* the image has version 1: all behind it is needed, and what they are chained to */
  assert_int_equal(store_each_change(s, a, store_head(s, a), 1, nothing, NULL, &why), ERR_OK);
  compact(s, a, "a.example.", 20);
  retain(s, &keep, long_after_s);
  assert_int_equal(walk(s, a, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(w.count, 4);
  assert_int_equal(w.versions[3], 17);
  assert_int_equal(changes_told(s), 1 + 4);
  store_close(s);
  s = test_open(&d);
  retain(s, &keep, long_after_s);
  assert_int_equal(walk(s, a, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(w.count, 4);
  test_delta(s, a, 21, "delta");
  assert_int_equal(changes_told(s), 1 + 5);
  store_close(s);
  test_directory_done(&d);
}

/* Kept images go with the changes that lead on from them. */
static void test_kept_images_go_with_their_changes(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  test_delta(s, a, 2, "two");
  full(s, a, "a.example.", 3, 5);
  full(s, a, "a.example.", 4, 5);
  assert_int_equal(test_rows(s, "snapshot"), 3);
  struct store_retention keep = {.age_s = DAY_S, .zone_bytes = 1 << 20, .least = 1};
  retain(s, &keep, NOW_S + 100 * DAY_S);
  assert_int_equal(test_rows(s, "snapshot"), 2);
  assert_int_equal(image_version(s, a, 9), 4);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  assert_int_equal(image_version(s, a, 9), 4);
  store_close(s);
  test_directory_done(&d);
}

static unsigned walked_count;
static bool only_count(void *arg, const struct store_change *c) {
  return ++walked_count < 3600;
}

/* A zone that changes every second for a day among quiet ones: bounded by bytes, and the last hour is there. */
static void test_a_busy_zone_is_bounded(void **state) {
  enum { CHANGES = DAY_S, IN_A_BATCH = 400, BODY = 600, MOST = 8 << 20 };
  struct test_directory d;
  struct store_error why;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t quiet = test_create(s, "quiet.example.", 1, 3), busy = test_create(s, "busy.example.", 1, 3);
  char body[BODY + 1];
  memset(body, 'x', BODY);
  body[BODY] = 0;
  struct store_retention keep = {.age_s = 30 * DAY_S, .zone_bytes = MOST, .least = 16};
  retain(s, &keep, NOW_S);
  for (uint64_t v = 2; v <= CHANGES;) {
    struct store_batch *b;
    assert_int_equal(store_batch_begin(s, &b), ERR_OK);
    for (unsigned i = 0; i < IN_A_BATCH && v <= CHANGES; i++, v++) {
      struct store_change c = test_change(busy, v, body);
      c.at_s = NOW_S + (int64_t)v;
      assert_int_equal(store_batch_delta(b, &c), ERR_OK);
    }
    assert_int_equal(store_batch_commit(b, &why), ERR_OK);
    compact(s, busy, "busy.example.", v - 1);
    for (bool more = store_retain_is_due(s); more;)
      assert_int_equal(store_retain(s, &keep, NOW_S + (int64_t)v, &more, &why), ERR_OK);
  }
  assert_int_equal(store_sweep(s, 0, &why), ERR_OK);
  struct store_usage usage;
  assert_int_equal(store_usage(s, &usage), ERR_OK);
  assert_true(usage.database_bytes < 2 * MOST + (16 << 20)); /* and the WAL beside it */
  walked_count = 0;
  assert_int_equal(store_walk_back(s, busy, store_head(s, busy), only_count, NULL, &why), ERR_OK);
  assert_int_equal(walked_count, 3600);
  struct walked w;
  assert_int_equal(walk(s, quiet, 64, &w), ERR_NOT_FOUND);
  assert_int_equal(w.count, 1);
  store_close(s);
  test_directory_done(&d);
}

/* Rows that retention looked at for changes of one zone among so many, and those that are left. */
static uint64_t looked_among(unsigned zones, int *left) {
  enum { CHANGES = 6000, BODY = 600, MOST = 1 << 20 };
  struct test_directory d;
  struct store_error why;
  struct store_batch *b;
  char body[BODY + 1], name[32];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  memset(body, 'x', BODY);
  body[BODY] = 0;
  for (unsigned i = 0; i < zones; i++) {
    snprintf(name, sizeof name, "z%u.example.", i);
    test_create(s, name, 1, 1);
  }
  uint64_t busy = test_create(s, "busy.example.", 1, 1);
  store_close(s);
  s = test_open(&d);
  struct store_retention keep = {.age_s = 30 * DAY_S, .zone_bytes = MOST, .least = 16};
  retain(s, &keep, NOW_S);
  uint64_t before = s->retain.looked;
  for (uint64_t v = 2; v <= CHANGES; v++) {
    assert_int_equal(store_batch_begin(s, &b), ERR_OK);
    struct store_change c = test_change(busy, v, body);
    assert_int_equal(store_batch_delta(b, &c), ERR_OK);
    assert_int_equal(store_batch_commit(b, &why), ERR_OK);
    if (v % 500 == 0) compact(s, busy, "busy.example.", v);
    for (bool more = store_retain_is_due(s); more;)
      assert_int_equal(store_retain(s, &keep, NOW_S + 1, &more, &why), ERR_OK);
  }
  uint64_t looked = s->retain.looked - before;
  *left = test_rows(s, "changeset") - (int)zones;
  store_close(s);
  test_directory_done(&d);
  return looked;
}

static void test_a_change_costs_the_same_among_many(void **state) {
  int left_few, left_many;
  uint64_t few = looked_among(10, &left_few), many = looked_among(2000, &left_many);
  assert_true(few > 0 && left_few < 2500);
  assert_int_equal(left_many, left_few);
  assert_int_equal(many, few);
}

static void test_held_segments_stay(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t a = test_create(s, "a.example.", 1, 3);
  uint64_t segments = s->segments.count;
  store_hold(s);
  test_delta(s, a, 2, "two");
  compact(s, a, "a.example.", 2);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  assert_int_equal(s->segments.count, segments + 1);
  store_release(s);
  assert_int_equal(store_sweep(s, 0, NULL), ERR_OK);
  assert_int_equal(s->segments.count, segments);
  store_close(s);
  test_directory_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_newest_first),
      cmocka_unit_test(test_a_reader_sees_what_is_committed_and_outlives_the_store),
      cmocka_unit_test(test_notes_and_view_are_kept_and_covered),
      cmocka_unit_test(test_images_that_full_changes_replace_stay),
      cmocka_unit_test(test_kept_images_are_put_together),
      cmocka_unit_test(test_seeds),
      cmocka_unit_test(test_a_seed_that_is_the_image),
      cmocka_unit_test(test_changes_behind_a_cut),
      cmocka_unit_test(test_age_and_the_least),
      cmocka_unit_test(test_kept_images_go_with_their_changes),
      cmocka_unit_test(test_a_busy_zone_is_bounded),
      cmocka_unit_test(test_a_change_costs_the_same_among_many),
      cmocka_unit_test(test_held_segments_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
