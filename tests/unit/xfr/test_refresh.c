/* Refresh, retry, fail-over, NOTIFY, expiry: a secondaries machine against primaries on a fake net. */
#include "testing_secondary.h"

static void test_first_transfer_and_refresh(void **state) {
  struct stage s;
  stage_init(&s, 1, 1, 1);
  stage_first(&s, 10, 60, 10, 3600);
  struct owned_zone *z = &s.o.zones[0];
  assert_int_equal(z->transferred, 1);
  assert_int_equal(z->good, 1);
  assert_int_equal(z->settled_good, 1);
  assert_int_equal(z->failed, 0);
  assert_string_equal(z->info.peer, "p1");
  assert_int_equal(z->info.records, 25);
  assert_int_equal(z->expire_s, 3600);
  assert_int_equal(z->expires_ns, z->committed_ns + 3600 * NS_PER_S);
  assert_int_equal(s.p1.soa_queries, 1);
  struct secondary_status status = fake_owner_status(&s.o, 0);
  assert_int_equal(status.phase, SECONDARY_IDLE);
  assert_true(status.has_last_transfer);
  assert_true(status.next_refresh_mono_ns >= z->committed_ns + 45 * NS_PER_S);
  assert_true(status.next_refresh_mono_ns <= z->committed_ns + 60 * NS_PER_S);
  stage_run_ms(&s, 60000); /* a refresh that finds nothing new */
  assert_int_equal(s.p1.soa_queries, 2);
  assert_int_equal(s.p1.transfers, 1);
  assert_int_equal(z->good, 2);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 60, 10, 3600, 21));
  stage_run_ms(&s, 60000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  assert_int_equal(fake_net_counts(s.net).live_exchanges, 0);
  assert_int_equal(fake_net_counts(s.net).live_streams, 0);
  stage_done(&s);
}

static void test_serials_wrap(void **state) {
  struct stage s;
  stage_init(&s, 2, 1, 1);
  stage_first(&s, 4294967290u, 60, 10, 3600);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 3, 60, 10, 3600, 1));
  stage_run_ms(&s, 60000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 3);
  stage_done(&s);
}

static void test_lower_serial_is_said(void **state) {
  struct stage s;
  stage_init(&s, 3, 1, 1);
  stage_first(&s, 9, 60, 10, 3600);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 5, 60, 10, 3600, 1));
  stage_run_ms(&s, 60000);
  struct owned_zone *z = &s.o.zones[0];
  assert_int_equal(fake_owner_serial(&s.o, 0), 9);
  assert_string_equal(
      z->what, "192.0.2.1@53 has serial 5, lower than ours (9): raise the serial there, or take its content with `retransfer`");
  assert_int_equal(z->good, 2); /* it is there, and our content has nothing newer to make place for */
  assert_string_equal(fake_owner_status(&s.o, 0).last_error, z->what);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 9 + 0x80000000u, 60, 10, 3600, 1));
  stage_run_ms(&s, 60000);
  assert_contains(z->what, "can't be compared with ours");
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 9 + 0x80000000u);
  assert_string_equal(fake_owner_status(&s.o, 0).last_error, "");
  stage_done(&s);
}

static void test_loss(void **state) {
  for (uint64_t seed = 0; seed < 40; seed++) {
    struct stage s;
    stage_init(&s, seed, 1, 1);
    *fake_net_faults(s.net) = (struct fake_faults){
        .loss_percent = 40, .double_percent = 20, .latency_least_ns = NS_PER_MS, .latency_most_ns = 200 * NS_PER_MS};
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 10, 5, 2, 3600, 20));
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    for (uint32_t serial = 10; serial < 15; serial++) {
      stage_run_ms(&s, 60000);
      assert_int_equal(fake_owner_serial(&s.o, 0), serial);
      fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, serial + 1, 5, 2, 3600, 20));
    }
    stage_done(&s);
  }
}

static void check_primary_dead_at_start(enum fake_presence presence, uint32_t retry_max_ms, uint64_t dead_ms) {
  for (uint64_t seed = 0; seed < 10; seed++) {
    struct stage s;
    stage_init(&s, seed, 1, 1);
    s.so.retry_max_ms = retry_max_ms;
    s.p1.host.presence = presence;
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, dead_ms);
    assert_int_equal(fake_owner_serial(&s.o, 0), 0);
    assert_true(s.o.zones[0].failed > 0);
    s.p1.host.presence = FAKE_UP;
    uint64_t back_ns = stage_now_ns(&s);
    stage_run_ms(&s, retry_max_ms + 1000);
    assert_int_equal(fake_owner_serial(&s.o, 0), 10);
    assert_true(s.o.zones[0].committed_ns - back_ns <= (retry_max_ms + 1000) * NS_PER_MS);
    stage_done(&s);
  }
}

