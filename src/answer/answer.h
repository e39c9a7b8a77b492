/* The answer: a function of the zones, a request and its client, and of nothing else. No I/O, no clock, no globals, no allocation.
 *
 * Life of a query: request_parse (wire) -> tsig_verify_request where signed -> answer_batch -> the worker sends. The result
 * record is all that counters, statistics and logs look at. Thread: any reader inside an RCU read section. */
#ifndef ANSWER_ANSWER_H
#define ANSWER_ANSWER_H

#include "base/addr.h"
#include "base/clock.h"
#include "tsig/tsig.h"
#include "wire/message.h"
#include "zone/zone_set.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };

/* What the server says of itself; immutable, published with the configuration. */
struct answer_identity {
  uint8_t nsid[64];         /* server.identity */
  uint8_t nsid_size;        /* 0: no NSID, no CH answers */
  uint16_t udp_bytes;       /* largest UDP response and advertised size: LIMIT_UDP_RESPONSE_BYTES */
  uint16_t keepalive_100ms; /* edns-tcp-keepalive timeout in units of 100 ms */
  struct tsig_keyring *keys;
};

struct answer_client {
  struct addr from;
  enum transport transport;
  uint16_t listener;                 /* index of the listen address */
  bool queries_only, transfers_only; /* the listener is for one of them */
};

enum answer_kind {
  ANSWER_DROP,     /* say nothing (a response, shorter than a header, strangers: drop) */
  ANSWER_REPLY,    /* `size` octets of response are ready */
  ANSWER_NOTIFY,   /* allowed NOTIFY: the control thread is told; the reply is ready all the same */
  ANSWER_UPDATE,   /* allowed UPDATE: the control thread answers */
  ANSWER_TRANSFER, /* allowed AXFR or IXFR over a stream: the stream thread sends it (xfr/axfr_out.h) */
};

/* What happened, for everything that stands around the answer; what was asked is in the job's request. */
struct answer_result {
  enum answer_kind kind;
  uint16_t size;  /* of the response */
  uint16_t rcode; /* extended */
  int8_t ede;
  bool truncated;
  const struct zone_entry *zone; /* NULL: none; valid inside the read section */
};

/* One request and where its response goes. */
struct answer_job {
  const uint8_t *bytes; /* in: request as received */
  size_t size;
  struct answer_client client;
  uint8_t *out; /* room for the response: at least LIMIT_UDP_RESPONSE_BYTES for UDP, LIMIT_MESSAGE_BYTES for streams */
  size_t capacity;
  struct answer_result result;
  /* kept for the caller that goes on with a transfer, NOTIFY or UPDATE */
  struct request request;
  struct tsig_stream tsig;
};

/* What was found out for answers and later ones want, too: of referrals and negative answers whole sections, of servers where they
 * are. It spares work and changes no answer: all in it is of one snapshot each and counts as long as that is the one that answers.
 * One owner, one thread. */
struct answer_memory;
struct answer_memory *answer_memory_new(void); /* NULL: out of memory */
void answer_memory_free(struct answer_memory *m);
void answer_memory_clear(struct answer_memory *m);

/* Answers up to LIMIT_BATCH requests: parses all, looks all up in lockstep, writes all. */
void answer_batch(const struct zone_set *zones, const struct answer_identity *id, struct answer_memory *memory,
                  struct answer_job *const *jobs, size_t count, struct instant now);
void answer(const struct zone_set *zones, const struct answer_identity *id, struct answer_memory *memory, struct answer_job *job,
            struct instant now);
/* An answer with only header and question, and TSIG if `job` is signed: for what is decided outside (SERVFAIL of an overloaded
 * control thread, the reply to an UPDATE). */
void answer_rcode(const struct answer_identity *id, struct answer_job *job, struct instant now, unsigned rcode, int ede);
/* The same with words for the extended error; "" for none. */
void answer_rcode_text(const struct answer_identity *id, struct answer_job *job, struct instant now, unsigned rcode, int ede,
                       const char *ede_text);

#endif
