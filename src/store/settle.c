/* What is visible in the log becomes durable, whatever an earlier sync has said. */
#include "store/store_priv.h"

#include <stdlib.h>

enum { WAL_HEADER_BYTES = 32 };

/* Writes again what can be read of the WAL, so that a sync has something to do: a failed one leaves pages that the kernel calls
 * clean and that are not on the disk. The header goes first and alone, as in SQLite: an old one before newer frames would make
 * frames of its own time valid, but not all of them. */
static int write_again(sqlite3_file *wal) {
  sqlite3_int64 size = 0;
  uint8_t *bytes = malloc(WAL_PIECE_BYTES);
  int rc = bytes ? wal->pMethods->xFileSize(wal, &size) : SQLITE_NOMEM;
  for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size;) {
    sqlite3_int64 most = at ? WAL_PIECE_BYTES : WAL_HEADER_BYTES;
    int n = (int)(size - at < most ? size - at : most);
    rc = wal->pMethods->xRead(wal, bytes, n, at);
    if (rc == SQLITE_OK) rc = wal->pMethods->xWrite(wal, bytes, n, at);
    if (rc == SQLITE_OK && (!at || at + n == size)) rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    at += n;
  }
  free(bytes);
  return rc;
}

/* All that is visible becomes durable, whatever an earlier sync said: in the WAL, then in the database file, and that the WAL is
 * empty then, too. Were the WAL on the disk behind the database file, a crash in between would replay its older frames over newer
 * pages. */
enum err db_settle(struct db *db, struct store_error *error) {
  sqlite3_file *wal = NULL;
  int rc = sqlite3_file_control(db->connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  if (rc == SQLITE_OK && wal && wal->pMethods) rc = write_again(wal);
  if (rc == SQLITE_OK) rc = sqlite3_wal_checkpoint_v2(db->connection, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  if (rc == SQLITE_OK) rc = wal_sync(db);
  db->unsettled = (rc & 0xff) == SQLITE_FULL;
  db->wal.pages = db->wal.copied = 0;
  db->wal.bytes = 0;
  if (rc != SQLITE_OK) return db_fail(db, rc, error);
  sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
  return ERR_OK;
}
