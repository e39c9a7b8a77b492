/* The commands of the control socket: one row each. A command gets its JSON object and answers by reply_*, at once or when the
 * thing it started is done. */
#include "base/log.h"
#include "control/commands_priv.h"
#include "control/whole.h"
#include "xfr/barrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- replies ---- */

void reply_json(struct control *c, uint64_t token, json_t *object) {
  char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
  if (text) c->events.reply(c->events.arg, token, text, strlen(text));
  else c->events.reply(c->events.arg, token, "{\"ok\":false,\"error\":\"out of memory\"}", 35);
  free(text);
  json_decref(object);
}

void reply_ok(struct control *c, uint64_t token, const char *text) {
  reply_json(c, token, json_pack("{s:b,s:s}", "ok", 1, "text", text));
}

void reply_error(struct control *c, uint64_t token, const char *error, const char *hint) {
  reply_json(c, token, json_pack("{s:b,s:s,s:s}", "ok", 0, "error", error, "hint", hint));
}

/* ---- commands that wait ---- */

static void wait_for(struct control *c, uint64_t token, uint32_t zone_id, enum waiter_kind kind) {
  struct waiter *w = calloc(1, sizeof *w);
  if (!w) {
    reply_error(c, token, "out of memory", "");
    return;
  }
  *w = (struct waiter){.next = c->waiters, .token = token, .zone_id = zone_id, .kind = kind};
  c->waiters = w;
}

static void waiter_answer(struct control *c, const struct waiter *w, bool ok, const char *text) {
  struct zone_slot *z = w->zone_id < c->registry.capacity ? c->registry.slots[w->zone_id] : NULL;
  char name[NAME_TEXT_BYTES] = "?", line[NAME_TEXT_BYTES + 300];
  if (z) slot_name_text(z, name);
  if (z && z->snap && ok) snprintf(line, sizeof line, "%s: %s, serial %u\n", name, text, zone_serial(z->snap));
  else snprintf(line, sizeof line, "%s: %s", name, text);
  if (ok) reply_ok(c, w->token, line);
  else reply_error(c, w->token, line, "`tandem status ZONE` tells more");
}

void waiters_wake(struct control *c, uint32_t zone_id, enum waiter_kind kind, bool ok, const char *text) {
  for (struct waiter **at = &c->waiters; *at;) {
    struct waiter *w = *at;
    if (w->zone_id != zone_id || w->kind != kind) {
      at = &w->next;
      continue;
    }
    if (kind == WAIT_NOTIFY && !ok && notifier_pending(c->notifier, zone_id) > 0) { /* others may still answer */
      snprintf(w->failed, sizeof w->failed, "%s", text);
      snprintf(w->peer, sizeof w->peer, "%.*s", (int)strcspn(text, ":"), text);
      at = &w->next;
      continue;
    }
    *at = w->next;
    if (ok && w->failed[0]) waiter_answer(c, w, false, w->failed);
    else waiter_answer(c, w, ok, text);
    free(w);
  }
}

void waiters_drop(struct control *c, uint32_t zone_id, const char *why) {
  waiters_wake(c, zone_id, WAIT_TRANSFER, false, why);
  waiters_wake(c, zone_id, WAIT_REFRESH, false, why);
  waiters_wake(c, zone_id, WAIT_NOTIFY, false, why);
}

void waiters_recovered(struct control *c, uint32_t zone_id, const char *peer) {
  for (struct waiter *w = c->waiters; w; w = w->next)
    if (w->zone_id == zone_id && w->kind == WAIT_NOTIFY && strcmp(w->peer, peer) == 0) w->peer[0] = w->failed[0] = 0;
}

void control_command_gone(struct control *c, uint64_t token) {
  jobs_gone(c, token);
  whole_gone(c, token);
  barrier_forget(c->barrier, token);
  for (struct waiter **at = &c->waiters; *at;) {
    struct waiter *w = *at;
    if (w->token != token) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    free(w);
  }
}

/* ---- the commands ---- */

const char *command_text(const json_t *args, const char *member) {
  return json_string_value(json_object_get(args, member));
}

