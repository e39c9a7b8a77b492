/* A whole control room for tests: a configuration and zone files in a directory of their own, a real store that can be made to
 * fail, primaries on a net in memory, and the replies to commands. */
#ifndef TESTS_CONTROL_HOUSE_H
#define TESTS_CONTROL_HOUSE_H

#include "control/control_priv.h"
#include "fake_primary.h"
#include "support.h"

enum { HOUSE_REPLIES = 64, HOUSE_REPLY_BYTES = 2000 };

struct house_reply {
  unsigned count; /* how often it was answered */
  char text[HOUSE_REPLY_BYTES];
};

struct house {
  struct test_directory dir;
  char config_path[TEST_PATH_BYTES];
  struct fake_net *net;
  struct fake_primary p1, p2; /* 192.0.2.1 and 192.0.2.2 */
  struct control *control;
  struct house_reply replies[HOUSE_REPLIES]; /* by token */
  uint64_t last_token;
  struct buf said; /* all that was replied since the last command */
  unsigned stops, reconfigured;
  bool refuse_sockets;                                                                           /* reconfigure says no */
  void (*on_updated)(struct house *h, struct control_update *u, const uint8_t *bytes, size_t n); /* the answer to an UPDATE */
  void (*on_updates_wanted)(struct house *h);                                                    /* before a batch is written */
  bool threads;                        /* the store on the disk itself, where loading threads may read it: before house_start */
  bool aside;                          /* every image is written aside: before house_start */
  struct image_job *image;             /* that waits for house_image; NULL: none */
  void (*on_arrival)(struct house *h); /* called once, between a whole transfer and the turn that takes it */
};

void house_init(struct house *h); /* no configuration, not started */
void house_done(struct house *h);
void house_file(const struct house *h, const char *name, const char *text);
void house_zone(const struct house *h, const char *name, uint32_t serial, const char *more); /* a zone file */
/* `zones` in flow form: what stands in "zones: [...]". Peers p1 and p2 are the primaries, with an address each. */
void house_config(const struct house *h, const char *zones);
void house_start(struct house *h);
void house_stop(struct house *h);    /* cleanly */
void house_restart(struct house *h); /* stop and start */
void house_run_ms(struct house *h, uint64_t ms);

/* Does what the other thread would; false: there is nothing. Its end is told separately. */
bool house_image(struct house *h);
void house_image_done(struct house *h);
void house_keep_files(struct house *h); /* the same for files that were read at the first start, until the store has them */

void house_tell(struct house *h, uint64_t token, const char *json); /* under a token of the caller's */
uint64_t house_ask(struct house *h, const char *json);
/* Gives a command such as "reload" or "retransfer", with a zone or NULL; the token is the reply's place. */
uint64_t house_command(struct house *h, const char *command, const char *zone);
struct house_reply *house_reply_of(struct house *h, uint64_t token);
/* The same, answered at once; whether it was good. */
bool house_done_at_once(struct house *h, const char *command, const char *zone, const char **text);

struct zone_slot *house_slot(struct house *h, const char *zone); /* NULL: none */
enum { NOT_SERVED = 0 };
uint32_t house_serial(struct house *h, const char *zone); /* as readers see it; NOT_SERVED: no content */
void house_export(struct house *h, const char *zone, struct buf *out);

#endif
