/* The SOA query of a refresh (RFC 1034 §4.3.5), with EDNS EXPIRE (RFC 7314), and what its answer says. No I/O. */
#ifndef XFR_SOA_QUERY_PRIV_H
#define XFR_SOA_QUERY_PRIV_H

#include "xfr/exchange_priv.h"

enum { SOA_QUERY_BYTES = MESSAGE_HEADER_BYTES + LIMIT_NAME_BYTES + 4 + 11 + 4 + TSIG_RR_BYTES_MAX };

struct soa_query {
  struct tsig_stream tsig;
  uint16_t id;
  bool edns;
  uint16_t size;
  uint8_t bytes[SOA_QUERY_BYTES];
};

/* Writes and signs the query; over an older one, too. A fresh one is zero-initialised. */
MUST_CHECK enum err soa_query_write(struct soa_query *q, const struct name *apex, const struct tsig_key *key, bool edns,
                                    uint16_t id, int64_t now_s);
void soa_query_done(struct soa_query *q);

enum soa_verdict {
  SOA_GIVEN,     /* the primary's SOA */
  SOA_TRUNCATED, /* ask over TCP */
  SOA_NO_EDNS,   /* ask without EDNS */
  SOA_FAILED,    /* `what` says why */
  SOA_DOUBTFUL,  /* perhaps a forgery: wait on; `what` says what is wrong with it if nothing better comes */
  SOA_STRANGE,   /* belongs to something else: wait on */
};

struct soa_answer {
  struct soa_times soa;
  bool has_expire;
  uint32_t expire_s; /* EDNS EXPIRE */
};

enum soa_verdict soa_query_judge(struct soa_query *q, const struct name *apex, const uint8_t *bytes, size_t size, int64_t now_s,
                                 struct soa_answer *out, struct xfr_what *what);

#endif
