/* Secondary zones: SOA refresh, NOTIFY in, transfers in, expiry (RFC 1034 §4.3.5, RFC 1996, RFC 5936, RFC 7314). All secondary
 * zones of the server in one machine with one deadline, sans-I/O.
 *
 *   idle --refresh timer, NOTIFY--> asking SOA (UDP, TSIG) --newer--> transferring (TCP) --whole and right--> committing --> idle
 *     ^          |no answer, error: next primary, then retry timer        |broken: next primary, then retry timer     |
 *     +----------+------------------------------------------------------+------------------------------------------+
 *
 * A NOTIFY that names a newer serial leads to the transfer at once, without the SOA query: see told.c.
 *
 * A round asks one address of one primary after the other until one has something newer or none is left; several primaries that say
 * our content is current are all asked, for one of them may know better. Nothing is allocated for a zone that rests.
 * The questions of all zones that go to one address over TCP share a few connections (channels_priv.h).
 *
 * A transfer asks for the changes to what we have (IXFR, RFC 1995). When these do not come, or do not fit, or lead to a zone that
 * its own digest (ZONEMD, RFC 8976) belies, the same primary is asked for the whole zone at once; if that helps, its changes are
 * not asked for again for a while (LIMIT_IXFR_AVOID_LEAST_S, doubling).
 *
 * Thread: the control thread (or the simulator). */
#ifndef XFR_SECONDARY_H
#define XFR_SECONDARY_H

#include "tsig/tsig.h"
#include "xfr/net.h"
#include "zone/zone.h"

struct xfr_primary {
  char name[64]; /* the peer's name, for people */
  struct addr address[LIMIT_PEER_ADDRESSES];
  unsigned address_count;
  struct addr source4, source6; /* what questions to an IPv4, an IPv6 address are sent from; family 0: the system chooses */
  struct tsig_keyring *keys;    /* holds `key`; a running exchange takes its own reference, so a reload can drop it */
  const struct tsig_key *key;   /* signs; NULL: unsigned */
};

bool xfr_primary_equal(const struct xfr_primary *a, const struct xfr_primary *b); /* in all, the key's secret included */

struct secondary_options {
  /* Owned by the caller, shared by zones; lives until the next secondary_configure of the zone has returned. */
  const struct xfr_primary *primaries;
  unsigned primary_count;
  uint32_t refresh_min_ms, refresh_max_ms, retry_min_ms, retry_max_ms; /* bounds of the SOA's timers */
  uint64_t transfer_max_bytes;
  uint32_t transfer_timeout_ms; /* without progress */
  bool zonemd_ignore;           /* take versions whose ZONEMD does not fit, too */
};

/* What a transfer was, for status and log. */
struct transfer_info {
  char peer[64];
  struct addr from;
  bool incremental, is_signed;
  bool told;            /* a NOTIFY led to it */
  bool has_serial_from; /* we had content */
  uint32_t serial_from, serial_to;
  uint64_t bytes, messages, records, dropped; /* dropped: records out of the zone */
  uint64_t duration_ns;
  char whole_because[200]; /* why changes did not do, though they were asked for; "": they did, or were not */
};

struct transfer_build; /* a large zone that is read by another thread while it comes (build.c) */

/* What the machine tells its owner. From inside an event only secondary_committed and secondary_status may be called. */
struct secondary_events {
  void *arg;
  /* A whole new version is here, with one reference for the callee: commit it and then call secondary_committed. */
  void (*transferred)(void *arg, uint32_t zone_id, struct zone_snap *snap, const struct transfer_info *info);
  /* A primary said our content is current, or a commit was done: timers to keep. */
  void (*good)(void *arg, uint32_t zone_id, int64_t wall_s, uint32_t expire_s, uint64_t expires_mono_ns);
  void (*expired)(void *arg, uint32_t zone_id);
  /* A refresh or a transfer (secondary_status says the phase) failed at one address; also kept for status. Others may follow. */
  void (*failed)(void *arg, uint32_t zone_id, const char *what, const char *peer);
  /* A round is over: with `good`, our content is current or a newer version was committed; otherwise every primary failed. May be
   * NULL. */
  void (*settled)(void *arg, uint32_t zone_id, bool good);
  /* The version that is served, which secondary_configure or secondary_committed last named, with one reference for the machine;
   * asked for when a transfer begins. NULL (as the function, too): the whole zone is transferred. */
  struct zone_snap *(*content)(void *arg, uint32_t zone_id);
  /* A whole zone that is large: a thread is to call transfer_build_run, and this one secondary_built when that has ended. More than
   * once while it comes, one at a time. False (NULL, too): there is no thread, all is done when the zone is here. */
  bool (*build)(void *arg, uint32_t zone_id, struct transfer_build *b);
  /* Changes did not come or were of no use, `what` says why: the whole zone is asked for now. May be NULL. */
  void (*fell_back)(void *arg, uint32_t zone_id, const char *what, const char *peer);
};

enum secondary_phase { SECONDARY_IDLE, SECONDARY_ASKING, SECONDARY_WAITING_SLOT, SECONDARY_TRANSFERRING, SECONDARY_COMMITTING };

