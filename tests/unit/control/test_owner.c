/* "Who owns a zone": what a file, other writers and both together make of a zone, over reloads and restarts. */
#include "house.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "a.example."
#define SEEDED "{name: a.example, file: a.zone, editable: true}"
#define BY_FILE "{name: a.example, file: a.zone}"

static void begin(struct house *h, const char *zones, const char *records) {
  house_init(h);
  house_zone(h, "a.zone", 1, records);
  house_config(h, zones);
  house_start(h);
}

static struct name at(const char *label) {
  struct name apex = name_of(A), owner;
  assert_int_equal(name_from_text(label, strlen(label), &apex, &owner, NULL, NULL), ERR_OK);
  return owner;
}

/* Another writer than the file gives the name this one address; 0: it takes it away. */
static void edit(struct house *h, const char *label, unsigned old, unsigned new) {
  struct zone_slot *z = house_slot(h, A);
  struct zone_edit *e;
  struct zone_snap *snap;
  struct pipeline *p;
  struct store_error why;
  struct buf note = {0};
  enum zone_add outcome;
  size_t changed;
  struct name owner = at(label);
  uint8_t rdata[4] = {192, 0, 2, 0};
  assert_int_equal(zone_edit_begin(z->snap, NULL, &e), ERR_OK);
  rdata[3] = (uint8_t)old;
  if (old) assert_int_equal(zone_edit_remove(e, &owner, RR_A, rdata, 4), ERR_OK);
  rdata[3] = (uint8_t) new;
  if (new) assert_int_equal(zone_edit_add(e, &owner, RR_A, 60, rdata, 4, &outcome), ERR_OK);
  assert_int_equal(zone_edit_finish(e, &snap), ERR_OK);
  struct change_info info = {.door = DOOR_COMMAND, .author = "somebody", .fresh_serial = true};
  assert_int_equal(pipeline_begin(h->control, &p), ERR_OK);
  assert_int_equal(pipeline_add(p, z, snap, &info, fake_net_now(h->net), &note), ERR_OK);
  assert_int_equal(pipeline_commit(p, fake_net_now(h->net), &changed, &why), ERR_OK);
  buf_done(&note);
}

/* The last octets of the name's addresses, "1 2". */
static const char *addresses(struct house *h, const char *label, char out[64]) {
  struct zone_slot *z = house_slot(h, A);
  struct name owner = at(label);
  uint8_t key[NAME_KEY_BYTES];
  struct zone_rrset set;
  struct zone_lookup q = {.snap = z->snap, .key = key, .key_size = (uint16_t)name_key(&owner, key)};
  zone_lookup(&q);
  out[0] = 0;
  if (!q.found.node || !zone_find_rrset(q.found.node, RR_A, &set)) return out;
  const uint8_t *at = set.rrs, *rdata;
  uint16_t size;
  for (unsigned i = 0, used = 0; i < set.count; i++) {
    zone_rr_next(&at, &rdata, &size);
    used += (unsigned)snprintf(out + used, 64 - used, "%s%u", i ? " " : "", rdata[3]);
  }
  return out;
}

static void expect(struct house *h, const char *label, const char *want) {
  char got[64];
  assert_string_equal(addresses(h, label, got), want);
}

static const char *reload(struct house *h, bool force, bool good) {
  char json[100];
  uint64_t token = ++h->last_token;
  snprintf(json, sizeof json, "{\"command\":\"reload\",\"zone\":\"%s\",\"force\":%s}", A, force ? "true" : "false");
  house_tell(h, token, json);
  struct house_reply *r = house_reply_of(h, token);
  if (good != (strstr(r->text, "\"ok\":true") != NULL)) fail_msg("%s", r->text);
  return r->text;
}

#define HAS(text, part) \
  if (!strstr(text, part)) fail_msg("no `%s` in %s", part, text)

