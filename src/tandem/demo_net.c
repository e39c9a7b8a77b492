/* Network namespaces for the outage played as silence: each server in a namespace of its own, joined by a cable (veth) to the
 * middle, where the lookups are made and which forwards between them. Made with unshare(2) and iproute2, so that all of it is
 * gone when the processes are. */
#include "tandem/demo_priv.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool ip(const char *words[]) {
  const char *argv[16] = {"ip"};
  for (unsigned i = 0; words[i] && i < 14; i++)
    argv[i + 1] = words[i];
  return demo_run(argv);
}
#define IP(...) ip((const char *[]){__VA_ARGS__, NULL})

static bool set_forwarding(void) {
  int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = write(fd, "1", 1) == 1;
  close(fd);
  return ok;
}

bool demo_net_enter(struct demo *d) {
  if (unshare(CLONE_NEWNET) != 0 || !IP("link", "set", "lo", "up") || !set_forwarding()) return false;
  d->namespaces = true;
  for (unsigned i = 0; i < DEMO_ROLES; i++) { /* 10.53.ROLE.1 is the middle's end, 10.53.ROLE.2 the server's */
    struct addr *a = &d->server[i].at;
    *a = (struct addr){.family = 4, .port = 53, .octets = {10, 53, (uint8_t)i, 2}};
  }
  return true;
}

bool demo_net_attach(enum demo_role role, pid_t child) {
  char ours[16], theirs[16], pid[16], address[32];
  snprintf(ours, sizeof ours, "mid%d", (int)role);
  snprintf(theirs, sizeof theirs, "srv%d", (int)role);
  snprintf(pid, sizeof pid, "%d", (int)child);
  snprintf(address, sizeof address, "10.53.%d.1/24", (int)role);
  return IP("link", "add", ours, "type", "veth", "peer", "name", theirs) && IP("link", "set", theirs, "netns", pid) &&
         IP("addr", "add", address, "dev", ours) && IP("link", "set", ours, "up");
}

bool demo_net_child(enum demo_role role, int ready_fd, int go_fd) {
  char c = 'r', theirs[16], address[32], gateway[32];
  snprintf(theirs, sizeof theirs, "srv%d", (int)role);
  snprintf(address, sizeof address, "10.53.%d.2/24", (int)role);
  snprintf(gateway, sizeof gateway, "10.53.%d.1", (int)role);
  if (unshare(CLONE_NEWNET) != 0 || write(ready_fd, &c, 1) != 1 || read(go_fd, &c, 1) != 1) return false;
  return IP("link", "set", "lo", "up") && IP("addr", "add", address, "dev", theirs) && IP("link", "set", theirs, "up") &&
         IP("route", "add", "default", "via", gateway);
}

/* Routes into nowhere, longer than the real ones: what the server sends is dropped on its own doorstep. */
bool demo_net_silence(const struct demo *d, enum demo_role role, bool silent) {
  static const char *const halves[] = {"10.53.0.0/17", "10.53.128.0/17"};
  char pid[16], near[32];
  snprintf(pid, sizeof pid, "%d", (int)d->server[role].pid);
  snprintf(near, sizeof near, "10.53.%d.1/32", (int)role);
  const char *action = silent ? "add" : "del";
  for (unsigned i = 0; i < 3; i++) {
    const char *to = i < 2 ? halves[i] : near;
    const char *argv[] = {"nsenter", "-t", pid, "-n", "ip", "route", action, "blackhole", to, NULL};
    if (!demo_run(argv)) return false;
  }
  return true;
}
