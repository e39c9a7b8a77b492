/* What the files of control/ share. Everything here belongs to the control thread; only the zone set and the identity are read
 * by others, inside RCU read sections.
 *
 *   epoch.c     a configuration compiled: policies, keys, primaries         registry.c  the zones, by id and by name
 *   zone_file.c a zone's file read; merge.c into what the log has made
 *   source.c    where a zone's content came from, and whether that changed  pipeline.c  validate, build; commit.c append, publish
 *   start.c     first load and restart                                      reload.c    SIGHUP and `reload`
 *   transfers.c what the transfer machines tell us                          commands.c, status.c  the control socket
 *   backup.c    `backup`: what of it only this room knows
 *   rebuild.c   `rebuild`: a primary zone's content from a secondary
 *   updates.c   UPDATEs: committed, answered; or forwarded. update_batch.c judges them
 *   alike.c     zones that share a file; preload.c   zone files read by several threads ahead of the control thread
 *   mend.c      images proven in the background, and zones with a damaged one taken from elsewhere
 *   run_time.c  zones that commands add and delete                          commands_content.c content that a command brings
 *   figures.c   counters and states, for metrics and status
 *   write_back.c edits written to zone files
 *   images.c    large versions made ready and their images written by another thread; ready.c what that does; whole.c what is done
 *               with a zone as a whole
 *   upkeep.c    what is done from time to time: timers written, the store swept, what is not durable tried again */
#ifndef CONTROL_CONTROL_PRIV_H
#define CONTROL_CONTROL_PRIV_H

#include "base/arena.h"
#include "base/table.h"
#include "control/control.h"
#include "control/figures.h"
#include "control/zone_load.h"
#include "xfr/notifier.h"
#include "xfr/secondary.h"
#include "zone/delta.h"

#include <stdatomic.h>

typedef struct json_t json_t; /* jansson's */

/* ---- epoch: one loaded configuration, compiled ---- */

/* What zones with equal options share. */
struct zone_plan {
  const struct config_zone_options *options;
  struct zone_policy policy;
  struct xfr_primary *primaries;
  struct xfr_primary *notify;
  unsigned primary_count, notify_count;
};

struct epoch {
  struct config *config; /* one reference */
  struct answer_identity identity;
  struct arena arena;
  struct zone_plan *plans;
  size_t plan_count;
  uint32_t *index; /* hash of options pointers -> plan number + 1 */
  size_t index_mask;
};

/* `config` is taken over on ERR_OK. */
MUST_CHECK enum err epoch_new(struct config *config, struct epoch **out);
const struct zone_plan *epoch_plan(const struct epoch *e, const struct config_zone_options *o);
void epoch_free(struct epoch *e); /* NULL is fine */

/* ---- registry: the zones ---- */

struct zone_slot {
  uint32_t id;
  bool listed;  /* named by the configuration that is being put in force */
  bool started; /* zone_start was done with it */
  bool durable; /* what is served is in the store */
  bool coming;  /* it is not, but its image is being written */
  bool expired;
  bool restored;                    /* not changed since the store came from a backup: serial_floor */
  bool run_time;                    /* added by a command: the store keeps which template it has */
  bool revived;                     /* it was removed once, and comes back with what the store kept */
  bool departed;                    /* the log went its own way: the store has a seed, what the file was when it was read last */
  bool buried;                      /* the store still has it marked as deleted: the next change says otherwise */
  const struct config_zone *config; /* of the epoch in force */
  const struct zone_plan *plan;
  const struct zone_snap *snap; /* newest good content, one reference; NULL: none. Served unless expired */
  const struct zone_snap
      *shown;        /* readers see this one already, of which all else hears later; one reference; NULL: they see snap */
  uint64_t store_id; /* 0: the store does not know the zone */
  uint64_t version;  /* of snap; 0: none */
  uint64_t head;
  uint32_t stored_serial; /* of the last version in the store, when there is one */
  bool has_content;       /* its digest is known (zone/content.h) */
  struct digest128 content;
  struct store_image image;
  uint64_t tail_bytes; /* of deltas in the log behind the image */
  uint32_t queued;     /* its newest change in the open batch, from 1 on; 0: none (pipeline.c) */
  uint8_t *source;     /* source.c: shared */
  size_t source_size;
  uint32_t expire_s;
  uint64_t expires_mono_ns; /* 0: never */
  int64_t since_s;          /* when this version came to be served */
  char *trouble;            /* what is wrong with the zone now, in words; NULL: nothing */
  uint64_t write_ns;        /* when it is written back to its file; 0: not now */
  char *file_trouble;       /* the same of its file; stays whatever else happens to the zone */
  char *author, *comment;   /* whose version this is that the store has not yet, and why; NULL: nobody's in particular */
  enum store_door door;     /* the way it came */
};

