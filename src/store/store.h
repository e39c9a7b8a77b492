/* The store: every durable byte of the server. One SQLite database (the log: zones, changesets, where their images are),
 * immutable segment files of packed zone images, and a node-local timer file, all in one locked directory of mode 0700.
 *
 *   state/lock            held while open; names the pid
 *   state/log.db          zone, changeset, snapshot, feed, meta (schema in docs/design/store.md)
 *   state/segments/N.seg  packed zone images, written once: temporary name, sync, rename, directory sync
 *   state/timers          32-byte records: when a secondary zone was last known good
 *   state/roll            what the log has of all zones, of a clean end: a start reads it instead of rows
 *
 * The order for a change is: build, append (store_batch_commit), publish, acknowledge. A batch is durable as a whole or not at
 * all. Nothing here parses records: bodies and images are made by zone/. Thread: the control thread owns the store; a mapped
 * segment lives until the last snapshot that reads it is gone, on whatever thread that is. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/hash.h"
#include "wire/name.h"
#include "zone/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_SCHEMA = 4 };

struct store;

/* What went wrong, in words for the operator; filled by every function that takes one when it fails. */
struct store_error {
  char what[256];
};

/* Called behind each piece of about a MiB that was written and synced, with the octets so far: to show how far it is, and to take
 * breaks, so that commits find the disk free. False: no more of it (ERR_CLOSED). */
struct store_watch {
  void *arg;
  bool (*step)(void *arg, uint64_t bytes);
};

/* Opens or creates. ERR_LOCKED: what names the other pid. ERR_VERSION: written by a newer version, left untouched. ERR_CORRUPT,
 * ERR_IO. Sweeps what a crash left behind (temporary files, segments that nothing names). */
MUST_CHECK enum err store_open(const char *dir, struct store **out, struct store_error *error);
void store_close(struct store *s); /* NULL is fine */
/* Writes what makes the next start quick. store_close does so, too; nothing is left for it then unless more is written. */
void store_finish(struct store *s);

/* Equal for two openings of a store between which nothing was written. */
struct store_stamp {
  uint64_t tick, seq, id[2];
};
struct store_stamp store_stamp(const struct store *s);

/* Whether a zone with this head has not changed since the store was restored from a backup: its secondaries may know later serials
 * than the log does. */
bool store_is_restored(const struct store *s, uint64_t head);

/* Changes ownership of all files, before privileges are dropped. */
MUST_CHECK enum err store_chown(struct store *s, unsigned uid, unsigned gid, struct store_error *error);

/* ---- what is there ---- */

struct store_image { /* where a zone's newest image is */
  uint64_t segment;  /* 0: none */
  uint64_t offset_bytes;
  uint64_t size_bytes;
  uint64_t version; /* of the zone it holds */
  uint64_t digest;  /* of the image's header, which holds the checksum of the rest: that it is the very image meant */
};

enum store_zone_state { STORE_ZONE_LIVE = 0, STORE_ZONE_DELETED = 1 };

struct store_zone {
  uint64_t id;
  const uint8_t *name; /* wire form, lower case; valid during the callback */
  uint8_t name_size;
  enum store_zone_state state;
  int64_t deleted_at_s;
  uint64_t head;    /* seq of its last changeset; 0: none yet */
  uint64_t version; /* of that changeset; 0: none yet */
  uint32_t serial;  /* with neither head nor content it has none */
  bool has_content; /* the digest of its last version is known, or of what was promised if there is no head */
  struct digest128 content;
  struct store_image image;
  const uint8_t *source; /* what the owner of the zone remembers of where its content came from (file digests); opaque here */
  size_t source_size;
  const uint8_t *options; /* of a zone that was added at run time: opaque here */
  size_t options_size;    /* 0: it was not */
};

/* Every zone, deleted ones included, in no particular order. `false` stops (ERR_REFUSED). The callback may open images and read
 * changes, and must not begin a batch. */
MUST_CHECK enum err store_each_zone(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg,
                                    struct store_error *error);
/* The same for those that are deleted: costs what they are, not what there is. */
MUST_CHECK enum err store_deleted_zones(struct store *s, bool (*f)(void *arg, const struct store_zone *z), void *arg,
                                        struct store_error *error);
/* The same for all that have or had the name (wire form, lower case), oldest first. */
MUST_CHECK enum err store_zones_named(struct store *s, const uint8_t *name, size_t size,
                                      bool (*f)(void *arg, const struct store_zone *z), void *arg, struct store_error *error);
