/* Writing a backup. The log is read in one transaction of a connection of its own: commits go on beside it, and the WAL grows until
 * the copy is done. Segments are copied after it, those that the copy names; the hold of the control thread, taken before, keeps
 * them from being deleted. */
#include "store/backup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGES_A_STEP = BACKUP_PIECE_BYTES / 4096, ESCAPE_BELOW = 0x21 };

struct store_backup {
  char *dir, *state_dir;
  const char *vfs;
  struct store_watch watch;
  int fd, segments_fd, state_fd; /* fd: of the backup; the others: the store's own, duplicated */
  struct buf notes, lines;       /* of the manifest */
  struct buf open_dir;           /* where the last file went: to be synced; empty: none */
  uint64_t bytes;
};

enum err store_backup_begin(struct store *s, const char *dir, struct store_backup **out, struct store_error *error) {
  struct store_backup *b = calloc(1, sizeof *b);
  if (!b) return store_fail(error, ERR_MEMORY, "out of memory");
  *b = (struct store_backup){.vfs = s->env.vfs, .fd = -1};
  b->dir = strdup(dir);
  b->state_dir = strdup(s->dir);
  b->state_fd = fcntl(s->dir_fd, F_DUPFD_CLOEXEC, 0);
  b->segments_fd = fcntl(s->segments_fd, F_DUPFD_CLOEXEC, 0);
  store_hold(s);
  if (!b->dir || !b->state_dir || b->state_fd < 0 || b->segments_fd < 0) {
    store_backup_end(s, b);
    return store_fail(error, ERR_MEMORY, "out of memory or of file descriptors");
  }
  *out = b;
  return ERR_OK;
}

void store_backup_end(struct store *s, struct store_backup *b) {
  if (!b) return;
  if (s) store_release(s);
  if (b->fd >= 0) close(b->fd);
  if (b->segments_fd >= 0) close(b->segments_fd);
  if (b->state_fd >= 0) close(b->state_fd);
  buf_done(&b->notes);
  buf_done(&b->lines);
  buf_done(&b->open_dir);
  free(b->dir);
  free(b->state_dir);
  free(b);
}

/* What failed, in words: the file of the backup, and what the system says. */
static enum err failed(const struct store_backup *b, enum err err, const char *path, struct store_error *error) {
  if (err == ERR_CLOSED) return store_fail(error, err, "the backup was ended before it was done: %.150s is none", b->dir);
  if (err == ERR_IO) return store_fail(error, err, "%.100s/%.100s can't be written: %m", b->dir, path);
  return store_fail(error, err, "%.100s/%.100s: %s", b->dir, path, err_text(err));
}

/* ---- the directory ---- */

static bool is_empty(int fd) {
  int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = copy < 0 ? NULL : fdopendir(copy);
  bool empty = d != NULL;
  for (struct dirent *e; empty && (e = readdir(d));)
    empty = e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2]));
  if (d) closedir(d);
  else if (copy >= 0) close(copy);
  return empty;
}

static enum err open_directory(struct store_backup *b, struct store_error *error) {
  if (mkdir(b->dir, 0700) && errno != EEXIST)
    return store_fail(error, ERR_IO, "%.150s can't be made by the server (user id %u): %m", b->dir, (unsigned)geteuid());
  b->fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (b->fd < 0) return store_fail(error, ERR_IO, "%.150s can't be opened: %m", b->dir);
  if (!is_empty(b->fd)) {
    bool whole = faccessat(b->fd, "manifest", F_OK, 0) == 0;
    return store_fail(error, ERR_EXISTS, "%.150s is not empty: %s", b->dir,
                      whole ? "a backup is there already; name a new directory" : "name a new directory");
  }
  if (sync_directory(b->fd, "..") || mkdirat(b->fd, "state", 0700) || mkdirat(b->fd, "state/segments", 0700) ||
      sync_directory(b->fd, "state"))
    return failed(b, ERR_IO, "state", error);
  return ERR_OK;
}

/* ---- files ---- */

static void note_file(struct store_backup *b, const char *path, unsigned mode, uint64_t size, const uint8_t sum[BACKUP_SUM_BYTES]) {
  char hex[2 * BACKUP_SUM_BYTES + 1];
  sum_hex(sum, hex);
  buf_printf(&b->lines, "file %04o %llu %s ", mode & 0777, (unsigned long long)size, hex);
  for (const char *p = path; *p; p++) {
    if ((unsigned char)*p < ESCAPE_BELOW || *p == '%') buf_printf(&b->lines, "%%%02x", (unsigned char)*p);
    else buf_add_byte(&b->lines, (uint8_t)*p);
  }
  buf_add_byte(&b->lines, '\n');
}

