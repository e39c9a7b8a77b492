/* RFC 1034 §4.3.2 for the name asked and for the targets of its CNAME and DNAME chain.
 *
 * The answer section is written while the chain is followed; what goes into authority and additional is noted and written when
 * the chain has ended. NS records are not added to answers: they would only make them longer. */
#include "answer/reply_priv.h"

enum step { STEP_END, STEP_FOLLOW };

bool resolve_put(struct reply *r, enum section section, struct message_owner *owner, const struct zone_rrset *set) {
  return message_put_rrset(&r->writer, section, owner, set->rrs, set->count, r->dnssec ? set->sig_count : 0);
}

/* How many octets at the end of the question's name are the name of `node`, which is the apex or stands above the name in hand. 0:
 * they are another's, or it is not known without looking. */
static size_t suffix_of(const struct reply *r, const struct zone_node *node) {
  const struct zone_lookup *asked = &r->query->lookup;
  bool above = r->lookup == asked || (r->lookup->snap == asked->snap && node == zone_apex_node(asked->snap));
  return above && is_plain(r->query) ? zone_node_key_size(asked->snap, node) + 1 : 0;
}

/* Targets mostly stand right below the apex. */
static void expect_names(struct reply *r) {
  message_expect_near(&r->writer, suffix_of(r, zone_apex_node(r->lookup->snap)));
}

/* How the owner of a node is written: as far as it can, it ends in the question's name, whatever the case (RFC 4343 §4.1). */
static void owner_of(struct message_writer *w, const struct query *q, const struct zone_snap *snap, const struct zone_node *node,
                     struct message_owner *out) {
  const struct name *question = &q->job->request.qname;
  size_t size, shared;
  bool plain = snap == q->lookup.snap && is_plain(q);
  if (plain && zone_node_labels(snap, node, q->key, q->lookup.key_size, out->octets, &size, &shared)) {
    message_owner_begun_there(out, size, shared ? MESSAGE_HEADER_BYTES + question->size - 1u - shared : 0);
    return;
  }
  struct name owner;
  zone_node_owner(snap, node, &owner);
  message_owner_name(w, owner.octets, out);
}

/* The same of a node that suffix_of knows; names in RDATA will mostly end in it, too. */
static void owner_above(struct reply *r, const struct zone_node *node, struct message_owner *out) {
  size_t size = suffix_of(r, node);
  message_expect_near(&r->writer, size);
  if (size > 1) message_owner_at(out, MESSAGE_HEADER_BYTES + r->writer.question_size - size);
  else owner_of(&r->writer, r->query, r->lookup->snap, node, out);
}

void resolve_must_put(struct reply *r, enum section section, struct message_owner *owner, const struct zone_rrset *set) {
  if (r->truncated) return;
  r->truncated = !resolve_put(r, section, owner, set);
}

size_t resolve_key_prefix(const uint8_t *key, unsigned labels) {
  size_t size = 0;
  for (; labels > 0; labels--) {
    while (key[size] != 0)
      size++;
    size++;
  }
  return size;
}

static bool find(const struct zone_node *node, uint16_t type, struct zone_rrset *out) {
  return zone_find_rrset(node, type, out) && out->count > 0;
}

static void failed(struct reply *r) {
  r->rcode = RCODE_SERVFAIL;
}

/* A proof that can't be given makes the answer worthless to whoever asked for it. */
static void prove(struct reply *r, enum err e) {
  if (e) failed(r);
}

static bool wants_proof(const struct reply *r) {
  return r->dnssec && zone_is_signed(r->lookup->snap);
}

static void take_answer(struct reply *r, const struct zone_node *node, const struct zone_rrset *set) {
  if (set->type == RR_A || set->type == RR_AAAA) return; /* the usual ones point nowhere */
  r->answer_node = node;
  r->answer_set = *set;
  r->answer_at = wr_used(&r->writer.out);
  expect_names(r);
}

/* ---- what a name that exists says ---- */

