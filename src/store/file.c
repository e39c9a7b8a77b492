/* Files that appear whole or not at all: temporary name, write, sync, rename; the caller syncs the directory once for all the
 * files of a step. A file whose sync failed is never trusted again: it is removed and written anew (the kernel may have dropped
 * the pages that it could not write). */
#include "store/store_priv.h"

#include "base/mutation.h"
#include "zone/zone_set.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE_BYTES = 16 << 20 };

static const char temporary_suffix[] = ".tmp";

static int system_create(int dir, const char *name) {
  return openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int system_rename(int dir, const char *from, const char *to) {
  return renameat(dir, from, dir, to);
}

static void close_late(void *fd) {
  close((int)(intptr_t)fd);
}

/* Who has a large file open last takes the time to give back its blocks: that is the thread that frees what readers have left. */
static int system_remove(int dir, const char *name) {
  struct stat st;
  int fd = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size >= LARGE_BYTES
               ? openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
               : -1;
  int r = unlinkat(dir, name, 0);
  if (fd >= 0) zone_after_grace(close_late, (void *)(intptr_t)fd);
  return r;
}

const struct file_ops file_ops_system = {
    .create = system_create,
    .write = write,
    .sync = fdatasync,
    .rename = system_rename,
    .sync_dir = fsync,
    .remove = system_remove,
};

enum err file_out_begin(struct file_out *o, const struct file_ops *ops, int dir, const char *name) {
  struct file_out begun = {.ops = ops, .dir = dir};
  assert(strlen(name) < sizeof begun.name);
  snprintf(begun.name, sizeof begun.name, "%s", name);
  snprintf(begun.temporary, sizeof begun.temporary, "%s%s", begun.name, temporary_suffix);
  begun.buffer = malloc(FILE_BUFFER_BYTES);
  if (!begun.buffer) return ERR_MEMORY;
  begun.fd = ops->create(dir, begun.temporary);
  if (begun.fd < 0) {
    free(begun.buffer);
    return ERR_IO;
  }
  *o = begun;
  return ERR_OK;
}

static bool write_all(struct file_out *o, const uint8_t *bytes, size_t n) {
  while (n && !o->error) {
    ssize_t done = o->ops->write(o->fd, bytes, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      o->error = done < 0 ? errno : EIO;
      break;
    }
    bytes += done;
    n -= (size_t)done;
  }
  return !o->error;
}

bool file_out_ask(struct file_out *o) {
  if (!o->error && o->watch && !o->watch->step(o->watch->arg, o->size_bytes)) o->error = ECANCELED;
  return !o->error;
}

/* What is written beside commits never keeps the disk busy for long. */
static bool flush(struct file_out *o) {
  size_t n = o->buffered;
  o->buffered = 0;
  if (!write_all(o, o->buffer, n) || !o->watch) return !o->error;
  if (o->ops->sync(o->fd)) o->error = errno;
  return file_out_ask(o);
}

bool file_out_write(struct file_out *o, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  o->size_bytes += n;
  while (n) {
    if (!o->buffered && n >= FILE_BUFFER_BYTES) return write_all(o, p, n);
    size_t room = FILE_BUFFER_BYTES - o->buffered, part = n < room ? n : room;
    memcpy(o->buffer + o->buffered, p, part);
    o->buffered += part;
    p += part;
    n -= part;
    if (o->buffered == FILE_BUFFER_BYTES && !flush(o)) return false;
  }
  return !o->error;
}

enum err file_out_finish(struct file_out *o) {
  write_all(o, o->buffer, o->buffered);
  if (!o->error && !MUTATION(FILE_SYNC) && o->ops->sync(o->fd)) o->error = errno;
  if (close(o->fd) && !o->error) o->error = errno;
  free(o->buffer);
  if (!o->error && o->ops->rename(o->dir, o->temporary, o->name)) o->error = errno;
  int error = o->error;
  if (error) (void)o->ops->remove(o->dir, o->temporary); /* what stays is removed at the next start */
  o->fd = -1;
  o->buffer = NULL;
  errno = error;
  return error ? ERR_IO : ERR_OK;
}

void file_out_abort(struct file_out *o) {
  if (o->fd < 0) return;
  close(o->fd);
  free(o->buffer);
  (void)o->ops->remove(o->dir, o->temporary);
  o->fd = -1;
  o->buffer = NULL;
}

static long read_pid(int fd) {
  char text[24];
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  if (n <= 0) return 0;
  text[n] = 0;
  return strtol(text, NULL, 10);
}

/* flock belongs to the open file, not to the process: a second open in this process is refused as well, and closing some other
 * descriptor of the file does not lose it. */
enum err file_lock(int dir, const char *name, int *fd, long *pid) {
  int f = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (f < 0) return ERR_IO;
  if (flock(f, LOCK_EX | LOCK_NB)) {
    enum err err = errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO;
    if (err == ERR_LOCKED) *pid = read_pid(f);
    close(f);
    return err;
  }
  char text[24];
  int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  if (ftruncate(f, 0) || pwrite(f, text, (size_t)n, 0) != n) {
    close(f);
    return ERR_IO;
  }
  *fd = f;
  return ERR_OK;
}

void file_remove_temporary(const struct file_ops *ops, int dir) {
  int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) {
    if (fd >= 0) close(fd);
    return;
  }
  for (struct dirent *e; (e = readdir(d));) {
    size_t n = strlen(e->d_name), suffix = sizeof temporary_suffix - 1;
    if (n > suffix && !strcmp(e->d_name + n - suffix, temporary_suffix)) (void)ops->remove(dir, e->d_name);
  }
  closedir(d);
}

enum err file_read(int dir, const char *name, size_t most_bytes, struct buf *out) {
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
  enum err err = ERR_OK;
  struct stat st;
  size_t size = fstat(fd, &st) == 0 && st.st_size > 0 ? (size_t)st.st_size : 0;
  uint8_t *all = size < most_bytes ? buf_reserve(out, size + FILE_BUFFER_BYTES) : NULL;
  if (all) pages_expect(all, size);
  while (!err) {
    uint8_t *at = out->size < most_bytes ? buf_reserve(out, FILE_BUFFER_BYTES) : NULL;
    ssize_t n = at ? read(fd, at, FILE_BUFFER_BYTES) : -1;
    if (n == 0) break;
    if (!at) err = out->failed ? ERR_MEMORY : ERR_LIMIT;
    else if (n < 0 && errno != EINTR) err = ERR_IO;
    else if (n > 0) out->size += (size_t)n;
  }
  close(fd);
  return err;
}
