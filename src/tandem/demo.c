/* `tandem demo`: a hidden primary, two secondaries and a resolver on this machine, and what happens when parts of it go. Every step
 * says what should be so; anything that is not makes the exit code 1. */
#include "tandem/demo_priv.h"

#include "base/limits.h"
#include "crypto/digest.h"
#include "tandem/commands.h"
#include "wire/rr.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EDIT_TIMEOUT_MS = 30000, OUTAGE_LOOKUPS = 200, OUTAGE_MS = 4000, SILENCE_LOOKUPS = 60, SILENCE_MS = 20000 };

/* ---- telling ---- */

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
}

static void check(struct demo *d, bool ok, const char *format, ...) PRINTF_LIKE(3, 4);
static void check(struct demo *d, bool ok, const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("   %s ", ok ? "ok  " : "FAIL");
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  fflush(stdout);
  if (!ok) d->failures++;
}

static const char *at_text(const struct demo *d, enum demo_role role) {
  static char text[DEMO_ROLES][ADDR_TEXT_BYTES];
  return addr_text(&d->server[role].at, text[role]);
}

/* ---- steps ---- */

static bool start_all(struct demo *d) {
  for (unsigned i = 0; i < DEMO_ROLES; i++) {
    if (demo_start(d, (enum demo_role)i)) continue;
    check(d, false, "%s did not start: see %s/%s.log", d->server[i].label, d->dir, d->server[i].stem);
    return false;
  }
  return true;
}

static void show_first_transfer(struct demo *d) {
  for (enum demo_role r = DEMO_SECONDARY1; r <= DEMO_SECONDARY2; r++) {
    double ms = demo_ask_until_found(&d->server[r].at, &d->origin, RR_SOA, EDIT_TIMEOUT_MS);
    check(d, ms >= 0, "%s (%s) has transferred %s and answers for it", d->server[r].label, at_text(d, r), d->origin_text);
  }
  bool found;
  bool answered = demo_ask(&d->server[DEMO_PRIMARY].at, &d->origin, RR_SOA, 1000, &found);
  check(d, !answered, "the hidden primary (%s) refuses a stranger's question", at_text(d, DEMO_PRIMARY));
  check(d, demo_look_up(&d->server[DEMO_RESOLVER].at, &d->origin, RR_SOA, &found) && found,
        "the resolver (unbound, %s) finds %s through the secondaries", at_text(d, DEMO_RESOLVER), d->origin_text);
}

/* One edit of the zone file, seen at both secondaries. */
static void show_edit(struct demo *d, unsigned number) {
  char label[32];
  const char *why;
  struct name name;
  snprintf(label, sizeof label, "tandem-demo-%u", number);
  if (name_from_text(label, strlen(label), &d->origin, &name, NULL, &why) || !demo_edit_zone(d, label, "edited while running")) {
    check(d, false, "the zone file could not be edited");
    return;
  }
  double began = demo_now_ms();
  check(d, demo_command(d, DEMO_PRIMARY, "reload", NULL), "`tandem reload`: a record added to the zone file (%s)", label);
  for (enum demo_role r = DEMO_SECONDARY1; r <= DEMO_SECONDARY2; r++) {
    double ms = demo_ask_until_found(&d->server[r].at, &name, RR_TXT, EDIT_TIMEOUT_MS);
    check(d, ms >= 0, "%s answers it %.1f ms after the command was given", d->server[r].label, demo_now_ms() - began);
  }
}

/* Lookups go on while `lose` takes something away. */
static void show_outage(struct demo *d, const char *what, bool (*lose)(struct demo *d), unsigned lookups, unsigned most_ms) {
  struct demo_stream s;
  if (!demo_stream_start(&s, d)) {
    check(d, false, "no thread for lookups");
    return;
  }
  demo_stream_wait(&s, lookups / 10, most_ms);
  bool done = lose(d);
  demo_stream_wait(&s, lookups, most_ms);
  demo_stream_stop(&s);
  unsigned failed = atomic_load(&s.failed);
  check(d, done && failed == 0, "%s: %u lookups went on, failed lookups: %u, slowest %.0f ms", what, atomic_load(&s.asked), failed,
        s.slowest_ms);
}

static bool kill_primary(struct demo *d) {
  demo_kill(d, DEMO_PRIMARY);
  return true;
}