/* Maps the image and opens it (zone/image.h). ERR_CORRUPT: damaged; the zone must come from elsewhere. */
MUST_CHECK enum err store_open_image(struct store *s, const struct store_image *image, struct zone_snap **out,
                                     struct store_error *error);
/* The same in two steps, of which the second may be any thread's. What was found keeps its map until it is opened, whatever comes
 * of that, or given up. */
struct segment_map;
struct store_found {
  struct segment_map *map;
  const uint8_t *bytes;
};
MUST_CHECK enum err store_find_image(struct store *s, const struct store_image *image, struct store_found *out,
                                     struct store_error *error);
MUST_CHECK enum err store_open_found(struct store_found *f, const struct store_image *image, struct zone_snap **out,
                                     struct store_error *error);
void store_found_done(struct store_found *f);

/* ---- changesets ---- */

enum store_kind { STORE_FULL = 1, STORE_DELTA = 2 };
enum store_door {
  DOOR_FILE = 1,
  DOOR_TRANSFER = 2,
  DOOR_UPDATE = 3,
  DOOR_API = 4,
  DOOR_COMMAND = 5,
  DOOR_SIGNER = 6,
  DOOR_STEERING = 7
};

struct store_change {
  uint64_t zone;
  uint64_t seq;     /* given by the store */
  uint64_t prev;    /* seq of the zone's changeset before; given by the store */
  uint64_t version; /* given by the caller: the zone's last version + 1 */
  enum store_kind kind;
  bool has_serial_from;
  uint32_t serial_from, serial_to;
  int64_t at_s;
  enum store_door door;
  const char *author;   /* key, peer or person; "" none */
  const char *comment;  /* "" none */
  const uint8_t *notes; /* annotations: what the log keeps and the DNS can't carry; never transferred */
  size_t notes_size;
  uint32_t view;            /* 0: what everybody sees */
  bool has_content;         /* the next three are known */
  struct digest128 content; /* digest of the version (zone/content.h) */
  uint64_t removed, added;  /* records, against the version before */
  const uint8_t *body;      /* of a delta: delta.h; the log keeps it packed */
  size_t body_size;
};

