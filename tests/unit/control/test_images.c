/* Images that another thread writes: what happens between its beginning and its end. */
#include "house.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A "a.example."
#define B "b.example."
#define SECONDARY_A "{name: a.example, role: secondary, primaries: [p1]}"
#define PRIMARY_B "{name: b.example, role: primary, file: b.zone}"
#define C "c.example."
#define PRIMARY_C "{name: c.example, role: primary, file: b.zone}"

static void begin(struct house *h, const char *zones) {
  house_init(h);
  fake_primary_serve(&h->p1, A, make_zone(A, 5, 3600, 600, 86400, 3));
  house_zone(h, "b.zone", 1, "");
  house_config(h, zones);
  h->aside = true;
  house_start(h);
  house_keep_files(h);
}

/* Another content of b.zone, all of it, so that few of them are a long tail. */
static void edit(struct house *h, const char *zone, uint32_t serial) {
  struct buf text = {0};
  for (unsigned i = 0; i < 40; i++)
    buf_printf(&text, "h%u 60 IN TXT \"serial %u, number %u\"\n", i, serial, i);
  house_zone(h, "b.zone", serial, buf_text(&text));
  buf_done(&text);
  assert_true(house_done_at_once(h, "reload", zone, NULL));
  assert_int_equal(house_serial(h, zone), serial);
}

static void edit_b(struct house *h, uint32_t serial) {
  edit(h, B, serial);
}

static bool same_after_restart(struct house *h, const char *zone) {
  struct buf before = {0}, after = {0};
  house_export(h, zone, &before);
  h->aside = false;
  house_restart(h);
  house_export(h, zone, &after);
  bool same = before.size == after.size && memcmp(before.data, after.data, before.size) == 0;
  buf_done(&before);
  buf_done(&after);
  return same;
}

static void finish_all(struct house *h) {
  while (house_image(h)) {
    house_image_done(h);
    house_run_ms(h, 1);
  }
}

/* Nothing that is still to be written is. */
static void crash(struct house *h) {
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = EIO};
  house_stop(h);
  test_no_faults();
}

static bool is_coming(struct house *h, const char *zone) {
  struct control_figures f;
  const struct zone_slot *z = house_slot(h, zone);
  control_figures(h->control, &f);
  return z->snap && z->coming && !z->durable && !slot_wrong(z) && f.not_durable == 0;
}

static bool is_kept(struct house *h, const char *zone) {
  const struct zone_slot *z = house_slot(h, zone);
  return z->snap && z->durable && !z->coming && !slot_wrong(z);
}

/* Of the first version: it is served. */
static void transfer_begins(struct house *h) {
  begin(h, SECONDARY_A ", " PRIMARY_B);
  house_run_ms(h, 2000);
  assert_non_null(h->image);
  assert_int_equal(house_serial(h, A), 5);
  assert_true(is_coming(h, A));
}

/* Of a later one: readers have it, and for all else the zone is as it was. */
static bool is_shown(struct house *h) {
  const struct zone_slot *z = house_slot(h, A);
  return house_serial(h, A) == 6 && zone_serial(z->snap) == 5 && z->durable && z->shown;
}

static void retransfer_begins(struct house *h) {
  transfer_begins(h);
  finish_all(h);
  fake_primary_serve(&h->p1, A, make_zone(A, 6, 3600, 600, 86400, 40));
  house_command(h, "retransfer", A);
  house_run_ms(h, 2000);
  assert_non_null(h->image);
  assert_true(is_shown(h));
}

/* The primary is as good as the store: after a crash it is asked again. */
static void test_a_first_transfer_is_served_at_once(void **state) {
  struct house h;
  struct secondary_status s;
  struct store_timer t;
  transfer_begins(&h);
  assert_true(secondary_status(h.control->secondaries, house_slot(&h, A)->id, &s) && s.phase == SECONDARY_IDLE);
  edit_b(&h, 2);
  assert_true(house_image(&h));
  edit_b(&h, 3);
  assert_true(is_coming(&h, A));
  house_run_ms(&h, 5000);
  uint64_t expires_ns = house_slot(&h, A)->expires_mono_ns;
  house_image_done(&h);
  assert_true(is_kept(&h, A));
  assert_int_equal(house_slot(&h, A)->version, 1);
  assert_int_equal(house_slot(&h, A)->expires_mono_ns, expires_ns);
  assert_int_equal(store_timer_get(h.control->store, house_slot(&h, A)->store_id, &t), ERR_OK);
  assert_int_equal(t.good_mono_s + (uint64_t)t.expire_s, expires_ns / NS_PER_S);
  assert_int_equal(t.good_at_s, s.last_good_wall_s);
  finish_all(&h);
  assert_true(same_after_restart(&h, A));
  assert_int_equal(house_slot(&h, A)->expires_mono_ns / NS_PER_S, expires_ns / NS_PER_S);
  house_done(&h);
}

