/* The SQLite side of the log: one connection, prepared statements, the schema and its migrations.
 *
 * WAL with synchronous=NORMAL, each commit synced by us (store.c), pages of 4096 bytes, copied into log.db between commits (wal.c),
 * and no mmap (an I/O error would be a signal). */
#include "store/store_priv.h"

#include "base/mutation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const statement_texts[ST_COUNT] = {
#define STATEMENT(id, sql) [ST_##id] = sql,
#include "store/statements.def"
#undef STATEMENT
};

/* One text a schema version, run in one transaction. Never edited once released: the next version gets a new one.
 * INTEGER PRIMARY KEY is SQLite's own row number; other engines write BIGINT there. docs/design/store.md explains the columns. */
static const char *const migrations[STORE_SCHEMA] = {
    "CREATE TABLE zone (id INTEGER PRIMARY KEY, name BLOB NOT NULL, kind SMALLINT NOT NULL, state SMALLINT NOT NULL,"
    "  deleted_at BIGINT NOT NULL, opts BLOB, head BIGINT NOT NULL, gen BIGINT NOT NULL, serial BIGINT NOT NULL, sum BLOB,"
    "  source BLOB);"
    "CREATE INDEX zone_name ON zone (name, id);"
    "CREATE TABLE changeset (seq INTEGER PRIMARY KEY, zone BIGINT NOT NULL, gen BIGINT NOT NULL, prev BIGINT NOT NULL,"
    "  kind SMALLINT NOT NULL, serial_from BIGINT, serial_to BIGINT NOT NULL, at BIGINT NOT NULL, door SMALLINT NOT NULL,"
    "  view BIGINT NOT NULL DEFAULT 0, author TEXT NOT NULL, comment TEXT NOT NULL, op BLOB, sum BLOB NOT NULL, notes BLOB,"
    "  body BLOB NOT NULL);"
    "CREATE TABLE snapshot (id INTEGER PRIMARY KEY, zone BIGINT NOT NULL, seq BIGINT NOT NULL, gen BIGINT NOT NULL,"
    "  serial BIGINT NOT NULL, bytes BIGINT NOT NULL, sum BLOB NOT NULL, segment BIGINT NOT NULL, start BIGINT NOT NULL);"
    "CREATE TABLE feed (shard INTEGER PRIMARY KEY, seq BIGINT NOT NULL);"
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "INSERT INTO feed (shard, seq) VALUES (0, 0);"
    "INSERT INTO meta (key, value) VALUES ('schema', '1'), ('mark', '0'), ('tick', '0'), ('last-zone', '0');",
    "ALTER TABLE snapshot ADD COLUMN kind SMALLINT NOT NULL DEFAULT 0;"
    "UPDATE meta SET value = '2' WHERE key = 'schema';",
    "ALTER TABLE changeset ADD COLUMN content BLOB;"
    "ALTER TABLE changeset ADD COLUMN removed BIGINT;"
    "ALTER TABLE changeset ADD COLUMN added BIGINT;"
    "ALTER TABLE zone ADD COLUMN content BLOB;"
    "UPDATE meta SET value = '3' WHERE key = 'schema';",
    "UPDATE meta SET value = '4' WHERE key = 'schema';", /* bodies may be packed (zone/delta_pack.c) */
};

enum { APPLICATION_ID = 0x54414e44 };

enum err db_fail(struct db *db, int rc, struct store_error *error) {
  bool is_its = db->connection && sqlite3_extended_errcode(db->connection) == rc; /* else a call to the file was ours */
  const char *said = is_its ? sqlite3_errmsg(db->connection) : sqlite3_errstr(rc);
  switch (rc & 0xff) {
  case SQLITE_FULL:
    db->no_space = true;
    errno = ENOSPC;
    return store_fail_write(error, ERR_IO, "log.db");
  case SQLITE_NOMEM:
    return store_fail(error, ERR_MEMORY, "out of memory in the log");
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return store_fail(error, ERR_IO, "log.db is held by another program: end whatever has it open for writing");
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return store_fail(error, ERR_CORRUPT, "log.db is damaged (%s): restore the state directory from a backup", said);
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_CANTOPEN:
    return store_fail(error, ERR_IO, "log.db can't be written (%s): check owner and mode of the state directory", said);
  default:
    return store_fail(error, ERR_IO, "log.db: %s (%d): check the disk of the state directory", said, rc);
  }
}

/* ---- statements ---- */

sqlite3_stmt *db_bind(struct db *db, enum statement id, const struct db_value *values, size_t count) {
  sqlite3_stmt *st = db->statements[id];
  for (size_t i = 0; i < count; i++) {
    const struct db_value *v = &values[i];
    int at = (int)i + 1;
    /* All that is bound lives until the statement is ended, so nothing is copied and nothing can fail here. */
    if (v->kind == DB_KIND_INT) sqlite3_bind_int64(st, at, v->number);
    else if (v->kind == DB_KIND_TEXT) sqlite3_bind_text(st, at, v->bytes, -1, SQLITE_STATIC);
    else if (v->kind == DB_KIND_BLOB) sqlite3_bind_blob64(st, at, v->size ? v->bytes : "", v->size, SQLITE_STATIC);
    else sqlite3_bind_null(st, at);
  }
  return st;
}

