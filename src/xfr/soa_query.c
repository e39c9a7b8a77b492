#include "xfr/soa_query_priv.h"

enum err soa_query_write(struct soa_query *q, const struct name *apex, const struct tsig_key *key, bool edns, uint16_t id,
                         int64_t now_s) {
  static const uint8_t ask_expire[4] = {0, EDNS_EXPIRE, 0, 0};
  struct message_writer w;
  size_t room = sizeof q->bytes;
  soa_query_done(q);
  message_start(&w, q->bytes, room, id, 0);
  w.reserve = 11 + sizeof ask_expire;
  bool fits = message_put_question(&w, apex, RR_SOA, CLASS_IN);
  if (fits && edns) fits = message_put_opt(&w, LIMIT_UDP_RESPONSE_BYTES, 0, 0, ask_expire, sizeof ask_expire);
  if (!fits) return ERR_SPACE;
  size_t size = message_finish(&w, 0);
  if (key) {
    enum err e = tsig_sign_request(&q->tsig, key, q->bytes, &size, room, now_s);
    if (e) return e;
  }
  q->id = id;
  q->edns = edns;
  q->size = (uint16_t)size;
  return ERR_OK;
}

void soa_query_done(struct soa_query *q) {
  tsig_stream_none(&q->tsig);
}

static bool read_expire(struct rd options, struct soa_answer *out) {
  while (rd_left(&options)) {
    uint16_t code, size;
    struct rd value;
    if (!rd_u16(&options, &code) || !rd_u16(&options, &size) || !rd_sub(&options, size, &value)) return false;
    if (code == EDNS_EXPIRE && rd_u32(&value, &out->expire_s)) out->has_expire = true;
  }
  return true;
}

/* The records behind the question: the zone's SOA, and OPT. */
struct found {
  bool soa;
  unsigned rcode_high;
  struct soa_answer answer;
};

static bool take_soa(const struct message *m, struct message_rr *rr, struct found *f) {
  uint8_t rdata[2 * LIMIT_NAME_BYTES + 20];
  struct wr w = wr_make(rdata, sizeof rdata);
  if (rr_rdata_read(&rr->rdata, rr->rdata_size, m->bytes, RR_SOA, &w)) return false;
  f->answer.soa = soa_times_read(rdata, wr_used(&w));
  f->soa = true;
  return true;
}

static bool read_records(const struct message *m, struct rd *body, const struct name *apex, struct found *f) {
  for (unsigned section = SECTION_ANSWER; section <= SECTION_ADDITIONAL; section++) {
    for (unsigned i = 0; i < m->counts[section]; i++) {
      struct message_rr rr;
      if (message_rr(m, body, &rr)) return false;
      if (section == SECTION_ANSWER && !f->soa && rr.type == RR_SOA && rr.class == CLASS_IN && name_equal(&rr.owner, apex)) {
        if (!take_soa(m, &rr, f)) return false;
      } else if (section == SECTION_ADDITIONAL && rr.type == RR_OPT) {
        f->rcode_high = rr.ttl >> 24;
        if (!read_expire(rr.rdata, &f->answer)) return false;
      }
    }
  }
  return true;
}

enum soa_verdict soa_query_judge(struct soa_query *q, const struct name *apex, const uint8_t *bytes, size_t size, int64_t now_s,
                                 struct soa_answer *out, struct xfr_what *what) {
  struct xfr_exchange x = {XFR_SOA, q->id, RR_SOA, apex, &q->tsig};
  struct message m;
  struct rd body;
  if (!xfr_open(&x, bytes, size, false, &m, &body)) return SOA_STRANGE;
  struct found f = {0};
  bool whole = read_records(&m, &body, apex, &f);
  unsigned rcode = message_rcode(&m) | f.rcode_high << 4;
  if (q->edns && (rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP || rcode == RCODE_BADVERS)) return SOA_NO_EDNS;
  if (rcode != RCODE_NOERROR) {
    xfr_explain_rcode(&x, &m, rcode, now_s, what);
    return SOA_FAILED;
  }
  if (m.flags & FLAG_TC) return SOA_TRUNCATED;
  if (!xfr_verify(&x, &m, true, now_s, what)) return SOA_DOUBTFUL;
  if (!whole) xfr_what_set(what, "sent a malformed answer to our SOA query");
  else if (!(m.flags & FLAG_AA)) xfr_what_set(what, "has no authority for the zone (AA is missing): is the zone loaded there?");
  else if (!f.soa) xfr_what_set(what, "answered without the zone's SOA: is the zone loaded there?");
  else {
    *out = f.answer;
    return SOA_GIVEN;
  }
  return SOA_FAILED;
}
