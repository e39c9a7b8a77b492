/* Primaries that refuse, lie, drip, flood or sign wrongly: the old version serves on, the words are right, one connection is all
 * it costs. */
#include "testing_secondary.h"

enum { SERIAL = 10 };

/* An established zone; p1 has serial 11 and the habit that the test gives it. */
static void begin(struct stage *s) {
  stage_init(s, 1, 1, 1);
  stage_first(s, SERIAL, 3600, 600, 360000);
  stage_run_ms(s, LIMIT_CHANNEL_IDLE_MS); /* the next connection is a new one */
  fake_primary_serve(&s->p1, ZONE, make_zone(ZONE, SERIAL + 1, 3600, 600, 360000, 3000));
}

static void expect_refused(struct stage *s, uint64_t within_ms, const char *what) {
  secondary_refresh(s->o.machine, 0, fake_net_now(s->net)); /* what a NOTIFY told of would be asked for again and again */
  stage_run_ms(s, within_ms);
  struct owned_zone *z = &s->o.zones[0];
  assert_int_equal(fake_owner_serial(&s->o, 0), SERIAL);
  assert_int_equal(z->settled_bad, 1);
  assert_contains(z->what, "192.0.2.1@53 ");
  assert_contains(z->what, what);
  assert_string_equal(z->peer, "p1");
  stage_run_ms(s, LIMIT_CHANNEL_IDLE_MS);
  assert_int_equal(fake_net_counts(s->net).live_streams, 0);
  assert_int_equal(fake_net_counts(s->net).live_exchanges, 0);
  assert_int_equal(fake_net_counts(s->net).most_streams, 1);
  assert_true(fake_owner_status(&s->o, 0).next_refresh_mono_ns > stage_now_ns(s));
  stage_done(s);
}

/* ---- the SOA answer ---- */

static void test_soa_answers(void **state) {
  struct stage s;
  begin(&s);
  s.p1.soa_rcode = RCODE_SERVFAIL;
  expect_refused(&s, 10, "can't serve the zone just now (SERVFAIL to our SOA query)");
  begin(&s);
  s.p1.soa_rcode = RCODE_REFUSED;
  expect_refused(&s, 10, "refused the SOA query (REFUSED): allow our address or key");
  begin(&s);
  s.p1.soa_rcode = RCODE_NXDOMAIN;
  expect_refused(&s, 10, "knows no such zone");
  begin(&s);
  s.p1.soa_rcode = RCODE_NOTAUTH;
  expect_refused(&s, 10, "does not serve the zone");
  begin(&s);
  s.p1.no_authority = true;
  expect_refused(&s, 10, "has no authority for the zone (AA is missing)");
  begin(&s);
  s.p1.no_soa = true;
  expect_refused(&s, 10, "answered without the zone's SOA");
  begin(&s);
  s.p1.strange_id = true;
  s.p1.host.tcp_closed = true;
  expect_refused(&s, 6000, "does not answer over UDP, nor over TCP");
}

static void test_over_tcp(void **state) {
  struct stage s;
  begin(&s);
  s.p1.truncates = true;
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  assert_int_equal(fake_net_counts(s.net).streams, 2); /* the first transfer's, and one for both SOA and transfer */
  stage_done(&s);
  begin(&s);
  s.p1.host.udp_silent = true; /* a firewall that lets only TCP through */
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 6000);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  stage_done(&s);
  begin(&s);
  s.p1.truncates = true;
  s.p1.host.tcp_silent = true;
  expect_refused(&s, 6000, "does not answer");
  begin(&s);
  s.p1.truncates = true;
  s.p1.host.tcp_closed = true;
  expect_refused(&s, 10, "only over TCP, but that connection failed");
}

static void test_without_edns(void **state) {
  struct stage s;
  begin(&s);
  s.p1.no_edns = true;
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  stage_done(&s);
}

/* ---- signatures ---- */

static void sign(struct stage *s, const char *name, enum hmac_algorithm a, const char *secret) {
  struct name n = name_of(name);
  tsig_keyring_unref(s->primaries[0].keys);
  s->primaries[0].keys = make_keys(name, a, secret);
  s->primaries[0].key = tsig_keyring_find(s->primaries[0].keys, &n);
}

