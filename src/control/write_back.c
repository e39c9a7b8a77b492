/* `write-back`: edits go to the zone's file some time after the first of them, many at once. Only what nobody else has changed
 * since it was read is written; of a file changed by hand the reload decides. What was written counts as read: where the zone got
 * further meanwhile, it is the seed from then on. */
#include "base/log.h"
#include "control/whole.h"
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

struct writing {
  struct whole whole;
  struct store *store;
  const char *path;
  struct buf scratch;
  uint8_t *was;      /* what is remembered of the file that is to be replaced */
  struct buf source; /* and of the one that was written */
  struct store_error why;
};

static bool writing_begin(struct control *c, struct whole *w, struct zone_slot *z) {
  struct writing *x = (struct writing *)w;
  if (!z->departed || !slot_writes_back(z) || !source_is_plain(z) || !z->snap || !z->durable) return false;
  x->was = source_share(NULL, z->source, z->source_size);
  if (!x->was) return false;
  x->store = c->store;
  x->path = config_zone_file(z->config, &x->scratch);
  w->wants_image = true;
  return true;
}

static bool is_as_read(void *arg) {
  const struct writing *x = arg;
  struct source_memo memo = {0};
  bool same = source_compare(&x->whole.zone, x->path, &memo) == SOURCE_SAME;
  source_forget(&memo);
  return same;
}

static enum err remember(struct writing *x, const struct buf *text) {
  struct stat st;
  if (stat(x->path, &st)) return ERR_IO;
  struct zone_source_file file = {(char *)(uintptr_t)x->path,
                                  (uint64_t)st.st_size,
                                  zone_load_time_ns(st.st_mtim),
                                  zone_load_time_ns(st.st_ctim),
                                  st.st_dev,
                                  st.st_ino};
  struct zone_loaded l = {.plain = true, .files = &file, .file_count = 1};
  l.digest = zone_load_digest(l.digest, hash128(text->data, text->size));
  return source_encode(&l, x->whole.now, &x->source);
}

static enum err writing_work(struct whole *w) {
  struct writing *x = (struct writing *)w;
  struct buf text = {0};
  w->zone.source = x->was;
  buf_printf(&text, "; written by tandem from its log: version %llu of the zone\n", (unsigned long long)w->zone.version);
  enum err err = is_as_read(x) ? zone_export_buf(w->base, &text) : ERR_EXISTS;
  if (!err) err = store_replace_file(x->store, x->path, text.data, text.size, w->watch, is_as_read, x, &x->why);
  if (!err) err = remember(x, &text);
  buf_done(&text);
  if (err) return err;
  w->next = zone_snap_ref(w->base);
  w->same = true;
  return ERR_OK;
}

/* The log has it that the file is as the zone is, or was. If that fails, the next start finds a file that is as the log is. */
static enum err keep(struct control *c, struct writing *x, struct zone_slot *z, const struct ready *ready) {
  struct whole *w = &x->whole;
  struct ready seed = {.seed = ready->made ? ready->image : NULL};
  struct change_info info = {.door = DOOR_FILE, .source = &x->source};
  size_t changed;
  if (!z->snap || !z->durable) return ERR_AGAIN;
  info.seed_gone = z->version == w->zone.version;
  info.seed = info.seed_gone ? NULL : w->base;
  info.ready = info.seed_gone ? ready : &seed;
  return pipeline_change(c, z, z->snap, &info, &w->note, &changed, &x->why);
}

static void writing_done(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready) {
  struct writing *x = (struct writing *)w;
  char name[NAME_TEXT_BYTES];
  enum err err = w->err ? w->err : keep(c, x, z, ready);
  if (err == ERR_EXISTS) {
    failed(z, EV_WRITE_BACK_REFUSED,
           "the file %.200s was changed by hand, and the zone otherwise: nothing is written back until `tandem reload ZONE` has "
           "merged the two",
           x->path);
  } else if (err) {
    uint64_t again_s = z->config->options->write_back_s;
    failed(z, EV_WRITE_BACK_FAILED, "the zone can't be written back: %.200s", x->why.what[0] ? x->why.what : err_text(err));
    schedule(c, z, again_s > AGAIN_S ? again_s : AGAIN_S);
  } else {
    log_event(EV_WRITE_BACK_DONE, LOG_TEXT("zone", slot_name_text(z, name)), LOG_NUMBER("serial", zone_serial(w->base)),
              LOG_NUMBER("version", w->zone.version), LOG_TEXT("file", x->path));
    slot_file_trouble(z, NULL);
  }
}

/* If there is still something to be written, that is tried another time. */
static void writing_refused(struct control *c, struct whole *w, const char *why, const char *hint) {
  struct zone_slot *z = registry_find(&c->registry, w->name.octets, w->name.size);
  if (z) write_back_due(c, z);
}

static void writing_free(struct whole *w) {
  struct writing *x = (struct writing *)w;
  buf_done(&x->scratch);
  buf_done(&x->source);
  source_drop(x->was);
  free(x);
}

static const struct whole_use writing_use = {.begin = writing_begin,
                                             .work = writing_work,
                                             .done = writing_done,
                                             .refused = writing_refused,
                                             .free = writing_free,
                                             .what = "write-back",
                                             .stays_good = true};

/* Out of memory: its next change tries again. */
static void write_zone(struct control *c, const struct zone_slot *z) {
  struct writing *x = calloc(1, sizeof *x);
  if (!x) return;
  whole_init(c, &x->whole, &writing_use, z, 0);
  x->whole.has_client = false;
  whole_start(c, &x->whole, whole_is_large(c, z, 0));
}

/* True: it waits on. */
static bool run_one(struct control *c, struct zone_slot *z) {
  if (z->write_ns > c->now.mono_ns) {
    if (z->write_ns < c->upkeep.write_ns) c->upkeep.write_ns = z->write_ns;
    return true;
  }
  z->write_ns = 0;
  write_zone(c, z);
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
