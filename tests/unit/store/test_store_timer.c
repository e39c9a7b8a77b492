/* The timer file: kept over a restart, and no harm from a torn one. */
#include "support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZONES = 8 };

static void make(const struct test_directory *d) {
  struct store *s = test_open(d);
  struct store_error error = {""};
  for (unsigned i = 0; i < ZONES; i++) {
    char name[32];
    snprintf(name, sizeof name, "z%u.example.", i);
    struct store_timer t = {test_create(s, name, 1, 2), 1700000000 + i, 3600 + i, 50 + i};
    assert_int_equal(store_timer_put(s, &t), ERR_OK);
  }
  assert_int_equal(store_timers_flush(s, &error), ERR_OK);
  store_close(s);
}

/* How many timers are there; each that is must be right. */
static unsigned count(const struct test_directory *d) {
  struct store *s = test_open(d);
  struct store_timer t;
  unsigned found = 0;
  for (uint64_t zone = 1; zone <= ZONES; zone++) {
    if (store_timer_get(s, zone, &t)) continue;
    found++;
    assert_int_equal(t.zone, zone);
    assert_int_equal(t.good_at_s, 1700000000 + zone - 1);
    assert_int_equal(t.expire_s, 3600 + zone - 1);
  }
  store_close(s);
  return found;
}

static void timers_survive_a_restart(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  make(&d);
  assert_int_equal(count(&d), ZONES);
  struct store *s = test_open(&d);
  struct store_timer t = {3, 1800000000, 60, 0}, got, nobody = {99, 1, 1, 0};
  assert_int_equal(store_timer_put(s, &t), ERR_OK);
  assert_int_equal(store_timer_put(s, &nobody), ERR_NOT_FOUND);
  assert_int_equal(store_timer_get(s, 99, &got), ERR_NOT_FOUND);
  store_close(s); /* a clean end writes them */
  s = test_open(&d);
  assert_int_equal(store_timer_get(s, 3, &got), ERR_OK);
  assert_int_equal(got.good_at_s, t.good_at_s);
  assert_int_equal(got.expire_s, t.expire_s);
  store_close(s);
  test_directory_done(&d);
}

static void a_missing_file_is_no_error(void **state) {
  struct test_directory d;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  make(&d);
  test_path(&d, "timers", path);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(count(&d), 0);
  test_directory_done(&d);
}

static void a_torn_file_keeps_the_whole_records(void **state) {
  struct test_directory d;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  make(&d);
  test_path(&d, "timers", path);
  for (off_t size = 32 * (ZONES + 1) - 1; size >= 0; size -= 13) {
    assert_int_equal(truncate(path, size), 0);
    assert_int_equal(count(&d), size < 32 ? 0 : size / 32 - 1);
  }
  test_directory_done(&d);
}

static void a_damaged_record_is_left_out(void **state) {
  struct test_directory d;
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  make(&d);
  test_path(&d, "timers", path);
  for (unsigned at = 32; at < 32 * (ZONES + 1); at += 7) {
    FILE *f = fopen(path, "r+b");
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 0x10, f);
    fclose(f);
    assert_int_equal(count(&d), ZONES - 1);
    f = fopen(path, "r+b");
    fseek(f, at, SEEK_SET);
    fputc(c, f);
    fclose(f);
  }
  assert_int_equal(count(&d), ZONES);
  test_directory_done(&d);
}

/* The monotonic clock tells nothing of a time before the machine was started. */
static void another_boot_is_another_clock(void **state) {
  static const uint64_t boots[] = {0, 7, 7, 8, 8, 0, 8};
  static const uint32_t expected[] = {0, 0, 107, 0, 108, 0, 0}; /* what the one before has put, if it was the same boot */
  struct test_directory d;
  struct store_timer t;
  test_directory_make(&d);
  make(&d);
  for (size_t i = 0; i < sizeof boots / sizeof *boots; i++) {
    struct store *s = test_open(&d);
    store_timers_boot(s, boots[i]);
    assert_int_equal(store_timer_get(s, 1, &t), ERR_OK);
    assert_int_equal(t.good_mono_s, expected[i]);
    t.good_mono_s = 100 + (uint32_t)boots[i];
    assert_int_equal(store_timer_put(s, &t), ERR_OK);
    store_close(s);
  }
  test_directory_done(&d);
}

/* A zone that was forgotten leaves its timer behind until the next flush; the number is not given again. */
static void a_number_is_not_given_twice(void **state) {
  struct test_directory d;
  struct store_batch *b;
  struct store_timer t;
  struct store_error error = {""};
  test_directory_make(&d);
  make(&d);
  struct store *s = test_open(&d);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_state(b, ZONES, STORE_ZONE_DELETED, 5), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  assert_int_equal(store_sweep(s, 6, &error), ERR_OK);
  store_close(s);
  s = test_open(&d);
  assert_int_equal(s->zones.count, ZONES - 1);
  uint64_t zone = test_create(s, "new.example.", 1, 2);
  assert_int_equal(zone, ZONES + 1);
  assert_int_equal(store_timer_get(s, zone, &t), ERR_NOT_FOUND);
  store_close(s);
  test_directory_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(timers_survive_a_restart),
      cmocka_unit_test(a_missing_file_is_no_error),
      cmocka_unit_test(a_torn_file_keeps_the_whole_records),
      cmocka_unit_test(a_damaged_record_is_left_out),
      cmocka_unit_test(another_boot_is_another_clock),
      cmocka_unit_test(a_number_is_not_given_twice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
