/* Files: reading them, and $INCLUDE. */
#include "scan_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64]; /* a directory of this run; the working directory of every test */

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

static int enter(void **state) {
  snprintf(top, sizeof top, "/tmp/tandem-zonefile-XXXXXX");
  if (!mkdtemp(top) || chdir(top) != 0) return -1;
  return mkdir("zones", 0700) || mkdir("zones/sub", 0700) || mkdir("zones-other", 0700);
}

static int leave(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", top);
  return chdir("/") || system(command);
}

/* Scans zones/a.zone and compares records and the texts of diags. */
static void expect(const char *text, const char *records, const char *diags) {
  struct scanned s;
  put("zones/a.zone", text);
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.error, ERR_OK);
  assert_string_equal(buf_text(&s.diags), diags);
  assert_string_equal(buf_text(&s.records), records);
  scanned_done(&s);
}

#define OUTSIDE(token)               \
  "zones/a.zone:1:10: error: " token \
  " is outside the tree of %s/zones [include]; included files stay in the directory tree of the zone file\n"

/* The same for texts that name the tree by its absolute path. */
static void expect_outside(const char *text, const char *format) {
  char wanted[1024];
  snprintf(wanted, sizeof wanted, format, top);
  expect(text, "", wanted);
}

static void include_works(void **state) {
  put("zones/b.inc", "b 60 A 192.0.2.2\n");
  expect("$INCLUDE b.inc\n", "b.example. 60 IN A 192.0.2.2\n", "");
  expect("$INCLUDE \"b.inc\" ; x\n", "b.example. 60 IN A 192.0.2.2\n", "");
  expect("$INCLUDE ./sub/../b.inc\n", "b.example. 60 IN A 192.0.2.2\n", "");
  expect("$INCLUDE ../zones/b.inc\n", "b.example. 60 IN A 192.0.2.2\n", "");
  expect("$INCLUDE b.inc sub\n", "b.sub.example. 60 IN A 192.0.2.2\n", "");
  put("zones/no end", "b 60 A 192.0.2.2");
  expect("$INCLUDE no\\ end\nc 60 A 192.0.2.3\n", "b.example. 60 IN A 192.0.2.2\nc.example. 60 IN A 192.0.2.3\n", "");
  expect("$INCLUDE \"no end\"\n", "b.example. 60 IN A 192.0.2.2\n", "");
  expect("$INCLUDE b\\046inc\n", "b.example. 60 IN A 192.0.2.2\n", "");
  put("zones/empty", "");
  expect("$INCLUDE empty\n", "", "");
  char absolute[128];
  snprintf(absolute, sizeof absolute, "$INCLUDE %s/zones/b.inc\n", top);
  expect(absolute, "b.example. 60 IN A 192.0.2.2\n", "");
}

static void include_keeps_origin_and_owner(void **state) {
  put("zones/b.inc", " 60 A 192.0.2.2\n$ORIGIN x.\nb 60 A 192.0.2.3\n$TTL 7\n");
  expect("a 60 A 192.0.2.1\n$INCLUDE b.inc y.\n A 192.0.2.4\nc A 192.0.2.5\n",
         "a.example. 60 IN A 192.0.2.1\na.example. 60 IN A 192.0.2.2\nb.x. 60 IN A 192.0.2.3\na.example. 7 IN A 192.0.2.4\n"
         "c.example. 7 IN A 192.0.2.5\n",
         "");
}

static void include_gives_no_owner(void **state) {
  put("zones/b.inc", "b 60 A 192.0.2.2\n");
  expect("$INCLUDE b.inc\n 60 A 192.0.2.3\n", "b.example. 60 IN A 192.0.2.2\n",
         "zones/a.zone:2:2: error: the line takes over the owner of the last record, and there is none [owner]; start the first "
         "record of "
         "a file with its owner\n");
}

