/* The zone table in memory, and how its heads get back to the log.
 *
 * A commit does not touch the zone's row in the log: that would be a random page a change. The row is written later by a sweep
 * that goes over the changed ones in rounds, a few rows with each commit, and each round ends by moving the `mark`: every row is
 * right up to it, and may be newer. At start the rows are read, and then the changesets after the mark. */
#include "store/store_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

bool id_list_reserve(struct id_list *l, size_t more) {
  size_t capacity = l->capacity ? l->capacity : 64;
  while (capacity < l->count + more)
    capacity *= 2;
  if (capacity == l->capacity) return true;
  uint64_t *list = realloc(l->list, capacity * sizeof *list);
  if (!list) return false;
  l->list = list;
  l->capacity = capacity;
  return true;
}

bool id_list_add(struct id_list *l, uint64_t id) {
  if (!id_list_reserve(l, 1)) return false;
  l->list[l->count++] = id;
  return true;
}

/* Ids are given in ascending order and seldom go away, so a row mostly stands where its id says. */
struct zone_row *zones_find(const struct store *s, uint64_t id) {
  const struct zone_table *t = &s->zones;
  if (!t->count || id < t->rows[0].id) return NULL;
  uint64_t guess = id - t->rows[0].id;
  if (guess < t->count && t->rows[guess].id == id) return &t->rows[guess];
  size_t low = 0, high = guess < t->count ? (size_t)guess : t->count; /* gaps only move rows to the front */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->rows[middle].id < id) low = middle + 1;
    else high = middle;
  }
  return low < t->count && t->rows[low].id == id ? &t->rows[low] : NULL;
}

bool zones_reserve(struct store *s, size_t count) {
  struct zone_table *t = &s->zones;
  if (count <= t->capacity) return true;
  struct zone_row *rows = realloc(t->rows, count * sizeof *rows);
  if (!rows) return false;
  pages_expect(rows, count * sizeof *rows);
  t->rows = rows;
  t->capacity = count;
  return true;
}

struct zone_row *zones_append(struct store *s, uint64_t id) {
  struct zone_table *t = &s->zones;
  assert(!t->count || t->rows[t->count - 1].id < id);
  if (t->count == t->capacity && !zones_reserve(s, t->capacity ? 2 * t->capacity : 64)) return NULL;
  struct zone_row *row = &t->rows[t->count++];
  *row = (struct zone_row){.id = id};
  return row;
}

/* ---- loading ---- */

static enum err load_rows(struct store *s, struct store_error *error) {
  sqlite3_stmt *st = db_bind(&s->db, ST_ZONES, NULL, 0);
  bool more = true;
  enum err err;
  while (!(err = db_step(&s->db, st, &more, error)) && more) {
    struct zone_row *row = zones_append(s, (uint64_t)sqlite3_column_int64(st, 0));
    if (!row) {
      err = store_fail(error, ERR_MEMORY, "out of memory for the zones of the store");
      break;
    }
    row->state = (uint8_t)sqlite3_column_int(st, 1);
    s->zones.deleted += row->state == STORE_ZONE_DELETED;
    row->head = (uint64_t)sqlite3_column_int64(st, 2);
    row->version = (uint64_t)sqlite3_column_int64(st, 3);
    row->serial = (uint32_t)sqlite3_column_int64(st, 4);
    /* Without a sum the next link of the chain would be forged; a head without one is found when its changes are read back. */
    (void)sum_get(sqlite3_column_blob(st, 5), (size_t)sqlite3_column_bytes(st, 5), &row->sum);
    row->has_content = sum_get(sqlite3_column_blob(st, 6), (size_t)sqlite3_column_bytes(st, 6), &row->content);
  }
  db_end(st);
  return err;
}

