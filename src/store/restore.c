/* A state directory, and other files, from a backup. */
#include "store/backup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char state_prefix[] = "state/";

/* ---- a file ---- */

static enum err failed(enum err err, const char *path, struct store_error *error) {
  if (err == ERR_IO) return store_fail(error, err, "%.200s can't be written: %m", path);
  if (err == ERR_EXISTS) return store_fail(error, err, "%.200s is there already", path);
  return store_fail(error, err, "%.200s: %s", path, err_text(err));
}

/* What stands in the backup, once more compared with what it should be. */
static enum err copy_file(const struct store_manifest *m, const struct store_manifest_file *f, struct copy_out *o,
                          struct store_error *error) {
  uint8_t sum[BACKUP_SUM_BYTES];
  int from = openat(manifest_dir(m), f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  enum err err = from < 0 ? ERR_IO : copy_from(o, from);
  if (!err && fchmod(o->fd, f->mode & 0777)) err = ERR_IO;
  if (from >= 0) close(from);
  if (err) {
    copy_abort(o);
    return failed(err, f->path, error);
  }
  err = copy_finish(o, sum);
  if (err) return failed(err, f->path, error);
  if (o->size == f->size && memcmp(sum, f->sum, sizeof sum) == 0) return ERR_OK;
  return store_fail(error, ERR_CORRUPT, "%.90s/%.90s has changed since it was looked at", manifest_dir_name(m), f->path);
}

/* The directories above the file, and the name it has until it is whole. */
static enum err begin_beside(const char *path, struct buf *temporary, struct copy_out *o) {
  buf_printf(temporary, "%s.restoring", path);
  *o = (struct copy_out){.fd = -1};
  enum err err = temporary->failed ? ERR_MEMORY : copy_directories(AT_FDCWD, path);
  if (!err && unlink(buf_text(temporary)) && errno != ENOENT) err = ERR_IO;
  return err ? err : copy_begin(o, AT_FDCWD, buf_text(temporary));
}

/* link and not rename: it never takes another's place. */
static enum err put_in_place(const char *temporary, const char *path) {
  enum err err = link(temporary, path) == 0 ? ERR_OK : errno == EEXIST ? ERR_EXISTS : ERR_IO;
  char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
  if (!err && !dir) err = ERR_MEMORY;
  if (slash) slash[slash == dir] = 0;
  if (!err && unlink(temporary)) err = ERR_IO;
  if (!err) err = sync_directory(AT_FDCWD, slash ? dir : ".");
  int saved = errno;
  free(dir);
  errno = saved;
  return err;
}

enum err store_restore_file(const struct store_manifest *m, const struct store_manifest_file *f, const char *path,
                            struct store_error *error) {
  struct buf temporary = {0};
  struct copy_out o;
  enum err err = begin_beside(path, &temporary, &o);
  if (err) {
    err = failed(err, path, error);
  } else {
    err = copy_file(m, f, &o, error);
    enum err placed = err ? ERR_OK : put_in_place(buf_text(&temporary), path);
    if (placed) err = failed(placed, path, error);
    if (err) (void)unlink(buf_text(&temporary));
  }
  buf_done(&temporary);
  return err;
}

enum err store_restore_bytes(const char *path, unsigned mode, const void *bytes, size_t n, struct store_error *error) {
  struct buf temporary = {0};
  uint8_t sum[BACKUP_SUM_BYTES];
  struct copy_out o;
  enum err err = begin_beside(path, &temporary, &o);
  if (!err) err = copy_write(&o, bytes, n);
  if (!err && fchmod(o.fd, mode & 0777)) err = ERR_IO;
  if (err) copy_abort(&o);
  else err = copy_finish(&o, sum);
  if (!err) err = put_in_place(buf_text(&temporary), path);
  if (err) {
    err = failed(err, path, error);
    if (!temporary.failed) (void)unlink(buf_text(&temporary));
  }
  buf_done(&temporary);
  return err;
}

bool store_restore_differs(const char *path, uint64_t size, const uint8_t sum[BACKUP_SUM_BYTES]) {
  uint8_t own[BACKUP_SUM_BYTES];
  uint64_t n = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno != ENOENT && errno != ENOTDIR;
  enum err err = copy_sum(fd, NULL, NULL, &n, own);
  close(fd);
  return err || n != size || memcmp(own, sum, sizeof own) != 0;
}

/* ---- the state directory ---- */

/* Whether there is something in it that is not ours to overwrite. */
static bool is_taken(int fd) {
  if (faccessat(fd, RESTORE_MARK, F_OK, 0) == 0) return false;
  int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = copy < 0 ? NULL : fdopendir(copy);
  static const char *const harmless[] = {".", "..", "lock", "lost+found"};
  bool taken = !d;
  for (struct dirent *e; !taken && (e = readdir(d));) {
    taken = true;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
      if (strcmp(e->d_name, harmless[i]) == 0) taken = false;
  }
  if (d) closedir(d);
  else if (copy >= 0) close(copy);
  return taken;
}

/* What an interrupted restore has left: the same names are written again. */
static void clear(int fd) {
  static const char *const ours[] = {"log.db", "log.db-wal", "log.db-shm", "timers", "roll"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    (void)unlinkat(fd, ours[i], 0);
  int segments = openat(fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = segments < 0 ? NULL : fdopendir(segments);
  for (struct dirent *e; d && (e = readdir(d));)
    if (e->d_name[0] != '.') (void)unlinkat(segments, e->d_name, 0);
  if (d) closedir(d);
  else if (segments >= 0) close(segments);
}

static enum err open_state(const char *state, int *fd, int *lock, struct store_error *error) {
  long pid = 0;
  enum err err = copy_directories(AT_FDCWD, state);
  if (!err && mkdir(state, 0700) && errno != EEXIST) err = ERR_IO;
  if (err) return store_fail(error, err, "%.150s can't be made: %m", state);
  *fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0) return store_fail(error, ERR_IO, "%.150s can't be opened: %m", state);
  if (is_taken(*fd))
    return store_fail(error, ERR_EXISTS, "%.150s is not empty: a restore takes nobody's place; move it away first", state);
  err = file_lock(*fd, "lock", lock, &pid);
  if (err == ERR_LOCKED) return store_fail(error, err, "%.150s is in use by process %ld", state, pid);
  if (err) return store_fail(error, err, "%.150s/lock can't be made: %m", state);
  int mark = openat(*fd, RESTORE_MARK, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (mark >= 0) close(mark);
  if (mark < 0 || fsync(*fd) || sync_directory(*fd, "..")) return store_fail(error, ERR_IO, "%.150s can't be written: %m", state);
  clear(*fd);
  return ERR_OK;
}

static enum err fill(const struct store_manifest *m, int fd, const struct store_watch *watch, struct store_error *error) {
  uint64_t total = 0;
  enum err err = mkdirat(fd, "segments", 0700) && errno != EEXIST ? ERR_IO : ERR_OK;
  if (err) return failed(err, "segments", error);
  for (size_t i = 0; !err && i < store_manifest_count(m); i++) {
    const struct store_manifest_file *f = store_manifest_file(m, i);
    if (strncmp(f->path, state_prefix, sizeof state_prefix - 1) != 0) continue;
    struct copy_out o = {.watch = watch, .total = &total, .fd = -1};
    const char *name = f->path + sizeof state_prefix - 1;
    err = copy_begin(&o, fd, name);
    err = err ? failed(err, name, error) : copy_file(m, f, &o, error);
  }
  return err;
}

/* Serials that were given after the backup are out in the world and not in this log: the last change of each zone that was made
 * before is one at or before this. */
static enum err mark_restored(const char *state, struct store_error *error) {
  static const char sql[] = "PRAGMA synchronous = FULL;"
                            "INSERT OR REPLACE INTO meta (key, value) SELECT 'restored', CAST(max(f, c) AS TEXT) FROM (SELECT "
                            "(SELECT seq FROM feed WHERE shard = 0) AS f, (SELECT coalesce(max(seq), 0) FROM changeset) AS c)";
  struct buf path = {0};
  struct db db = {0};
  buf_printf(&path, "%s/log.db", state);
  if (path.failed) return store_fail(error, ERR_MEMORY, "out of memory");
  int rc = sqlite3_open_v2(buf_text(&path), &db.connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_exec(db.connection, sql, NULL, NULL, NULL);
  enum err err = rc == SQLITE_OK ? ERR_OK : db_fail(&db, rc, error);
  buf_done(&path);
  if (sqlite3_close(db.connection) != SQLITE_OK && !err) err = store_fail(error, ERR_IO, "log.db can't be closed");
  return err;
}

enum err store_restore_state(const struct store_manifest *m, const char *state, const struct store_watch *watch,
                             struct store_error *error) {
  int fd = -1, lock = -1;
  const char *schema = store_manifest_note(m, "schema");
  if (schema && strtol(schema, NULL, 10) > STORE_SCHEMA)
    return store_fail(error, ERR_VERSION, "the backup is of a newer version (schema %.10s, this one knows %d): use that one",
                      schema, STORE_SCHEMA);
  enum err err = open_state(state, &fd, &lock, error);
  if (!err) err = fill(m, fd, watch, error);
  if (!err) err = mark_restored(state, error);
  if (!err && (sync_directory(fd, "segments") || fsync(fd) || unlinkat(fd, RESTORE_MARK, 0) || fsync(fd)))
    err = store_fail(error, ERR_IO, "%.150s can't be synced: %m", state);
  if (lock >= 0) close(lock);
  if (fd >= 0) close(fd);
  return err;
}