/* Newer ones are seen, but wait for it, and are small in the log then. */
static void test_a_first_transfer_is_followed(void **state) {
  for (int written = 0; written < 2; written++) {
    struct house h;
    transfer_begins(&h);
    if (written) assert_true(house_image(&h));
    fake_primary_serve(&h.p1, A, make_zone(A, 6, 3600, 600, 86400, 4));
    house_command(&h, "reload", A);
    house_run_ms(&h, 2000);
    assert_int_equal(house_serial(&h, A), 6);
    assert_true(is_coming(&h, A));
    if (!written) assert_true(house_image(&h));
    house_image_done(&h);
    assert_true(is_kept(&h, A));
    struct store_image image = house_slot(&h, A)->image;
    house_run_ms(&h, 1);
    finish_all(&h);
    assert_int_equal(house_serial(&h, A), 6);
    assert_int_equal(house_slot(&h, A)->version, 2);
    assert_int_equal(house_slot(&h, A)->image.segment, image.segment);
    assert_true(same_after_restart(&h, A));
    house_done(&h);
  }
}

/* Others go on, before and after it is made ready, and it is there after a restart. */
static void test_a_transfer_waits_alone(void **state) {
  struct house h;
  struct secondary_status s;
  retransfer_begins(&h);
  edit_b(&h, 2);
  assert_true(house_image(&h));
  edit_b(&h, 3);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  assert_true(is_shown(&h));
  house_image_done(&h);
  assert_int_equal(house_serial(&h, A), 6);
  assert_null(house_slot(&h, A)->shown);
  assert_true(is_kept(&h, A));
  assert_true(secondary_status(h.control->secondaries, house_slot(&h, A)->id, &s) && s.phase == SECONDARY_IDLE);
  finish_all(&h);
  assert_true(same_after_restart(&h, A));
  house_done(&h);
}

/* What the store has not comes before a fresh image of what it has, but for the one at work. */
static void test_a_transfer_goes_first(void **state) {
  struct house h;
  begin(&h, PRIMARY_B ", " PRIMARY_C ", " SECONDARY_A);
  edit(&h, B, 2);
  edit(&h, C, 2);
  house_run_ms(&h, 2000);
  struct store_image b = house_slot(&h, B)->image, c = house_slot(&h, C)->image;
  while (house_image(&h) && !house_slot(&h, A)->durable) {
    house_image_done(&h);
    house_run_ms(&h, 1);
  }
  assert_int_equal(house_serial(&h, A), 5);
  assert_int_not_equal(house_slot(&h, B)->image.segment, b.segment);
  assert_memory_equal(&house_slot(&h, C)->image, &c, sizeof c);
  house_image_done(&h);
  finish_all(&h);
  assert_int_not_equal(house_slot(&h, C)->image.segment, c.segment);
  house_done(&h);
}

/* The whole zone again, little of it new: a delta, and no image. */
static void test_a_transfer_that_changes_little(void **state) {
  struct house h;
  transfer_begins(&h);
  finish_all(&h);
  struct store_image image = house_slot(&h, A)->image;
  fake_primary_serve(&h.p1, A, make_zone(A, 6, 3600, 600, 86400, 4));
  house_command(&h, "retransfer", A);
  house_run_ms(&h, 2000);
  assert_true(house_image(&h));
  house_image_done(&h);
  assert_int_equal(house_serial(&h, A), 6);
  assert_int_equal(house_slot(&h, A)->image.segment, image.segment);
  assert_int_equal(house_slot(&h, A)->version, 2);
  assert_true(same_after_restart(&h, A));
  house_done(&h);
}

