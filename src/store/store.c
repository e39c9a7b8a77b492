/* Opening and closing the store, its transactions, and what is there. */
#include "store/backup_priv.h"

#include "base/mutation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const state_files[] = {"lock", "log.db", "log.db-wal", "log.db-shm", "timers", "roll", "ballast"};

enum err store_fail(struct store_error *error, enum err code, const char *format, ...) {
  if (!error) return code;
  va_list args;
  va_start(args, format);
  vsnprintf(error->what, sizeof error->what, format, args);
  va_end(args);
  return code;
}

enum err store_fail_write(struct store_error *error, enum err code, const char *what) {
  if (!store_is_full(errno)) return store_fail(error, code, "%s can't be written: %m: check the disk of the state directory", what);
  return store_fail(error, code, "no space left for %s: changes are refused until there is room on the disk of the state directory",
                    what);
}

/* ---- opening ---- */

static enum err open_directories(struct store *s, const char *dir, struct store_error *error) {
  bool made = mkdir(dir, 0700) == 0;
  if (!made && errno != EEXIST) return store_fail(error, ERR_IO, "%.160s can't be made: %m", dir);
  s->dir = realpath(dir, NULL);
  s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!s->dir || s->dir_fd < 0) return store_fail(error, ERR_IO, "%.160s can't be opened: %m", dir);
  if (mkdirat(s->dir_fd, "segments", 0700) && errno != EEXIST)
    return store_fail(error, ERR_IO, "%.160s/segments can't be made: %m", dir);
  s->segments_fd = openat(s->dir_fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (s->segments_fd < 0) return store_fail(error, ERR_IO, "%.160s/segments can't be opened: %m", dir);
  if (made) { /* or the directory itself could be gone after a power loss */
    int parent = openat(s->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0) {
      (void)s->env.ops->sync_dir(parent);
      close(parent);
    }
  }
  return ERR_OK;
}

static enum err lock(struct store *s, const char *dir, struct store_error *error) {
  long pid = 0;
  enum err err = file_lock(s->dir_fd, "lock", &s->lock_fd, &pid);
  if (err == ERR_LOCKED) {
    if (!pid) return store_fail(error, err, "%.160s is in use by another process", dir);
    return store_fail(error, err, "%.160s is in use by process %ld: only one server may use a state directory", dir, pid);
  }
  if (err) return store_fail(error, err, "%.160s/lock can't be made: %m", dir);
  return ERR_OK;
}

/* SQLite would take a WAL that is left of another log for this one's. */
static enum err remove_wal(struct store *s) {
  if (s->env.ops->remove(s->dir_fd, "log.db-wal")) return errno == ENOENT ? ERR_OK : ERR_IO;
  return s->env.ops->sync_dir(s->dir_fd) ? ERR_IO : ERR_OK;
}