struct registry {
  struct zone_slot **slots; /* by id; NULL: free */
  size_t capacity, count;
  uint32_t next_free;
  struct table table; /* ids by name */
};

struct zone_slot *registry_find(const struct registry *r, const uint8_t *name, size_t size); /* lower-case wire form */
/* The same where names mostly come in the order of the slots: `*near` is looked at first. */
struct zone_slot *registry_find_near(const struct registry *r, const uint8_t *name, size_t size, uint32_t *near);
MUST_CHECK enum err registry_reserve(struct registry *r, size_t more); /* room for so many at once */
/* A new slot for a name that is not there yet. */
MUST_CHECK enum err registry_add(struct registry *r, const struct config_zone *config, struct zone_slot **out);
void registry_remove(struct registry *r, struct zone_slot *z); /* frees the slot */
/* Walks the slots: `for (size_t i = 0; (z = registry_next(r, &i));)`. */
struct zone_slot *registry_next(const struct registry *r, size_t *i);
size_t registry_memory_bytes(const struct registry *r);
void registry_done(struct registry *r);

void slot_name(const struct zone_slot *z, struct name *out);
const char *slot_name_text(const struct zone_slot *z, char out[NAME_TEXT_BYTES]); /* without the final dot, but "." */
void slot_trouble(struct zone_slot *z, const char *text);                         /* NULL: none */
void slot_file_trouble(struct zone_slot *z, const char *text);
void slot_author(struct zone_slot *z, char *author, char *comment); /* takes both over; NULL: none */
const char *slot_wrong(const struct zone_slot *z);                  /* what is wrong with it in any way; NULL: nothing */
enum zone_state slot_state(const struct zone_slot *z);              /* figures.c */
static inline bool slot_is_secondary(const struct zone_slot *z) {
  return z->config->options->role == CONFIG_SECONDARY;
}

/* Whether its edits go to its file. */
static inline bool slot_writes_back(const struct zone_slot *z) {
  const struct config_zone_options *o = z->config->options;
  return o->write_back_s != CONFIG_NEVER_S && !o->managed && config_zone_has_writers(o);
}

/* ---- source: where the content of a file zone came from ---- */

enum source_state { SOURCE_SAME, SOURCE_CHANGED };

/* The files that were hashed and found unchanged last: zones that share a file look at it once a reload. Zero is empty. */
struct source_memo {
  uint8_t *same; /* of a zone of that file: it was found to be the same, and is for all that share it */
  char *same_path;
  char *path;
  struct digest128 digest;
  struct zone_source_file unchanged;
};
void source_forget(struct source_memo *memo);
/* Appends the paths of the files that the zone's own included, each ended by a zero. */
void source_included(const struct zone_slot *z, struct buf *out);

/* Whether the content read last time is still that of the files. Files that the file system calls unchanged are not read, unless
 * they were written just before they were read: then a second write may have left no trace in its times. `memo` NULL: no file is
 * read here, and what is not certain has changed. */
enum source_state source_compare(const struct zone_slot *z, const char *path, struct source_memo *memo);
/* Whether it was read as one that is written back. */
bool source_is_plain(const struct zone_slot *z);
/* Such octets as zones keep them: those of `like` (NULL: nobody's) once more if they are the same. NULL: out of memory. */
uint8_t *source_share(uint8_t *like, const uint8_t *bytes, size_t n);
void source_drop(uint8_t *source); /* NULL is fine */
/* `now`: a moment before the files were read. */
MUST_CHECK enum err source_encode(const struct zone_loaded *l, struct instant now, struct buf *out);

/* ---- pipeline: the one way content becomes a version ---- */

