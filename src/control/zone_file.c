/* Reading a zone's file. Where the file alone changes the zone, it is law. Where there are other writers, the log is the truth and
 * the file seeds it: once the log goes its own way, the store keeps the file's content as it was read, and what has changed in the
 * file since then is merged in (merge.h), or all of it refused. No seed: the log is as the file was. */
#include "base/log.h"
#include "control/merge.h"
#include "control/serial.h"
#include "control/whole.h"
#include "control/zone_load.h"
#include "zone/check.h"
#include "zonefile/zonefile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what was found ---- */

static void log_findings(const struct diags *d, struct buf *note) {
  for (size_t i = 0; i < d->count; i++) {
    struct buf line = {0};
    diag_print(&d->list[i], &line);
    buf_add_text(note, buf_text(&line));
    if (line.size && line.data[line.size - 1] == '\n') line.data[--line.size] = 0;
    log_event(d->list[i].severity == SEVERITY_ERROR ? EV_ZONE_REFUSED : EV_ZONE_WARNING, LOG_TEXT("what", buf_text(&line)));
    buf_done(&line);
  }
}

static void refused_trouble(struct zone_slot *z, const struct diags *d, enum err err) {
  struct buf text = {0};
  for (size_t i = 0; i < d->count; i++) { /* the first error says most */
    if (d->list[i].severity != SEVERITY_ERROR) continue;
    diag_print(&d->list[i], &text);
    break;
  }
  if (!text.size) buf_add_text(&text, d->warnings ? "warnings refuse the file (check: strict)" : err_text(err));
  if (text.data[text.size - 1] == '\n') text.data[--text.size] = 0;
  if (d->errors > 1) buf_printf(&text, " (and %zu more)", d->errors - 1);
  slot_file_trouble(z, buf_text(&text));
  buf_done(&text);
}

/* ---- merging ---- */

static const char force_hint[] = "change the file, or take it as it is with `tandem reload ZONE --force`";

/* Where the file has what is told, or at least its first record of the RRset; nowhere if it has none. */
struct locate {
  const struct merge_conflict *conflict;
  struct place place;
  char *file;
  bool exact;
};

static bool locate_record(void *arg, const struct zonefile_record *r) {
  struct locate *l = arg;
  if (r->type != l->conflict->type || !name_equal(&r->owner, l->conflict->owner)) return true;
  struct buf text = {0};
  rr_rdata_text(r->type, r->rdata, r->rdata_size, &text);
  l->exact = strstr(l->conflict->file, buf_text(&text)) != NULL;
  buf_done(&text);
  if (l->file && !l->exact) return true;
  free(l->file);
  l->file = strdup(r->place.file);
  l->place = (struct place){l->file, r->place.line, r->place.column};
  return l->file && !l->exact;
}

struct merging {
  const struct zone_slot *slot;
  const char *path;
  struct diags *diags;
  struct store_image image; /* of the seed, if there is one */
  struct store_found seed;
  enum err seed_err;
  struct store_error why;
};

/* What the file was when it was read last, to be opened by whoever merges. */
static void find_seed(struct control *c, const struct zone_slot *z, struct merging *m) {
  store_found_done(&m->seed);
  if (!z->departed) return;
  store_seed_of(c->store, z->store_id, &m->image);
  m->seed_err = store_find_image(c->store, &m->image, &m->seed, &m->why);
}

static void tell_conflict(void *arg, const struct merge_conflict *conflict) {
  struct merging *m = arg;
  struct locate l = {.conflict = conflict, .place = {m->path, 0, 0}};
  struct zonefile_options o = {.include_root = m->slot->config->options->include_root, .record = locate_record, .arg = &l};
  struct diags again = {0};
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  slot_name(m->slot, &o.origin);
  if (m->diags->count < LIMIT_DIAGS) {
    enum err ignored = zonefile_scan(m->path, &o, &again); /* should the file have changed, a place is missing and nothing else */
    (void)ignored;
  }
  diags_done(&again);
  diag_add(m->diags, SEVERITY_ERROR, l.place, "conflict", force_hint,
           "%s %s was changed on both sides; in the file: %s; in the zone: %s", name_text(conflict->owner, owner),
           rr_type_text(conflict->type, type), conflict->file, conflict->zone);
  free(l.file);
}

