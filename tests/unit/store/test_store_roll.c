/* The roll is believed when it is what the log says of itself, and says what its rows say; anything else is not looked at. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything a row can have: sources, some of them shared, options, a deleted zone, a seed, a kept image, deltas, stale rows. */
static void fill(struct store *s) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_image image;
  struct zone_snap *snap = test_zone("b.example.", 2, 3);
  struct store_change full = test_change(2, 2, "");
  test_create(s, "a.example.", 1, 2);
  test_create(s, "b.example.", 1, 2);
  test_create(s, "c.example.", 1, 2);
  test_create(s, "d.example.", 1, 2);
  test_delta(s, 1, 2, "x");
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, 2, 2, snap, &full, &image), ERR_OK); /* the old image is kept */
  assert_int_equal(store_batch_seed(b, 2, snap, NULL), ERR_OK);
  assert_int_equal(store_batch_image(b, 1, 2, snap, NULL, &image), ERR_OK); /* the old one's row is stale */
  assert_int_equal(store_batch_source(b, 1, (const uint8_t *)"file", 4), ERR_OK);
  assert_int_equal(store_batch_source(b, 2, (const uint8_t *)"file", 4), ERR_OK);
  assert_int_equal(store_batch_source(b, 4, (const uint8_t *)"other", 5), ERR_OK);
  assert_int_equal(store_batch_options(b, 4, "template", 8), ERR_OK);
  assert_int_equal(store_batch_state(b, 3, STORE_ZONE_DELETED, 1000), ERR_OK);
  if (store_batch_commit(b, &error)) fail_msg("commit: %s", error.what);
  zone_snap_unref(snap);
}

static void prepare(struct test_directory *d) {
  test_no_faults();
  test_directory_make(d);
  struct store *s = test_open(d);
  fill(s);
  store_close(s);
}

static bool add_options(void *arg, const struct store_zone *z) {
  buf_printf(arg, "options %.*s\n", (int)z->options_size, z->options ? (const char *)z->options : "");
  return true;
}

/* All that is known of zones and snapshots, as it is in memory, and all that can be asked. */
static void describe(struct store *s, struct buf *out) {
  struct store_error error = {""};
  test_describe(s, out);
  assert_int_equal(store_each_zone(s, add_options, out, &error), ERR_OK);
  for (size_t i = 0; i < s->zones.count; i++) {
    const struct zone_row *r = &s->zones.rows[i];
    buf_printf(out, "%lu %lu %lu %lx %lx %lu %lu %lu %lu %lx %u %d %d\n", r->id, r->head, r->version, r->sum.low, r->content.high,
               r->snapshot, r->image.segment, r->image.offset_bytes, r->image.size_bytes, r->image.digest, r->serial, r->state,
               r->has_content);
  }
  for (size_t i = 0; i < s->kept.count; i++)
    buf_printf(out, "kept %lu %lu %d %lu\n", s->kept.list[i].zone, s->kept.list[i].snapshot, (int)s->kept.list[i].kind,
               s->kept.list[i].image.segment);
  for (size_t i = 0; i < s->segments.count; i++)
    buf_printf(out, "segment %lu images %lu\n", s->segments.list[i].number, s->segments.list[i].images);
  buf_printf(out, "stale %zu deleted %zu last %lu %lu %lu %lu\n", s->stale.count, s->zones.deleted, s->last_seq, s->last_zone,
             s->last_snapshot, s->last_segment);
}

static void remove_roll(const struct test_directory *d) {
  char path[TEST_PATH_BYTES];
  test_path(d, "roll", path);
  assert_int_equal(unlink(path), 0);
}

static void read_file(const struct test_directory *d, const char *name, struct buf *out) {
  int dir = open(d->state, O_RDONLY | O_DIRECTORY);
  buf_clear(out);
  assert_int_equal(file_read(dir, name, 1 << 30, out), ERR_OK);
  close(dir);
}

/* What the rows say, by a start without the roll, which is put back then. */
static void describe_rows(const struct test_directory *d, struct buf *out) {
  struct buf roll = {0}, log = {0};
  read_file(d, "roll", &roll);
  read_file(d, "log.db", &log);
  remove_roll(d);
  struct store *s = test_open(d);
  assert_false(s->roll.is_good);
  describe(s, out);
  store_close(s);
  test_put_file(d, "roll", roll.data, roll.size);
  test_put_file(d, "log.db", log.data, log.size);
  buf_done(&roll);
  buf_done(&log);
}