enum err db_step(struct db *db, sqlite3_stmt *st, bool *row, struct store_error *error) {
  int rc = sqlite3_step(st);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return db_fail(db, rc, error);
  *row = rc == SQLITE_ROW;
  return ERR_OK;
}

void db_end(sqlite3_stmt *st) {
  sqlite3_reset(st);
  sqlite3_clear_bindings(st);
}

/* An error of the disk in any statement, a reading one too, makes SQLite take the open transaction back. What came then would be
 * committed one by one, and be half of a batch. */
enum err db_in_transaction(struct db *db, struct store_error *error) {
  if (!sqlite3_get_autocommit(db->connection)) return ERR_OK;
  return store_fail(error, ERR_IO,
                    "log.db could not be read in the middle of a change, which was taken back: check the disk of the "
                    "state directory");
}

enum err db_run(struct db *db, struct store_error *error, enum statement id, const struct db_value *values, size_t count) {
  if (id != ST_BEGIN) {
    enum err err = db_in_transaction(db, error);
    if (err) return err;
  }
  sqlite3_stmt *st = db_bind(db, id, values, count);
  bool row = false;
  enum err err = db_step(db, st, &row, error);
  db_end(st);
  return err;
}

enum err db_number(struct db *db, struct store_error *error, enum statement id, uint64_t *out) {
  sqlite3_stmt *st = db->statements[id];
  bool row = false;
  enum err err = db_step(db, st, &row, error);
  if (!err) *out = row ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
  db_end(st);
  return err;
}

