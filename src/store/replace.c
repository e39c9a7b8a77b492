/* A file of the operator's that is written anew as a whole. The same order as for our own files: temporary name, write, sync,
 * rename, directory sync; and the owner and the mode it had. */
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

struct replace {
  const struct file_ops *ops;
  char *path; /* links resolved */
  const char *name;
  char temporary[300];
  int dir, fd;
};

static bool write_all(const struct replace *r, const uint8_t *bytes, size_t n) {
  while (n) {
    ssize_t done = r->ops->write(r->fd, bytes, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes += done;
    n -= (size_t)done;
  }
  return true;
}

/* As what is written beside commits (file.c). */
static bool write_pieces(const struct replace *r, const uint8_t *bytes, size_t n, const struct store_watch *watch) {
  for (size_t at = 0, piece; at < n; at += piece) {
    piece = n - at < PIECE_BYTES ? n - at : PIECE_BYTES;
    if (!write_all(r, bytes + at, piece) || r->ops->sync(r->fd)) return false;
    if (watch->step(watch->arg, at + piece)) continue;
    errno = ECANCELED;
    return false;
  }
  return true;
}

static enum err open_beside(struct replace *r, const char *path, struct store_error *error) {
  r->path = realpath(path, NULL);
  if (!r->path) return store_fail(error, ERR_IO, "%.160s can't be found: %m", path);
  char *slash = strrchr(r->path, '/');
  r->name = slash + 1;
  if (snprintf(r->temporary, sizeof r->temporary, ".%s.tandem", r->name) >= (int)sizeof r->temporary)
    return store_fail(error, ERR_IO, "%.160s has too long a name", path);
  *slash = 0;
  r->dir = open(*r->path ? r->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (r->dir < 0) return store_fail(error, ERR_IO, "the directory of %.160s can't be opened: %m", path);
  r->fd = r->ops->create(r->dir, r->temporary);
  return r->fd < 0 ? store_fail(error, ERR_IO, "no file can be made beside %.160s: %m", path) : ERR_OK;
}

/* Owner and mode as they are now; nothing is replaced that would then be another's. */
static enum err take_owner(const struct replace *r, struct store_error *error) {
  struct stat old, new;
  if (fstatat(r->dir, r->name, &old, AT_SYMLINK_NOFOLLOW) || fstat(r->fd, &new))
    return store_fail(error, ERR_IO, "%.160s: %m", r->name);
  if (!S_ISREG(old.st_mode)) return store_fail(error, ERR_IO, "%.160s is no plain file", r->name);
  if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) && fchown(r->fd, old.st_uid, old.st_gid))
    return store_fail(error, ERR_IO, "%.160s would have another owner or group: %m", r->name);
  if (fchmod(r->fd, old.st_mode & 07777)) return store_fail(error, ERR_IO, "the mode of %.160s: %m", r->name);
  return ERR_OK;
}

enum err store_replace_file(struct store *s, const char *path, const void *bytes, size_t n, const struct store_watch *watch,
                            bool (*still)(void *arg), void *arg, struct store_error *error) {
  struct replace r = {.ops = s->env.ops, .dir = -1, .fd = -1};
  enum err err = open_beside(&r, path, error);
  if (!err) err = take_owner(&r, error);
  if (!err && !write_pieces(&r, bytes, n, watch)) err = store_fail(error, ERR_IO, "%.160s can't be written: %m", path);
  if (!err && !still(arg)) err = store_fail(error, ERR_EXISTS, "%.160s was changed meanwhile", path);
  if (!err && r.ops->rename(r.dir, r.temporary, r.name)) err = store_fail(error, ERR_IO, "%.160s can't be replaced: %m", path);
  if (err && r.fd >= 0) (void)r.ops->remove(r.dir, r.temporary);
  if (!err && r.ops->sync_dir(r.dir)) err = store_fail(error, ERR_IO, "the directory of %.160s can't be synced: %m", path);
  if (r.fd >= 0) close(r.fd);
  if (r.dir >= 0) close(r.dir);
  free(r.path);
  return err;
}
