#include "io_test.h"

#include "io/udp_worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Answers with the tag in front of the request; "drop" is not answered. */
static void echo(void *arg, struct udp_packet *packets, size_t count) {
  assert_in_range(count, 1, LIMIT_BATCH);
  atomic_fetch_add((_Atomic size_t *)arg, count);
  for (size_t i = 0; i < count; i++) {
    struct udp_packet *p = &packets[i];
    assert_int_equal(p->out_size, 0);
    if (p->size == 4 && memcmp(p->bytes, "drop", 4) == 0) continue;
    size_t n = p->size < LIMIT_UDP_RESPONSE_BYTES - 1 ? p->size : LIMIT_UDP_RESPONSE_BYTES - 1;
    p->out[0] = (uint8_t)p->tag;
    memcpy(p->out + 1, p->bytes, n);
    p->out_size = (uint32_t)n + 1;
  }
}

static _Atomic size_t handled;

static struct udp_worker *start(const struct udp_socket *sockets, size_t count) {
  struct udp_worker *w;
  struct udp_handler handler = {&handled, NULL, NULL, echo};
  handled = 0;
  assert_int_equal(udp_worker_start(sockets, count, &handler, "test", -1, &w), ERR_OK);
  return w;
}

static void expect_echo(const struct addr *to, uint8_t tag, const char *text) {
  int fd = test_connect(SOCKET_UDP, to);
  uint8_t got[2000];
  test_write(fd, text, strlen(text));
  assert_true(test_readable(fd, PATIENCE_MS));
  ssize_t n = recv(fd, got, sizeof got, 0);
  assert_int_equal(n, strlen(text) + 1);
  assert_int_equal(got[0], tag);
  assert_memory_equal(got + 1, text, strlen(text));
  close(fd);
}

static void one_socket(void **state) {
  struct addr at;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  struct udp_worker *w = start(&(struct udp_socket){fd, false, 7}, 1);
  expect_echo(&at, 7, "hello");
  expect_echo(&at, 7, "again");
  struct udp_counters c = {0};
  udp_worker_counters(w, &c);
  assert_int_equal(c.received, 2);
  udp_worker_stop(w, NULL);
  close(fd);
}

/* What the kernel says of the worker: struct sched_attr as octets, whose `runtime` stands at 24. */
static void read_slice(void *arg) {
  uint8_t attr[48] = {sizeof attr};
  if (syscall(SYS_sched_getattr, 0, attr, sizeof attr, 0) == 0) memcpy(arg, attr + 24, 8);
}

static void comes_before_those_that_compute(void **state) {
  struct utsname u;
  unsigned major, minor;
  assert_int_equal(uname(&u), 0);
  assert_int_equal(sscanf(u.release, "%u.%u", &major, &minor), 2);
  if (major < 6 || (major == 6 && minor < 12)) skip();
  struct addr at;
  uint64_t slice_ns = 0;
  int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
  struct udp_worker *w;
  struct udp_handler handler = {&slice_ns, read_slice, NULL, echo};
  assert_int_equal(udp_worker_start(&(struct udp_socket){fd, false, 7}, 1, &handler, "test", -1, &w), ERR_OK);
  udp_worker_stop(w, NULL);
  assert_int_equal(slice_ns, 100 * 1000);
  close(fd);
}

static void many_sockets(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "::1", "127.0.0.9"};
  struct addr at[3];
  struct udp_socket sockets[3];
  for (int i = 0; i < 3; i++)
    sockets[i] = (struct udp_socket){test_listen(SOCKET_UDP, hosts[i], &at[i]), false, (uint32_t)i + 1};
  struct udp_worker *w = start(sockets, 3);
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < 3; i++)
      expect_echo(&at[i], (uint8_t)(i + 1), hosts[i]);
  udp_worker_stop(w, NULL);
  for (int i = 0; i < 3; i++)
    close(sockets[i].fd);
}

/* The client's socket is connected: it takes nothing that comes from another address than it asked. */
static void wildcards_answer_from_the_address_asked(void **state) {
  struct addr at4, at6;
  struct udp_socket sockets[2];
  sockets[0] = (struct udp_socket){test_listen(SOCKET_UDP, "0.0.0.0", &at4), true, 1};
  sockets[1] = (struct udp_socket){test_listen(SOCKET_UDP, "::", &at6), true, 2};
  for (size_t count = 1; count <= 2; count++) {
    struct udp_worker *w = start(sockets, count);
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.77", "127.200.3.4"};
    for (int i = 0; i < 3; i++) {
      struct addr to = test_addr(hosts[i]);
      to.port = at4.port;
      expect_echo(&to, 1, hosts[i]);
    }
    if (count == 2) {
      struct addr to = test_addr("::1");
      to.port = at6.port;
      expect_echo(&to, 2, "six");
    }
    udp_worker_stop(w, NULL);
  }
  close(sockets[0].fd);
  close(sockets[1].fd);
}

