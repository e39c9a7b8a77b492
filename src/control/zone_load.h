/* A zone from its master file: scanned, built into a snapshot, checked.
 *
 * Every mistake of the text and every finding of the checks comes with file:line:column. The snapshot keeps no places, so
 * findings are located by scanning the text a second time, only when there are any. Any error, of the text or of a check,
 * leaves nothing behind. Any thread; blocks on the file system. */
#ifndef CONTROL_ZONE_LOAD_H
#define CONTROL_ZONE_LOAD_H

#include "base/diag.h"
#include "base/hash.h"
#include "zone/zone.h"

#include <time.h>

struct zonefile_kept;

struct zone_load_options {
  const char *include_root;   /* $INCLUDE stays in this tree; NULL: in that of the file, or not at all if loaded from bytes */
  uint32_t default_ttl;       /* when the file gives none at all; 0: that is an error */
  bool plain;                 /* $INCLUDE and $GENERATE are errors */
  bool all_checks;            /* also those that are off by default */
  struct zonefile_kept *kept; /* a file that is read for several zones; may be NULL */
  bool two_threads;           /* the rear half of a large file may be read by another thread */
  bool (*progress)(void *arg, uint64_t records); /* after each record read; false: no more of it (ERR_CLOSED). May be NULL */
  void *progress_arg;
};

/* A file that was read, as it was then. Equal in all of it: unchanged, and need not be read to know. */
struct zone_source_file {
  char *path;
  uint64_t size;
  int64_t mtime_ns, ctime_ns;
  uint64_t device, inode;
};

/* Zero is empty. */
struct zone_loaded {
  struct zone_snap *snap;         /* one reference; NULL after zone_loaded_take */
  struct digest128 digest;        /* of all that was read, in the order of reading */
  uint64_t bytes;                 /* read in all */
  bool plain;                     /* it was read as such */
  struct zone_source_file *files; /* as read, the zone's own first; empty if loaded from bytes */
  size_t file_count;
};

/* ERR_OK: a zone; `diags` may hold warnings. ERR_FORMAT: it has mistakes. ERR_IO: its file can't be read. Both said in `diags`.
 * ERR_MEMORY. A relative path is relative to where the process stands. */
MUST_CHECK enum err zone_load_file(const char *path, const struct name *apex, const struct zone_load_options *o,
                                   struct diags *diags, struct zone_loaded *out);
/* The same from memory; `name` stands for the file in places. */
MUST_CHECK enum err zone_load_bytes(const char *name, const uint8_t *bytes, size_t n, const struct name *apex,
                                    const struct zone_load_options *o, struct diags *diags, struct zone_loaded *out);
/* The snapshot, now the caller's. */
struct zone_snap *zone_loaded_take(struct zone_loaded *l);
void zone_loaded_done(struct zone_loaded *l);

/* The digest of what was read so far and one more file: the order of reading counts. Starts from zero. */
struct digest128 zone_load_digest(struct digest128 so_far, struct digest128 file);

int64_t zone_load_time_ns(struct timespec t);

/* Whether all files are still as they were when they were read, by what the file system says of them alone. */
bool zone_load_unchanged(const struct zone_source_file *files, size_t count);

#endif