static bool kill_secondary1(struct demo *d) {
  demo_kill(d, DEMO_SECONDARY1);
  return true;
}

static bool silence_primary(struct demo *d) {
  return demo_net_silence(d, DEMO_PRIMARY, true);
}

static bool silence_secondary2(struct demo *d) {
  return demo_net_silence(d, DEMO_SECONDARY2, true);
}

static void show_recovery(struct demo *d) {
  check(d, demo_start(d, DEMO_SECONDARY1), "%s is started again", d->server[DEMO_SECONDARY1].label);
  bool found;
  check(d, demo_ask(&d->server[DEMO_SECONDARY1].at, &d->origin, RR_SOA, 10000, &found) && found,
        "it answers at once from its own store, the primary still being dead");
  check(d, demo_start(d, DEMO_PRIMARY), "%s is started again", d->server[DEMO_PRIMARY].label);
  show_edit(d, 2);
}

/* ---- the two stages ---- */

static void stage_loopback(struct demo *d) {
  say("1. A hidden primary, two secondaries and a resolver start. Their configuration: %s", d->dir);
  if (!start_all(d)) return;
  show_first_transfer(d);
  say("2. Somebody edits the zone file.");
  show_edit(d, 1);
  say("3. The primary is killed while lookups go on.");
  show_outage(d, "primary dead", kill_primary, OUTAGE_LOOKUPS, OUTAGE_MS);
  say("4. One secondary is killed as well.");
  show_outage(d, "primary and one secondary dead", kill_secondary1, OUTAGE_LOOKUPS, OUTAGE_MS);
  say("5. Recovery.");
  show_recovery(d);
}

static void story_of_silence(struct demo *d) {
  if (!demo_write_files(d)) {
    check(d, false, "files could not be written in %s", d->dir);
    return;
  }
  if (start_all(d)) {
    show_first_transfer(d);
    show_outage(d, "primary silent", silence_primary, SILENCE_LOOKUPS, SILENCE_MS);
    show_outage(d, "primary and one secondary silent", silence_secondary2, SILENCE_LOOKUPS, SILENCE_MS);
    bool healed = demo_net_silence(d, DEMO_PRIMARY, false) && demo_net_silence(d, DEMO_SECONDARY2, false);
    check(d, healed, "the packets flow again");
    show_edit(d, 1);
  }
  demo_stop_all(d);
}

/* In a child of its own, since entering a namespace is for good. Exit 0 told and fine, 1 something failed, 3 not possible here. */
static void stage_silence(struct demo *d) {
  say("6. The same as silence: packets are dropped, nobody says that anything is wrong. The hard case for a resolver.");
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    struct demo quiet = *d;
    size_t n = strlen(quiet.dir);
    snprintf(quiet.dir + n, sizeof quiet.dir - n, "/silence");
    quiet.failures = 0;
    quiet.keep = false;
    memset(quiet.server, 0, sizeof quiet.server);
    for (unsigned i = 0; i < DEMO_ROLES; i++)
      quiet.server[i] = (struct demo_server){d->server[i].label, d->server[i].stem, {0}, 0};
    if (!demo_net_enter(&quiet)) _exit(3);
    story_of_silence(&quiet);
    _exit(quiet.failures ? 1 : 0);
  }
  int status = 0;
  bool waited = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
  if (waited && WEXITSTATUS(status) == 3) say("   left out: network namespaces can't be made here (that needs root)");
  else if (!waited || WEXITSTATUS(status) != 0) d->failures++;
}

static void show_what_to_try(const struct demo *d) {
  say("\nIt keeps running (Ctrl-C ends it). Try:");
  say("  dig @127.0.0.1 -p %u +norecurse %s SOA      # the hidden primary refuses", d->server[DEMO_PRIMARY].at.port,
      d->origin_text);
  say("  dig @127.0.0.2 -p %u +norecurse %s SOA      # secondary 1", d->server[DEMO_SECONDARY1].at.port, d->origin_text);
  say("  dig @127.0.0.3 -p %u +norecurse %s ANY +tcp # secondary 2", d->server[DEMO_SECONDARY2].at.port, d->origin_text);
  say("  dig @127.0.0.4 -p %u www.%s                 # through the resolver", d->server[DEMO_RESOLVER].at.port, d->origin_text);
  say("  $EDITOR %s/zone && %s reload -c %s/primary.yaml", d->dir, d->self, d->dir);
  say("  %s status %s -c %s/secondary1.yaml", d->self, d->origin_text, d->dir);
  fflush(stdout);
  while (waitpid(-1, NULL, 0) > 0)
    continue;
}

