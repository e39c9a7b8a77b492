/* What is done between commits: the WAL is filled ahead and copied into log.db, and nothing of that can hurt a change. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_BYTES = 24 + 4096, BODY_BYTES = 250 << 10, COPY_PAGES = 1000 };

static struct store *prepare(struct test_directory *d) {
  test_no_faults();
  test_directory_make(d);
  struct store *s = test_open_faulty(d);
  test_create(s, "a.example.", 1, 2);
  return s;
}

static uint64_t wal_bytes(const struct test_directory *d) {
  char path[TEST_PATH_BYTES];
  struct stat st;
  test_path(d, "log.db-wal", path);
  assert_int_equal(stat(path, &st), 0);
  return (uint64_t)st.st_size;
}

/* Deltas until the WAL has so many pages; the zone's version then. */
static uint64_t write_pages(struct store *s, uint64_t version, unsigned pages) {
  char *body = malloc(BODY_BYTES);
  assert_non_null(body);
  memset(body, 'x', BODY_BYTES);
  body[BODY_BYTES - 1] = 0;
  do
    test_delta(s, 1, ++version, body);
  while (s->db.wal.pages < pages);
  free(body);
  return version;
}

static void commits_do_not_make_the_file_longer(void **state) {
  struct test_directory d;
  struct store *s = prepare(&d);
  assert_true(store_tend_is_due(s));
  store_tend(s);
  assert_false(store_tend_is_due(s));
  uint64_t version = 1, before = wal_bytes(&d);
  test_no_faults();
  for (int i = 0; i < 20; i++)
    test_delta(s, 1, ++version, "small");
  assert_int_equal(wal_bytes(&d), before);
  assert_null(strchr(faults.trace, 'T'));
  for (; !store_tend_is_due(s); before = wal_bytes(&d))
    test_delta(s, 1, ++version, "small");
  store_tend(s);
  assert_true(wal_bytes(&d) > before);
  store_close(s);
  assert_int_equal(wal_bytes(&d), 0); /* a start has nothing to read */
  test_directory_done(&d);
}

static enum err count_change(void *arg, const struct store_change *c) {
  ++*(unsigned *)arg;
  return ERR_OK;
}

/* Whoever reads history has a connection of his own, and SQLite empties the WAL only when the last one is closed. */
static void an_end_empties_it_beside_readers(void **state) {
  struct test_directory d;
  struct store_reader *reader;
  unsigned seen = 0;
  struct store *s = prepare(&d);
  test_delta(s, 1, 2, "x");
  uint64_t head = store_head(s, 1);
  assert_int_equal(store_reader_open(s, &reader, NULL), ERR_OK);
  assert_int_equal(store_reader_each_change(reader, 1, head, 1, count_change, &seen, NULL), ERR_OK);
  store_close(s);
  assert_int_equal(wal_bytes(&d), 0);
  assert_int_equal(store_reader_each_change(reader, 1, head, 1, count_change, &seen, NULL), ERR_OK);
  assert_int_equal(seen, 2);
  store_reader_close(reader);
  test_directory_done(&d);
}

/* What is being read from it stays, and an end does not wait for that. */
static void an_end_leaves_what_is_read(void **state) {
  struct test_directory d;
  struct store_reader *reader;
  struct buf before = {0}, now = {0};
  unsigned seen = 0;
  struct store *s = prepare(&d);
  test_delta(s, 1, 2, "x");
  uint64_t head = store_head(s, 1);
  assert_int_equal(store_reader_open(s, &reader, NULL), ERR_OK);
  assert_int_equal(store_reader_hold(reader), ERR_OK);
  assert_int_equal(store_reader_each_change(reader, 1, head, 1, count_change, &seen, NULL), ERR_OK);
  test_delta(s, 1, 3, "y");
  test_describe(s, &before);
  store_close(s);
  assert_true(wal_bytes(&d) > 0);
  store_reader_close(reader);
  s = test_open(&d);
  test_describe(s, &now);
  assert_string_equal(buf_text(&now), buf_text(&before));
  store_close(s);
  buf_done(&before);
  buf_done(&now);
  test_directory_done(&d);
}