static bool add_finding(void *arg, const struct zone_finding *f) {
  struct merging *m = arg;
  const struct zone_check_row *row = zone_check_row(f->check);
  if (f->severity == SEVERITY_ERROR)
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, row->name, row->hint, "with the zone's own changes: %s",
             f->what);
  return true;
}

/* The file's changes on what the zone has. ERR_FORMAT: refused, and `diags` say why. */
static enum err merge(struct merging *m, const struct zone_snap *head, struct zone_snap *file, struct zone_snap **out) {
  struct zone_snap *seed = NULL;
  struct zone_check_totals totals;
  struct zone_check_options all = {0};
  enum err err = m->seed_err;
  if (!err) err = store_open_found(&m->seed, &m->image, &seed, &m->why);
  if (err) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "conflict", force_hint,
             "what the file was when it was read last is not known any more: %s", m->why.what);
    return ERR_FORMAT;
  }
  err = zone_merge(seed, file, head, tell_conflict, m, out);
  zone_snap_unref(seed);
  if (err && err != ERR_REFUSED && err != ERR_MEMORY)
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "conflict", force_hint, "the changes don't fit: %s",
             err_text(err));
  if (err) return err == ERR_MEMORY ? err : ERR_FORMAT;
  err = zone_check(*out, &all, add_finding, m, &totals);
  if (!err && totals.errors) err = ERR_FORMAT;
  if (!err) return ERR_OK;
  zone_snap_unref(*out);
  *out = NULL;
  return err;
}

/* ---- reading ---- */

/* Whether the two are equal but for the serial. The second is built on for a moment. */
static bool same_content(const struct zone_snap *a, const struct zone_snap *b) {
  struct zone_snap *renumbered;
  if (zone_serial(a) == zone_serial(b)) return zone_equal(a, b);
  if (serial_set(b, zone_serial(a), &renumbered)) return false;
  bool same = zone_equal(a, renumbered);
  zone_snap_unref(renumbered);
  return same;
}

static const char unread_hint[] = "restart when the disk is well again, or `tandem rebuild ZONE`, or restore a backup; "
                                  "`tandem reload ZONE --force` takes the file, without what came after it";

/* What the zone becomes by its file. */
static enum err settle(const struct zone_slot *z, const struct zone_snap *head, bool force, struct merging *m,
                       struct zone_snap *file, struct zone_snap **out) {
  bool known = z->source && z->source_size; /* else what the zone has came another way, and not from this file */
  bool empty = !head && !z->head;
  bool law = force || empty || !config_zone_has_writers(z->config->options) || (known && !z->departed);
  if (!law && !head) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "unread", unread_hint,
             "the zone has changes that did not come from this file, and what the store has of it can't be read");
    return ERR_FORMAT;
  }
  if (!law && z->departed) return merge(m, head, file, out);
  if (!law && !same_content(head, file)) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "conflict", force_hint,
             "the zone has content that did not come from this file, and the file has other content");
    return ERR_FORMAT;
  }
  *out = zone_snap_ref(file);
  return ERR_OK;
}

/* The version goes into the batch, with what is to be remembered of the file as it was read at `read_at`. `next` is taken over. */
static enum err queue_file(struct control *c, struct pipeline *p, struct zone_slot *z, const struct zone_loaded *l,
                           const struct zone_snap *next, struct change_info *info, struct instant read_at, struct buf *note) {
  struct buf source = {0};
  info->door = DOOR_FILE;
  info->source = &source;
  info->fresh_serial = true;
  if (!info->author) info->author = l->file_count ? l->files[0].path : "";
  if (!info->seed) info->seed_gone = z->departed;
  enum err err = source_encode(l, read_at, &source);
  if (err) zone_snap_unref(next);
  else err = pipeline_add(p, z, next, info, c->now, note);
  buf_done(&source);
  return err;
}

