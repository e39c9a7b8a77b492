#include "answer/answer_priv.h"

#include <assert.h>

enum { OPT_FIXED_BYTES = 11, PADDING_BLOCK_BYTES = 468 /* RFC 8467 §4.1 */ };

static size_t size_limit(const struct server *s, const struct answer_job *job) {
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

static void add_option(struct reply *r, enum edns_option code, const void *bytes, size_t n) {
  if (sizeof r->options - r->options_size < 4 + n) return;
  uint8_t *at = r->options + r->options_size;
  put_u16(at, (uint16_t)code);
  put_u16(at + 2, (uint16_t)n);
  if (n) memcpy(at + 4, bytes, n);
  r->options_size += 4 + n;
}

/* RFC 7314 §4: what a secondary of ours may count on. */
static void add_expire(struct reply *r, const struct zone_entry *entry) {
  uint16_t qtype = r->job->request.qtype;
  if (!entry || !entry->snap || (qtype != RR_SOA && qtype != RR_AXFR && qtype != RR_IXFR)) return;
  uint64_t left_s = entry->expire_s;
  if (entry->expires_mono_ns) {
    uint64_t now_ns = r->server->now.mono_ns;
    left_s = entry->expires_mono_ns > now_ns ? (entry->expires_mono_ns - now_ns) / NS_PER_S : 0;
  }
  uint8_t octets[4];
  put_u32(octets, left_s > UINT32_MAX ? UINT32_MAX : (uint32_t)left_s);
  add_option(r, EDNS_EXPIRE, octets, sizeof octets);
}

/* RFC 9660 §3: the serial of the zone that answers, and how many labels of the name are its apex. */
static void add_zoneversion(struct reply *r, const struct zone_entry *entry) {
  if (!entry || !entry->snap) return;
  uint8_t octets[6] = {zone_apex(entry->snap)->labels, 0};
  put_u32(octets + 2, zone_serial(entry->snap));
  add_option(r, EDNS_ZONEVERSION, octets, sizeof octets);
}

static void add_asked_options(struct reply *r, const struct zone_entry *entry) {
  const struct edns *edns = &r->job->request.edns;
  const struct answer_identity *id = r->server->id;
  if (edns->nsid && id->nsid_size) add_option(r, EDNS_NSID, id->nsid, id->nsid_size);
  if (edns->expire) add_expire(r, entry);
  if (edns->zoneversion) add_zoneversion(r, entry);
  if (edns->keepalive && r->job->client.transport != TRANSPORT_UDP) { /* RFC 7828 §3.3 */
    uint8_t octets[2];
    put_u16(octets, id->keepalive_100ms);
    add_option(r, EDNS_KEEPALIVE, octets, sizeof octets);
  }
}

/* An operation code whose messages have no question section that we would know says nothing with one (RFC 8906 §8.1.5). */
static bool question_known(const struct request *req) {
  return req->has_question && (req->opcode == OPCODE_QUERY || req->opcode == OPCODE_NOTIFY || req->opcode == OPCODE_UPDATE);
}

void reply_start(struct reply *r, const struct server *s, struct answer_job *job, const struct zone_entry *entry, uint16_t flags) {
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
    if (req->edns.options_size) add_asked_options(r, entry);
    reserve += OPT_FIXED_BYTES + r->options_size;
  }
  bool question = question_known(req);
  r->limit = size_limit(s, job);
  size_t least = (question ? req->question_end : MESSAGE_HEADER_BYTES) + reserve;
  if (r->limit < least) r->limit = least; /* long names in question and TSIG: the request was as long */
  assert(r->limit <= job->capacity);
  flags = (uint16_t)(flags | FLAG_QR | (req->flags & (FLAG_OPCODE_MASK | FLAG_RD | FLAG_CD)));
  message_start_response(&r->writer, job->out, r->limit, reserve, req, flags, question);
}

