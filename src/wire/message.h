/* DNS messages: reading requests and responses, writing messages with compression (RFC 1035 §4, RFC 6891).
 *
 * Thread: any; no allocation. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "wire/name.h"
#include "wire/rr.h"

#include <assert.h>

enum { MESSAGE_HEADER_BYTES = 12 };
/* The header's word of flags. */
enum {
  FLAG_QR = 0x8000,
  FLAG_AA = 0x0400,
  FLAG_TC = 0x0200,
  FLAG_RD = 0x0100,
  FLAG_RA = 0x0080,
  FLAG_AD = 0x0020,
  FLAG_CD = 0x0010,
  FLAG_OPCODE_MASK = 0x7800,
  FLAG_OPCODE_SHIFT = 11,
  FLAG_RCODE_MASK = 0x000f,
};
/* The header's four counts in one word, as they stand there: QD AN NS AR. */
enum section { SECTION_QUESTION, SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };
static inline unsigned section_shift(enum section s) {
  return 48 - 16 * (unsigned)s;
}
static inline unsigned section_count(uint64_t counts, enum section s) {
  return (uint16_t)(counts >> section_shift(s));
}
enum opcode { OPCODE_QUERY = 0, OPCODE_IQUERY = 1, OPCODE_STATUS = 2, OPCODE_NOTIFY = 4, OPCODE_UPDATE = 5, OPCODE_DSO = 6 };
enum rcode {
  RCODE_NOERROR = 0,
  RCODE_FORMERR = 1,
  RCODE_SERVFAIL = 2,
  RCODE_NXDOMAIN = 3,
  RCODE_NOTIMP = 4,
  RCODE_REFUSED = 5,
  RCODE_YXDOMAIN = 6,
  RCODE_YXRRSET = 7,
  RCODE_NXRRSET = 8,
  RCODE_NOTAUTH = 9,
  RCODE_NOTZONE = 10,
  RCODE_BADVERS = 16, /* with the OPT's upper bits */
  RCODE_BADSIG = 16,
  RCODE_BADKEY = 17,
  RCODE_BADTIME = 18,
  RCODE_BADTRUNC = 22, /* in TSIG's error field */
};
const char *rcode_text(unsigned rcode);   /* "NXDOMAIN", "rcode" for one without a name; never NULL */
const char *opcode_text(unsigned opcode); /* "QUERY" */

enum edns_option {
  EDNS_NSID = 3,
  EDNS_ECS = 8,
  EDNS_EXPIRE = 9,
  EDNS_COOKIE = 10,
  EDNS_KEEPALIVE = 11,
  EDNS_PADDING = 12,
  EDNS_EDE = 15,
  EDNS_REPORT_CHANNEL = 18,
  EDNS_ZONEVERSION = 19,
};
enum { EDNS_F_DO = 0x8000 };
/* RFC 8914 §4. */
enum ede {
  EDE_NONE = -1,
  EDE_OTHER = 0,
  EDE_NOT_READY = 14,
  EDE_BLOCKED = 15,
  EDE_PROHIBITED = 18,
  EDE_NOT_AUTHORITATIVE = 20,
  EDE_NOT_SUPPORTED = 21,
  EDE_INVALID_DATA = 24,
};

/* What is wanted of the options seen in a request's OPT. */
struct edns {
  bool present;
  bool dnssec_ok;
  bool nsid, expire, keepalive, padding, zoneversion, cookie, subnet; /* the option was there (once or more) */
  bool wants_option;                                                  /* one of the first five: the response may have it, too */
  uint8_t version;
  uint16_t udp_bytes;     /* requestor's payload size, at least 512 */
  const uint8_t *options; /* in the request */
  uint16_t options_size;
};

