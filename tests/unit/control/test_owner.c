/* "Who owns a zone": what a file, other writers and both together make of a zone, over reloads and restarts. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
  int n = snprintf(json, sizeof json, "{\"command\":\"reload\",\"zone\":\"%s\",\"force\":%s}", A, force ? "true" : "false");
  control_command(h->control, token, "tester", json, (size_t)n, fake_net_now(h->net));
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
  HAS(reload(&h, false, true), "serial 8 is served");
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_both_sides_go_on),
      cmocka_unit_test(test_conflict_refuses_and_lists),
      cmocka_unit_test(test_merge_that_makes_a_bad_zone),
      cmocka_unit_test(test_owner_changes),
      cmocka_unit_test(test_a_file_for_what_had_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
