/* `write-back`: edits go to the zone's file some time after the first of them, many at once. Only what nobody else has changed
 * since it was read is written; of a file changed by hand the reload decides. What was written counts as read. */
#include "base/log.h"
#include "control/control_priv.h"
#include "control/zone_export.h"
#include "control/zone_load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { AGAIN_S = 60 /* after a failure, at least */ };

/* Among those that wait. */
static bool enlist(struct upkeep *u, uint32_t zone_id) {
  if (u->write_count == u->write_capacity) {
    size_t capacity = u->write_capacity ? 2 * u->write_capacity : 16;
    uint32_t *list = realloc(u->write_list, capacity * sizeof *list);
    if (!list) return false;
    u->write_list = list;
    u->write_capacity = capacity;
  }
  u->write_list[u->write_count++] = zone_id;
  return true;
}

/* Out of memory: its next change tries again. */
static void schedule(struct control *c, struct zone_slot *z, uint64_t seconds) {
  if (!enlist(&c->upkeep, z->id)) return;
  z->write_ns = c->now.mono_ns + seconds * NS_PER_S;
  if (z->write_ns < c->upkeep.write_ns) c->upkeep.write_ns = z->write_ns;
}

void write_back_due(struct control *c, struct zone_slot *z) {
  if (z->departed && !z->write_ns && slot_writes_back(z)) schedule(c, z, z->config->options->write_back_s);
}

static void failed(struct zone_slot *z, enum log_event event, const char *format, const char *what) {
  struct buf text = {0};
  char name[NAME_TEXT_BYTES];
  buf_printf(&text, format, what);
  log_event(event, LOG_TEXT("zone", slot_name_text(z, name)), LOG_TEXT("what", buf_text(&text)));
  slot_file_trouble(z, buf_text(&text));
  buf_done(&text);
}

struct target {
  const struct zone_slot *slot;
  const char *path;
};

static bool is_as_read(void *arg) {
  const struct target *t = arg;
  struct source_memo memo = {0};
  bool same = source_compare(t->slot, t->path, &memo) == SOURCE_SAME;
  source_forget(&memo);
  return same;
}

/* The log has it that the file is as the zone is. */
static enum err keep(struct control *c, struct zone_slot *z, const char *path, const struct buf *text, struct store_error *why) {
  struct stat st;
  struct buf source = {0}, note = {0};
  struct pipeline *p;
  size_t changed;
  if (stat(path, &st)) return ERR_IO;
  struct zone_source_file file = {(char *)(uintptr_t)path,
                                  (uint64_t)st.st_size,
                                  zone_load_time_ns(st.st_mtim),
                                  zone_load_time_ns(st.st_ctim),
                                  st.st_dev,
                                  st.st_ino};
  struct zone_loaded l = {.plain = true, .files = &file, .file_count = 1};
  l.digest = zone_load_digest(l.digest, hash128(text->data, text->size));
  enum err err = source_encode(&l, c->now, &source);
  struct change_info info = {.door = DOOR_FILE, .source = &source, .seed_gone = true};
  if (!err) err = pipeline_begin(c, &p);
  if (!err) {
    err = pipeline_add(p, z, zone_snap_ref(z->snap), &info, c->now, &note);
    if (err) pipeline_abort(p);
    else err = pipeline_commit(p, c->now, &changed, why);
  }
  buf_done(&source);
  buf_done(&note);
  return err;
}

static void write_zone(struct control *c, struct zone_slot *z) {
  struct buf path = {0}, text = {0};
  struct store_error why = {""};
  struct target t = {z, config_zone_file(z->config, &path)};
  buf_printf(&text, "; written by tandem from its log: version %llu of the zone\n", (unsigned long long)z->version);
  enum err err = is_as_read(&t) ? zone_export_buf(z->snap, &text) : ERR_EXISTS;
  if (!err) err = store_replace_file(c->store, t.path, text.data, text.size, is_as_read, &t, &why);
  if (!err) err = keep(c, z, t.path, &text, &why); /* if that fails, the next start finds a file that is as the log is */
  if (err == ERR_EXISTS) {
    failed(z, EV_WRITE_BACK_REFUSED,
           "the file %.200s was changed by hand, and the zone otherwise: nothing is written back until `tandem reload ZONE` has "
           "merged the two",
           t.path);
  } else if (err) {
    uint64_t again_s = z->config->options->write_back_s;
    failed(z, EV_WRITE_BACK_FAILED, "the zone can't be written back: %.200s", why.what[0] ? why.what : err_text(err));
    schedule(c, z, again_s > AGAIN_S ? again_s : AGAIN_S);
  } else {
    char name[NAME_TEXT_BYTES];
    log_event(EV_WRITE_BACK_DONE, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("serial", zone_serial(z->snap)),
              LOG_NUMBER("version", z->version), LOG_TEXT("file", t.path));
    slot_file_trouble(z, NULL);
  }
  buf_done(&path);
  buf_done(&text);
}

/* True: it waits on. */
static bool run_one(struct control *c, struct zone_slot *z) {
  if (z->write_ns > c->now.mono_ns) {
    if (z->write_ns < c->upkeep.write_ns) c->upkeep.write_ns = z->write_ns;
    return true;
  }
  z->write_ns = 0;
  if (z->departed && slot_writes_back(z) && source_is_plain(z) && z->snap && z->durable) write_zone(c, z);
  return false;
}

/* A number may stand there twice, or for a zone that went since. What is written may have to wait again, behind all others. */
void write_back_run(struct control *c) {
  struct upkeep *u = &c->upkeep;
  size_t count = u->write_count, kept = 0;
  u->write_ns = UINT64_MAX;
  for (size_t i = 0; i < count; i++) {
    struct zone_slot *z = c->registry.slots[u->write_list[i]];
    if (z && z->write_ns && run_one(c, z)) u->write_list[kept++] = z->id;
  }
  memmove(u->write_list + kept, u->write_list + count, (u->write_count - count) * sizeof *u->write_list);
  u->write_count -= count - kept;
}
