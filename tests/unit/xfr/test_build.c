/* Large zones that another thread reads while they come: the outcome is the one of a zone that is made at once, whatever
 * happens to the zone or the transfer meanwhile. */
#include "testing_secondary.h"
#include "zone/content.h"

enum { HOSTS = 3000, PART = 200 };

static void large_init(struct stage *s, uint64_t build_ns) {
  stage_init(s, 1, 2, 1);
  s->o.build_delay_ns = build_ns;
  secondaries_build_from(s->o.machine, PART);
  s->p1.pace_ns = s->p2.pace_ns = NS_PER_MS;
  fake_primary_serve(&s->p1, ZONE, make_zone(ZONE, 5, 3600, 60, 360000, HOSTS));
}

static void check_zone(struct stage *s, uint32_t serial, unsigned hosts) {
  struct zone_snap *want = make_zone(ZONE, serial, 3600, 60, 360000, hosts);
  struct digest128 own, whole;
  assert_int_equal(fake_owner_serial(&s->o, 0), serial);
  assert_true(zone_equal(s->o.zones[0].content, want));
  assert_true(zone_content(s->o.zones[0].content, &own));
  assert_int_equal(zone_content_whole(want, &whole), ERR_OK);
  assert_true(zone_content_equal(own, whole));
  zone_snap_unref(want);
}

/* The thread slower and faster than the transfer, and none. */
static void test_built_meanwhile(void **state) {
  static const uint64_t delays[] = {0, NS_PER_MS / 10, NS_PER_MS, 40 * NS_PER_MS, 5 * NS_PER_S};
  for (unsigned i = 0; i < sizeof delays / sizeof delays[0]; i++) {
    static struct stage s;
    large_init(&s, delays[i]);
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, 20000);
    check_zone(&s, 5, HOSTS);
    assert_int_equal(s.o.zones[0].failed, 0);
    assert_int_equal(s.p1.transfers, 1);
    assert_true(delays[i] ? s.o.built >= 2 : s.o.built == 0);
    assert_true(s.o.zones[0].info.records >= HOSTS);
    stage_done(&s);
  }
}

static void test_small_zone(void **state) {
  static struct stage s;
  large_init(&s, NS_PER_MS);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 6, 3600, 60, 360000, PART / 4));
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 1000);
  check_zone(&s, 6, PART / 4);
  assert_int_equal(s.o.built, 0);
  stage_done(&s);
}

/* Ends the transfer after a few messages. */
static bool cut_short(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return number < 3;
}

static bool is_last(unsigned number, const uint8_t *bytes, size_t size) {
  return number > 0 && get_u16(bytes + 6) > 1 && get_u32(bytes + size - 20) == 5;
}

static bool spoil_last_soa(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (is_last(number, bytes, *size)) put_u32(bytes + *size - 20, 6);
  return true;
}

static void hang_up(void *arg, uint64_t token) {
  struct fake_primary *p = arg;
  fake_net_hang_up(p->net, &p->host, token);
}

static bool hang_up_behind(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (is_last(number, bytes, *size)) fake_net_later(p->net, NS_PER_MS, hang_up, p, token);
  return true;
}

static bool hang_up_amid(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number == 3) fake_net_later(p->net, NS_PER_MS / 2, hang_up, p, token);
  return number < 4;
}

static bool say_more(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (!is_last(number, bytes, *size)) return true;
  fake_net_send(p->net, &p->host, token, bytes, *size);
  fake_net_send(p->net, &p->host, token, bytes, *size);
  return true;
}

static bool spoil_a_record(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number == 3) bytes[*size / 2] ^= 1;
  return true;
}

typedef bool habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size);

static void use_key(struct stage *s, struct fake_primary *p, unsigned i) {
  struct name name = name_of("xfr.example.");
  p->keys = make_keys("xfr.example.", HMAC_SHA256, "c2VjcmV0");
  s->primaries[i].keys = p->keys;
  s->primaries[i].key = tsig_keyring_find(p->keys, &name);
  p->need_key = true;
}

