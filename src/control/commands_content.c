/* `import`, which `edit` uses as well: a command brings the whole content of a zone. It is checked like a file, becomes a version
 * by the one pipeline, and with "dry-run" only what it would change is told. */
#include "control/commands_priv.h"
#include "control/serial.h"
#include "control/zone_export.h"
#include "control/zone_load.h"
#include "zonefile/zonefile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool command_may_write(struct control *c, uint64_t token, const struct zone_slot *z) {
  if (config_zone_has_writers(z->config->options)) return true;
  struct buf text = {0}, path = {0};
  if (slot_is_secondary(z)) buf_printf(&text, "the zone is a secondary: it is changed at its primary");
  else buf_printf(&text, "only its file changes the zone: %s", config_zone_file(z->config, &path));
  reply_error(c, token, buf_text(&text), slot_is_secondary(z) ? "" : "edit the file and reload, or give the zone `editable: true`");
  buf_done(&path);
  buf_done(&text);
  return false;
}

/* ---- the plan ---- */

enum { PIECE_BYTES = 1 << 16 };

struct plan {
  struct control *control;
  uint64_t token;
  struct buf text;
  uint64_t removed, added;
};

static void send_piece(struct plan *p) {
  if (p->text.size) reply_json(p->control, p->token, json_pack("{s:s%}", "data", buf_text(&p->text), p->text.size));
  buf_clear(&p->text);
}

static void plan_line(struct plan *p, char sign, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                      uint16_t size) {
  buf_printf(&p->text, "%c ", sign);
  zonefile_print_record(owner, ttl, type, rdata, size, &p->text);
  if (p->text.size >= PIECE_BYTES) send_piece(p);
}

static bool plan_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct plan *p = arg;
  p->removed++;
  plan_line(p, '-', owner, type, ttl, rdata, size);
  return true;
}

static bool plan_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct plan *p = arg;
  p->added++;
  plan_line(p, '+', owner, type, ttl, rdata, size);
  return true;
}

/* Everything is new where there was nothing. */
static enum err plan_all(struct plan *p, const struct zone_snap *to) {
  struct buf text = {0};
  enum err err = zone_export_buf(to, &text);
  const char *at = buf_text(&text);
  for (const char *end; !err && (end = strchr(at, '\n')); at = end + 1, p->added++) {
    buf_printf(&p->text, "+ %.*s\n", (int)(end - at), at);
    if (p->text.size >= PIECE_BYTES) send_piece(p);
  }
  buf_done(&text);
  return err;
}

static enum err plan_changes(struct plan *p, const struct zone_snap *from, const struct zone_snap *to) {
  struct zone_diff d = {plan_removed, plan_added, p};
  return from ? zone_diff(from, to, &d) : plan_all(p, to);
}

/* What would be done, and nothing is. Takes the snapshot over. */
static void answer_plan(struct control *c, uint64_t token, struct zone_slot *z, const struct zone_snap *snap) {
  struct plan p = {.control = c, .token = token};
  struct buf note = {0}, text = {0};
  bool same;
  char name[NAME_TEXT_BYTES];
  enum err err = serial_refresh(z, z->snap, &snap, c->now, &same, &note);
  if (!err && !same) err = plan_changes(&p, z->snap, snap);
  if (!err) send_piece(&p);
  buf_printf(&text, "%s%s: ", buf_text(&note), slot_name_text(z, name));
  if (same) buf_printf(&text, "nothing would change\n");
  else buf_printf(&text, "%" PRIu64 " records would go and %" PRIu64 " come, serial %u\n", p.removed, p.added, zone_serial(snap));
  if (err) reply_error(c, token, err_text(err), "");
  else
    reply_json(c, token,
               json_pack("{s:b,s:s,s:I,s:I,s:I,s:b}", "ok", 1, "text", buf_text(&text), "version", (json_int_t)z->version,
                         "removed", (json_int_t)p.removed, "added", (json_int_t)p.added, "same", same));
  zone_snap_unref(snap);
  buf_done(&p.text);
  buf_done(&note);
  buf_done(&text);
}

/* ---- doing it ---- */

static void commit(struct control *c, uint64_t token, struct zone_slot *z, const struct zone_snap *snap, const char *comment) {
  struct pipeline *p;
  struct store_error why = {""};
  struct buf note = {0};
  struct change_info info = {.door = DOOR_COMMAND, .author = c->author, .comment = comment, .fresh_serial = true};
  size_t changed = 0;
  char name[NAME_TEXT_BYTES];
  enum err err = pipeline_begin(c, &p);
  if (err) zone_snap_unref(snap);
  else if ((err = pipeline_add(p, z, snap, &info, c->now, &note))) pipeline_abort(p);
  else err = pipeline_commit(p, c->now, &changed, &why);
  buf_printf(&note, "%s: ", slot_name_text(z, name));
  if (err) {
    buf_add_text(&note, why.what[0] ? why.what : err_text(err));
    reply_error(c, token, buf_text(&note), "nothing was changed");
  } else {
    if (changed) buf_printf(&note, "serial %u is served\n", zone_serial(z->snap));
    else buf_add_text(&note, "nothing changed\n");
    reply_json(c, token,
               json_pack("{s:b,s:s,s:I,s:I}", "ok", 1, "text", buf_text(&note), "version", (json_int_t)z->version, "serial",
                         (json_int_t)zone_serial(z->snap)));
  }
  buf_done(&note);
}

/* The content the command brings; NULL: it has mistakes, and that was answered. */
static struct zone_snap *read_content(struct control *c, uint64_t token, const struct zone_slot *z, const char *text, size_t size,
                                      const char *file) {
  struct zone_load_options o = {0};
  struct diags diags = {0};
  struct zone_loaded loaded = {0};
  struct name apex;
  struct zone_snap *snap = NULL;
  slot_name(z, &apex);
  enum err err = zone_load_bytes(file, (const uint8_t *)text, size, &apex, &o, &diags, &loaded);
  if (!err && diags.warnings && z->config->options->check == CONFIG_CHECK_STRICT) err = ERR_FORMAT;
  struct buf found = {0};
  diags_print(&diags, &found);
  if (err) {
    json_t *answer = json_pack("{s:b,s:s,s:s,s:s}", "ok", 0, "text", buf_text(&found), "error",
                               diags.count ? "the content has mistakes" : err_text(err), "hint", "nothing was changed");
    reply_json(c, token, answer);
  } else {
    if (found.size) reply_json(c, token, json_pack("{s:s%}", "warnings", buf_text(&found), found.size));
    snap = zone_loaded_take(&loaded);
  }
  buf_done(&found);
  diags_done(&diags);
  zone_loaded_done(&loaded);
  return snap;
}

void command_import(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  const json_t *text = json_object_get(args, "text"), *base = json_object_get(args, "base");
  const char *file = command_text(args, "file");
  if (!z || !command_may_write(c, token, z)) return;
  if (!json_is_string(text)) {
    reply_error(c, token, "no content: \"text\" is missing", "");
    return;
  }
  if (json_is_integer(base) && (uint64_t)json_integer_value(base) != z->version) {
    reply_error(c, token, "the zone has changed meanwhile, and nothing was done", "begin with what it is now");
    return;
  }
  struct zone_snap *snap =
      read_content(c, token, z, json_string_value(text), json_string_length(text), file ? file : "the command's content");
  if (!snap) return;
  if (json_is_true(json_object_get(args, "dry-run"))) answer_plan(c, token, z, snap);
  else commit(c, token, z, snap, c->comment);
}