static void large_transfer_begins(struct house *h) {
  house_init(h);
  fake_primary_serve(&h->p1, A, make_zone(A, 5, 3600, 600, 86400, 2000));
  h->p1.pace_ns = NS_PER_MS;
  house_zone(h, "b.zone", 1, "");
  house_config(h, SECONDARY_A ", " PRIMARY_B);
  h->aside = true;
  house_start(h);
  house_keep_files(h);
  secondaries_build_from(h->control->secondaries, 100);
}

/* Put together while it comes, by one job after the other; before each of them the server goes on, ends, or loses the zone. */
static void test_a_transfer_is_put_together_aside(void **state) {
  for (unsigned jobs = 0; jobs < 6; jobs++) {
    for (unsigned what = 0; what < 4; what++) {
      struct house h;
      unsigned done = 0;
      large_transfer_begins(&h);
      for (unsigned ms = 0; ms < 3000 && done < jobs; ms++) {
        house_run_ms(&h, 1);
        if (!h.image) continue;
        assert_true(house_image(&h));
        house_image_done(&h);
        done++;
      }
      assert_true(done == jobs || done > 2);
      if (what == 1) control_freeze(h.control, fake_net_now(h.net));
      if (what == 2) {
        house_config(&h, PRIMARY_B);
        assert_true(house_done_at_once(&h, "reload", NULL, NULL));
        finish_all(&h);
        assert_null(house_slot(&h, A));
      }
      for (unsigned ms = 0; what == 3 && ms < 3000; ms++) {
        house_run_ms(&h, 1);
        if (house_image(&h)) house_image_done(&h);
      }
      if (what == 3) {
        assert_int_equal(house_serial(&h, A), 5);
        assert_int_equal(zone_record_count(house_slot(&h, A)->snap), 2202);
        assert_true(same_after_restart(&h, A));
      }
      house_done(&h);
    }
  }
}

/* What only readers saw is transferred again. */
static void test_a_crash_takes_back_what_was_shown(void **state) {
  struct house h;
  retransfer_begins(&h);
  crash(&h);
  house_start(&h);
  assert_int_equal(house_serial(&h, A), 5);
  house_run_ms(&h, 7200000);
  finish_all(&h);
  assert_int_equal(house_serial(&h, A), 6);
  assert_true(is_kept(&h, A));
  house_done(&h);
}

/* The one it was shown for is another zone now. */
static void test_a_role_that_changes_meanwhile(void **state) {
  struct house h;
  retransfer_begins(&h);
  house_config(&h, "{name: a.example, role: primary, file: b.zone}, " PRIMARY_B);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  assert_null(house_slot(&h, A)->shown);
  finish_all(&h);
  assert_int_equal(house_serial(&h, A), 6); /* the file's 1 is not higher than 5 */
  assert_int_equal(zone_record_count(house_slot(&h, A)->snap), 3);
  house_done(&h);
}

static void test_a_zone_that_goes_meanwhile(void **state) {
  struct house h;
  for (int i = 0; i < 4; i++) {
    if (i & 2) retransfer_begins(&h);
    else transfer_begins(&h);
    if (i & 1) assert_true(house_image(&h));
    house_config(&h, "{name: c.example, role: primary, file: b.zone}, " PRIMARY_B); /* takes the slot over */
    assert_true(house_done_at_once(&h, "reload", NULL, NULL));
    assert_true(house_image(&h));
    house_image_done(&h);
    finish_all(&h);
    assert_null(house_slot(&h, A));
    assert_int_equal(house_serial(&h, "c.example."), 1);
    house_done(&h);
  }
}

/* Cancelled by the end of the server: what is served or shown is kept. */
static void test_the_end_comes_before(void **state) {
  struct house h;
  for (int i = 0; i < 4; i++) {
    bool later = i & 2;
    if (later) retransfer_begins(&h);
    else transfer_begins(&h);
    if (i & 1) assert_true(house_image(&h));
    house_restart(&h);
    assert_int_equal(house_serial(&h, A), later ? 6 : 5);
    assert_true(is_kept(&h, A));
    house_done(&h);
  }
}

