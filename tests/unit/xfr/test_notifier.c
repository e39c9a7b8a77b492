/* NOTIFY out: a notifier against peers on a fake net. */
#include "testing.h"

#include "fake_net.h"
#include "fake_primary.h"
#include "xfr/notifier.h"
#include "zone/zone_set.h"

#include <stdio.h>

struct scene {
  struct fake_net *net;
  struct fake_primary p1, p2;
  struct notifier *n;
  struct xfr_primary peers[2];
  unsigned done, failed;
  uint32_t last_serial;
  uint64_t last_took_ns;
  char what[300], peer[64];
};

/* ---- the machine on the net ---- */

static void on_done(void *arg, uint32_t zone_id, const char *peer, uint32_t serial, uint64_t took_ns) {
  struct scene *s = arg;
  s->done++;
  s->last_serial = serial;
  s->last_took_ns = took_ns;
  snprintf(s->peer, sizeof s->peer, "%s", peer);
}

static void on_failed(void *arg, uint32_t zone_id, const char *peer, const char *what) {
  struct scene *s = arg;
  s->failed++;
  snprintf(s->what, sizeof s->what, "%s", what);
  snprintf(s->peer, sizeof s->peer, "%s", peer);
}

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  struct scene *s = arg;
  assert_true(token >> 63);
  notifier_udp_input(s->n, token, bytes, n, now);
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  struct scene *s = arg;
  notifier_udp_error(s->n, token, now);
}

static void run(void *arg, struct instant now) {
  struct scene *s = arg;
  notifier_run(s->n, now);
}

static uint64_t deadline(void *arg) {
  struct scene *s = arg;
  return notifier_deadline(s->n);
}

static void begin(struct scene *s, uint64_t seed) {
  memset(s, 0, sizeof *s);
  s->net = fake_net_new(seed);
  fake_primary_init(&s->p1, s->net, "192.0.2.1");
  fake_primary_init(&s->p2, s->net, "2001:db8::2");
  struct xfr_net net = fake_net_xfr(s->net);
  struct notifier_events events = {s, on_done, on_failed};
  assert_ok(notifier_new(&net, &events, &s->n));
  fake_net_attach(
      s->net, &(struct fake_machine){.arg = s, .udp_input = udp_input, .udp_error = udp_error, .run = run, .deadline = deadline});
  memcpy(s->peers[0].name, "p1", 3);
  memcpy(s->peers[1].name, "p2", 3);
  s->peers[0].address[0] = s->p1.host.addr;
  s->peers[1].address[0] = s->p2.host.addr;
  s->peers[0].address_count = s->peers[1].address_count = 1;
  fake_primary_serve(&s->p1, "example.com.", make_zone("example.com.", 1, 1, 1, 1, 0));
  fake_primary_serve(&s->p2, "example.com.", make_zone("example.com.", 1, 1, 1, 1, 0));
}

static void end(struct scene *s) {
  notifier_free(s->n);
  assert_int_equal(fake_net_counts(s->net).live_exchanges, 0);
  fake_primary_done(&s->p1);
  fake_primary_done(&s->p2);
  fake_net_free(s->net);
  zone_grace_barrier();
}

static void tell(struct scene *s, uint32_t serial, unsigned peers) {
  struct zone_snap *snap = make_zone("example.com.", serial, 1, 1, 1, 0);
  assert_ok(notifier_zone(s->n, 7, snap, s->peers, peers, false, fake_net_now(s->net)));
  zone_snap_unref(snap);
}

static void wait_ms(struct scene *s, uint64_t ms) {
  fake_net_run(s->net, ms * NS_PER_MS);
}

static void test_told_at_once(void **state) {
  struct scene s;
  begin(&s, 1);
  tell(&s, 5, 2);
  assert_int_equal(notifier_pending(s.n, 7), 2);
  wait_ms(&s, 1);
  assert_int_equal(notifier_pending(s.n, 7), 0);
  assert_int_equal(s.done, 2);
  assert_int_equal(s.failed, 0);
  assert_int_equal(s.last_serial, 5);
  assert_int_equal(s.last_took_ns, 200000);
  assert_int_equal(s.p1.notifies, 1);
  assert_int_equal(notifier_deadline(s.n), UINT64_MAX);
  end(&s);
}