/* The changesets of a zone with a version over `after`, oldest first. Follows the prev chain from `head`. */
MUST_CHECK enum err store_each_change(struct store *s, uint64_t zone, uint64_t head, uint64_t after,
                                      enum err (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error);

/* ---- history ---- */

/* The changesets of a zone newest first, from `head` on back until `f` says false (ERR_OK) or history ends (ERR_NOT_FOUND): at the
 * zone's first one, or where retention cut it. */
MUST_CHECK enum err store_walk_back(struct store *s, uint64_t zone, uint64_t head,
                                    bool (*f)(void *arg, const struct store_change *c), void *arg, struct store_error *error);
/* The newest image kept of the zone whose version is at most `version`: content from which changes lead to it. ERR_NOT_FOUND. */
MUST_CHECK enum err store_image_at(struct store *s, uint64_t zone, uint64_t version, struct store_image *out);

/* A second connection that only reads, for one other thread; it sees what is committed, and may outlive the store. */
struct store_reader;
MUST_CHECK enum err store_reader_open(const struct store *s, struct store_reader **out, struct store_error *error);
void store_reader_close(struct store_reader *r); /* NULL is fine */
/* Whether other threads may have readers: not where tests put another disk below the store. */
bool store_has_readers(const struct store *s);
/* One transaction from here to its end, for who reads much at once: until then the WAL can't begin anew. */
MUST_CHECK enum err store_reader_hold(struct store_reader *r);
/* As store_each_change. */
MUST_CHECK enum err store_reader_each_change(struct store_reader *r, uint64_t zone, uint64_t head, uint64_t after,
                                             enum err (*f)(void *arg, const struct store_change *c), void *arg,
                                             struct store_error *error);
/* As store_walk_back. Holds no transaction once it has returned. */
MUST_CHECK enum err store_reader_walk_back(struct store_reader *r, uint64_t zone, uint64_t head,
                                           bool (*f)(void *arg, const struct store_change *c), void *arg,
                                           struct store_error *error);

/* How much history is kept: what is older than age_s, and of a zone whatever is over zone_bytes, goes, oldest first; the last
 * `least` changesets of each zone stay. */
struct store_retention {
  uint64_t age_s, zone_bytes;
  uint32_t least;
};
/* One step of a millisecond or so, between batches. `*more`: there is work left for another step. */
/* Whether a zone has so much more than it may that a pass should not wait for its time. */
bool store_retain_is_due(const struct store *s);
MUST_CHECK enum err store_retain(struct store *s, const struct store_retention *keep, int64_t now_s, bool *more,
                                 struct store_error *error);

/* ---- a batch of changes: one sync, one transaction ---- */

struct store_batch;
/* One batch at a time, and none inside store_each_zone: ERR_AGAIN. ERR_IO: the store takes no changes until the disk is repaired
 * and the server restarted. */
MUST_CHECK enum err store_batch_begin(struct store *s, struct store_batch **out);
/* A new zone; its id is valid once the batch is committed (and inside it). A name that is there but deleted gets a new row:
 * versions go on from the old one's. `*version` is the last one used, 0 for a name never seen: the first change has the next one.
 * ERR_EXISTS: there is a live zone of that name; the batch goes on. */
MUST_CHECK enum err store_batch_create(struct store_batch *b, const struct name *name, uint64_t *id, uint64_t *version);
/* Writes the snapshot's image into this batch's segment; with `change` also a changeset of kind full that names it, without it
 * only a fresher image of the zone's present version (compaction). `*image` is valid once committed. */
MUST_CHECK enum err store_batch_image(struct store_batch *b, uint64_t zone, uint64_t version, const struct zone_snap *snap,
                                      const struct store_change *change, struct store_image *image);
/* A changeset of kind delta. Its body is at most LIMIT_CHANGE_BYTES (ERR_LIMIT: write an image). A version that is not the zone's
 * last + 1 is ERR_RANGE, here and above; the batch goes on without it. */
MUST_CHECK enum err store_batch_delta(struct store_batch *b, const struct store_change *change);
/* The content of the zone's file as it was read, beside the log that it seeds: what the next reading is compared with. NULL: there
 * is none any more. `written`: it was, aside; NULL: it is here. */
struct store_aside;
MUST_CHECK enum err store_batch_seed(struct store_batch *b, uint64_t zone, const struct zone_snap *snap,
                                     struct store_aside *written);
/* The same where the zone's image is just that: it is named twice, and nothing is written. */
MUST_CHECK enum err store_batch_seed_image(struct store_batch *b, uint64_t zone);
/* What the zone, of which the log has no change yet, is served as before it has one: should it never get it, the next start knows
 * what that serial stood for. */
MUST_CHECK enum err store_batch_promise(struct store_batch *b, uint64_t zone, uint32_t serial, struct digest128 content);
MUST_CHECK enum err store_batch_source(struct store_batch *b, uint64_t zone, const uint8_t *source, size_t size);
MUST_CHECK enum err store_batch_options(struct store_batch *b, uint64_t zone, const void *options, size_t size); /* 0: none */
MUST_CHECK enum err store_batch_state(struct store_batch *b, uint64_t zone, enum store_zone_state state, int64_t at_s);
/* `f` is called inside the commit when all of the batch is written and only the log's sync is left: from then on the end of the
 * process takes nothing of it back, and a loss of power all of it or nothing. */
void store_batch_written(struct store_batch *b, void (*f)(void *arg), void *arg);
/* Durable on ERR_OK; on failure nothing of it is (and the batch is gone either way). Afterwards store_batch_commit's caller knows
 * the heads: `head` of a zone is *seq_out of its last change, asked by store_head. */
MUST_CHECK enum err store_batch_commit(struct store_batch *b, struct store_error *error);
void store_batch_abort(struct store_batch *b); /* NULL is fine */
/* The seq of the zone's last committed changeset; 0: none. */
uint64_t store_head(const struct store *s, uint64_t zone);
/* ---- an image written aside, while batches go on ----
 *
 *   control thread                     one other thread                    control thread
 *   store_aside_begin: number          store_aside_write: temporary name,  store_batch_aside: directory synced, the
 *   and a reference on the snapshot    written, synced, renamed            row; or store_aside_end: the file goes
 */

/* `zone`: where the store has it; 0: it is new. `snap` NULL: it is not known yet. ERR_AGAIN: a batch is open. */
MUST_CHECK enum err store_aside_begin(struct store *s, uint64_t zone, const struct zone_snap *snap, struct store_aside **out);
/* What is to be written, if that was not known: one reference more. The thread's that writes. */
void store_aside_content(struct store_aside *a, const struct zone_snap *snap);
/* Into a segment of its own. Fails as the batch would that takes it, which says why. ERR_CLOSED: `watch` said so; it is asked
 * often, with the octets so far, and behind each MiB that was synced. */
MUST_CHECK enum err store_aside_write(struct store_aside *a, const struct store_watch *watch);
/* As store_batch_image, with what was written; a failure of that is the batch's. Without `change` the version may be older than the
 * zone's, as long as it is not older than its image. What the batch has taken goes with the batch. */
MUST_CHECK enum err store_batch_aside(struct store_batch *b, uint64_t zone, uint64_t version, struct store_aside *a,
                                      const struct store_change *change, struct store_image *image);
/* Not while store_aside_write runs. NULL is fine. */
void store_aside_end(struct store_aside *a);
/* Rises with each commit that begins: whether somebody wants the disk. Any thread. */
unsigned store_aside_commits(const struct store_aside *a);

/* Where the zone's newest committed image is now (segment 0: none). store_sweep moves images of small segments together, so ask
 * again instead of keeping one over a sweep. */
void store_image_of(const struct store *s, uint64_t zone, struct store_image *out);

/* The zone's seed, to be opened by store_open_image (segment 0: none). */
void store_seed_of(const struct store *s, uint64_t zone, struct store_image *out);

/* ---- files that are not the store's ---- */

/* Writes the file anew as a whole: beside it, synced, renamed, its directory synced, owner and mode kept, links followed. `still`
 * is asked last whether it may be replaced. Any thread. ERR_EXISTS: it said no. ERR_IO: what is there is as it was, or its
 * directory not synced. */
MUST_CHECK enum err store_replace_file(struct store *s, const char *path, const void *bytes, size_t n,
                                       const struct store_watch *watch, bool (*still)(void *arg), void *arg,
                                       struct store_error *error);

/* ---- timers of secondary zones: node-local, not in the log ---- */

struct store_timer {
  uint64_t zone;
  int64_t good_at_s;    /* wall time of the last answer of a primary that our content is current; 0: never */
  uint32_t expire_s;    /* SOA expire, or what EDNS EXPIRE bounded it to */
  uint32_t good_mono_s; /* good_at_s by the clock that never goes back; 0: not known, or of a time before the machine was started */
};
/* Which time since a start of the machine this is (base/clock.h): good_mono_s of another one is forgotten. Right after opening;
 * without it all are. */
void store_timers_boot(struct store *s, uint64_t boot);
MUST_CHECK enum err store_timer_get(struct store *s, uint64_t zone, struct store_timer *out); /* ERR_NOT_FOUND */
/* Kept in memory, written by store_timers_flush (at most 60 s old; at a clean end always). */
MUST_CHECK enum err store_timer_put(struct store *s, const struct store_timer *t);
MUST_CHECK enum err store_timers_flush(struct store *s, struct store_error *error);

/* ---- room on the disk (disk.c) ---- */

enum store_room {
  STORE_ROOM_GOOD,
  STORE_ROOM_LOW,     /* the operator should know */
  STORE_ROOM_NO_BULK, /* whole zones should not be written any more */
  STORE_ROOM_NONE,    /* the ballast is given up: nothing should be written but what makes room */
};
struct store_disk {
  bool known; /* otherwise all is zero */
  enum store_room room;
  uint64_t total_bytes, free_bytes; /* of the file system */
  uint64_t ballast_bytes;           /* held by our ballast file; 0: there is none */
};
/* Looks how much room there is, and gives the ballast up or puts it back; `ballast_bytes` is as large as it may be. Not inside a
 * batch. Cheap. */
void store_disk_look(struct store *s, uint64_t ballast_bytes, struct store_disk *out);

/* ---- housekeeping ---- */

/* What the next commits would have to wait for: the log's WAL copied into it, room laid out in the WAL. Some milliseconds at most,
 * best while nobody waits for a change. */
bool store_tend_is_due(const struct store *s);
void store_tend(struct store *s);

struct store_usage {
  uint64_t database_bytes, segment_bytes, segments;
  uint64_t changesets;   /* at most so many, until the first pass of store_retain has counted them */
  uint64_t memory_bytes; /* what the database keeps in memory */
};
MUST_CHECK enum err store_usage(struct store *s, struct store_usage *out);
/* Deletes segments that no zone's image names any more, and forgets zones deleted before `before_s`. */
/* While held, no segment file is deleted: somebody copies them. Holds add up. */
void store_hold(struct store *s);
void store_release(struct store *s);
MUST_CHECK enum err store_sweep(struct store *s, int64_t before_s, struct store_error *error);

#endif