/* A swap commits what came, at once. */
static void test_a_freeze_comes_before(void **state) {
  struct house h;
  for (int later = 0; later < 2; later++) {
    if (later) retransfer_begins(&h);
    else transfer_begins(&h);
    control_freeze(h.control, fake_net_now(h.net));
    assert_null(h.image);
    assert_int_equal(house_serial(&h, A), later ? 6 : 5);
    assert_true(is_kept(&h, A));
    house_done(&h);
  }
}

static void break_disk(void) {
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
}

/* Served all the same, told, and kept later: by way of the other thread again. */
static void test_the_disk_is_full(void **state) {
  struct house h;
  for (int later = 0; later < 2; later++) {
    if (later) retransfer_begins(&h);
    else transfer_begins(&h);
    break_disk();
    assert_true(house_image(&h));
    if (!later) faults = (struct faults){0};
    house_image_done(&h);
    faults = (struct faults){0};
    assert_int_equal(house_serial(&h, A), later ? 6 : 5);
    assert_false(house_slot(&h, A)->durable);
    assert_non_null(strstr(slot_wrong(house_slot(&h, A)), "not durable"));
    house_run_ms(&h, 3000);
    assert_non_null(h.image);
    edit_b(&h, 2);
    finish_all(&h);
    assert_true(is_kept(&h, A));
    assert_true(same_after_restart(&h, A));
    house_done(&h);
  }
}

/* ---- files at the first start ---- */

#define EDITABLE_C "{name: c.example, role: primary, file: b.zone, editable: true}"

static void first_start(struct house *h, const char *zones) {
  house_init(h);
  house_zone(h, "b.zone", 1, "");
  house_config(h, zones);
  h->aside = true;
  house_start(h);
  house_run_ms(h, 1);
}

static bool is_good(struct house *h, bool durable) {
  return house_serial(h, B) > 0 && (durable ? is_kept(h, B) : is_coming(h, B));
}

/* The file is as good as the store, as long as nobody else changes the zone. */
static void test_a_new_file_is_served_at_once(void **state) {
  struct house h;
  first_start(&h, PRIMARY_B ", " EDITABLE_C);
  assert_true(is_good(&h, false));
  assert_true(house_slot(&h, C)->durable);
  assert_true(house_image(&h));
  assert_true(is_good(&h, false));
  house_image_done(&h);
  assert_true(is_good(&h, true));
  assert_int_equal(house_slot(&h, B)->version, 1);
  finish_all(&h);
  house_restart(&h);
  assert_true(is_good(&h, true));
  assert_true(house_slot(&h, B)->source_size > 0);
  house_done(&h);
}

/* After a crash the file is read again. The serial that was served stood for what it was then. */
static void test_a_new_file_after_a_crash(void **state) {
  for (int changed = 0; changed < 2; changed++) {
    struct house h;
    first_start(&h, PRIMARY_B);
    assert_true(is_good(&h, false));
    for (int again = 0; again < 3; again++) { /* the one that was raised is promised, too */
      crash(&h);
      if (changed && !again) house_zone(&h, "b.zone", 1, "other 60 IN A 192.0.2.1\n");
      house_start(&h);
      assert_int_equal(house_serial(&h, B), changed ? 2 : 1);
      assert_true(is_good(&h, false));
    }
    house_keep_files(&h);
    assert_true(is_good(&h, true));
    assert_int_equal(house_slot(&h, B)->version, 1);
    assert_true(same_after_restart(&h, B));
    house_done(&h);
  }
}

static void test_a_new_file_is_kept_at_the_end(void **state) {
  for (int frozen = 0; frozen < 2; frozen++) {
    struct house h;
    first_start(&h, PRIMARY_B);
    if (frozen) control_freeze(h.control, fake_net_now(h.net));
    house_restart(&h);
    assert_true(is_good(&h, true));
    assert_int_equal(house_slot(&h, B)->version, 1);
    assert_true(house_slot(&h, B)->source_size > 0);
    house_done(&h);
  }
}

static void test_a_new_file_changes_meanwhile(void **state) {
  for (int written = 0; written < 2; written++) {
    struct house h;
    first_start(&h, PRIMARY_B);
    if (written) assert_true(house_image(&h));
    edit_b(&h, 2);
    assert_true(is_good(&h, true));
    if (!written) assert_true(house_image(&h));
    house_image_done(&h);
    finish_all(&h);
    assert_int_equal(house_serial(&h, B), 2);
    assert_true(same_after_restart(&h, B));
    assert_int_equal(house_serial(&h, B), 2);
    house_done(&h);
  }
}