static void test_primary_dead_at_start(void **state) {
  check_primary_dead_at_start(FAKE_SILENT, 1000, 5000);
  check_primary_dead_at_start(FAKE_CLOSED, 1000, 5000);
  check_primary_dead_at_start(FAKE_SILENT, 3000, 100000);
  check_primary_dead_at_start(FAKE_CLOSED, 3000, 100000);
  check_primary_dead_at_start(FAKE_SILENT, 86400 * 1000, 600000);
}

/* The time that others are silent does not add to the time until a primary that is back is seen. */
static void test_second_primary_comes_back(void **state) {
  for (uint64_t seed = 0; seed < 40; seed++) {
    struct stage s;
    stage_init(&s, seed, 2, 1);
    s.so.retry_max_ms = 4000;
    s.p1.host.presence = s.p2.host.presence = FAKE_SILENT;
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, 60000 + seed * 111);
    s.p2.host.presence = FAKE_UP;
    stage_run_ms(&s, 5000);
    assert_int_equal(fake_owner_serial(&s.o, 0), 10);
    stage_done(&s);
  }
}

static void test_what_is_said_of_the_dead(void **state) {
  struct stage s;
  stage_init(&s, 1, 1, 1);
  s.p1.host.presence = FAKE_SILENT;
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 1001);
  assert_string_equal(s.o.zones[0].what, "192.0.2.1@53 does not answer: is it up, and reachable from here?");
  assert_int_equal(s.o.zones[0].failed_in, SECONDARY_ASKING);
  assert_int_equal(s.o.zones[0].settled_bad, 1);
  s.p1.host.presence = FAKE_CLOSED;
  stage_run_ms(&s, 20000);
  assert_string_equal(s.o.zones[0].what, "192.0.2.1@53 has nobody listening there (port unreachable): is the server running?");
  stage_done(&s);
}

/* Without content the second try comes after a second, later ones more and more rarely. */
static void test_backoff_without_content(void **state) {
  struct stage s;
  stage_init(&s, 7, 1, 1);
  s.p1.soa_rcode = RCODE_SERVFAIL;
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 10000);
  assert_true(s.p1.soa_queries >= 4 && s.p1.soa_queries <= 6);
  stage_run_ms(&s, 600000);
  uint64_t before = s.p1.soa_queries;
  stage_run_ms(&s, 600000);
  assert_true(s.p1.soa_queries - before >= 10 && s.p1.soa_queries - before <= 14); /* a minute, less the jitter */
  stage_done(&s);
}

static void test_bounds_and_jitter(void **state) {
  uint64_t least = UINT64_MAX, most = 0;
  struct stage s;
  stage_init(&s, 11, 1, 1);
  s.so.refresh_min_ms = 10000;
  s.so.refresh_max_ms = 20000;
  stage_first(&s, 10, 100000, 10, 1000000); /* more than the bound */
  uint64_t last = s.p1.host.last_ns;
  for (unsigned i = 0; i < 200; i++) {
    uint64_t count = s.p1.soa_queries;
    while (s.p1.soa_queries == count)
      stage_run_ms(&s, 1);
    uint64_t took = s.p1.host.last_ns - last;
    last = s.p1.host.last_ns;
    if (took < least) least = took;
    if (took > most) most = took;
  }
  assert_true(least >= 15000 * NS_PER_MS && least < 16000 * NS_PER_MS);
  assert_true(most <= 20002 * NS_PER_MS && most > 19000 * NS_PER_MS);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 1, 10, 1000000, 1)); /* less than the bound */
  stage_run_ms(&s, 20000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  uint64_t count = s.p1.soa_queries;
  stage_run_ms(&s, 100000);
  assert_true(s.p1.soa_queries - count <= 10 && s.p1.soa_queries - count >= 9);
  stage_done(&s);
}

/* A SOA with timers of zero does not make us hammer. */
static void test_zero_timers(void **state) {
  struct stage s;
  stage_init(&s, 12, 1, 1);
  s.so.refresh_min_ms = s.so.retry_min_ms = 0;
  stage_first(&s, 10, 0, 0, 1000);
  uint64_t count = s.p1.soa_queries;
  stage_run_ms(&s, 10000);
  assert_true(s.p1.soa_queries - count <= 140);
  stage_done(&s);
}

static void test_fail_over(void **state) {
  struct stage s;
  stage_init(&s, 21, 2, 1);
  s.p1.host.presence = FAKE_SILENT;
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 12, 60, 10, 3600, 20));
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 5100);
  assert_int_equal(fake_owner_serial(&s.o, 0), 10);
  assert_string_equal(s.o.zones[0].info.peer, "p2");
  s.p1.host.presence = FAKE_UP;
  stage_run_ms(&s, 61000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 12);
  s.p1.host.presence = FAKE_CLOSED;
  uint64_t good = s.o.zones[0].good;
  stage_run_ms(&s, 61000); /* p2 is behind us, but it is there */
  assert_true(s.o.zones[0].good > good);
  assert_contains(s.o.zones[0].what, "2001:db8::2@5300 has serial 10, lower than ours");
  stage_done(&s);
}

