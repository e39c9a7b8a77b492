/* A zone in memory: an immutable snapshot (a qp-trie of owner names over one heap of 32-bit references), and the builder
 * that makes the next one by copy-on-write. docs/design/zone.md explains the structure with a picture.
 *
 *   writer thread                                          reader threads
 *   zone_edit_begin(base) -> add / remove -> finish  --->  struct zone_snap, published by zone_set.h, read under RCU
 *
 * A snapshot is reference counted: readers inside an RCU read section need no reference, whoever keeps it longer
 * (transfers, export) takes one. Nothing in a snapshot changes after zone_edit_finish. A snapshot and its successor share
 * all that did not change. Owner names in records are relative to nothing: the order key (wire/name.h) is the full one; inside
 * the zone's trie the apex part is left away. */
#ifndef ZONE_ZONE_H
#define ZONE_ZONE_H

#include "base/err.h"
#include "wire/name.h"
#include "wire/rr.h"

struct zone_snap;
struct zone_entry; /* zone_set.h */
struct zone_node;  /* the record of one owner name; lives in the snapshot's heap */

/* ---- reading ---- */

struct zone_snap *zone_snap_ref(const struct zone_snap *s);
void zone_snap_unref(const struct zone_snap *s); /* NULL is fine; the last one gives memory back after a grace period */

/* Tells a snapshot from those that stood at its address before. */
uint32_t zone_snap_tag(const struct zone_snap *s);
const struct name *zone_apex(const struct zone_snap *s); /* for name_copy: it has name_room, not a whole struct */
uint32_t zone_serial(const struct zone_snap *s);
uint64_t zone_record_count(const struct zone_snap *s); /* RRs, RRSIGs included */
uint64_t zone_name_count(const struct zone_snap *s);   /* owners, those of NSEC3 included */
size_t zone_memory_bytes(const struct zone_snap *s);   /* its heap, which it shares with its predecessors, mapped or not */
size_t zone_mapped_bytes(const struct zone_snap *s);   /* of that, the image it was mapped from */
/* Where the memory of a zone goes, in bytes. */
struct zone_memory {
  uint64_t image;   /* mapped from a segment: the page cache's, and only what was read of it is resident */
  uint64_t ram;     /* chunks of what came later, or of all */
  uint64_t free;    /* of ram: cells for changes to come */
  uint64_t records; /* in use, of image and ram: records, from the mean of the first ones */
  uint64_t trie;    /* the rest: nodes, and what older snapshots still hold */
  uint64_t other;   /* the structs around it */
};
/* Adds the zone's to `sum`. The writer's thread. */
void zone_memory_add(const struct zone_snap *s, struct zone_memory *sum);
/* Some of what it reads was found to be damaged or lost: nothing that was read of it counts. Any thread. */
bool zone_is_damaged(const struct zone_snap *s);
unsigned zone_damage(void);                     /* how many images that are still open are damaged: 0 spares asking for each zone */
unsigned zone_damage_found(void);               /* how often such a thing was found: rises */
bool zone_is_signed(const struct zone_snap *s); /* DNSKEY at the apex and RRSIG on the SOA */
bool zone_has_nsec3(const struct zone_snap *s); /* a usable NSEC3PARAM and chain */

/* A view of one RRset; pointers into the snapshot. RRs are ready to be sent (wire/rr.h, rr_ready), one right behind the other in
 * canonical order, and the signatures covering the set right behind them in the same form. */
struct zone_rrset {
  uint16_t type;
  uint16_t count; /* may be 0: signatures without the set they cover */
  uint16_t sig_count;
  uint32_t ttl;
  uint32_t sig_ttl;
  const uint8_t *rrs;
  const uint8_t *sigs;
};

/* Octets of the RRs, without the signatures. */
static inline size_t zone_rrs_size(const struct zone_rrset *set) {
  const uint8_t *end = set->rrs;
  for (unsigned i = 0; i < set->count; i++)
    end += RR_READY_BYTES + rr_ready_size(end);
  return (size_t)(end - set->rrs);
}