bool command_name(struct control *c, uint64_t token, const json_t *args, struct name *out) {
  const char *text = command_text(args, "zone"), *why = "";
  char line[200];
  if (!text) {
    reply_error(c, token, "no zone named", "give the zone's name");
    return false;
  }
  if (name_from_text(text, strlen(text), &name_root, out, NULL, &why)) {
    snprintf(line, sizeof line, "not a domain name: %s", why);
    reply_error(c, token, line, "");
    return false;
  }
  name_lower(out);
  return true;
}

struct zone_slot *command_zone(struct control *c, uint64_t token, const json_t *args) {
  struct name name;
  if (!command_name(c, token, args, &name)) return NULL;
  struct zone_slot *z = registry_find(&c->registry, name.octets, name.size);
  if (z && z->started) return z;
  if (z) {
    reply_error(c, token, "the reload that brings the zone has not come to it yet", "try again in a moment");
    return NULL;
  }
  char shown[NAME_TEXT_BYTES], line[NAME_TEXT_BYTES + 200];
  snprintf(line, sizeof line, "no zone %s here", name_text(&name, shown));
  reply_error(c, token, line, "`tandem zone list` shows the zones");
  return NULL;
}

static void cmd_status(struct control *c, uint64_t token, const json_t *args) {
  struct buf text = {0};
  json_t *object;
  if (json_object_get(args, "zone")) {
    struct zone_slot *z = command_zone(c, token, args);
    if (!z) return;
    object = status_zone_json(c, z);
    status_zone_text(object, &text);
  } else {
    object = status_server_json(c);
    status_server_text(object, &text);
  }
  json_object_set_new(object, "ok", json_true());
  json_object_set_new(object, "text", json_string(buf_text(&text)));
  buf_done(&text);
  reply_json(c, token, object);
}

static void answer_all(struct control *c, struct reload *r) {
  struct reload_report *report = &r->report;
  bool ok = !r->err && !report->config_refused && !report->refused && !r->cut;
  if (ok)
    buf_printf(&report->text, "reloaded: %zu zone%s changed, %zu added, %zu removed\n", report->changed, plural(report->changed),
               report->added, report->removed);
  if (r->why.what[0]) buf_printf(&report->text, "store: %s\n", r->why.what);
  const char *error = report->config_refused ? "the configuration has mistakes and was not put in force"
                      : report->refused      ? "a zone file was refused; the old version serves on"
                      : r->cut               ? r->cut
                      : r->err == ERR_MEMORY ? "out of memory"
                                             : "the store could not keep the changes; what was served before is served on";
  json_t *o =
      json_pack("{s:b,s:s,s:I,s:I,s:I,s:I}", "ok", ok, "text", buf_text(&report->text), "changed", (json_int_t)report->changed,
                "added", (json_int_t)report->added, "removed", (json_int_t)report->removed, "refused", (json_int_t)report->refused);
  if (!ok) json_object_set_new(o, "error", json_string(error));
  reply_json(c, r->token, o);
}

static void answer_one(struct control *c, struct reload *r) {
  struct buf *text = &r->report.text;
  struct zone_slot *z = registry_find(&c->registry, r->zone.octets, r->zone.size);
  char name[NAME_TEXT_BYTES] = "";
  if (z) slot_name_text(z, name);
  if (!z || !z->snap || r->err || r->report.refused) {
    if (r->err) buf_printf(text, "%s: %s\n", name, r->why.what[0] ? r->why.what : err_text(r->err));
    reply_error(c, r->token, buf_text(text), "the old version, if there is one, serves on");
    return;
  }
  if (r->report.changed) buf_printf(text, "%s: serial %u is served\n", name, zone_serial(z->snap));
  else buf_printf(text, "%s: nothing changed\n", name);
  reply_ok(c, r->token, buf_text(text));
}

static enum err reload_one_file(struct control *c, struct reload *r, struct zone_slot *z, bool force) {
  struct pipeline *p = NULL;
  bool refused = false;
  r->answer = answer_one;
  slot_name(z, &r->zone);
  enum err err = pipeline_begin(c, &p);
  if (!err) err = zone_reload_file(c, p, z, force, &refused, &r->report.text);
  r->report.refused += refused;
  if (!err) return pipeline_commit(p, c->now, &r->report.changed, &r->why);
  pipeline_abort(p);
  return err;
}