static void begin_signed(struct stage *s, const char *name, enum hmac_algorithm a, const char *secret) {
  stage_init(s, 1, 1, 1);
  s->p1.keys = make_keys("xfr.example.", HMAC_SHA256, "right");
  s->p1.need_key = true;
  sign(s, "xfr.example.", HMAC_SHA256, "right");
  stage_first(s, SERIAL, 3600, 600, 360000);
  assert_true(s->o.zones[0].info.is_signed);
  fake_primary_serve(&s->p1, ZONE, make_zone(ZONE, SERIAL + 1, 3600, 600, 360000, 3000));
  struct xfr_primary *other = &s->primaries[1]; /* as a reload brings it */
  *other = s->primaries[0];
  other->keys = make_keys(name, a, secret);
  struct name n = name_of(name);
  other->key = tsig_keyring_find(other->keys, &n);
  s->so.primaries = other;
  secondary_remove(s->o.machine, 0);
  fake_owner_configure(&s->o, 0, ZONE, &s->so);
  tsig_keyring_unref(s->primaries[0].keys);
  s->primaries[0].keys = NULL;
}

static void expect_refused_signed(struct stage *s, uint64_t within_ms, const char *what) {
  struct tsig_keyring *keys = s->primaries[1].keys;
  expect_refused(s, within_ms, what);
  tsig_keyring_unref(keys);
}

static void test_wrong_keys(void **state) {
  struct stage s;
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  tsig_keyring_unref(s.primaries[1].keys);
  stage_done(&s);
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "wrong");
  expect_refused_signed(&s, 10, "finds our signature wrong (BADSIG): the secret of the key xfr.example. differs there");
  begin_signed(&s, "other.example.", HMAC_SHA256, "right");
  expect_refused_signed(&s, 10, "does not know the key other.example. with hmac-sha256 (BADKEY)");
  begin_signed(&s, "xfr.example.", HMAC_SHA512, "right");
  expect_refused_signed(&s, 10, "does not know the key xfr.example. with hmac-sha512 (BADKEY)");
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.clock_off_s = 400;
  expect_refused_signed(&s, 10, "has another time than we (BADTIME");
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.unsigned_answers = true;
  expect_refused_signed(&s, 6000, "without the signature that the key xfr.example. asks for");
}

/* Whoever guesses port and ID can delay, but not decide: the right answer is waited for. */
static void test_forged_answer_first(void **state) {
  struct stage s;
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.forged_first = true;
  stage_run_ms(&s, 100);
  s.p1.forged_first = false;
  stage_run_ms(&s, 1000); /* the second try */
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  tsig_keyring_unref(s.primaries[1].keys);
  stage_done(&s);
}

struct strip {
  unsigned from, to; /* numbers of messages whose TSIG is taken away */
};

static bool strip_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  const struct strip *strip = arg;
  if (number < strip->from || number >= strip->to) return true;
  struct message m;
  struct rd body;
  struct name qname;
  struct message_rr rr;
  uint16_t qtype, qclass;
  assert_ok(message_open(bytes, *size, &m, &body));
  for (unsigned i = 0; i < m.counts[0]; i++)
    assert_ok(message_question(&m, &body, &qname, &qtype, &qclass));
  for (unsigned i = 0; i < m.counts[SECTION_ANSWER]; i++)
    assert_ok(message_rr(&m, &body, &rr));
  *size = (size_t)(body.at - bytes);
  put_u16(bytes + 10, 0);
  return true;
}

static void test_unsigned_messages_in_a_stream(void **state) {
  static struct strip last = {4, 1000}, first = {0, 1};
  struct stage s;
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.habit = strip_habit;
  s.p1.habit_arg = &last;
  expect_refused_signed(&s, 100, "without the signature");
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.habit = strip_habit;
  s.p1.habit_arg = &first;
  expect_refused_signed(&s, 100, "without the signature");
}

static bool flip_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number == 2) bytes[*size / 2] ^= 1; /* some address or label */
  return true;
}

static void test_changed_on_the_way(void **state) {
  struct stage s;
  begin_signed(&s, "xfr.example.", HMAC_SHA256, "right");
  s.p1.habit = flip_habit;
  expect_refused_signed(&s, 100, "192.0.2.1@53 sent ");
}

