/* What answers of a batch have in common stands right behind the question. In negative ones it is the SOA, and with DO its
 * signature and what proves the closest encloser and that it has no wildcard; in referrals to the same zone it is all. It is the
 * same octets in each, but that its pointers are farther from the start by as much as the question is longer. So the first answer
 * writes it and the next ones copy it from there.
 *
 *   header | question .......zone | SOA  mname*  rname* | RRSIG | NSEC of the wildcard | RRSIG | what proves the name itself ...
 *                            ^------*----*-------*--------*------ pointers: to the common end of the questions, or into the piece
 *                                   '-- from                                           '-- to
 */
#include "answer/answer_priv.h"

#include <assert.h>

enum { POINTER = 0xc000, POINTER_MAX = 0x3fff, RR_FIXED_BYTES = 10, TYPE_AND_CLASS_BYTES = 4 };

void piece_note(const struct reply *r, struct piece *p, size_t suffix) {
  const struct message_writer *w = &r->writer;
  p->snap = r->lookup->snap;
  p->cut = r->lookup->found.cut;
  p->message = w->out.base;
  p->from = (uint16_t)r->job->request.question_end;
  p->to = (uint16_t)wr_used(&w->out);
  p->counts = w->counts;
  p->suffix = (uint8_t)suffix;
  p->dnssec = r->dnssec;
  p->read = false;
  assert(r->common_proofs <= PIECE_PROOFS_MAX); /* it stands alone: no chain has led here */
  p->proof_count = (uint8_t)r->common_proofs;
  for (unsigned i = 0; i < p->proof_count; i++)
    p->proofs[i] = r->proofs[i].node;
}

/* Steps over a name; false: its pointer leads to what other questions have not. */
static bool read_name(struct piece *p, size_t *at) {
  const uint8_t *m = p->message;
  for (; m[*at] && m[*at] < POINTER >> 8; *at += m[*at] + 1u)
    continue;
  if (m[*at] == 0) {
    *at += 1;
    return true;
  }
  size_t target = get_u16(m + *at) & POINTER_MAX, question_name_end = p->from - (size_t)TYPE_AND_CLASS_BYTES;
  if (target + p->suffix < question_name_end || p->pointer_count == PIECE_POINTERS_MAX) return false;
  p->pointers[p->pointer_count++] = (uint16_t)(*at - p->from);
  *at += 2;
  return true;
}

/* Finds its pointers. */
static bool read_piece(struct piece *p) {
  p->read = true;
  p->pointer_count = 0;
  for (size_t at = p->from; at < p->to;) {
    if (!read_name(p, &at)) return false;
    uint16_t type = get_u16(p->message + at), size = get_u16(p->message + at + 8);
    at += RR_FIXED_BYTES;
    size_t behind = at + size;
    if (type == RR_SOA && (!read_name(p, &at) || !read_name(p, &at))) return false;
    if (type == RR_NS && !read_name(p, &at)) return false; /* others have no names that are compressed */
    at = behind;
  }
  return true;
}

bool piece_fits(struct piece *p, const struct query *q) {
  const struct request *req = &q->job->request;
  if (p->snap != q->lookup.snap || p->dnssec != req->edns.dnssec_ok || !is_plain(q)) return false;
  if (req->question_end + piece_size(p) > POINTER_MAX) return false;
  /* names that point there come out in that case */
  const uint8_t *end = req->bytes + req->question_end - TYPE_AND_CLASS_BYTES;
  if (!bytes_equal(p->message + p->from - TYPE_AND_CLASS_BYTES - p->suffix, end - p->suffix, p->suffix)) return false;
  if (!p->read && !read_piece(p)) p->snap = NULL;
  return p->snap;
}

void piece_copy(const struct piece *p, uint8_t *to, size_t at) {
  unsigned count = p->pointer_count, farther = (unsigned)at - p->from; /* read once: what is written might be the piece */
  bytes_copy(to, p->message + p->from, piece_size(p));
  for (const uint16_t *next = p->pointers, *end = next + count; next < end; next++)
    put_u16(to + *next, (uint16_t)(get_u16(to + *next) + farther));
}
