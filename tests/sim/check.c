/* What must hold after every event, and at every call to a disk, as if a reader looked just then:
 *
 *   - whatever a server serves was committed by a primary, by digest of its content
 *   - no serial goes back, but for what was served "not durable" and is lost with a crash, for what was transferred and shown
 * before its sync and is lost with the power, or by a zone that had expired
 *   - nobody is told of what was only shown
 *   - what was acknowledged is there, from then on and after every crash
 *   - what was served as durable is there after every crash
 *   - a change is there whole or not at all
 *   - what others ask for, and how they go, takes few sockets, and no transfer outlives its stream
 *   - no zone is served for longer than its expiry, nor for shorter because a clock jumped (check_timers.c) */
#include "base/serial.h"
#include "control/control_priv.h"
#include "disk.h"
#include "sim.h"
#include "tandem/stream.h"
#include "wire/message.h"
#include "zone/canonical.h"
#include "zone/delta.h"

#include <stdlib.h>
#include <string.h>

enum { VERSIONS = 8192, NUMBERS = 8192, GHOST_PM = 40, SOCKETS_MOST = 40 };

const char *const zone_texts[ZONES] = {"f.example", "u.example", "x.example"};

struct content { /* what stands in a version */
  struct digest128 digest;
  uint32_t serial;
  unsigned edit;           /* of ZONE_F */
  uint8_t halves[NUMBERS]; /* of ZONE_U, by number: 1 the text, 2 the address */
};

struct version {
  uint32_t serial;
  struct digest128 digest;
};

struct served {                 /* by one server, of one zone */
  const struct zone_snap *snap; /* one reference; NULL: nothing */
  bool any, durable_any, ready;
  bool was_expired; /* since the last version: then it takes any other */
  bool forced;      /* `retransfer` was said, and takes whatever there is; until the zone rests */
  bool written_any; /* it was shown once it was in the log, which a kill leaves as it is */
  uint32_t serial, durable_serial, written_serial;
};

static struct {
  struct name names[ZONES];
  uint8_t keys[ZONES][NAME_KEY_BYTES];
  size_t key_sizes[ZONES];
  struct version versions[ZONES][VERSIONS];
  size_t version_count[ZONES];
  struct served served[NODES][ZONES];
  bool added[NUMBERS], removing[NUMBERS], removed[NUMBERS]; /* acknowledged; asked for; acknowledged */
  bool sent[NUMBERS];
  unsigned edit_acknowledged, edit_served;
  struct content content; /* of the version at hand */
} model;

void check_begin(void) {
  check_timers_begin();
  memset(&model, 0, sizeof model);
  for (int z = 0; z < ZONES; z++) {
    MUST(name_from_text(zone_texts[z], strlen(zone_texts[z]), &name_root, &model.names[z], NULL, NULL) == ERR_OK);
    model.key_sizes[z] = name_key(&model.names[z], model.keys[z]);
  }
}

void check_end(void) {
  for (int n = 0; n < NODES; n++)
    for (int z = 0; z < ZONES; z++)
      zone_snap_unref(model.served[n][z].snap);
}

/* ---- content ---- */

/* A label such as "t12", in front of the apex. */
static bool numbered(const uint8_t *owner, char letter, unsigned *number) {
  if (owner[0] < 2 || owner[1] != letter) return false;
  *number = 0;
  for (int i = 2; i <= owner[0]; i++) {
    if (owner[i] < '0' || owner[i] > '9') return false;
    *number = *number * 10 + (owner[i] - '0');
  }
  return *number < NUMBERS;
}

static enum err take_record(void *arg, const uint8_t *bytes, size_t n) {
  struct content *c = arg;
  unsigned number;
  c->digest = (struct digest128){hash64(bytes, n, c->digest.low), hash64(bytes, n, ~c->digest.high)};
  if (numbered(bytes, 't', &number)) c->halves[number] |= 1;
  if (numbered(bytes, 'p', &number)) c->halves[number] |= 2;
  if (numbered(bytes, 'e', &number)) c->edit = number;
  return ERR_OK;
}

