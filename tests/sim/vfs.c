/* SQLite's files on a server's disk. The shared memory of a WAL and all locks are on the heap: one process has them all. */
#include "disk.h"

#include "base/mutation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHM_REGIONS = 16, SHM_LOCKS = 8, FILE_SECTOR_BYTES = 4096 };

const char sim_vfs_name[] = "sim";

struct vfs_file {
  sqlite3_file base;
  struct disk *disk;
  struct inode *inode;
  char name[40];
  bool is_main, new_name;             /* made here, and its name is not synced yet */
  int level;                          /* SQLITE_LOCK_* */
  unsigned shm_shared, shm_exclusive; /* a bit each */
  bool has_shm;
};

struct vfs_shared { /* of the database file of one life of a disk */
  void *regions[SHM_REGIONS];
  unsigned shm_users;
  unsigned shm_readers[SHM_LOCKS];
  struct vfs_file *shm_writer[SHM_LOCKS];
  unsigned readers; /* connections with a shared lock or more */
  struct vfs_file *reserved, *pending, *exclusive;
};

void vfs_shared_free(struct vfs_shared *s) {
  for (size_t i = 0; s && i < SHM_REGIONS; i++)
    free(s->regions[i]);
  free(s);
}

static struct vfs_file *file_of(sqlite3_file *f) {
  return (struct vfs_file *)f;
}

static struct vfs_shared *shared_of(const struct vfs_file *f) {
  struct vfs_shared **s = disk_shared(f->disk);
  if (!*s) {
    *s = calloc(1, sizeof **s);
    MUST(*s);
  }
  return *s;
}

/* ---- content ---- */

static int x_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at) {
  const struct vfs_file *f = file_of(file);
  if (disk_call(f->disk, CALL_READ, 0)) return SQLITE_IOERR_READ;
  size_t have = (size_t)at < f->inode->size ? f->inode->size - (size_t)at : 0, take = have < (size_t)n ? have : (size_t)n;
  if (take) memcpy(to, f->inode->now + at, take);
  memset((uint8_t *)to + take, 0, (size_t)n - take);
  return take == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int x_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at) {
  struct vfs_file *f = file_of(file);
  size_t end = (size_t)at + (size_t)n, growth = end > f->inode->size ? end - f->inode->size : 0;
  int error = disk_call(f->disk, CALL_WRITE, growth);
  if (error) return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  inode_write(f->inode, from, (size_t)n, (uint64_t)at);
  return SQLITE_OK;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size) {
  struct vfs_file *f = file_of(file);
  if (disk_call(f->disk, CALL_TRUNCATE, 0)) return SQLITE_IOERR_TRUNCATE;
  inode_truncate(f->inode, (uint64_t)size);
  return SQLITE_OK;
}

static int x_sync(sqlite3_file *file, int flags) {
  struct vfs_file *f = file_of(file);
  if (MUTATION(WAL_SYNC) && strstr(f->name, "-wal")) return SQLITE_OK;
  if (disk_sync(f->disk, f->inode)) return SQLITE_IOERR_FSYNC;
  if (f->new_name) disk_sync_name(f->disk, DIR_STATE, f->name); /* as SQLite does it of a journal or WAL that it made */
  f->new_name = false;
  return SQLITE_OK;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *size) {
  *size = (sqlite3_int64)file_of(file)->inode->size;
  return SQLITE_OK;
}

/* ---- locks of the database file ---- */

static int x_lock(sqlite3_file *file, int level) {
  struct vfs_file *f = file_of(file);
  struct vfs_shared *s = shared_of(f);
  if (level <= f->level) return SQLITE_OK;
  if (level == SQLITE_LOCK_SHARED) {
    if ((s->pending && s->pending != f) || (s->exclusive && s->exclusive != f)) return SQLITE_BUSY;
    s->readers++;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (s->reserved && s->reserved != f) return SQLITE_BUSY;
    s->reserved = f;
  } else {
    if (s->reserved && s->reserved != f) return SQLITE_BUSY;
    s->pending = f;
    if (s->readers > 1) {
      f->level = f->level < SQLITE_LOCK_PENDING ? SQLITE_LOCK_PENDING : f->level;
      return SQLITE_BUSY;
    }
    s->exclusive = f;
  }
  f->level = level;
  return SQLITE_OK;
}

static int x_unlock(sqlite3_file *file, int level) {
  struct vfs_file *f = file_of(file);
  struct vfs_shared *s = shared_of(f);
  if (level >= f->level) return SQLITE_OK;
  if (s->reserved == f) s->reserved = NULL;
  if (s->pending == f) s->pending = NULL;
  if (s->exclusive == f) s->exclusive = NULL;
  if (level == SQLITE_LOCK_NONE) s->readers--;
  f->level = level;
  return SQLITE_OK;
}

static int x_reserved(sqlite3_file *file, int *out) {
  *out = shared_of(file_of(file))->reserved != NULL;
  return SQLITE_OK;
}

/* ---- shared memory ---- */

static int x_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) {
  struct vfs_file *f = file_of(file);
  struct vfs_shared *s = shared_of(f);
  MUST(region < SHM_REGIONS);
  if (!f->has_shm) s->shm_users++;
  f->has_shm = true;
  if (!s->regions[region] && extend) {
    s->regions[region] = calloc(1, (size_t)size);
    MUST(s->regions[region]);
  }
  *out = s->regions[region];
  return SQLITE_OK;
}

