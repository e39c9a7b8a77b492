/* Housekeeping: heads into the log, images of many small or mostly dead segments moved into one, deleted zones forgotten, and
 * the files and rows that nothing names any more deleted. Rows go first and files after: a crash in between leaves files without
 * rows, which the next start deletes. */
#include "store/store_priv.h"

#include "base/mutation.h"

#include <stdlib.h>

enum {
  SMALL_SEGMENT_BYTES = 1 << 20,
  SMALL_SEGMENTS_MOST = 64,           /* so many small ones may stand around before they are put together */
  SPARSE_SHARE = 4,                   /* a bigger one is given up when less than 1/4 of it is in use */
  MOVE_BYTES_MOST = 64 * 1024 * 1024, /* copied in one sweep */
};

/* A round that was under way covers less than the last changes: then a second one does. */
enum err sweep_heads(struct store *s, struct store_error *error) {
  for (int round = 0; round < 2 && s->sweep.mark < s->last_seq; round++) {
    enum err err = store_transaction_begin(s, error);
    if (err) return err;
    while (!err && !s->sweep.done)
      err = zones_sweep_step(s, SIZE_MAX, error);
    if (!err) err = store_transaction_end(s, 0, error);
    if (err) db_rollback(&s->db);
    zones_swept(s, !err);
    if (err) return err;
  }
  return ERR_OK;
}

void sweep_segments(struct store *s, bool (*keep)(const struct segment *)) {
  bool removed = false;
  for (size_t i = s->segments.count; i > 0; i--) {
    struct segment *segment = &s->segments.list[i - 1];
    char name[FILE_NAME_BYTES];
    if (keep(segment) && !(MUTATION(SWEEP_NAMED) && segment->number + 2 < s->last_segment)) continue;
    segment_name(segment->number, name);
    if (segment->size_bytes && s->env.ops->remove(s->segments_fd, name)) continue;
    segment_drop(&s->segments, segment->number);
    removed = true;
  }
  if (removed) (void)s->env.ops->sync_dir(s->segments_fd); /* a file that comes back is removed at the next start */
}

/* ---- moving images together ---- */

static bool is_sparse(const struct segment *segment) {
  return segment->size_bytes > SMALL_SEGMENT_BYTES && segment->live_bytes < segment->size_bytes / SPARSE_SHARE;
}

static bool is_small(const struct segment *segment) {
  return segment->size_bytes && segment->size_bytes <= SMALL_SEGMENT_BYTES;
}

/* Whether its segment is one to be given up. */
static bool is_to_move(const struct store *s, const struct store_image *image, bool small) {
  const struct segment *segment = image->segment ? segment_find(&s->segments, image->segment) : NULL;
  return segment && (is_sparse(segment) || (small && is_small(segment)));
}

/* Newest images first, then those that history keeps. A damaged one stays where it is; other failures are told by the commit. */
static enum err move_images(struct store *s, bool small, struct store_error *error) {
  struct store_batch *b;
  uint64_t moved_bytes = 0;
  enum err err = store_batch_begin(s, &b);
  if (err) return store_fail(error, err, "the log takes no changes: %s", err_text(err));
  for (size_t i = 0; i < s->zones.count + s->kept.count && moved_bytes < MOVE_BYTES_MOST; i++) {
    const struct zone_row *row = i < s->zones.count ? &s->zones.rows[i] : NULL;
    const struct kept *k = row ? NULL : &s->kept.list[i - s->zones.count];
    const struct store_image *image = row ? &row->image : &k->image;
    if (!is_to_move(s, image, small)) continue;
    err = row ? batch_move(b, row->id) : batch_move_kept(b, k);
    if (!err) moved_bytes += image->size_bytes;
    else if (err != ERR_CORRUPT) break;
  }
  return store_batch_commit(b, error);
}

static enum err move_together(struct store *s, struct store_error *error) {
  size_t small = 0, sparse = 0;
  for (size_t i = 0; i < s->segments.count; i++) {
    const struct segment *segment = &s->segments.list[i];
    if (!segment->images) continue;
    small += is_small(segment);
    sparse += is_sparse(segment);
  }
  return small > SMALL_SEGMENTS_MOST || sparse ? move_images(s, small > SMALL_SEGMENTS_MOST, error) : ERR_OK;
}

