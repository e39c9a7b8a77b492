#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/grant.h"
#include "wire/rr.h"

static struct name name_of(const char *text) {
  struct name n;
  assert_int_equal(name_from_text(text, strlen(text), &name_root, &n, NULL, NULL), ERR_OK);
  return n;
}

static struct grant_pattern pattern_of(const char *text, uint8_t room[GRANT_PATTERN_BYTES]) {
  struct grant_pattern p = {room, 0};
  const char *why;
  if (grant_pattern_parse(text, strlen(text), room, &p.size, &why)) fail_msg("%s: %s", text, why);
  return p;
}

static bool matches(const char *pattern, const char *owner) {
  uint8_t room[GRANT_PATTERN_BYTES];
  struct grant_pattern p = pattern_of(pattern, room);
  struct name n = name_of(owner), apex = name_of("zone.example");
  return grant_pattern_matches(&p, &n, &apex);
}

static void patterns_match_whole_labels(void **state) {
  static const struct {
    const char *pattern, *owner;
    bool wanted;
  } rows[] = {
      {"www", "www.zone.example", true},
      {"www", "WWW.Zone.Example", true},
      {"WwW", "www.zone.example", true},
      {"www", "a.www.zone.example", false},
      {"www", "www.example", false},
      {"www.", "www.zone.example", false},
      {"www.zone.example.", "www.zone.example", true},
      {"@", "zone.example", true},
      {"@", "www.zone.example", false},
      {".", "zone.example", false},
      {"*", "www.zone.example", true},
      {"*", "zone.example", false},
      {"*", "a.b.zone.example", false},
      {"*", "*.zone.example", true},
      {"\\*", "*.zone.example", true},
      {"\\*", "www.zone.example", false},
      {"a*", "ab.zone.example", false},
      {"a*", "a*.zone.example", true},
      {"*.b", "a.b.zone.example", true},
      {"*.b", "b.zone.example", false},
      {"**", "zone.example", true},
      {"**", "a.b.c.zone.example", true},
      {"**", "other.example", false},
      {"**.", "other.example", true},
      {"_acme-challenge.**", "_acme-challenge.zone.example", true},
      {"_acme-challenge.**", "_acme-challenge.a.b.zone.example", true},
      {"_acme-challenge.**", "x._acme-challenge.zone.example", false},
      {"_acme-challenge.**", "_acme-challengex.zone.example", false},
      {"**.dyn", "dyn.zone.example", true},
      {"**.dyn", "a.b.dyn.zone.example", true},
      {"**.dyn", "dyn.a.zone.example", false},
      {"**.a.**.b", "a.b.zone.example", true},
      {"**.a.**.b", "x.a.y.a.z.b.zone.example", true},
      {"**.a.**.b", "x.b.zone.example", false},
      {"*.**", "zone.example", false},
      {"*.**", "a.b.zone.example", true},
      {"**.*.x.**", "a.x.zone.example", true},
      {"**.*.x.**", "x.zone.example", false},
      {"**.zone.example.", "zone.example", true},
      {"**.example.", "a.zone.example", true},
      {"a\\.b", "a\\.b.zone.example", true},
      {"a\\.b", "a.b.zone.example", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (matches(rows[i].pattern, rows[i].owner) != rows[i].wanted)
      fail_msg("%s and %s: expected %d", rows[i].pattern, rows[i].owner, rows[i].wanted);
}

static void bad_patterns_are_refused(void **state) {
  char many[700];
  memset(many, 'a', sizeof many);
  for (size_t i = 1; i < sizeof many; i += 2)
    many[i] = '.';
  many[sizeof many - 1] = 0;
  const char *bad[] = {"", "..", "a..b", ".a", "a.@", "\\", "a\\999", many};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    uint8_t room[GRANT_PATTERN_BYTES];
    uint16_t size;
    const char *why = NULL;
    if (grant_pattern_parse(bad[i], strlen(bad[i]), room, &size, &why) != ERR_FORMAT) fail_msg("`%.20s` was taken", bad[i]);
    assert_non_null(why);
  }
}

/* However many `**` there are, a match takes no longer than labels of the one times labels of the other. */
static void many_wildcards_are_no_trap(void **state) {
  char pattern[400] = "", owner[260] = "";
  for (int i = 0; i < 60; i++)
    strcat(pattern, "**.a.");
  strcat(pattern, "b");
  for (int i = 0; i < 110; i++)
    strcat(owner, "a.");
  strcat(owner, "zone.example");
  assert_false(matches(pattern, owner));
}

static void any_grant_that_matches_allows(void **state) {
  static const uint8_t acme[] = "\4acme", other[] = "\5other";
  uint8_t rooms[2][GRANT_PATTERN_BYTES];
  struct addr from;
  assert_int_equal(addr_parse("192.0.2.1@5353", 53, &from), ERR_OK);
  struct acl_entry by_key = {.any_host = true, .key = {acme, sizeof acme}};
  struct acl_entry by_address = {.from = {from, 32}};
  struct grant_pattern challenge = pattern_of("_acme-challenge.**", rooms[0]), host = pattern_of("host", rooms[1]);
  uint16_t txt = RR_TXT, addresses[] = {RR_A, RR_AAAA};
  const struct grant list[] = {
      {{&by_key, 1}, &challenge, 1, &txt, 1},
      {{&by_address, 1}, &host, 1, addresses, 2},
  };
  struct grants g = {list, 2};
  struct addr elsewhere = from;
  elsewhere.octets[3]++;
  struct acl_client key = {&elsewhere, {acme, sizeof acme}, false}, near = {&from, {NULL, 0}, false};
  struct acl_client stranger = {&elsewhere, {other, sizeof other}, false};
  struct name apex = name_of("zone.example"), c = name_of("_acme-challenge.x.zone.example"), h = name_of("host.zone.example");
  assert_true(grants_admit(&g, &key) && grants_admit(&g, &near));
  assert_false(grants_admit(&g, &stranger));
  assert_true(grants_allow(&g, &key, &c, RR_TXT, &apex));
  assert_true(grants_allow(&g, &key, &c, GRANT_ANY_TYPE, &apex));
  assert_false(grants_allow(&g, &key, &c, RR_A, &apex));
  assert_false(grants_allow(&g, &key, &h, RR_A, &apex));
  assert_true(grants_allow(&g, &near, &h, RR_AAAA, &apex));
  assert_false(grants_allow(&g, &near, &h, RR_TXT, &apex));
  assert_false(grants_allow(&g, &stranger, &h, RR_A, &apex));
  struct grant all = {.who = {&by_key, 1}};
  g = (struct grants){&all, 1};
  assert_true(grants_allow(&g, &key, &apex, RR_SOA, &apex));
  assert_false(grants_allow(&g, &near, &apex, RR_SOA, &apex));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_match_whole_labels),
      cmocka_unit_test(bad_patterns_are_refused),
      cmocka_unit_test(many_wildcards_are_no_trap),
      cmocka_unit_test(any_grant_that_matches_allows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
