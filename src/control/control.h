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
#include "config/config.h"
#include "store/store.h"
#include "xfr/net.h"
#include "zone/zone_set.h"

struct control;

struct control_events {
  void *arg;
  /* A configuration is about to be put in force: open new sockets, apply log settings. False and a reason in `why`: it is refused
   * and nothing changes. Afterwards the old one's sockets are closed. */
  bool (*reconfigure)(void *arg, const struct config *old_config, const struct config *new_config, struct buf *why);
  void (*stop)(void *arg); /* the `stop` command */
  /* Answers to commands; `token` is what control_command got. `json` is one JSON object. */
  void (*reply)(void *arg, uint64_t token, const char *json, size_t n);
  void (*server_status)(void *arg, struct buf *json_members); /* appends members such as ,"queries":1 for `status` */
  void (*swap)(void *arg, uint64_t token);                    /* the `swap` command; answered by control_swapped */
};

/* Takes over the store; `config` stays the caller's until control_free or a reload replaces it. */
MUST_CHECK enum err control_new(struct config *config, const char *config_path, struct store *store, const struct xfr_net *net,
                                const struct control_events *events, struct control **out);
/* Loads what can be loaded of every configured zone and publishes it. Zones that can't be served are logged and answer SERVFAIL. */
MUST_CHECK enum err control_start(struct control *c, struct instant now);
void control_free(struct control *c); /* flushes timers; the caller has stopped all readers */

/* Another process is to go on with the zones: what came is committed and the store is closed. From now on readers see what there
 * is, and whatever is told or asked here comes to nothing. */
void control_freeze(struct control *c, struct instant now);
/* The other process failed. Takes over the store, opened again, if nothing was written to it meanwhile; otherwise ERR_RANGE and it
 * stays the caller's, for what is known here is out of date. */
MUST_CHECK enum err control_thaw(struct control *c, struct store *store, struct instant now);

/* How the swap that a command asked for has ended; `why` NULL: another process goes on. */
void control_swapped(struct control *c, uint64_t token, long pid, const char *why);

const struct zone_set *control_zones(const struct control *c);
const struct answer_identity *control_identity(const struct control *c);
const struct config *control_config(const struct control *c);

/* SIGHUP: configuration, secrets, then every zone file whose digest changed. What is wrong is logged. */
void control_reload(struct control *c, struct instant now);
/* One command of the control socket: a JSON object {"command": "status", ...}. The reply comes by events->reply, at once or later.
 */
void control_command(struct control *c, uint64_t token, const char *json, size_t n, struct instant now);
void control_command_gone(struct control *c, uint64_t token); /* the client hung up */
/* A NOTIFY that answer() allowed. */
void control_notified(struct control *c, const struct name *apex, const struct addr *from, bool serial_known, uint32_t serial,
                      struct instant now);

/* What came for the transfer machines. */
void control_udp_input(struct control *c, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
void control_udp_error(struct control *c, uint64_t token, struct instant now);
void control_stream_open(struct control *c, uint64_t token, struct instant now);
void control_stream_input(struct control *c, uint64_t token, const uint8_t *message, size_t n, struct instant now);
void control_stream_closed(struct control *c, uint64_t token, enum err why, struct instant now);

void control_run(struct control *c, struct instant now);
uint64_t control_deadline(const struct control *c); /* mono_ns of the next control_run; UINT64_MAX: never */

#endif
