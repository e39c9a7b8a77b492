/* Reading a zone's file. Where the file alone changes the zone, it is law. Where there are other writers, the log is the truth and
 * the file seeds it: once the log goes its own way, the store keeps the file's content as it was read, and what has changed in the
 * file since then is merged in (merge.h), or all of it refused. No seed: the log is as the file was. */
#include "base/log.h"
#include "control/control_priv.h"
#include "control/merge.h"
#include "control/serial.h"
#include "control/zone_load.h"
#include "zone/check.h"
#include "zonefile/zonefile.h"

#include <stdlib.h>
#include <string.h>

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
  struct zone_slot *slot;
  const char *path;
  struct diags *diags;
};

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
static enum err merge(struct control *c, struct merging *m, const struct zone_snap *head, struct zone_snap *file,
                      struct zone_snap **out) {
  struct store_image image;
  struct store_error why = {""};
  struct zone_snap *seed = NULL;
  struct zone_check_totals totals;
  struct zone_check_options all = {0};
  store_seed_of(c->store, m->slot->store_id, &image);
  enum err err = store_open_image(c->store, &image, &seed, &why);
  if (err) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "conflict", force_hint,
             "what the file was when it was read last is not known any more: %s", why.what);
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

/* Whether the two are equal but for the serial. */
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
static enum err settle(struct control *c, struct zone_slot *z, const struct zone_snap *head, bool force, struct merging *m,
                       struct zone_snap *file, struct zone_snap **out) {
  bool known = z->source && z->source_size; /* else what the zone has came another way, and not from this file */
  bool empty = !head && !z->head;
  bool law = force || empty || !config_zone_has_writers(z->config->options) || (known && !z->departed);
  if (!law && !head) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "unread", unread_hint,
             "the zone has changes that did not come from this file, and what the store has of it can't be read");
    return ERR_FORMAT;
  }
  if (!law && z->departed) return merge(c, m, head, file, out);
  if (!law && !same_content(file, head)) {
    diag_add(m->diags, SEVERITY_ERROR, (struct place){m->path, 0, 0}, "conflict", force_hint,
             "the zone has content that did not come from this file, and the file has other content");
    return ERR_FORMAT;
  }
  *out = zone_snap_ref(file);
  return ERR_OK;
}

static enum err queue_loaded(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, struct merging *m,
                             struct zone_loaded *l, struct buf *note) {
  struct buf source = {0};
  struct zone_snap *next = NULL;
  const struct zone_snap *head = pipeline_head(p, z);
  enum err err = settle(c, z, head, force, m, l->snap, &next);
  if (err) return err;
  struct change_info info = {.door = DOOR_FILE, .comment = c->comment, .source = &source, .fresh_serial = true};
  info.author = c->author ? c->author : l->file_count ? l->files[0].path : "";
  if (next == l->snap || same_content(l->snap, next)) info.seed_gone = z->departed;
  else info.seed = l->snap;
  err = source_encode(l, c->now, &source);
  if (err) zone_snap_unref(next);
  else err = pipeline_add(p, z, next, &info, c->now, note);
  buf_done(&source);
  return err;
}

static enum err read_file(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, const char *path, bool *refused,
                          struct buf *note) {
  const struct config_zone_options *options = z->config->options;
  struct diags diags = {0};
  struct zone_loaded loaded = {0};
  struct merging m = {z, path, &diags};
  enum err err;
  if (!preload_take(c, z, &diags, &loaded, &err)) err = zone_file_load(z, NULL, &diags, &loaded);
  if (!err && diags.warnings && options->check == CONFIG_CHECK_STRICT) err = ERR_FORMAT;
  bool wrong = err && err != ERR_MEMORY;
  if (!err) {
    slot_trouble(z, NULL);
    err = queue_loaded(c, p, z, force, &m, &loaded, note);
    wrong = err && diags.errors;
  }
  log_findings(&diags, note);
  if (err) refused_trouble(z, &diags, err);
  else slot_file_trouble(z, NULL);
  *refused = err != ERR_OK;
  if (wrong) err = ERR_OK;
  diags_done(&diags);
  zone_loaded_done(&loaded);
  return err;
}

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
  enum err err = ERR_OK;
  /* What was refused last time is said again as long as it is wrong. */
  bool again = z->trouble || z->file_trouble || !z->snap || (force && z->departed) || (slot_writes_back(z) && !source_is_plain(z));
  if (again || source_compare(z, path, &c->source_memo) == SOURCE_CHANGED) err = read_file(c, p, z, force, path, refused, note);
  buf_done(&scratch);
  return err;
}
