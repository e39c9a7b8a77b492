/* Changesets: one row each, chained per zone by `prev` and by `sum`.
 *
 * There is no index by zone: every page written is the next page, whatever the number of rows. A zone's changes are found by
 * following `prev` from its head. `sum` is a hash over the sum before it and over all fields, so a flipped bit, a forged row or
 * one that is missing is found when the chain is read back, and named. */
#include "store/store_priv.h"

#include "base/mutation.h"
#include "zone/delta.h"

#include <stdlib.h>

void sum_put(uint8_t out[SUM_BYTES], struct digest128 sum) {
  put_u64(out, sum.high);
  put_u64(out + 8, sum.low);
}

bool sum_get(const void *bytes, size_t n, struct digest128 *out) {
  if (!bytes || n != SUM_BYTES) return false;
  *out = (struct digest128){.high = get_u64(bytes), .low = get_u64((const uint8_t *)bytes + 8)};
  return true;
}

static bool sum_equal(struct digest128 a, struct digest128 b) {
  return a.low == b.low && a.high == b.high;
}

static void add_content(struct buf *b, const struct store_change *c) {
  uint8_t bytes[32];
  sum_put(bytes, c->content);
  put_u64(bytes + 16, c->removed);
  put_u64(bytes + 24, c->added);
  buf_add(b, bytes, sizeof bytes);
}

/* Texts and notes go in with their sizes in front, the body by its own hash: no two rows have the same bytes. */
static bool change_sum(const struct store_change *c, struct digest128 before, struct digest128 *out) {
  size_t author = strlen(c->author), comment = strlen(c->comment);
  uint8_t fixed[160];
  struct wr w = wr_make(fixed, sizeof fixed);
  wr_u64(&w, before.high);
  wr_u64(&w, before.low);
  wr_u64(&w, c->seq);
  wr_u64(&w, c->zone);
  wr_u64(&w, c->version);
  wr_u64(&w, c->prev);
  wr_u8(&w, (uint8_t)c->kind);
  wr_u8(&w, c->has_serial_from);
  wr_u32(&w, c->has_serial_from ? c->serial_from : 0);
  wr_u32(&w, c->serial_to);
  wr_u64(&w, (uint64_t)c->at_s);
  wr_u8(&w, (uint8_t)c->door);
  wr_u64(&w, c->view);
  struct digest128 body = hash128(c->body_size ? (const void *)c->body : "", c->body_size);
  wr_u64(&w, body.high);
  wr_u64(&w, body.low);
  wr_u64(&w, c->notes_size);
  wr_u64(&w, author);
  wr_u64(&w, comment);
  struct buf b = {0};
  buf_add(&b, fixed, wr_used(&w));
  buf_add(&b, c->author, author);
  buf_add(&b, c->comment, comment);
  if (c->notes_size) buf_add(&b, c->notes, c->notes_size);
  if (c->has_content) add_content(&b, c);
  bool ok = !b.failed && !wr_failed(&w);
  if (ok) *out = hash128(b.data, b.size);
  buf_done(&b);
  return ok;
}

enum err change_write(struct store *s, const struct store_change *c, struct digest128 *sum, struct store_error *error) {
  struct digest128 own;
  uint8_t bytes[SUM_BYTES], content[SUM_BYTES];
  if (!change_sum(c, *sum, &own)) return store_fail(error, ERR_MEMORY, "out of memory for a change");
  sum_put(bytes, own);
  sum_put(content, c->content);
  enum err err = DB_RUN(&s->db, error, ST_CHANGE_INSERT, DB_INT(c->seq), DB_INT(c->zone), DB_INT(c->version), DB_INT(c->prev),
                        DB_INT(c->kind), c->has_serial_from ? DB_INT(c->serial_from) : DB_NULL, DB_INT(c->serial_to),
                        DB_INT(c->at_s), DB_INT(c->door), DB_INT(c->view), DB_TEXT(c->author), DB_TEXT(c->comment),
                        DB_BLOB(bytes, sizeof bytes), c->notes_size ? DB_BLOB(c->notes, c->notes_size) : DB_NULL,
                        DB_BLOB(c->body, c->body_size), c->has_content ? DB_BLOB(content, sizeof content) : DB_NULL,
                        c->has_content ? DB_INT(c->removed) : DB_NULL, c->has_content ? DB_INT(c->added) : DB_NULL);
  if (!err) *sum = own;
  return err;
}

/* ---- reading back ---- */

struct link { /* a changeset without what it says */
  uint64_t zone, version, prev;
  struct digest128 sum;
  bool found;
};