static void test_both_sides_go_on(void **state) {
  struct house h;
  begin(&h, SEEDED, "www 60 IN A 192.0.2.1\n");
  assert_false(house_slot(&h, A)->departed);
  edit(&h, "dyn", 0, 9);
  assert_true(house_slot(&h, A)->departed);
  assert_int_equal(house_serial(&h, A), 2);
  edit(&h, "dyn", 0, 8);
  HAS(reload(&h, false, true), "nothing changed");
  expect(&h, "dyn", "8 9");
  house_zone(&h, "a.zone", 1, "www 60 IN A 192.0.2.2\nnew 60 IN A 192.0.2.3\n");
  house_restart(&h); /* a start reads files as a reload does */
  expect(&h, "www", "2");
  expect(&h, "new", "3");
  expect(&h, "dyn", "8 9");
  assert_int_equal(house_serial(&h, A), 4);
  house_zone(&h, "a.zone", 2, "www 60 IN A 192.0.2.2\n"); /* the seed followed: only this goes */
  HAS(reload(&h, false, true), "serial 5 is served");
  expect(&h, "new", "");
  expect(&h, "dyn", "8 9");
  edit(&h, "www", 2, 0);
  edit(&h, "dyn", 8, 0);
  house_zone(&h, "a.zone", 3, "dyn 60 IN A 192.0.2.9\n"); /* the file has caught up */
  HAS(reload(&h, false, true), "nothing changed");
  assert_false(house_slot(&h, A)->departed);
  house_zone(&h, "a.zone", 9, "");
  HAS(reload(&h, false, true), "serial 9 is served"); /* higher than ours would be */
  expect(&h, "dyn", "");
  house_done(&h);
}

static void test_conflict_refuses_and_lists(void **state) {
  struct house h;
  const char *said;
  begin(&h, SEEDED, "www 60 IN A 192.0.2.1\nx 60 IN A 192.0.2.1\n");
  edit(&h, "www", 1, 3);
  edit(&h, "x", 1, 0);
  house_zone(&h, "a.zone", 2, "www 60 IN A 192.0.2.2\nx 60 IN A 192.0.2.2\nnew 60 IN A 192.0.2.4\n");
  said = reload(&h, false, false);
  HAS(said,
      "a.zone:4:1: error: www.a.example. A was changed on both sides; in the file: 192.0.2.2; in the zone: 192.0.2.3 [conflict]");
  HAS(said, "a.zone:5:1: error: x.a.example. A was changed on both sides; in the file: 192.0.2.2; in the zone: removed [conflict]");
  HAS(said, "--force");
  expect(&h, "www", "3");
  expect(&h, "new", "");
  edit(&h, "dyn", 0, 9); /* the trouble is the file's, and stays */
  HAS(house_slot(&h, A)->file_trouble, "and 1 more");
  house_restart(&h);
  HAS(house_slot(&h, A)->file_trouble, "conflict");
  expect(&h, "dyn", "9");
  reload(&h, false, false);
  HAS(reload(&h, true, true), "serial 5 is served");
  expect(&h, "www", "2");
  expect(&h, "dyn", "");
  assert_false(house_slot(&h, A)->departed);
  assert_null(house_slot(&h, A)->file_trouble);
  edit(&h, "dyn", 0, 9);
  HAS(reload(&h, true, true), "serial 7 is served"); /* the file did not change, and is law all the same */
  expect(&h, "dyn", "");
  house_done(&h);
}

static void test_merge_that_makes_a_bad_zone(void **state) {
  struct house h;
  begin(&h, SEEDED, "");
  edit(&h, "www", 0, 1);
  house_zone(&h, "a.zone", 2, "www 60 IN CNAME ns1\n");
  HAS(reload(&h, false, false), "with the zone's own changes: ");
  expect(&h, "www", "1");
  house_zone(&h, "a.zone", 2, "");
  HAS(reload(&h, false, true), "nothing changed");
  assert_null(house_slot(&h, A)->file_trouble);
  house_done(&h);
}

static void test_owner_changes(void **state) {
  struct house h;
  begin(&h, BY_FILE, "www 60 IN A 192.0.2.1\n");
  uint64_t id = house_slot(&h, A)->store_id;
  house_config(&h, SEEDED);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  edit(&h, "dyn", 0, 9);
  house_config(&h, BY_FILE);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  expect(&h, "dyn", "9"); /* the file has not changed */
  assert_true(house_slot(&h, A)->departed);
  house_config(&h, SEEDED);
  house_restart(&h);
  expect(&h, "dyn", "9");
  house_zone(&h, "a.zone", 1, "www 60 IN A 192.0.2.2\n");
  reload(&h, false, true);
  expect(&h, "www", "2");
  expect(&h, "dyn", "9");
  house_config(&h, BY_FILE);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  house_zone(&h, "a.zone", 9, "www 60 IN A 192.0.2.3\n"); /* now it is law */
  reload(&h, false, true);
  expect(&h, "www", "3");
  expect(&h, "dyn", "");
  assert_false(house_slot(&h, A)->departed);
  assert_int_equal(house_slot(&h, A)->store_id, id);
  assert_int_equal(house_slot(&h, A)->version, 4);
  house_done(&h);
}

