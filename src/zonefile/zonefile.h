/* Master files (RFC 1035 §5): a scanner that gives records one by one with their place, and a printer.
 *
 * The scanner reads all of a file (from disk or from memory), reports every mistake as a diag with file:line:column and goes
 * on behind it, so that one pass finds all. What it understands beyond RFC 1035:
 *
 *   TTLs with units (1h30m), $TTL (RFC 2308 §4), $GENERATE, class and TTL in either order, `\# n hex` for every type
 *   (RFC 3597 §5), CRLF, a byte order mark, a last line without its end.
 *
 * Names of mistakes are rows of mistakes.def. No allocation per record. Thread: any; one scan has one owner. */
#ifndef ZONEFILE_ZONEFILE_H
#define ZONEFILE_ZONEFILE_H

#include "base/diag.h"
#include "wire/rr.h"

struct zonefile_record {
  struct name owner;
  uint16_t type;
  uint32_t ttl;
  const uint8_t *rdata; /* uncompressed, checked */
  uint16_t rdata_size;
  struct place place; /* of the owner (or of the first token when the owner is taken over) */
  struct place rdata_place;
};

/* A file as it was read. From memory only path, bytes and size are known. */
struct zonefile_file {
  const char *path;
  const uint8_t *bytes;
  uint64_t size;
  int64_t mtime_ns, ctime_ns;
  uint64_t device, inode;
};

/* The file that was read last, up to 1 MiB: zones of the same file read it once. Zero is empty. */
struct zonefile_kept {
  char *path;
  uint8_t *bytes;
  struct zonefile_file file;
};
void zonefile_kept_done(struct zonefile_kept *k);

/* The rear half of a large file, scanned by another thread while the front half is: what a line means depends on those before it in
 * little (origin, TTLs), which is guessed from the first lines. When the front is through, the guess is compared with what came of
 * it. If it was right, and there was nothing to be said of the rear, its records follow those of the front; else the rear is
 * scanned again, as if nobody had. */
struct zonefile_rear;
struct zonefile_fork {
  uint64_t least_bytes; /* of a file for this to be worth while */
  /* Begins a thread, or whatever calls zonefile_rear_scan, before `wait` returns; false: no, and nothing more is asked. */
  bool (*begin)(void *arg, struct zonefile_rear *rear);
  bool (*record)(void *arg, const struct zonefile_record *r); /* of the rear, on that thread; false: it gives up */
  void (*wait)(void *arg);                                    /* for the thread's end */
  bool (*take)(void *arg); /* its records count, and follow those that were given; not called: they do not. False stops the scan */
  void *arg;
};
void zonefile_rear_scan(struct zonefile_rear *rear);

struct zonefile_options {
  struct name origin;
  const char *include_root;         /* $INCLUDE stays in this directory tree; NULL: the directory of the file */
  bool no_include;                  /* for input that is not a local file: $INCLUDE is an error */
  bool plain;                       /* for a file that is written anew from its records: $INCLUDE and $GENERATE are errors */
  bool narrow;                      /* without the processor's wide instructions, so each line goes the general way: for tests */
  struct zonefile_kept *kept;       /* NULL: the file is read in any case */
  uint32_t default_ttl;             /* when neither $TTL nor SOA gives one; 0: then it is an error */
  const struct zonefile_fork *fork; /* NULL: one thread does it all */
  /* Called for each file read, the first included, with its whole content: for digests. May be NULL. */
  void (*file_seen)(void *arg, const struct zonefile_file *file);
  /* Called for each record; false stops the scan. */
  bool (*record)(void *arg, const struct zonefile_record *r);
  void *arg;
};

/* ERR_OK: read to the end (mistakes are in `diags`: look at diags->errors). ERR_IO: the file itself can't be read, also a diag.
 * ERR_REFUSED: the callback stopped it. ERR_MEMORY. */
MUST_CHECK enum err zonefile_scan(const char *path, const struct zonefile_options *o, struct diags *diags);
/* `name` stands for the file in places. $INCLUDE works only with an include_root, and is relative to it. */
MUST_CHECK enum err zonefile_scan_bytes(const char *name, const uint8_t *bytes, size_t n, const struct zonefile_options *o,
                                        struct diags *diags);

/* One record as a line "owner ttl IN type rdata\n" with absolute names. Loads back equal. */
void zonefile_print_record(const struct name *owner, uint32_t ttl, uint16_t type, const uint8_t *rdata, uint16_t size,
                           struct buf *out);

/* The mistakes a scan can report, for the docs: the `check` of its diags. */
struct zonefile_mistake {
  const char *name;
  const char *doc;
};
size_t zonefile_mistake_count(void);
const struct zonefile_mistake *zonefile_mistake_at(size_t i);

#endif
