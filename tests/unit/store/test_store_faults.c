/* Every call that changes a file is made to fail, or is the last one of the process: a batch is there as a whole or not at all. */
#include "support.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The state all tests begin with: zones 1, 2 and 3. */
static void prepare(struct test_directory *d) {
  test_no_faults();
  test_directory_make(d);
  struct store *s = test_open(d);
  test_create(s, "a.example.", 1, 2);
  test_create(s, "b.example.", 1, 2);
  test_create(s, "c.example.", 1, 2);
  test_delta(s, 1, 2, "x");
  store_close(s);
}

static struct zone_snap *small, *big; /* made once; the big one gets a segment of its own */

/* A batch with something of everything: change, full image, big image, new zone, state, source. */
static enum err run_batch(struct store *s, struct store_error *error) {
  struct store_batch *b;
  struct store_image image;
  struct name name = test_name("d.example.");
  uint64_t id = 0, version;
  enum err err = store_batch_begin(s, &b);
  if (err) return err;
  struct store_change delta = test_change(1, 3, "y"), full = test_change(2, 2, "");
  err = store_batch_delta(b, &delta);
  if (!err) err = store_batch_image(b, 2, 2, small, &full, &image);
  if (!err) err = store_batch_create(b, &name, &id, &version);
  struct store_change first = test_change(id, 1, "");
  if (!err) err = store_batch_image(b, id, 1, big, &first, &image);
  if (!err) err = store_batch_state(b, 3, STORE_ZONE_DELETED, 1000);
  if (!err) err = store_batch_source(b, 1, (const uint8_t *)"new", 3);
  return store_batch_commit(b, error); /* says what failed before, too */
}

static unsigned told, told_at; /* how often, and at which call */

static void tell(void *arg) {
  told++;
  told_at = faults.count;
}

/* Only changes: what updates do, and the commit that is looked up by its seq. */
static enum err run_deltas(struct store *s, struct store_error *error) {
  struct store_batch *b;
  enum err err = store_batch_begin(s, &b);
  if (err) return err;
  told = 0;
  store_batch_written(b, tell, NULL);
  struct store_change one = test_change(1, 3, "y"), two = test_change(1, 4, "z"), three = test_change(2, 2, "b");
  err = store_batch_delta(b, &one);
  if (!err) err = store_batch_delta(b, &two);
  if (!err) err = store_batch_delta(b, &three);
  return store_batch_commit(b, error);
}

static bool go_on(void *arg, uint64_t bytes) {
  return true;
}

/* An image that was written before the batch was begun, and the change that names it. */
static enum err run_aside(struct store *s, struct store_error *error) {
  static const struct store_watch watch = {NULL, go_on};
  struct store_aside *a;
  struct store_batch *b;
  struct store_image image;
  struct store_change full = test_change(2, 2, "");
  enum err err = store_aside_begin(s, 2, small, &a);
  if (err) return err;
  enum err written = store_aside_write(a, &watch);
  err = store_batch_begin(s, &b);
  if (!err) {
    assert_int_equal(store_batch_aside(b, 2, 2, a, &full, &image), written);
    err = store_batch_commit(b, error);
  }
  store_aside_end(a);
  return err;
}

typedef enum err batch(struct store *s, struct store_error *error);

struct texts {
  struct buf before, after, now;
};

/* What the store says before and after the batch when nothing fails, and how many calls it takes. */
static unsigned learn(batch *run, struct texts *t) {
  struct test_directory d;
  struct store_error error = {""};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  test_describe(s, &t->before);
  test_no_faults();
  assert_int_equal(run(s, &error), ERR_OK);
  unsigned calls = faults.count;
  test_describe(s, &t->after);
  assert_string_not_equal(buf_text(&t->before), buf_text(&t->after));
  store_close(s);
  test_directory_done(&d);
  return calls;
}

static void texts_done(struct texts *t) {
  buf_done(&t->before);
  buf_done(&t->after);
  buf_done(&t->now);
}

