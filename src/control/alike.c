#include "control/alike.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS_MOST = 1000 /* of a zone that is worth it */ };

static void forget(struct alike *a) {
  zone_mover_free(a->mover);
  zone_loaded_done(&a->first);
  a->mover = NULL;
  a->proven = a->unfit = false;
}

void alike_done(struct alike *a) {
  forget(a);
  zonefile_kept_done(&a->kept);
}

/* All of what was loaded but the snapshot, which becomes `snap`. */
static bool copy(const struct zone_loaded *from, struct zone_snap *snap, struct zone_loaded *out) {
  struct zone_source_file *file = malloc(sizeof *file);
  char *path = file ? strdup(from->files[0].path) : NULL;
  if (!path) {
    free(file);
    return false;
  }
  *file = from->files[0];
  file->path = path;
  *out = *from;
  out->files = file;
  out->snap = snap;
  return true;
}

/* The first zone under this one's name. False: it has to be read. */
static bool move(const struct alike *a, const struct zone_slot *z, struct zone_loaded *out) {
  struct name apex;
  struct zone_snap *snap;
  slot_name(z, &apex);
  if (name_is_wildcard(&apex) || zone_mover_make(a->mover, &apex, &snap)) return false;
  if (copy(&a->first, snap, out)) return true;
  zone_snap_unref(snap);
  return false;
}

static void prove(struct alike *a, const struct zone_slot *z, bool clean, const struct zone_loaded *loaded) {
  struct zone_loaded moved;
  bool same_text = clean && loaded->digest.low == a->first.digest.low && loaded->digest.high == a->first.digest.high;
  if (!same_text) {
    a->unfit = true;
  } else if (move(a, z, &moved)) { /* or this one tells nothing of others */
    a->proven = zone_equal(moved.snap, loaded->snap);
    a->unfit = !a->proven;
    zone_loaded_done(&moved);
  }
}

static void take_first(struct alike *a, const struct zone_slot *z, bool clean, const struct zone_loaded *loaded) {
  struct name apex;
  forget(a);
  slot_name(z, &apex);
  bool fit = clean && loaded->file_count == 1 && zone_record_count(loaded->snap) <= RECORDS_MOST && !name_is_wildcard(&apex);
  if (!fit || zone_mover_new(loaded->snap, &a->mover)) return;
  if (copy(loaded, NULL, &a->first)) a->options = z->config->options;
  else forget(a);
}

enum err alike_load(struct alike *a, const struct zone_slot *z, struct diags *diags, struct zone_loaded *out) {
  struct buf scratch = {0};
  bool same =
      a->mover && a->options == z->config->options && strcmp(config_zone_file(z->config, &scratch), a->first.files[0].path) == 0;
  buf_done(&scratch);
  if (same && a->proven && move(a, z, out)) return ERR_OK;
  enum err err = zone_file_load(z, &a->kept, NULL, diags, out);
  bool clean = !err && !diags->count;
  if (!same) take_first(a, z, clean, out);
  else if (!a->proven && !a->unfit) prove(a, z, clean, out);
  return err;
}
