#include "xfr/axfr_out.h"

#include "base/serial.h"
#include "xfr/digest_option.h"

#include <stdlib.h>

/* Compression can point at names in the first 16 KiB only (RFC 1035 §4.1.4), so a message gains nothing by being longer. */
enum { MESSAGE_BYTES = 0x4000, OPT_BYTES = 11 };

enum stage { STAGE_FIRST_SOA, STAGE_RECORDS, STAGE_LAST_SOA, STAGE_DONE };

/* Where the labels of the last owner stand in the message at hand. Owners come in canonical order, so what an owner shares with the
 * one before is as much as it shares with any, and needs no search. An owner of `key_size` octets of key below the apex, or an
 * ancestor of it, stands at `at`; the first step is the apex. */
struct trail {
  const struct zone_node *node; /* NULL: nothing is known of this message */
  struct message_owner owner;   /* how the node in hand is written */
  unsigned depth;
  struct step {
    uint16_t key_size, at; /* at 0: the root */
  } steps[LIMIT_NAME_LABELS];
};

struct axfr_out {
  struct zone_snap *snap;
  struct zone_cursor cursor;
  struct tsig_stream tsig;
  struct axfr_out_count count;
  enum stage stage;
  bool soa_only; /* IXFR of somebody who has our serial */
  uint32_t client_serial;
  struct ixfr_chain *chain; /* the changes to send; NULL: the zone */
  bool has_edns, wants_digest;
  uint16_t id, flags, qtype;
  struct name qname; /* as it was asked */
  /* The SOA, in the snapshot. */
  const uint8_t *soa;
  uint16_t soa_size;
  uint32_t soa_ttl;
  /* Where the walk is: RRset `set_index` of `node`, with `left` records (then `sigs_left` signatures) to go at `at`. */
  const struct zone_node *node;
  struct name owner; /* of it, in full; only if has_owner */
  bool has_owner;
  struct trail trail;
  unsigned set_count, set_index;
  struct zone_rrset set;
  unsigned left, sigs_left;
  const uint8_t *at;
};

static bool find_soa(struct axfr_out *a) {
  struct zone_rrset set;
  if (!zone_find_rrset(zone_apex_node(a->snap), RR_SOA, &set) || set.count == 0) return false;
  const uint8_t *p = set.rrs;
  zone_rr_next(&p, &a->soa, &a->soa_size);
  a->soa_ttl = set.ttl;
  return true;
}

/* The serial in an IXFR request's authority section (RFC 1995 §3). */
static enum err client_serial(const struct request *req, uint32_t *out) {
  struct message m;
  struct rd body;
  struct name qname;
  uint16_t qtype, qclass;
  struct message_rr rr;
  uint8_t rdata[2 * LIMIT_NAME_BYTES + 20];
  struct wr w = wr_make(rdata, sizeof rdata);
  if (message_open(req->bytes, req->size, &m, &body) || message_question(&m, &body, &qname, &qtype, &qclass)) return ERR_FORMAT;
  if (m.counts[SECTION_ANSWER] != 0 || m.counts[SECTION_AUTHORITY] == 0 || message_rr(&m, &body, &rr)) return ERR_FORMAT;
  if (rr.type != RR_SOA || rr_rdata_read(&rr.rdata, rr.rdata_size, m.bytes, RR_SOA, &w)) return ERR_FORMAT;
  *out = get_u32(rdata + wr_used(&w) - 20);
  return ERR_OK;
}

enum err axfr_out_begin(const struct zone_snap *snap, const struct request *req, const struct tsig_stream *tsig,
                        struct axfr_out **out) {
  uint32_t serial = 0;
  if (req->qtype == RR_IXFR) {
    enum err e = client_serial(req, &serial);
    if (e) return e;
  }
  struct axfr_out *a = calloc(1, sizeof *a);
  if (!a) return ERR_MEMORY;
  a->snap = zone_snap_ref(snap);
  a->soa_only = req->qtype == RR_IXFR && !serial_gt(zone_serial(snap), serial);
  a->client_serial = serial;
  a->has_edns = req->edns.present;
  a->wants_digest = digest_option_asked(req);
  a->id = req->id;
  a->flags = (uint16_t)(FLAG_QR | FLAG_AA | (req->flags & FLAG_RD));
  a->qname = req->qname;
  a->qtype = req->qtype;
  enum err e = find_soa(a) ? zone_cursor_open(a->snap, &a->cursor) : ERR_NOT_FOUND;
  if (e) {
    axfr_out_free(a);
    return e;
  }
  a->tsig = *tsig;
  *out = a;
  return ERR_OK;
}