/* Once it is copied it is begun anew, in the room that it has. */
static void the_wal_is_copied_between_commits(void **state) {
  struct test_directory d;
  struct buf before = {0}, now = {0};
  struct store *s = prepare(&d);
  uint64_t version = write_pages(s, 1, COPY_PAGES);
  test_describe(s, &before);
  assert_true(store_tend_is_due(s));
  store_tend(s);
  assert_false(store_tend_is_due(s));
  uint64_t full = wal_bytes(&d);
  test_describe(s, &now);
  assert_string_equal(buf_text(&now), buf_text(&before));
  test_delta(s, 1, ++version, "small");
  assert_in_range(s->db.wal.pages, 1, 10);
  write_pages(s, version, COPY_PAGES / 2);
  assert_int_equal(wal_bytes(&d), full);
  store_close(s);
  buf_done(&before);
  buf_done(&now);
  test_directory_done(&d);
}

static void it_stays_bounded_when_nobody_tends(void **state) {
  struct test_directory d;
  struct store *s = prepare(&d);
  uint64_t version = write_pages(s, 1, COPY_PAGES);
  for (int i = 0; i < 30; i++)
    version = write_pages(s, version, 1);
  assert_true(wal_bytes(&d) < (2 * COPY_PAGES + 100) * FRAME_BYTES);
  store_close(s);
  test_directory_done(&d);
}

/* A call of tending fails, or is the last one of the process: what was committed is there, and changes go on. */
static void fail_at(unsigned pages, unsigned at, enum fault_mode mode, int error_number) {
  struct test_directory d;
  struct buf before = {0}, now = {0};
  struct store *s = prepare(&d);
  uint64_t version = write_pages(s, 1, pages);
  test_describe(s, &before);
  pid_t child = mode == FAULT_CRASH ? test_fork() : -1;
  if (child <= 0) {
    faults = (struct faults){.at = at, .mode = mode, .error = error_number};
    store_tend(s);
    if (child == 0) _exit(0);
    test_no_faults();
    test_describe(s, &now);
    assert_string_equal(buf_text(&now), buf_text(&before));
    test_delta(s, 1, ++version, "after it");
    test_describe(s, &before);
  } else {
    assert_int_equal(waitpid(child, NULL, 0), child);
  }
  store_close(s);
  s = test_open_faulty(&d);
  test_describe(s, &now);
  assert_string_equal(buf_text(&now), buf_text(&before));
  test_delta(s, 1, ++version, "after a restart");
  store_close(s);
  buf_done(&before);
  buf_done(&now);
  test_directory_done(&d);
}

static unsigned calls_of_tending(unsigned pages) {
  struct test_directory d;
  struct store *s = prepare(&d);
  write_pages(s, 1, pages);
  test_no_faults();
  store_tend(s);
  unsigned calls = faults.count;
  store_close(s);
  test_directory_done(&d);
  return calls;
}

/* At the first calls, the last ones and one in the middle. */
static void fail_some(unsigned pages) {
  unsigned calls = calls_of_tending(pages);
  const unsigned at[] = {1, 2, calls / 2, calls - 1, calls};
  assert_true(calls >= 3);
  for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
    fail_at(pages, at[i], FAULT_ONCE, EIO);
    fail_at(pages, at[i], FAULT_FROM_THEN_ON, ENOSPC);
    fail_at(pages, at[i], FAULT_CRASH, 0);
  }
}

static void nothing_is_lost_when_filling_fails(void **state) {
  fail_some(1);
}

static void nothing_is_lost_when_copying_fails(void **state) {
  fail_some(COPY_PAGES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(commits_do_not_make_the_file_longer), cmocka_unit_test(the_wal_is_copied_between_commits),
      cmocka_unit_test(it_stays_bounded_when_nobody_tends),  cmocka_unit_test(nothing_is_lost_when_filling_fails),
      cmocka_unit_test(nothing_is_lost_when_copying_fails),  cmocka_unit_test(an_end_empties_it_beside_readers),
      cmocka_unit_test(an_end_leaves_what_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
