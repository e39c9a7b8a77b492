/* UPDATEs forwarded to primaries on a fake net. */
#include "testing.h"

#include "fake_net.h"
#include "wire/message.h"
#include "xfr/forward.h"

#include <stdio.h>

enum { REQUESTS = 200, MESSAGE_BYTES = 40 };

struct asked {
  uint8_t bytes[MESSAGE_BYTES];
  unsigned answered, failed;
  uint8_t answer[MESSAGE_BYTES];
  size_t answer_size;
  char what[200];
};

struct host { /* a primary that says how often it was asked and answers as told */
  struct fake_host host;
  bool mute, hangs_up, wrong_id_first;
  unsigned asked;
  uint8_t last[MESSAGE_BYTES];
};

struct scene {
  struct fake_net *net;
  struct forwarder *f;
  struct host h1, h2;
  struct xfr_primary primaries[2];
  struct asked requests[REQUESTS];
};

static void on_answered(void *arg, void *request, const uint8_t *bytes, size_t n) {
  struct asked *r = request;
  r->answered++;
  assert_true(n <= sizeof r->answer);
  memcpy(r->answer, bytes, n);
  r->answer_size = n;
}

static void on_failed(void *arg, void *request, const char *what) {
  struct asked *r = request;
  r->failed++;
  snprintf(r->what, sizeof r->what, "%s", what);
}

static void stream_open(void *arg, uint64_t token, struct instant now) {
  assert_true(forwarder_stream_open(((struct scene *)arg)->f, token, now));
}

static void stream_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  assert_true(forwarder_stream_input(((struct scene *)arg)->f, token, bytes, n, now));
}

static void stream_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  assert_true(forwarder_stream_closed(((struct scene *)arg)->f, token, why, now));
}

static void run(void *arg, struct instant now) {
  forwarder_run(((struct scene *)arg)->f, now);
}

static uint64_t deadline(void *arg) {
  return forwarder_deadline(((struct scene *)arg)->f);
}

/* Answers with what it got, as a response. */
static void host_message(void *arg, struct fake_net *n, struct fake_host *h, uint64_t token, const uint8_t *bytes, size_t size) {
  struct host *it = arg;
  uint8_t answer[MESSAGE_BYTES];
  it->asked++;
  assert_int_equal(size, MESSAGE_BYTES);
  memcpy(it->last, bytes, size);
  memcpy(answer, bytes, size);
  if (it->hangs_up) fake_net_hang_up(n, h, token);
  if (it->mute || it->hangs_up) return;
  answer[2] |= 0x80;
  answer[0] ^= 1;
  if (it->wrong_id_first) fake_net_send(n, h, token, answer, size);
  answer[0] ^= 1;
  fake_net_send(n, h, token, answer, size);
}

static void host_init(struct scene *s, struct host *h, struct xfr_primary *p, const char *address) {
  *h = (struct host){.host = {.arg = h, .message = host_message}};
  assert_ok(addr_parse(address, 53, &h->host.addr));
  fake_net_add(s->net, &h->host);
  *p = (struct xfr_primary){.address = {h->host.addr}, .address_count = 1};
}

static struct scene *scene_new(void) {
  struct scene *s = calloc(1, sizeof *s);
  assert_non_null(s);
  s->net = fake_net_new(7);
  host_init(s, &s->h1, &s->primaries[0], "192.0.2.1@53");
  host_init(s, &s->h2, &s->primaries[1], "192.0.2.2@53");
  struct xfr_net net = fake_net_xfr(s->net);
  assert_ok(forwarder_new(&net, &(struct forwarder_events){s, on_answered, on_failed}, &s->f));
  fake_net_attach(s->net, &(struct fake_machine){s, NULL, NULL, stream_open, stream_input, stream_closed, run, deadline});
  for (size_t i = 0; i < REQUESTS; i++) {
    struct asked *r = &s->requests[i];
    for (size_t k = 0; k < MESSAGE_BYTES; k++)
      r->bytes[k] = (uint8_t)(i * 7 + k);
    r->bytes[2] = OPCODE_UPDATE << 3;
    memset(r->bytes + 4, 0, 8);
  }
  return s;
}

static void scene_free(struct scene *s) {
  assert_int_equal(fake_net_counts(s->net).live_streams, 0);
  forwarder_free(s->f);
  fake_net_free(s->net);
  free(s);
}

static void ask(struct scene *s, size_t i) {
  struct asked *r = &s->requests[i];
  assert_ok(forwarder_request(s->f, r, r->bytes, MESSAGE_BYTES, s->primaries, 2, fake_net_now(s->net)));
}

