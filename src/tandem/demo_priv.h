/* The guided pair: what the files of `tandem demo` share.
 *
 *   demo.c       the story, told step by step                 demo_proc.c  child processes and their configuration files
 *   demo_ask.c   lookups: single ones and a steady stream      demo_net.c   network namespaces, for the outage played as silence
 *   demo_zone.c  the zone that is shipped for it
 *
 * Thread: the story runs on the main thread, the stream of lookups on one of its own. */
#ifndef TANDEM_DEMO_PRIV_H
#define TANDEM_DEMO_PRIV_H

#include "base/addr.h"
#include "base/buf.h"
#include "wire/name.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum demo_role { DEMO_PRIMARY, DEMO_SECONDARY1, DEMO_SECONDARY2, DEMO_RESOLVER, DEMO_ROLES };

struct demo_server {
  const char *label; /* for people: "the hidden primary" */
  const char *stem;  /* of its files: primary.yaml, primary.log */
  struct addr at;
  pid_t pid; /* 0: not running */
};

struct demo {
  char dir[512];
  char self[512];        /* path of this binary */
  const char *zone_path; /* NULL: the shipped zone */
  struct name origin;
  char origin_text[NAME_TEXT_BYTES]; /* without the final dot, but "." */
  char secret[64];
  bool keep;
  bool namespaces; /* this stage plays in network namespaces */
  struct demo_server server[DEMO_ROLES];
  unsigned failures; /* of the story: what should be so and was not */
};

/* ---- processes ---- */

/* Free loopback ports for all servers; false: none to be had. */
bool demo_choose_ports(struct demo *d);
/* Writes the zone, the key and every server's configuration into the directory. */
bool demo_write_files(struct demo *d);
/* Appends one record to the primary's copy of the zone. */
bool demo_edit_zone(struct demo *d, const char *label, const char *text);
/* Starts a server and waits until it is ready; false: it said why in its log. */
bool demo_start(struct demo *d, enum demo_role role);
void demo_kill(struct demo *d, enum demo_role role); /* SIGKILL, as a crash would */
void demo_stop_all(struct demo *d);
/* Runs `tandem COMMAND -c CONFIG` against a server; true on exit 0. Its output goes to commands.log. */
bool demo_command(struct demo *d, enum demo_role role, const char *command, const char *zone);
/* Runs a program and waits; true on exit 0. */
bool demo_run(const char *const argv[]);

/* ---- asking ---- */

/* One question over UDP, no retries. True if an answer with NOERROR or NXDOMAIN came; *found: with at least one answer record. */
bool demo_ask(const struct addr *at, const struct name *name, uint16_t type, unsigned timeout_ms, bool *found);
/* The same of a resolver, as a stub asks it: who is not answered asks again. unbound gives up on answers that took it 1.9 s
 * (its discard-timeout), and waits to be asked again. */
bool demo_look_up(const struct addr *at, const struct name *name, uint16_t type, bool *found);
/* Asks until the name is found at the server; the milliseconds it took, or -1 after timeout_ms. */
double demo_ask_until_found(const struct addr *at, const struct name *name, uint16_t type, unsigned timeout_ms);

struct demo_stream { /* lookups one after the other through the resolver, as a user's machine would ask */
  const struct demo *demo;
  pthread_t thread;
  atomic_bool stop;
  atomic_uint asked, failed;
  double slowest_ms; /* valid after the stop */
};
bool demo_stream_start(struct demo_stream *s, const struct demo *d);
void demo_stream_stop(struct demo_stream *s);
/* Waits until `count` more lookups were made or `most_ms` have passed. */
void demo_stream_wait(const struct demo_stream *s, unsigned count, unsigned most_ms);
double demo_now_ms(void);

/* ---- namespaces ---- */

/* Makes this process the middle of a small network of its own; false: not permitted here. */
bool demo_net_enter(struct demo *d);
/* In the child that will become a server: its own namespace, joined to the middle. False: it can't be. */
bool demo_net_child(enum demo_role role, int ready_fd, int go_fd);
/* In the parent, meanwhile: moves one end of the cable to the child. */
bool demo_net_attach(enum demo_role role, pid_t child);
/* From now on (or until healed) nothing that the server sends arrives anywhere. */
bool demo_net_silence(const struct demo *d, enum demo_role role, bool silent);

extern const char demo_zone_text[];
extern const char demo_zone_origin[];

int cmd_demo(int argc, char **argv);

#endif
