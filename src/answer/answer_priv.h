/* What the files of the answer room share.
 *
 *   batch.c       parse all -> choose zones -> look all up in lockstep -> write all
 *   access.c      who may see and do what: hidden zones, listeners, transfers, NOTIFY, UPDATE
 *   resolve.c     RFC 1034 §4.3.2 for one name after the other: answers, chains, referrals
 *   denial.c      which NSEC or NSEC3 records prove it
 *   piece.c       what answers of a batch have in common
 *   additional.c  glue and other addresses
 *   reply.c       header, question, OPT and TSIG around it; reply_priv.h has of that what every response needs
 *   chaos.c       id.server and its relatives */
#ifndef ANSWER_ANSWER_PRIV_H
#define ANSWER_ANSWER_PRIV_H

#include "answer/answer.h"

/* A snapshot that something was found in. What was found is good if the same one answers again. */
struct seen {
  const struct zone_snap *snap; /* NULL: none; not to be read, for it may be gone */
  uint32_t tag;                 /* another one may stand where it stood */
};

static inline struct seen seen_now(const struct zone_snap *snap) {
  return (struct seen){snap, zone_snap_tag(snap)};
}

static inline bool seen_is(struct seen s, const struct zone_snap *snap) {
  return s.snap == snap && s.tag == zone_snap_tag(snap);
}

/* The closest encloser of the last proof. Most that follow have the same one, and what proves that it is there and that there is no
 * wildcard below it need not be found again. */
struct encloser {
  struct seen zone;
  size_t key_size;
  uint8_t key[NAME_KEY_BYTES];      /* of the encloser that the look-up found: where the search began */
  unsigned labels;                  /* with NSEC3: of the provable one */
  const struct zone_node *node;     /* its NSEC3; NULL: it has none */
  bool has_node, has_wildcard;      /* they were looked for */
  const struct zone_node *wildcard; /* the NSEC or NSEC3 that matches or covers the wildcard */
};

enum { PIECE_POINTERS_MAX = 32, PIECE_PROOFS_MAX = 2 };
/* Records of an answer that others can copy (piece.c). */
struct piece {
  struct seen zone;
  const struct zone_node *cut;            /* of a referral */
  uint64_t counts;                        /* of a message that has nothing else behind the question */
  uint16_t from, size;                    /* where it stood in the message that its pointers are of; its octets */
  const uint8_t *ns;                      /* of servers: the NS records as the zone has them */
  uint16_t ns_size, front, address_count; /* octets of that, octets of the piece that they are, how many RRs stand behind them */
  uint8_t suffix;                         /* octets at the end of the question's name that are the same in all questions it fits */
  bool dnssec, read /* its pointers are known */;
  uint8_t proof_count, pointer_count, front_pointers;
  const struct zone_node *proofs[PIECE_PROOFS_MAX]; /* owners of the NSEC or NSEC3 in it */
  uint16_t pointers[PIECE_POINTERS_MAX];            /* where they are, in octets from its start */
  uint8_t octets[LIMIT_UDP_RESPONSE_BYTES];         /* that end of the name, type and class, and the piece */
};

/* A name that answers pointed at and where it is, so that it is looked up once: many zones have the same servers. */
struct known_target {
  struct seen zone;
  const uint8_t *wire; /* in the snapshot */
  size_t size;
  const struct zone_node *node, *cut; /* `node` NULL: the zone has no such name, or it is below a DNAME */
};

/* What negative answers of a zone have in common. */
struct known_zone {
  struct encloser encloser;
  struct piece soa[2];  /* without and with DO */
  struct piece no_name; /* the SOA and what the closest encloser proves */
};

/* Each thing has one place, where the last one is that wanted it. */
enum { MEMORY_ZONES = 8, MEMORY_REFERRALS = 64, MEMORY_SERVERS = 64, MEMORY_TARGETS = 64 };
struct answer_memory {
  struct known_zone zones[MEMORY_ZONES];
  struct piece referrals[MEMORY_REFERRALS];
  struct piece servers[MEMORY_SERVERS]; /* of referrals */
  struct known_target targets[MEMORY_TARGETS];
};

/* One of a power of two of places. */
static inline unsigned memory_place(uint64_t what, unsigned places) {
  return (unsigned)(what * UINT64_C(0x9e3779b97f4a7c15) >> 32) % places;
}
static inline struct known_zone *memory_zone(struct answer_memory *m, const struct zone_snap *snap) {
  return &m->zones[memory_place((uintptr_t)snap, MEMORY_ZONES)];
}
static inline uint64_t memory_mark(const uint8_t *octets, size_t size) {
  uint64_t mark = size;
  for (size_t i = 0; i + 8 <= size; i += 8) {
    mark = (mark ^ get_u64_low(octets + i)) * UINT64_C(0x9e3779b97f4a7c15);
    mark ^= mark >> 32;
  }
  return size < 8 ? mark : mark ^ get_u64_low(octets + size - 8);
}
static inline struct piece *memory_referral(struct answer_memory *m, const struct zone_node *cut, bool dnssec) {
  return &m->referrals[memory_place((uintptr_t)cut + dnssec, MEMORY_REFERRALS)];
}
static inline struct piece *memory_servers(struct answer_memory *m, const uint8_t *ns, size_t ns_size, bool dnssec) {
  return &m->servers[memory_place(memory_mark(ns, ns_size) + dnssec, MEMORY_SERVERS)];
}

