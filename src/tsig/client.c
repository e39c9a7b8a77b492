#include "tsig/tsig_priv.h"

#include <assert.h>

/* Starts the digest that the next signed message ends: the last MAC comes first (RFC 8945 §5.3.1). */
static void next_digest(struct tsig_stream *s) {
  hmac_begin(&s->running, s->key->hmac);
  tsig_digest_mac(&s->running, s->mac, s->mac_size);
}

static enum err sign(struct tsig_stream *s, uint8_t *message, size_t *size, size_t capacity, int64_t now_s) {
  struct tsig_rr rr = {.time_signed = (uint64_t)now_s, .fudge = TSIG_FUDGE_S, .original_id = s->original_id};
  tsig_digest_message(&s->running, message, *size, s->original_id, get_u16(message + 10));
  tsig_digest_variables(&s->running, &s->key_name, &s->algorithm_name, &rr);
  hmac_finish(&s->running, s->mac);
  rr.mac = s->mac;
  rr.mac_size = s->mac_size;
  enum err e = tsig_rr_write(&s->key_name, &s->algorithm_name, &rr, message, size, capacity);
  if (!e) next_digest(s);
  return e;
}

enum err tsig_sign_request(struct tsig_stream *s, const struct tsig_key *key, uint8_t *message, size_t *size, size_t capacity,
                           int64_t now_s) {
  assert(*size >= MESSAGE_HEADER_BYTES && *size <= capacity);
  tsig_stream_none(s);
  s->original_id = get_u16(message);
  s->mac_size = (uint16_t)hmac_size(key->algorithm);
  s->answered = false;
  s->unsigned_count = 0;
  s->client_time = 0;
  s->key_name = key->name;
  s->algorithm_name = *tsig_algorithm_name(key->algorithm);
  s->key = key;
  hmac_begin(&s->running, key->hmac);
  enum err e = sign(s, message, size, capacity, now_s);
  if (e) tsig_stream_none(s);
  return e;
}

static enum err refuse(uint16_t error, uint16_t *out) {
  *out = error;
  return ERR_REFUSED;
}

static enum err take_unsigned(struct tsig_stream *s, const uint8_t *message, size_t size, bool last, uint16_t *error) {
  if (!s->answered || last || s->unsigned_count == TSIG_UNSIGNED_MAX) return refuse(0, error);
  s->unsigned_count++;
  hmac_add(&s->running, message, size);
  return ERR_OK;
}

static enum err check_mac(struct tsig_stream *s, const uint8_t *message, size_t at, const struct tsig_rr *rr, uint16_t *error) {
  uint8_t mac[HMAC_BYTES_MAX];
  uint16_t additional = (uint16_t)(get_u16(message + 10) - 1);
  tsig_digest_message(&s->running, message, at, rr->original_id, additional);
  if (s->answered) tsig_digest_timers(&s->running, rr);
  else tsig_digest_variables(&s->running, &s->key_name, &s->algorithm_name, rr);
  hmac_finish(&s->running, mac);
  return bytes_equal_secret(mac, rr->mac, rr->mac_size) ? ERR_OK : refuse(RCODE_BADSIG, error);
}

static enum err take_signed(struct tsig_stream *s, const uint8_t *message, size_t at, const struct tsig_rr *rr, int64_t now_s,
                            uint16_t *error) {
  /* An unsigned error proves nothing, but the operator wants to read it; either way the answer is not taken. */
  if (rr->mac_size == 0 && (rr->error == RCODE_BADKEY || rr->error == RCODE_BADSIG)) return refuse(rr->error, error);
  if (!tsig_mac_size_allowed(s->key->algorithm, rr->mac_size)) return refuse(RCODE_FORMERR, error);
  enum err e = check_mac(s, message, at, rr, error);
  if (e) return e;
  if (rr->error) return refuse(rr->error, error);
  if (!tsig_time_within(rr, now_s)) return refuse(RCODE_BADTIME, error);
  s->answered = true;
  s->unsigned_count = 0;
  s->mac_size = rr->mac_size;
  memcpy(s->mac, rr->mac, rr->mac_size);
  next_digest(s);
  return ERR_OK;
}

enum err tsig_verify_response(struct tsig_stream *s, const uint8_t *message, size_t size, bool last, int64_t now_s,
                              uint16_t *error) {
  size_t at;
  if (tsig_rr_find(message, size, &at)) return refuse(RCODE_FORMERR, error);
  if (at == 0) return take_unsigned(s, message, size, last, error);
  struct tsig_rr rr;
  struct name owner, algorithm;
  if (tsig_rr_read(message, size, at, &owner, &algorithm, &rr)) return refuse(RCODE_FORMERR, error);
  if (rr.error == RCODE_BADKEY && rr.mac_size == 0) return refuse(RCODE_BADKEY, error);
  if (!name_identical(&owner, &s->key_name) || !name_identical(&algorithm, &s->algorithm_name)) return refuse(RCODE_BADKEY, error);
  return take_signed(s, message, at, &rr, now_s, error);
}