/* A directory is synced once the next file goes elsewhere. */
static enum err leave_directory(struct store_backup *b) {
  enum err err = b->open_dir.size ? sync_directory(b->fd, buf_text(&b->open_dir)) : ERR_OK;
  buf_clear(&b->open_dir);
  return err;
}

static enum err begin_file(struct store_backup *b, const char *path, struct copy_out *o) {
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  enum err err = ERR_OK;
  *o = (struct copy_out){.watch = &b->watch, .total = &b->bytes, .fd = -1};
  if (n != b->open_dir.size || (n && memcmp(path, b->open_dir.data, n) != 0)) {
    err = leave_directory(b);
    if (!err) err = copy_directories(b->fd, path);
    buf_add(&b->open_dir, path, n);
    if (b->open_dir.failed) err = ERR_MEMORY;
  }
  return err ? err : copy_begin(o, b->fd, path);
}

/* After `err` of writing. */
static enum err end_file(struct store_backup *b, const char *path, unsigned mode, struct copy_out *o, enum err err,
                         struct store_error *error) {
  uint8_t sum[BACKUP_SUM_BYTES];
  if (err) copy_abort(o);
  else err = copy_finish(o, sum);
  if (err) return failed(b, err, path, error);
  note_file(b, path, mode, o->size, sum);
  return ERR_OK;
}

enum err store_backup_add(struct store_backup *b, const char *path, unsigned mode, const void *bytes, size_t n,
                          struct store_error *error) {
  struct copy_out o;
  enum err err = begin_file(b, path, &o);
  if (!err) err = copy_write(&o, bytes, n);
  return end_file(b, path, mode, &o, err, error);
}

enum err store_backup_copy(struct store_backup *b, const char *path, unsigned mode, int fd, struct store_error *error) {
  struct copy_out o;
  enum err err = begin_file(b, path, &o);
  if (!err) err = copy_from(&o, fd);
  return end_file(b, path, mode, &o, err, error);
}

/* ---- the log ---- */

static enum err copy_pages(struct store_backup *b, sqlite3 *from, sqlite3 *to, int fd) {
  sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
  if (!copy) return ERR_IO;
  enum err err = ERR_OK;
  int rc = SQLITE_OK;
  while (!err && rc == SQLITE_OK) {
    rc = sqlite3_backup_step(copy, PAGES_A_STEP);
    uint64_t done = (uint64_t)(sqlite3_backup_pagecount(copy) - sqlite3_backup_remaining(copy)) * 4096;
    if (rc == SQLITE_OK && fdatasync(fd)) err = ERR_IO;
    if (!err && rc == SQLITE_OK && !b->watch.step(b->watch.arg, done)) err = ERR_CLOSED;
  }
  int finished = sqlite3_backup_finish(copy);
  if (!err && (rc != SQLITE_DONE || finished != SQLITE_OK)) err = rc == SQLITE_NOMEM ? ERR_MEMORY : ERR_IO;
  return err;
}

/* A cache of few pages: what it can't hold goes to the file at once, and is synced step by step. */
static enum err copy_log(struct store_backup *b, struct db *from, int fd, struct store_error *error) {
  struct buf path = {0};
  sqlite3 *to = NULL;
  buf_printf(&path, "%s/state/log.db", b->dir);
  if (path.failed) return store_fail(error, ERR_MEMORY, "out of memory");
  int rc = sqlite3_open_v2(buf_text(&path), &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, b->vfs);
  buf_done(&path);
  if (rc == SQLITE_OK) rc = sqlite3_exec(to, "PRAGMA cache_size = -1024; PRAGMA journal_mode = OFF", NULL, NULL, NULL);
  enum err err = rc == SQLITE_OK ? copy_pages(b, from->connection, to, fd) : ERR_IO;
  if (err && err != ERR_CLOSED) {
    store_fail(error, err, "the copy of log.db can't be written: %s", to ? sqlite3_errmsg(to) : sqlite3_errstr(rc));
  } else if (err) {
    err = failed(b, err, "state/log.db", error);
  }
  sqlite3_close(to);
  return err;
}

