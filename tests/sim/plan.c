/* The story of one seed: faults of all kinds for a while, then none; then all servers must become equal within their bounds, a
 * change must reach all of them by NOTIFY alone, and a restart must change nothing. */
#include "disk.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
  BOUND_S = 2 * (REFRESH_S + RETRY_MAX_S) + 10, /* two hops, each within a refresh or a retry and the time of a transfer */
  NOTIFY_BOUND_S = 5,
  TOLD_BOUND_MS = 2500, /* a hop, when little but NOTIFYs got through, from then on; the SOA's retry comes later */
  TROUBLE_MS = 400,     /* for so long */
  TROUBLES = 4,
  DAY_S = 86400,
  STEADY = 80, /* records that stay, so that changes are less than the zone */
};

static const char *root_directory;
static struct {
  unsigned edit;
  uint32_t file_serial;
  bool quiet; /* no faults any more */
} plan;

/* ---- zone files ---- */

static void write_file(const char *name, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%.100s/%.40s", root_directory, name);
  FILE *f = fopen(path, "we");
  MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void put_head(struct buf *b, uint32_t serial) {
  buf_printf(b, "$TTL 60\n@ IN SOA ns h %u %d %d %d 60\n@ IN NS ns\nns IN A 192.0.2.53\n", serial, REFRESH_S, RETRY_S, EXPIRE_S);
}

/* Each edit has a name of its own, and some more that come and go. The serial may rise or not: then the server raises it. It has to
 * rise where what is served is nowhere but in memory: of that the next start knows nothing. */
static void edit_file(void) {
  struct buf b = {0};
  plan.edit++;
  if (sim_chance(600) || check_in_memory(ZONE_F)) plan.file_serial += (uint32_t)sim_between(1, 3);
  put_head(&b, plan.file_serial);
  buf_printf(&b, "e%u IN TXT \"edit\"\n", plan.edit);
  for (unsigned i = 0; i < STEADY; i++)
    buf_printf(&b, "s%u IN A 10.2.0.%u\n", i, i);
  for (unsigned i = 0; i < 20; i++)
    if (plan.edit * 2654435761u >> i & 1) buf_printf(&b, "w%u IN A 10.1.%u.%u\n", i, plan.edit & 255, i);
  write_file("f.zone", buf_text(&b));
  buf_done(&b);
}

static void edit_and_reload(unsigned reload_pm) {
  edit_file();
  if (node_serves(&nodes[0]) && sim_chance(reload_pm)) node_reload(&nodes[0], zone_texts[ZONE_F], plan.edit);
}

static void first_files(void) {
  struct buf b = {0};
  plan.file_serial = sim_chance(200) ? UINT32_MAX - 5 : 100;
  edit_file();
  put_head(&b, sim_chance(200) ? UINT32_MAX - 20 : 1);
  write_file("u.zone", buf_text(&b));
  buf_done(&b);
}

/* ---- servers that go and come ---- */

static void come_back(void *arg, uint64_t token) {
  struct node *n = arg;
  if (n->up) return;
  node_start(n);
  if (!n->up) sim_later(sim_between(1, 5) * NS_PER_S, come_back, n, 0);
}

/* A supervisor that starts again what is gone. */
static void supervise(void *arg, uint64_t token) {
  for (int i = 0; i < NODES; i++) {
    if (nodes[i].up || token & 1u << i) continue;
    token |= 1u << i;
    sim_later(sim_between(10, 20000) * NS_PER_MS, come_back, &nodes[i], 0);
  }
  for (int i = 0; i < NODES; i++)
    if (nodes[i].up) token &= ~(UINT64_C(1) << i);
  sim_later(NS_PER_S / 2, supervise, NULL, token);
}

/* ---- faults ---- */

static void change_network(void) {
  struct net_faults *f = &net_faults;
  uint64_t parties = asker_is_here() ? PARTIES : PARTY_ASKER;
  memset(f->blocked, 0, sizeof f->blocked);
  f->loss_pm = sim_chance(500) ? 0 : (unsigned)sim_below(400);
  f->double_pm = sim_chance(500) ? 0 : (unsigned)sim_below(300);
  f->reset_pm = sim_chance(600) ? 0 : (unsigned)sim_below(200);
  f->stall_pm = sim_chance(600) ? 0 : (unsigned)sim_below(300);
  f->latency_least_ns = sim_between(50000, 20000000);
  f->latency_most_ns = f->latency_least_ns + (sim_chance(300) ? sim_below(2000000000) : sim_below(50000000));
  f->byte_ns = sim_between(1, 20000);
  for (uint64_t n = sim_chance(500) ? sim_below(5) : 0; n > 0; n--) {
    uint64_t a = sim_below(parties), b = sim_below(parties);
    f->blocked[a][b] = true;
    if (sim_chance(600)) f->blocked[b][a] = true;
  }
}

static void change_disk(struct node *n) {
  struct disk_faults *f = disk_faults(n->disk);
  memset(f->fail_pm, 0, sizeof f->fail_pm);
  f->full = false;
  if (sim_chance(500)) return;
  if (sim_chance(400)) {
    f->full = true;
    return;
  }
  for (int i = 0; i < CALLS; i++)
    if (sim_chance(300)) f->fail_pm[i] = (unsigned)sim_between(1, i == CALL_READ ? 10 : 200);
}

static void arm_crash(struct node *n) {
  struct disk_faults *f = disk_faults(n->disk);
  f->crash_after = sim_between(1, 40);
  f->crash_by_kill = sim_chance(250);
}

static void set_wall(struct node *n, int64_t off_s) {
  seen_count("node wall clock jumped");
  n->wall_off_s = off_s;
  n->jumped = true;
  sim_trace("wall", (uint64_t)n->index, (uint64_t)off_s, 0);
}

static void jump_wall(struct node *n) {
  if (sim_chance(500)) set_wall(n, 0);
  else set_wall(n, ((int64_t)sim_below(121) - 60) * DAY_S + (int64_t)sim_below(600) - 300);
}

static void command(struct node *n) {
  static const char *const commands[] = {"retransfer", "notify", "reload"};
  uint64_t what = sim_below(3);
  if (n->index == 0) return;
  node_command(n, commands[what], zone_texts[sim_below(ZONES)]);
}

static void act(void) {
  uint64_t what = sim_below(1000);
  struct node *n = &nodes[sim_below(NODES)];
  if (what < 450) client_act();
  else if (what < 550) edit_and_reload(900);
  else if (what < 700) odd_act();
  else if (what < 780) change_network();
  else if (what < 830) arm_crash(n);
  else if (what < 850) node_crash(n, sim_chance(300));
  else if (what < 870) node_stop(n);
  else if (what < 920) change_disk(n);
  else if (what < 950) jump_wall(n);
  else command(n);
}

/* ---- quiet ---- */

static void mend_network(void) {
  net_faults = (struct net_faults){.latency_least_ns = 200000, .latency_most_ns = 5000000, .byte_ns = 100};
}

static void end_faults(void) {
  plan.quiet = true;
  mend_network();
  for (int i = 0; i < NODES; i++) {
    struct disk_faults *f = disk_faults(nodes[i].disk);
    *f = (struct disk_faults){0};
    if (nodes[i].wall_off_s) set_wall(&nodes[i], 0);
    if (nodes[i].up && nodes[i].io_failed) node_stop(&nodes[i]); /* "repair it and restart" */
    if (!nodes[i].up) node_start(&nodes[i]);
    MUST(nodes[i].up);
  }
  odd_behave();
}

static void must_become(double seconds, bool (*equal)(void), const char *what) {
  double begun = (double)sim_now_ns();
  if (!sim_run_until(seconds, equal)) sim_fail("%s: not all servers are equal after %.1f s", what, seconds);
  sim_say("%s: equal after %.3f s", what, ((double)sim_now_ns() - begun) / (double)NS_PER_S);
}

static void must_become_equal(double seconds, const char *what) {
  must_become(seconds, check_all_equal, what);
}

/* A NOTIFY comes once. Whatever becomes of what follows it: what it told of is there soon after the network is good again, and not
 * when the SOA's timers say so. */
static void tell_in_trouble(void) {
  net_break_streams(300);
  net_faults.spares_notify = net_faults.brisk = true;
  net_faults.loss_pm = 600;
  net_faults.reset_pm = 300;
  edit_and_reload(1000);
  client_act();
  odd_tell();
  sim_run_s((double)sim_between(0, TROUBLE_MS) / 1000.0);
  net_break_streams(300);
  mend_network();
  net_faults.brisk = true;
  must_become(TOLD_BOUND_MS / 1000.0, check_first_equal, "what NOTIFYs told of while little else got through");
  must_become(TOLD_BOUND_MS / 1000.0, check_all_equal, "what NOTIFYs told of behind that");
}

static void restart_all(void) {
  for (int i = 0; i < NODES; i++) {
    node_stop(&nodes[i]);
    node_start(&nodes[i]);
  }
  if (!check_all_equal()) sim_fail("a restart has changed what is served");
}

void plan_run(const char *root) {
  root_directory = root;
  plan.edit = 0;
  plan.quiet = false;
  first_files();
  for (int i = 0; i < NODES; i++)
    node_start(&nodes[i]);
  must_become_equal(BOUND_S, "the start");
  sim_later(0, supervise, NULL, 0);
  double until = (double)sim_now_ns() / (double)NS_PER_S + (double)sim_between(20, 160);
  while ((double)sim_now_ns() / (double)NS_PER_S < until) {
    act();
    sim_run_s((double)sim_between(0, sim_chance(100) ? 5000 : 600) / 1000.0);
  }
  end_faults();
  must_become_equal(BOUND_S, "faults are over");
  sim_run_s(2 * RETRY_MAX_S + 60); /* what could not be kept is tried again at least once a minute */
  must_become_equal(1, "it is quiet");
  check_quiet();
  for (int i = 0; i < 6; i++) { /* close together: while one is transferred, the next is told of */
    edit_and_reload(1000);
    client_act();
    sim_run_s(0.003);
  }
  sim_run_s(NOTIFY_BOUND_S);
  must_become_equal(0, "changes and their NOTIFYs");
  for (int i = 0; i < TROUBLES && !node_images_are_large(); i++)
    tell_in_trouble();
  restart_all();
  check_quiet();
}