/* What came another way than by the file that is named now is not given up for it unless told to. */
static void test_a_file_for_what_had_none(void **state) {
  struct house h;
  begin(&h, SEEDED, "www 60 IN A 192.0.2.1\n");
  house_slot(&h, A)->source_size = 0;
  HAS(reload(&h, false, true), "nothing changed");
  house_slot(&h, A)->source_size = 0;
  house_zone(&h, "a.zone", 2, "");
  HAS(reload(&h, false, false), "did not come from this file");
  expect(&h, "www", "1");
  reload(&h, true, true);
  expect(&h, "www", "");
  house_done(&h);
}

/* ---- commands ---- */

static const char *give(struct house *h, bool good, const char *format, ...) PRINTF_LIKE(3, 4);
static const char *give(struct house *h, bool good, const char *format, ...) {
  struct buf json = {0};
  va_list args;
  char text[1000];
  uint64_t token = ++h->last_token;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  buf_printf(&json, "{%s}", text);
  house_tell(h, token, buf_text(&json));
  buf_done(&json);
  struct house_reply *r = house_reply_of(h, token);
  if (good != (strstr(r->text, "\"ok\":true") != NULL)) fail_msg("%s", r->text);
  return r->text;
}

#define TEXT(serial, records) "\"text\":\"@ 60 SOA ns1 h " serial " 1 1 1 1\\n@ 60 NS ns1\\nns1 60 A 192.0.2.53\\n" records "\""
#define IMPORT(zone) "\"command\":\"import\",\"zone\":\"" zone "\","

static void test_import(void **state) {
  struct house h;
  begin(&h, BY_FILE ", {name: b.example, managed: true}", "");
  HAS(give(&h, false, IMPORT("a.example") TEXT("1", "")), "only its file changes the zone: ");
  assert_int_equal(house_serial(&h, "b.example."), NOT_SERVED);
  HAS(slot_wrong(house_slot(&h, "b.example.")), "no content yet");
  HAS(give(&h, false, IMPORT("b.example") TEXT("7", "x 60 A 1.2.3\\n")), "4:8: error: invalid address");
  HAS(give(&h, false, IMPORT("b.example") TEXT("7", "$INCLUDE x\\n")), "$INCLUDE");
  HAS(give(&h, true, IMPORT("b.example") TEXT("7", "") ",\"dry-run\":true"), "0 records would go and 3 come, serial 7");
  assert_int_equal(house_serial(&h, "b.example."), NOT_SERVED);
  HAS(give(&h, true, IMPORT("b.example") TEXT("7", "") ",\"base\":0"), "serial 7 is served");
  assert_null(slot_wrong(house_slot(&h, "b.example.")));
  HAS(give(&h, true, IMPORT("b.example") TEXT("7", "x 60 A 192.0.2.1\\n") ",\"dry-run\":true"),
      "1 record would go and 2 come, serial 8");
  HAS(give(&h, false, IMPORT("b.example") TEXT("7", "x 60 A 192.0.2.1\\n") ",\"base\":0"), "changed meanwhile");
  HAS(give(&h, true, IMPORT("b.example") TEXT("7", "x 60 A 192.0.2.1\\n") ",\"base\":1"), "serial 8 is served");
  HAS(give(&h, true, IMPORT("b.example") TEXT("7", "x 60 A 192.0.2.1\\n")), "nothing changed");
  assert_true(house_done_at_once(&h, "reload", "b.example", NULL));
  house_restart(&h);
  assert_int_equal(house_serial(&h, "b.example."), 8);
  house_done(&h);
}

