/* Three-way merges, one row each: what the file was, what it is, what the zone has; and what comes of it. */
#include "control/merge.h"
#include "control/zone_export.h"
#include "control/zone_load.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char soa_1[] = "@ 60 IN SOA ns1 h 1 3600 600 86400 300\n";
static const char base[] = "@ 60 IN NS ns1\nns1 60 IN A 192.0.2.53\n";

static struct zone_snap *load(const char *soa, const char *records) {
  struct buf text = {0};
  struct name apex;
  struct diags diags = {0};
  struct zone_load_options o = {0};
  struct zone_loaded loaded = {0};
  buf_printf(&text, "%s%s%s", soa, base, records);
  assert_int_equal(name_from_text("example.com.", 12, NULL, &apex, NULL, NULL), ERR_OK);
  if (zone_load_bytes("z", text.data, text.size, &apex, &o, &diags, &loaded)) fail_msg("%s: %s", records, diags.list[0].what);
  struct zone_snap *s = zone_loaded_take(&loaded);
  zone_loaded_done(&loaded);
  diags_done(&diags);
  buf_done(&text);
  return s;
}

static void tell(void *arg, const struct merge_conflict *c) {
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  buf_printf(arg, "%s %s: %s | %s;", name_text(c->owner, owner), rr_type_text(c->type, type), c->file, c->zone);
}

struct row {
  const char *seed, *file, *zone;
  const char *merged; /* NULL: it conflicts */
  const char *conflict;
};

#define W1 "www 60 IN A 192.0.2.1\n"
#define W2 "www 60 IN A 192.0.2.2\n"
#define W3 "www 60 IN A 192.0.2.3\n"
#define WWW "www.example.com. A: "

static const struct row rows[] = {
    {"", "", "", "", NULL},
    {"", "a 60 IN A 192.0.2.1\n", "b 60 IN A 192.0.2.2\n", "a 60 IN A 192.0.2.1\nb 60 IN A 192.0.2.2\n", NULL},
    {W1, W2, W1 "b 60 IN TXT x\n", W2 "b 60 IN TXT x\n", NULL},
    {W1, "", W1, "", NULL},
    {W1, W1, W2, W2, NULL},
    {W1, W2, W2, W2, NULL},
    {W1, "", "", "", NULL},
    /* values of one RRset that only one side has touched */
    {W1, W1 W2, W1 W3, W1 W2 W3, NULL},
    {W1 W2, W2, W1 W2 W3, W2 W3, NULL},
    {W1 W2, W2, W1, "", NULL},
    {"", W1, W1 W2, W1 W2, NULL},
    /* the same record on both sides */
    {W1, W2, W3, NULL, WWW "192.0.2.2 | 192.0.2.3;"},
    {W1, "", W3, NULL, WWW "removed | 192.0.2.3;"},
    {W1, W2, "", NULL, WWW "192.0.2.2 | removed;"},
    {"", W1, W2, NULL, WWW "192.0.2.1 | 192.0.2.2;"},
    {W1 W2, W3, W2, NULL, WWW "192.0.2.3 | removed;"},
    /* TTLs */
    {W1, "www 90 IN A 192.0.2.1\n", W1 W2, "www 90 IN A 192.0.2.1\nwww 90 IN A 192.0.2.2\n", NULL},
    {W1, W1 W2, "www 90 IN A 192.0.2.1\n", "www 90 IN A 192.0.2.1\nwww 90 IN A 192.0.2.2\n", NULL},
    {W1, "www 90 IN A 192.0.2.1\n", "www 90 IN A 192.0.2.1\n", "www 90 IN A 192.0.2.1\n", NULL},
    {W1, "www 90 IN A 192.0.2.1\n", "www 30 IN A 192.0.2.1\n", NULL, WWW "TTL 90 192.0.2.1 | TTL 30 192.0.2.1;"},
    {W1, "www 90 IN A 192.0.2.1\n", "", NULL, WWW "TTL 90 192.0.2.1 | removed;"},
    /* several at once, all of them told; names compare whatever their case */
    {W1 "x 60 IN A 192.0.2.1\n", W2 "X 60 IN A 192.0.2.2\n", W3 "x 60 IN A 192.0.2.3\n", NULL,
     WWW "192.0.2.2 | 192.0.2.3;x.example.com. A: 192.0.2.2 | 192.0.2.3;"},
};

