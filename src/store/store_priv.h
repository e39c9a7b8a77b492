/* What the files of this room share. Nobody else includes it but the tests of the room.
 *
 *   store.c    opening, closing, what is there        zones.c    the zone table in memory, heads swept to the log
 *   db.c       SQLite: connection, schema, statements change.c   changesets: written, chained, read back
 *   file.c     files that appear whole or not at all  batch.c    a batch: segments first, then the transaction
 *   segment.c  segment files and their maps           timer.c    the timer file
 *   segment_fault.c  pages that can't be read         settle.c   what is visible made durable
 *   aside.c    a segment written while batches go on
 *   replace.c  zone files written back
 *   sweep.c    what nothing names any more            history.c  what a zone was before; readers on other threads
 *   disk.c     room on the disk, and the ballast         wal.c      what a commit would wait for, done before
 *   roll.c     what a start wants to know of all zones, in one file
 *   retain.c   how much of that is kept                  backup.c, manifest.c, restore.c, copy.c   backups (backup_priv.h)
 *
 * Memory knows every zone's head and newest image; the log knows them too, a while later (zones.c). */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/pages.h"
#include "store/store.h"
#include "zone/image.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

/* Fills `error` (NULL is fine) and returns `code`. */
enum err store_fail(struct store_error *error, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* `what` could not be written; errno says why. */
enum err store_fail_write(struct store_error *error, enum err code, const char *what);
static inline bool store_is_full(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT;
}

/* ---- file.c ---- */

/* Every call that changes a file of ours (SQLite has its own table, the VFS): tests count them, let them fail, or end the
 * process there. Results as those of the system calls. */
struct file_ops {
  int (*create)(int dir, const char *name); /* empty, mode 0600, for writing */
  ssize_t (*write)(int fd, const void *bytes, size_t n);
  int (*sync)(int fd);
  int (*rename)(int dir, const char *from, const char *to);
  int (*sync_dir)(int dir);
  int (*remove)(int dir, const char *name);
};

extern const struct file_ops file_ops_system;

enum { FILE_NAME_BYTES = 40, FILE_BUFFER_BYTES = 1 << 20 };

/* A file being written under a temporary name. */
struct file_out {
  const struct file_ops *ops;
  int dir;
  int fd;
  char name[FILE_NAME_BYTES];
  char temporary[FILE_NAME_BYTES + 8];
  uint8_t *buffer;
  size_t buffered;
  uint64_t size_bytes;             /* with what is buffered */
  int error;                       /* errno of the first failure */
  const struct store_watch *watch; /* then it is synced whenever the buffer is full; NULL: nobody's */
};

MUST_CHECK enum err file_out_begin(struct file_out *o, const struct file_ops *ops, int dir, const char *name);
bool file_out_write(struct file_out *o, const void *bytes, size_t n);
/* Written, synced, renamed; the directory is not synced yet. On failure the file is gone and errno says why. */
MUST_CHECK enum err file_out_finish(struct file_out *o);
void file_out_abort(struct file_out *o);
/* Asks who watches. False: it is to end, as after a failure. */
bool file_out_ask(struct file_out *o);

/* Takes the lock and writes our pid. ERR_LOCKED: *pid is the owner's (0: unknown). */
MUST_CHECK enum err file_lock(int dir, const char *name, int *fd, long *pid);
/* Removes what a crash left under temporary names. */
void file_remove_temporary(const struct file_ops *ops, int dir);
/* The whole of a small file; ERR_NOT_FOUND. */
MUST_CHECK enum err file_read(int dir, const char *name, size_t most_bytes, struct buf *out);

/* ---- db.c ---- */

enum statement {
#define STATEMENT(id, sql) ST_##id,
#include "store/statements.def"
#undef STATEMENT
  ST_COUNT
};

enum db_kind { DB_KIND_NULL, DB_KIND_INT, DB_KIND_TEXT, DB_KIND_BLOB };

struct db_value {
  enum db_kind kind;
  int64_t number;
  const void *bytes;
  size_t size;
};

#define DB_INT(v) ((struct db_value){DB_KIND_INT, (int64_t)(v), NULL, 0})
#define DB_TEXT(t) ((struct db_value){DB_KIND_TEXT, 0, (t), 0})
#define DB_BLOB(p, n) ((struct db_value){DB_KIND_BLOB, 0, (p), (n)})
#define DB_NULL ((struct db_value){DB_KIND_NULL, 0, NULL, 0})

struct db {
  sqlite3 *connection;
  bool no_space;     /* something was not written for lack of room; disk.c clears it */
  bool unsettled;    /* the log may be read, but there was no room to settle it: that comes before the next transaction */
  struct {           /* the WAL, as far as wal.c knows it */
    unsigned pages;  /* in it since it was begun */
    unsigned copied; /* so many it had when it was copied into log.db last */
    uint64_t bytes;  /* of the file */
  } wal;
  sqlite3_stmt *statements[ST_COUNT];
};

/* A log with nothing in it, as its file's octets: it comes to the disk whole or not at all. */
MUST_CHECK enum err db_make(struct buf *out, struct store_error *error);
/* Opens, makes all that is visible durable, whatever an earlier sync said, and migrates. Of `db` only no_space is looked at. `dir`
 * is absolute. ERR_VERSION before anything is written. On a full disk it may be opened unsettled. */
MUST_CHECK enum err db_open(struct db *db, const char *dir, const char *vfs, struct store_error *error);
void db_close(struct db *db);
/* Binds and returns the statement, to be stepped by db_step and ended by db_end. */
sqlite3_stmt *db_bind(struct db *db, enum statement st, const struct db_value *values, size_t count);
MUST_CHECK enum err db_step(struct db *db, sqlite3_stmt *st, bool *row, struct store_error *error);
void db_end(sqlite3_stmt *st);
/* A statement without result, inside a transaction. */
MUST_CHECK enum err db_run(struct db *db, struct store_error *error, enum statement st, const struct db_value *values,
                           size_t count);
/* The first column of the first row; 0 if there is none or it is NULL. */
MUST_CHECK enum err db_number(struct db *db, struct store_error *error, enum statement st, uint64_t *out);
/* Takes back an open transaction; harmless without one. */
void db_rollback(struct db *db);
/* ERR_IO: an error has ended the open transaction. */
MUST_CHECK enum err db_in_transaction(struct db *db, struct store_error *error);
/* In pages of log.db that nothing stands on: changes go there first. */
uint64_t db_free_bytes(struct db *db);
uint64_t db_memory_bytes(struct db *db); /* that it keeps: pages, the schema, statements */
/* The code and words for what the connection said last. */
enum err db_fail(struct db *db, int rc, struct store_error *error);

#define DB_VALUES(...) \
  (const struct db_value[]){__VA_ARGS__}, sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_BIND(db, st, ...) db_bind((db), (st), DB_VALUES(__VA_ARGS__))
#define DB_RUN(db, error, st, ...) db_run((db), (error), (st), DB_VALUES(__VA_ARGS__))

/* A second connection, for changesets alone. */
MUST_CHECK enum err db_open_reader(struct db *db, const char *dir, const char *vfs, struct store_error *error);

/* ---- settle.c ---- */

enum {
  WAL_PIECE_BYTES = 1 << 16, /* SQLite's files take less than 128 KiB at once */
  BUSY_TIMEOUT_MS = 1000,
};

/* Makes all that is visible durable, whatever an earlier sync said: into the database file. Before anything else is written. */
MUST_CHECK enum err db_settle(struct db *db, struct store_error *error);

/* ---- wal.c ---- */

void wal_watch(struct db *db); /* its commits are counted */
void wal_bound(struct db *db); /* copies it if nobody has called store_tend for long; not inside a transaction */
int wal_sync(struct db *db);   /* SQLite's own syncs of it are those of its header and of a copy */
/* Copies all of it into log.db, so that the next start finds nothing in it. SQLite does so when the last connection is closed, and
 * readers have theirs. A hint: whatever can't be done is the next start's. Not inside a transaction. */
void wal_empty(struct db *db);

/* ---- segment.c ---- */

enum { SEGMENT_FORMAT = 1, SEGMENT_HEADER_BYTES = 64, SEGMENT_ALIGN_BYTES = 64 };

struct segment_map;

struct segment { /* one file, or one that rows name and that is missing */
  uint64_t number;
  uint64_t size_bytes;
  uint64_t images;     /* zones whose newest image is in it */
  uint64_t live_bytes; /* of those images */
  bool named;          /* a row of the log names it */
  struct segment_map *map;
};

struct segment_table { /* ascending by number */
  struct segment *list;
  size_t count, capacity;
};

struct segment *segment_find(const struct segment_table *t, uint64_t number);
/* The entry of a number, made if there is none; NULL when out of memory. */
struct segment *segment_get(struct segment_table *t, uint64_t number);
void segment_drop(struct segment_table *t, uint64_t number);
/* A zone's newest image is, or is no more, this one. */
void segment_count(struct store *s, const struct store_image *image, bool added);
void segment_table_done(struct segment_table *t);

void segment_name(uint64_t number, char out[FILE_NAME_BYTES]);
/* Every file of the directory; ERR_VERSION if one was written by a newer version. */
MUST_CHECK enum err segment_scan(struct store *s, struct store_error *error);
MUST_CHECK enum err segment_begin(struct store *s, uint64_t number, struct file_out *o);
/* Appends a snapshot's image and says where it stands (segment and version are the caller's). */
MUST_CHECK enum err segment_append(struct file_out *o, const struct zone_snap *snap, struct store_image *image);
/* Appends the bytes of an image that stands elsewhere. ERR_CORRUPT: it is not what its row says. */
MUST_CHECK enum err segment_copy(struct store *s, struct file_out *o, const struct store_image *from, struct store_image *image);
unsigned segment_map_count(void); /* maps open in this process */

/* ---- segment_fault.c ---- */

/* From now on a page of these bytes that can't be read becomes zeros, and the backing is lost. False: too many. Any thread. */
bool fault_watch(const void *at, size_t size, struct image_backing *backing);
void fault_unwatch(const void *at); /* before they are unmapped */

/* ---- zones.c ---- */

struct zone_row {
  uint64_t id;
  uint64_t head, version;
  struct digest128 sum; /* of the changeset `head`: what the next one is chained to */
  struct digest128 content;
  uint64_t snapshot; /* id of the row of `image`; 0: none */
  struct store_image image;
  int64_t good_at_s; /* the timer */
  uint32_t expire_s, good_mono_s;
  uint32_t serial;
  uint64_t first_version; /* of the oldest changeset there is; 0: not known (retain.c) */
  uint64_t first_seq;     /* its number or less; 0: not known */
  uint64_t history_bytes; /* of its changesets and kept images, as far as they were counted */
  uint32_t pending;       /* 1 + index in the open batch; 0: not touched by it */
  uint8_t state;
  bool has_content;
  bool has_timer;
  bool over;  /* it has more history than it may, and a pass is to come for it */
  bool dirty; /* the log's zone row is older than this */
};

struct id_list {
  uint64_t *list;
  size_t count, capacity;
};
bool id_list_add(struct id_list *l, uint64_t id);
bool id_list_reserve(struct id_list *l, size_t more);

struct zone_table { /* ascending by id */
  struct zone_row *rows;
  size_t count, capacity;
  size_t deleted; /* of them, those with that state */
};

struct zone_row *zones_find(const struct store *s, uint64_t id);
bool zones_reserve(struct store *s, size_t count);           /* for so many in all */
struct zone_row *zones_append(struct store *s, uint64_t id); /* NULL when out of memory; id over all others */
MUST_CHECK enum err zones_load(struct store *s, struct store_error *error);
/* Writes heads of at most `most` zones inside the open transaction; what was written counts once zones_swept is called. At the end
 * of a round it sets sweep.done. */
MUST_CHECK enum err zones_sweep_step(struct store *s, size_t most, struct store_error *error);
void zones_swept(struct store *s, bool committed);
MUST_CHECK enum err zones_write_row(struct store *s, const struct zone_row *row, struct store_error *error);

/* ---- history.c ---- */

enum snapshot_kind {
  SNAPSHOT_IMAGE = 0, /* the newest of a zone is its content */
  SNAPSHOT_SEED = 1,  /* the content of the zone's file as it was read */
  SNAPSHOT_KEPT = 2,  /* what a full change replaced: from there on its history is told */
};

struct kept { /* a snapshot that is not a zone's newest image */
  uint64_t zone, snapshot;
  enum snapshot_kind kind;
  struct store_image image;
};

struct kept_table { /* ascending by zone, then by version */
  struct kept *list;
  size_t count, capacity;
};

bool kept_reserve(struct kept_table *t, size_t more);
/* After kept_reserve. */
void kept_add(struct kept_table *t, const struct kept *k);
struct kept *kept_find(const struct kept_table *t, uint64_t zone, uint64_t snapshot); /* NULL: none */
const struct kept *kept_seed(const struct kept_table *t, uint64_t zone);              /* NULL: none */
void kept_remove(struct kept_table *t, struct kept *k);

/* ---- retain.c ---- */

enum { CHANGE_OVERHEAD_BYTES = 180 /* of a row, besides its body and texts */ };
/* A zone's history has grown. */
void retain_grown(struct store *s, struct zone_row *row);
void retain_settled(struct store *s, struct zone_row *row); /* no pass is to come for it any more */

/* ---- change.c ---- */

enum { SUM_BYTES = 16 };
void sum_put(uint8_t out[SUM_BYTES], struct digest128 sum);
bool sum_get(const void *bytes, size_t n, struct digest128 *out);
MUST_CHECK enum err change_each(struct db *db, uint64_t zone, uint64_t head, uint64_t after,
                                enum err (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error);
/* Writes the changeset's row; `sum` is the last one's on entry, its own on ERR_OK. */
MUST_CHECK enum err change_walk_back(struct db *db, uint64_t zone, uint64_t head,
                                     bool (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error);
MUST_CHECK enum err change_write(struct store *s, const struct store_change *c, struct digest128 *sum, struct store_error *error);

/* ---- disk.c ---- */

bool store_room_system(int dir, uint64_t *total_bytes, uint64_t *free_bytes);

/* ---- batch.c ---- */

void batch_tell_written(const struct store_batch *b); /* to whom store_batch_written named */
/* Copies the zone's image into this batch's segment (sweep.c). ERR_CORRUPT: it can't be read; the batch goes on. */
MUST_CHECK enum err batch_move(struct store_batch *b, uint64_t zone);
/* The same with a snapshot that stays beside it. */
MUST_CHECK enum err batch_move_kept(struct store_batch *b, const struct kept *k);

/* ---- aside.c ---- */

struct store_aside {
  struct store *store;
  const struct zone_snap *snap;
  uint64_t zone, head;
  uint32_t serial;          /* with head: of the version that is written, if the store has it */
  struct store_image image; /* once it is written; the file stands under its name then, unless segment is 0 */
  uint64_t file_bytes;
  enum err err; /* of writing it */
  struct store_error error;
};

/* ---- sweep.c ---- */

/* Brings the log's zone rows up to date. */
MUST_CHECK enum err sweep_heads(struct store *s, struct store_error *error);
/* Deletes the files that `keep` does not want; best effort, what stays is tried again. */
void sweep_segments(struct store *s, bool (*keep)(const struct segment *));

/* ---- timer.c ---- */

void timers_load(struct store *s);

/* ---- roll.c ---- */

struct roll {
  bool is_stamped; /* the log names a roll: */
  bool is_good;    /* the file is that one */
  uint64_t tick, seq;
  struct digest128 sum;
  struct buf file; /* between a start and the first change */
  struct rd zones; /* in it */
  uint64_t zone_count;
};

/* What the log says of it: the value of its meta key. */
void roll_stamp_read(struct store *s, const char *value);
/* Fills zones, snapshots and last numbers. False: there is none that can be trusted, and nothing was filled. */
bool roll_load(struct store *s);
/* As store_each_zone. */
MUST_CHECK enum err roll_each_zone(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg);
void roll_done(struct store *s); /* it is not read any more */
/* Unless there is one of just now, or heads are not swept. */
MUST_CHECK enum err roll_write(struct store *s, struct store_error *error);

/* ---- store.c ---- */

struct store_env { /* what tests replace */
  const struct file_ops *ops;
  const char *vfs;                                                    /* SQLite's; NULL: the default */
  bool (*room)(int dir, uint64_t *total_bytes, uint64_t *free_bytes); /* of its file system; NULL: nobody knows */
};

struct store {
  struct store_env env;
  char *dir; /* absolute */
  int dir_fd, segments_fd, lock_fd;
  struct db db;
  struct store_batch *batch; /* the open one */
  bool reading;              /* inside a callback of store_each_zone: no batch now */
  bool uncertain;            /* the log may hold what we called failed: no write until restart */

  uint64_t id[2];
  uint64_t last_seq, last_zone, last_snapshot, last_segment;
  uint64_t restored;   /* the last seq of the backup that this comes from; 0: from none. meta key "restored" */
  uint64_t tick;       /* counts transactions that are not told by their changesets; meta key "tick" */
  atomic_uint commits; /* that were begun */

  struct zone_table zones;
  struct segment_table segments;
  struct kept_table kept;
  unsigned holds;       /* while over 0, no segment file is deleted */
  struct id_list stale; /* snapshot rows that no zone's newest image is any more */
  bool timers_dirty;
  struct store_disk disk; /* as it was looked at last */
  struct roll roll;
  uint64_t boot; /* that good_mono_s of the timers belongs to; 0: not known */

  struct {
    uint64_t mark;        /* zone rows of the log are right up to this seq */
    uint64_t target;      /* the mark once the round is through; 0: no round */
    struct id_list dirty; /* zones whose rows are, in the order they came to be so */
    size_t end;           /* of them, so many are the round's */
    size_t at;            /* next one of the round */
    size_t step_from;     /* those written in the open transaction: step_from .. at */
    bool done;            /* that ends the round */
  } sweep;

  struct {
    struct store_retention keep; /* as given last */
    uint64_t at;                 /* rows up to this seq were looked at in this pass */
    uint64_t count_to;           /* rows up to this were there at the start and are counted by the first pass */
    uint64_t from;               /* where the next pass for size begins; UINT64_MAX: none is wanted */
    uint64_t looked;             /* rows looked at since the start */
    uint64_t rows;               /* that there are, once they are counted; until then those that were or that came */
    size_t over;                 /* zones with more than they may */
    int64_t aged_s;              /* when the last pass for age began */
    bool counted;                /* the first pass is done */
    bool running;                /* in the middle of a pass */
    bool is_for_age;             /* which is one for age */
    bool whole;                  /* a zone was forgotten: rows of it may be anywhere */
  } retain;
};

void store_zone_describe(const struct zone_row *row, struct store_zone *z); /* all that memory knows of it */
MUST_CHECK enum err store_open_with(const char *dir, const struct store_env *env, struct store **out, struct store_error *error);

/* Commits the open transaction. If the disk fails in the middle, the outcome is looked up behind a fresh connection: ERR_OK means
 * durable, anything else that nothing of it is there. `seq`: of the transaction's last changeset, 0 if it has none. */
MUST_CHECK enum err store_transaction_begin(struct store *s, struct store_error *error);
MUST_CHECK enum err store_transaction_end(struct store *s, uint64_t seq, struct store_error *error);

#endif