static void test_a_new_file_can_not_be_kept(void **state) {
  struct house h;
  first_start(&h, PRIMARY_B);
  break_disk();
  assert_true(house_image(&h));
  faults = (struct faults){0};
  house_image_done(&h);
  assert_int_equal(house_serial(&h, B), 1);
  assert_non_null(strstr(slot_wrong(house_slot(&h, B)), "not durable"));
  house_run_ms(&h, 3000);
  finish_all(&h);
  assert_true(is_good(&h, true));
  assert_true(house_slot(&h, B)->source_size > 0);
  house_done(&h);
}

/* ---- fresh images ---- */

/* Changes go on in all of its phases; in the end what is served is the fresh image with the last changes on top. */
static void test_a_long_tail_is_compacted(void **state) {
  struct house h;
  begin(&h, PRIMARY_B);
  edit_b(&h, 2);
  house_run_ms(&h, 1);
  assert_non_null(h.image);
  struct zone_slot *z = house_slot(&h, B);
  struct store_image image = z->image;
  edit_b(&h, 3);
  assert_true(house_image(&h));
  edit_b(&h, 4);
  house_image_done(&h); /* the row */
  assert_int_not_equal(z->image.segment, image.segment);
  assert_int_equal(z->image.version, 2);
  edit_b(&h, 5);
  assert_true(house_image(&h)); /* proven, and brought up to 4 */
  edit_b(&h, 6);
  const struct zone_snap *last = zone_snap_ref(z->snap);
  house_image_done(&h);
  assert_int_equal(house_serial(&h, B), 6);
  assert_false(zone_shares_memory(last, z->snap));
  assert_true(zone_equal(last, z->snap));
  assert_true(zone_mapped_bytes(z->snap) > 0);
  zone_snap_unref(last);
  finish_all(&h);
  assert_true(same_after_restart(&h, B));
  house_done(&h);
}

/* The image before it and the chain stay in force, and nobody tries again at once. */
static void test_a_fresh_image_does_not_fit(void **state) {
  struct house h;
  begin(&h, PRIMARY_B);
  edit_b(&h, 2);
  house_run_ms(&h, 1);
  struct store_image image = house_slot(&h, B)->image;
  break_disk();
  assert_true(house_image(&h));
  faults = (struct faults){0};
  house_image_done(&h);
  assert_memory_equal(&house_slot(&h, B)->image, &image, sizeof image);
  edit_b(&h, 3);
  house_run_ms(&h, 1000);
  assert_null(h.image);
  house_run_ms(&h, 60000);
  edit_b(&h, 4);
  house_run_ms(&h, 1);
  assert_non_null(h.image);
  finish_all(&h);
  assert_int_not_equal(house_slot(&h, B)->image.segment, image.segment);
  assert_true(same_after_restart(&h, B));
  house_done(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_first_transfer_is_served_at_once),
      cmocka_unit_test(test_a_first_transfer_is_followed),
      cmocka_unit_test(test_a_transfer_waits_alone),
      cmocka_unit_test(test_a_transfer_is_put_together_aside),
      cmocka_unit_test(test_a_transfer_goes_first),
      cmocka_unit_test(test_a_transfer_that_changes_little),
      cmocka_unit_test(test_a_crash_takes_back_what_was_shown),
      cmocka_unit_test(test_a_role_that_changes_meanwhile),
      cmocka_unit_test(test_a_zone_that_goes_meanwhile),
      cmocka_unit_test(test_the_end_comes_before),
      cmocka_unit_test(test_a_freeze_comes_before),
      cmocka_unit_test(test_the_disk_is_full),
      cmocka_unit_test(test_a_new_file_is_served_at_once),
      cmocka_unit_test(test_a_new_file_after_a_crash),
      cmocka_unit_test(test_a_new_file_is_kept_at_the_end),
      cmocka_unit_test(test_a_new_file_changes_meanwhile),
      cmocka_unit_test(test_a_new_file_can_not_be_kept),
      cmocka_unit_test(test_a_long_tail_is_compacted),
      cmocka_unit_test(test_a_fresh_image_does_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