static enum err queue_loaded(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, struct merging *m,
                             struct zone_loaded *l, struct buf *note) {
  struct zone_snap *next = NULL;
  struct change_info info = {.author = c->author, .comment = c->comment};
  find_seed(c, z, m);
  enum err err = settle(z, pipeline_head(p, z), force, m, l->snap, &next);
  store_found_done(&m->seed);
  if (err) return err;
  if (next != l->snap && !same_content(l->snap, next)) info.seed = l->snap;
  return queue_file(c, p, z, l, next, &info, c->now, note);
}

/* What was found is said, and kept with the zone. */
static void say_findings(struct zone_slot *z, const struct diags *diags, enum err err, struct buf *note) {
  log_findings(diags, note);
  if (err) refused_trouble(z, diags, err);
  else slot_file_trouble(z, NULL);
}

static enum err read_file(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, const char *path, bool *refused,
                          struct buf *note) {
  const struct config_zone_options *options = z->config->options;
  struct diags diags = {0};
  struct zone_loaded loaded = {0};
  struct merging m = {.slot = z, .path = path, .diags = &diags};
  enum err err;
  if (!preload_take(c, z, &diags, &loaded, &err)) err = zone_file_load(z, NULL, NULL, &diags, &loaded);
  if (!err && diags.warnings && options->check == CONFIG_CHECK_STRICT) err = ERR_FORMAT;
  bool wrong = err && err != ERR_MEMORY;
  if (!err) {
    slot_trouble(z, NULL);
    err = queue_loaded(c, p, z, force, &m, &loaded, note);
    wrong = err && diags.errors;
  }
  say_findings(z, &diags, err, note);
  *refused = err != ERR_OK;
  if (wrong) err = ERR_OK;
  diags_done(&diags);
  zone_loaded_done(&loaded);
  return err;
}

/* ---- reading aside ---- */

struct whole_file {
  struct whole whole;
  struct reload *reload; /* that waits for it */
  bool force, is_read;
  struct instant read_at;
  struct buf path;
  struct diags diags;
  struct zone_loaded loaded;
  struct merging merging;
};

/* What was refused last time is said again as long as it is wrong. */
static bool is_read_again(const struct zone_slot *z, bool force) {
  return z->trouble || z->file_trouble || !z->snap || (force && z->departed) || (slot_writes_back(z) && !source_is_plain(z));
}

static bool file_begin(struct control *c, struct whole *w, struct zone_slot *z) {
  struct whole_file *f = (struct whole_file *)w;
  const char *path = config_zone_file(z->config, &f->path);
  if (!f->is_read) f->read_at = c->now;
  f->merging = (struct merging){.slot = &w->zone, .path = path, .diags = &f->diags, .seed = f->merging.seed};
  find_seed(c, z, &f->merging);
  w->may_seed = z->departed && !f->force;
  w->wants_image = config_zone_has_writers(z->config->options);
  return true;
}

static enum err file_read(struct whole_file *f) {
  const struct zone_slot *z = &f->whole.zone;
  enum err err = zone_file_load(z, NULL, &f->whole, &f->diags, &f->loaded);
  return !err && f->diags.warnings && z->config->options->check == CONFIG_CHECK_STRICT ? ERR_FORMAT : err;
}

/* A merge builds on what the zone is, and only the control thread may do that: it gets a copy. */
static enum err file_settle(struct whole_file *f) {
  struct whole *w = &f->whole;
  struct zone_snap *copy = NULL, *next = NULL;
  enum err err = w->base && w->may_seed ? whole_copy(w->base, &copy) : ERR_OK;
  if (!err) err = settle(&w->zone, copy ? copy : w->base, f->force, &f->merging, f->loaded.snap, &next);
  zone_snap_unref(copy);
  if (err) return err;
  w->seed = next != f->loaded.snap && !same_content(f->loaded.snap, next) ? f->loaded.snap : NULL;
  return whole_settle(w, next, true);
}

static enum err file_work(struct whole *w) {
  struct whole_file *f = (struct whole_file *)w;
  enum err err = f->is_read ? ERR_OK : file_read(f);
  f->is_read = true;
  return err || w->next ? err : file_settle(f);
}

