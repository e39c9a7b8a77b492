/* A batch: any number of changes made durable by one sync of the log.
 *
 *   statements of the open transaction        images into a file under a temporary name
 *                     \                      /
 *     commit:  images synced, renamed, directory synced  -->  COMMIT: written, told, synced  -->  memory follows
 *
 * So a row never names an image that is not on the disk, and a file that no row names is swept at the next start. Until the COMMIT
 * memory keeps the old state: what the batch changes is in `pending`, and everything that could still fail (memory for the tables)
 * is done before. A failed statement poisons the batch; a mistake of the caller does not. */
#include "store/store_priv.h"

#include "base/arena.h"
#include "base/mutation.h"
#include "base/table.h"
#include "zone/delta.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  BIG_IMAGE_BYTES = 1 << 20,  /* about; an image over that gets a segment of its own, so that it can be deleted alone */
  SWEEP_TAIL_CHANGES = 50000, /* changesets after the mark that are worth a round: 20 ms of a start */
  SWEEP_ROWS_BASE = 4,        /* rows written with a commit during a round, and so many more for each change */
  SWEEP_ROWS_CHANGE = 2,
};

struct pending {
  struct zone_row now;
  bool created;
  uint8_t name_size; /* of a zone that was; in `memory` */
  const uint8_t *name;
  const uint8_t *source; /* the same, as long as it has no row */
  size_t source_size;
};

struct store_batch {
  struct store *store;
  struct pending *pending;
  size_t count, capacity;
  size_t rows_before;           /* zones in the table that are not of this batch */
  struct arena memory;          /* names and sources of created zones */
  struct table names;           /* of created zones: where they are in `pending` */
  size_t with_rows;             /* of `pending`, so many first ones need no row any more: insert_rows */
  struct file_out shared;       /* the segment of small images */
  uint64_t shared_number;       /* 0: not begun */
  struct segment_table written; /* segments that have their names */
  struct id_list stale;         /* snapshot rows that this batch replaces */
  struct kept_table kept;       /* snapshots that it adds beside the newest images */
  struct id_list unkept;        /* of the store's kept ones, those it drops; pairs of zone and snapshot */
  uint64_t last_seq, last_zone, last_snapshot, last_segment;
  size_t changes;
  bool touched;            /* something besides changesets */
  void (*tell)(void *arg); /* store_batch_written; NULL: nobody */
  void *arg;
  enum err failed;
  struct store_error error;
};

enum err store_batch_begin(struct store *s, struct store_batch **out) {
  if (s->batch || s->reading) return ERR_AGAIN;
  if (s->uncertain) return ERR_IO;
  struct store_batch *b = calloc(1, sizeof *b);
  if (!b) return ERR_MEMORY;
  enum err err = store_transaction_begin(s, NULL);
  if (err) {
    free(b);
    return err;
  }
  b->store = s;
  b->rows_before = s->zones.count;
  b->last_seq = s->last_seq;
  b->last_zone = s->last_zone;
  b->last_snapshot = s->last_snapshot;
  b->last_segment = s->last_segment;
  s->batch = b;
  *out = b;
  return ERR_OK;
}

/* Remembers the first failure for the commit to tell. */
static enum err poison(struct store_batch *b, enum err err) {
  if (!b->failed) b->failed = err;
  return err;
}

static enum err poison_memory(struct store_batch *b) {
  return poison(b, store_fail(&b->error, ERR_MEMORY, "out of memory for a batch of changes"));
}

/* The zone as this batch leaves it. */
static enum err touch(struct store_batch *b, uint64_t zone, struct zone_row **out) {
  struct zone_row *row = zones_find(b->store, zone);
  if (!row) return ERR_NOT_FOUND;
  if (!row->pending) {
    if (b->count == b->capacity) {
      size_t capacity = b->capacity ? 2 * b->capacity : 16;
      struct pending *pending = realloc(b->pending, capacity * sizeof *pending);
      if (!pending) return poison_memory(b);
      b->pending = pending;
      b->capacity = capacity;
    }
    b->pending[b->count] = (struct pending){.now = *row, .created = zone > b->store->last_zone};
    row->pending = (uint32_t)++b->count;
  }
  *out = &b->pending[row->pending - 1].now;
  return ERR_OK;
}

/* ---- what a batch can do ---- */

struct wanted {
  const struct store_batch *batch;
  const struct name *name;
};