struct secondary_status {
  enum secondary_phase phase;
  uint64_t next_refresh_mono_ns; /* 0: under way */
  uint64_t expires_mono_ns;      /* 0: no content or never */
  bool expired;
  bool has_last_transfer;
  struct transfer_info last_transfer;
  int64_t last_transfer_wall_s;
  int64_t last_good_wall_s;
  char last_error[200]; /* "" none since the last success */
  int64_t last_error_wall_s;
};

struct secondary_counts {           /* of all zones since the start */
  uint64_t soa_queries, soa_silent; /* exchanges, those without any answer */
  uint64_t transfers, transfers_failed;
  uint64_t connections;                             /* opened for them and for SOA queries over TCP */
  uint64_t transfers_changes, transfers_fell_back;  /* IXFR that brought changes; those that had to be asked for as a whole */
  uint64_t zonemd_refused;                          /* versions that their own digest belied */
  uint64_t digest_refused;                          /* changes that led to another zone than the primary has */
  uint64_t notifies, notifies_known, notifies_busy; /* known: a serial we have; busy: remembered until what is under way ends */
  uint64_t expired;
};

struct secondaries;
MUST_CHECK enum err secondaries_new(const struct xfr_net *net, const struct secondary_events *events, struct secondaries **out);
void secondaries_free(struct secondaries *s);

/* What is known from before a restart. */
struct secondary_past {
  int64_t good_at_s;    /* wall time when it was last known current; 0: unknown */
  uint32_t expire_s;    /* how long it is good from then on; 0: the SOA's */
  uint32_t good_mono_s; /* good_at_s by the monotonic clock; 0: the machine was started since then */
};

/* Adds a zone or changes its options. `content` (may be NULL) is what is served now, `past` (NULL: nothing) from the timer file.
 * Every zone asks at once when it is added, those without content first; content that has expired meanwhile is said so by the next
 * secondaries_run. A zone that is there already keeps its timers and goes on with what is under way, unless its primaries changed.
 */
MUST_CHECK enum err secondary_configure(struct secondaries *s, uint32_t zone_id, const struct name *apex,
                                        const struct secondary_options *o, const struct zone_snap *content,
                                        const struct secondary_past *past, struct instant now);
void secondary_remove(struct secondaries *s, uint32_t zone_id);
/* The version handed over is durable and served (e = ERR_OK) or was refused; `why` is for status. ERR_CORRUPT: what it is a change
 * of is no good, so it is asked for again at once. */
void secondary_committed(struct secondaries *s, uint32_t zone_id, const struct zone_snap *content, enum err e, const char *why,
                         struct instant now);
/* A permitted NOTIFY came (serial_known: its SOA was in it). One that comes while busy is remembered. */
void secondary_notified(struct secondaries *s, uint32_t zone_id, const struct addr *from, bool serial_known, uint32_t serial,
                        struct instant now);
/* `retransfer`: AXFR whatever the serial. `refresh`: ask now. */
void secondary_retransfer(struct secondaries *s, uint32_t zone_id, struct instant now);
void secondary_refresh(struct secondaries *s, uint32_t zone_id, struct instant now);
bool secondary_status(const struct secondaries *s, uint32_t zone_id, struct secondary_status *out);
struct secondary_counts secondaries_counts(const struct secondaries *s);
size_t secondaries_transferring(const struct secondaries *s); /* transfers on their way */
/* For an owner who passes on nothing of what comes for a while: a transfer would not notice that some of it is missing. All that is
 * under way is given up, and all zones ask when secondaries_run is called next. */
void secondaries_break_off(struct secondaries *s, struct instant now);

/* Any thread: verifies, reads and lays out what has come, and at the end makes the zone and compares it with its digest. */
void transfer_build_run(struct transfer_build *b);
bool transfer_build_was_run(const struct transfer_build *b);
/* It was run, and `b` may be gone afterwards. */
void secondary_built(struct secondaries *s, struct transfer_build *b, struct instant now);
/* The same where nothing is to come of it any more: the machine is freed next. */
void secondary_build_dropped(struct transfer_build *b);
/* So many records are worth another thread; for tests. */
void secondaries_build_from(struct secondaries *s, size_t records);

/* What came from the network, by token. A token that is not one of ours is ignored and false is returned. */
bool secondaries_udp_input(struct secondaries *s, uint64_t token, const uint8_t *bytes, size_t n, struct instant now);
bool secondaries_udp_error(struct secondaries *s, uint64_t token, struct instant now); /* port unreachable */
bool secondaries_stream_open(struct secondaries *s, uint64_t token, struct instant now);
bool secondaries_stream_input(struct secondaries *s, uint64_t token, const uint8_t *message, size_t n, struct instant now);
bool secondaries_stream_closed(struct secondaries *s, uint64_t token, enum err why, struct instant now);

/* Runs what is due. The next moment to call it, UINT64_MAX: never. */
void secondaries_run(struct secondaries *s, struct instant now);
uint64_t secondaries_deadline(const struct secondaries *s);

#endif