/* ANY and RRSIG gather what has little to do with each other; over UDP one RRset has to do (RFC 8482 §4.1), always the same
 * one. Streams get everything. */
static bool gathers_all(const struct reply *r) {
  return r->job->client.transport != TRANSPORT_UDP;
}

static bool put_signatures(struct reply *r, const struct zone_node *node) {
  unsigned count = zone_rrset_count(node), some = 0;
  for (unsigned i = 0; i < count && (gathers_all(r) || !some); i++) {
    struct zone_rrset set;
    zone_rrset_at(node, i, &set);
    if (set.sig_count == 0) continue;
    struct zone_rrset sigs = {.type = RR_RRSIG, .count = set.sig_count, .ttl = set.sig_ttl, .rrs = set.sigs};
    resolve_must_put(r, SECTION_ANSWER, &r->owner, &sigs);
    some++;
  }
  return some;
}

static bool put_any(struct reply *r, const struct zone_node *node) {
  struct zone_rrset set;
  unsigned count = zone_rrset_count(node), some = 0;
  for (unsigned i = 0; i < count && (gathers_all(r) || !some); i++) {
    zone_rrset_at(node, i, &set);
    if (set.count == 0 || (set.type == RR_NSEC && !gathers_all(r))) continue;
    resolve_must_put(r, SECTION_ANSWER, &r->owner, &set);
    some++;
  }
  if (some && gathers_all(r) && !r->dnssec) put_signatures(r, node); /* RFC 4035 §3.1: records like others */
  if (some || !find(node, RR_NSEC, &set)) return some;
  resolve_must_put(r, SECTION_ANSWER, &r->owner, &set);
  return true;
}

/* Notes the target as the next name, unless the chain is long enough or comes back to where it was. */
static enum step follow(struct reply *r, const uint8_t *target) {
  if (r->truncated || r->links == LIMIT_CHAIN_LINKS) return STEP_END;
  struct name *next = &r->names[r->links];
  name_from_wire(target, next);
  if (name_equal(next, &r->job->request.qname)) return STEP_END;
  for (unsigned i = 0; i < r->links; i++)
    if (name_equal(next, &r->names[i])) return STEP_END;
  r->links++;
  return STEP_FOLLOW;
}

static enum step put_cname(struct reply *r, const struct zone_rrset *set) {
  expect_names(r);
  r->link_at = wr_used(&r->writer.out);
  resolve_must_put(r, SECTION_ANSWER, &r->owner, set);
  if (r->qtype == RR_CNAME) return STEP_END;
  const uint8_t *at = set->rrs, *target;
  uint16_t size;
  zone_rr_next(&at, &target, &size);
  return follow(r, target);
}

static bool put_node(struct reply *r, const struct zone_node *node, enum step *step) {
  *step = STEP_END;
  if (r->qtype == RR_ANY) return put_any(r, node);
  if (r->qtype == RR_RRSIG) return put_signatures(r, node);
  struct zone_rrset set;
  if (!zone_find_answer(node, r->qtype, &set)) return false;
  if (set.type == RR_CNAME) {
    *step = put_cname(r, &set);
    return true;
  }
  take_answer(r, node, &set);
  resolve_must_put(r, SECTION_ANSWER, &r->owner, &set);
  return true;
}

static void no_data(struct reply *r) {
  r->ending = END_NEGATIVE;
  if (wants_proof(r)) prove(r, denial_type(r));
}

static enum step at_node(struct reply *r) {
  enum step step;
  if (!put_node(r, r->lookup->found.node, &step)) no_data(r);
  return step;
}

/* RFC 4592 §3.3.1: the source of synthesis. */
static enum step at_wildcard(struct reply *r) {
  enum step step = STEP_END;
  const struct zone_node *source = r->lookup->found.wildcard;
  bool data = source && put_node(r, source, &step);
  if (!data) r->ending = END_NEGATIVE;
  if (wants_proof(r)) prove(r, data ? denial_wildcard(r) : denial_wildcard_type(r));
  return step;
}

