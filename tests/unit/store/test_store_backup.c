/* Backups: of one moment whatever happens meanwhile, nothing believed that is not as it was written, restores that can be
 * interrupted. */
#include "crypto/digest.h"
#include "store/backup.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_BYTES = 1 << 16, BODIES = 64 };

struct busy { /* the server's life while the backup is made */
  struct store *store;
  uint64_t zone, version;
  bool lives;
  unsigned steps, stop_at;
};

static void beside(const struct test_directory *d, const char *name, char out[TEST_PATH_BYTES]) {
  snprintf(out, TEST_PATH_BYTES, "%s/%s", d->root, name);
}

static void new_version(struct busy *b, bool delta) {
  struct store_batch *batch;
  struct store_error error = {""};
  struct store_image image;
  struct zone_snap *snap = test_zone("a.example.", (uint32_t)b->version + 1, 10);
  struct store_change c = test_change(b->zone, ++b->version, "small");
  assert_int_equal(store_batch_begin(b->store, &batch), ERR_OK);
  if (delta) assert_int_equal(store_batch_delta(batch, &c), ERR_OK);
  assert_int_equal(store_batch_image(batch, b->zone, b->version, snap, delta ? NULL : &c, &image), ERR_OK);
  if (store_batch_commit(batch, &error)) fail_msg("%s", error.what);
  zone_snap_unref(snap);
}

static bool live_on(void *arg, uint64_t bytes) {
  struct busy *b = arg;
  struct store_error error = {""};
  b->steps++;
  if (b->lives) {
    new_version(b, b->steps % 2);
    if (store_sweep(b->store, 0, &error)) fail_msg("%s", error.what);
  }
  return b->steps != b->stop_at;
}

static enum err make_backup(struct store *s, const char *dir, struct busy *busy, struct store_error *error) {
  struct store_backup *b = NULL;
  struct store_watch watch = {busy, live_on};
  assert_int_equal(store_backup_begin(s, dir, &b, error), ERR_OK);
  enum err err = store_backup_run(b, &watch, error);
  if (!err) err = store_backup_add(b, "files/etc/a b%\n", 0640, "text", 4, error);
  if (!err) assert_int_equal(store_backup_add(b, "files/etc/a b%\n", 0640, "text", 4, error), ERR_EXISTS);
  store_backup_note(b, "made", "today");
  if (!err) err = store_backup_finish(b, error);
  store_backup_end(s, b);
  return err;
}

static void fill(struct store *s, struct busy *b) {
  static char body[BODY_BYTES];
  memset(body, 'x', sizeof body - 1);
  *b = (struct busy){.store = s, .zone = test_create(s, "a.example.", 1, 10), .version = 1};
  test_create(s, "b.example.", 7, 1000);
  for (unsigned i = 0; i < BODIES; i++)
    test_delta(s, b->zone, ++b->version, body);
  new_version(b, true);
}

static void describe(struct store *s, struct buf *out) {
  buf_clear(out);
  test_describe(s, out);
}

static void restore_and_describe(const struct test_directory *d, const char *dir, const char *state, struct buf *out) {
  struct store_manifest *m;
  struct store_error error = {""};
  struct store *s;
  if (store_manifest_read(dir, &m, &error)) fail_msg("%s", error.what);
  if (store_manifest_verify(m, NULL, &error)) fail_msg("%s", error.what);
  if (store_restore_state(m, state, NULL, &error)) fail_msg("%s", error.what);
  store_manifest_free(m);
  if (store_open(state, &s, &error)) fail_msg("%s", error.what);
  describe(s, out);
  store_close(s);
}

static void test_one_moment(void **unused) {
  struct test_directory d;
  struct busy busy;
  struct buf before = {0}, after = {0};
  struct store_error error = {""};
  char dir[TEST_PATH_BYTES], state[TEST_PATH_BYTES];
  test_directory_make(&d);
  beside(&d, "backup", dir);
  beside(&d, "restored", state);
  struct store *s = test_open(&d);
  fill(s, &busy);
  busy.lives = true;
  describe(s, &before);
  if (make_backup(s, dir, &busy, &error)) fail_msg("%s", error.what);
  assert_true(busy.steps > 3);
  restore_and_describe(&d, dir, state, &after);
  assert_string_equal(buf_text(&after), buf_text(&before));

  struct store_manifest *m;
  assert_int_equal(store_manifest_read(dir, &m, &error), ERR_OK);
  assert_string_equal(store_manifest_note(m, "made"), "today");
  const struct store_manifest_file *f = store_manifest_file(m, store_manifest_count(m) - 1);
  assert_string_equal(f->path, "files/etc/a b%\n");
  assert_int_equal(f->mode, 0640);
  assert_int_equal(store_restore_state(m, state, NULL, &error), ERR_EXISTS);
  store_manifest_free(m);
  buf_done(&before);
  buf_done(&after);
  store_close(s);
  test_directory_done(&d);
}