static void cmd_reload(struct control *c, uint64_t token, const json_t *args) {
  bool force = json_is_true(json_object_get(args, "force")), one = json_object_get(args, "zone");
  struct zone_slot *z = one ? command_zone(c, token, args) : NULL;
  struct reload *r;
  if (one && !z) return;
  if (!z || !slot_is_secondary(z)) {
    if (reload_begin(c, &r)) {
      reply_error(c, token, "out of memory", "");
      return;
    }
    r->token = token;
    r->answer = answer_all;
    reload_begun(c, r, z ? reload_one_file(c, r, z, force) : reload_all(c, force, r));
    return;
  }
  wait_for(c, token, z->id, WAIT_REFRESH);
  secondary_refresh(c->secondaries, z->id, c->now);
}

static void cmd_retransfer(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  if (!z) return;
  if (!slot_is_secondary(z)) {
    reply_error(c, token, "the zone is primary here: there is nowhere to transfer it from", "`tandem reload ZONE` reads its file");
    return;
  }
  wait_for(c, token, z->id, WAIT_TRANSFER);
  secondary_retransfer(c->secondaries, z->id, c->now);
}

static void cmd_notify(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  if (!z) return;
  if (!z->snap) {
    reply_error(c, token, "the zone has no content to tell about", "`tandem status ZONE` says why");
  } else if (z->plan->notify_count == 0) {
    reply_error(c, token, "the zone has no peers to notify", "name them in the zone's `notify`");
  } else {
    wait_for(c, token, z->id, WAIT_NOTIFY);
    transfers_notify(c, z);
  }
}

struct listing {
  struct control *control;
  json_t *zones;
  struct buf text;
};

static bool list_deleted(void *arg, const struct store_zone *s) {
  struct listing *l = arg;
  char name[NAME_TEXT_BYTES], at[TIME_TEXT_BYTES], until[TIME_TEXT_BYTES];
  struct name n;
  struct rd r = rd_make(s->name, s->name_size);
  if (name_read_plain(&r, &n) || registry_find(&l->control->registry, s->name, s->name_size)) return true;
  name_text(&n, name);
  if (n.size > 1) name[strlen(name) - 1] = 0;
  time_text(s->deleted_at_s, at);
  time_text(s->deleted_at_s + (int64_t)l->control->epoch->config->history.deleted_s, until);
  json_array_append_new(l->zones,
                        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "name", name, "state", "deleted", "deleted-at", at, "kept-until",
                                  until, "version", (json_int_t)s->version, "serial", (json_int_t)s->serial));
  buf_printf(&l->text, "%s\tdeleted %s\tkept until %s\t%u\n", name, at, until, s->serial);
  return true;
}

static void list_deleted_zones(struct control *c, uint64_t token) {
  struct listing l = {.control = c, .zones = json_array()};
  struct store_error why;
  enum err err = store_deleted_zones(c->store, list_deleted, &l, &why);
  if (err) reply_error(c, token, why.what, "");
  else reply_json(c, token, json_pack("{s:b,s:O,s:s}", "ok", 1, "zones", l.zones, "text", buf_text(&l.text)));
  json_decref(l.zones);
  buf_done(&l.text);
}

static void cmd_zone_list(struct control *c, uint64_t token, const json_t *args) {
  if (json_is_true(json_object_get(args, "deleted"))) {
    list_deleted_zones(c, token);
    return;
  }
  json_t *list = json_array();
  struct buf text = {0};
  struct zone_slot *z;
  char name[NAME_TEXT_BYTES];
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    slot_name_text(z, name);
    const char *role = slot_is_secondary(z) ? "secondary" : "primary";
    const char *state = zone_state_text[slot_state(z)];
    json_t *o = json_pack("{s:s,s:s,s:s}", "name", name, "role", role, "state", state);
    if (z->run_time) json_object_set_new(o, "template", json_string(z->config->options->template_name));
    if (z->snap) json_object_set_new(o, "serial", json_integer(zone_serial(z->snap)));
    json_array_append_new(list, o);
    if (z->snap) buf_printf(&text, "%s\t%s\t%s\t%u\n", name, role, state, zone_serial(z->snap));
    else buf_printf(&text, "%s\t%s\t%s\t-\n", name, role, state);
  }
  reply_json(c, token, json_pack("{s:b,s:o,s:s}", "ok", 1, "zones", list, "text", buf_text(&text)));
  buf_done(&text);
}

static void cmd_stop(struct control *c, uint64_t token, const json_t *args) {
  reply_ok(c, token, "stopping\n");
  c->events.stop(c->events.arg);
}