/* ---- the stream ---- */

static void test_transfer_refused(void **state) {
  struct stage s;
  begin(&s);
  s.p1.axfr_rcode = RCODE_REFUSED;
  expect_refused(&s, 10, "192.0.2.1@53 refused the transfer (REFUSED): allow our address or key in its transfer list");
  begin(&s);
  s.p1.host.tcp_closed = true;
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 10);
  assert_int_equal(s.o.zones[0].failed_in, SECONDARY_TRANSFERRING);
  assert_contains(s.o.zones[0].what, "takes no TCP connection (connection refused), though it answers over UDP");
  stage_done(&s);
  begin(&s);
  s.p1.host.tcp_silent = true;
  expect_refused(&s, 10001, "takes no TCP connection, though it answers over UDP");
}

static bool cut_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number < *(unsigned *)arg) return true;
  fake_net_hang_up(p->net, &p->host, token);
  return false;
}

static bool stall_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return number < *(unsigned *)arg;
}

static void test_truncated_stream(void **state) {
  static unsigned never = 0, after = 3;
  struct stage s;
  begin(&s);
  s.p1.habit = cut_habit;
  s.p1.habit_arg = &after;
  expect_refused(&s, 10, "broke off the transfer after ");
  begin(&s);
  s.p1.habit = cut_habit;
  s.p1.habit_arg = &never;
  expect_refused(&s, 10, "closed the connection instead of answering the transfer request");
  begin(&s);
  s.p1.habit = stall_habit;
  s.p1.habit_arg = &after;
  expect_refused(&s, 30001, "sent nothing for 30.0 s in the middle of the transfer");
}

static bool garbage_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  for (size_t i = number == 0 ? 12 : 0; number == *(unsigned *)arg && i < *size; i++)
    bytes[i] = (uint8_t)fake_net_random(p->net);
  return true;
}

static void test_garbage(void **state) {
  for (unsigned at = 0; at < 4; at++) {
    struct stage s;
    begin(&s);
    s.p1.habit = garbage_habit;
    s.p1.habit_arg = &at;
    expect_refused(&s, 10, "192.0.2.1@53 sent ");
  }
}

/* Every message as small as can be, far apart, for ever. */
static void drip(void *arg, uint64_t token) {
  struct fake_primary *p = arg;
  uint8_t bytes[512];
  struct message_writer w;
  struct name owner = name_of("drip." ZONE);
  message_start(&w, bytes, sizeof bytes, get_u16(p->habit_arg), FLAG_QR | FLAG_AA);
  uint8_t rdata[4];
  put_u32(rdata, (uint32_t)fake_net_random(p->net));
  assert_true(message_put_rr(&w, SECTION_ANSWER, owner.octets, RR_A, CLASS_IN, 1, rdata, 4));
  fake_net_send(p->net, &p->host, token, bytes, message_finish(&w, 0));
  if (fake_net_counts(p->net).live_streams) fake_net_later(p->net, p->pace_ns, drip, p, token);
}

static bool drip_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (number > 0) return false;
  memcpy(arg, bytes, 2); /* the ID */
  fake_net_later(p->net, p->pace_ns, drip, p, token);
  return true;
}

static void test_slow_drip(void **state) {
  static uint8_t id[2];
  struct stage s;
  begin(&s);
  s.p1.habit = drip_habit;
  s.p1.habit_arg = id;
  s.p1.pace_ns = 20 * NS_PER_S;
  expect_refused(&s, 61000, "of the transfer: too slow");
}

static void test_endless_stream(void **state) {
  static uint8_t id[2];
  struct stage s;
  begin(&s);
  s.so.transfer_max_bytes = 1000000;
  fake_owner_configure(&s.o, 0, ZONE, &s.so);
  s.p1.habit = drip_habit;
  s.p1.habit_arg = id;
  s.p1.pace_ns = 10000;
  expect_refused(&s, 10000, "sends more than the limit of 1000000 octets for one transfer");
}

/* Fast enough for every single deadline, but it never ends. */
static bool is_settled(void *arg) {
  struct stage *s = arg;
  return s->o.zones[0].settled_bad > 0;
}

