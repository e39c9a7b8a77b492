/* One server: its parts wired as tandem/serve.c does, without threads and sockets. */
#include "control/control_priv.h"
#include "disk.h"
#include "io/udp_worker.h"
#include "sim.h"
#include "tandem/note_queue.h"
#include "tandem/stream.h"
#include "tandem/update_queue.h"
#include "tandem/worker.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { WAKE_NS = 20000, TURNS_MOST = 100000 };

#define EPOCH_S INT64_C(1790000000)

struct node nodes[NODES];
struct node *at_node;
static const char *root;
static uint64_t turns_at_ns, turns;

/* ---- time ---- */

struct instant node_now(const struct node *n) {
  return (struct instant){sim_now_ns(), EPOCH_S + (int64_t)(sim_now_ns() / NS_PER_S) + n->wall_off_s};
}

bool node_serves(const struct node *n) {
  return n->up && n->started && !n->dying;
}

/* ---- what it is told ---- */

static bool reconfigure(void *arg, const struct config *old_config, const struct config *new_config, struct buf *why) {
  return true;
}

static void stop(void *arg) {
}

static void reply(void *arg, uint64_t token, const char *json, size_t n) {
  struct node *node = arg;
  if (node->dying) return;
  bool ok = strstr(json, "\"ok\":true") != NULL;
  sim_say("%s command %llu: %.*s", node->name, (unsigned long long)token, (int)n, json);
  sim_trace("reply", (uint64_t)node->index, token, ok);
  if (node->index == 0 && token) check_reloaded((unsigned)token, ok);
}

static void server_status(void *arg, struct buf *json_members) {
  buf_add_text(json_members, "\"queries\":0");
}

static void updated(void *arg, struct control_update *u, const uint8_t *bytes, size_t n) {
  struct node *node = arg;
  update_queue_answer(node->updates, u, (struct stream_server *)node, bytes, n);
}

static void updates_wanted(void *arg, struct instant now) {
  struct node *n = arg;
  for (struct control_update *u; (u = update_queue_take(n->updates));)
    control_update(n->control, u, now);
}

static void updates_told(void *arg) {
  update_queue_send(((struct node *)arg)->updates);
}

/* ---- images: what a thread does is one event, some time later, and its end another ---- */

enum { IMAGE_MOST_MS = 350 }; /* twice a job, and some of each zone within the time that a change may take */

static bool image_goes_on(void *arg, uint64_t bytes) {
  return true;
}

static void image_done(void *arg, uint64_t life) {
  struct node *n = arg;
  if (!node_serves(n) || n->lives != life || !n->image) return;
  n->image = NULL;
  node_enter(n);
  control_image_done(n->control, node_now(n));
  node_leave(n);
}

static void image_run(void *arg, uint64_t life) {
  struct node *n = arg;
  const struct store_watch watch = {NULL, image_goes_on};
  if (!node_serves(n) || n->lives != life || !n->image) return;
  node_enter(n);
  control_image_run(n->image, &watch);
  node_leave(n);
  sim_later(sim_below(IMAGE_MOST_MS) * NS_PER_MS, image_done, n, life);
}

static bool image(void *arg, struct image_job *job) {
  struct node *n = arg;
  MUST(!n->image);
  if (n->dying || sim_chance(20)) return false;
  n->image = job;
  seen_count("node image written aside");
  sim_later(sim_below(IMAGE_MOST_MS) * NS_PER_MS, image_run, n, n->lives);
  return true;
}

/* It was asked to end: either it had done its work already, or it has done nothing. */
static void image_join(void *arg) {
  ((struct node *)arg)->image = NULL;
}

/* Small zones are large ones here, with so many seeds; those of seeds.txt are others. */
bool node_images_are_large(void) {
  return sim_seed() % 5 == 3 || sim_seed() % 7 == 6;
}

static void choose_images(struct node *n) {
  struct images *i = &n->control->images;
  if (!node_images_are_large()) return;
  if (sim_chance(500)) i->least_bytes = 0;
  if (sim_chance(500)) i->tail_bytes = sim_below(2000);
  if (sim_chance(500)) i->whole_bytes = 0;
  if (sim_chance(500)) secondaries_build_from(n->control->secondaries, 1 + sim_below(8));
}

/* ---- turns ---- */

void node_enter(struct node *n) {
  MUST(!at_node);
  at_node = n;
}

static void take_notes(struct node *n, struct instant now) {
  struct note note;
  updates_wanted(n, now);
  while (note_queue_take(n->notes, &note))
    if (note.kind == NOTE_NOTIFY) control_notified(n->control, &note.name, &note.from, note.serial_known, note.serial, now);
}

static void put_down(struct node *n);

static void wake(void *arg, uint64_t life) {
  struct node *n = arg;
  if (!node_serves(n) || n->lives != life) return;
  node_enter(n);
  take_notes(n, node_now(n));
  node_leave(n);
}

