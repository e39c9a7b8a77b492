/* The roll: all that a start wants to know of all zones, in one file that is read in one go instead of row by row.
 *
 *   "TANDROL1"  last snapshot and segment  counts  zones, ascending  kept snapshots  stale snapshot rows
 *
 * It is written at a clean end and never before. The log then says of it, in the last transaction before the end (meta key
 * "roll"): how many transactions and changes there were, and the roll's own checksum. So a roll that is damaged, cut, or of
 * another moment or another log is none, and so is any once the log has changed: rows are read then. */
#include "store/store_priv.h"

#include "base/mutation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char roll_file[] = "roll";

#define ROLL_MAGIC UINT64_C(0x54414e44524f4c31) /* "TANDROL1": another one when what follows is another */

enum {
  ROLL_MOST_BYTES = INT32_MAX,
  SAME_SOURCE = UINT32_MAX, /* as size: the source of the zone before */
  HAS_CONTENT = 0x80,       /* beside the state */
};

/* ---- the stamp in the log ---- */

void roll_stamp_read(struct store *s, const char *value) {
  struct roll *r = &s->roll;
  r->is_stamped =
      sscanf(value, "%" SCNu64 " %" SCNu64 " %16" SCNx64 "%16" SCNx64, &r->tick, &r->seq, &r->sum.high, &r->sum.low) == 4;
}

static enum err write_stamp(struct store *s, struct digest128 sum, struct store_error *error) {
  char value[96];
  struct roll made = {.is_stamped = true, .is_good = true, .tick = s->tick + 1, .seq = s->last_seq, .sum = sum};
  snprintf(value, sizeof value, "%" PRIu64 " %" PRIu64 " %016" PRIx64 "%016" PRIx64, made.tick, made.seq, sum.high, sum.low);
  enum err err = store_transaction_begin(s, error);
  if (err) return err;
  err = DB_RUN(&s->db, error, ST_META_DELETE, DB_TEXT("roll"));
  if (!err) err = DB_RUN(&s->db, error, ST_META_INSERT, DB_TEXT("roll"), DB_TEXT(value));
  if (!err) err = store_transaction_end(s, 0, error);
  if (err) db_rollback(&s->db);
  else s->roll = made;
  return err;
}

/* Nothing was written to the log since. */
static bool is_of_now(const struct store *s) {
  const struct roll *r = &s->roll;
  return r->is_stamped && r->tick == s->tick && r->seq == s->last_seq && s->sweep.mark == s->last_seq;
}

/* ---- writing ---- */

struct writer {
  struct file_out file;
  struct hash128_pieces *hash;
  struct buf record, source; /* of the zone before */
};

static void add_u64(struct buf *b, uint64_t v) {
  uint8_t bytes[8];
  put_u64(bytes, v);
  buf_add(b, bytes, sizeof bytes);
}

static void add_u32(struct buf *b, size_t v) {
  uint8_t bytes[4];
  put_u32(bytes, (uint32_t)v);
  buf_add(b, bytes, sizeof bytes);
}

static void add_image(struct buf *b, uint64_t snapshot, const struct store_image *image) {
  add_u64(b, snapshot);
  add_u64(b, image->segment);
  add_u64(b, image->offset_bytes);
  add_u64(b, image->size_bytes);
  add_u64(b, image->version);
  add_u64(b, image->digest);
}

static void add_digest(struct buf *b, struct digest128 d) {
  add_u64(b, d.high);
  add_u64(b, d.low);
}

static void add_bytes(struct buf *b, const void *bytes, size_t n) {
  add_u32(b, n);
  if (n) buf_add(b, bytes, n);
}

static bool same_source(const struct writer *w, const struct store_zone *z) {
  return z->source_size && w->source.size == z->source_size && memcmp(w->source.data, z->source, z->source_size) == 0;
}

static void add_source(struct writer *w, const struct store_zone *z) {
  if (same_source(w, z)) {
    add_u32(&w->record, SAME_SOURCE);
    return;
  }
  add_bytes(&w->record, z->source, z->source_size);
  buf_clear(&w->source);
  buf_add(&w->source, z->source, z->source_size);
}

static bool put(struct writer *w) {
  bool ok = !w->record.failed && !w->source.failed && file_out_write(&w->file, w->record.data, w->record.size);
  if (ok) hash128_more(w->hash, w->record.data, w->record.size);
  buf_clear(&w->record);
  return ok;
}