static enum err read_link(struct db *db, uint64_t seq, struct link *out, struct store_error *error) {
  sqlite3_stmt *st = DB_BIND(db, ST_CHANGE_LINK, DB_INT(seq));
  bool row = false;
  enum err err = db_step(db, st, &row, error);
  if (!err) {
    *out = (struct link){.found = row};
    if (row) {
      out->zone = (uint64_t)sqlite3_column_int64(st, 0);
      out->version = (uint64_t)sqlite3_column_int64(st, 1);
      out->prev = (uint64_t)sqlite3_column_int64(st, 2);
      if (!sum_get(sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3), &out->sum)) out->found = false;
    }
  }
  db_end(st);
  return err;
}

static enum err corrupt(struct store_error *error, uint64_t zone, uint64_t seq, const char *what) {
  return store_fail(error, ERR_CORRUPT, "change %llu of zone number %llu %s", (unsigned long long)seq, (unsigned long long)zone,
                    what);
}

/* Gathers the seqs of versions over `after`, newest first, and the sum that the oldest of them is chained to; not `*known`: it went
 * with what retention cut, of which only `after` itself may be missing here. */
static enum err collect(struct db *db, uint64_t zone, uint64_t head, uint64_t after, struct id_list *seqs, struct digest128 *before,
                        bool *known, struct store_error *error) {
  uint64_t version = 0; /* of the changeset before in this walk: one newer */
  for (uint64_t seq = head; seq;) {
    struct link link;
    enum err err = read_link(db, seq, &link, error);
    if (err) return err;
    *known = link.found;
    if (!link.found && version == after + 1) return ERR_OK;
    if (!link.found) return corrupt(error, zone, seq, "is missing in the log");
    if (link.zone != zone || link.prev >= seq || (version && link.version + 1 != version))
      return corrupt(error, zone, seq, "is out of the zone's chain");
    if (link.version <= after + MUTATION(REPLAY_FIRST)) {
      *before = link.sum;
      return ERR_OK;
    }
    if (!id_list_add(seqs, seq)) return store_fail(error, ERR_MEMORY, "out of memory for a zone's history");
    version = link.version;
    seq = link.prev;
  }
  *before = (struct digest128){0};
  *known = true;
  return ERR_OK;
}

/* A row's bytes, copied so that the callback may use the store. */
struct row_copy {
  struct store_change change;
  struct digest128 sum;
  struct buf bytes, unpacked;
};

static void row_done(struct row_copy *r) {
  buf_done(&r->bytes);
  buf_done(&r->unpacked);
}

/* The body as it was given to the store. */
static enum err unpack(struct row_copy *r, struct store_error *error) {
  struct store_change *c = &r->change;
  if (c->kind != STORE_DELTA || !zone_delta_is_packed(c->body, c->body_size)) return ERR_OK;
  buf_clear(&r->unpacked);
  enum err err = zone_delta_unpack(c->body, c->body_size, &r->unpacked);
  if (err == ERR_MEMORY) return store_fail(error, err, "out of memory for a change");
  if (err) return corrupt(error, c->zone, c->seq, "is damaged: its body can't be read");
  c->body = r->unpacked.data;
  c->body_size = r->unpacked.size;
  return ERR_OK;
}

static void keep(struct buf *b, const void *bytes, int n, size_t *at) {
  *at = b->size;
  if (n > 0) buf_add(b, bytes, (size_t)n);
  buf_add_byte(b, 0);
}

static void copy_row(sqlite3_stmt *st, uint64_t seq, struct row_copy *r) {
  size_t author, comment, notes, body;
  buf_clear(&r->bytes);
  keep(&r->bytes, sqlite3_column_text(st, 9), sqlite3_column_bytes(st, 9), &author);
  keep(&r->bytes, sqlite3_column_text(st, 10), sqlite3_column_bytes(st, 10), &comment);
  keep(&r->bytes, sqlite3_column_blob(st, 12), sqlite3_column_bytes(st, 12), &notes);
  keep(&r->bytes, sqlite3_column_blob(st, 13), sqlite3_column_bytes(st, 13), &body);
  if (r->bytes.failed) return;
  r->change = (struct store_change){
      .zone = (uint64_t)sqlite3_column_int64(st, 0),
      .seq = seq,
      .prev = (uint64_t)sqlite3_column_int64(st, 2),
      .version = (uint64_t)sqlite3_column_int64(st, 1),
      .kind = (enum store_kind)sqlite3_column_int(st, 3),
      .has_serial_from = sqlite3_column_type(st, 4) != SQLITE_NULL,
      .serial_from = (uint32_t)sqlite3_column_int64(st, 4),
      .serial_to = (uint32_t)sqlite3_column_int64(st, 5),
      .at_s = sqlite3_column_int64(st, 6),
      .door = (enum store_door)sqlite3_column_int(st, 7),
      .author = (const char *)r->bytes.data + author,
      .comment = (const char *)r->bytes.data + comment,
      .view = (uint32_t)sqlite3_column_int64(st, 8),
      .notes = r->bytes.data + notes,
      .notes_size = (size_t)sqlite3_column_bytes(st, 12),
      .body = r->bytes.data + body,
      .body_size = (size_t)sqlite3_column_bytes(st, 13),
      .removed = (uint64_t)sqlite3_column_int64(st, 15),
      .added = (uint64_t)sqlite3_column_int64(st, 16),
  };
  r->change.has_content = sum_get(sqlite3_column_blob(st, 14), (size_t)sqlite3_column_bytes(st, 14), &r->change.content);
}