static void read_content(const struct zone_snap *snap, struct content *c) {
  memset(c, 0, sizeof *c);
  c->serial = zone_serial(snap);
  MUST(zone_canonical_walk(snap, take_record, c) == ERR_OK);
}

/* ---- versions that primaries have ---- */

static bool same_digest(struct digest128 a, struct digest128 b) {
  return a.low == b.low && a.high == b.high;
}

static bool is_committed(enum zone_number z, const struct content *c) {
  for (size_t i = model.version_count[z]; i > 0; i--) {
    const struct version *v = &model.versions[z][i - 1];
    if (v->serial == c->serial && same_digest(v->digest, c->digest)) return true;
  }
  return false;
}

static void add_version(enum zone_number z, const struct content *c) {
  for (size_t i = 0; i < model.version_count[z]; i++) {
    const struct version *v = &model.versions[z][i];
    if (v->serial == c->serial && !same_digest(v->digest, c->digest))
      sim_fail("%s: two contents with serial %u", zone_texts[z], c->serial);
  }
  MUST(model.version_count[z] < VERSIONS);
  model.versions[z][model.version_count[z]++] = (struct version){c->serial, c->digest};
}

void check_commit(enum zone_number z, const struct zone_snap *snap) {
  read_content(snap, &model.content);
  add_version(z, &model.content);
}

void check_answered_serial(enum zone_number z, uint32_t serial) {
  seen_count("query answered");
  for (size_t i = 0; i < model.version_count[z]; i++)
    if (model.versions[z][i].serial == serial) return;
  sim_fail("%s: a query was answered with serial %u, which no primary ever had", zone_texts[z], serial);
}

/* ---- acknowledged changes ---- */

void check_sent(unsigned number, bool removal) {
  if (removal) model.removing[number] = true;
  model.sent[number] = true;
}

/* Whether an acknowledged change is missing from a version of the primary. */
static void check_model(enum zone_number z, const struct content *c, const char *when) {
  for (unsigned i = 0; z == ZONE_U && i < NUMBERS; i++) {
    if (c->halves[i] && !model.sent[i]) sim_fail("update %u %s, and was never sent", i, when);
    if (model.added[i] && !model.removing[i] && !c->halves[i]) sim_fail("update %u was acknowledged and is not there %s", i, when);
    if (model.removed[i] && c->halves[i]) sim_fail("the removal of %u was acknowledged and it is there %s", i, when);
  }
  if (z != ZONE_F) return;
  if (c->edit < model.edit_acknowledged)
    sim_fail("reload of edit %u was acknowledged, and edit %u is served %s", model.edit_acknowledged, c->edit, when);
  if (c->edit < model.edit_served) sim_fail("edit %u was served, and edit %u is served %s", model.edit_served, c->edit, when);
}

static void check_primary_now(enum zone_number z, const char *when) {
  const struct served *s = &model.served[0][z];
  if (!nodes[0].up || !s->snap || !s->ready) return;
  read_content(s->snap, &model.content);
  check_model(z, &model.content, when);
}

static void check_synced(struct node *n);

void check_acknowledged(unsigned number, bool removal) {
  sim_say("acknowledged %s %u", removal ? "removal of" : "update", number);
  if (removal) model.removed[number] = true;
  else model.added[number] = true;
  check_primary_now(ZONE_U, "when it is acknowledged");
  if (node_serves(&nodes[0]) && sim_chance(GHOST_PM)) check_synced(&nodes[0]);
}

void check_reloaded(unsigned edit, bool acknowledged) {
  if (!acknowledged) return;
  if (edit > model.edit_acknowledged) model.edit_acknowledged = edit;
  check_observe(&nodes[0]);
  check_primary_now(ZONE_F, "when its reload is acknowledged");
}

bool check_in_memory(enum zone_number z) {
  const struct served *s = &model.served[0][z];
  return s->any && !(s->durable_any && s->durable_serial == s->serial);
}