static void check(const char *seed_soa, const char *file_soa, const char *zone_soa, const char *merged_soa, const struct row *r) {
  struct zone_snap *seed = load(seed_soa, r->seed), *file = load(file_soa, r->file), *zone = load(zone_soa, r->zone), *out = NULL;
  struct buf told = {0};
  enum err err = zone_merge(seed, file, zone, tell, &told, &out);
  if (!r->merged) {
    assert_int_equal(err, ERR_REFUSED);
    assert_string_equal(buf_text(&told), r->conflict);
  } else {
    if (err) fail_msg("%s", buf_text(&told));
    struct zone_snap *want = load(merged_soa, r->merged);
    if (!zone_equal(out, want)) {
      struct buf text = {0};
      assert_int_equal(zone_export_buf(out, &text), ERR_OK);
      fail_msg("%s / %s / %s gives\n%s", r->seed, r->file, r->zone, buf_text(&text));
    }
    zone_snap_unref(want);
    zone_snap_unref(out);
  }
  buf_done(&told);
  zone_snap_unref(seed);
  zone_snap_unref(file);
  zone_snap_unref(zone);
}

static void test_records(void **state) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    check(soa_1, soa_1, soa_1, soa_1, &rows[i]);
}

static void test_soa(void **state) {
  static const struct {
    const char *seed, *file, *zone, *merged, *conflict;
  } soas[] = {
      {"ns1 h 1 1 2 3 4", "ns1 h 5 1 2 3 4", "ns1 h 9 1 2 3 4", "ns1 h 9 1 2 3 4", NULL}, /* serials are no conflict */
      {"ns1 h 1 1 2 3 4", "ns1 h 9 1 2 3 4", "ns1 h 5 1 2 3 4", "ns1 h 9 1 2 3 4", NULL},
      {"ns1 h 7 1 2 3 4", "ns1 h 7 1 2 3 4", "ns1 h 5 1 2 3 4", "ns1 h 5 1 2 3 4", NULL},
      {"ns1 h 1 1 2 3 4", "ns1 h 2 9 2 3 4", "ns1 h 5 1 2 3 8", "ns1 h 5 9 2 3 8", NULL},
      {"ns1 h 1 1 2 3 4", "ns2 h 2 1 2 3 4", "ns1 x 5 1 2 3 4", "ns2 x 5 1 2 3 4", NULL},
      {"ns1 h 1 1 2 3 4", "ns2 h 2 1 2 3 4", "NS2 h 5 1 2 3 4", "ns2 h 5 1 2 3 4", NULL},
      {"ns1 h 1 1 2 3 4", "ns1 h 2 9 2 3 4", "ns1 h 5 8 2 3 4", NULL, "example.com. SOA: refresh 9 | refresh 8;"},
      {"ns1 h 1 1 2 3 4", "ns1 a 2 1 2 3 4", "ns1 b 5 1 2 3 4", NULL,
       "example.com. SOA: mailbox a.example.com. | mailbox b.example.com.;"},
  };
  for (size_t i = 0; i < sizeof soas / sizeof *soas; i++) {
    char text[4][80];
    const char *const from[] = {soas[i].seed, soas[i].file, soas[i].zone, soas[i].merged};
    for (int k = 0; k < 4; k++)
      snprintf(text[k], sizeof text[k], "@ 60 IN SOA %s\n", from[k] ? from[k] : "");
    struct row r = {"", "", "", soas[i].merged ? "" : NULL, soas[i].conflict};
    check(text[0], text[1], text[2], text[3], &r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_soa)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
