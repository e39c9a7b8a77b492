/* An image written while batches go on: by another thread, into a segment of its own, which no row names until a batch takes it. A
 * crash before leaves a file that the next start deletes. */
#include "store/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum err store_aside_begin(struct store *s, uint64_t zone, const struct zone_snap *snap, struct store_aside **out) {
  if (s->batch || s->reading) return ERR_AGAIN; /* a batch numbers segments, too */
  const struct zone_row *row = zone ? zones_find(s, zone) : NULL;
  struct store_aside *a = calloc(1, sizeof *a);
  if (!a) return ERR_MEMORY;
  a->store = s;
  if (snap) a->snap = zone_snap_ref(snap);
  a->err = ERR_CLOSED;
  a->image.segment = ++s->last_segment;
  if (row) {
    a->head = row->head;
    a->serial = row->serial;
  }
  *out = a;
  return ERR_OK;
}

void store_aside_content(struct store_aside *a, const struct zone_snap *snap) {
  assert(!a->snap);
  a->snap = zone_snap_ref(snap);
}

static enum err fail(struct store_aside *a, enum err err) {
  if (errno == ECANCELED && err == ERR_IO) err = ERR_CLOSED;
  if (err == ERR_CLOSED) store_fail(&a->error, err, "the zone's image was given up");
  else if (err == ERR_IO) store_fail_write(&a->error, err, "a segment file");
  else store_fail(&a->error, err, "a zone's image can't be made: %s", err_text(err));
  a->err = err;
  return err;
}

static void remove_file(const struct store_aside *a) {
  char name[FILE_NAME_BYTES];
  segment_name(a->image.segment, name);
  (void)a->store->env.ops->remove(a->store->segments_fd, name);
}

enum err store_aside_write(struct store_aside *a, const struct store_watch *watch) {
  struct file_out o;
  struct store *s = a->store;
  enum err err = segment_begin(s, a->image.segment, &o);
  if (err) return fail(a, err);
  o.watch = watch;
  err = segment_append(&o, a->snap, &a->image);
  if (err) {
    int error = o.error; /* what kept the sink from taking it */
    file_out_abort(&o);
    errno = error;
    return fail(a, err);
  }
  a->file_bytes = o.size_bytes;
  err = file_out_finish(&o);
  if (err) return fail(a, err);
  a->err = ERR_OK;
  return ERR_OK;
}

void store_aside_end(struct store_aside *a) {
  if (!a) return;
  if (!a->err && a->image.segment) remove_file(a);
  zone_snap_unref(a->snap);
  free(a);
}

unsigned store_aside_commits(const struct store_aside *a) {
  return atomic_load_explicit(&a->store->commits, memory_order_relaxed);
}
