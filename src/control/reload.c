/* SIGHUP and `reload`: a new configuration is compiled beside the old one, the zones change over, and the old one goes when no
 * reader can see it any more. Then every zone file that changed is read, slice by slice: between two of them all else goes on. Any
 * mistake in the configuration: nothing changes. */
#include "base/log.h"
#include "control/control_priv.h"

#include <stdlib.h>
#include <string.h>

static size_t name_size(const uint8_t *wire) {
  size_t n = 0;
  while (wire[n])
    n += 1u + wire[n];
  return n + 1;
}

static void log_diags(const struct diags *d, enum log_event event) {
  for (size_t i = 0; i < d->count; i++) {
    struct buf line = {0};
    diag_print(&d->list[i], &line);
    if (line.size && line.data[line.size - 1] == '\n') line.data[--line.size] = 0;
    log_event(d->list[i].severity == SEVERITY_ERROR ? event : EV_CONFIG_WARNING, LOG_TEXT("what", buf_text(&line)));
    buf_done(&line);
  }
}

static void epoch_retire(void *arg) {
  epoch_free(arg);
}

/* Loads and compiles; *out stays NULL when the configuration is refused. */
static enum err load_epoch(struct control *c, struct epoch **out, struct reload_report *report) {
  struct diags diags = {0};
  struct config *config = NULL;
  struct buf why = {0};
  enum err err = config_load(c->config_path, &diags, &config);
  log_diags(&diags, EV_CONFIG_REFUSED);
  diags_print(&diags, &report->text);
  diags_done(&diags);
  struct epoch *fresh = NULL;
  if (!err && !run_time_fits(c, config, &why)) {
    log_event(EV_CONFIG_REFUSED, LOG_TEXT("what", buf_text(&why)));
    buf_printf(&report->text, "%s\n", buf_text(&why));
    err = ERR_FORMAT;
  }
  if (!err) err = epoch_new(config, &fresh);
  if (!err && !c->events.reconfigure(c->events.arg, c->epoch->config, config, &why)) {
    log_event(EV_CONFIG_REFUSED, LOG_TEXT("what", buf_text(&why)));
    buf_printf(&report->text, "%s\n", buf_text(&why));
    err = ERR_FORMAT;
  }
  buf_done(&why);
  if (!err) *out = fresh;
  else if (fresh) epoch_free(fresh);
  else config_free(config);
  if (err == ERR_MEMORY) return err;
  report->config_refused = err != ERR_OK;
  return ERR_OK;
}