/* The first primary is stuck: the second one's news still comes. */
static void test_every_primary_is_asked(void **state) {
  struct stage s;
  stage_init(&s, 22, 2, 1);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
  stage_first(&s, 10, 60, 10, 3600);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 60, 10, 3600, 20));
  stage_run_ms(&s, 61000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  assert_int_equal(s.o.zones[0].failed, 0);
  stage_run_ms(&s, 61000); /* p1 is behind now, p2 is not: nothing to complain of */
  assert_int_equal(s.o.zones[0].failed, 0);
  stage_done(&s);
}

static void test_several_addresses(void **state) {
  struct stage s;
  stage_init(&s, 23, 1, 1);
  s.primaries[0].address[1] = s.p2.host.addr;
  s.primaries[0].address_count = 2;
  assert_ok(addr_parse("192.0.2.100", 0, &s.primaries[0].source4)); /* the net asserts that families fit */
  s.p1.host.presence = FAKE_CLOSED;
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 100);
  assert_int_equal(fake_owner_serial(&s.o, 0), 10);
  assert_int_equal(s.o.zones[0].failed, 1);
  s.p1.host.presence = FAKE_UP;
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 10, 60, 10, 3600, 20));
  uint64_t p2 = s.p2.soa_queries;
  stage_run_ms(&s, 61000);
  assert_int_equal(s.p2.soa_queries, p2); /* one address of a primary is enough */
  stage_done(&s);
}

/* ---- NOTIFY ---- */

static void test_notify_at_once(void **state) {
  struct stage s;
  stage_init(&s, 31, 2, 1);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 3600, 10, 36000, 20));
  stage_first(&s, 10, 3600, 10, 36000);
  uint64_t p1 = s.p1.soa_queries;
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  uint64_t told_ns = stage_now_ns(&s);
  stage_notify(&s, &s.p2, 11);
  stage_run_ms(&s, 2);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  assert_int_equal(s.p1.soa_queries, p1);                        /* whoever told us is asked, and nobody else */
  assert_int_equal(s.o.zones[0].committed_ns - told_ns, 400000); /* two round trips: connect, transfer */
  assert_int_equal(s.p2.soa_queries, 0);
  stage_notify(&s, &s.p2, 11);
  stage_notify(&s, &s.p2, 10);
  stage_run_ms(&s, 2);
  assert_int_equal(s.p2.transfers, 1);
  struct secondary_counts counts = secondaries_counts(s.o.machine);
  assert_int_equal(counts.notifies, 3);
  assert_int_equal(counts.notifies_known, 2);
  stage_done(&s);
}

/* Over a connection that is there, changes take one round trip. */
static void test_notify_of_changes(void **state) {
  struct stage s;
  stage_init(&s, 33, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  for (uint32_t serial = 11; serial < 15; serial++) {
    uint64_t told_ns = stage_now_ns(&s);
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, serial, 3600, 10, 36000, 20));
    stage_notify(&s, &s.p1, serial);
    stage_run_ms(&s, 2);
    assert_int_equal(fake_owner_serial(&s.o, 0), serial);
    assert_int_equal(s.o.zones[0].committed_ns - told_ns, 200000);
  }
  assert_int_equal(s.p1.soa_queries, 1);
  assert_int_equal(secondaries_counts(s.o.machine).transfers, 5);
  stage_done(&s);
}

static bool no_answer(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return false;
}

/* When what a NOTIFY promised does not come, the SOA query says what is wrong; the NOTIFY itself never is an error. */
static void test_notify_that_promised_too_much(void **state) {
  struct stage s;
  stage_init(&s, 34, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  stage_notify(&s, &s.p1, 11); /* a lie */
  stage_run_ms(&s, 10);
  assert_int_equal(s.p1.ixfr_asked, 1);
  assert_int_equal(s.p1.soa_queries, 2);
  stage_notify(&s, &s.p1, 11); /* once more: nobody is believed twice */
  stage_run_ms(&s, 10);
  assert_int_equal(s.p1.ixfr_asked, 1);
  assert_int_equal(s.p1.soa_queries, 3);
  stage_run_ms(&s, 1100); /* looked at again for what was promised */
  assert_int_equal(secondaries_counts(s.o.machine).transfers, 1);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 12, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 12);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 12);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 13, 3600, 10, 36000, 20));
  s.p1.habit = no_answer;
  stage_notify(&s, &s.p1, 13);
  stage_run_ms(&s, LIMIT_NOTIFY_DIRECT_MS - 10);
  uint64_t asked = s.p1.soa_queries;
  stage_run_ms(&s, 20);
  assert_int_equal(s.p1.soa_queries, asked + 1);
  s.p1.habit = NULL;
  stage_run_ms(&s, 31000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 13);
  assert_int_equal(s.o.zones[0].failed, 0);
  stage_done(&s);
}

