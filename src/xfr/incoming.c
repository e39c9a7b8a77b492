#include "xfr/incoming_priv.h"

#include "base/mutation.h"
#include "base/serial.h"
#include "xfr/ixfr_in_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
  SOA_RR_BYTES_MAX = LIMIT_NAME_BYTES + 10 + 2 * LIMIT_NAME_BYTES + 20,
  OPT_BYTES = 11 + 4, /* with the empty option */
  REQUEST_BYTES = MESSAGE_HEADER_BYTES + LIMIT_NAME_BYTES + 4 + SOA_RR_BYTES_MAX + OPT_BYTES + TSIG_RR_BYTES_MAX
};

struct incoming {
  struct name apex;
  struct zone_snap *base; /* NULL: the whole zone was asked for */
  struct zone_edit *edit; /* NULL as long as the kind is not known */
  struct tsig_stream tsig;
  struct incoming_count count;
  uint64_t content_bytes, max_bytes; /* as if uncompressed: a small stream can unfold to much */
  struct xfr_what what;
  enum incoming_state state;
  enum incoming_kind kind;
  bool has_error; /* was answered with an rcode */
  uint16_t id;
  struct digest_option digest;
  struct soa_rr first; /* size 0: nothing came yet */
  struct ixfr_in changes;
  uint16_t request_size;
  uint8_t request[REQUEST_BYTES];
  uint8_t rdata[LIMIT_MESSAGE_BYTES]; /* of the record at hand */
};

static bool put_our_soa(struct message_writer *w, const struct incoming *in) {
  struct zone_rrset set;
  const uint8_t *rdata;
  uint16_t size;
  if (!zone_find_rrset(zone_apex_node(in->base), RR_SOA, &set) || set.count == 0) return false;
  zone_rr_next(&set.rrs, &rdata, &size);
  return message_put_rr(w, SECTION_AUTHORITY, NULL, RR_SOA, CLASS_IN, set.ttl, rdata, size);
}

/* Only with a request for changes: whoever chokes on it is asked for the whole zone next, without. */
static bool put_digest_option(struct message_writer *w) {
  static const uint8_t ask[4] = {EDNS_ZONE_DIGEST >> 8, EDNS_ZONE_DIGEST & 255, 0, 0};
  return message_put_opt(w, LIMIT_UDP_RESPONSE_BYTES, 0, 0, ask, sizeof ask);
}

static enum err write_request(struct incoming *in, const struct tsig_key *key, int64_t now_s) {
  struct message_writer w;
  message_start(&w, in->request, sizeof in->request, in->id, 0);
  w.reserve = OPT_BYTES;
  if (!message_put_question(&w, &in->apex, in->base ? RR_IXFR : RR_AXFR, CLASS_IN)) return ERR_SPACE;
  if (in->base && (!put_our_soa(&w, in) || !put_digest_option(&w))) return ERR_SPACE;
  size_t size = message_finish(&w, 0);
  enum err e = key ? tsig_sign_request(&in->tsig, key, in->request, &size, sizeof in->request, now_s) : ERR_OK;
  in->request_size = (uint16_t)size;
  return e;
}

enum err incoming_new(const struct name *apex, const struct zone_snap *base, const struct tsig_key *key, uint16_t id,
                      uint64_t max_bytes, int64_t now_s, struct incoming **out) {
  struct incoming *in = malloc(sizeof *in);
  if (!in) return ERR_MEMORY;
  memset(in, 0, offsetof(struct incoming, rdata));
  name_copy(&in->apex, apex);
  in->base = base ? zone_snap_ref(base) : NULL;
  in->id = id;
  in->max_bytes = max_bytes;
  tsig_stream_none(&in->tsig);
  enum err e = write_request(in, key, now_s);
  if (e) {
    incoming_free(in);
    return e;
  }
  *out = in;
  return ERR_OK;
}

void incoming_free(struct incoming *in) {
  if (!in) return;
  zone_edit_abort(in->edit);
  zone_snap_unref(in->base);
  free(in);
}

const uint8_t *incoming_request(const struct incoming *in, size_t *size) {
  *size = in->request_size;
  return in->request;
}

const char *incoming_what(const struct incoming *in) {
  return in->what.text;
}

struct incoming_count incoming_count(const struct incoming *in) {
  return in->count;
}

bool incoming_serial(const struct incoming *in, uint32_t *serial) {
  if (in->first.size) *serial = soa_rr_serial(&in->first);
  return in->first.size != 0;
}

const struct digest_option *incoming_digest(const struct incoming *in) {
  return &in->digest;
}

const struct zone_snap *incoming_base(const struct incoming *in) {
  return in->base;
}

enum incoming_kind incoming_kind(const struct incoming *in) {
  return in->kind;
}

