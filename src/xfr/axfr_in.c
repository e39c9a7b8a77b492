#include "xfr/axfr_in_priv.h"

#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES = MESSAGE_HEADER_BYTES + LIMIT_NAME_BYTES + 4 + TSIG_RR_BYTES_MAX };

struct axfr_in {
  struct name apex;
  struct zone_edit *edit;
  struct tsig_stream tsig;
  struct axfr_in_count count;
  uint64_t content_bytes, max_bytes; /* as if uncompressed: a small stream can unfold to much */
  struct xfr_what what;
  enum axfr_in_state state;
  uint16_t id;
  bool has_soa;
  uint16_t soa_size;
  uint8_t soa[2 * LIMIT_NAME_BYTES + 20]; /* the first one's RDATA */
  uint16_t request_size;
  uint8_t request[REQUEST_BYTES];
  uint8_t rdata[LIMIT_MESSAGE_BYTES]; /* of the record at hand */
};

static enum err write_request(struct axfr_in *a, const struct tsig_key *key, int64_t now_s) {
  struct message_writer w;
  message_start(&w, a->request, sizeof a->request, a->id, 0);
  if (!message_put_question(&w, &a->apex, RR_AXFR, CLASS_IN)) return ERR_SPACE;
  size_t size = message_finish(&w, 0);
  enum err e = key ? tsig_sign_request(&a->tsig, key, a->request, &size, sizeof a->request, now_s) : ERR_OK;
  a->request_size = (uint16_t)size;
  return e;
}

enum err axfr_in_new(const struct name *apex, const struct tsig_key *key, uint16_t id, uint64_t max_bytes, int64_t now_s,
                     struct axfr_in **out) {
  struct axfr_in *a = malloc(sizeof *a);
  if (!a) return ERR_MEMORY;
  memset(a, 0, offsetof(struct axfr_in, rdata));
  a->apex = *apex;
  a->id = id;
  a->max_bytes = max_bytes;
  tsig_stream_none(&a->tsig);
  enum err e = write_request(a, key, now_s);
  if (!e) e = zone_edit_begin(NULL, apex, &a->edit);
  if (e) {
    axfr_in_free(a);
    return e;
  }
  *out = a;
  return ERR_OK;
}

void axfr_in_free(struct axfr_in *a) {
  if (!a) return;
  zone_edit_abort(a->edit);
  tsig_stream_done(&a->tsig);
  free(a);
}

const uint8_t *axfr_in_request(const struct axfr_in *a, size_t *size) {
  *size = a->request_size;
  return a->request;
}

const char *axfr_in_what(const struct axfr_in *a) {
  return a->what.text;
}

struct axfr_in_count axfr_in_count(const struct axfr_in *a) {
  return a->count;
}

bool axfr_in_serial(const struct axfr_in *a, uint32_t *serial) {
  if (a->has_soa) *serial = soa_times_read(a->soa, a->soa_size).serial;
  return a->has_soa;
}

enum err axfr_in_finish(struct axfr_in *a, struct zone_snap **out) {
  struct zone_edit *edit = a->edit;
  a->edit = NULL;
  return zone_edit_finish(edit, out);
}

/* ---- records ---- */

/* The apex's SOA: the first opens the transfer, the second ends it. */
static bool take_soa(struct axfr_in *a, size_t size) {
  if (!a->has_soa) {
    memcpy(a->soa, a->rdata, size);
    a->soa_size = (uint16_t)size;
    a->has_soa = true;
    return true;
  }
  uint32_t first = soa_times_read(a->soa, a->soa_size).serial, last = soa_times_read(a->rdata, size).serial;
  if (first != last)
    xfr_what_set(&a->what, "changed the zone during the transfer: it began with serial %u and ended with %u", first, last);
  else if (rr_rdata_compare(RR_SOA, a->soa, a->soa_size, a->rdata, size) != 0)
    xfr_what_set(&a->what, "ended the transfer with another SOA than it began with (both of serial %u)", first);
  else a->state = AXFR_IN_DONE;
  return a->state == AXFR_IN_DONE;
}