/* ---- what is served ---- */

static void check_order(const struct node *n, enum zone_number z, struct served *s, const struct content *c) {
  if (!s->any || !serial_gt(s->serial, c->serial)) return;
  bool durable = s->durable_any && serial_gt(s->durable_serial, c->serial);
  bool lost = !durable && !(s->written_any && serial_gt(s->written_serial, c->serial));
  if (!lost && !s->was_expired && !s->forced)
    sim_fail("%s: %s goes back from serial %u to %u, and serial %u was %s", n->name, zone_texts[z], s->serial, c->serial,
             durable ? s->durable_serial : s->written_serial, durable ? "durable" : "in the log");
  seen_count("went back as the log said");
}

static void check_halves(const struct node *n, const struct content *c) {
  for (unsigned i = 0; i < NUMBERS; i++)
    if (c->halves[i] == 1 || c->halves[i] == 2) sim_fail("%s serves half of update %u", n->name, i);
}

static void check_version(struct node *n, enum zone_number z, struct served *s, const struct zone_slot *slot) {
  struct content *c = &model.content;
  read_content(s->snap, c);
  sim_trace("served", (uint64_t)n->index << 8 | z, c->serial, c->digest.low);
  bool primary = n->index == 0;
  if (primary && !is_committed(z, c)) {
    check_model(z, c, "in a new version");
    add_version(z, c);
    if (c->edit > model.edit_served && slot->durable) model.edit_served = c->edit;
  } else if (primary) {
    check_model(z, c, "in a version of before");
  } else if (!is_committed(z, c)) {
    sim_fail("%s serves serial %u of %s with content that no primary ever had", n->name, c->serial, zone_texts[z]);
  }
  check_halves(n, c);
  check_order(n, z, s, c);
  s->any = true;
  s->was_expired = false;
  s->serial = c->serial;
}

/* Readers have it, and all others are told later. */
static void note_shown(const struct node *n, enum zone_number z, struct served *s, const struct zone_slot *slot) {
  if (!slot->shown || slot->shown != s->snap) return;
  seen_count("shown before it is durable");
  if (n->index == 0) sim_fail("%s: %s is shown before it is durable, and nobody else has it", n->name, zone_texts[z]);
}

static void note_durable(struct served *s, const struct zone_slot *slot) {
  if (slot->snap == s->snap) s->written_any = false; /* it was kept, or is called not durable */
  if (!slot->durable || slot->snap != s->snap) return;
  uint32_t serial = zone_serial(s->snap);
  if (s->durable_any && s->durable_serial == serial) return;
  s->durable_any = true;
  s->durable_serial = serial;
}

static void check_expiry(const struct node *n, enum zone_number z, struct served *s, const struct zone_slot *slot) {
  if (s->ready && slot->expires_mono_ns && sim_now_ns() > slot->expires_mono_ns + NS_PER_S)
    sim_fail("%s: %s should have expired %llu s ago", n->name, zone_texts[z],
             (unsigned long long)((sim_now_ns() - slot->expires_mono_ns) / NS_PER_S));
}

void check_observe(struct node *n) {
  if (!n->control || n->dying) return;
  for (int z = 0; z < ZONES; z++) {
    struct served *s = &model.served[n->index][z];
    zone_read_begin();
    const struct zone_entry *e = zone_set_exact(control_zones(n->control), model.keys[z], model.key_sizes[z]);
    const struct zone_slot *slot = registry_find(&n->control->registry, model.names[z].octets, model.names[z].size);
    s->ready = e && e->state == ZONE_READY;
    if (e && e->state == ZONE_EXPIRED) s->was_expired = true;
    if (s->ready && slot && e->snap != s->snap) {
      zone_snap_unref(s->snap);
      s->snap = zone_snap_ref(e->snap);
      check_version(n, (enum zone_number)z, s, slot);
    }
    if (s->ready && slot) note_shown(n, (enum zone_number)z, s, slot);
    if (s->ready && slot) note_durable(s, slot);
    if (slot && s->ready && !slot->durable) seen_count("served but not durable");
    if (slot) check_expiry(n, (enum zone_number)z, s, slot);
    struct secondary_status status;
    if (s->forced && slot && secondary_status(n->control->secondaries, slot->id, &status) && status.phase == SECONDARY_IDLE)
      s->forced = false;
    zone_read_end();
  }
}

