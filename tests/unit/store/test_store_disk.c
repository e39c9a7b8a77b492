/* Room on the disk: the levels, and the ballast that is given up when there is none and put back. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, TOTAL = 512 * MIB, BALLAST = 8 * MIB };

static uint64_t total, used; /* by others than the ballast */
static bool known;

static uint64_t ballast_in(int dir) {
  struct stat st;
  return fstatat(dir, "ballast", &st, 0) ? 0 : (uint64_t)st.st_blocks * 512;
}

static bool fake_room(int dir, uint64_t *total_bytes, uint64_t *free_bytes) {
  uint64_t all = used + ballast_in(dir);
  *total_bytes = total;
  *free_bytes = all < total ? total - all : 0;
  return known;
}

static struct store *open_store(const struct test_directory *d) {
  static const struct store_env env = {&file_ops_system, NULL, fake_room};
  struct store *s = NULL;
  struct store_error error = {""};
  total = TOTAL;
  used = 0;
  known = true;
  if (store_open_with(d->state, &env, &s, &error)) fail_msg("%s", error.what);
  return s;
}

/* With so much free besides the ballast. */
static struct store_disk look(struct store *s, uint64_t left, uint64_t ballast) {
  struct store_disk d;
  used = total - left - ballast_in(s->dir_fd);
  store_disk_look(s, ballast, &d);
  assert_int_equal(d.ballast_bytes, ballast_in(s->dir_fd));
  return d;
}

static void test_levels(void **state) {
  struct test_directory dir;
  test_directory_make(&dir);
  struct store *s = open_store(&dir);
  static const struct {
    unsigned left_mib;
    enum store_room room;
  } rows[] = {
      {300, STORE_ROOM_GOOD},  {52, STORE_ROOM_GOOD},   {51, STORE_ROOM_LOW},     {55, STORE_ROOM_LOW},     {60, STORE_ROOM_LOW},
      {62, STORE_ROOM_GOOD},   {26, STORE_ROOM_LOW},    {25, STORE_ROOM_NO_BULK}, {29, STORE_ROOM_NO_BULK}, {31, STORE_ROOM_LOW},
      {3, STORE_ROOM_NO_BULK}, {0, STORE_ROOM_NO_BULK}, {100, STORE_ROOM_GOOD},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct store_disk d = look(s, (uint64_t)rows[i].left_mib * MIB + 4096, BALLAST);
    if (d.room != rows[i].room) fail_msg("row %zu: %d", i, d.room);
    assert_int_equal(d.ballast_bytes, BALLAST);
  }
  total = (uint64_t)1 << 50; /* a tenth of a petabyte is no emergency */
  assert_int_equal(look(s, (uint64_t)9 << 30, BALLAST).room, STORE_ROOM_GOOD);
  assert_int_equal(look(s, (uint64_t)5 << 30, BALLAST).room, STORE_ROOM_LOW);
  assert_int_equal(look(s, (uint64_t)3 << 30, BALLAST).room, STORE_ROOM_NO_BULK);
  store_close(s);
  test_directory_done(&dir);
}

static void test_ballast(void **state) {
  struct test_directory dir;
  test_directory_make(&dir);
  struct store *s = open_store(&dir);
  assert_int_equal(look(s, 200 * MIB, 64 * MIB).ballast_bytes, TOTAL / 64); /* not more than the disk bears */
  assert_int_equal(look(s, 200 * MIB, MIB).ballast_bytes, MIB);             /* and as large as it is to be now */
  assert_int_equal(look(s, 200 * MIB, 0).ballast_bytes, 0);
  assert_int_equal(look(s, MIB, BALLAST).ballast_bytes, 0); /* no room: it makes none full */
  assert_int_equal(look(s, 11 * MIB, BALLAST).ballast_bytes, BALLAST);
  total = 4 * MIB;
  assert_int_equal(look(s, 3 * MIB, BALLAST).ballast_bytes, 0); /* a tiny disk has better uses */
  total = TOTAL;
  int fd = openat(s->dir_fd, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(ftruncate(fd, BALLAST), 0);
  close(fd);
  assert_int_equal(ballast_in(s->dir_fd), 0); /* as a copy may have left it: all of it a hole */
  assert_int_equal(look(s, 200 * MIB, BALLAST).ballast_bytes, BALLAST);
  known = false;
  struct store_disk d;
  store_disk_look(s, BALLAST, &d);
  assert_false(d.known);
  assert_int_equal(d.room, STORE_ROOM_GOOD);
  store_close(s);
  test_directory_done(&dir);
}

static void test_full_and_back(void **state) {
  struct test_directory dir;
  test_directory_make(&dir);
  struct store *s = open_store(&dir);
  assert_int_equal(look(s, 100 * MIB, BALLAST).room, STORE_ROOM_GOOD);
  s->db.no_space = true; /* something was too large, but there is room */
  assert_int_equal(look(s, 100 * MIB, BALLAST).room, STORE_ROOM_GOOD);
  s->db.no_space = true;
  struct store_disk d = look(s, 0, BALLAST);
  assert_int_equal(d.room, STORE_ROOM_NONE);
  assert_int_equal(d.ballast_bytes, 0);
  assert_int_equal(d.free_bytes, BALLAST);                           /* for housekeeping */
  assert_int_equal(look(s, BALLAST, BALLAST).room, STORE_ROOM_NONE); /* which makes no room for changes by itself */
  assert_int_equal(look(s, BALLAST + MIB, BALLAST).room, STORE_ROOM_NONE);
  d = look(s, BALLAST + BALLAST / 4, BALLAST);
  assert_int_equal(d.room, STORE_ROOM_NO_BULK);
  assert_int_equal(d.ballast_bytes, BALLAST);
  store_close(s);
  test_directory_done(&dir);
}

/* Room in log.db itself is as good, once the ballast's is there again. */
static void test_room_in_the_log(void **state) {
  struct test_directory dir;
  char body[60000];
  bool more = true;
  struct store_error error = {""};
  test_directory_make(&dir);
  struct store *s = open_store(&dir);
  memset(body, 'x', sizeof body);
  body[sizeof body - 1] = 0;
  uint64_t zone = test_create(s, "a.example.", 1, 1);
  for (uint64_t version = 2; version < 102; version++)
    test_delta(s, zone, version, body);
  struct zone_snap *snap = test_zone("a.example.", 102, 1);
  struct store_batch *b;
  struct store_image image;
  assert_int_equal(store_batch_begin(s, &b), ERR_OK);
  assert_int_equal(store_batch_image(b, zone, 101, snap, NULL, &image), ERR_OK);
  assert_int_equal(store_batch_commit(b, &error), ERR_OK);
  zone_snap_unref(snap);
  assert_int_equal(look(s, 100 * MIB, BALLAST).room, STORE_ROOM_GOOD);
  s->db.no_space = true;
  assert_int_equal(look(s, 0, BALLAST).room, STORE_ROOM_NONE);
  assert_int_equal(look(s, BALLAST, BALLAST).room, STORE_ROOM_NONE);
  while (more)
    assert_int_equal(store_retain(s, &(struct store_retention){0, 1, 1}, 0, &more, &error), ERR_OK);
  assert_int_equal(look(s, BALLAST, BALLAST).room, STORE_ROOM_NO_BULK);
  assert_int_equal(look(s, 0, BALLAST).ballast_bytes, BALLAST);
  store_close(s);
  test_directory_done(&dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_ballast),
      cmocka_unit_test(test_full_and_back),
      cmocka_unit_test(test_room_in_the_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
