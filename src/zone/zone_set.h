/* All zones of the server, as workers see them: a trie of apexes whose leaves are entries. One writer (the control thread)
 * publishes; readers look at it inside an RCU read section, never wait and never take a lock.
 *
 *   zone_set --RCU--> trie of apex keys --> entry slot --RCU--> struct zone_entry {snapshot, policy, state}
 *
 * Replacing an entry (a new version of a zone) is one pointer store and does not touch the trie. */
#ifndef ZONE_ZONE_SET_H
#define ZONE_ZONE_SET_H

#include "base/acl.h"
#include "wire/grant.h"
#include "zone/zone.h"

/* Who may do what with a zone; immutable, counted, shared by all zones of a template. */
struct zone_policy {
  uint32_t references; /* by the control thread only */
  bool hidden;         /* has answer-to: strangers get what a name outside all our zones gets */
  bool drop_strangers; /* strangers: drop */
  bool secondary;
  bool require_tls; /* transfers only over TLS */
  struct acl answer_to, transfer, notify_from;
  struct grants update; /* of a secondary: whose updates are forwarded */
  struct acl soa_to;    /* peers it notifies or lets transfer: may always ask for the SOA */
};

enum zone_state { ZONE_READY, ZONE_NOT_LOADED, ZONE_EXPIRED };

/* One zone as published; immutable from then on, but for how long it lives and where its policy is. */
struct zone_entry {
  uint32_t id;                  /* the registry's number of the zone */
  enum zone_state state;        /* not ready: SERVFAIL with the EDE below */
  const struct zone_snap *snap; /* one reference; NULL if not ready */
  const struct zone_policy *_Atomic policy;
  int ede;                          /* EDE_NOT_READY, EDE_INVALID_DATA ... or EDE_NONE */
  const char *ede_text;             /* or, of a ready zone that nobody may update, why not; NULL: nothing. Static, or `text` */
  _Atomic uint32_t expire_s;        /* what EDNS EXPIRE says: SOA expire at a primary, time left at `expire_at` otherwise */
  _Atomic uint64_t expires_mono_ns; /* secondary: when it expires; 0: never */
  uint64_t log_zone;                /* the store's number of the zone, 0: this version is not in the log */
  uint64_t log_head;                /* seq of the changeset that made this version: where history is read from */
  char text[];
};

struct zone_set;
MUST_CHECK enum err zone_set_new(struct zone_set **out);
void zone_set_free(struct zone_set *s); /* NULL is fine; no reader is left; waits for deferred calls */

/* Writer. put takes ownership of a heap-allocated entry (and its snapshot reference) if it succeeds, which for a zone that is there
 * it always does, and frees the replaced one after a grace period. */
MUST_CHECK enum err zone_set_put(struct zone_set *s, const struct name *apex, struct zone_entry *entry);
/* How long the zone lives, told to readers of the entry that is published: a refresh that found nothing new costs a look-up.
 * ERR_NOT_FOUND: none is, or it is not ready. Not in a bulk. */
MUST_CHECK enum err zone_set_prolong(struct zone_set *s, const struct name *apex, uint32_t expire_s, uint64_t expires_mono_ns);
/* The policy that the published entry has is one of the same content from now on, and the old one may go after a grace period:
 * costs a look-up, too. ERR_NOT_FOUND: none is. Not in a bulk. */
MUST_CHECK enum err zone_set_renew_policy(struct zone_set *s, const struct name *apex, const struct zone_policy *policy);
MUST_CHECK enum err zone_set_remove(struct zone_set *s, const struct name *apex);
/* Many changes, published at once at the end: for start and reload. Between begin and end readers see the old set. ERR_MEMORY at
 * the end: nothing is published yet, and the end may be tried again. */
void zone_set_bulk_begin(struct zone_set *s);
MUST_CHECK enum err zone_set_bulk_end(struct zone_set *s);
size_t zone_set_count(const struct zone_set *s);
size_t zone_set_memory_bytes(const struct zone_set *s); /* of the table itself, without snapshots */

/* Reader, inside zone_read_begin/end. The entry with the longest apex at or above `key`; NULL: none. */
const struct zone_entry *zone_set_find(const struct zone_set *s, const uint8_t *key, size_t key_size);
/* The entry whose apex is exactly `key`. */
const struct zone_entry *zone_set_exact(const struct zone_set *s, const uint8_t *key, size_t key_size);
/* zone_set_find for a batch, in lockstep: sets their entries. */
void zone_set_find_batch(const struct zone_set *s, struct zone_lookup *const *q, size_t count);

/* RCU read sections; each reading thread registers (calls nest) before its first one. Never wait inside one. */
void zone_reader_register(void);
void zone_reader_unregister(void);
void zone_read_begin(void);
void zone_read_end(void);
/* Writer: after all readers of now are done, call `f(arg)`; used for everything published here. */
void zone_after_grace(void (*f)(void *), void *arg);
/* Waits until every deferred call has run; for a clean end and for tests. Never inside a read section or a deferred call. */
void zone_grace_barrier(void);

#endif
