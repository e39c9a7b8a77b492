/* What is done with a zone as a whole: content comes by a command, from a zone file, out of history or from a secondary, or goes to
 * the zone's file. Where that is large, or what it replaces is, another thread reads it, compares it with what is served, and
 * writes its image or the file; the control thread begins that and commits what came of it. Other zones, and readers of this one,
 * notice nothing. What is small is done at once.
 *
 *    whole_start ──► queue of images.c ──► begin: pins what the zone is ──► work: read, settled, ready ──► is the zone as it was?
 *                                           ▲   (control thread)            (other thread)                 │yes: done
 *                                           └──────────────────────── no, and not WHOLE_TRIES times yet ────┘
 *
 * Nothing of the zone is locked meanwhile: a change that comes in between is not lost, the work is done again on top of it. */
#ifndef CONTROL_WHOLE_H
#define CONTROL_WHOLE_H

#include "control/control_priv.h"

enum { WHOLE_TRIES = 4 };

struct whole;

struct whole_use {
  /* Whether there is anything to be done with the zone as it is; if not, it was answered. Also before it is done again. NULL: yes.
   */
  bool (*begin)(struct control *c, struct whole *w, struct zone_slot *z);
  /* Reads the content, once, and makes `next` of it, if that is not there yet. Any thread: it looks at `w` alone. */
  enum err (*work)(struct whole *w);
  /* Commits what came of it, or answers what was wrong. `ready` as for the pipeline; NULL: nothing. */
  void (*done)(struct control *c, struct whole *w, struct zone_slot *z, const struct ready *ready);
  /* It comes to nothing: `why`, and what to do. */
  void (*refused)(struct control *c, struct whole *w, const char *why, const char *hint);
  void (*free)(struct whole *w);
  const char *what; /* "import": for who asks what is under way */
  bool stays_good;  /* what was made is of use whatever became of the zone meanwhile: `done` sees to that */
};

/* The first member of what each use has. */
struct whole {
  const struct whole_use *use;
  uint32_t zone_id;
  struct name name; /* of the zone */
  bool any_zone;    /* it is not about a zone */
  bool only_shown;  /* nothing is to be committed */
  bool has_client;  /* a command waits for the answer */
  uint64_t token;
  char *author, *comment;
  /* the zone as it stood when the work began, with a configuration that stays: of what it points to only that may be read */
  struct zone_slot zone;
  struct config_zone config;
  struct config *pin;
  struct instant now;
  const struct zone_snap *base; /* what it is to follow, one reference; NULL: nothing */
  unsigned tries;
  const atomic_bool *cancelled;    /* of its job */
  const struct store_watch *watch; /* while the work runs: for what it writes */
  /* what the work has made of it */
  bool was_run;
  enum err err;
  const struct zone_snap *next; /* one reference; NULL: nothing, or it has mistakes */
  bool same;                    /* as the base */
  bool wants_image;             /* `begin` says so: the zone will be as its file is, and its next edit wants an image of that */
  bool may_seed;                /* the same: there may be a seed beside it, ... */
  const struct zone_snap *seed; /* ... and `work` says what it is, without a reference; NULL: none */
  struct buf note;              /* what the operator should know of it */
  _Atomic uint64_t records;     /* read so far */
  bool keep;                    /* `done` says so: what was shown may be wanted (whole_take_kept) */
};

/* For the command that runs. `z` NULL: it is not about a zone. */
void whole_init(struct control *c, struct whole *w, const struct whole_use *use, const struct zone_slot *z, uint64_t token);
void whole_free(struct whole *w); /* NULL is fine */
/* Takes it over, and has it done aside. False: there is no thread. */
bool whole_start_aside(struct control *c, struct whole *w);
/* The same, or it is done at once: not inside a batch. */
void whole_start(struct control *c, struct whole *w, bool aside);
/* Whether so much content for the zone is better done aside. */
bool whole_is_large(const struct control *c, const struct zone_slot *z, uint64_t bytes);

/* Makes `next` of that content (a reference taken over): with the ZONEMD that it gets, and with `fresh_serial` the serial, compared
 * with `base`. For `work`. */
MUST_CHECK enum err whole_settle(struct whole *w, const struct zone_snap *content, bool fresh_serial);
bool whole_count(void *arg, uint64_t records); /* zone_load_options.progress; `arg` is the struct whole */
/* The same content in memory of its own, where another thread may build on it. */
MUST_CHECK enum err whole_copy(const struct zone_snap *s, struct zone_snap **out);

/* The last one that was only shown, if the zone is as it was then: the caller's now. NULL: there is none. */
struct whole *whole_take_kept(struct control *c, const struct zone_slot *z, const struct whole_use *use);
void whole_forget_kept(struct control *c);

/* ---- for images.c ---- */

/* False: there is nothing to be done; it was answered. */
bool whole_begin(struct control *c, struct image_job *job);
void whole_run(struct image_job *job, const struct store_watch *watch); /* the thread */
void whole_done(struct control *c, struct image_job *job);              /* and frees the job, or queues it again */
enum whole_drop { WHOLE_ZONE_GONE, WHOLE_MOVED, WHOLE_OVER, WHOLE_SWAPPED, WHOLE_NO_MEMORY };
void whole_drop_job(struct control *c, struct image_job *job,
                    enum whole_drop why); /* frees a job of any use, and says it is over */

void whole_gone(struct control *c, uint64_t token); /* the client hung up */
void whole_run_due(struct control *c);              /* clients are told how far it is, from time to time */
uint64_t whole_deadline(const struct control *c);
/* What is under way for the zone, in words (`out` may be NULL). False: nothing. */
bool whole_progress(const struct control *c, uint32_t zone_id, struct buf *out);

#endif
