#include "io_test.h"

#include "base/buf.h"
#include "io/stream_client.h"
#include "io/thread.h"
#include "io/udp_client.h"
#include "io/unix_socket.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what came, for UDP and streams ---- */

struct seen {
  uint64_t token;
  int inputs, errors, opens, closes;
  enum err why;
  uint8_t last[65535];
  size_t last_size;
  struct stream_client *reopens; /* closes and opens its token again inside the first input */
  struct addr to;
};

static struct seen seen;
static struct loop *loop;

static void on_input(void *arg, uint64_t token, const uint8_t *bytes, size_t n, struct instant now) {
  seen.token = token;
  seen.inputs++;
  memcpy(seen.last, bytes, n);
  seen.last_size = n;
  if (!seen.reopens) return;
  struct addr any = {0};
  stream_client_close(seen.reopens, token);
  assert_int_equal(stream_client_connect(seen.reopens, token, &any, &seen.to), ERR_OK);
  seen.reopens = NULL;
}

static void on_error(void *arg, uint64_t token, struct instant now) {
  seen.token = token;
  seen.errors++;
}

static void on_open(void *arg, uint64_t token, struct instant now) {
  seen.opens++;
}

static void on_closed(void *arg, uint64_t token, enum err why, struct instant now) {
  seen.closes++;
  seen.why = why;
}

static const struct udp_client_events udp_events = {NULL, on_input, on_error};
static const struct stream_client_events stream_events = {NULL, on_open, on_input, on_closed};

/* Turns the loop until the condition holds. */
#define TURN_UNTIL(condition)                               \
  do {                                                      \
    struct instant now_ = clock_read();                     \
    uint64_t end_ = now_.mono_ns + PATIENCE_MS * NS_PER_MS; \
    while (!(condition) && now_.mono_ns < end_)             \
      loop_turn(loop, end_, &now_);                         \
    assert_true(condition);                                 \
  } while (0)

static int setup(void **state) {
  memset(&seen, 0, sizeof seen);
  return loop_new(&loop) != ERR_OK;
}

static int teardown(void **state) {
  loop_free(loop);
  return 0;
}

/* ---- UDP ---- */

/* Receives at `fd` and sends the text back; gives the sender. */
static struct addr serve_once(int fd, const char *text) {
  uint8_t got[100];
  struct sockaddr_storage sa;
  socklen_t size = sizeof sa;
  assert_true(test_readable(fd, PATIENCE_MS));
  assert_true(recvfrom(fd, got, sizeof got, 0, (struct sockaddr *)&sa, &size) > 0);
  if (text) assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sa, size), (int)strlen(text));
  struct addr from;
  assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &from));
  return from;
}

static void udp_exchanges(void **state) {
  struct udp_client *u;
  struct addr at, any = {0}, source = test_addr("127.0.0.5");
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  assert_int_equal(udp_client_send(u, 9, &any, &at, (const uint8_t *)"q", 1), ERR_OK);
  struct addr first = serve_once(fd, NULL);
  assert_int_equal(udp_client_send(u, 9, &any, &at, (const uint8_t *)"q", 1), ERR_OK); /* again, from the same port */
  struct addr second = serve_once(fd, "answer");
  assert_true(addr_equal(&first, &second));
  TURN_UNTIL(seen.inputs == 1);
  assert_int_equal(seen.token, 9);
  assert_memory_equal(seen.last, "answer", 6);
  assert_int_equal(udp_client_send(u, 10, &source, &at, (const uint8_t *)"q", 1), ERR_OK);
  struct addr third = serve_once(fd, "b");
  assert_true(addr_same_host(&third, &source));
  assert_int_not_equal(third.port, first.port);
  TURN_UNTIL(seen.inputs == 2);
  udp_client_close(u, 9);
  udp_client_close(u, 9);
  udp_client_free(u);
  close(fd);
}

static void udp_takes_nothing_from_others(void **state) {
  struct udp_client *u;
  struct addr at, any = {0}, elsewhere;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at), forger = test_listen(SOCKET_UDP, "127.0.0.2", &elsewhere);
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  assert_int_equal(udp_client_send(u, 1, &any, &at, (const uint8_t *)"q", 1), ERR_OK);
  struct addr client = serve_once(fd, NULL);
  struct sockaddr_storage sa;
  socklen_t size = addr_to_sockaddr(&client, &sa);
  sendto(forger, "forged", 6, 0, (struct sockaddr *)&sa, size);
  sendto(fd, "true", 4, 0, (struct sockaddr *)&sa, size);
  TURN_UNTIL(seen.inputs == 1);
  assert_memory_equal(seen.last, "true", 4);
  udp_client_free(u);
  close(fd);
  close(forger);
}

