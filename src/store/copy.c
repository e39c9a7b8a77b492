/* Files copied for backups and restores: hashed on the way, synced a piece at a time so that the disk never has much to catch up
 * with when a commit comes. */
#include "store/backup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum err copy_begin(struct copy_out *o, int dir, const char *path) {
  o->size = 0;
  o->digest = NULL;
  o->fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (o->fd < 0) return errno == EEXIST ? ERR_EXISTS : ERR_IO;
  enum err err = digest_new(DIGEST_SHA256, &o->digest);
  if (err) copy_abort(o);
  return err;
}

static enum err tell(const struct store_watch *watch, const uint64_t *total) {
  return !watch || !watch->step || watch->step(watch->arg, total ? *total : 0) ? ERR_OK : ERR_CLOSED;
}

static enum err write_piece(struct copy_out *o, const uint8_t *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t r = write(o->fd, bytes + done, n - done);
    if (r < 0 && errno == EINTR) continue;
    if (r <= 0) return ERR_IO;
    done += (size_t)r;
  }
  enum err err = digest_add(o->digest, bytes, n);
  if (err) return err;
  uint64_t before = o->size / BACKUP_PIECE_BYTES;
  o->size += n;
  if (o->total) *o->total += n;
  if (o->size / BACKUP_PIECE_BYTES == before) return ERR_OK;
  return fdatasync(o->fd) ? ERR_IO : tell(o->watch, o->total);
}

enum err copy_write(struct copy_out *o, const void *bytes, size_t n) {
  const uint8_t *at = bytes;
  enum err err = ERR_OK;
  for (size_t done = 0; !err && done < n;) {
    size_t part = n - done < BACKUP_PIECE_BYTES ? n - done : BACKUP_PIECE_BYTES;
    err = write_piece(o, at + done, part);
    done += part;
  }
  return err;
}

/* Calls `f` for each piece of the file. */
static enum err each_piece(int fd, enum err (*f)(void *arg, const uint8_t *bytes, size_t n), void *arg) {
  uint8_t *bytes = malloc(BACKUP_PIECE_BYTES);
  enum err err = bytes ? ERR_OK : ERR_MEMORY;
  while (!err) {
    ssize_t n = read(fd, bytes, BACKUP_PIECE_BYTES);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) break;
    err = n < 0 ? ERR_IO : f(arg, bytes, (size_t)n);
  }
  int saved = errno;
  free(bytes);
  errno = saved;
  return err;
}

static enum err take_piece(void *arg, const uint8_t *bytes, size_t n) {
  return copy_write(arg, bytes, n);
}

enum err copy_from(struct copy_out *o, int fd) {
  return each_piece(fd, take_piece, o);
}

enum err copy_finish(struct copy_out *o, uint8_t sum[BACKUP_SUM_BYTES]) {
  uint8_t digest[DIGEST_BYTES_MAX];
  enum err err = fsync(o->fd) ? ERR_IO : digest_finish(o->digest, digest);
  if (!err) memcpy(sum, digest, BACKUP_SUM_BYTES);
  copy_abort(o);
  return err;
}

void copy_abort(struct copy_out *o) {
  int saved = errno;
  if (o->fd >= 0) close(o->fd);
  digest_free(o->digest);
  o->fd = -1;
  o->digest = NULL;
  errno = saved;
}

struct summing {
  struct digest *digest;
  const struct store_watch *watch;
  uint64_t *total, size;
};

static enum err add_piece(void *arg, const uint8_t *bytes, size_t n) {
  struct summing *s = arg;
  s->size += n;
  if (s->total) *s->total += n;
  enum err err = digest_add(s->digest, bytes, n);
  return err ? err : tell(s->watch, s->total);
}

enum err copy_sum(int fd, const struct store_watch *watch, uint64_t *total, uint64_t *size, uint8_t sum[BACKUP_SUM_BYTES]) {
  struct summing s = {.watch = watch, .total = total};
  uint8_t digest[DIGEST_BYTES_MAX];
  enum err err = digest_new(DIGEST_SHA256, &s.digest);
  if (!err) err = each_piece(fd, add_piece, &s);
  if (!err) err = digest_finish(s.digest, digest);
  int saved = errno;
  digest_free(s.digest);
  errno = saved;
  if (err) return err;
  memcpy(sum, digest, BACKUP_SUM_BYTES);
  *size = s.size;
  return ERR_OK;
}

void sum_hex(const uint8_t sum[BACKUP_SUM_BYTES], char out[2 * BACKUP_SUM_BYTES + 1]) {
  for (size_t i = 0; i < BACKUP_SUM_BYTES; i++)
    snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

enum err sync_directory(int dir, const char *path) {
  int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ERR_IO;
  enum err err = fsync(fd) ? ERR_IO : ERR_OK;
  int saved = errno;
  close(fd);
  errno = saved;
  return err;
}

static enum err make_directory(int dir, char *path) {
  if (mkdirat(dir, path, 0700)) return errno == EEXIST ? ERR_OK : ERR_IO;
  char *slash = strrchr(path, '/');
  if (!slash) return sync_directory(dir, ".");
  if (slash == path) return sync_directory(dir, "/");
  *slash = 0;
  enum err err = sync_directory(dir, path);
  *slash = '/';
  return err;
}

enum err copy_directories(int dir, const char *path) {
  char *part = strdup(path);
  enum err err = part ? ERR_OK : ERR_MEMORY;
  for (char *slash = part; !err && (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    err = make_directory(dir, part);
    *slash = '/';
  }
  int saved = errno;
  free(part);
  errno = saved;
  return err;
}