/* A primary that is a secondary itself says how long its copy lives; only SOA answers are asked for that. */
static void test_notify_of_a_secondary(void **state) {
  struct stage s;
  stage_init(&s, 37, 1, 1);
  s.p1.has_expire = true;
  s.p1.expire_s = 1000;
  stage_first(&s, 10, 3600, 10, 36000);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  assert_int_equal(s.p1.soa_queries, 2);
  assert_true(fake_owner_status(&s.o, 0).expires_mono_ns <= stage_now_ns(&s) + 1000 * NS_PER_S);
  stage_done(&s);
}

/* During the SOA query, the transfer and the commit: none is lost, none is done twice. */
static void test_notify_while_busy(void **state) {
  for (uint64_t at_us = 0; at_us < 3000; at_us += 50) {
    struct stage s;
    stage_init(&s, 32, 1, 1);
    stage_first(&s, 10, 3600, 10, 36000);
    s.o.commit_delay_ns = NS_PER_MS;
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
    stage_notify(&s, &s.p1, 11);
    fake_net_run(s.net, at_us * 1000);
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 12, 3600, 10, 36000, 20));
    stage_notify(&s, &s.p1, at_us % 100 ? 12 : 0);
    stage_run_ms(&s, 10);
    assert_int_equal(fake_owner_serial(&s.o, 0), 12);
    assert_true(s.p1.transfers <= 3);
    assert_int_equal(s.o.zones[0].failed, 0);
    stage_done(&s);
  }
}

/* A NOTIFY without a serial must not be forgotten for one with a serial that turns out to be known. */
static void test_notify_of_unknown_serial_while_busy(void **state) {
  struct stage s;
  stage_init(&s, 35, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  s.o.commit_delay_ns = NS_PER_MS;
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 11);
  fake_net_run(s.net, NS_PER_MS); /* committing */
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 12, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 0);
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 12);
  assert_int_equal(secondaries_counts(s.o.machine).notifies_busy, 2);
  stage_done(&s);
}

/* So fast that nearly all come while the one before is being looked into. */
static void test_notify_flood(void **state) {
  struct stage s;
  stage_init(&s, 36, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  uint64_t before = s.p1.soa_queries;
  for (unsigned i = 0; i < 40000; i++) {
    stage_notify(&s, &s.p1, 99);
    fake_net_run(s.net, NS_PER_MS / 20);
  }
  assert_true(s.p1.soa_queries - before <= 8 + 3);
  stage_run_ms(&s, 11000);
  stage_notify(&s, &s.p1, 0); /* the flood is forgotten: one that is idle does not slow down the next */
  stage_run_ms(&s, 5);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 2);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  stage_done(&s);
}

static void test_notify_storm(void **state) {
  struct stage s;
  stage_init(&s, 33, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  uint64_t before = s.p1.soa_queries;
  for (unsigned i = 0; i < 10000; i++) {
    stage_notify(&s, &s.p1, i % 2 ? 99 : 0);
    fake_net_run(s.net, NS_PER_MS);
  }
  assert_true(s.p1.soa_queries - before <= 8 + 11);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 1001);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 12, 3600, 10, 36000, 20));
  stage_notify(&s, &s.p1, 12);
  stage_run_ms(&s, 2); /* trusted again */
  assert_int_equal(fake_owner_serial(&s.o, 0), 12);
  stage_done(&s);
}

static void test_notify_from_a_stranger_asks_all(void **state) {
  struct stage s;
  stage_init(&s, 34, 2, 1);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 3600, 10, 36000, 20));
  stage_first(&s, 10, 3600, 10, 36000);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  struct addr other = {.family = 4, .port = 9, .octets = {10, 0, 0, 1}};
  secondary_notified(s.o.machine, 0, &other, false, 0, fake_net_now(s.net));
  stage_run_ms(&s, 5);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  secondary_notified(s.o.machine, 99, &other, false, 0, fake_net_now(s.net)); /* no such zone */
  stage_done(&s);
}

/* ---- expiry ---- */

static void test_expiry_and_recovery(void **state) {
  struct stage s;
  stage_init(&s, 41, 1, 1);
  s.so.retry_max_ms = 2000;
  stage_first(&s, 10, 20, 10, 100);
  struct owned_zone *z = &s.o.zones[0];
  s.p1.host.presence = FAKE_SILENT;
  uint64_t expires = z->expires_ns;
  while (!z->expired) {
    uint64_t before = stage_now_ns(&s);
    if (z->expires_ns != expires) expires = z->expires_ns;
    stage_run_ms(&s, 100);
    assert_true(before < expires + 100 * NS_PER_MS);
  }
  assert_true(stage_now_ns(&s) >= expires && stage_now_ns(&s) - expires <= 100 * NS_PER_MS);
  assert_true(fake_owner_status(&s.o, 0).expired);
  stage_run_ms(&s, 100000);
  assert_int_equal(z->expirations, 1);
  s.p1.host.presence = FAKE_UP;
  stage_run_ms(&s, 3000);
  assert_false(z->expired);
  assert_false(fake_owner_status(&s.o, 0).expired);
  assert_int_equal(z->transferred, 1); /* the same serial: what we have is good again */
  stage_done(&s);
}