/* What another thread has made of a version before it came here (ready.c). */
struct ready {
  const struct zone_snap *snap, *head; /* of use for this version on top of that one, and for no other; no references of its own */
  bool has_base;                       /* head is in the log */
  bool settled;                        /* it has its serial and ZONEMD, and `same` is known (version_settle) */
  bool made;                           /* all the rest */
  bool same;
  bool is_delta;
  struct buf body;
  bool has_content; /* the digest, and what there is between the two */
  struct digest128 content;
  struct delta_size size;
  uint64_t conflicts;        /* names with a CNAME and other data, that are new */
  struct store_aside *image; /* unless it is the same, or a delta; ... */
  bool fresh;                /* ... or also then, for the zone's next seed (keep_seed in pipeline.c) */
  struct store_aside *seed;  /* what `seed` of the change is; NULL: it was not written */
};

struct change_info {
  enum store_door door;
  const char *author;
  const char *comment;
  const struct buf *notes;      /* annotations for the log; NULL: none */
  const struct zone_snap *seed; /* the file's content as it was read, beside the log that goes its own way; NULL: as it was */
  bool seed_gone;               /* the log is as the file is */
  const struct buf *source;     /* to be remembered with it; NULL: what is remembered stays */
  bool fresh_serial;            /* give it a higher serial by the zone's policy where it has none */
  const struct ready *ready;    /* NULL: nothing was done before */
};

/* What a version gets before it follows `head`: by its zone's policy a ZONEMD, and with `fresh_serial` a serial that is higher. A
 * reference is exchanged for one. Any thread, with a zone that nobody changes meanwhile and a snapshot that nobody else builds on.
 */
MUST_CHECK enum err version_settle(const struct zone_slot *z, const struct zone_snap *head, bool fresh_serial, struct instant now,
                                   const struct zone_snap **snap, bool *same, struct buf *note);

struct pipeline; /* one batch */
MUST_CHECK enum err pipeline_begin(struct control *c, struct pipeline **out);
/* New zones that only their files change are served with this batch, and kept in others (upkeep.c). */
void pipeline_serve_first(struct pipeline *p);
/* The store takes nothing of this batch, and may not even know what it has. */
bool pipeline_is_broken(const struct pipeline *p);
/* What the zone's next change builds on: the newest version queued in this batch, or what the slot has. NULL: nothing yet. No
 * reference of its own. */
const struct zone_snap *pipeline_head(const struct pipeline *p, const struct zone_slot *z);
/* Queues `snap` (one reference taken over in any case) as the version after pipeline_head; nothing if it equals that. Several
 * changes of a zone may be in one batch: each is a changeset of its own, and readers see the last. `note` gets what the operator
 * should know ("serial raised ..."). */
MUST_CHECK enum err pipeline_add(struct pipeline *p, struct zone_slot *z, const struct zone_snap *snap,
                                 const struct change_info *info, struct instant now, struct buf *note);
/* Queues what the slot serves already, which the store could not take when it came. Whoever looks sees no change. */
MUST_CHECK enum err pipeline_keep(struct pipeline *p, struct zone_slot *z, const struct ready *ready);
/* Queues a fresh image of what the log has. */
MUST_CHECK enum err pipeline_renew(struct pipeline *p, struct zone_slot *z);
bool pipeline_has_base(const struct zone_slot *z); /* what the slot has is what a delta can be written against */
/* Makes all durable, publishes, and ends the batch. `*changed` counts new versions. On a store failure content that replaces
 * nothing, and content from transfers, is served all the same and marked not durable; the rest is dropped, and `why` says so. */
MUST_CHECK enum err pipeline_commit(struct pipeline *p, struct instant now, size_t *changed, struct store_error *why);
void pipeline_abort(struct pipeline *p);
/* A batch of that one change. */
MUST_CHECK enum err pipeline_change(struct control *c, struct zone_slot *z, const struct zone_snap *snap,
                                    const struct change_info *info, struct buf *note, size_t *changed, struct store_error *why);

/* ---- zonemd_keep.c ---- */

bool zonemd_is_ours(const struct zone_slot *z, const struct zone_snap *snap); /* its ZONEMD is to be generated */
/* `*snap` gets the ZONEMD of `head` (NULL: none), or one that fits it: a reference is exchanged for one. On failure it is as it
 * was. */
MUST_CHECK enum err zonemd_adopt(const struct zone_snap *head, const struct zone_snap **snap);
MUST_CHECK enum err zonemd_renew(const struct zone_snap **snap);

