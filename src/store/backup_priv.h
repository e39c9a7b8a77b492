/* What writing, reading and restoring backups share. */
#ifndef STORE_BACKUP_PRIV_H
#define STORE_BACKUP_PRIV_H

#include "crypto/digest.h"
#include "store/backup.h"
#include "store/store_priv.h"

enum { BACKUP_PIECE_BYTES = 1 << 20 };

#define RESTORE_MARK "restoring" /* in a state directory that is being filled */

/* A file being written for a backup or from one: hashed on the way, synced piece by piece. */
struct copy_out {
  int fd;
  struct digest *digest;
  uint64_t size;
  const struct store_watch *watch;
  uint64_t *total; /* octets of all files, for the watch; NULL: nobody looks */
};

/* Empty, of mode 0600, and not there before. */
MUST_CHECK enum err copy_begin(struct copy_out *o, int dir, const char *path);
MUST_CHECK enum err copy_write(struct copy_out *o, const void *bytes, size_t n); /* ERR_IO; ERR_CLOSED: no more of it */
MUST_CHECK enum err copy_from(struct copy_out *o, int fd);
/* Synced, and closed in any case. */
MUST_CHECK enum err copy_finish(struct copy_out *o, uint8_t sum[BACKUP_SUM_BYTES]);
void copy_abort(struct copy_out *o);

/* Size and sum of what is at `fd`. */
MUST_CHECK enum err copy_sum(int fd, const struct store_watch *watch, uint64_t *total, uint64_t *size,
                             uint8_t sum[BACKUP_SUM_BYTES]);
void sum_hex(const uint8_t sum[BACKUP_SUM_BYTES], char out[2 * BACKUP_SUM_BYTES + 1]);
/* Makes the directories above `path`, each synced into the one above it. */
MUST_CHECK enum err copy_directories(int dir, const char *path);
MUST_CHECK enum err sync_directory(int dir, const char *path);

int manifest_dir(const struct store_manifest *m);
const char *manifest_dir_name(const struct store_manifest *m);

#endif