void zone_remove(struct control *c, struct zone_slot *z) {
  char text[NAME_TEXT_BYTES];
  struct name name;
  slot_name(z, &name);
  if (zone_set_remove(c->zones, &name)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while removing a zone"));
  secondary_remove(c->secondaries, z->id);
  rebuild_drop(c, z->id);
  images_drop(c, z->id);
  notifier_remove(c->notifier, z->id);
  waiters_drop(c, z->id, "the zone was removed");
  log_event(EV_ZONE_REMOVED, LOG_TEXT("zone", slot_name_text(z, text)));
  registry_remove(&c->registry, z);
}

/* Whether those who are notified are the same, at the same addresses, with the same keys. */
static bool same_peers(const struct zone_plan *a, const struct zone_plan *b) {
  bool same = a->notify_count == b->notify_count;
  for (unsigned i = 0; same && i < a->notify_count; i++)
    same = xfr_primary_equal(&a->notify[i], &b->notify[i]);
  return same;
}

/* What a zone of the other role leaves behind: its file says nothing of what was transferred, nor the other way round. */
static void change_role(struct control *c, struct zone_slot *z) {
  secondary_remove(c->secondaries, z->id);
  rebuild_drop(c, z->id);
  images_drop(c, z->id);
  waiters_drop(c, z->id, "the zone's role changed");
  slot_shown(z);
  z->expired = false;
  z->expires_mono_ns = 0;
  slot_file_trouble(z, NULL);
  if (!slot_is_secondary(z)) { /* its file is read anew; a secondary's first transfer clears this in the store, too */
    source_drop(z->source);
    z->source = NULL;
    z->source_size = 0;
  }
  if (!z->snap || z->durable) slot_trouble(z, NULL);
}

static bool same_file(const struct config_zone *a, const struct config_zone *b) {
  return a->file && b->file ? strcmp(a->file, b->file) == 0 : a->file == b->file;
}

/* What readers see of the zone. Mostly nothing of it is another; but it has to be the new configuration's. */
static enum err show_switched(struct control *c, struct zone_slot *z, bool same) {
  struct name name;
  slot_name(z, &name);
  if (same && !slot_is_secondary(z) && !zone_set_renew_policy(c->zones, &name, &z->plan->policy)) return ERR_OK;
  return slot_publish(c, z);
}

/* The zone goes on under the new configuration: policy, primaries and role may be others. */
static enum err switch_zone(struct control *c, struct zone_slot *z, const struct config_zone *cz) {
  bool was_secondary = slot_is_secondary(z), was_pending = notifier_pending(c->notifier, z->id) > 0;
  bool same = memcmp(&z->plan->options->digest, &cz->options->digest, sizeof cz->options->digest) == 0;
  bool same_source = same_file(z->config, cz);
  struct zone_plan old = *z->plan;
  z->config = cz;
  z->plan = epoch_plan(c->epoch, cz->options);
  if (!z->started) return ERR_OK;           /* of a reload that did not come to it */
  bool others = !same_peers(&old, z->plan); /* a key may have another secret under its old name */
  if (was_secondary != slot_is_secondary(z)) change_role(c, z);
  if (!same || others) { /* whoever is a peer now is told, if he may not know */
    bool tell = z->snap && !z->expired && (was_pending || others);
    notifier_remove(c->notifier, z->id);
    waiters_wake(c, z->id, WAIT_NOTIFY, false, "the configuration changed; the peers it names now are told");
    if (tell) transfers_notify(c, z);
  }
  write_back_due(c, z);
  images_refresh(c, z);
  enum err err = slot_is_secondary(z) ? transfers_configure(c, z) : ERR_OK;
  return err ? err : show_switched(c, z, same && !others && same_source);
}

struct switching {
  struct config_zone const **fresh; /* zones of the new configuration that are not there yet */
  size_t fresh_count;
  bool claimed; /* some were added at run time, and are named by it now */
};

/* Known zones change over; what is left unlisted goes. */
static enum err switch_zones(struct control *c, struct switching *s, struct reload_report *report) {
  const struct config *cfg = c->epoch->config;
  struct zone_slot *z;
  bool claimed = false;
  for (size_t i = 0; (z = registry_next(&c->registry, &i));)
    z->listed = false;
  s->fresh = malloc((cfg->zone_count + 1) * sizeof(*s->fresh));
  if (!s->fresh) return ERR_MEMORY;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < cfg->zone_count; i++) {
    const struct config_zone *cz = &cfg->zones[i];
    z = registry_find(&c->registry, cz->name, name_size(cz->name));
    if (!z) {
      s->fresh[s->fresh_count++] = cz;
      continue;
    }
    z->listed = true;
    claimed = claimed || z->run_time;
    z->run_time = false;
    err = switch_zone(c, z, cz);
  }
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));) {
    const struct config_zone *cz;
    if (z->listed || !z->run_time) continue;
    err = run_time_config(c, z, &cz);
    z->listed = true;
    if (!err) err = switch_zone(c, z, cz);
  }
  for (size_t i = 0; !err && (z = registry_next(&c->registry, &i));) {
    if (z->listed) continue;
    zone_remove(c, z);
    report->removed++;
  }
  s->claimed = claimed;
  return err;
}

static enum err add_zones(struct control *c, const struct switching *s, struct reload_report *report) {
  enum err err = registry_reserve(&c->registry, s->fresh_count);
  for (size_t i = 0; !err && i < s->fresh_count; i++) {
    struct zone_slot *z;
    char text[NAME_TEXT_BYTES];
    err = registry_add(&c->registry, s->fresh[i], &z);
    if (err) break;
    z->plan = epoch_plan(c->epoch, s->fresh[i]->options);
    z->listed = true;
    report->added++;
    log_event(EV_ZONE_ADDED, LOG_TEXT("zone", slot_name_text(z, text)));
  }
  if (err || (report->added == 0 && report->removed == 0 && !s->claimed)) return err;
  err = registry_adopt_store(c);           /* what comes may have been here before, what went is marked */
  return err == ERR_MEMORY ? err : ERR_OK; /* a store that can't be read keeps no new zone from being served */
}

/* One zone's file, if it changed, or for a new zone all of its content. */
static enum err load_zone(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, struct reload_report *report) {
  bool refused = false, fresh = !z->started;
  enum err err = ERR_OK;
  if (fresh) err = zone_start(c, p, z, &refused, &report->text);
  else if (!slot_is_secondary(z)) err = zone_reload_file(c, p, z, force, &refused, &report->text);
  report->refused += refused;
  return err;
}

enum { SLICE_SLOTS = 256 /* some 10 ms if all of these zones are small and have changed */ };