struct writing {
  struct store *store;
  struct writer *writer;
};

static bool put_zone(void *arg, const struct store_zone *z) {
  const struct writing *writing = arg;
  const struct zone_row *row = zones_find(writing->store, z->id);
  struct writer *w = writing->writer;
  struct buf *b = &w->record;
  add_u64(b, z->id);
  buf_add_byte(b, (uint8_t)(row->state | (row->has_content ? HAS_CONTENT : 0)));
  add_u64(b, row->head);
  add_u64(b, row->version);
  add_u32(b, row->serial);
  add_digest(b, row->sum);
  add_digest(b, row->content);
  add_image(b, row->snapshot, &row->image);
  add_u64(b, (uint64_t)z->deleted_at_s);
  add_bytes(b, z->name, z->name_size);
  add_source(w, z);
  add_bytes(b, z->options, z->options_size);
  return put(w);
}

static bool put_head(struct store *s, struct writer *w) {
  struct buf *b = &w->record;
  add_u64(b, ROLL_MAGIC);
  add_u64(b, s->last_snapshot);
  add_u64(b, s->last_segment);
  add_u64(b, s->zones.count);
  add_u64(b, s->kept.count);
  add_u64(b, s->stale.count);
  return put(w);
}

static bool put_rest(struct store *s, struct writer *w) {
  bool ok = true;
  for (size_t i = 0; ok && i < s->kept.count; i++) {
    const struct kept *k = &s->kept.list[i];
    add_u64(&w->record, k->zone);
    buf_add_byte(&w->record, (uint8_t)k->kind);
    add_image(&w->record, k->snapshot, &k->image);
    ok = put(w);
  }
  for (size_t i = 0; ok && i < s->stale.count; i++) {
    add_u64(&w->record, s->stale.list[i]);
    ok = put(w);
  }
  return ok;
}

static enum err write_file(struct store *s, struct digest128 *sum) {
  struct writer w = {.hash = hash128_begin()};
  enum err err = w.hash ? file_out_begin(&w.file, s->env.ops, s->dir_fd, roll_file) : ERR_MEMORY;
  if (!err) {
    bool ok = put_head(s, &w);
    if (ok) err = store_each_zone(s, put_zone, &(struct writing){s, &w}, NULL);
    if (!ok || err || !put_rest(s, &w)) {
      file_out_abort(&w.file);
      err = ERR_IO;
    } else {
      err = file_out_finish(&w.file);
    }
  }
  if (w.hash) *sum = hash128_end(w.hash);
  buf_done(&w.record);
  buf_done(&w.source);
  return err;
}

enum err roll_write(struct store *s, struct store_error *error) {
  struct digest128 sum;
  if (is_of_now(s) && s->roll.is_good) return ERR_OK;
  if (s->sweep.mark != s->last_seq || s->disk.room >= STORE_ROOM_NO_BULK) return ERR_OK;
  roll_done(s);
  enum err err = write_file(s, &sum);
  return err ? err : write_stamp(s, sum, error);
}

/* ---- reading ---- */

static bool get_image(struct rd *r, uint64_t *snapshot, struct store_image *image) {
  return rd_u64(r, snapshot) && rd_u64(r, &image->segment) && rd_u64(r, &image->offset_bytes) && rd_u64(r, &image->size_bytes) &&
         rd_u64(r, &image->version) && rd_u64(r, &image->digest);
}

static bool get_digest(struct rd *r, struct digest128 *d) {
  return rd_u64(r, &d->high) && rd_u64(r, &d->low);
}

static bool get_bytes(struct rd *r, const uint8_t **bytes, size_t *n) {
  uint32_t size;
  if (!rd_u32(r, &size)) return false;
  if (size == SAME_SOURCE) return true;
  *n = size;
  return rd_bytes(r, size, bytes);
}