static bool keep(struct axfr_in *a, const struct message_rr *rr, size_t size) {
  enum zone_add outcome;
  a->content_bytes += rr->owner.size + 10u + size;
  if (a->content_bytes > a->max_bytes) {
    xfr_what_set(&a->what,
                 "sends more than the limit of %llu octets for one transfer: raise the limit if the zone is meant to be so big",
                 (unsigned long long)a->max_bytes);
    return false;
  }
  enum err e = zone_edit_add(a->edit, &rr->owner, rr->type, rr->ttl, a->rdata, (uint16_t)size, &outcome);
  if (e == ERR_RANGE) {
    a->count.dropped++;
    return true;
  }
  if (e) xfr_what_set(&a->what, "sent record %llu, which can't be kept (%s)", (unsigned long long)a->count.records, err_text(e));
  return e == ERR_OK;
}

static bool refuse_record(struct axfr_in *a, const struct message_rr *rr, const char *why) {
  char owner[NAME_TEXT_BYTES], type[RR_TYPE_TEXT_BYTES];
  xfr_what_set(&a->what, "sent record %llu (%.90s %s), %s", (unsigned long long)a->count.records, name_text(&rr->owner, owner),
               rr_type_text(rr->type, type), why);
  return false;
}

static bool take_record(struct axfr_in *a, const struct message *m, struct message_rr *rr) {
  a->count.records++;
  if (a->state == AXFR_IN_DONE) return refuse_record(a, rr, "behind the last SOA");
  if (rr->class != CLASS_IN) return refuse_record(a, rr, "which is not of class IN");
  if (!rr_type_is_data(rr->type)) return refuse_record(a, rr, "a type that can't stand in a zone");
  struct wr w = wr_make(a->rdata, sizeof a->rdata);
  if (rr_rdata_read(&rr->rdata, rr->rdata_size, m->bytes, rr->type, &w)) return refuse_record(a, rr, "which is malformed");
  size_t size = wr_used(&w);
  bool apex_soa = rr->type == RR_SOA && name_equal(&rr->owner, &a->apex);
  if (!apex_soa && !a->has_soa) return refuse_record(a, rr, "where the zone's SOA has to be the first");
  if (rr->type == RR_SOA && !apex_soa) {
    a->count.dropped++;
    return true;
  }
  if (apex_soa) {
    bool first = !a->has_soa;
    if (!take_soa(a, size)) return false;
    if (!first) return true;
  }
  return keep(a, rr, size);
}

/* ---- messages ---- */

static bool take_records(struct axfr_in *a, const struct message *m, struct rd *body) {
  if (m->counts[SECTION_ANSWER] == 0) {
    xfr_what_set(&a->what, a->has_soa ? "sent a message without records in the middle of the transfer"
                                      : "answered the transfer request without any record: is the zone loaded there?");
    return false;
  }
  for (unsigned i = 0; i < m->counts[SECTION_ANSWER]; i++) {
    struct message_rr rr;
    if (message_rr(m, body, &rr)) {
      xfr_what_set(&a->what, "sent message %llu, which is malformed at record %llu", (unsigned long long)a->count.messages,
                   (unsigned long long)a->count.records + 1);
      return false;
    }
    if (!take_record(a, m, &rr)) return false;
  }
  return true;
}

static bool take_message(struct axfr_in *a, const uint8_t *bytes, size_t size, int64_t now_s) {
  struct xfr_exchange x = {XFR_TRANSFER, a->id, RR_AXFR, &a->apex, &a->tsig};
  struct message m;
  struct rd body;
  a->count.messages++;
  a->count.bytes += size;
  if (!xfr_open(&x, bytes, size, true, &m, &body)) {
    xfr_what_set(&a->what, "sent message %llu, which does not answer our transfer request", (unsigned long long)a->count.messages);
    return false;
  }
  if (message_rcode(&m) != RCODE_NOERROR) {
    xfr_explain_rcode(&x, &m, message_rcode(&m), now_s, &a->what);
    return false;
  }
  return take_records(a, &m, &body) && xfr_verify(&x, &m, a->state == AXFR_IN_DONE, now_s, &a->what);
}

enum axfr_in_state axfr_in_message(struct axfr_in *a, const uint8_t *bytes, size_t size, int64_t now_s) {
  if (a->state == AXFR_IN_DONE) xfr_what_set(&a->what, "sent more behind the end of the transfer");
  if (a->state != AXFR_IN_MORE || !take_message(a, bytes, size, now_s)) a->state = AXFR_IN_FAILED;
  return a->state;
}