static void assert_says(struct store *s, struct texts *t, const struct buf *expected, unsigned at, const char *when) {
  test_describe(s, &t->now);
  if (strcmp(buf_text(&t->now), buf_text(expected)))
    fail_msg("call %u, %s: says\n%sinstead of\n%s", at, when, buf_text(&t->now), buf_text(expected));
}

/* Files in the segment directory that nothing names would fill the disk. */
static void assert_no_litter(struct store *s, unsigned at) {
  for (size_t i = 0; i < s->segments.count; i++)
    if (!s->segments.list[i].named) fail_msg("call %u: segment %d is nobody's", at, (int)s->segments.list[i].number);
}

/* What a power loss would show: nothing is renamed before it is synced, nothing is named in the log before its directory is synced,
 * and nothing is called durable before the log is synced. */
static void everything_is_synced_before_it_is_relied_on(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  test_no_faults();
  assert_int_equal(run_batch(s, &error), ERR_OK);
  const char *p = faults.trace, *directory = strrchr(p, 'd'), *log = strrchr(p, 'S');
  assert_non_null(directory);
  assert_non_null(log);
  unsigned synced = 0, renamed = 0;
  for (; *p; p++) {
    if (*p == 's') synced++;
    if (*p == 'r') assert_true(++renamed <= synced);
    if (*p == 'r') assert_true(p < directory);
  }
  assert_int_equal(renamed, 2);
  assert_true(strchr(faults.trace, 'W') > directory); /* the first frame of the transaction */
  assert_true(strrchr(faults.trace, 'W') < log);
  test_no_faults();
  test_delta(s, 2, 3, "one change, one sync");
  assert_int_equal(strspn(faults.trace, "W"), strlen(faults.trace) - 1);
  assert_int_equal(faults.trace[strlen(faults.trace) - 1], 'S');
  test_no_faults();
  store_close(s);
  test_directory_done(&d);
}

/* Between the last write to the log and its sync. */
static void it_is_told_before_the_sync(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  test_no_faults();
  assert_int_equal(run_deltas(s, &error), ERR_OK);
  assert_int_equal(told, 1);
  assert_int_equal(faults.trace[told_at - 1], 'W');
  assert_string_equal(faults.trace + told_at, "S");
  store_close(s);
  test_directory_done(&d);
}

static void end_here(void *arg) {
  _exit(0);
}

static enum err run_to_the_sync(struct store *s) {
  struct store_batch *b;
  struct store_error error = {""};
  struct store_change one = test_change(1, 3, "y");
  enum err err = store_batch_begin(s, &b);
  if (!err) err = store_batch_delta(b, &one);
  if (err) return err;
  store_batch_written(b, end_here, NULL);
  return store_batch_commit(b, &error);
}

/* What was told is there when the process ends right then. */
static void what_was_told_survives_the_process(void **state) {
  struct test_directory d;
  struct buf said = {0};
  prepare(&d);
  pid_t child = test_fork();
  int status;
  if (child == 0) _exit(run_to_the_sync(test_open_faulty(&d)) ? 1 : 2);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(WEXITSTATUS(status), 0);
  struct store *s = test_open_faulty(&d);
  test_describe(s, &said);
  assert_non_null(strstr(buf_text(&said), "version 3"));
  store_close(s);
  buf_done(&said);
  test_directory_done(&d);
}

/* One call fails. The caller hears of it and has the old state, in memory and on the disk; then the same batch works, `at_once` or
 * after a restart. Or the store recovered by itself, and all of it is there. */
static void fail_once_at(batch *run, unsigned at, int error_number, bool at_once, struct texts *t) {
  struct test_directory d;
  struct store_error error = {""};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  faults = (struct faults){.at = at, .mode = FAULT_ONCE, .error = error_number};
  enum err err = run(s, &error);
  test_no_faults();
  if (err) assert_string_not_equal(error.what, "");
  assert_says(s, t, err ? &t->before : &t->after, at, "in memory");
  if (err && at_once) {
    err = run(s, &error);
    if (err) fail_msg("call %u: the batch fails again: %s", at, error.what);
    assert_says(s, t, &t->after, at, "done again at once");
  }
  store_close(s);
  s = test_open_faulty(&d);
  assert_says(s, t, err ? &t->before : &t->after, at, "after a restart");
  assert_no_litter(s, at);
  if (err && run(s, &error)) fail_msg("call %u: the batch fails again: %s", at, error.what);
  assert_says(s, t, &t->after, at, "done again");
  store_close(s);
  test_directory_done(&d);
}

