#include "tsig/tsig_priv.h"

#include <assert.h>

/* RFC 8945 §5.2.2: the digest of everything before the TSIG, then of its variables. */
static void request_mac(struct tsig_stream *s, const struct request *req, const struct tsig_rr *rr, uint8_t mac[HMAC_BYTES_MAX]) {
  uint16_t additional = (uint16_t)(get_u16(req->bytes + 10) - 1);
  tsig_digest_message(&s->running, req->bytes, req->tsig_at, rr->original_id, additional);
  tsig_digest_variables(&s->running, &s->key_name, &s->algorithm_name, rr);
  hmac_finish(&s->running, mac);
}

/* The checks of RFC 8945 §5.2 in their order: key, MAC, time. */
static enum err verify(const struct tsig_key *key, const struct request *req, const struct tsig_rr *rr, int64_t now_s,
                       struct tsig_stream *s) {
  if (!tsig_mac_size_allowed(key->algorithm, rr->mac_size)) return ERR_FORMAT;
  uint8_t mac[HMAC_BYTES_MAX];
  hmac_begin(&s->running, key->hmac);
  request_mac(s, req, rr, mac);
  if (!bytes_equal_secret(mac, rr->mac, rr->mac_size)) {
    s->error = RCODE_BADSIG;
    return ERR_REFUSED;
  }
  s->key = key;
  s->mac_size = rr->mac_size;
  memcpy(s->mac, rr->mac, rr->mac_size);
  if (!tsig_time_within(rr, now_s)) {
    s->error = RCODE_BADTIME;
    s->client_time = rr->time_signed;
    return ERR_REFUSED;
  }
  return ERR_OK;
}

enum err tsig_verify_request(const struct tsig_keyring *keys, const struct request *req, int64_t now_s, struct tsig_stream *out) {
  assert(req->tsig_at >= MESSAGE_HEADER_BYTES && req->tsig_at < req->size);
  tsig_stream_none(out);
  struct tsig_rr rr;
  if (tsig_rr_read(req->bytes, req->size, req->tsig_at, &out->key_name, &out->algorithm_name, &rr)) return ERR_FORMAT;
  out->original_id = rr.original_id;
  const struct tsig_key *key = tsig_keyring_find(keys, &out->key_name);
  if (!key || !name_identical(&out->algorithm_name, tsig_algorithm_name(key->algorithm))) {
    out->error = RCODE_BADKEY;
    return ERR_REFUSED;
  }
  return verify(key, req, &rr, now_s, out);
}

size_t tsig_reserve(const struct tsig_stream *s) {
  if (!s->key && !s->error) return 0;
  size_t mac = s->key ? hmac_size(s->key->algorithm) : 0;
  return s->key_name.size + 10u + s->algorithm_name.size + 16u + mac + (s->error == RCODE_BADTIME ? 6 : 0);
}

static void response_mac(struct tsig_stream *s, bool first, const uint8_t *message, size_t size, const struct tsig_rr *rr,
                         uint8_t mac[HMAC_BYTES_MAX]) {
  hmac_begin(&s->running, s->key->hmac);
  tsig_digest_mac(&s->running, s->mac, s->mac_size);
  tsig_digest_message(&s->running, message, size, s->original_id, get_u16(message + 10));
  if (first) tsig_digest_variables(&s->running, &s->key_name, &s->algorithm_name, rr);
  else tsig_digest_timers(&s->running, rr);
  hmac_finish(&s->running, mac);
}

enum err tsig_sign_response(struct tsig_stream *s, bool first, uint8_t *message, size_t *size, size_t capacity, int64_t now_s) {
  if (!s->key && !s->error) return ERR_OK;
  assert(*size >= MESSAGE_HEADER_BYTES && *size <= capacity);
  struct tsig_rr rr = {.time_signed = (uint64_t)now_s, .fudge = TSIG_FUDGE_S, .original_id = s->original_id, .error = s->error};
  uint8_t server_time[6];
  if (s->error == RCODE_BADTIME) { /* RFC 8945 §5.2.3 */
    put_u48(server_time, (uint64_t)now_s);
    rr.time_signed = s->client_time;
    rr.other = server_time;
    rr.other_size = sizeof server_time;
  }
  uint8_t mac[HMAC_BYTES_MAX];
  if (s->key) {
    response_mac(s, first, message, *size, &rr, mac);
    rr.mac = mac;
    rr.mac_size = (uint16_t)hmac_size(s->key->algorithm);
  }
  enum err e = tsig_rr_write(&s->key_name, &s->algorithm_name, &rr, message, size, capacity);
  if (e) return e;
  s->mac_size = rr.mac_size;
  memcpy(s->mac, mac, rr.mac_size);
  return ERR_OK;
}
