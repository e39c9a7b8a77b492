/* Begin and end of a response. Every answer passes here, so what each has is inline, and what few have is called in reply.c. */
#ifndef ANSWER_REPLY_PRIV_H
#define ANSWER_REPLY_PRIV_H

#include "answer/answer_priv.h"

#include <assert.h>

/* Options that the request asked for; `entry` (may be NULL) is the zone that answers. */
void reply_add_options(struct options *o, const struct server *s, const struct answer_job *job, const struct zone_entry *entry);
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

/* Header, question and the reserve for OPT and TSIG. `flags` is FLAG_AA or 0. */
INLINE void reply_begin(struct message_writer *w, const struct server *s, struct answer_job *job, size_t reserve, uint16_t flags) {
  const struct request *req = &job->request;
  size_t limit = reply_limit(s, job), least = req->question_end + reserve;
  if (limit < least) limit = least; /* long names in question and TSIG: the request was as long */
  assert(limit <= job->capacity);
  flags = (uint16_t)(flags | FLAG_QR | (req->flags & (FLAG_OPCODE_MASK | FLAG_RD | FLAG_CD)));
  message_start_response(w, job->out, limit, reserve, req, flags);
}

INLINE void reply_put_opt(struct message_writer *w, const struct server *s, const struct request *req, uint16_t rcode,
                          const uint8_t *options, size_t options_size) {
  bool fits = message_put_opt(w, s->id->udp_bytes, rcode, req->edns.dnssec_ok ? EDNS_F_DO : 0, options, options_size);
  assert(fits);
  (void)fits;
}

/* Ends the message and fills the result; returns the size. */
INLINE size_t reply_end(struct message_writer *w, struct answer_job *job, uint16_t rcode, int ede, bool truncated) {
  if (truncated) w->flags |= FLAG_TC;
  size_t size = message_finish(w, rcode);
  job->result.kind = ANSWER_REPLY;
  job->result.size = (uint16_t)size;
  job->result.rcode = rcode;
  job->result.ede = (int8_t)ede;
  job->result.truncated = truncated;
  return size;
}

/* Padding is the last that is decided of a message. */
INLINE bool reply_is_padded(const struct answer_job *job) {
  return job->request.edns.padding && job->client.transport == TRANSPORT_TLS;
}

/* The same two for a request without TSIG whose response's options are known. */
INLINE void reply_begin_usual(struct message_writer *w, const struct server *s, struct answer_job *job, const struct options *o,
                              uint16_t flags) {
  reply_begin(w, s, job, job->request.edns.present ? OPT_FIXED_BYTES + o->size : 0, flags);
}
INLINE void reply_end_usual(struct message_writer *w, const struct server *s, struct answer_job *job, const struct options *o,
                            uint16_t rcode, bool truncated) {
  if (job->request.edns.present) reply_put_opt(w, s, &job->request, rcode, o->octets, o->size);
  reply_end(w, job, rcode, EDE_NONE, truncated);
}

INLINE void reply_start(struct reply *r, const struct server *s, struct answer_job *job, const struct zone_entry *entry,
                        uint16_t flags) {
  const struct request *req = &job->request;
  r->server = s;
  r->job = job;
  r->rcode = RCODE_NOERROR;
  r->ede = EDE_NONE;
  r->ede_text = "";
  r->dnssec = req->edns.dnssec_ok;
  r->truncated = false;
  r->options.size = 0;
  size_t reserve = req->tsig_at ? tsig_reserve(&job->tsig) : 0;
  if (req->edns.present) {
    if (req->edns.wants_option) reply_add_options(&r->options, s, job, entry);
    reserve += OPT_FIXED_BYTES + r->options.size;
  }
  reply_begin(&r->writer, s, job, reserve, flags);
}

/* OPT and TSIG; fills the result. */
INLINE void reply_finish(struct reply *r) {
  struct answer_job *job = r->job;
  const struct request *req = &job->request;
  if (req->edns.present) {
    if (r->ede != EDE_NONE || reply_is_padded(job)) reply_add_last_options(r);
    reply_put_opt(&r->writer, r->server, req, r->rcode, r->options.octets, r->options.size);
  }
  size_t size = reply_end(&r->writer, job, r->rcode, r->ede, r->truncated);
  if (job->tsig.key || job->tsig.error) reply_sign(r, size);
}

#endif
