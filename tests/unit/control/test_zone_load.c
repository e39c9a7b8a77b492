/* Zone files to snapshots and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/zone_export.h"
#include "control/zone_load.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

static int enter(void **state) {
  snprintf(top, sizeof top, "/tmp/tandem-zoneload-XXXXXX");
  return !mkdtemp(top) || chdir(top) != 0;
}

static int leave(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", top);
  return chdir("/") || system(command);
}

static struct name name_of(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &n, NULL, NULL), ERR_OK);
  return n;
}

static enum err load_text(const char *apex, const char *text, struct diags *d, struct zone_loaded *out) {
  struct name a = name_of(apex);
  return zone_load_bytes("z", (const uint8_t *)text, strlen(text), &a, NULL, d, out);
}

#define BASE "@ 60 SOA ns h 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"

/* All diags of a text, and whether it gives a zone. */
static void expect(const char *text, enum err error, const char *diags) {
  struct diags d = {0};
  struct buf got = {0};
  struct zone_loaded l = {0};
  enum err e = load_text("example.", text, &d, &l);
  diags_print(&d, &got);
  if (e != error || strcmp(buf_text(&got), diags) != 0) fail_msg("error %d\n%s--- wanted %d\n%s", e, buf_text(&got), error, diags);
  assert_true((e == ERR_OK) == (l.snap != NULL));
  zone_loaded_done(&l);
  buf_done(&got);
  diags_done(&d);
}

static void good_zone(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  assert_int_equal(load_text("example.", BASE "w 60 A 192.0.2.2\n", &d, &l), ERR_OK);
  assert_int_equal(d.count, 0);
  assert_int_equal(zone_record_count(l.snap), 4);
  assert_int_equal(zone_serial(l.snap), 1);
  assert_int_equal(l.file_count, 0);
  struct zone_snap *s = zone_loaded_take(&l);
  assert_null(l.snap);
  zone_loaded_done(&l);
  zone_snap_unref(s);
}

static void zones_as_a_whole(void **state) {
  expect("", ERR_FORMAT,
         "z: error: the zone example. has no SOA record [no-soa]; give the zone's name a SOA record; is the origin right?\n");
  expect("@ 60 NS ns\nns 60 A 192.0.2.1\n", ERR_FORMAT,
         "z: error: the zone example. has no SOA record [no-soa]; give the zone's name a SOA record; is the origin right?\n");
  expect("@ 60 NS x y\n", ERR_FORMAT,
         "z:1:11: error: unexpected token after name server in NS: y [rdata]; the record should end here\n");
}

static void soas(void **state) {
  expect(BASE "@ 60 SOA ns h 1 3600 600 86400 60\n@ 60 SOA NS h 1 3600 600 86400 60\n", ERR_OK, "");
  expect(BASE "@ 60 SOA ns h 2 3600 600 86400 60\n", ERR_FORMAT,
         "z:4:1: error: example. has another SOA already [several-soa]; keep one\n");
  expect(BASE "a 60 SOA ns h 2 3600 600 86400 60\n", ERR_FORMAT,
         "z:4:1: error: a.example. has a SOA, but is not the zone's name [soa-not-at-apex]; a zone has one SOA, at its own name\n");
}

static void out_of_zone(void **state) {
  expect(BASE "a.other. 60 A 192.0.2.2\nb.example 60 A 192.0.2.2\nc.anexample. 60 A 192.0.2.2\n", ERR_FORMAT,
         "z:4:1: error: a.other. is not in the zone example. [out-of-zone]; is a dot missing, or one too many, at the end of a "
         "name, or "
         "a $ORIGIN wrong?\n"
         "z:6:1: error: c.anexample. is not in the zone example. [out-of-zone]; is a dot missing, or one too many, at the end of a "
         "name, "
         "or a $ORIGIN wrong?\n");
}

static void findings_have_places(void **state) {
  expect(BASE "\nA 60 TXT x\n  60 CNAME b\n", ERR_FORMAT,
         "z:6:3: error: A.example. has a CNAME and also TXT [cname-and-other-data]; a name with a CNAME has no other records\n");
  expect(BASE "@ 60 MX 10 m\na 60 A 192.0.2.1 ; the rest is fine\n@ 60 MX 20 n\n", ERR_OK,
         "z:4:1: warning: m.example., which the MX of example. names, has no address [mx-no-address]; add an A or AAAA record for "
         "it; is a "
         "dot missing at the end of the name?\n"
         "z:4:1: warning: n.example., which the MX of example. names, has no address [mx-no-address]; add an A or AAAA record for "
         "it; is a "
         "dot missing at the end of the name?\n");
  expect("$GENERATE 1-2 a$ 60 CNAME b\n$GENERATE 1-2 a$ 60 A 192.0.2.$\n" BASE, ERR_FORMAT,
         "z:1:27: error: a1.example. has a CNAME and also A [cname-and-other-data]; a name with a CNAME has no other records\n"
         "z:1:27: error: a2.example. has a CNAME and also A [cname-and-other-data]; a name with a CNAME has no other records\n");
}

