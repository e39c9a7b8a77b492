#include "io_test.h"

#include <pthread.h>

#include "io/stream_priv.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* ---- a server: echoes; "transfer N" sends N messages of 60000 octets; "quiet" is not answered; "large"
 * gets LARGE_BYTES; "bye" hangs up ---- */

enum { TRANSFER_MESSAGE_BYTES = 60000, LARGE_BYTES = 60000 };

struct transfer {
  unsigned left, sent;
};

static _Atomic int transfers_whole, transfers_broken, transfers_running, transfers_most;

static enum err transfer_next(void *arg, uint8_t *buffer, size_t capacity, struct instant now, size_t *n, bool *done) {
  struct transfer *t = arg;
  assert_true(capacity >= TRANSFER_MESSAGE_BYTES && t->left > 0);
  memset(buffer, 'T', TRANSFER_MESSAGE_BYTES);
  put_u32(buffer, t->sent++);
  *n = TRANSFER_MESSAGE_BYTES;
  *done = --t->left == 0;
  return ERR_OK;
}

static void transfer_end(void *arg, bool whole, struct instant now) {
  atomic_fetch_add(whole ? &transfers_whole : &transfers_broken, 1);
  transfers_running--;
  free(arg);
}

static void message(void *arg, struct stream_conn *c, const uint8_t *bytes, size_t n, struct instant now) {
  if (n > 9 && memcmp(bytes, "transfer ", 9) == 0) {
    struct transfer *t = calloc(1, sizeof *t);
    for (size_t i = 9; i < n; i++)
      t->left = 10 * t->left + (unsigned)(bytes[i] - '0');
    if (++transfers_running > transfers_most) transfers_most = transfers_running;
    assert_int_equal(stream_produce(c, &(struct stream_producer){t, transfer_next, transfer_end}), ERR_OK);
  } else if (n == 3 && memcmp(bytes, "bye", 3) == 0) {
    stream_hang_up(c);
  } else if (n == 5 && memcmp(bytes, "large", 5) == 0) {
    memset(stream_room(c), 'L', LARGE_BYTES);
    stream_reply(c, LARGE_BYTES);
  } else if (n != 5 || memcmp(bytes, "quiet", 5) != 0) {
    memcpy(stream_room(c), bytes, n);
    stream_reply(c, n);
  }
}

static struct stream_server *server;
static struct addr at;
static int listener = -1;

static void start(const struct stream_options *o) {
  struct stream_handler handler = {NULL, NULL, NULL, message};
  transfers_whole = transfers_broken = transfers_running = transfers_most = 0;
  listener = test_listen(SOCKET_TCP, "127.0.0.1", &at);
  assert_int_equal(stream_server_start(o, &handler, "test", &server), ERR_OK);
  stream_server_listen(server, &(struct stream_listener){listener, 1}, 1);
}

static void stop(void) {
  stream_server_stop(server, 0);
  close(listener);
  server = NULL;
}