static void include_is_relative_to_its_file(void **state) {
  put("zones/sub/b.inc", "$INCLUDE c.inc\n$INCLUDE ../d.inc\n");
  put("zones/sub/c.inc", "c 60 A 192.0.2.2\n");
  put("zones/d.inc", "d 60 A 192.0.2.3\n");
  expect("$INCLUDE sub/b.inc\n", "c.example. 60 IN A 192.0.2.2\nd.example. 60 IN A 192.0.2.3\n", "");
}

static void mistakes_name_the_included_file(void **state) {
  put("zones/b.inc", "b 60 A 192.0.2.2\nb 60 A x\n");
  put("zones/a.zone", "$INCLUDE b.inc\nc 60 A y\n");
  struct scanned s;
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.raw.count, 2);
  assert_string_equal(s.raw.list[0].place.file, "zones/b.inc");
  assert_int_equal(s.raw.list[0].place.line, 2);
  assert_string_equal(s.raw.list[1].place.file, "zones/a.zone");
  assert_int_equal(s.raw.list[1].place.line, 2);
  assert_int_equal(s.files, 2);
  scanned_done(&s);
}

static void include_stays_in_the_tree(void **state) {
  put("secret", "token-one token-two\n");
  put("zones-other/x", "a 60 A 192.0.2.1\n");
  expect_outside("$INCLUDE ../secret\n", OUTSIDE("../secret"));
  expect_outside("$INCLUDE ../no-such-file\n", OUTSIDE("../no-such-file"));
  expect_outside("$INCLUDE sub/../../secret\n", OUTSIDE("sub/../../secret"));
  expect_outside("$INCLUDE /etc/passwd\n", OUTSIDE("/etc/passwd"));
  expect_outside("$INCLUDE /no-such-file\n", OUTSIDE("/no-such-file"));
  expect_outside("$INCLUDE ../zones-other/x\n", OUTSIDE("../zones-other/x"));
  assert_int_equal(symlink("../secret", "zones/link"), 0);
  expect_outside("$INCLUDE link\n", OUTSIDE("link"));
  assert_int_equal(symlink("../zones-other", "zones/dir"), 0);
  expect_outside("$INCLUDE dir/x\n", OUTSIDE("dir/x"));
  expect_outside("$INCLUDE \"\"\n", OUTSIDE(""));
}

static void links_inside_the_tree_work(void **state) {
  put("zones/real", "a 60 A 192.0.2.1\n");
  assert_int_equal(symlink("../real", "zones/sub/inner"), 0);
  expect("$INCLUDE sub/inner\n", "a.example. 60 IN A 192.0.2.1\n", "");
}

static void a_configured_root_widens_the_tree(void **state) {
  struct scanned s;
  put("zones-other/y", "a 60 A 192.0.2.1\n");
  put("zones/a.zone", "$INCLUDE ../zones-other/y\n");
  scan_file("zones/a.zone", &(struct zonefile_options){.include_root = "."}, &s);
  assert_string_equal(buf_text(&s.diags), "");
  assert_int_equal(s.count, 1);
  scanned_done(&s);
  scan_file("zones/a.zone", &(struct zonefile_options){.include_root = "zones-other"}, &s);
  assert_string_equal(buf_text(&s.diags), "");
  scanned_done(&s);
  scan_file("zones/a.zone", &(struct zonefile_options){.include_root = "zones/sub"}, &s);
  assert_int_equal(s.raw.count, 1);
  assert_string_equal(s.raw.list[0].check, "include");
  scanned_done(&s);
  scan_text_n("$INCLUDE y\n", 11, &(struct zonefile_options){.include_root = "zones-other"}, &s);
  assert_string_equal(buf_text(&s.diags), "");
  assert_int_equal(s.count, 1);
  scanned_done(&s);
  scan_text_n("$INCLUDE y\n", 11, &(struct zonefile_options){.include_root = NULL}, &s);
  assert_int_equal(s.raw.count, 1);
  scanned_done(&s);
}

