/* Batches, the chain of changes, and that a store says after a restart what it said before. */
#include "support.h"
#include "zone/delta.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
  struct test_directory d;
  struct store *s;
};

static void set_up(struct fixture *f) {
  test_directory_make(&f->d);
  f->s = test_open(&f->d);
}

static void tear_down(struct fixture *f) {
  store_close(f->s);
  test_directory_done(&f->d);
}

static void restart(struct fixture *f) {
  store_close(f->s);
  f->s = test_open(&f->d);
}

static void assert_same_after_restart(struct fixture *f) {
  struct buf before = {0}, after = {0};
  test_describe(f->s, &before);
  restart(f);
  test_describe(f->s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  buf_done(&before);
  buf_done(&after);
}

static void crash_and_open(struct fixture *f) { /* as if killed: nothing is written on the way out */
  db_rollback(&f->s->db);
  f->s->uncertain = true;
  f->s->timers_dirty = false;
  restart(f);
}

static void a_batch_is_there_after_a_restart(void **state) {
  struct fixture f;
  struct store_batch *b;
  struct store_image image;
  struct store_error error = {""};
  struct name one = test_name("One.Example."), two = test_name("two.example.");
  uint64_t id1, id2, version;
  set_up(&f);
  struct zone_snap *snap = test_zone("one.example.", 7, 3);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_create(b, &one, &id1, &version), ERR_OK);
  assert_int_equal(version, 0);
  assert_int_equal(store_batch_create(b, &two, &id2, &version), ERR_OK);
  struct store_change c = test_change(id1, 1, "");
  assert_int_equal(store_batch_image(b, id1, 1, snap, &c, &image), ERR_OK);
  struct store_change more = test_change(id1, 2, "more"), first = test_change(id2, 1, "first");
  more.author = NULL;
  more.comment = "as asked in ticket 12";
  assert_int_equal(store_batch_delta(b, &more), ERR_OK);
  assert_int_equal(store_batch_delta(b, &first), ERR_OK);
  assert_int_equal(store_batch_source(b, id1, (const uint8_t *)"digest", 6), ERR_OK);
  assert_int_equal(store_head(f.s, id1), 0);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  assert_int_equal(store_head(f.s, id1), 2);
  assert_int_equal(store_head(f.s, id2), 3);
  zone_snap_unref(snap);
  struct buf said = {0};
  test_describe(f.s, &said);
  assert_string_equal(
      buf_text(&said),
      "zone 1 one.example. state 0 at 0 version 2 serial 2 source digest\n"
      "  image version 1: ok serial 7 records 6\n"
      "zone 2 two.example. state 0 at 0 version 1 serial 1 source \n"
      "zone 1\n"
      "  change 1 prev 0 version 1 kind 1 serials 0 0 1 at 1700000001 door 3 by 'key.example.' for '': \n"
      "  change 2 prev 1 version 2 kind 2 serials 1 1 2 at 1700000002 door 3 by '' for 'as asked in ticket 12': more\n"
      "zone 2\n"
      "  change 3 prev 0 version 1 kind 2 serials 0 0 1 at 1700000001 door 3 by 'key.example.' for '': first\n");
  buf_done(&said);
  assert_same_after_restart(&f);
  assert_same_after_restart(&f);
  tear_down(&f);
}

static void an_aborted_batch_leaves_no_trace(void **state) {
  struct fixture f;
  struct store_batch *b;
  struct store_image image;
  struct name name = test_name("new.example.");
  struct buf before = {0}, after = {0};
  uint64_t id, again, version;
  set_up(&f);
  uint64_t zone = test_create(f.s, "old.example.", 1, 2);
  test_describe(f.s, &before);
  struct zone_snap *snap = test_zone("new.example.", 7, 3);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_create(b, &name, &id, &version), ERR_OK);
  struct store_change c = test_change(id, 1, ""), delta = test_change(zone, 2, "delta");
  assert_int_equal(store_batch_image(b, id, 1, snap, &c, &image), ERR_OK);
  assert_int_equal(store_batch_delta(b, &delta), ERR_OK);
  assert_int_equal(store_batch_state(b, zone, STORE_ZONE_DELETED, 5), ERR_OK);
  store_batch_abort(b);
  test_describe(f.s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  assert_int_equal(store_head(f.s, id), 0);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_create(b, &name, &again, &version), ERR_OK);
  assert_int_equal(again, id);
  store_batch_abort(b);
  store_batch_abort(NULL);
  restart(&f);
  test_describe(f.s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  zone_snap_unref(snap);
  buf_done(&before);
  buf_done(&after);
  tear_down(&f);
}