static enum step no_name(struct reply *r) {
  r->rcode = RCODE_NXDOMAIN;
  r->ending = END_NEGATIVE;
  if (wants_proof(r)) prove(r, denial_name(r));
  return STEP_END;
}

/* ---- DNAME (RFC 6672 §3.1) ---- */

static bool dname_is_new(struct reply *r, const struct zone_node *node) {
  for (unsigned i = 0; i < r->dname_count; i++)
    if (r->dnames[i] == node) return false;
  r->dnames[r->dname_count++] = node;
  return true;
}

static enum step put_dname(struct reply *r) {
  const struct zone_node *node = r->lookup->found.dname;
  struct zone_rrset set;
  if (!find(node, RR_DNAME, &set)) return STEP_END;
  struct name owner, target, link;
  zone_node_owner(r->lookup->snap, node, &owner);
  if (r->dname_count < LIMIT_CHAIN_LINKS && dname_is_new(r, node)) {
    struct message_owner written;
    owner_of(&r->writer, r->query, r->lookup->snap, node, &written);
    resolve_must_put(r, SECTION_ANSWER, &written, &set);
  }
  const uint8_t *at = set.rrs, *target_wire;
  uint16_t size;
  zone_rr_next(&at, &target_wire, &size);
  name_from_wire(target_wire, &target);
  if (name_join(r->qname, r->qname->labels - owner.labels, &target, &link)) {
    r->rcode = RCODE_YXDOMAIN;
    return STEP_END;
  }
  if (r->truncated) return STEP_END;
  r->link_at = wr_used(&r->writer.out);
  const uint8_t *alias = r->links ? r->qname->octets : NULL;
  if (!message_put_rr(&r->writer, SECTION_ANSWER, alias, RR_CNAME, CLASS_IN, set.ttl, link.octets, link.size)) r->truncated = true;
  return r->qtype == RR_CNAME ? STEP_END : follow(r, link.octets);
}

/* ---- the walk ---- */

/* The highest of cut and DNAME decides; DS is the parent's at the cut itself (RFC 4035 §3.1.4.1). */
static bool is_referral(const struct zone_answer *f, uint16_t qtype) {
  return f->cut && !is_below_dname(f) && (qtype != RR_DS || f->cut != f->node);
}

static enum step answer_name(struct reply *r) {
  const struct zone_answer *f = &r->lookup->found;
  if (is_referral(f, r->qtype)) {
    r->ending = END_REFERRAL;
    if (r->lookup == &r->query->lookup) r->writer.flags &= (uint16_t)~FLAG_AA;
    return STEP_END;
  }
  if (is_below_dname(f)) return put_dname(r);
  if (f->node) return at_node(r);
  if (f->exists) {
    no_data(r);
    return STEP_END;
  }
  if (f->wildcard || f->wildcard_exists) return at_wildcard(r);
  return no_name(r);
}

/* What was read of a damaged image is no answer. */
static void note_damage(struct reply *r) {
  if (zone_damage() && zone_is_damaged(r->lookup->snap)) r->damaged = true;
}

/* Looks up the next name of the chain. False: it is in no zone that answers this client. */
static bool look_up_next(struct reply *r) {
  const struct name *name = &r->names[r->links - 1];
  size_t size = name_key(name, r->next_key);
  const struct zone_entry *entry = zone_set_find(r->server->zones, r->next_key, size);
  if (!entry || !access_sees(entry, r->job) || !access_zone_ready(entry, r->server->now)) return false;
  r->next.snap = entry->snap;
  r->next.key = r->next_key;
  r->next.key_size = (uint16_t)size;
  note_damage(r);
  zone_lookup(&r->next);
  r->lookup = &r->next;
  r->qname = name;
  size_t next, target_at = message_rdata_at(&r->writer, r->link_at, &next);
  if (target_at <= MESSAGE_OWNER_AT_MAX) message_owner_written(&r->writer, target_at, &r->owner);
  else message_owner_name(&r->writer, name->octets, &r->owner);
  return true;
}

