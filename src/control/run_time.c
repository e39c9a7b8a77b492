/* Zones that commands add while the server runs. The store keeps them and the name of their template; a start and a reload find
 * them there. What the configuration names is the configuration's: such a zone can be neither added nor deleted here, and one that
 * was added here becomes the configuration's once that names it. */
#include "base/log.h"
#include "control/commands_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The template if zones can be made of it. */
static const struct config_template *usable(const struct config *cfg, const char *name, struct buf *why) {
  const struct config_template *t = config_template_find(cfg, name);
  if (t && t->options) return t;
  if (t) buf_printf(why, "the template %.100s makes no zone by itself: %s", name, t->lacks);
  else buf_printf(why, "there is no template %.100s", name);
  return NULL;
}

static enum err make_config(struct epoch *e, const uint8_t *name, size_t size, const struct config_template *t,
                            struct config_zone **out) {
  struct config_zone *z = arena_zalloc(&e->arena, sizeof *z);
  if (z) *z = (struct config_zone){.name = arena_copy(&e->arena, name, size), .options = t->options, .place = t->place};
  if (!z || !z->name) return ERR_MEMORY;
  *out = z;
  return ERR_OK;
}

static enum err make_slot(struct control *c, const uint8_t *name, size_t size, const struct config_template *t,
                          struct zone_slot **out) {
  struct config_zone *cz;
  enum err err = make_config(c->epoch, name, size, t, &cz);
  if (!err) err = registry_add(&c->registry, cz, out);
  if (err) return err;
  (*out)->plan = epoch_plan(c->epoch, t->options);
  (*out)->run_time = (*out)->listed = true;
  return ERR_OK;
}

enum err run_time_adopt(struct control *c, const struct store_zone *s, struct zone_slot **out) {
  char template_name[256], text[NAME_TEXT_BYTES];
  struct buf why = {0};
  struct name name;
  snprintf(template_name, sizeof template_name, "%.*s", (int)s->options_size, (const char *)s->options);
  const struct config_template *t = usable(c->epoch->config, template_name, &why);
  name_from_wire(s->name, &name);
  if (!t) log_event(EV_ZONE_REFUSED, LOG_TEXT("zone", name_text(&name, text)), LOG_TEXT("what", buf_text(&why)));
  buf_done(&why);
  return t ? make_slot(c, s->name, s->name_size, t, out) : ERR_REFUSED;
}

enum err run_time_config(struct control *c, const struct zone_slot *z, const struct config_zone **out) {
  struct name name;
  struct config_zone *cz;
  struct buf why = {0};
  slot_name(z, &name);
  const struct config_template *t = usable(c->epoch->config, z->config->options->template_name, &why);
  buf_done(&why);
  if (!t) return ERR_NOT_FOUND; /* run_time_fits has said otherwise */
  enum err err = make_config(c->epoch, name.octets, name.size, t, &cz);
  if (!err) *out = cz;
  return err;
}

static bool is_named(const struct config *cfg, const struct zone_slot *z) {
  struct name name, other;
  slot_name(z, &name);
  for (size_t i = 0; i < cfg->zone_count; i++) {
    name_from_wire(cfg->zones[i].name, &other);
    if (name_equal(&name, &other)) return true;
  }
  return false;
}

bool run_time_fits(const struct control *c, const struct config *cfg, struct buf *why) {
  struct zone_slot *z;
  char text[NAME_TEXT_BYTES];
  for (size_t i = 0; (z = registry_next(&c->registry, &i));) {
    buf_clear(why);
    if (!z->run_time || usable(cfg, z->config->options->template_name, why) || is_named(cfg, z)) continue;
    buf_printf(why, ", which the zone %s has that was added at run time: keep the template, or `tandem zone delete` the zone first",
               slot_name_text(z, text));
    return false;
  }
  buf_clear(why);
  return true;
}

/* ---- the commands ---- */

/* The store has the zone, and that it is here by a command. */
static enum err keep(struct control *c, struct zone_slot *z, const char *template_name, struct store_error *why) {
  struct store_batch *b;
  struct name name;
  uint64_t id = z->store_id, version = z->version;
  slot_name(z, &name);
  enum err err = store_batch_begin(c->store, &b);
  if (err) return err;
  if (id) err = store_batch_state(b, id, STORE_ZONE_LIVE, 0);
  else err = store_batch_create(b, &name, &id, &version);
  if (!err) err = store_batch_options(b, id, template_name, strlen(template_name));
  if (!err) err = store_batch_commit(b, why);
  else store_batch_abort(b);
  if (err) return err;
  z->store_id = id;
  z->version = version;
  z->buried = false;
  return ERR_OK;
}