static bool same_name(const void *arg, uint32_t index) {
  const struct wanted *w = arg;
  const struct pending *p = &w->batch->pending[index];
  return p->name_size == w->name->size && memcmp(p->name, w->name->octets, p->name_size) == 0;
}

/* The last version used under a name, and whether a live zone has it. */
static enum err find_name(struct store_batch *b, const struct name *name, uint64_t hash, uint64_t *version, bool *live) {
  struct store *s = b->store;
  uint32_t created = table_find(&b->names, hash, same_name, &(struct wanted){b, name});
  if (created != UINT32_MAX) {
    *version = b->pending[created].now.version;
    *live = b->pending[created].now.state == STORE_ZONE_LIVE;
    if (!*live) table_remove(&b->names, hash, created);
    return ERR_OK;
  }
  *version = 0;
  *live = false;
  if (!s->last_zone) return ERR_OK; /* the log never had a zone */
  sqlite3_stmt *st = DB_BIND(&s->db, ST_ZONE_BY_NAME, DB_BLOB(name->octets, name->size));
  bool found = false;
  enum err err = db_step(&s->db, st, &found, &b->error);
  if (!err) {
    /* The log's row may be older than memory, but a zone that memory has forgotten is right there. */
    const struct zone_row *row = found ? zones_find(s, (uint64_t)sqlite3_column_int64(st, 0)) : NULL;
    if (row && row->pending) row = &b->pending[row->pending - 1].now;
    *version = row ? row->version : found ? (uint64_t)sqlite3_column_int64(st, 1) : 0;
    *live = row && row->state == STORE_ZONE_LIVE;
  }
  db_end(st);
  return err;
}

enum err store_batch_create(struct store_batch *b, const struct name *name, uint64_t *id, uint64_t *version) {
  struct store *s = b->store;
  struct name lower = *name;
  struct zone_row *now = NULL;
  uint64_t last;
  bool live;
  if (b->failed) return b->failed;
  name_lower(&lower);
  uint64_t hash = hash64(lower.octets, lower.size, 0);
  enum err err = find_name(b, &lower, hash, &last, &live);
  if (err) return poison(b, err);
  if (live) return ERR_EXISTS;
  uint64_t zone = b->last_zone + 1;
  const uint8_t *kept = arena_copy(&b->memory, lower.octets, lower.size);
  if (!kept || !zones_append(s, zone)) return poison_memory(b);
  b->last_zone = zone;
  b->touched = true;
  err = touch(b, zone, &now);
  if (err) return err;
  now->version = last;
  b->pending[b->count - 1].name = kept;
  b->pending[b->count - 1].name_size = (uint8_t)lower.size;
  if (!table_add(&b->names, hash, (uint32_t)b->count - 1)) return poison_memory(b);
  *id = zone;
  *version = last;
  return ERR_OK;
}

/* A created zone gets its row as late as may be, with all that is known of it by then. */
static enum err insert_row(struct store_batch *b, const struct pending *p) {
  uint8_t sum[SUM_BYTES], content[SUM_BYTES];
  const struct zone_row *now = &p->now;
  sum_put(sum, now->sum);
  sum_put(content, now->content);
  return DB_RUN(&b->store->db, &b->error, ST_ZONE_INSERT, DB_INT(now->id), DB_BLOB(p->name, p->name_size), DB_INT(now->head),
                DB_INT(now->version), DB_INT(now->serial), now->head ? DB_BLOB(sum, sizeof sum) : DB_NULL,
                now->has_content ? DB_BLOB(content, sizeof content) : DB_NULL,
                p->source_size ? DB_BLOB(p->source, p->source_size) : DB_NULL);
}

static enum err insert_rows(struct store_batch *b) {
  enum err err = ERR_OK;
  for (; !err && b->with_rows < b->count; b->with_rows++)
    if (b->pending[b->with_rows].created) err = insert_row(b, &b->pending[b->with_rows]);
  return err ? poison(b, err) : ERR_OK;
}

