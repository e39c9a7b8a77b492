#include "io_test.h"

#include "base/limits.h"
#include "io/http_pages.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The owner: a loop, and what it was asked. */
struct owner {
  struct loop *loop;
  struct http_server *server;
  struct addr at;
  struct http_response *response; /* given at once; NULL: the request is kept */
  struct http_request *kept[8];
  unsigned asked;
  int later; /* the connection of a request that came behind an answer */
};

static void get(void *arg, struct http_request *r, struct instant now) {
  struct owner *o = arg;
  if (o->response) http_reply(r, o->response);
  else o->kept[o->asked] = r;
  o->asked++;
}

static struct http_response *make_response(const char *text) {
  struct buf body = {0};
  struct http_response *r;
  buf_add_text(&body, text);
  assert_int_equal(http_response_new(HTTP_OK, "text/plain", &body, &r), ERR_OK);
  return r;
}

static struct http_route route;

static int start(void **state) {
  struct owner *o = calloc(1, sizeof *o);
  if (!o) return 1;
  int fd = test_listen(SOCKET_TCP, "127.0.0.1", &o->at);
  route = (struct http_route){"/here", get, o};
  assert_int_equal(loop_new(&o->loop), ERR_OK);
  assert_int_equal(http_server_new(o->loop, fd, &route, 1, &o->server), ERR_OK);
  *state = o;
  return 0;
}

static int finish(void **state) {
  struct owner *o = *state;
  http_server_free(o->server);
  http_response_free(o->response);
  loop_free(o->loop);
  free(o);
  return 0;
}

static int ask(struct owner *o, const char *request) {
  int fd = test_connect(SOCKET_TCP, &o->at);
  test_write(fd, request, strlen(request));
  return fd;
}

static void turn_until(struct owner *o, unsigned asked) {
  struct instant now = clock_read();
  uint64_t end = now.mono_ns + PATIENCE_MS * NS_PER_MS;
  while (o->asked < asked) {
    loop_turn(o->loop, end, &now);
    assert_true(now.mono_ns < end);
  }
}

/* Reads to the end and closes. */
static void expect(int fd, const char *status_line, const char *body) {
  char text[4096];
  size_t n = 0;
  for (ssize_t r = 1; r > 0; n += (size_t)r) {
    assert_true(n < sizeof text - 1 && test_readable(fd, PATIENCE_MS));
    r = recv(fd, text + n, sizeof text - 1 - n, 0);
    assert_true(r >= 0);
  }
  text[n] = 0;
  close(fd);
  assert_int_equal(strncmp(text, status_line, strlen(status_line)), 0);
  const char *end = strstr(text, "\r\n\r\n");
  assert_non_null(end);
  assert_string_equal(end + 4, body);
}

static const char good[] = "GET /here HTTP/1.1\r\nHost: x\r\n\r\n";

static void a_request_reaches_the_owner(void **state) {
  struct owner *o = *state;
  o->response = make_response("yes\n");
  int fd = ask(o, good);
  turn_until(o, 1);
  expect(fd, "HTTP/1.1 200 ", "yes\n");
}