static void config_with_templates(struct house *h, const char *templates, const char *zones) {
  struct buf text = {0};
  buf_printf(&text,
             "server: {listen: ['127.0.0.1@5300'], state: state}\npeers:\n  - {name: p1, address: '192.0.2.1@53'}\n"
             "templates: {%s}\nzones: [%s]\n",
             templates, zones);
  house_file(h, "tandem.yaml", buf_text(&text));
  buf_done(&text);
}

#define ADD(zone, template) "\"command\":\"zone-add\",\"zone\":\"" zone "\",\"template\":\"" template "\""
#define DELETE(zone) "\"command\":\"zone-delete\",\"zone\":\"" zone "\""
#define TEMPLATES "m: {managed: true}, half: {serial: date}, s: {primaries: [p1]}, f: {file: '%s.zone'}"

static void test_zones_at_run_time(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "a.zone", 1, "");
  config_with_templates(&h, TEMPLATES, BY_FILE);
  house_start(&h);
  HAS(give(&h, false, ADD("a.example", "m")), "the configuration has the zone already");
  HAS(give(&h, false, ADD("b.example", "none")), "there is no template none");
  HAS(give(&h, false, ADD("b.example", "half")), "makes no zone by itself: it names neither");
  HAS(give(&h, false, DELETE("a.example")), "the zone stands in the configuration, at ");
  HAS(give(&h, true, ADD("b.example", "m")), "b.example: added; it has no content yet");
  HAS(give(&h, false, ADD("B.example", "m")), "there already");
  house_restart(&h);
  assert_int_equal(house_serial(&h, "b.example."), NOT_SERVED);
  give(&h, true, IMPORT("b.example") TEXT("3000000000", ""));
  assert_int_equal(house_serial(&h, "b.example."), 3000000000);
  house_zone(&h, "c.example.zone", 5, "");
  HAS(give(&h, true, ADD("c.example", "f")), "serial 5 is served");
  give(&h, true, ADD("d.example", "s"));
  house_restart(&h);
  assert_int_equal(house_serial(&h, "b.example."), 3000000000);
  assert_int_equal(house_serial(&h, "c.example."), 5);
  assert_true(slot_is_secondary(house_slot(&h, "d.example.")));
  /* a reload keeps them, and a template that they need */
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  config_with_templates(&h, "s: {primaries: [p1]}, f: {file: '%s.zone'}", BY_FILE);
  const char *text;
  assert_false(house_done_at_once(&h, "reload", NULL, &text));
  HAS(text, "there is no template m, which the zone b.example has that was added at run time");
  assert_int_equal(house_serial(&h, "b.example."), 3000000000);
  config_with_templates(&h, TEMPLATES, BY_FILE);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  /* deleted, gone over restarts, and back again with what it had */
  HAS(give(&h, true, DELETE("b.example")), "deleted");
  assert_null(house_slot(&h, "b.example."));
  house_restart(&h);
  assert_null(house_slot(&h, "b.example."));
  HAS(give(&h, true, ADD("b.example", "m")), "it is back with what it had, serial 3000000000");
  /* the configuration takes one over, and lets go of it */
  config_with_templates(&h, TEMPLATES, BY_FILE ", {name: b.example, managed: true}");
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  assert_false(house_slot(&h, "b.example.")->run_time);
  HAS(give(&h, false, DELETE("b.example")), "stands in the configuration");
  house_restart(&h);
  assert_int_equal(house_serial(&h, "b.example."), 3000000000);
  config_with_templates(&h, TEMPLATES, BY_FILE);
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  assert_null(house_slot(&h, "b.example."));
  house_restart(&h);
  assert_null(house_slot(&h, "b.example."));
  assert_int_equal(house_serial(&h, "c.example."), 5);
  house_done(&h);
}

/* A template that is gone at a start keeps the zone from being served, and not from being kept. */
static void test_template_gone_at_start(void **state) {
  struct house h;
  house_init(&h);
  house_zone(&h, "a.zone", 1, "");
  config_with_templates(&h, TEMPLATES, BY_FILE);
  house_start(&h);
  give(&h, true, ADD("b.example", "m"));
  give(&h, true, IMPORT("b.example") TEXT("7", ""));
  house_config(&h, BY_FILE);
  house_restart(&h);
  assert_null(house_slot(&h, "b.example."));
  config_with_templates(&h, TEMPLATES, BY_FILE);
  house_restart(&h);
  assert_int_equal(house_serial(&h, "b.example."), 7);
  house_done(&h);
}

