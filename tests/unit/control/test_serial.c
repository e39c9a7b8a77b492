/* Serials by policy: always strictly higher by RFC 1982, and left alone when nothing but the serial differs. */
#include "base/serial.h"
#include "control/serial.h"
#include "control/zone_load.h"
#include "zone/content.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_next_is_always_higher(void **state) {
  const uint32_t lasts[] = {0, 1, 2026112200, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
  const uint32_t owns[] = {0, 1, 5, 2026112199, 0x80000001, 0xffffffff};
  for (int policy = CONFIG_SERIAL_KEEP; policy <= CONFIG_SERIAL_DATE; policy++)
    for (unsigned i = 0; i < sizeof lasts / sizeof lasts[0]; i++)
      for (unsigned j = 0; j < sizeof owns / sizeof owns[0]; j++)
        assert_true(serial_gt(serial_next((enum config_serial)policy, lasts[i], owns[j], 1763800000), lasts[i]));
}

static void test_policies(void **state) {
  int64_t now_s = 1795382400; /* 2026-11-22T21:20:00Z */
  assert_int_equal(serial_next(CONFIG_SERIAL_KEEP, 5, 9, now_s), 9);
  assert_int_equal(serial_next(CONFIG_SERIAL_KEEP, 5, 5, now_s), 6);
  assert_int_equal(serial_next(CONFIG_SERIAL_INCREMENT, 5, 5, now_s), 6);
  assert_int_equal(serial_next(CONFIG_SERIAL_INCREMENT, 5, 9, now_s), 9); /* a person wants it so */
  assert_int_equal(serial_next(CONFIG_SERIAL_DATE, 5, 2026112250, now_s), 2026112250);
  assert_int_equal(serial_next(CONFIG_SERIAL_DATE, 5, 2026112150, now_s), 2026112200);
  assert_int_equal(serial_next(CONFIG_SERIAL_UNIXTIME, 5, 9, now_s), 1795382400);
  assert_int_equal(serial_next(CONFIG_SERIAL_UNIXTIME, 1795382400, 9, now_s), 1795382401);
  assert_int_equal(serial_next(CONFIG_SERIAL_DATE, 5, 9, now_s), 2026112200);
  assert_int_equal(serial_next(CONFIG_SERIAL_DATE, 2026112207, 9, now_s), 2026112208);
}

/* 150 changes on each of three days and then one a day: higher each time, and the date again once it has caught up. */
static void test_more_changes_than_a_date_holds(void **state) {
  enum { DAY_S = 86400, BUSY_DAYS = 3, CHANGES = 150 };
  uint32_t serial = 7;
  for (int day = 0; day < 8; day++) {
    int64_t now_s = 1795132800 + day * DAY_S; /* 2026-11-20 */
    uint32_t date = 2026112000 + 100 * (uint32_t)day;
    for (int i = 0; i < (day < BUSY_DAYS ? CHANGES : 1); i++) {
      uint32_t next = serial_next(CONFIG_SERIAL_DATE, serial, serial, now_s + i);
      if (day) assert_int_equal(next, date > serial ? date : serial + 1);
      assert_true(serial_gt(next, serial));
      serial = next;
    }
  }
  assert_int_equal(serial, 2026112700);
}

static struct zone_snap *load(uint32_t serial, const char *extra) {
  char text[512];
  struct name apex;
  struct diags diags = {0};
  struct zone_load_options o = {0};
  struct zone_loaded loaded = {0};
  snprintf(text, sizeof text, "@ 60 IN SOA ns1 h %u 3600 600 86400 300\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n%s", serial, extra);
  assert_int_equal(name_from_text("example.com.", 12, NULL, &apex, NULL, NULL), ERR_OK);
  assert_int_equal(zone_load_bytes("z", (const uint8_t *)text, strlen(text), &apex, &o, &diags, &loaded), ERR_OK);
  struct zone_snap *s = zone_loaded_take(&loaded);
  zone_loaded_done(&loaded);
  diags_done(&diags);
  return s;
}

static void check_refresh(uint32_t served, uint32_t own, const char *extra, bool want_same, uint32_t want_serial, bool want_note) {
  struct name apex;
  assert_int_equal(name_from_text("example.com.", 12, NULL, &apex, NULL, NULL), ERR_OK);
  struct config_zone_options o = {.serial = CONFIG_SERIAL_KEEP};
  struct config_zone cz = {.name = apex.octets, .options = &o};
  struct zone_slot z = {.config = &cz, .snap = load(served, "")};
  const struct zone_snap *next = load(own, extra);
  struct buf note = {0};
  bool same;
  assert_int_equal(serial_refresh(&z, z.snap, &next, (struct instant){0, 1795382400}, &same, &note), ERR_OK);
  assert_int_equal(same, want_same);
  if (!same) assert_int_equal(zone_serial(next), want_serial);
  assert_int_equal(note.size > 0, want_note);
  buf_done(&note);
  zone_snap_unref(next);
  zone_snap_unref(z.snap);
}

static void test_refresh(void **state) {
  check_refresh(5, 5, "", true, 0, false);
  check_refresh(5, 4, "", true, 0, false); /* only the serial went back: nothing changed */
  check_refresh(5, 6, "", false, 6, false);
  check_refresh(5, 6, "a 60 IN A 192.0.2.2\n", false, 6, false);
  check_refresh(5, 5, "a 60 IN A 192.0.2.2\n", false, 6, true);
  check_refresh(5, 4, "a 60 IN A 192.0.2.2\n", false, 6, true);
  check_refresh(0xffffffff, 0xffffffff, "a 60 IN A 192.0.2.2\n", false, 0, true);
}

/* The log can't be read any more, but knows the last version's serial and digest: a file of the same serial may be another version.
 */
static void test_last_version_not_there(void **state) {
  struct name apex;
  assert_int_equal(name_from_text("example.com.", 12, NULL, &apex, NULL, NULL), ERR_OK);
  struct config_zone_options o = {.serial = CONFIG_SERIAL_KEEP};
  struct config_zone cz = {.name = apex.octets, .options = &o};
  struct zone_slot z = {.config = &cz, .head = 9, .stored_serial = 5, .has_content = true};
  for (int other = 0; other < 2; other++) {
    const struct zone_snap *was = load(5, ""), *next = load(5, other ? "x 60 IN A 192.0.2.9\n" : "");
    struct buf note = {0};
    bool same;
    assert_int_equal(zone_content_whole(was, &z.content), ERR_OK);
    assert_int_equal(serial_refresh(&z, NULL, &next, (struct instant){0, 1795382400}, &same, &note), ERR_OK);
    assert_false(same);
    assert_int_equal(zone_serial(next), other ? 6 : 5);
    zone_snap_unref(was);
    zone_snap_unref(next);
    buf_done(&note);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_next_is_always_higher), cmocka_unit_test(test_policies),
                                     cmocka_unit_test(test_more_changes_than_a_date_holds), cmocka_unit_test(test_refresh),
                                     cmocka_unit_test(test_last_version_not_there)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
