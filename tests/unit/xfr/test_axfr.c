/* Transfers without a network: axfr_out into incoming, and streams written by hand. */
#include "testing.h"

#include "fake_primary.h"
#include "xfr/incoming_priv.h"

#include <stdio.h>

static const int64_t now_s = 1790000000;

/* ---- out to in ---- */

struct pipe {
  struct tsig_keyring *keys;
  const struct tsig_key *key;
  uint8_t message[LIMIT_MESSAGE_BYTES];
};

/* Asks as incoming does and sets up the answer. */
static struct axfr_out *answer_to(struct pipe *p, const struct incoming *in, const struct zone_snap *snap) {
  size_t size;
  struct request req;
  struct tsig_stream tsig;
  struct axfr_out *out;
  const uint8_t *bytes = incoming_request(in, &size);
  assert_ok(request_parse(bytes, size, &req));
  tsig_stream_none(&tsig);
  if (p->key) assert_ok(tsig_verify_request(p->keys, &req, now_s, &tsig));
  assert_ok(axfr_out_begin(snap, &req, &tsig, &out));
  return out;
}

static struct zone_snap *round_trip(struct pipe *p, const struct zone_snap *snap, struct incoming_count *count) {
  struct incoming *in;
  struct zone_snap *copy;
  assert_ok(incoming_new(zone_apex(snap), NULL, p->key, 77, UINT64_MAX, now_s, &in));
  struct axfr_out *out = answer_to(p, in, snap);
  enum incoming_state state = INCOMING_MORE;
  bool done = false;
  while (!done) {
    size_t size;
    assert_ok(axfr_out_next(out, p->message, sizeof p->message, now_s, &size, &done));
    state = incoming_message(in, p->message, size, now_s);
    if (state == INCOMING_FAILED) fail_msg("%s", incoming_what(in));
    assert_int_equal(state, done ? INCOMING_DONE : INCOMING_MORE);
  }
  struct axfr_out_count sent = axfr_out_count(out);
  *count = incoming_count(in);
  assert_int_equal(sent.messages, count->messages);
  assert_int_equal(sent.records, count->records);
  assert_int_equal(sent.bytes, count->bytes);
  assert_ok(incoming_finish(in, &copy));
  incoming_free(in);
  axfr_out_free(out);
  return copy;
}

static void check_round_trip(const char *apex, unsigned hosts, struct pipe *p) {
  struct incoming_count count;
  struct zone_snap *snap = make_zone(apex, 7, 3600, 600, 86400, hosts);
  struct zone_snap *copy = round_trip(p, snap, &count);
  assert_true(zone_equal(snap, copy));
  assert_int_equal(count.records, zone_record_count(snap) + 1);
  assert_int_equal(count.dropped, 0);
  assert_true(count.messages <= 1 + count.bytes / 12000);
  zone_snap_unref(snap);
  zone_snap_unref(copy);
}

static void test_round_trip(void **state) {
  struct pipe p = {0};
  check_round_trip("example.com.", 0, &p);
  check_round_trip("example.com.", 3, &p);
  check_round_trip("example.com.", 5000, &p);
  check_round_trip(".", 100, &p);
  check_round_trip("0/26.2.0.192.in-addr.arpa.", 100, &p);
}

static void test_round_trip_signed(void **state) {
  static const enum hmac_algorithm all[] = {HMAC_MD5, HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    struct pipe p = {.keys = make_keys("xfr.example.", all[i], "a secret of some length")};
    struct name name = name_of("xfr.example.");
    p.key = tsig_keyring_find(p.keys, &name);
    check_round_trip("example.com.", 3000, &p);
    tsig_keyring_unref(p.keys);
  }
}

static void add_record(struct zone_edit *e, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t size) {
  struct name name = name_of(owner);
  enum zone_add outcome;
  assert_ok(zone_edit_add(e, &name, type, ttl, rdata, (uint16_t)size, &outcome));
}