static void duplicates_are_one(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  assert_int_equal(load_text("example.", BASE "a 60 A 192.0.2.2\nA 60 A 192.0.2.2\na 60 MX 0 B.\na 60 MX 0 b.\n", &d, &l), ERR_OK);
  assert_int_equal(d.count, 0);
  assert_int_equal(zone_record_count(l.snap), 5);
  zone_loaded_done(&l);
  diags_done(&d);
}

static void ttls_that_differ(void **state) {
  expect(BASE "a 60 A 192.0.2.1\nb 5 A 192.0.2.1\na 30 A 192.0.2.2\na 40 A 192.0.2.3\n", ERR_OK,
         "z:4:1: warning: a.example. A has TTL 60 here and 30 elsewhere; the lower is kept [ttl-mismatch]; give all records of the "
         "set one TTL\n");
}

static void text_mistakes_only(void **state) {
  /* A file with mistakes in its text is not judged as a zone: what is missing may be what could not be read. */
  expect("@ 60 SOA ns h 1 3600 600 86400\n@ 60 NS ns\n", ERR_FORMAT,
         "z:1:31: error: missing minimum in SOA [rdata]; seconds from 0 to 4294967295, or with units such as 1h30m\n");
}

static void export_text(const struct zone_snap *s, struct buf *out) {
  assert_int_equal(zone_export_buf(s, out), ERR_OK);
}

static void check_round_trip(const char *apex_text, const struct zone_snap *s) {
  struct buf text = {0};
  struct diags d = {0}, printed = {0};
  struct zone_loaded again = {0};
  struct name apex = name_of(apex_text);
  export_text(s, &text);
  uint64_t lines = 0;
  for (size_t i = 0; i < text.size; i++)
    lines += text.data[i] == '\n';
  assert_int_equal(lines, zone_record_count(s));
  enum err e = zone_load_bytes("again", text.data, text.size, &apex, NULL, &d, &again);
  if (e != ERR_OK) {
    struct buf said = {0};
    diags_print(&d, &said);
    fail_msg("%s: %s", apex_text, buf_text(&said));
  }
  assert_true(zone_equal(s, again.snap));
  assert_int_equal(zone_record_count(s), zone_record_count(again.snap));
  buf_done(&text);
  zone_loaded_done(&again);
  diags_done(&d);
  diags_done(&printed);
}

/* The zones of tests/data/zones: loaded without a word, and back. */
static void data_zones(void **state) {
  static const struct {
    const char *file, *apex;
    uint64_t records;
  } zones[] = {
      {"example.com.zone", "example.com.", 39},
      {"2.0.192.in-addr.arpa.zone", "2.0.192.in-addr.arpa.", 59},
      {"0_26.2.0.192.in-addr.arpa.zone", "0/26.2.0.192.in-addr.arpa.", 4},
      {"8.b.d.0.1.0.0.2.ip6.arpa.zone", "8.b.d.0.1.0.0.2.ip6.arpa.", 20},
      {"root.zone", ".", 15},
      {"no.zone", "no.", 8},
      {"crlf.zone", "example.", 4},
      {"escapes.zone", "a\\.b\\000\\255.example.", 8},
      {"parts/example.org.zone", "example.org.", 7},
      {"types.zone", "types.example.", 18},
      {"nsec.example.zone", "nsec.example.", 30},
      {"nsec3.example.zone", "nsec3.example.", 36},
  };
  for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
    char path[512];
    struct diags d = {0};
    struct buf said = {0};
    struct zone_loaded l = {0};
    struct name apex = name_of(zones[i].apex);
    snprintf(path, sizeof path, "%s/zones/%s", getenv("TEST_DATA"), zones[i].file);
    enum err e = zone_load_file(path, &apex, NULL, &d, &l);
    diags_print(&d, &said);
    if (e != ERR_OK || d.count) fail_msg("%s: error %d\n%s", zones[i].file, e, buf_text(&said));
    if (zone_record_count(l.snap) != zones[i].records)
      fail_msg("%s: %llu records", zones[i].file, (unsigned long long)zone_record_count(l.snap));
    check_round_trip(zones[i].apex, l.snap);
    buf_done(&said);
    zone_loaded_done(&l);
    diags_done(&d);
  }
}