/* The zones of the next slots, in one batch. */
static enum err load_slice(struct control *c, struct reload *r) {
  struct reload_report *report = &r->report;
  struct pipeline *p;
  struct zone_slot *z;
  size_t changed = 0, next = r->next, end = next + SLICE_SLOTS;
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  r->next = end;
  zones_load_begin(c, next, end);
  while (!err && next < end && (z = registry_next(&c->registry, &next)))
    if (next <= end) err = load_zone(c, p, z, r->force, report);
  err = zones_load_end(c, p, err);
  if (err) return err;
  err = pipeline_commit(p, c->now, &changed, &r->why);
  report->changed += changed;
  return err;
}

static bool is_through(const struct control *c, const struct reload *r) {
  size_t next = r->next;
  return !registry_next(&c->registry, &next);
}

/* Goes on in reload_run, unless one slice is all. */
static enum err load_zones(struct control *c, struct reload *r) {
  enum err err = load_slice(c, r);
  if (err == ERR_MEMORY || is_through(c, r)) return err;
  r->author = c->author ? strdup(c->author) : NULL;
  r->comment = c->comment ? strdup(c->comment) : NULL;
  r->pending++;
  c->loading = r;
  return err;
}

void reload_run(struct control *c) {
  struct reload *r = c->loading;
  if (!r) return;
  c->reload = r;
  c->author = r->author;
  c->comment = r->comment;
  enum err err = load_slice(c, r);
  c->reload = NULL;
  c->author = c->comment = NULL;
  if (err && !r->err) r->err = err;
  if (err != ERR_MEMORY && !is_through(c, r)) return;
  c->loading = NULL;
  reload_end(c, r);
}

void reload_cut(struct control *c, const char *why) {
  struct reload *r = c->loading;
  if (!r) return;
  c->loading = NULL;
  r->cut = why;
  reload_end(c, r);
}

/* What was transferred just before is the old zones' still: ids are given anew. */
static enum err settle_arrivals(struct control *c) {
  return c->arrival_count ? transfers_commit(c) : ERR_OK;
}

enum err reload_all(struct control *c, bool force, struct reload *r) {
  struct reload_report *report = &r->report;
  struct epoch *fresh = NULL, *old = c->epoch;
  enum err err = load_epoch(c, &fresh, report);
  c->figures.config_refused = !fresh;
  if (err || !fresh) return err;
  reload_cut(c, "another reload has begun, which reads the rest");
  err = settle_arrivals(c);
  if (err) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory: transfers dropped"));
  c->figures.config_loaded_wall_s = c->now.wall_s;
  struct switching s = {0};
  c->epoch = fresh;
  __atomic_store_n(&c->identity, &fresh->identity, __ATOMIC_RELEASE);
  upkeep_configured(c, &old->config->history);
  err = switch_zones(c, &s, report);
  if (!err) err = add_zones(c, &s, report);
  r->force = force;
  if (!err) err = load_zones(c, r);
  free(s.fresh);
  if (err != ERR_MEMORY) zone_after_grace(epoch_retire, old); /* out of memory half way: something may still point into it */
  r->loaded = true;
  return err;
}

/* ---- what goes on ---- */

enum err reload_begin(struct control *c, struct reload **out) {
  struct reload *r = calloc(1, sizeof *r);
  if (!r) return ERR_MEMORY;
  r->pending = 1;
  source_forget(&c->source_memo);
  *out = c->reload = r;
  return ERR_OK;
}

static void tell_reloaded(struct control *c) {
  if (c->events.reloaded) c->events.reloaded(c->events.arg);
}

void reload_end(struct control *c, struct reload *r) {
  const struct reload_report *report = &r->report;
  if (--r->pending) return;
  if (r->loaded)
    log_event(EV_CONFIG_LOADED, LOG_NUMBER("zones", c->registry.count), LOG_NUMBER("added", report->added),
              LOG_NUMBER("removed", report->removed), LOG_NUMBER("changed", report->changed),
              LOG_NUMBER("refused", report->refused));
  if (r->answer) r->answer(c, r);
  else if (r->err) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "reload"), LOG_TEXT("why", err_text(r->err)));
  if (r->by_signal) tell_reloaded(c);
  buf_done(&r->report.text);
  free(r->author);
  free(r->comment);
  free(r);
}

void reload_begun(struct control *c, struct reload *r, enum err err) {
  c->reload = NULL;
  if (err) r->err = err;
  reload_end(c, r);
}

void control_reload(struct control *c, struct instant now) {
  struct reload *r;
  c->now = now;
  if (c->frozen) { /* the process that takes over reads everything anew */
    tell_reloaded(c);
  } else if (reload_begin(c, &r)) {
    log_event(EV_SERVER_ERROR, LOG_TEXT("what", "reload"), LOG_TEXT("why", err_text(ERR_MEMORY)));
    tell_reloaded(c);
  } else {
    r->by_signal = true;
    reload_begun(c, r, reload_all(c, false, r));
  }
}
