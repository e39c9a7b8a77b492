/* IXFR in (RFC 1995): difference sequences record by record, and what the machine does when they do not come or do not fit. */
#include "testing_secondary.h"

#include "xfr/incoming_priv.h"
#include "xfr/list_priv.h"

#include <stdio.h>

static const int64_t now_s = 1790000000;

/* ---- answers by hand, to a zone of serial 10 with host0 .. host2 ---- */

enum { OURS = 10 };

struct script {
  struct zone_snap *base;
  struct incoming *in;
  struct message_writer w;
  uint8_t bytes[LIMIT_MESSAGE_BYTES];
};

static struct script script;

static void say(struct script *s) {
  message_start(&s->w, s->bytes, sizeof s->bytes, 9, FLAG_QR | FLAG_AA);
}

static struct script *begin(void) {
  struct script *s = &script;
  struct name apex = name_of(ZONE);
  s->base = make_zone(ZONE, OURS, 1, 1, 1, 3);
  assert_ok(incoming_new(&apex, s->base, NULL, 9, 100000, now_s, &s->in));
  say(s);
  return s;
}

static void rr(struct script *s, const char *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t size) {
  struct name name = name_of(owner);
  assert_true(message_put_rr(&s->w, SECTION_ANSWER, name.octets, type, CLASS_IN, ttl, rdata, size));
}

static void soa(struct script *s, uint32_t serial) {
  struct name apex = name_of(ZONE);
  uint8_t rdata[600];
  rr(s, ZONE, RR_SOA, 3600, rdata, make_soa(&apex, serial, 1, 1, 1, rdata));
}

static void host(struct script *s, unsigned number, unsigned last) {
  char text[40];
  uint8_t a[4] = {192, 0, 0, (uint8_t)last};
  snprintf(text, sizeof text, "host%u." ZONE, number);
  rr(s, text, RR_A, 3600, a, sizeof a);
}

static enum incoming_state hear(struct script *s) {
  size_t size = message_finish(&s->w, 0);
  uint8_t *exact = malloc(size); /* so that a read past the end is seen */
  memcpy(exact, s->bytes, size);
  enum incoming_state state = incoming_message(s->in, exact, size, now_s);
  free(exact);
  return state;
}

static void end(struct script *s) {
  incoming_free(s->in);
  zone_snap_unref(s->base);
  zone_grace_barrier();
}

static void hear_failed(struct script *s, const char *what) {
  assert_int_equal(hear(s), INCOMING_FAILED);
  assert_contains(incoming_what(s->in), what);
  end(s);
}

static struct zone_snap *hear_changes(struct script *s) {
  struct zone_snap *snap;
  assert_int_equal(hear(s), INCOMING_DONE);
  assert_int_equal(incoming_kind(s->in), INCOMING_CHANGES);
  assert_ok(incoming_finish(s->in, &snap));
  return snap;
}

static bool has_host(const struct zone_snap *snap, unsigned number, unsigned last) {
  char text[40];
  struct zone_rrset set;
  uint8_t key[NAME_KEY_BYTES];
  snprintf(text, sizeof text, "host%u." ZONE, number);
  struct name name = name_of(text);
  struct zone_lookup q = {.snap = snap, .key = key, .key_size = (uint16_t)name_key(&name, key)};
  zone_lookup(&q);
  if (!q.found.node || !zone_find_rrset(q.found.node, RR_A, &set)) return false;
  for (unsigned i = 0; i < set.count; i++) {
    const uint8_t *rdata;
    uint16_t size;
    zone_rr_next(&set.rrs, &rdata, &size);
    if (rdata[3] == last) return true;
  }
  return false;
}

static void test_request(void **state) {
  struct script *s = begin();
  struct request req;
  size_t size;
  const uint8_t *bytes = incoming_request(s->in, &size);
  assert_ok(request_parse(bytes, size, &req));
  assert_int_equal(req.qtype, RR_IXFR);
  assert_int_equal(section_count(req.counts, SECTION_AUTHORITY), 1);
  end(s);
}