static void assert_answered(const struct asked *r) {
  assert_int_equal(r->answered, 1);
  assert_int_equal(r->failed, 0);
  assert_int_equal(r->answer_size, MESSAGE_BYTES);
  uint8_t wanted[MESSAGE_BYTES];
  memcpy(wanted, r->bytes, sizeof wanted);
  wanted[2] |= 0x80;
  assert_memory_equal(r->answer, wanted, sizeof wanted); /* the client's id, the rest as the primary said it */
}

static void assert_failed(const struct asked *r, const char *what) {
  assert_int_equal(r->failed, 1);
  assert_int_equal(r->answered, 0);
  assert_contains(r->what, what);
}

static void the_message_goes_and_the_answer_comes(void **state) {
  struct scene *s = scene_new();
  s->h1.wrong_id_first = true;
  ask(s, 0);
  fake_net_run(s->net, NS_PER_S);
  assert_answered(&s->requests[0]);
  assert_int_equal(s->h1.asked, 1);
  assert_int_equal(s->h2.asked, 0);
  assert_memory_not_equal(s->h1.last, s->requests[0].bytes, 2); /* under another id */
  assert_memory_equal(s->h1.last + 2, s->requests[0].bytes + 2, MESSAGE_BYTES - 2);
  scene_free(s);
}

static void who_can_not_be_reached_is_passed_over(void **state) {
  static const enum fake_presence how[] = {FAKE_CLOSED, FAKE_SILENT};
  for (size_t i = 0; i < 2; i++) {
    struct scene *s = scene_new();
    s->h1.host.presence = how[i];
    ask(s, 0);
    fake_net_run(s->net, 5 * NS_PER_S);
    assert_answered(&s->requests[0]);
    s->h2.host.presence = how[i];
    ask(s, 1);
    fake_net_run(s->net, 10 * NS_PER_S);
    assert_failed(&s->requests[1], how[i] == FAKE_CLOSED ? "192.0.2.2@53 refused the connection" : "192.0.2.2@53 can't be reached");
    scene_free(s);
  }
}

/* Nobody knows whether it was made: no other primary may be asked to make it again. */
static void an_update_is_sent_once(void **state) {
  struct scene *s = scene_new();
  s->h1.mute = true;
  ask(s, 0);
  fake_net_run(s->net, 20 * NS_PER_S);
  assert_failed(&s->requests[0], "192.0.2.1@53 did not answer");
  s->h1.mute = false;
  s->h1.hangs_up = true;
  ask(s, 1);
  fake_net_run(s->net, 20 * NS_PER_S);
  assert_failed(&s->requests[1], "192.0.2.1@53 broke the connection");
  assert_int_equal(s->h2.asked, 0);
  scene_free(s);
}

static void connections_are_bounded(void **state) {
  struct scene *s = scene_new();
  for (size_t i = 0; i < REQUESTS; i++)
    ask(s, i);
  fake_net_run(s->net, 5 * NS_PER_S);
  for (size_t i = 0; i < REQUESTS; i++)
    assert_answered(&s->requests[i]);
  assert_true(fake_net_counts(s->net).most_streams <= LIMIT_FORWARDS);
  scene_free(s);
}

static void all_can_be_given_up(void **state) {
  struct scene *s = scene_new();
  s->h1.mute = true;
  for (size_t i = 0; i < REQUESTS; i++)
    ask(s, i);
  fake_net_run(s->net, NS_PER_S);
  forwarder_fail_all(s->f, "the end");
  for (size_t i = 0; i < REQUESTS; i++)
    assert_failed(&s->requests[i], "the end");
  assert_true(forwarder_deadline(s->f) == UINT64_MAX);
  fake_net_run(s->net, 20 * NS_PER_S);
  scene_free(s);
}

static void without_primaries_it_fails(void **state) {
  struct scene *s = scene_new();
  struct asked *r = &s->requests[0];
  assert_ok(forwarder_request(s->f, r, r->bytes, MESSAGE_BYTES, NULL, 0, fake_net_now(s->net)));
  fake_net_run(s->net, NS_PER_S);
  assert_failed(r, "no primary");
  scene_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_message_goes_and_the_answer_comes),
      cmocka_unit_test(who_can_not_be_reached_is_passed_over),
      cmocka_unit_test(an_update_is_sent_once),
      cmocka_unit_test(connections_are_bounded),
      cmocka_unit_test(all_can_be_given_up),
      cmocka_unit_test(without_primaries_it_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