static void cmd_swap(struct control *c, uint64_t token, const json_t *args) {
  if (c->backup) {
    reply_error(c, token, "a backup is under way", "try again when it is done");
    return;
  }
  c->events.swap(c->events.arg, token);
}

void control_swapped(struct control *c, uint64_t token, long pid, const char *why) {
  char text[64];
  snprintf(text, sizeof text, "swapped: process %ld serves now\n", pid);
  if (why) reply_error(c, token, why, "this process goes on as before");
  else reply_ok(c, token, text);
}

static const struct {
  const char *name;
  command_run *run;
  bool logged; /* changes something */
} commands[] = {
    {"status", cmd_status, false},
    {"reload", cmd_reload, true},
    {"retransfer", cmd_retransfer, true},
    {"notify", cmd_notify, true},
    {"wait", cmd_wait, false},
    {"zone-list", cmd_zone_list, false},
    {"export", cmd_export, false},
    {"history", cmd_history, false},
    {"diff", cmd_diff, false},
    {"rollback", cmd_rollback, true},
    {"rebuild", rebuild_command, true},
    {"backup", backup_command, true},
    {"import", command_import, true},
    {"zone-add", command_zone_add, true},
    {"zone-delete", command_zone_delete, true},
    {"stop", cmd_stop, true},
    {"swap", cmd_swap, true},
};

static void run_command(struct control *c, uint64_t token, const char *author, const json_t *args) {
  const char *name = json_string_value(json_object_get(args, "command"));
  const char *zone = json_string_value(json_object_get(args, "zone"));
  size_t i = 0, count = sizeof commands / sizeof commands[0];
  while (name && i < count && strcmp(commands[i].name, name) != 0)
    i++;
  if (!name || i == count) {
    reply_error(c, token, name ? "unknown command" : "not a command: a JSON object with \"command\" is expected", "");
  } else if (c->frozen) {
    reply_error(c, token, "the server is being replaced", "try again in a moment");
  } else {
    if (commands[i].logged)
      log_event(EV_CONTROL_COMMAND, LOG_TEXT("command", name), LOG_TEXT("zone", zone ? zone : ""), LOG_TEXT("author", author));
    c->author = author;
    c->comment = command_text(args, "comment");
    commands[i].run(c, token, args);
    c->author = c->comment = NULL;
  }
}

static size_t next_octets(void *to, size_t n, void *json) {
  return pieces_take(json, to, n);
}

static json_t *parse(struct pieces *json) {
  json_error_t error;
  json_t *args = json_load_callback(next_octets, json, JSON_REJECT_DUPLICATES, &error);
  pieces_done(json);
  return args;
}

/* ---- commands that bring much: another thread takes them apart ---- */

enum { LONG_BYTES = 256 << 10 };

struct long_command {
  struct whole whole;
  struct pieces json;
  json_t *args;
};

static enum err long_work(struct whole *w) {
  struct long_command *l = (struct long_command *)w;
  l->args = parse(&l->json);
  return ERR_OK;
}

static void long_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  run_command(c, w->token, w->author, ((struct long_command *)w)->args);
}

static void long_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  reply_error(c, w->token, why, hint);
}

static void long_free(struct whole *w) {
  struct long_command *l = (struct long_command *)w;
  json_decref(l->args);
  pieces_done(&l->json);
  free(l);
}

static const struct whole_use long_use = {
    .begin = NULL, .work = long_work, .done = long_done, .refused = long_refused, .free = long_free, .what = "command"};

/* False: it is to be run at once. */
static bool parse_aside(struct control *c, uint64_t token, const char *author, struct pieces *json) {
  struct long_command *l = json->size > LONG_BYTES && !c->frozen ? calloc(1, sizeof *l) : NULL;
  if (!l) return false;
  c->author = author;
  whole_init(c, &l->whole, &long_use, NULL, token);
  c->author = NULL;
  l->json = *json;
  if (l->whole.author && whole_start_aside(c, &l->whole)) return true;
  l->json = (struct pieces){0};
  whole_free(&l->whole);
  return false;
}

void control_command(struct control *c, uint64_t token, const char *author, struct pieces *json, struct instant now) {
  c->now = now;
  if (parse_aside(c, token, author, json)) return;
  json_t *args = parse(json);
  run_command(c, token, author, args);
  json_decref(args);
}