static void check_next_primary(habit *h, bool keyed, uint64_t most_bytes, const char *what) {
  static const uint64_t delays[] = {NS_PER_MS / 10, 40 * NS_PER_MS, 40 * NS_PER_S};
  for (unsigned i = 0; i < sizeof delays / sizeof delays[0]; i++) {
    static struct stage s;
    large_init(&s, delays[i]);
    if (keyed) use_key(&s, &s.p1, 0);
    if (keyed) use_key(&s, &s.p2, 1);
    if (most_bytes) s.so.transfer_max_bytes = most_bytes;
    s.p1.habit = h;
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 5, 3600, 60, 360000, HOSTS / 8));
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, 400000);
    assert_int_equal(s.o.zones[0].failed, 1);
    assert_contains(s.o.zones[0].what, what);
    check_zone(&s, 5, HOSTS / 8);
    stage_done(&s);
  }
}

static void test_refused_in_the_middle(void **state) {
  check_next_primary(cut_short, false, 0, "sent nothing for 30.0 s in the middle of the transfer");
  check_next_primary(spoil_last_soa, false, 0, "began with serial 5 and ended with 6");
  check_next_primary(hang_up_amid, false, 0, "broke off the transfer after");
  check_next_primary(say_more, false, 0, "sent more behind the end of the transfer");
  check_next_primary(spoil_a_record, true, 0, "sent a wrong signature (BADSIG)");
  check_next_primary(NULL, false, 30000, "sends more than the limit of 30000 octets");
}

/* What is here is read, whatever became of the connection, and however long it takes. */
static void test_closed_behind_the_end(void **state) {
  static const uint64_t delays[] = {NS_PER_MS / 10, NS_PER_MS, 40 * NS_PER_MS, 100 * NS_PER_S};
  for (unsigned i = 0; i < sizeof delays / sizeof delays[0]; i++) {
    for (unsigned keyed = 0; keyed < 2; keyed++) {
      static struct stage s;
      large_init(&s, delays[i]);
      if (keyed) use_key(&s, &s.p1, 0);
      s.p1.habit = hang_up_behind;
      fake_owner_configure(&s.o, 0, ZONE, &s.so);
      stage_run_ms(&s, 2000000);
      check_zone(&s, 5, HOSTS);
      assert_int_equal(s.o.zones[0].failed, 0);
      assert_int_equal(s.p1.transfers, 1);
      stage_done(&s);
    }
  }
}

/* Whatever the moment: what is under way is dropped, and what is left of it too. */
static void test_dropped_meanwhile(void **state) {
  for (unsigned ms = 1; ms < 60; ms += 3) {
    static struct stage s;
    large_init(&s, 7 * NS_PER_MS);
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, ms);
    if (ms % 2) {
      secondary_remove(s.o.machine, 0);
    } else {
      s.so.primaries = s.primaries + 1;
      s.so.primary_count = 1;
      fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 7, 3600, 60, 360000, HOSTS));
    }
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, 5000);
    check_zone(&s, ms % 2 ? 5 : 7, HOSTS);
    stage_done(&s);
  }
}

static void test_ended_meanwhile(void **state) {
  for (unsigned ms = 1; ms < 60; ms += 3) {
    static struct stage s;
    large_init(&s, 7 * NS_PER_MS);
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, ms);
    if (ms % 2) secondary_remove(s.o.machine, 0);
    fake_owner_restart(&s.o);
    stage_run_ms(&s, 100);
    stage_done(&s);
  }
}

/* A command that comes while the zone is put together leads to another round, and does not disturb this one. */
static void test_asked_meanwhile(void **state) {
  static struct stage s;
  large_init(&s, NS_PER_S);
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 500);
  assert_int_equal(fake_owner_status(&s.o, 0).phase, SECONDARY_TRANSFERRING);
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  stage_notify(&s, &s.p1, 5);
  stage_run_ms(&s, 20000);
  check_zone(&s, 5, HOSTS);
  assert_int_equal(s.o.zones[0].transferred, 2);
  assert_int_equal(s.o.zones[0].failed, 0);
  stage_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_built_meanwhile),       cmocka_unit_test(test_small_zone),
      cmocka_unit_test(test_refused_in_the_middle), cmocka_unit_test(test_closed_behind_the_end),
      cmocka_unit_test(test_dropped_meanwhile),     cmocka_unit_test(test_ended_meanwhile),
      cmocka_unit_test(test_asked_meanwhile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