void node_leave(struct node *n) {
  if (n->woken && !n->dying) sim_later(WAKE_NS, wake, n, n->lives);
  n->woken = false;
  grace_run();
  if (!n->dying && n->started) {
    check_observe(n);
    check_bounds(n);
    seen_node(n);
  }
  if (n->dying) put_down(n);
  at_node = NULL;
}

uint64_t nodes_deadline(void) {
  uint64_t at = UINT64_MAX;
  for (int i = 0; i < NODES; i++) {
    uint64_t due = node_serves(&nodes[i]) ? control_deadline(nodes[i].control) : UINT64_MAX;
    if (due < at) at = due;
  }
  return at;
}

void node_run_due(void) {
  turns = turns_at_ns == sim_now_ns() ? turns + 1 : 0;
  turns_at_ns = sim_now_ns();
  if (turns > TURNS_MOST) sim_fail("a server turns in circles: its deadline is never met");
  for (int i = 0; i < NODES; i++) {
    struct node *n = &nodes[i];
    if (!node_serves(n) || control_deadline(n->control) > sim_now_ns()) continue;
    node_enter(n);
    control_run(n->control, node_now(n));
    node_leave(n);
  }
}

void node_datagram(struct node *n, const struct addr *from, const uint8_t *bytes, size_t size) {
  struct sockaddr_storage sa;
  addr_to_sockaddr(from, &sa);
  struct udp_packet p = {.bytes = bytes,
                         .size = (uint32_t)size,
                         .from = (struct sockaddr *)&sa,
                         .out = n->udp_room,
                         .socket = (const struct udp_socket *)n};
  struct udp_handler h = worker_handler(n->worker);
  node_enter(n);
  h.handle(h.arg, &p, 1);
  if (p.out_size && !n->dying) {
    struct addr self = party_addr(n->index);
    net_datagram(&self, from, n->udp_room, p.out_size);
  }
  node_leave(n);
}

static void tell(struct node *n, uint64_t token, const char *command, const char *zone) {
  char json[128];
  struct pieces line = {0};
  snprintf(json, sizeof json, "{\"command\":\"%s\",\"zone\":\"%s\"}", command, zone);
  MUST(pieces_add(&line, json, strlen(json)) == ERR_OK);
  node_enter(n);
  control_command(n->control, token, "sim", &line, node_now(n));
  node_leave(n);
}

void node_command(struct node *n, const char *command, const char *zone) {
  static uint64_t token = 1000000;
  if (!node_serves(n)) return;
  sim_trace(command, (uint64_t)n->index, 0, 0);
  tell(n, n->index ? ++token : 0, command, zone);
}

void node_reload(struct node *n, const char *zone, uint64_t token) {
  tell(n, token, "reload", zone);
}

/* ---- coming ---- */

static enum err start_control(struct node *n) {
  struct store *store = NULL;
  struct store_error error = {""};
  struct diags diags = {0};
  struct config *config = NULL;
  struct control_events events = {.arg = n,
                                  .reconfigure = reconfigure,
                                  .stop = stop,
                                  .reply = reply,
                                  .server_status = server_status,
                                  .image = image,
                                  .image_join = image_join,
                                  .updated = updated,
                                  .updates_wanted = updates_wanted,
                                  .updates_told = updates_told};
  struct xfr_net net = net_of_node(n);
  enum err e = disk_open_store(n->disk, &store, &error);
  if (e) {
    sim_say("%s does not start: %s", n->name, error.what);
    if (e == ERR_CORRUPT || e == ERR_VERSION) sim_fail("%s: the store can't be opened: %s", n->name, error.what);
    return e;
  }
  store_timers_boot(store, n->boots);
  e = config_load(n->config_path, &diags, &config);
  if (e) sim_fail("configuration: %s", diags.count ? diags.list[0].what : err_text(e));
  diags_done(&diags);
  e = control_new(config, n->config_path, store, &net, &events, &n->control);
  config_free(config);
  if (e) {
    store_close(store);
    return e;
  }
  choose_images(n);
  return control_start(n->control, node_now(n));
}

static void let_go(struct node *n, bool silently);

void node_start(struct node *n) {
  if (n->up) return;
  n->lives++;
  n->up = true;
  n->dying = n->woken = n->started = n->io_failed = false;
  n->image = NULL;
  sim_trace("start", (uint64_t)n->index, n->lives, 0);
  node_enter(n);
  struct loop *loop = (struct loop *)n;
  enum err e = update_queue_new(&n->updates);
  if (!e) e = note_queue_new(&n->notes);
  if (!e) e = start_control(n);
  if (!e) e = worker_new(n->control, n->notes, n->updates, loop, &n->worker);
  if (!e) e = streamer_new(n->control, n->notes, n->updates, loop, &n->streamer);
  if (e || n->dying) {
    seen_count(n->dying ? "node crashed while starting" : "node could not start");
    if (n->dying) put_down(n);
    else let_go(n, true);
    at_node = NULL;
    return;
  }
  check_observe(n); /* what it starts with is no news */
  n->started = true;
  seen_count("node started");
  check_node_started(n);
  node_leave(n);
}

/* ---- going ---- */