struct server { /* what a batch is answered with */
  const struct zone_set *zones;
  const struct answer_identity *id;
  struct answer_memory *memory; /* not where no records are wanted */
  struct instant now;
};

/* One request on its way through the phases of a batch. Its key is written once and used by every step. */
struct query {
  struct answer_job *job;
  struct zone_lookup lookup; /* lookup.key == key */
  struct zone_cover cover; /* what covers or matches the name, as far as denial_prepare saw that it will be wanted; else no snap */
  uint8_t hash[NSEC3_HASH_BYTES];
  uint8_t key[NAME_KEY_BYTES];
};

/* Whether its key is as long as its name, which then has nothing that keys escape. */
static inline bool is_plain(const struct query *q) {
  return q->lookup.key_size + 1u == q->job->request.qname.size;
}

/* A record that proves something, to be put into the authority section once the answer section is complete. */
struct proof {
  const struct zone_snap *snap;
  const struct zone_node *node;
  uint16_t type; /* NSEC or NSEC3 */
};
enum { PROOFS_MAX = 3 * LIMIT_CHAIN_LINKS };

/* Where the last name of the chain ended. */
enum ending {
  END_ANSWER,   /* with data, or a chain that leaves our zones */
  END_NEGATIVE, /* NXDOMAIN or NODATA: the SOA says for how long */
  END_REFERRAL,
};

enum {
  OPT_FIXED_BYTES = 11,
  OPTIONS_BYTES_MAX = 1024,
  EDE_NSEC3_ITERATIONS = 27 /* RFC 8914 registry: unsupported NSEC3 iterations value */
};

/* Those of the response's OPT. */
struct options {
  size_t size;
  uint8_t octets[OPTIONS_BYTES_MAX];
};

/* The response being written, one at a time. It is large and is never cleared as a whole: reply_start and resolve set
 * what they need. */
struct reply {
  const struct server *server;
  struct answer_job *job;
  struct message_writer writer;
  uint16_t rcode;
  int ede;
  const char *ede_text; /* "" if there is nothing to say */
  bool dnssec;          /* DO */
  bool truncated;
  bool left_out; /* some address for which there was no room */
  bool damaged;  /* some snapshot that was read */

  const struct query *query;
  /* the name in hand: the one asked, then the targets of its chain */
  const struct zone_lookup *lookup;
  const struct name *qname;
  struct message_owner owner; /* how it is written */
  uint16_t qtype;
  enum ending ending;

  const struct zone_node *answer_node; /* owner of the last RRset of the answer section, if that may want additional data */
  struct zone_rrset answer_set;        /* that RRset; unset if answer_node is NULL */
  size_t answer_at;                    /* where its first record stands */
  size_t link_at;                      /* where the CNAME record stands that leads to the name in hand */
  unsigned links;
  unsigned proof_count;
  unsigned common_proofs, written_proofs; /* how many of them, the first ones, are those of the encloser; are in the message */
  struct zone_lookup next;
  uint8_t next_key[NAME_KEY_BYTES];
  struct name names[LIMIT_CHAIN_LINKS]; /* targets, one a link */
  const struct zone_node *dnames[LIMIT_CHAIN_LINKS];
  unsigned dname_count;
  struct proof proofs[PROOFS_MAX];
  struct options options;
};

/* zone_lookup names a DNAME only if no cut stands above it; at one and the same name the cut wins, because the DNAME there is the
 * child's. */
static inline bool is_below_dname(const struct zone_answer *f) {
  return f->dname && f->dname != f->cut;
}

/* ---- reply.c ---- */

/* A whole response without records. */
__attribute__((cold)) void reply_rcode(const struct server *s, struct answer_job *job, unsigned rcode, int ede,
                                       const char *ede_text);
/* Nothing is sent: another thread answers, or nobody. */
void reply_none(struct answer_job *job, enum answer_kind kind);
/* Notes which zone the request is counted for. */
static inline void reply_zone(struct answer_job *job, const struct zone_entry *entry) {
  job->result.zone = entry;
}

/* ---- access.c ---- */

