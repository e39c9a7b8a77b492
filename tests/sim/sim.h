/* The simulator: three whole servers, an odd primary, an odd secondary and a client in one thread, under one virtual clock and one
 * seed.
 *
 *   client --UPDATE, SOA--> node 0 (primary) --transfers--> node 1 (secondary) --transfers--> node 2 (secondary of both)
 *                                                odd primary --transfers-------^-----------------^
 *   odd secondary <--NOTIFY, transfers-- node 0, node 1
 *
 *   net.c    datagrams and streams, lost, late, cut         node.c   one server: its parts as `tandem serve` wires them
 *   disk.c   what is on a disk, and what of it is synced    vfs.c    SQLite on it;  files.c  the store's own files on it
 *   seams.c  what the linker puts in place of io/, RCU, the clock, chance and the log
 *   check.c  what must hold after every event               seen.c   which transitions were seen
 *   client.c UPDATEs and queries                            odd.c    the primary that is odd, or lies
 *   asker.c  the odd secondary                              plan.c   the story of one seed
 *   main.c   seeds, replay, figures
 *
 * The objects of control/, xfr/, store/, zone/, answer/ and of tandem's worker and stream are those of the server itself.
 * docs/design/simulator.md has the picture. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "wire/name.h"
#include "xfr/net.h"
#include "zone/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { NODES = 3, PARTY_ODD = NODES, PARTY_CLIENT, PARTY_ASKER, PARTIES };
enum zone_number { ZONE_F, ZONE_U, ZONE_X, ZONES }; /* by its file; by UPDATE; of the odd primary */
extern const char *const zone_texts[ZONES];

/* The SOA's timers of all zones and their bounds in the configuration, in seconds. */
enum { REFRESH_S = 20, RETRY_S = 4, EXPIRE_S = 90, RETRY_MAX_S = 10 };

/* ---- core.c: time, chance, the order of events, the trace ---- */

void sim_begin(uint64_t seed, bool verbose);
uint64_t sim_seed(void);
uint64_t sim_now_ns(void);
uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);
uint64_t sim_between(uint64_t least, uint64_t most);
bool sim_chance(unsigned per_mille);
/* Calls back in the order of time, then of asking. */
void sim_later(uint64_t delay_ns, void (*f)(void *arg, uint64_t token), void *arg, uint64_t token);
/* Lets virtual time pass. */
void sim_run_s(double seconds);
bool sim_run_until(double most_s, bool (*done)(void));
/* Everything that happens goes into the hash of the trace, and to stderr when verbose. */
void sim_trace(const char *what, uint64_t a, uint64_t b, uint64_t c);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t sim_hash(void);
uint64_t sim_events(void);
/* A checker found something: says it and ends the process with EXIT_FOUND. */
enum { EXIT_FOUND = 3 };
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define MUST(x)                                              \
  do {                                                       \
    if (!(x)) sim_fail("%s:%d: %s", __FILE__, __LINE__, #x); \
  } while (0)

/* ---- disk.c ---- */

struct disk;
struct store;
struct zone_slot;

/* ---- node.c ---- */

struct node {
  int index;
  char name[4];
  bool up;      /* its process runs */
  bool started; /* control_start is through */
  bool dying;   /* it crashed in the middle of a call; nobody sees what it still does */
  bool by_kill; /* the process alone died; what it wrote is still in the page cache */
  bool woken;   /* loop_wake was called */
  bool io_failed;
  int64_t wall_off_s; /* of the wall clock */
  bool jumped;        /* it was another one some time */
  uint64_t boots;
  uint64_t lives;
  struct disk *disk;
  struct control *control;
  struct streamer *streamer;
  struct worker *worker;
  struct update_queue *updates;
  struct note_queue *notes;
  uint8_t *udp_room;
  struct image_job *image; /* that it has given to its thread; NULL: none */
  char config_path[96];
};

extern struct node nodes[NODES];
extern struct node *at_node; /* whose code runs; NULL: none */

void nodes_begin(const char *root);
void nodes_end(void);
void node_start(struct node *n);
void node_stop(struct node *n);                /* cleanly */
void node_crash(struct node *n, bool by_kill); /* between two events */
struct instant node_now(const struct node *n);
/* Every call into a server's code is between these two. Not nested. */
void node_enter(struct node *n);
void node_leave(struct node *n);
void node_run_due(void);
uint64_t nodes_deadline(void);
void node_reload(struct node *n, const char *zone, uint64_t token); /* of the file; the reply says so by token */
void node_command(struct node *n, const char *command, const char *zone);
void node_datagram(struct node *n, const struct addr *from, const uint8_t *bytes, size_t size);
/* One that has not crashed, nor is about to. */
bool node_serves(const struct node *n);
bool node_images_are_large(void); /* of this seed: changes wait for images */

/* ---- net.c ---- */

struct net_faults {
  unsigned loss_pm, double_pm, reset_pm, stall_pm;
  bool spares_notify; /* NOTIFYs and their answers are not lost */
  bool brisk;         /* who reads a stream does not take his time */
  uint64_t latency_least_ns, latency_most_ns;
  uint64_t byte_ns;                       /* of a stream */
  bool blocked[PARTIES + 1][PARTIES + 1]; /* from, to; the last is nobody */
};
extern struct net_faults net_faults;
void net_begin(void);
void net_end(void);
void net_break_streams(unsigned per_mille); /* of those that there are, whatever is on them */
struct addr party_addr(int party);
int party_of(const struct addr *a); /* PARTIES: none */
struct xfr_net net_of_node(struct node *n);
void net_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n);
void net_node_down(struct node *n, bool silently);
/* Streams of who is no server: the client, the odd secondary. `slow_ns`: so long it takes over each message; 0: as chance has it.
 */