static void what_has_arrived_is_answered_before_the_end(void **state) {
  enum { PACKETS = 100 };
  struct addr at[2];
  struct udp_socket sockets[2];
  for (int i = 0; i < 2; i++)
    sockets[i] = (struct udp_socket){test_listen(SOCKET_UDP, "127.0.0.1", &at[i]), false, (uint32_t)i};
  int client = test_connect(SOCKET_UDP, &at[1]);
  for (int i = 0; i < PACKETS; i++)
    test_write(client, &i, sizeof i);
  struct udp_counters c = {0};
  udp_worker_stop(start(sockets, 2), &c);
  assert_int_equal(c.sent, PACKETS);
  assert_int_equal(handled, PACKETS);
  for (int i = 0; i < PACKETS; i++) {
    uint8_t got[100];
    assert_int_equal(recv(client, got, sizeof got, MSG_DONTWAIT), sizeof i + 1);
    assert_memory_equal(got + 1, &i, sizeof i);
  }
  close(client);
  close(sockets[0].fd);
  close(sockets[1].fd);
}

/* Unanswered requests in the middle of a batch do not shift the answers of the others; an oversized one is handled cut off. */
static void gaps_in_a_batch(void **state) {
  struct addr at;
  int fd = test_listen(SOCKET_UDP, "0.0.0.0", &at);
  int client = test_connect(SOCKET_UDP, &at);
  static uint8_t huge[LIMIT_UDP_REQUEST_BYTES + 1], most[LIMIT_UDP_REQUEST_BYTES];
  test_write(client, "drop", 4);
  test_write(client, "a", 1);
  test_write(client, huge, sizeof huge);
  test_write(client, "drop", 4);
  test_write(client, "b", 1);
  test_write(client, most, sizeof most);
  struct udp_worker *w = start(&(struct udp_socket){fd, true, 3}, 1);
  uint8_t got[2000];
  assert_int_equal(recv(client, got, sizeof got, 0), 2);
  assert_int_equal(got[1], 'a');
  assert_int_equal(recv(client, got, sizeof got, 0), LIMIT_UDP_RESPONSE_BYTES);
  assert_int_equal(got[1], 0);
  assert_int_equal(recv(client, got, sizeof got, 0), 2);
  assert_int_equal(got[1], 'b');
  assert_int_equal(recv(client, got, sizeof got, 0), LIMIT_UDP_RESPONSE_BYTES);
  struct udp_counters c = {0};
  udp_worker_counters(w, &c);
  assert_int_equal(c.too_long, 1);
  assert_int_equal(c.received, 6);
  udp_worker_stop(w, NULL);
  close(client);
  close(fd);
}

/* A handler that answers nothing and keeps how it could. */
struct kept {
  struct udp_return to[6];
  uint8_t bytes[6];
  _Atomic size_t count;
};

static void keep(void *arg, struct udp_packet *packets, size_t count) {
  struct kept *k = arg;
  for (size_t i = 0; i < count; i++) {
    udp_packet_return(&packets[i], &k->to[k->count]);
    k->bytes[k->count] = packets[i].bytes[0];
    atomic_fetch_add(&k->count, 1);
  }
}