static int x_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
  struct vfs_file *f = file_of(file);
  struct vfs_shared *s = shared_of(f);
  for (int i = offset; i < offset + n && flags & SQLITE_SHM_LOCK; i++) {
    bool mine = f->shm_shared >> i & 1, others = s->shm_readers[i] > mine;
    if (s->shm_writer[i] && s->shm_writer[i] != f) return SQLITE_BUSY;
    if (flags & SQLITE_SHM_EXCLUSIVE && others) return SQLITE_BUSY;
  }
  for (int i = offset; i < offset + n; i++) {
    unsigned bit = 1u << i;
    if (flags & SQLITE_SHM_SHARED) {
      bool want = flags & SQLITE_SHM_LOCK, has = f->shm_shared & bit;
      if (want != has) s->shm_readers[i] += want ? 1 : -1u;
      f->shm_shared = want ? f->shm_shared | bit : f->shm_shared & ~bit;
    } else {
      s->shm_writer[i] = flags & SQLITE_SHM_LOCK ? f : NULL;
      f->shm_exclusive = flags & SQLITE_SHM_LOCK ? f->shm_exclusive | bit : f->shm_exclusive & ~bit;
    }
  }
  return SQLITE_OK;
}

static void x_shm_barrier(sqlite3_file *file) {
}

static int x_shm_unmap(sqlite3_file *file, int remove_it) {
  struct vfs_file *f = file_of(file);
  struct vfs_shared *s = shared_of(f);
  if (!f->has_shm) return SQLITE_OK;
  f->has_shm = false;
  for (int i = 0; i < SHM_LOCKS; i++) {
    if (f->shm_shared >> i & 1) s->shm_readers[i]--;
    if (s->shm_writer[i] == f) s->shm_writer[i] = NULL;
  }
  f->shm_shared = f->shm_exclusive = 0;
  if (--s->shm_users) return SQLITE_OK;
  for (size_t i = 0; i < SHM_REGIONS; i++) { /* the next one to open starts anew, as it does on a real system */
    free(s->regions[i]);
    s->regions[i] = NULL;
  }
  return SQLITE_OK;
}

/* ---- the rest of a file ---- */

static int x_control(sqlite3_file *file, int op, void *arg) {
  if (op == SQLITE_FCNTL_PERSIST_WAL) {
    if (*(int *)arg < 0) *(int *)arg = 1;
    return SQLITE_OK;
  }
  return SQLITE_NOTFOUND;
}

static int x_sector(sqlite3_file *file) {
  return FILE_SECTOR_BYTES;
}

static int x_traits(sqlite3_file *file) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* what SQLite takes for granted on Linux; a torn write here touches nothing else */
}

static int x_close(sqlite3_file *file) {
  struct vfs_file *f = file_of(file);
  if (f->is_main) {
    x_shm_unmap(file, 0);
    x_unlock(file, SQLITE_LOCK_NONE);
  }
  inode_unref(f->inode);
  return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_traits,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

/* ---- the file system ---- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int x_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out) {
  struct vfs_file *f = file_of(file);
  MUST(path);
  memset(f, 0, sizeof *f);
  f->disk = disk_at_hand();
  f->is_main = flags & SQLITE_OPEN_MAIN_DB;
  snprintf(f->name, sizeof f->name, "%s", base_name(path));
  struct inode *i = disk_find(f->disk, DIR_STATE, f->name);
  if (!i && !(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
  if (!i) {
    if (disk_call(f->disk, CALL_CREATE, 1)) return SQLITE_CANTOPEN;
    i = disk_create(f->disk, DIR_STATE, f->name, false);
    f->new_name = !f->is_main;
  }
  f->inode = inode_ref(i);
  f->base.pMethods = &methods;
  if (out) *out = flags;
  return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *path, int sync) {
  struct disk *d = disk_at_hand();
  const char *name = base_name(path);
  if (!disk_find(d, DIR_STATE, name)) return SQLITE_IOERR_DELETE_NOENT;
  if (disk_call(d, CALL_REMOVE, 0)) return SQLITE_IOERR_DELETE;
  disk_remove(d, DIR_STATE, name);
  if (sync && disk_call(d, CALL_SYNC_DIR, 0)) return SQLITE_IOERR_DIR_FSYNC;
  if (sync) disk_sync_names(d, DIR_STATE);
  return SQLITE_OK;
}

static int x_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  const struct inode *i = disk_find(disk_at_hand(), DIR_STATE, base_name(path));
  *out = i && (flags != SQLITE_ACCESS_EXISTS || i->size > 0);
  return SQLITE_OK;
}

static int x_full_path(sqlite3_vfs *vfs, const char *path, int n, char *out) {
  snprintf(out, (size_t)n, "%s", path);
  return SQLITE_OK;
}

static int x_randomness(sqlite3_vfs *vfs, int n, char *out) {
  for (int i = 0; i < n; i++)
    out[i] = (char)sim_random();
  return n;
}

static int x_sleep(sqlite3_vfs *vfs, int us) {
  sim_fail("the log waits for a lock: with one thread, for ever");
}

static int x_time(sqlite3_vfs *vfs, double *out) {
  *out = 2461000.5;
  return SQLITE_OK;
}

static int x_error(sqlite3_vfs *vfs, int n, char *out) {
  return 0;
}

void vfs_begin(void) {
  static sqlite3_vfs vfs = {
      .iVersion = 1,
      .szOsFile = sizeof(struct vfs_file),
      .mxPathname = 512,
      .zName = sim_vfs_name,
      .xOpen = x_open,
      .xDelete = x_delete,
      .xAccess = x_access,
      .xFullPathname = x_full_path,
      .xRandomness = x_randomness,
      .xSleep = x_sleep,
      .xCurrentTime = x_time,
      .xGetLastError = x_error,
  };
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  MUST(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}