static int client(void) {
  int fd = test_connect(SOCKET_TCP, &at), on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void expect_message(int fd, const void *bytes, size_t n) {
  static uint8_t got[65535];
  assert_int_equal(test_read_message(fd, got), (int)n);
  assert_memory_equal(got, bytes, n);
}

static void ask(int fd, const char *text) {
  test_write_message(fd, text, strlen(text));
}

static void ask_and_expect(int fd, const char *text) {
  ask(fd, text);
  expect_message(fd, text, strlen(text));
}

static struct stream_counters counters(void) {
  struct stream_counters c;
  stream_server_counters(server, &c);
  return c;
}

/* ---- framing ---- */

static void messages_come_back_in_order(void **state) {
  enum { MESSAGES = 500 };
  start(&stream_defaults);
  int fd = client();
  uint8_t all[MESSAGES * 6];
  for (uint32_t i = 0; i < MESSAGES; i++) {
    put_u16(all + 6 * i, 4);
    put_u32(all + 6 * i + 2, i);
  }
  test_write(fd, all, sizeof all); /* in one piece, ending anywhere in the server's reads */
  for (uint32_t i = 0; i < MESSAGES; i++)
    expect_message(fd, all + 6 * i + 2, 4);
  ask_and_expect(fd, "and later");
  close(fd);
  stop();
}

/* Large responses take many turns; what was read lies in wait meanwhile, also when the client has closed its side. */
static void answers_of_many_turns(void **state) {
  enum { MESSAGES = 200 };
  static uint8_t expected[LARGE_BYTES];
  memset(expected, 'L', sizeof expected);
  for (int half_closed = 0; half_closed <= 1; half_closed++) {
    start(&stream_defaults);
    int fd = client();
    uint8_t all[MESSAGES * 7];
    for (int i = 0; i < MESSAGES; i++)
      memcpy(all + 7 * i, "\0\5large", 7);
    test_write(fd, all, sizeof all);
    if (half_closed) shutdown(fd, SHUT_WR);
    for (int i = 0; i < MESSAGES; i++)
      expect_message(fd, expected, sizeof expected);
    if (half_closed) assert_int_equal(recv(fd, all, 1, 0), 0);
    else ask_and_expect(fd, "and later");
    close(fd);
    stop();
  }
}

static void dribbled_octets_make_messages(void **state) {
  start(&stream_defaults);
  int fd = client();
  static const uint8_t two[] = {0, 3, 'a', 'b', 'c', 0, 1, 'd'};
  for (size_t i = 0; i < sizeof two; i++)
    test_write(fd, two + i, 1);
  expect_message(fd, "abc", 3);
  expect_message(fd, "d", 1);
  close(fd);
  stop();
}

static void largest_message_and_one_behind_it(void **state) {
  start(&stream_defaults);
  int fd = client();
  static uint8_t big[65535], got[65535];
  for (size_t i = 0; i < sizeof big; i++)
    big[i] = (uint8_t)(i * 7 + i / 256);
  test_write_message(fd, big, sizeof big);
  ask(fd, "next");
  assert_int_equal(test_read_message(fd, got), sizeof big);
  assert_memory_equal(got, big, sizeof big);
  expect_message(fd, "next", 4);
  assert_int_equal(counters().buffer_bytes, 0);
  close(fd);
  stop();
}

static void unanswered_and_empty_messages(void **state) {
  start(&stream_defaults);
  int fd = client();
  ask(fd, "quiet");
  ask_and_expect(fd, "loud");
  test_write(fd, "\0\5hello", 7);
  expect_message(fd, "hello", 5);
  close(fd);
  stop();
}

static void half_closed_client_gets_its_answers(void **state) {
  start(&stream_defaults);
  int fd = client();
  ask(fd, "last words");
  shutdown(fd, SHUT_WR);
  expect_message(fd, "last words", 10);
  assert_true(test_closes(fd));
  close(fd);
  stop();
}

static void hanging_up_ends_it(void **state) {
  start(&stream_defaults);
  int fd = client();
  uint8_t both[] = {0, 1, 'x', 0, 3, 'b', 'y', 'e', 0, 1, 'y'};
  test_write(fd, both, sizeof both);
  expect_message(fd, "x", 1);
  assert_true(test_closes(fd)); /* what stands behind is not answered */
  close(fd);
  stop();
}

/* ---- transfers ---- */

static void transfers_take_turns(void **state) {
  static uint8_t got[65535];
  unsigned next_large = 0, next_small = 0;
  start(&stream_defaults);
  int fd = client();
  static const char both[] = "\0\14transfer 100\0\12transfer 3"; /* at once, so that they meet on a busy machine too */
  test_write(fd, both, sizeof both - 1);
  for (unsigned i = 0; i < 103; i++) {
    assert_int_equal(test_read_message(fd, got), TRANSFER_MESSAGE_BYTES);
    uint32_t number = get_u32(got);
    if (number == next_large) next_large++;
    else assert_int_equal(number, next_small++); /* the small one began later */
    if (i == 60) assert_int_equal(next_small, 3);
  }
  assert_int_equal(next_large, 100);
  assert_int_equal(next_small, 3);
  ask_and_expect(fd, "done");
  assert_int_equal(transfers_whole, 2);
  close(fd);
  stop();
  assert_int_equal(transfers_broken, 0);
}

static void questions_are_answered_while_a_transfer_runs(void **state) {
  static uint8_t got[65535];
  enum { MESSAGES = 2000 };
  start(&stream_defaults);
  int fd = client();
  ask(fd, "transfer 2000");
  ask(fd, "meanwhile");
  int before = 0;
  for (int n; (n = test_read_message(fd, got)) == TRANSFER_MESSAGE_BYTES; before++)
    continue;
  assert_memory_equal(got, "meanwhile", 9);
  assert_true(before < MESSAGES / 2);
  for (int i = before; i < MESSAGES; i++)
    assert_int_equal(test_read_message(fd, got), TRANSFER_MESSAGE_BYTES);
  close(fd);
  stop();
}

static void more_transfers_than_run_at_once(void **state) {
  enum { TRANSFERS = 30 };
  start(&stream_defaults);
  int fd = client();
  for (int i = 0; i < TRANSFERS; i++)
    ask(fd, "transfer 2");
  ask(fd, "end");
  static uint8_t got[65535];
  for (int messages = 2 * TRANSFERS, ends = 1; messages + ends > 0;) { /* the answer comes in between, at no fixed place */
    int n = test_read_message(fd, got);
    assert_true(n == 3 || n == TRANSFER_MESSAGE_BYTES);
    if (n == 3) ends--;
    else messages--;
    assert_true(messages >= 0 && ends >= 0);
  }
  close(fd);
  stop();
  assert_int_equal(transfers_whole, TRANSFERS);
  assert_int_equal(transfers_most, STREAM_PRODUCERS);
}

static void broken_transfer_is_ended_once(void **state) {
  start(&stream_defaults);
  int fd = client();
  ask(fd, "transfer 100000");
  uint8_t byte;
  assert_true(test_read(fd, &byte, 1));
  close(fd); /* with data unread: a reset */
  int other = client();
  ask_and_expect(other, "hello");
  while (counters().connections > 1)
    ask_and_expect(other, "still there?");
  close(other);
  stop();
  assert_int_equal(transfers_broken, 1);
  assert_int_equal(transfers_whole, 0);
}

/* ---- limits ---- */

static void idle_clients_are_closed(void **state) {
  struct stream_options o = stream_defaults;
  o.idle_ms = 500;
  start(&o);
  int fd = client();
  ask_and_expect(fd, "x");
  assert_true(test_closes(fd));
  assert_int_equal(counters().timed_out, 1);
  close(fd);
  stop();
}

/* Further octets do not buy more time. */
static void dribbling_does_not_last(void **state) {
  struct stream_options o = stream_defaults;
  o.message_ms = 100;
  start(&o);
  int fd = client();
  test_write(fd, "\x10", 1);
  int sent = 0;
  while (!test_readable(fd, 5) && sent++ < 4000)
    if (send(fd, "", 1, MSG_NOSIGNAL) != 1) break;
  assert_true(sent < 4000);
  assert_int_equal(counters().timed_out, 1);
  close(fd);
  stop();
}

static void client_that_never_reads_is_closed(void **state) {
  struct stream_options o = stream_defaults;
  o.write_ms = 100;
  start(&o);
  int fd = client(), other = client();
  ask(fd, "transfer 100000");
  while (counters().timed_out == 0)
    ask_and_expect(other, "am I served?");
  assert_int_equal(counters().timed_out, 1);
  assert_int_equal(counters().buffer_bytes, 0);
  close(fd);
  close(other);
  stop();
  assert_int_equal(transfers_broken, 1);
}

/* Writes questions of `size` octets until there is no room any more, or enough were written. */
static size_t stuff(int fd, size_t size, size_t most_bytes) {
  static uint8_t question[2 + 65535];
  memset(question, 'q', sizeof question);
  put_u16(question, (uint16_t)size);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t sent = 0, whole = 2 + size;
  struct pollfd p = {fd, POLLOUT, 0};
  while (sent < most_bytes && poll(&p, 1, 200) == 1) {
    ssize_t n = send(fd, question + sent % whole, whole - sent % whole, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) break;
    if (n > 0) sent += (size_t)n;
  }
  return sent;
}

/* It asks without end and takes nothing: the server stops reading instead of keeping. */
static void unread_answers_stop_the_reading(void **state) {
  start(&stream_defaults);
  int fd = client();
  uint8_t question[1000];
  memset(question, 'q', sizeof question);
  size_t sent = stuff(fd, sizeof question, SIZE_MAX);
  assert_in_range(counters().buffer_bytes, 1, 3 * 65537);
  assert_int_equal(counters().connections, 1);
  for (size_t i = 0; i < sent / (2 + sizeof question); i++) /* and all of it is answered once it is read */
    expect_message(fd, question, sizeof question);
  close(fd);
  stop();
}

static void the_longest_idle_gives_way(void **state) {
  struct stream_options o = stream_defaults;
  o.connections = 3;
  start(&o);
  int fds[4];
  for (int i = 0; i < 3; i++) {
    fds[i] = client();
    ask_and_expect(fds[i], "here");
  }
  ask_and_expect(fds[0], "still"); /* now the second has been idle for longest */
  fds[3] = client();
  ask_and_expect(fds[3], "new");
  assert_true(test_closes(fds[1]));
  ask_and_expect(fds[0], "a");
  ask_and_expect(fds[2], "b");
  assert_int_equal(counters().evicted, 1);
  for (int i = 0; i < 4; i++)
    close(fds[i]);
  stop();
}

static void kept_octets_are_bounded(void **state) {
  enum { CLIENTS = 20 };
  struct stream_options o = stream_defaults;
  o.buffer_bytes = 300 << 10; /* enough for two or three of them */
  start(&o);
  int fds[CLIENTS], other = client();
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = client();
    stuff(fds[i], 60000, 600000);
    ask_and_expect(other, "x");
    assert_true(counters().buffer_bytes <= o.buffer_bytes);
  }
  assert_true(counters().evicted > 0);
  assert_true(counters().connections > 1); /* not more than had to be */
  for (int i = 0; i < CLIENTS; i++)
    close(fds[i]);
  close(other);
  stop();
}