static void mistakes_of_the_caller_are_refused(void **state) {
  struct fixture f;
  struct store_batch *b, *second;
  struct store_image image;
  struct store_error error = {""};
  struct name name = test_name("a.example.");
  uint64_t id, version;
  set_up(&f);
  uint64_t zone = test_create(f.s, "A.example.", 1, 2);
  struct zone_snap *snap = test_zone("a.example.", 2, 2);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_begin(f.s, &second), ERR_AGAIN);
  assert_int_equal(store_batch_create(b, &name, &id, &version), ERR_EXISTS);
  struct store_change skips = test_change(zone, 3, "x"), repeats = test_change(zone, 1, "x"), nobody = test_change(99, 1, "x");
  assert_int_equal(store_batch_delta(b, &skips), ERR_RANGE);
  assert_int_equal(store_batch_delta(b, &repeats), ERR_RANGE);
  assert_int_equal(store_batch_delta(b, &nobody), ERR_NOT_FOUND);
  assert_int_equal(store_batch_image(b, zone, 3, snap, &skips, &image), ERR_RANGE);
  assert_int_equal(store_batch_image(b, zone, 2, snap, NULL, &image), ERR_RANGE);
  assert_int_equal(store_batch_source(b, 99, NULL, 0), ERR_NOT_FOUND);
  assert_int_equal(store_batch_state(b, 99, STORE_ZONE_LIVE, 0), ERR_NOT_FOUND);
  struct store_change huge = test_change(zone, 2, "x");
  huge.body = calloc(1, LIMIT_CHANGE_BYTES + 1);
  huge.body_size = LIMIT_CHANGE_BYTES + 1;
  assert_int_equal(store_batch_delta(b, &huge), ERR_LIMIT);
  huge.body_size--;
  assert_int_equal(store_batch_delta(b, &huge), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  assert_int_equal(store_head(f.s, zone), 2);
  free((void *)(uintptr_t)huge.body);
  zone_snap_unref(snap);
  tear_down(&f);
}

static void an_image_alone_is_no_change(void **state) {
  struct fixture f;
  struct store_batch *b;
  struct store_image image, found;
  struct store_error error = {""};
  set_up(&f);
  uint64_t zone = test_create(f.s, "a.example.", 1, 2);
  test_delta(f.s, zone, 2, "x");
  test_delta(f.s, zone, 3, "y");
  struct zone_snap *snap = test_zone("a.example.", 3, 5);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, zone, 3, snap, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  zone_snap_unref(snap);
  assert_int_equal(store_head(f.s, zone), 3);
  store_image_of(f.s, zone, &found);
  assert_memory_equal(&found, &image, sizeof image);
  assert_same_after_restart(&f);
  store_image_of(f.s, zone, &found);
  assert_memory_equal(&found, &image, sizeof image);
  tear_down(&f);
}

static bool never(void *arg, uint64_t bytes) {
  return false;
}

static bool always(void *arg, uint64_t bytes) {
  return true;
}