/* ---- forgetting ---- */

static enum err deleted_at(struct store *s, uint64_t zone, int64_t *at_s, struct store_error *error) {
  sqlite3_stmt *st = DB_BIND(&s->db, ST_ZONE_DELETED_AT, DB_INT(zone));
  bool row = false;
  enum err err = db_step(&s->db, st, &row, error);
  if (!err) *at_s = row ? sqlite3_column_int64(st, 0) : INT64_MIN;
  db_end(st);
  return err;
}

/* Of a forgotten zone the log keeps name and last version, so that no version is ever used twice; once the name has a newer row not
 * even that. */
static enum err bury(struct store *s, const struct zone_row *row, struct store_error *error) {
  enum err err = zones_write_row(s, row, error);
  if (!err && row->snapshot) err = DB_RUN(&s->db, error, ST_SNAPSHOT_DELETE, DB_INT(row->snapshot));
  for (size_t i = 0; !err && i < s->kept.count; i++)
    if (s->kept.list[i].zone == row->id) err = DB_RUN(&s->db, error, ST_SNAPSHOT_DELETE, DB_INT(s->kept.list[i].snapshot));
  if (!err) err = DB_RUN(&s->db, error, ST_ZONE_REPLACED, DB_INT(row->id));
  if (!err) err = DB_RUN(&s->db, error, ST_ZONE_BURY, DB_INT(row->id));
  return err;
}

static enum err bury_deleted(struct store *s, int64_t before_s, struct id_list *buried, struct store_error *error) {
  enum err err = ERR_OK;
  for (size_t i = 0; !err && s->zones.deleted && i < s->zones.count; i++) {
    const struct zone_row *row = &s->zones.rows[i];
    int64_t at_s;
    if (row->state != STORE_ZONE_DELETED) continue;
    err = deleted_at(s, row->id, &at_s, error);
    if (err || at_s >= before_s) continue;
    err = bury(s, row, error);
    if (!err && !id_list_add(buried, row->id)) err = store_fail(error, ERR_MEMORY, "out of memory for deleted zones");
  }
  return err;
}

static void forget_kept(struct store *s, uint64_t zone) {
  for (size_t i = s->kept.count; i > 0; i--) {
    struct kept *k = &s->kept.list[i - 1];
    if (k->zone != zone) continue;
    segment_count(s, &k->image, false);
    kept_remove(&s->kept, k);
  }
}

/* `buried` is ascending, as the table is. */
static void forget_rows(struct store *s, const struct id_list *buried) {
  size_t kept = 0, next = 0;
  if (!buried->count) return;
  for (size_t i = 0; i < s->zones.count; i++) {
    struct zone_row *row = &s->zones.rows[i];
    if (next < buried->count && buried->list[next] == row->id) {
      segment_count(s, &row->image, false);
      forget_kept(s, row->id);
      retain_settled(s, row);
      s->zones.deleted--;
      s->retain.whole = true;
      next++;
      continue;
    }
    s->zones.rows[kept++] = *row;
  }
  s->zones.count = kept;
}

static enum err sweep_rows(struct store *s, int64_t before_s, struct store_error *error) {
  struct id_list buried = {0};
  enum err err = store_transaction_begin(s, error);
  if (err) return err;
  err = bury_deleted(s, before_s, &buried, error);
  for (size_t i = 0; !err && i < s->stale.count; i++)
    err = DB_RUN(&s->db, error, ST_SNAPSHOT_DELETE, DB_INT(s->stale.list[i]));
  if (!err && !buried.count && !s->stale.count) db_rollback(&s->db);
  else if (!err) err = store_transaction_end(s, 0, error);
  if (err) {
    db_rollback(&s->db);
  } else {
    s->stale.count = 0;
    forget_rows(s, &buried);
  }
  free(buried.list);
  return err;
}

static bool has_images(const struct segment *segment) {
  return segment->images > 0;
}

enum err store_sweep(struct store *s, int64_t before_s, struct store_error *error) {
  if (s->batch || s->reading) return store_fail(error, ERR_AGAIN, "the store is busy with a batch");
  enum err err = sweep_heads(s, error);
  if (!err) err = move_together(s, error);
  if (!err) err = sweep_rows(s, before_s, error);
  if (!err && !s->holds) sweep_segments(s, has_images);
  return err;
}