/* ---- authority ---- */

/* RFC 2308 §3: the SOA with the time that "nothing" may be remembered. */
static void put_negative_soa(struct reply *r) {
  const struct zone_snap *snap = r->lookup->snap;
  struct zone_rrset soa;
  if (!find(zone_apex_node(snap), RR_SOA, &soa)) return;
  const uint8_t *at = soa.rrs, *rdata;
  uint16_t size;
  zone_rr_next(&at, &rdata, &size);
  uint32_t minimum = get_u32(rdata + size - 4);
  struct message_owner owner;
  owner_above(r, zone_apex_node(snap), &owner);
  size_t from = wr_used(&r->writer.out);
  if (!resolve_put(r, SECTION_AUTHORITY, &owner, &soa)) r->truncated = true;
  else message_set_ttl(&r->writer, from, soa.ttl < minimum ? soa.ttl : minimum);
}

/* The proofs up to number `end` that are not written yet. */
static void put_proofs(struct reply *r, unsigned end) {
  while (r->written_proofs < end && !r->truncated) {
    const struct proof *p = &r->proofs[r->written_proofs++];
    struct zone_rrset set;
    struct message_owner owner;
    if (!find(p->node, p->type, &set)) continue;
    owner_of(&r->writer, r->query, p->snap, p->node, &owner);
    resolve_must_put(r, SECTION_AUTHORITY, &owner, &set);
  }
}

/* Whether what comes next may be kept for others: it stands right behind the question and speaks of the name that was asked. */
static bool stands_alone(const struct reply *r) {
  const struct zone_lookup *asked = &r->query->lookup;
  return r->lookup == asked && wr_used(&r->writer.out) == r->job->request.question_end && is_plain(r->query);
}

/* Writes it if it fits. */
INLINE bool put_piece(struct message_writer *w, struct piece *p, const struct query *q) {
  if (!piece_fits(p, q) || wr_left(&w->out) < p->size + w->reserve) return false;
  piece_copy(p, w->out.at, wr_used(&w->out));
  w->out.at += p->size;
  w->counts = p->counts; /* one question and nothing else stands before it in both */
  return true;
}

/* The SOA, and the proofs that other questions want as well; then those of the name alone. */
static void put_negative(struct reply *r) {
  const struct zone_lookup *here = r->lookup;
  struct known_zone *known = memory_zone(r->server->memory, here->snap);
  struct piece *piece = r->common_proofs ? &known->no_name : &known->soa[r->dnssec];
  size_t suffix = r->common_proofs ? here->found.encloser_key_size + 1u : suffix_of(r, zone_apex_node(here->snap));
  bool alone = stands_alone(r);
  put_negative_soa(r);
  put_proofs(r, r->common_proofs);
  if (alone && !r->truncated) piece_note(r, piece, suffix);
  put_proofs(r, r->proof_count);
}

/* What a referral says besides its servers, RFC 4035 §3.1.4. */
static void put_delegation_proof(struct reply *r, const struct zone_node *cut, struct message_owner *owner) {
  struct zone_rrset set;
  if (wants_proof(r)) {
    bool own_nsec = r->proof_count == 0 && !zone_has_nsec3(r->lookup->snap); /* the cut's, and no other proof may be the same */
    if (find(cut, RR_DS, &set) || (own_nsec && find(cut, RR_NSEC, &set))) resolve_must_put(r, SECTION_AUTHORITY, owner, &set);
    else prove(r, denial_delegation(r, cut));
  }
  put_proofs(r, r->proof_count);
}