/* An expired zone takes what its primary has, be the serial lower: what it had is not served any more anyway. */
static void test_expired_takes_a_lower_serial(void **state) {
  struct stage s;
  stage_init(&s, 42, 1, 1);
  s.so.retry_max_ms = 2000;
  stage_first(&s, 10, 20, 10, 100);
  s.p1.host.presence = FAKE_CLOSED;
  stage_run_ms(&s, 110000);
  assert_true(s.o.zones[0].expired);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 3, 20, 10, 100, 20));
  s.p1.host.presence = FAKE_UP;
  stage_run_ms(&s, 3000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 3);
  assert_false(s.o.zones[0].expired);
  stage_done(&s);
}

static void test_clock_jumps_expire_nothing(void **state) {
  static const int64_t jumps_s[] = {86400 * 31, -86400 * 31, -1790000000, 86400 * 365 * 10};
  for (unsigned i = 0; i < 4; i++) {
    struct stage s;
    stage_init(&s, 43, 1, 1);
    stage_first(&s, 10, 20, 10, 1000);
    s.p1.host.presence = FAKE_SILENT;
    fake_net_jump_wall(s.net, jumps_s[i]);
    stage_run_ms(&s, 970000);
    assert_false(s.o.zones[0].expired);
    stage_run_ms(&s, 30000);
    assert_true(s.o.zones[0].expired); /* by the monotonic clock, to the second */
    stage_done(&s);
  }
}

/* Seconds until it expires after a restart that takes `down_s` by the wall clock; -1: at once. */
static int64_t left_after_restart_of(bool same_boot, int64_t down_s, uint32_t expire_s) {
  struct stage s;
  stage_init(&s, 44, 1, 1);
  s.o.same_boot = same_boot;
  stage_first(&s, 10, 20, 10, expire_s);
  s.p1.host.presence = FAKE_SILENT;
  stage_run_ms(&s, same_boot ? 300100 : 100);
  fake_net_jump_wall(s.net, down_s);
  fake_owner_restart(&s.o);
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  uint64_t start = stage_now_ns(&s);
  uint64_t expires = fake_owner_status(&s.o, 0).expires_mono_ns;
  stage_run_ms(&s, 1);
  int64_t left = s.o.zones[0].expired ? -1 : (int64_t)((expires - start) / NS_PER_S);
  stage_done(&s);
  return left;
}

static int64_t left_after_restart(int64_t down_s, uint32_t expire_s) {
  return left_after_restart_of(false, down_s, expire_s);
}

/* The monotonic clock went on, whatever the other one says. */
static void test_expiry_over_a_restart_in_one_boot(void **state) {
  static const int64_t jumps_s[] = {0, 100, 86400, -5, -1790000000, 86400 * 31};
  for (unsigned i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++)
    assert_int_equal(left_after_restart_of(true, jumps_s[i], 1000), 700);
}

static void test_expiry_over_a_restart(void **state) {
  assert_int_equal(left_after_restart(0, 1000), 1000);
  assert_int_equal(left_after_restart(100, 1000), 900);
  assert_int_equal(left_after_restart(999, 1000), 1);
  assert_int_equal(left_after_restart(1000, 1000), -1);
  assert_int_equal(left_after_restart(86400, 1000), -1);
  assert_int_equal(left_after_restart(-5, 1000), 1000);
  assert_int_equal(left_after_restart(-5, 604800), 604800);
  assert_int_equal(left_after_restart(-1790000000, 1000), 1000); /* boot in 1970 */
  assert_int_equal(left_after_restart(86400 * 31, 1000), 1000);  /* a month ahead */
  assert_int_equal(left_after_restart(86400 * 31, 604800), 86400);
  assert_int_equal(left_after_restart(86400 * 3, 604800), 86400 * 4);
}

/* An expire shorter than the refresh: asked for in time. */
static void test_refresh_comes_before_expiry(void **state) {
  struct stage s;
  stage_init(&s, 45, 1, 1);
  stage_first(&s, 10, 3600, 600, 30);
  stage_run_ms(&s, 600000);
  assert_int_equal(s.o.zones[0].expirations, 0);
  stage_done(&s);
}

static void test_edns_expire(void **state) {
  struct stage s;
  stage_init(&s, 46, 1, 1);
  s.p1.has_expire = true;
  s.p1.expire_s = 500; /* it is a secondary itself, with so much left */
  stage_first(&s, 10, 20, 10, 1000);
  struct owned_zone *z = &s.o.zones[0];
  assert_int_equal(z->expire_s, 500);
  uint64_t expires = z->expires_ns;
  s.p1.expire_s = 400; /* less than we have: ours stays (RFC 7314 §4) */
  stage_run_ms(&s, 20000);
  assert_true(z->good > 1);
  assert_int_equal(z->expires_ns, expires);
  s.p1.expire_s = 5000; /* more than the SOA's */
  stage_run_ms(&s, 20000);
  assert_int_equal(z->expire_s, 1000);
  stage_done(&s);
}