void axfr_out_free(struct axfr_out *a) {
  if (!a) return;
  if (a->cursor.state) zone_cursor_close(&a->cursor);
  ixfr_chain_free(a->chain);
  zone_snap_unref(a->snap);
  free(a);
}

bool axfr_out_wants_changes(const struct axfr_out *a, uint32_t *client_serial) {
  *client_serial = a->client_serial;
  return a->qtype == RR_IXFR && !a->soa_only;
}

void axfr_out_changes(struct axfr_out *a, struct ixfr_chain *chain) {
  a->chain = chain;
}

struct axfr_out_count axfr_out_count(const struct axfr_out *a) {
  return a->count;
}

/* ---- the walk ---- */

static void open_set(struct axfr_out *a) {
  zone_rrset_at(a->node, a->set_index, &a->set);
  bool is_soa = a->set.type == RR_SOA && a->node == zone_apex_node(a->snap); /* stands at both ends, not here */
  a->left = is_soa ? 0 : a->set.count;
  a->sigs_left = a->set.sig_count;
  a->at = a->left ? a->set.rrs : a->set.sigs;
}

/* Moves to the next record there is; false: there are no more. */
static bool more(struct axfr_out *a) {
  while (!a->left && !a->sigs_left) {
    if (a->node && a->set_index + 1 < a->set_count) {
      a->set_index++;
    } else {
      a->node = zone_cursor_next(&a->cursor);
      if (!a->node) return false;
      a->has_owner = false;
      a->set_count = zone_rrset_count(a->node);
      a->set_index = 0;
      if (a->set_count == 0) continue;
    }
    open_set(a);
  }
  return true;
}

/* ---- owners ---- */

enum { POINTER_MAX = 0x3fff };

/* The labels of an owner whose own part was written out at `at`, in front of what stands for the last step. */
static void trail_extend(struct trail *t, const uint8_t *labels, size_t size, size_t at) {
  uint8_t starts[LIMIT_NAME_LABELS];
  unsigned count = 0;
  for (size_t i = 0; i < size; i += labels[i] + 1u)
    starts[count++] = (uint8_t)i;
  uint16_t base = t->steps[t->depth - 1].key_size;
  while (count-- > 0 && at + starts[count] <= POINTER_MAX)
    t->steps[t->depth++] = (struct step){(uint16_t)(base + size - starts[count]), (uint16_t)(at + starts[count])};
}

/* The step that is the owner of the last record, or the longest of its ancestors, that the next one shares. Steps that it does not
 * share are forgotten; false: it shares more than could be pointed at. */
static bool trail_back(struct trail *t, size_t shared) {
  while (t->steps[t->depth - 1].key_size > shared)
    t->depth--;
  return t->steps[t->depth - 1].key_size == shared;
}

/* How the owner of the node in hand is written; false: by its full name. */
static bool trail_owner(struct axfr_out *a, const struct message_writer *w) {
  struct trail *t = &a->trail;
  uint8_t labels[LIMIT_NAME_BYTES];
  size_t size, shared;
  if (t->node == a->node) return true;
  if (!t->node || !zone_node_labels_after(a->node, t->node, labels, &size, &shared) || !trail_back(t, shared)) return false;
  size_t parent = t->steps[t->depth - 1].at;
  if (size == 0 && parent) message_owner_at(&t->owner, parent);
  else message_owner_begun(&t->owner, labels, size, parent);
  trail_extend(t, labels, size, wr_used(&w->out));
  t->node = a->node;
  return true;
}

/* The owner of `node` stands in full at `at`. */
static void trail_begin(struct axfr_out *a, const struct zone_node *node, size_t at) {
  struct trail *t = &a->trail;
  uint8_t labels[LIMIT_NAME_BYTES];
  size_t size, shared;
  if (!zone_node_labels_after(node, NULL, labels, &size, &shared)) return;
  t->node = node;
  t->depth = 1;
  t->steps[0] = (struct step){0, (uint16_t)(zone_apex(a->snap)->labels ? at + size : 0)}; /* the root is not pointed at */
  trail_extend(t, labels, size, at);
  if (t->steps[t->depth - 1].at) message_owner_at(&t->owner, at);
  else message_owner_begun(&t->owner, labels, 0, 0);
}