bool incoming_is_answered(const struct incoming *in) {
  return in->state == INCOMING_DONE || in->has_error;
}

bool incoming_is_undecided(const struct incoming *in) {
  return in->base && in->first.size && in->kind == INCOMING_UNKNOWN && in->state == INCOMING_MORE;
}

bool incoming_part(struct incoming *in, size_t least) {
  return in->kind == INCOMING_WHOLE && in->edit && zone_edit_part(in->edit, least);
}

void incoming_lay(struct incoming *in) {
  enum err told_by_the_finish = zone_edit_lay(in->edit);
  (void)told_by_the_finish;
}

enum err incoming_finish(struct incoming *in, struct zone_snap **out) {
  struct zone_edit *edit = in->edit;
  in->edit = NULL;
  return zone_edit_finish(edit, out);
}

/* ---- records ---- */

static bool refuse_record(struct incoming *in, const struct name *owner, uint16_t type, const char *why) {
  char name[NAME_TEXT_BYTES], text[RR_TYPE_TEXT_BYTES];
  xfr_what_set(&in->what, "sent record %llu (%.90s %s), %s", (unsigned long long)in->count.records, name_text(owner, name),
               rr_type_text(type, text), why);
  return false;
}

void incoming_say_too_much(uint64_t max_bytes, struct xfr_what *out) {
  xfr_what_set(out,
               "sends more than the limit of %llu octets for one transfer: raise transfer-max if the zone is meant to be so big",
               (unsigned long long)max_bytes);
}

static bool fits(struct incoming *in, const struct name *owner, size_t size) {
  in->content_bytes += owner->size + 10u + size;
  if (in->content_bytes <= in->max_bytes) return true;
  incoming_say_too_much(in->max_bytes, &in->what);
  return false;
}

static bool keep(struct incoming *in, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata, size_t size) {
  enum zone_add outcome;
  enum err e = zone_edit_add(in->edit, owner, type, ttl, rdata, (uint16_t)size, &outcome);
  if (e == ERR_RANGE) in->count.dropped++;
  else if (e)
    xfr_what_set(&in->what, "sent record %llu, which can't be kept (%s)", (unsigned long long)in->count.records, err_text(e));
  return !e || e == ERR_RANGE;
}

static bool take_step(struct incoming *in, enum ixfr_step step) {
  in->count.dropped += step == IXFR_OUTSIDE;
  if (step == IXFR_END) in->state = INCOMING_DONE;
  return step != IXFR_BAD;
}

/* The second record tells what the answer is. A SOA of another serial opens the changes; whether it is our serial, ixfr_in looks.
 */
static bool decide(struct incoming *in, const struct soa_rr *soa) {
  bool changes = in->base && soa && soa_rr_serial(soa) != soa_rr_serial(&in->first);
  enum err e = zone_edit_begin(changes ? in->base : NULL, &in->apex, &in->edit);
  if (e) {
    xfr_what_set(&in->what, "sends what can't be taken now (%s)", err_text(e));
    return false;
  }
  zone_edit_keep_step(in->edit, false);
  in->kind = changes ? INCOMING_CHANGES : INCOMING_WHOLE;
  if (!changes) return keep(in, &in->first.owner, RR_SOA, in->first.ttl, in->first.rdata, in->first.size);
  ixfr_in_begin(&in->changes, in->edit, &in->first, zone_serial(in->base));
  return true;
}

static bool take_first(struct incoming *in, const struct soa_rr *soa) {
  in->first = *soa;
  if (in->base && !serial_gt(soa_rr_serial(soa), zone_serial(in->base))) {
    in->kind = INCOMING_NOTHING;
    in->state = INCOMING_DONE;
  }
  return true;
}

static bool end_whole(struct incoming *in, const struct soa_rr *soa) {
  uint32_t first = soa_rr_serial(&in->first), last = soa_rr_serial(soa);
  if (MUTATION(LAST_SOA)) in->state = INCOMING_DONE;
  else if (first != last)
    xfr_what_set(&in->what, "changed the zone during the transfer: it began with serial %u and ended with %u", first, last);
  else if (rr_rdata_compare(RR_SOA, in->first.rdata, in->first.size, soa->rdata, soa->size) != 0)
    xfr_what_set(&in->what, "ended the transfer with another SOA than it began with (both of serial %u)", first);
  else in->state = INCOMING_DONE;
  return in->state == INCOMING_DONE;
}

/* The apex's SOA: what stands first, between and last. */
static bool take_soa(struct incoming *in, const struct message_rr *rr, size_t size) {
  struct soa_rr soa = {.owner = rr->owner, .ttl = rr->ttl, .size = (uint16_t)size};
  if (!fits(in, &rr->owner, size)) return false;
  memcpy(soa.rdata, in->rdata, size);
  if (!in->first.size) return take_first(in, &soa);
  if (in->kind == INCOMING_UNKNOWN && !decide(in, &soa)) return false;
  if (in->kind == INCOMING_WHOLE) return end_whole(in, &soa);
  return take_step(in, ixfr_in_soa(&in->changes, &soa, &in->what));
}

