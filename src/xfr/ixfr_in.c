#include "xfr/ixfr_in_priv.h"

#include "base/mutation.h"
#include "base/serial.h"

#include <string.h>

void ixfr_in_begin(struct ixfr_in *x, struct zone_edit *edit, const struct soa_rr *first, uint32_t our_serial) {
  x->edit = edit;
  x->first = first;
  x->begun = x->removing = false;
  x->at.size = 20; /* only its serial is known: the first sequence says the rest, and removing it proves it */
  memset(x->at.rdata, 0, 20);
  put_u32(x->at.rdata, our_serial);
}

static bool soa_equal(const struct soa_rr *a, const struct soa_rr *b) {
  return rr_rdata_compare(RR_SOA, a->rdata, a->size, b->rdata, b->size) == 0;
}

static enum ixfr_step bad_record(const struct name *owner, uint16_t type, const char *does, const char *why,
                                 struct xfr_what *what) {
  char name[NAME_TEXT_BYTES], text[RR_TYPE_TEXT_BYTES];
  xfr_what_set(what, "%s %.90s %s, %s: its history is not ours", does, name_text(owner, name), rr_type_text(type, text), why);
  return IXFR_BAD;
}

static enum ixfr_step take_away(struct ixfr_in *x, const struct name *owner, uint16_t type, const uint8_t *rdata, uint16_t size,
                                struct xfr_what *what) {
  enum err e = zone_edit_remove(x->edit, owner, type, rdata, size);
  if (!e || (MUTATION(REMOVE_MISSING) && e == ERR_NOT_FOUND)) return IXFR_MORE;
  if (e == ERR_RANGE) return IXFR_OUTSIDE;
  return bad_record(owner, type, "removes", e == ERR_NOT_FOUND ? "which is not there" : err_text(e), what);
}

static enum ixfr_step put_in(struct ixfr_in *x, const struct name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                             uint16_t size, struct xfr_what *what) {
  enum zone_add outcome;
  enum err e = zone_edit_add(x->edit, owner, type, ttl, rdata, size, &outcome);
  if (e == ERR_RANGE) return IXFR_OUTSIDE;
  if (e) return bad_record(owner, type, "adds", err_text(e), what);
  if (outcome == ZONE_ADD_DUPLICATE) return bad_record(owner, type, "adds", "which is there already", what);
  /* Where a TTL changes, all records of the set are removed before they are added again. */
  if (outcome == ZONE_ADD_TTL_CHANGED) return bad_record(owner, type, "adds", "to a set that has another TTL", what);
  return IXFR_MORE;
}

/* A sequence starts from `soa`, which has to be where the one before has led. */
static enum ixfr_step start_sequence(struct ixfr_in *x, const struct soa_rr *soa, struct xfr_what *what) {
  uint32_t from = soa_rr_serial(soa), at = soa_rr_serial(&x->at);
  if (from != at && !x->begun) xfr_what_set(what, "sent changes from serial %u, though we asked for those from %u", from, at);
  else if (from != at) xfr_what_set(what, "sent changes with a gap: up to serial %u, and then from %u on", at, from);
  else if (x->begun && !soa_equal(soa, &x->at)) xfr_what_set(what, "sent changes with two SOAs of serial %u", from);
  else {
    x->begun = x->removing = true;
    return take_away(x, &soa->owner, RR_SOA, soa->rdata, soa->size, what);
  }
  return IXFR_BAD;
}

/* What was to be removed is removed; `soa` says which version the additions make. */
static enum ixfr_step turn_sequence(struct ixfr_in *x, const struct soa_rr *soa, struct xfr_what *what) {
  uint32_t to = soa_rr_serial(soa), from = soa_rr_serial(&x->at), last = soa_rr_serial(x->first);
  if (!serial_gt(to, from)) xfr_what_set(what, "sent changes that lead from serial %u back to %u", from, to);
  else if (to != last && !serial_gt(last, to))
    xfr_what_set(what, "sent changes that lead past the announced serial %u, to %u", last, to);
  else if (to == last && !soa_equal(soa, x->first))
    xfr_what_set(what, "ended the changes with another SOA than it began with (both of serial %u)", to);
  else {
    x->removing = false;
    x->at = *soa;
    return put_in(x, &soa->owner, RR_SOA, soa->ttl, soa->rdata, soa->size, what);
  }
  return IXFR_BAD;
}

enum ixfr_step ixfr_in_soa(struct ixfr_in *x, const struct soa_rr *soa, struct xfr_what *what) {
  if (x->removing) return turn_sequence(x, soa, what);
  uint32_t at = soa_rr_serial(&x->at), last = soa_rr_serial(x->first);
  if (x->begun && at == last) {
    if (soa_equal(soa, x->first)) return IXFR_END;
    xfr_what_set(what, "ended the changes with another SOA than it began with (serial %u)", soa_rr_serial(soa));
    return IXFR_BAD;
  }
  if (x->begun && soa_equal(soa, x->first)) {
    xfr_what_set(what, "ended the changes at serial %u, though it announced %u", at, last);
    return IXFR_BAD;
  }
  return start_sequence(x, soa, what);
}

enum ixfr_step ixfr_in_record(struct ixfr_in *x, const struct message_rr *rr, const uint8_t *rdata, uint16_t size,
                              struct xfr_what *what) {
  if (x->removing) return take_away(x, &rr->owner, rr->type, rdata, size, what);
  return put_in(x, &rr->owner, rr->type, rr->ttl, rdata, size, what);
}