static bool put_in_full(struct axfr_out *a, struct message_writer *w, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                        uint16_t size) {
  if (!a->has_owner) zone_node_owner(a->snap, a->node, &a->owner);
  a->has_owner = true;
  size_t at = wr_used(&w->out);
  bool first = at == MESSAGE_HEADER_BYTES; /* nothing to point at */
  if (!message_put_rr(w, SECTION_ANSWER, a->owner.octets, type, CLASS_IN, ttl, rdata, size)) return false;
  if (first) trail_begin(a, a->node, at);
  return true;
}

static bool put_record(struct axfr_out *a, struct message_writer *w) {
  const uint8_t *next = a->at, *rdata;
  uint16_t size;
  zone_rr_next(&next, &rdata, &size);
  bool fits = trail_owner(a, w) ? message_put_rrset(w, SECTION_ANSWER, &a->trail.owner, a->at, 1, 0)
                                : put_in_full(a, w, rr_ready_type(a->at), rr_ready_ttl(a->at), rdata, size);
  if (!fits) return false;
  a->at = next;
  if (!a->left) a->sigs_left--;
  else if (--a->left == 0) a->at = a->set.sigs;
  return true;
}

static bool put_change(struct axfr_out *a, struct message_writer *w) {
  const struct delta_record *r = ixfr_chain_at(a->chain);
  if (!message_put_rr(w, SECTION_ANSWER, r->owner.octets, r->type, CLASS_IN, r->ttl, r->rdata, r->size)) return false;
  ixfr_chain_step(a->chain);
  return true;
}

/* Puts records until there are no more, or no room: then false. */
static bool put_records(struct axfr_out *a, struct message_writer *w) {
  if (!a->chain) {
    while (more(a))
      if (!put_record(a, w)) return false;
    return true;
  }
  while (ixfr_chain_at(a->chain))
    if (!put_change(a, w)) return false;
  return true;
}

static bool put_soa(struct axfr_out *a, struct message_writer *w) {
  return message_put_rr(w, SECTION_ANSWER, zone_apex(a->snap)->octets, RR_SOA, CLASS_IN, a->soa_ttl, a->soa, a->soa_size);
}

/* Puts what fits. */
static void fill(struct axfr_out *a, struct message_writer *w) {
  if (a->stage == STAGE_FIRST_SOA && put_soa(a, w)) a->stage = a->soa_only ? STAGE_DONE : STAGE_RECORDS;
  if (a->stage == STAGE_RECORDS && put_records(a, w)) a->stage = STAGE_LAST_SOA;
  if (a->stage == STAGE_LAST_SOA && put_soa(a, w)) a->stage = STAGE_DONE;
}

enum err axfr_out_next(struct axfr_out *a, uint8_t *buffer, size_t capacity, int64_t now_s, size_t *size, bool *done) {
  bool first = a->count.messages == 0;
  size_t limits[] = {MESSAGE_BYTES, LIMIT_MESSAGE_BYTES}; /* the second for a record that is too big for the first */
  struct message_writer w;
  uint8_t option[DIGEST_OPTION_BYTES];
  size_t option_size = first && a->wants_digest ? digest_option_write(a->snap, option) : 0;
  for (unsigned i = 0; i < 2; i++) {
    message_start(&w, buffer, limits[i] < capacity ? limits[i] : capacity, a->id, a->flags);
    w.reserve = tsig_reserve(&a->tsig) + (first && a->has_edns ? OPT_BYTES + option_size : 0);
    if (first && !message_put_question(&w, &a->qname, a->qtype, CLASS_IN)) return ERR_SPACE;
    a->trail.node = NULL;
    if (first && name_identical(&a->qname, zone_apex(a->snap))) trail_begin(a, zone_apex_node(a->snap), MESSAGE_HEADER_BYTES);
    fill(a, &w);
    if (section_count(w.counts, SECTION_ANSWER)) break;
  }
  if (zone_is_damaged(a->snap)) return ERR_CORRUPT;
  if (!section_count(w.counts, SECTION_ANSWER)) return ERR_SPACE;
  if (first && a->has_edns && !message_put_opt(&w, LIMIT_UDP_RESPONSE_BYTES, 0, 0, option, option_size)) return ERR_SPACE;
  uint64_t records = section_count(w.counts, SECTION_ANSWER);
  size_t n = message_finish(&w, RCODE_NOERROR);
  enum err e = tsig_sign_response(&a->tsig, first, buffer, &n, capacity, now_s);
  if (e) return e;
  a->count.messages++;
  a->count.records += records;
  a->count.bytes += n;
  *size = n;
  *done = a->stage == STAGE_DONE;
  return ERR_OK;
}