/* Glue and what lies below a cut, signatures, a record of an unknown type and one that fills a message of its own. */
static void test_odd_records_survive(void **state) {
  struct pipe p = {0};
  struct incoming_count count;
  struct name apex = name_of("Example.COM.");
  struct zone_edit *e;
  struct zone_snap *snap;
  uint8_t soa[600], big[60000] = {0};
  static const uint8_t signature[] = "\0\1\10\2\0\0\16\20\147\0\0\0\146\0\0\0\1\2\7example\3com\0signature";
  assert_ok(zone_edit_begin(NULL, &apex, &e));
  add_record(e, "Example.COM.", RR_SOA, 3600, soa, make_soa(&apex, 9, 1, 1, 1, soa));
  add_record(e, "Example.COM.", RR_NS, 3600, "\3ns1\7EXAMPLE\3com", 17);
  add_record(e, "sub.example.com.", RR_NS, 60, "\2ns\3sub\7example\3com", 20);
  add_record(e, "ns.sub.example.com.", RR_A, 60, "\1\2\3\4", 4);
  add_record(e, "deep.below.sub.example.com.", RR_A, 5, "\1\2\3\4", 4);
  add_record(e, "UPPER.example.com.", RR_A, 60, "\1\2\3\4", 4);
  add_record(e, "upper.example.com.", RR_RRSIG, 50, signature, sizeof signature - 1);
  add_record(e, "a.example.com.", 65280, 0, big, sizeof big);
  add_record(e, "b.example.com.", 65280, 0, "", 0);
  assert_ok(zone_edit_finish(e, &snap));
  struct zone_snap *copy = round_trip(&p, snap, &count);
  assert_true(zone_equal(snap, copy));
  assert_int_equal(count.records, 10);
  assert_int_equal(count.messages, 2); /* the big one comes early and needs a message longer than the usual */
  zone_snap_unref(snap);
  zone_snap_unref(copy);
}

static size_t write_ixfr(const char *apex_text, uint32_t serial, bool with_soa, uint8_t *out) {
  struct message_writer w;
  struct name apex = name_of(apex_text);
  uint8_t soa[600];
  message_start(&w, out, 600, 5, 0);
  assert_true(message_put_question(&w, &apex, RR_IXFR, CLASS_IN));
  size_t n = make_soa(&apex, serial, 1, 1, 1, soa);
  if (with_soa) assert_true(message_put_rr(&w, SECTION_AUTHORITY, apex.octets, RR_SOA, CLASS_IN, 0, soa, n));
  return message_finish(&w, 0);
}

static uint64_t ixfr_records(const struct zone_snap *snap, uint32_t serial) {
  static uint8_t message[LIMIT_MESSAGE_BYTES];
  uint8_t ask[600];
  struct request req;
  struct tsig_stream tsig;
  struct axfr_out *out;
  size_t size;
  bool done = false;
  tsig_stream_none(&tsig);
  assert_ok(request_parse(ask, write_ixfr("example.com.", serial, true, ask), &req));
  assert_ok(axfr_out_begin(snap, &req, &tsig, &out));
  while (!done)
    assert_ok(axfr_out_next(out, message, sizeof message, now_s, &size, &done));
  uint64_t records = axfr_out_count(out).records;
  axfr_out_free(out);
  return records;
}

static void test_ixfr_requests(void **state) {
  struct zone_snap *snap = make_zone("example.com.", 7, 3600, 600, 86400, 10);
  assert_int_equal(ixfr_records(snap, 7), 1);
  assert_int_equal(ixfr_records(snap, 8), 1);
  assert_int_equal(ixfr_records(snap, 6), zone_record_count(snap) + 1);
  assert_int_equal(ixfr_records(snap, 7u + 0x80000001u), zone_record_count(snap) + 1); /* older, the other way round */
  uint8_t ask[600];
  struct request req;
  struct tsig_stream tsig;
  struct axfr_out *out;
  tsig_stream_none(&tsig);
  assert_ok(request_parse(ask, write_ixfr("example.com.", 1, false, ask), &req));
  assert_int_equal(axfr_out_begin(snap, &req, &tsig, &out), ERR_FORMAT);
  zone_snap_unref(snap);
}

static void test_first_message_echoes(void **state) {
  static uint8_t message[LIMIT_MESSAGE_BYTES];
  struct zone_snap *snap = make_zone("example.com.", 7, 3600, 600, 86400, 3000);
  struct message_writer w;
  uint8_t ask[600];
  struct name apex = name_of("eXaMpLe.CoM.");
  struct request req;
  struct tsig_stream tsig;
  struct axfr_out *out;
  size_t size;
  bool done = false;
  message_start(&w, ask, sizeof ask, 4242, FLAG_RD);
  assert_true(message_put_question(&w, &apex, RR_AXFR, CLASS_IN));
  assert_true(message_put_opt(&w, 1232, 0, 0, NULL, 0));
  assert_ok(request_parse(ask, message_finish(&w, 0), &req));
  tsig_stream_none(&tsig);
  assert_ok(axfr_out_begin(snap, &req, &tsig, &out));
  for (unsigned i = 0; !done; i++) {
    struct message m;
    struct rd body;
    assert_ok(axfr_out_next(out, message, sizeof message, now_s, &size, &done));
    assert_ok(message_open(message, size, &m, &body));
    assert_int_equal(m.id, 4242);
    assert_int_equal(m.flags, FLAG_QR | FLAG_AA | FLAG_RD);
    assert_int_equal(m.counts[0], i == 0);
    assert_int_equal(m.counts[SECTION_AUTHORITY], 0);
    assert_int_equal(m.counts[SECTION_ADDITIONAL], i == 0); /* OPT */
    if (i == 0) assert_memory_equal(message + 12, apex.octets, apex.size);
  }
  axfr_out_free(out);
  zone_snap_unref(snap);
}

