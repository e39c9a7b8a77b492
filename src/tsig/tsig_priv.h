/* The TSIG record as it stands in a message, and what of it is digested (RFC 8945 §4.2, §4.3). */
#ifndef TSIG_TSIG_PRIV_H
#define TSIG_TSIG_PRIV_H

#include "tsig/tsig.h"

struct tsig_rr {
  uint64_t time_signed; /* 48 bits */
  uint16_t fudge;
  uint16_t original_id;
  uint16_t error;
  const uint8_t *mac; /* in the message */
  uint16_t mac_size;
  const uint8_t *other;
  uint16_t other_size;
};

/* The algorithm's name in wire form. */
const struct name *tsig_algorithm_name(enum hmac_algorithm a);

/* Reads the record whose owner stands at `at`; it must be the message's last octets. Names come in lower case. */
MUST_CHECK enum err tsig_rr_read(const uint8_t *message, size_t size, size_t at, struct name *owner, struct name *algorithm,
                                 struct tsig_rr *out);
/* Finds the TSIG of a message; 0: it has none. ERR_FORMAT: the message is malformed, or a TSIG is not last. */
MUST_CHECK enum err tsig_rr_find(const uint8_t *message, size_t size, size_t *at);
/* Appends the record to a message and counts it. */
MUST_CHECK enum err tsig_rr_write(const struct name *owner, const struct name *algorithm, const struct tsig_rr *rr,
                                  uint8_t *message, size_t *size, size_t capacity);

/* What goes into the digest. */
void tsig_digest_mac(struct hmac *h, const uint8_t *mac, uint16_t mac_size);
/* The first `size` octets of a message, its ID and ARCOUNT given apart. */
void tsig_digest_message(struct hmac *h, const uint8_t *message, size_t size, uint16_t id, uint16_t additional_count);
void tsig_digest_variables(struct hmac *h, const struct name *owner, const struct name *algorithm, const struct tsig_rr *rr);
void tsig_digest_timers(struct hmac *h, const struct tsig_rr *rr);

/* Whether a MAC of this size can be taken at all (RFC 8945 §5.2.2.1). */
bool tsig_mac_size_allowed(enum hmac_algorithm a, uint16_t mac_size);
bool tsig_time_within(const struct tsig_rr *rr, int64_t now_s);

#endif
