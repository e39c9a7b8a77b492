/* Begin and end of a response. Every answer passes here, so what each has is inline, and what few have is called in reply.c. */
#ifndef ANSWER_REPLY_PRIV_H
#define ANSWER_REPLY_PRIV_H

#include "answer/answer_priv.h"

#include <assert.h>

/* Options that the request asked for. */
void reply_add_options(struct reply *r, const struct zone_entry *entry);
/* Those that the end decides: EDE, padding. */
void reply_add_last_options(struct reply *r);
/* Signs what is written, `size` octets, and fills kind and size of the result. */
void reply_sign(struct reply *r, size_t size);

#define INLINE static inline __attribute__((always_inline))

INLINE size_t reply_limit(const struct server *s, const struct answer_job *job) {
  size_t limit = LIMIT_MESSAGE_BYTES;
  if (job->client.transport == TRANSPORT_UDP) {
    limit = LIMIT_UDP_PLAIN_BYTES;
    if (job->request.edns.present && job->request.edns.udp_bytes > limit) {
      limit = job->request.edns.udp_bytes;
      if (limit > s->id->udp_bytes) limit = s->id->udp_bytes;
      if (limit < LIMIT_UDP_PLAIN_BYTES) limit = LIMIT_UDP_PLAIN_BYTES;
    }
  }
  return limit < job->capacity ? limit : job->capacity;
}

/* Header, question and the reserve for OPT and TSIG. `entry` (may be NULL) is the zone that answers, `flags` is FLAG_AA or 0. */
INLINE void reply_start(struct reply *r, const struct server *s, struct answer_job *job, const struct zone_entry *entry,
                        uint16_t flags) {
  const struct request *req = &job->request;
  r->server = s;
  r->job = job;
  r->rcode = RCODE_NOERROR;
  r->ede = EDE_NONE;
  r->ede_text = "";
  r->dnssec = req->edns.present && req->edns.dnssec_ok;
  r->truncated = false;
  r->options_size = 0;
  size_t reserve = req->tsig_at ? tsig_reserve(&job->tsig) : 0;
  if (req->edns.present) {
    if (req->edns.options_size) reply_add_options(r, entry);
    reserve += OPT_FIXED_BYTES + r->options_size;
  }
  r->limit = reply_limit(s, job);
  size_t least = req->question_end + reserve;
  if (r->limit < least) r->limit = least; /* long names in question and TSIG: the request was as long */
  assert(r->limit <= job->capacity);
  flags = (uint16_t)(flags | FLAG_QR | (req->flags & (FLAG_OPCODE_MASK | FLAG_RD | FLAG_CD)));
  message_start_response(&r->writer, job->out, r->limit, reserve, req, flags);
}

/* OPT and TSIG; fills the result. */
INLINE void reply_finish(struct reply *r) {
  struct answer_job *job = r->job;
  const struct edns *edns = &job->request.edns;
  struct answer_result *result = &job->result;
  if (r->truncated) message_set_flags(&r->writer, FLAG_TC);
  if (edns->present) {
    if (r->ede != EDE_NONE || edns->padding) reply_add_last_options(r);
    uint16_t flags = r->dnssec ? EDNS_F_DO : 0;
    bool fits = message_put_opt(&r->writer, r->server->id->udp_bytes, r->rcode, flags, r->options, r->options_size);
    assert(fits);
    (void)fits;
  }
  size_t size = message_finish(&r->writer, r->rcode);
  result->kind = ANSWER_REPLY;
  result->size = (uint16_t)size;
  result->rcode = r->rcode;
  result->ede = (int8_t)r->ede;
  result->truncated = r->truncated;
  if (job->tsig.key || job->tsig.error) reply_sign(r, size);
}

#endif