/* Steps over packed RRs: `const uint8_t *p = set.rrs; for (i < count) { zone_rr_next(&p, &rdata, &size); ... }` */
static inline void zone_rr_next(const uint8_t **p, const uint8_t **rdata, uint16_t *size) {
  *size = rr_ready_size(*p);
  *rdata = *p + RR_READY_BYTES;
  *p = *rdata + *size;
}

/* How many names have a CNAME and other data (check.h), if it is known: of a snapshot that was made from nothing. */
bool zone_conflicts(const struct zone_snap *s, uint64_t *names);

/* RRSIG is never found: signatures are with the type they cover. */
bool zone_find_rrset(const struct zone_node *n, uint16_t type, struct zone_rrset *out);
/* What answers a question for data of `type`: the set of that type or a CNAME, whose name has no other data, and if it has (from a
 * transfer), the CNAME wins (RFC 2181 §10.1). But NSEC stands beside a CNAME (RFC 4034 §4). */
bool zone_find_answer(const struct zone_node *n, uint16_t type, struct zone_rrset *out);
unsigned zone_rrset_count(const struct zone_node *n);
void zone_rrset_at(const struct zone_node *n, unsigned i, struct zone_rrset *out); /* in order of type */
/* Owner name with its case as loaded. */
void zone_node_owner(const struct zone_snap *s, const struct zone_node *n, struct name *out);
/* Octets of the owner's order key, the apex's included; its labels. */
size_t zone_node_key_size(const struct zone_snap *s, const struct zone_node *n);
unsigned zone_node_label_count(const struct zone_snap *s, const struct zone_node *n);
/* The owner as labels in front of what it shares with a name of the zone whose order key is `key`: writes them in wire form to
 * `out`, LIMIT_NAME_BYTES, says their size, and how many octets of the key are shared, the apex's included. False: it has upper
 * case or octets that keys escape, and zone_node_owner has to be asked. */
bool zone_node_labels(const struct zone_snap *s, const struct zone_node *n, const uint8_t *key, size_t key_size, uint8_t *out,
                      size_t *size, size_t *shared);
/* The same in front of what it shares with the owner of another node, or only with the apex (NULL); `shared` counts from the apex.
 */
bool zone_node_labels_after(const struct zone_node *n, const struct zone_node *other, uint8_t *out, size_t *size, size_t *shared);

/* What one walk finds for a name at or below the apex (RFC 1034 §4.3.2, RFC 4592 §3.3.1, RFC 6672 §3.2). */
struct zone_answer {
  const struct zone_node *node;  /* the name itself, if it owns records */
  const struct zone_node *near;  /* an owner whose key shares as much with the name's as any does */
  bool exists;                   /* owns records or is an empty non-terminal */
  const struct zone_node *cut;   /* highest zone cut (NS below the apex) at or above the name, and not below a DNAME */
  const struct zone_node *dname; /* highest DNAME strictly above the name, and neither below nor at a cut */
  /* when it does not exist and stands below neither cut nor dname: */
  const struct zone_node *encloser; /* closest encloser if it owns records; NULL: an empty non-terminal */
  uint8_t encloser_labels;          /* labels of the closest encloser's full name */
  uint16_t encloser_key_size;       /* octets of its key, the apex's included */
  const struct zone_node *wildcard; /* *.<closest encloser> */
  bool wildcard_exists;             /* it exists, be it as an empty non-terminal */
};

/* One question of a batch, in two steps: zone_set_find_batch finds its zone, zone_lookup_batch what the name means there. `key` is
 * name_key(qname); in the second step the apex's key is a prefix of it. */