static void check_message(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  struct request req;
  struct message m;
  struct rd body;
  struct name name;
  struct message_rr rr;
  uint16_t qtype, qclass;
  assert_ok(request_parse(bytes, size, &req));
  assert_int_equal(req.opcode, OPCODE_NOTIFY);
  assert_int_equal(req.flags & FLAG_AA, FLAG_AA);
  assert_int_equal(req.qtype, RR_SOA);
  assert_ok(message_open(bytes, size, &m, &body));
  assert_int_equal(m.counts[SECTION_ANSWER], 1);
  assert_ok(message_question(&m, &body, &name, &qtype, &qclass));
  assert_ok(message_rr(&m, &body, &rr));
  assert_int_equal(rr.type, RR_SOA);
  assert_true(name_equal(&rr.owner, &name));
  assert_int_equal(get_u32(rr.rdata.end - 20), 5);
  *(unsigned *)arg += 1;
}

static void test_message(void **state) {
  struct scene s;
  unsigned seen = 0;
  begin(&s, 1);
  s.p1.host.datagram = check_message;
  s.p1.host.arg = &seen;
  tell(&s, 5, 1);
  wait_ms(&s, 1);
  assert_int_equal(seen, 1);
  end(&s);
}

static void test_tried_with_backoff_until_given_up(void **state) {
  struct scene s;
  begin(&s, 2);
  s.p1.host.presence = FAKE_SILENT;
  tell(&s, 5, 1);
  wait_ms(&s, 1001);
  assert_int_equal(s.failed, 1);
  assert_string_equal(s.what, "192.0.2.1@53 does not answer our NOTIFY: is it up, and reachable from here?");
  assert_int_equal(fake_net_counts(s.net).datagrams, 2);
  wait_ms(&s, 2000);
  assert_int_equal(fake_net_counts(s.net).datagrams, 3);
  assert_int_equal(s.failed, 1); /* said once */
  wait_ms(&s, 600000);
  assert_int_equal(fake_net_counts(s.net).datagrams, LIMIT_NOTIFY_TRIES);
  assert_int_equal(s.failed, 2);
  assert_contains(s.what, "NOTIFY given up");
  assert_int_equal(notifier_pending(s.n, 7), 0);
  s.p1.host.presence = FAKE_UP;
  tell(&s, 6, 1); /* the next change is told again */
  wait_ms(&s, 1);
  assert_int_equal(s.done, 1);
  end(&s);
}

static void test_peer_comes_back(void **state) {
  struct scene s;
  begin(&s, 3);
  s.p1.host.presence = FAKE_CLOSED;
  tell(&s, 5, 2);
  wait_ms(&s, 10);
  assert_int_equal(s.done, 1);
  assert_string_equal(s.what, "192.0.2.1@53 has nobody listening there (port unreachable): is the server running?");
  assert_int_equal(notifier_pending(s.n, 7), 1);
  s.p1.host.presence = FAKE_UP;
  wait_ms(&s, 1001);
  assert_int_equal(s.done, 2);
  assert_string_equal(s.peer, "p1");
  end(&s);
}

static void test_loss(void **state) {
  for (uint64_t seed = 0; seed < 50; seed++) {
    struct scene s;
    begin(&s, seed);
    *fake_net_faults(s.net) = (struct fake_faults){
        .loss_percent = 40, .double_percent = 30, .latency_least_ns = NS_PER_MS, .latency_most_ns = 90 * NS_PER_MS};
    for (uint32_t serial = 5; serial < 10; serial++) {
      tell(&s, serial, 2);
      wait_ms(&s, 300000);
      assert_int_equal(notifier_pending(s.n, 7), 0);
      assert_int_equal(s.last_serial, serial);
    }
    end(&s);
  }
}

/* A zone that changes every millisecond to a peer 50 ms away: one NOTIFY under way at a time, and the last serial gets there. */
static void test_newer_serials_take_over(void **state) {
  struct scene s;
  begin(&s, 4);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = 25 * NS_PER_MS, .latency_most_ns = 25 * NS_PER_MS};
  for (uint32_t serial = 1; serial <= 1000; serial++) {
    tell(&s, serial, 1);
    wait_ms(&s, 1);
  }
  wait_ms(&s, 200);
  assert_int_equal(s.last_serial, 1000);
  assert_true(s.p1.notifies <= 22);
  assert_int_equal(fake_net_counts(s.net).most_exchanges, 1);
  s.p1.host.presence = FAKE_SILENT; /* what is not answered does not hold up a newer one for long */
  tell(&s, 1001, 1);
  wait_ms(&s, 30);
  s.p1.host.presence = FAKE_UP;
  tell(&s, 1002, 1);
  wait_ms(&s, 121);
  assert_int_equal(s.last_serial, 1002);
  end(&s);
}