static void udp_unreachable_is_an_error(void **state) {
  struct udp_client *u;
  struct addr at, any = {0};
  close(test_listen(SOCKET_UDP, "127.0.0.1", &at));
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  assert_int_equal(udp_client_send(u, 3, &any, &at, (const uint8_t *)"q", 1), ERR_OK);
  TURN_UNTIL(seen.errors == 1);
  assert_int_equal(seen.token, 3);
  udp_client_free(u);
}

/* ---- UDP: ports that exchanges share ---- */

static void ask(struct udp_client *u, const struct addr *at, uint64_t token, uint16_t id) {
  struct addr any = {0};
  uint8_t query[3] = {(uint8_t)(id >> 8), (uint8_t)id, 'q'};
  assert_int_equal(udp_client_send(u, token, &any, at, query, sizeof query), ERR_OK);
}

/* Takes one datagram: its sender's port. */
static uint16_t asked_from(int fd, uint16_t *id) {
  uint8_t got[16];
  struct sockaddr_storage sa;
  socklen_t size = sizeof sa;
  struct addr from;
  assert_true(test_readable(fd, PATIENCE_MS));
  assert_int_equal(recvfrom(fd, got, sizeof got, 0, (struct sockaddr *)&sa, &size), 3);
  assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &from));
  *id = (uint16_t)(got[0] << 8 | got[1]);
  return from.port;
}

static void reply(int fd, uint16_t port, uint16_t id) {
  struct addr to = test_addr("127.0.0.1");
  struct sockaddr_storage sa;
  uint8_t answer[2] = {(uint8_t)(id >> 8), (uint8_t)id};
  to.port = port;
  socklen_t size = addr_to_sockaddr(&to, &sa);
  assert_int_equal(sendto(fd, answer, sizeof answer, 0, (struct sockaddr *)&sa, size), 2);
}

static void udp_exchanges_share_ports(void **state) {
  enum { ASKED = 20 };
  struct udp_client *u;
  struct addr at;
  uint16_t ports[ASKED + 1], id;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  for (uint16_t i = 1; i <= ASKED; i++) {
    ask(u, &at, i, i);
    ports[i] = asked_from(fd, &id);
    assert_int_equal(id, i);
    assert_int_equal(ports[i] == ports[1], i <= 16);
  }
  reply(fd, ports[1], 99);    /* an id that nobody asked with */
  reply(fd, ports[1], ASKED); /* and one that was asked with at the other port */
  for (int i = ASKED; i > 0; i--) {
    reply(fd, ports[i], (uint16_t)i);
    TURN_UNTIL(seen.inputs == ASKED - i + 1);
    assert_int_equal(seen.token, i);
  }
  ask(u, &at, 50, ASKED); /* the same id again, with room at its port */
  assert_int_not_equal(asked_from(fd, &id), ports[ASKED]);
  ask(u, &at, 4, 40); /* a second try under another id stays at its port */
  assert_int_equal(asked_from(fd, &id), ports[4]);
  reply(fd, ports[4], 40);
  TURN_UNTIL(seen.inputs == ASKED + 1);
  assert_int_equal(seen.token, 4);
  ask(u, &at, 5, 6); /* unless that one has the id */
  assert_int_not_equal(asked_from(fd, &id), ports[5]);
  udp_client_free(u);
  close(fd);
}

static void udp_answers_of_a_port_come_together(void **state) {
  enum { ASKED = 5 };
  struct udp_client *u;
  struct addr at;
  uint16_t id;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  for (uint16_t i = 1; i <= ASKED; i++) {
    ask(u, &at, i, i);
    reply(fd, asked_from(fd, &id), i);
  }
  struct instant now;
  loop_turn(loop, clock_read().mono_ns + PATIENCE_MS * NS_PER_MS, &now);
  assert_int_equal(seen.inputs, ASKED);
  udp_client_free(u);
  close(fd);
}

static void udp_ports_are_renewed(void **state) {
  struct udp_client *u;
  struct addr at;
  uint16_t id, port = 0, same = 0;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  for (uint16_t i = 1; i < 200; i++) {
    ask(u, &at, i, i);
    uint16_t from = asked_from(fd, &id);
    same = from == port ? (uint16_t)(same + 1) : 1;
    assert_true(same <= 64);
    port = from;
    if (i > 1) udp_client_close(u, i - 1u); /* so that there always is one */
  }
  assert_true(same > 1);
  udp_client_free(u);
  close(fd);
}