static void move_segments(const struct house *h, bool away) {
  char there[TEST_PATH_BYTES], aside[TEST_PATH_BYTES];
  snprintf(there, sizeof there, "%.60s/state/segments", h->dir.root);
  snprintf(aside, sizeof aside, "%.60s/aside", h->dir.root);
  if (!away) assert_int_equal(rmdir(there), 0);
  assert_int_equal(away ? rename(there, aside) : rename(aside, there), 0);
}

static void start_without_segments(struct house *h) {
  house_stop(h);
  move_segments(h, true);
  house_start(h);
}

/* What was acknowledged is not given up for the file that seeded it because the disk can't be read now. */
static void test_a_log_that_can_not_be_read(void **state) {
  struct house h;
  begin(&h, SEEDED ", {name: b.example, managed: true}", "www 60 IN A 192.0.2.1\n");
  give(&h, true, IMPORT("b.example") TEXT("7", ""));
  edit(&h, "dyn", 0, 9);
  start_without_segments(&h);
  assert_int_equal(house_serial(&h, A), NOT_SERVED);
  HAS(slot_wrong(house_slot(&h, A)), "what the store has of it can't be read");
  HAS(slot_wrong(house_slot(&h, "b.example.")), "what the store has of it can't be read");
  HAS(reload(&h, false, false), "--force");
  assert_int_equal(house_serial(&h, A), NOT_SERVED);
  house_stop(&h);
  move_segments(&h, false);
  house_start(&h);
  expect(&h, "dyn", "9");
  assert_null(slot_wrong(house_slot(&h, A)));
  assert_int_equal(house_serial(&h, "b.example."), 7);
  start_without_segments(&h);
  HAS(reload(&h, true, true), "serial 3 is served");
  expect(&h, "dyn", "");
  house_done(&h);
}

/* A file that alone changes the zone is all that it needs. */
static void test_a_file_for_a_log_that_can_not_be_read(void **state) {
  struct house h;
  begin(&h, BY_FILE, "www 60 IN A 192.0.2.1\n");
  start_without_segments(&h);
  assert_int_equal(house_serial(&h, A), 1);
  expect(&h, "www", "1");
  house_done(&h);
}

/* ---- write-back ---- */

#define WRITTEN "{name: a.example, file: a.zone, editable: true, write-back: 5}"

static void read_zone_file(struct house *h, struct buf *out) {
  char path[TEST_PATH_BYTES], bytes[4096];
  snprintf(path, sizeof path, "%.60s/a.zone", h->dir.root);
  FILE *f = fopen(path, "re");
  assert_non_null(f);
  buf_clear(out);
  buf_add(out, bytes, fread(bytes, 1, sizeof bytes, f));
  fclose(f);
}