static void test_one_sequence(void **state) {
  struct script *s = begin();
  soa(s, 11);
  soa(s, OURS);
  host(s, 1, 1);
  soa(s, 11);
  host(s, 1, 99);
  host(s, 7, 7);
  rr(s, "elsewhere.org.", RR_A, 60, "\1\2\3\4", 4);
  soa(s, 11);
  struct zone_snap *snap = hear_changes(s);
  assert_int_equal(zone_serial(snap), 11);
  assert_true(has_host(snap, 0, 0) && !has_host(snap, 1, 1) && has_host(snap, 1, 99) && has_host(snap, 7, 7));
  assert_int_equal(zone_record_count(snap), zone_record_count(s->base) + 1);
  assert_int_equal(incoming_count(s->in).dropped, 1);
  assert_true(zone_shares_memory(s->base, snap));
  zone_snap_unref(snap);
  end(s);
}

/* What one sequence adds the next may take away again; every record in a message of its own. */
static void test_several_sequences(void **state) {
  static const unsigned steps[][3] = {{0, 13}, {0, 10},   {1, 0, 0}, {0, 11}, {1, 7, 7}, {0, 11}, {1, 7, 7},
                                      {0, 12}, {1, 0, 0}, {0, 12},   {0, 13}, {1, 8, 8}, {0, 13}};
  struct script *s = begin();
  enum { COUNT = sizeof steps / sizeof *steps };
  for (unsigned i = 0; i < COUNT; i++) {
    say(s);
    if (steps[i][0]) host(s, steps[i][1], steps[i][2]);
    else soa(s, steps[i][1]);
    if (i + 1 < COUNT) assert_int_equal(hear(s), INCOMING_MORE);
    assert_int_equal(incoming_is_undecided(s->in), i == 0);
  }
  struct zone_snap *snap = hear_changes(s);
  assert_int_equal(zone_serial(snap), 13);
  assert_true(has_host(snap, 0, 0) && !has_host(snap, 7, 7) && has_host(snap, 8, 8));
  zone_snap_unref(snap);
  end(s);
}

static void test_ttl_change(void **state) {
  struct script *s = begin();
  soa(s, 11);
  soa(s, OURS);
  host(s, 1, 1);
  soa(s, 11);
  rr(s, "HOST1." ZONE, RR_A, 60, "\300\0\0\1", 4);
  rr(s, "host1." ZONE, RR_A, 60, "\300\0\0\2", 4);
  soa(s, 11);
  struct zone_snap *snap = hear_changes(s);
  assert_true(has_host(snap, 1, 1) && has_host(snap, 1, 2));
  zone_snap_unref(snap);
  end(s);
}

static void test_whole_zone_instead(void **state) {
  struct zone_snap *snap;
  for (unsigned alone = 0; alone < 2; alone++) { /* the first SOA in a message of its own, as PowerDNS sends it */
    struct script *s = begin();
    soa(s, 11);
    if (alone) {
      assert_int_equal(hear(s), INCOMING_MORE);
      assert_true(incoming_is_undecided(s->in));
      say(s);
    }
    host(s, 5, 5);
    soa(s, 11);
    assert_int_equal(hear(s), INCOMING_DONE);
    assert_int_equal(incoming_kind(s->in), INCOMING_WHOLE);
    assert_ok(incoming_finish(s->in, &snap));
    assert_int_equal(zone_record_count(snap), 2);
    zone_snap_unref(snap);
    end(s);
  }
}

static void test_nothing_newer(void **state) {
  static const uint32_t serials[] = {OURS, OURS - 1, OURS + 0x80000001u};
  for (unsigned i = 0; i < 3; i++) {
    struct script *s = begin();
    soa(s, serials[i]);
    assert_int_equal(hear(s), INCOMING_DONE);
    assert_int_equal(incoming_kind(s->in), INCOMING_NOTHING);
    end(s);
  }
}

