/* Many zones on few connections: answers in any order, peers that close, are silent or answer what nobody asked. */
#include "testing_secondary.h"

#include <stdio.h>

enum { ZONES = 200 };

static const char *zone_text(unsigned i, char out[32]) {
  snprintf(out, 32, "z%u.example.", i);
  return out;
}

static void serve(struct fake_primary *p, unsigned i, unsigned hosts) {
  char text[32];
  zone_text(i, text);
  fake_primary_serve(p, text, make_zone(text, i + 1, 3600, 60, 360000, hosts));
}

static void begin(struct stage *s) {
  stage_init(s, 1, 1, ZONES);
  *fake_net_faults(s->net) = (struct fake_faults){.latency_least_ns = 5 * NS_PER_MS, .latency_most_ns = 15 * NS_PER_MS};
  for (unsigned i = 0; i < ZONES; i++)
    serve(&s->p1, i, i % 7 * 400 + 1);
}

static void configure(struct stage *s, unsigned from, unsigned count) {
  char text[32];
  for (unsigned i = from; i < from + count; i++)
    fake_owner_configure(&s->o, i, zone_text(i, text), &s->so);
}

static bool all_there(void *arg) {
  struct stage *s = arg;
  return s->o.served == ZONES;
}

static void expect_all(struct stage *s, uint64_t within_ms) {
  assert_true(fake_net_run_until(s->net, within_ms * NS_PER_MS, all_there, s));
  for (unsigned i = 0; i < ZONES; i++) {
    assert_int_equal(fake_owner_serial(&s->o, i), i + 1);
    assert_int_equal(s->o.zones[i].failed, 0);
  }
}

static void finish(struct stage *s) {
  stage_run_ms(s, LIMIT_CHANNEL_IDLE_MS + 100);
  assert_int_equal(fake_net_counts(s->net).live_streams, 0);
  stage_done(s);
}

/* Messages of all transfers come mixed: the primary has a pace, and begins each when it is asked. */
static void test_shared(void **state) {
  struct stage s;
  begin(&s);
  s.p1.pace_ns = NS_PER_MS;
  s.p1.keys = make_keys("xfr.example.", HMAC_SHA256, "secret");
  s.p1.need_key = true;
  s.primaries[0].keys = s.p1.keys;
  struct name key = name_of("xfr.example.");
  s.primaries[0].key = tsig_keyring_find(s.p1.keys, &key);
  configure(&s, 0, ZONES);
  expect_all(&s, 20000);
  assert_true(fake_net_counts(s.net).streams <= LIMIT_CHANNELS_ADDRESS);
  assert_int_equal(secondaries_counts(s.o.machine).connections, fake_net_counts(s.net).streams);
  assert_int_equal(s.p1.transfers, ZONES);
  finish(&s);
}

static void test_soa_over_tcp(void **state) {
  struct stage s;
  begin(&s);
  s.p1.truncates = true;
  configure(&s, 0, ZONES);
  expect_all(&s, 20000);
  assert_true(fake_net_counts(s.net).most_streams <= LIMIT_SOA_EXCHANGES_ADDRESS / LIMIT_CHANNEL_ASKS + 2);
  assert_true(fake_net_counts(s.net).streams <= 10);
  finish(&s);
}

static void test_source_address(void **state) {
  struct stage s;
  struct secondary_options other;
  struct xfr_primary from;
  char text[32];
  begin(&s);
  from = s.primaries[0];
  assert_ok(addr_parse("192.0.2.99", 0, &from.source4));
  other = s.so;
  other.primaries = &from;
  for (unsigned i = 0; i < ZONES; i++)
    fake_owner_configure(&s.o, i, zone_text(i, text), i % 2 ? &other : &s.so);
  expect_all(&s, 20000);
  assert_true(fake_net_counts(s.net).streams >= 2);
  finish(&s);
}

/* ---- peers that close ---- */

struct closer {
  uint64_t token[1024];
  unsigned done[1024], most; /* transfers that were answered on a connection; it is closed after so many */
};

static unsigned *done_on(struct closer *c, uint64_t token) {
  unsigned i = 0;
  while (c->token[i] && c->token[i] != token)
    i++;
  assert_true(i < 1024);
  c->token[i] = token;
  return &c->done[i];
}

static bool closes(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  struct closer *c = arg;
  unsigned *done = done_on(c, token);
  if (*done >= c->most) return false; /* closed already */
  fake_net_send(p->net, &p->host, token, bytes, *size);
  if (++*done == c->most) fake_net_hang_up(p->net, &p->host, token);
  return false;
}

static void test_closes_after_some(void **state) {
  for (unsigned most = 1; most <= 5; most += 2) {
    static struct closer c;
    struct stage s;
    memset(&c, 0, sizeof c);
    c.most = most;
    begin(&s);
    for (unsigned i = 0; i < ZONES; i++) /* one message each */
      serve(&s.p1, i, 1);
    s.p1.habit = closes;
    s.p1.habit_arg = &c;
    configure(&s, 0, ZONES);
    expect_all(&s, 20000);
    assert_true(fake_net_counts(s.net).streams <= ZONES / most + 40);
    /* One that closes after each is not sent questions that it will not answer, once that is known. */
    if (most == 1) assert_true(s.p1.transfers <= ZONES + 4 * LIMIT_CHANNEL_ASKS);
    finish(&s);
  }
}

