/* `rebuild ZONE --from ADDRESS`: the content of a primary zone comes back from a secondary, by the machine that our own secondary
 * zones transfer with. What it gives becomes a version like any other that comes as a whole (whole.h); a zone that is its file gets
 * the file, too. */
#include "control/commands_priv.h"
#include "control/serial.h"
#include "control/whole.h"
#include "control/zone_export.h"
#include "control/zone_load.h"

#include "base/serial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DNS_PORT = 53, TRANSFER_TIMEOUT_MS = 30 * 1000, TIMER_MS = 3600 * 1000, WHY_BYTES = 600 };

struct rebuild {
  struct whole whole; /* begins when all has come */
  struct rebuild *next;
  bool force, ended, dropped;
  struct xfr_primary primary;
  const struct zone_snap *came; /* one reference; NULL: nothing */
  struct store_error why;       /* nothing came, or nothing came of it */
  const char *path;             /* of the file; "": it has none */
  struct buf scratch;
  bool has_written;  /* the file: once, whatever serial the zone gets in the end */
  struct buf source; /* what of it is to be remembered; empty: it was not written */
};

static struct rebuild *find(const struct control *c, uint32_t zone_id) {
  for (struct rebuild *r = c->rebuilds; r; r = r->next)
    if (r->whole.zone_id == zone_id) return r;
  return NULL;
}

/* ---- what the machine tells ---- */

bool rebuild_transferred(struct control *c, uint32_t zone_id, struct zone_snap *snap) {
  struct rebuild *r = find(c, zone_id);
  if (!r) return false;
  zone_snap_unref(r->came);
  r->came = snap;
  r->ended = true;
  return true;
}

bool rebuild_settled(struct control *c, uint32_t zone_id) {
  struct rebuild *r = find(c, zone_id);
  struct secondary_status s;
  if (!r) return false;
  if (secondary_status(c->secondaries, zone_id, &s)) snprintf(r->why.what, sizeof r->why.what, "%.250s", s.last_error);
  r->ended = true;
  return true;
}

/* ---- the file ---- */

static bool add_piece(void *arg, const char *text, size_t n) {
  buf_add(arg, text, n);
  return true;
}

/* Whether the zone has a file, and nothing else may change it. */
static bool is_law(const struct zone_slot *z, const char *path) {
  return path[0] && !config_zone_has_writers(z->config->options);
}

static bool is_in_the_way(const struct zone_slot *z, const char *path, bool force) {
  return is_law(z, path) && !force && access(path, F_OK) == 0;
}

/* An old file is kept beside the new one. */
static enum err put_file(struct rebuild *r, const struct zone_snap *snap) {
  struct buf text = {0}, old = {0};
  enum err err = zone_export(snap, add_piece, &text);
  buf_printf(&old, "%s.before-rebuild", r->path);
  if (!err && (text.failed || old.failed)) err = ERR_MEMORY;
  if (!err && rename(r->path, buf_text(&old)) && errno != ENOENT) {
    snprintf(r->why.what, sizeof r->why.what, "%.150s can't be moved away: %s", r->path, strerror(errno));
    err = ERR_IO;
  }
  if (!err) err = store_restore_bytes(r->path, 0644, text.data, text.size, &r->why);
  r->has_written = !err;
  buf_done(&text);
  buf_done(&old);
  return err;
}

/* Writes the zone's file if it has to be, and says what of it is to be remembered. */
static enum err write_file(struct rebuild *r, const struct zone_snap *snap) {
  const struct zone_slot *z = &r->whole.zone;
  struct zone_load_options o = {.include_root = z->config->options->include_root};
  struct zone_loaded loaded = {0};
  struct diags diags = {0};
  if (!r->path[0] || (access(r->path, F_OK) == 0 && !(is_law(z, r->path) && r->force))) return ERR_OK;
  enum err err = put_file(r, snap);
  if (err) return err;
  err = zone_load_file(r->path, &r->whole.name, &o, &diags, &loaded);
  if (!err) {
    err = source_encode(&loaded, r->whole.now, &r->source);
  } else if (err != ERR_MEMORY) { /* the next reload says the same */
    snprintf(r->why.what, sizeof r->why.what, "%.100s was written, but is refused as a zone file: %.100s", r->path,
             diags.count ? diags.list[0].what : err_text(err));
  }
  zone_loaded_done(&loaded);
  diags_done(&diags);
  return err;
}

/* ---- the work ---- */