/* Octets tell what is said: 0 serial, or 'h' number last-octet. */
static void answer(struct script *s, const char *what) {
  for (const char *p = what; *p;) {
    unsigned a = 0, b = 0;
    int n = 0;
    if (sscanf(p, "h%u.%u%n", &a, &b, &n) == 2) host(s, a, b);
    else if (sscanf(p, "s%u%n", &a, &n) == 1) soa(s, a);
    assert_true(n > 0);
    p += n;
    while (*p == ' ')
      p++;
  }
}

static void test_what_is_refused(void **state) {
  static const struct {
    const char *answer, *what;
  } cases[] = {
      {"s12 s9 s12 s12", "sent changes from serial 9, though we asked for those from 10"},
      {"s12 s10 s11 h7.7 s12", "ended the changes at serial 11, though it announced 12"},
      {"s13 s10 s11 s12 s13 s13", "sent changes with a gap: up to serial 11, and then from 12 on"},
      {"s12 s10 h1.9 s12 s12", "removes host1.example.com. A, which is not there: its history is not ours"},
      {"s12 s10 h9.9 s12 s12", "removes host9.example.com. A, which is not there"},
      {"s12 s10 h1.1 h1.1 s12 s12", "removes host1.example.com. A, which is not there"},
      {"s12 s10 s12 h1.1 s12", "adds host1.example.com. A, which is there already"},
      {"s12 s10 s12 h1.7 h1.7 s12", "adds host1.example.com. A, which is there already"},
      {"s12 s10 s10 s12", "lead from serial 10 back to 10"},
      {"s12 s10 s9 s12", "lead from serial 10 back to 9"},
      {"s12 s10 s13 s12", "lead past the announced serial 12, to 13"},
      {"s12 s10 s12 s13", "ended the changes with another SOA than it began with (serial 13)"},
      {"s12 s10 s12 s12 h3.3", "(host3.example.com. A), behind the last SOA"},
      {"s12 s10 s12 s12 s12", "(example.com. SOA), behind the last SOA"},
      {"h1.1 s12", "where the zone's SOA has to be the first"},
      {"s12 h1.1 s11", "began with serial 12 and ended with 11"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct script *s = begin();
    answer(s, cases[i].answer);
    hear_failed(s, cases[i].what);
  }
  struct script *s = begin(); /* of our serial, but not our SOA */
  soa(s, 12);
  rr(s, ZONE, RR_SOA, 3600, "\0\0\0\0\0\12\0\0\0\1\0\0\0\1\0\0\0\1\0\0\1\54", 22);
  hear_failed(s, "removes example.com. SOA, which is not there");
  s = begin();
  answer(s, "s12 s10 s11");
  rr(s, ZONE, RR_SOA, 3600, "\0\0\0\0\0\13\0\0\0\1\0\0\0\1\0\0\0\1\0\0\1\54", 22);
  hear_failed(s, "two SOAs of serial 11");
  s = begin();
  answer(s, "s12 s10 s12");
  rr(s, "host1." ZONE, RR_A, 60, "\300\0\0\2", 4);
  hear_failed(s, "adds host1.example.com. A, to a set that has another TTL");
  s = begin();
  soa(s, 12);
  say(s);
  hear_failed(s, "without any record");
}

/* ---- the machine ---- */

static uint64_t seed;

static void first(struct stage *s, unsigned primaries) {
  stage_init(s, 1, primaries, 1);
  seed = 1;
  s->p1.gives_changes = s->p2.gives_changes = true;
  stage_first(s, OURS, 3600, 10, 360000);
  stage_run_ms(s, LIMIT_CHANNEL_IDLE_MS); /* the next connection is a new one */
  if (primaries > 1) fake_primary_serve(&s->p2, ZONE, make_zone(ZONE, OURS, 3600, 10, 360000, 20));
}

static void change(struct fake_primary *p, struct zone_snap *from, uint32_t serial, unsigned changes) {
  fake_primary_serve(p, ZONE, next_version(from, serial, changes, false, &seed));
}

static struct zone_snap *served(struct fake_primary *p) {
  size_t from = 0;
  return MEMBER_OF(map_any(&p->zones, &from), struct fake_zone, node)->snap;
}

static void check_same(struct stage *s, uint32_t serial) {
  assert_int_equal(fake_owner_serial(&s->o, 0), serial);
  assert_true(zone_equal(s->o.zones[0].content, served(&s->p1)));
}

static void test_changes_come(void **state) {
  struct stage s;
  first(&s, 1);
  for (uint32_t serial = OURS + 1; serial < OURS + 20; serial++) {
    change(&s.p1, served(&s.p1), serial, serial % 7);
    if (serial % 3) continue; /* several steps at once */
    stage_notify(&s, &s.p1, serial);
    stage_run_ms(&s, 100);
    check_same(&s, serial);
    struct secondary_status status = fake_owner_status(&s.o, 0);
    assert_true(status.last_transfer.incremental && s.o.zones[0].info.incremental && status.last_transfer.has_serial_from);
    assert_int_equal(status.last_transfer.serial_to, serial);
    assert_string_equal(status.last_transfer.whole_because, "");
    assert_string_equal(status.last_transfer.peer, "p1");
  }
  assert_int_equal(s.p1.axfr_asked, 1);
  assert_int_equal(s.o.zones[0].fell_back, 0);
  assert_int_equal(secondaries_counts(s.o.machine).transfers_changes, s.p1.ixfr_asked);
  stage_done(&s);
}

static void test_retransfer_is_whole(void **state) {
  struct stage s;
  first(&s, 1);
  secondary_retransfer(s.o.machine, 0, fake_net_now(s.net));
  stage_run_ms(&s, 100);
  assert_int_equal(s.p1.axfr_asked, 2);
  assert_int_equal(s.p1.ixfr_asked, 0);
  stage_done(&s);
}

static void wrong_start(void *arg, struct fake_primary *p, struct fake_ixfr *x) {
  put_u32(x->rrs[1].rdata + x->rrs[1].size - 20, 4);
}

static void soa_alone(void *arg, struct fake_primary *p, struct fake_ixfr *x) {
  while (x->count > 1)
    fake_ixfr_remove(x, 1);
}

static bool nothing(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return p->ixfr_asked == 0;
}

static bool hang_up(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  if (p->axfr_asked > 1) return true;
  fake_net_hang_up(p->net, &p->host, token);
  return false;
}

static bool stalls(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  return p->axfr_asked > 1;
}

static void expect_whole(struct stage *s, uint64_t ms, const char *why) {
  change(&s->p1, served(&s->p1), OURS + 1, 3);
  stage_notify(s, &s->p1, 0);
  stage_run_ms(s, ms);
  check_same(s, OURS + 1);
  struct secondary_status status = fake_owner_status(&s->o, 0);
  assert_false(status.last_transfer.incremental);
  assert_contains(status.last_transfer.whole_because, why);
  assert_contains(status.last_transfer.whole_because, "192.0.2.1@53 ");
  assert_string_equal(status.last_error, "");
  assert_int_equal(status.last_transfer.serial_from, OURS);
  assert_int_equal(s->o.zones[0].fell_back, 1);
  assert_int_equal(s->o.zones[0].failed, 0);
  assert_int_equal(s->p1.ixfr_asked, 1);
  assert_int_equal(s->p1.axfr_asked, 2);
  assert_int_equal(s->p1.soa_queries, 2);
  assert_int_equal(secondaries_counts(s->o.machine).transfers_fell_back, 1);
  stage_done(s);
}

static void test_falls_back(void **state) {
  static const int rcodes[] = {RCODE_SERVFAIL, RCODE_NOTIMP, RCODE_FORMERR, RCODE_REFUSED};
  struct stage s;
  first(&s, 1);
  s.p1.bend = wrong_start;
  expect_whole(&s, 100, "sent changes from serial 4");
  first(&s, 1);
  s.p1.bend = soa_alone;
  expect_whole(&s, LIMIT_IXFR_SECOND_MS + 100, "nothing but its newer SOA");
  for (unsigned i = 0; i < 4; i++) {
    first(&s, 1);
    s.p1.ixfr_rcode = rcodes[i];
    expect_whole(&s, 100, rcode_text((unsigned)rcodes[i]));
  }
  first(&s, 1);
  s.p1.habit = hang_up;
  expect_whole(&s, 100, "closed the connection instead of answering");
  first(&s, 1);
  s.p1.habit = stalls;
  expect_whole(&s, 30100, "sent nothing for 30.0 s");
}

/* Another primary is asked when one does not answer the IXFR, and the first is not asked for changes again. */
static void test_stalled_goes_on_to_the_next(void **state) {
  struct stage s;
  first(&s, 2);
  s.p1.habit = nothing;
  struct zone_snap *next = next_version(served(&s.p1), OURS + 1, 3, false, &seed);
  fake_primary_serve(&s.p1, ZONE, zone_snap_ref(next));
  fake_primary_serve(&s.p2, ZONE, next);
  stage_notify(&s, &s.p1, 0);
  stage_run_ms(&s, 31000);
  check_same(&s, OURS + 1);
  assert_true(s.o.zones[0].info.incremental == false || s.p2.ixfr_asked == 1);
  assert_int_equal(s.p1.axfr_asked, 1);
  stage_done(&s);
}

static void advance(struct stage *s, uint32_t serial) {
  change(&s->p1, served(&s->p1), serial, 2);
  stage_notify(s, &s->p1, serial);
  stage_run_ms(s, 100);
  check_same(s, serial);
}

static void test_remembers_for_a_while(void **state) {
  struct stage s;
  first(&s, 1);
  s.p1.bend = wrong_start;
  advance(&s, OURS + 1);
  assert_int_equal(s.p1.ixfr_asked, 1);
  advance(&s, OURS + 2);
  assert_int_equal(s.p1.ixfr_asked, 1); /* not again */
  stage_run_ms(&s, LIMIT_IXFR_AVOID_LEAST_S * 1000);
  advance(&s, OURS + 3);
  assert_int_equal(s.p1.ixfr_asked, 2); /* tried again, and twice as long not */
  stage_run_ms(&s, (LIMIT_IXFR_AVOID_LEAST_S + 1) * 1000);
  advance(&s, OURS + 4);
  assert_int_equal(s.p1.ixfr_asked, 2);
  stage_run_ms(&s, LIMIT_IXFR_AVOID_LEAST_S * 1000);
  s.p1.bend = NULL;
  advance(&s, OURS + 5);
  assert_int_equal(s.p1.ixfr_asked, 3);
  assert_true(s.o.zones[0].info.incremental);
  stage_done(&s);
}

/* A wrong key is no fault of the IXFR: once it is right, changes come at once. */
static void test_failure_of_both_is_not_remembered(void **state) {
  struct stage s;
  first(&s, 1);
  s.p1.axfr_rcode = RCODE_REFUSED;
  change(&s.p1, served(&s.p1), OURS + 1, 3);
  stage_notify(&s, &s.p1, 0);
  stage_run_ms(&s, 100);
  assert_int_equal(s.o.zones[0].failed, 1);
  assert_contains(s.o.zones[0].what, "REFUSED");
  s.p1.axfr_rcode = 0;
  stage_run_ms(&s, 11000);
  check_same(&s, OURS + 1);
  assert_int_equal(s.p1.ixfr_asked, 2);
  assert_true(s.o.zones[0].info.incremental);
  stage_done(&s);
}

static void test_expired_and_lower(void **state) {
  struct stage s;
  first(&s, 1);
  fake_primary_serve(&s.p1, ZONE, make_zone(ZONE, OURS - 5, 3600, 10, 360000, 4));
  s.p1.host.presence = FAKE_SILENT;
  stage_run_ms(&s, 370000u * 1000u);
  assert_true(s.o.zones[0].expired);
  s.p1.host.presence = FAKE_UP;
  stage_run_ms(&s, 11000);
  check_same(&s, OURS - 5);
  assert_int_equal(s.p1.ixfr_asked, 0); /* there are no changes that lead back */
  stage_done(&s);
}

/* To our IXFR nothing but its SOA of our serial; to an AXFR the zone. */
static bool says_nothing_new(void *arg, struct fake_primary *p, uint64_t token, unsigned number, uint8_t *bytes, size_t *size) {
  struct message_writer w;
  struct name apex = name_of(ZONE);
  uint8_t soa[600];
  uint16_t id = get_u16(bytes);
  if (p->axfr_asked) return true;
  size_t n = make_soa(&apex, OURS, 3600, 10, 360000, soa);
  message_start(&w, bytes, LIMIT_MESSAGE_BYTES, id, FLAG_QR | FLAG_AA);
  assert_true(message_put_question(&w, &apex, RR_IXFR, CLASS_IN));
  assert_true(message_put_rr(&w, SECTION_ANSWER, apex.octets, RR_SOA, CLASS_IN, 5, soa, n));
  *size = message_finish(&w, 0);
  return true;
}

static void test_expired_and_nothing_new(void **state) {
  struct stage s;
  first(&s, 1);
  s.p1.host.presence = FAKE_SILENT;
  stage_run_ms(&s, 370000u * 1000u);
  assert_true(s.o.zones[0].expired);
  s.p1.host.presence = FAKE_UP;
  s.p1.axfr_asked = 0;
  s.p1.soa_serial_off = 5;
  s.p1.gives_changes = false;
  s.p1.habit = says_nothing_new;
  stage_run_ms(&s, 11000);
  assert_int_equal(s.p1.ixfr_asked, 1);
  assert_int_equal(s.p1.axfr_asked, 1); /* of an expired zone any serial is taken, as a whole */
  check_same(&s, OURS);
  assert_false(s.o.zones[0].expired);
  stage_done(&s);
}

static void lie(void *arg, struct fake_primary *p, struct fake_ixfr *x) {
  for (size_t i = 0; i < x->count; i++)
    if (x->rrs[i].type == RR_A) x->rrs[i].rdata[0] ^= x->rrs[i].rdata[0] == 192 && i + 2 == x->count ? 1 : 0;
}

static void test_zonemd(void **state) {
  struct stage s;
  stage_init(&s, 1, 1, 1);
  seed = 5;
  s.p1.gives_changes = true;
  stage_first(&s, OURS, 3600, 10, 360000);
  for (uint32_t serial = OURS + 1; serial < OURS + 6; serial++) {
    fake_primary_serve(&s.p1, ZONE, next_version(served(&s.p1), serial, 4, true, &seed));
    stage_notify(&s, &s.p1, serial);
    stage_run_ms(&s, 100);
    check_same(&s, serial);
    assert_true(s.o.zones[0].info.incremental);
  }
  s.p1.bend = lie;
  for (uint32_t serial = OURS + 6; s.o.zones[0].fell_back == 0; serial++) {
    assert_true(serial < OURS + 60);
    fake_primary_serve(&s.p1, ZONE, next_version(served(&s.p1), serial, 4, true, &seed));
    stage_notify(&s, &s.p1, serial);
    stage_run_ms(&s, 100);
    check_same(&s, serial);
  }
  assert_contains(s.o.zones[0].what, "that does not fit its digest (ZONEMD, SHA-384)");
  assert_int_equal(secondaries_counts(s.o.machine).zonemd_refused, 1);
  stage_done(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_request),
      cmocka_unit_test(test_one_sequence),
      cmocka_unit_test(test_several_sequences),
      cmocka_unit_test(test_ttl_change),
      cmocka_unit_test(test_whole_zone_instead),
      cmocka_unit_test(test_nothing_newer),
      cmocka_unit_test(test_what_is_refused),
      cmocka_unit_test(test_changes_come),
      cmocka_unit_test(test_retransfer_is_whole),
      cmocka_unit_test(test_falls_back),
      cmocka_unit_test(test_stalled_goes_on_to_the_next),
      cmocka_unit_test(test_remembers_for_a_while),
      cmocka_unit_test(test_failure_of_both_is_not_remembered),
      cmocka_unit_test(test_expired_and_lower),
      cmocka_unit_test(test_expired_and_nothing_new),
      cmocka_unit_test(test_zonemd),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