/* The name is synced with all others at the end of the load, before the first change. SQLite's other files take this one's mode. */
static enum err make_database(struct store *s, struct store_error *error) {
  struct stat st;
  struct buf bytes = {0};
  struct file_out file;
  if (fstatat(s->dir_fd, "log.db", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size) return ERR_OK;
  enum err err = db_make(&bytes, error);
  if (!err) {
    err = remove_wal(s);
    if (!err) err = file_out_begin(&file, s->env.ops, s->dir_fd, "log.db");
    if (!err) {
      file_out_write(&file, bytes.data, bytes.size);
      err = file_out_finish(&file);
    }
    if (err) err = store_fail(error, err, "log.db can't be made: %m");
  }
  buf_done(&bytes);
  return err;
}

static bool is_named(const struct segment *segment) {
  return segment->named;
}

static enum err load(struct store *s, struct store_error *error) {
  if (faccessat(s->dir_fd, RESTORE_MARK, F_OK, 0) == 0)
    return store_fail(error, ERR_CORRUPT, "the state directory is half restored: `tandem restore` was interrupted; run it again");
  enum err err = segment_scan(s, error); /* before anything is written: they may be a newer version's */
  if (!err) err = make_database(s, error);
  if (!err) err = db_open(&s->db, s->dir, s->env.vfs, error);
  if (!err) err = zones_load(s, error);
  if (!err && s->env.ops->sync_dir(s->dir_fd)) err = store_fail(error, ERR_IO, "the state directory can't be synced: %m");
  if (err) return err;
  file_remove_temporary(s->env.ops, s->dir_fd);
  file_remove_temporary(s->env.ops, s->segments_fd);
  sweep_segments(s, is_named);
  timers_load(s);
  return ERR_OK;
}

static void let_go(struct store *s) {
  roll_done(s);
  db_close(&s->db);
  segment_table_done(&s->segments);
  free(s->zones.rows);
  free(s->stale.list);
  free(s->sweep.dirty.list);
  free(s->kept.list);
  free(s->dir);
  if (s->segments_fd >= 0) close(s->segments_fd);
  if (s->lock_fd >= 0) close(s->lock_fd);
  if (s->dir_fd >= 0) close(s->dir_fd);
  free(s);
}

enum err store_open_with(const char *dir, const struct store_env *env, struct store **out, struct store_error *error) {
  struct store *s = calloc(1, sizeof *s);
  if (!s) return store_fail(error, ERR_MEMORY, "out of memory");
  s->env = *env;
  s->dir_fd = s->segments_fd = s->lock_fd = -1;
  enum err err = open_directories(s, dir, error);
  if (!err) err = lock(s, dir, error);
  if (!err) err = load(s, error);
  if (err) {
    let_go(s);
    return err;
  }
  *out = s;
  return ERR_OK;
}

enum err store_open(const char *dir, struct store **out, struct store_error *error) {
  return store_open_with(dir, &(struct store_env){.ops = &file_ops_system, .room = store_room_system}, out, error);
}

/* What can't be written is found again at the next start, by rows and the log's tail. */
void store_finish(struct store *s) {
  if (s->uncertain || s->batch) return;
  enum err err = sweep_heads(s, NULL);
  if (!err) err = roll_write(s, NULL);
  (void)err;
  wal_empty(&s->db);
}

/* Timers that can't be written are made good by asking the primaries. */
void store_close(struct store *s) {
  if (!s) return;
  store_batch_abort(s->batch);
  store_finish(s);
  enum err err = store_timers_flush(s, NULL);
  (void)err;
  let_go(s);
}

enum err store_chown(struct store *s, unsigned uid, unsigned gid, struct store_error *error) {
  if (fchown(s->dir_fd, uid, gid) || fchown(s->segments_fd, uid, gid))
    return store_fail(error, ERR_IO, "the owner of the state directory can't be changed: %m");
  for (size_t i = 0; i < sizeof state_files / sizeof *state_files; i++) {
    if (!fchownat(s->dir_fd, state_files[i], uid, gid, AT_SYMLINK_NOFOLLOW) || errno == ENOENT) continue;
    return store_fail(error, ERR_IO, "the owner of %s can't be changed: %m", state_files[i]);
  }
  for (size_t i = 0; i < s->segments.count; i++) {
    char name[FILE_NAME_BYTES];
    segment_name(s->segments.list[i].number, name);
    if (!fchownat(s->segments_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) || errno == ENOENT) continue;
    return store_fail(error, ERR_IO, "the owner of segments/%s can't be changed: %m", name);
  }
  return ERR_OK;
}

/* ---- transactions ---- */

enum err store_transaction_begin(struct store *s, struct store_error *error) {
  if (s->uncertain || !s->db.connection)
    return store_fail(error, ERR_IO, "the disk failed in the middle of a change: repair it and restart; zones are still answered");
  enum err err = s->db.unsettled ? db_settle(&s->db, error) : ERR_OK;
  if (!err) wal_bound(&s->db);
  roll_done(s);
  return err ? err : DB_RUN(&s->db, error, ST_BEGIN, DB_NULL);
}

/* Whether the transaction that failed is in the log after all. */
static enum err look_up(struct store *s, uint64_t seq, bool *there, struct store_error *error) {
  uint64_t last = 0;
  enum err err = ERR_OK;
  if (seq) {
    err = db_number(&s->db, error, ST_CHANGE_LAST, &last);
    if (!err) *there = last >= seq;
    return err;
  }
  bool row = false;
  sqlite3_stmt *st = DB_BIND(&s->db, ST_META_GET, DB_TEXT("tick"));
  err = db_step(&s->db, st, &row, error);
  if (!err && row) last = (uint64_t)sqlite3_column_int64(st, 0);
  if (!err) *there = last > s->tick;
  db_end(st);
  return err;
}

/* A sync that failed is never tried again on the same pages: the kernel may have dropped them and call the next one good. But a
 * WAL frame that was written may be read back by whoever opens the database next. So: a fresh connection, which makes everything
 * visible durable, and then a look. A second failure means that nobody knows: no more changes until a restart has read the log. */
static enum err settle(struct store *s, uint64_t seq, bool *there, struct store_error *error) {
  int was;
  db_rollback(&s->db);
  /* Closing must not copy what may be in the page cache alone. */
  sqlite3_db_config(s->db.connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &was);
  db_close(&s->db);
  enum err err = db_open(&s->db, s->dir, s->env.vfs, error);
  if (!err) err = look_up(s, seq, there, error);
  if (err || s->db.unsettled) {
    s->uncertain = true;
    return store_fail(error, ERR_IO, "the disk failed in the middle of a change: repair it and restart; zones are still answered");
  }
  return ERR_OK;
}

/* Commits that fail cleanly: nothing of them reached the log. */
static bool is_clean_failure(int rc) {
  int primary = rc & 0xff;
  return primary == SQLITE_FULL || primary == SQLITE_BUSY || primary == SQLITE_NOMEM;
}

/* Written, told, synced. */
static enum err commit(struct store *s, bool *clean, struct store_error *error) {
  sqlite3_stmt *st = s->db.statements[ST_COMMIT];
  if (s->batch && MUTATION(TOLD_UNWRITTEN)) batch_tell_written(s->batch);
  int rc = sqlite3_step(st);
  enum err err = rc == SQLITE_DONE ? ERR_OK : db_fail(&s->db, rc, error);
  *clean = is_clean_failure(rc);
  db_end(st);
  if (err) return err;
  if (s->batch) batch_tell_written(s->batch);
  rc = MUTATION(COMMIT_SYNC) ? SQLITE_OK : wal_sync(&s->db);
  return rc == SQLITE_OK ? ERR_OK : db_fail(&s->db, rc, error);
}

enum err store_transaction_end(struct store *s, uint64_t seq, struct store_error *error) {
  bool clean;
  atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
  enum err err = db_in_transaction(&s->db, error);
  if (err) return err;
  if (!seq) {
    char tick[24];
    snprintf(tick, sizeof tick, "%llu", (unsigned long long)s->tick + 1);
    err = DB_RUN(&s->db, error, ST_META_SET, DB_TEXT(tick), DB_TEXT("tick"));
    if (err) return err;
  }
  err = commit(s, &clean, error);
  if (err && MUTATION(FAILED_COMMIT)) err = ERR_OK;
  if (err && clean) {
    db_rollback(&s->db);
    return err;
  }
  if (err) {
    struct store_error again = {""};
    bool there = false;
    enum err unknown = settle(s, seq, &there, &again);
    if (unknown) return store_fail(error, unknown, "%s", again.what);
    if (!there) return err;
  }
  if (!seq) s->tick++;
  return ERR_OK;
}

/* ---- what is there ---- */

bool store_is_restored(const struct store *s, uint64_t head) {
  return head && head <= s->restored;
}

void store_zone_describe(const struct zone_row *row, struct store_zone *z) {
  z->id = row->id;
  z->state = (enum store_zone_state)row->state;
  z->head = row->head;
  z->version = row->version;
  z->serial = row->serial;
  z->has_content = row->has_content;
  z->content = row->content;
  z->image = row->image;
}

static struct store_zone describe(const struct zone_row *row, sqlite3_stmt *st) {
  struct store_zone z = {
      .name = sqlite3_column_blob(st, 1),
      .name_size = (uint8_t)sqlite3_column_bytes(st, 1),
      .deleted_at_s = sqlite3_column_int64(st, 2),
      .source = sqlite3_column_blob(st, 3),
      .source_size = (size_t)sqlite3_column_bytes(st, 3),
      .options = sqlite3_column_blob(st, 4),
      .options_size = (size_t)sqlite3_column_bytes(st, 4),
  };
  store_zone_describe(row, &z);
  return z;
}

static enum err each_zone(struct store *s, enum statement statement, struct db_value value,
                          bool (*f)(void *arg, const struct store_zone *z), void *arg, struct store_error *error) {
  if (!s->db.connection) return store_fail(error, ERR_IO, "the log could not be opened again after an error of the disk");
  if (s->reading) return store_fail(error, ERR_AGAIN, "the zones are being read already");
  sqlite3_stmt *st = db_bind(&s->db, statement, &value, 1);
  bool more = true;
  enum err err;
  s->reading = true;
  while (!(err = db_step(&s->db, st, &more, error)) && more) {
    const struct zone_row *row = zones_find(s, (uint64_t)sqlite3_column_int64(st, 0));
    if (!row || row->id > s->last_zone) continue; /* made by the open batch */
    struct store_zone z = describe(row, st);
    if (f(arg, &z)) continue;
    err = store_fail(error, ERR_REFUSED, "stopped");
    break;
  }
  s->reading = false;
  db_end(st);
  return err;
}

enum err store_each_zone(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg, struct store_error *error) {
  if (!s->roll.zone_count || s->reading) return each_zone(s, ST_ZONE_LIST, DB_INT(0), f, arg, error);
  s->reading = true;
  enum err err = roll_each_zone(s, f, arg);
  s->reading = false;
  return err ? store_fail(error, err, "stopped") : ERR_OK;
}

enum err store_zones_named(struct store *s, const uint8_t *name, size_t size, bool (*f)(void *arg, const struct store_zone *z),
                           void *arg, struct store_error *error) {
  return each_zone(s, ST_ZONE_NAMED, DB_BLOB(name, size), f, arg, error);
}

enum err store_deleted_zones(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg,
                             struct store_error *error) {
  enum err err = ERR_OK;
  for (size_t i = 0; !err && s->zones.deleted && i < s->zones.count; i++)
    if (s->zones.rows[i].state == STORE_ZONE_DELETED)
      err = each_zone(s, ST_ZONE_NUMBERED, DB_INT(s->zones.rows[i].id), f, arg, error);
  return err;
}

struct store_stamp store_stamp(const struct store *s) {
  return (struct store_stamp){s->tick, s->last_seq, {s->id[0], s->id[1]}};
}

static uint64_t file_bytes(int dir, const char *name) {
  struct stat st;
  return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : (uint64_t)st.st_size;
}

enum err store_usage(struct store *s, struct store_usage *out) {
  struct store_usage u = {
      .segments = s->segments.count,
  };
  uint64_t first;
  if (!s->db.connection) return ERR_IO;
  u.memory_bytes = db_memory_bytes(&s->db);
  enum err err = db_number(&s->db, NULL, ST_CHANGE_FIRST, &first);
  if (err) return err;
  u.changesets = s->retain.counted ? s->retain.rows : first ? s->last_seq - first + 1 : 0;
  u.database_bytes = file_bytes(s->dir_fd, "log.db") + file_bytes(s->dir_fd, "log.db-wal");
  for (size_t i = 0; i < s->segments.count; i++)
    u.segment_bytes += s->segments.list[i].size_bytes;
  *out = u;
  return ERR_OK;
}