static enum err add_row(struct store_batch *b, struct zone_row *now, const struct store_change *given, enum store_kind kind,
                        const uint8_t *body, size_t body_size) {
  struct store_change c = *given;
  c.zone = now->id;
  c.kind = kind;
  c.seq = b->last_seq + 1;
  c.prev = now->head;
  c.body = body;
  c.body_size = body_size;
  if (!c.author) c.author = "";
  if (!c.comment) c.comment = "";
  enum err err = change_write(b->store, &c, &now->sum, &b->error);
  if (err) return poison(b, err);
  now->head = b->last_seq = c.seq;
  now->version = c.version;
  now->serial = c.serial_to;
  now->has_content = c.has_content;
  now->content = c.content;
  if (!now->first_version && !c.prev) {
    now->first_version = c.version;
    now->first_seq = c.seq;
  }
  now->history_bytes += c.body_size + strlen(c.author) + strlen(c.comment) + CHANGE_OVERHEAD_BYTES;
  b->changes++;
  return ERR_OK;
}

static enum err add_change(struct store_batch *b, struct zone_row *now, const struct store_change *given, enum store_kind kind,
                           const uint8_t *body, size_t body_size) {
  struct buf packed = {0};
  bool is_packed = kind == STORE_DELTA && zone_delta_pack(body, body_size, &packed);
  enum err err = add_row(b, now, given, kind, is_packed ? packed.data : body, is_packed ? packed.size : body_size);
  buf_done(&packed);
  return err;
}

enum err store_batch_delta(struct store_batch *b, const struct store_change *change) {
  struct zone_row *now = NULL;
  if (b->failed) return b->failed;
  if (change->body_size > LIMIT_CHANGE_BYTES) return ERR_LIMIT;
  enum err err = touch(b, change->zone, &now);
  if (err) return err;
  if (change->version != now->version + 1) return ERR_RANGE;
  return add_change(b, now, change, STORE_DELTA, change->body, change->body_size);
}

static enum err file_failed(struct store_batch *b, enum err err) {
  if (store_is_full(errno)) b->store->db.no_space = true;
  return poison(b, store_fail_write(&b->error, err, "a segment file"));
}

static enum err finish_segment(struct store_batch *b, struct file_out *o, uint64_t number) {
  uint64_t size = o->size_bytes;
  enum err err = file_out_finish(o);
  if (err) return file_failed(b, err);
  struct segment *segment = segment_get(&b->written, number);
  if (!segment) {
    char name[FILE_NAME_BYTES];
    segment_name(number, name);
    (void)b->store->env.ops->remove(b->store->segments_fd, name);
    return poison_memory(b);
  }
  segment->size_bytes = size;
  return ERR_OK;
}

/* Where small images of this batch go. */
static enum err shared_segment(struct store_batch *b, struct file_out **out) {
  if (!b->shared_number) {
    enum err err = segment_begin(b->store, b->last_segment + 1, &b->shared);
    if (err) return file_failed(b, err);
    b->shared_number = ++b->last_segment;
  }
  *out = &b->shared;
  return ERR_OK;
}

static enum err write_failed(struct store_batch *b, enum err err) {
  if (err == ERR_IO) return file_failed(b, err);
  return poison(b, store_fail(&b->error, err, "a zone's image can't be made: %s", err_text(err)));
}

static enum err write_image(struct store_batch *b, const struct zone_snap *snap, struct store_image *image) {
  if (zone_memory_bytes(snap) > BIG_IMAGE_BYTES) {
    struct file_out own;
    enum err err = segment_begin(b->store, b->last_segment + 1, &own);
    if (err) return file_failed(b, err);
    image->segment = ++b->last_segment;
    err = segment_append(&own, snap, image);
    if (!err) return finish_segment(b, &own, image->segment);
    file_out_abort(&own);
    return write_failed(b, err);
  }
  struct file_out *shared = NULL;
  enum err err = shared_segment(b, &shared);
  if (err) return err;
  image->segment = b->shared_number;
  err = segment_append(shared, snap, image);
  return err ? write_failed(b, err) : ERR_OK;
}

/* What was written aside becomes a segment of this batch. */
static enum err take_aside(struct store_batch *b, struct store_aside *a, struct store_image *image) {
  if (a->err) return poison(b, store_fail(&b->error, a->err, "%s", a->error.what));
  struct segment *segment = segment_get(&b->written, a->image.segment);
  if (!segment) return poison_memory(b);
  segment->size_bytes = a->file_bytes;
  image->segment = a->image.segment;
  image->offset_bytes = a->image.offset_bytes;
  image->size_bytes = a->image.size_bytes;
  image->digest = a->image.digest;
  a->image.segment = 0;
  return ERR_OK;
}