static void test_known_as_restored(void **unused) {
  struct test_directory d;
  struct busy busy;
  struct buf text = {0};
  struct store_error error = {""};
  char dir[TEST_PATH_BYTES], state[TEST_PATH_BYTES];
  test_directory_make(&d);
  beside(&d, "backup", dir);
  beside(&d, "restored", state);
  struct store *s = test_open(&d);
  fill(s, &busy);
  assert_false(store_is_restored(s, store_head(s, busy.zone)));
  if (make_backup(s, dir, &busy, &error)) fail_msg("%s", error.what);
  store_close(s);
  restore_and_describe(&d, dir, state, &text);
  assert_int_equal(store_open(state, &s, &error), ERR_OK);
  assert_true(store_is_restored(s, store_head(s, busy.zone)));
  test_delta(s, busy.zone, busy.version + 1, "changed");
  assert_false(store_is_restored(s, store_head(s, busy.zone)));
  store_close(s);
  buf_done(&text);
  test_directory_done(&d);
}

/* Ended at each step that it has: what is there is no backup, and the next one goes elsewhere. */
static void test_cut_short(void **unused) {
  struct test_directory d;
  struct busy busy;
  struct store_error error = {""};
  char dir[TEST_PATH_BYTES];
  test_directory_make(&d);
  struct store *s = test_open(&d);
  fill(s, &busy);
  enum err err = ERR_CLOSED;
  for (unsigned at = 1; err; at++) {
    char name[32];
    struct store_manifest *m;
    snprintf(name, sizeof name, "backup%u", at);
    beside(&d, name, dir);
    busy.steps = 0;
    busy.stop_at = at;
    err = make_backup(s, dir, &busy, &error);
    if (!err) continue;
    assert_int_equal(err, ERR_CLOSED);
    assert_int_equal(store_manifest_read(dir, &m, &error), ERR_NOT_FOUND);
    busy.stop_at = 0;
    assert_int_equal(make_backup(s, dir, &busy, &error), ERR_EXISTS);
  }
  store_close(s);
  test_directory_done(&d);
}

/* A restore ended at each step: no server starts on what it left, and the next restore does all of it. */
static void test_restore_cut_short(void **unused) {
  struct test_directory d;
  struct busy busy;
  struct buf before = {0}, after = {0};
  struct store_error error = {""};
  struct store_manifest *m;
  char dir[TEST_PATH_BYTES], state[TEST_PATH_BYTES];
  test_directory_make(&d);
  beside(&d, "backup", dir);
  beside(&d, "restored", state);
  struct store *s = test_open(&d);
  fill(s, &busy);
  describe(s, &before);
  if (make_backup(s, dir, &busy, &error)) fail_msg("%s", error.what);
  store_close(s);
  assert_int_equal(store_manifest_read(dir, &m, &error), ERR_OK);
  for (unsigned at = 1; at <= 3; at++) {
    struct busy stop = {.stop_at = at};
    struct store_watch watch = {&stop, live_on};
    assert_int_equal(store_restore_state(m, state, &watch, &error), ERR_CLOSED);
    assert_int_equal(store_open(state, &s, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.what, "half restored"));
  }
  store_manifest_free(m);
  restore_and_describe(&d, dir, state, &after);
  assert_string_equal(buf_text(&after), buf_text(&before));
  buf_done(&before);
  buf_done(&after);
  test_directory_done(&d);
}

static void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static enum err read_manifest(const char *dir, const char *body, const char *end) {
  struct store_manifest *m;
  struct store_error error = {""};
  struct buf text = {0};
  char path[TEST_PATH_BYTES], hex[2 * 32 + 1];
  uint8_t sum[32];
  buf_add_text(&text, body);
  if (!end) {
    assert_int_equal(sha256(body, strlen(body), sum), ERR_OK);
    for (unsigned i = 0; i < 32; i++)
      snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    buf_printf(&text, "end %s\n", hex);
  } else {
    buf_add_text(&text, end);
  }
  snprintf(path, sizeof path, "%.200s/manifest", dir);
  write_text(path, buf_text(&text));
  buf_done(&text);
  enum err err = store_manifest_read(dir, &m, &error);
  if (!err) store_manifest_free(m);
  return err;
}

static void test_manifests(void **unused) {
  struct test_directory d;
  char dir[TEST_PATH_BYTES];
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
  test_directory_make(&d);
  beside(&d, "backup", dir);
  assert_int_equal(mkdir(dir, 0700), 0);
  assert_int_equal(read_manifest(dir, "tandem-backup 1\nnote a b c\nfile 0600 3 " ZEROS " state/log.db\n", NULL), ERR_OK);
  assert_int_equal(read_manifest(dir, "tandem-backup 1\n", "end " ZEROS "\n"), ERR_CORRUPT);
  assert_int_equal(read_manifest(dir, "tandem-backup 1\n", ""), ERR_CORRUPT);
  assert_int_equal(read_manifest(dir, "", ""), ERR_CORRUPT);
  assert_int_equal(read_manifest(dir, "something else\n", NULL), ERR_CORRUPT);
  assert_int_equal(read_manifest(dir, "tandem-backup 2\n", NULL), ERR_VERSION);
  static const char *const bad[] = {"/etc/passwd", "../up", "a/../b", "a//b", ".", "a/", "", "%", "%zz", "%00"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char body[200];
    snprintf(body, sizeof body, "tandem-backup 1\nfile 0600 3 " ZEROS " %s\n", bad[i]);
    assert_int_equal(read_manifest(dir, body, NULL), ERR_CORRUPT);
  }
  test_directory_done(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_moment),        cmocka_unit_test(test_known_as_restored), cmocka_unit_test(test_cut_short),
      cmocka_unit_test(test_restore_cut_short), cmocka_unit_test(test_manifests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