/* A request as far as it could be understood. `rcode` says what to answer when it could not. */
struct request {
  const uint8_t *bytes;
  size_t size;
  uint16_t id;
  uint16_t flags;
  uint8_t opcode;
  uint64_t counts;   /* section_count */
  bool has_question; /* one question was read: qname, qtype, qclass are valid and the response echoes it */
  struct name qname; /* as it came, original case */
  uint8_t shared;    /* octets of the name that it shares with the request before: all but the first label; or 0 */
  uint8_t label_at[LIMIT_NAME_LABELS]; /* offsets of its labels, qname.labels of them, unless `shared` */
  uint16_t qtype, qclass;
  size_t question_end; /* offset behind the question; 12 without one */
  struct edns edns;
  size_t tsig_at; /* offset of the TSIG record's owner; 0: none */
};

/* Reads header and question, and walks the rest for OPT and TSIG.
 *   ERR_SHORT   shorter than a header, or a response (QR=1): nothing may be answered
 *   ERR_FORMAT  answer FORMERR: more than one question (RFC 9619), a record that runs over the end, garbage behind the last, an OPT
 *               twice, not owned by the root or outside the additional section (RFC 6891 §6.1.1), options that are malformed, a
 *               TSIG that is not last, not of class ANY or not of TTL 0 (RFC 8945 §5.2), a pointer in the question's name
 *   ERR_OK      understood; opcode, class, EDNS version are still to be judged by the caller, and so is a QUERY without a question
 * Header fields are set in every case but the first, the question as soon as it was read, so that a FORMERR can echo it. Of
 * opcodes nobody knows the body may have any shape (RFC 8906 §4 wants NOTIMP), and a response says nothing with one (§8.1.5):
 * always ERR_OK, without a question, with as much as could be read of the rest.
 * `qname.octets` beyond `qname.size` and `label_at` beyond `qname.labels` are not written. */
MUST_CHECK enum err request_parse(const uint8_t *bytes, size_t size, struct request *out);
/* The same behind another request (NULL: none): questions that come together mostly are for names beside each other. */
MUST_CHECK enum err request_parse_after(const uint8_t *bytes, size_t size, const struct request *before, struct request *out);

/* ---- reading the records of a message (responses, transfers, NOTIFY) ---- */

struct message {
  const uint8_t *bytes;
  size_t size;
  uint16_t id, flags;
  uint16_t counts[4]; /* QD AN NS AR */
};

struct message_rr { /* one record as it stands in a message */
  struct name owner;
  uint16_t type, class;
  uint32_t ttl;    /* over 2^31-1 is read as 0, RFC 2181 §8 */
  struct rd rdata; /* raw, possibly compressed, in the message */
  uint16_t rdata_size;
};

/* Header and a reader of the body. ERR_SHORT. */
MUST_CHECK enum err message_open(const uint8_t *bytes, size_t size, struct message *out, struct rd *body);
/* The next question, or record; the caller counts. ERR_SHORT or ERR_FORMAT: `body` stays, the outputs may be partly written. */
MUST_CHECK enum err message_question(const struct message *m, struct rd *body, struct name *qname, uint16_t *qtype,
                                     uint16_t *qclass);
MUST_CHECK enum err message_rr(const struct message *m, struct rd *body, struct message_rr *out);
unsigned message_rcode(const struct message *m); /* header part only */

/* ---- writing ---- */

enum { MESSAGE_SLOTS_SMALL = 64, MESSAGE_SLOTS_MAX = 1024 }; /* powers of two */

/* A message being written. `reserve` octets at the end are kept for OPT and TSIG: set it before the records.
 *
 * Names are compressed against what stands there already: first against the end of the question's, then against names written
 * out in records. Of those the message itself is the dictionary: a slot holds the offset of a label, found by hash of the label
 * and of the offset of the name behind it, and is proved by looking at the message. So a slot may be lost (the newer of two
 * stays, which suits a transfer's order) but never lies. The slots are cleared when the first label is written out: many answers
 * never do.
 *
 * Case: a name is pointed at where its octets are the same, so that the loaded case goes out. Only where that leaves more to
 * write, an owner ends in the question's name whatever its case, as RFC 4343 §4.1 allows: the answer to a question in mixed case is
 * no longer than that to a plain one. */