/* As a peer looks that closes idle connections, just when a question is on its way. */
static bool closes_when_asked_again(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes,
                                    size_t *size) {
  unsigned *done = done_on(arg, token);
  if ((*done)++ == 0) return true;
  fake_net_hang_up(p->net, &p->host, token);
  return false;
}

static void test_closed_while_idle(void **state) {
  static struct closer c;
  struct stage s;
  memset(&c, 0, sizeof c);
  begin(&s);
  s.p1.habit = closes_when_asked_again;
  s.p1.habit_arg = &c;
  for (unsigned i = 0; i < ZONES; i += 7) { /* of one message */
    configure(&s, i, 1);
    stage_run_ms(&s, 200);
    assert_int_equal(fake_owner_serial(&s.o, i), i + 1);
    assert_int_equal(s.o.zones[i].failed, 0);
  }
  finish(&s);
}

/* ---- peers that misbehave ---- */

/* Answers only the first question of a connection. */
static bool first_only(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  unsigned *done = done_on(arg, token);
  return (*done)++ == 0;
}

static void test_answers_the_first_only(void **state) {
  static struct closer c;
  struct stage s;
  memset(&c, 0, sizeof c);
  begin(&s);
  for (unsigned i = 0; i < ZONES; i++)
    serve(&s.p1, i, 1);
  s.so.transfer_timeout_ms = 1000;
  s.p1.habit = first_only;
  s.p1.habit_arg = &c;
  configure(&s, 0, 10);
  stage_run_ms(&s, 5000);
  assert_int_equal(s.o.served, 10);
  for (unsigned i = 0; i < 10; i++)
    assert_int_equal(s.o.zones[i].failed, 0);
  finish(&s);
}

static bool wrong_id(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  const char *bad = arg; /* the first label of the zone that is answered wrongly */
  if (memcmp(bytes + MESSAGE_HEADER_BYTES + 1, bad, strlen(bad)) == 0) bytes[0] ^= 0x55;
  return true;
}

/* Whose fault it is shows when each is asked alone. */
static void test_stray_answers(void **state) {
  static char bad[] = "z42";
  struct stage s;
  begin(&s);
  s.p1.habit = wrong_id;
  s.p1.habit_arg = bad;
  configure(&s, 0, ZONES);
  stage_run_ms(&s, 60000);
  assert_int_equal(s.o.served, ZONES - 1);
  for (unsigned i = 0; i < ZONES; i++)
    assert_int_equal(s.o.zones[i].failed > 0, i == 42);
  assert_contains(s.o.zones[42].what, "which does not answer our transfer request");
  finish(&s);
}

static bool bad_record(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  const char *bad = arg;
  if (memcmp(bytes + MESSAGE_HEADER_BYTES + 1, bad, strlen(bad)) == 0) bytes[*size - 25] = 0xc0; /* in the last name */
  return true;
}

/* One zone that is refused in the middle does not harm the others on its connection. */
static void test_refused_among_others(void **state) {
  static char bad[] = "z41";
  struct stage s;
  begin(&s);
  s.p1.pace_ns = NS_PER_MS;
  s.p1.habit = bad_record;
  s.p1.habit_arg = bad;
  configure(&s, 0, ZONES);
  stage_run_ms(&s, 10000);
  assert_int_equal(s.o.served, ZONES - 1);
  for (unsigned i = 0; i < ZONES; i++)
    assert_int_equal(s.o.zones[i].failed > 0, i == 41);
  finish(&s);
}

/* What fails is the zone's, not the connection's: an rcode is an answer. */
static void test_refusals_keep_the_connection(void **state) {
  struct stage s;
  begin(&s);
  s.p1.axfr_rcode = RCODE_REFUSED;
  configure(&s, 0, ZONES);
  stage_run_ms(&s, 900);
  assert_int_equal(s.o.served, 0);
  assert_true(fake_net_counts(s.net).streams <= LIMIT_CHANNELS_ADDRESS);
  for (unsigned i = 0; i < ZONES; i++)
    assert_contains(s.o.zones[i].what, "refused the transfer (REFUSED)");
  stage_done(&s);
}

/* A huge zone on a connection: others that come later do not wait behind it, even at a peer that answers in order. */
static void test_not_behind_a_huge_one(void **state) {
  struct stage s;
  begin(&s);
  s.p1.pace_ns = 300 * NS_PER_MS;
  fake_primary_serve(&s.p1, "z0.example.", make_zone("z0.example.", 1, 3600, 60, 360000, 30000));
  configure(&s, 0, 1);
  stage_run_ms(&s, 2 * LIMIT_CHANNEL_SLOW_MS);
  assert_int_equal(fake_owner_serial(&s.o, 0), 0);
  configure(&s, 7, 1); /* small */
  stage_run_ms(&s, 200);
  assert_int_equal(fake_owner_serial(&s.o, 7), 8);
  assert_int_equal(fake_net_counts(s.net).streams, 2);
  stage_run_ms(&s, 60000);
  assert_int_equal(fake_owner_serial(&s.o, 0), 1);
  finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shared),
      cmocka_unit_test(test_soa_over_tcp),
      cmocka_unit_test(test_source_address),
      cmocka_unit_test(test_closes_after_some),
      cmocka_unit_test(test_closed_while_idle),
      cmocka_unit_test(test_answers_the_first_only),
      cmocka_unit_test(test_stray_answers),
      cmocka_unit_test(test_refused_among_others),
      cmocka_unit_test(test_refusals_keep_the_connection),
      cmocka_unit_test(test_not_behind_a_huge_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