/* RFC 1034 §4.3.2 step 3b. */
static void put_referral(struct reply *r) {
  const struct zone_node *cut = r->lookup->found.cut;
  struct answer_memory *memory = r->server->memory;
  size_t ns_at = wr_used(&r->writer.out);
  bool alone = stands_alone(r);
  struct message_owner owner;
  struct zone_rrset ns;
  if (!find(cut, RR_NS, &ns)) return;
  expect_names(r);
  owner_above(r, cut, &owner);
  size_t ns_size = zone_rrs_size(&ns);
  struct piece *servers = memory_servers(memory, ns.rrs, ns_size, r->dnssec);
  bool known = alone && piece_has_servers(servers, r->query, ns.rrs, ns_size) && piece_put_ns(servers, &r->writer, owner.pointer);
  if (!known) resolve_must_put(r, SECTION_AUTHORITY, &owner, &ns);
  size_t ns_end = wr_used(&r->writer.out);
  put_delegation_proof(r, cut, &owner);
  if (r->truncated || r->rcode == RCODE_SERVFAIL) return;
  size_t addresses_at = wr_used(&r->writer.out);
  r->left_out = false;
  if (!known || !piece_put_addresses(servers, &r->writer)) {
    bool same = additional_glue(r, cut, &ns, ns_at);
    if (same && alone && !r->truncated && !r->left_out) piece_note_servers(r, servers, ns.rrs, ns_size, ns_end, addresses_at);
  }
  if (alone && !r->truncated && !r->left_out) piece_note(r, memory_referral(memory, cut, r->dnssec), suffix_of(r, cut));
}

/* Everything behind the answer section. */
static void put_rest(struct reply *r) {
  if (r->ending == END_REFERRAL) put_referral(r);
  else if (r->ending == END_NEGATIVE) put_negative(r);
  else put_proofs(r, r->proof_count);
  if (r->answer_node && !r->truncated && r->rcode != RCODE_SERVFAIL) additional_targets(r);
}

/* `nothing`: it is known that the name has no such type. */
static void resolve_name(struct reply *r, bool nothing) {
  r->qname = &r->job->request.qname;
  message_owner_question(&r->owner);
  r->qtype = r->job->request.qtype;
  r->ending = END_ANSWER;
  r->answer_node = NULL;
  r->links = 0;
  r->proof_count = r->common_proofs = r->written_proofs = 0;
  r->dname_count = 0;
  if (nothing) no_data(r);
  else
    while (answer_name(r) == STEP_FOLLOW && look_up_next(r))
      ;
  put_rest(r);
}

static void give_up(struct reply *r) {
  if (r->damaged) reply_rcode(r->server, r->job, RCODE_SERVFAIL, EDE_INVALID_DATA, "zone data damaged");
  else reply_rcode(r->server, r->job, RCODE_SERVFAIL, EDE_NSEC3_ITERATIONS, "");
}

/* ---- the usual answers, for which nothing is noted on the way ---- */

/* Addresses of the name that was asked; `nothing`: it has no records of that type. No function that is called sees the writer, so
 * it never leaves the registers. */
INLINE bool answer_addresses(const struct server *s, const struct query *q, const struct options *o, bool *nothing) {
  struct answer_job *job = q->job;
  struct zone_rrset set;
  struct message_writer w;
  *nothing = !zone_find_answer(q->lookup.found.node, job->request.qtype, &set);
  if (*nothing || set.type != job->request.qtype || (set.type != RR_A && set.type != RR_AAAA)) return false;
  reply_begin_usual(&w, s, job, o, FLAG_AA);
  bool fits = message_put_ready(&w, SECTION_ANSWER, RR_READY_OWNER, set.rrs,
                                set.count + (job->request.edns.dnssec_ok ? set.sig_count : 0u));
  reply_end_usual(&w, s, job, o, RCODE_NOERROR, !fits);
  return true;
}

/* All that another answer had behind its question, too. */
INLINE bool answer_again(const struct server *s, const struct query *q, const struct options *o, struct piece *piece,
                         uint16_t rcode, uint16_t flags) {
  struct message_writer w;
  reply_begin_usual(&w, s, q->job, o, flags);
  if (!put_piece(&w, piece, q)) return false;
  reply_end_usual(&w, s, q->job, o, rcode, false);
  return true;
}