struct message_writer {
  struct wr out;
  size_t reserve;
  uint64_t counts;       /* section_count; a message has no room for so many records that one runs over */
  uint16_t flags;        /* of the header; like the counts they are written at the end */
  uint8_t question_size; /* of the name in the question; 0: none */
  uint8_t near_sizes[2]; /* see message_expect_near */
  bool has_slots;        /* `slots` was cleared */
  uint16_t slot_mask;    /* slots - 1, once they were cleared */
  uint16_t slots[MESSAGE_SLOTS_MAX];
};

/* Starts a message in `buffer`; `limit` <= size of the buffer bounds it. */
void message_start(struct message_writer *w, uint8_t *buffer, size_t limit, uint16_t id, uint16_t flags);
/* Copies the question of a request as it came (case preserved). */
bool message_echo_question(struct message_writer *w, const struct request *req);
/* Starts the response to a request: header and question in one copy; there is room for them and for `reserve`. */
static ALWAYS_INLINE void message_start_response(struct message_writer *w, uint8_t *buffer, size_t limit, size_t reserve,
                                                 const struct request *req, uint16_t flags) {
  size_t size = req->question_end;
  assert(size + reserve <= limit);
  bytes_copy(buffer, req->bytes, size);
  w->out = (struct wr){buffer, buffer + size, buffer + limit, false};
  w->reserve = reserve;
  w->counts = (uint64_t)req->has_question << section_shift(SECTION_QUESTION);
  w->flags = flags;
  w->question_size = req->qname.size;
  w->near_sizes[0] = w->near_sizes[1] = 0;
  w->has_slots = false;
}
bool message_put_question(struct message_writer *w, const struct name *qname, uint16_t qtype, uint16_t qclass);
/* Names in RDATA will mostly be one label in front of the last `size` octets of the question's name, those of the zone or of a cut:
 * such names are found out quickest. The size before this one stays good. */
static inline void message_expect_near(struct message_writer *w, size_t size) {
  w->near_sizes[1] = w->near_sizes[0];
  w->near_sizes[0] = (uint8_t)(size > 1 && size <= w->question_size ? size : 0);
}
/* Writes an owner name, compressed where it can be. */
bool message_put_name(struct message_writer *w, const uint8_t *name_wire);
/* One record; RDATA in uncompressed form, compressed here where its type allows. `owner_wire` NULL is the question's name, the
 * cheapest. False, and nothing written, if it does not fit. */
bool message_put_rr(struct message_writer *w, enum section section, const uint8_t *owner_wire, uint16_t type, uint16_t class,
                    uint32_t ttl, const uint8_t *rdata, size_t rdata_size);

/* An owner ready to be copied: labels, and behind them a pointer or the root. Once it was written, a pointer to it is enough for
 * further records, which is what message_put_rrset makes of it. */
struct message_owner {
  uint16_t pointer; /* 0: not written yet */
  uint16_t size;
  uint8_t octets[LIMIT_NAME_BYTES + 2];
};
enum { MESSAGE_OWNER_AT_MAX = 0x3fff };
/* The name that stands at `offset`, at most MESSAGE_OWNER_AT_MAX. */
static inline void message_owner_at(struct message_owner *out, size_t offset) {
  out->pointer = (uint16_t)(0xc000 | offset);
}
static inline void message_owner_question(struct message_owner *out) {
  message_owner_at(out, MESSAGE_HEADER_BYTES);
}
/* `size` octets of labels, which stand in out->octets already, in front of the name at `parent` (0: the root). */
static inline void message_owner_begun_there(struct message_owner *out, size_t size, size_t parent) {
  out->pointer = size || !parent ? 0 : (uint16_t)(0xc000 | parent);
  if (parent) put_u16(out->octets + size, (uint16_t)(0xc000 | parent));
  else out->octets[size] = 0;
  out->size = (uint16_t)(size + (parent ? 2 : 1));
}
static inline void message_owner_begun(struct message_owner *out, const uint8_t *labels, size_t size, size_t parent) {
  bytes_copy(out->octets, labels, size);
  message_owner_begun_there(out, size, parent);
}
/* Any name, compressed against what the message has. */
void message_owner_name(struct message_writer *w, const uint8_t *name_wire, struct message_owner *out);
/* The name at `at`, of whose labels the first may already be a pointer. */
void message_owner_written(const struct message_writer *w, size_t at, struct message_owner *out);