static void test_write_back(void **state) {
  struct house h;
  struct buf text = {0};
  char path[TEST_PATH_BYTES], real[TEST_PATH_BYTES];
  struct stat st;
  begin(&h, WRITTEN, "www 60 IN A 192.0.2.1\n");
  snprintf(path, sizeof path, "%.60s/a.zone", h.dir.root);
  snprintf(real, sizeof real, "%.60s/real", h.dir.root);
  assert_int_equal(rename(path, real) || symlink("real", path) || chmod(real, 0640), 0);
  edit(&h, "dyn", 0, 9);
  house_run_ms(&h, 3000);
  edit(&h, "dyn", 9, 8); /* is written with the first one */
  read_zone_file(&h, &text);
  assert_null(strstr(buf_text(&text), "dyn"));
  house_run_ms(&h, 2100);
  read_zone_file(&h, &text);
  HAS(buf_text(&text), "dyn.a.example. 60 IN A 192.0.2.8\n");
  HAS(buf_text(&text), "SOA ns1.a.example. h.a.example. 3 ");
  assert_true(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
  assert_true(stat(real, &st) == 0 && (st.st_mode & 0777) == 0640);
  assert_false(house_slot(&h, A)->departed);
  HAS(reload(&h, false, true), "nothing changed");
  house_restart(&h);
  assert_int_equal(house_slot(&h, A)->version, 3);
  edit(&h, "dyn", 8, 7); /* what is not written when the server ends is written after its next start */
  house_restart(&h);
  assert_true(house_slot(&h, A)->departed);
  house_run_ms(&h, 5100);
  assert_false(house_slot(&h, A)->departed);
  buf_done(&text);
  house_done(&h);
}

static void test_write_back_of_a_file_changed_by_hand(void **state) {
  struct house h;
  struct buf text = {0};
  begin(&h, WRITTEN, "www 60 IN A 192.0.2.1\n");
  edit(&h, "dyn", 0, 9);
  house_zone(&h, "a.zone", 1, "www 60 IN A 192.0.2.2\n");
  house_run_ms(&h, 5100);
  read_zone_file(&h, &text);
  assert_null(strstr(buf_text(&text), "dyn"));
  HAS(slot_wrong(house_slot(&h, A)), "was changed by hand");
  HAS(slot_wrong(house_slot(&h, A)), "tandem reload");
  edit(&h, "dyn", 0, 8); /* it stays said, and the file as it is */
  house_run_ms(&h, 5100);
  HAS(slot_wrong(house_slot(&h, A)), "was changed by hand");
  reload(&h, false, true);
  assert_null(slot_wrong(house_slot(&h, A)));
  house_run_ms(&h, 5100);
  read_zone_file(&h, &text);
  HAS(buf_text(&text), "www.a.example. 60 IN A 192.0.2.2\n");
  HAS(buf_text(&text), "dyn.a.example. 60 IN A 192.0.2.9\n");
  buf_done(&text);
  house_done(&h);
}

/* A crash behind the rename leaves a file that the log does not know yet, and that is as the log is. */
static void test_write_back_that_the_store_missed(void **state) {
  struct house h;
  begin(&h, WRITTEN, "");
  edit(&h, "dyn", 0, 9);
  house_run_ms(&h, 4900);
  faults = (struct faults){
      .mode = FAULT_FROM_THEN_ON, .at = 6 /* created, written, synced, renamed, directory synced */, .error = ENOSPC};
  house_run_ms(&h, 5100);
  HAS(slot_wrong(house_slot(&h, A)), "can't be written back: no space left for log.db");
  assert_true(house_slot(&h, A)->departed);
  faults = (struct faults){0};
  house_restart(&h);
  expect(&h, "dyn", "9");
  assert_int_equal(house_slot(&h, A)->version, 2);
  assert_false(house_slot(&h, A)->departed);
  assert_null(slot_wrong(house_slot(&h, A)));
  house_done(&h);
}

static void test_write_back_wants_plain_files(void **state) {
  struct house h;
  const char *text;
  begin(&h, SEEDED, "$GENERATE 1-3 h$ A 192.0.2.$\n");
  house_config(&h, WRITTEN);
  assert_false(house_done_at_once(&h, "reload", NULL, &text));
  HAS(text, "a.zone:4:1: error: a file with $GENERATE can't be written back [generate]");
  expect(&h, "h2", "2");
  house_restart(&h);
  HAS(slot_wrong(house_slot(&h, A)), "$GENERATE");
  house_zone(&h, "a.zone", 1, "$INCLUDE more\n");
  HAS(reload(&h, false, false), "a file with $INCLUDE can't be written back [include]");
  house_config(&h, SEEDED);
  house_file(&h, "more", "x 60 IN A 192.0.2.1\n");
  reload(&h, false, false); /* the configuration is not in force yet */
  assert_true(house_done_at_once(&h, "reload", NULL, NULL));
  expect(&h, "x", "1");
  house_done(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_sides_go_on),
      cmocka_unit_test(test_conflict_refuses_and_lists),
      cmocka_unit_test(test_merge_that_makes_a_bad_zone),
      cmocka_unit_test(test_owner_changes),
      cmocka_unit_test(test_a_file_for_what_had_none),
      cmocka_unit_test(test_import),
      cmocka_unit_test(test_zones_at_run_time),
      cmocka_unit_test(test_template_gone_at_start),
      cmocka_unit_test(test_a_log_that_can_not_be_read),
      cmocka_unit_test(test_a_file_for_a_log_that_can_not_be_read),
      cmocka_unit_test(test_write_back),
      cmocka_unit_test(test_write_back_of_a_file_changed_by_hand),
      cmocka_unit_test(test_write_back_that_the_store_missed),
      cmocka_unit_test(test_write_back_wants_plain_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