static void say_added(struct control *c, uint64_t token, struct zone_slot *z, const struct buf *note) {
  char name[NAME_TEXT_BYTES];
  struct buf text = {0};
  buf_printf(&text, "%s%s: added", buf_text(note), slot_name_text(z, name));
  if (z->snap && z->revived) buf_printf(&text, "; it is back with what it had, serial %u", zone_serial(z->snap));
  else if (z->snap) buf_printf(&text, ", serial %u is served", zone_serial(z->snap));
  else if (slot_wrong(z)) buf_printf(&text, "; %s", slot_wrong(z));
  buf_add_byte(&text, '\n');
  reply_ok(c, token, buf_text(&text));
  buf_done(&text);
}

static void answer_added(struct control *c, struct reload *r) {
  struct zone_slot *z = registry_find(&c->registry, r->zone.octets, r->zone.size);
  if (!z) reply_error(c, r->token, "the zone was removed meanwhile", "");
  else if (r->err)
    reply_error(c, r->token, r->why.what[0] ? r->why.what : err_text(r->err), "the zone was added, and its content not kept");
  else say_added(c, r->token, z, &r->report.text);
}

/* As a reload of this one zone, since its file may be large. */
static enum err start(struct control *c, struct zone_slot *z, struct reload *r) {
  struct pipeline *p;
  size_t changed;
  bool refused;
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  err = zone_start(c, p, z, &refused, &r->report.text);
  if (!err) return pipeline_commit(p, c->now, &changed, &r->why);
  pipeline_abort(p);
  return err;
}

static enum err add(struct control *c, const struct name *name, const struct config_template *t, struct zone_slot **out,
                    struct store_error *why) {
  enum err err = make_slot(c, name->octets, name->size, t, out);
  if (err) return err;
  err = registry_adopt_zone(c, *out);
  if (!err) err = keep(c, *out, t->name, why);
  if (err) zone_remove(c, *out);
  return err;
}

void command_zone_add(struct control *c, uint64_t token, const json_t *args) {
  const char *wanted = command_text(args, "template");
  struct name name;
  struct zone_slot *z;
  struct reload *r = NULL;
  struct buf why = {0};
  struct store_error error = {""};
  char text[NAME_TEXT_BYTES];
  if (!command_name(c, token, args, &name)) return;
  z = registry_find(&c->registry, name.octets, name.size);
  if (z) {
    bool here = z->run_time;
    reply_error(c, token, here ? "the zone is there already" : "the configuration has the zone already", "");
    return;
  }
  const struct config_template *t = usable(c->epoch->config, wanted ? wanted : "default", &why);
  if (!t) {
    reply_error(c, token, buf_text(&why), "--template names one of the configuration's `templates`");
    buf_done(&why);
    return;
  }
  enum err err = reload_begin(c, &r);
  if (!err) err = add(c, &name, t, &z, &error);
  if (err) {
    reply_error(c, token, error.what[0] ? error.what : err_text(err), "the zone was not added");
    if (r) reload_begun(c, r, ERR_OK);
    return;
  }
  log_event(EV_ZONE_ADDED, LOG_TEXT("zone", slot_name_text(z, text)), LOG_TEXT("template", t->name));
  r->answer = answer_added;
  r->token = token;
  r->zone = name;
  reload_begun(c, r, start(c, z, r));
}

void command_zone_delete(struct control *c, uint64_t token, const json_t *args) {
  struct zone_slot *z = command_zone(c, token, args);
  struct store_batch *b;
  struct store_error why = {""};
  char line[NAME_TEXT_BYTES + 100], name[NAME_TEXT_BYTES];
  if (!z) return;
  if (!z->run_time) {
    snprintf(line, sizeof line, "the zone stands in the configuration, at %.200s:%u", z->config->place.file, z->config->place.line);
    reply_error(c, token, line, "take it out there and reload");
    return;
  }
  enum err err = c->arrival_count ? transfers_commit(c) : ERR_OK;
  if (!err) err = store_batch_begin(c->store, &b);
  if (!err) {
    err = store_batch_state(b, z->store_id, STORE_ZONE_DELETED, c->now.wall_s);
    if (!err) err = store_batch_commit(b, &why);
    else store_batch_abort(b);
  }
  if (err) {
    reply_error(c, token, why.what[0] ? why.what : err_text(err), "the zone is still there");
    return;
  }
  snprintf(line, sizeof line, "%s: deleted; the store keeps it for some time, and adding it again brings it back\n",
           slot_name_text(z, name));
  zone_remove(c, z);
  reply_ok(c, token, line);
}
