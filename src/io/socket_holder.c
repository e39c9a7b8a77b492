/* Finds who holds a port, by way of /proc: the socket's inode from the kernel's table, then the process that has it open. */
#include "io/sockets.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the local address of a table row, hex words in host order, is `at` or a wildcard, or `at` is one. */
static bool row_covers(const char *hex, const struct addr *at) {
  uint8_t octets[16] = {0};
  size_t words = at->family == 4 ? 1 : 4;
  if (strlen(hex) != words * 8) return false;
  for (size_t i = 0; i < words; i++) {
    char word[9] = {0};
    memcpy(word, hex + 8 * i, 8);
    uint32_t v = (uint32_t)strtoul(word, NULL, 16);
    memcpy(octets + 4 * i, &v, 4);
  }
  static const uint8_t none[16];
  return addr_is_any(at) || memcmp(octets, none, 4 * words) == 0 || memcmp(octets, at->octets, 4 * words) == 0;
}

/* The inode of the socket that is bound to the address; 0: none found. */
static uint64_t find_inode(enum socket_kind kind, const struct addr *at) {
  char path[32];
  snprintf(path, sizeof path, "/proc/net/%s%s", kind == SOCKET_UDP ? "udp" : "tcp", at->family == 4 ? "" : "6");
  FILE *f = fopen(path, "re");
  if (!f) return 0;
  char line[512];
  uint64_t found = 0;
  while (!found && fgets(line, sizeof line, f)) {
    char hex[40];
    unsigned port, state;
    uint64_t inode;
    int n = sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %" SCNu64, hex, &port, &state, &inode);
    bool listens = kind == SOCKET_UDP || state == 0x0a; /* TCP_LISTEN */
    if (n == 4 && port == at->port && listens && row_covers(hex, at)) found = inode;
  }
  fclose(f);
  return found;
}

static bool process_has(const char *pid, const char *link) {
  char path[300], target[64];
  snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
  DIR *fds = opendir(path);
  if (!fds) return false;
  bool found = false;
  for (struct dirent *d; !found && (d = readdir(fds));) {
    ssize_t n = readlinkat(dirfd(fds), d->d_name, target, sizeof target - 1);
    if (n <= 0) continue;
    target[n] = 0;
    found = strcmp(target, link) == 0;
  }
  closedir(fds);
  return found;
}

static void describe(const char *pid, char *out, size_t size) {
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
  FILE *f = fopen(path, "re");
  if (f && fgets(name, sizeof name, f)) name[strcspn(name, "\n")] = 0;
  if (f) fclose(f);
  snprintf(out, size, "%s (pid %.20s)", name[0] ? name : "a process", pid);
}

void socket_holder(enum socket_kind kind, const struct addr *at, char *out, size_t size) {
  out[0] = 0;
  uint64_t inode = find_inode(kind, at);
  DIR *proc = inode ? opendir("/proc") : NULL;
  if (!proc) return;
  char link[48];
  snprintf(link, sizeof link, "socket:[%" PRIu64 "]", inode);
  for (struct dirent *d; (d = readdir(proc));) {
    if (d->d_name[0] < '1' || d->d_name[0] > '9' || !process_has(d->d_name, link)) continue;
    describe(d->d_name, out, size);
    break;
  }
  closedir(proc);
}