static void udp_error_is_for_all_of_a_port(void **state) {
  struct udp_client *u;
  struct addr at;
  close(test_listen(SOCKET_UDP, "127.0.0.1", &at));
  assert_int_equal(udp_client_new(loop, &udp_events, &u), ERR_OK);
  for (uint16_t i = 1; i <= 3; i++)
    ask(u, &at, i, i);
  TURN_UNTIL(seen.errors == 3);
  udp_client_free(u);
}

/* ---- streams ---- */

static int accept_client(int listener) {
  assert_true(test_readable(listener, PATIENCE_MS));
  return accept(listener, NULL, NULL);
}

static void streams_carry_messages(void **state) {
  struct stream_client *s;
  struct addr at, any = {0};
  static uint8_t got[65535], big[65535];
  int listener = test_listen(SOCKET_TCP, "::1", &at);
  memset(big, 'b', sizeof big);
  assert_int_equal(stream_client_new(loop, &stream_events, &s), ERR_OK);
  assert_int_equal(stream_client_connect(s, 5, &any, &at), ERR_OK);
  assert_int_equal(stream_client_send(s, 5, (const uint8_t *)"early", 5), ERR_OK);
  TURN_UNTIL(seen.opens == 1);
  int fd = accept_client(listener);
  assert_int_equal(test_read_message(fd, got), 5);
  assert_memory_equal(got, "early", 5);
  assert_int_equal(stream_client_send(s, 5, (const uint8_t *)"later", 5), ERR_OK); /* at once */
  assert_int_equal(test_read_message(fd, got), 5);
  test_write(fd, "\0", 1); /* in pieces, then two at once */
  struct instant now;
  loop_turn(loop, LOOP_NEVER, &now);
  test_write(fd, "\1x\0\2yz", 6);
  TURN_UNTIL(seen.inputs == 2);
  assert_memory_equal(seen.last, "yz", 2);
  test_write_message(fd, big, sizeof big);
  TURN_UNTIL(seen.inputs == 3);
  assert_int_equal(seen.last_size, sizeof big);
  close(fd);
  TURN_UNTIL(seen.closes == 1);
  assert_int_equal(seen.why, ERR_CLOSED);
  assert_int_equal(stream_client_send(s, 5, (const uint8_t *)"x", 1), ERR_NOT_FOUND);
  stream_client_free(s);
  close(listener);
}

static void stream_refused_is_told(void **state) {
  struct stream_client *s;
  struct addr at, any = {0};
  close(test_listen(SOCKET_TCP, "127.0.0.1", &at));
  assert_int_equal(stream_client_new(loop, &stream_events, &s), ERR_OK);
  assert_int_equal(stream_client_connect(s, 5, &any, &at), ERR_OK);
  TURN_UNTIL(seen.closes == 1);
  assert_int_equal(seen.why, ERR_REFUSED);
  assert_int_equal(seen.opens, 0);
  stream_client_free(s);
}

/* A token that is closed and opened again inside a callback is another connection: nothing of the first is told any more. */
static void reopened_token_starts_anew(void **state) {
  struct stream_client *s;
  struct addr any = {0};
  int listener = test_listen(SOCKET_TCP, "127.0.0.1", &seen.to);
  assert_int_equal(stream_client_new(loop, &stream_events, &s), ERR_OK);
  assert_int_equal(stream_client_connect(s, 5, &any, &seen.to), ERR_OK);
  int fd = accept_client(listener);
  test_write(fd, "\0\1a\0\1b", 6);
  seen.reopens = s;
  TURN_UNTIL(seen.opens == 2);
  assert_int_equal(seen.inputs, 1);
  int again = accept_client(listener);
  test_write(again, "\0\1c", 3);
  TURN_UNTIL(seen.inputs == 2);
  assert_memory_equal(seen.last, "c", 1);
  stream_client_free(s);
  close(fd);
  close(again);
  close(listener);
}

/* ---- the control socket ---- */

static struct unix_server *control;
enum { LARGE_BYTES = 300000 };
static char *large;
static int commands, gone;
static size_t longest; /* line */
static atomic_bool ended;