static void assert_start(const struct test_directory *d, bool by_roll, const struct buf *says, const char *when) {
  struct buf now = {0};
  struct store *s = test_open(d);
  if (s->roll.is_good != by_roll) fail_msg("%s: the roll is %staken", when, by_roll ? "not " : "");
  describe(s, &now);
  if (strcmp(buf_text(&now), buf_text(says))) fail_msg("%s: says\n%sinstead of\n%s", when, buf_text(&now), buf_text(says));
  buf_done(&now);
  store_close(s);
}

static void it_says_what_rows_say(void **state) {
  struct test_directory d;
  struct buf rows = {0}, before = {0}, after = {0};
  prepare(&d);
  describe_rows(&d, &rows);
  assert_non_null(strstr(buf_text(&rows), "stale 1 deleted 1"));
  read_file(&d, "log.db", &before);
  assert_start(&d, true, &rows, "after a clean end");
  read_file(&d, "log.db", &after); /* to start and to end writes nothing then */
  assert_int_equal(before.size, after.size);
  assert_memory_equal(before.data, after.data, after.size);
  assert_start(&d, true, &rows, "after a start that changed nothing");
  struct store *s = test_open(&d);
  test_delta(s, 2, 3, "y");
  test_create(s, "e.example.", 1, 2);
  store_close(s);
  describe_rows(&d, &rows);
  assert_start(&d, true, &rows, "after changes and a clean end");
  buf_done(&rows);
  buf_done(&before);
  buf_done(&after);
  test_directory_done(&d);
}

static void with_roll(const struct test_directory *d, const void *bytes, size_t n, const struct buf *log, const struct buf *rows,
                      const char *when) {
  test_put_file(d, "roll", bytes, n);
  test_put_file(d, "log.db", log->data, log->size);
  assert_start(d, false, rows, when);
}

static void a_damaged_one_is_not_read(void **state) {
  struct test_directory d;
  struct buf rows = {0}, roll = {0}, log = {0};
  char when[64];
  prepare(&d);
  describe_rows(&d, &rows);
  read_file(&d, "roll", &roll);
  read_file(&d, "log.db", &log);
  for (size_t at = 0; at < roll.size; at += 29) {
    roll.data[at] ^= 0x10;
    snprintf(when, sizeof when, "octet %zu flipped", at);
    with_roll(&d, roll.data, roll.size, &log, &rows, when);
    roll.data[at] ^= 0x10;
    snprintf(when, sizeof when, "cut at %zu", at);
    with_roll(&d, roll.data, at, &log, &rows, when);
  }
  buf_add_byte(&roll, 0);
  with_roll(&d, roll.data, roll.size, &log, &rows, "longer");
  test_put_file(&d, "roll", roll.data, roll.size - 1);
  test_put_file(&d, "log.db", log.data, log.size);
  assert_start(&d, true, &rows, "as it was");
  buf_done(&rows);
  buf_done(&roll);
  buf_done(&log);
  test_directory_done(&d);
}

/* ---- one of another moment ---- */

static void change_delta(struct store *s) {
  test_delta(s, 1, 3, "z");
}

static void change_state(struct store *s) {
  struct store_batch *b;
  struct store_error error = {""};
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_state(b, 4, STORE_ZONE_DELETED, 2000), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
}

static void change_source(struct store *s) {
  struct store_batch *b;
  struct store_error error = {""};
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_source(b, 1, (const uint8_t *)"newer", 5), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
}

static void change_image(struct store *s) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_image image;
  struct zone_snap *snap = test_zone("d.example.", 1, 2);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, 4, 1, snap, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  zone_snap_unref(snap);
}

static void change_nothing_but_rows(struct store *s) {
  struct store_error error = {""};
  assert_int_equal(store_sweep(s, 1500, &error), ERR_OK);
}

static void change_history(struct store *s) {
  struct store_error error = {""};
  struct store_retention keep = {.age_s = 1, .zone_bytes = UINT64_MAX, .least = 0};
  bool more = true;
  for (unsigned i = 0; i < 8 && more; i++)
    assert_int_equal(store_retain(s, &keep, 1900000000, &more, &error), ERR_OK);
}

static void change_create(struct store *s) {
  test_create(s, "f.example.", 1, 2);
}