static enum err load_tail(struct store *s, struct store_error *error) {
  sqlite3_stmt *st = DB_BIND(&s->db, ST_CHANGE_TAIL, DB_INT(s->sweep.mark));
  bool more = true;
  enum err err;
  while (!(err = db_step(&s->db, st, &more, error)) && more) {
    uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
    struct zone_row *row = zones_find(s, (uint64_t)sqlite3_column_int64(st, 1));
    if (!row || seq <= row->head) continue;
    if (!row->dirty && !id_list_add(&s->sweep.dirty, row->id)) {
      err = store_fail(error, ERR_MEMORY, "out of memory for the zones of the store");
      break;
    }
    row->head = seq;
    row->version = (uint64_t)sqlite3_column_int64(st, 2);
    row->serial = (uint32_t)sqlite3_column_int64(st, 3);
    (void)sum_get(sqlite3_column_blob(st, 4), (size_t)sqlite3_column_bytes(st, 4), &row->sum);
    row->has_content = sum_get(sqlite3_column_blob(st, 5), (size_t)sqlite3_column_bytes(st, 5), &row->content);
    row->dirty = true;
  }
  db_end(st);
  return err;
}

static bool load_snapshot(struct store *s, sqlite3_stmt *st) {
  uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);
  struct zone_row *row = zones_find(s, (uint64_t)sqlite3_column_int64(st, 1));
  const uint8_t *digest = sqlite3_column_blob(st, 6);
  struct store_image image = {
      .version = (uint64_t)sqlite3_column_int64(st, 2),
      .segment = (uint64_t)sqlite3_column_int64(st, 3),
      .offset_bytes = (uint64_t)sqlite3_column_int64(st, 4),
      .size_bytes = (uint64_t)sqlite3_column_int64(st, 5),
      .digest = sqlite3_column_bytes(st, 6) == 8 ? get_u64(digest) : 0,
  };
  struct segment *segment = segment_get(&s->segments, image.segment);
  if (!segment) return false;
  segment->named = true;
  s->last_snapshot = id;
  enum snapshot_kind kind = (enum snapshot_kind)sqlite3_column_int(st, 7);
  if (row && kind != SNAPSHOT_IMAGE) {
    if (!kept_reserve(&s->kept, 1)) return false;
    kept_add(&s->kept, &(struct kept){row->id, id, kind, image});
    return true;
  }
  if (!row || image.version < row->image.version) return id_list_add(&s->stale, id);
  if (row->snapshot && !id_list_add(&s->stale, row->snapshot)) return false;
  row->snapshot = id;
  row->image = image;
  return true;
}

static enum err load_snapshots(struct store *s, struct store_error *error) {
  sqlite3_stmt *st = db_bind(&s->db, ST_SNAPSHOTS, NULL, 0);
  bool more = true;
  enum err err;
  while (!(err = db_step(&s->db, st, &more, error)) && more) {
    if (load_snapshot(s, st)) continue;
    err = store_fail(error, ERR_MEMORY, "out of memory for the images of the store");
    break;
  }
  db_end(st);
  return err;
}

/* A file that is missing has its place in the table all the same. */
static bool count_image(struct store *s, const struct store_image *image) {
  struct segment *segment = image->segment ? segment_get(&s->segments, image->segment) : NULL;
  if (!segment) return !image->segment;
  segment->named = true;
  segment_count(s, image, true);
  return true;
}

static enum err count_images(struct store *s, struct store_error *error) {
  bool ok = true;
  for (size_t i = 0; ok && i < s->zones.count; i++)
    ok = count_image(s, &s->zones.rows[i].image);
  for (size_t i = 0; ok && i < s->kept.count; i++)
    ok = count_image(s, &s->kept.list[i].image);
  if (s->segments.count && s->segments.list[s->segments.count - 1].number > s->last_segment)
    s->last_segment = s->segments.list[s->segments.count - 1].number;
  return ok ? ERR_OK : store_fail(error, ERR_MEMORY, "out of memory for the segments of the store");
}

static enum err load_meta(struct store *s, struct store_error *error) {
  sqlite3_stmt *st = db_bind(&s->db, ST_META_ALL, NULL, 0);
  bool more = true;
  enum err err;
  while (!(err = db_step(&s->db, st, &more, error)) && more) {
    const char *key = (const char *)sqlite3_column_text(st, 0), *value = (const char *)sqlite3_column_text(st, 1);
    if (!key || !value) continue;
    if (!strcmp(key, "mark")) s->sweep.mark = strtoull(value, NULL, 10);
    else if (!strcmp(key, "tick")) s->tick = strtoull(value, NULL, 10);
    else if (!strcmp(key, "restored")) s->restored = strtoull(value, NULL, 10);
    else if (!strcmp(key, "roll")) roll_stamp_read(s, value);
    else if (!strcmp(key, "last-zone")) s->last_zone = strtoull(value, NULL, 10);
    else if (!strcmp(key, "store") && strlen(value) == 32) {
      char high[17] = {0};
      memcpy(high, value, 16);
      s->id[0] = strtoull(high, NULL, 16);
      s->id[1] = strtoull(value + 16, NULL, 16);
    }
  }
  db_end(st);
  return err;
}