bool access_tls(const struct answer_job *job);
/* Whether the zone answers this client's questions: it is not hidden, or not from this client. */
bool access_sees(const struct zone_entry *entry, const struct answer_job *job);
static inline bool access_zone_ready(const struct zone_entry *entry, struct instant now) {
  return entry->state == ZONE_READY && entry->snap && (entry->expires_mono_ns == 0 || now.mono_ns < entry->expires_mono_ns);
}
/* Whether the listener takes this kind of request. */
bool access_listener(const struct answer_job *job);
/* The zone that answers a QUERY, from the one with the longest apex. When none does, the response is made and false returned. */
bool access_choose(const struct server *s, struct query *q);
static inline bool access_is_hidden(const struct zone_entry *entry) {
  return entry->policy->hidden;
}
/* Whether that is known: it is one that has answered another question of the batch and is not hidden. `entry` may be NULL. */
static inline bool access_is_chosen(const struct query *q, const struct zone_entry *entry) {
  return entry && q->lookup.entry == entry && q->job->request.qtype != RR_DS;
}
/* What a name outside all our zones gets. */
void access_outside(const struct server *s, struct answer_job *job);
void access_transfer(const struct server *s, struct query *q);
void access_notify(const struct server *s, struct query *q);
void access_update(const struct server *s, struct query *q);

/* ---- resolve.c ---- */

/* The responses to QUERYs whose zones are chosen and whose names are looked up. */
void resolve(const struct server *s, struct query *const *queries, size_t count);
/* An RRset with the signatures that DO asks for, whole or not at all. */
bool resolve_put(struct reply *r, enum section section, struct message_owner *owner, const struct zone_rrset *set);
/* The same for a response that is not complete without it: sets TC. */
void resolve_must_put(struct reply *r, enum section section, struct message_owner *owner, const struct zone_rrset *set);
/* Octets of a key that make up its last (leftmost in text: first from the root) `labels` labels. */
size_t resolve_key_prefix(const uint8_t *key, unsigned labels);

/* ---- denial.c: what proves that there is nothing else; pushed onto r->proofs ---- */

/* Looks up in lockstep what most of a batch's proofs will want. */
void denial_prepare(const struct server *s, struct query *const *queries, size_t count);
/* ERR_LIMIT: NSEC3 with too many iterations. A zone that is not signed needs no proof. */
MUST_CHECK enum err denial_name(struct reply *r);                                    /* NXDOMAIN */
MUST_CHECK enum err denial_type(struct reply *r);                                    /* the name is there, the type is not */
MUST_CHECK enum err denial_wildcard(struct reply *r);                                /* an answer from a wildcard: no closer name */
MUST_CHECK enum err denial_wildcard_type(struct reply *r);                           /* the wildcard has no such type */
MUST_CHECK enum err denial_delegation(struct reply *r, const struct zone_node *cut); /* an insecure one */
/* What proves of the name alone that it, or the type, is not there; NULL: that takes more to find out. A query with DO. */
const struct zone_node *denial_own(const struct query *q);
static inline uint16_t denial_type_of(const struct zone_snap *snap) {
  return zone_has_nsec3(snap) ? RR_NSEC3 : RR_NSEC;
}

/* ---- piece.c ---- */

/* Remembers what was written behind the question until now. */
void piece_note(const struct reply *r, struct piece *p, size_t suffix);
/* Remembers the NS records of a cut, `ns` in the zone, which were written behind the question up to `ns_end`, and the addresses
 * from `addresses_at` on. */
void piece_note_servers(const struct reply *r, struct piece *p, const uint8_t *ns, size_t ns_size, size_t ns_end,
                        size_t addresses_at);
/* Whether it is of a referral to that cut above the query's name. */
static inline bool piece_is_of_cut(const struct piece *p, const struct query *q) {
  return p->cut == q->lookup.found.cut && seen_is(p->zone, q->lookup.snap);
}
/* Whether it is what stands behind a question, too, that is below or at the same cut, closest encloser or apex. */
bool piece_fits(struct piece *p, const struct query *q);
/* The same of servers, whose NS records are `ns` in the zone. */
bool piece_has_servers(struct piece *p, const struct query *q, const uint8_t *ns, size_t ns_size);
/* Writes them right behind the question, under the owner that the pointer leads to; what follows is copied where nothing but the
 * proof stands between. False: it does not fit. */
bool piece_put_ns(const struct piece *p, struct message_writer *w, uint16_t owner);
bool piece_put_addresses(const struct piece *p, struct message_writer *w);
/* Writes it to `to`, which is `at` octets into the response: right behind the question. There is room. */
void piece_copy(const struct piece *p, uint8_t *to, size_t at);

/* ---- additional.c ---- */

/* Addresses of the name servers of a referral; those inside the delegated zone are required (RFC 9471). Whether they are the same
 * for all other zones with these servers. */
bool additional_glue(struct reply *r, const struct zone_node *cut, const struct zone_rrset *ns, size_t ns_at);
/* Addresses of the targets of the answer, as far as they fit. */
void additional_targets(struct reply *r);

/* ---- chaos.c ---- */

void chaos(const struct server *s, struct answer_job *job);

#endif
