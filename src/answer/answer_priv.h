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

/* The closest encloser of the last proof of a batch. Most that follow have the same one, and what proves that it is there and that
 * there is no wildcard below it need not be found again. */
struct encloser {
  const struct zone_snap *snap; /* NULL: none yet */
  const uint8_t *key;           /* of the encloser that the look-up found: where the search began; a query's of this batch */
  size_t key_size;
  unsigned labels;                  /* with NSEC3: of the provable one */
  const struct zone_node *node;     /* its NSEC3; NULL: it has none */
  bool has_node, has_wildcard;      /* they were looked for */
  const struct zone_node *wildcard; /* the NSEC or NSEC3 that matches or covers the wildcard */
};

enum { PIECE_POINTERS_MAX = 32, PIECE_PROOFS_MAX = 2 };
/* Records of an answer of this batch that others can copy (piece.c). */
struct piece {
  const struct zone_snap *snap; /* NULL: none yet */
  const struct zone_node *cut;  /* of a referral */
  const uint8_t *message;       /* the response that has it; a later answer of the batch does not move it */
  uint16_t from, to;            /* where */
  uint64_t counts;              /* of its message */
  uint8_t suffix;               /* octets at the end of the question's name that are the same in all questions it fits */
  bool dnssec, read /* its pointers are known */;
  uint8_t proof_count, pointer_count;
  const struct zone_node *proofs[PIECE_PROOFS_MAX]; /* owners of the NSEC or NSEC3 in it */
  uint16_t pointers[PIECE_POINTERS_MAX];            /* counted from `from` */
};
enum { PIECE_SOA, PIECE_NO_NAME /* and what its closest encloser proves */, PIECE_REFERRAL, PIECE_REFERRALS = 16 };
enum { PIECES = PIECE_REFERRAL + PIECE_REFERRALS };

enum { KNOWN_TARGETS = 4 };
/* A name that answers of this batch pointed at and where it is, so that it is looked up once: many zones have the same servers. */
struct known_target {
  const struct zone_snap *snap; /* NULL: none */
  const uint8_t *wire;          /* in the snapshot */
  size_t size;
  const struct zone_node *node, *cut; /* `node` NULL: the zone has no such name, or it is below a DNAME */
};
struct known_targets {
  unsigned next; /* gives way to the next one that is new */
  struct known_target targets[KNOWN_TARGETS];
};

struct server { /* what a batch is answered with */
  const struct zone_set *zones;
  const struct answer_identity *id;
  struct instant now;
  struct encloser *encloser;   /* batches only */
  struct piece *pieces;        /* the same */
  struct known_targets *known; /* the same */
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
  size_t options_size;

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
  uint8_t options[OPTIONS_BYTES_MAX];
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
/* Whether it is what stands behind a question, too, that is below or at the same cut, closest encloser or apex. */
bool piece_fits(struct piece *p, const struct query *q);
static inline size_t piece_size(const struct piece *p) {
  return (size_t)(p->to - p->from);
}
/* Writes it to `to`, which is `at` octets into the response: right behind the question. There is room. */
void piece_copy(const struct piece *p, uint8_t *to, size_t at);
/* Which one may be that of a cut above the query's name: by the last octet of the cut's first label. */
static inline unsigned piece_of_cut(const struct query *q, const struct zone_node *cut) {
  return PIECE_REFERRAL + q->key[zone_node_key_size(q->lookup.snap, cut) - 2] % PIECE_REFERRALS;
}

/* ---- additional.c ---- */

/* Addresses of the name servers of a referral; those inside the delegated zone are required (RFC 9471). */
void additional_glue(struct reply *r, const struct zone_node *cut, const struct zone_rrset *ns, size_t ns_at);
/* Addresses of the targets of the answer, as far as they fit. */
void additional_targets(struct reply *r);

/* ---- chaos.c ---- */

void chaos(const struct server *s, struct answer_job *job);

#endif
