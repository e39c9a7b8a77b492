/* A server's disk: what stands in each file now, and what of it would be there after a loss of power.
 *
 *   write --> inode.now + pending writes      sync --> inode.durable      loss of power --> durable + any of what was pending
 *   create, rename, remove --> names now + pending changes    sync of the directory --> durable names    likewise
 *
 * SQLite's files live here alone (vfs.c). The store's own files are also real, in a directory in memory, because it maps them
 * (files.c); a crash makes a new directory with what is left. Every call asks disk_call first: there it may fail, or the server
 * crash. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include "sim.h"
#include "store/store_priv.h"

enum directory { DIR_STATE, DIR_SEGMENTS, DIRS };

struct pending_write {
  uint64_t offset;
  size_t size;
  bool truncate; /* to `offset` */
  uint8_t *bytes;
};

struct inode {
  unsigned references;
  uint8_t *now, *durable;
  size_t size, capacity, durable_size;
  struct pending_write *pending;
  size_t pending_count, pending_capacity;
  bool is_real;
};

enum file_call { CALL_CREATE, CALL_WRITE, CALL_SYNC, CALL_RENAME, CALL_SYNC_DIR, CALL_REMOVE, CALL_TRUNCATE, CALL_READ, CALLS };

struct disk_faults {
  uint64_t crash_after; /* calls from now; 0: no crash */
  bool crash_by_kill;
  unsigned fail_pm[CALLS];
  bool full; /* nothing grows */
};

struct disk *disk_new(struct node *n, const char *root);
void disk_free(struct disk *d);
struct disk_faults *disk_faults(struct disk *d);
enum err disk_open_store(struct disk *d, struct store **out, struct store_error *error);
/* What a crash leaves. `by_kill`: all that was written. */
void disk_crash(struct disk *d, bool by_kill);
/* A second disk with what would be left if all that is not synced were lost, for reading; disk_free. */
struct disk *disk_image(const struct disk *d, bool synced_only);
bool disk_is_ghost(const struct disk *d);

/* ---- for vfs.c and files.c ---- */

struct disk *disk_at_hand(void); /* of the server whose code runs */
void disk_use(struct disk *d);   /* another one for a while; NULL: back */
/* 0, or the errno that the call is to give. `growth`: octets the file would be longer. */
int disk_call(struct disk *d, enum file_call call, size_t growth);
const char *disk_directory(const struct disk *d); /* of its real files */
bool disk_finds_directory(const struct disk *d, int fd, enum directory *out);

struct inode *disk_find(struct disk *d, enum directory dir, const char *name);
struct inode *disk_create(struct disk *d, enum directory dir, const char *name, bool is_real);
void disk_rename(struct disk *d, enum directory dir, const char *from, const char *to);
void disk_remove(struct disk *d, enum directory dir, const char *name);
void disk_sync_names(struct disk *d, enum directory dir);
void disk_sync_name(struct disk *d, enum directory dir, const char *name);

struct inode *inode_ref(struct inode *i);
void inode_unref(struct inode *i);
void inode_write(struct inode *i, const void *bytes, size_t n, uint64_t offset);
void inode_truncate(struct inode *i, uint64_t size);
int disk_sync(struct disk *d, struct inode *i);

extern const struct file_ops sim_file_ops;
extern const char sim_vfs_name[];
void vfs_begin(void);
/* The shared memory and locks of a disk's database. */
struct vfs_shared;
struct vfs_shared **disk_shared(struct disk *d);
void vfs_shared_free(struct vfs_shared *s);

#endif