/* ---- configuration ---- */

static void test_reconfigure(void **state) {
  struct stage s;
  struct xfr_primary again;
  stage_init(&s, 51, 1, 1);
  stage_first(&s, 10, 3600, 10, 36000);
  uint64_t before = s.p1.soa_queries;
  again = s.primaries[0]; /* the same at another place, as after a reload */
  s.so.primaries = &again;
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  memset(&s.primaries[0], 0xee, sizeof s.primaries[0]);
  stage_run_ms(&s, 1000);
  assert_int_equal(s.p1.soa_queries, before);
  s.so.refresh_max_ms = 5000; /* tighter */
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  stage_run_ms(&s, 5001);
  assert_int_equal(s.p1.soa_queries, before + 1);
  stage_peer(&s.primaries[0], "p2", &s.p2);
  s.so.primaries = s.primaries;
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
  fake_owner_configure(&s.o, 0, ZONE, &s.so); /* another primary: asked at once */
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  stage_done(&s);
}

/* A NOTIFY that comes before its serial is served (a primary that publishes late, or several behind one address). */
static void test_told_too_early(void **state) {
  struct stage s;
  stage_init(&s, 53, 1, 1);
  stage_first(&s, 10, 3600, 600, 360000);
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 500);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
  stage_run_ms(&s, 1000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  uint64_t asked = s.p1.soa_queries;
  stage_notify(&s, &s.p1, 12); /* never served: a second later, two, four, ..., and then the timers decide */
  stage_run_ms(&s, 5000);
  assert_true(s.p1.soa_queries == asked + 3 || s.p1.soa_queries == asked + 4);
  stage_run_ms(&s, 300000);
  assert_int_equal(s.p1.soa_queries, asked + 7);
  stage_done(&s);
}

/* Told of it once, and then nothing gets through for a while: it comes soon behind that, not when the SOA says so. */
static void test_told_and_not_reached(void **state) {
  static const enum fake_presence presences[] = {FAKE_SILENT, FAKE_CLOSED};
  for (unsigned seed = 0; seed < 40; seed++) {
    struct stage s;
    stage_init(&s, seed, 1, 1);
    stage_first(&s, 10, 3600, 600, 360000);
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
    s.p1.host.presence = presences[seed % 2];
    stage_notify(&s, &s.p1, seed % 3 ? 11 : 0);
    stage_run_ms(&s, 100 * seed);
    s.p1.host.presence = FAKE_UP;
    stage_run_ms(&s, 100 * seed + 5000);
    assert_int_equal(fake_owner_serial(&s.o, 0), 11);
    stage_done(&s);
  }
}

/* The first answer to the SOA query is lost. */
static void test_told_and_the_answer_is_lost(void **state) {
  struct stage s;
  stage_init(&s, 55, 1, 1);
  stage_first(&s, 10, 3600, 600, 360000);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
  s.p1.host.udp_silent = true;
  stage_notify(&s, &s.p1, 0);
  stage_run_ms(&s, 100);
  s.p1.host.udp_silent = false;
  stage_run_ms(&s, 200);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  stage_done(&s);
}

/* ... or it comes from far away. */
static void test_told_from_far_away(void **state) {
  for (unsigned ms = 100; ms <= 1400; ms += 100) { /* each way */
    struct stage s;
    stage_init(&s, 61, 1, 1);
    stage_first(&s, 10, 3600, 600, 360000);
    stage_run_ms(&s, LIMIT_CHANNEL_IDLE_MS);
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
    *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = ms * NS_PER_MS, .latency_most_ns = ms * NS_PER_MS};
    stage_notify(&s, &s.p1, 0);
    stage_run_ms(&s, 6 * ms + 1);
    assert_int_equal(fake_owner_serial(&s.o, 0), 11);
    stage_done(&s);
  }
}

/* Told of 12 by one, of 11 by another, of something by a third NOTIFY: whatever the order, nothing of it is forgotten, though only
 * one of them has it. */
static void test_told_by_several(void **state) {
  static const uint32_t told[][2] = {{12, 11}, {11, 12}, {12, 0}, {0, 12}, {0, 11}, {11, 0}};
  for (unsigned i = 0; i < 6; i++)
    for (unsigned of = 0; of < 2; of++) {
      struct stage s;
      stage_init(&s, 56, 2, 1);
      stage_first(&s, 9, 3600, 600, 360000);
      s.o.commit_delay_ns = 10 * NS_PER_MS;
      fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 10, 3600, 600, 360000, 20));
      stage_notify(&s, &s.p1, 10);
      stage_run_ms(&s, 5);
      struct fake_primary *first = of ? &s.p2 : &s.p1, *second = of ? &s.p1 : &s.p2;
      bool first_has = told[i][0] == 12 || (!told[i][0] && told[i][1] != 12);
      fake_primary_serve(first, ZONE, make_zone(ZONE, first_has ? 12 : 11, 3600, 600, 360000, 20));
      fake_primary_serve(second, ZONE, make_zone(ZONE, first_has ? 11 : 12, 3600, 600, 360000, 20));
      stage_notify(&s, first, told[i][0]);
      stage_notify(&s, second, told[i][1]);
      stage_run_ms(&s, 2000);
      assert_int_equal(fake_owner_serial(&s.o, 0), 12);
      stage_done(&s);
    }
}