static enum err insert_snapshot(struct store_batch *b, const struct zone_row *now, const struct store_image *image,
                                enum snapshot_kind kind, uint64_t *out) {
  uint8_t digest[8];
  put_u64(digest, image->digest);
  uint64_t id = b->last_snapshot + 1;
  enum err err = DB_RUN(&b->store->db, &b->error, ST_SNAPSHOT_INSERT, DB_INT(id), DB_INT(now->id), DB_INT(now->head),
                        DB_INT(image->version), DB_INT(now->serial), DB_INT(image->size_bytes), DB_BLOB(digest, sizeof digest),
                        DB_INT(image->segment), DB_INT(image->offset_bytes), DB_INT(kind));
  if (err) return poison(b, err);
  *out = b->last_snapshot = id;
  b->touched = true;
  return ERR_OK;
}

/* The image that a full change replaces stays: what came before that change can't be told from what came after. */
static enum err keep_image(struct store_batch *b, struct zone_row *now) {
  enum err err = DB_RUN(&b->store->db, &b->error, ST_SNAPSHOT_KIND, DB_INT(SNAPSHOT_KEPT), DB_INT(now->snapshot));
  if (err) return poison(b, err);
  if (!kept_reserve(&b->kept, 1)) return poison_memory(b);
  kept_add(&b->kept, &(struct kept){now->id, now->snapshot, SNAPSHOT_KEPT, now->image});
  now->history_bytes += now->image.size_bytes;
  return ERR_OK;
}

/* The row that says where the zone's newest image is; `then` is the zone as it was at the image's version. */
static enum err add_snapshot(struct store_batch *b, struct zone_row *now, const struct zone_row *then,
                             const struct store_image *image, bool keeps) {
  uint64_t id;
  enum err err = insert_snapshot(b, then, image, SNAPSHOT_IMAGE, &id);
  if (!err && now->snapshot && keeps) err = keep_image(b, now);
  else if (!err && now->snapshot && !id_list_add(&b->stale, now->snapshot)) err = poison_memory(b);
  if (err) return err;
  now->snapshot = id;
  now->image = *image;
  return ERR_OK;
}

/* A snapshot of the store's kept ones is none any more. */
static enum err unkeep(struct store_batch *b, const struct kept *k) {
  b->touched = true;
  bool ok = id_list_add(&b->unkept, k->zone) && id_list_add(&b->unkept, k->snapshot) && id_list_add(&b->stale, k->snapshot);
  return ok ? ERR_OK : poison_memory(b);
}

/* At once, and not with the next sweep: a start in between would take it for the zone's. */
static enum err delete_seed(struct store_batch *b, const struct kept *old) {
  enum err err = DB_RUN(&b->store->db, &b->error, ST_SNAPSHOT_DELETE, DB_INT(old->snapshot));
  return err ? poison(b, err) : ERR_OK;
}

/* The zone's seed, if it has one, is none any more. */
static enum err drop_seed(struct store_batch *b, uint64_t zone) {
  const struct kept *old = kept_seed(&b->kept, zone);
  if (old) {
    enum err err = delete_seed(b, old);
    if (err) return err;
    if (!id_list_add(&b->stale, old->snapshot)) return poison_memory(b);
    kept_remove(&b->kept, (struct kept *)(uintptr_t)old);
    return ERR_OK;
  }
  old = kept_seed(&b->store->kept, zone);
  for (size_t i = 0; old && i < b->unkept.count; i += 2)
    if (b->unkept.list[i + 1] == old->snapshot) old = NULL;
  enum err err = old ? delete_seed(b, old) : ERR_OK;
  return old && !err ? unkeep(b, old) : err;
}

static enum err add_seed(struct store_batch *b, const struct zone_row *now, const struct store_image *image) {
  struct kept seed = {.zone = now->id, .kind = SNAPSHOT_SEED, .image = *image};
  enum err err = insert_snapshot(b, now, image, SNAPSHOT_SEED, &seed.snapshot);
  if (!err && !kept_reserve(&b->kept, 1)) err = poison_memory(b);
  if (!err) kept_add(&b->kept, &seed);
  return err;
}

enum err store_batch_seed(struct store_batch *b, uint64_t zone, const struct zone_snap *snap, struct store_aside *written) {
  struct zone_row *now = NULL;
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (!err) err = drop_seed(b, zone);
  if (err || !snap) return err;
  struct store_image image = {.version = now->version};
  err = written ? take_aside(b, written, &image) : write_image(b, snap, &image);
  return err ? err : add_seed(b, now, &image);
}

