/* What answers have in common stands right behind the question. In negative ones it is the SOA, and with DO its signature and what
 * proves the closest encloser and that it has no wildcard; in referrals to the same zone it is all. It is the same octets in each,
 * but that its pointers are farther from the start by as much as the question is longer. So the first answer writes it, it is kept,
 * and the next ones copy it.
 *
 *   header | question .......zone | SOA  mname*  rname* | RRSIG | NSEC of the wildcard | RRSIG | what proves the name itself ...
 *                            ^------*----*-------*--------*------ pointers: to the common end of the questions, or into the piece
 *                            |      '-- from
 *                            '-- kept from here on
 *
 * Zones below one zone have the same servers, many of them. So of a referral the NS records and the addresses, between which the
 * proof stands, are kept as a piece, too, and go into referrals to other zones: the owner of the NS records is set, the proof is
 * found.
 *
 *   header | question ...cut.zone | NS server* | DS RRSIG | server* A  server* AAAA
 *                                 '-- front ---'          '-- the rest
 */
#include "answer/answer_priv.h"

#include <assert.h>
#include <stdlib.h>

enum { POINTER = 0xc000, POINTER_MAX = 0x3fff, RR_FIXED_BYTES = 10, TYPE_AND_CLASS_BYTES = 4 };

struct answer_memory *answer_memory_new(void) {
  return calloc(1, sizeof(struct answer_memory));
}

void answer_memory_free(struct answer_memory *m) {
  free(m);
}

void answer_memory_clear(struct answer_memory *m) {
  memset(m, 0, sizeof *m);
}

/* Octets kept in front of it. */
static inline size_t piece_at(const struct piece *p) {
  return p->suffix + (size_t)TYPE_AND_CLASS_BYTES;
}

/* Begins to note what stands behind the question until `end`; false: it is too long. */
static bool note(const struct reply *r, struct piece *p, size_t suffix, size_t end) {
  size_t from = r->job->request.question_end, before = suffix + TYPE_AND_CLASS_BYTES, size = end - from;
  if (before + size > sizeof p->octets || zone_damage()) return false;
  p->zone = seen_now(r->lookup->snap);
  p->from = (uint16_t)from;
  p->size = (uint16_t)size;
  p->front = 0;
  p->suffix = (uint8_t)suffix;
  p->dnssec = r->dnssec;
  p->read = false;
  bytes_copy(p->octets, r->writer.out.base + from - before, before + size);
  return true;
}

void piece_note(const struct reply *r, struct piece *p, size_t suffix) {
  if (!note(r, p, suffix, wr_used(&r->writer.out))) return;
  p->cut = r->lookup->found.cut;
  p->counts = r->writer.counts;
  assert(r->common_proofs <= PIECE_PROOFS_MAX); /* it stands alone: no chain has led here */
  p->proof_count = (uint8_t)r->common_proofs;
  for (unsigned i = 0; i < p->proof_count; i++)
    p->proofs[i] = r->proofs[i].node;
}

void piece_note_servers(const struct reply *r, struct piece *p, const uint8_t *ns, size_t ns_size, size_t ns_end,
                        size_t addresses_at) {
  const struct message_writer *w = &r->writer;
  const struct zone_snap *snap = r->lookup->snap;
  size_t addresses = wr_used(&w->out) - addresses_at;
  if (!note(r, p, zone_node_key_size(snap, zone_apex_node(snap)) + 1, ns_end)) return;
  uint8_t *end = p->octets + piece_at(p) + p->size;
  if (addresses > (size_t)(p->octets + sizeof p->octets - end)) {
    p->zone.snap = NULL;
    return;
  }
  bytes_copy(end, w->out.base + addresses_at, addresses);
  p->front = p->size;
  p->size = (uint16_t)(p->size + addresses);
  p->ns = ns;
  p->ns_size = (uint16_t)ns_size;
  p->address_count = (uint16_t)section_count(w->counts, SECTION_ADDITIONAL);
}