static void on_command(void *arg, uint64_t token, unsigned uid, struct pieces *line, struct instant now) {
  char piece[64], text[16] = "";
  size_t size = line->size, n = pieces_take(line, text, sizeof text - 1);
  pieces_done(line);
  assert_int_equal(uid, getuid());
  commands++;
  if (strcmp(text, "wait") == 0) return;
  for (int i = 0; i < 3; i++) {
    int used = snprintf(piece, sizeof piece, "%d:%.*s", i, (int)n, text);
    unix_server_reply(control, token, piece, (size_t)used);
  }
  if (size > n) unix_server_reply(control, token, large, size); /* more than a socket takes at once */
  unix_server_reply(control, token, "end", 3);
  longest = size > longest ? size : longest;
}

static void on_gone(void *arg, uint64_t token) {
  gone++;
}

struct call {
  const char *path, *command;
  unsigned timeout_ms;
  struct buf lines;
  enum err result;
};

static bool keep_line(void *arg, const char *text, size_t n) {
  struct call *c = arg;
  buf_add(&c->lines, text, n);
  buf_add_byte(&c->lines, '|');
  return n != 3;
}

static void *run_call(void *arg) {
  struct call *c = arg;
  c->result = unix_client_call(c->path, c->command, strlen(c->command), c->timeout_ms, keep_line, c);
  ended = true;
  loop_wake(loop);
  return NULL;
}

static void call_while_turning(struct call *c) {
  pthread_t thread;
  struct instant now = clock_read();
  ended = false;
  assert_int_equal(thread_start(&thread, "caller", -1, run_call, c), ERR_OK);
  while (!ended)
    loop_turn(loop, now.mono_ns + PATIENCE_MS * NS_PER_MS, &now);
  pthread_join(thread, NULL);
}

/* Also with a path that is longer than a Unix address holds. */
static void commands_get_their_lines(void **state) {
  char base[] = "/tmp/tandem-unix-XXXXXX", deep[300], path[340];
  large = calloc(LARGE_BYTES + 1, 1);
  assert_non_null(large);
  memset(large, 'x', LARGE_BYTES);
  assert_non_null(mkdtemp(base));
  snprintf(deep, sizeof deep, "%s/%0200d", base, 7);
  assert_int_equal(mkdir(deep, 0700), 0);
  for (int round = 0; round < 2; round++) {
    snprintf(path, sizeof path, "%s/control.sock", round ? deep : base);
    commands = gone = 0;
    assert_int_equal(unix_server_new(loop, path, &(struct unix_server_events){NULL, on_command, on_gone}, &control), ERR_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct call c = {.path = path, .command = "hello", .timeout_ms = PATIENCE_MS};
    call_while_turning(&c);
    assert_int_equal(c.result, ERR_OK);
    assert_string_equal(buf_text(&c.lines), "0:hello|1:hello|2:hello|end|");
    TURN_UNTIL(gone == 1);
    buf_done(&c.lines);
    struct call much = {.path = path, .command = large, .timeout_ms = PATIENCE_MS};
    call_while_turning(&much);
    assert_int_equal(much.result, ERR_OK);
    static const char first[] = "0:xxxxxxxxxxxxxxx|1:xxxxxxxxxxxxxxx|2:xxxxxxxxxxxxxxx|";
    assert_memory_equal(buf_text(&much.lines), first, strlen(first));
    assert_int_equal(strspn(buf_text(&much.lines) + strlen(first), "x"), LARGE_BYTES);
    assert_string_equal(buf_text(&much.lines) + strlen(first) + LARGE_BYTES, "|end|");
    assert_int_equal(longest, LARGE_BYTES);
    TURN_UNTIL(gone == 2);
    buf_done(&much.lines);
    struct call late = {.path = path, .command = "wait", .timeout_ms = 30};
    call_while_turning(&late);
    assert_int_equal(late.result, ERR_TIMEOUT);
    TURN_UNTIL(gone == 3);
    assert_int_equal(commands, 3);
    buf_done(&late.lines);
    unix_server_free(control);
    struct call none = {.path = path, .command = "x", .timeout_ms = 1000};
    assert_int_equal(unix_client_call(path, "x", 1, 1000, keep_line, &none), ERR_NOT_FOUND);
  }
  rmdir(deep);
  rmdir(base);
  free(large);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(udp_exchanges),
      TEST(udp_takes_nothing_from_others),
      TEST(udp_unreachable_is_an_error),
      TEST(udp_exchanges_share_ports),
      TEST(udp_answers_of_a_port_come_together),
      TEST(udp_ports_are_renewed),
      TEST(udp_error_is_for_all_of_a_port),
      TEST(streams_carry_messages),
      TEST(stream_refused_is_told),
      TEST(reopened_token_starts_anew),
      TEST(commands_get_their_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