enum err store_batch_seed_image(struct store_batch *b, uint64_t zone) {
  struct zone_row *now = NULL;
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (!err) err = drop_seed(b, zone);
  return err ? err : add_seed(b, now, &now->image);
}

/* Either a snapshot to be written now or one that was. */
static enum err put_image(struct store_batch *b, uint64_t zone, uint64_t version, const struct zone_snap *snap,
                          struct store_aside *aside, const struct store_change *change, struct store_image *image) {
  struct zone_row *now = NULL;
  struct store_image written = {.version = version};
  uint8_t body[32];
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (err) return err;
  if (change && (change->version != version || version != now->version + 1)) return ERR_RANGE;
  if (!change && (version > now->version || version < now->image.version)) return ERR_RANGE;
  err = aside ? take_aside(b, aside, &written) : write_image(b, snap, &written);
  if (err) return err;
  if (change) {
    put_u64(body, written.segment);
    put_u64(body + 8, written.offset_bytes);
    put_u64(body + 16, written.size_bytes);
    put_u64(body + 24, written.digest);
    err = add_change(b, now, change, STORE_FULL, body, sizeof body);
  }
  struct zone_row then = *now;
  if (aside && version < now->version) {
    then.head = aside->head;
    then.serial = aside->serial;
  }
  if (!err) err = add_snapshot(b, now, &then, &written, change != NULL);
  if (!err) *image = written;
  return err;
}

enum err store_batch_image(struct store_batch *b, uint64_t zone, uint64_t version, const struct zone_snap *snap,
                           const struct store_change *change, struct store_image *image) {
  return put_image(b, zone, version, snap, NULL, change, image);
}

enum err store_batch_aside(struct store_batch *b, uint64_t zone, uint64_t version, struct store_aside *a,
                           const struct store_change *change, struct store_image *image) {
  return put_image(b, zone, version, NULL, a, change, image);
}

enum err batch_move(struct store_batch *b, uint64_t zone) {
  struct zone_row *now = NULL;
  struct store_image image;
  struct file_out *shared = NULL;
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (!err) err = shared_segment(b, &shared);
  if (!err) err = segment_copy(b->store, shared, &now->image, &image);
  if (err) return err;
  image.segment = b->shared_number;
  return add_snapshot(b, now, now, &image, false);
}

enum err batch_move_kept(struct store_batch *b, const struct kept *k) {
  struct zone_row *now = NULL;
  struct kept moved = *k;
  struct file_out *shared = NULL;
  if (b->failed) return b->failed;
  enum err err = touch(b, k->zone, &now);
  if (!err) err = shared_segment(b, &shared);
  if (!err) err = segment_copy(b->store, shared, &k->image, &moved.image);
  if (err) return err;
  moved.image.segment = b->shared_number;
  err = insert_snapshot(b, now, &moved.image, k->kind, &moved.snapshot);
  if (!err) err = unkeep(b, k);
  if (!err && !kept_reserve(&b->kept, 1)) err = poison_memory(b);
  if (!err) kept_add(&b->kept, &moved);
  return err;
}

enum err store_batch_promise(struct store_batch *b, uint64_t zone, uint32_t serial, struct digest128 content) {
  struct zone_row *now = NULL;
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (err) return err;
  if (now->head) return ERR_RANGE;
  now->serial = serial;
  now->has_content = true;
  now->content = content;
  b->touched = true;
  size_t at = zones_find(b->store, zone)->pending - 1;
  bool has_row = at < b->with_rows || !b->pending[at].created;
  if (has_row) err = zones_write_row(b->store, now, &b->error);
  return err ? poison(b, err) : ERR_OK;
}

static enum err set_column(struct store_batch *b, enum statement st, uint64_t zone, const void *bytes, size_t size) {
  if (b->failed) return b->failed;
  if (!zones_find(b->store, zone)) return ERR_NOT_FOUND;
  enum err err = insert_rows(b);
  if (err) return err;
  err = DB_RUN(&b->store->db, &b->error, st, size ? DB_BLOB(bytes, size) : DB_NULL, DB_INT(zone));
  b->touched = true;
  return err ? poison(b, err) : ERR_OK;
}