static void every_failing_call(batch *run) {
  struct texts t = {0};
  unsigned calls = learn(run, &t);
  assert_true(calls >= 3);
  for (unsigned at = 1; at <= calls; at++) {
    for (int i = 0; i < 4; i++)
      fail_once_at(run, at, i & 1 ? EIO : ENOSPC, i & 2, &t);
  }
  texts_done(&t);
}

static void one_failing_call_of_a_mixed_batch(void **state) {
  every_failing_call(run_batch);
}

static void one_failing_call_of_an_image_aside(void **state) {
  every_failing_call(run_aside);
}

static void one_failing_call_of_deltas(void **state) {
  every_failing_call(run_deltas);
}

/* The disk fails and stays so. Nothing is taken any more, what was there is read on, and after the repair and a restart the batch
 * is there as a whole or not at all. */
static void break_at(batch *run, unsigned at, int error_number, struct texts *t) {
  struct test_directory d;
  struct store_error error = {""};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  faults = (struct faults){.at = at, .mode = FAULT_FROM_THEN_ON, .error = error_number};
  assert_int_equal(run(s, &error), ERR_IO);
  assert_string_not_equal(error.what, "");
  assert_int_not_equal(run(s, &error), ERR_OK);
  if (!s->uncertain) assert_says(s, t, &t->before, at, "on a broken disk");
  store_close(s);
  test_no_faults();
  s = test_open_faulty(&d);
  test_describe(s, &t->now);
  bool old = !strcmp(buf_text(&t->now), buf_text(&t->before)), new = !strcmp(buf_text(&t->now), buf_text(&t->after));
  if (!old && !new) fail_msg("call %u: half of the batch is there:\n%s", at, buf_text(&t->now));
  if (old && run(s, &error)) fail_msg("call %u: %s", at, error.what);
  assert_says(s, t, &t->after, at, "after the repair");
  assert_no_litter(s, at);
  store_close(s);
  test_directory_done(&d);
}

static void every_broken_disk(batch *run) {
  struct texts t = {0};
  unsigned calls = learn(run, &t);
  for (unsigned at = 1; at <= calls; at++) {
    break_at(run, at, EIO, &t);
    break_at(run, at, ENOSPC, &t);
  }
  texts_done(&t);
}

static void a_disk_that_breaks_in_a_mixed_batch(void **state) {
  every_broken_disk(run_batch);
}

static void a_disk_that_breaks_in_an_image_aside(void **state) {
  every_broken_disk(run_aside);
}

static void a_disk_that_breaks_in_deltas(void **state) {
  every_broken_disk(run_deltas);
}

/* The process ends in the middle of a call; a write is torn. Opens the store, runs `run`, closes. Returns whether it came that far.
 */
static bool crash_at(const struct test_directory *d, batch *run, unsigned at) {
  pid_t child = test_fork();
  if (child == 0) {
    struct store *s = NULL;
    struct store_error error = {""};
    faults = (struct faults){.at = at, .mode = FAULT_CRASH};
    if (store_open_with(d->state, &faulty_env, &s, &error) || run(s, &error)) _exit(1);
    store_close(s);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == FAULT_CRASH_EXIT) return false;
  assert_int_equal(WEXITSTATUS(status), 0);
  return true;
}

