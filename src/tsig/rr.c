#include "tsig/tsig_priv.h"

static bool read_rdata(struct rd *r, struct name *algorithm, struct tsig_rr *out) {
  return name_read_plain(r, algorithm) == ERR_OK && rd_u48(r, &out->time_signed) && rd_u16(r, &out->fudge) &&
         rd_u16(r, &out->mac_size) && rd_bytes(r, out->mac_size, &out->mac) && rd_u16(r, &out->original_id) &&
         rd_u16(r, &out->error) && rd_u16(r, &out->other_size) && rd_bytes(r, out->other_size, &out->other) && rd_left(r) == 0;
}

enum err tsig_rr_read(const uint8_t *message, size_t size, size_t at, struct name *owner, struct name *algorithm,
                      struct tsig_rr *out) {
  struct rd r = rd_make(message, size), rdata;
  uint16_t type, class, rdata_size;
  uint32_t ttl;
  if (!rd_skip(&r, at) || name_read(&r, message, owner) || !rd_u16(&r, &type) || !rd_u16(&r, &class) || !rd_u32(&r, &ttl) ||
      !rd_u16(&r, &rdata_size) || !rd_sub(&r, rdata_size, &rdata) || rd_left(&r) != 0)
    return ERR_FORMAT;
  if (type != RR_TSIG || class != CLASS_ANY || ttl != 0) return ERR_FORMAT;
  struct tsig_rr rr;
  if (!read_rdata(&rdata, algorithm, &rr)) return ERR_FORMAT;
  name_lower(owner);
  name_lower(algorithm);
  *out = rr;
  return ERR_OK;
}

/* Passes a name without reading it: the caller does not want it, and pointers are not followed. */
static bool skip_name(struct rd *r) {
  uint8_t length;
  while (rd_u8(r, &length)) {
    if (length == 0) return true;
    if (length >= 0xc0) return rd_skip(r, 1);
    if (length > LIMIT_LABEL_BYTES || !rd_skip(r, length)) return false;
  }
  return false;
}

static bool skip_rr(struct rd *r, uint16_t *type) {
  uint16_t rdata_size;
  return skip_name(r) && rd_u16(r, type) && rd_skip(r, 6) && rd_u16(r, &rdata_size) && rd_skip(r, rdata_size);
}

enum err tsig_rr_find(const uint8_t *message, size_t size, size_t *at) {
  struct rd r = rd_make(message, size);
  uint16_t counts[4];
  if (!rd_skip(&r, 4)) return ERR_FORMAT;
  for (unsigned i = 0; i < 4; i++)
    if (!rd_u16(&r, &counts[i])) return ERR_FORMAT;
  for (unsigned i = 0; i < counts[0]; i++)
    if (!skip_name(&r) || !rd_skip(&r, 4)) return ERR_FORMAT;
  unsigned last = (unsigned)counts[1] + counts[2] + counts[3];
  size_t found = 0;
  for (unsigned i = 0; i < last; i++) {
    size_t here = size - rd_left(&r);
    uint16_t type;
    if (!skip_rr(&r, &type)) return ERR_FORMAT;
    if (type != RR_TSIG) continue;
    if (i + 1 != last || counts[3] == 0) return ERR_FORMAT;
    found = here;
  }
  *at = found;
  return ERR_OK;
}

enum err tsig_rr_write(const struct name *owner, const struct name *algorithm, const struct tsig_rr *rr, uint8_t *message,
                       size_t *size, size_t capacity) {
  uint16_t additional = get_u16(message + 10);
  if (additional == UINT16_MAX) return ERR_SPACE;
  struct wr w = wr_make(message + *size, capacity - *size);
  wr_bytes(&w, owner->octets, owner->size);
  wr_u16(&w, RR_TSIG);
  wr_u16(&w, CLASS_ANY);
  wr_u32(&w, 0);
  wr_u16(&w, (uint16_t)(algorithm->size + 16 + rr->mac_size + rr->other_size));
  wr_bytes(&w, algorithm->octets, algorithm->size);
  wr_u48(&w, rr->time_signed);
  wr_u16(&w, rr->fudge);
  wr_u16(&w, rr->mac_size);
  wr_bytes(&w, rr->mac, rr->mac_size);
  wr_u16(&w, rr->original_id);
  wr_u16(&w, rr->error);
  wr_u16(&w, rr->other_size);
  wr_bytes(&w, rr->other, rr->other_size);
  if (wr_failed(&w)) return ERR_SPACE;
  put_u16(message + 10, (uint16_t)(additional + 1));
  *size += wr_used(&w);
  return ERR_OK;
}

void tsig_digest_mac(struct hmac *h, const uint8_t *mac, uint16_t mac_size) {
  uint8_t octets[2];
  put_u16(octets, mac_size);
  hmac_add(h, octets, sizeof octets);
  hmac_add(h, mac, mac_size);
}

void tsig_digest_message(struct hmac *h, const uint8_t *message, size_t size, uint16_t id, uint16_t additional_count) {
  uint8_t header[MESSAGE_HEADER_BYTES];
  memcpy(header, message, sizeof header);
  put_u16(header, id);
  put_u16(header + 10, additional_count);
  hmac_add(h, header, sizeof header);
  hmac_add(h, message + sizeof header, size - sizeof header);
}

void tsig_digest_variables(struct hmac *h, const struct name *owner, const struct name *algorithm, const struct tsig_rr *rr) {
  uint8_t octets[2 * LIMIT_NAME_BYTES + 18];
  struct wr w = wr_make(octets, sizeof octets);
  wr_bytes(&w, owner->octets, owner->size);
  wr_u16(&w, CLASS_ANY);
  wr_u32(&w, 0);
  wr_bytes(&w, algorithm->octets, algorithm->size);
  wr_u48(&w, rr->time_signed);
  wr_u16(&w, rr->fudge);
  wr_u16(&w, rr->error);
  wr_u16(&w, rr->other_size);
  hmac_add(h, octets, wr_used(&w));
  hmac_add(h, rr->other, rr->other_size);
}

void tsig_digest_timers(struct hmac *h, const struct tsig_rr *rr) {
  uint8_t octets[8];
  put_u48(octets, rr->time_signed);
  put_u16(octets + 6, rr->fudge);
  hmac_add(h, octets, sizeof octets);
}

bool tsig_mac_size_allowed(enum hmac_algorithm a, uint16_t mac_size) {
  size_t full = hmac_size(a);
  size_t least = full / 2 > 10 ? full / 2 : 10;
  return mac_size >= least && mac_size <= full;
}

bool tsig_time_within(const struct tsig_rr *rr, int64_t now_s) {
  int64_t apart = now_s - (int64_t)rr->time_signed; /* 48 bits: no overflow with a sane clock */
  return apart <= rr->fudge && -apart <= rr->fudge;
}