enum err store_batch_source(struct store_batch *b, uint64_t zone, const uint8_t *source, size_t size) {
  const struct zone_row *row = zones_find(b->store, zone);
  struct pending *p = row && row->pending > b->with_rows ? &b->pending[row->pending - 1] : NULL;
  if (!b->failed && p && p->created) {
    p->source = arena_copy(&b->memory, source, size);
    p->source_size = size;
    return p->source ? ERR_OK : poison_memory(b);
  }
  return set_column(b, ST_ZONE_SOURCE, zone, source, size);
}

enum err store_batch_options(struct store_batch *b, uint64_t zone, const void *options, size_t size) {
  return set_column(b, ST_ZONE_OPTS, zone, options, size);
}

/* A live zone besides this one that has its name: made after this one was deleted. */
static enum err has_live_twin(struct store_batch *b, uint64_t zone, bool *twin) {
  struct db *db = &b->store->db;
  bool row = false;
  sqlite3_stmt *st = DB_BIND(db, ST_ZONE_LIVE_TWIN, DB_INT(zone));
  enum err err = db_step(db, st, &row, &b->error);
  if (!err) *twin = row && sqlite3_column_int64(st, 0) > 0;
  db_end(st);
  return err;
}

enum err store_batch_state(struct store_batch *b, uint64_t zone, enum store_zone_state state, int64_t at_s) {
  struct zone_row *now = NULL;
  bool twin = false;
  if (b->failed) return b->failed;
  enum err err = touch(b, zone, &now);
  if (!err) err = insert_rows(b);
  if (err) return err;
  if (state == STORE_ZONE_LIVE) err = has_live_twin(b, zone, &twin);
  if (twin) return ERR_EXISTS;
  if (!err)
    err = DB_RUN(&b->store->db, &b->error, ST_ZONE_STATE, DB_INT(state), DB_INT(state == STORE_ZONE_LIVE ? 0 : at_s), DB_INT(zone));
  if (err) return poison(b, err);
  now->state = (uint8_t)state;
  b->touched = true;
  return ERR_OK;
}

/* ---- ending it ---- */

static void forget(struct store_batch *b) {
  struct store *s = b->store;
  s->batch = NULL;
  segment_table_done(&b->written);
  free(b->stale.list);
  free(b->kept.list);
  free(b->unkept.list);
  free(b->pending);
  arena_done(&b->memory);
  table_done(&b->names);
  free(b);
}

/* Memory as before, files removed. If it is not known what the log holds, the files stay: it may name them. */
static void undo(struct store_batch *b) {
  struct store *s = b->store;
  db_rollback(&s->db);
  if (b->shared_number) file_out_abort(&b->shared);
  for (size_t i = 0; i < b->written.count && !s->uncertain; i++) {
    char name[FILE_NAME_BYTES];
    segment_name(b->written.list[i].number, name);
    (void)s->env.ops->remove(s->segments_fd, name);
  }
  for (size_t i = 0; i < b->count; i++) {
    struct zone_row *row = zones_find(s, b->pending[i].now.id);
    if (row) row->pending = 0;
  }
  s->zones.count = b->rows_before;
  forget(b);
}

void store_batch_abort(struct store_batch *b) {
  if (b) undo(b);
}

/* Files first: whatever the transaction names is on the disk before it is. */
static enum err finish_files(struct store_batch *b) {
  struct store *s = b->store;
  if (b->shared_number) {
    enum err err = finish_segment(b, &b->shared, b->shared_number);
    if (err) return err;
  }
  if (b->written.count && !MUTATION(DIRECTORY_SYNC) && s->env.ops->sync_dir(s->segments_fd)) return file_failed(b, ERR_IO);
  return ERR_OK;
}

/* Room in the store's tables for what follow() will put there. */
static enum err reserve(struct store_batch *b) {
  struct store *s = b->store;
  bool ok = id_list_reserve(&s->stale, b->stale.count) && id_list_reserve(&s->sweep.dirty, b->count);
  for (size_t i = 0; i < b->written.count && ok; i++)
    ok = segment_get(&s->segments, b->written.list[i].number) != NULL;
  if (ok) ok = kept_reserve(&s->kept, b->kept.count);
  return ok ? ERR_OK : poison_memory(b);
}

static void unreserve(struct store_batch *b) {
  for (size_t i = 0; i < b->written.count; i++)
    segment_drop(&b->store->segments, b->written.list[i].number);
}

