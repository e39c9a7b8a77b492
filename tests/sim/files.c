/* The store's own files on a server's disk: really written, in memory, since they are mapped, and told to the disk. */
#include "disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FDS = 1024 };

static struct inode *inodes[FDS]; /* of descriptors given out; the disk has the reference */

static int fail(int error) {
  errno = error;
  return -1;
}

static enum directory directory_of(const struct disk *d, int fd) {
  enum directory dir = DIR_STATE;
  MUST(disk_finds_directory(d, fd, &dir));
  return dir;
}

static int sim_create(int dir, const char *name) {
  struct disk *d = disk_at_hand();
  int error = disk_call(d, CALL_CREATE, 1);
  if (error) return fail(error);
  int fd = file_ops_system.create(dir, name);
  MUST(fd >= 0 && fd < FDS);
  inodes[fd] = disk_create(d, directory_of(d, dir), name, true);
  return fd;
}

static ssize_t sim_write(int fd, const void *bytes, size_t n) {
  int error = disk_call(disk_at_hand(), CALL_WRITE, n);
  if (error) return fail(error);
  MUST(write(fd, bytes, n) == (ssize_t)n);
  inode_write(inodes[fd], bytes, n, inodes[fd]->size);
  return (ssize_t)n;
}

static int sim_sync(int fd) {
  int error = disk_sync(disk_at_hand(), inodes[fd]);
  return error ? fail(error) : 0;
}

static int sim_rename(int dir, const char *from, const char *to) {
  struct disk *d = disk_at_hand();
  int error = disk_call(d, CALL_RENAME, 0);
  if (error) return fail(error);
  MUST(file_ops_system.rename(dir, from, to) == 0);
  disk_rename(d, directory_of(d, dir), from, to);
  return 0;
}

static int sim_sync_dir(int dir) {
  struct disk *d = disk_at_hand();
  enum directory which;
  if (!disk_finds_directory(d, dir, &which)) return 0; /* the one it stands in: that is always there */
  int error = disk_call(d, CALL_SYNC_DIR, 0);
  if (error) return fail(error);
  disk_sync_names(d, which);
  return 0;
}

static int sim_remove(int dir, const char *name) {
  struct disk *d = disk_at_hand();
  int error = disk_call(d, CALL_REMOVE, 0);
  if (error) return fail(error);
  disk_remove(d, directory_of(d, dir), name);
  return file_ops_system.remove(dir, name);
}

const struct file_ops sim_file_ops = {sim_create, sim_write, sim_sync, sim_rename, sim_sync_dir, sim_remove};