/* ---- options ---- */

static bool set_origin(struct demo *d, const char *text) {
  const char *why = "";
  if (name_from_text(text, strlen(text), &name_root, &d->origin, NULL, &why)) {
    fprintf(stderr, "tandem demo: %s is not a domain name: %s\n", text, why);
    return false;
  }
  name_text(&d->origin, d->origin_text);
  size_t n = strlen(d->origin_text);
  if (n > 1) d->origin_text[n - 1] = 0;
  return true;
}

static int parse_options(struct demo *d, int argc, char **argv, const char **dir, bool *silence) {
  const char *origin = NULL;
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    const char **value = strcmp(arg, "--zone") == 0     ? &d->zone_path
                         : strcmp(arg, "--origin") == 0 ? &origin
                         : strcmp(arg, "--dir") == 0    ? dir
                                                        : NULL;
    if (strcmp(arg, "--keep") == 0) d->keep = true;
    else if (strcmp(arg, "--no-silence") == 0) *silence = false;
    else if (!value) return command_no_option("demo", arg);
    else if (i + 1 == argc) return command_misused("demo", "an option lacks its value");
    else *value = argv[++i];
  }
  if (d->zone_path && !origin) return command_misused("demo", "--zone wants an --origin: the zone's name");
  return set_origin(d, origin ? origin : demo_zone_origin) ? EXIT_DONE : EXIT_REFUSED;
}

/* A zone that has mistakes would be shown as an outage. */
static bool zone_is_good(const struct demo *d) {
  char check[] = "check-zone", origin[NAME_TEXT_BYTES], path[PATH_MAX];
  if (!d->zone_path) return true;
  snprintf(origin, sizeof origin, "%s", d->origin_text);
  snprintf(path, sizeof path, "%s", d->zone_path);
  return cmd_check_zone(3, (char *[]){check, origin, path}) == EXIT_DONE;
}

static bool prepare(struct demo *d, const char *dir) {
  static const struct demo_server servers[DEMO_ROLES] = {{.label = "the hidden primary", .stem = "primary"},
                                                         {.label = "secondary 1", .stem = "secondary1"},
                                                         {.label = "secondary 2", .stem = "secondary2"},
                                                         {.label = "the resolver", .stem = "resolver"}};
  memcpy(d->server, servers, sizeof servers);
  uint8_t secret[32];
  ssize_t n = readlink("/proc/self/exe", d->self, sizeof d->self - 1);
  if (n <= 0 || random_bytes(secret, sizeof secret)) return false;
  d->self[n] = 0;
  base64_encode(secret, sizeof secret, d->secret);
  snprintf(d->dir, sizeof d->dir, "%s", dir ? dir : "/tmp/tandem-demo-XXXXXX");
  if (!dir && !mkdtemp(d->dir)) return false;
  char absolute[PATH_MAX];
  bool ok = demo_choose_ports(d) && demo_write_files(d) && realpath(d->dir, absolute) && strlen(absolute) + 16 < sizeof d->dir;
  if (ok) memcpy(d->dir, absolute, strlen(absolute) + 1);
  return ok && (!dir || demo_write_files(d)); /* again, now with absolute paths in them */
}

int cmd_demo(int argc, char **argv) {
  struct demo d = {0};
  const char *dir = NULL;
  bool silence = true;
  int status = parse_options(&d, argc, argv, &dir, &silence);
  if (status) return status;
  if (!zone_is_good(&d)) return EXIT_REFUSED;
  if (!prepare(&d, dir)) {
    perror("tandem demo: can't prepare files and ports");
    return 1;
  }
  stage_loopback(&d);
  if (silence) stage_silence(&d);
  if (d.failures) say("\n%u check%s failed; logs are in %s", d.failures, plural(d.failures), d.dir);
  else say("\nEverything was as it should be. Configurations, logs and state: %s", d.dir);
  if (d.keep && !d.failures) show_what_to_try(&d);
  demo_stop_all(&d);
  return d.failures ? 1 : 0;
}