/* Negative ones that are proved: what other answers have, too, and what proves it of this name alone. */
__attribute__((noinline)) static bool answer_denied(const struct server *s, const struct query *q, const struct options *o,
                                                    uint16_t rcode) {
  const struct zone_lookup *here = &q->lookup;
  struct known_zone *known = memory_zone(s->memory, here->snap);
  struct piece *piece = rcode == RCODE_NXDOMAIN ? &known->no_name : &known->soa[true];
  const struct zone_node *own = denial_own(q);
  struct message_writer w;
  struct message_owner owner;
  struct zone_rrset set;
  if (!own || !seen_is(piece->zone, here->snap) || !find(own, denial_type_of(here->snap), &set)) return false;
  if (rcode == RCODE_NXDOMAIN && piece->suffix != here->found.encloser_key_size + 1u) return false;
  reply_begin_usual(&w, s, q->job, o, FLAG_AA);
  if (!put_piece(&w, piece, q)) return false;
  bool has_own = false;
  for (unsigned i = 0; i < piece->proof_count; i++)
    has_own |= piece->proofs[i] == own;
  if (!has_own) owner_of(&w, q, here->snap, own, &owner);
  bool fits = has_own || message_put_rrset(&w, SECTION_AUTHORITY, &owner, set.rrs, set.count, set.sig_count);
  reply_end_usual(&w, s, q->job, o, rcode, !fits);
  return true;
}

INLINE bool answer_negative(const struct server *s, const struct query *q, const struct options *o, uint16_t rcode) {
  bool dnssec = q->job->request.edns.dnssec_ok;
  if (dnssec && zone_is_signed(q->lookup.snap)) return answer_denied(s, q, o, rcode);
  return answer_again(s, q, o, &memory_zone(s->memory, q->lookup.snap)->soa[dnssec], rcode, FLAG_AA);
}

/* What needs no look at a chain or additional records, for a request without TSIG. */
INLINE bool answer_usual(const struct server *s, const struct query *q, struct options *o, bool *nothing) {
  const struct zone_answer *f = &q->lookup.found;
  const struct request *req = &q->job->request;
  *nothing = false;
  if (req->tsig_at || f->dname) return false;
  o->size = 0;
  if (req->edns.wants_option) {
    if (reply_is_padded(q->job)) return false;
    reply_add_options(o, s, q->job, q->lookup.entry);
  }
  if (is_referral(f, req->qtype)) {
    struct piece *piece = memory_referral(s->memory, f->cut, req->edns.dnssec_ok);
    return piece_is_of_cut(piece, q) && answer_again(s, q, o, piece, RCODE_NOERROR, 0);
  }
  if (f->exists) {
    if (!f->node || f->cut || req->qtype == RR_ANY || req->qtype == RR_RRSIG) return false;
    if (answer_addresses(s, q, o, nothing)) return true;
  }
  bool negative = f->exists ? *nothing : !f->wildcard_exists;
  return negative && answer_negative(s, q, o, f->exists ? RCODE_NOERROR : RCODE_NXDOMAIN);
}

/* Any other one. */
__attribute__((noinline)) static void answer_any(struct reply *r, const struct server *s, const struct query *q, bool nothing) {
  r->query = q;
  r->lookup = &q->lookup;
  r->damaged = false;
  /* AA speaks of the first name (RFC 1034 §4.1.1): a chain that ends in a referral keeps it. */
  reply_start(r, s, q->job, q->lookup.entry, FLAG_AA);
  resolve_name(r, nothing);
  note_damage(r);
  if (r->damaged || r->rcode == RCODE_SERVFAIL) give_up(r);
  else reply_finish(r);
}

void resolve(const struct server *s, struct query *const *queries, size_t count) {
  struct reply reply;
  bool nothing;
  for (size_t i = 0; i < count; i++)
    if (!answer_usual(s, queries[i], &reply.options, &nothing) || zone_damage()) answer_any(&reply, s, queries[i], nothing);
}
