/* SQLite's WAL between commits: what a change would have to wait for is done when nobody waits.
 *
 * A sync of octets in blocks that were written before is one write; one of a file that grew has its length to write as well, and
 * the file system's journal where there is one. So the file is filled with zeros ahead of what is used, up to the size at which it
 * is copied into log.db and begun anew. Whoever reads it back stops there: no frame of zeros has the salt of its header, no header
 * of zeros is one. */
#include "store/store_priv.h"

#include <stdlib.h>

enum {
  COPY_PAGES = 1000, /* the WAL is copied into log.db when it has so many; a batch waits for that only at twice as many */
  HEADER_BYTES = 32,
  FRAME_BYTES = 24 + 4096,
  STEP_BYTES = 1 << 18,                                       /* filled at once: as long as a few commits take */
  MOST_BYTES = HEADER_BYTES + (COPY_PAGES + 64) * FRAME_BYTES /* filled at all */
};

static int on_commit(void *arg, sqlite3 *connection, const char *schema, int pages) {
  ((struct db *)arg)->wal.pages = (unsigned)pages;
  return SQLITE_OK;
}

void wal_watch(struct db *db) {
  sqlite3_wal_hook(db->connection, on_commit, db);
}

static bool copy_is_due(const struct db *db, unsigned pages) {
  return db->wal.pages >= pages && db->wal.pages != db->wal.copied;
}

static bool fill_is_due(const struct db *db) {
  uint64_t used = HEADER_BYTES + (uint64_t)db->wal.pages * FRAME_BYTES;
  return db->wal.bytes < MOST_BYTES && used + STEP_BYTES / 2 > db->wal.bytes;
}

static void copy(struct db *db) {
  /* What fails here is tried again behind the next commit. */
  (void)sqlite3_wal_checkpoint_v2(db->connection, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  db->wal.copied = db->wal.pages;
}

static int find_wal(struct db *db, sqlite3_file **out) {
  *out = NULL;
  int rc = sqlite3_file_control(db->connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, out);
  if (*out && !(*out)->pMethods) *out = NULL;
  return rc;
}

int wal_sync(struct db *db) {
  sqlite3_file *wal;
  int rc = find_wal(db, &wal);
  return rc == SQLITE_OK && wal ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) : rc;
}

static int fill_to(sqlite3_file *wal, sqlite3_int64 *size, sqlite3_int64 end) {
  uint8_t *zeros = calloc(1, WAL_PIECE_BYTES);
  int rc = zeros ? SQLITE_OK : SQLITE_NOMEM;
  bool grows = *size < end;
  while (rc == SQLITE_OK && *size < end) {
    int n = end - *size < WAL_PIECE_BYTES ? (int)(end - *size) : WAL_PIECE_BYTES;
    rc = wal->pMethods->xWrite(wal, zeros, n, *size);
    *size += n;
  }
  if (rc == SQLITE_OK && grows) rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  free(zeros);
  return rc;
}

static void fill(struct db *db) {
  sqlite3_file *wal;
  sqlite3_int64 size = 0, end = HEADER_BYTES + (sqlite3_int64)db->wal.pages * FRAME_BYTES + STEP_BYTES;
  int rc = find_wal(db, &wal);
  if (rc == SQLITE_OK && !wal) return;
  if (rc == SQLITE_OK) rc = wal->pMethods->xFileSize(wal, &size);
  if (rc == SQLITE_OK) rc = fill_to(wal, &size, end < MOST_BYTES ? end : MOST_BYTES);
  /* Without it commits are slower, no more; it is not tried again before the log is opened anew. */
  db->wal.bytes = rc == SQLITE_OK ? (uint64_t)size : MOST_BYTES;
}

bool store_tend_is_due(const struct store *s) {
  if (!s->db.connection || s->db.unsettled || s->uncertain || s->batch) return false;
  return copy_is_due(&s->db, COPY_PAGES) || fill_is_due(&s->db);
}

void store_tend(struct store *s) {
  if (!store_tend_is_due(s)) return;
  if (copy_is_due(&s->db, COPY_PAGES)) copy(&s->db);
  if (fill_is_due(&s->db)) fill(&s->db);
}

void wal_empty(struct db *db) {
  if (!db->connection || db->unsettled) return;
  sqlite3_busy_timeout(db->connection, 0); /* what is read from it stays in it */
  (void)sqlite3_wal_checkpoint_v2(db->connection, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  sqlite3_busy_timeout(db->connection, BUSY_TIMEOUT_MS);
  db->wal.pages = db->wal.copied = 0;
  db->wal.bytes = 0;
}

void wal_bound(struct db *db) {
  if (copy_is_due(db, 2 * COPY_PAGES)) copy(db);
}