/* ERR_CORRUPT unless the row is what was written behind `before`; NULL: what was there was deleted, and nothing tells. */
static enum err read_change(struct db *db, uint64_t zone, uint64_t seq, const struct digest128 *before, struct row_copy *r,
                            struct store_error *error) {
  sqlite3_stmt *st = DB_BIND(db, ST_CHANGE_READ, DB_INT(seq));
  bool row = false;
  struct digest128 stored = {0};
  enum err err = db_step(db, st, &row, error);
  if (!err && !row) err = corrupt(error, zone, seq, "is missing in the log");
  if (!err) {
    bool has_sum = sum_get(sqlite3_column_blob(st, 11), (size_t)sqlite3_column_bytes(st, 11), &stored);
    copy_row(st, seq, r);
    r->sum = stored;
    if (r->bytes.failed || (has_sum && before && !change_sum(&r->change, *before, &r->sum)))
      err = store_fail(error, ERR_MEMORY, "out of memory for a change");
    else if (!has_sum || (before && !sum_equal(stored, r->sum)))
      err = corrupt(error, zone, seq, "is damaged: its checksum does not hold");
  }
  if (!err) err = unpack(r, error);
  db_end(st);
  return err;
}

/* The body of a full change only says where the image was put. */
static void hide_place(struct store_change *c) {
  if (c->kind != STORE_FULL) return;
  c->body = NULL;
  c->body_size = 0;
}

enum err change_each(struct db *db, uint64_t zone, uint64_t head, uint64_t after,
                     enum err (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error) {
  struct id_list seqs = {0};
  struct row_copy r = {0};
  struct digest128 before;
  bool known = true;
  enum err err = collect(db, zone, head, after, &seqs, &before, &known, error);
  for (size_t i = seqs.count; !err && i > 0; i--) {
    err = read_change(db, zone, seqs.list[i - 1], known ? &before : NULL, &r, error);
    if (err) break;
    before = r.sum;
    known = true;
    hide_place(&r.change);
    err = f(arg, &r.change);
    if (err) store_fail(error, err, "%s", err_text(err));
  }
  row_done(&r);
  free(seqs.list);
  return err;
}

enum err store_each_change(struct store *s, uint64_t zone, uint64_t head, uint64_t after,
                           enum err (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error) {
  if (!s->db.connection) return store_fail(error, ERR_IO, "the log could not be opened again after an error of the disk");
  return change_each(&s->db, zone, head, after, f, arg, error);
}

/* ---- newest first ---- */

/* A change that is not there any more ends history; the sum of the one behind it can't be checked then. */
enum err change_walk_back(struct db *db, uint64_t zone, uint64_t head, bool (*f)(void *arg, const struct store_change *c),
                          void *arg, struct store_error *error) {
  struct row_copy r = {0};
  struct link link, before;
  enum err err = head ? read_link(db, head, &link, error) : store_fail(error, ERR_NOT_FOUND, "there are no changes");
  if (!err && !link.found) err = store_fail(error, ERR_NOT_FOUND, "history does not go back that far");
  for (uint64_t seq = head; !err;) {
    if (link.zone != zone || link.prev >= seq) {
      err = corrupt(error, zone, seq, "is out of the zone's chain");
      break;
    }
    before = (struct link){0};
    if (link.prev) err = read_link(db, link.prev, &before, error);
    bool is_end = link.prev && !before.found; /* by retention */
    if (!err) err = read_change(db, zone, seq, is_end ? NULL : &before.sum, &r, error);
    if (err) break;
    hide_place(&r.change);
    if (!f(arg, &r.change)) break;
    if (!before.found) err = store_fail(error, ERR_NOT_FOUND, "history does not go back that far");
    seq = link.prev;
    link = before;
  }
  row_done(&r);
  return err;
}