/* A thousand that dribble, a thousand that never read: a well-behaved client is served as ever. */
static void slow_crowds_do_not_matter(void **state) {
  enum { EACH = 1000, QUESTIONS = 200 };
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 4 * EACH + 100) skip();
  start(&stream_defaults);
  static int dribblers[EACH], deaf[EACH];
  for (int i = 0; i < EACH; i++) {
    dribblers[i] = client();
    test_write(dribblers[i], "\x01", 1);
    deaf[i] = client();
    ask(deaf[i], "transfer 1000");
  }
  for (int i = 0; i < EACH; i++)
    test_write(dribblers[i], "\x02", 1);
  int fd = client();
  uint64_t worst_ns = 0;
  for (int i = 0; i < QUESTIONS; i++) {
    uint64_t before = clock_read().mono_ns;
    test_write(dribblers[i], "x", 1);
    ask_and_expect(fd, "how long?");
    uint64_t took = clock_read().mono_ns - before;
    if (took > worst_ns) worst_ns = took;
  }
  assert_true(worst_ns < 5 * NS_PER_S);
  assert_true(counters().buffer_bytes <= stream_defaults.buffer_bytes + 65537);
  for (int i = 0; i < EACH; i++) {
    close(dribblers[i]);
    close(deaf[i]);
  }
  close(fd);
  stop();
}

