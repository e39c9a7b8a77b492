/* TSIG (RFC 8945): keys, verifying and signing of single messages and of streams of messages.
 *
 * Keys are immutable and live in a `struct tsig_keyring`, which is published as a whole; whoever keeps a key pointer beyond a
 * read section holds a reference on its keyring. Thread: any, one `struct tsig_stream` has one owner. */
#ifndef TSIG_TSIG_H
#define TSIG_TSIG_H

#include "base/acl.h"
#include "crypto/digest.h"
#include "wire/message.h"

enum { TSIG_FUDGE_S = 300, TSIG_UNSIGNED_MAX = 99, TSIG_RR_BYTES_MAX = 2 * LIMIT_NAME_BYTES + 10 + 16 + HMAC_BYTES_MAX + 6 };

struct tsig_key {
  struct name name; /* lower case */
  enum hmac_algorithm algorithm;
  uint8_t *secret;
  size_t secret_size;
  struct hmac_key *hmac;
};

static inline struct acl_key tsig_acl_key(const struct tsig_key *k) {
  return k ? (struct acl_key){k->name.octets, k->name.size} : (struct acl_key){0};
}

struct tsig_keyring; /* immutable, counted */
MUST_CHECK enum err tsig_keyring_new(struct tsig_keyring **out);
MUST_CHECK enum err tsig_keyring_add(struct tsig_keyring *k, const struct name *name, enum hmac_algorithm a, const uint8_t *secret,
                                     size_t secret_size); /* before it is published; ERR_EXISTS */
const struct tsig_key *tsig_keyring_find(const struct tsig_keyring *k, const struct name *name); /* ignoring case; NULL */
struct tsig_keyring *tsig_keyring_ref(struct tsig_keyring *k);
void tsig_keyring_unref(struct tsig_keyring *k); /* NULL is fine; wipes secrets with the last */

/* "hmac-sha256" and the like, in either case, also the old name of hmac-md5. ERR_NOT_FOUND. */
MUST_CHECK enum err tsig_algorithm_from_text(const char *text, enum hmac_algorithm *out);
const char *tsig_algorithm_text(enum hmac_algorithm a);

/* The state of one signed exchange (RFC 8945 §5.3.1): key, the previous MAC, and the unsigned messages since. An exchange that is
 * not signed needs no call at all: key NULL and error 0 are enough (tsig_stream_none), the rest is never read. It owns nothing. */
struct tsig_stream {
  const struct tsig_key *key; /* what signs our side; the peer is verified only if `error` is 0, too (tsig_verified_key) */
  uint16_t error;             /* what our response's TSIG must say: 0, BADKEY, BADSIG, BADTIME, BADTRUNC */
  uint16_t original_id;
  uint16_t mac_size;
  bool answered;           /* client: the first signed message of the answer was there */
  uint32_t unsigned_count; /* client: messages since the last signed one */
  uint64_t client_time;    /* of a BADTIME request */
  uint8_t mac[HMAC_BYTES_MAX];
  struct hmac running;
  struct name key_name;       /* as the request named it, lower case: for an unsigned BADKEY answer */
  struct name algorithm_name; /* likewise */
};

static inline void tsig_stream_none(struct tsig_stream *s) {
  s->key = NULL;
  s->error = 0;
}

/* The key that verifiably signed the request; NULL: none. */
static inline const struct tsig_key *tsig_verified_key(const struct tsig_stream *s) {
  return s->error ? NULL : s->key;
}

/* Verifies a request whose TSIG stands at req->tsig_at. On ERR_OK the stream can sign the response. ERR_REFUSED: answer
 * NOTAUTH; tsig_sign_response adds the TSIG with stream->error (signed if BADTIME, unsigned if BADKEY or BADSIG, RFC 8945
 * §5.3.2). ERR_FORMAT: answer FORMERR, no TSIG. A MAC may be cut to half, but not below 10 octets (§5.2.2.1), so BADTRUNC is
 * never found here. `keys` may be NULL: no key is known. */
MUST_CHECK enum err tsig_verify_request(const struct tsig_keyring *keys, const struct request *req, int64_t now_s,
                                        struct tsig_stream *out);
/* Appends TSIG to a finished message of `size` octets in a buffer of `capacity`; adjusts ARCOUNT; `*size` grows. `first` is the
 * response to a request (full variables); later messages of a stream are signed with the short form. An unsigned exchange is
 * left as it is. */
MUST_CHECK enum err tsig_sign_response(struct tsig_stream *s, bool first, uint8_t *message, size_t *size, size_t capacity,
                                       int64_t now_s);
/* Octets that signing will need at most. */
size_t tsig_reserve(const struct tsig_stream *s);

/* Client side: signs a request, then verifies the response message by message. `*s` is set up here. */
MUST_CHECK enum err tsig_sign_request(struct tsig_stream *s, const struct tsig_key *key, uint8_t *message, size_t *size,
                                      size_t capacity, int64_t now_s);
/* Takes the next message of the answer. ERR_OK: fine so far (signed now, or unsigned inside the allowed gap of 99);
 * ERR_REFUSED: signature wrong or missing, `*error` is TSIG's error field as received or as found; FORMERR if the message or its
 * TSIG is malformed, 0 if a signature is missing. `last` says the stream ends with this message, which must then be signed. */
MUST_CHECK enum err tsig_verify_response(struct tsig_stream *s, const uint8_t *message, size_t size, bool last, int64_t now_s,
                                         uint16_t *error);

#endif
