/* Inside of the secondaries machine.
 *
 *   secondary.c  the table of zones, configuration, status, the owner's calls
 *   refresh.c    rounds: whose turn it is, the SOA exchange, what its answer means, timers, expiry
 *   told.c       what NOTIFYs tell, until it is here
 *   transfer.c   a transfer on its way
 *   channels.c   the connections that exchanges of many zones share
 *   build.c      a large zone read by another thread while it comes
 *   outcome.c    what becomes of it: a version, the same once more as a whole, or a failure; what status says of it
 *   exchange of a zone: made when a slot of a lane is free (remotes_priv.h), gone when it ended: a resting zone is some 200 octets
 *
 * Every public call ends with secondaries_pump, the only place where exchanges start; so nothing recurses. But secondary_committed:
 * a commit may have taken seconds since its `now`, and what starts by that would be late before it is sent. */
#ifndef XFR_SECONDARY_PRIV_H
#define XFR_SECONDARY_PRIV_H

#include "xfr/channels_priv.h"
#include "xfr/incoming_priv.h"
#include "xfr/map_priv.h"
#include "xfr/remotes_priv.h"
#include "xfr/secondary.h"
#include "xfr/soa_query_priv.h"
#include "xfr/timers_priv.h"
#include "xfr/tokens_priv.h"

enum { NO_TARGET = UINT16_MAX, SOA_TRIES = 3 /* at one address, the last over TCP */ };

struct shared_options { /* of all zones configured with the same ones in a row */
  uint32_t references;
  uint16_t target_count; /* addresses of all primaries */
  struct secondary_options o;
};

/* One address of one primary. */
struct target {
  const struct xfr_primary *primary;
  unsigned primary_index;
  const struct addr *address;
};

enum exchange_stage { STAGE_SOA_UDP, STAGE_SOA_CONNECT, STAGE_SOA_STREAM, STAGE_XFR_CONNECT, STAGE_XFR };

struct exchange { /* what is under way for one zone */
  struct secondary *zone;
  struct lane *lane; /* whose slot it holds */
  uint64_t token;    /* of the datagram exchange */
  enum exchange_stage stage;
  bool is_open; /* the net knows the token */
  struct channel_ask ask;
  uint8_t tries;
  uint64_t deadline_ns, give_up_ns, wait_ns;
  char peer[64];
  struct addr address, source;
  struct tsig_keyring *keys; /* reference that keeps `key` */
  const struct tsig_key *key;
  struct soa_query query;
  struct xfr_what doubt; /* a doubtful answer that came; "" none */
  struct incoming *incoming;
  struct transfer_build *build; /* NULL: it is small, so far; else `incoming` is another thread's, too */
  uint64_t started_ns, progress_ns, window_ns, window_bytes;
};

struct last_transfer {
  struct addr from;
  bool is_signed, incremental, has_serial_from;
  uint16_t peer_size;
  uint32_t serial_from, serial_to;
  uint64_t bytes, messages, records, dropped, duration_ns;
  int64_t wall_s;
  char text[]; /* the peer's name, and behind it why the whole zone was taken */
};

