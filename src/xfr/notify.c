#include "xfr/notify_priv.h"

enum err notify_write(struct notify *n, const struct name *apex, const struct notify_soa *soa, const struct tsig_key *key,
                      uint16_t id, int64_t now_s, uint8_t out[NOTIFY_BYTES], size_t *size) {
  struct message_writer w;
  notify_done(n);
  n->id = id;
  message_start(&w, out, NOTIFY_BYTES, id, OPCODE_NOTIFY << FLAG_OPCODE_SHIFT | FLAG_AA);
  if (!message_put_question(&w, apex, RR_SOA, CLASS_IN) ||
      !message_put_rr(&w, SECTION_ANSWER, apex->octets, RR_SOA, CLASS_IN, soa->ttl, soa->rdata, soa->size))
    return ERR_SPACE;
  *size = message_finish(&w, 0);
  return key ? tsig_sign_request(&n->tsig, key, out, size, NOTIFY_BYTES, now_s) : ERR_OK;
}

void notify_done(struct notify *n) {
  tsig_stream_none(&n->tsig);
}

enum notify_verdict notify_judge(struct notify *n, const struct name *apex, const uint8_t *bytes, size_t size, int64_t now_s,
                                 struct xfr_what *what) {
  struct xfr_exchange x = {XFR_NOTIFY, n->id, RR_SOA, apex, &n->tsig};
  struct message m;
  struct rd body;
  if (!xfr_open(&x, bytes, size, true, &m, &body)) return NOTIFY_STRANGE;
  unsigned rcode = message_rcode(&m);
  if (rcode != RCODE_NOERROR) {
    xfr_explain_rcode(&x, &m, rcode, now_s, what);
    return rcode == RCODE_SERVFAIL ? NOTIFY_LATER : NOTIFY_REFUSED;
  }
  return xfr_verify(&x, &m, true, now_s, what) ? NOTIFY_TAKEN : NOTIFY_DOUBTFUL;
}