/* New zones' rows have their heads at once. */
static enum err write_rows(struct store_batch *b) {
  struct store *s = b->store;
  enum err err = ERR_OK;
  for (size_t i = 0; !err && i < b->with_rows; i++)
    if (b->pending[i].created && b->pending[i].now.head) err = zones_write_row(s, &b->pending[i].now, &b->error);
  if (!err) err = insert_rows(b);
  if (!err && b->last_zone != s->last_zone) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)b->last_zone);
    err = DB_RUN(&s->db, &b->error, ST_META_SET, DB_TEXT(text), DB_TEXT("last-zone"));
  }
  bool due = s->sweep.target || s->last_seq - s->sweep.mark > SWEEP_TAIL_CHANGES;
  if (!err && due) err = zones_sweep_step(s, SWEEP_ROWS_BASE + SWEEP_ROWS_CHANGE * b->changes, &b->error);
  return err ? poison(b, err) : ERR_OK;
}

/* Memory follows the log. Nothing here can fail. */
static void follow(struct store_batch *b) {
  struct store *s = b->store;
  zones_swept(s, true);
  for (size_t i = 0; i < b->written.count; i++) {
    struct segment *segment = segment_find(&s->segments, b->written.list[i].number);
    segment->size_bytes = b->written.list[i].size_bytes;
    segment->named = true;
  }
  for (size_t i = 0; i < b->count; i++) {
    struct zone_row *now = &b->pending[i].now, *row = zones_find(s, now->id);
    segment_count(s, &now->image, true);
    segment_count(s, &row->image, false);
    now->dirty = row->dirty || (now->head != row->head && !b->pending[i].created);
    if (now->dirty && !row->dirty) s->sweep.dirty.list[s->sweep.dirty.count++] = now->id;
    s->zones.deleted = s->zones.deleted + (now->state == STORE_ZONE_DELETED) - (row->state == STORE_ZONE_DELETED);
    *row = *now;
    retain_grown(s, row);
  }
  for (size_t i = 0; i + 1 < b->unkept.count; i += 2) {
    struct kept *k = kept_find(&s->kept, b->unkept.list[i], b->unkept.list[i + 1]);
    if (!k) continue;
    segment_count(s, &k->image, false);
    kept_remove(&s->kept, k);
  }
  for (size_t i = 0; i < b->kept.count; i++) {
    segment_count(s, &b->kept.list[i].image, true);
    kept_add(&s->kept, &b->kept.list[i]);
  }
  for (size_t i = 0; i < b->stale.count; i++)
    s->stale.list[s->stale.count++] = b->stale.list[i];
  s->retain.rows += b->changes;
  s->last_seq = b->last_seq;
  s->last_zone = b->last_zone;
  s->last_snapshot = b->last_snapshot;
  s->last_segment = b->last_segment;
}

void store_batch_written(struct store_batch *b, void (*f)(void *arg), void *arg) {
  b->tell = f;
  b->arg = arg;
}

void batch_tell_written(const struct store_batch *b) {
  if (b->tell) b->tell(b->arg);
}

enum err store_batch_commit(struct store_batch *b, struct store_error *error) {
  struct store *s = b->store;
  if (!b->failed && !b->changes && !b->touched) {
    undo(b);
    return ERR_OK;
  }
  enum err err = b->failed;
  if (!err && !MUTATION(ROWS_FIRST)) err = finish_files(b);
  if (!err) err = reserve(b);
  if (!err) err = write_rows(b);
  if (!err) err = store_transaction_end(s, b->changes ? b->last_seq : 0, &b->error);
  if (!err && MUTATION(ROWS_FIRST) && !(err = finish_files(b))) err = reserve(b);
  if (!err) {
    follow(b);
    forget(b);
    return ERR_OK;
  }
  zones_swept(s, false);
  unreserve(b);
  store_fail(error, err, "%s", *b->error.what ? b->error.what : err_text(err));
  undo(b);
  return err;
}

uint64_t store_head(const struct store *s, uint64_t zone) {
  const struct zone_row *row = zones_find(s, zone);
  return row ? row->head : 0;
}

void store_image_of(const struct store *s, uint64_t zone, struct store_image *out) {
  const struct zone_row *row = zones_find(s, zone);
  *out = row ? row->image : (struct store_image){0};
}