/* Makes readers see a version whose way into the store is not over, if a primary has it and the zone is served. */
void slot_show(struct control *c, struct zone_slot *z, const struct zone_snap *snap);
void slot_shown(struct zone_slot *z);                     /* its time is over: the next slot_publish is of what the slot has; ... */
void slot_unshow(struct control *c, struct zone_slot *z); /* ... which is now, if it was not since */
/* Makes readers see the slot as it is now. */
MUST_CHECK enum err slot_publish(struct control *c, struct zone_slot *z);

/* ---- the whole ---- */

enum waiter_kind { WAIT_TRANSFER, WAIT_REFRESH, WAIT_NOTIFY };

struct job;
struct whole;
struct barrier;

struct waiter { /* a command that is answered when a thing is done */
  struct waiter *next;
  uint64_t token;
  uint32_t zone_id;
  enum waiter_kind kind;
  char peer[64], failed[200]; /* of a WAIT_NOTIFY: whom it went wrong with so far, and what */
};

struct arrival { /* a transferred version that waits for the next batch */
  uint32_t zone_id;
  struct zone_snap *snap;
  const struct zone_snap *before; /* what it replaces, while the batch is made; NULL: nothing */
  struct transfer_info info;
};

struct update_list { /* first in, first served */
  struct control_update *first, *last;
};

struct mend {
  bool proving;    /* images were opened, and slots from `next` on not asked yet whether theirs is proven */
  size_t next;     /* slot */
  unsigned damage; /* zone_damage_found() when zones were last looked at */
};

struct images {
  struct image_job *running, *first; /* one at a time has the thread; those that wait */
  size_t whole_bytes;                /* so much content, or more to be replaced, is read aside (whole.c) */
  struct whole *kept;                /* was shown, and may be wanted ... */
  uint64_t kept_ns;                  /* ... until then */
  uint64_t tell_ns;                  /* next moment to tell clients how far it is */
  size_t least_bytes;                /* what takes more memory is written aside */
  uint64_t tail_bytes;               /* so much of deltas is always allowed behind an image */
  uint64_t fresh_ns;                 /* no fresh images before: one could not be written */
  bool off;                          /* all is done at once from now on */
};

struct upkeep {
  uint64_t timers_ns;   /* next moment to write the timer file */
  uint64_t sweep_ns;    /* next moment to sweep the store */
  uint64_t retain_ns;   /* next step of what keeps history bounded */
  uint64_t write_ns;    /* next moment to write zones back to their files; UINT64_MAX: none waits */
  uint32_t *write_list; /* zones with a write_ns; write_back.c */
  size_t write_count, write_capacity;
  uint64_t tend_ns;              /* next moment to do what commits would wait for; UINT64_MAX: nothing is due */
  uint64_t disk_ns;              /* next look at the room on the disk; UINT64_MAX: nobody knows it */
  struct store_disk disk;        /* as it was at the last one ... */
  uint64_t looked_ns;            /* ... then; 0: look again */
  uint64_t keep_ns;              /* next moment to try to keep what is served from memory only; UINT64_MAX: nothing is */
  unsigned keep_failures;        /* in a row */
  size_t coming;                 /* slot to be looked at next for what is coming; SIZE_MAX: nothing is */
  bool hurries;                  /* the end does not wait for it */
  uint64_t batches, image_bytes; /* committed since the last sweep */
  uint64_t left_out;             /* batches of which a whole zone was not written for lack of room */
};

struct control {
  const char *config_path;
  struct store *store;
  struct xfr_net net;
  struct control_events events;
  struct zone_set *zones;
  struct epoch *epoch;
  const struct answer_identity *identity; /* published: of the epoch in force */
  struct registry registry;
  struct secondaries *secondaries;
  struct notifier *notifier;
  struct barrier *barrier;
  struct waiter *waiters;
  struct job *jobs; /* commands_history.c: the next one to go on first */
  uint64_t jobs_wait_ns;
  struct arrival *arrivals;
  size_t arrival_count, arrival_capacity;
  uint64_t arrivals_ns;       /* so long they may wait for others */
  struct update_list updates; /* that wait for the next batch */
  struct forwarder *forwarder;
  struct rebuild *rebuilds;
  struct control_backup *backup;  /* under way; NULL: none */
  struct instant now;             /* of the call that runs */
  const char *author, *comment;   /* of the command that runs; NULL: none */
  struct control_figures figures; /* what is counted as it happens; the rest is filled in for who asks */
  struct source_memo source_memo;
  struct upkeep upkeep;
  struct mend mend;
  struct images images;
  struct reload *reload;    /* that runs; NULL: none */
  struct reload *loading;   /* that goes on with its next slice; NULL: none */
  struct preload *preload;  /* while zones are started; NULL: each is read when its turn comes */
  bool frozen;              /* the store is another process's: see control_freeze */
  struct store_stamp stamp; /* of the store as it was left */
};