void db_rollback(struct db *db) {
  if (db->connection && !sqlite3_get_autocommit(db->connection)) sqlite3_exec(db->connection, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- opening ---- */

static void first_of_all(void) {
  (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* or each allocation would take a lock; the first to open a log says so */
}

static enum err execute(struct db *db, const char *sql, struct store_error *error) {
  int rc = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? ERR_OK : db_fail(db, rc, error);
}

/* One number by an unprepared query; `missing` when there is no row. */
static enum err query_number(struct db *db, const char *sql, int64_t missing, int64_t *out, struct store_error *error) {
  sqlite3_stmt *st;
  bool row = false;
  int rc = sqlite3_prepare_v2(db->connection, sql, -1, &st, NULL);
  if (rc != SQLITE_OK) return db_fail(db, rc, error);
  enum err err = db_step(db, st, &row, error);
  if (!err) *out = row ? sqlite3_column_int64(st, 0) : missing;
  sqlite3_finalize(st);
  return err;
}

uint64_t db_free_bytes(struct db *db) {
  enum { PAGE_BYTES = 4096 };
  int64_t pages = 0;
  if (!db->connection || query_number(db, "PRAGMA freelist_count", 0, &pages, NULL)) return 0;
  return (uint64_t)pages * PAGE_BYTES;
}

uint64_t db_memory_bytes(struct db *db) {
  static const int parts[] = {SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED};
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    int used = 0, most;
    if (sqlite3_db_status(db->connection, parts[i], &used, &most, 0) == SQLITE_OK) sum += (uint64_t)used;
  }
  return sum;
}

/* 0: a new, empty database. */
static enum err schema_of(struct db *db, int64_t *schema, struct store_error *error) {
  int64_t tables = 0, meta = 0;
  enum err err = query_number(db, "SELECT count(*) FROM sqlite_master", 0, &tables, error);
  if (!err) err = query_number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'meta'", 0, &meta, error);
  if (err) return err;
  if (!tables) {
    *schema = 0;
    return ERR_OK;
  }
  if (meta) err = query_number(db, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'schema'", 0, schema, error);
  if (!err && (!meta || *schema <= 0)) err = store_fail(error, ERR_CORRUPT, "log.db is a database, but not one of ours");
  if (!err && *schema > STORE_SCHEMA)
    err = store_fail(error, ERR_VERSION, "log.db was written by a newer version (schema %lld, this one knows %d): start that one",
                     (long long)*schema, STORE_SCHEMA);
  return err;
}

static enum err migrate(struct db *db, int64_t schema, struct store_error *error) {
  for (; schema < STORE_SCHEMA; schema++) {
    enum err err = execute(db, "BEGIN IMMEDIATE", error);
    if (!err) err = execute(db, migrations[schema], error);
    if (!err && schema == 0) {
      char sql[128];
      uint64_t id[2];
      sqlite3_randomness(sizeof id, id);
      snprintf(sql, sizeof sql, "INSERT INTO meta (key, value) VALUES ('store', '%016llx%016llx')", (unsigned long long)id[0],
               (unsigned long long)id[1]);
      err = execute(db, sql, error);
    }
    if (!err) err = execute(db, "COMMIT", error);
    int rc = err ? SQLITE_OK : wal_sync(db);
    if (rc != SQLITE_OK) err = db_fail(db, rc, error);
    if (err) {
      db_rollback(db);
      return err;
    }
  }
  return ERR_OK;
}

enum err db_make(struct buf *out, struct store_error *error) {
  enum { WRITE_FORMAT_AT = 18, READ_FORMAT_AT = 19, FORMAT_WAL = 2 }; /* of SQLite's file: what journal_mode = WAL writes */
  struct db db = {0};
  char sql[96];
  sqlite3_int64 size = 0;
  first_of_all();
  int rc = sqlite3_open_v2(":memory:", &db.connection,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, NULL);
  enum err err = rc == SQLITE_OK ? ERR_OK : db_fail(&db, rc, error);
  snprintf(sql, sizeof sql, "PRAGMA page_size = 4096; PRAGMA application_id = %d", APPLICATION_ID);
  if (!err) err = execute(&db, sql, error);
  if (!err) err = migrate(&db, 0, error);
  uint8_t *bytes = err ? NULL : sqlite3_serialize(db.connection, "main", &size, 0);
  if (bytes) {
    bytes[WRITE_FORMAT_AT] = bytes[READ_FORMAT_AT] = FORMAT_WAL;
    buf_add(out, bytes, (size_t)size);
  }
  if (!err && (!bytes || out->failed)) err = store_fail(error, ERR_MEMORY, "out of memory for a new log");
  sqlite3_free(bytes);
  db_close(&db);
  return err;
}

static enum err set_up(struct db *db, int64_t schema, struct store_error *error) {
  /* The WAL grows with a bulk load; what is over 32 MiB is given back at its next restart. */
  enum err err =
      execute(db,
              "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;"
              "PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY",
              error);
  if (!err && !MUTATION(OPEN_SETTLE)) err = db_settle(db, error);
  wal_watch(db);
  if (err && db->unsettled && schema == STORE_SCHEMA) return ERR_OK;
  if (!err) err = migrate(db, schema, error);
  return err;
}

static enum err prepare_all(struct db *db, struct store_error *error) {
  for (int i = 0; i < ST_COUNT; i++) {
    int rc = sqlite3_prepare_v3(db->connection, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
    if (rc != SQLITE_OK) return db_fail(db, rc, error);
  }
  return ERR_OK;
}

/* As much as reading changesets takes. Never writes, not even when it is the last to close. */
enum err db_open_reader(struct db *db, const char *dir, const char *vfs, struct store_error *error) {
  static const enum statement wanted[] = {ST_CHANGE_LINK, ST_CHANGE_READ};
  struct buf path = {0};
  int was;
  buf_printf(&path, "%s/log.db", dir);
  *db = (struct db){0};
  if (path.failed) return store_fail(error, ERR_MEMORY, "out of memory");
  int rc =
      sqlite3_open_v2(buf_text(&path), &db->connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, vfs);
  buf_done(&path);
  enum err err = rc == SQLITE_OK ? ERR_OK : db_fail(db, rc, error);
  if (!err) {
    sqlite3_extended_result_codes(db->connection, 1);
    sqlite3_busy_timeout(db->connection, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &was);
    err = execute(db, "PRAGMA query_only = 1; PRAGMA mmap_size = 0; PRAGMA cache_size = -2048", error);
  }
  for (size_t i = 0; !err && i < sizeof wanted / sizeof *wanted; i++) {
    rc = sqlite3_prepare_v3(db->connection, statement_texts[wanted[i]], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[wanted[i]],
                            NULL);
    if (rc != SQLITE_OK) err = db_fail(db, rc, error);
  }
  if (err) db_close(db);
  return err;
}

enum err db_open(struct db *db, const char *dir, const char *vfs, struct store_error *error) {
  struct buf path = {0};
  buf_printf(&path, "%s/log.db", dir);
  *db = (struct db){.no_space = db->no_space};
  if (path.failed) return store_fail(error, ERR_MEMORY, "out of memory");
  first_of_all();
  int rc =
      sqlite3_open_v2(buf_text(&path), &db->connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, vfs);
  buf_done(&path);
  enum err err = rc == SQLITE_OK ? ERR_OK : db_fail(db, rc, error);
  int keep_wal = 1, was;
  int64_t schema = 0;
  if (!err) {
    sqlite3_extended_result_codes(db->connection, 1);
    sqlite3_busy_timeout(db->connection, BUSY_TIMEOUT_MS);
    /* Until it is settled nothing may be written, not even by closing. */
    sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &was);
    sqlite3_file_control(db->connection, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_wal);
    err = schema_of(db, &schema, error);
  }
  if (!err) err = set_up(db, schema, error);
  if (!err) err = prepare_all(db, error);
  if (err) db_close(db);
  return err;
}

void db_close(struct db *db) {
  for (int i = 0; i < ST_COUNT; i++) {
    sqlite3_finalize(db->statements[i]);
    db->statements[i] = NULL;
  }
  if (!db->connection) return;
  sqlite3_close(db->connection);
  db->connection = NULL;
}
