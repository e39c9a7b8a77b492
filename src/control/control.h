/* The control room: the one pipeline of changes, the zone registry, and the commands of the control socket. Sans-I/O: it is told
 * what came and what time it is, and asks for the network through `struct xfr_net`.
 *
 *   configuration --> registry --> zones --> [file | image + tail of the log | secondary] --> pipeline --> zone_set --> workers
 *
 * Thread: everything here runs on the control thread, but control_zones and control_identity, which any reader may use inside an
 * RCU read section. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "answer/answer.h"
#include "base/buf.h"
#include "base/pieces.h"
#include "config/config.h"
#include "store/backup.h"
#include "xfr/net.h"
#include "zone/zone_set.h"

struct control;
struct control_backup;
struct control_update;
struct image_job;
struct zone_slot;

struct control_events {
  void *arg;
  /* A configuration is about to be put in force: open new sockets, apply log settings. False and a reason in `why`: it is refused
   * and nothing changes. Afterwards the old one's sockets are closed. */
  bool (*reconfigure)(void *arg, const struct config *old_config, const struct config *new_config, struct buf *why);
  void (*stop)(void *arg); /* the `stop` command */
  /* Answers to commands; `token` is what control_command got. `json` is one JSON object. */
  void (*reply)(void *arg, uint64_t token, const char *json, size_t n);
  size_t (*backlog)(void *arg, uint64_t token);               /* octets of replies that the client has yet to take; may be NULL */
  void (*server_status)(void *arg, struct buf *json_members); /* appends members such as ,"queries":1 for `status` */
  void (*swap)(void *arg, uint64_t token);                    /* the `swap` command; answered by control_swapped */
  /* A backup is to be made: a thread of its own calls control_backup_run, and this one control_backup_done when that has ended.
   * False: there is no thread. */
  bool (*backup)(void *arg, struct control_backup *b);
  /* A large version is to be made ready and its image written: a thread of its own calls control_image_run, and this one
   * control_image_done when that has ended. One at a time. False: there is no thread. May be NULL: all is done at once. */
  bool (*image)(void *arg, struct image_job *job);
  void (*image_join)(void *arg); /* returns when that thread has ended, which it does soon now; with `image` */
  /* The answer to an UPDATE, of which `u` is the owner's again. n == 0: nothing can be said. */
  void (*updated)(void *arg, struct control_update *u, const uint8_t *bytes, size_t n);
  /* A batch is about to be written: whoever waits is told by control_update now, and is of it. */
  void (*updates_wanted)(void *arg, struct instant now);
  void (*updates_told)(void *arg); /* no other answer comes soon: those kept back to be sent together go now */
  void (*reloaded)(void *arg);     /* what one control_reload began is over; may be NULL */
};

/* Takes over the store; `config` stays the caller's until control_free or a reload replaces it. */
MUST_CHECK enum err control_new(struct config *config, const char *config_path, struct store *store, const struct xfr_net *net,
                                const struct control_events *events, struct control **out);
/* Loads what can be loaded of every configured zone and publishes it. Zones that can't be served are logged and answer SERVFAIL. */
MUST_CHECK enum err control_start(struct control *c, struct instant now);
void control_free(struct control *c); /* flushes timers; the caller has stopped all readers */
/* Before the end: whether the store has all that is on its way there. While it has not, the caller goes on as ever; */
bool control_is_settled(const struct control *c);
void control_hurry(struct control *c); /* or leaves what it has not, from now on: the next start reads it from its file again */

/* Another process is to go on with the zones: what came is committed and the store is closed. From now on readers see what there
 * is, and whatever is told or asked here comes to nothing. */
void control_freeze(struct control *c, struct instant now);
/* The other process failed. Takes over the store, opened again, if nothing was written to it meanwhile; otherwise ERR_RANGE and it
 * stays the caller's, for what is known here is out of date. */
MUST_CHECK enum err control_thaw(struct control *c, struct store *store, struct instant now);

/* How the swap that a command asked for has ended; `why` NULL: another process goes on. */
void control_swapped(struct control *c, uint64_t token, long pid, const char *why);

/* A reader of the zones' history for one other thread; zone entries say where to begin. */
MUST_CHECK enum err control_open_history(const struct control *c, struct store_reader **out);

/* The backup that the event told of. `watch` is called by the thread of _run. */
void control_backup_run(struct control_backup *b, const struct store_watch *watch);
void control_backup_progress(struct control *c, uint64_t bytes);
void control_backup_done(struct control *c);

/* The job that the event told of. `watch` is called by the thread of _run (store_aside_write). */
void control_image_run(struct image_job *job, const struct store_watch *watch);
bool control_image_pressed(struct image_job *job);          /* whether changes were committed since it was last asked; its thread */
bool control_image_is_awaited(const struct image_job *job); /* by a command, or since a newer version is not served before */
void control_image_done(struct control *c, struct instant now);

const struct zone_set *control_zones(const struct control *c);
const struct answer_identity *control_identity(const struct control *c);
const struct config *control_config(const struct control *c);

/* SIGHUP: configuration, secrets, then every zone file whose digest changed. What is wrong is logged. Goes on until `reloaded`. */
void control_reload(struct control *c, struct instant now);
/* One command of the control socket: a JSON object {"command": "status", ...}, given by `author`; it is taken over. The reply comes
 * by events->reply, at once or later. */
void control_command(struct control *c, uint64_t token, const char *author, struct pieces *json, struct instant now);
void control_command_gone(struct control *c, uint64_t token); /* the client hung up */
/* A NOTIFY that answer() allowed. */
void control_notified(struct control *c, const struct name *apex, const struct addr *from, bool serial_known, uint32_t serial,
                      struct instant now);

/* An UPDATE that answer() allowed, in memory of the caller's that is control's from control_update until it is given back with the
 * answer: `bytes` and all else it points to stay as they are. */
struct control_update {
  struct answer_job job; /* without room for a response */
  uint64_t arrived_ns;
  struct tsig_keyring *keys; /* one reference if it is signed */
  /* control's own */
  struct control_update *next;
  struct zone_slot *zone; /* that it is to change; NULL: none here */
  unsigned rcode;
  int ede;
  const char *ede_text; /* static */
  bool uncertain;       /* judged on changes of the same batch: if they are lost, so is what was found */
  bool changed;
  uint32_t added, removed, serial; /* what it then changed, and to which serial */
};
/* Takes the request over from the job that answer() left, its signature included; `bytes` is a copy of job->bytes. Any thread. */
void control_update_make(struct control_update *u, struct answer_job *job, const struct answer_identity *id, const uint8_t *bytes,
                         struct instant now);
/* Queues it. All that wait at the next control_run are one batch with one sync. */
void control_update(struct control *c, struct control_update *u, struct instant now);
/* Answers all that wait at once, and those that are being forwarded with SERVFAIL: before sockets or the process go. */
void control_updates_settle(struct control *c, struct instant now);

/* What came for the transfer machines. */
void control_udp_input(struct control *c, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
void control_udp_error(struct control *c, uint64_t token, struct instant now);
void control_stream_open(struct control *c, uint64_t token, struct instant now);
void control_stream_input(struct control *c, uint64_t token, const uint8_t *message, size_t n, struct instant now);
void control_stream_closed(struct control *c, uint64_t token, enum err why, struct instant now);

void control_run(struct control *c, struct instant now);
uint64_t control_deadline(const struct control *c); /* mono_ns of the next control_run; UINT64_MAX: never */

#endif