/* ---- streams by hand ---- */

struct script {
  struct incoming *in;
  struct message_writer w;
  uint8_t bytes[LIMIT_MESSAGE_BYTES];
};

static void script_begin(struct script *s, uint64_t max_bytes) {
  struct name apex = name_of("example.com.");
  assert_ok(incoming_new(&apex, NULL, NULL, 9, max_bytes, now_s, &s->in));
}

static void say(struct script *s, bool question) {
  struct name apex = name_of("example.com.");
  message_start(&s->w, s->bytes, sizeof s->bytes, 9, FLAG_QR | FLAG_AA);
  if (question) assert_true(message_put_question(&s->w, &apex, RR_AXFR, CLASS_IN));
}

static void rr(struct script *s, const char *owner, uint16_t type, uint16_t class, uint32_t ttl, const void *rdata, size_t size) {
  struct name name = name_of(owner);
  assert_true(message_put_rr(&s->w, SECTION_ANSWER, name.octets, type, class, ttl, rdata, size));
}

static void soa(struct script *s, uint32_t serial) {
  struct name apex = name_of("example.com.");
  uint8_t rdata[600];
  rr(s, "example.com.", RR_SOA, CLASS_IN, 3600, rdata, make_soa(&apex, serial, 1, 1, 1, rdata));
}

static void a(struct script *s, const char *owner, uint32_t ttl) {
  rr(s, owner, RR_A, CLASS_IN, ttl, "\1\2\3\4", 4);
}

static enum incoming_state hear(struct script *s) {
  size_t size = message_finish(&s->w, 0);
  uint8_t *exact = malloc(size); /* so that a read past the end is seen */
  memcpy(exact, s->bytes, size);
  enum incoming_state state = incoming_message(s->in, exact, size, now_s);
  free(exact);
  return state;
}

static void hear_failed(struct script *s, const char *what) {
  assert_int_equal(hear(s), INCOMING_FAILED);
  assert_contains(incoming_what(s->in), what);
  assert_int_equal(incoming_message(s->in, s->bytes, 12, now_s), INCOMING_FAILED); /* for good */
  incoming_free(s->in);
}

static struct script script;

static void test_many_small_messages(void **state) {
  struct script *s = &script;
  struct zone_snap *snap;
  uint32_t serial = 0;
  script_begin(s, UINT64_MAX);
  assert_false(incoming_serial(s->in, &serial));
  say(s, true);
  soa(s, 5);
  assert_int_equal(hear(s), INCOMING_MORE);
  assert_true(incoming_serial(s->in, &serial));
  assert_int_equal(serial, 5);
  for (unsigned i = 0; i < 50; i++) {
    say(s, i % 2); /* the question may be missing from later messages */
    a(s, i % 2 ? "a.example.com." : "b.example.com.", 60 + i);
    assert_int_equal(hear(s), INCOMING_MORE);
  }
  say(s, false);
  rr(s, "elsewhere.org.", RR_A, CLASS_IN, 60, "\1\2\3\4", 4);
  soa(s, 5);
  assert_int_equal(hear(s), INCOMING_DONE);
  assert_int_equal(incoming_count(s->in).dropped, 1);
  assert_ok(incoming_finish(s->in, &snap));
  assert_int_equal(zone_record_count(snap), 3);
  incoming_free(s->in);
  zone_snap_unref(snap);
}

static void test_lowest_ttl_wins(void **state) {
  struct script *s = &script;
  struct zone_snap *snap;
  struct zone_rrset set;
  struct name name = name_of("w.example.com.");
  uint8_t key[NAME_KEY_BYTES];
  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  rr(s, "w.example.com.", RR_A, CLASS_IN, 300, "\1\2\3\4", 4);
  rr(s, "w.example.com.", RR_A, CLASS_IN, 30, "\1\2\3\5", 4);
  rr(s, "w.example.com.", RR_A, CLASS_IN, 3000, "\1\2\3\6", 4);
  soa(s, 5);
  assert_int_equal(hear(s), INCOMING_DONE);
  assert_ok(incoming_finish(s->in, &snap));
  struct zone_lookup q = {.snap = snap, .key = key, .key_size = (uint16_t)name_key(&name, key)};
  zone_lookup(&q);
  assert_non_null(q.found.node);
  assert_true(zone_find_rrset(q.found.node, RR_A, &set));
  assert_int_equal(set.count, 3);
  assert_int_equal(set.ttl, 30);
  incoming_free(s->in);
  zone_snap_unref(snap);
}

