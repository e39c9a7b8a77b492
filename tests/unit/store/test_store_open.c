/* Opening: what is made, who is kept out, what a newer version wrote, what a crash left. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned mode_of(const struct test_directory *d, const char *name) {
  char path[TEST_PATH_BYTES];
  struct stat st;
  test_path(d, name, path);
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 0777;
}

static void only_the_owner_reads_it(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  mode_t mask = umask(0);
  struct store *s = test_open(&d);
  test_create(s, "example.", 1, 2);
  assert_int_equal(mode_of(&d, "."), 0700);
  assert_int_equal(mode_of(&d, "segments"), 0700);
  assert_int_equal(mode_of(&d, "log.db"), 0600);
  assert_int_equal(mode_of(&d, "log.db-wal"), 0600);
  assert_int_equal(mode_of(&d, "segments/1.seg"), 0600);
  assert_int_equal(mode_of(&d, "lock"), 0600);
  umask(mask);
  store_close(s);
  test_directory_done(&d);
}

static void an_empty_store_says_so(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct buf b = {0};
  struct store_usage u;
  for (int i = 0; i < 2; i++) {
    struct store *s = test_open(&d);
    test_describe(s, &b);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(store_usage(s, &u), ERR_OK);
    assert_int_equal(u.changesets, 0);
    assert_int_equal(u.segments, 0);
    store_close(s);
  }
  buf_done(&b);
  test_directory_done(&d);
}

static bool exists(const struct test_directory *d, const char *name) {
  char path[TEST_PATH_BYTES];
  test_path(d, name, path);
  return access(path, F_OK) == 0;
}

/* Whatever call of its making fails, the next start makes it anew. */
static void a_new_store_comes_whole_or_not_at_all(void **state) {
  static const enum fault_mode modes[] = {FAULT_ONCE, FAULT_FROM_THEN_ON};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    unsigned at = 0;
    for (bool more = true; more;) {
      struct test_directory d;
      struct store *s;
      test_directory_make(&d);
      faults = (struct faults){.at = ++at, .mode = modes[i], .error = EIO};
      bool made = store_open_with(d.state, &faulty_env, &s, NULL) == ERR_OK;
      more = faults.count >= at;
      assert_true(made || more);
      test_no_faults();
      if (made) store_close(s);
      s = test_open(&d);
      test_create(s, "example.", 1, 2);
      assert_false(exists(&d, "log.db.tmp"));
      store_close(s);
      test_directory_done(&d);
    }
    assert_true(at > 5);
  }
}

/* A killed server's WAL beside a log.db that somebody has removed. */
static void a_new_log_has_no_old_wal(void **state) {
  struct test_directory d;
  struct buf b = {0};
  char path[TEST_PATH_BYTES];
  test_directory_make(&d);
  pid_t child = test_fork();
  if (child == 0) {
    test_create(test_open(&d), "example.", 1, 2);
    _exit(0);
  }
  assert_int_equal(waitpid(child, NULL, 0), child);
  test_path(&d, "log.db", path);
  assert_int_equal(unlink(path), 0);
  struct store *s = test_open(&d);
  test_describe(s, &b);
  assert_string_equal(buf_text(&b), "");
  assert_int_equal(test_create(s, "example.", 1, 2), 1);
  store_close(s);
  buf_done(&b);
  test_directory_done(&d);
}

/* A start waits for each of them. */
static void a_new_store_takes_few_syncs(void **state) {
  struct test_directory d;
  unsigned syncs = 0;
  test_no_faults();
  test_directory_make(&d);
  struct store *s = test_open_faulty(&d);
  for (const char *p = faults.trace; *p; p++)
    syncs += *p == 's' || *p == 'S' || *p == 'd';
  assert_in_range(syncs, 1, 4); /* the directory it stands in, log.db, the empty WAL, its own directory */
  store_close(s);
  test_directory_done(&d);
}

static void a_second_process_is_refused(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d), *other = NULL;
  struct store_error error = {""};
  char expected[64];
  snprintf(expected, sizeof expected, "process %ld", (long)getpid());
  pid_t child = test_fork();
  if (child == 0) _exit(store_open(d.state, &other, &error) == ERR_LOCKED && strstr(error.what, expected) ? 0 : 1);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  /* nor the same process again */
  assert_int_equal(store_open(d.state, &other, &error), ERR_LOCKED);
  assert_non_null(strstr(error.what, expected));
  store_close(s);
  s = test_open(&d);
  store_close(s);
  test_directory_done(&d);
}