static enum err file_commit(struct control *c, struct whole_file *f, struct zone_slot *z, const struct ready *ready) {
  struct whole *w = &f->whole;
  struct reload_report *report = &f->reload->report;
  struct change_info info = {.author = w->author, .comment = w->comment, .seed = w->seed, .ready = ready};
  struct pipeline *p;
  size_t changed = 0;
  slot_trouble(z, NULL);
  buf_add(&report->text, w->note.data, w->note.size);
  enum err err = pipeline_begin(c, &p);
  if (err) return err;
  err = queue_file(c, p, z, &f->loaded, zone_snap_ref(w->next), &info, f->read_at, &report->text);
  if (err) {
    pipeline_abort(p);
    return err;
  }
  struct store_error why = {""};
  enum err kept = pipeline_commit(p, c->now, &changed, &why);
  if (kept && !f->reload->err) { /* the first one is told */
    f->reload->err = kept;
    f->reload->why = why;
  }
  report->changed += changed;
  return ERR_OK;
}

static void file_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  struct whole_file *f = (struct whole_file *)w;
  struct reload *r = f->reload;
  enum err err = w->err ? w->err : file_commit(c, f, z, ready);
  say_findings(z, &f->diags, err, &r->report.text);
  r->report.refused += err != ERR_OK;
  if (!z->snap && slot_publish(c, z)) log_event(EV_SERVER_ERROR, LOG_TEXT("what", "out of memory while publishing"));
  f->reload = NULL;
  reload_end(c, r);
}

static void file_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  struct whole_file *f = (struct whole_file *)w;
  struct reload *r = f->reload;
  char name[NAME_TEXT_BYTES];
  buf_printf(&r->report.text, "%s: %s%s%s\n", name_text(&w->name, name), why, *hint ? "; " : "", hint);
  r->report.refused++;
  f->reload = NULL;
  reload_end(c, r);
}

static void file_free(struct whole *w) {
  struct whole_file *f = (struct whole_file *)w;
  store_found_done(&f->merging.seed);
  diags_done(&f->diags);
  zone_loaded_done(&f->loaded);
  buf_done(&f->path);
  free(f);
}

static const struct whole_use file_use = {
    .begin = file_begin, .work = file_work, .done = file_done, .refused = file_refused, .free = file_free, .what = "its file"};

bool zone_file_is_aside(const struct control *c, const struct zone_slot *z) {
  struct stat st;
  struct buf scratch = {0};
  bool aside = c->reload && c->events.image && !c->images.off && stat(config_zone_file(z->config, &scratch), &st) == 0 &&
               whole_is_large(c, z, (uint64_t)st.st_size);
  buf_done(&scratch);
  return aside;
}

static enum err read_aside(struct control *c, struct zone_slot *z, bool force) {
  struct whole_file *f = calloc(1, sizeof *f);
  if (!f) return ERR_MEMORY;
  whole_init(c, &f->whole, &file_use, z, c->reload->token);
  f->whole.has_client = c->reload->answer != NULL;
  f->force = force;
  if (!whole_start_aside(c, &f->whole)) {
    whole_free(&f->whole);
    return ERR_MEMORY;
  }
  f->reload = c->reload;
  f->reload->pending++;
  return ERR_OK;
}

/* ---- the one or the other ---- */

static const char managed_empty[] = "it has no content yet: `tandem import ZONE FILE` or `tandem edit ZONE` gives it some";
static const char managed_unread[] = "what the store has of it can't be read: restart when the disk is well again, or `tandem "
                                     "rebuild ZONE`, `tandem import ZONE FILE`, or restore a backup";

enum err zone_reload_file(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, bool *refused, struct buf *note) {
  struct buf scratch = {0};
  if (z->config->options->managed) {
    if (!z->snap) slot_trouble(z, z->head ? managed_unread : managed_empty);
    return ERR_OK;
  }
  const char *path = config_zone_file(z->config, &scratch);
  bool aside = zone_file_is_aside(c, z);
  enum err err = ERR_OK;
  if (is_read_again(z, force) || source_compare(z, path, aside ? NULL : &c->source_memo) == SOURCE_CHANGED)
    err = aside ? read_aside(c, z, force) : read_file(c, p, z, force, path, refused, note);
  buf_done(&scratch);
  return err;
}
