/* Class CH: what the server says of itself (RFC 4892), only when the operator gave it an identity. */
#include "answer/reply_priv.h"

#define WIRE(labels, text) \
  { sizeof(text), labels, text }

enum chaos_text { CHAOS_IDENTITY, CHAOS_PRODUCT };

static const struct {
  struct name name;
  enum chaos_text text;
} chaos_names[] = {
    {WIRE(2, "\x02id\x06server"), CHAOS_IDENTITY},
    {WIRE(2, "\x08hostname\x04\x62ind"), CHAOS_IDENTITY},
    {WIRE(2, "\x07version\x06server"), CHAOS_PRODUCT},
    {WIRE(2, "\x07version\x04\x62ind"), CHAOS_PRODUCT},
};

static size_t chaos_rdata(const struct answer_identity *id, enum chaos_text text, uint8_t out[1 + sizeof id->nsid]) {
  static const char product[] = "Tandem";
  const void *from = text == CHAOS_IDENTITY ? (const void *)id->nsid : product;
  size_t n = text == CHAOS_IDENTITY ? id->nsid_size : sizeof product - 1;
  out[0] = (uint8_t)n;
  memcpy(out + 1, from, n);
  return 1 + n;
}

void chaos(const struct server *s, struct answer_job *job) {
  const struct request *req = &job->request;
  size_t count = sizeof chaos_names / sizeof chaos_names[0], i = 0;
  while (i < count && !name_equal(&chaos_names[i].name, &req->qname))
    i++;
  if (s->id->nsid_size == 0 || i == count || (req->qtype != RR_TXT && req->qtype != RR_ANY)) {
    reply_rcode(s, job, RCODE_REFUSED, EDE_NOT_AUTHORITATIVE, "");
    return;
  }
  uint8_t rdata[1 + sizeof s->id->nsid];
  size_t n = chaos_rdata(s->id, chaos_names[i].text, rdata);
  struct reply r;
  reply_start(&r, s, job, NULL, FLAG_AA);
  r.truncated = !message_put_rr(&r.writer, SECTION_ANSWER, NULL, RR_TXT, CLASS_CH, 0, rdata, n);
  reply_finish(&r);
}
