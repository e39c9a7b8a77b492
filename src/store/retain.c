/* How much history is kept. There is no index by zone (change.c), so passes go over rows in order of their numbers, a few
 * hundred a step: of every zone they meet its changesets oldest first. The first pass after a start only counts what each zone has;
 * later ones delete, always a zone's oldest, so that what stays is a chain from the head without holes. What leads on
 * from the zone's image is never deleted, nor the change that made the image: the next one is chained to its sum.
 *
 *   for age       from the first row, until a step meets nothing old; all rows if a zone was forgotten
 *   for size      from the oldest row of the zones that have too much, until none of them has
 *
 * So what a change costs here depends on the changes of other zones at most, and not on how many zones there are. */
#include "store/store_priv.h"

#include "base/mutation.h"

#include <stdlib.h>

enum {
  STEP_ROWS = 500,
  AGE_S = 3600, /* between two passes for age, when others come more often */
  SLACK = 16    /* a pass comes for a zone when this part of what it may have is left, and leaves it twice as much */
};

/* Beside what was set for changes, the images of two versions may stay. */
static uint64_t most_bytes(const struct store *s, const struct zone_row *row) {
  return s->retain.keep.zone_bytes - s->retain.keep.zone_bytes / SLACK + 2 * row->image.size_bytes;
}

void retain_grown(struct store *s, struct zone_row *row) {
  if (!s->retain.counted || row->over || !s->retain.keep.zone_bytes || row->history_bytes <= most_bytes(s, row)) return;
  row->over = true;
  s->retain.over++;
  uint64_t before = row->first_seq ? row->first_seq - 1 : 0;
  if (before < s->retain.from) s->retain.from = before;
}

void retain_settled(struct store *s, struct zone_row *row) {
  s->retain.over -= row->over;
  row->over = false;
}

static void look_at_sizes(struct store *s) {
  for (size_t i = 0; s->retain.counted && i < s->zones.count; i++)
    retain_grown(s, &s->zones.rows[i]);
}

bool store_retain_is_due(const struct store *s) {
  return !s->retain.running && s->retain.from != UINT64_MAX;
}

struct look { /* a row, without what it says */
  uint64_t seq, zone, version, bytes;
  int64_t at_s;
};

static enum err look(struct store *s, struct look rows[STEP_ROWS], size_t *count, struct store_error *error) {
  sqlite3_stmt *st = DB_BIND(&s->db, ST_RETAIN_LOOK, DB_INT(s->retain.at), DB_INT(STEP_ROWS));
  bool more = true;
  size_t n = 0;
  enum err err;
  while (!(err = db_step(&s->db, st, &more, error)) && more && n < STEP_ROWS)
    rows[n++] = (struct look){
        .seq = (uint64_t)sqlite3_column_int64(st, 0),
        .zone = (uint64_t)sqlite3_column_int64(st, 1),
        .version = (uint64_t)sqlite3_column_int64(st, 2),
        .at_s = sqlite3_column_int64(st, 3),
        .bytes = (uint64_t)sqlite3_column_int64(st, 4) + CHANGE_OVERHEAD_BYTES,
    };
  db_end(st);
  *count = n;
  s->retain.looked += n;
  return err;
}

static void count(struct store *s, const struct look *l) {
  struct zone_row *row = zones_find(s, l->zone);
  if (!row) s->retain.whole = true;
  if (l->seq > s->retain.count_to) return; /* those behind were counted when they came */
  s->retain.rows++;
  if (!row) return;
  row->history_bytes += l->bytes;
  if (!row->first_version || l->version < row->first_version) {
    row->first_version = l->version;
    row->first_seq = l->seq;
  }
}

static bool is_old(const struct store *s, const struct look *l, int64_t now_s) {
  return s->retain.keep.age_s && l->at_s < now_s - (int64_t)s->retain.keep.age_s;
}

/* What deleting the row does to memory is done at once: the next row of the zone is judged by it. */
static bool goes(struct store *s, const struct look *l, int64_t now_s) {
  const struct store_retention *keep = &s->retain.keep;
  struct zone_row *row = zones_find(s, l->zone);
  if (!row) return true; /* of a zone that is forgotten */
  if (l->version != row->first_version) return false;
  bool needed = (l->version >= row->image.version && !MUTATION(RETAIN_ANCHOR)) || l->version + keep->least > row->version;
  bool fits = row->history_bytes <= most_bytes(s, row) - keep->zone_bytes / SLACK;
  if (needed || fits) retain_settled(s, row);
  if (needed || (fits && !is_old(s, l, now_s))) return false;
  row->first_version++;
  row->first_seq = l->seq + 1; /* or later */
  row->history_bytes -= l->bytes < row->history_bytes ? l->bytes : row->history_bytes;
  return true;
}

/* After a failure nothing is known any more but what the log says. */
static void count_again(struct store *s) {
  for (size_t i = 0; i < s->zones.count; i++) {
    struct zone_row *row = &s->zones.rows[i];
    retain_settled(s, row);
    row->first_version = row->first_seq = row->history_bytes = 0;
  }
  for (size_t i = 0; i < s->kept.count; i++) {
    struct zone_row *row = zones_find(s, s->kept.list[i].zone);
    if (row && s->kept.list[i].kind == SNAPSHOT_KEPT) row->history_bytes += s->kept.list[i].image.size_bytes;
  }
  s->retain.at = s->retain.rows = 0;
  s->retain.from = UINT64_MAX;
  s->retain.count_to = s->last_seq;
  s->retain.counted = s->retain.running = false;
}