static bool count_piece(void *arg, const char *text, size_t n) {
  size_t *c = arg;
  assert_in_range(n, 1, ZONE_EXPORT_PIECE_BYTES);
  assert_int_equal(text[n - 1], '\n');
  c[0]++;
  c[1] += n;
  return c[0] < c[2];
}

static void export_in_pieces(void **state) {
  struct buf text = {0};
  struct diags d = {0};
  struct zone_loaded l = {0};
  buf_add_text(&text, BASE "$GENERATE 1-65536 a$ 60 TXT \"some text to make it longer and longer and longer\"\n");
  assert_int_equal(load_text("example.", buf_text(&text), &d, &l), ERR_OK);
  size_t counts[3] = {0, 0, 1000};
  assert_int_equal(zone_export(l.snap, count_piece, counts), ERR_OK);
  assert_true(counts[0] > 5);
  buf_clear(&text);
  export_text(l.snap, &text);
  assert_int_equal(text.size, counts[1]);
  assert_int_equal(strncmp(buf_text(&text), "example. 60 IN SOA ", 19), 0);
  check_round_trip("example.", l.snap);
  counts[0] = 0;
  counts[2] = 2;
  assert_int_equal(zone_export(l.snap, count_piece, counts), ERR_IO);
  assert_int_equal(counts[0], 2);
  buf_done(&text);
  zone_loaded_done(&l);
  diags_done(&d);
}

static void load_main(struct zone_loaded *l) {
  struct diags d = {0};
  struct name apex = name_of("example.");
  assert_int_equal(zone_load_file("a.zone", &apex, NULL, &d, l), ERR_OK);
  assert_int_equal(d.count, 0);
  diags_done(&d);
}

static bool same_digest(const struct zone_loaded *a, const struct zone_loaded *b) {
  return a->digest.low == b->digest.low && a->digest.high == b->digest.high;
}

static void files_are_remembered(void **state) {
  struct zone_loaded a = {0}, b = {0};
  put("a.zone", BASE "$INCLUDE b.inc\n$INCLUDE b.inc x\n");
  put("b.inc", "b 60 A 192.0.2.2\n");
  load_main(&a);
  assert_int_equal(a.file_count, 3);
  assert_string_equal(a.files[0].path, "a.zone");
  assert_string_equal(a.files[1].path, "b.inc");
  assert_int_equal(a.files[1].size, 17);
  assert_true(zone_load_unchanged(a.files, a.file_count));

  /* The same content in another file: not unchanged, but the digest is the same. */
  put("c.inc", "b 60 A 192.0.2.2\n");
  assert_int_equal(rename("c.inc", "b.inc"), 0);
  assert_false(zone_load_unchanged(a.files, a.file_count));
  load_main(&b);
  assert_true(same_digest(&a, &b));
  zone_loaded_done(&b);

  put("b.inc", "b 60 A 192.0.2.3\n");
  assert_false(zone_load_unchanged(a.files, a.file_count));
  load_main(&b);
  assert_false(same_digest(&a, &b));
  assert_true(zone_load_unchanged(b.files, b.file_count));
  assert_int_equal(unlink("b.inc"), 0);
  assert_false(zone_load_unchanged(b.files, b.file_count));
  zone_loaded_done(&b);
  zone_loaded_done(&a);
}

static void files_that_fail(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  struct name apex = name_of("example.");
  assert_int_equal(zone_load_file("missing", &apex, NULL, &d, &l), ERR_IO);
  assert_int_equal(d.errors, 1);
  put("a.zone", BASE "$INCLUDE missing\n");
  assert_int_equal(zone_load_file("a.zone", &apex, NULL, &d, &l), ERR_FORMAT);
  assert_int_equal(d.errors, 2);
  assert_null(l.snap);
  assert_null(l.files);
  diags_done(&d);
}

/* Warnings of one zone don't keep another from loading with the same diags. */
static void diags_are_shared(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  assert_int_equal(load_text("example.", "x\n", &d, &l), ERR_FORMAT);
  assert_int_equal(load_text("example.", BASE, &d, &l), ERR_OK);
  zone_loaded_done(&l);
  diags_done(&d);
}