/* While it is written the zone gets on, and the store is swept; the row is of the version that was written. */
static void an_image_is_written_aside(void **state) {
  struct fixture f;
  struct store_aside *a;
  struct store_batch *b;
  struct store_image image, found;
  struct store_error error = {""};
  const struct store_watch watch = {NULL, always};
  set_up(&f);
  uint64_t zone = test_create(f.s, "a.example.", 1, 2);
  test_delta(f.s, zone, 2, "x");
  struct zone_snap *snap = test_zone("a.example.", 2, 5);
  assert_int_equal(store_aside_begin(f.s, zone, snap, &a), ERR_OK);
  unsigned commits = store_aside_commits(a);
  test_delta(f.s, zone, 3, "y");
  assert_int_not_equal(store_aside_commits(a), commits);
  assert_int_equal(store_aside_write(a, &watch), ERR_OK);
  test_create(f.s, "b.example.", 1, 2); /* a segment with a number over that of the one aside */
  assert_int_equal(store_sweep(f.s, 0, &error), ERR_OK);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_aside(b, zone, 4, a, NULL, &image), ERR_RANGE);
  assert_int_equal(store_batch_aside(b, zone, 2, a, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  store_aside_end(a);
  zone_snap_unref(snap);
  assert_int_equal(store_head(f.s, zone), 3);
  assert_same_after_restart(&f);
  store_image_of(f.s, zone, &found);
  assert_memory_equal(&found, &image, sizeof image);
  assert_int_equal(found.version, 2);
  assert_int_equal(store_open_image(f.s, &found, &snap, &error), ERR_OK);
  assert_int_equal(zone_serial(snap), 2);
  zone_snap_unref(snap);
  tear_down(&f);
}

static size_t files(const struct fixture *f) {
  char path[TEST_PATH_BYTES];
  size_t n = 0;
  snprintf(path, sizeof path, "%.200s/segments", f->d.state);
  DIR *d = opendir(path);
  assert_non_null(d);
  while (readdir(d))
    n++;
  closedir(d);
  return n;
}

/* Given up in the middle, or not taken by any batch, or left behind by a process that ended: nothing of it stays. */
static void an_image_aside_that_nobody_takes_goes(void **state) {
  struct fixture f;
  struct store_aside *a;
  struct store_batch *b;
  struct store_image image;
  struct store_error error = {""};
  const struct store_watch stop = {NULL, never}, on = {NULL, always};
  set_up(&f);
  uint64_t zone = test_create(f.s, "a.example.", 1, 2);
  size_t before = files(&f);
  struct zone_snap *snap = test_zone("a.example.", 1, 5);
  assert_int_equal(store_aside_begin(f.s, zone, snap, &a), ERR_OK);
  assert_int_equal(store_aside_write(a, &stop), ERR_CLOSED);
  assert_int_equal(files(&f), before);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_aside(b, zone, 1, a, NULL, &image), ERR_CLOSED);
  assert_int_equal(store_batch_commit(b, &error), ERR_CLOSED);
  assert_string_not_equal(error.what, "");
  store_aside_end(a);
  assert_int_equal(store_aside_begin(f.s, zone, snap, &a), ERR_OK);
  assert_int_equal(store_aside_write(a, &on), ERR_OK);
  assert_int_equal(files(&f), before + 1);
  store_aside_end(a);
  assert_int_equal(files(&f), before);
  assert_int_equal(store_aside_begin(f.s, zone, snap, &a), ERR_OK);
  assert_int_equal(store_aside_write(a, &on), ERR_OK);
  a->image.segment = 0; /* as if killed: nobody removes it */
  store_aside_end(a);
  zone_snap_unref(snap);
  assert_int_equal(files(&f), before + 1);
  crash_and_open(&f);
  assert_int_equal(files(&f), before);
  tear_down(&f);
}

struct seen {
  uint64_t versions[16];
  size_t count, stop_after;
};

static enum err see(void *arg, const struct store_change *c) {
  struct seen *seen = arg;
  seen->versions[seen->count++] = c->version;
  return seen->count == seen->stop_after ? ERR_REFUSED : ERR_OK;
}