static enum err delete_rows(struct store *s, const struct look *rows, size_t n, int64_t now_s, struct store_error *error) {
  uint64_t deleted = 0;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < n; i++) {
    if (!goes(s, &rows[i], now_s)) continue;
    if (!deleted++) err = store_transaction_begin(s, error);
    if (!err) err = DB_RUN(&s->db, error, ST_RETAIN_DELETE, DB_INT(rows[i].seq));
  }
  if (!deleted) return ERR_OK;
  if (!err) err = store_transaction_end(s, 0, error);
  if (!err) {
    s->retain.rows -= deleted;
    return ERR_OK;
  }
  db_rollback(&s->db);
  count_again(s);
  return err;
}

/* Images from which no change leads on any more. */
static enum err drop_kept(struct store *s, struct store_error *error) {
  enum err err = ERR_OK;
  size_t dropped = 0;
  for (size_t i = 0; i < s->kept.count; i++) {
    const struct kept *k = &s->kept.list[i];
    const struct zone_row *row = zones_find(s, k->zone);
    dropped += k->kind == SNAPSHOT_KEPT && row && row->first_version > k->image.version + 1;
  }
  if (!dropped) return ERR_OK;
  err = store_transaction_begin(s, error);
  if (err) return err;
  for (int done = 0; done < 2 && !err; done++) { /* first in the log, then in memory */
    for (size_t i = s->kept.count; !err && i > 0; i--) {
      struct kept *k = &s->kept.list[i - 1];
      struct zone_row *row = zones_find(s, k->zone);
      if (k->kind != SNAPSHOT_KEPT || !row || row->first_version <= k->image.version + 1) continue;
      if (!done) {
        err = DB_RUN(&s->db, error, ST_SNAPSHOT_DELETE, DB_INT(k->snapshot));
        continue;
      }
      uint64_t bytes = k->image.size_bytes;
      row->history_bytes -= bytes < row->history_bytes ? bytes : row->history_bytes;
      segment_count(s, &k->image, false);
      kept_remove(&s->kept, k);
    }
    if (!done && !err) err = store_transaction_end(s, 0, error);
    if (!done && err) db_rollback(&s->db);
  }
  return err;
}

static void begin_pass(struct store *s, int64_t now_s) {
  bool aged = !s->retain.over || now_s < s->retain.aged_s || now_s - s->retain.aged_s >= AGE_S;
  s->retain.running = true;
  if (!s->retain.counted) return;
  s->retain.at = aged ? 0 : s->retain.from;
  s->retain.from = UINT64_MAX;
  s->retain.is_for_age = aged;
  if (aged) s->retain.aged_s = now_s;
}

/* Nothing is to be expected of the rows behind these. Rows come in order of time, or nearly so. */
static bool is_through(const struct store *s, const struct look *rows, size_t n, int64_t now_s) {
  if (n < STEP_ROWS) return true;
  if (!s->retain.counted) return rows[n - 1].seq >= s->retain.count_to;
  if (s->retain.over || (s->retain.is_for_age && s->retain.whole)) return false;
  for (size_t i = 0; s->retain.is_for_age && i < n; i++)
    if (is_old(s, &rows[i], now_s)) return false;
  return true;
}

/* `last`: there are no rows behind those looked at. */
static enum err end_pass(struct store *s, bool last, struct store_error *error) {
  bool first = !s->retain.counted;
  s->retain.running = false;
  s->retain.counted = true;
  s->retain.at = 0;
  if (first) {
    look_at_sizes(s);
    return ERR_OK;
  }
  if (last && s->retain.is_for_age) s->retain.whole = false;
  for (size_t i = 0; last && s->retain.over && s->retain.from == UINT64_MAX && i < s->zones.count; i++)
    retain_settled(s, &s->zones.rows[i]); /* nothing can be done for them until they grow again */
  return drop_kept(s, error);
}

enum err store_retain(struct store *s, const struct store_retention *keep, int64_t now_s, bool *more, struct store_error *error) {
  struct look rows[STEP_ROWS];
  size_t n;
  if (s->batch || s->reading) return store_fail(error, ERR_AGAIN, "the store is busy with a batch");
  if (!s->db.connection) return store_fail(error, ERR_IO, "the log could not be opened again after an error of the disk");
  bool other_size = keep->zone_bytes != s->retain.keep.zone_bytes;
  s->retain.keep = *keep;
  if (other_size) look_at_sizes(s);
  if (!s->retain.running) begin_pass(s, now_s);
  enum err err = look(s, rows, &n, error);
  if (err) return err;
  if (s->retain.counted) err = delete_rows(s, rows, n, now_s, error);
  else
    for (size_t i = 0; i < n; i++)
      count(s, &rows[i]);
  if (err) return err;
  if (n) s->retain.at = rows[n - 1].seq;
  bool ends = is_through(s, rows, n, now_s), counts = !s->retain.counted && s->retain.at > 0;
  if (ends) err = end_pass(s, n < STEP_ROWS, error);
  *more = !ends || counts || store_retain_is_due(s); /* behind the count the first real pass follows */
  return err;
}