/* Two sockets, one of them a wildcard asked at two addresses, and in the middle one that can't be sent. */
static void late_responses_go_together(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "127.0.0.77", "127.0.0.1", "::1", "127.0.0.77", "::1"};
  static uint8_t too_long[70000];
  struct addr at4, at6;
  struct kept k = {.count = 0};
  struct udp_socket sockets[] = {{test_listen(SOCKET_UDP, "0.0.0.0", &at4), true, 1},
                                 {test_listen(SOCKET_UDP, "::1", &at6), false, 2}};
  struct udp_handler handler = {&k, NULL, NULL, keep};
  struct udp_late out[6];
  struct udp_worker *w;
  int clients[6];
  assert_int_equal(udp_worker_start(sockets, 2, &handler, "test", -1, &w), ERR_OK);
  for (size_t i = 0; i < 6; i++) {
    struct addr to = test_addr(hosts[i]);
    to.port = to.family == 4 ? at4.port : at6.port;
    clients[i] = test_connect(SOCKET_UDP, &to);
    test_write(clients[i], &"012345"[i], 1);
    for (uint64_t end = clock_read().mono_ns + PATIENCE_MS * NS_PER_MS; atomic_load(&k.count) == i;)
      assert_true(clock_read().mono_ns < end);
  }
  for (size_t i = 0; i < 6; i++)
    out[i] = i == 1 ? (struct udp_late){&k.to[i], too_long, sizeof too_long} : (struct udp_late){&k.to[i], &k.bytes[i], 1};
  udp_late_send(out, 6);
  for (size_t i = 0; i < 6; i++) {
    uint8_t got = 0;
    if (i != 1) assert_true(test_readable(clients[i], PATIENCE_MS));
    if (i != 1) assert_int_equal(recv(clients[i], &got, 1, 0), 1);
    if (i != 1) assert_int_equal(got, "012345"[i]);
    close(clients[i]);
  }
  udp_worker_stop(w, NULL);
  close(sockets[0].fd);
  close(sockets[1].fd);
}

static void late_responses_of_one_client_stay_apart(void **state) {
  static const char *const hosts[] = {"127.0.0.77", "::1"};
  static uint8_t long_ones[4][20000];
  for (size_t h = 0; h < 2; h++) {
    struct addr at, to = test_addr(hosts[h]);
    struct kept k = {.count = 0};
    struct udp_socket socket = {test_listen(SOCKET_UDP, h ? "::" : "0.0.0.0", &at), true, 1};
    struct udp_handler handler = {&k, NULL, NULL, keep};
    static const size_t sizes[] = {100, 100, 100, 7, 7, 20000, 20000, 20000, 20000}; /* all of the last together are too much */
    struct udp_late out[9];
    struct udp_worker *w;
    uint8_t got[20001];
    assert_int_equal(udp_worker_start(&socket, 1, &handler, "test", -1, &w), ERR_OK);
    to.port = at.port;
    int client = test_connect(SOCKET_UDP, &to);
    test_write(client, "0", 1);
    for (uint64_t end = clock_read().mono_ns + PATIENCE_MS * NS_PER_MS; atomic_load(&k.count) == 0;)
      assert_true(clock_read().mono_ns < end);
    struct udp_return back[9];
    for (size_t i = 0; i < 9; i++) {
      back[i] = k.to[0];
      out[i] = (struct udp_late){&back[i], long_ones[i % 4], sizes[i]};
    }
    for (size_t i = 0; i < 4; i++)
      memset(long_ones[i], (int)i, sizeof long_ones[i]);
    udp_late_send(out, 9);
    for (size_t i = 0, seen = 0; i < 9; i++) {
      assert_true(test_readable(client, PATIENCE_MS));
      ssize_t n = recv(client, got, sizeof got, 0);
      assert_true(n == 100 || n == 7 || n == 20000);
      size_t which = 0;
      while (which < 9 && ((seen >> which & 1) || sizes[which] != (size_t)n || got[0] != which % 4))
        which++;
      assert_in_range(which, 0, 8); /* each once, whole */
      assert_memory_equal(got, out[which].bytes, n);
      seen |= (size_t)1 << which;
    }
    close(client);
    udp_worker_stop(w, NULL);
    close(socket.fd);
  }
}

static void stops_when_idle(void **state) {
  for (int round = 0; round < 50; round++) { /* the signal must not get lost, wherever the thread is */
    struct addr at;
    int fd = test_listen(SOCKET_UDP, "127.0.0.1", &at);
    udp_worker_stop(start(&(struct udp_socket){fd, false, 0}, 1), NULL);
    close(fd);
  }
  udp_worker_stop(start(NULL, 0), NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_socket),
      cmocka_unit_test(comes_before_those_that_compute),
      cmocka_unit_test(many_sockets),
      cmocka_unit_test(wildcards_answer_from_the_address_asked),
      cmocka_unit_test(what_has_arrived_is_answered_before_the_end),
      cmocka_unit_test(gaps_in_a_batch),
      cmocka_unit_test(late_responses_go_together),
      cmocka_unit_test(late_responses_of_one_client_stay_apart),
      cmocka_unit_test(stops_when_idle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