void transfers_events(struct control *c, struct secondary_events *out, struct notifier_events *notify);
/* All arrivals, one batch, but for those that images.c makes ready first. */
MUST_CHECK enum err transfers_commit(struct control *c);
uint64_t transfers_deadline(const struct control *c); /* of that */
void transfers_commit_ready(struct control *c, struct arrival *a, const struct ready *ready);
bool transfers_take_back(struct control *c, const struct arrival *a); /* among those that wait; false: out of memory */
uint64_t transfers_conflicts(const struct zone_snap *before, const struct zone_snap *snap); /* any thread */
/* What was served from memory is in the store: how long it lives goes there, too. */
void transfers_kept(struct control *c, const struct zone_slot *z);
/* (Re)starts refresh of a secondary zone with what the slot has. */
MUST_CHECK enum err transfers_configure(struct control *c, struct zone_slot *z);
void transfers_notify(struct control *c, struct zone_slot *z); /* tells the zone's peers */
void transfers_notify_all(struct control *c);                  /* at the start: who was not told before we ended is told now */

struct forwarder_events;
void updates_events(struct control *c, struct forwarder_events *out);
void updates_commit(struct control *c); /* all that wait, one batch */

struct opened_zone { /* an image and the changes of the log behind it */
  const struct zone_snap *snap;
  uint64_t tail_bytes; /* of the changes */
  bool differs;        /* it is not what the log says of it */
};
/* Does to an open image what the log has for the zone after that version; what it was goes. With a reader any thread. On failure
 * zone->snap is what it had come to. */
MUST_CHECK enum err zone_replay(struct store *s, struct store_reader *reader, const struct zone_slot *z, uint64_t after,
                                struct opened_zone *zone, struct store_error *why);

/* Reads and builds the zone's file, with what its options say. `kept`: what zones of one file share; NULL: nothing. `whole`: who is
 * told how far it is, and may end it; NULL: nobody. Any thread. */
MUST_CHECK enum err zone_file_load(const struct zone_slot *z, struct zonefile_kept *kept, struct whole *whole, struct diags *diags,
                                   struct zone_loaded *out);
/* Threads begin to read the files of zones that were not read before or have changed since, and to open images: of slots from
 * `first` up to `end`. */
void preload_start(struct control *c, size_t first, size_t end);
/* What they made of the zone's file, as zone_file_load does. False: it was not theirs. Zones are asked for in the registry's order.
 */
bool preload_take(struct control *c, const struct zone_slot *z, struct diags *diags, struct zone_loaded *out, enum err *err);
/* The zone's image, opened, and the changes since. False: it has to be opened here. */
bool preload_take_image(struct control *c, const struct zone_slot *z, struct opened_zone *out);
void preload_end(struct control *c); /* fine if nothing was started */

void mend_opened(struct control *c); /* an image: it may not be proven yet */
void mend_run(struct control *c);
uint64_t mend_deadline(const struct control *c);
/* ---- images.c ---- */

void images_init(struct control *c);
/* Whether what it takes to put the snapshot into the log is too much to be done here. */
bool images_are_aside(const struct control *c, const struct zone_snap *snap);
/* Takes an arrival over to have it made ready; then transfers_commit_ready. False: it may be committed at once. */
bool images_take_arrival(struct control *c, const struct arrival *a);
/* Has what came of a transfer read, then secondary_built. */
bool images_take_build(struct control *c, uint32_t zone_id, struct transfer_build *b);
/* The same for what is served from memory only, then pipeline_keep. True also when that is under way. */
bool images_take_unkept(struct control *c, struct zone_slot *z);
/* Takes it over, with all else that comes as a whole (whole.h). False: there is no thread. */
bool images_take_whole(struct control *c, struct whole *w);
bool images_tail_is_long(const struct control *c, const struct store_image *image, uint64_t tail_bytes);
void images_refresh(struct control *c, struct zone_slot *z); /* a fresh image, if it wants one */
void images_run(struct control *c);
bool images_wait(const struct control *c);             /* for images_run */
void images_drop(struct control *c, uint32_t zone_id); /* the zone goes, or changes its role */
/* Nothing is under way any more; arrivals are where they came from, and all is done at once until images_init. `over`: nothing is
 * to come of it. */