static void test_answers_that_end_it(void **state) {
  static const struct {
    int rcode;
    const char *what;
  } cases[] = {{RCODE_REFUSED, "192.0.2.1@53 refused the NOTIFY (REFUSED): allow our address or key in its notify-from list"},
               {RCODE_NOTAUTH, "192.0.2.1@53 does not serve the zone or does not accept us (NOTAUTH to our NOTIFY)"},
               {RCODE_NOTIMP, "192.0.2.1@53 does not do this (NOTIMP to our NOTIFY)"}};
  for (unsigned i = 0; i < 3; i++) {
    struct scene s;
    begin(&s, 5);
    s.p1.soa_rcode = cases[i].rcode;
    tell(&s, 5, 1);
    wait_ms(&s, 100000);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.done, 0);
    assert_contains(s.what, cases[i].what);
    assert_int_equal(s.p1.notifies, 1);
    assert_int_equal(notifier_pending(s.n, 7), 0);
    end(&s);
  }
}

static void test_tried_again_when_it_can(void **state) {
  struct scene s;
  begin(&s, 6);
  s.p1.soa_rcode = RCODE_SERVFAIL;
  tell(&s, 5, 1);
  wait_ms(&s, 500);
  assert_int_equal(s.failed, 1);
  assert_contains(s.what, "SERVFAIL to our NOTIFY");
  assert_int_equal(notifier_pending(s.n, 7), 1);
  s.p1.soa_rcode = 0;
  wait_ms(&s, 1000);
  assert_int_equal(s.done, 1);
  assert_int_equal(s.p1.notifies, 2);
  assert_int_equal(notifier_pending(s.n, 7), 0);
  end(&s);
}

static void test_signed(void **state) {
  struct scene s;
  begin(&s, 6);
  struct name name = name_of("key.example.");
  s.p1.keys = make_keys("key.example.", HMAC_SHA256, "secret");
  s.p1.need_key = true;
  struct tsig_keyring *keys = make_keys("key.example.", HMAC_SHA256, "secret");
  s.peers[0].keys = keys;
  s.peers[0].key = tsig_keyring_find(keys, &name);
  s.p1.host.presence = FAKE_SILENT;
  tell(&s, 5, 1);
  s.peers[0].keys = NULL; /* a reload drops the keyring while the task still needs it */
  tsig_keyring_unref(keys);
  wait_ms(&s, 500);
  s.p1.host.presence = FAKE_UP;
  wait_ms(&s, 1000);
  assert_int_equal(s.done, 1);
  s.peers[0].keys = make_keys("key.example.", HMAC_SHA256, "wrong");
  s.peers[0].key = tsig_keyring_find(s.peers[0].keys, &name);
  tell(&s, 6, 1);
  wait_ms(&s, 10);
  assert_contains(s.what, "finds our signature wrong (BADSIG): the secret of the key key.example. differs there");
  tsig_keyring_unref(s.peers[0].keys);
  s.peers[0].keys = make_keys("key.example.", HMAC_SHA256, "secret");
  s.peers[0].key = tsig_keyring_find(s.peers[0].keys, &name);
  s.p1.unsigned_answers = true;
  tell(&s, 7, 1);
  wait_ms(&s, 1001);
  assert_contains(s.what, "without the signature");
  assert_int_equal(s.done, 1);
  tsig_keyring_unref(s.peers[0].keys);
  end(&s);
}

static void test_every_address_of_a_peer(void **state) {
  struct scene s;
  begin(&s, 7);
  s.peers[0].address[1] = s.p2.host.addr;
  s.peers[0].address_count = 2;
  s.p1.host.presence = FAKE_CLOSED;
  tell(&s, 5, 1);
  wait_ms(&s, 1);
  assert_int_equal(s.done, 1);
  assert_int_equal(s.p2.notifies, 1);
  assert_int_equal(s.failed, 0);
  end(&s);
}