/* One that was not shown before is of the batch that is in the log now. */
void check_written(struct node *n) {
  const struct zone_snap *before[ZONES];
  for (int z = 0; z < ZONES; z++)
    before[z] = model.served[n->index][z].snap;
  check_observe(n);
  for (int z = 0; z < ZONES; z++) {
    struct served *s = &model.served[n->index][z];
    const struct zone_slot *slot = registry_find(&n->control->registry, model.names[z].octets, model.names[z].size);
    if (n->dying || s->snap == before[z] || !slot || slot->shown != s->snap) continue;
    s->written_any = true;
    s->written_serial = zone_serial(s->snap);
  }
}

/* ---- what is kept for others ---- */

/* A transfer ends with its stream, and sockets with what they were opened for, whatever the other side does. */
void check_bounds(const struct node *n) {
  unsigned counted = n->streamer->transfers, running = net_transfers(n), sockets = net_sockets(n);
  if (counted != running) sim_fail("%s: %u transfers out are counted, %u are running", n->name, counted, running);
  if (sockets > SOCKETS_MOST) sim_fail("%s: %u sockets are open", n->name, sockets);
}

/* ---- coming and going ---- */

void check_power_lost(const struct node *n) {
  for (int z = 0; z < ZONES; z++)
    model.served[n->index][z].written_any = false;
}

void check_node_down(struct node *n) {
  for (int z = 0; z < ZONES; z++) {
    struct served *s = &model.served[n->index][z];
    zone_snap_unref(s->snap);
    s->snap = NULL;
    s->ready = false;
  }
}

enum zone_number check_zone(const struct zone_slot *z) {
  struct name name;
  slot_name(z, &name);
  for (int i = 0; i < ZONES; i++)
    if (name_equal(&name, &model.names[i])) return (enum zone_number)i;
  sim_fail("a zone of no name");
}

void check_node_started(struct node *n) {
  check_timers_started(n);
  check_observe(n);
  for (int z = 0; z < ZONES; z++) {
    struct served *s = &model.served[n->index][z];
    if (!s->durable_any || s->was_expired || n->io_failed) continue; /* what can't be read now is not lost */
    if (!s->ready && !s->was_expired) sim_fail("%s: %s was durable and is not there after a start", n->name, zone_texts[z]);
    seen_count("replayed as it was");
  }
}

void check_logged(struct node *n, enum log_event event, const struct log_field *fields) {
  if (event == EV_CONTROL_COMMAND && strcmp(fields[0].text, "retransfer") == 0) {
    for (int z = 0; z < ZONES; z++)
      if (strcmp(fields[1].text, zone_texts[z]) == 0) model.served[n->index][z].forced = true;
  }
  if (event == EV_STORE_DAMAGED && !n->io_failed)
    sim_fail("%s: the store is damaged: %s", n->name, fields[1].text ? fields[1].text : "");
}

/* ---- the store alone ---- */

static enum err replay_change(void *arg, const struct store_change *change) {
  struct zone_snap **snap = arg, *next;
  if (change->kind != STORE_DELTA) return ERR_CORRUPT;
  enum err e = zone_delta_apply(*snap, change->body, change->body_size, &next);
  if (e) return e;
  zone_snap_unref(*snap);
  *snap = next;
  return ERR_OK;
}

struct replay {
  struct node *node;
  struct store *store;
};

