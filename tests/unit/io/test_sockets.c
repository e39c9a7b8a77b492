#include "io_test.h"

#include "io/privilege.h"
#include "io/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>

/* Another server on the address is found out, although the kernel would let us share it, and named. */
static void address_in_use_is_said(void **state) {
  for (int kind = SOCKET_UDP; kind <= SOCKET_TCP; kind++) {
    struct addr at, any;
    struct socket_error error;
    char pid[32];
    int first = test_listen((enum socket_kind)kind, "127.0.0.1", &at), second = -1;
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    assert_int_equal(socket_listen((enum socket_kind)kind, &at, false, &second, &error), ERR_LOCKED);
    assert_non_null(strstr(error.what, "address in use by "));
    assert_non_null(strstr(error.what, pid));
    assert_true(error.hint[0]);
    any = test_addr("0.0.0.0");
    any.port = at.port;
    assert_int_equal(socket_listen((enum socket_kind)kind, &any, false, &second, &error), ERR_LOCKED);
    assert_int_equal(socket_listen((enum socket_kind)kind, &at, true, &second, &error), ERR_OK);
    close(second);
    assert_int_equal(socket_listen_again((enum socket_kind)kind, &at, first, &second, &error), ERR_OK);
    close(second);
    close(first);
  }
}

static void foreign_address_is_said(void **state) {
  struct socket_error error;
  struct addr at = test_addr("192.0.2.1");
  int fd = -1;
  assert_int_equal(socket_listen(SOCKET_UDP, &at, false, &fd, &error), ERR_NOT_FOUND);
  assert_non_null(strstr(error.what, "192.0.2.1"));
  assert_int_equal(fd, -1);
}

/* Of two that share an address, one is retired: what it has can be read, everything new goes to the other. */
static void retired_socket_takes_nothing_new(void **state) {
  enum { CLIENTS = 64 };
  static const char *const hosts[] = {"127.0.0.1", "0.0.0.0", "::1", "::"};
  for (size_t h = 0; h < 4; h++) {
    struct addr at;
    struct socket_error error;
    int clients[CLIENTS], sockets[2], had = 0, left = 0;
    sockets[0] = test_listen(SOCKET_UDP, hosts[h], &at);
    assert_int_equal(socket_listen_again(SOCKET_UDP, &at, sockets[0], &sockets[1], &error), ERR_OK);
    for (int i = 0; i < CLIENTS; i++) {
      clients[i] = test_connect(SOCKET_UDP, &at);
      test_write(clients[i], "1", 1);
    }
    socket_retire(sockets[0]);
    for (int i = 0; i < CLIENTS; i++) {
      test_write(clients[i], "2", 1);
      close(clients[i]);
    }
    char got;
    for (; recv(sockets[0], &got, 1, MSG_DONTWAIT) == 1; had++)
      assert_int_equal(got, '1');
    while (recv(sockets[1], &got, 1, MSG_DONTWAIT) == 1)
      left++;
    assert_in_range(had, 1, CLIENTS);
    assert_int_equal(had + left, 2 * CLIENTS);
    close(sockets[0]);
    close(sockets[1]);
  }
}

/* "::" leaves IPv4 alone. */
static void wildcard_six_is_six_only(void **state) {
  struct addr six, four = test_addr("0.0.0.0");
  struct socket_error error;
  int a = test_listen(SOCKET_TCP, "::", &six), b;
  four.port = six.port;
  assert_int_equal(socket_listen(SOCKET_TCP, &four, false, &b, &error), ERR_OK);
  close(a);
  close(b);
}

static void service_manager_is_told(void **state) {
  char dir[] = "/tmp/tandem-notify-XXXXXX", got[64];
  assert_non_null(mkdtemp(dir));
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  snprintf(sa.sun_path, sizeof sa.sun_path, "%s/s", dir);
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
  setenv("NOTIFY_SOCKET", sa.sun_path, 1);
  service_notify("READY=1");
  assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
  assert_memory_equal(got, "READY=1", 7);
  unsetenv("NOTIFY_SOCKET");
  service_notify("READY=1"); /* nobody to tell */
  close(fd);
  unlink(sa.sun_path);
  rmdir(dir);
}

/* The lines of /proc/self/status that must hold after the drop. */
static bool status_says(const char *line) {
  FILE *f = fopen("/proc/self/status", "r");
  char text[256];
  bool found = false;
  size_t n = strlen(line);
  while (f && fgets(text, sizeof text, f))
    if (strncmp(text, line, n) == 0 && (text[n] == '\n' || text[n] == ' ' || text[n] == '\t')) found = true;
  if (f) fclose(f);
  return found;
}

static int dropped_well(bool keep_low_ports) {
  struct privilege_user nobody;
  const char *what = "finding the user", *caps = keep_low_ports ? "0000000000000400" : "0000000000000000";
  char uids[64], gids[64], permitted[40], effective[40];
  if (privilege_find_user("nobody", &nobody) || privilege_drop(&nobody, keep_low_ports, &what)) {
    fprintf(stderr, "failed at: %s\n", what);
    return 1;
  }
  snprintf(uids, sizeof uids, "Uid:\t%u\t%u\t%u\t%u", nobody.uid, nobody.uid, nobody.uid, nobody.uid);
  snprintf(gids, sizeof gids, "Gid:\t%u\t%u\t%u\t%u", nobody.gid, nobody.gid, nobody.gid, nobody.gid);
  snprintf(permitted, sizeof permitted, "CapPrm:\t%s", caps);
  snprintf(effective, sizeof effective, "CapEff:\t%s", caps);
  if (!status_says(uids) || !status_says(gids) || !status_says("Groups:\t")) return 2;
  if (!status_says(permitted) || !status_says(effective)) return 3;
  if (!status_says("CapInh:\t0000000000000000") || !status_says("CapBnd:\t0000000000000000")) return 4;
  if (!status_says("CapAmb:\t0000000000000000") || !status_says("NoNewPrivs:\t1")) return 5;
  struct socket_error error;
  struct addr low = test_addr("127.0.0.1@7");
  int fd;
  enum err e = socket_listen(SOCKET_UDP, &low, false, &fd, &error);
  return e == (keep_low_ports ? ERR_OK : ERR_REFUSED) ? 0 : 6;
}

static void privileges_are_gone_for_good(void **state) {
  if (!privilege_is_root()) skip();
  for (int keep = 0; keep <= 1; keep++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(dropped_well(keep));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
}

static void unknown_user_is_not_found(void **state) {
  struct privilege_user u;
  assert_int_equal(privilege_find_user("no-such-user-here", &u), ERR_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(address_in_use_is_said),    cmocka_unit_test(foreign_address_is_said),
      cmocka_unit_test(wildcard_six_is_six_only),  cmocka_unit_test(retired_socket_takes_nothing_new),
      cmocka_unit_test(service_manager_is_told),   cmocka_unit_test(privileges_are_gone_for_good),
      cmocka_unit_test(unknown_user_is_not_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