static void a_dead_owner_is_no_owner(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  pid_t child = test_fork();
  if (child == 0) {
    struct store *mine;
    struct store_error error;
    _exit(store_open(d.state, &mine, &error));
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  store_close(test_open(&d));
  test_directory_done(&d);
}

static void run_sql(const struct test_directory *d, const char *sql) {
  sqlite3 *db;
  char path[TEST_PATH_BYTES];
  test_path(d, "log.db", path);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static struct digest128 content(const struct test_directory *d, const char *name) {
  struct buf b = {0};
  int dir = open(d->state, O_RDONLY | O_DIRECTORY);
  enum err err = file_read(dir, name, 1 << 30, &b);
  assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
  struct digest128 digest = hash128(b.size ? (const void *)b.data : "", b.size);
  close(dir);
  buf_done(&b);
  return digest;
}

static void assert_version_refused(const struct test_directory *d, const char *what) {
  static const char *const files[] = {"log.db", "log.db-wal", "segments/1.seg", "timers"};
  struct digest128 before[4];
  struct store *s;
  struct store_error error = {""};
  test_put_file(d, "segments/5.seg.tmp", "x", 1);
  for (size_t i = 0; i < 4; i++)
    before[i] = content(d, files[i]);
  assert_int_equal(store_open(d->state, &s, &error), ERR_VERSION);
  assert_non_null(strstr(error.what, what));
  assert_non_null(strstr(error.what, "newer version"));
  for (size_t i = 0; i < 4; i++) {
    struct digest128 after = content(d, files[i]);
    assert_memory_equal(&before[i], &after, sizeof after);
  }
  assert_true(exists(d, "segments/5.seg.tmp"));
}

static void a_newer_schema_is_left_untouched(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s = test_open(&d);
  uint64_t zone = test_create(s, "example.", 1, 2);
  test_delta(s, zone, 2, "x");
  store_close(s);
  run_sql(&d, "UPDATE meta SET value = '5' WHERE key = 'schema'");
  assert_version_refused(&d, "schema 5");
  test_directory_done(&d);
}

/* Also what a killed server has left in the WAL is not copied into the database. */
static void a_newer_segment_is_left_untouched(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  pid_t child = test_fork();
  if (child == 0) {
    test_create(test_open(&d), "example.", 1, 2);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  char path[TEST_PATH_BYTES];
  uint8_t header[SEGMENT_HEADER_BYTES];
  test_path(&d, "segments/1.seg", path);
  FILE *f = fopen(path, "r+b");
  assert_int_equal(fread(header, 1, sizeof header, f), sizeof header);
  header[11] = 2;
  put_u64(header + 56, hash64(header, 56, 0));
  rewind(f);
  assert_int_equal(fwrite(header, 1, sizeof header, f), sizeof header);
  fclose(f);
  assert_version_refused(&d, "segments/1.seg");
  test_directory_done(&d);
}

static void a_foreign_database_is_refused(void **state) {
  struct test_directory d;
  test_directory_make(&d);
  struct store *s;
  struct store_error error = {""};
  assert_int_equal(mkdir(d.state, 0700), 0);
  run_sql(&d, "CREATE TABLE recipes (id INTEGER)");
  assert_int_equal(store_open(d.state, &s, &error), ERR_CORRUPT);
  test_put_file(&d, "log.db", "this is not a database, whatever its name says, and it is long enough to be read as one............",
                100);
  assert_int_equal(store_open(d.state, &s, &error), ERR_CORRUPT);
  assert_non_null(strstr(error.what, "log.db"));
  test_directory_done(&d);
}

static void what_a_crash_left_is_swept(void **state) {
  struct test_directory d;
  struct buf before = {0}, after = {0};
  test_directory_make(&d);
  struct store *s = test_open(&d);
  test_create(s, "example.", 1, 2);
  test_describe(s, &before);
  store_close(s);
  test_put_file(&d, "segments/7.seg", "nobody's", 8);
  test_put_file(&d, "segments/8.seg.tmp", "half", 4);
  test_put_file(&d, "timers.tmp", "half", 4);
  test_put_file(&d, "segments/README", "not ours", 8);
  s = test_open(&d);
  assert_false(exists(&d, "segments/7.seg"));
  assert_false(exists(&d, "segments/8.seg.tmp"));
  assert_false(exists(&d, "timers.tmp"));
  assert_true(exists(&d, "segments/README"));
  assert_true(exists(&d, "segments/1.seg"));
  test_describe(s, &after);
  assert_string_equal(buf_text(&before), buf_text(&after));
  store_close(s);
  buf_done(&before);
  buf_done(&after);
  test_directory_done(&d);
}

static void an_impossible_place_is_told(void **state) {
  struct store *s;
  struct store_error error = {""};
  assert_int_equal(store_open("/proc/tandem", &s, &error), ERR_IO);
  assert_non_null(strstr(error.what, "/proc/tandem"));
}

static void owners_can_be_changed(void **state) {
  struct test_directory d;
  struct store_error error = {""};
  test_directory_make(&d);
  struct store *s = test_open(&d);
  test_create(s, "example.", 1, 2);
  if (store_chown(s, getuid(), getgid(), &error)) fail_msg("%s", error.what);
  store_close(s);
  test_directory_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_the_owner_reads_it),          cmocka_unit_test(an_empty_store_says_so),
      cmocka_unit_test(a_second_process_is_refused),      cmocka_unit_test(a_dead_owner_is_no_owner),
      cmocka_unit_test(a_newer_schema_is_left_untouched), cmocka_unit_test(a_newer_segment_is_left_untouched),
      cmocka_unit_test(a_foreign_database_is_refused),    cmocka_unit_test(what_a_crash_left_is_swept),
      cmocka_unit_test(an_impossible_place_is_told),      cmocka_unit_test(owners_can_be_changed),
      cmocka_unit_test(a_new_store_takes_few_syncs),      cmocka_unit_test(a_new_store_comes_whole_or_not_at_all),
      cmocka_unit_test(a_new_log_has_no_old_wal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