static void every_crash(batch *run) {
  struct texts t = {0};
  unsigned at = 0, olds = 0, news = 0;
  learn(run, &t);
  for (bool through = false; !through;) {
    struct test_directory d;
    struct store_error error = {""};
    prepare(&d);
    through = crash_at(&d, run, ++at);
    struct store *s = test_open_faulty(&d);
    test_describe(s, &t.now);
    bool old = !strcmp(buf_text(&t.now), buf_text(&t.before)), new = !strcmp(buf_text(&t.now), buf_text(&t.after));
    if (!old && !new) fail_msg("call %u: half of the batch is there:\n%s", at, buf_text(&t.now));
    if (news && old) fail_msg("call %u: the batch was durable before, and is not now", at);
    olds += old;
    news += new;
    assert_no_litter(s, at);
    if (old && run(s, &error)) fail_msg("call %u: %s", at, error.what);
    assert_says(s, &t, &t.after, at, "in the end");
    store_close(s);
    test_directory_done(&d);
  }
  assert_true(olds > 2 && news > 2);
  texts_done(&t);
}

static void a_crash_in_a_mixed_batch(void **state) {
  every_crash(run_batch);
}

static void a_crash_in_an_image_aside(void **state) {
  every_crash(run_aside);
}

static void a_crash_in_deltas(void **state) {
  every_crash(run_deltas);
}

/* The very first start, ended at every call. */
static enum err run_nothing(struct store *s, struct store_error *error) {
  return ERR_OK;
}

static void a_crash_while_a_store_is_made(void **state) {
  unsigned at = 0;
  test_no_faults();
  for (bool through = false; !through;) {
    struct test_directory d;
    test_directory_make(&d);
    through = crash_at(&d, run_nothing, ++at);
    struct store *s = test_open(&d);
    assert_int_equal(test_create(s, "a.example.", 1, 2), 1);
    store_close(s);
    test_directory_done(&d);
  }
  assert_true(at > 5);
}

/* Housekeeping changes nothing that is said, wherever it ends. */
static enum err run_sweep(struct store *s, struct store_error *error) {
  return store_sweep(s, 0, error);
}

static void a_crash_in_a_sweep(void **state) {
  unsigned at = 0;
  struct texts t = {0};
  for (bool through = false; !through;) {
    struct test_directory d;
    struct store_error error = {""};
    prepare(&d);
    struct store *s = test_open(&d);
    for (unsigned i = 0; i < 70; i++) {
      char name[32];
      snprintf(name, sizeof name, "z%u.example.", i);
      test_create(s, name, 1, 2);
    }
    for (uint64_t version = 3; version < 20; version++) {
      struct store_batch *b;
      struct store_image image;
      struct zone_snap *snap = test_zone("a.example.", 2, 2);
      struct store_change c = test_change(1, version, "");
      assert_int_equal(store_batch_begin(s, &b), ERR_OK);
      assert_int_equal(store_batch_image(b, 1, version, snap, &c, &image), ERR_OK);
      assert_int_equal(store_batch_commit(b, &error), ERR_OK);
      zone_snap_unref(snap);
    }
    test_describe(s, &t.before);
    store_close(s);
    through = crash_at(&d, run_sweep, at += 3);
    s = test_open(&d);
    assert_says(s, &t, &t.before, at, "after a sweep that ended in the middle");
    assert_int_equal(store_sweep(s, 0, &error), ERR_OK);
    assert_says(s, &t, &t.before, at, "after a second sweep");
    store_close(s);
    test_directory_done(&d);
  }
  texts_done(&t);
}

static enum err ignore_change(void *arg, const struct store_change *c) {
  return ERR_OK;
}

/* SQLite ends the transaction when a page can't be read, though nobody was writing: nothing of the batch may be there, and nothing
 * that comes after may be committed alone. */
