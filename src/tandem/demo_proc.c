/* Child processes of the demo and their configuration files. */
#include "tandem/demo_priv.h"
#include "wire/rr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_TIMEOUT_MS = 30000, PATH_BYTES = 1024 };

static const char *path_in(const struct demo *d, char out[PATH_BYTES], const char *stem, const char *suffix) {
  snprintf(out, PATH_BYTES, "%s/%s%s", d->dir, stem, suffix);
  return out;
}

/* ---- files ---- */

static bool write_file(const struct demo *d, const char *name, mode_t mode, const char *bytes, size_t n) {
  char path[PATH_BYTES];
  int fd = open(path_in(d, path, name, ""), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return false;
  bool ok = write(fd, bytes, n) == (ssize_t)n;
  return close(fd) == 0 && ok;
}

static bool write_buf(const struct demo *d, const char *name, struct buf *b) {
  bool ok = !b->failed && write_file(d, name, 0644, buf_text(b), b->size);
  buf_done(b);
  return ok;
}

static bool copy_zone(const struct demo *d) {
  if (!d->zone_path) return write_file(d, "zone", 0644, demo_zone_text, strlen(demo_zone_text));
  FILE *f = fopen(d->zone_path, "re");
  if (!f) return false;
  struct buf b = {0};
  char piece[4096];
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
    buf_add(&b, piece, n);
  bool ok = !ferror(f);
  fclose(f);
  return write_buf(d, "zone", &b) && ok;
}

/* What all three configurations begin with. */
static void config_head(const struct demo *d, enum demo_role role, struct buf *b) {
  char at[ADDR_TEXT_BYTES];
  const struct demo_server *s = &d->server[role];
  buf_printf(b, "# %s\n", s->label);
  buf_printf(b, "server: {listen: [\"%s\"], state: state-%s, workers: 1%s}\n", addr_text(&s->at, at), s->stem,
             geteuid() == 0 ? ", user: root" : "");
  buf_add_text(b, "keys:\n  - {name: transfer.demo., algorithm: hmac-sha256, secret-file: transfer.key}\npeers:\n");
}

/* A peer as `self` sees it; all share one machine, so each says which address it speaks from. */
static void config_peer(const struct demo *d, enum demo_role self, enum demo_role peer, const char *name, struct buf *b) {
  char at[ADDR_TEXT_BYTES], from[ADDR_TEXT_BYTES];
  struct addr source = d->server[self].at;
  source.port = 0;
  buf_printf(b, "  - {name: %s, address: \"%s\", key: transfer.demo., source: \"%s\"}\n", name, addr_text(&d->server[peer].at, at),
             addr_text(&source, from));
}

static bool write_primary(const struct demo *d) {
  struct buf b = {0};
  config_head(d, DEMO_PRIMARY, &b);
  config_peer(d, DEMO_PRIMARY, DEMO_SECONDARY1, "secondary1", &b);
  config_peer(d, DEMO_PRIMARY, DEMO_SECONDARY2, "secondary2", &b);
  buf_printf(&b,
             "zones:\n  - name: \"%s\"\n    role: primary\n    file: zone\n    notify: [secondary1, secondary2]\n"
             "    transfer: [secondary1, secondary2]\n"
             "    answer-to: [secondary1, secondary2]   # hidden: strangers are refused, whatever they ask\n",
             d->origin_text);
  return write_buf(d, "primary.yaml", &b);
}

static bool write_secondary(const struct demo *d, enum demo_role role) {
  struct buf b = {0};
  char name[64];
  config_head(d, role, &b);
  config_peer(d, role, DEMO_PRIMARY, "primary", &b);
  buf_printf(&b,
             "zones:\n  - name: \"%s\"\n    role: secondary\n    primaries: [primary]\n"
             "    retry-min: 0.5\n    retry-max: 1   # seconds: the demo is not as patient as the SOA\n",
             d->origin_text);
  snprintf(name, sizeof name, "%s.yaml", d->server[role].stem);
  return write_buf(d, name, &b);
}

static bool write_resolver(const struct demo *d) {
  struct buf b = {0};
  char host[ADDR_TEXT_BYTES], at[ADDR_TEXT_BYTES];
  struct addr bare = d->server[DEMO_RESOLVER].at;
  bare.port = 0;
  buf_printf(&b, "server:\n  interface: %s\n  port: %u\n", addr_text(&bare, host), d->server[DEMO_RESOLVER].at.port);
  buf_printf(&b,
             "  do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  directory: \"%s\"\n  pidfile: \"\"\n  use-syslog: no\n  "
             "logfile: \"\"\n"
             "  do-not-query-localhost: no\n  module-config: \"iterator\"\n  num-threads: 1\n"
             "  access-control: 0.0.0.0/0 allow\n  local-zone: \"%s\" transparent\n"
             "  cache-max-ttl: 0            # every lookup asks the secondaries: the cache must not hide an outage\n"
             "  cache-max-negative-ttl: 0\n"
             "remote-control:\n  control-enable: no\nstub-zone:\n  name: \"%s\"\n",
             d->dir, d->origin_text, d->origin_text);
  buf_printf(&b, "  stub-addr: %s\n", addr_text(&d->server[DEMO_SECONDARY1].at, at));
  buf_printf(&b, "  stub-addr: %s\n", addr_text(&d->server[DEMO_SECONDARY2].at, at));
  return write_buf(d, "resolver.conf", &b);
}

bool demo_write_files(struct demo *d) {
  if (mkdir(d->dir, 0755) != 0 && errno != EEXIST) return false;
  return write_file(d, "transfer.key", 0600, d->secret, strlen(d->secret)) && copy_zone(d) && write_primary(d) &&
         write_secondary(d, DEMO_SECONDARY1) && write_secondary(d, DEMO_SECONDARY2) && write_resolver(d);
}

bool demo_edit_zone(struct demo *d, const char *label, const char *text) {
  char path[PATH_BYTES];
  FILE *f = fopen(path_in(d, path, "zone", ""), "ae");
  if (!f) return false;
  const char *dot = strcmp(d->origin_text, ".") == 0 ? "" : ".";
  fprintf(f, "\n%s.%s%s 60 IN TXT \"%s\"\n", label, *dot ? d->origin_text : "", dot, text);
  return fclose(f) == 0;
}

/* ---- ports ---- */

static bool free_port(struct addr *a) {
  struct sockaddr_storage sa;
  socklen_t n = addr_to_sockaddr(a, &sa);
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool ok = tcp >= 0 && udp >= 0 && bind(tcp, (struct sockaddr *)&sa, n) == 0 &&
            getsockname(tcp, (struct sockaddr *)&sa, &n) == 0 && bind(udp, (struct sockaddr *)&sa, n) == 0 &&
            addr_from_sockaddr((struct sockaddr *)&sa, a);
  if (tcp >= 0) close(tcp);
  if (udp >= 0) close(udp);
  return ok;
}

bool demo_choose_ports(struct demo *d) {
  for (unsigned i = 0; i < DEMO_ROLES; i++) {
    struct addr *a = &d->server[i].at;
    bool ok = false;
    for (unsigned attempt = 0; !ok && attempt < 20; attempt++) {
      *a = (struct addr){.family = 4, .octets = {127, 0, 0, (uint8_t)(i + 1)}};
      ok = free_port(a);
    }
    if (!ok) return false;
  }
  return true;
}

/* ---- processes ---- */

static void redirect(const struct demo *d, const char *name, int out) {
  char path[PATH_BYTES];
  int log = open(path_in(d, path, name, ""), O_WRONLY | O_CREAT | O_APPEND, 0644);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out >= 0 ? out : log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
}

static void exec_server(const struct demo *d, enum demo_role role, int out) {
  char file[PATH_BYTES], log[64];
  snprintf(log, sizeof log, "%s.log", d->server[role].stem);
  redirect(d, log, out);
  if (role == DEMO_RESOLVER) {
    path_in(d, file, "resolver", ".conf");
    setenv("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", 1);
    execlp("unbound", "unbound", "-d", "-c", file, (char *)NULL);
    fprintf(stderr, "unbound: %s; install Debian's package unbound\n", strerror(errno));
  } else {
    path_in(d, file, d->server[role].stem, ".yaml");
    execl(d->self, "tandem", "serve", "-c", file, (char *)NULL);
    fprintf(stderr, "%s: %s\n", d->self, strerror(errno));
  }
  _exit(127);
}

/* The child waits for its cable between the two pipes. */
static bool plug_in(struct demo *d, enum demo_role role, int ready_fd, int go_fd) {
  char c;
  return read(ready_fd, &c, 1) == 1 && demo_net_attach(role, d->server[role].pid) && write(go_fd, "g", 1) == 1;
}

/* Reads the child's stdout until the line `ready`. */
static bool wait_ready(int fd) {
  char line[64];
  size_t n = 0;
  while (n < sizeof line) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, READY_TIMEOUT_MS) <= 0) return false;
    ssize_t got = read(fd, line + n, sizeof line - n);
    if (got <= 0) return false;
    n += (size_t)got;
    if (memchr(line, '\n', n)) return n == 6 && memcmp(line, "ready\n", 6) == 0;
  }
  return false;
}

