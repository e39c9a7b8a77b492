/* Ten thousand zones at once: bounds hold, nobody starves, and dead addresses do not keep the others waiting. */
#include "testing_secondary.h"

#include <stdio.h>

enum { ZONES = 10000 };

static const char *zone_text(unsigned i, char out[32]) {
  snprintf(out, 32, "z%u.example.", i);
  return out;
}

static void serve_all(struct stage *s, struct fake_primary *p) {
  char text[32];
  for (unsigned i = 0; i < ZONES; i++) {
    zone_text(i, text);
    fake_primary_serve(p, text, make_zone(text, 1, 3600, 60, 360000, 1));
  }
}

static bool all_there(void *arg) {
  struct stage *s = arg;
  return s->o.served == ZONES;
}

static void test_all_at_start(void **state) {
  static struct stage s;
  char text[32];
  stage_init(&s, 1, 1, ZONES);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 5 * NS_PER_MS, .latency_most_ns = 15 * NS_PER_MS};
  serve_all(&s, &s.p1);
  for (uint32_t i = 0; i < ZONES; i++)
    fake_owner_configure(&s.o, i, zone_text(i, text), &s.so);
  uint64_t start = stage_now_ns(&s);
  assert_true(fake_net_run_until(s.net, 200 * NS_PER_S, all_there, &s));
  uint64_t took_ms = (stage_now_ns(&s) - start) / NS_PER_MS;
  struct fake_counts counts = fake_net_counts(s.net);
  assert_int_equal(s.p1.soa_queries, ZONES);
  assert_int_equal(counts.most_exchanges, LIMIT_SOA_EXCHANGES_ADDRESS);
  assert_true(counts.streams <= LIMIT_CHANNELS_ADDRESS);
  assert_true(took_ms < 40u * ZONES / LIMIT_TRANSFERS_IN_ADDRESS + 2000);
  /* The refreshes that follow spread out. */
  struct secondary_status status;
  uint64_t first = UINT64_MAX, last = 0;
  for (uint32_t i = 0; i < ZONES; i++) {
    status = fake_owner_status(&s.o, i);
    if (status.next_refresh_mono_ns < first) first = status.next_refresh_mono_ns;
    if (status.next_refresh_mono_ns > last) last = status.next_refresh_mono_ns;
  }
  assert_true(last - first > 800 * NS_PER_S);
  stage_done(&s);
}

/* Half of the zones have a first primary that is silent. */
static void test_dead_address(void **state) {
  static struct stage s;
  static struct secondary_options live;
  char text[32];
  stage_init(&s, 2, 2, ZONES);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 5 * NS_PER_MS, .latency_most_ns = 15 * NS_PER_MS};
  s.p1.host.presence = FAKE_SILENT;
  serve_all(&s, &s.p2);
  live = s.so; /* p2 only */
  live.primaries = &s.primaries[1];
  live.primary_count = 1;
  for (uint32_t i = 0; i < ZONES; i++)
    fake_owner_configure(&s.o, i, zone_text(i, text), i % 2 ? &live : &s.so);
  assert_true(fake_net_run_until(s.net, 60 * NS_PER_S, all_there, &s));
  assert_true(s.p1.host.datagrams == 0);
  stage_done(&s);
}

/* All primaries dead for an hour: little traffic, and all is there soon after one is back. */
static void test_dead_and_back(void **state) {
  static struct stage s;
  char text[32];
  stage_init(&s, 3, 1, ZONES);
  s.so.retry_max_ms = 20000;
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = NS_PER_MS, .latency_most_ns = 2 * NS_PER_MS};
  s.p1.host.presence = FAKE_SILENT;
  serve_all(&s, &s.p1);
  for (uint32_t i = 0; i < ZONES; i++)
    fake_owner_configure(&s.o, i, zone_text(i, text), &s.so);
  stage_run_ms(&s, 100000);
  assert_true(fake_net_counts(s.net).datagrams < 2000);
  assert_true(fake_net_counts(s.net).most_exchanges <= LIMIT_SOA_EXCHANGES_ADDRESS);
  s.p1.host.presence = FAKE_UP;
  stage_run_ms(&s, 21000);
  assert_int_equal(s.o.served, ZONES);
  stage_done(&s);
}

/* After a restart thousands of zones ask whether they are current; the one that has nothing yet goes first. */
static void test_zone_without_content_goes_first(void **state) {
  static struct stage s;
  char text[32];
  stage_init(&s, 4, 1, ZONES);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 5 * NS_PER_MS, .latency_most_ns = 15 * NS_PER_MS};
  serve_all(&s, &s.p1);
  for (uint32_t i = 0; i < ZONES; i++) {
    zone_text(i, text);
    if (i != ZONES / 2) s.o.zones[i].content = make_zone(text, 1, 3600, 60, 360000, 1);
    fake_owner_configure(&s.o, i, text, &s.so);
  }
  stage_run_ms(&s, 150);
  assert_non_null(s.o.zones[ZONES / 2].content);
  assert_true(s.p1.soa_queries < ZONES / 4);
  stage_done(&s);
}

/* ... and so does one that a NOTIFY tells of, though it waits already; and though as many zones as may be transferred at once are,
 * and none of them comes. */
static void test_told_zone_goes_first(void **state) {
  static struct stage s;
  char text[32];
  stage_init(&s, 5, 1, ZONES);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 5 * NS_PER_MS, .latency_most_ns = 15 * NS_PER_MS};
  serve_all(&s, &s.p1);
  for (uint32_t i = 0; i < ZONES; i++) {
    zone_text(i, text);
    if (i < ZONES / 2) s.o.zones[i].content = make_zone(text, 1, 3600, 60, 360000, 1);
    fake_owner_configure(&s.o, i, text, &s.so);
  }
  stage_run_ms(&s, 10);
  zone_text(0, text);
  fake_primary_serve(&s.p1, text, make_zone(text, 2, 3600, 60, 360000, 1));
  stage_notify(&s, &s.p1, 2);
  stage_run_ms(&s, 100);
  assert_int_equal(fake_owner_serial(&s.o, 0), 2);
  assert_true(s.o.served < ZONES / 4);
  stage_done(&s);
}

static bool only_changes(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return p->ixfr_asked > 0;
}

static void test_told_zone_passes_transfers_that_hang(void **state) {
  static struct stage s;
  char text[32];
  stage_init(&s, 6, 1, ZONES);
  serve_all(&s, &s.p1);
  fake_owner_configure(&s.o, 0, zone_text(0, text), &s.so);
  stage_run_ms(&s, 100);
  assert_int_equal(fake_owner_serial(&s.o, 0), 1);
  s.p1.habit = only_changes;
  for (uint32_t i = 1; i < 100; i++)
    fake_owner_configure(&s.o, i, zone_text(i, text), &s.so);
  stage_run_ms(&s, 2000);
  assert_int_equal(s.o.served, 1);
  zone_text(0, text);
  fake_primary_serve(&s.p1, text, make_zone(text, 2, 3600, 60, 360000, 1));
  stage_notify(&s, &s.p1, 2);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), 2);
  stage_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_at_start),         cmocka_unit_test(test_dead_address),
      cmocka_unit_test(test_dead_and_back),        cmocka_unit_test(test_zone_without_content_goes_first),
      cmocka_unit_test(test_told_zone_goes_first), cmocka_unit_test(test_told_zone_passes_transfers_that_hang),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