/* Steps over a name; false: its pointer leads to what other questions have not. */
static bool read_name(struct piece *p, size_t *at) {
  const uint8_t *octets = p->octets + piece_at(p);
  for (; octets[*at] && octets[*at] < POINTER >> 8; *at += octets[*at] + 1u)
    continue;
  if (octets[*at] == 0) {
    *at += 1;
    return true;
  }
  size_t target = get_u16(octets + *at) & POINTER_MAX, question_name_end = p->from - (size_t)TYPE_AND_CLASS_BYTES;
  if (target + p->suffix < question_name_end || p->pointer_count == PIECE_POINTERS_MAX) return false;
  p->pointers[p->pointer_count++] = (uint16_t)*at;
  *at += 2;
  return true;
}

/* Finds its pointers. */
static bool read_piece(struct piece *p) {
  const uint8_t *octets = p->octets + piece_at(p);
  p->read = true;
  p->pointer_count = p->front_pointers = 0;
  for (size_t at = 0; at < p->size;) {
    bool is_front = at < p->front;
    if (is_front) at += 2; /* a pointer to the cut, which is set anew */
    else if (!read_name(p, &at)) return false;
    uint16_t type = get_u16(octets + at), size = get_u16(octets + at + 8);
    at += RR_FIXED_BYTES;
    size_t behind = at + size;
    if (type == RR_SOA && (!read_name(p, &at) || !read_name(p, &at))) return false;
    if (type == RR_NS && !read_name(p, &at)) return false; /* others have no names that are compressed */
    if (is_front) p->front_pointers = p->pointer_count;
    at = behind;
  }
  return true;
}

bool piece_fits(struct piece *p, const struct query *q) {
  const struct request *req = &q->job->request;
  if (!seen_is(p->zone, q->lookup.snap) || p->dnssec != req->edns.dnssec_ok || !is_plain(q)) return false;
  if (req->question_end + p->size > POINTER_MAX) return false;
  /* names that point there come out in that case */
  const uint8_t *end = req->bytes + req->question_end - TYPE_AND_CLASS_BYTES;
  if (!bytes_equal(p->octets, end - p->suffix, p->suffix)) return false;
  if (!p->read && !read_piece(p)) p->zone.snap = NULL;
  return p->zone.snap;
}

bool piece_has_servers(struct piece *p, const struct query *q, const uint8_t *ns, size_t ns_size) {
  return seen_is(p->zone, q->lookup.snap) && p->ns_size == ns_size && bytes_equal(p->ns, ns, ns_size) && piece_fits(p, q);
}

/* Copies its octets from `at` to `end` with their pointers, from number `next` to `last`. */
static inline void copy(const struct piece *p, size_t at, size_t end, unsigned next, unsigned last, unsigned farther, uint8_t *to) {
  bytes_copy(to, p->octets + piece_at(p) + at, end - at);
  for (to -= at; next < last; next++) {
    uint8_t *pointer = to + p->pointers[next];
    put_u16(pointer, (uint16_t)(get_u16(pointer) + farther));
  }
}

void piece_copy(const struct piece *p, uint8_t *to, size_t at) {
  copy(p, 0, p->size, 0, p->pointer_count, (unsigned)at - p->from, to);
}

/* By how much pointers of this message are farther from its start. */
static inline unsigned farther_in(const struct piece *p, const struct message_writer *w) {
  return MESSAGE_HEADER_BYTES + w->question_size + (unsigned)TYPE_AND_CLASS_BYTES - p->from;
}

bool piece_put_ns(const struct piece *p, struct message_writer *w, uint16_t owner) {
  uint8_t *rr = w->out.at, *end = rr + p->front;
  if (wr_left(&w->out) < p->front + w->reserve) return false;
  copy(p, 0, p->front, 0, p->front_pointers, farther_in(p, w), rr);
  for (; rr < end; rr += RR_READY_BYTES + rr_ready_size(rr)) {
    put_u16(rr, owner);
    w->counts += UINT64_C(1) << section_shift(SECTION_AUTHORITY);
  }
  w->out.at = end;
  return true;
}

bool piece_put_addresses(const struct piece *p, struct message_writer *w) {
  size_t size = (size_t)(p->size - p->front);
  if (wr_left(&w->out) < size + w->reserve) return false;
  copy(p, p->front, p->size, p->front_pointers, p->pointer_count, farther_in(p, w), w->out.at);
  w->out.at += size;
  w->counts += (uint64_t)p->address_count << section_shift(SECTION_ADDITIONAL);
  return true;
}