void images_settle(struct control *c, bool over);

/* ---- ready.c ---- */

enum image_use {
  IMAGE_BUILD, /* part of a transfer: nothing is written */
  IMAGE_WHOLE,
  IMAGE_ARRIVAL,
  IMAGE_UNKEPT,
  IMAGE_FRESH,
  IMAGE_OPENED
};

/* Control's before and after it is run, and the thread's meanwhile. */
struct image_job {
  struct image_job *next;
  enum image_use use;
  uint32_t zone_id;
  const struct zone_snap *snap, *head; /* one reference each; NULL: none */
  struct ready ready;
  struct transfer_build *build; /* of IMAGE_BUILD */
  struct whole *whole;          /* of IMAGE_WHOLE */
  bool aside;                   /* it is, and not done at once */
  struct arrival arrival;       /* of IMAGE_ARRIVAL; its snapshot is `snap` */
  uint64_t version, tail_bytes; /* of `snap` as IMAGE_FRESH or IMAGE_OPENED: what the log had then */
  uint64_t store_id, log_head;  /* of IMAGE_OPENED: changes up to this one are to follow */
  uint64_t log_version;
  struct store_reader *reader;
  struct store_image image;
  unsigned commits; /* when the thread looked last */
  uint64_t began_ns;
  enum err err;
  atomic_bool cancelled;
};

void image_job_free(struct image_job *job);
/* Compares, counts, writes. */
MUST_CHECK enum err ready_make(struct ready *r, const struct store_watch *watch);

/* The slot has changed in a way that may want writing back. */
void write_back_due(struct control *c, struct zone_slot *z);
void write_back_run(struct control *c);

void upkeep_start(struct control *c);
void upkeep_configured(struct control *c, const struct config_history *before); /* a configuration came in force */
void upkeep_run(struct control *c);
uint64_t upkeep_deadline(const struct control *c);
void upkeep_committed(struct control *c, uint64_t image_bytes); /* a batch went into the store */
/* How much room there is on the disk, looked at now or a moment ago. Not inside a batch. */
enum store_room upkeep_room(struct control *c);
/* What is not done then, in words, and until when. */
const char *upkeep_room_text(enum store_room room);
void upkeep_not_kept(struct control *c); /* something is served that the store has not */
void upkeep_coming(struct control *c);   /* the same, and nothing keeps it from having it soon */
/* Gives it to the store now that it was made ready. */
void upkeep_keep_ready(struct control *c, struct zone_slot *z, const struct ready *ready);
void upkeep_settle(struct control *c); /* before the store is closed: what was on its way to it gets there */

/* Loads or opens one zone's content into the batch or straight into the slot; trouble goes into the slot and the log. The rest is
 * as for zone_reload_file. */
MUST_CHECK enum err zone_start(struct control *c, struct pipeline *p, struct zone_slot *z, bool *refused, struct buf *note);
/* Around the loading of the zones of these slots: files are read ahead, and all become visible at the end. An error, be it the one
 * that is given, gives the batch up. */
void zones_load_begin(struct control *c, size_t first, size_t end);
MUST_CHECK enum err zones_load_end(struct control *c, struct pipeline *p, enum err err);
/* What the store has of it: its image, or an older one if that is damaged, and the changes since. The slot has no content
 * afterwards if there is nothing usable. `prove`: no image is taken on trust for the moment. */
void zone_open_stored(struct control *c, struct zone_slot *z, bool prove);
/* Brings a snapshot of that version to where the log is; a reference is exchanged for one. On failure it is as it was. */
MUST_CHECK enum err zone_catch_up(struct control *c, const struct zone_slot *z, uint64_t version, struct zone_snap **snap);
/* Reads the zone's file if it changed, or with `force` makes it law; *refused tells that it was refused and the old version serves
 * on. `note` gets findings. */
MUST_CHECK enum err zone_reload_file(struct control *c, struct pipeline *p, struct zone_slot *z, bool force, bool *refused,
                                     struct buf *note);