struct zone_lookup {
  const uint8_t *key;
  uint16_t key_size;
  uint16_t shared; /* octets that the key shares with that of the lookup before: all but the last label of both; 0: not known */
  uint16_t bare;   /* the first step's: no other apex is at or below an ancestor whose key has as many octets or more */
  const struct zone_entry *entry; /* the same */
  const struct zone_snap *snap;   /* for the second step */
  struct zone_answer found;
};

void zone_lookup(struct zone_lookup *q);
/* The same for many (at most LIMIT_BATCH at once are walked in lockstep, with prefetches). */
void zone_lookup_batch(struct zone_lookup *const *q, size_t count);

const struct zone_node *zone_apex_node(const struct zone_snap *s);
/* Owner with NSEC that stands at or canonically before `key` (RFC 4034 §6.1), never one below a cut or a DNAME; NULL: the zone's
 * apex has none, or there is none near (the chain is broken). */
const struct zone_node *zone_nsec_cover(const struct zone_snap *s, const uint8_t *key, size_t key_size);

/* NSEC3 (RFC 5155): parameters of the chain in use, and the record matching or covering a hash. */
struct zone_nsec3 {
  uint8_t algorithm, flags, salt_size;
  uint16_t iterations;
  const uint8_t *salt;
};
bool zone_nsec3_parameters(const struct zone_snap *s, struct zone_nsec3 *out);
/* The hash of an owner with those parameters, 20 octets, as it is kept with the owner. NULL: it is not. */
const uint8_t *zone_nsec3_hash(const struct zone_snap *s, const struct zone_node *n);
/* The NSEC3 owner equal to `hash` (*match = true) or the one before it, with wrap-around, of the chain with those parameters;
 * NULL: none. */
const struct zone_node *zone_nsec3_find(const struct zone_snap *s, const uint8_t hash[20], bool *match);

/* zone_nsec_cover, or with `hash` zone_nsec3_find, for many in lockstep. */
struct zone_cover {
  const struct zone_snap *snap;
  const uint8_t *key; /* order key; not read with `hash` */
  uint16_t key_size;
  const uint8_t *hash;          /* 20 octets, or NULL */
  const struct zone_node *near; /* without `hash`, what zone_lookup said of the key, or NULL */
  const struct zone_node *node; /* what was found, or NULL */
  bool match;                   /* with `hash`: it is its own owner */
};
void zone_cover_batch(struct zone_cover *const *q, size_t count);

/* All owners in canonical order, NSEC3 owners last; `false` ends. The cursor holds no reference: the caller does. */
struct zone_cursor {
  const struct zone_snap *snap;
  void *state;
};
MUST_CHECK enum err zone_cursor_open(const struct zone_snap *s, struct zone_cursor *out);
const struct zone_node *zone_cursor_next(struct zone_cursor *c);
void zone_cursor_close(struct zone_cursor *c);

/* ---- editing ---- */

struct zone_edit; /* one transaction, one owner, one thread */

/* On top of `base` (kept referenced), or from nothing (NULL): then records are gathered, sorted once and laid out in canonical
 * order. `apex` may be NULL with a base. One edit at a time on snapshots that come from each other: ERR_LOCKED; a finished
 * snapshot may be the next base before it is published. A base of another apex: ERR_RANGE. */
MUST_CHECK enum err zone_edit_begin(const struct zone_snap *base, const struct name *apex, struct zone_edit **out);

/* From now on the edit keeps what it does: what it makes of its base is then known without a comparison (delta.h). Without
 * `any_order` not if it adds before it removes, but for the SOA. */
void zone_edit_keep_step(struct zone_edit *e, bool any_order);
/* What it has kept so far, in octets; SIZE_MAX: nothing any more (more than LIMIT_CHANGE_BYTES, or no memory). */
size_t zone_edit_step_bytes(const struct zone_edit *e);
/* Whether something is changed so far, if its step is kept in any order; if it is not: true. */
bool zone_edit_is_change(struct zone_edit *e);