/* `z` has the zone before, whose source this one may have. */
static bool get_zone(struct rd *r, struct zone_row *row, struct store_zone *z) {
  uint64_t deleted_at;
  uint8_t state;
  size_t name_size = 0;
  *row = (struct zone_row){0};
  if (!rd_u64(r, &row->id) || !rd_u8(r, &state) || !rd_u64(r, &row->head) || !rd_u64(r, &row->version) ||
      !rd_u32(r, &row->serial) || !get_digest(r, &row->sum) || !get_digest(r, &row->content) ||
      !get_image(r, &row->snapshot, &row->image) || !rd_u64(r, &deleted_at) || !get_bytes(r, &z->name, &name_size) ||
      !get_bytes(r, &z->source, &z->source_size) || !get_bytes(r, &z->options, &z->options_size))
    return false;
  row->state = state & ~HAS_CONTENT;
  row->has_content = state & HAS_CONTENT;
  z->name_size = (uint8_t)name_size;
  z->deleted_at_s = (int64_t)deleted_at;
  return true;
}

static bool load_zones(struct store *s, struct rd *r, uint64_t count) {
  struct zone_row row;
  struct store_zone z = {0};
  if (!zones_reserve(s, count)) return false;
  for (uint64_t i = 0, last = 0; i < count; i++, last = row.id) {
    if (!get_zone(r, &row, &z) || row.id <= last) return false;
    *zones_append(s, row.id) = row;
    s->zones.deleted += row.state == STORE_ZONE_DELETED;
  }
  return true;
}

static bool load_kept(struct store *s, struct rd *r, uint64_t count) {
  if (!kept_reserve(&s->kept, count)) return false;
  for (uint64_t i = 0; i < count; i++) {
    struct kept k;
    uint8_t kind;
    if (!rd_u64(r, &k.zone) || !rd_u8(r, &kind) || !get_image(r, &k.snapshot, &k.image)) return false;
    k.kind = (enum snapshot_kind)kind;
    kept_add(&s->kept, &k);
  }
  return true;
}

static bool load_stale(struct store *s, struct rd *r, uint64_t count) {
  for (uint64_t i = 0, id; i < count; i++)
    if (!rd_u64(r, &id) || !id_list_add(&s->stale, id)) return false;
  return true;
}

struct head {
  uint64_t last_snapshot, last_segment, zones, kept, stale;
};

static bool get_head(struct rd *r, struct head *h) {
  uint64_t magic;
  return rd_u64(r, &magic) && magic == ROLL_MAGIC && rd_u64(r, &h->last_snapshot) && rd_u64(r, &h->last_segment) &&
         rd_u64(r, &h->zones) && rd_u64(r, &h->kept) && rd_u64(r, &h->stale) && h->zones <= rd_left(r) && h->kept <= rd_left(r);
}

static bool load_all(struct store *s, struct rd *r) {
  struct head h;
  if (!get_head(r, &h)) return false;
  s->roll.zones = *r;
  s->roll.zone_count = h.zones;
  if (!load_zones(s, r, h.zones) || !load_kept(s, r, h.kept) || !load_stale(s, r, h.stale) || rd_left(r)) return false;
  if (h.last_segment > s->last_segment) s->last_segment = h.last_segment;
  s->last_snapshot = h.last_snapshot;
  for (size_t i = 0; i < s->segments.count; i++) /* what came later is of a batch that was never committed */
    s->segments.list[i].named = s->segments.list[i].number <= h.last_segment;
  return true;
}

bool roll_load(struct store *s) {
  struct roll *r = &s->roll;
  if (!is_of_now(s) && !MUTATION(ROLL_STALE)) return false;
  enum err err = file_read(s->dir_fd, roll_file, ROLL_MOST_BYTES, &r->file);
  struct digest128 sum = err ? (struct digest128){0} : hash128(r->file.data, r->file.size);
  struct rd rd = rd_make(r->file.data, r->file.size);
  bool same = !err && r->file.size && ((sum.low == r->sum.low && sum.high == r->sum.high) || MUTATION(ROLL_STALE));
  r->is_good = same && load_all(s, &rd);
  if (r->is_good) return true;
  s->zones.count = s->zones.deleted = s->kept.count = s->stale.count = 0;
  roll_done(s);
  return false;
}

enum err roll_each_zone(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg) {
  struct rd r = s->roll.zones;
  struct zone_row read;
  struct store_zone z = {0};
  for (uint64_t i = 0; i < s->roll.zone_count && get_zone(&r, &read, &z); i++) {
    store_zone_describe(zones_find(s, read.id), &z);
    if (!f(arg, &z)) return ERR_REFUSED;
  }
  return ERR_OK;
}

void roll_done(struct store *s) {
  buf_done(&s->roll.file);
  s->roll.zone_count = 0;
}