static void test_total_time(void **state) {
  static uint8_t id[2];
  struct stage s;
  begin(&s);
  s.p1.habit = drip_habit;
  s.p1.habit_arg = id;
  s.p1.pace_ns = NS_PER_S / 4; /* 40 octets each, 5 KiB in 30 s */
  stage_notify(&s, &s.p1, SERIAL + 1);
  uint64_t start = stage_now_ns(&s);
  assert_true(fake_net_run_until(s.net, 8000 * NS_PER_S, is_settled, &s));
  assert_contains(s.o.zones[0].what, "did not end the transfer within 7200 s");
  assert_true(stage_now_ns(&s) - start <= 7201 * NS_PER_S);
  stage_done(&s);
}

static void test_slow_but_honest(void **state) {
  struct stage s;
  begin(&s);
  s.p1.pace_ns = 25 * NS_PER_S;
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 600000);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  stage_done(&s);
}

/* ---- what does not fit together ---- */

static void test_transfer_of_an_older_serial(void **state) {
  struct stage s;
  stage_init(&s, 1, 1, 1);
  stage_first(&s, SERIAL, 3600, 600, 360000);
  s.p1.soa_serial_off = 5;
  expect_refused(&s, 10, "transfers serial 10, which is not newer than ours (10), though its SOA answer said 15");
  stage_init(&s, 1, 1, 1);
  stage_first(&s, SERIAL, 3600, 600, 360000);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, SERIAL + 1, 3600, 600, 360000, 30));
  s.p1.soa_serial_off = 5; /* less than promised, but newer than ours */
  stage_notify(&s, &s.p1, 0);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  stage_done(&s);
}

static bool foreign_habit(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  struct message_writer w;
  struct name apex = name_of(ZONE), foreign = name_of("www.bank.example.");
  static const uint8_t address[4] = {1, 2, 3, 4};
  uint8_t soa[600];
  uint16_t id = get_u16(bytes);
  if (number > 0) return false;
  message_start(&w, bytes, LIMIT_MESSAGE_BYTES, id, FLAG_QR | FLAG_AA);
  size_t n = make_soa(&apex, SERIAL + 1, 3600, 600, 360000, soa);
  assert_true(message_put_question(&w, &apex, RR_AXFR, CLASS_IN));
  assert_true(message_put_rr(&w, SECTION_ANSWER, apex.octets, RR_SOA, CLASS_IN, 5, soa, n));
  for (unsigned i = 0; i < 7; i++)
    assert_true(message_put_rr(&w, SECTION_ANSWER, foreign.octets, RR_A, CLASS_IN, 5, address, sizeof address));
  assert_true(message_put_rr(&w, SECTION_ANSWER, apex.octets, RR_SOA, CLASS_IN, 5, soa, n));
  *size = message_finish(&w, 0);
  return true;
}

static void test_foreign_records_are_dropped(void **state) {
  struct stage s;
  begin(&s);
  s.p1.habit = foreign_habit;
  stage_notify(&s, &s.p1, SERIAL + 1);
  stage_run_ms(&s, 10);
  assert_int_equal(fake_owner_serial(&s.o, 0), SERIAL + 1);
  assert_int_equal(s.o.zones[0].info.dropped, 7);
  assert_int_equal(zone_record_count(s.o.zones[0].content), 1);
  assert_int_equal(fake_owner_status(&s.o, 0).last_transfer.dropped, 7);
  stage_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_soa_answers),
      cmocka_unit_test(test_over_tcp),
      cmocka_unit_test(test_without_edns),
      cmocka_unit_test(test_wrong_keys),
      cmocka_unit_test(test_forged_answer_first),
      cmocka_unit_test(test_unsigned_messages_in_a_stream),
      cmocka_unit_test(test_changed_on_the_way),
      cmocka_unit_test(test_transfer_refused),
      cmocka_unit_test(test_truncated_stream),
      cmocka_unit_test(test_garbage),
      cmocka_unit_test(test_slow_drip),
      cmocka_unit_test(test_endless_stream),
      cmocka_unit_test(test_total_time),
      cmocka_unit_test(test_slow_but_honest),
      cmocka_unit_test(test_transfer_of_an_older_serial),
      cmocka_unit_test(test_foreign_records_are_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