enum zone_add { /* what became of an added record */
                ZONE_ADD_NEW,
                ZONE_ADD_DUPLICATE,   /* stood there already, with the same TTL */
                ZONE_ADD_TTL_CHANGED, /* the RRset had another TTL; the lower is kept, and the record is there now if it was not */
};
/* RDATA checked, uncompressed. Out of the zone: ERR_RANGE; more records in an RRset, or types at a name, than can be held:
 * ERR_LIMIT. From nothing the outcome is always ZONE_ADD_NEW; duplicates vanish at the finish, and the lowest TTL stays. */
MUST_CHECK enum err zone_edit_add(struct zone_edit *e, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                                  uint16_t size, enum zone_add *outcome);
/* Matches without TTL. ERR_NOT_FOUND if there is no such record. */
MUST_CHECK enum err zone_edit_remove(struct zone_edit *e, const struct name *owner, uint16_t type, const uint8_t *rdata,
                                     uint16_t size);
/* Sets an RRset's TTL (IXFR and UPDATE replace it); with RRSIG that of all signatures at the name, which setting the RRset's
 * own leaves alone. ERR_NOT_FOUND. */
MUST_CHECK enum err zone_edit_set_ttl(struct zone_edit *e, const struct name *owner, uint16_t type, uint32_t ttl);
/* What a name owns now, all changes so far included; NULL: nothing. NSEC3 records at the owner of a hash are not seen. Good until
 * the next call with this edit. */
MUST_CHECK enum err zone_edit_find(struct zone_edit *e, const struct name *owner, const struct zone_node **out);
/* From nothing, a part of the work may be done by another thread while records still come: zone_edit_part cuts off what was added
 * since the last time, if it is `least` records, and then that thread, one at a time, calls zone_edit_lay once, which is through
 * before the next part is cut off or the edit ends. What fails there fails the finish. */
bool zone_edit_part(struct zone_edit *e, size_t least);
MUST_CHECK enum err zone_edit_lay(struct zone_edit *e);
/* Two from nothing, of the same zone: what was added to `rear` follows what was added to `e`, as if it had been added to that.
 * `rear` is at its end. */
MUST_CHECK enum err zone_edit_join(struct zone_edit *e, struct zone_edit *rear);
/* Makes the snapshot, with one reference for the caller, and ends the edit. Made from nothing it knows its digest (content.h).
 * Without exactly one SOA at the apex: ERR_FORMAT, on a base that is damaged: ERR_CORRUPT; and the edit is ended all the same. */
MUST_CHECK enum err zone_edit_finish(struct zone_edit *e, struct zone_snap **out);
void zone_edit_abort(struct zone_edit *e); /* NULL is fine */

/* ---- comparing ---- */

/* Calls back for every record that only one side has, in canonical order of owners, those of NSEC3 last; removed before added
 * within a name. A callback may be NULL. Zones of different names: ERR_RANGE. A TTL
 * change of an RRset comes as remove + add of its records. Shared parts are skipped. Stops when a callback returns false. */
struct zone_diff {
  bool (*removed)(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);
  bool (*added)(void *arg, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t size);
  void *arg;
};
MUST_CHECK enum err zone_diff(const struct zone_snap *from, const struct zone_snap *to, const struct zone_diff *d);
/* The same in steps of so many turns, each about a node of the trie or an owner; `from` NULL: nothing. The caller keeps references
 * on both while it lasts. False: it is done, or a callback said so. */
struct zone_differ;
MUST_CHECK enum err zone_differ_new(const struct zone_snap *from, const struct zone_snap *to, struct zone_differ **out);
bool zone_differ_step(struct zone_differ *x, const struct zone_diff *calls, size_t turns);
void zone_differ_free(struct zone_differ *x);                                  /* NULL is fine */
bool zone_shares_memory(const struct zone_snap *a, const struct zone_snap *b); /* one was made from the other by edits */
bool zone_equal(const struct zone_snap *a, const struct zone_snap *b);         /* the case of names does not count */

#endif
