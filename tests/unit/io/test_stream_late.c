/* Messages that another thread answers later. The handler defers every message and notes its ticket; the test answers. */
#include "io_test.h"

#include "io/stream_server.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { TICKETS_MAX = 256 };

static struct stream_server *server;
static struct addr at;
static int listener = -1;
static _Atomic unsigned deferred, refused;
static _Atomic uint64_t tickets[TICKETS_MAX];

static void message(void *arg, struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now) {
  if (n == 3 && memcmp(bytes, "now", 3) == 0) {
    memcpy(stream_room(c), bytes, n);
    stream_reply(c, n);
    return;
  }
  uint64_t ticket = stream_defer(c);
  if (ticket) {
    tickets[deferred] = ticket;
    deferred++;
    return;
  }
  refused++;
  memcpy(stream_room(c), "full", 4);
  stream_reply(c, 4);
}

static void start(const struct stream_options *o) {
  struct stream_handler handler = {NULL, NULL, NULL, message};
  deferred = refused = 0;
  listener = test_listen(SOCKET_TCP, "127.0.0.1", &at);
  assert_int_equal(stream_server_start(o, &handler, "test", &server), ERR_OK);
  stream_server_listen(server, &(struct stream_listener){listener, 1}, 1);
}

static void stop(void) {
  stream_server_stop(server, 0);
  close(listener);
}

static void wait_deferred(unsigned count) {
  uint64_t end = clock_read().mono_ns + PATIENCE_MS * NS_PER_MS;
  while (deferred < count && clock_read().mono_ns < end)
    sched_yield();
  assert_int_equal(deferred, count);
}

static void answer(unsigned i, const char *text) {
  stream_answer(server, tickets[i], (const uint8_t *)text, strlen(text));
}

static void ask(int fd, const char *text) {
  test_write_message(fd, text, strlen(text));
}

static void expect(int fd, const char *text) {
  static uint8_t got[65535];
  assert_int_equal(test_read_message(fd, got), (int)strlen(text));
  assert_memory_equal(got, text, strlen(text));
}

static void answers_come_when_they_are_given(void **state) {
  start(&stream_defaults);
  int a = test_connect(SOCKET_TCP, &at), b = test_connect(SOCKET_TCP, &at);
  ask(a, "one");
  wait_deferred(1);
  ask(b, "two");
  wait_deferred(2);
  ask(a, "now"); /* is not held up */
  expect(a, "now");
  answer(1, "for b");
  expect(b, "for b");
  answer(0, "for a");
  expect(a, "for a");
  ask(a, "three");
  wait_deferred(3);
  stream_answer(server, tickets[2], NULL, 0); /* nothing will be said */
  ask(a, "now");
  expect(a, "now");
  close(a);
  close(b);
  stop();
}

static void half_closed_client_waits_for_its_answer(void **state) {
  start(&stream_defaults);
  int fd = test_connect(SOCKET_TCP, &at);
  ask(fd, "last words");
  shutdown(fd, SHUT_WR);
  wait_deferred(1);
  assert_false(test_readable(fd, 20)); /* it is not closed before */
  answer(0, "heard");
  expect(fd, "heard");
  assert_true(test_closes(fd));
  close(fd);
  stop();
}

static void who_waits_is_not_idle(void **state) {
  struct stream_options o = stream_defaults;
  o.idle_ms = 300;
  start(&o);
  int fd = test_connect(SOCKET_TCP, &at);
  ask(fd, "slow");
  wait_deferred(1);
  assert_false(test_readable(fd, 600));
  answer(0, "at last");
  expect(fd, "at last");
  assert_true(test_closes(fd)); /* now it is */
  close(fd);
  stop();
}

static void gone_clients_are_ignored(void **state) {
  start(&stream_defaults);
  struct stream_counters c;
  uint64_t end = clock_read().mono_ns + PATIENCE_MS * NS_PER_MS;
  int fd = test_connect(SOCKET_TCP, &at);
  struct linger reset = {1, 0};
  ask(fd, "x");
  wait_deferred(1);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
  do
    stream_server_counters(server, &c);
  while (c.connections && clock_read().mono_ns < end);
  assert_int_equal(c.connections, 0);
  answer(0, "nobody hears");
  answer(0, "twice");
  fd = test_connect(SOCKET_TCP, &at);
  ask(fd, "y");
  wait_deferred(2);
  answer(1, "somebody else");
  expect(fd, "somebody else");
  close(fd);
  stop();
}

/* Further messages are not read until an answer makes room. */
static void as_many_wait_as_may(void **state) {
  start(&stream_defaults);
  int fd = test_connect(SOCKET_TCP, &at);
  for (int i = 0; i < LIMIT_STREAM_PIPELINE + 10; i++)
    ask(fd, "x");
  wait_deferred(LIMIT_STREAM_PIPELINE);
  for (unsigned i = 0; i < 10; i++) {
    answer(i, "y");
    expect(fd, "y");
    wait_deferred(LIMIT_STREAM_PIPELINE + 1 + i);
  }
  assert_int_equal(refused, 0);
  close(fd);
  stop();
}

static void waiting_answers_do_not_outlive_the_server(void **state) {
  start(&stream_defaults);
  int fd = test_connect(SOCKET_TCP, &at);
  ask(fd, "x");
  wait_deferred(1);
  answer(0, "y");
  stop();
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_come_when_they_are_given),
      cmocka_unit_test(half_closed_client_waits_for_its_answer),
      cmocka_unit_test(who_waits_is_not_idle),
      cmocka_unit_test(gone_clients_are_ignored),
      cmocka_unit_test(as_many_wait_as_may),
      cmocka_unit_test(waiting_answers_do_not_outlive_the_server),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