/* ---- listeners, end ---- */

static void listeners_change_and_connections_stay(void **state) {
  start(&stream_defaults);
  int old = client();
  ask_and_expect(old, "before");
  int waiting = client(); /* maybe not accepted yet when the listener goes */
  ask(waiting, "queued");
  struct addr second;
  int fd = test_listen(SOCKET_TCP, "::1", &second);
  stream_server_listen(server, &(struct stream_listener){fd, 2}, 1);
  close(listener);
  listener = fd;
  expect_message(waiting, "queued", 6);
  ask_and_expect(old, "after");
  int fresh = test_connect(SOCKET_TCP, &second);
  ask_and_expect(fresh, "fresh");
  close(old);
  close(waiting);
  close(fresh);
  stop();
}

static void what_has_arrived_is_answered_before_the_end(void **state) {
  enum { CLIENTS = 50 };
  start(&stream_defaults);
  int fds[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = client();
    ask(fds[i], "in time");
  }
  stream_server_stop(server, 5000);
  for (int i = 0; i < CLIENTS; i++) {
    expect_message(fds[i], "in time", 7);
    assert_true(test_closes(fds[i]));
    close(fds[i]);
  }
  close(listener);
}

static void *stop_on(void *arg) {
  stream_server_stop(server, 5000);
  return NULL;
}