/* What came follows what the log has: its serial is raised if that is higher. ERR_REFUSED: then ours would be lost. */
static enum err raise_serial(struct rebuild *r, struct zone_snap **out) {
  const struct zone_slot *z = &r->whole.zone;
  const struct zone_snap *head = r->whole.base;
  uint32_t own = zone_serial(r->came), last = head ? zone_serial(head) : z->stored_serial;
  bool follows = (!head && (!z->version || own == last)) || serial_gt(own, last) || (head && zone_equal(head, r->came));
  if (follows) {
    *out = zone_snap_ref(r->came);
    return ERR_OK;
  }
  if (head && !r->force) {
    snprintf(r->why.what, sizeof r->why.what, "it has serial %u, which is not above ours, %u: our content would be lost", own,
             last);
    return ERR_REFUSED;
  }
  uint32_t next = serial_floor(z, last) + 1;
  enum err err = serial_set(r->came, next, out);
  if (!err) buf_printf(&r->whole.note, "its serial %u is not above the last one here, %u: raised to %u\n", own, last, next);
  return err;
}

static bool rebuild_begin(struct control *c, struct whole *w, struct zone_slot *z) {
  struct rebuild *r = (struct rebuild *)w;
  r->path = z->config->options->managed ? "" : config_zone_file(z->config, &r->scratch);
  return true;
}

static enum err rebuild_work(struct whole *w) {
  struct rebuild *r = (struct rebuild *)w;
  struct zone_snap *next;
  enum err err = raise_serial(r, &next);
  if (err) return err;
  if (!r->has_written && is_in_the_way(&w->zone, r->path, r->force)) {
    snprintf(r->why.what, sizeof r->why.what, "%.200s has appeared meanwhile", r->path);
    err = ERR_EXISTS;
  }
  if (!err && !r->has_written) err = write_file(r, next);
  w->wants_image = r->source.size && config_zone_has_writers(w->config.options);
  if (!err) return whole_settle(w, next, false);
  zone_snap_unref(next);
  return err;
}

/* ---- the end ---- */

static enum err commit(struct control *c, struct rebuild *r, struct zone_slot *z, const struct ready *ready, struct buf *note) {
  struct whole *w = &r->whole;
  struct buf comment = {0};
  size_t changed;
  buf_printf(&comment, "rebuilt from %s", r->primary.name);
  struct change_info info = {.door = DOOR_COMMAND, .author = w->author, .comment = buf_text(&comment), .ready = ready};
  if (r->source.size) info.source = &r->source;
  if (r->source.size) info.seed_gone = z->departed;
  enum err err = pipeline_change(c, z, w->next, &info, note, &changed, &r->why);
  buf_done(&comment);
  return err;
}

static void rebuild_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  struct rebuild *r = (struct rebuild *)w;
  struct buf note = {0};
  char name[NAME_TEXT_BYTES];
  buf_add(&note, w->note.data, w->note.size);
  enum err err = w->err ? w->err : commit(c, r, z, ready, &note);
  if (err) {
    reply_error(c, w->token, r->why.what[0] ? r->why.what : err_text(err),
                err == ERR_REFUSED ? "--force takes it all the same" : "");
  } else {
    unsigned long long records = zone_record_count(w->next);
    buf_printf(&note, "%s: rebuilt from %s, %llu record%s, serial %u is served\n", slot_name_text(z, name), r->primary.name,
               records, plural(records), zone_serial(z->snap));
    reply_ok(c, w->token, buf_text(&note));
  }
  buf_done(&note);
}

static void rebuild_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  reply_error(c, w->token, why, hint);
}

static void rebuild_free(struct whole *w) {
  struct rebuild *r = (struct rebuild *)w;
  tsig_keyring_unref(r->primary.keys);
  zone_snap_unref(r->came);
  buf_done(&r->scratch);
  buf_done(&r->source);
  free(r);
}

static const struct whole_use rebuild_use = {.begin = rebuild_begin,
                                             .work = rebuild_work,
                                             .done = rebuild_done,
                                             .refused = rebuild_refused,
                                             .free = rebuild_free,
                                             .what = "rebuild"};

/* What came goes on its way. */
static void finish(struct control *c, struct rebuild *r) {
  struct whole *w = &r->whole;
  const struct zone_slot *z = r->dropped ? NULL : c->registry.slots[w->zone_id];
  const char *nothing = r->why.what[0] ? r->why.what : "nothing came";
  if (z && r->came) {
    whole_start(c, w, whole_is_large(c, z, zone_memory_bytes(r->came)));
    return;
  }
  if (!z) reply_error(c, w->token, "the zone was removed, or is a secondary now", "");
  else reply_error(c, w->token, nothing, "name a secondary that lets us transfer, and its key by --key");
  whole_free(w);
}

void rebuilds_run(struct control *c) {
  for (struct rebuild **at = &c->rebuilds; *at;) {
    struct rebuild *r = *at;
    if (!r->ended) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    if (!r->dropped) secondary_remove(c->secondaries, r->whole.zone_id);
    finish(c, r);
  }
}

bool rebuilds_ended(const struct control *c) {
  for (const struct rebuild *r = c->rebuilds; r; r = r->next)
    if (r->ended) return true;
  return false;
}