/* A file that is no zone file gives at most one token away. */
static void foreign_files_are_not_quoted(void **state) {
  struct scanned s;
  put("zones/key.pem", "-----BEGIN PRIVATE KEY-----\nSecretOne SecretTwo\nSecretThree SecretFour\n");
  put("zones/a.zone", "a 60 A 192.0.2.1\n$INCLUDE key.pem\nb 60 A 192.0.2.2\n");
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.count, 2);
  assert_int_equal(s.raw.errors, 1);
  assert_int_equal(s.raw.warnings, 1);
  assert_null(strstr(buf_text(&s.diags), "Secret"));
  assert_null(strstr(buf_text(&s.diags), "KEY"));
  scanned_done(&s);
}

/* One whose first entry is understood is read to its end. */
static void mistakes_of_included_files_are_all_said(void **state) {
  struct scanned s;
  put("zones/b.inc", "; x\n$INCLUDE missing\nb 60 A x\nc 60 A y\n");
  put("zones/c.inc", "b 60 A 192.0.2.1\nb 60 A x\nc 60 A y\n");
  put("zones/a.zone", "$INCLUDE b.inc\n$INCLUDE c.inc\n");
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.raw.errors, 5);
  assert_int_equal(s.raw.warnings, 0);
  scanned_done(&s);
}

static void included_binaries_are_said_once(void **state) {
  struct scanned s;
  put("zones/b.inc", "\x1f\x8b\x08");
  put("zones/a.zone", "$INCLUDE b.inc\na 60 A 192.0.2.1\n");
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.raw.count, 1);
  assert_string_equal(s.raw.list[0].check, "binary");
  assert_int_equal(s.count, 1);
  scanned_done(&s);
}

static void loops_are_named(void **state) {
  put("zones/b.inc", "b 60 A 192.0.2.2\n$INCLUDE c.inc\n");
  put("zones/c.inc", "c 60 A 192.0.2.3\n$INCLUDE b.inc\n");
  expect("$INCLUDE b.inc\n", "b.example. 60 IN A 192.0.2.2\nc.example. 60 IN A 192.0.2.3\n",
         "zones/c.inc:2:10: error: a loop of $INCLUDE: zones/b.inc -> zones/c.inc -> zones/b.inc [include]; a file can't include "
         "itself\n");
  expect("$INCLUDE a.zone\n", "",
         "zones/a.zone:1:10: error: a loop of $INCLUDE: zones/a.zone -> zones/a.zone [include]; a file can't include itself\n");
}

static void depth_is_bounded(void **state) {
  for (int i = 0; i < 20; i++) {
    char path[32], text[64];
    snprintf(path, sizeof path, "zones/d%d", i);
    snprintf(text, sizeof text, "h%d 60 A 192.0.2.1\n$INCLUDE d%d\n", i, i + 1);
    put(path, text);
  }
  struct scanned s;
  put("zones/a.zone", "$INCLUDE d0\n");
  scan_file("zones/a.zone", NULL, &s);
  assert_int_equal(s.raw.count, 1);
  assert_non_null(strstr(s.raw.list[0].what, "more than 16"));
  assert_int_equal(s.count, 16);
  scanned_done(&s);
}

static void expect_unreadable(const char *path, const char *part) {
  struct scanned s;
  scan_file(path, NULL, &s);
  assert_int_equal(s.error, ERR_IO);
  assert_int_equal(s.raw.count, 1);
  assert_string_equal(s.raw.list[0].check, "file");
  if (!strstr(s.raw.list[0].what, part)) fail_msg("%s", s.raw.list[0].what);
  scanned_done(&s);
}