struct reload_report {
  bool config_refused;
  size_t added, removed, changed, refused;
  struct buf text; /* for people */
};

/* One that goes on: in slices, and files that are read aside (whole.h) end after it. */
struct reload {
  struct reload_report report;
  unsigned pending; /* files, and the reload itself until it is through */
  size_t next;      /* slot to be looked at */
  bool force;
  char *author, *comment; /* of its command, between slices */
  const char *cut;        /* why it did not come to its end; NULL: nothing */
  enum err err;           /* of the store, or out of memory */
  struct store_error why;
  void (*answer)(struct control *c, struct reload *r); /* NULL: nobody waits */
  uint64_t token;
  struct name zone; /* of one zone's file */
  bool loaded;      /* a configuration was put in force */
  bool by_signal;   /* its end is told by events.reloaded */
};

/* What is begun between the two calls is of this reload. */
MUST_CHECK enum err reload_begin(struct control *c, struct reload **out);
void reload_begun(struct control *c, struct reload *r, enum err err);
void reload_end(struct control *c, struct reload *r); /* a part of it is done; the last one answers */
MUST_CHECK enum err reload_all(struct control *c, bool force, struct reload *r);
void reload_run(struct control *c); /* the next slice */
/* It ends here: what it has not come to stays as it is. `why` is static. Fine if there is none. */
void reload_cut(struct control *c, const char *why);
/* Whether its file would be read aside. */
bool zone_file_is_aside(const struct control *c, const struct zone_slot *z);
/* Gives new slots what the store has of them, also of zones that were removed and come back, and marks what the store has and the
 * configuration has not as deleted. */
MUST_CHECK enum err registry_adopt_store(struct control *c);
MUST_CHECK enum err registry_adopt_zone(struct control *c, const struct zone_slot *z); /* that one alone */

/* ---- run_time.c: zones that commands add ---- */

/* A slot for what the store has as added at run time. ERR_REFUSED: the configuration has not what it needs, as the log says. */
MUST_CHECK enum err run_time_adopt(struct control *c, const struct store_zone *s, struct zone_slot **out);
/* Whether they can go on under that configuration; `why` says why not. */
bool run_time_fits(const struct control *c, const struct config *cfg, struct buf *why);
/* What the zone is under the epoch in force. ERR_MEMORY. */
MUST_CHECK enum err run_time_config(struct control *c, const struct zone_slot *z, const struct config_zone **out);
/* The zone goes, as one that the configuration names no more does. */
void zone_remove(struct control *c, struct zone_slot *z);

/* `rebuild`: told of what came for a zone that it transfers; false: it does not. */
bool rebuild_transferred(struct control *c, uint32_t zone_id, struct zone_snap *snap);
bool rebuild_settled(struct control *c, uint32_t zone_id);
void rebuild_command(struct control *c, uint64_t token, const json_t *args);
void rebuild_drop(struct control *c, uint32_t zone_id); /* the zone goes, or changes its role */
void rebuilds_run(struct control *c);
bool rebuilds_ended(const struct control *c); /* one waits for rebuilds_run */
void rebuilds_free(struct control *c);

void backup_command(struct control *c, uint64_t token, const json_t *args);
void backup_free(struct control *c); /* its thread has ended */

struct barrier_events;
struct barrier_events wait_events(struct control *c); /* commands_wait.c */
/* Commands that go on step by step (commands_history.c). */
void jobs_run(struct control *c);
uint64_t jobs_deadline(const struct control *c);
void jobs_gone(struct control *c, uint64_t token); /* the client hung up */
void jobs_end(struct control *c, const char *why);

void waiters_wake(struct control *c, uint32_t zone_id, enum waiter_kind kind, bool ok, const char *text);
void waiters_drop(struct control *c, uint32_t zone_id, const char *why);       /* whatever they wait for will not come */
void waiters_recovered(struct control *c, uint32_t zone_id, const char *peer); /* one that had failed has answered */
void reply_ok(struct control *c, uint64_t token, const char *text);
void reply_error(struct control *c, uint64_t token, const char *error, const char *hint);

json_t *status_zone_json(struct control *c, const struct zone_slot *z);
void status_zone_text(json_t *zone, struct buf *out);
json_t *status_server_json(struct control *c);
void status_server_text(json_t *server, struct buf *out);

#endif