void rebuild_drop(struct control *c, uint32_t zone_id) {
  struct rebuild *r = find(c, zone_id);
  if (!r) return;
  r->ended = r->dropped = true;
}

void rebuilds_free(struct control *c) {
  for (struct rebuild *r; (r = c->rebuilds);) {
    c->rebuilds = r->next;
    whole_free(&r->whole);
  }
}

/* ---- the command ---- */

static const struct config_peer *peer_of(const struct config *cfg, const char *from, const struct addr *address) {
  for (size_t i = 0; i < cfg->peer_count; i++) {
    const struct config_peer *p = &cfg->peers[i];
    if (strcmp(p->name, from) == 0) return p;
    for (size_t k = 0; address && k < p->addresses.count; k++)
      if (addr_equal(&p->addresses.list[k], address)) return p;
  }
  return NULL;
}

/* An address, or a peer by its name; a peer's key and source are taken with it. False: `why` says what is wrong. */
static bool find_source(struct control *c, const char *from, const char *key, struct xfr_primary *out, char why[WHY_BYTES]) {
  struct addr address;
  bool is_address = addr_parse(from, DNS_PORT, &address) == ERR_OK;
  const struct config_peer *peer = peer_of(c->epoch->config, from, is_address ? &address : NULL);
  if (!is_address && !peer) {
    snprintf(why, WHY_BYTES, "%.200s is neither an address nor a peer", from);
    return false;
  }
  snprintf(out->name, sizeof out->name, "%.60s", from);
  out->keys = c->epoch->identity.keys;
  if (peer) {
    out->source4 = peer->source4;
    out->source6 = peer->source6;
    if (peer->keys.count) out->key = tsig_keyring_find(out->keys, &peer->keys.list[0]->name);
  }
  if (is_address) out->address[out->address_count++] = address;
  for (size_t i = 0; !is_address && i < peer->addresses.count && i < LIMIT_PEER_ADDRESSES; i++)
    out->address[out->address_count++] = peer->addresses.list[i];
  if (!key) return true;
  struct name name;
  out->key = name_from_text(key, strlen(key), &name_root, &name, NULL, NULL) ? NULL : tsig_keyring_find(out->keys, &name);
  if (!out->key) snprintf(why, WHY_BYTES, "the configuration has no key %.200s", key);
  return out->key != NULL;
}

static enum err begin(struct control *c, struct rebuild *r, struct zone_slot *z) {
  struct secondary_options o = {
      .primaries = &r->primary,
      .primary_count = 1,
      .refresh_min_ms = TIMER_MS,
      .refresh_max_ms = TIMER_MS,
      .retry_min_ms = TIMER_MS,
      .retry_max_ms = TIMER_MS,
      .transfer_max_bytes = LIMIT_TRANSFER_IN_BYTES,
      .transfer_timeout_ms = TRANSFER_TIMEOUT_MS,
  };
  struct name name;
  slot_name(z, &name);
  tsig_keyring_ref(r->primary.keys);
  r->next = c->rebuilds;
  c->rebuilds = r;
  return secondary_configure(c->secondaries, z->id, &name, &o, NULL, NULL, c->now);
}

void rebuild_command(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  if (!z) return;
  const char *from = json_string_value(json_object_get(args, "from")), *key = json_string_value(json_object_get(args, "key"));
  bool force = json_is_true(json_object_get(args, "force"));
  struct buf scratch = {0};
  char why[WHY_BYTES] = "";
  struct xfr_primary primary = {0};
  const char *path = z->config->options->managed ? "" : config_zone_file(z->config, &scratch);
  if (slot_is_secondary(z)) {
    reply_error(c, token, "the zone is secondary here", "`tandem retransfer ZONE` takes it from its primary");
  } else if (!from) {
    reply_error(c, token, "from whom?", "--from names a secondary by its address, or a peer");
  } else if (find(c, z->id)) {
    reply_error(c, token, "the zone is being rebuilt already", "");
  } else if (is_in_the_way(z, path, force)) {
    snprintf(why, sizeof why, "%.300s is there, and the zone is what it says", path);
    reply_error(c, token, why, "move it away, or --force keeps it as FILE.before-rebuild");
  } else if (!find_source(c, from, key, &primary, why)) {
    reply_error(c, token, why, "");
  } else {
    struct rebuild *r = calloc(1, sizeof *r);
    if (r) *r = (struct rebuild){.force = force, .primary = primary};
    if (r) whole_init(c, &r->whole, &rebuild_use, z, token);
    if (!r || begin(c, r, z)) {
      reply_error(c, token, "out of memory", "");
      if (r && c->rebuilds == r) c->rebuilds = r->next;
      if (r) whole_free(&r->whole);
    }
  }
  buf_done(&scratch);
}