static enum err load_from_rows(struct store *s, struct store_error *error) {
  enum err err = load_rows(s, error);
  if (!err) err = load_tail(s, error);
  return err ? err : load_snapshots(s, error);
}

enum err zones_load(struct store *s, struct store_error *error) {
  uint64_t feed = 0, last = 0;
  enum err err = load_meta(s, error);
  if (!err) err = db_number(&s->db, error, ST_FEED_GET, &feed);
  if (!err) err = db_number(&s->db, error, ST_CHANGE_LAST, &last);
  s->last_seq = last > feed ? last : feed;
  if (!err && !roll_load(s)) err = load_from_rows(s, error);
  if (!err) err = count_images(s, error);
  s->retain.count_to = s->last_seq;
  s->retain.from = UINT64_MAX;
  if (s->zones.count && s->zones.rows[s->zones.count - 1].id > s->last_zone) s->last_zone = s->zones.rows[s->zones.count - 1].id;
  return err;
}

/* ---- sweeping ---- */

enum err zones_write_row(struct store *s, const struct zone_row *row, struct store_error *error) {
  uint8_t sum[SUM_BYTES], content[SUM_BYTES];
  sum_put(sum, row->sum);
  sum_put(content, row->content);
  return DB_RUN(&s->db, error, ST_ZONE_HEAD, DB_INT(row->head), DB_INT(row->version), DB_INT(row->serial), DB_BLOB(sum, sizeof sum),
                row->has_content ? DB_BLOB(content, sizeof content) : DB_NULL, DB_INT(row->id));
}

static enum err write_mark(struct store *s, struct store_error *error) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)s->sweep.target);
  enum err err = DB_RUN(&s->db, error, ST_META_SET, DB_TEXT(text), DB_TEXT("mark"));
  if (!err) err = DB_RUN(&s->db, error, ST_FEED_SET, DB_INT(s->sweep.target));
  return err;
}

/* Rows that the open batch has changed are written as they were before it: that is what the mark promises, and they stay dirty. */
enum err zones_sweep_step(struct store *s, size_t most, struct store_error *error) {
  enum err err = ERR_OK;
  size_t written = 0;
  if (!s->sweep.target) {
    s->sweep.target = s->last_seq;
    s->sweep.end = s->sweep.dirty.count;
  }
  for (; !err && s->sweep.at < s->sweep.end && written < most; s->sweep.at++) {
    const struct zone_row *row = zones_find(s, s->sweep.dirty.list[s->sweep.at]);
    if (!row || !row->dirty) continue; /* forgotten, or there twice */
    err = zones_write_row(s, row, error);
    written++;
  }
  if (!err && s->sweep.at >= s->sweep.end) {
    err = write_mark(s, error);
    s->sweep.done = !err;
  }
  return err;
}

void zones_swept(struct store *s, bool committed) {
  if (!committed) {
    s->sweep.at = s->sweep.step_from;
    s->sweep.done = false;
    return;
  }
  for (size_t i = s->sweep.step_from; i < s->sweep.at; i++) {
    struct zone_row *row = zones_find(s, s->sweep.dirty.list[i]);
    if (row) row->dirty = false;
  }
  s->sweep.step_from = s->sweep.at;
  if (!s->sweep.done) return;
  s->sweep.mark = s->sweep.target;
  s->sweep.dirty.count -= s->sweep.end;
  if (s->sweep.end)
    memmove(s->sweep.dirty.list, s->sweep.dirty.list + s->sweep.end, s->sweep.dirty.count * sizeof *s->sweep.dirty.list);
  s->sweep.target = s->sweep.end = s->sweep.at = s->sweep.step_from = 0;
  s->sweep.done = false;
}