uint64_t net_connect(int party, int server, uint64_t slow_ns);
void net_client_send(uint64_t conn, const uint8_t *bytes, size_t n);
void net_client_close(uint64_t conn);
/* The odd primary's side, by the tokens of fake_net. */
void net_host_reply(uint64_t token, const uint8_t *bytes, size_t n);
void net_host_send(uint64_t token, const uint8_t *bytes, size_t n);
void net_host_hang_up(uint64_t token);
unsigned net_transfers(const struct node *n); /* that its streams have in hand */
unsigned net_sockets(const struct node *n);   /* that it has opened to ask or tell others */

/* ---- seams.c ---- */

void grace_run(void);

/* ---- client.c ---- */

void client_begin(void);
void client_end(void);
void client_act(void); /* sends one UPDATE or query */
void client_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n);
void client_opened(uint64_t conn);
void client_message(uint64_t conn, const uint8_t *bytes, size_t n);
void client_closed(uint64_t conn);

/* ---- odd.c ---- */

void odd_begin(void);    /* before nodes_begin */
bool odd_is_plain(void); /* it knows no TSIG */
void odd_end(void);
void odd_act(void);    /* a new version, other habits */
void odd_behave(void); /* from now on it is good, and stays so */
void odd_tell(void);   /* a new version, and NOTIFYs to all */
void odd_datagram(uint64_t token, const uint8_t *bytes, size_t n);
void odd_message(uint64_t token, const uint8_t *bytes, size_t n);

/* ---- asker.c ---- */

bool asker_is_here(void);
void asker_begin(void); /* before nodes_begin */
void asker_end(void);
void asker_datagram(const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t n);
void asker_opened(uint64_t conn);
void asker_message(uint64_t conn, const uint8_t *bytes, size_t n);
void asker_closed(uint64_t conn);

/* ---- check.c ---- */

void check_begin(void);
void check_end(void);
/* What readers see now, of the node whose code runs or just ran. Called after every event and at every call to a disk. */
void check_observe(struct node *n);
void check_bounds(const struct node *n); /* what it keeps for others; after every event */
void check_node_started(struct node *n);
void check_node_down(struct node *n);
void check_written(struct node *n); /* the open batch into the log; its sync is to come */
void check_power_lost(const struct node *n);
void check_told(struct node *n, const uint8_t *bytes, size_t size); /* somebody, by this NOTIFY */
void check_logged(struct node *n, enum log_event event, const struct log_field *fields);
/* The odd primary has this version. */
void check_commit(enum zone_number z, const struct zone_snap *snap);
/* An UPDATE was acknowledged: the pair of records `number` is there (or gone). */
void check_sent(unsigned number, bool removal);
void check_acknowledged(unsigned number, bool removal);
void check_answered_serial(enum zone_number z, uint32_t serial);
/* The zone file of ZONE_F has this edit, and a reload of it was acknowledged. */
void check_reloaded(unsigned edit, bool acknowledged);
bool check_in_memory(enum zone_number z); /* what the primary serves, or served when it ended, was not stored */
bool check_first_equal(void);             /* node 1 has what the primaries have */
bool check_all_equal(void);
enum zone_number check_zone(const struct zone_slot *z);
void check_quiet(void); /* what must hold once faults are over */

/* ---- check_timers.c ---- */

void check_timers_begin(void);
void check_timers_look(const struct node *n);
void check_timers_flushed(const struct node *n, struct store *s, bool good); /* it was tried to write the timer file */
void check_timers_started(struct node *n);

/* ---- seen.c ---- */

void seen_begin(void);
void seen_count(const char *what);
struct seen_list {
  size_t count;
  uint64_t counts[256];
};
extern struct seen_list *seen; /* shared with the parent */
void seen_log(enum log_event event);
void seen_node(struct node *n);
size_t seen_names(const char *const **out);

/* ---- plan.c ---- */

void plan_run(const char *root);

#endif