/* RRs that are ready (rr.h), one right behind the other: as they stand, but that `pointer` says what name owns them. All or
 * nothing. */
static ALWAYS_INLINE bool message_put_ready(struct message_writer *w, enum section section, uint16_t pointer, const uint8_t *rrs,
                                            unsigned count) {
  const uint8_t *end = rrs;
  for (unsigned i = 0; i < count; i++)
    end += RR_READY_BYTES + rr_ready_size(end);
  size_t size = (size_t)(end - rrs);
  uint8_t *at = w->out.at;
  if (wr_left(&w->out) < size + w->reserve) return false;
  bytes_copy(at, rrs, size);
  w->out.at += size;
  w->counts += (uint64_t)count << section_shift(section);
  for (; pointer != RR_READY_OWNER && at < w->out.at; at += RR_READY_BYTES + rr_ready_size(at))
    put_u16(at, pointer);
  return true;
}
/* Of an RRset `count` RRs that are ready, and right behind them `signatures` that cover it, under any owner. All or nothing. */
bool message_put_owned(struct message_writer *w, enum section section, struct message_owner *owner, const uint8_t *rrs,
                       unsigned count, unsigned signatures);
/* The same; most have an owner that stands in the question, and no names to compress. */
static inline bool message_put_rrset(struct message_writer *w, enum section section, struct message_owner *owner,
                                     const uint8_t *rrs, unsigned count, unsigned signatures) {
  if (owner->pointer && rr_compress_offset(rr_ready_type(rrs)) < 0)
    return message_put_ready(w, section, owner->pointer, rrs, count + signatures);
  return message_put_owned(w, section, owner, rrs, count, signatures);
}
/* Gives all records from offset `from` on another TTL. */
void message_set_ttl(struct message_writer *w, size_t from, uint32_t ttl);
/* Where the RDATA of the record at `at` begin, and the record behind it. */
size_t message_rdata_at(const struct message_writer *w, size_t at, size_t *next);
/* A place to come back to: an RRset that does not fit whole is taken back. */
struct message_mark {
  uint8_t *at;
  uint64_t counts;
};
struct message_mark message_mark(const struct message_writer *w);
void message_rewind(struct message_writer *w, struct message_mark mark);
/* Puts OPT with the given payload size, extended rcode bits, flags and ready-made options; takes its size from the reserve. */
static ALWAYS_INLINE bool message_put_opt(struct message_writer *w, uint16_t udp_bytes, unsigned rcode, uint16_t edns_flags,
                                          const uint8_t *options, size_t options_size) {
  enum { FIXED_BYTES = 11 };
  size_t n = FIXED_BYTES + options_size;
  if (wr_left(&w->out) < n || options_size > UINT16_MAX) return false;
  uint8_t *p = w->out.at;
  put_u64(p, (uint64_t)RR_OPT << 40 | (uint64_t)udp_bytes << 24 | (uint64_t)(rcode >> 4 & 0xff) << 16); /* root, type, class, TTL */
  put_u32(p + 7, (uint32_t)edns_flags << 16 | (uint32_t)options_size);
  if (options_size) memcpy(p + FIXED_BYTES, options, options_size);
  w->out.at += n;
  w->reserve -= n < w->reserve ? n : w->reserve;
  w->counts += UINT64_C(1) << section_shift(SECTION_ADDITIONAL);
  return true;
}
/* Writes flags and counts of the header, and the low rcode bits; returns the message's size. */
static ALWAYS_INLINE size_t message_finish(struct message_writer *w, unsigned rcode) {
  put_u16(w->out.base + 2, (uint16_t)(w->flags | (rcode & FLAG_RCODE_MASK)));
  put_u64(w->out.base + 4, w->counts);
  return wr_used(&w->out);
}

#endif
