/* `import`, which `edit` uses as well: a command brings the whole content of a zone. It is checked like a file, becomes a version
 * by the one pipeline, and with "dry-run" only what it would change is told. */
#include "control/commands_priv.h"
#include "control/whole.h"
#include "control/zone_export.h"
#include "control/zone_load.h"
#include "zonefile/zonefile.h"

#include <inttypes.h>
#include <stdlib.h>
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

struct import {
  struct whole whole;
  json_t *content; /* a text, until it was looked at: it is large, and given back by the thread that does */
  size_t size;     /* of it */
  char *file;
  bool has_version; /* what the client has seen of the zone */
  uint64_t version;
  struct digest128 digest; /* of the text */
  bool is_read;
  struct diags diags;
  struct zone_loaded loaded;
  /* what would change */
  struct buf plan;
  uint64_t removed, added;
};

/* ---- the plan ---- */

static void plan_line(struct import *i, char sign, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                      uint16_t size) {
  buf_printf(&i->plan, "%c ", sign);
  zonefile_print_record(owner, ttl, type, rdata, size, &i->plan);
}

static bool plan_removed(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct import *i = arg;
  i->removed++;
  plan_line(i, '-', owner, type, ttl, rdata, size);
  return !i->plan.failed;
}

static bool plan_added(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size) {
  struct import *i = arg;
  i->added++;
  plan_line(i, '+', owner, type, ttl, rdata, size);
  return !i->plan.failed;
}

/* Everything is new where there was nothing. */
static enum err plan_all(struct import *i, const struct zone_snap *to) {
  struct buf text = {0};
  enum err err = zone_export_buf(to, &text);
  const char *at = buf_text(&text);
  for (const char *end; !err && (end = strchr(at, '\n')); at = end + 1, i->added++)
    buf_printf(&i->plan, "+ %.*s\n", (int)(end - at), at);
  buf_done(&text);
  return err;
}

static enum err make_plan(struct import *i) {
  const struct whole *w = &i->whole;
  struct zone_diff d = {plan_removed, plan_added, i};
  buf_clear(&i->plan);
  i->removed = i->added = 0;
  if (w->same) return ERR_OK;
  enum err err = w->base ? zone_diff(w->base, w->next, &d) : plan_all(i, w->next);
  return i->plan.failed ? ERR_MEMORY : err;
}

/* ---- the work ---- */

/* The content the command brings; ERR_FORMAT: it has mistakes. */
static enum err read_content(struct import *i) {
  struct whole *w = &i->whole;
  struct zone_load_options o = {.progress = whole_count, .progress_arg = w};
  struct name apex;
  slot_name(&w->zone, &apex);
  i->digest = hash128(json_string_value(i->content), i->size);
  enum err err =
      zone_load_bytes(i->file, (const uint8_t *)json_string_value(i->content), i->size, &apex, &o, &i->diags, &i->loaded);
  if (!err && i->diags.warnings && w->config.options->check == CONFIG_CHECK_STRICT) err = ERR_FORMAT;
  return err;
}

static enum err import_work(struct whole *w) {
  struct import *i = (struct import *)w;
  enum err err = i->is_read ? ERR_OK : read_content(i);
  i->is_read = true;
  json_decref(i->content);
  i->content = NULL;
  if (!err && !w->next) err = whole_settle(w, zone_snap_ref(i->loaded.snap), true);
  if (!err && w->only_shown) err = make_plan(i);
  return err;
}

/* ---- what came of it ---- */

static void say_mistakes(struct control *c, const struct import *i, enum err err) {
  struct buf found = {0};
  diags_print(&i->diags, &found);
  reply_json(c, i->whole.token,
             json_pack("{s:b,s:s,s:s,s:s}", "ok", 0, "text", buf_text(&found), "error",
                       i->diags.count ? "the content has mistakes" : err_text(err), "hint", "nothing was changed"));
  buf_done(&found);
}

static void say_warnings(struct control *c, const struct import *i) {
  struct buf found = {0};
  diags_print(&i->diags, &found);
  if (found.size) reply_json(c, i->whole.token, json_pack("{s:s%}", "warnings", buf_text(&found), found.size));
  buf_done(&found);
}

static void say_plan(struct control *c, struct import *i, const struct zone_slot *z) {
  struct whole *w = &i->whole;
  struct buf text = {0};
  char name[NAME_TEXT_BYTES];
  buf_printf(&text, "%s%s: ", buf_text(&w->note), slot_name_text(z, name));
  if (w->same) buf_printf(&text, "nothing would change\n");
  else
    buf_printf(&text, "%" PRIu64 " record%s would go and %" PRIu64 " come, serial %u\n", i->removed, plural(i->removed), i->added,
               zone_serial(w->next));
  job_tell(c, w->token, &i->plan,
           json_pack("{s:b,s:s,s:I,s:I,s:I,s:b}", "ok", 1, "text", buf_text(&text), "version", (json_int_t)z->version, "removed",
                     (json_int_t)i->removed, "added", (json_int_t)i->added, "same", w->same));
  buf_done(&text);
}