static bool take_other(struct incoming *in, const struct message_rr *rr, size_t size) {
  if (!in->first.size) return refuse_record(in, &rr->owner, rr->type, "where the zone's SOA has to be the first");
  if (!fits(in, &rr->owner, size)) return false;
  if (in->kind == INCOMING_UNKNOWN && !decide(in, NULL)) return false;
  if (rr->type == RR_SOA) { /* of another name */
    in->count.dropped++;
    return true;
  }
  if (in->kind == INCOMING_WHOLE) return keep(in, &rr->owner, rr->type, rr->ttl, in->rdata, size);
  return take_step(in, ixfr_in_record(&in->changes, rr, in->rdata, (uint16_t)size, &in->what));
}

static bool take_record(struct incoming *in, const struct message *m, struct message_rr *rr) {
  in->count.records++;
  if (in->state == INCOMING_DONE) return refuse_record(in, &rr->owner, rr->type, "behind the last SOA");
  if (rr->class != CLASS_IN) return refuse_record(in, &rr->owner, rr->type, "which is not of class IN");
  if (!rr_type_is_data(rr->type)) return refuse_record(in, &rr->owner, rr->type, "a type that can't stand in a zone");
  struct wr w = wr_make(in->rdata, sizeof in->rdata);
  if (rr_rdata_read(&rr->rdata, rr->rdata_size, m->bytes, rr->type, &w))
    return refuse_record(in, &rr->owner, rr->type, "which is malformed");
  bool apex_soa = rr->type == RR_SOA && name_equal(&rr->owner, &in->apex);
  return apex_soa ? take_soa(in, rr, wr_used(&w)) : take_other(in, rr, wr_used(&w));
}

/* ---- messages ---- */

static bool take_records(struct incoming *in, const struct message *m, struct rd *body) {
  if (m->counts[SECTION_ANSWER] == 0) {
    xfr_what_set(&in->what, in->first.size ? "sent a message without records in the middle of the transfer"
                                           : "answered the transfer request without any record: is the zone loaded there?");
    return false;
  }
  for (unsigned i = 0; i < m->counts[SECTION_ANSWER]; i++) {
    struct message_rr rr;
    if (message_rr(m, body, &rr)) {
      xfr_what_set(&in->what, "sent message %llu, which is malformed at record %llu", (unsigned long long)in->count.messages,
                   (unsigned long long)in->count.records + 1);
      return false;
    }
    if (!take_record(in, m, &rr)) return false;
  }
  return true;
}

/* What stands behind the records of the first message that answers a request for changes. */
static bool take_options(struct incoming *in, const struct message *m, struct rd *body) {
  bool good = true;
  for (unsigned i = 0; good && i < m->counts[SECTION_AUTHORITY] + m->counts[SECTION_ADDITIONAL]; i++) {
    struct message_rr rr;
    good = !message_rr(m, body, &rr) && (rr.type != RR_OPT || digest_option_read(rr.rdata, &in->digest));
  }
  if (!good) xfr_what_set(&in->what, "sent message 1, which is malformed behind its records");
  return good;
}

static bool take_message(struct incoming *in, const uint8_t *bytes, size_t size, int64_t now_s) {
  struct xfr_exchange x = {XFR_TRANSFER, in->id, in->base ? RR_IXFR : RR_AXFR, &in->apex, &in->tsig};
  struct message m;
  struct rd body;
  in->count.messages++;
  in->count.bytes += size;
  if (!xfr_open(&x, bytes, size, true, &m, &body)) {
    xfr_what_set(&in->what, "sent message %llu, which does not answer our transfer request",
                 (unsigned long long)in->count.messages);
    return false;
  }
  if (message_rcode(&m) != RCODE_NOERROR) {
    in->has_error = true;
    xfr_explain_rcode(&x, &m, message_rcode(&m), now_s, &in->what);
    return false;
  }
  if (!take_records(in, &m, &body)) return false;
  if (in->base && in->count.messages == 1 && !take_options(in, &m, &body)) return false;
  return (MUTATION(TSIG_LAST) && in->state == INCOMING_DONE) || xfr_verify(&x, &m, in->state == INCOMING_DONE, now_s, &in->what);
}

enum incoming_state incoming_message(struct incoming *in, const uint8_t *bytes, size_t size, int64_t now_s) {
  if (in->state == INCOMING_DONE) xfr_what_set(&in->what, "sent more behind the end of the transfer");
  if (in->state != INCOMING_MORE || !take_message(in, bytes, size, now_s)) in->state = INCOMING_FAILED;
  return in->state;
}