static bool resolver_ready(const struct demo *d) {
  double deadline = demo_now_ms() + READY_TIMEOUT_MS;
  bool found;
  while (demo_now_ms() < deadline) {
    if (demo_ask(&d->server[DEMO_RESOLVER].at, &d->origin, RR_SOA, 1000, &found) && found) return true;
    if (waitpid(d->server[DEMO_RESOLVER].pid, NULL, WNOHANG) != 0) return false;
    poll(NULL, 0, 10);
  }
  return false;
}

bool demo_start(struct demo *d, enum demo_role role) {
  int out[2], ready[2], go[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) return false;
  pid_t pid = fork();
  if (pid == 0) {
    if (!d->keep) prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing is left behind, however the demo ends */
    if (d->namespaces && !demo_net_child(role, ready[1], go[0])) _exit(126);
    exec_server(d, role, role == DEMO_RESOLVER ? -1 : out[1]);
  }
  close(out[1]);
  close(ready[1]);
  close(go[0]);
  d->server[role].pid = pid > 0 ? pid : 0;
  bool ok = pid > 0 && (!d->namespaces || plug_in(d, role, ready[0], go[1]));
  if (ok) ok = role == DEMO_RESOLVER ? resolver_ready(d) : wait_ready(out[0]);
  close(out[0]);
  close(ready[0]);
  close(go[1]);
  return ok;
}

void demo_kill(struct demo *d, enum demo_role role) {
  pid_t pid = d->server[role].pid;
  if (pid <= 0) return;
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  d->server[role].pid = 0;
}

void demo_stop_all(struct demo *d) {
  for (unsigned i = 0; i < DEMO_ROLES; i++)
    demo_kill(d, (enum demo_role)i);
}

static bool wait_success(pid_t pid) {
  int status;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool demo_command(struct demo *d, enum demo_role role, const char *command, const char *zone) {
  char file[PATH_BYTES];
  path_in(d, file, d->server[role].stem, ".yaml");
  pid_t pid = fork();
  if (pid == 0) {
    redirect(d, "commands.log", -1);
    execl(d->self, "tandem", command, "-c", file, zone, (char *)NULL);
    _exit(127);
  }
  return wait_success(pid);
}

bool demo_run(const char *const argv[]) {
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    setenv("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", 1);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  return wait_success(pid);
}