static void replay_follows_the_chain(void **state) {
  struct fixture f;
  struct store_error error = {""};
  set_up(&f);
  uint64_t a = test_create(f.s, "a.example.", 1, 2), b = test_create(f.s, "b.example.", 1, 2);
  for (uint64_t v = 2; v <= 9; v++) {
    test_delta(f.s, a, v, "a");
    if (v % 3 == 0) test_delta(f.s, b, 1 + v / 3, "b");
  }
  for (int i = 0; i < 2; i++) {
    struct seen seen = {0};
    assert_int_equal(store_each_change(f.s, a, store_head(f.s, a), 6, see, &seen, &error), ERR_OK);
    assert_int_equal(seen.count, 3);
    for (size_t k = 0; k < 3; k++)
      assert_int_equal(seen.versions[k], 7 + k);
    seen = (struct seen){0};
    assert_int_equal(store_each_change(f.s, b, store_head(f.s, b), 1, see, &seen, &error), ERR_OK);
    assert_int_equal(seen.count, 3);
    seen = (struct seen){0};
    assert_int_equal(store_each_change(f.s, a, store_head(f.s, a), 9, see, &seen, &error), ERR_OK);
    assert_int_equal(seen.count, 0);
    seen = (struct seen){.stop_after = 2};
    assert_int_equal(store_each_change(f.s, a, store_head(f.s, a), 0, see, &seen, &error), ERR_REFUSED);
    assert_int_equal(seen.count, 2);
    crash_and_open(&f);
  }
  tear_down(&f);
}