/* It can't know yet that the server stops. */
static void who_has_just_connected_may_ask(void **state) {
  pthread_t thread;
  start(&stream_defaults);
  int old = client(), fresh = client();
  ask_and_expect(old, "before");
  assert_int_equal(pthread_create(&thread, NULL, stop_on, NULL), 0);
  assert_true(test_closes(old));
  ask(fresh, "just now");
  expect_message(fresh, "just now", 8);
  assert_true(test_closes(fresh));
  assert_int_equal(pthread_join(thread, NULL), 0);
  close(old);
  close(fresh);
  close(listener);
}

static void end_does_not_wait_for_ever(void **state) {
  start(&stream_defaults);
  int fd = client();
  ask(fd, "transfer 100000");
  uint8_t byte;
  assert_true(test_read(fd, &byte, 1));
  stream_server_stop(server, 50);
  assert_int_equal(transfers_broken, 1);
  close(fd);
  close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_come_back_in_order),
      cmocka_unit_test(answers_of_many_turns),
      cmocka_unit_test(dribbled_octets_make_messages),
      cmocka_unit_test(largest_message_and_one_behind_it),
      cmocka_unit_test(unanswered_and_empty_messages),
      cmocka_unit_test(half_closed_client_gets_its_answers),
      cmocka_unit_test(hanging_up_ends_it),
      cmocka_unit_test(transfers_take_turns),
      cmocka_unit_test(questions_are_answered_while_a_transfer_runs),
      cmocka_unit_test(more_transfers_than_run_at_once),
      cmocka_unit_test(broken_transfer_is_ended_once),
      cmocka_unit_test(idle_clients_are_closed),
      cmocka_unit_test(dribbling_does_not_last),
      cmocka_unit_test(client_that_never_reads_is_closed),
      cmocka_unit_test(unread_answers_stop_the_reading),
      cmocka_unit_test(the_longest_idle_gives_way),
      cmocka_unit_test(kept_octets_are_bounded),
      cmocka_unit_test(slow_crowds_do_not_matter),
      cmocka_unit_test(listeners_change_and_connections_stay),
      cmocka_unit_test(what_has_arrived_is_answered_before_the_end),
      cmocka_unit_test(who_has_just_connected_may_ask),
      cmocka_unit_test(end_does_not_wait_for_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