static void files_that_can_not_be_read(void **state) {
  expect_unreadable("zones/missing", "No such file");
  expect_unreadable("zones", "directory");
  assert_int_equal(mkfifo("zones/fifo", 0600), 0);
  expect_unreadable("zones/fifo", "regular");
  expect_unreadable("/dev/zero", "regular");
  put("zones/large", "");
  if (truncate("zones/large", (off_t)LIMIT_ZONE_FILE_BYTES + 1) == 0) expect_unreadable("zones/large", "too large");
  assert_int_equal(unlink("zones/large"), 0);
  put("zones/closed", "");
  assert_int_equal(chmod("zones/closed", 0), 0);
  if (geteuid() != 0) expect_unreadable("zones/closed", "denied");
  expect("$INCLUDE missing\nb 60 A 192.0.2.2\n", "b.example. 60 IN A 192.0.2.2\n",
         "zones/a.zone:1:10: error: can't read zones/missing: No such file or directory [file]\n");
  expect("$INCLUDE sub\n", "", "zones/a.zone:1:10: error: can't read zones/sub: it is a directory [file]; name a file in it\n");
  expect("$INCLUDE .\n", "", "zones/a.zone:1:10: error: can't read zones/.: it is a directory [file]; name a file in it\n");
}

static void expect_kept(struct zonefile_kept *kept, const char *path, const char *records) {
  struct scanned s;
  scan_file(path, &(struct zonefile_options){.kept = kept}, &s);
  assert_int_equal(s.error, ERR_OK);
  assert_int_equal(s.files, strstr(records, "b.") ? 2 : 1);
  assert_string_equal(buf_text(&s.diags), "");
  assert_string_equal(buf_text(&s.records), records);
  scanned_done(&s);
}

/* Zones of one file read it once, and included ones each time; another file takes its place. */
static void a_file_is_kept(void **state) {
  struct zonefile_kept kept = {0};
  put("zones/b.inc", "b 60 A 192.0.2.2\n");
  put("zones/a.zone", "a 60 A 192.0.2.1\n$INCLUDE b.inc\n");
  put("zones/c.zone", "c 60 A 192.0.2.3\n");
  expect_kept(&kept, "zones/a.zone", "a.example. 60 IN A 192.0.2.1\nb.example. 60 IN A 192.0.2.2\n");
  put("zones/a.zone", "other 60 A 192.0.2.9\n");
  put("zones/b.inc", "b 60 A 192.0.2.7\n");
  expect_kept(&kept, "zones/a.zone", "a.example. 60 IN A 192.0.2.1\nb.example. 60 IN A 192.0.2.7\n");
  expect_kept(&kept, "zones/c.zone", "c.example. 60 IN A 192.0.2.3\n");
  expect_kept(&kept, "zones/a.zone", "other.example. 60 IN A 192.0.2.9\n");
  zonefile_kept_done(&kept);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(include_works, enter, leave),
      cmocka_unit_test_setup_teardown(include_keeps_origin_and_owner, enter, leave),
      cmocka_unit_test_setup_teardown(include_gives_no_owner, enter, leave),
      cmocka_unit_test_setup_teardown(include_is_relative_to_its_file, enter, leave),
      cmocka_unit_test_setup_teardown(mistakes_name_the_included_file, enter, leave),
      cmocka_unit_test_setup_teardown(include_stays_in_the_tree, enter, leave),
      cmocka_unit_test_setup_teardown(links_inside_the_tree_work, enter, leave),
      cmocka_unit_test_setup_teardown(a_configured_root_widens_the_tree, enter, leave),
      cmocka_unit_test_setup_teardown(foreign_files_are_not_quoted, enter, leave),
      cmocka_unit_test_setup_teardown(mistakes_of_included_files_are_all_said, enter, leave),
      cmocka_unit_test_setup_teardown(included_binaries_are_said_once, enter, leave),
      cmocka_unit_test_setup_teardown(loops_are_named, enter, leave),
      cmocka_unit_test_setup_teardown(depth_is_bounded, enter, leave),
      cmocka_unit_test_setup_teardown(files_that_can_not_be_read, enter, leave),
      cmocka_unit_test_setup_teardown(a_file_is_kept, enter, leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
