/* Zones of one file: what is moved to a zone's name has to be just what reading the file for it gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/alike.h"
#include "zone/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE "$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"
#define LABEL60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char path[] = "/tmp/tandem-alike-XXXXXX";

static const struct row {
  const char *text;
  bool proven; /* by the first two of the names below */
} rows[] = {
    {BASE, true},
    {BASE "@ MX 10 mail\nMAIL A 192.0.2.2\nWww A 192.0.2.3\nwWw AAAA 2001:db8::1\n@ TXT \"v=spf1 mx -all\"\n", true},
    {BASE "*.a CNAME b.c\n_x._tcp SRV 1 2 3 ns\nsub NS ns.sub\nns.sub A 192.0.2.4\n$GENERATE 1-3 h$ A 192.0.2.$\n", true},
    {BASE "s 60 HTTPS 1 svc alpn=h2\nt SVCB 0 u.v\nn NAPTR 1 1 \"s\" \"x\" \"\" ns\nr RP a b\nf A6 64 ::1 ns\n", true},
    /* the order of an RRset hangs on the zone's name */
    {BASE "@ NS a\n@ NS a.bbbb.other.\na A 192.0.2.5\n@ MX 1 m\n@ MX 1 m.ccccccc.other.\nm A 192.0.2.6\n", true},
    {BASE "x TYPE2 \\# 4 01610162 00\n", false}, /* a mistake */
    {BASE "x TYPE65280 \\# 3 016100\n", true},
    {BASE "@ NS ns.zone2.test.\n", true}, /* is outside of some zones only */
    {BASE "@ NS x.y.zone3.test.\n", true},
    {BASE "@ NS ns.zone0.test.\nns.zone0.test. A 192.0.2.9\n", false},
    {BASE "w CNAME w.ZONE0.test.\n", false}, /* in the first zone, and outside the others */
    {BASE "w CNAME w.zone1.test.\n", false}, /* in the second */
    {BASE "h TXT a\nh 30 TXT b\n", false},   /* a warning */
    {BASE "n NSAP-PTR ns\n", false},         /* a name that nobody follows stays, though it is relative */
    {BASE "bbbb." LABEL60 "." LABEL60 "." LABEL60 " A 192.0.2.7\n", true}, /* too long in one of the zones */
    {BASE "l MX 1 " LABEL60 "." LABEL60 "." LABEL60 ".other.\n", true},
    {"$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns.other.\n$ORIGIN a\nb A 192.0.2.8\n$ORIGIN other.\n", true},
    {"@ SOA broken\n", false},
};

static const char *const names[] = {"zone0.test",
                                    "zone1.test",
                                    "zone2.test",
                                    "zone3.test",
                                    "a.very.long.name.of.a.zone.test",
                                    "x",
                                    "*.zone1.test",
                                    LABEL60 "."
                                            "z.test",
                                    "y.zone3.test",
                                    "test"};
enum { NAMES = sizeof names / sizeof *names };

struct zone {
  struct config_zone config;
  struct zone_slot slot;
  struct name name;
};

static bool add_bytes(void *arg, const void *bytes, size_t n) {
  buf_add(arg, bytes, n);
  return true;
}

static void image_of(const struct zone_loaded *l, struct buf *out) {
  uint64_t size;
  assert_int_equal(zone_image_write(l->snap, add_bytes, out, &size), ERR_OK);
}

static void same_diags(const struct diags *a, const struct diags *b) {
  struct buf text_a = {0}, text_b = {0};
  diags_print(a, &text_a);
  diags_print(b, &text_b);
  assert_string_equal(buf_text(&text_a), buf_text(&text_b));
  buf_done(&text_a);
  buf_done(&text_b);
}

static void check_zone(struct alike *a, const struct zone_slot *z) {
  struct diags said = {0}, wanted = {0};
  struct zone_loaded got = {0}, read = {0};
  struct buf image = {0}, read_image = {0};
  enum err err = alike_load(a, z, &said, &got), read_err = zone_file_load(z, NULL, NULL, &wanted, &read);
  assert_int_equal(err, read_err);
  same_diags(&said, &wanted);
  if (!err) {
    image_of(&got, &image);
    image_of(&read, &read_image);
    assert_int_equal(image.size, read_image.size);
    assert_memory_equal(image.data, read_image.data, image.size);
    assert_memory_equal(&got.digest, &read.digest, sizeof got.digest);
    assert_int_equal(got.file_count, 1);
    assert_string_equal(got.files[0].path, path);
    assert_int_equal(got.files[0].mtime_ns, read.files[0].mtime_ns);
    assert_int_equal(got.bytes, read.bytes);
  }
  zone_loaded_done(&got);
  zone_loaded_done(&read);
  diags_done(&said);
  diags_done(&wanted);
  buf_done(&image);
  buf_done(&read_image);
}

static void write_text(const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void test_moved_is_as_read(void **state) {
  struct config_zone_options options = {.file = path};
  struct zone zones[NAMES] = {0};
  for (size_t i = 0; i < NAMES; i++) {
    assert_int_equal(name_from_text(names[i], strlen(names[i]), &name_root, &zones[i].name, NULL, NULL), ERR_OK);
    zones[i].config = (struct config_zone){.name = zones[i].name.octets, .options = &options};
    zones[i].slot.config = &zones[i].config;
  }
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    struct alike a = {0};
    write_text(rows[r].text);
    for (size_t i = 0; i < NAMES; i++) {
      check_zone(&a, &zones[i].slot);
      if (i == 1 && a.proven != rows[r].proven) fail_msg("row %zu", r);
    }
    alike_done(&a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_moved_is_as_read)};
  int fd = mkstemp(path);
  if (fd < 0 || close(fd)) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return unlink(path) || failed;
}