static void test_peers_change(void **state) {
  struct scene s;
  begin(&s, 8);
  s.p1.host.presence = s.p2.host.presence = FAKE_SILENT;
  tell(&s, 5, 2);
  wait_ms(&s, 5);
  assert_int_equal(notifier_pending(s.n, 7), 2);
  tell(&s, 6, 1);
  assert_int_equal(notifier_pending(s.n, 7), 1);
  tell(&s, 6, 0);
  assert_int_equal(notifier_pending(s.n, 7), 0);
  tell(&s, 7, 2);
  notifier_remove(s.n, 7);
  assert_int_equal(notifier_pending(s.n, 7), 0);
  wait_ms(&s, 100000);
  assert_int_equal(s.done, 0);
  end(&s);
}

static void tell_many(struct scene *s, uint32_t from, uint32_t count, unsigned peers, bool at_start) {
  struct zone_snap *snap = make_zone("example.com.", 5, 1, 1, 1, 0);
  for (uint32_t i = from; i < from + count; i++)
    assert_ok(notifier_zone(s->n, i, snap, s->peers, peers, at_start, fake_net_now(s->net)));
  zone_snap_unref(snap);
}

/* Ten thousand zones, one dead peer: the live one is told at its pace, exchanges stay bounded, the dead one is probed. */
static void test_many_zones(void **state) {
  enum { ZONES = 10000 };
  struct scene s;
  begin(&s, 9);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = NS_PER_MS, .latency_most_ns = NS_PER_MS};
  s.p1.host.presence = FAKE_SILENT;
  tell_many(&s, 0, ZONES, 2, false);
  assert_int_equal(fake_net_counts(s.net).datagrams, 0); /* whoever tells is done first */
  wait_ms(&s, 1000);
  assert_true(s.p2.notifies >= LIMIT_NOTIFY_SECOND && s.p2.notifies <= LIMIT_NOTIFY_SECOND + LIMIT_NOTIFY_BURST);
  wait_ms(&s, 1000);
  assert_int_equal(s.done, ZONES);
  assert_true(fake_net_counts(s.net).most_exchanges <= 2 * LIMIT_NOTIFY_EXCHANGES_ADDRESS);
  wait_ms(&s, 20000);
  assert_true(fake_net_counts(s.net).datagrams < ZONES + 500);
  s.p1.host.presence = FAKE_UP;
  wait_ms(&s, 70000);
  assert_int_equal(s.done, 2 * ZONES);
  end(&s);
}

/* What is told because we started is in nobody's way. */
static void test_start_waits_behind_changes(void **state) {
  enum { ZONES = 10000 };
  struct scene s;
  begin(&s, 10);
  *fake_net_faults(s.net) = (struct fake_faults){.latency_least_ns = NS_PER_MS, .latency_most_ns = NS_PER_MS};
  tell_many(&s, 0, ZONES, 1, true);
  wait_ms(&s, 2000);
  assert_true(s.done >= LIMIT_NOTIFY_START_SECOND && s.done <= 2 * LIMIT_NOTIFY_START_SECOND + LIMIT_NOTIFY_BURST);
  unsigned before = s.done;
  tell_many(&s, ZONES - 10, 10, 1, false); /* some of those that wait have changed */
  wait_ms(&s, 3);
  assert_true(s.done >= before + 10);
  assert_int_equal(notifier_pending(s.n, ZONES - 1), 0);
  wait_ms(&s, 1000 * ZONES / LIMIT_NOTIFY_START_SECOND);
  assert_int_equal(s.done, ZONES);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_told_at_once),
      cmocka_unit_test(test_message),
      cmocka_unit_test(test_tried_with_backoff_until_given_up),
      cmocka_unit_test(test_peer_comes_back),
      cmocka_unit_test(test_loss),
      cmocka_unit_test(test_newer_serials_take_over),
      cmocka_unit_test(test_answers_that_end_it),
      cmocka_unit_test(test_tried_again_when_it_can),
      cmocka_unit_test(test_signed),
      cmocka_unit_test(test_every_address_of_a_peer),
      cmocka_unit_test(test_peers_change),
      cmocka_unit_test(test_many_zones),
      cmocka_unit_test(test_start_waits_behind_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