static void commit(struct control *c, struct import *i, struct zone_slot *z, const struct ready *ready) {
  struct whole *w = &i->whole;
  struct store_error why = {""};
  struct buf note = {0};
  struct change_info info = {
      .door = DOOR_COMMAND, .author = w->author, .comment = w->comment, .fresh_serial = true, .ready = ready};
  size_t changed;
  char name[NAME_TEXT_BYTES];
  buf_add(&note, w->note.data, w->note.size);
  enum err err = pipeline_change(c, z, w->next, &info, &note, &changed, &why);
  buf_printf(&note, "%s: ", slot_name_text(z, name));
  if (err) {
    buf_add_text(&note, why.what[0] ? why.what : err_text(err));
    reply_error(c, w->token, buf_text(&note), "nothing was changed");
  } else {
    if (changed) buf_printf(&note, "serial %u is served\n", zone_serial(z->snap));
    else buf_add_text(&note, "nothing changed\n");
    reply_json(c, w->token,
               json_pack("{s:b,s:s,s:I,s:I}", "ok", 1, "text", buf_text(&note), "version", (json_int_t)z->version, "serial",
                         (json_int_t)zone_serial(z->snap)));
  }
  buf_done(&note);
}

static void import_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  struct import *i = (struct import *)w;
  w->keep = false;
  if (w->err) {
    say_mistakes(c, i, w->err);
    return;
  }
  say_warnings(c, i);
  if (!w->only_shown) {
    commit(c, i, z, ready);
    return;
  }
  w->keep = !w->same && whole_is_large(c, z, i->size);
  say_plan(c, i, z);
}

static bool import_begin(struct control *c, struct whole *w, struct zone_slot *z) {
  const struct import *i = (const struct import *)w;
  if (!command_may_write(c, w->token, z)) return false;
  if (!i->has_version || i->version == z->version) return true;
  reply_error(c, w->token, "the zone has changed meanwhile, and nothing was done", "begin with what it is now");
  return false;
}

static void import_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  reply_error(c, w->token, why, hint);
}

static void import_free(struct whole *w) {
  struct import *i = (struct import *)w;
  diags_done(&i->diags);
  zone_loaded_done(&i->loaded);
  buf_done(&i->plan);
  json_decref(i->content);
  free(i->file);
  free(i);
}

static const struct whole_use import_use = {.begin = import_begin,
                                            .work = import_work,
                                            .done = import_done,
                                            .refused = import_refused,
                                            .free = import_free,
                                            .what = "import"};

/* ---- the command ---- */

static bool same_text(const struct import *i, const json_t *content, const char *file) {
  struct digest128 digest = hash128(json_string_value(content), json_string_length(content));
  return i->digest.low == digest.low && i->digest.high == digest.high && strcmp(i->file, file) == 0;
}

/* What was shown is not read again for being done, as long as the zone is what it was. NULL: out of memory. */
static struct import *new_import(struct control *c, const struct zone_slot *z, json_t *content, const char *file) {
  struct whole *shown = whole_take_kept(c, z, &import_use);
  struct import *i = (struct import *)shown;
  if (!shown || !same_text(i, content, file)) {
    whole_free(shown);
    i = calloc(1, sizeof *i);
    if (i) i->file = strdup(file);
    if (!i || !i->file) {
      free(i);
      return NULL;
    }
  }
  i->content = json_incref(content);
  i->size = json_string_length(content);
  return i;
}

void command_import(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  json_t *text = json_object_get(args, "text");
  const json_t *base = json_object_get(args, "base");
  const char *file = command_text(args, "file");
  if (!z || !command_may_write(c, token, z)) return;
  if (!json_is_string(text)) {
    reply_error(c, token, "no content: \"text\" is missing", "");
    return;
  }
  struct import *i = new_import(c, z, text, file ? file : "the command's content");
  if (!i) {
    reply_error(c, token, "out of memory", "");
    return;
  }
  i->has_version = json_is_integer(base);
  i->version = (uint64_t)json_integer_value(base);
  whole_init(c, &i->whole, &import_use, z, token);
  i->whole.only_shown = json_is_true(json_object_get(args, "dry-run"));
  whole_start(c, &i->whole, whole_is_large(c, z, i->size));
}