struct secondary {
  struct map_node node; /* by id */
  struct timer timer;   /* the earliest of refresh_ns, expires_ns and the exchange's deadline */
  uint32_t id;
  struct lane_wait wait;
  struct shared_options *options;
  struct exchange *exchange; /* NULL: none */
  struct last_transfer *last_transfer;
  char *error; /* NULL: none since the last success */
  int64_t error_wall_s, good_wall_s;
  uint64_t refresh_ns;                         /* next round; UINT64_MAX while one is under way */
  uint64_t expires_ns;                         /* UINT64_MAX: never */
  uint64_t round_ns;                           /* when the round began */
  struct soa_times soa;                        /* of our content */
  uint32_t promised_serial, promised_expire_s; /* what the SOA answer said that leads to the transfer */
  uint32_t lower_serial;                       /* of a primary that is behind us, in this round; lower_target says which */
  uint32_t told_serial;                        /* the newest that a NOTIFY named */
  uint32_t fruitless_s;                        /* when one brought nothing last, monotonic */
  uint16_t notify_target, lower_target;        /* notify_target: whom it came from */
  uint16_t first_target, tried;                /* of the round */
  uint8_t phase;                               /* enum secondary_phase */
  uint8_t failures;                            /* rounds in a row */
  uint8_t fruitless;                           /* NOTIFYs in a row that brought nothing */
  uint8_t looks;                               /* rounds since a NOTIFY that did not bring what it told of */
  uint8_t whole_times;                         /* in a row that changes did not do and the whole zone did */
  uint16_t whole_primaries;                    /* a bit each: ask these for the whole zone ... */
  uint32_t whole_until_s;                      /* ... until then, monotonic */
  bool has_content : 1, expired : 1, has_promised_expire : 1;
  bool urgent : 1;       /* not behind ordinary refreshes */
  bool notify_round : 1; /* begun by a NOTIFY */
  bool told : 1;         /* a NOTIFY named told_serial, and it has not come yet */
  bool vague : 1;        /* one named none, and who sent it was not heard since */
  bool direct : 1;       /* changes are asked for on that NOTIFY's word, and the primary has not said yet that it is true */
  bool lives_less : 1;   /* its EDNS EXPIRE was lower than the SOA's expire when it was asked last: it is a secondary itself */
  bool force : 1;        /* retransfer: take whatever serial */
  bool current : 1;      /* in this round a primary said that our content is */
  bool lower : 1;        /* in this round a primary was behind us */
  bool missed : 1;       /* in this round an address failed */
  bool whole : 1;        /* the target at hand failed to give changes: it is asked for the whole zone */
  bool again : 1;        /* a NOTIFY or command came meanwhile: another round at once */
  bool again_force : 1;  /* a command is among them that wants the whole zone */
  bool again_notify : 1; /* all of them were NOTIFYs */
  uint8_t apex_size;
  uint8_t apex[]; /* wire form */
};

enum { OPTIONS_RECENT = 8 };

struct secondaries {
  struct xfr_net net;
  struct secondary_events events;
  struct map zones, remotes;
  struct timers timers;
  struct tokens tokens;
  struct channels channels;
  struct lanes datagrams, streams, direct;
  struct shared_options *recent[OPTIONS_RECENT]; /* each with a reference */
  struct secondary_counts counts;
  size_t build_records; /* so many are given to another thread */
};

/* ---- secondary.c ---- */
void secondaries_pump(struct secondaries *s, struct instant now);
void secondary_apex(const struct secondary *z, struct name *out);
struct target secondary_target(const struct secondary *z, uint16_t index); /* index < target_count */
void secondary_reschedule(struct secondaries *s, struct secondary *z);
struct lanes *secondary_lanes(struct secondaries *s, const struct lane *lane);   /* that it is one of */
struct secondary *secondary_find(const struct secondaries *s, uint32_t zone_id); /* NULL: none */
/* Stops what is under way, but for a commit; another round is due. */
void secondary_give_up(struct secondaries *s, struct secondary *z, struct instant now);
void secondary_note(struct secondary *z, const char *what, struct instant now); /* keeps an error for status */
/* The same, and tells the owner. */
void secondary_failed(struct secondaries *s, struct secondary *z, const char *what, const char *peer, struct instant now);

/* ---- told.c ---- */
bool round_is_owed(const struct secondary *z); /* a NOTIFY told of something, and it has not come yet */
void round_bore_fruit(struct secondary *z);    /* a newer version came */
/* The round has ended: what is still owed is looked for soon. */
void round_was_told(const struct secondaries *s, struct secondary *z, bool good, struct instant now);
/* What was wanted while the zone was busy: another round at once, unless it is known to be pointless. */
void round_again(struct secondaries *s, struct secondary *z, struct instant now);
/* Whether changes are asked for on the word of a NOTIFY, without a look at the SOA. */
bool round_goes_direct(const struct secondaries *s, struct secondary *z, struct instant now);
/* Whether the address at hand has not begun to answer, and may never, while another one told us of what it has. Then the round
 * begins anew, at that one: once, or two that are slow would push each other out. */
bool round_in_vain(const struct secondary *z);
void round_anew(struct secondaries *s, struct secondary *z, struct instant now);

