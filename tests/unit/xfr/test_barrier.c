/* Publish barrier: never passed early, never missed, and who lags behind is named. */
#include "testing.h"

#include "fake_net.h"
#include "fake_primary.h"
#include "xfr/barrier.h"
#include "zone/zone_set.h"

#include <stdio.h>

enum { UNTIL_S = 30 };

struct scene {
  struct fake_net *net;
  struct fake_primary p[4];
  struct barrier *b;
  struct xfr_primary peers[4];
  unsigned passed, late;
  bool early; /* passed while a peer served less */
  uint32_t want;
  uint32_t serials[4];
  char laggards[600];
};

static void on_passed(void *arg, uint64_t id) {
  struct scene *s = arg;
  assert_int_equal(id, 7);
  s->passed++;
  for (unsigned i = 0; i < 4; i++)
    if (s->peers[i].address_count && s->serials[i] < s->want) s->early = true;
}

static void on_late(void *arg, uint64_t id, const struct buf *laggards) {
  struct scene *s = arg;
  s->late++;
  snprintf(s->laggards, sizeof s->laggards, "%s", buf_text(laggards));
}

static void udp_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  assert_true(barrier_udp_input(((struct scene *)arg)->b, token, bytes, n, now));
}

static void udp_error(void *arg, uint64_t token, struct instant now) {
  assert_true(barrier_udp_error(((struct scene *)arg)->b, token, now));
}

static void run(void *arg, struct instant now) {
  barrier_run(((struct scene *)arg)->b, now);
}

static uint64_t deadline(void *arg) {
  return barrier_deadline(((struct scene *)arg)->b);
}

static void serve(struct scene *s, unsigned i, uint32_t serial) {
  fake_primary_serve(&s->p[i], "example.com.", make_zone("example.com.", serial, 1, 1, 1, 0));
  s->serials[i] = serial;
}

static void begin(struct scene *s, uint64_t seed) {
  memset(s, 0, sizeof *s);
  s->net = fake_net_new(seed);
  struct xfr_net net = fake_net_xfr(s->net);
  struct barrier_events events = {s, on_passed, on_late};
  assert_ok(barrier_new(&net, &events, &s->b));
  fake_net_attach(
      s->net, &(struct fake_machine){.arg = s, .udp_input = udp_input, .udp_error = udp_error, .run = run, .deadline = deadline});
  for (unsigned i = 0; i < 4; i++) {
    char address[16];
    snprintf(address, sizeof address, "192.0.2.%u", i + 1);
    fake_primary_init(&s->p[i], s->net, address);
    snprintf(s->peers[i].name, sizeof s->peers[i].name, "p%u", i + 1);
    s->peers[i].address[0] = s->p[i].host.addr;
    s->peers[i].address_count = 1;
    serve(s, i, 1);
  }
}

static void end(struct scene *s) {
  barrier_free(s->b);
  assert_int_equal(fake_net_counts(s->net).live_exchanges, 0);
  for (unsigned i = 0; i < 4; i++)
    fake_primary_done(&s->p[i]);
  fake_net_free(s->net);
  zone_grace_barrier();
}

static void watch(struct scene *s, uint32_t serial, unsigned count) {
  struct name apex = name_of("example.com.");
  struct instant now = fake_net_now(s->net);
  s->want = serial;
  assert_ok(barrier_watch(s->b, 7, &apex, serial, s->peers, count, now.mono_ns + UNTIL_S * NS_PER_S, now));
  for (unsigned i = count; i < 4; i++)
    s->peers[i].address_count = 0;
}

static bool is_over(void *arg) {
  const struct scene *s = arg;
  return s->passed || s->late;
}

static void change_one(void *arg, uint64_t token) {
  struct scene *s = arg;
  serve(s, (unsigned)token, 2);
}

/* Four peers, of which one is slow, one lossy; many runs. */
static void test_passes_after_the_slowest_and_never_early(void **state) {
  struct scene s;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    begin(&s, seed);
    fake_net_faults(s.net)->loss_percent = seed % 2 ? 30 : 0;
    fake_net_faults(s.net)->latency_most_ns = 20 * NS_PER_MS;
    for (unsigned i = 0; i < 4; i++)
      fake_net_later(s.net, i == 3 ? 5 * NS_PER_S : fake_net_random(s.net) % NS_PER_S, change_one, &s, i);
    watch(&s, 2, 4);
    uint64_t from = fake_net_now(s.net).mono_ns;
    assert_true(fake_net_run_until(s.net, 40 * NS_PER_S, is_over, &s));
    uint64_t took = fake_net_now(s.net).mono_ns - from;
    assert_int_equal(s.passed, 1);
    assert_false(s.early);
    assert_in_range(took, 5 * NS_PER_S, (seed % 2 ? 25 : 7) * NS_PER_S);
    end(&s);
  }
}

static void test_at_once_when_all_have_it(void **state) {
  struct scene s;
  begin(&s, 1);
  serve(&s, 0, 3);
  serve(&s, 1, 4);
  watch(&s, 3, 2);
  fake_net_run(s.net, NS_PER_S / 2);
  assert_int_equal(s.passed, 1);
  assert_int_equal(s.p[0].soa_queries + s.p[1].soa_queries, 2);
  end(&s);
}

static void test_laggards_are_named(void **state) {
  struct scene s;
  begin(&s, 1);
  s.p[1].host.presence = FAKE_SILENT;
  s.p[2].host.presence = FAKE_CLOSED;
  s.p[3].soa_rcode = 5;
  watch(&s, 2, 4);
  assert_true(fake_net_run_until(s.net, 40 * NS_PER_S, is_over, &s));
  assert_int_equal(s.late, 1);
  assert_non_null(strstr(s.laggards, "p1: 192.0.2.1@53 answers serial 1\n"));
  assert_non_null(strstr(s.laggards, "p2: 192.0.2.2@53 does not answer"));
  assert_non_null(strstr(s.laggards, "p3: 192.0.2.3@53 has nobody listening"));
  assert_non_null(strstr(s.laggards, "p4: 192.0.2.4@53 refused"));
  assert_in_range(s.p[0].soa_queries, 10, 60); /* backoff */
  end(&s);
}

static void test_any_address_of_a_peer_and_peers_without_edns(void **state) {
  struct scene s;
  begin(&s, 1);
  s.peers[0].address[1] = s.p[1].host.addr;
  s.peers[0].address_count = 2;
  s.p[0].host.presence = FAKE_SILENT;
  s.p[1].no_edns = true;
  s.serials[0] = 2;
  serve(&s, 1, 2);
  watch(&s, 2, 1);
  assert_true(fake_net_run_until(s.net, 10 * NS_PER_S, is_over, &s));
  assert_int_equal(s.passed, 1);
  end(&s);
}

static void test_one_that_is_forgotten_says_nothing(void **state) {
  struct scene s;
  begin(&s, 1);
  watch(&s, 2, 2);
  fake_net_run(s.net, NS_PER_S);
  barrier_forget(s.b, 7);
  barrier_forget(s.b, 7);
  fake_net_run(s.net, 60 * NS_PER_S);
  assert_int_equal(s.passed + s.late, 0);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_passes_after_the_slowest_and_never_early),
      cmocka_unit_test(test_at_once_when_all_have_it),
      cmocka_unit_test(test_laggards_are_named),
      cmocka_unit_test(test_any_address_of_a_peer_and_peers_without_edns),
      cmocka_unit_test(test_one_that_is_forgotten_says_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
