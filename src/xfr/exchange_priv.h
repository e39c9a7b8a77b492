/* What SOA queries, NOTIFYs and transfers have in common: whose answer a message is, what rcodes mean to an operator, and SOA
 * RDATA. Thread: any. */
#ifndef XFR_EXCHANGE_PRIV_H
#define XFR_EXCHANGE_PRIV_H

#include "tsig/tsig.h"
#include "wire/message.h"

enum { XFR_WHAT_BYTES = 200 };

/* What went wrong, as the end of a sentence that starts with the peer's address: "refused the transfer (REFUSED): allow ..." */
struct xfr_what {
  char text[XFR_WHAT_BYTES];
};
void xfr_what_set(struct xfr_what *w, const char *format, ...) PRINTF_LIKE(2, 3);

enum xfr_purpose { XFR_SOA, XFR_TRANSFER, XFR_NOTIFY };

struct xfr_exchange { /* what was asked */
  enum xfr_purpose purpose;
  uint16_t id;
  uint16_t qtype;
  const struct name *apex;
  struct tsig_stream *tsig; /* its key is NULL: unsigned */
};

/* Opens a message that may answer `x`; `body` is then behind the question. False: it belongs to something else. A message with
 * rcode NOERROR has to repeat the question unless `question_optional` (RFC 5936 §2.2.1). */
bool xfr_open(const struct xfr_exchange *x, const uint8_t *bytes, size_t size, bool question_optional, struct message *m,
              struct rd *body);
/* Says what an answer with an rcode means and what to do about it; looks for an error in its TSIG. */
void xfr_explain_rcode(const struct xfr_exchange *x, const struct message *m, unsigned rcode, int64_t now_s, struct xfr_what *out);
/* Verifies the signature, if the exchange is signed. */
bool xfr_verify(const struct xfr_exchange *x, const struct message *m, bool last, int64_t now_s, struct xfr_what *out);

struct soa_times {
  uint32_t serial, refresh_s, retry_s, expire_s;
};
/* From checked, uncompressed RDATA. */
struct soa_times soa_times_read(const uint8_t *rdata, size_t size);

#endif