/* One is told of what nobody has; the other primary's next NOTIFY counts all the same, whenever it comes. */
static void test_told_behind_a_lie(void **state) {
  for (unsigned ms = 5; ms < 70000; ms += 3500) {
    struct stage s;
    stage_init(&s, 60, 2, 1);
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 3600, 600, 360000, 20));
    stage_first(&s, 10, 3600, 600, 360000);
    stage_notify(&s, &s.p1, 4000);
    stage_run_ms(&s, ms);
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
    stage_notify(&s, &s.p2, 11);
    stage_run_ms(&s, 10);
    assert_int_equal(fake_owner_serial(&s.o, 0), 11);
    stage_done(&s);
  }
}

/* A primary is asked and is silent; the other one tells of a change. */
static void test_told_while_another_is_silent(void **state) {
  for (unsigned ms = 0; ms < 2000; ms += 100) {
    struct stage s;
    stage_init(&s, 57, 2, 1);
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 3600, 600, 360000, 20));
    stage_first(&s, 10, 3600, 600, 360000);
    stage_run_ms(&s, LIMIT_CHANNEL_IDLE_MS);
    s.p1.host.presence = FAKE_SILENT;
    secondary_refresh(s.o.machine, 0, fake_net_now(s.net));
    stage_run_ms(&s, ms);
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
    stage_notify(&s, &s.p2, 11);
    stage_run_ms(&s, 510);
    assert_int_equal(fake_owner_serial(&s.o, 0), 11);
    stage_done(&s);
  }
}

/* ... but forged ones do not keep it from having its time. */
static void test_forged_notifies_leave_time_to_answer(void **state) {
  struct stage s;
  stage_init(&s, 58, 2, 1);
  fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 10, 3600, 600, 360000, 20));
  stage_first(&s, 10, 3600, 600, 360000);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 400 * NS_PER_MS, .latency_most_ns = 400 * NS_PER_MS};
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
  for (unsigned i = 0; i < 20000 && fake_owner_serial(&s.o, 0) != 11; i++) {
    stage_notify(&s, i % 2 ? &s.p1 : &s.p2, 99 + i);
    stage_run_ms(&s, 1);
  }
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  stage_done(&s);
}

/* Removed, or given another primary, at any moment of an exchange. */
static void test_interrupted(void **state) {
  for (unsigned at_us = 0; at_us < 4000; at_us += 100) {
    struct stage s;
    stage_init(&s, 52, 1, 1);
    s.o.commit_delay_ns = NS_PER_MS;
    s.p1.truncates = at_us % 200 != 0;
    fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 10, 3600, 10, 36000, 2000));
    fake_primary_serve(&s.p2, ZONE, make_zone(ZONE, 11, 3600, 10, 36000, 20));
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    fake_net_run(s.net, at_us * 1000u);
    stage_peer(&s.primaries[1], "p2", &s.p2);
    s.so.primaries = &s.primaries[1];
    fake_owner_configure(&s.o, 0, ZONE, &s.so);
    stage_run_ms(&s, 100 + LIMIT_CHANNEL_IDLE_MS);
    assert_int_equal(fake_owner_serial(&s.o, 0), 11);
    assert_int_equal(fake_net_counts(s.net).live_streams, 0);
    secondary_refresh(s.o.machine, 0, fake_net_now(s.net));
    fake_net_run(s.net, at_us * 100u);
    secondary_remove(s.o.machine, 0);
    assert_int_equal(fake_net_counts(s.net).live_exchanges, 0);
    stage_run_ms(&s, LIMIT_CHANNEL_IDLE_MS);
    assert_int_equal(fake_net_counts(s.net).live_streams, 0);
    assert_int_equal(secondaries_deadline(s.o.machine), UINT64_MAX);
    stage_run_ms(&s, 100);
    stage_done(&s);
  }
}

static void test_commit_refused(void **state) {
  struct stage s;
  stage_init(&s, 53, 1, 1);
  stage_first(&s, 10, 60, 10, 3600);
  s.o.refuse_commits = true;
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 60, 10, 3600, 20));
  stage_notify(&s, &s.p1, 11);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 10);
  assert_string_equal(s.o.zones[0].what, "the transferred version was not taken: the test says no");
  s.o.refuse_commits = false;
  stage_run_ms(&s, 10000); /* retry */
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  stage_done(&s);
}