static enum err note_log(struct store_backup *b, struct store_error *error) {
  uint8_t sum[BACKUP_SUM_BYTES];
  uint64_t size;
  int fd = openat(b->fd, "state/log.db", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  enum err err = fd < 0 || fsync(fd) ? ERR_IO : copy_sum(fd, &b->watch, &b->bytes, &size, sum);
  if (fd >= 0) close(fd);
  if (err) return failed(b, err, "state/log.db", error);
  note_file(b, "state/log.db", 0600, size, sum);
  return ERR_OK;
}

static enum err copy_state_file(struct store_backup *b, int dir, const char *name, const char *prefix, struct store_error *error) {
  char path[FILE_NAME_BYTES + 16];
  snprintf(path, sizeof path, "%s%s", prefix, name);
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return store_fail(error, ERR_IO,
                      "%s can't be read: %m; the zones whose images it holds come from their source again "
                      "by `tandem retransfer` or a new start",
                      name);
  enum err err = store_backup_copy(b, path, 0600, fd, error);
  close(fd);
  return err;
}

static enum err copy_segments(struct store_backup *b, struct db *from, struct store_error *error) {
  sqlite3_stmt *st;
  bool row = true;
  int rc = sqlite3_prepare_v2(from->connection, "SELECT DISTINCT segment FROM snapshot WHERE segment > 0 ORDER BY segment", -1, &st,
                              NULL);
  enum err err = rc == SQLITE_OK ? ERR_OK : db_fail(from, rc, error);
  while (!err && !(err = db_step(from, st, &row, error)) && row) {
    char name[FILE_NAME_BYTES];
    segment_name((uint64_t)sqlite3_column_int64(st, 0), name);
    err = copy_state_file(b, b->segments_fd, name, "state/segments/", error);
  }
  sqlite3_finalize(st);
  return err;
}

static enum err execute(struct db *db, const char *sql, struct store_error *error) {
  int rc = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? ERR_OK : db_fail(db, rc, error);
}

/* The transaction is open from the first read on: that is the moment of the backup. */
static enum err copy_store(struct store_backup *b, struct store_error *error) {
  struct db from;
  int fd = openat(b->fd, "state/log.db", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed(b, ERR_IO, "state/log.db", error);
  enum err err = db_open_reader(&from, b->state_dir, b->vfs, error);
  bool open = !err;
  if (!err) err = execute(&from, "BEGIN; SELECT count(*) FROM meta", error);
  if (!err) err = copy_log(b, &from, fd, error);
  if (!err) err = note_log(b, error);
  if (!err) err = copy_segments(b, &from, error);
  if (open) db_rollback(&from);
  if (open) db_close(&from);
  close(fd); /* after SQLite is done: closing it would let go of SQLite's locks */
  if (!err && faccessat(b->state_fd, "timers", F_OK, 0) == 0) err = copy_state_file(b, b->state_fd, "timers", "state/", error);
  return err;
}

enum err store_backup_run(struct store_backup *b, const struct store_watch *watch, struct store_error *error) {
  char schema[16];
  b->watch = *watch;
  snprintf(schema, sizeof schema, "%d", STORE_SCHEMA);
  store_backup_note(b, "schema", schema);
  enum err err = open_directory(b, error);
  return err ? err : copy_store(b, error);
}

/* ---- the manifest ---- */

const struct buf *store_backup_lines(const struct store_backup *b) {
  return &b->lines;
}

uint64_t store_backup_bytes(const struct store_backup *b) {
  return b->bytes;
}

void store_backup_note(struct store_backup *b, const char *key, const char *value) {
  buf_printf(&b->notes, "note %s ", key);
  for (; *value; value++)
    buf_add_byte(&b->notes, *value == '\n' ? ' ' : (uint8_t)*value);
  buf_add_byte(&b->notes, '\n');
}

enum err store_backup_finish(struct store_backup *b, struct store_error *error) {
  struct buf text = {0};
  uint8_t sum[BACKUP_SUM_BYTES], own[BACKUP_SUM_BYTES];
  char hex[2 * BACKUP_SUM_BYTES + 1];
  struct copy_out o = {.fd = -1};
  buf_printf(&text, "tandem-backup %d\n", BACKUP_FORMAT);
  buf_add(&text, b->notes.data, b->notes.size);
  buf_add(&text, b->lines.data, b->lines.size);
  enum err err = b->notes.failed || b->lines.failed || text.failed ? ERR_MEMORY : sha256(text.data, text.size, sum);
  if (!err) {
    sum_hex(sum, hex);
    buf_printf(&text, "end %s\n", hex);
    err = text.failed ? ERR_MEMORY : ERR_OK;
  }
  if (!err) err = leave_directory(b);
  if (!err) err = sync_directory(b->fd, "state");
  if (!err) err = copy_begin(&o, b->fd, "manifest.tmp");
  if (!err && (err = copy_write(&o, text.data, text.size))) copy_abort(&o);
  else if (!err) err = copy_finish(&o, own);
  if (!err && renameat(b->fd, "manifest.tmp", b->fd, "manifest")) err = ERR_IO;
  if (!err && fsync(b->fd)) err = ERR_IO;
  buf_done(&text);
  return err ? failed(b, err, "manifest", error) : ERR_OK;
}