/* As tandem/serve.c ends: readers first. What still is answered by one that crashed is seen by nobody. */
static void let_go(struct node *n, bool silently) {
  if (n->updates) update_queue_close(n->updates);
  if (n->control) {
    take_notes(n, node_now(n));
    control_updates_settle(n->control, node_now(n));
  }
  net_node_down(n, silently);
  if (n->started) check_node_down(n);
  if (n->started) check_timers_look(n);
  struct control *control = n->control;
  n->control = NULL; /* no reader looks any more */
  control_free(control);
  streamer_free(n->streamer);
  worker_free(n->worker);
  note_queue_free(n->notes);
  update_queue_free(n->updates);
  grace_run();
  n->streamer = NULL;
  n->worker = NULL;
  n->notes = NULL;
  n->updates = NULL;
  n->up = n->started = false;
}

static void put_down(struct node *n) {
  seen_count(n->by_kill ? "node killed" : "node lost its power");
  sim_trace("crash", (uint64_t)n->index, n->by_kill, 0);
  let_go(n, !n->by_kill);
  n->boots += !n->by_kill;
  disk_crash(n->disk, n->by_kill);
  n->dying = false;
}

void node_stop(struct node *n) {
  if (!node_serves(n)) return;
  sim_trace("stop", (uint64_t)n->index, 0, 0);
  node_enter(n);
  let_go(n, false);
  if (n->dying) { /* in the middle of it */
    n->boots += !n->by_kill;
    disk_crash(n->disk, n->by_kill);
    n->dying = false;
  } else {
    disk_crash(n->disk, true);
    seen_count("node stopped cleanly");
  }
  at_node = NULL;
}

void node_crash(struct node *n, bool by_kill) {
  if (!node_serves(n)) return;
  node_enter(n);
  n->by_kill = by_kill;
  n->dying = true;
  node_leave(n);
}

/* ---- all ---- */

static void write_config(struct node *n) {
  static const char *const own[NODES] = {
      "  - {name: f.example, role: primary, file: f.zone}\n"
      "  - {name: u.example, role: primary, file: u.zone, update: [upd.example.]}\n",
      "  - {name: f.example, role: secondary, primaries: [n0]}\n"
      "  - {name: u.example, role: secondary, primaries: [n0], update: [upd.example.]}\n"
      "  - {name: x.example, role: secondary, primaries: [odd]}\n",
      "  - {name: f.example, role: secondary, primaries: [n1]}\n"
      "  - {name: u.example, role: secondary, primaries: [n1, n0]}\n"
      "  - {name: x.example, role: secondary, primaries: [odd, n1]}\n",
  };
  static const char *const secondaries[NODES] = {"n1, n2", "n2", ""};
  const char *odd = asker_is_here() && n->index < 2 ? ", asker" : "";
  struct buf text = {0};
  buf_add_text(&text, "server: {listen: ['127.0.0.1@5300'], state: state}\n"
                      "keys:\n  - {name: xfr.example., secret: c2ltLXhmci1zZWNyZXQ=}\n"
                      "  - {name: upd.example., secret: c2ltLXVwZC1zZWNyZXQ=}\npeers:\n");
  for (int i = 0; i < NODES; i++)
    buf_printf(&text, "  - {name: n%d, address: '192.0.2.%d@53', key: xfr.example.}\n", i, i + 1);
  buf_printf(&text, "  - {name: odd, address: '192.0.2.%d@53'%s}\n", PARTY_ODD + 1, odd_is_plain() ? "" : ", key: xfr.example.");
  buf_printf(&text, "  - {name: asker, address: '192.0.2.%d@53', key: xfr.example.}\n", PARTY_ASKER + 1);
  buf_printf(&text, "templates:\n  default: {refresh-max: %d, retry-max: %d, retry-min: 0.5, notify: [%s%s], transfer: [%s%s]}\n",
             REFRESH_S, RETRY_MAX_S, secondaries[n->index], odd, secondaries[n->index], odd);
  buf_printf(&text, "zones:\n%s", own[n->index]);
  FILE *f = fopen(n->config_path, "we");
  MUST(f && fputs(buf_text(&text), f) >= 0 && fclose(f) == 0);
  buf_done(&text);
}

void nodes_begin(const char *directory) {
  root = directory;
  for (int i = 0; i < NODES; i++) {
    struct node *n = &nodes[i];
    *n = (struct node){.index = i, .boots = 1};
    snprintf(n->name, sizeof n->name, "n%d", i % 10);
    n->udp_room = malloc(LIMIT_UDP_RESPONSE_BYTES);
    n->disk = disk_new(n, root);
    MUST(n->udp_room && n->disk);
    snprintf(n->config_path, sizeof n->config_path, "%s/n%d.yaml", root, i % 10);
    write_config(n);
  }
}

void nodes_end(void) {
  for (int i = 0; i < NODES; i++) {
    struct node *n = &nodes[i];
    if (n->up) {
      node_enter(n);
      let_go(n, true);
      at_node = NULL;
    }
    disk_free(n->disk);
    free(n->udp_room);
  }
}