/* Not the version is at fault: it is asked for again, with nothing in between. */
static void test_commit_on_damaged_content(void **state) {
  struct stage s;
  stage_init(&s, 59, 1, 1);
  stage_first(&s, 10, 3600, 600, 360000);
  s.o.commit_delay_ns = NS_PER_S;
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, 11, 3600, 600, 360000, 20));
  secondary_refresh(s.o.machine, 0, fake_net_now(s.net));
  stage_run_ms(&s, 10);
  struct owned_zone *z = &s.o.zones[0];
  assert_non_null(z->arrived);
  zone_snap_unref(z->arrived);
  z->arrived = NULL;
  s.o.commit_delay_ns = 0;
  secondary_committed(s.o.machine, 0, NULL, ERR_CORRUPT, "", fake_net_now(s.net));
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 11);
  assert_int_equal(z->failed, 1);
  stage_done(&s);
}

/* By its `now` what follows would be late before it is sent. */
static void test_commit_that_took_long(void **state) {
  struct stage s;
  stage_init(&s, 31, 1, 1);
  stage_first(&s, 1, 3600, 600, 86400);
  s.o.commit_delay_ns = 3600 * NS_PER_S;
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  struct instant before = fake_net_now(s.net);
  stage_run_ms(&s, 20000);
  struct owned_zone *z = &s.o.zones[0];
  assert_non_null(z->arrived);
  secondary_retransfer(s.o.machine, 0, before); /* once more */
  uint64_t asked = s.p1.soa_queries;
  secondary_committed(s.o.machine, 0, z->arrived, ERR_OK, "", before);
  zone_snap_unref(z->arrived);
  z->arrived = NULL;
  s.o.commit_delay_ns = 0;
  assert_int_equal(fake_net_counts(s.net).live_exchanges, 0);
  assert_int_equal(secondaries_deadline(s.o.machine), 0);
  stage_run_ms(&s, 100);
  assert_int_equal(s.p1.soa_queries, asked + 1);
  assert_int_equal(z->transferred, 3);
  stage_done(&s);
}

static void test_retransfer_takes_the_same(void **state) {
  struct stage s;
  stage_init(&s, 54, 1, 1);
  stage_first(&s, 10, 60, 10, 3600);
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  fake_net_run(s.net, 450000); /* in the middle of it: once more */
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  stage_run_ms(&s, 10);
  assert_int_equal(s.o.zones[0].transferred, 3);
  s.p1.axfr_rcode = RCODE_REFUSED;
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  stage_run_ms(&s, 10);
  assert_int_equal(s.o.zones[0].settled_bad, 1);
  s.p1.axfr_rcode = 0;
  stage_run_ms(&s, 20000); /* a command that failed is not kept for later */
  assert_int_equal(s.o.zones[0].transferred, 3);
  stage_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_transfer_and_refresh),
      cmocka_unit_test(test_serials_wrap),
      cmocka_unit_test(test_lower_serial_is_said),
      cmocka_unit_test(test_loss),
      cmocka_unit_test(test_primary_dead_at_start),
      cmocka_unit_test(test_second_primary_comes_back),
      cmocka_unit_test(test_what_is_said_of_the_dead),
      cmocka_unit_test(test_backoff_without_content),
      cmocka_unit_test(test_bounds_and_jitter),
      cmocka_unit_test(test_zero_timers),
      cmocka_unit_test(test_fail_over),
      cmocka_unit_test(test_every_primary_is_asked),
      cmocka_unit_test(test_several_addresses),
      cmocka_unit_test(test_notify_at_once),
      cmocka_unit_test(test_notify_of_changes),
      cmocka_unit_test(test_notify_that_promised_too_much),
      cmocka_unit_test(test_notify_of_a_secondary),
      cmocka_unit_test(test_notify_while_busy),
      cmocka_unit_test(test_notify_of_unknown_serial_while_busy),
      cmocka_unit_test(test_notify_flood),
      cmocka_unit_test(test_notify_storm),
      cmocka_unit_test(test_notify_from_a_stranger_asks_all),
      cmocka_unit_test(test_expiry_and_recovery),
      cmocka_unit_test(test_expired_takes_a_lower_serial),
      cmocka_unit_test(test_clock_jumps_expire_nothing),
      cmocka_unit_test(test_expiry_over_a_restart),
      cmocka_unit_test(test_expiry_over_a_restart_in_one_boot),
      cmocka_unit_test(test_refresh_comes_before_expiry),
      cmocka_unit_test(test_edns_expire),
      cmocka_unit_test(test_reconfigure),
      cmocka_unit_test(test_told_too_early),
      cmocka_unit_test(test_told_and_not_reached),
      cmocka_unit_test(test_told_and_the_answer_is_lost),
      cmocka_unit_test(test_told_from_far_away),
      cmocka_unit_test(test_told_by_several),
      cmocka_unit_test(test_told_behind_a_lie),
      cmocka_unit_test(test_told_while_another_is_silent),
      cmocka_unit_test(test_forged_notifies_leave_time_to_answer),
      cmocka_unit_test(test_interrupted),
      cmocka_unit_test(test_commit_refused),
      cmocka_unit_test(test_commit_on_damaged_content),
      cmocka_unit_test(test_commit_that_took_long),
      cmocka_unit_test(test_retransfer_takes_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