static void all_checks(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  struct name apex = name_of("example.");
  const char *text = BASE "a_b 60 A 192.0.2.2\n";
  struct zone_load_options o = {.all_checks = true};
  assert_int_equal(zone_load_bytes("z", (const uint8_t *)text, strlen(text), &apex, &o, &d, &l), ERR_OK);
  assert_int_equal(d.count, 1);
  assert_string_equal(d.list[0].check, "host-name");
  assert_int_equal(d.list[0].place.line, 4);
  zone_loaded_done(&l);
  diags_done(&d);
}

static void many_findings_are_counted(void **state) {
  struct diags d = {0};
  struct zone_loaded l = {0};
  assert_int_equal(load_text("example.", BASE "$GENERATE 1-1500 a$ 60 DS 1 13 99 00\n", &d, &l), ERR_OK);
  assert_int_equal(d.count, LIMIT_DIAGS);
  assert_int_equal(d.warnings, 1500);
  zone_loaded_done(&l);
  diags_done(&d);
}

enum { LARGE_RECORDS = 20000, LARGE_TXT_BYTES = 230 };

/* Some 5 MB of records, and these lines behind them. */
static struct buf large_file(const char *last) {
  struct buf text = {0};
  char octets[LARGE_TXT_BYTES + 1];
  memset(octets, 'x', LARGE_TXT_BYTES);
  octets[LARGE_TXT_BYTES] = 0;
  buf_add_text(&text, BASE);
  for (unsigned i = 0; i < LARGE_RECORDS; i++)
    buf_printf(&text, "h%u 60 TXT \"%s\"\n", i, octets);
  buf_add_text(&text, last);
  return text;
}

/* Loaded by one thread and by two: the same. */
static void expect_large(const char *last, enum err error, uint64_t records, const char *diags) {
  struct buf text = large_file(last);
  struct name apex = name_of("example.");
  struct zone_loaded l[2] = {{0}};
  for (unsigned two = 0; two < 2; two++) {
    struct diags d = {0};
    struct buf got = {0};
    struct zone_load_options o = {.two_threads = two};
    assert_int_equal(zone_load_bytes("z", text.data, text.size, &apex, &o, &d, &l[two]), error);
    diags_print(&d, &got);
    assert_string_equal(buf_text(&got), diags);
    if (!error) assert_int_equal(zone_record_count(l[two].snap), records);
    buf_done(&got);
    diags_done(&d);
  }
  if (!error) assert_true(zone_equal(l[0].snap, l[1].snap));
  zone_loaded_done(&l[0]);
  zone_loaded_done(&l[1]);
  buf_done(&text);
}

static void two_threads(void **state) {
  expect_large("h0 60 A 192.0.2.1\n", ERR_OK, LARGE_RECORDS + 4, "");
  expect_large("@ 60 SOA ns h 1 3600 600 86400 60\n", ERR_OK, LARGE_RECORDS + 3, "");
  expect_large("@ 60 SOA ns h 2 3600 600 86400 60\n", ERR_FORMAT, 0,
               "z:20004:1: error: example. has another SOA already [several-soa]; keep one\n");
  expect_large("out.of. 60 A 192.0.2.1\nh0 60 A 192.0.2\n", ERR_FORMAT, 0,
               "z:20004:1: error: out.of. is not in the zone example. [out-of-zone]; is a dot missing, or one too many, at the end "
               "of a name, or a $ORIGIN wrong?\n"
               "z:20005:9: error: invalid address in A: 192.0.2 [rdata]; an IPv4 address such as 192.0.2.1\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_zone),
      cmocka_unit_test(zones_as_a_whole),
      cmocka_unit_test(soas),
      cmocka_unit_test(out_of_zone),
      cmocka_unit_test(findings_have_places),
      cmocka_unit_test(duplicates_are_one),
      cmocka_unit_test(ttls_that_differ),
      cmocka_unit_test(text_mistakes_only),
      cmocka_unit_test(data_zones),
      cmocka_unit_test(export_in_pieces),
      cmocka_unit_test_setup_teardown(files_are_remembered, enter, leave),
      cmocka_unit_test_setup_teardown(files_that_fail, enter, leave),
      cmocka_unit_test(diags_are_shared),
      cmocka_unit_test(all_checks),
      cmocka_unit_test(many_findings_are_counted),
      cmocka_unit_test(two_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
