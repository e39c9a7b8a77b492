/* Backups: a directory with a copy of the log, of every segment it names, of the timers, and of files the caller adds. What makes
 * it a backup is the manifest, which is written last: sizes and checksums of all the rest, and its own.
 *
 *   manifest          "tandem-backup 1", then lines "note KEY VALUE" and "file MODE SIZE SHA256 PATH", "end SHA256"
 *   state/...         as in the state directory; log.db is whole by itself, without its -wal
 *   OTHER/...         the caller's
 *
 * The copy is one of a moment: all that was committed before store_backup_run, each zone at a version that was committed. Copies
 * are copies, never links: damage to one medium leaves the other. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/buf.h"
#include "store/store.h"

enum { BACKUP_FORMAT = 1 };

/* ---- writing ---- */

struct store_backup;
/* On the control thread, which also ends it; all else is done by one thread of its own meanwhile. Until the end no segment file is
 * deleted. */
MUST_CHECK enum err store_backup_begin(struct store *s, const char *dir, struct store_backup **out, struct store_error *error);
void store_backup_end(struct store *s, struct store_backup *b); /* s NULL: it is closed already; b NULL is fine */

/* Makes the directory (ERR_EXISTS: something is in it) and copies what the store has. */
MUST_CHECK enum err store_backup_run(struct store_backup *b, const struct store_watch *watch, struct store_error *error);
/* Paths are relative, with directories made as needed. ERR_EXISTS: it is in the backup already. */
MUST_CHECK enum err store_backup_add(struct store_backup *b, const char *path, unsigned mode, const void *bytes, size_t n,
                                     struct store_error *error);
MUST_CHECK enum err store_backup_copy(struct store_backup *b, const char *path, unsigned mode, int fd, struct store_error *error);
/* The file lines so far, for whoever wants to vouch for them. */
const struct buf *store_backup_lines(const struct store_backup *b);
void store_backup_note(struct store_backup *b, const char *key, const char *value);
uint64_t store_backup_bytes(const struct store_backup *b);
/* Syncs the directories and writes the manifest: the backup is there and durable. */
MUST_CHECK enum err store_backup_finish(struct store_backup *b, struct store_error *error);

/* ---- reading ---- */

enum { BACKUP_SUM_BYTES = 32 };

struct store_manifest_file {
  const char *path;
  unsigned mode;
  uint64_t size;
  uint8_t sum[BACKUP_SUM_BYTES];
};

struct store_manifest;
/* ERR_NOT_FOUND: no manifest, so not a backup or an unfinished one; ERR_VERSION; ERR_CORRUPT. */
MUST_CHECK enum err store_manifest_read(const char *dir, struct store_manifest **out, struct store_error *error);
void store_manifest_free(struct store_manifest *m);                               /* NULL is fine */
const char *store_manifest_note(const struct store_manifest *m, const char *key); /* NULL: none */
size_t store_manifest_count(const struct store_manifest *m);
const struct store_manifest_file *store_manifest_file(const struct store_manifest *m, size_t i);
/* As store_backup_lines gave it before `path` was added. */
void store_manifest_lines(const struct store_manifest *m, const char *path, struct buf *out);
/* Reads every file. ERR_CORRUPT names the first that is not what was written. */
MUST_CHECK enum err store_manifest_verify(const struct store_manifest *m, const struct store_watch *watch,
                                          struct store_error *error);
/* Appends the content of a file of at most `most` octets, which is checked. */
MUST_CHECK enum err store_manifest_load(const struct store_manifest *m, const char *path, uint64_t most, struct buf *out,
                                        struct store_error *error);

/* ---- restoring ---- */

/* Fills a state directory that is not there, or empty, or what an interrupted restore left. ERR_EXISTS: it is not empty. The first
 * change of each zone gets a serial above all that its secondaries may have seen (store_is_restored). */
MUST_CHECK enum err store_restore_state(const struct store_manifest *m, const char *state, const struct store_watch *watch,
                                        struct store_error *error);
/* Writes a file, with the directories above it, so that it appears whole or not at all. ERR_EXISTS: there is another one. */
MUST_CHECK enum err store_restore_file(const struct store_manifest *m, const struct store_manifest_file *f, const char *path,
                                       struct store_error *error);
MUST_CHECK enum err store_restore_bytes(const char *path, unsigned mode, const void *bytes, size_t n, struct store_error *error);
/* Whether there is a file with other content. */
bool store_restore_differs(const char *path, uint64_t size, const uint8_t sum[BACKUP_SUM_BYTES]);

#endif