/* ---- refresh.c ---- */
void round_begin(struct secondaries *s, struct secondary *z, uint16_t first_target, struct instant now);
/* The target at hand failed; on to the next one. `what` ends a sentence that starts with the address. */
void target_failed(struct secondaries *s, struct secondary *z, const char *what, struct instant now);
uint16_t target_at_hand(const struct secondary *z);
void round_end(struct secondaries *s, struct secondary *z, bool good, struct instant now);
void secondary_good(struct secondaries *s, struct secondary *z, bool has_expire, uint32_t expire_s, bool fresh, struct instant now);
/* Less up to a quarter, but not below the lower bound. */
uint64_t round_jittered_ns(const struct secondaries *s, uint64_t interval_ns, uint32_t min_ms);
uint64_t next_round_ns(const struct secondaries *s, const struct secondary *z, bool good, struct instant now);
/* What a NOTIFY promised did not come: the same target is asked for its SOA after all. */
void direct_failed(struct secondaries *s, struct secondary *z);
void soa_timeout(struct secondaries *s, struct secondary *z, struct instant now);
void soa_start(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now);
void soa_on_stream(struct secondaries *s, struct secondary *z, struct instant now); /* also once more, on another channel */
void soa_stream_open(struct secondaries *s, struct secondary *z, struct instant now);
void soa_input(struct secondaries *s, struct secondary *z, const uint8_t *bytes, size_t n, struct instant now);

/* ---- transfer.c ---- */
struct exchange *exchange_new(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now);
void exchange_free(struct secondaries *s, struct secondary *z); /* closes and gives the slot back; harmless without one */
MUST_CHECK enum err exchange_join(struct secondaries *s, struct exchange *x, struct instant now); /* in place of what is open */
void transfer_start(struct secondaries *s, struct secondary *z, struct lane *lane, struct instant now);
/* Its channel is there. */
void transfer_on(struct secondaries *s, struct secondary *z, struct instant now);
void transfer_input(struct secondaries *s, struct secondary *z, const uint8_t *message, size_t n, struct instant now);
void transfer_timeout(struct secondaries *s, struct secondary *z, struct instant now);
void transfer_again(struct secondaries *s, struct secondary *z, struct instant now); /* on another channel */
void stream_closed(struct secondaries *s, struct secondary *z, enum err why, struct instant now);

/* ---- outcome.c ---- */
/* Whether the target at hand would be asked for changes. */
bool transfer_is_of_changes(const struct secondaries *s, const struct secondary *z, struct instant now);
/* The content to ask for changes to, with one reference; NULL: the whole zone is to be asked for. */
struct zone_snap *transfer_base(struct secondaries *s, const struct secondary *z, struct instant now);
/* `what` ends a sentence that starts with the address. Of changes: the whole zone is asked for, at the same address. */
void transfer_failed(struct secondaries *s, struct secondary *z, const char *what, struct instant now);
/* The same where the address itself is in doubt: another one is asked if there is one. */
void transfer_stalled(struct secondaries *s, struct secondary *z, const char *what, struct instant now);
void transfer_done(struct secondaries *s, struct secondary *z, struct instant now); /* all of it is here */
/* The version that came, if it can be kept and is what it says to be; `ignore`: its ZONEMD may say something else. */
struct finished {
  struct zone_snap *snap; /* one reference; NULL: refused, and `what` says why */
  bool digest_differs, zonemd_differs;
  struct xfr_what what;
};
void transfer_finish(struct incoming *in, bool ignore, struct finished *out); /* any thread */
void transfer_finished(struct secondaries *s, struct secondary *z, const struct finished *f, struct instant now);

/* ---- build.c ---- */
/* Another thread reads the rest, if it is much. */
void build_begin(struct secondaries *s, struct secondary *z, struct instant now);
/* The next message for it; it may end the transfer. */
void build_message(struct secondaries *s, struct secondary *z, const uint8_t *message, size_t n, struct instant now);
/* The connection has gone, and what came before it is still being read; false: it is not. */
bool build_closed(struct exchange *x, enum err why, bool again);
bool build_is_busy(const struct exchange *x);
void build_leave(struct exchange *x); /* with what came; harmless without one */

void transfer_forget(struct secondary *z); /* who has to be asked for the whole zone: other primaries are configured */
void last_transfer_status(const struct last_transfer *l, struct secondary_status *out);

#endif