static void heads_survive_a_crash(void **state) {
  struct fixture f;
  struct buf before = {0}, after = {0};
  set_up(&f);
  uint64_t a = test_create(f.s, "a.example.", 1, 2), b = test_create(f.s, "b.example.", 1, 2);
  test_delta(f.s, a, 2, "x");
  struct store_error error = {""};
  assert_int_equal(sweep_heads(f.s, &error), ERR_OK);
  assert_int_equal(f.s->sweep.mark, 3);
  test_delta(f.s, a, 3, "y");
  test_delta(f.s, b, 2, "z");
  test_describe(f.s, &before);
  crash_and_open(&f);
  assert_int_equal(f.s->sweep.mark, 3);
  test_describe(f.s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  test_delta(f.s, b, 3, "chained to what was read");
  test_describe(f.s, &before);
  restart(&f);
  assert_int_equal(f.s->sweep.mark, 6);
  test_describe(f.s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  buf_done(&before);
  buf_done(&after);
  tear_down(&f);
}

enum { SWEPT_ZONES = 100 };

struct swept {
  struct fixture f;
  uint64_t zones[SWEPT_ZONES], versions[SWEPT_ZONES];
  unsigned random;
};

static void random_deltas(struct swept *w, unsigned count) {
  struct store_batch *b;
  struct store_error error = {""};
  assert_int_equal(store_batch_begin(w->f.s, &b), ERR_OK);
  while (count--) {
    w->random = w->random * 1103515245 + 12345;
    size_t i = (w->random >> 16) % SWEPT_ZONES;
    struct store_change c = test_change(w->zones[i], ++w->versions[i], "x");
    assert_int_equal(store_batch_delta(b, &c), ERR_OK);
  }
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
}

static void sweep_one_row(struct swept *w, bool commit) {
  struct store_error error = {""};
  assert_int_equal(store_transaction_begin(w->f.s, &error), ERR_OK);
  assert_int_equal(zones_sweep_step(w->f.s, 1, &error), ERR_OK);
  if (commit) assert_int_equal(store_transaction_end(w->f.s, 0, &error), ERR_OK);
  else db_rollback(&w->f.s->db);
  zones_swept(w->f.s, commit);
}

/* Rounds of many steps among commits, some of them rolled back, with crashes at any time: no head is lost. */
static void a_sweep_in_steps_is_right_at_every_step(void **state) {
  struct swept w = {.random = 1};
  uint64_t marks = 0;
  set_up(&w.f);
  for (size_t i = 0; i < SWEPT_ZONES; i++) {
    char name[32];
    snprintf(name, sizeof name, "z%zu.example.", i);
    w.zones[i] = test_create(w.f.s, name, 1, 2);
    w.versions[i] = 1;
  }
  for (int step = 0; step < 400; step++) {
    uint64_t mark = w.f.s->sweep.mark;
    bool resting = w.f.s->sweep.target == 0;
    random_deltas(&w, resting ? 80 : 1);
    sweep_one_row(&w, step % 5 != 0);
    marks += w.f.s->sweep.mark != mark;
    if ((w.random >> 20) % 16 == 0 || (w.f.s->sweep.mark != mark && step % 2)) crash_and_open(&w.f);
    for (size_t k = 0; k < SWEPT_ZONES; k++)
      assert_int_equal(zones_find(w.f.s, w.zones[k])->version, w.versions[k]);
  }
  assert_true(marks > 10);
  assert_same_after_restart(&w.f);
  tear_down(&w.f);
}

static void run_sql(struct fixture *f, const char *sql) {
  sqlite3 *db;
  char path[TEST_PATH_BYTES];
  test_path(&f->d, "log.db", path);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

/* Every column of a row is covered by its sum; other zones do not notice. */
static void a_damaged_change_is_named(void **state) {
  static const char *const damage[] = {
      "UPDATE changeset SET body = x'00' WHERE seq = 3",
      "UPDATE changeset SET author = 'somebody' WHERE seq = 3",
      "UPDATE changeset SET comment = 'x' WHERE seq = 3",
      "UPDATE changeset SET author = author || 'x', comment = substr(comment, 2) WHERE seq = 3",
      "UPDATE changeset SET at = at + 1 WHERE seq = 3",
      "UPDATE changeset SET door = 1 WHERE seq = 3",
      "UPDATE changeset SET view = 1 WHERE seq = 3",
      "UPDATE changeset SET notes = x'00' WHERE seq = 3",
      "UPDATE changeset SET serial_from = NULL WHERE seq = 3",
      "UPDATE changeset SET serial_to = 9 WHERE seq = 3",
      "UPDATE changeset SET kind = 1 WHERE seq = 3",
      "UPDATE changeset SET gen = 9 WHERE seq = 3",
      "UPDATE changeset SET zone = 2 WHERE seq = 3",
      "UPDATE changeset SET prev = 0 WHERE seq = 3",
      "UPDATE changeset SET sum = x'00' WHERE seq = 3",
      "DELETE FROM changeset WHERE seq = 3",
  };
  for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
    struct fixture f;
    struct store_error error = {""};
    struct seen seen = {0};
    set_up(&f);
    uint64_t a = test_create(f.s, "a.example.", 1, 2), b = test_create(f.s, "b.example.", 1, 2);
    test_delta(f.s, a, 2, "x");
    test_delta(f.s, a, 3, "y");
    store_close(f.s);
    run_sql(&f, damage[i]);
    f.s = test_open(&f.d);
    enum err err = store_each_change(f.s, a, store_head(f.s, a), 0, see, &seen, &error);
    if (err != ERR_CORRUPT || !strstr(error.what, "change 3")) fail_msg("%s: %s, %s", damage[i], err_text(err), error.what);
    assert_int_equal(store_each_change(f.s, b, store_head(f.s, b), 0, see, &seen, &error), ERR_OK);
    tear_down(&f);
  }
}

static void set_state(struct fixture *f, uint64_t zone, enum store_zone_state state, int64_t at_s, enum err expected) {
  struct store_batch *b;
  struct store_error error = {""};
  assert_int_equal(store_batch_begin(f->s, &b), ERR_OK);
  assert_int_equal(store_batch_state(b, zone, state, at_s), expected);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
}

static void versions_go_on_over_delete_and_create(void **state) {
  struct fixture f;
  struct store_error error = {""};
  set_up(&f);
  uint64_t old = test_create(f.s, "a.example.", 1, 2);
  test_delta(f.s, old, 2, "x");
  test_delta(f.s, old, 3, "y");
  set_state(&f, old, STORE_ZONE_DELETED, 1000, ERR_OK);
  uint64_t new = test_create(f.s, "a.example.", 1, 2);
  assert_true(new > old);
  assert_int_equal(zones_find(f.s, new)->version, 4);
  assert_int_equal(zones_find(f.s, old)->state, STORE_ZONE_DELETED);
  set_state(&f, old, STORE_ZONE_LIVE, 0, ERR_EXISTS);
  assert_same_after_restart(&f);
  set_state(&f, new, STORE_ZONE_DELETED, 2000, ERR_OK);
  set_state(&f, old, STORE_ZONE_LIVE, 0, ERR_OK);
  set_state(&f, old, STORE_ZONE_DELETED, 1000, ERR_OK);

  /* forgotten, the older one first: the newer one still knows */
  assert_int_equal(store_sweep(f.s, 1500, &error), ERR_OK);
  assert_null(zones_find(f.s, old));
  assert_int_equal(test_rows(f.s, "zone"), 1);
  assert_int_equal(test_rows(f.s, "snapshot"), 1);
  assert_non_null(zones_find(f.s, new));
  assert_same_after_restart(&f);
  assert_int_equal(store_sweep(f.s, 2001, &error), ERR_OK);
  assert_int_equal(f.s->zones.count, 0);
  assert_int_equal(test_rows(f.s, "zone"), 1); /* name and version only */
  assert_int_equal(test_rows(f.s, "snapshot"), 0);
  restart(&f);
  assert_int_equal(f.s->zones.count, 0);
  uint64_t again = test_create(f.s, "a.example.", 1, 2);
  assert_true(again > new);
  assert_int_equal(zones_find(f.s, again)->version, 5);
  uint64_t other = test_create(f.s, "other.example.", 1, 2);
  assert_int_equal(zones_find(f.s, other)->version, 1);
  assert_same_after_restart(&f);
  tear_down(&f);
}

static bool note_source(void *arg, const struct store_zone *z) {
  buf_printf(arg, "%llu state %d source %.*s, ", (unsigned long long)z->id, (int)z->state, (int)z->source_size,
             z->source ? (const char *)z->source : "");
  return true;
}

/* Zones that a batch makes get their rows late; what is asked and said of them before is as if they had them. */
static void names_within_a_batch(void **state) {
  struct fixture f;
  struct store_batch *b;
  struct store_error error;
  uint64_t first, second, other, version;
  struct name a = test_name("a.example."), upper = test_name("A.Example."), c = test_name("c.example.");
  set_up(&f);
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_create(b, &a, &first, &version), ERR_OK);
  assert_int_equal(store_batch_create(b, &upper, &second, &version), ERR_EXISTS);
  assert_int_equal(store_batch_source(b, first, (const uint8_t *)"one", 3), ERR_OK);
  assert_int_equal(store_batch_state(b, first, STORE_ZONE_DELETED, 7), ERR_OK);
  assert_int_equal(store_batch_create(b, &a, &second, &version), ERR_OK);
  assert_int_equal(store_batch_state(b, first, STORE_ZONE_LIVE, 0), ERR_EXISTS);
  assert_int_equal(store_batch_create(b, &c, &other, &version), ERR_OK);
  assert_int_equal(store_batch_source(b, other, (const uint8_t *)"two", 3), ERR_OK);
  assert_int_equal(store_batch_source(b, other, (const uint8_t *)"three", 5), ERR_OK);
  assert_int_equal(store_batch_create(b, &a, &version, &version), ERR_EXISTS);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  for (int again = 0; again < 2; again++) {
    struct buf list = {0};
    assert_int_equal(test_rows(f.s, "zone"), 3);
    assert_int_equal(store_each_zone(f.s, note_source, &list, NULL), ERR_OK);
    assert_string_equal(buf_text(&list), "1 state 1 source one, 2 state 0 source , 3 state 0 source three, ");
    buf_done(&list);
    crash_and_open(&f);
  }
  tear_down(&f);
}

static bool note_deleted(void *arg, const struct store_zone *z) {
  struct buf *out = arg;
  assert_int_equal(z->state, STORE_ZONE_DELETED);
  buf_printf(out, "%llu at %lld ", (unsigned long long)z->id, (long long)z->deleted_at_s);
  return true;
}

static void expect_deleted(struct store *s, const char *expected) {
  struct buf list = {0};
  assert_int_equal(store_deleted_zones(s, note_deleted, &list, NULL), ERR_OK);
  assert_string_equal(buf_text(&list), expected);
  buf_done(&list);
}

static void deleted_zones_are_listed(void **state) {
  struct fixture f;
  set_up(&f);
  uint64_t a = test_create(f.s, "a.example.", 1, 2), b = test_create(f.s, "b.example.", 1, 2);
  expect_deleted(f.s, "");
  set_state(&f, a, STORE_ZONE_DELETED, 1000, ERR_OK);
  set_state(&f, b, STORE_ZONE_DELETED, 2000, ERR_OK);
  expect_deleted(f.s, "1 at 1000 2 at 2000 ");
  set_state(&f, a, STORE_ZONE_LIVE, 0, ERR_OK);
  expect_deleted(f.s, "2 at 2000 ");
  crash_and_open(&f);
  expect_deleted(f.s, "2 at 2000 ");
  assert_int_equal(store_sweep(f.s, 2001, NULL), ERR_OK);
  expect_deleted(f.s, "");
  assert_int_equal(f.s->zones.deleted, 0);
  tear_down(&f);
}

static bool begin_inside(void *arg, const struct store_zone *z) {
  struct store *s = arg;
  struct store_batch *b;
  assert_int_equal(store_batch_begin(s, &b), ERR_AGAIN);
  return false;
}

static void no_batch_while_zones_are_read(void **state) {
  struct fixture f;
  struct store_error error = {""};
  set_up(&f);
  test_create(f.s, "a.example.", 1, 2);
  assert_int_equal(store_each_zone(f.s, begin_inside, f.s, &error), ERR_REFUSED);
  test_create(f.s, "b.example.", 1, 2);
  tear_down(&f);
}

static enum err take_body(void *arg, const struct store_change *c) {
  buf_add(arg, c->body, c->body_size);
  return ERR_OK;
}

/* The log keeps a delta packed, and gives it back octet for octet. */
static void bodies_are_packed_in_the_log(void **state) {
  struct fixture f;
  struct buf body = {0}, got = {0};
  struct store_batch *b;
  struct store_error error = {""};
  struct delta_size size;
  sqlite3_stmt *st;
  set_up(&f);
  test_create(f.s, "a.example.", 1, 2);
  struct zone_snap *from = test_zone("a.example.", 1, 2), *to = test_zone("a.example.", 2, 9);
  assert_int_equal(zone_delta_make(from, to, 100000, &body, &size), ERR_OK);
  struct store_change c = test_change(1, 2, "");
  c.body = body.data;
  c.body_size = body.size;
  assert_int_equal(store_batch_begin(f.s, &b), ERR_OK);
  assert_int_equal(store_batch_delta(b, &c), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  for (int i = 0; i < 2; i++) {
    buf_clear(&got);
    assert_int_equal(store_each_change(f.s, 1, store_head(f.s, 1), 1, take_body, &got, &error), ERR_OK);
    assert_int_equal(got.size, body.size);
    assert_memory_equal(got.data, body.data, body.size);
    restart(&f);
  }
  const char *sql = "SELECT length(body) FROM changeset WHERE gen = 2";
  assert_int_equal(sqlite3_prepare_v2(f.s->db.connection, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  assert_in_range(sqlite3_column_int64(st, 0), 1, body.size * 3 / 4);
  sqlite3_finalize(st);
  zone_snap_unref(from);
  zone_snap_unref(to);
  buf_done(&body);
  buf_done(&got);
  tear_down(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_batch_is_there_after_a_restart),
      cmocka_unit_test(bodies_are_packed_in_the_log),
      cmocka_unit_test(an_aborted_batch_leaves_no_trace),
      cmocka_unit_test(mistakes_of_the_caller_are_refused),
      cmocka_unit_test(an_image_alone_is_no_change),
      cmocka_unit_test(an_image_is_written_aside),
      cmocka_unit_test(an_image_aside_that_nobody_takes_goes),
      cmocka_unit_test(replay_follows_the_chain),
      cmocka_unit_test(heads_survive_a_crash),
      cmocka_unit_test(a_sweep_in_steps_is_right_at_every_step),
      cmocka_unit_test(a_damaged_change_is_named),
      cmocka_unit_test(versions_go_on_over_delete_and_create),
      cmocka_unit_test(no_batch_while_zones_are_read),
      cmocka_unit_test(deleted_zones_are_listed),
      cmocka_unit_test(names_within_a_batch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