static void a_read_that_fails_ends_the_batch(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  struct texts t = {0};
  struct store_batch *b;
  char body[20000];
  memset(body, 'x', sizeof body);
  body[sizeof body - 1] = 0;
  prepare(&d);
  struct store *s = test_open(&d);
  test_delta(s, 1, 3, body);
  test_delta(s, 1, 4, "y");
  store_close(s);
  s = test_open_faulty(&d); /* has read little of it */
  struct store_change one = test_change(2, 2, "one"), two = test_change(3, 2, "two");
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &one), ERR_OK);
  faults = (struct faults){.unreadable = true};
  assert_int_equal(store_each_change(s, 1, store_head(s, 1), 2, ignore_change, NULL, &error), ERR_IO);
  test_no_faults();
  assert_int_equal(store_batch_delta(b, &two), ERR_IO);
  assert_int_equal(store_batch_commit(b, &error), ERR_IO);
  assert_non_null(strstr(error.what, "taken back"));
  assert_int_equal(faults.count, 0);
  test_describe(s, &t.before);
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &one), ERR_OK);
  assert_int_equal(store_batch_delta(b, &two), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  test_describe(s, &t.after);
  store_close(s);
  s = test_open(&d);
  assert_says(s, &t, &t.after, 0, "after a restart");
  assert_null(strstr(buf_text(&t.before), ": one"));
  store_close(s);
  texts_done(&t);
  test_directory_done(&d);
}

/* Timers: a failed flush keeps the old file, and the next one writes the new. */
static void a_failing_flush_of_timers(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  struct store_timer old = {1, 100, 10, 0}, new = {1, 200, 20, 0}, got;
  prepare(&d);
  for (unsigned at = 1; at <= 5; at++) {
    struct store *s = test_open_faulty(&d);
    assert_int_equal(store_timer_put(s, &old), ERR_OK);
    assert_int_equal(store_timers_flush(s, &error), ERR_OK);
    assert_int_equal(store_timer_put(s, &new), ERR_OK);
    faults = (struct faults){.at = at, .mode = FAULT_ONCE, .error = ENOSPC};
    assert_int_equal(store_timers_flush(s, &error), ERR_IO);
    test_no_faults();
    assert_int_equal(store_timers_flush(s, &error), ERR_OK);
    store_close(s);
    s = test_open(&d);
    assert_int_equal(store_timer_get(s, 1, &got), ERR_OK);
    assert_int_equal(got.good_at_s, 200);
    store_close(s);
  }
  test_directory_done(&d);
}

/* What a full disk is called, and that all is well once there is room. */
static void a_full_disk_is_told_in_words(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  struct texts t = {0};
  prepare(&d);
  struct store *s = test_open_faulty(&d);
  test_describe(s, &t.before);
  faults = (struct faults){.at = 1, .mode = FAULT_FROM_THEN_ON, .error = ENOSPC};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(run_deltas(s, &error), ERR_IO);
    assert_non_null(strstr(error.what, "no space left"));
    assert_says(s, &t, &t.before, 0, "on a full disk");
  }
  test_no_faults();
  if (run_deltas(s, &error)) fail_msg("%s", error.what);
  store_close(s);
  texts_done(&t);
  test_directory_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_is_synced_before_it_is_relied_on),
      cmocka_unit_test(it_is_told_before_the_sync),
      cmocka_unit_test(what_was_told_survives_the_process),
      cmocka_unit_test(one_failing_call_of_a_mixed_batch),
      cmocka_unit_test(one_failing_call_of_an_image_aside),
      cmocka_unit_test(one_failing_call_of_deltas),
      cmocka_unit_test(a_disk_that_breaks_in_a_mixed_batch),
      cmocka_unit_test(a_disk_that_breaks_in_an_image_aside),
      cmocka_unit_test(a_disk_that_breaks_in_deltas),
      cmocka_unit_test(a_crash_in_a_mixed_batch),
      cmocka_unit_test(a_crash_in_an_image_aside),
      cmocka_unit_test(a_crash_in_deltas),
      cmocka_unit_test(a_crash_while_a_store_is_made),
      cmocka_unit_test(a_crash_in_a_sweep),
      cmocka_unit_test(a_read_that_fails_ends_the_batch),
      cmocka_unit_test(a_failing_flush_of_timers),
      cmocka_unit_test(a_full_disk_is_told_in_words),
  };
  small = test_zone("b.example.", 2, 4);
  big = test_zone("d.example.", 7, 30000);
  assert(zone_memory_bytes(big) > 1 << 20);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  zone_snap_unref(small);
  zone_snap_unref(big);
  return failed;
}