/* RFC 8914 §2. An explanation never displaces what was asked for. */
static void add_ede(struct reply *r) {
  uint8_t octets[2 + 96];
  size_t text_size = strnlen(r->ede_text, sizeof octets - 2);
  put_u16(octets, (uint16_t)r->ede);
  memcpy(octets + 2, r->ede_text, text_size);
  size_t used = wr_used(&r->writer.out) + OPT_FIXED_BYTES + r->options_size + tsig_reserve(&r->job->tsig);
  if (used + 4 + 2 + text_size > r->limit) text_size = 0;
  if (used + 4 + 2 <= r->limit) add_option(r, EDNS_EDE, octets, 2 + text_size);
}

/* RFC 7830 on encrypted transports: the message with its signature fills whole blocks. */
static void add_padding(struct reply *r) {
  static const uint8_t zeros[PADDING_BLOCK_BYTES];
  size_t used = wr_used(&r->writer.out) + OPT_FIXED_BYTES + r->options_size + 4 + tsig_reserve(&r->job->tsig);
  size_t pad = (PADDING_BLOCK_BYTES - used % PADDING_BLOCK_BYTES) % PADDING_BLOCK_BYTES;
  if (used + pad <= r->limit) add_option(r, EDNS_PADDING, zeros, pad);
}

static void put_opt(struct reply *r) {
  const struct edns *edns = &r->job->request.edns;
  if (r->ede != EDE_NONE) add_ede(r);
  if (edns->padding && r->job->client.transport == TRANSPORT_TLS) add_padding(r);
  bool fits =
      message_put_opt(&r->writer, r->server->id->udp_bytes, r->rcode, r->dnssec ? EDNS_F_DO : 0, r->options, r->options_size);
  assert(fits);
  (void)fits;
}

/* Everything but kind, size and zone. */
static void fill_result(struct answer_job *job, unsigned rcode, int ede, bool truncated) {
  const struct request *req = &job->request;
  struct answer_result *result = &job->result;
  result->rcode = (uint16_t)rcode;
  result->ede = (int8_t)ede;
  result->qtype = req->has_question ? req->qtype : 0;
  result->opcode = req->opcode;
  result->truncated = truncated;
  result->edns = req->edns.present;
  result->dnssec_ok = req->edns.present && req->edns.dnssec_ok;
  result->is_signed = tsig_verified_key(&job->tsig) != NULL;
}

void reply_none(struct answer_job *job, enum answer_kind kind) {
  fill_result(job, RCODE_NOERROR, EDE_NONE, false);
  job->result.kind = kind;
  job->result.size = 0;
}

void reply_finish(struct reply *r) {
  struct answer_job *job = r->job;
  if (r->truncated) message_set_flags(&r->writer, FLAG_TC);
  if (job->request.edns.present) put_opt(r);
  size_t size = message_finish(&r->writer, r->rcode);
  fill_result(job, r->rcode, r->ede, r->truncated);
  job->result.kind = ANSWER_REPLY;
  if (job->tsig.key || job->tsig.error) {
    /* A signer that fails has no memory left; an unsigned answer would only be refused by the client. */
    if (tsig_sign_response(&job->tsig, true, job->out, &size, r->limit, r->server->now.wall_s)) {
      job->result.kind = ANSWER_DROP;
      size = 0;
    }
  }
  job->result.size = (uint16_t)size;
}

void reply_rcode(const struct server *s, struct answer_job *job, unsigned rcode, int ede, const char *ede_text) {
  struct reply r;
  reply_start(&r, s, job, NULL, 0);
  r.rcode = (uint16_t)rcode;
  r.ede = ede;
  r.ede_text = ede_text;
  reply_finish(&r);
}

void answer_rcode_text(const struct answer_identity *id, struct answer_job *job, struct instant now, unsigned rcode, int ede,
                       const char *ede_text) {
  struct server s = {.id = id, .now = now};
  reply_rcode(&s, job, rcode, ede, ede_text);
}

void answer_rcode(const struct answer_identity *id, struct answer_job *job, struct instant now, unsigned rcode, int ede) {
  answer_rcode_text(id, job, now, rcode, ede, "");
}
