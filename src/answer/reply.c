#include "answer/reply_priv.h"

#include <assert.h>

enum { PADDING_BLOCK_BYTES = 468 /* RFC 8467 §4.1 */ };

static void add_option(struct options *o, enum edns_option code, const void *bytes, size_t n) {
  if (sizeof o->octets - o->size < 4 + n) return;
  uint8_t *at = o->octets + o->size;
  put_u16(at, (uint16_t)code);
  put_u16(at + 2, (uint16_t)n);
  if (n) memcpy(at + 4, bytes, n);
  o->size += 4 + n;
}

/* RFC 7314 §4: what a secondary of ours may count on. */
static void add_expire(struct options *o, const struct server *s, const struct zone_entry *entry, uint16_t qtype) {
  if (!entry || !entry->snap || (qtype != RR_SOA && qtype != RR_AXFR && qtype != RR_IXFR)) return;
  uint64_t left_s = entry->expire_s;
  if (entry->expires_mono_ns) {
    uint64_t now_ns = s->now.mono_ns;
    left_s = entry->expires_mono_ns > now_ns ? (entry->expires_mono_ns - now_ns) / NS_PER_S : 0;
  }
  uint8_t octets[4];
  put_u32(octets, left_s > UINT32_MAX ? UINT32_MAX : (uint32_t)left_s);
  add_option(o, EDNS_EXPIRE, octets, sizeof octets);
}

/* RFC 9660 §3: the serial of the zone that answers, and how many labels of the name are its apex. */
static void add_zoneversion(struct options *o, const struct zone_entry *entry) {
  if (!entry || !entry->snap) return;
  uint8_t octets[6] = {zone_apex(entry->snap)->labels, 0};
  put_u32(octets + 2, zone_serial(entry->snap));
  add_option(o, EDNS_ZONEVERSION, octets, sizeof octets);
}

void reply_add_options(struct options *o, const struct server *s, const struct answer_job *job, const struct zone_entry *entry) {
  const struct edns *edns = &job->request.edns;
  const struct answer_identity *id = s->id;
  if (edns->nsid && id->nsid_size) add_option(o, EDNS_NSID, id->nsid, id->nsid_size);
  if (edns->expire) add_expire(o, s, entry, job->request.qtype);
  if (edns->zoneversion) add_zoneversion(o, entry);
  if (edns->keepalive && job->client.transport != TRANSPORT_UDP) { /* RFC 7828 §3.3 */
    uint8_t octets[2];
    put_u16(octets, id->keepalive_100ms);
    add_option(o, EDNS_KEEPALIVE, octets, sizeof octets);
  }
}

/* Of the whole message. */
static size_t limit_of(const struct reply *r) {
  return (size_t)(r->writer.out.end - r->writer.out.base);
}

/* RFC 8914 §2. An explanation never displaces what was asked for. */
static void add_ede(struct reply *r) {
  uint8_t octets[2 + 96];
  size_t text_size = strnlen(r->ede_text, sizeof octets - 2);
  put_u16(octets, (uint16_t)r->ede);
  memcpy(octets + 2, r->ede_text, text_size);
  size_t used = wr_used(&r->writer.out) + OPT_FIXED_BYTES + r->options.size + tsig_reserve(&r->job->tsig);
  if (used + 4 + 2 + text_size > limit_of(r)) text_size = 0;
  if (used + 4 + 2 <= limit_of(r)) add_option(&r->options, EDNS_EDE, octets, 2 + text_size);
}

/* RFC 7830 on encrypted transports: the message with its signature fills whole blocks. */
static void add_padding(struct reply *r) {
  static const uint8_t zeros[PADDING_BLOCK_BYTES];
  size_t used = wr_used(&r->writer.out) + OPT_FIXED_BYTES + r->options.size + 4 + tsig_reserve(&r->job->tsig);
  size_t pad = (PADDING_BLOCK_BYTES - used % PADDING_BLOCK_BYTES) % PADDING_BLOCK_BYTES;
  if (used + pad <= limit_of(r)) add_option(&r->options, EDNS_PADDING, zeros, pad);
}

void reply_add_last_options(struct reply *r) {
  if (r->ede != EDE_NONE) add_ede(r);
  if (reply_is_padded(r->job)) add_padding(r);
}

void reply_sign(struct reply *r, size_t size) {
  struct answer_job *job = r->job;
  bool failed = tsig_sign_response(&job->tsig, true, job->out, &size, limit_of(r), r->server->now.wall_s) != ERR_OK;
  /* A signer that fails has no memory left; an unsigned answer would only be refused by the client. */
  job->result.kind = failed ? ANSWER_DROP : ANSWER_REPLY;
  job->result.size = failed ? 0 : (uint16_t)size;
}

void reply_none(struct answer_job *job, enum answer_kind kind) {
  job->result.kind = kind;
  job->result.size = 0;
  job->result.rcode = RCODE_NOERROR;
  job->result.ede = EDE_NONE;
  job->result.truncated = false;
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