/* The process ends without having come to an end: the roll is still the one before. */
static void killed_after(const struct test_directory *d, bool by_roll, void (*change)(struct store *s), struct buf *says) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = test_fork();
  if (child == 0) {
    struct store *s = test_open(d);
    struct buf text = {0};
    if (s->roll.is_good != by_roll) _exit(2);
    change(s);
    test_describe(s, &text);
    _exit(write(ends[1], text.data, text.size) == (ssize_t)text.size ? 0 : 1);
  }
  close(ends[1]);
  buf_clear(says);
  for (ssize_t n = 1; n > 0; says->size += n > 0 ? (size_t)n : 0)
    n = read(ends[0], buf_reserve(says, 4096), 4096);
  buf_add_byte(says, 0);
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void one_of_before_a_change_is_not_read(void **state) {
  void (*const changes[])(struct store *) = {change_delta,  change_state,   change_source,          change_image,
                                             change_create, change_history, change_nothing_but_rows};
  struct buf says = {0}, now = {0};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    struct test_directory d;
    prepare(&d);
    killed_after(&d, true, changes[i], &says);
    struct store *s = test_open(&d);
    if (s->roll.is_good) fail_msg("change %zu: the roll of before is taken", i);
    test_describe(s, &now);
    assert_string_equal(buf_text(&now), (char *)says.data);
    store_close(s);
    test_directory_done(&d);
  }
  buf_done(&says);
  buf_done(&now);
}

/* A newer log with an older roll, and an older log with a newer roll, which then comes to as many changes. */
static void one_of_another_log_is_not_read(void **state) {
  struct test_directory d;
  struct buf old_roll = {0}, new_roll = {0}, old_log = {0}, rows = {0}, says = {0}, now = {0};
  prepare(&d);
  read_file(&d, "roll", &old_roll);
  read_file(&d, "log.db", &old_log);
  describe_rows(&d, &says);
  struct store *s = test_open(&d);
  test_delta(s, 1, 3, "new");
  store_close(s);
  describe_rows(&d, &rows);
  read_file(&d, "roll", &new_roll);
  test_put_file(&d, "roll", old_roll.data, old_roll.size);
  assert_start(&d, false, &rows, "an older roll");
  test_put_file(&d, "log.db", old_log.data, old_log.size);
  test_put_file(&d, "roll", new_roll.data, new_roll.size);
  killed_after(&d, false, change_delta, &says);
  s = test_open(&d);
  assert_false(s->roll.is_good);
  test_describe(s, &now);
  assert_string_equal(buf_text(&now), (char *)says.data);
  store_close(s);
  buf_done(&old_roll);
  buf_done(&new_roll);
  buf_done(&old_log);
  buf_done(&rows);
  buf_done(&says);
  buf_done(&now);
  test_directory_done(&d);
}

/* ---- its writing ---- */

/* Wherever the end is cut short, or a call fails at it, the next start has everything. */
static bool end_badly(const struct test_directory *d, unsigned at, enum fault_mode mode) {
  pid_t child = test_fork();
  if (child == 0) {
    struct store *s = test_open_faulty(d);
    change_delta(s);
    faults = (struct faults){.at = at, .mode = mode, .error = ENOSPC};
    store_close(s);
    _exit(faults.count >= at ? FAULT_CRASH_EXIT : 0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status) == FAULT_CRASH_EXIT;
}

static void an_end_that_fails_loses_nothing(void **state) {
  static const enum fault_mode modes[] = {FAULT_ONCE, FAULT_FROM_THEN_ON, FAULT_CRASH};
  struct buf rows = {0}, now = {0};
  unsigned by_roll = 0, by_rows = 0;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    bool more = true;
    for (unsigned at = 1; more; at++) {
      struct test_directory d;
      prepare(&d);
      more = end_badly(&d, at, modes[i]);
      struct store *s = test_open(&d);
      by_roll += s->roll.is_good;
      by_rows += !s->roll.is_good;
      test_describe(s, &now);
      if (!rows.size) buf_add(&rows, now.data, now.size);
      assert_string_equal(buf_text(&now), buf_text(&rows));
      assert_non_null(strstr(buf_text(&now), ": z\n"));
      store_close(s);
      test_directory_done(&d);
    }
    assert_true(more || by_rows > 5);
  }
  assert_true(by_roll > 0);
  buf_done(&rows);
  buf_done(&now);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_says_what_rows_say),
      cmocka_unit_test(a_damaged_one_is_not_read),
      cmocka_unit_test(one_of_before_a_change_is_not_read),
      cmocka_unit_test(one_of_another_log_is_not_read),
      cmocka_unit_test(an_end_that_fails_loses_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