static bool replay_zone(void *arg, const struct store_zone *row) {
  struct replay *r = arg;
  struct zone_slot *slot = registry_find(&r->node->control->registry, row->name, row->name_size);
  struct store_error why = {""};
  struct zone_snap *snap;
  if (!slot || !slot->durable || row->state != STORE_ZONE_LIVE || !row->image.segment) return true;
  enum err e = store_open_image(r->store, &row->image, &snap, &why);
  if (!e) e = store_each_change(r->store, row->id, row->head, row->image.version, replay_change, &snap, &why);
  if (e) sim_fail("%s: what is synced can't be replayed: %s", r->node->name, why.what);
  /* A change whose commit failed so that nobody knows of it may be there after a restart. */
  bool unknown = r->node->control->store->uncertain && serial_gt(zone_serial(snap), zone_serial(slot->snap));
  if (!unknown && !zone_equal(snap, slot->snap))
    sim_fail("%s: memory has serial %u, the synced log replays to serial %u", r->node->name, zone_serial(slot->snap),
             zone_serial(snap));
  zone_snap_unref(snap);
  return true;
}

/* Opens what would be left if power were lost now, and compares with what is served. */
static void check_synced(struct node *n) {
  struct disk *ghost = disk_image(n->disk, true);
  struct store_error why = {""};
  struct node *before = at_node;
  struct replay r = {.node = n};
  disk_use(ghost);
  at_node = n;
  if (disk_open_store(ghost, &r.store, &why)) sim_fail("%s: what is synced can't be opened: %s", n->name, why.what);
  if (store_each_zone(r.store, replay_zone, &r, &why)) sim_fail("%s: what is synced can't be read: %s", n->name, why.what);
  store_close(r.store);
  grace_run();
  at_node = before;
  disk_use(NULL);
  disk_free(ghost);
}

void check_told(struct node *n, const uint8_t *bytes, size_t size) {
  struct message m;
  struct rd body;
  struct name name;
  uint16_t type, class;
  struct message_rr soa;
  MUST(!message_open(bytes, size, &m, &body) && !message_question(&m, &body, &name, &type, &class) && !message_rr(&m, &body, &soa));
  const struct zone_slot *slot = registry_find(&n->control->registry, name.octets, name.size);
  uint32_t serial = get_u32(soa.rdata.end - 20);
  MUST(slot);
  if (slot->shown && serial == zone_serial(slot->shown) && serial != zone_serial(slot->snap))
    sim_fail("%s tells others of serial %u of %s while it is only shown", n->name, serial, zone_texts[check_zone(slot)]);
  if (node_serves(n) && sim_chance(GHOST_PM)) check_synced(n);
}

/* ---- the end ---- */

/* Of our primaries the highest: a change of which nobody knew may be found after a newer version. */
static const struct version *newest(int z) {
  const struct version *found = NULL;
  for (size_t i = 0; i < model.version_count[z]; i++) {
    const struct version *v = &model.versions[z][i];
    if (!found || z == ZONE_X || serial_gt(v->serial, found->serial)) found = v;
  }
  return found;
}

static bool are_equal(int count) {
  for (int z = 0; z < ZONES; z++) {
    const struct version *last = newest(z);
    for (int n = z == ZONE_X ? 1 : 0; n < count; n++) {
      const struct served *s = &model.served[n][z];
      if (!node_serves(&nodes[n]) || !s->ready || !last || zone_serial(s->snap) != last->serial) return false;
    }
  }
  return true;
}

bool check_first_equal(void) {
  return are_equal(2);
}

bool check_all_equal(void) {
  return are_equal(NODES);
}

void check_quiet(void) {
  for (int n = 0; n < NODES; n++) {
    struct zone_slot *slot;
    MUST(node_serves(&nodes[n]));
    for (size_t i = 0; (slot = registry_next(&nodes[n].control->registry, &i));) {
      char text[NAME_TEXT_BYTES];
      if (!slot->durable)
        sim_fail("%s: %s is not durable, though its disk is good again", nodes[n].name, slot_name_text(slot, text));
    }
    check_synced(&nodes[n]);
  }
  check_primary_now(ZONE_U, "in the end");
  check_primary_now(ZONE_F, "in the end");
}