static void test_refused_streams(void **state) {
  struct script *s = &script;
  script_begin(s, UINT64_MAX);
  say(s, true);
  hear_failed(s, "without any record");

  script_begin(s, UINT64_MAX);
  say(s, true);
  a(s, "www.example.com.", 5);
  hear_failed(s, "SOA has to be the first");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  soa(s, 6);
  hear_failed(s, "began with serial 5 and ended with 6");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  rr(s, "example.com.", RR_SOA, CLASS_IN, 3600, "\0\0\0\0\0\5\0\0\0\1\0\0\0\1\0\0\0\1\0\0\1\54", 22);
  hear_failed(s, "another SOA");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  soa(s, 5);
  a(s, "late.example.com.", 5);
  hear_failed(s, "(late.example.com. A), behind the last SOA");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  rr(s, "www.example.com.", RR_A, CLASS_CH, 5, "\1\2\3\4", 4);
  hear_failed(s, "not of class IN");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  rr(s, "www.example.com.", RR_A, CLASS_IN, 5, "\1\2\3", 3);
  hear_failed(s, "record 2 (www.example.com. A), which is malformed");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  rr(s, "www.example.com.", RR_ANY, CLASS_IN, 5, "", 0);
  hear_failed(s, "can't stand in a zone");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  assert_int_equal(hear(s), INCOMING_MORE);
  say(s, false);
  hear_failed(s, "without records in the middle");
}

static void test_refused_messages(void **state) {
  struct script *s = &script;
  struct name other = name_of("example.org.");
  script_begin(s, UINT64_MAX);
  message_start(&s->w, s->bytes, sizeof s->bytes, 10, FLAG_QR);
  hear_failed(s, "message 1, which does not answer");

  script_begin(s, UINT64_MAX);
  message_start(&s->w, s->bytes, sizeof s->bytes, 9, 0); /* a query */
  hear_failed(s, "message 1, which does not answer");

  script_begin(s, UINT64_MAX);
  message_start(&s->w, s->bytes, sizeof s->bytes, 9, FLAG_QR);
  assert_true(message_put_question(&s->w, &other, RR_AXFR, CLASS_IN));
  hear_failed(s, "message 1, which does not answer");

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  s->w.counts += UINT64_C(1) << section_shift(SECTION_ANSWER); /* one that is not there */
  hear_failed(s, "malformed at record 2");

  script_begin(s, UINT64_MAX);
  say(s, true);
  put_u16(s->bytes + 2, FLAG_QR | RCODE_REFUSED);
  size_t size = message_finish(&s->w, RCODE_REFUSED);
  assert_int_equal(incoming_message(s->in, s->bytes, size, now_s), INCOMING_FAILED);
  assert_string_equal(incoming_what(s->in), "refused the transfer (REFUSED): allow our address or key in its transfer list");
  incoming_free(s->in);

  script_begin(s, UINT64_MAX);
  say(s, true);
  soa(s, 5);
  soa(s, 5);
  assert_int_equal(hear(s), INCOMING_DONE);
  say(s, false);
  a(s, "late.example.com.", 1);
  hear_failed(s, "behind the end");
}

/* Owners that point at one long name: a small stream that unfolds to much. */
static void test_limit_counts_what_unfolds(void **state) {
  struct script *s = &script;
  static const char label[] = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff.";
  char owner[260];
  snprintf(owner, sizeof owner, "%s%s%sexample.com.", label, label, label);
  script_begin(s, 100000);
  say(s, true);
  soa(s, 5);
  for (unsigned i = 0; i < 900; i++) {
    uint8_t rdata[4] = {1, 2, (uint8_t)(i >> 8), (uint8_t)i};
    rr(s, owner, RR_A, CLASS_IN, 5, rdata, 4);
  }
  assert_true(wr_used(&s->w.out) < 20000);
  hear_failed(s, "limit of 100000 octets");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),           cmocka_unit_test(test_round_trip_signed),
      cmocka_unit_test(test_odd_records_survive),  cmocka_unit_test(test_ixfr_requests),
      cmocka_unit_test(test_first_message_echoes), cmocka_unit_test(test_many_small_messages),
      cmocka_unit_test(test_lowest_ttl_wins),      cmocka_unit_test(test_refused_streams),
      cmocka_unit_test(test_refused_messages),     cmocka_unit_test(test_limit_counts_what_unfolds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