/* Nobody turns the loop: the HTTP thread answers by itself. */
static void what_is_no_route_does_not(void **state) {
  struct owner *o = *state;
  expect(ask(o, "GET /there HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 ", "{\"error\": \"there is nothing here\"}\n");
  expect(ask(o, "PUT /here HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405 ", "{\"error\": \"only GET is understood here\"}\n");
  assert_int_equal(o->asked, 0);
}

static void replies_may_come_later_and_in_any_order(void **state) {
  struct owner *o = *state;
  int fds[3];
  for (unsigned i = 0; i < 3; i++) {
    fds[i] = ask(o, good);
    turn_until(o, i + 1);
  }
  static const char *const texts[] = {"a", "b", "c"};
  static const unsigned order[] = {1, 2, 0};
  for (unsigned i = 0; i < 3; i++) {
    struct http_response *r = make_response(texts[order[i]]);
    http_reply(o->kept[order[i]], r);
    http_response_free(r); /* before it was sent */
  }
  for (unsigned i = 0; i < 3; i++)
    expect(fds[i], "HTTP/1.1 200 ", texts[i]);
}

/* Answers the first, and comes back when another waits that was sent behind that. */
static void get_and_be_asked_again(void *arg, struct http_request *r, struct instant now) {
  struct owner *o = arg;
  get(arg, r, now);
  if (o->asked > 1) return;
  o->later = ask(o, good);
  for (int i = 0; i < 2; i++) /* asked for one after the other, of a thread that has to see the request before */
    expect(ask(o, "GET /there HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 ", "{\"error\": \"there is nothing here\"}\n");
}

/* So that an answer of one turn is older than no request that gets it. */
static void who_asks_behind_an_answer_is_of_the_next_turn(void **state) {
  struct owner *o = *state;
  struct instant now = clock_read();
  o->response = make_response("yes");
  route.get = get_and_be_asked_again;
  int fd = ask(o, good);
  while (o->asked == 0)
    loop_turn(o->loop, now.mono_ns + PATIENCE_MS * NS_PER_MS, &now);
  assert_int_equal(o->asked, 1);
  turn_until(o, 2);
  expect(fd, "HTTP/1.1 200 ", "yes");
  expect(o->later, "HTTP/1.1 200 ", "yes");
}

static void without_a_response_it_is_503(void **state) {
  struct owner *o = *state;
  int fd = ask(o, good);
  turn_until(o, 1);
  http_reply(o->kept[0], NULL);
  expect(fd, "HTTP/1.1 503 ", "{\"error\": \"not now\"}\n");
}

static void who_left_meanwhile_does_no_harm(void **state) {
  struct owner *o = *state;
  int fd = ask(o, good);
  turn_until(o, 1);
  close(fd);
  o->response = make_response("for nobody");
  http_reply(o->kept[0], o->response);
  fd = ask(o, good);
  turn_until(o, 2);
  expect(fd, "HTTP/1.1 200 ", "for nobody");
}

/* Two that the owner has, and one that it has not seen: the end waits for nobody. */
static void the_end_answers_who_waits(void **state) {
  struct owner *o = *state;
  int fds[3];
  for (unsigned i = 0; i < 3; i++) {
    fds[i] = ask(o, good);
    if (i < 2) turn_until(o, i + 1);
  }
  http_server_free(o->server);
  o->server = NULL;
  for (unsigned i = 0; i < 3; i++)
    close(fds[i]);
}

static void the_oldest_connection_makes_room(void **state) {
  struct owner *o = *state;
  int idle[2 * LIMIT_HTTP_CONNECTIONS];
  for (unsigned i = 0; i < 2 * LIMIT_HTTP_CONNECTIONS; i++)
    idle[i] = ask(o, "GET /he");
  o->response = make_response("yes");
  int fd = ask(o, good);
  turn_until(o, 1);
  expect(fd, "HTTP/1.1 200 ", "yes");
  for (unsigned i = 0; i < LIMIT_HTTP_CONNECTIONS; i++)
    assert_true(test_closes(idle[i]));
  assert_false(test_readable(idle[2 * LIMIT_HTTP_CONNECTIONS - 1], 0));
  for (unsigned i = 0; i < 2 * LIMIT_HTTP_CONNECTIONS; i++)
    close(idle[i]);
}

/* Takes the first octet of a response that is more than the system buffers, and stops. */
static int begin_reading(struct owner *o) {
  char byte;
  int fd = ask(o, good);
  turn_until(o, o->asked + 1);
  assert_true(test_read(fd, &byte, 1));
  return fd;
}

static void pages_are_kept_for_slow_readers_but_not_many(void **state) {
  enum { MORE_THAN_BUFFERS = 16 << 20 };
  struct owner *o = *state;
  struct http_pages pages = {0};
  int fds[LIMIT_HTTP_PAGES];
  for (unsigned i = 0; i < LIMIT_HTTP_PAGES; i++) {
    struct buf body = {0};
    uint8_t *at = buf_reserve(&body, MORE_THAN_BUFFERS);
    assert_non_null(at);
    memset(at, 'x', MORE_THAN_BUFFERS);
    body.size = MORE_THAN_BUFFERS;
    assert_true(http_pages_have_room(&pages));
    struct http_response *r;
    assert_int_equal(http_response_new(HTTP_OK, "text/plain", &body, &r), ERR_OK);
    http_pages_put(&pages, r);
    assert_ptr_equal(http_pages_last(&pages), r);
    o->response = r;
    fds[i] = begin_reading(o);
  }
  assert_false(http_pages_have_room(&pages));
  close(fds[1]);
  while (!http_pages_have_room(&pages)) /* as soon as the HTTP thread sees that the reader has left */
    assert_int_equal(sched_yield(), 0);
  http_pages_put(&pages, make_response("a new one"));
  o->response = http_pages_last(&pages);
  int fd = ask(o, good);
  turn_until(o, o->asked + 1);
  expect(fd, "HTTP/1.1 200 ", "a new one");
  o->response = NULL;
  http_pages_done(&pages); /* while readers still hold them */
  for (unsigned i = 0; i < LIMIT_HTTP_PAGES; i++)
    if (i != 1) close(fds[i]);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, finish)
  const struct CMUnitTest tests[] = {
      TEST(a_request_reaches_the_owner),
      TEST(what_is_no_route_does_not),
      TEST(replies_may_come_later_and_in_any_order),
      TEST(who_asks_behind_an_answer_is_of_the_next_turn),
      TEST(without_a_response_it_is_503),
      TEST(who_left_meanwhile_does_no_harm),
      TEST(the_end_answers_who_waits),
      TEST(the_oldest_connection_makes_room),
      TEST(pages_are_kept_for_slow_readers_but_not_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
